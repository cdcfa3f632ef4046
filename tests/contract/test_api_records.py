"""Single records and what records look like (facts: "Endpoints in scope", "Values")."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta

import pytest

from simulator import ScriptedWorld, World
from simulator.times import parse


def words(text: str) -> set[str]:
    return set(text.split())


ACTION_PROPERTIES = words(
    "id type title requestor requestorComment status machineId computerDnsName relatedFileInfo "
    "creationDateTimeUtc lastUpdateDateTimeUtc cancellationRequestor cancellationComment "
    "cancellationDateTimeUtc errorHResult scope commands troubleshootInfo externalId requestSource"
)
INVESTIGATION_PROPERTIES = words(
    "id startTime endTime state cancelledBy statusDetails machineId computerDnsName triggeringAlertId"
)
TYPES = words(
    "RunAntiVirusScan Offboard LiveResponse CollectInvestigationPackage Isolate Unisolate StopAndQuarantineFile "
    "RestrictCodeExecution UnrestrictCodeExecution Unknown RequestSample Block RegenerateId Troubleshoot "
    "LogsCollection TokenRefresh EndpointConfigManagementCheckin EnableActiveDirectoryUser "
    "DisableActiveDirectoryUser ResetPasswordActiveDirectoryUser "
    "ImmuneActiveDirectoryCustomPlaybook"
)
SOURCES = words(
    "Unspecified PublicApi Portal MCAS TVM CustomDetection BulkAction ISG NDR EndpointConfigManagement "
    "IncidentTasks MDI ActiveScan"
)
STATES = words(
    "Unknown Terminated SuccessfullyRemediated Benign Failed PartiallyRemediated Running PendingApproval "
    "PendingResource PartiallyInvestigated TerminatedByUser TerminatedBySystem Queued InnerFailure "
    "PreexistingAlert UnsupportedOs UnsupportedAlertType SuppressedAlert Disabled"
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,6}[1-9])?Z")
NOW = datetime.fromisoformat("2026-11-20T12:00:00+00:00")


@pytest.fixture(scope="module")
def world():
    return World(seed=5, rows=5_000)


@pytest.fixture(scope="module")
def actions(world):
    return world.machine_actions(NOW)


@pytest.fixture(scope="module")
def investigations(world):
    return world.investigations(NOW)


def times_of(record):
    names = [name for name in record if name.endswith("Utc") or name.endswith("Time")]
    return [record[name] for name in names if record[name] is not None]


def test_an_action_is_found_by_its_id_and_an_unknown_one_is_a_404(serve, action):
    caller = serve(ScriptedWorld([action("a1")]))
    found = caller.get("/api/machineactions/a1").json()
    assert found.pop("@odata.context").endswith("#MachineActions/$entity")
    assert found == action("a1")
    missing = caller.get("/api/machineactions/a2")
    assert missing.status_code == 404
    assert set(missing.json()["error"]) == {"code", "message", "target"}


def test_an_investigation_is_found_by_its_id_or_by_its_alert(serve):
    record = {"id": "63017", "startTime": None, "state": "Queued", "triggeringAlertId": "da1_-5"}
    caller = serve(ScriptedWorld(investigations=[record]))
    by_id = caller.get("/api/investigations/63017")
    assert by_id.json()["triggeringAlertId"] == "da1_-5"
    assert caller.get("/api/investigations/da1_-5").json() == by_id.json()
    assert caller.get("/api/investigations/da1_-6").status_code == 404


def test_a_new_action_is_not_found_by_id_for_up_to_two_minutes_but_is_listed(serve, action):
    caller = serve(ScriptedWorld(action(f"a{n}") for n in range(20)), lookup_lag_seconds=120)

    def statuses():
        return Counter(caller.get(f"/api/machineactions/a{n}").status_code for n in range(20))

    assert statuses()[404] > 10
    assert len(caller.actions()) == 20
    caller.clock.advance(seconds=120)
    assert statuses() == {200: 20}


def test_records_have_the_documented_properties_and_no_others(actions, investigations):
    assert all(set(record) == ACTION_PROPERTIES for record in actions)
    assert all(set(record) == INVESTIGATION_PROPERTIES for record in investigations)


def test_never_null_properties_are_never_null(actions, investigations):
    for name in (
        "id",
        "type",
        "status",
        "creationDateTimeUtc",
        "lastUpdateDateTimeUtc",
        "errorHResult",
        "requestSource",
    ):
        assert all(record[name] is not None for record in actions), name
    assert all(record["id"] and record["state"] for record in investigations)


def test_ids_are_unique(actions, investigations):
    assert len({record["id"] for record in actions}) == len(actions)
    assert len({record["id"] for record in investigations}) == len(investigations)


def test_values_come_from_the_documented_enumerations(actions, investigations):
    assert {record["type"] for record in actions} <= TYPES
    assert {record["requestSource"] for record in actions} <= SOURCES
    assert {record["status"] for record in actions} == {
        "Pending", "InProgress", "Succeeded", "Failed", "TimeOut", "Cancelled",
    }  # fmt: skip
    assert {r["scope"] for r in actions if r["type"] == "Isolate"} == {"Full", "Selective", "UnManagedDevice"}
    assert {r["scope"] for r in actions if r["type"] == "RunAntiVirusScan"} == {"Full", "Quick"}
    assert {state for record in investigations for state in record["state"].split(", ")} <= STATES


def test_every_kind_of_story_is_told(actions, investigations):
    kinds = {record["type"] for record in actions}
    assert kinds >= {
        "Isolate",
        "Unisolate",
        "Offboard",
        "LiveResponse",
        "StopAndQuarantineFile",
        "TokenRefresh",
    }
    assert kinds >= {
        "RestrictCodeExecution",
        "UnrestrictCodeExecution",
        "CollectInvestigationPackage",
        "Troubleshoot",
    }
    endings = {(record["type"], record["status"]) for record in actions}
    assert endings >= {("Unisolate", "Failed"), ("Isolate", "TimeOut"), ("Isolate", "Cancelled")}
    assert {record["state"] for record in investigations} >= {
        "SuccessfullyRemediated",
        "Benign",
        "PendingApproval",
    }


def test_times_are_dotnet_text_with_trailing_zeros_cut(actions, investigations):
    texts = [text for record in actions + investigations for text in times_of(record)]
    assert all(TIME.fullmatch(text) for text in texts)
    digits = Counter(len(text) for text in texts)
    assert digits[len("2026-11-20T12:00:00.1234567Z")] > digits[len("2026-11-20T12:00:00.123456Z")] > 0


def test_several_records_share_a_timestamp(actions):
    assert max(Counter(record["creationDateTimeUtc"] for record in actions).values()) >= 3


def test_an_offline_machine_s_action_times_out_after_72_hours_and_14_minutes(actions):
    timed_out = [record for record in actions if record["status"] == "TimeOut"]
    assert timed_out
    for record in timed_out:
        lived = (parse(record["lastUpdateDateTimeUtc"]) - parse(record["creationDateTimeUtc"])) / 10_000_000
        assert timedelta(hours=72, minutes=14) <= timedelta(seconds=lived) < timedelta(hours=72, minutes=15)
        assert record["errorHResult"] == -2145844840


def test_a_cancellation_may_lie_100_ns_before_the_last_update(actions):
    cancelled = [record for record in actions if record["status"] == "Cancelled"]
    gaps = {parse(r["lastUpdateDateTimeUtc"]) - parse(r["cancellationDateTimeUtc"]) for r in cancelled}
    assert gaps == {0, 1}
    assert all(r["errorHResult"] == -2147467260 and r["cancellationRequestor"] for r in cancelled)


def test_a_requestor_is_a_person_an_application_s_guid_or_its_name(actions):
    requestors = {record["requestor"] for record in actions}
    assert any("@" in each for each in requestors)
    assert any(re.fullmatch(r"[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}", each) for each in requestors)
    assert any(" " in each for each in requestors)


def test_live_responses_carry_their_commands(actions):
    sessions = [record for record in actions if record["type"] == "LiveResponse"]
    commands = [command for record in sessions for command in record["commands"]]
    assert all(record["commands"] for record in sessions)
    assert {command["command"]["type"] for command in commands} == {"RunScript", "GetFile", "PutFile"}
    assert {command["commandStatus"] for command in commands} >= {"Completed", "Failed"}
    assert set(commands[0]) == {"index", "startTime", "endTime", "commandStatus", "errors", "command"}


def test_quarantined_files_are_named_by_their_hash(actions):
    lengths = {"Sha1": 40, "Sha256": 64, "Md5": 32}
    files = [record["relatedFileInfo"] for record in actions if record["type"] == "StopAndQuarantineFile"]
    assert {info["fileIdentifierType"] for info in files} == set(lengths)
    assert all(len(info["fileIdentifier"]) == lengths[info["fileIdentifierType"]] for info in files)


def test_a_machine_is_null_at_first_on_some_actions():
    world = World(seed=5, rows=5_000)
    nameless: set[str] = set()
    for seconds in range(0, 200_000, 40):
        shown = world.snapshot("machineactions", NOW + timedelta(seconds=seconds)).rows[:20]
        if any(row.id in nameless and row.value("machineId") for row in shown):
            return
        nameless |= {row.id for row in shown if row.value("machineId") is None}
    pytest.fail("no action got its machine later than its birth")


def test_an_investigation_started_through_the_api_has_a_numeric_twin(investigations):
    twins = [record for record in investigations if record["id"] == record["triggeringAlertId"]]
    numeric = {record["triggeringAlertId"]: record for record in investigations if record["id"].isdigit()}
    assert twins
    assert all(record["id"] in numeric for record in twins)
    assert {record["startTime"] is None for record in twins} == {True, False}
    assert all((record["startTime"] is None) == (record["machineId"] is None) for record in twins)


def test_an_investigation_s_state_can_change_a_week_after_its_start(investigations):
    lives = [
        parse(record["endTime"]) - parse(record["startTime"])
        for record in investigations
        if record["endTime"] and record["startTime"]
    ]
    assert max(lives) > timedelta(days=6).total_seconds() * 10_000_000


def test_a_joined_state_is_seen():
    world = World(seed=5, rows=5_000)
    moments = (NOW + timedelta(minutes=5 * n) for n in range(2_000))
    assert any(
        row.value("state") == "Running, PendingApproval"
        for moment in moments
        for row in world.snapshot("investigations", moment).rows[:5]
    )
