"""Reads what a page of the dashboard says: its notices, figures and tables, as a person would."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
PAGES = ("now", "response", "machine", "live_response", "people", "health")
FIGURE = re.compile(
    r'<div class="ds-name">(.*?)</div><div class="ds-value">(.*?)</div><div class="ds-note">(.*?)</div>'
)


class Screen:
    """One session with the dashboard."""

    def __init__(self, page: str = "now", **address: str) -> None:
        self.app = AppTest.from_file(APP, default_timeout=30)
        for name, value in address.items():
            self.app.query_params[name] = value
        self.app.run()
        if page != "now":
            self.open(page)

    def open(self, page: str) -> Screen:
        """Go to another page."""
        self.app.switch_page(f"views/{page}.py")
        return self.again()

    def again(self) -> Screen:
        """Draw again."""
        self.app.run()
        assert [each.message for each in self.app.exception] == []
        return self

    @property
    def bodies(self) -> list[str]:
        """The HTML that the page consists of."""
        return [each.proto.body for each in self.app.get("html")]

    @property
    def words(self) -> str:
        """All text, as it is read."""
        return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", body) for body in self.bodies))

    @property
    def titles(self) -> list[str]:
        """The headings of the panels."""
        return [
            html.unescape(found[1])
            for body in self.bodies
            for found in re.finditer(r'<h2 class="ds-title">(.*?)(?:<span|</h2>)', body)
        ]

    @property
    def figures(self) -> dict[str, tuple[str, str]]:
        """Each figure by name: its value and what stands under it."""
        return {
            html.unescape(name): (html.unescape(value), html.unescape(note).strip())
            for body in self.bodies
            for name, value, note in FIGURE.findall(body)
        }

    @property
    def notices(self) -> list[str]:
        """The sentences that stand in place of what is not there."""
        found = re.findall(r'<div class="ds-notice[^"]*">(.*?)</div>', "".join(self.bodies), re.DOTALL)
        return [html.unescape(each) for each in found]

    def table(self, label: str) -> list[list[str]]:
        """The rows of a table, each a list of its cells' texts; none when it is not there."""
        for body in self.bodies:
            if f'aria-label="{html.escape(label)}"' in body:
                reader = _TableReader()
                reader.feed(body)
                return reader.rows
        return []

    @property
    def queries(self) -> list[str]:
        """The SQL that the panels show."""
        return [each.value for each in self.app.code]


class _TableReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._is_cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        self._is_cell = tag == "td" or (self._is_cell and tag != "th")
        if tag == "td":
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._is_cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.rows = [row for row in self.rows if row]
