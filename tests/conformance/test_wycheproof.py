"""Wycheproof vectors through the C interface: what is valid is accepted, what is invalid refused with a code for it.

Vectors marked `acceptable` may go either way, but a refusal must have one of those codes too. What Cryptoki or the
libraries have otherwise than the vectors say stands in `_expected`.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from asn1crypto.core import OctetString, Sequence
from asn1crypto.keys import PrivateKeyInfo, PublicKeyInfo

from ptkc.spec.constants import CKA, CKG, CKK, CKM, CKO, CKP, CKR

from . import derivations
from .child import module_path
from .cryptoki import Refused, Session
from .parameters import Mechanism, ccm, chacha20_poly1305, context, ecdh, gcm, oaep, pss, ulong

_FILES = Path(__file__).resolve().parent.parent / "vectors" / "wycheproof"
_CURVES = {
    "secp224r1": "2b81040021",
    "secp256r1": "2a8648ce3d030107",
    "secp384r1": "2b81040022",
    "secp521r1": "2b81040023",
    "secp256k1": "2b8104000a",
    "brainpoolP256r1": "2b2403030208010107",
    "brainpoolP384r1": "2b240303020801010b",
    "brainpoolP512r1": "2b240303020801010d",
    "secp192r1": "2a8648ce3d030101",
    "secp192k1": "2b8104001f",
    "secp224k1": "2b81040020",
    "brainpoolP224r1": "2b2403030208010105",
    "brainpoolP320r1": "2b2403030208010109",
    "edwards25519": "2b6570",
    "edwards448": "2b6571",
    "curve25519": "2b656e",
    "curve448": "2b656f",
}
_HASHES = {"SHA-1": ("SHA_1", "SHA1")} | {
    name: (constant, constant)
    for name, constant in (
        *((f"SHA-{bits}", f"SHA{bits}") for bits in (224, 256, 384, 512)),
        *((f"SHA3-{bits}", f"SHA3_{bits}") for bits in (224, 256, 384, 512)),
    )
}
# What the module may answer to an invalid vector.
_SIGNED = {CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE}
_ENCRYPTED = {CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE}
_WRAPPED = {CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE}
_PARAMETER = {CKR.MECHANISM_PARAM_INVALID}
_KEY = {CKR.ATTRIBUTE_VALUE_INVALID}
_LONGEST_IV = 128
_MOST_ITERATIONS = 100_000
_READABLE = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True,
}  # fmt: skip
_XTS_192 = 48

Group = dict[str, Any]
Check = Callable[[Session, Group, dict[str, Any]], None]


def _hex(value: str) -> bytes:
    return bytes.fromhex(value)


def _oid(curve: str) -> bytes:
    body = _hex(_CURVES[curve])
    return b"\x06" + bytes([len(body)]) + body


def _secret(session: Session, kind: int, value: bytes, **usage: bool) -> int:
    attributes: dict[int, Any] = {
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: kind, CKA.TOKEN: False, CKA.VALUE: value, CKA.SENSITIVE: False,
        CKA.EXTRACTABLE: True,
    }  # fmt: skip
    return session.create(attributes | {getattr(CKA, name.upper()): flag for name, flag in usage.items()})


def _same(expected: bytes, actual: bytes) -> None:
    if expected != actual:
        raise Refused("the output differs", CKR.DATA_INVALID)


def _aead(make: Callable[[Group, dict[str, Any]], Mechanism], kind: int = CKK.AES) -> Check:
    def check(session: Session, group: Group, test: dict[str, Any]) -> None:
        key = _secret(session, kind, _hex(test["key"]), encrypt=True, decrypt=True)
        sealed = _hex(test["ct"]) + _hex(test["tag"])
        _same(_hex(test["msg"]), session.decrypt(make(group, test), key, sealed))
        _same(sealed, session.encrypt(make(group, test), key, _hex(test["msg"])))

    return check


def _cipher(mechanism: int, kind: int) -> Check:
    """Return the check of a cipher whose parameter is an IV of 16 bytes; shorter ones are numbers of data units."""

    def check(session: Session, _group: Group, test: dict[str, Any]) -> None:
        key = _secret(session, kind, _hex(test["key"]), encrypt=True, decrypt=True)
        given = Mechanism(mechanism, _hex(test["iv"]).ljust(16, b"\0"))
        _same(_hex(test["msg"]), session.decrypt(given, key, _hex(test["ct"])))
        _same(_hex(test["ct"]), session.encrypt(given, key, _hex(test["msg"])))

    return check


def _mac(kind: int, name: str, full: int) -> Check:
    """Return the check of a MAC of `full` bytes: by the mechanism `name` itself where a tag has them all."""

    def check(session: Session, group: Group, test: dict[str, Any]) -> None:
        key = _secret(session, kind, _hex(test["key"]), sign=True, verify=True)
        size = group["tagSize"] // 8
        mechanisms = [ulong(getattr(CKM, f"{name}_GENERAL"), size)]
        mechanisms += [Mechanism(getattr(CKM, name))] if size == full else []
        for mechanism in mechanisms:
            session.verify(mechanism, key, _hex(test["msg"]), _hex(test["tag"]))
            _same(_hex(test["tag"]), session.sign(mechanism, key, _hex(test["msg"])))

    return check


def _hmac(name: str, full: int) -> Check:
    return _mac(CKK.GENERIC_SECRET, f"{name}_HMAC", full)


def _wrap(kind: int) -> Check:
    def check(session: Session, _group: Group, test: dict[str, Any]) -> None:
        key = _secret(session, CKK.AES, _hex(test["key"]), wrap=True, unwrap=True)
        template = {
            CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True,
        }  # fmt: skip
        unwrapped = session.unwrap(Mechanism(kind), key, _hex(test["ct"]), template)
        _same(_hex(test["msg"]), session.get(unwrapped, CKA.VALUE))
        _same(_hex(test["ct"]), session.wrap(Mechanism(kind), key, unwrapped))

    return check


def _ec_public(session: Session, group: Group) -> int:
    key = group["publicKey"]
    if "curve" in key and "uncompressed" in key:
        return session.create({
            CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: _oid(key["curve"]),
            CKA.EC_POINT: OctetString(_hex(key["uncompressed"])).dump(), CKA.VERIFY: True,
        })  # fmt: skip
    return session.create({
        CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.EC_EDWARDS, CKA.EC_PARAMS: _oid(key["curve"]),
        CKA.EC_POINT: OctetString(_hex(key["pk"])).dump(), CKA.VERIFY: True,
    })  # fmt: skip


def _ecdsa(session: Session, group: Group, test: dict[str, Any]) -> None:
    mechanism = Mechanism(getattr(CKM, "ECDSA_" + _HASHES[group["sha"]][1]))
    session.verify(mechanism, _ec_public(session, group), _hex(test["msg"]), _hex(test["sig"]))


def _ecdsa_der(session: Session, group: Group, test: dict[str, Any]) -> None:
    """Check r and s of a signature that is given in DER, if it is a right one."""
    if test["result"] != "valid":
        return
    size = (group["publicKey"]["keySize"] + 7) // 8
    numbers = Sequence.load(_hex(test["sig"]))
    parts = [numbers[place].native.to_bytes(size, "big") for place in (0, 1)]
    _ecdsa(session, group, {**test, "sig": b"".join(parts).hex()})


def _eddsa(session: Session, group: Group, test: dict[str, Any]) -> None:
    session.verify(Mechanism(CKM.EDDSA), _ec_public(session, group), _hex(test["msg"]), _hex(test["sig"]))


def _derive(session: Session, kind: int, curve: str, private: bytes, public: bytes) -> bytes:
    key = session.create({
        CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: kind, CKA.EC_PARAMS: _oid(curve), CKA.VALUE: private,
        CKA.DERIVE: True,
    })  # fmt: skip
    template = {
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True,
    }  # fmt: skip
    return session.get(session.derive(ecdh(public), key, template), CKA.VALUE)


def _ecdh(session: Session, group: Group, test: dict[str, Any]) -> None:
    curve = group["curve"]
    size = int("".join(filter(str.isdigit, curve))[:3]) + 7 >> 3
    private = (int(test["private"], 16)).to_bytes(size, "big")
    public = _hex(test["public"])
    if group["encoding"] == "asn":
        public = _point(curve, public)
    _same(_hex(test["shared"]), _derive(session, CKK.EC, curve, private, public))


def _point(curve: str, info: bytes) -> bytes:
    """Return the point of a SubjectPublicKeyInfo; what is wrong about that one is not for Cryptoki to say."""
    try:
        key = PublicKeyInfo.load(info, strict=True)
        named = key["algorithm"]["parameters"].dump()
        point = key["public_key"].native
    except (ValueError, KeyError, TypeError, IndexError):
        named, point = b"", b""
    if named != _oid(curve) or not isinstance(point, bytes):
        raise Refused("no SubjectPublicKeyInfo of this curve", CKR.MECHANISM_PARAM_INVALID)
    return point


def _dsa(session: Session, group: Group, test: dict[str, Any]) -> None:
    names = {CKA.PRIME: "p", CKA.SUBPRIME: "q", CKA.BASE: "g", CKA.VALUE: "y"}
    key = session.create(
        {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.DSA, CKA.VERIFY: True}
        | {kind: _hex(group["publicKey"][name]).lstrip(b"\0") for kind, name in names.items()}
    )
    mechanism = Mechanism(getattr(CKM, "DSA_" + _HASHES[group["sha"]][1]))
    session.verify(mechanism, key, _hex(test["msg"]), _hex(test["sig"]))


def _xdh(session: Session, group: Group, test: dict[str, Any]) -> None:
    private = _hex(test["private"])
    _same(_hex(test["shared"]), _derive(session, CKK.EC_MONTGOMERY, group["curve"], private, _hex(test["public"])))


def _rsa_public(session: Session, group: Group) -> int:
    key = group["publicKey"]
    return session.create({
        CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.MODULUS: _hex(key["modulus"]).lstrip(b"\0"),
        CKA.PUBLIC_EXPONENT: _hex(key["publicExponent"]), CKA.VERIFY: True,
    })  # fmt: skip


def _rsa_private(session: Session, group: Group) -> int:
    key = PrivateKeyInfo.load(_hex(group["privateKeyPkcs8"]))["private_key"].parsed
    names = {
        CKA.MODULUS: "modulus", CKA.PUBLIC_EXPONENT: "public_exponent", CKA.PRIVATE_EXPONENT: "private_exponent",
        CKA.PRIME_1: "prime1", CKA.PRIME_2: "prime2", CKA.EXPONENT_1: "exponent1", CKA.EXPONENT_2: "exponent2",
        CKA.COEFFICIENT: "coefficient",
    }  # fmt: skip
    values = {kind: key[name].native for kind, name in names.items()}
    return session.create(
        {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.DECRYPT: True, CKA.SIGN: True}
        | {kind: value.to_bytes((value.bit_length() + 7) // 8, "big") for kind, value in values.items()}
    )


def _rsa_verify(session: Session, group: Group, test: dict[str, Any]) -> None:
    mechanism = Mechanism(getattr(CKM, _HASHES[group["sha"]][1] + "_RSA_PKCS"))
    session.verify(mechanism, _rsa_public(session, group), _hex(test["msg"]), _hex(test["sig"]))


def _rsa_sign(session: Session, group: Group, test: dict[str, Any]) -> None:
    mechanism = Mechanism(getattr(CKM, _HASHES[group["sha"]][1] + "_RSA_PKCS"))
    _same(_hex(test["sig"]), session.sign(mechanism, _rsa_private(session, group), _hex(test["msg"])))


def _pss(session: Session, group: Group, test: dict[str, Any]) -> None:
    name, short = _HASHES[group["sha"]]
    mask = getattr(CKG, "MGF1_" + _HASHES[group["mgfSha"]][1])
    mechanism = pss(getattr(CKM, short + "_RSA_PKCS_PSS"), getattr(CKM, name), mask, group["sLen"])
    session.verify(mechanism, _rsa_public(session, group), _hex(test["msg"]), _hex(test["sig"]))


def _oaep(session: Session, group: Group, test: dict[str, Any]) -> None:
    mask = getattr(CKG, "MGF1_" + _HASHES[group["mgfSha"]][1])
    mechanism = oaep(getattr(CKM, _HASHES[group["sha"]][0]), mask, _hex(test["label"]))
    _same(_hex(test["msg"]), session.decrypt(mechanism, _rsa_private(session, group), _hex(test["ct"])))


def _pkcs1(session: Session, group: Group, test: dict[str, Any]) -> None:
    _same(_hex(test["msg"]), session.decrypt(Mechanism(CKM.RSA_PKCS), _rsa_private(session, group), _hex(test["ct"])))


def _gcm(group: Group, test: dict[str, Any]) -> Mechanism:
    return gcm(_hex(test["iv"]), _hex(test["aad"]), group["tagSize"])


def _ccm(group: Group, test: dict[str, Any]) -> Mechanism:
    return ccm(len(_hex(test["msg"])), _hex(test["iv"]), _hex(test["aad"]), group["tagSize"] // 8)


def _chacha20(_group: Group, test: dict[str, Any]) -> Mechanism:
    return chacha20_poly1305(_hex(test["iv"]), _hex(test["aad"]))


def _gmac(session: Session, group: Group, test: dict[str, Any]) -> None:
    key = _secret(session, CKK.AES, _hex(test["key"]), sign=True, verify=True)
    mechanism = gcm(_hex(test["iv"]), b"", group["tagSize"], CKM.AES_GMAC)
    session.verify(mechanism, key, _hex(test["msg"]), _hex(test["tag"]))
    _same(_hex(test["tag"]), session.sign(mechanism, key, _hex(test["msg"])))


def _hkdf(name: str) -> Check:
    """Return the check of HKDF with the hash CKM_`name`."""

    def check(session: Session, _group: Group, test: dict[str, Any]) -> None:
        key = _secret(session, CKK.HKDF, _hex(test["ikm"]), derive=True)
        mechanism = derivations.hkdf(getattr(CKM, name), salt=_hex(test["salt"]), info=_hex(test["info"]))
        new = session.derive(mechanism, key, {**_READABLE, CKA.VALUE_LEN: test["size"]})
        _same(_hex(test["okm"]), session.get(new, CKA.VALUE))

    return check


def _pbkdf2(name: str) -> Check:
    """Return the check of PBKDF2 with HMAC and the hash `name`; the one vector that takes long is left out."""

    def check(session: Session, _group: Group, test: dict[str, Any]) -> None:
        if test["iterationCount"] > _MOST_ITERATIONS:
            return
        function = getattr(CKP, f"PKCS5_PBKD2_HMAC_{name}")
        mechanism = derivations.pbkdf2(_hex(test["password"]), _hex(test["salt"]), test["iterationCount"], function)
        new = session.generate(mechanism, {**_READABLE, CKA.VALUE_LEN: test["dkLen"]})
        _same(_hex(test["dk"]), session.get(new, CKA.VALUE))

    return check


def _parameter_set(kind: int, name: str, of_class: int, material: dict[int, bytes]) -> dict[int, Any]:
    number = getattr(CKP, name.replace("-", "_"))
    return {CKA.CLASS: of_class, CKA.KEY_TYPE: kind, CKA.PARAMETER_SET: number, **material}


def _mldsa(name: str) -> Check:
    """Return the check of signatures of a parameter set."""

    def check(session: Session, group: Group, test: dict[str, Any]) -> None:
        material = {CKA.VALUE: _hex(group["publicKey"])}
        key = session.create(_parameter_set(CKK.ML_DSA, name, CKO.PUBLIC_KEY, material) | {CKA.VERIFY: True})
        mechanism = context(CKM.ML_DSA, _hex(test.get("ctx", "")))
        session.verify(mechanism, key, _hex(test["msg"]), _hex(test["sig"]))

    return check


def _mlkem(session: Session, group: Group, test: dict[str, Any]) -> None:
    """Check a decapsulation with a seed or an expanded key."""
    material = {CKA.SEED: _hex(test["seed"])} if "seed" in test else {CKA.VALUE: _hex(test["dk"])}
    template = _parameter_set(CKK.ML_KEM, group["parameterSet"], CKO.PRIVATE_KEY, material) | {CKA.DECAPSULATE: True}
    key = session.create(template)
    new = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
    made = session.decapsulate(Mechanism(CKM.ML_KEM), key, new, _hex(test["c"]))
    _same(_hex(test["K"]), session.get(made, CKA.VALUE))


def _mlkem_public(session: Session, group: Group, test: dict[str, Any]) -> None:
    """Check that a public key is one, and can be used."""
    material = {CKA.VALUE: _hex(test["ek"])}
    template = _parameter_set(CKK.ML_KEM, group["parameterSet"], CKO.PUBLIC_KEY, material) | {CKA.ENCAPSULATE: True}
    key = session.create(template)
    session.encapsulate(Mechanism(CKM.ML_KEM), key, {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES})


class _File(NamedTuple):
    """How a file is checked: all that begins with `name`, unless an earlier row has it."""

    name: str
    check: Check
    refusals: set[int]
    mechanisms: tuple[int, ...]


def _mac_file(name: str, check: Check, mechanism: str, refusals: set[int] = _SIGNED) -> _File:
    return _File(name, check, refusals, (getattr(CKM, mechanism), getattr(CKM, f"{mechanism}_GENERAL")))


_HMACS = {
    "sha1": ("SHA_1", 20), "sha224": ("SHA224", 28), "sha256": ("SHA256", 32), "sha384": ("SHA384", 48),
    "sha512_224": ("SHA512_224", 28), "sha512_256": ("SHA512_256", 32), "sha512": ("SHA512", 64),
    "sha3_224": ("SHA3_224", 28), "sha3_256": ("SHA3_256", 32), "sha3_384": ("SHA3_384", 48),
    "sha3_512": ("SHA3_512", 64),
}  # fmt: skip
_SHORT = ("SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512", "SHA224", "SHA256", "SHA384", "SHA512")
_ECDH = (CKM.ECDH1_DERIVE,)
_ROWS = (
    _File("aes_gcm", _aead(_gcm), _ENCRYPTED | _PARAMETER, (CKM.AES_GCM,)),
    _File("aes_ccm", _aead(_ccm), _ENCRYPTED | _PARAMETER, (CKM.AES_CCM,)),
    _File("aes_cbc_pkcs5", _cipher(CKM.AES_CBC_PAD, CKK.AES), _ENCRYPTED, (CKM.AES_CBC_PAD,)),
    _File("camellia_cbc_pkcs5", _cipher(CKM.CAMELLIA_CBC_PAD, CKK.CAMELLIA), _ENCRYPTED, (CKM.CAMELLIA_CBC_PAD,)),
    _File("aria_cbc_pkcs5", _cipher(CKM.ARIA_CBC_PAD, CKK.ARIA), _ENCRYPTED, (CKM.ARIA_CBC_PAD,)),
    _File("aes_xts", _cipher(CKM.AES_XTS, CKK.AES_XTS), _ENCRYPTED | _KEY, (CKM.AES_XTS,)),
    _File("chacha20_", _aead(_chacha20, CKK.CHACHA20), _ENCRYPTED | _PARAMETER, (CKM.CHACHA20_POLY1305,)),
    _File("xchacha20_", _aead(_chacha20, CKK.CHACHA20), _ENCRYPTED | _PARAMETER, (CKM.CHACHA20_POLY1305,)),
    _mac_file("aes_cmac", _mac(CKK.AES, "AES_CMAC", 16), "AES_CMAC", _SIGNED | _KEY),
    _File("aes_gmac", _gmac, _SIGNED, (CKM.AES_GMAC,)),
    _File("aes_wrap", _wrap(CKM.AES_KEY_WRAP), _WRAPPED, (CKM.AES_KEY_WRAP,)),
    _File("aes_kwp", _wrap(CKM.AES_KEY_WRAP_KWP), _WRAPPED, (CKM.AES_KEY_WRAP_KWP,)),
    *(_mac_file(f"hmac_{name}_", _hmac(*row), f"{row[0]}_HMAC") for name, row in _HMACS.items()),
    *(_File(f"ecdsa_{curve}_sha3_", _ecdsa_der, _SIGNED, ()) for curve in _CURVES),
    _File("ecdsa_", _ecdsa, _SIGNED, tuple(getattr(CKM, f"ECDSA_{name}") for name in _SHORT)),
    _File("ecdh_", _ecdh, _PARAMETER, _ECDH),
    _File("dsa_", _dsa, _SIGNED, (CKM.DSA_SHA224, CKM.DSA_SHA256)),
    _File("x25519", _xdh, _PARAMETER, _ECDH),
    _File("x448", _xdh, _PARAMETER, _ECDH),
    *(
        _File(f"mldsa_{bits}_", _mldsa(f"ML-DSA-{bits}"), _SIGNED | _KEY | _PARAMETER, (CKM.ML_DSA,))
        for bits in (44, 65, 87)
    ),
    *(_File(f"mlkem_{bits}_encaps", _mlkem_public, _KEY, (CKM.ML_KEM,)) for bits in (512, 768, 1024)),
    _File("mlkem_", _mlkem, _WRAPPED | _KEY, (CKM.ML_KEM,)),
    *(
        _File(f"hkdf_{name.lower().replace('_', '')}_", _hkdf(name), _KEY, (CKM.HKDF_DERIVE,))
        for name in ("SHA_1", "SHA256", "SHA384", "SHA512")
    ),
    *(
        _File(f"pbkdf2_hmac{name.lower()}_", _pbkdf2(name), _KEY | _PARAMETER, (CKM.PKCS5_PBKD2,))
        for name in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")
    ),
    _File("ed", _eddsa, _SIGNED, (CKM.EDDSA,)),
    _File("rsa_oaep", _oaep, _ENCRYPTED, (CKM.RSA_PKCS_OAEP,)),
    *(_File(f"rsa_pkcs1_{bits}_sig_gen", _rsa_sign, _SIGNED, ()) for bits in (1024, 2048)),
    # What is wrong about the padding is not told: the result is random bytes.
    _File("rsa_pkcs1", _pkcs1, _ENCRYPTED | {CKR.DATA_INVALID}, (CKM.RSA_PKCS,)),
    _File("rsa_pss", _pss, _SIGNED, tuple(getattr(CKM, f"{name}_RSA_PKCS_PSS") for name in ("SHA1", *_SHORT[4:]))),
    _File("rsa_signature", _rsa_verify, _SIGNED, tuple(getattr(CKM, f"{name}_RSA_PKCS") for name in _SHORT)),
)


def _expected(file: _File, test: dict[str, Any]) -> str:
    """Return `valid`, `invalid` or `acceptable`: what the vector says, but for what it cannot know."""
    if file.check is _ecdsa and "SignatureSize" in test["flags"] and len(_hex(test["sig"])) % 2 == 0:
        return "valid"  # r and s may be shorter, if both are equally long (specification 6.3.1)
    if file.check is _ecdsa_der and test["result"] != "valid":
        return "acceptable"  # what is wrong is the DER, which Cryptoki does not have
    if file.name == "aes_xts" and len(_hex(test["key"])) == _XTS_192:
        return "invalid"  # Cryptoki has no such keys
    if "LongIv" in test["flags"] and len(_hex(test["iv"])) > _LONGEST_IV:
        return "acceptable"  # no library has such IVs
    return str(test["result"])


def _problem(session: Session, file: _File, group: Group, test: dict[str, Any]) -> str | None:
    """Return what is wrong with the module's answer to one vector."""
    expected = _expected(file, test)
    try:
        file.check(session, group, test)
    except Refused as refused:
        if expected == "valid":
            return f"{refused} for a valid vector"
        return None if refused.rv in file.refusals else f"{refused} is no code for an invalid vector"
    return "an invalid vector was accepted" if expected == "invalid" else None


@pytest.mark.skipif("softhsm" in module_path().lower(), reason="vectors are for our own mechanisms")
@pytest.mark.vectors(*(mechanism for file in _ROWS for mechanism in file.mechanisms))
@pytest.mark.parametrize("path", sorted(_FILES.glob("*.xz")), ids=lambda path: path.name.split(".")[0])
def test_module_agrees_with_the_vectors(session: Session, path: Path) -> None:
    """Each vector of the file is accepted or refused as its result says."""
    file = next(file for file in _ROWS if path.name.startswith(file.name))
    problems = []
    for group in json.loads(lzma.decompress(path.read_bytes()))["testGroups"]:
        for test in group["tests"]:
            if problem := _problem(session, file, group, test):
                problems.append(f"{test['tcId']} ({test['comment']}): {problem}")
            session.destroy(*session.find({}))
    assert [] == problems
