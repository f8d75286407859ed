"""What keeps wrapped keys wrapped: keys that wrap do nothing else, and are no weaker than what they wrap (ours).

A wrapped key says neither whether it was sensitive nor what it was for (the attacks of 2010 on PKCS #11 live of that).
So a *guarded* key, sensitive and private, leaves only under a *wrapping key*: a sensitive key that wraps or unwraps
and has no use by which it could open what it wrapped. And a wrapping key makes none but guarded keys of what it
unwraps: to unwrap into something readable is to decrypt, and needs a key that may. Whether a key is a wrapping key is
settled when it is made, since its copies have that in common. `hsm.wrapping` asks; the flag Pure PKCS11 lifts it.
"""

from __future__ import annotations

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, Attributes, from_ulong, ulong, unpack_ulongs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "check_change", "check_parts", "check_strength", "demanded", "is_guarded", "is_wrapping_key", "opens", "separated",
]  # fmt: skip

_WRAPPING = (CKA.WRAP, CKA.UNWRAP)

# What opens: besides decrypting, a MAC of one block gives (and its verification confirms) the key stream of counter
# modes, as encryption does; a derivation makes it a key; a raw signature is a raw decryption.
_OPENING = {
    ulong(CKO.SECRET_KEY): (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.DERIVE),
    ulong(CKO.PRIVATE_KEY): (CKA.DECRYPT, CKA.SIGN, CKA.SIGN_RECOVER, CKA.DERIVE, CKA.DECAPSULATE),
}

# What a wrapping is made of that carries the payload under a key of its own: what else opens that key's place in it,
# and so makes a key that decrypts of it. Without a row are CKM_ECDH_*_AES_KEY_WRAP, whose part is a derivation, which
# no wrapping key does, and CKM_WRAPKEY_AES_KWP, whose part is under a key that does nothing else.
_PARTS: dict[int, tuple[int, ...]] = {
    CKM.RSA_AES_KEY_WRAP: (CKM.RSA_PKCS_OAEP, CKM.RSA_PKCS, CKM.RSA_X_509),
}

# The strength of a key in bits: of a byte of CKA_VALUE, or of any key of the type. For keys without a cipher of their
# own (generic secrets, HMAC) length is no strength.
_BYTE = {
    **dict.fromkeys((CKK.AES, CKK.CAMELLIA, CKK.ARIA, CKK.BLOWFISH), 8),
    CKK.AES_XTS: 4,
}
_FIXED = {CKK.DES2: 80, CKK.DES3: 112, CKK.SEED: 128, CKK.CHACHA20: 256}


def opens(attributes: Attributes) -> bool:
    """Whether a secret or private key has a use by which it could open what was wrapped under it."""
    return any(attributes.get(use) == TRUE for use in _OPENING.get(attributes[CKA.CLASS], ()))


def is_guarded(attributes: Attributes) -> bool:
    """Whether the key is sensitive, and for logged-in users."""
    return attributes.get(CKA.SENSITIVE) == TRUE == attributes.get(CKA.PRIVATE)


def is_wrapping_key(attributes: Attributes) -> bool:
    """Whether a secret or private key is sensitive and good for wrapping or unwrapping alone.

    A CKA_EXPORT key is one by what the SO said.
    """
    return attributes.get(CKA.SENSITIVE) == TRUE and (attributes.get(CKA.EXPORT) == TRUE or _only_wraps(attributes))


def _only_wraps(attributes: Attributes) -> bool:
    """Whether the key has no other uses."""
    return TRUE in [attributes.get(use) for use in _WRAPPING] and not opens(attributes)


def separated(given: Mapping[int, bytes | None]) -> Attributes:
    """Return defaults for a new key whose template asks for wrapping and for no other use: it has no other.

    Defaults of usage may depend on other attributes (footnote 9).
    """
    uses = _OPENING.get(given.get(CKA.CLASS))  # type: ignore[arg-type]
    if uses is None or given.get(CKA.SENSITIVE) == FALSE or TRUE not in [given.get(use) for use in _WRAPPING]:
        return {}
    return {} if any(given.get(use) == TRUE for use in uses) else dict.fromkeys(uses, FALSE)


def check_change(before: Attributes, after: Attributes) -> None:
    """Refuse to make a wrapping key of a sensitive key, or another of it, later or in a copy.

    CKR_TEMPLATE_INCONSISTENT.
    """
    if before.get(CKA.SENSITIVE) == TRUE and _only_wraps(before) != _only_wraps(after):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "whether a key only wraps is settled when it is made")


def demanded(unwrapper: Attributes, *, pure: bool) -> Attributes:
    """Return what a key must be that is unwrapped: guarded, and bound to trusted keys, where the unwrapping key is so.

    `pure` says that of both only the latter holds.
    """
    wanted = {}
    trusted = unwrapper.get(CKA.TRUSTED) == TRUE
    if trusted or (not pure and is_wrapping_key(unwrapper)):
        wanted = {CKA.SENSITIVE: TRUE, CKA.PRIVATE: TRUE}
    if trusted:
        wanted[CKA.WRAP_WITH_TRUSTED] = TRUE
    return wanted


def check_parts(unwrapper: Attributes, number: int) -> None:
    """Refuse a wrapping that its unwrapping key could take apart: CKR_KEY_NOT_WRAPPABLE.

    Only CKA_ALLOWED_MECHANISMS keeps a key that unwraps by the whole mechanism from unwrapping by its parts.
    """
    parts = _PARTS.get(number, ())
    allowed = unpack_ulongs(unwrapper.get(CKA.ALLOWED_MECHANISMS, b"")) or parts
    for part in parts:
        if part in allowed:
            reason = f"{name_of(CKM, part)}, which the private key is allowed, opens a part of {name_of(CKM, number)}"
            raise CryptokiError(CKR.KEY_NOT_WRAPPABLE, reason)


def check_strength(wrapper: Attributes, target: Attributes) -> None:
    """Refuse to wrap a secret key under a weaker one with CKR_WRAPPING_KEY_SIZE_RANGE (specification 5.18.3)."""
    strength, needed = _strength(wrapper), _strength(target)
    if strength is not None and needed is not None and strength < needed:
        raise CryptokiError(CKR.WRAPPING_KEY_SIZE_RANGE, f"a key of {needed} bits under one of {strength}")


def _strength(attributes: Attributes) -> int | None:
    """Return the strength of a secret key in bits, None if it has none to speak of."""
    if attributes[CKA.CLASS] != ulong(CKO.SECRET_KEY):
        return None
    key_type = from_ulong(attributes[CKA.KEY_TYPE])
    if key_type in _BYTE:
        return _BYTE[key_type] * len(attributes[CKA.VALUE])
    return _FIXED.get(key_type)
