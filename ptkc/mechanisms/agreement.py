"""Encapsulation by key agreement: C_EncapsulateKey with ECDH and Diffie-Hellman (specification 6.3.20, 6.4.8, 6.4.12).

The ciphertext is the public value of a key pair that is made for this one time; both sides then derive as C_DeriveKey
does, from the parameter without a public value, in whose place the ciphertext stands. Such a public value is raw: an
uncompressed point, or a number as long as the prime.
"""

from __future__ import annotations

from typing import Any

from ptkc.mechanisms.mechanism import MECHANISMS, Mechanism
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import Attributes, ulong

__all__ = ["Agreement"]


class Agreement(Mechanism):
    """A derivation by agreement that also encapsulates; subclasses have `derive` and say what is below.

    `pairs` is the mechanism that makes key pairs, by the CKK_ of the key, and `domain` are the attributes that a pair
    takes from the key that it is to agree with.
    """

    pairs: dict[int, int]
    domain: tuple[int, ...]

    def check_encapsulation(self, parameter: Any) -> None:  # noqa: ANN401 - each its own
        """Refuse a parameter with a public value, or that could not derive: CKR_MECHANISM_PARAM_INVALID."""
        raise NotImplementedError

    def with_public(self, parameter: Any, public: bytes) -> object:  # noqa: ANN401 - each its own
        """Return the parameter of C_DeriveKey with this public value."""
        raise NotImplementedError

    def public_value(self, key_type: int, attributes: Attributes) -> bytes:
        """Return the public value of a public key of this CKK_, in the form in which it is a ciphertext."""
        raise NotImplementedError

    def encapsulated_length(self, key: Object, parameter: Any) -> int:  # noqa: ANN401 - each its own
        """Return the length of a public value; CKR_MECHANISM_PARAM_INVALID."""
        self.check_encapsulation(parameter)
        return len(self.public_value(key.key_type, key.attributes))

    def encapsulate(self, key: Object, parameter: Any, attributes: Attributes) -> tuple[bytes, bytes]:  # noqa: ANN401
        """Return the public value that was made and what is derived with it; the codes of `derive`.

        CKR_FUNCTION_FAILED for a public key that cannot be agreed with.
        """
        self.check_encapsulation(parameter)
        given = {kind: key.attributes[kind] for kind in self.domain}
        public, private = MECHANISMS[self.pairs[key.key_type]].generate_pair(None, given, {})
        kind = {CKA.CLASS: ulong(CKO.PRIVATE_KEY), CKA.KEY_TYPE: key.attributes[CKA.KEY_TYPE]}
        ephemeral = Object({**kind, **given, **private})
        theirs = self.public_value(key.key_type, key.attributes)
        payload = self._derive(ephemeral, parameter, (theirs, CKR.FUNCTION_FAILED), attributes)
        return self.public_value(key.key_type, {**given, **public}), payload

    def decapsulate(self, key: Object, parameter: Any, ciphertext: bytes, attributes: Attributes) -> bytes:  # noqa: ANN401
        """Return what is derived with the public value in `ciphertext`; the codes of `derive`.

        CKR_WRAPPED_KEY_INVALID for what is no public value of the key's domain.
        """
        self.check_encapsulation(parameter)
        return self._derive(key, parameter, (ciphertext, CKR.WRAPPED_KEY_INVALID), attributes)

    def _derive(self, key: Object, parameter: object, public: tuple[bytes, int], attributes: Attributes) -> bytes:
        """Return what is derived; a public value that is none has the code that comes with it."""
        value, code = public
        if not value:
            raise CryptokiError(code, "no public value")
        try:
            derived: bytes = self.derive(key, self.with_public(parameter, value), attributes)
        except CryptokiError as error:
            # The parameter itself was found good: what is left is the public value.
            if error.code != CKR.MECHANISM_PARAM_INVALID:
                raise
            raise CryptokiError(code, f"{name_of(CKM, self.type)}: {error.message}") from None
        return derived
