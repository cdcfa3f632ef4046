"""What a person or a log is told of a run."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console
from support.records import NOW

from pipelines.clock import Clock
from pipelines.odata import PageSizes
from pipelines.progress import LiveProgress, LogProgress, check_line, plain, summary_line
from pipelines.resources import MACHINE_ACTIONS
from pipelines.warehouse import Changes, RunRow

RUN = RunRow(
    "r",
    "contoso",
    "machine_actions",
    "sync",
    NOW,
    status="succeeded",
    calls=7,
    rows_read=1_234,
    rows_new=12,
    rows_changed=3,
)
CLOCK = Clock(now=lambda: NOW)


def reader(waiting_for: str | None = None):
    """What progress looks at of a reader."""
    quota = SimpleNamespace(left=lambda _now: (93, 1_400))
    return SimpleNamespace(
        pages=3,
        rows=30_000,
        sizes=PageSizes(10_000),
        client=SimpleNamespace(quota=quota, waiting_for=waiting_for),
    )


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=160, color_system=None)


def test_the_summary_counts_new_changed_read_and_calls():
    assert summary_line(RUN) == "contoso machine_actions: succeeded, 12 new, 3 changed, 1,234 read in 7 calls"


def test_the_summary_tells_waits_retries_and_quarantine_where_there_were_any():
    run = replace(RUN, calls=1, retries=1, waited_seconds=61.4, rows_quarantined=2)
    assert summary_line(run).endswith("1,234 read in 1 call, 2 in quarantine, waited 61 s, 1 retry")
    assert summary_line(replace(run, retries=2)).endswith("2 retries")


def test_a_list_that_is_not_offered_is_told_as_such():
    assert "not offered" in summary_line(replace(RUN, status="unavailable"))


def test_a_log_has_a_plain_line_with_its_time_for_each_chunk(capsys):
    progress = LogProgress(CLOCK)
    with progress:
        progress.begun(RUN)
        progress.reading(RUN, "[a, b)", reader())
        progress.stored(RUN, "[a, b)", 1_000, Changes(MACHINE_ACTIONS.schema.empty_table(), 0))
        progress.finished(RUN)
        progress.published("data/snapshots/x")
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-20 12:00:00Z contoso machine_actions: [a, b): 1,000 read, 0 new, 0 changed",
        "2026-11-20 12:00:00Z contoso machine_actions: succeeded, 12 new, 3 changed, 1,234 read in 7 calls",
        "2026-11-20 12:00:00Z published data/snapshots/x",
    ]


def test_a_terminal_has_a_live_line_with_window_pages_rows_calls_left_and_what_is_waited_for(terminal):
    progress = LiveProgress(CLOCK, terminal)
    progress.begun(RUN)
    progress.reading(RUN, "[a, b)", reader("throttled by the API, 30 s"))
    terminal.print(progress._render())
    shown = terminal.file.getvalue()
    for part in (
        "contoso machine_actions",
        "[a, b)",
        "3 pages",
        "30,000 rows",
        "calls left: 93",
        "throttled by the API, 30 s",
    ):
        assert part in shown


def test_a_terminal_ends_with_the_summary(terminal):
    with LiveProgress(CLOCK, terminal) as progress:
        progress.begun(RUN)
        progress.finished(RUN)
        progress.published("data/snapshots/x")
    shown = terminal.file.getvalue()
    assert summary_line(RUN) in shown
    assert "published data/snapshots/x" in shown


def test_markup_and_control_codes_from_outside_are_shown_as_they_are(terminal):
    with LiveProgress(CLOCK, terminal) as progress:
        progress.check_failed("[red]odd\x1b[2J[/red]", "machine_actions", "keys", "error", 1)
    shown = terminal.file.getvalue()
    assert "[red]odd" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\t"])
def test_no_character_that_steers_a_terminal_comes_through(char):
    assert plain(f"a{char}b") == "a b"


def test_a_check_names_its_file():
    assert check_line("contoso", "investigations", "keys", "error", 2) == (
        "contoso investigations: check keys (error): 2 rows; see sql/checks/keys.sql"
    )
