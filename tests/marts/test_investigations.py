"""marts.investigations, their join with actions, response times, the timeline and the transitions."""

import pytest
from worlds import World


def test_a_whole_row(world: World) -> None:
    world.run("03-02 09:00")
    world.investigation(
        "7",
        "PartiallyRemediated",
        start="03-01 09:00",
        end="03-01 12:00",
        cancelled_by="Ada",
        status_details="two of three",
        computer_dns_name="web1",
        read="03-01 13:00",
    )
    assert world.rows("marts.investigations") == [
        {
            "tenant": "contoso",
            "investigation_id": "7",
            "state": "PartiallyRemediated",
            "is_open": False,
            "is_pending_approval": False,
            "is_gone": False,
            "started_at": "03-01 09:00",
            "ended_at": "03-01 12:00",
            "duration_seconds": 10800.0,
            "age_seconds": 86400.0,
            "triggering_alert_id": "da7",
            "twin_investigation_id": None,
            "cancelled_by": "Ada",
            "status_details": "two of three",
            "machine_id": "m1",
            "machine_name": "web1",
            "portal_url": "https://security.microsoft.com/mtp-investigation/7",
            "machine_portal_url": "https://security.microsoft.com/machines/m1",
            "gone_at": None,
            "synced_at": "03-01 13:00",
            "as_of": "03-02 09:00",
        }
    ]


@pytest.mark.parametrize(
    ("state", "is_open", "is_pending_approval"),
    [
        ("Running", True, False),
        ("Queued", True, False),
        ("Unknown", True, False),
        ("PendingResource", True, False),
        ("PendingApproval", True, True),
        ("Running, PendingApproval", True, True),
        ("Running,PendingApproval", True, True),
        ("SuccessfullyRemediated, Running", True, False),
        ("Terminated, Failed", False, False),
        ("Terminated, SomethingNew", True, False),
        ("SomethingNew", True, False),
        ("", True, False),
        (None, True, False),
        ("Benign", False, False),
        ("Disabled", False, False),
        (", ".join(["Benign"] * 40), True, False),
    ],
)
def test_open_wins_in_a_joined_state(
    world: World, state: str, is_open: bool, is_pending_approval: bool
) -> None:
    world.investigation("7", state, start="03-01 09:00")
    shown = world.rows("marts.investigations", "is_open", "is_pending_approval")
    assert shown == [(is_open, is_pending_approval)]
    assert world.rows("staging.investigations", "is_open") == [is_open]


def test_the_alert_id_twin_of_a_numeric_investigation_is_folded_into_it(world: World) -> None:
    twin = {"machine_id": None, "triggering_alert_id": "da7"}
    world.investigation("7", "Running", start="03-01 09:00")
    world.investigation("da7", "Running", start=None, read="03-01 10:00", status_details="by hand", **twin)
    world.investigation("8", "Running", start="03-01 09:30", triggering_alert_id="da7")
    world.investigation("da9", "Running", start=None, read="03-01 10:00", machine_id=None)
    world.investigation("da7", "Running", start=None, read="03-01 10:00", tenant="fabrikam", **twin)
    columns = ("tenant", "investigation_id", "twin_investigation_id", "status_details")
    assert world.rows("marts.investigations", *columns) == [
        ("contoso", "7", "da7", "by hand"),
        ("contoso", "8", None, None),
        ("contoso", "da9", None, None),
        ("fabrikam", "da7", None, None),
    ]


def test_a_whole_row_of_the_join(world: World) -> None:
    world.run("03-02 09:00")
    world.action("a1", at="03-01 10:00", ended="03-01 10:05")
    world.investigation("7", "Benign", start="03-01 09:00", end="03-01 12:00", computer_dns_name="web1")
    assert world.rows("marts.machine_action_investigations") == [
        {
            "tenant": "contoso",
            "machine_action_id": "a1",
            "investigation_id": "7",
            "machine_id": "m1",
            "machine_name": "web1",
            "relation": "during",
            "seconds_from_start": 3600.0,
            "is_nearest": True,
            "action_type": "Isolate",
            "family": "isolation",
            "status": "Succeeded",
            "outcome": "succeeded",
            "created_at": "03-01 10:00",
            "state": "Benign",
            "started_at": "03-01 09:00",
            "ended_at": "03-01 12:00",
            "triggering_alert_id": "da7",
            "as_of": "03-02 09:00",
        }
    ]


