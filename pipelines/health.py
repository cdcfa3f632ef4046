"""How well one resource of one tenant is kept: ok, partial, failing or stale. Pure.

Owns what each state means; who is told of a change stands in `alerts`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.errors import ExitCode

OK, PARTIAL, FAILING, STALE = "ok", "partial", "failing", "stale"
# From best to worst.
STATES = (OK, PARTIAL, FAILING, STALE)

# What mends it, by the exit code that the failure alone would give.
REMEDIES = {
    ExitCode.DONE: "none",
    ExitCode.UNEXPECTED: "investigate",
    ExitCode.CONFIGURATION: "configuration",
    ExitCode.AUTHENTICATION: "credentials",
    ExitCode.UNAVAILABLE: "wait",
    ExitCode.PARTIAL: "wait",
}


@dataclass(frozen=True)
class Facts:
    """What the run log tells of the syncs of one resource; runs that were stopped do not count."""

    last_status: str
    last_run_id: str
    last_success_at: datetime | None
    failing_since: datetime | None


@dataclass(frozen=True)
class Health:
    """A state, and since when it holds."""

    state: str
    since: datetime


def health(facts: Facts, now: datetime, max_age: timedelta) -> Health:
    """The state at `now`.

    A list that the tenant does not offer is ok. Where no sync ever succeeded, age counts from the first that failed.
    """
    if facts.last_status == "unavailable":
        return Health(OK, now)
    fresh_from = facts.last_success_at or facts.failing_since or now
    if now - fresh_from > max_age:
        return Health(STALE, fresh_from + max_age)
    if facts.last_status == "succeeded":
        return Health(OK, facts.last_success_at or now)
    return Health(PARTIAL if facts.last_status == "partial" else FAILING, facts.failing_since or now)


def is_worse(state: str, than: str) -> bool:
    """Whether one state is worse than another."""
    return STATES.index(state) > STATES.index(than)
