"""A snapshot into which changes were brought tells what one made anew would, whatever changed."""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.published import assert_published_equals_warehouse, cut_small, linked_files, noted_parquet
from support.records import NOW, action, ago, investigation, iso
from support.stage import Events, unpublished

from pipelines import comparison, parquet_renewal, publish, snapshot_files
from pipelines.changed_machines import KEYS
from pipelines.comparison import compared
from pipelines.data_dir import DataDir
from pipelines.differences import CATALOG
from pipelines.sync import backfill
from pipelines.warehouse import Warehouse
from pipelines.windows import Window
from simulator import ScriptedWorld, World

TYPES = (
    "Isolate",
    "Unisolate",
    "RestrictCodeExecution",
    "UnrestrictCodeExecution",
    "Offboard",
    "RunAntiVirusScan",
    "LiveResponse",
)
STATUSES = ("Pending", "InProgress", "Succeeded", "Failed", "TimeOut", "Cancelled", "NeverHeardOf")
# Marts of few rows: some seeds have no change in them.
FEW = {"machine_action_transitions", "investigation_transitions"}
STATES = ("Running", "PendingApproval", "Benign", "Failed", "TerminatedByUser")
COMMANDS = [
    {
        "index": 0,
        "startTime": iso(ago(minutes=3)),
        "endTime": None,
        "commandStatus": "Created",
        "errors": ["none yet"],
        "command": {"type": "RunScript", "params": [{"key": "ScriptName", "value": "look.ps1"}]},
    }
]


@pytest.fixture
def renewed(monkeypatch) -> list[bool]:
    """As `noted_renewals`, where any share of changes may be brought in."""
    monkeypatch.setattr(comparison, "MOST_CHANGED", 1)
    monkeypatch.setattr(comparison, "MOST_AFFECTED", 1)
    return noted_renewals(monkeypatch)


def noted_renewals(monkeypatch) -> list[bool]:
    """Whether each snapshot since was made from the one before."""
    told: list[bool] = []
    renew, write = publish.renew, publish._write_database

    def renewing(*args: Any) -> None:
        renew(*args)
        told.append(True)

    def writing(*args: Any) -> None:
        write(*args)
        told.append(False)

    monkeypatch.setattr(publish, "renew", renewing)
    monkeypatch.setattr(publish, "_write_database", writing)
    return told


class Changes:
    """Changes of every kind to a world, at random."""

    def __init__(self, world: ScriptedWorld, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)  # noqa: S311  the same changes in each run
        self.actions = {record["id"]: record for record in world.machine_actions(NOW)}
        self.investigations = {str(record["id"]): record for record in world.investigations(NOW)}
        self.machines = sorted(
            {record["machineId"] for record in self.actions.values() if record["machineId"]}
        )
        self.made = 0

    def make(self, now) -> None:
        """One of them."""
        kind = self.random.choice(
            [
                self.request,
                self.turn_action,
                self.move_action,
                self.lose_action,
                self.start,
                self.turn,
                self.twin,
            ]
        )
        kind(now)

    def request(self, now) -> None:
        self.made += 1
        kind = self.random.choice(TYPES)
        record = action(
            f"made-{self.made}",
            now - timedelta(minutes=self.random.randrange(1, 5000)),
            type=kind,
            status=self.random.choice(STATUSES),
            updated=now,
            machineId=self.random.choice([*self.machines[:20], None, "new-machine"]),
            computerDnsName=self.random.choice(["one.contoso.com", "TWO.contoso.com", None]),
            commands=COMMANDS if kind == "LiveResponse" else [],
        )
        self.actions[record["id"]] = record
        self.world.put_action(record)

    def turn_action(self, now) -> None:
        record = self.actions[self.random.choice(sorted(self.actions))]
        record["status"] = self.random.choice(STATUSES)
        record["lastUpdateDateTimeUtc"] = self.random.choice(
            [iso(now), record["lastUpdateDateTimeUtc"], None]
        )
        self.world.put_action(dict(record))

    def move_action(self, now) -> None:
        key = self.random.choice(sorted(self.actions))
        self.world.change(key, machineId=self.random.choice([*self.machines, None]))

    def lose_action(self, now) -> None:
        is_open = {
            key for key, record in self.actions.items() if record["status"] in ("Pending", "InProgress")
        }
        key = self.random.choice(sorted(is_open or self.actions))
        del self.actions[key]
        self.world.remove(key)

    def start(self, now) -> None:
        self.made += 1
        record = investigation(
            f"9{self.made}",
            self.random.choice([None, now - timedelta(minutes=self.random.randrange(1, 5000))]),
            state=self.random.choice(STATES),
            machineId=self.random.choice([*self.machines[:20], None]),
            triggeringAlertId=self.random.choice([f"alert-{self.random.randrange(5)}", None]),
        )
        self.investigations[record["id"]] = record
        self.world.put_investigation(record)

    def turn(self, now) -> None:
        key = self.random.choice(sorted(self.investigations))
        fields = self.random.choice(
            [
                {"state": self.random.choice(STATES)},
                {"state": "Benign", "endTime": iso(now)},
                {"machineId": self.random.choice(self.machines)},
                {"triggeringAlertId": f"alert-{self.random.randrange(5)}"},
            ]
        )
        self.world.change(key, **fields)

    def twin(self, now) -> None:
        key = f"alert-{self.random.randrange(5)}"
        record = investigation(
            key,
            now - timedelta(days=1),
            machineId=self.random.choice([*self.machines, None]),
            state="Running",
        )
        self.investigations[key] = record
        self.world.put_investigation(record)


