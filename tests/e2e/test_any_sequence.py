"""Any sequence of clock moves, changes and syncs leaves the warehouse equal to the API's truth.

The suite runs a few examples, always the same; for many others, set HYPOTHESIS_PROFILE=soak.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st
from support.records import action, ago, investigation, iso
from support.stage import INVESTIGATIONS, MACHINE_ACTIONS, Stages
from support.truth import VERSIONS

from simulator import ScriptedWorld

settings.register_profile(
    "fast",
    max_examples=3,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "soak", max_examples=300, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

ACTION_STATUSES = ("Pending", "InProgress", "Succeeded", "Failed", "TimeOut", "Cancelled", "Somehow")
OPEN_STATUSES = ("Pending", "InProgress", "Somehow")
STATES = ("Queued", "Running", "PendingApproval", "Running, PendingApproval", "Benign", "TerminatedByUser")
OPEN_STATES = STATES[:4]
LOOKBACK = timedelta(minutes=60)

SHORT_MOVES = [timedelta(0), timedelta(microseconds=1), timedelta(seconds=1), timedelta(minutes=7)]
LONG_MOVES = [timedelta(hours=1), timedelta(hours=30), timedelta(days=9), timedelta(days=60)]
clock_moves = st.sampled_from([*SHORT_MOVES, *LONG_MOVES])
# How long before the present a row is born, or its start lies; within the lookback, as it may appear late.
late_by = st.sampled_from([timedelta(microseconds=1), timedelta(minutes=1), timedelta(minutes=59)])
a_few = st.integers(min_value=1, max_value=9)
which = st.integers(min_value=0)
operations = st.one_of(
    st.tuples(st.just("move"), clock_moves),
    st.tuples(st.just("born"), a_few, late_by, st.sampled_from(ACTION_STATUSES)),
    st.tuples(st.just("change"), which, a_few, st.sampled_from(ACTION_STATUSES)),
    st.tuples(st.just("started"), a_few, late_by, st.sampled_from(STATES)),
    st.tuples(st.just("queued"), a_few),
    st.tuples(st.just("begin"), which, late_by),
    st.tuples(st.just("follow"), which, a_few, st.sampled_from(STATES)),
    st.tuples(st.just("vanish"), which),
    st.just(("sync",)),
    st.just(("sync",)),
)


class Play:
    """Plays operations on a stage, and knows what each sync could see of every row."""

    def __init__(self, stage) -> None:
        self.stage, self.world, self.clock = stage, stage.world, stage.clock
        self.count = 0
        self.open: dict[str, dict[str, bool]] = {MACHINE_ACTIONS: {}, INVESTIGATIONS: {}}
        self.vanished: dict[str, dict] = {}
        self.seen: dict[str, dict[str, list[dict]]] = {MACHINE_ACTIONS: {}, INVESTIGATIONS: {}}

    def play(self, operation) -> None:
        name, *values = operation
        getattr(self, name)(*values)

    # --- the world ---

    def move(self, by: timedelta) -> None:
        self.clock.advance(by)

    def born(self, count: int, late: timedelta, status: str) -> None:
        for _ in range(count):
            self.count += 1
            id = f"a{self.count}"
            self.world.put_action(action(id, self.clock() - late, updated=self.clock(), status=status))
            self.open[MACHINE_ACTIONS][id] = status in OPEN_STATUSES

    def change(self, first: int, count: int, status: str) -> None:
        for id in self._some(MACHINE_ACTIONS, first, count):
            self.world.change(id, status=status, lastUpdateDateTimeUtc=iso(self.clock()))
            self.open[MACHINE_ACTIONS][id] = status in OPEN_STATUSES

    def started(self, count: int, late: timedelta, state: str) -> None:
        for _ in range(count):
            self.count += 1
            self.world.put_investigation(investigation(f"{self.count}", self.clock() - late, state=state))
            self.open[INVESTIGATIONS][f"{self.count}"] = state in OPEN_STATES

    def queued(self, count: int) -> None:
        for _ in range(count):
            self.count += 1
            record = investigation(
                f"{self.count}", None, state="Queued", machineId=None, computerDnsName=None
            )
            self.world.put_investigation(record)
            self.open[INVESTIGATIONS][f"{self.count}"] = True

    def begin(self, first: int, late: timedelta) -> None:
        """One that has no start yet gets one."""
        truth = self.stage.truth(INVESTIGATIONS)
        waiting = sorted(id for id, row in truth.items() if row["start_time"] is None)
        if waiting:
            id = waiting[first % len(waiting)]
            self.world.change(id, startTime=iso(self.clock() - late), state="Running", machineId="m1")

    def follow(self, first: int, count: int, state: str) -> None:
        for id in self._some(INVESTIGATIONS, first, count):
            ended = None if state in OPEN_STATES else iso(self.clock())
            self.world.change(id, state=state, endTime=ended)
            # Without a start it is read at each sync, whatever its state.
            self.open[INVESTIGATIONS][id] = state in OPEN_STATES

    def vanish(self, first: int) -> None:
        for id in self._some(MACHINE_ACTIONS, first, 1):
            [self.vanished[id]] = [r for r in self.world.machine_actions(self.clock()) if r["id"] == id]
            self.world.remove(id)

    def _some(self, resource: str, first: int, count: int) -> list[str]:
        """Open rows that are there: closed ones change no more, in the world as in this play."""
        ids = [id for id, is_open in self.open[resource].items() if is_open and id not in self.vanished]
        start = first % len(ids) if ids else 0
        return ids[start : start + count]

    # --- the sync ---

    def sync(self) -> None:
        self.stage.sync().assert_ok()
        for resource in (MACHINE_ACTIONS, INVESTIGATIONS):
            for id, row in self._due(resource).items():
                versions = self.seen[resource].setdefault(id, [])
                if not versions or versions[-1] != row:
                    versions.append(row)
        self.check()

    def _due(self, resource: str) -> dict[str, dict]:
        cursor = {MACHINE_ACTIONS: "creation_date_time_utc", INVESTIGATIONS: "start_time"}[resource]
        return {
            id: row
            for id, row in self.stage.truth(resource).items()
            if row[cursor] is None or row[cursor] < self.clock() or id in self.seen[resource]
        }

    def check(self) -> None:
        self.stage.assert_in_step(again=False)
        with self.stage.warehouse().held():
            for resource, expected in self.seen.items():
                rows = self.stage.warehouse().rows(
                    f"select * exclude (version, observed_at) from defender.{VERSIONS[resource]} order by id, version"
                )
                found: dict[str, list[dict]] = {}
                for row in rows:
                    found.setdefault(row["id"], []).append(row)
                assert found == expected, f"{resource}: not every version that a sync could see"


# What chance takes long to find: a status that comes back, rows that end, begin and vanish long after birth.
TELLING = [
    *[
        ("born", 4, timedelta(minutes=1), "Pending"),
        ("started", 2, timedelta(minutes=1), "Running"),
        ("queued", 1),
    ],
    *[("sync",), ("move", timedelta(hours=30)), ("change", 0, 2, "InProgress"), ("follow", 0, 1, "Queued")],
    *[
        ("sync",),
        ("move", timedelta(days=9)),
        ("change", 0, 1, "Pending"),
        ("begin", 0, timedelta(minutes=1)),
    ],
    *[("sync",), ("change", 1, 2, "Succeeded"), ("vanish", 0), ("follow", 0, 2, "Benign")],
]


@settings(PROFILE)
@example(TELLING, 2)
@given(st.lists(operations, min_size=8, max_size=24), st.integers(min_value=2, max_value=7))
def test_after_any_sequence_the_warehouse_is_the_truth_with_every_version_that_could_be_seen(
    template, sequence, page_size
):
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        world = ScriptedWorld(
            [action(f"old{n}", ago(days=n, hours=2)) for n in range(5)], [investigation("old", ago(days=3))]
        )
        stages = Stages(Path(folder), stack, template)
        play = Play(
            stages(
                world, page_size=page_size, scrub_calls=0, requests_per_minute=10**6, requests_per_hour=10**6
            )
        )
        for operation in [*sequence, ("sync",), ("move", timedelta(minutes=1)), ("sync",)]:
            note(f"{play.clock():%m-%d %H:%M:%S.%f} {operation}")
            play.play(operation)
