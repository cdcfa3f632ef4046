"""The network and the API's moods: what is waited out, what is tried again, and when the sync gives up."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from support.records import NOW, action, ago
from urllib3.connection import HTTPSConnection

from pipelines.client import TIMEOUT_SECONDS, Patience
from pipelines.errors import RejectedError, ThrottledError, UnavailableError
from simulator import (
    CutOff,
    Drop,
    Garbage,
    Limits,
    NoValue,
    Redirect,
    Slow,
    Status,
    TooManyRequests,
    WrongContentType,
)

ROWS = 30
PAGE = 10
BROKEN_ONCE = {
    "500": Status(500),
    "502 with html": Status(502),
    "503": Status(503),
    "503 that says when": Status(503, retry_after="7"),
    "504": Status(504),
    "408": Status(408),
    "an error that is no JSON": Status(500, body=b"\xff<html>", content_type="text/html"),
    "an error nested deep": Status(500, body=b'{"error":' * 5_000),
    "reset": Drop(),
    "cut off at once": CutOff(0),
    "cut off": CutOff(),
    "cut off JSON with its length": Garbage(),
    "empty body": Garbage(b""),
    "undecodable": Garbage(b"\xff\xfe\x00{"),
    "html": Garbage(b"<html>sign in here</html>", "text/html"),
    "no value": NoValue(),
    "value is no list": NoValue(b'{"value": null}'),
}


@pytest.fixture
def filled(open_stage, world):
    """Thirty actions of one hour, five hours ago: three pages and the sight of their end."""
    for number in range(ROWS):
        world.put_action(action(f"a{number}", ago(hours=5) + timedelta(minutes=number)))
    return open_stage(world, page_size=PAGE)


def test_a_call_that_fails_once_is_tried_again_and_counted(open_stage, filled, caplog):
    """Every second call fails, each in another way."""
    stage = open_stage(filled.world, page_size=1, max_concurrent_requests=1)
    rules = {
        name: stage.sim.faults.add(effect, nth=2 * number + 1)
        for number, (name, effect) in enumerate(BROKEN_ONCE.items())
    }
    done = stage.sync().assert_ok()
    assert {name: rule.fired for name, rule in rules.items()} == dict.fromkeys(BROKEN_ONCE, 1)
    assert (done.run().retries, done.run().calls) == (len(BROKEN_ONCE), len(done.calls()))
    assert 7 < done.run().waited_seconds < 7 + len(BROKEN_ONCE)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([text for text in warnings if "try 2 of 6 in" in text]) == len(BROKEN_ONCE)
    [row] = stage.warehouse().rows("from defender.sync_runs where resource = 'machine_actions'")
    assert (row["retries"], row["status"]) == (len(BROKEN_ONCE), "succeeded")
    stage.assert_in_step()


def test_a_wrong_content_type_does_not_matter_as_long_as_the_body_is_json(filled):
    rule = filled.sim.faults.add(WrongContentType(), times=None)
    done = filled.sync().assert_ok()
    assert (rule.fired >= 3, done.run().retries) == (True, 0)
    filled.assert_in_step()


def test_a_slow_answer_is_waited_for_and_one_beyond_the_time_out_is_tried_again(filled, monkeypatch, caplog):
    slow = filled.sim.faults.add(Slow(0.4), nth=1)
    assert filled.sync().assert_ok().run().retries == 0
    monkeypatch.setattr("pipelines.client.TIMEOUT_SECONDS", (5.0, 0.25))
    late = filled.sim.faults.add(Slow(0.6), nth=1)
    stalled = filled.sim.faults.add(Slow(0.6, midway=True), nth=3)
    done = filled.sync().assert_ok()
    assert (slow.fired, late.fired, stalled.fired, done.run().retries) == (1, 1, 1, 2)
    assert caplog.text.count("no answer in time; try 2 of 6") == 2
    filled.assert_in_step()


def test_calls_share_one_connection_also_behind_errors(open_stage, filled, monkeypatch):
    def opened_by(*failures):
        opened = []
        stage = open_stage(filled.world, page_size=5, max_concurrent_requests=1)
        for nth, effect in enumerate(failures, 3):
            stage.sim.faults.add(effect, nth=nth)
        monkeypatch.setattr(
            HTTPSConnection, "connect", lambda self: opened.append(self.host) or connect(self)
        )
        calls = stage.sync().assert_ok().calls()
        monkeypatch.undo()
        assert len(calls) > 10
        return len(opened)

    connect = HTTPSConnection.connect
    plain = opened_by()
    assert plain < 5
    assert opened_by(Status(503), Status(500, body=b"x" * 100_000), Garbage(b"<html>")) == plain
    assert opened_by(CutOff()) == plain + 1


def test_an_answer_of_ten_seconds_is_within_the_time_out():
    assert min(TIMEOUT_SECONDS) >= 10
    assert TIMEOUT_SECONDS[1] > 10


@pytest.mark.parametrize("kind", ["503", "reset", "cut off", "no value"])
def test_beyond_patience_the_sync_ends_with_what_is_committed(filled, kind):
    """The first two windows are read; from then on every call fails."""
    rule = filled.sim.faults.add(BROKEN_ONCE[kind], nth=3, times=None)
    filled.sim.faults.add(Status(500), on="investigations", times=None)
    done = filled.sync()
    assert (done.exit_code, rule.fired) == (4, 6)
    assert isinstance(done.error(), UnavailableError)
    assert "after 6 tries; try again later" in str(done.error())
    assert (done.run().status, done.run().retries, done.run().calls) == ("failed", 5, 8)
    committed = filled.watermark()
    assert committed is not None
    assert committed < ago(hours=5)
    assert [
        row for row in filled.loaded("machine_actions").values() if row["creation_date_time_utc"] >= committed
    ] == []
    filled.sim.faults.clear()
    again = filled.sync().assert_ok()
    assert (
        f"creationDateTimeUtc ge {committed - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"
        in (again.calls()[0].params["$filter"])
    )
    filled.assert_in_step()


def test_a_list_that_vanishes_for_a_moment_is_asked_for_again(filled):
    filled.sim.faults.add(Status(404), on="machineactions", nth=3)
    assert filled.sync().assert_ok().run().retries == 1
    filled.assert_in_step()


@pytest.mark.parametrize("status", [404, 410])
def test_a_list_that_vanishes_midway_is_no_list_that_is_not_offered(filled, status):
    filled.sim.faults.add(Status(status), on="machineactions", nth=3, times=None)
    done = filled.sync()
    assert (done.run().status, done.exit_code) == ("failed", 5)
    assert isinstance(done.error(), UnavailableError)
    assert f"{status}" in str(done.error())
    assert "after 6 tries" in str(done.error())
    assert filled.watermark() is not None, "what was read before is kept"
    filled.sim.faults.clear()
    filled.sync().assert_ok()
    filled.assert_in_step()


@pytest.mark.parametrize(
    ("effect", "seconds"),
    [
        (TooManyRequests(90, as_date=True), 90),
        (TooManyRequests(None), 10),
        (TooManyRequests(3_600), 3_600),
        (Status(429, retry_after="1.5"), 1.5),
    ],
    ids=["date", "no header", "an hour", "fraction"],
)
def test_a_429_is_waited_out_as_told(filled, caplog, effect, seconds):
    rule = filled.sim.faults.add(effect, nth=2)
    begun = filled.clock.now()
    done = filled.sync().assert_ok()
    assert (rule.fired, done.run().retries, done.run().waited_seconds) == (1, 1, seconds)
    assert filled.clock.now() - begun == timedelta(seconds=seconds)
    refused = next(call for call in done.calls() if call.status == 429)
    follower = done.calls()[done.calls().index(refused) + 1]
    assert follower.at - refused.at == timedelta(seconds=seconds)
    assert "throttled; waiting" in caplog.text
    filled.assert_in_step()


@pytest.mark.parametrize("told", ["soon", "nan", "", "12 apples"])
def test_a_retry_after_that_says_nothing_is_as_none(filled, told):
    rule = filled.sim.faults.add(Status(429, retry_after=told), nth=2)
    done = filled.sync(resources=("machine_actions",)).assert_ok()
    assert (rule.fired, done.run().waited_seconds) == (1, 10)


@pytest.mark.parametrize("offset", [timedelta(hours=1), timedelta(hours=-1)], ids=["ahead", "behind"])
def test_a_429_by_date_goes_by_the_clock_of_the_server(filled, offset):
    filled.sim.faults.clock_offset = offset
    rule = filled.sim.faults.add(TooManyRequests(90, as_date=True), nth=2)
    done = filled.sync()
    assert (rule.fired, done.run().waited_seconds) == (1, 90)


@pytest.mark.parametrize(
    "effect",
    [TooManyRequests(4_000), Status(429, retry_after="9" * 400)],
)
def test_a_wait_beyond_patience_is_not_begun(filled, effect):
    rule = filled.sim.faults.add(effect, nth=3, times=None)
    filled.sim.faults.add(Status(500), on="investigations", times=None)
    begun = filled.clock.now()
    done = filled.sync(max_wait_minutes=65.0)
    assert (done.exit_code, rule.fired) == (4, 1)
    assert isinstance(done.error(), ThrottledError)
    assert "sync.max_wait_minutes leaves 3900 s" in str(done.error())
    assert filled.clock.now() - begun < timedelta(minutes=2)
    assert filled.watermark() is not None
    filled.sim.faults.clear()
    filled.sync().assert_ok()
    filled.assert_in_step()


@pytest.mark.parametrize("effect", [TooManyRequests(None), TooManyRequests(0)])
def test_a_429_for_ever_ends_with_the_patience_and_is_no_storm(filled, effect):
    rule = filled.sim.faults.add(effect, times=None)
    filled.sim.faults.add(Status(500), on="investigations", times=None)
    begun = filled.clock.now()
    done = filled.sync(max_wait_minutes=30.0)
    assert (done.exit_code, rule.fired == len(done.calls())) == (4, True)
    assert 20 < len(done.calls()) < 50
    assert filled.clock.now() - begun <= timedelta(minutes=32)


def test_the_quota_of_an_hour_is_waited_out(open_stage, filled):
    stage = open_stage(
        filled.world, limits=Limits(per_minute=100, per_hour=8), page_size=PAGE, max_concurrent_requests=1
    )
    begun = stage.clock.now()
    done = stage.sync(scrub_calls=0, requests_per_hour=8, resources=("machine_actions",)).assert_ok()
    assert len(done.calls()) > 8
    assert stage.clock.now() - begun == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=2))
    assert done.run().waited_seconds == pytest.approx(3_600, abs=2)
    assert [call for call in done.requests if call.status == 429] == []
    assert len(stage.loaded("machine_actions")) == ROWS


def test_waits_at_the_same_time_are_spent_once():
    """Four readers, and the tenant's other resource, wait for the same hour."""
    patience = Patience(3_900, "contoso")
    assert [patience.spend(NOW + timedelta(seconds=n), 3_600) for n in range(5)] == [3_600, 1, 1, 1, 1]
    with pytest.raises(ThrottledError, match="leaves 296 s"):
        patience.spend(NOW + timedelta(hours=2), 300)
    assert patience.spend(NOW + timedelta(hours=3), 296) == 296


