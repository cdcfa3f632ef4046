"""The frame of every page: which snapshot, which tenants and time are asked for, and how fresh it all is."""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from math import inf
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import markup, words
from dashboard.query import Query, query
from dashboard.snapshot import NoSnapshotError, Rows, Snapshot, current, read

FOLLOW_SECONDS = 5
ALL_TIME = "All time"
OWN_DAYS = "Own dates"
PERIODS = {
    "Last 24 hours": timedelta(days=1),
    "Last 7 days": timedelta(days=7),
    "Last 30 days": timedelta(days=30),
    "Last 90 days": timedelta(days=90),
    ALL_TIME: None,
    OWN_DAYS: None,
}
DEFAULT_PERIOD = "Last 30 days"
MOST_SKEW = timedelta(minutes=5)
# Wide enough for whatever the snapshot holds.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Scope:
    """What one drawing of a page is about: [since, until) of these tenants in this snapshot."""

    snapshot: Snapshot
    tenants: tuple[str, ...]
    since: datetime
    until: datetime
    period: str
    names_tenants: bool = True

    @property
    def values(self) -> dict[str, Any]:
        """What every query may ask for."""
        return {"tenants": self.tenants, "since": self.since, "until": self.until}

    @property
    def has_many_tenants(self) -> bool:
        """Whether rows must say whose they are."""
        return self.names_tenants and len(self.tenants) > 1

    def without_tenants(self) -> "Scope":
        """The same for a panel whose rows do not belong to one tenant each."""
        return replace(self, names_tenants=False)

    @property
    def hours(self) -> float:
        """How long the period is."""
        return (self.until - self.since) / timedelta(hours=1)


def published() -> Path:
    """The folder that `python -m dashboard` found."""
    return Path(os.environ.get("DASHBOARD_PUBLISHED", "data/published"))


def late_after() -> timedelta:
    """How old the last success may be before a tenant is called late."""
    return timedelta(minutes=float(os.environ.get("DASHBOARD_LATE_MINUTES", "60")))


def scope() -> Scope:
    """What this drawing is about; app.py puts it there before it runs the page."""
    drawn: Scope = st.session_state["scope"]
    return drawn


@st.cache_data(max_entries=500, show_spinner=False)
def _kept(
    identity: tuple[int, int],  # noqa: ARG001  the key: another snapshot, another answer
    _snapshot: Snapshot,
    text: str,
    values: tuple[tuple[str, Any], ...],
    at_most: int | None,
) -> Rows:
    return read(_snapshot, text, dict(values), at_most)


def ask(snapshot: Snapshot, asked: Query, at_most: int | None = None) -> Rows:
    """The answer to a query, kept for as long as the snapshot is the same."""
    return _kept(snapshot.identity, snapshot, asked.text, asked.values, at_most)


@st.fragment(run_every=FOLLOW_SECONDS)
def follow(shown: tuple[int, int] | None, minute: str) -> None:
    """Draw the page again when there is a new snapshot, or when ages have moved on by a minute."""
    try:
        identity = current(published()).identity
    except NoSnapshotError:
        identity = None
    if identity != shown or minute != _minute():
        st.rerun()


def follow_from(snapshot: Snapshot | None) -> None:
    """Watch for what comes after this drawing."""
    follow(snapshot.identity if snapshot else None, _minute())


def _minute() -> str:
    return datetime.now(UTC).strftime("%H:%M")


def tenants_of(snapshot: Snapshot) -> tuple[str, ...]:
    """Every tenant in the snapshot."""
    return tuple(row["tenant"] for row in ask(snapshot, query("tenants", {})).dicts())


def freshness_of(snapshot: Snapshot, tenants: tuple[str, ...]) -> list[dict[str, Any]]:
    """How things stand, by tenant and resource."""
    return ask(snapshot, query("freshness", {"tenants": tenants})).dicts()


def filters(snapshot: Snapshot, known: tuple[str, ...], has_period: bool) -> Scope:
    """The filters, which also stand in the page's address, so that a link leads to what one sees.

    A page about the present has no period; its filter is kept for the others.
    """
    chosen = st.multiselect(
        "Tenants",
        known,
        key="tenant",
        placeholder="All tenants",
        label_visibility="collapsed",
        bind="query-params",
        width=240,
    )
    period = st.selectbox(
        "Period", list(PERIODS), index=list(PERIODS).index(DEFAULT_PERIOD),
        disabled=not has_period, key="period", label_visibility="collapsed",
        bind="query-params", width=160,
    )  # fmt: skip
    tenants = tuple(chosen) or known
    as_of = max(
        (row["as_of"] for row in freshness_of(snapshot, tenants) if row["as_of"]), default=datetime.now(UTC)
    )
    since, until = _bounds(period, as_of.astimezone(UTC), has_period)
    return Scope(snapshot, tenants, since, until, period)


def _bounds(period: str, as_of: datetime, has_period: bool) -> tuple[datetime, datetime]:
    """Whole hours in UTC, the one that `as_of` lies in included."""
    until = as_of.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    length = PERIODS[period]
    if length is not None:
        return until - length, until
    if period == ALL_TIME or not has_period:
        return BEGINNING, END
    days = st.date_input(
        "Days (UTC), both included",
        (until - timedelta(days=7), until),
        key="days",
        label_visibility="collapsed",
        format="YYYY-MM-DD",
        width=230,
    )
    chosen = days if isinstance(days, tuple) else (days,)
    first, last = (chosen[0], chosen[-1]) if chosen else (until.date(), until.date())
    return (
        datetime.combine(first, time(), UTC),
        datetime.combine(last + timedelta(days=1), time(), UTC),
    )


