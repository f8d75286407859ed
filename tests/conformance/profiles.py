"""A runner of the OASIS profiles' test cases: XML files of calls with their answers (PKCS #11 Profiles 3.2).

Each call of a file is made through the C interface, its answer written as the same XML, and compared with the answer
that the file has: function, code, elements, their order, and values. The values that may vary are those that the
profiles' conformance section lists (`VARIABLE`), and what is written `${…}`: it stands for what the last answer had
in its place. Text between elements is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from ptkc.spec.constants import CKA, CKF, CKM, CKO, CKR, CKU

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Template, code_name, encode

__all__ = ["VARIABLE", "run_case"]

VARIABLE = {
    "LibraryDescription", "LibraryVersion", "ManufacturerID", "SlotDescription", "HardwareVersion", "FirmwareVersion",
    "serialNumber", "label", "model", "utcTime", "SlotID", "Object", "Session", "Data", "EncryptedData", "RandomData",
    "VALUE", "PUBLIC_EXPONENT", "PRIVATE_EXPONENT", "PRIME_1", "PRIME_2", "EXPONENT_1", "EXPONENT_2", "COEFFICIENT",
    "PRIME", "SUBPRIME", "BASE", "EC_POINT", "UNIQUE_ID",
}  # fmt: skip
"""Elements, and types of attributes, whose value is a provider's own ("Permitted Test Case Variations")."""
_LISTS = {"SlotList", "MechanismList", "Object"}
"""Lists whose entries and order may vary; of `MechanismList`, what the case goes on to use must be there."""

_SYMBOL = re.compile(r"\$\{(.+)\}")
_FLAGS = {
    "Info": (),
    "SlotInfo": ("TOKEN_PRESENT", "REMOVABLE_DEVICE", "HW_SLOT"),
    "TokenInfo": (
        "RNG", "WRITE_PROTECTED", "LOGIN_REQUIRED", "USER_PIN_INITIALIZED", "RESTORE_KEY_NOT_NEEDED", "CLOCK_ON_TOKEN",
        "PROTECTED_AUTHENTICATION_PATH", "DUAL_CRYPTO_OPERATIONS", "TOKEN_INITIALIZED", "SECONDARY_AUTHENTICATION",
        "USER_PIN_COUNT_LOW", "USER_PIN_FINAL_TRY", "USER_PIN_LOCKED", "USER_PIN_TO_BE_CHANGED", "SO_PIN_COUNT_LOW",
        "SO_PIN_FINAL_TRY", "SO_PIN_LOCKED", "SO_PIN_TO_BE_CHANGED", "ERROR_STATE", "SEED_RANDOM_REQUIRED",
        "ASYNC_SESSION_SUPPORTED",
    ),
    "MechanismInfo": (
        "HW", "MESSAGE_ENCRYPT", "MESSAGE_DECRYPT", "MESSAGE_SIGN", "MESSAGE_VERIFY", "MULTI_MESSAGE", "FIND_OBJECTS",
        "ENCRYPT", "DECRYPT", "DIGEST", "SIGN", "SIGN_RECOVER", "VERIFY", "VERIFY_RECOVER", "GENERATE",
        "GENERATE_KEY_PAIR", "WRAP", "UNWRAP", "DERIVE", "ENCAPSULATE", "DECAPSULATE",
    ),
}  # fmt: skip
# The structures' members as the XML names them, in its order, which is the C structure's.
_MEMBERS = {
    "Info": {
        "CryptokiVersion": "cryptokiVersion", "ManufacturerID": "manufacturerID", "Flags": "flags",
        "LibraryDescription": "libraryDescription", "LibraryVersion": "libraryVersion",
    },
    "SlotInfo": {
        "SlotDescription": "slotDescription", "ManufacturerID": "manufacturerID", "Flags": "flags",
        "HardwareVersion": "hardwareVersion", "FirmwareVersion": "firmwareVersion",
    },
    "TokenInfo": {
        "label": "label", "ManufacturerID": "manufacturerID", "model": "model", "serialNumber": "serialNumber",
        "Flags": "flags", "MaxSessionCount": "ulMaxSessionCount", "SessionCount": "ulSessionCount",
        "MaxRwSessionCount": "ulMaxRwSessionCount", "RwSessionCount": "ulRwSessionCount", "MaxPinLen": "ulMaxPinLen",
        "MinPinLen": "ulMinPinLen", "TotalPublicMemory": "ulTotalPublicMemory",
        "FreePublicMemory": "ulFreePublicMemory", "TotalPrivateMemory": "ulTotalPrivateMemory",
        "FreePrivateMemory": "ulFreePrivateMemory", "HardwareVersion": "hardwareVersion",
        "FirmwareVersion": "firmwareVersion", "utcTime": "utcTime",
    },
    "MechanismInfo": {"MinKeySize": "ulMinKeySize", "MaxKeySize": "ulMaxKeySize", "Flags": "flags"},
}  # fmt: skip
_UNAVAILABLE = 2**64 - 1
_NUMBERS = {"CLASS": CKO}
_TEXTS = {"LABEL"}
_FLAG = {"TRUE": b"\1", "FALSE": b"\0"}


