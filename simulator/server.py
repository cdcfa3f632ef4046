"""The simulator as a library: a server in a thread, over TLS on loopback.

Owns the socket, the thread and the directory of the CA file. What is answered is decided in `app`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import tempfile
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from simulator.app import Service
from simulator.authority import server_context, write_ca_bundle
from simulator.clock import Clock, system_clock
from simulator.faults import Faults, RequestLog
from simulator.issuer import Issuer
from simulator.limits import Limits, Throttle
from simulator.machine_identity import MachineIdentity
from simulator.people import People
from simulator.rows import AnyWorld
from simulator.tenants import Tenant
from simulator.tokens import TokenOffice

_START_SECONDS = 10
_STOP_SECONDS = 5


class Simulator:
    """`with Simulator(world) as sim:` serves `world` at `sim.url` until the block ends.

    An error inside the simulator, or in a test's callback, answers 500 and is raised when the block ends.

    world: a `World`, a `ScriptedWorld`, or anything that reads like them.
    clock: the simulator's time; `sim.now()` adds `faults.clock_offset` to it.
    port: 0 takes a free one.
    limits: None for no throttling; `Limits()` for the real numbers, by the simulator's clock.
    tenants: by default one; each may have a world of its own.
    lookup_lag_seconds: up to so long after its creation, a record is not found by its id (real: about 120).
    """

    def __init__(
        self,
        world: AnyWorld,
        *,
        clock: Clock = system_clock,
        port: int = 0,
        limits: Limits | None = None,
        tenants: Sequence[Tenant] | None = None,
        lookup_lag_seconds: int = 0,
    ) -> None:
        self.world = world
        self.clock = clock
        self.tenants = list(tenants) if tenants is not None else [Tenant()]
        self.faults = Faults()
        self.requests = RequestLog()
        self.throttle = Throttle(limits)
        by_id = {tenant.tenant_id: tenant for tenant in self.tenants}
        self.issuer = Issuer(self.now, lambda: f"{self.url}/issuer")
        self.tokens = TokenOffice(by_id, self.now, self.issuer)
        self.machine = MachineIdentity(self.tenants, self.tokens.issue_for_machine, self.now)
        self.faults.revoke_tokens = self.tokens.revoke_all
        self._closing = threading.Event()
        self._service = Service(
            world=world,
            tenants=by_id,
            tokens=self.tokens,
            issuer=self.issuer,
            machine=self.machine,
            throttle=self.throttle,
            faults=self.faults,
            requests=self.requests,
            now=self.now,
            closing=self._closing,
            lookup_lag_seconds=lookup_lag_seconds,
        )
        self._port = port
        self._stack = contextlib.ExitStack()
        self.url = ""
        self.ca_bundle = ""

    @property
    def people(self) -> People:
        """Those who sign in with a device code: `sim.people.approve(code)`."""
        return self.tokens.people

    @property
    def tenant_id(self) -> str:
        """The first tenant's; so too the client's id and secret."""
        return self.tenants[0].tenant_id

    @property
    def client_id(self) -> str:
        return self.tenants[0].client_id

    @property
    def client_secret(self) -> str:
        return self.tenants[0].client_secret

    def now(self) -> datetime:
        """The server's time."""
        return self.clock() + self.faults.clock_offset

    def issue_token(self, tenant: Tenant | None = None, **claims: Any) -> str:
        """A token without asking for one; `claims` replace or add to the usual ones."""
        return self.tokens.issue(tenant or self.tenants[0], **claims)

    def start(self) -> None:
        """Returns once requests are answered. Raises OSError when the port is taken."""
        self._closing.clear()
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="defender-simulator-"))
            bundle = Path(directory) / "ca.pem"
            write_ca_bundle(bundle)
            listener = stack.enter_context(_listen(self._port))
            self.url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            self.ca_bundle = str(bundle)
            server = _Server(self._service)
            thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
            thread.start()
            stack.callback(self._stop, server, thread)
            if not server.ready.wait(_START_SECONDS):
                raise RuntimeError("the simulator did not start")
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """Drops all connections and returns once the thread has ended."""
        self._stack.close()

    def _stop(self, server: _Server, thread: threading.Thread) -> None:
        self._closing.set()
        server.stop()
        thread.join(_STOP_SECONDS)

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        failures = [call.failure for call in self.requests if call.failure]
        if failures and kind is None:
            raise RuntimeError(f"the simulator failed inside, and answered 500:\n{failures[0]}")


class _Server(uvicorn.Server):
    """uvicorn, ready and stopped without its ticks of a tenth of a second."""

    def __init__(self, service: Service) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().__init__(
            uvicorn.Config(
                service.application(),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                date_header=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=60,
                ssl_context_factory=lambda _config, _default: server_context(),
            )
        )
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: asyncio.Event | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._asked = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        if self._asked is not None:
            await self._asked.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for _ in range(100):
            for connection in list(self.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0.002)
            if not self.server_state.connections and not self.server_state.tasks:
                break
        for server in self.servers:
            await server.wait_closed()

    def stop(self) -> None:
        if self._loop is not None and self._asked is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._asked.set)


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle's delay off only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener
