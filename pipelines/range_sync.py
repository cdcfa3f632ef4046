"""How a closed range is read again: `backfill` merges what the API shows, `reconcile` also marks what it lacks.

Neither moves the watermark. A range that was cut short goes on where it was.
"""

from datetime import datetime, timedelta

from pipelines.chunks import ChunkStore, Observer, Part, Writer
from pipelines.clock import Clock
from pipelines.pages import Reading
from pipelines.reader import ListReader
from pipelines.settings import SyncSettings
from pipelines.warehouse import RangeKey, RunRow, Warehouse
from pipelines.window_walk import WindowWalk
from pipelines.windows import Horizon, Window, WindowPlan

BACKFILL = "backfill"
RECONCILE = "reconcile"


class RangeSync:
    """One resource of one tenant, over one range."""

    def __init__(
        self,
        *,
        settings: SyncSettings,
        clock: Clock,
        warehouse: Warehouse,
        writer: Writer,
        reader: ListReader,
        run: RunRow,
        observer: Observer,
        asked: Window,
    ) -> None:
        self._clock, self._warehouse, self._observer = clock, warehouse, observer
        self._reader, self._run, self._asked = reader, run, asked
        self._resource = reader.resource
        self._horizon = Horizon.at(run.started_at, timedelta(minutes=settings.lookback_minutes))
        self._store = ChunkStore(
            clock=clock, warehouse=warehouse, writer=writer, reader=reader, run=run, observer=observer
        )

    def run(self) -> None:
        """Read the range window by window. Raises PartialError where one could not be proven whole."""
        key, reached = self._where_to_begin()
        purged_before = self._warehouse.tombstones(self._run.tenant).purged_before
        if purged_before is not None:
            # What was purged is not read again.
            reached = max(reached, min(purged_before, key.end))
        plan = WindowPlan(reached, key.end)
        self._run.window_start, self._run.window_end = reached, reached

        def begins(window: Window) -> None:
            self._observer.reading(self._run, f"{window} {self._outlook(key, plan)}", self._reader)

        with self._store, self._reader.opened():
            walk = WindowWalk(self._reader, plan, self._horizon)
            for window, reading in walk.readings(begins):
                self._store.store(
                    reading,
                    Part(window=window),
                    outlook=self._outlook(key, plan),
                    gone_ids=self._missing_from(reading, window),
                    range_reached=(key, window.end),
                    window_end=window.end,
                )
        self._warehouse.finish_range(self._run.tenant, self._resource, key.command)
        self._store.raise_if_unproven()

    def _where_to_begin(self) -> tuple[RangeKey, datetime]:
        """The range asked for, or what is left of the same one that was cut short."""
        kept = self._warehouse.unfinished_range(self._run.tenant, self._resource, self._run.command)
        asked = RangeKey(self._run.command, self._asked.start, self._asked.end)
        if kept is not None:
            key, reached = kept
            # A reconcile asks for the last so many days: its range has moved on since it was cut short.
            same_length = key.end - key.start == asked.end - asked.start
            moved = asked.end - key.end
            if key == asked or (key.command == RECONCILE and same_length and moved < timedelta(days=1)):
                return key, reached
        return asked, asked.start

    def _missing_from(self, reading: Reading, window: Window) -> tuple[str, ...]:
        """The warehouse's rows of a window that the API, which was read whole, does not show."""
        if self._run.command != RECONCILE or not reading.proven:
            return ()
        known = self._warehouse.ids_between(self._run.tenant, self._resource, window)
        missing = tuple(each for each in known if each not in reading.identities)
        if not missing:
            return ()
        # An answer may be cut short: gone is what two readings do not show.
        again = self._reader.read_in_parts(window, self._horizon, reading.rows)
        return tuple(each for each in missing if each not in again.identities) if again.proven else ()

    def _outlook(self, key: RangeKey, plan: WindowPlan) -> str:
        """How much of the range is read, and how long the quota makes the rest take."""
        length = (key.end - key.start).total_seconds()
        done = (plan.cursor - key.start).total_seconds() / length
        rest_rows = plan.expected_rows(Window(plan.cursor, key.end))
        if rest_rows is None or plan.cursor >= key.end:
            return f"({done:.0%})"
        calls = rest_rows // self._reader.sizes.asked + 1
        seconds = self._reader.client.quota.seconds_for(calls, self._clock.now())
        left = "less than a minute" if seconds < 60 else f"{seconds / 60:.0f} min"
        return f"({done:.0%}, {left} of quota left to wait)" if seconds else f"({done:.0%})"
