"""The command table: one row for each function of Cryptoki 3.2 and each of the vendor's, and nowhere else.

The bridge's marshalling, the codec, the secure-messaging policy and `docs/functions.md` are made from it. A row's
fields follow the C parameters in order; the kind says how many C parameters a field takes and what crosses the wire.
A field is written `name:kind`, or `kind` alone where that is name enough.

Kinds that go in (Python value; C parameters):
    session, handle, ulong   int; one CK_ULONG
    boolean                  bool; one CK_BBOOL
    device                   int, the number of an HSM, for the library alone: nothing crosses; one CK_UINT
    bytes                    bytes; pointer and length; NULL with a length is CKR_ARGUMENTS_BAD
    last                     bytes, or None for NULL, which says that more is to follow; pointer and length
    secret                   bytes, or None for NULL (a PIN; None asks for a protected path); pointer and length
    label                    bytes, 32 blank-padded; one pointer
    name                     bytes up to the NUL; one pointer
    mechanism                (type, parameter), or None for NULL, which ends an operation; one pointer
    template                 spec.values.Template; pointer and count
    types                    tuple of attribute types; pointer and count (C_GetAttributeValue: written back)
    made, given              a per-message parameter of `spec.layouts`, `MADE` or `GIVEN`; pointer and length
    sealing, opening         (type, parameter of a message as `made` or `given`), or None for NULL; one pointer
    callback, ignored        nothing crosses; two parameters
    reserved                 nothing crosses; one parameter that must be NULL
    ulong_in                 int; one CK_ULONG behind the fields that come out

Kinds that come out (in the order of the C parameters; a method returns the value, or a tuple where there are several):
    ulong, uint              int; one pointer, to a CK_ULONG or a CK_UINT
    buffer                   bytes, or int in answer to a length query; pointer and pointer to the length. The method
                             gets one more argument in this place, `room`: the bytes there are, None for a length query
    last_buffer              as `buffer`; `room` is False where the pointer to the length is NULL: more is to follow
    fill                     bytes, as many as asked for; pointer and length (which also goes in, as int)
    list                     tuple of int; pointer and pointer to the count
    slots                    the same; the library's method gets one more argument: whether the count is asked for
    found                    tuple of int; pointer, maximum (which also goes in, as int) and pointer to the count
    written                  tuple of bytes and of int (handles): what is written into memory that the mechanism's or
                             message's parameter names (`spec.members`), one for each place, or empty; no C parameter
    values                   (CK_RV, tuple of bytes or None), written back to where `types` came from
    info, slot_info, token_info, session_info, mechanism_info
                             tuple of numbers and bytes in the structure's order; one pointer
    async_data               tuple of two handles; one pointer
"""

from __future__ import annotations

from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import CryptokiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["BY_NAME", "CANCEL", "CANCEL_ALONE", "COMMANDS", "MESSAGE_ALONE", "Command", "Device"]

CANCEL = {
    "encrypt": CKF.ENCRYPT,
    "decrypt": CKF.DECRYPT,
    "digest": CKF.DIGEST,
    "sign": CKF.SIGN,
    "sign_recover": CKF.SIGN_RECOVER,
    "verify": CKF.VERIFY,
    "verify_recover": CKF.VERIFY_RECOVER,
    "verify_signature": CKF.VERIFY,
    "message_encrypt": CKF.MESSAGE_ENCRYPT,
    "message_decrypt": CKF.MESSAGE_DECRYPT,
    "message_sign": CKF.MESSAGE_SIGN,
    "message_verify": CKF.MESSAGE_VERIFY,
}
"""What the kinds of operations are called in the mask of C_SessionCancel."""
MESSAGE_ALONE = 1 << 32
"""In that mask, from the library: end the message that is under way, not the operation it belongs to."""
CANCEL_ALONE = {kind: MESSAGE_ALONE << place for place, kind in enumerate(CANCEL, 1)}
"""In that mask, from the library: end this kind, and not another one that has its flag as well."""


def _method(name: str) -> str:
    """Return `init_pin` for `C_InitPIN`, `ct_init_pin` for `CT_InitPIN`: an underscore where a word begins."""
    prefix, _, words = name.partition("_")
    letters = "" if prefix == "C" else prefix.lower() + "_"
    before = ""
    for letter, after in zip(words, words[1:] + " ", strict=True):
        if letter.isupper() and (before.islower() or (before and after.islower())):
            letters += "_"
        letters += letter.lower()
        before = letter
    return letters


