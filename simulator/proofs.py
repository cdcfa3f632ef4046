"""How an application proves who it is at the token endpoint: a secret, or a signed assertion.

Owns the checks and Azure's codes for what is wrong. Never issues a token. Assertions come in two kinds: signed
with the application's own certificate, or by an issuer that the application trusts (workload identity).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from jwt.types import Options

from simulator.issuer import EXCHANGE_AUDIENCE, Issuer
from simulator.oauth import OAuthError
from simulator.tenants import Tenant

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LEEWAY = timedelta(minutes=5)
_UNVERIFIED: Options = {"verify_signature": False}
_SIGNATURE_ONLY: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}


@dataclass(frozen=True)
class Asked:
    """One token request: its form, the address it was sent to, and the server's time."""

    form: Mapping[str, str]
    token_url: str
    now: datetime


def prove(tenant: Tenant, asked: Asked, issuer: Issuer) -> None:
    """Returns when the form proves that its sender is the tenant's application; raises `OAuthError`."""
    proofs: dict[str, Callable[[], None]] = {
        "client_secret": lambda: _prove_by_secret(tenant, asked.form),
        "client_assertion": lambda: _prove_by_assertion(tenant, asked, issuer),
    }
    for field, proof in proofs.items():
        if field in asked.form:
            proof()
            return
    text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
    raise OAuthError(401, "invalid_client", 7000218, text)


def _prove_by_secret(tenant: Tenant, form: Mapping[str, str]) -> None:
    if form["client_secret"] != tenant.client_secret:
        text = (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client "
            f"secret value, not the client secret ID, for a secret added to app '{tenant.client_id}'."
        )
        raise OAuthError(401, "invalid_client", 7000215, text)
    if tenant.secret_expired:
        text = f"The provided client secret keys for app '{tenant.client_id}' are expired."
        raise OAuthError(401, "invalid_client", 7000222, text)


def _prove_by_assertion(tenant: Tenant, asked: Asked, issuer: Issuer) -> None:
    if asked.form.get("client_assertion_type") != JWT_BEARER:
        text = f"The client_assertion_type must be '{JWT_BEARER}'."
        raise OAuthError(400, "invalid_request", 900144, text)
    assertion = asked.form["client_assertion"]
    try:
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(assertion, options=_UNVERIFIED)
    except jwt.InvalidTokenError:
        text = "Client assertion is not a well-formed token."
        raise OAuthError(401, "invalid_client", 50027, text) from None
    if "x5t#S256" in header:
        _check_certificate(tenant, assertion, header, asked.now)
        _check_own_claims(tenant, claims, asked)
    else:
        _check_federation(tenant, assertion, claims, issuer)
    _check_times(claims, asked.now)


def _check_certificate(tenant: Tenant, assertion: str, header: Mapping[str, Any], now: datetime) -> None:
    """The certificate is found by its SHA-256 thumbprint; the signature must be its key's, by PS256."""
    wanted = str(header["x5t#S256"]).rstrip("=")  # MSAL leaves the padding on, others do not
    certificate = next((each for each in _loaded(tenant) if _thumbprint(each) == wanted), None)
    if certificate is None:
        reason = f"The key was not found., Thumbprint of key used by client: '{wanted}'"
        raise _signature_error(700027, reason)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise _signature_error(700027, "The key used is expired.")
    if header["alg"] != "PS256":
        raise _signature_error(700027, f"The algorithm '{header['alg']}' is not accepted.")
    try:
        jwt.decode(assertion, certificate.public_key(), algorithms=["PS256"], options=_SIGNATURE_ONLY)  # type: ignore[arg-type]
    except jwt.InvalidTokenError:
        raise _signature_error(700027, "The provided signature value did not match.") from None


def _check_own_claims(tenant: Tenant, claims: Mapping[str, Any], asked: Asked) -> None:
    if not claims.get("iss") == claims.get("sub") == tenant.client_id:
        text = "Client assertion application identifier doesn't match 'client_id' parameter."
        raise OAuthError(401, "invalid_client", 700021, text)
    if claims.get("aud") != asked.token_url:
        text = f"Client assertion audience claim does not match Realm issuer '{asked.token_url}'."
        raise OAuthError(401, "invalid_client", 700023, text)
    if not isinstance(claims.get("jti"), str) or not claims["jti"]:
        raise OAuthError(401, "invalid_client", 50027, "Client assertion has no 'jti' claim.")


def _check_federation(tenant: Tenant, assertion: str, claims: Mapping[str, Any], issuer: Issuer) -> None:
    told = f"presented assertion {{}} '{{}}' for application '{tenant.client_id}'"
    trusted = [each for each in tenant.federated if each.issuer == claims.get("iss")]
    if not trusted:
        text = "No matching federated identity record found for " + told.format("issuer", claims.get("iss"))
        raise OAuthError(401, "invalid_client", 700211, text)
    if claims.get("sub") not in [each.subject for each in trusted]:
        text = "No matching federated identity record found for " + told.format("subject", claims.get("sub"))
        raise OAuthError(401, "invalid_client", 700213, text)
    if claims.get("aud") != EXCHANGE_AUDIENCE:
        text = "No matching federated identity record found for " + told.format("audience", claims.get("aud"))
        raise OAuthError(401, "invalid_client", 700212, text)
    try:
        jwt.decode(assertion, issuer.public_key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
    except jwt.InvalidTokenError:
        raise _signature_error(50013, "The provided signature value did not match.") from None


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    """`exp` must be there and ahead; `nbf`, where it is, behind."""
    moment = now.timestamp()
    leeway = LEEWAY.total_seconds()
    if not claims.get("exp", 0) + leeway > moment or claims.get("nbf", 0) - leeway > moment:
        text = "Client assertion is not within its valid time range. Ensure that the access token is not expired."
        raise OAuthError(401, "invalid_client", 700024, text)


def _signature_error(code: int, reason: str) -> OAuthError:
    what = "Client assertion" if code == 700027 else "Assertion"
    return OAuthError(401, "invalid_client", code, f"{what} failed signature validation. [Reason - {reason}]")


def _loaded(tenant: Tenant) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(pem.encode()) for pem in tenant.certificates]


def _thumbprint(certificate: x509.Certificate) -> str:
    return base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
