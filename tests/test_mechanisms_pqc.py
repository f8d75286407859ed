"""ML-KEM, ML-DSA, HashML-DSA and SLH-DSA against NIST's vectors, and what is refused."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from collections.abc import Iterator
from hashlib import new as new_hash
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from asymmetric import refusal
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from drivers import Driver

from ptkc.hsm.approval import approve
from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.mechanisms.public_key_info import key_material
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKH, CKK, CKM, CKO, CKP, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import HashSignContext, SignContext
from ptkc.spec.values import TRUE, Attributes, ulong

load()

_ACVP = Path(__file__).parent / "vectors" / "acvp"
_HASHES = {
    **{f"SHA2-{bits}": f"SHA{bits}" for bits in (224, 256, 384, 512)},
    **{f"SHA3-{bits}": f"SHA3_{bits}" for bits in (224, 256, 384, 512)},
    "SHAKE-128": "SHAKE128", "SHAKE-256": "SHAKE256",
}  # fmt: skip
_HASH_ML_DSA = {name: getattr(CKM, f"HASH_ML_DSA_{hashed}") for name, hashed in _HASHES.items()}
_HASH_SLH_DSA = {name: getattr(CKM, f"HASH_SLH_DSA_{hashed}") for name, hashed in _HASHES.items()}
_DIGESTS = {name: getattr(CKM, hashed) for name, hashed in _HASHES.items() if "SHAKE" not in name}
_DIGESTS |= {"SHA2-512/224": CKM.SHA512_224, "SHA2-512/256": CKM.SHA512_256}
_KINDS = {"ML-DSA": CKK.ML_DSA, "ML-KEM": CKK.ML_KEM, "SLH-DSA": CKK.SLH_DSA}
_USES = (CKA.SIGN, CKA.VERIFY, CKA.ENCAPSULATE, CKA.DECAPSULATE)
_AES = {CKA.KEY_TYPE: ulong(CKK.AES)}
_SOME = 25
_SETS = [
    *((CKK.ML_DSA, number) for number in (CKP.ML_DSA_44, CKP.ML_DSA_65, CKP.ML_DSA_87)),
    *((CKK.ML_KEM, number) for number in (CKP.ML_KEM_512, CKP.ML_KEM_768, CKP.ML_KEM_1024)),
    *((CKK.SLH_DSA, number) for number in (CKP.SLH_DSA_SHA2_128F, CKP.SLH_DSA_SHAKE_192F, CKP.SLH_DSA_SHA2_256F)),
]
_GENERATION = {
    CKK.ML_DSA: CKM.ML_DSA_KEY_PAIR_GEN, CKK.ML_KEM: CKM.ML_KEM_KEY_PAIR_GEN, CKK.SLH_DSA: CKM.SLH_DSA_KEY_PAIR_GEN,
}  # fmt: skip

every_set = pytest.mark.parametrize(("kind", "number"), _SETS, ids=str)


def acvp(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (group, test) of an extract."""
    for group in json.loads(lzma.decompress((_ACVP / f"{name}.json.xz").read_bytes()))["testGroups"]:
        for test in group["tests"]:
            yield group, test


def kat(path: str) -> Iterator[dict[str, bytes]]:
    """Yield the values of each block of a file of known answers, the first few."""
    with cryptography_vectors.open_vector_file(path, "r") as file:
        blocks = file.read().split("count = ")[1:]
    for block in blocks[:_SOME]:
        pairs = (line.split(" = ") for line in block.splitlines()[1:] if " = " in line)
        yield {name: bytes.fromhex(value) for name, value in pairs if name not in ("mlen", "smlen")}


def set_of(name: str) -> tuple[int, int]:
    """Return the CKK and the CKP of `ML-DSA-44`."""
    return _KINDS["-".join(name.split("-")[:2])], getattr(CKP, name.upper().replace("-", "_"))


def key(object_class: int, name: str, material: Attributes) -> Attributes:
    """Return the attributes of a key of a parameter set that may do everything."""
    kind, number = set_of(name)
    return {
        CKA.CLASS: ulong(object_class), CKA.KEY_TYPE: ulong(kind), CKA.PARAMETER_SET: ulong(number),
        **dict.fromkeys(_USES, TRUE), **material,
    }  # fmt: skip


