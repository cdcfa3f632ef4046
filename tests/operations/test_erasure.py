"""Purge and forget: what is erased is erased everywhere, and nothing that reads again brings it back."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from support.records import action, ago, investigation
from support.stage import Events, Stages, unpublished

from pipelines.clock import Clock
from pipelines.data_dir import DataDir
from pipelines.dry_run import intents
from pipelines.erasure import EMPTIED, Forget, Purge, erase
from pipelines.errors import ConfigurationError, LockedError, WarehouseError
from pipelines.sync import backfill, reconcile
from pipelines.tombstones import ForgottenName, Tombstones, spelling
from pipelines.windows import Window
from simulator import ScriptedWorld

HISTORY = Window(ago(days=170), ago(hours=2))
BEFORE = ago(days=30)
TABLES = (
    "machine_actions",
    "investigations",
    "machine_action_versions",
    "investigation_versions",
    "quarantine",
)


@pytest.fixture
def stage(open_stage, world):
    """A stage on which a sync plays; what is erased publishes by itself."""
    return open_stage(world)


def synced_twice(folder, template, make_world, id, **change):
    """A warehouse that saw a world before and after a row changed, the time, and the change."""
    with ExitStack() as stack:
        stage = Stages(folder, stack, template)(make_world())
        stage.sync().assert_ok()
        stage.world.change(id, **change)
        stage.clock.advance(minutes=20)
        stage.sync().assert_ok()
    return stage.data_dir / "warehouse.duckdb", stage.clock(), id, change


def gone_on(folder, stack, make_world, warehouse, now, id, change):
    """A stage of a test's own that goes on from there."""
    stage = Stages(folder, stack, warehouse)(make_world(), start=now)
    stage.world.change(id, **change)
    return stage


def carry_out(stage, look_for, tenants=None, **overrides):
    """Erases, and tells what was found."""
    found = {}

    def confirm(counts):
        found.update(counts)
        return True

    erase(stage.settings(**overrides), stage.program_clock(), tenants, look_for, confirm)
    return found


def purge(stage, before=BEFORE, tenants=None, **overrides):
    return carry_out(stage, lambda warehouse, name: Purge(warehouse, name, before), tenants, **overrides)


def forget(stage, person, tenants=None, **overrides):
    return carry_out(stage, lambda warehouse, name: Forget(warehouse, name, person), tenants, **overrides)


def read_everything_again(stage):
    """All that could bring a row back: a backfill, a reconcile, a sync with its scrub."""
    with unpublished():
        for command in (backfill, reconcile):
            stage.clock.advance(minutes=20)
            result = command(stage.settings(), stage.program_clock(), Events(), HISTORY)
            assert result.exit_code == 0
    stage.clock.advance(minutes=20)
    stage.sync().assert_ok()


def everything(stage):
    """Every row of the tables that hold the API's records."""
    with stage.warehouse().held():
        return [(table, row) for table in TABLES for row in stage.warehouse().table(table)]


def everything_published(stage):
    """The same in the snapshot."""
    reading = stage.published()
    with reading.held():
        return [(table, row) for table in TABLES for row in reading.table(f"main.{table}")]


def without_stamps(rows):
    """Rows without the times at which they were read."""
    stamps = ("synced_at", "last_seen_at")
    return [(table, {name: row[name] for name in row if name not in stamps}) for table, row in rows]


def publish_twice(stage):
    """Two snapshots, as a running installation has them."""
    stage.publishes = True
    for _ in range(2):
        stage.clock.advance(minutes=20)
        stage.sync().assert_ok()
    stage.publishes = False


def ids(stage, table):
    return [row["id"] for row in stage.warehouse().table(table, "id")]


def files_that_hold(stage, *texts):
    """The files of the data directory with one of the texts in their bytes, in any case."""
    return [
        path.relative_to(stage.data_dir)
        for path in stage.data_dir.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and any(text.lower().encode() in path.read_bytes().lower() for text in texts)
    ]


# --- purge ----------------------------------------------------------------------------------------


def aged_world():
    """Rows and bad records on either side of BEFORE; those on the older side say so."""
    world = ScriptedWorld()
    old = {"computerDnsName": "older.example"}
    world.put_action(action("old", ago(days=40), status="Pending", **old))
    world.put_action({**action("old bad", ago(days=35), **old), "errorHResult": "older.example"})
    world.put_action(action("edge", BEFORE))
    world.put_action({**action("new bad", ago(days=2)), "errorHResult": "none"})
    world.put_investigation(investigation("1", ago(days=31), **old))
    world.put_investigation(investigation("2", ago(days=29), state="Running"))
    return world


