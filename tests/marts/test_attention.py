"""marts.needs_attention: what somebody should look at, and what has settled itself."""

import pytest
from worlds import World

REASON = ("machine_id", "family", "reason", "severity_rank", "machine_action_id")


@pytest.fixture(autouse=True)
def _as_of(world: World) -> None:
    world.run("03-31 00:00")


def test_a_whole_row(world: World) -> None:
    world.action("i1", status="Failed", at="03-01 10:00", ended="03-01 10:05")
    world.action(
        "i2",
        status="TimeOut",
        at="03-27 10:00",
        ended="03-30 10:14",
        computer_dns_name="web1",
        requestor="ada@contoso.com",
        requestor_comment="beacon",
    )
    assert world.rows("marts.needs_attention") == [
        {
            "tenant": "contoso",
            "machine_id": "m1",
            "machine_name": "web1",
            "family": "isolation",
            "reason": "containment_failed",
            "severity": "critical",
            "severity_rank": 1,
            "since": "03-01 10:05",
            "seconds_since": 2555700.0,
            "occurrences": 2,
            "machine_action_id": "i2",
            "investigation_id": None,
            "action_type": "Isolate",
            "status": "TimeOut",
            "requested_by": "ada@contoso.com",
            "comment": "beacon",
            "portal_url": "https://security.microsoft.com/machines/m1",
            "as_of": "03-31 00:00",
        }
    ]


def test_each_reason_and_its_severity(world: World) -> None:
    world.action("i", status="TimeOut", at="03-01 10:00", machine_id="m1")
    world.action("u", status="Failed", at="03-01 10:00", machine_id="m2", scope="UnManagedDevice")
    world.action("r", "Unisolate", "Failed", at="03-01 10:00", machine_id="m3")
    world.action("l", at="03-23 23:59", machine_id="m4")
    world.action("s", "RunAntiVirusScan", "InProgress", at="03-27 22:00", machine_id="m5")
    world.action("o", "RestrictCodeExecution", "Pending", at="03-30 23:40", machine_id="m6")
    world.investigation("7", "Running, PendingApproval", start="03-20 00:00", machine_id="m7")
    world.action("f", "StopAndQuarantineFile", "Failed", at="03-24 00:00", machine_id="m8")
    assert world.rows(
        "marts.needs_attention", "severity_rank", "severity", "reason", "family", "machine_id"
    ) == [
        (1, "critical", "containment_failed", "isolation", "m1"),
        (1, "critical", "containment_failed", "unmanaged_containment", "m2"),
        (2, "high", "release_failed", "isolation", "m3"),
        (3, "high", "isolated_over_7_days", "isolation", "m4"),
        (4, "medium", "stuck", "scan", "m5"),
        (5, "medium", "overdue", "app_restriction", "m6"),
        (6, "medium", "investigation_pending_approval", "investigation", "m7"),
        (7, "low", "other_failure", "file_quarantine", "m8"),
    ]


def test_what_needs_no_attention(world: World) -> None:
    world.action("cancelled", status="Cancelled", at="03-30 10:00", machine_id="m1")
    world.action("gone failure", status="Failed", at="03-30 10:00", machine_id="m2", gone_at="03-30 12:00")
    world.action("gone open", status="Pending", at="03-01 10:00", machine_id="m3", gone_at="03-30 12:00")
    world.action("old failure", "RunAntiVirusScan", "Failed", at="03-23 23:59", machine_id="m4")
    world.action("young", status="Pending", at="03-30 23:50", machine_id="m5")
    world.action("isolated 7 days", at="03-24 00:00", machine_id="m6")
    world.investigation("7", "PendingApproval", start="03-01 00:00", gone_at="03-20 00:00", machine_id="m7")
    world.investigation("8", "Running", start="03-01 00:00", machine_id="m8")
    assert world.rows("marts.needs_attention", *REASON) == []


def test_a_later_success_of_the_same_family_on_that_machine_settles_it(world: World) -> None:
    world.action("failed", "RunAntiVirusScan", "Failed", at="03-30 10:00", ended="03-30 10:05")
    world.action("overdue", "RunAntiVirusScan", "Pending", at="03-29 10:00")
    world.action("other family", "StopAndQuarantineFile", at="03-30 11:00")
    world.action("other machine", "RunAntiVirusScan", at="03-30 11:00", machine_id="m2")
    world.action("other tenant", "RunAntiVirusScan", at="03-30 11:00", tenant="fabrikam")
    world.action("earlier", "RunAntiVirusScan", at="03-28 10:00")
    assert world.rows("marts.needs_attention", *REASON) == [
        ("m1", "scan", "other_failure", 7, "failed"),
        ("m1", "scan", "overdue", 5, "overdue"),
    ]
    world.action("later", "RunAntiVirusScan", at="03-30 12:00")
    assert world.rows("marts.needs_attention", *REASON) == []


