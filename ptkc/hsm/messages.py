"""The message-based commands: many messages under one Init (specification 5.9, 5.11, 5.14, 5.16).

Each message is a use of the key: it is counted for a limited key, and wants a context-specific login of a key with
CKA_ALWAYS_AUTHENTICATE. Ciphers have messages of their own (`mechanisms.messages`); a message that is signed or
verified is an ordinary operation, begun anew for each, and every signature mechanism takes a message in parts.
"""

from __future__ import annotations

from ptkc.hsm.active import ActiveMessages
from ptkc.hsm.approval import approve
from ptkc.hsm.operations import MechanismValue, OperationCommands
from ptkc.hsm.session import BEGIN, LAST, MESSAGE, PART
from ptkc.mechanisms.parts import Parts
from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.spec.parameters import MAXIMUM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MessageCommands"]

Written = tuple[bytes, ...]
Made = tuple[bytes | int, Written]


class MessageCommands(OperationCommands):
    """The part of `LocalDevice` that works on messages."""

    # Encryption

    def message_encrypt_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_MessageEncryptInit."""
        self._begin("message_encrypt", handle, mechanism, key)

    def encrypt_message(
        self, handle: int, parameter: object, associated: bytes, plaintext: bytes, room: int | None
    ) -> Made:
        """C_EncryptMessage."""
        return _made(self._message("message_encrypt", handle, parameter, associated, plaintext, room))

    def encrypt_message_begin(self, handle: int, parameter: object, associated: bytes) -> Written:
        """C_EncryptMessageBegin."""
        return self._message_begin("message_encrypt", handle, parameter, associated)

    def encrypt_message_next(
        self, handle: int, parameter: object, plaintext: bytes, room: int | None, flags: int
    ) -> Made:
        """C_EncryptMessageNext."""
        return _made(self._message_next("message_encrypt", handle, parameter, plaintext, room, flags))

    def message_encrypt_final(self, handle: int) -> None:
        """C_MessageEncryptFinal."""
        self.application.session(handle).conclude("message_encrypt")

    # Decryption

    def message_decrypt_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_MessageDecryptInit."""
        self._begin("message_decrypt", handle, mechanism, key)

    def decrypt_message(
        self, handle: int, parameter: object, associated: bytes, ciphertext: bytes, room: int | None
    ) -> bytes | int:
        """C_DecryptMessage."""
        return _made(self._message("message_decrypt", handle, parameter, associated, ciphertext, room))[0]

    def decrypt_message_begin(self, handle: int, parameter: object, associated: bytes) -> None:
        """C_DecryptMessageBegin."""
        self._message_begin("message_decrypt", handle, parameter, associated)

    def decrypt_message_next(
        self, handle: int, parameter: object, ciphertext: bytes, room: int | None, flags: int
    ) -> bytes | int:
        """C_DecryptMessageNext."""
        return _made(self._message_next("message_decrypt", handle, parameter, ciphertext, room, flags))[0]

    def message_decrypt_final(self, handle: int) -> None:
        """C_MessageDecryptFinal."""
        self.application.session(handle).conclude("message_decrypt")

    # Both

    def _message(
        self, kind: str, handle: int, parameter: object, associated: bytes, data: bytes, room: int | None
    ) -> Any:  # noqa: ANN401 - (bytes, Written), or an int for a length query
        """Do a whole message."""

        def work(active: ActiveMessages) -> Any:  # noqa: ANN401 - as above
            made = _fitting(active.operation.begin(parameter, associated).single(data, room), room)
            return made if isinstance(made, int) else _counted(active, made)

        return self.application.session(handle).converse(kind, MESSAGE, work)

    def _message_begin(self, kind: str, handle: int, parameter: object, associated: bytes) -> Written:
        """Begin a message in parts."""

        def work(active: ActiveMessages) -> Written:
            message = active.operation.begin(parameter, associated)
            written: Written = _counted(active, message.open())
            active.message = message
            return written

        written: Written = self.application.session(handle).converse(kind, BEGIN, work)
        return written

    def _message_next(
        self, kind: str, handle: int, parameter: object, data: bytes, room: int | None, flags: int
    ) -> Any:  # noqa: ANN401 - as `_message`
        """Take a further part of a message, or its last one."""
        last = bool(flags & CKF.END_OF_MESSAGE)

        def work(active: ActiveMessages) -> Any:  # noqa: ANN401 - as `_message`
            message = active.message
            return _fitting((message.last if last else message.part)(parameter, data, room), room)

        return self.application.session(handle).converse(kind, LAST if last else PART, work)

    # Signatures

    def message_sign_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_MessageSignInit."""
        self._begin("message_sign", handle, mechanism, key)

    def sign_message(self, handle: int, parameter: object, data: bytes, room: int | None) -> Made:
        """C_SignMessage."""

        def work(active: ActiveMessages) -> bytes | int:
            operation = self._another("message_sign", active, parameter)
            length: int = operation.length(len(data))
            if room is None:
                return length
            if not operation.exact or room >= length:
                signature: bytes = operation.single(data)
                length = len(signature)
                if room >= length:
                    return _counted(active, signature)  # type: ignore[no-any-return]
            raise BufferTooSmallError(length)

        return self.application.session(handle).converse("message_sign", MESSAGE, work), ()

    def sign_message_begin(self, handle: int, parameter: object) -> Written:
        """C_SignMessageBegin."""
        self._parts_begin("message_sign", handle, parameter)
        return ()

    def sign_message_next(
        self,
        handle: int,
        parameter: object,
        data: bytes,
        room: int | bool | None,  # noqa: FBT001 - see the table
    ) -> Made:
        """C_SignMessageNext; `room` is False while there is more to follow."""
        if room is False:
            self._parts_next("message_sign", handle, parameter, data)
            return b"", ()

        def work(active: ActiveMessages) -> bytes | int:
            _check_absent(parameter)
            parts: _Parts = active.message
            length = parts.length(len(data))
            if room is None:
                return length
            if room < length:
                raise BufferTooSmallError(length)
            parts.update(data)
            signature: bytes = parts.finish()
            return signature

        return self.application.session(handle).converse("message_sign", LAST, work), ()

    def message_sign_final(self, handle: int) -> None:
        """C_MessageSignFinal."""
        self.application.session(handle).conclude("message_sign")

    # Verification

    def message_verify_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_MessageVerifyInit."""
        self._begin("message_verify", handle, mechanism, key)

    def verify_message(self, handle: int, parameter: object, data: bytes, signature: bytes) -> None:
        """C_VerifyMessage."""

        def work(active: ActiveMessages) -> None:
            operation = self._another("message_verify", active, parameter)
            _counted(active, None)
            operation.single(data, signature)

        self.application.session(handle).converse("message_verify", MESSAGE, work)

    def verify_message_begin(self, handle: int, parameter: object) -> None:
        """C_VerifyMessageBegin."""
        self._parts_begin("message_verify", handle, parameter)

    def verify_message_next(self, handle: int, parameter: object, data: bytes, signature: bytes | None) -> None:
        """C_VerifyMessageNext; `signature` is None while there is more to follow."""
        if signature is None:
            self._parts_next("message_verify", handle, parameter, data)
            return

        def work(active: ActiveMessages) -> None:
            _check_absent(parameter)
            parts: _Parts = active.message
            parts.update(data)
            parts.finish(signature)

        self.application.session(handle).converse("message_verify", LAST, work)

    def message_verify_final(self, handle: int) -> None:
        """C_MessageVerifyFinal."""
        self.application.session(handle).conclude("message_verify")

    # Both

    def _another(self, kind: str, active: ActiveMessages, parameter: object) -> Any:  # noqa: ANN401 - of two classes
        """Return a new operation for a message: what the Init made, again."""
        _check_absent(parameter)
        key = active.key
        return approve(key, kind, active.mechanism, self.application.mode)(key, active.parameter)  # type: ignore[arg-type]

    def _parts_begin(self, kind: str, handle: int, parameter: object) -> None:
        """Begin a message in parts."""

        def work(active: ActiveMessages) -> None:
            active.message = _counted(active, _Parts(self._another(kind, active, parameter)))

        self.application.session(handle).converse(kind, BEGIN, work)

    def _parts_next(self, kind: str, handle: int, parameter: object, data: bytes) -> None:
        """Take a part with more to follow."""

        def work(active: ActiveMessages) -> None:
            _check_absent(parameter)
            active.message.update(data)

        self.application.session(handle).converse(kind, PART, work)


