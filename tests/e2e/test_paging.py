"""Lists that move while they are paged: plain `$skip` paging loses rows, a sync does not."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from support.records import NOW, action, ago, investigation, iso
from support.stage import ENDPOINTS

from simulator import IgnoreSkip, PageCap, RunFirst, ScriptedWorld, Shuffle

ROWS = 45
PAGE = 10


def history(rows: int = ROWS, oldest_days: float = 40, days: float = 30) -> ScriptedWorld:
    """Finished actions, evenly spread over some days that end a while ago; a0 is the oldest."""
    return ScriptedWorld(action(f"a{n}", ago(days=oldest_days - days * n / rows)) for n in range(rows))


def between_pages(stage, change, times: int = 4):
    """Runs `change` before the second request that is not the first of its list, and some that follow."""
    return stage.sim.faults.add(
        RunFirst(change),
        nth=1,
        times=times,
        when=lambda call: "$skip" in call.params and call.params["$skip"] != "0",
    )


def test_rows_that_move_to_the_front_between_two_pages_are_all_loaded(open_stage):
    world = history()
    stage = open_stage(world, page_size=PAGE, scrub_calls=0)
    oldest_first = iter(range(ROWS))

    def touch() -> None:
        world.change(f"a{next(oldest_first)}", lastUpdateDateTimeUtc=iso(stage.clock()))

    rule = between_pages(stage, touch)
    plain = stage.plain_skip_ids(PAGE)
    assert rule.fired == 4
    assert set(plain) < {f"a{n}" for n in range(ROWS)}, "plain paging loses the rows that moved"

    rule = between_pages(stage, touch)
    stage.sync().assert_ok()
    assert rule.fired == 4
    stage.assert_in_step()


def test_a_row_that_changes_after_it_was_read_is_kept_as_it_was_read_last(open_stage):
    world = history()
    stage = open_stage(world, page_size=PAGE, scrub_calls=0)

    def change() -> None:
        world.change(f"a{ROWS - 1}", requestorComment="as it is now")
        world.change("a0", lastUpdateDateTimeUtc=iso(stage.clock()))

    rule = between_pages(stage, change, times=1)
    stage.sync().assert_ok()
    assert rule.fired == 1
    assert stage.loaded("machine_actions")[f"a{ROWS - 1}"]["requestor_comment"] == "as it is now"
    stage.assert_in_step(again=False)


def test_rows_in_another_order_at_each_request_are_all_loaded(open_stage):
    stage = open_stage(history(), page_size=PAGE, scrub_calls=0)
    rule = stage.sim.faults.add(Shuffle(seed=1), times=None)
    assert set(stage.plain_skip_ids(PAGE)) < {f"a{n}" for n in range(ROWS)}
    stage.sync().assert_ok()
    assert rule.fired > ROWS / PAGE
    stage.assert_in_step(again=False)


def test_investigations_in_another_order_at_each_request_are_all_loaded(open_stage):
    world = ScriptedWorld(investigations=[investigation(f"{n}", ago(days=10 + n)) for n in range(ROWS)])
    stage = open_stage(world, page_size=PAGE, scrub_calls=0)
    rule = stage.sim.faults.add(Shuffle(seed=1), on="investigations", times=None)
    assert set(stage.plain_skip_ids(PAGE, "investigations")) < {f"{n}" for n in range(ROWS)}
    stage.sync().assert_ok()
    assert rule.fired > ROWS / PAGE
    stage.assert_in_step(again=False)


def test_rows_that_appear_late_between_two_pages_are_all_loaded(open_stage):
    world = history()
    stage = open_stage(world, page_size=PAGE, scrub_calls=0)
    numbers = itertools.count()

    def appear() -> None:
        number = next(numbers)
        world.put_action(action(f"late{number}", ago(days=35, hours=number), updated=stage.clock()))

    rule = between_pages(stage, appear)
    plain = stage.plain_skip_ids(PAGE)
    assert rule.fired == 4
    assert {"late0", "late1", "late2", "late3"}.isdisjoint(plain), "plain paging loses the late rows"

    rule = between_pages(stage, appear)
    stage.sync().assert_ok()
    assert rule.fired == 4
    assert {"late4", "late5", "late6", "late7"} <= stage.loaded("machine_actions").keys()
    stage.assert_in_step()


def test_rows_that_appear_late_in_the_last_hour_between_two_pages_are_all_loaded(open_stage):
    world = ScriptedWorld(action(f"a{n}", ago(minutes=50 - n)) for n in range(ROWS))
    stage = open_stage(world, page_size=PAGE, scrub_calls=0)
    numbers = itertools.count()

    def appear() -> None:
        number = next(numbers)
        world.put_action(action(f"late{number}", ago(minutes=51 + number / 10), updated=stage.clock()))

    rule = between_pages(stage, appear, times=2)
    assert {"late0", "late1"}.isdisjoint(stage.plain_skip_ids(PAGE))
    assert rule.fired == 2

    rule = between_pages(stage, appear, times=2)
    stage.sync().assert_ok()
    assert rule.fired == 2
    stage.assert_in_step()


def test_rows_that_age_out_between_two_pages_hide_no_others(open_stage):
    world = history(oldest_days=179.9, days=4)
    stage = open_stage(world, page_size=PAGE, scrub_calls=0)
    newest_first = iter(range(ROWS - 1, 0, -1))

    def age_out() -> None:
        world.remove(f"a{next(newest_first)}")

    rule = between_pages(stage, age_out)
    plain = stage.plain_skip_ids(PAGE)
    assert rule.fired == 4
    assert stage.truth("machine_actions").keys() - set(plain), "plain paging loses rows that are still there"

    rule = between_pages(stage, age_out)
    stage.sync().assert_ok()
    assert rule.fired == 4
    stage.assert_in_step()


@pytest.mark.parametrize("cap", [1, 7, 1_024])
def test_pages_shorter_than_asked_hide_no_rows(open_stage, cap):
    rows = {1: 9, 7: 40, 1_024: 3_000}[cap]
    stage = open_stage(history(rows), scrub_calls=0)
    rule = stage.sim.faults.add(PageCap(cap), times=None)
    assert len(stage.plain_skip_ids(10_000)) == cap, "plain paging takes the first short page for the last"
    stage.sync().assert_ok()
    assert rule.fired > rows / cap
    stage.assert_in_step(again=False)


def test_pages_cut_by_their_bytes_hide_no_rows(open_stage):
    stage = open_stage(history(300), scrub_calls=0)
    for nth, cap in enumerate([98, 97, 60, 99, 5, 96], start=1):
        stage.sim.faults.add(PageCap(cap), nth=nth, times=1 if nth < 6 else None)
    stage.sync().assert_ok()
    stage.assert_in_step(again=False)


@pytest.mark.parametrize("cap", [120, 1_024])
def test_pages_that_become_shorter_after_the_first_sync_hide_no_rows(open_stage, cap):
    rows = cap + 100
    world = history(cap * 3 // 2)
    stage = open_stage(world)
    stage.sync().assert_ok()
    stage.sim.faults.add(PageCap(cap), times=None)
    stage.sim.faults.add(PageCap(cap), on="investigations", times=None)
    for number in range(rows):
        world.put_action(action(f"new{number}", NOW, status="Pending" if number % 3 else "Succeeded"))
    stage.clock.advance(days=2)
    stage.sync().assert_ok()
    stage.assert_in_step(again=False)
    for number in range(rows):
        world.change(f"new{number}", status="Succeeded", lastUpdateDateTimeUtc=iso(stage.clock()))
    stage.clock.advance(days=2)
    stage.sync().assert_ok()
    stage.assert_in_step(again=False)


def test_a_page_that_comes_short_in_the_middle_of_a_list_hides_no_rows(open_stage):
    world = ScriptedWorld(action(f"a{n}", ago(days=1, minutes=n), status="Pending") for n in range(110))
    stage = open_stage(world, page_size=30, scrub_calls=0)
    stage.sync().assert_ok()
    for number in range(110):
        world.change(f"a{number}", status="Succeeded")
    stage.clock.advance(hours=2)
    rule = stage.sim.faults.add(PageCap(11), when=lambda call: call.params.get("$skip") == "30")
    stage.sync().assert_ok()
    assert rule.fired == 1
    stage.assert_in_step(again=False)


@pytest.mark.parametrize("skip", [10, 50, 90])
def test_an_empty_page_in_the_middle_of_a_list_hides_no_rows(open_stage, skip):
    stage = open_stage(history(105), page_size=PAGE, scrub_calls=0)
    rule = stage.sim.faults.add(PageCap(0), when=lambda call: call.params.get("$skip") == str(skip))
    stage.sync().assert_ok()
    assert rule.fired == 1
    stage.assert_in_step(again=False)


@pytest.mark.parametrize("nth", range(2, 9))
def test_pages_that_become_shorter_within_a_sync_hide_no_rows(open_stage, nth):
    world = history(120, oldest_days=170, days=165)
    stage = open_stage(world, page_size=25, scrub_calls=0)
    rule = stage.sim.faults.add(PageCap(7), nth=nth, times=1 + nth % 3)
    stage.sync().assert_ok()
    assert rule.fired > 0
    stage.assert_in_step(again=False)


def test_a_server_that_ignores_skip_still_gives_all_rows_in_windows_that_fit_a_page(open_stage):
    stage = open_stage(history(), page_size=PAGE, scrub_calls=0)
    rule = stage.sim.faults.add(IgnoreSkip(), times=None)
    stage.sync().assert_ok()
    assert rule.fired > 0
    stage.assert_in_step(again=False)


@pytest.mark.parametrize(("page_size", "cap"), [(20, None), (100, 20)])
def test_a_server_that_ignores_skip_and_gives_shorter_pages_than_it_once_did_still_gives_all_rows(
    open_stage, page_size, cap
):
    world = history(120)
    stage = open_stage(world, page_size=100, scrub_calls=0)
    stage.sync().assert_ok()
    stage.clock.advance(days=20)
    for number in range(60):
        world.put_action(action(f"new{number}", NOW + timedelta(hours=7 * number)))
    stage.sim.faults.add(IgnoreSkip(), times=None)
    if cap:
        stage.sim.faults.add(PageCap(cap), times=None)
    stage.sync(page_size=page_size).assert_ok()
    stage.assert_in_step(again=False)


def test_a_server_that_begins_to_ignore_skip_is_scrubbed_all_the_same(open_stage):
    world = history(30)
    stage = open_stage(world, page_size=PAGE, scrub_calls=1_000)
    stage.sync().assert_ok()
    for number in range(40):
        late = action(f"late{number}", ago(days=20, minutes=number), updated=stage.clock())
        world.put_action(late)
    stage.clock.advance(hours=2)
    rule = stage.sim.faults.add(IgnoreSkip(), times=None)
    stage.sync().assert_ok()
    assert rule.fired > 0
    stage.assert_in_step(again=False)


def test_a_second_that_cannot_be_proven_ends_in_part_and_holds_the_watermark_back(open_stage):
    moment = ago(days=20)
    crowd = [action(f"c{n:02}", moment) for n in range(20)]
    stage = open_stage(
        ScriptedWorld([*crowd, action("before", ago(days=30)), action("after", ago(days=5))]),
        page_size=4,
        max_concurrent_requests=1,
    )
    rule = stage.sim.faults.add(Shuffle(seed=1), times=None)
    done = stage.sync()
    assert rule.fired > 0
    assert done.exit_code == 5
    assert stage.watermark() <= moment
    assert {"before", "after"} <= stage.loaded("machine_actions").keys(), "what came is kept"
    [run] = stage.warehouse().rows("from defender.sync_runs where resource = 'machine_actions'")
    assert run["status"] == "partial"
    assert f"{moment:%Y-%m-%d %H:%M}" in run["error"]
    assert stage.watermark("investigations") >= NOW

    stage.sim.faults.clear()
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    assert stage.clock() - timedelta(seconds=1) <= stage.watermark() <= stage.clock()
    stage.assert_in_step(again=False)


def test_settled_history_that_cannot_be_proven_is_where_the_next_sync_scrubs(open_stage):
    moment = ago(days=20)
    crowd = [action(f"c{n:02}", moment) for n in range(20)]
    world = ScriptedWorld([action("before", ago(days=30)), *crowd, action("after", ago(days=5))])
    stage = open_stage(world, page_size=4, max_concurrent_requests=1)
    stage.sync().assert_ok()
    world.change("c03", title="another")
    stage.clock.advance(minutes=5)
    rule = stage.sim.faults.add(Shuffle(seed=1), times=None)
    done = stage.sync(scrub_calls=1_000)
    assert rule.fired > 0
    assert done.exit_code == 5
    assert "read again later" in str(done.error())
    reached = stage.warehouse().one(
        "select scrubbed_until from defender.watermarks where resource = 'machine_actions'"
    )
    assert ago(days=30) < reached <= moment

    stage.sim.faults.clear()
    stage.clock.advance(minutes=5)
    stage.sync(scrub_calls=6).assert_ok()
    assert stage.loaded("machine_actions")["c03"]["title"] == "another"


def test_settled_history_that_can_never_be_proven_holds_up_no_other(open_stage):
    moment = ago(days=40)
    crowd = [action(f"c{n:02}", moment) for n in range(12)]
    others = [action(f"o{n}", ago(days=30, hours=-n)) for n in range(40)]
    world = ScriptedWorld([*crowd, *others])
    stage = open_stage(world, page_size=4, max_concurrent_requests=1)
    stage.sync(scrub_calls=0).assert_ok()
    world.change("o9", title="another")
    stage.sim.faults.add(Shuffle(seed=1), times=None)
    codes = []
    for _ in range(9):
        stage.clock.advance(minutes=5)
        codes.append(stage.sync(scrub_calls=6).exit_code)
    assert stage.loaded("machine_actions")["o9"]["title"] == "another"
    assert 5 in codes
    assert 0 in codes


def test_no_call_asks_for_what_the_documentation_does_not_offer(open_stage):
    world = history(30)
    world.put_action(action("open's", ago(days=30), status="Pending"))
    world.put_investigation(investigation("1", ago(days=9), state="Running"))
    stage = open_stage(world, page_size=PAGE)
    stage.sync().assert_ok()
    stage.clock.advance(hours=1)
    stage.sync().assert_ok()
    for call in stage.sim.requests:
        if call.endpoint in ENDPOINTS.values():
            assert call.params.keys() <= {"$filter", "$top", "$skip"}
            assert call.status == 200
            assert int(call.params["$top"]) <= 10_000
            assert call.params.get("$skip", "0").isdigit()
    assert any("id eq 'open''s'" in call.params.get("$filter", "") for call in stage.sim.requests)
