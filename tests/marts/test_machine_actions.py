"""marts.machine_actions: status, family, age, outcome and requestor of one action."""

import pytest
from worlds import World


def test_a_whole_row(world: World) -> None:
    world.run("03-01 12:00")
    world.action(
        "a1",
        at="03-01 10:00",
        ended="03-01 10:05",
        seen=[("Pending", "03-01 10:00")],
        title="Isolate",
        requestor="Ada@Contoso.com",
        requestor_comment="beacon",
        computer_dns_name="Web1.contoso.com",
        related_file_info__file_identifier="ab12",
        related_file_info__file_identifier_type="Sha256",
        cancellation_requestor=None,
        error_h_result=0,
        scope="Full",
        external_id="x1",
        request_source="Portal",
        synced_at="03-01 11:00",
    )
    assert world.rows("marts.machine_actions") == [
        {
            "tenant": "contoso",
            "machine_action_id": "a1",
            "action_type": "Isolate",
            "family": "isolation",
            "title": "Isolate",
            "status": "Succeeded",
            "is_open": False,
            "is_gone": False,
            "is_overdue": False,
            "is_stuck": False,
            "outcome": "succeeded",
            "created_at": "03-01 10:00",
            "last_updated_at": "03-01 10:05",
            "effective_at": "03-01 10:05",
            "effective_by": "03-01 10:05",
            "ended_at": "03-01 10:05",
            "duration_seconds": 300.0,
            "age_seconds": 7200.0,
            "requested_by": "ada@contoso.com",
            "requested_by_kind": "person",
            "requestor": "Ada@Contoso.com",
            "request_source": "Portal",
            "comment": "beacon",
            "scope": "Full",
            "file_hash": "ab12",
            "file_hash_type": "Sha256",
            "error_code": 0,
            "external_id": "x1",
            "cancelled_by": None,
            "cancellation_comment": None,
            "cancelled_at": None,
            "machine_id": "m1",
            "machine_name": "Web1.contoso.com",
            "portal_url": "https://security.microsoft.com/action-center/history",
            "machine_portal_url": "https://security.microsoft.com/machines/m1",
            "gone_at": None,
            "synced_at": "03-01 11:00",
            "as_of": "03-01 12:00",
        }
    ]


def test_an_action_without_a_time_of_update_took_effect_by_when_it_was_read(world: World) -> None:
    world.run("03-01 12:00")
    world.action("a1", at="03-01 10:00", last_update_date_time_utc=None, synced_at="03-01 11:00")
    world.action("a2", status="Failed", at="03-01 10:00", last_update_date_time_utc=None)
    assert world.rows("marts.machine_actions", "effective_at", "effective_by") == [
        ("03-01 10:00", "03-01 11:00"),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("status", "gone_at", "is_open", "outcome"),
    [
        ("Pending", None, True, "pending"),
        ("InProgress", None, True, "pending"),
        ("Succeeded", None, False, "succeeded"),
        ("Failed", None, False, "failed"),
        ("TimeOut", None, False, "timed_out"),
        ("Cancelled", None, False, "cancelled"),
        ("Canceled", None, False, "cancelled"),
        ("Paused", None, True, "unknown"),
        ("Pending", "03-01 11:00", True, "unknown"),
        ("Succeeded", "03-01 11:00", False, "succeeded"),
    ],
)
def test_status_decides_open_and_outcome(
    world: World, status: str, gone_at: str | None, is_open: bool, outcome: str
) -> None:
    world.run("03-01 12:00")
    world.action("a1", status=status, at="03-01 10:00", gone_at=gone_at)
    shown = world.rows("marts.machine_actions", "is_open", "is_gone", "outcome")
    assert shown == [(is_open, gone_at is not None, outcome)]
    assert world.rows("staging.machine_actions", "is_open") == [is_open]


@pytest.mark.parametrize(
    ("kind", "scope", "family", "minutes"),
    [
        ("Isolate", "Full", "isolation", 15),
        ("Unisolate", None, "isolation", 15),
        ("Isolate", "UnManagedDevice", "unmanaged_containment", 15),
        ("Unisolate", "UnManagedDevice", "unmanaged_containment", 15),
        ("Isolate", "UnmanagedDevice", "unmanaged_containment", 15),
        ("RestrictCodeExecution", None, "app_restriction", 15),
        ("UnrestrictCodeExecution", None, "app_restriction", 15),
        ("StopAndQuarantineFile", None, "file_quarantine", 60),
        ("CollectInvestigationPackage", None, "forensics", 180),
        ("LiveResponse", None, "live_response", 180),
        ("RunAntiVirusScan", "Quick", "scan", 1440),
        ("Offboard", None, "offboarding", 1440),
        ("Troubleshoot", None, "other", 1440),
        ("SomethingNew", None, "other", 1440),
    ],
)
def test_an_open_action_is_overdue_just_after_its_family_s_limit(
    world: World, kind: str, scope: str | None, family: str, minutes: int
) -> None:
    last = f"03-{1 + minutes // 1440:02} {minutes // 60 % 24:02}:{minutes % 60:02}"
    world.run(last)
    world.action("on time", kind, "Pending", at="03-01 00:00", scope=scope)
    world.action("late", kind, "Pending", at="02-28 23:59:59.999999", scope=scope)
    world.action("done", kind, "Succeeded", at="02-27 00:00", scope=scope)
    world.action("gone", kind, "Pending", at="02-27 00:00", scope=scope, gone_at="02-28 00:00")
    assert world.rows("marts.machine_actions", "machine_action_id", "family", "is_overdue") == [
        ("done", family, False),
        ("gone", family, False),
        ("late", family, True),
        ("on time", family, False),
    ]