def run_case(path: Path, cryptoki: Cryptoki, label: str, pin: str) -> tuple[list[str], list[tuple[str, bytes]]]:
    """Run a case against a module that is not initialized, with the token called `label`.

    Return what deviates, each as `function/element: expected …, got …` or `function/element lacks …`, and
    (what, value) of what the caller may check itself: MODULUS, PUBLIC_EXPONENT, Data and Signature.
    """
    play = _Play(cryptoki, label, {"Pin": pin})
    lines = list(ET.parse(path).getroot())  # noqa: S314 - a file of ours
    for call, answer in zip(lines[::2], lines[1::2], strict=True):
        assert call.tag == answer.tag, f"{call.tag} is followed by {answer.tag}"
        play.compare(play.answer(call), answer)
    return play.deviations, play.seen


class _Play:
    """A case under way: what symbols stand for, what deviated so far."""

    def __init__(self, cryptoki: Cryptoki, label: str, symbols: dict[str, Any]) -> None:
        """Begin."""
        self.cryptoki = cryptoki
        self.label = label
        self.symbols = symbols
        self.deviations: list[str] = []
        self.seen: list[tuple[str, bytes]] = []

    # Calls

    def answer(self, call: ET.Element) -> ET.Element:
        """Make a call; return its answer as the XML has it."""
        answer = ET.Element(call.tag)
        code = _CALLS[call.tag](self, call, answer)
        answer.set("rv", code_name(code).removeprefix("CKR_"))
        return answer

    def value(self, call: ET.Element, name: str) -> Any:  # noqa: ANN401 - a number or text
        """Return what a call's element says, with what the symbol in it stands for."""
        text = call.find(name).get("value")
        symbol = _SYMBOL.fullmatch(text)
        return self.symbols[symbol[1]] if symbol else text

    def number(self, call: ET.Element, name: str) -> int:
        """Return the number that a call's element says."""
        return int(self.value(call, name))

    def call(self, name: str, *arguments: Any) -> int:  # noqa: ANN401 - of C
        """Call a C function."""
        return int(self.cryptoki.functions[name](*arguments))

    def session(self, call: ET.Element) -> int:
        """Return the session that a call names."""
        return self.number(call, "Session")

    def _initialize(self, _: ET.Element, __: ET.Element) -> int:
        return self.call("C_Initialize", NULL)

    def _finalize(self, _: ET.Element, __: ET.Element) -> int:
        return self.call("C_Finalize", NULL)

    def _info(self, answer: ET.Element, kind: str, structure: str, *arguments: Any) -> int:  # noqa: ANN401
        """Call a function that fills a structure."""
        filled = ffi.new(f"{structure} *")
        code = self.call(answer.tag, *arguments, filled)
        if code == CKR.OK:
            element = ET.SubElement(answer, kind)
            for name, member in _MEMBERS[kind].items():
                ET.SubElement(element, name, _shown(getattr(filled, member), kind if name == "Flags" else ""))
        return code

    def _get_info(self, _: ET.Element, answer: ET.Element) -> int:
        return self._info(answer, "Info", "CK_INFO")

    def _slot_info(self, call: ET.Element, answer: ET.Element) -> int:
        return self._info(answer, "SlotInfo", "CK_SLOT_INFO", self.number(call, "SlotID"))

    def _token_info(self, call: ET.Element, answer: ET.Element) -> int:
        return self._info(answer, "TokenInfo", "CK_TOKEN_INFO", self.number(call, "SlotID"))

    def _mechanism_info(self, call: ET.Element, answer: ET.Element) -> int:
        kind = getattr(CKM, self.value(call, "Type"))
        return self._info(answer, "MechanismInfo", "CK_MECHANISM_INFO", self.number(call, "SlotID"), kind)

    def _list(self, call: ET.Element, answer: ET.Element, name: str, item: str, *arguments: Any) -> int:  # noqa: ANN401
        """Call a function that fills a list, or says its length."""
        length = call.find(name).get("length")
        if length is None:
            count, array = ffi.new("CK_ULONG *"), NULL
        else:
            symbol = _SYMBOL.fullmatch(length)
            count = ffi.new("CK_ULONG *", int(self.symbols[symbol[1]] if symbol else length))
            array = ffi.new("CK_ULONG[]", max(1, count[0]))
        code = self.call(answer.tag, *arguments, array, count)
        if code == CKR.OK:
            element = ET.SubElement(answer, name)
            if array == NULL:
                element.set("length", str(count[0]))
            else:
                for number in self._ordered(name, array[0 : count[0]]):
                    ET.SubElement(element, item, {"value": number})
        return code

    def _ordered(self, name: str, numbers: Any) -> list[str]:  # noqa: ANN401
        """Return a list's entries, of slots the one with the token first: the case is about that."""
        if name == "MechanismList":
            names = {number: text for text, number in vars(CKM).items() if not text.startswith("_")}
            return [names.get(number, hex(number)) for number in numbers]
        slot = self.cryptoki.find_slot(self.label)
        return [str(number) for number in sorted(numbers, key=lambda number: number != slot)]

    def _slot_list(self, call: ET.Element, answer: ET.Element) -> int:
        present = _FLAG[call.find("TokenPresent").get("value").upper()][0]
        return self._list(call, answer, "SlotList", "SlotID", present)

    def _mechanism_list(self, call: ET.Element, answer: ET.Element) -> int:
        return self._list(call, answer, "MechanismList", "Type", self.number(call, "SlotID"))

    def _open(self, call: ET.Element, answer: ET.Element) -> int:
        flags = sum(getattr(CKF, name) for name in self.value(call, "Flags").split("|"))
        handle = ffi.new("CK_SESSION_HANDLE *")
        code = self.call("C_OpenSession", self.number(call, "SlotID"), flags, NULL, NULL, handle)
        if code == CKR.OK:
            ET.SubElement(answer, "Session", {"value": str(handle[0])})
        return code

    def _login(self, call: ET.Element, _: ET.Element) -> int:
        pin = self.value(call, "Pin").encode()
        return self.call("C_Login", self.session(call), getattr(CKU, self.value(call, "UserType")), pin, len(pin))

    def _with_session(self, call: ET.Element, _: ET.Element) -> int:
        return self.call(call.tag, self.session(call))

    def _close_all(self, call: ET.Element, _: ET.Element) -> int:
        return self.call("C_CloseAllSessions", self.number(call, "SlotID"))

    def _find_init(self, call: ET.Element, _: ET.Element) -> int:
        template = Template([
            (getattr(CKA, item.get("type")), _read(item.get("type"), item.get("value")))
            for item in call.find("Template")
        ])
        return self.call("C_FindObjectsInit", self.session(call), template.array, template.count)

    def _find(self, call: ET.Element, answer: ET.Element) -> int:
        most = int(call.find("Object").get("length"))
        handles, count = ffi.new("CK_ULONG[]", most), ffi.new("CK_ULONG *")
        code = self.call("C_FindObjects", self.session(call), handles, most, count)
        if code == CKR.OK:
            element = ET.SubElement(answer, "Object")
            for number in handles[0 : count[0]]:
                ET.SubElement(element, "Object", {"value": str(number)})
        return code

    def _attributes(self, call: ET.Element, answer: ET.Element) -> int:
        items = list(call.find("Template"))
        array, kept = ffi.new("CK_ATTRIBUTE[]", len(items)), []
        for entry, item in zip(array, items, strict=True):
            entry.type, length = getattr(CKA, item.get("type")), int(item.get("length", 0))
            if length:
                kept.append(ffi.new("CK_BYTE[]", length))
                entry.pValue, entry.ulValueLen = kept[-1], length
        code = self.call("C_GetAttributeValue", self.session(call), self._object(call), array, len(items))
        if code == CKR.OK:
            element = ET.SubElement(answer, "Template")
            for entry, item in zip(array, items, strict=True):
                name = item.get("type")
                if entry.pValue == NULL:
                    shown = {"length": str(entry.ulValueLen)}
                else:
                    content = bytes(ffi.buffer(entry.pValue, entry.ulValueLen))
                    self.seen.append((name, content))
                    shown = {"value": content.rstrip(b"\0").decode() if name in _TEXTS else content.hex()}
                ET.SubElement(element, "Attribute", {"type": name, **shown})
        return code

    def _object(self, call: ET.Element, name: str = "Object") -> int:
        return self.number(call, name)

    def _sign_init(self, call: ET.Element, _: ET.Element) -> int:
        mechanism = ffi.new("CK_MECHANISM *", (getattr(CKM, self.value(call.find("Mechanism"), "Type")), NULL, 0))
        return self.call("C_SignInit", self.session(call), mechanism, self._object(call, "Key"))

    def _sign(self, call: ET.Element, answer: ET.Element) -> int:
        data = bytes.fromhex(self.value(call, "Data"))
        length = ffi.new("CK_ULONG *", int(call.find("Signature").get("length")))
        room = ffi.new("CK_BYTE[]", length[0])
        code = self.call("C_Sign", self.session(call), data, len(data), room, length)
        if code == CKR.OK:
            signature = bytes(room[0 : length[0]])
            self.seen += [("Data", data), ("Signature", signature)]
            ET.SubElement(answer, "Signature", {"value": signature.hex()})
        return code

    # Answers

    def compare(self, actual: ET.Element, expected: ET.Element) -> None:
        """Note what an answer has that it must not have, or lacks."""
        self._compare(actual, expected, actual.tag)

    def _compare(self, actual: ET.Element, expected: ET.Element, place: str) -> None:
        for name in ("rv", "type", "length", "value", "major", "minor"):
            self._compare_values(actual, expected, name, place)
        ours, theirs = list(actual), list(expected)
        if actual.tag in _LISTS:
            ours = self._choose(ours, theirs, place)
        if [item.tag for item in ours] != [item.tag for item in theirs]:
            self._deviates(place, [item.tag for item in theirs], [item.tag for item in ours])
            return
        for one, other in zip(ours, theirs, strict=True):
            self._compare(one, other, f"{place}/{one.get('type') or one.tag}")

    def _choose(self, ours: list[ET.Element], theirs: list[ET.Element], place: str) -> list[ET.Element]:
        """Return the entries of a list that may vary which the case goes on to speak of."""
        if not place.endswith("MechanismList"):
            return ours[: len(theirs)]
        by_value = {item.get("value"): item for item in ours}
        return [by_value[item.get("value")] for item in theirs if item.get("value") in by_value]

    def _compare_values(self, actual: ET.Element, expected: ET.Element, name: str, place: str) -> None:
        got, wanted = actual.get(name), expected.get(name)
        symbol = _SYMBOL.fullmatch(wanted or "")
        if symbol:
            self.symbols[symbol[1]] = got
            return
        varies = expected.tag in VARIABLE or expected.get("type") in VARIABLE
        if wanted is None or got is None or (not varies and name in ("major", "minor", "rv", "type")):
            same = got == wanted
        elif name == "value" and expected.tag == "Flags":
            lacks, further = _flag_set(wanted) - _flag_set(got), _flag_set(got) - _flag_set(wanted)
            self.deviations += [f"{place} lacks {flag}" for flag in sorted(lacks)]
            self.deviations += [f"{place} has also {flag}" for flag in sorted(further)]
            return
        else:
            same = varies or got == wanted
        if not same:
            self._deviates(place, wanted, got)

    def _deviates(self, place: str, expected: object, got: object) -> None:
        self.deviations.append(f"{place}: expected {_short(expected)}, got {_short(got)}")