def public(name: str, value: bytes) -> Attributes:
    """Return a public key."""
    return key(CKO.PUBLIC_KEY, name, {CKA.VALUE: value})


def private(name: str, **material: bytes) -> Attributes:
    """Return a private key; `material` is its seed or value or both."""
    return key(CKO.PRIVATE_KEY, name, {getattr(CKA, kind): value for kind, value in material.items()})


def generated(kind: int, number: int) -> tuple[Attributes, Attributes]:
    """Return a new key pair with the attributes that the token would add."""
    given = {CKA.KEY_TYPE: ulong(kind), CKA.PARAMETER_SET: ulong(number), **dict.fromkeys(_USES, TRUE)}
    made = MECHANISMS[_GENERATION[kind]].generate_pair(None, given, {})
    classes = (ulong(CKO.PUBLIC_KEY), ulong(CKO.PRIVATE_KEY))
    return tuple({CKA.CLASS: of_class, **given, **one} for of_class, one in zip(classes, made, strict=True))


def checked(driver: Driver, mechanism: int, parameter: object, test: dict[str, Any], verifying: Attributes) -> None:
    """Have a signature of a test accepted or refused as it says, in one part and in several."""
    message, signature = bytes.fromhex(test["message"]), bytes.fromhex(test["signature"])
    if test.get("testPassed", True):
        driver.verify(mechanism, parameter, verifying, message, signature)
        driver.verify(mechanism, parameter, verifying, [b"", message[:5], message[5:]], signature)
        return
    with pytest.raises(CryptokiError) as caught:
        driver.verify(mechanism, parameter, verifying, message, signature)
    assert caught.value.code in (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)


@pytest.mark.vectors(CKM.ML_DSA)
@pytest.mark.parametrize(("name", "file"), [("ML-DSA-44", "44"), ("ML-DSA-65", "65"), ("ML-DSA-87", "87")])
def test_ml_dsa_signatures_are_those_of_the_known_answers(driver: Driver, name: str, file: str) -> None:
    """The seed gives the public key, and the deterministic signatures of the file are accepted with their contexts."""
    for test in kat(f"asymmetric/MLDSA/kat_MLDSA_{file}_det_pure.rsp"):
        message = test["msg"]
        signature = test["sm"][: len(test["sm"]) - len(message)]
        info = KEY_TYPES[CKK.ML_DSA].check(CKO.PRIVATE_KEY, private(name, SEED=test["xi"], VALUE=test["sk"]))
        assert info[CKA.PUBLIC_KEY_INFO].endswith(test["pk"])
        parameter = SignContext(CKH.HEDGE_PREFERRED, test.get("ctx", b""))
        driver.verify(CKM.ML_DSA, parameter, public(name, test["pk"]), message, signature)
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.ML_DSA, parameter, public(name, test["pk"]), message + b"\0", signature)


@pytest.mark.vectors(CKM.ML_DSA, *_HASH_ML_DSA.values(), CKM.HASH_ML_DSA)
@pytest.mark.parametrize("file", ["ML-DSA-sigVer-FIPS204", "ML-DSA-sigGen-FIPS204"])
def test_ml_dsa_verifies_as_acvp_says(driver: Driver, file: str) -> None:
    """Signatures with and without pre-hashing are accepted or refused as NIST's server expects, digests as messages."""
    for group, test in acvp(file):
        context, verifying = bytes.fromhex(test["context"]), public(group["parameterSet"], bytes.fromhex(test["pk"]))
        hashed = test.get("hashAlg", "none")
        parameter = SignContext(CKH.HEDGE_PREFERRED, context)
        if hashed in ("none", *_HASH_ML_DSA):
            checked(driver, _HASH_ML_DSA.get(hashed, CKM.ML_DSA), parameter, test, verifying)
        if hashed in _DIGESTS:
            digest = new_hash(_name(hashed), bytes.fromhex(test["message"])).hexdigest()
            given = HashSignContext(CKH.HEDGE_PREFERRED, context, _DIGESTS[hashed])
            signature = bytes.fromhex(test["signature"])
            if test.get("testPassed", True):
                driver.verify(CKM.HASH_ML_DSA, given, verifying, bytes.fromhex(digest), signature)
            else:
                with pytest.raises(CryptokiError):
                    driver.verify(CKM.HASH_ML_DSA, given, verifying, bytes.fromhex(digest), signature)


