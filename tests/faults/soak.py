"""`make soak`: syncs under random faults and kills, until the time is up; then warehouse and truth are compared.

Each round the world goes on, some requests are met by faults, and the run may be killed. After every few
rounds the faults stop, and one sync with no hand laid on must bring all in step. Not part of `make test`.

    make soak MINUTES=10 SEED=1
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from crash import crasher
from support.published import assert_published_equals_warehouse
from support.records import action, ago, investigation, iso
from support.stage import Stage
from test_kills import assert_published_is_whole

from simulator import (
    CutOff,
    Drop,
    ExpireTokens,
    Garbage,
    IgnoreSkip,
    NoValue,
    PageCap,
    ScriptedWorld,
    Shuffle,
    Status,
    TooManyRequests,
    WrongContentType,
)

ROUNDS_BETWEEN_LOOKS = 4
ENDPOINTS = ("machineactions", "investigations")
STATUSES = ("Pending", "InProgress", "Succeeded", "Failed", "TimeOut", "Cancelled")
TYPES = ("Isolate", "Unisolate", "RunAntiVirusScan", "CollectInvestigationPackage")
STATES = ("Running", "PendingApproval", "Benign", "SuccessfullyRemediated", "Failed")


class Soak:
    """One soak: its world, its stage, and what it has counted."""

    def __init__(self, stage: Stage, world: ScriptedWorld, rng: random.Random) -> None:
        self.stage, self.world, self.rng = stage, world, rng
        self.counts: Counter[str] = Counter()
        self.ids: dict[str, list[str]] = {"action": [], "investigation": []}

    def populate(self) -> None:
        """Half a year of rows."""
        for number in range(300):
            self.bear(number, ago(days=170 - number * 0.56))

    def bear(self, number: int, at) -> None:
        action_id, investigation_id = f"a{number:06}", f"{900_000 + number}"
        machine = {"machineId": f"m{self.rng.randrange(100)}"}
        kind = self.rng.choice(TYPES)
        self.world.put_action(action(action_id, at, type=kind, status=self.rng.choice(STATUSES), **machine))
        self.world.put_investigation(
            investigation(investigation_id, at, state=self.rng.choice(STATES), **machine)
        )
        self.ids["action"].append(action_id)
        self.ids["investigation"].append(investigation_id)

    def turn(self, number: int) -> None:
        """What happens between two syncs: births, changes of open rows, a bad record."""
        self.stage.clock.advance(minutes=self.rng.randint(1, 45))
        now = self.stage.clock.now()
        for each in range(self.rng.randint(0, 12)):
            self.bear(1_000 * number + each, now - timedelta(seconds=self.rng.randint(1, 600)))
        open_actions = [
            row["id"] for row in self.stage.truth("machine_actions").values() if row["status"] in STATUSES[:2]
        ]
        for id in self.rng.sample(open_actions, min(len(open_actions), self.rng.randint(0, 10))):
            self.world.change(id, status=self.rng.choice(STATUSES), lastUpdateDateTimeUtc=iso(now))
        if self.rng.random() < 0.2:
            self.world.put_raw(
                "machineactions", f'{{"id": "bad{number}"}}', filed_at=now - timedelta(minutes=5)
            )

    def break_things(self) -> None:
        """Some faults at some of the coming requests."""
        for _ in range(self.rng.randint(0, 4)):
            effect = self.rng.choice(
                [
                    Status(self.rng.choice([500, 502, 503, 504, 401, 403])),
                    TooManyRequests(self.rng.choice([None, 1, 30, 3600]), as_date=False),
                    Drop(),
                    CutOff(),
                    Garbage(),
                    NoValue(),
                    WrongContentType(),
                    ExpireTokens(),
                    PageCap(self.rng.choice([7, 16, 20])),
                    IgnoreSkip(),
                    Shuffle(self.rng.randint(1, 9)),
                ]
            )
            endpoint, nth, times = self.rng.choice(ENDPOINTS), self.rng.randint(1, 8), self.rng.randint(1, 3)
            # A short page that comes again whatever `$skip` says is taken for the whole list; a cut one looks the same.
            met = {type(rule.effect) for rule in self.stage.sim.faults.rules if rule.on == endpoint}
            if {*met, type(effect)} >= {PageCap, IgnoreSkip}:
                continue
            self.stage.sim.faults.add(effect, endpoint, nth=nth, times=times)

    def run_once(self, crash) -> None:
        """One sync, killed at a random moment four times out of five, unless it ends before; its readings are stored
        together, or each by itself.
        """
        after = self.rng.uniform(0.0, 1.2) if self.rng.random() < 0.8 else None
        status = crash.run(self.stage, after_seconds=after, gathered_rows=self.rng.choice([None, 0]))
        self.counts["killed" if status == -9 else f"exit {status}"] += 1
        if status not in (-9, 0, 3, 4, 5):
            raise SystemExit(f"a sync ended with {status}, which no fault explains")
        for rule in self.stage.sim.faults.rules:
            self.counts[f"fault {type(rule.effect).__name__}"] += rule.fired
        self.stage.sim.faults.clear()
        if (self.stage.data_dir / "published").exists():
            assert_published_is_whole(self.stage)

    def look(self) -> None:
        """No more faults: one sync, and warehouse and truth are the same."""
        self.stage.clock.advance(minutes=61)
        self.stage.sync().assert_ok()
        self.stage.assert_in_step(again=False)
        assert_published_equals_warehouse(self.stage)
        unexpected = "select error from defender.sync_runs where error like 'unexpected %'"
        assert self.stage.warehouse().rows(unexpected) == []
        self.counts["comparisons"] += 1
        self.counts["rows compared"] += len(self.stage.truth("machine_actions"))
        self.counts["rows compared"] += len(self.stage.truth("investigations"))


def main() -> None:
    """Soak until the time is up, and tell the figures; an AssertionError tells what was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    end = time.monotonic() + options.minutes * 60
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = ScriptedWorld()
        stage = Stage(folder, {"contoso": world}, publishes=True, page_size=25)
        stack.enter_context(stage.sim)
        crash = stack.enter_context(crasher())
        soak = Soak(stage, world, random.Random(options.seed))  # noqa: S311
        soak.populate()
        number = 0
        while time.monotonic() < end:
            number += 1
            soak.turn(number)
            soak.break_things()
            soak.run_once(crash)
            if number % ROUNDS_BETWEEN_LOOKS == 0:
                soak.look()
                sys.stdout.write(f"round {number}: in step, {soak.counts['killed']} killed so far\n")
                sys.stdout.flush()
        soak.look()
    sys.stdout.write(f"seed {options.seed}, {number} syncs under faults\n")
    for name, count in sorted(soak.counts.items()):
        sys.stdout.write(f"  {name}: {count:,}\n")


if __name__ == "__main__":
    main()
