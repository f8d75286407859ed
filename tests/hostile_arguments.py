"""Arguments that nobody in their right mind passes, drawn by chance, as tests/programs/hostile.py takes them.

Each is right, nearly right, or nonsense. What an honest caller could not do either is left out, since no library can
survive it: pointers that name nothing with a length that a caller may have.
"""

from __future__ import annotations

from random import Random
from typing import Any

import chance as st
from chance import Strategy
from hostile_certificates import CERTIFICATE, REQUEST, damaged
from hostile_structures import structure
from programs.hostile import OBJECTS

from ptkc.mechanisms import MECHANISMS, load
from ptkc.spec.constants import CKA, CKC, CKG, CKK, CKM, CKO
from ptkc.spec.parameters import Bytes
from ptkc.spec.values import ulong

__all__ = [
    "HUGE", "MEMORY", "RIGHT", "TYPE_ALONE", "able", "asked_types", "buffers", "byte_strings", "contents",
    "flag_entries", "mechanism_pointers", "object_handles", "own_session", "pin_values", "rooms", "session_handles",
    "shape", "template_arrays", "ulongs",
]  # fmt: skip

HUGE = (2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 16, 2**64 - 1)
"""Lengths that nobody has memory for."""
MEMORY = 1 << 16
"""How much memory there is where the length says that there is more."""


def _numbers(group: type) -> list[int]:
    """Return the numbers of a group of constants."""
    return sorted({number for name, number in vars(group).items() if not name.startswith("_")})


_ATTRIBUTES, _EVERY_MECHANISM = _numbers(CKA), _numbers(CKM)
_TRUE, _FALSE = b"\x01", b"\x00"
_AWKWARD = (0, 1, 7, 8, 15, 16, 17, 24, 32, 57, 255, 1023, 8193, 16384, 65535, 65536, 65537, 2**31, *HUGE)

ulongs = st.one_of(st.sampled_from(_AWKWARD), st.integers(0, 2**64 - 1))
own_session = st.just(("session", 0))
_sessions = st.one_of(st.integers(0, 3).map(lambda place: ("session", place)), ulongs)
session_handles = st.sampled_from([own_session] * 12 + [_sessions]).flatmap(lambda choice: choice)
_objects = st.integers(0, len(OBJECTS) + 4).map(lambda place: ("object", place))
object_handles = st.sampled_from([_objects] * 12 + [ulongs]).flatmap(lambda choice: choice)
contents = st.one_of(
    st.binary(max_size=64),
    st.sampled_from((0, 1, 8, 15, 16, 20, 24, 28, 32, 40, 48, 64, 128, 129, 1000, 4096)).map(lambda size: b"Z" * size),
)

