"""Page bytes to Arrow: the two resources' columns, the decoding of records, and quarantine.

Pure: no I/O. Only a bad id or creation time keeps a record out of its table; another bad value becomes
null. Either way the whole record goes to quarantine. Fields that the schema does not know are kept in
`additional_properties`. Times are truncated to the microsecond, never rounded: a rounded one could leave
the window that it was asked by.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import json_text

TIMESTAMP = pa.timestamp("us", tz="UTC")
INT64_RANGE = range(-(2**63), 2**63)
JSON_KINDS: dict[str, type] = {"list": list, "object": dict}
NO_RAW = msgspec.Raw(b"null")


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
    record_type: type[msgspec.Struct]

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


class _FileInfo(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    file_identifier: str | None = None
    file_identifier_type: str | None = None


class _MachineAction(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    id: str
    creation_date_time_utc: str
    type: str | None = None
    title: str | None = None
    requestor: str | None = None
    requestor_comment: str | None = None
    status: str | None = None
    machine_id: str | None = None
    computer_dns_name: str | None = None
    related_file_info: _FileInfo | None = None
    last_update_date_time_utc: str | None = None
    last_update_time_utc: str | None = None
    cancellation_requestor: str | None = None
    cancellation_comment: str | None = None
    cancellation_date_time_utc: str | None = None
    error_h_result: int | None = None
    scope: str | None = None
    commands: msgspec.Raw = NO_RAW
    troubleshoot_info: msgspec.Raw = NO_RAW
    external_id: str | None = None
    request_source: str | None = None


class _Investigation(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    id: str
    start_time: str | None = None
    end_time: str | None = None
    state: str | None = None
    cancelled_by: str | None = None
    status_details: str | None = None
    machine_id: str | None = None
    computer_dns_name: str | None = None
    triggering_alert_id: str | None = None


MACHINE_ACTIONS = Resource(
    name="machine_actions",
    path="machineactions",
    cursor_field="creationDateTimeUtc",
    cursor_column="creation_date_time_utc",
    cursor_required=True,
    versions_table="machine_action_versions",
    record_type=_MachineAction,
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
    record_type=_Investigation,
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

# Older payloads say `lastUpdateTimeUtc`: both names, one column.
FIELD_ALIASES = {"lastUpdateTimeUtc": "lastUpdateDateTimeUtc"}


@dataclass(frozen=True)
class BadRecord:
    """A record that goes to quarantine: what is wrong with it, and its whole JSON text."""

    reason: str
    record: str

    @property
    def record_hash(self) -> str:
        """What tells distinct contents apart."""
        return hashlib.sha256(self.record.encode()).hexdigest()


@dataclass(frozen=True)
class DecodedPage:
    """A page's good records as Arrow (the API's columns only), the bad ones, and every record's identity."""

    table: pa.Table
    bad_records: tuple[BadRecord, ...]
    identities: Sequence[Hashable]

    @property
    def rows(self) -> int:
        """How many positions of the list the page covers."""
        return len(self.identities)


def page_decoder(resource: Resource) -> Callable[[bytes], DecodedPage]:
    """A decoder of the resource's list bodies; it raises ValueError where a body is no list of records."""
    # mypy cannot see a class made of a variable.
    body_type = msgspec.defstruct("Body", [("value", list[resource.record_type])])  # type: ignore[name-defined]
    fast = msgspec.json.Decoder(body_type)

    def decode(body: bytes) -> DecodedPage:
        try:
            return _decode_fast(resource, fast.decode(body).value)  # type: ignore[attr-defined]
        except (ValueError, OverflowError, RecursionError):
            # One odd value or unknown field spoils the fast way for its whole page: record by record then.
            return _decode_each(resource, _record_texts(body))

    return decode


# --- the fast way: a page in which every record is as documented ---------------------------------


def _decode_fast(resource: Resource, records: list[msgspec.Struct]) -> DecodedPage:
    fields = resource.record_type.__struct_fields__
    values = list(chain.from_iterable(map(msgspec.structs.astuple, records)))
    by_field: dict[str, Sequence[Any]] = {
        field: values[place :: len(fields)] for place, field in enumerate(fields)
    }
    if resource is MACHINE_ACTIONS:
        _unfold_machine_actions(by_field)
    if "" in by_field["id"]:
        raise ValueError("an empty id")
    arrays = [_fast_array(column, by_field[column.name]) for column in resource.columns]
    nothing = pa.nulls(len(records), pa.string())
    names = [*(column.name for column in resource.columns), "additional_properties"]
    return DecodedPage(pa.table([*arrays, nothing], names=names), (), by_field["id"])


