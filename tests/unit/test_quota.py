"""Calls counted on disk, for all processes."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from support.records import NOW

from pipelines.database_errors import as_warehouse_error
from pipelines.quota import Quota


@pytest.fixture
def quota(tmp_path):
    """Opens the quota of a tenant, with limits."""
    opened = []

    def open_quota(per_minute: int = 3, per_hour: int = 5, name: str = "contoso__machine_actions") -> Quota:
        opened.append(Quota(tmp_path / "quota.sqlite", name, per_minute, per_hour))
        return opened[-1]

    yield open_quota
    for each in opened:
        each.close()


def calls_at(quota: Quota, *seconds: float) -> list[bool]:
    """Which of these calls are let through at once."""
    return [quota.take(NOW + timedelta(seconds=each)) == 0 for each in seconds]


def test_a_damaged_file_is_made_anew_and_a_closed_one_still_tells_what_was_left(tmp_path, caplog):
    path = tmp_path / "quota.sqlite"
    path.write_bytes(b"garbage" * 1_000)
    quota = Quota(path, "contoso", 100, 1_500)
    assert "is damaged and is made anew" in caplog.text
    assert quota.take(NOW) == 0.0
    assert quota.left(NOW) == (99, 1_499)
    quota.close()
    assert quota.left(NOW) == (99, 1_499)


def test_a_minute_lets_so_many_calls_through(quota):
    assert calls_at(quota(), 0, 1, 2, 3, 59) == [True, True, True, False, False]


def test_the_wait_is_until_the_oldest_call_is_a_minute_old(quota):
    limited = quota()
    calls_at(limited, 0, 10, 20)
    wait = limited.take(NOW + timedelta(seconds=30))
    assert 30 <= wait < 31
    assert limited.take(NOW + timedelta(seconds=30 + wait)) == 0


def test_an_hour_lets_so_many_calls_through(quota):
    limited = quota()
    assert calls_at(limited, 0, 120, 240, 360, 480, 600) == [True] * 5 + [False]
    wait = limited.take(NOW + timedelta(seconds=600))
    assert 3_000 <= wait < 3_001


def test_a_wait_is_no_call(quota):
    limited = quota(per_minute=1, per_hour=100)
    assert calls_at(limited, 0, *range(1, 60), 61) == [True, *[False] * 59, True]


def test_no_window_of_a_minute_or_an_hour_ever_holds_more_than_the_limit(quota):
    limited = quota(per_minute=4, per_hour=11)
    passed = [second for second in range(0, 7_200, 7) if calls_at(limited, second) == [True]]
    assert all(sum(start <= each < start + 60 for each in passed) <= 4 for start in passed)
    assert all(sum(start <= each < start + 3_600 for each in passed) <= 11 for start in passed)
    assert len(passed) >= 22


def test_another_process_sees_the_calls_that_were_made(quota):
    calls_at(quota(), 0, 1, 2)
    assert calls_at(quota(), 3) == [False]


def test_each_tenant_and_api_has_its_own(quota):
    calls_at(quota(), 0, 1, 2)
    assert calls_at(quota(name="contoso__investigations"), 3) == [True]


def test_what_is_left_is_told(quota):
    limited = quota()
    calls_at(limited, 0, 1)
    assert limited.left(NOW + timedelta(seconds=2)) == (1, 3)
    assert limited.left(NOW + timedelta(seconds=90)) == (3, 3)
    assert limited.left(NOW + timedelta(hours=2)) == (3, 5)


def test_calls_of_a_future_that_a_clock_set_back_has_made_do_not_block(quota):
    limited = quota()
    calls_at(limited, 7_200, 7_201, 7_202)
    assert calls_at(limited, 0) == [True]


@pytest.mark.parametrize(("per_minute", "per_hour"), [(100, 10), (1, 1), (10, 600), (10, 10_000)])
def test_a_limit_that_the_other_makes_pointless_is_no_error(quota, per_minute, per_hour):
    limited = quota(per_minute=per_minute, per_hour=per_hour)
    passed = sum(calls_at(limited, *(n / 100 for n in range(min(per_minute, per_hour) + 1))))
    assert passed == min(per_minute, per_hour)


def test_what_sqlite_cannot_write_is_told_of_the_quota_and_not_of_the_warehouse():
    error = sqlite3.OperationalError("attempt to write a readonly database")
    told = str(as_warehouse_error(error, Path("data/warehouse.duckdb")))
    assert told.startswith("data/quota.sqlite could not be read or written (attempt to write a readonly")
