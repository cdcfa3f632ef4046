"""Sign-in: who gets a bearer token for the API, and when it is renewed. MSAL throughout.

    token_provider ─ tokens.RenewedToken ─┬ application       secret, certificate, federated
                                          ├ managed_identity  the machine's own
                                          └ device_code       a person, who is asked once

No message or log line of this package holds a token or a secret. Tokens are held in memory; only a person's
sign-in is kept on disk, in a file of its owner's only.
"""

from collections.abc import Callable

from pipelines.auth.application import ApplicationSignIn
from pipelines.auth.bearer import BearerAuth, origin
from pipelines.auth.certificate import certificate_credential
from pipelines.auth.device_code import PersonSignIn
from pipelines.auth.federated import federated_credential
from pipelines.auth.managed_identity import ManagedIdentitySignIn
from pipelines.auth.tokens import GivenToken, RenewedToken, SignIn, TokenProvider
from pipelines.clock import Clock
from pipelines.settings import TenantSettings

__all__ = ["BearerAuth", "TokenProvider", "origin", "token_provider"]


def token_provider(tenant: TenantSettings, clock: Clock) -> TokenProvider:
    """The sign-in that the tenant's `auth` names. Asks nobody for anything yet."""
    if tenant.auth == "token":
        return GivenToken(tenant.access_token)
    sign_ins: dict[str, Callable[[], SignIn]] = {
        "secret": lambda: ApplicationSignIn(tenant, lambda: tenant.client_secret),
        "certificate": lambda: ApplicationSignIn(tenant, lambda: certificate_credential(tenant, clock.now())),
        "federated": lambda: ApplicationSignIn(tenant, lambda: federated_credential(tenant)),
        "managed_identity": lambda: ManagedIdentitySignIn(tenant),
        "device_code": lambda: PersonSignIn(tenant),
    }
    return RenewedToken(sign_ins[tenant.auth](), clock)
