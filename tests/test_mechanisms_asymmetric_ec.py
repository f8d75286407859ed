"""ECDSA, EdDSA and ECDH against the published vectors, and what is refused."""

from __future__ import annotations

import hashlib
import json
import lzma
import sys
from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from asymmetric import BY_NAME, HASHES, blocks, ec_private, ec_public, refusal
from drivers import Driver

from ptkc.hsm.approval import approve
from ptkc.mechanisms import evp
from ptkc.mechanisms.curves import CURVES, Curve
from ptkc.mechanisms.edwards import EdDsa
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKO, CKR
from ptkc.spec.layouts import Ecdh, Eddsa
from ptkc.spec.values import Attributes, ulong

_ECDSA = {name: getattr(CKM, f"ECDSA_{name}") for name in HASHES}
_SHA3 = [f"SHA3_{bits}" for bits in (224, 256, 384, 512)]
_NIST = {"K-256": "secp256k1"} | {name: name for name in ("P-192", "P-224", "P-256", "P-384", "P-521")}
_X25519, _X448 = BY_NAME["X25519"], BY_NAME["X448"]
_ED25519, _ED448 = BY_NAME["Ed25519"], BY_NAME["Ed448"]
_P256 = BY_NAME["P-256"]
_ORDERS = {
    _ED25519.size: 2**252 + 27742317777372353535851937790883648493,
    _ED448.size: 2**446 - 13818066809895115352007386748515426880336692474882178609894547503885,
}

_WEIERSTRASS = [curve for curve in CURVES if curve.key_type == CKK.EC]

curves = pytest.mark.parametrize("curve", _WEIERSTRASS, ids=lambda curve: curve.name)


def point(curve: Curve, x: str, y: str) -> bytes:
    """Return an uncompressed point."""
    return b"\4" + int(x, 16).to_bytes(curve.size, "big") + int(y, 16).to_bytes(curve.size, "big")


def scalar(curve: Curve, value: str) -> bytes:
    """Return a number of the order's length."""
    return int(value, 16).to_bytes(curve.size, "big")


def pair(curve: Curve) -> tuple[Attributes, Attributes]:
    """Return a fixed key pair."""
    private = ec_private(curve, b"\1" + bytes(range(1, curve.size)) if curve.key_type != CKK.EC else b"\5" * 20)
    public = ec_public(curve, private[CKA.PUBLIC_KEY_INFO][-curve.point_size :])
    return public, private


def derive(
    driver: Driver, key: Attributes, parameter: Ecdh, template: Attributes, mechanism: int = CKM.ECDH1_DERIVE
) -> bytes:
    """Return the value that CKM_ECDH1_DERIVE gives."""
    return driver.derive(mechanism, parameter, key, template)[CKA.VALUE]


def generic(length: int | None = None, key_type: int = CKK.GENERIC_SECRET) -> Attributes:
    """Return the template of a derived key."""
    return {CKA.KEY_TYPE: ulong(key_type), **({} if length is None else {CKA.VALUE_LEN: ulong(length)})}


@pytest.mark.vectors(*_ECDSA.values())
@pytest.mark.parametrize("folder", ["FIPS_186-2", "FIPS_186-3"])
def test_ecdsa_signatures_are_checked_as_nist_does(driver: Driver, folder: str) -> None:
    """Signatures on the P curves with every hash are accepted and refused as in NIST's vectors."""
    for heading, block in blocks(f"asymmetric/ECDSA/{folder}/SigVer.rsp"):
        if heading[0] not in _NIST:
            continue
        curve = BY_NAME[_NIST[heading[0]]]
        mechanism = _ECDSA[(heading[1] if len(heading) > 1 else "SHA-1").replace("-", "")]
        message = bytes.fromhex(block["Msg"])
        signature = scalar(curve, block["R"]) + scalar(curve, block["S"])
        public = ec_public(curve, point(curve, block["Qx"], block["Qy"]))
        if block["Result"].startswith("P"):
            driver.verify(mechanism, None, public, message, signature)
            driver.verify(mechanism, None, public, [b"", message[:5], message[5:]], signature)
        else:
            with refusal(CKR.SIGNATURE_INVALID):
                driver.verify(mechanism, None, public, message, signature)


