"""The API's records in the contract's columns, written from the contract and not from `pipelines`.

A mistake that the program makes would show here as a difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

MACHINE_ACTIONS = "machine_actions"
INVESTIGATIONS = "investigations"

TEXT, TIME, NUMBER, JSON = "text", "time", "number", "json"

# The contract's columns: their kind, and the API's field (`a.b`: a member of an object).
COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    MACHINE_ACTIONS: {
        "id": (TEXT, "id"),
        "type": (TEXT, "type"),
        "title": (TEXT, "title"),
        "requestor": (TEXT, "requestor"),
        "requestor_comment": (TEXT, "requestorComment"),
        "status": (TEXT, "status"),
        "machine_id": (TEXT, "machineId"),
        "computer_dns_name": (TEXT, "computerDnsName"),
        "related_file_info__file_identifier": (TEXT, "relatedFileInfo.fileIdentifier"),
        "related_file_info__file_identifier_type": (TEXT, "relatedFileInfo.fileIdentifierType"),
        "creation_date_time_utc": (TIME, "creationDateTimeUtc"),
        "last_update_date_time_utc": (TIME, "lastUpdateDateTimeUtc"),
        "cancellation_requestor": (TEXT, "cancellationRequestor"),
        "cancellation_comment": (TEXT, "cancellationComment"),
        "cancellation_date_time_utc": (TIME, "cancellationDateTimeUtc"),
        "error_h_result": (NUMBER, "errorHResult"),
        "scope": (TEXT, "scope"),
        "commands": (JSON, "commands"),
        "troubleshoot_info": (JSON, "troubleshootInfo"),
        "external_id": (TEXT, "externalId"),
        "request_source": (TEXT, "requestSource"),
    },
    INVESTIGATIONS: {
        "id": (TEXT, "id"),
        "start_time": (TIME, "startTime"),
        "end_time": (TIME, "endTime"),
        "state": (TEXT, "state"),
        "cancelled_by": (TEXT, "cancelledBy"),
        "status_details": (TEXT, "statusDetails"),
        "machine_id": (TEXT, "machineId"),
        "computer_dns_name": (TEXT, "computerDnsName"),
        "triggering_alert_id": (TEXT, "triggeringAlertId"),
    },
}
JSON_COLUMNS = frozenset({"commands", "troubleshoot_info", "additional_properties", "record"})
VERSIONS = {MACHINE_ACTIONS: "machine_action_versions", INVESTIGATIONS: "investigation_versions"}
CURSOR = {MACHINE_ACTIONS: "creation_date_time_utc", INVESTIGATIONS: "start_time"}
CLOSED = {
    MACHINE_ACTIONS: {"Succeeded", "Failed", "TimeOut", "Cancelled", "Canceled"},
    INVESTIGATIONS: {
        "Terminated", "SuccessfullyRemediated", "Benign", "Failed", "PartiallyRemediated",
        "PartiallyInvestigated", "TerminatedByUser", "TerminatedBySystem", "InnerFailure",
        "PreexistingAlert", "UnsupportedOs", "UnsupportedAlertType", "SuppressedAlert", "Disabled",
    },
}  # fmt: skip

Row = dict[str, Any]
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z")


def parse_time(text: Any) -> datetime | None:
    """An API time, cut to the microsecond; None where it is none."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    return whole.replace(microsecond=int((match[2] or "0")[:6].ljust(6, "0")))


_VALUES: dict[str, Callable[[Any], Any]] = {
    TEXT: lambda value: value if isinstance(value, str) else None,
    TIME: parse_time,
    NUMBER: lambda value: value if type(value) is int else None,
    JSON: lambda value: value,
}


def row_of(resource: str, record: dict[str, Any], tenant: str = "contoso") -> Row:
    """The contract's row of a record; a bad value is null."""
    left = dict(record)
    if "lastUpdateTimeUtc" in left:
        older = left.pop("lastUpdateTimeUtc")
        left["lastUpdateDateTimeUtc"] = left.get("lastUpdateDateTimeUtc") or older
    row: Row = {"tenant": tenant}
    for column, (kind, path) in COLUMNS[resource].items():
        value: Any = left
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        row[column] = _VALUES[kind](value)
    known = {path.split(".")[0] for _, path in COLUMNS[resource].values()}
    row["additional_properties"] = {name: left[name] for name in left if name not in known} or None
    return row


def rows_of(resource: str, records: Iterable[dict[str, Any]], tenant: str = "contoso") -> dict[str, Row]:
    """The contract's rows by id; a bad id, or a bad creation time of an action, keeps a record out."""
    rows = [row_of(resource, record, tenant) for record in records]
    return {
        row["id"]: row
        for row in rows
        if row["id"] and (resource == INVESTIGATIONS or row["creation_date_time_utc"])
    }


def is_open(resource: str, row: Row) -> bool:
    """Whether the row may still change: open wins in a joined state, and what nobody knows is open."""
    text = row["status" if resource == MACHINE_ACTIONS else "state"]
    return text is None or any(part.strip() not in CLOSED[resource] for part in text.split(","))
