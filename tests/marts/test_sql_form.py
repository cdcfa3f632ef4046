"""What every file of `sql/` keeps to: form, comments, portability, no wall clock, no reader's time zone."""

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import ErrorLevel, exp
from worlds import World, sql_files, views_in_order

VIEWS = [*sql_files("staging"), *sql_files("marts")]
CHECKS = sql_files("checks")
CONTRACT = {
    "machine_actions",
    "investigations",
    "machine_action_investigations",
    "machine_timeline",
    "machines",
    "machine_containment",
    "containment_episodes",
    "response_times",
    "needs_attention",
    "live_response_commands",
    "response_activity",
    "requestor_activity",
    "machine_action_transitions",
    "investigation_transitions",
    "sync_freshness",
}
# What takes JSON apart, in the one view that does.
ALLOWED = {"live_response_commands": {"unnest", "list_filter", "list_transform", "try_cast"}}
BANNED = {
    "asof join": r"\basof\b",
    "functions that sqlglot leaves as they are, or refuses": (
        r"\b(arg_max|arg_min|max_by|min_by|any_value|first|last|approx_quantile|contains|list|string_split|split"
        r"|str_split|regexp_extract|regexp_replace|epoch_us|epoch_ms|unnest|list_transform|list_filter"
        r"|try_cast|make_timestamptz|strftime|strptime|generate_series|range)\s*\("
    ),
    "ignore nulls": r"\bignore\s+nulls\b",
    "star with exclude or replace": r"\*\s*(exclude|replace)\b",
    "counting boundaries": r"\b(date_diff|datediff|date_sub|datesub|age)\s*\(",
    "the wall clock": (
        r"\b(now|today|get_current_time\w*|transaction_timestamp)\s*\("
        r"|\bcurrent_(date|time\w*)\b|\blocaltime\w*\b"
    ),
    "days and longer, whose length follows the reader's time zone": (
        r"interval\s+'?\s*\d+\s*'?\s*(day|week|month|year)|interval\s+'[^']*(day|week|month|year)[^']*'"
    ),
    "a date or a text of a time, which follow the reader's time zone": (
        r"::\s*(date|timestamp)\b|\bas\s+(date|timestamp)\s*\)"
    ),
    "parts of a time in the reader's time zone": (
        r"\bextract\s*\(|\bdate_part\s*\(|\b(year|month|day|hour|dayofweek|week)\s*\("
        r"|\bdate_trunc\s*\((?![^()]*\bat time zone 'UTC'\))"
    ),
}


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def code(path: Path) -> str:
    """The statements of a file without comments and without `comment on` texts."""
    lines = [line for line in path.read_text().splitlines() if not re.match(r"\s*--|comment on ", line)]
    return "\n".join(lines)


def test_the_contract_s_marts_are_all_there() -> None:
    assert {path.stem for path in sql_files("marts")} == CONTRACT


@pytest.mark.parametrize("path", VIEWS, ids=name)
def test_a_view_s_file_holds_the_relation_it_is_named_after_and_says_its_grain(path: Path) -> None:
    text = path.read_text()
    assert re.match(r"-- One row per [^\n]+\n", text)
    made = re.findall(r"^create or replace view (\S+) as$", text, flags=re.MULTILINE)
    assert made == [f"{path.parent.name}.{path.stem}"]


@pytest.mark.parametrize("path", CHECKS, ids=name)
def test_a_check_says_when_it_passes_and_names_tenant_and_resource(path: Path, world: World) -> None:
    text = path.read_text()
    assert re.match(r"-- Passes when [^\n]+\n", text)
    assert re.findall(r"^-- Severity: (\w+)$", text, flags=re.MULTILINE) in ([], ["warning"])
    described = world.connection.execute(text).description
    assert described is not None
    assert [column[0] for column in described[:2]] == ["tenant", "resource"]


def test_staging_reads_the_state_tables_and_marts_read_staging() -> None:
    for path in sql_files("staging"):
        assert "marts." not in path.read_text(), path.name
    for path in [*sql_files("marts"), *CHECKS]:
        assert "defender." not in path.read_text(), path.name


