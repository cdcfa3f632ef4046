"""Workload identity: the platform vouches for the program by an assertion, and there is no secret to keep.

The assertion is read again at each sign-in: platforms renew it every hour or so. It comes from a file
(Kubernetes and others) or, in a job of GitHub Actions, from the address that the job is told.
"""

import os
from collections.abc import Callable
from pathlib import Path

import requests

from pipelines.auth.session import SignInSession
from pipelines.errors import AuthenticationError, UnavailableError
from pipelines.settings import FEDERATED_VARIABLES, TenantSettings

AUDIENCE = "api://AzureADTokenExchange"
FILE_VARIABLE, JOB_URL_VARIABLE = FEDERATED_VARIABLES
JOB_TOKEN_VARIABLE = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105  a variable's name


def federated_credential(tenant: TenantSettings) -> dict[str, Callable[[], str]]:
    """MSAL's client credential, which asks for the assertion when it is needed."""
    return {"client_assertion": lambda: assertion(tenant)}


def assertion(tenant: TenantSettings) -> str:
    """The assertion as the platform gives it now. Raises AuthenticationError, UnavailableError."""
    path = tenant.federated_token_file or os.environ.get(FILE_VARIABLE, "")
    if path:
        return _from_file(tenant, path)
    return _from_job(tenant, os.environ.get(JOB_URL_VARIABLE, ""))


def _from_file(tenant: TenantSettings, path: str) -> str:
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise AuthenticationError(
            f"tenant {tenant.name}: the assertion file {path} cannot be read ({reason}): check federated_token_file"
        ) from None
    if not text:
        raise AuthenticationError(
            f"tenant {tenant.name}: the assertion file {path} is empty: the platform has not written it yet"
        )
    return text


def _from_job(tenant: TenantSettings, url: str) -> str:
    headers = {"Authorization": f"Bearer {os.environ.get(JOB_TOKEN_VARIABLE, '')}"}
    try:
        with SignInSession(tenant, url) as session:
            answer = session.get(f"{url}{'&' if '?' in url else '?'}audience={AUDIENCE}", headers=headers)
        value = answer.json()["value"] if answer.status_code == 200 else None
    except requests.RequestException as error:
        raise UnavailableError(
            f"tenant {tenant.name}: the job's identity address does not answer ({type(error).__name__}); "
            "try again later"
        ) from None
    except (ValueError, KeyError, TypeError):
        value = None
    if not isinstance(value, str):
        raise AuthenticationError(
            f"tenant {tenant.name}: the job is given no assertion (HTTP {answer.status_code}): "
            "set 'permissions: id-token: write' in the workflow"
        )
    return value
