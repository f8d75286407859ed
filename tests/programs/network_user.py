"""An application of a network HSM that goes on while its server is killed, for tests/test_secure_messaging_load.py.

    python network_user.py MODULE THREADS SECONDS LABEL PIN LONGEST

Each thread encrypts with a key whose value it knows, so that each answer can be checked. A call may fail with one of
the codes of a lost connection or a restarted HSM, and then the thread opens its session anew. Prints as JSON: how many
calls were answered, which codes were refused and how often, how often a session was opened, the longest call in
seconds, the resident memory (KiB) at a third and at the end. Ends with a message at the first wrong answer.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.cryptoki import Cryptoki, Refused, Session, code_name
from conformance.parameters import Mechanism
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

_LOST = {
    CKR.DEVICE_ERROR, CKR.DEVICE_REMOVED, CKR.DEVICE_RESET, CKR.SESSION_HANDLE_INVALID, CKR.TOKEN_NOT_PRESENT,
    CKR.SLOT_ID_INVALID,
}  # fmt: skip
_BETWEEN = 0.05


class Tally:
    """What all threads count."""

    def __init__(self, longest: float) -> None:
        """Begin; a call that takes longer than `longest` seconds is wrong."""
        self.lock = threading.Lock()
        self.answered = self.opened = 0
        self.refused: Counter[str] = Counter()
        self.longest, self.most = 0.0, longest
        self.wrong: list[str] = []

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        """Make a call; `Refused` with a code of a lost connection, else it is wrong."""
        begin = time.monotonic()
        try:
            result = function(*arguments)
        except Refused as refused:
            with self.lock:
                self.refused[code_name(refused.rv)] += 1
            if refused.rv not in _LOST:
                self.wrong.append(f"{function.__name__}: {refused}")
            raise
        finally:
            spent = time.monotonic() - begin
            self.longest = max(self.longest, spent)
            if spent > self.most:
                self.wrong.append(f"{function.__name__} took {spent:.1f} s")
        with self.lock:
            self.answered += 1
        return result


def _resident() -> int:
    """Return this process's resident memory in KiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _slot(cryptoki: Cryptoki, label: str) -> int:
    """Return the token's slot; LookupError while its server is away, or where it came back between two calls."""
    try:
        return cryptoki.find_slot(label)
    except Refused as refused:
        if refused.rv != CKR.BUFFER_TOO_SMALL:
            raise
        raise LookupError("the list has grown since it was counted") from refused


def _log_in(session: Session, pin: str) -> None:
    """Log in, unless another thread did."""
    try:
        session.login(pin)
    except Refused as refused:
        if refused.rv != CKR.USER_ALREADY_LOGGED_IN:
            raise


def _work(cryptoki: Cryptoki, label: str, pin: str, tally: Tally, until: float) -> None:
    """Use the token until the time is over."""
    value, identifier = os.urandom(16), os.urandom(8)
    cipher = Cipher(algorithms.AES(value), modes.ECB())  # noqa: S305 - to compare answers, not to hide anything
    template = {
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: value, CKA.ENCRYPT: True, CKA.SENSITIVE: True,
        CKA.ID: identifier,
    }  # fmt: skip
    while time.monotonic() < until and not tally.wrong:
        try:
            session = tally.call(cryptoki.open, tally.call(_slot, cryptoki, label))
            tally.opened += 1
            tally.call(_log_in, session, pin)
            key = tally.call(session.create, template)
            while time.monotonic() < until:
                data = os.urandom(32)
                encryptor = cipher.encryptor()
                if tally.call(session.encrypt, Mechanism(CKM.AES_ECB), key, data) != encryptor.update(data):
                    tally.wrong.append("a wrong answer")
                    return
                if [key] != tally.call(session.find, {CKA.ID: identifier}):
                    tally.wrong.append("another object was found")
                    return
            tally.call(session.close)
        except (Refused, LookupError):
            time.sleep(_BETWEEN)


def main() -> int:
    """Do what the words say."""
    path, threads, seconds, label, pin, longest = sys.argv[1:]
    cryptoki, tally = Cryptoki(path), Tally(float(longest))
    cryptoki.initialize()
    begin = time.monotonic()
    until = begin + float(seconds)
    workers = [
        threading.Thread(target=_work, args=(cryptoki, label, pin, tally, until)) for _ in range(int(threads))
    ]
    for worker in workers:
        worker.start()
    time.sleep(float(seconds) / 3)
    early = _resident()
    for worker in workers:
        worker.join()
    late = _resident()
    cryptoki.finalize()
    left = threading.active_count() - 1
    told = {
        "answered": tally.answered, "opened": tally.opened, "refused": tally.refused, "longest": tally.longest,
        "early": early, "late": late, "threads": left, "wrong": tally.wrong,
    }  # fmt: skip
    print(json.dumps(told))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
