"""Serves pre-built rows as the API does, without limits: a token endpoint, and lists by time range or id.

A page is one slice of a file, so the server costs next to nothing beside those that are measured.
`/control` sets the latency and the state of the rows, and tells the calls since it was last asked.
"""

import json
import re
import sys
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.rows import COMMA, RESOURCES, TIME_FIELD, Rows, RowState
from simulator.authority import server_context, write_ca_bundle

MOST_ROWS = 10_000
TOKEN = "benchmark"
_WINDOW = re.compile(r"(\w+) ge (\S+) and (\w+) lt (\S+)")
_ID = re.compile(r"id eq '([^']*)'")


class State:
    """What the handlers share."""

    def __init__(self, folder: Path) -> None:
        self.rows = {resource: Rows(folder, resource) for resource in RESOURCES}
        self.latency_seconds = 0.0
        self.calls = 0
        self.rows_sent = 0
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # Or the small last piece of an answer waits 40 ms for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    state: State

    def setup(self) -> None:
        """The handshake, in the connection's own thread."""
        self.request.do_handshake()
        super().setup()

    def log_message(self, *args: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        """The token endpoint."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._send_json({"token_type": "Bearer", "expires_in": 3600, "access_token": TOKEN})

    def do_GET(self) -> None:
        """Sign-in's discovery, the lists, and the control of the benchmark."""
        parts = urlsplit(self.path)
        params = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/api/"):
            self._send_list(parts.path.removeprefix("/api/"), params)
        elif parts.path == "/control":
            self._send_json(self._control(params))
        else:
            base = self.state.url + parts.path.split("/v2.0")[0]
            self._send_json(
                {
                    "token_endpoint": f"{base}/oauth2/v2.0/token",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                    "issuer": f"{base}/v2.0",
                }
            )

    def _control(self, params: dict[str, str]) -> dict[str, Any]:
        state = self.state
        told = {"calls": state.calls, "rows_sent": state.rows_sent}
        state.calls = state.rows_sent = 0
        state.latency_seconds = float(params.get("latency", 0))
        for rows in state.rows.values():
            rows.state = RowState(params.get("state", RowState.AS_MADE))
        return told

    def _send_list(self, resource: str, params: dict[str, str]) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send([b'{"error":{"code":"Unauthorized","message":"no token"}}'], 401)
            return
        state = self.state
        state.calls += 1
        pieces, count = self._page(resource, params)
        state.rows_sent += count
        if state.latency_seconds:
            time.sleep(state.latency_seconds)
        self._send([b'{"@odata.context":"' + resource.encode() + b'","value":[', *pieces, b"]}"])

    def _page(self, resource: str, params: dict[str, str]) -> tuple[list[Any], int]:
        rows = self.state.rows[resource]
        skip, top = int(params.get("$skip", 0)), min(int(params.get("$top", MOST_ROWS)), MOST_ROWS)
        wanted = params.get("$filter", "")
        window = _WINDOW.fullmatch(wanted)
        if window:
            places = rows.between(window[2], window[4])
        elif wanted == f"{TIME_FIELD[resource]} eq null":
            places = rows.without_time()
        elif wanted:
            found = [place for id in _ID.findall(wanted) if (place := rows.place_of(id)) is not None]
            pieces = [piece for place in found for piece in (*rows.pieces(place, place + 1), COMMA)]
            return pieces[:-1], len(found)
        else:
            places = range(len(rows))
        page = places[skip : skip + top]
        return rows.pieces(page.start, page.stop) if page else [], len(page)

    def _send_json(self, content: dict[str, Any]) -> None:
        self._send([json.dumps(content).encode()])

    def _send(self, pieces: list[Any], status: int = 200) -> None:
        length = sum(len(piece) for piece in pieces)
        head = (
            f"HTTP/1.1 {status} OK\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Date: {formatdate(usegmt=True)}\r\nContent-Length: {length}\r\n\r\n"
        )
        self.wfile.write(head.encode())
        for piece in pieces:
            self.wfile.write(piece)


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Serve the rows of a folder until standard input ends; the first line printed tells where."""
    folder = Path(sys.argv[1])
    Handler.state = State(folder)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = server_context().wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    bundle = folder / "ca.pem"
    write_ca_bundle(bundle)
    Handler.state.url = f"https://127.0.0.1:{server.server_address[1]}"
    sys.stdout.write(json.dumps({"url": Handler.state.url, "ca_bundle": str(bundle)}) + "\n")
    sys.stdout.flush()
    import threading

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
