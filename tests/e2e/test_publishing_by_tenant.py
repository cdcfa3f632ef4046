"""A snapshot for each tenant beside the common one: all of it is theirs, and nothing of anybody else."""

from __future__ import annotations

import stat
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from support.records import action, ago, investigation
from support.stage import Stages
from support.warehouse import Reading

from simulator import ScriptedWorld

TENANTS = ("contoso", "fabrikam")
RELATIONS = "select schema_name || '.' || table_name as name from duckdb_tables() order by 1"


def world_of(name: str) -> ScriptedWorld:
    """A tenant that names itself wherever it can, one machine and investigation id shared with others."""
    host, person = f"pc.{name}.example", f"analyst@{name}.example"
    bad = {
        **action("bad", ago(hours=2), computerDnsName=host, requestor=person),
        "errorHResult": f"of {name}",
    }
    return ScriptedWorld(
        [
            action("a", ago(hours=3), type="Isolate", scope="Full", computerDnsName=host, requestor=person),
            action("b", ago(days=9), status="Failed", computerDnsName=host, requestor=person, title=name),
            {**bad, "tenantName": name},
        ],
        [investigation("77", ago(hours=4), state="Running", computerDnsName=host)],
    )


@pytest.fixture(scope="module")
def synced(tmp_path_factory):
    with ExitStack() as stack:
        stage = Stages(tmp_path_factory.mktemp("by_tenant"), stack)(
            {name: world_of(name) for name in TENANTS}, fresh=True, publishes=True, publish_by_tenant=True
        )
        stage.sync().assert_ok()
        for world in stage.worlds.values():
            world.change("a", status="Failed")
        stage.clock.advance(minutes=15)
        stage.sync().assert_ok()
        yield stage


def own(stage, tenant: str) -> Path:
    return stage.data_dir / "published_by_tenant" / tenant


@pytest.mark.parametrize("tenant", TENANTS)
def test_every_table_and_mart_holds_the_tenant_s_rows_of_the_common_one_and_no_others(synced, tenant):
    theirs, common = Reading(own(synced, tenant) / "defender.duckdb"), synced.published()
    with theirs.held(), common.held():
        names = [row["name"] for row in theirs.rows(RELATIONS)]
        assert names == [row["name"] for row in common.rows(RELATIONS)]
        empty = []
        for name in names:
            rows = theirs.rows(f"from {name} order by all")
            assert rows == common.rows(f"from {name} where tenant = ? order by all", tenant), name
            empty += [] if rows else [name]
    assert set(empty) <= {"marts.live_response_commands", "marts.investigation_transitions"}


@pytest.mark.parametrize(("tenant", "other"), [TENANTS, TENANTS[::-1]])
def test_no_byte_tells_of_another_tenant(synced, tenant, other):
    files = [path for path in own(synced, tenant).rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".duckdb", ".parquet"}
    for path in files:
        assert other.encode() not in path.read_bytes(), path
    assert tenant.encode() in (own(synced, tenant) / "defender.duckdb").read_bytes()


def test_every_mart_is_a_parquet_file_of_the_tenant_s_rows(synced):
    folder = own(synced, "contoso") / "parquet"
    common = synced.data_dir / "published" / "parquet"
    assert {path.name for path in folder.iterdir()} == {path.name for path in common.iterdir()}
    for path in folder.iterdir():
        assert duckdb.sql(f"select distinct tenant from '{path}'").fetchall() in ([("contoso",)], []), path


def test_every_column_has_the_comment_that_the_common_one_has(synced):
    query = "select schema_name, table_name, column_name, comment from duckdb_columns() order by all"
    assert Reading(own(synced, "contoso") / "defender.duckdb").rows(query) == synced.published().rows(query)


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_link_is_relative_and_the_snapshot_before_is_kept(synced, tenant):
    link = own(synced, tenant)
    assert link.is_symlink()
    assert link.readlink().parts[:-1] == ("..", "snapshots_by_tenant", tenant)
    snapshots = sorted((synced.data_dir / "snapshots_by_tenant" / tenant).iterdir())
    assert len(snapshots) == 2
    assert link.resolve() == snapshots[-1].resolve()


def test_modes_are_those_of_what_is_published(synced):
    for top in ("published_by_tenant", "snapshots_by_tenant"):
        for path in (synced.data_dir / top, *(synced.data_dir / top).rglob("*")):
            if not path.is_symlink():
                expected = 0o750 if path.is_dir() else 0o640
                assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_tenant_taken_out_of_the_configuration_is_published_with_its_rows_still(synced):
    synced.clock.advance(minutes=15)
    synced.sync(tenants=("contoso",)).assert_ok()
    rows = Reading(own(synced, "fabrikam") / "defender.duckdb").table("main.machine_actions")
    assert {row["id"] for row in rows} == {"a", "b", "bad"}


def test_a_tenant_of_which_a_lost_database_knows_nothing_keeps_its_snapshot(open_stage):
    stage = open_stage({name: world_of(name) for name in TENANTS}, publishes=True, publish_by_tenant=True)
    stage.sync().assert_ok()
    (stage.data_dir / "warehouse.duckdb").unlink()
    stage.clock.advance(minutes=15)
    settings = stage.settings()
    contoso, fabrikam = settings.tenants
    refused = replace(settings, tenants=(contoso, replace(fabrikam, client_secret="wrong")))
    assert stage.sync(refused).exit_code == 5
    for tenant in TENANTS:
        rows = Reading(own(stage, tenant) / "defender.duckdb").table("main.machine_actions")
        assert {row["id"] for row in rows} == {"a", "b", "bad"}, tenant


def test_switched_off_again_what_was_published_by_tenant_goes(open_stage):
    stage = open_stage(world_of("contoso"), publishes=True)
    stage.sync(publish_by_tenant=True).assert_ok()
    assert own(stage, "contoso").exists()
    stage.sync().assert_ok()
    left = {path.name for path in stage.data_dir.iterdir()}
    assert {"published", "snapshots"} <= left
    assert not left & {"published_by_tenant", "snapshots_by_tenant"}


def test_the_key_is_true_or_false_and_nothing_else(program):
    config = '[sync]\ntenants = ["demo"]\npublish_by_tenant = {}\n[tenants.demo]\ncloud = "simulator"\n'
    program.configure(config.format("true"))
    assert program.settings().sync.publish_by_tenant is True
    assert program.settings(env={"SYNC__PUBLISH_BY_TENANT": "False"}).sync.publish_by_tenant is False
    program.configure(config.format("1"))
    done = program("status")
    assert done.code == 2
    assert "sync.publish_by_tenant must be true or false, not 1" in done.err


def test_what_others_put_among_the_tenants_snapshots_stays_and_is_no_failure(open_stage):
    stage = open_stage({name: world_of(name) for name in TENANTS}, publishes=True, publish_by_tenant=True)
    stage.sync().assert_ok()
    folders = [stage.data_dir / name for name in ("published_by_tenant", "snapshots_by_tenant")]
    for folder in folders:
        (folder / ".DS_Store").touch()
    (folders[0] / "notes").mkdir()
    stage.clock.advance(minutes=15)
    stage.sync(publish_by_tenant=False).assert_ok()
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [
        [".DS_Store", "notes"],
        [".DS_Store"],
    ]
