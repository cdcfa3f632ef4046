"""Erases for good: rows before a moment (`purge`), or a person's name and comments (`forget`).

From the state tables, versions, quarantine, dlt's copies, the published snapshots, and the databases that upgrades
left; the database is then written anew, as its free blocks still hold what was erased. Tombstones are kept in the
same transaction, so that nothing comes back. Run again, it finishes what was cut short.
"""

import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from pipelines import status
from pipelines.clock import Clock
from pipelines.data_dir import DataDir
from pipelines.database_errors import telling_of
from pipelines.errors import ConfigurationError, WarehouseError
from pipelines.publish import publish
from pipelines.records import BadRecord
from pipelines.resources import RESOURCES, Resource
from pipelines.settings import Settings
from pipelines.tombstones import (
    FREE_TEXTS,
    PEOPLE,
    ForgottenName,
    Tombstones,
    changed_rows,
    record_moment,
    spelling,
)
from pipelines.upgrades import opened
from pipelines.warehouse import SCHEMA, STAGING_SCHEMA, Warehouse, rewrite

BATCH_ROWS = 20_000
# What is left of a bad record that has no time to judge it by: its hash keeps it from coming back.
EMPTIED = '{"purged":true}'

Found = dict[str, dict[str, int]]


class Erasure(Protocol):
    """What is to be erased of one tenant: rows by table, as they were found."""

    tenant: str
    counts: dict[str, int]

    def carry_out(self, cursor: Any, now: datetime) -> None:
        """Erase it, and leave the tombstone."""


def erase(
    settings: Settings,
    clock: Clock,
    tenants: Iterable[str] | None,
    look_for: Callable[[Warehouse, str], Erasure],
    confirm: Callable[[Found], bool],
) -> Path | None:
    """Erase what `look_for` finds of these tenants (None: of all), once `confirm` agrees to the rows found.

    Returns the new snapshot, None where it was not agreed to. Raises LockedError while a sync runs,
    WarehouseError where there is no warehouse, or the disk fails.
    """
    data_dir = DataDir(settings.data_dir, settings.sync.published_mode)
    if not data_dir.warehouse.exists():
        raise WarehouseError(f"{data_dir.warehouse} does not exist yet: run defender-sync sync first")
    data_dir.create()
    now = clock.now()
    with data_dir.locked(), telling_of(data_dir.warehouse):
        with opened(data_dir, now) as warehouse:
            warehouse.prepare_to_publish(now, settings.aliases)
            known = _all_tenants(warehouse, settings)
            unknown = sorted(set(tenants or ()) - set(known))
            if unknown:
                raise ConfigurationError(
                    f"--tenant {unknown[0]}: neither in sync.tenants nor in the warehouse, which has {', '.join(known)}"
                )
            found = [look_for(warehouse, each) for each in dict.fromkeys(tenants or known)]
            if not confirm({each.tenant: each.counts for each in found}):
                return None
            with warehouse.transaction() as cursor:
                for each in found:
                    each.carry_out(cursor, now)
                _empty_staging(cursor)
        try:
            return _erase_copies(data_dir, now, by_tenant=settings.sync.publish_by_tenant)
        except (OSError, duckdb.Error, WarehouseError) as error:
            raise WarehouseError(
                "what was found is erased from the tables, but not yet from the snapshots and from free room in the "
                f"database: mend this, then run the same command again: {str(error).splitlines()[0]}"
            ) from error


def _erase_copies(data_dir: DataDir, now: datetime, *, by_tenant: bool) -> Path:
    """Erase it from the database's free blocks, from copies, and from what is published."""
    rewrite(data_dir.warehouse)
    _remove_copies(data_dir)
    with opened(data_dir, now) as warehouse:
        status.note_end(data_dir, warehouse, now)
        snapshot = publish(warehouse, data_dir, now, by_tenant=by_tenant, keeps_before=False)
        status.note_recovery(data_dir)
        return snapshot


def _all_tenants(warehouse: Warehouse, settings: Settings) -> list[str]:
    """Those of the configuration, and those that are no longer in it and whose rows were kept."""
    known = _rows(warehouse, "select distinct tenant from marts.sync_freshness", [])
    return sorted({tenant for (tenant,) in known} | {tenant.name for tenant in settings.tenants})


