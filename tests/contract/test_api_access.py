"""Tokens, roles, limits and clocks (facts: "Authentication", "Errors", "Service behaviour")."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import jwt
import msal
import pytest
import requests

from simulator import Limits, ScriptedWorld, Tenant

LISTS = ["/api/machineactions", "/api/investigations"]


def aadsts(answer):
    return answer.json()["error_description"].split(":")[0]


def test_msal_gets_a_token_that_opens_the_list(serve):
    caller = serve()
    sim = caller.sim
    app = msal.ConfidentialClientApplication(
        sim.client_id,
        client_credential=sim.client_secret,
        authority=f"{sim.url}/{sim.tenant_id}",
        instance_discovery=False,
        http_client=_trusting(sim.ca_bundle),
    )
    answer = app.acquire_token_for_client(["https://api.securitycenter.microsoft.com/.default"])
    assert "access_token" in answer, answer
    assert caller.get("/api/machineactions", token=answer["access_token"]).status_code == 200


def _trusting(ca_bundle):
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_bundle
    return session


def test_a_token_says_for_whom_and_for_how_long(serve):
    caller = serve()
    answer = caller.ask_token()
    assert answer.status_code == 200
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 3600)
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["aud"] == "https://api.securitycenter.microsoft.com"
    assert (claims["tid"], claims["appid"]) == (caller.sim.tenant_id, caller.sim.client_id)
    assert claims["roles"] == ["Machine.Read.All", "Alert.Read.All"]
    assert claims["exp"] == int(caller.clock.now().timestamp()) + 3600


@pytest.mark.parametrize(
    ("changed", "status", "error", "code"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", "AADSTS7000215"),
        ({"client_id": "11111111-0000-4000-8000-000000000000"}, 400, "unauthorized_client", "AADSTS700016"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", "AADSTS70003"),
        ({"scope": "https://graph.microsoft.com/.default"}, 400, "invalid_scope", "AADSTS70011"),
        ({"tenant_id": "contoso.example"}, 400, "invalid_request", "AADSTS90002"),
    ],
)
def test_a_bad_token_request_is_refused_as_azure_does(serve, changed, status, error, code):
    answer = serve().ask_token(**changed)
    assert (answer.status_code, answer.json()["error"], aadsts(answer)) == (status, error, code)
    assert "access_token" not in answer.json()


def test_an_expired_secret_is_told_from_a_wrong_one(serve):
    caller = serve(tenants=[Tenant(secret_expired=True)])
    answer = caller.ask_token()
    assert (answer.status_code, aadsts(answer)) == (401, "AADSTS7000222")


def test_discovery_names_the_token_endpoint_and_refuses_an_unknown_tenant(serve):
    caller = serve()
    sim = caller.sim
    found = caller.get(f"/{sim.tenant_id}/v2.0/.well-known/openid-configuration", token="").json()
    assert found["token_endpoint"] == f"{sim.url}/{sim.tenant_id}/oauth2/v2.0/token"
    missing = caller.get("/nobody/v2.0/.well-known/openid-configuration", token="")
    assert (missing.status_code, aadsts(missing)) == (400, "AADSTS90002")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_without_a_good_token_the_answer_is_401(serve, path, token):
    answer = serve().get(path, token=token)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "Unauthorized"


def test_a_token_lasts_for_an_hour_by_the_server_s_clock(serve):
    caller = serve()
    token = caller.sim.issue_token()
    caller.clock.advance(seconds=3599)
    assert caller.get(LISTS[0], token=token).status_code == 200
    caller.clock.advance(seconds=1)
    assert caller.get(LISTS[0], token=token).status_code == 401


def test_a_token_of_another_simulator_or_audience_is_refused(serve):
    one, other = serve(), serve()
    assert one.get(LISTS[0], token=other.sim.issue_token()).status_code == 401
    assert one.get(LISTS[0], token=one.sim.issue_token(aud="https://graph.microsoft.com")).status_code == 401


def test_a_403_says_which_roles_are_wanted_and_held(serve):
    caller = serve(tenants=[Tenant(roles=("Machine.Isolate",))])
    messages = [caller.get(path).json()["error"]["message"] for path in LISTS]
    assert caller.get(LISTS[0]).status_code == 403
    assert messages == [
        "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All, "
        "application roles: Machine.Isolate.",
        "Missing application roles. API required roles: Alert.Read.All,Alert.ReadWrite.All, "
        "application roles: Machine.Isolate.",
    ]


@pytest.mark.parametrize(
    ("roles", "statuses"),
    [
        (("Machine.Read.All",), [200, 403]),
        (("Machine.ReadWrite.All",), [200, 403]),
        (("Alert.Read.All",), [403, 200]),
        (("Alert.ReadWrite.All", "Machine.ReadWrite.All"), [200, 200]),
    ],
)
def test_each_resource_wants_its_own_role(serve, roles, statuses):
    caller = serve(tenants=[Tenant(roles=roles)])
    assert [caller.get(path).status_code for path in LISTS] == statuses


def test_an_error_carries_code_message_and_a_correlation_guid(serve):
    error = serve().get(LISTS[0], token="bad").json()["error"]
    assert set(error) == {"code", "message", "target"}
    assert len(error["target"]) == 36


def statuses(caller, count, path=LISTS[0]):
    return [caller.get(path, top=1).status_code for _ in range(count)]


def test_the_hundred_and_first_call_within_a_minute_is_a_429_with_retry_after(serve):
    caller = serve(limits=Limits())
    assert statuses(caller, 100) == [200] * 100
    refused = caller.get(LISTS[0])
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert refused.json()["error"]["code"] == "TooManyRequests"
    caller.clock.advance(seconds=59)
    premature = caller.get(LISTS[0])
    assert (premature.status_code, premature.headers["Retry-After"]) == (429, "1")
    caller.clock.advance(seconds=1)
    assert statuses(caller, 1) == [200]


def test_the_hourly_limit_can_ask_for_most_of_an_hour(serve):
    caller = serve(limits=Limits(per_minute=10, per_hour=30))
    for _ in range(3):
        assert statuses(caller, 10) == [200] * 10
        caller.clock.advance(minutes=1)
    refused = caller.get(LISTS[0])
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, str(57 * 60))


def test_limits_count_for_each_api_and_tenant_apart(serve):
    second = Tenant(tenant_id="22222222-0000-4000-8000-000000000000", client_id="c2")
    caller = serve(limits=Limits(per_minute=2), tenants=[Tenant(), second])
    assert statuses(caller, 3) == [200, 200, 429]
    assert caller.get("/api/machineactions/x").status_code == 429
    assert statuses(caller, 3, LISTS[1]) == [200, 200, 429]
    assert caller.get(LISTS[0], token=caller.sim.issue_token(second)).status_code == 200


def test_no_limits_unless_asked_for(serve):
    assert set(statuses(serve(), 120)) == {200}


def test_tenants_have_worlds_of_their_own(serve, action):
    second = Tenant(tenant_id="t2", client_id="c2", world=ScriptedWorld([action("theirs")]))
    caller = serve(ScriptedWorld([action("ours")]), tenants=[Tenant(), second])
    found = caller.get(LISTS[0], token=caller.sim.issue_token(second)).json()["value"]
    assert [row["id"] for row in found] == ["theirs"]
    assert [row["id"] for row in caller.actions()] == ["ours"]
    assert [call.tenant_id for call in caller.sim.requests] == ["t2", caller.sim.tenant_id]


@pytest.mark.parametrize("token", [None, "bad"])
def test_the_date_header_is_the_server_s_clock(serve, token):
    caller = serve()
    caller.clock.set(datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
    answer = caller.get(LISTS[0], token=token)
    assert parsedate_to_datetime(answer.headers["Date"]) == caller.clock.now()
    assert answer.headers["Date"].count(",") == 1


def test_a_server_clock_that_differs_moves_date_world_and_tokens(serve, action):
    world = ScriptedWorld()
    caller = serve(world)
    world.put_action(action("later"), visible_from=caller.clock.now() + timedelta(minutes=30))
    token = caller.sim.issue_token()
    assert caller.actions() == []
    caller.sim.faults.clock_offset = timedelta(hours=1)
    assert len(caller.actions()) == 1
    answer = caller.get(LISTS[0], token=token)
    assert answer.status_code == 401
    assert parsedate_to_datetime(answer.headers["Date"]) == caller.clock.now() + timedelta(hours=1)


def test_the_certificate_is_not_trusted_without_the_ca_bundle(serve):
    caller = serve()
    with pytest.raises(requests.exceptions.SSLError):
        caller.session.get(caller.sim.url, timeout=5)
