"""Statements that run beside others: what one raises is told, and none outlives an error."""

from __future__ import annotations

import duckdb
import pytest

from pipelines.background import Background
from pipelines.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    yield warehouse
    warehouse.close()


def tables(warehouse):
    return [
        row[0] for row in warehouse.connection.execute("select table_name from duckdb_tables()").fetchall()
    ]


def test_statements_are_done_in_order_when_the_with_ends(warehouse):
    with Background(warehouse) as background:
        background.execute("create table first as select 1 as n")
        background.execute("create table second as from first")
    assert sorted(tables(warehouse)) == ["first", "second"]


def test_what_a_statement_raises_is_raised_at_the_end(warehouse):
    with pytest.raises(duckdb.CatalogException, match="missing"), Background(warehouse) as background:
        background.execute("from missing")
    assert tables(warehouse) == []


def test_an_error_beside_it_ends_the_statement_that_runs_and_those_that_wait(warehouse):
    def fails():
        with Background(warehouse) as background:
            background.execute(
                "create table long as select sum(sqrt(n)) as n from range(5_000_000_000) as r(n)"
            )
            background.execute("create table waiting as select 1 as n")
            raise ValueError("beside")

    with pytest.raises(ValueError, match="beside"):
        fails()
    assert tables(warehouse) == []
