"""The last run's figures for Prometheus: `metrics.prom` in the data directory, its owner's only.

`sync.metrics_file` puts them elsewhere with `sync.published_mode` instead: node_exporter is another account, and lists
the folder. Written in one rename. Gauges only, as each run begins to count anew. Holds counts and times, no text of
the API.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.data_dir import replace_file

if TYPE_CHECKING:
    from prometheus_client import Metric

STATUSES = ("succeeded", "partial", "failed", "unavailable", "stopped")
LABELS = ("tenant", "resource")

# By tenant and resource: the metric's name after `defender_sync_`, the figure, and what it means.
FIGURES = (
    ("last_success_timestamp_seconds", "last_success_at", "End of the last sync that succeeded in full."),
    ("failing_since_timestamp_seconds", "failing_since", "Start of the first failed sync since a good one."),
    ("watermark_timestamp_seconds", "watermark", "Everything created before has been read."),
    ("rows", "row_count", "Rows in the warehouse."),
    ("open_rows", "open_count", "Rows that are not finished."),
    ("gone_rows", "gone_count", "Rows that the API no longer shows."),
    ("quarantined_records", "quarantined_count", "Records kept with a value that could not be taken."),
    ("last_run_started_timestamp_seconds", "started_at", "Start of the last run."),
    ("last_run_finished_timestamp_seconds", "finished_at", "End of the last run; none when it was killed."),
    ("last_run_duration_seconds", "duration_seconds", "How long the last run took."),
    ("last_run_calls", "calls", "Calls of the API in the last run, retries included."),
    ("last_run_retries", "retries", "Calls of the last run that were repeated."),
    ("last_run_waited_seconds", "waited_seconds", "How long the last run waited for quota and retries."),
    ("last_run_rows_read", "rows_read", "Rows that the last run read."),
    ("last_run_rows_new", "rows_new", "Rows that the last run added."),
    ("last_run_rows_changed", "rows_changed", "Rows that the last run changed."),
    ("last_run_rows_quarantined", "rows_quarantined", "Records that the last run put into quarantine."),
    ("last_run_checks_failed", "checks_failed", "Checks of severity error that found rows in the last run."),
)  # fmt: skip
# Of the run as a whole; these are written also when no database could be opened.
RUN_FIGURES = (
    ("run_exit_code", "exit_code", "Exit code of the last run that had the lock."),
    ("run_started_timestamp_seconds", "started_at", "Start of that run."),
    ("run_finished_timestamp_seconds", "finished_at", "End of that run."),
    ("published_timestamp_seconds", "published_at", "When what is published was written."),
)
RUN_NAMES = frozenset(f"defender_sync_{name}" for name, _, _ in RUN_FIGURES)

Figures = Mapping[tuple[str, str], Mapping[str, Any]]


def write_metrics(path: Path, mode: int, run: Mapping[str, Any], figures: Figures | None) -> None:
    """Replace the file; its folder must be there.

    `figures` are by tenant and resource; where they are None, those of the file stay.
    """
    from prometheus_client import generate_latest

    told = list(_families_before(path) if figures is None else _resource_families(figures))
    told += _run_families(run)
    replace_file(path, generate_latest(_Told(told)).decode(), mode)


class _Told:
    """Families as prometheus-client wants them."""

    def __init__(self, families: Iterable["Metric"]) -> None:
        self._families = families

    def collect(self) -> Iterable["Metric"]:
        """The families."""
        return self._families


def _resource_families(figures: Figures) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    for name, key, text in FIGURES:
        family = GaugeMetricFamily(f"defender_sync_{name}", text, labels=LABELS)
        for labels, values in figures.items():
            if values.get(key) is not None:
                family.add_metric(labels, _number(values[key]))
        yield family
    status = GaugeMetricFamily(
        "defender_sync_last_run_status", "1 for what became of the last run.", labels=(*LABELS, "status")
    )
    quota = GaugeMetricFamily(
        "defender_sync_quota_left_calls", "Calls left at the end of the run.", labels=(*LABELS, "window")
    )
    for labels, values in figures.items():
        for each in STATUSES:
            status.add_metric((*labels, each), float(values.get("status") == each))
        for window in ("minute", "hour"):
            left = values[f"quota_left_{window}"]
            if left is not None:
                quota.add_metric((*labels, window), left)
    yield from (status, quota)


def _run_families(run: Mapping[str, Any]) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    for name, key, text in RUN_FIGURES:
        if run[key] is not None:
            yield GaugeMetricFamily(f"defender_sync_{name}", text, value=_number(run[key]))


def _families_before(path: Path) -> Iterator["Metric"]:
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(path.read_text()))
    except (FileNotFoundError, ValueError):
        return
    yield from (family for family in families if family.name not in RUN_NAMES)


def _number(value: Any) -> float:
    return value.timestamp() if isinstance(value, datetime) else float(value)
