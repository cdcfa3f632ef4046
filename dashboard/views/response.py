"""Response: how fast containment is, and what was done when, with what outcome."""

from typing import Any

import streamlit as st

from dashboard import charts, markup, panels, words
from dashboard.frame import scope
from dashboard.markup import Figure

HOURLY_UP_TO_HOURS = 7 * 24


def figures(row: dict[str, Any]) -> list[Figure]:
    """Containment and automation in numbers."""
    episodes, actions = row["episodes"], row["actions"]
    never = row["never_contained"] / episodes if episodes else None
    unattended = (row["automated"] + row["by_applications"]) / actions if actions else None
    return [
        Figure("Isolations asked for", words.number(episodes)),
        Figure(
            "Median time to contain",
            words.duration(row["median_to_contain"]),
            f"p95 {words.duration(row['p95_to_contain'])}",
            "accent",
        ),
        Figure(
            "Never contained",
            words.number(row["never_contained"]),
            f"{words.share(never)} of isolations",
            "critical" if row["never_contained"] else "",
        ),
        Figure("Median time in isolation", words.duration(row["median_contained"]), "of those released"),
        Figure(
            "Median time to release",
            words.duration(row["median_to_release"]),
            f"p95 {words.duration(row['p95_to_release'])}",
        ),
        Figure("Actions", words.number(actions), f"{words.number(row['by_people'])} by people"),
        Figure(
            "Automated",
            words.share(unattended),
            f"{words.number(row['by_applications'])} by applications, {words.number(row['automated'])} by automation",
        ),
    ]


here = scope()
is_hourly = here.hours <= HOURLY_UP_TO_HOURS
panels.figures(here, "Containment and activity", "response_figures", figures)
left, right = st.columns(2)
with left:
    panels.chart(
        here,
        "Actions by hour and outcome" if is_hourly else "Actions by day and outcome",
        "activity_by_hour" if is_hourly else "activity_by_day",
        lambda rows: charts.stacked(rows, "hour_utc" if is_hourly else "day_utc", "outcome"),
        "No action was asked for in this period.",
    )
    panels.table(
        here.without_tenants(),
        "Actions by type and outcome",
        "activity_by_type",
        [
            markup.plain("type", "action_type"),
            markup.count("actions", "actions"),
            markup.share("succeeded", "succeeded_share"),
            markup.count("failed", "failed"),
            markup.count("timed out", "timed_out"),
            markup.count("cancelled", "cancelled"),
            markup.count("open or unknown", "undecided"),
            markup.share("automated", "automated_share"),
        ],
        "No action was asked for in this period.",
    )
with right:
    panels.chart(
        here,
        "Time to contain by week",
        "containment_by_week",
        charts.containment,
        "No isolation was asked for in this period.",
        note="Median and p95 of the isolations that took effect; UTC, weeks begin on Monday.",
    )
    panels.chart(
        here,
        "When actions are asked for",
        "activity_by_hour_of_day",
        charts.week,
        "No action was asked for in this period.",
    )
panels.table(
    here,
    "Isolations, latest first",
    "containment_episodes",
    [
        markup.machine(),
        markup.moment("asked for", "requested_at"),
        markup.pill("outcome", "outcome"),
        markup.seconds("to contain", "seconds_to_contain"),
        markup.seconds("contained for", "seconds_contained"),
        markup.seconds("to release", "seconds_to_release"),
        markup.count("attempts", "attempts"),
        markup.who("asked by", "requested_by"),
        markup.who("released by", "released_by"),
        markup.wide("comment", "comment"),
    ],
    "No isolation was asked for in this period.",
)
