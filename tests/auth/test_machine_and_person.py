"""A machine's managed identity, and a person who signs in once with a device code."""

from __future__ import annotations

import os

import pytest

from pipelines.auth import token_provider
from pipelines.auth.device_code import is_signed_in, sign_in
from pipelines.errors import AuthenticationError
from simulator import Tenant

USER_ASSIGNED = "5e7f0000-0000-4000-8000-00000a551600"


# --- managed identity -----------------------------------------------------------------------------


@pytest.fixture(params=["imds", "app_service"])
def machine(stage, monkeypatch, request):
    """The machine that the program runs on has both kinds of identity."""
    stage.tenant.identities = ("", USER_ASSIGNED)
    if request.param == "imds":
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", stage.sim.url)
    else:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{stage.sim.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", stage.sim.machine.app_service_header)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # must not be asked
    return stage


@pytest.mark.parametrize("client_id", ["", USER_ASSIGNED])
def test_a_managed_identity_opens_both_lists(machine, client_id):
    token = machine.token(
        "managed_identity", managed_identity_client_id=client_id, tenant_id="", client_id=""
    )
    assert machine.opens(token) == [200, 200]
    assert (machine.asked("identity"), machine.asked()) == (1, 0)


def test_an_identity_that_the_machine_does_not_have_is_named(machine):
    machine.tenant.identities = ("",)
    with pytest.raises(AuthenticationError) as caught:
        machine.token("managed_identity", managed_identity_client_id=USER_ASSIGNED)
    assert str(caught.value).endswith(f": assign managed_identity_client_id {USER_ASSIGNED} to this machine")


def test_a_machine_without_an_identity_is_told_so(stage, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")
    with pytest.raises(AuthenticationError) as caught:
        stage.token("managed_identity")
    assert str(caught.value) == (
        "tenant contoso: this machine has no managed identity: give it one in Azure, or choose another auth in "
        "[tenants.contoso]"
    )


# --- device code ----------------------------------------------------------------------------------


@pytest.fixture
def person(stage, tmp_path):
    """The tenant's settings, and a person who approves each code as soon as it is told."""
    stage.tenant.device_code_interval_seconds = 1
    settings = stage.settings("device_code", token_cache=str(tmp_path / "data" / "tokens" / "contoso.json"))
    told = []

    def approve(message):
        told.append(message)
        [code] = stage.sim.people.waiting()
        assert code in message
        stage.sim.people.approve(code)

    stage.told, stage.approve = told, approve
    return settings


def why(run):
    with pytest.raises(AuthenticationError) as caught:
        run()
    return str(caught.value).removeprefix("tenant contoso: ")


def test_a_person_who_signed_in_once_is_not_asked_again(stage, person):
    assert not is_signed_in(person)
    sign_in(person, stage.clock, stage.approve)
    assert len(stage.told) == 1
    assert stage.waits == [1]
    before = stage.asked()
    for _ in range(2):
        assert stage.opens(token_provider(person, stage.clock).token()) == [200, 200]
    assert stage.asked() == before, "the cache on disk has a token that is good for an hour"


def test_the_cache_is_its_owner_s_only(stage, person):
    umask = os.umask(0)
    try:
        sign_in(person, stage.clock, stage.approve)
    finally:
        os.umask(umask)
    path = os.path.realpath(person.token_cache)
    assert [os.stat(each).st_mode & 0o777 for each in (path, os.path.dirname(path))] == [0o600, 0o700]
    assert os.listdir(os.path.dirname(path)) == ["contoso.json"]


def test_an_expired_or_refused_token_is_renewed_without_a_person(stage, person):
    stage.tenant.token_lifetime_seconds = 60  # less than MSAL keeps one for
    sign_in(person, stage.clock, stage.approve)
    asked = stage.asked()
    tokens = token_provider(person, stage.clock)
    first = tokens.token()
    assert stage.asked() == asked + 1
    stage.sim.tokens.revoke_all()
    assert stage.opens(first) == [401, 401]
    assert tokens.renew(first)
    assert stage.opens(tokens.token()) == [200, 200]
    assert (len(stage.told), stage.asked()) == (1, asked + 2)


def test_without_a_person_a_run_says_what_to_do(stage, person):
    assert why(token_provider(person, stage.clock).token) == (
        "nobody is signed in: run defender-sync doctor --tenant contoso in a terminal"
    )


def test_a_revoked_sign_in_says_what_to_do(stage, person):
    stage.tenant.token_lifetime_seconds = 60
    sign_in(person, stage.clock, stage.approve)
    stage.sim.people.revoke_all()
    assert why(token_provider(person, stage.clock).token) == (
        "sign-in refused: the person's sign-in was revoked; sign in again: run defender-sync doctor --tenant "
        "contoso in a terminal (AADSTS50173)"
    )


def test_a_cache_that_was_cut_off_is_nobody_signed_in(stage, person):
    sign_in(person, stage.clock, stage.approve)
    with open(person.token_cache, "r+") as file:
        file.truncate(40)
    assert not is_signed_in(person)
    sign_in(person, stage.clock, stage.approve)
    assert is_signed_in(person)


def test_who_declines_or_waits_too_long_is_not_signed_in(stage, person):
    def decline(_message):
        stage.sim.people.decline(stage.sim.people.waiting()[-1])

    assert why(lambda: sign_in(person, stage.clock, decline)) == (
        "sign-in refused: the person declined to sign in (AADSTS65004)"
    )
    stage.tenant.device_code_seconds = 0
    assert why(lambda: sign_in(person, stage.clock, lambda _message: None)) == (
        "sign-in refused: the code was not entered in time (AADSTS70020)"
    )
    assert not os.path.exists(person.token_cache)


def test_an_application_must_allow_people_without_a_secret(stage, person):
    stage.tenant.allows_public_client = False
    assert why(lambda: sign_in(person, stage.clock, stage.approve)).startswith(
        "sign-in refused: the application may not sign people in without a secret: allow public client flows"
    )


def test_a_person_sees_what_they_were_delegated(stage, person):
    stage.tenant.delegated = ("Machine.Read",)
    sign_in(person, stage.clock, stage.approve)
    assert stage.opens(token_provider(person, stage.clock).token()) == [200, 403]


def test_a_tenant_by_default_has_no_identity_and_one_public_application():
    assert (Tenant().identities, Tenant().federated, Tenant().certificates) == ((), (), ())
