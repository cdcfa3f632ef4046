"""Pages that nobody thought of: whatever stands in a record, it is read the same way in any company."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import action, investigation

from pipelines import records as records_module
from pipelines.records import page_decoder
from pipelines.resources import MACHINE_ACTIONS, RESOURCES

DECODERS = {name: page_decoder(resource) for name, resource in RESOURCES.items()}
PLAIN = {"machine_actions": action("plain"), "investigations": investigation("plain")}
# Beside a record with a field beyond the schema, and beside an odd one, the others are still read at once; so is the
# odd one itself, where its value is of another type than documented.
EXTENDED = {
    name: json.dumps({**record, "id": "extended", "new": 1}).encode() for name, record in PLAIN.items()
}
MISTYPED = {
    name: json.dumps({**record, "id": "mistyped", "machineId": 5}).encode() for name, record in PLAIN.items()
}
ODD = {
    name: json.dumps({**record, "id": "odd", "machineId": "\ud800"}).encode()
    for name, record in PLAIN.items()
}

# Its time looks as it should, until its column is made.
IMPOSSIBLE = {
    name: json.dumps(
        {**record, "id": "impossible", RESOURCES[name].time_fields[0]: "2026-11-20T12:00:00.0.0Z"}
    ).encode()
    for name, record in PLAIN.items()
}


@pytest.fixture(autouse=True, scope="module")
def few_at_once():
    """Two records are many; one by itself that is not as documented is read the slow way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.records.FEWEST_AT_ONCE", 2)
        yield


digits = st.integers(0, 9_999).map(lambda n: f"{n:04}") | st.sampled_from(
    ["2026", "0001", "9999", "1677", "2262"]
)
two = st.integers(0, 61).map(lambda n: f"{n:02}") | st.just("11")
seconds = st.just("") | two.map(lambda text: ":" + text)
fractions = st.just("") | st.text("0123456789", max_size=11).map(lambda text: "." + text)
zones = st.just("Z") | st.sampled_from(
    ["Z", "", "z", "+00:00", "+01:00", "-0530", "+01", "+24:00", " Z", "ZZ", "+01Z"]
)
times = st.builds(
    lambda year, month, day, mark, hour, minute, second, fraction, zone: (
        f"{year}-{month}-{day}{mark}{hour}:{minute}{second}{fraction}{zone}"
    ),
    digits, two, two, st.sampled_from("T t"), two, two, seconds, fractions, zones,
)  # fmt: skip
near_times = st.builds(
    lambda day, clock, fraction, zone: day + clock + fraction + zone,
    st.just("2026-11-20"), st.sampled_from(["", "T12", "T12:00", " 12:00:00", "T23:59:60"]), fractions, zones,
)  # fmt: skip
likely_times = near_times | st.datetimes().map(lambda moment: moment.isoformat() + "Z") | times
cut_times = st.tuples(likely_times, st.integers(0, 30)).map(lambda pair: pair[0][: pair[1]])
texts = st.text(max_size=12) | st.sampled_from(
    ["\ud800", "a\0", "\\n", '"', "\x1b[0m", "Isolate", "", "'", "\ufffd"]
)
numbers = (
    st.integers()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=True)
    | st.sampled_from([2**63, -(2**63)])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts | likely_times,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
DEEP = "[" * 101 + "]" * 101
deep = st.integers(90, 120).map(lambda levels: json.loads("[" * levels + "]" * levels))
API_FIELDS = {
    name: sorted({column.path[0] for column in resource.columns} | {"lastUpdateTimeUtc"})
    for name, resource in RESOURCES.items()
}


def fitting(kind: str):
    """Values that a column of that kind holds, mostly."""
    return {
        "text": texts,
        "time": likely_times | cut_times,
        "integer": st.integers(-(2**31), 2**31) | numbers,
        "list": st.lists(values, max_size=3) | deep,
        "object": st.dictionaries(texts, values, max_size=3),
    }[kind]


@st.composite
def records(draw, name):
    """A record as documented, some of its fields odd, missing, null, twice, or unknown."""
    resource, record = RESOURCES[name], dict(PLAIN[name])
    for column in draw(st.lists(st.sampled_from(resource.columns), max_size=4)):
        value = draw(
            fitting(column.kind) | st.none() | (values if draw(st.integers(0, 3)) == 0 else st.none())
        )
        beyond = draw(st.dictionaries(texts, values, max_size=1))
        record[column.path[0]] = {**beyond, column.path[1]: value} if len(column.path) == 2 else value
    for field in draw(st.lists(st.sampled_from(API_FIELDS[name]), max_size=2)):
        record.pop(field, None)
    if name == "machine_actions" and draw(st.booleans()):
        record["lastUpdateTimeUtc"] = draw(likely_times | st.none() | values)
    if draw(st.integers(0, 5)) == 0:
        record.update(draw(st.dictionaries(texts, values, max_size=2)))
    text = json.dumps(record, ensure_ascii=draw(st.booleans()), allow_nan=True)
    if draw(st.integers(0, 5)) == 0:
        text = (
            text[:-1] + "," + json.dumps(draw(st.dictionaries(st.sampled_from(API_FIELDS[name]), values)))[1:]
        )
        text = text.replace(",}", "}")
    return text.encode(errors="surrogatepass")


def pages(name):
    return st.lists(records(name), min_size=1, max_size=4)


def body(raw):
    return b'{"value":[' + b",".join(raw) + b"]}"


