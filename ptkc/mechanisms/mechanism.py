"""What a mechanism, an operation and a key type are.

A mechanism is one declaration: a subclass of `Mechanism` whose instances are registered, once for each CKM_ number.
Its CK_MECHANISM_INFO flags are derived from the methods it defines. The registry has checked class, key type, key
size, usage attribute, allowed mechanisms and parameter type *before* a method is called: a method never checks them
again. A method returns the next thing, an `Operation`, a `Verification` or attributes, or raises `CryptokiError`.
"""

from __future__ import annotations

from ptkc.spec.constants import CKF, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.parameters import Bytes, Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["KEY_TYPES", "MECHANISMS", "KeyType", "Mechanism", "Operation", "Verification", "register"]

MECHANISMS: dict[int, Mechanism] = {}
KEY_TYPES: dict[int, KeyType] = {}


class Operation:
    """A digest, signature, encryption or decryption between Init and its end.

    Single-part: `single` once. Multi-part: `update` any number of times, then `finish`. The lengths are what the
    session's two-call rule needs before anything is consumed: `length(n)` for `single` over n bytes and
    `finish_length()` are upper bounds, exact where `exact` is true; `update_length(n)` is always exact. Where a bound
    is not exact the result is computed, compared with the caller's room and thrown away if it does not fit: `single`
    and `finish` must then be repeatable. What keeps parts until its end says how many bytes.
    """

    __slots__ = ()
    exact = True
    multi_part = True

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return 0

    def length(self, size: int) -> int:
        """Return the most bytes that `single` gives for `size` bytes of input."""
        raise NotImplementedError

    def single(self, data: bytes) -> bytes:
        """Process the whole input; CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID … as the function's list says."""
        self.update(data)
        return self.finish()

    def update_length(self, size: int) -> int:  # noqa: ARG002 - digests and signatures give nothing here
        """Return how many bytes `update` gives for `size` further bytes of input."""
        return 0

    def update(self, data: bytes) -> bytes:
        """Take a further part, return what it makes available."""
        raise NotImplementedError

    def finish_length(self) -> int:
        """Return the most bytes that `finish` gives."""
        return self.length(0)

    def finish(self) -> bytes:
        """Return the rest."""
        raise NotImplementedError


class Verification:
    """A verification between Init and its end; CKR_SIGNATURE_INVALID or CKR_SIGNATURE_LEN_RANGE on failure."""

    __slots__ = ()
    multi_part = True

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return 0

    def single(self, data: bytes, signature: bytes) -> None:
        """Check `signature` over the whole `data`."""
        self.update(data)
        self.finish(signature)

    def update(self, data: bytes) -> None:
        """Take a further part."""
        raise NotImplementedError

    def finish(self, signature: bytes) -> None:
        """Check `signature` over all parts."""
        raise NotImplementedError


class Mechanism:
    """One CKM_ number with all that it can do; define only the methods that the mechanism has.

    `key_types` are the CKK_ numbers that fit (empty for digests); `sizes` the smallest and largest key as
    CK_MECHANISM_INFO gives them, `unit` what one of `KeyType.size` is there (8 where bytes are said in bits);
    `parameters` the `spec.parameters` layout the parameter must have, None where it must be absent; `optional` that
    it may be absent all the same; `wrap_parameters` a layout that wrapping takes besides; `streams` that wrapping
    adds the payload to a stream, which key and IV make; `generates` the key type
    that generation makes (and `generates_class` its class, where it is not a pair, `generates_length` its
    CKA_VALUE_LEN, where the template need not say it), `lent` the attributes that generation takes from the
    template although the tables say that it makes them (`implied(lent)` is what follows from them), `slow` that it
    takes long enough for the background of an asynchronous session; `source` where the vectors are from;
    `extra_flags` what cannot be derived (CKF_EC_*).

    The methods, any of them:
        digest(parameter) -> Operation
        sign(key, parameter) -> Operation            verify(key, parameter) -> Verification
        sign_recover(key, parameter) -> Operation    verify_recover(key, parameter) -> Operation, of the signature
        encrypt(key, parameter) -> Operation         decrypt(key, parameter) -> Operation
        message_encrypt(key, None) -> Messages       message_decrypt(key, None) -> Messages (`mechanisms.messages`)
        generate(parameter, attributes) -> Attributes, or (Attributes, byte strings for the caller's memory)
        generate_pair(parameter, public, private) -> (Attributes, Attributes)
        wrap(key, parameter, payload) -> bytes       unwrap(key, parameter, wrapped, attributes) -> bytes
        derive(key, parameter, attributes) -> bytes       (`mechanisms.deriving` has those that make more of it)
        encapsulate(key, parameter, attributes) -> (ciphertext, payload), the former of exactly
            encapsulated_length(key, parameter) bytes
        decapsulate(key, parameter, ciphertext, attributes) -> payload
        wrap_authenticated, unwrap_authenticated           (`mechanisms.messages` has them)
    `key` is an `objects.object.Object`; what a mechanism makes of a key once (a parsed key, a key schedule) it keeps in
    `key.cache`, a dict. `attributes` are the prepared template of the object to be made (so CKA_VALUE_LEN,
    CKA_MODULUS_BITS, CKA_EC_PARAMS … are there, as far as given); what is returned is added to it. `payload` is
    CKA_VALUE of a secret key or PKCS#8 (DER) of a private key; `unwrap` and `derive` return such a payload, of which
    `KeyType.decode` and `KeyType.derive` make the new key.
    """

    type: int = 0
    key_types: tuple[int, ...] = ()
    sizes: tuple[int, int] = (0, 0)
    unit: int = 1
    parameters: Layout | Bytes | None = None
    optional: bool = False
    streams: bool = False
    wrap_parameters: Layout | None = None
    generates: int = 0
    generates_class: int = CKO.SECRET_KEY
    generates_length: int = 0
    lent: tuple[int, ...] = ()
    slow: bool = False
    extra_flags: int = 0
    source: str = ""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]:
            """Stand for the methods above."""

    @property
    def flags(self) -> int:
        """The CKF_ flags of CK_MECHANISM_INFO, from the methods that are defined."""
        flags = self.extra_flags
        for name, flag in _FLAGS:
            if hasattr(self, name):
                flags |= flag
        return flags


