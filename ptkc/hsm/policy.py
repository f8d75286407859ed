"""The security policy: the flags of CKA_SECURITY_MODE, which sets of them there are, and what each one changes.

`FLAGS` is the only table of letters, bits and names; `docs/security-flags.md` says the same in sentences. A new HSM and
one that was tampered with have no flag set (Default Mode). The functions below are the rules; they take the flags as
an int, since the device asks for them once a call, and what they allowed is kept with the key.
"""

from __future__ import annotations

from collections import namedtuple

from ptkc.sms.protection import REQUESTS_ENCRYPTED, SENSITIVE_ENCRYPTED, policy_of_flags
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, Attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "COMPOSITES", "FLAGS", "FLAG_LETTERS", "check_material", "check_mode", "check_new_pin", "check_template", "explain",
    "is_offered", "letters_of", "mode_of", "names_of", "protection", "shortest_pin",
]  # fmt: skip

Flag = namedtuple("Flag", "letter bit name")

FLAGS = (
    Flag("u", CKF.AUTH_PROTECTION, "Auth Protection"),
    Flag("d", CKF.DES_EVEN_PARITY_ALLOWED, "DES Keys Even Parity Allowed"),
    Flag("b", CKF.PCI_HSM_AUDIT, "Enable PCI Audit Logs"),
    Flag("e", CKF.ENTRUST_READY, "Entrust Ready"),
    Flag("a", CKF.FIPS_ALGORITHMS, "FIPS Algorithms Only"),
    Flag("N", CKF.FULL_SMS_ENC, "Full Secure Messaging Encryption"),
    Flag("U", CKF.FULL_SMS_SIGN, "Full Secure Messaging Signing"),
    Flag("i", CKF.INCREASED_SECURITY, "Increased Security Level"),
    Flag("l", CKF.MODE_LOCKED, "Mode Locked"),
    Flag("n", CKF.NO_CLEAR_PINS, "No Clear PINs"),
    Flag("c", CKF.NO_PUBLIC_CRYPTO, "No Public Crypto"),
    Flag("p", CKF.PURE_P11, "Pure PKCS11"),
    Flag("t", CKF.TAMPER_BEFORE_UPGRADE, "Tamper Before Upgrade"),
    Flag("E", CKF.USER_ECC_DP_ALLOWED, "User Specified ECC Domain Parameters Allowed"),
    Flag("w", CKF.WEAK_PKCS11_MECHANISM, "Weak PKCS#11 Mechanisms"),
)
FLAG_LETTERS = {flag.letter: flag.bit for flag in FLAGS}

# Letters that stand for several flags (the composition of FIPS Mode is ours: a c i n t u).
COMPOSITES = {
    "F": CKF.FIPS_ALGORITHMS | CKF.NO_PUBLIC_CRYPTO | CKF.INCREASED_SECURITY | CKF.NO_CLEAR_PINS
    | CKF.TAMPER_BEFORE_UPGRADE | CKF.AUTH_PROTECTION,
}  # fmt: skip

# What cannot be set together: each flag of the first with any of the second.
_EXCLUSIVE = (
    (CKF.PURE_P11, CKF.INCREASED_SECURITY | CKF.NO_PUBLIC_CRYPTO | CKF.NO_CLEAR_PINS | CKF.FIPS_ALGORITHMS),
    (CKF.WEAK_PKCS11_MECHANISM, CKF.FIPS_ALGORITHMS),
)
_SECURE_MESSAGING = CKF.AUTH_PROTECTION | CKF.NO_CLEAR_PINS | CKF.FULL_SMS_ENC | CKF.FULL_SMS_SIGN
_OFFERED_FLAGS = sum(flag.bit for flag in FLAGS)


def mode_of(letters: str) -> int:
    """Return the flags that letters say, `0` for none; ValueError with the letter that says nothing."""
    mode = 0
    for letter in letters if letters != "0" else "":
        if letter not in FLAG_LETTERS and letter not in COMPOSITES:
            raise ValueError(letter)
        mode |= COMPOSITES.get(letter) or FLAG_LETTERS[letter]
    return mode


