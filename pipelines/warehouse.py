"""The DuckDB warehouse: the one module that opens it, and all statements on its state tables.

The database is the authority on how far each tenant was read. Rows of the state tables are merged by dlt
(see `defender`); everything else is written here, a chunk's versions, quarantine and watermark in one
transaction after its rows.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import sql_files
from pipelines.database_errors import as_warehouse_error
from pipelines.errors import WarehouseError
from pipelines.records import BadRecord
from pipelines.refresh import OpenRow
from pipelines.resources import RESOURCES, Resource
from pipelines.tombstones import ForgottenName, Tombstones
from pipelines.windows import Window

SCHEMA = "defender"
# dlt's copy of the rows that it merges.
STAGING_SCHEMA = f"{SCHEMA}_staging"
STATE_TABLES = tuple(
    table for resource in RESOURCES.values() for table in (resource.name, resource.versions_table)
)
# What every run writes to; they stay small.
RUN_TABLES = ("quarantine", "watermarks", "sync_runs")
# What DuckDB may hold; beyond it, it writes aside. Each of its threads needs some of it: more of them would not fit.
MEMORY_LIMIT = "500MB"
MOST_THREADS = 4
# While rows are read and stored, Arrow holds them too.
MEMORY_LIMIT_WHILE_READING = "350MB"
MOST_THREADS_WHILE_READING = 2
# Bad records stand as they came, and take much memory.
QUARANTINED_AT_ONCE = 50_000
# DuckDB stores what is added as row groups of its own, of so many rows at most. At each checkpoint it would put small
# ones together, and for that write their neighbours anew; here they wait until there are many more than rows need, or
# until many of the rows in them are deleted ones.
ROW_GROUP_SIZE = 122_880
MOST_SPARE_ROW_GROUPS = 24
MOST_DELETED = 0.3
LEAVE_ROW_GROUPS = "set max_vacuum_tasks = 0"
TIDY_ROW_GROUPS = "reset max_vacuum_tasks"
TICK = timedelta(microseconds=1)
NOTHING_KNOWN = pa.table(
    {"id": pa.array([], pa.string()), "created_at": pa.array([], pa.timestamp("us", "UTC"))}
)
NOTHING_COMPARED = NOTHING_KNOWN.append_column("differs", pa.array([], pa.bool_()))


@dataclass(frozen=True)
class Progress:
    """What the row of `watermarks` says."""

    watermark: datetime | None = None
    largest_page: int = 0
    scrubbed_until: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True)
class RangeKey:
    """The range that a backfill or reconcile works on."""

    command: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Changes:
    """The rows of a chunk that are new or differ from what the warehouse has, `id` and `created_at` of all that it
    has, and how many are gone.
    """

    table: pa.Table
    rows_new: int
    known: pa.Table = field(default_factory=lambda: NOTHING_KNOWN)
    rows_gone: int = 0

    @property
    def rows_changed(self) -> int:
        """Rows that were there and differ."""
        return int(self.table.num_rows) - self.rows_new


@dataclass
class RunRow:
    """A row of `sync_runs`; a run that never comes to write its end stays `stopped`."""

    run_id: str
    tenant: str
    resource: str
    command: str
    started_at: datetime
    status: str = "stopped"
    finished_at: datetime | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None
    calls: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    rows_read: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_quarantined: int = 0
    checks_failed: int = 0
    error: str | None = None


class Warehouse:
    """One open database. Each thread takes a cursor of its own from it."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.connection = _connect(path, read_only)
        self._is_read_only = read_only
        self._is_left_open = False
        self._has_grown = False
        self._refuse_newer_version()

    def close(self) -> None:
        """Close the file, its write-ahead log folded in."""
        if not self._is_left_open:
            try:
                with suppress(duckdb.Error):
                    if not self._is_read_only and self._is_scattered():
                        self.connection.execute(TIDY_ROW_GROUPS)
            finally:
                self.connection.close()

    def leave_open(self) -> None:
        """Let the end of the process close the file: closing waits for the statement under way, and meanwhile
        holds up every thread of Python.
        """
        self._is_left_open = True

    def _is_scattered(self) -> bool:
        """Whether the tables lie in many small row groups, or one in such of which much is deleted."""
        tables = self._rows(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database()", []
        )
        if not self._has_grown:
            # Only what is stored makes row groups of theirs, and they have so many that looking takes a while.
            tables = [names for names in tables if names[1] not in STATE_TABLES]
        spare = 0
        for names in tables:
            # Somebody's own tables may have any name.
            table = ".".join('"' + name.replace('"', '""') + '"' for name in names)
            groups, stored, kept = self._one(
                "select count(distinct row_group_id), coalesce(sum(count), 0), "
                f"(select count(*) from {table}) from pragma_storage_info(?) "
                "where column_id = 0 and segment_type <> 'VALIDITY'",
                [table],
            )
            # Those without a row left, as all of dlt's staging, are dropped in any case.
            if kept and stored - kept > MOST_DELETED * stored + ROW_GROUP_SIZE:
                return True
            spare += groups - ceil(kept / ROW_GROUP_SIZE)
        return spare > MOST_SPARE_ROW_GROUPS

    @contextmanager
    def less_memory(self) -> Iterator[None]:
        """Leave some of DuckDB's memory to others for a while; after an error the run is over, and it stays so."""
        _limit(self.connection, MEMORY_LIMIT_WHILE_READING, MOST_THREADS_WHILE_READING)
        yield
        _limit(self.connection, MEMORY_LIMIT, MOST_THREADS)

    def give_memory(self, limit: str | None) -> None:
        """Let DuckDB hold so much, or what the machine has, for statements that cannot write aside enough."""
        self.connection.execute(f"set memory_limit = '{limit}'" if limit else "reset memory_limit")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of the calling thread's own."""
        return self.connection.cursor()

    @contextmanager
    def transaction(self) -> Any:
        """All or nothing."""
        cursor = self.cursor()
        cursor.execute("begin")
        try:
            yield cursor
        except BaseException:
            cursor.execute("rollback")
            raise
        else:
            cursor.execute("commit")
        finally:
            cursor.close()

    # --- tables and views ---

    def schema_version(self) -> int | None:
        """Which version of the program made the tables; None before it has made them all."""
        query = (
            "select count(*) from duckdb_tables() where schema_name = ? and table_name = 'schema_versions'"
        )
        if self._one(query, [SCHEMA])[0] == 0:
            return None
        version: int | None = self._one(f"select max(version) from {SCHEMA}.schema_versions", [])[0]
        return version

    def _refuse_newer_version(self) -> None:
        version, known = self.schema_version() or 0, sql_files.schema_version()
        if version > known:
            self.close()
            raise WarehouseError(
                f"{self.path} was made by a newer version of this program (schema {version}; this one knows "
                f"{known}): nothing was touched. Update the program, or restore the copy from before its upgrade"
            )

    def migrate(self, number: int, statements: str, now: datetime) -> None:
        """Carry the tables forward to version `number`; views are made anew afterwards."""
        with self.transaction() as cursor:
            cursor.execute(statements)
            cursor.execute(f"insert into {SCHEMA}.schema_versions values (?, '', ?)", [number, now])

    def has_state_tables(self) -> bool:
        """Whether dlt has made the state tables."""
        query = "select count(*) from duckdb_tables() where schema_name = ? and table_name in (?, ?)"
        return bool(self._one(query, [SCHEMA, *RESOURCES])[0] == len(RESOURCES))

    def create_tables(self) -> None:
        """The tables that dlt does not make, and the versions beside the state tables that it made."""
        for schema in (SCHEMA, *sql_files.VIEW_LAYERS):
            self.connection.execute(f"create schema if not exists {schema}")
        for statement in sql_files.table_statements():
            self.connection.execute(statement)
        for resource in RESOURCES.values():
            self.connection.execute(
                f"create table if not exists {SCHEMA}.{resource.versions_table} as "
                f"select tenant, id, 1::integer as version, {', '.join(resource.api_columns)}, "
                f"synced_at as observed_at from {SCHEMA}.{resource.name} limit 0"
            )

    def create_views(self, now: datetime, aliases: Mapping[str, str] = sql_files.NO_ALIASES) -> None:
        """Views and marts, when the files or the aliases differ from those that made the present ones."""
        wanted = sql_files.views_hash(aliases)
        version = sql_files.schema_version()
        latest = self._rows(
            f"from {SCHEMA}.schema_versions qualify rank() over (order by version desc, applied_at desc) = 1",
            [],
        )
        if any(row[:2] == (version, wanted) for row in latest):
            return
        with self.transaction() as cursor:
            for layer in reversed(sql_files.VIEW_LAYERS):
                cursor.execute(f"drop schema if exists {layer} cascade")
            for layer in sql_files.VIEW_LAYERS:
                cursor.execute(f"create schema {layer}")
            for statement in sql_files.view_statements(aliases):
                cursor.execute(statement)
            cursor.execute(
                f"insert into {SCHEMA}.schema_versions values (?, ?, ?)",
                [version, wanted, now],
            )

    def prepare_to_publish(self, now: datetime, aliases: Mapping[str, str]) -> None:
        """Tables and views as this program has them. Raises WarehouseError where nothing was ever read: what a lost
        database leaves must not replace what is published.
        """
        if self.has_state_tables():
            self.create_tables()
            self.create_views(now, aliases)
            if self.row_counts() or self.has_been_read():
                return
        raise WarehouseError(f"{self.path} holds nothing yet: run defender-sync sync first")

    # --- what was erased ---

    def tombstones(self, tenant: str) -> Tombstones:
        """What must not come back for a tenant."""
        purge = self._row(f"select purged_before from {SCHEMA}.purges where tenant = ?", [tenant])
        query = f"select salt, name_hash from {SCHEMA}.forgotten_requestors where tenant = ? order by all"
        people = tuple(ForgottenName(*row) for row in self._rows(query, [tenant]))
        return Tombstones(purge[0] if purge else None, people)

    def remove_rows(self, tenant: str, resource: Resource, ids: Sequence[str]) -> None:
        """Erase rows with their versions."""
        with self.transaction() as cursor:
            for table in (resource.versions_table, resource.name):
                cursor.execute(
                    f"delete from {SCHEMA}.{table} where tenant = ? and id in (select unnest(?::varchar[]))",
                    [tenant, list(ids)],
                )

    # --- how far ---

    def has_been_read(self) -> bool:
        """Whether a chunk was ever committed; until then its marts would call silence an answer."""
        return bool(self._one(f"select count(*) from {SCHEMA}.watermarks", [])[0])

    def progress(self, tenant: str, resource: Resource) -> Progress:
        """The watermark's row; an empty one before the first commit."""
        row = self._row(
            f"select watermark, largest_page, scrubbed_until, updated_at from {SCHEMA}.watermarks "
            "where tenant = ? and resource = ?",
            [tenant, resource.name],
        )
        return Progress(*row) if row else Progress()

    def note_gap(self, tenant: str, resource: Resource, ended_at: datetime) -> None:
        """Remember that rows created before that moment may never have been read."""
        self._rows(
            f"insert or replace into {SCHEMA}.gaps values (?, ?, ?)", [tenant, resource.name, ended_at]
        )

    def read_stamp(self, tenant: str, resource: Resource, now: datetime) -> datetime:
        """A `synced_at` for rows read now: later than any before it, also when the clock was set back."""
        last = self._one(f"select max(synced_at) from {SCHEMA}.{resource.name} where tenant = ?", [tenant])[0]
        floor = self.progress(tenant, resource).updated_at
        known = [moment + TICK for moment in (last, floor) if moment is not None]
        return max([now, *known])

    # --- one chunk ---

    def changes(self, tenant: str, resource: Resource, incoming: pa.Table) -> Changes:
        """The rows of `incoming` that the warehouse does not hold as they are."""
        if not incoming.num_rows:
            return Changes(incoming, 0)
        cursor = self.cursor()
        cursor.register("incoming", incoming)
        known = self._compared(cursor, tenant, resource, incoming)
        cursor.unregister("incoming")
        cursor.close()
        same_ids = known.filter(pc.invert(known["differs"]))["id"]
        is_same = pc.is_in(incoming["id"], same_ids)
        table = incoming.filter(pc.invert(is_same)) if same_ids else incoming
        return Changes(table, incoming.num_rows - known.num_rows, known.drop_columns("differs"))

    def _compared(
        self, cursor: duckdb.DuckDBPyConnection, tenant: str, resource: Resource, incoming: pa.Table
    ) -> pa.Table:
        """`id` and `created_at` of the kept rows that are in `incoming` too, and whether they differ there."""
        kept, at = f"{SCHEMA}.{resource.name}", resource.cursor_column
        differs = " or ".join(
            f"kept.{name}{'::varchar' if name in resource.json_columns else ''} is distinct from incoming.{name}"
            for name in resource.api_columns
        )
        compare = (
            f"select kept.id, kept.{at} as created_at, kept.gone_at is not null or {differs} as differs "
            f"from incoming inner join {kept} as kept on kept.tenant = ? and kept.id = incoming.id"
        )
        # Rows lie roughly in the order in which they were created: found by their times too, others are not looked at.
        near = f"select exists (from {kept} where tenant = ? and {at} between ? and ?)"
        times = pc.min_max(incoming[at])
        known = NOTHING_COMPARED
        if self._one(near, [tenant, times["min"].as_py(), times["max"].as_py()])[0]:
            known = cursor.sql(f"{compare} and kept.{at} = incoming.{at}", params=[tenant]).to_arrow_table()
        if known.num_rows < incoming.num_rows:
            # Ids alone are quick to look up in a large table, and mostly the others are new.
            everywhere = f"select count(*) from {kept} where tenant = ? and id in (select id from incoming)"
            if cursor.execute(everywhere, [tenant]).fetchall()[0][0] > known.num_rows:
                known = cursor.sql(compare, params=[tenant]).to_arrow_table()
        return known

    def commit(
        self,
        tenant: str,
        resource: Resource,
        *,
        stamp: datetime,
        has_changes: bool = False,
        known: pa.Table = NOTHING_KNOWN,
        bad_records: Iterable[BadRecord] = (),
        gone_ids: Sequence[str] = (),
        watermark: datetime | None = None,
        scrubbed_until: datetime | None = None,
        range_reached: tuple[RangeKey, datetime] | None = None,
        largest_page: int = 0,
    ) -> None:
        """Finish a chunk whose changed rows are loaded: versions, read stamps, quarantine, and how far.

        `stamp` is the `synced_at` of the rows loaded, and of no other yet; `known` are `id` and `created_at`
        of the rows that were there before.
        """
        with self.transaction() as cursor:
            if has_changes:
                self._has_grown = True
                self._add_versions(cursor, tenant, resource, "synced_at = ?", [stamp])
            if known.num_rows:
                self._stamp(cursor, tenant, resource, known, stamp)
            self._quarantine(cursor, tenant, resource, bad_records, stamp)
            if gone_ids:
                cursor.execute(
                    f"update {SCHEMA}.{resource.name} set gone_at = ? "
                    "where tenant = ? and gone_at is null and list_contains(?, id)",
                    [stamp, tenant, list(gone_ids)],
                )
            if range_reached is not None:
                key, reached = range_reached
                cursor.execute(
                    f"insert or replace into {SCHEMA}.ranges values (?, ?, ?, ?, ?, ?)",
                    [tenant, resource.name, key.command, key.start, key.end, reached],
                )
            self._move_on(cursor, tenant, resource, [watermark, largest_page, scrubbed_until, stamp])

    def _move_on(
        self, cursor: duckdb.DuckDBPyConnection, tenant: str, resource: Resource, values: list[Any]
    ) -> None:
        """Note the watermark, largest page, and how far was scrubbed, each unless it is null, and when."""
        # An upsert takes three times as long.
        [(known,)] = cursor.execute(
            f"""
            update {SCHEMA}.watermarks set
                watermark = coalesce(?, watermark), largest_page = greatest(?, largest_page),
                scrubbed_until = coalesce(?, scrubbed_until), updated_at = ?
            where tenant = ? and resource = ?
            """,
            [*values, tenant, resource.name],
        ).fetchall()
        if not known:
            cursor.execute(
                f"""
                insert into {SCHEMA}.watermarks
                    (watermark, largest_page, scrubbed_until, updated_at, tenant, resource)
                values (?, ?, ?, ?, ?, ?)
                """,
                [*values, tenant, resource.name],
            )

    def _stamp(
        self,
        cursor: duckdb.DuckDBPyConnection,
        tenant: str,
        resource: Resource,
        known: pa.Table,
        stamp: datetime,
    ) -> None:
        """Note of rows that were there before, and are as they were, when they were read."""
        at = resource.cursor_column
        # As in `changes`: by their times too, those are found without a look at all others.
        places = [f"(id, {at}) in (select id, created_at from known)"]
        if known["created_at"].null_count:
            places.append(f"{at} is null and id in (select id from known where created_at is null)")
        cursor.register("known", known)
        for place in places:
            cursor.execute(
                f"update {SCHEMA}.{resource.name} set synced_at = ? "
                f"where tenant = ? and synced_at < ? and {place}",
                [stamp, tenant, stamp],
            )
        cursor.unregister("known")

    def add_missing_versions(self) -> None:
        """Versions of rows, of any tenant, that a run loaded but did not live to commit."""
        for resource in RESOURCES.values():
            # One pass over all tenants' rows: mostly it finds none, and there may be hundreds of tenants.
            uncommitted = self._rows(
                f"""
                select kept.tenant, max(marks.updated_at) from {SCHEMA}.{resource.name} as kept
                left join {SCHEMA}.watermarks as marks on marks.tenant = kept.tenant and marks.resource = ?
                group by kept.tenant
                having coalesce(max(kept.synced_at) > max(marks.updated_at), true)
                """,
                [resource.name],
            )
            for tenant, since in uncommitted:
                with self.transaction() as cursor:
                    condition, values = ("synced_at > ?", [since]) if since else ("true", [])
                    self._add_versions(cursor, tenant, resource, condition, values)

    def _add_versions(
        self,
        cursor: duckdb.DuckDBPyConnection,
        tenant: str,
        resource: Resource,
        condition: str,
        values: list[Any],
    ) -> None:
        """A version of each row that differs from its latest one: A, B, A are three."""
        names = resource.api_columns
        values = [tenant, *values]
        fresh = f"from {SCHEMA}.{resource.name} where tenant = ? and {condition}"
        has_versions = cursor.execute(
            f"select exists (from {SCHEMA}.{resource.versions_table} "
            f"where tenant = ? and id in (select id {fresh}))",
            [tenant, *values],
        ).fetchone()
        if has_versions == (False,):
            # Rows never seen before, as in a first load: there is nothing to compare with.
            cursor.execute(
                f"insert into {SCHEMA}.{resource.versions_table} by name "
                f"select tenant, id, 1 as version, {', '.join(names)}, synced_at as observed_at {fresh}",
                values,
            )
            return
        differs = " or ".join(f"latest.{name} is distinct from fresh.{name}" for name in names)
        cursor.execute(
            f"""
            insert into {SCHEMA}.{resource.versions_table} by name
            with fresh as ({fresh}),
            latest as (
                from {SCHEMA}.{resource.versions_table} as versions
                where tenant = ? and id in (select id from fresh)
                qualify row_number() over (partition by id order by version desc) = 1
            )
            select
                fresh.tenant, fresh.id, coalesce(latest.version, 0) + 1 as version,
                {", ".join(f"fresh.{name}" for name in names)}, fresh.synced_at as observed_at
            from fresh left join latest on latest.id = fresh.id
            where latest.id is null or {differs}
            """,
            [*values, tenant],
        )

    def _quarantine(
        self,
        cursor: duckdb.DuckDBPyConnection,
        tenant: str,
        resource: Resource,
        bad_records: Iterable[BadRecord],
        seen_at: datetime,
    ) -> None:
        rows = list({bad.record_hash: bad for bad in bad_records}.values())
        theirs = "tenant = ? and resource = ?"
        for start in range(0, len(rows), QUARANTINED_AT_ONCE):
            part = rows[start : start + QUARANTINED_AT_ONCE]
            columns = zip(*((bad.record_hash, bad.reason, bad.record) for bad in part), strict=True)
            table = pa.table([list(each) for each in columns], names=["record_hash", "reason", "record"])
            cursor.register("bad_records", table)
            cursor.execute(
                f"update {SCHEMA}.quarantine set last_seen_at = ? "
                f"where {theirs} and record_hash in (select record_hash from bad_records)",
                [seen_at, tenant, resource.name],
            )
            cursor.execute(
                f"""
                insert into {SCHEMA}.quarantine
                select ?, ?, record_hash, reason, record, ?, ? from bad_records
                anti join (select record_hash from {SCHEMA}.quarantine where {theirs}) using (record_hash)
                """,
                [tenant, resource.name, seen_at, seen_at, tenant, resource.name],
            )
            cursor.unregister("bad_records")

    # --- what to read again ---

    def open_rows(self, tenant: str, resource: Resource, unread_since: datetime) -> list[OpenRow]:
        """Rows that may still change, are not gone, and were not read since that moment."""
        at = resource.cursor_column
        rows = self._rows(
            f"""
            with open_rows as (
                select id, {at} as cursor_at from staging.{resource.name}
                where tenant = ? and gone_at is null and synced_at < ? and (is_open or {at} is null)
            ),
            bounds as (select min(cursor_at) as oldest, max(cursor_at) as newest from open_rows),
            ranked as (
                select id, count(*) over (order by {at} desc) as rows_since
                from {SCHEMA}.{resource.name}, bounds
                where tenant = ? and {at} between oldest and newest
            )
            select open_rows.id, cursor_at, coalesce(rows_since, 0)
            from open_rows left join ranked on ranked.id = open_rows.id
            order by cursor_at nulls first, open_rows.id
            """,
            [tenant, unread_since, tenant],
        )
        return [OpenRow(*row) for row in rows]

    def count_timeless(self, tenant: str, resource: Resource) -> int:
        """How many rows have no creation or start time."""
        query = f"select count(*) from {SCHEMA}.{resource.name} where tenant = ? and {resource.cursor_column} is null"
        return int(self._one(query, [tenant])[0])

    def oldest_at(self, tenant: str, resource: Resource) -> datetime | None:
        """The oldest creation or start time that the warehouse has; None without one."""
        query = f"select min({resource.cursor_column}) from {SCHEMA}.{resource.name} where tenant = ?"
        oldest: datetime | None = self._one(query, [tenant])[0]
        return oldest

    def scrub_window(
        self, tenant: str, resource: Resource, start: datetime, end: datetime, most_rows: int
    ) -> tuple[Window, int]:
        """The window from `start` that holds no more than so many known rows, or more where all of these are of one
        moment; and how many it holds.
        """
        at = resource.cursor_column
        row = self._row(
            f"""
            with kept as (select {at} from {SCHEMA}.{resource.name} where tenant = ? and {at} >= ? and {at} < ?),
            cut as (select {at} from kept order by {at} limit 1 offset ?)
            select min(kept.{at}) from kept, cut where kept.{at} >= cut.{at} and kept.{at} > ?
            """,
            [tenant, start, end, most_rows, start],
        )
        cut = (row and row[0]) or end
        count = self._one(
            f"select count(*) from {SCHEMA}.{resource.name} where tenant = ? and {at} >= ? and {at} < ?",
            [tenant, start, cut],
        )[0]
        return Window(start, cut), int(count)

    def ids_between(self, tenant: str, resource: Resource, window: Window) -> list[str]:
        """The ids of the rows of a window that are not known to be gone."""
        at = resource.cursor_column
        rows = self._rows(
            f"select id from {SCHEMA}.{resource.name} "
            f"where tenant = ? and gone_at is null and {at} >= ? and {at} < ? order by id",
            [tenant, window.start, window.end],
        )
        return [row[0] for row in rows]

    def unfinished_range(
        self, tenant: str, resource: Resource, command: str
    ) -> tuple[RangeKey, datetime] | None:
        """The range of that command that was cut short, and how far it was read."""
        row = self._row(
            f"select range_start, range_end, reached from {SCHEMA}.ranges "
            "where tenant = ? and resource = ? and command = ?",
            [tenant, resource.name, command],
        )
        return (RangeKey(command, row[0], row[1]), row[2]) if row else None

    def finish_range(self, tenant: str, resource: Resource, command: str) -> None:
        """Forget the range: it is read to its end."""
        self._rows(
            f"delete from {SCHEMA}.ranges where tenant = ? and resource = ? and command = ?",
            [tenant, resource.name, command],
        )

    # --- the run log ---

    def save_run(self, run: RunRow) -> None:
        """Write the run's row, new or again."""
        key = {"run_id": run.run_id, "tenant": run.tenant, "resource": run.resource}
        told = {name: value for name, value in vars(run).items() if name not in key}
        cursor = self.cursor()
        # An upsert takes three times as long.
        [(known,)] = cursor.execute(
            f"update {SCHEMA}.sync_runs set {', '.join(f'{name} = ?' for name in told)} "
            f"where {' and '.join(f'{name} = ?' for name in key)}",
            [*told.values(), *key.values()],
        ).fetchall()
        if not known:
            row = key | told
            cursor.execute(
                f"insert into {SCHEMA}.sync_runs ({', '.join(row)}) values ({', '.join('?' for _ in row)})",
                list(row.values()),
            )
        cursor.close()

    def forget_runs(self, before: datetime) -> None:
        """Drop old rows of the run log, but for each tenant's first sync that read anything: it tells since when we
        see (`staging.coverage`).
        """
        self.connection.execute(
            f"""
            delete from {SCHEMA}.sync_runs as old
            where started_at < ? and not exists (
                from (
                    select tenant, resource, arg_min(run_id, window_start) as run_id
                    from {SCHEMA}.sync_runs
                    where command = 'sync' and (status in ('succeeded', 'partial') or window_end is not null)
                    group by tenant, resource
                ) as first
                where first.tenant = old.tenant and first.resource = old.resource and first.run_id = old.run_id
            )
            """,
            [before],
        )
        self.connection.execute(
            f"delete from {SCHEMA}._dlt_loads where inserted_at < ?",
            [before],
        )

    def row_counts(self) -> dict[tuple[str, str], int]:
        """Rows by tenant and resource."""
        counts: dict[tuple[str, str], int] = {}
        for name in RESOURCES:
            for tenant, rows in self._rows(f"select tenant, count(*) from {SCHEMA}.{name} group by 1", []):
                counts[tenant, name] = int(rows)
        return counts

    # --- small things ---

    def _rows(self, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
        cursor = self.cursor()
        try:
            return cursor.execute(query, values).fetchall()
        finally:
            cursor.close()

    def _row(self, query: str, values: list[Any]) -> tuple[Any, ...] | None:
        rows = self._rows(query, values)
        return rows[0] if rows else None

    def _one(self, query: str, values: list[Any]) -> tuple[Any, ...]:
        return self._rows(query, values)[0]


def _limit(connection: duckdb.DuckDBPyConnection, memory: str, most_threads: int) -> None:
    connection.execute(f"set memory_limit = '{memory}'")
    connection.execute(f"set threads = {min(most_threads, os.cpu_count() or 1)}")


def check_free(path: Path) -> None:
    """Raise WarehouseError where another program has the database open, if only to read: a sync needs it alone.

    Not for a process that has it open itself: closing the file here would let go of its lock.
    """
    with suppress(PermissionError), path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held_open(path) from None


def rewrite(path: Path) -> None:
    """Write the closed database anew, so that nothing of erased rows is left in its free blocks."""
    # Where it is a link, what it leads to.
    path = path.resolve()
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    warehouse = Warehouse(path)
    try:
        quoted = str(fresh).replace("'", "''")
        warehouse.connection.execute("checkpoint")
        warehouse.connection.execute(f"attach '{quoted}' as fresh")
        name = warehouse._one("select current_database()", [])[0]
        warehouse.connection.execute(f'copy from database "{name}" to fresh')
        warehouse.connection.execute("checkpoint fresh")
        warehouse.connection.execute("detach fresh")
    finally:
        warehouse.close()
    fresh.replace(path)


def _connect(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except (duckdb.Error, OSError) as error:
        raise _open_error(path, error) from error
    if not read_only:
        _remove_spilt(connection)
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set preserve_insertion_order = false")
    connection.execute(LEAVE_ROW_GROUPS)
    _limit(connection, MEMORY_LIMIT, MOST_THREADS)
    connection.execute("set autoinstall_known_extensions = false")
    return connection


def _remove_spilt(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove what killed runs wrote aside: rows, which may have been erased since."""
    [(folder,)] = connection.execute("select current_setting('temp_directory')").fetchall()
    try:
        # DuckDB's own files only, wherever that folder is.
        for spilt in Path(folder).glob("duckdb_temp_*"):
            spilt.unlink()
    except OSError as error:
        connection.close()
        raise WarehouseError(
            f"{folder} holds what a killed run wrote aside, and cannot be emptied: {error.strerror}. Remove it"
        ) from error


def _held_open(path: Path) -> WarehouseError:
    return WarehouseError(
        f"{path} is held open by another program, which blocks a sync: close it, "
        "and let dashboards read data/published instead"
    )


def _open_error(path: Path, error: Exception) -> WarehouseError:
    text = str(error)
    if "lock on file" in text:
        return _held_open(path)
    if "not a valid DuckDB" in text:
        return WarehouseError(
            f"{path} is no DuckDB database: move it away or restore a backup, then sync again"
        )
    return as_warehouse_error(error, path) or WarehouseError(f"{path} cannot be opened")
