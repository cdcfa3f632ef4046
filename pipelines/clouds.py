"""Microsoft's clouds: where each signs in and where its API is. Pure data.

Source: Microsoft's list of Defender for Endpoint API addresses by cloud; the government scopes are untried.
"""

from dataclasses import dataclass

PUBLIC_LOGIN = "https://login.microsoftonline.com"
GOVERNMENT_LOGIN = "https://login.microsoftonline.us"
PUBLIC_SCOPE = "https://api.securitycenter.microsoft.com/.default"
SIMULATOR = "simulator"


@dataclass(frozen=True)
class Cloud:
    """Base addresses without a trailing slash, and the scope that a token is asked for."""

    login_url: str
    api_url: str
    scope: str


def _public(host: str) -> Cloud:
    return Cloud(PUBLIC_LOGIN, f"https://{host}", PUBLIC_SCOPE)


def _government(host: str, login_url: str) -> Cloud:
    return Cloud(login_url, f"https://{host}", f"https://{host}/.default")


CLOUDS: dict[str, Cloud] = {
    "commercial": _public("api.security.microsoft.com"),
    **{
        near: _public(f"{near}.api.security.microsoft.com") for near in ("us", "eu", "uk", "au", "swa", "ina")
    },
    "gcc": _government("api-gcc.securitycenter.microsoft.us", PUBLIC_LOGIN),
    "gcc_high": _government("api-gov.securitycenter.microsoft.us", GOVERNMENT_LOGIN),
    "dod": _government("api-gov.securitycenter.microsoft.us", GOVERNMENT_LOGIN),
    SIMULATOR: Cloud("", "", PUBLIC_SCOPE),
}
