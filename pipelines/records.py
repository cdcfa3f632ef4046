"""Page bytes to Arrow: the decoding of records, and quarantine.

Pure: no I/O. Only a bad id or creation time keeps a record out of its table; another bad value becomes
null. Either way the whole record goes to quarantine. Fields that the schema does not know are kept in
`additional_properties`. Times are truncated to the microsecond, never rounded: a rounded one could leave
the window that it was asked by.
"""

import hashlib
import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import json_text
from pipelines.resources import JSON_KINDS, TIMESTAMP, Column, Resource

INT64_RANGE = range(-(2**63), 2**63)
NO_RAW = msgspec.Raw(b"null")
# What decoding many records at once raises where one of them is odd.
NOT_AS_EXPECTED = (ValueError, OverflowError, RecursionError)
# Fewer than these are read one by one: trying them at once takes as long.
FEWEST_AT_ONCE = 17
# Each value that is mended has its record decoded once more: of more of them, value by value is quicker.
MOST_MENDED = 5
# Messages of msgspec, and of `_check`, end with the place. Were it not so, records would be read value by value.
FIELD_AT_FAULT = re.compile(r"- at `\$\.(\w+)`$")
# Of these years, Arrow's nanoseconds hold every moment.
FIRST_YEAR, YEAR_BEHIND = "1678", "2262"
SHORTEST_TIME = len("2026-11-20T12:00:00Z")


@dataclass(frozen=True)
class BadRecord:
    """A record that goes to quarantine: what is wrong with it, and its whole JSON text."""

    reason: str
    record: str

    @cached_property
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
    strict = _record_type(resource, forbid_unknown_fields=True)
    body_type = msgspec.defstruct("Body", [("value", list[strict])])  # type: ignore[valid-type]
    documented = msgspec.json.Decoder(body_type)
    extended = msgspec.json.Decoder(_record_type(resource, forbid_unknown_fields=False))

    def decode(body: bytes) -> DecodedPage:
        try:
            return _decode_documented(resource, documented.decode(body).value)  # type: ignore[attr-defined]
        except NOT_AS_EXPECTED:
            return _decode_apart(resource, extended, _record_texts(body))

    return decode


def _decode_documented(resource: Resource, records: Sequence[Any]) -> DecodedPage:
    """A page of records that are as documented."""
    table = _table(resource, records, [None] * len(records))
    return DecodedPage(table, (), [record.id for record in records])


def _decode_apart(
    resource: Resource, decoder: "msgspec.json.Decoder[Any]", texts: Sequence[msgspec.Raw]
) -> DecodedPage:
    """A page of which some records have fields beyond the schema, or odd values: what is left goes one by one."""
    records: dict[int, Any] = {}
    bad_records: dict[int, BadRecord | None] = {}
    additional = _AdditionalProperties(resource)
    for place, text in enumerate(texts):
        with suppress(*NOT_AS_EXPECTED):
            members = _members_decoder.decode(text)
            record, bad = _decode_mended(resource, decoder, text, members)
            additional.add(place, members)
            records[place], bad_records[place] = record, bad
    tables, places = _tables_at_once(resource, records, additional)
    odd = sorted(set(range(len(texts))).difference(places))
    rows: dict[int, dict[str, Any]] = {}
    identities: dict[int, Hashable] = {}
    for place in odd:
        row, bad_records[place], identities[place] = _decode_text(resource, texts[place])
        if row is not None:
            rows[place] = row
    table = pa.concat_tables([*tables, _table_of_rows(resource, rows.values())])
    if rows:
        table = table.take(pc.sort_indices(pa.array([*places, *rows], pa.int64())))
    return DecodedPage(
        table,
        tuple(bad for _, bad in sorted(bad_records.items()) if bad is not None),
        [identities[place] if place in identities else records[place].id for place in range(len(texts))],
    )


