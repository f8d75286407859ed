"""Diffie-Hellman and DSA against the published vectors, and what is refused."""

from __future__ import annotations

import hashlib

import cryptography_vectors
import pytest
from asymmetric import HASHES, blocks, imported, integer, refusal
from drivers import Driver

from ptkc.mechanisms import KEY_TYPES
from ptkc.mechanisms.dh import kdf_x9_42
from ptkc.mechanisms.domain_parameters import DhParameterGeneration, SubgroupParameterGeneration
from ptkc.mechanisms.dsa import Dsa
from ptkc.mechanisms.finite_fields import DH, DSA, X9_42_DH, Field, FieldKeyPairGeneration
from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import X942Dh
from ptkc.spec.values import Attributes, from_ulong, ulong

pytestmark = pytest.mark.usefixtures("module_driver")

_NAMES = {CKA.PRIME: "P", CKA.SUBPRIME: "Q", CKA.BASE: "G"}
_GENERIC = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
_SHA3 = [f"SHA3_{bits}" for bits in (224, 256, 384, 512)]
_FIELDS = pytest.mark.parametrize("field", [DH, X9_42_DH, DSA], ids=["DH", "X9.42", "DSA"])


def domain(field: Field, block: dict[str, str]) -> Attributes:
    """Return the domain parameters of a vector."""
    return {kind: integer(block[_NAMES[kind]]) for kind in field.parts}


def public(field: Field, group: Attributes, value: bytes) -> Attributes:
    """Return a public key."""
    return imported(CKO.PUBLIC_KEY, field.key_type, {**group, CKA.VALUE: value})


def private(field: Field, group: Attributes, value: bytes) -> Attributes:
    """Return a private key."""
    return imported(CKO.PRIVATE_KEY, field.key_type, {**group, CKA.VALUE: value})


def rfc5114() -> list[dict[str, str]]:
    """Return the groups of RFC 5114 with both parties' keys and the secret."""
    found: list[dict[str, str]] = []
    with cryptography_vectors.open_vector_file("asymmetric/DH/RFC5114.txt", "r") as file:
        text = file.read()
    for line in text.splitlines():
        name, _, value = line.partition(" = ")
        if name == "P":
            found.append({})
        if value:
            found[-1][name] = value.strip()
    return found


_GROUP = domain(X9_42_DH, rfc5114()[2])


def x9_42(value: bytes, kdf: int = CKD.NULL, other: bytes = b"") -> X942Dh:
    """Return the parameter of CKM_X9_42_DH_DERIVE."""
    return X942Dh(kdf, other, value)


@pytest.mark.vectors(CKM.DH_PKCS_DERIVE, CKM.X9_42_DH_DERIVE)
@pytest.mark.parametrize("vector", rfc5114(), ids=["1024-160", "2048-224", "2048-256"])
def test_dh_agrees_as_in_rfc_5114(driver: Driver, vector: dict[str, str]) -> None:
    """Both parties get the RFC's secret, with and without the subprime."""
    secret = bytes.fromhex(vector["Z"])
    for mine, theirs in (("CAVS", "IUT"), ("IUT", "CAVS")):
        value, peer = integer(vector[f"Xstat{mine}"]), bytes.fromhex(vector[f"Ystat{theirs}"])
        key = private(DH, domain(DH, vector), value)
        assert secret == driver.derive(CKM.DH_PKCS_DERIVE, peer, key, _GENERIC)[CKA.VALUE]
        key = private(X9_42_DH, domain(X9_42_DH, vector), value)
        assert secret == driver.derive(CKM.X9_42_DH_DERIVE, x9_42(peer), key, _GENERIC)[CKA.VALUE]


