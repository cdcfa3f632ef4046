"""Runs the checks of `sql/checks`: each finds nothing when all is well.

Those of rows speak of each row of the state tables by itself. What the published snapshot has passed needs not pass
them again, so they look at the rows that differ from it.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import duckdb

from pipelines import excerpt, sql_files
from pipelines.comparison import Comparison
from pipelines.differences import CATALOG
from pipelines.records import RESOURCES
from pipelines.sql_files import Check
from pipelines.warehouse import SCHEMA, Warehouse

# The catalog of the rows that differ.
CHANGED = "changed"
OF_ROWS = re.compile(r"\bstaging\.(machine_action|investigation)")


@dataclass(frozen=True)
class Finding:
    """How many rows a check found, of one resource of one tenant."""

    tenant: str
    resource: str
    check: str
    severity: str
    rows: int


def run(warehouse: Warehouse, comparison: Comparison) -> tuple[list[Finding], str]:
    """What the checks find; and the hash of those of rows, where these find nothing at all (else an empty text)."""
    of_rows: list[Check] = []
    others: list[Check] = []
    for check in sql_files.checks():
        (of_rows if OF_ROWS.search(check.query) else others).append(check)
    passed = hashlib.md5(
        "".join(check.query for check in of_rows).encode(), usedforsecurity=False
    ).hexdigest()
    former = comparison.former
    found_of_rows: list[Finding] = []
    if former is None or former.checks != passed:
        found_of_rows = _found(warehouse.cursor(), of_rows)
    elif former.has_changes:
        with _changed_rows(warehouse) as cursor:
            found_of_rows = _found(cursor, of_rows)
    found = sorted(found_of_rows + _found(warehouse.cursor(), others), key=lambda each: each.check)
    return found, "" if found_of_rows else passed


def _found(cursor: duckdb.DuckDBPyConnection, checks: list[Check]) -> list[Finding]:
    with closing(cursor):
        return [
            Finding(tenant, resource, check.name, check.severity, int(rows))
            for check in checks
            for tenant, resource, rows in cursor.execute(
                f"select tenant, resource, count(*) from ({check.query}) group by all order by all"
            ).fetchall()
        ]


@contextmanager
def _changed_rows(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    rows = {
        name: f"from {SCHEMA}.{name} where (tenant, id) in (from {CATALOG}.changed_{name})"
        for name in RESOURCES
    }
    warehouse.connection.execute(f"attach ':memory:' as {CHANGED}")
    try:
        yield excerpt.make(warehouse, CHANGED, rows)
    finally:
        warehouse.connection.execute(f"detach {CHANGED}")