@pytest.mark.vectors(CKM.ECDSA, *_ECDSA.values())
@pytest.mark.parametrize("file", ["FIPS_186-3/SigGen.txt", "SECP256K1/SigGen.txt"])
def test_ecdsa_signatures_of_nist_verify(driver: Driver, file: str) -> None:
    """NIST's signatures verify by message and by digest, and so do ours with the same keys."""
    for heading, block in blocks(f"asymmetric/ECDSA/{file}"):
        if heading[0] not in _NIST:
            continue
        curve, name = BY_NAME[_NIST[heading[0]]], heading[1].replace("-", "")
        public = ec_public(curve, point(curve, block["Qx"], block["Qy"]))
        private = ec_private(curve, scalar(curve, block["d"]))
        assert public[CKA.PUBLIC_KEY_INFO] == private[CKA.PUBLIC_KEY_INFO]
        message, signature = bytes.fromhex(block["Msg"]), scalar(curve, block["R"]) + scalar(curve, block["S"])
        digest = driver.digest(HASHES[name], message)
        driver.verify(_ECDSA[name], None, public, message, signature)
        driver.verify(CKM.ECDSA, None, public, digest, signature)
        driver.verify(_ECDSA[name], None, public, message, driver.sign(CKM.ECDSA, None, private, digest))
        driver.verify(CKM.ECDSA, None, public, digest, driver.sign(_ECDSA[name], None, private, [message]))


def test_points_are_checked_as_nist_does() -> None:
    """NIST's bad points are refused when a key is created, and good ones are not."""
    for heading, block in blocks("asymmetric/ECDSA/FIPS_186-3/PKV.rsp"):
        if heading[0] not in _NIST:
            continue
        curve = BY_NAME[_NIST[heading[0]]]
        try:
            key = point(curve, block["Qx"], block["Qy"])
        except OverflowError:
            continue
        if block["Result"].startswith("P"):
            ec_public(curve, key)
        else:
            with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
                ec_public(curve, key)


def _domain(curve: Curve) -> tuple[int, int, int]:
    """Return p, a and b of a curve as libcrypto has it."""
    group = evp.key_from("EC", "d", {"group": curve.group})
    p, a, b = (int.from_bytes(evp.number(group, name), "big") for name in "pab")
    return p, a, b


