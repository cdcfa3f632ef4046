"""The floors: downloading the bytes and nothing else, and that plus DuckDB's `read_json` and an insert."""

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


if __name__ == "__main__":
    if sys.argv[1] == "download":
        download(sys.argv[2])
    else:
        insert(sys.argv[2], Path(sys.argv[3]))