def test_the_join_keeps_what_lies_within_7_days_and_tells_before_during_after(world: World) -> None:
    world.run("03-31 00:00")
    world.investigation("7", start="03-10 00:00", end="03-11 00:00")
    for action_id, at in {
        "too early": "03-02 23:59:59.999999",
        "earliest": "03-03 00:00",
        "before": "03-09 23:59:59.999999",
        "at start": "03-10 00:00",
        "at end": "03-11 00:00",
        "after": "03-11 00:00:00.000001",
        "latest": "03-18 00:00",
        "too late": "03-18 00:00:00.000001",
    }.items():
        world.action(action_id, at=at)
    assert dict(world.rows("marts.machine_action_investigations", "machine_action_id", "relation")) == {
        "earliest": "before",
        "before": "before",
        "at start": "during",
        "at end": "during",
        "after": "after",
        "latest": "after",
    }


def test_an_investigation_without_an_end_keeps_everything_up_to_as_of(world: World) -> None:
    world.run("03-31 00:00")
    world.investigation("7", "Running", start="01-10 00:00")
    world.investigation("8", "Running", start=None, read="03-01 00:00")
    world.action("a1", at="03-30 00:00")
    shown = world.rows("marts.machine_action_investigations", "investigation_id", "relation")
    assert shown == [("7", "during")]


def test_one_of_many_investigations_is_nearest_to_each_action(world: World) -> None:
    world.run("03-31 00:00")
    world.action("a1", at="03-10 12:00")
    world.action("a2", at="03-10 20:00")
    world.investigation("7", start="03-10 10:00", end="03-10 11:00")
    world.investigation("8", start="03-10 14:00", end="03-10 15:00")
    world.investigation("9", start="03-10 10:00", end="03-10 11:00")
    columns = ("machine_action_id", "investigation_id", "relation", "is_nearest")
    assert world.rows("marts.machine_action_investigations", *columns) == [
        ("a1", "7", "after", True),
        ("a1", "8", "before", False),
        ("a1", "9", "after", False),
        ("a2", "7", "after", False),
        ("a2", "8", "after", True),
        ("a2", "9", "after", False),
    ]


def test_the_join_keeps_tenants_and_machines_apart(world: World) -> None:
    world.run("03-31 00:00")
    world.action("a1", at="03-10 12:00")
    world.action("a2", at="03-10 12:00", machine_id=None)
    world.investigation("7", start="03-10 10:00", tenant="fabrikam")
    world.investigation("8", start="03-10 10:00", machine_id="m2")
    world.investigation("9", start="03-10 10:00", machine_id=None)
    assert world.rows("marts.machine_action_investigations") == []


def test_response_times_of_an_investigation(world: World) -> None:
    world.run("03-31 00:00")
    world.investigation("7", start="03-10 10:00", end="03-10 14:00", computer_dns_name="web1")
    world.action("before", at="03-10 09:59", ended="03-10 10:01")
    world.action("release", "Unisolate", at="03-10 10:02", ended="03-10 10:03")
    world.action("failed", at="03-10 10:10", status="Failed", ended="03-10 10:11")
    world.action("slow", at="03-10 10:20", ended="03-10 11:30")
    world.action("quick", at="03-10 10:30", ended="03-10 10:40")
    assert world.rows("marts.response_times") == [
        {
            "tenant": "contoso",
            "investigation_id": "7",
            "machine_id": "m1",
            "machine_name": "web1",
            "state": "Benign",
            "is_open": False,
            "started_at": "03-10 10:00",
            "first_action_at": "03-10 10:02",
            "first_contained_at": "03-10 10:40",
            "ended_at": "03-10 14:00",
            "seconds_to_first_action": 120.0,
            "seconds_to_first_containment": 2400.0,
            "seconds_to_end": 14400.0,
            "was_isolated_at_start": None,
            "portal_url": "https://security.microsoft.com/mtp-investigation/7",
            "as_of": "03-31 00:00",
        }
    ]


