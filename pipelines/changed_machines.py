"""The marts of those machines on which something changed, worked out apart from all others.

A row of such a mart tells of one machine, or of one action or investigation on it. So the same views, over the rows
of these machines alone, give these rows as they are over all. A row of `machines` lists those of the same name as well,
and is worked out over all that bear a name of these. Other marts that look across machines are not among them.
"""

from dataclasses import dataclass

import duckdb

from pipelines import sql_files
from pipelines.differences import CATALOG, content
from pipelines.excerpt import excerpt
from pipelines.warehouse import SCHEMA, Warehouse

# By mart, the column that says which of its rows are replaced, and the table of the catalog that lists its values.
KEYS = {
    "machine_actions": ("machine_action_id", "affected_actions"),
    "machine_action_transitions": ("machine_action_id", "affected_actions"),
    "live_response_commands": ("machine_action_id", "affected_actions"),
    "investigations": ("investigation_id", "affected_investigations"),
    "investigation_transitions": ("investigation_id", "affected_investigations"),
    "response_times": ("investigation_id", "affected_investigations"),
    "machine_action_investigations": ("machine_id", "affected_machines"),
    "machine_timeline": ("machine_id", "affected_machines"),
    "machine_containment": ("machine_id", "affected_machines"),
    "containment_episodes": ("machine_id", "affected_machines"),
    "machines": ("machine_id", "bearers"),
}
# Schemas of the catalog, for what is replaced of each mart: rows of the snapshot, and those of now.
REPLACED = ("gone", "fresh")
# What moves with time alone.
TIMES = ("as_of", "age_seconds", "synced_at")


def find(cursor: duckdb.DuckDBPyConnection, former: str) -> None:
    """Add to the catalog what the changed rows bear on, here and in the snapshot attached as `former`."""
    cursor.execute(
        _PLACES.format(
            catalog=CATALOG,
            content=content(cursor, "marts.investigations", without=TIMES),
            former=former,
            schema=SCHEMA,
        )
    )


# An investigation's row may differ though its own record does not: by its twin's. And a record may have new versions
# though its row is as it was.
_PLACES = """
create table {catalog}.affected_actions as
select tenant, id as machine_action_id from {catalog}.changed_machine_actions;

create table {catalog}.investigations as
select tenant, investigation_id, twin_investigation_id, machine_id, {content} as content from marts.investigations;

create table {catalog}.differing_investigations as
with former as (
    select tenant, investigation_id, machine_id as former_machine_id, {content} as former_content
    from {former}.marts.investigations
)
select tenant, investigation_id, machine_id, former_machine_id
from {catalog}.investigations full join former using (tenant, investigation_id)
where content is distinct from former_content
    or (tenant, investigation_id) in (from {catalog}.changed_investigations);

create table {catalog}.affected_machines as
select tenant, machine_id from (
    select tenant, machine_id from {schema}.machine_actions
    where (tenant, id) in (from {catalog}.changed_machine_actions)
    union
    select tenant, machine_id from {former}.main.machine_actions
    where (tenant, id) in (from {catalog}.changed_machine_actions)
    union
    select tenant, machine_id from {catalog}.differing_investigations
    union
    select tenant, former_machine_id from {catalog}.differing_investigations
) where machine_id is not null;

create table {catalog}.affected_investigations as
select tenant, investigation_id from {catalog}.differing_investigations
union
select tenant, investigation_id from {catalog}.investigations
where (tenant, machine_id) in (from {catalog}.affected_machines);
"""


def share_of_actions(cursor: duckdb.DuckDBPyConnection) -> float:
    """How many of all machine actions are on the affected machines; between 0 and 1."""
    row = cursor.execute(
        f"""
        select
            count(*) filter (where (tenant, machine_id) in (from {CATALOG}.affected_machines))
            / greatest(count(*), 1)
        from {SCHEMA}.machine_actions
        """
    ).fetchone()
    return float(row[0]) if row else 0.0