def decode(name, *raw):
    page = DECODERS[name](body(raw))
    return page.table.to_pylist(), list(page.bad_records), list(page.identities)


def check_a_record_is_read_the_same_way_in_any_company(name, raw):
    """By itself; beside one with a field beyond the schema, beside an odd one; beside the others."""
    alone = [decode(name, each) for each in raw]
    for company in (EXTENDED[name], MISTYPED[name], ODD[name], IMPOSSIBLE[name]):
        their_rows, their_bad, their_identities = decode(name, company)
        for each, (rows, bad, identities) in zip(raw, alone, strict=True):
            beside = decode(name, each, company)
            assert beside == ([*rows, *their_rows], [*bad, *their_bad], [*identities, *their_identities])
    together = decode(name, *raw)
    assert together == tuple([each for part in parts for each in part] for parts in zip(*alone, strict=True))
    for rows, bad, identities in alone:
        assert (len(rows) + len(bad) >= 1, len(identities)) == (True, 1)
    for bad in together[1]:
        json.loads(bad.record)
        (bad.reason + bad.record).encode()


@settings(max_examples=250, deadline=None)
@given(pages("machine_actions"))
def test_a_machine_action_is_read_the_same_way_in_any_company(raw):
    check_a_record_is_read_the_same_way_in_any_company("machine_actions", raw)


@settings(max_examples=150, deadline=None)
@given(pages("investigations"))
def test_an_investigation_is_read_the_same_way_in_any_company(raw):
    check_a_record_is_read_the_same_way_in_any_company("investigations", raw)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_good_value_is_altered(data):
    """Values that each fit their column come out as they went in, also beside a bad one."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    fits = {
        "text": text,
        "integer": st.integers(-(2**63), 2**63 - 1),
        "list": st.lists(text | st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        "object": st.dictionaries(text, st.booleans() | st.none(), max_size=3),
    }
    columns = [column for column in MACHINE_ACTIONS.columns if column.kind in fits and len(column.path) == 1]
    record = {column.path[0]: data.draw(st.none() | fits[column.kind], column.name) for column in columns}
    record |= {"id": data.draw(text.filter(bool)), "creationDateTimeUtc": "2026-11-20T12:00:00.1234567Z"}
    spoilt = data.draw(st.booleans())
    raw = json.dumps({**record, **({"cancellationDateTimeUtc": "soon"} if spoilt else {})}).encode()
    [row], bad, _ = decode("machine_actions", raw)
    for column in columns:
        found = row[column.name]
        if found is not None and column.kind in ("list", "object"):
            found = json.loads(found)
        assert found == record[column.path[0]]
    assert len(bad) == spoilt


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.booleans(), st.integers(0, 400))
def test_any_bytes_are_a_list_or_an_error_and_nothing_else(noise, inside, cut):
    whole = body([json.dumps(PLAIN["investigations"]).encode(), noise] if inside else [])
    for text in (noise, whole, whole[:cut]):
        try:
            DECODERS["investigations"](text)
        except ValueError:
            continue


@pytest.mark.parametrize("value", ["1e400", "0.10000000000000000001", DEEP, r'"\ud800"', '{"a": 1e400}'])
@pytest.mark.parametrize("name", RESOURCES)
def test_what_is_no_json_beyond_the_schema_is_odd_in_any_company(name, value):
    raw = json.dumps(PLAIN[name])[:-1].encode() + b', "new": ' + value.encode() + b"}"
    check_a_record_is_read_the_same_way_in_any_company(name, [raw, raw])
    assert [bad.reason for bad in decode(name, raw, EXTENDED[name])[1]] == [
        "a field beyond the schema is no JSON"
    ]


@pytest.mark.parametrize("values", [("[]", "null"), ("[]", '"x"'), ('"x"', "[]"), ("[]", "{}")])
@pytest.mark.parametrize("name", RESOURCES)
def test_of_two_members_of_a_name_the_last_one_counts_in_any_company(name, values):
    twice = "".join(f', "machineId": {value}' for value in values)
    raw = (json.dumps(PLAIN[name])[:-1] + twice + "}").encode()
    check_a_record_is_read_the_same_way_in_any_company(name, [raw, raw])


@pytest.mark.parametrize("name", RESOURCES)
def test_each_way_is_taken(name, monkeypatch):
    """The tests above compare something: how many records are read at once, and which one by one."""
    at_once, one_by_one = [], []
    table, text = records_module._table, records_module._decode_text

    def counted_table(resource, records, additional_properties):
        found = table(resource, records, additional_properties)
        at_once.append(found.num_rows)
        return found

    def noted_text(resource, raw):
        one_by_one.append(json.loads(bytes(raw))["id"])
        return text(resource, raw)

    monkeypatch.setattr(records_module, "_table", counted_table)
    monkeypatch.setattr(records_module, "_decode_text", noted_text)
    plain = json.dumps(PLAIN[name]).encode()
    decode(name, plain, plain)
    decode(name, plain, EXTENDED[name])
    decode(name, plain, MISTYPED[name], MISTYPED[name])
    assert (at_once, one_by_one) == ([2, 2, 3], [])
    decode(name, plain, plain, plain, ODD[name], EXTENDED[name], EXTENDED[name])
    assert (at_once, one_by_one) == ([2, 2, 3, 5], ["odd"])
    decode(name, plain, plain, plain, IMPOSSIBLE[name], *4 * [EXTENDED[name]])
    assert (at_once, one_by_one) == ([2, 2, 3, 5, 2, 4], ["odd", "plain", "impossible"])
