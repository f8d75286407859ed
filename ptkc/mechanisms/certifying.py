"""The vendor's certificate mechanisms: requests, certificates and public keys from objects, and back.

CKM_ENCODE_X_509, CKM_ENCODE_X_509_LOCAL_CERT and CKM_ENCODE_PKCS_10 give the DER of what C_DeriveKey makes an object
of. CKM_DECODE_X_509 gives the key that a certificate certifies, CKM_ENCODE_PUBLIC_KEY (C_WrapKey) the
SubjectPublicKeyInfo of a key. How CKM_VERIFY_CERTIFICATE is called is ours: C_VerifyInit with the issuer's certificate,
C_Verify with a certificate as data and no signature. What they do is in `certificates`, which needs libraries that few
applications do: each imports it when it is called, so that the first signature of the others does not wait for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ptkc.mechanisms.ec import FLAGS, EcKeyPairGeneration
from ptkc.mechanisms.mechanism import Mechanism, Verification, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.layouts import GEN_PIK, MECH_AND_OBJECT, GenPik
from ptkc.spec.values import Attributes

if TYPE_CHECKING:
    from ptkc.mechanisms.certificates import Signer
    from ptkc.mechanisms.x509 import Certificate

__all__: list[str] = []


class EncodeX509(Mechanism):
    """CKM_ENCODE_X_509."""

    parameters = MECH_AND_OBJECT
    source = "none: the serial number is random; read by cryptography and OpenSSL"

    def __init__(self, number: int) -> None:
        """Have a number: CKM_ENCODE_X_509_LOCAL_CERT makes the same, of keys that the device looks at first."""
        self.type = number

    def derive(self, base: Object, signer: Signer, template: Attributes, now: float) -> bytes:
        """Return a certificate of a public key or a request, as `certificates.certificate` does."""
        from ptkc.mechanisms.certificates import certificate  # noqa: PLC0415 - see above

        return certificate(base, signer, template, now)


class EncodePkcs10(Mechanism):
    """CKM_ENCODE_PKCS_10."""

    type = CKM.ENCODE_PKCS_10
    parameters = MECH_AND_OBJECT
    source = "none: read by cryptography and OpenSSL"

    def derive(self, base: Object, signer: Signer, template: Attributes, now: float) -> bytes:  # noqa: ARG002 - timeless
        """Return a request for a public key, as `certificates.request` does."""
        from ptkc.mechanisms.certificates import request  # noqa: PLC0415 - see above

        return request(base, signer, template)


class DecodeX509(Mechanism):
    """CKM_DECODE_X_509."""

    type = CKM.DECODE_X_509
    source = "cryptography_vectors: x509"

    def derive(self, base: Object, parameter: None, template: Attributes) -> bytes:  # noqa: ARG002 - nothing to say
        """Return the SubjectPublicKeyInfo in a certificate; CKR_KEY_TYPE_INCONSISTENT for what is none."""
        from ptkc.mechanisms.certificates import read_certificate  # noqa: PLC0415 - see above

        if base.object_class != CKO.CERTIFICATE:
            raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, f"a {name_of(CKO, base.object_class)} is no certificate")
        return read_certificate(base.attributes.get(CKA.VALUE, b"")).public_key_info


class EncodePublicKey(Mechanism):
    """CKM_ENCODE_PUBLIC_KEY."""

    type = CKM.ENCODE_PUBLIC_KEY
    source = "none: the encoding that the key types give as CKA_PUBLIC_KEY_INFO"

    def wrap(self, key: Object, parameter: None, payload: None) -> bytes:  # noqa: ARG002 - there is neither
        """Return the SubjectPublicKeyInfo of a public key."""
        from ptkc.mechanisms.certificates import public_key_info  # noqa: PLC0415 - see above

        return public_key_info(key)


class VerifyCertificate(Mechanism):
    """CKM_VERIFY_CERTIFICATE."""

    type = CKM.VERIFY_CERTIFICATE
    source = "cryptography_vectors: x509"

    @property
    def flags(self) -> int:
        """CKF_VERIFY alone: certificates are no messages."""
        return CKF.VERIFY

    def verify(self, key: Object, parameter: None, now: Callable[[], float]) -> Verification:  # noqa: ARG002 - none
        """Return the verification of certificates by the issuer's.

        `now` gives the time by the HSM's clock, or refuses an issuer that is trusted no more.
        """
        from ptkc.mechanisms.certificates import read_certificate  # noqa: PLC0415 - see above

        issuer = key.cache.get("certificate")
        if issuer is None:
            issuer = key.cache["certificate"] = read_certificate(key.attributes.get(CKA.VALUE, b""))
        return _CertificateVerification(issuer, now)  # type: ignore[arg-type]


class _CertificateVerification(Verification):
    """The question whether certificates were issued by this one."""

    __slots__ = ("_issuer", "_now")
    multi_part = False

    def __init__(self, issuer: Certificate, now: Callable[[], float]) -> None:
        """Keep the issuer's certificate."""
        self._issuer = issuer
        self._now = now

    def single(self, data: bytes, signature: bytes) -> None:
        """Check the certificate `data`; CKR_SIGNATURE_LEN_RANGE if there is a signature beside it."""
        from ptkc.mechanisms.certificates import check_issued  # noqa: PLC0415 - see above

        if signature:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, "the signature is in the certificate")
        check_issued(data, self._issuer, self._now)


class GenerateIdentity(Mechanism):
    """CKM_GEN_PIK_ECC_P521: the pair; what becomes of it is the HSM's identity's."""

    type = CKM.GEN_PIK_ECC_P521
    parameters = GEN_PIK
    sizes = (521, 521)
    generates = CKK.EC
    source = "none: the key is random"
    extra_flags = FLAGS

    def generate_pair(
        self, parameter: GenPik, public: Attributes, private: Attributes  # noqa: ARG002 - the HSM's question
    ) -> tuple[Attributes, Attributes]:
        """Make a key pair on P-521."""
        pair: tuple[Attributes, Attributes] = EcKeyPairGeneration().generate_pair(None, public, private)
        return pair


register(
    EncodeX509(CKM.ENCODE_X_509),
    EncodeX509(CKM.ENCODE_X_509_LOCAL_CERT),
    EncodePkcs10(),
    DecodeX509(),
    EncodePublicKey(),
    VerifyCertificate(),
    GenerateIdentity(),
)
