"""The token on a request: to the configured host, and to no other."""

from urllib.parse import urlsplit

import requests

from pipelines.auth.tokens import TokenProvider


class BearerAuth(requests.auth.AuthBase):
    """Puts the token on a request to the configured host, and on no other.

    As an auth object it is not replaced by an entry of ~/.netrc, as a plain header would be.
    """

    def __init__(self, tokens: TokenProvider, api_url: str) -> None:
        self.tokens = tokens
        self._origin = origin(api_url)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        if origin(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self.tokens.token()}"
        return request


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port
