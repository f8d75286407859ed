"""CKM_WRAPKEY_AES_KWP: backup files of one key and of several, and what in them must not change."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from limited import Limited

from ptkc.mechanisms.portable import Reader, field, pack_attributes, unpack_attributes
from ptkc.mechanisms.wrapkey import count
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, pack_template, pack_ulongs, ulong

WRAPKEY = CKM.WRAPKEY_AES_KWP
P256 = bytes.fromhex("06082a8648ce3d030107")
VALUE = bytes(range(32))


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[Limited]:
    """Return an HSM whose user is logged in."""
    with Limited(tmp_path) as limited:
        yield limited


@pytest.fixture
def wrapper(hsm: Limited) -> int:
    """Return a wrapping key."""
    return hsm.wrapping()


def wrap(hsm: Limited, wrapper: int, *keys: int) -> bytes:
    """Return a file with these keys."""
    parameter = pack_ulongs(keys[1:]) or None
    wrapped: bytes = hsm.device.wrap_key(hsm.session, (WRAPKEY, parameter), wrapper, keys[0], 1 << 20)[0]
    return wrapped


def unwrap(hsm: Limited, wrapper: int, file: bytes, number: int | None = None, **more: bytes) -> int:
    """Return a key of a file, by its number."""
    parameter = None if number is None else ulong(number)
    return hsm.device.unwrap_key(hsm.session, (WRAPKEY, parameter), wrapper, file, hsm.template({}, more))


def code(call: Callable[..., object], *arguments: object, **options: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        call(*arguments, **options)
    return refused.value.code


def test_a_key_comes_back_with_its_attributes(hsm: Limited, wrapper: int) -> None:
    """Value, names, uses and what it hides are as they were; its history is that it came from outside."""
    key = hsm.generic(VALUE, label=b"backup", id=b"\7", token=TRUE, sign=TRUE, derive=TRUE, usage_count=ulong(3))
    again = unwrap(hsm, wrapper, wrap(hsm, wrapper, key))
    kinds = (
        CKA.CLASS, CKA.KEY_TYPE, CKA.VALUE, CKA.LABEL, CKA.ID, CKA.TOKEN, CKA.PRIVATE, CKA.SENSITIVE, CKA.EXTRACTABLE,
        CKA.SIGN, CKA.DERIVE, CKA.USAGE_COUNT, CKA.CHECK_VALUE,
    )  # fmt: skip
    assert [hsm.get(key, kind) for kind in kinds] == [hsm.get(again, kind) for kind in kinds]
    assert (FALSE, FALSE) == (hsm.get(again, CKA.LOCAL), hsm.get(again, CKA.NEVER_EXTRACTABLE))


@pytest.mark.parametrize(
    ("mechanism", "public"),
    [
        (CKM.EC_KEY_PAIR_GEN, {"ec_params": P256}),
        (CKM.RSA_PKCS_KEY_PAIR_GEN, {"modulus_bits": ulong(1024), "public_exponent": b"\1\0\1"}),
        (CKM.EC_EDWARDS_KEY_PAIR_GEN, {"ec_params": bytes.fromhex("06032b6570")}),
    ],
)
def test_key_pairs_come_back(hsm: Limited, wrapper: int, mechanism: int, public: dict[str, bytes]) -> None:
    """Both keys of a pair, in one file, with all material; a public key needs no CKA_EXTRACTABLE."""
    pair = hsm.device.generate_key_pair(
        hsm.session,
        (mechanism, None),
        hsm.template({}, {**public, "label": b"pair"}),
        ((CKA.EXTRACTABLE, TRUE), (CKA.SENSITIVE, FALSE)),
    )
    file = wrap(hsm, wrapper, *pair)
    assert 2 == count(file)
    kinds = (
        CKA.CLASS, CKA.LABEL, CKA.PUBLIC_KEY_INFO, CKA.EC_PARAMS, CKA.EC_POINT, CKA.MODULUS, CKA.MODULUS_BITS,
        CKA.VALUE, CKA.PRIVATE_EXPONENT, CKA.KEY_SIZE, CKA.VERIFY, CKA.SIGN,
    )  # fmt: skip
    for number, key in enumerate(pair):
        again = unwrap(hsm, wrapper, file, number)
        assert [hsm.get(key, kind) for kind in kinds] == [hsm.get(again, kind) for kind in kinds]


def test_a_file_has_several_keys(hsm: Limited, wrapper: int) -> None:
    """In the order of the call; without a number the first is meant, and one too many is refused."""
    keys = [hsm.generic(bytes((number,)) * 16, label=b"%d" % number) for number in range(20)]
    file = wrap(hsm, wrapper, *keys)
    assert 20 == count(file)
    assert b"0" == hsm.get(unwrap(hsm, wrapper, file), CKA.LABEL)
    for number in range(20):
        assert bytes((number,)) * 16 == hsm.get(unwrap(hsm, wrapper, file, number), CKA.VALUE)
    assert CKR.MECHANISM_PARAM_INVALID == code(unwrap, hsm, wrapper, file, 20)


def test_a_file_is_good_in_another_hsm(hsm: Limited, wrapper: int, tmp_path: Path) -> None:
    """All that it takes is the same wrapping key."""
    kek = {"label": b"kek", "key_type": ulong(CKK.AES)}
    file = wrap(hsm, hsm.generic(VALUE, **kek), hsm.generic(b"secret"))
    assert wrapper
    with Limited(tmp_path / "other") as other:
        assert b"secret" == other.get(unwrap(other, other.generic(VALUE, **kek), file), CKA.VALUE)


def test_the_layout_is_the_documented_one(hsm: Limited, wrapper: int) -> None:
    """Version, {count, {key}, {key}}, MAC, {MAC key}, {transport key}; the attributes are readable."""
    file = wrap(hsm, wrapper, hsm.generic(VALUE, label=b"first label"), hsm.generic(VALUE, label=b"second"))
    assert bytes.fromhex("8000020d") == file[:4]
    end = 8 + int.from_bytes(file[4:8], "big")
    assert 2 == int.from_bytes(file[8:12], "big")
    assert 4 + 2 * (4 + 40) == len(file) - end
    assert 40 == int.from_bytes(file[end + 4 : end + 8], "big")
    entry = b"\0\0\0\3" + b"\0\0\0\x0b" + b"\1" + b"first label"
    assert entry in file
    assert VALUE not in file


def test_no_byte_of_a_file_may_change(hsm: Limited, wrapper: int) -> None:
    """Whichever it is: CKR_WRAPPED_KEY_INVALID."""
    file = wrap(hsm, wrapper, hsm.generic(VALUE))
    for place in range(len(file)):
        changed = bytearray(file)
        changed[place] ^= 0x40
        assert CKR.WRAPPED_KEY_INVALID == code(unwrap, hsm, wrapper, bytes(changed))


def test_a_key_of_a_file_does_not_stand_for_the_one_that_authenticates_it(hsm: Limited, wrapper: int) -> None:
    """Who has a known key wrapped beside a secret one cannot put the first in the MAC key's place: it would sign."""
    known, secret = hsm.generic(VALUE), hsm.generic(bytes(32), sensitive=TRUE)
    file = wrap(hsm, wrapper, known, secret)
    payload = Reader(file[8 : 8 + int.from_bytes(file[4:8], "big")])
    _, first, second = payload.number(), Reader(payload.field()), Reader(payload.field())
    encrypted, attributes = second.field(), unpack_attributes(second.field())
    record = field(encrypted) + field(pack_attributes({**attributes, CKA.SENSITIVE: FALSE}))
    record += hmac.digest(VALUE, b"key" + record, "sha256")[:8]
    signed = file[:4] + field((1).to_bytes(4, "big") + field(record))
    transport = file[-48:]  # with its length, 40 and 4 bytes
    forged = signed + hmac.digest(VALUE, signed, "sha256")[:4] + field(first.field()) + transport[4:]
    assert CKR.WRAPPED_KEY_INVALID == code(unwrap, hsm, wrapper, forged)