class Command:
    """One row of the table.

    `number` is the place in the function list from 1, the vendor's functions after the last, and the number on the
    wire; `method` the name of the `Device` method; `operation` the kind of operation the command works on, which a
    refused argument ends; `library` is true for what the client library answers itself; `sensitive` for requests that
    may carry a PIN or the value of a key, or a part of it: what No Clear PINs has encrypted.
    """

    __slots__ = ("inputs", "library", "method", "name", "number", "operation", "outputs", "sensitive")

    def __init__(self, number: int, row: str) -> None:
        """Read a row of the table: `marks name | inputs | outputs | operation`."""
        head, inputs, outputs, operation = (part.strip() for part in row.split("|"))
        marks, self.name = head.split()
        self.number = number
        self.inputs = inputs.split()
        self.outputs = outputs.split()
        self.operation = operation
        self.library = "L" in marks
        self.sensitive = "s" in marks
        self.method = _method(self.name)

    @property
    def has_session(self) -> bool:
        """Whether the first field is a session handle."""
        return self.inputs[:1] == ["session"]


class Device:
    """An HSM as the client sees it: one method for each row not marked L, named `Command.method`.

    Methods take the fields that go in, return those that come out, and raise `CryptokiError`. What a device does not
    define is refused with CKR_FUNCTION_NOT_SUPPORTED.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]:
            """Stand for the methods that the table below puts here."""


# Marks: L answered by the library, s the request may carry a PIN or the value of a key, - neither.
_TABLE = """\
L C_Initialize | | |
L C_Finalize | reserved | |
L C_GetInfo | | info |
L C_GetFunctionList | | |
- C_GetSlotList | present:boolean | slots |
- C_GetSlotInfo | slot:ulong | slot_info |
- C_GetTokenInfo | slot:ulong | token_info |
- C_GetMechanismList | slot:ulong | list |
- C_GetMechanismInfo | slot:ulong type:ulong | mechanism_info |
s C_InitToken | slot:ulong pin:secret label | |
s C_InitPIN | session pin:secret | |
s C_SetPIN | session old:secret new:secret | |
- C_OpenSession | slot:ulong flags:ulong callback | session:ulong |
- C_CloseSession | session | |
- C_CloseAllSessions | slot:ulong | |
- C_GetSessionInfo | session | session_info |
- C_GetOperationState | session | state:buffer |
- C_SetOperationState | session state:bytes encryption_key:handle authentication_key:handle | |
s C_Login | session user:ulong pin:secret | |
- C_Logout | session | |
s C_CreateObject | session template | object:ulong |
- C_CopyObject | session object:handle template | new:ulong |
- C_DestroyObject | session object:handle | |
- C_GetObjectSize | session object:handle | size:ulong |
- C_GetAttributeValue | session object:handle types | values |
- C_SetAttributeValue | session object:handle template | |
- C_FindObjectsInit | session template | | find
- C_FindObjects | session | found | find
- C_FindObjectsFinal | session | | find
- C_EncryptInit | session mechanism key:handle | | encrypt
- C_Encrypt | session data:bytes | encrypted:buffer | encrypt
- C_EncryptUpdate | session part:bytes | encrypted:buffer | encrypt
- C_EncryptFinal | session | encrypted:buffer | encrypt
- C_DecryptInit | session mechanism key:handle | | decrypt
- C_Decrypt | session encrypted:bytes | data:buffer | decrypt
- C_DecryptUpdate | session encrypted:bytes | part:buffer | decrypt
- C_DecryptFinal | session | part:buffer | decrypt
- C_DigestInit | session mechanism | | digest
- C_Digest | session data:bytes | digest:buffer | digest
- C_DigestUpdate | session part:bytes | | digest
- C_DigestKey | session key:handle | | digest
- C_DigestFinal | session | digest:buffer | digest
- C_SignInit | session mechanism key:handle | | sign
- C_Sign | session data:bytes | signature:buffer | sign
- C_SignUpdate | session part:bytes | | sign
- C_SignFinal | session | signature:buffer | sign
- C_SignRecoverInit | session mechanism key:handle | | sign_recover
- C_SignRecover | session data:bytes | signature:buffer | sign_recover
- C_VerifyInit | session mechanism key:handle | | verify
- C_Verify | session data:bytes signature:bytes | | verify
- C_VerifyUpdate | session part:bytes | | verify
- C_VerifyFinal | session signature:bytes | | verify
- C_VerifyRecoverInit | session mechanism key:handle | | verify_recover
- C_VerifyRecover | session signature:bytes | data:buffer | verify_recover
- C_DigestEncryptUpdate | session part:bytes | encrypted:buffer | digest,encrypt
- C_DecryptDigestUpdate | session encrypted:bytes | part:buffer | decrypt,digest
- C_SignEncryptUpdate | session part:bytes | encrypted:buffer | sign,encrypt
- C_DecryptVerifyUpdate | session encrypted:bytes | part:buffer | decrypt,verify
s C_GenerateKey | session mechanism template | key:ulong written |
- C_GenerateKeyPair | session mechanism public:template private:template | public_key:ulong private_key:ulong |
- C_WrapKey | session mechanism wrapping_key:handle key:handle | wrapped:buffer written |
s C_UnwrapKey | session mechanism unwrapping_key:handle wrapped:bytes template | key:ulong |
s C_DeriveKey | session mechanism base_key:handle template | key:ulong written |
s C_SeedRandom | session seed:bytes | |
- C_GenerateRandom | session | random:fill |
L C_GetFunctionStatus | session | |
L C_CancelFunction | session | |
L C_WaitForSlotEvent | flags:ulong | slot:ulong reserved |
L C_GetInterfaceList | | |
L C_GetInterface | | |
s C_LoginUser | session user:ulong pin:secret username:bytes | |
- C_SessionCancel | session flags:ulong | |
- C_MessageEncryptInit | session mechanism key:handle | | message_encrypt
- C_EncryptMessage | session parameter:made associated:bytes plaintext:bytes | ciphertext:buffer written | message_encrypt
- C_EncryptMessageBegin | session parameter:made associated:bytes | written | message_encrypt
- C_EncryptMessageNext | session parameter:made plaintext:bytes | ciphertext:buffer flags:ulong_in written | message_encrypt
- C_MessageEncryptFinal | session | | message_encrypt
- C_MessageDecryptInit | session mechanism key:handle | | message_decrypt
- C_DecryptMessage | session parameter:given associated:bytes ciphertext:bytes | plaintext:buffer | message_decrypt
- C_DecryptMessageBegin | session parameter:given associated:bytes | | message_decrypt
- C_DecryptMessageNext | session parameter:given ciphertext:bytes | plaintext:buffer flags:ulong_in | message_decrypt
- C_MessageDecryptFinal | session | | message_decrypt
- C_MessageSignInit | session mechanism key:handle | | message_sign
- C_SignMessage | session parameter:made data:bytes | signature:buffer written | message_sign
- C_SignMessageBegin | session parameter:made | written | message_sign
- C_SignMessageNext | session parameter:made data:bytes | signature:last_buffer written | message_sign
- C_MessageSignFinal | session | | message_sign
- C_MessageVerifyInit | session mechanism key:handle | | message_verify
- C_VerifyMessage | session parameter:given data:bytes signature:bytes | | message_verify
- C_VerifyMessageBegin | session parameter:given | | message_verify
- C_VerifyMessageNext | session parameter:given data:bytes signature:last | | message_verify
- C_MessageVerifyFinal | session | | message_verify
- C_EncapsulateKey | session mechanism public_key:handle template | ciphertext:buffer key:ulong written |
- C_DecapsulateKey | session mechanism private_key:handle template ciphertext:bytes | key:ulong |
- C_VerifySignatureInit | session mechanism key:handle signature:bytes | | verify_signature
- C_VerifySignature | session data:bytes | | verify_signature
- C_VerifySignatureUpdate | session part:bytes | | verify_signature
- C_VerifySignatureFinal | session | | verify_signature
- C_GetSessionValidationFlags | session type:ulong | flags:ulong |
- C_AsyncComplete | session function:name | async_data |
- C_AsyncGetID | session function:name | id:ulong |
- C_AsyncJoin | session function:name id:ulong ignored | |
- C_WrapKeyAuthenticated | session mechanism:sealing wrapping_key:handle key:handle associated:bytes | wrapped:buffer written |
- C_UnwrapKeyAuthenticated | session mechanism:opening unwrapping_key:handle wrapped:bytes template associated:bytes | key:ulong |
s CT_InitToken | session slot:ulong pin:secret label | |
s CT_InitPIN | session user:ulong pin:secret | |
s CT_ResetToken | session pin:secret label | |
- CT_CopyObject | session source:ulong object:handle template | new:ulong |
L CT_HsmIdFromSlotId | slot:ulong | id:uint |
L CT_ToHsmSession | session | hsm_session:ulong |
L CT_GetHSMId | session | id:ulong |
- CT_PresentTicket | session object:handle mechanism ticket:bytes | |
- CT_FetchCertificate | hsm:device type:ulong | certificate:buffer |
- CT_GetSMC | hsm:device session:ulong version:ulong input:bytes | output:buffer |
"""  # noqa: E501 - rows

COMMANDS = tuple(Command(number, row) for number, row in enumerate(_TABLE.splitlines(), 1))
BY_NAME = {command.name: command for command in COMMANDS}


def _unsupported(command: Command) -> Callable[..., object]:
    def method(*_: object) -> object:
        raise CryptokiError(CKR.FUNCTION_NOT_SUPPORTED, f"{command.name} is not there yet")

    return method


for _command in COMMANDS:
    if not _command.library:
        setattr(Device, _command.method, _unsupported(_command))
