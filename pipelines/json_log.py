"""The log as one JSON object a line, for `--log-format json`: what happens on standard output, what is wrong on
standard error.

Every line has `at` (ISO 8601, UTC) and `event`; the rest depends on the event. Text from outside needs no care: JSON
escapes what could steer a terminal. Never holds a secret or a row.
"""

import json
import logging
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.clock import Clock

if TYPE_CHECKING:
    from pipelines.reader import ListReader
    from pipelines.warehouse import Changes, RunRow

SUMMARY = (
    "run_id",
    "command",
    "status",
    "started_at",
    "finished_at",
    "window_start",
    "window_end",
    "calls",
    "retries",
    "waited_seconds",
    "rows_read",
    "rows_new",
    "rows_changed",
    "rows_quarantined",
    "error",
)


def json_line(at: datetime, event: str, **facts: Any) -> str:
    """One line of the log, with its end."""
    told = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in facts.items()
    }
    return json.dumps({"at": at.isoformat(timespec="milliseconds"), "event": event, **told}) + "\n"


class JsonFormatter(logging.Formatter):
    """Messages of the program's loggers: event `message`, with `level` and `logger`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC)
        facts = {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            facts["trace"] = self.formatException(record.exc_info)
        return json_line(at, "message", **facts).rstrip("\n")


class JsonProgress:
    """Events `begun`, `stored`, `finished`, `check_failed` and `published`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()

    def __enter__(self) -> "JsonProgress":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begun(self, run: "RunRow") -> None:
        """A resource's turn has come."""
        self._say("begun", tenant=run.tenant, resource=run.resource, run_id=run.run_id, command=run.command)

    def reading(self, run: "RunRow", what: str, reader: "ListReader") -> None:
        """The line comes when it is stored."""

    def stored(self, run: "RunRow", what: str, rows: int, changes: "Changes") -> None:
        """A chunk is in the warehouse."""
        self._say(
            "stored",
            tenant=run.tenant,
            resource=run.resource,
            what=what,
            rows_read=rows,
            rows_new=changes.rows_new,
            rows_changed=changes.rows_changed,
            rows_gone=changes.rows_gone,
        )

    def finished(self, run: "RunRow") -> None:
        """What came of one resource: the figures of its row in sync_runs."""
        self._say(
            "finished",
            tenant=run.tenant,
            resource=run.resource,
            **{name: getattr(run, name) for name in SUMMARY},
        )

    def check_failed(self, tenant: str, resource: str, check: str, severity: str, rows: int) -> None:
        """A check found rows."""
        self._say("check_failed", tenant=tenant, resource=resource, check=check, severity=severity, rows=rows)

    def published(self, snapshot: str) -> None:
        """Where readers find it."""
        self._say("published", snapshot=snapshot)

    def _say(self, event: str, **facts: Any) -> None:
        with self._lock, suppress(OSError):
            # As in a log of text: that nobody reads it is no reason to stop.
            sys.stdout.write(json_line(self._clock.now(), event, **facts))
            sys.stdout.flush()
