"""Mechanisms of C_DeriveKey, and of keys made of passwords, with their parameters as a C caller would lay them out."""

from __future__ import annotations

from typing import Any

from ptkc.spec.constants import CK, CKF, CKM, CKP, CKZ

from .binding import ffi
from .cryptoki import Template
from .parameters import Mechanism

__all__ = [
    "KeyMaterial", "cbc_data", "counter", "hkdf", "ike", "ike1", "ike1_extended", "ike2_plus", "kbkdf", "key_data",
    "key_field", "length", "pbkdf2", "tls_extended_master", "tls_kdf", "tls_mac", "tls_master",
]  # fmt: skip  # fmt: skip

ffi.cdef("""
typedef struct { CK_BYTE *pData; CK_ULONG ulLen; } CK_KEY_DERIVATION_STRING_DATA;
typedef struct { CK_BYTE iv[8]; CK_BYTE *pData; CK_ULONG length; } CK_DES_CBC_ENCRYPT_DATA_PARAMS;
typedef struct { CK_BYTE iv[16]; CK_BYTE *pData; CK_ULONG length; } CK_AES_CBC_ENCRYPT_DATA_PARAMS;
typedef struct { CK_BBOOL bExtract; CK_BBOOL bExpand; CK_ULONG prfHashMechanism; CK_ULONG ulSaltType; CK_BYTE *pSalt;
                 CK_ULONG ulSaltLen; CK_ULONG hSaltKey; CK_BYTE *pInfo; CK_ULONG ulInfoLen; } CK_HKDF_PARAMS;
typedef struct { CK_ULONG saltSource; void *pSaltSourceData; CK_ULONG ulSaltSourceDataLen; CK_ULONG iterations;
                 CK_ULONG prf; void *pPrfData; CK_ULONG ulPrfDataLen; CK_BYTE *pPassword;
                 CK_ULONG ulPasswordLen; } CK_PKCS5_PBKD2_PARAMS2;
typedef struct { CK_ULONG saltSource; void *pSaltSourceData; CK_ULONG ulSaltSourceDataLen; CK_ULONG iterations;
                 CK_ULONG prf; void *pPrfData; CK_ULONG ulPrfDataLen; CK_BYTE *pPassword;
                 CK_ULONG *ulPasswordLen; } CK_PKCS5_PBKD2_PARAMS;
typedef struct { CK_ULONG type; void *pValue; CK_ULONG ulValueLen; } CK_PRF_DATA_PARAM;
typedef struct { CK_BBOOL bLittleEndian; CK_ULONG ulWidthInBits; } CK_SP800_108_COUNTER_FORMAT;
typedef struct { CK_ULONG dkmLengthMethod; CK_BBOOL bLittleEndian; CK_ULONG ulWidthInBits;
               } CK_SP800_108_DKM_LENGTH_FORMAT;
typedef struct { CK_ATTRIBUTE *pTemplate; CK_ULONG ulAttributeCount; CK_ULONG *phKey; } CK_DERIVED_KEY;
typedef struct { CK_ULONG prfType; CK_ULONG ulNumberOfDataParams; CK_PRF_DATA_PARAM *pDataParams;
                 CK_ULONG ulAdditionalDerivedKeys; CK_DERIVED_KEY *pAdditionalDerivedKeys; } CK_SP800_108_KDF_PARAMS;
typedef struct { CK_ULONG prfType; CK_ULONG ulNumberOfDataParams; CK_PRF_DATA_PARAM *pDataParams; CK_ULONG ulIVLen;
                 CK_BYTE *pIV; CK_ULONG ulAdditionalDerivedKeys; CK_DERIVED_KEY *pAdditionalDerivedKeys;
               } CK_SP800_108_FEEDBACK_KDF_PARAMS;
typedef struct { CK_BYTE *pClientRandom; CK_ULONG ulClientRandomLen; CK_BYTE *pServerRandom;
                 CK_ULONG ulServerRandomLen; } CK_SSL3_RANDOM_DATA;
typedef struct { CK_SSL3_RANDOM_DATA RandomInfo; CK_VERSION *pVersion; CK_ULONG prfHashMechanism;
               } CK_TLS12_MASTER_KEY_DERIVE_PARAMS;
typedef struct { CK_ULONG prfHashMechanism; CK_BYTE *pSessionHash; CK_ULONG ulSessionHashLen; CK_VERSION *pVersion;
               } CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS;
typedef struct { CK_ULONG hClientMacSecret; CK_ULONG hServerMacSecret; CK_ULONG hClientKey; CK_ULONG hServerKey;
                 CK_BYTE *pIVClient; CK_BYTE *pIVServer; } CK_SSL3_KEY_MAT_OUT;
typedef struct { CK_ULONG ulMacSizeInBits; CK_ULONG ulKeySizeInBits; CK_ULONG ulIVSizeInBits; CK_BBOOL bIsExport;
                 CK_SSL3_RANDOM_DATA RandomInfo; CK_SSL3_KEY_MAT_OUT *pReturnedKeyMaterial;
                 CK_ULONG prfHashMechanism; } CK_TLS12_KEY_MAT_PARAMS;
typedef struct { CK_ULONG prfMechanism; CK_BYTE *pLabel; CK_ULONG ulLabelLength; CK_SSL3_RANDOM_DATA RandomInfo;
                 CK_BYTE *pContextData; CK_ULONG ulContextDataLength; } CK_TLS_KDF_PARAMS;
typedef struct { CK_ULONG prfHashMechanism; CK_ULONG ulMacLength; CK_ULONG ulServerOrClient; } CK_TLS_MAC_PARAMS;
typedef struct { CK_ULONG prfMechanism; CK_BBOOL bDataAsKey; CK_BBOOL bRekey; CK_BYTE *pNi; CK_ULONG ulNiLen;
                 CK_BYTE *pNr; CK_ULONG ulNrLen; CK_ULONG hNewKey; } CK_IKE_PRF_DERIVE_PARAMS;
typedef struct { CK_ULONG prfMechanism; CK_BBOOL bHasPrevKey; CK_ULONG hKeygxy; CK_ULONG hPrevKey; CK_BYTE *pCKYi;
                 CK_ULONG ulCKYiLen; CK_BYTE *pCKYr; CK_ULONG ulCKYrLen; CK_BYTE keyNumber; } CK_IKE1_PRF_DERIVE_PARAMS;
typedef struct { CK_ULONG prfMechanism; CK_BBOOL bHasKeygxy; CK_ULONG hKeygxy; CK_BYTE *pExtraData;
                 CK_ULONG ulExtraDataLen; } CK_IKE1_EXTENDED_DERIVE_PARAMS;
typedef struct { CK_ULONG prfMechanism; CK_BBOOL bHasSeedKey; CK_ULONG hSeedKey; CK_BYTE *pSeedData;
                 CK_ULONG ulSeedDataLen; } CK_IKE2_PRF_PLUS_DERIVE_PARAMS;
""")


