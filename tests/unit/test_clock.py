"""Time as it is passed in."""

from __future__ import annotations

from datetime import UTC

import pytest

from pipelines.clock import Clock
from pipelines.errors import StoppedError


def test_the_time_is_aware_and_in_utc():
    assert Clock().now().tzinfo is UTC


def test_a_wait_is_handed_to_whoever_holds_the_clock():
    waits: list[float] = []
    Clock(wait=waits.append).sleep(12.5)
    assert waits == [12.5]


def test_a_wait_ends_at_once_when_the_run_is_asked_to_stop():
    clock = Clock()
    clock.stopping.set()
    with pytest.raises(StoppedError):
        clock.sleep(3_600)


def test_a_stop_that_comes_during_a_wait_is_raised_after_it():
    clock = Clock(wait=lambda _seconds: clock.stopping.set())
    with pytest.raises(StoppedError):
        clock.sleep(1)
