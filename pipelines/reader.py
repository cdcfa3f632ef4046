"""Reads lists of the API whole: by ids, without a time range, and windows, with the proof that no row was missed.

What cannot be proven is read again, in parts where it has a time range.
"""

import logging
from collections.abc import Callable, Sequence

from pipelines.odata import ids_filter, window_filter
from pipelines.pages import PageReader, Reading, TooManyRowsError
from pipelines.windows import SHORTEST_WINDOW, Horizon, Window

logger = logging.getLogger(__name__)

MOST_READS_TO_AGREE = 4
MOST_TRIES_OF_A_SECOND = 3

# Tells which window comes next, with the rows expected in it; None where there is none.
FollowingWindow = Callable[[], tuple[Window, int | None] | None]


class ListReader(PageReader):
    """Reads lists of one resource of one tenant."""

    def read_ids(self, ids: Sequence[str]) -> Reading:
        """The rows of these ids, as far as they are there."""
        return self.read_pages(ids_filter(ids), len(ids), None, most_rows=len(ids))

    def read_list(self, filter_text: str, known_rows: int) -> Reading:
        """A list without a time range. One that takes several pages is read until two reads agree."""
        reading = self.read_pages(filter_text, None, known_rows)
        if reading.pages > 1:
            reading.proven = self._agrees_with_itself(reading, filter_text)
        return reading

    def read_window(
        self,
        window: Window,
        horizon: Horizon,
        expected_rows: int | None = None,
        known_rows: int | None = None,
        following: FollowingWindow | None = None,
    ) -> Reading:
        """All rows of a window, proven; else what came, with the windows that could not be proven.

        While its last pages come, the first ones of the window `following` are asked for, which is then the next one
        read, or given up by `turn_back`. Raises TooManyRowsError where it should be cut first;
        `read_in_parts` does so.
        """
        guarded = window.length > SHORTEST_WINDOW
        reading = self.read_pages(
            self._filter(window),
            expected_rows,
            known_rows,
            guarded=guarded,
            following=following and (lambda: self._list_of(following())),
        )
        if self._is_proven(reading, window, horizon):
            return reading
        parts = horizon.cut(window)
        if len(parts) == 1:
            parts = window.halves()
        if len(parts) == 1:
            return self._try_again(reading, window, horizon)
        logger.info("%s %s cannot be proven whole; reading it in parts", self.resource.name, window)
        whole = Reading(tables=reading.tables, bad_records=reading.bad_records)
        whole.learn_clock(reading.server_time, reading.server_ahead)
        for part in parts:
            whole.add(self.read_window(part, horizon))
        return whole

    def read_in_parts(
        self, window: Window, horizon: Horizon, expected_rows: int, known_rows: int | None = None
    ) -> Reading:
        """As `read_window`, and in halves where it holds too many rows for one reading."""
        try:
            return self.read_window(window, horizon, expected_rows, known_rows)
        except TooManyRowsError:
            whole = Reading()
            for part in window.halves():
                whole.add(self.read_in_parts(part, horizon, expected_rows // 2))
            return whole

    def _is_proven(self, reading: Reading, window: Window, horizon: Horizon) -> bool:
        if reading.pages <= 1 or (reading.proven and horizon.is_settled(window)):
            return reading.proven
        if horizon.is_settled(window) or len(horizon.cut(window)) > 1:
            return False
        return self._agrees_with_itself(reading, self._filter(window))

    def _agrees_with_itself(self, reading: Reading, filter_text: str) -> bool:
        """Read an unsettled list until two reads in a row give the same ids; all reads are kept."""
        before = reading.identities
        for _ in range(MOST_READS_TO_AGREE - 1):
            again = self.read_pages(filter_text, len(before), None)
            same = again.proven and again.identities == before
            before = again.identities
            reading.tables += again.tables
            reading.bad_records += again.bad_records
            reading.identities = reading.identities | again.identities
            reading.rows = max(reading.rows, again.rows)
            if same:
                return True
        return False

    def _try_again(self, reading: Reading, window: Window, horizon: Horizon) -> Reading:
        """The shortest window, a few times more; what came is kept also when it stays unproven."""
        for _ in range(MOST_TRIES_OF_A_SECOND - 1):
            again = self.read_pages(self._filter(window), None, None)
            proven = self._is_proven(again, window, horizon)
            reading.add(again)
            reading.proven = proven
            if proven:
                return reading
        reading.proven = False
        reading.unproven_windows = [window]
        return reading

    def _list_of(self, coming: tuple[Window, int | None] | None) -> tuple[str, int | None] | None:
        return coming and (self._filter(coming[0]), coming[1])

    def _filter(self, window: Window) -> str:
        return window_filter(self.resource.cursor_field, window.start, window.end)
