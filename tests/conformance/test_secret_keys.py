"""Secret keys of each type that a mechanism generates: made, kept on the token, used, copied, and refused."""

from __future__ import annotations

from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cryptoki import Refused, Session, expect
from .parameters import Mechanism, chacha20, chacha20_poly1305, ctr, needs, ulong

_DATA = bytes(range(256))
_READABLE = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
_USES = dict.fromkeys((CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE), True)

# Each generation: the key type, a length to ask for (None where there is no CKA_VALUE_LEN), the length there is.
_GENERATIONS = [
    *(needs(f"{name}_KEY_GEN", name, size, size) for name in ("CAMELLIA", "ARIA") for size in (16, 24, 32)),
    needs("AES_XTS_KEY_GEN", "AES_XTS", 32, 32),
    needs("AES_XTS_KEY_GEN", "AES_XTS", 64, 64),
    needs("BLOWFISH_KEY_GEN", "BLOWFISH", 56, 56),
    needs("CHACHA20_KEY_GEN", "CHACHA20", 32, 32),
    needs("CHACHA20_KEY_GEN", "CHACHA20", None, 32),
    needs("POLY1305_KEY_GEN", "POLY1305", None, 32),
    needs("SEED_KEY_GEN", "SEED", None, 16),
    *(needs(f"BLAKE2B_{bits}_KEY_GEN", f"BLAKE2B_{bits}_HMAC", 20, 20) for bits in (160, 256, 384, 512)),
]
# Each key type that encrypts, with mechanisms for it.
_CIPHERS = [
    *(
        needs(f"{name}_{mode}", name, Mechanism(getattr(CKM, f"{name}_{mode}"), bytes(size) if size else None))
        for name in ("CAMELLIA", "ARIA", "SEED")
        for mode, size in (("ECB", 0), ("CBC", 16), ("CBC_PAD", 16))
    ),
    needs("CAMELLIA_CTR", "CAMELLIA", ctr(bytes(16), kind=CKM.CAMELLIA_CTR)),
    needs("BLOWFISH_CBC", "BLOWFISH", Mechanism(CKM.BLOWFISH_CBC, bytes(8))),
    needs("AES_XTS", "AES_XTS", Mechanism(CKM.AES_XTS, bytes(16))),
    needs("CHACHA20", "CHACHA20", chacha20(bytes(4), bytes(12))),
    needs("CHACHA20_POLY1305", "CHACHA20", chacha20_poly1305(bytes(12), b"associated")),
    *(
        needs(f"AES_{mode}", "AES", Mechanism(getattr(CKM, f"AES_{mode}"), bytes(16)))
        for mode in ("OFB", "CFB1", "CFB8", "CFB64", "CFB128", "CTS")
    ),
]
_MACS = [
    *(needs(f"{name}_MAC", name, Mechanism(getattr(CKM, f"{name}_MAC"))) for name in ("CAMELLIA", "ARIA", "SEED")),
    needs("AES_MAC", "AES", Mechanism(CKM.AES_MAC)),
    *(needs(f"{name}_MAC_GENERAL", name, ulong(getattr(CKM, f"{name}_MAC_GENERAL"), 5)) for name in ("AES", "ARIA")),
    needs("POLY1305", "POLY1305", Mechanism(CKM.POLY1305)),
    needs("BLAKE2B_256_HMAC", "BLAKE2B_256_HMAC", Mechanism(CKM.BLAKE2B_256_HMAC)),
]  # fmt: skip
_VALUES = {"SEED": bytes(range(16)), "AES_XTS": bytes(range(64))}


def _generation(name: str) -> Mechanism:
    return Mechanism(getattr(CKM, f"{name.removesuffix('_HMAC')}_KEY_GEN"))


def _key(session: Session, name: str, **more: Any) -> int:  # noqa: ANN401 (attributes of any kind)
    """Create a key of the type, for all uses."""
    value = _VALUES.get(name, bytes(range(32)))
    attributes = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: getattr(CKK, name), CKA.VALUE: value, **_READABLE, **_USES}
    return session.create(attributes | {getattr(CKA, kind): given for kind, given in more.items()})


@pytest.mark.parametrize(("name", "kind", "asked", "size"), _GENERATIONS)
def test_generated_key_is_what_was_asked_for(
    session: Session, name: str, kind: str, asked: int | None, size: int
) -> None:
    """A key on the token has its type, its history and its length; two of them differ."""
    template = {CKA.TOKEN: True, **_READABLE} | ({} if asked is None else {CKA.VALUE_LEN: asked})
    keys = [session.generate(_generation(kind), template) for _ in range(2)]
    for key in keys:
        assert CKO.SECRET_KEY == session.number(key, CKA.CLASS)
        assert getattr(CKK, kind) == session.number(key, CKA.KEY_TYPE)
        assert getattr(CKM, name) == session.number(key, CKA.KEY_GEN_MECHANISM)
        assert b"\1" == session.get(key, CKA.LOCAL)
        assert size == len(session.get(key, CKA.VALUE))
        assert 3 == len(session.get(key, CKA.CHECK_VALUE))
        if kind != "SEED":
            assert size == session.number(key, CKA.VALUE_LEN)
    assert session.get(keys[0], CKA.VALUE) != session.get(keys[1], CKA.VALUE)
    session.destroy(*keys)


