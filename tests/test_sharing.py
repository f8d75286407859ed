"""Shared secrets: any n shares make the key again with its attributes, fewer or wrong ones make nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limited import Limited

from ptkc.mechanisms.portable import field
from ptkc.mechanisms.secret_sharing import join, split
from ptkc.spec.constants import CKA, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Share
from ptkc.spec.values import FALSE, TRUE, ulong

SHARE, RECOVER = CKM.SECRET_SHARE_WITH_ATTRIBUTES, CKM.SECRET_RECOVER_WITH_ATTRIBUTES
VALUE = bytes(range(32))


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[Limited]:
    """Return an HSM whose user is logged in."""
    with Limited(tmp_path) as limited:
        yield limited


def shares_of(hsm: Limited, key: int, n: int, m: int) -> list[bytes]:
    """Return the shares of a key, each with its length before it."""
    joined, _ = hsm.device.wrap_key(hsm.session, (SHARE, Share(n, m)), 0, key, 100000)
    found = []
    while joined:
        end = 4 + int.from_bytes(joined[:4], "big")
        found.append(joined[:end])
        joined = joined[end:]
    return found


def recover(hsm: Limited, *shares: bytes, **more: bytes) -> int:
    """Return the key of shares."""
    template = hsm.template({}, more)
    return hsm.device.unwrap_key(hsm.session, (RECOVER, None), 0, b"".join(shares), template)


def code(call: Callable[..., object], *arguments: object, **options: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        call(*arguments, **options)
    return refused.value.code


# The scheme


@given(st.binary(min_size=1, max_size=40), st.data())
def test_any_n_shares_make_the_secret(secret: bytes, data: st.DataObject) -> None:
    """Whichever they are, in whichever order, and more of them too."""
    most = data.draw(st.integers(2, 64))
    threshold = data.draw(st.integers(2, most))
    shares = dict(enumerate(split(secret, threshold, most), 1))
    chosen = data.draw(st.lists(st.sampled_from(sorted(shares)), min_size=threshold, max_size=most, unique=True))
    assert secret == join({index: shares[index] for index in chosen})


def test_the_polynomials_are_over_the_field_of_aes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the coefficient 0x57 the share at 0x13 is the secret and 0x57 times 0x13, which FIPS 197 says is 0xFE."""
    monkeypatch.setattr("ptkc.mechanisms.secret_sharing.random_bytes", lambda size: b"\x57" * size)
    assert bytes((0xFE ^ 0x2A,)) == split(b"\x2a", 2, 0x13)[-1]


def test_one_share_less_says_nothing() -> None:
    """For every byte that the secret could be there is a third share that makes it that: two of three fit them all."""
    shares = split(b"\x42", 3, 3)
    made = {join({1: shares[0], 2: shares[1], 3: bytes((third,))}) for third in range(256)}
    assert 256 == len(made)


# Keys


def test_every_choice_of_shares_makes_the_key(hsm: Limited) -> None:
    """Three of five, in any choice and order, and all five."""
    shares = shares_of(hsm, hsm.generic(VALUE), 3, 5)
    assert 5 == len(shares) == len(set(shares))
    for chosen in (*combinations(shares, 3), *combinations(reversed(shares), 4), shares):
        assert VALUE == hsm.get(recover(hsm, *chosen), CKA.VALUE)


def test_the_key_has_its_attributes_again(hsm: Limited) -> None:
    """What it may do, what it is called, whether it is hidden; that it was made elsewhere is said, too."""
    key = hsm.generic(
        VALUE, label=b"split", id=b"\7", token=TRUE, sensitive=TRUE, encrypt=FALSE, sign=TRUE, usage_count=ulong(3),
        start_date=b"20260101", allowed_mechanisms=ulong(CKM.SHA256_HMAC), deletable=TRUE,
    )  # fmt: skip
    again = recover(hsm, *shares_of(hsm, key, 2, 3))
    kinds = (
        CKA.CLASS, CKA.KEY_TYPE, CKA.LABEL, CKA.ID, CKA.TOKEN, CKA.PRIVATE, CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.ENCRYPT,
        CKA.SIGN, CKA.USAGE_COUNT, CKA.START_DATE, CKA.ALLOWED_MECHANISMS, CKA.DELETABLE, CKA.VALUE_LEN,
        CKA.CHECK_VALUE,
    )  # fmt: skip
    assert [hsm.get(key, kind) for kind in kinds] == [hsm.get(again, kind) for kind in kinds]
    assert (FALSE, FALSE) == (hsm.get(again, CKA.LOCAL), hsm.get(again, CKA.ALWAYS_SENSITIVE))
    assert hsm.get(key, CKA.UNIQUE_ID) != hsm.get(again, CKA.UNIQUE_ID)


def test_a_template_says_where_the_key_goes_and_nothing_else(hsm: Limited) -> None:
    """CKA_TOKEN, CKA_LABEL and CKA_ID are the template's; for the rest it must agree: CKR_TEMPLATE_INCONSISTENT."""
    shares = shares_of(hsm, hsm.generic(VALUE, label=b"old", sensitive=TRUE), 2, 2)
    key = recover(hsm, *shares, label=b"new", id=b"\1", token=TRUE, sensitive=TRUE)
    assert [b"new", b"\1", TRUE] == [hsm.get(key, kind) for kind in (CKA.LABEL, CKA.ID, CKA.TOKEN)]
    for change in ({"sensitive": FALSE}, {"private": FALSE}, {"decrypt": FALSE}):
        assert CKR.TEMPLATE_INCONSISTENT == code(recover, hsm, *shares, **change)