@pytest.mark.vectors(CKM.ECDH1_DERIVE)
@pytest.mark.parametrize("bits", [224, 256, 320, 384, 512])
def test_twisted_curves_agree_as_their_originals_do(driver: Driver, bits: int) -> None:
    """Wycheproof's vectors for brainpool r1, points and secrets carried over to t1 (RFC 5639 3: x Z^2, y Z^3)."""
    plain, twisted = BY_NAME[f"brainpoolP{bits}r1"], BY_NAME[f"brainpoolP{bits}t1"]
    (p, a, b), (same, twisted_a, twisted_b) = _domain(plain), _domain(twisted)
    assert (p, 0) == (same, (twisted_a + 3) % p)
    # A_t = A Z^4 and B_t = B Z^6, so Z^2 = B_t A / (A_t B).
    square = twisted_b * a * pow(twisted_a * b, -1, p) % p
    assert [twisted_a, twisted_b] == [a * square**2 % p, b * square**3 % p]
    assert p % 4 == 3
    root = pow(square, (p + 1) // 4, p)
    size, seen = bits // 8, 0
    for private, peer, shared in _agreements(plain, size):
        x, y = int.from_bytes(peer[1 : 1 + size], "big"), int.from_bytes(peer[1 + size :], "big")
        moved = b"\4" + (x * square % p).to_bytes(size, "big") + (y * square * root % p).to_bytes(size, "big")
        expected = (int.from_bytes(shared, "big") * square % p).to_bytes(size, "big")
        key = ec_private(twisted, private)
        assert expected == derive(driver, key, Ecdh(CKD.NULL, b"", moved), generic())
        seen += 1
    assert seen == 40


def _agreements(curve: Curve, size: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield private value, the peer's uncompressed point and secret of Wycheproof's first valid vectors."""
    path = Path(__file__).parent / "vectors" / "wycheproof" / f"ecdh_{curve.name}_test.json.xz"
    valid = [
        test
        for group in json.loads(lzma.decompress(path.read_bytes()))["testGroups"]
        for test in group["tests"]
        if test["result"] == "valid" and len(test["public"]) > 4 * size
    ]
    for test in valid[:40]:
        number = int(test["private"], 16).to_bytes(size, "big")
        yield number, bytes.fromhex(test["public"])[-curve.point_size :], bytes.fromhex(test["shared"])


@curves
def test_ecdsa_takes_input_of_any_length(driver: Driver, curve: Curve) -> None:
    """A short input is a number with leading zeros, of a long one the leftmost bits count; zero digests work."""
    public, private = pair(curve)
    order = {"secp521r1": 521, "secp224k1": 225}.get(curve.name, 8 * curve.size)
    for size in (0, 1, 20, 28, 31, 32, 33, 47, 48, 49, 63, 64, 65, 66, 67, 128, 200):
        for data in (bytes(range(0x80, 0x80 + min(size, 0x80))).ljust(size, b"\xa5"), bytes(size)):
            signature = driver.sign(CKM.ECDSA, None, private, data)
            assert 2 * curve.size == len(signature)
            driver.verify(CKM.ECDSA, None, public, data, signature)
            # The same number, written in as many bytes as fit without being cut.
            number = int.from_bytes(data, "big") >> max(8 * size - order, 0)
            if number.bit_length() <= order // 8 * 8:
                driver.verify(CKM.ECDSA, None, public, number.to_bytes(order // 8, "big"), signature)
            if any(data):
                with refusal(CKR.SIGNATURE_INVALID):
                    driver.verify(CKM.ECDSA, None, public, b"\x7f" + data[1:], signature)


@curves
@pytest.mark.parametrize("name", _SHA3)
def test_ecdsa_with_sha3_is_ecdsa_of_the_digest(driver: Driver, curve: Curve, name: str) -> None:
    """CKM_ECDSA_SHA3_* and CKM_ECDSA over the digest verify each other."""
    public, private = pair(curve)
    digest = driver.digest(getattr(CKM, name), b"data")
    mechanism = getattr(CKM, f"ECDSA_{name}")
    driver.verify(CKM.ECDSA, None, public, digest, driver.sign(mechanism, None, private, b"data"))
    driver.verify(mechanism, None, public, [b"da", b"ta"], driver.sign(CKM.ECDSA, None, private, digest))


@curves
def test_signatures_of_impossible_lengths_are_refused_as_such(driver: Driver, curve: Curve) -> None:
    """Odd, empty and longer signatures have a code of their own; numbers out of range are wrong signatures."""
    public, private = pair(curve)
    signature = driver.sign(CKM.ECDSA, None, private, b"digest")
    for bad in (b"", b"\1", signature[:-1], signature + b"\0\0"):
        with refusal(CKR.SIGNATURE_LEN_RANGE):
            driver.verify(CKM.ECDSA, None, public, b"digest", bad)
    for bad in (b"\0\0", b"\1\1", b"\xff\xff", bytes(2 * curve.size), b"\xff" * 2 * curve.size):
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.ECDSA, None, public, b"digest", bad)


def test_signatures_may_be_shorter(driver: Driver) -> None:
    """Both r and s may come without their first zeros."""
    public, private = pair(BY_NAME["P-521"])
    # The order has one bit in its first byte: every fourth signature will do.
    signatures = (driver.sign(CKM.ECDSA, None, private, b"digest") for _ in range(500))
    signature = next(made for made in signatures if made[0] == made[66] == 0)
    driver.verify(CKM.ECDSA, None, public, b"digest", signature[1:66] + signature[67:])


@pytest.mark.vectors(CKM.EDDSA)
def test_ed25519_is_that_of_the_reference(driver: Driver) -> None:
    """All 1024 signatures of the reference implementation, in one part and in several."""
    with cryptography_vectors.open_vector_file("asymmetric/Ed25519/sign.input", "r") as file:
        for line in file:
            secret, public_text, message, signed = (bytes.fromhex(text) for text in line.strip().split(":")[:4])
            signature = signed[:64]
            private, public = ec_private(_ED25519, secret[:32]), ec_public(_ED25519, public_text)
            assert signature == driver.sign(CKM.EDDSA, None, private, message)
            assert signature == driver.sign(
                CKM.EDDSA, Eddsa(ph=False, context=b""), private, [message[:3], message[3:]]
            )
            driver.verify(CKM.EDDSA, None, public, message, signature)
            driver.verify(CKM.EDDSA, None, public, [message], signature)


@pytest.mark.vectors(CKM.EDDSA)
def test_ed448_is_that_of_rfc_8032(driver: Driver) -> None:
    """RFC 8032's signatures without a context."""
    for _, block in blocks("asymmetric/Ed448/rfc8032.txt"):
        private = ec_private(_ED448, bytes.fromhex(block["SECRET"]))
        public = ec_public(_ED448, bytes.fromhex(block["PUBLIC"]))
        message, signature = bytes.fromhex(block["MESSAGE"]), bytes.fromhex(block["SIGNATURE"])
        parameter = Eddsa(ph=False, context=bytes.fromhex(block.get("CONTEXT", "")))
        assert signature == driver.sign(CKM.EDDSA, parameter, private, message)
        driver.verify(CKM.EDDSA, parameter, public, message, signature)


@pytest.mark.vectors(CKM.EDDSA)
def test_eddsa_with_context_and_pre_hashing_is_that_of_rfc_8032(driver: Driver) -> None:
    """RFC 8032's signatures of Ed25519ctx, Ed25519ph, Ed448 with a context and Ed448ph, in one part and in several."""
    lines = (Path(__file__).parent / "vectors" / "rfc8032.txt").read_text(encoding="ascii").splitlines()
    vectors = [line.split(":") for line in lines if not line.startswith("#")]
    assert len(vectors) == 8
    for scheme, *texts in vectors:
        secret, point, message, context, signature = map(bytes.fromhex, texts)
        curve = _ED25519 if scheme.startswith("Ed25519") else _ED448
        private, public = ec_private(curve, secret), ec_public(curve, point)
        parameter = Eddsa(ph=scheme.endswith("ph"), context=context)
        for data in (message, [message[:1], message[1:]]):
            assert signature == driver.sign(CKM.EDDSA, parameter, private, data)
            driver.verify(CKM.EDDSA, parameter, public, data, signature)
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.EDDSA, parameter._replace(context=context + b"\0"), public, message, signature)
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.EDDSA, None, public, message, signature)


