"""The main road: what a sync reads, and what it leaves alone."""

from __future__ import annotations

from support.records import ago

from simulator import World


def test_a_first_sync_loads_all_that_the_api_shows(open_stage):
    stage = open_stage(World(seed=7, rows=300))
    done = stage.sync().assert_ok()
    assert done.run("machine_actions").rows_new == len(stage.truth("machine_actions")) > 250
    assert done.run("investigations").rows_new == len(stage.truth("investigations")) > 20
    stage.assert_in_step()