def test_a_success_of_another_family_settles_nothing(world: World) -> None:
    world.action("failed", "RunAntiVirusScan", "Failed", at="03-30 10:00", ended="03-30 10:05")
    world.action("other family", "StopAndQuarantineFile", at="03-30 11:00")
    assert world.rows("marts.needs_attention", *REASON) == [("m1", "scan", "other_failure", 7, "failed")]


def test_a_success_asked_for_earlier_does_not_settle_what_is_still_open(world: World) -> None:
    world.action("earlier", "RunAntiVirusScan", at="03-28 10:00", ended="03-30 12:00")
    world.action("open", "RunAntiVirusScan", "Pending", at="03-29 10:00")
    assert world.rows("marts.needs_attention", *REASON) == [("m1", "scan", "overdue", 5, "open")]


def test_a_retry_settles_a_request_that_times_out_after_it(world: World) -> None:
    world.action("i1", status="TimeOut", at="03-25 10:00", ended="03-28 10:14")
    world.action("i2", at="03-26 10:00", ended="03-26 10:05")
    assert world.rows("marts.needs_attention", *REASON) == []


def test_an_isolation_asked_for_earlier_that_comes_through_settles_a_failed_one(world: World) -> None:
    world.action("i1", at="03-30 10:00", ended="03-30 12:00")
    world.action("i2", status="Failed", at="03-30 11:00", ended="03-30 11:01")
    assert world.rows("marts.needs_attention", *REASON) == []


def test_a_release_asked_for_earlier_does_not_settle_a_failed_isolation(world: World) -> None:
    world.action("r1", "Unisolate", at="03-30 10:00", ended="03-30 12:00")
    world.action("i2", status="Failed", at="03-30 11:00", ended="03-30 11:01")
    assert world.rows("marts.needs_attention", *REASON) == [
        ("m1", "isolation", "containment_failed", 1, "i2")
    ]


def test_a_release_asked_for_later_settles_a_failed_isolation(world: World) -> None:
    world.action("i1", status="Failed", at="03-30 10:00", ended="03-30 10:01")
    world.action("r1", "Unisolate", at="03-30 11:00", ended="03-30 11:05")
    assert world.rows("marts.needs_attention", *REASON) == []


def test_a_failure_is_not_settled_by_having_been_read_as_a_success(world: World) -> None:
    world.action(
        "i1", status="Failed", at="03-30 10:00", ended="03-30 10:04", seen=[("Succeeded", "03-30 10:05")]
    )
    assert world.rows("marts.needs_attention", *REASON) == [
        ("m1", "isolation", "containment_failed", 1, "i1")
    ]
    world.action("i2", at="03-30 09:00", ended="03-30 10:06")
    assert world.rows("marts.needs_attention", *REASON) == []


def test_a_long_isolation_tells_the_status_that_its_action_has_now(world: World) -> None:
    world.action("i1", status="InProgress", at="03-10 10:00", seen=[("Succeeded", "03-10 10:05")])
    assert world.rows("marts.needs_attention", "reason", "status") == [
        ("isolated_over_7_days", "InProgress"),
        ("stuck", "InProgress"),
    ]


def test_what_failed_after_the_last_sync_is_no_time_ago(world: World) -> None:
    world.run("03-31 12:00", command="reconcile")
    world.action("s1", "RunAntiVirusScan", "Failed", at="03-31 10:00", ended="03-31 10:05")
    assert world.rows("marts.needs_attention", "reason", "seconds_since") == [("other_failure", 0)]


def test_actions_with_no_machine_stand_by_themselves(world: World) -> None:
    world.action("i1", status="Failed", at="03-30 10:00", machine_id=None)
    world.action("i2", status="Failed", at="03-30 11:00", machine_id=None)
    world.action("i3", at="03-30 12:00", machine_id=None)
    assert world.rows("marts.needs_attention", *REASON) == [
        (None, "isolation", "containment_failed", 1, "i1"),
        (None, "isolation", "containment_failed", 1, "i2"),
    ]


def test_several_investigations_on_one_machine_are_one_row(world: World) -> None:
    world.investigation("7", "PendingApproval", start="03-20 00:00")
    world.investigation("8", "PendingApproval", start="03-21 00:00")
    world.investigation("da8", "PendingApproval", start=None, read="03-21 01:00", machine_id=None)
    columns = ("reason", "since", "occurrences", "investigation_id")
    assert world.rows("marts.needs_attention", *columns) == [
        ("investigation_pending_approval", "03-20 00:00", 2, "8")
    ]
