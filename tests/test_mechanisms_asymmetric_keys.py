"""RSA and elliptic curve keys: how they are made, imported, checked, wrapped and unwrapped."""

from __future__ import annotations

import cryptography_vectors
import pytest
from asn1crypto.keys import PrivateKeyInfo, PublicKeyInfo
from asymmetric import BY_NAME, dumps, ec_private, ec_public, imported, refusal
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from drivers import MechanismDriver

from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.mechanisms.curves import CURVES, Curve
from ptkc.mechanisms.rsa import PRIVATE_PARTS
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.values import TRUE, Attributes, ulong

load()
pytestmark = pytest.mark.usefixtures("module_driver")  # libcrypto is in the shared object
DRIVER = MechanismDriver()

_GENERATION = {
    CKK.EC: CKM.EC_KEY_PAIR_GEN,
    CKK.EC_EDWARDS: CKM.EC_EDWARDS_KEY_PAIR_GEN,
    CKK.EC_MONTGOMERY: CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
}
_USES = dict.fromkeys((CKA.SIGN, CKA.VERIFY, CKA.ENCRYPT, CKA.DECRYPT, CKA.DERIVE), TRUE)
_PKCS8 = {
    "asymmetric/DER_Serialization/unenc-rsa-pkcs8.der": CKK.RSA,
    "asymmetric/DER_Serialization/ec_private_key.der": CKK.EC,
    "asymmetric/Ed25519/ed25519-pkcs8.der": CKK.EC_EDWARDS,
    "asymmetric/Ed448/ed448-pkcs8.der": CKK.EC_EDWARDS,
    "asymmetric/X25519/x25519-pkcs8.der": CKK.EC_MONTGOMERY,
    "asymmetric/X448/x448-pkcs8.der": CKK.EC_MONTGOMERY,
}

_WEIERSTRASS = [curve for curve in CURVES if curve.key_type == CKK.EC]
_RFC_8410 = [curve for curve in CURVES if curve.key_type != CKK.EC]

curves = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)


def generated(mechanism: int, template: Attributes) -> tuple[Attributes, Attributes]:
    """Return the complete attributes of a new key pair that may do everything."""
    maker = MECHANISMS[mechanism]
    public, private = maker.generate_pair(None, template, {})
    kind = {CKA.KEY_TYPE: ulong(maker.generates), **_USES}
    return (
        {CKA.CLASS: ulong(CKO.PUBLIC_KEY), **kind, **template, **public},
        {CKA.CLASS: ulong(CKO.PRIVATE_KEY), **kind, **private},
    )


@pytest.fixture(scope="module")
def numbers() -> Attributes:
    """Return the numbers of RSA Laboratories' first example key."""
    values = [value for _, value in dumps("asymmetric/RSA/pkcs-1v2-1d2-vec/oaep-vect.txt")][2:10]
    return dict(zip(PRIVATE_PARTS, values, strict=True))


@curves
def test_generated_keys_are_complete(curve: Curve) -> None:
    """A new pair passes the checks of an imported one, which find nothing to add; every name of the curve works."""
    for params in curve.params:
        public, private = generated(_GENERATION[curve.key_type], {CKA.EC_PARAMS: params})
        assert params == private[CKA.EC_PARAMS]
        for attributes in (public, private):
            object_class = int.from_bytes(attributes[CKA.CLASS], "little")
            follows = KEY_TYPES[curve.key_type].check(object_class, attributes)
            assert follows.items() <= attributes.items()
    assert curve.bits == KEY_TYPES[curve.key_type].size(public)


@curves
def test_encodings_are_those_of_the_library(curve: Curve) -> None:
    """CKA_PUBLIC_KEY_INFO and the wrapped form are byte for byte what the library would write if it has the curve."""
    public, private = generated(_GENERATION[curve.key_type], {CKA.EC_PARAMS: curve.oid})
    payload = KEY_TYPES[curve.key_type].encode(private)
    if curve.key_type == CKK.EC and curve.algorithm is None:
        info = PublicKeyInfo.load(public[CKA.PUBLIC_KEY_INFO], strict=True).dump(force=True)
        inner = PrivateKeyInfo.load(payload, strict=True)["private_key"].parsed
        assert private[CKA.VALUE] == inner["private_key"].contents
        assert info.endswith(bytes(inner["public_key"]))
    else:
        key = load_der_private_key(payload, None)
        assert payload == key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert info == public[CKA.PUBLIC_KEY_INFO] == private[CKA.PUBLIC_KEY_INFO]
    assert curve.point_size + 2 <= len(public[CKA.EC_POINT]) <= curve.point_size + 3
    assert public[CKA.EC_POINT].endswith(info[-curve.point_size :])


