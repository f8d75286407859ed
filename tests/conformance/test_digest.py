"""C_DigestInit, C_Digest, C_DigestUpdate, C_DigestKey, C_DigestFinal."""

from __future__ import annotations

import hashlib

import pytest

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .binding import ffi
from .cryptoki import NULL, Session, expect
from .fresh_token import USER_PIN
from .keys import AES_KEY, aes, generic
from .parameters import Mechanism, needs

_SHA256 = Mechanism(CKM.SHA256)
_DATA = bytes(range(256)) * 3
_DIGESTS = [
    needs("SHA_1", "sha1"),
    needs("SHA224", "sha224"),
    needs("SHA256", "sha256"),
    needs("SHA384", "sha384"),
    needs("SHA512", "sha512"),
    needs("SHA512_224", "sha512_224"),
    needs("SHA512_256", "sha512_256"),
    needs("SHA3_224", "sha3_224"),
    needs("SHA3_256", "sha3_256"),
    needs("SHA3_384", "sha3_384"),
    needs("SHA3_512", "sha3_512"),
]
_each_digest = pytest.mark.parametrize(("name", "algorithm"), _DIGESTS)


@_each_digest
@pytest.mark.parametrize("data", [b"", b"abc", _DATA], ids=["empty", "short", "long"])
def test_digest_in_one_part_is_right(session: Session, name: str, algorithm: str, data: bytes) -> None:
    """C_Digest gives what `hashlib` gives."""
    assert hashlib.new(algorithm, data).digest() == session.digest(Mechanism(getattr(CKM, name)), data)


@_each_digest
@pytest.mark.parametrize("size", [1, 63, 64, 200])
def test_digest_in_several_parts_is_right(session: Session, name: str, algorithm: str, size: int) -> None:
    """However the data is split, the digest is the same."""
    session.call("C_DigestInit", Mechanism(getattr(CKM, name)).pointer)
    for start in range(0, len(_DATA), size):
        part = _DATA[start : start + size]
        session.call("C_DigestUpdate", part, len(part))
    assert hashlib.new(algorithm, _DATA).digest() == session.output("C_DigestFinal")


@pytest.mark.needs(CKM.SHA256)
def test_digest_of_nothing_in_several_parts_is_right(session: Session) -> None:
    """C_DigestFinal right after C_DigestInit gives the digest of no data; so does an empty part."""
    session.call("C_DigestInit", _SHA256.pointer)
    assert hashlib.sha256().digest() == session.output("C_DigestFinal")
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_DigestUpdate", b"", 0)
    assert hashlib.sha256().digest() == session.output("C_DigestFinal")


@pytest.mark.needs(CKM.SHA256)
@pytest.mark.parametrize("make", [generic, aes])
def test_digest_takes_a_keys_value(session: Session, make: object) -> None:
    """C_DigestKey between parts counts as the key's value (5.12)."""
    key = make(session, AES_KEY)  # type: ignore[operator]
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_DigestUpdate", b"before", 6)
    session.call("C_DigestKey", key)
    session.call("C_DigestUpdate", b"after", 5)
    assert hashlib.sha256(b"before" + AES_KEY + b"after").digest() == session.output("C_DigestFinal")


@pytest.mark.needs(CKM.SHA256)
def test_digest_of_a_private_key_ends_with_the_login(session: Session) -> None:
    """What was begun with a private object goes with C_Logout; a digest of data alone stays."""
    key = session.create({
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE: AES_KEY, CKA.PRIVATE: True,
    })  # fmt: skip
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_DigestKey", key)
    session.logout()
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_DigestFinal")
    session.call("C_DigestInit", _SHA256.pointer)
    session.login(USER_PIN)
    assert hashlib.sha256().digest() == session.output("C_DigestFinal")


@pytest.mark.needs(CKM.SHA256)
def test_digest_of_an_unknown_key_is_refused(session: Session) -> None:
    """A handle that is no key is CKR_KEY_HANDLE_INVALID."""
    session.call("C_DigestInit", _SHA256.pointer)
    expect((CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID), session.call, "C_DigestKey", 2**40 + 7)


@pytest.mark.needs(CKM.SHA256)
def test_digest_may_be_written_over_its_data(session: Session) -> None:
    """Data and digest may be at the same place (5.12)."""
    place, length = ffi.new("CK_BYTE[64]", _DATA[:64]), ffi.new("CK_ULONG *", 64)
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_Digest", place, 64, place, length)
    assert hashlib.sha256(_DATA[:64]).digest() == bytes(place[0 : length[0]])


def test_digest_with_an_unlisted_mechanism_is_refused(session: Session) -> None:
    """CKR_MECHANISM_INVALID for what the token does not list, and for what does not digest."""
    expect(CKR.MECHANISM_INVALID, session.call, "C_DigestInit", Mechanism(0x7FFF1234).pointer)
    expect(CKR.MECHANISM_INVALID, session.call, "C_DigestInit", Mechanism(CKM.AES_KEY_GEN).pointer)


@pytest.mark.needs(CKM.SHA256)
def test_digest_with_a_parameter_is_refused(session: Session) -> None:
    """A digest has no parameter: CKR_MECHANISM_PARAM_INVALID."""
    expect(CKR.MECHANISM_PARAM_INVALID, session.call, "C_DigestInit", Mechanism(CKM.SHA256, b"x").pointer)


@pytest.mark.needs(CKM.SHA256)
def test_digest_of_a_null_pointer_is_refused(session: Session) -> None:
    """NULL with a length is CKR_ARGUMENTS_BAD, and ends the operation."""
    session.call("C_DigestInit", _SHA256.pointer)
    expect(CKR.ARGUMENTS_BAD, session.call, "C_DigestUpdate", NULL, 5)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_DigestUpdate", b"x", 1)
