"""The OASIS test cases of the profiles: baseline, extended, authentication token, public certificates token.

Each runs in a process of its own on a token that is set up as the case supposes. What deviates from the answers in the
file, beyond what the profiles let vary, is listed here with its reason; anything else fails.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from ptkc.spec.constants import CKA, CKC, CKM, CKO

from .child import module_path, run
from .cryptoki import Cryptoki, Session
from .fresh_token import LABEL, USER_PIN, prepare, store_environment
from .keys import import_rsa, private_rsa
from .profiles import run_case

_CASES = Path(__file__).parents[1] / "vectors" / "oasis"

# What ours answers otherwise, and why that is right.
_OURS = {
    "C_GetTokenInfo/TokenInfo/Flags has also .*": "a token has more abilities than the case's, and says so",
    "C_GetTokenInfo/TokenInfo/Flags lacks RESTORE_KEY_NOT_NEEDED": "a saved state holds no key: it is given again",
    "C_GetTokenInfo/TokenInfo/.*Memory": "how much memory there is is not known (CK_UNAVAILABLE_INFORMATION)",
    "C_GetTokenInfo/TokenInfo/M(ax|in)PinLen": "PINs have the lengths that the HSM's policy allows",
    "C_GetMechanismInfo/MechanismInfo/M(ax|in)KeySize": "RSA keys have other limits",
    "C_GetMechanismInfo/MechanismInfo/Flags has also .*": "the mechanism does what the case's does, and more",
}
_SOFTHSM = {
    **_OURS,
    "C_GetInfo/Info/CryptokiVersion": "a module of Cryptoki 2.40",
    "C_GetTokenInfo/TokenInfo/(Rw)?SessionCount": "sessions are not counted",
    "C_GetAttributeValue/Template/LABEL": "objects are found in any order",
    "C_GetAttributeValue/Template/VALUE": "objects are found in any order",
}


def _certificates_token(session: Session) -> None:
    """Make what the case finds in the token: the list of roots, a certificate of it, and three more objects.

    The label ends in a NUL, as the C string of the module that the case was recorded with: it is counted (22).
    """
    value = _expected_value()
    stay = {CKA.TOKEN: True, CKA.PRIVATE: False}
    session.create({CKA.CLASS: CKO.DATA, CKA.LABEL: b"Mozilla Builtin Roots\0", **stay})
    for number in range(4):
        subject = bytes.fromhex("300d310b3009060355040313026161")
        made = {CKA.CLASS: CKO.CERTIFICATE, CKA.CERTIFICATE_TYPE: CKC.X_509, CKA.SUBJECT: subject, **stay}
        session.create({**made, CKA.VALUE: value, CKA.ID: bytes([number])})


def _expected_value() -> bytes:
    """Return the certificate that the case reads."""
    text = (_CASES / "CERT-M-1-32.xml").read_text(encoding="utf-8")
    return bytes.fromhex(re.search(r'type="VALUE" value="([0-9a-f]+)"', text)[1])


def _authentication_token(session: Session) -> None:
    """Make a key pair with the case's labels; its own private key is not published, so neither are the numbers its."""
    stay = {CKA.TOKEN: True}
    key = private_rsa()
    public = {**stay, CKA.LABEL: "testrsa-pub", CKA.VERIFY: True}
    import_rsa(session, key, public, {**stay, CKA.LABEL: "testrsa-pri", CKA.SIGN: True})


_SETUP = {"AUTH": _authentication_token, "CERT": _certificates_token}


def play(name: str) -> Any:  # noqa: ANN401 (through JSON)
    """In a child: set the token up and run a case; return the deviations and what it saw."""
    cryptoki = Cryptoki(module_path())
    cryptoki.initialize()
    slot = prepare(cryptoki)
    if name in _SETUP:
        session = cryptoki.open(slot)
        session.login(USER_PIN)
        _SETUP[name](session)
    cryptoki.finalize()
    deviations, seen = run_case(_CASES / f"{name}-M-1-32.xml", cryptoki, LABEL, USER_PIN)
    return deviations, [(what, value.hex()) for what, value in seen]


def _unexplained(deviations: list[str], known: dict[str, str]) -> list[str]:
    """Return the deviations that are not listed."""
    return [line for line in deviations if not any(re.fullmatch(f"({pattern})(: .*)?", line) for pattern in known)]


@pytest.fixture
def known(cryptoki: Cryptoki) -> dict[str, str]:
    """Give the deviations that are listed for the module."""
    info = cryptoki.info("C_GetInfo", "CK_INFO")
    return _SOFTHSM if b"SoftHSM" in bytes(info.manufacturerID) + bytes(info.libraryDescription) else _OURS


@pytest.mark.parametrize("name", ["BL", "EXT", "CERT"])
def test_profile_case_runs_as_written(name: str, known: dict[str, str], tmp_path: Path) -> None:
    """Every call of the case has the answer of the file."""
    deviations, _ = run(play, name, environment=store_environment(tmp_path))
    assert [] == _unexplained(deviations, known)


@pytest.mark.needs(CKM.SHA256_RSA_PKCS)
def test_authentication_token_case_runs_as_written(known: dict[str, str], tmp_path: Path) -> None:
    """So does this one, but for modulus and signature: they are the token's key's, which verifies the signature."""
    deviations, seen = run(play, "AUTH", environment=store_environment(tmp_path))
    own = {"C_GetAttributeValue/Template/MODULUS": "a key of one's own", "C_Sign/Signature": "a key of one's own"}
    assert [] == _unexplained(deviations, known | own)
    values = {what: bytes.fromhex(value) for what, value in seen}
    public, modulus = (int.from_bytes(values[name], "big") for name in ("PUBLIC_EXPONENT", "MODULUS"))
    key = rsa.RSAPublicNumbers(public, modulus).public_key()
    key.verify(values["Signature"], values["Data"], padding.PKCS1v15(), SHA256())
