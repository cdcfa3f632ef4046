"""kill -9 at any moment: the next sync, with no hand laid on, brings all in step; what is published is whole."""

from __future__ import annotations

import os
import random
import shutil
import time
from contextlib import ExitStack
from datetime import timedelta

import pytest
from crash import POINTS, RENEWAL_POINTS
from support.published import assert_published_equals_warehouse
from support.records import action, ago, investigation, iso
from support.stage import Stages
from support.truth import VERSIONS

from simulator import ScriptedWorld

RANDOM_KILLS = int(os.environ.get("RANDOM_KILLS", "20"))
SIGKILL = -9


def populate(world):
    """Rows over half a year, some of them open."""
    for number in range(60):
        status = "Pending" if number % 7 == 0 else "Succeeded"
        world.put_action(action(f"a{number}", ago(days=170 - number * 2.8), status=status))
        world.put_investigation(investigation(f"{number}", ago(days=170 - number * 2.8)))


def turn(world, stage, number):
    """What happens between two syncs: new rows, changed ones, a bad record."""
    stage.clock.advance(minutes=30)
    now = stage.clock.now()
    for each in range(3):
        world.put_action(action(f"n{number}-{each}", now - timedelta(minutes=each + 1), status="InProgress"))
        world.put_investigation(
            investigation(f"{number}00{each}", now - timedelta(minutes=each + 1), state="Running")
        )
    world.change("a0", status=["Pending", "InProgress"][number % 2], lastUpdateDateTimeUtc=iso(now))
    if number <= 8:
        # One that was open ends; a row that changes after its end is the scrub's to find, not at once.
        world.change(f"a{7 * number}", status="Failed", lastUpdateDateTimeUtc=iso(now))
    world.put_raw("machineactions", f'{{"id": "bad{number}"}}', filed_at=now - timedelta(minutes=5))


def assert_published_is_whole(stage):
    """It opens, and its marts, versions and parquet files are those of one moment."""
    published = stage.published()
    rows = published.one("select count(*) from main.machine_actions")
    assert rows == published.one("select count(*) from marts.machine_actions") > 0
    assert rows == published.one("select count(distinct id) from main.machine_action_versions")
    parquet = stage.data_dir / "published" / "parquet" / "machine_actions.parquet"
    assert rows == published.one(f"select count(*) from '{parquet}'")
    return rows


def ids(stage):
    """What the warehouse holds."""
    return {(resource, id) for resource in VERSIONS for id in stage.loaded(resource)}


@pytest.fixture(scope="session")
def synced(template, crash, tmp_path_factory):
    """A data directory after a first sync of the rows of `populate`, published."""
    world = ScriptedWorld()
    populate(world)
    with ExitStack() as stack:
        stage = Stages(tmp_path_factory.mktemp("synced"), stack, template)(
            world, publishes=True, page_size=25
        )
        assert crash.run(stage) == 0
        assert_published_is_whole(stage)
        yield stage.data_dir


def assert_heals(stage):
    """The next sync ends 0 and all is in step, published too."""
    stage.sync().assert_ok()
    stage.assert_in_step(again=False)
    assert assert_published_is_whole(stage) == len(stage.loaded("machine_actions"))
    snapshots = {path.name for path in (stage.data_dir / "snapshots").iterdir()}
    assert 1 <= len(snapshots) <= 2, snapshots
    assert not [name for name in snapshots if name.endswith(".partial")]


@pytest.mark.parametrize("point", POINTS)
def test_a_sync_killed_at_a_named_point_is_healed_by_the_next(open_stage, world, crash, synced, point):
    populate(world)
    stage = open_stage(world, publishes=True, page_size=25)
    shutil.rmtree(stage.data_dir)
    shutil.copytree(synced, stage.data_dir, symlinks=True)
    assert_published_is_whole(stage)
    turn(world, stage, 1)
    before = ids(stage)
    assert crash.run(stage, point=point) == SIGKILL
    assert before <= ids(stage), "a row that was there is lost until it is read again"
    assert_published_is_whole(stage)
    stage.clock.advance(minutes=10)
    assert_heals(stage)