def test_a_private_key_is_shared_too(hsm: Limited) -> None:
    """An EC key signs again after it was split."""
    device = hsm.device
    public, private = device.generate_key_pair(
        hsm.session, (CKM.EC_KEY_PAIR_GEN, None), ((CKA.EC_PARAMS, bytes.fromhex("06082a8648ce3d030107")),),
        ((CKA.EXTRACTABLE, TRUE),),
    )  # fmt: skip
    again = recover(hsm, *shares_of(hsm, private, 2, 2))
    device.sign_init(hsm.session, (CKM.ECDSA, None), again)
    signature = device.sign(hsm.session, bytes(32), 64)
    device.verify_init(hsm.session, (CKM.ECDSA, None), public)
    device.verify(hsm.session, bytes(32), signature)


# What is refused


@pytest.mark.parametrize(("n", "m"), [(0, 0), (1, 1), (1, 2), (3, 2), (2, 65), (65, 65), (2, 2**63), (2**64 - 1, 64)])
def test_numbers_that_make_no_secret_are_refused(hsm: Limited, n: int, m: int) -> None:
    """CKR_MECHANISM_PARAM_INVALID unless 2 <= n <= m <= 64."""
    assert CKR.MECHANISM_PARAM_INVALID == code(shares_of, hsm, hsm.generic(VALUE), n, m)


def test_too_few_shares_make_nothing(hsm: Limited) -> None:
    """CKR_WRAPPED_KEY_INVALID, for the same share twice as well; without any, as for an empty wrapped key."""
    shares = shares_of(hsm, hsm.generic(VALUE), 3, 5)
    for chosen in (shares[:2], shares[:1], [shares[0], shares[1], shares[0]], []):
        assert CKR.WRAPPED_KEY_INVALID == code(recover, hsm, *chosen)


def test_shares_of_two_keys_make_nothing(hsm: Limited) -> None:
    """Not of the same key split twice, either."""
    key = hsm.generic(VALUE)
    first, second = shares_of(hsm, key, 2, 3), shares_of(hsm, key, 2, 3)
    assert CKR.WRAPPED_KEY_INVALID == code(recover, hsm, first[0], second[1])
    assert CKR.WRAPPED_KEY_INVALID == code(recover, hsm, *first, second[0])


def test_no_byte_of_a_share_may_change(hsm: Limited) -> None:
    """Whichever byte of one of them is another one: CKR_WRAPPED_KEY_INVALID."""
    shares = shares_of(hsm, hsm.generic(VALUE), 2, 3)
    for place in range(len(shares[1])):
        changed = bytearray(shares[1])
        changed[place] ^= 0x20
        assert CKR.WRAPPED_KEY_INVALID == code(recover, hsm, shares[0], bytes(changed))


@pytest.mark.parametrize("data", [b"\0", b"\0\0\0\0", field(b"\1\1\2"), field(b"\1\1\2" + bytes(16)), bytes(1000)])
def test_other_bytes_are_no_shares(hsm: Limited, data: bytes) -> None:
    """CKR_WRAPPED_KEY_INVALID."""
    assert CKR.WRAPPED_KEY_INVALID == code(recover, hsm, data)


def test_a_key_that_may_not_leave_is_not_shared(hsm: Limited) -> None:
    """CKR_KEY_UNEXTRACTABLE; what needs a trusted wrapping key is CKR_KEY_NOT_WRAPPABLE, as there is none."""
    assert CKR.KEY_UNEXTRACTABLE == code(shares_of, hsm, hsm.aes(), 2, 3)
    guarded = hsm.aes(extractable=TRUE, wrap_with_trusted=TRUE)
    assert CKR.KEY_NOT_WRAPPABLE == code(shares_of, hsm, guarded, 2, 3)
    assert CKR.KEY_HANDLE_INVALID == code(shares_of, hsm, 999, 2, 3)


def test_there_is_no_wrapping_key(hsm: Limited) -> None:
    """The handle of one must be 0: CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_HANDLE_INVALID."""
    device, session, key = hsm.device, hsm.session, hsm.aes(extractable=TRUE)
    wrapped = code(device.wrap_key, session, (SHARE, Share(2, 2)), key, key, 1000)
    unwrapped = code(device.unwrap_key, session, (RECOVER, None), key, b"", ())
    assert (CKR.WRAPPING_KEY_HANDLE_INVALID, CKR.UNWRAPPING_KEY_HANDLE_INVALID) == (wrapped, unwrapped)
    assert CKR.MECHANISM_INVALID == code(device.wrap_key, session, (RECOVER, None), 0, key, 1000)
    assert CKR.WRAPPING_KEY_HANDLE_INVALID == code(device.wrap_key, session, (CKM.AES_KEY_WRAP, None), 0, key, 1000)
