"""A package that cannot load: a clear word with the remedy, nothing half done, and the next sync heals."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import subprocess
import sys

import duckdb
import pytest
from support.records import action, ago, iso

from pipelines.errors import ConfigurationError, WarehouseError

HOLDER = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); "
    "sys.stdin.read()"
)


@pytest.fixture
def filled(open_stage, world):
    """A stage that was synced and published, and has news since."""
    for number in range(10):
        world.put_action(action(f"a{number}", ago(hours=number + 2)))
    stage = open_stage(world, publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=30)
    world.put_action(action("new", stage.clock.now()))
    world.change("a1", status="Failed", lastUpdateDateTimeUtc=iso(stage.clock.now()))
    stage.clock.advance(minutes=1)
    return stage


def contents(stage):
    return stage._contents(), stage.watermark(), os.readlink(stage.data_dir / "published")


def assert_heals(stage):
    stage.sync().assert_ok()
    stage.assert_in_step()
    assert stage.published().one("select count(*) from main.machine_actions") == len(
        stage.loaded("machine_actions")
    )


def test_a_reader_that_holds_the_database_is_named_as_the_cause(filled):
    before = contents(filled)
    path = filled.data_dir / "warehouse.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(WarehouseError, match=r"held open by another program.*close it"):
            filled.sync()
        holder.communicate()
    assert contents(filled) == before
    assert_heals(filled)


@pytest.mark.parametrize(
    "garbage", [b"not a database" * 1_000, b"\0" * 20_000, b"x"], ids=["text", "zeros", "short"]
)
def test_a_file_that_is_no_database_is_left_alone(filled, garbage):
    path = filled.data_dir / "warehouse.duckdb"
    saved = path.read_bytes()
    path.write_bytes(garbage)
    with pytest.raises(WarehouseError, match="is no DuckDB database: move it away or restore a backup"):
        filled.sync()
    assert path.read_bytes() == garbage
    path.write_bytes(saved)
    assert_heals(filled)


def test_a_database_damaged_in_its_middle_is_told_and_a_backup_heals(filled):
    path = filled.data_dir / "warehouse.duckdb"
    saved = path.read_bytes()
    path.write_bytes(saved[:12_288] + os.urandom(len(saved) - 12_288))
    with pytest.raises(WarehouseError, match=r"restore a backup|move it away"):
        filled.sync()
    path.write_bytes(saved)
    assert_heals(filled)


def test_a_database_of_somebody_else_is_not_written_to(filled):
    """Another program's tables of the same name, in the place of ours."""
    path = filled.data_dir / "warehouse.duckdb"
    saved = path.read_bytes()
    path.unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema defender")
        connection.execute("create table defender.machine_actions (id integer)")
        connection.execute("create table defender.investigations (id integer)")
    with pytest.raises(WarehouseError, match=r"other tables or columns than this program's"):
        filled.sync()
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.sql("from defender.machine_actions").fetchall() == []
    path.write_bytes(saved)
    assert_heals(filled)


def test_a_clash_of_types_in_the_warehouse_is_told_and_costs_no_row(filled):
    path = filled.data_dir / "warehouse.duckdb"
    saved = path.read_bytes()
    filled.warehouse().execute(
        "drop schema marts cascade",
        "drop schema staging cascade",
        "delete from defender.schema_versions",
        "alter table defender.machine_actions alter error_h_result type date using null",
    )
    watermark = filled.watermark()
    done = filled.sync()
    assert (done.exit_code, done.run().status) == (5, "failed")
    told = str(done.error())
    assert "restore a backup" in told
    assert filled.watermark() == watermark
    path.write_bytes(saved)
    assert_heals(filled)


# dlt leaves the file open that it could not write.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("limit", [30_000, 2_000_000], ids=["at the load", "at the snapshot"])
def test_a_full_disk_is_told_and_costs_no_row(filled, limit):
    """The limit on the size of a file stands in for the disk's end: writing fails in the same way."""
    for number in range(400):
        filled.world.put_action(
            action(f"b{number}", filled.clock.now(), requestorComment=os.urandom(4_000).hex())
        )
    filled.clock.advance(minutes=1)
    published = os.readlink(filled.data_dir / "published")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        told = failure(filled)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    gc.collect()
    assert "disk" in told or "snapshot cannot be written" in told
    assert "sync again" in told or "then run: defender-sync publish" in told
    assert "snapshot" not in told or "File too large" in told
    assert os.readlink(filled.data_dir / "published") == published
    assert filled.published().one("select count(*) from main.machine_actions") == 10
    assert_heals(filled)


def failure(stage):
    """What a sync says of the machine actions, or of the whole run."""
    try:
        return str(stage.sync().error())
    except WarehouseError as error:
        return str(error)


def test_a_database_that_may_not_be_written_is_told(filled):
    if os.geteuid() == 0:
        pytest.skip("root may write to any file")
    path = filled.data_dir / "warehouse.duckdb"
    path.chmod(0o400)
    try:
        with pytest.raises(WarehouseError, match=r"could not be read or written|cannot be written"):
            filled.sync()
    finally:
        path.chmod(0o600)
    assert_heals(filled)


def test_a_data_directory_in_the_place_of_which_a_file_stands_is_told(filled, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"sync.data_dir: .* cannot be made"):
        filled.sync(data_dir=str(tmp_path / "file" / "data"))


def test_snapshots_that_cannot_be_written_leave_the_last_one_published(filled):
    before = filled.published().one("select count(*) from main.machine_actions")
    shutil.move(filled.data_dir / "snapshots", filled.data_dir / "kept")
    (filled.data_dir / "snapshots").write_text("a file in the place of the folder")
    with pytest.raises(WarehouseError, match=r"the snapshot cannot be written.*defender-sync publish"):
        filled.sync()
    assert "new" in filled.loaded("machine_actions")
    (filled.data_dir / "snapshots").unlink()
    shutil.move(filled.data_dir / "kept", filled.data_dir / "snapshots")
    assert filled.published().one("select count(*) from main.machine_actions") == before
    assert_heals(filled)
