"""Objects made from templates: what must, may and must not be said, and what the token adds."""

from __future__ import annotations

from hashlib import sha1
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from ptkc.objects import template as templates
from ptkc.objects.classes import CLASSES
from ptkc.objects.kinds import ULONG
from ptkc.objects.object import Object
from ptkc.objects.template import CREATE, DERIVE, GENERATE, UNWRAP
from ptkc.spec.constants import CKA, CKC, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, MOST_ATTRIBUTES, TRUE, UNAVAILABLE, pack_template, pack_ulongs, ulong

if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.spec.values import Attributes, Template

SECRET = ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(CKK.AES)))
AES = (*SECRET, (CKA.VALUE, bytes(16)))
EC_PUBLIC = (
    (CKA.CLASS, ulong(CKO.PUBLIC_KEY)), (CKA.KEY_TYPE, ulong(CKK.EC)), (CKA.EC_PARAMS, b"curve"), (CKA.EC_POINT, b"Q"),
)  # fmt: skip
EC_PRIVATE = (
    (CKA.CLASS, ulong(CKO.PRIVATE_KEY)), (CKA.KEY_TYPE, ulong(CKK.EC)), (CKA.EC_PARAMS, b"curve"), (CKA.VALUE, b"d"),
)  # fmt: skip
RSA_PRIVATE = (
    (CKA.CLASS, ulong(CKO.PRIVATE_KEY)), (CKA.KEY_TYPE, ulong(CKK.RSA)),
    (CKA.MODULUS, b"n"), (CKA.PUBLIC_EXPONENT, b"e"), (CKA.PRIVATE_EXPONENT, b"d"),
)  # fmt: skip
RSA_PUBLIC = (
    (CKA.CLASS, ulong(CKO.PUBLIC_KEY)), (CKA.KEY_TYPE, ulong(CKK.RSA)),
    (CKA.MODULUS, b"n"), (CKA.PUBLIC_EXPONENT, b"e"),
)  # fmt: skip
CERTIFICATE = (
    (CKA.CLASS, ulong(CKO.CERTIFICATE)), (CKA.CERTIFICATE_TYPE, ulong(CKC.X_509)),
    (CKA.SUBJECT, b"subject"), (CKA.VALUE, b"certificate"),
)  # fmt: skip
DATA = ((CKA.CLASS, ulong(CKO.DATA)),)
DSA = (
    (CKA.CLASS, ulong(CKO.DOMAIN_PARAMETERS)), (CKA.KEY_TYPE, ulong(CKK.DSA)),
    (CKA.PRIME, b"\x00\xff\xff"), (CKA.SUBPRIME, b"\x07"), (CKA.BASE, b"\x02"),
)  # fmt: skip
IMPLIED = dict(SECRET)
ALL = (AES, EC_PUBLIC, EC_PRIVATE, RSA_PRIVATE, RSA_PUBLIC, CERTIFICATE, DATA, DSA)


def code(make: Callable[..., object], *arguments: object, **options: object) -> int:
    """Return the CK_RV with which a call is refused."""
    with pytest.raises(CryptokiError) as refused:
        make(*arguments, **options)
    return refused.value.code


def created(template: Template, *more: tuple[int, bytes | None], so: bool = False) -> Attributes:
    """Return what C_CreateObject makes."""
    return templates.create((*template, *more), so=so)


def refused(template: Template, *more: tuple[int, bytes | None]) -> int:
    """Return the CK_RV with which C_CreateObject refuses a template."""
    return code(templates.create, (*template, *more))


def generated(*more: tuple[int, bytes]) -> Attributes:
    """Return a generated AES key."""
    attributes = templates.prepare(GENERATE, ((CKA.VALUE_LEN, ulong(16)), *more), IMPLIED)
    return templates.complete(GENERATE, attributes, {CKA.VALUE: bytes(16)}, CKM.AES_KEY_GEN)


def derived(base: Attributes, *more: tuple[int, bytes]) -> Attributes:
    """Return an AES key derived from `base`."""
    attributes = templates.prepare(DERIVE, (*SECRET, *more), {})
    return templates.complete(DERIVE, attributes, {CKA.VALUE: bytes(16)}, base=Object(base))


# What a template may say


@pytest.mark.parametrize("template", ALL)
def test_what_is_said_is_in_the_object(template: Template) -> None:
    """All given attributes are there with their values."""
    assert dict(template).items() <= created(template).items()


