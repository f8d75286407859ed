"""The (function, code) pairs that need more than one argument of a right call changed: each with its own small story.

`CASES[function, code](bench)` makes the calls; the last one is answered with the code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Any

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import rsa

from ptkc.spec.constants import CKA, CKF, CKG, CKK, CKM, CKO, CKR, CKU

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Refused, Session, Template
from .derivations import hkdf, ike2_plus
from .fresh_token import LABEL, SO_PIN, USER_PIN
from .keys import AES_KEY, DATA, aes, generic, import_ec, import_rsa, private_ec, private_rsa
from .messages import Ccm, MessageParameter
from .parameters import Mechanism, ccm, ecdh, oaep
from .right_calls import (
    CBC,
    DATA_64,
    INITS,
    KEM,
    NEW_AES,
    RIGHT,
    RSA,
    Call,
    begin,
    gcm_message,
    rsa_pair,
    sealed,
)

__all__ = ["CASES", "Bench"]

_ECB = Mechanism(CKM.AES_ECB)
_RAW = Mechanism(CKM.RSA_X_509)
_WRAP = Mechanism(CKM.AES_KEY_WRAP)
_ASYNC = CKF.SERIAL_SESSION | CKF.RW_SESSION | CKF.ASYNC_SESSION
_PAIR_GEN = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)


class Bench:
    """What a case works with: the module, its slot, a session with the user logged in, and others as it asks."""

    def __init__(self, cryptoki: Cryptoki, slot: int, session: Session) -> None:
        """Keep them."""
        self.cryptoki = cryptoki
        self.slot = slot
        self.session = session
        self.count: int | None = None  # of objects, before a call that must make none

    def public(self) -> Session:
        """Return a session with nobody logged in: all others are closed."""
        self.cryptoki.close_all(self.slot)
        return self.cryptoki.open(self.slot)

    def so(self) -> Session:
        """Return a session of the SO."""
        session = self.public()
        session.login(SO_PIN, CKU.SO)
        return session

    def call(self, function: str, **given: Any) -> None:  # noqa: ANN401
        """Make a right call with some values replaced."""
        run(self.session, function, **given)


def run(session: Session, function: str, **given: Any) -> None:  # noqa: ANN401
    """Make a right call in a session, with some values replaced."""
    Call(session, function, {**RIGHT[function](session), **given}).run()


def alone(session: Session, function: str, **given: Any) -> None:  # noqa: ANN401
    """Make a call with these values, and nothing before it."""
    Call(session, function, given).run()


Case = Callable[[Bench], Any]
CASES: dict[tuple[str, str], Case] = {}


def _case(function: str, code: str) -> Callable[[Case], Case]:
    def keep(case: Case) -> Case:
        CASES[function, code] = case
        return case

    return keep


def _cases(code: str, **cases: Case) -> None:
    for function, case in cases.items():
        CASES[f"C_{function}", code] = case


# Keys


@lru_cache
def _tiny(bits: int) -> Any:  # noqa: ANN401 - as a private key of the library, as far as `import_rsa` needs one
    """Return an RSA key that is far too short."""
    state, primes = 12345, []
    while len(primes) < 2:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        number = (3 << (bits // 2 - 2)) | (state << 70) % 2 ** (bits // 2 - 2) | (state >> 7) | 1
        if number % 65537 != 1 and pow(2, number - 1, number) == 1 and pow(3, number - 1, number) == 1:
            primes.append(number)
    p, q = sorted(primes, reverse=True)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)

    class _Key:
        @staticmethod
        def private_numbers() -> rsa.RSAPrivateNumbers:
            return numbers

    return _Key


def _tiny_pair(session: Session) -> tuple[int, int]:
    uses = {CKA.ENCRYPT, CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.WRAP}, {
        CKA.DECRYPT, CKA.SIGN, CKA.SIGN_RECOVER, CKA.UNWRAP
    }  # fmt: skip
    return import_rsa(session, _tiny(512), *(dict.fromkeys(some, True) for some in uses))


def _everything(session: Session, **more: bool) -> int:
    uses = dict.fromkeys(("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP"), True)
    return aes(session, **uses, **more)


def _asking(session: Session) -> int:
    """Create a private RSA key that wants a login for each use."""
    uses = {CKA.SIGN: True, CKA.DECRYPT: True, CKA.SIGN_RECOVER: True, CKA.UNWRAP: True}
    return import_rsa(session, private_rsa(), {}, {**uses, CKA.ALWAYS_AUTHENTICATE: True})[1]


# Sessions, logins, tokens


def _pin(pin: str) -> tuple[bytes, int]:
    return pin.encode(), len(pin.encode())


_cases(
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
    AsyncComplete=lambda bench: _completed(_pending(bench)),
    AsyncGetID=lambda bench: _numbered(_pending(bench)),
    AsyncJoin=lambda bench: _joined(_pending(bench)),
)


def _no_slot(function: str, *arguments: Any) -> Case:  # noqa: ANN401
    return lambda bench: bench.cryptoki.call(function, 0xFFFF, *arguments)


_cases(
    "SLOT_ID_INVALID",
    GetSlotInfo=_no_slot("C_GetSlotInfo", ffi.new("CK_SLOT_INFO *")),
    GetTokenInfo=_no_slot("C_GetTokenInfo", ffi.new("CK_TOKEN_INFO *")),
    GetMechanismList=_no_slot("C_GetMechanismList", NULL, ffi.new("CK_ULONG *")),
    GetMechanismInfo=_no_slot("C_GetMechanismInfo", CKM.SHA256, ffi.new("CK_MECHANISM_INFO *")),
    InitToken=_no_slot("C_InitToken", *_pin(SO_PIN), b" " * 32),
    OpenSession=_no_slot("C_OpenSession", CKF.SERIAL_SESSION, NULL, NULL, ffi.new("CK_ULONG *")),
    CloseAllSessions=_no_slot("C_CloseAllSessions"),
)
_cases(
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


_cases(
    "BUFFER_TOO_SMALL",
    GetSlotList=lambda bench: bench.cryptoki.call(
        "C_GetSlotList", 1, ffi.new("CK_ULONG[1]"), ffi.new("CK_ULONG *", 0)
    ),
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
    key = _everything(session)
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

_cases(
    "PIN_INCORRECT",
    InitToken=lambda bench: (bench.public().close(), bench.cryptoki.init_token(bench.slot, "no such pin", LABEL)),
    SetPIN=lambda bench: bench.session.set_pin("no such pin", USER_PIN),
)


@_case("C_SetPIN", "PIN_LOCKED")
def _set_too_often(bench: Bench) -> None:
    for _ in range(12):
        try:
            bench.session.set_pin("no such pin", USER_PIN)
        except Refused as refused:
            if refused.rv != CKR.PIN_INCORRECT:
                raise


_cases(
    "PIN_LEN_RANGE",
    InitPIN=lambda bench: bench.so().init_pin("1"),
    SetPIN=lambda bench: bench.session.set_pin(USER_PIN, "1"),
)
_cases(
    "PIN_INVALID",
    InitPIN=lambda bench: bench.so().call("C_InitPIN", b"\xff\xfe\xfd\xfc\xfb\xfa", 6),
    SetPIN=lambda bench: bench.session.call("C_SetPIN", *_pin(USER_PIN), b"\xff\xfe\xfd\xfc\xfb\xfa", 6),
)
_cases(
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

    def case(bench: Bench) -> None:
        given = RIGHT[function](bench.session)
        name = next(name for name in ("template", "public") if name in given)
        given[name] = {**given[name], **change}
        call = Call(bench.session, function, given)
        call.change("session", session(bench).handle).run()

    return case


for _function in (
    "CopyObject", "CreateObject", "DecapsulateKey", "DeriveKey", "EncapsulateKey", "GenerateKey", "GenerateKeyPair",
    "UnwrapKey", "UnwrapKeyAuthenticated",
):  # fmt: skip
    _read_only = _making(f"C_{_function}", {CKA.TOKEN: True}, lambda bench: bench.cryptoki.open_read_only(bench.slot))
    CASES[f"C_{_function}", "SESSION_READ_ONLY"] = _read_only

_cases(
    "SESSION_EXISTS",
    InitToken=lambda bench: bench.cryptoki.init_token(bench.slot, SO_PIN, LABEL),
)
_cases("SESSION_PARALLEL_NOT_SUPPORTED", OpenSession=lambda bench: bench.cryptoki.open(bench.slot, CKF.RW_SESSION))
_cases(
    "SESSION_READ_WRITE_SO_EXISTS",
    OpenSession=lambda bench: (bench.so(), bench.cryptoki.open_read_only(bench.slot)),
)
_cases(
    "MECHANISM_INVALID",
    GetMechanismInfo=lambda bench: bench.cryptoki.call(
        "C_GetMechanismInfo", bench.slot, 0x7FFF0001, ffi.new("CK_MECHANISM_INFO *")
    ),
)
_cases(
    "NO_EVENT",
    WaitForSlotEvent=lambda bench: bench.cryptoki.call(
        "C_WaitForSlotEvent", CKF.DONT_BLOCK, ffi.new("CK_ULONG *"), NULL
    ),
)
_cases(
    "FUNCTION_NOT_PARALLEL",
    GetFunctionStatus=lambda bench: bench.session.call("C_GetFunctionStatus"),
    CancelFunction=lambda bench: bench.session.call("C_CancelFunction"),
)

# Who is not logged in


def _public_objects(function: str) -> Case:
    """Return a case: a private object is made by who is not logged in."""

    def case(bench: Bench) -> None:
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

    return case


for _function in ("UnwrapKey", "UnwrapKeyAuthenticated", "DeriveKey", "EncapsulateKey", "DecapsulateKey"):
    CASES[f"C_{_function}", "USER_NOT_LOGGED_IN"] = _public_objects(f"C_{_function}")

_PRIVATE = {CKA.PRIVATE: True}


def _with_asking(init: str, function: str, mechanism: Mechanism = RSA, **given: Any) -> Case:  # noqa: ANN401
    """Return a case: a key is used that wants a login for it."""

    def case(bench: Bench) -> None:
        alone(bench.session, init, mechanism=mechanism, key=_asking(bench.session))
        alone(bench.session, function, **given)

    return case


_SIGN = Mechanism(CKM.SHA256_RSA_PKCS)


def _sign_encrypt(bench: Bench) -> None:
    begin(bench.session, "C_EncryptInit")
    _with_asking("C_SignInit", "C_SignEncryptUpdate", _SIGN, part=DATA_64)(bench)


_cases(
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

# Objects


def _locked(attribute: int, function: str, **more: Any) -> Case:  # noqa: ANN401
    return lambda bench: alone(
        bench.session, function, object=bench.session.create({**DATA, attribute: False}), **more
    )


_cases(
    "ACTION_PROHIBITED",
    CopyObject=_locked(CKA.COPYABLE, "C_CopyObject", template={}),
    DestroyObject=_locked(CKA.DESTROYABLE, "C_DestroyObject"),
    SetAttributeValue=_locked(CKA.MODIFIABLE, "C_SetAttributeValue", template={CKA.LABEL: "other"}),
)
_cases(
    "ATTRIBUTE_SENSITIVE",
    GetAttributeValue=lambda bench: alone(
        bench.session, "C_GetAttributeValue", types={CKA.VALUE: bytes(32)},
        object=bench.session.create({**NEW_AES, CKA.VALUE: AES_KEY, CKA.SENSITIVE: True}),
    ),
)  # fmt: skip
_cases(
    "ATTRIBUTE_TYPE_INVALID",
    GetAttributeValue=lambda bench: bench.call("C_GetAttributeValue", types={CKA.MODULUS: bytes(32)}),
)
_cases(
    "ATTRIBUTE_VALUE_INVALID",
    SetAttributeValue=lambda bench: alone(
        bench.session, "C_SetAttributeValue", object=aes(bench.session), template={CKA.START_DATE: b"2024"}
    ),
)


_EC_PUBLIC = {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_POINT: b"\4\3\4\1\1"}
_UNKNOWN_CURVE, _NO_CURVE = bytes.fromhex("06052b81040001"), b"\5\1\0"
_EC_GEN = Mechanism(CKM.EC_KEY_PAIR_GEN)


def _generated(kind: Mechanism, **public: Any) -> Case:  # noqa: ANN401
    given = {getattr(CKA, name): value for name, value in public.items()}
    return lambda bench: alone(bench.session, "C_GenerateKeyPair", mechanism=kind, public=given, private={})


_cases(
    "CURVE_NOT_SUPPORTED",
    CreateObject=lambda bench: bench.session.create({**_EC_PUBLIC, CKA.EC_PARAMS: _UNKNOWN_CURVE}),
    GenerateKeyPair=_generated(_EC_GEN, EC_PARAMS=_UNKNOWN_CURVE),
)
_cases(
    "DOMAIN_PARAMS_INVALID",
    CreateObject=lambda bench: bench.session.create({**_EC_PUBLIC, CKA.EC_PARAMS: _NO_CURVE}),
    GenerateKeyPair=_generated(_EC_GEN, EC_PARAMS=_NO_CURVE),
)
_cases(
    "PARAMETER_SET_NOT_SUPPORTED",
    CreateObject=lambda bench: bench.session.create({
        CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.ML_KEM, CKA.PARAMETER_SET: 99, CKA.VALUE: bytes(1184)
    }),
    GenerateKeyPair=_generated(Mechanism(CKM.ML_KEM_KEY_PAIR_GEN), PARAMETER_SET=99),
)  # fmt: skip
_cases(
    "TEMPLATE_INCOMPLETE",
    CreateObject=lambda bench: bench.session.create({**NEW_AES}),
    DeriveKey=lambda bench: alone(
        bench.session, "C_DeriveKey", mechanism=hkdf(CKM.SHA256, salt=b"salt", info=b"info"), template=NEW_AES,
        base_key=generic(bench.session, bytes(32), DERIVE=True),
    ),
    EncapsulateKey=lambda bench: bench.call("C_EncapsulateKey", template={CKA.CLASS: CKO.SECRET_KEY}),
    DecapsulateKey=lambda bench: bench.call("C_DecapsulateKey", template={CKA.CLASS: CKO.SECRET_KEY}),
)  # fmt: skip

# Keys that are too short or too long


def _sized(init: str, half: int, mechanism: Mechanism = RSA, **more: Any) -> Case:  # noqa: ANN401
    return lambda bench: alone(
        bench.session, init, mechanism=mechanism, key=_tiny_pair(bench.session)[half], **more
    )


_LONG_HASH = Mechanism(CKM.SHA512_RSA_PKCS)
_OAEP = oaep(CKM.SHA512, CKG.MGF1_SHA512)
_cases(
    "KEY_SIZE_RANGE",
    EncryptInit=_sized("C_EncryptInit", 0, _OAEP),
    DecryptInit=_sized("C_DecryptInit", 1, _OAEP),
    SignInit=_sized("C_SignInit", 1, _LONG_HASH),
    VerifyInit=_sized("C_VerifyInit", 0, _LONG_HASH),
    MessageSignInit=_sized("C_MessageSignInit", 1, _LONG_HASH),
    MessageVerifyInit=_sized("C_MessageVerifyInit", 0, _LONG_HASH),
    VerifySignatureInit=_sized("C_VerifySignatureInit", 0, _LONG_HASH, signature=bytes(64)),
    EncapsulateKey=lambda bench: alone(
        bench.session, "C_EncapsulateKey", mechanism=_OAEP, template={**NEW_AES, CKA.VALUE_LEN: 16},
        public_key=import_rsa(bench.session, _tiny(512), {CKA.ENCAPSULATE: True})[0],
    ),
    WrapKey=lambda bench: alone(
        bench.session, "C_WrapKey", mechanism=RSA, wrapping_key=rsa_pair(bench.session)[0],
        key=generic(bench.session, bytes(300)),
    ),
    DeriveKey=lambda bench: alone(
        bench.session, "C_DeriveKey", mechanism=ike2_plus(CKM.SHA256_HMAC, b"seed"),
        base_key=generic(bench.session, bytes(32), DERIVE=True),
        template={CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE_LEN: 10000},
    ),
)  # fmt: skip
_cases(
    "WRAPPING_KEY_SIZE_RANGE",
    WrapKey=lambda bench: alone(
        bench.session, "C_WrapKey", mechanism=_OAEP, wrapping_key=_tiny_pair(bench.session)[0], key=aes(bench.session)
    ),
)
_cases(
    "UNWRAPPING_KEY_SIZE_RANGE",
    UnwrapKey=lambda bench: alone(
        bench.session, "C_UnwrapKey", mechanism=_OAEP, unwrapping_key=_tiny_pair(bench.session)[1], wrapped=bytes(64),
        template=NEW_AES,
    ),
    DecapsulateKey=lambda bench: alone(
        bench.session, "C_DecapsulateKey", mechanism=_OAEP, template={**NEW_AES, CKA.VALUE_LEN: 16},
        ciphertext=bytes(64), private_key=import_rsa(bench.session, _tiny(512), None, {CKA.DECAPSULATE: True})[1],
    ),
)  # fmt: skip


def _changed(function: str, name: str, change: Callable[[bytes], bytes]) -> Case:
    """Return a case: a right call, its bytes `name` changed."""

    def case(bench: Bench) -> None:
        given = RIGHT[function](bench.session)
        Call(bench.session, function, {**given, name: change(given[name])}).run()

    return case


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _cut(data: bytes) -> bytes:
    return data[:-1]


_cases(
    "WRAPPED_KEY_INVALID",
    UnwrapKey=_changed("C_UnwrapKey", "wrapped", _flip),
    UnwrapKeyAuthenticated=_changed("C_UnwrapKeyAuthenticated", "wrapped", _flip),
    DecapsulateKey=lambda bench: alone(
        bench.session, "C_DecapsulateKey", mechanism=_derivation(), template={**NEW_AES, CKA.VALUE_LEN: 16},
        private_key=import_ec(bench.session, private_ec(), None, {CKA.DECAPSULATE: True})[1],
        ciphertext=b"\4" + bytes(64),
    ),
)  # fmt: skip


def _derivation() -> Mechanism:
    return ecdh(b"")


_cases(
    "WRAPPED_KEY_LEN_RANGE",
    UnwrapKey=_changed("C_UnwrapKey", "wrapped", _cut),
    UnwrapKeyAuthenticated=lambda bench: _of_no_key(bench, gcm_message()),
    DecapsulateKey=_changed("C_DecapsulateKey", "ciphertext", _cut),
)
_cases(
    "KEY_UNEXTRACTABLE",
    WrapKey=lambda bench: bench.call("C_WrapKey", key=_kept(bench.session)),
    WrapKeyAuthenticated=lambda bench: bench.call("C_WrapKeyAuthenticated", key=_kept(bench.session)),
)
_cases(
    "KEY_NOT_WRAPPABLE",
    WrapKey=lambda bench: bench.call("C_WrapKey", key=_trusting(bench.session)),
    WrapKeyAuthenticated=lambda bench: bench.call("C_WrapKeyAuthenticated", key=_trusting(bench.session)),
)


def _of_no_key(bench: Bench, made: MessageParameter) -> None:
    """Unwrap five bytes as an AES key."""
    mechanism = Mechanism(CKM.AES_GCM, made.structure, made)
    key = _everything(bench.session)
    wrapped = bench.session.wrap_authenticated(mechanism, key, generic(bench.session, b"12345"))
    alone(
        bench.session, "C_UnwrapKeyAuthenticated", mechanism=sealed(made.tag), unwrapping_key=key, wrapped=wrapped,
        template=NEW_AES, associated=b"",
    )  # fmt: skip


def _kept(session: Session) -> int:
    return session.create({**NEW_AES, CKA.VALUE: AES_KEY, CKA.EXTRACTABLE: False})


def _trusting(session: Session) -> int:
    return session.create({**NEW_AES, CKA.VALUE: AES_KEY, CKA.EXTRACTABLE: True, CKA.WRAP_WITH_TRUSTED: True})


# Data of the wrong length, or wrong


def _ended(init: str, mechanism: Mechanism, key: Callable[[Session], int] | None, *steps: tuple[str, Any]) -> Case:
    """Return a case: an operation with a mechanism and a key, then (function, its values) one after another."""

    def case(bench: Bench) -> None:
        session = bench.session
        more = {"signature": steps[0][1].get("signature", b"")} if init == "C_VerifySignatureInit" else {}
        alone(session, init, mechanism=mechanism, **({"key": key(session)} if key else {}), **more)
        for function, given in steps:
            alone(session, function, **{name: value for name, value in given.items() if name not in more})

    return case


def _public(session: Session) -> int:
    return rsa_pair(session)[0]


def _private(session: Session) -> int:
    return rsa_pair(session)[1]


_LONG, _LARGE = bytes(300), b"\xff" * 256
_CCM = ccm(8, bytes(12))
_cases(
    "DATA_LEN_RANGE",
    Encrypt=_ended("C_EncryptInit", _ECB, _everything, ("C_Encrypt", {"data": bytes(15)})),
    EncryptUpdate=_ended("C_EncryptInit", _CCM, _everything, ("C_EncryptUpdate", {"part": bytes(9)})),
    EncryptFinal=_ended(
        "C_EncryptInit", _ECB, _everything, ("C_EncryptUpdate", {"part": bytes(5)}), ("C_EncryptFinal", {})
    ),
    Sign=_ended("C_SignInit", RSA, _private, ("C_Sign", {"data": _LONG})),
    SignRecover=_ended("C_SignRecoverInit", RSA, _private, ("C_SignRecover", {"data": _LONG})),
    SignMessage=_ended("C_MessageSignInit", RSA, _private, ("C_SignMessage", {"parameter": None, "data": _LONG})),
    SignMessageNext=_ended(
        "C_MessageSignInit", RSA, _private, ("C_SignMessageBegin", {"parameter": None}),
        ("C_SignMessageNext", {"parameter": None, "data": _LONG}),
    ),
    Verify=_ended("C_VerifyInit", RSA, _public, ("C_Verify", {"data": _LONG, "signature": bytes(256)})),
    VerifyMessage=_ended(
        "C_MessageVerifyInit", RSA, _public,
        ("C_VerifyMessage", {"parameter": None, "data": _LONG, "signature": bytes(256)}),
    ),
    VerifyMessageNext=_ended(
        "C_MessageVerifyInit", RSA, _public, ("C_VerifyMessageBegin", {"parameter": None}),
        ("C_VerifyMessageNext", {"parameter": None, "data": _LONG, "signature": bytes(256)}),
    ),
    VerifySignature=_ended(
        "C_VerifySignatureInit", RSA, _public, ("C_VerifySignature", {"signature": bytes(256), "data": _LONG})
    ),
    EncryptMessage=lambda bench: _ccm_message(bench, bytes(9)),
    DigestEncryptUpdate=lambda bench: (
        begin(bench.session, "C_DigestInit"),
        _ended("C_EncryptInit", _CCM, _everything, ("C_DigestEncryptUpdate", {"part": bytes(9)}))(bench),
    ),
    SignEncryptUpdate=lambda bench: (
        begin(bench.session, "C_SignInit"),
        _ended("C_EncryptInit", _CCM, _everything, ("C_SignEncryptUpdate", {"part": bytes(9)}))(bench),
    ),
)  # fmt: skip


def _ccm_message(bench: Bench, data: bytes) -> None:
    alone(bench.session, "C_MessageEncryptInit", mechanism=Mechanism(CKM.AES_CCM), key=_everything(bench.session))
    alone(bench.session, "C_EncryptMessage", parameter=Ccm(8, bytes(12)), associated=b"", plaintext=data)


@_case("C_EncryptMessageNext", "DATA_LEN_RANGE")
def _ccm_next(bench: Bench) -> None:
    parameter = Ccm(8, bytes(12))
    alone(bench.session, "C_MessageEncryptInit", mechanism=Mechanism(CKM.AES_CCM), key=_everything(bench.session))
    alone(bench.session, "C_EncryptMessageBegin", parameter=parameter, associated=b"")
    alone(bench.session, "C_EncryptMessageNext", parameter=parameter, plaintext=bytes(9), flags=CKF.END_OF_MESSAGE)


_cases(
    "DATA_INVALID",
    Encrypt=_ended("C_EncryptInit", _RAW, _public, ("C_Encrypt", {"data": _LARGE})),
    Sign=_ended("C_SignInit", _RAW, _private, ("C_Sign", {"data": _LARGE})),
    SignRecover=_ended("C_SignRecoverInit", _RAW, _private, ("C_SignRecover", {"data": _LARGE})),
    SignMessage=_ended("C_MessageSignInit", _RAW, _private, ("C_SignMessage", {"parameter": None, "data": _LARGE})),
)  # fmt: skip
_BAD_PADDING = bytes(32)
_cases(
    "ENCRYPTED_DATA_INVALID",
    Decrypt=_ended("C_DecryptInit", CBC, _everything, ("C_Decrypt", {"encrypted": _BAD_PADDING})),
    DecryptFinal=_ended(
        "C_DecryptInit", CBC, _everything, ("C_DecryptUpdate", {"encrypted": _BAD_PADDING}), ("C_DecryptFinal", {})
    ),
)
_cases(
    "ENCRYPTED_DATA_LEN_RANGE",
    Decrypt=_ended("C_DecryptInit", CBC, _everything, ("C_Decrypt", {"encrypted": bytes(15)})),
    DecryptFinal=_ended(
        "C_DecryptInit", CBC, _everything, ("C_DecryptUpdate", {"encrypted": bytes(15)}), ("C_DecryptFinal", {})
    ),
    DecryptUpdate=_ended("C_DecryptInit", _CCM, _everything, ("C_DecryptUpdate", {"encrypted": bytes(25)})),
    DecryptDigestUpdate=lambda bench: (
        begin(bench.session, "C_DigestInit"),
        _ended("C_DecryptInit", _CCM, _everything, ("C_DecryptDigestUpdate", {"encrypted": bytes(25)}))(bench),
    ),
    DecryptVerifyUpdate=lambda bench: (
        begin(bench.session, "C_VerifyInit"),
        _ended("C_DecryptInit", _CCM, _everything, ("C_DecryptVerifyUpdate", {"encrypted": bytes(25)}))(bench),
    ),
)


def _ccm_decrypted(bench: Bench, *, parts: bool) -> None:
    parameter = Ccm(8, bytes(12), bytes(16))
    alone(bench.session, "C_MessageDecryptInit", mechanism=Mechanism(CKM.AES_CCM), key=_everything(bench.session))
    if parts:
        alone(bench.session, "C_DecryptMessageBegin", parameter=parameter, associated=b"")
        more: dict[str, Any] = {"flags": CKF.END_OF_MESSAGE}
    else:
        more = {"associated": b""}
    name = "C_DecryptMessageNext" if parts else "C_DecryptMessage"
    alone(bench.session, name, parameter=parameter, ciphertext=bytes(9), **more)


CASES["C_DecryptMessage", "ENCRYPTED_DATA_LEN_RANGE"] = lambda bench: _ccm_decrypted(bench, parts=False)
CASES["C_DecryptMessageNext", "ENCRYPTED_DATA_LEN_RANGE"] = lambda bench: _ccm_decrypted(bench, parts=True)
_cases(
    "AEAD_DECRYPT_FAILED",
    DecryptMessage=_changed("C_DecryptMessage", "ciphertext", _flip),
    DecryptMessageNext=_changed("C_DecryptMessageNext", "ciphertext", _flip),
)

# Signatures

for _function in ("Verify", "VerifyFinal", "VerifyMessage", "VerifyMessageNext"):
    CASES[f"C_{_function}", "SIGNATURE_INVALID"] = _changed(f"C_{_function}", "signature", _flip)
    CASES[f"C_{_function}", "SIGNATURE_LEN_RANGE"] = _changed(f"C_{_function}", "signature", _cut)
_cases(
    "SIGNATURE_INVALID",
    VerifyRecover=_changed("C_VerifyRecover", "signature", _flip),
    VerifySignature=lambda bench: bench.call("C_VerifySignature", data=b"other"),
    VerifySignatureFinal=lambda bench: (
        begin(bench.session, "C_VerifySignatureInit"),
        alone(bench.session, "C_VerifySignatureUpdate", part=b"other"),
        alone(bench.session, "C_VerifySignatureFinal"),
    ),
)


def _short_signature(*steps: tuple[str, dict[str, Any]]) -> Case:
    def case(bench: Bench) -> None:
        given = {**INITS["C_VerifySignatureInit"](bench.session), "signature": b"short"}
        alone(bench.session, "C_VerifySignatureInit", **given)
        for function, values in steps:
            alone(bench.session, function, **values)

    return case


_cases(
    "SIGNATURE_LEN_RANGE",
    VerifyRecover=_changed("C_VerifyRecover", "signature", _cut),
    VerifySignature=_short_signature(("C_VerifySignature", {"data": DATA_64})),
    VerifySignatureFinal=_short_signature(
        ("C_VerifySignatureUpdate", {"part": DATA_64}), ("C_VerifySignatureFinal", {})
    ),
)

# Operations in the wrong order


def _first(init: str, *steps: tuple[str, Any]) -> Case:
    """Return a case: an operation is begun, then these calls follow."""

    def case(bench: Bench) -> None:
        begin(bench.session, init)
        for function, given in steps:
            alone(bench.session, function, **given)

    return case


_MESSAGE = {"parameter": None}


def _gcm_first(init: str, begin_: str, then: str, **more: Any) -> Case:  # noqa: ANN401
    def case(bench: Bench) -> None:
        begin(bench.session, init)
        alone(bench.session, begin_, parameter=gcm_message(tag=bytes(16)), associated=b"")
        given = {} if then.endswith("Final") else {"parameter": gcm_message(tag=bytes(16)), "associated": b"", **more}
        alone(bench.session, then, **given)

    return case


_part = {"part": DATA_64}
_cases(
    "OPERATION_ACTIVE",
    Encrypt=_first("C_EncryptInit", ("C_EncryptUpdate", _part), ("C_Encrypt", {"data": DATA_64})),
    Decrypt=_first("C_DecryptInit", ("C_DecryptUpdate", {"encrypted": DATA_64}), ("C_Decrypt", {"encrypted": DATA_64})),
    Digest=_first("C_DigestInit", ("C_DigestUpdate", _part), ("C_Digest", {"data": DATA_64})),
    Sign=_first("C_SignInit", ("C_SignUpdate", _part), ("C_Sign", {"data": DATA_64})),
    Verify=_first(
        "C_VerifyInit", ("C_VerifyUpdate", _part), ("C_Verify", {"data": DATA_64, "signature": bytes(16)})
    ),
    EncryptMessage=_gcm_first("C_MessageEncryptInit", "C_EncryptMessageBegin", "C_EncryptMessage", plaintext=b"x"),
    EncryptMessageBegin=_gcm_first("C_MessageEncryptInit", "C_EncryptMessageBegin", "C_EncryptMessageBegin"),
    MessageEncryptFinal=_gcm_first("C_MessageEncryptInit", "C_EncryptMessageBegin", "C_MessageEncryptFinal"),
    DecryptMessage=_gcm_first("C_MessageDecryptInit", "C_DecryptMessageBegin", "C_DecryptMessage", ciphertext=b"x"),
    DecryptMessageBegin=_gcm_first("C_MessageDecryptInit", "C_DecryptMessageBegin", "C_DecryptMessageBegin"),
    MessageDecryptFinal=_gcm_first("C_MessageDecryptInit", "C_DecryptMessageBegin", "C_MessageDecryptFinal"),
    SignMessage=_first(
        "C_MessageSignInit", ("C_SignMessageBegin", _MESSAGE), ("C_SignMessage", {**_MESSAGE, "data": DATA_64})
    ),
    SignMessageBegin=_first("C_MessageSignInit", ("C_SignMessageBegin", _MESSAGE), ("C_SignMessageBegin", _MESSAGE)),
    MessageSignFinal=_first("C_MessageSignInit", ("C_SignMessageBegin", _MESSAGE), ("C_MessageSignFinal", {})),
    VerifyMessage=_first(
        "C_MessageVerifyInit", ("C_VerifyMessageBegin", _MESSAGE),
        ("C_VerifyMessage", {**_MESSAGE, "data": DATA_64, "signature": bytes(16)}),
    ),
    VerifyMessageBegin=_first(
        "C_MessageVerifyInit", ("C_VerifyMessageBegin", _MESSAGE), ("C_VerifyMessageBegin", _MESSAGE)
    ),
    MessageVerifyFinal=_first("C_MessageVerifyInit", ("C_VerifyMessageBegin", _MESSAGE), ("C_MessageVerifyFinal", {})),
    GenerateKeyPair=lambda bench: (_pending(bench), _generate_slowly(bench)),
)  # fmt: skip
_cases("KEY_INDIGESTIBLE", DigestKey=lambda bench: (
    begin(bench.session, "C_DigestInit"), alone(bench.session, "C_DigestKey", key=rsa_pair(bench.session)[0])
))  # fmt: skip

# Saved states


def _restored(change: Callable[[bytes], bytes] = bytes, **keys: int) -> Case:
    def case(bench: Bench) -> None:
        begin(bench.session, "C_DigestInit")
        state = bench.session.output("C_GetOperationState")
        given = {"encryption_key": 0, "authentication_key": 0, **keys}
        alone(bench.session, "C_SetOperationState", state=change(state), **given)

    return case


def _restored_mac(key: Callable[[Session], int]) -> Case:
    def case(bench: Bench) -> None:
        begin(bench.session, "C_SignInit")
        state = bench.session.output("C_GetOperationState")
        given = {"encryption_key": 0, "authentication_key": key(bench.session)}
        alone(bench.session, "C_SetOperationState", state=state, **given)

    return case


_cases("SAVED_STATE_INVALID", SetOperationState=_restored(_flip), AsyncJoin=lambda bench: bench.call("C_AsyncJoin"))
_cases("KEY_NOT_NEEDED", SetOperationState=_restored(encryption_key=1))
_cases("KEY_NEEDED", SetOperationState=_restored_mac(lambda _: 0))
_cases("KEY_CHANGED", SetOperationState=_restored_mac(lambda session: aes(session, bytes(16), SIGN=True)))


@_case("C_GetOperationState", "STATE_UNSAVEABLE")
def _unsaveable(bench: Bench) -> None:
    bench.call("C_DigestKey")
    bench.session.output("C_GetOperationState")


# Asynchronous sessions


def _generate_slowly(bench: Bench) -> None:
    template = Template({CKA.MODULUS_BITS: 3072})
    private, handles = Template({}), ffi.new("CK_ULONG[2]")
    bench.session.call(
        "C_GenerateKeyPair", _PAIR_GEN.pointer, template.array, template.count, private.array, 0, handles, handles + 1
    )


def _pending(bench: Bench) -> Bench:
    """Have the generation of a key pair go on in the background of a session."""
    bench.session = bench.cryptoki.open(bench.slot, _ASYNC)
    try:
        _generate_slowly(bench)
    except Refused as refused:
        if refused.rv != CKR.PENDING:
            raise
    return bench


_NAME = b"C_GenerateKeyPair\0"


def _numbered(bench: Bench) -> int:
    number = ffi.new("CK_ULONG *")
    bench.session.call("C_AsyncGetID", _NAME, number)
    return int(number[0])


def _joined(bench: Bench) -> None:
    number = _numbered(bench)
    bench.cryptoki.open(bench.slot, _ASYNC).call("C_AsyncJoin", _NAME, number, NULL, 0)


def _completed(bench: Bench) -> None:
    end = monotonic() + 60
    while True:
        try:
            bench.session.call("C_AsyncComplete", _NAME, ffi.new("CK_ASYNC_DATA *"))
        except Refused as refused:
            if refused.rv != CKR.PENDING or monotonic() > end:
                raise
        else:
            return


_cases(
    "PENDING",
    GenerateKeyPair=lambda bench: (
        setattr(bench, "session", bench.cryptoki.open(bench.slot, _ASYNC)), _generate_slowly(bench)
    ),
    AsyncComplete=lambda bench: _pending(bench).session.call("C_AsyncComplete", _NAME, ffi.new("CK_ASYNC_DATA *")),
)  # fmt: skip
