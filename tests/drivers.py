"""Ways to run a mechanism, so that one set of vectors tests each of them: here, the mechanism objects alone.

`module_driver` has the other, through the shared object; the fixture `driver` gives a test both in turn.

`data` is bytes for the single-part functions, a list of bytes for Update and Final. Keys are attributes, as `secret`
makes them. A driver raises `CryptokiError` for whatever is refused.
"""

from __future__ import annotations

from typing import Any, Protocol

from ptkc.hsm.approval import approve, check_parameter, mechanism_for
from ptkc.mechanisms import KEY_TYPES, load
from ptkc.mechanisms.mechanism import Operation, Verification
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKF, CKO
from ptkc.spec.values import TRUE, Attributes, from_ulong, ulong

__all__ = ["Data", "Driver", "MechanismDriver", "secret"]

Data = bytes | list[bytes]

_MODE = CKF.PURE_P11  # nothing is hidden
_USES = (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE)


def secret(key_type: int, value: bytes) -> Attributes:
    """Return the attributes of a secret key that may do everything."""
    attributes = {CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.KEY_TYPE: ulong(key_type), CKA.VALUE: value}
    return {**attributes, **dict.fromkeys(_USES, TRUE)}


class Driver(Protocol):
    """What a vector test needs; a parameter is in the form of `ptkc.spec.parameters`, data in parts is a list."""

    def digest(self, mechanism: int, data: Data) -> bytes:
        """Digest."""

    def sign(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Sign."""

    def verify(self, mechanism: int, parameter: object, key: Attributes, data: Data, signature: bytes) -> None:
        """Verify."""

    def encrypt(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Encrypt."""

    def decrypt(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Decrypt."""

    def wrap(self, mechanism: int, parameter: object, key: Attributes, target: Attributes) -> bytes:
        """Wrap the key `target`."""

    def unwrap(
        self, mechanism: int, parameter: object, key: Attributes, wrapped: bytes, template: Attributes
    ) -> Attributes:
        """Unwrap; return the new key's material."""

    def derive(self, mechanism: int, parameter: object, key: Attributes, template: Attributes) -> Attributes:
        """Derive; return the new key's material."""

    def encapsulate(
        self, mechanism: int, parameter: object, key: Attributes, template: Attributes
    ) -> tuple[bytes, Attributes]:
        """Encapsulate; return the ciphertext and the new key's material."""

    def decapsulate(
        self, mechanism: int, parameter: object, key: Attributes, ciphertext: bytes, template: Attributes
    ) -> Attributes:
        """Decapsulate; return the new key's material."""


class MechanismDriver:
    """Runs mechanism objects, and holds each operation to the lengths it foretells."""

    def digest(self, mechanism: int, data: Data) -> bytes:
        """Digest."""
        digester: Any = mechanism_for("digest", mechanism, _MODE)
        check_parameter(digester, None)
        return self._run(digester.digest(None), data)

    def sign(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Sign."""
        return self._run(self._begin("sign", mechanism, parameter, key), data)

    def verify(self, mechanism: int, parameter: object, key: Attributes, data: Data, signature: bytes) -> None:
        """Verify."""
        verification: Verification = self._begin("verify", mechanism, parameter, key)
        if isinstance(data, bytes):
            verification.single(data, signature)
        else:
            for part in data:
                verification.update(part)
            verification.finish(signature)

    def encrypt(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Encrypt."""
        return self._run(self._begin("encrypt", mechanism, parameter, key), data)

    def decrypt(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Decrypt."""
        return self._run(self._begin("decrypt", mechanism, parameter, key), data)

    def wrap(self, mechanism: int, parameter: object, key: Attributes, target: Attributes) -> bytes:
        """Wrap the key `target`."""
        wrapper = Object(key)
        payload = KEY_TYPES[from_ulong(target[CKA.KEY_TYPE])].encode(target)
        wrapped: bytes = approve(wrapper, "wrap", mechanism, _MODE)(wrapper, parameter, payload)
        return wrapped

    def unwrap(
        self, mechanism: int, parameter: object, key: Attributes, wrapped: bytes, template: Attributes
    ) -> Attributes:
        """Unwrap; return the new key's material."""
        unwrapper = Object(key)
        payload = approve(unwrapper, "unwrap", mechanism, _MODE)(unwrapper, parameter, wrapped, template)
        return KEY_TYPES[from_ulong(template[CKA.KEY_TYPE])].decode(payload, template)

    @staticmethod
    def derive(mechanism: int, parameter: object, key: Attributes, template: Attributes) -> Attributes:
        """Derive; return the new key's material."""
        base = Object(key)
        payload = approve(base, "derive", mechanism, _MODE)(base, parameter, template)
        return KEY_TYPES[from_ulong(template[CKA.KEY_TYPE])].decode(payload, template)

    @staticmethod
    def encapsulate(
        mechanism: int, parameter: object, key: Attributes, template: Attributes
    ) -> tuple[bytes, Attributes]:
        """Encapsulate; return the ciphertext and the new key's material."""
        public = Object(key)
        ciphertext, payload = approve(public, "encapsulate", mechanism, _MODE)(public, parameter, template)
        foretold = mechanism_for("encapsulate", mechanism, _MODE).encapsulated_length(public, parameter)
        assert foretold == len(ciphertext)
        return ciphertext, _shared(payload, template)

    @staticmethod
    def decapsulate(
        mechanism: int, parameter: object, key: Attributes, ciphertext: bytes, template: Attributes
    ) -> Attributes:
        """Decapsulate; return the new key's material."""
        private = Object(key)
        payload = approve(private, "decapsulate", mechanism, _MODE)(private, parameter, ciphertext, template)
        return _shared(payload, template)

    @staticmethod
    def _begin(kind: str, mechanism: int, parameter: object, key: Attributes):
        load()
        obj = Object(key)
        return approve(obj, kind, mechanism, _MODE)(obj, parameter)

    @staticmethod
    def _run(operation: Operation, data: Data) -> bytes:
        if isinstance(data, bytes):
            foretold = operation.length(len(data))
            result = operation.single(data)
            _compare(operation, foretold, result)
            if not operation.exact:
                assert result == operation.single(data)
            return result
        results = []
        for part in data:
            foretold = operation.update_length(len(part))
            results.append(operation.update(part))
            assert foretold == len(results[-1])
        foretold = operation.finish_length()
        results.append(operation.finish())
        _compare(operation, foretold, results[-1])
        if not operation.exact:
            assert results[-1] == operation.finish()
        return b"".join(results)


def _shared(payload: bytes, template: Attributes) -> Attributes:
    """Return the material of a key of these bytes."""
    key_type = KEY_TYPES[from_ulong(template[CKA.KEY_TYPE])]
    return key_type.decode(key_type.shape(payload), template)


def _compare(operation: Operation, foretold: int, result: bytes) -> None:
    """Hold the operation to the length it foretold."""
    if operation.exact:
        assert foretold == len(result)
    else:
        assert foretold >= len(result)
