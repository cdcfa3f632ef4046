"""An application signs in by secret, certificate or workload identity: real MSAL, real checks of signatures."""

from __future__ import annotations

import jwt
import pytest
from support.credentials import (
    PASSWORD,
    certificate,
    ec_key,
    key_pem,
    pem,
    pem_file,
    pfx_file,
    rsa_key,
)

from pipelines.errors import AuthenticationError, ConfigurationError, UnavailableError
from simulator import FederatedCredential, Status

SUBJECT = "system:serviceaccount:contoso:defender-sync"


def refusal(stage, auth, **keys):
    with pytest.raises(AuthenticationError) as caught:
        stage.token(auth, **keys)
    assert caught.value.exit_code == 3
    return str(caught.value).removeprefix("tenant contoso: ")


def complaint(stage, **keys):
    with pytest.raises(ConfigurationError) as caught:
        stage.token("certificate", **keys)
    assert stage.asked() == 0, "the file is looked at before anybody is called"
    return str(caught.value).removeprefix("tenants.contoso.")


# --- secret ---------------------------------------------------------------------------------------


def test_a_secret_opens_both_lists(stage):
    assert stage.opens(stage.token("secret", client_secret=stage.sim.client_secret)) == [200, 200]
    assert stage.asked() == 1


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"client_secret": "wrong"},
            "the client secret is wrong: copy the secret's value (not its id) again (AADSTS7000215)",
        ),
        (
            {"client_id": "00000000-0000-4000-8000-000000000000"},
            "client_id names no application of this tenant (AADSTS700016)",
        ),
        ({"tenant_id": "nowhere.contoso.com"}, "tenant_id names no directory (AADSTS90002)"),
        (
            {"scope": "https://graph.microsoft.com/.default"},
            "scope is not one that this cloud knows (AADSTS70011)",
        ),
    ],
)
def test_a_refused_secret_tells_what_to_mend(stage, keys, told):
    given = {"client_secret": stage.sim.client_secret, **keys}
    assert refusal(stage, "secret", **given) == f"sign-in refused: {told}"


def test_an_expired_secret_is_told_from_a_wrong_one(stage):
    stage.tenant.secret_expired = True
    assert refusal(stage, "secret", client_secret=stage.sim.client_secret) == (
        "sign-in refused: the client secret has expired: make a new one in the app registration (AADSTS7000222)"
    )


def test_what_is_not_known_is_told_in_microsoft_s_own_words(stage):
    body = b'{"error": "x", "error_description": "AADSTS12345: Something new. Trace ID: 1\\r\\nmore"}'
    stage.sim.faults.add(Status(400, body=body), "token")
    assert refusal(stage, "secret", client_secret="any") == "sign-in refused: AADSTS12345: Something new."


def test_an_answer_that_is_no_sign_in_address_s_is_unavailable(stage):
    page = Status(200, body=b"<html>Welcome to the hotel</html>", content_type="text/html")
    stage.sim.faults.add(page, "discovery", times=None)
    with pytest.raises(UnavailableError, match="a proxy or portal may be in between"):
        stage.token("secret", client_secret="any")


# --- certificate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", PASSWORD])
@pytest.mark.parametrize("write", [pem_file, pfx_file])
def test_a_certificate_opens_both_lists(stage, tmp_path, write, password):
    made = certificate(rsa_key())
    stage.tenant.certificates = (pem(certificate(rsa_key(2))), pem(made))
    path = write(tmp_path / "app", rsa_key(), made, password)
    token = stage.token("certificate", certificate_path=str(path), certificate_password=password)
    assert stage.opens(token) == [200, 200]


def test_a_certificate_that_the_application_does_not_have_is_refused(stage, tmp_path):
    stage.tenant.certificates = (pem(certificate(rsa_key(2))),)
    path = pem_file(tmp_path / "app.pem", rsa_key(), certificate(rsa_key()))
    assert refusal(stage, "certificate", certificate_path=str(path)) == (
        "sign-in refused: the certificate is not one of the application's: upload its public half to the app "
        "registration, and look at its end date (AADSTS700027)"
    )


def test_an_ended_certificate_is_told_before_anybody_is_called(stage, tmp_path):
    path = pem_file(tmp_path / "app.pem", rsa_key(), certificate(rsa_key(), days=-1))
    told = refusal(stage, "certificate", certificate_path=str(path))
    assert told.startswith(f"the certificate in {path} ended on 20")
    assert told.endswith("make a new one and upload its public half to the app registration")
    assert stage.asked() == 0


def test_a_renewed_certificate_file_is_taken_up_without_a_restart(stage, tmp_path):
    path = pem_file(tmp_path / "app.pem", rsa_key(), certificate(rsa_key()))
    assert "AADSTS700027" in refusal(stage, "certificate", certificate_path=str(path))
    made = certificate(rsa_key(2))
    stage.tenant.certificates = (pem(made),)
    pem_file(path, rsa_key(2), made)
    assert stage.opens(stage.token("certificate", certificate_path=str(path))) == [200, 200]


