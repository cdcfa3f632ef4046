"""JSON as it really comes: read so that one odd value spoils no other, and written in one spelling.

Pure: no I/O. What stands in a body where JSON allows no value, or where none can be held, is read as
`OddText`: `NaN`, a number beyond what Python holds exactly, a nest deeper than `MOST_LEVELS`.
"""

import json
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

# JSON functions, DuckDB's too, fail on thousands of levels.
MOST_LEVELS = 100
# Python refuses to read longer ones (sys.set_int_max_str_digits), as they take quadratic time.
LONGEST_WHOLE_NUMBER = 4_000
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# A string ends at its quote, or where the text ends; commas and brackets inside it do not count.
TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)


class OddText(str):
    """Text of a body that stands for no value."""

    __slots__ = ()


def parse(text: str) -> Any:
    """A whole record; ValueError where it is no JSON. A member that is no value stands as `OddText`."""
    if not _may_be_deep(text):
        return _decoder.decode(text)
    if text.startswith("["):
        return [parse_member(part) for part in parts(text)]
    return {name: parse_member(value) for name, value in members(text)}


def parse_member(text: str) -> Any:
    """A value of a record; `OddText` where it is nested too deeply."""
    return OddText(text) if _may_be_deep(text) and _levels(text) > MOST_LEVELS else _decoder.decode(text)


def members(text: str) -> list[tuple[str, str]]:
    """The name and the value's text of each member of an object."""
    found = []
    for part in parts(text):
        name = TOKEN.match(part)
        colon, value = (
            (part[name.end() :].lstrip()[:1], part[name.end() :].lstrip()[1:]) if name else ("", "")
        )
        if name is None or not part.startswith('"') or colon != ":":
            raise ValueError("an object that holds something else than members")
        found.append((str(_decoder.decode(name[0])), value.strip()))
    return found


def parts(text: str) -> list[str]:
    """What stands between the commas of a list or object; ValueError where its brackets do not match.

    It counts brackets only, however many, and so reads what a recursive reader cannot.
    """
    found: list[str] = []
    start, level = 1, 0
    for token in TOKEN.finditer(text):
        mark = text[token.start()]
        level += _step(mark)
        if level == 0 or (level == 1 and mark == ","):
            found.append(text[start : token.start()].strip())
            start = token.end()
        if level <= 0:
            break
    if level or start == 1 or text[start:].strip():
        raise ValueError("brackets that do not match")
    return [] if found == [""] else found


def canonical(value: Any) -> str:
    """One spelling for equal values: sorted keys, no white space, plain ASCII.

    ValueError where the value holds what no JSON can: odd text, or a lone surrogate.
    """
    if _holds_odd_text(value):
        raise ValueError("a value that is no JSON")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    if "\\ud" in text:
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError, which is a ValueError
    return text


def quick_canonical(raw: bytes) -> str | None:
    """`canonical` of a value's text in a fifth of the time; None where that might not give the same."""
    text = _quick(raw)
    # Of ASCII, the two encoders spell only DEL differently.
    return text.decode() if text and text.isascii() and b"\x7f" not in text else None


def quick_storable(raw: bytes) -> str | None:
    """`storable` of a value's text in a fifth of the time; None where that might not give the same."""
    text = _quick(raw)
    return text.decode() if text else None


def _quick(raw: bytes) -> bytes | None:
    if len(raw) > LONGEST_WHOLE_NUMBER or raw.count(b"[") + raw.count(b"{") > MOST_LEVELS:
        return None
    try:
        return _quick_encoder.encode(_quick_decoder.decode(raw))
    except ValueError:
        return None


def storable(value: Any) -> str:
    """JSON that a database takes, of any value: odd text and lone surrogates are spelled out as text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return LONE_SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text)


def _fraction(text: str) -> "float | OddText":
    number = float(text)
    try:
        is_exact = Decimal(text) == Decimal(repr(number))
    except InvalidOperation:
        is_exact = False
    return number if is_exact else OddText(text)


def _whole_number(text: str) -> "int | OddText":
    return int(text) if len(text) <= LONGEST_WHOLE_NUMBER else OddText(text)


# `strict=False`: control characters inside a string, which are no JSON either, are taken as they are.
_decoder = json.JSONDecoder(
    parse_float=_fraction, parse_int=_whole_number, parse_constant=OddText, strict=False
)


def _plain_fraction(text: str) -> float:
    number = float(text)
    if "e" in text or repr(number) != text:
        raise ValueError("a fraction that the two encoders may spell differently")
    return number


# What it takes is JSON that means the same to `_decoder`.
_quick_decoder = msgspec.json.Decoder(float_hook=_plain_fraction)
_quick_encoder = msgspec.json.Encoder(order="sorted")


def _may_be_deep(text: str) -> bool:
    return text.startswith(("[", "{")) and text.count("[") + text.count("{") > MOST_LEVELS


def _levels(text: str) -> int:
    level = deepest = 0
    for token in TOKEN.finditer(text):
        level += _step(text[token.start()])
        deepest = max(deepest, level)
    return deepest


def _step(mark: str) -> int:
    return (mark in "[{") - (mark in "]}")


def _holds_odd_text(value: Any) -> bool:
    level = [value]
    while level:
        if any(type(each) is OddText for each in level):
            return True
        level = [inner for each in level for inner in _children(each)]
    return False


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