def test_two_values_for_one_attribute_are_inconsistent() -> None:
    """4.1.1; the same value twice counts once, as it encourages."""
    assert CKR.TEMPLATE_INCONSISTENT == refused(AES, (CKA.LABEL, b"a"), (CKA.LABEL, b"b"))
    assert CKR.TEMPLATE_INCONSISTENT == refused(AES, (CKA.LABEL, b"a"), (CKA.LABEL, b"b"), (CKA.LABEL, b"a"))
    assert created((*AES, (CKA.LABEL, b"a"), (CKA.LABEL, b"a")))[CKA.LABEL] == b"a"


def test_an_unknown_attribute_is_refused() -> None:
    """4.1.1: what Cryptoki does not know is CKR_ATTRIBUTE_TYPE_INVALID."""
    assert CKR.ATTRIBUTE_TYPE_INVALID == refused(AES, (0x8000_7777, b"a"))


@pytest.mark.parametrize("attribute", [CKA.MODULUS, CKA.SUBJECT, CKA.HSS_LEVELS, CKA.CERTIFICATE_TYPE])
def test_an_attribute_of_another_class_is_inconsistent(attribute: int) -> None:
    """4.1.1: a secret key with what is appropriate for public keys."""
    assert CKR.TEMPLATE_INCONSISTENT == refused(AES, (attribute, ulong(0)))


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (CKA.TOKEN, b"\x02"), (CKA.TOKEN, b""), (CKA.TOKEN, ulong(1)), (CKA.TOKEN, None),
        (CKA.LABEL, b"\xff"), (CKA.LABEL, None), (CKA.START_DATE, b"20261301"),
        (CKA.ALLOWED_MECHANISMS, b"\x00\x01"), (CKA.WRAP_TEMPLATE, b"\x00"),
        (CKA.WRAP_TEMPLATE, pack_template(((CKA.TOKEN, b"\x07"),))),
        (CKA.OBJECT_VALIDATION_FLAGS, b""),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(attribute: int, value: bytes | None) -> None:
    """4.1.1: CKR_ATTRIBUTE_VALUE_INVALID; None is NULL with a length."""
    assert CKR.ATTRIBUTE_VALUE_INVALID == refused(AES, (attribute, value))


@pytest.mark.parametrize(
    "template",
    [
        ((CKA.CLASS, ulong(77)),),
        ((CKA.CLASS, b"\x04"),),
        ((CKA.CLASS, None),),
        ((CKA.CLASS, ulong(CKO.HW_FEATURE)),),
        ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(777)), (CKA.VALUE, b"v")),
        ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(CKK.RSA)), (CKA.VALUE, b"v")),
        ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, b"\x1f"), (CKA.VALUE, b"v")),
        ((CKA.CLASS, ulong(CKO.CERTIFICATE)), (CKA.CERTIFICATE_TYPE, ulong(CKC.WTLS))),
    ],
)
def test_a_class_or_type_we_do_not_have_is_refused(template: Template) -> None:
    """A class, key type or certificate type that the token does not keep is CKR_ATTRIBUTE_VALUE_INVALID."""
    assert CKR.ATTRIBUTE_VALUE_INVALID == refused(template)


@pytest.mark.parametrize("template", ALL)
def test_an_object_without_its_class_is_incomplete(template: Template) -> None:
    """CKA_CLASS has no default."""
    assert CKR.TEMPLATE_INCOMPLETE == refused(template[1:])


@pytest.mark.parametrize(
    ("template", "attribute"),
    [(template, attribute) for template in ALL for attribute, _ in template[1:]],
)
def test_footnote_1_what_must_be_said_when_created(template: Template, attribute: int) -> None:
    """Without one of the attributes of footnote 1 the template is incomplete."""
    assert CKR.TEMPLATE_INCOMPLETE == refused(tuple(row for row in template if row[0] != attribute))


@pytest.mark.parametrize(
    ("template", "attribute"),
    [
        *((template, CKA.UNIQUE_ID) for template in ALL),
        *((template, CKA.LOCAL) for template in (AES, EC_PUBLIC, EC_PRIVATE, DSA)),
        *((AES, attribute) for attribute in (CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.VALUE_LEN)),
        (EC_PRIVATE, CKA.KEY_GEN_MECHANISM),
        (RSA_PUBLIC, CKA.MODULUS_BITS),
        (DSA, CKA.PRIME_BITS),
    ],
)
def test_footnote_2_what_must_not_be_said_when_created(template: Template, attribute: int) -> None:
    """CKR_ATTRIBUTE_READ_ONLY."""
    assert CKR.ATTRIBUTE_READ_ONLY == refused(template, (attribute, ulong(0)))


