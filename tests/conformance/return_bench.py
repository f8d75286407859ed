"""What the cases of return codes have in common: the bench that they work at, keys, and the table of them.

`CASES[function, code](bench)` makes the calls; the last one is answered with the code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from ptkc.spec.constants import CKA, CKU

from .cryptoki import Cryptoki, Session
from .fresh_token import SO_PIN
from .keys import aes, import_rsa, private_rsa
from .right_calls import RIGHT, Call

__all__ = [
    "CASES",
    "Bench",
    "Case",
    "alone",
    "asking",
    "case",
    "cases",
    "changed",
    "cut",
    "everything",
    "flip",
    "run",
    "tiny",
    "tiny_pair",
]


class Bench:
    """What a case works with: the module, its slot, a session with the user logged in, and others as it asks."""

    def __init__(self, cryptoki: Cryptoki, slot: int, session: Session) -> None:
        """Keep them."""
        self.cryptoki = cryptoki
        self.slot = slot
        self.session = session
        self.count: int | None = None  # of objects, before a call that must make none

    def public(self) -> Session:
        """Return a session with nobody logged in: all others are closed."""
        self.cryptoki.close_all(self.slot)
        return self.cryptoki.open(self.slot)

    def so(self) -> Session:
        """Return a session of the SO."""
        session = self.public()
        session.login(SO_PIN, CKU.SO)
        return session

    def call(self, function: str, **given: Any) -> None:  # noqa: ANN401
        """Make a right call with some values replaced."""
        run(self.session, function, **given)


def run(session: Session, function: str, **given: Any) -> None:  # noqa: ANN401
    """Make a right call in a session, with some values replaced."""
    Call(session, function, {**RIGHT[function](session), **given}).run()


def alone(session: Session, function: str, **given: Any) -> None:  # noqa: ANN401
    """Make a call with these values, and nothing before it."""
    Call(session, function, given).run()


Case = Callable[[Bench], Any]
CASES: dict[tuple[str, str], Case] = {}


def case(function: str, code: str) -> Callable[[Case], Case]:
    """Keep the decorated case."""

    def keep(story: Case) -> Case:
        CASES[function, code] = story
        return story

    return keep


def cases(code: str, **stories: Case) -> None:
    """Keep several cases of one code, by their functions without C_."""
    for function, story in stories.items():
        CASES[f"C_{function}", code] = story


@lru_cache
def tiny(bits: int) -> Any:  # noqa: ANN401 - as a private key of the library, as far as `import_rsa` needs one
    """Return an RSA key that is far too short."""
    state, primes = 12345, []
    while len(primes) < 2:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        number = (3 << (bits // 2 - 2)) | (state << 70) % 2 ** (bits // 2 - 2) | (state >> 7) | 1
        if number % 65537 != 1 and pow(2, number - 1, number) == 1 and pow(3, number - 1, number) == 1:
            primes.append(number)
    p, q = sorted(primes, reverse=True)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)

    class _Key:
        @staticmethod
        def private_numbers() -> rsa.RSAPrivateNumbers:
            return numbers

    return _Key


def tiny_pair(session: Session) -> tuple[int, int]:
    """Create such a pair that may do everything."""
    uses = {CKA.ENCRYPT, CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.WRAP}, {
        CKA.DECRYPT, CKA.SIGN, CKA.SIGN_RECOVER, CKA.UNWRAP
    }  # fmt: skip
    return import_rsa(session, tiny(512), *(dict.fromkeys(some, True) for some in uses))


def everything(session: Session, **more: bool) -> int:
    """Create an AES key that may do everything."""
    uses = dict.fromkeys(("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP"), True)
    return aes(session, **uses, **more)


def asking(session: Session) -> int:
    """Create a private RSA key that wants a login for each use."""
    uses = {CKA.SIGN: True, CKA.DECRYPT: True, CKA.SIGN_RECOVER: True, CKA.UNWRAP: True}
    return import_rsa(session, private_rsa(), {}, {**uses, CKA.ALWAYS_AUTHENTICATE: True})[1]


def changed(function: str, name: str, change: Callable[[bytes], bytes]) -> Case:
    """Return a case: a right call, its bytes `name` changed."""

    def story(bench: Bench) -> None:
        given = RIGHT[function](bench.session)
        Call(bench.session, function, {**given, name: change(given[name])}).run()

    return story


def flip(data: bytes) -> bytes:
    """Change a bit of the last byte."""
    return data[:-1] + bytes([data[-1] ^ 1])


def cut(data: bytes) -> bytes:
    """Leave the last byte out."""
    return data[:-1]
