"""Mechanism parameters: what the C structures hold, as values.

A parameter is None (absent), bytes (an IV, or what no row below knows), a namedtuple (a structure, with what its
pointers name copied), or `MALFORMED` where the C side's length or pointers cannot be right; which of them fits is
for the mechanism to say. A structure is one row: its members in the order of the C declaration, with the native
alignment and sizes of the machine's CK_ULONG. Two or three forms of one structure are told apart by their length.
Between processes a value travels without pointers: numbers as 8 bytes little-endian, byte strings behind their length.
"""

from __future__ import annotations

from collections import namedtuple
from operator import itemgetter
from struct import Struct

from ptkc.spec.constants import CKM, CKR
from ptkc.spec.errors import CryptokiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]

__all__ = [
    "CBC_DATA", "CCM", "CTR", "ECDH", "EDDSA", "EXTRACT", "GCM", "GEN_PIK", "HANDLE", "HKDF", "IV4", "IV8", "IV16",
    "KEY_DATA", "MAC_GENERAL", "MALFORMED", "MAXIMUM", "MECH_AND_OBJECT", "OAEP", "PSS", "SECRET_SHARE", "Bytes",
    "CbcData", "Ccm", "Ctr", "Ecdh", "Eddsa", "Extract", "Gcm", "GenPik", "Handle", "Hkdf", "KeyData", "Layout",
    "MacGeneral", "MechanismAndObject", "Oaep", "Pss", "Share", "pack", "parse", "unpack",
]  # fmt: skip

MAXIMUM = 2**31 - 1
"""The longest parameter, or part of one, that is read from the application's memory, in bytes."""


class _Malformed:
    """The type of `MALFORMED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the name."""
        return "MALFORMED"


MALFORMED = _Malformed()
"""The value of a parameter whose length or pointers do not fit its structure; no mechanism accepts it."""

Gcm = namedtuple("Gcm", "iv iv_bits aad tag_bits")
Ccm = namedtuple("Ccm", "data_len nonce aad mac_len")
Ctr = namedtuple("Ctr", "bits block")
MacGeneral = namedtuple("MacGeneral", "length")
Pss = namedtuple("Pss", "hash mgf salt_len")
Oaep = namedtuple("Oaep", "hash mgf source label")
Ecdh = namedtuple("Ecdh", "kdf shared public")
Eddsa = namedtuple("Eddsa", "ph context")
Extract = namedtuple("Extract", "bit")
Handle = namedtuple("Handle", "handle")
KeyData = namedtuple("KeyData", "data")
CbcData = namedtuple("CbcData", "iv data")
Hkdf = namedtuple("Hkdf", "extract expand hash salt_type salt salt_key info")
MechanismAndObject = namedtuple("MechanismAndObject", "mechanism object")
GenPik = namedtuple("GenPik", "self_sign")
Share = namedtuple("Share", "n m")

_NUMBER = Struct("<Q")
# Member kinds: their format in `struct`. A pointer and its length carry the same name; `unused` members are skipped,
# and `zero` ones make the structure malformed unless they are 0.
_FORMATS = {"ulong": "L", "length": "L", "pointer": "P", "boolean": "?", "block": "16s", "unused": "L", "zero": "L"}
_SILENT = ("length", "unused", "zero")


class _Form:
    """One C declaration of a structure: how its members become the fields of the value."""

    __slots__ = ("pick", "pointers", "size", "unpack", "zeros")

    def __init__(self, fields: tuple[str, ...], members: str) -> None:
        """Read `members`, a run of `name:kind`; a field that no member gives is 0."""
        rows = [tuple(member.split(":")) for member in members.split()]
        # The widest member, no times, closes the structure with the padding that an array of it would have.
        formats = [_FORMATS[kind] for _, kind in rows]
        struct = Struct("@" + "".join(formats) + ("0?" if set(formats) == {"?"} else "0L"))
        self.size = struct.size
        self.unpack = struct.unpack
        places = {row: place for place, row in enumerate(rows)}
        self.pointers = tuple((places[row], places[row[0], "length"]) for row in rows if row[1] == "pointer")
        self.zeros = tuple(places[row] for row in rows if row[1] == "zero")
        values = {name: place for (name, kind), place in places.items() if kind not in _SILENT}
        self.pick = itemgetter(*(values.get(field, -1) for field in fields))


