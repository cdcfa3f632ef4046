"""HTML of tables and figures. Every text goes through `text`, which leaves nothing to interpret.

Streamlit's own tables are not used: their download knows no defence against formulas, and a screen reader, a
test and a printer see only a canvas.
"""

import html
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from dashboard import words

Row = Mapping[str, Any]
PORTAL = "https://security.microsoft.com/"
TONES = {
    "critical": "critical", "high": "high", "medium": "medium", "low": "low",
    "failed": "critical", "timed_out": "high", "never_contained": "critical",
    "succeeded": "ok", "released": "ok", "contained": "accent", "isolated": "accent",
    "pending": "medium", "unknown": "doubt", "no_evidence": "doubt", "cancelled": "low",
    "partial": "high", "stopped": "high", "unavailable": "low",
    "Succeeded": "ok", "Failed": "critical", "TimeOut": "high", "Cancelled": "low", "Canceled": "low",
    "Pending": "medium", "InProgress": "medium", "Completed": "ok",
    "overdue": "medium", "isolating": "medium",
    "releasing": "medium", "stuck": "high", "pending approval": "medium", "late": "high", "fresh": "ok",
}  # fmt: skip


def text(value: Any) -> str:
    """Any value as inert text: escaped, and without control or direction marks that could disguise it."""
    shown = words.plain(value)
    return html.escape("".join(char if _is_visible(char) else "\N{REPLACEMENT CHARACTER}" for char in shown))


def _is_visible(char: str) -> bool:
    return char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, the HTML of its cell, and whether it holds numbers."""

    heading: str
    cell: Callable[[Row], str]
    is_number: bool = False
    is_wide: bool = False


def plain(heading: str, name: str) -> Column:
    """Text as it is."""
    return Column(heading, lambda row: text(row[name]))


def wide(heading: str, name: str) -> Column:
    """Text that may be long: cut by the browser, whole when pointed at."""

    def cell(row: Row) -> str:
        value = text(row[name])
        return f'<span class="ds-cut" title="{value}">{value}</span>'

    return Column(heading, cell, is_wide=True)


def pill(heading: str, name: str) -> Column:
    """One of a few known words, coloured by what it means."""
    return Column(heading, lambda row: pill_html(row[name]) if row[name] is not None else text(None))


def pill_html(value: Any) -> str:
    """A word in the colour of its meaning."""
    return (
        f'<span class="ds-pill ds-{TONES.get(str(value), "low")}">{text(str(value).replace("_", " "))}</span>'
    )


def count(heading: str, name: str) -> Column:
    """A number."""
    return Column(heading, lambda row: text(words.number(row[name])), is_number=True)


def share(heading: str, name: str) -> Column:
    """A share of 1, with a bar."""

    def cell(row: Row) -> str:
        value = row[name]
        if value is None:
            return text(None)
        width = max(0, min(100, round(value * 100)))
        bar = f'<span class="ds-bar"><span style="width:{width}%"></span></span>'
        return f"{text(words.share(value))}{bar}"

    return Column(heading, cell, is_number=True)


def seconds(heading: str, name: str) -> Column:
    """A duration."""
    return Column(heading, lambda row: text(words.duration(row[name])), is_number=True)


def moment(heading: str, name: str) -> Column:
    """A time in UTC, which the heading says."""
    return Column(
        f"{heading} (UTC)", lambda row: f'<span class="ds-time">{text(words.moment(row[name]))}</span>'
    )


def machine(with_portal: bool = True) -> Column:
    """A link to the machine's page of this dashboard, by name where there is one, and to the portal's."""

    def cell(row: Row) -> str:
        if row["machine_id"] is None:
            return text(row["machine_name"] or "no machine named")
        address = "machine?" + urlencode({"machine": row["machine_id"], "tenant": row["tenant"]})
        link = portal_link(row.get("portal_url")) if with_portal else ""
        return (
            f'<a class="ds-machine" href="{html.escape(address)}" target="_self" title="{text(row["machine_id"])}">'
            f"{text(row['machine_name'] or row['machine_id'])}</a>{link}"
        )

    return Column("machine", cell)


def portal_link(address: Any) -> str:
    """A link to Microsoft's portal, for addresses that lead there and nowhere else."""
    if not isinstance(address, str) or not address.startswith(PORTAL):
        return ""
    return (
        f'<a class="ds-portal" href="{html.escape(address)}" target="_blank" rel="noopener noreferrer" '
        'title="Open in the Defender portal" aria-label="Open in the Defender portal">\u2197</a>'
    )


def who(heading: str, name: str) -> Column:
    """A requestor: one that is long, such as an application's id, is cut."""

    def cell(row: Row) -> str:
        value = text(row[name])
        return f'<span class="ds-cut ds-who" title="{value}">{value}</span>'

    return Column(heading, cell)


def table(columns: Sequence[Column], rows: Sequence[Row], label: str) -> str:
    """A table that scrolls in itself, its head staying in sight."""
    head = "".join(
        f'<th scope="col"{_classes(column)}>{html.escape(column.heading)}</th>' for column in columns
    )
    body = "".join(
        "<tr>" + "".join(f"<td{_classes(column)}>{column.cell(row)}</td>" for column in columns) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="ds-scroll" tabindex="0" role="region" aria-label="{html.escape(label)}">'
        f'<table class="ds-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _classes(column: Column) -> str:
    names = [
        name for name, wanted in (("ds-number", column.is_number), ("ds-wide", column.is_wide)) if wanted
    ]
    return f' class="{" ".join(names)}"' if names else ""


@dataclass(frozen=True)
class Figure:
    """A number to be read from across the room: its name, value, what stands under it, and its tone."""

    name: str
    value: str
    note: str = ""
    tone: str = ""


def figures(items: Sequence[Figure]) -> str:
    """Figures side by side."""
    return '<div class="ds-figures">' + "".join(_figure(item) for item in items) + "</div>"


def _figure(item: Figure) -> str:
    tone = f" ds-{item.tone}" if item.tone else ""
    note = text(item.note) if item.note else "&nbsp;"
    return (
        f'<div class="ds-figure{tone}"><div class="ds-name">{text(item.name)}</div>'
        f'<div class="ds-value">{text(item.value)}</div><div class="ds-note">{note}</div></div>'
    )


def notice(words_to_say: str, tone: str = "") -> str:
    """A sentence in place of what is not there."""
    return f'<div class="ds-notice ds-{tone or "low"}">{text(words_to_say)}</div>'
