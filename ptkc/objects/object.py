"""An object as a session sees it."""

from __future__ import annotations

from ptkc.spec.constants import CKA
from ptkc.spec.values import FALSE, TRUE, UNAVAILABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Object"]


class Object:
    """Attributes in canonical bytes, and what was made of them.

    An object is never changed: C_SetAttributeValue makes another one, so `cache` (what mechanisms made of the key) and
    `approved` (by operation, mechanism number and security flags: the mechanism's method, once all checks were passed)
    can be trusted as long as the object is.
    `spend`, where there is one, counts a use of the key, and is called before the use is answered.
    `record` is the store's number of a token object, None for a session object; `version` counts its changes.
    """

    __slots__ = ("approved", "attributes", "cache", "key_type", "object_class", "record", "spend", "version")

    def __init__(self, attributes: dict[int, bytes], record: int | None = None, version: int = 0) -> None:
        """Keep the complete attributes, as `objects.template` made them."""
        self.attributes = attributes
        self.record = record
        self.version = version
        self.spend: Callable[[], int | None] | None = None
        self.object_class = int.from_bytes(attributes.get(CKA.CLASS, b""), "little")
        value = attributes.get(CKA.KEY_TYPE)
        self.key_type = UNAVAILABLE if value is None else int.from_bytes(value, "little")
        self.cache: dict[str, object] = {}
        self.approved: dict[tuple[str, int, int], Any] = {}

    def __repr__(self) -> str:
        """Say which object it is, never what is in it."""
        return f"<Object record={self.record} class={self.object_class:#x}>"

    def is_true(self, attribute: int) -> bool:
        """Whether the boolean attribute is there and CK_TRUE."""
        return self.attributes.get(attribute, FALSE) == TRUE

    @property
    def private(self) -> bool:
        """Whether only the logged-in user sees it."""
        return self.attributes.get(CKA.PRIVATE, FALSE) == TRUE
