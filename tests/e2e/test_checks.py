"""Checks: what they find is told at each sync, also where only the rows that differ are looked at."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import duckdb
import pytest
from support.published import assert_published_equals_warehouse, linked_files
from support.records import action, ago, investigation

from pipelines import checks, sql_files
from pipelines.sql_files import Check
from simulator import ScriptedWorld

UNKNOWN_STATUS = ("contoso", "machine_actions", "machine_actions_known_statuses", "warning", 1)


@pytest.fixture
def stage(open_stage):
    """A stage whose last snapshot was made from the one before, and passed all checks."""
    rows = [action(f"a{number}", ago(days=1), machineId=f"m{number}") for number in range(20)]
    stage = open_stage(ScriptedWorld(rows, [investigation("1", ago(days=1))]), publishes=True)
    for _ in range(2):
        assert told(stage) == []
    assert linked_files(stage)
    return stage


def told(stage) -> list[Any]:
    """What the checks of the next sync find."""
    done = stage.sync()
    done.assert_ok()
    stage.clock.advance(minutes=1)
    return done.events.of("check_failed")


def on_warehouse(stage, statement: str) -> None:
    """Do something to the warehouse that no program of ours does."""
    with closing(duckdb.connect(str(stage.data_dir / "warehouse.duckdb"))) as connection:
        connection.execute(statement)


def test_a_row_that_changed_is_checked_and_told_until_it_changes_again(stage):
    stage.world.change("a1", status="NeverHeardOf")
    assert told(stage) == [UNKNOWN_STATUS]
    assert told(stage) == [UNKNOWN_STATUS], "though nothing is new"
    stage.world.change("a2", requestorComment="another change")
    assert told(stage) == [UNKNOWN_STATUS], "though another row changed"
    stage.world.change("a1", status="Succeeded")
    assert told(stage) == []
    assert linked_files(stage)


def test_a_new_row_is_checked(stage):
    stage.world.put_action(action("new", ago(hours=2), type="NeverHeardOf"))
    assert told(stage) == [("contoso", "machine_actions", "machine_actions_known_types", "warning", 1)]


@pytest.fixture
def looked_at(monkeypatch) -> list[dict[str, int]]:
    """By check, how many machine actions it was shown, one dictionary for each time that checks were run."""
    told: list[dict[str, int]] = []
    find = checks._found_by

    def noting(cursor: duckdb.DuckDBPyConnection, some: list[Check]) -> Any:
        [(count,)] = cursor.execute("select count(*) from staging.machine_actions").fetchall()
        told.append({check.name: count for check in some})
        return find(cursor, some)

    monkeypatch.setattr(checks, "_found_by", noting)
    return told


OF_RUNS = ("freshness", "watermarks_in_order")
OF_ROWS = {check.name for check in sql_files.checks()}.difference(OF_RUNS)


def test_what_the_snapshot_before_has_passed_is_not_looked_at_again(stage, looked_at):
    told(stage)
    assert looked_at == [dict.fromkeys(OF_RUNS, 20)]
    looked_at.clear()
    stage.world.change("a1", status="Failed")
    told(stage)
    assert looked_at == [dict.fromkeys(OF_RUNS, 20), dict.fromkeys(OF_ROWS, 1)]


def test_only_the_check_that_found_something_looks_at_all_rows_again(stage, looked_at):
    stage.world.change("a1", status="NeverHeardOf")
    told(stage)
    looked_at.clear()
    told(stage)
    assert looked_at == [dict.fromkeys((*OF_RUNS, "machine_actions_known_statuses"), 20)]


def test_rows_that_cannot_be_looked_at_alone_are_looked_at_with_all_others(stage, looked_at, monkeypatch):
    def full(*_: Any) -> Any:
        raise duckdb.OutOfMemoryException("no")

    monkeypatch.setattr(checks, "excerpt", full)
    stage.world.change("a1", status="NeverHeardOf")
    assert told(stage) == [UNKNOWN_STATUS]
    assert looked_at[1:] == [dict.fromkeys(OF_ROWS, 20)]


def test_what_somebody_else_named_does_not_matter(stage):
    for schema in ("differences", "changed", "former", "snapshot"):
        on_warehouse(stage, f"create schema {schema}")
    stage.world.change("a1", status="NeverHeardOf")
    assert told(stage) == [UNKNOWN_STATUS]
    assert_published_equals_warehouse(stage)


def test_a_check_that_is_new_looks_at_all_rows(stage, monkeypatch):
    every = [
        *sql_files.checks(),
        Check("new", "select tenant, 'x' as resource from staging.machine_actions", "error"),
    ]
    monkeypatch.setattr(sql_files, "checks", lambda: every)
    for _ in range(2):
        assert told(stage) == [("contoso", "x", "new", "error", 20)]


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("delete from defender.machine_action_versions where id = 'a1'", "machine_action_versions_latest"),
        (
            "update defender.machine_action_versions set version = 3 where id = 'a1'",
            "machine_action_versions_references",
        ),
        (
            "insert into defender.machine_actions from defender.machine_actions where id = 'a1'",
            "machine_actions_keys",
        ),
        ("insert into defender.investigations from defender.investigations", "investigations_keys"),
    ],
)
def test_damage_to_rows_that_no_run_touched_is_found(stage, damage, check):
    on_warehouse(stage, damage)
    assert check in {each[2] for each in told(stage)}
    log = "from defender.sync_runs where started_at = (select max(started_at) from defender.sync_runs)"
    assert stage.warehouse().one(f"select max(checks_failed) {log}") == 1
