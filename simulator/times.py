"""Time as the API counts it: ticks of 100 ns since 1970, and its text of up to seven digits.

Owns the way between datetime, ticks and text. Never asks what time it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 10_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,12}))?)?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)


def to_ticks(moment: datetime) -> int:
    """Ticks of an aware datetime."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 10


def to_datetime(ticks: int) -> datetime:
    """The aware datetime, cut to the microsecond below."""
    return _EPOCH + timedelta(microseconds=ticks // 10)


def to_text(ticks: int) -> str:
    """.NET's round-trip text: `Z`, seven digits at most, trailing zeros (and a bare point) cut."""
    seconds, fraction = divmod(ticks, SECOND)
    whole = _second_text(seconds)
    return f"{whole}.{fraction:07d}".rstrip("0") + "Z" if fraction else whole + "Z"


def parse(text: str) -> int | None:
    """Ticks of an ISO 8601 text with a zone, digits beyond the seventh cut; None when it is no such time."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    date, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 59:
        return None
    try:
        day = datetime.fromisoformat(date).replace(tzinfo=UTC)
    except ValueError:
        return None
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second or 0)
    ticks = to_ticks(day) + seconds * SECOND + int((fraction or "0")[:7].ljust(7, "0"))
    if sign is None:
        return ticks
    offset = int(off_hour) * HOUR + int(off_minute) * MINUTE
    return ticks - offset if sign == "+" else ticks + offset


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
