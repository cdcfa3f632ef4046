"""Who may ask a simulator: tenants, their application, and what it is allowed to do.

Owns the credentials (samples, worthless outside) and roles. Never issues or checks a token.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.rows import INVESTIGATIONS, MACHINE_ACTIONS, AnyWorld

# Either role lets an application read the resource; in the order of the service's own error text.
ROLES_WANTED = {
    MACHINE_ACTIONS: ("Machine.Read.All", "Machine.ReadWrite.All"),
    INVESTIGATIONS: ("Alert.Read.All", "Alert.ReadWrite.All"),
}
# The same for a person, who is delegated permissions by `scp` rather than roles.
SCOPES_WANTED = {
    MACHINE_ACTIONS: ("Machine.Read", "Machine.ReadWrite"),
    INVESTIGATIONS: ("Alert.Read", "Alert.ReadWrite"),
}
SYSTEM_ASSIGNED = ""


@dataclass(frozen=True)
class FederatedCredential:
    """Whose assertions the application trusts in place of a secret: those of `issuer` about `subject`."""

    issuer: str
    subject: str


@dataclass
class Tenant:
    """One tenant and its application. A test may change any field while the simulator runs.

    `world` is the simulator's own when None. `roles` go into an application's tokens as they are issued,
    `delegated` into a person's. `certificates` are PEM texts, the application's public halves.
    `identities` are client ids of the machine's managed identities ("" is the system-assigned one).
    """

    tenant_id: str = "1a2b3c4d-0000-4000-8000-00000c047050"
    client_id: str = "0d15ea5e-0000-4000-8000-00000de40a99"
    client_secret: str = "simulated~secret.worthless-elsewhere"  # noqa: S105 - a sample
    roles: tuple[str, ...] = ("Machine.Read.All", "Alert.Read.All")
    secret_expired: bool = False
    token_lifetime_seconds: int = 3_600
    world: AnyWorld | None = None
    certificates: tuple[str, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()
    identities: tuple[str, ...] = ()
    delegated: tuple[str, ...] = ("Machine.Read", "Alert.Read")
    allows_public_client: bool = True
    device_code_seconds: int = 900
    device_code_interval_seconds: int = 5
