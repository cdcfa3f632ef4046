"""Managed identity: the machine in Azure that the program runs on signs in for it."""

from typing import Any

import requests

from pipelines.auth.application import granted
from pipelines.auth.session import SignInSession, signing_in
from pipelines.auth.tokens import Grant
from pipelines.errors import AuthenticationError
from pipelines.settings import TenantSettings

PLACE = "of this machine's identity"


class ManagedIdentitySignIn:
    """Signs in as the machine's own identity, or the user-assigned one that the tenant names."""

    def __init__(self, tenant: TenantSettings) -> None:
        self._tenant = tenant

    def __call__(self, *, refused: bool) -> Grant:  # noqa: ARG002  the machine keeps its own cache
        """A new token, from wherever MSAL finds the machine's identity endpoint."""
        tenant = self._tenant
        session = SignInSession(tenant, "http://localhost")  # never through a proxy
        with signing_in(tenant, session, PLACE):
            answer = self._ask(session)
            if "access_token" not in answer:
                raise _no_identity(tenant, _told(answer))
            return granted(tenant, answer)

    def _ask(self, session: SignInSession) -> Any:
        import msal

        tenant = self._tenant
        named = tenant.managed_identity_client_id
        identity = (
            msal.UserAssignedManagedIdentity(client_id=named)
            if named
            else msal.SystemAssignedManagedIdentity()
        )
        client = msal.ManagedIdentityClient(identity, http_client=session)
        try:
            return client.acquire_token_for_client(resource=tenant.scope.removesuffix("/.default"))
        except msal.ManagedIdentityError as error:
            raise _no_identity(tenant, str(error)) from None
        except requests.HTTPError:
            raise
        except requests.ConnectionError:
            # There is none at the link-local address: no proxy stands in between, and nothing comes later.
            raise AuthenticationError(
                f"tenant {tenant.name}: this machine has no managed identity: give it one in Azure, or choose "
                f"another auth in [tenants.{tenant.name}]"
            ) from None


def _told(answer: Any) -> str:
    return str(answer.get("error_description") or answer.get("error") or "no reason given")


def _no_identity(tenant: TenantSettings, told: str) -> AuthenticationError:
    named = tenant.managed_identity_client_id
    which = f"managed_identity_client_id {named}" if named else "a system-assigned identity"
    lines = told.strip().splitlines() or ["no reason given"]
    return AuthenticationError(
        f"tenant {tenant.name}: sign-in refused: {lines[0][:200]}: assign {which} to this machine"
    )
