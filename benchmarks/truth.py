"""Compares what a contestant stored with the rows that were served, row by row.

`python -m benchmarks.truth ROWS FOLDER CONTESTANT STATE` prints how many rows are missing, too many,
or differ. Times are compared to the microsecond, cut. Nested lists are compared where they are kept as JSON;
the stock source keeps them in tables of their own, which are left out.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.rows import RowState

COMMANDS = json.dumps(
    [
        {
            "index": "INTEGER",
            "startTime": "VARCHAR",
            "endTime": "VARCHAR",
            "commandStatus": "VARCHAR",
            "errors": ["VARCHAR"],
            "command": {"type": "VARCHAR", "params": [{"key": "VARCHAR", "value": "VARCHAR"}]},
        }
    ]
)
INFO = json.dumps(
    {
        "expirationUtc": "VARCHAR",
        "startTsModeUtc": "VARCHAR",
        "paramsJsonFormatVersion": "INTEGER",
        "state": "VARCHAR",
    }
)
# Each column as the API names it, and as dlt does; what kind it is.
COLUMNS = {
    "machine_actions": {
        "id": ("id", "text"),
        "type": ("type", "text"),
        "title": ("title", "text"),
        "requestor": ("requestor", "text"),
        "requestorComment": ("requestor_comment", "text"),
        "status": ("status", "text"),
        "machineId": ("machine_id", "text"),
        "computerDnsName": ("computer_dns_name", "text"),
        "relatedFileInfo.fileIdentifier": ("related_file_info__file_identifier", "text"),
        "relatedFileInfo.fileIdentifierType": ("related_file_info__file_identifier_type", "text"),
        "creationDateTimeUtc": ("creation_date_time_utc", "time"),
        "lastUpdateDateTimeUtc": ("last_update_date_time_utc", "time"),
        "cancellationRequestor": ("cancellation_requestor", "text"),
        "cancellationComment": ("cancellation_comment", "text"),
        "cancellationDateTimeUtc": ("cancellation_date_time_utc", "time"),
        "errorHResult": ("error_h_result", "integer"),
        "scope": ("scope", "text"),
        "externalId": ("external_id", "text"),
        "requestSource": ("request_source", "text"),
        "commands": ("commands", COMMANDS),
        "troubleshootInfo": ("troubleshoot_info", INFO),
    },
    "investigations": {
        "id": ("id", "text"),
        "startTime": ("start_time", "time"),
        "endTime": ("end_time", "time"),
        "state": ("state", "text"),
        "cancelledBy": ("cancelled_by", "text"),
        "statusDetails": ("status_details", "text"),
        "machineId": ("machine_id", "text"),
        "computerDnsName": ("computer_dns_name", "text"),
        "triggeringAlertId": ("triggering_alert_id", "text"),
    },
}
FILES = {"machine_actions": "machineactions", "investigations": "investigations"}
SCHEMAS = {"ours": "defender", "stock": "stock", "handwritten": "main", "insert": "main"}


def compare(rows: Path, folder: Path, contestant: str, state: RowState) -> dict[str, int]:
    """How many rows are missing, too many, or differ, over both tables."""
    found = {"rows": 0, "missing": 0, "too_many": 0, "differ": 0}
    database = duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(folder / "spill")})
    database.execute("set TimeZone = 'UTC'")
    database.execute(f"attach '{folder / 'warehouse.duckdb'}' as result (read_only)")
    for table in FILES:
        _read_truth(database, rows, table, state)
        present = {
            row[0] for row in database.execute(f"describe result.{SCHEMAS[contestant]}.{table}").fetchall()
        }
        database.execute(
            f"create or replace temp table stored as select id, hash({_stored(table, contestant, present)}) "
            f"as content from result.{SCHEMAS[contestant]}.{table}"
        )
        database.execute(
            f"create or replace temp table served as select id, hash({_served(table, contestant)}) as content from raw"
        )
        row: Any = database.execute(
            """
            select
                count(*), count(*) filter (where stored.id is null), count(*) filter (where served.id is null),
                count(*) filter (where stored.content <> served.content)
            from served full join stored on stored.id = served.id
            """
        ).fetchone()
        found = {name: found[name] + count for name, count in zip(found, row, strict=True)}
        doubled: Any = database.execute("select count(*) - count(distinct id) from stored").fetchone()
        found["too_many"] += doubled[0]
    found["versions_kb"] = _versions_kb(database) if contestant == "ours" else 0
    database.close()
    return found


def _versions_kb(database: duckdb.DuckDBPyConnection) -> int:
    """How much of our database the version tables take."""
    query = "select count(distinct block_id) from pragma_storage_info('result.defender.{}') where persistent"
    tables = ("machine_action_versions", "investigation_versions")
    blocks = sum(database.execute(query.format(table)).fetchall()[0][0] for table in tables)
    return int(blocks * 262_144 // 1000)


def _read_truth(database: duckdb.DuckDBPyConnection, rows: Path, table: str, state: RowState) -> None:
    names = dict.fromkeys(name.split(".")[0] for name in COLUMNS[table])
    kinds = {"errorHResult": "BIGINT", "commands": "JSON", "troubleshootInfo": "JSON"}
    kinds["relatedFileInfo"] = "STRUCT(fileIdentifier VARCHAR, fileIdentifierType VARCHAR)"
    typed = "{" + ", ".join(f"'{name}': '{kinds.get(name, 'VARCHAR')}'" for name in names) + "}"
    file = rows / f"{FILES[table]}.json"
    database.execute(
        f"create or replace temp table raw as from read_json('{file}', format = 'array', columns = {typed})"
    )
    overlay = json.loads((rows / f"{FILES[table]}.changed.json").read_text())
    if state is RowState.CHANGED and overlay:
        for text in overlay.values():
            record = json.loads(text)
            database.execute(
                'update raw set status = ?, "lastUpdateDateTimeUtc" = ? where id = ?',
                [record["status"], record["lastUpdateDateTimeUtc"], record["id"]],
            )
    if state is RowState.MISTYPED and "errorHResult" in COLUMNS[table]:
        # A value of another type is kept in quarantine, and null in its column.
        database.execute('update raw set "errorHResult" = null')


def _served(table: str, contestant: str) -> str:
    parts = []
    for name, (_, kind) in COLUMNS[table].items():
        quoted = ".".join(f'"{part}"' for part in name.split("."))
        if kind == "time":
            parts.append(f"epoch_us(regexp_replace({quoted}, '(\\.\\d{{6}})\\d+', '\\1')::timestamptz)")
        elif kind in ("text", "integer"):
            parts.append(quoted)
        elif contestant != "stock":
            parts.append(f"json_transform({quoted}, '{kind}')::varchar")
    return ", ".join(parts)


def _stored(table: str, contestant: str, present: set[str]) -> str:
    parts = []
    for api_name, (snake, kind) in COLUMNS[table].items():
        by_hand = contestant in ("handwritten", "insert")
        name = ".".join(f'"{part}"' for part in api_name.split(".")) if by_hand else snake
        if not by_hand and snake not in present and kind in ("text", "integer", "time"):
            parts.append("null::bigint" if kind != "text" else "null::varchar")
        elif kind == "time":
            parts.append(f"epoch_us({name})")
        elif kind in ("text", "integer"):
            parts.append(name)
        elif contestant != "stock":
            parts.append(f"json_transform({name}, '{kind}')::varchar")
    return ", ".join(parts)


if __name__ == "__main__":
    rows_folder, result_folder, who, shown = sys.argv[1:]
    told = compare(Path(rows_folder), Path(result_folder), who, RowState(shown))
    sys.stdout.write(json.dumps(told) + "\n")
