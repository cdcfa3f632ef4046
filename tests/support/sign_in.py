"""A simulator by the machine's own clock, as MSAL reads no other, and tenants that sign in to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from pipelines.auth import token_provider
from pipelines.clock import Clock
from pipelines.settings import TenantSettings
from simulator import ScriptedWorld, Simulator

SCOPE = "https://api.securitycenter.microsoft.com/.default"


class SignInStage:
    """A simulator whose one tenant is contoso. Nothing sleeps: `waits` has what was asked."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.tenant = sim.tenants[0]
        self.waits: list[float] = []
        self.clock = Clock(wait=self.waits.append, jitter=lambda: 0.5)

    def settings(self, auth: str, **keys: Any) -> TenantSettings:
        """[tenants.contoso] with this way to sign in."""
        values = {
            "name": "contoso",
            "tenant_id": self.sim.tenant_id,
            "client_id": self.sim.client_id,
            "api_url": self.sim.url,
            "login_url": self.sim.url,
            "scope": SCOPE,
            "ca_bundle": self.sim.ca_bundle,
        }
        return TenantSettings(**{**values, "auth": auth, **keys})

    def token(self, auth: str, **keys: Any) -> str:
        """A token, got in that way."""
        return token_provider(self.settings(auth, **keys), self.clock).token()

    def opens(self, token: str) -> list[int]:
        """The statuses of both lists with the token."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {token}"
            return [
                session.get(f"{self.sim.url}/api/{path}", verify=self.sim.ca_bundle, timeout=10).status_code
                for path in ("machineactions", "investigations")
            ]

    def asked(self, endpoint: str = "token") -> int:
        """How many requests the endpoint had."""
        return len(self.sim.requests.to(endpoint))


@pytest.fixture
def stage() -> Iterator[SignInStage]:
    with Simulator(ScriptedWorld()) as sim:
        yield SignInStage(sim)