def test_footnote_3_what_must_be_said_when_generated() -> None:
    """An AES key needs its length, an RSA key its bits, an EC key its curve."""
    assert CKR.TEMPLATE_INCOMPLETE == code(templates.prepare, GENERATE, (), IMPLIED)
    for template, attribute in ((RSA_PUBLIC, CKA.MODULUS_BITS), (EC_PUBLIC, CKA.EC_PARAMS)):
        implied = dict(template[:2])
        assert CKR.TEMPLATE_INCOMPLETE == code(templates.prepare, GENERATE, (), implied)
        assert attribute in templates.prepare(GENERATE, ((attribute, ulong(8)),), implied)


def test_footnote_4_what_must_not_be_said_when_generated() -> None:
    """Key material and history are the token's."""
    length = (CKA.VALUE_LEN, ulong(16))
    for attribute in (CKA.VALUE, CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.UNIQUE_ID, CKA.KEY_GEN_MECHANISM):
        refusal = code(templates.prepare, GENERATE, (length, (attribute, TRUE)), IMPLIED)
        assert CKR.ATTRIBUTE_READ_ONLY == refusal
    for attribute in (CKA.PRIVATE_EXPONENT, CKA.PRIME_1, CKA.MODULUS):
        refusal = code(templates.prepare, GENERATE, ((attribute, b"x"),), dict(RSA_PRIVATE[:2]))
        assert CKR.ATTRIBUTE_READ_ONLY == refusal


def test_footnote_5_what_must_be_said_when_unwrapped() -> None:
    """Class and key type."""
    assert CKR.TEMPLATE_INCOMPLETE == code(templates.prepare, UNWRAP, SECRET[:1], {})
    assert CKR.TEMPLATE_INCOMPLETE == code(templates.prepare, UNWRAP, SECRET[1:], {})
    assert ulong(CKK.AES) == templates.prepare(UNWRAP, SECRET, {})[CKA.KEY_TYPE]


def test_footnote_6_what_must_not_be_said_when_unwrapped() -> None:
    """Key material and history, but a length may."""
    for attribute in (CKA.VALUE, CKA.LOCAL, CKA.NEVER_EXTRACTABLE, CKA.UNIQUE_ID):
        assert CKR.ATTRIBUTE_READ_ONLY == code(templates.prepare, UNWRAP, (*SECRET, (attribute, TRUE)), {})
    assert ulong(16) == templates.prepare(UNWRAP, (*SECRET, (CKA.VALUE_LEN, ulong(16))), {})[CKA.VALUE_LEN]


def test_what_may_be_said_when_derived() -> None:
    """A length, and nothing that the token makes."""
    assert ulong(16) == templates.prepare(DERIVE, (*SECRET, (CKA.VALUE_LEN, ulong(16))), {})[CKA.VALUE_LEN]
    for attribute in (CKA.VALUE, CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.UNIQUE_ID):
        assert CKR.ATTRIBUTE_READ_ONLY == code(templates.prepare, DERIVE, (*SECRET, (attribute, TRUE)), {})


def test_a_key_derived_without_class_and_type_is_a_generic_secret() -> None:
    """6.42: what neither template nor mechanism says."""
    attributes = templates.prepare(DERIVE, (), {})
    assert (ulong(CKO.SECRET_KEY), ulong(CKK.GENERIC_SECRET)) == (attributes[CKA.CLASS], attributes[CKA.KEY_TYPE])


@pytest.mark.parametrize(
    "row",
    [(CKA.CLASS, ulong(CKO.DATA)), (CKA.CLASS, b""), (CKA.KEY_TYPE, ulong(CKK.GENERIC_SECRET)), (CKA.KEY_TYPE, None)],
)
def test_a_template_that_contradicts_the_mechanism_is_inconsistent(row: tuple[int, bytes | None]) -> None:
    """4.1.1: it cannot be satisfied with what the function contributes."""
    template = ((CKA.VALUE_LEN, ulong(16)), row)
    assert CKR.TEMPLATE_INCONSISTENT == code(templates.prepare, GENERATE, template, IMPLIED)