@pytest.fixture(scope="module")
def aged_before(tmp_path_factory, template):
    return synced_twice(tmp_path_factory.mktemp("aged"), template, aged_world, id="old", status="Succeeded")


@pytest.fixture
def aged(tmp_path, aged_before):
    """A stage in that world, synced before and after the oldest row changed."""
    with ExitStack() as stack:
        stage = gone_on(tmp_path, stack, aged_world, *aged_before)
        assert files_that_hold(stage, "older.example"), "there is something to purge"
        yield stage


def test_a_purge_erases_what_is_older_and_nothing_else(aged):
    kept = [
        (table, row)
        for table, row in everything(aged)
        if row.get("id") not in ("old", "old bad", "1") and "older.example" not in str(row)
    ]
    assert purge(aged) == {
        "contoso": {
            "machine_actions": 2,
            "machine_action_versions": 3,
            "investigations": 1,
            "investigation_versions": 1,
            "quarantine": 1,
        }
    }
    assert everything(aged) == kept == everything_published(aged)
    assert ids(aged, "machine_actions") == ["edge", "new bad"]
    assert ids(aged, "investigations") == ["2"]


def test_no_file_holds_what_was_purged(aged):
    publish_twice(aged)
    assert len(files_that_hold(aged, "older.example")) > 3
    (aged.data_dir / "warehouse.version-1.2026-01-01T00-00-00Z.duckdb").write_bytes(b"older.example")
    (aged.data_dir / "dlt").mkdir()
    (aged.data_dir / "dlt" / "package").write_bytes(b"older.example")
    purge(aged)
    assert files_that_hold(aged, "older.example") == []
    assert len(list((aged.data_dir / "snapshots").iterdir())) == 1


SPILL = """
import sys
from pathlib import Path
from pipelines.warehouse import Warehouse

warehouse = Warehouse(Path(sys.argv[1]))
warehouse.connection.execute("set memory_limit = '20MB'")
warehouse.connection.execute(
    "create temp table spilt as select 'older.example' || random() as text from range(30_000_000) order by text"
)
"""


def test_what_a_killed_run_wrote_aside_goes_too(aged):
    spilt = aged.data_dir / "warehouse.duckdb.tmp"
    process = subprocess.Popen([sys.executable, "-c", SPILL, str(aged.data_dir / "warehouse.duckdb")])
    while process.poll() is None and not list(spilt.glob("*")):
        os.sched_yield()
    process.kill()
    process.wait()
    assert list(spilt.iterdir()), "it wrote something aside"
    purge(aged)
    assert list(spilt.iterdir()) == []
    assert files_that_hold(aged, "older.example") == []


def test_nothing_that_is_read_again_brings_purged_rows_back_nor_does_a_purge_with_an_earlier_moment(aged):
    purge(aged)
    before = everything(aged)
    purge(aged, ago(days=100))
    assert [row["purged_before"] for row in aged.warehouse().table("purges")] == [BEFORE]
    first = len(aged.sim.requests)
    read_everything_again(aged)
    assert without_stamps(everything(aged)) == without_stamps(before)
    assert files_that_hold(aged, "older.example") == []
    filters = [call.params.get("$filter", "") for call in aged.sim.requests[first:]]
    starts = [each.split(" ge ")[1][:10] for each in filters if " ge " in each]
    assert min(starts) == f"{BEFORE:%Y-%m-%d}", "what was purged is not even read again"


def test_a_dry_run_knows_what_was_purged(aged):
    purge(aged)
    aged.clock.advance(minutes=20)
    actions, investigations = intents(aged.settings(), aged.clock())
    assert (actions.scrub.start, investigations.scrub.start) == (BEFORE, BEFORE)
    purge(aged, aged.clock() - timedelta(minutes=10))
    for due in intents(aged.settings(), aged.clock()):
        assert due.scrub is None
        assert due.window.start == aged.clock() - timedelta(minutes=10)


