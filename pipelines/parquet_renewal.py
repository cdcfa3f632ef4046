"""The Parquet file of a mart, made from the one before.

Columns in which nothing moves are taken over byte by byte; row groups that lost a row are written anew, and new rows
follow at the end. What the file tells is what the mart's table in the renewed snapshot does, in another order.
"""

import io
import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from pipelines.changed_machines import Replaced
from pipelines.moving_columns import MovingColumns
from pipelines.parquet_parts import Assembly, Parts, UnlikeError
from pipelines.snapshot_files import PARQUET_COMPRESSION, PARQUET_COMPRESSION_LEVEL, ROW_GROUP_SIZE

pc: Any = pyarrow.compute
logger = logging.getLogger(__name__)

# So many rows are brought to now at once: each time costs some milliseconds, and each row memory.
ROWS_AT_ONCE = 8 * ROW_GROUP_SIZE
# A row group of fewer rows is written anew with the next new rows, so that there is never more than one.
FEW_ROWS = ROW_GROUP_SIZE // 2
# Where more of the rows are written anew, DuckDB writes all of them from their table sooner.
MOST_WRITTEN = 0.5


def renew(
    cursor: duckdb.DuckDBPyConnection,
    *,
    former: Path,
    target: Path,
    moving: MovingColumns | None,
    replaced: Replaced | None,
) -> bool:
    """Write a mart's file from the former one; False, and nothing is left, where it is better written from its table.

    `moving`: the columns that move in all rows; `replaced`: the rows that gave way to others. Raises errors of DuckDB
    or of the system, also where the former file is damaged.
    """
    try:
        with former.open("rb") as file, target.open("wb") as written:
            _Renewal(cursor, former, Parts(file), moving, replaced).write(written)
    except (UnlikeError, pa.ArrowException) as error:
        # One of Arrow's is a column's first empty value, where the former file says that it has none.
        logger.debug("%s is written anew: %s", target.name, error)
        target.unlink()
        return False
    return True


