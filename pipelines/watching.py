"""What a run leaves for those who watch it: the metrics file, changes of health for the webhook, and how it failed.

Never makes a run fail: what goes wrong here is a warning.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines import status
from pipelines.alerts import Alerts
from pipelines.clock import Clock
from pipelines.data_dir import DataDir
from pipelines.errors import DefenderSyncError, ExitCode, StoppedError, WarehouseError, describe
from pipelines.health import FAILING, REMEDIES, STALE, Facts, health, is_worse
from pipelines.metrics import Figures, write_metrics
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse

logger = logging.getLogger(__name__)

Codes = Mapping[tuple[str, str], int]

# What became of the syncs of each resource; a run that was stopped, or still runs, says nothing.
SYNC_FACTS = """
with syncs as (
    select tenant, resource, run_id, status, started_at, finished_at
    from defender.sync_runs
    where command = 'sync' and status <> 'stopped'
),

successes as (
    select
        tenant,
        resource,
        max(finished_at) filter (where status = 'succeeded') as last_success_at,
        max(finished_at) as last_well_at
    from syncs
    where status in ('succeeded', 'unavailable')
    group by tenant, resource
)

select
    syncs.tenant,
    syncs.resource,
    max_by(syncs.status, (syncs.started_at, syncs.run_id)) as last_status,
    max_by(syncs.run_id, (syncs.started_at, syncs.run_id)) as last_run_id,
    max(successes.last_success_at) as last_success_at,
    min(syncs.started_at) filter (
        where
        syncs.status in ('failed', 'partial')
        and (successes.last_well_at is null or syncs.started_at >= successes.last_well_at)
    ) as failing_since
from syncs
left join successes on syncs.tenant = successes.tenant and syncs.resource = successes.resource
group by syncs.tenant, syncs.resource
"""

LAST_RUNS = """
with last_starts as (
    select tenant, resource, max(started_at) as started_at from defender.sync_runs group by tenant, resource
)

select
    tenant, resource, status, started_at, finished_at, calls, retries, waited_seconds,
    rows_read, rows_new, rows_changed, rows_quarantined, checks_failed
