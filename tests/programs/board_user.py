"""An application at work while its HSMs are tampered, restarted, taken away and put back.

python board_user.py MODULE ask             does what each line of standard input says, prints the return codes
python board_user.py MODULE work THREADS    works until standard input ends, prints the return codes there were
"""

import contextlib
import random
import sys
import threading

import PyKCS11
from PyKCS11 import CKA_CLASS, CKA_LABEL, CKA_TOKEN, CKF_RW_SESSION, CKF_SERIAL_SESSION, CKO_DATA, CKU_SO, PyKCS11Error

_PIN = "1234567"
_OBJECT = [(CKA_CLASS, CKO_DATA), (CKA_TOKEN, True), (CKA_LABEL, "a")]

library = PyKCS11.PyKCS11Lib()
library.load(sys.argv[1])


def code(function, *arguments):
    """Return 0, or the return code of a refused call."""
    try:
        function(*arguments)
    except PyKCS11Error as error:
        return error.value
    return 0


def prepare(slot, *, again=False):
    """Initialise a token and set its user PIN, return a session with the user logged in."""
    library.initToken(slot, _PIN, "board")
    session = library.openSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION)
    session.login(_PIN, CKU_SO)
    session.initPin(_PIN)
    session.logout()
    session.login(_PIN)
    return session


def ask():
    """Answer line by line."""
    sessions = {}
    for line in sys.stdin:
        action, _, slot = line.strip().partition(" ")
        session = sessions.get(slot)
        if action == "prepare":
            sessions[slot] = prepare(int(slot))
            answer = 0
        elif action == "slots":
            answer = " ".join(map(str, library.getSlotList()))
        elif action == "info":
            answer = code(session.getSessionInfo)
        elif action == "find":
            answer = code(session.findObjects)
        elif action == "create":
            answer = code(session.createObject, _OBJECT)
        elif action == "token":
            answer = code(library.getTokenInfo, int(slot))
        else:
            answer = code(session.closeSession)
        print(answer, flush=True)


def work(threads):
    """Use whatever slots there are, at once, until standard input ends."""
    codes = set()
    end = threading.Event()

    def one(seed):
        chance = random.Random(seed)
        while not end.is_set():
            try:
                slots = library.getSlotList()
                slot = chance.choice(slots) if slots else 0
                if not library.getTokenInfo(slot).flags & PyKCS11.CKF_TOKEN_INITIALIZED:
                    library.initToken(slot, _PIN, "board")
                session = library.openSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION)
                with contextlib.suppress(PyKCS11Error):
                    session.login(_PIN, CKU_SO)
                for _ in range(5):
                    session.createObject(_OBJECT)
                    for found in session.findObjects()[:3]:
                        session.getAttributeValue(found, [CKA_LABEL])
                        session.destroyObject(found)
                session.closeSession()
            except PyKCS11Error as error:
                codes.add(error.value)

    running = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    end.set()
    for thread in running:
        thread.join()
    print(" ".join(str(value) for value in sorted(codes)))


if sys.argv[2] == "ask":
    ask()
else:
    work(int(sys.argv[3]))
# What PyKCS11's finaliser would do with sessions that are gone is not what is tested.
library.lib.C_Finalize()
