"""Parameter structures of mechanisms drawn by chance, nested ones too: made of the same rows as those that read them.

A member is right by its name, nearly right, or nonsense; a pointer and its length mostly fit. Nothing is an address
that could be one and is not. The rows are read from the source of `ptkc.spec.layouts`, which keeps them as compiled
forms alone. A structure is ("struct", ((format, value), …)), as tests/programs/hostile.py takes it.
"""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random
from typing import Any

import chance as st
from chance import Strategy

from ptkc.spec import layouts
from ptkc.spec.constants import CKD, CKG, CKM, CKP
from ptkc.spec.layouts import LAYOUTS
from ptkc.spec.members import FORMATS

__all__ = ["message_arguments", "messages", "structure"]

HUGE = (2**31, 2**63 - 1, 2**63, 2**64 - 1)


def _numbers(group: type) -> list[int]:
    return sorted({number for name, number in vars(group).items() if not name.startswith("_")})


def _rows() -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return for the name of each layout its forms and the names of its parts."""
    rows = {}
    tree = ast.parse(Path(layouts.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            called, target = node.value.func, node.targets[0]
            if isinstance(called, ast.Name) and called.id.endswith("Layout") and isinstance(target, ast.Name):
                forms = [ast.literal_eval(argument) for argument in node.value.args[2:]]
                rows[target.id] = forms, {word.arg: word.value.id for word in node.value.keywords}
    return rows


_ROWS = _rows()
_NAMES = {id(getattr(layouts, name)): name for name in _ROWS}

_digests = (CKM.SHA_1, CKM.SHA256, CKM.SHA384, CKM.SHA512, CKM.SHA3_256, CKM.BLAKE2B_256, CKM.TLS_PRF)
_macs = (CKM.SHA_1_HMAC, CKM.SHA256_HMAC, CKM.SHA512_HMAC, CKM.AES_CMAC, CKM.AES_XCBC_MAC, CKM.SHA3_256_HMAC)
_rare = st.one_of(st.sampled_from(HUGE), st.integers(0, 2**64 - 1), st.sampled_from(_numbers(CKM)))
_small = st.one_of(st.sampled_from((0, 1, 2, 3, 4, 8, 12, 16, 32, 64, 96, 128, 192, 256)), st.integers(0, 300))
_USUAL: dict[str, Strategy] = {
    **dict.fromkeys(("hash", "mechanism"), st.sampled_from(_digests)),
    "prf": st.sampled_from((*_digests, *_macs, 1, 2, 3, 4, *_numbers(CKP)[:12])),
    "kdf": st.sampled_from(_numbers(CKD)),
    "mgf": st.sampled_from(_numbers(CKG)),
    "source": st.sampled_from((1, 1, 0)),
    "salt_source": st.just(1),
    "iterations": st.sampled_from((1, 2, 1000)),
    "generator": st.sampled_from((0, 0, 1, 2, 3)),
    "salt_type": st.sampled_from((1, 2, 4)),
    "type": st.sampled_from((1, 1, 1, 2, 3, 4, 5)),
    "method": st.sampled_from((1, 2)),
    "side": st.sampled_from((1, 2, 3)),
    "width_bits": st.sampled_from((8, 16, 24, 32, 64, 7)),
    "tag_bits": st.sampled_from((128, 128, 96, 32, 127)),
    "mac_len": st.sampled_from((16, 8, 4, 5)),
    "bits": st.sampled_from((128, 256, 192, 8, 0)),
    **dict.fromkeys(("mac_bits", "key_bits"), st.sampled_from((160, 256, 128, 0, 8, 7))),
    "iv_bits": st.sampled_from((128, 96, 0, 64, 8)),
    "hedge": st.sampled_from((0, 1, 2)),
}
_huge = st.sampled_from(HUGE)
_BOUNDED = ("iv_bits", "tag_bits", "mac_len", "iterations")
"""Numbers that say how much is written, or how long it takes: they are right, or beyond what anything takes."""
_HANDLES = ("handle", "salt_key", "new_key", "gxy", "previous", "seed_key", "object")
_handle = st.integers(0, 40).map(lambda place: ("object", place))
_contents = st.sampled_from((0, 0, 1, 2, 7, 8, 12, 12, 13, 16, 16, 20, 24, 32, 48, 64, 65, 66, 97, 300))
_EXACT = {"block": 16, "half": 8}


def _number(chance: Random, name: str, *, clean: bool) -> Any:  # noqa: ANN401 - or the place of an object
    """Return a number for a member of this name."""
    if name in _HANDLES and chance.randrange(8):
        return _handle.draw(chance)
    rare = _huge if name in _BOUNDED else _rare
    return (_USUAL.get(name, _small) if clean or chance.randrange(8) else rare).draw(chance)


_DIGEST_FIRST = ("TLS_MASTER", "TLS_EXTENDED_MASTER", "TLS_KEYS", "TLS_KDF", "TLS_MAC")
_FITTING = {
    **{(name, "prf"): st.sampled_from(_digests[1:4]) for name in _DIGEST_FIRST},
    ("PBKDF2", "prf"): st.integers(1, 8),
    **dict.fromkeys(
        [
            (name, "prf")
            for name in ("SP800_108", "SP800_108_FEEDBACK", "IKE_PRF", "IKE1_PRF", "IKE1_EXTENDED", "IKE2_PRF_PLUS")
        ],
        st.sampled_from(_macs),
    ),
    ("ECDH", "kdf"): st.sampled_from((CKD.NULL, CKD.SHA256_KDF)),
    ("ECDH_AES_WRAP", "bits"): st.sampled_from((128, 192, 256)),
    ("RSA_AES_WRAP", "bits"): st.sampled_from((128, 192, 256)),
    ("TLS_KEYS", "key_bits"): st.sampled_from((128, 256)),
    ("TLS_KEYS", "mac_bits"): st.sampled_from((160, 256)),
    ("TLS_MAC", "length"): st.just(12),
    ("OAEP", "source"): st.just(1),
    ("HASH_SIGN_CONTEXT", "hash"): st.just(CKM.SHA256),
    ("EXTRACT", "bit"): st.sampled_from((0, 1, 64)),
    ("CTR", "bits"): st.just(128),
}
"""What fits a member of a certain structure, where its name alone does not say."""


class _Draw:
    """One structure under way: pointers and the lengths they go by are drawn together; half of them without a fault."""

    def __init__(
        self, chance: Random, form: str, parts: dict[str, str], outer: dict[str, int], name: str = "", *, clean: bool
    ) -> None:
        """Read the form of the structure."""
        self.chance = chance
        self.name = name
        self.clean = clean
        self.members = [(*member.split(":"), "")[:3] for member in form.split()]
        self.parts = parts
        self.lengths: dict[str, int] = {}
        self.pointers: dict[str, Any] = {}
        self.outer = outer

    def draw(self) -> tuple[tuple[str, Any], ...]:
        """Return the members as (format, value)."""
        for name, kind, number in self.members:
            if FORMATS.get(kind.rstrip("0123456789")) == "P":
                self.pointers[name] = self._pointer(name, kind.rstrip("0123456789"), number, kind)
        return tuple(self._member(name, kind.rstrip("0123456789")) for name, kind, _ in self.members)

    def _pointer(self, name: str, kind: str, number: str, full: str) -> Any:  # noqa: ANN401
        chance = self.chance
        if self._fault():  # NULL, with a length or without
            self.lengths[name] = chance.choice((0, 1, 16, *HUGE))
            return None
        if kind in ("output", "in_out"):
            fixed = full[len(kind) :]
            size = int(fixed) if fixed else 64
            return ("out", max(size, 4096))
        if kind == "handle_at":
            return ("out", 8)
        if kind == "part_at":
            return structure_of(chance, self.parts[name], {**self.outer, **self.lengths}, clean=self.clean)
        if kind == "array":
            if self.clean and name == "data":
                items = [_COUNTED, *[_LABELLED] * chance.randrange(2)]
            else:
                times = chance.choice((0, 1, 1, 2, 3))
                items = [structure_of(chance, self.parts[name], clean=self.clean)[1] for _ in range(times)]
            self.lengths[name] = chance.choice(HUGE) if self._fault() else len(items)
            return ("structs", tuple(items)) if items else None
        if kind == "template":
            entries = self._template()
            self.lengths[name] = chance.choice(HUGE) if self._fault() else len(entries)
            return ("template", entries)
        data = self._data(name)
        self.lengths[number or name] = chance.choice((0, *HUGE)) if self._fault() else len(data)
        return data or None

    def _fault(self) -> bool:
        """Whether there is to be a fault in this place."""
        return not self.clean and not self.chance.randrange(20)

    def _data(self, name: str) -> bytes:
        chance = self.chance
        if name == "value":  # of CK_PRF_DATA_PARAM
            return chance.choice((b"\0" * 8 + b"\x20" + b"\0" * 7, b"\1" + b"\0" * 7 + b"\x10" + b"\0" * 7, b"label",
                                  b"\1" + b"\0" * 15 + b"\x20" + b"\0" * 7, chance.randbytes(16), b""))
        if name == "public":
            start = chance.choice((b"", b"", b"\4", b"\4\x41\4", b"\2"))
            return start + chance.randbytes(chance.choice((32, 33, 56, 64, 65, 128, 256)))
        if self.clean and name in ("iv", "nonce"):
            return chance.randbytes(12)
        if self.clean and name in ("client", "server"):
            return chance.randbytes(32)
        if name == "label":
            return chance.choice((b"", b"master secret", b"key expansion", b"x" * 300))
        return chance.randbytes(_contents.draw(chance))

    def _template(self) -> list[tuple[int, Any, int | None]]:
        chance = self.chance
        entries: list[tuple[int, Any, int | None]] = [
            (0, (4).to_bytes(8, "little"), None), (0x100, chance.choice((0x10, 0x1F)).to_bytes(8, "little"), None),
            (0x161, chance.choice((16, 32, 0, 2**31)).to_bytes(8, "little"), None),
        ]  # fmt: skip
        if not chance.randrange(5):
            entries.append((chance.choice((1, 3, 0x104, 0x40000211)), chance.randbytes(chance.choice((0, 1, 8))), None))
        return entries[: chance.choice((3, 3, 3, 3, 4, 2, 0))]

    def _member(self, name: str, kind: str) -> tuple[str, Any]:
        chance = self.chance
        if kind == "part":
            return "S", structure_of(chance, self.parts[name], clean=self.clean)[1]
        if kind in _EXACT:
            return f"{_EXACT[kind]}s", chance.randbytes(_EXACT[kind])
        if kind == "boolean":
            return "?", chance.choice((0, 1, 1))
        if kind == "byte":
            return "B", chance.randrange(256)
        if name in self.pointers and FORMATS[kind] == "P":
            return "P", self.pointers[name]
        if kind in ("length", "count", "bits", "length_at"):
            length = self.lengths.get(name, 16)
            return "L", _no_address(8 * length if kind == "bits" and length < 2**31 else length)
        if kind in ("unused", "zero", "handle"):
            return "L", 0
        fitting = _FITTING.get((self.name, name))
        number = fitting.draw(chance) if fitting and self.clean else _number(chance, name, clean=self.clean)
        return "L", number if isinstance(number, tuple) else _no_address(number)


_COUNTED = (("L", 1), ("P", b"\0" * 8 + b"\x20" + b"\0" * 7), ("L", 16))
_LABELLED = (("L", 4), ("P", b"label"), ("L", 5))
"""Two CK_PRF_DATA_PARAM that are right: the iteration variable as a counter, and bytes."""


def _no_address(number: int) -> int:
    """Return a number that cannot be taken for the address of something that is not there."""
    return number if number < 1 << 16 or number >= 1 << 47 else number >> 32


def structure_of(
    chance: Random, name: str, outer: dict[str, int] | None = None, *, clean: bool | None = None
) -> tuple[str, Any]:
    """Return a structure of the layout called `name`; `clean` ones have no fault."""
    forms, parts = _ROWS[name]
    form = chance.choice((forms[0], forms[0], *forms))
    clean = bool(chance.randrange(2)) if clean is None else clean
    return "struct", _Draw(chance, form, parts, outer or {}, name, clean=clean).draw()


def structure(number: int) -> Strategy | None:
    """Return parameters for a mechanism that has a structure; None for one that has none."""
    layout = LAYOUTS.get(number)
    if layout is None or id(layout) not in _NAMES:
        return None
    name = _NAMES[id(layout)]
    return Strategy(lambda chance: structure_of(chance, name))


_MESSAGE_ROWS = (layouts._GCM_MESSAGE, layouts._CCM_MESSAGE, layouts._CHACHA_MESSAGE)


def _message(chance: Random) -> Any:  # noqa: ANN401 - a structure, bytes or None
    if not chance.randrange(10):
        return chance.choice((None, bytes(8), bytes(24), bytes(48), bytes(56), bytes(57)))
    row = chance.choice(_MESSAGE_ROWS).format("pointer", "output")
    return "struct", _Draw(chance, row, {}, {}, clean=bool(chance.randrange(2))).draw()


def _with_length(parameter: Any) -> tuple[Any, int]:  # noqa: ANN401
    """Return pParameter and ulParameterLen."""
    if parameter is None:
        return None, 0
    return parameter, len(parameter) if isinstance(parameter, bytes) else 8 * len(parameter[1])


messages = Strategy(_message)
"""Per-message parameters."""
message_arguments = st.one_of(messages, messages, st.none()).map(_with_length)
"""The same with their lengths."""
