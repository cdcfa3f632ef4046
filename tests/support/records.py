"""Records as the API serves them, stated by hand, and their times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

Record = dict[str, Any]


def iso(moment: datetime) -> str:
    """The API's spelling of a time: `Z`, trailing zeros cut."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"


def ago(**units: float) -> datetime:
    """`ago(hours=2)` is two hours before NOW."""
    return NOW - timedelta(**units)


def action(id: str, created: datetime = NOW, **fields: Any) -> Record:
    """A machine action with all twenty properties; `updated` is a datetime and defaults to its creation."""
    updated = fields.pop("updated", created)
    return {
        "id": id,
        "type": "RunAntiVirusScan",
        "title": None,
        "requestor": "analyst@contoso.com",
        "requestorComment": f"comment of {id}",
        "status": "Succeeded",
        "machineId": "f46b9bb259ed4a7fb9981b73510e3cc7aa81ec1f",
        "computerDnsName": "desktop-39g9tgl",
        "relatedFileInfo": None,
        "creationDateTimeUtc": iso(created),
        "lastUpdateDateTimeUtc": iso(updated),
        "cancellationRequestor": None,
        "cancellationComment": None,
        "cancellationDateTimeUtc": None,
        "errorHResult": 0,
        "scope": "Quick",
        "commands": [],
        "troubleshootInfo": None,
        "externalId": None,
        "requestSource": "Portal",
        **fields,
    }


def investigation(id: str, start: datetime | None = NOW, **fields: Any) -> Record:
    """An investigation with all nine properties; `start` None is one that has not begun."""
    return {
        "id": id,
        "startTime": None if start is None else iso(start),
        "endTime": None,
        "state": "Benign",
        "cancelledBy": None,
        "statusDetails": None,
        "machineId": "f46b9bb259ed4a7fb9981b73510e3cc7aa81ec1f",
        "computerDnsName": "desktop-39g9tgl",
        "triggeringAlertId": f"da{id}",
        **fields,
    }