def test_an_investigation_that_turns_out_to_have_begun_before_is_erased_then(aged):
    aged.world.put_investigation(investigation("late", None, state="Queued"))
    aged.clock.advance(minutes=20)
    aged.sync().assert_ok()
    purge(aged)
    assert ids(aged, "investigations") == ["2", "late"], "what has no time is kept"
    aged.world.change("late", startTime="2026-10-01T00:00:00Z")
    aged.clock.advance(minutes=20)
    aged.sync().assert_ok()
    assert ids(aged, "investigations") == ["2"]
    assert {row["id"] for row in aged.warehouse().table("investigation_versions")} == {"2"}


def test_a_bad_record_without_a_time_is_emptied_and_stays_so(stage, world):
    world.put_investigation({**investigation("7", None, state="older.example"), "id": 7})
    stage.sync().assert_ok()
    stage.clock.advance(days=40)
    assert purge(stage, before=stage.clock() - timedelta(days=1))["contoso"]["quarantine"] == 1
    stage.sync().assert_ok()
    [row] = stage.warehouse().table("quarantine")
    assert row["record"] == {"purged": True}
    assert EMPTIED == '{"purged":true}'
    assert files_that_hold(stage, "older.example") == []


def test_the_marts_claim_no_knowledge_of_what_was_purged(aged):
    assert aged.warehouse().one("select known_since from staging.coverage") < BEFORE
    purge(aged)
    aged.clock.advance(minutes=20)
    aged.sync().assert_ok()
    assert aged.warehouse().one("select known_since from staging.coverage") == BEFORE


def test_only_the_tenants_asked_for_are_purged_and_all_of_the_warehouse_by_default(open_stage):
    worlds = {
        name: ScriptedWorld([action(name, ago(days=40))]) for name in ("contoso", "fabrikam", "removed")
    }
    stage = open_stage(worlds, publish_by_tenant=True)
    stage.sync().assert_ok()
    now = stage.settings(tenants=("contoso", "fabrikam"))
    erase(now, stage.program_clock(), ["fabrikam"], lambda w, name: Purge(w, name, BEFORE), lambda _: True)
    assert ids(stage, "machine_actions") == ["contoso", "removed"]
    found = {}
    erase(now, stage.program_clock(), None, lambda w, name: Purge(w, name, BEFORE), found.update)
    assert set(found) == {"contoso", "fabrikam", "removed"}
    erase(now, stage.program_clock(), None, lambda w, name: Purge(w, name, BEFORE), lambda _: True)
    assert ids(stage, "machine_actions") == []
    for path in (stage.data_dir / "snapshots_by_tenant").iterdir():
        assert len(list(path.iterdir())) == 1, "older snapshots of a tenant hold the rows too"


def test_a_tenant_that_is_no_longer_configured_may_be_named_and_an_unknown_one_is_refused(open_stage):
    worlds = {name: ScriptedWorld([action(name, ago(days=40))]) for name in ("contoso", "removed")}
    stage = open_stage(worlds)
    stage.sync().assert_ok()
    now = stage.settings(tenants=("contoso",))
    look_for = lambda warehouse, name: Purge(warehouse, name, BEFORE)  # noqa: E731
    with pytest.raises(
        ConfigurationError, match=r"--tenant nobody: neither in sync\.tenants nor in the warehouse"
    ):
        erase(now, stage.program_clock(), ["removed", "nobody"], look_for, lambda _: True)
    assert ids(stage, "machine_actions") == ["contoso", "removed"]
    erase(now, stage.program_clock(), ["removed"], look_for, lambda _: True)
    assert ids(stage, "machine_actions") == ["contoso"]


