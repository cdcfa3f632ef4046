"""Stores chunks: removes duplicates, finds what differs, lets dlt merge it, and commits the rest.

One thread does it all in turn, for all tenants: their pipelines share one staging dataset. It is not the main
one, in which dlt would act on signals, and which must stay free to stop the run. While it has nothing else to store,
it gives a chunk some time to grow.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.chunks import Chunk
from pipelines.defender import Loader
from pipelines.errors import StoppedError
from pipelines.warehouse import Changes, Warehouse

T = TypeVar("T")

# So long a chunk may wait for more rows. A run that ends in this time leaves it to the next, which reads it again.
LINGER_SECONDS = 1.0


class ChunkWriter:
    """The one writer of a run."""

    def __init__(self, warehouse: Warehouse, loader: Loader) -> None:
        self._warehouse = warehouse
        self._loader = loader
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._unfinished: set[Future[Any]] = set()
        self._news = threading.Condition()
        self._not_begun = 0
        self._is_closing = False

    @property
    def is_busy(self) -> bool:
        """Whether something is being stored."""
        return bool(self._unfinished)

    def prepare(self, tenant: str) -> "Future[None]":
        """Make sure that all state tables exist."""
        return self._hand_over(lambda: self._loader.create_state_tables(tenant))

    def submit(self, take: Callable[[], Chunk], is_complete: Callable[[], bool]) -> "Future[Changes]":
        """Store the chunk, to be taken once those submitted before are stored, and it is complete or has waited."""

        def job() -> Changes:
            self._linger(is_complete)
            return self._store(take())

        return self._hand_over(job)

    def hurry(self) -> None:
        """The chunk that waits for more rows may be complete now."""
        with self._news:
            self._news.notify()

    def _hand_over(self, job: Callable[[], T]) -> "Future[T]":
        with self._news:
            self._not_begun += 1
            self._news.notify()
        future = self._thread.submit(self._begin, job)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    def _begin(self, job: Callable[[], T]) -> T:
        with self._news:
            self._not_begun -= 1
        return job()

    def _linger(self, is_complete: Callable[[], bool]) -> None:
        with self._news:
            self._news.wait_for(
                lambda: is_complete() or self._not_begun > 0 or self._is_closing, LINGER_SECONDS
            )
            if self._is_closing:
                raise StoppedError

    def close(self, *, wait: bool) -> None:
        """Take no more chunks."""
        with self._news:
            self._is_closing = not wait
            self._news.notify()
        self._thread.shutdown(wait=wait, cancel_futures=True)

    def _store(self, chunk: Chunk) -> Changes:
        tombstones = self._warehouse.tombstones(chunk.tenant)
        incoming, purged_ids = tombstones.split_purged(chunk.resource, _incoming(chunk))
        incoming = tombstones.without_names(chunk.resource, incoming)
        if purged_ids:
            # One that had no time before may turn out to be older than what is kept.
            self._warehouse.remove_rows(chunk.tenant, chunk.resource, purged_ids)
        changes = self._warehouse.changes(chunk.tenant, chunk.resource, incoming)
        if changes.table.num_rows:
            is_all_new = changes.known.num_rows == 0
            self._loader.load(chunk.tenant, {chunk.resource.name: [changes.table]}, is_all_new=is_all_new)
        self._warehouse.commit(
            chunk.tenant,
            chunk.resource,
            stamp=chunk.stamp,
            has_changes=changes.table.num_rows > 0,
            known=changes.known,
            bad_records=tombstones.kept_records(chunk.resource, chunk.bad_records),
            gone_ids=chunk.gone_ids,
            watermark=chunk.watermark,
            scrubbed_until=chunk.scrubbed_until,
            range_reached=chunk.range_reached,
            largest_page=chunk.largest_page,
        )
        return replace(changes, rows_gone=len(chunk.gone_ids))


def _incoming(chunk: Chunk) -> pa.Table:
    """The chunk's rows, each id once, in the state table's columns."""
    schema = chunk.resource.schema
    if not chunk.tables:
        return schema.empty_table()
    rows = _newest_readings(pa.concat_tables(chunk.tables))
    count = rows.num_rows
    added = {
        "tenant": pa.repeat(chunk.tenant, count),
        "synced_at": pa.repeat(pa.scalar(chunk.stamp, schema.field("synced_at").type), count),
        "gone_at": pa.nulls(count, schema.field("gone_at").type),
    }
    columns = [added[name] if name in added else rows[name] for name in schema.names]
    return pa.table(columns, schema=schema)


def _newest_readings(rows: pa.Table) -> pa.Table:
    """Each id once, as it was read last."""
    if pc.count_distinct(rows["id"]).as_py() == rows.num_rows:
        return rows
    numbered = pa.table({"id": rows["id"], "position": pa.array(range(rows.num_rows), pa.int64())})
    last = numbered.group_by("id").aggregate([("position", "max")])["position_max"]
    return rows.take(last.sort())
