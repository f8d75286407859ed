"""Bad pointers, handles, counts and lengths: the specification's code, no crash, the session still usable."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR, CKU

from .binding import FUNCTIONS, ffi
from .cases import Case, outcomes
from .cryptoki import NULL, Refused, Session, Template, code_name, expect
from .keys import AES_KEY, DATA, aes, generic
from .parameters import Mechanism, gcm

_HUGE = (2**40, 2**61 + 1, 2**63, 2**64 - 1)
_LENGTHS = (CKR.ARGUMENTS_BAD, CKR.DATA_LEN_RANGE, CKR.HOST_MEMORY, CKR.DEVICE_MEMORY)
_WITHOUT_SESSION = {
    "C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo",
    "C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_OpenSession", "C_CloseAllSessions",
    "C_WaitForSlotEvent", "C_GetFunctionStatus", "C_CancelFunction",
}  # fmt: skip
_WITH_SESSION = [name for name in FUNCTIONS[:68] if name not in _WITHOUT_SESSION]


_ANSWERING = {"C_GetInterfaceList", "C_GetInterface", "C_SessionCancel", "C_GetSessionValidationFlags"}
_LATER = [name for name in FUNCTIONS[68:] if name not in _ANSWERING]


def _key(session: Session) -> int:
    """Create an AES key for everything."""
    return aes(session, ENCRYPT=True, DECRYPT=True, SIGN=True, VERIFY=True, WRAP=True, UNWRAP=True)


def _begin(name: str) -> Case:
    """Return a preparation that begins this operation."""

    def begin(session: Session) -> None:
        if name == "Digest":
            session.call("C_DigestInit", Mechanism(CKM.SHA256).pointer)
        elif name == "FindObjects":
            session.find_init(DATA)
        else:
            session.init(name, Mechanism(CKM.AES_CMAC if name in {"Sign", "Verify"} else CKM.AES_ECB), _key(session))

    return begin


def _nothing(_: Session) -> None:
    """Prepare nothing."""


def _null_cases() -> dict[str, Case]:
    """NULL where a pointer is needed: CKR_ARGUMENTS_BAD."""
    length, handle, place = ffi.new("CK_ULONG *", 64), ffi.new("CK_ULONG *"), ffi.new("CK_BYTE[64]")
    mechanism, wrap = Mechanism(CKM.AES_KEY_GEN), Mechanism(CKM.AES_KEY_WRAP)
    template = Template({CKA.VALUE_LEN: 16})
    rows: dict[str, tuple[Case, str, tuple[Any, ...]]] = {
        "encrypt": (_begin("Encrypt"), "C_Encrypt", (NULL, 16, place, length)),
        "encrypt-update": (_begin("Encrypt"), "C_EncryptUpdate", (NULL, 16, place, length)),
        "decrypt": (_begin("Decrypt"), "C_Decrypt", (NULL, 16, place, length)),
        "decrypt-update": (_begin("Decrypt"), "C_DecryptUpdate", (NULL, 16, place, length)),
        "digest": (_begin("Digest"), "C_Digest", (NULL, 16, place, length)),
        "digest-update": (_begin("Digest"), "C_DigestUpdate", (NULL, 16)),
        "sign": (_begin("Sign"), "C_Sign", (NULL, 16, place, length)),
        "sign-update": (_begin("Sign"), "C_SignUpdate", (NULL, 16)),
        "verify-data": (_begin("Verify"), "C_Verify", (NULL, 16, place, 16)),
        "verify-signature": (_begin("Verify"), "C_Verify", (place, 16, NULL, 16)),
        "verify-update": (_begin("Verify"), "C_VerifyUpdate", (NULL, 16)),
        "verify-final": (_begin("Verify"), "C_VerifyFinal", (NULL, 16)),
        "find-handles": (_begin("FindObjects"), "C_FindObjects", (NULL, 5, length)),
        "find-count": (_begin("FindObjects"), "C_FindObjects", (handle, 1, NULL)),
        "find-template": (_nothing, "C_FindObjectsInit", (NULL, 1)),
        "create-template": (_nothing, "C_CreateObject", (NULL, 1, handle)),
        "create-handle": (_nothing, "C_CreateObject", (Template(DATA).array, len(DATA), NULL)),
        "generate-mechanism": (_nothing, "C_GenerateKey", (NULL, template.array, 1, handle)),
        "generate-template": (_nothing, "C_GenerateKey", (mechanism.pointer, NULL, 1, handle)),
        "generate-handle": (_nothing, "C_GenerateKey", (mechanism.pointer, template.array, 1, NULL)),
        "pair-mechanism": (
            _nothing, "C_GenerateKeyPair", (NULL, template.array, 1, template.array, 1, handle, handle)
        ),
        "pair-handle": (
            _nothing, "C_GenerateKeyPair",
            (Mechanism(CKM.EC_KEY_PAIR_GEN).pointer, template.array, 1, template.array, 1, NULL, handle),
        ),
        "seed": (_nothing, "C_SeedRandom", (NULL, 16)),
        "random": (_nothing, "C_GenerateRandom", (NULL, 16)),
        "session-info": (_nothing, "C_GetSessionInfo", (NULL,)),
        "set-pin": (_nothing, "C_SetPIN", (NULL, 8, NULL, 8)),
    }  # fmt: skip
    kept = (mechanism, wrap, template)

    def case(prepare: Case, name: str, arguments: tuple[Any, ...]) -> Case:
        def run(session: Session) -> None:
            assert kept
            prepare(session)
            codes = [CKR.ARGUMENTS_BAD]
            codes += [CKR.RANDOM_SEED_NOT_SUPPORTED] if name == "C_SeedRandom" else []
            codes += [CKR.PIN_INCORRECT, CKR.PIN_LEN_RANGE, CKR.PIN_INVALID] if name == "C_SetPIN" else []
            expect(codes, session.call, name, *arguments)

        return run

    return {f"null-{name}": case(*row) for name, row in rows.items()}


def _closed_case(name: str) -> Case:
    """Return a case: function `name` on handles that are no sessions."""

    def run(session: Session) -> None:
        closed = session.cryptoki.open(session.info().slotID)
        closed.close()
        function, place = session.cryptoki.functions[name], ffi.new("CK_BYTE[4096]")
        kinds = ffi.typeof(function).args[1:]
        arguments = [ffi.cast(kind, place) if kind.kind in {"pointer", "function"} else 1 for kind in kinds]
        for handle in (closed.handle, 0, 2**64 - 1):
            code = function(handle, *arguments)
            assert code in {CKR.SESSION_HANDLE_INVALID, CKR.SESSION_CLOSED}, code_name(code)

    return run


def _later_case(name: str) -> Case:
    """Return a case: a function of Cryptoki 3 with an open session and harmless arguments."""

    def run(session: Session) -> None:
        function, place = session.cryptoki.functions[name], ffi.new("CK_BYTE[4096]")
        kinds = ffi.typeof(function).args[1:]
        code = function(session.handle, *[ffi.cast(kind, place) if kind.kind == "pointer" else 1 for kind in kinds])
        assert code not in {CKR.OK, CKR.GENERAL_ERROR}, code_name(code)

    return run


def _template_count(session: Session) -> None:
    """Check: a template of an absurd number of attributes is refused."""
    template, handle = Template(DATA), ffi.new("CK_ULONG *")
    for count in _HUGE:
        codes = (*_LENGTHS, CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_VALUE_INVALID, CKR.ATTRIBUTE_TYPE_INVALID)
        expect(codes, session.call, "C_CreateObject", template.array, count, handle)
        expect(codes, session.call, "C_FindObjectsInit", template.array, count)


def _value_length(session: Session) -> None:
    """Check: an attribute of an absurd length is refused."""
    handle = session.create(DATA)
    for length in _HUGE:
        template = Template({**DATA, CKA.LABEL: "x"})
        next(item for item in template.array if item.type == CKA.LABEL).ulValueLen = length
        codes = (*_LENGTHS, CKR.ATTRIBUTE_VALUE_INVALID)
        expect(codes, session.call, "C_CreateObject", template.array, template.count, ffi.new("CK_ULONG *"))
        expect(codes, session.call, "C_SetAttributeValue", handle, template.array + 1, 1)


def _value_null(session: Session) -> None:
    """Check: a NULL value with a length is refused."""
    template = Template({**DATA, CKA.LABEL: None})
    next(item for item in template.array if item.type == CKA.LABEL).ulValueLen = 5
    codes = (CKR.ATTRIBUTE_VALUE_INVALID, CKR.ARGUMENTS_BAD)
    expect(codes, session.call, "C_CreateObject", template.array, template.count, ffi.new("CK_ULONG *"))


def _data_length(name: str, kind: str) -> Case:
    """Return a case: data of an absurd length."""

    def run(session: Session) -> None:
        for length in _HUGE:
            _begin(kind)(session)
            codes = (*_LENGTHS, CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID)
            buffer, count = ffi.new("CK_BYTE[64]"), ffi.new("CK_ULONG *", 64)
            output = (buffer, count) if kind in {"Encrypt", "Decrypt"} or name in {"C_Digest", "C_Sign"} else ()
            expect((*codes, CKR.BUFFER_TOO_SMALL), session.call, name, buffer, length, *output)
            for other in ("Encrypt", "Decrypt", "Digest", "Sign"):
                _end(session, other)

    return run


def _end(session: Session, kind: str) -> None:
    """End an operation that may be active."""
    with suppress(Refused):
        session.output(f"C_{kind}Final")


def _signature_length(session: Session) -> None:
    """Check: a signature of an absurd length is refused."""
    for length in _HUGE:
        _begin("Verify")(session)
        codes = (*_LENGTHS, CKR.SIGNATURE_LEN_RANGE, CKR.SIGNATURE_INVALID)
        expect(codes, session.call, "C_Verify", b"data", 4, bytes(16), length)


def _output_length(session: Session) -> None:
    """Check: an absurd length of an output buffer only means that there is room."""
    for length in _HUGE:
        buffer, count = ffi.new("CK_BYTE[64]"), ffi.new("CK_ULONG *", length)
        _begin("Encrypt")(session)
        session.call("C_Encrypt", bytes(16), 16, buffer, count)
        assert count[0] == 16


def _attribute_room(session: Session) -> None:
    """Check: an absurd length of an attribute's buffer only means that there is room."""
    handle = session.create(DATA)
    buffer = ffi.new("CK_BYTE[64]")
    item = ffi.new("CK_ATTRIBUTE *", (CKA.VALUE, buffer, 2**62))
    session.call("C_GetAttributeValue", handle, item, 1)
    assert (5, b"value") == (item.ulValueLen, bytes(buffer[0:5]))


