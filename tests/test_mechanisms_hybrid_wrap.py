"""Keys wrapped under an AES key that RSA or ECDH carries: opened again by the libraries, and what is refused."""

from __future__ import annotations

from functools import cache

import pytest
from asymmetric import BY_NAME, ec_private, ec_public, imported, refusal
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from drivers import Driver, secret

from ptkc.mechanisms import KEY_TYPES, load
from ptkc.mechanisms.curves import CURVES, Curve
from ptkc.mechanisms.rsa import PRIVATE_PARTS
from ptkc.spec.constants import CKA, CKD, CKG, CKK, CKM, CKO, CKR, CKZ
from ptkc.spec.layouts import EcdhAesWrap, Oaep, RsaAesWrap
from ptkc.spec.values import Attributes, ulong

load()
pytestmark = pytest.mark.usefixtures("module_driver")

_OAEP = Oaep(CKM.SHA256, CKG.MGF1_SHA256, CKZ.DATA_SPECIFIED, b"label")
_TARGETS = ("generic", "EC", "RSA")
_BITS = pytest.mark.parametrize("bits", [128, 192, 256])


@cache
def _key() -> rsa.RSAPrivateKey:
    """Return an RSA key as the library has it."""
    return rsa.generate_private_key(65537, 2048)


@cache
def _rsa() -> tuple[Attributes, Attributes]:
    """Return the same key pair as attributes."""
    numbers = _key().private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    parts = (n, e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    values = [part.to_bytes((part.bit_length() + 7) // 8, "big") for part in parts]
    material = dict(zip(PRIVATE_PARTS, values, strict=True))
    public = {kind: material[kind] for kind in PRIVATE_PARTS[:2]}
    return imported(CKO.PUBLIC_KEY, CKK.RSA, public), imported(CKO.PRIVATE_KEY, CKK.RSA, material)


@cache
def _target(name: str) -> Attributes:
    """Return a key to wrap."""
    if name == "generic":
        return secret(CKK.GENERIC_SECRET, bytes(range(33)))
    return _rsa()[1] if name == "RSA" else ec_private(BY_NAME["P-521"], b"\0" + b"\5" * 65)


def _template(target: Attributes) -> Attributes:
    """Return what the key is unwrapped as."""
    return {CKA.CLASS: target[CKA.CLASS], CKA.KEY_TYPE: target[CKA.KEY_TYPE]}


def _payload(target: Attributes) -> bytes:
    """Return CKA_VALUE or PKCS#8."""
    return KEY_TYPES[int.from_bytes(target[CKA.KEY_TYPE], "little")].encode(target)


def _same(target: Attributes, unwrapped: Attributes) -> None:
    """Compare the material of a key with what was unwrapped."""
    kinds = unwrapped.keys() & target.keys()
    assert kinds & {CKA.VALUE, CKA.MODULUS}
    assert {kind: target[kind] for kind in kinds} == {kind: unwrapped[kind] for kind in kinds}


@pytest.mark.vectors(CKM.RSA_AES_KEY_WRAP)
@_BITS
@pytest.mark.parametrize("name", _TARGETS)
def test_rsa_carries_the_aes_key_by_oaep(driver: Driver, bits: int, name: str) -> None:
    """The library opens what is wrapped, by OAEP and AES-KWP, and what it wraps so is unwrapped: its vectors hold."""
    public, private = _rsa()
    target = _target(name)
    parameter = RsaAesWrap(bits, _OAEP)
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
    wrapped = driver.wrap(CKM.RSA_AES_KEY_WRAP, parameter, public, target)
    aes = _key().decrypt(wrapped[:256], scheme)
    assert bits == 8 * len(aes)
    assert _payload(target) == aes_key_unwrap_with_padding(aes, wrapped[256:])
    assert wrapped != driver.wrap(CKM.RSA_AES_KEY_WRAP, parameter, public, target)
    other = _key().public_key().encrypt(bytes(bits // 8), scheme)
    other += aes_key_wrap_with_padding(bytes(bits // 8), _payload(target))
    for sealed in (wrapped, other):
        _same(target, driver.unwrap(CKM.RSA_AES_KEY_WRAP, parameter, private, sealed, _template(target)))


def test_rsa_wrapping_refuses_what_was_changed(driver: Driver) -> None:
    """One code for whatever is wrong inside: neither OAEP nor AES-KWP tells which it was (oracle)."""
    public, private = _rsa()
    target = _target("generic")
    wrapped = driver.wrap(CKM.RSA_AES_KEY_WRAP, RsaAesWrap(256, _OAEP), public, target)
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
    short = _key().public_key().encrypt(bytes(15), scheme) + wrapped[256:]
    wrong = [wrapped[:place] + bytes((wrapped[place] ^ 1,)) + wrapped[place + 1 :] for place in (1, 200, 255, 256, 290)]
    for bad in (*wrong, b"\xff" * 256 + wrapped[256:], bytes(256) + wrapped[256:], short):
        with refusal(CKR.WRAPPED_KEY_INVALID):
            driver.unwrap(CKM.RSA_AES_KEY_WRAP, RsaAesWrap(256, _OAEP), private, bad, _template(target))
    for parameter in (RsaAesWrap(128, _OAEP), RsaAesWrap(256, _OAEP._replace(label=b""))):
        with refusal(CKR.WRAPPED_KEY_INVALID):
            driver.unwrap(CKM.RSA_AES_KEY_WRAP, parameter, private, wrapped, _template(target))
    for bad in (b"\0", wrapped[:256], wrapped[:264], wrapped[:-1], wrapped + b"\0"):
        with refusal(CKR.WRAPPED_KEY_LEN_RANGE):
            driver.unwrap(CKM.RSA_AES_KEY_WRAP, RsaAesWrap(256, _OAEP), private, bad, _template(target))


@pytest.mark.parametrize("parameter", [
    None, RsaAesWrap(0, _OAEP), RsaAesWrap(129, _OAEP), RsaAesWrap(512, _OAEP), RsaAesWrap(256, None),
    RsaAesWrap(256, _OAEP._replace(hash=0)), RsaAesWrap(256, _OAEP._replace(mgf=0)),
    RsaAesWrap(256, _OAEP._replace(source=7)),
])  # fmt: skip
def test_rsa_wrapping_refuses_parameters(driver: Driver, parameter: RsaAesWrap | None) -> None:
    """AES keys of other sizes, no OAEP parameters, and those that OAEP refuses."""
    public, private = _rsa()
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.wrap(CKM.RSA_AES_KEY_WRAP, parameter, public, _target("generic"))
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.unwrap(CKM.RSA_AES_KEY_WRAP, parameter, private, bytes(256 + 40), _template(_target("generic")))


def test_rsa_key_too_short_for_oaep_is_refused(driver: Driver) -> None:
    """512 bits have no room for two digests and an AES key."""
    numbers = rsa.RSAPublicNumbers(65537, int("d" + "0" * 126 + "1", 16)).n.to_bytes(64, "big")
    short = imported(CKO.PUBLIC_KEY, CKK.RSA, {CKA.MODULUS: numbers, CKA.PUBLIC_EXPONENT: b"\1\0\1"})
    with refusal(CKR.WRAPPING_KEY_SIZE_RANGE):
        driver.wrap(CKM.RSA_AES_KEY_WRAP, RsaAesWrap(256, _OAEP), short, _target("generic"))


def _pair(curve: Curve) -> tuple[Attributes, Attributes]:
    """Return a key pair on a curve."""
    private = ec_private(curve, b"\5" * (20 if curve.key_type == CKK.EC else curve.size))
    return ec_public(curve, private[CKA.PUBLIC_KEY_INFO][-curve.point_size :]), private


def _mechanisms(curve: Curve) -> tuple[int, int]:
    """Return the mechanisms that wrap with a curve's keys."""
    further = CKM.ECDH_COF_AES_KEY_WRAP if curve.key_type == CKK.EC else CKM.ECDH_X_AES_KEY_WRAP
    return CKM.ECDH_AES_KEY_WRAP, further


_AGREEING = [curve for curve in CURVES if curve.key_type != CKK.EC_EDWARDS]


@pytest.mark.parametrize("curve", _AGREEING, ids=lambda curve: curve.name)
def test_every_curve_carries_an_aes_key(driver: Driver, curve: Curve) -> None:
    """What is wrapped is unwrapped, by both mechanisms of the curve."""
    public, private = _pair(curve)
    target = _target("EC")
    parameter = EcdhAesWrap(256, CKD.SHA256_KDF, b"shared")
    for mechanism in _mechanisms(curve):
        wrapped = driver.wrap(mechanism, parameter, public, target)
        _same(target, driver.unwrap(mechanism, parameter, private, wrapped, _template(target)))
        with refusal(CKR.WRAPPED_KEY_INVALID):
            driver.unwrap(mechanism, parameter._replace(shared=b""), private, wrapped, _template(target))
        for place in (0, 1, 3, 20, len(wrapped) - 1):
            changed = wrapped[:place] + bytes((wrapped[place] ^ 1,)) + wrapped[place + 1 :]
            with refusal(CKR.WRAPPED_KEY_INVALID):
                driver.unwrap(mechanism, parameter, private, changed, _template(target))


@pytest.mark.vectors(CKM.ECDH_AES_KEY_WRAP, CKM.ECDH_COF_AES_KEY_WRAP)
@_BITS
@pytest.mark.parametrize("kdf", [CKD.NULL, CKD.SHA384_KDF])
def test_ecdh_carries_the_aes_key(driver: Driver, bits: int, kdf: int) -> None:
    """The library opens what is wrapped: ECDH with the point in front, the function of X9.63, AES-KWP."""
    curve = BY_NAME["P-384"]
    public, private = _pair(curve)
    shared = b"" if kdf == CKD.NULL else b"shared"
    key = ec.derive_private_key(int.from_bytes(private[CKA.VALUE], "big"), ec.SECP384R1())
    for mechanism in _mechanisms(curve):
        wrapped = driver.wrap(mechanism, EcdhAesWrap(bits, kdf, shared), public, _target("generic"))
        assert b"\x04\x61\x04" == wrapped[:3]
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), wrapped[2:99])
        agreed = key.exchange(ec.ECDH(), point)
        aes = agreed[: bits // 8] if kdf == CKD.NULL else X963KDF(hashes.SHA384(), bits // 8, shared).derive(agreed)
        assert _payload(_target("generic")) == aes_key_unwrap_with_padding(aes, wrapped[99:])


@pytest.mark.vectors(CKM.ECDH_X_AES_KEY_WRAP)
@pytest.mark.parametrize("name", ["X25519", "X448"])
def test_montgomery_keys_carry_the_aes_key(driver: Driver, name: str) -> None:
    """The library opens what is wrapped: the bare public key in front."""
    curve = BY_NAME[name]
    public, private = _pair(curve)
    kinds = {
        "X25519": (x25519.X25519PrivateKey, x25519.X25519PublicKey), "X448": (x448.X448PrivateKey, x448.X448PublicKey)
    }[name]  # fmt: skip
    key = kinds[0].from_private_bytes(private[CKA.VALUE])
    for mechanism in _mechanisms(curve):
        wrapped = driver.wrap(mechanism, EcdhAesWrap(256, CKD.NULL, b""), public, _target("generic"))
        agreed = key.exchange(kinds[1].from_public_bytes(wrapped[: curve.size]))
        assert _payload(_target("generic")) == aes_key_unwrap_with_padding(agreed[:32], wrapped[curve.size :])


def test_ecdh_wrapping_refuses_points_that_are_none(driver: Driver) -> None:
    """A point off the curve, at infinity or of small order, in any spelling but the one, is CKR_WRAPPED_KEY_INVALID."""
    curve = BY_NAME["P-256"]
    public, private = _pair(curve)
    target, parameter = _target("generic"), EcdhAesWrap(256, CKD.SHA256_KDF, b"")
    wrapped = driver.wrap(CKM.ECDH_COF_AES_KEY_WRAP, parameter, public, target)
    made = ec.generate_private_key(ec.SECP256R1()).public_key()
    compressed = b"\x04\x21" + made.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    fronts = (
        bytes(67), b"\x04\x41" + bytes(65), b"\x04\x41\x04" + b"\1" * 64, compressed.ljust(67, b"\0"),
        wrapped[2:67] + bytes(2),
    )  # fmt: skip
    for front in fronts:
        with refusal(CKR.WRAPPED_KEY_INVALID):
            driver.unwrap(CKM.ECDH_COF_AES_KEY_WRAP, parameter, private, front + wrapped[67:], _template(target))
    curve = BY_NAME["X25519"]
    public, private = _pair(curve)
    for front in (bytes(32), b"\1" + bytes(31)):
        with refusal(CKR.WRAPPED_KEY_INVALID):
            driver.unwrap(CKM.ECDH_X_AES_KEY_WRAP, parameter, private, front + bytes(40), _template(target))
    for bad in (b"", b"\0", bytes(67), bytes(75), bytes(84)):
        with refusal(CKR.WRAPPED_KEY_LEN_RANGE):
            driver.unwrap(CKM.ECDH_COF_AES_KEY_WRAP, parameter, _pair(BY_NAME["P-256"])[1], bad, _template(target))


@pytest.mark.parametrize("parameter", [
    None, EcdhAesWrap(0, CKD.SHA256_KDF, b""), EcdhAesWrap(255, CKD.SHA256_KDF, b""), EcdhAesWrap(256, 0, b""),
    EcdhAesWrap(256, 2**40, b""), EcdhAesWrap(256, CKD.NULL, b"shared"), EcdhAesWrap(256, CKD.NULL, b""),
])  # fmt: skip
def test_ecdh_wrapping_refuses_parameters(driver: Driver, parameter: EcdhAesWrap | None) -> None:
    """AES keys of other sizes, unknown functions, shared data without one, and a secret too short for the AES key."""
    public, private = _pair(BY_NAME["P-224"])
    template = _template(_target("generic"))
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.wrap(CKM.ECDH_AES_KEY_WRAP, parameter, public, _target("generic"))
    wrapped = driver.wrap(CKM.ECDH_AES_KEY_WRAP, EcdhAesWrap(128, CKD.NULL, b""), public, _target("generic"))
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.unwrap(CKM.ECDH_AES_KEY_WRAP, parameter, private, wrapped, template)


def test_generic_secrets_may_be_of_any_length(driver: Driver) -> None:
    """AES-KWP keeps the length, down to a byte."""
    public, private = _rsa()
    template = {CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
    for size in (1, 7, 8, 9, 64, 1000):
        target = secret(CKK.GENERIC_SECRET, b"\xaa" * size)
        wrapped = driver.wrap(CKM.RSA_AES_KEY_WRAP, RsaAesWrap(256, _OAEP), public, target)
        unwrapped = driver.unwrap(CKM.RSA_AES_KEY_WRAP, RsaAesWrap(256, _OAEP), private, wrapped, template)
        assert b"\xaa" * size == unwrapped[CKA.VALUE]
