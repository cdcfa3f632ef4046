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


# The audiences of tokens for the API, and the hosts that take them. Tokens of the second version of the
# platform name the API by its application's id.
_PUBLIC_AUDIENCES = (
    "https://api.securitycenter.microsoft.com",
    "https://api.security.microsoft.com",
    "https://api.securitycenter.windows.com",
    "https://securitycenter.onmicrosoft.com/windowsatpservice",
    "fc780465-2017-40d4-a0c5-307022471b92",
)
_LEGACY_HOSTS = ("api.securitycenter.microsoft.com", "api.securitycenter.windows.com")


def hosts_for(audience: str) -> tuple[str, ...]:
    """The API's hosts that take a token for `audience`, the usual one first; none for another API's token."""
    audience = audience.rstrip("/")
    public = audience in _PUBLIC_AUDIENCES
    scope = PUBLIC_SCOPE if public else f"{audience}/.default"
    hosts = [cloud.api_url.removeprefix("https://") for cloud in CLOUDS.values() if cloud.scope == scope]
    return (*dict.fromkeys(host for host in hosts if host), *(_LEGACY_HOSTS if public else ()))


def is_known_host(host: str) -> bool:
    """Whether the host is one of Microsoft's for the API."""
    return host in _LEGACY_HOSTS or any(cloud.api_url == f"https://{host}" for cloud in CLOUDS.values())
