"""`status.json`: what `defender-sync status` tells, also while a sync holds the database.

Written by the sync, each time in one rename; read by anybody who may. Ages are worked out by the reader.
"""

import json
import os
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum

from pipelines.data_dir import SNAPSHOT_TIME, DataDir, replace_file
from pipelines.errors import ConfigurationError, WarehouseError
from pipelines.quota import Quota
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse

FORMAT = 1
# A last success further in the future than clocks usually differ is an alarm of its own.
MOST_SKEW_SECONDS = 300
FIELDS = (
    "last_success_at",
    "failing_since",
    "watermark",
    "known_since",
    "row_count",
    "open_count",
    "gone_count",
    "quarantined_count",
    "checks_failed",
    "last_run_id",
    "last_run_status",
    "last_run_started_at",
    "last_run_finished_at",
    "last_run_error",
)


def note_start(data_dir: DataDir, run_id: str, started_at: datetime) -> None:
    """Write that a run has begun, beside what was known before."""
    document = _load(data_dir)
    document["running"] = {"run_id": run_id, "pid": os.getpid(), "started_at": started_at.isoformat()}
    _save(data_dir, document)


def note_failure(data_dir: DataDir, now: datetime, exit_code: int, error: str) -> None:
    """Write that the run failed as a whole, beside what was known before, until `note_recovery`."""
    document = _load(data_dir)
    document["running"] = None
    document["failed_run"] = {"at": now.isoformat(), "exit_code": exit_code, "error": error}
    _save(data_dir, document)


def note_recovery(data_dir: DataDir) -> None:
    """Write that what a run failed of as a whole is mended: the database opens, and the snapshot is written."""
    document = _load(data_dir)
    # A file that is missing tells nothing of its tenants: only a sync writes it anew.
    if document["failed_run"] is not None:
        _save(data_dir, {**document, "failed_run": None})


def note_end(data_dir: DataDir, warehouse: Warehouse, now: datetime) -> None:
    """Write how things stand at the end of a run; what is published comes later."""
    cursor = warehouse.cursor()
    rows = cursor.execute(
        f"select tenant, resource, {', '.join(FIELDS)} from marts.sync_freshness order by all"
    ).fetchall()
    cursor.close()
    tenants: dict[str, dict[str, Any]] = {}
    for tenant, resource, *values in rows:
        tenants.setdefault(tenant, {})[resource] = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in zip(FIELDS, values, strict=True)
        }
    written = {"format": FORMAT, "written_at": now.isoformat(), "failed_run": _load(data_dir)["failed_run"]}
    _save(data_dir, {**written, "running": None, "tenants": tenants})


def read_status(settings: Settings, now: datetime) -> dict[str, Any]:
    """How each configured tenant and resource stands: the file's facts, ages in seconds, and quota left."""
    data_dir = DataDir(settings.data_dir)
    document = _load(data_dir)
    running = document["running"] if data_dir.is_locked() else None
    published = published_at(data_dir)
    tenants: dict[str, Any] = {}
    for tenant in settings.tenants:
        known = document["tenants"].get(tenant.name, {})
        tenants[tenant.name] = {
            name: _resource_status(settings, data_dir, tenant.name, name, known.get(name, {}), now)
            for name in settings.sync.resources
        }
    return {
        "format": FORMAT,
        "as_of": now.isoformat(),
        "data_dir": str(settings.data_dir),
        "running": running,
        "failed_run": document["failed_run"],
        "published_at": published and published.isoformat(),
        "published_age_seconds": published and (now - published).total_seconds(),
        "tenants": tenants,
    }


def published_at(data_dir: DataDir) -> datetime | None:
    """When what is published was written, as its folder is named; None where nothing is."""
    try:
        name = data_dir.published.readlink().name
        return datetime.strptime(name[:27], SNAPSHOT_TIME).replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None


def known_facts(data_dir: DataDir) -> dict[str, Any]:
    """The file's facts by tenant and resource, times as text."""
    tenants: dict[str, Any] = _load(data_dir)["tenants"]
    return tenants


