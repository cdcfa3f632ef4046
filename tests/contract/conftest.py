"""A simulator and a plain HTTP client for it: the contract is what goes over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from simulator import ManualClock, ScriptedWorld, Simulator
from simulator.rows import AnyWorld

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SCOPE = "https://api.securitycenter.microsoft.com/.default"


class Caller:
    """Asks one simulator, with a good token unless told otherwise."""

    def __init__(self, sim: Simulator, clock: ManualClock) -> None:
        self.sim = sim
        self.clock = clock
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str, token: str | None = None, **params: Any) -> requests.Response:
        """GET {path}; `top=1` is sent as `$top=1`; an empty token sends no Authorization."""
        token = self.sim.issue_token() if token is None else token
        return self.session.get(
            self.sim.url + path,
            params={f"${name}": value for name, value in params.items()},
            headers={"Authorization": f"Bearer {token}"} if token else {},
            verify=self.sim.ca_bundle,
            timeout=10,
            allow_redirects=False,
        )

    def actions(self, **params: Any) -> list[dict[str, Any]]:
        """The rows of a list of machine actions that must be answered with 200."""
        return self._rows("/api/machineactions", params)

    def investigations(self, **params: Any) -> list[dict[str, Any]]:
        return self._rows("/api/investigations", params)

    def ask_token(self, tenant_id: str | None = None, **changed: str) -> requests.Response:
        """A token request by client credentials; `changed` replaces form fields."""
        sim = self.sim
        form = {
            "grant_type": "client_credentials",
            "client_id": sim.client_id,
            "client_secret": sim.client_secret,
            "scope": SCOPE,
        }
        url = f"{sim.url}/{tenant_id or sim.tenant_id}/oauth2/v2.0/token"
        return self.session.post(url, data={**form, **changed}, verify=sim.ca_bundle, timeout=10)

    def _rows(self, path: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.get(path, **params)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["value"]
        return rows


Serve = Callable[..., Caller]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a simulator of a world, on a clock that stands at START, and returns its caller."""
    with ExitStack() as stack:

        def start(world: AnyWorld | None = None, **options: Any) -> Caller:
            clock = options.pop("clock", None) or ManualClock(START)
            sim = stack.enter_context(Simulator(world or ScriptedWorld(), clock=clock, **options))
            caller = Caller(sim, clock)
            stack.callback(caller.session.close)
            return caller

        yield start


@pytest.fixture
def action() -> Callable[..., dict[str, Any]]:
    """Makes a machine action: `action("a1", minutes=5)` was created and updated 5 minutes before START."""

    def make(id: str, minutes: float = 0, **fields: Any) -> dict[str, Any]:
        moment = (START - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        record = {
            "id": id,
            "type": "Isolate",
            "requestor": "Analyst@contoso.com",
            "status": "Pending",
            "machineId": "f46b9bb259ed4a7fb9981b73510e3cc7aa81ec1f",
            "creationDateTimeUtc": moment,
            "lastUpdateDateTimeUtc": moment,
        }
        return {**record, **fields}

    return make