class _Parts:
    """A message in parts that is signed or verified: of a mechanism with a single part, they are kept until the end."""

    __slots__ = ("_kept", "_operation")

    def __init__(self, operation: Any) -> None:  # noqa: ANN401 - Operation or Verification
        """Begin with no parts."""
        self._operation = operation
        self._kept = None if operation.multi_part else Parts()

    @property
    def kept(self) -> int:
        """How many bytes of parts are kept."""
        kept: int = self._operation.kept if self._kept is None else self._kept.size
        return kept

    def length(self, size: int) -> int:
        """Return the most bytes that the signature has after `size` further bytes."""
        length: int = (
            self._operation.finish_length() if self._kept is None else self._operation.length(self._kept.size + size)
        )
        return length

    def update(self, data: bytes) -> None:
        """Take a part."""
        if self._kept is None:
            self._operation.update(data)
        else:
            if self._kept.size + len(data) > MAXIMUM:
                raise CryptokiError(CKR.DATA_LEN_RANGE, f"more than {MAXIMUM} bytes in parts")
            self._kept.add(data)

    def finish(self, *signature: bytes) -> Any:  # noqa: ANN401 - bytes of a signature, None of a verification
        """Return the signature, or check the one that is given."""
        if self._kept is None:
            return self._operation.finish(*signature)
        try:
            return self._operation.single(self._kept.join(), *signature)
        except CryptokiError as error:
            # Data in parts are never CKR_DATA_INVALID: no function that takes a part has it in its list.
            code = CKR.DATA_LEN_RANGE if error.code == CKR.DATA_INVALID else error.code
            raise CryptokiError(code, error.message) from None


def _check_absent(parameter: object) -> None:
    """Refuse a per-message parameter where there is none: no signature mechanism has any."""
    if parameter is not None:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "messages of this mechanism have no parameter")


def _fitting(made: Any, room: int | None) -> Any:  # noqa: ANN401 - as the message gave it
    """Return what was made, or the length asked for; CKR_BUFFER_TOO_SMALL if the length was not asked for."""
    if isinstance(made, int) and room is not None:
        raise BufferTooSmallError(made)
    return made


def _made(result: Any) -> Made:  # noqa: ANN401 - as `_message`
    """Return output and what is written back; nothing is in answer to a length query."""
    return (result, ()) if isinstance(result, int) else result


def _counted(active: ActiveMessages, result: Any) -> Any:  # noqa: ANN401 - anything
    """Count a use of a limited key before it is answered."""
    if active.key is not None and active.key.spend is not None:
        active.key.spend()
    return result
