"""Publishing: a complete snapshot for readers, switched in one rename.

BI opens only what is published, so no reader can block a sync or see half of one. The snapshot before is
kept, for those who have it open; older ones are removed.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines import sql_files
from pipelines.data_dir import DataDir
from pipelines.errors import WarehouseError
from pipelines.records import RESOURCES
from pipelines.warehouse import SCHEMA, Warehouse

DATABASE = "defender.duckdb"
PARTIAL = ".partial"
# DuckDB 1.4 and later read this; files of 2.0's own format are unreadable to 1.4 and 1.5.
STORAGE_VERSION = "v1.4.0"
# The published file is named like schema `defender`, so its state tables stand in schema `main`: then
# `defender.machine_actions` is the catalog's table, and not an ambiguous reference.
STATE_TABLES = (
    *RESOURCES,
    *(resource.versions_table for resource in RESOURCES.values()),
    "quarantine",
    "watermarks",
    "sync_runs",
)


def publish(warehouse: Warehouse, data_dir: DataDir, now: datetime) -> Path:
    """Write a snapshot of the warehouse, point `published` at it, and return its folder.

    Raises WarehouseError where it cannot be written; what was published before stays.
    """
    try:
        data_dir.snapshots.mkdir(exist_ok=True)
        for left_over in data_dir.snapshots.glob(f"*{PARTIAL}"):
            shutil.rmtree(left_over)
        target = _free_name(data_dir.snapshots, now)
        partial = target.with_name(target.name + PARTIAL)
        (partial / "parquet").mkdir(parents=True)
        _write_database(warehouse, partial)
        _set_modes(data_dir, partial)
        partial.rename(target)
        before = data_dir.published.resolve()
        _switch(data_dir, target)
        _remove_others(data_dir, kept={target.resolve(), before})
    except (OSError, duckdb.IOException) as error:
        raise WarehouseError(
            f"the snapshot cannot be written under {data_dir.snapshots}: {str(error).splitlines()[0]}. "
            "Mend that, then run: defender-sync publish"
        ) from error
    return target


def _free_name(snapshots: Path, now: datetime) -> Path:
    name = now.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    target, number = snapshots / name, 1
    while target.exists():
        number += 1
        target = snapshots / f"{name}-{number}"
    return target


def _write_database(warehouse: Warehouse, folder: Path) -> None:
    cursor = warehouse.cursor()
    path = str(folder / DATABASE).replace("'", "''")
    cursor.execute(f"attach '{path}' as snapshot (storage_version '{STORAGE_VERSION}')")
    try:
        cursor.execute("begin")
        for table in STATE_TABLES:
            cursor.execute(f"create table snapshot.main.{table} as from {SCHEMA}.{table}")
        cursor.execute("create schema snapshot.marts")
        for mart in sql_files.mart_names():
            cursor.execute(f"create table snapshot.marts.{mart} as from marts.{mart}")
        _copy_comments(cursor)
        cursor.execute("commit")
        for mart in sql_files.mart_names():
            file = str(folder / "parquet" / f"{mart}.parquet").replace("'", "''")
            cursor.execute(f"copy snapshot.marts.{mart} to '{file}' (format parquet, compression zstd)")
    finally:
        cursor.execute("rollback") if _in_transaction(cursor) else None
        cursor.execute("detach snapshot")
        cursor.close()


def _in_transaction(cursor: duckdb.DuckDBPyConnection) -> bool:
    try:
        cursor.execute("begin")
    except duckdb.TransactionException:
        return True
    cursor.execute("rollback")
    return False


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
    for kind, schema, table, column, comment in comments:
        if schema == SCHEMA and table not in STATE_TABLES:
            continue
        place = f"snapshot.{'main' if schema == SCHEMA else schema}.{table}" + (
            f'."{column}"' if column else ""
        )
        text = comment.replace("'", "''")
        cursor.execute(f"comment on {kind} {place} is '{text}'")


def _set_modes(data_dir: DataDir, folder: Path) -> None:
    data_dir.snapshots.chmod(data_dir.published_dir_mode)
    for path in (folder, *folder.rglob("*")):
        path.chmod(data_dir.published_dir_mode if path.is_dir() else data_dir.published_file_mode)


def _switch(data_dir: DataDir, target: Path) -> None:
    fresh = data_dir.path / ".published.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.relative_to(data_dir.path))
    fresh.replace(data_dir.published)


def _remove_others(data_dir: DataDir, kept: set[Path]) -> None:
    for path in data_dir.snapshots.iterdir():
        if path.resolve() not in kept:
            shutil.rmtree(path)
