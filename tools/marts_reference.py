"""Writes docs/marts.md from the database's own comments: `python tools/marts_reference.py`.

Each mart has an example question in docs/questions/. A test fails when the file is stale.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines.defender import Loader
from pipelines.warehouse import Warehouse

DOCS = Path(__file__).parents[1] / "docs"
TARGET = DOCS / "marts.md"
QUESTIONS = DOCS / "questions"
# In the order in which one meets them; a mart that is not named here comes last.
ORDER = (
    "machine_containment",
    "needs_attention",
    "containment_episodes",
    "machine_actions",
    "investigations",
    "machine_action_investigations",
    "machine_timeline",
    "machines",
    "live_response_commands",
    "response_times",
    "response_activity",
    "requestor_activity",
    "machine_action_transitions",
    "investigation_transitions",
    "sync_freshness",
)

HEAD = """\
# Marts

<!-- Made by tools/marts_reference.py from the comments in the database and from docs/questions/. Do not edit. -->

What BI reads: schema `marts` of the published `defender.duckdb`, and `parquet/<mart>.parquet` beside it. How to get
at them from a tool: [bi.md](bi.md). In the database itself: `select * from duckdb_columns()`, column `comment`.

Times are `TIMESTAMP WITH TIME ZONE` and mean UTC; durations are seconds. Ages are counted to `as_of`, the end of the
tenant's last sync that succeeded, at least in part, and not to the time at which one asks: the same snapshot
always gives the same answer.
Join on `tenant` as well as on an id: two tenants may show the same id.
"""


def main() -> None:
    """Write the file."""
    TARGET.write_text(document())


def document() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warehouse.duckdb"
        _make_empty(path)
        with duckdb.connect(str(path), read_only=True) as connection:
            marts = _comments(connection)
            columns = _columns(connection)
    names = sorted(marts, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    contents = "\n".join(f"- [{name}](#{name}): {_one_line(question(name)[0])}" for name in names)
    return "\n".join([HEAD, contents, *(_section(name, marts[name], columns[name]) for name in names)])


def question(mart: str) -> tuple[str, str]:
    """The example question of a mart and its SQL."""
    first, _, sql = (QUESTIONS / f"{mart}.sql").read_text().partition("\n")
    return first.removeprefix("-- ").strip(), sql.strip()


def _make_empty(path: Path) -> None:
    warehouse = Warehouse(path)
    loader = Loader(warehouse, path.with_name("dlt"))
    loader.create_state_tables("nobody")
    warehouse.create_tables()
    warehouse.create_views(datetime(2000, 1, 1, tzinfo=UTC))
    loader.close()
    warehouse.close()


def _comments(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(
        connection.execute(
            "select view_name, coalesce(comment, '') from duckdb_views() where schema_name = 'marts'"
        ).fetchall()
    )


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    rows = connection.execute(
        """
        select table_name, column_name, data_type, coalesce(comment, '')
        from duckdb_columns() where schema_name = 'marts' order by table_name, column_index
        """
    ).fetchall()
    for mart, *column in rows:
        name, kind, comment = column
        found.setdefault(mart, []).append((name, kind, comment))
    return found


def _section(mart: str, comment: str, columns: list[tuple[str, str, str]]) -> str:
    asked, sql = question(mart)
    rows = "\n".join(f"| `{name}` | {_kind(kind)} | {_one_line(text)} |" for name, kind, text in columns)
    return (
        f"\n## {mart}\n\n{comment}\n\n*{asked}*\n\n```sql\n{sql}\n```\n\n"
        f"| column | type | meaning |\n|---|---|---|\n{rows}\n"
    ).rstrip("\n") + "\n"


def _kind(kind: str) -> str:
    names = {"TIMESTAMP WITH TIME ZONE": "time", "VARCHAR": "text", "DOUBLE": "number", "BOOLEAN": "yes/no"}
    whole = {"BIGINT", "INTEGER", "HUGEINT", "SMALLINT", "TINYINT"}
    return names.get(kind, "whole number" if kind in whole else kind.lower())


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
