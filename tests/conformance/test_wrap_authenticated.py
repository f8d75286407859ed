"""C_WrapKeyAuthenticated and C_UnwrapKeyAuthenticated with GCM, CCM and ChaCha20-Poly1305 (5.18.10, 5.18.11, 6.14)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ptkc.spec.constants import CKA, CKG, CKK, CKM, CKO, CKR

from .binding import ffi
from .cryptoki import NULL, Session, Template, expect
from .keys import AES_KEY, aes, generic, import_ec, import_rsa, private_ec, private_rsa
from .messages import Ccm, ChaCha, Gcm, MessageParameter
from .parameters import Mechanism, chacha20_poly1305, needs

pytestmark = pytest.mark.needs_function("C_WrapKeyAuthenticated", "C_UnwrapKeyAuthenticated")

_VALUE = bytes(range(200, 232))
_AAD = b"what goes with the key"
_NONCE = bytes(range(12))
_NEW: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True
}  # fmt: skip

Make = Callable[..., MessageParameter]


def _gcm(iv: bytes = _NONCE, tag: bytes | int = 16, **options: int) -> MessageParameter:
    return Gcm(iv, tag, **options)


def _ccm(iv: bytes = _NONCE, tag: bytes | int = 16, **options: int) -> MessageParameter:
    # The length that CCM is told is ignored: it is the key's.
    return Ccm(7, iv, tag, **options)


def _chacha(iv: bytes = _NONCE, tag: bytes | int = 16) -> MessageParameter:
    return ChaCha(iv, tag)


_CIPHERS = [
    needs("AES_GCM", _gcm, AESGCM),
    needs("AES_CCM", _ccm, AESCCM),
    needs("CHACHA20_POLY1305", _chacha, ChaCha20Poly1305),
]
ciphers = pytest.mark.parametrize(("name", "make", "library"), [
    pytest.param(param.id, *param.values[1:], id=param.id, marks=param.marks) for param in _CIPHERS
])  # fmt: skip
generating = pytest.mark.parametrize(("name", "make", "library"), [
    pytest.param(param.id, *param.values[1:], id=param.id, marks=param.marks) for param in _CIPHERS[:2]
])  # fmt: skip


def _mechanism(name: str, parameter: MessageParameter) -> Mechanism:
    return Mechanism(getattr(CKM, name), parameter.structure, parameter)


def _wrapping(session: Session, name: str, **usage: bool) -> int:
    """Return a key that wraps and unwraps with the mechanism."""
    uses = {"WRAP": True, "UNWRAP": True, **usage}
    if name.startswith("AES"):
        return aes(session, **uses)
    attributes: dict[int, Any] = {
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.CHACHA20, CKA.VALUE: AES_KEY, CKA.EXTRACTABLE: True,
        CKA.SENSITIVE: False,
    }  # fmt: skip
    return session.create(attributes | {getattr(CKA, kind): flag for kind, flag in uses.items()})


def _wrap(
    session: Session, name: str, parameter: MessageParameter, wrapping: int, key: int, aad: bytes = _AAD
) -> bytes:
    return session.wrap_authenticated(_mechanism(name, parameter), wrapping, key, aad)


@ciphers
def test_the_wrapped_key_is_the_encrypted_value(session: Session, name: str, make: Make, library: Any) -> None:  # noqa: ANN401
    """Ciphertext and tag are what another library makes, and the tag stands in the parameter."""
    wrapping, parameter = _wrapping(session, name), make()
    wrapped = _wrap(session, name, parameter, wrapping, aes(session, _VALUE))
    assert library(AES_KEY).encrypt(_NONCE, _VALUE, _AAD) == wrapped + parameter.tag
    assert _NONCE == parameter.iv
    unwrapped = session.unwrap_authenticated(_mechanism(name, make(tag=parameter.tag)), wrapping, wrapped, _NEW, _AAD)
    assert _VALUE == session.get(unwrapped, CKA.VALUE)


@ciphers
def test_private_keys_are_wrapped_as_pkcs8(session: Session, name: str, make: Make, library: Any) -> None:  # noqa: ANN401
    """And come back from what another library wrapped."""
    wrapping, parameter = _wrapping(session, name), make()
    _, key = import_ec(session, private_ec(), None, {CKA.EXTRACTABLE: True, CKA.SENSITIVE: False, CKA.SIGN: True})
    wrapped = _wrap(session, name, parameter, wrapping, key, b"")
    secret = private_ec().private_numbers().private_value.to_bytes(32, "big")
    assert secret in library(AES_KEY).decrypt(_NONCE, wrapped + parameter.tag, None)
    known = private_ec().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealed = library(AES_KEY).encrypt(_NONCE, known, None)
    template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
    new = session.unwrap_authenticated(_mechanism(name, make(tag=sealed[-16:])), wrapping, sealed[:-16], template)
    assert secret == session.get(new, CKA.VALUE)


@generating
@pytest.mark.parametrize("generator", [CKG.GENERATE, CKG.GENERATE_COUNTER, CKG.GENERATE_RANDOM])
def test_a_generated_iv_is_written_back(
    session: Session,
    name: str,
    make: Make,
    library: Any,  # noqa: ANN401
    generator: int,
) -> None:
    """No two are the same; the bits that the caller fixed stay; the key comes back with the one that was written."""
    # Each key keeps to one way of making IVs, and keys of other tests have the same value.
    value = generator.to_bytes(1, "big") * 32
    wrapping, target = aes(session, value, WRAP=True, UNWRAP=True), aes(session, _VALUE)
    seen = set()
    for _ in range(3):
        parameter = make(fixed=32, generator=generator)
        wrapped = _wrap(session, name, parameter, wrapping, target)
        assert _NONCE[:4] == parameter.iv[:4]
        assert _VALUE == library(value).decrypt(parameter.iv, wrapped + parameter.tag, _AAD)
        seen.add(parameter.iv)
    assert len(seen) == 3


@generating
def test_a_length_query_makes_no_iv(session: Session, name: str, make: Make, library: Any) -> None:  # noqa: ANN401
    """The counter goes on where it was, and nothing is written; CKR_BUFFER_TOO_SMALL is the same."""
    assert library
    # IVs are counted by the key's value, whatever the cipher.
    wrapping, target = aes(session, name.encode() * 4 + b"    ", WRAP=True), aes(session, _VALUE)
    length = ffi.new("CK_ULONG *")
    for _ in range(3):
        parameter = make(fixed=32, generator=CKG.GENERATE_COUNTER)
        arguments = (_mechanism(name, parameter).pointer, wrapping, target, _AAD, len(_AAD))
        session.call("C_WrapKeyAuthenticated", *arguments, NULL, length)
        assert len(_VALUE) == length[0]
        length[0] = len(_VALUE) - 1
        buffer = ffi.new("CK_BYTE[]", len(_VALUE))
        expect(CKR.BUFFER_TOO_SMALL, session.call, "C_WrapKeyAuthenticated", *arguments, buffer, length)
        assert (len(_VALUE), bytes(len(_VALUE))) == (length[0], bytes(buffer))
        assert (_NONCE, bytes(16)) == (parameter.iv, parameter.tag)
    session.call("C_WrapKeyAuthenticated", *arguments, buffer, length)
    assert _NONCE[:4] + bytes(8) == parameter.iv


@ciphers
def test_what_was_changed_is_refused(session: Session, name: str, make: Make, library: Any) -> None:  # noqa: ANN401
    """Key, tag, nonce and associated data: one code for all, and no object."""
    wrapping = _wrapping(session, name)
    sealed = library(AES_KEY).encrypt(_NONCE, _VALUE, _AAD)
    wrapped, tag = sealed[:-16], sealed[-16:]
    before = len(session.find({}))

    def flipped(data: bytes) -> bytes:
        return bytes([data[0] ^ 1]) + data[1:]

    for parameter, data, aad in (
        (make(tag=tag), flipped(wrapped), _AAD),
        (make(tag=flipped(tag)), wrapped, _AAD),
        (make(flipped(_NONCE), tag), wrapped, _AAD),
        (make(tag=tag), wrapped, b""),
        (make(tag=tag), wrapped, _AAD + b"\0"),
        (make(tag=tag), wrapped[:-1], _AAD),
    ):
        expect(
            CKR.WRAPPED_KEY_INVALID,
            session.unwrap_authenticated,
            _mechanism(name, parameter),
            wrapping,
            data,
            _NEW,
            aad,
        )
    assert before == len(session.find({}))


@ciphers
def test_bad_parameters_are_refused(session: Session, name: str, make: Make, library: Any) -> None:  # noqa: ANN401
    """A parameter of C_WrapKey, none, no room for the tag, a nonce of no length."""
    assert library
    wrapping, target = _wrapping(session, name), aes(session, _VALUE)
    number = getattr(CKM, name)
    no_tag = make()
    for field in ("pTag", "pMAC"):
        if field in dict(ffi.typeof(no_tag.structure).item.fields):
            setattr(no_tag.structure, field, NULL)
    for mechanism in (
        Mechanism(number), Mechanism(number, b"x"), Mechanism(number, bytes(64)), _mechanism(name, make(b"")),
        _mechanism(name, no_tag),
    ):  # fmt: skip
        expect(CKR.MECHANISM_PARAM_INVALID, session.wrap_authenticated, mechanism, wrapping, target)
        expect(
            (CKR.MECHANISM_PARAM_INVALID, CKR.WRAPPED_KEY_INVALID),
            session.unwrap_authenticated, mechanism, wrapping, _VALUE, _NEW,
        )  # fmt: skip


@pytest.mark.needs(CKM.CHACHA20_POLY1305)
def test_chacha20_poly1305_wraps_with_the_tag_behind_the_key(session: Session) -> None:
    """C_WrapKey and C_UnwrapKey take the parameter of C_Encrypt."""
    wrapping, mechanism = _wrapping(session, "CHACHA20_POLY1305"), chacha20_poly1305(_NONCE, _AAD)
    wrapped = session.wrap(mechanism, wrapping, aes(session, _VALUE))
    assert ChaCha20Poly1305(AES_KEY).encrypt(_NONCE, _VALUE, _AAD) == wrapped
    assert _VALUE == session.get(session.unwrap(mechanism, wrapping, wrapped, _NEW), CKA.VALUE)
    expect(CKR.WRAPPED_KEY_INVALID, session.unwrap, mechanism, wrapping, wrapped[1:], _NEW)


@pytest.mark.needs(CKM.AES_GCM, CKM.AES_CCM)
def test_a_parameter_of_another_cipher_is_refused(session: Session) -> None:
    """CCM's with GCM."""
    wrapping, target = aes(session, WRAP=True), aes(session, _VALUE)
    mechanism = _mechanism("AES_GCM", _ccm())
    expect(CKR.MECHANISM_PARAM_INVALID, session.wrap_authenticated, mechanism, wrapping, target)