def test_a_template_may_repeat_what_the_mechanism_implies() -> None:
    """The same value is no contradiction."""
    assert ulong(CKK.AES) == templates.prepare(GENERATE, (*SECRET, (CKA.VALUE_LEN, ulong(16))), IMPLIED)[CKA.KEY_TYPE]


def test_footnote_10_trusted_is_for_the_so() -> None:
    """Only the SO sets CKA_TRUSTED to CK_TRUE; anyone may say that it is not trusted."""
    for template in (AES, EC_PUBLIC, CERTIFICATE):
        assert CKR.ATTRIBUTE_READ_ONLY == refused(template, (CKA.TRUSTED, TRUE))
        assert FALSE == created(template, (CKA.TRUSTED, FALSE))[CKA.TRUSTED]
        assert TRUE == created(template, (CKA.TRUSTED, TRUE), so=True)[CKA.TRUSTED]


def test_always_authenticate_needs_a_private_object() -> None:
    """4.9: CKA_ALWAYS_AUTHENTICATE only where CKA_PRIVATE is true."""
    always = (CKA.ALWAYS_AUTHENTICATE, TRUE)
    assert CKR.TEMPLATE_INCONSISTENT == refused(EC_PRIVATE, always, (CKA.PRIVATE, FALSE))
    assert TRUE == created(EC_PRIVATE, always)[CKA.ALWAYS_AUTHENTICATE]


# What the token fills in


@pytest.mark.parametrize("template", ALL)
def test_storage_defaults(template: Template) -> None:
    """4.4: session object, modifiable, copyable, destroyable, without a label."""
    expected = {
        CKA.TOKEN: FALSE,
        CKA.MODIFIABLE: TRUE,
        CKA.COPYABLE: TRUE,
        CKA.DESTROYABLE: TRUE,
        CKA.LABEL: b"",
    }
    assert expected.items() <= created(template).items()


@pytest.mark.parametrize(
    ("template", "private"),
    [(AES, TRUE), (EC_PRIVATE, TRUE), (DATA, TRUE), (DSA, TRUE), (EC_PUBLIC, FALSE), (CERTIFICATE, FALSE)],
)
def test_the_default_of_private_is_softhsms(template: Template, private: bytes) -> None:
    """The specification leaves it to the token."""
    assert private == created(template)[CKA.PRIVATE]


def test_keys_are_sensitive_and_not_extractable_by_default() -> None:
    """Private and secret keys; public keys have neither attribute."""
    for template in (AES, EC_PRIVATE):
        attributes = created(template)
        assert (TRUE, FALSE) == (attributes[CKA.SENSITIVE], attributes[CKA.EXTRACTABLE])
    assert not {CKA.SENSITIVE, CKA.EXTRACTABLE} & created(EC_PUBLIC).keys()


def test_an_unwrapped_key_is_extractable_by_default() -> None:
    """C_UnwrapKey says so (5.18.4)."""
    assert TRUE == templates.prepare(UNWRAP, SECRET, {})[CKA.EXTRACTABLE]
    assert FALSE == templates.prepare(UNWRAP, (*SECRET, (CKA.EXTRACTABLE, FALSE)), {})[CKA.EXTRACTABLE]
    assert FALSE == templates.prepare(DERIVE, SECRET, {})[CKA.EXTRACTABLE]


def test_keys_can_do_everything_but_derive_by_default() -> None:
    """As SoftHSM has it."""
    secret = (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP)
    public = (CKA.ENCRYPT, CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.WRAP)
    private = (CKA.DECRYPT, CKA.SIGN, CKA.SIGN_RECOVER, CKA.UNWRAP)
    for template, usages in ((AES, secret), (EC_PUBLIC, public), (EC_PRIVATE, private)):
        attributes = created(template)
        assert [TRUE] * len(usages) == [attributes[usage] for usage in usages]
        assert FALSE == attributes[CKA.DERIVE]


def test_a_created_key_has_no_history() -> None:
    """5.7.1: not local, neither always sensitive nor never extractable, mechanism unknown."""
    expected = {
        CKA.LOCAL: FALSE,
        CKA.ALWAYS_SENSITIVE: FALSE,
        CKA.NEVER_EXTRACTABLE: FALSE,
        CKA.KEY_GEN_MECHANISM: ulong(UNAVAILABLE),
    }
    for template in (AES, EC_PRIVATE):
        assert expected.items() <= created(template, (CKA.SENSITIVE, TRUE)).items()


