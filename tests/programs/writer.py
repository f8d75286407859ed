"""A process that uses a token beside others: tests/test_processes.py starts several.

    python writer.py MODULE LABEL PIN ACTION [ARGUMENT ...]

Each action prints one word a line as it goes, flushed at once: what was printed has been answered CKR_OK.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

_P256 = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}


def say(word: object) -> None:
    """Print a line that the parent sees at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def value_of(label: str) -> bytes:
    """Return the value that an object with this label has: long enough to be torn."""
    return (label.encode() + b".") * 300


def make(session: pkcs11.Session, label: str) -> pkcs11.Object:
    """Make a private data object."""
    return session.create_object(
        {
            Attribute.CLASS: ObjectClass.DATA,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.LABEL: label,
            Attribute.VALUE: value_of(label),
        }
    )


def found(session: pkcs11.Session, label: str) -> list[pkcs11.Object]:
    """Return the data objects with this label."""
    return list(session.get_objects({Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: label}))


def trade(session: pkcs11.Session, name: str, other: str, directory: str, seconds: str) -> None:
    """Write objects and look for the other process's newest one, for a time; say the labels that must be there."""
    own, peer = Path(directory) / name, Path(directory) / other
    end, number, seen = time.monotonic() + float(seconds), 0, 0
    while time.monotonic() < end or number < 10:
        number += 1
        label = f"{name}-{number}"
        made = make(session, label)
        if number % 3 == 0:
            made.destroy()
            assert found(session, label) == []
        else:
            # The peer reads this only after the object was answered CKR_OK.
            turn = own.with_suffix(".new")
            turn.write_text(label, encoding="ascii")
            turn.rename(own)
            say(label)
        if peer.exists():
            newest = peer.read_text(encoding="ascii")
            (there,) = found(session, newest)
            assert there[Attribute.VALUE] == value_of(newest), newest
            seen += 1
    assert seen > 0, "never saw an object of the other process"


def pour(session: pkcs11.Session, name: str) -> None:
    """Write data objects and key pairs until killed."""
    number = 0
    while True:
        number += 1
        label = f"{name}-{number}"
        if number % 5:
            make(session, label)
        else:
            session.create_domain_parameters(KeyType.EC, _P256, local=True).generate_keypair(store=True, label=label)
        say(label)


def audit(session: pkcs11.Session) -> None:
    """Say every label; fail if an object is incomplete, a pair lacks a half, or a private key does not sign."""
    for there in session.get_objects({Attribute.CLASS: ObjectClass.DATA}):
        label = there[Attribute.LABEL]
        assert there[Attribute.VALUE] == value_of(label), label
        say(label)
    halves = {
        kind: {key[Attribute.LABEL]: key for key in session.get_objects({Attribute.CLASS: kind})}
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
    }
    private, public = halves[ObjectClass.PRIVATE_KEY], halves[ObjectClass.PUBLIC_KEY]
    assert private.keys() == public.keys(), private.keys() ^ public.keys()
    for label, key in private.items():
        signature = key.sign(bytes(32), mechanism=Mechanism.ECDSA)
        assert public[label].verify(bytes(32), signature, mechanism=Mechanism.ECDSA), label
        say(label)


ACTIONS: dict[str, Callable[..., None]] = {"trade": trade, "pour": pour, "audit": audit}


def main(path: str, label: str, pin: str, action: str, *arguments: str) -> None:
    """Open the token and do what was asked; `login` only says how the login, begun at a word from the parent, ended."""
    token = pkcs11.lib(path).get_token(token_label=label)
    if action == "login":
        say("ready")
        sys.stdin.readline()
        try:
            token.open(user_pin=pin)
        except pkcs11.PKCS11Error as error:
            say(type(error).__name__)
        else:
            say("OK")
        return
    with token.open(rw=True, user_pin=pin) as session:
        ACTIONS[action](session, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
