"""Key derivation through the shared object, held to published vectors: NIST CAVP and ACVP, RFC 5869, RFC 6070."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from asymmetric import BY_NAME
from asymmetric import blocks as nist_blocks
from conformance import derivations as parameters
from conformance.cryptoki import Session
from conformance.parameters import Mechanism, ecdh
from module_driver import ModuleDriver
from published import vectors

from ptkc.spec.constants import CK, CKA, CKD, CKK, CKM, CKO, CKP

_FILES = Path(__file__).parent / "vectors" / "kdf"
_HASHES = {"sha1": "SHA_1", "sha-1": "SHA_1"} | {f"sha-{bits}": f"SHA{bits}" for bits in (224, 256, 384, 512)}
_NEW: dict[int, Any] = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}

Block = dict[str, str]


@pytest.fixture
def session(module_driver: ModuleDriver) -> Session:
    """Return a session in which the user is logged in."""
    return module_driver.session


def blocks(lines: list[str]) -> Iterator[tuple[dict[str, str], Block]]:
    """Yield (heading, block) of a file of NIST: in headings a lone word is its own value."""
    heading: dict[str, str] = {}
    block: Block = {}
    fresh = True
    for line in (*lines, ""):
        text = line.strip()
        if text.startswith("["):
            heading = {} if fresh else heading
            fresh = False
            name, _, value = text.strip("[]").partition("=")
            heading[name.strip().lower()] = value.strip()
        elif "=" in text and not text.startswith("#"):
            fresh = True
            name, _, value = text.partition("=")
            block[name.strip()] = value.strip()
        elif not text and block:
            yield heading, block
            block = {}


def ours(name: str) -> Iterator[tuple[dict[str, str], Block]]:
    """Yield the blocks of a file of our own extracts."""
    return blocks((_FILES / name).read_text(encoding="ascii").splitlines())


def published(path: str) -> Iterator[tuple[dict[str, str], Block]]:
    """Yield the blocks of a file of `cryptography_vectors`."""
    with cryptography_vectors.open_vector_file(path, "r") as file:
        yield from blocks(list(file))


def counted(path: str) -> Iterator[Block]:
    """Yield what stands between one COUNT and the next in a file of `cryptography_vectors`, blank lines or not."""
    joined: Block = {}
    for _, block in published(path):
        if "COUNT" in block and joined:
            yield joined
            joined = {}
        joined |= block
    yield joined


def raw(text: str) -> bytes:
    """Return the bytes of hexadecimal digits."""
    return bytes.fromhex(text)


def key(session: Session, value: bytes, kind: int = CKK.GENERIC_SECRET) -> int:
    """Return a key that derives and signs."""
    uses = {CKA.DERIVE: True, CKA.SIGN: True, CKA.VERIFY: True}
    return session.create({CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: kind, CKA.VALUE: value, **_NEW, **uses})


def take(session: Session, *handles: int) -> bytes:
    """Return the values of keys, joined, and destroy them."""
    value = b"".join(session.get(handle, CKA.VALUE) for handle in handles)
    session.destroy(*handles)
    return value


def derived(session: Session, mechanism: Mechanism, base: int, size: int | None = None, **more: Any) -> bytes:  # noqa: ANN401
    """Return the value of a generic secret of `size` bytes, or of what length the mechanism says."""
    template = _NEW | ({} if size is None else {CKA.VALUE_LEN: size})
    template |= {getattr(CKA, name): value for name, value in more.items()}
    return take(session, session.derive(mechanism, base, template))


# HKDF


@pytest.mark.vectors(CKM.HKDF_DERIVE, CKM.HKDF_DATA)
@pytest.mark.parametrize("name", ["rfc-5869-HKDF-SHA1", "rfc-5869-HKDF-SHA256"])
def test_hkdf_is_that_of_rfc_5869(session: Session, name: str) -> None:
    """Extract, expand and both give the RFC's keys, with a salt of data, of a key, or none; as data, too."""
    hash_ = CKM.SHA_1 if name.endswith("SHA1") else CKM.SHA256
    seen = 0
    for block in counted(f"KDF/{name}.txt"):
        salt, info = raw(block.get("salt", "")), raw(block.get("info", ""))
        base, pseudorandom = key(session, raw(block["IKM"]), CKK.HKDF), key(session, raw(block["PRK"]))
        size = int(block["L"])
        both = parameters.hkdf(hash_, salt=salt, info=info)
        assert raw(block["OKM"]) == derived(session, both, base, size)
        assert raw(block["PRK"]) == derived(session, parameters.hkdf(hash_, salt=salt, expand=False), base)
        expand = parameters.hkdf(hash_, extract=False, info=info)
        assert raw(block["OKM"]) == derived(session, expand, pseudorandom, size)
        data = parameters.hkdf(hash_, salt=salt, info=info, kind=CKM.HKDF_DATA)
        made = session.derive(data, base, {CKA.VALUE_LEN: size, CKA.LABEL: "data"})
        assert CKO.DATA == session.number(made, CKA.CLASS)
        assert raw(block["OKM"]) == take(session, made)
        if salt:
            salted = parameters.hkdf(hash_, salt_key=key(session, salt), info=info)
            assert raw(block["OKM"]) == derived(session, salted, base, size)
        seen += 1
    assert seen >= 3


