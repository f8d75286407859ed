"""Which (function, code) pairs the specification lists, which of them no soft token answers and why.

The lists of tests/return_codes.txt, and of the codes that it leaves out those that depend on the caller:
CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID and CKR_PENDING.
"""

from __future__ import annotations

from pathlib import Path

from ptkc.wire.commands import BY_NAME

__all__ = ["LISTED", "NEVER", "reason"]

_TABLE = Path(__file__).parents[1] / "return_codes.txt"
_BEFORE_INITIALIZE = ("C_Initialize", "C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface")
_PARALLEL = ("C_GetFunctionStatus", "C_CancelFunction")
_SLOW = ("C_GenerateKey", "C_GenerateKeyPair", "C_AsyncComplete")


def _read() -> set[tuple[str, str]]:
    """Return the pairs."""
    pairs = set()
    for line in _TABLE.read_text(encoding="ascii").replace("\n    ", " ").splitlines():
        name, _, codes = line.partition(":")
        if not line.startswith("C_"):
            continue
        pairs |= {(name, code) for code in codes.split()}
        if name not in _PARALLEL:
            pairs.add((name, "OK"))
        if name not in _BEFORE_INITIALIZE:
            pairs.add((name, "CRYPTOKI_NOT_INITIALIZED"))
        if BY_NAME[name].has_session:
            pairs.add((name, "SESSION_HANDLE_INVALID"))
        if name in _SLOW:
            pairs.add((name, "PENDING"))
    return pairs


LISTED = _read()

NEVER = {
    "GENERAL_ERROR, HOST_MEMORY, FUNCTION_FAILED, DEVICE_ERROR, DEVICE_MEMORY": "what went wrong is known, or a bug",
    "DEVICE_REMOVED, TOKEN_NOT_PRESENT": "every slot has a token; one that was deleted meanwhile is CKR_DEVICE_REMOVED",
    "SESSION_CLOSED, FUNCTION_CANCELED": "a call that another thread's close overtakes finds the session gone",
    "FUNCTION_NOT_SUPPORTED": "all functions are there",
}
"""Universal codes, which are not counted: why none of them is provoked."""

