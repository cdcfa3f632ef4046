"""What an access token says of itself. Read without checking its signature: only the API can, and does. Pure."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Claims:
    """The claims that matter; `roles` are an application's, `scopes` what a person delegated."""

    audience: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    expires_at: datetime | None
    application: str
    tenant_id: str


def read_claims(token: str) -> Claims | None:
    """The claims of a JWT; None for a token that is not one."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    return Claims(
        audience=_text(claims.get("aud")),
        roles=_names(claims.get("roles")),
        scopes=_names(_text(claims.get("scp")).split()),
        expires_at=_moment(claims.get("exp")),
        application=_text(claims.get("appid") or claims.get("azp")),
        tenant_id=_text(claims.get("tid")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _names(value: Any) -> tuple[str, ...]:
    return tuple(sorted(each for each in value if isinstance(each, str))) if isinstance(value, list) else ()


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
