"""Publishing: a complete snapshot for readers, switched in one rename.

BI opens only what is published, so no reader can block a sync or see half of one. The snapshot before is
kept, for those who have it open; older ones are removed. With `sync.publish_by_tenant`, each tenant has a
snapshot of its own beside the common one: the same tables, and nothing of another tenant.
"""

import logging
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb

from pipelines import snapshot_files, sql_files
from pipelines.background import Background
from pipelines.comparison import Basis, Comparison, Former, basis_of, let_go, not_taken_up
from pipelines.data_dir import PARTIAL, SNAPSHOT_TIME, DataDir
from pipelines.errors import WarehouseError
from pipelines.renewal import renew
from pipelines.snapshot_files import DATABASE, PARQUET
from pipelines.warehouse import RUN_TABLES, SCHEMA, STATE_TABLES, Warehouse

logger = logging.getLogger(__name__)

# What DuckDB may hold for a snapshot that did not fit in its usual memory.
MORE_MEMORY = "1500MB"
# The published file is named like schema `defender`, so its state tables stand in schema `main`: then
# `defender.machine_actions` is the catalog's table, and not an ambiguous reference.
PUBLISHED_TABLES = (*STATE_TABLES, *RUN_TABLES)


@dataclass(frozen=True)
class _Place:
    """Where snapshots stand, and the link to the latest of them."""

    snapshots: Path
    link: Path


def publish(
    warehouse: Warehouse,
    data_dir: DataDir,
    now: datetime,
    *,
    comparison: Comparison | None = None,
    checks: Collection[str] = (),
    by_tenant: bool = False,
    keeps_before: bool = True,
) -> Path:
    """Write a snapshot of the warehouse, point `published` at it, and return its folder.

    From scratch, unless a comparison, which still lasts, tells that it can be made from the one before. `checks`: the
    hashes of those that all rows passed. `by_tenant`: one for each tenant too, at `published_by_tenant/TENANT`.
    `keeps_before`: unless it is false, the snapshots before stay. Raises WarehouseError where it cannot be written;
    what was published before stays.
    """
    # The marts rely on it that every row has its version, also one that a killed run left without.
    warehouse.add_missing_versions()
    basis = Basis(comparison.basis if comparison else basis_of(warehouse), checks)
    former = comparison.former if comparison else None
    for more in (MORE_MEMORY, None):
        try:
            return _publish(warehouse, data_dir, now, former, basis, by_tenant, keeps_before)
        except duckdb.OutOfMemoryException:
            logger.warning(
                "the snapshot needs more memory than a sync is given; writing it again with %s",
                more or "what the machine has",
            )
            warehouse.give_memory(more)
            former = None
    return _publish(warehouse, data_dir, now, former, basis, by_tenant, keeps_before)


def _publish(
    warehouse: Warehouse,
    data_dir: DataDir,
    now: datetime,
    former: Former | None,
    basis: Basis,
    by_tenant: bool,
    keeps_before: bool,
) -> Path:
    def write(folder: Path) -> None:
        if former is None or not former.is_of_day(now) or not _is_renewed(warehouse, former, folder):
            let_go(warehouse, data_dir)
            _write_database(warehouse, folder)
        basis.write(folder)

    try:
        place = _Place(data_dir.snapshots, data_dir.published)
        target = _publish_at(place, data_dir, now, keeps_before, write)
        tenants = _tenants(warehouse) if by_tenant else {}
        _remove_tenants(data_dir, kept=tenants)
        # As for all of them: one that a lost database knows nothing of must not replace what is known.
        told = [tenant for tenant, was_read in tenants.items() if was_read or not keeps_before]
        if told:
            _publish_tenants(warehouse, data_dir, target, told, now, keeps_before)
    except (OSError, duckdb.IOException) as error:
        raise WarehouseError(
            f"the snapshot cannot be written under {data_dir.snapshots}: {str(error).splitlines()[0]}. "
            "Mend that, then run: defender-sync publish"
        ) from error
    return target


