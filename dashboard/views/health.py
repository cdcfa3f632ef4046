"""Sync health: freshness by tenant and resource, runs, quarantine."""

from dashboard import markup, panels
from dashboard.frame import scope

here = scope()
panels.table(
    here,
    "Freshness",
    "freshness",
    [
        markup.plain("resource", "resource"),
        markup.pill("last run", "last_run_status"),
        markup.moment("last complete sync", "last_success_at"),
        markup.moment("read up to", "watermark"),
        markup.moment("seen since", "known_since"),
        markup.count("rows", "row_count"),
        markup.count("open", "open_count"),
        markup.count("gone", "gone_count"),
        markup.count("in quarantine", "quarantined_count"),
        markup.count("checks failed", "checks_failed"),
        markup.wide("error", "last_run_error"),
    ],
    "No sync has run yet.",
)
panels.table(
    here,
    "Runs, latest first",
    "sync_runs",
    [
        markup.moment("started", "started_at"),
        markup.plain("resource", "resource"),
        markup.plain("command", "command"),
        markup.pill("result", "status"),
        markup.seconds("took", "seconds"),
        markup.count("calls", "calls"),
        markup.count("retries", "retries"),
        markup.seconds("waited", "waited_seconds"),
        markup.count("read", "rows_read"),
        markup.count("new", "rows_new"),
        markup.count("changed", "rows_changed"),
        markup.count("quarantined", "rows_quarantined"),
        markup.count("checks failed", "checks_failed"),
        markup.wide("error", "error"),
    ],
    "No sync ran in this period.",
)
panels.table(
    here,
    "Quarantine",
    "quarantine",
    [
        markup.plain("resource", "resource"),
        markup.wide("reason", "reason"),
        markup.count("records", "records"),
        markup.moment("first seen", "first_seen_at"),
        markup.moment("last seen", "last_seen_at"),
    ],
    "No record is in quarantine.",
)
