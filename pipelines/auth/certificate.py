"""An application's certificate and private key, from a PEM or PFX file, as MSAL takes them.

MSAL signs the assertion by PS256 and names the certificate by its SHA-256 thumbprint. What is wrong with the
file is told here, before anybody is called.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import AuthenticationError, ConfigurationError
from pipelines.settings import TenantSettings

if TYPE_CHECKING:
    from cryptography import x509

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)


def certificate_credential(tenant: TenantSettings, now: datetime) -> dict[str, Any]:
    """MSAL's client credential. Raises ConfigurationError, or AuthenticationError for one that has ended."""
    content = _content(tenant)
    certificate = _certificate(tenant, content)
    ended = certificate.not_valid_after_utc
    if ended <= now:
        raise AuthenticationError(
            f"tenant {tenant.name}: the certificate in {tenant.certificate_path} ended on {ended:%Y-%m-%d}: "
            "make a new one and upload its public half to the app registration"
        )
    password = {"passphrase": tenant.certificate_password} if tenant.certificate_password else {}
    if not _is_pem(content):
        return {"private_key_pfx_path": tenant.certificate_path, **password}
    return {
        "private_key": _block(_PRIVATE_KEY, content).decode(),
        "public_certificate": _block(_CERTIFICATE, content).decode(),
        **password,
    }


def certificate_end(tenant: TenantSettings) -> datetime:
    """When the certificate ends. Raises ConfigurationError."""
    return _certificate(tenant, _content(tenant)).not_valid_after_utc.astimezone(UTC)


def _content(tenant: TenantSettings) -> bytes:
    try:
        return Path(tenant.certificate_path).read_bytes()
    except OSError as error:
        raise _wrong(tenant, "certificate_path", f"cannot be read: {error.strerror}") from None


def _is_pem(content: bytes) -> bool:
    return b"-----BEGIN " in content


def _certificate(tenant: TenantSettings, content: bytes) -> "x509.Certificate":
    """The certificate, once it is certain that the private key is its own and can be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    try:
        key, certificate = (_read_pem if _is_pem(content) else _read_pfx)(
            content, tenant.certificate_password
        )
    except TypeError:
        # Cryptography's word for a password that is missing, or is not needed.
        needs = "is not encrypted: leave it out" if tenant.certificate_password else "is encrypted: give it"
        raise _wrong(tenant, "certificate_password", f"the private key {needs}") from None
    except (ValueError, UnsupportedAlgorithm):
        if tenant.certificate_password:
            told = f"does not open {tenant.certificate_path}"
            raise _wrong(tenant, "certificate_password", told) from None
        told = "is no PEM or PFX file that can be read; one that is encrypted needs certificate_password"
        raise _wrong(tenant, "certificate_path", told) from None
    if key is None or certificate is None:
        raise _wrong(tenant, "certificate_path", "must hold both a certificate and its private key")
    if not isinstance(key, RSAPrivateKey):
        raise _wrong(tenant, "certificate_path", "must hold an RSA key; Microsoft Entra takes no other")
    if key.public_key() != certificate.public_key():
        raise _wrong(tenant, "certificate_path", "the first certificate is not the private key's")
    return certificate


def _read_pem(content: bytes, password: str) -> tuple[Any, "x509.Certificate | None"]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key, certificate = _block(_PRIVATE_KEY, content), _block(_CERTIFICATE, content)
    return (
        load_pem_private_key(key, password.encode() or None) if key else None,
        x509.load_pem_x509_certificate(certificate) if certificate else None,
    )


def _block(pattern: re.Pattern[bytes], content: bytes) -> bytes:
    """The first block of a PEM file that fits, or nothing."""
    found = pattern.search(content)
    return found[0] if found else b""


def _read_pfx(content: bytes, password: str) -> tuple[Any, "x509.Certificate | None"]:
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

    key, certificate, _ = load_key_and_certificates(content, password.encode() or None)
    return key, certificate


def _wrong(tenant: TenantSettings, key: str, told: str) -> ConfigurationError:
    shown = f" {tenant.certificate_path}" if key == "certificate_path" else ""
    return ConfigurationError(f"tenants.{tenant.name}.{key}:{shown} {told}")