def test_an_unwrapped_key_has_no_history() -> None:
    """5.18.4: as a created one."""
    attributes = templates.complete(UNWRAP, templates.prepare(UNWRAP, SECRET, {}), {CKA.VALUE: bytes(16)})
    history = (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)
    assert [FALSE] * 3 == [attributes[attribute] for attribute in history]


@pytest.mark.parametrize(("sensitive", "extractable"), [(TRUE, FALSE), (TRUE, TRUE), (FALSE, FALSE), (FALSE, TRUE)])
def test_the_history_of_a_generated_key(sensitive: bytes, extractable: bytes) -> None:
    """5.18.1: local, by this mechanism; always sensitive and never extractable as it is now."""
    attributes = generated((CKA.SENSITIVE, sensitive), (CKA.EXTRACTABLE, extractable))
    assert {
        CKA.LOCAL: TRUE,
        CKA.KEY_GEN_MECHANISM: ulong(CKM.AES_KEY_GEN),
        CKA.ALWAYS_SENSITIVE: sensitive,
        CKA.NEVER_EXTRACTABLE: FALSE if extractable == TRUE else TRUE,
    }.items() <= attributes.items()


def test_generated_public_keys_are_local() -> None:
    """Public keys have CKA_LOCAL and CKA_KEY_GEN_MECHANISM, and nothing of sensitivity."""
    attributes = templates.prepare(GENERATE, ((CKA.EC_PARAMS, b"curve"),), dict(EC_PUBLIC[:2]))
    attributes = templates.complete(GENERATE, attributes, {CKA.EC_POINT: b"Q"}, CKM.EC_KEY_PAIR_GEN)
    assert {CKA.LOCAL: TRUE, CKA.KEY_GEN_MECHANISM: ulong(CKM.EC_KEY_PAIR_GEN)}.items() <= attributes.items()
    assert CKA.ALWAYS_SENSITIVE not in attributes


def test_generated_domain_parameters_are_local() -> None:
    """They have no CKA_KEY_GEN_MECHANISM."""
    attributes = templates.prepare(GENERATE, ((CKA.PRIME_BITS, ulong(2048)),), dict(DSA[:2]))
    attributes = templates.complete(GENERATE, attributes, dict(DSA[2:]), CKM.DSA_PARAMETER_GEN)
    assert TRUE == attributes[CKA.LOCAL]
    assert CKA.KEY_GEN_MECHANISM not in attributes


def test_a_derived_key_inherits_its_bases_history() -> None:
    """6.42: always sensitive and never extractable only if the base key was, and the new one is."""
    guarded = generated()
    opened = generated((CKA.SENSITIVE, FALSE), (CKA.EXTRACTABLE, TRUE))
    plain = ((CKA.SENSITIVE, FALSE), (CKA.EXTRACTABLE, TRUE))

    def history(base: Attributes, *more: tuple[int, bytes]) -> tuple[bytes, bytes, bytes]:
        key = derived(base, *more)
        return key[CKA.LOCAL], key[CKA.ALWAYS_SENSITIVE], key[CKA.NEVER_EXTRACTABLE]

    assert (FALSE, TRUE, TRUE) == history(guarded)
    assert (FALSE, FALSE, FALSE) == history(guarded, *plain)
    assert (FALSE, FALSE, FALSE) == history(opened)


@pytest.mark.parametrize("template", ALL)
def test_each_object_has_its_own_unique_id(template: Template) -> None:
    """4.5.1: 32 hexadecimal digits, another for each."""
    ids = [created(template)[CKA.UNIQUE_ID] for _ in range(3)]
    ids.append(generated()[CKA.UNIQUE_ID])
    assert [16] * 4 == [len(bytes.fromhex(unique.decode())) for unique in ids]
    assert len(ids) == len(set(ids))


def test_completing_a_created_object_keeps_its_unique_id() -> None:
    """The two steps make one object."""
    attributes = created(AES)
    unique = attributes[CKA.UNIQUE_ID]
    assert unique == templates.complete(CREATE, attributes, {CKA.VALUE_LEN: ulong(16)})[CKA.UNIQUE_ID]


# Check value and public key information