def test_response_times_of_many_investigations_on_one_machine(world: World) -> None:
    world.run("03-31 00:00")
    world.action("early", at="03-10 08:00", ended="03-10 08:05")
    world.action("scan", "RunAntiVirusScan", at="03-10 10:00")
    world.action("isolate", at="03-10 11:00", ended="03-10 11:05")
    world.investigation("1", start="03-10 07:00", end="03-10 07:30")
    world.investigation("2", start="03-10 10:00", end="03-10 12:00")
    world.investigation("3", start="03-10 11:30", end="03-10 12:00")
    world.investigation("4", "Running", start=None, read="03-10 12:00")
    world.investigation("5", start="03-10 07:00", machine_id=None)
    world.investigation("6", start="03-10 10:30", tenant="fabrikam")
    columns = ("investigation_id", "first_action_at", "first_contained_at", "was_isolated_at_start")
    assert world.rows("marts.response_times", *columns) == [
        ("1", "03-10 08:00", "03-10 08:05", None),
        ("2", "03-10 10:00", "03-10 11:05", True),
        ("3", None, None, True),
        ("4", None, None, None),
        ("5", None, None, None),
        ("6", None, None, None),
    ]


def test_a_response_more_than_7_days_after_the_end_is_none(world: World) -> None:
    world.run("03-31 00:00")
    world.investigation("7", start="03-10 00:00", end="03-10 12:00")
    world.action("late", at="03-17 12:00:01", ended="03-17 13:00")
    columns = ("first_action_at", "first_contained_at")
    assert world.rows("marts.response_times", *columns) == [(None, None)]


def test_a_containment_counts_by_when_it_was_asked_for(world: World) -> None:
    world.run("03-31 00:00")
    world.investigation("7", start="03-10 00:00", end="03-10 12:00")
    world.action("in time", at="03-17 12:00", ended="03-19 08:00")
    world.action("late, and quicker", at="03-17 12:00:01", ended="03-17 13:00")
    columns = ("first_action_at", "first_contained_at")
    assert world.rows("marts.response_times", *columns) == [("03-17 12:00", "03-19 08:00")]


@pytest.mark.parametrize(
    ("kinds", "was_isolated"),
    [
        (["Isolate"], True),
        (["Unisolate"], False),
        (["Isolate", "Unisolate"], False),
        (["Unisolate", "Isolate"], True),
        (["Isolate", "Offboard"], None),
        (["Offboard", "Isolate"], True),
        (["RestrictCodeExecution"], None),
    ],
)
@pytest.mark.parametrize("minutes", [1, 0])
def test_what_took_effect_last_before_the_start_tells_whether_it_was_isolated(
    world: World, kinds: list[str], was_isolated: bool | None, minutes: int
) -> None:
    """As marts.machine_containment tells it then; effects of one moment are told by their requests."""
    world.run("03-31 00:00")
    for number, kind in enumerate(kinds):
        world.action(kind, kind, at=f"03-10 10:0{number}", ended=f"03-10 10:{10 + number * minutes}")
    world.investigation("7", start="03-10 10:11")
    assert world.rows("marts.response_times", "was_isolated_at_start") == [was_isolated]
    assert world.rows("marts.machine_containment", "is_isolated") == [was_isolated]


def test_the_timeline_of_a_machine_in_order(world: World) -> None:
    world.run("03-02 00:00")
    world.investigation(
        "7",
        "SuccessfullyRemediated",
        start="03-01 09:00",
        end="03-01 12:00",
        read="03-01 12:30",
        seen=[("Running", "03-01 09:30"), ("Running, PendingApproval", "03-01 10:30")],
    )
    world.action(
        "a1",
        at="03-01 09:00",
        ended="03-01 09:10",
        status="Cancelled",
        seen=[("Pending", "03-01 09:00"), ("Pending", "03-01 09:05")],
        requestor="ada@contoso.com",
        requestor_comment="beacon",
        cancellation_requestor="bo@contoso.com",
        cancellation_comment="wrong host",
    )
    world.action("other machine", at="03-01 09:00", machine_id="m2")
    world.action("no machine", at="03-01 09:00", machine_id=None)
    shown = world.query(
        "select event_at, event, is_api_time, detail, machine_action_id, investigation_id, status, m.by, comment"
        " from marts.machine_timeline as m where machine_id is distinct from 'm2'"
        " order by event_at, event_order, machine_action_id, investigation_id, version"
    )
    assert [tuple(row.values()) for row in shown] == [
        ("03-01 09:00", "investigation_started", True, "da7", None, "7", None, None, None),
        ("03-01 09:00", "action_requested", True, "Isolate", "a1", None, None, "ada@contoso.com", "beacon"),
        ("03-01 09:00", "action_status", True, "Isolate", "a1", None, "Pending", None, None),
        (
            "03-01 09:10",
            "action_status",
            True,
            "Isolate",
            "a1",
            None,
            "Cancelled",
            "bo@contoso.com",
            "wrong host",
        ),
        ("03-01 09:30", "investigation_state", False, "da7", None, "7", "Running", None, None),
        (
            "03-01 10:30",
            "investigation_state",
            False,
            "da7",
            None,
            "7",
            "Running, PendingApproval",
            None,
            None,
        ),
        ("03-01 12:00", "investigation_ended", True, "da7", None, "7", "SuccessfullyRemediated", None, None),
    ]


