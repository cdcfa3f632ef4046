"""marts.machine_containment and marts.containment_episodes: is it isolated, since when, how fast, for how long."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from worlds import World, shown

STATE = ("isolation_state", "is_isolated", "evidence_action_id", "since")
EPISODE = ("requested_at", "contained_at", "release_requested_at", "released_at", "attempts", "outcome")


@pytest.fixture(autouse=True)
def _covered(world: World) -> None:
    world.run("03-31 00:00", window_start="01-01 00:00")


def state(world: World) -> tuple[object, ...]:
    (row,) = world.rows("marts.machine_containment", *STATE)
    return tuple(row)


def test_a_whole_row(world: World) -> None:
    world.action(
        "a1",
        at="03-30 10:00",
        ended="03-30 10:05",
        scope="Selective",
        requestor="Ada@contoso.com",
        requestor_comment="beacon",
        computer_dns_name="web1",
    )
    world.action("a2", "Unisolate", "Pending", at="03-30 12:00")
    assert world.rows("marts.machine_containment") == [
        {
            "tenant": "contoso",
            "machine_id": "m1",
            "machine_name": "web1",
            "isolation_state": "isolated",
            "is_isolated": True,
            "isolation_reason": "an isolation took effect last",
            "isolation_mode": "selective",
            "is_restricted": None,
            "is_unmanaged_contained": None,
            "is_offboarded": False,
            "is_isolate_pending": False,
            "is_release_pending": True,
            "is_offboard_pending": False,
            "since": "03-30 10:05",
            "seconds_isolated": 50100.0,
            "by": "ada@contoso.com",
            "by_kind": "person",
            "comment": "beacon",
            "evidence_action_id": "a1",
            "doubtful_action_id": None,
            "restriction_since": None,
            "restriction_evidence_action_id": None,
            "offboarded_at": None,
            "known_since": "01-01 00:00",
            "portal_url": "https://security.microsoft.com/machines/m1",
            "as_of": "03-31 00:00",
        }
    ]


def test_the_action_that_took_effect_last_decides_not_the_one_asked_for_last(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("i2", at="03-01 10:01", ended="03-01 12:00")
    world.action("r1", "Unisolate", at="03-01 11:00", ended="03-01 11:05")
    assert state(world) == ("isolated", True, "i2", "03-01 12:00")


def test_a_release_that_took_effect_last_releases(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("i2", at="03-01 10:01", ended="03-01 10:06")
    world.action("r1", "Unisolate", at="03-01 10:02", ended="03-01 10:07")
    assert state(world) == ("released", False, "r1", "03-01 10:07")


def test_a_later_touch_of_a_finished_release_does_not_move_it_past_a_new_isolation(world: World) -> None:
    world.action(
        "r1", "Unisolate", at="03-01 10:00", ended="03-05 00:00", seen=[("Succeeded", "03-01 10:05")]
    )
    world.action("i1", at="03-02 10:00", ended="03-02 10:05")
    assert state(world) == ("isolated", True, "i1", "03-02 10:05")


@pytest.mark.parametrize("status", ["Failed", "TimeOut", "Cancelled", "Canceled", "Pending", "InProgress"])
def test_a_release_that_did_not_come_through_changes_nothing(world: World, status: str) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("r1", "Unisolate", status, at="03-02 10:00", ended="03-02 10:05")
    assert state(world) == ("isolated", True, "i1", "03-01 10:05")
    pending = status in ("Pending", "InProgress")
    assert world.rows("marts.machine_containment", "is_release_pending", "is_isolate_pending") == [
        (pending, False)
    ]


@pytest.mark.parametrize("status", ["Failed", "TimeOut", "Cancelled", "Pending"])
def test_nothing_that_took_effect_is_no_evidence_and_not_free(world: World, status: str) -> None:
    world.action("r1", "Unisolate", status, at="03-02 10:00", ended="03-02 10:05")
    assert state(world) == ("no_evidence", None, None, None)


def test_a_release_alone_is_evidence_of_release(world: World) -> None:
    world.action("r1", "Unisolate", at="03-02 10:00", ended="03-02 10:05")
    assert state(world) == ("released", False, "r1", "03-02 10:05")
    assert world.rows("marts.containment_episodes") == []


def test_selective_turned_full_is_one_isolation_since_the_first(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05", scope="Selective")
    world.action("i2", at="03-03 10:00", ended="03-03 10:05", scope="Full")
    assert state(world) == ("isolated", True, "i2", "03-01 10:05")
    assert world.rows("marts.machine_containment", "isolation_mode") == ["full"]
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-01 10:00", "03-01 10:05", None, None, 2, "contained")
    ]


def test_an_isolation_without_a_scope_tells_no_mode(world: World) -> None:
    world.action("i1", at="03-01 10:00", scope=None)
    assert world.rows("marts.machine_containment", "is_isolated", "isolation_mode") == [(True, None)]


def test_after_an_offboarding_nobody_knows(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("x1", "RestrictCodeExecution", at="03-01 10:00", ended="03-01 10:05")
    world.action("o1", "Offboard", at="03-02 10:00", ended="03-02 11:00")
    assert state(world) == ("unknown", None, "o1", "03-02 11:00")
    columns = ("isolation_reason", "is_restricted", "is_offboarded", "isolation_mode")
    assert world.rows("marts.machine_containment", *columns) == [("offboarded", None, True, None)]
    assert world.rows("marts.containment_episodes", *EPISODE, "is_in_doubt", "seconds_contained") == [
        ("03-01 10:00", "03-01 10:05", None, None, 1, "contained", True, None)
    ]


def test_an_offboarding_that_failed_changes_nothing(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("o1", "Offboard", "Failed", at="03-02 10:00", ended="03-02 11:00")
    assert state(world) == ("isolated", True, "i1", "03-01 10:05")
    assert world.rows("marts.machine_containment", "is_offboarded") == [False]


def test_an_isolation_that_took_effect_after_the_offboarding_decides_again(world: World) -> None:
    world.action("o1", "Offboard", at="03-02 10:00", ended="03-02 11:00")
    world.action("i1", at="03-05 10:00", ended="03-05 10:05")
    assert state(world) == ("isolated", True, "i1", "03-05 10:05")
    assert world.rows("marts.machine_containment", "is_offboarded") == [False]


def test_what_was_asked_for_before_the_offboarding_does_not_show_it_on_board(world: World) -> None:
    world.action("s1", "RunAntiVirusScan", at="03-02 09:00", ended="03-02 12:00")
    world.action("o1", "Offboard", at="03-02 10:00", ended="03-02 11:00")
    assert world.rows("marts.machine_containment", "is_offboarded") == [True]


def test_a_machine_onboarded_again_under_a_new_id_is_another_machine(world: World) -> None:
    world.action("i1", at="03-01 10:00", computer_dns_name="web1")
    world.action("o1", "Offboard", at="03-02 10:00", ended="03-02 11:00", computer_dns_name="web1")
    world.action("s1", "RunAntiVirusScan", at="03-03 10:00", machine_id="m2", computer_dns_name="WEB1")
    assert world.rows("marts.machine_containment", "machine_id", "isolation_state") == [("m1", "unknown")]
    assert world.rows("marts.machines", "machine_id", "other_machine_ids") == [("m1", "m2"), ("m2", "m1")]


def test_unmanaged_containment_and_restriction_are_families_of_their_own(world: World) -> None:
    world.action("u1", at="03-01 10:00", scope="UnManagedDevice")
    world.action("x1", "RestrictCodeExecution", at="03-01 10:00", machine_id="m2")
    world.action("x2", "UnrestrictCodeExecution", at="03-01 11:00", machine_id="m2")
    world.action("r1", "Unisolate", at="03-01 10:00", machine_id="m3", scope="UnManagedDevice")
    columns = ("machine_id", "isolation_state", "is_isolated", "is_restricted", "is_unmanaged_contained")
    assert world.rows("marts.machine_containment", *columns) == [
        ("m1", "no_evidence", None, None, True),
        ("m2", "no_evidence", None, False, None),
        ("m3", "no_evidence", None, None, False),
    ]
    assert world.rows("marts.containment_episodes") == []


def test_an_action_that_vanished_while_open_leaves_the_state_unknown(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("r1", "Unisolate", "Pending", at="03-02 10:00", gone_at="03-03 00:00")
    assert state(world) == ("unknown", None, "i1", "03-01 10:05")
    columns = ("isolation_reason", "doubtful_action_id", "is_release_pending")
    assert world.rows("marts.machine_containment", *columns) == [
        ("a later or simultaneous action was not seen to its end", "r1", False)
    ]
    assert world.rows("marts.containment_episodes", "outcome", "is_in_doubt") == [("contained", True)]


def test_a_later_effect_removes_the_doubt(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("r1", "Unisolate", "Pending", at="03-02 10:00", gone_at="03-03 00:00")
    world.action("i2", at="03-04 10:00", ended="03-04 10:05")
    assert state(world) == ("isolated", True, "i2", "03-01 10:05")


def test_a_vanished_action_of_the_same_kind_is_no_doubt(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("i2", "Isolate", "Pending", at="03-02 10:00", gone_at="03-03 00:00")
    assert state(world) == ("isolated", True, "i1", "03-01 10:05")


def test_a_release_in_a_status_never_heard_of_leaves_the_state_unknown(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("r1", "Unisolate", "PartlyDone", at="03-02 10:00")
    assert state(world) == ("unknown", None, "i1", "03-01 10:05")
    assert world.rows("marts.machine_containment", "is_release_pending") == [True]


def test_a_status_never_heard_of_is_no_doubt_about_what_came_when_the_service_had_given_up(
    world: World,
) -> None:
    world.action("r1", "Unisolate", "PartlyDone", at="03-01 10:00", ended="03-01 10:05")
    world.action("i1", at="03-04 10:50", ended="03-04 10:59")
    assert state(world)[0] == "unknown"
    world.action("i2", at="03-04 10:55", ended="03-04 11:00")
    assert state(world) == ("isolated", True, "i2", "03-04 10:59")
    world.action("r2", "Unisolate", "PartlyDone", at="03-01 11:00", ended="03-20 10:00")
    assert state(world)[0] == "unknown", "what was updated later may have taken effect later"


def test_a_status_that_is_missing_takes_back_no_effect(world: World) -> None:
    world.action(
        "i1", status=None, at="03-01 10:00", ended="03-01 10:05", seen=[("Succeeded", "03-01 10:05")]
    )
    assert state(world) == ("isolated", True, "i1", "03-01 10:05")
    assert world.rows("marts.containment_episodes", "contained_at", "outcome") == [
        ("03-01 10:05", "contained")
    ]


def test_an_offboarding_told_to_end_before_it_was_asked_for_is_one_all_the_same(world: World) -> None:
    world.action("o1", "Offboard", at="03-02 10:00:00.5", ended="03-02 10:00:00.4")
    assert world.rows("marts.machine_containment", "isolation_state", "is_offboarded") == [("unknown", True)]


def test_what_began_after_the_last_sync_lasts_no_time_yet(world: World) -> None:
    world.run("03-31 12:00", command="reconcile")
    world.action("i1", at="03-31 10:00", ended="03-31 10:05")
    assert world.rows("marts.machine_containment", "seconds_isolated") == [0]
    assert world.rows("marts.containment_episodes", "seconds_contained") == [0]


def test_a_success_at_an_unknown_time_decides_only_where_its_bounds_do(world: World) -> None:
    world.action("i1", at="03-01 10:00", last_update_date_time_utc=None, synced_at="03-01 12:00")
    assert state(world) == ("isolated", True, "i1", "03-01 10:00")
    world.action("r1", "Unisolate", at="03-01 10:30", ended="03-01 11:00")
    assert state(world) == ("unknown", None, "r1", "03-01 11:00")
    world.action("r2", "Unisolate", at="03-01 12:30", ended="03-01 12:40")
    assert state(world) == ("released", False, "r2", "03-01 11:00")


def test_two_effects_of_one_moment_are_told_by_their_requests(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("a release", "Unisolate", at="03-01 10:01", ended="03-01 10:05")
    assert state(world) == ("released", False, "a release", "03-01 10:05")
    world.action("z isolation", at="03-01 10:01", ended="03-01 10:05")
    assert state(world)[:2] == ("unknown", None)


def test_one_machine_id_in_several_tenants_is_several_machines(world: World) -> None:
    world.action("a1", at="03-01 10:00")
    world.action("a1", "Unisolate", at="03-01 11:00", tenant="fabrikam")
    assert world.rows("marts.machine_containment", "tenant", "isolation_state", "known_since") == [
        ("contoso", "isolated", "01-01 00:00"),
        ("fabrikam", "released", "03-01 11:00"),
    ]


def test_an_action_with_no_machine_contains_none(world: World) -> None:
    world.action("a1", at="03-01 10:00", machine_id=None)
    assert world.rows("marts.machine_containment") == []
    assert world.rows("marts.containment_episodes") == []


@pytest.mark.parametrize(
    ("runs", "known_since"),
    [
        ([{"window_start": "02-01 00:00"}, {"window_start": "01-20 00:00"}], "01-20 00:00"),
        ([{"window_start": "01-20 00:00", "status": "failed", "rows_read": 0}], "03-01 10:00"),
        ([{"window_start": "01-20 00:00", "status": "failed", "window_end": "01-21 00:00"}], "01-20 00:00"),
        ([{"window_start": "01-20 00:00", "command": "backfill"}], "03-01 10:00"),
        ([{"window_start": "01-20 00:00", "resource": "investigations"}], "03-01 10:00"),
        ([], "03-01 10:00"),
    ],
)
def test_known_since_is_where_reading_forward_began(
    world: World, runs: list[dict[str, str]], known_since: str
) -> None:
    world.clear()
    for run in runs:
        world.run("03-31 00:00", **run)
    world.action("a1", at="03-01 10:00")
    assert world.rows("marts.machine_containment", "known_since") == [known_since]


@pytest.mark.parametrize(
    ("resource", "known_since"), [("machine_actions", "02-20 00:00"), ("investigations", "01-20 00:00")]
)
def test_known_since_is_the_end_of_the_last_gap(world: World, resource: str, known_since: str) -> None:
    world.clear()
    world.run("03-31 00:00", window_start="01-20 00:00")
    world.insert("gaps", tenant="contoso", resource=resource, ended_at="02-20 00:00")
    world.action("a1", at="03-01 10:00")
    assert world.rows("marts.machine_containment", "known_since") == [known_since]


def test_a_whole_episode(world: World) -> None:
    world.action(
        "i1",
        status="Failed",
        at="03-01 10:00",
        ended="03-01 10:01",
        requestor="ada@contoso.com",
        requestor_comment="beacon",
        computer_dns_name="web1",
    )
    world.action("i2", at="03-01 10:02", ended="03-01 10:10", requestor="bo@contoso.com")
    world.action("r1", "Unisolate", "Failed", at="03-02 10:00", ended="03-02 10:10")
    world.action("r2", "Unisolate", at="03-02 11:00", ended="03-02 11:10", requestor="cy@contoso.com")
    assert world.rows("marts.containment_episodes") == [
        {
            "tenant": "contoso",
            "machine_id": "m1",
            "machine_name": "web1",
            "requested_at": "03-01 10:00",
            "contained_at": "03-01 10:10",
            "release_requested_at": "03-02 10:00",
            "released_at": "03-02 11:10",
            "seconds_to_contain": 600.0,
            "seconds_contained": 90000.0,
            "seconds_to_release": 4200.0,
            "attempts": 2,
            "outcome": "released",
            "is_in_doubt": False,
            "requested_by": "ada@contoso.com",
            "requested_by_kind": "person",
            "comment": "beacon",
            "released_by": "cy@contoso.com",
            "first_action_id": "i1",
            "containing_action_id": "i2",
            "release_action_id": "r2",
            "portal_url": "https://security.microsoft.com/machines/m1",
            "as_of": "03-31 00:00",
        }
    ]


def test_retries_within_24_hours_belong_to_the_episode_and_later_ones_do_not(world: World) -> None:
    world.action("i1", status="Failed", at="03-01 10:00", ended="03-01 10:01")
    world.action("i2", status="Failed", at="03-02 10:00", ended="03-02 10:01")
    world.action("i3", at="03-03 10:00:01", ended="03-03 10:05")
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-01 10:00", None, None, None, 2, "never_contained"),
        ("03-03 10:00:01", "03-03 10:05", None, None, 1, "contained"),
    ]


def test_a_retry_while_the_first_attempt_still_waits_belongs_to_it(world: World) -> None:
    world.action("i1", status="TimeOut", at="03-01 10:00", ended="03-04 10:14")
    world.action("i2", at="03-03 10:00", ended="03-03 10:05")
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-01 10:00", "03-03 10:05", None, None, 2, "contained")
    ]


def test_an_open_isolation_is_a_pending_episode(world: World) -> None:
    world.action("i0", at="03-28 10:00", ended="03-28 10:05")
    world.action("r0", "Unisolate", at="03-29 10:00", ended="03-29 10:05")
    world.action("i1", status="Pending", at="03-30 10:00")
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-28 10:00", "03-28 10:05", "03-29 10:00", "03-29 10:05", 1, "released"),
        ("03-30 10:00", None, None, None, 1, "pending"),
    ]


def test_an_isolation_that_vanished_while_open_is_not_called_never_contained(world: World) -> None:
    world.action("i1", status="Pending", at="03-01 10:00", gone_at="03-20 00:00")
    assert world.rows("marts.containment_episodes", "outcome", "is_in_doubt") == [("pending", True)]


def test_completion_in_another_order_makes_two_episodes(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("i2", at="03-01 10:01", ended="03-01 12:00")
    world.action("r1", "Unisolate", at="03-01 11:00", ended="03-01 11:05")
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-01 10:00", "03-01 10:05", "03-01 11:00", "03-01 11:05", 1, "released"),
        ("03-01 10:01", "03-01 12:00", None, None, 1, "contained"),
    ]


def test_a_second_release_does_not_end_what_is_ended(world: World) -> None:
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("r1", "Unisolate", at="03-01 11:00", ended="03-01 11:05")
    world.action("r2", "Unisolate", at="03-01 11:01", ended="03-01 11:06")
    world.action("i2", at="03-02 10:00", ended="03-02 10:05")
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-01 10:00", "03-01 10:05", "03-01 11:00", "03-01 11:05", 1, "released"),
        ("03-02 10:00", "03-02 10:05", None, None, 1, "contained"),
    ]


def test_a_release_that_is_asked_for_but_not_done_leaves_it_contained(world: World) -> None:
    world.action("i1", at="03-30 10:00", ended="03-30 10:05")
    world.action("r1", "Unisolate", "Pending", at="03-30 20:00")
    assert world.rows("marts.containment_episodes", *EPISODE, "seconds_contained") == [
        ("03-30 10:00", "03-30 10:05", "03-30 20:00", None, 1, "contained", 50100.0)
    ]


def test_an_open_isolation_asked_for_before_the_release_outlives_it(world: World) -> None:
    world.action("i1", at="03-30 10:00", ended="03-30 10:05")
    world.action("i2", status="Pending", at="03-30 10:30")
    world.action("r1", "Unisolate", at="03-30 11:00", ended="03-30 11:05")
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-30 10:00", "03-30 10:05", "03-30 11:00", "03-30 11:05", 1, "released"),
        ("03-30 10:30", None, None, None, 1, "pending"),
    ]


@pytest.mark.parametrize(
    ("status", "ended", "gone_at"),
    [
        ("Failed", "03-11 10:05", None),
        ("TimeOut", "03-14 10:14", None),
        ("Pending", "03-11 10:00", None),
        ("Pending", "03-11 10:00", "03-13 00:00"),
        ("Succeeded", "03-12 11:00", None),
    ],
)
def test_the_first_request_to_release_counts_whatever_came_of_it(
    world: World, status: str, ended: str, gone_at: str | None
) -> None:
    world.action("i1", at="03-10 10:00", ended="03-10 10:05")
    world.action("r1", "Unisolate", status, at="03-11 10:00", ended=ended, gone_at=gone_at)
    world.action("r2", "Unisolate", at="03-12 10:00", ended="03-12 10:05")
    world.action("i2", at="03-20 10:00", ended="03-20 10:05")
    assert world.rows("marts.containment_episodes", *EPISODE, "seconds_to_release") == [
        ("03-10 10:00", "03-10 10:05", "03-11 10:00", "03-12 10:05", 1, "released", 86_700),
        ("03-20 10:00", "03-20 10:05", None, None, 1, "contained", None),
    ]


def test_a_release_that_took_effect_before_the_isolation_did_is_no_request_to_release_it(
    world: World,
) -> None:
    world.action("i1", at="03-10 10:00", ended="03-10 10:30")
    world.action("r0", "Unisolate", "Failed", at="03-10 10:05", ended="03-10 10:06")
    world.action("r1", "Unisolate", at="03-10 10:10", ended="03-10 10:10")
    world.action("r2", "Unisolate", at="03-10 12:00", ended="03-10 12:05")
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-10 10:00", "03-10 10:30", "03-10 12:00", "03-10 12:05", 1, "released")
    ]


def test_a_release_does_not_release_what_was_never_contained(world: World) -> None:
    world.action("i1", status="Failed", at="03-01 10:00", ended="03-01 10:01")
    world.action("r1", "Unisolate", at="03-01 11:00", ended="03-01 11:05")
    assert world.rows("marts.containment_episodes", *EPISODE) == [
        ("03-01 10:00", None, None, None, 1, "never_contained")
    ]


def test_a_failed_release_from_before_the_episode_is_not_part_of_it(world: World) -> None:
    world.action("r0", "Unisolate", "Failed", at="03-01 09:00", ended="03-01 09:01")
    world.action("i1", at="03-01 10:00", ended="03-01 10:05")
    world.action("r1", "Unisolate", at="03-01 11:00", ended="03-01 11:05")
    assert world.rows("marts.containment_episodes", "release_requested_at") == ["03-01 11:00"]


START = datetime(2026, 3, 1, tzinfo=UTC)
KINDS = ("Isolate", "Isolate", "Unisolate", "Unisolate", "Offboard")
STATUSES = ("Succeeded", "Succeeded", "Succeeded", "Failed", "TimeOut", "Cancelled", "Pending")


def test_the_state_and_the_episodes_agree_with_a_replay(world: World) -> None:
    """Random requests on many machines; each one's effects played in order of completion, as with a pencil."""
    chance = random.Random(20261120)  # noqa: S311
    effects: dict[str, list[tuple[datetime, str]]] = {}
    isolations: dict[str, int] = {}
    for case in range(250):
        machine = f"m{case}"
        effects[machine], isolations[machine] = [], 0
        for number in range(chance.randint(1, 7)):
            kind, status = chance.choice(KINDS), chance.choice(STATUSES)
            # Each request has a minute of its own, each effect a second of its own: no ties.
            asked = START + timedelta(hours=chance.randint(0, 30), minutes=number)
            ended = asked + timedelta(hours=chance.randint(0, 12), seconds=number + 1)
            world.action(
                f"{machine} {number}", kind, status, at=shown(asked), ended=shown(ended), machine_id=machine
            )
            isolations[machine] += kind == "Isolate"
            if status == "Succeeded":
                effects[machine].append((ended, kind))

    states = dict(world.rows("marts.machine_containment", "machine_id", "isolation_state"))
    episodes = world.rows("marts.containment_episodes", "machine_id", *EPISODE, "is_in_doubt")
    replayed = {"Isolate": "isolated", "Unisolate": "released", "Offboard": "unknown"}
    for machine, ends in effects.items():
        state_now = replayed[max(ends)[1]] if ends else "no_evidence"
        spells, contained_at = [], None
        for moment, kind in sorted(ends):
            if kind == "Isolate" and contained_at is None:
                contained_at = shown(moment)
            elif kind == "Unisolate" and contained_at is not None:
                spells.append((contained_at, shown(moment)))
                contained_at = None
        if contained_at is not None:
            spells.append((contained_at, None))
        own = [row[1:] for row in episodes if row[0] == machine]
        assert states[machine] == state_now, machine
        assert sorted((row[1], row[3]) for row in own if row[1]) == spells, machine
        assert sum(row[4] for row in own) == isolations[machine], machine
        certain = [row[5] for row in own if not row[6]]
        assert certain.count("contained") == (state_now == "isolated"), machine
        assert {row[5] for row in own} <= {"contained", "released", "never_contained", "pending"}
