"""The data directory: where everything that a sync writes lies, who may read it, and its lock.

All is its owner's only, but for what is published, which has `sync.published_mode`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.errors import ConfigurationError, LockedError, WarehouseError

# How long a command waits for the lock: `status` and `doctor` hold it for moments. No sync is as short.
LOCK_SECONDS = 0.25
# How a snapshot is named: by when it was written, in UTC.
SNAPSHOT_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"
# What its name ends in until it is complete.
PARTIAL = ".partial"


class DataDir:
    """The paths in one data directory; two data directories share nothing."""

    def __init__(self, path: Path, published_mode: str = "0640") -> None:
        self.path = path
        self.published_file_mode = int(published_mode, 8)

    @property
    def warehouse(self) -> Path:
        """The database. A file named like its schema would make `defender.machine_actions` ambiguous."""
        return self.path / "warehouse.duckdb"

    @property
    def upgrade_copies(self) -> list[Path]:
        """Databases of older versions, as they were before they were carried forward."""
        return sorted(self.path.glob("warehouse.version-*.duckdb"))

    @property
    def working_dir(self) -> Path:
        """Dlt's working files, of one run."""
        return self.path / "dlt"

    @property
    def quota(self) -> Path:
        """The calls made, by tenant."""
        return self.path / "quota.sqlite"

    @property
    def status(self) -> Path:
        """What `defender-sync status` tells."""
        return self.path / "status.json"

    @property
    def alerts(self) -> Path:
        """What the webhook was told last, and is still to be told."""
        return self.path / "alerts.json"

    @property
    def metrics(self) -> Path:
        """The last run's figures for Prometheus, where `sync.metrics_file` puts them nowhere else."""
        return self.path / "metrics.prom"

    @property
    def snapshots(self) -> Path:
        """The published snapshots."""
        return self.path / "snapshots"

    @property
    def published(self) -> Path:
        """The link to the latest complete snapshot."""
        return self.path / "published"

    @property
    def snapshots_by_tenant(self) -> Path:
        """The published snapshots of each tenant, in a folder named after it."""
        return self.path / "snapshots_by_tenant"

    @property
    def published_by_tenant(self) -> Path:
        """For each tenant, a link named after it to its latest complete snapshot."""
        return self.path / "published_by_tenant"

    @property
    def published_dir_mode(self) -> int:
        """Whoever may read a published file may enter and list its folder."""
        return self.published_file_mode | (self.published_file_mode & 0o444) >> 2 | 0o700

    def create(self) -> None:
        """Make the folder. From here on, files that this process makes are their owner's only.

        A folder through which some may pass is opened as far as a wider `published_mode` needs; files that were put
        back from a backup are closed to others.
        """
        os.umask(0o077)
        # Passing through is what a reader of the snapshots needs here; listing is not.
        pass_through = 0o700 | (self.published_dir_mode & 0o011)
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            for folder in reversed(missing):
                folder.mkdir()
                folder.chmod(pass_through)
            if not self.path.is_dir():
                raise NotADirectoryError(20, "it is no folder")
        except OSError as error:
            raise ConfigurationError(
                f"sync.data_dir: {self.path} cannot be made: {error.strerror}"
            ) from error
        # A folder that lets nobody through was closed on purpose; another account's may not be changed.
        mode = self.path.stat().st_mode
        if mode & 0o011 and mode & pass_through != pass_through:
            with suppress(OSError):
                self.path.chmod(mode & 0o7777 | pass_through)
        write_ahead_log = self.warehouse.with_name(f"{self.warehouse.name}.wal")
        for path in (
            self.warehouse,
            write_ahead_log,
            self.quota,
            self.status,
            self.alerts,
            *self.upgrade_copies,
        ):
            with suppress(OSError):
                if path.stat().st_mode & 0o077:
                    path.chmod(path.stat().st_mode & 0o700)

    def check_link(self) -> None:
        """Raise WarehouseError where something else stands in the place of the link to what is published."""
        if self.published.exists() and not self.published.is_symlink():
            raise WarehouseError(
                f"{self.published} is in the way: it is to be a link to the latest snapshot. Move it away, then sync "
                "again"
            )

    def tidy(self) -> None:
        """Remove what killed runs left half written; for whoever holds the lock.

        Raises WarehouseError as `check_link` does.
        """
        self.check_link()
        for left_over in (
            *self.snapshots.glob(f"*{PARTIAL}"),
            *self.snapshots_by_tenant.glob(f"*/*{PARTIAL}"),
            *self.path.glob(f".{self.warehouse.name}.new*"),
        ):
            if left_over.is_dir() and not left_over.is_symlink():
                shutil.rmtree(left_over)
            else:
                left_over.unlink()

    @contextmanager
    def locked(self, wait_seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the lock. The system lets go of it when the process ends, however it ends."""
        lock = FileLock(self.path / "lock", mode=0o600)
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout:
            raise LockedError(
                f"another sync is running in {self.path}; this one did nothing. Its progress: defender-sync status"
            ) from None
        except OSError as error:
            raise WarehouseError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def is_locked(self) -> bool:
        """Whether a sync is running."""
        if not (self.path / "lock").exists():
            return False
        try:
            with self.locked(wait_seconds=0):
                return False
        except LockedError:
            return True


def replace_file(path: Path, content: str, mode: int | None = None) -> None:
    """Write a file in one rename, so that a reader sees the old one or the new one; its owner's only, or of `mode`."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(content)
    if mode is not None:
        fresh.chmod(mode)
    fresh.replace(path)
