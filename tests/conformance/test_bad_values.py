"""Malformed values in templates: DER and numbers that make no key, doubled, unknown, wrong-length attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import keywrap

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cases import outcomes
from .cryptoki import Refused, Session, code_name, expect
from .keys import AES_KEY, ED25519, P256, aes, import_ec, octets, private_ec
from .parameters import Mechanism, ecdh

_VALUE = (
    CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCONSISTENT, CKR.DOMAIN_PARAMS_INVALID, CKR.CURVE_NOT_SUPPORTED,
    CKR.KEY_SIZE_RANGE,
)  # fmt: skip
_CURVES = {
    "empty": b"",
    "tag-only": b"\x06",
    "cut": P256[:-1],
    "long": P256 + b"\0",
    "absurd-length": b"\x06\x84\xff\xff\xff\xff",
    "indefinite": b"\x06\x80\x2a\0\0",
    "unknown-curve": bytes.fromhex("06052b81040063"),
    "unknown-name": b"\x13\x05curve",
    "null": b"\x05\0",
    "broken-explicit": b"\x30\x82\x01\x00\x02\x01\x01",
    "other-kind": ED25519,
}
_G = private_ec().public_key().public_numbers()
_POINT = b"\4" + _G.x.to_bytes(32, "big") + _G.y.to_bytes(32, "big")
_POINTS = {
    "empty": b"",
    "tag-only": b"\4",
    "cut": octets(_POINT)[:-1],
    "absurd-length": b"\4\x84\xff\xff\xff\xff" + _POINT,
    "not-on-curve": octets(_POINT[:-1] + bytes([_POINT[-1] ^ 1])),
    "zeros": octets(bytes(65)),
    "infinity": octets(b"\0"),
}
_SCALARS = {"empty": b"", "zero": bytes(32), "order": b"\xff" * 32, "long": b"\1" * 33}
_RSA = {
    "modulus-empty": {CKA.MODULUS: b""},
    "modulus-zero": {CKA.MODULUS: bytes(256)},
    "modulus-one": {CKA.MODULUS: b"\1"},
    "exponent-zero": {CKA.PUBLIC_EXPONENT: b"\0"},
    "exponent-even": {CKA.PUBLIC_EXPONENT: b"\2"},
    "exponent-empty": {CKA.PUBLIC_EXPONENT: b""},
}


def _curve(value: bytes) -> Callable[[Session], None]:
    """Return a case: a pair on a curve that is none."""

    def run(session: Session) -> None:
        mechanism = Mechanism(CKM.EC_KEY_PAIR_GEN)
        expect(_VALUE, session.generate_pair, mechanism, {CKA.EC_PARAMS: value}, {})
        template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: value, CKA.VALUE: b"\1" * 32}
        _refused_or_useless(session, template, CKM.ECDSA)

    return run


def _refused_or_useless(session: Session, template: dict[int, Any], mechanism: int) -> None:
    """Assert that a key is refused with a code for its values, or else that it does not work."""
    usage = {CKA.SIGN: True} if template[CKA.CLASS] == CKO.PRIVATE_KEY else {CKA.VERIFY: True}
    try:
        key = session.create(template | usage)
        if CKA.SIGN in usage:
            session.sign(Mechanism(mechanism), key, b"x" * 32)
        else:
            session.verify(Mechanism(mechanism), key, b"x" * 32, b"x" * 64)
    except Refused as refused:
        assert refused.rv != CKR.GENERAL_ERROR, str(refused)  # noqa: PT017
    else:
        message = "a key of bad values works"
        raise AssertionError(message)


def _point(value: bytes) -> Callable[[Session], None]:
    """Return a case: a public key with a point that is none."""
    template = {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: P256, CKA.EC_POINT: value}
    return lambda session: _refused_or_useless(session, template, CKM.ECDSA)


def _scalar(value: bytes) -> Callable[[Session], None]:
    """Return a case: a private key with a value that is none."""
    template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: P256, CKA.VALUE: value}
    return lambda session: _refused_or_useless(session, template, CKM.ECDSA)


def _rsa(change: dict[int, bytes]) -> Callable[[Session], None]:
    """Return a case: an RSA public key with a number that is none."""
    template = {
        CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.MODULUS: b"\xc1" * 256, CKA.PUBLIC_EXPONENT: b"\1\0\1"
    }  # fmt: skip
    return lambda session: _refused_or_useless(session, template | change, CKM.RSA_PKCS)


def _generate(session: Session, template: Any) -> int:  # noqa: ANN401
    return session.generate(Mechanism(CKM.AES_KEY_GEN), [(CKA.VALUE_LEN, 16), *template])


def _unwrap(session: Session, template: Any) -> int:  # noqa: ANN401
    wrapped = keywrap.aes_key_wrap(AES_KEY, bytes(16))
    base = [(CKA.CLASS, CKO.SECRET_KEY), (CKA.KEY_TYPE, CKK.AES)]
    return session.unwrap(Mechanism(CKM.AES_KEY_WRAP), aes(session, UNWRAP=True), wrapped, [*base, *template])


def _derive(session: Session, template: Any) -> int:  # noqa: ANN401
    _, key = import_ec(session, private_ec(), None, {CKA.DERIVE: True})
    base = [(CKA.CLASS, CKO.SECRET_KEY), (CKA.KEY_TYPE, CKK.AES), (CKA.VALUE_LEN, 32)]
    return session.derive(ecdh(_POINT), key, [*base, *template])


def _copy(session: Session, template: Any) -> int:  # noqa: ANN401
    return session.copy(aes(session), template)


def _set(session: Session, template: Any) -> None:  # noqa: ANN401
    session.set(aes(session), template)


def _create(session: Session, template: Any) -> int:  # noqa: ANN401
    base = [(CKA.CLASS, CKO.SECRET_KEY), (CKA.KEY_TYPE, CKK.AES), (CKA.VALUE, AES_KEY)]
    return session.create([*base, *template])


_MAKERS = {
    "create": _create, "generate": _generate, "unwrap": _unwrap, "derive": _derive, "copy": _copy, "set": _set
}  # fmt: skip
_TEMPLATES: dict[str, tuple[list[tuple[int, Any]], int]] = {
    "unknown": ([(0x7FFF1234, b"x")], CKR.ATTRIBUTE_TYPE_INVALID),
    "wrong-length": ([(CKA.ENCRYPT, b"\1\1")], CKR.ATTRIBUTE_VALUE_INVALID),
    "wrong-date": ([(CKA.START_DATE, b"2024")], CKR.ATTRIBUTE_VALUE_INVALID),
    "doubled": ([(CKA.LABEL, "one"), (CKA.LABEL, "two")], CKR.TEMPLATE_INCONSISTENT),
}


def _template(maker: Callable[..., Any], template: list[tuple[int, Any]], code: int) -> Callable[[Session], None]:
    """Return a case: one function with one bad template, which leaves nothing behind."""

    def run(session: Session) -> None:
        expect(code, maker, session, template)
        for label in ("one", "two"):
            assert [] == session.find({CKA.LABEL: label}), f"{code_name(code)} left an object behind"

    return run


CASES: dict[str, Callable[[Session], None]] = {
    **{f"curve-{name}": _curve(value) for name, value in _CURVES.items()},
    **{f"point-{name}": _point(value) for name, value in _POINTS.items()},
    **{f"scalar-{name}": _scalar(value) for name, value in _SCALARS.items()},
    **{f"rsa-{name}": _rsa(change) for name, change in _RSA.items()},
    **{
        f"{maker}-{name}": _template(function, template, code)
        for maker, function in _MAKERS.items()
        for name, (template, code) in _TEMPLATES.items()
    },
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """Run all cases."""
    return outcomes(__name__, list(CASES), tmp_path_factory.mktemp("cases"))


@pytest.mark.parametrize("name", CASES)
def test_bad_value_is_refused_without_harm(found: dict[str, str | None], name: str) -> None:
    """The call gets the specification's code, the process lives, the session still works."""
    if found[name] is not None:
        pytest.fail(str(found[name]), pytrace=False)
