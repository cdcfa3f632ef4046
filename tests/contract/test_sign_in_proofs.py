"""The token endpoint looks at every part of a client assertion, and the identity endpoint at its headers.

Assertions are made by hand here: a client that gets one of them wrong must not get a token.
"""

from __future__ import annotations

import base64

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import hashes
from support.credentials import certificate, pem, rsa_key

from simulator import Tenant

RESOURCE = "https://api.securitycenter.microsoft.com"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def caller(serve):
    caller = serve()
    caller.certificate = certificate(rsa_key(), now=caller.clock.now())
    caller.sim.tenants[0].certificates = (pem(caller.certificate),)
    return caller


def assertion(caller, key=None, algorithm="PS256", thumbprint=None, **changed):
    sim = caller.sim
    digest = thumbprint or caller.certificate.fingerprint(hashes.SHA256())
    claims = {
        "aud": f"{sim.url}/{sim.tenant_id}/oauth2/v2.0/token",
        "iss": sim.client_id,
        "sub": sim.client_id,
        "exp": caller.clock.now().timestamp() + 600,
        "jti": "1",
    }
    told = {name: value for name, value in {**claims, **changed}.items() if value is not None}
    headers = {"x5t#S256": base64.urlsafe_b64encode(digest).decode()}
    return jwt.encode(told, key or rsa_key(), algorithm=algorithm, headers=headers)


def ask(caller, proof, kind=JWT_BEARER):
    sim = caller.sim
    form = {
        "grant_type": "client_credentials",
        "client_id": sim.client_id,
        "client_assertion_type": kind,
        "client_assertion": proof,
        "scope": f"{RESOURCE}/.default",
    }
    url = f"{sim.url}/{sim.tenant_id}/oauth2/v2.0/token"
    answer = caller.session.post(url, data=form, verify=sim.ca_bundle, timeout=10).json()
    return answer.get("error_description", "token").split(":")[0]


def test_a_whole_assertion_gets_a_token(caller):
    assert ask(caller, assertion(caller)) == "token"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"key": rsa_key(2)}, "AADSTS700027"),
        ({"algorithm": "RS256"}, "AADSTS700027"),
        ({"thumbprint": b"x" * 32}, "AADSTS700027"),
        ({"aud": "https://login.microsoftonline.com/common"}, "AADSTS700023"),
        ({"aud": None}, "AADSTS700023"),
        ({"iss": "somebody"}, "AADSTS700021"),
        ({"sub": None}, "AADSTS700021"),
        ({"exp": None}, "AADSTS700024"),
        ({"exp": 1_700_000_000}, "AADSTS700024"),
        ({"nbf": 4_000_000_000}, "AADSTS700024"),
        ({"jti": None}, "AADSTS50027"),
    ],
)
def test_an_assertion_with_one_thing_wrong_gets_none(caller, changed, code):
    assert ask(caller, assertion(caller, **changed)) == code


def test_an_assertion_of_an_ended_certificate_gets_none(caller):
    caller.clock.advance(days=366)
    assert ask(caller, assertion(caller)) == "AADSTS700027"


def test_what_is_no_assertion_gets_none(caller):
    assert ask(caller, "nonsense") == "AADSTS50027"
    assert ask(caller, assertion(caller), kind="") == "AADSTS900144"


# --- identity endpoints ---------------------------------------------------------------------------


def identity(caller, path, headers, **params):
    return caller.session.get(
        caller.sim.url + path, params=params, headers=headers, verify=caller.sim.ca_bundle, timeout=10
    )


@pytest.mark.parametrize(
    ("headers", "params", "told"),
    [
        ({}, {"resource": RESOURCE, "api-version": "2018-02-01"}, "Required metadata header not specified"),
        (
            {"Metadata": "true"},
            {"resource": RESOURCE},
            "Required parameter 'resource' or 'api-version' is missing",
        ),
        (
            {"Metadata": "true"},
            {"resource": RESOURCE, "api-version": "1", "client_id": "x"},
            "Identity not found",
        ),
    ],
)
def test_imds_refuses_what_it_would(serve, headers, params, told):
    caller = serve(tenants=[Tenant(identities=("",))])
    answer = identity(caller, "/metadata/identity/oauth2/token", headers, **params)
    assert (answer.status_code, answer.json()["error_description"]) == (400, told)


def test_app_service_wants_its_header(serve):
    caller = serve(tenants=[Tenant(identities=("",))])
    params = {"resource": RESOURCE, "api-version": "2019-08-01"}
    assert identity(caller, "/msi/token", {"X-IDENTITY-HEADER": "guess"}, **params).status_code == 401
    good = {"X-IDENTITY-HEADER": caller.sim.machine.app_service_header}
    answer = identity(caller, "/msi/token", good, **params)
    assert answer.status_code == 200
    assert caller.get("/api/machineactions", token=answer.json()["access_token"]).status_code == 200


def test_a_job_s_assertion_is_for_the_audience_that_it_asked_for(serve):
    caller = serve()
    answer = identity(
        caller,
        "/job/idtoken",
        {"Authorization": f"Bearer {caller.sim.issuer.request_token}"},
        audience="api://x",
    )
    claims = jwt.decode(answer.json()["value"], caller.sim.issuer.public_key, ["RS256"], audience="api://x",
                        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False})  # fmt: skip
    assert (claims["sub"], claims["iss"]) == (caller.sim.issuer.subject, caller.sim.issuer.url)
    assert requests.codes.ok == answer.status_code
