"""The driver that runs each call of a vector test through the shared object, by the C interface.

It is a `drivers.Driver`: keys are created as session objects from their attributes, parameters are laid out as C
structures, data in parts goes through Update and Final, and what was unwrapped or derived is read with
C_GetAttributeValue. What the module refuses is raised as `CryptokiError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from conformance import parameters as layouts
from conformance.cryptoki import Cryptoki, Refused, Session
from conformance.fresh_token import USER_PIN, prepare
from conformance.parameters import Mechanism
from drivers import Data

from ptkc.spec.constants import CKA, CKK, CKO
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import (
    Ccm,
    ChaCha20,
    ChaCha20Poly1305,
    Ctr,
    Ecdh,
    EcdhAesWrap,
    Eddsa,
    Gcm,
    HashSignContext,
    MacGeneral,
    Oaep,
    Pss,
    RsaAesWrap,
    SignContext,
    X942Dh,
)
from ptkc.spec.values import FALSE, TRUE, Attributes, from_ulong, ulong

__all__ = ["ModuleDriver", "logged_in"]

_USES = {
    CKO.SECRET_KEY: {CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE},
    CKO.PUBLIC_KEY: {CKA.ENCRYPT, CKA.VERIFY, CKA.WRAP, CKA.ENCAPSULATE},
    CKO.PRIVATE_KEY: {CKA.DECRYPT, CKA.SIGN, CKA.UNWRAP, CKA.DERIVE, CKA.DECAPSULATE},
}
_ALL_USES = set().union(*_USES.values())
# What follows from the material, and is refused in a template.
_COMPUTED = {CKA.VALUE_LEN, CKA.VALUE_BITS, CKA.MODULUS_BITS, CKA.KEY_SIZE}
_KEPT = 4
_OPEN = {CKA.SENSITIVE: FALSE, CKA.EXTRACTABLE: TRUE}
_MATERIAL = {
    CKK.RSA: (
        CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.PRIVATE_EXPONENT, CKA.PRIME_1, CKA.PRIME_2,
        CKA.EXPONENT_1, CKA.EXPONENT_2, CKA.COEFFICIENT,
    ),
    **dict.fromkeys((CKK.EC, CKK.EC_EDWARDS, CKK.EC_MONTGOMERY), (CKA.EC_PARAMS, CKA.VALUE)),
    **dict.fromkeys((CKK.DSA, CKK.X9_42_DH), (CKA.PRIME, CKA.SUBPRIME, CKA.BASE, CKA.VALUE)),
    CKK.DH: (CKA.PRIME, CKA.BASE, CKA.VALUE),
}  # fmt: skip


def _gcm(kind: int, value: Gcm) -> Mechanism:
    return layouts.gcm(value.iv, value.aad, value.tag_bits, kind, iv_bits=value.iv_bits)


def _oaep(_kind: int, value: Oaep) -> Mechanism:
    return layouts.oaep(value.hash, value.mgf, value.label, source=value.source)


_STRUCTURES: dict[type, Callable[[int, Any], Mechanism]] = {
    Gcm: _gcm,
    Ccm: lambda _kind, value: layouts.ccm(value.data_len, value.nonce, value.aad, value.mac_len),
    Ctr: lambda kind, value: layouts.ctr(value.block, value.bits, kind),
    ChaCha20: lambda _kind, value: layouts.chacha20(value.counter, value.nonce),
    ChaCha20Poly1305: lambda _kind, value: layouts.chacha20_poly1305(value.nonce, value.aad),
    MacGeneral: lambda kind, value: layouts.ulong(kind, value.length),
    Pss: lambda kind, value: layouts.pss(kind, value.hash, value.mgf, value.salt_len),
    Oaep: _oaep,
    Ecdh: lambda kind, value: layouts.ecdh(value.public, value.kdf, value.shared, kind),
    RsaAesWrap: lambda _kind, value: layouts.rsa_aes(value.bits, value.oaep and _oaep(0, value.oaep)),
    EcdhAesWrap: lambda kind, value: layouts.ecdh_aes(kind, value.bits, value.kdf, value.shared),
    # CK_X9_42_DH1_DERIVE_PARAMS has the same members.
    X942Dh: lambda kind, value: layouts.ecdh(value.public, value.kdf, value.other, kind),
    SignContext: lambda kind, value: layouts.context(kind, value.context, value.hedge),
    HashSignContext: lambda kind, value: layouts.hash_context(kind, value.hash, value.context, value.hedge),
    Eddsa: lambda kind, value: layouts.eddsa(kind, value.context, prehashed=value.ph),
}


def mechanism_of(kind: int, parameter: object) -> Mechanism:
    """Return the CK_MECHANISM for a parameter in the form of `ptkc.spec.parameters`."""
    if parameter is None or isinstance(parameter, bytes):
        return Mechanism(kind, parameter)
    return _STRUCTURES[type(parameter)](kind, parameter)


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise what the module refuses as `CryptokiError`."""
    try:
        yield
    except Refused as refused:
        raise CryptokiError(refused.rv, str(refused)) from None


