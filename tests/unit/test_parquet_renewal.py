"""A mart's file made from the one before, by itself: whatever the file is called, and however many rows it has."""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq
import pytest
from support.published import cut_small

from pipelines import parquet_renewal
from pipelines.changed_machines import Replaced
from pipelines.moving_columns import MovingColumns

ROWS = "select 'contoso' as tenant, 'a' || i as id, i as age from range({}) rows (i)"
OLDER = MovingColumns({"age": "if(former.tenant = 'contoso', former.age + 1000, null)"})


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute("create table gone (tenant varchar, id varchar, content ubigint)")
        connection.execute("create table fresh (tenant varchar, id varchar, age bigint)")
        yield connection


def replaced(connection: duckdb.DuckDBPyConnection, gone: list[int], fresh: list[int]) -> Replaced:
    """Rows of `ROWS` that gave way to others, by their number; they are told as they are by now."""
    for number in gone:
        connection.execute(
            "insert into gone select 'contoso', $id, hash('contoso', $id, $age::bigint)",
            {"id": f"a{number}", "age": number + 1000},
        )
    for number in fresh:
        connection.execute("insert into fresh values ('contoso', $id, 0)", {"id": f"a{number}"})
    return Replaced(
        len(gone),
        "(tenant, id) in (select tenant, id from gone)",
        "hash(tenant, id, age) in (select content from gone)",
        "fresh",
    )


def renewed(connection, folder, rows: str, changes: Replaced | None = None) -> list[tuple] | None:
    """The rows of the file made from one of `rows`; None where it is not."""
    former, target = folder / "former.parquet", folder / "target.parquet"
    connection.execute("copy ({}) to '{}' (format parquet)".format(rows, str(former).replace("'", "''")))
    if not parquet_renewal.renew(connection, former=former, target=target, moving=OLDER, replaced=changes):
        assert not target.exists()
        return None
    return [tuple(row.values()) for row in pq.read_table(target, partitioning=None).to_pylist()]


@pytest.mark.parametrize("name", ["plain", "tenant=other", "[prod]*?", "it's", "ü"])
def test_the_name_of_its_folder_tells_nothing_of_a_file(connection, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    assert renewed(connection, folder, ROWS.format(2)) == [("contoso", "a0", 1000), ("contoso", "a1", 1001)]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
def test_each_number_of_rows_is_brought_to_now(connection, tmp_path, monkeypatch, count):
    cut_small(monkeypatch)
    expected = [("contoso", f"a{number}", number + 1000) for number in range(count)]
    assert renewed(connection, tmp_path, ROWS.format(count)) == expected


def test_rows_that_are_gone_give_way_to_new_ones(connection, tmp_path, monkeypatch):
    cut_small(monkeypatch)
    changes = replaced(connection, gone=[3, 50], fresh=[3, 500])
    rows = renewed(connection, tmp_path, ROWS.format(60), changes)
    kept = [("contoso", f"a{number}", number + 1000) for number in range(60) if number not in (3, 50)]
    assert rows is not None
    assert sorted(rows) == sorted([*kept, ("contoso", "a3", 0), ("contoso", "a500", 0)])


def test_where_most_rows_would_be_written_anew_the_table_is_written(connection, tmp_path):
    assert renewed(connection, tmp_path, ROWS.format(60), replaced(connection, gone=[3], fresh=[])) is None


def test_rows_that_are_not_in_the_file_tell_that_it_is_not_the_tables(connection, tmp_path, monkeypatch):
    cut_small(monkeypatch)
    assert (
        renewed(connection, tmp_path, ROWS.format(60), replaced(connection, gone=[3, 77], fresh=[])) is None
    )


def test_rows_that_an_expression_multiplies_are_not_taken_over(connection, tmp_path):
    former = tmp_path / "former.parquet"
    connection.execute(f"copy ({ROWS.format(5)}) to '{former}' (format parquet)")
    moving = MovingColumns({"age": "unnest([1, 2])"})
    target = tmp_path / "target.parquet"
    assert not parquet_renewal.renew(connection, former=former, target=target, moving=moving, replaced=None)


def test_new_rows_of_another_type_are_written_from_the_table(connection, tmp_path, monkeypatch):
    cut_small(monkeypatch)
    changes = replaced(connection, gone=[3], fresh=[3])
    connection.execute("create or replace table fresh as select 'contoso' as tenant, 'a3' as id, 0.5 as age")
    assert renewed(connection, tmp_path, ROWS.format(60), changes) is None
