"""What goes over the wire: status, headers, a body in pieces, and the ways in which sending may break off.

Owns the shapes of answers and their sending. Never decides which answer a request deserves.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.types import Receive, Scope, Send

JSON = "application/json; charset=utf-8"
STREAMED_JSON = "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"
# The service names a host in its context that is not the one called.
CONTEXT = "https://api-us3.securitycenter.microsoft.com/api/$metadata#"
ENTITY_SETS = {"machineactions": "MachineActions", "investigations": "Investigations"}

_ROWS_PER_CHUNK = 250
_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    410: "Gone",
    429: "TooManyRequests",
    500: "InternalServerError",
}
_FRONT_DOOR = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}


@dataclass(frozen=True)
class Pause:
    """A wait on the wall clock, until `seconds` are over or `until` is set."""

    seconds: float
    until: threading.Event | None = None

    async def wait(self, closing: threading.Event) -> None:
        """Waits; the end of the simulator ends it too."""
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline and not closing.is_set():
            if self.until is not None and self.until.is_set():
                return
            await asyncio.sleep(min(0.01, max(deadline - time.monotonic(), 0)))


@dataclass(frozen=True)
class Answer:
    """An answer to send. More than one chunk, or `cut_after`, means no Content-Length.

    `cut_after`: the connection is closed after so many bytes of the body. `drop`: it is reset before any.
    """

    status: int
    chunks: Sequence[bytes] = (b"",)
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    streamed: bool = False
    cut_after: int | None = None
    pause: Pause | None = None
    drop: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


@dataclass(frozen=True)
class Page:
    """The rows of a list answer as JSON texts, and what else its envelope says."""

    resource: str
    rows: Sequence[bytes]
    envelope: Mapping[str, Any] = field(default_factory=dict)

    def answer(self) -> Answer:
        head = {"@odata.context": CONTEXT + ENTITY_SETS[self.resource], **self.envelope}
        chunks = [json.dumps(head)[:-1].encode() + b', "value": [']
        for start in range(0, len(self.rows), _ROWS_PER_CHUNK):
            comma = b"," if start else b""
            chunks.append(comma + b",".join(self.rows[start : start + _ROWS_PER_CHUNK]))
        return Answer(200, (*chunks, b"]}"), STREAMED_JSON, rows=len(self.rows), streamed=True)


def from_json(body: Any, status: int = 200) -> Answer:
    return Answer(status, (json.dumps(body).encode(),))


def entity(resource: str, raw: bytes) -> Answer:
    """One record: the context goes before the record's own properties."""
    context = json.dumps({"@odata.context": f"{CONTEXT}{ENTITY_SETS[resource]}/$entity"}).encode()
    body = context[:-1] + b"," + raw[1:] if raw.startswith(b"{") and raw != b"{}" else context
    return Answer(200, (body,), STREAMED_JSON, rows=1, streamed=True)


def error(
    status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """The service's error: code, message, and a correlation guid as target."""
    detail = {"code": code or _CODES.get(status, "Error"), "message": message, "target": str(uuid.uuid4())}
    return replace(from_json({"error": detail}, status), headers=headers or {})


def query_error(message: str) -> Answer:
    """How a query that cannot be read is refused: without a code (as recorded)."""
    text = f"The query specified in the URI is not valid. {message}"
    return from_json({"error": {"code": "", "message": text, "details": []}}, 400)


def front_door(status: int) -> Answer:
    """502 to 504 come from before the service, as HTML."""
    text = f"<html><head><title>{status} {_FRONT_DOOR[status]}</title></head><body></body></html>"
    return Answer(status, (text.encode(),), "text/html")


def plain_status(status: int, message: str | None = None) -> Answer:
    """An answer of a status, in the form in which that status comes."""
    if status in _FRONT_DOOR and message is None:
        return front_door(status)
    return error(status, message or f"The simulator was told to answer {status}.")


class Wire:
    """An ASGI response that sends an `Answer`, whole or broken."""

    def __init__(self, answer: Answer, date: str, closing: threading.Event) -> None:
        self.answer = answer
        self._date = date
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        answer = self.answer
        if answer.drop:
            await _abort(receive)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": self._headers()})
        left = answer.cut_after
        for number, chunk in enumerate(answer.chunks):
            if number == len(answer.chunks) // 2 and answer.pause is not None:
                await answer.pause.wait(self._closing)
            piece = chunk if left is None else chunk[:left]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    await _close(receive)
                    return
        if answer.cut_after is not None:
            await _close(receive)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _headers(self) -> list[tuple[bytes, bytes]]:
        answer = self.answer
        headers = {"date": self._date, "content-type": answer.content_type, **answer.headers}
        if answer.streamed:
            headers["odata-version"] = "4.0"
        elif answer.cut_after is None:
            headers["content-length"] = str(sum(len(chunk) for chunk in answer.chunks))
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _transport(receive: Receive) -> asyncio.Transport:
    """The connection under uvicorn's request cycle, whose bound method `receive` is."""
    transport: asyncio.Transport = receive.__self__.transport  # type: ignore[attr-defined]
    return transport


async def _abort(receive: Receive) -> None:
    _transport(receive).abort()
    await _until_gone(receive)


async def _close(receive: Receive) -> None:
    """Lets what was written go out, then ends the connection without the last chunk."""
    _transport(receive).close()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
