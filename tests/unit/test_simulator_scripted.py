"""Worlds stated by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from simulator import INVESTIGATIONS, MACHINE_ACTIONS, ScriptedWorld

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def ids(world, now=NOW):
    return [record.get("id") for record in world.machine_actions(now)]


def at(text, **fields):
    return {"creationDateTimeUtc": text, "lastUpdateDateTimeUtc": text, **fields}


def test_records_are_served_as_they_were_put_and_never_shared():
    record = at("2026-11-20T11:00:00Z", id="a", commands=[{"index": 0}])
    world = ScriptedWorld([record])
    kept = at("2026-11-20T11:00:00Z", id="a", commands=[{"index": 0}])
    record["commands"][0]["index"] = 1
    world.machine_actions(NOW)[0]["commands"].clear()
    assert world.machine_actions(NOW) == [kept]


def test_a_record_is_replaced_changed_and_removed_by_its_id():
    world = ScriptedWorld([{"id": "a", "status": "Pending"}])
    world.put_action({"id": "a", "status": "InProgress"})
    assert world.machine_actions(NOW) == [{"id": "a", "status": "InProgress"}]
    world.change("a", status="Succeeded", extra=1)
    assert world.machine_actions(NOW) == [{"id": "a", "status": "Succeeded", "extra": 1}]
    world.remove("a")
    assert world.machine_actions(NOW) == []
    with pytest.raises(KeyError):
        world.change("a", status="Failed")


def test_both_resources_are_kept_apart():
    world = ScriptedWorld([{"id": "a"}])
    world.put_investigation({"id": "i", "state": "Running"})
    world.change("i", state="Benign")
    assert world.investigations(NOW) == [{"id": "i", "state": "Benign"}]
    assert ids(world) == ["a"]


def test_a_record_is_seen_from_and_until_the_stated_moments():
    world = ScriptedWorld()
    world.put_action({"id": "a"}, visible_from=NOW, visible_until=NOW + timedelta(hours=1))
    seen = [ids(world, NOW + timedelta(minutes=minutes)) for minutes in (-1, 0, 59, 60, 0)]
    assert seen == [[], ["a"], ["a"], [], ["a"]]


def test_rows_age_out_when_days_to_keep_are_given():
    world = ScriptedWorld(
        [at("2026-05-24T12:00:00Z", id="old"), at("2026-05-24T12:00:00.1Z", id="new")], keep_days=180
    )
    assert ids(world) == ["new"]
    assert ids(world, NOW - timedelta(days=1)) == ["new", "old"]
    assert ids(world, NOW + timedelta(days=1)) == []


def test_the_order_is_newest_update_first_under_either_name_and_ties_by_arrival():
    world = ScriptedWorld(
        [
            {"id": "a", "lastUpdateTimeUtc": "2026-11-20T10:00:00Z"},
            {"id": "b", "lastUpdateDateTimeUtc": "2026-11-20T10:00:00.697Z"},
            {"id": "c", "creationDateTimeUtc": "2026-11-20T11:00:00Z", "lastUpdateDateTimeUtc": "never"},
            {"id": "d", "lastUpdateTimeUtc": "2026-11-20T10:00:00Z"},
        ]
    )
    assert ids(world) == ["c", "b", "a", "d"]


def test_the_order_can_be_shuffled_and_set_right():
    world = ScriptedWorld(at("2026-11-20T10:00:00Z", id=str(n)) for n in range(20))
    straight = ids(world)
    world.shuffle(1)
    assert sorted(ids(world)) == sorted(straight) != ids(world)
    world.shuffle(None)
    assert ids(world) == straight


def test_records_without_a_text_id_and_raw_ones_get_keys():
    world = ScriptedWorld()
    first, second = world.put_action({"id": 5}), world.put_action({"id": None})
    raw = world.put_raw(MACHINE_ACTIONS, '{"id": "x", "id": "y"}')
    assert len({first, second, raw}) == 3
    assert world.snapshot(MACHINE_ACTIONS, NOW).rows[-1].raw == b'{"id": "x", "id": "y"}'
    for key in (first, second, raw):
        world.remove(key)
    assert world.machine_actions(NOW) == []


def test_one_id_can_be_there_twice():
    world = ScriptedWorld([{"id": "a"}])
    world.put_raw(MACHINE_ACTIONS, '{"id": "a", "status": "Failed"}')
    assert len(world.snapshot(MACHINE_ACTIONS, NOW).with_id("a")) == 2


def test_an_investigation_goes_by_its_start_or_what_it_is_filed_at():
    world = ScriptedWorld()
    world.add_investigation({"id": "1", "startTime": None}, filed_at=NOW, order_at=NOW)
    world.add_investigation({"id": "2", "startTime": "2026-11-20T13:00:00Z"})
    assert [row.id for row in world.snapshot(INVESTIGATIONS, NOW).rows] == ["2", "1"]
