"""Machines, live response, activity by hour and by requestor, freshness, the checks."""

from collections.abc import Callable

import pytest
from worlds import World, sql_files

SCRIPT = {
    "index": 0,
    "startTime": "2026-03-01T10:00:00.1234567Z",
    "endTime": "2026-03-01T10:00:30.1234567Z",
    "commandStatus": "Completed",
    "errors": [],
    "command": {
        "type": "RunScript",
        "params": [{"key": "ScriptName", "value": "a.ps1"}, {"key": "Args", "value": "-x"}],
    },
}
FETCH = {
    "startTime": "2026-03-01T10:01:00",
    "endTime": "soon",
    "commandStatus": "Failed",
    "errors": ["no file", "no disk"],
    "command": {"type": "GetFile", "params": [{"key": "Path", "value": "C:\\x"}]},
}


def test_a_whole_machine(world: World) -> None:
    world.run("03-31 00:00")
    world.action("a1", at="03-01 10:00", computer_dns_name="old.contoso.com")
    world.action("a2", "RunAntiVirusScan", "Failed", at="03-02 10:00", computer_dns_name="Web1.contoso.com")
    world.action("a3", "Unisolate", "Pending", at="03-03 10:00")
    world.action("a4", at="03-03 10:00", machine_id="m2", computer_dns_name="WEB1.contoso.com")
    world.action(
        "a5", at="03-03 10:00", machine_id="m3", computer_dns_name="web1.contoso.com", tenant="fabrikam"
    )
    world.investigation("7", "Running", start="03-04 10:00", computer_dns_name="web1.contoso.com")
    world.investigation("8", "Benign", start="02-04 10:00")
    assert world.rows("marts.machines", where="machine_id = 'm1'") == [
        {
            "tenant": "contoso",
            "machine_id": "m1",
            "machine_name": "web1.contoso.com",
            "names": "old.contoso.com, web1.contoso.com",
            "name_count": 2,
            "first_seen_at": "02-04 10:00",
            "last_seen_at": "03-04 10:00",
            "action_count": 3,
            "open_action_count": 1,
            "failed_action_count": 1,
            "investigation_count": 2,
            "open_investigation_count": 1,
            "last_action_id": "a3",
            "last_action_type": "Unisolate",
            "last_action_status": "Pending",
            "last_action_at": "03-03 10:00",
            "other_machine_count": 1,
            "other_machine_ids": "m2",
            "portal_url": "https://security.microsoft.com/machines/m1",
            "as_of": "03-31 00:00",
        }
    ]


def test_a_machine_known_by_investigations_or_without_a_name_only(world: World) -> None:
    world.investigation("7", "Running", start="03-04 10:00", machine_id="m1")
    world.action("a1", at="03-04 10:00", machine_id="m2")
    columns = ("machine_id", "machine_name", "action_count", "investigation_count", "first_seen_at")
    assert world.rows("marts.machines", *columns) == [
        ("m1", None, 0, 1, "03-04 10:00"),
        ("m2", None, 1, 0, "03-04 10:00"),
    ]


def test_a_name_that_many_machines_bear_lists_some_and_counts_all(world: World) -> None:
    world.connection.execute(
        "insert into defender.machine_actions (tenant, id, type, status, machine_id, computer_dns_name)"
        " select 'contoso', 'a' || i, 'Isolate', 'Failed', 'm' || (10000 + i), 'localhost' from range(5000) as r(i)"
    )
    shown = world.rows(
        "marts.machines", "max(other_machine_count)", "max(length(other_machine_ids))", "count(*)"
    )
    assert shown == [(4999, 21 * 8 - 2, 5000)]


@pytest.mark.parametrize("count", [1, 2, 3, 20, 21, 22, 25])
def test_the_other_ids_are_those_of_the_name_whatever_they_look_like(world: World, count: int) -> None:
    odd = ["b", "a, c", ", ", "é", "😀😀", "a", "a, ", "", " ", "c, b", "a,", "m" * 40]
    ids = [odd[each] if each < len(odd) else f"m{each:0{each}}" for each in range(count)]
    for number, machine_id in enumerate(ids):
        world.action(
            f"a{number}", at="03-01 10:00", machine_id=machine_id, computer_dns_name="image.contoso.com"
        )
    listed = sorted(ids)[:21]
    assert sorted(world.rows("marts.machines", "machine_id", "other_machine_count", "other_machine_ids")) == [
        (own, count - 1, ", ".join(each for each in listed if each != own) if count > 1 else None)
        for own in sorted(ids)
    ]


