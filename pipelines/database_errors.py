"""What a failure of the database or the disk means, and how to mend it. Pure; reads errors, opens nothing.

DuckDB, SQLite, dlt and the system each tell it in their own way; dlt wraps the others'.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.errors import DefenderSyncError, WarehouseError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FULL_WORDS = (
    "no space left",
    "file too large",
    "could not write",
    "disk is full",
    "disk i/o error",
    "quota exceeded",
)
DAMAGE_WORDS = ("corrupt", "checksum", "deserializ", "has been invalidated", "not a valid duckdb")
CLASHES = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.ConstraintException,
    duckdb.TypeMismatchException,
)


def as_warehouse_error(error: BaseException, warehouse: Path) -> WarehouseError | None:
    """The error with its remedy, where it is one of the database or the disk; None where it is another's."""
    causes = list(_causes(error))
    if any(isinstance(each, DefenderSyncError) for each in causes):
        return None
    told = next((each for each in causes if isinstance(each, duckdb.Error | sqlite3.Error | OSError)), None)
    # Whoever read what was printed has gone: the database has no part in it.
    if told is None or isinstance(told, BrokenPipeError):
        return None
    text = " ".join(str(told).split())[:300]
    words = " ".join(str(each) for each in causes).lower()
    if any(isinstance(each, OSError) and each.errno in FULL for each in causes) or _has(words, FULL_WORDS):
        return WarehouseError(
            f"the disk under {warehouse.parent} is full or cannot be written ({text}). Make room, then sync again: "
            "what was committed stays"
        )
    if _has(words, DAMAGE_WORDS):
        return WarehouseError(
            f"{warehouse} is damaged ({text}): restore a backup or move it away, then sync again"
        )
    if any(isinstance(each, CLASHES) for each in causes):
        return WarehouseError(
            f"{warehouse} has other tables or columns than this program's ({text}): restore a backup or move it "
            "away, then sync again"
        )
    # The system names the file that it speaks of; it may be another one. SQLite keeps the quota alone.
    place = told.filename if isinstance(told, OSError) and told.filename else warehouse
    if isinstance(told, sqlite3.Error):
        place = warehouse.with_name("quota.sqlite")
    return WarehouseError(f"{place} could not be read or written ({text}); mend that, then sync again")


@contextmanager
def telling_of(warehouse: Path) -> Iterator[None]:
    """Turn what the database or the disk raises into an error that says what to do."""
    try:
        yield
    except Exception as error:
        known = as_warehouse_error(error, warehouse)
        if known is None:
            raise
        raise known from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and what that was, each once."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or each in seen:
            continue
        seen.append(each)
        yield each
        waiting += [each.__cause__, each.__context__, getattr(each, "exception", None)]


def _has(words: str, some: tuple[str, ...]) -> bool:
    return any(each in words for each in some)
