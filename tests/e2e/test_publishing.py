"""What readers see: a link to a complete snapshot, switched in one rename."""

from __future__ import annotations

import stat
from contextlib import ExitStack

import duckdb
import pytest
from support.records import action, ago, investigation
from support.stage import Stages

from pipelines.data_dir import DataDir
from pipelines.errors import WarehouseError
from pipelines.publish import publish
from pipelines.upgrades import opened
from pipelines.warehouse import Warehouse
from simulator import ScriptedWorld


@pytest.fixture(scope="module")
def world() -> ScriptedWorld:
    return ScriptedWorld(
        [action("a", ago(hours=3), type="Isolate", scope="Full")],
        [investigation("1", ago(hours=4), state="Running")],
    )


@pytest.fixture(scope="module")
def synced(world, tmp_path_factory):
    """A stage that was synced once; the tests here publish from it, and change no row."""
    with ExitStack() as stack:
        stage = Stages(tmp_path_factory.mktemp("published"), stack)(world, fresh=True, publishes=True)
        stage.sync().assert_ok()
        yield stage


def published_again(stage):
    """Publishes the warehouse as it is, without a sync."""
    settings = stage.settings()
    warehouse = Warehouse(stage.data_dir / "warehouse.duckdb")
    try:
        return publish(
            warehouse, DataDir(stage.data_dir, settings.sync.published_mode), stage.clock.advance(minutes=1)
        )
    finally:
        warehouse.close()


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_published_is_readable_by_qualified_names_and_equals_the_warehouse(synced):
    assert synced.published().table("defender.machine_actions") == synced.warehouse().table("machine_actions")
    marts = [
        row["n"]
        for row in synced.warehouse().rows(
            "select view_name as n from duckdb_views() where schema_name = 'marts'"
        )
    ]
    assert len(marts) >= 5
    for mart in marts:
        assert synced.published().table(f"marts.{mart}") == synced.warehouse().table(f"marts.{mart}"), mart


def test_the_snapshot_has_states_versions_and_quarantine_for_auditors(synced):
    tables = synced.published().rows("select schema_name || '.' || table_name as t from duckdb_tables()")
    assert {
        "main.machine_actions",
        "main.investigations",
        "main.machine_action_versions",
        "main.investigation_versions",
        "main.quarantine",
        "main.watermarks",
        "main.sync_runs",
    } <= {row["t"] for row in tables}


def test_every_mart_is_a_parquet_file_too(synced):
    folder = synced.data_dir / "published" / "parquet"
    marts = {
        row["t"]
        for row in synced.published().rows(
            "select table_name as t from duckdb_tables() where schema_name = 'marts'"
        )
    }
    assert {path.stem for path in folder.iterdir()} == marts
    assert len(duckdb.sql(f"from '{folder}/machine_actions.parquet'").fetchall()) == 1


def test_every_column_of_every_published_mart_has_a_comment(synced):
    bare = synced.published().rows(
        "select table_name, column_name from duckdb_columns() where schema_name = 'marts' and comment is null "
        "union all select table_name, null from duckdb_tables() where schema_name = 'marts' and comment is null"
    )
    assert bare == []


def test_a_row_that_a_killed_run_left_without_its_version_is_published_with_it(open_stage):
    stage = open_stage(ScriptedWorld([action("a", ago(hours=3), status="Pending")]), publishes=True)
    stage.sync().assert_ok()
    warehouse = Warehouse(stage.data_dir / "warehouse.duckdb")
    warehouse.connection.execute(
        "update defender.machine_actions set status = 'Failed', synced_at = synced_at + interval '1 hour'"
    )
    warehouse.close()
    published_again(stage)
    assert stage.published().rows("select version, status from main.machine_action_versions order by 1") == [
        {"version": 1, "status": "Pending"},
        {"version": 2, "status": "Failed"},
    ]


def test_the_link_is_relative_and_leads_to_a_folder_named_by_utc_time(synced):
    link = synced.data_dir / "published"
    assert link.is_symlink()
    assert link.readlink().parts[0] == "snapshots"
    assert link.readlink().name.startswith("2026-11-20T12-")


def test_the_snapshot_before_is_kept_and_older_ones_are_removed(synced):
    first = (synced.data_dir / "published").resolve()
    second = published_again(synced)
    assert first.exists()
    third = published_again(synced)
    assert sorted((synced.data_dir / "snapshots").iterdir()) == [second, third]
    assert (synced.data_dir / "published").resolve() == third.resolve()


def test_a_snapshot_held_open_by_a_reader_stays_whole_while_others_are_published(synced):
    with duckdb.connect(str(synced.data_dir / "published" / "defender.duckdb"), read_only=True) as reader:
        for _ in range(2):
            published_again(synced)
        assert reader.execute("select count(*) from marts.machine_actions").fetchone() == (1,)