_VARIANTS = (None, Eddsa(ph=False, context=b"context"), Eddsa(ph=True, context=b""), Eddsa(ph=True, context=bytes(255)))


@pytest.mark.parametrize("parameter", _VARIANTS, ids=["pure", "context", "prehash", "both"])
@pytest.mark.parametrize("curve", [_ED25519, _ED448], ids=lambda curve: curve.name)
def test_eddsa_refuses_what_is_not_right(driver: Driver, curve: Curve, parameter: Eddsa | None) -> None:
    """Wrong signatures are refused by length or by value, one with another S of the same residue among them."""
    public, private = pair(curve)
    signature = driver.sign(CKM.EDDSA, parameter, private, b"data")
    for bad in (b"", signature[:-1], signature + b"\0"):
        with refusal(CKR.SIGNATURE_LEN_RANGE):
            driver.verify(CKM.EDDSA, parameter, public, b"data", bad)
    with refusal(CKR.SIGNATURE_INVALID):
        driver.verify(CKM.EDDSA, parameter, public, b"date", signature)
    malleable = int.from_bytes(signature[curve.size :], "little") + _ORDERS[curve.size]
    other_s = signature[: curve.size] + malleable.to_bytes(curve.size, "little")
    for bad in (bytes((signature[0] ^ 1,)) + signature[1:], other_s, bytes(len(signature)), b"\xff" * len(signature)):
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.EDDSA, parameter, public, b"data", bad)


@pytest.mark.parametrize("curve", [_ED25519, _ED448], ids=lambda curve: curve.name)
def test_a_context_has_255_bytes_at_most(driver: Driver, curve: Curve) -> None:
    """RFC 8032 has one byte for its length."""
    public, private = pair(curve)
    for ph in (False, True):
        parameter = Eddsa(ph=ph, context=bytes(256))
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.sign(CKM.EDDSA, parameter, private, b"data")
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.verify(CKM.EDDSA, parameter, public, b"data", bytes(2 * curve.size))


