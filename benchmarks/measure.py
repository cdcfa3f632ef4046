"""What a process costs: wall, CPU and peak memory as the system counts them, and what it leaves on disk."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class ContestantFailedError(Exception):
    """A process that was to be measured failed; holds the end of what it said."""


@dataclass(frozen=True)
class Cost:
    """Of one process, its own children included."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[Cost, str]:
    """Run a program to its end, and what it printed. Raises ContestantFailedError where it fails."""
    log = folder / "output.log"
    with log.open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(argv, cwd=folder, env=dict(env), stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    printed = log.read_text()
    log.unlink()
    if process.returncode != 0:
        raise ContestantFailedError(f"exit {process.returncode}: {printed[-2000:]}")
    cost = Cost(wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * MAXRSS_UNIT / MEGABYTE)
    return cost, printed


def disk_mb(folder: Path) -> dict[str, float]:
    """Megabytes left in a folder: the database, what is published, and everything else."""
    sizes = {"database": 0.0, "published": 0.0, "working files": 0.0}
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        parts = path.relative_to(folder).parts
        kind = "published" if "snapshots" in parts else "working files"
        kind = "database" if path.name.startswith("warehouse.duckdb") else kind
        sizes[kind] += path.stat().st_size / MEGABYTE
    return sizes
