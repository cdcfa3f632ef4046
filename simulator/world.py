"""The simulated tenant: a pure function of (seed, rows, now).

Owns the timeline. Time is cut into slots counted from 1970; each slot draws from a generator seeded by
(seed, rows, slot) and tells one story (`stories`) on one machine, so a record has the same id and the same
history whatever moment one looks from, and the timeline has no end. A second stream, the *sweep*, is a full
antivirus scan at even intervals, a fifth of all rows: a scan works for eight hours, and its record is
touched every five minutes (`lastUpdateDateTimeUtc` moves, nothing else does). The sweep's touches are
staggered, so that from 25,000 rows up something changes within any minute, as in a busy tenant; in smaller
worlds minutes go by in silence. Records age out 180 days after their creation.
Never reads a clock: `now` is an argument.
"""

from __future__ import annotations

import gc
import random
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from simulator import times
from simulator.fleet import machine
from simulator.lifecycles import Action, Investigation
from simulator.plot import Plot
from simulator.rows import INVESTIGATIONS, MACHINE_ACTIONS, Record, Row, Snapshot
from simulator.stories import ACTIONS_PER_STORY, DECK, LONGEST
from simulator.times import DAY, HOUR, MINUTE, SECOND

RETENTION = 180 * DAY
DEMO_ROWS = 25_000

_SWEEP_SHARE = 0.2
_SWEEP_LENGTH = 8 * HOUR
_SWEEP_BEAT = 5 * MINUTE
_SWEEP_STAGGER = 30 * SECOND
_BULK = 4
_AHEAD = DAY
_updated = attrgetter("updated")
_born = attrgetter("born")
_settled = attrgetter("settled")