@pytest.mark.parametrize(("seed", "are_small"), [(1, False), (2, True), (3, True)])
def test_changes_of_every_kind_are_told_as_if_the_snapshot_were_made_anew(
    open_stage, renewed, monkeypatch, caplog, seed, are_small
):
    caplog.set_level(logging.DEBUG, parquet_renewal.__name__)
    if are_small:
        cut_small(monkeypatch)
    files = noted_parquet(monkeypatch)
    generated = World(seed=seed, rows=250)
    rows = generated.machine_actions(NOW), generated.investigations(NOW)
    world = ScriptedWorld(*rows)
    # The same ids in another tenant, where nothing changes.
    stage = open_stage({"contoso": world, "fabrikam": ScriptedWorld(*rows)}, publishes=True)
    aliases = ("analyst@contoso.com = The analyst",)
    for _ in range(2):
        # Twice, as the views with these aliases are as new as the first snapshot.
        stage.sync(requestor_aliases=aliases).assert_ok()
        stage.clock.advance(minutes=1)
    renewed.clear()
    changes = Changes(world, seed)
    for count in (1, 1, 2, 3, 10, 30):
        stage.clock.advance(minutes=7)
        for _ in range(count):
            changes.make(stage.sim.now())
        stage.sync(requestor_aliases=aliases)
        assert_published_equals_warehouse(stage)
    assert renewed == [True] * 6
    if are_small:
        assert {mart for mart, told in files.items() if any(told)} >= set(KEYS) - FEW
        # A file says of a column whether it may be empty, for all its row groups.
        assert all("non-nullable" in record.message for record in caplog.records if "anew" in record.message)


def test_a_column_that_is_empty_for_the_first_time_is_told_as_if_the_snapshot_were_made_anew(
    open_stage, renewed, monkeypatch
):
    cut_small(monkeypatch)
    files = noted_parquet(monkeypatch)
    stage = open_stage(
        ScriptedWorld([action(f"a{number}", ago(days=1)) for number in range(40)]), publishes=True
    )
    stage.sync().assert_ok()
    for updated, is_renewed in ((ago(hours=1), True), (None, False), (ago(hours=2), True)):
        stage.clock.advance(minutes=1)
        stage.world.change("a7", lastUpdateDateTimeUtc=updated and iso(updated), status="Failed")
        stage.sync().assert_ok()
        assert files["machine_actions"][-1] is is_renewed
        assert_published_equals_warehouse(stage)
    assert renewed == [False, True, True, True]


def test_only_marts_of_actions_are_written_when_an_action_changed(open_stage, renewed):
    stage = open_stage(
        ScriptedWorld([action("a", ago(days=1))], [investigation("1", ago(days=1))]), publishes=True
    )
    stage.sync().assert_ok()
    stage.clock.advance(minutes=1)
    stage.world.change("a", status="Failed")
    stage.sync().assert_ok()
    assert renewed == [False, True]
    assert linked_files(stage) == {"investigation_transitions"}


def test_many_changes_make_a_snapshot_anew(open_stage, monkeypatch):
    told = noted_renewals(monkeypatch)
    rows = [action(f"a{number}", ago(days=1), machineId=f"m{number}") for number in range(20)]
    stage = open_stage(ScriptedWorld(rows), publishes=True)
    stage.sync().assert_ok()
    for count, is_renewed in ((1, True), (3, False)):
        stage.clock.advance(minutes=1)
        for number in range(count):
            stage.world.change(f"a{number}", requestorComment=str(stage.clock()))
        stage.sync().assert_ok()
        assert told[-1] is is_renewed
        assert_published_equals_warehouse(stage)