@pytest.mark.parametrize(("name", "kind", "asked", "size"), _GENERATIONS)
def test_generated_key_of_another_length_is_refused(
    session: Session, name: str, kind: str, asked: int | None, size: int
) -> None:
    """CKR_ATTRIBUTE_VALUE_INVALID, or CKR_KEY_SIZE_RANGE; a type without CKA_VALUE_LEN does not know it."""
    assert name
    wrong = 0 if kind.startswith("BLAKE2B") else size + 1
    codes = (
        CKR.ATTRIBUTE_VALUE_INVALID, CKR.KEY_SIZE_RANGE, CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_TYPE_INVALID,
    )  # fmt: skip
    expect(codes, session.generate, _generation(kind), {CKA.VALUE_LEN: 0 if asked is None else wrong})


@pytest.mark.parametrize(("_name", "kind", "mechanism"), _CIPHERS)
def test_data_comes_back(session: Session, _name: str, kind: str, mechanism: Mechanism) -> None:
    """What is encrypted in one part or in several is the same, and comes back; another key makes something else."""
    key = _key(session, kind)
    encrypted = session.encrypt(mechanism, key, _DATA)
    assert encrypted[: len(_DATA)] != _DATA
    assert encrypted == session.cipher_parts("Encrypt", mechanism, key, [_DATA[:17], b"", _DATA[17:]])
    assert _DATA == session.decrypt(mechanism, key, encrypted)
    assert _DATA == session.cipher_parts("Decrypt", mechanism, key, [encrypted[:1], encrypted[1:]])
    value = bytes(reversed(_VALUES.get(kind, bytes(range(32)))))
    assert encrypted != session.encrypt(mechanism, _key(session, kind, VALUE=value), _DATA)


@pytest.mark.parametrize(("_name", "kind", "mechanism"), _MACS)
def test_code_is_verified(session: Session, _name: str, kind: str, mechanism: Mechanism) -> None:
    """A code is the same in one part and in several; a changed one is refused."""
    key = _key(session, kind)
    code = session.sign(mechanism, key, _DATA)
    assert code == session.sign_parts(mechanism, key, [_DATA[:17], _DATA[17:]])
    session.verify(mechanism, key, _DATA, code)
    session.verify_parts(mechanism, key, [_DATA[:1], _DATA[1:]], code)
    wrong = code[:-1] + bytes([code[-1] ^ 1])
    expect(CKR.SIGNATURE_INVALID, session.verify, mechanism, key, _DATA, wrong)
    expect(CKR.SIGNATURE_LEN_RANGE, session.verify, mechanism, key, _DATA, code + b"\0")


@pytest.mark.parametrize(("_name", "kind", "mechanism"), [*_CIPHERS, *_MACS])
def test_key_of_another_type_is_refused(session: Session, _name: str, kind: str, mechanism: Mechanism) -> None:
    """CKR_KEY_TYPE_INCONSISTENT."""
    other = _key(session, "DES3" if kind == "AES" else "AES", **({"VALUE": b"\1" * 24} if kind == "AES" else {}))
    expect(CKR.KEY_TYPE_INCONSISTENT, session.init, "Encrypt" if _is_cipher(mechanism) else "Sign", mechanism, other)


@pytest.mark.parametrize(("_name", "kind", "mechanism"), [*_CIPHERS, *_MACS])
def test_key_without_the_usage_is_refused(session: Session, _name: str, kind: str, mechanism: Mechanism) -> None:
    """CKR_KEY_FUNCTION_NOT_PERMITTED."""
    key = _key(session, kind, ENCRYPT=False, SIGN=False)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, "Encrypt" if _is_cipher(mechanism) else "Sign", mechanism, key)


def _is_cipher(mechanism: Mechanism) -> bool:
    """Whether the mechanism is one of those that encrypt."""
    return any(mechanism is row.values[2] for row in _CIPHERS)


@pytest.mark.needs(CKM.AES_XTS)
@pytest.mark.parametrize("value", [bytes(32), bytes(64), bytes(range(48)), bytes(range(31))])
def test_double_key_that_is_none_is_refused(session: Session, value: bytes) -> None:
    """Two equal halves and other lengths are CKR_ATTRIBUTE_VALUE_INVALID."""
    expect(CKR.ATTRIBUTE_VALUE_INVALID, _key, session, "AES_XTS", VALUE=value)


@pytest.mark.needs(CKM.CHACHA20_POLY1305)
def test_failed_decryption_ends_and_gives_nothing(session: Session) -> None:
    """A wrong tag is CKR_ENCRYPTED_DATA_INVALID; no byte came out before, and the operation is over."""
    key, mechanism = _key(session, "CHACHA20"), chacha20_poly1305(bytes(12))
    wrong = session.encrypt(mechanism, key, _DATA)[:-1] + b"?"
    session.init("Decrypt", mechanism, key)
    assert b"" == session.output("C_DecryptUpdate", wrong, len(wrong))
    with pytest.raises(Refused) as refused:
        session.output("C_DecryptFinal")
    assert CKR.ENCRYPTED_DATA_INVALID == refused.value.rv
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_DecryptFinal")