class Layout:
    """A parameter structure: `name` as in C, the namedtuple `value` it becomes, and its members."""

    __slots__ = ("_forms", "_kinds", "name", "value")

    def __init__(self, name: str, value: type, *forms: str) -> None:
        """Keep the structure's `forms`, each a run of `name:kind` members (see `_FORMATS`); the first is complete."""
        fields: tuple[str, ...] = value._fields  # type: ignore[attr-defined]
        self.name = name
        self.value = value
        # itemgetter with one index does not give a tuple: a second, unused field evens that out.
        padded = fields if len(fields) > 1 else (*fields, "")
        self._forms = {form.size: form for form in (_Form(padded, members) for members in forms)}
        kinds = [member.split(":") for member in forms[0].split()]
        self._kinds = tuple(kind for name, kind in kinds if kind not in _SILENT)

    def __repr__(self) -> str:
        """Return the structure's name."""
        return self.name

    def accepts(self, value: object) -> bool:
        """Whether `value` is this structure."""
        return type(value) is self.value

    def parse(self, raw: bytes, read: Read) -> object:
        """Return the value of the structure `raw`; `read(address, length)` copies what a pointer names."""
        form = self._forms.get(len(raw))
        if form is None:
            return MALFORMED
        members = [*form.unpack(raw), 0]
        for pointer, size in form.pointers:
            length = members[size]
            if length:
                address = members[pointer]
                if not address or length > MAXIMUM:
                    return MALFORMED
                members[pointer] = read(address, length)
            else:
                members[pointer] = b""
        for place in form.zeros:
            if members[place]:
                return MALFORMED
        return tuple.__new__(self.value, form.pick(members)[: len(self._kinds)])

    def pack(self, value: tuple[object, ...]) -> bytes:
        """Return the value without pointers."""
        parts: list[bytes] = []
        for field, kind in zip(value, self._kinds, strict=True):
            if isinstance(field, bytes):
                parts += (_NUMBER.pack(len(field)), field) if kind == "pointer" else (field,)
            else:
                parts.append(_NUMBER.pack(field))
        return b"".join(parts)

    def unpack(self, data: bytes) -> object:
        """Return the value that `pack` made; CKR_MECHANISM_PARAM_INVALID for any other bytes."""
        fields: list[object] = []
        position = 0
        for kind in self._kinds:
            size = 16 if kind == "block" else 8
            part = data[position : position + size]
            position += size
            if kind == "block":
                fields.append(part)
                continue
            number = int.from_bytes(part, "little")
            if kind == "pointer":
                fields.append(data[position : position + number])
                position += number
            elif kind == "boolean" and number > 1:
                raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{self.name}: {number} is not a boolean")
            else:
                fields.append(number == 1 if kind == "boolean" else number)
        # Slices never fail: whatever was cut short left the position behind the end.
        if position != len(data):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{self.name}: {len(data)} bytes do not fit")
        return tuple.__new__(self.value, fields)


class Bytes:
    """A parameter that is a byte string, as an IV; `lengths` are the lengths it may have."""

    __slots__ = ("lengths", "name")

    def __init__(self, name: str, *lengths: int) -> None:
        """Keep the name for messages and the lengths."""
        self.name = name
        self.lengths = lengths

    def __repr__(self) -> str:
        """Return the name."""
        return self.name

    def accepts(self, value: object) -> bool:
        """Whether `value` is a byte string of a fitting length."""
        return type(value) is bytes and len(value) in self.lengths


IV4 = Bytes("4 bytes of IV", 4)
IV8 = Bytes("8 bytes of IV", 8)
IV16 = Bytes("16 bytes of IV", 16)

# The second form is CK_GCM_PARAMS before Cryptoki 2.40 errata 1, which had no ulIvBits. The third is
# CK_GCM_WRAP_PARAMS: as long as nothing is generated (CKG_NO_GENERATE, 0) it says the same.
GCM = Layout(
    "CK_GCM_PARAMS", Gcm,
    "iv:pointer iv:length iv_bits:ulong aad:pointer aad:length tag_bits:ulong",
    "iv:pointer iv:length aad:pointer aad:length tag_bits:ulong",
    "iv:pointer iv:length fixed:unused generator:zero aad:pointer aad:length tag_bits:ulong",
)  # fmt: skip
CCM = Layout(
    "CK_CCM_PARAMS", Ccm,
    "data_len:ulong nonce:pointer nonce:length aad:pointer aad:length mac_len:ulong",
    "data_len:ulong nonce:pointer nonce:length fixed:unused generator:zero aad:pointer aad:length mac_len:ulong",
)  # fmt: skip
CTR = Layout("CK_AES_CTR_PARAMS", Ctr, "bits:ulong block:block")
MAC_GENERAL = Layout("CK_MAC_GENERAL_PARAMS", MacGeneral, "length:ulong")
PSS = Layout("CK_RSA_PKCS_PSS_PARAMS", Pss, "hash:ulong mgf:ulong salt_len:ulong")
OAEP = Layout("CK_RSA_PKCS_OAEP_PARAMS", Oaep, "hash:ulong mgf:ulong source:ulong label:pointer label:length")
ECDH = Layout("CK_ECDH1_DERIVE_PARAMS", Ecdh, "kdf:ulong shared:length shared:pointer public:length public:pointer")
EDDSA = Layout("CK_EDDSA_PARAMS", Eddsa, "ph:boolean context:length context:pointer")
EXTRACT = Layout("CK_EXTRACT_PARAMS", Extract, "bit:ulong")
HANDLE = Layout("CK_OBJECT_HANDLE", Handle, "handle:ulong")
KEY_DATA = Layout("CK_KEY_DERIVATION_STRING_DATA", KeyData, "data:pointer data:length")
CBC_DATA = Layout("CK_AES_CBC_ENCRYPT_DATA_PARAMS", CbcData, "iv:block data:pointer data:length")
HKDF = Layout(
    "CK_HKDF_PARAMS", Hkdf,
    "extract:boolean expand:boolean hash:ulong salt_type:ulong salt:pointer salt:length salt_key:ulong "
    "info:pointer info:length",
)  # fmt: skip
MECH_AND_OBJECT = Layout("CK_MECH_TYPE_AND_OBJECT", MechanismAndObject, "mechanism:ulong object:ulong")
GEN_PIK = Layout("CK_GEN_PIK_PARAM", GenPik, "self_sign:boolean")
SECRET_SHARE = Layout("CK_SECRET_SHARE_PARAMS", Share, "n:ulong m:ulong")

