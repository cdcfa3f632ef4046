"""The token endpoint: OpenID discovery, the grants, and what a bearer token is worth.

Owns issuing and checking tokens. How an application proves itself is in `proofs`, how a person does in
`people`; a new grant is a new method beside `client_credentials`. Never serves a record.
Tokens are signed with a key that is made at start (HS256; the real ones are RS256, and no client looks).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from simulator.issuer import Issuer
from simulator.oauth import OAuthError
from simulator.people import People, Person, require_application
from simulator.proofs import Asked, prove
from simulator.tenants import Tenant

AUDIENCE = "https://api.securitycenter.microsoft.com"
AUDIENCES = (
    AUDIENCE,
    "https://api.security.microsoft.com",
    "https://api-gcc.securitycenter.microsoft.us",
    "https://api-gov.securitycenter.microsoft.us",
)
SCOPES = tuple(f"{audience}/.default" for audience in AUDIENCES)
DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
# What MSAL asks for beside the API's scope, so that a person stays signed in.
RESERVED_SCOPES = frozenset({"openid", "profile", "offline_access"})


class BadTokenError(Exception):
    """The bearer token is missing, not ours, expired or revoked; its text says which."""


@dataclass(frozen=True)
class Holder:
    """What a good token says of its holder: roles of an application, or scopes delegated by a person."""

    tenant: Tenant
    client_id: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...] = ()


class TokenOffice:
    """Issues tokens to the tenants' applications and checks them."""

    def __init__(self, tenants: Mapping[str, Tenant], now: Callable[[], datetime], issuer: Issuer) -> None:
        self._tenants = tenants
        self._now = now
        self._issuer = issuer
        self._key = secrets.token_bytes(32)
        self.people = People(now)
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

    def token(self, tenant_id: str, form: Mapping[str, str], login_url: str) -> dict[str, Any]:
        """The answer to a token request; raises `OAuthError`."""
        tenant = self._tenant(tenant_id)
        token_url = f"{login_url}/{tenant.tenant_id}/oauth2/v2.0/token"
        grants: dict[str, Callable[[Tenant, Asked], dict[str, Any]]] = {
            "client_credentials": self.client_credentials,
            DEVICE_CODE_GRANT: self.device_code,
            "refresh_token": self.refresh_token,
        }
        grant = form.get("grant_type")
        if grant is None:
            text = "The request body must contain the following parameter: 'grant_type'."
            raise OAuthError(400, "invalid_request", 900144, text)
        if grant not in grants:
            text = f"The app requested an unsupported grant type '{grant}'."
            raise OAuthError(400, "unsupported_grant_type", 70003, text)
        return grants[grant](tenant, Asked(form, token_url, self._now()))

    def client_credentials(self, tenant: Tenant, asked: Asked) -> dict[str, Any]:
        """A token for the application itself; raises `OAuthError`."""
        require_application(tenant, asked.form.get("client_id", ""))
        prove(tenant, asked, self._issuer)
        return self._answer(tenant, self.issue(tenant, aud=_audience(asked.form)))

    def device_code(self, tenant: Tenant, asked: Asked) -> dict[str, Any]:
        """A token for the person who approved a device code; raises `OAuthError` while nobody has."""
        code = asked.form.get("device_code", "")
        person, audience = self.people.redeem_code(tenant, asked.form.get("client_id", ""), code)
        return self._delegated(tenant, audience, person)

    def refresh_token(self, tenant: Tenant, asked: Asked) -> dict[str, Any]:
        """A new token for a person who stayed signed in; raises `OAuthError`."""
        token = asked.form.get("refresh_token", "")
        person = self.people.redeem_refresh_token(tenant, asked.form.get("client_id", ""), token)
        return self._delegated(tenant, _audience(asked.form), person)

    def request_device_code(self, tenant_id: str, form: Mapping[str, str], login_url: str) -> dict[str, Any]:
        """The answer to a client that wants a person to sign in; raises `OAuthError`."""
        tenant = self._tenant(tenant_id)
        return self.people.device_code(tenant, form.get("client_id", ""), _audience(form), login_url)

    def issue_for_machine(self, tenant: Tenant, client_id: str, resource: str) -> str:
        """A token for a managed identity."""
        return self.issue(tenant, appid=client_id, aud=resource)

    def _delegated(self, tenant: Tenant, audience: str, person: Person) -> dict[str, Any]:
        scopes = " ".join(tenant.delegated)
        claims = {"scp": scopes, "upn": person.username, "oid": person.object_id, "roles": None}
        answer = self._answer(tenant, self.issue(tenant, aud=audience, **claims))
        session = self.people.session(tenant, person, lambda **ids: self.issue(tenant, **ids))
        told = [f"{audience}/{scope}" for scope in (*tenant.delegated, ".default")]
        return {**answer, **session, "scope": " ".join(told)}

    def _answer(self, tenant: Tenant, access_token: str) -> dict[str, Any]:
        lifetime = tenant.token_lifetime_seconds
        return {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": access_token,
        }

    def issue(self, tenant: Tenant, **claims: Any) -> str:
        """A signed token; `claims` replace or add to the usual ones, and None takes one out."""
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
        told = {name: value for name, value in {**payload, **claims}.items() if value is not None}
        return jwt.encode(told, self._key, algorithm="HS256")

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
                audience=AUDIENCES,
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as problem:
            raise BadTokenError("The token is malformed or not signed by a trusted issuer.") from problem
        if claims["exp"] <= self._now().timestamp() or int(claims["uti"]) <= self._revoked:
            raise BadTokenError("The token has expired.")
        tenant = self._tenants.get(claims["tid"])
        if tenant is None:
            raise BadTokenError("The token's tenant is not known.")
        scopes = tuple(claims.get("scp", "").split())
        return Holder(tenant, claims["appid"], tuple(claims.get("roles", ())), scopes)

    def _tenant(self, tenant_id: str) -> Tenant:
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            text = (
                f"Tenant '{tenant_id}' not found. Check to make sure you have the correct tenant ID "
                "and are signing into the correct cloud."
            )
            raise OAuthError(400, "invalid_request", 90002, text)
        return tenant


def _audience(form: Mapping[str, str]) -> str:
    """The API that the form asks a token for; raises `OAuthError`."""
    scope = " ".join(part for part in form.get("scope", "").split() if part not in RESERVED_SCOPES)
    if scope not in SCOPES:
        text = f"The provided value for the input parameter 'scope' is not valid: {scope}."
        raise OAuthError(400, "invalid_scope", 70011, text)
    return scope.removesuffix("/.default")