def test_other_bytes_are_no_file(hsm: Limited, wrapper: int) -> None:
    """Cut short, too long, nothing: CKR_WRAPPED_KEY_INVALID; so is a file under another key."""
    file = wrap(hsm, wrapper, hsm.generic(VALUE))
    for data in (file[:-1], file + b"\0", b"", file[:12], b"\x80\0\2\x0d" + b"\xff" * 40, bytes(100)):
        assert CKR.WRAPPED_KEY_INVALID == code(unwrap, hsm, wrapper, data)
    assert CKR.WRAPPED_KEY_INVALID == code(unwrap, hsm, hsm.aes(), file)


def test_a_template_may_only_say_where_and_what_it_is_called(hsm: Limited, wrapper: int) -> None:
    """CKA_TOKEN, CKA_LABEL, CKA_ID; what contradicts the file is CKR_TEMPLATE_INCONSISTENT."""
    file = wrap(hsm, wrapper, hsm.generic(VALUE, token=TRUE))
    key = unwrap(hsm, wrapper, file, token=FALSE, label=b"new", id=b"\1", key_type=ulong(CKK.GENERIC_SECRET))
    assert [FALSE, b"new"] == [hsm.get(key, kind) for kind in (CKA.TOKEN, CKA.LABEL)]
    for change in ({"extractable": FALSE}, {"key_type": ulong(CKK.AES)}, {"class": ulong(CKO.DATA)}):
        assert CKR.TEMPLATE_INCONSISTENT == code(
            unwrap, hsm, wrapper, file, **{name.upper(): value for name, value in change.items()}
        )


