"""The dashboard's script, which Streamlit runs again for each drawing: frame first, then the page."""

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from dashboard import frame, markup
from dashboard.snapshot import NoSnapshotError, Snapshot, current

HERE = Path(__file__).resolve().parent
PAGES = {
    "now": "Now",
    "response": "Response",
    "machine": "Machine",
    "live_response": "Live response",
    "people": "People and automation",
    "health": "Sync health",
}


WITHOUT_PERIOD = ("Now", "Machine")


def main() -> None:
    """Draw once."""
    st.set_page_config(page_title="Defender response", page_icon=str(HERE / "icon.png"), layout="wide")
    st.html(HERE / "style.css")
    page = st.navigation(
        [
            st.Page(HERE / "views" / f"{name}.py", title=title, url_path=name, default=name == "now")
            for name, title in PAGES.items()
        ],
        position="top",
    )
    snapshot = None
    try:
        snapshot = current(frame.published())
        if _draw_frame(snapshot, page.title not in WITHOUT_PERIOD):
            page.run()
    except NoSnapshotError as error:
        st.html(markup.notice(str(error), "high"))
    frame.follow_from(snapshot)


def _draw_frame(snapshot: Snapshot, has_period: bool) -> bool:
    """Filters, freshness, coverage; False when there is nothing to draw a page of."""
    known = frame.tenants_of(snapshot)
    if not known:
        st.html(markup.notice("The warehouse is empty: no sync has run to its end yet. Run: make sync"))
        return False
    strip, controls = st.columns([2, 1], vertical_alignment="bottom")
    with controls, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="bottom"):
        scope = frame.filters(snapshot, known, has_period)
    now = datetime.now(UTC)
    rows = frame.freshness_of(snapshot, scope.tenants)
    with strip, st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.html(frame.freshness_strip(rows, now), width="content")
        with st.popover("Coverage", type="tertiary", width="content"):
            st.html(frame.coverage(rows))
    late = frame.late_notice(rows, now)
    if late:
        st.html(late)
    if not any(row["row_count"] for row in rows):
        st.html(
            markup.notice(
                "The warehouse is empty: the syncs found no machine action and no investigation. "
                "If that is unexpected, run: defender-sync doctor"
            )
        )
    st.session_state["scope"] = scope
    return True


main()
