"""Poly1305 (specification, "Poly1305"; RFC 8439 2.5): a MAC whose key is good for one message.

Two messages under one key give it away: whoever uses the mechanism takes care of that, as the specification has it.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.poly1305 import Poly1305

from ptkc.mechanisms.generic import FixedKeyGeneration, SecretKeyType, hash_check_value
from ptkc.mechanisms.macs import Mac
from ptkc.mechanisms.mechanism import register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM

__all__: list[str] = []

_KEY = 32


class _Poly1305(Mac):
    """CKM_POLY1305."""

    type = CKM.POLY1305
    key_types = (CKK.POLY1305,)
    sizes = (_KEY, _KEY)
    size = 16
    source = "RFC 8439 (cryptography_vectors: poly1305)"

    def start(self, key: Object, parameter: None) -> Poly1305:  # noqa: ARG002 - there is none
        """Return a fresh authenticator."""
        return Poly1305(key.attributes[CKA.VALUE])


_KEYS = SecretKeyType(CKK.POLY1305, (_KEY,), hash_check_value)

register(_KEYS, FixedKeyGeneration(CKM.POLY1305_KEY_GEN, _KEYS, _KEY), _Poly1305())
