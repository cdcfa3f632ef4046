"""Which rows are read again, and by which way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import NOW, ago

from pipelines.refresh import IDS_PER_CALL, LONGEST_ID, OpenRow, plan_refresh, scrub_start, settled_history
from pipelines.windows import Horizon, Window


def rows(*hours: float, since: int | None = None) -> list[OpenRow]:
    """Open rows so many hours old, among no others, or all with `since` rows behind them."""
    ordered = sorted(hours, reverse=True)
    return [
        OpenRow(f"r{number}", ago(hours=each), len(ordered) - number if since is None else since)
        for number, each in enumerate(ordered)
    ]


@st.composite
def open_rows(draw) -> list[OpenRow]:
    """Open rows with a warehouse in which some closed ones lie between them."""
    gaps = draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 30)), max_size=60))
    timeless = draw(st.integers(0, 30))
    found, at, since = [], NOW, 0
    for number, (minutes, closed) in enumerate(gaps):
        at -= timedelta(minutes=minutes)
        since += closed + 1
        found.append(OpenRow(f"t{number}", at, since))
    return [*(OpenRow(f"n{number}", None, 0) for number in range(timeless)), *found]


@given(open_rows(), st.integers(1, 50))
def test_every_open_row_is_read_once_by_its_id_or_by_the_window(found, page_size):
    plan = plan_refresh(found, page_size)
    by_id = [id for batch in plan.id_batches for id in batch]
    assert sorted([*by_id, *plan.window_ids]) == sorted(row.id for row in found)
    assert all(len(batch) <= IDS_PER_CALL for batch in plan.id_batches)
    times = {row.id: row.cursor_at for row in found}
    for id in plan.window_ids:
        assert plan.window.start <= times[id] < plan.window.end


@given(open_rows(), st.integers(1, 50))
def test_no_plan_costs_more_than_all_by_id_or_all_by_one_window(found, page_size):
    plan = plan_refresh(found, page_size)
    timeless = sum(row.cursor_at is None for row in found)
    assert plan.calls <= -(-len(found) // IDS_PER_CALL)
    if len(found) > timeless:
        most = max(row.rows_since for row in found)
        assert plan.calls <= -(-timeless // IDS_PER_CALL) + most // page_size + 1


def test_a_few_rows_far_apart_are_asked_for_by_id():
    plan = plan_refresh(rows(1, 50, 900, since=500_000), 10_000)
    assert (plan.window, plan.calls) == (None, 1)


def test_many_rows_close_together_are_read_by_the_window_that_holds_them():
    plan = plan_refresh(rows(*(n / 60 for n in range(1, 200))), 10_000)
    assert plan.id_batches == ()
    assert plan.window == Window(ago(minutes=199), ago(minutes=1) + timedelta(microseconds=1))
    assert plan.calls == 1


def test_old_stragglers_go_by_id_and_the_young_by_window():
    young = [OpenRow(f"y{n}", ago(minutes=n), n) for n in range(1, 300)]
    old = [OpenRow(f"o{n}", ago(days=30 + n), 80_000) for n in range(3)]
    plan = plan_refresh([*old, *young], 10_000)
    assert plan.calls == 2
    assert {"o0", "o1", "o2"} <= {id for batch in plan.id_batches for id in batch}
    assert len(plan.window_ids) >= 299 - IDS_PER_CALL


def test_rows_without_a_time_go_by_id():
    plan = plan_refresh([OpenRow("n", None, 0)], 10_000)
    assert (plan.id_batches, plan.window) == ((("n",),), None)


def test_an_id_too_long_for_an_address_is_read_by_its_window():
    plan = plan_refresh([OpenRow("x" * (LONGEST_ID + 1), ago(days=1), 70_000)], 10_000)
    assert plan.id_batches == ()
    assert plan.window is not None


def test_nothing_open_costs_nothing():
    assert plan_refresh([], 10_000).calls == 0


HORIZON = Horizon.at(NOW, timedelta(hours=1))


@pytest.mark.parametrize(
    ("until", "reach_days", "oldest_at", "history"),
    [
        (NOW, 180, None, Window(ago(days=175), ago(hours=1))),
        (NOW, 30, None, Window(ago(days=30), ago(hours=1))),
        (NOW, 30, ago(days=90), Window(ago(days=90), ago(hours=1))),
        (NOW, 30, ago(days=400), Window(ago(days=175), ago(hours=1))),
        (NOW, 30, ago(days=3), Window(ago(days=30), ago(hours=1))),
        (ago(days=2), 180, None, Window(ago(days=175), ago(days=2))),
    ],
)
def test_a_scrub_reads_what_is_settled_and_covered(until, reach_days, oldest_at, history):
    assert settled_history(HORIZON, until, timedelta(days=reach_days), oldest_at) == history


SETTLED = Window(ago(days=175), ago(hours=1))


@pytest.mark.parametrize(
    ("scrubbed_until", "start"),
    [
        (None, SETTLED.start),
        (ago(days=90), ago(days=90)),
        (SETTLED.start, SETTLED.start),
        (ago(days=176), SETTLED.start),
        (SETTLED.end, SETTLED.start),
        (NOW, SETTLED.start),
    ],
)
def test_a_scrub_goes_on_where_the_last_one_ended_and_begins_again_at_the_oldest(scrubbed_until, start):
    assert scrub_start(scrubbed_until, SETTLED) == start
