"""Message-based encryption and decryption with AEAD ciphers (specification 5.9, 5.11, 6.14, 6.56; SP 800-38C, 38D).

Many messages under one key, each with an IV and a tag of its own in the per-message parameter. A cipher says in
`MessageForm` how a per-message parameter becomes the parameter of C_EncryptInit; what encrypts a message is then the
ordinary operation, whose output is the ciphertext and the tag behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ptkc.mechanisms.mechanism import Mechanism, Operation
from ptkc.mechanisms.nonces import nonce
from ptkc.objects.object import Object
from ptkc.spec.constants import CKG, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Ccm, CcmMessage, ChaCha20Poly1305, ChaChaMessage, Gcm, GcmMessage

__all__ = ["CCM_MESSAGES", "CHACHA_MESSAGES", "GCM_MESSAGES", "MessageForm", "Messages", "MessagesCipher"]


class MessageForm(NamedTuple):
    """One structure of per-message parameters: `value` is its type, each other field a function of the value.

    `iv` the IV or nonce as given, `fixed_bits` and `generator` how it is made, `tag` what is there of the tag (its room
    where it is made, itself where it is given), `tag_length` its length in bytes; `ordinary` makes the parameter of
    C_EncryptInit from the value, the IV and the associated data.
    """

    value: type
    iv: Callable[[Any], bytes]
    fixed_bits: Callable[[Any], int]
    generator: Callable[[Any], int]
    tag: Callable[[Any], Any]
    tag_length: Callable[[Any], int]
    ordinary: Callable[[Any, bytes, bytes], object]


GCM_MESSAGES = MessageForm(
    GcmMessage,
    lambda value: value.iv,
    lambda value: value.iv_fixed_bits,
    lambda value: value.generator,
    lambda value: value.tag,
    lambda value: (value.tag_bits + 7) // 8,
    lambda value, iv, associated: Gcm(iv, 8 * len(iv), associated, value.tag_bits),
)
CCM_MESSAGES = MessageForm(
    CcmMessage,
    lambda value: value.nonce,
    lambda value: value.nonce_fixed_bits,
    lambda value: value.generator,
    lambda value: value.mac,
    lambda value: value.mac_len,
    lambda value, nonce, associated: Ccm(value.data_len, nonce, associated, value.mac_len),
)
CHACHA_MESSAGES = MessageForm(
    ChaChaMessage,
    lambda value: value.nonce,
    lambda _: 0,
    lambda _: CKG.NO_GENERATE,
    lambda value: value.tag,
    lambda _: 16,
    lambda _, nonce, associated: ChaCha20Poly1305(nonce, associated),
)


class Messages:
    """Messages of one direction under a key; `make` makes the ordinary operation of a parameter."""

    __slots__ = ("_form", "_key", "_make", "encrypts")

    def __init__(
        self, form: MessageForm, key: Object, make: Callable[[Object, Any], Operation], *, encrypts: bool
    ) -> None:
        """Keep the key, which has been checked."""
        self._form = form
        self._key = key
        self._make = make
        self.encrypts = encrypts

    def begin(self, parameter: Any, associated: bytes) -> Message:  # noqa: ANN401 - it is checked here
        """Begin a message; no IV is made yet. CKR_MECHANISM_PARAM_INVALID."""
        self.check(parameter)
        return Message(self, parameter, associated)

    def check(self, parameter: object) -> None:
        """Refuse what is no per-message parameter of this cipher: CKR_MECHANISM_PARAM_INVALID."""
        wanted = self._form.value
        if type(parameter) is not wanted:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a message takes a {wanted.__name__}")

    def operation(self, parameter: Any, associated: bytes) -> tuple[Operation, bytes]:  # noqa: ANN401 - as above
        """Return the operation for a message, and the IV if one was made; CKR_MECHANISM_PARAM_INVALID."""
        form = self._form
        iv = form.iv(parameter)
        if not self.encrypts or form.generator(parameter) == CKG.NO_GENERATE:
            return self._make(self._key, form.ordinary(parameter, iv, associated)), b""
        # What the cipher refuses costs no IV.
        self._make(self._key, form.ordinary(parameter, iv, associated))
        made = nonce(self._key, iv, form.fixed_bits(parameter), form.generator(parameter))
        return self._make(self._key, form.ordinary(parameter, made, associated)), made

    def tag_length(self, parameter: Any) -> int:  # noqa: ANN401 - as above
        """Return the length of the tag in bytes."""
        return self._form.tag_length(parameter)

    def checked_tag_length(self, parameter: Any) -> int:  # noqa: ANN401 - as above
        """Return the length of the tag; CKR_MECHANISM_PARAM_INVALID if the parameter has no place for it."""
        length, tag = self._form.tag_length(parameter), self._form.tag(parameter)
        if (tag if self.encrypts else len(tag)) < length:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"no place for a tag of {length} bytes")
        return length

    def tag(self, parameter: Any) -> bytes:  # noqa: ANN401 - as above
        """Return the tag that was given."""
        tag: bytes = self._form.tag(parameter)
        return tag


class Message:
    """One message: its output, tag aside, has as many bytes as its input."""

    __slots__ = ("_associated", "_given", "_messages", "_operation", "_out", "_parameter")

    def __init__(self, messages: Messages, parameter: Any, associated: bytes) -> None:  # noqa: ANN401 - as `Messages`
        """Keep parameter and associated data."""
        self._messages = messages
        self._parameter = parameter
        self._associated = associated
        self._operation: Any = None
        self._given = self._out = 0

    @property
    def kept(self) -> int:
        """How many bytes of the message and what is authenticated with it are kept."""
        kept: int = 0 if self._operation is None else self._operation.kept
        return kept + len(self._associated)

    def sized(self, length: int) -> Message:
        """Return itself, with the length of a key to be wrapped: what CCM is told of it is ignored (6.14.5)."""
        if isinstance(self._parameter, CcmMessage):
            self._parameter = self._parameter._replace(data_len=length)
        return self

    def open(self) -> tuple[bytes, ...]:
        """Make the IV, if one is to be made, and get ready for parts; return what is written back."""
        self._operation, iv = self._messages.operation(self._parameter, self._associated)
        return (iv, b"") if self._messages.encrypts else ()

    def single(self, data: bytes, room: int | None) -> tuple[bytes, tuple[bytes, ...]] | int:
        """Do the whole message: return output and what is written back, or the length for a query or little room.

        CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_AEAD_DECRYPT_FAILED, CKR_MECHANISM_PARAM_INVALID.
        """
        messages, parameter = self._messages, self._parameter
        tag_length = messages.checked_tag_length(parameter)
        if room is None or room < len(data):
            return len(data)
        operation, iv = messages.operation(parameter, self._associated)
        if messages.encrypts:
            sealed = operation.single(data)
            end = len(sealed) - tag_length
            return sealed[:end], (iv, sealed[end:])
        return _opened(operation.single, data + messages.tag(parameter)), ()

    def part(self, parameter: Any, data: bytes, room: int | None) -> tuple[bytes, tuple[bytes, ...]] | int:  # noqa: ANN401
        """Take a part: return what there is of the output, or the length for a query or little room.

        CKR_MECHANISM_PARAM_INVALID for another parameter than the message's; nothing in it is looked at.
        """
        if parameter is not None:
            self._messages.check(parameter)
        length = self._operation.update_length(len(data))
        if room is None or room < length:
            # As everywhere: nobody who asks is told that there is nothing to call for.
            return length if room is not None else length or len(data)
        output = self._operation.update(data)
        self._given += len(data)
        self._out += len(output)
        return output, ()

    def last(self, parameter: Any, data: bytes, room: int | None) -> tuple[bytes, tuple[bytes, ...]] | int:  # noqa: ANN401
        """Take the last part, and the tag from `parameter` or its place there; return as `single`."""
        messages = self._messages
        messages.check(parameter)
        tag_length = messages.checked_tag_length(parameter)
        if tag_length != messages.tag_length(self._parameter):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "the tag had another length when the message began")
        length = self._given + len(data) - self._out
        if room is None or room < length:
            return length
        operation = self._operation
        if messages.encrypts:
            sealed = operation.update(data) + operation.finish()
            end = len(sealed) - tag_length
            return sealed[:end], (b"", sealed[end:])
        rest = operation.update(data) + operation.update(messages.tag(parameter))
        return rest + _opened(lambda _: operation.finish(), b""), ()


def _opened(run: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Return what `run` gives; a wrong tag is CKR_AEAD_DECRYPT_FAILED here."""
    try:
        return run(data)
    except CryptokiError as error:
        if error.code == CKR.ENCRYPTED_DATA_INVALID:
            raise CryptokiError(CKR.AEAD_DECRYPT_FAILED, error.message) from None
        raise


