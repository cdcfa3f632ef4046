"""What must not depend on who reads: the session's time zone, or one machine with thousands of rows."""

import time

import pytest
from worlds import World, sql_files


def fill(world: World) -> None:
    """A little of everything, close to midnights, week ends and changes of the clock in far zones."""
    world.run("04-20 00:00", window_start="01-01 00:00")
    moments = [
        "03-28 23:59:59.999999",
        "03-29 01:30",
        "04-04 13:59",
        "04-05 00:00",
        "04-05 14:30",
        "04-12 11:59",
    ]
    for number, at in enumerate(moments):
        kind = ["Isolate", "Unisolate", "RunAntiVirusScan"][number % 3]
        ended = f"{at[:6]}23:59:59" if number % 2 else at
        status = "Failed" if number == 4 else "Succeeded"
        commands = [{"startTime": f"2026-{at[:5]}T{at[6:]}", "command": {"type": "GetFile"}}]
        world.action(
            f"a{number}", kind, status, at=at, ended=ended, requestor="ada@contoso.com", commands=commands
        )
        world.action(f"b{number}", "Isolate", "Failed", at=at, machine_id="m2", seen=[("Pending", at)])
        world.investigation(f"{number}", start=at, end=moments[-1], seen=[("Running", at)])


def test_no_mart_depends_on_the_reader_s_time_zone() -> None:
    answers = []
    for time_zone in ("Pacific/Auckland", "America/St_Johns", "UTC"):
        world = World(time_zone)
        fill(world)
        answers.append({path.stem: world.rows(f"marts.{path.stem}") for path in sql_files("marts")})
        assert all(answers[-1].values()), "every mart has a row, or the comparison says nothing"
        world.connection.close()
    assert answers[0] == answers[1] == answers[2]


CROWD = """
insert into defender.machine_actions
    (tenant, id, type, status, machine_id, creation_date_time_utc, last_update_date_time_utc, synced_at)
select 'contoso', 'a' || i, case when i % 2 = 0 then 'Isolate' else 'Unisolate' end,
    case when i % 3 = 0 then 'Failed' else 'Succeeded' end, 'm1',
    timestamptz '2026-01-01 00:00:00Z' + to_minutes(i), timestamptz '2026-01-01 00:00:00Z' + to_minutes(i + 5),
    timestamptz '2026-01-01 00:00:00Z' + to_minutes(i + 5)
from range(40000) as r(i);
insert into defender.machine_action_versions
    (tenant, id, type, status, machine_id, creation_date_time_utc, last_update_date_time_utc, version, observed_at)
select tenant, id, type, status, machine_id, creation_date_time_utc, last_update_date_time_utc, 1, synced_at
from defender.machine_actions;
insert into defender.investigations (tenant, id, state, start_time, end_time, machine_id, synced_at)
select 'contoso', i::varchar, 'Benign', timestamptz '2026-01-01 00:00:00Z' + to_minutes(i * 20),
    timestamptz '2026-01-01 00:00:00Z' + to_minutes(i * 20 + 15), 'm1', timestamptz '2026-02-01 00:00:00Z'
from range(2000) as r(i);
insert into defender.investigation_versions (tenant, id, state, start_time, end_time, machine_id, version, observed_at)
select tenant, id, state, start_time, end_time, machine_id, 1, synced_at from defender.investigations;
"""
LINEAR = sorted({path.stem for path in sql_files("marts")} - {"machine_action_investigations"})


@pytest.fixture(scope="module")
def crowded() -> World:
    world = World()
    world.run("03-01 00:00", window_start="01-01 00:00")
    world.connection.execute(CROWD)
    return world


@pytest.mark.parametrize("mart", LINEAR)
def test_one_machine_with_tens_of_thousands_of_actions_costs_no_more_than_many_machines(
    crowded: World, mart: str
) -> None:
    """40,000 actions on one machine: anything that pairs them with each other would take minutes."""
    began = time.monotonic()
    crowded.connection.execute(f"create or replace temp table answer as select * from marts.{mart}")
    assert time.monotonic() - began < 10


def test_the_join_on_a_machine_with_thousands_of_both_keeps_to_its_window() -> None:
    world = World()
    world.run("07-01 00:00")
    world.connection.execute(
        "insert into defender.machine_actions (tenant, id, type, status, machine_id, creation_date_time_utc)"
        " select 'contoso', 'a' || i, 'Isolate', 'Failed', 'm1',"
        " timestamptz '2026-01-01 00:00:00Z' + to_hours(i) from range(4000) as r(i)"
    )
    world.connection.execute(
        "insert into defender.investigations (tenant, id, state, machine_id, start_time, end_time)"
        " select 'contoso', i::varchar, 'Benign', 'm1', timestamptz '2026-01-01 00:00:00Z' + to_hours(i),"
        " timestamptz '2026-01-01 00:30:00Z' + to_hours(i) from range(4000) as r(i)"
    )
    began = time.monotonic()
    world.connection.execute("create temp table answer as select * from marts.machine_action_investigations")
    assert time.monotonic() - began < 10
    # From 168 hours before each start to 168 hours after it, cut at both ends of the world.
    pairs = 4000 * 337 - 168 * 169
    assert world.query("select count(*) as pairs, sum(is_nearest::int) as nearest from answer") == [
        {"pairs": pairs, "nearest": 4000}
    ]
