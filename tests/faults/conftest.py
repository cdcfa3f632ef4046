"""Fixtures of the fault tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.program import Program, program
from support.records import action, investigation

from simulator import ScriptedWorld, Simulator

sys.path.insert(0, str(Path(__file__).parent))

from crash import Crasher, crasher

__all__ = ["program"]


@pytest.fixture(scope="session")
def crash() -> Iterator[Crasher]:
    """Runs syncs that are killed."""
    with crasher() as process:
        yield process


@pytest.fixture
def real(program: Program) -> Iterator[Simulator]:
    """A simulator on the machine's own clock, and the program set up for it as for a real tenant."""
    now = datetime.now(UTC)
    world = ScriptedWorld(
        [action(f"a{n}", now - timedelta(days=1, minutes=n), status="Pending") for n in range(3)],
        [investigation("1", now - timedelta(days=1), state="Running")],
    )
    with Simulator(world) as sim:
        program.configure(
            '[sync]\ntenants = ["contoso"]\n[tenants.contoso]\n'
            f'tenant_id = "{sim.tenant_id}"\nclient_id = "{sim.client_id}"\n'
            f'api_url = "{sim.url}"\nlogin_url = "{sim.url}"\nca_bundle = "{sim.ca_bundle}"\n',
            f'[tenants.contoso]\nclient_secret = "{sim.client_secret}"\n',
        )
        yield sim
