"""Reads a warehouse as whole rows: dicts, times aware in UTC, JSON as values, dlt's own columns left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from support.truth import JSON_COLUMNS

Row = dict[str, Any]


class Reading:
    """One database file, read. Each read opens and closes it, unless within `held`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Several reads with the file opened once; no sync can run meanwhile."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            self._held = connection
            try:
                yield
            finally:
                self._held = None

    def rows(self, query: str, *values: Any) -> list[Row]:
        """The rows of a query."""
        if self._held is None:
            with self.held():
                return self.rows(query, *values)
        cursor = self._held.execute(query, list(values))
        names = [column[0] for column in cursor.description]
        return [
            {
                name: _shown(name, value)
                for name, value in zip(names, row, strict=True)
                if not name.startswith("_dlt_")
            }
            for row in cursor.fetchall()
        ]

    def table(self, name: str, order: str = "all") -> list[Row]:
        """All rows of a table of schema `defender`, or of `schema.table`."""
        full = name if "." in name else f"defender.{name}"
        return self.rows(f"from {full} order by {order}")

    def one(self, query: str, *values: Any) -> Any:
        """The only value of a query's only row."""
        [row] = self.rows(query, *values)
        [value] = row.values()
        return value

    def execute(self, *statements: str) -> None:
        """Change the database, as an accident would."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for statement in statements:
                connection.execute(statement)


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if name in JSON_COLUMNS and value is not None:
        return json.loads(value)
    return value
