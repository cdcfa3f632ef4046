"""Our sync with a stopwatch at each step; prints the seconds of each as JSON.

The wall time that threads spend in a step is added up, so steps that run side by side come to more than the
whole; what a step does inside DuckDB's or Arrow's own threads counts as its wall time only.
"""

import functools
import json
import sys
import threading
import time
from collections import defaultdict
from typing import Any

STARTED = time.perf_counter()

from pipelines.absent import treat_as_absent  # noqa: E402

treat_as_absent()
from pipelines.cli import main  # noqa: E402  its import is a step

seconds: dict[str, float] = defaultdict(float)
chunks: list[tuple[int, float]] = []
_lock = threading.Lock()
_inner = threading.local()


def timed(step: str, owner: Any, name: str) -> None:
    """Replace a function by one that adds its time to a step; what timed functions inside take is theirs."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        outer = getattr(_inner, "taken", None)
        _inner.taken = 0.0
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            whole = time.perf_counter() - started
            with _lock:
                seconds[step] += whole - _inner.taken
            _inner.taken = None if outer is None else outer + whole
            if outer is None:
                _inner.taken = 0.0

    setattr(owner, name, wrapper)


def watch() -> None:
    """Put a stopwatch at each step."""
    import msal
    import requests

    from pipelines import checks, client, comparison, defender, storing, sync, warehouse

    timed("token", msal.ConfidentialClientApplication, "__init__")
    timed("token", msal.ConfidentialClientApplication, "acquire_token_for_client")
    timed("waiting", client.DefenderClient, "_take_turn")
    timed("download", requests.Session, "get")
    timed("download", client, "_body_of")
    timed("decode", client, "_answer_of")
    timed("compare with the warehouse", warehouse.Warehouse, "changes")
    timed("versions, read stamps, commit", warehouse.Warehouse, "commit")
    timed("versions, read stamps, commit", warehouse.Warehouse, "add_missing_versions")
    timed("views and tables", warehouse.Warehouse, "create_tables")
    timed("views and tables", warehouse.Warehouse, "create_views")
    timed("compare with the snapshot before", comparison, "_compare")
    timed("checks", checks, "run")
    timed("duplicates", storing, "_incoming")
    timed("status", sync.status, "note_end")
    timed("publish", sync, "publish")
    # In the thread in which the steps of dlt run, so that their time is taken off.
    timed("dlt, other", defender.Loader, "_load")
    import dlt
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

    timed("extract", dlt.Pipeline, "extract")
    timed("normalize", dlt.Pipeline, "normalize")
    timed("load", dlt.Pipeline, "load")
    timed("merge", DuckDbSqlClient, "execute_many")
    note_chunks(storing.ChunkWriter)


def note_chunks(writer: Any) -> None:
    """Note the rows of each chunk and the seconds it took to store."""
    store = writer._store

    def noted(self: Any, chunk: Any) -> Any:
        started = time.perf_counter()
        stored = store(self, chunk)
        chunks.append((sum(table.num_rows for table in chunk.tables), time.perf_counter() - started))
        return stored

    writer._store = noted


if __name__ == "__main__":
    watch()
    imported = time.perf_counter()
    try:
        main()
    finally:
        seconds["imports"] = imported - STARTED
        seconds["whole"] = time.perf_counter() - STARTED
        sys.stdout.write("\n" + json.dumps({**seconds, "chunks": chunks}) + "\n")
