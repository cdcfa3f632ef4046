"""The dlt source: two resources that merge on (tenant, id) into the state tables of schema `defender`.

Pages come from the reader as Arrow, so dlt skips its row-by-row normalizer. dlt keeps no state of ours: how
far a tenant was read stands in the database, and dlt's working folder is made anew for each run, so that
nothing in it can be lost, be older or be newer than the database.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.extract import DltResource

from pipelines.resources import RESOURCES, Resource
from pipelines.warehouse import SCHEMA, Warehouse

DATA_TYPES = {"text": "text", "time": "timestamp", "integer": "bigint", "list": "json", "object": "json"}
# Rows are unique within one load (see `storing`), so dlt needs not look for duplicates itself.
MERGE: Any = {"disposition": "merge", "strategy": "delete-insert", "deduplicated": True}
# Of the source as a whole: dlt's check of a resource's own leaves an error behind that holds on to the rows.
FREEZE_TYPES: Any = {"data_type": "freeze"}
# dlt writes what it is given at once as one row group of Parquet, and DuckDB reads a row group by one thread.
ROW_GROUP_SIZE = 61_440


@dlt.source(name="defender", schema_contract=FREEZE_TYPES)
def defender(pages: dict[str, list[pa.Table]], *, is_all_new: bool = False) -> Iterator[DltResource]:
    """Machine actions and investigations; `pages` holds each resource's Arrow tables, by its name."""
    for name, tables in pages.items():
        yield defender_resource(RESOURCES[name], tables, is_all_new=is_all_new)


def defender_resource(resource: Resource, tables: list[pa.Table], *, is_all_new: bool = False) -> DltResource:
    """A resource that merges the tables it is given, every column declared, and takes them out of the list.

    Rows of which the table is known to hold none are appended: a merge would look each of them up again.
    """
    return dlt.resource(
        _taken(tables),
        name=resource.name,
        primary_key=("tenant", "id"),
        write_disposition="append" if is_all_new else MERGE,
        columns=_columns(resource),
    )


def _taken(tables: list[pa.Table]) -> Iterator[pa.Table]:
    """Each table, by row groups, taken out of the list, so that nothing that dlt leaves behind holds it."""
    while tables:
        rest = tables.pop(0)
        while rest.num_rows > ROW_GROUP_SIZE:
            yield rest.slice(0, ROW_GROUP_SIZE)
            rest = rest.slice(ROW_GROUP_SIZE)
        yield rest


def _columns(resource: Resource) -> Any:
    kinds = {
        "tenant": "text",
        **{column.name: column.kind for column in resource.columns},
        "additional_properties": "object",
        "synced_at": "time",
        "gone_at": "time",
    }
    return {
        name: {"name": name, "data_type": DATA_TYPES[kind], "nullable": name not in ("tenant", "id")}
        for name, kind in kinds.items()
    }


class WarehouseDestination(dlt.destinations.duckdb):
    """DuckDB as dlt knows it. To learn what it can do, dlt resolves its whole configuration twenty times a
    load, a third of a small one's time; the answer does not depend on it.
    """

    def configuration(
        self, initial_config: DuckDbClientConfiguration, accept_partial: bool = False
    ) -> DuckDbClientConfiguration:
        """The full configuration; where a part will do, what is known already."""
        return initial_config if accept_partial else super().configuration(initial_config)


class Loader:
    """Loads tables through dlt into the open warehouse, one at a time."""

    def __init__(self, warehouse: Warehouse, working_dir: Path) -> None:
        self._warehouse = warehouse
        self._working_dir = working_dir
        self._pipelines: dict[str, dlt.Pipeline] = {}
        # What dlt leaves behind refers to itself and to every frame that was on the stack, until Python's collector
        # comes by. In a thread of its own there are no callers above it, who have rows in their hands.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        shutil.rmtree(working_dir, ignore_errors=True)

    def load(self, tenant: str, pages: dict[str, list[pa.Table]], *, is_all_new: bool = False) -> None:
        """Merge the tables of each resource, and empty their lists; all are in the database when this returns."""
        self._thread.submit(self._load, tenant, pages, is_all_new).result()

    def _load(self, tenant: str, pages: dict[str, list[pa.Table]], is_all_new: bool) -> None:
        try:
            self._pipeline(tenant).run(defender(pages, is_all_new=is_all_new), loader_file_format="parquet")
        except BaseException:
            # dlt's next run would load what this one left behind, and then return without its own rows.
            self._pipelines.clear()
            shutil.rmtree(self._working_dir, ignore_errors=True)
            raise

    def _pipeline(self, tenant: str) -> dlt.Pipeline:
        if tenant not in self._pipelines:
            pipeline = dlt.pipeline(
                pipeline_name=f"defender_{tenant}",
                pipelines_dir=str(self._working_dir),
                # Left to itself, dlt merges in DuckDB outside a transaction: a run killed between its DELETE and
                # its INSERT would lose the changed rows.
                destination=WarehouseDestination(self._warehouse.connection, supports_transactions=True),
                dataset_name=SCHEMA,
            )
            # It has no state of ours to keep or to bring back.
            pipeline.config.restore_from_destination = False
            self._pipelines[tenant] = pipeline
        return self._pipelines[tenant]

    def create_state_tables(self, tenant: str) -> None:
        """Both state tables with all their columns, empty."""
        self.load(tenant, {name: [resource.schema.empty_table()] for name, resource in RESOURCES.items()})

    def close(self) -> None:
        """Leave no working files behind."""
        self._thread.shutdown(wait=False)
        shutil.rmtree(self._working_dir, ignore_errors=True)
