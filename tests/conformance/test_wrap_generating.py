"""C_WrapKey with CK_GCM_WRAP_PARAMS and CK_CCM_WRAP_PARAMS: the IV is made and written back (6.14.3, 6.14.5)."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from ptkc.spec.constants import CKA, CKG, CKK, CKM, CKO, CKR

from .binding import ffi
from .cryptoki import NULL, Session, expect
from .keys import aes
from .parameters import Mechanism, ccm, gcm, needs

_VALUE = bytes(range(200, 232))
_AAD = b"what goes with the key"
_NONCE = bytes(range(12))
_NEW: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True
}  # fmt: skip


class Wrap:
    """One of the two structures, with the memory of the IV."""

    def __init__(self, name: str, *, generator: int, fixed: int = 0, iv: bytes = _NONCE) -> None:
        """Lay it out."""
        self.iv_memory, aad = ffi.new("CK_BYTE[]", iv), ffi.new("CK_BYTE[]", _AAD)
        if name == "AES_GCM":
            fields: tuple[Any, ...] = (self.iv_memory, len(iv), fixed, generator, aad, len(_AAD), 128)
        else:
            fields = (99, self.iv_memory, len(iv), fixed, generator, aad, len(_AAD), 16)
        self.structure = ffi.new(f"CK_{name[4:]}_WRAP_PARAMS *", fields)
        self.mechanism = Mechanism(getattr(CKM, name), self.structure, self.iv_memory, aad)

    @property
    def iv(self) -> bytes:
        """What stands in the memory of the IV."""
        return bytes(self.iv_memory)[:-1]  # cffi adds a zero


ciphers = pytest.mark.parametrize(("name", "library"), [needs("AES_GCM", AESGCM), needs("AES_CCM", AESCCM)])


@ciphers
@pytest.mark.parametrize("generator", [CKG.GENERATE, CKG.GENERATE_COUNTER, CKG.GENERATE_RANDOM])
def test_the_iv_is_made_and_written_back(session: Session, name: str, library: Any, generator: int) -> None:  # noqa: ANN401
    """The tag stands behind the key; the fixed bits stay; the same structure unwraps, whatever its generator says."""
    value = bytes((0x40 + generator,)) * 16 + name.encode().ljust(16)
    wrapping, target = aes(session, value, WRAP=True, UNWRAP=True), aes(session, _VALUE)
    seen = set()
    for _ in range(3):
        parameter = Wrap(name, generator=generator, fixed=16)
        wrapped = session.wrap(parameter.mechanism, wrapping, target)
        assert _NONCE[:2] == parameter.iv[:2]
        assert _VALUE == library(value).decrypt(parameter.iv, wrapped, _AAD)
        seen.add(parameter.iv)
        back = session.unwrap(parameter.mechanism, wrapping, wrapped, _NEW)
        assert _VALUE == session.get(back, CKA.VALUE)
    assert len(seen) == 3


@ciphers
def test_an_iv_of_the_caller_is_used(session: Session, name: str, library: Any) -> None:  # noqa: ANN401
    """With CKG_NO_GENERATE the structure says what that without a generator says."""
    wrapping, target = aes(session, bytes(32), WRAP=True, UNWRAP=True), aes(session, _VALUE)
    parameter = Wrap(name, generator=CKG.NO_GENERATE)
    wrapped = session.wrap(parameter.mechanism, wrapping, target)
    assert _NONCE == parameter.iv
    assert library(bytes(32)).encrypt(_NONCE, _VALUE, _AAD) == wrapped
    ordinary = gcm(_NONCE, _AAD) if name == "AES_GCM" else ccm(0, _NONCE, _AAD)
    assert wrapped == session.wrap(ordinary, wrapping, target)


@ciphers
def test_a_length_query_makes_no_iv(session: Session, name: str, library: Any) -> None:  # noqa: ANN401
    """Nor does a call with too little room: the counter begins with zero at the first key that is wrapped."""
    assert library
    wrapping, target = aes(session, b"query" + name.encode().ljust(27), WRAP=True), aes(session, _VALUE)
    parameter = Wrap(name, generator=CKG.GENERATE_COUNTER, fixed=32)
    arguments = (parameter.mechanism.pointer, wrapping, target)
    length, buffer = ffi.new("CK_ULONG *"), ffi.new("CK_BYTE[]", len(_VALUE) + 16)
    session.call("C_WrapKey", *arguments, NULL, length)
    assert len(buffer) == length[0]
    length[0] -= 1
    expect(CKR.BUFFER_TOO_SMALL, session.call, "C_WrapKey", *arguments, buffer, length)
    assert (len(buffer), _NONCE, bytes(len(buffer))) == (length[0], parameter.iv, bytes(buffer))
    session.call("C_WrapKey", *arguments, buffer, length)
    assert _NONCE[:4] + bytes(8) == parameter.iv


@ciphers
def test_impossible_generators_are_refused(session: Session, name: str, library: Any) -> None:  # noqa: ANN401
    """One that does not exist, and more fixed bits than leave room; nor is the structure one for encryption."""
    assert library
    wrapping, target = aes(session, WRAP=True, ENCRYPT=True), aes(session, _VALUE)
    for parameter in (Wrap(name, generator=77), Wrap(name, generator=CKG.GENERATE_RANDOM, fixed=96)):
        arguments = (parameter.mechanism.pointer, wrapping, target)
        length, buffer = ffi.new("CK_ULONG *", 64), ffi.new("CK_BYTE[64]")
        expect(CKR.MECHANISM_PARAM_INVALID, session.call, "C_WrapKey", *arguments, buffer, length)
        assert _NONCE == parameter.iv
    parameter = Wrap(name, generator=CKG.NO_GENERATE)
    expect(CKR.MECHANISM_PARAM_INVALID, session.init, "Encrypt", parameter.mechanism, wrapping)
