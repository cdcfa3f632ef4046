"""A snapshot made from the one before, for a run that found nothing new.

Such a run moves `as_of`, the ages counted from it, and when rows were last read; so the copy of the last
snapshot is brought to that, and files that cannot differ are linked. Whether nothing is new is told by the
content of the tables, not by what runs are known to have done.
"""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from pipelines import snapshot_files, sql_files
from pipelines.background import Background
from pipelines.records import RESOURCES
from pipelines.snapshot_files import DATABASE
from pipelines.warehouse import SCHEMA, Warehouse

# What must be the same.
CONTENT_TABLES = tuple(
    table for resource in RESOURCES.values() for table in (resource.name, resource.versions_table)
)
# What a run that finds nothing new writes to: small, and copied whole.
RUN_TABLES = ("quarantine", "watermarks", "sync_runs")
# A renewed file keeps free blocks of what was renewed before; one that grew by more is written anew.
MOST_GROWTH = 1.5
MART = re.compile(r"\bmarts\.")


def renew(warehouse: Warehouse, former: Path, folder: Path) -> bool:
    """Make `folder` the snapshot of now from the one in `former`; False, and no change, where that cannot be.

    It can be where the state tables hold the same rows, and the views are those that made the former one.
    """
    if not (former / DATABASE).is_file() or not _is_copied_if_same(warehouse, former, folder):
        return False
    with snapshot_files.attached(warehouse, folder) as cursor:
        _move_tables(cursor)
        _move_marts(warehouse, cursor, former, folder)
    return True


def _is_copied_if_same(warehouse: Warehouse, former: Path, folder: Path) -> bool:
    """Copy the database, if the snapshot tells what a new one would, but for `as_of` and when rows were read."""
    cursor = warehouse.cursor()
    cursor.execute(f"attach '{_quoted(former / DATABASE)}' as former (read_only)")
    try:
        if not _may_be_same(cursor):
            return False
        # Rows of the same number are nearly always the same rows, and comparing them takes as long as copying.
        with ThreadPoolExecutor(1, thread_name_prefix="copy") as thread:
            copying = thread.submit(shutil.copyfile, former / DATABASE, folder / DATABASE)
            is_same = all(
                _content(cursor, f"former.main.{table}") == _content(cursor, f"{SCHEMA}.{table}")
                for table in CONTENT_TABLES
            )
            if is_same:
                copying.result()
    finally:
        cursor.execute("detach former")
        cursor.close()
    if not is_same:
        (folder / DATABASE).unlink(missing_ok=True)
    return is_same


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _may_be_same(cursor: duckdb.DuckDBPyConnection) -> bool:
    """What can be told at once."""
    return (
        _columns(cursor, "former", "main", "marts") == _columns(cursor, None, SCHEMA, "marts")
        and _size_is_sound(cursor)
        and not _one(cursor, _VIEWS_ARE_NEWER)
        and not _one(cursor, _READING_DECIDES)
        and all(
            _one(cursor, f"select count(*) from former.main.{table}")
            == _one(cursor, f"select count(*) from {SCHEMA}.{table}")
            for table in CONTENT_TABLES
        )
        and _coverage(cursor, "former.marts") == _coverage(cursor, "marts")
    )


_VIEWS_ARE_NEWER = f"""
    select coalesce(
        (select max(applied_at) from {SCHEMA}.schema_versions) >= (select max(finished_at) from former.main.sync_runs),
        true
    )
"""
# Without a time of update, an action's effect is bounded by when it was read.
_READING_DECIDES = f"""
    select exists (
        from {SCHEMA}.machine_actions where status = 'Succeeded' and last_update_date_time_utc is null
    )
"""


def _one(cursor: duckdb.DuckDBPyConnection, query: str) -> object:
    row = cursor.execute(query).fetchone()
    return row[0] if row else None


def _columns(
    cursor: duckdb.DuckDBPyConnection, catalog: str | None, state: str, marts: str
) -> list[tuple[object, ...]]:
    names = [*CONTENT_TABLES, *RUN_TABLES]
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


def _coverage(cursor: duckdb.DuckDBPyConnection, marts: str) -> list[tuple[object, ...]]:
    query = f"select tenant, resource, known_since from {marts}.sync_freshness order by all"
    return cursor.execute(query).fetchall()


def _content(cursor: duckdb.DuckDBPyConnection, table: str) -> list[tuple[object, ...]]:
    """What tells two contents of a table apart; when its rows were read is left out."""
    names = [row[0] for row in cursor.execute(f"describe {table}").fetchall() if row[0] != "synced_at"]
    hashed = f"hash({', '.join(names)})"
    return cursor.execute(f"select bit_xor({hashed}), sum({hashed} >> 32) from {table}").fetchall()


def _move_tables(cursor: duckdb.DuckDBPyConnection) -> None:
    """Bring the state tables to now: when rows were read, and the tables of the run."""
    for name in RESOURCES:
        cursor.execute(
            f"""
            create or replace temp table touched_{name} as
            with former as (select tenant, max(synced_at) as synced_at from snapshot.main.{name} group by tenant)
            select fresh.tenant, fresh.id, fresh.synced_at from {SCHEMA}.{name} as fresh
            inner join former on fresh.tenant = former.tenant and fresh.synced_at > former.synced_at
            """
        )
        cursor.execute(
            f"update snapshot.main.{name} set synced_at = touched.synced_at from touched_{name} as touched "
            f"where {name}.tenant = touched.tenant and {name}.id = touched.id"
        )
    for table in RUN_TABLES:
        cursor.execute(f"delete from snapshot.main.{table}")
        cursor.execute(f"insert into snapshot.main.{table} by name from {SCHEMA}.{table}")


def _move_marts(warehouse: Warehouse, cursor: duckdb.DuckDBPyConnection, former: Path, folder: Path) -> None:
    """Bring the marts that tell `as_of` to now, with their files; those of the others are linked."""
    moved = {row[0] for row in cursor.execute(_MARTS_WITH_AS_OF).fetchall()}
    renewals = sql_files.renewals()
    with Background(warehouse) as background:
        for mart in sorted(moved & renewals.keys()):
            cursor.execute(renewals[mart])
            background.execute(snapshot_files.parquet_statement(mart, folder))
        for mart, query in sql_files.mart_queries().items():
            if mart not in moved:
                snapshot_files.link_parquet(mart, former, folder)
            elif mart not in renewals:
                # Over the tables of the other marts, which stand already as they are now.
                over_tables = MART.sub("snapshot.marts.", query)
                cursor.execute(f"delete from snapshot.marts.{mart}")
                cursor.execute(f"insert into snapshot.marts.{mart} by name {over_tables}")
                cursor.execute(snapshot_files.parquet_statement(mart, folder))
    for name in RESOURCES:
        cursor.execute(f"drop table touched_{name}")


_MARTS_WITH_AS_OF = """
    select table_name from duckdb_columns()
    where database_name = 'snapshot' and schema_name = 'marts' and column_name = 'as_of'
"""
