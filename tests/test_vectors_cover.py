"""Every mechanism that the shared object offers is held to published vectors, and says where they are from."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from module_driver import ModuleDriver

from ptkc.mechanisms import MECHANISMS
from ptkc.mechanisms.mechanism import Mechanism
from ptkc.spec.constants import CKM
from ptkc.spec.errors import name_of

_USES = ("digest", "sign", "verify", "encrypt", "decrypt", "wrap", "unwrap", "derive", "encapsulate", "decapsulate")
# PSS with SHA-3 has no published vectors; it is held to CKM_RSA_PKCS_PSS over the digest instead, which have.
_UNPUBLISHED = {getattr(CKM, f"SHA3_{bits}_RSA_PKCS_PSS") for bits in (224, 256, 384, 512)}
# What carries keys with their attributes is random, in formats of our own: test_wrapkey, test_sharing.
_OUR_FORMATS = {
    CKM.WRAPKEY_AES_KWP, CKM.SECRET_SHARE_WITH_ATTRIBUTES, CKM.SECRET_RECOVER_WITH_ATTRIBUTES,
}  # fmt: skip
_FOLDER = Path(__file__).parent


def offered(driver: ModuleDriver) -> list[Mechanism]:
    """Return what C_GetMechanismList of the shared object names."""
    slot = driver.session.info().slotID
    return [MECHANISMS[number] for number in driver.session.cryptoki.items("C_GetMechanismList", slot)]


def named() -> Iterator[int]:
    """Yield the mechanisms that the marks `vectors` of the tests name."""
    names = [path.stem for path in sorted(_FOLDER.glob("test_mechanisms_*.py"))]
    for name in (*names, "conformance.test_wycheproof"):
        for test in vars(import_module(name)).values():
            for mark in getattr(test, "pytestmark", ()):
                if mark.name == "vectors":
                    yield from mark.args


def test_every_mechanism_has_a_vector_test(module_driver: ModuleDriver) -> None:
    """A mechanism is named by a test of vectors, unless all it does is generate, which is random."""
    covered = set(named())
    tested = {mechanism.type for mechanism in offered(module_driver) if any(hasattr(mechanism, use) for use in _USES)}
    assert [] == [name_of(CKM, number) for number in sorted(tested - covered - _UNPUBLISHED - _OUR_FORMATS)]


def test_every_mechanism_says_where_its_vectors_are_from(module_driver: ModuleDriver) -> None:
    """The registry's `source` is filled in for whatever is offered."""
    assert [] == [name_of(CKM, mechanism.type) for mechanism in offered(module_driver) if not mechanism.source]