def _empty_staging(cursor: Any) -> None:
    """Empty dlt's copies of the rows that it merged last."""
    query = (
        "select table_name from duckdb_tables() where schema_name = ? and not starts_with(table_name, '_dlt')"
    )
    for (table,) in cursor.execute(query, [STAGING_SCHEMA]).fetchall():
        cursor.execute(f'delete from {STAGING_SCHEMA}."{table}"')


def _remove_copies(data_dir: DataDir) -> None:
    shutil.rmtree(data_dir.working_dir, ignore_errors=True)
    for copy in data_dir.upgrade_copies:
        copy.unlink()


def _rows(warehouse: Warehouse, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
    cursor = warehouse.cursor()
    try:
        return cursor.execute(query, values).fetchall()
    finally:
        cursor.close()


def _quarantined(warehouse: Warehouse, tenant: str) -> Iterator[tuple[Resource, str, BadRecord, datetime]]:
    """The tenant's quarantine: resource, hash, record, and when it was first seen."""
    cursor = warehouse.cursor()
    cursor.execute(
        f"select resource, record_hash, reason, record::varchar, first_seen_at from {SCHEMA}.quarantine "
        "where tenant = ?",
        [tenant],
    )
    while rows := cursor.fetchmany(BATCH_ROWS):
        for name, key, reason, record, at in rows:
            yield RESOURCES[name], key, BadRecord(reason, record), at
    cursor.close()


class Purge:
    """The rows of a tenant that were created, or started, before a moment."""

    def __init__(self, warehouse: Warehouse, tenant: str, before: datetime) -> None:
        self.tenant, self._before = tenant, before
        self.counts = dict(self._count(warehouse))
        dated, undated = [], []
        for resource, key, bad, first_seen_at in _quarantined(warehouse, tenant):
            moment = record_moment(resource, bad.record)
            if moment is None and first_seen_at < before and bad.record != EMPTIED:
                undated.append((resource.name, key))
            elif moment is not None and moment < before:
                dated.append((resource.name, key))
        self._dated, self._undated = dated, undated
        self.counts["quarantine"] = len(dated) + len(undated)

    def _count(self, warehouse: Warehouse) -> Iterable[tuple[str, int]]:
        cursor = warehouse.cursor()
        for table, condition in self._conditions():
            query = f"select count(*) from {SCHEMA}.{table} where {condition}"
            [(rows,)] = cursor.execute(query, self._values).fetchall()
            yield table, int(rows)
        cursor.close()

    def _conditions(self) -> Iterable[tuple[str, str]]:
        """Each table and which of its rows; the versions first, as they go by the rows that they belong to."""
        for resource in RESOURCES.values():
            old = f"tenant = $tenant and {resource.cursor_column} < $before"
            old_ids = f"select id from {SCHEMA}.{resource.name} where {old}"
            yield resource.versions_table, f"tenant = $tenant and id in ({old_ids})"
            yield resource.name, old

    @property
    def _values(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "before": self._before}

    def carry_out(self, cursor: Any, now: datetime) -> None:
        """Delete them, and remember the moment."""
        for table, condition in self._conditions():
            cursor.execute(f"delete from {SCHEMA}.{table} where {condition}", self._values)
        found = "where tenant = ? and (resource, record_hash) in (from found)"
        with _registered(cursor, "found", self._dated, ("resource", "record_hash")):
            cursor.execute(f"delete from {SCHEMA}.quarantine {found}", [self.tenant])
        with _registered(cursor, "found", self._undated, ("resource", "record_hash")):
            cursor.execute(f"update {SCHEMA}.quarantine set record = ? {found}", [EMPTIED, self.tenant])
        cursor.execute(
            f"insert into {SCHEMA}.purges as kept values (?, ?, ?) on conflict (tenant) do update set "
            "purged_before = greatest(kept.purged_before, excluded.purged_before), purged_at = excluded.purged_at",
            [self.tenant, self._before, now],
        )


class Forget:
    """The rows of a tenant that tell of a person."""

    def __init__(self, warehouse: Warehouse, tenant: str, name: str) -> None:
        self.tenant = tenant
        known = [each for each in warehouse.tombstones(tenant).forgotten if each.matches(spelling(name))]
        self._is_known = bool(known)
        self._person = known[0] if known else ForgottenName.of(name, secrets.token_hex(16))
        self._rule = Tombstones(None, (self._person,))
        self._tables = {
            table: self._changed(warehouse, resource, table, keys)
            for resource in RESOURCES.values()
            for table, keys in ((resource.name, ("id",)), (resource.versions_table, ("id", "version")))
        }
        self._records = [
            (resource.name, key, fresh.record_hash, fresh.record)
            for resource, key, bad, _at in _quarantined(warehouse, tenant)
            if (fresh := self._rule.record_without_names(resource, bad)) is not bad
        ]
        self.counts = {name: rows.num_rows for name, rows in self._tables.items()}
        self.counts["quarantine"] = len(self._records)

    def _changed(
        self, warehouse: Warehouse, resource: Resource, table: str, keys: tuple[str, ...]
    ) -> pa.Table:
        """The rows that the rule changes, as it leaves them: keys, and every column that may hold a name."""
        names = [name for name in resource.api_columns if name in (*PEOPLE, *FREE_TEXTS)]
        listed = [*keys, *names, *(f"{name}::varchar as {name}" for name in resource.json_columns)]
        cursor = warehouse.cursor()
        reader = cursor.sql(
            f"select {', '.join(listed)} from {SCHEMA}.{table} where tenant = ?", params=[self.tenant]
        ).to_arrow_reader(BATCH_ROWS)
        parts = [reader.schema.empty_table()]
        for batch in reader:
            rows = pa.Table.from_batches([batch])
            parts.append(changed_rows(rows, self._rule.without_names(resource, rows)))
        cursor.close()
        return pa.concat_tables(parts)

    def carry_out(self, cursor: Any, now: datetime) -> None:
        """Replace the names, drop the comments, and remember the name's hash."""
        for resource in RESOURCES.values():
            for table in (resource.name, resource.versions_table):
                self._replace(cursor, resource, table)
        self._replace_records(cursor)
        if not self._is_known:
            cursor.execute(
                f"insert into {SCHEMA}.forgotten_requestors values (?, ?, ?, ?)",
                [self.tenant, self._person.salt, self._person.name_hash, now],
            )

    def _replace(self, cursor: Any, resource: Resource, table: str) -> None:
        rows = self._tables[table]
        keys = [name for name in ("id", "version") if name in rows.column_names]
        json_columns = resource.json_columns
        values = ", ".join(
            f"{name} = redacted.{name}{'::json' if name in json_columns else ''}"
            for name in rows.column_names
            if name not in keys
        )
        same = " and ".join(f"{table}.{key} = redacted.{key}" for key in keys)
        cursor.register("redacted", rows)
        cursor.execute(
            f"update {SCHEMA}.{table} set {values} from redacted where {table}.tenant = ? and {same}",
            [self.tenant],
        )
        cursor.unregister("redacted")

    def _replace_records(self, cursor: Any) -> None:
        """Under their new contents' hashes, where several become the same, or the same content may stand already."""
        names = ("resource", "record_hash", "fresh_hash", "fresh_record")
        with _registered(cursor, "redacted", self._records, names):
            fresh = cursor.sql(
                f"""
                select
                    kept.tenant,
                    kept.resource,
                    coalesce(redacted.fresh_hash, kept.record_hash) as record_hash,
                    min(kept.reason) as reason,
                    min(coalesce(redacted.fresh_record, kept.record::varchar)) as record,
                    min(kept.first_seen_at) as first_seen_at,
                    max(kept.last_seen_at) as last_seen_at
                from {SCHEMA}.quarantine as kept left join redacted using (resource, record_hash)
                where
                    kept.tenant = ?
                    and (kept.resource, coalesce(redacted.fresh_hash, kept.record_hash))
                    in (select resource, fresh_hash from redacted)
                group by all
                """,
                params=[self.tenant],
            ).to_arrow_table()
            cursor.execute(
                f"""
                delete from {SCHEMA}.quarantine where tenant = ? and (resource, record_hash) in (
                    select resource, record_hash from redacted union all select resource, fresh_hash from redacted
                )
                """,
                [self.tenant],
            )
        cursor.register("redacted", fresh)
        cursor.execute(f"insert into {SCHEMA}.quarantine by name from redacted")
        cursor.unregister("redacted")


@contextmanager
def _registered(
    cursor: Any, name: str, rows: Sequence[tuple[str, ...]], columns: Sequence[str]
) -> Iterator[None]:
    """Rows of text as a table of that name, for as long as the `with` lasts."""
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    arrays = {column: pa.array(each, pa.string()) for column, each in zip(columns, values, strict=True)}
    cursor.register(name, pa.table(arrays))
    yield
    cursor.unregister(name)