def letters_of(mode: int) -> str:
    """Return the letters of the flags, in the table's order; `0` for none."""
    return "".join(flag.letter for flag in FLAGS if mode & flag.bit) or "0"


def names_of(mode: int) -> list[str]:
    """Return the names of the flags, in the table's order; bits that have none in hexadecimal."""
    unknown = mode & ~sum(flag.bit for flag in FLAGS)
    return [flag.name for flag in FLAGS if mode & flag.bit] + ([f"{unknown:#x}"] if unknown else [])


def check_mode(current: int, wanted: int, *, has_identity: bool) -> None:
    """Refuse to change the flags from `current` to `wanted`.

    CKR_ACTION_PROHIBITED under Mode Locked; CKR_SECURITY_FLAGS_INCOMPATIBLE for a set that cannot be: flags that
    exclude each other, that need secure messaging and thus a valid PIC (`has_identity` says whether there is one), that
    we do not have. To lock the mode is the last change, and may come together with others.
    """
    if current & CKF.MODE_LOCKED and wanted != current:
        raise CryptokiError(CKR.ACTION_PROHIBITED, "Mode Locked is set: only a tamper clears it")
    refusal = _refusal(wanted, has_identity)
    if refusal:
        raise CryptokiError(CKR.SECURITY_FLAGS_INCOMPATIBLE, refusal)


def _refusal(wanted: int, has_identity: bool) -> str:  # noqa: FBT001 - the caller's keyword
    """Return why a set of flags cannot be, nothing if it can."""
    for one, others in _EXCLUSIVE:
        if wanted & one and wanted & others:
            return f"{names_of(one)[0]} excludes {', '.join(names_of(wanted & others))}"
    protected = ", ".join(names_of(wanted & _SECURE_MESSAGING))
    if protected and not has_identity:
        return f"{protected}: needs secure messaging, and so a valid PIC, which this HSM does not have"
    unknown = wanted & ~_OFFERED_FLAGS
    return f"no such security flag: {', '.join(names_of(unknown))}" if unknown else ""


def protection(mode: int) -> int:
    """Return the policy (`sms.protection`) that the flags want; all requests encrypted are the sensitive ones too."""
    wanted = policy_of_flags(mode)
    return wanted | SENSITIVE_ENCRYPTED if wanted & REQUESTS_ENCRYPTED else wanted


# Mechanisms

# What makes a key whose bytes the caller partly knows or chooses, or a part of another key: a non-extractable key can
# be found with them. The last one is ours: with data of one byte it makes a key of one byte.
_WEAK = frozenset(
    (
        CKM.CONCATENATE_BASE_AND_KEY, CKM.CONCATENATE_BASE_AND_DATA, CKM.CONCATENATE_DATA_AND_BASE,
        CKM.EXTRACT_KEY_FROM_KEY, CKM.XOR_BASE_AND_DATA,
    )
)  # fmt: skip
_WEAK_SHOWN = CKF.PURE_P11 | CKF.WEAK_PKCS11_MECHANISM

