"""Return codes of objects, of templates, and of keys of the wrong kind or length, wrapped ones too."""

from __future__ import annotations

from typing import Any

from ptkc.spec.constants import CKA, CKG, CKK, CKM, CKO

from .cryptoki import Session
from .derivations import hkdf, ike2_plus
from .keys import AES_KEY, DATA, aes, generic, import_ec, import_rsa, private_ec
from .messages import MessageParameter
from .parameters import Mechanism, ecdh, oaep
from .return_bench import Bench, Case, alone, cases, changed, cut, everything, flip, tiny, tiny_pair
from .right_calls import NEW_AES, RSA, gcm_message, rsa_pair, sealed


def _locked(attribute: int, function: str, **more: Any) -> Case:  # noqa: ANN401
    return lambda bench: alone(bench.session, function, object=bench.session.create({**DATA, attribute: False}), **more)


cases(
    "ACTION_PROHIBITED",
    CopyObject=_locked(CKA.COPYABLE, "C_CopyObject", template={}),
    DestroyObject=_locked(CKA.DESTROYABLE, "C_DestroyObject"),
    SetAttributeValue=_locked(CKA.MODIFIABLE, "C_SetAttributeValue", template={CKA.LABEL: "other"}),
)
cases(
    "ATTRIBUTE_SENSITIVE",
    GetAttributeValue=lambda bench: alone(
        bench.session, "C_GetAttributeValue", types={CKA.VALUE: bytes(32)},
        object=bench.session.create({**NEW_AES, CKA.VALUE: AES_KEY, CKA.SENSITIVE: True}),
    ),
)  # fmt: skip
cases(
    "ATTRIBUTE_TYPE_INVALID",
    GetAttributeValue=lambda bench: bench.call("C_GetAttributeValue", types={CKA.MODULUS: bytes(32)}),
)
cases(
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


cases(
    "CURVE_NOT_SUPPORTED",
    CreateObject=lambda bench: bench.session.create({**_EC_PUBLIC, CKA.EC_PARAMS: _UNKNOWN_CURVE}),
    GenerateKeyPair=_generated(_EC_GEN, EC_PARAMS=_UNKNOWN_CURVE),
)
cases(
    "DOMAIN_PARAMS_INVALID",
    CreateObject=lambda bench: bench.session.create({**_EC_PUBLIC, CKA.EC_PARAMS: _NO_CURVE}),
    GenerateKeyPair=_generated(_EC_GEN, EC_PARAMS=_NO_CURVE),
)
cases(
    "PARAMETER_SET_NOT_SUPPORTED",
    CreateObject=lambda bench: bench.session.create({
        CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.ML_KEM, CKA.PARAMETER_SET: 99, CKA.VALUE: bytes(1184)
    }),
    GenerateKeyPair=_generated(Mechanism(CKM.ML_KEM_KEY_PAIR_GEN), PARAMETER_SET=99),
)  # fmt: skip
cases(
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
    return lambda bench: alone(bench.session, init, mechanism=mechanism, key=tiny_pair(bench.session)[half], **more)


_LONG_HASH = Mechanism(CKM.SHA512_RSA_PKCS)
_OAEP = oaep(CKM.SHA512, CKG.MGF1_SHA512)
cases(
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
        public_key=import_rsa(bench.session, tiny(512), {CKA.ENCAPSULATE: True})[0],
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
cases(
    "WRAPPING_KEY_SIZE_RANGE",
    WrapKey=lambda bench: alone(
        bench.session, "C_WrapKey", mechanism=_OAEP, wrapping_key=tiny_pair(bench.session)[0], key=aes(bench.session)
    ),
)
cases(
    "UNWRAPPING_KEY_SIZE_RANGE",
    UnwrapKey=lambda bench: alone(
        bench.session, "C_UnwrapKey", mechanism=_OAEP, unwrapping_key=tiny_pair(bench.session)[1], wrapped=bytes(64),
        template=NEW_AES,
    ),
    DecapsulateKey=lambda bench: alone(
        bench.session, "C_DecapsulateKey", mechanism=_OAEP, template={**NEW_AES, CKA.VALUE_LEN: 16},
        ciphertext=bytes(64), private_key=import_rsa(bench.session, tiny(512), None, {CKA.DECAPSULATE: True})[1],
    ),
)  # fmt: skip


cases(
    "WRAPPED_KEY_INVALID",
    UnwrapKey=changed("C_UnwrapKey", "wrapped", flip),
    UnwrapKeyAuthenticated=changed("C_UnwrapKeyAuthenticated", "wrapped", flip),
    DecapsulateKey=lambda bench: alone(
        bench.session, "C_DecapsulateKey", mechanism=_derivation(), template={**NEW_AES, CKA.VALUE_LEN: 16},
        private_key=import_ec(bench.session, private_ec(), None, {CKA.DECAPSULATE: True})[1],
        ciphertext=b"\4" + bytes(64),
    ),
)  # fmt: skip


def _derivation() -> Mechanism:
    return ecdh(b"")


cases(
    "WRAPPED_KEY_LEN_RANGE",
    UnwrapKey=changed("C_UnwrapKey", "wrapped", cut),
    UnwrapKeyAuthenticated=lambda bench: _of_no_key(bench, gcm_message()),
    DecapsulateKey=changed("C_DecapsulateKey", "ciphertext", cut),
)
cases(
    "KEY_UNEXTRACTABLE",
    WrapKey=lambda bench: bench.call("C_WrapKey", key=_kept(bench.session)),
    WrapKeyAuthenticated=lambda bench: bench.call("C_WrapKeyAuthenticated", key=_kept(bench.session)),
)
cases(
    "KEY_NOT_WRAPPABLE",
    WrapKey=lambda bench: bench.call("C_WrapKey", key=_trusting(bench.session)),
    WrapKeyAuthenticated=lambda bench: bench.call("C_WrapKeyAuthenticated", key=_trusting(bench.session)),
)


def _of_no_key(bench: Bench, made: MessageParameter) -> None:
    """Unwrap five bytes as an AES key."""
    mechanism = Mechanism(CKM.AES_GCM, made.structure, made)
    key = everything(bench.session)
    wrapped = bench.session.wrap_authenticated(mechanism, key, generic(bench.session, b"12345"))
    alone(
        bench.session, "C_UnwrapKeyAuthenticated", mechanism=sealed(made.tag), unwrapping_key=key, wrapped=wrapped,
        template=NEW_AES, associated=b"",
    )  # fmt: skip


def _kept(session: Session) -> int:
    return session.create({**NEW_AES, CKA.VALUE: AES_KEY, CKA.EXTRACTABLE: False})


def _trusting(session: Session) -> int:
    return session.create({**NEW_AES, CKA.VALUE: AES_KEY, CKA.EXTRACTABLE: True, CKA.WRAP_WITH_TRUSTED: True})
