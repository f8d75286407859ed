"""What a token says of itself as objects: the profiles it conforms to, and its mechanisms (specification 4.12, 4.14).

They are features (`hsm.features`): read-only token objects for everybody, never stored, found only by a template that
names their class. OASIS's test case of the Baseline Provider finds nothing on an empty token by CKA_TOKEN alone, and
hardly any program knows these classes when it lists everything. There are no validation objects: ptkc has no
validation; nor a Complete Provider, which has every mechanism there is.
"""

from __future__ import annotations

from ptkc import mechanisms
from ptkc.hsm import policy
from ptkc.hsm.features import Clock, Feature, MonotonicCounter, all_of
from ptkc.spec.constants import CKA, CKH, CKM, CKO, CKP, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import Template, ulong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.features import Reading
    from ptkc.token.hsms import Hsm
    from ptkc.token.tokens import Token

__all__ = ["CLASSES", "PROFILES", "features_of"]

CLASSES = frozenset(
    ulong(number) for number in (CKO.ADAPTER, CKO.SLOT, CKO.HW_FEATURE, CKO.PROFILE, CKO.MECHANISM, CKO.VALIDATION)
)
"""The canonical values of CKA_CLASS by which features are looked for."""

PROFILES: dict[int, int | None] = {
    CKP.BASELINE_PROVIDER: None,
    CKP.EXTENDED_PROVIDER: None,
    CKP.AUTHENTICATION_TOKEN: None,
    CKP.PUBLIC_CERTIFICATES_TOKEN: None,
    CKP.HKDF_TLS_TOKEN: CKM.HKDF_DATA,
}
"""Each profile that is claimed, and the mechanism without which it is not."""

_PROFILE, _MECHANISM, _HARDWARE = ulong(CKO.PROFILE), ulong(CKO.MECHANISM), ulong(CKO.HW_FEATURE)


class _ReadOnly(Feature):
    """What nobody changes or destroys."""

    __slots__ = ()
    administered = False

    def set(self, template: Template) -> None:
        """Refuse with CKR_ACTION_PROHIBITED, as CKA_MODIFIABLE says."""
        if template:
            raise CryptokiError(CKR.ACTION_PROHIBITED, f"a {name_of(CKO, self.object_class)} is read-only")


class Profile(_ReadOnly):
    """CKO_PROFILE: a profile that the token conforms to."""

    __slots__ = ()
    object_class = CKO.PROFILE

    @property
    def exists(self) -> bool:
        """Whether the security flags offer the mechanism without which it would not be true."""
        needed = PROFILES[self.key[1]]
        return needed is None or policy.is_offered(self.hsm.security_mode, needed)

    def readings(self) -> dict[int, Reading]:
        """Return which one."""
        return {CKA.PROFILE_ID: ulong(self.key[1])}


class OfferedMechanism(_ReadOnly):
    """CKO_MECHANISM: a mechanism that C_GetMechanismList has."""

    __slots__ = ()
    object_class = CKO.MECHANISM

    @property
    def exists(self) -> bool:
        """Whether the security flags offer it."""
        return policy.is_offered(self.hsm.security_mode, self.key[1])

    def readings(self) -> dict[int, Reading]:
        """Return which one; 3.2 has no other attribute for it."""
        return {CKA.MECHANISM_TYPE: ulong(self.key[1])}


def features_of(hsm: Hsm, token: Token, template: Template) -> list[Feature]:
    """Return the features of a token that have the class a template names; not yet those that match the rest of it."""
    object_class = next(value for attribute, value in template if attribute == CKA.CLASS and value in CLASSES)
    found: list[Feature]
    if object_class == _PROFILE:
        found = [Profile(hsm, number) for number in PROFILES]
    elif object_class == _MECHANISM:
        mechanisms.load()
        found = [OfferedMechanism(hsm, number) for number in sorted(mechanisms.MECHANISMS)]
    elif token.is_admin:
        found = all_of(hsm)
    elif object_class == _HARDWARE:
        # The clock is the one of CK_TOKEN_INFO, and the counter gives any application serial numbers: every token has
        # them. What the HSM itself is, the Admin token alone shows.
        found = [Clock(hsm, CKH.CLOCK), MonotonicCounter(hsm, CKH.MONOTONIC_COUNTER)]
    else:
        found = []
    return [feature for feature in found if feature.exists]
