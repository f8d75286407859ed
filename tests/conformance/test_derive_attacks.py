"""Attacks on keys that derivations name or begin with: what they are must not come out of what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ptkc.spec.constants import CK, CKA, CKK, CKM, CKO, CKR

from . import derivations as parameters
from .cryptoki import Session, expect
from .parameters import Mechanism
from .test_derive_rules import base

_KNOWN = bytes(range(16))
_SECRET = bytes(range(200, 215))  # with one byte of a counter, a block of AES
_READABLE: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE_LEN: 16, CKA.SENSITIVE: False,
    CKA.EXTRACTABLE: True,
}  # fmt: skip


def _inverted(mac: bytes) -> bytes:
    """Return the one block that CMAC under the known key was made of (SP 800-38B, 6.2)."""
    cipher = Cipher(algorithms.AES(_KNOWN), modes.ECB())  # noqa: S305
    number = int.from_bytes(cipher.encryptor().update(bytes(16)), "big") << 1
    subkey = number ^ (1 << 128 | 0x87) if number >> 128 else number
    return (int.from_bytes(cipher.decryptor().update(mac), "big") ^ subkey).to_bytes(16, "big")


def _counter_mode(session: Session, victim: int) -> tuple[Mechanism, int]:
    fields = [parameters.counter(CK.SP800_108_ITERATION_VARIABLE, 8), parameters.key_field(victim)]
    return parameters.kbkdf(CKM.SP800_108_COUNTER_KDF, CKM.AES_CMAC, fields)[0], base(session, _KNOWN, CKK.AES)


def _ike_seed(session: Session, victim: int) -> tuple[Mechanism, int]:
    return parameters.ike2_plus(CKM.AES_CMAC, b"", victim), base(session, _KNOWN)


def _ike_rekeyed(session: Session, victim: int) -> tuple[Mechanism, int]:
    return parameters.ike(CKM.AES_CMAC, b"n", b"", new=victim), base(session, _KNOWN)


def _ike_data(_: Session, victim: int) -> tuple[Mechanism, int]:
    return parameters.ike(CKM.AES_CMAC, _KNOWN[:8], _KNOWN[8:], data_as_key=True), victim


def _ike1(session: Session, victim: int) -> tuple[Mechanism, int]:
    return parameters.ike1(CKM.AES_CMAC, victim, None, (b"", b""), 0), base(session, _KNOWN)


@pytest.mark.needs(CKM.SP800_108_COUNTER_KDF, CKM.IKE_PRF_DERIVE, CKM.IKE1_PRF_DERIVE, CKM.IKE2_PRF_PLUS_DERIVE)
@pytest.mark.parametrize("attack", [_counter_mode, _ike_seed, _ike_rekeyed, _ike_data, _ike1])
@pytest.mark.parametrize("length", [15, 16])
def test_invertible_function_gives_no_key_away(session: Session, attack: Any, length: int) -> None:  # noqa: ANN401
    """CMAC under a known key is turned back into its input: what is made of a sensitive key by it is sensitive, too."""
    victim = base(session, (_SECRET + b"!")[:length], SENSITIVE=True, EXTRACTABLE=False)
    mechanism, key = attack(session, victim)
    new = session.derive(mechanism, key, _READABLE)
    expect(CKR.ATTRIBUTE_SENSITIVE, session.get, new, CKA.VALUE)
    assert (True, False) == (session.flag(new, CKA.SENSITIVE), session.flag(new, CKA.EXTRACTABLE))


@pytest.mark.needs(CKM.SP800_108_COUNTER_KDF)
def test_inversion_is_one(session: Session) -> None:
    """The attack above is real where it is allowed: on a readable key."""
    mechanism, key = _counter_mode(session, base(session, _SECRET))
    assert b"\1" + _SECRET == _inverted(session.get(session.derive(mechanism, key, _READABLE), CKA.VALUE))


def _salt(session: Session, key: int) -> tuple[Mechanism, int]:
    """Return the first block of HKDF's expansion of a key as an extraction with it as the salt."""
    return parameters.hkdf(CKM.SHA256, expand=False, salt_key=key), base(session, b"info\1")


def _other_data(session: Session, key: int) -> tuple[Mechanism, int]:
    """Return SKEYSEED of a key as that of a new exchange, under the nonces as the old key."""
    return parameters.ike(CKM.SHA256_HMAC, b"", b"", new=key), base(session, b"nonces")


@pytest.mark.needs(CKM.HKDF_DERIVE, CKM.IKE_PRF_DERIVE)
@pytest.mark.parametrize(
    ("attack", "ordinary"),
    [
        (_salt, parameters.hkdf(CKM.SHA256, extract=False, info=b"info")),
        (_other_data, parameters.ike(CKM.SHA256_HMAC, b"non", b"ces", data_as_key=True)),
    ],
)
def test_derive_template_of_a_named_key_holds(session: Session, attack: Any, ordinary: Mechanism) -> None:  # noqa: ANN401
    """What a key makes as the base key, protected by its CKA_DERIVE_TEMPLATE, it makes as another's salt or data."""
    readable = {**_READABLE, CKA.VALUE_LEN: 32}
    template = {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False}
    free, bound = base(session), base(session, DERIVE_TEMPLATE=template)
    one, two = (session.derive(*way, readable) for way in ((ordinary, free), attack(session, free)))
    assert session.get(one, CKA.VALUE) == session.get(two, CKA.VALUE)
    for way in ((ordinary, bound), attack(session, bound)):
        expect(CKR.TEMPLATE_INCONSISTENT, session.derive, *way, readable)


def _much_info(data: bytes) -> tuple[Mechanism, int]:
    return parameters.hkdf(CKM.SHA256, info=data), 255 * 32


def _much_input(data: bytes) -> tuple[Mechanism, int]:
    fields = [parameters.counter(CK.SP800_108_ITERATION_VARIABLE, 32), (CK.SP800_108_BYTE_ARRAY, data)]
    return parameters.kbkdf(CKM.SP800_108_COUNTER_KDF, CKM.SHA256_HMAC, fields)[0], 1 << 16


def _much_seed(data: bytes) -> tuple[Mechanism, int]:
    return parameters.ike2_plus(CKM.SHA256_HMAC, data), 255 * 32


def _much_label(data: bytes) -> tuple[Mechanism, int]:
    return parameters.tls_kdf(CKM.SHA256, data, b"c", b"s"), 1 << 16


@pytest.mark.needs(CKM.HKDF_DERIVE, CKM.SP800_108_COUNTER_KDF, CKM.IKE2_PRF_PLUS_DERIVE, CKM.TLS_KDF)
@pytest.mark.parametrize("attack", [_much_info, _much_input, _much_seed, _much_label])
def test_derivation_of_days_is_refused(session: Session, attack: Callable[[bytes], tuple[Mechanism, int]]) -> None:
    """A long input that is read for each output would keep the HSM busy: CKR_MECHANISM_PARAM_INVALID, at once."""
    mechanism, length = attack(bytes(1 << 23))
    expect(CKR.MECHANISM_PARAM_INVALID, session.derive, mechanism, base(session), {**_READABLE, CKA.VALUE_LEN: length})