def _tables_at_once(
    resource: Resource, records: Mapping[int, Any], additional: "_AdditionalProperties"
) -> tuple[list[pa.Table], list[int]]:
    """The records' rows with their places, but for a few about each that its columns cannot hold: found by halves."""
    tables: list[pa.Table] = []
    taken: list[int] = []
    parts = [list(records)]
    while parts:
        places = parts.pop()
        if len(places) < FEWEST_AT_ONCE:
            continue
        try:
            table = _table(
                resource, [records[place] for place in places], [additional.texts[p] for p in places]
            )
        except NOT_AS_EXPECTED:
            half = len(places) // 2
            parts += [places[half:], places[:half]]
        else:
            tables.append(table)
            taken += places
    return tables, taken


# --- many at once: every value is one that its column holds ---------------------------------------


def _record_type(resource: Resource, *, forbid_unknown_fields: bool) -> type[msgspec.Struct]:
    """Records that have the API's fields as attributes, of the types of their columns."""
    # Those without a default come first.
    fields = sorted((_field(resource, name, forbid_unknown_fields) for name in resource.fields), key=len)
    return msgspec.defstruct("Record", fields, forbid_unknown_fields=forbid_unknown_fields, gc=False)


def _field(resource: Resource, name: str, forbid_unknown_fields: bool) -> Any:
    column, *_ = columns = resource.fields[name]
    if len(column.path) > 1:
        members = [(each.path[1], str | None, None) for each in columns]
        inner = msgspec.defstruct(name, members, forbid_unknown_fields=forbid_unknown_fields, gc=False)
        return (name, inner | None, None)
    if column.kind in JSON_KINDS:
        return (name, msgspec.Raw, NO_RAW)
    type_ = int if column.kind == "integer" else str
    is_required = name == "id" or (name == resource.cursor_field and resource.cursor_required)
    return (name, type_) if is_required else (name, type_ | None, None)


def _table(
    resource: Resource, records: Sequence[Any], additional_properties: Sequence[str | None]
) -> pa.Table:
    """The records' rows; ValueError or OverflowError where a column cannot hold a value."""
    names = records[0].__struct_fields__ if records else tuple(resource.fields)
    values = list(chain.from_iterable(map(msgspec.structs.astuple, records)))
    by_field: dict[str, Sequence[Any]] = {
        name: values[place :: len(names)] for place, name in enumerate(names)
    }
    if "" in by_field["id"]:
        raise ValueError("an empty id")
    arrays = [_array(column, _values(resource, column, by_field)) for column in resource.columns]
    arrays.append(pa.array(additional_properties, pa.string()))
    return pa.table(arrays, schema=_schema(resource))


def _schema(resource: Resource) -> pa.Schema:
    """The API's columns."""
    return pa.schema([resource.schema.field(name) for name in ("id", *resource.api_columns)])


def _values(resource: Resource, column: Column, by_field: dict[str, Sequence[Any]]) -> Sequence[Any]:
    """A column's values: those of its field, of its older name where that has none, or of a member."""
    field, *member = column.path
    values = by_field[field]
    older = by_field[resource.older_names[field]] if field in resource.older_names else ()
    if len(older) > older.count(None):
        values = [new if new is not None else old for new, old in zip(values, older, strict=True)]
    return [value and getattr(value, member[0]) for value in values] if member else values


def _array(column: Column, values: Sequence[Any]) -> "pa.Array[Any]":
    if column.kind in JSON_KINDS:
        return pa.array(_canonical_texts(column.kind, values), pa.string())
    if column.kind == "time":
        return _times(pa.array(values, pa.string()))
    return pa.array(values, column.arrow_type)


def _times(texts: pa.StringArray) -> "pa.Array[Any]":
    """Times as the API writes them; Arrow would also take shorter ones and zones, which go the other way."""
    shortest = pc.min(pc.binary_length(texts)).as_py()
    if shortest is not None and shortest < SHORTEST_TIME:
        raise ValueError("a time without its seconds")
    if pc.all(pc.ends_with(texts, pattern="Z")).as_py() is False:
        raise ValueError("a time that is not said to be UTC")
    # Seven fractional digits need nanoseconds. Without a zone they are floored in a tenth of the time.
    nanoseconds = texts.cast(pa.timestamp("ns", tz="UTC")).cast(pa.timestamp("ns"))
    truncated: pa.Array[Any] = pc.floor_temporal(nanoseconds, unit="microsecond")
    return truncated.cast(TIMESTAMP)


