"""Turns: so many tenants at work at a time, of however many.

More of them would only be in each other's way: they share the processors, Python's lock and one writer. One that
waits, for its quota say, gives its turn to another meanwhile.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipelines.clock import Clock


class Turns:
    """A number of turns; those who ask first are first."""

    def __init__(self, most_at_once: int) -> None:
        self._free = threading.Semaphore(most_at_once)

    def take(self, longest_seconds: float) -> bool:
        """Take a turn; False where none is free for so long."""
        return self._free.acquire(timeout=longest_seconds)

    @contextmanager
    def used(self, clock: Clock) -> Iterator[Clock]:
        """Use a turn that was taken, and give it back; yields a clock by which several threads may wait without it."""
        lock = threading.Lock()
        waiting = 0

        def wait(seconds: float) -> None:
            nonlocal waiting
            with lock:
                waiting += 1
                if waiting == 1:
                    self._free.release()
            try:
                clock.sleep(seconds)
            finally:
                with lock:
                    waiting -= 1
                    # Where the run is asked to stop, nobody waits for turns any more.
                    if waiting == 0 and not clock.stopping.is_set():
                        self._free.acquire()

        try:
            yield replace(clock, wait=wait)
        finally:
            self._free.release()
