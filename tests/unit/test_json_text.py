"""The quick spelling of a JSON value and the slow one: the same text to the character, however it came."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import action

from pipelines.json_text import (
    LONGEST_WHOLE_NUMBER,
    MOST_LEVELS,
    canonical,
    parse_member,
    quick_canonical,
    quick_storable,
    storable,
)
from pipelines.records import page_decoder
from pipelines.resources import MACHINE_ACTIONS

DECODE = page_decoder(MACHINE_ACTIONS)
# A field beyond the schema: of a few records, each is read by itself.
ODD = json.dumps({**action("odd"), "new": 1}).encode()
ASCII_ESCAPED = b'"%s"' % b"".join(b"\\u%04X" % code for code in range(128))

plain_characters = st.text(
    st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=4
)
odd_characters = st.sampled_from(
    [rb"\"", rb"\\", rb"\/", rb"\b", rb"\f", rb"\n", rb"\r", rb"\t", rb"\u0000", rb"\u001F", rb"\u0027", rb"\u007f",
     rb"\u00fc", rb"\ud83d\ude00", rb"\u2028", rb"\\ud800", "ü".encode(), "\u2028".encode(), "😀".encode(), b"\x7f"]
)  # fmt: skip
bad_characters = st.sampled_from([rb"\ud800", rb"\udc00", b"\0", b"\x1f", b"\n", b"\xff", b"\xed\xa0\x80"])
strings = st.lists(
    plain_characters.map(str.encode) | plain_characters.map(str.encode) | odd_characters, max_size=4
).map(lambda pieces: b'"' + b"".join(pieces) + b'"')
numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["-0", str(2**63), str(2**64), str(-(2**63) - 1), "9" * 40]),
).map(str.encode)
fractions = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: repr(number).encode()) | (
    st.sampled_from([b"1.0", b"-0.0", b"0.1", b"1e5", b"1E+5", b"1e16", b"1e-7", b"5e-324", b"1.10"])
)
# Longer than what is held, or what is no JSON.
no_values = st.sampled_from([b"NaN", b"-Infinity", b"1e400", b"0.1000000000000000055"]) | st.sampled_from(
    [b"9" * (LONGEST_WHOLE_NUMBER + more) for more in (-1, 0, 1)]
)
spaces = st.sampled_from([b"", b"", b"", b" ", b"\n\t", b"\r\n "])


@st.composite
def containers(draw, inner, kind=None):
    """A list or an object, with white space, and some names twice."""
    kind = kind or draw(st.sampled_from(["list", "object"]))
    members = []
    for value in draw(st.lists(inner, max_size=4)):
        name = draw(strings | st.sampled_from([b'"a"', b'"b"'])) if kind == "object" else b""
        colon = draw(spaces) + b":" + draw(spaces) if kind == "object" else b""
        members.append(draw(spaces) + name + colon + value + draw(spaces))
    return (b"[%s]" if kind == "list" else b"{%s}") % (b",".join(members) or draw(spaces))


@st.composite
def nests(draw):
    """As many brackets as are taken, or some more or fewer, within each other or side by side."""
    count = draw(st.integers(MOST_LEVELS - 3, MOST_LEVELS + 2))
    opening, closing = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]))
    side_by_side = b"[" + b",".join([b"{}"] * count) + b"]"
    return draw(
        st.sampled_from([opening * count + b"1" + closing * count, side_by_side, b'"' + b"[" * count + b'"'])
    )


everyday = strings | numbers | st.sampled_from([b"null", b"true", b"false"])
odd = fractions | no_values | nests() | bad_characters.map(lambda character: b'"a%s"' % character)
leaves = everyday | everyday | everyday | odd


def values(kind, leaf):
    return containers(st.recursive(leaf, containers, max_leaves=6), kind)


def slow(raw):
    """The text as the slow way spells it; None where it has none."""
    try:
        return canonical(parse_member(raw.decode(errors="surrogateescape")))
    except ValueError:
        return None


@settings(max_examples=500, deadline=None)
@given(values(None, leaves))
def test_what_is_spelled_quickly_is_spelled_as_the_slow_way_spells_it(raw):
    assert quick_canonical(raw) in (None, slow(raw))


@settings(max_examples=500, deadline=None)
@given(values(None, leaves))
def test_what_is_stored_quickly_is_stored_as_the_slow_way_stores_it(raw):
    stored = storable(parse_member(raw.decode(errors="surrogateescape")))
    assert quick_storable(raw) in (None, stored)


@pytest.mark.parametrize("text", ['{"b":[1,2.5,"ü\x7f\u2028😀"],"a":null}', '"\\u0000\\u001f\\n"'])
def test_everyday_values_are_stored_quickly(text):
    """The test above compares something."""
    assert quick_storable(text.encode()) == storable(json.loads(text))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            values("list", leaves) | st.just(b"null") | everyday,
            values("object", leaves) | st.sampled_from([b"null", b"[]", b"{ }"]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_record_holds_the_same_json_in_any_company(pairs):
    """By itself, which may be the quick way; beside the others; and beside an odd record, the slow way."""
    head = json.dumps({"id": "x", "creationDateTimeUtc": "2026-11-20T12:00:00.1234567Z"})[:-1].encode()
    raw = [head + b',"commands": %s ,"troubleshootInfo":%s}' % pair for pair in pairs]
    alone = [_decode(each) for each in raw]
    for each, (rows, bad) in zip(raw, alone, strict=True):
        beside_rows, beside_bad = _decode(each, ODD)
        assert (beside_rows[:-1], beside_bad) == (rows, bad)
    rows, bad = _decode(*raw)
    assert rows == [row for each, _ in alone for row in each]
    assert bad == [record for _, each in alone for record in each]


def _decode(*raw):
    page = DECODE(b'{"value":[' + b",".join(raw) + b"]}")
    return page.table.to_pylist(), list(page.bad_records)


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"{}",
        ASCII_ESCAPED.replace(rb"\u007F", b""),
        rb'[ {"b" : "C:\\Users\/x", "a" : [1, -0, null, true], "b": "it\u0027s \"it\"\u003c"} ]',
        b'{"b":1,"aa":2,"a":3,"B":4,"":5,"a b":6}',
        b"[1.0, -0.0, 2.5, 1234567.125]",
        str(2**64).encode(),
        b"9" * LONGEST_WHOLE_NUMBER,
        b"[" * MOST_LEVELS + b"]" * MOST_LEVELS,
    ],
    ids=lambda raw: raw[:24].decode(),
)
def test_everyday_values_are_spelled_quickly(raw):
    """The tests above compare something."""
    assert quick_canonical(raw) == slow(raw) is not None


@pytest.mark.parametrize(
    "raw",
    [ASCII_ESCAPED, b'"\x7f"', '"ü"'.encode(), rb'"\u00fc"', rb'{"\u00fc":1}', b"[1.00]", b"[1e16]", b"1e-05",
     b"0.00001", b"0.1000000000000000055", b"[NaN]", b"1e400", b"9" * (LONGEST_WHOLE_NUMBER + 1),
     b"[" * 101 + b"]" * 101, rb'"\ud800"', rb'"\udc00"', b'"\xff"', b'"\0"', b'"\n"', b"", b"01", b"1.", b"[1,]",
     b"[1] 2", b"\xef\xbb\xbf[]"],
    ids=lambda raw: repr(raw[:24]),
)  # fmt: skip
def test_whatever_might_be_spelled_otherwise_is_left_to_the_slow_way(raw):
    assert quick_canonical(raw) is None