COMPUTED = {CKA.CHECK_VALUE: b"\x66\xe9\x4b", CKA.VALUE_LEN: ulong(16)}


def completed(*more: tuple[int, bytes], computed: Attributes = COMPUTED) -> Attributes:
    """Return a created AES key with what its key type computed."""
    return templates.complete(CREATE, created(AES, *more), computed)


def test_the_computed_check_value_is_filled_in() -> None:
    """4.10: always supplied."""
    assert b"\x66\xe9\x4b" == completed()[CKA.CHECK_VALUE]


def test_a_given_check_value_must_be_right() -> None:
    """4.10: else CKR_ATTRIBUTE_VALUE_INVALID."""
    assert b"\x66\xe9\x4b" == completed((CKA.CHECK_VALUE, b"\x66\xe9\x4b"))[CKA.CHECK_VALUE]
    assert CKR.ATTRIBUTE_VALUE_INVALID == code(completed, (CKA.CHECK_VALUE, b"abc"))


def test_an_empty_check_value_prevents_it() -> None:
    """4.10: the application supplies it as a no-value entry."""
    assert CKA.CHECK_VALUE not in completed((CKA.CHECK_VALUE, b""))


def test_a_check_value_that_is_not_computed_is_ignored() -> None:
    """4.10: a library that does not support it ignores it."""
    assert CKA.CHECK_VALUE not in completed((CKA.CHECK_VALUE, b"abc"), computed={})


def test_public_key_information_must_be_right() -> None:
    """4.9: given, it is compared; empty or not given, it is what the key says."""
    info = bytes.fromhex("3006300003020007")  # no algorithm, and a key of one byte
    computed = {CKA.PUBLIC_KEY_INFO: info}
    for given in ((), ((CKA.PUBLIC_KEY_INFO, b""),), ((CKA.PUBLIC_KEY_INFO, info),)):
        attributes = templates.complete(CREATE, created(EC_PRIVATE, *given), computed)
        assert info == attributes[CKA.PUBLIC_KEY_INFO]
    wrong = created(EC_PRIVATE, (CKA.PUBLIC_KEY_INFO, b"other"))
    assert CKR.ATTRIBUTE_VALUE_INVALID == code(templates.complete, CREATE, wrong, computed)


def test_the_check_value_of_a_certificate() -> None:
    """4.6.2: the first three bytes of the SHA-1 of CKA_VALUE."""
    expected = sha1(b"certificate", usedforsecurity=False).digest()[:3]
    assert expected == created(CERTIFICATE)[CKA.CHECK_VALUE]
    assert CKR.ATTRIBUTE_VALUE_INVALID == refused(CERTIFICATE, (CKA.CHECK_VALUE, b"abc"))
    assert CKA.CHECK_VALUE not in created(CERTIFICATE, (CKA.CHECK_VALUE, b""))


def test_the_lengths_of_domain_parameters() -> None:
    """CKA_PRIME_BITS follows from CKA_PRIME."""
    assert ulong(16) == created(DSA)[CKA.PRIME_BITS]


# Certificates


def test_a_certificate_needs_its_value_or_a_url() -> None:
    """4.6.3, footnotes 2 and 3: not both empty."""
    elsewhere = (*CERTIFICATE[:3], (CKA.VALUE, b""))
    hashes = ((CKA.HASH_OF_SUBJECT_PUBLIC_KEY, b"h"), (CKA.HASH_OF_ISSUER_PUBLIC_KEY, b"h"))
    url = (CKA.URL, b"https://example.test/c")
    assert CKR.TEMPLATE_INCONSISTENT == refused(elsewhere)
    assert CKR.TEMPLATE_INCONSISTENT == refused(elsewhere, url)
    assert CKR.TEMPLATE_INCONSISTENT == refused(elsewhere, url, hashes[0])
    assert CKA.CHECK_VALUE not in created(elsewhere, url, *hashes)


def test_certificate_defaults() -> None:
    """4.6.2 and 4.6.3."""
    expected = {
        CKA.TRUSTED: FALSE,
        CKA.CERTIFICATE_CATEGORY: ulong(0),
        CKA.JAVA_MIDP_SECURITY_DOMAIN: ulong(0),
        CKA.NAME_HASH_ALGORITHM: ulong(CKM.SHA_1),
        CKA.URL: b"",
    }
    assert expected.items() <= created(CERTIFICATE).items()
    assert CKR.ATTRIBUTE_VALUE_INVALID == refused(CERTIFICATE, (CKA.CERTIFICATE_CATEGORY, ulong(4)))


