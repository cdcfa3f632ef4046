"""The stage of an end-to-end test: a simulator on a clock that stands still, a data directory, the real sync.

    stage = open_stage(ScriptedWorld([action("a1", ago(hours=1))]))
    done = stage.sync()
    assert done.exit_code == 0
    stage.assert_in_step()

Nothing sleeps: a wait moves the clock. The simulator and the sync share the clock; to let their clocks
differ, set `stage.sim.faults.clock_offset`.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from pipelines.clock import Clock
from pipelines.defender import Loader
from pipelines.settings import Settings, SyncSettings, TenantSettings
from pipelines.sync import RunResult
from pipelines.sync import sync as run_sync
from pipelines.warehouse import Warehouse
from simulator import AnyWorld, Call, Limits, ManualClock, ScriptedWorld, Simulator, Tenant
from support.records import NOW
from support.truth import CURSOR, INVESTIGATIONS, MACHINE_ACTIONS, VERSIONS, Row, is_open, rows_of
from support.warehouse import Reading

SCOPE = "https://api.securitycenter.microsoft.com/.default"
ENDPOINTS = {MACHINE_ACTIONS: "machineactions", INVESTIGATIONS: "investigations"}
RESOURCES = tuple(ENDPOINTS)
DEFAULT_TENANT = "contoso"
START_OF_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass
class Events:
    """A RunObserver that remembers: ('reading', tenant, resource, what), ('stored', …, what, rows) …"""

    seen: list[tuple[Any, ...]] = field(default_factory=list)

    def begun(self, run: Any) -> None:
        self.seen.append(("begun", run.tenant, run.resource))

    def reading(self, run: Any, what: str, reader: Any) -> None:
        self.seen.append(("reading", run.tenant, run.resource, what))

    def stored(self, run: Any, what: str, rows: int, changes: Any) -> None:
        self.seen.append(("stored", run.tenant, run.resource, what, rows))

    def finished(self, run: Any) -> None:
        self.seen.append(("finished", run.tenant, run.resource, run.status))

    def check_failed(self, tenant: str, resource: str, check: str, severity: str, rows: int) -> None:
        self.seen.append(("check_failed", tenant, resource, check, severity, rows))

    def published(self, snapshot: str) -> None:
        self.seen.append(("published", snapshot))

    def of(self, kind: str, resource: str | None = None) -> list[tuple[Any, ...]]:
        """The events of a kind, without the kind; of one resource when it is named."""
        return [
            event[1:]
            for event in list(self.seen)
            if event[0] == kind and (resource is None or event[2] == resource)
        ]


@dataclass
class Done:
    """What one sync came to: its result, its events, and the calls that the simulator saw."""

    result: RunResult
    events: Events
    requests: list[Call]

    @property
    def exit_code(self) -> int:
        return int(self.result.exit_code)

    def run(self, resource: str = MACHINE_ACTIONS, tenant: str = DEFAULT_TENANT) -> Any:
        """The run log's row, as the program holds it."""
        [outcome] = [
            each
            for each in self.result.outcomes
            if (each.run.tenant, each.run.resource) == (tenant, resource)
        ]
        return outcome.run

    def error(self, resource: str = MACHINE_ACTIONS, tenant: str = DEFAULT_TENANT) -> Exception | None:
        """What failed."""
        [outcome] = [
            each
            for each in self.result.outcomes
            if (each.run.tenant, each.run.resource) == (tenant, resource)
        ]
        return outcome.error

    def calls(self, resource: str = MACHINE_ACTIONS) -> list[Call]:
        """The requests for a resource's list, in order."""
        return [call for call in self.requests if call.endpoint == ENDPOINTS[resource]]

    def assert_ok(self) -> Done:
        """Everything that was asked is done."""
        errors = [str(outcome.error) for outcome in self.result.outcomes if outcome.error]
        assert (self.exit_code, errors) == (0, [])
        return self


