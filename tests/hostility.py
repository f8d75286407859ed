"""C calls that nobody in their right mind makes, drawn by chance, as tests/programs/hostile.py takes them.

All functions of the command table, the vendor's too, alone and in the order in which operations use them; never a
wait without end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chance as st
from chance import Strategy
from hostile_arguments import (
    HUGE,
    MEMORY,
    RIGHT,
    TYPE_ALONE,
    able,
    asked_types,
    buffers,
    byte_strings,
    contents,
    flag_entries,
    mechanism_pointers,
    object_handles,
    own_session,
    pin_values,
    rooms,
    session_handles,
    shape,
    template_arrays,
    ulongs,
)
from hostile_structures import message_arguments, messages
from programs.hostile import ADMINISTRATOR, OBJECTS

from ptkc.mechanisms import MECHANISMS
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKU
from ptkc.spec.values import ulong
from ptkc.wire.commands import BY_NAME, COMMANDS, Command

__all__ = ["sequences"]

Call = tuple[str, tuple[Any, ...]]

_MOST_PINS = 2
"""Calls with a PIN in a sequence: a third wrong one delays all that follow."""

_VENDOR_PINS = ("CT_InitToken", "CT_InitPIN", "CT_ResetToken")
_METHODS = {
    "C_EncryptInit": "encrypt", "C_DecryptInit": "decrypt", "C_SignInit": "sign", "C_VerifyInit": "verify",
    "C_DigestInit": "digest", "C_GenerateKey": "generate", "C_GenerateKeyPair": "generate_pair", "C_WrapKey": "wrap",
    "C_UnwrapKey": "unwrap", "C_DeriveKey": "derive", "C_SignRecoverInit": "sign_recover",
    "C_VerifyRecoverInit": "verify_recover", "C_VerifySignatureInit": "verify", "C_MessageSignInit": "sign",
    "C_MessageVerifyInit": "verify", "C_MessageEncryptInit": "message_encrypt",
    "C_MessageDecryptInit": "message_decrypt", "C_WrapKeyAuthenticated": "wrap_authenticated",
    "C_UnwrapKeyAuthenticated": "unwrap_authenticated", "C_EncapsulateKey": "encapsulate",
    "C_DecapsulateKey": "decapsulate",
}  # fmt: skip

# One strategy for each kind of field of the command table, giving the C arguments that the field takes.

_flag_masks = st.one_of(st.sampled_from((0, CKF.SERIAL_SESSION, CKF.SERIAL_SESSION | CKF.RW_SESSION)), ulongs)
_INPUTS: dict[str, Strategy] = {
    "session": session_handles.map(lambda value: (value,)),
    "handle": object_handles.map(lambda value: (value,)),
    "ulong": ulongs.map(lambda value: (value,)),
    "device": st.one_of(st.sampled_from((0, 0, 1)), ulongs).map(lambda value: (value,)),
    "boolean": st.sampled_from((0, 1, 255)).map(lambda value: (value,)),
    "bytes": byte_strings,
    "made": message_arguments,
    "given": message_arguments,
    "last": byte_strings,
    "secret": pin_values,
    "label": st.sampled_from([(b"hostile".ljust(32),), (b"\xff" * 32,), (None,)]),
    "name": st.sampled_from([(b"C_Sign\0",), (b"\0",), (b"x" * 64,), (None,)]),
    "types": asked_types,
    "callback": st.just((None, None)),
    "ignored": st.just((None, 0)),
    "reserved": st.sampled_from([(None,), (None,), (b"\x00" * 8,)]),
    "ulong_in": ulongs.map(lambda value: (value,)),
}
_new_object = st.sampled_from([(("new object",),)] * 9 + [(None,)])
_NEW_OBJECTS = ("object", "new", "key", "public_key", "private_key")
_OUTPUTS: dict[str, Strategy] = {
    "buffer": buffers,
    "last_buffer": st.one_of(buffers, st.just((None, None))),
    "fill": st.one_of(
        rooms.map(lambda room: (("out", room), room)), st.tuples(st.just(("out", 16)), st.sampled_from(HUGE[1:]))
    ),
    **dict.fromkeys(("list", "slots"), st.sampled_from([
        (("out", MEMORY), ("count", 512)), (("out", MEMORY), ("count", 1)), (None, ("count", 0)), (None, None),
    ])),
    "found": st.tuples(
        st.just(("out", MEMORY)), st.sampled_from((0, 1, 16, 2**64 - 1)), st.sampled_from([*[("count", 0)] * 9, None])
    ),
    "values": st.just(()),
    "written": st.just(()),
    **{
        kind: st.sampled_from([(("structure", f"CK_{kind.upper()}"),)] * 4 + [(None,)])
        for kind in ("info", "slot_info", "token_info", "session_info", "mechanism_info", "async_data")
    },
}
_slots = st.one_of(st.just(("slot", 0)), st.just(("slot", 1)), ulongs).map(lambda value: (value,))
_users = st.one_of(st.sampled_from((CKU.SO, CKU.USER, CKU.CONTEXT_SPECIFIC)), ulongs).map(lambda value: (value,))
_certificates = st.one_of(
    st.sampled_from((CKA.LOCAL_IDENTITY_CERT, CKA.HSM_OWNER_CERT, CKA.HSM_ROOT_CERT)), ulongs
).map(lambda value: (value,))
_FIELDS: dict[tuple[str, str], Strategy] = {
    ("C_OpenSession", "flags"): _flag_masks.map(lambda value: (value,)),
    ("C_OpenSession", "session"): st.sampled_from([(("new session",),)] * 9 + [(None,)]),
    ("C_Login", "user"): _users,
    ("CT_InitPIN", "user"): _users,
    ("CT_CopyObject", "source"): session_handles.map(lambda value: (value,)),
    ("CT_FetchCertificate", "type"): _certificates,
    ("CT_GetSMC", "session"): session_handles.map(lambda value: (value,)),
    ("C_WaitForSlotEvent", "flags"): ulongs.map(lambda flags: (flags | CKF.DONT_BLOCK,)),
}
_SPECIAL: dict[str, Strategy] = {
    "C_Initialize": st.one_of(
        st.just((None,)),
        st.lists(st.sampled_from((b"\x00" * 8, b"\x01" * 8)), min_size=6, max_size=6).map(
            lambda words: (b"".join(words),)
        ),
    ),
    "C_Finalize": st.sampled_from([(None,), (b"\x00",)]),
    "C_GetFunctionList": st.sampled_from([(("count", 0),), (None,)]),
    "C_GetInterfaceList": st.tuples(
        st.sampled_from([("out", 96), None]), st.sampled_from([("count", 4), ("count", 1), None])
    ),
    "C_GetInterface": st.tuples(
        st.sampled_from([None, b"PKCS 11\0", b"Vendor PTKC\0", b"x\0"]),
        st.sampled_from([None, b"\x03\x02", b"\x02\x28", b"\x01\x00", b"\xff\xff"]),
        st.sampled_from([("count", 0), None]),
        st.sampled_from((0, 1, 2**64 - 1)),
    ),
}


_sealing = st.tuples(
    st.just("mechanism"), st.sampled_from(able("wrap_authenticated")), messages, st.just(None)
)


def _call(command: Command) -> Strategy:
    """Return calls of one function."""
    if command.name in _SPECIAL:
        return st.tuples(st.just(command.name), _SPECIAL[command.name])
    parts = []
    for field in command.inputs + command.outputs:
        name, _, kind = field.rpartition(":")
        if (command.name, name) in _FIELDS:
            part = _FIELDS[command.name, name]
        elif kind == "template":
            part = template_arrays(f"{command.name} {name or kind}")
        elif kind in ("sealing", "opening"):
            part = st.one_of(_sealing, mechanism_pointers(able(_METHODS[command.name]))).map(lambda value: (value,))
        elif kind == "mechanism":
            tickets = command.name == "CT_PresentTicket"
            numbers = [CKM.SET_ATTRIBUTES] if tickets else able(_METHODS.get(command.name, "encrypt"))
            part = mechanism_pointers(numbers).map(lambda value: (value,))
        elif name == "slot" and kind == "ulong":
            part = st.just((("count", 0),)) if command.name == "C_WaitForSlotEvent" else _slots
        elif field in command.outputs and kind in ("ulong", "uint"):
            part = _new_object if name in _NEW_OBJECTS else st.just((("count", 0),))
        else:
            part = _INPUTS[kind] if kind in _INPUTS else _OUTPUTS[kind]
        parts.append(part)
    return st.tuples(*parts).map(lambda values: (command.name, tuple(part for value in values for part in value)))


_CALLS = {command.name: _call(command) for command in COMMANDS}
_any_call = st.sampled_from(sorted(_CALLS)).flatmap(_CALLS.__getitem__)
_KEY_CALLS = (
    "C_CreateObject", "C_CopyObject", "C_GenerateKey", "C_GenerateKeyPair", "C_WrapKey", "C_UnwrapKey", "C_DeriveKey",
    "C_GetAttributeValue", "C_SetAttributeValue", "C_FindObjectsInit", "C_FindObjects", "C_DestroyObject",
    "C_DigestKey",
)  # fmt: skip
_key_call = st.sampled_from(_KEY_CALLS).flatmap(_CALLS.__getitem__)

# An operation with the right kind of key: Init, and then what follows it, or whatever else one can do.
_SECRET = {
    CKK.AES: ("aes", "aes", "aes-public", "aes-bound", "aes-wrap"), CKK.GENERIC_SECRET: ("generic", "master"),
    **{number: (name.lower(),) for name, number in vars(CKK).items() if name.lower() in OBJECTS and name != "AES"},
}  # fmt: skip
_PAIRS = {
    CKK.RSA: "rsa", CKK.EC: "ec", CKK.EC_EDWARDS: "ed", CKK.EC_MONTGOMERY: "x", CKK.DH: "dh", CKK.DSA: "dsa",
    CKK.ML_DSA: "ml_dsa", CKK.ML_KEM: "ml_kem", CKK.SLH_DSA: "slh_dsa",
}  # fmt: skip
_PUBLIC = {**_SECRET, **{kind: (f"{name}-public",) for kind, name in _PAIRS.items()}}
_PRIVATE = {
    **_SECRET, **{kind: (f"{name}-private",) for kind, name in _PAIRS.items()}, CKK.EC: ("ec-private", "auth")
}  # fmt: skip
_OPERATIONS = {
    "encrypt": (_PUBLIC, "C_Encrypt", "C_EncryptUpdate", "C_EncryptFinal"),
    "decrypt": (_PRIVATE, "C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal"),
    "sign": (_PRIVATE, "C_Sign", "C_SignUpdate", "C_SignFinal"),
    "verify": (_PUBLIC, "C_Verify", "C_VerifyUpdate", "C_VerifyFinal"),
    "digest": ({}, "C_Digest", "C_DigestUpdate", "C_DigestFinal"),
    "sign_recover": (_PRIVATE, "C_SignRecover"),
    "verify_recover": (_PUBLIC, "C_VerifyRecover"),
    "message_sign": (_PRIVATE, "C_SignMessage", "C_SignMessageBegin", "C_SignMessageNext", "C_MessageSignFinal"),
    "message_verify": (
        _PUBLIC, "C_VerifyMessage", "C_VerifyMessageBegin", "C_VerifyMessageNext", "C_MessageVerifyFinal"
    ),
    "message_encrypt": (
        _PUBLIC, "C_EncryptMessage", "C_EncryptMessageBegin", "C_EncryptMessageNext", "C_MessageEncryptFinal"
    ),
    "message_decrypt": (
        _PRIVATE, "C_DecryptMessage", "C_DecryptMessageBegin", "C_DecryptMessageNext", "C_MessageDecryptFinal"
    ),
    "verify_signature": (
        _PUBLIC, "C_VerifySignature", "C_VerifySignatureUpdate", "C_VerifySignatureFinal", "C_VerifySignature"
    ),
    "encapsulate": (_PUBLIC, "C_EncapsulateKey"),
    "decapsulate": (_PRIVATE, "C_DecapsulateKey"),
    "wrap": (_PUBLIC, "C_WrapKey"),
    "unwrap": (_PRIVATE, "C_UnwrapKey"),
    "wrap_authenticated": (_PUBLIC, "C_WrapKeyAuthenticated"),
    "unwrap_authenticated": (_PRIVATE, "C_UnwrapKeyAuthenticated"),
    "derive": (_PRIVATE, "C_DeriveKey"),
}
_right_data = st.one_of(contents, st.sampled_from((16, 16, 32, 20, 128)).map(lambda size: b"\x33" * size))


def _right_call(name: str) -> Strategy:
    """Return calls of a function that goes on with an operation, with right arguments."""
    command = BY_NAME[name]
    parts: list[Strategy] = [own_session.map(lambda value: (value,))]
    for field in command.inputs[1:]:
        # Messages that are signed have no parameter; NULL for a signature says that more is to follow.
        data = _right_data.map(lambda data: (data, len(data)))
        absent = st.just((None, 0))
        kind = field.rpartition(":")[2]
        message = message_arguments if "crypt" in name else absent
        parts.append(message if kind in ("made", "given") else st.one_of(absent, data) if kind == "last" else data)
    outputs = [field.rpartition(":")[2] for field in command.outputs]
    flags = st.sampled_from([(0,), (CKF.END_OF_MESSAGE,)])
    room = st.just((("out", MEMORY), ("count", MEMORY)))
    forms = {"last_buffer": st.one_of(st.just((None, None)), room), "ulong_in": flags}
    parts += [forms.get(kind, room) for kind in outputs if kind != "written"]
    return st.tuples(*parts).map(lambda values: (name, tuple(part for value in values for part in value)))


_ABLE = {"message_sign": "sign", "message_verify": "verify", "verify_signature": "verify"}
_any_key = st.one_of(st.just(0), object_handles)
_secret_keys = st.tuples(st.sampled_from((CKK.AES, CKK.GENERIC_SECRET)), st.sampled_from((16, 32, 24, 20, 7))).flatmap(
    lambda key: st.lists(flag_entries, max_size=1).map(
        lambda more: (
            "template",
            [
                (CKA.CLASS, ulong(CKO.SECRET_KEY), None), (CKA.KEY_TYPE, ulong(key[0]), None),
                (CKA.VALUE_LEN, ulong(key[1]), None), *more,
            ],
        )
    )
)  # fmt: skip
_unwrapped = st.sampled_from([entries for entries in RIGHT if len(entries) == TYPE_ALONE]).flatmap(
    lambda entries: st.lists(flag_entries, max_size=1).map(lambda more: ("template", [*entries, *more]))
)


@st.composite
def _operations(draw: Callable[[Strategy], Any]) -> list[Call]:
    """Return the calls of an operation, or a call that is one, with a key that the mechanism takes."""
    kind = draw(st.sampled_from((*sorted(_OPERATIONS), *["derive"] * 5)))  # which has the most mechanisms
    keys, *names = _OPERATIONS[kind]
    number = draw(st.sampled_from(able(_ABLE.get(kind, kind))))
    later = kind in ("message_encrypt", "message_decrypt")  # each message has its parameter
    parameter = None if later else draw(messages if kind.endswith("authenticated") else shape(number))
    mechanism = ("mechanism", number, parameter, None)
    labels = [label for key_type in MECHANISMS[number].key_types for label in keys.get(key_type, ())]
    key = ("object", OBJECTS.index(draw(st.sampled_from(labels)))) if labels else draw(_any_key)
    start = (("session", 0), mechanism, *([key] if kind != "digest" else []))
    if kind == "wrap":
        return [(names[0], (*start, draw(object_handles), *draw(buffers)))]
    if kind.endswith("authenticated"):
        associated = draw(byte_strings)
        if kind == "wrap_authenticated":
            return [(names[0], (*start, draw(object_handles), *associated, *draw(buffers)))]
        template = draw(_secret_keys)
        more = (template, len(template[1]), *associated, ("new object",))
        return [(names[0], (*start, *draw(byte_strings), *more))]
    if kind in ("unwrap", "derive"):
        template = draw(_secret_keys if kind == "derive" else st.one_of(_secret_keys, _unwrapped))
        data = draw(byte_strings) if kind == "unwrap" else ()
        return [(names[0], (*start, *data, template, len(template[1]), ("new object",)))]
    if kind in ("encapsulate", "decapsulate"):
        template = draw(_secret_keys)
        rest = draw(buffers) if kind == "encapsulate" else draw(byte_strings)
        return [(names[0], (*start, template, len(template[1]), *rest, ("new object",)))]
    if kind == "verify_signature":
        start = (*start, *draw(byte_strings))
    follow = st.sampled_from(names)
    right = follow.flatmap(_right_call)
    steps = st.one_of(right, right, follow.flatmap(_CALLS.__getitem__), _any_call)
    name = "C_" + kind.title().replace("_", "") + "Init"
    return [(name, start), *draw(st.lists(steps, min_size=1, max_size=4))]


# Generation with a template that fits, nearly.
_PAIR_TEMPLATES = {
    CKK.RSA: [[(CKA.MODULUS_BITS, ulong(1024), None)]],
    CKK.EC: [[(CKA.EC_PARAMS, value, None)] for value in (bytes.fromhex("06082a8648ce3d030107"), b"\x06\x01\x2a")],
    CKK.EC_EDWARDS: [[(CKA.EC_PARAMS, b"\x13\x0cedwards25519", None)]],
    CKK.EC_MONTGOMERY: [[(CKA.EC_PARAMS, b"\x13\x0acurve25519", None)]],
    CKK.ML_DSA: [[(CKA.PARAMETER_SET, ulong(number), None)] for number in (1, 2, 3, 99)],
    CKK.ML_KEM: [[(CKA.PARAMETER_SET, ulong(number), None)] for number in (1, 2, 3, 99)],
    CKK.SLH_DSA: [[(CKA.PARAMETER_SET, ulong(number), None)] for number in (2, 4, 99)],
}


@st.composite
def _generations(draw: Callable[[Strategy], Any]) -> list[Call]:
    """Return a call that generates something."""
    function = draw(st.sampled_from(("C_GenerateKey", "C_GenerateKeyPair")))
    number = draw(st.sampled_from(able(_METHODS[function])))
    mechanism = ("mechanism", number, draw(shape(number)), None)
    flags = draw(st.lists(flag_entries, max_size=1))
    if function == "C_GenerateKey":
        length = draw(st.sampled_from(([], [], [(CKA.VALUE_LEN, ulong(draw(st.sampled_from((16, 32, 64)))), None)])))
        return [(function, (("session", 0), mechanism, ("template", [*length, *flags]), len(length + flags),
                            ("new object",)))]  # fmt: skip
    right = _PAIR_TEMPLATES.get(MECHANISMS[number].generates, [[]])
    public = draw(st.sampled_from(right))
    return [(function, (("session", 0), mechanism, ("template", public), len(public), ("template", flags), len(flags),
                        ("new object",), ("new object",)))]  # fmt: skip


@st.composite
def _both(draw: Callable[[Strategy], Any]) -> list[Call]:
    """Return the calls of two operations at once."""
    first, second, function = draw(st.sampled_from((
        ("Digest", "Encrypt", "C_DigestEncryptUpdate"), ("Digest", "Decrypt", "C_DecryptDigestUpdate"),
        ("Sign", "Encrypt", "C_SignEncryptUpdate"), ("Verify", "Decrypt", "C_DecryptVerifyUpdate"),
    )))  # fmt: skip
    key = ("object", OBJECTS.index("aes"))
    begun: list[Call] = []
    for name in (first, second):
        number = {"Digest": CKM.SHA256}.get(name, CKM.AES_CMAC if name in ("Sign", "Verify") else CKM.AES_CTR)
        mechanism = ("mechanism", number, draw(shape(number)), None)
        begun.append((f"C_{name}Init", (("session", 0), mechanism, *([key] if name != "Digest" else []))))
    return [*begun, *draw(st.lists(st.one_of(_right_call(function), _CALLS[function]), min_size=1, max_size=3))]


def _sparing(calls: list[Call]) -> list[Call]:
    """Leave out what would make a sequence long: PINs after the first few."""
    kept, pins = [], 0
    for name, arguments in calls:
        if name in ("C_Login", "C_SetPIN", "C_InitPIN", "C_InitToken", "C_LoginUser", *_VENDOR_PINS):
            pins += 1
            if pins > _MOST_PINS:
                continue
        kept.append((name, arguments))
    return kept


sequences = st.tuples(
    st.sampled_from([*[CKU.USER] * 8, ADMINISTRATOR, ADMINISTRATOR, CKU.SO, None]),
    st.lists(
        st.one_of(
            _any_call.map(lambda call: [call]), _key_call.map(lambda call: [call]), _generations(), _both(),
            *[_operations()] * 4,
        ),
        min_size=1,
        max_size=10,
    ).map(lambda groups: _sparing([call for group in groups for call in group])),
)