def test_what_killed_runs_left_half_written_is_cleared_away_before_anything_is_written(synced):
    left_over = synced.data_dir / "snapshots" / "2026-11-20T11-00-00.000000Z.partial"
    (left_over / "parquet").mkdir(parents=True)
    (synced.data_dir / ".warehouse.duckdb.new").touch()
    (synced.data_dir / ".warehouse.duckdb.new.wal").touch()
    with opened(DataDir(synced.data_dir), synced.clock()):
        assert not left_over.exists()
        assert not list(synced.data_dir.glob(".warehouse*"))


def test_a_snapshot_that_cannot_be_written_gives_its_room_back(synced, monkeypatch):
    before = sorted((synced.data_dir / "snapshots").iterdir())

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.publish._set_modes", full)
    with pytest.raises(WarehouseError, match=r"the snapshot cannot be written under .*No space left"):
        published_again(synced)
    assert sorted((synced.data_dir / "snapshots").iterdir()) == before


def test_a_file_among_the_snapshots_is_nobody_s_business(synced):
    stray = synced.data_dir / "snapshots" / ".DS_Store"
    stray.touch()
    published_again(synced)
    assert stray.exists()
    stray.unlink()


def test_something_in_the_place_of_the_link_is_told_before_anything_is_read(open_stage, world):
    stage = open_stage(world, publishes=True)
    (stage.data_dir / "published").mkdir()
    with pytest.raises(WarehouseError, match=r"published is in the way: .* Move it away, then sync again"):
        stage.sync()
    assert stage.sim.requests == []


def test_a_wider_mode_opens_the_folder_that_is_there(open_stage, world):
    stage = open_stage(world, publishes=True, fresh=True)
    stage.sync().assert_ok()
    assert mode(stage.data_dir) == 0o710
    stage.sync(published_mode="0644").assert_ok()
    assert mode(stage.data_dir) == 0o711


def test_a_folder_that_was_closed_on_purpose_stays_so(open_stage, world):
    stage = open_stage(world, publishes=True)
    stage.sync().assert_ok()
    stage.data_dir.chmod(0o700)
    stage.sync().assert_ok()
    assert mode(stage.data_dir) == 0o700


def test_a_database_put_back_from_a_backup_is_closed_to_others(open_stage, world):
    stage = open_stage(world)
    stage.sync().assert_ok()
    (stage.data_dir / "warehouse.duckdb").chmod(0o644)
    stage.sync().assert_ok()
    assert mode(stage.data_dir / "warehouse.duckdb") == 0o600


def test_only_what_is_published_is_readable_by_others_than_its_owner(synced):
    for path in synced.data_dir.rglob("*"):
        inside = "snapshots" in path.relative_to(synced.data_dir).parts
        if path.is_symlink():
            continue
        if not inside:
            assert mode(path) & 0o077 == 0, path
        else:
            assert mode(path) == (0o750 if path.is_dir() else 0o640), path
    assert mode(synced.data_dir) == 0o710


def test_published_files_take_the_mode_that_is_asked_for(open_stage, world):
    stage = open_stage(world, publishes=True, published_mode="0644", fresh=True)
    stage.sync().assert_ok()
    folder = (stage.data_dir / "published").resolve()
    assert mode(folder / "defender.duckdb") == 0o644
    assert mode(folder) == mode(folder.parent) == 0o755
    assert mode(stage.data_dir) & 0o011 == 0o011
    assert mode(stage.data_dir / "warehouse.duckdb") == 0o600


def test_the_published_file_has_the_storage_version_that_older_readers_know(synced):
    duckdb.sql(f"attach '{synced.data_dir}/published/defender.duckdb' as snapshot (read_only)")
    [(version,)] = duckdb.sql(
        "select tags['storage_version'] from duckdb_databases() where database_name = 'snapshot'"
    ).fetchall()
    duckdb.sql("detach snapshot")
    assert version.startswith("v1.4.0")


def test_a_run_that_fails_is_published_with_the_rows_of_before(open_stage, world):
    stage = open_stage(world)
    stage.sync().assert_ok()
    stage.tenants["contoso"].secret_expired = True
    stage.clock.advance(minutes=5)
    stage.publishes = True
    assert stage.sync().exit_code == 3
    assert len(stage.published().table("marts.machine_actions")) == 1
    statuses = {row["last_run_status"] for row in stage.published().table("marts.sync_freshness")}
    assert statuses == {"failed"}


def test_a_folder_that_hands_its_group_on_goes_on_doing_so(open_stage, world):
    stage = open_stage(world, publishes=True, publish_by_tenant=True)
    stage.sync().assert_ok()
    folders = [stage.data_dir / "snapshots", stage.data_dir / "snapshots_by_tenant" / "contoso"]
    for folder in folders:
        folder.chmod(0o2750)
    stage.clock.advance(minutes=15)
    stage.sync().assert_ok()
    for folder in folders:
        assert mode(folder) == 0o2750
        assert mode(max(path for path in folder.iterdir())) == 0o2750
