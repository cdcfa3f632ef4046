"""docs/marts.md is what the database says, and its examples run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MARTS = sorted(path.stem for path in (ROOT / "sql" / "marts").glob("*.sql"))


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("marts_reference", ROOT / "tools" / "marts_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_database_says(reference):
    assert (ROOT / "docs" / "marts.md").read_text() == reference.document(), (
        "docs/marts.md is stale; run: python tools/marts_reference.py"
    )


def test_every_mart_has_a_question_and_no_other(reference):
    assert sorted(path.stem for path in reference.QUESTIONS.glob("*.sql")) == MARTS
    assert all(reference.question(mart)[0].endswith("?") for mart in MARTS)


@pytest.mark.parametrize("mart", MARTS)
def test_the_example_of_each_mart_runs_on_what_is_published(mart, reference, published):
    _, sql = reference.question(mart)
    assert f"marts.{mart}" in sql
    published.rows(sql)


def test_most_examples_find_something(reference, published):
    empty = [mart for mart in MARTS if not published.rows(reference.question(mart)[1])]
    by_example_name = {"machine_actions", "machine_timeline"}
    assert set(empty) <= by_example_name | {
        "investigation_transitions",
        "machine_action_transitions",
        "investigations",
        "machines",
    }