def _decode_mended(
    resource: Resource,
    decoder: "msgspec.json.Decoder[Any]",
    text: msgspec.Raw,
    members: Mapping[str, msgspec.Raw],
) -> tuple[Any, BadRecord | None]:
    """A record of these members whose odd values, if any, are mended, and its text where that lost one.

    ValueError where that is not told quickly.
    """
    values = dict(members)
    problems: dict[str, str] = {}
    mended: set[str] = set()
    fresh: bytes | msgspec.Raw = text
    while True:
        try:
            record = decoder.decode(fresh)
            _check(resource, record)
            break
        except ValueError as error:
            field = _field_at_fault(resource, error, values)
            if field in mended or len(mended) == MOST_MENDED:
                raise
        column = resource.fields[field][0]
        value = json_text.parse_member(bytes(values[field]).decode())
        try:
            values[field] = NO_RAW if value is None else _as_expected(column.kind, value)
        except (ValueError, TypeError, OverflowError):
            values[field] = NO_RAW
            problems[column.name] = _problem(column)
        mended.add(field)
        fresh = msgspec.json.encode(values)
    if not problems:
        return record, None
    reason = "; ".join(problems[column.name] for column in resource.columns if column.name in problems)
    stored = json_text.quick_storable(bytes(text)) or json_text.storable(_parse(text))
    return record, BadRecord(reason, stored)


def _field_at_fault(resource: Resource, error: ValueError, members: Mapping[str, msgspec.Raw]) -> str:
    """The field that the error tells of; ValueError where it fills several columns, or its column has another too."""
    match = FIELD_AT_FAULT.search(str(error))
    if match is None or match[1] in resource.nested_fields or resource.other_names.get(match[1]) in members:
        raise error
    return match[1]


def _check(resource: Resource, record: Any) -> None:
    """ValueError where a column would not take a value, as far as that is told quickly."""
    for field in resource.time_fields:
        text = getattr(record, field)
        if text is not None and not _is_usual_time(text):
            raise ValueError(f"an unusual time - at `$.{field}`")
    for field, mark in resource.json_fields.items():
        if bytes(getattr(record, field))[:1] not in (mark, b"n"):
            raise ValueError(f"JSON of another kind - at `$.{field}`")


def _as_expected(kind: str, value: Any) -> msgspec.Raw:
    """The value as records that are as documented spell it; raises where a column of that kind cannot hold it."""
    read = _read(kind, value)
    if kind == "time":
        return msgspec.Raw(f'"{read.replace(tzinfo=None).isoformat(timespec="microseconds")}Z"'.encode())
    return msgspec.Raw(read.encode() if kind in JSON_KINDS else json.dumps(read).encode())


def _is_usual_time(text: str) -> bool:
    if len(text) < SHORTEST_TIME or not text.endswith("Z") or not FIRST_YEAR <= text[:4] < YEAR_BEHIND:
        return False
    try:
        datetime.fromisoformat(text[: SHORTEST_TIME - 1])
    except ValueError:
        return False
    return True


class _AdditionalProperties:
    """The additional properties of a page's records, as JSON, by their places."""

    def __init__(self, resource: Resource) -> None:
        self.texts: dict[int, str | None] = {}
        self._resource = resource
        # Mostly, many records say the same.
        self._canonical: dict[bytes, str | None] = {b"{}": None}

    def add(self, place: int, record: Mapping[str, msgspec.Raw]) -> None:
        """Take those of a record, given by its members; ValueError where one of them is no JSON, or might be none."""
        extra = {name: record[name] for name in record.keys() - self._resource.fields.keys()}
        for name, members in self._resource.nested_fields.items():
            if record.get(name, NO_RAW) != NO_RAW:
                text_of_it = bytes(record[name])
                # One of two members of a name that is nested too deeply spoils the object, though the other counts.
                if text_of_it.count(b"[") + text_of_it.count(b"{") > json_text.MOST_LEVELS:
                    raise ValueError("a nest that may be too deep")
                inner = _members_decoder.decode(text_of_it)
                if unknown := {member: inner[member] for member in inner.keys() - members}:
                    extra[name] = msgspec.Raw(_object_text(unknown))
        found = _object_text(extra)
        if found not in self._canonical:
            self._canonical[found] = _canonical_object(found)
        self.texts[place] = self._canonical[found]