def _name(hashed: str) -> str:
    """Return what hashlib calls a hash function of ACVP."""
    return hashed.lower().replace("sha2-", "sha").replace("-", "_").replace("/", "_")


@pytest.mark.vectors(CKM.SLH_DSA, *_HASH_SLH_DSA.values())
@pytest.mark.parametrize("file", ["SLH-DSA-sigVer-FIPS205", "SLH-DSA-sigGen-FIPS205"])
def test_slh_dsa_verifies_as_acvp_says(driver: Driver, file: str) -> None:
    """Signatures of all twelve sets are accepted or refused as NIST's server expects, by every hash function."""
    for group, test in acvp(file):
        verifying = public(group["parameterSet"], bytes.fromhex(test["pk"]))
        hashed = test.get("hashAlg", "none")
        if hashed in ("none", *_HASH_SLH_DSA):
            parameter = SignContext(CKH.HEDGE_PREFERRED, bytes.fromhex(test["context"]))
            checked(driver, _HASH_SLH_DSA.get(hashed, CKM.SLH_DSA), parameter, test, verifying)


@pytest.mark.vectors(CKM.ML_KEM)
@pytest.mark.parametrize("bits", [512, 768, 1024])
def test_ml_kem_decapsulates_the_known_answers(driver: Driver, bits: int) -> None:
    """Seed and expanded key give the secrets of the file, for good ciphertexts and for those that nobody made."""
    name = f"ML-KEM-{bits}"
    for test in kat(f"asymmetric/MLKEM/kat_MLKEM_{bits}.rsp"):
        forms = [private(name, VALUE=test["sk"]), private(name, SEED=test["d"] + test["z"], VALUE=test["sk"])]
        if bits != 512:
            forms.append(private(name, SEED=test["d"] + test["z"]))
        for form in forms:
            assert KEY_TYPES[CKK.ML_KEM].check(CKO.PRIVATE_KEY, form)[CKA.PUBLIC_KEY_INFO].endswith(test["pk"])
            for ciphertext, secret in ((test["ct"], test["ss"]), (test["ct_n"], test["ss_n"])):
                made = driver.decapsulate(CKM.ML_KEM, None, form, ciphertext, _AES)
                assert secret == made[CKA.VALUE]


@pytest.mark.vectors(CKM.ML_KEM)
def test_ml_kem_keys_are_checked_as_acvp_says(driver: Driver) -> None:
    """Decapsulation, and the checks of both kinds of keys (FIPS 203 7.2 and 7.3), agree with NIST's server."""
    for group, test in acvp("ML-KEM-encapDecap-FIPS203"):
        name, function = group["parameterSet"], group["function"]
        if function == "decapsulation":
            decapsulating = private(name, VALUE=bytes.fromhex(test["dk"]))
            made = driver.decapsulate(CKM.ML_KEM, None, decapsulating, bytes.fromhex(test["c"]), _AES)
            assert bytes.fromhex(test["k"]) == made[CKA.VALUE]
            continue
        encapsulating = function == "encapsulationKeyCheck"
        checking = (
            public(name, bytes.fromhex(test["ek"])) if encapsulating else private(name, VALUE=bytes.fromhex(test["dk"]))
        )
        of_class = CKO.PUBLIC_KEY if encapsulating else CKO.PRIVATE_KEY
        if test["testPassed"]:
            KEY_TYPES[CKK.ML_KEM].check(of_class, checking)
        else:
            with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
                KEY_TYPES[CKK.ML_KEM].check(of_class, checking)


@every_set
def test_what_is_made_with_a_new_key_is_good(driver: Driver, kind: int, number: int) -> None:
    """A new pair signs and verifies, whole and in parts, or encapsulates and decapsulates."""
    one, two = generated(kind, number)
    if kind == CKK.ML_KEM:
        ciphertext, secret = driver.encapsulate(CKM.ML_KEM, None, one, _AES)
        assert secret == driver.decapsulate(CKM.ML_KEM, None, two, ciphertext, _AES)
        return
    context = SignContext(CKH.HEDGE_REQUIRED, b"a context")
    names = ("ML_DSA", "HASH_ML_DSA_SHA3_512") if kind == CKK.ML_DSA else ("SLH_DSA", "HASH_SLH_DSA_SHA256")
    for mechanism in (getattr(CKM, name) for name in names):
        for parameter in (None, context):
            signature = driver.sign(mechanism, parameter, two, b"a message")
            driver.verify(mechanism, parameter, one, b"a message", signature)
            driver.verify(
                mechanism, parameter, one, b"a message", driver.sign(mechanism, parameter, two, [b"a ", b"message"])
            )
            with refusal(CKR.SIGNATURE_INVALID):
                driver.verify(mechanism, SignContext(0, b"another"), one, b"a message", signature)
            with refusal(CKR.SIGNATURE_LEN_RANGE):
                driver.verify(mechanism, parameter, one, b"a message", signature[:-1])


