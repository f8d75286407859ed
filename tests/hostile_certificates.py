"""Certificates and requests, whole and damaged, for arguments that nobody in their right mind passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from chance import Strategy
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

__all__ = ["CERTIFICATE", "REQUEST", "damaged"]

_KEY = ec.derive_private_key(521, ec.SECP521R1())
_NAME = x509.Name([
    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ptkc"), x509.NameAttribute(NameOID.COMMON_NAME, "HSM owner 1"),
    x509.NameAttribute(NameOID.SERIAL_NUMBER, "1"),
])  # fmt: skip
_NOW = datetime.now(UTC)


def _certificate() -> bytes:
    """Return an owner certificate of another HSM."""
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = x509.CertificateBuilder(_NAME, _NAME, _KEY.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(_NOW - timedelta(1)).not_valid_after(_NOW + timedelta(300))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return builder.sign(_KEY, hashes.SHA512()).public_bytes(Encoding.DER)


CERTIFICATE = _certificate()
REQUEST = x509.CertificateSigningRequestBuilder(_NAME).sign(_KEY, hashes.SHA512()).public_bytes(Encoding.DER)


def _damage(chance: Random) -> bytes:
    """Return one of them, with a few bytes changed, cut off or added."""
    der = bytearray(chance.choice((CERTIFICATE, REQUEST)))
    for _ in range(chance.choice((0, 1, 1, 1, 3))):
        place = chance.randrange(len(der))
        kind = chance.randrange(8)
        if kind == 0:
            del der[place:]
        elif kind == 1:
            der[place:place] = chance.randbytes(chance.randint(1, 4))
        else:
            der[place] = chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        if not der:
            break
    return bytes(der)


damaged = Strategy(_damage)
