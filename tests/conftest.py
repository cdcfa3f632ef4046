"""Fixtures of every test folder: the stage on which a sync plays against the simulator."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.stage import Stage, Stages, empty_warehouse

from simulator import ScriptedWorld


def pytest_configure() -> None:
    """Ctrl-C as a terminal has it: started in the background of a script it is ignored, and so it would be by all
    that the tests start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait, for a browser or for a process to end."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse without a row, made once; stages begin with a copy."""
    return empty_warehouse(tmp_path_factory.mktemp("template") / "warehouse.duckdb")


@pytest.fixture
def open_stage(tmp_path: Path, template: Path) -> Iterator[Stages]:
    """Opens a stage: `open_stage(world)`, `open_stage({"contoso": a, "fabrikam": b}, page_size=3)`."""
    with ExitStack() as stack:
        yield Stages(tmp_path, stack, template)


@pytest.fixture
def world() -> ScriptedWorld:
    """An empty world to be stated by hand; `stage` plays in it."""
    return ScriptedWorld()


@pytest.fixture
def stage(open_stage: Stages, world: ScriptedWorld) -> Stage:
    """A stage with one tenant, contoso, in `world`."""
    return open_stage(world)
