"""An issuer of workload identities, as a Kubernetes cluster or GitHub Actions is one.

Owns its signing key and the assertions about a workload. Whether anybody trusts them is not its business.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"


@cache
def _signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Signs assertions; `url` names it in them. `request_token` is what a job shows to be given one."""

    def __init__(self, now: Callable[[], datetime], url: Callable[[], str]) -> None:
        self._now = now
        self._url = url
        self.request_token = uuid.uuid4().hex
        self.subject = "repo:contoso/defender-sync:ref:refs/heads/main"

    @property
    def url(self) -> str:
        return self._url()

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        return _signing_key().public_key()

    def assertion(self, subject: str, *, audience: str = EXCHANGE_AUDIENCE, **claims: Any) -> str:
        """A signed assertion about `subject`, good for ten minutes; `claims` replace or add."""
        now = self._now()
        payload = {
            "iss": self.url,
            "sub": subject,
            "aud": audience,
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=10)).timestamp()),
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode({**payload, **claims}, _signing_key(), algorithm="RS256", headers={"kid": "1"})

    def job_token(self, authorization: str | None, audience: str) -> tuple[dict[str, Any], int]:
        """What GitHub Actions answers to a job that asks for its assertion: the body and the status."""
        if authorization != f"Bearer {self.request_token}":
            return {"message": "Bad credentials"}, 401
        return {"count": 1, "value": self.assertion(self.subject, audience=audience)}, 200