class Stage:
    """A simulator, a clock, a data directory. `worlds` has a world for each tenant's name.

    `template`: a warehouse with all tables and views and no rows, to begin with; without one, the first sync
    makes its own. `publishes`: whether a sync writes its snapshot, which takes half of a small sync's time.
    `options` are keys of `[sync]`.
    """

    def __init__(
        self,
        folder: Path,
        worlds: Mapping[str, AnyWorld],
        *,
        start: datetime = NOW,
        limits: Limits | None = None,
        publishes: bool = False,
        template: Path | None = None,
        **options: Any,
    ) -> None:
        self.publishes = publishes
        self.clock = ManualClock(start)
        self.data_dir = folder / "data"
        if template is not None:
            self.data_dir.mkdir(parents=True, mode=0o700)
            shutil.copy(template, self.data_dir / "warehouse.duckdb")
        self.worlds = dict(worlds)
        self.defaults: dict[str, Any] = options
        self.tenants = {
            name: Tenant(tenant_id=f"1a2b3c4d-0000-4000-8000-{number:012d}", world=world)
            for number, (name, world) in enumerate(worlds.items(), start=1)
        }
        self.sim = Simulator(
            next(iter(worlds.values())), clock=self.clock, limits=limits, tenants=list(self.tenants.values())
        )
        self._reading = Reading(self.data_dir / "warehouse.duckdb")
        self._seen: dict[tuple[str, str], set[str]] = {}

    @property
    def world(self) -> Any:
        """The first tenant's world."""
        return next(iter(self.worlds.values()))

    # --- acting ---

    def settings(self, **overrides: Any) -> Settings:
        """The configuration, `[sync]` keys replaced by `overrides`; `tenants` takes names."""
        options = {"data_dir": str(self.data_dir), **self.defaults, **overrides}
        names = options.pop("tenants", tuple(self.tenants))
        return Settings(
            SyncSettings(tenants=tuple(names), **options),
            tuple(self.tenant_settings(name) for name in names),
        )

    def tenant_settings(self, name: str = DEFAULT_TENANT, **overrides: Any) -> TenantSettings:
        """The configuration of one tenant."""
        tenant = self.tenants[name]
        values: dict[str, Any] = {
            "name": name,
            "cloud": "commercial",
            "tenant_id": tenant.tenant_id,
            "client_id": tenant.client_id,
            "client_secret": tenant.client_secret,
            "api_url": self.sim.url,
            "login_url": self.sim.url,
            "scope": SCOPE,
            "ca_bundle": self.sim.ca_bundle,
        }
        return TenantSettings(**{**values, **overrides})

    def program_clock(self) -> Clock:
        """The program's clock: the stage's, moved on by each wait, with no jitter."""
        return Clock(
            now=self.clock, wait=lambda seconds: self.clock.advance(seconds=seconds), jitter=lambda: 0.0
        )

    def sync(self, settings: Settings | None = None, *, clock: Clock | None = None, **overrides: Any) -> Done:
        """One whole run. What it raises (a lock, a stop, the database) is raised here."""
        before = len(self.sim.requests)
        events = Events()
        self._remember()
        umask = os.umask(0o022)
        try:
            with nullcontext() if self.publishes else unpublished():
                result = run_sync(
                    settings or self.settings(**overrides), clock or self.program_clock(), events
                )
        finally:
            os.umask(umask)
            self._remember()
        return Done(result, events, list(self.sim.requests)[before:])

    def _remember(self) -> None:
        """Note which ids the API shows: a row that it never showed is invented."""
        for tenant, world in self.worlds.items():
            for resource, endpoint in ENDPOINTS.items():
                rows = world.snapshot(endpoint, self.sim.now()).rows
                self._seen.setdefault((tenant, resource), set()).update(row.id for row in rows)

    def plain_skip_ids(
        self, page_size: int, resource: str = MACHINE_ACTIONS, filter_text: str = ""
    ) -> list[str]:
        """The ids that plain paging gets: `$skip` on by the page size until a page is short."""
        ids: list[str] = []
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {self.sim.issue_token()}"
            while True:
                params = {"$filter": filter_text} if filter_text else {}
                page = session.get(
                    f"{self.sim.url}/api/{ENDPOINTS[resource]}",
                    params={**params, "$top": str(page_size), "$skip": str(len(ids))},
                    verify=self.sim.ca_bundle,
                    timeout=10,
                ).json()["value"]
                ids += [record["id"] for record in page]
                if len(page) < page_size:
                    return ids

    # --- looking ---

    def warehouse(self) -> Reading:
        """The database, as it is now."""
        return self._reading

    def published(self) -> Reading:
        """What BI opens."""
        return Reading(self.data_dir / "published" / "defender.duckdb")

    def truth(self, resource: str, tenant: str = DEFAULT_TENANT) -> dict[str, Row]:
        """What the API shows now, in the contract's columns, by id; well-formed records only."""
        world = self.worlds[tenant]
        records = (
            world.machine_actions(self.sim.now())
            if resource == MACHINE_ACTIONS
            else world.investigations(self.sim.now())
        )
        return rows_of(resource, records, tenant)

    def loaded(self, resource: str, tenant: str = DEFAULT_TENANT) -> dict[str, Row]:
        """The warehouse's rows by id, what the API says only."""
        rows = self.warehouse().rows(
            f"select * exclude (synced_at, gone_at) from defender.{resource} where tenant = ?", tenant
        )
        assert len({row["id"] for row in rows}) == len(rows), "an id stands twice"
        return {row["id"]: row for row in rows}

    def gone(self, resource: str, tenant: str = DEFAULT_TENANT) -> set[str]:
        """The ids of rows that have `gone_at`."""
        rows = self.warehouse().rows(
            f"select id from defender.{resource} where tenant = ? and gone_at is not null", tenant
        )
        return {row["id"] for row in rows}

    def versions(self, resource: str, id: str, *columns: str) -> list[tuple[Any, ...]]:
        """The versions of a row, first to last, some columns of each."""
        rows = self.warehouse().rows(
            f"select {', '.join(columns)} from defender.{VERSIONS[resource]} where id = ? order by version",
            id,
        )
        return [tuple(row.values()) for row in rows]

    def watermark(self, resource: str = MACHINE_ACTIONS, tenant: str = DEFAULT_TENANT) -> datetime | None:
        """How far the warehouse says that it was read."""
        rows = self.warehouse().rows(
            "select watermark from defender.watermarks where tenant = ? and resource = ?", tenant, resource
        )
        return rows[0]["watermark"] if rows else None

    # --- what holds after every sync ---

    def assert_in_step(
        self, resources: Iterable[str] = RESOURCES, *, again: bool = True, **overrides: Any
    ) -> None:
        """The invariants: the warehouse is the truth, ids are unique, versions whole, the watermark and the
        quota kept; and, unless `again` is False, one more sync changes nothing.
        """
        resources = tuple(resources)
        with self.warehouse().held():
            for tenant in self.tenants:
                for resource in resources:
                    loaded = self.loaded(resource, tenant)
                    self._assert_equals_truth(resource, tenant, loaded)
                    self._assert_versions_are_whole(resource, tenant, loaded)
                    watermark = self.watermark(resource, tenant)
                    assert watermark is None or watermark <= self.sim.now(), "the watermark is in the future"
            before = self._contents() if again else {}
        self.assert_inside_quota()
        if again:
            done = self.sync(**overrides)
            assert [(outcome.run.rows_new, outcome.run.rows_changed) for outcome in done.result.outcomes] == [
                (0, 0)
            ] * len(done.result.outcomes)
            with self.warehouse().held():
                after = self._contents()
            assert after == before, "a sync with nothing new changed something"

    def _assert_equals_truth(self, resource: str, tenant: str, loaded: dict[str, Row]) -> None:
        truth = self.truth(resource, tenant)
        gone = self.gone(resource, tenant)
        now = self.sim.now()
        # A window ends before the run's start: a row of that very moment is the next sync's.
        due = {id: row for id, row in truth.items() if (row[CURSOR[resource]] or START_OF_TIME) < now}
        missing = sorted(due.keys() - loaded.keys())
        assert missing == [], f"{resource} of {tenant}: {len(missing)} rows are missing"
        stale = [(truth[id], loaded[id]) for id in truth.keys() & loaded.keys() if loaded[id] != truth[id]]
        assert stale == [], f"{resource} of {tenant}: {len(stale)} rows are not as the API shows them"
        assert not gone & truth.keys(), f"{resource} of {tenant}: rows called gone that are there"
        invented = loaded.keys() - truth.keys() - self._seen.get((tenant, resource), set())
        assert invented == set(), f"{resource} of {tenant}: rows that were never there"
        lost_open = {id for id in loaded.keys() - truth.keys() - gone if is_open(resource, loaded[id])}
        assert lost_open == set(), f"{resource} of {tenant}: open rows that are no longer there, not gone"

    def _assert_versions_are_whole(self, resource: str, tenant: str, loaded: dict[str, Row]) -> None:
        rows = self.warehouse().rows(
            f"from defender.{VERSIONS[resource]} where tenant = ? order by id, version", tenant
        )
        by_id: dict[str, list[Row]] = {}
        for row in rows:
            by_id.setdefault(row["id"], []).append(row)
        assert by_id.keys() == loaded.keys(), "a row without a version, or the other way round"
        for id, versions in by_id.items():
            assert [row["version"] for row in versions] == list(range(1, len(versions) + 1))
            contents = [
                {name: value for name, value in row.items() if name not in ("version", "observed_at")}
                for row in versions
            ]
            assert contents[-1] == loaded[id], f"{id}: the last version is not the row"
            assert all(a != b for a, b in itertools.pairwise(contents)), f"{id}: twins"
            times = [row["observed_at"] for row in versions]
            assert times == sorted(times), f"{id}: versions observed out of order"

    def assert_inside_quota(self) -> None:
        """No minute and no hour of the simulator's clock saw more calls of a tenant to a list than configured.

        With several calls under way at once, a wait of one moves the clock for all: a call may then arrive
        later than it was counted. So a stage that uses up its quota has to run one call at a time.
        """
        per_minute = self.defaults.get("requests_per_minute", 100)
        per_hour = self.defaults.get("requests_per_hour", 1_500)
        moments: dict[tuple[str | None, str], list[datetime]] = {}
        for call in list(self.sim.requests):
            if call.endpoint in ENDPOINTS.values():
                moments.setdefault((call.tenant_id, call.endpoint), []).append(call.at)
        for times in moments.values():
            ordered = sorted(times)
            for limit, span in ((per_minute, timedelta(minutes=1)), (per_hour, timedelta(hours=1))):
                for first, last in zip(ordered, ordered[limit:], strict=False):
                    assert last - first >= span, f"more than {limit} calls within {span}"

    def _contents(self) -> dict[str, list[Row]]:
        """All that a sync with nothing new must leave as it is."""
        found = {}
        for table in (*RESOURCES, *VERSIONS.values()):
            read_at = "exclude (synced_at)" if table in RESOURCES else ""
            found[table] = self.warehouse().rows(f"select * {read_at} from defender.{table} order by all")
        found["quarantine"] = self.warehouse().rows(
            "select tenant, resource, record_hash, reason from defender.quarantine order by all"
        )
        return found

    def status_counts(self, resource: str = MACHINE_ACTIONS) -> Counter[str]:
        """How many rows of each status or state the warehouse has."""
        column = "status" if resource == MACHINE_ACTIONS else "state"
        return Counter(row[column] for row in self.loaded(resource).values())


