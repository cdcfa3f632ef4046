"""How a run ends: the contract with schedulers."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest

from pipelines import errors
from pipelines.cli import _age
from pipelines.errors import ExitCode, describe
from pipelines.sync import Outcome, RunResult
from pipelines.warehouse import RunRow

CODES = {
    "ConfigurationError": 2,
    "AuthenticationError": 3,
    "UnavailableError": 4,
    "ThrottledError": 4,
    "PartialError": 5,
    "LockedError": 6,
    "WarehouseError": 1,
    "NotOfferedError": 0,
    "RejectedError": 1,
}


def result_of(*failures: Exception | None) -> RunResult:
    """A run with a resource for each of these ends; None is a success."""
    outcomes = []
    for number, error in enumerate(failures):
        run = RunRow("run", f"tenant{number}", "machine_actions", "sync", datetime(2026, 1, 1, tzinfo=UTC))
        run.status = "succeeded" if error is None else "failed"
        if isinstance(error, errors.NotOfferedError):
            run.status = "unavailable"
        outcomes.append(Outcome(run, error))
    return RunResult(outcomes)


@pytest.mark.parametrize("name", CODES)
def test_each_error_has_the_code_of_its_remedy(name):
    assert getattr(errors, name)("told").exit_code == CODES[name]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_has_its_own_code(number, code):
    assert errors.StoppedError(number).exit_code == code


A, U, P = errors.AuthenticationError("a"), errors.UnavailableError("u"), errors.PartialError("p")
N, X, T = errors.NotOfferedError("n"), ValueError("x"), errors.ThrottledError("t")


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ([], 0),
        ([None, None], 0),
        ([None, N], 0),
        ([N, N], 0),
        ([A, A], 3),
        ([U, T], 4),
        ([X, X], 1),
        ([None, A], 5),
        ([None, X], 5),
        ([P, P], 5),
        ([P, A], 5),
        ([A, U], 3),
        ([X, U], 4),
        ([N, A], 3),
    ],
)
def test_a_run_ends_with_the_one_reason_of_all_failures_or_in_part(failures, code):
    assert result_of(*failures).exit_code == code


def test_the_codes_are_those_of_the_contract():
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "UNEXPECTED": 1,
        "CONFIGURATION": 2,
        "AUTHENTICATION": 3,
        "UNAVAILABLE": 4,
        "PARTIAL": 5,
        "LOCKED": 6,
    }


def test_an_error_of_ours_tells_itself_and_any_other_its_kind_and_first_line():
    assert describe(errors.AuthenticationError("renew the secret")) == "renew the secret"
    assert describe(KeyError("k")) == "unexpected KeyError: 'k'"
    assert describe(ValueError("one\ntwo")) == "unexpected ValueError: one"
    assert describe(ValueError()) == "unexpected ValueError"
    assert describe(errors.WarehouseError("one\n\x1b[31mtwo")) == "one  [31mtwo"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "never"),
        (-301, "in the future: check the clock"),
        (-300, "just now"),
        (0.9, "just now"),
        (1, "1 second ago"),
        (3_599.9, "59 minutes 59 seconds ago"),
        (3_659, "1 hour ago"),
        (86_399, "23 hours 59 minutes ago"),
        (86_400 + 3_599, "1 day ago"),
        (86_400 * 9 + 7_200, "1 week 2 days 2 hours ago"),
    ],
)
def test_an_age_is_told_as_exactly_as_it_matters(seconds, told):
    assert _age(seconds) == told
