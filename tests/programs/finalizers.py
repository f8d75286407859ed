"""A Python host whose garbage collector runs finalizers that call the module, at the worst moments.

    python finalizers.py MODULE LABEL PIN        prints `done` at the end

The collector runs in whatever Python code makes objects, the module's own included. A finalizer that runs there finds
the locks of its own library taken, PyKCS11's for one, and would wait for itself.
"""

import gc
import sys

import pkcs11
import PyKCS11


class Cycle:
    """Garbage that only the collector finds; its end closes a session."""

    def __init__(self, session: pkcs11.Session) -> None:
        """Refer to ourselves."""
        self.itself, self.session = self, session

    def __del__(self) -> None:
        """Call the module."""
        self.session.close()


def main(path: str, label: str, pin: str) -> None:
    """Work with both libraries while garbage is collected all the time."""
    # Collections begin in the midst of C_Initialize: it makes hundreds of objects, PyKCS11's own code before it a few.
    for later in range(60, 400, 20):
        gc.collect()
        gc.disable()
        garbage = PyKCS11.PyKCS11Lib().load(path)
        garbage.unload()
        garbage.itself = garbage
        del garbage
        library = PyKCS11.PyKCS11Lib()
        gc.set_threshold(gc.get_count()[0] + later)
        gc.enable()
        library.load(path)
        gc.disable()  # PyKCS11's own code is not safe from its finalizer either
        library.unload()
    gc.enable()
    gc.set_threshold(20, 2, 2)
    token = pkcs11.lib(path).get_token(token_label=label)
    with token.open(rw=True, user_pin=pin) as session:
        for number in range(60):
            Cycle(token.open())
            key = session.generate_key(pkcs11.KeyType.AES, 128, label=f"key {number}")
            key.encrypt(bytes(16), mechanism_param=bytes(16))
            list(session.get_objects({pkcs11.Attribute.LABEL: "key 1"}))
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
