"""Distinguished names: the DER of a Name (RFC 5280 4.1.2.4), and the text that CKA_SUBJECT_STR and CKA_ISSUER_STR hold.

The text is RFC 4514's, `CN=host,O=Example,C=CA`, in the other order than the DER: a comma parts relative names, a plus
sign the attributes of one of them, a backslash takes the next character, or the two hexadecimal digits of a byte, as
they are. Blanks after a comma are not meant; attributes beyond RFC 4514's table have names too (serialNumber).
"""

from __future__ import annotations

from ptkc.mechanisms import der

__all__ = ["Name", "build", "from_text", "parse", "to_text"]

Name = list[list[tuple[str, str]]]
"""Relative names in the order of the DER; each has (dotted object identifier, value), one or more."""

_PRINTABLE, _IA5, _UTF8 = 0x13, 0x16, 0x0C
_CODECS = {_UTF8: "utf-8", _PRINTABLE: "ascii", _IA5: "ascii", 0x14: "latin-1", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
_COUNTRY, _SERIAL_NUMBER, _EMAIL = "2.5.4.6", "2.5.4.5", "1.2.840.113549.1.9.1"
_DOMAIN = "0.9.2342.19200300.100.1.25"
# RFC 4519 and RFC 4514 3; what is not here is written as an object identifier.
_TYPES = {
    "CN": "2.5.4.3",
    "C": _COUNTRY,
    "ST": "2.5.4.8",
    "L": "2.5.4.7",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "T": "2.5.4.12",
    "SN": "2.5.4.4",
    "GN": "2.5.4.42",
    "serialNumber": _SERIAL_NUMBER,
    "emailAddress": _EMAIL,
    "DC": _DOMAIN,
    "UID": "0.9.2342.19200300.100.1.1",
}
_SYNONYMS = {"S": "ST", "E": "emailAddress", "EMAIL": "emailAddress", "TITLE": "T", "SURNAME": "SN", "GIVENNAME": "GN"}
_BY_NAME = {name.upper(): dotted for name, dotted in _TYPES.items()}
_BY_NAME |= {synonym: _TYPES[name] for synonym, name in _SYNONYMS.items()}
_BY_OID = {dotted: name for name, dotted in _TYPES.items()}
_TAGS = {_COUNTRY: _PRINTABLE, _SERIAL_NUMBER: _PRINTABLE, _EMAIL: _IA5, _DOMAIN: _IA5}
_IN_PRINTABLE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
_SPECIAL = frozenset(',+"\\<>;')
_LONGEST_VALUE = 32768
_COUNTRY_LENGTH = 2


def _value(dotted: str, text: str) -> bytes:
    """Return the DER of an attribute's value; ValueError for what the attribute cannot be."""
    tag = _TAGS.get(dotted, _UTF8)
    content = text.encode(_CODECS[tag])
    if not 0 < len(content) <= _LONGEST_VALUE:
        raise ValueError(f"{_BY_OID.get(dotted, dotted)} is empty or too long")
    if tag == _PRINTABLE and not _IN_PRINTABLE.issuperset(content):
        raise ValueError(f"{_BY_OID[dotted]} has characters that a PrintableString does not have")
    if dotted == _COUNTRY and len(content) != _COUNTRY_LENGTH:
        raise ValueError("C is not a country of two letters")
    return der.write(tag, content)


def build(name: Name) -> bytes:
    """Return the DER of a name; ValueError if it cannot be one."""
    relative = (
        der.write(der.SET, *sorted(der.sequence(der.oid(dotted), _value(dotted, text)) for dotted, text in attributes))
        for attributes in name
    )
    return der.sequence(*relative)


def parse(data: bytes) -> Name:
    """Return the name that `data` is the DER of; ValueError."""
    name: Name = []
    for relative in der.open_sequence(data):
        if relative.tag != der.SET:
            raise ValueError("a relative name that is no SET")
        attributes = []
        for attribute in der.read_all(relative.content):
            dotted, value = der.open_sequence(attribute.whole)
            codec = _CODECS.get(value.tag)
            if codec is None:
                raise ValueError(f"a name with a value of the tag {value.tag:#x}")
            attributes.append((der.open_oid(dotted.whole), value.content.decode(codec)))
        if not attributes:
            raise ValueError("an empty relative name")
        name.append(attributes)
    return name


def to_text(name: Name) -> str:
    """Return a name as text."""
    return ",".join(
        "+".join(f"{_BY_OID.get(dotted, dotted)}={_escape(text)}" for dotted, text in attributes)
        for attributes in reversed(name)
    )


def _escape(text: str) -> str:
    """Return a value with backslashes where it would be read otherwise."""
    parts = []
    last = len(text) - 1
    for place, letter in enumerate(text):
        if letter in _SPECIAL or (letter == " " and place in (0, last)) or (letter == "#" and place == 0):
            parts.append("\\" + letter)
        elif letter.isprintable():
            parts.append(letter)
        else:
            parts += (f"\\{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))
    return "".join(parts)


def from_text(text: str) -> Name:
    """Return the name that `text` says; ValueError if it does not say one."""
    name: Name = []
    position, separator = 0, ","
    while position < len(text):
        kind, value, following, position = _attribute(text, position)
        if separator == "+":
            name[-1].append((kind, value))
        else:
            name.append([(kind, value)])
        separator = following
    if separator != "" or not name:
        raise ValueError("a name that is empty, or ends with a separator")
    name.reverse()
    return name


def _attribute(text: str, position: int) -> tuple[str, str, str, int]:
    """Return type and value of the attribute at `position`, the separator behind it ("" at the end) and the rest."""
    equals = text.find("=", position)
    if equals < 0:
        raise ValueError("a name has attributes of the form type=value")
    said = text[position:equals].strip()
    dotted = _BY_NAME.get(said.upper()) or der.open_oid(der.oid(said))
    value = bytearray()
    kept = 0  # blanks behind this place are not meant, unless a backslash stands before them
    position = equals + 1
    while position < len(text) and text[position] == " ":
        position += 1
    while position < len(text):
        letter = text[position]
        position += 1
        if letter in ",+":
            return dotted, value[: max(kept, len(value.rstrip(b" ")))].decode(), letter, position
        if letter != "\\":
            value += letter.encode()
            continue
        escaped = text[position : position + 2]
        if len(escaped) == 2 and all(digit in "0123456789abcdefABCDEF" for digit in escaped):  # noqa: PLR2004 - a byte
            value.append(int(escaped, 16))
        elif escaped:
            escaped = escaped[0]
            value += escaped.encode()
        else:
            raise ValueError("a name that ends with a backslash")
        position += len(escaped)
        kept = len(value)
    return dotted, value[: max(kept, len(value.rstrip(b" ")))].decode(), "", position
