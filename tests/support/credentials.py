"""Certificates and keys made for a test, worthless elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

PASSWORD = "a test's password"


@cache
def rsa_key(number: int = 1) -> rsa.RSAPrivateKey:
    """A key; another number, another key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(key: Any, days: float = 365, now: datetime | None = None) -> x509.Certificate:
    """A self-signed certificate that ends `days` from now."""
    now = now or datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "defender-sync")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )


def pem(made: x509.Certificate) -> str:
    return made.public_bytes(Encoding.PEM).decode()


def pem_file(path: Path, key: Any, made: x509.Certificate, password: str = "") -> Path:
    """Private key and certificate in one PEM file."""
    path.write_text(key_pem(key, password) + pem(made))
    return path


def key_pem(key: Any, password: str = "") -> str:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def pfx_file(path: Path, key: Any, made: x509.Certificate, password: str = "") -> Path:
    """The same as a PFX file."""
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"defender-sync", key, made, None, encryption))
    return path
