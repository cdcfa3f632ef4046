"""How many calls each tenant has made of each API, counted on disk for all processes.

Owns the two limits of the service (calls a minute and an hour). It says how long to wait; it never waits.
"""

import logging
import sqlite3
import threading
from contextlib import closing
from datetime import datetime
from pathlib import Path

from pyrate_limiter import Duration, Rate, RateItem, SQLiteBucket

logger = logging.getLogger(__name__)

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


class Quota:
    """The calls of one tenant to one API."""

    def __init__(self, path: Path, name: str, per_minute: int, per_hour: int) -> None:
        self.per_minute, self.per_hour = per_minute, per_hour
        self._lock = threading.Lock()
        self._name = name
        self._left = (per_minute, per_hour)
        self._is_closed = False
        self._bucket = _opened(path, f"calls_{name}", _binding_rates(per_minute, per_hour))

    def take(self, now: datetime) -> float:
        """Count one call made now; or, when the quota is spent, the seconds until one may be made."""
        stamp = int(now.timestamp() * 1000)
        with self._lock, self._bucket.lock:
            self._forget_before(stamp)
            item = RateItem(self._name, stamp)
            if self._bucket.put(item):
                return 0.0
            wait = self._bucket.waiting(item)
        return max(int(wait) / 1000, 0.05) if isinstance(wait, int) else 1.0

    def left(self, now: datetime) -> tuple[int, int]:
        """Calls left in this minute and in this hour; as they were last known, once it is closed."""
        stamp = int(now.timestamp() * 1000)
        with self._lock:
            if not self._is_closed:
                with self._bucket.lock:
                    minute = self._count_since(stamp - MINUTE_MS)
                    hour = self._count_since(stamp - HOUR_MS)
                self._left = max(self.per_minute - minute, 0), max(self.per_hour - hour, 0)
            return self._left

    def seconds_for(self, calls: int, now: datetime) -> float:
        """About how long the limits make that many calls wait."""
        minute, hour = self.left(now)
        if calls <= min(minute, hour):
            return 0.0
        by_minute = (calls - minute) / self.per_minute * 60
        by_hour = (calls - hour) / self.per_hour * 3600
        return max(by_minute, by_hour, 0.0)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._is_closed = True
            self._bucket.conn.close()

    def _count_since(self, stamp: int) -> int:
        query = f'SELECT COUNT(*) FROM "{self._bucket.table}" WHERE item_timestamp > ?'  # noqa: S608
        with closing(self._bucket.conn.execute(query, (stamp,))) as cursor:
            return int(cursor.fetchone()[0])

    def _forget_before(self, stamp: int) -> None:
        """Drop calls older than an hour, and calls of a future that a clock set back has made."""
        query = f'DELETE FROM "{self._bucket.table}" WHERE item_timestamp < ? OR item_timestamp > ?'  # noqa: S608
        self._bucket.conn.execute(query, (stamp - HOUR_MS, stamp + MINUTE_MS)).close()
        self._bucket.conn.commit()


def _opened(path: Path, table: str, rates: list[Rate]) -> SQLiteBucket:
    """The bucket in that file; a file that is damaged is made anew, as it holds no more than an hour's calls."""
    try:
        return SQLiteBucket.init_from_file(rates, table=table, db_path=str(path), use_file_lock=True)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        logger.warning("%s is damaged and is made anew: calls of the last hour are not counted", path)
        path.unlink()
        return SQLiteBucket.init_from_file(rates, table=table, db_path=str(path), use_file_lock=True)


def _binding_rates(per_minute: int, per_hour: int) -> list[Rate]:
    """The limits that can be reached; the bucket refuses one that the other makes pointless."""
    minute, hour = Rate(per_minute, Duration.MINUTE), Rate(per_hour, Duration.HOUR)
    if per_hour >= per_minute * 60:
        return [minute]
    if per_hour <= per_minute:
        return [hour]
    return [minute, hour]
