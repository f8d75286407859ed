"""AES-GCM, AES-CCM and AES-GMAC (specification 6.14; NIST SP 800-38C and 38D).

Decryption in parts gives nothing before the tag was checked: the parts are kept. So are those of CCM, which needs
the whole. GCM encryption streams. Tags have the lengths of SP 800-38D: 32, 64, 96, 104, 112, 120 and 128 bits. IVs
have 1 to 128 bytes: `cryptography` takes those from 8, the system's libcrypto the shorter ones, neither longer ones.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import AEADEncryptionContext, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from ptkc.mechanisms.aes import AesMechanism, WrappingCipher, cipher
from ptkc.mechanisms.blocks import Kept
from ptkc.mechanisms.generating_wrap import GeneratingWrap
from ptkc.mechanisms.macs import Mac
from ptkc.mechanisms.mechanism import Operation, register
from ptkc.mechanisms.messages import CCM_MESSAGES, GCM_MESSAGES
from ptkc.mechanisms.parts import Parts
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import CCM, CCM_WRAP, GCM, GCM_WRAP, Ccm, Gcm
from ptkc.spec.parameters import MAXIMUM
from ptkc.spec.values import Attributes

__all__: list[str] = []

_GCM_TAG_BITS = frozenset((32, 64, 96, 104, 112, 120, 128))
_CCM_MAC_BYTES = frozenset((4, 6, 8, 10, 12, 14, 16))
_CCM_NONCE_BYTES = range(7, 14)
_FULL_TAG = 16
_GCM_IV_BYTES = range(1, 129)
_SHORT_IV = 8
"""`cryptography` takes an IV of GCM from this many bytes."""


def _checked_gcm(parameter: Gcm) -> int:
    """Return the length of the tag in bytes; CKR_MECHANISM_PARAM_INVALID."""
    if parameter.tag_bits not in _GCM_TAG_BITS:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a tag of {parameter.tag_bits} bits")
    if len(parameter.iv) not in _GCM_IV_BYTES:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"an IV of {len(parameter.iv)} bytes, want 1 to 128")
    return parameter.tag_bits >> 3  # type: ignore[no-any-return]


def _libcrypto_gcm(key: Object, parameter: Gcm, aad: bytes, data: bytes, *, encrypt: bool) -> bytes:
    """Run GCM with a short IV; the tag is behind the encrypted data."""
    # Loaded only here: hardly any caller has such an IV.
    from ptkc.mechanisms.libcrypto import gcm  # noqa: PLC0415

    return gcm(key.attributes[CKA.VALUE], parameter.iv, aad, data, parameter.tag_bits, encrypt=encrypt)


def _aesgcm(key: Object) -> AESGCM:
    """Return the key's AESGCM object, which its cache holds."""
    try:
        return key.cache["gcm"]  # type: ignore[return-value]
    except KeyError:
        made = key.cache["gcm"] = AESGCM(key.attributes[CKA.VALUE])
        return made


class _GcmEncryption(Operation):
    """GCM encryption: what goes in comes out at once, the tag at the end."""

    __slots__ = ("_aesgcm", "_context", "_key", "_parameter", "_tag")

    def __init__(self, key: Object, parameter: Gcm, tag: int) -> None:
        """Keep key, parameter and the length of the tag in bytes."""
        self._key = key
        self._parameter = parameter
        self._tag = tag
        self._context: AEADEncryptionContext | None = None

    def length(self, size: int) -> int:
        """Return the length of the encrypted data and the tag."""
        return size + self._tag

    def single(self, data: bytes) -> bytes:
        """Return the encrypted data and the tag; CKR_DATA_LEN_RANGE."""
        parameter = self._parameter
        try:
            sealed = _aesgcm(self._key).encrypt(parameter.iv, data, parameter.aad)
        except OverflowError:
            raise CryptokiError(CKR.DATA_LEN_RANGE, "more data than one part can have") from None
        return sealed if self._tag == _FULL_TAG else sealed[: self._tag - _FULL_TAG]

    def update_length(self, size: int) -> int:
        """Return as many bytes as go in."""
        return size

    def update(self, data: bytes) -> bytes:
        """Return the encrypted data."""
        return self._stream().update(data)

    def finish(self) -> bytes:
        """Return the tag."""
        context = self._stream()
        context.finalize()
        return context.tag[: self._tag]

    def _stream(self) -> AEADEncryptionContext:
        """Return the cipher, made for the first part: a single-part encryption does without it."""
        if self._context is None:
            self._context = cipher(self._key, modes.GCM(self._parameter.iv)).encryptor()
            self._context.authenticate_additional_data(self._parameter.aad)
        return self._context


