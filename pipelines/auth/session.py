"""Requests to a sign-in address, as MSAL makes them: how long they may take, whom they trust, what they mean.

Follows no redirect: a secret goes to the configured host only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests

from pipelines.auth.refusals import refused
from pipelines.errors import ConfigurationError, DefenderSyncError, UnavailableError
from pipelines.settings import TenantSettings, is_loopback

TIMEOUT_SECONDS = (10.0, 30.0)


class SignInSession(requests.Session):
    """A session with time-outs and the tenant's certificate authorities. `refusal` is the last error's body."""

    def __init__(self, tenant: TenantSettings, url: str) -> None:
        super().__init__()
        self.refusal: dict[str, Any] = {}
        self._ca_bundle = tenant.ca_bundle
        # Loopback is reached without a proxy; nor must a ~/.netrc add anything to a request there.
        self.trust_env = not is_loopback(urlsplit(url).hostname or "")

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """One request; 429 and 5xx raise HTTPError, as MSAL would take them for a refusal."""
        kwargs.update(timeout=TIMEOUT_SECONDS, allow_redirects=False)
        if self._ca_bundle:
            # Given with the request, so that REQUESTS_CA_BUNDLE does not replace it.
            kwargs["verify"] = self._ca_bundle
        response = super().request(method, url, *args, **kwargs)
        if response.status_code >= 500 or response.status_code == 429:
            raise requests.HTTPError(f"HTTP {response.status_code}", response=response)
        if response.status_code >= 400:
            self.refusal = _body(response)
        return response


def _body(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def instance_discovery(login_url: str) -> bool | None:
    """False where MSAL must not ask Microsoft's public directory about the sign-in address."""
    host = urlsplit(login_url).hostname or ""
    return None if host.endswith((".microsoftonline.com", ".microsoftonline.us")) else False


def authority(tenant: TenantSettings) -> str:
    """The directory's address, as MSAL wants it."""
    if not tenant.login_url.startswith("https://"):
        raise ConfigurationError(f"tenants.{tenant.name}.login_url: MSAL signs in over https:// only")
    return f"{tenant.login_url}/{tenant.tenant_id}"


@contextmanager
def signing_in(tenant: TenantSettings, session: SignInSession, url: str) -> Iterator[None]:
    """Turn whatever MSAL raises into our errors, and close the session."""
    try:
        yield
    except DefenderSyncError:
        raise
    except requests.RequestException as error:
        raise _unreachable(tenant, url, error) from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        # MSAL looks up the directory first, and has only a ValueError for one that there is not.
        if session.refusal:
            raise refused(tenant, session.refusal) from None
        raise _unreachable(tenant, url, error) from None
    finally:
        session.close()


def _unreachable(tenant: TenantSettings, url: str, error: Exception) -> UnavailableError:
    reason = str(error) if isinstance(error, requests.HTTPError) else type(error).__name__
    if isinstance(error, requests.exceptions.SSLError):
        reason = "its certificate is not trusted; name its authority in ca_bundle"
    elif not isinstance(error, requests.RequestException):
        reason = "its answer is not one of a sign-in address; a proxy or portal may be in between"
    return UnavailableError(
        f"tenant {tenant.name}: the sign-in address {url} does not answer ({reason}); try again later"
    )
