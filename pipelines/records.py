"""Page bytes to Arrow: the decoding of records, and quarantine.

Pure: no I/O. Only a bad id or creation time keeps a record out of its table; another bad value becomes
null. Either way the whole record goes to quarantine. Fields that the schema does not know are kept in
`additional_properties`. Times are truncated to the microsecond, never rounded: a rounded one could leave
the window that it was asked by.
"""

import hashlib
import json
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
from pipelines.resources import JSON_KINDS, TIMESTAMP, Column, Resource

INT64_RANGE = range(-(2**63), 2**63)
NO_RAW = msgspec.Raw(b"null")
# What decoding many records at once raises where one of them is odd.
NOT_AS_EXPECTED = (ValueError, OverflowError, RecursionError)
# Fewer than these are read one by one: trying them at once takes as long.
FEWEST_AT_ONCE = 16


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
    strict = _body_decoder(resource, forbid_unknown_fields=True)
    lenient = _body_decoder(resource, forbid_unknown_fields=False)

    def decode(body: bytes) -> DecodedPage:
        try:
            return _decode_documented(resource, strict.decode(body).value)
        except NOT_AS_EXPECTED:
            return _decode_in_parts(resource, lenient, _record_texts(body))

    return decode


def _decode_in_parts(
    resource: Resource, decoder: "msgspec.json.Decoder[Any]", texts: list[str]
) -> DecodedPage:
    """As many at once as hold nothing odd, which is found by halves; what is left, record by record."""
    pages: list[DecodedPage] = []
    odd: list[str] = []
    parts = [texts]
    while parts:
        part = parts.pop()
        if len(part) <= FEWEST_AT_ONCE:
            odd += part
            continue
        try:
            page = _decode_extended(resource, decoder, part)
        except NOT_AS_EXPECTED:
            half = len(part) // 2
            parts += [part[half:], part[:half]]
        else:
            pages += [_decode_each(resource, odd), page]
            odd = []
    return _joined([*pages, _decode_each(resource, odd)])


def _joined(pages: Sequence[DecodedPage]) -> DecodedPage:
    return DecodedPage(
        pa.concat_tables([page.table for page in pages]),
        tuple(chain.from_iterable(page.bad_records for page in pages)),
        list(chain.from_iterable(page.identities for page in pages)),
    )


# --- many at once: every value is one that its column holds ---------------------------------------


def _body_decoder(resource: Resource, *, forbid_unknown_fields: bool) -> "msgspec.json.Decoder[Any]":
    """A decoder of list bodies to records that have the API's fields as attributes."""
    # Those without a default come first.
    fields = sorted((_field(resource, name, forbid_unknown_fields) for name in resource.fields), key=len)
    record = msgspec.defstruct("Record", fields, forbid_unknown_fields=forbid_unknown_fields, gc=False)
    # mypy cannot see a class made of a variable.
    body = msgspec.defstruct("Body", [("value", list[record])])  # type: ignore[valid-type]
    return msgspec.json.Decoder(body)


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


def _decode_documented(resource: Resource, records: Sequence[Any]) -> DecodedPage:
    """Records that have no field beyond the schema."""
    return _page(resource, records, _arrays(resource, records), pa.nulls(len(records), pa.string()))


def _decode_extended(
    resource: Resource, decoder: "msgspec.json.Decoder[Any]", texts: Sequence[str]
) -> DecodedPage:
    """Records that may have fields beyond the schema."""
    records = decoder.decode(f'{{"value":[{",".join(texts)}]}}'.encode()).value
    arrays = _arrays(resource, records)
    return _page(resource, records, arrays, pa.array(_additional_texts(resource, texts), pa.string()))


def _page(
    resource: Resource,
    records: Sequence[Any],
    arrays: "Sequence[pa.Array[Any]]",
    additional_properties: "pa.Array[Any]",
) -> DecodedPage:
    names = [*(column.name for column in resource.columns), "additional_properties"]
    table = pa.table([*arrays, additional_properties], names=names)
    return DecodedPage(table, (), [record.id for record in records])


def _arrays(resource: Resource, records: Sequence[Any]) -> "list[pa.Array[Any]]":
    """The values of each column; ValueError or OverflowError where it cannot hold one."""
    names = records[0].__struct_fields__ if records else tuple(resource.fields)
    values = list(chain.from_iterable(map(msgspec.structs.astuple, records)))
    by_field: dict[str, Sequence[Any]] = {
        name: values[place :: len(names)] for place, name in enumerate(names)
    }
    if "" in by_field["id"]:
        raise ValueError("an empty id")
    return [_array(column, _values(resource, column, by_field)) for column in resource.columns]


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
    if shortest is not None and shortest < len("2026-11-20T12:00:00Z"):
        raise ValueError("a time without its seconds")
    if pc.all(pc.ends_with(texts, pattern="Z")).as_py() is False:
        raise ValueError("a time that is not said to be UTC")
    # Seven fractional digits need nanoseconds. Without a zone they are floored in a tenth of the time.
    nanoseconds = texts.cast(pa.timestamp("ns", tz="UTC")).cast(pa.timestamp("ns"))
    truncated: pa.Array[Any] = pc.floor_temporal(nanoseconds, unit="microsecond")
    return truncated.cast(TIMESTAMP)


_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _additional_texts(resource: Resource, texts: Iterable[str]) -> list[str | None]:
    """The additional properties of each record as JSON; ValueError where one of them is no JSON."""
    # Mostly, many records say the same.
    canonical: dict[bytes, str | None] = {b"{}": None}
    found = []
    for record in map(_members_decoder.decode, texts):
        extra = {name: record[name] for name in record.keys() - resource.fields.keys()}
        for name, members in resource.nested_fields.items():
            inner = _members_decoder.decode(record[name]) if record.get(name, NO_RAW) != NO_RAW else {}
            if unknown := {member: inner[member] for member in inner.keys() - members}:
                extra[name] = msgspec.Raw(_object_text(unknown))
        text = _object_text(extra)
        if text not in canonical:
            canonical[text] = _canonical_object(text)
        found.append(canonical[text])
    return found


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
        value = _member(resource, record, column.path)
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
