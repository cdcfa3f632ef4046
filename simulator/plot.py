"""How a story puts its records down: one machine, one beginning, and draws that depend on the slot alone.

Owns the shape of a life (how long an action waits, works and how it ends). What happens in which order is
told in `stories`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from simulator.fleet import Machine
from simulator.lifecycles import (
    CANCELLED_HRESULT,
    OFFLINE_TIMEOUT_HRESULT,
    Action,
    Cancellation,
    Command,
    Investigation,
    Phases,
)
from simulator.times import HOUR, MINUTE, SECOND

ANALYSTS = (
    "Analyst@contoso.com",
    "megan.bowen@contoso.com",
    "alex.wilber@contoso.com",
    "soc.oncall@contoso.com",
    "patti.o'brien@contoso.com",
)
APP_GUIDS = ("7f1c5c0e-2b63-4b38-9a55-0d2c4f7c9a11", "c3d0a8be-91f4-4e06-8f3d-5a6b7e2f1d02")
APP_NAMES = ("Contoso SOAR", "Contoso Nightly Scan", "Contoso Response Bot")
OFFLINE_TIMEOUT = 72 * HOUR + 14 * MINUTE
_FAILURES = (-2147024891, -2147023436, -2016276346, -2147012889)
NEVER = 1 << 62


class Plot:
    """Collects what one story does. Offsets are ticks after `start`."""

    def __init__(self, rng: random.Random, slot: int, start: int, machines: Sequence[Machine]) -> None:
        self.rng = rng
        self.slot = slot
        self.start = start
        self.machines = machines
        self.actions: list[Action] = []
        self.investigations: list[Investigation] = []

    @property
    def machine(self) -> Machine:
        return self.machines[0]

    def between(self, low: int, high: int) -> int:
        """A tick count in [low, high)."""
        return low + int(self.rng.random() * (high - low))

    def analyst(self) -> tuple[str, str]:
        """A requestor and request source: a person at the portal."""
        return self.rng.choice(ANALYSTS), "Portal"

    def application(self) -> tuple[str, str]:
        """A requestor and request source: an application, by guid or by name."""
        return self.rng.choice(APP_GUIDS + APP_NAMES), "PublicApi"

    def anyone(self) -> tuple[str, str]:
        return self.analyst() if self.rng.random() < 0.7 else self.application()

    def guid(self) -> str:
        digits = f"{self.rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def alert_id(self) -> str:
        return f"da{self.rng.getrandbits(59) + 10**17:018d}_{self.rng.getrandbits(32) - 2**31}"

    def act(
        self,
        offset: int,
        type: str,
        *,
        by: tuple[str, str] | None = None,
        ends: str = "Succeeded",
        comment: str | None = None,
        scope: str | None = None,
        title: str | None = None,
        machine: Machine | None = None,
        file: tuple[str, str] | None = None,
        commands: int = 0,
        works: tuple[int, int] = (20 * SECOND, 8 * MINUTE),
        troubleshooting_hours: int = 0,
        unbound: bool = False,
    ) -> int:
        """Plans a machine action, and returns the offset at which it is over."""
        requestor, source = by or self.anyone()
        born = self.start + offset
        planned = self._commands(born, commands)
        phases = self._phases(born, ends, works, planned)
        action = Action(
            id=self.guid(),
            type=type,
            machine=None if unbound else machine or self.machine,
            requestor=requestor,
            request_source=source,
            phases=phases,
            comment=comment,
            scope=scope,
            title=title,
            file=file,
            commands=planned,
            troubleshooting_hours=troubleshooting_hours,
            shy=self.rng.random() < 0.04,
            external_id=f"INC-{self.slot % 1_000_000:06d}" if source == "PublicApi" else None,
        )
        self._ending(action, ends, requestor)
        self.actions.append(action)
        return phases[-1][0] - self.start

    def investigate(
        self,
        offset: int,
        *states: tuple[int, str],
        through_api: bool = False,
        details: str | None = None,
        cancelled_by: str | None = None,
    ) -> int:
        """Plans an investigation: `states` are (offset, state); returns the offset of the last."""
        alert = self.alert_id()
        begun = self.start + offset
        phases = ((begun, "Queued"), *((self.start + at, state) for at, state in states))
        number = str(self.slot * 4 + len(self.investigations))
        if through_api:
            asked = begun - self.between(20 * SECOND, 100 * SECOND)
            known = phases[1][0] if self.rng.random() < 0.5 else NEVER
            self.investigations.append(
                Investigation(
                    id=alert,
                    alert_id=alert,
                    machine=self.machine,
                    phases=((asked, "Queued"), *phases[1:]),
                    known_from=known,
                    ends=known != NEVER,
                )
            )
        self.investigations.append(
            Investigation(
                id=number,
                alert_id=alert,
                machine=self.machine,
                phases=phases,
                known_from=begun,
                details=details,
                cancelled_by=cancelled_by,
            )
        )
        return phases[-1][0] - self.start

    def _phases(self, born: int, ends: str, works: tuple[int, int], commands: tuple[Command, ...]) -> Phases:
        if ends == "TimeOut":
            return ((born, "Pending"), (born + OFFLINE_TIMEOUT + self.between(0, 20 * SECOND), "TimeOut"))
        if ends == "Immediate":
            return ((born, "Succeeded"),)
        if commands:
            steps = tuple((tick, "InProgress") for each in commands for tick in (each.started, each.ended))
            return ((born, "Pending"), *steps, (steps[-1][0] + self.between(SECOND, 40 * SECOND), ends))
        picked_up = born + self.between(3 * SECOND, 90 * SECOND)
        return ((born, "Pending"), (picked_up, "InProgress"), (picked_up + self.between(*works), ends))

    def _ending(self, action: Action, ends: str, requestor: str) -> None:
        if ends == "TimeOut":
            action.error = OFFLINE_TIMEOUT_HRESULT
        elif ends == "Failed":
            action.error = self.rng.choice(_FAILURES)
        elif ends == "Cancelled":
            action.error = CANCELLED_HRESULT
            tick = action.settled - (1 if self.rng.random() < 0.5 else 0)
            action.cancellation = Cancellation(requestor, "no longer needed", tick)

    def _commands(self, born: int, count: int) -> tuple[Command, ...]:
        planned: list[Command] = []
        tick = born + self.between(4 * SECOND, 60 * SECOND)
        for _ in range(count):
            ended = tick + self.between(5 * SECOND, 4 * MINUTE)
            planned.append(self._command(tick, ended))
            tick = ended + self.between(SECOND // 10, 5 * SECOND)
        return tuple(planned)

    def _command(self, started: int, ended: int) -> Command:
        kind = self.rng.choice(("RunScript", "GetFile", "PutFile"))
        errors = ("The script ended with exit code 1.",) if self.rng.random() < 0.1 else ()
        if kind == "RunScript":
            params: tuple[tuple[str, str], ...] = (
                ("ScriptName", "triage.ps1"),
                ("Args", '-Mode "full" -Days 7'),
            )
        elif kind == "GetFile":
            params = (("Path", f"C:\\Users\\Public\\evidence-{self.rng.randrange(900):03d}.zip"),)
        else:
            params = (("FileName", "collector.exe"),)
        return Command(started, ended, kind, params, errors)
