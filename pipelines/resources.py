"""The two resources, machine actions and investigations: the API's fields, and the state tables' columns."""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
JSON_KINDS: dict[str, type] = {"list": list, "object": dict}
# Older payloads say `lastUpdateTimeUtc`: both names, one column.
OLDER_NAMES = {"lastUpdateDateTimeUtc": "lastUpdateTimeUtc"}


@dataclass(frozen=True)
class Column:
    """A column of a state table: its name, its kind (text, time, integer, list, object), and the API's field.

    `path` names the field, and its member where it is nested. Lists and objects are kept as JSON.
    """

    name: str
    kind: str
    path: tuple[str, ...]

    @property
    def arrow_type(self) -> pa.DataType:
        """The column's type in Arrow; JSON travels as text."""
        return {"time": TIMESTAMP, "integer": pa.int64()}.get(self.kind, pa.string())


def _text(name: str, *path: str) -> Column:
    return Column(name, "text", path)


def _time(name: str, *path: str) -> Column:
    return Column(name, "time", path)


@dataclass(frozen=True)
class Resource:
    """What distinguishes machine actions from investigations."""

    name: str
    path: str
    cursor_field: str
    cursor_column: str
    cursor_required: bool
    columns: tuple[Column, ...]
    versions_table: str

    @cached_property
    def fields(self) -> dict[str, list[Column]]:
        """The API's fields, by any of their names, with the columns that they fill: several, where it is an object."""
        fields: dict[str, list[Column]] = {}
        for column in self.columns:
            fields.setdefault(column.path[0], []).append(column)
        return fields | {older: fields[name] for name, older in self.older_names.items()}

    @cached_property
    def nested_fields(self) -> dict[str, frozenset[str]]:
        """The fields that are objects, with the members that the columns hold."""
        return {
            name: frozenset(column.path[1] for column in columns)
            for name, columns in self.fields.items()
            if len(columns[0].path) > 1
        }

    @cached_property
    def time_fields(self) -> tuple[str, ...]:
        """The fields that are times."""
        return tuple(name for name, columns in self.fields.items() if columns[0].kind == "time")

    @cached_property
    def json_fields(self) -> dict[str, bytes]:
        """The fields that are kept as JSON, with the mark that their text begins with."""
        marks = {"list": b"[", "object": b"{"}
        return {
            name: marks[columns[0].kind] for name, columns in self.fields.items() if columns[0].kind in marks
        }

    @cached_property
    def older_names(self) -> dict[str, str]:
        """The older name of each field that has one."""
        names = {column.path[0] for column in self.columns}
        return {field: older for field, older in OLDER_NAMES.items() if field in names}

    @cached_property
    def other_names(self) -> dict[str, str]:
        """The other name of each field that has two."""
        return self.older_names | {older: name for name, older in self.older_names.items()}

    @property
    def api_columns(self) -> tuple[str, ...]:
        """The columns that hold what the API says, the key left out."""
        return (*(column.name for column in self.columns if column.name != "id"), "additional_properties")

    @property
    def schema(self) -> pa.Schema:
        """The state table's columns in Arrow."""
        return pa.schema(
            [
                pa.field("tenant", pa.string(), nullable=False),
                *(pa.field(c.name, c.arrow_type, nullable=c.name != "id") for c in self.columns),
                pa.field("additional_properties", pa.string()),
                pa.field("synced_at", TIMESTAMP),
                pa.field("gone_at", TIMESTAMP),
            ]
        )

    @property
    def json_columns(self) -> tuple[str, ...]:
        """The columns that hold JSON."""
        return (
            *(column.name for column in self.columns if column.kind in JSON_KINDS),
            "additional_properties",
        )


MACHINE_ACTIONS = Resource(
    name="machine_actions",
    path="machineactions",
    cursor_field="creationDateTimeUtc",
    cursor_column="creation_date_time_utc",
    cursor_required=True,
    versions_table="machine_action_versions",
    columns=(
        _text("id", "id"),
        _text("type", "type"),
        _text("title", "title"),
        _text("requestor", "requestor"),
        _text("requestor_comment", "requestorComment"),
        _text("status", "status"),
        _text("machine_id", "machineId"),
        _text("computer_dns_name", "computerDnsName"),
        _text("related_file_info__file_identifier", "relatedFileInfo", "fileIdentifier"),
        _text("related_file_info__file_identifier_type", "relatedFileInfo", "fileIdentifierType"),
        _time("creation_date_time_utc", "creationDateTimeUtc"),
        _time("last_update_date_time_utc", "lastUpdateDateTimeUtc"),
        _text("cancellation_requestor", "cancellationRequestor"),
        _text("cancellation_comment", "cancellationComment"),
        _time("cancellation_date_time_utc", "cancellationDateTimeUtc"),
        Column("error_h_result", "integer", ("errorHResult",)),
        _text("scope", "scope"),
        Column("commands", "list", ("commands",)),
        Column("troubleshoot_info", "object", ("troubleshootInfo",)),
        _text("external_id", "externalId"),
        _text("request_source", "requestSource"),
    ),
)

INVESTIGATIONS = Resource(
    name="investigations",
    path="investigations",
    cursor_field="startTime",
    cursor_column="start_time",
    cursor_required=False,
    versions_table="investigation_versions",
    columns=(
        _text("id", "id"),
        _time("start_time", "startTime"),
        _time("end_time", "endTime"),
        _text("state", "state"),
        _text("cancelled_by", "cancelledBy"),
        _text("status_details", "statusDetails"),
        _text("machine_id", "machineId"),
        _text("computer_dns_name", "computerDnsName"),
        _text("triggering_alert_id", "triggeringAlertId"),
    ),
)

RESOURCES: dict[str, Resource] = {each.name: each for each in (MACHINE_ACTIONS, INVESTIGATIONS)}