def test_a_change_on_a_machine_that_has_most_actions_makes_a_snapshot_anew(open_stage, monkeypatch):
    told = noted_renewals(monkeypatch)
    rows = [
        action(f"a{number}", ago(days=1), machineId="busy" if number < 8 else "quiet") for number in range(20)
    ]
    stage = open_stage(ScriptedWorld(rows), publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=1)
    stage.world.change("a0", status="Failed")
    stage.sync().assert_ok()
    assert told[-1] is False
    assert_published_equals_warehouse(stage)


# --- what renewing must not take for little -----------------------------------------------------------


def test_an_action_beyond_seven_days_after_as_of_counts_once_as_of_has_moved(
    open_stage, renewed, monkeypatch
):
    monkeypatch.setattr(comparison, "_is_of_day", lambda *_: True)
    world = ScriptedWorld(
        [action("a", ago(days=20), machineId="another")],
        [investigation("1", ago(days=1), state="Running", machineId="m")],
    )
    stage = open_stage(world, publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(days=9)
    world.put_action(action("late", stage.sim.now() - timedelta(hours=1), machineId="m", type="Isolate"))
    stage.clock.advance(minutes=1)
    # A backfill publishes, and leaves `as_of` where it was.
    backfill(stage.settings(), stage.program_clock(), Events(), Window(ago(days=2), stage.sim.now()))
    assert stage.published().rows("from marts.machine_action_investigations") == []
    stage.clock.advance(minutes=1)
    stage.sync().assert_ok()
    assert_published_equals_warehouse(stage)
    assert len(stage.published().rows("from marts.machine_action_investigations")) == 1


def test_an_action_newer_than_as_of_has_no_age_however_often_it_is_told(open_stage, renewed):
    stage = open_stage(ScriptedWorld([action("a", ago(days=1))]), publishes=True)
    stage.sync().assert_ok()
    stage.world.put_action(action("late", stage.sim.now() + timedelta(minutes=3), machineId="m"))
    for _ in range(3):
        stage.clock.advance(minutes=5)
        backfill(stage.settings(), stage.program_clock(), Events(), Window(ago(hours=1), stage.sim.now()))
        rows = stage.published().table("marts.machine_actions")
        assert [row["age_seconds"] for row in rows if row["machine_action_id"] == "late"] == [0]
        assert_published_equals_warehouse(stage)
    assert renewed == [False, True, True, True]


def test_an_as_of_that_goes_back_makes_a_snapshot_anew(open_stage, renewed, monkeypatch):
    monkeypatch.setattr(comparison, "_is_of_day", lambda *_: True)
    contoso = ScriptedWorld(
        [action("a", ago(days=1), machineId="m")],
        [investigation("1", ago(days=1), state="Running", machineId="m")],
    )
    fabrikam = ScriptedWorld([action("b", ago(days=1))])
    stage = open_stage({"contoso": contoso, "fabrikam": fabrikam}, publishes=True, run_log_days=20)
    stage.sync().assert_ok()
    for number in range(2):
        stage.clock.advance(days=10)
        contoso.put_action(action(f"late{number}", stage.sim.now() - timedelta(hours=1), machineId="m"))
        stage.sync().assert_ok()
    # The log forgets all runs of contoso but the first.
    for days in (1, 25):
        stage.clock.advance(days=days)
        stage.sync(tenants=("fabrikam",)).assert_ok()
        assert_published_equals_warehouse(stage)


def test_versions_of_a_run_that_did_not_publish_are_told_by_the_next(open_stage, renewed):
    world = ScriptedWorld([], [investigation("1", ago(days=1), state="Running", machineId="m")])
    stage = open_stage(world, publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=1)
    world.change("1", state="PendingApproval")
    with unpublished():
        stage.sync().assert_ok()
    stage.clock.advance(minutes=1)
    world.change("1", state="Running", newField="x")
    stage.sync().assert_ok()
    assert renewed == [False, True]
    assert len(stage.published().rows("from marts.investigation_transitions")) == 2
    assert_published_equals_warehouse(stage)


ALIASES = {"requestor_aliases": ("analyst@contoso.com = The analyst",)}


def test_views_that_changed_while_the_clock_went_back_make_a_snapshot_anew(open_stage, renewed):
    stage = open_stage(ScriptedWorld([action("a", ago(days=1))]), publishes=True)
    for minutes, options in ((10, {}), (10, {}), (-15, ALIASES)):
        stage.clock.advance(minutes=minutes)
        stage.sync(**options).assert_ok()
    assert renewed == [False, True, False]
    assert_published_equals_warehouse(stage)


def lose_a_run(stage, **options: Any) -> None:
    """A sync that publishes, and whose database is then put back to what it was before."""
    database = stage.data_dir / "warehouse.duckdb"
    older = database.read_bytes()
    stage.clock.advance(minutes=1)
    stage.sync(**options).assert_ok()
    database.write_bytes(older)


def test_a_database_restored_with_its_views_makes_a_snapshot_anew(open_stage, renewed):
    stage = open_stage(ScriptedWorld([action("a", ago(days=1))]), publishes=True)
    stage.sync().assert_ok()
    lose_a_run(stage, **ALIASES)
    stage.clock.advance(minutes=1)
    stage.sync().assert_ok()
    assert renewed == [False, False, False]
    assert_published_equals_warehouse(stage)


def test_rows_that_only_a_lost_run_had_read_make_a_snapshot_anew(open_stage, renewed):
    stage = open_stage(ScriptedWorld([action("a", ago(days=1))]), publishes=True)
    stage.sync().assert_ok()
    lose_a_run(stage)
    warehouse = Warehouse(stage.data_dir / "warehouse.duckdb")
    try:
        data_dir = DataDir(stage.data_dir, stage.settings().sync.published_mode)
        with compared(warehouse, data_dir, stage.clock.now()) as found:
            publish.publish(warehouse, data_dir, stage.clock.now(), comparison=found)
    finally:
        warehouse.close()
    assert renewed == [False, True, False]
    assert_published_equals_warehouse(stage)


def test_when_rows_were_read_is_told_again_after_a_run_that_read_them_is_lost(open_stage, renewed):
    stage = open_stage(ScriptedWorld([action("a", ago(days=10))]), publishes=True, scrub_calls=0)
    stage.sync().assert_ok()
    lose_a_run(stage, scrub_calls=2)
    stage.clock.advance(minutes=1)
    stage.sync().assert_ok()
    assert renewed == [False, True, False]
    assert_published_equals_warehouse(stage)


def test_what_cannot_be_renewed_for_want_of_memory_is_written_from_scratch(open_stage, monkeypatch):
    def run_out(*_: Any) -> bool:
        raise duckdb.OutOfMemoryException("no")

    stage = open_stage(ScriptedWorld([action("a", ago(days=1))]), publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=1)
    monkeypatch.setattr(publish, "renew", run_out)
    stage.sync().assert_ok()
    assert_published_equals_warehouse(stage)


def assert_nothing_is_held(monkeypatch) -> None:
    """From now on, where a snapshot is written from scratch, nothing is left of a comparison with the one before."""
    write = publish._write_database

    def writing(warehouse: Warehouse, folder: Path, *args: Any) -> None:
        assert not list(folder.parent.glob("renewal*")), "room"
        found = warehouse.connection.execute("select database_name from duckdb_databases()").fetchall()
        assert (CATALOG,) not in found, "memory"
        write(warehouse, folder, *args)

    monkeypatch.setattr(publish, "_write_database", writing)


@pytest.mark.parametrize("reason", ["many changes", "a copy that fails", "a renewal that fails", "midnight"])
def test_a_comparison_that_comes_to_nothing_leaves_nothing_behind(open_stage, monkeypatch, reason):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    rows = [action(f"a{number}", ago(days=1), machineId=f"m{number}") for number in range(20)]
    stage = open_stage(ScriptedWorld(rows), publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=1)
    assert_nothing_is_held(monkeypatch)
    told = noted_renewals(monkeypatch)
    for number in range(10 if reason == "many changes" else 1):
        stage.world.change(f"a{number}", status="Failed")
    if reason == "a copy that fails":
        monkeypatch.setattr(snapshot_files, "copy_database", full)
    elif reason == "a renewal that fails":
        monkeypatch.setattr(publish, "renew", full)
    elif reason == "midnight":
        monkeypatch.setattr(comparison.Former, "is_of_day", lambda *_: False)
    stage.sync().assert_ok()
    assert told == [False]
    assert_published_equals_warehouse(stage)
    assert len(list((stage.data_dir / "snapshots").iterdir())) == 2


def test_rows_that_were_replaced_do_not_pile_up_in_renewed_snapshots(open_stage, renewed):
    ids = [f"a{number}" for number in range(60)]
    world = ScriptedWorld(
        [action(each, ago(hours=3), machineId=f"m-{each}", status="Pending") for each in ids]
    )
    stage = open_stage(world, publishes=True)
    stage.sync().assert_ok()
    rng = random.Random(5)  # noqa: S311  reproducible, not secret
    for number in range(12):
        for each in rng.sample(ids, 15):
            world.change(each, title=f"{number}")
        stage.clock.advance(minutes=1)
        stage.sync().assert_ok()
    assert renewed == [False, *[True] * 12]
    stored = stage.published().one(
        "select sum(count) from pragma_storage_info('marts.machine_actions') "
        "where column_id = 0 and segment_type <> 'VALIDITY'"
    )
    assert stored <= 1.5 * len(ids)