def _find_maximum(session: Session) -> None:
    """Check: an absurd maximum of handles only means that there is room."""
    handle = session.create(DATA | {CKA.LABEL: "the only one"})
    session.find_init({CKA.LABEL: "the only one"})
    handles, count = ffi.new("CK_ULONG[64]"), ffi.new("CK_ULONG *")
    session.call("C_FindObjects", handles, 2**64 - 1, count)
    assert [handle] == list(handles[0 : count[0]])
    session.call("C_FindObjectsFinal")


def _random_length(session: Session) -> None:
    """Check: an absurd number of random bytes is refused."""
    for length in _HUGE:
        expect(_LENGTHS, session.call, "C_GenerateRandom", ffi.new("CK_BYTE[16]"), length)


def _pin_length(session: Session) -> None:
    """Check: a PIN of an absurd length is refused."""
    session.logout()
    codes = (CKR.PIN_INCORRECT, CKR.PIN_LEN_RANGE, *_LENGTHS)
    for length in (2**61 + 1, 2**63):
        expect(codes, session.call, "C_Login", CKU.USER, b"user-pin-1234", length)
    session.login("user-pin-1234")


def _parameter_length(session: Session) -> None:
    """Check: a mechanism parameter of an absurd length, or NULL with a length, is refused."""
    codes, key = (CKR.MECHANISM_PARAM_INVALID, CKR.MECHANISM_INVALID, *_LENGTHS), _key(session)
    for length in _HUGE:
        expect(codes, session.init, "Encrypt", Mechanism(CKM.AES_CBC, bytes(16), length=length), key)
        expect(codes, session.init, "Encrypt", Mechanism(CKM.AES_GCM, bytes(48), length=length), key)
    expect(codes, session.init, "Encrypt", Mechanism(CKM.AES_CBC, None, length=16), key)