def _bytes(data: bytes) -> Any:  # noqa: ANN401 (cffi memory)
    """Return a C array of `data`, NULL if it is empty."""
    return ffi.new("CK_BYTE[]", data) if data else ffi.NULL


def key_data(kind: int, data: bytes) -> Mechanism:
    """Return a mechanism with CK_KEY_DERIVATION_STRING_DATA."""
    memory = _bytes(data)
    return Mechanism(kind, ffi.new("CK_KEY_DERIVATION_STRING_DATA *", (memory, len(data))), memory)


def cbc_data(kind: int, initial: bytes, data: bytes) -> Mechanism:
    """Return a mechanism with CK_AES_CBC_ENCRYPT_DATA_PARAMS, or with those of DES, as the IV is long."""
    memory = _bytes(data)
    name = "AES" if len(initial) == 16 else "DES"
    structure = ffi.new(f"CK_{name}_CBC_ENCRYPT_DATA_PARAMS *", (list(initial), memory, len(data)))
    return Mechanism(kind, structure, memory)


def hkdf(
    hash_: int, *, extract: bool = True, expand: bool = True, salt: bytes = b"", salt_key: int = 0, info: bytes = b"",
    salt_type: int | None = None, kind: int = CKM.HKDF_DERIVE,
) -> Mechanism:  # fmt: skip
    """Return CKM_HKDF_DERIVE or CKM_HKDF_DATA; the type of the salt follows from what is given."""
    given = CKF.HKDF_SALT_KEY if salt_key else CKF.HKDF_SALT_DATA if salt else CKF.HKDF_SALT_NULL
    one, two = _bytes(salt), _bytes(info)
    members = (extract, expand, hash_, salt_type or given, one, len(salt), salt_key, two, len(info))
    return Mechanism(kind, ffi.new("CK_HKDF_PARAMS *", members), one, two)


