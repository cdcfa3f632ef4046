"""Windows begun while the last pages of the one before come: fewer waits, the same rows, hardly a call more."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from itertools import groupby, pairwise
from urllib.parse import unquote

import pytest
import requests
from support.records import action, ago

from pipelines.pages import ROUNDS_AHEAD
from simulator import PageCap, RunFirst, ScriptedWorld, Slow, Status

PAGE = 10
CHUNK = 100
AT_ONCE = 4
LONGEST_SECONDS = 20  # of a test that went wrong


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Windows of about ten pages, so that a list has many of them."""
    monkeypatch.setattr("pipelines.windows.CHUNK_ROWS", CHUNK)
    monkeypatch.setattr("pipelines.pages.TOO_MANY_ROWS", 2 * CHUNK)
    monkeypatch.setattr("pipelines.chunks.GATHERED_ROWS", 0)


def evenly(rows: int, oldest_days: float = 174, newest_days: float = 1) -> list[dict[str, object]]:
    step = (oldest_days - newest_days) / rows
    return [action(f"e{oldest_days}-{n}", ago(days=oldest_days - step * n)) for n in range(rows)]


def by_window(done) -> list[tuple[str, list[int]]]:
    """The windows in order of their first call, each with the places of its calls in the list of all."""
    places: dict[str, list[int]] = {}
    for place, call in enumerate(done.calls()):
        places.setdefault(call.params["$filter"], []).append(place)
    return list(places.items())


def test_the_next_window_is_begun_while_the_last_pages_of_one_come(open_stage):
    stage = open_stage(ScriptedWorld(evenly(900)), page_size=PAGE, scrub_calls=0)
    done = stage.sync(resources=("machine_actions",)).assert_ok()
    windows = [places for _, places in by_window(done) if len(places) > 2]
    assert len(windows) >= 6
    early = [after[0] < before[-1] for before, after in pairwise(windows)]
    # Of the first one, nothing was known that could tell where the second should end. On a busy machine, of two calls
    # made at once the later one may come first.
    assert early[1:].count(False) <= 1, early
    stage.assert_in_step()


def test_windows_begun_ahead_take_hardly_a_call_more(open_stage):
    calls = {}
    for at_once in (1, AT_ONCE):
        stage = open_stage(
            ScriptedWorld(evenly(900)), page_size=PAGE, scrub_calls=0, max_concurrent_requests=at_once
        )
        calls[at_once] = len(stage.sync(resources=("machine_actions",)).assert_ok().calls())
    assert calls[AT_ONCE] <= calls[1] * 1.1


def test_one_page_at_a_time_begins_no_window_ahead(open_stage):
    stage = open_stage(ScriptedWorld(evenly(900)), page_size=PAGE, scrub_calls=0, max_concurrent_requests=1)
    done = stage.sync(resources=("machine_actions",)).assert_ok()
    filters = [name for name, _ in groupby(call.params["$filter"] for call in done.calls())]
    # The first window is not settled, and read until two readings agree: by the same filter.
    assert len(filters) == len(set(filters))


def test_what_was_begun_of_a_window_and_fails_costs_nothing_of_the_one_before(open_stage):
    stage = open_stage(ScriptedWorld(evenly(900)), page_size=PAGE, scrub_calls=0)
    first = stage.sync(resources=("machine_actions",)).assert_ok()
    failing = by_window(first)[4][0]
    before = by_window(first)[3][0]

    again = open_stage(ScriptedWorld(evenly(900)), page_size=PAGE, scrub_calls=0)
    rule = again.sim.faults.add(Status(503), times=None, when=lambda call: call.params["$filter"] == failing)
    done = again.sync(resources=("machine_actions",))
    assert rule.fired > 0
    assert done.exit_code == 4
    assert before in {call.params["$filter"] for call in done.calls()}
    watermark = again.watermark()
    created = "creation_date_time_utc"
    assert again.loaded("machine_actions").keys() == {
        id for id, row in again.truth("machine_actions").items() if row[created] < watermark
    }
    assert f"ge {watermark:%Y-%m-%dT%H:%M:%S}" in failing

    again.sim.faults.clear()
    again.clock.advance(minutes=10)
    again.sync().assert_ok()
    again.assert_in_step()


