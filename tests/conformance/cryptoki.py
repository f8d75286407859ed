"""A thin typed wrapper of the C interface: a refused call raises `Refused`, output buffers are asked for in two calls.

`Cryptoki.call` passes its arguments through untouched, so tests of bad arguments use it directly; `Session` is for the
ordinary way. Templates are dicts (or lists of pairs, where an attribute is to come twice) of Python values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ptkc.spec.constants import CKF, CKR, CKU

from .binding import Functions, ffi
from .parameters import Mechanism

__all__ = ["NULL", "UNAVAILABLE", "Attributes", "Cryptoki", "Refused", "Session", "Template", "code_name", "expect"]

NULL = ffi.NULL
UNAVAILABLE = 2**64 - 1

Attributes = dict[int, Any] | Sequence[tuple[int, Any]]

_NAMES = {number: f"CKR_{name}" for name, number in vars(CKR).items() if not name.startswith("_")}


def code_name(code: int) -> str:
    """Return `CKR_PIN_INCORRECT` for 0xA0."""
    return _NAMES.get(code, hex(code))


class Refused(Exception):  # noqa: N818 (a refusal is an answer, not an error of the program)
    """A call that was not answered CKR_OK; `rv` is the code."""

    def __init__(self, function: str, rv: int) -> None:
        """Keep the function's name and its code."""
        super().__init__(f"{function}: {code_name(rv)}")
        self.rv = rv


def expect(codes: int | Iterable[int], call: Callable[..., Any], *arguments: Any, **options: Any) -> int:  # noqa: ANN401
    """Assert that `call(*arguments)` is refused with one of `codes`; return the code."""
    allowed = {codes} if isinstance(codes, int) else set(codes)
    wanted = " or ".join(sorted(code_name(code) for code in allowed))
    try:
        call(*arguments, **options)
    except Refused as refused:
        assert refused.rv in allowed, f"expected {wanted}, got {refused}"  # noqa: PT017 (this is pytest.raises, with codes)
        return refused.rv
    message = f"expected {wanted}, got CKR_OK"
    raise AssertionError(message)


class Template:
    """A CK_ATTRIBUTE array: bool is CK_BBOOL, int CK_ULONG, str UTF-8, a dict a nested template, a list CK_ULONGs."""

    def __init__(self, attributes: Attributes) -> None:
        """Lay out `attributes`; the memory lives as long as the Template."""
        pairs = list(attributes.items()) if isinstance(attributes, dict) else list(attributes)
        self._kept: list[Any] = []
        self.count = len(pairs)
        self.array = ffi.new("CK_ATTRIBUTE[]", max(1, len(pairs)))
        for item, (kind, value) in zip(self.array, pairs, strict=False):
            item.type = kind
            item.pValue, item.ulValueLen = self._value(value)

    def _value(self, value: Any) -> tuple[Any, int]:  # noqa: ANN401
        """Return pointer and length of one attribute's value; None is NULL with length 0."""
        if value is None:
            return NULL, 0
        if isinstance(value, dict):
            nested = Template(value)
            self._kept.append(nested)
            return nested.array, nested.count * ffi.sizeof("CK_ATTRIBUTE")
        data = encode(value)
        memory = ffi.new("CK_BYTE[]", data or b"\0")
        self._kept.append(memory)
        return memory, len(data)


def encode(value: Any) -> bytes:  # noqa: ANN401 (bool, int, str, bytes, list of int)
    """Return the bytes a module on this machine keeps for `value`."""
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, int):
        return value.to_bytes(8, "little")
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return b"".join(number.to_bytes(8, "little") for number in value)
    return bytes(value)


