"""The published snapshot, compared with the warehouse: what need not be checked, or made, again.

What changed is proven by the content of the tables, not by what runs are known to have done.
"""

import json
import logging
import shutil
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines import changed_machines, differences, snapshot_files, sql_files
from pipelines.data_dir import PARTIAL, DataDir
from pipelines.differences import CATALOG
from pipelines.resources import RESOURCES
from pipelines.snapshot_files import DATABASE
from pipelines.warehouse import RUN_TABLES, SCHEMA, STATE_TABLES, Warehouse

logger = logging.getLogger(__name__)

# The file of a snapshot that tells on what basis it was made.
BASIS = ".basis"
# A renewed file keeps free blocks of what was renewed before; one that grew by more is written anew.
MOST_GROWTH = 1.5
# Writing anew takes as long as renewing where half of all actions are on the machines concerned.
MOST_CHANGED = 0.1
MOST_AFFECTED = 0.3


@dataclass(frozen=True)
class Basis:
    """What a snapshot rests on: `rows` is the hash of what bears on every row, beside the rows themselves; `checks` are
    the hashes of those that all its rows passed.
    """

    rows: str
    checks: Collection[str] = ()

    def write(self, folder: Path) -> None:
        """Keep it with the snapshot."""
        (folder / BASIS).write_text(json.dumps({"rows": self.rows, "checks": sorted(self.checks)}))


@dataclass(frozen=True)
class Former:
    """A snapshot that differs little from the warehouse, and rests on the same: its folder, a copy of its database
    (until a renewal takes it), whether any row is new or differs, and the hashes of the checks that its rows passed.
    """

    folder: Path
    copy: Path
    has_changes: bool
    checks: Collection[str]

    def is_of_day(self, now: datetime) -> bool:
        """Whether it was made on this UTC day."""
        return _is_of_day(self.folder, now)


@dataclass(frozen=True)
class Comparison:
    """What the warehouse's rows rest on, and the snapshot published last, where the next one can be made from it."""

    basis: str
    former: Former | None = None


@contextmanager
def compared(warehouse: Warehouse, data_dir: DataDir, now: datetime) -> Iterator[Comparison]:
    """The comparison; for as long as the `with` lasts, what differs stands in the catalog of `differences`."""
    # The marts, and the checks, rely on it that every row has its version, also one whose chunk was not committed.
    warehouse.add_missing_versions()
    try:
        yield _compare(warehouse, data_dir, now)
    finally:
        let_go(warehouse, data_dir)


def let_go(warehouse: Warehouse, data_dir: DataDir) -> None:
    """Give back the room and the memory that only a renewal needs."""
    differences.drop_catalog(warehouse)
    shutil.rmtree(_aside(data_dir), ignore_errors=True)


def _aside(data_dir: DataDir) -> Path:
    return data_dir.snapshots / f"renewal{PARTIAL}"


def not_taken_up(error: Exception) -> None:
    """Say that the next snapshot takes nothing from the one before."""
    logger.warning(
        "the snapshot before cannot be taken up, so this one is written from scratch: %s",
        str(error).partition("\n")[0],
    )


def _is_of_day(snapshot: Path, now: datetime) -> bool:
    # The first of each day is written from scratch, so that no mistake and no damage lasts.
    return snapshot.name.startswith(f"{now.astimezone(UTC):%Y-%m-%d}")


def _compare(warehouse: Warehouse, data_dir: DataDir, now: datetime) -> Comparison:
    folder, aside = data_dir.published.resolve(), _aside(data_dir)
    now_rests_on, once_rested_on = basis_of(warehouse), _basis_in(folder)
    if not _is_of_day(folder, now) or once_rested_on is None or once_rested_on.rows != now_rests_on:
        return Comparison(now_rests_on)
    has_changes = None
    try:
        aside.mkdir(exist_ok=True)
        differences.make_catalog(warehouse)
        has_changes = _changes(warehouse, folder, aside)
    except (OSError, duckdb.Error) as error:
        # Were it the disk's fault, the next attempt would say so too.
        not_taken_up(error)
    if has_changes is None:
        # Writing from scratch needs more of both.
        let_go(warehouse, data_dir)
        return Comparison(now_rests_on)
    return Comparison(now_rests_on, Former(folder, aside / DATABASE, has_changes, once_rested_on.checks))


