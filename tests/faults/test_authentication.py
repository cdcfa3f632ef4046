"""Sign-in trouble: the exit code, the words that help, and how often the sign-in address is asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.records import action, ago

from simulator import ExpireTokens, Status


@pytest.fixture
def filled(open_stage, world):
    for number in range(30):
        world.put_action(action(f"a{number}", ago(hours=5) + timedelta(minutes=number)))
    return open_stage(world, page_size=10)


def token_requests(done):
    return len([call for call in done.requests if call.endpoint == "token"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_secret": "another"}, "the client secret is wrong: copy the secret's value"),
        ({"secret_expired": True}, "the client secret has expired: make a new one"),
        ({"client_id": "another"}, "client_id names no application"),
    ],
    ids=["wrong", "expired", "no such application"],
)
def test_a_refused_sign_in_is_asked_for_once_and_tells_what_to_do(filled, change, words):
    settings = filled.settings()
    for name, value in change.items():
        setattr(filled.tenants["contoso"], name, value)
    done = filled.sync(settings)
    assert (token_requests(done), done.calls()) == (1, [])
    assert done.exit_code == 3
    assert words in str(done.error())
    assert str(done.error("investigations")) == str(done.error())
    runs = filled.warehouse().rows("from defender.sync_runs")
    assert {(row["status"], row["error"]) for row in runs} == {("failed", str(done.error()))}


@pytest.mark.parametrize(
    ("roles", "role"), [(("Alert.Read.All",), "Machine.Read.All"), (("Machine.Read.All",), "Alert.Read.All")]
)
def test_a_missing_role_is_named_and_costs_its_resource_only(filled, roles, role):
    filled.tenants["contoso"].roles = roles
    done = filled.sync()
    resource = "machine_actions" if role.startswith("Machine") else "investigations"
    [other] = {"machine_actions", "investigations"} - {resource}
    assert [call.status for call in done.calls(resource)] == [403]
    assert (done.exit_code, done.run(other).status, token_requests(done)) == (5, "succeeded", 1)
    assert f"Grant the application role {role}" in str(done.error(resource))
    assert f"application roles: {roles[0]}" in str(done.error(resource))


def test_no_role_at_all_is_exit_3(filled):
    filled.tenants["contoso"].roles = ()
    done = filled.sync()
    assert (done.exit_code, {call.status for call in done.calls()}, token_requests(done)) == (3, {403}, 1)


def test_a_token_that_is_refused_once_is_renewed_once(filled):
    rule = filled.sim.faults.add(ExpireTokens(), nth=3)
    done = filled.sync().assert_ok()
    assert (rule.fired, token_requests(done), done.run().retries) == (1, 2, 1)
    assert [call.status for call in done.calls()].count(401) == 1
    filled.assert_in_step()


def test_a_token_that_expires_between_two_pages_is_renewed(filled):
    """An hour's token, and an API that takes an hour for its third page."""
    rule = filled.sim.faults.before_request(lambda: filled.clock.advance(minutes=61), nth=3)
    done = filled.sync().assert_ok()
    assert (rule.fired, token_requests(done)) == (1, 2)
    assert [call.status for call in done.calls()].count(401) == 1
    filled.sync().assert_ok()
    filled.assert_in_step()


def test_a_token_is_renewed_before_it_expires(filled):
    rule = filled.sim.faults.before_request(lambda: filled.clock.advance(minutes=56), nth=2)
    done = filled.sync().assert_ok()
    assert (rule.fired, token_requests(done), [call for call in done.requests if call.status == 401]) == (
        1,
        2,
        [],
    )


def test_a_401_for_ever_asks_for_two_tokens_and_no_more(filled):
    rules = [
        filled.sim.faults.add(Status(401, "licence missing"), on=endpoint, times=None)
        for endpoint in ("machineactions", "investigations")
    ]
    done = filled.sync()
    assert (token_requests(done), done.exit_code) == (2, 3)
    assert [rule.fired for rule in rules] == [2, 1]
    assert "the API refuses the token: HTTP 401 (Unauthorized: licence missing)" in str(done.error())
    for rule in rules:
        filled.sim.faults.remove(rule)
    filled.sync().assert_ok()
    filled.assert_in_step()


def test_a_401_for_ever_with_a_given_token_asks_once(filled):
    rule = filled.sim.faults.add(Status(401), times=None)
    given = filled.tenant_settings(auth="token", access_token=filled.sim.issue_token())
    settings = filled.settings()
    done = filled.sync(type(settings)(settings.sync, (given,)))
    assert (rule.fired, token_requests(done), done.run().status) == (1, 0, "failed")


@pytest.mark.parametrize("endpoint", ["token", "discovery"])
@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_sign_in_address_that_is_down_is_exit_4_after_two_requests(filled, endpoint, status):
    rule = filled.sim.faults.add(Status(status), on=endpoint, times=None)
    done = filled.sync()
    assert (rule.fired, done.exit_code, done.calls()) == (2, 4, [])
    assert f"the sign-in address {filled.sim.url} does not answer (HTTP {status}); try again later" in str(
        done.error()
    )
    filled.sim.faults.clear()
    filled.clock.advance(minutes=2)
    filled.sync().assert_ok()
    filled.assert_in_step()


def test_a_sign_in_that_fails_once_is_tried_again(filled):
    rule = filled.sim.faults.add(Status(503), on="token")
    assert (token_requests(filled.sync().assert_ok()), rule.fired) == (2, 1)