def test_what_the_keys_demand_is_kept(hsm: Limited) -> None:
    """CKA_EXTRACTABLE of each key, CKA_WRAP_TEMPLATE and CKA_UNWRAP_TEMPLATE of the wrapping key, as anywhere else."""
    wanted = pack_template(((CKA.SENSITIVE, TRUE),))
    wrapper = hsm.wrapping(wrap_template=wanted, unwrap_template=wanted)
    key, open_key = hsm.generic(VALUE, sensitive=TRUE), hsm.generic(VALUE)
    assert CKR.KEY_UNEXTRACTABLE == code(wrap, hsm, wrapper, key, hsm.aes())
    assert CKR.KEY_HANDLE_INVALID == code(wrap, hsm, wrapper, key, open_key)
    assert CKR.KEY_HANDLE_INVALID == code(wrap, hsm, wrapper, key, 999)
    assert unwrap(hsm, wrapper, wrap(hsm, wrapper, key))
    plain = hsm.generic(VALUE, key_type=ulong(CKK.AES))
    bound = hsm.generic(VALUE, key_type=ulong(CKK.AES), unwrap_template=wanted)
    assert CKR.TEMPLATE_INCONSISTENT == code(unwrap, hsm, bound, wrap(hsm, plain, open_key))


@pytest.mark.parametrize("parameter", [b"", b"\0" * 7, b"\0" * 9])
def test_the_parameter_is_handles(hsm: Limited, wrapper: int, parameter: bytes) -> None:
    """Whole ones, or none: CKR_MECHANISM_PARAM_INVALID."""
    refused = code(hsm.device.wrap_key, hsm.session, (WRAPKEY, parameter), wrapper, hsm.generic(VALUE), 10000)
    assert CKR.MECHANISM_PARAM_INVALID == refused


def test_wrapping_counts_once(hsm: Limited) -> None:
    """A wrapping key with a count: the length query is no use, and several keys in one file are one."""
    wrapper = hsm.aes(usage_count=ulong(0))
    keys = [hsm.generic(VALUE), hsm.generic(VALUE)]
    hsm.device.wrap_key(hsm.session, (WRAPKEY, ulong(keys[1])), wrapper, keys[0], None)
    file = wrap(hsm, wrapper, *keys)
    assert 1 == hsm.count(wrapper)
    unwrap(hsm, wrapper, file)
    assert 2 == hsm.count(wrapper)
