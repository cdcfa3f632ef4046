"""The files under sql/ as the program runs them."""

from __future__ import annotations

import re

import pytest

from pipelines import sql_files
from pipelines.checks import OF_ROWS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An sql/ folder of the test's own: `folder(**{"marts/b": "…"})`."""
    monkeypatch.setattr(sql_files, "SQL_DIR", tmp_path)

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / f"{name}.sql"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return write


def test_every_view_comes_after_those_that_it_reads():
    done = set()
    for text in sql_files.view_statements():
        [name] = set(re.findall(r"create or replace view ((?:staging|marts)\.\w+)", text))
        read = {f"{layer}.{view}" for layer, view in sql_files.REFERENCE.findall(text)} - {name}
        assert read <= done, f"{name} comes before {read - done}"
        done.add(name)
    assert {f"marts.{name}" for name in sql_files.mart_names()} <= done


def test_order_is_found_from_references_and_not_from_names(folder):
    folder({"marts/a": "select from marts.b", "marts/b": "select from staging.z", "staging/z": "z"})
    assert sql_files.view_statements() == ["z", "select from staging.z", "select from marts.b"]


def test_a_view_that_names_itself_in_its_comments_is_no_circle(folder):
    folder({"marts/a": "create view marts.a; comment on view marts.a"})
    assert len(sql_files.view_statements()) == 1


def test_the_hash_changes_with_any_file(folder):
    folder({"marts/a": "one", "staging/b": "two"})
    before = sql_files.views_hash()
    folder({"staging/b": "three"})
    assert sql_files.views_hash() != before


def test_a_check_is_an_error_unless_it_says_warning(folder):
    folder({"checks/a": "-- Severity: Warning\nselect 1;\n", "checks/b": "select 2"})
    a, b = sql_files.checks()
    assert (a.name, a.severity) == ("a", "warning")
    assert (b.name, b.severity, b.query) == ("b", "error", "select 2")
    assert not a.query.endswith(";")


def test_every_check_tells_tenant_and_resource_of_what_it_finds():
    for check in sql_files.checks():
        assert re.search(r"\btenant\b", check.query), check.name
        assert re.search(r"\bresource\b", check.query), check.name
        assert check.severity in ("error", "warning")


def test_a_check_of_rows_reads_nothing_else():
    """What it reads beside them would be missing where it is shown those alone that changed."""
    rows = {"machine_actions", "machine_action_versions", "investigations", "investigation_versions"}
    constants = {"investigation_state_parts", "action_types"}
    of_rows = [check for check in sql_files.checks() if OF_ROWS.search(check.query)]
    assert len(of_rows) > 5
    for check in of_rows:
        read = set(re.findall(r"\b(staging|marts|defender)\.(\w+)", check.query))
        assert read <= {("staging", name) for name in rows | constants}, check.name
