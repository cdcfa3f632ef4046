"""Fixtures of the fault tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from crash import Crasher, crasher


@pytest.fixture(scope="session")
def crash() -> Iterator[Crasher]:
    """Runs syncs that are killed."""
    with crasher() as process:
        yield process