def test_a_purge_that_cannot_reach_the_snapshots_says_what_is_left_to_do(aged, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.publish._set_modes", full)
        with pytest.raises(WarehouseError) as caught:
            purge(aged)
    assert str(caught.value).startswith(
        "what was found is erased from the tables, but not yet from the snapshots and from free room in the "
        "database: mend this, then run the same command again: the snapshot cannot be written under "
    )
    assert "old" not in ids(aged, "machine_actions")
    purge(aged)
    assert files_that_hold(aged, "older.example") == []


def test_a_purge_that_nobody_agreed_to_changes_nothing(aged):
    before = everything(aged)
    look_for = lambda warehouse, name: Purge(warehouse, name, BEFORE)  # noqa: E731
    assert erase(aged.settings(), aged.program_clock(), None, look_for, lambda _: False) is None
    assert everything(aged) == before
    assert aged.warehouse().table("purges") == []
    assert not (aged.data_dir / "published").exists()


def test_a_purge_waits_for_no_sync(aged):
    with DataDir(aged.data_dir).locked(), pytest.raises(LockedError, match="another sync is running"):
        purge(aged)
    assert "old" in ids(aged, "machine_actions")


def test_a_purge_of_nothing_at_all_says_so(open_stage):
    with pytest.raises(WarehouseError, match="does not exist yet: run defender-sync sync first"):
        purge(open_stage(fresh=True))


# --- forget ---------------------------------------------------------------------------------------

ALICE = "Alice@Contoso.com"
GUEST = "alice_contoso.com#EXT#@fabrikam.onmicrosoft.com"
TRACES = ("alice", "my dog ate it")


def acted_world():
    """What Alice did and wrote, and what others wrote of her."""
    world = ScriptedWorld()
    mine = {"requestor": ALICE, "requestorComment": "my dog ate it"}
    world.put_action(action("hers", ago(days=3), status="Pending", **mine))
    world.put_action(action("as guest", ago(days=3), requestor=GUEST, requestorComment="my dog ate it"))
    world.put_action(
        action(
            "cancelled",
            ago(days=2),
            cancellationRequestor="ALICE@contoso.com",
            cancellationComment="my dog ate it",
            requestorComment="for alice@contoso.com, who asked",
            commands=[
                {
                    "command": {
                        "type": "RunScript",
                        "params": [{"key": "Args", "value": "-to alice@contoso.com"}],
                    }
                }
            ],
        )
    )
    world.put_action(action("bob's", ago(days=1), requestor="malice@contoso.com", requestorComment="mine"))
    bad = {**action("bad", ago(days=1), **mine), "errorHResult": "none", "owner": "alice@contoso.com"}
    world.put_action(bad)
    world.put_investigation(investigation("1", ago(days=1), cancelledBy="alice@contoso.com"))
    return world


@pytest.fixture(scope="module")
def acted_before(tmp_path_factory, template):
    change = {"status": "Succeeded", "requestorComment": "my dog ate it again"}
    return synced_twice(tmp_path_factory.mktemp("acted"), template, acted_world, id="hers", **change)


@pytest.fixture
def acted(tmp_path, acted_before):
    """A stage in that world, synced before and after a row changed."""
    with ExitStack() as stack:
        yield gone_on(tmp_path, stack, acted_world, *acted_before)


def traces(stage):
    """Every row that tells of Alice."""
    return [
        (table, row)
        for table, row in everything(stage)
        if any(each in str(row).lower().replace("malice", "") for each in TRACES)
    ]


def redacted(row):
    """What must be left of a row of the world above."""
    fresh = dict(row)
    if row["id"] in ("hers", "as guest", "bad"):
        fresh |= {"requestor": "forgotten", "requestor_comment": None}
    if row["id"] == "bad":
        fresh["additional_properties"] = {"owner": "forgotten"}
    if row["id"] == "cancelled":
        params = [{"key": "Args", "value": "-to forgotten"}]
        fresh |= {
            "cancellation_requestor": "forgotten",
            "cancellation_comment": None,
            "requestor_comment": "for forgotten, who asked",
            "commands": [{"command": {"type": "RunScript", "params": params}}],
        }
    if row["id"] == "1":
        fresh["cancelled_by"] = "forgotten"
    return fresh


def test_forgetting_keeps_the_rows_and_takes_the_name_and_the_comments(acted):
    assert len(traces(acted)) >= 10
    rows = [(table, redacted(row)) for table, row in everything(acted) if "id" in row]
    assert forget(acted, "alice@CONTOSO.com ") == {
        "contoso": {
            "machine_actions": 4,
            "machine_action_versions": 5,
            "investigations": 1,
            "investigation_versions": 1,
            "quarantine": 1,
        }
    }
    assert [(table, row) for table, row in everything(acted) if "id" in row] == rows
    assert everything_published(acted) == everything(acted)
    [bad] = acted.warehouse().table("quarantine")
    assert (bad["record"]["requestor"], bad["record"]["requestorComment"], bad["record"]["owner"]) == (
        "forgotten",
        None,
        "forgotten",
    )
    assert traces(acted) == []


def by_requestor(stage):
    return {row["record"]["requestor"]: row for row in stage.warehouse().table("quarantine")}


def test_bad_records_that_differ_in_the_forgotten_name_only_become_one(stage, world):
    for spelled in ("alice@contoso.com", "ALICE@contoso.com", "bob@contoso.com"):
        world.put_action(action("bad", ago(hours=1), requestor=spelled, errorHResult="none"))
        stage.sync().assert_ok()
        stage.clock.advance(minutes=1)
    before = by_requestor(stage)
    assert forget(stage, "alice@contoso.com")["contoso"]["quarantine"] == 2
    after = by_requestor(stage)
    assert set(after) == {"forgotten", "bob@contoso.com"}
    assert after["bob@contoso.com"] == before["bob@contoso.com"]
    assert after["forgotten"]["first_seen_at"] == before["alice@contoso.com"]["first_seen_at"]
    assert after["forgotten"]["last_seen_at"] == before["ALICE@contoso.com"]["last_seen_at"]
    world.change("bad", requestor="Alice@Contoso.com")
    stage.sync().assert_ok()
    again = by_requestor(stage)
    seen_at = again["forgotten"].pop("last_seen_at")
    assert seen_at > after["forgotten"].pop("last_seen_at")
    assert again == after


def test_no_file_holds_the_name_or_the_comments(acted):
    acted.world.remove("bob's")
    acted.warehouse().execute("delete from defender.machine_actions where requestor like 'malice%'")
    acted.warehouse().execute("delete from defender.machine_action_versions where requestor like 'malice%'")
    publish_twice(acted)
    assert len(files_that_hold(acted, *TRACES)) > 3
    forget(acted, ALICE)
    assert files_that_hold(acted, *TRACES) == []


def test_nothing_that_is_read_again_brings_the_name_back(acted):
    forget(acted, ALICE)
    before = acted.warehouse().table("machine_action_versions")
    read_everything_again(acted)
    assert traces(acted) == []
    assert acted.warehouse().table("machine_action_versions") == before, "a reading made a version"
    assert len(acted.warehouse().table("quarantine")) == 1, "the same content stands once"

    acted.world.put_action(action("next", acted.clock(), requestor=ALICE, requestorComment="my dog ate it"))
    acted.clock.advance(minutes=20)
    acted.sync().assert_ok()
    assert traces(acted) == []
    assert {
        row["requestor"] for row in acted.warehouse().table("machine_actions") if row["id"] == "next"
    } == {"forgotten"}


def test_in_the_marts_whoever_was_forgotten_is_a_person_named_forgotten(acted):
    forget(acted, ALICE)
    query = (
        "select requested_by, requested_by_kind from marts.machine_actions where machine_action_id = 'hers'"
    )
    assert acted.published().rows(query) == [{"requested_by": "forgotten", "requested_by_kind": "person"}]


def test_the_name_is_remembered_by_a_salted_hash_of_its_own_for_each_tenant(open_stage):
    world = ScriptedWorld([action("a", ago(days=1), requestor=ALICE)])
    stage = open_stage({"contoso": world, "fabrikam": ScriptedWorld()})
    stage.sync().assert_ok()
    for _ in range(2):
        forget(stage, ALICE)
    one, two = stage.warehouse().table("forgotten_requestors")
    assert (one["tenant"], two["tenant"]) == ("contoso", "fabrikam")
    assert one["salt"] != two["salt"]
    assert one["name_hash"] != two["name_hash"]
    assert ForgottenName(one["salt"], one["name_hash"]).matches(spelling(GUEST))
    assert "forgotten_requestors" not in {
        row["name"] for row in stage.published().rows("select table_name as name from duckdb_tables()")
    }


def test_forgetting_one_person_after_another_forgets_both(acted):
    forget(acted, ALICE)
    forget(acted, "malice@contoso.com")
    acted.clock.advance(minutes=20)
    acted.sync().assert_ok()
    assert {row["requestor"] for row in acted.warehouse().table("machine_actions")} == {
        "analyst@contoso.com",
        "forgotten",
    }


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (ALICE, "forgotten"),
        (f" {GUEST.upper()} ", "forgotten"),
        ("to Alice@contoso.com, 'alice@contoso.com' <alice@contoso.com>.", "to forgotten, 'forgotten' <forgotten>."),
        ("malice@contoso.com and alice@contoso.com.au", "malice@contoso.com and alice@contoso.com.au"),
        ("alice is no address", "alice is no address"),
        ("asked by alice@contoso.com.Please release", "asked by forgotten.Please release"),
        ("_alice@contoso.com_ asked, alice@contoso.com-approved", "_forgotten_ asked, forgotten-approved"),
        ("INC4711#alice@contoso.com INC-1!alice@contoso.com", "INC4711#forgotten INC-1!forgotten"),
        ("bob&alice@contoso.com mailto:%20alice@contoso.com", "bob&forgotten mailto:%20forgotten"),
        ("%20malice@contoso.com dr.alice@contoso.com a-alice@contoso.com b+alice@contoso.com x_alice@contoso.com",) * 2,
        ("alice@contoso.com-x.net alice@contoso.community",) * 2,
    ],
)  # fmt: skip
def test_a_name_is_found_whole_in_any_case_and_as_an_address_within_a_text(text, left):
    rule = Tombstones(None, (ForgottenName.of(ALICE, "salt"),))
    assert rule.without_names_in(text) == left