# What C_UnwrapKeyAuthenticated says instead of the codes of C_DecryptMessage.
_UNWRAP_CODES = {
    CKR.AEAD_DECRYPT_FAILED: CKR.WRAPPED_KEY_INVALID,
    CKR.ENCRYPTED_DATA_INVALID: CKR.WRAPPED_KEY_INVALID,
    CKR.ENCRYPTED_DATA_LEN_RANGE: CKR.WRAPPED_KEY_LEN_RANGE,
}


class MessagesCipher(Mechanism):
    """A cipher that also encrypts messages, of parameters as `form` says; subclasses define `encrypt` and `decrypt`."""

    form: MessageForm

    def message_encrypt(self, key: Object, parameter: None) -> Messages:  # noqa: ARG002 - there is none
        """C_MessageEncryptInit."""
        return Messages(self.form, key, self.encrypt, encrypts=True)

    def message_decrypt(self, key: Object, parameter: None) -> Messages:  # noqa: ARG002 - there is none
        """C_MessageDecryptInit."""
        return Messages(self.form, key, self.decrypt, encrypts=False)

    def wrap_authenticated(
        self, key: Object, parameter: Any, payload: bytes, associated: bytes, room: int | None  # noqa: ANN401 - checked
    ) -> tuple[bytes, tuple[bytes, ...]] | int:
        """Return the wrapped payload and what is written back, or the length for a query or little room.

        CKR_MECHANISM_PARAM_INVALID.
        """
        message = self.message_encrypt(key, None).begin(parameter, associated)
        return message.sized(len(payload)).single(payload, room)

    def unwrap_authenticated(self, key: Object, parameter: Any, wrapped: bytes, associated: bytes) -> bytes:  # noqa: ANN401
        """Return the payload; CKR_WRAPPED_KEY_INVALID for a wrong tag, CKR_WRAPPED_KEY_LEN_RANGE."""
        message = self.message_decrypt(key, None).begin(parameter, associated)
        try:
            opened = message.sized(len(wrapped)).single(wrapped, len(wrapped))
        except CryptokiError as error:
            raise CryptokiError(_UNWRAP_CODES.get(error.code, error.code), error.message) from None
        # There is room: it is no length.
        return opened[0]  # type: ignore[index]

