"""The two kinds of record and how each changes over its life.

Owns what a machine action and an investigation say at any moment, given the plan of their life. Never draws
a random number and never asks the time: `stories` makes the plans, `world` says when.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from simulator.fleet import Machine
from simulator.rows import Record, Row
from simulator.times import to_text

OFFLINE_TIMEOUT_HRESULT = -2145844840
CANCELLED_HRESULT = -2147467260

Phases = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a live response: its ticks, what it is, and how it ends."""

    started: int
    ended: int
    type: str
    params: tuple[tuple[str, str], ...]
    errors: tuple[str, ...] = ()

    def render(self, index: int, ticks: int) -> Record:
        begun, done = ticks >= self.started, ticks >= self.ended
        status = (
            "Created" if not begun else "InProgress" if not done else "Failed" if self.errors else "Completed"
        )
        return {
            "index": index,
            "startTime": to_text(self.started) if begun else None,
            "endTime": to_text(self.ended) if done else None,
            "commandStatus": status,
            "errors": list(self.errors) if done else [],
            "command": {
                "type": self.type,
                "params": [{"key": key, "value": value} for key, value in self.params],
            },
        }


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Who called an action off and why; `tick` may lie 100 ns before the last update."""

    requestor: str
    comment: str | None
    tick: int


@dataclass(slots=True, kw_only=True)
class Action:
    """A machine action's life: `phases` are (tick, status), the first its birth, the last its end.

    `shy`: machine and name are null until the second phase. `beat`: while InProgress, the record is touched
    (its last update moves, nothing else) each time that the world's clock passes a multiple of `beat` ticks
    plus `beat_shift`.
    """

    id: str
    type: str
    machine: Machine | None
    requestor: str
    request_source: str
    phases: Phases
    comment: str | None = None
    scope: str | None = None
    title: str | None = None
    error: int = 0
    shy: bool = False
    beat: int = 0
    beat_shift: int = 0
    file: tuple[str, str] | None = None
    cancellation: Cancellation | None = None
    commands: tuple[Command, ...] = ()
    external_id: str | None = None
    troubleshooting_hours: int = 0
    _final: Row | None = None

    @property
    def born(self) -> int:
        return self.phases[0][0]

    @property
    def settled(self) -> int:
        return self.phases[-1][0]

    def updated(self, ticks: int) -> int:
        """The last moment, up to this one, at which the record changed."""
        since, status = self.phases[self._phase(ticks)]
        if self.beat and status == "InProgress":
            return max(since, ticks - (ticks - self.beat_shift) % self.beat)
        return since

    def next_change(self, ticks: int) -> int:
        """The first moment after this one at which an unsettled record changes."""
        index = self._phase(ticks)
        following = self.phases[index + 1][0]
        if self.beat and self.phases[index][1] == "InProgress":
            return min(following, ticks - (ticks - self.beat_shift) % self.beat + self.beat)
        return following

    def row(self, ticks: int) -> Row:
        """The record at a moment; one and the same row from the day it is settled."""
        if ticks < self.settled:
            return Row(self.id, self.born, self.updated(ticks), self, ticks)
        if self._final is None:
            self._final = Row(self.id, self.born, self.settled, self, self.settled)
        return self._final

    def value(self, name: str, ticks: int) -> str | None:
        """A property that a filter may ask for, without the rest of the record."""
        index = self._phase(ticks)
        machine = self._machine(index)
        match name:
            case "status":
                return self.phases[index][1]
            case "machineId":
                return machine.id if machine else None
            case "type":
                return self.type
            case "requestor":
                return self.requestor
        raise KeyError(name)

    def render(self, ticks: int) -> Record:
        index = self._phase(ticks)
        done = ticks >= self.settled
        machine = self._machine(index)
        cancellation = self.cancellation if done else None
        return {
            "id": self.id,
            "type": self.type,
            "title": self.title,
            "requestor": self.requestor,
            "requestorComment": self.comment,
            "status": self.phases[index][1],
            "machineId": machine.id if machine else None,
            "computerDnsName": machine.name if machine else None,
            "creationDateTimeUtc": to_text(self.born),
            "lastUpdateDateTimeUtc": to_text(self.updated(ticks)),
            "cancellationRequestor": cancellation.requestor if cancellation else None,
            "cancellationComment": cancellation.comment if cancellation else None,
            "cancellationDateTimeUtc": to_text(cancellation.tick) if cancellation else None,
            "errorHResult": self.error if done else 0,
            "scope": self.scope,
            "externalId": self.external_id,
            "requestSource": self.request_source,
            "relatedFileInfo": (
                {"fileIdentifier": self.file[0], "fileIdentifierType": self.file[1]} if self.file else None
            ),
            "commands": [command.render(number, ticks) for number, command in enumerate(self.commands)],
            "troubleshootInfo": self._troubleshooting(index),
        }

    def _phase(self, ticks: int) -> int:
        return max(bisect_right(self.phases, ticks, key=lambda phase: phase[0]) - 1, 0)

    def _machine(self, index: int) -> Machine | None:
        unknown_yet = self.shy and index == 0 and len(self.phases) > 1
        return None if unknown_yet else self.machine

    def _troubleshooting(self, index: int) -> dict[str, Any] | None:
        if not self.troubleshooting_hours:
            return None
        expires = self.born + self.troubleshooting_hours * 36_000_000_000
        return {
            "expirationUtc": to_text(expires),
            "startTsModeUtc": to_text(self.phases[index][0]) if index else None,
            "paramsJsonFormatVersion": 1,
            "state": "Enabled" if index else "Requested",
        }


@dataclass(slots=True, kw_only=True)
class Investigation:
    """An investigation's life: `phases` are (tick, state). `known_from`: machine and start are null before.

    It has an end when `ends` is set: the tick of its last phase.
    """

    id: str
    alert_id: str
    machine: Machine
    phases: Phases
    known_from: int
    ends: bool = True
    cancelled_by: str | None = None
    details: str | None = None
    _final: Row | None = None

    @property
    def born(self) -> int:
        return self.phases[0][0]

    @property
    def settled(self) -> int:
        return self.phases[-1][0]

    def updated(self, ticks: int) -> int:
        return self.phases[self._phase(ticks)][0]

    def next_change(self, ticks: int) -> int:
        return self.phases[self._phase(ticks) + 1][0]

    def row(self, ticks: int) -> Row:
        if ticks < self.settled:
            return Row(self.id, self._start(ticks), self.updated(ticks), self, ticks)
        if self._final is None:
            self._final = Row(self.id, self._start(ticks), self.settled, self, self.settled)
        return self._final

    def value(self, name: str, ticks: int) -> str | None:
        """A property that a filter may ask for, without the rest of the record."""
        match name:
            case "state":
                return self.phases[self._phase(ticks)][1]
            case "machineId":
                return self.machine.id if ticks >= self.known_from else None
            case "triggeringAlertId":
                return self.alert_id
        raise KeyError(name)

    def render(self, ticks: int) -> Record:
        done = self.ends and ticks >= self.settled
        known = ticks >= self.known_from
        start = self._start(ticks)
        return {
            "id": self.id,
            "startTime": None if start is None else to_text(start),
            "endTime": to_text(self.settled) if done else None,
            "state": self.phases[self._phase(ticks)][1],
            "cancelledBy": self.cancelled_by if done else None,
            "statusDetails": self.details if done else None,
            "machineId": self.machine.id if known else None,
            "computerDnsName": self.machine.name if known else None,
            "triggeringAlertId": self.alert_id,
        }

    def _start(self, ticks: int) -> int | None:
        return self.born if ticks >= self.known_from else None

    def _phase(self, ticks: int) -> int:
        return max(bisect_right(self.phases, ticks, key=lambda phase: phase[0]) - 1, 0)
