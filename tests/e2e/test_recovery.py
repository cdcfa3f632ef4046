"""What was lost or set back on our side: the next sync closes every gap, as the database is the authority."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from support.records import action, ago, investigation, iso

from simulator import ScriptedWorld, Status


def busy_days(stage, world, days: int = 1) -> None:
    """Births, changes and ends, with a sync each day."""
    for day in range(days):
        now = stage.clock.advance(days=1)
        world.put_action(action(f"born{day}", now - timedelta(hours=5), status="Pending"))
        world.put_action(action(f"done{day}", now - timedelta(hours=6)))
        world.put_investigation(investigation(f"{day}", now - timedelta(hours=5), state="Running"))
        world.change(f"open{day}", status="Succeeded", lastUpdateDateTimeUtc=iso(now))
        stage.sync().assert_ok()


@pytest.fixture
def world() -> ScriptedWorld:
    return ScriptedWorld(
        [action(f"open{n}", ago(days=n + 1), status="Pending") for n in range(3)],
        [investigation("old", ago(days=9), state="Running")],
    )


def test_a_database_restored_from_an_older_copy_is_brought_up_to_date(open_stage, world, tmp_path):
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    copy = shutil.copy(stage.data_dir / "warehouse.duckdb", tmp_path / "copy.duckdb")
    busy_days(stage, world, 2)
    shutil.copy(copy, stage.data_dir / "warehouse.duckdb")
    assert len(stage.loaded("machine_actions")) == 3
    stage.clock.advance(minutes=10)
    stage.sync().assert_ok()
    stage.assert_in_step()


def test_a_database_that_was_deleted_is_built_again(open_stage, world):
    stage = open_stage(world)
    busy_days(stage, world)
    (stage.data_dir / "warehouse.duckdb").unlink()
    stage.sync().assert_ok()
    stage.assert_in_step()


def test_working_files_that_were_deleted_are_not_missed(open_stage, world):
    stage = open_stage(world, scrub_calls=0)
    busy_days(stage, world)
    for name in ("dlt", "quota.sqlite", "status.json", "snapshots"):
        path = stage.data_dir / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    stage.clock.advance(days=1)
    world.put_action(action("after", stage.clock() - timedelta(hours=2)))
    stage.sync().assert_ok()
    stage.assert_in_step()


def test_working_files_of_another_run_do_no_harm(open_stage, world):
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    strange = stage.data_dir / "dlt" / "defender_contoso"
    (strange / "normalize" / "1").mkdir(parents=True)
    (strange / "load" / "new" / "1700000000.5").mkdir(parents=True)
    (strange / "state.json").write_text("{ no json")
    stage.clock.advance(days=1)
    world.put_action(action("after", stage.clock() - timedelta(hours=2)))
    stage.sync().assert_ok()
    assert "after" in stage.loaded("machine_actions")
    stage.assert_in_step()


def test_all_files_of_two_tenants_deleted_are_built_again_for_both(open_stage):
    worlds = {
        name: ScriptedWorld(
            [action(f"{name}{n}", ago(days=n + 1), status="Pending") for n in range(3)],
            [investigation("1", ago(days=2), state="Running")],
        )
        for name in ("contoso", "fabrikam")
    }
    stage = open_stage(worlds)
    stage.sync().assert_ok()
    shutil.rmtree(stage.data_dir)
    stage.clock.advance(hours=7)
    stage.sync().assert_ok()
    assert len(stage.loaded("machine_actions", "fabrikam")) == 3
    stage.assert_in_step(again=False)


def test_rows_that_were_deleted_from_the_database_are_read_again_by_the_scrub(open_stage, world):
    world.put_action(action("settled", ago(days=60)))
    stage = open_stage(world)
    stage.sync().assert_ok()
    stage.warehouse().execute("delete from defender.machine_actions where id = 'settled'")
    stage.sync().assert_ok()
    assert "settled" in stage.loaded("machine_actions")


def test_versions_that_a_killed_run_left_out_are_made_by_the_next(open_stage, world):
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    # Loaded by dlt, and then the process died before it committed versions and watermark.
    stage.clock.advance(minutes=5)
    stage.warehouse().execute(
        "update defender.machine_actions set status = 'InProgress', "
        f"synced_at = '{stage.clock().isoformat()}' where id = 'open1'"
    )
    world.change("open1", status="Succeeded")
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    assert stage.versions("machine_actions", "open1", "status") == [
        ("Pending",),
        ("InProgress",),
        ("Succeeded",),
    ]
    stage.assert_in_step()


def test_a_run_that_fails_in_a_later_window_keeps_the_watermark_at_what_was_loaded(open_stage):
    world = ScriptedWorld(action(f"a{n}", ago(days=n)) for n in range(1, 175))
    stage = open_stage(world, scrub_calls=0)
    rule = stage.sim.faults.add(Status(503), nth=3, times=None)
    done = stage.sync(resources=("machine_actions",))
    assert rule.fired > 0
    assert done.exit_code == 4
    watermark = stage.watermark()
    assert ago(days=176) < watermark < ago(days=100)
    loaded = stage.loaded("machine_actions")
    created = "creation_date_time_utc"
    assert loaded.keys() == {
        id for id, row in stage.truth("machine_actions").items() if row[created] < watermark
    }
    [run] = stage.warehouse().rows("from defender.sync_runs where resource = 'machine_actions'")
    assert (run["status"], run["window_end"]) == ("failed", watermark)

    stage.sim.faults.clear()
    stage.clock.advance(minutes=10)
    done = stage.sync().assert_ok()
    assert done.run().window_start == watermark - timedelta(hours=1), "it goes on where it was"
    stage.assert_in_step()
