"""Secure messaging: handshake, channel, frames; bytes in, bytes out, and no I/O (docs/secure-messaging.md).

It knows neither tokens nor commands nor sockets. `errors`, `state`, `protection`, `frames` and `bodies` are plain; all
others need `cryptography`, so they are imported after `load` only.
"""

from ptkc.spec.loading import bring_in, check_version

__all__ = ["load"]


def load() -> None:
    """Bring libcrypto in, which is to be done before anything of the handshake is imported; again changes nothing."""
    check_version()
    bring_in()
