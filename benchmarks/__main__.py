"""`make bench`: runs everything side by side and writes benchmarks/RESULTS.md."""

import argparse
import time
from math import inf
from pathlib import Path

from benchmarks import report
from benchmarks.scenarios import (
    DOWNLOAD,
    HANDWRITTEN,
    INSERT,
    OURS,
    ROOT,
    STOCK,
    STOCK_PARQUET,
    Bench,
)

SMALL, MIDDLE, LARGE = 100_000, 1_000_000, 5_000_000
MANY_TENANTS = 400_000
# Minutes after which a part repeats nothing: without an option, a machine of half the speed is to be done in some 15.
REPEATS_END = {"small": 2.0, "middle": 7.0, "later": 9.0}


def main() -> None:
    """Measure, then report."""
    options = _options()
    started = time.monotonic()
    bench = Bench(options.work, resume=options.resume, most_runs=options.runs)
    parts = options.parts or [
        "small",
        "marts",
        "middle",
        *(["mistyped", "tenants", "large"] if options.full else []),
    ]
    is_short = not (options.full or options.parts)

    def repeat_until(end: str) -> None:
        bench.repeat_until = started + 60 * REPEATS_END[end] if is_short else inf

    bench.imports(7)
    if "small" in parts:
        repeat_until("small")
        bench.first_load(
            SMALL,
            {
                OURS: 5,
                HANDWRITTEN: 5,
                DOWNLOAD: 5,
                INSERT: 5,
                STOCK_PARQUET: 3,
                STOCK: 3 if options.full else 1,
            },
        )
        bench.nothing_new(SMALL, 5)
        bench.pages(SMALL)
    if "marts" in parts:
        bench.marts(MIDDLE)
    if "middle" in parts:
        repeat_until("middle")
        bench.first_load(MIDDLE, {OURS: 3, HANDWRITTEN: 3, DOWNLOAD: 3, INSERT: 3})
        bench.steps(MIDDLE)
        repeat_until("later")
        bench.nothing_new(MIDDLE, 5)
        bench.changed(MIDDLE, 3)
        bench.reread(MIDDLE, 3)
        if not is_short:
            bench.publishing(MIDDLE, 3)
        bench.latency(MIDDLE, 3 if options.full else 1, one_at_a_time=not is_short)
    if "mistyped" in parts:
        bench.mistyped(SMALL, 3)
    if "tenants" in parts:
        bench.many_tenants(MANY_TENANTS, 2)
    if "large" in parts:
        bench.first_load(LARGE, {OURS: 2, HANDWRITTEN: 2, DOWNLOAD: 1})
        bench.steps(LARGE)
        bench.nothing_new(LARGE, 3)
    path = ROOT / "benchmarks" / "RESULTS.md"
    path.write_text(report.write(bench.results))
    print(f"{path.relative_to(ROOT)} written after {(time.monotonic() - started) / 60:.1f} minutes")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--full",
        action="store_true",
        help="also mistyped values, many tenants, 5 million actions, and more runs",
    )
    parser.add_argument(
        "--work", type=Path, default=ROOT / "data" / "bench", help="where rows and databases lie"
    )
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run measured")
    parser.add_argument("--runs", type=int, default=99, help="no more than so many runs of each")
    parser.add_argument(
        "--parts",
        nargs="*",
        choices=("small", "marts", "middle", "mistyped", "tenants", "large"),
        help="only these",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
