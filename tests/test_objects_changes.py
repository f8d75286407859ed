"""Objects that are there: what may change in them and in their copies, what they reveal, what finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ptkc.objects import template as templates
from ptkc.spec.constants import CKA, CKC, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, pack_ulongs, ulong

if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.spec.values import Attributes

CHECK_VALUE = b"\x66\xe9\x4b"


def code(make: Callable[..., object], *arguments: object, **options: object) -> int:
    """Return the CK_RV with which a call is refused."""
    with pytest.raises(CryptokiError) as refused:
        make(*arguments, **options)
    return refused.value.code


def key(*more: tuple[int, bytes], so: bool = False) -> Attributes:
    """Return an AES key that was created."""
    template = (
        (CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(CKK.AES)), (CKA.VALUE, b"sixteen bytes ok"), *more,
    )  # fmt: skip
    attributes = templates.create(template, so=so)
    return templates.complete(templates.CREATE, attributes, {CKA.VALUE_LEN: ulong(16), CKA.CHECK_VALUE: CHECK_VALUE})


def private_key(*more: tuple[int, bytes]) -> Attributes:
    """Return an RSA private key without its primes."""
    template = (
        (CKA.CLASS, ulong(CKO.PRIVATE_KEY)), (CKA.KEY_TYPE, ulong(CKK.RSA)),
        (CKA.MODULUS, b"n"), (CKA.PUBLIC_EXPONENT, b"e"), (CKA.PRIVATE_EXPONENT, b"d"), *more,
    )  # fmt: skip
    return templates.complete(templates.CREATE, templates.create(template), {CKA.PUBLIC_KEY_INFO: b"info"})


def certificate(*more: tuple[int, bytes], so: bool = False) -> Attributes:
    """Return a certificate."""
    template = (
        (CKA.CLASS, ulong(CKO.CERTIFICATE)), (CKA.CERTIFICATE_TYPE, ulong(CKC.X_509)),
        (CKA.SUBJECT, b"s"), (CKA.VALUE, b"v"), *more,
    )  # fmt: skip
    return templates.create(template, so=so)


def data(*more: tuple[int, bytes]) -> Attributes:
    """Return a data object."""
    return templates.create(((CKA.CLASS, ulong(CKO.DATA)), *more))


# C_SetAttributeValue


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (CKA.LABEL, b"new"), (CKA.ID, b"\x07"), (CKA.START_DATE, b"20260101"), (CKA.END_DATE, b"20270101"),
        (CKA.ENCRYPT, FALSE), (CKA.DERIVE, TRUE), (CKA.WRAP_WITH_TRUSTED, TRUE),
    ],
)  # fmt: skip
def test_footnote_8_what_may_be_modified(attribute: int, value: bytes) -> None:
    """The new attributes have the value; the old ones are as they were."""
    old = key()
    before = dict(old)
    changed = templates.modify(old, ((attribute, value),))
    assert {**before, attribute: value} == changed
    assert before == old


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (CKA.CLASS, ulong(CKO.DATA)), (CKA.KEY_TYPE, ulong(CKK.GENERIC_SECRET)), (CKA.VALUE, bytes(16)),
        (CKA.TOKEN, TRUE), (CKA.PRIVATE, FALSE), (CKA.MODIFIABLE, FALSE), (CKA.COPYABLE, FALSE),
        (CKA.DESTROYABLE, FALSE), (CKA.LOCAL, TRUE), (CKA.UNIQUE_ID, b"mine"), (CKA.VALUE_LEN, ulong(1)),
        (CKA.ALWAYS_SENSITIVE, TRUE), (CKA.NEVER_EXTRACTABLE, TRUE), (CKA.KEY_GEN_MECHANISM, ulong(1)),
        (CKA.ALLOWED_MECHANISMS, pack_ulongs((CKM.AES_ECB,))), (CKA.WRAP_TEMPLATE, b""), (CKA.UNWRAP_TEMPLATE, b""),
    ],
)  # fmt: skip
def test_what_has_no_footnote_8_is_read_only(attribute: int, value: bytes) -> None:
    """CKR_ATTRIBUTE_READ_ONLY."""
    assert CKR.ATTRIBUTE_READ_ONLY == code(templates.modify, key(), ((attribute, value),))


def test_a_data_object_keeps_its_value() -> None:
    """4.4: only CKA_LABEL can be modified after the object is created."""
    assert b"new" == templates.modify(data(), ((CKA.LABEL, b"new"),))[CKA.LABEL]
    assert CKR.ATTRIBUTE_READ_ONLY == code(templates.modify, data(), ((CKA.VALUE, b"new"),))


def test_what_may_be_modified_in_a_certificate() -> None:
    """4.6.3: CKA_ID, CKA_ISSUER, CKA_SERIAL_NUMBER, and the label."""
    for attribute in (CKA.ID, CKA.ISSUER, CKA.SERIAL_NUMBER, CKA.LABEL):
        assert b"new" == templates.modify(certificate(), ((attribute, b"new"),))[attribute]
    for attribute in (CKA.SUBJECT, CKA.VALUE, CKA.URL, CKA.CERTIFICATE_TYPE, CKA.CERTIFICATE_CATEGORY):
        assert CKR.ATTRIBUTE_READ_ONLY == code(templates.modify, certificate(), ((attribute, ulong(1)),))


@pytest.mark.parametrize(
    ("attribute", "open_value"),
    [(CKA.SENSITIVE, FALSE), (CKA.WRAP_WITH_TRUSTED, FALSE), (CKA.EXTRACTABLE, TRUE)],
)
def test_footnotes_11_and_12_what_never_changes_back(attribute: int, open_value: bytes) -> None:
    """Once closed it is read-only, in place and in a copy; saying again that it is closed changes nothing."""
    closed_value = FALSE if open_value == TRUE else TRUE
    closed = templates.modify(key((attribute, open_value)), ((attribute, closed_value),))
    assert closed_value == closed[attribute]
    for change in (templates.modify, templates.copy):
        assert CKR.ATTRIBUTE_READ_ONLY == code(change, closed, ((attribute, open_value),))
        assert closed_value == change(closed, ((attribute, closed_value),))[attribute]


def test_footnote_10_only_the_so_makes_a_key_trusted() -> None:
    """The SO may later; anyone may take the trust away."""
    assert CKR.ATTRIBUTE_READ_ONLY == code(templates.modify, key(), ((CKA.TRUSTED, TRUE),))
    assert CKR.ATTRIBUTE_READ_ONLY == code(templates.copy, key(), ((CKA.TRUSTED, TRUE),))
    trusted = templates.modify(key(), ((CKA.TRUSTED, TRUE),), so=True)
    assert TRUE == trusted[CKA.TRUSTED]
    assert FALSE == templates.modify(trusted, ((CKA.TRUSTED, FALSE),), so=True)[CKA.TRUSTED]


def test_a_trusted_key_is_changed_by_the_so_only() -> None:
    """Else it is given CKA_DECRYPT, by itself or in a copy, and opens what only trusted keys may wrap."""
    trusted = templates.modify(key((CKA.DECRYPT, FALSE)), ((CKA.TRUSTED, TRUE),), so=True)
    for change in (templates.modify, templates.copy):
        for said in ((CKA.DECRYPT, TRUE), (CKA.TRUSTED, FALSE)):
            assert CKR.ACTION_PROHIBITED == code(change, trusted, (said,))
            assert said[1] == change(trusted, (said,), so=True)[said[0]]
    assert TRUE == templates.copy(trusted, ((CKA.TOKEN, TRUE),))[CKA.TRUSTED]


def test_a_private_key_has_no_copy_for_everybody() -> None:
    """A secret or private key that needs a login needs one in each copy too; data may be given away."""
    assert CKR.TEMPLATE_INCONSISTENT == code(templates.copy, key(), ((CKA.PRIVATE, FALSE),))
    assert CKR.TEMPLATE_INCONSISTENT == code(templates.copy, private_key(), ((CKA.PRIVATE, FALSE),))
    data = templates.create(((CKA.CLASS, ulong(CKO.DATA)), (CKA.PRIVATE, TRUE)))
    assert FALSE == templates.copy(data, ((CKA.PRIVATE, FALSE),))[CKA.PRIVATE]


def test_a_trusted_certificate_cannot_be_modified() -> None:
    """4.6.2, but by the SO who trusted it."""
    trusted = certificate((CKA.TRUSTED, TRUE), so=True)
    assert CKR.ACTION_PROHIBITED == code(templates.modify, trusted, ((CKA.LABEL, b"new"),))
    assert FALSE == templates.modify(trusted, ((CKA.TRUSTED, FALSE),), so=True)[CKA.TRUSTED]


def test_an_object_that_is_not_modifiable_cannot_be_modified() -> None:
    """4.4: CKA_MODIFIABLE false, whatever the template says."""
    fixed = key((CKA.MODIFIABLE, FALSE))
    for template in (((CKA.LABEL, b"new"),), ((CKA.TOKEN, TRUE),), ()):
        assert CKR.ACTION_PROHIBITED == code(templates.modify, fixed, template)


def test_the_check_value_can_be_destroyed_and_not_forged() -> None:
    """4.10: C_SetAttributeValue with no value removes it."""
    assert CKA.CHECK_VALUE not in templates.modify(key(), ((CKA.CHECK_VALUE, b""),))
    assert key().keys() == templates.modify(key(), ((CKA.CHECK_VALUE, CHECK_VALUE),)).keys()
    assert CKR.ATTRIBUTE_VALUE_INVALID == code(templates.modify, key(), ((CKA.CHECK_VALUE, b"abc"),))
    destroyed = templates.modify(key(), ((CKA.CHECK_VALUE, b""),))
    assert destroyed == templates.modify(destroyed, ((CKA.CHECK_VALUE, b""),))
    assert CKR.ATTRIBUTE_VALUE_INVALID == code(templates.modify, destroyed, ((CKA.CHECK_VALUE, CHECK_VALUE),))


def test_public_key_information_cannot_be_forged() -> None:
    """4.9: another than the key's is CKR_ATTRIBUTE_VALUE_INVALID."""
    for change in (templates.modify, templates.copy):
        assert b"info" == change(private_key(), ((CKA.PUBLIC_KEY_INFO, b"info"),))[CKA.PUBLIC_KEY_INFO]
        assert CKR.ATTRIBUTE_VALUE_INVALID == code(change, private_key(), ((CKA.PUBLIC_KEY_INFO, b"x"),))


