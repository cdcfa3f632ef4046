"""The two real limits on calls, counted in sliding windows for each tenant, application and API.

Owns the counting. Never waits and never answers: it says how long a caller has to wait.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from simulator.times import HOUR, MINUTE, SECOND


@dataclass(frozen=True)
class Limits:
    """The documented ones, unless a test says otherwise."""

    per_minute: int = 100
    per_hour: int = 1_500


class Throttle:
    """Counts the calls that it lets through, not those that it refuses. `limits` None lets all through."""

    def __init__(self, limits: Limits | None) -> None:
        self.limits = limits
        self._calls: dict[tuple[str, ...], deque[int]] = {}

    def admit(self, key: tuple[str, ...], ticks: int) -> int | None:
        """None when the call may pass (and is counted), else the whole seconds to wait."""
        if self.limits is None:
            return None
        calls = self._calls.setdefault(key, deque())
        while calls and calls[0] <= ticks - HOUR:
            calls.popleft()
        waits = [
            wait
            for limit, span in ((self.limits.per_minute, MINUTE), (self.limits.per_hour, HOUR))
            if (wait := _wait(calls, limit, span, ticks)) > 0
        ]
        if waits:
            return math.ceil(max(waits) / SECOND)
        calls.append(ticks)
        return None


def _wait(calls: deque[int], limit: int, span: int, ticks: int) -> int:
    """Ticks until fewer than `limit` calls lie within the last `span`."""
    if len(calls) < limit:
        return 0
    if limit < 1:
        return span
    return calls[-limit] + span - ticks
