"""The structures of mechanism parameters: their values, their members as in C, and which mechanism has which.

A structure is a namedtuple, the value that mechanisms get, and a `Layout`, how it stands in memory (`spec.parameters`
explains the kinds of members). What no row of `LAYOUTS` names is a byte string, as an IV.
"""

from __future__ import annotations

from collections import namedtuple

from ptkc.spec.constants import CK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.parameters import MALFORMED, Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.spec.members import Memory

__all__ = [
    "CBC_DATA", "CCM", "CCM_WRAP", "CHACHA20", "CHACHA20_POLY1305", "COUNTER_FORMAT", "CTR", "DES3_CBC_DATA",
    "DSA_SEED_GIVEN", "DSA_SEED_MADE", "ECDH", "ECDH_AES_WRAP", "EDDSA", "EXTRACT", "GCM", "GCM_WRAP", "GEN_PIK",
    "GIVEN", "HANDLE", "HASH_SIGN_CONTEXT", "HKDF", "IKE1_EXTENDED", "IKE1_PRF", "IKE2_PRF_PLUS", "IKE_PRF",
    "KEY_DATA", "KEY_HANDLE", "LAYOUTS", "LENGTH_FORMAT", "MAC_GENERAL", "MADE", "MECH_AND_OBJECT", "OAEP",
    "OF_MECHANISM", "PBKDF2", "PSS", "RSA_AES_WRAP", "SECRET_SHARE", "SIGN_CONTEXT", "SP800_108",
    "SP800_108_FEEDBACK", "TLS_EXTENDED_MASTER", "TLS_KDF", "TLS_KEYS", "TLS_MAC", "TLS_MASTER", "WITHOUT_KEY",
    "WRAPPING", "CbcData", "Ccm", "CcmMessage", "CcmWrap", "ChaCha20", "ChaCha20Poly1305", "ChaChaMessage",
    "CounterFormat", "Ctr", "Des3CbcData", "DsaGeneration", "Ecdh", "EcdhAesWrap", "Eddsa", "Extract", "FurtherKey",
    "Gcm", "GcmMessage", "GcmWrap", "GenPik", "Handle", "HashSignContext", "Hkdf", "Ike1Extended", "Ike1Prf",
    "Ike2PrfPlus", "IkePrf", "KeyData", "KeyHandle", "LengthFormat", "MacGeneral", "MechanismAndObject", "Oaep",
    "Pbkdf2", "PrfData", "Pss", "RsaAesWrap", "Share", "SignContext", "Sp800108", "Sp800108Feedback",
    "TlsExtendedMaster", "TlsKdf", "TlsKeys", "TlsKeysOut", "TlsMac", "TlsMaster", "TlsRandom", "pack",
    "pack_message", "parse", "parse_message", "unpack", "unpack_message",
]  # fmt: skip

