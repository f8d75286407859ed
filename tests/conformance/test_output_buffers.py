"""The convention for output buffers (5.2), for each function that has one: ask, too small, exact, untouched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from ptkc.spec.constants import CKA, CKM, CKR

from .binding import ffi
from .cryptoki import NULL, Refused, Session, expect
from .keys import aes, generic, import_ec, import_rsa, private_ec, private_rsa
from .parameters import Mechanism, gcm

_DATA = bytes(range(64))
_MARK = 0xAA


class _Output(NamedTuple):
    """A function with an output buffer: its preparation, which gives the other arguments; whether it ends anything."""

    function: str
    needs: tuple[int, ...]
    prepare: Callable[[Session], tuple[Any, ...]]
    ends: bool = True


def _key(session: Session) -> int:
    """Create an AES key for everything."""
    return aes(session, ENCRYPT=True, DECRYPT=True, SIGN=True, WRAP=True)


def _ready(name: str, mechanism: Callable[[], Mechanism], *arguments: Any) -> Callable[[Session], tuple[Any, ...]]:  # noqa: ANN401
    """Return a preparation: C_`name`Init with an AES key, then these arguments."""

    def prepare(session: Session) -> tuple[Any, ...]:
        session.init(name, mechanism(), _key(session))
        return arguments

    return prepare


def _updated(name: str, mechanism: Callable[[], Mechanism], data: bytes) -> Callable[[Session], tuple[Any, ...]]:
    """Return a preparation for a C_`name`Final: Init and one part."""

    def prepare(session: Session) -> tuple[Any, ...]:
        session.init(name, mechanism(), _key(session))
        if name == "Sign":
            session.call("C_SignUpdate", data, len(data))
        else:
            session.output(f"C_{name}Update", data, len(data))
        return ()

    return prepare


def _digest(session: Session) -> tuple[Any, ...]:
    session.call("C_DigestInit", Mechanism(CKM.SHA256).pointer)
    return _DATA, 64


def _digest_final(session: Session) -> tuple[Any, ...]:
    session.call("C_DigestInit", Mechanism(CKM.SHA256).pointer)
    session.call("C_DigestUpdate", _DATA, 64)
    return ()


def _rsa(name: str, half: int) -> Callable[[Session], tuple[Any, ...]]:
    """Return a preparation for a single-part RSA operation."""

    def prepare(session: Session) -> tuple[Any, ...]:
        usages = {CKA.ENCRYPT: True}, {CKA.DECRYPT: True, CKA.SIGN: True}
        pair = import_rsa(session, private_rsa(), *usages)
        data = session.encrypt(Mechanism(CKM.RSA_PKCS), pair[0], b"data") if name == "Decrypt" else b"data"
        session.init(name, Mechanism(CKM.RSA_PKCS), pair[half])
        return data, len(data)

    return prepare


def _ecdsa(session: Session) -> tuple[Any, ...]:
    session.init("Sign", Mechanism(CKM.ECDSA), import_ec(session, private_ec(), None, {CKA.SIGN: True})[1])
    return _DATA, 32


def _padded(session: Session) -> tuple[Any, ...]:
    key = _key(session)
    data = session.encrypt(_pad(), key, _DATA[:20])
    session.init("Decrypt", _pad(), key)
    return data, len(data)


def _padded_final(session: Session) -> tuple[Any, ...]:
    key = _key(session)
    data = session.encrypt(_pad(), key, _DATA[:20])
    session.init("Decrypt", _pad(), key)
    session.output("C_DecryptUpdate", data, len(data))
    return ()


def _wrapped(session: Session) -> tuple[Any, ...]:
    mechanism = Mechanism(CKM.AES_KEY_WRAP)
    session.mechanism = mechanism  # type: ignore[attr-defined] (kept alive until the call)
    return mechanism.pointer, _key(session), generic(session, _DATA)


def _ecb() -> Mechanism:
    return Mechanism(CKM.AES_ECB)


def _pad() -> Mechanism:
    return Mechanism(CKM.AES_CBC_PAD, bytes(16))


def _gcm() -> Mechanism:
    return gcm(bytes(12))


_OUTPUTS = {
    "Encrypt-ECB": _Output("C_Encrypt", (CKM.AES_ECB,), _ready("Encrypt", _ecb, _DATA, 64)),
    "Encrypt-CBC_PAD": _Output("C_Encrypt", (CKM.AES_CBC_PAD,), _ready("Encrypt", _pad, _DATA, 20)),
    "Encrypt-GCM": _Output("C_Encrypt", (CKM.AES_GCM,), _ready("Encrypt", _gcm, _DATA, 20)),
    "Encrypt-RSA": _Output("C_Encrypt", (CKM.RSA_PKCS,), _rsa("Encrypt", 0)),
    "EncryptUpdate": _Output("C_EncryptUpdate", (CKM.AES_ECB,), _ready("Encrypt", _ecb, _DATA, 40), ends=False),
    "EncryptUpdate-CBC_PAD": _Output(
        "C_EncryptUpdate", (CKM.AES_CBC_PAD,), _ready("Encrypt", _pad, _DATA, 40), ends=False
    ),
    "EncryptFinal-CBC_PAD": _Output("C_EncryptFinal", (CKM.AES_CBC_PAD,), _updated("Encrypt", _pad, _DATA[:20])),
    "EncryptFinal-GCM": _Output("C_EncryptFinal", (CKM.AES_GCM,), _updated("Encrypt", _gcm, _DATA[:20])),
    "Decrypt-ECB": _Output("C_Decrypt", (CKM.AES_ECB,), _ready("Decrypt", _ecb, _DATA, 64)),
    "Decrypt-CBC_PAD": _Output("C_Decrypt", (CKM.AES_CBC_PAD,), _padded),
    "Decrypt-RSA": _Output("C_Decrypt", (CKM.RSA_PKCS,), _rsa("Decrypt", 1)),
    "DecryptUpdate": _Output("C_DecryptUpdate", (CKM.AES_ECB,), _ready("Decrypt", _ecb, _DATA, 40), ends=False),
    "DecryptFinal-CBC_PAD": _Output("C_DecryptFinal", (CKM.AES_CBC_PAD,), _padded_final),
    "Digest": _Output("C_Digest", (CKM.SHA256,), _digest),
    "DigestFinal": _Output("C_DigestFinal", (CKM.SHA256,), _digest_final),
    "Sign-RSA": _Output("C_Sign", (CKM.RSA_PKCS,), _rsa("Sign", 1)),
    "Sign-ECDSA": _Output("C_Sign", (CKM.ECDSA,), _ecdsa),
    "Sign-CMAC": _Output("C_Sign", (CKM.AES_CMAC,), _ready("Sign", lambda: Mechanism(CKM.AES_CMAC), _DATA, 64)),
    "SignFinal": _Output("C_SignFinal", (CKM.AES_CMAC,), _updated("Sign", lambda: Mechanism(CKM.AES_CMAC), _DATA)),
    "WrapKey": _Output("C_WrapKey", (CKM.AES_KEY_WRAP,), _wrapped, ends=False),
}
_each_output = pytest.mark.parametrize(
    "output", [pytest.param(row, id=name, marks=pytest.mark.needs(*row.needs)) for name, row in _OUTPUTS.items()]
)


def _asked(session: Session, output: _Output, arguments: tuple[Any, ...]) -> int:
    """Return the length a call with a NULL buffer asks for."""
    length = ffi.new("CK_ULONG *", 1)
    session.call(output.function, *arguments, NULL, length)
    return int(length[0])


def _exact(session: Session, output: _Output, arguments: tuple[Any, ...], room: int) -> tuple[int, bytes]:
    """Call with a buffer of `room` bytes; return the length given and all bytes, with 16 marked ones behind."""
    buffer, length = ffi.new("CK_BYTE[]", [_MARK] * (room + 16)), ffi.new("CK_ULONG *", room)
    session.call(output.function, *arguments, buffer, length)
    return int(length[0]), bytes(buffer)


@_each_output
def test_null_buffer_asks_and_ends_nothing(session: Session, output: _Output) -> None:
    """A NULL buffer gives a length that suffices, as often as asked; then the operation goes on."""
    arguments = output.prepare(session)
    first, second = _asked(session, output, arguments), _asked(session, output, arguments)
    assert first == second
    length, buffer = _exact(session, output, arguments, first)
    assert length <= first <= length + 32 or output.function == "C_Decrypt"
    assert bytes([_MARK] * 16) == buffer[-16:]


@_each_output
def test_small_buffer_says_how_much_is_needed_and_ends_nothing(session: Session, output: _Output) -> None:
    """CKR_BUFFER_TOO_SMALL writes a length that suffices and no byte behind the buffer; then the operation goes on."""
    arguments = output.prepare(session)
    buffer, length = ffi.new("CK_BYTE[]", [_MARK] * 1024), ffi.new("CK_ULONG *", 1)
    expect(CKR.BUFFER_TOO_SMALL, session.call, output.function, *arguments, buffer, length)
    assert bytes([_MARK] * 1023) == bytes(buffer)[1:]
    needed = int(length[0])
    assert 1 < needed < 1024
    assert _exact(session, output, arguments, needed)[0] <= needed


@_each_output
def test_large_buffer_gets_the_exact_length(session: Session, output: _Output) -> None:
    """With room to spare the length says how many bytes came; what is behind them stays."""
    length, buffer = _exact(session, output, output.prepare(session), 600)
    assert 0 < length < 600
    assert bytes([_MARK] * (len(buffer) - length)) == buffer[length:] or output.function.startswith("C_Decrypt")
    assert bytes([_MARK] * 16) == buffer[-16:]


@_each_output
def test_output_ends_the_operation(session: Session, output: _Output) -> None:
    """When the output came, single-part and final calls have ended the operation."""
    if not output.ends:
        return
    arguments = output.prepare(session)
    _exact(session, output, arguments, 600)
    expect(CKR.OPERATION_NOT_INITIALIZED, _asked, session, output, arguments)


@_each_output
def test_output_without_a_length_is_refused(session: Session, output: _Output) -> None:
    """A NULL length pointer is CKR_ARGUMENTS_BAD, and the session can still be used."""
    arguments = output.prepare(session)
    expect(CKR.ARGUMENTS_BAD, session.call, output.function, *arguments, NULL, NULL)
    assert 16 == len(session.random(16))


@pytest.mark.needs(CKM.AES_ECB, CKM.SHA256)
@pytest.mark.parametrize(
    ("function", "first", "second"),
    [
        ("C_DigestEncryptUpdate", "Digest", "Encrypt"),
        ("C_DecryptDigestUpdate", "Decrypt", "Digest"),
        ("C_SignEncryptUpdate", "Sign", "Encrypt"),
        ("C_DecryptVerifyUpdate", "Decrypt", "Verify"),
    ],
)
def test_dual_function_follows_the_convention_or_is_not_there(
    session: Session, function: str, first: str, second: str
) -> None:
    """The four dual functions work on two operations with one buffer, or say CKR_FUNCTION_NOT_SUPPORTED (5.15)."""
    key = aes(session, ENCRYPT=True, DECRYPT=True, SIGN=True, VERIFY=True)
    try:
        for name in (first, second):
            if name == "Digest":
                session.call("C_DigestInit", Mechanism(CKM.SHA256).pointer)
            else:
                session.init(name, _ecb() if name in {"Encrypt", "Decrypt"} else Mechanism(CKM.AES_CMAC), key)
        length = ffi.new("CK_ULONG *")
        session.call(function, _DATA, 64, NULL, length)
        buffer = ffi.new("CK_BYTE[]", 64)
        assert 64 == length[0]
        session.call(function, _DATA, 64, buffer, length)
        assert 64 == length[0]
    except Refused as refused:
        assert refused.rv in {CKR.FUNCTION_NOT_SUPPORTED, CKR.OPERATION_ACTIVE}  # noqa: PT017