# FIPS Algorithms Only. The last line is ours: an HSM needs its identity in every mode.
_FIPS_NAMES = """
AES_KEY_GEN AES_ECB AES_CBC AES_CBC_PAD AES_OFB AES_CCM AES_GCM AES_CMAC AES_CMAC_GENERAL
AES_KEY_WRAP AES_KEY_WRAP_PAD AES_KEY_WRAP_KWP AES_KW AES_KWP
DES3_KEY_GEN DES3_ECB DES3_CBC DES3_CBC_PAD DES3_CMAC DES3_CMAC_GENERAL DES3_MAC DES3_MAC_GENERAL
DES3_ECB_PAD DES3_OFB64 DES3_RETAIL_CFB_MAC DES3_X919_MAC DES3_X919_MAC_GENERAL TDEA_TKW
DH_PKCS_PARAMETER_GEN DH_PKCS_KEY_PAIR_GEN DH_PKCS_DERIVE
X9_42_DH_PARAMETER_GEN X9_42_DH_KEY_PAIR_GEN X9_42_DH_DERIVE
DSA_PARAMETER_GEN DSA_KEY_PAIR_GEN DSA DSA_SHA1 DSA_SHA224 DSA_SHA256 DSA_SHA384 DSA_SHA512
DSA_SHA1_PKCS DSA_SHA224_PKCS DSA_SHA256_PKCS DSA_SHA384_PKCS DSA_SHA512_PKCS
EC_KEY_PAIR_GEN ECDH1_DERIVE ECDSA ECDSA_SHA1 ECDSA_SHA224 ECDSA_SHA256 ECDSA_SHA384 ECDSA_SHA512
ECDSA_SHA3_224 ECDSA_SHA3_256 ECDSA_SHA3_384 ECDSA_SHA3_512 ECDSA_GBCS_SHA256
VENDOR_ECDSA_SHA224 VENDOR_ECDSA_SHA256 VENDOR_ECDSA_SHA384 VENDOR_ECDSA_SHA512
RSA_PKCS_KEY_PAIR_GEN RSA_X9_31_KEY_PAIR_GEN RSA_FIPS_186_4_PRIME_KEY_PAIR_GEN
RSA_PKCS RSA_PKCS_OAEP RSA_PKCS_PSS KEY_WRAP_SET_OAEP
SHA1_RSA_PKCS SHA224_RSA_PKCS SHA256_RSA_PKCS SHA384_RSA_PKCS SHA512_RSA_PKCS
SHA3_224_RSA_PKCS SHA3_256_RSA_PKCS SHA3_384_RSA_PKCS SHA3_512_RSA_PKCS
SHA1_RSA_PKCS_PSS SHA224_RSA_PKCS_PSS SHA256_RSA_PKCS_PSS SHA384_RSA_PKCS_PSS SHA512_RSA_PKCS_PSS
SHA3_224_RSA_PKCS_PSS SHA3_256_RSA_PKCS_PSS SHA3_384_RSA_PKCS_PSS SHA3_512_RSA_PKCS_PSS
SHA_1 SHA224 SHA256 SHA384 SHA512 SHA3_224 SHA3_256 SHA3_384 SHA3_512
SHA_1_HMAC SHA224_HMAC SHA256_HMAC SHA384_HMAC SHA512_HMAC
SHA3_224_HMAC SHA3_256_HMAC SHA3_384_HMAC SHA3_512_HMAC
SHA_1_HMAC_GENERAL SHA224_HMAC_GENERAL SHA256_HMAC_GENERAL SHA384_HMAC_GENERAL SHA512_HMAC_GENERAL
SHA3_224_HMAC_GENERAL SHA3_256_HMAC_GENERAL SHA3_384_HMAC_GENERAL SHA3_512_HMAC_GENERAL KECCAK_1600
GENERIC_SECRET_KEY_GEN SSL3_PRE_MASTER_KEY_GEN SECRET_SHARE_WITH_ATTRIBUTES SECRET_RECOVER_WITH_ATTRIBUTES
PP_LOAD_SECRET PP_LOAD_SECRET_2
WRAPKEY_AES_CBC WRAPKEY_AES_KWP WRAPKEY_DES3_CBC WRAPKEY_DES3_ECB WRAPKEYBLOB_AES_CBC WRAPKEYBLOB_DES3_CBC
REPLICATE_TOKEN_RSA_AES
ENCODE_X_509 ENCODE_X_509_LOCAL_CERT ENCODE_PKCS_10 ENCODE_PUBLIC_KEY ENCODE_ATTRIBUTES DECODE_X_509 DECODE_PKCS_7
SET_ATTRIBUTES TUAK_SIGN TUAK_DERIVE
GEN_PIK_ECC_P521 GEN_KTK_ECC_P521 GEN_KDE_ECC_P521_DERIVE_SEND GEN_KDE_ECC_P521_DERIVE_RECV TOKEN_WRAP_KTK_ECC_P521
VERIFY_CERTIFICATE
"""
_FIPS: set[int] = set()


def is_offered(mode: int, mechanism: int) -> bool:
    """Whether the flags let a mechanism be: hidden ones are CKR_MECHANISM_INVALID, as if they did not exist."""
    if mode & CKF.FIPS_ALGORITHMS:
        if not _FIPS:
            _FIPS.update([getattr(CKM, name) for name in _FIPS_NAMES.split()])
        return mechanism in _FIPS
    return mechanism not in _WEAK or bool(mode & _WEAK_SHOWN)


