"""Writes what was measured as Markdown: the goals, a table for each scenario, the share of each step."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.pages import ROUNDS
from benchmarks.scenarios import (
    CHANGED,
    FIRST_LOAD,
    HANDWRITTEN,
    IMPORTS,
    LATENCY,
    MARTS,
    NOTHING_NEW,
    ONE_AT_A_TIME,
    OURS,
    PAGES,
    STOCK,
    STOCK_PARQUET,
    Measured,
)

Results = Mapping[str, Measured]
MILLION, SMALL, LARGE = 1_000_000, 100_000, 5_000_000
API_ROWS_PER_SECOND = 16_667
PAGE = 10_000
PACKAGES = ("dlt", "duckdb", "pyarrow", "msgspec", "requests", "msal")


@dataclass(frozen=True)
class Goal:
    """A line of the table of goals."""

    what: str
    wanted: str
    measured: str
    met: bool | None

    def line(self) -> str:
        """It as a row of Markdown."""
        verdict = {True: "met", False: "**not met**", None: "not measured; `FULL=1` does"}[self.met]
        return f"| {self.what} | {self.wanted} | {self.measured} | {verdict} |"


def write(results: Results) -> str:
    """The whole report."""
    parts = [
        "# Results of `make bench`\n",
        _machine(),
        "What is compared, and what was learnt on the way: [NOTES.md](NOTES.md).\n",
        "## Goals\n",
        "| | goal | measured | |\n|---|---|---|---|\n"
        + "\n".join(goal.line() for goal in goals(results))
        + "\n",
    ]
    for scenario, size in dict.fromkeys((each.scenario, each.size) for each in results.values()):
        group = [each for each in results.values() if (each.scenario, each.size) == (scenario, size)]
        title = f"{scenario}, {size:,} machine actions" if size else scenario
        if scenario == MARTS:
            parts += [f"## Marts, {size:,} machine actions, 200,000 investigations\n", _marts(group[0])]
            continue
        if scenario == PAGES:
            parts += ["## Decoding a page of 10,000 machine actions\n", _pages(group[0])]
            continue
        parts += [
            f"## {title[0].upper()}{title[1:]}\n",
            _table(group),
            *(_steps(each) for each in group if each.steps),
        ]
    return "\n".join(parts)


def _machine() -> str:
    cores = os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {_processor()}, {cores} cores, {memory:.0f} GB, {platform.system()} "
        f"{platform.release().split('-')[0]}; Python {platform.python_version()}, {versions}. Load average "
        f"when the last part ended: {os.getloadavg()[2]:.1f}.\n\n"
        "Medians. The server is a process of its own on the same cores. Wall and CPU are of the whole process, "
        "interpreter start and imports included; `×` are multiples of ours.\n"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def _table(group: list[Measured]) -> str:
    ours = next((each for each in group if each.contestant == OURS), group[0])
    lines = [
        "| | runs | wall s | CPU s | rows/s (wall) | rows/s (CPU) | peak MB | disk MB: database + published + other "
        "| calls | wall | CPU | rows against the truth |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in group:
        wall, cpu = each.middle("wall_seconds"), each.middle("cpu_seconds")
        disk = each.disk
        cells = [
            each.contestant,
            str(len(each.costs)),
            f"{wall:.2f}",
            f"{cpu:.2f}",
            f"{each.rows / wall:,.0f}" if each.rows else "",
            f"{each.rows / cpu:,.0f}" if each.rows else "",
            f"{each.middle('peak_mb'):.0f}",
            f"{disk['database']:.0f} + {disk['published']:.0f} + {disk['working files']:.0f}" if disk else "",
            str(each.calls or ""),
            f"{wall / ours.middle('wall_seconds'):.2f} ×",
            f"{cpu / ours.middle('cpu_seconds'):.2f} ×",
            _verdict(each.truth),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _verdict(truth: Mapping[str, int]) -> str:
    if not truth:
        return ""
    named = {name.replace("_", " "): truth[name] for name in ("missing", "too_many", "differ")}
    wrong = {name: count for name, count in named.items() if count}
    if not wrong:
        return f"all {truth['rows']:,} equal"
    return "**" + ", ".join(f"{count:,} {name}" for name, count in wrong.items()) + "**"


def _marts(measured: Measured) -> str:
    lines = [
        "Seconds to read a mart whole, every column of it, from what is published, and to work it out whole from "
        "the state tables, as each sync with something new does; medians of 3.\n",
        "| mart | rows | read | worked out |",
        "|---|---|---|---|",
        *(
            f"| {mart} | {each['rows']:,} | {each['read_seconds']:.2f} | {each['worked_out_seconds']:.2f} |"
            for mart, each in measured.marts.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _pages(measured: Measured) -> str:
    lines = [
        f"Rows per second of CPU; the API's own limit is {API_ROWS_PER_SECOND:,} rows/s. Medians of {ROUNDS}.\n",
        "| | rows/s |",
        "|---|---|",
        *(f"| {kind} | {rate:,.0f} |" for kind, rate in measured.pages.items()),
    ]
    return "\n".join(lines) + "\n"


def _steps(measured: Measured) -> str:
    whole = measured.steps["whole"]
    steps = sorted(
        ((name, each) for name, each in measured.steps.items() if name != "whole"), key=lambda each: -each[1]
    )
    told = ", ".join(f"{name} {each:.2f} s ({each / whole:.0%})" for name, each in steps if each >= 0.005)
    text = f"Steps, wall time added up over threads (they overlap), of {whole:.2f} s: {told}.\n"
    if len(measured.chunks) > 2:
        chunks = ", ".join(f"{rows:,} rows {each:.2f} s" for rows, each in measured.chunks if rows >= PAGE)
        text += f"\nChunks stored: {chunks}.\n"
    return text


def goals(results: Results) -> list[Goal]:
    """Every line of the issue's table."""
    ours, hand = (_of(results, FIRST_LOAD, MILLION, name) for name in (OURS, HANDWRITTEN))
    small, large = (_of(results, FIRST_LOAD, size, OURS) for size in (SMALL, LARGE))
    stock, parquet = (_of(results, FIRST_LOAD, SMALL, name) for name in (STOCK, STOCK_PARQUET))
    slow, slow_hand, slow_one = (
        _of(results, LATENCY, MILLION, name) for name in (OURS, HANDWRITTEN, ONE_AT_A_TIME)
    )
    imports = next((each for each in results.values() if each.scenario == IMPORTS), None)
    nothing, changed = (_of(results, scenario, MILLION, OURS) for scenario in (NOTHING_NEW, CHANGED))
    marts = _of(results, MARTS, MILLION, OURS)
    return [
        _ratio("first load of 1M, CPU against the script by hand", 1.5, ours, hand, "cpu_seconds"),
        _ratio("first load of 1M, wall against the script by hand", 1.3, ours, hand, "wall_seconds"),
        _rate("against the API's own limit, 1M", ours),
        _faster("against stock `rest_api`, 100k, its defaults", 20, small, stock),
        _faster("against stock `rest_api`, 100k, parquet", 5, small, parquet),
        _peak("peak memory at 5M", large),
        _ratio("peak memory at 5M against 1M", 1.2, large, ours, "peak_mb"),
        _disk(ours, hand),
        _faster("300 ms a page, 1M, against the script's sequential paging", 3, slow, slow_hand),
        _faster("300 ms a page, 1M, against ourselves one page at a time", 3, slow, slow_one),
        _calls("300 ms a page, 1M: calls", slow),
        _ratio("nothing new, 1M, against importing the libraries", 1.9, nothing, imports, "wall_seconds"),
        _ratio("1,000 changed rows in 1M, against the same", 2.5, changed, imports, "wall_seconds"),
        _chunk_goal(_of(results, FIRST_LOAD + ", by step", LARGE, OURS)),
        _calls("calls of a first load, 1M", ours),
        _slowest_mart(marts),
    ]