_OF_CODE = {
    "PIN_EXPIRED": "PINs do not expire",
    "TOKEN_NOT_RECOGNIZED": "each slot has a token of the HSM's own; only sessions want it initialised",
    "TOKEN_RESOURCE_EXCEEDED": "keys are not used up",
    "OPERATION_CANCEL_FAILED": "every operation can be cancelled",
    "FUNCTION_REJECTED": "there is nobody to ask for consent",
    "RANDOM_NO_RNG": "there is a generator",
    "SEED_RANDOM_REQUIRED": "the generator needs no seed",
    "RANDOM_SEED_NOT_SUPPORTED": "a seed is mixed in",
    "SESSION_COUNT": "only clients of the network have a limit, whose tests have it",
    "USER_TOO_MANY_TYPES": "the SO excludes the user, there are no more types",
    "INFORMATION_SENSITIVE": "the size of an object says nothing secret",
    "CANT_LOCK": "locks of the operating system are always to be had, and of the application need not be used",
    "TOKEN_WRITE_PROTECTED": "only where the user of the system may not write the store: tests of the store have it",
    "SESSION_ASYNC_NOT_SUPPORTED": "asynchronous sessions are supported",
}
_PROVOKED_ALL_THE_SAME = {("C_OpenSession", "TOKEN_NOT_RECOGNIZED")}
# A reason, then the pairs that it is for: a code and its functions, without C_.
_OF_PAIRS = """
an event needs a slot that changes: the tests of slots have it
  OK: WaitForSlotEvent
it needs no thread of its own
  NEED_TO_CREATE_THREADS: Initialize
other operations and objects do not stand in the way of this call
  OPERATION_ACTIVE: CancelFunction CloseSession CopyObject CreateObject DecapsulateKey DecryptDigestUpdate
    DecryptFinal DecryptMessageNext DecryptUpdate DecryptVerifyUpdate DeriveKey DestroyObject DigestEncryptUpdate
    DigestFinal DigestKey DigestUpdate EncapsulateKey EncryptFinal EncryptMessageNext EncryptUpdate FindObjects
    FindObjectsFinal GenerateRandom GetAttributeValue GetFunctionStatus GetObjectSize GetOperationState
    GetSessionInfo GetSessionValidationFlags InitPIN Login LoginUser Logout SeedRandom SessionCancel
    SetAttributeValue SetOperationState SetPIN SignEncryptUpdate SignFinal SignMessageNext SignRecover SignUpdate
    UnwrapKey UnwrapKeyAuthenticated VerifyFinal VerifyMessageNext VerifyRecover VerifyUpdate WrapKey
    WrapKeyAuthenticated
it always answers CKR_FUNCTION_NOT_PARALLEL
  SESSION_HANDLE_INVALID: GetFunctionStatus CancelFunction
NULL ends the operation, and what a parameter points to is CKR_MECHANISM_PARAM_INVALID
  ARGUMENTS_BAD: DecryptInit DigestInit MessageDecryptInit MessageSignInit MessageVerifyInit SignInit
    SignRecoverInit VerifyInit VerifyRecoverInit
it has no pointer
  ARGUMENTS_BAD: MessageDecryptFinal MessageEncryptFinal MessageSignFinal MessageVerifyFinal VerifySignatureFinal
NULL is a message without a parameter
  ARGUMENTS_BAD: SignMessageBegin VerifyMessageBegin
no buffer comes out
  BUFFER_TOO_SMALL: AsyncJoin DecapsulateKey UnwrapKey UnwrapKeyAuthenticated
the list of interfaces is asked for by name
  BUFFER_TOO_SMALL: GetInterface
an attribute that no object has matches none
  ATTRIBUTE_TYPE_INVALID: FindObjectsInit
a value that no object can have matches none
  ATTRIBUTE_VALUE_INVALID: FindObjectsInit
private objects are not found without a login: their handles are invalid
  USER_NOT_LOGGED_IN: DecryptInit EncryptInit MessageDecryptInit MessageEncryptInit MessageSignInit
    MessageVerifyInit SetAttributeValue SignInit SignRecoverInit VerifyInit VerifyRecoverInit VerifySignatureInit
    WrapKey WrapKeyAuthenticated
only under the security flag No Public Crypto, whose tests have it
  USER_NOT_LOGGED_IN: DigestInit GenerateRandom SeedRandom
a login for each use is for private keys that sign and decrypt: these keys are others
  USER_NOT_LOGGED_IN: DecryptMessage DecryptMessageBegin DecryptMessageNext EncryptMessageBegin MessageDecryptFinal
    VerifyMessageBegin
who was asked for a login at the beginning is not asked again
  USER_NOT_LOGGED_IN: MessageSignFinal SignMessageNext
there is no R/O session beside the SO's
  SESSION_READ_ONLY: InitPIN
secret keys are made, which have no curve
  CURVE_NOT_SUPPORTED: DecapsulateKey EncapsulateKey GenerateKey
secret keys are made, or public ones whose curve is known
  CURVE_NOT_SUPPORTED: DeriveKey
secret keys are made, which have no domain
  DOMAIN_PARAMS_INVALID: DecapsulateKey EncapsulateKey DeriveKey
secret keys are made, which have no set
  PARAMETER_SET_NOT_SUPPORTED: DecapsulateKey EncapsulateKey
a private key that is not whole, or of something unknown, is CKR_WRAPPED_KEY_INVALID
  CURVE_NOT_SUPPORTED: UnwrapKey UnwrapKeyAuthenticated
  DOMAIN_PARAMS_INVALID: UnwrapKey UnwrapKeyAuthenticated
  PARAMETER_SET_NOT_SUPPORTED: UnwrapKey UnwrapKeyAuthenticated
keys have one of the lengths that the mechanism takes
  KEY_SIZE_RANGE: MessageDecryptInit MessageEncryptInit WrapKeyAuthenticated SignRecoverInit VerifyRecoverInit
    DigestKey
  WRAPPING_KEY_SIZE_RANGE: WrapKeyAuthenticated
  UNWRAPPING_KEY_SIZE_RANGE: UnwrapKeyAuthenticated
what a signature cannot be of is CKR_SIGNATURE_INVALID
  DATA_INVALID: Verify VerifyMessage VerifySignature
every message can be encrypted
  DATA_INVALID: EncryptMessage
what comes out is what was signed
  DATA_INVALID: VerifyRecover
  DATA_LEN_RANGE: VerifyRecover
mechanisms that take parts take any number of bytes
  DATA_LEN_RANGE: SignUpdate SignFinal VerifyUpdate VerifyFinal VerifySignatureUpdate VerifySignatureFinal
    MessageVerifyFinal DecryptVerifyUpdate
what is wrong shows at the end alone
  ENCRYPTED_DATA_INVALID: DecryptUpdate DecryptDigestUpdate DecryptVerifyUpdate
a message that does not decrypt is CKR_AEAD_DECRYPT_FAILED
  ENCRYPTED_DATA_INVALID: DecryptMessage DecryptMessageNext
the call that compares says so
  SIGNATURE_LEN_RANGE: VerifySignatureInit
64 operations may wait to be joined: the tests of asynchronous sessions have it
  STATE_UNSAVEABLE: AsyncGetID
"""


def _pairs() -> dict[tuple[str, str], str]:
    """Return the reason of each pair of `_OF_PAIRS`."""
    found, why = {}, ""
    for line in _OF_PAIRS.replace("\n    ", " ").strip().splitlines():
        code, colon, functions = line.strip().partition(": ")
        if line.startswith("  ") and colon:
            found.update({(f"C_{function}", code): why for function in functions.split()})
        else:
            why = line
    return found


_OF_PAIR = _pairs()


def reason(function: str, code: str) -> str | None:
    """Return why no call is answered so; None if one can be."""
    pair = function, code
    return None if pair in _PROVOKED_ALL_THE_SAME else _OF_PAIR.get(pair) or _OF_CODE.get(code)