@curves
def test_wrapped_keys_come_back(curve: Curve) -> None:
    """What was encoded decodes to the same material, with the zeros of a block cipher behind it too."""
    _, private = generated(_GENERATION[curve.key_type], {CKA.EC_PARAMS: curve.oid})
    key_type = KEY_TYPES[curve.key_type]
    payload = key_type.encode(private)
    for filled in (payload, payload + bytes(15)):
        assert key_type.decode(filled, {}).items() <= private.items()
    for bad in (payload[:-1], payload + bytes(16), payload + b"\1", b"", b"0", b"\0" * 64, payload[4:]):
        with refusal(CKR.WRAPPED_KEY_INVALID):
            key_type.decode(bad, {})


@pytest.mark.parametrize(("file", "number"), _PKCS8.items())
def test_published_private_keys_decode(file: str, number: int) -> None:
    """Published PKCS #8 files decode for their key type, and for no other."""
    with cryptography_vectors.open_vector_file(file, "rb") as stream:
        payload = stream.read()
    produced = KEY_TYPES[number].decode(payload, {})
    expected = load_der_private_key(payload, None).public_key()
    assert expected == load_der_public_key(produced[CKA.PUBLIC_KEY_INFO])
    for other in {CKK.RSA, CKK.EC, CKK.EC_EDWARDS, CKK.EC_MONTGOMERY} - {number}:
        with refusal(CKR.WRAPPED_KEY_INVALID):
            KEY_TYPES[other].decode(payload, {})


@curves
def test_points_are_accepted_raw_and_encoded(curve: Curve) -> None:
    """CKA_EC_POINT may be the point itself; it is kept as a DER OCTET STRING, and CKA_PUBLIC_KEY_INFO is the same."""
    public, _ = generated(_GENERATION[curve.key_type], {CKA.EC_PARAMS: curve.oid})
    raw = public[CKA.PUBLIC_KEY_INFO][-curve.point_size :]
    for given in (raw, public[CKA.EC_POINT]):
        made = ec_public(curve, given)
        assert public[CKA.EC_POINT] == made[CKA.EC_POINT]
        assert public[CKA.PUBLIC_KEY_INFO] == made[CKA.PUBLIC_KEY_INFO]


@pytest.mark.parametrize("curve", _WEIERSTRASS, ids=lambda curve: curve.name)
def test_compressed_points_are_the_same_keys(curve: Curve) -> None:
    """A compressed point is kept as it is; CKA_PUBLIC_KEY_INFO holds the uncompressed one."""
    public, private = generated(CKM.EC_KEY_PAIR_GEN, {CKA.EC_PARAMS: curve.oid})
    uncompressed = public[CKA.PUBLIC_KEY_INFO][-curve.point_size :]
    half = curve.point_size // 2
    point = bytes((2 + uncompressed[-1] % 2,)) + uncompressed[1 : 1 + half]
    made = ec_public(curve, point)
    assert curve.ec_point(point) == made[CKA.EC_POINT]
    assert public[CKA.PUBLIC_KEY_INFO] == made[CKA.PUBLIC_KEY_INFO]
    DRIVER.verify(CKM.ECDSA, None, made, b"digest", DRIVER.sign(CKM.ECDSA, None, private, b"digest"))


def test_points_off_the_curve_are_refused() -> None:
    """A point that is not on the curve, at infinity, of another curve or in the hybrid form is refused."""
    curve = BY_NAME["P-256"]
    public, _ = generated(CKM.EC_KEY_PAIR_GEN, {CKA.EC_PARAMS: curve.oid})
    point = public[CKA.PUBLIC_KEY_INFO][-65:]
    wrong = point[:-1] + bytes((point[-1] ^ 1,))
    hybrid = bytes((6 + point[-1] % 2,)) + point[1:]
    for bad in (wrong, b"\4\x41" + wrong, b"\0", b"", b"\4\1\0", hybrid, point + b"\0"):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            ec_public(curve, bad)


def test_private_values_out_of_range_are_refused() -> None:
    """Zero, the order and longer numbers are no private values; a value with zeros in front or without is one."""
    curve = BY_NAME["P-256"]
    order = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
    for bad in (b"", bytes(32), order, b"\1" + bytes(32)):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            ec_private(curve, bad)
    short, long = ec_private(curve, b"\5"), ec_private(curve, b"\5".rjust(40, b"\0"))
    assert short[CKA.PUBLIC_KEY_INFO] == long[CKA.PUBLIC_KEY_INFO]
    for private in (short, long):
        signature = DRIVER.sign(CKM.ECDSA, None, private, b"digest")
        point = private[CKA.PUBLIC_KEY_INFO][-65:]
        DRIVER.verify(CKM.ECDSA, None, ec_public(curve, point), b"digest", signature)
        payload = KEY_TYPES[CKK.EC].encode(private)
        assert b"\5".rjust(32, b"\0") == KEY_TYPES[CKK.EC].decode(payload, {})[CKA.VALUE]


