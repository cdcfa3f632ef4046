"""Small worlds for the tests of the marts: state tables filled row by row, views from `sql/`, rows read back.

A time is written 'MM-DD HH:MM' or 'MM-DD HH:MM:SS[.ffffff]', in UTC, in 2026; rows come back in the same form.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

SQL = Path(__file__).parents[2] / "sql"

ACTION_COLUMNS = {
    "tenant": "varchar",
    "id": "varchar",
    "type": "varchar",
    "title": "varchar",
    "requestor": "varchar",
    "requestor_comment": "varchar",
    "status": "varchar",
    "machine_id": "varchar",
    "computer_dns_name": "varchar",
    "related_file_info__file_identifier": "varchar",
    "related_file_info__file_identifier_type": "varchar",
    "creation_date_time_utc": "timestamptz",
    "last_update_date_time_utc": "timestamptz",
    "cancellation_requestor": "varchar",
    "cancellation_comment": "varchar",
    "cancellation_date_time_utc": "timestamptz",
    "error_h_result": "bigint",
    "scope": "varchar",
    "commands": "json",
    "troubleshoot_info": "json",
    "external_id": "varchar",
    "request_source": "varchar",
    "additional_properties": "json",
}
INVESTIGATION_COLUMNS = {
    "tenant": "varchar",
    "id": "varchar",
    "start_time": "timestamptz",
    "end_time": "timestamptz",
    "state": "varchar",
    "cancelled_by": "varchar",
    "status_details": "varchar",
    "machine_id": "varchar",
    "computer_dns_name": "varchar",
    "triggering_alert_id": "varchar",
    "additional_properties": "json",
}
LOADED = {"synced_at": "timestamptz", "gone_at": "timestamptz", "_dlt_load_id": "varchar"}
OBSERVED = {"version": "integer", "observed_at": "timestamptz"}
TABLES = {
    "machine_actions": {**ACTION_COLUMNS, **LOADED},
    "investigations": {**INVESTIGATION_COLUMNS, **LOADED},
    "machine_action_versions": {**ACTION_COLUMNS, **OBSERVED},
    "investigation_versions": {**INVESTIGATION_COLUMNS, **OBSERVED},
    "quarantine": {
        "tenant": "varchar",
        "resource": "varchar",
        "record_hash": "varchar",
        "reason": "varchar",
        "record": "json",
        "first_seen_at": "timestamptz",
        "last_seen_at": "timestamptz",
    },
    "watermarks": {
        "tenant": "varchar",
        "resource": "varchar",
        "watermark": "timestamptz",
        "largest_page": "bigint",
        "scrubbed_until": "timestamptz",
        "updated_at": "timestamptz",
    },
    "sync_runs": {
        "run_id": "varchar",
        "tenant": "varchar",
        "resource": "varchar",
        "command": "varchar",
        "status": "varchar",
        "started_at": "timestamptz",
        "finished_at": "timestamptz",
        "window_start": "timestamptz",
        "window_end": "timestamptz",
        "calls": "bigint",
        "retries": "bigint",
        "waited_seconds": "double",
        "rows_read": "bigint",
        "rows_new": "bigint",
        "rows_changed": "bigint",
        "rows_quarantined": "bigint",
        "checks_failed": "bigint",
        "error": "varchar",
    },
    "gaps": {
        "tenant": "varchar",
        "resource": "varchar",
        "ended_at": "timestamptz",
    },
    "purges": {
        "tenant": "varchar",
        "purged_before": "timestamptz",
        "purged_at": "timestamptz",
    },
}


def sql_files(folder: str) -> list[Path]:
    return sorted((SQL / folder).glob("*.sql"))


def views_in_order() -> list[Path]:
    """The files of staging and marts, each after those that it refers to."""
    files = {f"{path.parent.name}.{path.stem}": path for path in [*sql_files("staging"), *sql_files("marts")]}
    ordered: dict[str, Path] = {}

    def place(name: str) -> None:
        if name in ordered:
            return
        for reference in re.findall(r"\b(?:staging|marts)\.\w+", files[name].read_text()):
            if reference != name and reference in files:
                place(reference)
        ordered[name] = files[name]

    for name in files:
        place(name)
    return list(ordered.values())


def moment(text: str | None) -> str | None:
    return None if text is None else f"2026-{text}+00:00"


def shown(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    text = value.strftime("%m-%d %H:%M")
    return (
        text + value.strftime(":%S.%f").rstrip("0").rstrip(".") if value.second or value.microsecond else text
    )


class World:
    """One DuckDB in memory with empty state tables and the views of `sql/`."""

    def __init__(self, time_zone: str = "Pacific/Auckland", *, views: bool = True) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(f"set TimeZone = '{time_zone}'")
        for schema in ("defender", "staging", "marts"):
            self.connection.execute(f"create schema {schema}")
        for table, columns in TABLES.items():
            listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            self.connection.execute(f"create table defender.{table} ({listed})")
        if views:
            for path in views_in_order():
                self.connection.execute(path.read_text())

    def clear(self) -> None:
        for table in TABLES:
            self.connection.execute(f"truncate defender.{table}")

    def insert(self, table: str, **values: Any) -> None:
        kinds = TABLES[table]
        row = {
            name: moment(value)
            if kinds[name] == "timestamptz"
            else json.dumps(value)
            if kinds[name] == "json" and value is not None
            else value
            for name, value in values.items()
        }
        marks = ", ".join("?" for _ in row)
        self.connection.execute(
            f"insert into defender.{table} ({', '.join(row)}) values ({marks})", list(row.values())
        )

    def run(self, finished: str | None, *, started: str | None = None, **changes: Any) -> None:
        row = {
            "run_id": f"run {finished or started}",
            "tenant": "contoso",
            "resource": "machine_actions",
            "command": "sync",
            "status": "succeeded",
            "started_at": started or finished,
            "finished_at": finished,
            "rows_read": 1,
            "checks_failed": 0,
        }
        self.insert("sync_runs", **{**row, **changes})

    def action(
        self,
        action_id: str,
        kind: str = "Isolate",
        status: str = "Succeeded",
        *,
        at: str,
        ended: str | None = None,
        seen: Sequence[tuple[str, str]] = (),
        **changes: Any,
    ) -> None:
        """An action asked for at `at` and last updated at `ended`; `seen` are earlier (status, last update)."""
        row = {
            "tenant": "contoso",
            "id": action_id,
            "type": kind,
            "status": status,
            "machine_id": "m1",
            "creation_date_time_utc": at,
            "last_update_date_time_utc": ended or at,
            "synced_at": ended or at,
            **changes,
        }
        self.insert("machine_actions", **row)
        readings = [*seen, (row["status"], row["last_update_date_time_utc"])]
        kept = {name: value for name, value in row.items() if name not in LOADED}
        for version, (earlier_status, updated) in enumerate(readings, start=1):
            version_row = {**kept, "status": earlier_status, "last_update_date_time_utc": updated}
            observed = updated if updated is not None else row["synced_at"]
            self.insert("machine_action_versions", **version_row, version=version, observed_at=observed)

    def investigation(
        self,
        investigation_id: str,
        state: str = "Benign",
        *,
        start: str | None,
        end: str | None = None,
        seen: Sequence[tuple[str, str]] = (),
        read: str | None = None,
        **changes: Any,
    ) -> None:
        """An investigation last read at `read`; `seen` are earlier (state, time of our reading)."""
        row = {
            "tenant": "contoso",
            "id": investigation_id,
            "state": state,
            "start_time": start,
            "end_time": end,
            "machine_id": "m1",
            "triggering_alert_id": f"da{investigation_id}",
            "synced_at": read or end or start,
            **changes,
        }
        self.insert("investigations", **row)
        kept = {name: value for name, value in row.items() if name not in LOADED}
        for version, (earlier_state, observed) in enumerate(seen, start=1):
            earlier = {**kept, "state": earlier_state, "end_time": None}
            self.insert("investigation_versions", **earlier, version=version, observed_at=observed)
        last = {**kept, "version": len(seen) + 1, "observed_at": row["synced_at"]}
        self.insert("investigation_versions", **last)

    def query(self, sql: str) -> list[dict[str, Any]]:
        result = self.connection.execute(sql)
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, map(shown, row), strict=True)) for row in result.fetchall()]

    def rows(self, relation: str, *columns: str, where: str = "true") -> list[Any]:
        """Rows of a view in order of its columns: dicts of all of them, or tuples (bare if one) of those named."""
        listed = ", ".join(columns) or "*"
        found = self.query(f"select {listed} from {relation} where {where} order by all")
        if not columns:
            return found
        return [next(iter(row.values())) if len(row) == 1 else tuple(row.values()) for row in found]