def _publish_at(
    place: _Place, data_dir: DataDir, now: datetime, keeps_before: bool, write: Callable[[Path], None]
) -> Path:
    """Write a snapshot aside, switch the link to it when it is complete, and remove older ones."""
    _make_folder(data_dir, place.snapshots)
    target = _free_name(place.snapshots, now)
    unfinished = target.with_name(target.name + PARTIAL)
    try:
        (unfinished / PARQUET).mkdir(parents=True)
        write(unfinished)
        _set_modes(data_dir, unfinished)
        unfinished.rename(target)
    except BaseException:
        # On a full disk, the next sync needs its room.
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    before = place.link.resolve()
    _switch(place.link, target)
    _remove_others(place.snapshots, kept={target.resolve(), before} if keeps_before else {target.resolve()})
    return target


def _tenants(warehouse: Warehouse) -> dict[str, bool]:
    """Every tenant that the warehouse knows of, and whether anything of it was ever read."""
    cursor = warehouse.cursor()
    rows = cursor.execute(
        "select tenant, bool_or(watermark is not null or row_count > 0) from marts.sync_freshness "
        "group by tenant order by tenant"
    ).fetchall()
    cursor.close()
    return dict(rows)


def _publish_tenants(
    warehouse: Warehouse,
    data_dir: DataDir,
    common: Path,
    tenants: Iterable[str],
    now: datetime,
    keeps_before: bool,
) -> None:
    """A snapshot for each tenant, from the common one: both tell the same."""
    for folder in (data_dir.snapshots_by_tenant, data_dir.published_by_tenant):
        _make_folder(data_dir, folder)
    empty = data_dir.snapshots / f"empty{PARTIAL}"
    cursor = warehouse.cursor()
    cursor.execute(f"attach '{_quoted(common / DATABASE)}' as common (read_only)")
    try:
        empty.mkdir()
        _write_empty(warehouse, empty)
        for tenant in tenants:
            _publish_at(
                _Place(data_dir.snapshots_by_tenant / tenant, data_dir.published_by_tenant / tenant),
                data_dir,
                now,
                keeps_before,
                partial(_write_tenant, warehouse, empty, tenant),
            )
    finally:
        shutil.rmtree(empty, ignore_errors=True)
        cursor.execute("detach common")
        cursor.close()