_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _object_text(members: dict[str, msgspec.Raw]) -> bytes:
    return b"{%b}" % b",".join(json.dumps(name).encode() + b":" + bytes(members[name]) for name in members)


def _canonical_object(text: bytes) -> str | None:
    if quick := json_text.quick_canonical(text):
        return quick
    canonical, problems = _additional_properties(json_text.parse(text.decode()))
    if problems:
        raise ValueError(problems)
    return canonical


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


def _record_texts(body: bytes) -> Sequence[msgspec.Raw]:
    """The JSON text of each record of the list; ValueError where the body is no list."""
    with suppress(ValueError, RecursionError):
        return _raw_decoder.decode(body).value
    text = body.decode("utf-8-sig", errors="surrogateescape").strip()
    try:
        records = dict(json_text.members(text)).get("value", "")
    except ValueError as error:
        raise ValueError("cut off or no JSON") from error
    if not (text.startswith("{") and records.startswith("[")):
        raise ValueError("JSON without a list `value`")
    return [msgspec.Raw(part.encode(errors="surrogateescape")) for part in json_text.parts(records)]


def _decode_text(
    resource: Resource, text: msgspec.Raw
) -> tuple[dict[str, Any] | None, BadRecord | None, Hashable]:
    """A record's row, None where it cannot have one; itself, where something is wrong with it; and its identity."""
    record = _parse(text)
    row, problems = _decode_record(resource, record)
    bad = BadRecord("; ".join(problems), json_text.storable(record)) if problems else None
    return row, bad, _identity(record)


def _table_of_rows(resource: Resource, rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=_schema(resource))


def _parse(text: msgspec.Raw) -> Any:
    # Bytes that are no UTF-8 become lone surrogates, which spoil only the value that they stand in.
    try:
        return json_text.parse(bytes(text).decode(errors="surrogateescape"))
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
        value = _member(resource, record, column.path)
        if value is None:
            row[column.name] = None
            continue
        try:
            row[column.name] = _read(column.kind, value)
        except (ValueError, TypeError, OverflowError):
            row[column.name] = None
            problems.append(_problem(column))
    problems += _misshapen(resource, record)
    row["additional_properties"], lost = _additional_properties(_unknown_fields(resource, record))
    problems += lost
    if not row["id"]:
        return None, [*problems, "id is missing"]
    if resource.cursor_required and row[resource.cursor_column] is None:
        return None, [*problems, f"{resource.cursor_field} is missing"]
    return row, problems


def _problem(column: Column) -> str:
    return f"{'.'.join(column.path)} is no {column.kind}"


def _member(resource: Resource, record: dict[str, Any], path: tuple[str, ...]) -> Any:
    value = record.get(path[0])
    if value is None and path[0] in resource.older_names:
        value = record.get(resource.older_names[path[0]])
    for member in path[1:]:
        value = value.get(member) if isinstance(value, dict) else None
    return value


def _misshapen(resource: Resource, record: dict[str, Any]) -> list[str]:
    """Nested fields that hold something else than an object."""
    return [
        f"{name} is no object"
        for name in sorted(resource.nested_fields)
        if record.get(name) is not None and not isinstance(record[name], dict)
    ]


def _unknown_fields(resource: Resource, record: dict[str, Any]) -> dict[str, Any]:
    extra = {name: record[name] for name in record.keys() - resource.fields.keys()}
    for name, members in resource.nested_fields.items():
        value = record.get(name)
        if isinstance(value, dict) and (inner := {each: value[each] for each in value.keys() - members}):
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
