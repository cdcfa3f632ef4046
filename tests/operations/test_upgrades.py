"""Upgrades: a newer warehouse is refused untouched, an older one copied aside, carried forward, and synced on."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from support.records import action, ago, investigation
from support.warehouse import Reading

from pipelines import sql_files
from pipelines.data_dir import DataDir
from pipelines.errors import WarehouseError
from pipelines.upgrades import opened
from pipelines.warehouse import Warehouse

VERSION_1 = Path(__file__).with_name("warehouse_of_version_1.sql")
STRUCTURE = """
    select schema_name, table_name, column_name, data_type, is_nullable, column_default, comment
    from duckdb_columns() where schema_name = 'defender' and table_name not like '\\_dlt%' escape '\\'
    order by schema_name, table_name, column_index
"""
CONSTRAINTS = """
    select table_name, constraint_type, constraint_column_names from duckdb_constraints()
    where schema_name = 'defender' and table_name not like '\\_dlt%' escape '\\' order by all
"""
COMMENTS = """
    select table_name, comment from duckdb_tables()
    where schema_name = 'defender' and table_name not like '\\_dlt%' escape '\\' order by all
"""


@pytest.fixture
def stage(open_stage, world):
    """A stage on which a sync plays."""
    return open_stage(world)


@pytest.fixture
def old(stage, world):
    """A stage whose warehouse was made by version 1; the world is as that version saw it last."""
    world.put_action(action("a1", ago(days=9)))
    world.put_action(action("a2", ago(hours=3), type="Isolate", scope="Full", requestor="Alice@Contoso.com"))
    world.put_action({**action("bad", ago(hours=4)), "errorHResult": "none"})
    world.put_investigation(investigation("77", ago(hours=4), state="Running"))
    path = stage.data_dir / "warehouse.duckdb"
    path.unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute(VERSION_1.read_text())
    stage.clock.advance(hours=1)
    return stage


def contents(path: Path) -> dict[str, list[dict]]:
    """Every row of the tables of version 1."""
    reading = Reading(path)
    tables = (
        "machine_actions", "investigations", "machine_action_versions", "investigation_versions", "quarantine",
        "watermarks", "sync_runs", "ranges", "schema_versions",
    )  # fmt: skip
    with reading.held():
        return {table: reading.table(table) for table in tables}


def files(stage) -> dict[Path, bytes]:
    """All of the data directory, but for what tells that the last run failed: its figures, and a key of the status."""
    found = {path: path.read_bytes() for path in stage.data_dir.rglob("*") if path.is_file()}
    found.pop(stage.data_dir / "metrics.prom", None)
    status = json.loads(found.pop(stage.data_dir / "status.json"))
    del status["failed_run"]
    return {**found, stage.data_dir / "status.json": json.dumps(status, sort_keys=True).encode()}


def test_an_older_warehouse_is_carried_forward_and_syncs_on(old):
    path = old.data_dir / "warehouse.duckdb"
    before = contents(path)
    old.sync().assert_ok()
    old.assert_in_step()
    after = contents(path)
    kept = ("machine_action_versions", "investigation_versions")
    assert {table: after[table] for table in kept} == {table: before[table] for table in kept}
    assert after["sync_runs"][: len(before["sync_runs"])] == before["sync_runs"]
    assert [row["version"] for row in after["schema_versions"]] == [1, 2, 3, 4, 4]
    assert old.warehouse().table("purges") == []


def test_the_copy_aside_is_the_warehouse_as_it_was_and_is_its_owner_s_only(old):
    before = contents(old.data_dir / "warehouse.duckdb")
    old.sync().assert_ok()
    [copy] = DataDir(old.data_dir).upgrade_copies
    assert copy.name == "warehouse.version-1.2026-11-20T13-00-00Z.duckdb"
    assert contents(copy) == before
    assert copy.stat().st_mode & 0o077 == 0
    old.sync().assert_ok()
    assert DataDir(old.data_dir).upgrade_copies == [copy], "one upgrade, one copy"


def carry_forward(old):
    """Open the warehouse and close it; the copy that was made."""
    data_dir = DataDir(old.data_dir)
    with opened(data_dir, old.clock()):
        pass
    [copy] = data_dir.upgrade_copies
    return copy


def test_what_only_the_write_ahead_log_holds_is_in_the_copy_too(old):
    path = old.data_dir / "warehouse.duckdb"
    connection = duckdb.connect(str(path))
    connection.execute("pragma disable_checkpoint_on_shutdown")
    connection.execute("update defender.machine_actions set title = 'last'")
    connection.close()
    assert path.with_name("warehouse.duckdb.wal").exists()
    copy = carry_forward(old)
    assert {row["title"] for row in contents(copy)["machine_actions"]} == {"last"}


def test_only_the_last_upgrade_s_copy_is_kept(old):
    older = old.data_dir / "warehouse.version-0.2026-01-01T00-00-00Z.duckdb"
    older.touch()
    copy = carry_forward(old)
    assert DataDir(old.data_dir).upgrade_copies == [copy]


def test_a_warehouse_carried_forward_has_the_tables_of_a_new_one(old, template):
    carry_forward(old)
    migrated, new = Reading(old.data_dir / "warehouse.duckdb"), Reading(template)
    for query in (STRUCTURE, CONSTRAINTS, COMMENTS):
        assert migrated.rows(query) == new.rows(query)


def test_a_migration_that_fails_leaves_the_warehouse_as_it_was(old):
    path = old.data_dir / "warehouse.duckdb"
    Reading(path).execute("create table defender.purges (in_the_way integer)")
    before = contents(path)
    with pytest.raises(WarehouseError, match="cannot be carried forward from version 1") as raised:
        old.sync()
    [copy] = DataDir(old.data_dir).upgrade_copies
    assert str(copy) in str(raised.value)
    assert contents(path) == before == contents(copy)


def test_a_newer_warehouse_is_refused_before_anything_is_touched(program, stage):
    stage.sync().assert_ok()
    path = stage.data_dir / "warehouse.duckdb"
    newer = sql_files.schema_version() + 1
    Reading(path).execute(f"insert into defender.schema_versions values ({newer}, '', now())")
    before = files(stage)
    program.configure(
        f'[sync]\ntenants = ["contoso"]\ndata_dir = "{stage.data_dir}"\n'
        '[tenants.contoso]\nauth = "token"\naccess_token = "x"\n'
    )
    done = program("sync")
    assert (done.code, done.out) == (1, "")
    assert f"was made by a newer version of this program (schema {newer};" in done.err
    assert len(done.err.splitlines()) == 1
    with pytest.raises(WarehouseError, match="nothing was touched"):
        Warehouse(path, read_only=True)
    assert files(stage) == before


def test_migrations_are_numbered_without_gaps_and_a_new_warehouse_has_the_last_number(template):
    assert list(sql_files.migrations()) == list(range(2, sql_files.schema_version() + 1))
    assert [row["version"] for row in Reading(template).table("schema_versions")] == [4]


def test_views_are_made_anew_after_an_upgrade_and_not_again(old):
    carry_forward(old)
    warehouse = Warehouse(old.data_dir / "warehouse.duckdb")
    try:
        for moment in (old.clock(), old.clock(), old.clock() + timedelta(minutes=1)):
            warehouse.create_views(moment)
    finally:
        warehouse.close()
    assert [row["version"] for row in old.warehouse().table("schema_versions")] == [1, 2, 3, 4, 4]