def test_the_timeline_s_whole_row_and_an_end_that_changes_afterwards(world: World) -> None:
    world.investigation(
        "7", "PartiallyRemediated", start="03-01 09:00", end="03-01 12:00", computer_dns_name="web1"
    )
    world.insert(
        "investigation_versions",
        tenant="contoso",
        id="7",
        version=2,
        state="Benign",
        end_time="03-01 12:00",
        observed_at="03-08 00:00",
    )
    rows = world.rows("marts.machine_timeline")
    assert rows[1] == {
        "tenant": "contoso",
        "machine_id": "m1",
        "machine_name": "web1",
        "event_at": "03-01 12:00",
        "event": "investigation_ended",
        "event_order": 50,
        "is_api_time": True,
        "detail": "da7",
        "machine_action_id": None,
        "investigation_id": "7",
        "status": "PartiallyRemediated",
        "by": None,
        "comment": None,
        "version": 1,
    }
    assert [(row["event_at"], row["event"], row["status"]) for row in rows] == [
        ("03-01 09:00", "investigation_started", None),
        ("03-01 12:00", "investigation_ended", "PartiallyRemediated"),
        ("03-08 00:00", "investigation_state", "Benign"),
    ]


def test_transitions_of_an_action_also_where_polling_missed_a_status(world: World) -> None:
    world.action(
        "a1",
        at="03-01 09:00",
        ended="03-01 09:10",
        seen=[("Pending", "03-01 09:00"), ("Pending", "03-01 09:01"), ("InProgress", "03-01 09:04")],
        computer_dns_name="web1",
    )
    world.action("a2", at="03-01 09:00", ended="03-01 09:10", seen=[("Pending", "03-01 09:00")])
    world.action("a3", at="03-01 09:00", ended="03-01 09:10")
    whole = world.rows("marts.machine_action_transitions", where="version = 3")
    assert whole == [
        {
            "tenant": "contoso",
            "machine_action_id": "a1",
            "version": 3,
            "from_status": "Pending",
            "to_status": "InProgress",
            "changed_at": "03-01 09:04",
            "observed_at": "03-01 09:04",
            "seconds_in_former": 240.0,
            "action_type": "Isolate",
            "family": "isolation",
            "machine_id": "m1",
            "machine_name": "web1",
        }
    ]
    columns = ("machine_action_id", "from_status", "to_status", "seconds_in_former")
    assert world.rows("marts.machine_action_transitions", *columns) == [
        ("a1", "InProgress", "Succeeded", 360.0),
        ("a1", "Pending", "InProgress", 240.0),
        ("a2", "Pending", "Succeeded", 600.0),
    ]


def test_a_status_that_comes_back_is_two_transitions(world: World) -> None:
    world.action(
        "a1",
        status="Pending",
        at="03-01 09:00",
        ended="03-01 09:20",
        seen=[("Pending", "03-01 09:00"), ("InProgress", "03-01 09:10")],
    )
    columns = ("from_status", "to_status")
    assert world.rows("marts.machine_action_transitions", *columns) == [
        ("InProgress", "Pending"),
        ("Pending", "InProgress"),
    ]


def test_transitions_of_an_investigation(world: World) -> None:
    world.investigation(
        "7",
        "Benign",
        start="03-01 09:00",
        end="03-01 12:00",
        read="03-01 13:00",
        seen=[("Queued", "03-01 09:30"), ("Running", "03-01 10:00")],
        computer_dns_name="web1",
    )
    world.investigation("da7", "Benign", start=None, read="03-01 13:00", seen=[("Running", "03-01 10:00")])
    first, second = world.rows("marts.investigation_transitions")
    assert first == {
        "tenant": "contoso",
        "investigation_id": "7",
        "version": 2,
        "from_state": "Queued",
        "to_state": "Running",
        "changed_at": None,
        "observed_at": "03-01 10:00",
        "seconds_in_former": 3600.0,
        "machine_id": "m1",
        "machine_name": "web1",
    }
    assert (second["to_state"], second["changed_at"], second["seconds_in_former"]) == (
        "Benign",
        "03-01 12:00",
        7200.0,
    )