def test_an_open_action_is_stuck_beyond_73_hours(world: World) -> None:
    world.run("03-04 01:00")
    world.action("not yet", status="InProgress", at="03-01 00:00")
    world.action("stuck", status="InProgress", at="02-28 23:59:59")
    world.action("new status", status="Paused", at="02-28 00:00")
    assert world.rows("marts.machine_actions", "machine_action_id", "is_stuck", "is_overdue") == [
        ("new status", True, True),
        ("not yet", False, True),
        ("stuck", True, True),
    ]


def test_an_action_takes_effect_when_first_seen_succeeded_whatever_its_later_updates(world: World) -> None:
    world.action(
        "a1",
        at="03-01 10:00",
        ended="03-01 18:00",
        seen=[("Pending", "03-01 10:00"), ("Succeeded", "03-01 10:03"), ("Succeeded", "03-01 12:00")],
    )
    world.action(
        "a2", status="Failed", at="03-01 10:00", ended="03-01 11:00", seen=[("Succeeded", "03-01 10:02")]
    )
    assert world.rows("marts.machine_actions", "effective_at", "ended_at", "duration_seconds") == [
        ("03-01 10:02", "03-01 11:00", 3600.0),
        ("03-01 10:03", "03-01 10:03", 180.0),
    ]


def test_ages_are_counted_from_the_end_of_the_last_run_that_brought_something(world: World) -> None:
    world.action("a1", status="Pending", at="03-01 10:00", synced_at="03-01 10:30")
    assert world.rows("marts.machine_actions", "as_of", "age_seconds") == [("03-01 10:30", 1800.0)]
    world.run("03-01 11:00", status="failed")
    world.run(None, started="03-01 11:00", status="stopped")
    assert world.rows("marts.machine_actions", "as_of") == ["03-01 10:30"]
    world.run("03-01 12:00", resource="investigations", status="unavailable")
    assert world.rows("marts.machine_actions", "as_of") == ["03-01 12:00"]
    world.run("03-01 12:30", status="partial")
    world.run("03-01 13:00", tenant="fabrikam")
    assert world.rows("marts.machine_actions", "as_of", "age_seconds") == [("03-01 12:30", 9000.0)]


def test_an_action_newer_than_the_last_run_has_no_negative_age(world: World) -> None:
    world.run("03-01 09:00")
    world.action("a1", status="Pending", at="03-01 10:00")
    assert world.rows("marts.machine_actions", "age_seconds", "is_overdue") == [(0.0, False)]


@pytest.mark.parametrize(
    ("requestor", "source", "requested_by", "kind"),
    [
        ("Ada@Contoso.com", "Portal", "ada@contoso.com", "person"),
        (" ada@contoso.com ", None, "ada@contoso.com", "person"),
        ("Bo_Lee_contoso.com#EXT#@fabrikam.onmicrosoft.com", "Portal", "bo_lee@contoso.com", "person"),
        ("odd#EXT#@fabrikam.com", "Portal", "odd#ext#@fabrikam.com", "person"),
        (
            "11111111-2222-3333-4444-55555555555A",
            "PublicApi",
            "11111111-2222-3333-4444-55555555555a",
            "application",
        ),
        ("Contoso SOAR", "PublicApi", "contoso soar", "application"),
        ("Ada@Contoso.com", "CustomDetection", "ada@contoso.com", "automation"),
        (None, "CustomDetection", "customdetection", "automation"),
        ("", "MDI", "mdi", "automation"),
        ("Defender for Identity", "MDI", "defender for identity", "automation"),
        ("Ada@Contoso.com", "MCAS", "ada@contoso.com", "person"),
        ("AttackDisruption", "Unspecified", "attack disruption", "automation"),
        (None, "Portal", None, None),
        (None, None, None, None),
    ],
)
def test_requestors_are_told_apart_under_one_spelling(
    world: World, requestor: str | None, source: str | None, requested_by: str | None, kind: str | None
) -> None:
    world.action("a1", at="03-01 10:00", requestor=requestor, request_source=source)
    shown = world.rows("marts.machine_actions", "requested_by", "requested_by_kind", "requestor")
    assert shown == [(requested_by, kind, requestor)]


def test_an_action_with_no_machine_is_kept_without_an_address(world: World) -> None:
    world.action("a1", at="03-01 10:00", machine_id=None)
    world.action("a2", at="03-01 10:00", machine_id="x' onclick='")
    assert world.rows("marts.machine_actions", "machine_action_id", "machine_portal_url") == [
        ("a1", None),
        ("a2", None),
    ]


def test_the_same_ids_in_two_tenants_are_two_actions(world: World) -> None:
    world.run("03-01 12:00")
    world.run("03-01 13:00", tenant="fabrikam")
    world.action("a1", status="Pending", at="03-01 11:50")
    world.action("a1", status="Succeeded", at="03-01 11:50", ended="03-01 11:55", tenant="fabrikam")
    shown = world.rows("marts.machine_actions", "tenant", "status", "effective_at", "age_seconds")
    assert shown == [("contoso", "Pending", None, 600.0), ("fabrikam", "Succeeded", "03-01 11:55", 4200.0)]


def test_the_readings_of_one_tenant_do_not_date_another_s_action(world: World) -> None:
    world.action("a1", at="03-01 10:00", ended="03-01 10:10", seen=[("Failed", "03-01 10:05")])
    world.action("a1", status="Failed", at="03-01 10:00", ended="03-01 10:20", tenant="fabrikam")
    assert world.rows("marts.machine_actions", "tenant", "ended_at") == [
        ("contoso", "03-01 10:10"),
        ("fabrikam", "03-01 10:20"),
    ]