from defender.sync_runs
inner join last_starts using (tenant, resource, started_at)
qualify row_number() over (partition by tenant, resource order by run_id desc) = 1
"""


class Watch:
    """One run, watched."""

    def __init__(self, settings: Settings, data_dir: DataDir, clock: Clock) -> None:
        self._settings, self._data_dir, self._clock = settings, data_dir, clock
        self._started_at = clock.now()
        self._max_age = timedelta(minutes=settings.alerts.max_age_minutes)
        self._run_id: str | None = None
        # As of the end of reading; None for a run that does not come to it.
        self._measured: Figures | None = None
        self._exit_code = 0

    @contextmanager
    def of_run(self) -> Iterator[None]:
        """Around the run, within its lock: one that fails as a whole is told too; one that is stopped is not."""
        try:
            yield
        except StoppedError:
            raise
        except Exception as error:
            code = error.exit_code if isinstance(error, DefenderSyncError) else ExitCode.UNEXPECTED
            with _only_warning("status"):
                status.note_failure(self._data_dir, self._clock.now(), code, describe(error))
            with _only_warning("metrics"):
                self._write_metrics(code)
            with _only_warning("alerts"):
                self._tell_of_failure(code)
            raise

    def begun(self, warehouse: Warehouse, run_id: str) -> None:
        """Tell what no run could: that rows went stale, or what a killed run left untold."""
        self._run_id = run_id
        with _only_warning("alerts"):
            self._tell(warehouse, None)

    def measured(self, warehouse: Warehouse, exit_code: int) -> None:
        """Take the run's figures, which are written when what it read is published; `status.json` is up to date."""
        self._exit_code = exit_code
        with _only_warning("metrics"):
            self._measured = self._figures(warehouse)

    def ended(self, warehouse: Warehouse, codes: Codes) -> None:
        """Write the figures, and tell what changed; `codes` has the exit code of each resource alone."""
        with _only_warning("metrics"):
            self._write_metrics(self._exit_code)
        with _only_warning("alerts"):
            self._tell(warehouse, codes)

    # --- metrics ---

    def _write_metrics(self, exit_code: int) -> None:
        run = {
            "exit_code": exit_code,
            "started_at": self._started_at,
            "finished_at": self._clock.now(),
            "published_at": status.published_at(self._data_dir),
        }
        elsewhere = self._settings.sync.metrics_file
        if elsewhere:
            path, mode = Path(elsewhere).expanduser(), self._data_dir.published_file_mode
        else:
            path, mode = self._data_dir.metrics, 0o600
        try:
            write_metrics(path, mode, run, self._measured)
        except OSError as error:
            place = f"sync.metrics_file {path}" if elsewhere else str(path)
            logger.warning("the metrics of this run could not be written: %s: %s", place, error.strerror)

    def _figures(self, warehouse: Warehouse) -> dict[tuple[str, str], dict[str, Any]]:
        """Those of every configured tenant, also of one that this run left out."""
        now, sync_settings = self._clock.now(), self._settings.sync
        known = status.known_facts(self._data_dir)
        figures = {}
        for run in _records(warehouse, LAST_RUNS):
            tenant, resource = run["tenant"], run["resource"]
            if tenant not in sync_settings.tenants or resource not in sync_settings.resources:
                continue
            if run["finished_at"] is not None:
                run["duration_seconds"] = (run["finished_at"] - run["started_at"]).total_seconds()
            facts = {
                name: datetime.fromisoformat(value) if isinstance(value, str) and name in TIMES else value
                for name, value in known.get(tenant, {}).get(resource, {}).items()
            }
            minute, hour = status.quota_left(self._settings, self._data_dir, tenant, resource, now)
            left = {"quota_left_minute": minute, "quota_left_hour": hour}
            figures[tenant, resource] = {**facts, **run, **left}
        return figures

    # --- alerts ---

    def _alerts(self) -> Alerts | None:
        url = self._settings.alerts.webhook_url
        return Alerts(self._data_dir.alerts, url, self._clock) if url else None

    def _tell(self, warehouse: Warehouse, codes: Codes | None) -> None:
        """Note and tell how things stand; `codes` None is the run's start."""
        alerts = self._alerts()
        if alerts is None:
            return
        found = {
            (row.pop("tenant"), row.pop("resource")): Facts(**row) for row in _records(warehouse, SYNC_FACTS)
        }
        for tenant, resource in self._asked():
            facts = found.get((tenant, resource))
            if facts is None:
                continue
            now = health(facts, self._clock.now(), self._max_age)
            before = alerts.noted(tenant, resource)
            if codes is None and before and before.of_run and not is_worse(now.state, before.state):
                # What the run as a whole failed of is mended only when a run has ended.
                continue
            code = (codes or {}).get((tenant, resource))
            told = {
                "exit_code": code,
                "remedy": _remedy(now.state, facts, code),
                "last_success_at": facts.last_success_at,
                "run_id": facts.last_run_id if codes is None else self._run_id,
            }
            alerts.note(tenant, resource, now.state, now.since, facts=told)
        alerts.tell()

    def _tell_of_failure(self, code: int) -> None:
        alerts = self._alerts()
        if alerts is None:
            return
        known: dict[str, Any] = {}
        # It may be why the run failed.
        with suppress(WarehouseError):
            known = status.known_facts(self._data_dir)
        for tenant, resource in self._asked():
            last_success_at = known.get(tenant, {}).get(resource, {}).get("last_success_at")
            told = {
                "exit_code": code,
                "remedy": REMEDIES[ExitCode(code)],
                "last_success_at": last_success_at and datetime.fromisoformat(last_success_at),
                "run_id": self._run_id,
            }
            before = alerts.noted(tenant, resource)
            state = STALE if before and before.state == STALE else FAILING
            alerts.note(tenant, resource, state, self._clock.now(), of_run=True, facts=told)
        alerts.tell()

    def _asked(self) -> Iterator[tuple[str, str]]:
        for tenant in self._settings.tenants:
            for resource in self._settings.sync.resources:
                yield tenant.name, resource


# What of the status is a time.
TIMES = frozenset({"last_success_at", "failing_since", "watermark"})


def _remedy(state: str, facts: Facts, code: int | None) -> str:
    if state == STALE and facts.failing_since is None:
        return "schedule"
    if code is not None:
        return REMEDIES[ExitCode(code)]
    return "none" if state == "ok" else "run_log"


def _records(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    cursor = warehouse.cursor()
    try:
        result = cursor.execute(query)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    finally:
        cursor.close()


@contextmanager
def _only_warning(what: str) -> Iterator[None]:
    try:
        yield
    except StoppedError:
        raise
    except Exception as error:  # noqa: BLE001  a sync does not fail of being watched
        # The error's own words might hold the webhook's address.
        logger.warning("the %s of this run could not be written or told (%s)", what, type(error).__name__)