def test_without_its_package_only_pure_eddsa_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A context or pre-hashing is then CKR_MECHANISM_PARAM_INVALID."""
    monkeypatch.setitem(sys.modules, "Crypto", None)
    monkeypatch.setitem(sys.modules, "Crypto.Hash", None)
    key = Object(pair(_ED25519)[1])
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        EdDsa().sign(key, Eddsa(ph=True, context=b""))
    assert EdDsa().sign(key, None).single(b"data")


def test_eddsa_is_both_single_and_multi_part() -> None:
    """CKM_EDDSA is multi-part, CKM_ECDSA is not."""
    assert EdDsa().sign(Object(pair(_ED25519)[1]), None).multi_part
    obj = Object(pair(_P256)[1])
    assert not approve(obj, "sign", CKM.ECDSA, 0)(obj, None).multi_part


@pytest.mark.vectors(CKM.ECDH1_DERIVE, CKM.ECDH1_COFACTOR_DERIVE)
@pytest.mark.parametrize("role", ["init", "resp"])
def test_shared_secrets_are_those_of_nist(driver: Driver, role: str) -> None:
    """CKM_ECDH1_DERIVE and its cofactor form give NIST's Z, from raw and encoded points."""
    for heading, block in blocks(f"asymmetric/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_{role}.fax"):
        curve = {"EA": "P-192", "EB": "P-224", "EC": "P-256", "ED": "P-384", "EE": "P-521"}.get(heading[0])
        if curve is None or not block.get("Result", "").startswith("P"):
            continue
        named = BY_NAME[curve]
        private = ec_private(named, scalar(named, block["dsIUT"]))
        other = point(named, block["QsCAVSx"], block["QsCAVSy"])
        expected = scalar(named, block["Z"])
        for public in (other, named.ec_point(other)):
            parameter = Ecdh(CKD.NULL, b"", public)
            assert expected == derive(driver, private, parameter, generic())
            assert expected == derive(driver, private, parameter, generic(), CKM.ECDH1_COFACTOR_DERIVE)
            assert expected[-16:] == derive(driver, private, parameter, generic(16, CKK.AES))


@pytest.mark.vectors(CKM.ECDH1_DERIVE)
@pytest.mark.parametrize("role", ["init", "resp"])
def test_concatenated_kdf_is_that_of_nist(driver: Driver, role: str) -> None:
    """CKD_<hash>_KDF_SP800 gives NIST's keys."""
    for heading, block in blocks(f"asymmetric/ECDH/KASValidityTest_ECCStaticUnified_KDFConcat_NOKC_{role}.fax"):
        curve = {"EA": "P-192", "EB": "P-224", "EC": "P-256", "ED": "P-384", "EE": "P-521"}.get(heading[0])
        if curve is None or not block.get("Result", "").startswith("P"):
            continue
        named = BY_NAME[curve]
        private = ec_private(named, scalar(named, block["dsIUT"]))
        other = point(named, block["QsCAVSx"], block["QsCAVSy"])
        expected = bytes.fromhex(block["DKM"])
        parameter = Ecdh(getattr(CKD, f"{heading[1]}_KDF_SP800"), bytes.fromhex(block["OI"]), other)
        assert expected == derive(driver, private, parameter, generic(len(expected)))


@pytest.mark.vectors(CKM.ECDH1_DERIVE)
def test_shared_secrets_on_brainpool_curves_are_those_of_rfc_7027(driver: Driver) -> None:
    """Both parties come to RFC 7027's secret."""
    for _, block in blocks("asymmetric/ECDH/brainpool.txt"):
        if block["curve"] not in BY_NAME:
            continue
        curve = BY_NAME[block["curve"]]
        for mine, theirs in (("A", "B"), ("B", "A")):
            private = ec_private(curve, scalar(curve, block[f"d{mine}"]))
            other = point(curve, block[f"x_q{theirs}"], block[f"y_q{theirs}"])
            assert scalar(curve, block["x_Z"]) == derive(driver, private, Ecdh(CKD.NULL, b"", other), generic())


