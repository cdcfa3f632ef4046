"""How one sync of one resource of one tenant goes: windows, refresh, scrub.

Decides in which order things are read and what each reading allows to be written. Reading is the reader's,
storing the chunk store's.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pipelines.chunks import ChunkStore, Observer, Part, Writer
from pipelines.clock import Clock
from pipelines.errors import RejectedError
from pipelines.odata import null_filter
from pipelines.pages import Reading
from pipelines.reader import ListReader
from pipelines.refresh import IDS_PER_CALL, RefreshPlan, plan_refresh, scrub_start, settled_history
from pipelines.settings import SyncSettings
from pipelines.warehouse import RunRow, Warehouse
from pipelines.window_walk import WindowWalk
from pipelines.windows import Horizon, Window, WindowPlan, first_moment

logger = logging.getLogger(__name__)

# A clock that differs from the server's by less is taken to be right: its times are told in whole seconds.
SMALLEST_SKEW = timedelta(seconds=2)
# A scrub asks for fewer known rows than a page holds, so that some unknown ones fit in the same call.
SCRUB_FILL = 0.95
START_OF_TIME = datetime.min.replace(tzinfo=UTC)


class ResourceSync:
    """One resource of one tenant, in one run."""

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
    ) -> None:
        self.reader, self.run_row = reader, run
        self._settings, self._clock = settings, clock
        self._warehouse, self._observer = warehouse, observer
        self._resource = reader.resource
        self._lookback = timedelta(minutes=settings.lookback_minutes)
        self._horizon = Horizon.at(run.started_at, self._lookback)
        self._knows_server_time = False
        self._store = ChunkStore(
            clock=clock, warehouse=warehouse, writer=writer, reader=reader, run=run, observer=observer
        )

    def run(self) -> None:
        """Read all that is due. Raises PartialError where a window could not be proven whole."""
        with self._store, self.reader.opened():
            caught_up_from = self._catch_up()
            self._read_timeless()
            self._store.wait()
            self._refresh()
            self._scrub(caught_up_from)
        self._store.raise_if_unproven()

    # --- new rows ---

    def _catch_up(self) -> datetime:
        """Read window by window from behind the watermark to the run's start; where it began."""
        kept = self._warehouse.progress(self.run_row.tenant, self._resource).watermark
        if kept is not None and kept > self._horizon.run_start:
            self._ask_server_time()
        start = first_moment(
            kept and min(kept, self._horizon.run_start),
            self._horizon,
            self._lookback,
            timedelta(days=self._settings.initial_lookback_days),
        )
        if kept is not None and kept < start:
            self._warehouse.note_gap(self.run_row.tenant, self._resource, start)
        # What was purged is not read again.
        start = max(start, min(self._purged_before(), self._horizon.run_start))
        plan = WindowPlan(start, self._horizon.run_start)
        self.run_row.window_start = start
        walk = WindowWalk(self.reader, plan, self._horizon)
        contiguous = True
        for window, reading in walk.readings(self._begins):
            self._learn_server_time(reading.server_time, reading.server_ahead)
            walk.horizon, plan.end = self._horizon, self._horizon.run_start
            contiguous = contiguous and reading.proven
            reached = min(window.end, reading.server_time or window.end)
            moves = contiguous and (kept is None or reached > kept or kept > self._horizon.run_start)
            self._store.store(
                reading,
                Part(window=window),
                watermark=reached if moves else None,
                window_end=window.end,
            )
        return start

    def _begins(self, window: Window) -> None:
        self._observer.reading(self.run_row, str(window), self.reader)

    def _purged_before(self) -> datetime:
        """Nothing older than this is kept."""
        return self._warehouse.tombstones(self.run_row.tenant).purged_before or START_OF_TIME

    def _ask_server_time(self) -> None:
        """The watermark lies in our clock's future: ask the server for the time before windows are made."""
        answer = self.reader.fetch("", 0, 1)
        self._learn_server_time(answer.server_time, answer.server_ahead)

    def _learn_server_time(self, server_time: datetime | None, skew: timedelta) -> None:
        """From the first answer, move the run's start to the server's clock where the two differ."""
        if self._knows_server_time or server_time is None:
            return
        self._knows_server_time = True
        if abs(skew) < SMALLEST_SKEW:
            return
        logger.warning(
            "tenant %s: this machine's clock is %.0f s %s the server's; going by the server's",
            self.run_row.tenant,
            abs(skew).total_seconds(),
            "behind" if skew > timedelta(0) else "ahead of",
        )
        self._horizon = Horizon.at(self.run_row.started_at + skew, self._lookback)

    def _read_timeless(self) -> None:
        """The rows that no window holds, as they have no time yet."""
        if self._resource.cursor_required:
            return
        part = Part("without a start")
        self._observer.reading(self.run_row, str(part), self.reader)
        try:
            known_rows = self._warehouse.count_timeless(self.run_row.tenant, self._resource)
            reading = self.reader.read_list(null_filter(self._resource.cursor_field), known_rows)
        except RejectedError as error:
            logger.info("%s", error)
            return
        if reading.rows:
            self._store.store(reading, part)

    # --- rows that may have changed ---

    def _refresh(self) -> None:
        """Read again the open rows that this run has not read."""
        rows = self._warehouse.open_rows(self.run_row.tenant, self._resource, self._store.first_stamp)
        if not rows:
            return
        plan = plan_refresh(rows, self.reader.sizes.asked)
        part = Part(f"{len(rows)} open")
        self._observer.reading(self.run_row, str(part), self.reader)
        whole, gone = self._read_batches(plan)
        if plan.window is not None:
            reading = self.reader.read_in_parts(plan.window, self._horizon, plan.window_rows)
            whole.add(reading)
            if reading.proven:
                missing = [each for each in plan.window_ids if each not in reading.identities]
                for start in range(0, len(missing), IDS_PER_CALL):
                    ids = missing[start : start + IDS_PER_CALL]
                    gone += self._read_until_gone(ids, whole, were_missed=True)
        self._store.store(whole, part, gone_ids=gone)
        # Not with what the scrub reads of the same rows: each reading may be a version.
        self._store.seal()

    def _read_batches(self, plan: RefreshPlan) -> tuple[Reading, list[str]]:
        """The rows asked for by id, and the ids that are no longer there."""
        whole, gone = Reading(), []
        for batch in plan.id_batches:
            gone += self._read_until_gone(batch, whole)
        return whole, gone

    def _read_until_gone(self, ids: Sequence[str], whole: Reading, *, were_missed: bool = False) -> list[str]:
        """Read these ids into `whole`; those are gone that two readings do not show, the last of which shows none
        of them. `were_missed`: one reading did not show them already.

        An answer may be cut short, and a row that is called gone is asked for no more.
        """
        missing = tuple(ids)
        while missing:
            reading = self._read_ids(missing)
            whole.add(reading)
            found = reading.identities.intersection(missing)
            if not reading.proven:
                return []
            if were_missed and not found:
                break
            missing, were_missed = tuple(each for each in missing if each not in found), True
        return list(missing)

    def _read_ids(self, ids: tuple[str, ...]) -> Reading:
        """The rows of these ids; where the API refuses the filter, in smaller parts."""
        try:
            return self.reader.read_ids(ids)
        except RejectedError as error:
            if len(ids) == 1:
                logger.warning("cannot read one row again: %s", error)
                return Reading(proven=False)
            middle = len(ids) // 2
            first = self._read_ids(ids[:middle])
            first.add(self._read_ids(ids[middle:]))
            return first

    # --- settled history ---

    def _scrub(self, caught_up_from: datetime) -> None:
        """Read some settled history again, oldest first, round and round, and store what differs."""
        settled = settled_history(
            self._horizon,
            caught_up_from,
            timedelta(days=self._settings.initial_lookback_days),
            self._warehouse.oldest_at(self.run_row.tenant, self._resource),
        )
        settled = Window(max(settled.start, self._purged_before()), settled.end)
        if settled.length <= timedelta(0):
            return
        progress = self._warehouse.progress(self.run_row.tenant, self._resource)
        begin = start = scrub_start(progress.scrubbed_until, settled)
        end = settled.end
        last_call = self.reader.client.counts.calls + self._settings.scrub_calls
        while start < end and self.reader.client.counts.calls < last_call:
            window, known_rows = self._warehouse.scrub_window(
                self.run_row.tenant, self._resource, start, end, round(self.reader.sizes.asked * SCRUB_FILL)
            )
            part = Part("scrub", window)
            self._observer.reading(self.run_row, str(part), self.reader)
            reading = self.reader.read_in_parts(window, self._horizon, known_rows, known_rows)
            if not reading.proven and window.start != begin:
                # The next run begins there; what still cannot be proven then must not hold up the rest.
                self._store.store(reading, part)
                return
            start = window.end
            done = start >= settled.end
            self._store.store(reading, part, scrubbed_until=settled.start if done else start)
            if done and begin > settled.start:
                start, end = settled.start, begin
