"""The marts as Parquet files, written beside what else a snapshot takes."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from pipelines.warehouse import Warehouse

# A column of more distinct values in a row group is written plain: quicker, and smaller, than by DuckDB's
# default, which fills a dictionary with ids first.
FORMAT = "format parquet, compression zstd, dictionary_size_limit 1000"


class MartFiles:
    """Writes the marts of the attached `snapshot`, one after the other, in a thread of its own.

    What fails in it is raised at the end of the `with`.
    """

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        self._cursor = warehouse.cursor()
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._writing: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=error is not None)
        self._cursor.close()
        if error is None:
            for each in self._writing:
                each.result()

    def write(self, mart: str) -> None:
        """Write a mart, whose table is committed, some time later."""
        self._writing.append(self._thread.submit(self._write, mart))

    def link(self, mart: str, former: Path) -> None:
        """Take a mart's file from the folder of a snapshot in which it is the same."""
        name = f"{mart}.parquet"
        os.link(former / name, self._folder / name)

    def _write(self, mart: str) -> None:
        file = str(self._folder / f"{mart}.parquet").replace("'", "''")
        self._cursor.execute(f"copy snapshot.marts.{mart} to '{file}' ({FORMAT})")
