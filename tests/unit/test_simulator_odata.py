"""Filters: the quick ways and the general one agree, and nothing but a refusal comes of nonsense."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import MACHINE_ACTIONS, ScriptedWorld, World
from simulator.odata import InvalidQueryError, _boolean, parse, select
from simulator.times import to_text

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SMALL = World(seed=2, rows=60).snapshot(MACHINE_ACTIONS, NOW)
MOMENTS = st.sampled_from([row.when + shift for row in SMALL.rows for shift in (-1, 0, 1)])
IDS = st.sampled_from([row.id for row in SMALL.rows] + ["gone", "it''s"])

ranges = st.builds(
    lambda parts: " and ".join(f"creationDateTimeUtc {op} {to_text(at)}" for op, at in parts),
    st.lists(
        st.tuples(st.sampled_from(["ge", "gt", "lt", "le", "eq", "ne"]), MOMENTS), min_size=1, max_size=3
    ),
)
chains = st.builds(
    lambda ids: " or ".join(f"id eq '{id}'" for id in ids), st.lists(IDS, min_size=1, max_size=6)
)
words = st.sampled_from(
    ["id", "status", "machineId", "creationDateTimeUtc", "and", "or", "not", "eq", "in", "ge", "null", "(", ")",
     ",", "'a'", "'", "2026-11-20T12:00:00Z", "5", "-", "/", "any", "contains(", "true", ":", "=", "1.5e3"]
)  # fmt: skip


def slowly(text):
    test = _boolean(MACHINE_ACTIONS, parse(text))
    return [row for row in SMALL.rows if test(row)]


@settings(deadline=None)
@given(st.one_of(ranges, chains))
def test_the_quick_ways_find_what_the_general_one_finds_in_its_order(text):
    assert list(select(SMALL, text)) == slowly(text)


@settings(deadline=None)
@given(st.one_of(ranges, chains), st.one_of(ranges, chains))
def test_not_and_or_are_set_operations(one, other):
    first, second = set(slowly(one)), set(slowly(other))
    assert set(select(SMALL, f"({one}) and ({other})")) == first & second
    assert set(select(SMALL, f"({one}) or ({other})")) == first | second
    assert set(select(SMALL, f"not ({one})")) == set(SMALL.rows) - first


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(words, max_size=9).map(" ".join)))
def test_any_text_is_answered_or_refused(text):
    with suppress(InvalidQueryError):
        select(SMALL, text)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_any_id_can_be_asked_for_with_its_quotes_doubled(id):
    snapshot = ScriptedWorld([{"id": id}, {"id": id + "x"}]).snapshot(MACHINE_ACTIONS, NOW)
    text = id.replace("'", "''")
    assert [row.id for row in select(snapshot, f"id eq '{text}'")] == [id]


@pytest.mark.parametrize("kind", ["range", "ids"])
def test_a_filter_over_many_rows_is_quick(kind):
    snapshot = World(seed=2, rows=25_000).snapshot(MACHINE_ACTIONS, NOW)
    ids = " or ".join(f"id eq '{row.id}'" for row in snapshot.rows[::1300])
    text = (
        ids
        if kind == "ids"
        else "creationDateTimeUtc ge 2026-08-01T00:00:00Z and creationDateTimeUtc lt 2026-11-01T00:00:00Z"
    )
    begun = perf_counter()
    assert select(snapshot, text)
    assert perf_counter() - begun < 0.5
