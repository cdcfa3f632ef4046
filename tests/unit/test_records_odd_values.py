"""One odd value costs itself and nothing else: what a page's decoder makes of records that nobody expects."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from support.records import action, investigation
from support.truth import row_of

from pipelines.json_text import MOST_LEVELS
from pipelines.records import page_decoder
from pipelines.resources import INVESTIGATIONS, MACHINE_ACTIONS

DECODE = page_decoder(MACHINE_ACTIONS)
TIME = '"creationDateTimeUtc": "2026-11-20T12:00:00Z"'
COMMENT = "requestor_comment"


def body(*texts: str | bytes) -> bytes:
    return b'{"@odata.context": "x", "value": [' + b",".join(_bytes(text) for text in texts) + b"]}"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def decode(*texts, decoder=DECODE):
    """The rows by id and the bad records, with a plain neighbour on either side that must come whole."""
    first, last = action("first"), action("last")
    page = decoder(body(json.dumps(first), *texts, json.dumps(last)))
    rows = {row["id"]: row for row in page.table.to_pylist()}
    for record in (first, last):
        assert _values(rows.pop(record["id"])) == _expected(record)
    assert page.rows == len(texts) + 2
    return rows, page.bad_records


def _values(row):
    return {
        name: json.loads(value) if value and name in MACHINE_ACTIONS.json_columns else value
        for name, value in row.items()
    }


def _expected(record):
    return {name: value for name, value in row_of("machine_actions", record).items() if name != "tenant"}


def bad_value(column, value):
    """A record whose one odd value is `value`, as JSON text, in `column`'s field."""
    [path] = [each.path for each in MACHINE_ACTIONS.columns if each.name == column]
    value = _bytes(value)
    if len(path) == 2:
        value = b'{"%s": %s}' % (path[1].encode(), value)
    rest = '"id": "x", "title": "kept", ' + TIME
    return b'{"%s": %s, %s}' % (path[0].encode(), value, rest.encode())


DEEP = "[" * 5_000 + "]" * 5_000
DEEP_OBJECT = '{"a":' * 3_000 + "1" + "}" * 3_000
NO_TEXT = ["5", "1.5", "true", "[]", "{}", '["a"]', '"\\ud800"', '"a\\udfffb"', b'"\xff"', b'"\xed\xa0\x80"',
           "NaN", "-Infinity", "1e400", "9" * 5_000, DEEP, DEEP_OBJECT]  # fmt: skip
NO_TIME = ['""', '"soon"', '"2026-11-20"', '"2026-11-20T12:00Z"', '"2026-11-20T12:00:00"', '"0000-01-01T00:00:00Z"',
           '"2026-13-01T00:00:00Z"', '"2026-02-30T00:00:00Z"', '"2016-12-31T23:59:60Z"', '"2026-11-20T24:00:00Z"',
           '"2026-11-20T12:00:00+99:00"', '"2026-11-20T12:00:00.12345678901Z"', '"9999-12-31T23:59:59-01:00"',
           '"0001-01-01T00:00:00+01:00"', '" 2026-11-20T12:00:00Z"', '"\u0662\u0660\u0662\u0666-11-20T12:00:00Z"',
           *NO_TEXT]  # fmt: skip
NO_INTEGER = [
    "1.5",
    "1e3",
    "true",
    '"5"',
    str(2**63),
    str(-(2**63) - 1),
    "1e400",
    "NaN",
    "9" * 5_000,
    "[]",
    DEEP,
]
NO_LIST = ['"none"', "5", "{}", "[NaN]", "[1e400]", '["\\ud800"]', '[{"a": [-Infinity]}]', b'["\xff"]', DEEP]
NO_OBJECT = ['"none"', "5", "[]", '{"state": NaN}', '{"\\ud800": 1}', b'{"a": "\xff"}', DEEP, DEEP_OBJECT]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((COMMENT, value) for value in NO_TEXT),
        *(("related_file_info__file_identifier", value) for value in NO_TEXT),
        *(("cancellation_date_time_utc", value) for value in NO_TIME),
        *(("error_h_result", value) for value in NO_INTEGER),
        *(("commands", value) for value in NO_LIST),
        *(("troubleshoot_info", value) for value in NO_OBJECT),
    ],
    ids=lambda value: str(value)[:24].encode("ascii", "replace").decode(),
)
def test_a_bad_value_becomes_null_and_its_record_goes_to_quarantine(column, value):
    rows, [bad] = decode(bad_value(column, value))
    assert rows["x"][column] is None
    assert (rows["x"]["title"], rows["x"]["creation_date_time_utc"].year) == ("kept", 2026)
    assert bad.reason.count(";") == 0
    assert json.loads(bad.record)["title"] == "kept"