class _Gcm(GeneratingWrap, WrappingCipher):
    """CKM_AES_GCM: the tag stands behind the encrypted data, and in the parameter of a message."""

    form = GCM_MESSAGES
    parameters = GCM
    wrap_parameters = GCM_WRAP
    streams = True
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/GCM), Wycheproof"

    def encrypt(self, key: Object, parameter: Gcm) -> Operation:
        """Start an encryption; CKR_MECHANISM_PARAM_INVALID."""
        tag = _checked_gcm(parameter)
        if len(parameter.iv) >= _SHORT_IV:
            return _GcmEncryption(key, parameter, tag)

        def run(data: bytes) -> bytes:
            return _libcrypto_gcm(key, parameter, parameter.aad, data, encrypt=True)

        return Kept(run, tag, MAXIMUM - tag, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: Gcm) -> Operation:
        """Start a decryption; CKR_MECHANISM_PARAM_INVALID."""
        tag = _checked_gcm(parameter)

        def run(data: bytes) -> bytes:
            if len(data) < tag:
                raise CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, f"{len(data)} bytes are less than the tag")
            try:
                return _gcm_opened(key, parameter, data, tag)
            except InvalidTag:
                raise CryptokiError(CKR.ENCRYPTED_DATA_INVALID, "the tag is another one") from None

        return Kept(run, -tag, MAXIMUM, CKR.ENCRYPTED_DATA_LEN_RANGE)


def _gcm_opened(key: Object, parameter: Gcm, data: bytes, tag: int) -> bytes:
    """Return the decrypted data if the tag is right; InvalidTag."""
    iv = parameter.iv
    if len(iv) < _SHORT_IV:
        return _libcrypto_gcm(key, parameter, parameter.aad, data, encrypt=False)
    if tag == _FULL_TAG:
        return _aesgcm(key).decrypt(iv, data, parameter.aad)
    context = cipher(key, modes.GCM(iv, data[-tag:], min_tag_length=tag)).decryptor()
    context.authenticate_additional_data(parameter.aad)
    # Nothing is given out before finalize() has checked the tag.
    opened = context.update(memoryview(data)[:-tag])
    context.finalize()
    return opened


