"""What a sync would do, without a call and without a write: windows, refresh, scrub, and the calls expected."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines import sql_files
from pipelines.data_dir import DataDir
from pipelines.database_errors import telling_of
from pipelines.errors import LockedError
from pipelines.refresh import plan_refresh, scrub_start, settled_history
from pipelines.resources import RESOURCES, Resource
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from pipelines.windows import Horizon, Window, first_moment


@dataclass(frozen=True)
class Intent:
    """What is due for one resource of one tenant. `calls` is a lower bound where `is_first` is true.

    `timeless_calls` are for rows that no window holds, as they have no time yet; 0 where every row has one.
    """

    tenant: str
    resource: str
    is_first: bool
    window: Window
    timeless_calls: int
    open_rows: int
    refresh_calls: int
    scrub: Window | None
    calls: int


def intents(settings: Settings, now: datetime) -> Iterator[Intent]:
    """What is due now, by tenant and resource.

    Raises LockedError while a sync holds the database, WarehouseError where it cannot be read.
    """
    data_dir = DataDir(settings.data_dir)
    if data_dir.is_locked():
        raise LockedError(f"a sync is running in {data_dir.path}; what it leaves to do is known when it ends")
    path = data_dir.warehouse
    with telling_of(path):
        warehouse = Warehouse(path, read_only=True) if path.exists() else None
        try:
            for tenant in settings.tenants:
                for name in settings.sync.resources:
                    yield _intent(settings, warehouse, tenant.name, RESOURCES[name], now)
        finally:
            if warehouse is not None:
                warehouse.close()


def _intent(
    settings: Settings, warehouse: Warehouse | None, tenant: str, resource: Resource, now: datetime
) -> Intent:
    options = settings.sync
    lookback = timedelta(minutes=options.lookback_minutes)
    horizon = Horizon.at(now, lookback)
    usable = warehouse is not None and warehouse.has_state_tables()
    progress = warehouse.progress(tenant, resource) if warehouse is not None and usable else None
    watermark = progress.watermark if progress else None
    start = first_moment(
        watermark and min(watermark, now), horizon, lookback, timedelta(days=options.initial_lookback_days)
    )
    purged_before = _purged_before(warehouse, tenant) if warehouse is not None and usable else None
    if purged_before is not None:
        start = max(start, min(purged_before, now))
    # The catch-up reads all that lies behind `start`, so what is open there needs no refresh.
    rows = warehouse.open_rows(tenant, resource, now) if warehouse is not None and usable else []
    before = [row for row in rows if row.cursor_at is not None and row.cursor_at < start]
    refresh = plan_refresh(before, options.page_size)
    oldest_at = warehouse.oldest_at(tenant, resource) if warehouse is not None and usable else None
    settled = settled_history(horizon, start, timedelta(days=options.initial_lookback_days), oldest_at)
    if purged_before is not None:
        settled = Window(max(settled.start, purged_before), settled.end)
    scrub = None
    if progress is not None and settled.start < settled.end and options.scrub_calls:
        scrub = Window(scrub_start(progress.scrubbed_until, settled), settled.end)
    timeless = warehouse.count_timeless(tenant, resource) if warehouse is not None and usable else 0
    timeless_calls = 0 if resource.cursor_required else _calls_of_a_list(timeless, options.page_size)
    calls = 1 + timeless_calls + refresh.calls * bool(before) + (options.scrub_calls if scrub else 0)
    return Intent(
        tenant,
        resource.name,
        watermark is None,
        Window(start, now),
        timeless_calls,
        len(before),
        refresh.calls if before else 0,
        scrub,
        calls,
    )


def _purged_before(warehouse: Warehouse, tenant: str) -> datetime | None:
    """Nothing older than this is kept; an older version's warehouse knows of no purge."""
    if warehouse.schema_version() != sql_files.schema_version():
        return None
    return warehouse.tombstones(tenant).purged_before


def _calls_of_a_list(rows: int, page_size: int) -> int:
    """About how many calls a list without a time range takes: one of several pages is read twice, to its empty one."""
    return 1 if rows < page_size else 2 * (rows // page_size + 1)