# Arrays


def test_allowed_mechanisms_are_kept() -> None:
    """An array of mechanism numbers."""
    allowed = pack_ulongs((CKM.AES_GCM, CKM.AES_CBC))
    assert allowed == created(AES, (CKA.ALLOWED_MECHANISMS, allowed))[CKA.ALLOWED_MECHANISMS]


def test_templates_within_keys_are_checked() -> None:
    """4.7.3: each attribute known and right, none twice, no template within."""
    good = pack_template(((CKA.SENSITIVE, TRUE), (CKA.LABEL, b"x")))
    assert good == created(AES, (CKA.UNWRAP_TEMPLATE, good))[CKA.UNWRAP_TEMPLATE]
    for inner, expected in (
        (((0x8000_7777, b"x"),), CKR.ATTRIBUTE_TYPE_INVALID),
        (((CKA.LABEL, b"x"), (CKA.LABEL, b"x")), CKR.TEMPLATE_INCONSISTENT),
        (((CKA.WRAP_TEMPLATE, b""),), CKR.TEMPLATE_INCONSISTENT),
        (((CKA.SENSITIVE, b"\x03"),), CKR.ATTRIBUTE_VALUE_INVALID),
        (((CKA.LABEL, b""),) * (MOST_ATTRIBUTES + 1), CKR.ATTRIBUTE_VALUE_INVALID),  # before any of them is looked at
    ):
        assert expected == refused(AES, (CKA.UNWRAP_TEMPLATE, pack_template(inner)))


def test_the_unwrap_template_of_the_key_is_imposed() -> None:
    """5.18.4: its attributes are added; a conflict is CKR_TEMPLATE_INCONSISTENT."""
    imposed = pack_template(((CKA.EXTRACTABLE, FALSE), (CKA.SIGN, FALSE)))
    attributes = templates.prepare(UNWRAP, (*SECRET, (CKA.SIGN, FALSE)), {}, imposed=imposed)
    assert (FALSE, FALSE) == (attributes[CKA.EXTRACTABLE], attributes[CKA.SIGN])
    conflict = (*SECRET, (CKA.EXTRACTABLE, TRUE))
    assert CKR.TEMPLATE_INCONSISTENT == code(templates.prepare, UNWRAP, conflict, {}, imposed=imposed)


# The frame


def test_nothing_of_one_object_is_shared_with_the_next() -> None:
    """The compiled defaults are copied."""
    first = created(AES)
    first[CKA.LABEL] = b"changed"
    first[CKA.SENSITIVE] = FALSE
    assert (b"", TRUE) == (created(AES)[CKA.LABEL], created(AES)[CKA.SENSITIVE])


def test_every_class_and_type_can_be_created() -> None:
    """A template of what footnote 1 asks for makes an object that has all defaults, for each row of the classes."""
    for number, entry in CLASSES.items():
        for subtype in entry.types:
            rows = entry.rows(subtype)
            required = [row for row in rows if "1" in row.footnotes]
            template = [(row.attribute, ulong(7) if row.kind is ULONG else b"\x07") for row in required]
            given = {**dict(template), CKA.CLASS: ulong(number)}
            if entry.subtype is not None and subtype is not None:
                given[entry.subtype] = ulong(subtype)
            attributes = templates.create(tuple(given.items()))
            wanted = {row.attribute for row in rows if row.default is not None or "1" in row.footnotes}
            assert wanted <= attributes.keys()


def test_a_refusal_names_the_attribute_and_never_the_value() -> None:
    """Messages go to the log."""
    with pytest.raises(CryptokiError) as first:
        created(AES, (CKA.START_DATE, b"secret"))
    assert "CKA_START_DATE" in str(first.value)
    assert "secret" not in str(first.value)


def test_table_order_is_storage_before_class() -> None:
    """`rows` gives the tables as the specification nests them."""
    order = [row.attribute for row in CLASSES[CKO.SECRET_KEY].rows(CKK.AES)]
    places = [order.index(attribute) for attribute in (CKA.CLASS, CKA.TOKEN, CKA.KEY_TYPE, CKA.SENSITIVE, CKA.VALUE)]
    assert all(before < after for before, after in pairwise(places))
