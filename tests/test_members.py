"""Structures in structures, arrays, templates, and memory that is written back, in mechanism parameters."""

# ruff: noqa: FBT003 - fields of structures

from __future__ import annotations

from collections import namedtuple
from struct import pack as c

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptkc.spec.constants import CKA, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import (
    GIVEN,
    LAYOUTS,
    MADE,
    CcmMessage,
    ChaChaMessage,
    GcmMessage,
    pack,
    pack_message,
    parse,
    parse_message,
    unpack,
    unpack_message,
)
from ptkc.spec.members import HANDLE, MALFORMED
from ptkc.spec.parameters import Layout
from ptkc.spec.values import Template

Randoms = namedtuple("Randoms", "client server")
Material = namedtuple("Material", "client_key server_key client_iv server_iv")
Keys = namedtuple("Keys", "export_only iv_bits random material prf")
Item = namedtuple("Item", "type value")
Extra = namedtuple("Extra", "template key")
Many = namedtuple("Many", "prf items extra")
Odd = namedtuple("Odd", "number iv password version")

RANDOMS = Layout("RANDOMS", Randoms, "client:pointer client:length server:pointer server:length")
MATERIAL = Layout(
    "MATERIAL", Material, "client_key:handle server_key:handle client_iv:output:iv_bits server_iv:output:iv_bits"
)
KEYS = Layout(
    "KEYS", Keys, "iv_bits:ulong export_only:boolean random:part material:part_at prf:ulong",
    random=RANDOMS, material=MATERIAL,
)  # fmt: skip
MANY = Layout(
    "MANY", Many, "prf:ulong items:count items:array extra:count extra:array",
    items=Layout("ITEM", Item, "type:ulong value:pointer value:length"),
    extra=Layout("EXTRA", Extra, "template:template template:count key:handle_at"),
)  # fmt: skip
ODD = Layout("ODD", Odd, "iv:in_out8 password:pointer password:length_at version:output2 number:byte")


class Memory:
    """An application's memory: what is at which address, and what was noted to be written back."""

    def __init__(self, **places: bytes) -> None:
        """Put bytes at addresses, `x1000` being 0x1000."""
        self.places = {int(name[1:], 16): content for name, content in places.items()}
        self.outputs: list[tuple[int, int]] = []

    def read(self, address: int, length: int) -> bytes:
        """Return what is there; elsewhere is a KeyError, as it would be a crash."""
        found = self.places[address]
        assert length <= len(found)
        return found[:length]

    def template(self, address: int, count: int) -> Template:
        """Return a template that says from where it was asked."""
        return ((CKA.ID, address.to_bytes(8, "little")),) * count

    def number(self, address: int) -> int:
        """Return a number."""
        return int.from_bytes(self.read(address, 8), "little")

    def expect(self, address: int, room: int) -> None:
        """Note memory that may be written back."""
        self.outputs.append((address, room))


def test_a_structure_inside_and_one_behind_a_pointer_are_read() -> None:
    """Alignment is the compiler's; what is written back is noted in the order of the members, depth first."""
    material = c("@LLPP", 0, 0, 0xC1, 0)
    memory = Memory(x1000=b"client random", x2000=b"server", x3000=material)
    raw = c("@L?0PPLPLPL", 96, True, 0x1000, 13, 0x2000, 6, 0x3000, 7)
    value = KEYS.parse(raw, memory)
    assert Keys(True, 96, Randoms(b"client random", b"server"), Material(1, 1, 12, 0), 7) == value
    assert [(0x3000, HANDLE), (0x3008, HANDLE), (0xC1, 12), (0, 0)] == memory.outputs
    assert value == KEYS.unpack(KEYS.pack(value))


def test_what_is_absent_is_none() -> None:
    """A NULL pointer to a structure is None, here and over the wire."""
    value = KEYS.parse(c("@L?0PPLPLPL", 0, False, 0, 0, 0, 0, 0, 7), Memory())
    assert Keys(False, 0, Randoms(b"", b""), None, 7) == value
    assert value == KEYS.unpack(KEYS.pack(value))


def test_arrays_and_templates_are_read() -> None:
    """An array becomes a tuple; handles behind pointers are noted where the pointers point to."""
    items = c("@LPLLPL", 1, 0, 0, 2, 0x2000, 5)
    extra = c("@PLPPLP", 0x3000, 2, 0x7000, 0, 0, 0)
    memory = Memory(x1000=items, x2000=b"label", x4000=extra)
    value = MANY.parse(c("@LLPLP", 9, 2, 0x1000, 2, 0x4000), memory)
    asked = (CKA.ID, (0x3000).to_bytes(8, "little"))
    assert Many(9, (Item(1, b""), Item(2, b"label")), (Extra((asked, asked), 1), Extra((), 0))) == value
    assert [(0x7000, HANDLE), (0, HANDLE)] == memory.outputs
    assert value == MANY.unpack(MANY.pack(value))


def test_a_length_may_be_elsewhere_and_sizes_may_be_fixed() -> None:
    """A length of 65,536 and more is an address; output2 has two bytes."""
    memory = Memory(x1000=b"12345678", x2000=b"secret", x30000=(6).to_bytes(8, "little"))
    for length in (6, 0x30000):
        memory.outputs.clear()
        value = ODD.parse(c("@PPLPB0L", 0x1000, 0x2000, length, 0x4000, 255), memory)
        assert Odd(255, b"12345678", b"secret", 2) == value
        assert [(0x1000, 8), (0x4000, 2)] == memory.outputs
    assert value == ODD.unpack(ODD.pack(value))


