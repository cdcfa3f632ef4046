"""Fifty tenants in one run: one that cannot sign in, one slow, twenty throttled for an hour; the rest not held up."""

from __future__ import annotations

import threading

import pytest
from support.records import action, ago
from support.stage import Stages

from pipelines.clock import Clock
from simulator import RunFirst, ScriptedWorld, TooManyRequests

NAMES = [f"tenant_{number:02d}" for number in range(50)]
FAILING, SLOW, THROTTLED = NAMES[7], NAMES[23], set(NAMES[24:44])
REST = {name for name in NAMES if name not in (FAILING, SLOW, *THROTTLED)}
RESOURCES = ("machine_actions", "investigations")
MOST_AT_ONCE = 16
LONGEST_SECONDS = 120  # of a run that went wrong


class TheRest:
    """The tenants that nothing is wrong with; those in trouble wait here until the rest are done."""

    def __init__(self) -> None:
        self._unfinished = {(name, resource) for name in REST for resource in RESOURCES}
        self._done = threading.Event()
        self.waited_for_by: list[str] = []

    def note(self, run) -> None:
        self._unfinished.discard((run.tenant, run.resource))
        if not self._unfinished:
            self._done.set()

    def wait(self, who: str) -> None:
        if self._done.wait(LONGEST_SECONDS):
            self.waited_for_by.append(who)


@pytest.fixture
def fifty(open_stage: Stages):
    return open_stage({name: ScriptedWorld([action(f"{name} a", ago(hours=3))]) for name in NAMES})


def test_a_tenant_in_trouble_holds_nobody_up(fifty, monkeypatch):
    monkeypatch.setattr("pipelines.sync.MOST_TENANTS_AT_ONCE", MOST_AT_ONCE)
    rest = TheRest()
    monkeypatch.setattr("support.stage.Events.finished", lambda _events, run: rest.note(run))

    ids = {name: tenant.tenant_id for name, tenant in fifty.tenants.items()}

    def calls_of(name):
        return lambda call: call.tenant_id == ids[name]

    def wait(seconds: float) -> None:
        """An hour passes only once the rest are done; any other wait passes at once."""
        if seconds >= 3_600:
            rest.wait("throttled")
        fifty.clock.advance(seconds=seconds)

    fifty.tenants[FAILING].secret_expired = True
    slow = fifty.sim.faults.add(RunFirst(lambda: rest.wait(SLOW)), when=calls_of(SLOW))
    throttled = [
        fifty.sim.faults.add(TooManyRequests(seconds=3_600), when=calls_of(name)) for name in THROTTLED
    ]
    assert len(throttled) > MOST_AT_ONCE, "more of them than there are turns"
    done = fifty.sync(clock=Clock(now=fifty.clock, wait=wait, jitter=lambda: 0.0))

    assert {rule.fired for rule in (slow, *throttled)} == {1}
    assert sorted(rest.waited_for_by) == [SLOW, *["throttled"] * len(THROTTLED)], (
        "they began to wait, and the rest were done"
    )
    assert {done.run(tenant=name).waited_seconds for name in THROTTLED} == {3_600}
    found = {
        (outcome.run.tenant, outcome.run.resource): outcome.run.status for outcome in done.result.outcomes
    }
    assert found == {
        (name, resource): "failed" if name == FAILING else "succeeded"
        for name in NAMES
        for resource in RESOURCES
    }
    assert done.exit_code == 5

    rows = fifty.warehouse().rows("select tenant, id from defender.machine_actions order by tenant")
    assert [(row["tenant"], row["id"]) for row in rows] == [
        (name, f"{name} a") for name in NAMES if name != FAILING
    ]
    theirs = {ids[name] for name in REST}
    assert len({call.at for call in done.requests if call.tenant_id in theirs}) == 1, "nobody else waited"


def test_a_tenant_added_later_starts_with_its_own_first_load_and_one_taken_out_keeps_its_rows(open_stage):
    stage = open_stage(
        {
            name: ScriptedWorld([action(f"{name} old", ago(days=100)), action(f"{name} new", ago(hours=1))])
            for name in ("contoso", "added")
        }
    )
    stage.sync(tenants=("contoso",)).assert_ok()
    stage.clock.advance(minutes=15)
    both = stage.sync(tenants=("contoso", "added")).assert_ok()
    assert both.run(tenant="added").rows_new == 2
    assert both.run(tenant="contoso").rows_new == 0
    assert both.run(tenant="contoso").window_start > both.run(tenant="added").window_start

    stage.clock.advance(minutes=15)
    stage.sync(tenants=("added",)).assert_ok()
    assert stage.loaded("machine_actions", "contoso").keys() == {"contoso old", "contoso new"}
    assert stage.gone("machine_actions", "contoso") == set()