class _Renewal:
    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        path: Path,
        former: Parts,
        moving: MovingColumns | None,
        replaced: Replaced | None,
    ) -> None:
        self._cursor, self._path, self._former = cursor, path, former
        self._moving, self._replaced = moving, replaced
        # Where each row group starts, and where the last one ends.
        self._starts = [0, *accumulate(former.row_counts)]
        self._in_dictionary = former.with_dictionary()

    def write(self, target: BinaryIO) -> None:
        """Raises UnlikeError where it is better written from its table."""
        written_anew = self._groups_written_anew(self._replaced) if self._replaced else set()
        if self._are_most(written_anew):
            raise UnlikeError("most rows would be written anew")
        assembly = Assembly(target, self._former)
        groups = [group for group in range(len(self._former.row_counts)) if group not in written_anew]
        if self._moving is None:
            for group in groups:
                assembly.add(self._former, group)
        else:
            for together in self._batches(groups):
                moved = self._moved(together, self._moving)
                for place, group in enumerate(together):
                    assembly.add(self._former, group, moved=(moved, place))
        if self._replaced is not None:
            for rows in _cut(self._rows_written_anew(written_anew, self._replaced)):
                assembly.add(self._written(rows, [rows.num_rows]), 0)
        assembly.finish()

    # --- row groups that stay ---

    def _batches(self, groups: list[int]) -> Iterator[list[int]]:
        """Row groups in a row, as many as are brought to now at once."""
        batch: list[int] = []
        for group in groups:
            is_next = batch and group == batch[-1] + 1
            if batch and (not is_next or self._starts[group + 1] - self._starts[batch[0]] > ROWS_AT_ONCE):
                yield batch
                batch = []
            batch.append(group)
        if batch:
            yield batch

    def _moved(self, groups: list[int], moving: MovingColumns) -> Parts:
        """The moving columns of row groups in a row, as they are now."""
        start, end = self._starts[groups[0]], self._starts[groups[-1] + 1]
        table = self._cursor.sql(
            f"select position, {_listed(moving.values)} from ({moving.over(self._rows(start, end))}) order by position"
        ).to_arrow_table()
        position = table["position"].combine_chunks()
        steps = pc.pairwise_diff(position, 1)
        if (
            len(table) != end - start
            or pc.min_max(position).as_py() != {"min": start, "max": end - 1}
            or not pc.all(pc.equal(steps, 1), min_count=0).as_py()
        ):
            raise UnlikeError("the rows are not as many as they were")
        return self._written(
            table.drop_columns("position"), [self._former.row_counts[group] for group in groups]
        )

    # --- rows written anew ---

    def _groups_written_anew(self, replaced: Replaced) -> set[int]:
        """The row groups that have lost rows, and maybe some more; and those of few rows."""
        few = {group for group, count in enumerate(self._former.row_counts) if count < FEW_ROWS}
        if not replaced.gone_count:
            return few
        rows = self._rows(0, self._starts[-1])
        groups = self._groups_where(replaced.may_be_gone, rows)
        if self._are_most(groups | few):
            # That looks at two columns; this at all.
            groups = self._groups_where(f"{replaced.may_be_gone} and {replaced.is_gone}", self._now(rows))
        return groups | few

    def _groups_where(self, condition: str, rows: str) -> set[int]:
        found = self._cursor.execute(f"select position from ({rows}) where {condition}").fetchall()
        return {bisect_right(self._starts, position) - 1 for (position,) in found}

    def _are_most(self, groups: set[int]) -> bool:
        return sum(self._former.row_counts[group] for group in groups) > MOST_WRITTEN * self._starts[-1]

    def _rows_written_anew(self, groups: set[int], replaced: Replaced) -> Iterator[pa.Table]:
        """The rows of these row groups that are not gone, as they are now; then the new ones."""
        columns = _listed(self._former.columns)
        gone_count = 0
        for group in sorted(groups):
            rows = self._rows(self._starts[group], self._starts[group + 1])
            table = self._cursor.sql(
                f"select {columns} from ({self._now(rows)}) where not {replaced.is_gone}"
            ).to_arrow_table()
            gone_count += self._former.row_counts[group] - len(table)
            yield table
        if gone_count != replaced.gone_count:
            raise UnlikeError("the rows that are gone are not those of the table")
        yield self._cursor.sql(f"select {columns} from {replaced.fresh}").to_arrow_table()

    # --- both ---

    def _rows(self, start: int, end: int) -> str:
        """The query of these rows of the former file, each with its `position`."""
        path = str(self._path).replace("'", "''")
        return (
            "select file_row_number as position, * exclude (file_row_number) "
            f"from read_parquet('{path}', file_row_number = true, hive_partitioning = false) "
            f"where file_row_number >= {start} and file_row_number < {end}"
        )

    def _now(self, rows: str) -> str:
        return rows if self._moving is None else self._moving.over(rows)

    def _written(self, table: pa.Table, row_counts: list[int]) -> Parts:
        """A table as row groups of so many rows, written like the former file's."""
        columns = self._former.columns
        if not columns.keys() >= set(table.column_names):
            raise UnlikeError("columns are new")
        schema = pa.schema([field.with_nullable(columns[field.name].is_nullable) for field in table.schema])
        # Typed as a bool, though a list is documented as well.
        in_dictionary: Any = [name for name in self._in_dictionary if name in table.column_names]
        written = io.BytesIO()
        with pq.ParquetWriter(
            written,
            schema,
            compression=PARQUET_COMPRESSION,
            compression_level=PARQUET_COMPRESSION_LEVEL,
            use_dictionary=in_dictionary or False,
            store_schema=False,
        ) as writer:
            start = 0
            for count in row_counts:
                rows = pa.Table.from_arrays(table.slice(start, count).columns, schema=schema)
                writer.write_table(rows, row_group_size=count)
                start += count
        return Parts(written)


def _cut(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows of all these tables, in tables as large as a row group."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while sum(map(len, waiting)) >= ROW_GROUP_SIZE:
            rows = pa.concat_tables(waiting)
            yield rows.slice(0, ROW_GROUP_SIZE)
            waiting = [rows.slice(ROW_GROUP_SIZE)]
    if any(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
