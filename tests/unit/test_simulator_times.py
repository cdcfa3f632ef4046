"""Ticks and their text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import ManualClock
from simulator.times import parse, to_datetime, to_text, to_ticks

FIRST, LAST = parse("0001-01-01T00:00:00Z"), parse("9999-12-31T23:59:59.9999999Z")


@settings(deadline=None)
@given(st.integers(FIRST, LAST))
def test_text_and_ticks_say_the_same(ticks):
    assert parse(to_text(ticks)) == ticks


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)))
def test_datetimes_and_ticks_say_the_same(moment):
    assert to_datetime(to_ticks(moment)) == moment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-20T12:00:34Z", "2026-11-20T12:00:34Z"),
        ("2026-11-20T12:00:20.1549740Z", "2026-11-20T12:00:20.154974Z"),
        ("2026-11-20T12:00:33.933769799999Z", "2026-11-20T12:00:33.9337697Z"),
        ("2026-11-20T12:00Z", "2026-11-20T12:00:00Z"),
        ("2026-11-20T13:30:00+01:30", "2026-11-20T12:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_shown_with_trailing_zeros_cut(text, shown):
    assert to_text(parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-20",
        "2026-11-20T12:00:00",
        "2026-02-30T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2016-12-31T23:59:60Z",
    ],
)
def test_what_is_no_time_is_none(text):
    assert parse(text) is None


def test_a_manual_clock_stands_still_until_it_is_moved():
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock() == clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    clock.advance(minutes=1)
    clock.advance(timedelta(minutes=-3))
    assert clock() == datetime(2025, 12, 31, 23, 58, tzinfo=UTC)
    clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    assert clock() == datetime(2027, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="aware"):
        clock.set(datetime(2027, 1, 1))  # noqa: DTZ001 - the point of the test
