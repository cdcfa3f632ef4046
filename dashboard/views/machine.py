"""Machine: search by name or id, and read what happened on it."""

from typing import Any

import streamlit as st

from dashboard import markup, panels, words
from dashboard.frame import ask, scope
from dashboard.markup import Column, Figure
from dashboard.query import query

EVENTS = {
    "action_requested": "asked for",
    "action_status": "action is",
    "investigation_started": "investigation started",
    "investigation_state": "investigation is",
    "investigation_ended": "investigation ended",
}


def figures(row: dict[str, Any]) -> list[Figure]:
    """The machine as it stands."""
    tone = markup.TONES.get(row["isolation_state"], "")
    mode = f"{row['isolation_mode']}, " if row["isolation_mode"] else ""
    since = f"{mode}since {words.moment(row['since'])} UTC" if row["since"] else row["isolation_reason"] or ""
    return [
        Figure("Isolation", row["isolation_state"].replace("_", " "), since, tone),
        Figure(
            "Actions", words.number(row["action_count"]), f"{row['failed_action_count']} failed or timed out"
        ),
        Figure(
            "Open",
            words.number(row["open_action_count"]),
            "actions",
            "medium" if row["open_action_count"] else "",
        ),
        Figure("Investigations", words.number(row["investigation_count"])),
        Figure("Last seen", words.day(row["last_seen_at"]), f"first {words.day(row['first_seen_at'])}"),
    ]


def event(row: markup.Row) -> str:
    """What happened; a time of ours is only the latest that it can have been."""
    seen = "" if row["is_api_time"] else ' <span class="ds-note">(seen then)</span>'
    return markup.text(EVENTS.get(row["event"], row["event"])) + seen


here = scope()
asked_for = st.text_input(
    "Machine",
    key="machine",
    placeholder="Part of a name, or an id",
    bind="query-params",
    max_chars=200,
    label_visibility="collapsed",
    width=520,
).strip()
if not asked_for:
    st.html(markup.notice("Type a part of a machine's name, present or former, or its id."))
else:
    found = ask(here.snapshot, query("machine_search", {**here.values, "machine": asked_for}), 2)
    if found.total == 1:
        machine = found.dicts()[0]
        panels.figures(
            here,
            f"{machine['machine_name'] or machine['machine_id']}",
            "machine_search",
            figures,
            machine=asked_for,
        )
        notes = [f"id {machine['machine_id']}", f"tenant {machine['tenant']}"]
        notes += [f"names {machine['names']}"] if machine["name_count"] > 1 else []
        if machine["other_machine_ids"]:
            notes.append(f"other ids with this name: {machine['other_machine_ids']}")
        panels.table(
            here.without_tenants(),
            "Timeline, latest first",
            "machine_timeline",
            [
                markup.moment("when", "event_at"),
                Column("event", event),
                markup.plain("what", "detail"),
                markup.pill("status", "status"),
                markup.who("by", "by"),
                markup.wide("comment", "comment"),
                Column("id", lambda row: markup.text(row["machine_action_id"] or row["investigation_id"])),
            ],
            "Nothing is known to have happened on this machine.",
            note="; ".join(notes),
            machine_tenant=machine["tenant"],
            machine_id=machine["machine_id"],
        )
    else:
        panels.table(
            here,
            "Machines",
            "machine_search",
            [
                markup.machine(),
                markup.pill("isolation", "isolation_state"),
                markup.count("actions", "action_count"),
                markup.count("open", "open_action_count"),
                markup.count("investigations", "investigation_count"),
                markup.moment("last seen", "last_seen_at"),
                markup.plain("last action", "last_action_type"),
                markup.pill("status", "last_action_status"),
                markup.wide("id", "machine_id"),
            ],
            f"No machine is named like “{asked_for}”, and none has that id.",
            machine=asked_for,
        )