class Cryptoki:
    """One loaded module."""

    def __init__(self, path: str) -> None:
        """Load the module at `path`."""
        self.functions = Functions(path)

    def call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 (C arguments)
        """Call C function `name`; anything but CKR_OK is raised."""
        code = self.functions[name](*arguments)
        if code != CKR.OK:
            raise Refused(name, code)

    def initialize(self, flags: int = CKF.OS_LOCKING_OK) -> None:
        """Call C_Initialize for a program with threads."""
        self.call("C_Initialize", ffi.new("CK_C_INITIALIZE_ARGS *", {"flags": flags}))

    def finalize(self) -> None:
        """Call C_Finalize."""
        self.call("C_Finalize", NULL)

    def info(self, function: str, structure: str, *arguments: Any) -> Any:  # noqa: ANN401 (the filled structure)
        """Return `structure` as `function(*arguments, &structure)` filled it."""
        result = ffi.new(f"{structure} *")
        self.call(function, *arguments, result)
        return result

    def items(self, function: str, *arguments: Any, item: str = "CK_ULONG") -> list[Any]:  # noqa: ANN401
        """Return a list as C_GetSlotList and its like give it: one call for the count, one for the items."""
        count = ffi.new("CK_ULONG *")
        self.call(function, *arguments, NULL, count)
        array = ffi.new(f"{item}[]", max(1, count[0]))
        self.call(function, *arguments, array, count)
        items = list(array[0 : count[0]])
        # A structure of an array is a view that does not keep the array: each gets memory of its own.
        return items if item == "CK_ULONG" else [ffi.new(f"{item} *", entry)[0] for entry in items]

    def slots(self, *, present: bool = True) -> list[int]:
        """Return the slot ids."""
        return self.items("C_GetSlotList", int(present))

    def token(self, slot: int) -> Any:  # noqa: ANN401 (CK_TOKEN_INFO)
        """Return the CK_TOKEN_INFO of the token in `slot`."""
        return self.info("C_GetTokenInfo", "CK_TOKEN_INFO", slot)

    def find_slot(self, label: str) -> int:
        """Return the slot whose token is called `label`."""
        for slot in self.slots():
            if bytes(self.token(slot).label) == label.encode().ljust(32):
                return slot
        message = f"no token {label!r}"
        raise LookupError(message)

    def init_token(self, slot: int, pin: str, label: str) -> None:
        """Call C_InitToken with the SO's PIN and the padded label."""
        data = pin.encode()
        self.call("C_InitToken", slot, data, len(data), label.encode().ljust(32))

    def open(self, slot: int, flags: int = CKF.SERIAL_SESSION | CKF.RW_SESSION) -> Session:
        """Open a session, read-write unless `flags` say otherwise."""
        handle = ffi.new("CK_SESSION_HANDLE *")
        self.call("C_OpenSession", slot, flags, NULL, NULL, handle)
        return Session(self, handle[0])

    def open_read_only(self, slot: int) -> Session:
        """Open a read-only session."""
        return self.open(slot, CKF.SERIAL_SESSION)

    def close_all(self, slot: int) -> None:
        """Call C_CloseAllSessions."""
        self.call("C_CloseAllSessions", slot)


