"""Rows as a server sees them: what a filter may ask of a record, and the bytes it is served as.

Owns `Row`, `Snapshot` (all rows of one resource at one moment, in the default order) and the interface
that every world has. Never decides what a record says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from simulator import times

MACHINE_ACTIONS = "machineactions"
INVESTIGATIONS = "investigations"

# The properties that the documentation allows in $filter, and of these the ones that hold a time.
FILTERABLE: dict[str, tuple[str, ...]] = {
    MACHINE_ACTIONS: ("id", "status", "machineId", "type", "requestor", "creationDateTimeUtc"),
    INVESTIGATIONS: ("startTime", "id", "state", "machineId", "triggeringAlertId"),
}
TIME_PROPERTY = {MACHINE_ACTIONS: "creationDateTimeUtc", INVESTIGATIONS: "startTime"}

Record = dict[str, Any]
_encode = msgspec.json.Encoder().encode


class Source(Protocol):
    """What can write out a record, or one property that a filter may ask for, as of a moment (in ticks)."""

    def render(self, ticks: int) -> Record: ...

    def value(self, name: str, ticks: int) -> Any: ...


class Row:
    """One record at one moment. `when` and `updated` are ticks; `when` is None for a null (or no) time."""

    __slots__ = ("_raw", "_source", "_ticks", "id", "updated", "when")

    def __init__(self, id: str | None, when: int | None, updated: int, source: Source, ticks: int) -> None:
        self.id = id
        self.when = when
        self.updated = updated
        self._source = source
        self._ticks = ticks
        self._raw: bytes | None = None

    @property
    def raw(self) -> bytes:
        """The record as JSON text, kept once written."""
        if self._raw is None:
            self._raw = _encode(self.record())
        return self._raw

    def record(self) -> Record:
        """A new dict at each call: whoever asks may change it."""
        return self._source.render(self._ticks)

    def value(self, name: str) -> Any:
        """The value of a filterable property that is no time (for these see `when`)."""
        return self._source.value(name, self._ticks)


class Snapshot:
    """All rows of one resource, in the default order, unchanged for moments in [`since`, `until`) ticks."""

    def __init__(self, resource: str, rows: Sequence[Row], since: int, until: int) -> None:
        self.resource = resource
        self.rows = rows
        self.since = since
        self.until = until
        self.selected: dict[str, Sequence[Row]] = {}
        self._by_id: dict[str, Row] | None = None
        self._namesakes: dict[str, list[Row]] = {}

    def covers(self, ticks: int) -> bool:
        return self.since <= ticks < self.until

    def with_id(self, id: str) -> list[Row]:
        """The rows of an id (several only where a test put the id in twice)."""
        if self._by_id is None:
            self._by_id = self._indexed()
        row = self._by_id.get(id)
        return [] if row is None else [row, *self._namesakes.get(id, ())]

    def _indexed(self) -> dict[str, Row]:
        by_id: dict[str, Row] = {}
        for row in self.rows:
            if row.id is not None and by_id.setdefault(row.id, row) is not row:
                self._namesakes.setdefault(row.id, []).append(row)
        return by_id


class AnyWorld(Protocol):
    """The read interface that the server and the tests use; moments are aware datetimes."""

    def machine_actions(self, now: datetime) -> list[Record]: ...

    def investigations(self, now: datetime) -> list[Record]: ...

    def snapshot(self, resource: str, now: datetime) -> Snapshot: ...


def time_of(record: Record, *names: str) -> int | None:
    """Ticks of the first of these properties that holds a readable time."""
    for name in names:
        value = record.get(name)
        ticks = times.parse(value) if isinstance(value, str) else None
        if ticks is not None:
            return ticks
    return None
