"""What all RSA schemes have in common: lengths, refusals, and wrapping as encryption of a key (specification 6.1).

A scheme gives each operation a function from bytes to bytes. All operations are single-part and without state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature

from ptkc.mechanisms.generic import derived_length, random_bytes
from ptkc.mechanisms.mechanism import KEY_TYPES, Mechanism, Operation, Verification
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, from_ulong

__all__ = ["RsaCipher", "RsaDecryption", "RsaEncryption", "RsaRecovery", "RsaSignature", "RsaVerification"]

Run = Callable[[bytes], bytes]


class RsaEncryption(Operation):
    """Encryption or signature: of `shortest` to `longest` bytes it makes as many as the modulus has."""

    __slots__ = ("_run", "_size", "longest", "shortest")
    multi_part = False

    def __init__(self, run: Run, size: int, longest: int, shortest: int = 0) -> None:
        """Keep what does the work; `size` is the length of the modulus in bytes."""
        self._run = run
        self._size = size
        self.longest = longest
        self.shortest = shortest

    def length(self, size: int) -> int:  # noqa: ARG002 - the same for all
        """Return the length of the modulus."""
        return self._size

    def single(self, data: bytes) -> bytes:
        """Return the ciphertext or signature; CKR_DATA_LEN_RANGE."""
        if not self.shortest <= len(data) <= self.longest:
            raise CryptokiError(CKR.DATA_LEN_RANGE, f"{len(data)} bytes, want {self.shortest} to {self.longest}")
        return self._run(data)


RsaSignature = RsaEncryption


class RsaDecryption(Operation):
    """Decryption of as many bytes as the modulus has to at most `longest`."""

    __slots__ = ("_longest", "_run", "_size", "exact")
    multi_part = False

    def __init__(self, run: Run, size: int, longest: int) -> None:
        """Keep what does the work; a plaintext without padding is always as long as the modulus."""
        self._run = run
        self._size = size
        self._longest = longest
        self.exact = longest == size

    def length(self, size: int) -> int:  # noqa: ARG002 - the same for all
        """Return the length of the longest plaintext."""
        return self._longest

    def single(self, data: bytes) -> bytes:
        """Return the plaintext; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID."""
        if len(data) != self._size:
            raise CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, f"{len(data)} bytes, want {self._size}")
        try:
            return self._run(data)
        except ValueError:
            raise CryptokiError(CKR.ENCRYPTED_DATA_INVALID) from None


class RsaRecovery(Operation):
    """The data in a signature as long as the modulus: at most `longest` bytes. A wrong signature is refused first."""

    __slots__ = ("_longest", "_run", "_size")
    multi_part = False
    exact = False

    def __init__(self, run: Run, size: int, longest: int) -> None:
        """Keep what does the work: it takes the signature and raises `InvalidSignature`."""
        self._run = run
        self._size = size
        self._longest = longest

    def length(self, size: int) -> int:  # noqa: ARG002 - the same for all
        """Return the length of the longest data."""
        return self._longest

    def single(self, data: bytes) -> bytes:
        """Return the data in the signature `data`; CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID."""
        if len(data) != self._size:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, f"{len(data)} bytes, want {self._size}")
        try:
            return self._run(data)
        except InvalidSignature:
            raise CryptokiError(CKR.SIGNATURE_INVALID) from None


class RsaVerification(Verification):
    """The check of a signature, as long as the modulus, over `shortest` to `longest` bytes."""

    __slots__ = ("_longest", "_run", "_shortest", "_size")
    multi_part = False

    def __init__(self, run: Callable[[bytes, bytes], None], size: int, longest: int, shortest: int = 0) -> None:
        """Keep what does the work: it takes signature and data and raises `InvalidSignature`."""
        self._run = run
        self._size = size
        self._longest = longest
        self._shortest = shortest

    def single(self, data: bytes, signature: bytes) -> None:
        """Check the signature; CKR_DATA_LEN_RANGE, CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID."""
        if not self._shortest <= len(data) <= self._longest:
            raise CryptokiError(CKR.DATA_LEN_RANGE, f"{len(data)} bytes, want {self._shortest} to {self._longest}")
        if len(signature) != self._size:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, f"{len(signature)} bytes, want {self._size}")
        try:
            self._run(signature, data)
        except InvalidSignature:
            raise CryptokiError(CKR.SIGNATURE_INVALID) from None


# What C_WrapKey says instead of the codes of C_EncryptInit.
_WRAP_CODES = {CKR.KEY_SIZE_RANGE: CKR.WRAPPING_KEY_SIZE_RANGE}
# What C_UnwrapKey says instead of the codes of C_DecryptInit and C_Decrypt.
_UNWRAP_CODES = {
    CKR.KEY_SIZE_RANGE: CKR.UNWRAPPING_KEY_SIZE_RANGE,
    CKR.ENCRYPTED_DATA_LEN_RANGE: CKR.WRAPPED_KEY_LEN_RANGE,
    CKR.ENCRYPTED_DATA_INVALID: CKR.WRAPPED_KEY_INVALID,
}


class RsaCipher(Mechanism):
    """A mechanism that encrypts, and so wraps."""

    def encrypt(self, key: Object, parameter: Any) -> RsaEncryption:  # noqa: ANN401 - each its own
        """C_EncryptInit."""
        raise NotImplementedError

    def decrypt(self, key: Object, parameter: Any) -> RsaDecryption:  # noqa: ANN401 - each its own
        """C_DecryptInit."""
        raise NotImplementedError

    def wrap(self, key: Object, parameter: Any, payload: bytes) -> bytes:  # noqa: ANN401 - each its own
        """Return the encrypted payload; CKR_KEY_SIZE_RANGE if it is too long, CKR_WRAPPING_KEY_SIZE_RANGE."""
        try:
            encryption = self.encrypt(key, parameter)
        except CryptokiError as error:
            raise CryptokiError(_WRAP_CODES.get(error.code, error.code), error.message) from None
        return self._wrapped(encryption, payload)

    @staticmethod
    def _wrapped(encryption: RsaEncryption, payload: bytes) -> bytes:
        """Return the encrypted payload; CKR_KEY_SIZE_RANGE if it is too long."""
        if len(payload) > encryption.longest:
            raise CryptokiError(CKR.KEY_SIZE_RANGE, f"{len(payload)} bytes to wrap, at most {encryption.longest}")
        return encryption.single(payload)

    def unwrap(
        self,
        key: Object,
        parameter: Any,  # noqa: ANN401 - each its own
        wrapped: bytes,
        attributes: Attributes,  # noqa: ARG002 - for those without padding
    ) -> bytes:
        """Return the payload; CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID, CKR_UNWRAPPING_KEY_SIZE_RANGE."""
        try:
            return self.decrypt(key, parameter).single(wrapped)
        except CryptokiError as error:
            raise CryptokiError(_UNWRAP_CODES.get(error.code, error.code), error.message) from None

    def encapsulated_length(self, key: Object, parameter: Any) -> int:  # noqa: ANN401 - each its own
        """Return the length of the modulus."""
        return self.encrypt(key, parameter).length(0)

    def encapsulate(self, key: Object, parameter: Any, attributes: Attributes) -> tuple[bytes, bytes]:  # noqa: ANN401
        """Return a new secret key, wrapped and as it is (specification 6.1.6, 6.1.8); the codes of `derived_length`.

        CKR_KEY_SIZE_RANGE for a key that is too long to be wrapped.
        """
        payload = random_bytes(derived_length(attributes, 0))
        payload = KEY_TYPES[from_ulong(attributes[CKA.KEY_TYPE])].shape(payload)
        return self._wrapped(self.encrypt(key, parameter), payload), payload

    def decapsulate(self, key: Object, parameter: Any, ciphertext: bytes, attributes: Attributes) -> bytes:  # noqa: ANN401
        """Return what was wrapped, as C_UnwrapKey does."""
        return self.unwrap(key, parameter, ciphertext, attributes)
