"""The charts. Times are drawn in UTC; data is passed in whole, and nothing is fetched."""

from typing import Any

import altair as alt

from dashboard.snapshot import Rows

HEIGHT = 240
QUIET, LINE, TEXT = "#93a4b7", "#2a3542", "#d9e0e8"
COLORS = {
    "succeeded": "#3f8f73",
    "pending": "#5aa9f0",
    "cancelled": "#6b7b8d",
    "unknown": "#b9a0f0",
    "timed_out": "#ffa657",
    "failed": "#ff7b72",
    "person": "#5aa9f0",
    "application": "#4a6b8f",
    "automation": "#56c596",
    "not told": "#6b7b8d",
}
WEEKDAYS = ("", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def stacked(rows: Rows, time_column: str, kind_column: str) -> Any:
    """Counts over time, one layer for each kind."""
    kinds = {row[kind_column] for row in rows.dicts()}
    order = [kind for kind in COLORS if kind in kinds] + sorted(kinds - COLORS.keys())
    unit = "yearmonthdatehours" if time_column.startswith("hour") else "yearmonthdate"
    base = alt.Chart(_data(rows, rank=lambda row: order.index(row[kind_column])))
    bars = base.mark_bar(stroke=None).encode(
        x=alt.X(f"utc{unit}({time_column}):T", title=None, axis=_time_axis(unit)),
        y=alt.Y("actions:Q", title="actions", axis=_axis()),
        color=alt.Color(
            f"{kind_column}:N",
            title=None,
            scale=alt.Scale(domain=order, range=[COLORS.get(kind, QUIET) for kind in order]),
            legend=alt.Legend(
                orient="top", labelColor=TEXT, symbolType="square", labelExpr="replace(datum.label, '_', ' ')"
            ),
        ),
        order=alt.Order("rank:Q"),
        tooltip=[
            alt.Tooltip(f"utc{unit}({time_column}):T", title="UTC", format="%Y-%m-%d %H:%M"),
            alt.Tooltip(f"{kind_column}:N", title="kind"),
            alt.Tooltip("actions:Q", format=","),
        ],
    )
    return _dressed(bars)


def containment(rows: Rows) -> Any:
    """Median and p95 of the time to contain, by week, in minutes."""
    points = [
        {"week_utc": row["week_utc"].isoformat(), "measure": name, "minutes": row[column] / 60}
        for row in rows.dicts()
        for name, column in (("median", "median_to_contain"), ("p95", "p95_to_contain"))
        if row[column] is not None
    ]
    lines = (
        alt.Chart(_inline(points))
        .mark_line(point={"size": 35}, strokeWidth=2)
        .encode(
            x=alt.X("utcyearmonthdate(week_utc):T", title=None, axis=_time_axis("yearmonthdate")),
            y=alt.Y("minutes:Q", title="minutes (log scale)", axis=_axis(), scale=alt.Scale(type="symlog")),
            color=alt.Color(
                "measure:N",
                title=None,
                scale=alt.Scale(domain=["median", "p95"], range=["#5aa9f0", "#ffa657"]),
                legend=alt.Legend(orient="top", labelColor=TEXT),
            ),
            tooltip=[
                alt.Tooltip("utcyearmonthdate(week_utc):T", title="week", format="%Y-%m-%d"),
                alt.Tooltip("measure:N"),
                alt.Tooltip("minutes:Q", format=",.1f"),
            ],
        )
    )
    return _dressed(lines)


def week(rows: Rows) -> Any:
    """How busy each hour of the week is, in UTC."""
    points = [
        {"weekday": WEEKDAYS[row["weekday"]], "hour": row["hour_of_day"], "actions": row["actions"]}
        for row in rows.dicts()
    ]
    cells = (
        alt.Chart(_inline(points))
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("hour:O", title="hour of the day (UTC)", axis=_axis(labelAngle=0, grid=False)),
            y=alt.Y("weekday:O", title=None, sort=list(WEEKDAYS[1:]), axis=_axis(grid=False)),
            color=alt.Color(
                "actions:Q",
                scale=alt.Scale(range=["#18232f", "#5aa9f0"], zero=True),
                legend=alt.Legend(title="actions", titleColor=QUIET, labelColor=TEXT, gradientLength=150),
            ),
            tooltip=[
                "weekday:O",
                alt.Tooltip("hour:O", title="hour (UTC)"),
                alt.Tooltip("actions:Q", format=","),
            ],
        )
    )
    return _dressed(cells)


def _inline(values: list[dict[str, Any]]) -> Any:
    return alt.InlineData(values=values)


def _data(rows: Rows, **more: Any) -> Any:
    values = []
    for row in rows.dicts():
        plain = {
            name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()
        }
        values.append({**plain, **{name: make(row) for name, make in more.items()}})
    return _inline(values)


def _time_axis(unit: str) -> alt.Axis:
    return _axis(grid=False, format="%b %d, %H:%M" if unit.endswith("hours") else "%b %d", labelOverlap=True)


def _axis(**more: Any) -> alt.Axis:
    return alt.Axis(
        labelColor=QUIET, titleColor=QUIET, gridColor=LINE, domainColor=LINE, tickColor=LINE,
        titleFontWeight="normal", **more,
    )  # fmt: skip


def _dressed(chart: Any) -> Any:
    return (
        chart.properties(
            height=HEIGHT, background="transparent", padding={"left": 4, "right": 4, "top": 4, "bottom": 4}
        )
        .configure_view(stroke=None)
        .configure(font="Source Sans, sans-serif")
    )