Gcm = namedtuple("Gcm", "iv iv_bits aad tag_bits")
Ccm = namedtuple("Ccm", "data_len nonce aad mac_len")
GcmWrap = namedtuple("GcmWrap", "iv fixed_bits generator aad tag_bits")
CcmWrap = namedtuple("CcmWrap", "data_len nonce fixed_bits generator aad mac_len")
Ctr = namedtuple("Ctr", "bits block")
ChaCha20 = namedtuple("ChaCha20", "counter nonce")
ChaCha20Poly1305 = namedtuple("ChaCha20Poly1305", "nonce aad")
GcmMessage = namedtuple("GcmMessage", "iv iv_fixed_bits generator tag tag_bits")
CcmMessage = namedtuple("CcmMessage", "data_len nonce nonce_fixed_bits generator mac mac_len")
ChaChaMessage = namedtuple("ChaChaMessage", "nonce tag")
MacGeneral = namedtuple("MacGeneral", "length")
Pss = namedtuple("Pss", "hash mgf salt_len")
Oaep = namedtuple("Oaep", "hash mgf source label")
Ecdh = namedtuple("Ecdh", "kdf shared public")
Eddsa = namedtuple("Eddsa", "ph context")
X942Dh = namedtuple("X942Dh", "kdf other public")
DsaGeneration = namedtuple("DsaGeneration", "hash seed index")
RsaAesWrap = namedtuple("RsaAesWrap", "bits oaep")
EcdhAesWrap = namedtuple("EcdhAesWrap", "bits kdf shared")
SignContext = namedtuple("SignContext", "hedge context")
HashSignContext = namedtuple("HashSignContext", "hedge context hash")
Extract = namedtuple("Extract", "bit")
Handle = namedtuple("Handle", "handle")
KeyData = namedtuple("KeyData", "data")
CbcData = namedtuple("CbcData", "iv data")
Des3CbcData = namedtuple("Des3CbcData", "iv data")
Pbkdf2 = namedtuple("Pbkdf2", "salt_source salt iterations prf prf_data password")
PrfData = namedtuple("PrfData", "type value")
CounterFormat = namedtuple("CounterFormat", "little_endian width_bits")
LengthFormat = namedtuple("LengthFormat", "method little_endian width_bits")
KeyHandle = namedtuple("KeyHandle", "handle")
FurtherKey = namedtuple("FurtherKey", "template handle")
Sp800108 = namedtuple("Sp800108", "prf data further")
Sp800108Feedback = namedtuple("Sp800108Feedback", "prf data iv further")
TlsRandom = namedtuple("TlsRandom", "client server")
TlsMaster = namedtuple("TlsMaster", "random version prf")
TlsExtendedMaster = namedtuple("TlsExtendedMaster", "prf session_hash version")
TlsKeysOut = namedtuple("TlsKeysOut", "client_mac server_mac client_key server_key client_iv server_iv")
TlsKeys = namedtuple("TlsKeys", "mac_bits key_bits iv_bits export random returned prf")
TlsKdf = namedtuple("TlsKdf", "prf label random context")
TlsMac = namedtuple("TlsMac", "prf length side")
IkePrf = namedtuple("IkePrf", "prf data_as_key rekey ni nr new_key")
Ike1Prf = namedtuple("Ike1Prf", "prf has_previous gxy previous cky_i cky_r number")
Ike1Extended = namedtuple("Ike1Extended", "prf has_gxy gxy extra")
Ike2PrfPlus = namedtuple("Ike2PrfPlus", "prf has_seed_key seed_key seed")
Hkdf = namedtuple("Hkdf", "extract expand hash salt_type salt salt_key info")
MechanismAndObject = namedtuple("MechanismAndObject", "mechanism object")
GenPik = namedtuple("GenPik", "self_sign")
Share = namedtuple("Share", "n m")