class _Ccm(GeneratingWrap, WrappingCipher):
    """CKM_AES_CCM: the MAC stands behind the encrypted data, whose length is known from the beginning."""

    form = CCM_MESSAGES
    parameters = CCM
    wrap_parameters = CCM_WRAP
    streams = True
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/CCM), Wycheproof"

    def encrypt(self, key: Object, parameter: Ccm) -> Operation:
        """Start an encryption; CKR_MECHANISM_PARAM_INVALID."""
        aesccm = _checked_ccm(key, parameter)

        def run(data: bytes) -> bytes:
            if len(data) != parameter.data_len:
                raise CryptokiError(CKR.DATA_LEN_RANGE, f"got {len(data)} bytes, said {parameter.data_len}")
            return aesccm.encrypt(parameter.nonce, data, parameter.aad)

        return Kept(run, parameter.mac_len, parameter.data_len, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: Ccm) -> Operation:
        """Start a decryption; CKR_MECHANISM_PARAM_INVALID."""
        aesccm = _checked_ccm(key, parameter)
        size = parameter.data_len + parameter.mac_len

        def run(data: bytes) -> bytes:
            if len(data) != size:
                raise CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, f"got {len(data)} bytes, said {size}")
            try:
                return aesccm.decrypt(parameter.nonce, data, parameter.aad)
            except InvalidTag:
                raise CryptokiError(CKR.ENCRYPTED_DATA_INVALID, "the MAC is another one") from None

        return Kept(run, -parameter.mac_len, size, CKR.ENCRYPTED_DATA_LEN_RANGE)

    def wrap(self, key: Object, parameter: Ccm, payload: bytes) -> bytes:
        """Wrap: the length in the parameter is ignored (specification 6.14.5)."""
        return super().wrap(key, parameter._replace(data_len=len(payload)), payload)

    def unwrap(self, key: Object, parameter: Ccm, wrapped: bytes, attributes: Attributes) -> bytes:
        """Unwrap: the length in the parameter is ignored (specification 6.14.5)."""
        size = max(len(wrapped) - parameter.mac_len, 0)
        return super().unwrap(key, parameter._replace(data_len=size), wrapped, attributes)


def _checked_ccm(key: Object, parameter: Ccm) -> AESCCM:
    """Return the key's AESCCM object for this length of MAC; CKR_MECHANISM_PARAM_INVALID."""
    data_len, nonce, _, mac_len = parameter
    if len(nonce) not in _CCM_NONCE_BYTES or mac_len not in _CCM_MAC_BYTES:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a nonce of {len(nonce)} bytes, a MAC of {mac_len}")
    # The nonce leaves 15 - len(nonce) bytes for the length of the data (SP 800-38C, A.1).
    if data_len > MAXIMUM - mac_len or data_len >> 8 * (15 - len(nonce)):
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a nonce of {len(nonce)} bytes for {data_len} bytes of data")
    return AESCCM(key.attributes[CKA.VALUE], mac_len)


class _Gmac(Mac, AesMechanism):
    """CKM_AES_GMAC: the tag of GCM over associated data alone, which is what is signed."""

    parameters = GCM
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/GCM), those without plaintext, Wycheproof"

    def length(self, parameter: Gcm) -> int:
        """Return the length of the tag in bytes; CKR_MECHANISM_PARAM_INVALID."""
        return _checked_gcm(parameter)

    def start(self, key: Object, parameter: Gcm) -> Any:  # noqa: ANN401 - two classes
        """Return an accumulator; CKR_MECHANISM_PARAM_INVALID if there is associated data besides the signed."""
        _checked_gcm(parameter)
        if parameter.aad:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "pAAD of GMAC is what is signed")
        return _GmacAccumulator(key, parameter)


class _GmacAccumulator:
    """Associated data goes in, the tag comes out."""

    __slots__ = ("_context", "_key", "_parameter", "_parts")

    def __init__(self, key: Object, parameter: Gcm) -> None:
        """Start with a fresh cipher, or with no parts where the IV is short."""
        self._key = key
        self._parameter = parameter
        self._parts = Parts()
        self._context: AEADEncryptionContext | None = None
        if len(parameter.iv) >= _SHORT_IV:
            self._context = cipher(key, modes.GCM(parameter.iv)).encryptor()

    def update(self, data: bytes) -> None:
        """Take a further part."""
        if self._context is None:
            self._parts.add(data)
        else:
            self._context.authenticate_additional_data(data)

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return self._parts.size

    def finalize(self) -> bytes:
        """Return the tag."""
        if self._context is None:
            return _libcrypto_gcm(self._key, self._parameter, self._parts.join(), b"", encrypt=True)
        self._context.finalize()
        return self._context.tag


register(_Gcm(CKM.AES_GCM), _Ccm(CKM.AES_CCM), _Gmac(CKM.AES_GMAC))
