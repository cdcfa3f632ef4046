"""The main road: what a sync reads, what it changes, and what it leaves alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.records import NOW, action, ago, investigation, iso
from support.truth import COLUMNS

from pipelines import defender
from pipelines.errors import PartialError
from simulator import IgnoreSkip, PageCap, ScriptedWorld, Status, World

SAMPLES = Path(__file__).parents[1] / "contract" / "samples"

# Readings of one run are told apart by a few microseconds.
TICKS = timedelta(milliseconds=1)


def test_a_first_sync_loads_all_that_the_api_shows(open_stage):
    stage = open_stage(World(seed=7, rows=300), fresh=True, publishes=True)
    done = stage.sync().assert_ok()
    assert done.run("machine_actions").rows_new == len(stage.truth("machine_actions")) > 250
    assert done.run("investigations").rows_new == len(stage.truth("investigations")) > 20
    stage.publishes = False
    stage.assert_in_step()


def test_syncs_of_a_lively_world_keep_every_row_as_it_is_now(open_stage):
    stage = open_stage(World(seed=3, rows=300), page_size=40)
    for minutes in (0, 20, 60 * 24 * 4):
        stage.clock.advance(minutes=minutes)
        stage.sync().assert_ok()
        stage.assert_in_step(again=False)
    assert stage.gone("machine_actions") == set()


def test_a_chunk_is_loaded_whole_in_however_many_pieces_dlt_gets_it(open_stage, monkeypatch):
    given: list[int] = []

    def noted(tables):
        for piece in taken(tables):
            given.append(piece.num_rows)
            yield piece

    taken = defender._taken
    monkeypatch.setattr(defender, "_taken", noted)
    monkeypatch.setattr(defender, "ROW_GROUP_SIZE", 7)
    stage = open_stage(World(seed=3, rows=300), page_size=40)
    for minutes in (0, 60 * 24 * 4):
        stage.clock.advance(minutes=minutes)
        stage.sync().assert_ok()
        stage.assert_in_step(again=False)
    assert max(given) == 7
    assert len(given) > 40


def test_a_second_sync_changes_only_the_rows_whose_status_moved(open_stage, world):
    for number in range(10):
        world.put_action(action(f"a{number}", ago(days=number + 1), status="Pending"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    read_first = {
        row["id"]: row["_"]
        for row in stage.warehouse().rows("select id, synced_at as _ from defender.machine_actions")
    }
    stage.clock.advance(minutes=10)
    world.change("a3", status="Succeeded", lastUpdateDateTimeUtc=iso(stage.clock()))
    done = stage.sync().assert_ok()
    assert (done.run().rows_new, done.run().rows_changed) == (0, 1)
    assert stage.loaded("machine_actions")["a3"]["status"] == "Succeeded"
    read_again = {
        row["id"]: row["_"]
        for row in stage.warehouse().rows("select id, synced_at as _ from defender.machine_actions")
    }
    assert all(read_again[id] > read_first[id] for id in read_first), "all open rows were read again"
    stage.assert_in_step()


def test_a_sync_with_nothing_new_makes_at_most_two_calls_a_resource_beside_refresh_and_scrub(open_stage):
    world = ScriptedWorld(
        [action(f"a{n}", ago(days=n)) for n in range(30)],
        [investigation(f"{n}", ago(days=n)) for n in range(30)],
    )
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=15)
    done = stage.sync().assert_ok()
    assert len(done.calls("machine_actions")) <= 2
    assert len(done.calls("investigations")) <= 2
    assert done.run().rows_changed == 0


def test_a_second_sync_of_a_lively_world_takes_a_handful_of_calls(open_stage):
    stage = open_stage(World(seed=5, rows=800))
    stage.sync().assert_ok()
    stage.clock.advance(minutes=15)
    done = stage.sync().assert_ok()
    assert len(done.calls("machine_actions")) <= 2 + 1 + 2
    assert len(done.calls("investigations")) <= 2 + 1 + 2
    stage.assert_in_step(again=False)


# --- first syncs ---------------------------------------------------------------------------------


def test_an_empty_first_sync_makes_every_table_with_all_its_columns(open_stage):
    stage = open_stage(fresh=True)
    stage.sync().assert_ok()

    def columns(table: str) -> set[str]:
        rows = stage.warehouse().rows(
            "select column_name from duckdb_columns() where schema_name = 'defender' and table_name = ?",
            table,
        )
        return {row["column_name"] for row in rows if not row["column_name"].startswith("_dlt")}

    api = {name: set(columns) | {"tenant", "additional_properties"} for name, columns in COLUMNS.items()}
    assert columns("machine_actions") == api["machine_actions"] | {"synced_at", "gone_at"}
    assert columns("investigations") == api["investigations"] | {"synced_at", "gone_at"}
    assert columns("machine_action_versions") == api["machine_actions"] | {"version", "observed_at"}
    assert columns("investigation_versions") == api["investigations"] | {"version", "observed_at"}
    assert columns("quarantine") == {
        "tenant",
        "resource",
        "record_hash",
        "reason",
        "record",
        "first_seen_at",
        "last_seen_at",
    }
    assert columns("watermarks") == {
        "tenant",
        "resource",
        "watermark",
        "largest_page",
        "scrubbed_until",
        "updated_at",
    }
    assert columns("sync_runs") == {
        "run_id", "tenant", "resource", "command", "status", "started_at", "finished_at", "window_start", "window_end",
        "calls", "retries", "waited_seconds", "rows_read", "rows_new", "rows_changed", "rows_quarantined",
        "checks_failed", "error",
    }  # fmt: skip


def test_every_time_of_the_state_tables_has_a_zone_and_every_json_is_json(open_stage):
    stage = open_stage(fresh=True)
    stage.sync().assert_ok()
    kinds = stage.warehouse().rows(
        "select column_name, data_type from duckdb_columns() where schema_name = 'defender' "
        "and table_name not like '\\_dlt%' escape '\\' and not starts_with(column_name, '_dlt')"
    )
    for row in kinds:
        if row["column_name"].endswith(("_at", "_utc", "_time", "_start", "_end", "_until", "watermark")):
            assert row["data_type"] == "TIMESTAMP WITH TIME ZONE", row
        if row["column_name"] in ("commands", "troubleshoot_info", "additional_properties", "record"):
            assert row["data_type"] == "JSON", row


def test_all_marts_answer_after_a_first_sync_that_found_nothing(open_stage):
    stage = open_stage(fresh=True)
    stage.sync().assert_ok()
    marts = [
        row["view_name"]
        for row in stage.warehouse().rows("select view_name from duckdb_views() where schema_name = 'marts'")
    ]
    assert {
        "machine_actions",
        "investigations",
        "machine_action_investigations",
        "machine_timeline",
        "sync_freshness",
    } <= set(marts)
    for mart in marts:
        rows = stage.warehouse().table(f"marts.{mart}")
        assert (rows == []) == (mart != "sync_freshness")


def test_an_empty_tenant_moves_its_watermark_to_the_runs_start(stage):
    stage.sync().assert_ok()
    assert stage.watermark("machine_actions") == stage.watermark("investigations") == NOW


def test_a_first_sync_reaches_back_as_far_as_it_is_told(open_stage):
    world = ScriptedWorld([action("old", ago(days=11)), action("young", ago(days=9))])
    stage = open_stage(world, initial_lookback_days=10)
    done = stage.sync().assert_ok()
    assert stage.loaded("machine_actions").keys() == {"young"}, "and no scrub reaches further"
    assert done.run().window_start == ago(days=10)


def test_only_the_resources_asked_for_are_read(open_stage):
    stage = open_stage(ScriptedWorld([action("a")], [investigation("1")]), resources=("investigations",))
    stage.clock.advance(minutes=1)
    done = stage.sync().assert_ok()
    assert done.calls("machine_actions") == []
    assert (len(stage.loaded("machine_actions")), len(stage.loaded("investigations"))) == (0, 1)


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_published_sample_loads_whole(open_stage, sample):
    body = json.loads(sample.read_text())
    records = body.get("value", [{name: value for name, value in body.items() if not name.startswith("@")}])
    resource = "investigations" if "investigations" in sample.stem else "machine_actions"
    stage = open_stage(
        start=datetime(2020, 1, 10, tzinfo=UTC)
        if resource == "investigations"
        else datetime(2019, 2, 1, tzinfo=UTC)
    )
    for record in records:
        stage.world.put({"machine_actions": "machineactions"}.get(resource, resource), record)
    stage.sync().assert_ok()
    assert len(stage.loaded(resource)) == len({record["id"] for record in records})
    assert stage.warehouse().table("quarantine") == []
    assert all(row["additional_properties"] is None for row in stage.loaded(resource).values())
    stage.assert_in_step()


@pytest.mark.parametrize("beside", [{}, {"newField": 1}], ids=["plain records", "an unknown field"])
def test_both_names_of_the_last_update_fill_one_column(stage, world, beside):
    world.put_action(action("beside", ago(hours=2), **beside))
    older = action("older", ago(hours=2))
    older["lastUpdateTimeUtc"] = older.pop("lastUpdateDateTimeUtc")
    both = action("both", ago(hours=2), lastUpdateTimeUtc=None)
    world.put_action(older)
    world.put_action(both)
    stage.sync().assert_ok()
    rows = stage.loaded("machine_actions")
    assert [rows[id]["last_update_date_time_utc"] for id in ("older", "both")] == [ago(hours=2)] * 2
    stage.assert_in_step()


def test_times_are_cut_to_the_microsecond_and_never_rounded_out_of_their_window(stage, world):
    moment = iso(ago(hours=3)).replace("Z", ".9999999Z")
    world.put_action(action("a", ago(hours=3), creationDateTimeUtc=moment, lastUpdateDateTimeUtc=moment))
    stage.sync().assert_ok()
    kept = stage.loaded("machine_actions")["a"]["creation_date_time_utc"]
    assert kept == ago(hours=3) + timedelta(microseconds=999_999)
    stage.assert_in_step()


def test_fields_that_the_schema_does_not_know_are_kept(stage, world):
    world.put_action(action("a", ago(hours=1), newField={"deep": [1, "two"]}, riskScore=7))
    world.put_action(
        action(
            "b", ago(hours=1), relatedFileInfo={"fileIdentifier": "f", "fileIdentifierType": "Sha1", "x": 1}
        )
    )
    world.put_investigation(investigation("1", ago(hours=1), severity="High"))
    stage.sync().assert_ok()
    actions = stage.loaded("machine_actions")
    assert actions["a"]["additional_properties"] == {"newField": {"deep": [1, "two"]}, "riskScore": 7}
    assert actions["b"]["additional_properties"] == {"relatedFileInfo": {"x": 1}}
    assert actions["b"]["related_file_info__file_identifier"] == "f"
    assert stage.loaded("investigations")["1"]["additional_properties"] == {"severity": "High"}
    assert stage.warehouse().table("quarantine") == []


def test_nested_objects_arrive_as_they_were(stage, world):
    command = {
        "index": 0,
        "commandStatus": "Completed",
        "errors": [],
        "command": {"type": "GetFile", "params": [{"key": "Path", "value": "C:\\a"}]},
    }
    world.put_action(
        action(
            "a",
            ago(hours=1),
            commands=[command],
            troubleshootInfo={"state": "Enabled", "expirationUtc": None},
            relatedFileInfo={"fileIdentifier": "abc", "fileIdentifierType": "Sha256"},
        )
    )
    stage.sync().assert_ok()
    row = stage.loaded("machine_actions")["a"]
    assert row["commands"] == [command]
    assert row["troubleshoot_info"] == {"state": "Enabled", "expirationUtc": None}
    assert (row["related_file_info__file_identifier"], row["related_file_info__file_identifier_type"]) == (
        "abc",
        "Sha256",
    )
    stage.assert_in_step()


# --- what moves ----------------------------------------------------------------------------------


def test_a_status_that_goes_and_comes_back_makes_three_versions(stage, world):
    world.put_action(action("a", ago(days=3), status="Pending"))
    for status in ("Pending", "InProgress", "Pending", "Pending"):
        world.change("a", status=status)
        stage.sync().assert_ok()
        stage.clock.advance(minutes=5)
    assert stage.versions(
        "machine_actions", "a", "version", "status", "date_trunc('second', observed_at)"
    ) == [
        (1, "Pending", NOW),
        (2, "InProgress", NOW + timedelta(minutes=5)),
        (3, "Pending", NOW + timedelta(minutes=10)),
    ]
    stage.assert_in_step()


def test_an_investigation_that_goes_on_for_a_week_is_followed_to_its_end(open_stage, world):
    world.put_investigation(investigation("1", ago(days=1), state="Running"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    for state in ("Running, PendingApproval", "SuccessfullyRemediated"):
        stage.clock.advance(days=3)
        world.change(
            "1", state=state, endTime=iso(stage.clock()) if state == "SuccessfullyRemediated" else None
        )
        stage.sync().assert_ok()
        stage.assert_in_step(again=False)
    assert stage.versions("investigations", "1", "state") == [
        ("Running",),
        ("Running, PendingApproval",),
        ("SuccessfullyRemediated",),
    ]


def test_an_unknown_status_counts_as_open_and_is_read_again(open_stage, world):
    world.put_action(action("a", ago(days=3), status="Quantum"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    world.change("a", status="Succeeded")
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    assert stage.loaded("machine_actions")["a"]["status"] == "Succeeded"


def test_an_open_row_that_is_no_longer_there_is_gone_and_asked_for_no_more(open_stage, world):
    world.put_action(action("a", ago(days=3), status="Pending"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    world.remove("a")
    gone_at = stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    [row] = stage.warehouse().table("machine_actions")
    assert row["status"] == "Pending"
    assert NOW <= row["synced_at"] < NOW + TICKS
    assert gone_at <= row["gone_at"] < gone_at + TICKS
    stage.clock.advance(minutes=5)
    done = stage.sync().assert_ok()
    assert not any("id eq" in call.params["$filter"] for call in done.calls())
    assert stage.versions("machine_actions", "a", "status") == [("Pending",)]


def test_an_open_row_that_a_short_answer_leaves_out_is_not_gone(open_stage, world):
    for number in range(15):
        world.put_action(action(f"a{number}", ago(days=3, minutes=number), status="Pending"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    for number in range(15):
        world.change(f"a{number}", status="Succeeded", lastUpdateDateTimeUtc=iso(NOW))
    world.remove("a3")
    stage.clock.advance(minutes=5)
    rule = stage.sim.faults.add(PageCap(7), when=lambda call: "id eq" in call.params["$filter"], times=None)
    stage.sync().assert_ok()
    assert rule.fired > 15 / 7
    assert stage.gone("machine_actions") == {"a3"}
    stage.assert_in_step()


def test_open_rows_that_one_empty_answer_leaves_out_are_not_gone(open_stage, world):
    for number in range(3):
        world.put_action(action(f"a{number}", ago(days=3, minutes=number), status="Pending"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=5)
    rule = stage.sim.faults.add(PageCap(0), when=lambda call: "id eq" in call.params["$filter"])
    stage.sync().assert_ok()
    assert rule.fired == 1
    assert stage.gone("machine_actions") == set()


def test_open_rows_that_cannot_be_proven_whole_are_told_and_not_gone(open_stage, world):
    for number in range(110):
        world.put_action(action(f"a{number}", ago(days=3), status="Pending"))
    stage = open_stage(world, page_size=30, scrub_calls=0)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=5)
    rule = stage.sim.faults.add(IgnoreSkip(), times=None)
    done = stage.sync()
    assert rule.fired
    assert not any("id eq" in call.params["$filter"] for call in done.calls()), "read by their window"
    assert isinstance(done.error(), PartialError)
    assert done.exit_code == 5
    assert stage.gone("machine_actions") == set()


def test_a_gone_row_that_turns_up_again_is_gone_no_more(stage, world):
    world.put_action(action("a", ago(days=3), status="Pending"))
    stage.sync().assert_ok()
    world.remove("a")
    stage.sync().assert_ok()
    assert stage.gone("machine_actions") == {"a"}
    world.put_action(action("a", ago(days=3), status="Pending"))
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    assert stage.gone("machine_actions") == set()
    assert stage.versions("machine_actions", "a", "version", "status") == [(1, "Pending")]
    stage.assert_in_step()


def test_a_finished_row_that_ages_out_stays_as_it_was(open_stage, world):
    world = ScriptedWorld([action("a", ago(days=179, hours=12))], keep_days=180)
    stage = open_stage(world)
    stage.sync().assert_ok()
    stage.clock.advance(days=1)
    assert stage.truth("machine_actions") == {}
    stage.sync().assert_ok()
    assert stage.loaded("machine_actions").keys() == {"a"}
    assert stage.gone("machine_actions") == set()


def test_an_investigation_without_a_start_is_read_and_followed(open_stage, world):
    world.put_investigation(investigation("1", None, state="Queued", machineId=None))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    assert stage.loaded("investigations")["1"]["start_time"] is None
    stage.clock.advance(hours=5)
    world.change("1", startTime=iso(stage.clock() - timedelta(hours=4)), state="Running", machineId="m")
    stage.sync().assert_ok()
    assert stage.versions("investigations", "1", "state", "start_time") == [
        ("Queued", None),
        ("Running", NOW + timedelta(hours=1)),
    ]
    stage.assert_in_step()


@pytest.mark.parametrize("is_one_new", [False, True])
def test_rows_that_are_as_they_were_tell_when_they_were_read_last(open_stage, world, is_one_new):
    for number in range(3):
        world.put_investigation(investigation(f"{number}", ago(minutes=number + 1), state="Running"))
        world.put_investigation(investigation(f"1{number}", None, state="Queued"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=15)
    if is_one_new:
        world.put_investigation(investigation("20", ago(minutes=2), state="Running"))
        world.put_investigation(investigation("21", None, state="Queued"))
    done = stage.sync().assert_ok()
    assert done.run("investigations").rows_new == (2 if is_one_new else 0)
    read_at = stage.warehouse().rows("select id, synced_at from defender.investigations order by all")
    assert [row["id"] for row in read_at if row["synced_at"] < stage.clock() - timedelta(minutes=1)] == []
    stage.assert_in_step()


def test_a_start_that_the_api_corrects_changes_its_row_among_others_that_are_as_they_were(open_stage, world):
    for number in range(3):
        world.put_investigation(investigation(f"{number}", ago(days=number + 1), state="Running"))
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    stage.clock.advance(minutes=15)
    world.change("1", startTime=iso(ago(days=2, seconds=1)))
    run = stage.sync().assert_ok().run("investigations")
    assert (run.rows_read, run.rows_new, run.rows_changed) == (3, 0, 1)
    stage.assert_in_step()


def test_a_row_that_appears_late_within_the_lookback_is_loaded(open_stage, world):
    stage = open_stage(world, scrub_calls=0)
    stage.sync().assert_ok()
    world.put_action(action("late", NOW - timedelta(minutes=50)))
    world.put_investigation(investigation("1", NOW - timedelta(minutes=50)))
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    assert (stage.loaded("machine_actions").keys(), stage.loaded("investigations").keys()) == (
        {"late"},
        {"1"},
    )
    stage.assert_in_step()


def test_a_row_that_appears_months_late_is_found_by_the_scrub(stage, world):
    stage.sync().assert_ok()
    world.put_action(action("late", ago(days=100)))
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    assert stage.loaded("machine_actions").keys() == {"late"}
    stage.assert_in_step()


def test_a_finished_row_that_changes_silently_is_healed_by_the_scrub_in_its_turn(open_stage):
    world = ScriptedWorld([action(f"a{n:03}", ago(days=n, hours=2)) for n in range(170)])
    stage = open_stage(world, page_size=40, scrub_calls=2)
    stage.sync().assert_ok()
    for number in range(170):
        world.change(f"a{number:03}", requestorComment="mended by hand")
    rounds = 0
    while any(
        row["requestor_comment"] != "mended by hand" for row in stage.loaded("machine_actions").values()
    ):
        stage.clock.advance(minutes=1)
        calls = stage.sync().assert_ok().calls()
        rounds += 1
        assert len(calls) <= 2 + 2
        assert rounds <= 4
    assert rounds >= 2
    stage.assert_in_step()


def test_a_record_with_a_bad_value_is_kept_and_stands_in_quarantine_once(stage, world):
    bad = action("bad", ago(hours=3), errorHResult="not a number")
    world.put_action(bad)
    world.put_action(action("good", ago(hours=3)))
    done = stage.sync().assert_ok()
    assert done.run().rows_quarantined == 1
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    [row] = stage.warehouse().table("quarantine")
    assert (row["tenant"], row["resource"], row["record"]) == ("contoso", "machine_actions", bad)
    assert "errorHResult" in row["reason"]
    assert NOW <= row["first_seen_at"] < NOW + TICKS
    assert NOW + timedelta(minutes=5) <= row["last_seen_at"] < NOW + timedelta(minutes=5) + TICKS
    assert stage.loaded("machine_actions")["bad"]["error_h_result"] is None
    assert stage.loaded("machine_actions")["bad"]["requestor_comment"] == "comment of bad"
    world.change("bad", errorHResult=[1])
    stage.sync().assert_ok()
    assert len(stage.warehouse().table("quarantine")) == 2


def test_only_a_bad_id_or_creation_time_keeps_a_record_out_of_its_table(stage, world):
    moment = ago(hours=3)
    world.put_action(action("no time", moment, creationDateTimeUtc="yesterday"), filed_at=moment)
    world.put("machineactions", {**action("x", moment), "id": None}, filed_at=moment)
    world.put("machineactions", {**action("x", moment), "id": 7}, filed_at=moment)
    world.put_action(action("kept", moment, lastUpdateDateTimeUtc="soon", status=5, commands="text"))
    stage.sync().assert_ok()
    assert stage.loaded("machine_actions").keys() == {"kept"}
    assert len(stage.warehouse().table("quarantine")) == 4
    [kept] = stage.loaded("machine_actions").values()
    assert (kept["status"], kept["last_update_date_time_utc"]) == (None, None)


def test_the_run_log_tells_what_each_run_did(stage, world):
    world.put_action(action("a", ago(days=1), status="Pending"))
    stage.sync().assert_ok()
    world.change("a", status="Failed")
    stage.clock.advance(minutes=5)
    done = stage.sync().assert_ok()
    rows = stage.warehouse().rows(
        "from defender.sync_runs where resource = 'machine_actions' order by started_at"
    )
    assert [(row["command"], row["status"], row["rows_new"], row["rows_changed"]) for row in rows] == [
        ("sync", "succeeded", 1, 0),
        ("sync", "succeeded", 0, 1),
    ]
    last = rows[1]
    assert (last["started_at"], last["finished_at"]) == (NOW + timedelta(minutes=5),) * 2
    assert (last["window_start"], last["window_end"]) == (
        NOW - timedelta(minutes=60),
        NOW + timedelta(minutes=5),
    )
    assert (last["calls"], last["retries"], last["error"]) == (len(done.calls()), 0, None)


def test_rows_of_the_run_log_older_than_its_days_are_dropped_but_for_the_first(open_stage):
    stage = open_stage(run_log_days=10)
    for _ in range(4):
        stage.sync().assert_ok()
        stage.clock.advance(days=6)
    kept = stage.warehouse().rows("select distinct started_at from defender.sync_runs order by all")
    assert [row["started_at"] for row in kept] == [NOW, NOW + timedelta(days=12), NOW + timedelta(days=18)]


def known_since(stage):
    return stage.published().one("select max(known_since) from marts.sync_freshness")


@pytest.mark.parametrize("days", [30, 180])
def test_a_trimmed_run_log_tells_since_when_we_see_as_before(open_stage, days):
    stage = open_stage(run_log_days=10, initial_lookback_days=days, publishes=True)
    stage.sim.faults.add(Status(401), on="token", times=None)
    stage.sync()
    stage.sim.faults.clear()
    stage.clock.advance(hours=1)
    begun = stage.clock()
    for _ in range(3):
        stage.sync().assert_ok()
        stage.clock.advance(days=11)
        assert known_since(stage) == begun - timedelta(days=days)


@pytest.mark.parametrize("days", [30, 180])
def test_after_a_pause_longer_than_the_api_keeps_rows_we_see_since_its_oldest(open_stage, days):
    stage = open_stage(run_log_days=10, initial_lookback_days=days, publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(days=180, minutes=1)
    resumed = stage.clock()
    for _ in range(3):
        stage.sync().assert_ok()
        stage.clock.advance(days=11)
        assert known_since(stage) == resumed - timedelta(days=180)


def test_a_gap_is_remembered_where_the_sync_that_found_it_failed(open_stage):
    stage = open_stage(publishes=True)
    stage.sync().assert_ok()
    stage.clock.advance(days=200)
    resumed = stage.clock()
    stage.sim.faults.add(Status(500), on="machineactions", nth=2, times=None)
    assert stage.sync().run().status == "failed"
    assert stage.watermark() > NOW, "empty windows move it"
    stage.sim.faults.clear()
    stage.clock.advance(hours=1)
    stage.sync().assert_ok()
    assert known_since(stage) == resumed - timedelta(days=180)


@pytest.mark.parametrize(("pause", "lookback"), [({"days": 180, "minutes": -1}, 60), ({"days": 91}, 129_600)])
def test_after_a_pause_without_a_gap_we_see_as_far_back_as_before(open_stage, pause, lookback):
    stage = open_stage(lookback_minutes=lookback, publishes=True)
    stage.sync().assert_ok()
    for _ in range(2):
        stage.clock.advance(**pause)
        stage.sync().assert_ok()
        assert known_since(stage) == NOW - timedelta(days=180)