def _slowest_mart(measured: Measured | None) -> Goal:
    what, wanted = "every mart answers, 1M and 200k investigations", "< 1 s"
    if measured is None:
        return Goal(what, wanted, "", None)
    slowest = max(measured.marts, key=lambda mart: measured.marts[mart]["read_seconds"])
    seconds = measured.marts[slowest]["read_seconds"]
    return Goal(what, wanted, f"{seconds:.2f} s, the slowest of them ({slowest})", seconds < 1)


def _of(results: Results, scenario: str, size: int, contestant: str) -> Measured | None:
    return results.get(f"{scenario}/{size}/{contestant}")


def _ratio(what: str, most: float, one: Measured | None, other: Measured | None, cost: str) -> Goal:
    wanted = f"≤ {most} ×"
    if one is None or other is None:
        return Goal(what, wanted, "", None)
    ratio = one.middle(cost) / other.middle(cost)
    unit = "MB" if cost == "peak_mb" else "s"
    return Goal(
        what,
        wanted,
        f"{ratio:.2f} × ({one.middle(cost):.1f} and {other.middle(cost):.1f} {unit})",
        ratio <= most,
    )


def _faster(what: str, least: float, ours: Measured | None, other: Measured | None) -> Goal:
    if ours is None or other is None:
        return Goal(what, f"≥ {least} × as fast", "", None)
    ratio = other.middle("wall_seconds") / ours.middle("wall_seconds")
    return Goal(
        what,
        f"≥ {least} × as fast",
        f"{ratio:.1f} × ({ours.middle('wall_seconds'):.1f} and {other.middle('wall_seconds'):.1f} s)",
        ratio >= least,
    )


