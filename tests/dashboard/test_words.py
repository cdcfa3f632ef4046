"""The dashboard's small parts: words, inert text, CSV, SQL as it is shown, how Streamlit is started."""

from __future__ import annotations

import ast
import csv
import io
import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from dashboard import __main__ as start
from dashboard import export, markup, words
from dashboard.query import literal

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, words.NOTHING),
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (293, "4 min 53 s"),
        (3_600, "1 h"),
        (7_500, "2 h 5 min"),
        (86_400 * 2 + 3_700, "2 d 1 h"),
        (86_400 * 175 + 7_000, "175 d"),
        (-61, "-1 min 1 s"),
    ],
)
def test_a_duration_in_words(seconds, said):
    assert words.duration(seconds) == said


def test_a_share_that_is_not_quite_nothing_or_all_does_not_look_so():
    assert [words.share(each) for each in (None, 0, 0.001, 0.5, 0.999, 1)] == [
        words.NOTHING, "0 %", "< 1 %", "50 %", "> 99 %", "100 %",
    ]  # fmt: skip


def test_text_is_escaped_and_loses_what_could_disguise_it():
    assert markup.text("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert markup.text("a\x00\x1b[31m\u202eb\u200b") == "a\ufffd\ufffd[31m\ufffdb\ufffd"
    assert markup.text("émile\t名前") == "émile\t名前"


def test_only_the_portal_is_linked():
    for address in ("javascript:alert(1)", "https://security.microsoft.com.contoso.com/", None, 5):
        assert markup.portal_link(address) == ""
    assert 'rel="noopener noreferrer"' in markup.portal_link("https://security.microsoft.com/machines/a")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", '"=1', "'=1", "|calc", "%0A", "\uff1d1"],
)
def test_text_that_looks_like_a_formula_is_defused(text):
    assert export.cell(text) == f"'{text}"


def test_a_csv_reads_back_as_it_was():
    moment = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    document = export.csv_bytes(
        ("name", "count", "at", "flag", "none"),
        [('a "b"\r\nc, d', -5, moment, True, None), ("é", 0.5, None, False, "")],
    )
    rows = list(csv.reader(io.StringIO(document.decode("utf-8-sig"), newline="")))
    assert rows == [
        ["name", "count", "at", "flag", "none"],
        ['a "b"\r\nc, d', "-5", "2026-11-20T12:00:00+00:00", "true", ""],
        ["é", "0.5", "", "false", ""],
    ]


@pytest.mark.parametrize(
    "value",
    ["o'brien", "'; drop table x; --", "", None, ["a'b", "c"], datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)],
)
def test_a_value_in_shown_sql_is_that_value(value):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    assert connection.execute(f"select {literal(value)} is not distinct from $1", [value]).fetchone() == (
        True,
    )


@pytest.fixture
def started(monkeypatch):
    """What Streamlit would be started with."""
    commands = []
    monkeypatch.setattr(start, "_run_streamlit", commands.extend)
    for name in ("DASHBOARD_PUBLISHED", "DASHBOARD_LATE_MINUTES"):
        monkeypatch.setenv(name, "")
    return commands


def test_streamlit_is_started_on_loopback_without_telemetry(started, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["dashboard", "--published", str(tmp_path), "--port", "8600"])
    start.main()
    command = " ".join(started)
    for option in (
        "--server.address 127.0.0.1",
        "--server.port 8600",
        "--browser.gatherUsageStats false",
        "--server.headless true",
        "--server.allowedHosts localhost --server.allowedHosts 127.0.0.1",
        "--client.disableDataExport true",
    ):
        assert option in command
    assert os.environ["DASHBOARD_PUBLISHED"] == str(tmp_path)


def test_the_configuration_tells_where_the_snapshot_is(started, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["dashboard"])
    monkeypatch.setenv("SYNC__DATA_DIR", str(tmp_path))
    start.main()
    assert os.environ["DASHBOARD_PUBLISHED"] == str(tmp_path / "demo" / "published")


def test_the_dashboard_shares_nothing_with_the_program_but_where_its_folder_is():
    for path in (ROOT / "dashboard").rglob("*.py"):
        found = {
            node.module
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("pipelines", "simulator"))
        }
        allowed = {"pipelines.data_dir", "pipelines.errors", "pipelines.settings"}
        assert found <= (allowed if path.name == "__main__.py" else set()), path
