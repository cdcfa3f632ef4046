"""What a refused sign-in means and how to mend it, by Microsoft Entra's codes. Pure; holds no secret."""

import re
from collections.abc import Mapping
from typing import Any

from pipelines.errors import AuthenticationError
from pipelines.plain_text import plain
from pipelines.settings import TenantSettings

LONGEST_REASON = 300
CODE = re.compile(r"AADSTS\d+")
SIGN_IN_AGAIN = "sign in again: run defender-sync doctor --tenant {tenant} in a terminal"
# Source: the list of Entra's error codes, and the texts that come with them.
REMEDIES = {
    "AADSTS7000215": "the client secret is wrong: copy the secret's value (not its id) again",
    "AADSTS7000222": "the client secret has expired: make a new one in the app registration",
    "AADSTS7000112": "the application is disabled: enable it in its enterprise application",
    "AADSTS7000218": "the application may not sign people in without a secret: allow public client flows in the "
    "app registration (Authentication)",
    "AADSTS7000229": "the application has no service principal in this tenant: give it an administrator's consent",
    "AADSTS700016": "client_id names no application of this tenant",
    "AADSTS700021": "client_id is not the application that the assertion names",
    "AADSTS700023": "the assertion is for another sign-in address: check login_url and tenant_id",
    "AADSTS700024": "the assertion is expired or not yet valid: check this machine's clock, and that the assertion "
    "file is renewed",
    "AADSTS700027": "the certificate is not one of the application's: upload its public half to the app "
    "registration, and look at its end date",
    "AADSTS700211": "no federated credential of the application trusts the assertion's issuer: add one in the app "
    "registration",
    "AADSTS700212": "the assertion's audience must be api://AzureADTokenExchange",
    "AADSTS700213": "no federated credential of the application trusts the assertion's subject: add one in the app "
    "registration",
    "AADSTS50013": "the assertion's signature is not its issuer's: check federated_token_file",
    "AADSTS90002": "tenant_id names no directory",
    "AADSTS500011": "scope names an API that this tenant does not know",
    "AADSTS70011": "scope is not one that this cloud knows",
    "AADSTS65001": "consent is missing: grant the application's permissions in the app registration",
    "AADSTS65004": "the person declined to sign in",
    "AADSTS50076": f"a second factor is asked for; {SIGN_IN_AGAIN}",
    "AADSTS50079": f"a second factor must be set up; {SIGN_IN_AGAIN}",
    "AADSTS50173": f"the person's sign-in was revoked; {SIGN_IN_AGAIN}",
    "AADSTS700082": f"the person's sign-in ended, unused for too long; {SIGN_IN_AGAIN}",
    "AADSTS70020": "the code was not entered in time",
    "AADSTS53003": "conditional access blocks the sign-in: ask the tenant's administrator",
}


def refused(tenant: TenantSettings, answer: Mapping[str, Any]) -> AuthenticationError:
    """The error for an answer that holds no token."""
    description = str(answer.get("error_description") or answer.get("error") or "no reason given")
    code = code_of(description)
    remedy = REMEDIES.get(code)
    if remedy is not None:
        told = f"{remedy.format(tenant=tenant.name)} ({code})"
    else:
        told = description.splitlines()[0].split("Trace ID", maxsplit=1)[0].strip()
        told = told.replace(tenant.client_secret, "…") if tenant.client_secret else told
        told = plain(told)[:LONGEST_REASON]
    return AuthenticationError(f"tenant {tenant.name}: sign-in refused: {told}")


def code_of(description: str) -> str:
    """The code in an error's text, or nothing."""
    found = CODE.search(description)
    return found.group() if found else ""
