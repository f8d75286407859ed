"""CKM_PKCS5_PBKD2 (specification 6.29; RFC 8018): C_GenerateKey makes a secret key of a password.

The type of the key is the template's to say. Both forms of the parameter are read, CK_PKCS5_PBKD2_PARAMS with the
address of the password's length and CK_PKCS5_PBKD2_PARAMS2 with the length itself.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from ptkc.mechanisms.digests import HASHES
from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import KEY_TYPES, Mechanism, register
from ptkc.mechanisms.prf import check_work
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKM, CKP, CKR, CKZ
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Pbkdf2
from ptkc.spec.values import UNAVAILABLE, Attributes, from_ulong

__all__ = ["PasswordKeyGeneration"]

_FUNCTIONS = {
    getattr(CKP, f"PKCS5_PBKD2_HMAC_{name.replace('SHA_1', 'SHA1')}"): algorithm
    for name, algorithm in HASHES.items()
    if hasattr(CKP, f"PKCS5_PBKD2_HMAC_{name.replace('SHA_1', 'SHA1')}")
}
# For all blocks of the key together, some ten seconds: more would let whoever may generate keys keep a served HSM busy,
# and C_Finalize, which waits for what goes on in the background.
_MOST_ITERATIONS = 2**25


class PasswordKeyGeneration(Mechanism):
    """CKM_PKCS5_PBKD2."""

    type = CKM.PKCS5_PBKD2
    generates = UNAVAILABLE
    slow = True
    parameters = layouts.PBKDF2
    source = "RFC 6070 (cryptography_vectors: KDF/rfc-6070-PBKDF2), Wycheproof"

    def generate(self, parameter: Pbkdf2, attributes: Attributes) -> Attributes:
        """Return the key.

        CKR_MECHANISM_PARAM_INVALID for a function or a source of salt that we do not have, data for the function, no
        iteration or too many, and a salt that is too long for so many blocks; the codes of `derived_length`.
        """
        algorithm = _FUNCTIONS.get(parameter.prf)
        if algorithm is None or parameter.salt_source != CKZ.SALT_SPECIFIED or parameter.prf_data:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"prf {parameter.prf}, source {parameter.salt_source}")
        length = derived_length(attributes, 0)
        blocks = -(-length // algorithm.digest_size)
        if not 1 <= parameter.iterations <= _MOST_ITERATIONS // blocks:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{parameter.iterations} iterations for {blocks} blocks")
        check_work(blocks, len(parameter.salt))
        value = PBKDF2HMAC(algorithm, length, parameter.salt, parameter.iterations).derive(parameter.password)
        return KEY_TYPES[from_ulong(attributes[CKA.KEY_TYPE])].derive(value, attributes)


register(PasswordKeyGeneration())
