"""Runs the checks of `sql/checks`: each finds nothing when all is well.

Those of rows speak of each row of the state tables by itself. What the published snapshot has passed needs not pass
them again: they look at those rows alone that differ from it.
"""

import hashlib
import logging
import re
from contextlib import closing
from dataclasses import dataclass

import duckdb

from pipelines import sql_files
from pipelines.comparison import Comparison
from pipelines.differences import CATALOG
from pipelines.excerpt import excerpt
from pipelines.resources import RESOURCES
from pipelines.sql_files import Check
from pipelines.warehouse import SCHEMA, Warehouse

logger = logging.getLogger(__name__)

# The catalog of the rows that differ.
CHANGED = "_changed"
# A check that reads machine actions or investigations, and then nothing else.
OF_ROWS = re.compile(r"\bstaging\.(machine_action|investigation)")


@dataclass(frozen=True)
class Finding:
    """How many rows a check found, of one resource of one tenant."""

    tenant: str
    resource: str
    check: str
    severity: str
    rows: int


def run(warehouse: Warehouse, comparison: Comparison) -> tuple[list[Finding], set[str]]:
    """What the checks find; and the hashes of those of rows that find nothing."""
    former = comparison.former
    every = sql_files.checks()
    known = {check.name for check in every if former and _hash_of(check) in former.checks}
    found = _found(warehouse, [check for check in every if check.name not in known])
    if known and former and former.has_changes:
        found += _found_in_changes(warehouse, [check for check in every if check.name in known])
    failed = {each.check for each in found}
    passed = {_hash_of(check) for check in every if check.name not in failed and OF_ROWS.search(check.query)}
    return sorted(found, key=lambda each: each.check), passed


def _hash_of(check: Check) -> str:
    return hashlib.sha256(check.query.encode()).hexdigest()


def _found_in_changes(warehouse: Warehouse, checks: list[Check]) -> list[Finding]:
    rows = {
        name: f"from {SCHEMA}.{name} where (tenant, id) in (from {CATALOG}.changed_{name})"
        for name in RESOURCES
    }
    try:
        warehouse.connection.execute(f"attach ':memory:' as {CHANGED}")
        with excerpt(warehouse, CHANGED, rows) as cursor:
            return _found_by(cursor, checks)
    except duckdb.Error:
        logger.debug("the rows that differ cannot be looked at alone", exc_info=True)
    finally:
        warehouse.connection.execute(f"detach database if exists {CHANGED}")
    return _found(warehouse, checks)


def _found(warehouse: Warehouse, checks: list[Check]) -> list[Finding]:
    with closing(warehouse.cursor()) as cursor:
        return _found_by(cursor, checks)


def _found_by(cursor: duckdb.DuckDBPyConnection, checks: list[Check]) -> list[Finding]:
    return [
        Finding(tenant, resource, check.name, check.severity, int(rows))
        for check in checks
        for tenant, resource, rows in cursor.execute(
            f"select tenant, resource, count(*) from ({check.query}) group by all order by all"
        ).fetchall()
    ]
