"""Growth is bounded: many syncs leave no more behind than their rows, and what is meant to be kept."""

from __future__ import annotations

from datetime import timedelta

import duckdb
import pytest
from support.records import action, investigation

from pipelines.clock import Clock
from simulator import ScriptedWorld

SYNCS = 3
# A database file grows in blocks, a few of which may be free.
SLACK_BYTES = 2 * 1024 * 1024


@pytest.fixture
def busy(open_stage):
    """A stage that keeps its run log for a day; each sync finds the bad record as before."""
    now = Clock().now().replace(microsecond=0)
    world = ScriptedWorld(
        [
            action("a", now - timedelta(hours=3), status="Pending"),
            {**action("bad", now - timedelta(hours=3)), "errorHResult": "none"},
        ],
        [investigation("1", now - timedelta(hours=4), state="Running")],
    )
    return open_stage(world, start=now, publishes=True, run_log_days=1)


def sync_often(stage, first):
    """As many syncs on as many days, before each a change and a new row."""
    for number in range(first, first + SYNCS):
        sync_once(stage, number)


def sync_once(stage, number):
    stage.world.put_action(action(f"new {number}", stage.clock() - timedelta(minutes=1)))
    stage.world.change("a", status=("Pending", "InProgress")[number % 2], title=f"{number}")
    stage.sync().assert_ok()
    stage.clock.advance(hours=24)


def table_rows(stage):
    reading = stage.warehouse()
    with reading.held():
        names = reading.rows(
            "select schema_name || '.' || table_name as name from duckdb_tables() order by 1"
        )
        return {row["name"]: reading.one(f"select count(*) from {row['name']}") for row in names}


def files(stage):
    """The size of each file, whatever its snapshot is called."""
    sizes = {}
    for path in sorted(stage.data_dir.rglob("*")):
        if path.is_file() and not path.is_symlink():
            parts = path.relative_to(stage.data_dir).parts
            name = "/".join(("snapshots", "*", *parts[2:]) if parts[0] == "snapshots" else parts)
            sizes.setdefault(name, []).append(path.stat().st_size)
    return sizes


def test_many_syncs_leave_no_more_behind_than_their_rows(busy):
    sync_often(busy, 1)
    rows, sizes = table_rows(busy), files(busy)
    sync_often(busy, 1 + SYNCS)
    later = table_rows(busy)
    rows["defender.machine_actions"] += SYNCS
    rows["defender.machine_action_versions"] += 2 * SYNCS
    assert later == rows
    assert rows["defender.quarantine"] == 1, "the same bad record stands once"
    assert rows["defender.sync_runs"] <= 6, "those of a day, and the first"

    sizes_later = files(busy)
    assert set(sizes_later) == set(sizes), "files of a kind that was not there"
    assert {name: len(each) for name, each in sizes_later.items()} == {
        name: len(each) for name, each in sizes.items()
    }, "more files"
    total, total_later = (sum(map(sum, each.values())) for each in (sizes, sizes_later))
    assert total_later <= total + SLACK_BYTES
    assert not (busy.data_dir / "dlt").exists(), "dlt's working files"
    assert len(list((busy.data_dir / "snapshots").iterdir())) == 2


def row_groups(stage, table):
    return stage.warehouse().one(
        f"select count(distinct row_group_id) from pragma_storage_info('defender.{table}')"
    )


def test_small_row_groups_are_put_together_once_there_are_many(busy, monkeypatch):
    monkeypatch.setattr("pipelines.warehouse.MOST_SPARE_ROW_GROUPS", 12)
    counts = {"machine_actions": [], "machine_action_versions": []}
    for number in range(9):
        sync_once(busy, number)
        for table, seen in counts.items():
            seen.append(row_groups(busy, table))
    for table, seen in counts.items():
        assert seen != sorted(seen), f"{table}: never put together: {seen}"
        assert len(set(seen)) > 2, f"{table}: put together each time: {seen}"
        assert max(seen) <= 6, f"{table}: {seen}"


def test_the_run_log_of_quiet_syncs_is_put_together_too(busy, monkeypatch):
    monkeypatch.setattr("pipelines.warehouse.MOST_SPARE_ROW_GROUPS", 4)
    busy.sync().assert_ok()
    with duckdb.connect(busy.data_dir / "warehouse.duckdb") as connection:
        connection.execute("""create table "somebody's ""own"" table" as select 1 as x""")
    counts = []
    for _ in range(8):
        busy.sync().assert_ok()
        busy.clock.advance(minutes=1)
        counts.append(row_groups(busy, "sync_runs"))
    assert counts != sorted(counts), f"never put together: {counts}"
    assert max(counts) <= 6, f"{counts}"


def test_rows_that_were_replaced_take_room_until_they_are_many(open_stage, monkeypatch):
    monkeypatch.setattr("pipelines.warehouse.ROW_GROUP_SIZE", 20)
    monkeypatch.setattr("pipelines.warehouse.MOST_SPARE_ROW_GROUPS", 1_000)
    ids = [f"a{number}" for number in range(900)]
    now = Clock().now().replace(microsecond=0)
    stage = open_stage(
        ScriptedWorld([action(each, now - timedelta(hours=3), status="Pending") for each in ids]), start=now
    )
    stored = []
    for number in range(5):
        for each in ids[450 + number % 2 :: 2]:
            stage.world.change(each, title=f"{number}")
        stage.sync().assert_ok()
        stage.clock.advance(minutes=5)
        query = (
            "select sum(count) from pragma_storage_info('defender.machine_actions') where column_name = 'id'"
        )
        stored.append(stage.warehouse().one(f"{query} and segment_type <> 'VALIDITY'"))
    assert stored == [900, 1125, 900, 1125, 900]
