"""What a fault does to one request, each effect a small class.

Owns the effects and the record of a call that they look at. Never decides when: that is `faults.Rule`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec

from simulator.answers import Answer, Page, Pause, error, plain_status
from simulator.query import ListQuery
from simulator.rows import Row


@dataclass
class Call:
    """One request as it was served, kept in `sim.requests`.

    authorized: it had an Authorization header. status: None when the connection was dropped.
    failure: the trace of an error inside the simulator or in a test's callback.
    """

    method: str
    path: str
    endpoint: str
    params: dict[str, str]
    at: datetime
    record_id: str | None = None
    authorized: bool = False
    tenant_id: str | None = None
    status: int | None = None
    rows: int | None = None
    faults: list[str] = field(default_factory=list)
    failure: str | None = None


class Effect:
    """Does nothing; each effect overrides the turns that it needs."""

    wait: Pause | None = None  # before anything else
    revokes_tokens: bool = False

    def before(self) -> None:
        """Runs in a thread of its own, before the request is looked at."""

    def instead(self, call: Call, now: datetime) -> Answer | None:  # noqa: ARG002
        """An answer that is sent in place of the true one, which is then never made."""
        return None

    def query(self, query: ListQuery) -> ListQuery:
        return query

    def order(self, rows: Sequence[Row]) -> Sequence[Row]:
        return rows

    def page(self, page: Page) -> Page:
        return page

    def after(self, answer: Answer) -> Answer:
        return answer


@dataclass(frozen=True)
class Status(Effect):
    """Any status, with the body that the service sends with it, or a given one."""

    status: int
    message: str | None = None
    retry_after: str | None = None
    body: bytes | None = None
    content_type: str | None = None

    def instead(self, call: Call, now: datetime) -> Answer:  # noqa: ARG002
        answer = plain_status(self.status, self.message)
        if self.retry_after is not None:
            answer = replace(answer, headers={"Retry-After": self.retry_after})
        if self.body is not None:
            answer = replace(answer, chunks=(self.body,))
        return replace(answer, content_type=self.content_type or answer.content_type)


@dataclass(frozen=True)
class TooManyRequests(Effect):
    """429. Retry-After in seconds, as an HTTP date (by the server's clock), or not at all (seconds None)."""

    seconds: int | None = 1
    as_date: bool = False

    def instead(self, call: Call, now: datetime) -> Answer:  # noqa: ARG002
        headers = {}
        if self.seconds is not None:
            date = format_datetime(now + timedelta(seconds=self.seconds), usegmt=True)
            headers["Retry-After"] = date if self.as_date else str(self.seconds)
        return error(429, "The number of requests is over the limit.", headers=headers)


@dataclass(frozen=True)
class Redirect(Effect):
    """Sends the client elsewhere, where its token must not go."""

    location: str
    status: int = 302

    def instead(self, call: Call, now: datetime) -> Answer:  # noqa: ARG002
        return Answer(self.status, headers={"Location": self.location})


@dataclass(frozen=True)
class Drop(Effect):
    """The connection is reset before any answer."""

    def instead(self, call: Call, now: datetime) -> Answer:  # noqa: ARG002
        return Answer(0, drop=True)


@dataclass(frozen=True)
class Garbage(Effect):
    """A 200 whose body is something else than the JSON that was asked for."""

    body: bytes = b'{"value": [{"id": "half a rec'
    content_type: str = "application/json; charset=utf-8"
    status: int = 200

    def instead(self, call: Call, now: datetime) -> Answer:  # noqa: ARG002
        return Answer(self.status, (self.body,), self.content_type)


@dataclass(frozen=True)
class NoValue(Effect):
    """A 200 whose JSON has no `value`."""

    body: bytes = (
        b'{"@odata.context": "https://api.securitycenter.microsoft.com/api/$metadata#MachineActions"}'
    )

    def instead(self, call: Call, now: datetime) -> Answer:  # noqa: ARG002
        return Answer(200, (self.body,))


@dataclass(frozen=True)
class CutOff(Effect):
    """A 200 that breaks off: after so many bytes of the body, or in its middle."""

    after_bytes: int | None = None

    def after(self, answer: Answer) -> Answer:
        length = len(answer.body) // 2 if self.after_bytes is None else self.after_bytes
        return replace(answer, cut_after=length)


@dataclass(frozen=True)
class WrongContentType(Effect):
    """The true body under another content type."""

    content_type: str = "text/html"

    def after(self, answer: Answer) -> Answer:
        return replace(answer, content_type=self.content_type)


class Slow(Effect):
    """The answer comes late (by the wall clock), or stalls in its middle; `until` ends the wait sooner."""

    def __init__(self, seconds: float, until: threading.Event | None = None, *, midway: bool = False) -> None:
        self._pause = Pause(seconds, until)
        self._midway = midway
        self.wait = None if midway else self._pause

    def after(self, answer: Answer) -> Answer:
        return replace(answer, pause=self._pause) if self._midway else answer


class ExpireTokens(Effect):
    """All tokens issued until now are refused, this request's too."""

    revokes_tokens = True


@dataclass(frozen=True)
class RunFirst(Effect):
    """Runs a callback before the request is looked at."""

    run: Callable[[], object]

    def before(self) -> None:
        self.run()


@dataclass(frozen=True)
class PageCap(Effect):
    """The server's own page size, below the `$top` asked for."""

    rows: int

    def query(self, query: ListQuery) -> ListQuery:
        return replace(query, top=self.rows if query.top is None else min(query.top, self.rows))


@dataclass(frozen=True)
class IgnoreSkip(Effect):
    """`$skip` is as if it were not there."""

    def query(self, query: ListQuery) -> ListQuery:
        return replace(query, skip=0)


class Shuffle(Effect):
    """Each request that it meets sees the rows in another order."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - an order, not a secret

    def order(self, rows: Sequence[Row]) -> Sequence[Row]:
        return self._rng.sample(rows, len(rows))


@dataclass(frozen=True)
class NextLink(Effect):
    """An `@odata.nextLink` that nobody should follow."""

    url: str = "https://attacker.example/api/machineactions?$skip=10000"

    def page(self, page: Page) -> Page:
        return replace(page, envelope={**page.envelope, "@odata.nextLink": self.url})


@dataclass(frozen=True)
class Inject(Effect):
    """Sets properties in every `every`-th record of the page: unknown fields, enum values."""

    fields: Mapping[str, Any]
    every: int = 1

    def page(self, page: Page) -> Page:
        rows = [
            self._changed(raw) if number % self.every == 0 else raw for number, raw in enumerate(page.rows)
        ]
        return replace(page, rows=rows)

    def _changed(self, raw: bytes) -> bytes:
        return msgspec.json.encode({**msgspec.json.decode(raw), **self.fields})
