"""Wrapping under an AES key made for one wrapping: CKM_RSA_AES_KEY_WRAP and CKM_ECDH_*_AES_KEY_WRAP.

Specification 6.1.21, 6.3.24 to 6.3.26. The payload, of any length, is under the AES key by AES-KWP; before it stands
what the other side finds the AES key by: its RSA-OAEP ciphertext, or the public key of an ephemeral key pair on the
wrapping key's curve, in the form of CKA_EC_POINT. Of a secret without key derivation function the first bytes are the
AES key. Whatever is wrong about a wrapped key, lengths apart, is CKR_WRAPPED_KEY_INVALID. Whose keys could open both
parts one after the other, `objects.separation` says.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from ptkc.mechanisms import ec, ecdh, edwards
from ptkc.mechanisms.curves import Curve, find
from ptkc.mechanisms.generic import random_bytes
from ptkc.mechanisms.mechanism import Mechanism, register
from ptkc.mechanisms.rsa import SIZES
from ptkc.mechanisms.rsa_padding import RsaOaep
from ptkc.mechanisms.rsa_raw import libcrypto_key
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import EcdhAesWrap, RsaAesWrap
from ptkc.spec.values import Attributes

__all__ = ["EcdhAesKeyWrap", "RsaAesKeyWrap"]

_BITS = (128, 192, 256)
_SEMIBLOCK = 8


def _length(bits: int) -> int:
    """Return the length of the AES key in bytes; CKR_MECHANISM_PARAM_INVALID."""
    if bits not in _BITS:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"ulAESKeyBits {bits}")
    return bits // 8


def _halves(wrapped: bytes, size: int) -> tuple[bytes, bytes]:
    """Return what the AES key is found by, of `size` bytes, and the wrapped payload; CKR_WRAPPED_KEY_LEN_RANGE."""
    rest = len(wrapped) - size
    if rest < 2 * _SEMIBLOCK or rest % _SEMIBLOCK:
        raise CryptokiError(CKR.WRAPPED_KEY_LEN_RANGE, f"{len(wrapped)} bytes, want {size} and two or more semiblocks")
    return wrapped[:size], wrapped[size:]


def _unwrapped(key: bytes, wrapped: bytes) -> bytes:
    """Return the payload; CKR_WRAPPED_KEY_INVALID."""
    try:
        return aes_key_unwrap_with_padding(key, wrapped)
    except InvalidUnwrap:
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the wrapped key is another key's, or was changed") from None


class RsaAesKeyWrap(Mechanism):
    """CKM_RSA_AES_KEY_WRAP."""

    type = CKM.RSA_AES_KEY_WRAP
    key_types = (CKK.RSA,)
    sizes = SIZES
    parameters = layouts.RSA_AES_WRAP
    source = "none is published; its parts, CKM_RSA_PKCS_OAEP and CKM_AES_KEY_WRAP_KWP, have some"

    def __init__(self, oaep: RsaOaep) -> None:
        """Keep the mechanism that carries the AES key."""
        self._oaep = oaep

    def wrap(self, key: Object, parameter: RsaAesWrap, payload: bytes) -> bytes:
        """Return AES key and payload, both wrapped; CKR_MECHANISM_PARAM_INVALID, CKR_WRAPPING_KEY_SIZE_RANGE."""
        length = _length(parameter.bits)
        _check_oaep(parameter)
        aes = random_bytes(length)
        try:
            carried = self._oaep.wrap(key, parameter.oaep, aes)
        except CryptokiError as error:
            if error.code != CKR.KEY_SIZE_RANGE:
                raise
            raise CryptokiError(CKR.WRAPPING_KEY_SIZE_RANGE, error.message) from None
        return carried + aes_key_wrap_with_padding(aes, payload)

    def unwrap(
        self,
        key: Object,
        parameter: RsaAesWrap,
        wrapped: bytes,
        attributes: Attributes,
    ) -> bytes:
        """Return the payload; CKR_MECHANISM_PARAM_INVALID, CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID."""
        length = _length(parameter.bits)
        _check_oaep(parameter)
        carried, rest = _halves(wrapped, libcrypto_key(key)[1])
        aes = self._oaep.unwrap(key, parameter.oaep, carried, attributes)
        if len(aes) != length:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the wrapped key is another key's, or was changed")
        return _unwrapped(aes, rest)


def _check_oaep(parameter: RsaAesWrap) -> None:
    """Refuse a parameter without those of OAEP."""
    if not layouts.OAEP.accepts(parameter.oaep):
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "pOAEPParams is NULL")


class EcdhAesKeyWrap(Mechanism):
    """CKM_ECDH_AES_KEY_WRAP, CKM_ECDH_COF_AES_KEY_WRAP or CKM_ECDH_X_AES_KEY_WRAP."""

    parameters = layouts.ECDH_AES_WRAP
    source = "none is published; its parts, CKM_ECDH1_DERIVE and CKM_AES_KEY_WRAP_KWP, have some"

    def __init__(self, number: int, *key_types: int) -> None:
        """Keep the mechanism's number and the key types it takes."""
        self.type = number
        self.key_types = key_types
        sizes = [ec.SIZES if key_type == CKK.EC else edwards.SIZES for key_type in key_types]
        self.sizes = (min(low for low, _ in sizes), max(high for _, high in sizes))
        self.extra_flags = ec.FLAGS

    def wrap(self, key: Object, parameter: EcdhAesWrap, payload: bytes) -> bytes:
        """Return the ephemeral public key and the wrapped payload; CKR_MECHANISM_PARAM_INVALID."""
        length = _length(parameter.bits)
        curve = find(key.key_type, key.attributes[CKA.EC_PARAMS])
        ecdh.check_kdf(parameter.kdf, parameter.shared)
        ephemeral, point = ecdh.ephemeral(curve)
        try:
            secret = ecdh.agree_with(ephemeral, curve, key.attributes[CKA.EC_POINT])
        except ValueError as error:
            raise CryptokiError(CKR.WRAPPING_KEY_HANDLE_INVALID, f"the key agrees on nothing: {error}") from None
        aes = _aes_key(parameter, secret, length)
        return _spelled(curve, point) + aes_key_wrap_with_padding(aes, payload)

    def unwrap(
        self,
        key: Object,
        parameter: EcdhAesWrap,
        wrapped: bytes,
        attributes: Attributes,  # noqa: ARG002 - have nothing to say
    ) -> bytes:
        """Return the payload; CKR_MECHANISM_PARAM_INVALID, CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID."""
        length = _length(parameter.bits)
        ecdh.check_kdf(parameter.kdf, parameter.shared)
        curve = find(key.key_type, key.attributes[CKA.EC_PARAMS])
        spelled, rest = _halves(wrapped, len(_spelled(curve, bytes(curve.point_size))))
        point = spelled[-curve.point_size :]
        if spelled != _spelled(curve, point):
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the wrapped key begins with no public key")
        try:
            secret = ecdh.agree(key, point)
        except ValueError:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the wrapped key begins with no public key") from None
        return _unwrapped(_aes_key(parameter, secret, length), rest)


def _spelled(curve: Curve, point: bytes) -> bytes:
    """Return a public key as it stands before the payload: that of a Montgomery curve is bare."""
    return curve.ec_point(point) if curve.key_type == CKK.EC else point


def _aes_key(parameter: EcdhAesWrap, secret: bytes, length: int) -> bytes:
    """Return the AES key of `length` bytes; CKR_MECHANISM_PARAM_INVALID if the secret is shorter."""
    if parameter.kdf != CKD.NULL:
        return ecdh.key_from_secret(parameter.kdf, parameter.shared, secret, length)
    if len(secret) < length:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a secret of {len(secret)} bytes is no AES key of {length}")
    return secret[:length]


register(
    RsaAesKeyWrap(RsaOaep()),
    EcdhAesKeyWrap(CKM.ECDH_AES_KEY_WRAP, CKK.EC, CKK.EC_MONTGOMERY),
    EcdhAesKeyWrap(CKM.ECDH_COF_AES_KEY_WRAP, CKK.EC),
    EcdhAesKeyWrap(CKM.ECDH_X_AES_KEY_WRAP, CKK.EC_MONTGOMERY),
)
