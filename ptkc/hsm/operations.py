"""The commands that digest, sign, verify, encrypt and decrypt (specification 5.8 to 5.14), and random numbers."""

from __future__ import annotations

import os

from ptkc.hsm import policy
from ptkc.hsm.active import Active, ActiveMessages
from ptkc.hsm.approval import approve, check_parameter, is_allowed, mechanism_for
from ptkc.hsm.objects import ObjectCommands
from ptkc.hsm.session import FINISH, SINGLE, UPDATE, Session
from ptkc.mechanisms import MECHANISMS, load
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import TRUE

__all__ = ["OperationCommands"]

MechanismValue = tuple[int, object]

# What a key with CKA_ALWAYS_AUTHENTICATE wants a login for each time ("sign or decrypt", specification 4.9).
_GUARDED = ("sign", "sign_recover", "decrypt", "message_sign", "message_decrypt")
_MESSAGES = dict.fromkeys(("message_encrypt", "message_decrypt", "message_sign", "message_verify"), ActiveMessages)


class OperationCommands(ObjectCommands):
    """The part of `LocalDevice` that runs operations."""

    # Mechanisms

    def get_mechanism_list(self, slot: int) -> tuple[int, ...]:
        """C_GetMechanismList."""
        self._token(slot)
        load()
        mode = self.hsm.security_mode
        return tuple(number for number in sorted(MECHANISMS) if policy.is_offered(mode, number))

    def get_mechanism_info(self, slot: int, number: int) -> tuple[int, int, int]:
        """C_GetMechanismInfo."""
        self._token(slot)
        load()
        mechanism = MECHANISMS.get(number)
        if mechanism is None or not policy.is_offered(self.hsm.security_mode, number):
            raise CryptokiError(CKR.MECHANISM_INVALID, name_of(CKM, number))
        return (*mechanism.sizes, mechanism.flags)

    # Beginning

    def _begin(
        self, kind: str, handle: int, mechanism: MechanismValue | None, key: int, signature: bytes = b""
    ) -> None:
        """Begin an operation with a key; a NULL mechanism ends the one under way (specification 3.0)."""
        session = self.application.session(handle)
        if mechanism is None:
            session.operations.pop(kind, None)
            return
        if kind in session.operations:
            raise CryptokiError(CKR.OPERATION_ACTIVE, f"{kind} is under way")
        obj = self._key(session, key)
        session.begin(kind, self._active(session, kind, mechanism, obj, signature))

    def _key(self, session: Session, key: int) -> Object:
        """Return the key for an operation; CKR_KEY_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN."""
        if self.application.mode:
            self._need_login(session)
        return self.application.resolve(session, key, CKR.KEY_HANDLE_INVALID)

    def _active(
        self, session: Session, kind: str, mechanism: MechanismValue, obj: Object, signature: bytes = b""
    ) -> Active:
        """Return a new operation with a key that may do it, to be begun; it counts as a use of the key."""
        number, parameter = mechanism
        method = approve(obj, kind, number, self.application.mode)
        attributes = obj.attributes
        login = self.application.logins.get(session.token) if attributes[CKA.PRIVATE] == TRUE else None
        return _MESSAGES.get(kind, Active)(
            method(obj, parameter),
            number,
            parameter,
            obj,
            login=login,
            locked=attributes.get(CKA.ALWAYS_AUTHENTICATE) == TRUE and kind in _GUARDED,
            signature=signature,
        )

    def encrypt_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_EncryptInit."""
        self._begin("encrypt", handle, mechanism, key)

    def decrypt_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_DecryptInit."""
        self._begin("decrypt", handle, mechanism, key)

    def sign_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_SignInit."""
        self._begin("sign", handle, mechanism, key)

    def verify_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_VerifyInit."""
        self._begin("verify", handle, mechanism, key)

    def digest_init(self, handle: int, mechanism: MechanismValue | None) -> None:
        """C_DigestInit."""
        session = self.application.session(handle)
        if mechanism is None:
            session.operations.pop("digest", None)
            return
        if "digest" in session.operations:
            raise CryptokiError(CKR.OPERATION_ACTIVE, "digest is under way")
        session.begin("digest", self._digest(session, mechanism))

    def _digest(self, session: Session, mechanism: MechanismValue) -> Active:
        """Return a new digest, to be begun."""
        self._need_login(session)
        number, parameter = mechanism
        digester = mechanism_for("digest", number, self.application.mode)
        check_parameter(digester, parameter)
        return Active(digester.digest(parameter), number, parameter)

    # Going on and ending

    def encrypt(self, handle: int, data: bytes, room: int | None) -> bytes | int:
        """C_Encrypt."""
        return self.application.session(handle).produce("encrypt", SINGLE, data, room)

    def encrypt_update(self, handle: int, part: bytes, room: int | None) -> bytes | int:
        """C_EncryptUpdate."""
        return self.application.session(handle).produce("encrypt", UPDATE, part, room)

    def encrypt_final(self, handle: int, room: int | None) -> bytes | int:
        """C_EncryptFinal."""
        return self.application.session(handle).produce("encrypt", FINISH, b"", room)

    def decrypt(self, handle: int, encrypted: bytes, room: int | None) -> bytes | int:
        """C_Decrypt."""
        return self.application.session(handle).produce("decrypt", SINGLE, encrypted, room)

    def decrypt_update(self, handle: int, encrypted: bytes, room: int | None) -> bytes | int:
        """C_DecryptUpdate."""
        return self.application.session(handle).produce("decrypt", UPDATE, encrypted, room)

    def decrypt_final(self, handle: int, room: int | None) -> bytes | int:
        """C_DecryptFinal."""
        return self.application.session(handle).produce("decrypt", FINISH, b"", room)

    def digest(self, handle: int, data: bytes, room: int | None) -> bytes | int:
        """C_Digest."""
        return self.application.session(handle).produce("digest", SINGLE, data, room)

    def digest_update(self, handle: int, part: bytes) -> None:
        """C_DigestUpdate."""
        self.application.session(handle).absorb("digest", part)

    def digest_key(self, handle: int, key: int) -> None:
        """C_DigestKey: CKR_KEY_INDIGESTIBLE for what is no secret key, or allows other mechanisms only."""
        session = self.application.session(handle)
        active = session.operations.pop("digest", None)
        self._need_login(session)
        obj = self.application.resolve(session, key, CKR.KEY_HANDLE_INVALID)
        if obj.object_class != CKO.SECRET_KEY:
            raise CryptokiError(CKR.KEY_INDIGESTIBLE, "not a secret key")
        if active is not None:
            if not is_allowed(obj, active.mechanism):
                raise CryptokiError(CKR.KEY_INDIGESTIBLE, "the digest is not in CKA_ALLOWED_MECHANISMS")
            if obj.spend is not None:
                obj.spend()
            # A key's value is never part of a saved state.
            active.forget()
            if obj.private:
                active.login = self.application.logins.get(session.token)
            session.operations["digest"] = active
        session.absorb("digest", obj.attributes[CKA.VALUE])

    def digest_final(self, handle: int, room: int | None) -> bytes | int:
        """C_DigestFinal."""
        return self.application.session(handle).produce("digest", FINISH, b"", room)

    def sign(self, handle: int, data: bytes, room: int | None) -> bytes | int:
        """C_Sign."""
        return self.application.session(handle).produce("sign", SINGLE, data, room)

    def sign_update(self, handle: int, part: bytes) -> None:
        """C_SignUpdate."""
        self.application.session(handle).absorb("sign", part)

    def sign_final(self, handle: int, room: int | None) -> bytes | int:
        """C_SignFinal."""
        return self.application.session(handle).produce("sign", FINISH, b"", room)

    def verify(self, handle: int, data: bytes, signature: bytes) -> None:
        """C_Verify."""
        self.application.session(handle).check("verify", SINGLE, data, signature)

    def verify_update(self, handle: int, part: bytes) -> None:
        """C_VerifyUpdate."""
        self.application.session(handle).absorb("verify", part)

    def verify_final(self, handle: int, signature: bytes) -> None:
        """C_VerifyFinal."""
        self.application.session(handle).check("verify", FINISH, b"", signature)

    # Two at once (specification 5.14)

    def digest_encrypt_update(self, handle: int, part: bytes, room: int | None) -> bytes | int:
        """C_DigestEncryptUpdate."""
        return self.application.session(handle).produce_both("encrypt", "digest", part, room)

    def decrypt_digest_update(self, handle: int, encrypted: bytes, room: int | None) -> bytes | int:
        """C_DecryptDigestUpdate."""
        return self.application.session(handle).produce_both("decrypt", "digest", encrypted, room)

    def sign_encrypt_update(self, handle: int, part: bytes, room: int | None) -> bytes | int:
        """C_SignEncryptUpdate."""
        return self.application.session(handle).produce_both("encrypt", "sign", part, room)

    def decrypt_verify_update(self, handle: int, encrypted: bytes, room: int | None) -> bytes | int:
        """C_DecryptVerifyUpdate."""
        return self.application.session(handle).produce_both("decrypt", "verify", encrypted, room)

    # Random numbers

    def seed_random(self, handle: int, seed: bytes) -> None:  # noqa: ARG002 - the system's generator needs no seed
        """C_SeedRandom: accepted and not mixed in, since the system's generator is what C_GenerateRandom reads."""
        self.application.session(handle)

    def generate_random(self, handle: int, size: int) -> bytes:
        """C_GenerateRandom: `size` bytes of the operating system's generator."""
        self.application.session(handle)
        return os.urandom(size)
