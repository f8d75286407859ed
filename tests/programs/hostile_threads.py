"""Several threads that do whatever chance says with the same sessions: tests/test_hostile_calls.py starts it.

    python hostile_threads.py MODULE DIRECTORY SECONDS SEED

Prints one line for each answer that no list of codes has, and for each bug that was logged; nothing if all is well.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from random import Random

from codes import unlisted
from conformance.cryptoki import Refused
from conformance.fresh_token import USER_PIN
from hostility import sequences
from programs.hostile import Player

from ptkc.spec.constants import CKF, CKR, CKU

_THREADS = 4
_LIVES = 3
"""How many threads end and begin the library, or its sessions, beside those that work."""

_PIN = USER_PIN.encode()
# Calls that meet in the same session, and those that take it away.
_OPENING = ("C_OpenSession", (("slot", 0), CKF.SERIAL_SESSION | CKF.RW_SESSION, None, None, ("new session",)))
_LOGIN = ("C_Login", (("session", 0), CKU.USER, _PIN, len(_PIN)))
_TOGETHER = (
    *[_OPENING] * 12,
    *[_LOGIN] * 6,
    ("C_Logout", (("session", 0),)),
    ("C_Logout", (("session", 0),)),
    *[("C_CloseSession", (("session", place),)) for place in (0, 0, 1, 2)],
    ("C_CloseAllSessions", (("slot", 0),)),
    ("C_OpenSession", (("slot", 0), CKF.SERIAL_SESSION, None, None, ("new session",))),
    ("C_GetSessionInfo", (("session", 0), ("structure", "CK_SESSION_INFO"))),
    *[("C_FindObjectsInit", (("session", 0), ("template", []), 0))] * 3,
    *[("C_FindObjects", (("session", 0), ("out", 4096), 7, ("count", 0)))] * 3,
    ("C_FindObjectsFinal", (("session", 0),)),
)
_LEFT_OUT = (
    "C_Finalize", "C_Initialize", "C_CloseAllSessions", "C_Login", "C_SetPIN", "C_InitPIN", "C_InitToken",
    "CT_InitToken", "CT_InitPIN", "CT_ResetToken",
)  # fmt: skip
"""What chance alone would call too often, or with PINs that lock the token."""


class Crowd:
    """Threads with one player: its lists of handles are shared, and mended as sessions go."""

    def __init__(self, player: Player, seconds: float, seed: int) -> None:
        """Begin a life of the library with three sessions."""
        self.player = player
        self.end = time.monotonic() + seconds
        self.ending = False
        self.seed = seed
        self.wrong: set[str] = set()
        player.restore()
        player.begin(CKU.USER)

    def work(self, number: int) -> None:
        """Make calls until the time is over."""
        chance = Random(self.seed + number)
        while time.monotonic() < self.end:
            _, calls = sequences.draw(chance)
            for name, arguments in [*(call for call in calls if call[0] not in _LEFT_OUT), chance.choice(_TOGETHER)]:
                code, _ = self.player.call(name, arguments)
                if found := unlisted(name, code, ending=self.ending):
                    self.wrong.add(f"{name}: {found}")
                elif code == CKR.OK:
                    self.mend(name, chance)

    def mend(self, name: str, chance: Random) -> None:
        """Keep the shared handles fresh: a new session takes the place of an old one, a login shows private objects."""
        player = self.player
        if name == "C_OpenSession":
            player.sessions[chance.randrange(3)] = player.sessions[-1]
        elif name == "C_Login":
            with contextlib.suppress(Refused):
                session = player.cryptoki.open(player.slot)
                player.look(session)
                session.close()

    def live(self, number: int) -> None:
        """End the library and begin it anew, at moments that nobody expects."""
        chance = Random(self.seed - number)
        while time.monotonic() < self.end:
            time.sleep(chance.random() * 0.2)
            for call in (self.player.cryptoki.finalize, lambda: self.player.begin(CKU.USER)):
                try:
                    call()
                except Refused as refused:
                    if refused.rv in (CKR.GENERAL_ERROR, CKR.FUNCTION_FAILED, CKR.HOST_MEMORY):
                        self.wrong.add(str(refused))

    def run(self, lives: int) -> None:
        """Run all threads to their end; `lives` of them end and begin the library."""
        self.ending = bool(lives)
        threads = [threading.Thread(target=self.work, args=(number,)) for number in range(_THREADS)]
        threads += [threading.Thread(target=self.live, args=(number,)) for number in range(lives)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main() -> None:
    """Work in one life of the library, then in many."""
    path, directory, seconds, seed = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    sys.setswitchinterval(1e-5)
    player = Player(path, directory)
    for lives in (0, _LIVES):
        crowd = Crowd(player, seconds / 2, seed + lives)
        crowd.run(lives)
        if not player.is_healthy():
            crowd.wrong.add("the token does not work afterwards")
        sys.stdout.write("".join(f"{line}\n" for line in sorted(crowd.wrong)))
    bugs = {line.split(" ", 2)[2] for line in player.log.read_text(encoding="utf-8").splitlines() if " bug: " in line}
    sys.stdout.write("".join(f"{line}\n" for line in sorted(bugs)))


if __name__ == "__main__":
    main()