def _rate(what: str, ours: Measured | None) -> Goal:
    wanted = f"≥ 3 × {API_ROWS_PER_SECOND:,} rows/s"
    if ours is None:
        return Goal(what, wanted, "", None)
    rate = ours.rows / ours.middle("wall_seconds")
    return Goal(
        what,
        wanted,
        f"{rate:,.0f} rows/s, {rate / API_ROWS_PER_SECOND:.1f} ×",
        rate >= 3 * API_ROWS_PER_SECOND,
    )


def _peak(what: str, large: Measured | None) -> Goal:
    if large is None:
        return Goal(what, "≤ 600 MB", "", None)
    peak = large.middle("peak_mb")
    return Goal(what, "≤ 600 MB", f"{peak:.0f} MB", peak <= 600)


def _disk(ours: Measured | None, hand: Measured | None) -> Goal:
    what, wanted = (
        "disk after 1M, without `published/` and versions, against the script's database",
        "≤ 1.3 ×",
    )
    if ours is None or hand is None:
        return Goal(what, wanted, "", None)
    left = ours.disk["database"] + ours.disk["working files"] - ours.disk["versions"]
    theirs = hand.disk["database"]
    return Goal(what, wanted, f"{left / theirs:.2f} × ({left:.0f} and {theirs:.0f} MB)", left <= 1.3 * theirs)


def _calls(what: str, ours: Measured | None) -> Goal:
    wanted = "≤ 1.1 × pages + 20"
    if ours is None:
        return Goal(what, wanted, "", None)
    rows = ours.truth.get("rows") or ours.rows
    pages = -(-rows // PAGE)
    return Goal(what, wanted, f"{ours.calls} calls, {pages} pages", ours.calls <= 1.1 * pages + 20)


def _chunk_goal(measured: Measured | None) -> Goal:
    what, wanted = "merge of a chunk into 5M rows, against into an empty table, by row", "≤ 2 ×"
    chunks = [] if measured is None else [chunk for chunk in measured.chunks if chunk[0] >= SMALL]
    if len(chunks) < 3:
        return Goal(what, wanted, "", None)
    # The first of full size stands for the empty table, the three slowest for the full one: the last ones are
    # investigations, whose table is small.
    empty = chunks[0][1] / chunks[0][0]
    slowest = sorted(chunks, key=lambda chunk: chunk[1] / chunk[0])[-3:]
    full = sum(each for _, each in slowest) / sum(rows for rows, _ in slowest)
    return Goal(what, wanted, f"{full / empty:.2f} ×", full <= 2 * empty)