# The second form is CK_GCM_PARAMS before Cryptoki 2.40 errata 1, which had no ulIvBits.
GCM = Layout(
    "CK_GCM_PARAMS", Gcm,
    "iv:pointer iv:length iv_bits:ulong aad:pointer aad:length tag_bits:ulong",
    "iv:pointer iv:length aad:pointer aad:length tag_bits:ulong",
)  # fmt: skip
CCM = Layout(
    "CK_CCM_PARAMS", Ccm, "data_len:ulong nonce:pointer nonce:length aad:pointer aad:length mac_len:ulong"
)
GCM_WRAP = Layout(
    "CK_GCM_WRAP_PARAMS", GcmWrap,
    "iv:in_out iv:length fixed_bits:ulong generator:ulong aad:pointer aad:length tag_bits:ulong",
)  # fmt: skip
CCM_WRAP = Layout(
    "CK_CCM_WRAP_PARAMS", CcmWrap,
    "data_len:ulong nonce:in_out nonce:length fixed_bits:ulong generator:ulong aad:pointer aad:length mac_len:ulong",
)  # fmt: skip
CTR = Layout("CK_AES_CTR_PARAMS", Ctr, "bits:ulong block:block")
CHACHA20 = Layout("CK_CHACHA20_PARAMS", ChaCha20, "counter:pointer counter:bits nonce:pointer nonce:bits")
CHACHA20_POLY1305 = Layout(
    "CK_SALSA20_CHACHA20_POLY1305_PARAMS", ChaCha20Poly1305, "nonce:pointer nonce:bits aad:pointer aad:length"
)
MAC_GENERAL = Layout("CK_MAC_GENERAL_PARAMS", MacGeneral, "length:ulong")
PSS = Layout("CK_RSA_PKCS_PSS_PARAMS", Pss, "hash:ulong mgf:ulong salt_len:ulong")
OAEP = Layout("CK_RSA_PKCS_OAEP_PARAMS", Oaep, "hash:ulong mgf:ulong source:ulong label:pointer label:length")
ECDH = Layout("CK_ECDH1_DERIVE_PARAMS", Ecdh, "kdf:ulong shared:length shared:pointer public:length public:pointer")
SIGN_CONTEXT = Layout("CK_SIGN_ADDITIONAL_CONTEXT", SignContext, "hedge:ulong context:pointer context:length")
HASH_SIGN_CONTEXT = Layout(
    "CK_HASH_SIGN_ADDITIONAL_CONTEXT", HashSignContext, "hedge:ulong context:pointer context:length hash:ulong"
)
EDDSA = Layout("CK_EDDSA_PARAMS", Eddsa, "ph:boolean context:length context:pointer")
DSA_SEED_MADE = Layout(
    "CK_DSA_PARAMETER_GEN_PARAM", DsaGeneration, "hash:ulong seed:output seed:length index:ulong"
)
DSA_SEED_GIVEN = Layout(
    "CK_DSA_PARAMETER_GEN_PARAM", DsaGeneration, "hash:ulong seed:pointer seed:length index:ulong"
)
RSA_AES_WRAP = Layout("CK_RSA_AES_KEY_WRAP_PARAMS", RsaAesWrap, "bits:ulong oaep:part_at", oaep=OAEP)
ECDH_AES_WRAP = Layout(
    "CK_ECDH_AES_KEY_WRAP_PARAMS", EcdhAesWrap, "bits:ulong kdf:ulong shared:length shared:pointer"
)
X9_42_DH = Layout(
    "CK_X9_42_DH1_DERIVE_PARAMS", X942Dh, "kdf:ulong other:length other:pointer public:length public:pointer"
)
EXTRACT = Layout("CK_EXTRACT_PARAMS", Extract, "bit:ulong")
HANDLE = Layout("CK_OBJECT_HANDLE", Handle, "handle:ulong")
KEY_DATA = Layout("CK_KEY_DERIVATION_STRING_DATA", KeyData, "data:pointer data:length")
CBC_DATA = Layout("CK_AES_CBC_ENCRYPT_DATA_PARAMS", CbcData, "iv:block data:pointer data:length")
HKDF = Layout(
    "CK_HKDF_PARAMS", Hkdf,
    "extract:boolean expand:boolean hash:ulong salt_type:ulong salt:pointer salt:length salt_key:ulong "
    "info:pointer info:length",
)  # fmt: skip
DES3_CBC_DATA = Layout("CK_DES_CBC_ENCRYPT_DATA_PARAMS", Des3CbcData, "iv:half data:pointer data:length")
# CK_PKCS5_PBKD2_PARAMS and CK_PKCS5_PBKD2_PARAMS2 differ in the last member alone: there an address, here a length.
PBKDF2 = Layout(
    "CK_PKCS5_PBKD2_PARAMS2", Pbkdf2,
    "salt_source:ulong salt:pointer salt:length iterations:ulong prf:ulong prf_data:pointer prf_data:length "
    "password:pointer password:length_at",
)  # fmt: skip
COUNTER_FORMAT = Layout("CK_SP800_108_COUNTER_FORMAT", CounterFormat, "little_endian:boolean width_bits:ulong")
LENGTH_FORMAT = Layout(
    "CK_SP800_108_DKM_LENGTH_FORMAT", LengthFormat, "method:ulong little_endian:boolean width_bits:ulong"
)
KEY_HANDLE = Layout("CK_OBJECT_HANDLE", KeyHandle, "handle:ulong")