def work_out_marts(warehouse: Warehouse) -> None:
    """Make the marts of `KEYS` in schema `marts` of the catalog, over the rows of the affected machines.

    Catalog `snapshot` is to hold the rows from before.
    """
    queries = sql_files.view_queries("marts")
    with excerpt(warehouse, CATALOG, _ROWS) as within:
        for mart, query in queries.items():
            if mart in KEYS:
                within.execute(f"create table marts.{mart} as {query}")
        # Until here, `machines` tells what the affected are called now, but not who else is.
        within.execute(_BEARERS)
        over_bearers = sql_files.reading_marts_of("of_bearers", queries["machines"])
        within.execute(f"create or replace table marts.machines as {over_bearers}")
        for schema in REPLACED:
            within.execute(f"create schema {schema}")


_ROWS = {
    "machine_actions": f"""
        from {SCHEMA}.machine_actions where (tenant, machine_id) in (from {CATALOG}.affected_machines)
        union all
        -- On no machine: of all others that changed, the machine is among the affected.
        from {SCHEMA}.machine_actions
        where machine_id is null and (tenant, id) in (from {CATALOG}.changed_machine_actions)
    """,
    "investigations": f"""
        with placed as (
            from {CATALOG}.investigations semi join {CATALOG}.affected_investigations using (tenant, investigation_id)
        )
        from {SCHEMA}.investigations
        where (tenant, id) in (
            select tenant, investigation_id from placed
            union all
            select tenant, twin_investigation_id from placed where twin_investigation_id is not null
        )
    """,
}


# Whoever bears a name that an affected machine bore before, or bears now. Of those that are not affected, what the
# snapshot says is as it was.
_BEARERS = """
create table bearers as
with names as (
    select tenant, machine_name from snapshot.marts.machines semi join affected_machines using (tenant, machine_id)
    union
    select tenant, machine_name from marts.machines
)
select tenant, machine_id from affected_machines
union
select tenant, machine_id from snapshot.marts.machines where (tenant, machine_name) in (from names);

create schema of_bearers;
create view of_bearers.machine_actions as
from marts.machine_actions
union all by name
from snapshot.marts.machine_actions
where (tenant, machine_id) in (from bearers) and (tenant, machine_id) not in (from affected_machines);
create view of_bearers.investigations as
from marts.investigations
union all by name
from snapshot.marts.investigations
where (tenant, machine_id) in (from bearers) and (tenant, machine_id) not in (from affected_machines);
"""


@dataclass(frozen=True)
class Replaced:
    """Rows of a mart of catalog `snapshot` that gave way to others: how many, which they were, and the new ones.

    `may_be_gone` and `is_gone` are conditions for its rows as they were, once what moves is brought to now: the first
    asks for two columns alone, and is true for some more. `fresh` is the relation of the new ones.
    """

    gone_count: int
    may_be_gone: str
    is_gone: str
    fresh: str


def replace_rows(cursor: duckdb.DuckDBPyConnection, mart: str) -> Replaced | None:
    """Replace the rows of a mart of `KEYS` in catalog `snapshot` that differ from those of now; None where none do.

    What moves in all its rows is to be brought to now before.
    """
    column, keys = KEYS[mart]
    kept, now = f"snapshot.marts.{mart}", f"{CATALOG}.marts.{mart}"
    gone, fresh = (f"{CATALOG}.{schema}.{mart}" for schema in REPLACED)
    whole = content(cursor, kept, without=())
    affected = f"(tenant, {column}) in (from {CATALOG}.{keys})"
    # A content that one side has more often than the other is replaced wherever it stands.
    cursor.execute(
        f"""
        create or replace table {CATALOG}.places as
        select {whole} as content, 1 as weight, rowid as place from {kept} where {affected}
        union all
        select {whole}, -1, rowid from {now} where {affected};
        delete from {CATALOG}.places where content in (
            select content from {CATALOG}.places group by content having sum(weight) = 0
        );
        create table {gone} as select tenant, {column}, {whole} as content, rowid as place from {kept}
        where rowid in (select place from {CATALOG}.places where weight = 1);
        create table {fresh} as from {now}
        where rowid in (select place from {CATALOG}.places where weight = -1);
        """
    )
    cursor.execute(f"delete from {kept} where rowid in (select place from {gone})")
    cursor.execute(f"insert into {kept} by name from {fresh}")
    counts = cursor.execute(
        f"select (select count(*) from {gone}), (select count(*) from {fresh})"
    ).fetchone()
    if counts is None or counts == (0, 0):
        return None
    return Replaced(
        counts[0],
        f"(tenant, {column}) in (select tenant, {column} from {gone})",
        f"{whole} in (select content from {gone})",
        fresh,
    )
