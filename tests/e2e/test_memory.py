"""Memory: what a snapshot may take, and what a load must not keep."""

from __future__ import annotations

import gc
import logging

import pyarrow as pa
import pytest

import pipelines.publish
import pipelines.sync
from pipelines.defender import Loader
from pipelines.resources import RESOURCES
from pipelines.warehouse import Warehouse
from simulator import World


@pytest.mark.parametrize(
    ("more", "retries"), [("1500MB", ["1500MB"]), ("11MB", ["11MB", "what the machine has"])]
)
def test_a_snapshot_that_needs_more_memory_than_the_limit_is_written_all_the_same(
    open_stage, monkeypatch, caplog, more, retries
):
    def publish_in_little(warehouse, *args, **options):
        warehouse.connection.execute("set memory_limit = '10MB'")
        return pipelines.publish.publish(warehouse, *args, **options)

    stage = open_stage(World(seed=3, rows=3_000), publishes=True)
    monkeypatch.setattr(pipelines.sync, "publish", publish_in_little)
    monkeypatch.setattr(pipelines.publish, "MORE_MEMORY", more)
    with caplog.at_level(logging.WARNING):
        stage.sync().assert_ok()
    wanted = "the snapshot needs more memory than a sync is given; writing it again with "
    assert [text for text in caplog.messages if text.startswith(wanted)] == [
        wanted + each for each in retries
    ]
    rows = stage.published().one("select count(*) from marts.machine_actions")
    assert rows == len(stage.loaded("machine_actions"))
    assert len(list((stage.data_dir / "snapshots").iterdir())) == 1


def test_a_load_holds_on_to_no_rows_even_before_the_collector_comes_by(tmp_path):
    resource, rows = RESOURCES["machine_actions"], 20_000
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    loader = Loader(warehouse, tmp_path / "dlt")
    loader.create_state_tables("contoso")

    def load(number: int) -> None:
        # As a caller that has the rows in hand while they are loaded.
        table = pa.table([_column(field, number, rows) for field in resource.schema], schema=resource.schema)
        loader.load("contoso", {resource.name: [table]})

    load(0)
    gc.collect()
    gc.disable()
    try:
        before = pa.total_allocated_bytes()
        for number in range(1, 4):
            load(number)
        held = pa.total_allocated_bytes() - before
    finally:
        gc.enable()
        loader.close()
        warehouse.close()
    # Each of the three has more than a megabyte of ids alone.
    assert held < 100_000


def _column(field: pa.Field, number: int, rows: int) -> pa.Array:
    if field.name == "id":
        return pa.array([f"{number}-{each:060}" for each in range(rows)])
    return pa.repeat("contoso", rows) if field.name == "tenant" else pa.nulls(rows, field.type)
