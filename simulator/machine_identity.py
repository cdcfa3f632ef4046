"""The identity endpoints that a machine of Azure has on itself, both of them: IMDS's and App Service's.

Owns which requests they take and how they refuse. Tokens come from the tenant that has the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from simulator.tenants import SYSTEM_ASSIGNED, Tenant

Reply = tuple[dict[str, Any], int]


@dataclass
class MachineIdentity:
    """The identities of the machine that the simulator runs on.

    issue: gives a token of a tenant for a resource. app_service_header: the secret of App Service's endpoint.
    """

    tenants: Sequence[Tenant]
    issue: Callable[[Tenant, str, str], str]
    now: Callable[[], datetime]
    app_service_header: str = field(default_factory=lambda: uuid4().hex)

    def imds(self, headers: Mapping[str, str], params: Mapping[str, str]) -> Reply:
        """`/metadata/identity/oauth2/token`, as a virtual machine has it at a link-local address."""
        if headers.get("metadata") != "true":
            return _imds_error("Required metadata header not specified"), 400
        if "resource" not in params or "api-version" not in params:
            return _imds_error("Required parameter 'resource' or 'api-version' is missing"), 400
        tenant = self._owner(params)
        if tenant is None:
            return _imds_error("Identity not found"), 400
        return self._token(tenant, params), 200

    def app_service(self, headers: Mapping[str, str], params: Mapping[str, str]) -> Reply:
        """`IDENTITY_ENDPOINT`, as App Service, Functions and Container Apps have it."""
        if headers.get("x-identity-header") != self.app_service_header:
            return {"statusCode": 401, "message": "Unauthorized"}, 401
        tenant = self._owner(params)
        if tenant is None:
            text = "No User Assigned or Delegated Managed Identity found for specified ClientId."
            return {"statusCode": 400, "message": text}, 400
        return self._token(tenant, params), 200

    def _owner(self, params: Mapping[str, str]) -> Tenant | None:
        wanted = params.get("client_id", SYSTEM_ASSIGNED)
        return next((tenant for tenant in self.tenants if wanted in tenant.identities), None)

    def _token(self, tenant: Tenant, params: Mapping[str, str]) -> dict[str, Any]:
        client_id = params.get("client_id") or tenant.client_id
        lifetime = timedelta(seconds=tenant.token_lifetime_seconds)
        return {
            "access_token": self.issue(tenant, client_id, params["resource"]),
            "client_id": client_id,
            "expires_in": str(tenant.token_lifetime_seconds),
            "expires_on": str(int((self.now() + lifetime).timestamp())),
            "resource": params["resource"],
            "token_type": "Bearer",
        }


def _imds_error(text: str) -> dict[str, Any]:
    return {"error": "invalid_request", "error_description": text}