def test_the_commands_of_a_live_response(world: World) -> None:
    world.run("03-31 00:00")
    broken = [5, None, {"command": "x", "errors": "odd"}]
    world.action(
        "l1",
        "LiveResponse",
        at="03-01 09:59",
        ended="03-01 10:02",
        requestor="ada@contoso.com",
        requestor_comment="triage",
        computer_dns_name="web1",
        commands=[SCRIPT, FETCH, *broken],
    )
    world.action("l2", "LiveResponse", at="03-01 09:59", commands={"not": "a list"})
    world.action("l3", "LiveResponse", at="03-01 09:59", commands=[])
    world.action("l4", "LiveResponse", at="03-01 09:59")
    first, second, *others = world.rows("marts.live_response_commands")
    assert first == {
        "tenant": "contoso",
        "machine_action_id": "l1",
        "command_index": 0,
        "command_type": "RunScript",
        "command_status": "Completed",
        "script_name": "a.ps1",
        "path": None,
        "arguments": "-x",
        "errors": None,
        "error_count": 0,
        "started_at": "03-01 10:00:00.123456",
        "ended_at": "03-01 10:00:30.123456",
        "duration_seconds": 30.0,
        "parameters": '[{"key":"ScriptName","value":"a.ps1"},{"key":"Args","value":"-x"}]',
        "action_status": "Succeeded",
        "action_outcome": "succeeded",
        "requested_at": "03-01 09:59",
        "requested_by": "ada@contoso.com",
        "requested_by_kind": "person",
        "comment": "triage",
        "machine_id": "m1",
        "machine_name": "web1",
        "portal_url": "https://security.microsoft.com/machines/m1",
        "as_of": "03-31 00:00",
    }
    asked = ("command_type", "path", "errors", "error_count", "started_at", "ended_at")
    assert tuple(second[name] for name in asked) == (
        "GetFile",
        "C:\\x",
        "no file; no disk",
        2,
        "03-01 10:01",
        None,
    )
    assert [(row["command_index"], row["command_type"], row["errors"]) for row in others] == [
        (2, None, None),
        (3, None, None),
        (4, None, "odd"),
    ]


def test_activity_by_utc_hour_type_and_outcome(world: World) -> None:
    world.action("a1", at="03-01 10:00", requestor="ada@contoso.com")
    world.action("a2", at="03-01 10:59:59", requestor="soar")
    world.action("a3", at="03-01 11:00", request_source="CustomDetection")
    world.action("a4", at="03-01 10:30", status="Pending")
    world.action("a5", at="03-01 10:30", status="Pending", gone_at="03-02 00:00")
    rows = world.rows("marts.response_activity")
    assert rows[0] == {
        "tenant": "contoso",
        "hour_utc": "03-01 10:00",
        "action_type": "Isolate",
        "outcome": "pending",
        "action_count": 1,
        "open_count": 1,
        "person_count": 0,
        "application_count": 0,
        "automation_count": 0,
    }
    assert [tuple(row.values())[1:] for row in rows[1:]] == [
        ("03-01 10:00", "Isolate", "succeeded", 2, 0, 1, 1, 0),
        ("03-01 10:00", "Isolate", "unknown", 1, 0, 0, 0, 0),
        ("03-01 11:00", "Isolate", "succeeded", 1, 0, 0, 0, 1),
    ]


def test_activity_by_requestor_and_utc_week(world: World) -> None:
    ada = {"requestor": "Ada@contoso.com"}
    world.action("a1", at="03-01 23:59", **ada)
    world.action("a2", at="03-02 00:00", **ada)
    world.action("a3", at="03-08 23:59", status="Failed", machine_id="m2", requestor="ada@CONTOSO.com")
    world.action("a4", at="03-03 00:00", status="Cancelled", **ada)
    world.action("a5", at="03-03 00:00", status="Pending", request_source="CustomDetection", **ada)
    world.action("a6", at="03-03 00:00", status="TimeOut", **ada)
    world.action("a7", at="03-03 00:00", status="Cancelled", requestor="soar")
    whole, former = world.rows("marts.requestor_activity", where="requested_by = 'ada@contoso.com'")
    assert whole == {
        "tenant": "contoso",
        "requested_by": "ada@contoso.com",
        "requested_by_kind": "mixed",
        "week_utc": "03-02 00:00",
        "action_count": 5,
        "succeeded_count": 1,
        "failed_count": 1,
        "timed_out_count": 1,
        "cancelled_count": 1,
        "pending_count": 1,
        "unknown_count": 0,
        "automation_count": 1,
        "succeeded_share": pytest.approx(1 / 3),
        "machine_count": 2,
        "first_action_at": "03-02 00:00",
        "last_action_at": "03-08 23:59",
    }
    assert (former["week_utc"], former["succeeded_share"]) == ("02-23 00:00", 1.0)
    columns = ("requested_by_kind", "succeeded_share")
    assert world.rows("marts.requestor_activity", *columns, where="requested_by = 'soar'") == [
        ("application", None)
    ]