class _PrfDataLayout(Layout):
    """CK_PRF_DATA_PARAM, whose value is a structure of its own, or bytes, as its type says.

    The field `value` has what `pack` of the structure's layout makes of it; of an iteration variable that is no counter
    it is empty.
    """

    __slots__ = ()

    def parse(self, raw: bytes, memory: Memory, base: int = 0, outer: dict[str, int] | None = None) -> object:
        """Return the value, or MALFORMED."""
        value = super().parse(raw, memory, base, outer)
        if not isinstance(value, PrfData) or not value.value:
            return value
        inner = _PRF_VALUES.get(value.type)
        if inner is None:
            return value
        parsed = inner.parse(value.value, memory)
        return PrfData(value.type, inner.pack(parsed)) if isinstance(parsed, tuple) else MALFORMED


_PRF_VALUES = {
    CK.SP800_108_ITERATION_VARIABLE: COUNTER_FORMAT,
    CK.SP800_108_COUNTER: COUNTER_FORMAT,
    CK.SP800_108_DKM_LENGTH: LENGTH_FORMAT,
    CK.SP800_108_KEY_HANDLE: KEY_HANDLE,
}
_PRF_DATA = _PrfDataLayout("CK_PRF_DATA_PARAM", PrfData, "type:ulong value:pointer value:length")
_FURTHER_KEY = Layout("CK_DERIVED_KEY", FurtherKey, "template:template template:count handle:handle_at")
SP800_108 = Layout(
    "CK_SP800_108_KDF_PARAMS", Sp800108, "prf:ulong data:count data:array further:count further:array",
    data=_PRF_DATA, further=_FURTHER_KEY,
)  # fmt: skip
SP800_108_FEEDBACK = Layout(
    "CK_SP800_108_FEEDBACK_KDF_PARAMS", Sp800108Feedback,
    "prf:ulong data:count data:array iv:length iv:pointer further:count further:array",
    data=_PRF_DATA, further=_FURTHER_KEY,
)  # fmt: skip
_TLS_RANDOM = Layout(
    "CK_SSL3_RANDOM_DATA", TlsRandom, "client:pointer client:length server:pointer server:length"
)
TLS_MASTER = Layout(
    "CK_TLS12_MASTER_KEY_DERIVE_PARAMS", TlsMaster, "random:part version:output2 prf:ulong", random=_TLS_RANDOM
)
TLS_EXTENDED_MASTER = Layout(
    "CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS", TlsExtendedMaster,
    "prf:ulong session_hash:pointer session_hash:length version:output2",
)  # fmt: skip
_TLS_KEYS_OUT = Layout(
    "CK_SSL3_KEY_MAT_OUT", TlsKeysOut,
    "client_mac:handle server_mac:handle client_key:handle server_key:handle "
    "client_iv:output:iv_bits server_iv:output:iv_bits",
)  # fmt: skip
TLS_KEYS = Layout(
    "CK_TLS12_KEY_MAT_PARAMS", TlsKeys,
    "mac_bits:ulong key_bits:ulong iv_bits:ulong export:boolean random:part returned:part_at prf:ulong",
    random=_TLS_RANDOM, returned=_TLS_KEYS_OUT,
)  # fmt: skip
TLS_KDF = Layout(
    "CK_TLS_KDF_PARAMS", TlsKdf, "prf:ulong label:pointer label:length random:part context:pointer context:length",
    random=_TLS_RANDOM,
)  # fmt: skip
TLS_MAC = Layout("CK_TLS_MAC_PARAMS", TlsMac, "prf:ulong length:ulong side:ulong")
IKE_PRF = Layout(
    "CK_IKE_PRF_DERIVE_PARAMS", IkePrf,
    "prf:ulong data_as_key:boolean rekey:boolean ni:pointer ni:length nr:pointer nr:length new_key:ulong",
)  # fmt: skip
IKE1_PRF = Layout(
    "CK_IKE1_PRF_DERIVE_PARAMS", Ike1Prf,
    "prf:ulong has_previous:boolean gxy:ulong previous:ulong cky_i:pointer cky_i:length cky_r:pointer cky_r:length "
    "number:byte",
)  # fmt: skip
IKE1_EXTENDED = Layout(
    "CK_IKE1_EXTENDED_DERIVE_PARAMS", Ike1Extended,
    "prf:ulong has_gxy:boolean gxy:ulong extra:pointer extra:length",
)  # fmt: skip
IKE2_PRF_PLUS = Layout(
    "CK_IKE2_PRF_PLUS_DERIVE_PARAMS", Ike2PrfPlus,
    "prf:ulong has_seed_key:boolean seed_key:ulong seed:pointer seed:length",
)  # fmt: skip
MECH_AND_OBJECT = Layout("CK_MECH_TYPE_AND_OBJECT", MechanismAndObject, "mechanism:ulong object:ulong")
GEN_PIK = Layout("CK_GEN_PIK_PARAM", GenPik, "self_sign:boolean")
SECRET_SHARE = Layout("CK_SECRET_SHARE_PARAMS", Share, "n:ulong m:ulong")

