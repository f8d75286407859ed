"""Objects as ctkmu and ctcert show, pick and make them: attribute letters, key types, curves.

A letter stands for an attribute that is true; of the letters of `-a` those count that the object's class has, and the
others of its class are false. Letters that are not in the vendor's public text are ours.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from asn1crypto import core
from cryptography import x509
from pkcs11.exceptions import PKCS11Error

from ptkc.tools import common
from ptkc.vendor import Attribute, KeyType, Mechanism, ObjectClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "BY_OFFICER", "CERTIFICATES", "CURVES", "GENERATION", "KEYS", "KEY_TYPES", "KINDS", "LETTERS", "Description",
    "Making", "change", "curve", "curve_type", "describe", "find", "letters", "name_text", "named", "pair",
    "parameters", "pick", "template",
]  # fmt: skip

LETTERS = {
    "P": "PRIVATE", "T": "SENSITIVE", "M": "MODIFIABLE", "E": "ENCRYPT", "D": "DECRYPT", "S": "SIGN", "V": "VERIFY",
    "W": "WRAP", "U": "UNWRAP", "R": "DERIVE", "X": "EXTRACTABLE", "x": "EXPORTABLE", "w": "EXPORT", "I": "IMPORT",
    "L": "SIGN_LOCAL_CERT", "C": "USAGE_COUNT",
}  # fmt: skip

KEYS = (ObjectClass.SECRET_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY)
CERTIFICATES = (ObjectClass.CERTIFICATE_REQUEST, ObjectClass.CERTIFICATE)

BY_OFFICER = "wI"
"""The letters that only the Security Officer gives."""

# The letters that a class of objects has, and those of them that are not even named when they are not given: the HSM's
# default is false, and other HSMs and older ones do not know them.
_APPLY = {
    ObjectClass.SECRET_KEY: "PTMEDSVWURXxwIC",
    ObjectClass.PUBLIC_KEY: "MEVWw",
    ObjectClass.PRIVATE_KEY: "PTMDSURXxILC",
}
_SILENT = "xwILC"

# Features, which are the HSM itself, are no objects to list, change or delete: ctconf is the tool for them.
KINDS = {
    ObjectClass.DATA: "data",
    ObjectClass.CERTIFICATE: "certificate",
    ObjectClass.PUBLIC_KEY: "public key",
    ObjectClass.PRIVATE_KEY: "private key",
    ObjectClass.SECRET_KEY: "secret key",
    ObjectClass.CERTIFICATE_REQUEST: "certificate request",
    ObjectClass.DOMAIN_PARAMETERS: "domain parameters",
}
_SHOWN = (
    Attribute.CLASS, Attribute.LABEL, Attribute.ID, Attribute.KEY_TYPE, Attribute.VALUE_LEN, Attribute.MODULUS,
    Attribute.EC_PARAMS, *(getattr(Attribute, name) for name in LETTERS.values()),
)  # fmt: skip


class Making(NamedTuple):
    """How keys of a type are made: one key or a pair, bits without `-z` (0: they have one size), usual letters."""

    key_type: KeyType
    pair: bool
    bits: int
    letters: str


KEY_TYPES = {
    "aes": Making(KeyType.AES, pair=False, bits=256, letters="PTMEDSVWU"),
    "des": Making(KeyType.DES, pair=False, bits=0, letters="PTMEDSV"),
    "des2": Making(KeyType.DES2, pair=False, bits=0, letters="PTMEDSVWU"),
    "des3": Making(KeyType.DES3, pair=False, bits=0, letters="PTMEDSVWU"),
    "generic": Making(KeyType.GENERIC_SECRET, pair=False, bits=256, letters="PTMSVR"),
    "rsa": Making(KeyType.RSA, pair=True, bits=2048, letters="PTMEDSVWU"),
    "ec": Making(KeyType.EC, pair=True, bits=0, letters="PTMSVR"),
}

# Where python-pkcs11 does not know the mechanism by the key type.
GENERATION = {"des": Mechanism.DES_KEY_GEN}

_FIXED = {KeyType.DES: "64", KeyType.DES2: "128", KeyType.DES3: "192"}

# Names: SEC 2, RFC 5639, RFC 8410, and NIST's.
CURVES = {
    "secp192r1": "1.2.840.10045.3.1.1", "secp224r1": "1.3.132.0.33", "secp256r1": "1.2.840.10045.3.1.7",
    "secp384r1": "1.3.132.0.34", "secp521r1": "1.3.132.0.35", "secp256k1": "1.3.132.0.10",
    "brainpoolP256r1": "1.3.36.3.3.2.8.1.1.7", "brainpoolP384r1": "1.3.36.3.3.2.8.1.1.11",
    "brainpoolP512r1": "1.3.36.3.3.2.8.1.1.13", "ed25519": "1.3.101.112", "ed448": "1.3.101.113",
}  # fmt: skip
_NIST = {"P-192": "secp192r1", "P-224": "secp224r1", "P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1"}
_OTHERS = {"prime192v1": "secp192r1", "prime256v1": "secp256r1"}


def letters(text: str) -> str:
    """Return attribute letters without doubles, for argparse."""
    found = text.replace("i", "I").replace(",", "")
    unknown = sorted(set(found) - set(LETTERS))
    if unknown:
        known = ", ".join(f"{letter} {name}" for letter, name in LETTERS.items())
        raise argparse.ArgumentTypeError(f"no attribute letter {', '.join(unknown)}: {known}")
    return "".join(dict.fromkeys(found))


def curve(text: str) -> str:
    """Return the name of a curve as CURVES has it, for argparse."""
    name = {**_NIST, **_OTHERS}.get(text, text)
    for known in CURVES:
        if name.lower() == known.lower():
            return known
    raise argparse.ArgumentTypeError(f"no curve {text!r}: {', '.join(CURVES)}")


def parameters(name: str) -> bytes:
    """Return CKA_EC_PARAMS of a curve of CURVES."""
    encoded: bytes = core.ObjectIdentifier(CURVES[name]).dump()
    return encoded


def curve_type(name: str) -> KeyType:
    """Return the key type of the keys on a curve of CURVES."""
    return KeyType.EC_EDWARDS if name.startswith("ed") else KeyType.EC  # type: ignore[no-any-return]


def template(object_class: ObjectClass, given: str) -> dict[Attribute, Any]:
    """Return the attributes that letters mean for an object of this class."""
    found: dict[Attribute, Any] = {}
    for letter in _APPLY[object_class]:
        if letter in given or letter not in _SILENT:
            found[getattr(Attribute, LETTERS[letter])] = letter in given if letter != "C" else 0
    return found


def change(found: Any, given: str, taken: str, label: str | None) -> None:  # noqa: ANN401 - python-pkcs11's object
    """Set and clear the attributes of letters that the object's class has, and change its label."""
    has = _APPLY[found[Attribute.CLASS]]
    for letter in given + taken:
        if letter in has:
            found[getattr(Attribute, LETTERS[letter])] = 0 if letter == "C" else letter in given
    if label is not None:
        found[Attribute.LABEL] = label