@pytest.mark.vectors(CKM.ECDH1_DERIVE)
@pytest.mark.parametrize("curve", [_X25519, _X448], ids=lambda curve: curve.name)
def test_shared_secrets_on_montgomery_curves_are_those_of_rfc_7748(driver: Driver, curve: Curve) -> None:
    """RFC 7748's examples, from raw and encoded public keys; a point of small order is refused."""
    file = "asymmetric/X25519/rfc7748.txt" if curve is _X25519 else "asymmetric/X448/rfc7748.txt"
    for _, block in blocks(file):
        private = ec_private(curve, bytes.fromhex(block["INPUT_SCALAR"]))
        other, expected = bytes.fromhex(block["INPUT_U"]), bytes.fromhex(block["OUTPUT_U"])
        for public in (other, curve.ec_point(other)):
            assert expected == derive(driver, private, Ecdh(CKD.NULL, b"", public), generic())
        assert expected[-32:] == derive(driver, private, Ecdh(CKD.NULL, b"", other), generic(32, CKK.AES))
        for bad in (bytes(curve.size), b"\1".ljust(curve.size, b"\0"), other[:-1], other + b"\0", b""):
            with refusal(CKR.MECHANISM_PARAM_INVALID):
                derive(driver, private, Ecdh(CKD.NULL, b"", bad), generic())


@pytest.mark.parametrize("name", [*HASHES, *_SHA3])
@pytest.mark.parametrize("length", [1, 16, 64, 100])
def test_kdfs_are_what_their_standards_say(driver: Driver, name: str, length: int) -> None:
    """X9.63 hashes secret, counter, shared data; SP 800-56A hashes counter, secret, shared data."""
    public, private = pair(_P256)
    other = public[CKA.PUBLIC_KEY_INFO][-65:]
    secret = derive(driver, private, Ecdh(CKD.NULL, b"", other), generic())
    for shared in (b"", b"shared"):
        for suffix, order in (("", "{s}{c}"), ("_SP800", "{c}{s}")):
            expected = b"".join(
                hashlib.new(
                    name.lower(), bytes.fromhex(order.format(s=secret.hex(), c=f"{counter:08x}")) + shared
                ).digest()
                for counter in range(1, 7)
            )[:length]
            parameter = Ecdh(getattr(CKD, f"{name}_KDF{suffix}"), shared, other)
            assert expected == derive(driver, private, parameter, generic(length))


def test_derived_keys_have_the_length_that_the_template_says(driver: Driver) -> None:
    """Too long, impossible for the key type, missing, and not a secret key at all: each with its code."""
    public, private = pair(_P256)
    other = public[CKA.PUBLIC_KEY_INFO][-65:]
    plain, hashed = Ecdh(CKD.NULL, b"", other), Ecdh(CKD.SHA256_KDF, b"", other)
    secret = derive(driver, private, plain, generic())
    assert secret == derive(driver, private, plain, generic(None, CKK.AES))
    assert secret[-20:] == derive(driver, private, plain, generic(20, CKK.SHA256_HMAC))
    for parameter, template, code in (
        (plain, generic(33), CKR.ATTRIBUTE_VALUE_INVALID),
        (plain, generic(0), CKR.ATTRIBUTE_VALUE_INVALID),
        (plain, generic(20, CKK.AES), CKR.ATTRIBUTE_VALUE_INVALID),
        (hashed, generic(2**63), CKR.ATTRIBUTE_VALUE_INVALID),
        (hashed, generic(), CKR.TEMPLATE_INCOMPLETE),
        (hashed, generic(None, CKK.AES), CKR.TEMPLATE_INCOMPLETE),
        (plain, generic(None, CKK.RSA) | {CKA.CLASS: ulong(CKO.PRIVATE_KEY)}, CKR.TEMPLATE_INCONSISTENT),
        (plain._replace(shared=b"x"), generic(), CKR.MECHANISM_PARAM_INVALID),
        (plain._replace(kdf=0), generic(), CKR.MECHANISM_PARAM_INVALID),
        (plain._replace(kdf=CKD.SHA1_KDF_ASN1), generic(), CKR.MECHANISM_PARAM_INVALID),
    ):
        with refusal(code):
            derive(driver, private, parameter, template)


@curves
def test_public_keys_that_are_none_are_refused(driver: Driver, curve: Curve) -> None:
    """A point off the curve, at infinity, of another length, or none at all is CKR_MECHANISM_PARAM_INVALID."""
    public, private = pair(curve)
    good = public[CKA.PUBLIC_KEY_INFO][-curve.point_size :]
    for bad in (b"", b"\0", good[:-1] + bytes((good[-1] ^ 1,)), good[:-1], good + b"\0", b"\5" + good[1:]):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            derive(driver, private, Ecdh(CKD.NULL, b"", bad), generic())