_FLAGS = (
    ("digest", CKF.DIGEST),
    # Every signature can be one of many messages under an Init, each whole or in parts (`hsm.messages`).
    ("sign", CKF.SIGN | CKF.MESSAGE_SIGN | CKF.MULTI_MESSAGE),
    ("sign_recover", CKF.SIGN_RECOVER),
    ("verify", CKF.VERIFY | CKF.MESSAGE_VERIFY | CKF.MULTI_MESSAGE),
    ("verify_recover", CKF.VERIFY_RECOVER),
    ("encrypt", CKF.ENCRYPT),
    ("decrypt", CKF.DECRYPT),
    ("message_encrypt", CKF.MESSAGE_ENCRYPT | CKF.MULTI_MESSAGE),
    ("message_decrypt", CKF.MESSAGE_DECRYPT | CKF.MULTI_MESSAGE),
    ("generate", CKF.GENERATE),
    ("generate_pair", CKF.GENERATE_KEY_PAIR),
    ("wrap", CKF.WRAP),
    ("unwrap", CKF.UNWRAP),
    ("wrap_authenticated", CKF.WRAP),
    ("unwrap_authenticated", CKF.UNWRAP),
    ("derive", CKF.DERIVE),
    ("encapsulate", CKF.ENCAPSULATE),
    ("decapsulate", CKF.DECAPSULATE),
)


_OF_WRAPPED = (CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE)


class KeyType:
    """One CKK_ number: what its key material must look like, and how it is wrapped."""

    type: int = 0

    def check(self, object_class: int, attributes: dict[int, bytes]) -> dict[int, bytes]:
        """Check material that came from outside (create, unwrap); return what follows from it.

        What follows: CKA_CHECK_VALUE, CKA_PUBLIC_KEY_INFO, CKA_VALUE_LEN, CKA_MODULUS_BITS … as the class has them.
        CKR_ATTRIBUTE_VALUE_INVALID or CKR_TEMPLATE_INCONSISTENT for what is malformed, CKR_CURVE_NOT_SUPPORTED …
        """
        raise NotImplementedError

    def size(self, attributes: dict[int, bytes]) -> int:
        """Return the key's size in the unit of CK_MECHANISM_INFO: bits of an RSA or EC key, bytes of a secret key."""
        raise NotImplementedError

    def shape(self, payload: bytes) -> bytes:
        """Return derived or agreed bytes as a key of this type has them (DES: with odd parity)."""
        return payload

    def encode(self, attributes: dict[int, bytes]) -> bytes:
        """Return the payload to wrap: CKA_VALUE of a secret key, PKCS#8 PrivateKeyInfo (DER) of a private key."""
        raise NotImplementedError

    def decode(self, payload: bytes, attributes: dict[int, bytes]) -> dict[int, bytes]:
        """Return the material in an unwrapped payload; `attributes` is the prepared template.

        CKR_WRAPPED_KEY_INVALID or CKR_WRAPPED_KEY_LEN_RANGE if it is not a key of this type.
        """
        raise NotImplementedError

    def derive(self, payload: bytes, attributes: dict[int, bytes]) -> dict[int, bytes]:
        """Return the material in a payload that was derived, or agreed on; `attributes` is the prepared template.

        CKR_ATTRIBUTE_VALUE_INVALID if it is not a key of this type, as for a value that came with a template: no
        function but those that unwrap says what is wrong with a wrapped key.
        """
        try:
            return self.decode(self.shape(payload), attributes)
        except CryptokiError as error:
            if error.code not in _OF_WRAPPED:
                raise
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, error.message) from None


def register(*mechanisms: Mechanism | KeyType) -> None:
    """Add mechanisms and key types to the registry; a number that is there already is a bug."""
    for entry in mechanisms:
        table: dict[int, object] = KEY_TYPES if isinstance(entry, KeyType) else MECHANISMS  # type: ignore[assignment]
        if entry.type in table:
            raise CryptokiError(CKR.GENERAL_ERROR, f"{name_of(CKM, entry.type)} is registered twice")
        table[entry.type] = entry
