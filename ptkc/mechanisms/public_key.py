"""CKM_PUB_KEY_FROM_PRIV_KEY (specification 6.43): the public key that belongs to a private one.

The secret is not used, so CKA_DERIVE is not asked for. What the public key is allowed to do follows from what the
private one is, unless the template says it.
"""

from __future__ import annotations

from ptkc.mechanisms.deriving import Derivation
from ptkc.mechanisms.mechanism import KEY_TYPES, register
from ptkc.objects.classes import CLASSES
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import Attributes, ulong

__all__ = ["PublicKeyDerivation"]

# Attribute of the new key: the private key's that it is a copy of.
_COPIED = {
    CKA.ENCRYPT: CKA.DECRYPT,
    CKA.VERIFY: CKA.SIGN,
    CKA.VERIFY_RECOVER: CKA.SIGN_RECOVER,
    CKA.WRAP: CKA.UNWRAP,
    CKA.ENCAPSULATE: CKA.DECAPSULATE,
    **{same: same for same in (CKA.DERIVE, CKA.ID, CKA.START_DATE, CKA.END_DATE, CKA.SUBJECT, CKA.ALLOWED_MECHANISMS)},
}


class PublicKeyDerivation(Derivation):
    """CKM_PUB_KEY_FROM_PRIV_KEY."""

    type = CKM.PUB_KEY_FROM_PRIV_KEY
    sizes = (1, 65536)
    bases = (CKO.PRIVATE_KEY,)
    makes = (CKO.PUBLIC_KEY,)
    uses_secret = False
    source = "the pairs of NIST, Wycheproof and the RFCs that test the signatures"

    @property
    def key_types(self) -> tuple[int, ...]:  # type: ignore[override]
        """All types that public keys have."""
        return tuple(number for number in CLASSES[CKO.PUBLIC_KEY].types if number in KEY_TYPES)

    def implied(self, key: Object, parameter: None) -> Attributes:  # noqa: ARG002 - there is none
        """Return class and key type."""
        return {CKA.CLASS: ulong(CKO.PUBLIC_KEY), CKA.KEY_TYPE: ulong(key.key_type)}

    def suggested(self, key: Object, parameter: None) -> Attributes:  # noqa: ARG002 - there is none
        """Return what the private key says of its public one."""
        given = key.attributes
        return {kind: given[source] for kind, source in _COPIED.items() if given.get(source)}

    def derive(self, key: Object, parameter: None, attributes: Attributes) -> Attributes:  # noqa: ARG002 - there is none
        """Return the material; CKR_KEY_TYPE_INCONSISTENT if the private key does not tell it.

        CKR_TEMPLATE_INCONSISTENT if the template has it otherwise.
        """
        from ptkc.mechanisms.public_key_info import key_material  # noqa: PLC0415 - asn1crypto, which few mechanisms need

        try:
            material = key_material(key.attributes.get(CKA.PUBLIC_KEY_INFO, b""))
        except ValueError as error:
            raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, f"the key does not tell its public part: {error}") from None
        for kind, value in material.items():
            if attributes.get(kind, value) not in (value, b""):
                raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{name_of(CKA, kind)} is another key's")
        known = {**attributes, **material}
        origin = key.attributes[CKA.KEY_GEN_MECHANISM]
        checked = KEY_TYPES[key.key_type].check(CKO.PUBLIC_KEY, known)
        return {**material, **checked, CKA.KEY_GEN_MECHANISM: origin}


register(PublicKeyDerivation())
