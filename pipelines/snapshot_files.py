"""The files of a snapshot: one database, and each mart as Parquet beside it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import duckdb

from pipelines.warehouse import LEAVE_ROW_GROUPS, TIDY_ROW_GROUPS, Warehouse

DATABASE = "defender.duckdb"
PARQUET = "parquet"
COPIED_AT_ONCE = 2**30
# DuckDB 1.4 and later read this; files of 2.0's own format are unreadable to 1.4 and 1.5.
STORAGE_VERSION = "v1.4.0"
# DuckDB writes and reads a row group by one thread. Of its own 122,880 rows, most tenants' tables have one; and
# a thread that writes Parquet holds one in memory.
ROW_GROUP_SIZE = 30_720
DATABASE_FORMAT = f"storage_version '{STORAGE_VERSION}', row_group_size {ROW_GROUP_SIZE}"
# A column with more distinct values in a row group is written plain, quicker and smaller than by DuckDB's
# default, which puts most ids of a row group into a dictionary first. Higher levels of compression cost a tenth more
# and leave files of the same size.
PARQUET_COMPRESSION: Literal["zstd"] = "zstd"
PARQUET_COMPRESSION_LEVEL = 1
PARQUET_FORMAT = (
    f"format parquet, compression {PARQUET_COMPRESSION}, compression_level {PARQUET_COMPRESSION_LEVEL}, "
    f"dictionary_size_limit 1000, row_group_size {ROW_GROUP_SIZE}"
)


@contextmanager
def attached(warehouse: Warehouse, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor to the folder's database, made if need be, as catalog `snapshot`; it is whole where the `with`
    ends well.

    Each statement is committed by itself, so that others can read beside it what it made: nobody reads the
    folder before it is whole. What was logged of that is folded in once, at the end.
    """
    cursor = warehouse.cursor()
    try:
        cursor.execute(f"attach '{_quoted(folder / DATABASE)}' as snapshot ({DATABASE_FORMAT})")
        cursor.execute("set checkpoint_threshold = '1TB'")
        # Each renewal replaces rows; those replaced are to leave the file at once, unlike in the warehouse.
        cursor.execute(TIDY_ROW_GROUPS)
        try:
            yield cursor
            # A detach would do it too, but says only in its second line what was wrong.
            cursor.execute("checkpoint snapshot")
            cursor.execute("detach snapshot")
        except BaseException:
            for statement in ("rollback", "detach snapshot"):
                # What is wrong was raised already; a detach that fails detaches all the same.
                with suppress(duckdb.Error):
                    cursor.execute(statement)
            raise
        finally:
            cursor.execute(LEAVE_ROW_GROUPS)
            cursor.execute("reset checkpoint_threshold")
    finally:
        cursor.close()


def copy_database(former: Path, folder: Path) -> None:
    """Copy the database of a snapshot into another's folder."""
    source, target = former / DATABASE, folder / DATABASE
    try:
        # Where the file system can (XFS, Btrfs), both files share their blocks until one is written to: the copy
        # takes no time and no room.
        with source.open("rb") as read, target.open("wb") as written:
            while os.copy_file_range(read.fileno(), written.fileno(), COPIED_AT_ONCE):
                pass
        if target.stat().st_size == source.stat().st_size:
            return
    except (AttributeError, OSError):
        # Linux alone has the call, and some of its file systems do not take it.
        pass
    shutil.copyfile(source, target)


def flush_database(folder: Path) -> None:
    """Wait until a folder's database is on the disk."""
    with (folder / DATABASE).open("rb") as database:
        os.fsync(database.fileno())


def parquet_statement(mart: str, folder: Path) -> str:
    """The statement that writes a mart of catalog `snapshot` as Parquet."""
    return f"copy snapshot.marts.{mart} to '{_quoted(parquet_path(mart, folder))}' ({PARQUET_FORMAT})"


def link_parquet(mart: str, former: Path, folder: Path) -> None:
    """Take a mart's Parquet from a snapshot in which it is the same."""
    try:
        os.link(parquet_path(mart, former), parquet_path(mart, folder))
    except OSError:
        # Some file systems have no links.
        shutil.copyfile(parquet_path(mart, former), parquet_path(mart, folder))


def parquet_path(mart: str, folder: Path) -> Path:
    """The file of a mart."""
    return folder / PARQUET / f"{mart}.parquet"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