class World:
    """`rows` is about how many machine actions are visible at any moment (within 5 % from 5,000 up)."""

    def __init__(self, seed: int = 1, rows: int = 2_000) -> None:
        if rows < 1:
            raise ValueError("a world has at least one row; for none, take an empty ScriptedWorld")
        self.seed = seed
        self.rows = rows
        self._sweep_slot = int(RETENTION / (rows * _SWEEP_SHARE))
        self._story_slot = int(RETENTION / (rows * (1 - _SWEEP_SHARE) / ACTIONS_PER_STORY))
        # A machine comes up again only after its last story is over.
        self._machines = max(40, LONGEST // self._story_slot + 1)
        self._lock = threading.Lock()
        self._known = (0, 0)
        self._stories: dict[int, _Told] = {}
        self._sweeps: dict[int, Action] = {}
        self._timelines: dict[str, Timeline] = {}

    def machine_actions(self, now: datetime) -> list[Record]:
        """Every machine action that the API shows at this moment, newest last update first."""
        return [row.record() for row in self.snapshot(MACHINE_ACTIONS, now).rows]

    def investigations(self, now: datetime) -> list[Record]:
        """Every investigation that the API shows at this moment, newest event first."""
        return [row.record() for row in self.snapshot(INVESTIGATIONS, now).rows]

    def snapshot(self, resource: str, now: datetime) -> Snapshot:
        ticks = times.to_ticks(now)
        with self._lock:
            self._reach(ticks)
            return self._timelines[resource].at(ticks)

    def _reach(self, ticks: int) -> None:
        """Makes sure that all that is visible at this moment has been told."""
        oldest, newest = ticks - RETENTION - LONGEST, ticks + _AHEAD
        low, high = self._known
        if low <= oldest and ticks <= high:
            return
        with _uncollected():
            self._tell_all(oldest, newest)

    def _tell_all(self, oldest: int, newest: int) -> None:
        self._known = (oldest, newest)
        self._stories = {
            slot: self._stories.get(slot) or self._tell(slot)
            for slot in _slots(self._known, self._story_slot)
        }
        self._sweeps = {
            slot: self._sweeps.get(slot) or self._sweep(slot)
            for slot in _slots(self._known, self._sweep_slot)
        }
        stories = self._stories.values()
        actions = chain(self._sweeps.values(), *(told.actions for told in stories))
        investigations = chain.from_iterable(told.investigations for told in stories)
        self._timelines = {
            MACHINE_ACTIONS: Timeline(MACHINE_ACTIONS, list(actions), newest),
            INVESTIGATIONS: Timeline(INVESTIGATIONS, list(investigations), newest),
        }

    def _tell(self, slot: int) -> _Told:
        rng = self._rng("story", slot)
        start = slot * self._story_slot + int(rng.random() * self._story_slot)
        round_, number = divmod(slot, self._machines)
        machines = [machine(self.seed, (number + i) % self._machines, round_) for i in range(_BULK)]
        plot = Plot(rng, slot, start, machines)
        rng.choice(DECK)(plot)
        return _Told(tuple(plot.actions), tuple(plot.investigations))

    def _sweep(self, slot: int) -> Action:
        rng = self._rng("sweep", slot)
        born = slot * self._sweep_slot + int(rng.random() * SECOND)
        picked_up = born + int((5 + rng.random() * 40) * SECOND)
        round_, number = divmod(slot * 7 + 3, self._machines)
        action = Plot(rng, slot, born, [machine(self.seed, number, round_)])
        action.act(0, "RunAntiVirusScan", scope="Full", by=("Contoso Nightly Scan", "PublicApi"))
        scan = action.actions[0]
        ended = picked_up + _SWEEP_LENGTH + int(rng.random() * MINUTE)
        scan.phases = ((born, "Pending"), (picked_up, "InProgress"), (ended, "Succeeded"))
        scan.beat, scan.beat_shift = _SWEEP_BEAT, slot * _SWEEP_STAGGER % _SWEEP_BEAT
        return scan

    def _rng(self, stream: str, slot: int) -> random.Random:
        number = (self.seed << 96) + (self.rows << 64) + (len(stream) << 56) + slot
        return random.Random(number)  # noqa: S311 - a world, not a secret


@contextmanager
def _uncollected() -> Iterator[None]:
    """Holds the garbage collector off while records are made by the hundred thousand, and all stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Told(NamedTuple):
    """What one story left behind."""

    actions: tuple[Action, ...]
    investigations: tuple[Investigation, ...]


def _slots(stretch: tuple[int, int], length: int) -> range:
    """The slots that touch a stretch of ticks."""
    return range(stretch[0] // length, stretch[1] // length + 1)


class Timeline:
    """All records of one resource born before `end` (ticks), and what of them shows at a moment up to it."""

    def __init__(self, resource: str, records: Sequence[Action] | Sequence[Investigation], end: int) -> None:
        self._resource = resource
        self._end = end
        self._by_birth: list[Action | Investigation] = sorted(records, key=_born)
        self._by_end: list[Action | Investigation] = sorted(records, key=_settled)
        self._births = [record.born for record in self._by_birth]
        self._ends = [record.settled for record in self._by_end]
        self._last: Snapshot | None = None

    def at(self, ticks: int) -> Snapshot:
        if self._last is None or not self._last.covers(ticks):
            self._last = self._build(ticks)
        return self._last

    def _build(self, ticks: int) -> Snapshot:
        horizon = ticks - RETENTION
        youngest = bisect_right(self._births, ticks)
        oldest = bisect_right(self._births, horizon)
        recent = bisect_right(self._births, ticks - LONGEST)
        unsettled = [record for record in self._by_birth[recent:youngest] if record.settled > ticks]
        rows = self._settled_rows(horizon, ticks)
        rows += sorted((record.row(ticks) for record in unsettled), key=_updated)
        rows.sort(key=_updated, reverse=True)
        until = min(
            chain(
                (record.next_change(ticks) for record in unsettled),
                self._births[youngest : youngest + 1],
                (birth + RETENTION for birth in self._births[oldest : oldest + 1]),
                (self._end + 1,),
            )
        )
        return Snapshot(self._resource, rows, ticks, until)

    def _settled_rows(self, horizon: int, ticks: int) -> list[Row]:
        """Rows of settled records, oldest end first. Only those that ended early can be too old."""
        first = bisect_right(self._ends, horizon)
        sure = bisect_right(self._ends, horizon + LONGEST)
        last = bisect_right(self._ends, ticks)
        rows = [record.row(ticks) for record in self._by_end[first:sure] if record.born > horizon]
        rows += [record.row(ticks) for record in self._by_end[sure:last]]
        return rows