def test_each_view_and_column_of_the_marts_has_a_comment(world: World) -> None:
    uncommented = world.query(
        "select view_name as name from duckdb_views() where schema_name = 'marts' and comment is null"
        " union all select table_name || '.' || column_name from duckdb_columns()"
        " where schema_name = 'marts' and comment is null"
    )
    assert uncommented == []


def test_no_comment_is_longer_than_a_tooltip(world: World) -> None:
    long_ones = world.query(
        "select table_name || '.' || column_name as name from duckdb_columns()"
        " where schema_name = 'marts' and length(comment) > 220"
    )
    assert long_ones == []


def test_every_mart_begins_with_the_tenant(world: World) -> None:
    first = world.query(
        "select table_name, column_name from duckdb_columns() where schema_name = 'marts' and column_index = 1"
    )
    assert {row["table_name"] for row in first} == CONTRACT
    assert {row["column_name"] for row in first} == {"tenant"}


def test_every_mart_answers_on_empty_tables(world: World) -> None:
    assert {path.stem: world.rows(f"marts.{path.stem}") for path in sql_files("marts")} == {
        mart: [] for mart in CONTRACT
    }


@pytest.mark.parametrize("dialect", ["spark", "postgres"])
@pytest.mark.parametrize("path", [*VIEWS, *CHECKS], ids=name)
def test_every_statement_carries_over(path: Path, dialect: str) -> None:
    written = sqlglot.transpile(
        path.read_text(),
        read="duckdb",
        write=dialect,
        unsupported_level=ErrorLevel.RAISE,
        error_level=ErrorLevel.RAISE,
    )
    for statement in written:
        sqlglot.parse_one(statement, read=dialect)


@pytest.mark.parametrize("dialect", ["spark", "postgres"])
@pytest.mark.parametrize("path", [*VIEWS, *CHECKS], ids=name)
def test_every_function_is_one_that_sqlglot_knows(path: Path, dialect: str) -> None:
    """A function that sqlglot does not know passes through unchanged, and may not exist on the other side."""
    statements = sqlglot.parse(path.read_text(), read="duckdb")
    anonymous = {
        found.name.lower()
        for statement in statements
        if statement
        for found in statement.find_all(exp.Anonymous)
    }
    assert anonymous == set()


@pytest.mark.parametrize("path", [*VIEWS, *CHECKS], ids=name)
def test_nothing_banned_is_used(path: Path) -> None:
    used = {
        what: set(re.findall(pattern, code(path), flags=re.IGNORECASE)) - ALLOWED.get(path.stem, set())
        for what, pattern in BANNED.items()
    }
    assert {what: found for what, found in used.items() if found} == {}


@pytest.mark.parametrize(
    "line",
    [
        "select arg_max(a, b)",
        "a asof join b",
        "any_value(a)",
        "select * exclude (a)",
        "lag(a ignore nulls)",
        "date_diff('second', a, b)",
        "where a < now()",
        "a < current_timestamp",
        "a + interval '7 days'",
        "a + interval 7 day",
        "cast(a as date)",
        "a::date",
        "date_trunc('day', created_at)",
        "extract(hour from a)",
        "contains(a, b)",
    ],
)
def test_the_ban_finds_what_it_bans(line: str) -> None:
    assert any(re.search(pattern, line, flags=re.IGNORECASE) for pattern in BANNED.values())


def test_views_are_ordered_after_what_they_read() -> None:
    seen: set[str] = set()
    for path in views_in_order():
        references = set(re.findall(r"\b(?:staging|marts)\.\w+", code(path))) - {
            f"{path.parent.name}.{path.stem}"
        }
        assert references <= seen, path.name
        seen.add(f"{path.parent.name}.{path.stem}")


def test_running_the_files_again_changes_nothing() -> None:
    world = World()
    before = world.query(
        "select table_name, column_name, data_type, comment from duckdb_columns() order by all"
    )
    for path in views_in_order():
        world.connection.execute(path.read_text())
    assert (
        world.query("select table_name, column_name, data_type, comment from duckdb_columns() order by all")
        == before
    )
