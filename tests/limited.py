"""Limited keys for the tests of usage counts and tickets: an HSM in this process whose user is logged in."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from hsm_directory import USER_PIN, Place

from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKU
from ptkc.spec.values import FALSE, TRUE, Attributes, Template, from_ulong, ulong
from ptkc.token.hsms import Hsm

__all__ = ["Limited"]

_RW = CKF.SERIAL_SESSION | CKF.RW_SESSION


class Limited:
    """A device with one application, in which `session` is a read/write session of the user."""

    def __init__(self, directory: Path | str, *, existing: bool = False) -> None:
        """Initialise the token in an empty directory, or open what another process initialised."""
        self.place = Place(directory)
        self.hsm: Hsm = self.place.open() if existing else self.place.initialised()[0]
        self.device = LocalDevice(self.hsm, Application(self.hsm, Handles()))
        self.session = self.device.open_session(0, _RW)
        self.device.login(self.session, CKU.USER, USER_PIN)

    def read_only(self) -> int:
        """Return a further session, read-only."""
        return self.device.open_session(0, CKF.SERIAL_SESSION)

    def aes(self, **more: bytes) -> int:
        """Return a new AES key; CKA_TOKEN is true unless `more` says otherwise."""
        uses = dict.fromkeys((CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE), TRUE)
        template = {CKA.TOKEN: TRUE, CKA.VALUE_LEN: ulong(16), CKA.LABEL: b"limited", CKA.ID: b"\1", **uses}
        return self.device.generate_key(self.session, (CKM.AES_KEY_GEN, None), self.template(template, more))[0]

    def wrapping(self, **more: bytes) -> int:
        """Return a new AES key that wraps and unwraps and does nothing else."""
        uses = dict.fromkeys(("encrypt", "decrypt", "sign", "verify", "derive"), FALSE)
        return self.aes(**{**uses, "value_len": ulong(32), **more})

    def generic(self, value: bytes, **more: bytes) -> int:
        """Return a new generic secret key of this value, extractable, in the session."""
        template = {
            CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET), CKA.VALUE: value,
            CKA.EXTRACTABLE: TRUE, CKA.SENSITIVE: FALSE,
        }  # fmt: skip
        return self.device.create_object(self.session, self.template(template, more))

    @staticmethod
    def template(attributes: Attributes, more: dict[str, bytes]) -> Template:
        """Return a template of attributes and of further ones by name."""
        return tuple({**attributes, **{getattr(CKA, name.upper()): value for name, value in more.items()}}.items())

    def use(self, key: int) -> None:
        """Begin and end an encryption with a key."""
        self.device.encrypt_init(self.session, (CKM.AES_ECB, None), key)
        self.device.encrypt(self.session, bytes(16), 16)

    def get(self, key: int, attribute: int) -> bytes | None:
        """Return an attribute, None if it cannot be had."""
        _, (value,) = self.device.get_attribute_value(self.session, key, (attribute,))
        return value

    def count(self, key: int) -> int:
        """Return CKA_USAGE_COUNT."""
        value = self.get(key, CKA.USAGE_COUNT)
        assert value is not None
        return from_ulong(value)

    def set(self, key: int, **changed: bytes) -> None:
        """Set attributes by name."""
        self.device.set_attribute_value(self.session, key, self.template({}, changed))

    def find(self, **wanted: bytes) -> list[int]:
        """Return the objects that have these attributes."""
        self.device.find_objects_init(self.session, self.template({}, wanted))
        found = self.device.find_objects(self.session, 100)
        self.device.find_objects_final(self.session)
        return list(found)

    def close(self) -> None:
        """Close the HSM."""
        self.hsm.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the HSM."""
        self.close()
