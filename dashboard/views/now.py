"""Now: what is isolated, what needs attention, what is open."""

from typing import Any

import streamlit as st

from dashboard import markup, panels, words
from dashboard.frame import scope
from dashboard.markup import Column, Figure


def figures(row: dict[str, Any]) -> list[Figure]:
    """What stands now, in numbers."""
    pending = f"{row['isolate_pending']} isolating, {row['release_pending']} releasing"
    return [
        Figure(
            "Isolated",
            words.number(row["isolated"]),
            f"longest {words.duration(row['longest_seconds'])}",
            "accent",
        ),
        Figure("On the way", words.number(row["isolate_pending"] + row["release_pending"]), pending),
        Figure(
            "Isolation not known",
            words.number(row["undecided"] + row["without_evidence"]),
            f"{row['undecided']} undecided, {row['without_evidence']} without evidence",
            "doubt" if row["undecided"] else "",
        ),
        Figure(
            "Needs attention",
            words.number(row["attention"]),
            f"{row['critical']} critical, {row['high']} high",
            "critical" if row["critical"] else "high" if row["high"] else "",
        ),
        Figure(
            "Open actions",
            words.number(row["open_actions"]),
            f"{row['overdue']} overdue, {row['stuck']} stuck",
            "medium" if row["overdue"] or row["stuck"] else "",
        ),
        Figure(
            "Open investigations",
            words.number(row["open_investigations"]),
            f"{row['pending_approval']} wait for approval",
            "medium" if row["pending_approval"] else "",
        ),
    ]


def isolated_for(row: markup.Row) -> str:
    """How long, and that the end is near when a release is on its way."""
    releasing = " " + markup.pill_html("releasing") if row["is_release_pending"] else ""
    return markup.text(words.duration(row["seconds_isolated"])) + releasing


def reason(row: markup.Row) -> str:
    """What is the matter, and how often it happened."""
    times = f" \N{MULTIPLICATION SIGN}{row['occurrences']}" if row["occurrences"] > 1 else ""
    return markup.text(row["reason"].replace("_", " ") + times)


def why_not_known(row: markup.Row) -> str:
    """Why the data does not tell, and what is under way."""
    pending = [
        markup.pill_html(word)
        for word, name in (("isolating", "is_isolate_pending"), ("releasing", "is_release_pending"))
        if row[name]
    ]
    return " ".join([markup.text(row["isolation_reason"]), *pending])


here = scope()
panels.figures(here, "At a glance", "now_figures", figures)
left, right = st.columns(2)
with left:
    panels.table(
        here,
        "Isolated machines, longest first",
        "isolated_machines",
        [
            markup.machine(),
            Column("isolated for", isolated_for, is_number=True),
            markup.plain("mode", "isolation_mode"),
            markup.moment("since", "since"),
            markup.who("by", "by"),
            markup.wide("comment", "comment"),
        ],
        "No machine is known to be isolated.",
    )
    panels.table(
        here,
        "Isolation not known",
        "undecided_machines",
        [
            markup.machine(),
            markup.pill("state", "isolation_state"),
            Column("why", why_not_known),
            markup.moment("since", "since"),
        ],
        "Of every machine the data tells whether it is isolated.",
        note="Not the same as free: these may be isolated. Look in the portal.",
    )
with right:
    panels.table(
        here,
        "Needs attention, most severe first",
        "needs_attention",
        [
            markup.pill("severity", "severity"),
            Column("reason", reason),
            markup.machine(),
            markup.seconds("for", "seconds_since"),
            markup.who("asked by", "requested_by"),
            markup.wide("comment", "comment"),
        ],
        "Nothing needs attention.",
    )
    panels.table(
        here,
        "Open work, oldest first",
        "open_work",
        [
            markup.plain("what", "what"),
            markup.plain("status", "status"),
            markup.pill("", "flag"),
            markup.seconds("open for", "age_seconds"),
            markup.machine(),
            markup.who("asked by", "requested_by"),
        ],
        "No action and no investigation is open.",
    )