def pbkdf2(
    password: bytes, salt: bytes, iterations: int, prf: int = CKP.PKCS5_PBKD2_HMAC_SHA1, *, old: bool = False,
    source: int = CKZ.SALT_SPECIFIED, data: bytes = b"",
) -> Mechanism:  # fmt: skip
    """Return CKM_PKCS5_PBKD2; with `old` the length of the password is behind a pointer."""
    one, two, three = _bytes(salt), _bytes(password), _bytes(data)
    length = ffi.new("CK_ULONG *", len(password)) if old else len(password)
    members = (source, one, len(salt), iterations, prf, three, len(data), two, length)
    structure = ffi.new(f"CK_PKCS5_PBKD2_PARAMS{'' if old else '2'} *", members)
    return Mechanism(CKM.PKCS5_PBKD2, structure, one, two, three, length)


Field = tuple[int, Any]


def counter(kind: int, bits: int, *, little: bool = False) -> Field:
    """Return a field of the input that is a counter: the iteration variable's or one of its own."""
    return kind, ffi.new("CK_SP800_108_COUNTER_FORMAT *", (little, bits))


def length(method: int, bits: int, *, little: bool = False) -> Field:
    """Return a field of the input that is the length of all keys."""
    return CK.SP800_108_DKM_LENGTH, ffi.new("CK_SP800_108_DKM_LENGTH_FORMAT *", (method, little, bits))


def key_field(handle: int) -> Field:
    """Return a field of the input that is the value of a key."""
    return CK.SP800_108_KEY_HANDLE, ffi.new("CK_ULONG *", handle)


def kbkdf(
    kind: int, prf: int, fields: list[Field], initial: bytes = b"", further: tuple[dict[int, Any], ...] = ()
) -> tuple[Mechanism, Any]:
    """Return a mechanism of SP 800-108, and the array that takes the handles of the `further` keys.

    A field is its type and bytes, a structure, or None.
    """
    kept: list[Any] = []
    rows = []
    for number, value in fields:
        memory = _bytes(value) if isinstance(value, bytes) else value
        size = len(value) if isinstance(value, bytes) else 0
        if memory is not None and not isinstance(value, bytes):
            size = ffi.sizeof(ffi.typeof(memory).item)
        kept.append(memory)
        rows.append((number, ffi.NULL if memory is None else ffi.cast("void *", memory), size))
    array = ffi.new("CK_PRF_DATA_PARAM[]", rows)
    handles = ffi.new("CK_ULONG[]", [2**40] * len(further))
    templates = [Template(each) for each in further]
    keys = ffi.new(
        "CK_DERIVED_KEY[]", [(each.array, each.count, handles + place) for place, each in enumerate(templates)]
    )
    vector = _bytes(initial)
    tail = (len(further), keys if further else ffi.NULL)
    if kind == CKM.SP800_108_FEEDBACK_KDF:
        structure = ffi.new("CK_SP800_108_FEEDBACK_KDF_PARAMS *", (prf, len(rows), array, len(initial), vector, *tail))
    else:
        structure = ffi.new("CK_SP800_108_KDF_PARAMS *", (prf, len(rows), array, *tail))
    return Mechanism(kind, structure, array, kept, handles, templates, keys, vector), handles


