"""A webhook's receiver on loopback: keeps what it was sent, and answers as it is told."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

# The part of the address that nobody may show.
SECRET_PATH = "/hooks/T0/s3cr3t-of-the-webhook"


class Receiver(http.server.ThreadingHTTPServer):
    """`messages` has what was taken, `tries` counts all requests.

    `status`, `headers` and `delay_seconds` are how it answers.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[dict[str, Any]] = []
        self.tries = 0
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.status = 200
        self.headers: list[tuple[str, str]] = []
        self.delay_seconds = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{SECRET_PATH}"

    def take(self) -> list[dict[str, Any]]:
        """What came since the last time."""
        taken, self.messages = self.messages, []
        return taken

    def changes(self) -> list[tuple[str | None, str]]:
        """From and to of the machine actions' messages since the last time."""
        return [
            (message["from"], message["to"])
            for message in self.take()
            if message["resource"] == "machine_actions"
        ]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tries += 1
        self.server.paths.append(self.path)
        self.server.bodies.append(body + str(self.headers).encode())
        status, headers = self.server.status, self.server.headers
        time.sleep(self.server.delay_seconds)
        if 200 <= status < 300:
            self.server.messages.append(json.loads(body))
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

    def do_GET(self) -> None:
        self.server.tries += 1
        self.server.paths.append(self.path)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, at work."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()