def test_a_window_begun_ahead_of_one_that_turns_out_too_large_is_given_up(open_stage):
    world = ScriptedWorld(evenly(300, 174, 60))
    burst = ago(days=50)
    for number in range(700):
        world.put_action(action(f"burst{number}", burst + timedelta(minutes=number)))
    stage = open_stage(world, page_size=PAGE, scrub_calls=0)
    done = stage.sync(resources=("machine_actions",)).assert_ok()
    too_large = max(place for place, call in enumerate(done.calls()) if call.params["$top"] == "1")
    windows = [places for _, places in by_window(done) if places[0] > too_large and len(places) > 2]
    assert any(after[0] < before[-1] for before, after in pairwise(windows)), "and others are begun again"
    stage.assert_in_step()


@pytest.mark.parametrize("seed", range(6))
def test_every_row_is_loaded_however_rows_lie_and_whatever_cap_begins_when(open_stage, seed):
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    world = ScriptedWorld()
    for burst in range(order.randint(3, 12)):
        start, minutes = ago(days=order.uniform(2, 179)), order.choice([0.01, 1, 30, 600])
        for number in range(order.choice([1, 9, 10, 60, 300])):
            world.put_action(action(f"b{burst}-{number}", start + timedelta(minutes=minutes * number / 100)))
    stage = open_stage(world, page_size=PAGE, requests_per_minute=10_000, requests_per_hour=100_000)
    if order.random() < 0.6:
        stage.sim.faults.add(PageCap(order.randint(2, 9)), nth=order.randint(1, 60), times=None)
    stage.sync().assert_ok()
    stage.assert_in_step()


def test_a_window_begun_when_rows_seemed_few_is_given_up_where_they_are_many(open_stage):
    rows = [*evenly(3, 179.9, 175.1), *evenly(190, 174.9, 135.1), *evenly(1_200, 134.9)]
    stage = open_stage(ScriptedWorld(rows), page_size=PAGE, scrub_calls=0, requests_per_minute=10_000)
    done = stage.sync(resources=("machine_actions",)).assert_ok()
    assert max(event[-1] for event in done.events.of("stored", "machine_actions")) <= 2 * CHUNK
    stage.assert_in_step()


@pytest.mark.parametrize("nth_last", range(1, 5))
def test_a_window_begun_before_the_servers_clock_was_known_does_not_pass_it(
    open_stage, monkeypatch, nth_last
):
    get, told = requests.Session.get, []

    def get_with_few_dates(session, url, **options):
        answer = get(session, url, **options)
        if not told or told[0] not in unquote(url):
            answer.headers.pop("Date", None)
        return answer

    monkeypatch.setattr(requests.Session, "get", get_with_few_dates)
    for _ in range(2):
        stage = open_stage(ScriptedWorld(evenly(900)), page_size=PAGE, scrub_calls=0)
        stage.sim.faults.clock_offset = timedelta(hours=-3)
        done = stage.sync(resources=("machine_actions",)).assert_ok()
        told.append(by_window(done)[-nth_last][0])
    assert stage.watermark() <= stage.sim.now()


def calls_while_held(open_stage, choose, expected: int) -> int:
    """How many calls of the next window came while the last one of a window, which `choose` picks, was held: until
    those expected had come, and a while longer.
    """
    stage = open_stage(ScriptedWorld(evenly(900)), page_size=PAGE, scrub_calls=0)
    windows = by_window(stage.sync(resources=("machine_actions",)).assert_ok())
    (held, places), (ahead, _) = choose(windows)

    again = open_stage(ScriptedWorld(evenly(900)), page_size=PAGE, scrub_calls=0)
    all_came, more_came, seen, counted = threading.Event(), threading.Event(), [], []

    def is_ahead(call) -> bool:
        if call.params["$filter"] == ahead:
            seen.append(call)
            if len(seen) >= expected:
                all_came.set()
            if len(seen) > expected:
                more_came.set()
        return False

    def hold() -> None:
        all_came.wait(LONGEST_SECONDS)
        more_came.wait(0.3)
        counted.append(len(seen))

    again.sim.faults.add(Slow(0), when=is_ahead)
    again.sim.faults.add(RunFirst(hold), nth=len(places), when=lambda call: call.params["$filter"] == held)
    again.sync(resources=("machine_actions",)).assert_ok()
    again.assert_in_step()
    [count] = counted
    return count


def test_while_the_last_page_of_a_window_is_waited_for_two_rounds_of_the_next_are_read(open_stage):
    expected = ROUNDS_AHEAD * AT_ONCE
    assert calls_while_held(open_stage, lambda windows: windows[3:5], expected) == expected


def test_of_a_window_of_one_page_no_second_is_asked_before_its_turn(open_stage):
    assert calls_while_held(open_stage, lambda windows: windows[-2:], 1) == 1
