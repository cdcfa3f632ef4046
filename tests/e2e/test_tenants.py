"""Tenants and resources that fail alone, and lists that are not offered."""

from __future__ import annotations

import pytest
from support.records import NOW, action, ago, investigation

from simulator import ScriptedWorld, Status


def small_world(name: str) -> ScriptedWorld:
    return ScriptedWorld(
        [action(f"{name} a", ago(hours=3))], [investigation("77", ago(hours=3), computerDnsName=name)]
    )


@pytest.fixture
def two(open_stage):
    return open_stage({"contoso": small_world("contoso"), "fabrikam": small_world("fabrikam")})


@pytest.fixture
def world() -> ScriptedWorld:
    return small_world("contoso")


def statuses(stage) -> dict[tuple[str, str], str]:
    """The run log: the status of each tenant and resource."""
    rows = stage.warehouse().rows("select tenant, resource, status from defender.sync_runs")
    return {(row["tenant"], row["resource"]): row["status"] for row in rows}


def test_a_first_sync_that_reads_nothing_leaves_what_was_published(open_stage):
    stage = open_stage(ScriptedWorld([action("a1", ago(days=1))]), publishes=True)
    stage.sync().assert_ok()
    (stage.data_dir / "warehouse.duckdb").unlink()
    stage.sim.faults.add(Status(403), on="any", times=None)
    assert stage.sync().exit_code == 3
    assert stage.published().one("select count(*) from marts.machine_actions") == 1


def test_two_tenants_stand_side_by_side_also_where_their_ids_are_the_same(two):
    two.sync().assert_ok()
    assert two.loaded("investigations", "contoso")["77"]["computer_dns_name"] == "contoso"
    assert two.loaded("investigations", "fabrikam")["77"]["computer_dns_name"] == "fabrikam"
    two.assert_in_step()


def test_one_tenant_that_cannot_sign_in_fails_alone(two):
    two.tenants["fabrikam"].secret_expired = True
    done = two.sync()
    assert done.exit_code == 5
    assert statuses(two) == {
        ("contoso", "machine_actions"): "succeeded",
        ("contoso", "investigations"): "succeeded",
        ("fabrikam", "machine_actions"): "failed",
        ("fabrikam", "investigations"): "failed",
    }
    assert two.loaded("machine_actions").keys() == {"contoso a"}
    assert two.loaded("machine_actions", "fabrikam") == {}
    assert "fabrikam" in str(done.error(tenant="fabrikam"))
    assert two.tenants["fabrikam"].client_secret not in str(done.error(tenant="fabrikam"))

    two.tenants["fabrikam"].secret_expired = False
    two.clock.advance(minutes=5)
    two.sync().assert_ok()
    two.assert_in_step()


def test_all_tenants_that_cannot_sign_in_end_in_the_code_of_authentication(two):
    for tenant in two.tenants.values():
        tenant.secret_expired = True
    assert two.sync().exit_code == 3


def test_only_the_tenants_asked_for_are_read(two):
    two.sync(tenants=("fabrikam",)).assert_ok()
    assert two.loaded("machine_actions") == {}
    assert two.loaded("machine_actions", "fabrikam").keys() == {"fabrikam a"}


@pytest.mark.parametrize("status", [404, 410])
def test_investigations_that_are_not_offered_are_a_warning(stage, status):
    rule = stage.sim.faults.add(Status(status), on="investigations", times=None)
    done = stage.sync()
    assert rule.fired == 1
    assert done.exit_code == 0
    assert statuses(stage) == {
        ("contoso", "machine_actions"): "succeeded",
        ("contoso", "investigations"): "unavailable",
    }
    assert stage.watermark("investigations") is None
    stage.assert_in_step(["machine_actions"], again=False)

    stage.sim.faults.clear()
    stage.sync().assert_ok()
    assert stage.loaded("investigations").keys() == {"77"}


def test_investigations_without_permission_leave_machine_actions_alone(stage):
    stage.tenants["contoso"].roles = ("Machine.Read.All",)
    done = stage.sync()
    assert done.exit_code == 5
    assert statuses(stage) == {
        ("contoso", "machine_actions"): "succeeded",
        ("contoso", "investigations"): "failed",
    }
    message = str(done.error("investigations"))
    assert "403" in message
    assert "Alert.Read.All" in message
    stage.assert_in_step(["machine_actions"], again=False)


def test_no_permission_at_all_ends_in_the_code_of_authentication(stage):
    stage.tenants["contoso"].roles = ()
    done = stage.sync()
    assert done.exit_code == 3
    assert "Machine.Read.All" in str(done.error())


def test_a_permission_given_with_the_read_write_role_is_enough(stage):
    stage.tenants["contoso"].roles = ("Machine.ReadWrite.All", "Alert.ReadWrite.All")
    stage.sync().assert_ok()


def test_an_api_that_refuses_the_filter_on_null_is_noted_and_no_failure(stage):
    rule = stage.sim.faults.add(
        Status(400),
        on="investigations",
        times=None,
        when=lambda call: "null" in call.params.get("$filter", ""),
    )
    stage.sync().assert_ok()
    assert rule.fired == 1
    assert stage.loaded("investigations").keys() == {"77"}


def test_an_api_that_refuses_the_windows_fails_that_resource(stage):
    rule = stage.sim.faults.add(Status(400), times=None)
    done = stage.sync()
    assert rule.fired > 0
    assert done.exit_code == 5
    assert "400" in str(done.error())
    assert stage.watermark() is None
    assert stage.watermark("investigations") == NOW


def test_an_api_that_is_down_ends_in_the_code_of_unavailable(stage):
    stage.sim.faults.add(
        Status(503), on="any", times=None, when=lambda call: call.endpoint not in ("token", "discovery")
    )
    done = stage.sync()
    assert done.exit_code == 4
    assert stage.watermark() is None
