"""Tells a person, or a log, how a run gets on.

On a terminal: one live line for each resource. In a log: a plain line for each chunk. Both end with a
summary. Whatever came from outside is shown as plain text, never as markup or control codes.
"""

import sys
import threading
from contextlib import suppress
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.clock import Clock
from pipelines.plain_text import plain
from pipelines.reader import ListReader
from pipelines.warehouse import Changes, RunRow


def summary_line(run: RunRow) -> str:
    """What came of one resource, in a line."""
    name = f"{run.tenant} {run.resource}"
    if run.status == "unavailable":
        return f"{name}: not offered by this tenant; nothing was read"
    counts = f"{run.rows_new:,} new, {run.rows_changed:,} changed, {run.rows_read:,} read"
    counts += f" in {counted(run.calls, 'call')}"
    extras = [f"{run.rows_quarantined:,} in quarantine"] if run.rows_quarantined else []
    extras += [f"waited {run.waited_seconds:,.0f} s"] if run.waited_seconds >= 1 else []
    extras += [counted(run.retries, "retry", "retries")] if run.retries else []
    return f"{name}: {run.status}, " + ", ".join([counts, *extras])


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun, such as `1 call` or `2,000 calls`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


class LogProgress:
    """Plain lines on standard output, for logs and pipes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()

    def __enter__(self) -> "LogProgress":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begun(self, run: RunRow) -> None:
        """Nothing to tell yet."""

    def reading(self, run: RunRow, what: str, reader: ListReader) -> None:
        """The line comes when it is stored."""

    def stored(self, run: RunRow, what: str, rows: int, changes: Changes) -> None:
        """A line for each chunk."""
        gone = f", {changes.rows_gone:,} gone" if changes.rows_gone else ""
        self._say(
            f"{run.tenant} {run.resource}: {what}: {rows:,} read, {changes.rows_new:,} new, "
            f"{changes.rows_changed:,} changed{gone}"
        )

    def finished(self, run: RunRow) -> None:
        """The summary."""
        self._say(summary_line(run))

    def check_failed(self, tenant: str, resource: str, check: str, severity: str, rows: int) -> None:
        """A line for each check that found something."""
        self._say(check_line(tenant, resource, check, severity, rows))

    def published(self, snapshot: str) -> None:
        """Where readers find it."""
        self._say(f"published {snapshot}")

    def _say(self, text: str) -> None:
        with self._lock, suppress(OSError):
            # A log that nobody reads any more, or has no room, is no reason to stop.
            sys.stdout.write(f"{self._clock.now():%Y-%m-%d %H:%M:%SZ} {text}\n")
            sys.stdout.flush()


def check_line(tenant: str, resource: str, check: str, severity: str, rows: int) -> str:
    """What a check found, and where its query stands."""
    return (
        f"{plain(tenant)} {plain(resource)}: check {check} ({severity}): {counted(rows, 'row')}; "
        f"see sql/checks/{check}.sql"
    )


@dataclass
class _Line:
    """What a live line shows of a resource under way."""

    run: RunRow
    what: str = ""
    reader: ListReader | None = None


class LiveProgress:
    """One live line for each resource, on a terminal."""

    def __init__(self, clock: Clock, console: Console) -> None:
        self._clock = clock
        self._console = console
        self._lines: dict[tuple[str, str], _Line] = {}
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=5, transient=True)

    def __enter__(self) -> "LiveProgress":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begun(self, run: RunRow) -> None:
        """A new line."""
        with self._lock:
            self._lines[run.tenant, run.resource] = _Line(run, "signing in")

    def reading(self, run: RunRow, what: str, reader: ListReader) -> None:
        """The line tells what is read."""
        with self._lock:
            self._lines[run.tenant, run.resource] = _Line(run, what, reader)

    def stored(self, run: RunRow, what: str, rows: int, changes: Changes) -> None:
        """The counts speak for themselves."""

    def finished(self, run: RunRow) -> None:
        """The line ends as a summary."""
        with self._lock:
            self._lines.pop((run.tenant, run.resource), None)
        style = {"succeeded": "", "unavailable": "yellow", "partial": "yellow"}.get(run.status, "red")
        self._console.print(Text(summary_line(run), style=style))

    def check_failed(self, tenant: str, resource: str, check: str, severity: str, rows: int) -> None:
        """A line for each check that found something."""
        self._console.print(Text(check_line(tenant, resource, check, severity, rows), style="yellow"))

    def published(self, snapshot: str) -> None:
        """Where readers find it."""
        self._console.print(Text(f"published {snapshot}"))

    def _render(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            lines = list(self._lines.values())
        for line in lines:
            table.add_row(
                Text(f"{line.run.tenant} {line.run.resource}"), Text(line.what), *self._figures(line)
            )
        return table

    def _figures(self, line: _Line) -> list[Text]:
        if line.reader is None:
            return []
        minute, hour = line.reader.client.quota.left(self._clock.now())
        waiting = line.reader.client.waiting_for
        return [
            Text(f"{counted(line.reader.pages, 'page')}, {counted(line.reader.rows, 'row')}"),
            Text(f"calls left: {min(minute, hour):,}"),
            Text(f"waiting: {waiting}" if waiting else "", style="yellow"),
        ]
