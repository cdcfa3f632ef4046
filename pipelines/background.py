"""Statements that run beside others, where one alone would leave a core idle."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb

from pipelines.warehouse import Warehouse

Result = TypeVar("Result")


class Background:
    """Runs statements, and what calls for several, on a cursor and a thread of its own, one after the other.

    The end of the `with` waits for them, and raises what one of them raised; after an error it ends them.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._cursor = warehouse.cursor()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._running: list[Future[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=error is None, cancel_futures=error is not None)
        if error is not None:
            self._interrupt()
        self._cursor.close()
        if error is None:
            for each in self._running:
                each.result()

    def _interrupt(self) -> None:
        while running := [each for each in self._running if not each.done()]:
            # Again and again: an interruption that comes just before a statement begins is forgotten.
            self._cursor.interrupt()
            wait_for(running, timeout=0.05)

    def execute(self, statement: str) -> None:
        """Run a statement some time later; what it reads must be committed."""
        self.call(lambda cursor: cursor.execute(statement))

    def call(self, function: Callable[[duckdb.DuckDBPyConnection], Result]) -> "Future[Result]":
        """Call it with the cursor some time later."""
        future = self._thread.submit(function, self._cursor)
        self._running.append(future)
        return future
