"""The moment when libcrypto is brought in.

The first import of `cryptography`, `hmac` or `hashlib` makes OpenSSL load what OPENSSL_CONF names, which may be a
PKCS #11 engine or provider on our own shared object. The native layer then must know which thread is inside (its calls
are refused at once) and let other threads and forks wait. So what needs libcrypto later than C_OpenSession calls
`bring_in` before it imports. And what is imported so late must be of the version that was started, not of one that
was installed meanwhile.
"""

from __future__ import annotations

import ptkc
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["around", "bring_in", "check_version"]


class _State:
    """What is called before and after, and whether that is done."""

    begin: Callable[[], object] = staticmethod(int)
    end: Callable[[], object] = staticmethod(int)
    done = False


def around(begin: Callable[[], object], end: Callable[[], object]) -> None:
    """Have `begin` and `end` called around the loading; the native layer's, in the shared object."""
    _State.begin, _State.end = staticmethod(begin), staticmethod(end)


def check_version() -> None:
    """Refuse to import what is not of the version that runs; CKR_DEVICE_REMOVED after an upgrade under the process."""
    try:
        with open(ptkc.__file__, encoding="utf-8") as file:
            same = f'"{ptkc.__version__}"' in file.read()
    except OSError:
        same = False
    if not same:
        raise CryptokiError(CKR.DEVICE_REMOVED, f"{ptkc.__file__} is no more version {ptkc.__version__}: start anew")


def bring_in() -> None:
    """Load libcrypto, once in a process."""
    if _State.done:
        return
    check_version()
    _State.begin()
    try:
        import _hashlib  # noqa: F401, PLC0415 - this is the moment

        import cryptography.hazmat.bindings._rust  # noqa: F401, PLC0415

        _State.done = True
    finally:
        _State.end()
