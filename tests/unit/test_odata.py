"""What is asked of the API, which page next, and what the answers prove."""

from __future__ import annotations

import random
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import NOW

from pipelines.odata import (
    PagePlan,
    PageSizes,
    Proof,
    ids_filter,
    null_filter,
    text_literal,
    time_literal,
    window_filter,
)


def test_a_time_is_written_in_utc_to_the_microsecond_and_unquoted():
    east = NOW.replace(microsecond=7).astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert time_literal(east) == "2026-11-20T12:00:00.000007Z"


def test_a_quote_inside_a_text_is_doubled():
    assert text_literal("o'b'") == "'o''b'''"


def test_a_window_is_half_open():
    assert window_filter("startTime", NOW, NOW + timedelta(seconds=1)) == (
        "startTime ge 2026-11-20T12:00:00.000000Z and startTime lt 2026-11-20T12:00:01.000000Z"
    )


def test_rows_without_a_time_are_asked_for_by_null():
    assert null_filter("startTime") == "startTime eq null"


def test_ids_are_asked_for_one_by_one():
    assert ids_filter(["a", "b'c"]) == "id eq 'a' or id eq 'b''c'"


# --- the plan of pages --------------------------------------------------------------------------


def walk(total: int, asked: int, caps: list[int], *, most_at_once: int = 4, sizes: PageSizes | None = None):
    """Plays the reader against a server of `total` rows that caps its nth answer: the positions read."""
    sizes = sizes or PageSizes(asked)
    plan = PagePlan(asked, most_at_once)
    read: list[int] = []
    in_flight: list[tuple[int, int]] = []
    calls = 0

    def answer(skip: int, top: int) -> list[int]:
        nonlocal calls
        cap = caps[min(calls, len(caps) - 1)]
        calls += 1
        return list(range(skip, min(skip + min(top, cap), total)))

    while not plan.done:
        assert calls < 40 * (total + 10), "the plan does not come to an end"
        while plan.may_ask(len(in_flight)):
            in_flight.append((plan.ask(), plan.size))
        page = answer(*in_flight.pop(0))
        assert not page or page[0] == plan.covered, "a page that does not start where the last one ended"
        read += page
        aligned = plan.answer(len(page), sizes)
        if plan.done or not aligned:
            behind = [answer(*each) for each in in_flight]
            in_flight.clear()
            if plan.done and any(behind):
                plan.contradicted()
    return read, calls


@given(st.integers(0, 120), st.integers(1, 30), st.integers(1, 4))
def test_each_position_is_read_once_whatever_the_length_of_the_list(total, asked, most_at_once):
    read, calls = walk(total, asked, [10_000], most_at_once=most_at_once)
    assert read == list(range(total))
    assert calls <= total // asked + 2 + most_at_once


