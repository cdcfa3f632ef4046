"""Backfill and reconcile: a closed range is read again, what differs is mended, and a cut-short one goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.records import NOW, action, ago, investigation, iso
from support.stage import Events, unpublished

from pipelines.errors import LockedError
from pipelines.sync import backfill, reconcile
from pipelines.windows import Window
from simulator import PageCap, ScriptedWorld, Status

HISTORY = Window(ago(days=170), ago(hours=2))


def play(command, stage, window=HISTORY, **overrides):
    with unpublished():
        return command(stage.settings(**overrides), stage.program_clock(), Events(), window)


def runs(stage):
    return stage.warehouse().rows(
        "select command, resource, status, rows_new, rows_changed from defender.sync_runs "
        "where command <> 'sync' order by resource"
    )


@pytest.fixture
def world():
    """Two actions and an investigation, long settled, scattered over 100 days."""
    return ScriptedWorld(
        [action("old", ago(days=100)), action("new", ago(days=2))], [investigation("i1", ago(days=50))]
    )


def drift(stage, world):
    """What no later sync would look for, with scrubbing off: a late row, a silent change, a vanished row."""
    stage.sync(scrub_calls=0).assert_ok()
    world.put_action(action("late", ago(days=60)))
    world.change("old", requestorComment="changed in silence")
    world.remove("new")
    stage.clock.advance(hours=3)
    stage.sync(scrub_calls=0).assert_ok()
    assert set(stage.loaded("machine_actions")) == {"old", "new"}, "the syncs saw nothing of it"


def test_a_backfill_merges_what_the_api_shows_now_and_moves_no_watermark(stage, world):
    drift(stage, world)
    watermark = stage.watermark()
    result = play(backfill, stage)
    assert result.exit_code == 0
    loaded, truth = stage.loaded("machine_actions"), stage.truth("machine_actions")
    assert {id: loaded[id] for id in truth} == truth
    assert stage.gone("machine_actions") == set(), "a backfill calls nothing gone"
    assert stage.versions("machine_actions", "old", "requestor_comment") == [
        ("comment of old",),
        ("changed in silence",),
    ]
    assert stage.watermark() == watermark
    assert runs(stage) == [
        {
            "command": "backfill",
            "resource": "investigations",
            "status": "succeeded",
            "rows_new": 0,
            "rows_changed": 0,
        },
        {
            "command": "backfill",
            "resource": "machine_actions",
            "status": "succeeded",
            "rows_new": 1,
            "rows_changed": 1,
        },
    ]


def test_a_reconcile_mends_what_is_missing_changed_and_gone(stage, world):
    drift(stage, world)
    assert play(reconcile, stage).exit_code == 0
    loaded, truth = stage.loaded("machine_actions"), stage.truth("machine_actions")
    assert {id: loaded[id] for id in truth} == truth
    assert stage.gone("machine_actions") == {"new"}
    assert stage.gone("investigations") == set()


def test_a_reconcile_calls_no_row_gone_that_one_short_answer_leaves_out(stage, world):
    for number in range(30):
        world.put_action(action(f"a{number}", ago(days=3, minutes=number)))
    stage.sync().assert_ok()
    world.remove("a3")
    short = stage.sim.faults.add(PageCap(7), nth=3)
    assert play(reconcile, stage).exit_code == 0
    assert short.fired == 1
    assert stage.gone("machine_actions") == {"a3"}


def test_a_row_that_turns_up_again_is_gone_no_more(stage, world):
    drift(stage, world)
    play(reconcile, stage)
    world.put_action(action("new", ago(days=2)))
    play(reconcile, stage)
    assert stage.gone("machine_actions") == set()


def test_a_reconcile_touches_nothing_outside_its_range(stage, world):
    drift(stage, world)
    play(reconcile, stage, Window(ago(days=70), ago(days=50)))
    assert set(stage.loaded("machine_actions")) == {"old", "new", "late"}
    assert stage.loaded("machine_actions")["old"]["requestor_comment"] == "comment of old"
    assert stage.gone("machine_actions") == set()


@pytest.mark.parametrize("command", [backfill, reconcile])
def test_a_range_that_was_cut_short_goes_on_where_it_was(stage, world, command):
    stage.sync(scrub_calls=0).assert_ok()
    fault = stage.sim.faults.add(Status(403), nth=3, times=1)
    assert play(command, stage, resources=("machine_actions",)).exit_code == 3
    assert fault.fired
    before = len(stage.sim.requests)
    assert play(command, stage, resources=("machine_actions",)).exit_code == 0
    filters = [
        call.params["$filter"] for call in stage.sim.requests[before:] if call.endpoint == "machineactions"
    ]
    assert iso(HISTORY.start)[:19] not in filters[0], "it began again"
    assert stage.warehouse().table("ranges") == []
    before = len(stage.sim.requests)
    play(command, stage, resources=("machine_actions",))
    filters = [
        call.params["$filter"] for call in stage.sim.requests[before:] if call.endpoint == "machineactions"
    ]
    assert iso(HISTORY.start)[:19] in filters[0], "a range that was read to its end begins again"


def test_another_range_than_the_one_cut_short_is_read_whole(stage, world):
    stage.sync(scrub_calls=0).assert_ok()
    stage.sim.faults.add(Status(403), nth=3, times=1)
    play(backfill, stage, resources=("machine_actions",))
    before = len(stage.sim.requests)
    play(backfill, stage, Window(ago(days=169), ago(hours=2)), resources=("machine_actions",))
    filters = [
        call.params["$filter"] for call in stage.sim.requests[before:] if call.endpoint == "machineactions"
    ]
    assert iso(ago(days=169))[:19] in filters[0]


def test_a_backfill_waits_for_no_sync_but_tells_that_one_is_running(stage, world):
    from pipelines.data_dir import DataDir

    stage.sync().assert_ok()
    with DataDir(stage.data_dir).locked(), pytest.raises(LockedError, match="another sync is running"):
        play(backfill, stage)


def test_the_time_left_by_quota_is_told(open_stage):
    world = ScriptedWorld([action(f"a{n:03}", ago(days=170 - n)) for n in range(160)])
    stage = open_stage(world, page_size=5, requests_per_minute=20)
    events = Events()
    with unpublished():
        backfill(stage.settings(resources=("machine_actions",)), stage.program_clock(), events, HISTORY)
    told = [what for _, _, what in events.of("reading")]
    assert any("of quota left to wait" in what for what in told), told
    assert NOW - timedelta(days=170) == HISTORY.start