@pytest.mark.parametrize(
    ("layout", "raw"),
    [
        (KEYS, c("@L?0PPLPLPL", 96, True, 0, 13, 0, 0, 0, 7)),
        (KEYS, bytes(KEYS.size - 1)),
        (MANY, c("@LLPLP", 9, 2, 0, 0, 0)),
        (MANY, c("@LLPLP", 9, 2**61, 0x1000, 0, 0)),
        (MANY, c("@LLPLP", 9, 1025, 0x1000, 0, 0)),
        (MANY, c("@LLPLP", 9, 1, 0x5000, 0, 0)),
        (MANY, c("@LLPLP", 9, 0, 0, 1, 0x6000)),
        (ODD, c("@PPLPB0L", 0, 0, 0, 0, 0)),
    ],
)
def test_a_structure_that_cannot_be_right_is_malformed(layout: Layout, raw: bytes) -> None:
    """NULL with a count, an absurd count, a malformed part: the whole is MALFORMED."""
    memory = Memory(x5000=c("@LPL", 1, 0, 5), x6000=c("@PLP", 0x3000, 2**40, 0))
    assert MALFORMED is layout.parse(raw, memory)


def test_parameters_of_messages_have_outputs_where_they_are_made() -> None:
    """IV and tag of what is encrypted are written back; what is decrypted has its tag."""
    raw = c("@PLLLPL", 0x1000, 12, 32, 2, 0x2000, 100)
    memory = Memory(x1000=b"initialvector", x2000=b"0123456789abcdef")
    assert GcmMessage(b"initialvecto", 32, 2, 13, 100) == parse_message(MADE, raw, memory)
    assert [(0x1000, 12), (0x2000, 13)] == memory.outputs
    assert GcmMessage(b"initialvecto", 32, 2, b"0123456789abc", 100) == parse_message(GIVEN, raw, memory)
    ccm = c("@LPLLLPL", 5, 0x1000, 13, 0, 0, 0, 8)
    assert CcmMessage(5, b"initialvector", 0, 0, b"", 8) == parse_message(GIVEN, ccm, memory)
    assert CcmMessage(5, b"initialvector", 0, 0, 0, 8) == parse_message(MADE, ccm, memory)
    chacha = c("@PLP", 0x1000, 96, 0x2000)
    assert ChaChaMessage(b"initialvecto", 16) == parse_message(MADE, chacha, memory)
    assert ChaChaMessage(b"initialvecto", b"0123456789abcdef") == parse_message(GIVEN, chacha, memory)
    for wrong in (bytes(47), c("@PLLLPL", 0, 12, 0, 0, 0, 0), c("@PLLLPL", 0x1000, 2**40, 0, 0, 0, 0)):
        assert [MALFORMED, MALFORMED] == [parse_message(forms, wrong, memory) for forms in (MADE, GIVEN)]


class Anything(Memory):
    """Memory that has something everywhere, of a strategy's choice."""

    def __init__(self, data: st.DataObject) -> None:
        """Begin."""
        super().__init__()
        self.data = data

    def read(self, address: int, length: int) -> bytes:
        """Return bytes of any content; more than a test can bear is refused, as the library refuses it."""
        assert address
        if length > 1 << 14:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "too much")
        return (self.data.draw(st.binary(min_size=8, max_size=64)) * (length // 8 + 1))[:length]


_WORDS = st.sampled_from((0, 1, 2, 8, 12, 16, 96, 0x10000, 0x7FFF0000, 2**31, 2**63, 2**64 - 1))


@given(st.sampled_from(sorted(LAYOUTS)), st.data())
def test_any_structure_is_a_value_that_crosses_or_malformed(mechanism: int, data: st.DataObject) -> None:
    """Whatever an application passes is read without a surprise, and what it became is the same at the other end."""
    words = data.draw(st.lists(_WORDS, min_size=12, max_size=12))
    raw = b"".join(word.to_bytes(8, "little") for word in words)[: LAYOUTS[mechanism].size]
    try:
        value = parse(mechanism, raw, Anything(data))
    except CryptokiError as error:
        assert CKR.MECHANISM_PARAM_INVALID == error.code  # noqa: PT017 - the one code there is
        return
    assert value == unpack(mechanism, pack(mechanism, value))


_PARTS = st.lists(st.one_of(_WORDS.map(lambda word: word.to_bytes(8, "little")), st.binary()))


@given(st.sampled_from(sorted(LAYOUTS)), _PARTS)
def test_any_bytes_are_a_structure_or_refused(mechanism: int, parts: list[bytes]) -> None:
    """Hostile bytes of the other end are CKR_MECHANISM_PARAM_INVALID, or pack to the same bytes again."""
    data = b"\2" + b"".join(parts)
    try:
        value = unpack(mechanism, data)
    except CryptokiError as error:
        assert CKR.MECHANISM_PARAM_INVALID == error.code  # noqa: PT017
        return
    assert data == pack(mechanism, value)


@given(st.sampled_from((MADE, GIVEN)), st.binary(max_size=80))
def test_any_bytes_are_a_parameter_of_a_message_or_refused(forms: tuple[Layout, ...], data: bytes) -> None:
    """The same for what comes with a message."""
    try:
        value = unpack_message(forms, data)
    except CryptokiError as error:
        assert CKR.MECHANISM_PARAM_INVALID == error.code  # noqa: PT017
        return
    assert data == pack_message(forms, value)


def test_each_mechanism_with_a_structure_has_one_whose_name_is_the_headers() -> None:
    """A row names the C type that it is."""
    assert all(layout.name.startswith("CK_") for layout in LAYOUTS.values())
    assert CKM.AES_GCM in LAYOUTS