def test_a_list_that_is_not_offered_any_more_fails_no_more(world: World) -> None:
    world.run("03-30 00:00", status="failed")
    columns = ("last_success_at", "failing_since")
    assert world.rows("marts.sync_freshness", *columns) == [(None, "03-30 00:00")]
    world.run("03-31 00:00", status="unavailable")
    assert world.rows("marts.sync_freshness", *columns) == [(None, None)]
    world.run("03-31 01:00", status="partial")
    assert world.rows("marts.sync_freshness", *columns) == [(None, "03-31 01:00")]


def test_freshness(world: World) -> None:
    world.run("03-30 00:00", window_start="01-01 00:00")
    world.run(
        "03-31 00:00", status="partial", window_start="03-29 00:00", checks_failed=2, error="one window"
    )
    world.run(None, started="03-31 01:00", status="stopped", run_id="killed", window_start="03-29 00:00")
    world.insert("watermarks", tenant="contoso", resource="machine_actions", watermark="03-30 23:00")
    world.insert("quarantine", tenant="contoso", resource="machine_actions", record_hash="h1")
    world.action("a1", status="Pending", at="02-01 00:00")
    world.action("a2", status="Pending", at="01-01 00:00", gone_at="03-30 00:00")
    world.run("03-31 00:30", status="unavailable", resource="investigations")
    world.insert("watermarks", tenant="fabrikam", resource="investigations", watermark="03-30 23:00")
    actions, *others = world.rows("marts.sync_freshness", where="true order by resource desc, tenant --")
    assert actions == {
        "tenant": "contoso",
        "resource": "machine_actions",
        "last_success_at": "03-30 00:00",
        "failing_since": "03-31 00:00",
        "watermark": "03-30 23:00",
        "lag_seconds": 5400.0,
        "known_since": "01-01 00:00",
        "row_count": 2,
        "open_count": 1,
        "gone_count": 1,
        "quarantined_count": 1,
        "checks_failed": 0,
        "oldest_at": "01-01 00:00",
        "newest_at": "02-01 00:00",
        "last_run_id": "killed",
        "last_run_command": "sync",
        "last_run_status": "stopped",
        "last_run_started_at": "03-31 01:00",
        "last_run_finished_at": None,
        "last_run_error": None,
        "as_of": "03-31 00:30",
    }
    asked = ("tenant", "resource", "last_success_at", "row_count", "last_run_status", "as_of")
    assert [tuple(row[name] for name in asked) for row in others] == [
        ("contoso", "investigations", None, 0, "unavailable", "03-31 00:30"),
        ("fabrikam", "investigations", None, 0, None, None),
    ]


def test_a_backfill_makes_nothing_fresher(world: World) -> None:
    world.run("03-30 00:00")
    world.run("03-31 00:00", command="backfill")
    assert world.rows("marts.sync_freshness", "last_success_at", "as_of") == [("03-30 00:00", "03-30 00:00")]


def run_checks(world: World) -> dict[str, list[dict[str, object]]]:
    found = {path.stem: world.query(path.read_text()) for path in sql_files("checks")}
    return {check: rows for check, rows in found.items() if rows}


def test_the_checks_pass_on_a_sound_warehouse_and_on_an_empty_one(world: World) -> None:
    assert run_checks(world) == {}
    world.run("03-31 00:00")
    world.insert("watermarks", tenant="contoso", resource="machine_actions", watermark="03-30 23:00")
    world.action("a1", at="03-01 10:00", ended="03-01 10:05", seen=[("Pending", "03-01 10:00")])
    world.investigation("7", "Running, PendingApproval", start="03-01 10:00")
    assert run_checks(world) == {}