_POINT = bytes.fromhex(
    "0441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""A point of P-256: its generator."""

# A pointer and its length, which mostly fit.
_right_bytes = contents.map(lambda data: (data, len(data)))
_wrong_bytes = st.one_of(
    st.tuples(st.none(), ulongs),
    st.tuples(st.binary(min_size=1, max_size=16), st.sampled_from(HUGE)),
    st.tuples(st.binary(min_size=1, max_size=16), st.just(0)),
)
byte_strings = st.one_of(*[_right_bytes] * 9, _wrong_bytes)

_PINS = (b"user-pin-1234", b"so-pin-9876", b"1234", b"", b"\xff\xfe\xfd\xfc", b"x" * 33)
pin_values = st.one_of(st.sampled_from(_PINS).map(lambda pin: (pin, len(pin))), _wrong_bytes)

rooms = st.sampled_from((0, 1, 15, 16, 31, 32, 64, 128, 256, 1024, MEMORY))
buffers = st.one_of(
    rooms.map(lambda room: (("out", room), ("count", room))),
    st.just((("out", MEMORY), ("count", MEMORY))),
    st.just((None, ("count", 0))),
    st.sampled_from(HUGE).map(lambda room: (("out", MEMORY), ("count", room))),
    st.tuples(st.sampled_from([None, ("out", 16)]), st.none()),
)


# Mechanisms


def _pointer(data: Strategy) -> Strategy:
    """Return pointers with their lengths, which seldom lie."""
    right = data.map(lambda value: (value or None, len(value)))
    return st.one_of(*[right] * 9, _wrong_bytes)


def _structure(*members: Strategy) -> Strategy:
    """Return parameters that are structures; a member may be (pointer, length)."""
    return st.tuples(*members).map(
        lambda values: tuple(part for value in values for part in (value if isinstance(value, tuple) else (value,)))
    )


def _turned(pair: Strategy) -> Strategy:
    """Return (length, pointer)."""
    return pair.map(lambda value: (value[1], value[0]))


_small = st.one_of(st.integers(0, 140), ulongs)
_hashes = st.one_of(
    st.sampled_from([CKM.SHA_1, CKM.SHA256, CKM.SHA512, CKM.SHA3_256]), st.sampled_from(_EVERY_MECHANISM)
)
_masks = st.one_of(st.sampled_from(_numbers(CKG)), ulongs)
_point = st.one_of(
    st.binary(max_size=70),
    st.sampled_from([b"\x04", b"\x02", b"\x03", b"\x00", b"\x04\x41\x04", b"\x04\x20"]).flatmap(
        lambda start: st.sampled_from([31, 32, 56, 64, 65]).map(lambda size: start + b"\x11" * size)
    ),
)
_tag_bits, _mac_bytes = st.sampled_from((32, 96, 128, 127, 2**63)), st.sampled_from((4, 8, 16, 5, 2**64 - 1))
_gcm = _structure(_pointer(st.binary(max_size=20)), _small, _pointer(contents), _tag_bits)
_ccm = _structure(_small, _pointer(st.binary(max_size=14)), _pointer(contents), _mac_bytes)
_pss = _structure(_hashes, _masks, _small)
_ENCODING = (CKM.ENCODE_X_509, CKM.ENCODE_X_509_LOCAL_CERT, CKM.ENCODE_PKCS_10)
_mechanism_and_object = _structure(_hashes, _objects.map(lambda place: (place,)))
_SHAPES: dict[int, Strategy] = {
    CKM.AES_GCM: _gcm,
    CKM.AES_GMAC: _gcm,
    CKM.AES_CCM: _ccm,
    CKM.AES_CTR: _structure(_small, st.binary(min_size=16, max_size=16).map(lambda block: [block])),
    CKM.RSA_PKCS_OAEP: _structure(_hashes, _masks, st.sampled_from((1, 1, 0, 2**63)), _pointer(contents)),
    **dict.fromkeys(_ENCODING, _mechanism_and_object),
    CKM.GEN_PIK_ECC_P521: st.sampled_from((b"\0", b"\1", b"\2", b"\1\0\0\0\0\0\0\0")),
    CKM.SECRET_SHARE_WITH_ATTRIBUTES: _structure(_small, _small),
    CKM.EDDSA: _structure(st.sampled_from((0, 1, 2, 256)), _turned(_pointer(contents))),
    **dict.fromkeys(
        (CKM.ECDH1_DERIVE, CKM.ECDH1_COFACTOR_DERIVE),
        _structure(st.integers(1, 12), _turned(_pointer(contents)), _turned(_pointer(_point))),
    ),
}
_ivs = st.sampled_from((0, 2, 4, 8, 12, 16, 17, 128, 256)).map(lambda size: b"\x42" * size)

# The same, right; what is not here takes no parameter.
_RIGHT_SHAPES: dict[int, tuple[Any, ...]] = {
    **dict.fromkeys((CKM.AES_GCM, CKM.AES_GMAC), ((b"i" * 12, 12, 96, None, 0, 128), (b"i" * 4, 4, 32, None, 0, 96))),
    CKM.AES_CCM: ((16, b"n" * 12, 12, None, 0, 8), (0, b"n" * 7, 7, b"a", 1, 16)),
    CKM.AES_CTR: ((128, [b"c" * 16]), (8, [b"\xff" * 16])),
    CKM.AES_CBC: (b"i" * 16,),
    CKM.AES_CBC_PAD: (b"i" * 16,),
    CKM.RSA_PKCS_OAEP: ((CKM.SHA_1, CKG.MGF1_SHA1, 1, None, 0), (CKM.SHA3_256, CKG.MGF1_SHA3_256, 1, b"l", 1)),
    CKM.RSA_PKCS_PSS: ((CKM.SHA256, CKG.MGF1_SHA256, 32), (CKM.SHA_1, CKG.MGF1_SHA512, 0)),
    **dict.fromkeys(_ENCODING, tuple((CKM.ECDSA_SHA512, ("object", place)) for place in range(20))),
    CKM.GEN_PIK_ECC_P521: (b"\0", b"\1"),
    CKM.SECRET_SHARE_WITH_ATTRIBUTES: ((2, 3), (2, 2), (64, 64)),
    CKM.ECDH1_DERIVE: (
        (1, 0, None, 32, b"\x09" * 32), (1, 0, None, len(_POINT), _POINT), (6, 1, b"s", len(_POINT), _POINT),
    ),
    CKM.ECDH1_COFACTOR_DERIVE: ((1, 0, None, len(_POINT), _POINT),),
}


def shape(number: int) -> Strategy:
    """Return parameters that are right, or nearly, for a mechanism."""
    name = next(name for name, value in vars(CKM).items() if value == number)
    mechanism = MECHANISMS[number]
    near = _SHAPES.get(number) or structure(number)
    right: tuple[Any, ...] = _RIGHT_SHAPES.get(number, ())
    if name.endswith("_PKCS_PSS") and not right:
        digest = getattr(CKM, name.partition("_RSA")[0].replace("SHA1", "SHA_1"), CKM.SHA_1)
        right, near = ((digest, CKG.MGF1_SHA1, 8),), _pss
    elif name.endswith("_GENERAL"):
        right, near = ((8,), (4,)), _structure(_small)
    elif isinstance(mechanism.parameters, Bytes):
        right, near = tuple(b"\x42" * length for length in mechanism.parameters.lengths), _ivs
    if mechanism.parameters is None or mechanism.optional:
        right = (*right, None)
    if near is None:
        near = _ivs if right == () else st.one_of(st.sampled_from(right), _ivs)
    return st.one_of(st.sampled_from(right), st.sampled_from(right), near) if right else near


def mechanism_pointers(numbers: list[int]) -> Strategy:
    """Return pointers to a CK_MECHANISM of one of these numbers, the parameter nearly right or not at all."""
    number = st.sampled_from(numbers)
    shaped = number.flatmap(lambda kind: st.tuples(st.just("mechanism"), st.just(kind), shape(kind), st.none()))
    anything = st.one_of(
        st.none(), st.binary(max_size=64), st.lists(ulongs, max_size=8).map(lambda words: tuple(map(_word, words)))
    )
    lengths = st.one_of(st.none(), st.none(), st.sampled_from((0, *HUGE)))
    every = st.one_of(number, st.sampled_from(_EVERY_MECHANISM), ulongs)
    wrong = st.tuples(st.just("mechanism"), every, anything, lengths)
    return st.one_of(*[shaped] * 8, wrong, st.none())


def _word(number: int) -> list[bytes]:
    """Return a number that stands in a structure where a pointer may be expected: none that could be an address."""
    return [(number if number in (0, 1) or number >= 2**63 else 0).to_bytes(8, "little")]


def able(kind: str) -> list[int]:
    """Return the mechanisms that can do something."""
    load()
    return sorted(number for number, mechanism in MECHANISMS.items() if hasattr(mechanism, kind))


# Templates

_P256 = bytes.fromhex("06082a8648ce3d030107")
_ED25519 = b"\x13\x0cedwards25519"
_PARAMETERS = (
    _P256, _ED25519, b"\x13\x0acurve25519", bytes.fromhex("06052b81040022"), b"", b"\x05\x00", b"\x06\xff\xff",
    b"0\x82\xff\xff" + b"\x02" * 40, b"\x06\x08" + b"\x80" * 8, b"\x13\xff" + b"a" * 255, _P256 + b"\x00",
)  # fmt: skip
_BIG = (b"", b"\x00", b"\x01", b"\x02", b"\x03", b"\x01\x00\x01", b"\xff" * 16, b"\xff" * 64, b"\x7f" + b"\x55" * 127,
        b"\xff" * 128, b"\x80" + b"\x00" * 255, b"\xab" * 256, b"\xff" * 2049, b"\x01" * 100_000)  # fmt: skip
_LENGTHS = (0, 1, 16, 24, 32, 33, 64, 1024, 2048, 8193, 16385, 65536, 65537, 2**31, 2**32, 2**63, 2**64 - 1)

_any_value = st.one_of(
    st.sampled_from([_TRUE, _FALSE, b"", b"\x02", _TRUE * 2]),
    ulongs.map(ulong),
    st.binary(max_size=40),
    st.sampled_from(_BIG),
    st.sampled_from(_PARAMETERS),
)
_BIG_NUMBERS = (
    CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.PRIVATE_EXPONENT, CKA.PRIME_1, CKA.PRIME_2, CKA.EXPONENT_1, CKA.EXPONENT_2,
    CKA.COEFFICIENT, CKA.PRIME, CKA.BASE, CKA.SUBPRIME,
)  # fmt: skip
_VALUES: dict[int, Strategy] = {
    **dict.fromkeys(_BIG_NUMBERS, st.sampled_from(_BIG)),
    CKA.VALUE_LEN: st.sampled_from(_LENGTHS).map(ulong),
    CKA.MODULUS_BITS: st.sampled_from((0, 1024, 1023, 8193, 16384, 2**32, 2**63, 2**64 - 1)).map(ulong),
    CKA.EC_PARAMS: st.sampled_from(_PARAMETERS),
    CKA.EC_POINT: _point,
    CKA.VALUE: st.one_of(damaged, _any_value),
    CKA.CLASS: st.sampled_from(_numbers(CKO)).map(ulong),
    CKA.KEY_TYPE: st.sampled_from(_numbers(CKK)).map(ulong),
    CKA.CERTIFICATE_TYPE: st.sampled_from(_numbers(CKC)).map(ulong),
    CKA.ALLOWED_MECHANISMS: st.lists(st.sampled_from(_EVERY_MECHANISM), max_size=3).map(
        lambda some: b"".join(map(ulong, some))
    ),
}
_flags = st.sampled_from([
    CKA.TOKEN, CKA.PRIVATE, CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE, CKA.TRUSTED,
    CKA.WRAP_WITH_TRUSTED, CKA.ALWAYS_AUTHENTICATE, CKA.SIGN, CKA.VERIFY, CKA.ENCRYPT, CKA.DECRYPT, CKA.WRAP,
    CKA.UNWRAP, CKA.DERIVE, CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.HSM_OWNER_CERT, CKA.LOCAL_IDENTITY_CERT,
    CKA.SIGN_LOCAL_CERT, CKA.EXPORT, CKA.EXPORTABLE, CKA.IMPORT, CKA.DELETABLE,
])  # fmt: skip
_NESTED = (CKA.WRAP_TEMPLATE, CKA.UNWRAP_TEMPLATE, CKA.DERIVE_TEMPLATE)


def _entry(kind: int) -> Strategy:
    """Return entries for an attribute: (type, value, length)."""
    value = _VALUES.get(kind, _any_value)
    right = value.map(lambda data: (kind, data, None))
    wrong = st.one_of(
        st.tuples(st.just(kind), st.none(), st.one_of(st.none(), ulongs)),
        st.tuples(st.just(kind), _any_value, st.one_of(st.none(), st.sampled_from((0, *HUGE)))),
    )
    return st.one_of(*[right] * 9, wrong)


flag_entries = st.tuples(_flags, st.sampled_from([_TRUE, _FALSE]), st.none())
_entries = st.one_of(
    flag_entries,
    flag_entries,
    st.sampled_from(sorted(_VALUES)).flatmap(_entry),
    st.sampled_from(_ATTRIBUTES).flatmap(_entry),
    st.tuples(ulongs, _any_value, st.none()),
)
_nested = st.tuples(
    st.sampled_from(_NESTED),
    st.lists(_entries, max_size=3).map(lambda inner: ("template", inner)),
    st.one_of(st.none(), st.none(), st.sampled_from((0, 1, 23, *HUGE))),
)
_any_entries = st.one_of(_entries, _entries, _entries, _entries, _nested)


def _said(**attributes: int | bytes) -> list[tuple[int, bytes, None]]:
    """Return entries."""
    return [
        (getattr(CKA, name), ulong(value) if isinstance(value, int) else value, None)
        for name, value in attributes.items()
    ]


def _key(object_class: int, key_type: int, **attributes: int | bytes) -> list[tuple[int, bytes, None]]:
    """Return entries of a key."""
    return _said(CLASS=object_class, KEY_TYPE=key_type, **attributes)


def _certificate(**attributes: int | bytes) -> list[tuple[int, bytes, None]]:
    """Return entries of a certificate."""
    return _said(CLASS=CKO.CERTIFICATE, CERTIFICATE_TYPE=CKC.X_509, **attributes)


RIGHT = (
    [],
    _said(CLASS=CKO.DATA, VALUE=b"value"),
    _said(CLASS=CKO.CERTIFICATE, CERTIFICATE_TYPE=CKC.X_509, SUBJECT=b"0\x00", VALUE=b"0\x00"),
    _certificate(SUBJECT=b"0\x00", VALUE=CERTIFICATE),
    _certificate(HSM_OWNER_CERT=_TRUE, VALUE=CERTIFICATE),
    _certificate(LOCAL_IDENTITY_CERT=_TRUE, VALUE=CERTIFICATE),
    _certificate(LOCAL_IDENTITY_CERT=_FALSE, VALUE=CERTIFICATE),
    _certificate(),
    _said(CLASS=CKO.CERTIFICATE_REQUEST, VALUE=REQUEST),
    _said(CLASS=CKO.CERTIFICATE_REQUEST, LABEL=b"request"),
    _key(CKO.SECRET_KEY, CKK.AES, VALUE=b"k" * 16),
    _key(CKO.SECRET_KEY, CKK.AES, VALUE_LEN=16),
    _key(CKO.SECRET_KEY, CKK.AES),
    _key(CKO.SECRET_KEY, CKK.GENERIC_SECRET, VALUE=b"k"),
    _key(CKO.SECRET_KEY, CKK.GENERIC_SECRET, VALUE_LEN=20),
    _key(CKO.PRIVATE_KEY, CKK.RSA),
    _key(CKO.PUBLIC_KEY, CKK.RSA),
    _key(CKO.PRIVATE_KEY, CKK.EC),
    _key(CKO.PUBLIC_KEY, CKK.RSA, MODULUS=b"\xab" * 129, PUBLIC_EXPONENT=b"\x01\x00\x01"),
    _key(CKO.PUBLIC_KEY, CKK.RSA, MODULUS=b"\xab" * 512, PUBLIC_EXPONENT=b"\xaa" * 500 + b"\x01"),
    _key(CKO.PUBLIC_KEY, CKK.RSA, MODULUS_BITS=1024),
    _key(
        CKO.PRIVATE_KEY, CKK.RSA, MODULUS=b"\xab" * 129, PUBLIC_EXPONENT=b"\x01\x00\x01",
        PRIVATE_EXPONENT=b"\x77" * 128,
    ),
    _key(
        CKO.PRIVATE_KEY, CKK.RSA, MODULUS=b"\xab" * 129, PUBLIC_EXPONENT=b"\x03", PRIVATE_EXPONENT=b"\x77" * 128,
        PRIME_1=b"\xff" * 64, PRIME_2=b"\xfd" * 64, EXPONENT_1=b"\x01", EXPONENT_2=b"\x01", COEFFICIENT=b"\x01",
    ),
    _key(CKO.PRIVATE_KEY, CKK.EC, EC_PARAMS=_P256, VALUE=b"\x01"),
    _key(CKO.PUBLIC_KEY, CKK.EC, EC_PARAMS=_P256, EC_POINT=_POINT),
    _key(CKO.PUBLIC_KEY, CKK.EC, EC_PARAMS=_P256),
    _key(CKO.PRIVATE_KEY, CKK.EC_EDWARDS, EC_PARAMS=_ED25519, VALUE=b"\x01" * 32),
    _key(CKO.PUBLIC_KEY, CKK.EC_MONTGOMERY, EC_PARAMS=b"\x13\x0acurve25519", EC_POINT=b"\x00" * 32),
    _key(CKO.DOMAIN_PARAMETERS, CKK.DH, PRIME=b"\xff" * 16, BASE=b"\x02"),
)  # fmt: skip


_GENERATED = tuple(entries for entries in RIGHT if any(kind == CKA.VALUE_LEN for kind, *_ in entries))
TYPE_ALONE = 2
_FITTING = {
    "C_CreateObject template": tuple(
        entries for entries in RIGHT if len(entries) > TYPE_ALONE or entries[:1] == RIGHT[1][:1]
    ),
    "C_CopyObject template": ([],),
    "C_SetAttributeValue template": ([],),
    "C_FindObjectsInit template": ([], *RIGHT),
    "C_GenerateKey template": (*_GENERATED, _said(VALUE_LEN=16), _said(VALUE_LEN=32)),
    "C_GenerateKeyPair public": (
        _said(MODULUS_BITS=1024), _said(EC_PARAMS=_P256), _said(EC_PARAMS=_ED25519),
        _said(EC_PARAMS=b"\x13\x0acurve25519"), [], _said(HSM_OWNER_CERT=_TRUE),
    ),
    "C_GenerateKeyPair private": ([], [], _said(HSM_OWNER_CERT=_TRUE)),
}


def template_arrays(place: str = "") -> Strategy:
    """Return templates for a place in a call."""
    return _spoiled(_FITTING.get(place, RIGHT))


def _spoiled(right: tuple[list[Any], ...]) -> Strategy:
    """Return (template, count): a right one, with some attributes dropped, changed, doubled or added."""
    return Strategy(lambda chance: _spoil(chance, right))


def _spoil(chance: Random, right: tuple[list[Any], ...]) -> tuple[Any, int]:
    """Return one of `_spoiled`."""

    def draw(strategy: Strategy) -> Any:  # noqa: ANN401
        return strategy.draw(chance)

    entries = list(draw(st.sampled_from(right)))
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2)))):
        entry = draw(_any_entries)
        places = [place for place, (kind, *_) in enumerate(entries) if kind == entry[0]]
        if places and draw(st.integers(0, 3)):
            entries[places[0]] = entry
        else:
            entries.append(entry)
    if entries and not draw(st.integers(0, 9)):
        del entries[draw(st.integers(0, len(entries) - 1))]
    if not draw(st.integers(0, 19)):
        entries += entries[:1]
    if not draw(st.integers(0, 40)):
        return None, draw(ulongs)
    return ("template", entries), draw(st.sampled_from(HUGE)) if not draw(st.integers(0, 40)) else len(entries)


_asked = st.one_of(
    st.sampled_from(_ATTRIBUTES).flatmap(
        lambda kind: st.one_of(
            rooms.map(lambda room: (kind, ("out", room), None)),
            st.just((kind, None, 0)),
            st.sampled_from(HUGE).map(lambda room: (kind, ("out", MEMORY), room)),
        )
        if kind not in _NESTED
        else st.lists(st.just((0, ("out", 64), None)), max_size=2).map(lambda inner: (kind, ("template", inner), None))
    )
)
asked_types = st.one_of(
    st.lists(_asked, max_size=5).map(lambda some: (("template", some), len(some))),
    st.lists(_asked, max_size=5).map(lambda some: (("template", some), len(some))),
    st.tuples(st.none(), ulongs),
    st.sampled_from(HUGE).map(lambda count: (("template", []), count)),
)