class Description(NamedTuple):
    """What is shown of an object: `size` is bits or a curve's name, `letters` the attributes that are true."""

    handle: int
    label: str
    kind: str
    type: str
    size: str
    letters: str
    id: str


def describe(found: Any) -> Description:  # noqa: ANN401 - python-pkcs11's object
    """Return what is shown of an object."""
    values = found.get_attributes(_SHOWN)
    object_class = values.get(Attribute.CLASS)
    key_type = values.get(Attribute.KEY_TYPE)
    shown = [letter for letter, name in LETTERS.items() if _true(values, letter, getattr(Attribute, name))]
    return Description(
        handle=found.handle,
        label=values.get(Attribute.LABEL, ""),
        kind=KINDS.get(object_class, "object"),
        type="" if key_type is None else key_type.name.lstrip("_"),
        size=_size(values),
        letters="".join(shown),
        id=values.get(Attribute.ID, b"").hex(),
    )


def _true(values: dict[Attribute, Any], letter: str, attribute: Attribute) -> bool:
    """Return whether a letter is shown: the attribute is true, or there is a count."""
    return attribute in values if letter == "C" else values.get(attribute) is True


def _size(values: dict[Attribute, Any]) -> str:
    """Return the bits of a key, or the name of its curve, as text."""
    if Attribute.MODULUS in values:
        return str(int.from_bytes(values[Attribute.MODULUS], "big").bit_length())
    if values.get(Attribute.KEY_TYPE) in _FIXED:
        return _FIXED[values[Attribute.KEY_TYPE]]
    if Attribute.VALUE_LEN in values and Attribute.KEY_TYPE in values:
        return str(values[Attribute.VALUE_LEN] * 8)
    if values.get(Attribute.EC_PARAMS):
        for name in CURVES:
            if values[Attribute.EC_PARAMS] == parameters(name):
                return name
        return "other curve"
    return ""