@pytest.mark.parametrize("change", [templates.modify, templates.copy])
@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (((CKA.LABEL, b"a"), (CKA.LABEL, b"b")), CKR.TEMPLATE_INCONSISTENT),
        (((0x8000_7777, b"a"),), CKR.ATTRIBUTE_TYPE_INVALID),
        (((CKA.MODULUS, b"a"),), CKR.TEMPLATE_INCONSISTENT),
        (((CKA.ENCRYPT, b"\x02"),), CKR.ATTRIBUTE_VALUE_INVALID),
        (((CKA.LABEL, None),), CKR.ATTRIBUTE_VALUE_INVALID),
        (((CKA.LABEL, b"good"), (CKA.LOCAL, TRUE)), CKR.ATTRIBUTE_READ_ONLY),
    ],
)
def test_a_bad_template_changes_nothing(
    change: Callable[..., Attributes], template: tuple[tuple[int, bytes | None], ...], expected: int
) -> None:
    """4.1.2 and 4.1.3: the codes of creation, and the object as it was."""
    attributes = key()
    before = dict(attributes)
    assert expected == code(change, attributes, template)
    assert before == attributes


# C_CopyObject


def test_a_copy_has_everything_but_the_unique_id() -> None:
    """5.7.2."""
    original = key((CKA.LABEL, b"original"))
    copied = templates.copy(original, ())
    assert original[CKA.UNIQUE_ID] != copied[CKA.UNIQUE_ID]
    assert {**original, CKA.UNIQUE_ID: b""} == {**copied, CKA.UNIQUE_ID: b""}


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (CKA.TOKEN, TRUE), (CKA.MODIFIABLE, FALSE), (CKA.DESTROYABLE, FALSE),
        (CKA.COPYABLE, FALSE), (CKA.LABEL, b"copy"), (CKA.ENCRYPT, FALSE),
    ],
)  # fmt: skip
def test_what_may_be_changed_in_a_copy(attribute: int, value: bytes) -> None:
    """4.1.3: what may be modified, and the attributes of storage."""
    assert value == templates.copy(key(), ((attribute, value),))[attribute]


