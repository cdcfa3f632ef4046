"""The faults of the simulator, as a client meets them; each test also sees that the fault was counted."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from simulator import (
    CutOff,
    Drop,
    ExpireTokens,
    Garbage,
    IgnoreSkip,
    Inject,
    NextLink,
    NoValue,
    PageCap,
    Redirect,
    ScriptedWorld,
    Shuffle,
    Slow,
    Status,
    TooManyRequests,
    WrongContentType,
)

PATH = "/api/machineactions"


@pytest.fixture
def world(action):
    return ScriptedWorld(action(f"a{n}", minutes=n) for n in range(10))


@pytest.fixture
def caller(serve, world):
    return serve(world)


def ids(rows):
    return [row["id"] for row in rows]


def test_a_rule_meets_the_nth_matching_request_as_often_as_told(caller):
    rule = caller.sim.faults.add(Status(503), nth=2, times=2)
    caller.get("/api/investigations")
    assert [caller.get(PATH).status_code for _ in range(4)] == [200, 503, 503, 200]
    assert (rule.fired, rule.seen) == (2, 4)


def test_a_rule_without_an_end_meets_all_that_follow_until_it_is_removed(caller):
    rule = caller.sim.faults.add(Status(500), times=None)
    assert [caller.get(PATH).status_code for _ in range(3)] == [500] * 3
    caller.sim.faults.remove(rule)
    assert caller.get(PATH).status_code == 200


def test_a_rule_can_look_at_the_request(caller):
    rule = caller.sim.faults.add(Status(500), when=lambda call: call.params.get("$skip") == "5", times=None)
    assert [caller.get(PATH, top=5, skip=skip).status_code for skip in (0, 5, 10)] == [200, 500, 200]
    assert rule.fired == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 500, 502, 503, 504])
def test_any_status(caller, status):
    rule = caller.sim.faults.add(Status(status))
    assert caller.get(PATH).status_code == status
    assert rule.fired == 1


@pytest.mark.parametrize("endpoint", ["token", "discovery"])
def test_the_login_fails_too(caller, endpoint):
    caller.sim.faults.add(Status(503, retry_after="7"), on=endpoint)
    path = f"/{caller.sim.tenant_id}/v2.0/.well-known/openid-configuration"
    answer = caller.ask_token() if endpoint == "token" else caller.get(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


def test_a_429_with_seconds_a_date_or_neither(caller):
    faults = caller.sim.faults
    faults.add(TooManyRequests(7), nth=1)
    faults.add(TooManyRequests(90, as_date=True), nth=2)
    faults.add(TooManyRequests(None), nth=3)
    answers = [caller.get(PATH) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429] * 3
    assert answers[0].headers["Retry-After"] == "7"
    assert parsedate_to_datetime(answers[1].headers["Retry-After"]) == caller.clock.now() + timedelta(
        seconds=90
    )
    assert "Retry-After" not in answers[2].headers


@pytest.mark.parametrize("after", [None, 0, 1, 500])
def test_a_body_is_cut_off_in_the_middle_of_a_200(caller, after):
    whole = caller.get(PATH).content
    rule = caller.sim.faults.add(CutOff(after))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        caller.get(PATH)
    assert rule.fired == 1
    assert caller.get(PATH).content == whole


def test_a_connection_is_dropped_before_any_answer(caller):
    rule = caller.sim.faults.add(Drop())
    with pytest.raises(requests.exceptions.ConnectionError):
        caller.get(PATH)
    assert rule.fired == 1
    assert caller.sim.requests[-1].status is None
    assert caller.get(PATH).status_code == 200


def test_bodies_that_are_no_list(caller):
    faults = caller.sim.faults
    faults.add(Garbage(), nth=1)
    faults.add(Garbage(b"<html>", "text/html"), nth=2)
    faults.add(NoValue(), nth=3)
    faults.add(WrongContentType(), nth=4)
    cut, page, bare, mislabelled = (caller.get(PATH) for _ in range(4))
    assert {answer.status_code for answer in (cut, page, bare, mislabelled)} == {200}
    for answer in (cut, page):
        with pytest.raises(requests.exceptions.JSONDecodeError):
            answer.json()
    assert "value" not in bare.json()
    assert mislabelled.headers["Content-Type"] == "text/html"
    assert len(mislabelled.json()["value"]) == 10


def test_a_slow_answer_and_one_that_stalls_midway(caller):
    caller.sim.faults.add(Slow(0.15), nth=1)
    caller.sim.faults.add(Slow(0.15, midway=True), nth=2)
    for _ in range(2):
        begun = time.monotonic()
        assert len(caller.actions()) == 10
        assert time.monotonic() - begun >= 0.15


def test_a_slow_answer_waits_for_an_event_that_a_test_holds(caller):
    release = threading.Event()
    caller.sim.faults.add(Slow(30, until=release))
    threading.Timer(0.05, release.set).start()
    assert caller.get(PATH).status_code == 200


def test_a_simulator_stops_at_once_though_an_answer_is_slow(serve):
    caller = serve()
    caller.sim.faults.add(Slow(30))
    failed = []
    thread = threading.Thread(target=lambda: failed.append(_error(lambda: caller.get(PATH))))
    thread.start()
    while not caller.sim.requests:
        time.sleep(0.005)
    begun = time.monotonic()
    caller.sim.stop()
    assert time.monotonic() - begun < 5
    thread.join(5)
    assert isinstance(failed[0], requests.exceptions.ConnectionError)


def _error(run):
    try:
        return run()
    except requests.exceptions.RequestException as problem:
        return problem


def test_expired_tokens_are_refused_and_a_new_one_is_taken(caller):
    old = caller.sim.issue_token()
    rule = caller.sim.faults.add(ExpireTokens(), nth=2)
    assert [caller.get(PATH, token=old).status_code for _ in range(3)] == [200, 401, 401]
    assert caller.get(PATH).status_code == 200
    assert rule.fired == 1
    caller.sim.faults.revoke_tokens()
    assert caller.get(PATH, token=old).status_code == 401


def test_the_server_caps_its_pages_below_top(caller):
    rule = caller.sim.faults.add(PageCap(3), times=None)
    assert [len(caller.actions(top=10_000, skip=skip)) for skip in (0, 3, 6, 9, 12)] == [3, 3, 3, 1, 0]
    assert rule.fired == 5


def test_the_server_ignores_skip(caller):
    caller.sim.faults.add(IgnoreSkip(), times=None)
    assert caller.actions(top=4, skip=4) == caller.actions(top=4)


def test_each_request_sees_another_order(caller):
    caller.sim.faults.add(Shuffle(seed=1), times=None)
    orders = [ids(caller.actions()) for _ in range(4)]
    assert len({tuple(order) for order in orders}) > 1
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_the_world_changes_between_two_pages(caller, world, action):
    def change():
        world.change("a9", status="Succeeded", lastUpdateDateTimeUtc="2026-11-20T12:00:01Z")
        world.put_action(action("late", minutes=60))
        world.remove("a1")
        caller.clock.advance(minutes=1)

    rule = caller.sim.faults.before_request(change, nth=2)
    assert ids(caller.actions(top=5)) == ["a0", "a1", "a2", "a3", "a4"]
    assert ids(caller.actions(top=5, skip=5)) == ["a5", "a6", "a7", "a8", "late"]
    assert ids(caller.actions(top=5)) == ["a9", "a0", "a2", "a3", "a4"]
    assert rule.fired == 1


def test_a_callback_may_call_the_simulator_itself(caller):
    caller.sim.faults.before_request(lambda: caller.get("/api/investigations"))
    assert caller.get(PATH).status_code == 200
    assert caller.sim.requests.counts() == {"machineactions": 1, "investigations": 1}


def test_a_next_link_that_leads_elsewhere(caller):
    url = "http://127.0.0.1:1/api/machineactions?$skip=10000"
    caller.sim.faults.add(NextLink(url), times=None)
    assert caller.get(PATH, top=5).json()["@odata.nextLink"] == url


def test_a_redirect_to_another_host(caller):
    caller.sim.faults.add(Redirect("https://attacker.example/", status=307))
    answer = caller.get(PATH)
    assert (answer.status_code, answer.headers["Location"]) == (307, "https://attacker.example/")


def test_unknown_fields_and_enum_values_are_mixed_in(caller):
    caller.sim.faults.add(Inject({"status": "Quarantined", "newField": {"deep": [1]}}, every=2))
    rows = caller.actions()
    assert [row["status"] for row in rows[:3]] == ["Quarantined", "Pending", "Quarantined"]
    assert rows[0]["newField"] == {"deep": [1]}


def test_several_faults_meet_one_request(caller):
    caller.sim.faults.add(PageCap(2))
    caller.sim.faults.add(NextLink())
    page = caller.get(PATH).json()
    assert len(page["value"]) == 2
    assert "@odata.nextLink" in page
    assert caller.sim.requests[-1].faults == ["PageCap", "NextLink"]


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "x", "id": "y", "creationDateTimeUtc": "2026-11-20T11:00:00Z"}',
        '{"id": "x", "creationDateTimeUtc": "2026-11-20T11:00:00Z", "deep": '
        + "[" * 5_000
        + "]" * 5_000
        + "}",
        '{"id": "x", "creationDateTimeUtc": "2026-11-20T11:00:00Z", "requestorComment": "'
        + "x" * 10**6
        + '"}',
        '{"id": "x", "creationDateTimeUtc": "not a time", "lone": "\\ud800"}',
        '"a string"',
        "null",
        "[]",
        "{not json",
    ],
)
def test_raw_records_go_out_as_they_are_and_turn_up_in_their_window(caller, world, text):
    world.put_raw("machineactions", text, filed_at=caller.clock.now() - timedelta(hours=1))
    window = "creationDateTimeUtc ge 2026-11-20T10:30:00Z and creationDateTimeUtc lt 2026-11-20T11:30:00Z"
    assert text in caller.get(PATH, filter=window).text


@pytest.mark.parametrize(
    "record",
    [
        {"type": "Isolate"},
        {"id": None, "creationDateTimeUtc": "2026-13-45T00:00:00Z"},
        {"id": 5, "status": ["a"], "machineId": {"x": 1}, "creationDateTimeUtc": 12345},
        {"id": "x", "creationDateTimeUtc": None, "commands": "none"},
    ],
)
def test_broken_records_turn_up_in_the_window_they_are_filed_under(caller, world, record):
    world.put_action(record, filed_at=caller.clock.now() - timedelta(hours=1))
    window = "creationDateTimeUtc ge 2026-11-20T10:30:00Z and creationDateTimeUtc lt 2026-11-20T11:30:00Z"
    assert caller.actions(filter=window) == [record]
    assert record in caller.actions()
    assert (
        caller.get(PATH, filter="status in ('Pending') or machineId eq 'x' or type gt 'a'").status_code == 200
    )


def test_every_request_is_remembered(caller):
    caller.sim.faults.add(Status(500), nth=2)
    caller.get(PATH, top=3, filter="status eq 'Pending'")
    caller.get(PATH)
    caller.get(f"{PATH}/a1", token="")
    caller.ask_token()
    calls = list(caller.sim.requests)
    assert [(call.method, call.endpoint, call.status, call.rows, call.authorized) for call in calls] == [
        ("GET", "machineactions", 200, 3, True),
        ("GET", "machineactions", 500, None, True),
        ("GET", "machineactions", 401, None, False),
        ("POST", "token", 200, None, False),
    ]
    assert calls[0].params == {"$top": "3", "$filter": "status eq 'Pending'"}
    assert calls[1].faults == ["Status"]
    assert calls[2].record_id == "a1"
    assert len(caller.sim.requests.to("machineactions")) == 3
    assert json.dumps(caller.sim.requests.counts())


def test_clear_forgets_every_fault(caller):
    caller.sim.faults.add(Drop(), on="any", times=None)
    caller.sim.faults.clock_offset = timedelta(days=1)
    caller.sim.faults.clear()
    assert caller.get(PATH).status_code == 200
    assert caller.sim.now() == caller.clock.now()
