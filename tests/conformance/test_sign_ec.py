"""ECDSA and EdDSA."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cryptoki import Session, expect
from .keys import ED25519, P256, generate_ec, import_ec, import_ed25519, octets, private_ec, private_ed25519
from .parameters import Mechanism, needs

_DATA = b"a message"
_ECDSA = Mechanism(CKM.ECDSA)
_EDDSA = Mechanism(CKM.EDDSA)
_HASHED = [
    needs("ECDSA_SHA1", "sha1"),
    needs("ECDSA_SHA224", "sha224"),
    needs("ECDSA_SHA256", "sha256"),
    needs("ECDSA_SHA384", "sha384"),
    needs("ECDSA_SHA512", "sha512"),
    needs("ECDSA_SHA3_256", "sha3_256"),
]
# A key made for a signature of `_DATA` whose r and s have 31 bytes: r is the x of a small multiple of the generator,
# s was chosen, and the key follows from both.
_POINT = bytes.fromhex(
    "04f4305c8fb0295a5514b440b110882cfd6586912fe06e77c09d304a664549fece"
    "c737762615d1a5ef2b4fef18cddace75a6b706d0d7b06890d90ef407e18699ea"
)
_R = bytes.fromhex("5543894af3d00ed7d740abdbd75c96b06877b787db5f70eea78b90a8d7c00a")
_S = bytes.fromhex("80000000000000000000000000000000000000000000000000000000003039")
_SIGNS, _VERIFIES = {CKA.SIGN: True}, {CKA.VERIFY: True}


@pytest.fixture
def pair(session: Session) -> tuple[int, int]:
    """Give a P-256 key that verifies and signs."""
    return import_ec(session, private_ec(), _VERIFIES, _SIGNS)


@pytest.fixture
def edwards(session: Session) -> tuple[int, int]:
    """Give an Ed25519 key that verifies and signs."""
    return import_ed25519(session, private_ed25519(), _VERIFIES, _SIGNS)


def _der(signature: bytes) -> bytes:
    """Return r and s, two halves of a Cryptoki signature, as DER."""
    half = len(signature) // 2
    return utils.encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


@pytest.mark.needs(CKM.ECDSA)
def test_ecdsa_of_a_digest_is_an_ordinary_signature(session: Session, pair: tuple[int, int]) -> None:
    """R and s, 32 bytes each, which `cryptography` accepts; and the other way round."""
    digest = hashlib.sha256(_DATA).digest()
    signature = session.sign(_ECDSA, pair[1], digest)
    assert 64 == len(signature)
    private_ec().public_key().verify(_der(signature), _DATA, ec.ECDSA(hashes.SHA256()))
    r, s = utils.decode_dss_signature(private_ec().sign(_DATA, ec.ECDSA(hashes.SHA256())))
    session.verify(_ECDSA, pair[0], digest, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@pytest.mark.needs(CKM.ECDSA)
@pytest.mark.parametrize("length", [1, 20, 31, 33, 48, 64])
def test_ecdsa_takes_input_of_any_length(session: Session, pair: tuple[int, int], length: int) -> None:
    """Longer than the order is cut to its leftmost bits, shorter counts as a small number."""
    data = hashlib.shake_128(b"x").digest(length)
    signature = session.sign(_ECDSA, pair[1], data)
    session.verify(_ECDSA, pair[0], data, signature)
    session.verify(_ECDSA, pair[0], data[:32].rjust(32, b"\0"), signature)


@pytest.mark.parametrize(("name", "algorithm"), _HASHED)
def test_hashing_ecdsa_is_an_ordinary_signature(
    session: Session, pair: tuple[int, int], name: str, algorithm: str
) -> None:
    """In one part or several, the signature is one of the digest."""
    mechanism, digest = Mechanism(getattr(CKM, name)), hashlib.new(algorithm, _DATA).digest()
    for signature in (
        session.sign(mechanism, pair[1], _DATA),
        session.sign_parts(mechanism, pair[1], [_DATA[:3], _DATA[3:]]),
    ):
        session.verify(_ECDSA, pair[0], digest, signature)
        session.verify_parts(mechanism, pair[0], [_DATA[:5], _DATA[5:]], signature)


@pytest.mark.needs(CKM.ECDSA)
@pytest.mark.parametrize("change", ["flipped", "zero", "short", "long"])
def test_wrong_ecdsa_signature_is_refused(session: Session, pair: tuple[int, int], change: str) -> None:
    """A changed signature is CKR_SIGNATURE_INVALID, one of another length CKR_SIGNATURE_LEN_RANGE."""
    digest = hashlib.sha256(_DATA).digest()
    good = session.sign(_ECDSA, pair[1], digest)
    wrong = {
        "flipped": good[:-1] + bytes([good[-1] ^ 1]), "zero": bytes(64), "short": good[:-1], "long": good + b"\0"
    }[change]  # fmt: skip
    code = CKR.SIGNATURE_INVALID if len(wrong) == len(good) else CKR.SIGNATURE_LEN_RANGE
    expect(code, session.verify, _ECDSA, pair[0], digest, wrong)


@pytest.mark.needs(CKM.ECDSA)
def test_shorter_ecdsa_signature_is_accepted(session: Session) -> None:
    """Two halves of fewer bytes, where r and s are small, are a signature too (6.3)."""
    template = {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: P256, CKA.EC_POINT: octets(_POINT)}
    key = session.create(template | _VERIFIES)
    session.verify(_ECDSA, key, hashlib.sha256(_DATA).digest(), bytes(1) + _R + bytes(1) + _S)
    session.verify(_ECDSA, key, hashlib.sha256(_DATA).digest(), _R + _S)


@pytest.mark.needs(CKM.ECDSA, CKM.EC_KEY_PAIR_GEN)
def test_generated_pair_signs_and_verifies(session: Session) -> None:
    """A pair made by the token works together, as token objects too."""
    public, private = generate_ec(session, {CKA.TOKEN: True, **_VERIFIES}, {CKA.TOKEN: True, **_SIGNS})
    session.verify(_ECDSA, public, _DATA, session.sign(_ECDSA, private, _DATA))


@pytest.mark.needs(CKM.ECDSA)
def test_ecdsa_with_a_key_of_another_type_is_refused(session: Session, edwards: tuple[int, int]) -> None:
    """An Ed25519 key does not do ECDSA: CKR_KEY_TYPE_INCONSISTENT."""
    expect(CKR.KEY_TYPE_INCONSISTENT, session.init, "Sign", _ECDSA, edwards[1])


@pytest.mark.needs(CKM.EDDSA)
def test_eddsa_is_an_ordinary_signature(session: Session, edwards: tuple[int, int]) -> None:
    """Without a parameter the signature is the one of RFC 8032, which is always the same."""
    known = private_ed25519().sign(_DATA)
    assert known == session.sign(_EDDSA, edwards[1], _DATA)
    session.verify(_EDDSA, edwards[0], _DATA, known)
    session.verify(_EDDSA, edwards[0], b"", session.sign(_EDDSA, edwards[1], b""))


@pytest.mark.needs(CKM.EDDSA)
@pytest.mark.parametrize("change", ["flipped", "short", "long"])
def test_wrong_eddsa_signature_is_refused(session: Session, edwards: tuple[int, int], change: str) -> None:
    """A changed signature is CKR_SIGNATURE_INVALID, one of another length CKR_SIGNATURE_LEN_RANGE."""
    good = session.sign(_EDDSA, edwards[1], _DATA)
    wrong = {"flipped": good[:-1] + bytes([good[-1] ^ 1]), "short": good[:-1], "long": good + b"\0"}[change]
    code = CKR.SIGNATURE_INVALID if len(wrong) == len(good) else CKR.SIGNATURE_LEN_RANGE
    expect(code, session.verify, _EDDSA, edwards[0], _DATA, wrong)


@pytest.mark.needs(CKM.EDDSA, CKM.EC_EDWARDS_KEY_PAIR_GEN)
def test_generated_edwards_pair_signs_and_verifies(session: Session) -> None:
    """A pair made by the token works together."""
    mechanism = Mechanism(CKM.EC_EDWARDS_KEY_PAIR_GEN)
    public, private = session.generate_pair(mechanism, {CKA.EC_PARAMS: ED25519, **_VERIFIES}, _SIGNS)
    session.verify(_EDDSA, public, _DATA, session.sign(_EDDSA, private, _DATA))