@pytest.mark.parametrize("attribute", [CKA.VALUE, CKA.LOCAL, CKA.UNIQUE_ID, CKA.KEY_TYPE, CKA.WRAP_TEMPLATE])
def test_what_may_not_be_changed_in_a_copy(attribute: int) -> None:
    """CKR_ATTRIBUTE_READ_ONLY."""
    assert CKR.ATTRIBUTE_READ_ONLY == code(templates.copy, key(), ((attribute, b"new"),))


def test_an_object_that_is_not_copyable_cannot_be_copied() -> None:
    """4.4: CKA_COPYABLE false is CKR_ACTION_PROHIBITED."""
    assert CKR.ACTION_PROHIBITED == code(templates.copy, key((CKA.COPYABLE, FALSE)), ())


def test_an_object_that_is_not_modifiable_can_be_copied() -> None:
    """4.1.3: CKA_MODIFIABLE may change in the process."""
    assert TRUE == templates.copy(key((CKA.MODIFIABLE, FALSE)), ((CKA.MODIFIABLE, TRUE),))[CKA.MODIFIABLE]


def test_a_copy_has_the_history_of_its_original() -> None:
    """5.7.2: made sensitive in the copy, it was not always so."""
    template = ((CKA.VALUE_LEN, ulong(16)), (CKA.SENSITIVE, FALSE), (CKA.EXTRACTABLE, TRUE))
    implied = {CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.KEY_TYPE: ulong(CKK.AES)}
    original = templates.prepare(templates.GENERATE, template, implied)
    original = templates.complete(templates.GENERATE, original, {CKA.VALUE: bytes(16)}, CKM.AES_KEY_GEN)
    copied = templates.copy(original, ((CKA.SENSITIVE, TRUE), (CKA.EXTRACTABLE, FALSE)))
    expected = {
        CKA.LOCAL: TRUE,
        CKA.KEY_GEN_MECHANISM: ulong(CKM.AES_KEY_GEN),
        CKA.SENSITIVE: TRUE,
        CKA.ALWAYS_SENSITIVE: FALSE,
        CKA.EXTRACTABLE: FALSE,
        CKA.NEVER_EXTRACTABLE: FALSE,
    }
    assert expected.items() <= copied.items()