@pytest.mark.parametrize("curve", _RFC_8410, ids=lambda curve: curve.name)
def test_rfc_8410_keys_have_one_length(curve: Curve) -> None:
    """A private or public key that is a byte too short or too long is refused."""
    for size in (0, curve.size - 1, curve.size + 1):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            ec_private(curve, bytes(size))
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            ec_public(curve, bytes(size))


@pytest.mark.parametrize("number", _GENERATION)
def test_curves_that_we_do_not_have_are_refused(number: int) -> None:
    """Unknown curves, other families' curves, and parameters that are no name each have their code."""
    maker = MECHANISMS[_GENERATION[number]]
    other = next(curve for curve in CURVES if curve.key_type != number)
    for params in (other.oid, bytes.fromhex("06052b81040009"), b"\x13\4none"):
        with refusal(CKR.CURVE_NOT_SUPPORTED):
            maker.generate_pair(None, {CKA.EC_PARAMS: params}, {})
    for params in (b"", b"\6", b"\6\5", b"\5\0", b"0\x82\1\0" + bytes(256), other.oid + b"\0", b"\6\x82" + bytes(300)):
        with refusal(CKR.DOMAIN_PARAMS_INVALID):
            maker.generate_pair(None, {CKA.EC_PARAMS: params}, {})
    with refusal(CKR.TEMPLATE_INCOMPLETE):
        maker.generate_pair(None, {}, {})


@curves
def test_public_key_info_must_be_the_keys(curve: Curve) -> None:
    """CKA_PUBLIC_KEY_INFO in a template is checked against the key."""
    _, private = generated(_GENERATION[curve.key_type], {CKA.EC_PARAMS: curve.oid})
    other, _ = generated(_GENERATION[curve.key_type], {CKA.EC_PARAMS: curve.oid})
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        KEY_TYPES[curve.key_type].check(CKO.PRIVATE_KEY, {**private, CKA.PUBLIC_KEY_INFO: other[CKA.PUBLIC_KEY_INFO]})


def test_a_public_key_info_of_another_key_does_no_harm() -> None:
    """A private key whose CKA_PUBLIC_KEY_INFO was changed later signs as itself."""
    public, private = generated(CKM.EC_KEY_PAIR_GEN, {CKA.EC_PARAMS: BY_NAME["P-256"].oid})
    other, _ = generated(CKM.EC_KEY_PAIR_GEN, {CKA.EC_PARAMS: BY_NAME["P-256"].oid})
    for info in (other[CKA.PUBLIC_KEY_INFO], public[CKA.PUBLIC_KEY_INFO][:-1], b""):
        signature = DRIVER.sign(CKM.ECDSA, None, {**private, CKA.PUBLIC_KEY_INFO: info}, b"digest")
        DRIVER.verify(CKM.ECDSA, None, public, b"digest", signature)


def test_rsa_keys_are_made_with_the_usual_exponents() -> None:
    """Without CKA_PUBLIC_EXPONENT it is 65537; 3 is made too; the pair passes the checks of an imported one."""
    for template, exponent in (({}, 65537), ({CKA.PUBLIC_EXPONENT: b"\0\3"}, 3)):
        public, private = generated(CKM.RSA_PKCS_KEY_PAIR_GEN, {CKA.MODULUS_BITS: ulong(1024), **template})
        assert exponent == int.from_bytes(public[CKA.PUBLIC_EXPONENT], "big")
        assert 1024 == KEY_TYPES[CKK.RSA].size(private)
        assert KEY_TYPES[CKK.RSA].check(CKO.PUBLIC_KEY, public).items() <= public.items()
        assert KEY_TYPES[CKK.RSA].check(CKO.PRIVATE_KEY, private).items() <= private.items()
        assert public[CKA.PUBLIC_KEY_INFO] == private[CKA.PUBLIC_KEY_INFO]
        signature = DRIVER.sign(CKM.SHA256_RSA_PKCS, None, private, b"data")
        DRIVER.verify(CKM.SHA256_RSA_PKCS, None, public, b"data", signature)