LAYOUTS = {
    CKM.AES_GCM: GCM,
    CKM.AES_GMAC: GCM,
    CKM.AES_CCM: CCM,
    CKM.AES_CTR: CTR,
    CKM.CAMELLIA_CTR: CTR,
    CKM.CHACHA20: CHACHA20,
    CKM.CHACHA20_POLY1305: CHACHA20_POLY1305,
    CKM.AES_CMAC_GENERAL: MAC_GENERAL,
    **dict.fromkeys(
        (
            CKM.AES_MAC_GENERAL, CKM.DES3_MAC_GENERAL, CKM.DES3_CMAC_GENERAL, CKM.CAMELLIA_MAC_GENERAL,
            CKM.ARIA_MAC_GENERAL, CKM.SEED_MAC_GENERAL,
        ),
        MAC_GENERAL,
    ),
    CKM.RSA_PKCS_OAEP: OAEP,
    CKM.ECDH1_DERIVE: ECDH,
    CKM.ECDH1_COFACTOR_DERIVE: ECDH,
    CKM.EDDSA: EDDSA,
    CKM.X9_42_DH_DERIVE: X9_42_DH,
    CKM.DSA_PROBABILISTIC_PARAMETER_GEN: DSA_SEED_MADE,
    CKM.DSA_FIPS_G_GEN: DSA_SEED_GIVEN,
    CKM.RSA_AES_KEY_WRAP: RSA_AES_WRAP,
    **dict.fromkeys(
        (CKM.ECDH_AES_KEY_WRAP, CKM.ECDH_COF_AES_KEY_WRAP, CKM.ECDH_X_AES_KEY_WRAP), ECDH_AES_WRAP
    ),
    CKM.HASH_ML_DSA: HASH_SIGN_CONTEXT,
    **dict.fromkeys((CKM.ML_DSA, CKM.SLH_DSA), SIGN_CONTEXT),
    **{
        number: SIGN_CONTEXT
        for name, number in vars(CKM).items()
        if name.startswith(("HASH_ML_DSA_", "HASH_SLH_DSA_"))
    },
    CKM.AES_ECB_ENCRYPT_DATA: KEY_DATA,
    CKM.AES_CBC_ENCRYPT_DATA: CBC_DATA,
    **dict.fromkeys((CKM.CAMELLIA_ECB_ENCRYPT_DATA, CKM.ARIA_ECB_ENCRYPT_DATA, CKM.SEED_ECB_ENCRYPT_DATA), KEY_DATA),
    **dict.fromkeys((CKM.CAMELLIA_CBC_ENCRYPT_DATA, CKM.ARIA_CBC_ENCRYPT_DATA, CKM.SEED_CBC_ENCRYPT_DATA), CBC_DATA),
    CKM.CONCATENATE_BASE_AND_KEY: HANDLE,
    CKM.CONCATENATE_BASE_AND_DATA: KEY_DATA,
    CKM.CONCATENATE_DATA_AND_BASE: KEY_DATA,
    CKM.EXTRACT_KEY_FROM_KEY: EXTRACT,
    CKM.XOR_BASE_AND_DATA: KEY_DATA,
    CKM.DES3_ECB_ENCRYPT_DATA: KEY_DATA,
    CKM.DES3_CBC_ENCRYPT_DATA: DES3_CBC_DATA,
    CKM.HKDF_DERIVE: HKDF,
    CKM.HKDF_DATA: HKDF,
    CKM.PKCS5_PBKD2: PBKDF2,
    CKM.SP800_108_COUNTER_KDF: SP800_108,
    CKM.SP800_108_FEEDBACK_KDF: SP800_108_FEEDBACK,
    CKM.SP800_108_DOUBLE_PIPELINE_KDF: SP800_108,
    **dict.fromkeys((CKM.TLS12_MASTER_KEY_DERIVE, CKM.TLS12_MASTER_KEY_DERIVE_DH), TLS_MASTER),
    **dict.fromkeys(
        (CKM.TLS12_EXTENDED_MASTER_KEY_DERIVE, CKM.TLS12_EXTENDED_MASTER_KEY_DERIVE_DH), TLS_EXTENDED_MASTER
    ),
    **dict.fromkeys((CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.TLS12_KEY_SAFE_DERIVE), TLS_KEYS),
    **dict.fromkeys((CKM.TLS_KDF, CKM.TLS12_KDF), TLS_KDF),
    **dict.fromkeys((CKM.TLS_MAC, CKM.TLS12_MAC), TLS_MAC),
    CKM.IKE_PRF_DERIVE: IKE_PRF,
    CKM.IKE1_PRF_DERIVE: IKE1_PRF,
    CKM.IKE1_EXTENDED_DERIVE: IKE1_EXTENDED,
    CKM.IKE2_PRF_PLUS_DERIVE: IKE2_PRF_PLUS,
    CKM.ENCODE_X_509: MECH_AND_OBJECT,
    CKM.ENCODE_X_509_LOCAL_CERT: MECH_AND_OBJECT,
    CKM.ENCODE_PKCS_10: MECH_AND_OBJECT,
    CKM.GEN_PIK_ECC_P521: GEN_PIK,
    CKM.SECRET_SHARE_WITH_ATTRIBUTES: SECRET_SHARE,
    **{number: PSS for name, number in vars(CKM).items() if name.endswith("_PKCS_PSS")},
    **{number: MAC_GENERAL for name, number in vars(CKM).items() if name.endswith("_HMAC_GENERAL")},
}