@every_set
def test_generated_keys_are_complete(kind: int, number: int) -> None:
    """A new pair passes the checks of an imported one, which find nothing to add."""
    for attributes in generated(kind, number):
        object_class = int.from_bytes(attributes[CKA.CLASS], "little")
        assert KEY_TYPES[kind].check(object_class, attributes).items() <= attributes.items()


@every_set
def test_public_keys_are_known_by_their_encoding(kind: int, number: int) -> None:
    """SubjectPublicKeyInfo gives the material back; another length is no key."""
    one, _ = generated(kind, number)
    expected = {attribute: one[attribute] for attribute in (CKA.KEY_TYPE, CKA.PARAMETER_SET, CKA.VALUE)}
    assert expected == key_material(one[CKA.PUBLIC_KEY_INFO])
    with pytest.raises(ValueError, match=r"."):
        key_material(one[CKA.PUBLIC_KEY_INFO][:-1])


@every_set
def test_keys_survive_wrapping(kind: int, number: int) -> None:
    """PrivateKeyInfo has all of a private key, with the zeros of a cipher without padding behind it too."""
    one, two = generated(kind, number)
    payload = KEY_TYPES[kind].encode(two)
    for padded in (payload, payload + bytes(15)):
        material = KEY_TYPES[kind].decode(padded, {})
        assert {kind: two[kind] for kind in material} == material
        assert one[CKA.PUBLIC_KEY_INFO] == material[CKA.PUBLIC_KEY_INFO]
    with refusal(CKR.WRAPPED_KEY_INVALID):
        KEY_TYPES[kind].decode(payload + bytes(16), {})
    with refusal(CKR.WRAPPED_KEY_INVALID):
        KEY_TYPES[kind].decode(payload[:-1], {})


@pytest.mark.parametrize(
    ("kind", "number", "private_class"),
    [
        (CKK.ML_DSA, CKP.ML_DSA_44, mldsa.MLDSA44PrivateKey),
        (CKK.ML_DSA, CKP.ML_DSA_65, mldsa.MLDSA65PrivateKey),
        (CKK.ML_DSA, CKP.ML_DSA_87, mldsa.MLDSA87PrivateKey),
        (CKK.ML_KEM, CKP.ML_KEM_768, mlkem.MLKEM768PrivateKey),
        (CKK.ML_KEM, CKP.ML_KEM_1024, mlkem.MLKEM1024PrivateKey),
    ],
)
def test_encodings_are_those_of_the_library(kind: int, number: int, private_class: type) -> None:
    """What is wrapped and CKA_PUBLIC_KEY_INFO are what `cryptography` reads."""
    one, two = generated(kind, number)
    loaded: Any = load_der_private_key(KEY_TYPES[kind].encode(two), None)
    assert isinstance(loaded, private_class)
    assert two[CKA.SEED] == loaded.private_bytes_raw()
    assert one[CKA.VALUE] == load_der_public_key(one[CKA.PUBLIC_KEY_INFO]).public_bytes_raw()  # type: ignore[union-attr]


@pytest.mark.parametrize(("file", "kind"), [("MLDSA/mldsa44_priv.der", CKK.ML_DSA), ("MLKEM/mlkem768.der", CKK.ML_KEM)])
def test_published_private_keys_are_read(file: str, kind: int) -> None:
    """The seed in a published PrivateKeyInfo is the key's."""
    with cryptography_vectors.open_vector_file(f"asymmetric/{file}", "rb") as stream:
        info = stream.read()
    assert load_der_private_key(info, None).private_bytes_raw() == KEY_TYPES[kind].decode(info, {})[CKA.SEED]  # type: ignore[union-attr]


