"""What a sync costs in calls, counted by the simulator."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from support.records import NOW, action, ago, iso

from simulator import MACHINE_ACTIONS, Limits, ScriptedWorld
from simulator.rows import Row, Snapshot
from simulator.times import to_ticks

PAGE = 10_000


class LargeWorld:
    """So many finished actions, evenly over 179 days, made in a second; and no investigations."""

    def __init__(self, rows: int) -> None:
        step = timedelta(days=179) / rows
        before, after = json.dumps(action("%d", NOW)).split('"%d"')
        self._rows = [self._row(number, NOW - step * number, before, after) for number in range(1, rows + 1)]

    def _row(self, number: int, created: datetime, before: str, after: str) -> Row:
        text = f'{before}"a{number}"{after}'.replace(iso(NOW), iso(created))
        row = Row(f"a{number}", to_ticks(created), to_ticks(created), self, 0)
        row._raw = text.encode()
        return row

    def render(self, ticks: int) -> dict[str, Any]:
        raise NotImplementedError("its rows are written out already")

    def snapshot(self, resource: str, now: datetime) -> Snapshot:
        rows = self._rows if resource == MACHINE_ACTIONS else []
        return Snapshot(resource, rows, to_ticks(now), to_ticks(now) + 1)


def test_a_first_sync_of_100_000_actions_takes_hardly_more_calls_than_the_pages_that_hold_them(open_stage):
    stage = open_stage(LargeWorld(100_000), limits=Limits())
    done = stage.sync(resources=("machine_actions",)).assert_ok()
    assert done.run().rows_new == 100_000
    pages = 100_000 // PAGE
    assert len(done.calls("machine_actions")) <= 1.2 * pages + 20
    assert all(call.status == 200 for call in done.calls("machine_actions"))


def test_many_open_rows_close_together_are_read_by_window_and_few_far_apart_by_id(open_stage):
    world = ScriptedWorld(action(f"busy{n}", ago(days=1, minutes=n), status="Pending") for n in range(300))
    for number in range(10):
        world.put_action(action(f"slow{number}", ago(days=30 + number), status="Pending"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    stage.clock.advance(hours=2)
    for number in range(300):
        world.change(f"busy{number}", status="Succeeded", lastUpdateDateTimeUtc=iso(stage.clock()))
    done = stage.sync().assert_ok()
    assert done.run().rows_changed == 300
    assert len(done.calls("machine_actions")) <= 1 + 2
    stage.assert_in_step(again=False)


def test_the_calls_of_a_small_quota_are_waited_for_and_never_exceeded(open_stage):
    world = ScriptedWorld(action(f"a{n}", ago(days=n)) for n in range(100))
    stage = open_stage(
        world,
        limits=Limits(per_minute=5, per_hour=300),
        requests_per_minute=5,
        requests_per_hour=300,
        page_size=10,
        max_concurrent_requests=1,
    )
    done = stage.sync().assert_ok()
    assert len(done.calls("machine_actions")) > 10
    assert all(call.status == 200 for call in done.calls("machine_actions")), "not one 429"
    assert done.run().waited_seconds > 60
    stage.assert_inside_quota()


def test_a_quiet_tenants_long_history_costs_few_calls(open_stage):
    stage = open_stage(ScriptedWorld([action("a", ago(days=100))]), scrub_calls=0)
    done = stage.sync().assert_ok()
    assert len(done.calls("machine_actions")) <= 5


def test_the_watermark_of_a_busy_tenant_moves_chunk_by_chunk(open_stage, monkeypatch):
    monkeypatch.setattr("pipelines.chunks.GATHERED_ROWS", 100)
    world = ScriptedWorld(action(f"a{n}", ago(days=n / 4, hours=1)) for n in range(700))
    stage = open_stage(world, scrub_calls=0)
    done = stage.sync().assert_ok()
    stored = done.events.of("stored", "machine_actions")
    assert len(stored) >= 2, "windows grow as long as they hold few rows"
    assert sum(event[3] for event in stored) == 700
    assert stage.watermark() == NOW