# PINs

_SHORTEST_PIN = 4
_SHORTEST_PIN_INCREASED = 8


def shortest_pin(mode: int) -> int:
    """Return how many bytes a new PIN has at least."""
    return _SHORTEST_PIN_INCREASED if mode & CKF.INCREASED_SECURITY else _SHORTEST_PIN


def check_new_pin(mode: int, pin: bytes) -> None:
    """Refuse a new PIN that the flags find too short with CKR_PIN_LEN_RANGE."""
    shortest = shortest_pin(mode)
    if len(pin) < shortest:
        raise CryptokiError(CKR.PIN_LEN_RANGE, f"a new PIN has at least {shortest} bytes, got {len(pin)}")


# Keys

_SECRET_CLASSES = frozenset(number.to_bytes(8, "little") for number in (CKO.PRIVATE_KEY, CKO.SECRET_KEY))
_SENSITIVE_ONLY = CKF.INCREASED_SECURITY | CKF.NO_CLEAR_PINS
_EXPLICIT = b"\x30"


def check_template(mode: int, attributes: Attributes) -> None:
    """Refuse a new private or secret key that the flags do not let be with CKR_TEMPLATE_INCONSISTENT.

    Under No Clear PINs and under Increased Security CKA_SENSITIVE must be true; under the latter (ours) what is
    extractable must be private.
    """
    if not mode & _SENSITIVE_ONLY or attributes.get(CKA.CLASS) not in _SECRET_CLASSES:
        return
    if attributes.get(CKA.SENSITIVE) == FALSE:
        flags = ", ".join(names_of(mode & _SENSITIVE_ONLY))
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{flags}: CKA_SENSITIVE must be true")
    if not mode & CKF.INCREASED_SECURITY:
        return
    if attributes.get(CKA.EXTRACTABLE) == TRUE and attributes.get(CKA.PRIVATE) != TRUE:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "Increased Security: an extractable key must be private")


def _check_parity(mode: int, attributes: Attributes) -> None:
    """Refuse a DES key with a byte of even parity, unless the flag `d` allows it: CKR_ET_NOT_ODD_PARITY."""
    if not mode & CKF.DES_EVEN_PARITY_ALLOWED:
        for byte in attributes.get(CKA.VALUE, b""):
            if not byte.bit_count() & 1:
                raise CryptokiError(CKR.ET_NOT_ODD_PARITY, "a byte of the DES key has even parity")


def _check_curve(mode: int, attributes: Attributes) -> None:
    """Refuse a curve given by explicit parameters, unless the flag `E` allows it: CKR_CURVE_NOT_SUPPORTED."""
    if attributes.get(CKA.EC_PARAMS, b"").startswith(_EXPLICIT) and not mode & CKF.USER_ECC_DP_ALLOWED:
        raise CryptokiError(
            CKR.CURVE_NOT_SUPPORTED, f"explicit curve parameters need the flag {names_of(CKF.USER_ECC_DP_ALLOWED)[0]}"
        )


_MATERIAL: dict[bytes | None, Callable[[int, Attributes], None]] = {
    **{number.to_bytes(8, "little"): _check_parity for number in (CKK.DES, CKK.DES2, CKK.DES3)},
    CKK.EC.to_bytes(8, "little"): _check_curve,
}


def check_material(mode: int, attributes: Attributes) -> None:
    """Refuse key material that the flags do not let be, as far as `attributes` have it already.

    Asked before a key is made and again of what was made, so that key types and mechanisms need not know the flags:
    they accept even parity and explicit curve parameters, and generate keys of odd parity.
    """
    check = _MATERIAL.get(attributes.get(CKA.KEY_TYPE))
    if check is not None:
        check(mode, attributes)


def explain(mode: int, mechanism: int) -> str:
    """Return the reason for the log why a mechanism is not offered."""
    policy = "FIPS Algorithms Only" if mode & CKF.FIPS_ALGORITHMS else "no weak mechanisms"
    return f"{name_of(CKM, mechanism)} is hidden by the security flags ({policy})"
