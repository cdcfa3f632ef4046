"""Faults on demand: which request is met by which, and what each does to it.

Owns the effects, the rules that say when they apply, and the log of calls. Never serves anything by itself:
the server asks for the effects that are due and lets each have its turn (`before`, `instead`, `query`,
`order`, `page`, `after`). A rule counts how often it fired, so that a test can prove that its fault happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from simulator.effects import Call, Effect, RunFirst

ANY = "any"


@dataclass
class Rule:
    """An effect, and the requests that it meets.

    on: an endpoint ("machineactions", "investigations", "token", "discovery") or "any".
    nth: the first request to meet, counted from 1 over the requests that match, from when the rule was added.
    times: how many in a row from there; None for all that follow.
    when: a further condition on the call, asked before counting.
    """

    effect: Effect
    on: str = "machineactions"
    nth: int = 1
    times: int | None = 1
    when: Callable[[Call], bool] | None = None
    seen: int = 0
    fired: int = 0

    def meets(self, call: Call) -> bool:
        if self.on not in (ANY, call.endpoint) or (self.when is not None and not self.when(call)):
            return False
        self.seen += 1
        last = None if self.times is None else self.nth + self.times
        if self.seen < self.nth or (last is not None and self.seen >= last):
            return False
        self.fired += 1
        return True


@dataclass
class Faults:
    """The control object: `sim.faults`. Rules apply in the order in which they were added.

    clock_offset: how far the server's clock (its world, its `Date`, its tokens) is ahead of the simulator's.
    """

    clock_offset: timedelta = timedelta(0)
    revoke_tokens: Callable[[], None] = lambda: None
    rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        effect: Effect,
        on: str = "machineactions",
        *,
        nth: int = 1,
        times: int | None = 1,
        when: Callable[[Call], bool] | None = None,
    ) -> Rule:
        """Adds a rule (see `Rule`) and returns it: its `fired` says how often it met a request."""
        rule = Rule(effect, on, nth, times, when)
        with self._lock:
            self.rules.append(rule)
        return rule

    def before_request(
        self, run: Callable[[], object], on: str = "machineactions", *, nth: int = 1, times: int | None = 1
    ) -> Rule:
        """Runs a callback, in a thread of its own, before a request is answered."""
        return self.add(RunFirst(run), on, nth=nth, times=times)

    def remove(self, rule: Rule) -> None:
        with self._lock:
            self.rules.remove(rule)

    def clear(self) -> None:
        """Forgets all rules and sets the server's clock right."""
        with self._lock:
            self.rules.clear()
        self.clock_offset = timedelta(0)

    def due(self, call: Call) -> list[Effect]:
        """The effects that this call meets; their names are noted in the call."""
        with self._lock:
            effects = [rule.effect for rule in self.rules if rule.meets(call)]
        call.faults = [type(effect).__name__ for effect in effects]
        return effects


class RequestLog(list[Call]):
    """Every request served, in order of arrival."""

    def to(self, endpoint: str, *, since: datetime | None = None) -> list[Call]:
        """The requests to an endpoint, from a moment (of the simulator's clock) on."""
        return [
            call for call in list(self) if call.endpoint == endpoint and (since is None or call.at >= since)
        ]

    def counts(self) -> Mapping[str, int]:
        """How many requests each endpoint had."""
        found: dict[str, int] = {}
        for call in list(self):
            found[call.endpoint] = found.get(call.endpoint, 0) + 1
        return found