WITHOUT_KEY = frozenset((CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.TLS12_KEY_SAFE_DERIVE))
"""Mechanisms whose keys are all written back through the parameter: C_DeriveKey itself has none to give."""

# The structures that C_WrapKey and C_UnwrapKey take besides, told apart by their length.
WRAPPING = {CKM.AES_GCM: GCM_WRAP, CKM.AES_CCM: CCM_WRAP}

# Per-message parameters, told apart by their length. What is made (C_EncryptMessage …) has the room for the tag, and IV
# and tag are written back; what is given (C_DecryptMessage …) has the tag, or b"" where there is none.
_GCM_MESSAGE = "iv:{0} iv:length iv_fixed_bits:ulong generator:ulong tag:{1}:tag_bits tag_bits:ulong"
_CCM_MESSAGE = (
    "data_len:ulong nonce:{0} nonce:length nonce_fixed_bits:ulong generator:ulong mac:{1}:mac_len mac_len:ulong"
)
_CHACHA_MESSAGE = "nonce:{0} nonce:bits tag:{1}16"


def _messages(iv: str, tag: str) -> tuple[Layout, ...]:
    return (
        Layout("CK_GCM_MESSAGE_PARAMS", GcmMessage, _GCM_MESSAGE.format(iv, tag)),
        Layout("CK_CCM_MESSAGE_PARAMS", CcmMessage, _CCM_MESSAGE.format(iv, tag)),
        Layout("CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS", ChaChaMessage, _CHACHA_MESSAGE.format(iv, tag)),
    )