BREAKS: dict[str, Callable[[World], None]] = {
    "machine_actions_keys": lambda world: world.action("a1", at="03-01 10:00", creation_date_time_utc=None),
    "investigations_keys": lambda world: world.investigation(None, start="03-01 10:00"),
    "machine_actions_known_statuses": lambda world: world.action("a1", status="Paused", at="03-01 10:00"),
    "machine_actions_known_types": lambda world: world.action("a1", "Reboot", at="03-01 10:00"),
    "investigations_known_states": lambda world: world.investigation("7", "Benign, Odd", start="03-01 10:00"),
    "machine_actions_times_in_order": lambda world: world.action("a1", at="03-01 10:00", ended="03-01 09:00"),
    "investigations_times_in_order": lambda world: world.investigation(
        "7", start="03-01 10:00", end="03-01 09:00"
    ),
    "machine_action_versions_references": lambda world: world.insert(
        "machine_action_versions", tenant="contoso", id="lost", version=1, status="Pending"
    ),
    "investigation_versions_references": lambda world: world.insert(
        "investigation_versions", tenant="contoso", id="lost", version=1, state="Running"
    ),
    "machine_action_versions_latest": lambda world: [
        world.action("a1", status="Pending", at="03-01 10:00"),
        world.connection.execute("update defender.machine_actions set status = 'Failed'"),
    ],
    "investigation_versions_latest": lambda world: [
        world.investigation("7", "Running", start="03-01 10:00"),
        world.connection.execute("update defender.investigations set state = 'Benign'"),
    ],
    "watermarks_in_order": lambda world: world.insert(
        "watermarks",
        tenant="contoso",
        resource="machine_actions",
        watermark="03-30 00:01",
        updated_at="03-30 00:00",
    ),
    "freshness": lambda world: [
        world.run("03-30 00:00"),
        world.run("03-31 00:01", run_id="last", status="failed"),
        world.run("03-31 00:01", run_id="last", resource="investigations"),
    ],
}


def test_each_check_has_a_world_that_breaks_it() -> None:
    assert set(BREAKS) == {path.stem for path in sql_files("checks")}


@pytest.mark.parametrize("check", BREAKS)
def test_a_check_names_what_breaks_it_and_no_other_check_fails(world: World, check: str) -> None:
    BREAKS[check](world)
    found = run_checks(world)
    follows = {"investigation_versions_references", "investigation_versions_latest"}
    assert set(found) - (follows if check == "investigations_keys" else set()) == {check}
    assert found[check][0]["tenant"] == "contoso"


def test_a_reconcile_makes_nothing_fresher(world: World) -> None:
    BREAKS["freshness"](world)
    world.run("03-31 00:02", command="reconcile")
    assert run_checks(world)["freshness"][0]["resource"] == "machine_actions"


def test_a_list_that_is_not_offered_need_not_be_fresh(world: World) -> None:
    world.run("03-29 00:00", resource="investigations")
    world.run("03-31 00:00", run_id="last")
    world.run("03-31 00:00", run_id="last", resource="investigations", status="unavailable")
    assert run_checks(world) == {}


def test_what_is_not_synced_any_more_need_not_be_fresh(world: World) -> None:
    world.run("03-29 00:00", resource="investigations")
    world.run("03-31 00:00")
    world.run("03-31 00:01", command="backfill", resource="investigations")
    assert run_checks(world) == {}


@pytest.mark.parametrize("resource", ["machine_actions", "investigations"])
def test_a_row_that_stands_twice_is_found(world: World, resource: str) -> None:
    world.action("1", at="03-01 10:00")
    world.investigation("1", start="03-01 10:00")
    world.connection.execute(f"insert into defender.{resource} from defender.{resource}")
    assert [row["row_count"] for row in run_checks(world)[f"{resource}_keys"]] == [2]


def test_a_version_that_is_missing_or_stands_twice_is_found(world: World) -> None:
    world.action("gap", at="03-01 10:00", seen=[("Pending", "03-01 10:00"), ("InProgress", "03-01 10:00")])
    world.connection.execute("delete from defender.machine_action_versions where version = 2")
    world.action("twice", at="03-01 10:00")
    world.connection.execute(
        "insert into defender.machine_action_versions from defender.machine_action_versions where id = 'twice'"
    )
    rows = run_checks(world)["machine_action_versions_references"]
    assert sorted((row["id"], row["version_count"], row["last_version"]) for row in rows) == [
        ("gap", 2, 3),
        ("twice", 2, 1),
    ]


def test_a_new_value_is_a_warning_that_names_it(world: World) -> None:
    world.action("a1", "Reboot", "Paused", at="03-01 10:00")
    world.investigation("7", "Benign, Odd", start="03-01 10:00")
    assert {check: rows[0]["new_value"] for check, rows in run_checks(world).items()} == {
        "machine_actions_known_statuses": "Paused",
        "machine_actions_known_types": "Reboot",
        "investigations_known_states": "Odd",
    }
    for path in sql_files("checks"):
        assert ("-- Severity: warning\n" in path.read_text()) >= ("known" in path.stem)