def empty_warehouse(path: Path) -> Path:
    """A warehouse that the program has prepared and that holds no row."""
    warehouse = Warehouse(path)
    loader = Loader(warehouse, path.with_name("dlt"))
    loader.create_state_tables("nobody")
    warehouse.create_tables()
    warehouse.create_views(NOW - timedelta(days=400))
    loader.close()
    warehouse.close()
    return path


@contextmanager
def unpublished() -> Iterator[None]:
    """A sync that ends before its snapshot is written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "pipelines.sync.publish", lambda _warehouse, data_dir, _now, **_options: data_dir.snapshots
        )
        yield


class Stages:
    """Opens stages, and closes their simulators at the end of the test."""

    def __init__(self, folder: Path, stack: ExitStack, template: Path | None = None) -> None:
        self._folder = folder
        self._template = template
        self._stack = stack
        self._count = 0

    def __call__(
        self, world: AnyWorld | Mapping[str, AnyWorld] | None = None, *, fresh: bool = False, **options: Any
    ) -> Stage:
        """A stage with one world for tenant `contoso`, or with a world for each name of a mapping.

        `fresh`: the first sync finds no database at all. Otherwise it finds one without a row, which saves
        it half a second.
        """
        self._count += 1
        worlds = dict(world) if isinstance(world, Mapping) else {DEFAULT_TENANT: world or ScriptedWorld()}
        template = None if fresh else self._template
        stage = Stage(self._folder / f"stage{self._count}", worlds, template=template, **options)
        self._stack.enter_context(stage.sim)
        return stage


__all__ = ["CURSOR", "INVESTIGATIONS", "MACHINE_ACTIONS", "Done", "Events", "Stage", "Stages"]
