"""Return codes of the functions for slots, tokens, sessions and logins, and of calls that need a login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import keywrap

from ptkc.spec.constants import CKA, CKF, CKM, CKR, CKU

from .binding import ffi
from .cryptoki import NULL, Refused, Session
from .fresh_token import LABEL, SO_PIN, USER_PIN
from .keys import AES_KEY, DATA, import_ec, private_ec
from .parameters import Mechanism, ecdh
from .return_bench import CASES, Bench, Case, alone, asking, case, cases, everything, run
from .right_calls import CBC, DATA_64, KEM, NEW_AES, RIGHT, RSA, Call, begin, sealed

_WRAP = Mechanism(CKM.AES_KEY_WRAP)


def _pin(pin: str) -> tuple[bytes, int]:
    return pin.encode(), len(pin.encode())


cases(
    "OK",
    InitPIN=lambda bench: run(bench.so(), "C_InitPIN"),
    Login=lambda bench: run(bench.public(), "C_Login"),
    LoginUser=lambda bench: run(bench.public(), "C_LoginUser"),
    CloseAllSessions=lambda bench: bench.cryptoki.call("C_CloseAllSessions", bench.slot),
    GetSlotList=lambda bench: bench.cryptoki.slots(),
    GetSlotInfo=lambda bench: bench.cryptoki.info("C_GetSlotInfo", "CK_SLOT_INFO", bench.slot),
    GetTokenInfo=lambda bench: bench.cryptoki.token(bench.slot),
    GetMechanismList=lambda bench: bench.cryptoki.items("C_GetMechanismList", bench.slot),
    GetMechanismInfo=lambda bench: bench.cryptoki.info(
        "C_GetMechanismInfo", "CK_MECHANISM_INFO", bench.slot, CKM.SHA256
    ),
    OpenSession=lambda bench: bench.cryptoki.open(bench.slot),
    GetInfo=lambda bench: bench.cryptoki.info("C_GetInfo", "CK_INFO"),
    GetFunctionList=lambda bench: bench.cryptoki.call("C_GetFunctionList", ffi.new("CK_FUNCTION_LIST **")),
    GetInterfaceList=lambda bench: bench.cryptoki.items("C_GetInterfaceList", item="CK_INTERFACE"),
    GetInterface=lambda bench: bench.cryptoki.call("C_GetInterface", NULL, NULL, ffi.new("CK_INTERFACE **"), 0),
)


def _no_slot(function: str, *arguments: Any) -> Case:  # noqa: ANN401
    return lambda bench: bench.cryptoki.call(function, 0xFFFF, *arguments)


cases(
    "SLOT_ID_INVALID",
    GetSlotInfo=_no_slot("C_GetSlotInfo", ffi.new("CK_SLOT_INFO *")),
    GetTokenInfo=_no_slot("C_GetTokenInfo", ffi.new("CK_TOKEN_INFO *")),
    GetMechanismList=_no_slot("C_GetMechanismList", NULL, ffi.new("CK_ULONG *")),
    GetMechanismInfo=_no_slot("C_GetMechanismInfo", CKM.SHA256, ffi.new("CK_MECHANISM_INFO *")),
    InitToken=_no_slot("C_InitToken", *_pin(SO_PIN), b" " * 32),
    OpenSession=_no_slot("C_OpenSession", CKF.SERIAL_SESSION, NULL, NULL, ffi.new("CK_ULONG *")),
    CloseAllSessions=_no_slot("C_CloseAllSessions"),
)
cases(
    "ARGUMENTS_BAD",
    GetInfo=lambda bench: bench.cryptoki.call("C_GetInfo", NULL),
    GetFunctionList=lambda bench: bench.cryptoki.call("C_GetFunctionList", NULL),
    GetInterfaceList=lambda bench: bench.cryptoki.call("C_GetInterfaceList", NULL, NULL),
    GetInterface=lambda bench: bench.cryptoki.call("C_GetInterface", NULL, NULL, NULL, 0),
    GetSlotList=lambda bench: bench.cryptoki.call("C_GetSlotList", 1, NULL, NULL),
    GetSlotInfo=lambda bench: bench.cryptoki.call("C_GetSlotInfo", bench.slot, NULL),
    GetTokenInfo=lambda bench: bench.cryptoki.call("C_GetTokenInfo", bench.slot, NULL),
    GetMechanismList=lambda bench: bench.cryptoki.call("C_GetMechanismList", bench.slot, NULL, NULL),
    GetMechanismInfo=lambda bench: bench.cryptoki.call("C_GetMechanismInfo", bench.slot, CKM.SHA256, NULL),
    InitToken=lambda bench: (bench.public().close(), bench.cryptoki.call("C_InitToken", bench.slot, NULL, 5, NULL)),
    OpenSession=lambda bench: bench.cryptoki.call("C_OpenSession", bench.slot, CKF.SERIAL_SESSION, NULL, NULL, NULL),
    WaitForSlotEvent=lambda bench: bench.cryptoki.call("C_WaitForSlotEvent", CKF.DONT_BLOCK, NULL, NULL),
    Finalize=lambda bench: bench.cryptoki.call("C_Finalize", ffi.new("CK_ULONG *")),
    SignMessageNext=lambda bench: _null_data(bench, "C_SignMessageNext"),
    SetPIN=lambda bench: bench.session.call("C_SetPIN", NULL, 5, *_pin(USER_PIN)),
)


def _null_data(bench: Bench, function: str) -> None:
    Call(bench.session, function, RIGHT[function](bench.session)).change("data", NULL, 5).run()


cases(
    "BUFFER_TOO_SMALL",
    GetSlotList=lambda bench: bench.cryptoki.call("C_GetSlotList", 1, ffi.new("CK_ULONG[1]"), ffi.new("CK_ULONG *", 0)),
    GetMechanismList=lambda bench: bench.cryptoki.call(
        "C_GetMechanismList", bench.slot, ffi.new("CK_ULONG[1]"), ffi.new("CK_ULONG *", 1)
    ),
    GetInterfaceList=lambda bench: bench.cryptoki.call(
        "C_GetInterfaceList", ffi.new("CK_INTERFACE[1]"), ffi.new("CK_ULONG *", 0)
    ),
    GetAttributeValue=lambda bench: bench.call("C_GetAttributeValue", types={CKA.LABEL: b"x"}),
    DecryptFinal=lambda bench: _decrypt_final_small(bench.session),
)


def _decrypt_final_small(session: Session) -> None:
    key = everything(session)
    encrypted = session.encrypt(CBC, key, DATA_64[:20])
    alone(session, "C_DecryptInit", mechanism=CBC, key=key)
    alone(session, "C_DecryptUpdate", encrypted=encrypted)
    Call(session, "C_DecryptFinal", {}).change("part", ffi.new("CK_BYTE[1]"), ffi.new("CK_ULONG *", 1)).run()


def _login(function: str, pin: str, user: int = CKU.USER) -> tuple[Any, ...]:
    more = (NULL, 0) if function == "C_LoginUser" else ()
    return (function, user, *_pin(pin), *more)


for _function in ("C_Login", "C_LoginUser"):

    def _made(function: str) -> None:
        CASES[function, "PIN_INCORRECT"] = lambda bench: bench.public().call(*_login(function, "no such pin"))
        CASES[function, "USER_ALREADY_LOGGED_IN"] = lambda bench: bench.session.call(*_login(function, USER_PIN))
        CASES[function, "USER_ANOTHER_ALREADY_LOGGED_IN"] = lambda bench: bench.session.call(
            *_login(function, SO_PIN, CKU.SO)
        )
        CASES[function, "USER_TYPE_INVALID"] = lambda bench: bench.public().call(*_login(function, USER_PIN, 77))
        CASES[function, "OPERATION_NOT_INITIALIZED"] = lambda bench: bench.session.call(
            *_login(function, USER_PIN, CKU.CONTEXT_SPECIFIC)
        )

        def beside_read_only(bench: Bench) -> None:
            session = bench.public()
            bench.cryptoki.open_read_only(bench.slot)
            session.call(*_login(function, SO_PIN, CKU.SO))

        CASES[function, "SESSION_READ_ONLY_EXISTS"] = beside_read_only

        def without_a_pin(bench: Bench) -> None:
            bench.cryptoki.close_all(bench.slot)
            bench.cryptoki.init_token(bench.slot, SO_PIN, LABEL)
            bench.cryptoki.open(bench.slot).call(*_login(function, USER_PIN))

        CASES[function, "USER_PIN_NOT_INITIALIZED"] = without_a_pin

        def too_often(bench: Bench) -> None:
            session = bench.public()
            for _ in range(12):
                try:
                    session.call(*_login(function, "no such pin"))
                except Refused as refused:
                    if refused.rv != CKR.PIN_INCORRECT:
                        raise

        CASES[function, "PIN_LOCKED"] = too_often

    _made(_function)

cases(
    "PIN_INCORRECT",
    InitToken=lambda bench: (bench.public().close(), bench.cryptoki.init_token(bench.slot, "no such pin", LABEL)),
    SetPIN=lambda bench: bench.session.set_pin("no such pin", USER_PIN),
)


@case("C_SetPIN", "PIN_LOCKED")
def _set_too_often(bench: Bench) -> None:
    for _ in range(12):
        try:
            bench.session.set_pin("no such pin", USER_PIN)
        except Refused as refused:
            if refused.rv != CKR.PIN_INCORRECT:
                raise


cases(
    "PIN_LEN_RANGE",
    InitPIN=lambda bench: bench.so().init_pin("1"),
    SetPIN=lambda bench: bench.session.set_pin(USER_PIN, "1"),
)
cases(
    "PIN_INVALID",
    InitPIN=lambda bench: bench.so().call("C_InitPIN", b"\xff\xfe\xfd\xfc\xfb\xfa", 6),
    SetPIN=lambda bench: bench.session.call("C_SetPIN", *_pin(USER_PIN), b"\xff\xfe\xfd\xfc\xfb\xfa", 6),
)
cases(
    "SESSION_READ_ONLY",
    SetPIN=lambda bench: run(bench.cryptoki.open_read_only(bench.slot), "C_SetPIN"),
    DestroyObject=lambda bench: _on_token(bench, "C_DestroyObject"),
    SetAttributeValue=lambda bench: _on_token(bench, "C_SetAttributeValue", template={CKA.LABEL: "other"}),
)


def _on_token(bench: Bench, function: str, **more: Any) -> None:  # noqa: ANN401
    handle = bench.session.create({**DATA, CKA.TOKEN: True})
    alone(bench.cryptoki.open_read_only(bench.slot), function, object=handle, **more)


def _making(function: str, change: dict[int, Any], session: Callable[[Bench], Session]) -> Case:
    """Return a case: a function that makes an object, with these attributes too, in another session."""

    def story(bench: Bench) -> None:
        given = RIGHT[function](bench.session)
        name = next(name for name in ("template", "public") if name in given)
        given[name] = {**given[name], **change}
        call = Call(bench.session, function, given)
        call.change("session", session(bench).handle).run()

    return story


for _function in (
    "CopyObject", "CreateObject", "DecapsulateKey", "DeriveKey", "EncapsulateKey", "GenerateKey", "GenerateKeyPair",
    "UnwrapKey", "UnwrapKeyAuthenticated",
):  # fmt: skip
    _read_only = _making(f"C_{_function}", {CKA.TOKEN: True}, lambda bench: bench.cryptoki.open_read_only(bench.slot))
    CASES[f"C_{_function}", "SESSION_READ_ONLY"] = _read_only

cases(
    "SESSION_EXISTS",
    InitToken=lambda bench: bench.cryptoki.init_token(bench.slot, SO_PIN, LABEL),
)
cases("SESSION_PARALLEL_NOT_SUPPORTED", OpenSession=lambda bench: bench.cryptoki.open(bench.slot, CKF.RW_SESSION))
cases(
    "SESSION_READ_WRITE_SO_EXISTS",
    OpenSession=lambda bench: (bench.so(), bench.cryptoki.open_read_only(bench.slot)),
)
cases(
    "MECHANISM_INVALID",
    GetMechanismInfo=lambda bench: bench.cryptoki.call(
        "C_GetMechanismInfo", bench.slot, 0x7FFF0001, ffi.new("CK_MECHANISM_INFO *")
    ),
)
cases(
    "NO_EVENT",
    WaitForSlotEvent=lambda bench: bench.cryptoki.call(
        "C_WaitForSlotEvent", CKF.DONT_BLOCK, ffi.new("CK_ULONG *"), NULL
    ),
)
cases(
    "FUNCTION_NOT_PARALLEL",
    GetFunctionStatus=lambda bench: bench.session.call("C_GetFunctionStatus"),
    CancelFunction=lambda bench: bench.session.call("C_CancelFunction"),
)

# Who is not logged in


def _public_objects(function: str) -> Case:
    """Return a case: a private object is made by who is not logged in."""

    def story(bench: Bench) -> None:
        session, open_ = bench.public(), {CKA.PRIVATE: False}
        new = {**NEW_AES, CKA.PRIVATE: True}
        key = {**NEW_AES, CKA.VALUE: AES_KEY, CKA.UNWRAP: True, CKA.WRAP: True, **open_}
        if function == "C_UnwrapKey":
            wrapped = keywrap.aes_key_wrap(AES_KEY, AES_KEY)
            given = {"mechanism": _WRAP, "unwrapping_key": session.create(key), "wrapped": wrapped, "template": new}
        elif function == "C_UnwrapKeyAuthenticated":
            given = {"mechanism": sealed(bytes(16)), "unwrapping_key": session.create(key), "wrapped": bytes(32),
                     "template": new, "associated": b""}  # fmt: skip
        elif function == "C_DeriveKey":
            point = private_ec().public_key().public_numbers()
            raw = b"\4" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
            base = import_ec(session, private_ec(), None, {CKA.DERIVE: True, **open_})[1]
            given = {"mechanism": ecdh(raw), "base_key": base, "template": {**new, CKA.VALUE_LEN: 32}}
        else:
            pair = session.generate_pair(
                Mechanism(CKM.ML_KEM_KEY_PAIR_GEN), {CKA.PARAMETER_SET: 2, CKA.ENCAPSULATE: True, **open_},
                {CKA.DECAPSULATE: True, **open_},
            )  # fmt: skip
            given = {"mechanism": KEM, "template": {**new, CKA.VALUE_LEN: 32}}
            given |= {"public_key": pair[0]} if function == "C_EncapsulateKey" else {
                "private_key": pair[1], "ciphertext": bytes(1088)
            }  # fmt: skip
        alone(session, function, **given)

    return story


for _function in ("UnwrapKey", "UnwrapKeyAuthenticated", "DeriveKey", "EncapsulateKey", "DecapsulateKey"):
    CASES[f"C_{_function}", "USER_NOT_LOGGED_IN"] = _public_objects(f"C_{_function}")

_PRIVATE = {CKA.PRIVATE: True}


def _with_asking(init: str, function: str, mechanism: Mechanism = RSA, **given: Any) -> Case:  # noqa: ANN401
    """Return a case: a key is used that wants a login for it."""

    def story(bench: Bench) -> None:
        alone(bench.session, init, mechanism=mechanism, key=asking(bench.session))
        alone(bench.session, function, **given)

    return story


_SIGN = Mechanism(CKM.SHA256_RSA_PKCS)


def _sign_encrypt(bench: Bench) -> None:
    begin(bench.session, "C_EncryptInit")
    _with_asking("C_SignInit", "C_SignEncryptUpdate", _SIGN, part=DATA_64)(bench)


cases(
    "USER_NOT_LOGGED_IN",
    Logout=lambda bench: bench.public().logout(),
    InitPIN=lambda bench: bench.session.init_pin(USER_PIN),
    CreateObject=lambda bench: bench.public().create({**DATA, **_PRIVATE}),
    CopyObject=lambda bench: run(bench.public(), "C_CopyObject", template=_PRIVATE),
    GenerateKey=lambda bench: run(bench.public(), "C_GenerateKey"),
    GenerateKeyPair=lambda bench: run(bench.public(), "C_GenerateKeyPair"),
    Sign=_with_asking("C_SignInit", "C_Sign", data=DATA_64),
    SignUpdate=_with_asking("C_SignInit", "C_SignUpdate", _SIGN, part=DATA_64),
    SignFinal=_with_asking("C_SignInit", "C_SignFinal", _SIGN),
    SignRecover=_with_asking("C_SignRecoverInit", "C_SignRecover", data=DATA_64),
    SignMessage=_with_asking("C_MessageSignInit", "C_SignMessage", parameter=None, data=DATA_64),
    SignMessageBegin=_with_asking("C_MessageSignInit", "C_SignMessageBegin", parameter=None),
    SignEncryptUpdate=_sign_encrypt,
    Decrypt=_with_asking("C_DecryptInit", "C_Decrypt", encrypted=bytes(256)),
    DecryptUpdate=_with_asking("C_DecryptInit", "C_DecryptUpdate", encrypted=bytes(256)),
    DecryptFinal=_with_asking("C_DecryptInit", "C_DecryptFinal"),
)
