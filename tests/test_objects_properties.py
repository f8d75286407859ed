"""Whatever a template says, the answer is an object that keeps the rules, or one of the specification's codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hypothesis import assume, given
from hypothesis import strategies as st

from ptkc.objects import plans as compiled
from ptkc.objects import template as templates
from ptkc.objects.classes import CLASSES, find
from ptkc.objects.object import Object
from ptkc.objects.template import DERIVE, GENERATE, UNWRAP
from ptkc.spec.constants import CKA, CKK, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, pack_template, ulong

if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.spec.values import Attributes, Template

Made = TypeVar("Made")

REFUSALS = {
    CKR.ATTRIBUTE_READ_ONLY, CKR.ATTRIBUTE_TYPE_INVALID, CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCOMPLETE,
    CKR.TEMPLATE_INCONSISTENT,
}  # fmt: skip
CHANGE_REFUSALS = (REFUSALS - {CKR.TEMPLATE_INCOMPLETE}) | {CKR.ACTION_PROHIBITED}

# SEQUENCE { SEQUENCE { OID }, BIT STRING { INTEGER 5 } }: a SubjectPublicKeyInfo as mechanisms give it
_INFO = bytes.fromhex("300d300506032b656e030400020105")

ROWS = [row for entry in CLASSES.values() for subtype in entry.types for row in entry.rows(subtype)]
KNOWN = sorted({row.attribute for row in ROWS})
TYPES = st.sampled_from(KNOWN) | st.integers(0, 2**64 - 1)
LIKELY = st.sampled_from([b"", TRUE, FALSE, ulong(0), ulong(3), ulong(4), b"20260101"])
ROUGH = st.none() | LIKELY | st.binary(max_size=20)
INNER = st.lists(st.tuples(TYPES, ROUGH), max_size=3).map(tuple).map(pack_template)
VALUES = ROUGH | INNER
ROUGH_TEMPLATES = st.lists(st.tuples(TYPES, VALUES), max_size=12).map(tuple)


@st.composite
def objects_of_a_class(draw: st.DrawFn) -> Template:
    """Return a template that names a class and type, has what footnote 1 asks for and some of the rest."""
    number = draw(st.sampled_from(sorted(CLASSES)))
    entry = CLASSES[number]
    subtype = draw(st.sampled_from(sorted(entry.types, key=lambda one: one or 0)))
    given_values: dict[int, bytes | None] = {CKA.CLASS: ulong(number)}
    if entry.subtype is not None and subtype is not None:
        given_values[entry.subtype] = ulong(subtype)
    for row in entry.rows(subtype):
        if row.attribute in given_values:
            continue
        if "1" in row.footnotes:
            given_values[row.attribute] = draw(st.binary(min_size=1, max_size=16))
        elif draw(st.integers(0, 4)) == 0 and row.default is not None and not {"2", "10"} & row.footnotes:
            given_values[row.attribute] = draw(st.sampled_from([row.default, TRUE, FALSE]))
    return tuple(draw(st.permutations(list(given_values.items()))))


MIXED = st.tuples(objects_of_a_class(), ROUGH_TEMPLATES).map(lambda two: two[0] + two[1])
TEMPLATES = ROUGH_TEMPLATES | objects_of_a_class() | MIXED


def outcome(make: Callable[..., Made], *arguments: object, **options: object) -> Made | int:
    """Return what a call makes, or the CK_RV with which it is refused; any other exception is a failure."""
    try:
        return make(*arguments, **options)
    except CryptokiError as refusal:
        return refusal.code


def check_object(attributes: Attributes) -> None:
    """Fail unless the attributes are a whole object of their class."""
    entry, subtype = find(attributes)
    rows = {row.attribute: row for row in entry.rows(subtype)}
    assert attributes.keys() <= rows.keys()
    for attribute, value in attributes.items():
        assert rows[attribute].kind.check(value)
    for row in rows.values():
        assert row.default is None or row.attribute in attributes


@given(TEMPLATES, st.booleans())
def test_creation_gives_a_whole_object_or_a_code(template: Template, so: bool) -> None:  # noqa: FBT001
    """And what was said is what the object has."""
    attributes = outcome(templates.create, template, so=so)
    if isinstance(attributes, int):
        assert attributes in REFUSALS
        return
    check_object(attributes)
    said = dict(template)
    said.pop(CKA.CHECK_VALUE, None)
    assert said.items() <= attributes.items()
    assert so or attributes.get(CKA.TRUSTED, FALSE) == FALSE
    assert FALSE == attributes.get(CKA.LOCAL, FALSE) == attributes.get(CKA.ALWAYS_SENSITIVE, FALSE)


@given(st.sampled_from([GENERATE, UNWRAP, DERIVE]), TEMPLATES, TEMPLATES, VALUES)
def test_preparation_gives_attributes_or_a_code(
    origin: str, template: Template, implied: Template, imposed: bytes | None
) -> None:
    """For each way to make a key; completing what was prepared gives a whole object."""
    chosen = {attribute: value for attribute, value in implied if value is not None}
    attributes = outcome(templates.prepare, origin, template, chosen, imposed=imposed or b"")
    if isinstance(attributes, int):
        assert attributes in REFUSALS
        return
    base = Object({CKA.ALWAYS_SENSITIVE: TRUE, CKA.NEVER_EXTRACTABLE: TRUE})
    given_info = attributes.get(CKA.PUBLIC_KEY_INFO)
    assume(not given_info)  # a given one must be the key's, and so is well-formed
    produced = {} if given_info is None else {CKA.PUBLIC_KEY_INFO: _INFO}
    done = templates.complete(origin, attributes, produced, 1, base)
    check_object(done)
    assert origin == GENERATE or done.get(CKA.LOCAL, FALSE) == FALSE
    if CKA.SENSITIVE in done and origin == DERIVE:
        assert done[CKA.SENSITIVE] == done[CKA.ALWAYS_SENSITIVE]
        assert done[CKA.EXTRACTABLE] != done[CKA.NEVER_EXTRACTABLE]


@given(objects_of_a_class(), st.lists(ROUGH_TEMPLATES, max_size=4), st.booleans())
def test_changes_never_loosen_an_object(template: Template, changes: list[Template], so: bool) -> None:  # noqa: FBT001
    """However often it is changed and copied, what is closed stays closed and its history is its own."""
    attributes = outcome(templates.create, template)
    if isinstance(attributes, int):
        return
    for number, change in enumerate(changes):
        before = dict(attributes)
        after = outcome((templates.modify, templates.copy)[number % 2], attributes, change, so=so)
        assert before == attributes
        if isinstance(after, int):
            assert after in CHANGE_REFUSALS
            continue
        check_object(after)
        for attribute, closed in ((CKA.SENSITIVE, TRUE), (CKA.WRAP_WITH_TRUSTED, TRUE), (CKA.EXTRACTABLE, FALSE)):
            assert before.get(attribute) != closed or after[attribute] == closed
        for attribute in (CKA.CLASS, CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.VALUE):
            assert before.get(attribute) == after.get(attribute)
        attributes = after


@given(objects_of_a_class(), TYPES, ROUGH_TEMPLATES)
def test_reading_and_finding_agree(template: Template, attribute: int, wanted: Template) -> None:
    """What is revealed can be found by its value; what is not, cannot."""
    attributes = outcome(templates.create, template)
    if isinstance(attributes, int):
        return
    value = outcome(templates.reveal, attributes, attribute)
    if isinstance(value, int):
        assert value in {CKR.ATTRIBUTE_SENSITIVE, CKR.ATTRIBUTE_TYPE_INVALID}
        assert not templates.matches(attributes, ((attribute, attributes.get(attribute)),))
    else:
        assert templates.matches(attributes, ((attribute, value),))
    assert templates.matches(attributes, wanted) in {True, False}


def test_creating_an_aes_key_is_one_plan() -> None:
    """The footnotes of a type are compiled once for each origin, whatever is asked of it."""
    template = ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(CKK.AES)), (CKA.VALUE, bytes(16)))
    templates.create(template)
    plans = compiled._PLANS  # what is claimed is not visible from outside
    before = dict(plans)
    for _ in range(3):
        templates.create(template)
    assert before == plans
    assert len(plans) <= 6 * sum(len(entry.types) for entry in CLASSES.values())
