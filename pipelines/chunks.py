"""Chunks: what one load stores, and how the readings of one resource become chunks, one at a time.

A chunk is handed to the writer, and reading goes on while it is stored. Until the writer takes it, which has many
tenants' chunks to store, or waits a moment for more, small readings that follow join it: storing one costs as much as
thousands of rows. Its read stamp (`synced_at`) is later than that of any row before it.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from pipelines.clock import Clock
from pipelines.errors import PartialError, StoppedError
from pipelines.pages import Reading
from pipelines.reader import ListReader
from pipelines.records import BadRecord
from pipelines.resources import Resource
from pipelines.warehouse import TICK, Changes, RangeKey, RunRow, Warehouse
from pipelines.windows import Window

NAMED_WINDOWS = 3
# Readings are gathered up to so many rows; one that would make more waits until those before it are stored.
GATHERED_ROWS = 50_000


@dataclass(frozen=True)
class Chunk:
    """Rows as they were read, and what the database is told once they are in."""

    tenant: str
    resource: Resource
    stamp: datetime
    tables: tuple[pa.Table, ...]
    bad_records: tuple[BadRecord, ...] = ()
    gone_ids: tuple[str, ...] = ()
    watermark: datetime | None = None
    scrubbed_until: datetime | None = None
    range_reached: tuple[RangeKey, datetime] | None = None
    largest_page: int = 0


@dataclass(frozen=True)
class Part:
    """What a reading covers, as messages name it: `[…, …)`, `scrub […, …)`, `12 open`."""

    kind: str = ""
    window: Window | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.window or ''}".strip()

    def joined(self, following: "Part") -> "list[Part]":
        """Both as one, where the other goes on where this ends."""
        if (
            self.kind == following.kind
            and self.window is not None
            and following.window is not None
            and self.window.end == following.window.start
        ):
            return [Part(self.kind, Window(self.window.start, following.window.end))]
        return [self, following]


@dataclass
class _Gathered:
    """Readings that are stored together, and what the database is told once they are in."""

    read_at: datetime
    tables: list[pa.Table] = field(default_factory=list)
    bad_records: list[BadRecord] = field(default_factory=list)
    gone_ids: list[str] = field(default_factory=list)
    rows: int = 0
    watermark: datetime | None = None
    scrubbed_until: datetime | None = None
    range_reached: tuple[RangeKey, datetime] | None = None
    window_end: datetime | None = None
    parts: list[Part] = field(default_factory=list)
    outlook: str = ""
    is_sealed: bool = False

    def is_complete(self) -> bool:
        """Whether nothing is to be expected that would join it."""
        return self.is_sealed or self.rows >= GATHERED_ROWS

    def __str__(self) -> str:
        return " ".join(filter(None, (", ".join(map(str, self.parts)), self.outlook)))


class Writer(Protocol):
    """Stores chunks, one after the other."""

    def submit(self, take: Callable[[], Chunk], is_complete: Callable[[], bool]) -> "Future[Changes]":
        """Store the chunk that is to be taken then: some time later, or when it is complete."""

    def hurry(self) -> None:
        """A chunk that was submitted may be complete now."""


class Observer(Protocol):
    """Is told how a resource gets on."""

    def reading(self, run: RunRow, what: str, reader: ListReader) -> None:
        """Something is about to be read."""

    def stored(self, run: RunRow, what: str, rows: int, changes: Changes) -> None:
        """A chunk is in the warehouse."""


class ChunkStore:
    """Where the readings of one resource of one tenant go, in one run."""

    def __init__(
        self,
        *,
        clock: Clock,
        warehouse: Warehouse,
        writer: Writer,
        reader: ListReader,
        run: RunRow,
        observer: Observer,
    ) -> None:
        self._clock, self._writer, self._observer = clock, writer, observer
        self._warehouse = warehouse
        self._reader, self._run = reader, run
        self._resource = reader.resource
        self._lock = threading.Lock()
        # What the writer has not taken yet, and may still be added to.
        self._gathered: _Gathered | None = None
        self._handed_over: deque[tuple[Future[Changes], _Gathered]] = deque()
        self._has_failed = False
        self._unproven: list[Window] = []
        # Rows with an older stamp were not read by this run.
        self.first_stamp = warehouse.read_stamp(run.tenant, self._resource, clock.now())
        self._last_stamp = self.first_stamp - TICK

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is stored, also where reading failed, unless the run is stopped. That something cannot be
        stored is raised rather than why reading failed.
        """
        if not isinstance(error, StoppedError):
            self.wait()

    def store(
        self,
        reading: Reading,
        part: Part,
        *,
        outlook: str = "",
        gone_ids: Sequence[str] = (),
        watermark: datetime | None = None,
        scrubbed_until: datetime | None = None,
        range_reached: tuple[RangeKey, datetime] | None = None,
        window_end: datetime | None = None,
    ) -> None:
        """Hand a reading to the writer. `outlook` is told behind what it covers; `window_end` is where the run log
        is to say that the run has come to, once it is stored.
        """
        now = self._clock.now()
        self._unproven += reading.unproven_windows
        self._run.rows_quarantined += len({bad.record_hash for bad in reading.bad_records})
        if not self._has_room_for(reading):
            self.wait()
        with self._lock:
            is_first = self._gathered is None
            gathered = self._gathered = self._gathered or _Gathered(now)
            gathered.read_at = now
            gathered.tables += reading.tables
            gathered.bad_records += reading.bad_records
            gathered.gone_ids += gone_ids
            gathered.rows += reading.rows
            gathered.watermark = watermark or gathered.watermark
            gathered.scrubbed_until = scrubbed_until or gathered.scrubbed_until
            gathered.range_reached = range_reached or gathered.range_reached
            gathered.window_end = window_end or gathered.window_end
            gathered.parts[-1:] = gathered.parts[-1].joined(part) if gathered.parts else [part]
            gathered.outlook = outlook
        if is_first:
            future = self._writer.submit(partial(self._take, gathered), gathered.is_complete)
            future.add_done_callback(self._note_failure)
            self._handed_over.append((future, gathered))
        if gone_ids:
            # A later reading may show them again.
            self.seal()
        elif gathered.is_complete():
            self._writer.hurry()
        while self._handed_over and self._handed_over[0][0].done():
            self._settle()

    def seal(self) -> None:
        """Let no reading that follows join those before it."""
        with self._lock:
            gathered, self._gathered = self._gathered, None
        if gathered is not None:
            gathered.is_sealed = True
            self._writer.hurry()

    def wait(self) -> None:
        """Until all that was read is stored."""
        self.seal()
        while self._handed_over:
            self._settle()

    def _has_room_for(self, reading: Reading) -> bool:
        with self._lock:
            gathered_rows = self._gathered.rows if self._gathered else 0
        return gathered_rows + reading.rows <= GATHERED_ROWS

    def _take(self, gathered: _Gathered) -> Chunk:
        """The chunk that the writer is about to store."""
        if self._has_failed:
            # The watermark must not pass rows that could not be stored.
            raise RuntimeError("a chunk before this one could not be stored")
        with self._lock:
            if self._gathered is gathered:
                self._gathered = None
        # They are not held any longer than it takes to store them.
        tables, gathered.tables = tuple(gathered.tables), []
        bad_records, gathered.bad_records = tuple(gathered.bad_records), []
        self._last_stamp = max(gathered.read_at, self._last_stamp + TICK)
        return Chunk(
            tenant=self._run.tenant,
            resource=self._resource,
            stamp=self._last_stamp,
            tables=tables,
            bad_records=bad_records,
            gone_ids=tuple(gathered.gone_ids),
            watermark=gathered.watermark,
            scrubbed_until=gathered.scrubbed_until,
            range_reached=gathered.range_reached,
            largest_page=self._reader.sizes.largest_ever,
        )

    def _note_failure(self, future: "Future[Changes]") -> None:
        # Before the writer takes the next chunk.
        self._has_failed = self._has_failed or future.cancelled() or future.exception() is not None

    def _settle(self) -> None:
        """Wait for the chunk that was handed over first, and note what came of it."""
        future, gathered = self._handed_over.popleft()
        try:
            changes = future.result()
        except BaseException:
            # Those behind it are not stored, which needs no telling.
            self._handed_over.clear()
            raise
        self._run.rows_new += changes.rows_new
        self._run.rows_changed += changes.rows_changed
        self._run.window_end = gathered.window_end or self._run.window_end
        # A run that is killed leaves in the log what it came to.
        self._run.rows_read = self._reader.rows
        self._warehouse.save_run(self._run)
        self._observer.stored(self._run, str(gathered), gathered.rows, changes)

    def raise_if_unproven(self) -> None:
        """PartialError where a window could not be proven whole."""
        if not self._unproven:
            return
        names = ", ".join(str(window) for window in self._unproven[:NAMED_WINDOWS])
        more = len(self._unproven) - NAMED_WINDOWS
        raise PartialError(
            f"{self._resource.name}: rows of {names}{f' and {more} more' if more > 0 else ''} kept moving while they "
            "were read; what came is kept, and they are read again later"
        )
