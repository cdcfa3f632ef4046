from collections.abc import Iterator

import pytest
from worlds import World


@pytest.fixture(scope="session")
def one_world() -> Iterator[World]:
    world = World()
    yield world
    world.connection.close()


@pytest.fixture
def world(one_world: World) -> World:
    """An empty warehouse with all views, read in a time zone that nobody would guess."""
    one_world.clear()
    return one_world