# --- freshness and coverage, at the top -----------------------------------------------------------


def is_late(row: dict[str, Any], now: datetime) -> bool:
    """Whether the last success of a resource is too long ago; what is not offered, or not synced any more, cannot
    be late.
    """
    if row["last_run_status"] == "unavailable" or row["is_retired"]:
        return False
    # One in the future tells nothing of now: a clock was wrong then, or is.
    last = row["last_success_at"]
    return last is None or not -MOST_SKEW <= now - last <= late_after()


def freshness_strip(rows: list[dict[str, Any]], now: datetime) -> str:
    """One line: as of when, who is late, since when we see, and how much."""
    as_of = max((row["as_of"] for row in rows if row["as_of"]), default=None)
    late = {row["tenant"]: row for row in rows if is_late(row, now)}
    since = [row["known_since"] for row in rows if row["known_since"]]
    parts = [
        _freshness_pill(rows, late),
        f"data as of <b>{markup.text(words.moment(as_of, seconds=True))} UTC</b>{_age(as_of, now)}",
        f"actions seen since <b>{markup.text(words.day(max(since) if since else None))}</b>",
        f"{_sum(rows, 'machine_actions')} actions, {_sum(rows, 'investigations')} investigations",
    ]
    if retired(rows):
        parts.append(markup.text(f"not synced any more: {_named(retired(rows))}"))
    problems = sum(row["checks_failed"] for row in rows), sum(row["quarantined_count"] for row in rows)
    if any(problems):
        parts.append(markup.text(f"{problems[0]} checks failed, {problems[1]} records in quarantine"))
    return f'<div class="ds-strip">{"".join(f"<span>{part}</span>" for part in parts)}</div>'


def retired(rows: list[dict[str, Any]]) -> list[str]:
    """What is not synced any more: whole tenants, or a tenant's resource."""
    tenants = {row["tenant"] for row in rows} - {row["tenant"] for row in rows if not row["is_retired"]}
    resources = {
        f"{row['tenant']} {row['resource'].replace('_', ' ')}"
        for row in rows
        if row["is_retired"] and row["tenant"] not in tenants
    }
    return sorted(tenants | resources)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _age(as_of: datetime | None, now: datetime) -> str:
    if as_of is None:
        return ""
    return f", {markup.text(words.duration(max(0.0, (now - as_of).total_seconds())))} ago"


def _sum(rows: list[dict[str, Any]], resource: str) -> str:
    return words.number(sum(row["row_count"] for row in rows if row["resource"] == resource))


def _freshness_pill(rows: list[dict[str, Any]], late: dict[str, dict[str, Any]]) -> str:
    count = len({row["tenant"] for row in rows if not row["is_retired"]})
    if not count:
        return '<span class="ds-pill">not synced any more</span>'
    if not late:
        said = "fresh" if count == 1 else f"all {count} tenants fresh"
        tone = "" if retired(rows) else " ds-ok"
        return f'<span class="ds-pill{tone}">{markup.text(said)}</span>'
    return f'<span class="ds-pill ds-high">{len(late)} of {markup.text(words.several(count, "tenant"))} late</span>'


def late_notice(rows: list[dict[str, Any]], now: datetime) -> str:
    """Which tenants are late and by how much, in words; empty when none is."""
    ages: dict[str, tuple[float, str]] = {}
    for row in rows:
        if is_late(row, now):
            last = row["last_success_at"]
            seconds = (now - last).total_seconds() if last else inf
            ago = f"{words.duration(seconds)} ago" if seconds > 0 else "in the future: check the clock"
            said = f"{row['tenant']} ({ago if last else 'never'})"
            ages[row["tenant"]] = max(ages.get(row["tenant"], (-inf, "")), (seconds, said))
    if not ages:
        return ""
    named = _named([said for _, said in sorted(ages.values(), reverse=True)])
    return markup.notice(
        f"Stale data. Last complete sync: {named}. What happened since is not shown. "
        "See Sync health, or run: defender-sync status",
        "high",
    )


COVERAGE = (
    "An isolation from before the first day above left no trace here. Such a machine shows as "
    "<i>no evidence</i>, which does not mean that it is free.",
    "The API keeps 180 days. What it no longer shows stays here, marked as gone: aged out or out of sight, "
    "not deleted.",
    "Live response started on the device's page in the portal never appears in the API.",
    "A status that came and went between two syncs was not seen.",
    "A machine that nothing was ever done to is not listed: this is no inventory.",
    "Microsoft retired automated investigation on 2026-09-01; new investigations may no longer come.",
)


def coverage(rows: list[dict[str, Any]]) -> str:
    """Since when we see, by tenant, and what the API never shows."""
    since = markup.table(
        [
            markup.plain("tenant", "tenant"),
            markup.moment("actions seen since", "known_since"),
            markup.moment("last complete sync", "last_success_at"),
            markup.count("rows", "row_count"),
        ],
        [row for row in rows if row["resource"] == "machine_actions"],
        "Coverage by tenant",
    )
    never = "".join(f"<li>{sentence}</li>" for sentence in COVERAGE)
    return f'<div class="ds-coverage">{since}<p><b>What this cannot show</b></p><ul>{never}</ul></div>'
