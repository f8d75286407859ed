"""Return codes of data, ciphertexts and signatures that are wrong, and of operations in the wrong order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptkc.spec.constants import CKF, CKM

from .cryptoki import Session
from .messages import Ccm
from .parameters import Mechanism, ccm
from .return_bench import CASES, Bench, Case, alone, case, cases, changed, cut, everything, flip
from .right_calls import CBC, DATA_64, INITS, RSA, begin, gcm_message, rsa_pair

_ECB = Mechanism(CKM.AES_ECB)
_RAW = Mechanism(CKM.RSA_X_509)


def _ended(init: str, mechanism: Mechanism, key: Callable[[Session], int] | None, *steps: tuple[str, Any]) -> Case:
    """Return a case: an operation with a mechanism and a key, then (function, its values) one after another."""

    def story(bench: Bench) -> None:
        session = bench.session
        more = {"signature": steps[0][1].get("signature", b"")} if init == "C_VerifySignatureInit" else {}
        alone(session, init, mechanism=mechanism, **({"key": key(session)} if key else {}), **more)
        for function, given in steps:
            alone(session, function, **{name: value for name, value in given.items() if name not in more})

    return story


def _public(session: Session) -> int:
    return rsa_pair(session)[0]


def _private(session: Session) -> int:
    return rsa_pair(session)[1]


_LONG, _LARGE = bytes(300), b"\xff" * 256
_CCM = ccm(8, bytes(12))
cases(
    "DATA_LEN_RANGE",
    Encrypt=_ended("C_EncryptInit", _ECB, everything, ("C_Encrypt", {"data": bytes(15)})),
    EncryptUpdate=_ended("C_EncryptInit", _CCM, everything, ("C_EncryptUpdate", {"part": bytes(9)})),
    EncryptFinal=_ended(
        "C_EncryptInit", _ECB, everything, ("C_EncryptUpdate", {"part": bytes(5)}), ("C_EncryptFinal", {})
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
        _ended("C_EncryptInit", _CCM, everything, ("C_DigestEncryptUpdate", {"part": bytes(9)}))(bench),
    ),
    SignEncryptUpdate=lambda bench: (
        begin(bench.session, "C_SignInit"),
        _ended("C_EncryptInit", _CCM, everything, ("C_SignEncryptUpdate", {"part": bytes(9)}))(bench),
    ),
)  # fmt: skip


def _ccm_message(bench: Bench, data: bytes) -> None:
    alone(bench.session, "C_MessageEncryptInit", mechanism=Mechanism(CKM.AES_CCM), key=everything(bench.session))
    alone(bench.session, "C_EncryptMessage", parameter=Ccm(8, bytes(12)), associated=b"", plaintext=data)


@case("C_EncryptMessageNext", "DATA_LEN_RANGE")
def _ccm_next(bench: Bench) -> None:
    parameter = Ccm(8, bytes(12))
    alone(bench.session, "C_MessageEncryptInit", mechanism=Mechanism(CKM.AES_CCM), key=everything(bench.session))
    alone(bench.session, "C_EncryptMessageBegin", parameter=parameter, associated=b"")
    alone(bench.session, "C_EncryptMessageNext", parameter=parameter, plaintext=bytes(9), flags=CKF.END_OF_MESSAGE)


cases(
    "DATA_INVALID",
    Encrypt=_ended("C_EncryptInit", _RAW, _public, ("C_Encrypt", {"data": _LARGE})),
    Sign=_ended("C_SignInit", _RAW, _private, ("C_Sign", {"data": _LARGE})),
    SignRecover=_ended("C_SignRecoverInit", _RAW, _private, ("C_SignRecover", {"data": _LARGE})),
    SignMessage=_ended("C_MessageSignInit", _RAW, _private, ("C_SignMessage", {"parameter": None, "data": _LARGE})),
)  # fmt: skip
_BAD_PADDING = bytes(32)
cases(
    "ENCRYPTED_DATA_INVALID",
    Decrypt=_ended("C_DecryptInit", CBC, everything, ("C_Decrypt", {"encrypted": _BAD_PADDING})),
    DecryptFinal=_ended(
        "C_DecryptInit", CBC, everything, ("C_DecryptUpdate", {"encrypted": _BAD_PADDING}), ("C_DecryptFinal", {})
    ),
)
cases(
    "ENCRYPTED_DATA_LEN_RANGE",
    Decrypt=_ended("C_DecryptInit", CBC, everything, ("C_Decrypt", {"encrypted": bytes(15)})),
    DecryptFinal=_ended(
        "C_DecryptInit", CBC, everything, ("C_DecryptUpdate", {"encrypted": bytes(15)}), ("C_DecryptFinal", {})
    ),
    DecryptUpdate=_ended("C_DecryptInit", _CCM, everything, ("C_DecryptUpdate", {"encrypted": bytes(25)})),
    DecryptDigestUpdate=lambda bench: (
        begin(bench.session, "C_DigestInit"),
        _ended("C_DecryptInit", _CCM, everything, ("C_DecryptDigestUpdate", {"encrypted": bytes(25)}))(bench),
    ),
    DecryptVerifyUpdate=lambda bench: (
        begin(bench.session, "C_VerifyInit"),
        _ended("C_DecryptInit", _CCM, everything, ("C_DecryptVerifyUpdate", {"encrypted": bytes(25)}))(bench),
    ),
)


def _ccm_decrypted(bench: Bench, *, parts: bool) -> None:
    parameter = Ccm(8, bytes(12), bytes(16))
    alone(bench.session, "C_MessageDecryptInit", mechanism=Mechanism(CKM.AES_CCM), key=everything(bench.session))
    if parts:
        alone(bench.session, "C_DecryptMessageBegin", parameter=parameter, associated=b"")
        more: dict[str, Any] = {"flags": CKF.END_OF_MESSAGE}
    else:
        more = {"associated": b""}
    name = "C_DecryptMessageNext" if parts else "C_DecryptMessage"
    alone(bench.session, name, parameter=parameter, ciphertext=bytes(9), **more)


CASES["C_DecryptMessage", "ENCRYPTED_DATA_LEN_RANGE"] = lambda bench: _ccm_decrypted(bench, parts=False)
CASES["C_DecryptMessageNext", "ENCRYPTED_DATA_LEN_RANGE"] = lambda bench: _ccm_decrypted(bench, parts=True)
cases(
    "AEAD_DECRYPT_FAILED",
    DecryptMessage=changed("C_DecryptMessage", "ciphertext", flip),
    DecryptMessageNext=changed("C_DecryptMessageNext", "ciphertext", flip),
)

# Signatures

for _function in ("Verify", "VerifyFinal", "VerifyMessage", "VerifyMessageNext"):
    CASES[f"C_{_function}", "SIGNATURE_INVALID"] = changed(f"C_{_function}", "signature", flip)
    CASES[f"C_{_function}", "SIGNATURE_LEN_RANGE"] = changed(f"C_{_function}", "signature", cut)
cases(
    "SIGNATURE_INVALID",
    VerifyRecover=changed("C_VerifyRecover", "signature", flip),
    VerifySignature=lambda bench: bench.call("C_VerifySignature", data=b"other"),
    VerifySignatureFinal=lambda bench: (
        begin(bench.session, "C_VerifySignatureInit"),
        alone(bench.session, "C_VerifySignatureUpdate", part=b"other"),
        alone(bench.session, "C_VerifySignatureFinal"),
    ),
)


def _short_signature(*steps: tuple[str, dict[str, Any]]) -> Case:
    def story(bench: Bench) -> None:
        given = {**INITS["C_VerifySignatureInit"](bench.session), "signature": b"short"}
        alone(bench.session, "C_VerifySignatureInit", **given)
        for function, values in steps:
            alone(bench.session, function, **values)

    return story


cases(
    "SIGNATURE_LEN_RANGE",
    VerifyRecover=changed("C_VerifyRecover", "signature", cut),
    VerifySignature=_short_signature(("C_VerifySignature", {"data": DATA_64})),
    VerifySignatureFinal=_short_signature(
        ("C_VerifySignatureUpdate", {"part": DATA_64}), ("C_VerifySignatureFinal", {})
    ),
)

# Operations in the wrong order


def _first(init: str, *steps: tuple[str, Any]) -> Case:
    """Return a case: an operation is begun, then these calls follow."""

    def story(bench: Bench) -> None:
        begin(bench.session, init)
        for function, given in steps:
            alone(bench.session, function, **given)

    return story


_MESSAGE = {"parameter": None}


def _gcm_first(init: str, begin_: str, then: str, **more: Any) -> Case:  # noqa: ANN401
    def story(bench: Bench) -> None:
        begin(bench.session, init)
        alone(bench.session, begin_, parameter=gcm_message(tag=bytes(16)), associated=b"")
        given = {} if then.endswith("Final") else {"parameter": gcm_message(tag=bytes(16)), "associated": b"", **more}
        alone(bench.session, then, **given)

    return story


_part = {"part": DATA_64}
cases(
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
)  # fmt: skip
cases("KEY_INDIGESTIBLE", DigestKey=lambda bench: (
    begin(bench.session, "C_DigestInit"), alone(bench.session, "C_DigestKey", key=rsa_pair(bench.session)[0])
))  # fmt: skip
