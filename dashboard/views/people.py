"""People and automation: who asks for how much, and what comes of it."""

from typing import Any

from dashboard import charts, markup, panels, words
from dashboard.frame import scope
from dashboard.markup import Figure


def figures(row: dict[str, Any]) -> list[Figure]:
    """How much each kind asked for."""

    def part(name: str) -> str:
        return words.share(row[name] / row["actions"] if row["actions"] else None)

    return [
        Figure("Actions", words.number(row["actions"]), tone="accent"),
        Figure("By people", part("by_people"), f"{words.number(row['by_people'])} by {row['people']} people"),
        Figure("By applications", part("by_applications"), words.number(row["by_applications"])),
        Figure("By automation", part("by_automation"), words.number(row["by_automation"])),
        Figure("Not told by whom", part("by_nobody_told"), words.number(row["by_nobody_told"])),
    ]


here = scope()
panels.figures(here, "Who asks", "kinds_of_requestors", figures)
panels.chart(
    here,
    "Actions by day and kind of requestor",
    "requestors_by_day",
    lambda rows: charts.stacked(rows, "day_utc", "requested_by_kind"),
    "No action was asked for in this period.",
)
panels.table(
    here,
    "Requestors, busiest first",
    "requestors",
    [
        markup.plain("requestor", "requested_by"),
        markup.plain("kind", "requested_by_kind"),
        markup.count("actions", "actions"),
        markup.share("succeeded", "succeeded_share"),
        markup.count("failed or timed out", "failed"),
        markup.count("isolations and releases", "isolations_and_releases"),
        markup.count("live responses", "live_responses"),
        markup.count("machines", "machines"),
        markup.moment("last", "last_at"),
    ],
    "No action was asked for in this period.",
)