def too_old(report: dict[str, Any], longest: timedelta) -> list[str]:
    """The tenants and resources whose last success is further back, or that have none; else `published`, likewise.

    A list that is not offered needs none, unless the tenant offers no list at all: then its address is wrong. A success
    in the future tells nothing of now: a clock was wrong then, or is.
    """
    late = []
    for tenant, resources in report["tenants"].items():
        offers_some = any(facts["last_run_status"] != "unavailable" for facts in resources.values())
        for resource, facts in resources.items():
            if offers_some and facts["last_run_status"] == "unavailable":
                continue
            age = facts["age_seconds"]
            if age is None or age > longest.total_seconds() or age < -MOST_SKEW_SECONDS:
                late.append(f"{tenant}.{resource}")
    ages = [facts["age_seconds"] for resources in report["tenants"].values() for facts in resources.values()]
    # A first sync at work has rows before it has a snapshot.
    if not late and report["running"] is None and any(age is not None for age in ages):
        published_age = report["published_age_seconds"]
        if published_age is None or not -MOST_SKEW_SECONDS <= published_age <= longest.total_seconds():
            late.append("published")
    return late


def _resource_status(
    settings: Settings, data_dir: DataDir, tenant: str, resource: str, known: dict[str, Any], now: datetime
) -> dict[str, Any]:
    facts = {name: known.get(name) for name in FIELDS}
    last = facts["last_success_at"]
    age = (now - _time(last)).total_seconds() if last else None
    minute, hour = quota_left(settings, data_dir, tenant, resource, now)
    return {**facts, "age_seconds": age, "quota_left_minute": minute, "quota_left_hour": hour}


def quota_left(
    settings: Settings, data_dir: DataDir, tenant: str, resource: str, now: datetime
) -> tuple[int, int] | tuple[None, None]:
    """Calls left in this minute and in this hour; None where their file cannot be opened."""
    limits = settings.sync.requests_per_minute, settings.sync.requests_per_hour
    if not data_dir.quota.exists():
        return limits
    try:
        quota = Quota(data_dir.quota, f"{tenant}__{resource}", *limits)
        try:
            return quota.left(now)
        finally:
            quota.close()
    except (sqlite3.Error, OSError):
        # A full disk, say: the rest is worth telling all the same.
        return None, None


def _time(text: str) -> datetime:
    return pendulum.instance(datetime.fromisoformat(text)).in_timezone("UTC")


def parse_duration(text: str) -> timedelta:
    """`90s`, `15m`, `2h` or `1d`."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], text[-1:]
    if unit not in units or re.fullmatch(r"\d{1,6}", number, re.ASCII) is None:
        raise ConfigurationError(f"--max-age {text}: write a number and s, m, h or d, such as 30m")
    return timedelta(**{units[unit]: int(number)})


def _load(data_dir: DataDir) -> dict[str, Any]:
    empty: dict[str, Any] = {"format": FORMAT, "running": None, "failed_run": None, "tenants": {}}
    try:
        document = json.loads(data_dir.status.read_text())
    except (FileNotFoundError, NotADirectoryError):
        document = None
    except PermissionError as error:
        raise WarehouseError(f"{data_dir.status} cannot be read: it is its owner's only") from error
    except (OSError, ValueError):
        document = None
    if isinstance(document, dict) and _is_ours(document):
        return {**empty, **document}
    if data_dir.warehouse.exists() and not data_dir.is_locked():
        raise WarehouseError(f"{data_dir.status} is missing or damaged: the next sync writes it anew")
    return empty


def _is_ours(document: dict[str, Any]) -> bool:
    """Whether it has the shape that a sync writes."""
    try:
        running = document.get("running")
        if running is not None:
            _time(running["started_at"])
        failed = document.get("failed_run")
        if failed is not None:
            _time(failed["at"])
            if not isinstance(failed["exit_code"], int) or not isinstance(failed["error"], str):
                return False
        for resources in document.get("tenants", {}).values():
            for facts in resources.values():
                if facts.get("last_success_at"):
                    _time(facts["last_success_at"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return True


def _save(data_dir: DataDir, document: dict[str, Any]) -> None:
    replace_file(data_dir.status, json.dumps(document, indent=2) + "\n")
