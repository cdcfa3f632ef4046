"""What `status` knows while a sync runs, and after one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from support.records import NOW, action, ago
from support.stage import unpublished

from pipelines.errors import ConfigurationError, StoppedError, WarehouseError
from pipelines.status import parse_duration, read_status, too_old
from simulator import RunFirst, Status


def test_status_answers_while_a_sync_runs_and_says_so(stage, world):
    world.put_action(action("a", ago(hours=2)))
    stage.sync().assert_ok()
    reports = []
    rule = stage.sim.faults.add(
        RunFirst(lambda: reports.append(read_status(stage.settings(), stage.clock())))
    )
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    assert rule.fired == 1
    [during] = reports
    assert during["running"]["started_at"] == (NOW + timedelta(minutes=5)).isoformat()
    facts = during["tenants"]["contoso"]["machine_actions"]
    assert (facts["row_count"], facts["age_seconds"]) == (1, 300)
    assert read_status(stage.settings(), stage.clock())["running"] is None


def test_status_tells_how_the_last_run_failed_and_when_one_last_succeeded(stage):
    stage.sync().assert_ok()
    stage.clock.advance(minutes=10)
    stage.sim.faults.add(Status(403), times=None)
    stage.sync()
    facts = read_status(stage.settings(), stage.clock())["tenants"]["contoso"]
    assert facts["machine_actions"]["last_run_status"] == "failed"
    assert "403" in facts["machine_actions"]["last_run_error"]
    assert facts["machine_actions"]["age_seconds"] == 600
    assert facts["investigations"]["age_seconds"] == 0


def test_a_tenant_is_too_old_when_its_last_success_is_or_when_it_never_had_one(open_stage):
    stage = open_stage(fresh=True, publishes=True)
    assert too_old(read_status(stage.settings(), NOW), timedelta(days=9)) == [
        "contoso.machine_actions",
        "contoso.investigations",
    ]
    stage.sim.faults.add(Status(404), on="investigations", times=None)
    assert stage.sync().exit_code == 0
    later = stage.clock.advance(minutes=31)
    report = read_status(stage.settings(), later)
    assert too_old(report, timedelta(minutes=30)) == ["contoso.machine_actions"], "not what is not offered"
    assert too_old(report, timedelta(minutes=32)) == []


def test_a_success_in_the_future_is_no_fresh_one(open_stage):
    stage = open_stage(publishes=True)
    stage.sync().assert_ok()
    ahead = stage.clock() - timedelta(hours=1)
    assert too_old(read_status(stage.settings(), ahead), timedelta(days=9)) == [
        "contoso.machine_actions",
        "contoso.investigations",
    ]
    assert (
        too_old(read_status(stage.settings(), stage.clock() - timedelta(minutes=4)), timedelta(days=9)) == []
    )


def test_a_tenant_that_offers_no_list_at_all_is_too_old(stage):
    for endpoint in ("machineactions", "investigations"):
        stage.sim.faults.add(Status(404), endpoint, times=None)
    assert stage.sync().exit_code == 0
    assert too_old(read_status(stage.settings(), stage.clock()), timedelta(days=9)) == [
        "contoso.machine_actions",
        "contoso.investigations",
    ]


def test_what_is_published_is_too_old_where_it_is_not_written_any_more(open_stage):
    stage = open_stage(publishes=True)
    stage.sync().assert_ok()
    at = stage.clock()
    stage.clock.advance(minutes=10)
    assert datetime.fromisoformat(read_status(stage.settings(), at)["published_at"]) == at
    with unpublished():
        stage.sync().assert_ok()
    report = read_status(stage.settings(), stage.clock())
    assert report["published_age_seconds"] == 600
    assert too_old(report, timedelta(minutes=5)) == ["published"]
    assert too_old({**report, "published_age_seconds": -600}, timedelta(days=9)) == ["published"]
    assert too_old(read_status(stage.settings(), stage.clock()), timedelta(minutes=15)) == []


def test_a_run_that_failed_as_a_whole_is_told_until_one_does_not(open_stage, monkeypatch):
    stage = open_stage(publishes=True)
    stage.sync().assert_ok()
    facts = read_status(stage.settings(), stage.clock())["tenants"]
    warehouse = stage.data_dir / "warehouse.duckdb"
    kept = warehouse.read_bytes()
    warehouse.write_bytes(b"no database" * 1000)
    at = stage.clock.advance(minutes=10)
    with pytest.raises(WarehouseError) as failure:
        stage.sync()
    report = read_status(stage.settings(), at)
    assert report["failed_run"] == {"at": at.isoformat(), "exit_code": 1, "error": str(failure.value)}
    assert report["running"] is None
    told = report["tenants"]["contoso"]["machine_actions"]
    assert told == {**facts["contoso"]["machine_actions"], "age_seconds": 600, **left_of(told)}

    warehouse.write_bytes(kept)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.publish._set_modes", full_disk)
        with pytest.raises(WarehouseError):
            stage.sync()
    assert "the snapshot cannot be written" in read_status(stage.settings(), at)["failed_run"]["error"]
    for at_which in ("pipelines.sync._Run._check", "pipelines.sync.publish"):
        with monkeypatch.context() as patch:
            patch.setattr(at_which, stopped)
            with pytest.raises(StoppedError):
                stage.sync()
        assert read_status(stage.settings(), at)["failed_run"] is not None, (
            "a run that was stopped mends nothing"
        )
    stage.clock.advance(minutes=10)
    stage.sync().assert_ok()
    assert read_status(stage.settings(), stage.clock())["failed_run"] is None


def stopped(*_args, **_options):
    raise StoppedError


def full_disk(*_args):
    raise OSError(28, "No space left on device")


def left_of(facts):
    return {name: facts[name] for name in ("quota_left_minute", "quota_left_hour")}


def test_calls_whose_count_cannot_be_read_are_not_known(stage):
    stage.sync().assert_ok()
    quota = stage.data_dir / "quota.sqlite"
    quota.unlink()
    quota.mkdir()
    facts = read_status(stage.settings(), stage.clock())["tenants"]["contoso"]["machine_actions"]
    assert (facts["row_count"], facts["quota_left_minute"], facts["quota_left_hour"]) == (0, None, None)


def test_calls_left_are_those_of_the_last_minute_and_hour(stage):
    done = stage.sync().assert_ok()
    made = len(done.calls("machine_actions"))

    def left() -> tuple[int, int]:
        facts = read_status(stage.settings(), stage.clock())["tenants"]["contoso"]["machine_actions"]
        return facts["quota_left_minute"], facts["quota_left_hour"]

    assert left() == (100 - made, 1_500 - made)
    stage.clock.advance(minutes=2)
    assert left() == (100, 1_500 - made)
    stage.clock.advance(hours=1)
    assert left() == (100, 1_500)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        '{"tenants":[]}',
        '{"running":1}',
        '{"failed_run":1}',
        '{"failed_run":{"at":"2026-11-20T12:00:00+00:00","exit_code":"1","error":""}}',
        '{"tenants":{"contoso":{"x":{"last_success_at":5}}}}',
    ],
)
def test_a_status_file_that_is_missing_or_damaged_is_told_and_the_next_sync_heals_it(stage, content):
    stage.sync().assert_ok()
    file = stage.data_dir / "status.json"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(WarehouseError, match="the next sync writes it anew"):
        read_status(stage.settings(), NOW)
    stage.sync().assert_ok()
    assert read_status(stage.settings(), NOW)["tenants"]["contoso"]["machine_actions"]["row_count"] == 0


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("1d", 86_400)])
def test_a_duration_is_a_number_and_a_unit(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "m", "5", "5w", "-5m", "1.5h", "5 m", "²m", "9999999d"])
def test_what_is_no_duration_is_a_wrong_usage(text):
    with pytest.raises(ConfigurationError, match="--max-age"):
        parse_duration(text)
