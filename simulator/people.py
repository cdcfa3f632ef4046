"""People who sign in with a device code, and the refresh tokens by which they stay signed in.

Owns the codes, their states (waiting → approved or declined → used; or run out) and the refresh tokens. It
issues no access token: it says whose it would be. `approve` and `decline` are what a person does in a browser.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from simulator.oauth import OAuthError
from simulator.tenants import Tenant


@dataclass
class Person:
    """Who signed in."""

    username: str
    object_id: str


@dataclass
class _Request:
    client_id: str
    audience: str
    expires_at: datetime
    person: Person | None = None
    declined: bool = False


class People:
    """The device codes and refresh tokens of one simulator."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._requests: dict[str, _Request] = {}
        self._device_codes: dict[str, str] = {}
        self._refresh_tokens: dict[str, Person] = {}

    def device_code(self, tenant: Tenant, client_id: str, audience: str, login_url: str) -> dict[str, Any]:
        """The answer to a client that wants a person to sign in; raises `OAuthError`."""
        require_public_client(tenant, client_id)
        device_code, user_code = secrets.token_urlsafe(32), secrets.token_hex(4).upper()
        seconds = tenant.device_code_seconds
        self._requests[user_code] = _Request(client_id, audience, self._now() + timedelta(seconds=seconds))
        self._device_codes[device_code] = user_code
        address = f"{login_url}/common/oauth2/deviceauth"
        return {
            "user_code": user_code,
            "device_code": device_code,
            "verification_uri": address,
            "expires_in": seconds,
            "interval": tenant.device_code_interval_seconds,
            "message": (
                f"To sign in, use a web browser to open the page {address} and enter the code "
                f"{user_code} to authenticate."
            ),
        }

    def waiting(self) -> list[str]:
        """The user codes that nobody has entered yet."""
        return [
            code
            for code, request in list(self._requests.items())
            if request.person is None and not request.declined
        ]

    def approve(self, user_code: str, username: str = "analyst@contoso.com") -> None:
        """A person enters the code and signs in."""
        object_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, username))
        self._requests[user_code].person = Person(username, object_id)

    def decline(self, user_code: str) -> None:
        """A person enters the code and refuses."""
        self._requests[user_code].declined = True

    def revoke_all(self) -> None:
        """From now on, every refresh token issued so far is refused."""
        self._refresh_tokens.clear()

    def redeem_code(self, tenant: Tenant, client_id: str, device_code: str) -> tuple[Person, str]:
        """Who approved the device code, and for which API; raises `OAuthError` while nobody has."""
        require_public_client(tenant, client_id)
        request = self._requests.get(self._device_codes.get(device_code, ""))
        if request is None or request.client_id != client_id:
            text = "The device code is not known or was used already."
            raise OAuthError(400, "bad_verification_code", 70019, text)
        if request.declined:
            text = "The person declined to sign in."
            raise OAuthError(400, "authorization_declined", 65004, text)
        if request.person is None and request.expires_at <= self._now():
            raise OAuthError(400, "expired_token", 70020, "The provided value for the code is expired.")
        if request.person is None:
            text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling."
            raise OAuthError(400, "authorization_pending", 70016, text)
        del self._requests[self._device_codes.pop(device_code)]
        return request.person, request.audience

    def redeem_refresh_token(self, tenant: Tenant, client_id: str, refresh_token: str) -> Person:
        """Whose refresh token it is; raises `OAuthError`."""
        require_public_client(tenant, client_id)
        person = self._refresh_tokens.get(refresh_token)
        if person is None:
            text = "The provided grant has expired due to it being revoked, a fresh auth token is needed."
            raise OAuthError(400, "invalid_grant", 50173, text)
        return person

    def session(self, tenant: Tenant, person: Person, id_token: Callable[..., str]) -> dict[str, Any]:
        """What an answer to a person holds beside the access token: who it is, and a new refresh token."""
        refresh_token = secrets.token_urlsafe(32)
        self._refresh_tokens[refresh_token] = person
        client_info = {"uid": person.object_id, "utid": tenant.tenant_id}
        return {
            "refresh_token": refresh_token,
            "client_info": base64.urlsafe_b64encode(json.dumps(client_info).encode()).rstrip(b"=").decode(),
            "id_token": id_token(
                aud=tenant.client_id,
                sub=person.object_id,
                oid=person.object_id,
                preferred_username=person.username,
            ),
        }


def require_public_client(tenant: Tenant, client_id: str) -> None:
    """Raises `OAuthError` unless the application is this tenant's and may sign people in without a secret."""
    require_application(tenant, client_id)
    if not tenant.allows_public_client:
        text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
        raise OAuthError(401, "invalid_client", 7000218, text)


def require_application(tenant: Tenant, client_id: str) -> None:
    """Raises `OAuthError` unless the application is this tenant's."""
    if client_id != tenant.client_id:
        text = (
            f"Application with identifier '{client_id}' was not found in the directory '{tenant.tenant_id}'."
        )
        raise OAuthError(400, "unauthorized_client", 700016, text)
