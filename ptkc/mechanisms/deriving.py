"""What a mechanism of C_DeriveKey may say besides the value of the new key (specification 5.18.6).

A plain mechanism is a `Mechanism` with `derive(key, parameter, attributes) -> payload`. A `Derivation` says more by its
hooks: which other keys its parameter names, what the new object is anyway or by default, whether it is protected as its
base is, and which further keys there are. The device asks the hooks; a mechanism never resolves a handle.
"""

from __future__ import annotations

from collections import namedtuple

from ptkc.mechanisms.mechanism import Mechanism
from ptkc.objects.limits import is_tied
from ptkc.spec.constants import CKA, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, Attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ptkc.objects.object import Object
    from ptkc.spec.values import Template

__all__ = ["ALONE", "Beside", "Derivation", "Derived", "check_untied", "protect"]

Derived = namedtuple("Derived", "payload further written", defaults=((), ()))
"""What a derivation made: the payload of the key itself, None if there is none; of each further key its payload, or
None where that one is not wanted; the byte strings for the caller's memory."""

Beside = namedtuple("Beside", "keys attributes", defaults=((), ()))
"""What a derivation works with besides its base key: the keys that its parameter names, in the order of `named`, and
the prepared attributes of the keys that it makes besides the first, in the order of `further`."""

ALONE = Beside()


class Derivation(Mechanism):
    """A mechanism that derives, with what the device asks it before.

    `derive` returns the payload of a secret or private key, of which `KeyType.derive` makes the key, or the attributes
    of another object, or `Derived`.
    """

    joins = False
    """Whether `derive` has a fourth argument, `Beside`."""

    makes: tuple[int, ...] = (CKO.SECRET_KEY, CKO.PRIVATE_KEY)
    """The classes that the new object may have."""

    bases: tuple[int, ...] = (CKO.SECRET_KEY, CKO.PRIVATE_KEY)
    """The classes that the base key may have. A data object has no key type, size or usage that could be checked."""

    uses_secret = True
    """Whether the secret of the base key is used: if not, CKA_DERIVE and a login for each use are not asked for."""

    protects = False
    """Whether the new key is sensitive and cannot be extracted where one of its base keys is so."""

    reveals = False
    """Whether the new key tells what its base keys are, all of them and whatever the parameter is: `uncovered`."""

    required: tuple[int, ...] = ()
    """Attributes that the template must say."""

    loans: tuple[int, ...] = ()
    """Attributes that a template may say to the mechanism although the new object has no such attribute."""

    def named(self, parameter: Any) -> tuple[int, ...]:  # noqa: ANN401, ARG002 - each its own; and so below
        """Return the handles of further base keys in the parameter."""
        return ()

    def implied(self, key: Object, parameter: Any) -> Attributes:  # noqa: ANN401, ARG002
        """Return what the new object is, whatever the template says; if it says otherwise, it is refused."""
        return {}

    def suggested(self, key: Object, parameter: Any) -> Attributes:  # noqa: ANN401, ARG002
        """Return what the new object is if the template does not say it."""
        return {}

    def further(self, parameter: Any, template: Template) -> tuple[Template | None, ...]:  # noqa: ANN401, ARG002
        """Return the templates of the keys that are made besides the one of `template`, None for one not wanted."""
        return ()

    def uncovered(self, parameter: Any, keys: tuple[Object, ...]) -> tuple[Object, ...]:  # noqa: ANN401, ARG002
        """Return those of the base keys that the new key may tell: it is protected as they are, none is limited."""
        return keys if self.reveals else ()

    def lineage(self, flags: tuple[bool, ...]) -> bool:
        """Return whether the new key was "always sensitive", "never extractable": `flags` say it of its base keys."""
        return all(flags)


def check_untied(keys: Iterable[Object]) -> None:
    """Refuse keys whose uses are limited with CKR_KEY_FUNCTION_NOT_PERMITTED: they must not be had in another form."""
    if any(is_tied(key.attributes) for key in keys):
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "what is made of a key with a limit would have none")


def protect(attributes: Attributes, keys: Iterable[Object]) -> None:
    """Have a new key protected as its base keys are, and as private (ours): else it would be used without login."""
    for key in keys:
        if key.private:
            attributes[CKA.PRIVATE] = TRUE
        if key.is_true(CKA.SENSITIVE):
            attributes[CKA.SENSITIVE] = TRUE
        if not key.is_true(CKA.EXTRACTABLE):
            attributes[CKA.EXTRACTABLE] = FALSE
        if key.is_true(CKA.WRAP_WITH_TRUSTED):
            attributes[CKA.WRAP_WITH_TRUSTED] = TRUE
