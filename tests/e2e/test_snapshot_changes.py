"""A snapshot into which changes were brought tells what one made anew would, whatever changed."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from support.published import assert_published_equals_warehouse, linked_files
from support.records import NOW, action, ago, investigation, iso

from pipelines import publish, renewal
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
    monkeypatch.setattr(renewal, "MOST_CHANGED", 1)
    monkeypatch.setattr(renewal, "MOST_AFFECTED", 1)
    return noted_renewals(monkeypatch)


def noted_renewals(monkeypatch) -> list[bool]:
    """Whether each snapshot since was made from the one before."""
    told: list[bool] = []

    def noting(*args: Any) -> bool:
        told.append(renewal.renew(*args))
        return told[-1]

    monkeypatch.setattr(publish, "renew", noting)
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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changes_of_every_kind_are_told_as_if_the_snapshot_were_made_anew(open_stage, renewed, seed):
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


def test_the_first_changes_of_a_utc_day_make_a_snapshot_anew(open_stage, renewed):
    stage = open_stage(ScriptedWorld([action("a", ago(days=1))]), publishes=True)
    stage.sync().assert_ok()
    for hours, is_renewed in ((1, True), (12, False), (1, True)):
        stage.clock.advance(hours=hours)
        stage.world.change("a", requestorComment=str(stage.clock()))
        stage.sync().assert_ok()
        assert renewed[-1] is is_renewed
        assert_published_equals_warehouse(stage)
