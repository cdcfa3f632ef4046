"""The clocks a simulator can run by.

Owns where "now" comes from: the system, or a test's hand. Never sleeps, and knows nothing of records.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's own time, aware, in UTC."""
    return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until a test moves it; safe to move from any thread.

    It is itself a `Clock`: `Simulator(world, clock=ManualClock(start))`.
    """

    def __init__(self, start: datetime) -> None:
        self._lock = threading.Lock()
        self._now = _aware(start)

    def __call__(self) -> datetime:
        return self.now()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def advance(self, delta: timedelta | None = None, **units: float) -> datetime:
        """Moves on by `delta`, or by timedelta's own units (`advance(minutes=1)`); negative goes back."""
        with self._lock:
            self._now += delta if delta is not None else timedelta(**units)
            return self._now

    def set(self, moment: datetime) -> datetime:
        with self._lock:
            self._now = _aware(moment)
            return self._now


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a simulator's clock wants an aware datetime")
    return moment.astimezone(UTC)
