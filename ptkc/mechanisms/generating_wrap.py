"""C_WrapKey with an IV that the HSM makes: CK_GCM_WRAP_PARAMS and CK_CCM_WRAP_PARAMS (specification 6.14.3, 6.14.5).

Such a wrapping is that of C_WrapKeyAuthenticated, with the tag behind the wrapped key: the IV is written back, and a
length query makes none. C_UnwrapKey takes the same structures and ignores how the IV was made.
"""

from __future__ import annotations

from typing import Any

from ptkc.mechanisms.messages import MessagesCipher
from ptkc.objects.object import Object
from ptkc.spec.layouts import Ccm, CcmMessage, CcmWrap, Gcm, GcmMessage, GcmWrap
from ptkc.spec.values import Attributes

__all__ = ["GeneratingWrap"]


def _message_of(parameter: GcmWrap | CcmWrap) -> GcmMessage | CcmMessage:
    """Return the per-message parameter that makes the same IV, with a place for the tag."""
    if isinstance(parameter, GcmWrap):
        room = (parameter.tag_bits + 7) // 8
        return GcmMessage(parameter.iv, parameter.fixed_bits, parameter.generator, room, parameter.tag_bits)
    length = parameter.mac_len
    return CcmMessage(parameter.data_len, parameter.nonce, parameter.fixed_bits, parameter.generator, length, length)


def _ordinary(parameter: GcmWrap | CcmWrap) -> Gcm | Ccm:
    """Return the parameter of C_DecryptInit with this IV."""
    if isinstance(parameter, GcmWrap):
        return Gcm(parameter.iv, 8 * len(parameter.iv), parameter.aad, parameter.tag_bits)
    return Ccm(parameter.data_len, parameter.nonce, parameter.aad, parameter.mac_len)


class GeneratingWrap(MessagesCipher):
    """A cipher that wraps; `wrap_parameters` is its structure with a generator."""

    def wrap_generating(
        self,
        key: Object,
        parameter: Any,  # noqa: ANN401 - one of two structures
        payload: bytes,
        room: int | None,
    ) -> tuple[bytes, tuple[bytes, ...]] | int:
        """Return the wrapped payload and the IV that is written back, or the length for a query or little room.

        CKR_MECHANISM_PARAM_INVALID.
        """
        message = _message_of(parameter)
        length = len(payload) + self.form.tag_length(message)
        enough = room is not None and room >= length
        made = self.wrap_authenticated(key, message, payload, parameter.aad, len(payload) if enough else None)
        if isinstance(made, int):
            return length
        sealed, (iv, tag) = made
        return sealed + tag, (iv,)

    def unwrap(self, key: Object, parameter: Any, wrapped: bytes, attributes: Attributes) -> bytes:  # noqa: ANN401
        """C_UnwrapKey with either structure."""
        if isinstance(parameter, (GcmWrap, CcmWrap)):
            parameter = _ordinary(parameter)
        # The other base class of a cipher that wraps has the ordinary one.
        return super().unwrap(key, parameter, wrapped, attributes)  # type: ignore[misc,no-any-return]
