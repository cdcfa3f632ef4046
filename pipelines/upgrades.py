"""Opens the warehouse to be written, carried forward where an older version of the program made it.

An older one is first copied aside whole; then the numbered migrations of `sql/migrations` are run, each in a
transaction of its own. A newer one is refused by `Warehouse` itself. A database without a version is new: its tables
are made as they are now.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines import sql_files
from pipelines.data_dir import DataDir
from pipelines.errors import WarehouseError
from pipelines.warehouse import Warehouse

logger = logging.getLogger(__name__)


@contextmanager
def opened(data_dir: DataDir, now: datetime) -> Iterator[Warehouse]:
    """The warehouse of a data directory whose lock is held, at this program's version.

    Raises WarehouseError where it is newer, cannot be copied, or cannot be carried forward; it then is as it was.
    """
    data_dir.tidy()
    warehouse = _carried_forward(data_dir, now)
    try:
        yield warehouse
    finally:
        warehouse.close()


def _carried_forward(data_dir: DataDir, now: datetime) -> Warehouse:
    """The warehouse, open; an older one first copied aside whole, then brought to this program's version."""
    warehouse = Warehouse(data_dir.warehouse)
    version = warehouse.schema_version()
    if version is None or version >= sql_files.schema_version():
        return warehouse
    try:
        # Everything of it in the one file.
        warehouse.connection.execute("checkpoint")
    finally:
        warehouse.close()
    copy = _copy_aside(data_dir, version, now)
    logger.warning(
        "the warehouse was made by version %s of the tables and is carried forward to %s; as it was, it stays in %s",
        version,
        sql_files.schema_version(),
        copy,
    )
    warehouse = Warehouse(data_dir.warehouse)
    try:
        for number, statements in sql_files.migrations().items():
            if number > version:
                warehouse.migrate(number, statements, now)
    except duckdb.Error as error:
        warehouse.close()
        raise WarehouseError(
            f"the warehouse cannot be carried forward from version {version}: {str(error).splitlines()[0]}. "
            f"As it was, it stays in {copy}"
        ) from error
    return warehouse


def _copy_aside(data_dir: DataDir, version: int, now: datetime) -> Path:
    """A copy beside the database, named by its version and the time; complete, or not there at all."""
    name = f"warehouse.version-{version}.{now.astimezone(UTC):%Y-%m-%dT%H-%M-%S}Z.duckdb"
    copy, partial = data_dir.path / name, data_dir.path / ".warehouse.copy.partial"
    try:
        partial.touch(mode=0o600)
        shutil.copyfile(data_dir.warehouse, partial)
        partial.rename(copy)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise WarehouseError(
            f"{data_dir.warehouse} was made by an older version and cannot be copied aside: {error.strerror}; "
            "nothing was changed"
        ) from error
    for older in data_dir.upgrade_copies:
        if older != copy:
            older.unlink()
    return copy
