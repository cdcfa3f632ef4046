"""Which closed time ranges a sync reads."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import NOW, ago

from pipelines.windows import (
    CHUNK_ROWS,
    FIRST_WINDOW,
    GROWTH,
    SHORTEST_WINDOW,
    Horizon,
    Window,
    WindowPlan,
    first_moment,
)

LOOKBACK = timedelta(minutes=60)
HORIZON = Horizon.at(NOW, LOOKBACK)
moments = st.integers(min_value=0, max_value=180 * 86_400 * 10**6).map(
    lambda n: NOW - timedelta(microseconds=n)
)


def windows():
    return st.tuples(moments, moments).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: Window(*pair))


@given(windows())
def test_two_halves_are_the_whole_and_neither_is_empty(window):
    parts = window.halves()
    assert (parts[0].start, parts[-1].end) == (window.start, window.end)
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert all(part.length > timedelta(0) for part in parts)
    assert len(parts) == (1 if window.length <= SHORTEST_WINDOW else 2)


@given(windows())
def test_the_parts_of_a_cut_are_the_whole_and_no_part_is_half_settled(window):
    parts = HORIZON.cut(window)
    assert (parts[0].start, parts[-1].end) == (window.start, window.end)
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert all(len(HORIZON.cut(part)) == 1 for part in parts)


def test_a_window_is_settled_between_the_edge_of_age_and_the_lookback():
    assert HORIZON.is_settled(Window(ago(days=175), ago(minutes=60)))
    assert not HORIZON.is_settled(Window(ago(days=175, seconds=1), ago(minutes=60)))
    assert not HORIZON.is_settled(Window(ago(days=175), ago(minutes=59)))


def test_a_window_is_cut_where_it_begins_and_ends_to_be_settled():
    assert HORIZON.cut(Window(ago(days=180), NOW)) == [
        Window(ago(days=180), ago(days=175)),
        Window(ago(days=175), ago(minutes=60)),
        Window(ago(minutes=60), NOW),
    ]


def test_a_window_cut_at_its_own_edge_stays_whole():
    window = Window(ago(days=2), ago(days=1))
    assert window.split_at(window.start) == window.split_at(window.end) == [window]


def test_a_window_names_itself_by_the_second():
    assert str(Window(ago(days=1), NOW)) == "[2026-11-19 12:00:00Z, 2026-11-20 12:00:00Z)"


@pytest.mark.parametrize(
    ("watermark", "start"),
    [
        (None, ago(days=30)),
        (ago(days=2), ago(days=2, minutes=60)),
        (ago(days=100), ago(days=100, minutes=60)),
        (ago(days=400), ago(days=180)),
    ],
)
def test_a_sync_starts_behind_its_watermark_or_as_far_back_as_a_first_one_reaches(watermark, start):
    assert first_moment(watermark, HORIZON, LOOKBACK, timedelta(days=30)) == start


@given(
    moments.filter(lambda moment: moment < NOW),
    st.lists(st.integers(min_value=0, max_value=10 * CHUNK_ROWS), min_size=1, max_size=30),
)
def test_the_windows_of_a_plan_follow_each_other_from_begin_to_end_without_a_gap(start, rows):
    plan = WindowPlan(start, NOW)
    reached = start
    for count in rows:
        window = plan.next()
        if window is None:
            break
        assert window.start == reached
        assert window.start < window.end <= NOW
        plan.was_read(window, count)
        reached = window.end
    else:
        return
    assert reached == NOW


def test_a_window_grows_eightfold_while_it_holds_few_rows():
    plan = WindowPlan(ago(days=180), NOW)
    first = plan.next()
    assert first == Window(ago(days=180), ago(days=180) + FIRST_WINDOW)
    plan.was_read(first, 0)
    assert plan.next().length == FIRST_WINDOW * GROWTH


def test_a_window_holds_no_more_rows_than_a_load_should_by_the_density_seen():
    plan = WindowPlan(ago(days=180), NOW)
    first = plan.next()
    plan.was_read(first, CHUNK_ROWS * 2)
    second = plan.next()
    assert second.length == FIRST_WINDOW / 2
    assert plan.expected_rows(second) == CHUNK_ROWS


@given(st.integers(0, 5 * CHUNK_ROWS))
def test_the_window_behind_one_is_told_before_that_is_read_as_if_it_held_the_rows_expected(rows):
    plan = WindowPlan(ago(days=180), NOW)
    plan.was_read(plan.next(), rows)
    window = plan.next()
    ahead = plan.following(window)
    assert plan.next() == window
    plan.was_read(window, plan.expected_rows(window))
    assert ahead == plan.next()


def test_a_window_that_was_too_large_is_taken_in_smaller_ones_from_the_same_start():
    plan = WindowPlan(ago(days=180), NOW)
    first = plan.next()
    plan.was_too_large(first)
    smaller = plan.next()
    assert smaller.start == first.start
    assert smaller.length < first.length


def test_a_short_remainder_is_taken_along():
    plan = WindowPlan(NOW - FIRST_WINDOW * 1.4, NOW)
    assert plan.next() == Window(NOW - FIRST_WINDOW * 1.4, NOW)


def test_a_plan_that_has_arrived_has_no_window():
    assert WindowPlan(NOW, NOW).next() is None


def test_nothing_is_expected_before_anything_was_seen():
    plan = WindowPlan(ago(days=3), NOW)
    assert plan.expected_rows(plan.next()) is None