def _inner_length(field: str, length: int) -> Case:
    """Return a case: CK_GCM_PARAMS whose inner length is absurd, or whose inner pointer is NULL."""

    def run(session: Session) -> None:
        mechanism = gcm(bytes(12), b"aad")
        parameter = ffi.cast("CK_GCM_PARAMS *", mechanism.pointer.pParameter)
        setattr(parameter, field, length or NULL)
        codes = (CKR.MECHANISM_PARAM_INVALID, *_LENGTHS)
        expect(codes, session.init, "Encrypt", mechanism, _key(session))

    return run


def _wrapped_length(session: Session) -> None:
    """Check: a wrapped key of an absurd length, or NULL, is refused."""
    wrapping, mechanism = _key(session), Mechanism(CKM.AES_KEY_WRAP)
    template, handle = Template({CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}), ffi.new("CK_ULONG *")
    codes = (*_LENGTHS, CKR.WRAPPED_KEY_LEN_RANGE, CKR.WRAPPED_KEY_INVALID)
    end = (template.array, template.count, handle)
    for length in _HUGE:
        expect(codes, session.call, "C_UnwrapKey", mechanism.pointer, wrapping, bytes(40), length, *end)
    expect(codes, session.call, "C_UnwrapKey", mechanism.pointer, wrapping, NULL, 40, *end)


