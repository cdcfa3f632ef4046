"""What can go wrong, split by remedy, and the exit code of each.

    DefenderSyncError            1  unexpected
    ├── ConfigurationError       2  mend the configuration or the command
    ├── AuthenticationError      3  renew the secret, or grant the role
    ├── UnavailableError         4  try again later
    │   └── ThrottledError       4  wait: the quota is spent
    ├── PartialError             5  some of it was done; the next sync goes on
    ├── LockedError              6  another sync is running
    ├── WarehouseError           1  mend the database file or the disk
    ├── NotOfferedError          0  the API has no such list (404, 410): a warning
    ├── RejectedError            1  the API refuses a request (400): it changed
    └── StoppedError       130/143  a signal

No I/O here. Every message is one or two lines that say what is wrong, where, and what to do.
"""

import signal
from enum import IntEnum

from pipelines.plain_text import plain


class ExitCode(IntEnum):
    """The command's exit codes, a contract with schedulers."""

    DONE = 0
    UNEXPECTED = 1
    CONFIGURATION = 2
    AUTHENTICATION = 3
    UNAVAILABLE = 4
    PARTIAL = 5
    LOCKED = 6


class DefenderSyncError(Exception):
    """Base of all errors that are told to the user in a line or two."""

    exit_code: int = ExitCode.UNEXPECTED


class ConfigurationError(DefenderSyncError):
    """A key, value or argument is wrong; nothing was touched."""

    exit_code = ExitCode.CONFIGURATION


class AuthenticationError(DefenderSyncError):
    """No token, a refused token, or a missing role."""

    exit_code = ExitCode.AUTHENTICATION


class UnavailableError(DefenderSyncError):
    """The API or the token endpoint does not answer as it should, beyond all retries."""

    exit_code = ExitCode.UNAVAILABLE


class ThrottledError(UnavailableError):
    """Waiting for the quota would take longer than `sync.max_wait_minutes` allows."""


class PartialError(DefenderSyncError):
    """Part of what was asked is done."""

    exit_code = ExitCode.PARTIAL


class LockedError(DefenderSyncError):
    """Another process holds the lock of the data directory."""

    exit_code = ExitCode.LOCKED


class WarehouseError(DefenderSyncError):
    """The database file, or the disk under it, does not do what it must."""


class NotOfferedError(DefenderSyncError):
    """A list endpoint answers 404 or 410: this tenant or cloud does not offer it."""

    exit_code = ExitCode.DONE


class RejectedError(DefenderSyncError):
    """The API answers 400 to a request that its documentation allows."""


class StoppedError(DefenderSyncError):
    """A signal asked the program to stop."""

    def __init__(self, signal_number: int = signal.SIGTERM) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; what was committed stays")
        self.exit_code = 128 + signal_number


def describe(error: BaseException) -> str:
    """An error in a line: its own words where it is one of ours, else its kind and first line."""
    if isinstance(error, DefenderSyncError):
        return plain(str(error))
    lines = str(error).strip().splitlines()
    return f"unexpected {type(error).__name__}" + (f": {plain(lines[0])[:300]}" if lines else "")
