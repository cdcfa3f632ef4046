"""Sign-in: who gets a bearer token for the API, and when it is renewed. MSAL throughout.

A token is held in memory only; no message or log line of this module holds a token or a secret.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests

from pipelines.clock import Clock
from pipelines.errors import AuthenticationError, UnavailableError
from pipelines.settings import TenantSettings, is_loopback

logger = logging.getLogger(__name__)

RENEW_BEFORE = timedelta(minutes=5)
TOKEN_TIMEOUT_SECONDS = (10.0, 30.0)
# What to do about the sign-in errors that people meet; the codes are Microsoft Entra's.
REMEDIES = {
    "AADSTS7000215": "the client secret is wrong: copy the secret's value (not its id) again",
    "AADSTS7000222": "the client secret has expired: make a new one in the app registration",
    "AADSTS700016": "client_id names no application of this tenant",
    "AADSTS90002": "tenant_id names no directory",
    "AADSTS500011": "scope names an API that this tenant does not know",
}


class TokenProvider(Protocol):
    """What the client needs of a sign-in."""

    def token(self) -> str:
        """A token that is valid for a while yet."""

    def renew(self, refused: str) -> bool:
        """Drop the token that the API refused; False when a new one cannot be had."""


class GivenToken:
    """A token as it is, such as the Azure CLI gives; it cannot be renewed."""

    def __init__(self, access_token: str) -> None:
        self._token = access_token

    def token(self) -> str:
        """The token."""
        return self._token

    def renew(self, refused: str) -> bool:  # noqa: ARG002
        """Not possible."""
        return False


class ClientSecretToken:
    """Client credentials: an application signs in with its id and secret."""

    def __init__(self, tenant: TenantSettings, clock: Clock) -> None:
        self._tenant = tenant
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at: datetime | None = None
        self._application: Any = None

    def token(self) -> str:
        """The token in hand, or a new one when it is about to expire."""
        with self._lock:
            if self._token is None or self._renew_at is None or self._clock.now() >= self._renew_at:
                self._token, lifetime = self._acquire()
                margin = min(RENEW_BEFORE, lifetime / 2)
                self._renew_at = self._clock.now() + lifetime - margin
            return self._token

    def renew(self, refused: str) -> bool:
        """Drop the refused token, unless another thread has renewed it already."""
        with self._lock:
            if self._token == refused:
                self._token = None
        return True

    def _acquire(self) -> tuple[str, timedelta]:
        import msal

        tenant = self._tenant
        try:
            # A new application each time: MSAL would hand out its cached token, also one that was refused.
            application = msal.ConfidentialClientApplication(
                tenant.client_id,
                client_credential=tenant.client_secret,
                authority=f"{tenant.login_url}/{tenant.tenant_id}",
                instance_discovery=False if is_custom_login(tenant.login_url) else None,
                http_client=_TokenSession(tenant),
            )
            answer = application.acquire_token_for_client(scopes=[tenant.scope])
        except (requests.RequestException, ValueError) as error:
            raise _unreachable(tenant, error) from None
        if "access_token" not in answer:
            raise _refused(tenant, answer)
        logger.debug("signed in to tenant %s", tenant.name)
        return str(answer["access_token"]), timedelta(seconds=int(answer.get("expires_in", 3600)))


def token_provider(tenant: TenantSettings, clock: Clock) -> TokenProvider:
    """The sign-in that the tenant's `auth` names."""
    providers: dict[str, Callable[[], TokenProvider]] = {
        "secret": lambda: ClientSecretToken(tenant, clock),
        "token": lambda: GivenToken(tenant.access_token),
    }
    return providers[tenant.auth]()


class BearerAuth(requests.auth.AuthBase):
    """Puts the token on a request to the configured host, and on no other.

    As an auth object it is not replaced by an entry of ~/.netrc, as a plain header would be.
    """

    def __init__(self, tokens: TokenProvider, api_url: str) -> None:
        self.tokens = tokens
        self._origin = origin(api_url)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        if origin(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self.tokens.token()}"
        return request


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port


def is_custom_login(login_url: str) -> bool:
    """Whether MSAL must not ask Microsoft's public directory about this sign-in address."""
    host = urlsplit(login_url).hostname or ""
    return not host.endswith((".microsoftonline.com", ".microsoftonline.us"))


class _TokenSession(requests.Session):
    """Requests to the token endpoint: with time-outs, the tenant's certificate authorities, and no
    proxy to this machine itself.
    """

    def __init__(self, tenant: TenantSettings) -> None:
        super().__init__()
        self._ca_bundle = tenant.ca_bundle
        if is_loopback(urlsplit(tenant.login_url).hostname or ""):
            self.trust_env = False

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """One request, redirects not followed: the secret goes to the configured host only."""
        kwargs.update(timeout=TOKEN_TIMEOUT_SECONDS, allow_redirects=False)
        if self._ca_bundle:
            kwargs["verify"] = self._ca_bundle
        response = super().request(method, url, *args, **kwargs)
        if response.status_code >= 500 or response.status_code == 429:
            raise requests.HTTPError(f"HTTP {response.status_code}", response=response)
        return response


def _unreachable(tenant: TenantSettings, error: Exception) -> UnavailableError:
    reason = str(error) if isinstance(error, requests.HTTPError) else type(error).__name__
    if isinstance(error, requests.exceptions.SSLError):
        reason = "its certificate is not trusted; name its authority in ca_bundle"
    return UnavailableError(
        f"tenant {tenant.name}: the sign-in address {tenant.login_url} does not answer ({reason}); try again later"
    )


def _refused(tenant: TenantSettings, answer: dict[str, Any]) -> AuthenticationError:
    description = str(answer.get("error_description") or answer.get("error") or "no reason given")
    remedy = next((text for code, text in REMEDIES.items() if code in description), None)
    first_line = description.splitlines()[0]
    told = remedy or first_line.split("Trace ID", maxsplit=1)[0].strip()
    return AuthenticationError(f"tenant {tenant.name}: sign-in refused: {told}")
