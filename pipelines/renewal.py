"""A snapshot made from the one before, where little or nothing changed since.

A copy of that one is brought to now: `as_of`, the ages counted from it and when rows were last read move in all
rows; the rows of machines on which something changed are replaced; and files that cannot differ are linked.
"""

from concurrent.futures import Future
from functools import partial
from pathlib import Path

import duckdb

from pipelines import (
    changed_machines,
    differences,
    moving_columns,
    parquet_renewal,
    snapshot_files,
    sql_files,
)
from pipelines.background import Background
from pipelines.comparison import Former
from pipelines.differences import CATALOG
from pipelines.resources import RESOURCES
from pipelines.snapshot_files import DATABASE
from pipelines.warehouse import RUN_TABLES, SCHEMA, Warehouse


def renew(warehouse: Warehouse, former: Former, folder: Path) -> None:
    """Make `folder` the snapshot of now from the former one, while the comparison with it lasts."""
    former.copy.rename(folder / DATABASE)
    with snapshot_files.attached(warehouse, folder) as cursor:
        _move_tables(cursor)
        _move_marts(warehouse, cursor, former, folder)


def _move_tables(cursor: duckdb.DuckDBPyConnection) -> None:
    """Bring the state tables to now: when rows were read, what changed, and the tables of the run."""
    for resource in RESOURCES.values():
        name = resource.name
        cursor.execute(
            f"update snapshot.main.{name} set synced_at = touched.synced_at "
            f"from {CATALOG}.touched_{name} as touched "
            f"where {name}.tenant = touched.tenant and {name}.id = touched.id"
        )
        if differences.changed_share(cursor, name):
            for table in (name, resource.versions_table):
                changed = f"where (tenant, id) in (from {CATALOG}.changed_{name})"
                cursor.execute(f"delete from snapshot.main.{table} {changed}")
                cursor.execute(f"insert into snapshot.main.{table} by name from {SCHEMA}.{table} {changed}")
    for table in RUN_TABLES:
        former, now = f"snapshot.main.{table}", f"{SCHEMA}.{table}"
        content = differences.content(cursor, now, without=())
        cursor.execute(f"delete from {former} where {content} not in (select {content} from {now})")
        cursor.execute(
            f"insert into {former} by name from {now} where {content} not in (select {content} from {former})"
        )


def _move_marts(
    warehouse: Warehouse, cursor: duckdb.DuckDBPyConnection, former: Former, folder: Path
) -> None:
    """Bring every mart to now, with its file; the files of those that are the same are linked."""
    if former.has_changes:
        changed_machines.work_out_marts(warehouse)
    tells_as_of = {row[0] for row in cursor.execute(_MARTS_WITH_AS_OF).fetchall()}
    moving = moving_columns.of_marts()
    marts = sql_files.view_queries("marts")
    kept = [
        mart
        for mart in marts
        if (mart in changed_machines.KEYS or not former.has_changes)
        and (mart in moving or mart not in tells_as_of)
    ]
    with Background(warehouse) as background:
        renewed = {}
        for mart in kept:
            if mart in moving:
                moving_columns.move(cursor, mart, moving[mart])
            replaced = changed_machines.replace_rows(cursor, mart) if former.has_changes else None
            if mart in moving or replaced:
                renewed[mart] = background.call(
                    partial(
                        parquet_renewal.renew,
                        former=snapshot_files.parquet_path(mart, former.folder),
                        target=snapshot_files.parquet_path(mart, folder),
                        moving=moving.get(mart),
                        replaced=replaced,
                    )
                )
            else:
                snapshot_files.link_parquet(mart, former.folder, folder)
        # Until then, every value that was moved is held in memory.
        cursor.execute("checkpoint snapshot")
        for mart, is_renewed in renewed.items():
            background.call(
                partial(_write_unless, is_renewed, snapshot_files.parquet_statement(mart, folder))
            )
        # Each after those that it reads.
        for mart, query in marts.items():
            if mart not in kept:
                cursor.execute(f"delete from snapshot.marts.{mart}")
                over_tables = sql_files.reading_marts_of("snapshot.marts", query)
                cursor.execute(f"insert into snapshot.marts.{mart} by name {over_tables}")
                background.execute(snapshot_files.parquet_statement(mart, folder))


def _write_unless(is_renewed: "Future[bool]", statement: str, cursor: duckdb.DuckDBPyConnection) -> None:
    if not is_renewed.result():
        cursor.execute(statement)


_MARTS_WITH_AS_OF = """
    select table_name from duckdb_columns()
    where database_name = 'snapshot' and schema_name = 'marts' and column_name = 'as_of'
"""