@pytest.mark.parametrize(
    ("write", "password", "told"),
    [
        (lambda path: path.write_text("nonsense"), "", "certificate_path: {path} is no PEM or PFX file that can be "
         "read; one that is encrypted needs certificate_password"),
        (lambda path: path.write_text(pem(certificate(rsa_key()))), "",
         "certificate_path: {path} must hold both a certificate and its private key"),
        (lambda path: path.write_text(key_pem(rsa_key())), "",
         "certificate_path: {path} must hold both a certificate and its private key"),
        (lambda path: pem_file(path, rsa_key(), certificate(rsa_key(2))), "",
         "certificate_path: {path} the first certificate is not the private key's"),
        (lambda path: pem_file(path, ec_key(), certificate(ec_key())), "",
         "certificate_path: {path} must hold an RSA key; Microsoft Entra takes no other"),
        (lambda path: pem_file(path, rsa_key(), certificate(rsa_key()), PASSWORD), "",
         "certificate_password: the private key is encrypted: give it"),
        (lambda path: pem_file(path, rsa_key(), certificate(rsa_key())), "needless",
         "certificate_password: the private key is not encrypted: leave it out"),
        (lambda path: pem_file(path, rsa_key(), certificate(rsa_key()), PASSWORD), "wrong",
         "certificate_password: does not open {path}"),
        (lambda path: pfx_file(path, rsa_key(), certificate(rsa_key()), PASSWORD), "wrong",
         "certificate_password: does not open {path}"),
        (lambda path: pfx_file(path, rsa_key(), certificate(rsa_key()), PASSWORD), "",
         "certificate_path: {path} is no PEM or PFX file that can be read; one that is encrypted needs "
         "certificate_password"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_serve_is_a_matter_of_configuration(stage, tmp_path, write, password, told):
    path = tmp_path / "app"
    write(path)
    found = complaint(stage, certificate_path=str(path), certificate_password=password)
    assert found == told.format(path=path)


# --- federated ------------------------------------------------------------------------------------


@pytest.fixture
def assertion_file(stage, tmp_path):
    stage.tenant.federated = (FederatedCredential(stage.sim.issuer.url, SUBJECT),)
    path = tmp_path / "assertion"
    path.write_text(stage.sim.issuer.assertion(SUBJECT) + "\n")
    return path


def test_an_assertion_file_opens_both_lists(stage, assertion_file):
    assert stage.opens(stage.token("federated", federated_token_file=str(assertion_file))) == [200, 200]


def test_the_assertion_file_may_be_named_by_the_platform(stage, assertion_file, monkeypatch):
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(assertion_file))
    assert stage.opens(stage.token("federated")) == [200, 200]


def test_the_assertion_is_read_again_at_each_renewal(stage, assertion_file):
    from pipelines.auth import token_provider

    tokens = token_provider(
        stage.settings("federated", federated_token_file=str(assertion_file)), stage.clock
    )
    first = tokens.token()
    assertion_file.write_text("rotated.to.nonsense")
    tokens.renew(first)
    with pytest.raises(AuthenticationError):
        tokens.token()


@pytest.mark.parametrize(
    ("subject", "claims", "code"),
    [
        ("system:serviceaccount:contoso:other", {}, "AADSTS700213"),
        (SUBJECT, {"iss": "https://elsewhere.contoso.com"}, "AADSTS700211"),
        (SUBJECT, {"aud": "api://other"}, "AADSTS700212"),
        (SUBJECT, {"exp": 1_700_000_000}, "AADSTS700024"),
        (SUBJECT, {"exp": None}, "AADSTS700024"),
    ],
)
def test_an_assertion_that_is_not_trusted_tells_why(stage, assertion_file, subject, claims, code):
    made = stage.sim.issuer.assertion(subject, **claims) if claims.get("exp", 1) else ""
    if not made:
        whole = jwt.decode(stage.sim.issuer.assertion(subject), options={"verify_signature": False})
        del whole["exp"]
        from simulator.issuer import _signing_key

        made = jwt.encode(whole, _signing_key(), algorithm="RS256")
    assertion_file.write_text(made)
    assert f"({code})" in refusal(stage, "federated", federated_token_file=str(assertion_file))


def test_an_assertion_signed_by_somebody_else_is_refused(stage, assertion_file):
    claims = jwt.decode(assertion_file.read_text().strip(), options={"verify_signature": False})
    assertion_file.write_text(jwt.encode(claims, rsa_key(), algorithm="RS256"))
    told = refusal(stage, "federated", federated_token_file=str(assertion_file))
    assert told == (
        "sign-in refused: the assertion's signature is not its issuer's: check federated_token_file (AADSTS50013)"
    )


def test_a_missing_or_empty_assertion_file_is_named(stage, assertion_file):
    keys = {"federated_token_file": str(assertion_file)}
    assertion_file.write_text("")
    assert refusal(stage, "federated", **keys) == (
        f"the assertion file {assertion_file} is empty: the platform has not written it yet"
    )
    assertion_file.unlink()
    assert refusal(stage, "federated", **keys) == (
        f"the assertion file {assertion_file} cannot be read (No such file or directory): "
        "check federated_token_file"
    )


def test_a_job_of_github_actions_asks_for_its_assertion(stage, monkeypatch):
    issuer = stage.sim.issuer
    stage.tenant.federated = (FederatedCredential(issuer.url, issuer.subject),)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{stage.sim.url}/job/idtoken?api-version=2.0")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", issuer.request_token)
    assert stage.opens(stage.token("federated")) == [200, 200]
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "wrong")
    assert refusal(stage, "federated") == (
        "the job is given no assertion (HTTP 401): set 'permissions: id-token: write' in the workflow"
    )