def _random(client: bytes, server: bytes) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the members of CK_SSL3_RANDOM_DATA, and what they point to."""
    one, two = _bytes(client), _bytes(server)
    return (one, len(client), two, len(server)), (one, two)


def tls_master(kind: int, prf: int, client: bytes, server: bytes, *, versioned: bool) -> tuple[Mechanism, Any]:
    """Return a mechanism for master keys, and the CK_VERSION, NULL unless `versioned`."""
    random, kept = _random(client, server)
    version = ffi.new("CK_VERSION *") if versioned else ffi.NULL
    structure = ffi.new("CK_TLS12_MASTER_KEY_DERIVE_PARAMS *", (random, version, prf))
    return Mechanism(kind, structure, kept, version), version


def tls_extended_master(kind: int, prf: int, session: bytes, *, versioned: bool) -> tuple[Mechanism, Any]:
    """Return a mechanism for extended master keys, and the CK_VERSION, NULL unless `versioned`."""
    memory = _bytes(session)
    version = ffi.new("CK_VERSION *") if versioned else ffi.NULL
    structure = ffi.new("CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS *", (prf, memory, len(session), version))
    return Mechanism(kind, structure, memory, version), version


class KeyMaterial:
    """CKM_TLS12_KEY_AND_MAC_DERIVE or _SAFE_DERIVE, and what it writes."""

    def __init__(
        self, kind: int, prf: int, client: bytes, server: bytes, bits: tuple[int, int, int], *, export: bool = False,
        room: bool = True,
    ) -> None:  # fmt: skip
        """Lay out the structure; `bits` are those of MAC keys, keys and IVs; without `room` there are no IVs."""
        random, kept = _random(client, server)
        size = -(-bits[2] // 8)
        self.initial = [ffi.new("CK_BYTE[]", size) for _ in range(2)]
        places = self.initial if size and room else [ffi.NULL, ffi.NULL]
        self.out = ffi.new("CK_SSL3_KEY_MAT_OUT *", (2**40, 2**40, 2**40, 2**40, *places))
        structure = ffi.new("CK_TLS12_KEY_MAT_PARAMS *", (*bits, export, random, self.out, prf))
        self.mechanism = Mechanism(kind, structure, kept, self.out, self.initial)

    def handles(self) -> list[int]:
        """Return the handles: MAC keys of client and server, then their keys."""
        out = self.out
        return [int(out.hClientMacSecret), int(out.hServerMacSecret), int(out.hClientKey), int(out.hServerKey)]

    def ivs(self) -> bytes:
        """Return both IVs."""
        return b"".join(bytes(ffi.buffer(memory)) for memory in self.initial)


def tls_kdf(
    prf: int, label: bytes, client: bytes, server: bytes, context: bytes = b"", kind: int = CKM.TLS_KDF
) -> Mechanism:
    """Return CKM_TLS_KDF or CKM_TLS12_KDF."""
    random, kept = _random(client, server)
    one, two = _bytes(label), _bytes(context)
    structure = ffi.new("CK_TLS_KDF_PARAMS *", (prf, one, len(label), random, two, len(context)))
    return Mechanism(kind, structure, kept, one, two)


def tls_mac(prf: int, size: int, side: int, kind: int = CKM.TLS_MAC) -> Mechanism:
    """Return CKM_TLS_MAC or CKM_TLS12_MAC; `side` is 1 for the server, 2 for the client."""
    return Mechanism(kind, ffi.new("CK_TLS_MAC_PARAMS *", (prf, size, side)))


def ike(
    prf: int, initiator: bytes, responder: bytes, *, data_as_key: bool = False, new: int | None = None
) -> Mechanism:
    """Return CKM_IKE_PRF_DERIVE; `new` is the new key of another exchange."""
    one, two = _bytes(initiator), _bytes(responder)
    members = (prf, data_as_key, new is not None, one, len(initiator), two, len(responder), new or 0)
    return Mechanism(CKM.IKE_PRF_DERIVE, ffi.new("CK_IKE_PRF_DERIVE_PARAMS *", members), one, two)


def ike1(prf: int, gxy: int, previous: int | None, cookies: tuple[bytes, bytes], number: int) -> Mechanism:
    """Return CKM_IKE1_PRF_DERIVE."""
    one, two = map(_bytes, cookies)
    members = (
        prf, previous is not None, gxy, previous or 0, one, len(cookies[0]), two, len(cookies[1]), number
    )  # fmt: skip
    return Mechanism(CKM.IKE1_PRF_DERIVE, ffi.new("CK_IKE1_PRF_DERIVE_PARAMS *", members), one, two)


def ike1_extended(prf: int, gxy: int | None = None, extra: bytes = b"") -> Mechanism:
    """Return CKM_IKE1_EXTENDED_DERIVE."""
    one = _bytes(extra)
    members = (prf, gxy is not None, gxy or 0, one, len(extra))
    return Mechanism(CKM.IKE1_EXTENDED_DERIVE, ffi.new("CK_IKE1_EXTENDED_DERIVE_PARAMS *", members), one)


def ike2_plus(prf: int, seed: bytes, key: int | None = None) -> Mechanism:
    """Return CKM_IKE2_PRF_PLUS_DERIVE."""
    one = _bytes(seed)
    members = (prf, key is not None, key or 0, one, len(seed))
    return Mechanism(CKM.IKE2_PRF_PLUS_DERIVE, ffi.new("CK_IKE2_PRF_PLUS_DERIVE_PARAMS *", members), one)
