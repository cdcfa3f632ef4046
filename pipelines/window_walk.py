"""Reads the windows of a plan in turn, each cut by the density of those before it.

While the last pages of a window come, the first ones of the next are asked for already: so a long list takes the calls
that its rows need, and not as many waits on top as it has windows.
"""

from collections.abc import Callable, Iterator
from functools import partial

from pipelines.pages import Reading, TooManyRowsError
from pipelines.reader import ListReader
from pipelines.windows import Horizon, Window, WindowPlan


class WindowWalk:
    """One walk over a plan. `horizon` may be moved between two windows."""

    def __init__(self, reader: ListReader, plan: WindowPlan, horizon: Horizon) -> None:
        self.horizon = horizon
        self._reader, self._plan = reader, plan
        self._begun: Window | None = None

    def readings(self, begins: Callable[[Window], None]) -> Iterator[tuple[Window, Reading]]:
        """Every window with what was read of it, oldest first; `begins` is told which one is about to be read."""
        while (window := self._next()) is not None:
            begins(window)
            expected_rows = self._plan.expected_rows(window)
            try:
                reading = self._reader.read_window(
                    window, self.horizon, expected_rows, following=partial(self._following, window)
                )
            except TooManyRowsError:
                self._turn_back()
                self._plan.was_too_large(window)
                continue
            self._plan.was_read(window, reading.rows)
            yield window, reading

    def _next(self) -> Window | None:
        """The window that was begun, if it is still one by what is known now; else the next of the plan."""
        begun, self._begun = self._begun, None
        if begun is not None and self._plan.still_fits(begun) and self._provable_part(begun) == begun:
            return begun
        self._turn_back()
        return self._provable_part(self._plan.next())

    def _turn_back(self) -> None:
        self._begun = None
        self._reader.turn_back()

    def _following(self, window: Window) -> tuple[Window, int | None] | None:
        """The window behind one that is being read, and the rows expected in it."""
        self._begun = self._provable_part(self._plan.following(window))
        return None if self._begun is None else (self._begun, self._plan.expected_rows(self._begun))

    def _provable_part(self, window: Window | None) -> Window | None:
        """Where several pages are expected, only a settled part can be proven in one reading."""
        if window is not None and (self._plan.expected_rows(window) or 0) > self._reader.sizes.asked:
            return self.horizon.cut(window)[0]
        return window