def _basis_in(snapshot: Path) -> Basis | None:
    try:
        told = json.loads((snapshot / BASIS).read_text())
        return Basis(told["rows"], frozenset(told["checks"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _changes(warehouse: Warehouse, former: Path, aside: Path) -> bool | None:
    """Whether any row is new or differs, the database copied; None where many do, or it cannot be told."""
    if not (former / DATABASE).is_file():
        return None
    cursor = warehouse.cursor()
    try:
        cursor.execute(f"attach '{_quoted(former / DATABASE)}' as former (read_only)")
        if not _may_be_renewed(cursor):
            return None
        # Comparing takes as long as copying, and mostly finds that little changed.
        with ThreadPoolExecutor(1, thread_name_prefix="copy") as thread:
            copying = thread.submit(_copy_database, former, aside)
            has_changes = _little_changes(cursor)
            if has_changes is not None:
                copying.result()
        return has_changes
    finally:
        cursor.execute("detach database if exists former")
        cursor.close()


def _copy_database(former: Path, aside: Path) -> None:
    snapshot_files.copy_database(former, aside)
    # Else the first statement that a renewal commits would wait for all of it.
    snapshot_files.flush_database(aside)


def _little_changes(cursor: duckdb.DuckDBPyConnection) -> bool | None:
    """Whether any row is new or differs; what they bear on is found then."""
    differences.find(cursor, "former.main")
    shares = [differences.changed_share(cursor, name) for name in RESOURCES]
    if max(shares) > MOST_CHANGED or not differences.are_all_found(cursor, "former.main"):
        return None
    if not any(shares):
        return False
    changed_machines.find(cursor, "former")
    return True if changed_machines.share_of_actions(cursor) <= MOST_AFFECTED else None


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _may_be_renewed(cursor: duckdb.DuckDBPyConnection) -> bool:
    """What can be told at once."""
    return (
        _columns(cursor, "former", "main", "marts") == _columns(cursor, None, SCHEMA, "marts")
        and _size_is_sound(cursor)
        and not _one(cursor, _AS_OF_IS_EARLIER)
        and not _one(cursor, _ACTIONS_ARE_AHEAD)
    )


_AS_OF_IS_EARLIER = f"""
    select exists (
        from {CATALOG}.as_of as fresh inner join former.marts.sync_freshness as former using (tenant)
        where fresh.as_of < former.as_of or (fresh.as_of is null) <> (former.as_of is null)
    )
"""
# An open investigation counts what was done up to 7 days after `as_of`: as that moves on, so might what it counts.
_ACTIONS_ARE_AHEAD = """
    select exists (
        from former.marts.machine_actions
        where created_at > as_of + interval '168 hours' or effective_at > as_of + interval '168 hours'
    )
"""


def basis_of(warehouse: Warehouse) -> str:
    """The hash of what bears on every row: the views, since when each tenant is covered, and what was erased, of
    which the file of a renewed snapshot might keep remains.
    """
    cursor = warehouse.cursor()
    try:
        return str(_one(cursor, _BASIS))
    finally:
        cursor.close()


_BASIS = f"""
    select md5(string_agg(part, chr(10) order by part)) from (
        select schema_name || view_name || sql as part from duckdb_views()
        where database_name = current_database() and list_contains({list(sql_files.VIEW_LAYERS)}, schema_name)
        union all
        select row(tenant, known_since)::varchar from staging.coverage
        union all
        select purges::varchar from {SCHEMA}.purges as purges
        union all
        select people::varchar from {SCHEMA}.forgotten_requestors as people
    )
"""


def _one(cursor: duckdb.DuckDBPyConnection, query: str) -> object:
    row = cursor.execute(query).fetchone()
    return row[0] if row else None


def _columns(
    cursor: duckdb.DuckDBPyConnection, catalog: str | None, state: str, marts: str
) -> list[tuple[object, ...]]:
    names = [*STATE_TABLES, *RUN_TABLES]
    return cursor.execute(
        """
        select schema_name = $marts, table_name, column_name, data_type from duckdb_columns()
        where database_name = coalesce($catalog, current_database())
            and (schema_name = $marts or (schema_name = $state and list_contains($names, table_name)))
        order by all
        """,
        {"catalog": catalog, "state": state, "marts": marts, "names": names},
    ).fetchall()


def _size_is_sound(cursor: duckdb.DuckDBPyConnection) -> bool:
    query = "select total_blocks, used_blocks from pragma_database_size() where database_name = 'former'"
    total, used = cursor.execute(query).fetchall()[0]
    return bool(total <= MOST_GROWTH * used + 16)
