"""One run over all tenants: lock, warehouse, a thread for each tenant, one writer, checks, publish.

Tenants are read side by side and loaded one at a time; each, and each of its resources, fails alone.
"""

import logging
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Protocol

import pyarrow as pa

from pipelines import checks, status
from pipelines.auth import TokenProvider, token_provider
from pipelines.chunks import Observer, Writer
from pipelines.client import DefenderClient, Patience
from pipelines.clock import Clock
from pipelines.comparison import Comparison, compared
from pipelines.data_dir import DataDir
from pipelines.database_errors import as_warehouse_error, telling_of
from pipelines.errors import (
    DefenderSyncError,
    ExitCode,
    NotOfferedError,
    PartialError,
    StoppedError,
    describe,
)
from pipelines.local_simulator import simulated_tenants
from pipelines.publish import publish
from pipelines.quota import Quota
from pipelines.range_sync import BACKFILL, RECONCILE, RangeSync
from pipelines.reader import ListReader
from pipelines.resource_sync import ResourceSync
from pipelines.resources import RESOURCES
from pipelines.settings import Settings, SyncSettings, TenantSettings
from pipelines.turns import Turns
from pipelines.upgrades import opened
from pipelines.warehouse import RunRow, Warehouse
from pipelines.watching import Watch
from pipelines.windows import Window

logger = logging.getLogger(__name__)

# How long a stopped run waits for its threads before it leaves them: in all, it ends within 5 s.
STOP_GRACE_SECONDS = 2.5
MOST_TENANTS_AT_ONCE = 64
# Which code tells more, when everything failed and not for one reason.
TELLING_CODES = (ExitCode.AUTHENTICATION, ExitCode.UNAVAILABLE, ExitCode.CONFIGURATION, ExitCode.PARTIAL)


class RunObserver(Observer, Protocol):
    """Is told how a run gets on."""

    def begun(self, run: RunRow) -> None:
        """A resource's turn has come."""

    def finished(self, run: RunRow) -> None:
        """A resource is done, for better or worse."""

    def check_failed(self, tenant: str, resource: str, check: str, severity: str, rows: int) -> None:
        """A check found rows."""

    def published(self, snapshot: str) -> None:
        """A snapshot is out."""


@dataclass
class Outcome:
    """What became of one resource of one tenant."""

    run: RunRow
    error: Exception | None = None


@dataclass
class RunResult:
    """What became of a run."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def exit_codes(self) -> dict[tuple[str, str], int]:
        """The code of each tenant and resource, were it alone."""
        return {(each.run.tenant, each.run.resource): _exit_code(each.error) for each in self.outcomes}

    @property
    def exit_code(self) -> int:
        """0 when all is done; one reason's own code when all failed for it; 5 when some succeeded."""
        codes = [_exit_code(outcome.error) for outcome in self.outcomes]
        failures = {code for code in codes if code != ExitCode.DONE}
        if not failures:
            return ExitCode.DONE
        some_succeeded = any(outcome.run.status == "succeeded" for outcome in self.outcomes)
        if some_succeeded or ExitCode.PARTIAL in failures:
            return ExitCode.PARTIAL
        if len(failures) == 1:
            return failures.pop()
        return next((code for code in TELLING_CODES if code in failures), ExitCode.UNEXPECTED)


def _exit_code(error: Exception | None) -> int:
    if error is None:
        return ExitCode.DONE
    return error.exit_code if isinstance(error, DefenderSyncError) else ExitCode.UNEXPECTED


class Job(Protocol):
    """What is done for one resource of one tenant."""

    def run(self) -> None:
        """Do it."""


class JobMaker(Protocol):
    """Makes the job of one resource of one tenant."""

    def __call__(
        self,
        *,
        settings: SyncSettings,
        clock: Clock,
        warehouse: Warehouse,
        writer: Writer,
        reader: ListReader,
        run: RunRow,
        observer: Observer,
    ) -> Job:
        """The job."""


def sync(settings: Settings, clock: Clock, observer: RunObserver) -> RunResult:
    """Bring the warehouse in step with every tenant of `settings`, and publish it.

    Raises LockedError where another sync runs, WarehouseError where the database or the disk fails,
    StoppedError where `clock.stopping` was set; what failed for one tenant is in the result.
    """
    return _run_all(settings, clock, observer, "sync", ResourceSync)