@contextmanager
def logged_in(path: str) -> Iterator[Session]:
    """Load the module, initialise a token, give a session in which the user is logged in; finalize the module."""
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    try:
        session = cryptoki.open(prepare(cryptoki))
        session.login(USER_PIN)
        yield session
    finally:
        cryptoki.finalize()


class ModuleDriver:
    """Runs the functions of a loaded module in one session, in which the user is logged in."""

    def __init__(self, session: Session) -> None:
        """Keep the session."""
        self.session = session
        self._keys: list[tuple[Attributes, int]] = []

    def digest(self, mechanism: int, data: Data) -> bytes:
        """Digest."""
        with _refusals():
            if isinstance(data, bytes):
                return self.session.digest(Mechanism(mechanism), data)
            self.session.call("C_DigestInit", Mechanism(mechanism).pointer)
            for part in data:
                self.session.call("C_DigestUpdate", part, len(part))
            return self.session.output("C_DigestFinal")

    def sign(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Sign."""
        with _refusals():
            sign = self.session.sign if isinstance(data, bytes) else self.session.sign_parts
            return sign(mechanism_of(mechanism, parameter), self._handle(key), data)

    def verify(self, mechanism: int, parameter: object, key: Attributes, data: Data, signature: bytes) -> None:
        """Verify."""
        with _refusals():
            verify = self.session.verify if isinstance(data, bytes) else self.session.verify_parts
            verify(mechanism_of(mechanism, parameter), self._handle(key), data, signature)

    def encrypt(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Encrypt."""
        return self._cipher("Encrypt", mechanism, parameter, key, data)

    def decrypt(self, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        """Decrypt."""
        return self._cipher("Decrypt", mechanism, parameter, key, data)

    def wrap(self, mechanism: int, parameter: object, key: Attributes, target: Attributes) -> bytes:
        """Wrap the key `target`."""
        with _refusals():
            return self.session.wrap(mechanism_of(mechanism, parameter), self._handle(key), self._handle(target))

    def unwrap(
        self, mechanism: int, parameter: object, key: Attributes, wrapped: bytes, template: Attributes
    ) -> Attributes:
        """Unwrap; return the new key's material."""
        given = mechanism_of(mechanism, parameter)
        with _refusals():
            return self._material(self.session.unwrap(given, self._handle(key), wrapped, _new(template)))

    def derive(self, mechanism: int, parameter: object, key: Attributes, template: Attributes) -> Attributes:
        """Derive; return the new key's material."""
        given = mechanism_of(mechanism, parameter)
        with _refusals():
            return self._material(self.session.derive(given, self._handle(key), _new(template)))

    def encapsulate(
        self, mechanism: int, parameter: object, key: Attributes, template: Attributes
    ) -> tuple[bytes, Attributes]:
        """Encapsulate; return the ciphertext and the new key's material."""
        given = mechanism_of(mechanism, parameter)
        with _refusals():
            ciphertext, handle = self.session.encapsulate(given, self._handle(key), _new(template))
            return ciphertext, self._material(handle)

    def decapsulate(
        self, mechanism: int, parameter: object, key: Attributes, ciphertext: bytes, template: Attributes
    ) -> Attributes:
        """Decapsulate; return the new key's material."""
        given = mechanism_of(mechanism, parameter)
        with _refusals():
            return self._material(self.session.decapsulate(given, self._handle(key), _new(template), ciphertext))

    def _cipher(self, name: str, mechanism: int, parameter: object, key: Attributes, data: Data) -> bytes:
        with _refusals():
            cipher = self.session.cipher if isinstance(data, bytes) else self.session.cipher_parts
            return cipher(name, mechanism_of(mechanism, parameter), self._handle(key), data)

    def _handle(self, key: Attributes) -> int:
        """Return the handle of a key with these attributes: of the last few they are kept, since creating is slow."""
        for place, (kept, handle) in enumerate(self._keys):
            if kept == key:
                self._keys.append(self._keys.pop(place))
                return handle
        handle = self.session.create(_template(key))
        self._keys.append((key, handle))
        if len(self._keys) > _KEPT:
            self.session.destroy(self._keys.pop(0)[1])
        return handle

    def _material(self, handle: int) -> Attributes:
        """Return the material of a new key, and destroy it."""
        kinds = _MATERIAL.get(self.session.number(handle, CKA.KEY_TYPE), (CKA.VALUE,))
        try:
            return {kind: self.session.get(handle, kind) for kind in kinds}
        finally:
            self.session.destroy(handle)


def _template(key: Attributes) -> Attributes:
    """Return the template that creates a key: without what its class cannot do, and readable."""
    of_class = from_ulong(key[CKA.CLASS])
    dropped = _COMPUTED | (_ALL_USES - _USES[of_class])
    kept = {kind: value for kind, value in key.items() if kind not in dropped}
    return kept if of_class == CKO.PUBLIC_KEY else {**_OPEN, **kept}


def _new(template: Attributes) -> Attributes:
    """Return the template of a key to be unwrapped or derived: a readable secret key unless it says otherwise."""
    return {CKA.CLASS: ulong(CKO.SECRET_KEY), **_OPEN, **template}
