"""A snapshot made from the one before, where little or nothing changed since.

A copy of that one is brought to now: `as_of`, the ages counted from it and when rows were last read move in all
rows; the rows of machines on which something changed are replaced; and files that cannot differ are linked. What
changed is proven by the content of the tables, not by what runs are known to have done.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from pipelines import changed_machines, differences, snapshot_files, sql_files
from pipelines.background import Background
from pipelines.differences import CATALOG
from pipelines.records import RESOURCES
from pipelines.snapshot_files import DATABASE
from pipelines.warehouse import SCHEMA, STATE_TABLES, Warehouse

# The file of a snapshot that tells on what basis it was made.
BASIS = ".basis"
# What every run writes to: small, and copied whole.
RUN_TABLES = ("quarantine", "watermarks", "sync_runs")
# A renewed file keeps free blocks of what was renewed before; one that grew by more is written anew.
MOST_GROWTH = 1.5
# Writing anew takes as long as renewing where half of all actions are on the machines concerned.
MOST_CHANGED = 0.1
MOST_AFFECTED = 0.3
MART = re.compile(r"\bmarts\.")


def renew(warehouse: Warehouse, former: Path, folder: Path, basis: str) -> bool:
    """Make `folder` the snapshot of now from the one in `former`; False, and no change, where that cannot be.

    It can be where few rows are new or differ, on the basis that the former one was made on, and of the same UTC day.
    """
    # Once a day one is written from scratch, so that no mistake and no damage lasts.
    if _day(former) != _day(folder) or not (former / DATABASE).is_file():
        return False
    if not (former / BASIS).is_file() or (former / BASIS).read_text() != basis:
        return False
    with differences.catalog(warehouse):
        if not _is_copied(warehouse, former, folder):
            return False
        with snapshot_files.attached(warehouse, folder) as cursor:
            _move_tables(cursor)
            _move_marts(warehouse, cursor, former, folder)
    return True


def _is_copied(warehouse: Warehouse, former: Path, folder: Path) -> bool:
    """Copy the database if it can be renewed, with the differences found."""
    cursor = warehouse.cursor()
    try:
        cursor.execute(f"attach '{_quoted(former / DATABASE)}' as former (read_only)")
        if not _may_be_renewed(cursor):
            return False
        # Comparing takes as long as copying, and mostly finds that little changed.
        with ThreadPoolExecutor(1, thread_name_prefix="copy") as thread:
            copying = thread.submit(snapshot_files.copy_database, former, folder)
            can_be_renewed = _differs_little(cursor)
            if can_be_renewed:
                copying.result()
    finally:
        cursor.execute("detach database if exists former")
        cursor.close()
    if not can_be_renewed:
        (folder / DATABASE).unlink(missing_ok=True)
    return can_be_renewed


def _differs_little(cursor: duckdb.DuckDBPyConnection) -> bool:
    """Whether few rows differ and no other; what they bear on is found then."""
    differences.find(cursor, "former.main")
    shares = [differences.changed_share(cursor, name) for name in RESOURCES]
    if max(shares) > MOST_CHANGED or not differences.are_all_found(cursor, "former.main"):
        return False
    if not any(shares):
        return True
    changed_machines.find(cursor, "former")
    return changed_machines.share_of_actions(cursor) <= MOST_AFFECTED


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


def _day(snapshot: Path) -> str:
    return snapshot.name[: len("2026-01-31")]


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
        cursor.execute(f"delete from snapshot.main.{table}")
        cursor.execute(f"insert into snapshot.main.{table} by name from {SCHEMA}.{table}")


def _move_marts(warehouse: Warehouse, cursor: duckdb.DuckDBPyConnection, former: Path, folder: Path) -> None:
    """Bring every mart to now, with its file; the files of those that are the same are linked."""
    has_changes = any(differences.changed_share(cursor, name) for name in RESOURCES)
    if has_changes:
        changed_machines.work_out_marts(warehouse, cursor)
    tells_as_of = {row[0] for row in cursor.execute(_MARTS_WITH_AS_OF).fetchall()}
    renewals = sql_files.renewals()
    marts = sql_files.view_queries("marts")
    kept = [
        mart
        for mart in marts
        if (mart in changed_machines.KEYS or not has_changes)
        and (mart in renewals or mart not in tells_as_of)
    ]
    linked = []
    for mart in kept:
        has_other_rows = has_changes and changed_machines.replace_rows(cursor, mart)
        if mart in renewals:
            cursor.execute(renewals[mart])
        elif not has_other_rows:
            snapshot_files.link_parquet(mart, former, folder)
            linked.append(mart)
    # Until then, every value that was moved is held in memory.
    cursor.execute("checkpoint snapshot")
    with Background(warehouse) as background:
        for mart in kept:
            if mart not in linked:
                background.execute(snapshot_files.parquet_statement(mart, folder))
        # Each after those that it reads.
        for mart, query in marts.items():
            if mart not in kept:
                cursor.execute(f"delete from snapshot.marts.{mart}")
                over_tables = MART.sub("snapshot.marts.", query)
                cursor.execute(f"insert into snapshot.marts.{mart} by name {over_tables}")
                background.execute(snapshot_files.parquet_statement(mart, folder))


_MARTS_WITH_AS_OF = """
    select table_name from duckdb_columns()
    where database_name = 'snapshot' and schema_name = 'marts' and column_name = 'as_of'
"""
