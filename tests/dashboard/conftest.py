"""The dashboard's tests: one published snapshot, made once, of two tenants; and an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hostile import hostile_world
from streamlit.testing.v1 import app_test
from support.stage import Stage, Stages
from support.warehouse import Reading

from simulator import World


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage: tenants contoso (a seeded world) and contoso_emea (stated by hand), synced twice."""
    now = datetime.now(UTC).replace(microsecond=0)
    with ExitStack() as stack:
        stages = Stages(tmp_path_factory.mktemp("dashboard"), stack)
        worlds = {"contoso": World(seed=7, rows=3_000), "contoso_emea": hostile_world(now)}
        stage = stages(worlds, fresh=True, publishes=True, start=now - timedelta(minutes=20))
        stage.sync().assert_ok()
        stage.clock.advance(minutes=19)
        stage.sync().assert_ok()
        yield stage


@pytest.fixture(scope="session")
def snapshot(played: Stage) -> Path:
    """The published folder of `played`."""
    return played.data_dir / "published"


@pytest.fixture(scope="session", autouse=True)
def tidy() -> Iterator[None]:
    """Remove the folder that AppTest makes when it is imported, which it leaves to the end of Python."""
    yield
    app_test.TMP_DIR.cleanup()


@pytest.fixture
def published(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> Reading:
    """The dashboard is told of `snapshot`; reads it for comparison."""
    monkeypatch.setenv("DASHBOARD_PUBLISHED", str(snapshot))
    return Reading(snapshot / "defender.duckdb")
