"""A snapshot that needs more memory than a sync is given is written without that limit."""

from __future__ import annotations

import logging

import pipelines.sync
from pipelines.publish import publish
from simulator import World


def test_a_snapshot_that_needs_more_memory_than_the_limit_is_written_all_the_same(
    open_stage, monkeypatch, caplog
):
    def publish_in_little(warehouse, *args, **options):
        warehouse.connection.execute("set memory_limit = '10MB'")
        return publish(warehouse, *args, **options)

    stage = open_stage(World(seed=3, rows=3_000), publishes=True)
    monkeypatch.setattr(pipelines.sync, "publish", publish_in_little)
    with caplog.at_level(logging.WARNING):
        stage.sync().assert_ok()
    assert "the snapshot needs more memory than a sync is given" in caplog.text
    rows = stage.published().one("select count(*) from marts.machine_actions")
    assert rows == len(stage.loaded("machine_actions"))
    assert len(list((stage.data_dir / "snapshots").iterdir())) == 1