@pytest.mark.vectors(CKM.X9_42_DH_DERIVE)
@pytest.mark.parametrize("role", ["init", "resp"])
def test_x9_42_agrees_as_nist_does(driver: Driver, role: str) -> None:
    """CAVP's static keys agree on Z, and a peer's value that was changed is refused or gives another secret."""
    group: Attributes = {}
    seen = 0
    for heading, block in blocks(f"asymmetric/DH/KASValidityTest_FFCStatic_NOKC_ZZOnly_{role}.fax"):
        if "P" in block:
            group = domain(X9_42_DH, block)
        if "Result" not in block:
            continue
        hashed = hashlib.new(heading[1])
        try:
            key = private(X9_42_DH, group, integer(block["XstatIUT"]))
            peer = bytes.fromhex(block["YstatCAVS"])
            hashed.update(driver.derive(CKM.X9_42_DH_DERIVE, x9_42(peer), key, _GENERIC)[CKA.VALUE])
        except CryptokiError:
            assert block["Result"].startswith("F")
            continue
        # What else can be wrong in these vectors is the hash, or a private value that is not its public one's.
        fits = hashed.hexdigest() == block["CAVSHashZZ"]
        assert fits or block["Result"].startswith("F")
        seen += fits
    assert seen >= 30


def test_x9_42_derives_as_in_rfc_2631() -> None:
    """CKD_SHA1_KDF_ASN1 gives the key of the RFC's example."""
    other = bytes.fromhex("301d301306 0b2a864886f70d0109100306 0404000000 01a206040400 0000c0".replace(" ", ""))
    template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET), CKA.VALUE_LEN: ulong(24)}
    expected = bytes.fromhex("a09661392376f7044d9052a397883246b67f5f1ef63eb5fb")
    assert expected == kdf_x9_42(CKD.SHA1_KDF_ASN1, other, bytes(range(20)), template)


@pytest.mark.parametrize("length", [1, 20, 21, 100])
def test_x9_42_concatenates_as_x9_63_does(driver: Driver, length: int) -> None:
    """CKD_SHA1_KDF_CONCATENATE hashes secret, counter and other info."""
    vector = rfc5114()[2]
    key = private(X9_42_DH, _GROUP, integer(vector["XstatCAVS"]))
    secret, peer = bytes.fromhex(vector["Z"]), bytes.fromhex(vector["YstatIUT"])
    blocks_of = [secret + count.to_bytes(4, "big") + b"info" for count in range(1, 7)]
    expected = b"".join(hashlib.new("sha1", block).digest() for block in blocks_of)  # noqa: S324 - the vectors
    parameter = x9_42(peer, CKD.SHA1_KDF_CONCATENATE, b"info")
    template = {**_GENERIC, CKA.VALUE_LEN: ulong(length)}
    assert expected[:length] == driver.derive(CKM.X9_42_DH_DERIVE, parameter, key, template)[CKA.VALUE]


@pytest.mark.parametrize("length", [1, 32, 255])
def test_dh_secret_is_shortened_at_its_front(driver: Driver, length: int) -> None:
    """CKA_VALUE_LEN takes the last bytes."""
    vector = rfc5114()[2]
    key = private(DH, domain(DH, vector), integer(vector["XstatCAVS"]))
    template = {**_GENERIC, CKA.VALUE_LEN: ulong(length)}
    peer = bytes.fromhex(vector["YstatIUT"])
    assert bytes.fromhex(vector["Z"])[-length:] == driver.derive(CKM.DH_PKCS_DERIVE, peer, key, template)[CKA.VALUE]


