"""Turns, and that who waits does not keep one."""

from __future__ import annotations

from threading import Thread

import pytest

from pipelines.clock import Clock
from pipelines.errors import StoppedError
from pipelines.turns import Turns


def free(turns: Turns) -> int:
    """How many turns are free; they stay so."""
    taken = 0
    while turns.take(0):
        taken += 1
    for _ in range(taken):
        with turns.used(Clock()):
            pass
    return taken


def test_there_are_so_many_and_each_comes_back():
    turns = Turns(2)
    assert free(turns) == 2
    assert turns.take(0)
    with turns.used(Clock()):
        assert free(turns) == 1
    assert free(turns) == 2


def test_one_that_fails_gives_its_turn_back():
    turns = Turns(1)
    assert turns.take(0)
    with pytest.raises(ZeroDivisionError), turns.used(Clock()):
        raise ZeroDivisionError
    assert free(turns) == 1


def test_who_waits_has_no_turn_meanwhile_however_many_threads_wait():
    turns, found = Turns(3), []

    def wait(seconds: float) -> None:
        found.append((seconds, free(turns)))
        if seconds == 60:
            another = Thread(target=clock.sleep, args=(5,))
            another.start()
            another.join()
            found.append((seconds, free(turns)))

    assert turns.take(0)
    with turns.used(Clock(wait=wait)) as clock:
        clock.sleep(60)
        assert found == [(60, 3), (5, 3), (60, 3)]
        assert free(turns) == 2, "it has its turn again"
    assert free(turns) == 3


def test_a_run_that_is_asked_to_stop_waits_for_no_turn():
    turns, base = Turns(1), Clock()
    assert turns.take(0)
    with turns.used(base) as clock:
        base.stopping.set()
        with pytest.raises(StoppedError):
            clock.sleep(3_600)
