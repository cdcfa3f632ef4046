"""Turns: so many tenants at work at a time, of however many.

More of them would only be in each other's way: they share the processors, Python's lock and one writer. One that
waits, for its quota say, gives its turn to another meanwhile.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipelines.clock import Clock

# Who waits for a turn looks so often whether it still needs one.
LOOK_SECONDS = 0.2


class Turns:
    """A number of turns."""

    def __init__(self, most_at_once: int) -> None:
        self._free = threading.Semaphore(most_at_once)

    def take(self, longest_seconds: float) -> bool:
        """Take a turn; False where none is free for so long."""
        return self._free.acquire(timeout=longest_seconds)

    @contextmanager
    def used(self, clock: Clock) -> Iterator[Clock]:
        """Use a turn that was taken, and give it back; yields a clock by which any of its user's threads may wait.

        When one begins to wait the turn is given away, and the first that goes on takes one again, for all of them.
        """
        use = _Use(self._free)

        def wait(seconds: float) -> None:
            use.give()
            try:
                clock.sleep(seconds)
            finally:
                use.take_back(clock.stopping)

        try:
            yield replace(clock, wait=wait)
        finally:
            use.end()


class _Use:
    """A turn in use, given away and taken back by whichever thread of its user."""

    def __init__(self, free: threading.Semaphore) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._is_held, self._has_ended = True, False

    def give(self) -> None:
        with self._lock:
            if self._is_held:
                self._is_held = False
                self._free.release()

    def take_back(self, stopping: threading.Event) -> None:
        """Unless another thread did, the user has ended, which threads may outlive, or the run is to stop."""
        while not (self._is_held or self._has_ended or stopping.is_set()):
            if self._free.acquire(timeout=LOOK_SECONDS):
                with self._lock:
                    if self._is_held or self._has_ended:
                        self._free.release()
                    else:
                        self._is_held = True

    def end(self) -> None:
        with self._lock:
            self._has_ended = True
        self.give()
