"""The commands on signatures that carry their data, and on signatures that come first (specification 5.13 and 5.15).

C_SignRecover and C_VerifyRecover have a single part. C_VerifySignatureInit takes the signature before the data; what
follows is the verification that C_VerifyInit begins, with the signature kept beside it.
"""

from __future__ import annotations

from ptkc.hsm.operations import MechanismValue, OperationCommands
from ptkc.hsm.session import FINISH, SINGLE

__all__ = ["RecoverCommands"]


class RecoverCommands(OperationCommands):
    """The part of `LocalDevice` that recovers data, and that verifies a signature it has been given before."""

    def sign_recover_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_SignRecoverInit."""
        self._begin("sign_recover", handle, mechanism, key)

    def sign_recover(self, handle: int, data: bytes, room: int | None) -> bytes | int:
        """C_SignRecover."""
        return self.application.session(handle).produce("sign_recover", SINGLE, data, room)

    def verify_recover_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_VerifyRecoverInit."""
        self._begin("verify_recover", handle, mechanism, key)

    def verify_recover(self, handle: int, signature: bytes, room: int | None) -> bytes | int:
        """C_VerifyRecover; CKR_SIGNATURE_INVALID and CKR_SIGNATURE_LEN_RANGE come before CKR_BUFFER_TOO_SMALL."""
        return self.application.session(handle).produce("verify_recover", SINGLE, signature, room)

    def verify_signature_init(self, handle: int, mechanism: MechanismValue | None, key: int, signature: bytes) -> None:
        """C_VerifySignatureInit."""
        self._begin("verify_signature", handle, mechanism, key, signature)

    def verify_signature(self, handle: int, data: bytes) -> None:
        """C_VerifySignature."""
        self.application.session(handle).check("verify_signature", SINGLE, data)

    def verify_signature_update(self, handle: int, part: bytes) -> None:
        """C_VerifySignatureUpdate."""
        self.application.session(handle).absorb("verify_signature", part)

    def verify_signature_final(self, handle: int) -> None:
        """C_VerifySignatureFinal."""
        self.application.session(handle).check("verify_signature", FINISH, b"")