def _nested(session: Session) -> None:
    """Nested templates: of no number of attributes, with a NULL inside, very deep, and one that contains itself."""
    base = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: AES_KEY}
    codes = (CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCONSISTENT, CKR.ARGUMENTS_BAD, CKR.ATTRIBUTE_TYPE_INVALID)
    expect(codes, session.create, {**base, CKA.WRAP_TEMPLATE: bytes(23)})
    loop = Template({CKA.WRAP_TEMPLATE: None})
    loop.array[0].pValue, loop.array[0].ulValueLen = loop.array, ffi.sizeof("CK_ATTRIBUTE")
    whole = Template({**base, CKA.WRAP_TEMPLATE: None})
    last = whole.array[whole.count - 1]
    last.pValue, last.ulValueLen = loop.array, ffi.sizeof("CK_ATTRIBUTE")
    expect(codes, session.call, "C_CreateObject", whole.array, whole.count, ffi.new("CK_ULONG *"))
    last.ulValueLen = 2**63
    expect((*codes, *_LENGTHS), session.call, "C_CreateObject", whole.array, whole.count, ffi.new("CK_ULONG *"))


def _key_handles(session: Session) -> None:
    """Check: handles that are no keys are refused by each Init."""
    data = session.create(DATA)
    codes = (
        CKR.KEY_HANDLE_INVALID,
        CKR.KEY_TYPE_INCONSISTENT,
        CKR.KEY_FUNCTION_NOT_PERMITTED,
        CKR.OBJECT_HANDLE_INVALID,
    )
    for handle in (0, data, 2**63, 2**64 - 1):
        expect(codes, session.init, "Encrypt", Mechanism(CKM.AES_ECB), handle)
        expect(codes, session.init, "Decrypt", Mechanism(CKM.AES_ECB), handle)
        expect(codes, session.init, "Sign", Mechanism(CKM.SHA256_HMAC), handle)
        expect(codes, session.init, "Verify", Mechanism(CKM.SHA256_HMAC), handle)


def _slot_numbers(session: Session) -> None:
    """Absurd slot numbers are CKR_SLOT_ID_INVALID."""
    for slot in (2**31, 2**63, 2**64 - 1):
        expect(CKR.SLOT_ID_INVALID, session.cryptoki.open, slot)
        expect(CKR.SLOT_ID_INVALID, session.cryptoki.token, slot)


def _long_secret(session: Session) -> None:
    """Check: a megabyte of data goes through an operation in one part."""
    key, data = generic(session, AES_KEY, SIGN=True), bytes(2**20)
    assert len(session.sign(Mechanism(CKM.SHA256_HMAC), key, data)) == 32


CASES: dict[str, Callable[[Session], None]] = {
    **_null_cases(),
    **{f"closed-session-{name}": _closed_case(name) for name in _WITH_SESSION},
    **{f"later-{name}": _later_case(name) for name in _LATER},
    "absurd-template-count": _template_count,
    "absurd-value-length": _value_length,
    "null-value": _value_null,
    "absurd-data-encrypt": _data_length("C_Encrypt", "Encrypt"),
    "absurd-data-encrypt-update": _data_length("C_EncryptUpdate", "Encrypt"),
    "absurd-data-decrypt": _data_length("C_Decrypt", "Decrypt"),
    "absurd-data-digest": _data_length("C_Digest", "Digest"),
    "absurd-data-digest-update": _data_length("C_DigestUpdate", "Digest"),
    "absurd-data-sign": _data_length("C_Sign", "Sign"),
    "absurd-data-sign-update": _data_length("C_SignUpdate", "Sign"),
    "absurd-signature-length": _signature_length,
    "absurd-room-for-output": _output_length,
    "absurd-room-for-an-attribute": _attribute_room,
    "absurd-room-for-handles": _find_maximum,
    "absurd-number-of-random-bytes": _random_length,
    "absurd-pin-length": _pin_length,
    "absurd-parameter-length": _parameter_length,
    "absurd-iv-length": _inner_length("ulIvLen", 2**63),
    "absurd-aad-length": _inner_length("ulAADLen", 2**63),
    "null-iv": _inner_length("pIv", 0),
    "null-aad": _inner_length("pAAD", 0),
    "absurd-wrapped-length": _wrapped_length,
    "nested-templates": _nested,
    "wrong-key-handles": _key_handles,
    "absurd-slot-numbers": _slot_numbers,
    "a-megabyte": _long_secret,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """Run all cases."""
    return outcomes(__name__, list(CASES), tmp_path_factory.mktemp("cases"))


_PARAMETERS = [
    pytest.param(name, marks=pytest.mark.needs_function(name.removeprefix("later-")) if "later-" in name else ())
    for name in CASES
]


@pytest.mark.parametrize("name", _PARAMETERS)
def test_bad_input_is_refused_without_harm(found: dict[str, str | None], name: str) -> None:
    """The call gets the specification's code, the process lives, the session still works."""
    if found[name] is not None:
        pytest.fail(str(found[name]), pytrace=False)
