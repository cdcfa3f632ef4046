"""What is published, held against the warehouse it was made from."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from pipelines import parquet_renewal, sql_files


def noted_parquet(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bool]]:
    """By mart, for each time that its file was to be made from the one before, whether it was."""
    told: dict[str, list[bool]] = {}
    renew = parquet_renewal.renew

    def renewing(*args: Any, **options: Any) -> bool:
        is_renewed = renew(*args, **options)
        told.setdefault(options["target"].stem, []).append(is_renewed)
        return is_renewed

    monkeypatch.setattr(parquet_renewal, "renew", renewing)
    return told


def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let renewed files have row groups of a few rows, and be renewed whatever share is written anew."""
    monkeypatch.setattr(parquet_renewal, "ROW_GROUP_SIZE", 16)
    monkeypatch.setattr(parquet_renewal, "FEW_ROWS", 8)
    monkeypatch.setattr(parquet_renewal, "ROWS_AT_ONCE", 80)
    monkeypatch.setattr(parquet_renewal, "MOST_WRITTEN", 1)


def linked_files(stage: Any) -> set[str]:
    """The marts whose files the last two snapshots share: proof that one was made from the other."""
    folder = (stage.data_dir / "published").resolve() / "parquet"
    return {path.stem for path in folder.iterdir() if path.stat().st_nlink > 1}


def assert_published_equals_warehouse(stage: Any) -> None:
    """Every mart, in the published database and as Parquet, is what its view tells; so are the state tables."""
    folder = stage.data_dir / "published"
    with duckdb.connect(str(stage.data_dir / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{folder}/defender.duckdb' as published (read_only)")
        tables = connection.execute(
            """
            select schema_name, table_name, string_agg('"' || column_name || '"', ', ' order by column_name)
            from duckdb_columns() where database_name = 'published' group by all order by all
            """
        ).fetchall()
        assert {name for schema, name, _ in tables if schema == "marts"} == set(sql_files.mart_names())
        for schema, name, columns in tables:
            found, wanted = [f"published.{schema}.{name}"], f"defender.{name}"
            if schema == "marts":
                found.append(f"'{folder}/parquet/{name}.parquet'")
                wanted = f"marts.{name}"
            expected = _fingerprint(connection, wanted, columns)
            for each in found:
                if _fingerprint(connection, each, columns) != expected:
                    _tell_difference(connection, each, wanted, columns)


def _fingerprint(connection: duckdb.DuckDBPyConnection, relation: str, columns: str) -> Any:
    """Tells two contents apart."""
    content = f"hash({columns})"
    return connection.execute(
        f"select count(*), bit_xor({content}), sum({content}) from {relation}"
    ).fetchone()


def _tell_difference(connection: duckdb.DuckDBPyConnection, found: str, wanted: str, columns: str) -> None:
    for one, other in ((found, wanted), (wanted, found)):
        rows = connection.execute(
            f"select {columns} from {one} except all select {columns} from {other}"
        ).fetchmany(2)
        if rows:
            pytest.fail(f"{one} has what {other} has not, in {columns}: {rows}")
    pytest.fail(f"{found} is not what {wanted} is")
