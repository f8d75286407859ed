"""Explicit curve parameters: taken for the curve that they are, for no other, and only with the flag `E`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from administration import Administration, administered
from conformance.cryptoki import expect
from conformance.parameters import Mechanism
from modules import Module

from ptkc.mechanisms.curves import CURVES, find
from ptkc.mechanisms.explicit_curves import curve_name
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError

_OPENSSL = shutil.which("openssl")
_NAMES = [curve.name for curve in CURVES if curve.key_type == CKK.EC]
_ALIASES = {"secp192r1": "prime192v1", "secp256r1": "prime256v1"}
# P-256 as `openssl ecparam -param_enc explicit` writes it, compressed.
P256 = bytes.fromhex(
    "3081d7020101302c06072a8648ce3d0101022100ffffffff00000001000000000000000000000000ffffffffffffffffffffffff305b0420"
    "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc04205ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53"
    "b0f63bce3c3e27d2604b031500c49d360886e704936a6678e1139d26b7819f7e900421036b17d1f2e12c4247f8bce6e563a440f277037d81"
    "2deb33a0f4a13945d898c296022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551020101"
)


@pytest.fixture
def hsm(module: Module, tmp_path: Path) -> Iterator[Administration]:
    """Give an HSM whose Admin token is initialised."""
    with administered(module, tmp_path) as administration:
        yield administration


@pytest.mark.skipif(_OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("form", ["uncompressed", "compressed"])
@pytest.mark.parametrize("name", _NAMES)
def test_each_curve_is_known_by_its_numbers(name: str, form: str) -> None:
    """What OpenSSL writes for a curve is that curve, its base point compressed or not."""
    words = f"ecparam -name {_ALIASES.get(name, name)} -param_enc explicit -conv_form {form} -outform DER".split()
    params = subprocess.run([str(_OPENSSL), *words], check=True, capture_output=True).stdout
    assert name == find(CKK.EC, params).name


def test_no_bit_of_a_curve_may_change() -> None:
    """With any byte changed but those of the seed and the cofactor it is no curve of ours, or none at all."""
    seed = P256.index(b"\3\x15\0")
    for place in range(len(P256) - 3):
        changed = bytearray(P256)
        changed[place] ^= 1
        try:
            name = curve_name(bytes(changed))
        except ValueError:
            continue
        assert name is None or seed <= place < seed + 23
    assert "secp256r1" == curve_name(P256)


@pytest.mark.parametrize(
    "params", [b"\x30\0", b"\x30\x03\2\1\1", P256[:-1], P256 + b"\0", b"\x30\x82\4\4" + bytes(1028)]
)
def test_what_is_no_parameters_is_refused(params: bytes) -> None:
    """CKR_DOMAIN_PARAMS_INVALID."""
    with pytest.raises(CryptokiError) as refused:
        find(CKK.EC, params)
    assert CKR.DOMAIN_PARAMS_INVALID == refused.value.code


def test_another_curve_is_refused() -> None:
    """CKR_CURVE_NOT_SUPPORTED for parameters with another base point: the right numbers are the curve's all."""
    other = P256.replace(b"\4\x21\3", b"\4\x21\2")
    with pytest.raises(CryptokiError) as refused:
        find(CKK.EC, other)
    assert CKR.CURVE_NOT_SUPPORTED == refused.value.code


def test_explicit_parameters_need_the_flag(hsm: Administration) -> None:
    """Without `E` CKR_CURVE_NOT_SUPPORTED; with it a key pair is made, signs and verifies, and has a size."""
    template = {CKA.EC_PARAMS: P256}
    session = hsm.user()
    expect(CKR.CURVE_NOT_SUPPORTED, session.generate_pair, Mechanism(CKM.EC_KEY_PAIR_GEN), template, {})
    hsm.set_mode("E")
    public, private = session.generate_pair(Mechanism(CKM.EC_KEY_PAIR_GEN), template, {})
    signature = session.sign(Mechanism(CKM.ECDSA), private, bytes(32))
    session.verify(Mechanism(CKM.ECDSA), public, bytes(32), signature)
    assert (256, 256) == (session.number(public, CKA.KEY_SIZE), session.number(private, CKA.KEY_SIZE))
    assert P256 == session.get(public, CKA.EC_PARAMS)
