"""The dashboard's queries: what a panel shows is what its SQL answers anywhere, and every moment says its zone."""

from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hostile import HOSTILE_ID

from dashboard import charts
from dashboard.query import names, query
from dashboard.snapshot import current, read

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
VALUES = {
    "tenants": ["contoso", "contoso_emea"],
    "since": NOW - timedelta(days=30),
    "until": NOW + timedelta(hours=1),
    "machine": "a",
    "machine_id": HOSTILE_ID,
    "machine_tenant": "contoso_emea",
    "text": "a",
}


def shown_in(zone, snapshot, name):
    """What somebody gets who runs the SQL as the panel shows it, in a session of that zone."""
    with duckdb.connect(str(snapshot / "defender.duckdb"), read_only=True) as connection:
        connection.execute(f"set TimeZone = '{zone}'")
        return connection.execute(query(name, VALUES).shown).fetchall()


@pytest.mark.parametrize("name", names())
def test_shown_sql_answers_the_same_in_every_time_zone(snapshot, name):
    asked = query(name, VALUES)
    panel = list(read(current(snapshot), asked.text, dict(asked.values), None).rows)
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        assert shown_in(zone, snapshot, name) == panel, zone


@pytest.mark.parametrize("name", names())
def test_every_moment_says_its_zone(snapshot, name):
    asked = query(name, VALUES)
    rows = read(current(snapshot), asked.text, dict(asked.values), None).rows
    moments = [value for row in rows for value in row if isinstance(value, datetime)]
    assert [moment for moment in moments if moment.tzinfo is None] == []


@pytest.mark.parametrize(
    ("name", "time_column"), [("activity_by_day", "day_utc"), ("activity_by_hour", "hour_utc")]
)
def test_a_bar_stands_at_its_moment_in_every_browser(snapshot, name, time_column):
    # A browser takes a time without a zone for one of its own zone.
    asked = query(name, VALUES)
    chart = charts.stacked(
        read(current(snapshot), asked.text, dict(asked.values), None), time_column, "outcome"
    )
    [points] = chart.to_dict()["datasets"].values()
    times = [point[time_column] for point in points]
    assert times
    assert all(time.endswith("+00:00") for time in times)
