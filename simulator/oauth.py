"""The token endpoint's own errors: OAuth's name and Azure's code and text. Pure data."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any


class OAuthError(Exception):
    """An answer of the token endpoint that is no token: OAuth's error name and Azure's code and text."""

    def __init__(self, status: int, error: str, code: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.code = code
        self.text = text

    def body(self, now: datetime) -> dict[str, Any]:
        trace, correlation = uuid.uuid4(), uuid.uuid4()
        stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
        return {
            "error": self.error,
            "error_description": (
                f"AADSTS{self.code}: {self.text} Trace ID: {trace} "
                f"Correlation ID: {correlation} Timestamp: {stamp}"
            ),
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": str(trace),
            "correlation_id": str(correlation),
            "error_uri": f"https://login.microsoftonline.com/error?code={self.code}",
        }
