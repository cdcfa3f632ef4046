"""A snapshot made from the one before, after a sync that found nothing new, tells what a new one would."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from support.published import assert_published_equals_warehouse, linked_files, noted_parquet
from support.records import NOW, action, ago, investigation

from pipelines import comparison, snapshot_files, sql_files
from simulator import ScriptedWorld, World


@pytest.fixture
def stage(open_stage):
    world = ScriptedWorld(
        [
            action("held", ago(days=3), type="Isolate", scope="Full"),
            action("late", ago(minutes=5), type="Isolate", scope="Full", status="Pending"),
            action("scan", ago(days=2), type="RunAntiVirusScan", status="Failed"),
        ],
        [investigation("1", ago(days=3)), investigation("2", ago(hours=4), state="Running")],
    )
    stage = open_stage(world, publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=1)
    return stage


def test_ages_move_on_when_nothing_else_is_new(stage):
    before = stage.published().table("marts.machine_actions")
    stage.clock.advance(hours=3)
    stage.sync().assert_ok()
    assert "machine_timeline" in linked_files(stage)
    assert_published_equals_warehouse(stage)
    after = stage.published().table("marts.machine_actions")
    assert {row["age_seconds"] for row in after}.isdisjoint({row["age_seconds"] for row in before})
    assert [row["is_overdue"] for row in after if row["machine_action_id"] == "late"] == [True]


@pytest.mark.parametrize(("hours", "is_stuck"), [(72.8, False), (73.1, True)])
def test_an_action_is_stuck_from_the_same_age_on_as_in_the_view(stage, monkeypatch, hours, is_stuck):
    monkeypatch.setattr(comparison, "_is_of_day", lambda *_: True)
    stage.clock.advance(hours=hours)
    stage.sync().assert_ok()
    assert "machine_timeline" in linked_files(stage)
    assert_published_equals_warehouse(stage)
    rows = stage.published().table("marts.machine_actions")
    assert [row["is_stuck"] for row in rows if row["machine_action_id"] == "late"] == [is_stuck]


def test_a_second_renewal_goes_on_from_the_first(stage, monkeypatch):
    monkeypatch.setattr(comparison, "_is_of_day", lambda *_: True)
    for _ in range(3):
        stage.clock.advance(days=1)
        stage.sync().assert_ok()
    assert "machine_timeline" in linked_files(stage)
    assert_published_equals_warehouse(stage)


def test_the_first_snapshot_of_a_utc_day_is_made_from_scratch(stage):
    for hours, is_renewed in ((1, True), (12, False), (1, True)):
        stage.clock.advance(hours=hours)
        stage.sync().assert_ok()
        assert bool(linked_files(stage)) is is_renewed
        assert_published_equals_warehouse(stage)


def test_where_files_cannot_be_linked_they_are_copied(stage, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(snapshot_files.os, "link", refuse)
    stage.sync().assert_ok()
    assert "written from scratch" not in caplog.text
    assert_published_equals_warehouse(stage)


def refused(*_):
    raise OSError(95, "Operation not supported")


@pytest.mark.parametrize("call", [None, refused, lambda *_: 0], ids=["missing", "refused", "without effect"])
def test_where_the_system_cannot_copy_the_database_it_is_copied_byte_by_byte(
    stage, monkeypatch, caplog, call
):
    if call is None:
        monkeypatch.delattr(snapshot_files.os, "copy_file_range")
    else:
        monkeypatch.setattr(snapshot_files.os, "copy_file_range", call)
    stage.sync().assert_ok()
    assert "written from scratch" not in caplog.text
    assert "machine_timeline" in linked_files(stage)
    assert_published_equals_warehouse(stage)


def test_a_renewed_snapshot_leaves_the_one_before_as_it_was(stage):
    former = (stage.data_dir / "published").resolve() / "defender.duckdb"
    before = former.read_bytes()
    stage.sync().assert_ok()
    assert "machine_timeline" in linked_files(stage)
    assert former.read_bytes() == before


def test_a_snapshot_newer_than_a_restored_database_is_not_taken_up(stage):
    database = stage.data_dir / "warehouse.duckdb"
    older = database.read_bytes()
    stage.world.put_action(action("new", stage.sim.now() - timedelta(minutes=1)))
    stage.sync().assert_ok()
    database.write_bytes(older)
    stage.clock.advance(minutes=1)
    stage.sync().assert_ok()
    assert_published_equals_warehouse(stage)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-700_000])


def overwritten_in_places(path):
    content = bytearray(path.read_bytes())
    for place in range(20_000, len(content), 1_000):
        content[place : place + 64] = b"?" * 64
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a database" * 1000),
        cut_short,
        overwritten_in_places,
        lambda path: (path.parent / "parquet" / "machine_timeline.parquet").unlink(),
    ],
)
def test_a_damaged_snapshot_is_replaced_by_one_from_scratch(stage, caplog, damage):
    damage((stage.data_dir / "published").resolve() / "defender.duckdb")
    stage.sync().assert_ok()
    assert linked_files(stage) == set()
    assert "the snapshot before cannot be taken up" in caplog.text
    assert_published_equals_warehouse(stage)
    stage.clock.advance(minutes=1)
    stage.sync().assert_ok()
    assert "machine_timeline" in linked_files(stage)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"age_seconds", b"age_minutes")),
        lambda path: path.write_bytes(b"PAR1" + b"?" * 3000 + path.read_bytes()[3004:]),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_parquet_file_is_not_taken_up(stage, damage):
    stage.clock.advance(minutes=1)
    damage((stage.data_dir / "published").resolve() / "parquet" / "machine_actions.parquet")
    stage.sync().assert_ok()
    assert_published_equals_warehouse(stage)


@pytest.mark.parametrize(
    "text",
    ["", "0123456789abcdef", "[1, 2]", '{"rows": "ROWS"}', '{"rows": "ROWS", "checks": 5}', "[" * 100_000],
)
def test_a_basis_that_tells_too_little_makes_a_snapshot_from_scratch(stage, text):
    basis = (stage.data_dir / "published").resolve() / ".basis"
    basis.write_text(text.replace("ROWS", json.loads(basis.read_text())["rows"]))
    stage.sync().assert_ok()
    assert linked_files(stage) == set()
    assert_published_equals_warehouse(stage)


def test_every_mart_of_a_large_still_world_ages_as_if_it_were_made_anew(open_stage, monkeypatch):
    monkeypatch.setattr(comparison, "_is_of_day", lambda *_: True)
    files = noted_parquet(monkeypatch)
    world = World(seed=11, rows=1_500)
    still = ScriptedWorld(world.machine_actions(NOW), world.investigations(NOW))
    stage = open_stage(still, publishes=True)
    stage.sync().assert_ok()
    # Over the limits at which something is overdue, stuck, over 7 days, or no longer of the last 7 days.
    for hours in (0.3, 1, 3, 24, 73, 24 * 8):
        stage.clock.advance(hours=hours)
        stage.sync().assert_ok()
        assert "machine_timeline" in linked_files(stage)
        assert_published_equals_warehouse(stage)
    assert files == {mart: [True] * 6 for mart in sql_files.renewals()}