def backfill(settings: Settings, clock: Clock, observer: RunObserver, asked: Window) -> RunResult:
    """Read the range again and merge it; as `sync` otherwise."""
    return _run_all(settings, clock, observer, BACKFILL, partial(RangeSync, asked=asked))


def reconcile(settings: Settings, clock: Clock, observer: RunObserver, asked: Window) -> RunResult:
    """Compare the range with the API and mend what is missing, changed or gone; as `sync` otherwise."""
    return _run_all(settings, clock, observer, RECONCILE, partial(RangeSync, asked=asked))


def _run_all(
    settings: Settings, clock: Clock, observer: RunObserver, command: str, make_job: JobMaker
) -> RunResult:
    data_dir = DataDir(settings.data_dir, settings.sync.published_mode)
    data_dir.create()
    watch = Watch(settings, data_dir, clock)
    with (
        data_dir.locked(),
        watch.of_run(),
        simulated_tenants(settings) as reachable,
        telling_of(data_dir.warehouse),
        opened(data_dir, clock.now()) as warehouse,
    ):
        return _Run(reachable, data_dir, warehouse, clock, observer, command, make_job, watch).run()


class _Run:
    """The parts of one run, and what they share."""

    def __init__(
        self,
        settings: Settings,
        data_dir: DataDir,
        warehouse: Warehouse,
        clock: Clock,
        observer: RunObserver,
        command: str,
        make_job: JobMaker,
        watch: Watch,
    ) -> None:
        # Arrow's other pools keep what they once took.
        pa.set_memory_pool(pa.system_memory_pool())
        # dlt takes a second to import: only now, when there is something to load into.
        from pipelines.defender import Loader
        from pipelines.storing import ChunkWriter

        self._settings, self._data_dir = settings, data_dir
        self._warehouse, self._clock, self._observer = warehouse, clock, observer
        self._command, self._make_job, self._watch = command, make_job, watch
        self._started_at = clock.now()
        self._run_id = f"{self._started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        self._loader = Loader(warehouse, data_dir.working_dir)
        self._writer = ChunkWriter(warehouse, self._loader)
        self._result = RunResult()

    def run(self) -> RunResult:
        """The whole run."""
        self._prepare()
        status.note_start(self._data_dir, self._run_id, self._started_at)
        self._watch.begun(self._warehouse, self._run_id)
        with self._warehouse.less_memory():
            self._sync_tenants()
            self._writer.close(wait=True)
        self._loader.close()
        # Before anything is told by the run log.
        self._warehouse.forget_runs(self._started_at - timedelta(days=self._settings.sync.run_log_days))
        with compared(self._warehouse, self._data_dir, self._clock.now()) as comparison:
            passed = self._check(comparison)
            status.note_end(self._data_dir, self._warehouse, self._clock.now())
            self._watch.measured(self._warehouse, self._result.exit_code)
            if self._warehouse.has_been_read():
                self._publish(comparison, passed)
        status.note_recovery(self._data_dir)
        self._watch.ended(self._warehouse, self._result.exit_codes)
        return self._result

    def _prepare(self) -> None:
        """Tables, views, and the versions that a killed run left out."""
        if not self._warehouse.has_state_tables():
            self._writer.prepare(self._settings.tenants[0].name).result()
        self._warehouse.create_tables()
        self._warehouse.create_views(self._clock.now(), self._settings.aliases)
        self._warehouse.add_missing_versions()

    # --- tenants ---

    def _sync_tenants(self) -> None:
        """All tenants, side by side; this thread only waits, so that a signal finds it free."""
        turns = Turns(MOST_TENANTS_AT_ONCE)
        left = deque(self._settings.tenants)
        pool = ThreadPoolExecutor(len(left), thread_name_prefix="tenant")
        futures: list[Future[None]] = []
        pending: set[Future[None]] = set()
        while (left or pending) and not self._clock.stopping.is_set():
            if not left:
                _, pending = wait_for(pending, timeout=0.2)
            elif turns.take(longest_seconds=0.2):
                futures.append(pool.submit(self._sync_in_turn, left.popleft(), turns))
                pending.add(futures[-1])
        if self._clock.stopping.is_set():
            self._stop(pool, futures)
        pool.shutdown()
        for future in futures:
            future.result()

    def _stop(self, pool: ThreadPoolExecutor, futures: Sequence[Future[None]]) -> None:
        """Log the run as stopped, and leave; a load that is under way is rolled back by the database."""
        pool.shutdown(wait=False, cancel_futures=True)
        self._writer.close(wait=False)
        wait_for(futures, timeout=STOP_GRACE_SECONDS)
        for outcome in self._result.outcomes:
            if outcome.run.finished_at is None:
                outcome.run.finished_at = self._clock.now()
                outcome.run.error = "stopped by a signal"
                self._warehouse.save_run(outcome.run)
        status.note_end(self._data_dir, self._warehouse, self._clock.now())
        if self._writer.is_busy:
            self._warehouse.leave_open()
        raise StoppedError

    def _sync_in_turn(self, tenant: TenantSettings, turns: Turns) -> None:
        with turns.used(self._clock) as clock:
            self._sync_tenant(tenant, clock)

    def _sync_tenant(self, tenant: TenantSettings, clock: Clock) -> None:
        """Both resources of a tenant, one after the other: they share its sign-in and its patience."""
        tokens = token_provider(tenant, clock)
        patience = Patience(self._settings.sync.max_wait_minutes * 60, tenant.name)
        for name in self._settings.sync.resources:
            outcome = Outcome(
                RunRow(self._run_id, tenant.name, name, self._command, max(clock.now(), self._started_at))
            )
            self._result.outcomes.append(outcome)
            self._warehouse.save_run(outcome.run)
            self._observer.begun(outcome.run)
            try:
                self._sync_resource(tenant, clock, tokens, patience, outcome.run)
                outcome.run.status = "succeeded"
            except StoppedError:
                return
            except Exception as error:  # noqa: BLE001  each resource fails alone, whatever the reason
                if clock.stopping.is_set():
                    return
                self._note_failure(outcome, error)
            outcome.run.finished_at = clock.now()
            self._warehouse.save_run(outcome.run)
            self._observer.finished(outcome.run)

    def _sync_resource(
        self, tenant: TenantSettings, clock: Clock, tokens: TokenProvider, patience: Patience, run: RunRow
    ) -> None:
        sync_settings, resource = self._settings.sync, RESOURCES[run.resource]
        quota = Quota(
            self._data_dir.quota,
            f"{tenant.name}__{resource.name}",
            sync_settings.requests_per_minute,
            sync_settings.requests_per_hour,
        )
        client = DefenderClient(tenant, tokens, quota, clock, patience)
        reader = ListReader(
            client,
            resource,
            sync_settings.page_size,
            sync_settings.max_concurrent_requests,
            self._warehouse.progress(tenant.name, resource).largest_page,
        )
        try:
            self._make_job(
                settings=sync_settings,
                clock=clock,
                warehouse=self._warehouse,
                writer=self._writer,
                reader=reader,
                run=run,
                observer=self._observer,
            ).run()
        finally:
            run.calls, run.retries = client.counts.calls, client.counts.retries
            run.waited_seconds = round(client.counts.waited_seconds, 3)
            run.rows_read = reader.rows
            client.close()
            quota.close()

    def _note_failure(self, outcome: Outcome, failure: Exception) -> None:
        error = as_warehouse_error(failure, self._data_dir.warehouse) or failure
        if isinstance(error, NotOfferedError):
            outcome.run.status = "unavailable"
        else:
            outcome.run.status = "partial" if isinstance(error, PartialError) else "failed"
        outcome.error = error
        outcome.run.error = describe(error)
        logger.debug("tenant %s, %s failed", outcome.run.tenant, outcome.run.resource, exc_info=failure)

    # --- afterwards ---

    def _check(self, comparison: Comparison) -> set[str]:
        """Run the checks, and write what they found into the run log; the hashes of those that all rows passed."""
        found, passed = checks.run(self._warehouse, comparison)
        failed: dict[tuple[str, str], int] = {}
        for each in found:
            self._observer.check_failed(each.tenant, each.resource, each.check, each.severity, each.rows)
            if each.severity == "error":
                failed[each.tenant, each.resource] = failed.get((each.tenant, each.resource), 0) + 1
        for outcome in self._result.outcomes:
            outcome.run.checks_failed = failed.get((outcome.run.tenant, outcome.run.resource), 0)
            if outcome.run.checks_failed:
                self._warehouse.save_run(outcome.run)
        return passed

    def _publish(self, comparison: Comparison, passed: set[str]) -> None:
        by_tenant = self._settings.sync.publish_by_tenant
        snapshot = publish(
            self._warehouse,
            self._data_dir,
            self._clock.now(),
            comparison=comparison,
            checks=passed,
            by_tenant=by_tenant,
        )
        self._observer.published(str(snapshot))
