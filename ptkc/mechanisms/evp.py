"""Asymmetric keys of the system's libcrypto, through native/asymmetric.c: made, checked, used.

A key is a pointer that frees itself. `parts` and `settings` go by libcrypto's names: bytes are a big-endian number,
`Octets` a byte string, a str is text, an int a size. Where libcrypto refuses something the functions raise ValueError,
and mechanisms say with which code. The shared object is there wherever a mechanism runs, but not where its module is
only imported.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "Octets", "agree", "check", "decode", "extra_bits", "generate_key", "generate_parameters", "key_from", "number",
    "octets", "sign", "verify",
]  # fmt: skip

Key = Any
"""A pointer of cffi's."""

_LONGEST = 4096


class Octets(bytes):
    """A byte string that is no number."""

    __slots__ = ()


Setting = bytes | str | int


def _settings(ffi: Any, values: dict[str, Setting]) -> tuple[Any, int, list[Any]]:  # noqa: ANN401 - cffi has no types
    """Return the array of settings, its length, and what must live as long."""
    array = ffi.new("ptkc_setting[]", len(values) or 1)
    held: list[Any] = []
    for setting, (name, value) in zip(array, values.items(), strict=False):
        spelled = ffi.new("char[]", name.encode())
        held.append(spelled)
        setting.name = spelled
        if isinstance(value, int):
            setting.kind, setting.length = b"u", value
            continue
        data = ffi.from_buffer(value.encode() if isinstance(value, str) else value)
        held.append(data)
        setting.kind = b"t" if isinstance(value, str) else b"o" if isinstance(value, Octets) else b"n"
        setting.bytes, setting.length = data, len(data)
    return array, len(values), held


def _owned(ffi: Any, lib: Any, key: Any, what: str) -> Key:  # noqa: ANN401 - cffi has no types
    """Return the key, freed with its last reference; ValueError if it is none."""
    if key == ffi.NULL:
        message = f"libcrypto refuses {what}"
        raise ValueError(message)
    return ffi.gc(key, lib.ptkc_key_free)


def key_from(kind: str, what: str, parts: dict[str, Setting]) -> Key:
    """Return a key of libcrypto's type `kind`: `what` is k (with private part), p (public), d (parameters)."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    array, count, held = _settings(ffi, parts)
    made = lib.ptkc_key_from(kind.encode(), what.encode(), array, count)
    del held
    return _owned(ffi, lib, made, f"the {kind} key")


def decode(kind: str, info: bytes) -> Key:
    """Return the key pair in a PrivateKeyInfo (DER); the public part is computed where there is none."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    made = lib.ptkc_key_decode(kind.encode(), ffi.from_buffer(info), len(info))
    return _owned(ffi, lib, made, f"the PrivateKeyInfo of a {kind} key")


def generate_parameters(kind: str, settings: dict[str, Setting], given: Key = None) -> Key:
    """Return new domain parameters, those that `given` lacks where it is there."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    array, count, held = _settings(ffi, settings)
    made = lib.ptkc_parameters_generate(kind.encode(), ffi.NULL if given is None else given, array, count)
    del held
    return _owned(ffi, lib, made, f"to make {kind} parameters")


def generate_key(parameters: Key, settings: dict[str, Setting]) -> Key:
    """Return a new key pair with these domain parameters."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    array, count, held = _settings(ffi, settings)
    made = lib.ptkc_key_generate(parameters, array, count)
    del held
    return _owned(ffi, lib, made, "to make a key pair")


def check(key: Key, what: str) -> None:
    """Have a key checked: d domain parameters, p the public part, k the private one; ValueError if it is wrong."""
    from _libptkc import lib  # noqa: PLC0415 - see above

    if not lib.ptkc_key_check(key, what.encode()):
        message = {"d": "no domain parameters", "p": "no public value", "k": "no private value"}[what]
        raise ValueError(message)


def number(key: Key, name: str) -> bytes:
    """Return a number of a key; ValueError if it has none of that name."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    return _part(ffi, lib.ptkc_key_number, key, name)


def octets(key: Key, name: str) -> bytes:
    """Return a byte string of a key; ValueError if it has none of that name."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    return _part(ffi, lib.ptkc_key_octets, key, name)


def extra_bits(order: bytes) -> bytes:
    """Return a private value below the order, as long as it, drawn as FIPS 186-4 B.4.1 does."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    room = ffi.new("unsigned char[]", len(order))
    if not lib.ptkc_extra_bits(ffi.from_buffer(order), len(order), room):
        message = "libcrypto draws no private value"
        raise ValueError(message)
    value: bytes = ffi.buffer(room)[:]
    ffi.buffer(room)[:] = bytes(len(order))
    return value


def _part(ffi: Any, read: Any, key: Key, name: str) -> bytes:  # noqa: ANN401 - cffi has no types
    """Return what `read` writes, and leave no copy."""
    room = ffi.new("unsigned char[]", _LONGEST)
    length = read(key, name.encode(), room, _LONGEST)
    if not length:
        message = f"the key has no {name}"
        raise ValueError(message)
    value: bytes = ffi.buffer(room, length)[:]
    ffi.buffer(room, length)[:] = bytes(length)
    return value


def agree(key: Key, peer: Key, settings: dict[str, Setting], size: int) -> bytes:
    """Return the secret of at most `size` bytes; ValueError for a peer whose public part is wrong."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    array, count, held = _settings(ffi, settings)
    room, length = ffi.new("unsigned char[]", size), ffi.new("size_t *", size)
    done = lib.ptkc_key_agree(key, peer, array, count, room, length)
    del held
    if not done:
        message = "libcrypto refuses the public value"
        raise ValueError(message)
    secret: bytes = ffi.buffer(room, length[0])[:]
    ffi.buffer(room)[:] = bytes(size)
    return secret


def sign(key: Key, data: bytes, settings: dict[str, Setting], size: int) -> bytes:
    """Return the signature of at most `size` bytes; ValueError if libcrypto refuses the data."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    array, count, held = _settings(ffi, settings)
    room, length = ffi.new("unsigned char[]", size), ffi.new("size_t *", size)
    done = lib.ptkc_key_sign(key, array, count, ffi.from_buffer(data), len(data), room, length)
    del held
    if not done:
        message = "libcrypto refuses to sign"
        raise ValueError(message)
    return ffi.buffer(room, length[0])[:]  # type: ignore[no-any-return]


def verify(key: Key, data: bytes, signature: bytes, settings: dict[str, Setting]) -> bool:
    """Whether the signature is the key's."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    array, count, held = _settings(ffi, settings)
    right = lib.ptkc_key_verify(
        key, array, count, ffi.from_buffer(data), len(data), ffi.from_buffer(signature), len(signature)
    )
    del held
    return bool(right)