@pytest.mark.parametrize("point", RENEWAL_POINTS)
def test_a_sync_killed_while_a_snapshot_is_renewed_is_healed_by_the_next(open_stage, world, crash, point):
    for number in range(60):
        world.put_action(action(f"a{number}", ago(days=1), machineId=f"m{number}"))
    stage = open_stage(world, publishes=True)
    assert crash.run(stage) == 0
    stage.clock.advance(minutes=30)
    world.change("a0", status="Failed")
    assert crash.run(stage, point=point) == SIGKILL
    assert_published_is_whole(stage)
    stage.clock.advance(minutes=10)
    assert_heals(stage)
    assert_published_equals_warehouse(stage)


@pytest.mark.parametrize("point", ["in load", "after load", "between merge and watermark", "before views"])
def test_a_first_sync_killed_at_a_named_point_is_healed_by_the_next(open_stage, world, crash, point):
    populate(world)
    stage = open_stage(world, publishes=True, page_size=25, fresh=True)
    assert crash.run(stage, point=point) == SIGKILL
    assert_heals(stage)


def test_a_first_load_that_was_killed_goes_on_from_its_last_committed_chunk(open_stage, world, crash):
    populate(world)
    whole = open_stage(world, page_size=5, scrub_calls=0, resources=("machine_actions",))
    calls = len(whole.sync().assert_ok().calls())
    stage = open_stage(world, page_size=5, scrub_calls=0, resources=("machine_actions",))
    assert crash.run(stage, point="between chunks", gathered_rows=0) == SIGKILL
    committed = stage.watermark()
    kept = stage.loaded("machine_actions")
    assert committed is not None
    assert 0 < len(kept) < len(stage.truth("machine_actions"))
    done = stage.sync().assert_ok()
    first = done.calls()[0].params["$filter"]
    assert f"ge {committed - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}" in first
    assert len(done.calls()) < calls
    assert done.run().rows_new == len(stage.truth("machine_actions")) - len(kept)
    stage.assert_in_step(["machine_actions"])


def test_a_killed_run_stays_in_the_run_log_as_stopped(open_stage, world, crash):
    populate(world)
    stage = open_stage(world)
    assert crash.run(stage, point="between merge and watermark") == SIGKILL
    [run] = stage.warehouse().rows("from defender.sync_runs")
    assert (run["status"], run["finished_at"]) == ("stopped", None)


def test_a_killed_first_load_still_tells_since_when_all_is_known(open_stage, world, crash):
    populate(world)
    stage = open_stage(world, publishes=True, page_size=5, scrub_calls=0)
    assert crash.run(stage, point="between chunks", gathered_rows=0) == SIGKILL
    begun = stage.warehouse().one("select min(started_at) from defender.sync_runs")
    stage.clock.advance(days=1)
    stage.sync().assert_ok()
    known_since = stage.published().one(
        "select known_since from marts.sync_freshness where resource = 'machine_actions'"
    )
    assert known_since == begun - timedelta(days=180)


def test_syncs_killed_at_random_moments_lose_nothing(open_stage, world, crash):
    populate(world)
    stage = open_stage(world, publishes=True, page_size=25)
    turn(world, stage, 1_000)
    begun = time.monotonic()
    assert crash.run(stage) == 0
    longest = time.monotonic() - begun
    rng = random.Random(int(os.environ.get("KILL_SEED", "1")))  # noqa: S311
    killed = number = 0
    while killed < RANDOM_KILLS:
        number += 1
        turn(world, stage, number)
        before = ids(stage)
        status = crash.run(stage, after_seconds=rng.uniform(0.0, longest))
        assert status in (0, SIGKILL), f"run {number}"
        assert before <= ids(stage), f"run {number} lost a row"
        if status == SIGKILL:
            killed += 1
        else:
            # It ended before it was killed: a run takes less by now.
            longest *= 0.85
        assert_published_is_whole(stage)
        if number % 3 == 0:
            stage.clock.advance(minutes=1)
            assert_heals(stage)
    assert_heals(stage)
    stage.assert_in_step()
