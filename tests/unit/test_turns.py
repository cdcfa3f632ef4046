"""Turns, and that who waits does not keep one."""

from __future__ import annotations

from threading import Event, Semaphore, Thread

import pytest

from pipelines.clock import Clock
from pipelines.errors import StoppedError
from pipelines.turns import Turns

LONGEST_SECONDS = 20  # of a test that went wrong


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


class Sleepers:
    """Threads that wait by a clock until each is woken."""

    def __init__(self) -> None:
        self.clock = Clock(wait=self._wait)
        self._asleep, self._gates = Semaphore(0), {}
        self._threads: dict[float, Thread] = {}

    def _wait(self, seconds: float) -> None:
        self._gates[seconds] = Event()
        self._asleep.release()
        self._gates[seconds].wait(LONGEST_SECONDS)

    def lay(self, clock: Clock, name: float) -> None:
        """A thread that sleeps, named by its seconds."""
        self._threads[name] = Thread(target=clock.sleep, args=(name,))
        self._threads[name].start()
        assert self._asleep.acquire(timeout=LONGEST_SECONDS)

    def wake(self, name: float) -> Thread:
        self._gates[name].set()
        return self._threads[name]


def test_who_waits_has_no_turn_meanwhile_however_many_threads_wait():
    turns, sleepers = Turns(3), Sleepers()
    assert turns.take(0)
    with turns.used(sleepers.clock) as clock:
        assert free(turns) == 2
        for name in (1, 2):
            sleepers.lay(clock, name)
            assert free(turns) == 3
        sleepers.wake(2).join()
        assert free(turns) == 2, "the first that goes on has a turn again"
        sleepers.wake(1).join()
        assert free(turns) == 2
    assert free(turns) == 3


def test_who_goes_on_waits_for_a_free_turn():
    turns, sleepers = Turns(1), Sleepers()
    assert turns.take(0)
    with turns.used(sleepers.clock) as clock:
        for name in (1, 2):
            sleepers.lay(clock, name)
        assert turns.take(0)
        woken = [sleepers.wake(name) for name in (1, 2)]
        woken[0].join(0.05)
        assert all(thread.is_alive() for thread in woken)
        with turns.used(Clock()):
            pass
        for thread in woken:
            thread.join(LONGEST_SECONDS)
        assert free(turns) == 0
    assert free(turns) == 1


def test_a_thread_that_outlives_the_use_of_a_turn_neither_gives_one_nor_takes_one():
    turns, sleepers = Turns(1), Sleepers()
    assert turns.take(0)
    with turns.used(sleepers.clock) as clock:
        sleepers.lay(clock, 1)
    assert free(turns) == 1
    sleepers.wake(1).join(LONGEST_SECONDS)
    assert free(turns) == 1


def test_a_run_that_is_asked_to_stop_waits_for_no_turn():
    turns, base = Turns(1), Clock()
    assert turns.take(0)
    with turns.used(base) as clock:
        base.stopping.set()
        with pytest.raises(StoppedError):
            clock.sleep(3_600)
