"""A world that a test states by hand, record by record, and changes as it likes.

Owns the hand-stated records and from when to when each is seen. Never invents or ages out anything by
itself (unless `keep_days` is given).
"""

from __future__ import annotations

import copy
import itertools
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from simulator import times
from simulator.rows import INVESTIGATIONS, MACHINE_ACTIONS, TIME_PROPERTY, Record, Row, Snapshot, time_of

_UPDATED = {
    MACHINE_ACTIONS: ("lastUpdateDateTimeUtc", "lastUpdateTimeUtc", "creationDateTimeUtc"),
    INVESTIGATIONS: ("endTime", "startTime"),
}
_ALWAYS = 1 << 62


@dataclass(eq=False)
class _Entry:
    """A record and how it is filed: `filed_at` and `order_at` stand in for times it does not have."""

    record: Record
    text: bytes | None = None
    filed_at: int | None = None
    order_at: int | None = None
    seen_from: int = -_ALWAYS
    seen_until: int = _ALWAYS
    row: Row | None = field(default=None, repr=False)

    def render(self, ticks: int) -> Record:  # noqa: ARG002 - a hand-stated record is the same at any moment
        return copy.deepcopy(self.record)

    def value(self, name: str, ticks: int) -> Any:  # noqa: ARG002
        return self.record.get(name)


