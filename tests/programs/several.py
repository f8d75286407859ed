"""A process with sessions on several HSMs: tests/test_several_hsms.py tells it what to do.

    python several.py MODULE fork FORKS     threads write to every HSM's token while the process forks
    python several.py MODULE watch          answers the lines `list`, `fill`, `look SLOT`, `open SLOT` and `use SLOT`

Tokens are those in slots whose token has a user PIN. Ends with a traceback at the first surprise.
"""

from __future__ import annotations

import os
import sys
import threading

from conformance.binding import ffi
from conformance.cryptoki import Cryptoki, Refused, Session, code_name
from conformance.fresh_token import USER_PIN

from ptkc.spec.constants import CKA, CKF, CKO, CKR

_DATA = {CKA.CLASS: CKO.DATA, CKA.TOKEN: True, CKA.PRIVATE: False}


def _sessions(cryptoki: Cryptoki) -> dict[int, Session]:
    """Open a session of the user with every token that has one."""
    found = {}
    for slot in cryptoki.slots():
        if cryptoki.token(slot).flags & CKF.USER_PIN_INITIALIZED:
            found[slot] = cryptoki.open(slot)
            found[slot].login(USER_PIN)
    return found


def _write(session: Session, over: threading.Event, faults: list[str]) -> None:
    """Make and destroy objects until it is over."""
    try:
        while not over.is_set():
            session.destroy(session.create(_DATA))
    except Refused as refused:
        faults.append(str(refused))


def _child(path: str, slots: list[int]) -> int:
    """Begin anew in the child of a fork: 0 if every token can be written to."""
    try:
        cryptoki = Cryptoki(path)
        cryptoki.initialize()
        sessions = _sessions(cryptoki)
        for session in sessions.values():
            session.destroy(session.create(_DATA))
    except Refused as refused:
        sys.stderr.write(f"child: {refused}\n")
        return 1
    return 0 if slots == list(sessions) else 2


def fork(cryptoki: Cryptoki, path: str, forks: int) -> None:
    """Fork while threads write to all HSMs."""
    sessions = _sessions(cryptoki)
    over = threading.Event()
    faults: list[str] = []
    threads = [threading.Thread(target=_write, args=(session, over, faults)) for session in sessions.values()]
    for thread in threads:
        thread.start()
    for _ in range(forks):
        child = os.fork()
        if child == 0:
            os._exit(_child(path, list(sessions)))
        _, status = os.waitpid(child, 0)
        if status:
            faults.append(f"a child ended with {status:#x}")
    over.set()
    for thread in threads:
        thread.join()
    sys.stdout.write("\n".join(faults))


def _answer(cryptoki: Cryptoki, sessions: dict[int, Session], line: str) -> str:
    """Return what a line is answered with: the name of a code, or slots."""
    name, *words = line.split()
    try:
        if name == "list":
            return " ".join(map(str, cryptoki.slots()))
        if name == "fill":  # without asking for the count
            array, count = ffi.new("CK_ULONG[64]"), ffi.new("CK_ULONG *", 64)
            cryptoki.call("C_GetSlotList", 1, array, count)
            return " ".join(map(str, array[0 : count[0]]))
        slot = int(words[0])
        if name == "use":
            sessions[slot].destroy(sessions[slot].create(_DATA))
        elif name == "open":
            sessions[slot] = cryptoki.open(slot)
            sessions[slot].login(USER_PIN)
        else:
            cryptoki.token(slot)
    except Refused as refused:
        return code_name(refused.rv)
    return code_name(CKR.OK)


def watch(cryptoki: Cryptoki) -> None:
    """Answer lines."""
    sessions = _sessions(cryptoki)
    for line in sys.stdin:
        print(_answer(cryptoki, sessions, line), flush=True)
    cryptoki.finalize()


def main() -> None:
    """Do what the words say."""
    path, mode, *rest = sys.argv[1:]
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    if mode == "fork":
        fork(cryptoki, path, int(rest[0]))
    else:
        watch(cryptoki)


if __name__ == "__main__":
    main()
