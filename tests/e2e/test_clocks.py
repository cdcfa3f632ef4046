"""Clocks that differ: the sync goes by the server's, and its watermark never passes it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
from support.records import NOW, action

from simulator import ScriptedWorld, TooManyRequests

OFFSETS = [timedelta(hours=hours) for hours in (-2, -1, 1, 2)]


@pytest.fixture
def world() -> ScriptedWorld:
    """An action each twenty minutes over the day around NOW, each seen from its creation on."""
    world = ScriptedWorld()
    for number in range(-36, 37):
        moment = NOW + timedelta(minutes=20 * number + 1)
        world.put_action(action(f"a{number}", moment), visible_from=moment)
    return world


@pytest.mark.parametrize("offset", OFFSETS, ids=str)
def test_rows_are_loaded_up_to_the_servers_clock_and_the_watermark_stays_behind_it(open_stage, world, offset):
    stage = open_stage(world, scrub_calls=0)
    stage.sim.faults.clock_offset = offset
    for minutes in (0, 45):
        stage.clock.advance(minutes=minutes)
        stage.sync().assert_ok()
        assert stage.watermark() == stage.watermark("investigations") == stage.sim.now()
        stage.assert_in_step(again=False)


@pytest.mark.parametrize("offset", [OFFSETS[0], OFFSETS[-1]], ids=str)
def test_a_clock_that_is_set_right_between_two_syncs_leaves_no_gap(open_stage, world, offset):
    stage = open_stage(world, scrub_calls=0, lookback_minutes=5)
    stage.sim.faults.clock_offset = offset
    stage.sync().assert_ok()
    # Ours is set right: from now on it shows what the server's shows.
    stage.clock.advance(offset)
    stage.sim.faults.clear()
    for _ in range(2):
        stage.clock.advance(minutes=50)
        stage.sync().assert_ok()
        stage.assert_in_step(again=False)


def test_a_server_whose_clock_jumped_ahead_and_back_leaves_no_gap(open_stage, world):
    stage = open_stage(world, scrub_calls=0, lookback_minutes=5)
    stage.sim.faults.clock_offset = timedelta(hours=2)
    stage.sync().assert_ok()
    stage.sim.faults.clear()
    world.put_action(action("between", NOW + timedelta(hours=1)), visible_from=NOW + timedelta(hours=1))
    for minutes in (0, 30, 45, 90):
        stage.clock.advance(minutes=minutes)
        stage.sync().assert_ok()
        assert stage.watermark() <= stage.clock()
    assert "between" in stage.loaded("machine_actions")
    stage.assert_in_step(again=False)


def test_a_watermark_of_our_future_is_taken_back(open_stage, world):
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    stage.warehouse().execute("update defender.watermarks set watermark = watermark + interval 5 hours")
    stage.clock.advance(minutes=30)
    stage.sync().assert_ok()
    assert stage.watermark() == stage.clock()


def test_our_clock_set_back_between_two_syncs_still_tells_newer_readings_from_older_ones(open_stage, world):
    stage = open_stage(world, scrub_calls=0)
    world.put_action(action("open", NOW - timedelta(days=2), status="Pending"))
    stage.sync().assert_ok()
    stage.clock.advance(hours=-1)
    stage.sim.faults.clock_offset = timedelta(hours=1)
    world.change("open", status="Succeeded")
    stage.sync().assert_ok()
    assert stage.loaded("machine_actions")["open"]["status"] == "Succeeded"
    observed = [row[0] for row in stage.versions("machine_actions", "open", "observed_at")]
    assert len(observed) == 2
    assert observed[0] < observed[1]


@pytest.mark.parametrize("nth", [1, 2])
def test_pages_that_take_long_are_not_taken_for_a_clock_that_differs(open_stage, world, caplog, nth):
    stage = open_stage(world, scrub_calls=0, page_size=2, lookback_minutes=120)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=30)
    due = stage.clock()
    rule = stage.sim.faults.before_request(lambda: stage.clock.advance(minutes=5), nth=nth)
    stage.sync().assert_ok()
    assert rule.fired == 1
    assert "clock is" not in caplog.text
    assert stage.watermark() == due


def test_a_wait_for_the_quota_is_not_taken_for_a_clock_that_differs(open_stage, world, caplog):
    stage = open_stage(world, scrub_calls=0, page_size=2, lookback_minutes=120)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=30)
    due = stage.clock()
    stage.sim.faults.add(TooManyRequests(300), nth=2)
    done = stage.sync().assert_ok()
    assert done.run().waited_seconds >= 300
    assert "clock is" not in caplog.text
    assert stage.watermark() == due


def test_an_answer_that_is_long_in_coming_is_not_taken_for_a_clock_that_differs(
    open_stage, world, caplog, monkeypatch
):
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    get = requests.Session.get

    def get_slowly(*args, **kwargs):
        answer = get(*args, **kwargs)
        stage.clock.advance(minutes=5)
        return answer

    monkeypatch.setattr(requests.Session, "get", get_slowly)
    stage.sync().assert_ok()
    assert "clock is" not in caplog.text
