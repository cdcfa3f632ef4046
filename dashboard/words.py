"""Values in words: durations, ages, counts, times. Times are UTC."""

from datetime import UTC, datetime
from typing import Any

NOTHING = "\N{EN DASH}"
STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float | None) -> str:
    """`42 s`, `4 min 53 s`, `2 h 5 min`, `12 d`: two units at most, one from ten days on."""
    if seconds is None:
        return NOTHING
    if seconds < 0:
        return "-" + duration(-seconds)
    left = round(seconds)
    for place, (size, unit) in enumerate(STEPS):
        if left < size and size > 1:
            continue
        count, rest = divmod(left, size)
        small, small_unit = STEPS[min(place + 1, len(STEPS) - 1)]
        second = rest // small
        is_rough = unit == "s" or (unit == "d" and count >= 10)
        return f"{count:,} {unit}" if is_rough or not second else f"{count:,} {unit} {second} {small_unit}"
    return NOTHING


def moment(value: datetime | None, seconds: bool = False) -> str:
    """A time, to the minute."""
    if value is None:
        return NOTHING
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def day(value: datetime | None) -> str:
    """A day."""
    return NOTHING if value is None else value.astimezone(UTC).strftime("%Y-%m-%d")


def number(value: float | None) -> str:
    """A count."""
    return NOTHING if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """A share of 1 in percent; what is not quite all or nothing does not look so."""
    if value is None:
        return NOTHING
    percent = value * 100
    if 0 < percent < 1:
        return "< 1 %"
    if 99 < percent < 100:
        return "> 99 %"
    return f"{percent:.0f} %"


def several(count: int, one: str, many: str | None = None) -> str:
    """`1 machine`, `2 machines`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def plain(value: Any) -> str:
    """Any value as a reader would write it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, int | float):
        return f"{value:,}"
    return str(value)
