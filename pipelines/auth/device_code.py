"""A person signs in with a device code, once; the token cache on disk keeps them signed in.

A sync never asks anybody: it renews silently from the cache. `sign_in` is for a command in a terminal.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.auth.application import granted
from pipelines.auth.refusals import refused
from pipelines.auth.session import SignInSession, authority, instance_discovery, signing_in
from pipelines.auth.tokens import Grant
from pipelines.clock import Clock
from pipelines.errors import AuthenticationError, DefenderSyncError, WarehouseError
from pipelines.settings import TenantSettings

WAITING = ("authorization_pending", "slow_down")


class PersonSignIn:
    """Signs in as the person who did so before; raises AuthenticationError where nobody did."""

    def __init__(self, tenant: TenantSettings) -> None:
        self._tenant = tenant

    def __call__(self, *, refused: bool) -> Grant:
        """A token from the cache, or a new one by the refresh token in it."""
        tenant = self._tenant
        cache = _TokenCacheFile(Path(tenant.token_cache))
        session = SignInSession(tenant, tenant.login_url)
        with signing_in(tenant, session, tenant.login_url):
            application = _application(tenant, cache, session)
            answer = None
            for account in application.get_accounts()[:1]:
                answer = application.acquire_token_silent_with_error(
                    [tenant.scope], account, force_refresh=refused
                )
            cache.save()
        if answer is None:
            raise AuthenticationError(
                f"tenant {tenant.name}: nobody is signed in: run defender-sync doctor --tenant {tenant.name} "
                "in a terminal"
            )
        return granted(tenant, answer)


def is_signed_in(tenant: TenantSettings) -> bool:
    """Whether a token can be had without asking anybody. Raises UnavailableError."""
    try:
        PersonSignIn(tenant)(refused=False)
    except AuthenticationError:
        return False
    return True


def sign_in(tenant: TenantSettings, clock: Clock, tell: Callable[[str], object]) -> None:
    """Ask a person to sign in, by `tell`, and wait until they have.

    Raises AuthenticationError where they decline or take too long.
    """
    cache = _TokenCacheFile(Path(tenant.token_cache))
    session = SignInSession(tenant, tenant.login_url)
    with signing_in(tenant, session, tenant.login_url):
        application = _application(tenant, cache, session)
        flow = application.initiate_device_flow([tenant.scope])
        if "user_code" not in flow:
            raise refused(tenant, flow)
        tell(str(flow.get("message") or f"Open {flow.get('verification_uri')}, enter {flow['user_code']}"))
        answer = {"error": WAITING[0]}
        while answer.get("error") in WAITING:
            clock.sleep(flow["interval"])
            answer = application.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True)
        granted(tenant, answer)
        cache.save()


def _application(tenant: TenantSettings, cache: "_TokenCacheFile", session: SignInSession) -> Any:
    import msal

    return msal.PublicClientApplication(
        tenant.client_id,
        authority=authority(tenant),
        instance_discovery=instance_discovery(tenant.login_url),
        http_client=session,
        token_cache=cache.tokens,
    )


class _TokenCacheFile:
    """MSAL's token cache in a file that only its owner reads, replaced in one rename."""

    def __init__(self, path: Path) -> None:
        import msal

        self.tokens = msal.SerializableTokenCache()
        self._path = path
        try:
            self.tokens.deserialize(path.read_text())
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._trouble("read", error) from None
        except ValueError:
            return  # a file that was cut off: nobody is signed in

    def save(self) -> None:
        """Write what changed."""
        if not self.tokens.has_state_changed:
            return
        fresh = self._path.with_name(f".{self._path.name}.new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(self.tokens.serialize())
            fresh.replace(self._path)
        except OSError as error:
            raise self._trouble("written", error) from None

    def _trouble(self, done: str, error: OSError) -> DefenderSyncError:
        return WarehouseError(f"the token cache {self._path} cannot be {done}: {error.strerror}")
