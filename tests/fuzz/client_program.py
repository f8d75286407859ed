"""A client of an arbitrary server: uses the module for some seconds, whatever comes back.

    python client_program.py MODULE SECONDS SEED

Prints the number of rounds, how many calls were refused and with which codes, and the resident memory (KiB) at a third
and at the end. It must neither crash nor hang, and the module's log must not tell of a bug.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.binding import ffi
from conformance.cryptoki import Cryptoki, Refused, Session, Template, code_name
from conformance.parameters import Mechanism

from ptkc.spec.constants import CKA, CKM, CKO, CKU

_LONGEST = 30.0
_RESIDENT = "VmRSS:"


def resident() -> int:
    """Return this process's resident memory in KiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(_RESIDENT):
            return int(line.split()[1])
    return 0


def _random(session: Session) -> None:
    buffer = ffi.new("CK_BYTE[48]", b"\xaa" * 48)
    session.call("C_GenerateRandom", buffer, 16)
    if bytes(buffer[16:48]) != b"\xaa" * 32:
        raise SystemExit("written past what was asked for")


def _short_buffer(session: Session) -> None:
    buffer, length = ffi.new("CK_BYTE[64]", b"\xaa" * 64), ffi.new("CK_ULONG *", 16)
    try:
        session.call("C_Sign", b"data", 4, buffer, length)
    finally:
        if bytes(buffer[16:64]) != b"\xaa" * 48:
            raise SystemExit("written past the caller's room")


def _attributes(session: Session) -> None:
    template = Template([(CKA.LABEL, bytes(32)), (CKA.VALUE, bytes(8))])
    session.call("C_GetAttributeValue", 1, template.array, template.count)


_CALLS: tuple[Callable[[Session], object], ...] = (
    lambda session: session.login("user-1234", CKU.USER),
    lambda session: session.info(),
    lambda session: session.find({CKA.CLASS: CKO.DATA}) if session.handle else None,
    lambda session: session.create({CKA.CLASS: CKO.DATA, CKA.VALUE: b"value"}),
    lambda session: session.get(1, CKA.LABEL),
    lambda session: session.digest(Mechanism(CKM.SHA256), b"data"),
    lambda session: session.encrypt(Mechanism(CKM.AES_ECB), 1, bytes(16)),
    lambda session: session.call("C_SignInit", Mechanism(CKM.SHA256_RSA_PKCS).pointer, 1),
    _short_buffer,
    _attributes,
    _random,
    lambda session: session.logout(),
)


class _Endless(Exception):  # noqa: N818 - a server may go on for ever; the application stops
    """A list has no end."""


def _round(cryptoki: Cryptoki, chance: Random, refused: Counter[str]) -> None:
    """Initialise, call some functions, finalise."""

    def call(function: Callable[..., object], *arguments: object) -> object:
        begin = time.monotonic()
        try:
            return function(*arguments)
        except Refused as refusal:
            refused[code_name(refusal.rv)] += 1
            return None
        finally:
            if time.monotonic() - begin > _LONGEST:
                raise SystemExit(f"{time.monotonic() - begin:.0f} s in {function}")

    cryptoki.initialize()
    try:
        slots = call(cryptoki.slots)
        for slot in slots[-3:] if isinstance(slots, list) else ():
            call(cryptoki.token, slot)
            call(cryptoki.items, "C_GetMechanismList", slot)
            session = call(cryptoki.open, slot)
            if isinstance(session, Session):
                for function in chance.sample(_CALLS, 4):
                    if function is not _CALLS[2]:
                        call(function, session)
                call(session.close)
    finally:
        cryptoki.finalize()


def main() -> None:
    """Do rounds for the time that was given."""
    path, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    cryptoki, chance, refused = Cryptoki(path), Random(seed), Counter[str]()
    begin, rounds, early = time.monotonic(), 0, 0
    while (spent := time.monotonic() - begin) < seconds:
        if not early and spent > seconds / 3:
            early = resident()
        _round(cryptoki, chance, refused)
        rounds += 1
    print(json.dumps({"rounds": rounds, "refused": refused, "early": early, "late": resident()}))


if __name__ == "__main__":
    main()