def find(session: Any, label: str | None, classes: Iterable[ObjectClass]) -> Iterator[Any]:  # noqa: ANN401
    """Yield the objects with this label (None: any) and one of these classes, in the order of the classes."""
    for object_class in classes:
        attributes: dict[Attribute, Any] = {Attribute.CLASS: object_class}
        if label is not None:
            attributes[Attribute.LABEL] = label
        yield from list(session.get_objects(attributes))


def named(session: Any, label: str, classes: tuple[ObjectClass, ...]) -> list[Any]:  # noqa: ANN401
    """Return the objects with this label and one of these classes; an error if there is none."""
    found = list(find(session, label, classes))
    if not found:
        what = " or ".join(KINDS[object_class] for object_class in classes) if len(classes) < len(KEYS) else "object"
        there = sorted({each[Attribute.LABEL] for each in find(session, None, classes)})
        hint = f"labels there: {', '.join(map(repr, there))}" if there else "there are none at all"
        raise common.ToolError(f"no {what} has the label {label!r}", hint)
    return found


def pick(found: list[Any], *, several: bool = False) -> list[Any]:
    """Return the object that is meant: the only one, or the one chosen by number; with `several` also `all`.

    The list is shown on standard error, the answer is the next line of the input.
    """
    if len(found) == 1:
        return found
    print("several objects have this label:", file=sys.stderr)
    for number, each in enumerate(found, 1):
        shown = describe(each)
        words = " ".join(filter(None, (shown.kind, shown.type, shown.size)))
        print(f"  {number}  {words}{_about(each)}", file=sys.stderr)
    answer = common.read_line(f"Which one? [1-{len(found)}{', all' * several}] ")
    if answer is None:
        raise common.EndOfInputError("nothing was chosen: the input is at its end", "write a number to it")
    if several and answer.strip().lower() == "all":
        return found
    if answer.strip().isascii() and answer.strip().isdigit() and 0 < int(answer) <= len(found):
        return [found[int(answer) - 1]]
    raise common.ToolError(f"{answer.strip()!r} is none of the numbers", "nothing was done")


def pair(found: list[Any]) -> list[Any]:
    """Return the objects if they belong together, having one CKA_ID, else the one that is chosen, or all."""
    ids = {each[Attribute.ID] for each in found}
    return found if len(ids) == 1 and ids != {b""} else pick(found, several=True)


def _about(found: Any) -> str:  # noqa: ANN401 - python-pkcs11's object
    """Return what tells certificates and requests of one label apart: whose they are, and by whom."""
    try:
        values = found.get_attributes([Attribute.CLASS, Attribute.VALUE])
        if values[Attribute.CLASS] == ObjectClass.CERTIFICATE:
            certificate = x509.load_der_x509_certificate(values[Attribute.VALUE])
            return f", {name_text(certificate.subject)}, by {name_text(certificate.issuer)}"
        if values[Attribute.CLASS] == ObjectClass.CERTIFICATE_REQUEST:
            return f", {name_text(x509.load_der_x509_csr(values[Attribute.VALUE]).subject)}"
    except (PKCS11Error, ValueError):
        pass
    return ""


def name_text(name: x509.Name) -> str:
    """Return a name of a certificate as text, the most specific part first."""
    return name.rfc4514_string({x509.NameOID.SERIAL_NUMBER: "serialNumber"})