@pytest.mark.parametrize("status", [400, 414, 431])
def test_a_request_that_the_api_refuses_is_not_tried_again(filled, status):
    rule = filled.sim.faults.add(Status(status), times=None)
    done = filled.sync()
    assert (rule.fired, done.exit_code, isinstance(done.error(), RejectedError)) == (1, 5, True)
    assert f"HTTP {status}" in str(done.error())


def test_a_failure_while_later_pages_are_read_loses_no_row(filled):
    """The third page breaks off for good: what its window brought is not committed as whole."""
    filled.sync().assert_ok()
    for number in range(PAGE * 5):
        filled.world.put_action(action(f"n{number}", filled.clock.now() + timedelta(seconds=number)))
    filled.clock.advance(hours=2)
    before = filled.watermark()
    rule = filled.sim.faults.add(CutOff(), times=None, when=lambda call: call.params.get("$skip") == "20")
    done = filled.sync()
    assert (rule.fired >= 6, done.exit_code, filled.watermark()) == (True, 5, before)
    filled.sim.faults.clear()
    filled.sync().assert_ok()
    filled.assert_in_step()


def test_a_redirect_is_not_followed(filled):
    rule = filled.sim.faults.add(Status(302, retry_after=None), times=None)
    done = filled.sync()
    assert (rule.fired, done.run().status) == (1, "failed")
    assert "redirects elsewhere" in str(done.error())


def test_a_redirect_to_no_address_is_tried_again(filled):
    rule = filled.sim.faults.add(Redirect("http://[nowhere"), nth=1)
    done = filled.sync().assert_ok()
    assert (rule.fired, done.run().retries) == (1, 1)
    filled.assert_in_step()


def test_an_error_that_steers_a_terminal_is_told_as_plain_text(filled):
    hostile = "\x1b]0;owned\x07\x1b[31m[red]\r\n2026-11-20 sync succeeded \u202e"
    rule = filled.sim.faults.add(Status(400, hostile), times=None)
    done = filled.sync()
    assert rule.fired == 1
    [row] = filled.warehouse().rows("from defender.sync_runs where resource = 'machine_actions'")
    assert str(done.error()) == row["error"]
    assert row["error"].isprintable()