def test_a_hostile_text_takes_no_long_time_to_search():
    rule = Tombstones(None, (ForgottenName.of(ALICE, "salt"),))
    started = datetime.now(UTC)
    for text in ("a" * 300_000 + " @", "a@" * 150_000, "a." * 150_000 + "@", "@" * 300_000):
        rule.without_names_in(text)
    assert datetime.now(UTC) - started < timedelta(seconds=5)


# --- on the command line --------------------------------------------------------------------------


@pytest.fixture
def configured(program, open_stage):
    """The program on the data of a tenant that was synced just now, by the machine's own clock."""
    now = Clock().now().replace(microsecond=0)
    created = partial(lambda days: now - timedelta(days=days))
    world = ScriptedWorld([action("old", created(40), requestor=ALICE), action("new", created(2))])
    stage = open_stage(world, start=now)
    stage.sync().assert_ok()
    program.configure(
        f'[sync]\ntenants = ["contoso"]\ndata_dir = "{stage.data_dir}"\n'
        '[tenants.contoso]\nauth = "token"\naccess_token = "x"\n'
    )
    return program, stage, f"{created(30):%Y-%m-%d}"


def test_the_command_line_purges_and_forgets(configured):
    program, stage, before = configured
    done = program("forget", "--requestor", "ALICE@contoso.com", "--yes")
    published = (stage.data_dir / "published").resolve()
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "contoso: 1 of machine_actions, 1 of machine_action_versions",
        f"done; published {published}",
    ]
    done = program("purge", "--before", before, "--tenant", "nobody", "--yes")
    assert (done.code, done.out) == (2, "")
    assert "--tenant nobody: neither in sync.tenants nor in the warehouse, which has contoso" in done.err
    done = program("purge", "--before", before, "--tenant", "contoso", "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "contoso: 1 of machine_action_versions, 1 of machine_actions"
    assert ids(stage, "machine_actions") == ["new"]


def test_a_terminal_is_asked_and_may_say_no_or_yes(configured):
    program, stage, before = configured
    done = program.in_terminal("purge", "--before", before, typed="n\n")
    assert done.code == 130
    assert f"2 rows created before {before} 00:00:00Z will be erased for good. Go on? [y/N]" in done.out
    assert "nothing was changed" in done.out
    assert ids(stage, "machine_actions") == ["new", "old"]
    assert program.in_terminal("purge", "--before", before, typed="y\n").code == 0
    assert ids(stage, "machine_actions") == ["new"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["purge", "--before", "2020-01-01"], "there is nobody to ask here: add --yes if you mean it"),
        (["forget", "--requestor", "x"], "there is nobody to ask here: add --yes if you mean it"),
        (["purge", "--before", "9999-01-01", "--yes"], "--before 9999-01-01 lies in the future"),
        (["purge", "--before", "soon", "--yes"], "--before soon: write a date or time such as"),
        (["forget", "--requestor", " ", "--yes"], "--requestor is empty: name somebody"),
    ],
)
def test_a_wrong_usage_is_exit_code_2(program, args, told):
    program.configure('[sync]\ntenants = ["demo"]\n[tenants.demo]\ncloud = "simulator"\n')
    done = program(*args)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert not (program.folder / "data").exists()
