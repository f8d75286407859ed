"""The mechanisms: one file for each family of algorithms, standard and vendor alike.

A family registers its mechanisms and key types when it is imported. Nothing is imported before `load`, since every
family needs `cryptography`, and a session that only reads objects does not.
"""

from importlib import import_module

from ptkc.mechanisms.mechanism import KEY_TYPES, MECHANISMS
from ptkc.spec.loading import bring_in, check_version

__all__ = ["KEY_TYPES", "MECHANISMS", "load"]

_FAMILIES = (
    "digests", "macs", "generic", "aes", "aes_aead", "aes_wrap", "des3", "rsa", "rsa_pkcs1", "rsa_raw", "rsa_padding",
    "ec", "edwards", "ecdh", "ml_dsa", "ml_kem", "slh_dsa", "certifying", "derivation", "finite_fields", "dh", "dsa",
    "domain_parameters", "dsa_parameters", "rsa_x9_31", "hybrid_wrap", "set_attributes", "wrapkey", "secret_sharing",
    "chacha20", "poly1305", "camellia", "aria", "old_ciphers", "aes_modes", "aes_xts", "aes_macs",
    "des3_modes", "blake2", "hashing_derivation", "encrypt_data", "hkdf", "password", "public_key", "kbkdf",
    "ike", "tls",
)  # fmt: skip
_LOADED: list[bool] = []


def load() -> None:
    """Import all families, which fills `MECHANISMS` and `KEY_TYPES`; a second call changes nothing."""
    if _LOADED:
        return
    check_version()
    bring_in()
    for family in _FAMILIES:
        import_module(f"{__name__}.{family}")
    # Only now, since another thread may ask while this one imports; it then waits for the same imports.
    _LOADED.append(True)
