"""The commands of docs/data-care.md that copy a warehouse and bring it back, run as they are written."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
from support.records import action, ago, investigation

from pipelines.data_dir import DataDir

DOCUMENT = (Path(__file__).parents[2] / "docs" / "data-care.md").read_text()
pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="flock is util-linux's")


def commands() -> tuple[str, str]:
    """Those that copy, and those that bring back."""
    section = DOCUMENT.split("## Backup")[1].split("\n## ")[0]
    copy, restore = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return copy, restore


def run(stage, script):
    """In the folder that holds `data`."""
    subprocess.run(["sh", "-ec", script], cwd=stage.data_dir.parent, check=True)


@pytest.fixture
def stage(open_stage, world):
    """A stage that was synced, with open rows and finished ones."""
    world.put_action(action("open", ago(days=3), status="Pending"))
    world.put_action(action("done", ago(days=20)))
    world.put_investigation(investigation("1", ago(days=2), state="Running"))
    stage = open_stage(world)
    stage.sync().assert_ok()
    return stage


def move_on(stage):
    """What happens after the copy was made: rows are new, finished, changed in silence, and synced."""
    stage.clock.advance(hours=30)
    stage.world.put_action(action("new", stage.clock()))
    stage.world.change("open", status="Succeeded")
    stage.world.change("done", title="changed in silence")
    stage.world.change("1", state="Benign")
    stage.clock.advance(hours=1)
    stage.sync().assert_ok()


def test_what_is_copied_and_brought_back_is_in_step_after_the_next_sync(stage):
    copy, restore = commands()
    rows = stage.warehouse().table("machine_actions")
    run(stage, copy)
    move_on(stage)
    (stage.data_dir / "warehouse.duckdb.wal").write_bytes(b"of the newer database")
    run(stage, restore)
    assert not (stage.data_dir / "warehouse.duckdb.wal").exists(), "it belongs to the newer database"
    assert stage.warehouse().table("machine_actions") == rows
    stage.clock.advance(hours=1)
    stage.sync().assert_ok()
    stage.assert_in_step()


def test_what_only_the_second_file_holds_is_copied_too(stage):
    copy, restore = commands()
    path = stage.data_dir / "warehouse.duckdb"
    connection = duckdb.connect(str(path))
    connection.execute("pragma disable_checkpoint_on_shutdown")
    connection.execute("update defender.machine_actions set title = 'last'")
    connection.close()
    assert path.with_name("warehouse.duckdb.wal").exists()
    run(stage, copy)
    path.unlink()
    path.with_name("warehouse.duckdb.wal").unlink()
    run(stage, restore)
    assert {row["title"] for row in stage.warehouse().table("machine_actions")} == {"last"}


def test_the_copy_and_a_sync_keep_each_other_out(stage):
    lock = stage.data_dir / "lock"
    ask = ["flock", "--nonblock", str(lock), "true"]
    with DataDir(stage.data_dir).locked():
        assert subprocess.run(ask, check=False).returncode == 1
    assert subprocess.run(ask, check=False).returncode == 0