MADE = _messages("in_out", "output")
"""Layouts of the per-message parameters of functions that make a ciphertext or a signature."""
GIVEN = _messages("pointer", "optional")
"""Layouts of the same structures for functions that check and decrypt."""
OF_MECHANISM = {CKM.AES_GCM: GcmMessage, CKM.AES_CCM: CcmMessage, CKM.CHACHA20_POLY1305: ChaChaMessage}
"""Which of them a mechanism that wraps with associated data takes: the length alone could be another structure's."""

_ABSENT, _BYTES, _STRUCTURE, _MALFORMED, _WRAPPING = b"\0", b"\1", b"\2", b"\3", b"\4"
_MESSAGE_MALFORMED = b"\1"


def parse(mechanism_type: int, raw: bytes, memory: Memory) -> object:
    """Return the value of a CK_MECHANISM's parameter; `raw` are the ulParameterLen bytes at pParameter.

    What pointers inside name is in `memory`. Nothing is refused here but by `MALFORMED`.
    """
    if not raw:
        return None
    layout = LAYOUTS.get(mechanism_type)
    if layout is None:
        return raw
    value = layout.parse(raw, memory)
    if value is MALFORMED and mechanism_type in WRAPPING and WRAPPING[mechanism_type].size == len(raw):
        return WRAPPING[mechanism_type].parse(raw, memory)
    return value


def pack(mechanism_type: int, value: object) -> bytes:
    """Return a parameter for the wire: a byte that says its kind, then the value without pointers."""
    if value is None:
        return _ABSENT
    if isinstance(value, tuple):
        if mechanism_type in WRAPPING and WRAPPING[mechanism_type].accepts(value):
            return _WRAPPING + WRAPPING[mechanism_type].pack(value)
        return _STRUCTURE + LAYOUTS[mechanism_type].pack(value)
    return _BYTES + value if isinstance(value, bytes) else _MALFORMED


def unpack(mechanism_type: int, data: bytes) -> object:
    """Return the parameter that `pack` made; CKR_MECHANISM_PARAM_INVALID for any other bytes."""
    kind, rest = data[:1], data[1:]
    if kind == _BYTES and rest:
        return rest
    if kind == _STRUCTURE and mechanism_type in LAYOUTS:
        return LAYOUTS[mechanism_type].unpack(rest)
    if kind == _WRAPPING and mechanism_type in WRAPPING:
        return WRAPPING[mechanism_type].unpack(rest)
    if rest or kind not in (_ABSENT, _MALFORMED):
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{len(data)} bytes are no mechanism parameter")
    return None if kind == _ABSENT else MALFORMED


def parse_message(layouts: tuple[Layout, ...], raw: bytes, memory: Memory) -> object:
    """Return the value of a per-message parameter: one of `layouts`, `MADE` or `GIVEN`, or MALFORMED."""
    for layout in layouts:
        if layout.size == len(raw):
            return layout.parse(raw, memory)
    return MALFORMED


def pack_message(layouts: tuple[Layout, ...], value: object) -> bytes:
    """Return a per-message parameter for the wire: which it is, then the value without pointers."""
    for number, layout in enumerate(layouts):
        if layout.accepts(value):
            return bytes((_STRUCTURE[0] + number,)) + layout.pack(value)  # type: ignore[arg-type]
    return _ABSENT if value is None else _MESSAGE_MALFORMED


def unpack_message(layouts: tuple[Layout, ...], data: bytes) -> object:
    """Return the parameter that `pack_message` made; CKR_MECHANISM_PARAM_INVALID for any other bytes."""
    number = data[0] - _STRUCTURE[0] if data else -1
    if 0 <= number < len(layouts):
        return layouts[number].unpack(data[1:])
    if data not in (_ABSENT, _MESSAGE_MALFORMED):
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{len(data)} bytes are no parameter of a message")
    return None if data == _ABSENT else MALFORMED