@pytest.mark.parametrize("exponent", [5, 17, 65539, 2**32 + 15, 2**64 + 13])
def test_rsa_keys_are_made_with_other_exponents(exponent: int) -> None:
    """The system's libcrypto makes keys with any odd exponent; `cryptography` uses them."""
    given = exponent.to_bytes(9, "big")
    template = {CKA.MODULUS_BITS: ulong(1024), CKA.PUBLIC_EXPONENT: given}
    public, private = generated(CKM.RSA_PKCS_KEY_PAIR_GEN, template)
    assert exponent == int.from_bytes(private[CKA.PUBLIC_EXPONENT], "big")
    KEY_TYPES[CKK.RSA].check(CKO.PRIVATE_KEY, private)
    signature = DRIVER.sign(CKM.RSA_PKCS, None, private, b"data")
    DRIVER.verify(CKM.RSA_PKCS, None, public, b"data", signature)


def test_rsa_sizes_and_exponents_that_cannot_be_are_refused() -> None:
    """Sizes outside 1024 to 8192, even exponents, 1, 0 and exponents as long as the modulus."""
    maker = MECHANISMS[CKM.RSA_PKCS_KEY_PAIR_GEN]
    for bits in (0, 1023, 8193, 2**63):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            maker.generate_pair(None, {CKA.MODULUS_BITS: ulong(bits)}, {})
    for exponent in (b"\0", b"\1", b"\4", b"\1" * 128):
        with refusal(CKR.TEMPLATE_INCONSISTENT):
            maker.generate_pair(None, {CKA.MODULUS_BITS: ulong(1024), CKA.PUBLIC_EXPONENT: exponent}, {})


def test_rsa_private_keys_are_completed(numbers: Attributes) -> None:
    """Missing private parts are computed from n, e and d; those given stay as they are."""
    least = {kind: numbers[kind] for kind in PRIVATE_PARTS[:3]}
    made = imported(CKO.PRIVATE_KEY, CKK.RSA, least)
    assert {numbers[CKA.PRIME_1], numbers[CKA.PRIME_2]} == {made[CKA.PRIME_1], made[CKA.PRIME_2]}
    primes = least | {CKA.PRIME_1: numbers[CKA.PRIME_1], CKA.PRIME_2: numbers[CKA.PRIME_2], CKA.EXPONENT_1: b""}
    assert numbers.items() <= imported(CKO.PRIVATE_KEY, CKK.RSA, primes).items()
    assert numbers.items() <= imported(CKO.PRIVATE_KEY, CKK.RSA, numbers).items()


@pytest.mark.parametrize("kind", PRIVATE_PARTS[1:])
def test_rsa_private_keys_with_a_wrong_part_are_refused(numbers: Attributes, kind: int) -> None:
    """A number that is not the key's is CKR_TEMPLATE_INCONSISTENT, whichever it is."""
    wrong = int.from_bytes(numbers[kind], "big") + 2
    with refusal(CKR.TEMPLATE_INCONSISTENT):
        imported(CKO.PRIVATE_KEY, CKK.RSA, {**numbers, kind: wrong.to_bytes(len(numbers[kind]), "big")})


def test_rsa_private_keys_with_one_prime_of_another_key_are_refused(numbers: Attributes) -> None:
    """A single prime is compared with those that belong to n."""
    least = {kind: numbers[kind] for kind in PRIVATE_PARTS[:3]}
    with refusal(CKR.TEMPLATE_INCONSISTENT):
        imported(CKO.PRIVATE_KEY, CKK.RSA, {**least, CKA.PRIME_1: b"\7"})


def test_rsa_numbers_that_are_impossible_are_refused(numbers: Attributes) -> None:
    """An even or short modulus, an even or too large exponent, a private exponent larger than the modulus."""
    modulus, exponent = numbers[CKA.MODULUS], numbers[CKA.PUBLIC_EXPONENT]
    for n, e in ((modulus[:-1] + b"\0", exponent), (b"\x0b", exponent), (modulus, b"\2"), (modulus, b"\1" + modulus)):
        for object_class in (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY):
            with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
                imported(object_class, CKK.RSA, {**numbers, CKA.MODULUS: n, CKA.PUBLIC_EXPONENT: e})
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        imported(CKO.PRIVATE_KEY, CKK.RSA, {**numbers, CKA.PRIVATE_EXPONENT: b"\1" + modulus})
    with refusal(CKR.TEMPLATE_INCOMPLETE):
        imported(CKO.PRIVATE_KEY, CKK.RSA, {kind: numbers[kind] for kind in PRIVATE_PARTS[:2]})


def test_wrapped_rsa_keys_come_back(numbers: Attributes) -> None:
    """An RSA key is wrapped with all its parts, and its decoding gives them all back."""
    private = imported(CKO.PRIVATE_KEY, CKK.RSA, numbers)
    payload = KEY_TYPES[CKK.RSA].encode(private)
    assert {**numbers, CKA.PUBLIC_KEY_INFO: private[CKA.PUBLIC_KEY_INFO]} == KEY_TYPES[CKK.RSA].decode(payload, {})