def _unfold_machine_actions(by_field: dict[str, Sequence[Any]]) -> None:
    """Flatten the file's two members, and take either name of the last update."""
    files = by_field.pop("related_file_info")
    for member in ("file_identifier", "file_identifier_type"):
        by_field[f"related_file_info__{member}"] = [file and getattr(file, member) for file in files]
    older = by_field.pop("last_update_time_utc")
    if older.count(None) < len(older):
        newer = by_field["last_update_date_time_utc"]
        by_field["last_update_date_time_utc"] = [
            a if a is not None else b for a, b in zip(newer, older, strict=True)
        ]


def _fast_array(column: Column, values: Sequence[Any]) -> "pa.Array[Any]":
    if column.kind in JSON_KINDS:
        return pa.array(_canonical_texts(column.kind, values), pa.string())
    if column.kind == "time":
        return _fast_times(pa.array(values, pa.string()))
    return pa.array(values, column.arrow_type)


def _fast_times(texts: pa.StringArray) -> "pa.Array[Any]":
    """Times as the API writes them; Arrow would also take shorter ones and zones, which go the other way."""
    shortest = pc.min(pc.binary_length(texts)).as_py()
    if shortest is not None and shortest < len("2026-11-20T12:00:00Z"):
        raise ValueError("a time without its seconds")
    if pc.all(pc.ends_with(texts, pattern="Z")).as_py() is False:
        raise ValueError("a time that is not said to be UTC")
    # Seven fractional digits need nanoseconds. Without a zone they are floored in a tenth of the time.
    nanoseconds = texts.cast(pa.timestamp("ns", tz="UTC")).cast(pa.timestamp("ns"))
    truncated: pa.Array[Any] = pc.floor_temporal(nanoseconds, unit="microsecond")
    return truncated.cast(TIMESTAMP)


_SHORT_JSON: dict[str, dict[bytes, str | None]] = {
    "list": {b"null": None, b"[]": "[]"},
    "object": {b"null": None, b"{}": "{}"},
}


def _canonical_texts(kind: str, raws: Iterable[msgspec.Raw]) -> list[str | None]:
    """The canonical JSON of values that are all of that kind or null; ValueError where one is not."""
    short = _SHORT_JSON[kind]
    # No JSON that msgspec takes holds a zero byte.
    texts = b"\0".join(raws).split(b"\0") if raws else []
    return [short[text] if text in short else _canonical_raw(kind, text) for text in texts]


def _canonical_raw(kind: str, raw: bytes) -> str:
    fits = raw.startswith(b"[" if kind == "list" else b"{")
    quick = json_text.quick_canonical(raw) if fits else None
    return quick or _read_json(kind, json_text.parse_member(raw.decode()))


# --- record by record -----------------------------------------------------------------------------


class _RawBody(msgspec.Struct, gc=False):
    value: list[msgspec.Raw]


_raw_decoder = msgspec.json.Decoder(_RawBody)


def _record_texts(body: bytes) -> list[str]:
    """The JSON text of each record of the list; ValueError where the body is no list.

    Bytes that are no UTF-8 become lone surrogates, which spoil only the value that they stand in.
    """
    try:
        return [bytes(raw).decode(errors="surrogateescape") for raw in _raw_decoder.decode(body).value]
    except (ValueError, RecursionError):
        text = body.decode("utf-8-sig", errors="surrogateescape").strip()
    try:
        records = dict(json_text.members(text)).get("value", "")
    except ValueError as error:
        raise ValueError("cut off or no JSON") from error
    if not (text.startswith("{") and records.startswith("[")):
        raise ValueError("JSON without a list `value`")
    return json_text.parts(records)


def _decode_each(resource: Resource, texts: Iterable[str]) -> DecodedPage:
    rows: list[dict[str, Any]] = []
    bad: list[BadRecord] = []
    identities: list[Hashable] = []
    for text in texts:
        record = _parse(text)
        row, problems = _decode_record(resource, record)
        if problems:
            bad.append(BadRecord("; ".join(problems), json_text.storable(record)))
        if row is not None:
            rows.append(row)
        identities.append(_identity(record))
    schema = pa.schema(
        [
            *((column.name, column.arrow_type) for column in resource.columns),
            ("additional_properties", pa.string()),
        ]
    )
    return DecodedPage(pa.Table.from_pylist(rows, schema=schema), tuple(bad), identities)


def _parse(text: str) -> Any:
    try:
        return json_text.parse(text)
    except ValueError as error:
        raise ValueError("no JSON") from error


