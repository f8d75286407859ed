"""The moment when libcrypto is brought in.

The first import of `cryptography`, `hmac` or `hashlib` makes OpenSSL load what OPENSSL_CONF names, which may be a
PKCS #11 engine or provider on our own shared object. The native layer then must know which thread is inside (its calls
are refused at once) and let other threads and forks wait. So what needs libcrypto later than C_OpenSession calls
`bring_in` before it imports.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["around", "bring_in"]


class _State:
    """What is called before and after, and whether that is done."""

    begin: Callable[[], object] = staticmethod(int)
    end: Callable[[], object] = staticmethod(int)
    done = False


def around(begin: Callable[[], object], end: Callable[[], object]) -> None:
    """Have `begin` and `end` called around the loading; the native layer's, in the shared object."""
    _State.begin, _State.end = staticmethod(begin), staticmethod(end)


def bring_in() -> None:
    """Load libcrypto, once in a process."""
    if _State.done:
        return
    _State.begin()
    try:
        import _hashlib  # noqa: F401, PLC0415 - this is the moment

        import cryptography.hazmat.bindings._rust  # noqa: F401, PLC0415

        _State.done = True
    finally:
        _State.end()
