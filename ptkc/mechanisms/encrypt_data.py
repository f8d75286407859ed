"""Key derivation by data encryption (specification 6.44 and after): CKM_<cipher>_ECB_ENCRYPT_DATA, _CBC_ENCRYPT_DATA.

The base key encrypts the caller's data, whole blocks, and the beginning of the result is the new key. Whatever cipher
is there derives as well: key types, sizes and the encryption are those of CKM_<cipher>_ECB and CKM_<cipher>_CBC.
"""

from __future__ import annotations

from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import MECHANISMS, Mechanism, register
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import CbcData, Des3CbcData, KeyData
from ptkc.spec.parameters import Layout
from ptkc.spec.values import Attributes

__all__ = ["EncryptData"]

_CIPHERS = {
    "AES": ("NIST CAVP (cryptography_vectors: ciphers/AES)", layouts.CBC_DATA),
    "DES3": ("NIST CAVP (cryptography_vectors: ciphers/3DES)", layouts.DES3_CBC_DATA),
    "CAMELLIA": ("NTT (cryptography_vectors: ciphers/Camellia)", layouts.CBC_DATA),
    "ARIA": ("RFC 5794, libcrypto's CBC", layouts.CBC_DATA),
    "SEED": ("RFC 4269, RFC 4196 (cryptography_vectors: ciphers/SEED)", layouts.CBC_DATA),
}


class EncryptData(Mechanism):
    """A mechanism that derives by the encryption of another."""

    def __init__(self, number: int, cipher: Mechanism, layout: Layout, source: str) -> None:
        """Keep the mechanism that encrypts, and take its keys."""
        self.type = number
        self.key_types = cipher.key_types
        self.sizes = cipher.sizes
        self.parameters = layout
        self.source = source
        self._cipher = cipher

    def derive(self, key: Object, parameter: KeyData | CbcData | Des3CbcData, attributes: Attributes) -> bytes:
        """Return the beginning of the encrypted data.

        CKR_MECHANISM_PARAM_INVALID for no whole blocks, CKR_DATA_LEN_RANGE if there is too little for the key.
        """
        data: bytes = parameter.data
        initial = None if isinstance(parameter, KeyData) else parameter.iv
        if not data:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "there are no data")
        try:
            encrypted: bytes = self._cipher.encrypt(key, initial).single(data)
        except CryptokiError as error:
            if error.code != CKR.DATA_LEN_RANGE:
                raise
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, error.message) from None
        return encrypted[: derived_length(attributes, len(encrypted), CKR.DATA_LEN_RANGE)]


register(
    *(
        EncryptData(number, MECHANISMS[cipher], layout, source)
        for name, (source, cbc_layout) in _CIPHERS.items()
        for mode, layout in (("ECB", layouts.KEY_DATA), ("CBC", cbc_layout))
        for number, cipher in [(getattr(CKM, f"{name}_{mode}_ENCRYPT_DATA"), getattr(CKM, f"{name}_{mode}"))]
        if cipher in MECHANISMS
    )
)
