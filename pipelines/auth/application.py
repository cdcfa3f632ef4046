"""Client credentials: an application signs in with a secret, a certificate or an assertion."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pipelines.auth.refusals import refused
from pipelines.auth.session import SignInSession, authority, instance_discovery, signing_in
from pipelines.auth.tokens import Grant
from pipelines.settings import TenantSettings

logger = logging.getLogger(__name__)


class ApplicationSignIn:
    """Signs in as the application. `credential` gives what MSAL takes, anew each time: it may be rotated."""

    def __init__(self, tenant: TenantSettings, credential: Callable[[], Any]) -> None:
        self._tenant = tenant
        self._credential = credential

    def __call__(self, *, refused: bool) -> Grant:  # noqa: ARG002  it is a new token in any case
        """A new token."""
        import msal

        tenant = self._tenant
        session = SignInSession(tenant, tenant.login_url)
        with signing_in(tenant, session, tenant.login_url):
            # A new application each time: MSAL would hand out its cached token, also one that was refused.
            application = msal.ConfidentialClientApplication(
                tenant.client_id,
                client_credential=self._credential(),
                authority=authority(tenant),
                instance_discovery=instance_discovery(tenant.login_url),
                http_client=session,
            )
            return granted(tenant, application.acquire_token_for_client(scopes=[tenant.scope]))


def granted(tenant: TenantSettings, answer: Any) -> Grant:
    """The token in MSAL's answer; raises AuthenticationError where there is none."""
    if "access_token" not in answer:
        raise refused(tenant, answer)
    logger.debug("signed in to tenant %s", tenant.name)
    return Grant(str(answer["access_token"]), timedelta(seconds=int(answer.get("expires_in", 3600))))