# Elliptic curves


@pytest.mark.parametrize("bits", [160, 256, 384, 512])
@pytest.mark.parametrize("size", [1, 20, 64, 100])
def test_ecdh_with_blake2b_is_the_concatenation_of_sp_800_56a(session: Session, bits: int, size: int) -> None:
    """CKD_BLAKE2B_<bits>_KDF hashes counter, secret and shared data."""
    pair = {CKA.DERIVE: True, CKA.SENSITIVE: False}
    public, private = session.generate_pair(
        Mechanism(CKM.EC_KEY_PAIR_GEN), {CKA.EC_PARAMS: raw("06082a8648ce3d030107")}, pair
    )
    point = session.get(public, CKA.EC_POINT)[2:]
    secret = derived(session, ecdh(point), private)
    expected = b"".join(
        hashlib.blake2b(number.to_bytes(4, "big") + secret + b"shared", digest_size=bits // 8).digest()
        for number in range(1, 7)
    )[:size]
    mechanism = ecdh(point, getattr(CKD, f"BLAKE2B_{bits}_KDF"), b"shared")
    assert expected == derived(session, mechanism, private, size)


# PBKDF2


def test_pbkdf2_is_that_of_rfc_6070(session: Session) -> None:
    """Both forms of the parameter give the RFC's keys."""
    for _, block in published("KDF/rfc-6070-PBKDF2-SHA1.txt"):
        if int(block["ITERATIONS"]) > 100_000:
            continue
        password, salt = (block[name].replace("\\0", "\0").encode() for name in ("PASSWORD", "SALT"))
        for old in (False, True):
            mechanism = parameters.pbkdf2(password, salt, int(block["ITERATIONS"]), old=old)
            template = {CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE_LEN: int(block["LENGTH"]), **_NEW}
            assert raw(block["DERIVED_KEY"]) == take(session, session.generate(mechanism, template))


@pytest.mark.parametrize("name", ["SHA224", "SHA256", "SHA384", "SHA512", "SHA512_224", "SHA512_256"])
def test_pbkdf2_has_the_functions_of_the_specification(session: Session, name: str) -> None:
    """The key is that of Python's own; DES keys have odd parity, and a length that nobody needs to say."""
    mechanism = parameters.pbkdf2(b"password", b"salt", 1000, getattr(CKP, f"PKCS5_PBKD2_HMAC_{name}"))
    expected = hashlib.pbkdf2_hmac(name.lower(), b"password", b"salt", 1000, 32)
    aes = session.generate(mechanism, {CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 32, **_NEW})
    assert expected == take(session, aes)
    triple = take(session, session.generate(mechanism, {CKA.KEY_TYPE: CKK.DES3, **_NEW}))
    assert [byte >> 1 for byte in expected[:24]] == [byte >> 1 for byte in triple]
    assert all(byte.bit_count() & 1 for byte in triple)


# Hashes and ciphers

_KEY_HASHES = {
    "SHA1": "SHA1/SHA1", "SHA224": "SHA2/SHA224", "SHA256": "SHA2/SHA256", "SHA384": "SHA2/SHA384",
    "SHA512": "SHA2/SHA512", "SHA512_224": "SHA2/SHA512_224", "SHA512_256": "SHA2/SHA512_256",
    **{f"SHA3_{bits}": f"SHA3/SHA3_{bits}" for bits in (224, 256, 384, 512)},
}  # fmt: skip


@pytest.mark.vectors(*(getattr(CKM, f"{name}_KEY_DERIVATION") for name in _KEY_HASHES))
@pytest.mark.parametrize("name", _KEY_HASHES)
def test_hash_derivations_are_the_digests_of_nist(session: Session, name: str) -> None:
    """The value of the new key is the digest of the base key's, or its beginning."""
    mechanism = Mechanism(getattr(CKM, f"{name}_KEY_DERIVATION"))
    seen = 0
    for vector in vectors(f"hashes/{_KEY_HASHES[name]}ShortMsg.rsp"):
        if vector["len"] == "0" or int(vector["len"]) % 8:
            continue
        base = key(session, raw(vector["msg"]))
        assert raw(vector["md"]) == derived(session, mechanism, base)
        assert raw(vector["md"])[:16] == derived(session, mechanism, base, 16, KEY_TYPE=CKK.AES)
        session.destroy(base)
        seen += 1
    assert seen


@pytest.mark.vectors(CKM.SHAKE_128_KEY_DERIVATION, CKM.SHAKE_256_KEY_DERIVATION)
@pytest.mark.parametrize("bits", [128, 256])
def test_shake_derivations_are_the_outputs_of_nist(session: Session, bits: int) -> None:
    """32 bytes of SHAKE128, 64 of SHAKE256; NIST's outputs are their beginnings."""
    mechanism = Mechanism(getattr(CKM, f"SHAKE_{bits}_KEY_DERIVATION"))
    seen = 0
    for vector in vectors(f"hashes/SHAKE/SHAKE{bits}ShortMsg.rsp"):
        if vector["len"] == "0" or int(vector["len"]) % 8:
            continue
        base, expected = key(session, raw(vector["msg"])), raw(vector["output"])
        assert expected == derived(session, mechanism, base, len(expected))
        assert getattr(hashlib, f"shake_{bits}")(raw(vector["msg"])).digest(bits // 4) == derived(
            session, mechanism, base
        )
        session.destroy(base)
        seen += 1
    assert seen


def _cipher_vectors(path: str) -> Iterator[dict[str, str]]:
    """Yield those of encryption."""
    return (vector for vector in vectors(path) if "ciphertext" in vector and "encrypt" in vector)


def odd(value: bytes) -> bytes:
    """Return a DES key as the token takes it."""
    return bytes(byte & 0xFE | (byte & 0xFE).bit_count() & 1 ^ 1 for byte in value)


@pytest.mark.vectors(CKM.AES_ECB_ENCRYPT_DATA, CKM.AES_CBC_ENCRYPT_DATA)
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_aes_encrypts_data_to_keys_as_nist_has_it(session: Session, bits: int) -> None:
    """The ciphertext is the new key."""
    for mode in ("ECB", "CBC"):
        for vector in _cipher_vectors(f"ciphers/AES/{mode}/{mode}MMT{bits}.rsp"):
            base, data, expected = (raw(vector[name]) for name in ("key", "plaintext", "ciphertext"))
            kind = getattr(CKM, f"AES_{mode}_ENCRYPT_DATA")
            mechanism = (
                parameters.key_data(kind, data) if mode == "ECB" else parameters.cbc_data(kind, raw(vector["iv"]), data)
            )
            handle = key(session, base, CKK.AES)
            assert expected == derived(session, mechanism, handle)
            assert expected[:16] == derived(session, mechanism, handle, 16, KEY_TYPE=CKK.AES)


@pytest.mark.vectors(CKM.DES3_ECB_ENCRYPT_DATA, CKM.DES3_CBC_ENCRYPT_DATA)
def test_des3_encrypts_data_to_keys_as_nist_has_it(session: Session) -> None:
    """The ciphertext is the new key."""
    seen = 0
    for mode in ("ECB", "CBC"):
        for vector in _cipher_vectors(f"ciphers/3DES/{mode}/T{mode}MMT3.rsp"):
            base = odd(b"".join(raw(vector[f"key{number}"]) for number in (1, 2, 3)))
            data, expected = raw(vector["plaintext"]), raw(vector["ciphertext"])
            kind = getattr(CKM, f"DES3_{mode}_ENCRYPT_DATA")
            mechanism = (
                parameters.key_data(kind, data) if mode == "ECB" else parameters.cbc_data(kind, raw(vector["iv"]), data)
            )
            assert expected == derived(session, mechanism, key(session, base, CKK.DES3))
            seen += 1
    assert seen


@pytest.mark.vectors(
    CKM.CAMELLIA_ECB_ENCRYPT_DATA, CKM.CAMELLIA_CBC_ENCRYPT_DATA, CKM.ARIA_ECB_ENCRYPT_DATA,
    CKM.ARIA_CBC_ENCRYPT_DATA, CKM.SEED_ECB_ENCRYPT_DATA, CKM.SEED_CBC_ENCRYPT_DATA,
)  # fmt: skip
@pytest.mark.parametrize("name", ["CAMELLIA", "ARIA", "SEED"])
def test_other_ciphers_derive_what_they_encrypt(session: Session, name: str) -> None:
    """The new key is what CKM_<cipher>_ECB and CKM_<cipher>_CBC, which have vectors, encrypt to."""
    slot = session.info().slotID
    if getattr(CKM, f"{name}_ECB_ENCRYPT_DATA") not in session.cryptoki.items("C_GetMechanismList", slot):
        pytest.skip(f"there is no {name}")
    data, initial = bytes(range(48)), bytes(range(100, 116))
    secret = {CKA.CLASS: CKO.SECRET_KEY, CKA.VALUE: bytes(range(16)), CKA.DERIVE: True, CKA.ENCRYPT: True}
    base = session.create(secret | {CKA.KEY_TYPE: getattr(CKK, name)})
    for mode, mechanism, iv in (
        ("ECB", parameters.key_data(getattr(CKM, f"{name}_ECB_ENCRYPT_DATA"), data), None),
        ("CBC", parameters.cbc_data(getattr(CKM, f"{name}_CBC_ENCRYPT_DATA"), initial, data), initial),
    ):
        encrypted = session.encrypt(Mechanism(getattr(CKM, f"{name}_{mode}"), iv), base, data)
        assert encrypted == derived(session, mechanism, base)


# SP 800-108

_PRFS = {
    "CMAC_AES128": (CKM.AES_CMAC, CKK.AES), "CMAC_AES192": (CKM.AES_CMAC, CKK.AES),
    "CMAC_AES256": (CKM.AES_CMAC, CKK.AES), "CMAC_TDES2": (CKM.DES3_CMAC, CKK.DES2),
    "CMAC_TDES3": (CKM.DES3_CMAC, CKK.DES3), "HMAC_SHA1": (CKM.SHA_1_HMAC, CKK.GENERIC_SECRET),
    **{f"HMAC_SHA{bits}": (getattr(CKM, f"SHA{bits}_HMAC"), CKK.GENERIC_SECRET) for bits in (224, 256, 384, 512)},
}  # fmt: skip
_ITERATION, _BYTES = CK.SP800_108_ITERATION_VARIABLE, CK.SP800_108_BYTE_ARRAY


@pytest.mark.vectors(CKM.SP800_108_COUNTER_KDF)
@pytest.mark.parametrize("prf", _PRFS)
def test_counter_mode_is_that_of_nist(session: Session, prf: str) -> None:
    """Wherever the counter stands, and of every width."""
    seen = 0
    mac, kind = _PRFS[prf]
    for heading, block in published("KDF/nist-800-108-KBKDF-CTR.txt"):
        if heading["prf"] != prf or block.get("COUNT") not in ("0", "7"):
            continue
        variable = parameters.counter(_ITERATION, int(heading["rlen"].split("_")[0]))
        before = raw(block.get("DataBeforeCtrData", block.get("FixedInputData", "")))
        after = raw(block.get("DataAfterCtrData", ""))
        if heading["ctrlocation"] == "BEFORE_FIXED":
            before, after = b"", before
        fields = [(_BYTES, before), variable, (_BYTES, after)]
        mechanism, _ = parameters.kbkdf(CKM.SP800_108_COUNTER_KDF, mac, [field for field in fields if field[1] != b""])
        value = raw(block["KI"])
        base = key(session, odd(value) if "TDES" in prf else value, kind)
        expected = raw(block["KO"])
        assert expected == derived(session, mechanism, base, len(expected))
        session.destroy(base)
        seen += 1
    assert seen == 24


@pytest.mark.vectors(CKM.SP800_108_FEEDBACK_KDF, CKM.SP800_108_DOUBLE_PIPELINE_KDF)
def test_feedback_and_double_pipeline_mode_are_those_of_nist(session: Session) -> None:
    """With the counter before and behind the fixed input, and before the iteration variable; with and without IV."""
    for heading, block in ours("sp800_108.txt"):
        feedback = heading["mode"] == "feedback"
        kind = CKM.SP800_108_FEEDBACK_KDF if feedback else CKM.SP800_108_DOUBLE_PIPELINE_KDF
        variable, fixed = (_ITERATION, None), (_BYTES, raw(block["FIXED"]))
        number = parameters.counter(CK.SP800_108_COUNTER, int(heading["rlen"]))
        fields = {
            "before fixed data": [variable, number, fixed],
            "after fixed data": [variable, fixed, number],
            "before iterator": [number, variable, fixed],
        }[block["LOCATION"]]
        prf = getattr(CKM, f"{heading['prf']}_HMAC")
        mechanism, _ = parameters.kbkdf(kind, prf, fields, raw(block["IV"]))
        expected = raw(block["KO"])
        assert expected == derived(session, mechanism, key(session, raw(block["KI"])), len(expected))


# TLS


def tls_blocks(*, old: bool) -> Iterator[Block]:
    """Yield the blocks of NIST for TLS 1.0 and 1.1, or for 1.2."""
    return (block for heading, block in ours("tls.txt") if ("tls 1.0/1.1" in heading) is old)


def randoms(block: Block, hello: str = "") -> tuple[bytes, bytes]:
    """Return the random bytes of client and server."""
    return raw(block[f"client{hello}_random"]), raw(block[f"server{hello}_random"])


@pytest.mark.vectors(CKM.TLS12_MASTER_KEY_DERIVE, CKM.TLS12_MASTER_KEY_DERIVE_DH)
def test_master_keys_are_those_of_nist(session: Session) -> None:
    """With the version of the base key, and for Diffie-Hellman without."""
    for block in tls_blocks(old=False):
        base = key(session, raw(block["pre_master_secret"]))
        for kind, versioned in ((CKM.TLS12_MASTER_KEY_DERIVE, True), (CKM.TLS12_MASTER_KEY_DERIVE_DH, False)):
            mechanism, version = parameters.tls_master(kind, CKM.SHA256, *randoms(block, "Hello"), versioned=versioned)
            assert raw(block["master_secret"]) == derived(session, mechanism, base)
            if versioned:
                assert raw(block["pre_master_secret"])[:2] == bytes((version.major, version.minor))


@pytest.mark.vectors(CKM.TLS12_EXTENDED_MASTER_KEY_DERIVE, CKM.TLS12_EXTENDED_MASTER_KEY_DERIVE_DH)
def test_extended_master_keys_are_those_of_nist(session: Session) -> None:
    """RFC 7627, with the version of the base key, and for Diffie-Hellman without."""
    for heading, block in ours("tls_extended.txt"):
        base = key(session, raw(block["PREMASTER"]))
        prf = getattr(CKM, heading["hash"])
        for kind, versioned in (
            (CKM.TLS12_EXTENDED_MASTER_KEY_DERIVE, True), (CKM.TLS12_EXTENDED_MASTER_KEY_DERIVE_DH, False),
        ):  # fmt: skip
            mechanism, version = parameters.tls_extended_master(kind, prf, raw(block["SESSION"]), versioned=versioned)
            assert raw(block["MASTER"]) == derived(session, mechanism, base)
            if versioned:
                assert raw(block["PREMASTER"])[:2] == bytes((version.major, version.minor))


@pytest.mark.vectors(CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.TLS12_KEY_SAFE_DERIVE)
def test_key_material_is_that_of_nist(session: Session) -> None:
    """MAC keys, keys and IVs are the key block, in this order; without IVs its beginning."""
    cases = [
        (CKM.SHA256, raw(block["master_secret"]), randoms(block), raw(block["key_block"]), (256, 128, 128))
        for block in tls_blocks(old=False)
    ]
    cases += [
        (
            getattr(CKM, heading["hash"]), raw(block["MASTER"]), (raw(block["CLIENT"]), raw(block["SERVER"])),
            raw(block["KEYBLOCK"]), (0, 128, 128),
        )
        for heading, block in ours("tls_extended.txt")
    ]  # fmt: skip
    for prf, master, random, block, bits in cases:
        base = key(session, master)
        made = parameters.KeyMaterial(CKM.TLS12_KEY_AND_MAC_DERIVE, prf, *random, bits)
        assert session.derive(made.mechanism, base, _NEW | {CKA.KEY_TYPE: CKK.AES}) == 0
        keys = [handle for handle in made.handles() if handle]
        assert block[: 2 * sum(bits) // 8] == take(session, *keys) + made.ivs()
        safe = parameters.KeyMaterial(CKM.TLS12_KEY_SAFE_DERIVE, prf, *random, bits)
        session.derive(safe.mechanism, base, _NEW | {CKA.KEY_TYPE: CKK.AES})
        assert block[: 2 * sum(bits[:2]) // 8] == take(session, *(handle for handle in safe.handles() if handle))
        assert not any(safe.ivs())


@pytest.mark.vectors(CKM.TLS_KDF, CKM.TLS12_KDF)
def test_exported_keys_are_those_of_nist_under_its_label(session: Session) -> None:
    """The key block is what the function gives for "key expansion" and the random bytes in their order."""
    for old in (False, True):
        for block in tls_blocks(old=old):
            base, (client, server) = key(session, raw(block["master_secret"])), randoms(block)
            expected = raw(block["key_block"])
            for kind in (CKM.TLS_KDF, CKM.TLS12_KDF):
                prf = CKM.TLS_PRF if old else CKM.SHA256
                mechanism = parameters.tls_kdf(prf, b"key expansion", server, client, kind=kind)
                assert expected == derived(session, mechanism, base, len(expected))


def test_a_context_has_its_length_before_it(session: Session) -> None:
    """RFC 5705: two bytes."""
    base = key(session, bytes(48))
    plain = parameters.tls_kdf(CKM.SHA384, b"EXPORTER", b"client", b"server" + b"\0\7context")
    contextual = parameters.tls_kdf(CKM.SHA384, b"EXPORTER", b"client", b"server", b"context")
    assert derived(session, plain, base, 40) == derived(session, contextual, base, 40)


@pytest.mark.vectors(CKM.TLS_MAC, CKM.TLS12_MAC)
@pytest.mark.parametrize("side", [1, 2])
def test_finished_is_the_function_that_nist_tests(session: Session, side: int) -> None:
    """The verify_data is what CKM_TLS_KDF, which has vectors, gives for label and handshake; in parts, too."""
    label = b"server finished" if side == 1 else b"client finished"
    for prf, size in ((CKM.SHA256, 12), (CKM.SHA384, 32), (CKM.TLS_PRF, 12)):
        base = key(session, bytes(range(48)))
        expected = derived(session, parameters.tls_kdf(prf, label, b"hand", b"shake"), base, size)
        for kind in (CKM.TLS_MAC, CKM.TLS12_MAC):
            mechanism = parameters.tls_mac(prf, size, side, kind)
            assert expected == session.sign(mechanism, base, b"handshake")
            assert expected == session.sign_parts(mechanism, base, [b"hand", b"", b"shake"])
            session.verify(mechanism, base, b"handshake", expected)


# IKE


@pytest.mark.vectors(CKM.IKE_PRF_DERIVE, CKM.IKE1_PRF_DERIVE)
@pytest.mark.parametrize("file", ["ikev1_psk.txt", "ikev1_dsa.txt"])
def test_keys_of_ike_1_are_those_of_nist(session: Session, file: str) -> None:
    """SKEYID of a pre-shared key or of g^xy, then SKEYID_d, _a and _e, each of the one before."""
    for heading, block in ours(file):
        name = next(word for word in heading if word.startswith("sha-"))
        prf = getattr(CKM, f"{_HASHES[name]}_HMAC")
        nonces = raw(block["Ni"]), raw(block["Nr"])
        gxy = key(session, raw(block["g^xy"]))
        shared = block.get("pre-shared-key")
        first = key(session, raw(shared)) if shared else gxy
        mechanism = parameters.ike(prf, *nonces, data_as_key=shared is None)
        assert raw(block["SKEYID"]) == derived(session, mechanism, first)
        base, previous = key(session, raw(block["SKEYID"])), None
        cookies = raw(block["CKY_I"]), raw(block["CKY_R"])
        for number, letter in enumerate("dae"):
            expected = raw(block[f"SKEYID_{letter}"])
            mechanism = parameters.ike1(prf, gxy, previous, cookies, number)
            assert expected == derived(session, mechanism, base, KEY_TYPE=CKK.GENERIC_SECRET)
            assert expected[:16] == derived(session, mechanism, base, 16, KEY_TYPE=CKK.AES)
            previous = key(session, expected)


@pytest.mark.vectors(CKM.IKE_PRF_DERIVE, CKM.IKE2_PRF_PLUS_DERIVE)
def test_keys_of_ike_2_are_those_of_nist(session: Session) -> None:
    """SKEYSEED, the keys of it, those of a child with and without g^ir, and SKEYSEED of a new exchange."""
    for heading, block in ours("ikev2.txt"):
        name = next(word for word in heading if word.startswith("sha-"))
        prf = getattr(CKM, f"{_HASHES[name]}_HMAC")
        nonces = raw(block["Ni"]), raw(block["Nr"])
        seed = b"".join(nonces)
        gir, new = key(session, raw(block["g^ir"])), key(session, raw(block["g^ir (new)"]))
        mechanism = parameters.ike(prf, *nonces, data_as_key=True)
        assert raw(block["SKEYSEED"]) == derived(session, mechanism, gir)
        base, expected = key(session, raw(block["SKEYSEED"])), raw(block["DKM"])
        full = parameters.ike2_plus(prf, seed + raw(block["SPIi"]) + raw(block["SPIr"]))
        assert expected == derived(session, full, base, len(expected))
        child = key(session, expected[: len(raw(block["SKEYSEED"]))])
        expected = raw(block["DKM(Child SA)"])
        assert expected == derived(session, parameters.ike2_plus(prf, seed), child, len(expected))
        agreed = parameters.ike2_plus(prf, seed, new)
        assert raw(block["DKM(Child SA D-H)"]) == derived(session, agreed, child, len(expected))
        assert raw(block["SKEYSEED(Rekey)"]) == derived(session, parameters.ike(prf, *nonces, new=new), child)


@pytest.mark.vectors(CKM.IKE1_EXTENDED_DERIVE)
def test_longer_keys_of_ike_1_are_those_of_rfc_2409(session: Session) -> None:
    """Appendix B, as Network Security Services has it; with g^xy and data what section 5.5 says."""
    value = raw("63e81194946ebd05df7df5ebf5d8750056bf1f1d")
    base, gxy = key(session, value), key(session, b"agreed")
    expected = raw("933347a07de5782247dd36d1562ffe0eecade1eb4134165257e3af1000af8ae3f165063828cbb60d")
    assert expected == derived(session, parameters.ike1_extended(CKM.SHA_1_HMAC), base, 40)
    assert value[:15] == derived(session, parameters.ike1_extended(CKM.SHA_1_HMAC), base, 15)
    output, made = b"", b""
    for _ in range(3):
        output = hmac.digest(value, output + b"agreed" + b"more", "sha1")
        made += output
    for size in (10, 20, 60):
        mechanism = parameters.ike1_extended(CKM.SHA_1_HMAC, gxy, b"more")
        assert made[:size] == derived(session, mechanism, base, size)


@pytest.mark.parametrize(
    ("nonces", "expected"),
    [
        ("000102030405060708090a0b0c0d0e0f", "47f51b4564966215b8985c63055ed308"),
        ("00010203040506070809", "0fa087af7d866e7653434e602fdde835"),
        ("000102030405060708090a0b0c0d0e0fedcb", "8cd3c93ae598a9803006ffb67c40e9e4"),
    ],
)
def test_xcbc_takes_keys_of_any_length_as_rfc_4434_has_it(session: Session, nonces: str, expected: str) -> None:
    """The RFC's tests, in which 20 bytes are the message; as nonces, and as a base key of any type."""
    value, message = raw(nonces), bytes(range(20))
    mechanism = parameters.ike(CKM.AES_XCBC_MAC, value[:8], value[8:], data_as_key=True)
    assert raw(expected) == derived(session, mechanism, key(session, message))
    mechanism = parameters.ike(CKM.AES_XCBC_MAC, message[:10], message[10:])
    assert raw(expected) == derived(session, mechanism, key(session, value))


@pytest.mark.parametrize("size", [16, 5, 40])
def test_cmac_takes_nonces_as_a_key_as_rfc_4615_has_it(session: Session, size: int) -> None:
    """Nonces that are no AES key become one by the function under a key of zeros."""
    nonces = bytes(range(size))
    mechanism = parameters.ike(CKM.AES_CMAC, nonces[:3], nonces[3:], data_as_key=True)
    base = key(session, b"agreed")
    cmac = Mechanism(CKM.AES_CMAC)
    inner = nonces if size == 16 else session.sign(cmac, key(session, bytes(16), CKK.AES), nonces)
    expected = session.sign(cmac, key(session, inner, CKK.AES), b"agreed")
    made = session.derive(mechanism, base, _NEW)
    assert CKK.AES == session.number(made, CKA.KEY_TYPE)
    assert expected == take(session, made)


# Public keys of private ones

_NIST_CURVES = {"EA": "P-192", "EB": "P-224", "EC": "P-256", "ED": "P-384", "EE": "P-521"}


@pytest.mark.vectors(CKM.PUB_KEY_FROM_PRIV_KEY)
@pytest.mark.parametrize("curve", _NIST_CURVES)
def test_public_points_are_those_of_nist(session: Session, curve: str) -> None:
    """The public point of a private key that NIST gives."""
    named = BY_NAME[_NIST_CURVES[curve]]
    seen = 0
    for heading, block in nist_blocks("asymmetric/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_init.fax"):
        if heading[0] != curve or not block.get("Result", "").startswith("P"):
            continue
        d, *point = (int(block[name], 16).to_bytes(named.size, "big") for name in ("dsIUT", "QsIUTx", "QsIUTy"))
        private = {
            CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: named.params[0], CKA.VALUE: d,
        }  # fmt: skip
        new = session.derive(Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY), session.create(private), {})
        expected = named.ec_point(b"\4" + b"".join(point))
        assert expected == session.get(new, CKA.EC_POINT)
        seen += 1
    assert seen


@pytest.mark.vectors(CKM.PUB_KEY_FROM_PRIV_KEY)
def test_public_key_of_rfc_8032(session: Session) -> None:
    """Ed25519, the first test of 7.1."""
    private = {
        CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC_EDWARDS, CKA.EC_PARAMS: BY_NAME["edwards25519"].params[0],
        CKA.VALUE: raw("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    }  # fmt: skip
    new = session.derive(Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY), session.create(private), {})
    expected = raw("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert expected == session.get(new, CKA.EC_POINT)[-32:]
