"""The certificate authority that a process of the simulator makes for itself.

Owns the authority (one a process, made at first use) and the server's TLS context. Its private key never
reaches a file; trustme writes the certificate's key to a temporary one while OpenSSL loads it.
"""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

import trustme


@cache
def _authority() -> trustme.CA:
    return trustme.CA(organization_name="defender-sync simulator")


# Also by the names of Microsoft's clouds: behind a proxy on loopback, the simulator plays any of them.
LOOPBACK = ("127.0.0.1", "::1", "localhost")
CLOUD_HOSTS = (
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "api.security.microsoft.com",
    "*.api.security.microsoft.com",
    "api.securitycenter.microsoft.com",
    "api.securitycenter.windows.com",
    "api-gcc.securitycenter.microsoft.us",
    "api-gov.securitycenter.microsoft.us",
)


@cache
def server_context() -> ssl.SSLContext:
    """TLS for a server on loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _authority().issue_cert(*LOOPBACK, *CLOUD_HOSTS).configure_cert(context)
    return context


def write_ca_bundle(path: Path) -> None:
    """Writes the authority's certificate, which a client must trust, as PEM."""
    _authority().cert_pem.write_to_path(str(path))
