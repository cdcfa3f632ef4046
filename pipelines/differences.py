"""What the warehouse tells otherwise than a snapshot of it: rows read since, and those of them that differ.

They are found by when rows were read, and proven by content: all others hash to the same on both sides. What was
found stands in a catalog of its own, in memory.
"""

from collections.abc import Collection

import duckdb

from pipelines.resources import RESOURCES
from pipelines.warehouse import SCHEMA, Warehouse

# The catalog. Its `as_of` is the view of that name, worked out once, of which two macros tell; its
# `touched_RESOURCE (tenant, id, synced_at, content)` are the rows read since, `changed_RESOURCE (tenant, id)` those of
# them that are new or differ.
CATALOG = "_differences"


def make_catalog(warehouse: Warehouse) -> None:
    """Attach the catalog, with `as_of` alone."""
    warehouse.connection.execute(f"attach ':memory:' as {CATALOG}")
    warehouse.connection.execute(_AS_OF)


_AS_OF = f"""
create table {CATALOG}.as_of as from staging.as_of;
create macro {CATALOG}.as_of_tenant(name) as (select as_of from {CATALOG}.as_of where tenant = name);
create macro {CATALOG}.seconds_since(moment, name) as case
    when moment > {CATALOG}.as_of_tenant(name) then 0
    else epoch({CATALOG}.as_of_tenant(name)) - epoch(moment)
end;
"""


def drop_catalog(warehouse: Warehouse) -> None:
    """Give back the memory that it takes."""
    warehouse.connection.execute(f"detach database if exists {CATALOG}")


def find(cursor: duckdb.DuckDBPyConnection, former: str) -> None:
    """Fill the catalog, against the state tables in schema `former`."""
    for name in RESOURCES:
        hashed = content(cursor, f"{SCHEMA}.{name}")
        cursor.execute(
            f"""
            create table {CATALOG}.touched_{name} as
            with last_read as (select tenant, max(synced_at) as last_at from {former}.{name} group by tenant)
            select tenant, id, synced_at, {hashed} as content
            from {SCHEMA}.{name} left join last_read using (tenant)
            where last_at is null or synced_at > last_at or gone_at > last_at
            """
        )
        cursor.execute(
            f"""
            create table {CATALOG}.changed_{name} as
            select touched.tenant, touched.id from {CATALOG}.touched_{name} as touched
            left join (select tenant, id, {hashed} as content from {former}.{name}) as former
                on touched.tenant = former.tenant and touched.id = former.id
            where touched.content is distinct from former.content
            """
        )


def are_all_found(cursor: duckdb.DuckDBPyConnection, former: str) -> bool:
    """Whether all rows that were not read since are the same on both sides, and all versions of unchanged ones; and
    no row stands twice.
    """
    for name, resource in RESOURCES.items():
        kept, before = (_others(cursor, f"{schema}.{name}", f"touched_{name}") for schema in (SCHEMA, former))
        versions = resource.versions_table
        kept_versions, versions_before = (
            _others(cursor, f"{schema}.{versions}", f"changed_{name}") for schema in (SCHEMA, former)
        )
        if kept != before or kept_versions != versions_before or not _stand_once(cursor, name, kept[0]):
            return False
    return True


def _stand_once(cursor: duckdb.DuckDBPyConnection, resource: str, others: object) -> bool:
    """Whether each row that was read since is the only one of its id: the others are proven by their content."""
    counts = cursor.execute(
        f"select (select count(*) from {SCHEMA}.{resource}), count(*), count(distinct (tenant, id)) "
        f"from {CATALOG}.touched_{resource}"
    ).fetchone()
    return counts is not None and counts[0] - others == counts[1] == counts[2]


def changed_share(cursor: duckdb.DuckDBPyConnection, resource: str) -> float:
    """How many of the resource's rows are new or differ; between 0 and 1."""
    row = cursor.execute(
        f"select (select count(*) from {CATALOG}.changed_{resource}) / greatest(count(*), 1) "
        f"from {SCHEMA}.{resource}"
    ).fetchone()
    return float(row[0]) if row else 0.0


def _others(cursor: duckdb.DuckDBPyConnection, table: str, found: str) -> tuple[object, ...]:
    """What tells two contents of a table apart, rows left out that were found: first of all, how many others."""
    hashed = content(cursor, table, without=())
    return cursor.execute(
        f"""
        select count(*), bit_xor(content), sum(content >> 32)
        from (select tenant, id, {hashed} as content from {table}) anti join {CATALOG}.{found} using (tenant, id)
        """
    ).fetchall()[0]


def content(
    cursor: duckdb.DuckDBPyConnection, relation: str, *, without: Collection[str] = ("synced_at",)
) -> str:
    """The hash of all columns of a relation but some: else, of all but when it was read."""
    names = [row[0] for row in cursor.execute(f"describe {relation}").fetchall()]
    columns = ", ".join(f'"{name}"' for name in names if name not in without)
    return f"hash({columns})"
