"""The token endpoint: OpenID discovery, client credentials, and what a bearer token is worth.

Owns issuing and checking tokens. A new way to prove who one is goes into `_PROOFS` (the form fields by which
it is known → its check); a new grant is a new method beside `client_credentials`. Never serves a record.
Tokens are signed with a key that is made at start (HS256; the real ones are RS256, and no client looks).
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from simulator.tenants import Tenant

AUDIENCE = "https://api.securitycenter.microsoft.com"
SCOPES = (
    "https://api.securitycenter.microsoft.com/.default",
    "https://api.security.microsoft.com/.default",
    "https://api-gcc.securitycenter.microsoft.us/.default",
    "https://api-gov.securitycenter.microsoft.us/.default",
)


class OAuthError(Exception):
    """An answer of the token endpoint that is no token: OAuth's error name and Azure's code and text."""

    def __init__(self, status: int, error: str, code: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.code = code
        self.text = text

    def body(self, now: datetime) -> dict[str, Any]:
        trace, correlation = uuid.uuid4(), uuid.uuid4()
        stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
        return {
            "error": self.error,
            "error_description": (
                f"AADSTS{self.code}: {self.text} Trace ID: {trace} "
                f"Correlation ID: {correlation} Timestamp: {stamp}"
            ),
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": str(trace),
            "correlation_id": str(correlation),
            "error_uri": f"https://login.microsoftonline.com/error?code={self.code}",
        }


class BadTokenError(Exception):
    """The bearer token is missing, not ours, expired or revoked; its text says which."""


@dataclass(frozen=True)
class Holder:
    """What a good token says of its holder."""

    tenant: Tenant
    client_id: str
    roles: tuple[str, ...]


class TokenOffice:
    """Issues tokens to the tenants' applications and checks them."""

    def __init__(self, tenants: Mapping[str, Tenant], now: Callable[[], datetime]) -> None:
        self._tenants = tenants
        self._now = now
        self._key = secrets.token_bytes(32)
        self._issued = 0
        self._revoked = 0

    def discovery(self, tenant_id: str, login_url: str) -> dict[str, Any]:
        """The OpenID configuration that MSAL asks for before its first token."""
        tenant = self._tenant(tenant_id)
        base = f"{login_url}/{tenant.tenant_id}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": [
                "client_secret_post",
                "private_key_jwt",
                "client_secret_basic",
            ],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "tenant_region_scope": "NA",
            "cloud_instance_name": "microsoftonline.com",
        }

    def token(self, tenant_id: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The answer to a token request; raises `OAuthError`."""
        tenant = self._tenant(tenant_id)
        grant = form.get("grant_type")
        if grant is None:
            text = "The request body must contain the following parameter: 'grant_type'."
            raise OAuthError(400, "invalid_request", 900144, text)
        if grant != "client_credentials":
            text = f"The app requested an unsupported grant type '{grant}'."
            raise OAuthError(400, "unsupported_grant_type", 70003, text)
        return self.client_credentials(tenant, form)

    def client_credentials(self, tenant: Tenant, form: Mapping[str, str]) -> dict[str, Any]:
        """A token for the application itself; raises `OAuthError`."""
        client = form.get("client_id", "")
        if client != tenant.client_id:
            text = (
                f"Application with identifier '{client}' was not found in the directory '{tenant.tenant_id}'."
            )
            raise OAuthError(400, "unauthorized_client", 700016, text)
        _prove(tenant, form)
        scope = form.get("scope", "")
        if scope not in SCOPES:
            text = f"The provided value for the input parameter 'scope' is not valid: {scope}."
            raise OAuthError(400, "invalid_scope", 70011, text)
        lifetime = tenant.token_lifetime_seconds
        return {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": self.issue(tenant),
        }

    def issue(self, tenant: Tenant, **claims: Any) -> str:
        """A signed token; `claims` replace or add to the usual ones."""
        now = self._now()
        self._issued += 1
        payload = {
            "aud": AUDIENCE,
            "iss": f"https://sts.windows.net/{tenant.tenant_id}/",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=tenant.token_lifetime_seconds)).timestamp()),
            "appid": tenant.client_id,
            "tid": tenant.tenant_id,
            "roles": list(tenant.roles),
            "uti": str(self._issued),
            "ver": "1.0",
        }
        return jwt.encode({**payload, **claims}, self._key, algorithm="HS256")

    def revoke_all(self) -> None:
        """From now on, every token issued so far is refused."""
        self._revoked = self._issued

    def check(self, authorization: str | None) -> Holder:
        """Who holds the token of an Authorization header; raises `BadTokenError`."""
        if authorization is None or not authorization.startswith("Bearer "):
            raise BadTokenError("The request has no bearer token.")
        try:
            claims = jwt.decode(
                authorization.removeprefix("Bearer "),
                self._key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as problem:
            raise BadTokenError("The token is malformed or not signed by a trusted issuer.") from problem
        if claims["exp"] <= self._now().timestamp() or int(claims["uti"]) <= self._revoked:
            raise BadTokenError("The token has expired.")
        tenant = self._tenants.get(claims["tid"])
        if tenant is None:
            raise BadTokenError("The token's tenant is not known.")
        return Holder(tenant, claims["appid"], tuple(claims.get("roles", ())))

    def _tenant(self, tenant_id: str) -> Tenant:
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            text = (
                f"Tenant '{tenant_id}' not found. Check to make sure you have the correct tenant ID "
                "and are signing into the correct cloud."
            )
            raise OAuthError(400, "invalid_request", 90002, text)
        return tenant


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


_PROOFS: dict[str, Callable[[Tenant, Mapping[str, str]], None]] = {"client_secret": _prove_by_secret}


def _prove(tenant: Tenant, form: Mapping[str, str]) -> None:
    for field, proof in _PROOFS.items():
        if field in form:
            proof(tenant, form)
            return
    text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
    raise OAuthError(401, "invalid_client", 7000218, text)