def _identity(record: Any) -> Hashable:
    """What tells a record from the others of its list: its id, or else its content."""
    if isinstance(record, dict) and type(record.get("id")) is str and record["id"]:
        return str(record["id"])
    return ("no id", json_text.storable(record))


def _decode_record(resource: Resource, record: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """A record's row, None where it cannot have one, and what is wrong with it."""
    if not isinstance(record, dict):
        return None, ["no object"]
    problems: list[str] = []
    row: dict[str, Any] = {}
    for column in resource.columns:
        value = _member(record, column.path)
        if value is None:
            row[column.name] = None
            continue
        try:
            row[column.name] = _read(column.kind, value)
        except (ValueError, TypeError, OverflowError):
            row[column.name] = None
            problems.append(f"{'.'.join(column.path)} is no {column.kind}")
    problems += _misshapen(resource, record)
    row["additional_properties"], lost = _additional_properties(_unknown_fields(resource, record))
    problems += lost
    if not row["id"]:
        return None, [*problems, "id is missing"]
    if resource.cursor_required and row[resource.cursor_column] is None:
        return None, [*problems, f"{resource.cursor_field} is missing"]
    return row, problems


def _member(record: dict[str, Any], path: tuple[str, ...]) -> Any:
    value = record.get(path[0])
    if value is None:
        alias = next((old for old, new in FIELD_ALIASES.items() if new == path[0]), None)
        value = record.get(alias) if alias else None
    for member in path[1:]:
        value = value.get(member) if isinstance(value, dict) else None
    return value


def _misshapen(resource: Resource, record: dict[str, Any]) -> list[str]:
    """Nested fields that hold something else than an object."""
    nested = {column.path[0] for column in resource.columns if len(column.path) > 1}
    return [
        f"{name} is no object"
        for name in sorted(nested)
        if record.get(name) is not None and not isinstance(record[name], dict)
    ]


def _unknown_fields(resource: Resource, record: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, set[str]] = {alias: set() for alias in FIELD_ALIASES}
    for column in resource.columns:
        known.setdefault(column.path[0], set()).update(column.path[1:])
    extra: dict[str, Any] = {}
    for name, value in record.items():
        if name not in known:
            extra[name] = value
        elif known[name] and isinstance(value, dict):
            inner = {member: each for member, each in value.items() if member not in known[name]}
            if inner:
                extra[name] = inner
    return extra


def _additional_properties(extra: dict[str, Any]) -> tuple[str | None, list[str]]:
    """The unknown fields as JSON, without those that are none, and what is wrong with them."""
    kept = {name: value for name, value in extra.items() if _is_json({name: value})}
    problems = ["a field beyond the schema is no JSON"] if len(kept) < len(extra) else []
    return (json_text.canonical(kept) if kept else None), problems


def _is_json(value: Any) -> bool:
    try:
        json_text.canonical(value)
    except ValueError:
        return False
    return True


def _read(kind: str, value: Any) -> Any:
    """The value as a column of that kind holds it; ValueError, TypeError or OverflowError where it cannot."""
    return _read_json(kind, value) if kind in JSON_KINDS else _READERS[kind](value)


def _read_json(kind: str, value: Any) -> str:
    if not isinstance(value, JSON_KINDS[kind]):
        raise ValueError
    return json_text.canonical(value)


def _read_text(value: Any) -> str:
    if type(value) is not str:  # `OddText` is none
        raise TypeError
    value.encode()  # a lone surrogate is no text; UnicodeEncodeError is a ValueError
    return value


def _read_integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if value not in INT64_RANGE:
        raise OverflowError
    return value


TIME_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d))", re.ASCII
)


def read_time(value: Any) -> datetime:
    """An ISO 8601 time with 0 to 9 fractional digits and a zone, truncated to the microsecond, UTC."""
    match = TIME_FORM.fullmatch(_read_text(value))
    if match is None:
        raise ValueError
    *numbers, fraction, sign, zone_hours, zone_minutes = match.groups()
    microsecond = int((fraction or "0").ljust(6, "0")[:6])
    moment = datetime(*(int(number) for number in numbers), microsecond, tzinfo=UTC)  # type: ignore[arg-type,misc]
    if sign:
        if int(zone_hours) > 23 or int(zone_minutes) > 59:
            raise ValueError
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        moment = moment - offset if sign == "+" else moment + offset
    return moment


_READERS: dict[str, Callable[[Any], Any]] = {
    "text": _read_text,
    "integer": _read_integer,
    "time": read_time,
}
