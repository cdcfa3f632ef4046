"""Bad records over the whole way: the simulator serves them raw, the sync loads what is good, the rest is kept."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from support.records import action, ago, investigation, iso

from simulator import INVESTIGATIONS, MACHINE_ACTIONS

FILED = ago(hours=3)
TIME = f'"creationDateTimeUtc": "{iso(FILED)}", "lastUpdateDateTimeUtc": "{iso(FILED)}"'
DEEP = "[" * 5_000 + "]" * 5_000
SURROGATE = "\\ud800"
HUGE = "x" * 10_000_000

# Text of a record; the id in the table (None: in quarantine only), and a column with what it must hold.
BAD = {
    "missing id": (f'{{"type": "Isolate", {TIME}}}', None, None, None),
    "null id": (f'{{"id": null, {TIME}}}', None, None, None),
    "id of a wrong type": (f'{{"id": 5, {TIME}}}', None, None, None),
    "id with a lone surrogate": (f'{{"id": "{SURROGATE}", {TIME}}}', None, None, None),
    "no creation": ('{"id": "no creation", "status": "Succeeded"}', None, None, None),
    "leap second": ('{"id": "leap", "creationDateTimeUtc": "2016-12-31T23:59:60Z"}', None, None, None),
    "a string": ('"a record"', None, None, None),
    "null": ("null", None, None, None),
    "list": (DEEP, None, None, None),
    "bad update": (
        f'{{"id": "r1", {TIME}, "lastUpdateDateTimeUtc": 5}}',
        "r1",
        "last_update_date_time_utc",
        None,
    ),
    "deep value": (f'{{"id": "r2", {TIME}, "title": "kept", "commands": {DEEP}}}', "r2", "title", "kept"),
    "deep unknown": (f'{{"id": "r3", {TIME}, "new": {DEEP}}}', "r3", "additional_properties", None),
    "surrogate": (f'{{"id": "r4", {TIME}, "title": "{SURROGATE}"}}', "r4", "title", None),
    "surrogate in json": (f'{{"id": "r5", {TIME}, "commands": ["{SURROGATE}"]}}', "r5", "commands", None),
    "surrogate in a new field": (
        f'{{"id": "r6", {TIME}, "{SURROGATE}": "{SURROGATE}"}}',
        "r6",
        "title",
        None,
    ),
    "no utf-8": (f'{{"id": "r7", {TIME}, "title": "'.encode() + b'\xff\xfe"}', "r7", "title", None),
    "NaN": (f'{{"id": "r8", {TIME}, "errorHResult": NaN, "new": Infinity}}', "r8", "error_h_result", None),
    "1e400": (f'{{"id": "r9", {TIME}, "errorHResult": 1e400, "scope": "Full"}}', "r9", "scope", "Full"),
    "huge int": (f'{{"id": "r10", {TIME}, "errorHResult": {"9" * 5_000}}}', "r10", "error_h_result", None),
    "int beyond 64 bits": (
        f'{{"id": "r11", {TIME}, "errorHResult": {2**64}}}',
        "r11",
        "error_h_result",
        None,
    ),
    "commands": (f'{{"id": "r12", {TIME}, "commands": "none"}}', "r12", "commands", None),
}
GOOD = {
    "huge": (f'{{"id": "g1", {TIME}, "status": "Succeeded", "requestorComment": "{HUGE}"}}', "requestor_comment", HUGE),
    "nul": (f'{{"id": "g2\\u0000", {TIME}, "title": "a\\u0000b"}}', "title", "a\0b"),
    "control": (f'{{"id": "g3", {TIME}, "title": "\x00\x1b[31m\n\u202e"}}', "title", "\0\x1b[31m\n\u202e"),
    "nul in json": (f'{{"id": "g4", {TIME}, "new": "\\u0000"}}', "additional_properties", {"new": "\0"}),
    "emoji": (f'{{"id": "\U0001f525", {TIME}, "title": "\\ud83d\\udd25"}}', "title", "\U0001f525"),
    "long number": (f'{{"id": "g6", {TIME}, "new": {2**200}}}', "additional_properties", {"new": 2**200}),
    "year 1": (f'{{"id": "g7", {TIME}, "cancellationDateTimeUtc": "0001-01-01T00:00:00Z"}}', "title", None),
    "year 9999": (f'{{"id": "g8", {TIME}, "cancellationDateTimeUtc": "9999-12-31T23:59:59.9999999Z"}}', "title", None),
    "twice": (f'{{"id": "g9", {TIME}, "title": "a", "title": "b"}}', "title", "b"),
    "odd commands": (f'{{"id": "g10", {TIME}, "type": "LiveResponse", "commands": '
                     '[null, 5, "x", [], {"command": "y"}, {"command": {"params": 5}, "errors": {}}]}',
                     "commands", [None, 5, "x", [], {"command": "y"}, {"command": {"params": 5}, "errors": {}}]),
}  # fmt: skip
HOSTILE_IDS = ["a'b", "x') or true or ('", "%27 or 1", "\n", " ", "../..", "'; drop table defender.machine_actions; --",
               "id eq 'x'", "\u202e", "i" * 3_000, '"', "\\", "&$top=1", "#", "?", "+"]  # fmt: skip


@pytest.fixture
def neighbours(world):
    """Records with nothing odd about them."""
    records = [action(f"plain{n}", FILED + timedelta(seconds=n)) for n in range(5)]
    for record in records:
        world.put_action(record)
    return [record["id"] for record in records]


def rows_by_id(stage, table="machine_actions"):
    return {row["id"]: row for row in stage.warehouse().table(table)}


def test_every_bad_record_costs_itself_only_and_stands_in_quarantine_once(
    open_stage, world, neighbours, monkeypatch
):
    monkeypatch.setattr("pipelines.warehouse.QUARANTINED_AT_ONCE", 3)
    for text, _, _, _ in BAD.values():
        world.put_raw(MACHINE_ACTIONS, text, filed_at=FILED)
    for text, _, _ in GOOD.values():
        world.put_raw(MACHINE_ACTIONS, text, filed_at=FILED)
    stage = open_stage(world, publishes=True, fresh=True)
    done = stage.sync().assert_ok()
    assert max(call.rows or 0 for call in done.calls()) == len(BAD) + len(GOOD) + len(neighbours)
    rows = rows_by_id(stage)
    assert rows.keys() - set(neighbours) == {
        *(id for _, id, _, _ in BAD.values() if id),
        *("g1", "g2\0", "g3", "g4", "\U0001f525", "g6", "g7", "g8", "g9", "g10"),
    }
    for _, id, column, value in BAD.values():
        assert id is None or rows[id][column] == value
    for text, column, value in GOOD.values():
        assert rows[json.loads(text, strict=False)["id"]][column] == value
    quarantine = stage.warehouse().table("quarantine")
    assert (len(quarantine), done.run().rows_quarantined) == (len(BAD), len(BAD))
    assert {row["record"]["id"] for row in quarantine if isinstance(row["record"], dict) and "id" in row["record"]} >= {
        "r1", "r2", "r3", "no creation",
    }  # fmt: skip
    before = stage._contents()
    again = stage.sync().assert_ok()
    assert (again.run().rows_new, again.run().rows_changed) == (0, 0)
    assert stage._contents() == before
    assert len(stage.published().rows("from main.quarantine")) == len(BAD)
    assert len(stage.published().rows("from marts.machine_actions")) == len(rows)


def test_a_bad_record_that_is_mended_moves_from_quarantine_to_its_table(stage, world, neighbours):
    key = world.put_raw(
        MACHINE_ACTIONS, '{"id": "m", "creationDateTimeUtc": "soon"}', filed_at=ago(minutes=20)
    )
    stage.sync().assert_ok()
    assert "m" not in rows_by_id(stage)
    world.remove(key)
    world.put_action(action("m", ago(minutes=20)))
    stage.sync().assert_ok()
    assert rows_by_id(stage)["m"]["status"] == "Succeeded"
    assert len(stage.warehouse().table("quarantine")) == 1


@pytest.mark.parametrize("status", ["Succeeded", "Pending"])
def test_hostile_ids_are_loaded_and_asked_for_again_as_they_are(stage, world, status):
    for id in HOSTILE_IDS:
        world.put_action(action(id, FILED, status=status))
        world.put_investigation(
            investigation(id, FILED, state="Running" if status == "Pending" else "Benign")
        )
    stage.sync().assert_ok()
    assert rows_by_id(stage).keys() == rows_by_id(stage, "investigations").keys() == set(HOSTILE_IDS)
    for id in HOSTILE_IDS:
        world.change(id, status="Failed", lastUpdateDateTimeUtc=iso(stage.clock.now()))
    stage.clock.advance(hours=6)
    done = stage.sync().assert_ok()
    assert {row["status"] for row in rows_by_id(stage).values()} == {"Failed"}
    assert {call.status for call in done.requests} == {200}
    stage.assert_in_step()


def test_an_open_row_with_an_id_too_long_for_an_address_is_still_refreshed(stage, world):
    id = "i" * 200_000
    world.put_action(action(id, FILED, status="Pending"))
    for number in range(300):
        world.put_action(action(f"a{number}", FILED + timedelta(seconds=number)))
    stage.sync(page_size=10).assert_ok()
    world.change(id, status="Failed", lastUpdateDateTimeUtc=iso(stage.clock.now()))
    stage.clock.advance(hours=6)
    stage.sync(page_size=10, scrub_calls=0).assert_ok()
    assert rows_by_id(stage)[id]["status"] == "Failed"


def test_an_unknown_field_in_every_record_is_kept(stage, world, neighbours):
    for id in neighbours:
        world.change(id, newField={"a": [1, 2.5, None]})
    stage.sync().assert_ok()
    assert {json.dumps(row["additional_properties"]) for row in rows_by_id(stage).values()} == {
        '{"newField": {"a": [1, 2.5, null]}}'
    }


def test_an_investigation_with_a_bad_start_is_kept_without_it(stage, world):
    world.put_raw(INVESTIGATIONS, '{"id": "7", "startTime": "soon", "state": "Benign"}', filed_at=FILED)
    stage.sync().assert_ok()
    row = rows_by_id(stage, "investigations")["7"]
    assert (row["start_time"], row["state"]) == (None, "Benign")
    stage.sync().assert_ok()
    assert len(stage.warehouse().table("quarantine")) == 1
