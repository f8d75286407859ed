"""Which keys are wrapping keys, what they may become, what they demand, and which are strong enough."""

from __future__ import annotations

import pytest

from ptkc.objects.separation import (
    check_change,
    check_parts,
    check_strength,
    demanded,
    is_guarded,
    is_wrapping_key,
    opens,
    separated,
)
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, Attributes, pack_ulongs, ulong

_SECRET, _PRIVATE = ulong(CKO.SECRET_KEY), ulong(CKO.PRIVATE_KEY)
_OPENING = {
    _SECRET: (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.DERIVE),
    _PRIVATE: (CKA.DECRYPT, CKA.SIGN, CKA.SIGN_RECOVER, CKA.DERIVE, CKA.DECAPSULATE),
}


def _key(*uses: int, of_class: bytes = _SECRET, **more: bytes) -> Attributes:
    """Return a sensitive and private key with these uses."""
    named = {getattr(CKA, name): value for name, value in more.items()}
    flags = dict.fromkeys(uses, TRUE)
    return {CKA.CLASS: of_class, CKA.SENSITIVE: TRUE, CKA.PRIVATE: TRUE, **flags, **named}


@pytest.mark.parametrize("of_class", [_SECRET, _PRIVATE])
def test_a_wrapping_key_has_no_other_use(of_class: bytes) -> None:
    """Each use that could open what it wrapped ends that, and so does being readable; one of the two uses is enough."""
    for use in (CKA.WRAP, CKA.UNWRAP):
        assert is_wrapping_key(_key(use, of_class=of_class))
        assert not is_wrapping_key(_key(use, of_class=of_class, SENSITIVE=FALSE))
        for other in _OPENING[of_class]:
            assert opens(_key(use, other, of_class=of_class))
            assert not is_wrapping_key(_key(use, other, of_class=of_class))
    assert not is_wrapping_key(_key(of_class=of_class))


def test_an_export_key_is_one_by_the_officers_word() -> None:
    """CKA_EXPORT says so without CKA_WRAP."""
    assert is_wrapping_key(_key(EXPORT=TRUE))


def test_what_unwraps_a_compound_unwraps_none_of_its_parts() -> None:
    """Whose CKA_ALLOWED_MECHANISMS is empty, or has one of them beside the whole, is refused; other mechanisms go."""
    whole, part = CKM.RSA_AES_KEY_WRAP, CKM.RSA_PKCS_OAEP
    bad, good = ((), (part,), (whole, part)), ((whole,), (whole, CKM.RSA_PKCS_PSS))
    for numbers in (*bad, *good):
        key = _key(CKA.UNWRAP, of_class=_PRIVATE, ALLOWED_MECHANISMS=pack_ulongs(numbers))
        check_parts(key, part)
        if numbers in good:
            check_parts(key, whole)
            continue
        with pytest.raises(CryptokiError) as refused:
            check_parts(key, whole)
        assert CKR.KEY_NOT_WRAPPABLE == refused.value.code


def test_guarded_is_sensitive_and_private() -> None:
    """Neither alone."""
    assert [True, False, False] == [is_guarded(key) for key in (_key(), _key(PRIVATE=FALSE), _key(SENSITIVE=FALSE))]


def test_what_wraps_is_settled_at_the_beginning() -> None:
    """Every change that makes one, or ends it, is refused on a sensitive key; others, and readable keys, are free."""
    kinds = [_key(CKA.WRAP), _key(CKA.WRAP, CKA.DECRYPT), _key(CKA.DECRYPT), _key()]
    for before in kinds:
        for after in kinds:
            if is_wrapping_key(before) == is_wrapping_key(after):
                check_change(before, after)
                continue
            with pytest.raises(CryptokiError) as refused:
                check_change(before, after)
            assert CKR.TEMPLATE_INCONSISTENT == refused.value.code
            check_change({**before, CKA.SENSITIVE: FALSE}, after)


def test_defaults_of_who_asks_for_wrapping_alone() -> None:
    """The other uses are false; who names one of them, or a readable key, has the defaults of any key."""
    wanted = dict.fromkeys(_OPENING[_SECRET], FALSE)
    assert wanted == separated({CKA.CLASS: _SECRET, CKA.WRAP: TRUE})
    assert wanted == separated({CKA.CLASS: _SECRET, CKA.UNWRAP: TRUE, CKA.DECRYPT: FALSE})
    for given in (
        {CKA.WRAP: TRUE, CKA.SIGN: TRUE}, {CKA.WRAP: TRUE, CKA.SENSITIVE: FALSE}, {CKA.WRAP: FALSE}, {},
        {CKA.CLASS: ulong(CKO.PUBLIC_KEY), CKA.WRAP: TRUE},
    ):  # fmt: skip
        assert {} == separated({CKA.CLASS: _SECRET, **given})


def test_what_is_demanded_of_unwrapped_keys() -> None:
    """Guarded by wrapping keys; by trusted ones in every mode, and for trusted keys alone."""
    guarded = {CKA.SENSITIVE: TRUE, CKA.PRIVATE: TRUE}
    assert guarded == demanded(_key(CKA.UNWRAP), pure=False)
    assert {} == demanded(_key(CKA.UNWRAP), pure=True) == demanded(_key(CKA.UNWRAP, CKA.DECRYPT), pure=False)
    for pure in (False, True):
        trusted = demanded(_key(CKA.UNWRAP, CKA.DECRYPT, CKA.TRUSTED), pure=pure)
        assert {**guarded, CKA.WRAP_WITH_TRUSTED: TRUE} == trusted


@pytest.mark.parametrize(
    ("wrapper", "target", "enough"),
    [
        ((CKK.AES, 16), (CKK.AES, 16), True),
        ((CKK.AES, 16), (CKK.AES, 24), False),
        ((CKK.DES3, 24), (CKK.AES, 16), False),
        ((CKK.AES, 16), (CKK.DES3, 24), True),
        ((CKK.AES_XTS, 32), (CKK.AES, 24), False),
        ((CKK.AES, 16), (CKK.GENERIC_SECRET, 64), True),
        ((CKK.CHACHA20, 32), (CKK.AES_XTS, 64), True),
    ],
)
def test_strength_is_that_of_the_cipher(wrapper: tuple[int, int], target: tuple[int, int], *, enough: bool) -> None:
    """Bytes are no strength of keys without a cipher, triple DES has 112 bits, XTS half of its bytes."""
    one, two = (
        {CKA.CLASS: _SECRET, CKA.KEY_TYPE: ulong(kind), CKA.VALUE: bytes(size)} for kind, size in (wrapper, target)
    )
    if enough:
        check_strength(one, two)
        return
    with pytest.raises(CryptokiError) as refused:
        check_strength(one, two)
    assert CKR.WRAPPING_KEY_SIZE_RANGE == refused.value.code
