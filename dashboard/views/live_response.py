"""Live response: which scripts and commands ran where, with what result."""

from typing import Any

import streamlit as st

from dashboard import markup, panels, words
from dashboard.frame import scope
from dashboard.markup import Figure


def figures(row: dict[str, Any]) -> list[Figure]:
    """The live response of the period in numbers."""
    failed = row["failed"] / row["commands"] if row["commands"] else None
    return [
        Figure(
            "Commands",
            words.number(row["commands"]),
            f"in {words.several(row['sessions'], 'session')}",
            "accent",
        ),
        Figure(
            "Failed",
            words.number(row["failed"]),
            f"{words.share(failed)} of commands",
            "high" if row["failed"] else "",
        ),
        Figure("Machines", words.number(row["machines"])),
        Figure("Scripts", words.number(row["scripts"])),
        Figure("Requestors", words.number(row["people"])),
    ]


here = scope()
panels.figures(here, "Live response", "live_response_figures", figures)
panels.table(
    here.without_tenants(),
    "Scripts and transfers, most used first",
    "live_response_scripts",
    [
        markup.plain("command", "command_type"),
        markup.plain("script", "script_name"),
        markup.count("runs", "commands"),
        markup.count("failed", "failed"),
        markup.count("machines", "machines"),
        markup.count("requestors", "people"),
        markup.seconds("median time", "median_seconds"),
        markup.moment("last", "last_at"),
    ],
    "No live response was asked for in this period.",
    note="Live response started on the device's page in the portal never appears in the API, and so not here.",
)
wanted = st.text_input(
    "Commands that contain",
    key="contains",
    placeholder="script, path, argument, machine, person or error",
    bind="query-params",
    max_chars=200,
    width=520,
).strip()
panels.table(
    here,
    "Commands, latest first",
    "live_response_commands",
    [
        markup.moment("asked for", "requested_at"),
        markup.machine(),
        markup.plain("command", "command_type"),
        markup.wide("script or path", "target"),
        markup.wide("arguments", "arguments"),
        markup.pill("result", "command_status"),
        markup.wide("errors", "errors"),
        markup.seconds("took", "duration_seconds"),
        markup.who("asked by", "requested_by"),
    ],
    f"No command of this period contains “{wanted}”."
    if wanted
    else "No live response was asked for in this period.",
    text=wanted,
)