class Session:
    """An open session: one method a function, values in, values out."""

    def __init__(self, cryptoki: Cryptoki, handle: int) -> None:
        """Wrap session `handle` of a loaded module."""
        self.cryptoki = cryptoki
        self.handle = handle

    def call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401
        """Call C function `name` with this session's handle first."""
        self.cryptoki.call(name, self.handle, *arguments)

    def output(self, name: str, *arguments: Any) -> bytes:  # noqa: ANN401
        """Return what function `name` puts into an output buffer, asked for in two calls (specification 5.2)."""
        length = ffi.new("CK_ULONG *")
        self.call(name, *arguments, NULL, length)
        buffer = ffi.new("CK_BYTE[]", max(1, length[0]))
        self.call(name, *arguments, buffer, length)
        return bytes(buffer[0 : length[0]])

    def close(self) -> None:
        """Call C_CloseSession."""
        self.call("C_CloseSession")

    def info(self) -> Any:  # noqa: ANN401 (CK_SESSION_INFO)
        """Return the CK_SESSION_INFO."""
        return self.cryptoki.info("C_GetSessionInfo", "CK_SESSION_INFO", self.handle)

    @property
    def state(self) -> int:
        """The session's CKS state."""
        return int(self.info().state)

    def login(self, pin: str, user: int = CKU.USER) -> None:
        """Call C_Login."""
        data = pin.encode()
        self.call("C_Login", user, data, len(data))

    def logout(self) -> None:
        """Call C_Logout."""
        self.call("C_Logout")

    def init_pin(self, pin: str) -> None:
        """Call C_InitPIN."""
        data = pin.encode()
        self.call("C_InitPIN", data, len(data))

    def set_pin(self, old: str, new: str) -> None:
        """Call C_SetPIN."""
        first, second = old.encode(), new.encode()
        self.call("C_SetPIN", first, len(first), second, len(second))

    def create(self, attributes: Attributes) -> int:
        """Call C_CreateObject and return the handle."""
        return self._object("C_CreateObject", Template(attributes))

    def copy(self, handle: int, attributes: Attributes) -> int:
        """Call C_CopyObject and return the copy's handle."""
        return self._object("C_CopyObject", Template(attributes), handle)

    def _object(self, name: str, template: Template, *before: Any) -> int:  # noqa: ANN401
        """Call a function that ends in template, count, &handle."""
        result = ffi.new("CK_OBJECT_HANDLE *")
        self.call(name, *before, template.array, template.count, result)
        return int(result[0])

    def destroy(self, *handles: int) -> None:
        """Call C_DestroyObject for each of `handles`."""
        for handle in handles:
            self.call("C_DestroyObject", handle)

    def size(self, handle: int) -> int:
        """Call C_GetObjectSize."""
        size = ffi.new("CK_ULONG *")
        self.call("C_GetObjectSize", handle, size)
        return int(size[0])

    def get(self, handle: int, kind: int) -> bytes:
        """Return one attribute's value as bytes, asked for in two calls."""
        item = ffi.new("CK_ATTRIBUTE *", {"type": kind})
        self.call("C_GetAttributeValue", handle, item, 1)
        buffer = ffi.new("CK_BYTE[]", max(1, item.ulValueLen))
        item.pValue = buffer
        self.call("C_GetAttributeValue", handle, item, 1)
        return bytes(buffer[0 : item.ulValueLen])

    def number(self, handle: int, kind: int) -> int:
        """Return a CK_ULONG attribute."""
        return int.from_bytes(self.get(handle, kind), "little")

    def flag(self, handle: int, kind: int) -> bool:
        """Return a CK_BBOOL attribute."""
        value = self.get(handle, kind)
        assert value in {b"\0", b"\1"}, f"not a CK_BBOOL: {value!r}"
        return value == b"\1"

    def set(self, handle: int, attributes: Attributes) -> None:
        """Call C_SetAttributeValue."""
        template = Template(attributes)
        self.call("C_SetAttributeValue", handle, template.array, template.count)

    def find_init(self, attributes: Attributes) -> None:
        """Call C_FindObjectsInit."""
        template = Template(attributes)
        self.call("C_FindObjectsInit", template.array, template.count)

    def find_next(self, maximum: int) -> list[int]:
        """Call C_FindObjects for at most `maximum` handles."""
        handles, count = ffi.new("CK_OBJECT_HANDLE[]", max(1, maximum)), ffi.new("CK_ULONG *")
        self.call("C_FindObjects", handles, maximum, count)
        return list(handles[0 : count[0]])

    def find(self, attributes: Attributes) -> list[int]:
        """Return all objects that match."""
        self.find_init(attributes)
        found: list[int] = []
        while part := self.find_next(64):
            found += part
        self.call("C_FindObjectsFinal")
        return found

    def init(self, name: str, mechanism: Mechanism, key: int) -> None:
        """Call C_`name`Init with a key, as in `init("Sign", …)`."""
        self.call(f"C_{name}Init", mechanism.pointer, key)

    def cipher(self, name: str, mechanism: Mechanism, key: int, data: bytes) -> bytes:
        """Do a whole Encrypt, Decrypt or Sign (`name`) of `data` in one part."""
        self.init(name, mechanism, key)
        return self.output(f"C_{name}", data, len(data))

    def cipher_parts(self, name: str, mechanism: Mechanism, key: int, parts: Iterable[bytes]) -> bytes:
        """Encrypt or Decrypt (`name`) in several parts."""
        self.init(name, mechanism, key)
        result = b"".join([self.output(f"C_{name}Update", part, len(part)) for part in parts])
        return result + self.output(f"C_{name}Final")

    def encrypt(self, mechanism: Mechanism, key: int, data: bytes) -> bytes:
        """Encrypt in one part."""
        return self.cipher("Encrypt", mechanism, key, data)

    def decrypt(self, mechanism: Mechanism, key: int, data: bytes) -> bytes:
        """Decrypt in one part."""
        return self.cipher("Decrypt", mechanism, key, data)

    def sign(self, mechanism: Mechanism, key: int, data: bytes) -> bytes:
        """Sign in one part."""
        return self.cipher("Sign", mechanism, key, data)

    def sign_parts(self, mechanism: Mechanism, key: int, parts: Iterable[bytes]) -> bytes:
        """Sign in several parts."""
        self.init("Sign", mechanism, key)
        for part in parts:
            self.call("C_SignUpdate", part, len(part))
        return self.output("C_SignFinal")

    def verify(self, mechanism: Mechanism, key: int, data: bytes, signature: bytes) -> None:
        """Verify in one part; a wrong signature is raised."""
        self.init("Verify", mechanism, key)
        self.call("C_Verify", data, len(data), signature, len(signature))

    def verify_parts(self, mechanism: Mechanism, key: int, parts: Iterable[bytes], signature: bytes) -> None:
        """Verify in several parts."""
        self.init("Verify", mechanism, key)
        for part in parts:
            self.call("C_VerifyUpdate", part, len(part))
        self.call("C_VerifyFinal", signature, len(signature))

    def digest(self, mechanism: Mechanism, data: bytes) -> bytes:
        """Digest in one part."""
        self.call("C_DigestInit", mechanism.pointer)
        return self.output("C_Digest", data, len(data))

    def generate(self, mechanism: Mechanism, attributes: Attributes) -> int:
        """Call C_GenerateKey."""
        return self._object("C_GenerateKey", Template(attributes), mechanism.pointer)

    def generate_pair(self, mechanism: Mechanism, public: Attributes, private: Attributes) -> tuple[int, int]:
        """Call C_GenerateKeyPair and return the handles of public and private key."""
        one, two = Template(public), Template(private)
        handles = ffi.new("CK_OBJECT_HANDLE[2]")
        self.call(
            "C_GenerateKeyPair", mechanism.pointer, one.array, one.count, two.array, two.count, handles, handles + 1
        )
        return int(handles[0]), int(handles[1])

    def wrap(self, mechanism: Mechanism, wrapping: int, key: int) -> bytes:
        """Call C_WrapKey."""
        return self.output("C_WrapKey", mechanism.pointer, wrapping, key)

    def encapsulate(self, mechanism: Mechanism, public: int, attributes: Attributes) -> tuple[bytes, int]:
        """Call C_EncapsulateKey, in two calls; return the ciphertext and the new key."""
        template, key, length = Template(attributes), ffi.new("CK_OBJECT_HANDLE *"), ffi.new("CK_ULONG *")
        before = mechanism.pointer, public, template.array, template.count
        self.call("C_EncapsulateKey", *before, NULL, length, key)
        buffer = ffi.new("CK_BYTE[]", max(1, length[0]))
        self.call("C_EncapsulateKey", *before, buffer, length, key)
        return bytes(buffer[0 : length[0]]), int(key[0])

    def decapsulate(self, mechanism: Mechanism, private: int, attributes: Attributes, ciphertext: bytes) -> int:
        """Call C_DecapsulateKey."""
        template, key = Template(attributes), ffi.new("CK_OBJECT_HANDLE *")
        self.call(
            "C_DecapsulateKey", mechanism.pointer, private, template.array, template.count, ciphertext,
            len(ciphertext), key,
        )  # fmt: skip
        return int(key[0])

    def wrap_authenticated(self, mechanism: Mechanism, wrapping: int, key: int, associated: bytes = b"") -> bytes:
        """Call C_WrapKeyAuthenticated, in two calls."""
        return self.output("C_WrapKeyAuthenticated", mechanism.pointer, wrapping, key, associated, len(associated))

    def unwrap_authenticated(
        self, mechanism: Mechanism, unwrapping: int, wrapped: bytes, attributes: Attributes, associated: bytes = b""
    ) -> int:
        """Call C_UnwrapKeyAuthenticated."""
        template, key = Template(attributes), ffi.new("CK_OBJECT_HANDLE *")
        self.call(
            "C_UnwrapKeyAuthenticated", mechanism.pointer, unwrapping, wrapped, len(wrapped), template.array,
            template.count, associated, len(associated), key,
        )  # fmt: skip
        return int(key[0])

    def unwrap(self, mechanism: Mechanism, unwrapping: int, wrapped: bytes, attributes: Attributes) -> int:
        """Call C_UnwrapKey and return the new key's handle."""
        return self._object("C_UnwrapKey", Template(attributes), mechanism.pointer, unwrapping, wrapped, len(wrapped))

    def derive(self, mechanism: Mechanism, base: int, attributes: Attributes) -> int:
        """Call C_DeriveKey and return the new key's handle."""
        return self._object("C_DeriveKey", Template(attributes), mechanism.pointer, base)

    def random(self, length: int) -> bytes:
        """Call C_GenerateRandom."""
        buffer = ffi.new("CK_BYTE[]", max(1, length))
        self.call("C_GenerateRandom", buffer, length)
        return bytes(buffer[0:length])