_LAYOUTS = {
    CKM.AES_GCM: GCM,
    CKM.AES_GMAC: GCM,
    CKM.AES_CCM: CCM,
    CKM.AES_CTR: CTR,
    CKM.AES_CMAC_GENERAL: MAC_GENERAL,
    CKM.AES_MAC_GENERAL: MAC_GENERAL,
    CKM.RSA_PKCS_OAEP: OAEP,
    CKM.ECDH1_DERIVE: ECDH,
    CKM.ECDH1_COFACTOR_DERIVE: ECDH,
    CKM.EDDSA: EDDSA,
    CKM.AES_ECB_ENCRYPT_DATA: KEY_DATA,
    CKM.AES_CBC_ENCRYPT_DATA: CBC_DATA,
    CKM.CONCATENATE_BASE_AND_KEY: HANDLE,
    CKM.CONCATENATE_BASE_AND_DATA: KEY_DATA,
    CKM.CONCATENATE_DATA_AND_BASE: KEY_DATA,
    CKM.EXTRACT_KEY_FROM_KEY: EXTRACT,
    CKM.XOR_BASE_AND_DATA: KEY_DATA,
    CKM.HKDF_DERIVE: HKDF,
    CKM.ENCODE_X_509: MECH_AND_OBJECT,
    CKM.ENCODE_X_509_LOCAL_CERT: MECH_AND_OBJECT,
    CKM.ENCODE_PKCS_10: MECH_AND_OBJECT,
    CKM.GEN_PIK_ECC_P521: GEN_PIK,
    CKM.SECRET_SHARE_WITH_ATTRIBUTES: SECRET_SHARE,
    **{number: PSS for name, number in vars(CKM).items() if name.endswith("_PKCS_PSS")},
    **{number: MAC_GENERAL for name, number in vars(CKM).items() if name.endswith("_HMAC_GENERAL")},
}

_ABSENT, _BYTES, _STRUCTURE, _MALFORMED = b"\0", b"\1", b"\2", b"\3"


def parse(mechanism_type: int, raw: bytes, read: Read) -> object:
    """Return the value of a CK_MECHANISM's parameter; `raw` are the ulParameterLen bytes at pParameter.

    `read(address, length)` copies what a pointer inside names. Nothing is refused here but by `MALFORMED`.
    """
    if not raw:
        return None
    layout = _LAYOUTS.get(mechanism_type)
    return raw if layout is None else layout.parse(raw, read)


def pack(mechanism_type: int, value: object) -> bytes:
    """Return a parameter for the wire: a byte that says its kind, then the value without pointers."""
    if value is None:
        return _ABSENT
    if isinstance(value, tuple):
        return _STRUCTURE + _LAYOUTS[mechanism_type].pack(value)
    return _BYTES + value if isinstance(value, bytes) else _MALFORMED


def unpack(mechanism_type: int, data: bytes) -> object:
    """Return the parameter that `pack` made; CKR_MECHANISM_PARAM_INVALID for any other bytes."""
    kind, rest = data[:1], data[1:]
    if kind == _BYTES and rest:
        return rest
    if kind == _STRUCTURE and mechanism_type in _LAYOUTS:
        return _LAYOUTS[mechanism_type].unpack(rest)
    if rest or kind not in (_ABSENT, _MALFORMED):
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{len(data)} bytes are no mechanism parameter")
    return None if kind == _ABSENT else MALFORMED
