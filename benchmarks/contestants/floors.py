"""The floors: downloading the bytes and nothing else; that plus DuckDB's `read_json` and an insert; and a copy of
what is published.
"""

import sys
from pathlib import Path

import duckdb

from benchmarks.contestants.handwritten import RESOURCES, pages, sign_in


def download(url: str) -> None:
    """Every page, one after the other, thrown away."""
    session = sign_in(url)
    for path, _, _ in RESOURCES.values():
        for _ in pages(session, f"{url}/api/{path}", ""):
            pass


def insert(url: str, folder: Path) -> None:
    """Every page read by DuckDB and inserted: rows read twice would stand twice."""
    session = sign_in(url)
    database = duckdb.connect(str(folder / "warehouse.duckdb"))
    database.execute("set TimeZone = 'UTC'")
    page_file = folder / "page.json"
    for table, (path, _, columns) in RESOURCES.items():
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        typed = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"
        database.execute(f"create table {table} ({listed})")
        for rows in pages(session, f"{url}/api/{path}", ""):
            page_file.write_bytes(rows)
            database.execute(
                f"insert into {table} from read_json('{page_file}', format = 'array', columns = {typed})"
            )
    database.close()
    page_file.unlink()


def publish(snapshot: Path, folder: Path, database_format: str, parquet_format: str) -> None:
    """Every table of a snapshot copied into a new database, and every mart into a Parquet file beside it, in the
    snapshot's own formats: nothing is worked out.
    """
    database = duckdb.connect()
    database.execute(f"attach '{snapshot / 'defender.duckdb'}' as published (read_only)")
    database.execute(f"attach '{folder / 'defender.duckdb'}' as fresh ({database_format})")
    database.execute("create schema fresh.marts")
    tables = database.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'published'"
    ).fetchall()
    for schema, table in tables:
        database.execute(f"create table fresh.{schema}.{table} as from published.{schema}.{table}")
        if schema == "marts":
            database.execute(f"copy published.marts.{table} to '{folder / table}.parquet' ({parquet_format})")
    database.close()


if __name__ == "__main__":
    if sys.argv[1] == "download":
        download(sys.argv[2])
    elif sys.argv[1] == "insert":
        insert(sys.argv[2], Path(sys.argv[3]))
    else:
        publish(Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