def _remove_tenants(data_dir: DataDir, kept: Collection[str]) -> None:
    """Remove what was published for tenants that are not published any more; what others put there stays."""
    for folder in (data_dir.published_by_tenant, data_dir.snapshots_by_tenant):
        for path in folder.iterdir() if folder.exists() else ():
            if path.name in kept:
                continue
            if path.is_symlink() and folder == data_dir.published_by_tenant:
                path.unlink()
            elif path.is_dir() and not path.is_symlink() and folder == data_dir.snapshots_by_tenant:
                shutil.rmtree(path)
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def _make_folder(data_dir: DataDir, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    _set_mode(data_dir, folder)


def _quoted(text: object) -> str:
    return str(text).replace("'", "''")


def _free_name(snapshots: Path, now: datetime) -> Path:
    name = now.astimezone(UTC).strftime(SNAPSHOT_TIME)
    target, number = snapshots / name, 1
    while target.exists():
        number += 1
        target = snapshots / f"{name}-{number}"
    return target


def _is_renewed(warehouse: Warehouse, former: Former, folder: Path) -> bool:
    """Make it from the one before, which is much quicker; False where that fails, and nothing is left of it."""
    try:
        renew(warehouse, former, folder)
    except duckdb.OutOfMemoryException:
        raise
    except (OSError, duckdb.Error) as error:
        not_taken_up(error)
    else:
        return True
    shutil.rmtree(folder)
    (folder / PARQUET).mkdir(parents=True)
    return False


def _write_database(warehouse: Warehouse, folder: Path) -> None:
    """Work out the marts, those first that others read: so each is worked out once."""
    with snapshot_files.attached(warehouse, folder) as cursor:
        cursor.execute("create schema snapshot.marts")
        with Background(warehouse) as background:
            for table in PUBLISHED_TABLES:
                background.execute(f"create table snapshot.main.{table} as from {SCHEMA}.{table}")
            for mart, query in sql_files.view_queries("marts").items():
                over_tables = sql_files.reading_marts_of("snapshot.marts", query)
                cursor.execute(f"create table snapshot.marts.{mart} as {over_tables}")
                background.execute(snapshot_files.parquet_statement(mart, folder))
        _copy_comments(cursor)


def _write_empty(warehouse: Warehouse, folder: Path) -> None:
    """The database of catalog `common` without its rows. To comment on each column takes longer than to fill all
    tables for a small tenant, so that is done once.
    """
    with snapshot_files.attached(warehouse, folder) as cursor:
        cursor.execute("create schema snapshot.marts")
        for schema, tables in (("main", PUBLISHED_TABLES), ("marts", sql_files.mart_names())):
            for table in tables:
                cursor.execute(
                    f"create table snapshot.{schema}.{table} as from common.{schema}.{table} limit 0"
                )
        _copy_comments(cursor)


def _write_tenant(warehouse: Warehouse, empty: Path, tenant: str, folder: Path) -> None:
    """Fill a copy of the empty database with a tenant's rows of catalog `common`."""
    snapshot_files.copy_database(empty, folder)
    rows = "insert into snapshot.{0} from common.{0} where tenant = '" + _quoted(tenant) + "'"
    with snapshot_files.attached(warehouse, folder) as cursor, Background(warehouse) as background:
        for table in PUBLISHED_TABLES:
            background.execute(rows.format(f"main.{table}"))
        for mart in sql_files.mart_names():
            cursor.execute(rows.format(f"marts.{mart}"))
            background.execute(snapshot_files.parquet_statement(mart, folder))


def _copy_comments(cursor: duckdb.DuckDBPyConnection) -> None:
    comments = cursor.execute(
        """
        select 'table', schema_name, view_name, null, comment from duckdb_views()
        where schema_name = 'marts' and comment is not null and database_name = current_database()
        union all
        select 'table', schema_name, table_name, null, comment from duckdb_tables()
        where schema_name = $schema and comment is not null and database_name = current_database()
        union all
        select 'column', schema_name, table_name, column_name, comment from duckdb_columns()
        where schema_name in ('marts', $schema) and comment is not null and database_name = current_database()
        """,
        {"schema": SCHEMA},
    ).fetchall()
    statements = []
    for kind, schema, table, column, comment in comments:
        if schema == SCHEMA and table not in PUBLISHED_TABLES:
            continue
        place = f"snapshot.{'main' if schema == SCHEMA else schema}.{table}" + (
            f'."{column}"' if column else ""
        )
        text = comment.replace("'", "''")
        statements.append(f"comment on {kind} {place} is '{text}';")
    # Hundreds, which to commit one by one would take longer than all marts of a small tenant.
    cursor.execute("\n".join(["begin;", *statements, "commit;"]))


def _set_modes(data_dir: DataDir, folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        _set_mode(data_dir, path)


def _set_mode(data_dir: DataDir, path: Path) -> None:
    if path.is_dir():
        # A folder that hands its group on to what is made in it goes on doing so.
        path.chmod(data_dir.published_dir_mode | path.stat().st_mode & stat.S_ISGID)
    else:
        path.chmod(data_dir.published_file_mode)


def _switch(link: Path, target: Path) -> None:
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)


def _remove_others(snapshots: Path, kept: set[Path]) -> None:
    for path in snapshots.iterdir():
        if path.is_dir() and path.resolve() not in kept:
            shutil.rmtree(path)