@pytest.mark.parametrize("value", NO_TIME, ids=range(len(NO_TIME)))
def test_a_bad_creation_time_keeps_a_record_out_of_its_table(value):
    rows, [bad] = decode(b'{"id": "x", "creationDateTimeUtc": %s}' % _bytes(value))
    assert (rows, "creationDateTimeUtc" in bad.reason) == ({}, True)


@pytest.mark.parametrize("value", ['""', "null", *NO_TEXT], ids=range(len(NO_TEXT) + 2))
def test_a_bad_id_keeps_a_record_out_of_its_table(value):
    rows, [bad] = decode(b'{"id": %s, %s}' % (_bytes(value), TIME.encode()))
    assert (rows, bad.reason.endswith("id is missing")) == ({}, True)


@pytest.mark.parametrize(
    "record", ["null", "5", '"text"', "[]", "NaN", DEEP, '"' + "[" * 200 + '"', "[[1], 2]"]
)
def test_what_is_no_object_is_no_record(record):
    rows, [bad] = decode(record)
    assert (rows, bad.reason) == ({}, "no object")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("1969-12-31T23:59:59.1234567Z", datetime(1969, 12, 31, 23, 59, 59, 123456, tzinfo=UTC)),
        ("2026-11-20T12:00:00.9999999Z", datetime(2026, 11, 20, 12, 0, 0, 999999, tzinfo=UTC)),
        ("2026-11-20T13:00:00+01:00", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("2026-11-20 12:00:00Z", datetime(2026, 11, 20, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_cut_to_the_microsecond_whatever_its_year(text, moment):
    rows, bad = decode(json.dumps({"id": "x", "creationDateTimeUtc": text}))
    assert (rows["x"]["creation_date_time_utc"], bad) == (moment, ())


@pytest.mark.parametrize(
    "text",
    ["a\0b", "\x1b[31m\x07", "\r\n\t\x7f", "\u202eevil", "\U0001f525 \u4f60\u597d e\u0301", "' or '1' eq '1",
     "=cmd|'/c'!A1", "x" * 10_000_000, "[[[" * 1_000, '\\"' * 50, "[/red]", "\ufeffx", "\ufffd"],
    ids=range(13),
)  # fmt: skip
def test_odd_text_is_text(text):
    rows, bad = decode(
        json.dumps({"id": "x", "requestorComment": text, "creationDateTimeUtc": "2026-11-20T12:00:00Z"})
    )
    assert (rows["x"][COMMENT] == text, bad) == (True, ())


@pytest.mark.parametrize(
    "id", ["a'b", "x') or true", "%27", "a\0b", "\n", " ", "\u202e", "z" * 100_000, "../.."]
)
def test_an_id_is_any_text(id):
    rows, bad = decode(json.dumps({"id": id, "creationDateTimeUtc": "2026-11-20T12:00:00Z"}))
    assert (set(rows) == {id}, bad) == (True, ())


def test_control_characters_that_are_not_escaped_are_taken_as_they_are():
    rows, bad = decode(bad_value(COMMENT, b'"a\x00\x1b\nb"'))
    assert (rows["x"][COMMENT], bad) == ("a\x00\x1b\nb", ())


def test_the_last_of_two_members_of_one_name_counts():
    rows, bad = decode('{"id": 5, "id": "x", "title": "a", "title": "b", ' + TIME + "}")
    assert (rows["x"]["title"], bad) == ("b", ())


def test_a_record_that_stands_twice_stands_at_two_positions():
    record = json.dumps(action("x"))
    page = DECODE(body(record, record))
    assert list(page.identities) == ["x", "x"]


@pytest.mark.parametrize("levels", [1, MOST_LEVELS - 1])
def test_lists_and_objects_may_be_nested_as_deep_as_anybody_would(levels):
    text = "[" * levels + "]" * levels
    rows, bad = decode(
        bad_value("commands", text),
        bad_value("troubleshoot_info", '{"a": ' + text + "}").replace(b'"x"', b'"y"'),
    )
    assert (rows["x"]["commands"], rows["y"]["troubleshoot_info"], bad) == (text, '{"a":' + text + "}", ())


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 900, 5_000, 200_000])
def test_a_nest_too_deep_is_bad_alike_beside_a_plain_and_an_odd_record(levels):
    deep = bad_value("commands", "[" * levels + "]" * levels)
    page = DECODE(body(deep))
    among, _ = decode(deep, '{"id": "odd", "new": 1, ' + TIME + "}")
    assert page.table.to_pylist() == [among["x"]]
    assert [bad.reason for bad in page.bad_records] == ["commands is no list"]


def test_a_field_beyond_the_schema_is_kept_unless_it_is_no_json():
    rows, [bad] = decode(
        f'{{"id": "x", {TIME}, "new": {{"b": 1.10, "a": [null]}}, "deep": {DEEP}, "odd": NaN, "\\ud800": 1, '
        '"relatedFileInfo": {"fileIdentifier": "f", "size": 12345678901234567890}}'
    )
    assert json.loads(rows["x"]["additional_properties"]) == {
        "new": {"a": [None], "b": 1.1},
        "relatedFileInfo": {"size": 12345678901234567890},
    }
    assert rows["x"]["related_file_info__file_identifier"] == "f"
    assert json.loads(bad.record)["deep"] == DEEP
    assert json.loads(bad.record)["odd"] == "NaN"


@pytest.mark.parametrize("plain_ones", [0, 40])
def test_a_nest_too_deep_spoils_its_object_though_another_member_of_that_name_counts(plain_ones):
    deep = "[" * (MOST_LEVELS + 1) + "]" * (MOST_LEVELS + 1)
    file = f'{{"fileIdentifier": "f", "size": {deep}, "size": 1}}'
    texts = [json.dumps(action(f"plain{number}")) for number in range(plain_ones)]
    rows, [bad] = decode(*texts, f'{{"id": "x", {TIME}, "relatedFileInfo": {file}}}')
    assert (rows["x"]["related_file_info__file_identifier"], bad.reason) == (
        None,
        "relatedFileInfo is no object",
    )


def test_a_file_that_is_no_object_costs_the_file_only():
    rows, [bad] = decode(json.dumps({**action("x"), "relatedFileInfo": "a file"}))
    assert (rows["x"]["type"], bad.reason) == ("RunAntiVirusScan", "relatedFileInfo is no object")


def test_a_number_that_no_float_holds_is_not_rounded():
    for text in ("1e400", "1e-400", "0.12345678901234567890", "-1E+999999999999999999999999"):
        rows, [bad] = decode(f'{{"id": "x", {TIME}, "new": {text}}}')
        assert (rows["x"]["additional_properties"], json.loads(bad.record)["new"]) == (None, text)


def test_an_empty_older_name_of_the_last_update_is_a_bad_value():
    record = {"id": "x", "creationDateTimeUtc": "2026-11-20T12:00:00Z", "lastUpdateTimeUtc": ""}
    for page in (DECODE(body(json.dumps(record))), DECODE(body(json.dumps(record), '"odd"'))):
        assert page.table["last_update_date_time_utc"].to_pylist() == [None]
        assert page.bad_records[0].reason == "lastUpdateDateTimeUtc is no time"


def test_an_older_name_is_one_only_where_the_newer_one_is_known():
    record = {**investigation("1"), "lastUpdateTimeUtc": "2026-11-20T12:00:00Z"}
    [row] = page_decoder(INVESTIGATIONS)(body(json.dumps(record))).table.to_pylist()
    assert json.loads(row["additional_properties"]) == {"lastUpdateTimeUtc": "2026-11-20T12:00:00Z"}


def test_an_investigation_with_a_bad_start_stays():
    page = page_decoder(INVESTIGATIONS)(body(json.dumps({**investigation("1"), "startTime": "soon"})))
    assert (page.table["start_time"].to_pylist(), page.table["state"].to_pylist()) == ([None], ["Benign"])
    assert page.bad_records[0].reason == "startTime is no time"


def test_the_same_content_in_another_spelling_has_the_same_hash():
    _, [one] = decode('{"id": 5, "title": "\\u00e9", "a": 1}')
    _, [two] = decode('{ "a":1,"title":"\u00e9", "id":5 }')
    _, [three] = decode('{"id": 6, "title": "\\u00e9", "a": 1}')
    assert one.record_hash == two.record_hash != three.record_hash


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "<html>", '"value"', "{}", '{"value": 5}', '{"value": {}}', '{"value": null}', '{"value": [',
     '{"value": [{"id": "x"', '{"value": []', '{"value": []}}', '{"value": []} x', '{"value": [{]}', '{"value": [1,]}',
     '{"value": [{"id": x}]}', '{"value": ["a]}', '{"value": [{"a"}]}', '{"value": [{"a": 01}]}',
     '{5: [], "value": []}',
     '{"value": [[[[' + "[" * 5_000, '{"a": "' + '\\"' * 100_000, "\x00", '{"error": {"code": "x"}}'],
    ids=range(25),
)  # fmt: skip
def test_a_body_that_is_no_list_of_records_is_an_error_and_never_no_rows(text):
    with pytest.raises(ValueError, match="JSON"):
        DECODE(text.encode())


def test_a_body_may_begin_with_a_byte_order_mark():
    assert DECODE(b"\xef\xbb\xbf" + body(json.dumps(action("x")))).rows == 1