def test_an_expanded_key_without_its_seed_is_no_ml_dsa_key() -> None:
    """The library signs with seeds only, so such a key is refused where it comes in."""
    with cryptography_vectors.open_vector_file("asymmetric/MLDSA/mldsa65_noseed_priv.der", "rb") as stream:
        info = stream.read()
    with refusal(CKR.WRAPPED_KEY_INVALID):
        KEY_TYPES[CKK.ML_DSA].decode(info, {})
    with refusal(CKR.TEMPLATE_INCOMPLETE):
        KEY_TYPES[CKK.ML_DSA].check(CKO.PRIVATE_KEY, private("ML-DSA-65", VALUE=bytes(4032)))


def test_seed_and_value_belong_together() -> None:
    """A seed with the expanded key of another is refused, for each kind of key that has both."""
    blocks = list(kat("asymmetric/MLDSA/kat_MLDSA_44_det_pure.rsp"))
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        KEY_TYPES[CKK.ML_DSA].check(CKO.PRIVATE_KEY, private("ML-DSA-44", SEED=blocks[0]["xi"], VALUE=blocks[1]["sk"]))
    for bits in (512, 768):
        one, two = list(kat(f"asymmetric/MLKEM/kat_MLKEM_{bits}.rsp"))[:2]
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            KEY_TYPES[CKK.ML_KEM].check(
                CKO.PRIVATE_KEY, private(f"ML-KEM-{bits}", SEED=one["d"] + one["z"], VALUE=two["sk"])
            )
    # The end of the seed alone does not make it another key's.
    one, two = list(kat("asymmetric/MLKEM/kat_MLKEM_768.rsp"))[:2]
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        KEY_TYPES[CKK.ML_KEM].check(CKO.PRIVATE_KEY, private("ML-KEM-768", SEED=two["d"] + one["z"], VALUE=one["sk"]))


def test_an_expanded_key_that_does_not_decapsulate_is_refused() -> None:
    """What is neither public key nor hash in an expanded key is tried out."""
    value = bytearray(next(kat("asymmetric/MLKEM/kat_MLKEM_768.rsp"))["sk"])
    value[100] ^= 1
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        KEY_TYPES[CKK.ML_KEM].check(CKO.PRIVATE_KEY, private("ML-KEM-768", VALUE=bytes(value)))


@pytest.mark.parametrize(
    ("mechanism", "parameter"),
    [
        (CKM.ML_DSA, SignContext(CKH.DETERMINISTIC_REQUIRED, b"")),
        (CKM.ML_DSA, SignContext(9, b"")),
        (CKM.ML_DSA, SignContext(CKH.HEDGE_PREFERRED, bytes(256))),
        (CKM.HASH_ML_DSA_SHA256, SignContext(CKH.DETERMINISTIC_REQUIRED, b"")),
        (CKM.HASH_ML_DSA, HashSignContext(CKH.HEDGE_PREFERRED, b"", CKM.SHA_1)),
        (CKM.HASH_ML_DSA, HashSignContext(CKH.HEDGE_PREFERRED, b"", CKM.ML_DSA)),
        (CKM.HASH_ML_DSA, None),
    ],
)
def test_impossible_parameters_are_refused(driver: Driver, mechanism: int, parameter: object) -> None:
    """Deterministic signatures, long contexts, and hash functions that are none of FIPS 204's."""
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.sign(mechanism, parameter, generated(CKK.ML_DSA, CKP.ML_DSA_44)[1], b"")


def test_verification_ignores_how_a_signature_was_hedged(driver: Driver) -> None:
    """The hedge type is for signing alone."""
    one, two = generated(CKK.ML_DSA, CKP.ML_DSA_44)
    signature = driver.sign(CKM.ML_DSA, None, two, b"data")
    driver.verify(CKM.ML_DSA, SignContext(CKH.DETERMINISTIC_REQUIRED, b""), one, b"data", signature)


def test_a_digest_has_the_length_of_its_hash_function(driver: Driver) -> None:
    """CKM_HASH_ML_DSA takes nothing else."""
    two = generated(CKK.ML_DSA, CKP.ML_DSA_44)[1]
    for size in (0, 31, 33, 64):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.sign(CKM.HASH_ML_DSA, HashSignContext(0, b"", CKM.SHA256), two, bytes(size))