def test_a_public_copy_cannot_ask_for_authentication() -> None:
    """4.9: CKA_ALWAYS_AUTHENTICATE only where CKA_PRIVATE is true."""
    always = private_key((CKA.ALWAYS_AUTHENTICATE, TRUE))
    assert CKR.TEMPLATE_INCONSISTENT == code(templates.copy, always, ((CKA.PRIVATE, FALSE),))


# C_GetAttributeValue


@pytest.mark.parametrize(
    ("sensitive", "extractable", "hidden"),
    [(TRUE, FALSE, True), (TRUE, TRUE, True), (FALSE, FALSE, True), (FALSE, TRUE, False)],
)
def test_footnote_7_what_cannot_be_revealed(sensitive: bytes, extractable: bytes, hidden: bool) -> None:  # noqa: FBT001
    """Hidden if the key is sensitive or not extractable."""
    more = ((CKA.SENSITIVE, sensitive), (CKA.EXTRACTABLE, extractable))
    for attributes, attribute in ((key(*more), CKA.VALUE), (private_key(*more), CKA.PRIVATE_EXPONENT)):
        if hidden:
            assert CKR.ATTRIBUTE_SENSITIVE == code(templates.reveal, attributes, attribute)
        else:
            assert attributes[attribute] == templates.reveal(attributes, attribute)


def test_what_is_not_secret_is_revealed() -> None:
    """The public part and the description of a sensitive key."""
    for attribute in (CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.LABEL, CKA.SENSITIVE, CKA.PUBLIC_KEY_INFO):
        assert private_key()[attribute] == templates.reveal(private_key(), attribute)
    assert CHECK_VALUE == templates.reveal(key(), CKA.CHECK_VALUE)
    assert b"v" == templates.reveal(certificate(), CKA.VALUE)
    assert b"plain" == templates.reveal(data((CKA.VALUE, b"plain")), CKA.VALUE)


def test_a_secret_attribute_that_is_absent_is_sensitive_too() -> None:
    """5.7.5, case 1 before case 2: nobody learns whether a sensitive key has its primes."""
    assert CKR.ATTRIBUTE_SENSITIVE == code(templates.reveal, private_key(), CKA.PRIME_1)
    plain = private_key((CKA.SENSITIVE, FALSE), (CKA.EXTRACTABLE, TRUE))
    assert CKR.ATTRIBUTE_TYPE_INVALID == code(templates.reveal, plain, CKA.PRIME_1)


@pytest.mark.parametrize("attribute", [CKA.CERTIFICATE_TYPE, CKA.PRIME_1, 0x8000_7777])
def test_an_attribute_that_the_object_does_not_have(attribute: int) -> None:
    """CKR_ATTRIBUTE_TYPE_INVALID."""
    assert CKR.ATTRIBUTE_TYPE_INVALID == code(templates.reveal, key(), attribute)


# C_FindObjectsInit


def test_all_attributes_must_match() -> None:
    """The empty template matches everything."""
    attributes = key((CKA.LABEL, b"k"))
    assert templates.matches(attributes, ())
    assert templates.matches(attributes, ((CKA.LABEL, b"k"), (CKA.CLASS, ulong(CKO.SECRET_KEY))))
    assert not templates.matches(attributes, ((CKA.LABEL, b"k"), (CKA.CLASS, ulong(CKO.DATA))))
    assert not templates.matches(attributes, ((CKA.LABEL, b"K"),))
    assert not templates.matches(attributes, ((CKA.SUBJECT, b""),))
    assert not templates.matches(attributes, ((CKA.SUBJECT, None),))
    assert not templates.matches(attributes, ((CKA.LABEL, None),))


def test_what_is_hidden_never_matches() -> None:
    """A search must not be an oracle for key values."""
    value = ((CKA.VALUE, b"sixteen bytes ok"),)
    assert not templates.matches(key(), value)
    assert not templates.matches(key((CKA.EXTRACTABLE, TRUE)), value)
    assert templates.matches(key((CKA.SENSITIVE, FALSE), (CKA.EXTRACTABLE, TRUE)), value)
    assert templates.matches(data((CKA.VALUE, b"d")), ((CKA.VALUE, b"d"),))
