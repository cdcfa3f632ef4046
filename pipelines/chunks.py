"""Chunks: what one load stores, and how the readings of one resource become chunks, one at a time.

A chunk is handed to the writer, and reading goes on while it is stored. Its read stamp (`synced_at`) is
later than that of any row before it.
"""

from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from pipelines.clock import Clock
from pipelines.errors import PartialError
from pipelines.pages import Reading
from pipelines.reader import ListReader
from pipelines.records import BadRecord, Resource
from pipelines.warehouse import TICK, Changes, RangeKey, RunRow, Warehouse
from pipelines.windows import Window

NAMED_WINDOWS = 3


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


class Writer(Protocol):
    """Stores chunks, one after the other."""

    def submit(self, chunk: Chunk) -> "Future[Changes]":
        """Store the chunk some time later."""


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
        self._pending: tuple[Future[Changes], str, int] | None = None
        self._unproven: list[Window] = []
        # Rows with an older stamp were not read by this run.
        self.first_stamp = warehouse.read_stamp(run.tenant, self._resource, clock.now())
        self._last_stamp = self.first_stamp - TICK

    def store(
        self,
        reading: Reading,
        what: str,
        *,
        gone_ids: tuple[str, ...] = (),
        watermark: datetime | None = None,
        scrubbed_until: datetime | None = None,
        range_reached: tuple[RangeKey, datetime] | None = None,
    ) -> None:
        """Hand a chunk to the writer once the one before it is stored."""
        self.wait()
        self._unproven += reading.unproven_windows
        self._last_stamp = max(self._clock.now(), self._last_stamp + TICK)
        chunk = Chunk(
            tenant=self._run.tenant,
            resource=self._resource,
            stamp=self._last_stamp,
            tables=tuple(reading.tables),
            bad_records=tuple(reading.bad_records),
            gone_ids=gone_ids,
            watermark=watermark,
            scrubbed_until=scrubbed_until,
            range_reached=range_reached,
            largest_page=self._reader.sizes.largest_ever,
        )
        self._run.rows_quarantined += len({bad.record_hash for bad in reading.bad_records})
        self._pending = (self._writer.submit(chunk), what, reading.rows)

    def wait(self) -> None:
        """Until the chunk under way is stored."""
        if self._pending is None:
            return
        future, what, rows = self._pending
        self._pending = None
        changes = future.result()
        self._run.rows_new += changes.rows_new
        self._run.rows_changed += changes.rows_changed
        # A run that is killed leaves in the log what it came to.
        self._run.rows_read = self._reader.rows
        self._warehouse.save_run(self._run)
        self._observer.stored(self._run, what, rows, changes)

    def raise_if_unproven(self) -> None:
        """PartialError where a window could not be proven whole."""
        if not self._unproven:
            return
        names = ", ".join(str(window) for window in self._unproven[:NAMED_WINDOWS])
        more = len(self._unproven) - NAMED_WINDOWS
        raise PartialError(
            f"{self._resource.name}: rows of {names}{f' and {more} more' if more > 0 else ''} kept moving while they "
            "were read; what came is kept, and they are read again next time"
        )
