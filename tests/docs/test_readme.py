"""The README is true: its commands exist, its SQL answers, its tables and codes are those of the program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipelines import sql_files
from pipelines.errors import ExitCode
from pipelines.publish import PUBLISHED_TABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What the README's two commands come to, in an empty folder with the shipped configuration."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / ".dlt").mkdir()
    shutil.copy(ROOT / ".dlt" / "config.toml", folder / ".dlt")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SYNC__", "TENANTS__"))
    }
    said = [
        subprocess.run(
            [sys.executable, "-m", "pipelines", "sync"],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    return folder, said


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def figures_as_n(text: str) -> list[str]:
    """The lines of a shown output, each figure as N, without the log's time."""
    lines = [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ", "", line) for line in text.splitlines()]
    return [re.sub(r"\d[\d,]*", "N", line) for line in lines]


@pytest.mark.parametrize("number", [0, 1])
def test_the_two_commands_print_what_the_readme_shows(demo, number):
    _, said = demo
    [shown] = [
        block for block in blocks("text") if "succeeded" in block and (number == 0) == ("published" in block)
    ]
    printed = figures_as_n(said[number])
    assert len(shown.splitlines()) >= 2
    assert [line for line in figures_as_n(shown) if line not in printed] == []


def test_every_question_has_an_answer_in_what_is_published(demo):
    folder, _ = demo
    queries = blocks("sql")
    assert len(queries) >= 5
    with duckdb.connect(str(folder / "data/demo/published/defender.duckdb"), read_only=True) as connection:
        for query in queries:
            assert connection.execute(query).fetchall(), f"no answer to: {query}"


def test_every_make_target_and_command_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(
        re.findall(r"\bmake ([a-z]+)\b", " ".join(re.findall(r"`[^`]+`|^make .*$", README, re.MULTILINE)))
    )
    assert named
    assert named <= targets
    for command in set(re.findall(r"`(?:\.venv/bin/)?defender-sync ([a-z]+)", README)):
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", command, "--help"], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, command


def test_the_table_of_exit_codes_is_the_programs():
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}


def test_every_table_that_is_named_is_published():
    section = README.split("## Tables")[1].split("##")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(PUBLISHED_TABLES)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_no_mart_is_nameless():
    named = set(re.findall(r"\bmarts\.([a-z_]+)\b", " ".join(blocks("sql"))))
    assert named
    assert named <= set(sql_files.mart_names())
