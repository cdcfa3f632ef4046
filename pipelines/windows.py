"""Which closed time ranges a sync reads. Pure: no I/O, no clock of its own.

All times are aware UTC. A window is half-open, [start, end).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pendulum

# Rows of one load: enough to be fast, few enough to be held in memory and committed often.
CHUNK_ROWS = 235_000
# The service keeps rows so long; those older than the settled days may vanish while they are read.
KEPT_DAYS = 180
SETTLED_DAYS = 175
FIRST_WINDOW = timedelta(days=5)
GROWTH = 8
# A remainder of less than half a window would be a call for nothing.
LONGEST_LAST = 1.5
SHORTEST_WINDOW = timedelta(seconds=1)


@dataclass(frozen=True)
class Window:
    """A half-open range of creation or start times."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"[{short_time(self.start)}, {short_time(self.end)})"

    @property
    def length(self) -> timedelta:
        """Its length."""
        return self.end - self.start

    def split_at(self, moment: datetime) -> "list[Window]":
        """The two parts before and after `moment`, or itself where that lies outside."""
        if not self.start < moment < self.end:
            return [self]
        return [Window(self.start, moment), Window(moment, self.end)]

    def halves(self) -> "list[Window]":
        """Its two halves, cut at a whole microsecond; itself when it is too short to be cut."""
        if self.length <= SHORTEST_WINDOW:
            return [self]
        return self.split_at(self.start + self.length / 2)


def short_time(moment: datetime) -> str:
    """A time for messages: UTC, to the second."""
    return pendulum.instance(moment).in_timezone("UTC").format("YYYY-MM-DD HH:mm:ss") + "Z"


@dataclass(frozen=True)
class Horizon:
    """The times that bound one run.

    `run_start` is by the server's clock. Between `settled_from` and `settled_to` the set of rows is taken
    to be fixed: no row is born late there, and none ages out.
    """

    run_start: datetime
    settled_from: datetime
    settled_to: datetime

    @classmethod
    def at(cls, run_start: datetime, lookback: timedelta) -> "Horizon":
        """The horizon of a run that starts then."""
        return cls(run_start, run_start - timedelta(days=SETTLED_DAYS), run_start - lookback)

    def is_settled(self, window: Window) -> bool:
        """Whether the rows of the window are a fixed set."""
        return self.settled_from <= window.start and window.end <= self.settled_to

    def cut(self, window: Window) -> list[Window]:
        """The window in parts that are each settled or not."""
        return [
            part for piece in window.split_at(self.settled_from) for part in piece.split_at(self.settled_to)
        ]


def first_moment(
    watermark: datetime | None, horizon: Horizon, lookback: timedelta, initial_lookback: timedelta
) -> datetime:
    """Where a sync starts to read: behind its watermark, or as far back as a first sync reaches.

    After a long pause it starts at the oldest rows that the service still has, however short the first
    sync's reach is.
    """
    if watermark is None:
        return horizon.run_start - initial_lookback
    return max(watermark - lookback, horizon.run_start - timedelta(days=KEPT_DAYS))


@dataclass
class WindowPlan:
    """Windows from `cursor` to `end`, oldest first, each planned from the density of the one before."""

    cursor: datetime
    end: datetime
    _length: timedelta | None = None
    _rows_per_second: float | None = None

    def next(self) -> Window | None:
        """The next window, or None when all is read."""
        if self.cursor >= self.end:
            return None
        length = self._length if self._length is not None else FIRST_WINDOW
        rest = self.end - self.cursor
        return Window(self.cursor, self.end if rest <= length * LONGEST_LAST else self.cursor + length)

    def expected_rows(self, window: Window) -> int | None:
        """How many rows the density seen so far lets expect; None when nothing was seen."""
        if self._rows_per_second is None:
            return None
        return round(self._rows_per_second * window.length.total_seconds())

    def following(self, window: Window) -> Window | None:
        """The window behind one that is still being read, if that holds the rows expected."""
        ahead = replace(self)
        ahead.was_read(window, self.expected_rows(window) or 0)
        return ahead.next()

    def still_fits(self, window: Window) -> bool:
        """Whether the window, planned some time ago, holds no more than a load should by what is known now."""
        return window.end <= self.end and (self.expected_rows(window) or 0) <= LONGEST_LAST * CHUNK_ROWS

    def was_read(self, window: Window, rows: int) -> None:
        """Go on behind the window, the next one as long as its density allows, and no more than eightfold."""
        self.cursor = window.end
        seconds = window.length.total_seconds()
        self._rows_per_second = rows / seconds if seconds else None
        longest = window.length * GROWTH
        fitting = timedelta(seconds=seconds * CHUNK_ROWS / rows) if rows else longest
        self._length = max(SHORTEST_WINDOW, min(longest, fitting))

    def was_too_large(self, window: Window) -> None:
        """Take a half of it: it holds more rows than one load should."""
        self._length = max(SHORTEST_WINDOW, window.length / 3)
