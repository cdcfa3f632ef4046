"""The rows that all contestants read: pre-built, on disk, any range of them one slice of a file.

A world of the simulator is drawn once and laid several times over itself, each layer with ids and machines
of its own, until there are rows enough. A file of rows is a JSON array, one row a line, oldest first, rows
without a time last; its index holds where each row begins and when it was created. An id tells its row's
place, so that a lookup needs no index.
"""

import array
import bisect
import json
import mmap
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from simulator import World
from simulator.times import parse, to_text, to_ticks

RESOURCES = ("machineactions", "investigations")
TIME_FIELD = {"machineactions": "creationDateTimeUtc", "investigations": "startTime"}
LAYER_ROWS = 100_000
# The first sync looks 180 days back from its own start, which is later than ours.
OLDEST = timedelta(days=179, hours=12)
SEED = 7
CHANGED_ROWS = 1_000
NO_TIME = 2**62
HEAD, COMMA, TAIL = b"[\n", b",\n", b"\n]\n"
FIRST_NUMBER = 10_000_000
PLACE, LAYER = b"@PLACE@", b"@LAYER@"
_NUMBERED_ID = re.compile(r"\d{8,9}|[0-9a-f-]{24}([0-9a-f]{12})")
_NUMBER = re.compile(rb'"errorHResult":(-?\d+)')


class RowState(StrEnum):
    """What the rows are shown as: 1,000 of them ended; or the number that each action has made a text."""

    AS_MADE = "as_made"
    CHANGED = "changed"
    MISTYPED = "mistyped"


@dataclass(frozen=True)
class Template:
    """A row with marks where a layer and a place are put in."""

    when: int
    raw: bytes
    is_open: bool


def build(folder: Path, actions: int, now: datetime) -> None:
    """Write the rows of both resources, about `actions` machine actions and investigations in proportion."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = max(round(actions / LAYER_ROWS), 1)
    world = World(seed=SEED, rows=min(actions, LAYER_ROWS))
    records = {"machineactions": world.machine_actions(now), "investigations": world.investigations(now)}
    for resource in RESOURCES:
        templates = sorted(_templates(resource, records[resource], now), key=lambda each: each.when)
        _write(folder, resource, templates, layers, now)


def _templates(resource: str, records: list[dict[str, Any]], now: datetime) -> Iterator[Template]:
    oldest = to_ticks(now - OLDEST)
    for record in records:
        text = record[TIME_FIELD[resource]]
        when = NO_TIME if text is None else parse(text) or 0
        if when >= oldest:
            yield Template(when, _marked(record), record.get("status") in ("Pending", "InProgress"))


def _marked(record: dict[str, Any]) -> bytes:
    place, layer = PLACE.decode(), LAYER.decode()
    marked = dict(record)
    if record["id"].isdigit():
        marked["id"] = place
    elif record["id"].startswith("da"):
        marked["id"] = layer + record["id"]
    else:
        marked["id"] = record["id"][:24] + place
    for name, cut in (("machineId", 4), ("computerDnsName", 0), ("triggeringAlertId", 0)):
        if marked.get(name):
            marked[name] = layer + marked[name][cut:]
    return json.dumps(marked, separators=(",", ":"), ensure_ascii=False).encode()


def _write(folder: Path, resource: str, templates: list[Template], layers: int, now: datetime) -> None:
    offsets, times = array.array("Q"), array.array("q")
    odd_ids: dict[str, int] = {}
    changed: dict[int, str] = {}
    place = 0
    with (folder / f"{resource}.json").open("wb", buffering=1 << 22) as file:
        file.write(HEAD)
        position = len(HEAD)
        for template in templates:
            numeric = resource == "investigations" and PLACE in template.raw
            for layer in range(layers):
                number = b"%d" % (FIRST_NUMBER + place) if numeric else b"%012x" % place
                raw = template.raw.replace(PLACE, number).replace(LAYER, b"%04x" % layer)
                offsets.append(position)
                times.append(template.when)
                if place:
                    file.write(COMMA)
                    offsets[-1] += len(COMMA)
                position = offsets[-1] + len(raw)
                file.write(raw)
                if template.is_open and len(changed) < CHANGED_ROWS:
                    changed[place] = _finished(raw, now)
                elif resource == "investigations" and not numeric:
                    odd_ids[json.loads(raw)["id"]] = place
                place += 1
        offsets.append(position + len(COMMA))
        file.write(TAIL)
    (folder / f"{resource}.offsets").write_bytes(offsets.tobytes())
    (folder / f"{resource}.times").write_bytes(times.tobytes())
    (folder / f"{resource}.ids.json").write_text(json.dumps(odd_ids))
    (folder / f"{resource}.changed.json").write_text(json.dumps(changed))


def _finished(raw: bytes, now: datetime) -> str:
    record = json.loads(raw)
    record.update(status="Succeeded", lastUpdateDateTimeUtc=to_text(to_ticks(now)))
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


class Rows:
    """The rows of one resource, as they lie in the file."""

    def __init__(self, folder: Path, resource: str) -> None:
        self.state = RowState.AS_MADE
        self._offsets = _mapped(folder / f"{resource}.offsets", "Q")
        self.times = _mapped(folder / f"{resource}.times", "q")
        self._file = (folder / f"{resource}.json").open("rb")
        self._bytes = memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        self._odd_ids: dict[str, int] = json.loads((folder / f"{resource}.ids.json").read_text())
        changed = json.loads((folder / f"{resource}.changed.json").read_text())
        self._changed = {int(place): text.encode() for place, text in changed.items()}
        self._changed_places = sorted(self._changed)

    def __len__(self) -> int:
        return len(self.times)

    def between(self, start: str, end: str) -> range:
        """The places of the rows of [start, end)."""
        low, high = (bisect.bisect_left(self.times, parse(text) or 0) for text in (start, end))
        return range(low, max(high, low))

    def without_time(self) -> range:
        """The places of the rows without a time."""
        return range(bisect.bisect_left(self.times, NO_TIME), len(self))

    def place_of(self, id: str) -> int | None:
        """The place of an id's row; None when there is none."""
        if id in self._odd_ids:
            return self._odd_ids[id]
        match = _NUMBERED_ID.fullmatch(id)
        if match is None:
            return None
        place = int(match[1], 16) if match[1] else int(id) - FIRST_NUMBER
        return place if 0 <= place < len(self) else None

    def pieces(self, low: int, high: int) -> list[Any]:
        """The bytes of these places, commas between them."""
        if low >= high:
            return []
        pieces: list[Any] = []
        if self.state is RowState.CHANGED:
            first = bisect.bisect_left(self._changed_places, low)
            last = bisect.bisect_left(self._changed_places, high)
            for place in self._changed_places[first:last]:
                pieces += [self._slice(low, place), COMMA] if place > low else []
                pieces += [self._changed[place], COMMA]
                low = place + 1
        if low < high:
            pieces.append(self._slice(low, high))
        elif pieces:
            pieces.pop()
        if self.state is RowState.MISTYPED:
            return [_NUMBER.sub(rb'"errorHResult":"\1"', bytes(piece)) for piece in pieces]
        return pieces

    def _slice(self, low: int, high: int) -> Any:
        return self._bytes[self._offsets[low] : self._offsets[high] - len(COMMA)]


def _mapped(path: Path, code: str) -> Any:
    """A file of numbers as a sequence that takes no memory of its own."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).cast("B").cast(code)


if __name__ == "__main__":
    build(Path(sys.argv[1]), int(sys.argv[2]), datetime.now(UTC))
