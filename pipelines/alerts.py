"""Tells the webhook of `[alerts]` when a resource's health changes, and of nothing else.

Owns `alerts.json` in the data directory: the state of each tenant and resource that was last noted, and the messages
that are not delivered yet. A change is noted before it is sent, and forgotten after it arrived: a run that is killed
in between tells it twice, never not at all. A message holds no secret, no row and no text of the API.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pipelines.clock import Clock
from pipelines.data_dir import replace_file
from pipelines.health import OK

logger = logging.getLogger(__name__)

FORMAT = 1
# A receiver that is gone for good fills no disk.
MOST_PENDING = 500


class Noted(msgspec.Struct):
    """The last state of a resource. `of_run`: the run as a whole failed, which the run log may not tell."""

    state: str
    of_run: bool = False


class Message(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """What is sent, one for each change."""

    event_id: str
    text: str
    tenant: str
    resource: str
    from_: str | None
    to: str
    since: datetime
    at: datetime
    last_success_at: datetime | None
    exit_code: int | None
    remedy: str
    run_id: str | None
    format: int = FORMAT


class Book(msgspec.Struct):
    """The content of `alerts.json`: what is noted by `tenant.resource`, and what is not delivered."""

    noted: dict[str, Noted] = msgspec.field(default_factory=dict)
    pending: list[dict[str, Any]] = msgspec.field(default_factory=list)
    format: int = FORMAT


class Alerts:
    """The changes noted and not yet told."""

    def __init__(self, path: Path, url: str, clock: Clock) -> None:
        self._path, self._url, self._clock = path, url, clock
        self._book = _load(path)

    def noted(self, tenant: str, resource: str) -> Noted | None:
        """The last state; None where none was ever noted."""
        return self._book.noted.get(f"{tenant}.{resource}")

    def note(
        self,
        tenant: str,
        resource: str,
        state: str,
        since: datetime,
        *,
        of_run: bool = False,
        facts: Mapping[str, Any],
    ) -> None:
        """Note a state; where it is another than before, a message waits to be sent.

        The first state ever is told unless it is ok. `facts` are the message's other fields.
        """
        before = self.noted(tenant, resource)
        self._book.noted[f"{tenant}.{resource}"] = Noted(state, of_run)
        if state == (before.state if before else OK):
            return
        now = self._clock.now()
        former = before.state if before else None
        message = Message(
            event_id=f"{tenant}.{resource}.{state}.{now:%Y%m%dT%H%M%S.%fZ}",
            text=f"defender-sync: {tenant} {resource}: {former or 'unknown'} → {state}",
            tenant=tenant,
            resource=resource,
            from_=former,
            to=state,
            since=since,
            at=now,
            **facts,
        )
        self._book.pending.append(msgspec.to_builtins(message))

    def tell(self) -> None:
        """Keep what was noted, then send what waits; what does not arrive waits for the next run."""
        if len(self._book.pending) > MOST_PENDING:
            logger.warning("the webhook of [alerts] is behind; its oldest messages are dropped")
            del self._book.pending[:-MOST_PENDING]
        self._save()
        if not self._book.pending:
            return
        from pipelines.webhook import Delivery

        delivery = Delivery(self._url, list(self._book.pending), self._clock)
        delivery.run()
        if delivery.sent:
            del self._book.pending[: delivery.sent]
            self._save()
        if delivery.problem:
            logger.warning(
                "the webhook of [alerts] took %d of %d messages: %s; the next run tells the rest",
                delivery.sent,
                delivery.sent + len(self._book.pending),
                delivery.problem,
            )

    def _save(self) -> None:
        replace_file(self._path, msgspec.json.encode(self._book).decode() + "\n")


def _load(path: Path) -> Book:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Book)
    except FileNotFoundError:
        return Book()
    except (msgspec.DecodeError, UnicodeDecodeError, OSError):
        logger.warning("%s cannot be read; alerts begin anew", path)
        return Book()
