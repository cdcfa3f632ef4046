"""The seeded world: pure, endless, moving, and sensible on each machine."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from simulator import DEMO_ROWS, World
from simulator.rows import INVESTIGATIONS, MACHINE_ACTIONS
from simulator.stories import ACTIONS_PER_STORY, LONGEST
from simulator.times import parse, to_ticks

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RESOURCES = [MACHINE_ACTIONS, INVESTIGATIONS]
OPEN = ("Pending", "InProgress")


@pytest.fixture(scope="module")
def world():
    return World(seed=7, rows=2_000)


def truth(world, resource, now):
    return world.machine_actions(now) if resource == MACHINE_ACTIONS else world.investigations(now)


@pytest.mark.parametrize("resource", RESOURCES)
def test_the_truth_depends_on_seed_and_moment_and_not_on_the_way_there(resource):
    wandering = World(seed=7, rows=500)
    for days in (0, 400, -400, 3, -1):
        truth(wandering, resource, NOW + timedelta(days=days))
    for days in (0, 200, -33.37):
        moment = NOW + timedelta(days=days)
        assert truth(wandering, resource, moment) == truth(World(seed=7, rows=500), resource, moment)


def test_another_seed_is_another_tenant(world):
    ids = {record["id"] for record in world.machine_actions(NOW)}
    other = World(seed=8, rows=2_000).machine_actions(NOW)
    assert not ids & {record["id"] for record in other}


@pytest.mark.parametrize("rows", [500, 5_000, DEMO_ROWS])
def test_about_as_many_actions_show_as_asked_for(rows):
    shown = len(World(seed=1, rows=rows).snapshot(MACHINE_ACTIONS, NOW).rows)
    assert shown == pytest.approx(rows, rel=0.05 if rows >= 5_000 else 0.2)


def test_stories_have_the_stated_number_of_actions(world):
    told = [world._tell(slot) for slot in range(8_000)]
    assert sum(len(each.actions) for each in told) / len(told) == pytest.approx(ACTIONS_PER_STORY, rel=0.03)


def test_every_story_is_over_within_its_longest(world):
    for slot in range(3_000):
        told = world._tell(slot)
        start = slot * world._story_slot
        records = [*told.actions, *told.investigations]
        assert all(start <= record.born for record in records)
        assert all(record.settled < start + world._story_slot + LONGEST for record in records)


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_snapshot_stands_until_the_moment_it_names_and_changes_then(world, resource):
    changed = 0
    for hours in range(0, 2_000, 50):
        ticks = to_ticks(NOW + timedelta(hours=hours))
        snapshot = _at(world, resource, ticks)
        before, after = _at(world, resource, snapshot.until - 1), _at(world, resource, snapshot.until)
        assert _records(before) == _records(snapshot)
        changed += _records(after) != _records(snapshot)
    assert changed >= 35  # the other snapshots end where the told part of the timeline does


def _at(world, resource, ticks):
    world._reach(ticks)
    return world._timelines[resource]._build(ticks)


def _records(snapshot):
    return [row.raw for row in snapshot.rows]


@pytest.mark.parametrize("resource", RESOURCES)
def test_rows_are_in_order_of_their_last_event(world, resource):
    updates = [row.updated for row in world.snapshot(resource, NOW).rows]
    assert updates == sorted(updates, reverse=True)
    assert updates[0] <= to_ticks(NOW)


def test_what_a_row_says_and_what_it_is_filed_under_agree(world):
    for row in world.snapshot(MACHINE_ACTIONS, NOW).rows:
        record = row.record()
        assert record["id"] == row.id
        assert parse(record["creationDateTimeUtc"]) == row.when
        assert parse(record["lastUpdateDateTimeUtc"]) == row.updated
        assert all(row.value(name) == record[name] for name in ("status", "type", "machineId", "requestor"))
    for row in world.snapshot(INVESTIGATIONS, NOW).rows:
        record = row.record()
        assert (parse(record["startTime"]) if record["startTime"] else None) == row.when
        assert all(row.value(name) == record[name] for name in ("state", "machineId", "triggeringAlertId"))


def test_records_only_ever_move_on():
    """Ids stay, a settled record stays as it is, last updates never go back, and rows leave at 180 days only."""
    world = World(seed=7, rows=500)
    settled: dict[str, dict] = {}
    updated: dict[str, int] = {}
    born: dict[str, int] = {}
    for step in range(60):
        moment = NOW + timedelta(hours=9 * step)
        shown = {record["id"]: record for record in world.machine_actions(moment)}
        horizon = to_ticks(moment - timedelta(days=180))
        for id, record in shown.items():
            assert settled.get(id, record) == record
            assert updated.get(id, 0) <= parse(record["lastUpdateDateTimeUtc"]) <= to_ticks(moment)
            assert (
                horizon
                < parse(record["creationDateTimeUtc"])
                == born.get(id, parse(record["creationDateTimeUtc"]))
            )
            updated[id] = parse(record["lastUpdateDateTimeUtc"])
            born[id] = parse(record["creationDateTimeUtc"])
            if record["status"] not in OPEN:
                settled[id] = record
        assert all(id in shown for id, moment_of_birth in born.items() if moment_of_birth > horizon)


def test_in_the_demo_something_changes_within_nearly_every_minute():
    world = World(seed=1, rows=DEMO_ROWS)
    moments = [NOW + timedelta(minutes=minute) for minute in range(201)]
    heads = [
        {(row.id, row.updated) for row in world.snapshot(MACHINE_ACTIONS, at).rows[:100]} for at in moments
    ]
    moved = sum(not after <= before for before, after in pairwise(heads))
    assert moved >= 195


def test_at_any_moment_some_actions_and_investigations_are_open():
    world = World(seed=1, rows=DEMO_ROWS)
    for hours in range(0, 200, 20):
        moment = NOW + timedelta(hours=hours)
        actions = world.snapshot(MACHINE_ACTIONS, moment).rows[:2_000]
        waiting = [row for row in actions if row.value("status") in OPEN]
        assert 10 <= len(waiting) <= 200
        assert any(row.value("state") == "PendingApproval"
                   for row in world.snapshot(INVESTIGATIONS, moment).rows)  # fmt: skip


def test_a_machine_is_released_only_after_it_was_isolated(world):
    by_machine = defaultdict(list)
    for record in world.machine_actions(NOW):
        if record["type"] in ("Isolate", "Unisolate") and record["machineId"]:
            by_machine[record["machineId"]].append(record)
    releases = 0
    horizon = to_ticks(NOW - timedelta(days=170))
    for records in by_machine.values():
        done = [r for r in records if r["type"] == "Isolate" and r["status"] == "Succeeded"]
        for release in (r for r in records if r["type"] == "Unisolate"):
            asked = parse(release["creationDateTimeUtc"])
            if asked > horizon:
                assert any(parse(r["lastUpdateDateTimeUtc"]) < asked for r in done)
                releases += 1
    assert releases > 50


def test_machines_are_renamed_and_set_up_anew(world):
    names, machines = defaultdict(set), defaultdict(set)
    for record in World(seed=7, rows=5_000).machine_actions(NOW):
        if record["machineId"]:
            names[record["machineId"]].add(record["computerDnsName"])
            machines[record["computerDnsName"]].add(record["machineId"])
    assert max(map(len, names.values())) > 1
    assert max(map(len, machines.values())) > 1


def test_a_world_has_at_least_one_row():
    with pytest.raises(ValueError, match="at least one row"):
        World(rows=0)
    World(rows=1).machine_actions(NOW)
