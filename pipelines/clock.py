"""Time as it is passed in: what the time is, and how to wait.

Nothing else in the package asks the wall clock or sleeps, so that a test may hold both still.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipelines.errors import StoppedError


def utc_now() -> datetime:
    """The present moment, aware, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """The clock of one run.

    `now` gives aware UTC times; `wait` waits that many seconds, or less when `stopping` is set;
    `jitter` gives a number in [0, 1) that spreads retries.
    """

    now: Callable[[], datetime] = utc_now
    stopping: threading.Event = field(default_factory=threading.Event)
    wait: Callable[[float], object] | None = None
    jitter: Callable[[], float] = random.random

    def sleep(self, seconds: float) -> None:
        """Wait, and raise StoppedError at once when the run is asked to stop."""
        if self.wait is not None:
            self.wait(seconds)
        else:
            self.stopping.wait(seconds)
        self.raise_if_stopping()

    def raise_if_stopping(self) -> None:
        """Raise StoppedError when the run is asked to stop."""
        if self.stopping.is_set():
            raise StoppedError