@given(st.integers(0, 120), st.integers(1, 40), st.integers(1, 40))
def test_each_position_is_read_once_where_the_server_caps_its_pages(total, asked, cap):
    read, calls = walk(total, asked, [cap])
    assert read == list(range(total))
    assert calls <= 2 * (total // min(asked, cap)) + 8


@given(st.integers(0, 600), st.lists(st.integers(3, 300), min_size=1, max_size=12), st.integers(0, 300))
def test_each_position_is_read_once_where_no_two_pages_are_of_one_length(total, caps, largest_ever):
    read, _ = walk(total, 300, caps, sizes=PageSizes(300, largest_ever))
    assert read == list(range(total))


def test_a_small_list_costs_one_call_once_longer_pages_were_seen():
    sizes = PageSizes(10_000, largest_ever=10_000)
    assert walk(50, 10_000, [10_000], sizes=sizes)[1] == 1


def test_an_empty_list_costs_one_call():
    assert walk(0, 10_000, [10_000]) == ([], 1)


def test_a_short_page_is_asked_behind_once_as_long_as_no_longer_one_was_seen():
    assert walk(50, 10_000, [10_000])[1] == 2


def test_pages_are_asked_one_then_two_then_four_at_once():
    plan = PagePlan(10, 4)
    widths = []
    for _ in range(4):
        asked = 0
        while plan.may_ask(asked):
            plan.ask()
            asked += 1
        widths.append(asked)
        for _ in range(asked):
            plan.answer(10, PageSizes(10))
    assert widths == [1, 2, 4, 4]


@pytest.mark.parametrize(
    ("expected_rows", "width"), [(None, 2), (0, 2), (50, 2), (59, 2), (70, 3), (90, 4), (1_000, 4)]
)
def test_behind_a_first_page_that_is_full_half_of_the_pages_expected_are_asked_at_once(expected_rows, width):
    plan = PagePlan(10, 4, expected_rows)
    plan.ask()
    assert not plan.may_ask(1)
    plan.answer(10, PageSizes(10))
    asked = 0
    while asked < 10 and plan.may_ask(asked):
        plan.ask()
        asked += 1
    assert asked == width


def test_a_list_of_several_pages_is_asked_whole_when_the_rows_expected_are():
    plan = PagePlan(10, 4, expected_rows=25)
    told = []
    for _ in range(3):
        plan.ask()
        told.append(plan.is_asked_whole)
    assert told == [False, False, True]
    one_page = PagePlan(10, 4, expected_rows=10)
    one_page.ask()
    assert not one_page.is_asked_whole


def test_no_page_is_asked_far_past_the_rows_that_are_expected():
    plan = PagePlan(10, 4, expected_rows=10)
    plan.ask()
    assert not plan.may_ask(1)
    plan.answer(10, PageSizes(10))
    plan.ask()
    assert not plan.may_ask(1)


@pytest.mark.parametrize(
    ("largest_ever", "rows", "known", "whole"),
    [
        (0, 50, None, False),  # nothing is known of this endpoint
        (60, 50, None, True),  # longer pages came, and little would hide behind a new cap
        (10_000, 100, None, False),  # much could hide
        (10_000, 1_024, 1_024, True),  # all that the warehouse knows of the range is there
        (10_000, 1_024, 1_025, False),
        (10_000, 1_024, 0, False),  # it knows of none
        (1_024, 1_024, 1_024, False),  # never a longer page than this one
    ],
)
def test_a_short_first_page_is_the_whole_list_only_on_good_grounds(largest_ever, rows, known, whole):
    assert PageSizes(10_000, largest_ever).is_whole_list(rows, known) is whole
    assert not PageSizes(10_000, largest_ever, capped=True).is_whole_list(rows, known)


def test_the_longest_page_is_remembered_by_run_and_for_ever():
    sizes = PageSizes(10_000, largest_ever=70)
    sizes.saw(50)
    assert (sizes.largest_now, sizes.largest_ever) == (50, 70)
    assert not sizes.is_shorter_than_others(50)
    assert sizes.is_shorter_than_others(49)
    sizes.saw(90)
    assert (sizes.largest_now, sizes.largest_ever) == (90, 90)


# --- the proof ----------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 10), st.integers(0, 10**6))
def test_where_the_proof_holds_every_row_of_a_fixed_set_was_read_whatever_the_order(total, size, seed):
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    rows = list(range(total))
    proof = Proof()
    for skip in range(0, total, size):
        if order.random() < 0.5:
            order.shuffle(rows)
        proof.add(rows[skip : skip + size])
    if proof.holds:
        assert proof.identities == set(range(total))
    else:
        assert len(proof.identities) < total


def test_a_single_page_is_one_answer_and_needs_no_proof():
    proof = Proof()
    proof.add(["a", "a"])
    assert proof.holds


def test_a_row_that_came_twice_on_two_pages_disproves():
    proof = Proof()
    proof.add(["a", "b"])
    proof.add(["b", "c"])
    assert not proof.holds


def test_a_page_without_news_is_told_but_an_empty_one_is_not():
    proof = Proof()
    assert proof.add(["a", "b"])
    assert not proof.add(["b", "a"])
    assert proof.add([])
