"""What moves in a published mart while its content is as it was: `as_of`, the ages, and when rows were last read."""

from dataclasses import dataclass

import duckdb

from pipelines import sql_files


@dataclass(frozen=True)
class MovingColumns:
    """By name, each one's value now: an expression about a row of the mart, named `former`."""

    values: dict[str, str]

    def over(self, rows: str) -> str:
        """The query of rows as they are now, from that of rows as they were."""
        values = ", ".join(f"{value} as {column}" for column, value in self.values.items())
        return f"select former.* replace ({values}) from ({rows}) as former"


def of_marts() -> dict[str, MovingColumns]:
    """By mart, what moves; some have nothing that does."""
    return {mart: MovingColumns(values) for mart, values in sql_files.renewals().items()}


def move(cursor: duckdb.DuckDBPyConnection, mart: str, moving: MovingColumns) -> None:
    """Bring all rows of a mart of catalog `snapshot` to now."""
    values = ", ".join(f"{column} = {value}" for column, value in moving.values.items())
    cursor.execute(f"update snapshot.marts.{mart} as former set {values}")