@pytest.mark.needs(CKM.AES_GCM)
class TestGcm:
    """What holds for all, shown with GCM."""

    def test_usage_attributes_are_obeyed(self, session: Session) -> None:
        """CKA_WRAP and CKA_UNWRAP."""
        neither, target = aes(session, WRAP=False, UNWRAP=False), aes(session, _VALUE)
        mechanism = _mechanism("AES_GCM", _gcm())
        expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.wrap_authenticated, mechanism, neither, target)
        expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.unwrap_authenticated, mechanism, neither, _VALUE, _NEW)

    def test_only_what_may_leave_is_wrapped(self, session: Session) -> None:
        """As C_WrapKey has it: extractable, with a trusted key where the key asks for one, no public key."""
        wrapping, mechanism = aes(session, WRAP=True), _mechanism("AES_GCM", _gcm())
        fixed = session.create(
            {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: _VALUE, CKA.EXTRACTABLE: False}
        )
        expect(CKR.KEY_UNEXTRACTABLE, session.wrap_authenticated, mechanism, wrapping, fixed)
        choosy = aes(session, _VALUE, WRAP_WITH_TRUSTED=True)
        expect(CKR.KEY_NOT_WRAPPABLE, session.wrap_authenticated, mechanism, wrapping, choosy)
        public, _ = import_ec(session, private_ec())
        expect(CKR.KEY_NOT_WRAPPABLE, session.wrap_authenticated, mechanism, wrapping, public)

    def test_handles_and_types_are_checked(self, session: Session) -> None:
        """Each key has its code."""
        wrapping, mechanism = aes(session, WRAP=True, UNWRAP=True), _mechanism("AES_GCM", _gcm())
        target = aes(session, _VALUE)
        expect(CKR.WRAPPING_KEY_HANDLE_INVALID, session.wrap_authenticated, mechanism, 0, target)
        expect(CKR.KEY_HANDLE_INVALID, session.wrap_authenticated, mechanism, wrapping, 0)
        expect(CKR.UNWRAPPING_KEY_HANDLE_INVALID, session.unwrap_authenticated, mechanism, 0, _VALUE, _NEW)
        public, private = import_rsa(session, private_rsa(), {CKA.WRAP: True}, {CKA.UNWRAP: True})
        expect(CKR.WRAPPING_KEY_TYPE_INCONSISTENT, session.wrap_authenticated, mechanism, public, target)
        expect(CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT, session.unwrap_authenticated, mechanism, private, _VALUE, _NEW)
        for kind in (CKM.AES_KEY_WRAP, CKM.AES_CBC_PAD, CKM.SHA256, 0x7FFF1234):
            parameter = _gcm()
            other = Mechanism(kind, parameter.structure, parameter)
            expect(CKR.MECHANISM_INVALID, session.wrap_authenticated, other, wrapping, target)
            expect(CKR.MECHANISM_INVALID, session.unwrap_authenticated, other, wrapping, _VALUE, _NEW)

    def test_templates_of_the_keys_are_obeyed(self, session: Session) -> None:
        """CKA_WRAP_TEMPLATE is compared, CKA_UNWRAP_TEMPLATE is added (5.18.10, 5.18.11)."""
        attributes: dict[int, Any] = {
            CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: AES_KEY, CKA.WRAP: True, CKA.UNWRAP: True,
            CKA.WRAP_TEMPLATE: {CKA.KEY_TYPE: CKK.AES}, CKA.UNWRAP_TEMPLATE: {CKA.EXTRACTABLE: False},
        }  # fmt: skip
        wrapping, parameter = session.create(attributes), _gcm()
        expect(
            CKR.KEY_HANDLE_INVALID, session.wrap_authenticated, _mechanism("AES_GCM", parameter), wrapping,
            generic(session, _VALUE),
        )  # fmt: skip
        wrapped = _wrap(session, "AES_GCM", parameter, wrapping, aes(session, _VALUE))
        given = _mechanism("AES_GCM", _gcm(tag=parameter.tag))
        expect(CKR.TEMPLATE_INCONSISTENT, session.unwrap_authenticated, given, wrapping, wrapped, _NEW, _AAD)
        new = session.unwrap_authenticated(
            given, wrapping, wrapped, {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}, _AAD
        )
        assert not session.flag(new, CKA.EXTRACTABLE)

    def test_the_unwrapped_key_has_no_history(self, session: Session) -> None:
        """Not local, neither always sensitive nor never extractable, extractable by default."""
        sealed = AESGCM(AES_KEY).encrypt(_NONCE, _VALUE, None)
        template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
        mechanism = _mechanism("AES_GCM", _gcm(tag=sealed[-16:]))
        new = session.unwrap_authenticated(mechanism, aes(session, UNWRAP=True), sealed[:-16], template)
        for kind in (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE):
            assert not session.flag(new, kind)
        assert session.flag(new, CKA.EXTRACTABLE)

    def test_null_pointers_are_refused(self, session: Session) -> None:
        """Mechanism, associated data with a length, length and handle."""
        wrapping, target, mechanism = (
            aes(session, WRAP=True, UNWRAP=True),
            aes(session, _VALUE),
            _mechanism("AES_GCM", _gcm()),
        )
        length, buffer, key = ffi.new("CK_ULONG *", 64), ffi.new("CK_BYTE[64]"), ffi.new("CK_OBJECT_HANDLE *")
        for arguments in (
            (NULL, wrapping, target, NULL, 0, buffer, length),
            (mechanism.pointer, wrapping, target, NULL, 5, buffer, length),
            (mechanism.pointer, wrapping, target, NULL, 0, buffer, NULL),
        ):
            expect(CKR.ARGUMENTS_BAD, session.call, "C_WrapKeyAuthenticated", *arguments)
        template = Template(_NEW)
        for arguments in (
            (NULL, wrapping, buffer, 32, template.array, template.count, NULL, 0, key),
            (mechanism.pointer, wrapping, NULL, 32, template.array, template.count, NULL, 0, key),
            (mechanism.pointer, wrapping, buffer, 32, NULL, template.count, NULL, 0, key),
            (mechanism.pointer, wrapping, buffer, 32, template.array, template.count, NULL, 9, key),
            (mechanism.pointer, wrapping, buffer, 32, template.array, template.count, NULL, 0, NULL),
        ):
            expect(CKR.ARGUMENTS_BAD, session.call, "C_UnwrapKeyAuthenticated", *arguments)


@pytest.mark.parametrize("words", [3, 6, 7], ids=["chacha", "gcm", "ccm"])
@pytest.mark.parametrize("name", ["RSA_PKCS_OAEP", "AES_CBC", "AES_GCM", "AES_CCM", "CHACHA20_POLY1305"])
def test_numbers_of_the_length_of_another_ciphers_parameter_are_no_pointers(
    session: Session, name: str, words: int
) -> None:
    """What has only the length of a parameter, of this cipher or another, is refused; nothing it holds is followed."""
    wrapping, target = _wrapping(session, "AES_GCM"), aes(session, EXTRACTABLE=True)
    large = 1 << 40 if (name, words) not in {("AES_GCM", 6), ("AES_CCM", 7), ("CHACHA20_POLY1305", 3)} else 1 << 12
    mechanism = Mechanism(getattr(CKM, name), large.to_bytes(8, sys.byteorder) * words)
    codes = (CKR.MECHANISM_PARAM_INVALID, CKR.MECHANISM_INVALID, CKR.WRAPPING_KEY_TYPE_INCONSISTENT)
    expect(codes, session.wrap_authenticated, mechanism, wrapping, target)