class ScriptedWorld:
    """Plain records, served as they are. Keys are the records' ids (as text), or the ones `put_*` returned.

    Order: newest first by last update (actions: `lastUpdateDateTimeUtc`, `lastUpdateTimeUtc`, creation;
    investigations: end, start), ties by the order of their arrival; `shuffle(seed)` replaces it.
    """

    def __init__(
        self,
        machine_actions: Iterable[Record] = (),
        investigations: Iterable[Record] = (),
        *,
        keep_days: float | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._entries: dict[str, dict[str, _Entry]] = {MACHINE_ACTIONS: {}, INVESTIGATIONS: {}}
        self._cache: dict[str, Snapshot] = {}
        self._keys = itertools.count(1)
        self._seed: int | None = None
        self._keep = None if keep_days is None else int(keep_days * times.DAY)
        for record in machine_actions:
            self.put_action(record)
        for record in investigations:
            self.put_investigation(record)

    def put_action(self, record: Record, **filing: datetime | None) -> str:
        """Adds or replaces a machine action, and returns its key; `filing` as for `put`."""
        return self.put(MACHINE_ACTIONS, record, **filing)

    def put_investigation(self, record: Record, **filing: datetime | None) -> str:
        """Adds or replaces an investigation, and returns its key; `filing` as for `put`."""
        return self.put(INVESTIGATIONS, record, **filing)

    add_investigation = put_investigation

    def put(
        self,
        resource: str,
        record: Record,
        *,
        visible_from: datetime | None = None,
        visible_until: datetime | None = None,
        filed_at: datetime | None = None,
        order_at: datetime | None = None,
    ) -> str:
        """Adds or replaces a record under its id (without a text id: under a new key).

        `filed_at` is the time that filters on creation (start) go by when the record holds no readable one,
        so that a broken record turns up in a window; `order_at` the one that the default order goes by.
        """
        entry = _Entry(copy.deepcopy(record))
        entry.filed_at = None if filed_at is None else times.to_ticks(filed_at)
        entry.order_at = None if order_at is None else times.to_ticks(order_at)
        if visible_from is not None:
            entry.seen_from = times.to_ticks(visible_from)
        if visible_until is not None:
            entry.seen_until = times.to_ticks(visible_until)
        id = record.get("id")
        return self._keep_entry(resource, id if isinstance(id, str) else None, entry)

    def put_raw(
        self, resource: str, text: str | bytes, *, filed_at: datetime | None = None, key: str | None = None
    ) -> str:
        """Adds JSON text that is served byte by byte as given: duplicate keys, huge or deep values, non-JSON.

        What can be read of it (an id, times) is used for lookup and order; `filed_at` as for `put`.
        """
        raw = text.encode() if isinstance(text, str) else text
        entry = _Entry(_readable(raw), text=raw)
        entry.filed_at = None if filed_at is None else times.to_ticks(filed_at)
        return self._keep_entry(resource, key, entry)

    def change(self, key: str, **fields: Any) -> None:
        """Sets properties of a record that is there; KeyError when there is none."""
        with self._lock:
            resource = self._resource_of(key)
            entry = self._entries[resource][key]
            entry.record = {**entry.record, **copy.deepcopy(fields)}
            self._touch(resource, entry)

    def remove(self, key: str) -> None:
        """Takes a record away, as if it had aged out; KeyError when there is none."""
        with self._lock:
            resource = self._resource_of(key)
            del self._entries[resource][key]
            self._touch(resource)

    def shuffle(self, seed: int | None) -> None:
        """Serves rows in an order that depends on `seed` alone; None goes back to the default order."""
        with self._lock:
            self._seed = seed
            self._cache.clear()

    def machine_actions(self, now: datetime) -> list[Record]:
        return [row.record() for row in self.snapshot(MACHINE_ACTIONS, now).rows]

    def investigations(self, now: datetime) -> list[Record]:
        return [row.record() for row in self.snapshot(INVESTIGATIONS, now).rows]

    def snapshot(self, resource: str, now: datetime) -> Snapshot:
        ticks = times.to_ticks(now)
        with self._lock:
            cached = self._cache.get(resource)
            if cached is None or not cached.covers(ticks):
                cached = self._cache[resource] = self._build(resource, ticks)
            return cached

    def _build(self, resource: str, ticks: int) -> Snapshot:
        rows: list[Row] = []
        since, until = -_ALWAYS, _ALWAYS
        for entry in self._entries[resource].values():
            row = entry.row or _row(resource, entry)
            entry.row = row
            end = entry.seen_until
            if self._keep is not None and row.when is not None:
                end = min(end, row.when + self._keep)
            for moment in (entry.seen_from, end):
                if moment <= ticks:
                    since = max(since, moment)
                else:
                    until = min(until, moment)
            if entry.seen_from <= ticks < end:
                rows.append(row)
        rows.sort(key=lambda row: row.updated, reverse=True)
        if self._seed is not None:
            random.Random(self._seed).shuffle(rows)  # noqa: S311 - an order, not a secret
        return Snapshot(resource, rows, since, until)

    def _keep_entry(self, resource: str, key: str | None, entry: _Entry) -> str:
        with self._lock:
            key = key if key is not None else f"#{next(self._keys)}"
            self._entries[resource][key] = entry
            self._touch(resource)
            return key

    def _touch(self, resource: str, entry: _Entry | None = None) -> None:
        if entry is not None:
            entry.row = None
        self._cache.pop(resource, None)

    def _resource_of(self, key: str) -> str:
        for resource, entries in self._entries.items():
            if key in entries:
                return resource
        raise KeyError(key)


class _RawRow(Row):
    """A row whose text is given."""

    __slots__ = ()

    def __init__(self, row: Row, text: bytes) -> None:
        super().__init__(row.id, row.when, row.updated, row._source, row._ticks)
        self._raw = text


def _row(resource: str, entry: _Entry) -> Row:
    when = time_of(entry.record, TIME_PROPERTY[resource])
    if when is None:
        when = entry.filed_at
    updated = entry.order_at
    if updated is None:
        updated = time_of(entry.record, *_UPDATED[resource])
    if updated is None:
        updated = when if when is not None else 0
    id = entry.record.get("id")
    row = Row(id if isinstance(id, str) else None, when, updated, entry, 0)
    return row if entry.text is None else _RawRow(row, entry.text)


def _readable(raw: bytes) -> Record:
    """What a plain JSON reader makes of the text: an object, or nothing."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
