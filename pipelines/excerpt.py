"""A part of the state tables, with the views of `staging` over it, in a catalog of its own.

There, `defender.x` and `staging.x` are those of the catalog: so any query over them gives its answer for these rows
alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import duckdb

from pipelines import sql_files
from pipelines.resources import RESOURCES
from pipelines.warehouse import RUN_TABLES, SCHEMA, Warehouse

# Told by the rows of all machines, or by the configuration: taken over as they are.
WHOLE_VIEWS = ("as_of", "coverage", "requestor_aliases")


@contextmanager
def excerpt(
    warehouse: Warehouse, catalog: str, rows: Mapping[str, str]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor to the attached catalog, filled: `rows` is, by resource, the query of its rows, in DuckDB's FROM-first
    form.
    """
    with closing(warehouse.cursor()) as cursor:
        for schema in (SCHEMA, *sql_files.VIEW_LAYERS):
            cursor.execute(f"create schema {catalog}.{schema}")
        for name, resource in RESOURCES.items():
            versions = resource.versions_table
            cursor.execute(f"create table {catalog}.{SCHEMA}.{name} as {rows[name]}")
            cursor.execute(
                f"create table {catalog}.{SCHEMA}.{versions} as from {SCHEMA}.{versions} "
                f"where (tenant, id) in (select tenant, id from {catalog}.{SCHEMA}.{name})"
            )
        for table in RUN_TABLES:
            # Views that nobody asks ask for these.
            cursor.execute(f"create table {catalog}.{SCHEMA}.{table} as from {SCHEMA}.{table} limit 0")
        for view in WHOLE_VIEWS:
            cursor.execute(f"create table {catalog}.staging.{view} as from staging.{view}")
        cursor.execute(f"use {catalog}.main")
        for view, query in sql_files.view_queries("staging").items():
            if view not in WHOLE_VIEWS:
                cursor.execute(f"create view staging.{view} as {query}")
        yield cursor
