"""Runs syncs to be killed, each in a process of its own, forked from one that has everything imported.

One JSON line in (see `Order`), one out: the child's exit status, negative for the signal that ended it. The
product has no hooks: a kill point is a function of it that the child replaces by one that kills.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

# How dlt's merge begins; it is one text of two statements, a DELETE and an INSERT. (Its other DELETEs empty the
# staging table.)
MERGE = 'DELETE FROM "defender"."machine_actions" as d WHERE EXISTS'
# Where a run is killed: a function, which of its calls, and whether before that call, after it, or midway, after
# the first of its statements. A text that its arguments must hold narrows the calls.
POINTS: dict[str, tuple[str, int, str, str]] = {
    "before the first page": ("pipelines.reader.ListReader.fetch", 1, "before", ""),
    "mid-page": ("pipelines.records._decode_documented", 2, "before", ""),
    "while a chunk waits for more": ("pipelines.storing.ChunkWriter._linger", 1, "before", ""),
    "in extract": ("dlt.extract.extract.Extract.extract", 1, "before", ""),
    "after extract": ("dlt.extract.extract.Extract.commit_packages", 1, "after", ""),
    "in normalize": ("dlt.normalize.Normalize.run", 1, "before", ""),
    "after normalize": ("dlt.normalize.Normalize.run", 1, "after", ""),
    "in load": ("dlt.load.Load.run", 1, "before", ""),
    "before merge": ("dlt.destinations.impl.duckdb.sql_client.DuckDbSqlClient.execute_query", 1, "before", MERGE),
    "mid-merge": ("dlt.destinations.impl.duckdb.sql_client.DuckDbSqlClient.execute_query", 1, "midway", MERGE),
    "after merge": ("dlt.load.Load.complete_package", 1, "before", ""),
    "after load": ("dlt.load.Load.run", 1, "after", ""),
    "between merge and watermark": ("pipelines.warehouse.Warehouse.commit", 1, "before", ""),
    "before versions": ("pipelines.warehouse.Warehouse._add_versions", 3, "before", ""),
    "after versions": ("pipelines.warehouse.Warehouse._quarantine", 1, "before", ""),
    "between chunks": ("pipelines.warehouse.Warehouse.commit", 2, "after", ""),
    "before views": ("pipelines.warehouse.Warehouse.create_views", 1, "before", ""),
    "before checks": ("pipelines.checks.run", 1, "before", ""),
    "before the status": ("pipelines.data_dir.replace_file", 2, "before", ""),
    "before publishing": ("pipelines.publish._write_database", 1, "before", ""),
    "while publishing": ("pipelines.publish._copy_comments", 1, "before", ""),
    "before the snapshot has its name": ("pipelines.publish._set_modes", 1, "after", ""),
    "before the link is switched": ("pipelines.publish._switch", 1, "before", ""),
    "before old snapshots go": ("pipelines.publish._remove_others", 1, "before", ""),
}  # fmt: skip
# The same, of a run that makes its snapshot from the one before.
RENEWAL_POINTS: dict[str, tuple[str, int, str, str]] = {
    "before the copy is brought to now": ("pipelines.renewal._move_tables", 1, "before", ""),
    "before changed marts are worked out": ("pipelines.changed_machines.work_out_marts", 1, "before", ""),
    "while changed rows are replaced": ("pipelines.changed_machines.replace_rows", 3, "after", ""),
    "after the copy is brought to now": ("pipelines.renewal._move_marts", 1, "after", ""),
}


@dataclass
class Order:
    """One run: of which tenants (their settings), with which [sync] keys, at what time, up to how many rows readings
    are gathered into a chunk, and its end.
    """

    sync: dict[str, Any]
    tenants: list[dict[str, Any]]
    now: str
    gathered_rows: int | None = None
    point: str | None = None
    nth: int | None = None
    after_seconds: float | None = None
    waits: list[float] = field(default_factory=list)


class Crasher:
    """The process that forks runs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, stage: Any, **order: Any) -> int:
        """One sync of the stage's tenants; its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        settings = stage.settings()
        text = json.dumps(
            asdict(
                Order(
                    sync=asdict(settings.sync),
                    tenants=[asdict(tenant) for tenant in settings.tenants],
                    now=stage.clock.now().isoformat(),
                    **order,
                )
            )
        )
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=10)


@contextmanager
def crasher() -> Iterator[Crasher]:
    """A process that forks runs, until the block ends."""
    process = Crasher()
    try:
        yield process
    finally:
        process.close()


# --- in the child ---------------------------------------------------------------------------------


class Quiet:
    """An observer that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def plant(target: str, nth: int, moment: str, needle: str) -> None:
    """Replace the function by one that kills the process at its nth call."""
    path, name = target.rsplit(".", 1)
    try:
        owner: Any = importlib.import_module(path)
    except ModuleNotFoundError:
        module, class_name = path.rsplit(".", 1)
        owner = getattr(importlib.import_module(module), class_name)
    real = getattr(owner, name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if not needle or needle in " ".join(" ".join(map(str, args)).split()):
            calls += 1
        if calls < nth:
            return real(*args, **kwargs)
        if moment == "after":
            real(*args, **kwargs)
        elif moment == "midway":
            client, text = args[:2]
            first, second = str(text).split(";")[:2]
            assert second.strip().startswith("INSERT")
            with real(client, first):
                pass
        die()
        return None

    setattr(owner, name, deadly)
    for module in [each for label, each in sys.modules.items() if label.startswith("pipelines.")]:
        if getattr(module, name, None) is real:
            setattr(module, name, deadly)


def obey(order: Order) -> None:
    from pipelines import chunks
    from pipelines.clock import Clock
    from pipelines.settings import Settings, SyncSettings, TenantSettings
    from pipelines.sync import sync

    if order.gathered_rows is not None:
        chunks.GATHERED_ROWS = order.gathered_rows
    if order.point is not None:
        target, nth, moment, needle = {**POINTS, **RENEWAL_POINTS}[order.point]
        plant(target, order.nth or nth, moment, needle)
    waited = [0.0]
    start = datetime.fromisoformat(order.now)
    clock = Clock(now=lambda: start + timedelta(seconds=sum(waited)), wait=waited.append, jitter=lambda: 0.0)
    listed = ("tenants", "resources")
    options = {name: tuple(value) if name in listed else value for name, value in order.sync.items()}
    result = sync(
        Settings(SyncSettings(**options), tuple(TenantSettings(**each) for each in order.tenants)),
        clock,
        Quiet(),
    )
    os._exit(int(result.exit_code))


def main() -> None:
    import pipelines.defender
    import pipelines.storing  # noqa: F401  all that a run imports late

    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            try:
                obey(order)
            finally:
                os._exit(70)
        if order.after_seconds is not None:
            time.sleep(order.after_seconds)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