_CALLS: dict[str, Callable[[_Play, ET.Element, ET.Element], int]] = {
    "C_Initialize": _Play._initialize,
    "C_Finalize": _Play._finalize,
    "C_GetInfo": _Play._get_info,
    "C_GetSlotList": _Play._slot_list,
    "C_GetSlotInfo": _Play._slot_info,
    "C_GetTokenInfo": _Play._token_info,
    "C_GetMechanismList": _Play._mechanism_list,
    "C_GetMechanismInfo": _Play._mechanism_info,
    "C_OpenSession": _Play._open,
    "C_Login": _Play._login,
    "C_Logout": _Play._with_session,
    "C_CloseSession": _Play._with_session,
    "C_CloseAllSessions": _Play._close_all,
    "C_FindObjectsInit": _Play._find_init,
    "C_FindObjects": _Play._find,
    "C_FindObjectsFinal": _Play._with_session,
    "C_GetAttributeValue": _Play._attributes,
    "C_SignInit": _Play._sign_init,
    "C_Sign": _Play._sign,
}


def _read(kind: str, text: str) -> bytes:
    """Return the value of an attribute that is written so."""
    if kind in _NUMBERS:
        return encode(getattr(_NUMBERS[kind], text))
    return _FLAG.get(text.upper()) or text.encode()


def _shown(value: Any, flags: str) -> dict[str, str]:  # noqa: ANN401 - a member of a structure
    """Return a member as the XML has it."""
    if flags:
        names = [name for name in _FLAGS[flags] if value & getattr(CKF, name)]
        rest = value & ~sum(getattr(CKF, name) for name in names)
        return {"value": "|".join([*names, *([hex(rest)] if rest or not names else [])])}
    if isinstance(value, int):
        return {"value": "UnavailableInformation" if value == _UNAVAILABLE else str(value)}
    if "VERSION" in ffi.typeof(value).cname:
        return {"major": str(value.major), "minor": str(value.minor)}
    return {"value": bytes(value).decode()}


def _flag_set(text: str) -> set[str]:
    """Return the names in a mask."""
    return set(re.split(r"[| ]", text)) - {"0x0"}


def _short(value: object) -> str:
    """Return a value, cut."""
    text = str(value)
    return text if len(text) < 80 else text[:40] + "…"