def test_a_key_is_not_longer_than_the_shared_secret(driver: Driver) -> None:
    """Of 33 bytes there are 32."""
    one, two = generated(CKK.ML_KEM, CKP.ML_KEM_768)
    template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET), CKA.VALUE_LEN: ulong(33)}
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        driver.encapsulate(CKM.ML_KEM, None, one, template)
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        driver.decapsulate(CKM.ML_KEM, None, two, bytes(1088), template)


@pytest.mark.parametrize("parameter_set", [CKP.ML_KEM_512, CKP.ML_KEM_768])
def test_a_shorter_key_is_the_beginning_of_the_shared_secret(driver: Driver, parameter_set: int) -> None:
    """An AES key of 128 bits has the first 16 of the 32 bytes, on both sides."""
    one, two = generated(CKK.ML_KEM, parameter_set)
    short = {CKA.KEY_TYPE: ulong(CKK.AES), CKA.VALUE_LEN: ulong(16)}
    ciphertext, secret = driver.encapsulate(CKM.ML_KEM, None, one, _AES)
    assert secret[CKA.VALUE][:16] == driver.decapsulate(CKM.ML_KEM, None, two, ciphertext, short)[CKA.VALUE]
    ciphertext, secret = driver.encapsulate(CKM.ML_KEM, None, one, short)
    assert secret[CKA.VALUE] == driver.decapsulate(CKM.ML_KEM, None, two, ciphertext, _AES)[CKA.VALUE][:16]


def test_a_ciphertext_has_its_length(driver: Driver) -> None:
    """Another is refused; one that nobody made gives a key that nobody else has."""
    two = generated(CKK.ML_KEM, CKP.ML_KEM_1024)[1]
    for size in (0, 1088, 1567, 1569):
        with refusal(CKR.WRAPPED_KEY_LEN_RANGE):
            driver.decapsulate(CKM.ML_KEM, None, two, bytes(size), _AES)
    assert driver.decapsulate(CKM.ML_KEM, None, two, bytes(1568), _AES)


@pytest.mark.parametrize("kind", [CKK.ML_DSA, CKK.ML_KEM, CKK.SLH_DSA])
def test_unknown_sets_are_refused(kind: int) -> None:
    """A number that is no set of the key type has its own code, none at all makes the template incomplete."""
    with refusal(CKR.PARAMETER_SET_NOT_SUPPORTED):
        generated(kind, 77)
    with refusal(CKR.TEMPLATE_INCOMPLETE):
        MECHANISMS[_GENERATION[kind]].generate_pair(None, {}, {})


def test_a_key_of_another_type_is_refused() -> None:
    """A PrivateKeyInfo of ML-DSA is no key of ML-KEM."""
    with refusal(CKR.WRAPPED_KEY_INVALID):
        KEY_TYPES[CKK.ML_KEM].decode(KEY_TYPES[CKK.ML_DSA].encode(generated(CKK.ML_DSA, CKP.ML_DSA_44)[1]), {})
    obj = Object(generated(CKK.ML_DSA, CKP.ML_DSA_44)[0])
    with refusal(CKR.KEY_TYPE_INCONSISTENT):
        approve(obj, "encapsulate", CKM.ML_KEM, 0)


def test_without_its_library_a_mechanism_is_not_offered() -> None:
    """In a process that has no `pqcrypto` there is neither SLH-DSA nor ML-KEM-512, and all else works."""
    program = """
import sys
sys.modules["pqcrypto"] = None
from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.spec.constants import CKA, CKK, CKM, CKP
load()
assert not {CKM.SLH_DSA, CKM.SLH_DSA_KEY_PAIR_GEN, CKM.HASH_SLH_DSA_SHA256} & set(MECHANISMS)
assert CKK.SLH_DSA not in KEY_TYPES
assert [CKP.ML_KEM_768, CKP.ML_KEM_1024] == list(KEY_TYPES[CKK.ML_KEM].sets)
assert (1184, 1568) == MECHANISMS[CKM.ML_KEM].sizes
for number in KEY_TYPES[CKK.ML_KEM].sets:
    given = {CKA.PARAMETER_SET: number.to_bytes(8, "little")}
    public, private = MECHANISMS[CKM.ML_KEM_KEY_PAIR_GEN].generate_pair(None, given, {})
    assert public[CKA.PUBLIC_KEY_INFO] == KEY_TYPES[CKK.ML_KEM].check(3, {**given, **private})[CKA.PUBLIC_KEY_INFO]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