def _bad_values() -> dict[str, bytes]:
    """Return public values that belong to nobody: in no subgroup, or in a small one."""
    p, q, g = (int.from_bytes(_GROUP[kind], "big") for kind in (CKA.PRIME, CKA.SUBPRIME, CKA.BASE))
    small = next(pow(base, (p - 1) // 2, p) for base in range(2, 50) if pow(base, (p - 1) // 2, p) != 1)
    numbers = {
        "0": 0, "1": 1, "p-1": p - 1, "p": p, "p+1": p + 1, "p+y": p + pow(g, 5, p), "order 2": small,
        "no subgroup": next(number for number in range(2, 50) if pow(number, q, p) != 1),
    }  # fmt: skip
    return {name: number.to_bytes(257, "big") for name, number in numbers.items()} | {"long": b"\1" * 5000}


@pytest.mark.parametrize("name", _bad_values())
def test_public_values_outside_the_subgroup_are_refused(driver: Driver, name: str) -> None:
    """Whoever chooses such a value learns the secret, or something of the private value (attack)."""
    value = _bad_values()[name]
    key = integer(rfc5114()[2]["XstatCAVS"])
    without = {kind: _GROUP[kind] for kind in DH.parts}
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.derive(CKM.DH_PKCS_DERIVE, value, private(DH, without, key), _GENERIC)
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.derive(CKM.X9_42_DH_DERIVE, x9_42(value), private(X9_42_DH, _GROUP, key), _GENERIC)
    for field, group in ((DH, without), (X9_42_DH, _GROUP), (DSA, _GROUP)):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            public(field, group, value)


@_FIELDS
def test_domain_parameters_that_are_none_are_refused(field: Field) -> None:
    """Composite or short primes, bases of another order, and a prime with small subgroups and no subprime."""
    group = {kind: _GROUP[kind] for kind in field.parts}
    p, g = (int.from_bytes(group[kind], "big") for kind in (CKA.PRIME, CKA.BASE))
    wrong = [
        {CKA.PRIME: (p + 2).to_bytes(256, "big")}, {CKA.PRIME: p.to_bytes(256, "big")[-48:]}, {CKA.BASE: b"\1"},
        {CKA.PRIME: ((1 << 20000) + 1).to_bytes(2501, "big")}, {CKA.BASE: b"\0"},
        {CKA.BASE: (p - 1).to_bytes(256, "big")},
    ]  # fmt: skip
    if CKA.SUBPRIME in group:
        wrong += [{CKA.BASE: (g + 1).to_bytes(256, "big")}, {CKA.SUBPRIME: b"\x80" + bytes(30) + b"\1"}]
    for change in wrong:
        with refusal(CKR.DOMAIN_PARAMS_INVALID):
            public(field, group | change, b"\5")
        maker = FieldKeyPairGeneration(0, field)
        with refusal(CKR.DOMAIN_PARAMS_INVALID):
            maker.generate_pair(None, group | change, {})


def test_long_primes_are_those_of_known_groups() -> None:
    """A prime of 8192 bits is checked a minute long if it is not known: it is refused at once, whatever it is."""
    group = DhParameterGeneration().generate(None, {CKA.PRIME_BITS: ulong(8192)})
    FieldKeyPairGeneration(0, DH).generate_pair(None, group, {})
    order = (int.from_bytes(group[CKA.PRIME], "big") // 2).to_bytes(1024, "big")
    FieldKeyPairGeneration(0, X9_42_DH).generate_pair(None, {**group, CKA.SUBPRIME: order}, {})
    for change in ({CKA.BASE: b"\4"}, {CKA.PRIME: group[CKA.PRIME][:-1] + b"\xfd"}):
        for field, more in ((DH, {}), (X9_42_DH, {CKA.SUBPRIME: order})):
            with refusal(CKR.DOMAIN_PARAMS_INVALID):
                FieldKeyPairGeneration(0, field).generate_pair(None, group | change | more, {})


def test_dh_prime_with_unknown_subgroups_is_refused() -> None:
    """A prime that is neither safe nor of a known group gives away the private value bit by bit (attack)."""
    made = SubgroupParameterGeneration(0, X9_42_DH).generate(None, {CKA.PRIME_BITS: ulong(1024)})
    group = {kind: made[kind] for kind in DH.parts}
    with refusal(CKR.DOMAIN_PARAMS_INVALID):
        FieldKeyPairGeneration(0, DH).generate_pair(None, group, {})
    FieldKeyPairGeneration(0, X9_42_DH).generate_pair(None, {kind: made[kind] for kind in X9_42_DH.parts}, {})


@_FIELDS
def test_private_values_out_of_range_are_refused(field: Field) -> None:
    """0, and what is not below the order."""
    group = {kind: _GROUP[kind] for kind in field.parts}
    for value in (b"", b"\0", b"\0\0", _GROUP[CKA.PRIME], _GROUP[CKA.PRIME] * 2):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            private(field, group, value)


@_FIELDS
def test_generated_keys_travel_as_pkcs8(field: Field) -> None:
    """What `encode` writes `decode` reads, with the same public key; another type or any changed byte is refused."""
    group = {kind: _GROUP[kind] for kind in field.parts}
    first, second = FieldKeyPairGeneration(0, field).generate_pair(None, group, {})
    key_type = KEY_TYPES[field.key_type]
    payload = key_type.encode(second)
    assert second == key_type.decode(payload + bytes(7), {})
    assert first[CKA.PUBLIC_KEY_INFO] == key_type.check(CKO.PUBLIC_KEY, group | first)[CKA.PUBLIC_KEY_INFO]
    assert first[CKA.PUBLIC_KEY_INFO] == key_type.check(CKO.PRIVATE_KEY, second)[CKA.PUBLIC_KEY_INFO]
    for other in (DH, X9_42_DH, DSA):
        if other is not field:
            with refusal(CKR.WRAPPED_KEY_INVALID):
                KEY_TYPES[other.key_type].decode(payload, {})
    for place in (*range(6), *range(7, 40)):  # 6 is the version, which libcrypto does not look at
        with refusal(CKR.WRAPPED_KEY_INVALID):
            key_type.decode(payload[:place] + bytes((payload[place] ^ 0x55,)) + payload[place + 1 :], {})
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        key_type.decode(payload, {CKA.PUBLIC_KEY_INFO: b"another"})


def test_dh_value_bits_limits_the_private_value() -> None:
    """CKA_VALUE_BITS is obeyed, and refused where it is nothing."""
    group = {kind: _GROUP[kind] for kind in DH.parts}
    maker = FieldKeyPairGeneration(0, DH)
    for bits in (224, 240, 300, 2047):
        made = maker.generate_pair(None, group, {CKA.VALUE_BITS: ulong(bits)})[1]
        assert bits >= int.from_bytes(made[CKA.VALUE], "big").bit_length()
        assert bits == from_ulong(made[CKA.VALUE_BITS])
    for bits in (0, 1, 159, 2048, 2**40):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            maker.generate_pair(None, group, {CKA.VALUE_BITS: ulong(bits)})


@pytest.mark.parametrize("bits", [512, 1024, 2048, 3072, 8192])
def test_dh_parameters_are_made_and_good(bits: int) -> None:
    """A safe prime of the size that is asked for, and a key pair to it."""
    made = DhParameterGeneration().generate(None, {CKA.PRIME_BITS: ulong(bits)})
    assert bits == int.from_bytes(made[CKA.PRIME], "big").bit_length()
    FieldKeyPairGeneration(0, DH).generate_pair(None, made, {})


@pytest.mark.parametrize("bits", [0, 511, 2500, 8193, 2**63])
def test_dh_parameters_of_other_sizes_are_refused(bits: int) -> None:
    """Too short, too long to be searched for, or too long at all."""
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        DhParameterGeneration().generate(None, {CKA.PRIME_BITS: ulong(bits)})


@pytest.mark.parametrize("field", [X9_42_DH, DSA], ids=["X9.42", "DSA"])
@pytest.mark.parametrize(("bits", "sub"), [(1024, 160), (2048, 224), (2048, 256)])
def test_subgroup_parameters_are_made_and_good(field: Field, bits: int, sub: int) -> None:
    """Primes of the sizes that are asked for, and a key pair to them."""
    made = SubgroupParameterGeneration(0, field).generate(
        None, {CKA.PRIME_BITS: ulong(bits), CKA.SUBPRIME_BITS: ulong(sub)}
    )
    sizes = [int.from_bytes(made[kind], "big").bit_length() for kind in (CKA.PRIME, CKA.SUBPRIME)]
    assert [bits, sub] == sizes
    FieldKeyPairGeneration(0, field).generate_pair(None, made, {})


@pytest.mark.parametrize(("bits", "sub"), [(1024, 256), (2048, 160), (512, 160), (0, 0), (4096, 256), (2048, 2**60)])
def test_subgroup_parameters_that_do_not_go_together_are_refused(bits: int, sub: int) -> None:
    """FIPS 186-4 says which do."""
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        SubgroupParameterGeneration(0, DSA).generate(
            None, {CKA.PRIME_BITS: ulong(bits), CKA.SUBPRIME_BITS: ulong(sub)}
        )


def _signatures(folder: str, file: str):
    """Yield hash, group and vector of a file of DSA signatures."""
    group: Attributes = {}
    for heading, block in blocks(f"asymmetric/DSA/{folder}/{file}"):
        name = heading[-1].replace("-", "") if len(heading) > 2 else "SHA1"
        if "P" in block:
            group = domain(DSA, block)
        if "Msg" in block:
            yield name, group, block


def _signature(group: Attributes, block: dict[str, str]) -> bytes:
    """Return r and s of a vector."""
    size = len(group[CKA.SUBPRIME])
    return b"".join(int(block[name], 16).to_bytes(size, "big") for name in "RS")


@pytest.mark.vectors(CKM.DSA, *(getattr(CKM, f"DSA_{name}") for name in HASHES))
@pytest.mark.parametrize(
    ("folder", "file"), [("FIPS_186-3", "SigVer.rsp"), ("FIPS_186-3", "SigGen.txt"), ("FIPS_186-2", "SigVer.rsp")]
)
def test_dsa_signatures_are_checked_as_nist_does(driver: Driver, folder: str, file: str) -> None:
    """Signatures of all sizes and hashes are accepted and refused as in NIST's vectors; the digest alone does too."""
    seen = 0
    for name, group, block in _signatures(folder, file):
        if len(group[CKA.PRIME]) < 128:
            continue  # FIPS 186-2's short primes are refused
        seen += 1
        good = block.get("Result", "P").startswith("P")
        message, signature = bytes.fromhex(block["Msg"]), _signature(group, block)
        try:
            key = public(DSA, group, integer(block["Y"]))
        except CryptokiError:
            assert "Y changed" in block["Result"]
            continue
        digest = hashlib.new(name.lower(), message).digest()
        for mechanism, data in (
            (getattr(CKM, f"DSA_{name}"), message), (getattr(CKM, f"DSA_{name}"), [message[:7], message[7:]]),
            (CKM.DSA, digest),
        ):  # fmt: skip
            if good:
                driver.verify(mechanism, None, key, data, signature)
            else:
                with refusal(CKR.SIGNATURE_INVALID):
                    driver.verify(mechanism, None, key, data, signature)
    assert seen > 5


@pytest.mark.vectors(*(getattr(CKM, f"DSA_{name}") for name in _SHA3))
@pytest.mark.parametrize("name", [*HASHES, *_SHA3])
def test_dsa_signs_what_it_verifies(driver: Driver, name: str) -> None:
    """A signature with each hash is one of CKM_DSA over the digest, which NIST's vectors have proved."""
    _, group, block = next(_signatures("FIPS_186-3", "SigVer.rsp"))
    mechanism = getattr(CKM, f"DSA_{name}")
    first, second = private(DSA, group, integer(block["X"])), public(DSA, group, integer(block["Y"]))
    signature = driver.sign(mechanism, None, first, b"message")
    assert 40 == len(signature)
    driver.verify(CKM.DSA, None, second, hashlib.new(name.lower(), b"message").digest(), signature)
    driver.verify(mechanism, None, second, b"message", driver.sign(mechanism, None, first, [b"mes", b"sage"]))
    assert signature != driver.sign(mechanism, None, first, b"message")


def test_dsa_refuses_what_is_no_digest_or_no_signature(driver: Driver) -> None:
    """Lengths are checked before anything is computed, r and s of 0 or beyond the order never verify."""
    _, group, block = next(_signatures("FIPS_186-3", "SigVer.rsp"))
    first, second = private(DSA, group, integer(block["X"])), public(DSA, group, integer(block["Y"]))
    for data in (b"", bytes(19), bytes(21), bytes(65)):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.sign(CKM.DSA, None, first, data)
        with refusal(CKR.DATA_LEN_RANGE):
            driver.verify(CKM.DSA, None, second, data, bytes(40))
    for signature in (b"", bytes(39), bytes(41), bytes(42)):
        with refusal(CKR.SIGNATURE_LEN_RANGE):
            driver.verify(CKM.DSA, None, second, bytes(20), signature)
    order = group[CKA.SUBPRIME]
    for signature in (bytes(40), bytes(19) + b"\1" + order, order + bytes(19) + b"\1", b"\xff" * 40):
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.DSA, None, second, bytes(20), signature)


def test_dsa_is_named_by_its_digest_length() -> None:
    """CKM_DSA takes the digests that there are."""
    assert Dsa.key_types == (CKK.DSA,)
