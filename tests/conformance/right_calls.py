"""For each function that takes a session, a right call: what must come before it, and its arguments.

`RIGHT[function](session)` does what comes before and returns what goes in, by the names of the command table (`session`
left out). `Call` lays that out as C arguments, which a test of return codes then changes one at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptkc.spec.constants import CKA, CKC, CKF, CKK, CKM, CKO, CKP, CKU
from ptkc.wire.commands import BY_NAME

from .binding import ffi
from .cryptoki import NULL, Session, Template
from .fresh_token import USER_PIN
from .keys import DATA, P256, aes, generic, import_ec, import_rsa, private_ec, private_rsa
from .messages import Gcm, MessageParameter
from .parameters import Mechanism, ecdh

__all__ = [
    "CBC", "CMAC", "DATA_64", "INITS", "KEM", "NEW_AES", "RIGHT", "RSA", "SHA256", "Call", "gcm_message", "rsa_pair",
    "sealed",
]  # fmt: skip

CBC = Mechanism(CKM.AES_CBC_PAD, bytes(16))
CMAC = Mechanism(CKM.AES_CMAC)
RSA = Mechanism(CKM.RSA_PKCS)
GCM = Mechanism(CKM.AES_GCM)
SHA256 = Mechanism(CKM.SHA256)
KEM = Mechanism(CKM.ML_KEM)
DATA_64 = bytes(range(64))
NEW_AES: dict[int, Any] = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
_MARK = 0xAA
ROOM = 4096

Arguments = dict[str, Any]


class Call:
    """A function with its C arguments by field; `change` replaces those of one, `run` makes the call."""

    def __init__(self, session: Session, function: str, given: Arguments) -> None:
        """Lay out the arguments `given`, and memory for what comes out."""
        self.session = session
        self.function = function
        self.command = BY_NAME[function]
        self.kept: list[Any] = [given]
        self.kinds: dict[str, str] = {}
        self.arguments: dict[str, tuple[Any, ...]] = {}
        fields = [(field, True) for field in self.command.inputs] + [(field, False) for field in self.command.outputs]
        for field, goes_in in fields:
            name, _, kind = field.rpartition(":")
            name = name or kind
            self.kinds[name] = kind
            if kind == "session":
                self.arguments[name] = (session.handle,)
            elif kind not in ("values", "written"):
                value = given.get(name)
                self.arguments[name] = self._given(kind, value) if goes_in or kind == "ulong_in" else self._room(kind)

    def _given(self, kind: str, value: Any) -> tuple[Any, ...]:  # noqa: ANN401
        """Return the C arguments of a value that goes in."""
        self.kept.append(value)
        if kind in ("mechanism", "sealing", "opening"):
            return (value.pointer,)
        if kind in ("template", "types"):
            template = Template(value)
            self.kept.append(template)
            return template.array, template.count
        if kind in ("bytes", "secret", "last"):
            return (value, len(value)) if value else (NULL, 0)
        if kind in ("made", "given"):
            return value.pair if value else (NULL, 0)
        if kind in ("callback", "ignored"):
            return NULL, 0 if kind == "ignored" else NULL
        return (value,)

    def _room(self, kind: str) -> tuple[Any, ...]:
        """Return memory for what comes out."""
        if kind in ("buffer", "last_buffer", "list"):
            unit = "CK_ULONG[]" if kind == "list" else "CK_BYTE[]"
            return ffi.new(unit, [_MARK] * ROOM), ffi.new("CK_ULONG *", ROOM)
        if kind == "fill":
            return ffi.new("CK_BYTE[]", 32), 32
        if kind == "found":
            return ffi.new("CK_ULONG[]", 16), 16, ffi.new("CK_ULONG *")
        if kind == "ulong":
            return (ffi.new("CK_ULONG *"),)
        if kind == "reserved":
            return (NULL,)
        return (ffi.new(f"CK_{kind.upper()} *"),)

    def change(self, name: str, *arguments: Any) -> Call:  # noqa: ANN401
        """Replace the C arguments of a field."""
        assert len(arguments) == len(self.arguments[name]), (name, arguments)
        self.kept += [self.arguments[name], arguments]
        self.arguments[name] = arguments
        return self

    def field(self, *kinds: str) -> str | None:
        """Return the name of the first field of one of these kinds, the kinds in order."""
        for kind in kinds:
            for name, other in self.kinds.items():
                if kind == other:
                    return name
        return None

    def run(self) -> None:
        """Make the call."""
        arguments = [argument for some in self.arguments.values() for argument in some]
        self.session.cryptoki.call(self.function, *arguments)


def rsa_pair(session: Session) -> tuple[int, int]:
    """Create a pair of RSA keys that may do everything."""
    usages = {CKA.ENCRYPT, CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.WRAP}, {
        CKA.DECRYPT, CKA.SIGN, CKA.SIGN_RECOVER, CKA.UNWRAP
    }  # fmt: skip
    return import_rsa(session, private_rsa(), *(dict.fromkeys(some, True) for some in usages))


def _everything(session: Session) -> int:
    """Create an AES key that may do everything."""
    return aes(session, **dict.fromkeys(("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP"), True))


def gcm_message(iv: bytes = bytes(12), tag: bytes | int = 16) -> MessageParameter:
    """Return the parameter of a message."""
    return Gcm(iv, tag)


def _encrypted(session: Session) -> tuple[MessageParameter, bytes]:
    """Return a message that was encrypted: its parameter with the tag, and the ciphertext."""
    other = session.cryptoki.open(int(session.info().slotID))
    other.call("C_MessageEncryptInit", GCM.pointer, _everything(other))
    made = gcm_message()
    call = Call(other, "C_EncryptMessage", {"parameter": made, "associated": b"", "plaintext": DATA_64})
    call.run()
    buffer, length = call.arguments["ciphertext"]
    found = gcm_message(made.iv, made.tag), bytes(buffer[0 : length[0]])
    other.close()
    return found


def sealed(tag: bytes | int = 16) -> Mechanism:
    """Return CKM_AES_GCM with the parameter of a message, for authenticated wrapping."""
    parameter = gcm_message(tag=tag)
    return Mechanism(CKM.AES_GCM, parameter.structure, parameter)


# What begins each kind of operation: arguments of the Init function.


def _cipher(session: Session) -> Arguments:
    return {"mechanism": CBC, "key": _everything(session)}


def _mac(session: Session) -> Arguments:
    return {"mechanism": CMAC, "key": _everything(session)}


def _message_cipher(session: Session) -> Arguments:
    return {"mechanism": GCM, "key": _everything(session)}


INITS: dict[str, Callable[[Session], Arguments]] = {
    "C_FindObjectsInit": lambda _: {"template": {}},
    "C_EncryptInit": _cipher,
    "C_DecryptInit": _cipher,
    "C_DigestInit": lambda _: {"mechanism": SHA256},
    "C_SignInit": _mac,
    "C_VerifyInit": _mac,
    "C_SignRecoverInit": lambda session: {"mechanism": RSA, "key": rsa_pair(session)[1]},
    "C_VerifyRecoverInit": lambda session: {"mechanism": RSA, "key": rsa_pair(session)[0]},
    "C_MessageEncryptInit": _message_cipher,
    "C_MessageDecryptInit": _message_cipher,
    "C_MessageSignInit": _mac,
    "C_MessageVerifyInit": _mac,
    "C_VerifySignatureInit": lambda session: {**_mac(session), "signature": _signature(session)},
}


def begin(session: Session, *functions: str) -> None:
    """Call Init functions."""
    for function in functions:
        Call(session, function, INITS[function](session)).run()


def _done(session: Session, function: str, given: Arguments) -> None:
    Call(session, function, given).run()


def _signature(session: Session) -> bytes:
    """Return the CMAC of DATA_64 under the key of everything."""
    other = session.cryptoki.open(int(session.info().slotID))
    found = other.sign(CMAC, _everything(other), DATA_64)
    other.close()
    return found


def _ciphertext(session: Session) -> bytes:
    other = session.cryptoki.open(int(session.info().slotID))
    found = other.encrypt(CBC, _everything(other), DATA_64)
    other.close()
    return found


def _after(*before: str | tuple[str, Arguments], **given: Any) -> Callable[[Session], Arguments]:  # noqa: ANN401
    """Return a preparation: Init functions and calls, then these arguments, or what makes them in the session."""

    def prepare(session: Session) -> Arguments:
        for step in before:
            if isinstance(step, str):
                begin(session, step)
            else:
                _done(session, *step)
        return {name: value(session) if callable(value) else value for name, value in given.items()}

    return prepare


def _recovered(session: Session) -> bytes:
    return session.cipher("SignRecover", RSA, rsa_pair(session)[1], DATA_64)


def _decrypt_message(*before: str | tuple[str, Arguments]) -> Callable[[Session], Arguments]:
    def prepare(session: Session) -> Arguments:
        parameter, ciphertext = _encrypted(session)
        begin(session, "C_MessageDecryptInit")
        if before:
            _done(session, "C_DecryptMessageBegin", {"parameter": parameter, "associated": b""})
        more = {"flags": CKF.END_OF_MESSAGE} if before else {}
        return {"parameter": parameter, "associated": b"", "ciphertext": ciphertext, **more}

    return prepare


def _encrypt_next(session: Session) -> Arguments:
    begin(session, "C_MessageEncryptInit")
    parameter = gcm_message()
    _done(session, "C_EncryptMessageBegin", {"parameter": parameter, "associated": b""})
    return {"parameter": parameter, "plaintext": DATA_64, "flags": CKF.END_OF_MESSAGE}


def _wrap(session: Session) -> Arguments:
    return {"mechanism": Mechanism(CKM.AES_KEY_WRAP), "wrapping_key": _everything(session), "key": aes(session)}


def _unwrap(session: Session) -> Arguments:
    wrapped = session.wrap(Mechanism(CKM.AES_KEY_WRAP), _everything(session), aes(session))
    mechanism = Mechanism(CKM.AES_KEY_WRAP)
    return {"mechanism": mechanism, "unwrapping_key": _everything(session), "wrapped": wrapped, "template": NEW_AES}


def _unwrap_sealed(session: Session) -> Arguments:
    made = gcm_message()
    mechanism = Mechanism(CKM.AES_GCM, made.structure, made)
    wrapped = session.wrap_authenticated(mechanism, _everything(session), aes(session))
    return {
        "mechanism": sealed(made.tag), "unwrapping_key": _everything(session), "wrapped": wrapped,
        "template": NEW_AES, "associated": b"",
    }  # fmt: skip


def _derive(session: Session) -> Arguments:
    public = private_ec().public_key().public_numbers()
    point = b"\4" + public.x.to_bytes(32, "big") + public.y.to_bytes(32, "big")
    _, key = import_ec(session, private_ec(), None, {CKA.DERIVE: True})
    return {"mechanism": ecdh(point), "base_key": key, "template": {**NEW_AES, CKA.VALUE_LEN: 32}}


def _kem_pair(session: Session) -> tuple[int, int]:
    kind = Mechanism(CKM.ML_KEM_KEY_PAIR_GEN)
    public = {CKA.PARAMETER_SET: CKP.ML_KEM_768, CKA.ENCAPSULATE: True}
    return session.generate_pair(kind, public, {CKA.DECAPSULATE: True})


def _encapsulate(session: Session) -> Arguments:
    return {"mechanism": KEM, "public_key": _kem_pair(session)[0], "template": {**NEW_AES, CKA.VALUE_LEN: 32}}


def _decapsulate(session: Session) -> Arguments:
    public, private = _kem_pair(session)
    ciphertext, _ = session.encapsulate(KEM, public, {**NEW_AES, CKA.VALUE_LEN: 32})
    return {"mechanism": KEM, "private_key": private, "template": {**NEW_AES, CKA.VALUE_LEN: 32},
            "ciphertext": ciphertext}  # fmt: skip


def _saved(session: Session) -> bytes:
    begin(session, "C_DigestInit")
    return session.output("C_GetOperationState")


def _certificate(_: Session) -> Arguments:
    subject = bytes.fromhex("300d310b3009060355040313026161")
    return {"template": {CKA.CLASS: CKO.CERTIFICATE, CKA.CERTIFICATE_TYPE: CKC.X_509, CKA.SUBJECT: subject,
                         CKA.VALUE: b"0\0", CKA.PRIVATE: False}}  # fmt: skip


def _data(session: Session) -> int:
    return session.create(DATA)


def _digest_key(session: Session) -> Arguments:
    begin(session, "C_DigestInit")
    return {"key": generic(session, b"secret")}


_PART = ("C_DigestUpdate", {"part": DATA_64})
_EC_PAIR = {CKA.EC_PARAMS: P256}

RIGHT: dict[str, Callable[[Session], Arguments]] = {
    **INITS,
    "C_InitPIN": _after(pin=USER_PIN.encode()),
    "C_SetPIN": _after(old=USER_PIN.encode(), new=USER_PIN.encode()),
    "C_CloseSession": _after(),
    "C_GetSessionInfo": _after(),
    "C_GetOperationState": _after("C_DigestInit"),
    "C_SetOperationState": _after(state=_saved, encryption_key=0, authentication_key=0),
    "C_Login": _after(user=CKU.USER, pin=USER_PIN.encode()),
    "C_LoginUser": _after(user=CKU.USER, pin=USER_PIN.encode(), username=b""),
    "C_Logout": _after(),
    "C_CreateObject": _certificate,
    "C_CopyObject": _after(object=_data, template={}),
    "C_DestroyObject": _after(object=_data),
    "C_GetObjectSize": _after(object=_data),
    "C_GetAttributeValue": _after(object=_data, types={CKA.LABEL: bytes(32)}),
    "C_SetAttributeValue": _after(object=_data, template={CKA.LABEL: "other"}),
    "C_FindObjects": _after("C_FindObjectsInit"),
    "C_FindObjectsFinal": _after("C_FindObjectsInit"),
    "C_Encrypt": _after("C_EncryptInit", data=DATA_64),
    "C_EncryptUpdate": _after("C_EncryptInit", part=DATA_64),
    "C_EncryptFinal": _after("C_EncryptInit", ("C_EncryptUpdate", {"part": DATA_64})),
    "C_Decrypt": _after("C_DecryptInit", encrypted=_ciphertext),
    "C_DecryptUpdate": _after("C_DecryptInit", encrypted=_ciphertext),
    "C_DigestUpdate": _after("C_DigestInit", part=DATA_64),
    "C_Digest": _after("C_DigestInit", data=DATA_64),
    "C_DigestKey": _digest_key,
    "C_DigestFinal": _after("C_DigestInit", _PART),
    "C_Sign": _after("C_SignInit", data=DATA_64),
    "C_SignUpdate": _after("C_SignInit", part=DATA_64),
    "C_SignFinal": _after("C_SignInit", ("C_SignUpdate", {"part": DATA_64})),
    "C_SignRecover": _after("C_SignRecoverInit", data=DATA_64),
    "C_Verify": _after("C_VerifyInit", data=DATA_64, signature=_signature),
    "C_VerifyUpdate": _after("C_VerifyInit", part=DATA_64),
    "C_VerifyFinal": _after("C_VerifyInit", ("C_VerifyUpdate", {"part": DATA_64}), signature=_signature),
    "C_VerifyRecover": _after("C_VerifyRecoverInit", signature=_recovered),
    "C_DigestEncryptUpdate": _after("C_DigestInit", "C_EncryptInit", part=DATA_64),
    "C_DecryptDigestUpdate": _after("C_DigestInit", "C_DecryptInit", encrypted=_ciphertext),
    "C_SignEncryptUpdate": _after("C_SignInit", "C_EncryptInit", part=DATA_64),
    "C_DecryptVerifyUpdate": _after("C_VerifyInit", "C_DecryptInit", encrypted=_ciphertext),
    "C_GenerateKey": _after(mechanism=Mechanism(CKM.AES_KEY_GEN), template={CKA.VALUE_LEN: 32}),
    "C_GenerateKeyPair": _after(mechanism=Mechanism(CKM.EC_KEY_PAIR_GEN), public=_EC_PAIR, private={}),
    "C_WrapKey": _wrap,
    "C_UnwrapKey": _unwrap,
    "C_DeriveKey": _derive,
    "C_SeedRandom": _after(seed=DATA_64),
    "C_GenerateRandom": _after(),
    "C_GetFunctionStatus": _after(),
    "C_CancelFunction": _after(),
    "C_SessionCancel": _after(flags=0),
    "C_EncryptMessage": _after(
        "C_MessageEncryptInit", parameter=lambda _: gcm_message(), associated=b"", plaintext=DATA_64
    ),
    "C_EncryptMessageBegin": _after("C_MessageEncryptInit", parameter=lambda _: gcm_message(), associated=b""),
    "C_EncryptMessageNext": _encrypt_next,
    "C_MessageEncryptFinal": _after("C_MessageEncryptInit"),
    "C_DecryptMessage": _decrypt_message(),
    "C_DecryptMessageBegin": _decrypt_message(),
    "C_DecryptMessageNext": _decrypt_message("begun"),
    "C_MessageDecryptFinal": _after("C_MessageDecryptInit"),
    "C_SignMessage": _after("C_MessageSignInit", parameter=None, data=DATA_64),
    "C_SignMessageBegin": _after("C_MessageSignInit", parameter=None),
    "C_SignMessageNext": _after(
        "C_MessageSignInit", ("C_SignMessageBegin", {"parameter": None}), parameter=None, data=DATA_64
    ),
    "C_MessageSignFinal": _after("C_MessageSignInit"),
    "C_VerifyMessage": _after("C_MessageVerifyInit", parameter=None, data=DATA_64, signature=_signature),
    "C_VerifyMessageBegin": _after("C_MessageVerifyInit", parameter=None),
    "C_VerifyMessageNext": _after(
        "C_MessageVerifyInit", ("C_VerifyMessageBegin", {"parameter": None}), parameter=None, data=DATA_64,
        signature=_signature,
    ),
    "C_MessageVerifyFinal": _after("C_MessageVerifyInit"),
    "C_EncapsulateKey": _encapsulate,
    "C_DecapsulateKey": _decapsulate,
    "C_VerifySignature": _after("C_VerifySignatureInit", data=DATA_64),
    "C_VerifySignatureUpdate": _after("C_VerifySignatureInit", part=DATA_64),
    "C_VerifySignatureFinal": _after("C_VerifySignatureInit", ("C_VerifySignatureUpdate", {"part": DATA_64})),
    "C_GetSessionValidationFlags": _after(type=1),
    "C_AsyncComplete": _after(function=b"C_GenerateKeyPair\0"),
    "C_AsyncGetID": _after(function=b"C_GenerateKeyPair\0"),
    "C_AsyncJoin": _after(function=b"C_GenerateKeyPair\0", id=1),
    "C_WrapKeyAuthenticated": lambda session: {**_wrap(session), "mechanism": sealed(), "associated": b""},
    "C_UnwrapKeyAuthenticated": _unwrap_sealed,
}  # fmt: skip
"""What comes before a right call of each function with a session, and its arguments."""


def _decrypt_final(session: Session) -> Arguments:
    encrypted = _ciphertext(session)
    begin(session, "C_DecryptInit")
    _done(session, "C_DecryptUpdate", {"encrypted": encrypted})
    return {}


RIGHT["C_DecryptFinal"] = _decrypt_final
