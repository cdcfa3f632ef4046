"""When a token is asked for, and that it is never seen."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from pipelines.auth import token_provider
from pipelines.clock import Clock
from pipelines.errors import AuthenticationError, UnavailableError
from simulator import Drop, ManualClock, Status

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def time():
    return ManualClock(START)


@pytest.fixture
def tokens(stage, time):
    def wait(seconds):
        stage.waits.append(seconds)
        time.advance(seconds=seconds)

    clock = Clock(now=time, wait=wait, jitter=lambda: 0.5)
    return token_provider(stage.settings("secret", client_secret=stage.sim.client_secret), clock)


def test_a_token_is_renewed_five_minutes_before_it_expires(stage, tokens, time):
    first = tokens.token()
    time.advance(minutes=54, seconds=59)
    assert tokens.token() == first
    time.advance(seconds=1)
    assert tokens.token() != first
    assert stage.asked() == 2


def test_a_short_token_is_renewed_at_half_its_life(stage, tokens, time):
    stage.tenant.token_lifetime_seconds = 60
    tokens.token()
    time.advance(seconds=29)
    tokens.token()
    assert stage.asked() == 1
    time.advance(seconds=1)
    tokens.token()
    assert stage.asked() == 2


def test_two_threads_that_were_refused_renew_once(stage, tokens):
    first = tokens.token()
    tokens.renew(first)
    second = tokens.token()
    tokens.renew(first)
    assert tokens.token() == second
    assert stage.asked() == 2


@pytest.mark.parametrize("fault", [Status(503), Status(429), Drop()])
def test_a_sign_in_address_that_fails_once_is_asked_once_more(stage, tokens, fault):
    rule = stage.sim.faults.add(fault, "token")
    assert stage.opens(tokens.token()) == [200, 200]
    assert (rule.fired, stage.waits, stage.asked()) == (1, [2.0], 2)


def test_one_that_keeps_failing_is_unavailable_after_two_requests(stage, tokens, time):
    stage.sim.faults.add(Status(503), "token", times=None)
    for _ in range(2):  # as two resources would
        with pytest.raises(UnavailableError) as caught:
            tokens.token()
    assert str(caught.value) == (
        f"tenant contoso: the sign-in address {stage.sim.url} does not answer (HTTP 503); try again later"
    )
    assert (caught.value.exit_code, stage.asked()) == (4, 2)
    stage.sim.faults.clear()
    time.advance(minutes=1)
    assert stage.opens(tokens.token()) == [200, 200]


def test_a_refused_secret_costs_one_token_request(stage):
    tokens = token_provider(stage.settings("secret", client_secret="wrong"), stage.clock)
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            tokens.token()
    assert stage.asked() == 1


def test_no_log_line_and_no_message_holds_a_token_or_a_secret(stage, tokens, caplog):
    with caplog.at_level(logging.DEBUG):
        token = tokens.token()
        stage.sim.faults.add(Status(503), "token", times=None)
        tokens.renew(token)
        with pytest.raises(UnavailableError) as caught:
            tokens.token()
    told = caplog.text + str(caught.value) + repr(stage.settings("secret", client_secret="wrong-but-secret"))
    assert "signed in to tenant contoso" in told
    for secret in (token, stage.sim.client_secret, "wrong-but-secret"):
        assert secret not in told
