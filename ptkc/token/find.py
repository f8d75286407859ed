"""Searching token objects: which attribute values become search terms, and how a template is looked up.

Each searchable value of an object becomes a term (`seal`: a keyed hash). Terms of attributes that tell objects apart
are rows of the store's index; the others (flags, numbers) are only kept beside the record, to be compared in objects
found by a row. A template is looked up by its most selective row: the one that comes first in `_SELECTIVE`, or,
where that one has many objects, the one that has the fewest. Key material is never a term, so it never matches.
"""

from __future__ import annotations

from ptkc.spec.constants import CKA, CKO
from ptkc.spec.values import TRUE, Attributes, Template, ulong
from ptkc.token.seal import Keys
from ptkc.token.store import TERM_LENGTH, Store

__all__ = ["SECRET_CLASSES", "object_terms", "search"]

_SELECTIVE = {
    attribute: rank
    for rank, attribute in enumerate(
        (
            CKA.UNIQUE_ID, CKA.ID, CKA.LABEL, CKA.VALUE, CKA.MODULUS, CKA.EC_POINT, CKA.PUBLIC_KEY_INFO,
            CKA.HASH_OF_CERTIFICATE, CKA.HASH_OF_SUBJECT_PUBLIC_KEY, CKA.SERIAL_NUMBER, CKA.SUBJECT, CKA.URL,
            CKA.OBJECT_ID, CKA.APPLICATION, CKA.ISSUER, CKA.KEY_TYPE, CKA.CLASS,
        )
    )
}  # fmt: skip
_MATERIAL = frozenset((
    CKA.VALUE, CKA.PRIVATE_EXPONENT, CKA.PRIME_1, CKA.PRIME_2, CKA.EXPONENT_1, CKA.EXPONENT_2, CKA.COEFFICIENT,
    CKA.SEED,
))  # fmt: skip
SECRET_CLASSES = (ulong(CKO.SECRET_KEY), ulong(CKO.PRIVATE_KEY), ulong(CKO.OTP_KEY))
_CHOOSING = (CKA.PRIVATE, CKA.TOKEN)
_FEW = 64
_EVERY = (CKA.TOKEN, TRUE)


def object_terms(attributes: Attributes, keys: Keys) -> tuple[int, bytes]:
    """Return (rows, terms) of an object under the private or public keys of its token.

    The first row is the same for every object of the token, so that they can be listed.
    """
    hidden = _MATERIAL if attributes.get(CKA.CLASS) in SECRET_CLASSES else ()
    rows = [keys.term(*_EVERY)]
    others: list[int] = []
    for attribute, value in attributes.items():
        if attribute in hidden or attribute in _CHOOSING:
            continue
        (rows if value and attribute in _SELECTIVE else others).append(keys.term(attribute, value))
    return len(rows), b"".join(term.to_bytes(TERM_LENGTH, "little", signed=True) for term in rows + others)


def search(store: Store, public: Keys | None, private: Keys | None, template: Template) -> tuple[list[int], bool]:
    """Return the records that match, in the order of creation, and whether many had to be looked at.

    `public` and `private` are the keys to search with; `private` is None if nobody is logged in. CKA_PRIVATE and
    CKA_TOKEN choose among them and need no terms.
    """
    rows = []
    others = []
    for attribute, value in template:
        if attribute == CKA.TOKEN:
            if value != TRUE:
                return [], False
        elif attribute == CKA.PRIVATE:
            if value == TRUE:
                public = None
            else:
                private = None
        elif value and attribute in _SELECTIVE:
            rows.append((attribute, value))
        else:
            others.append((attribute, value or b""))
    sides = [keys for keys in (public, private) if keys is not None]
    if not sides:
        return [], False
    if len(rows) > 1:
        rows.sort(key=_rank)
    wanted = [tuple([keys.term(attribute, value) for keys in sides]) for attribute, value in rows or (_EVERY,)]
    if len(wanted) == 1 and not others:
        found = store.numbers(wanted[0])
        found.sort()
        return found, len(found) > _FEW
    candidates = store.candidates(wanted[0], _FEW)
    many = len(candidates) == _FEW
    if many:
        wanted.insert(0, wanted.pop(_fewest(store, wanted)))
        candidates = store.candidates(wanted[0], -1)
    wanted += [tuple([keys.term(attribute, value) for keys in sides]) for attribute, value in others]
    conditions = [[term.to_bytes(TERM_LENGTH, "little", signed=True) for term in terms] for terms in wanted[1:]]
    found = [number for number, terms in candidates if _has_all(terms, conditions)]
    found.sort()
    return found, many


def _rank(row: tuple[int, bytes]) -> int:
    """Return the place in `_SELECTIVE`."""
    return _SELECTIVE[row[0]]


def _fewest(store: Store, wanted: list[tuple[int, ...]]) -> int:
    """Return the place of the term that the fewest objects have, counting no further than needed."""
    if len(wanted) == 1:
        return 0
    limit = _FEW
    while True:
        counts = [store.count(terms, limit) for terms in wanted]
        fewest = min(counts)
        if fewest < limit:
            return counts.index(fewest)
        limit *= 8


def _has_all(terms: bytes, conditions: list[list[bytes]]) -> bool:
    """Whether, for each condition, one of its terms is among an object's terms."""
    return all(any(_has(terms, term) for term in condition) for condition in conditions)


def _has(terms: bytes, term: bytes) -> bool:
    """Whether a term is there, at a multiple of its length."""
    position = terms.find(term)
    while position >= 0 and position % TERM_LENGTH:
        position = terms.find(term, position + 1)
    return position >= 0
