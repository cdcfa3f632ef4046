"""A little forward proxy on loopback: it takes CONNECT for any host, and leads all of them to one server."""

from __future__ import annotations

import contextlib
import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class _Handler(socketserver.StreamRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        method, target, _version = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(f"{method} {target}")
        with socket.create_connection(self.server.target, timeout=10) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._relay(upstream)

    def _relay(self, upstream: socket.socket) -> None:
        ways = {self.connection: upstream, upstream: self.connection}
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            for end in ways:
                selector.register(end, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select(timeout=10):
                    end: socket.socket = key.fileobj  # type: ignore[assignment]
                    data = end.recv(65_536)
                    if not data:
                        return
                    ways[end].sendall(data)


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def proxy_to(server_url: str) -> Iterator[_Proxy]:
    """A proxy behind which every host is `server_url`'s; `asked` has the requests."""
    parts = urlsplit(server_url)
    with _Proxy((parts.hostname or "", parts.port or 443)) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
