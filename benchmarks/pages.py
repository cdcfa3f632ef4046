"""How fast a page of 10,000 machine actions is decoded, where it is as documented, and where it is not.

Run as a process of its own: `python -m benchmarks.pages ROWS` prints JSON, by kind of page: rows per second of CPU.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rows import Rows
from pipelines.records import page_decoder
from pipelines.resources import MACHINE_ACTIONS

PAGE, ROUNDS = 10_000, 5
Record = dict[str, Any]


def _as_documented(record: Record, _: int) -> Record:
    return record


def _with_a_new_field(record: Record, place: int) -> Record:
    return {**record, "newField": f"value {place}"}


def _with_one_in(each: int, **odd: str) -> Callable[[Record, int], Record]:
    return lambda record, place: {**record, **odd} if place % each == each // 2 else record


MISTYPED, IMPOSSIBLE, NO_LIST = (
    {"errorHResult": "none"},
    {"lastUpdateDateTimeUtc": "2026-13-01T00:00:00Z"},
    {"commands": "none"},
)
KINDS = {
    "as documented": _as_documented,
    "a new field in every record": _with_a_new_field,
    "one record with a mistyped value": _with_one_in(PAGE, **MISTYPED),
    "one in a hundred with a mistyped value": _with_one_in(100, **MISTYPED),
    "every record with a mistyped value": _with_one_in(1, **MISTYPED),
    "one in a hundred with an impossible time": _with_one_in(100, **IMPOSSIBLE),
    "one in a hundred whose commands are no list": _with_one_in(100, **NO_LIST),
}


def main() -> None:
    """Decode and print."""
    pieces = Rows(Path(sys.argv[1]), MACHINE_ACTIONS.path).pieces(0, PAGE)
    records = json.loads(b"[" + b"".join(bytes(piece) for piece in pieces) + b"]")
    decode = page_decoder(MACHINE_ACTIONS)
    told = {}
    for kind, changed in KINDS.items():
        body = json.dumps(
            {"value": [changed(record, place) for place, record in enumerate(records)]}
        ).encode()
        told[kind] = PAGE / median(_cpu_seconds(decode, body) for _ in range(ROUNDS))
    print(json.dumps(told))


def _cpu_seconds(decode: Callable[[bytes], object], body: bytes) -> float:
    started = time.process_time()
    decode(body)
    return time.process_time() - started


if __name__ == "__main__":
    main()
