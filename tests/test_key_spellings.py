"""Keys have one form in an object however they were written, so that the halves of a pair know each other by it.

What the form is for, tests/programs/attacks_wrapping.py tries: a public key whose private half is here wraps nothing
that the latter opens.
"""

from __future__ import annotations

import pytest
from asymmetric import BY_NAME, ec_public, imported, refusal
from cryptography.hazmat.primitives.asymmetric import rsa
from test_mechanisms_finite_fields import domain, private, public, rfc5114

from ptkc.mechanisms import MECHANISMS, load
from ptkc.mechanisms.curves import CURVES, Curve
from ptkc.mechanisms.finite_fields import DH, DSA, X9_42_DH, Field, FieldKeyPairGeneration
from ptkc.mechanisms.rsa import PRIVATE_PARTS, private_attributes
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

load()
pytestmark = pytest.mark.usefixtures("module_driver")

_WEIERSTRASS = [curve for curve in CURVES if curve.key_type == CKK.EC]
_COORDINATE = 5


def test_rsa_numbers_are_kept_without_leading_zeros() -> None:
    """A key has one modulus: by it a public key's private half is found, whatever their exponents are."""
    numbers = private_attributes(rsa.generate_private_key(65537, 2048).private_numbers())
    for object_class, kinds in ((CKO.PUBLIC_KEY, PRIVATE_PARTS[:2]), (CKO.PRIVATE_KEY, PRIVATE_PARTS)):
        least = {kind: numbers[kind] for kind in kinds}
        padded = {kind: b"\0\0" + value for kind, value in least.items()}
        assert imported(object_class, CKK.RSA, least) == imported(object_class, CKK.RSA, padded)


@pytest.mark.parametrize("field", [DH, X9_42_DH, DSA], ids=["DH", "X9.42", "DSA"])
def test_numbers_over_finite_fields_are_kept_without_leading_zeros(field: Field) -> None:
    """Neither domain parameters nor values have them, in keys that come in or are made."""
    group = domain(field, rfc5114()[2])
    padded = {kind: b"\0" + number for kind, number in group.items()}
    maker = FieldKeyPairGeneration(0, field)
    for made, make in zip(maker.generate_pair(None, group, {}), (public, private), strict=True):
        kept = make(field, padded, b"\0\0" + made[CKA.VALUE])
        assert {**group, CKA.VALUE: made[CKA.VALUE]}.items() <= kept.items()
    for made in maker.generate_pair(None, padded, {}):
        assert group.items() <= made.items()


@pytest.mark.parametrize("curve", _WEIERSTRASS, ids=lambda curve: curve.name)
def test_points_in_the_hybrid_form_are_refused(curve: Curve) -> None:
    """Whichever library has the curve: they would be a third spelling besides the two of the specification."""
    made, _ = MECHANISMS[CKM.EC_KEY_PAIR_GEN].generate_pair(None, {CKA.EC_PARAMS: curve.oid}, {})
    point = made[CKA.PUBLIC_KEY_INFO][-curve.point_size :]
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        ec_public(curve, bytes((6 + point[-1] % 2,)) + point[1:])


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("curve25519", (_COORDINATE, 2**255 - 19 + _COORDINATE, 2**255 + _COORDINATE)),
        ("curve448", (_COORDINATE, 2**448 - 2**224 - 1 + _COORDINATE)),
    ],
)
def test_montgomery_coordinates_are_kept_reduced(name: str, spellings: tuple[int, ...]) -> None:
    """What RFC 7748 5 has its readers take for one coordinate is one CKA_EC_POINT and one CKA_PUBLIC_KEY_INFO."""
    curve = BY_NAME[name]
    made = [ec_public(curve, number.to_bytes(curve.size, "little")) for number in spellings]
    assert curve.ec_point(_COORDINATE.to_bytes(curve.size, "little")) == made[0][CKA.EC_POINT]
    assert all(each == made[0] for each in made)
