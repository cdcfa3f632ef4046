"""The published snapshot: which one is current, and one query at a time of it.

Each query opens a fresh in-memory DuckDB, attaches the snapshot read-only, and closes it: no lock is held
between queries, a sync is never in the way, and a new snapshot is seen at once. (In one process a second
`duckdb.connect(path)` would silently return the old data while an old handle is open.)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

DATABASE = "defender.duckdb"
CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 2,
}


@dataclass(frozen=True)
class Snapshot:
    """A complete snapshot; `identity` is (inode, mtime in ns) of its database, and changes with each one."""

    database: Path
    identity: tuple[int, int]


@dataclass(frozen=True)
class Rows:
    """The answer to a query: column names, at most as many rows as asked, and how many there are in all."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: int

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def only(self) -> dict[str, Any]:
        """The one row of a query that always has one."""
        [row] = self.dicts()
        return row


class NoSnapshotError(Exception):
    """Nothing is published there, or it cannot be read; the message says what to do."""


def current(published: Path) -> Snapshot:
    """The snapshot that `published` leads to now. Raises NoSnapshotError."""
    try:
        database = (published / DATABASE).resolve(strict=True)
        status = database.stat()
    except PermissionError as error:
        raise NoSnapshotError(
            f"{published} may not be read by this account. "
            "Add the account to the group that owns it, or set sync.published_mode."
        ) from error
    except OSError as error:
        raise NoSnapshotError(
            f"Nothing is published at {published} yet. Run a first sync (make sync); "
            "this page will notice by itself."
        ) from error
    return Snapshot(database, (status.st_ino, status.st_mtime_ns))


def read(snapshot: Snapshot, query: str, values: Mapping[str, Any], at_most: int | None) -> Rows:
    """Run one query on a snapshot; `at_most` rows are fetched, all are counted. Raises NoSnapshotError."""
    try:
        with _opened(snapshot) as connection:
            return _rows(connection, query, values, at_most)
    except duckdb.IOException as error:
        raise NoSnapshotError(
            f"{snapshot.database} cannot be read: it was replaced, or is damaged. Write it again: defender-sync publish"
        ) from error
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise NoSnapshotError(
            "This snapshot was written by another version of the program. Write it again: defender-sync publish"
        ) from error


@contextmanager
def _opened(snapshot: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(":memory:", config=CONFIGURATION)
    try:
        path = str(snapshot.database).replace("'", "''")
        connection.execute(f"attach '{path}' as defender (read_only)")
        connection.execute("use defender")
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield connection
    finally:
        connection.close()


def _rows(
    connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, Any], at_most: int | None
) -> Rows:
    result = connection.execute(query, dict(values))
    columns = tuple(column[0] for column in result.description or ())
    fetched = result.fetchall() if at_most is None else result.fetchmany(at_most + 1)
    if at_most is None or len(fetched) <= at_most:
        return Rows(columns, tuple(fetched), len(fetched))
    around = f"select count(*) from ({query}) as counted"  # noqa: S608  a query of ours
    counted = connection.execute(around, dict(values)).fetchone()
    return Rows(columns, tuple(fetched[:at_most]), counted[0] if counted else len(fetched))
