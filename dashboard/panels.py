"""A panel: one query, drawn, with its SQL to read and its rows to take away."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dashboard import export, markup, words
from dashboard.frame import Scope, ask
from dashboard.query import Query, query
from dashboard.snapshot import NoSnapshotError, Rows, read

SHOWN_ROWS = 200


def table(
    scope: Scope,
    title: str,
    name: str,
    columns: Sequence[markup.Column],
    nothing: str,
    note: str = "",
    **values: Any,
) -> None:
    """The rows of a query as a table; `nothing` says in words that there are none."""
    shown = [markup.plain("tenant", "tenant"), *columns] if scope.has_many_tenants else list(columns)

    def draw(rows: Rows) -> None:
        st.html(markup.table(shown, rows.dicts(), title))
        if rows.total > len(rows.rows):
            said = f"The first {len(rows.rows):,} of {rows.total:,}; CSV has them all."
            st.html(f'<div class="ds-note">{markup.text(said)}</div>')

    _panel(scope, title, name, draw, nothing, note=note, values=values, counts=True)


def figures(
    scope: Scope,
    title: str,
    name: str,
    draw_figures: Callable[[dict[str, Any]], list[markup.Figure]],
    **values: Any,
) -> None:
    """The one row of a query as figures."""

    def draw(rows: Rows) -> None:
        st.html(markup.figures(draw_figures(rows.only())))

    _panel(scope, title, name, draw, "", values=values)


def chart(
    scope: Scope,
    title: str,
    name: str,
    draw_chart: Callable[[Rows], Any],
    nothing: str,
    note: str = "",
    **values: Any,
) -> None:
    """The rows of a query as a chart."""

    def draw(rows: Rows) -> None:
        st.altair_chart(draw_chart(rows), width="stretch", theme=None)

    _panel(scope, title, name, draw, nothing, note=note, values=values, at_most=20_000)


def _panel(
    scope: Scope,
    title: str,
    name: str,
    draw: Callable[[Rows], None],
    nothing: str,
    *,
    note: str = "",
    values: dict[str, Any],
    counts: bool = False,
    at_most: int = SHOWN_ROWS,
) -> None:
    asked = query(name, {**scope.values, **values})
    with st.container(border=True, key=f"panel-{name}", gap="xsmall"):
        try:
            rows = ask(scope.snapshot, asked, at_most)
        except NoSnapshotError as error:
            st.html(_heading(title, "") + markup.notice(str(error), "high"))
            return
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.html(_heading(title, words.number(rows.total) if counts else ""), width="stretch")
            _tools(scope, asked)
        if note:
            st.html(f'<div class="ds-note">{markup.text(note)}</div>')
        if rows.total:
            draw(rows)
        else:
            st.html(markup.notice(nothing))


def _heading(title: str, count: str) -> str:
    counted = f'<span class="ds-count">{markup.text(count)}</span>' if count else ""
    return f'<h2 class="ds-title">{markup.text(title)}{counted}</h2>'


def _tools(scope: Scope, asked: Query) -> None:
    with st.popover("SQL", help="The SQL of this panel", type="tertiary", width="content"):
        st.caption("Runs as it stands on the published defender.duckdb.")
        st.code(asked.shown, language="sql", wrap_lines=True)

    def rows_as_csv() -> bytes:
        rows = read(scope.snapshot, asked.text, dict(asked.values), None)
        return export.csv_bytes(rows.columns, rows.rows)

    st.download_button(
        "CSV", rows_as_csv, f"{asked.name}.csv", "text/csv", key=f"csv-{asked.name}", on_click="ignore",
        type="tertiary", help="Download all rows of this panel", width="content",
    )  # fmt: skip
