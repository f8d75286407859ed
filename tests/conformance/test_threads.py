"""Several threads in one application, each with its own sessions. Each test has a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ptkc.spec.constants import CKA, CKM

from . import child
from .cryptoki import Cryptoki, Session
from .fresh_token import USER_PIN, loaded
from .keys import DATA, aes, generate_ec, import_rsa, private_rsa
from .parameters import Mechanism

_THREADS = 4
_ROUNDS = 25


def _run(work: Callable[[int], None]) -> None:
    """Run `work(number)` in several threads that begin together; raise the first failure."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(_THREADS)

    def body(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as failure:  # noqa: BLE001 (it is raised again in the main thread)
            failures.append(failure)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _logged_in(path: str) -> tuple[Cryptoki, int, Session]:
    """Load the module and log the user in; the session keeps the login."""
    cryptoki, slot = loaded(path)
    session = cryptoki.open(slot)
    session.login(USER_PIN)
    return cryptoki, slot, session


def _signing(path: str) -> None:
    cryptoki, slot, session = _logged_in(path)
    mechanism = Mechanism(CKM.SHA256_RSA_PKCS)
    public, private = import_rsa(session, private_rsa(), {CKA.VERIFY: True}, {CKA.SIGN: True})

    def work(number: int) -> None:
        own = cryptoki.open(slot)
        for turn in range(_ROUNDS):
            data = f"{number} {turn}".encode()
            own.verify(mechanism, public, data, own.sign_parts(mechanism, private, [data[:1], data[1:]]))
        own.close()

    _run(work)
    cryptoki.finalize()


@pytest.mark.needs(CKM.SHA256_RSA_PKCS)
def test_threads_sign_with_one_key() -> None:
    """Signatures of four threads with one key do not mix."""
    child.run(_signing, child.module_path())


def _opening(path: str) -> None:
    cryptoki, slot, session = _logged_in(path)

    def work(number: int) -> None:
        for turn in range(_ROUNDS):
            own = cryptoki.open(slot) if turn % 2 else cryptoki.open_read_only(slot)
            label = f"{number} {turn}"
            handle = own.create(DATA | {CKA.LABEL: label})
            assert [handle] == own.find({CKA.LABEL: label})
            own.close()

    _run(work)
    assert [] == session.find(DATA)
    cryptoki.finalize()


def test_threads_open_and_close_sessions() -> None:
    """Sessions and session objects of four threads come and go without mixing."""
    child.run(_opening, child.module_path())


def _storing(path: str) -> None:
    cryptoki, slot, session = _logged_in(path)

    def work(number: int) -> None:
        own = cryptoki.open(slot)
        handles = [own.create(DATA | {CKA.TOKEN: True, CKA.LABEL: f"{number} {turn}"}) for turn in range(5)]
        for handle in handles[1:]:
            own.set(handle, {CKA.LABEL: f"changed by {number}"})
            own.destroy(handle)
        own.close()

    _run(work)
    labels = {f"{number} 0" for number in range(_THREADS)}
    found = session.find({CKA.TOKEN: True})
    assert labels == {session.get(handle, CKA.LABEL).decode() for handle in found}
    session.destroy(*found)
    cryptoki.finalize()


def test_threads_write_token_objects() -> None:
    """What four threads create, change and destroy on the token is right in the end."""
    child.run(_storing, child.module_path())


def _generating(path: str) -> None:
    cryptoki, slot, _ = _logged_in(path)
    points: set[bytes] = set()

    def work(_: int) -> None:
        own = cryptoki.open(slot)
        for _turn in range(5):
            public, private = generate_ec(own, {CKA.VERIFY: True}, {CKA.SIGN: True})
            points.add(own.get(public, CKA.EC_POINT))
            own.verify(Mechanism(CKM.ECDSA), public, b"x" * 32, own.sign(Mechanism(CKM.ECDSA), private, b"x" * 32))

    _run(work)
    assert _THREADS * 5 == len(points)
    cryptoki.finalize()


@pytest.mark.needs(CKM.EC_KEY_PAIR_GEN, CKM.ECDSA)
def test_threads_generate_keys() -> None:
    """Key pairs of four threads are all different, and each works."""
    child.run(_generating, child.module_path())


def _encrypting(path: str) -> None:
    cryptoki, slot, session = _logged_in(path)
    key = aes(session, ENCRYPT=True, DECRYPT=True)

    def work(number: int) -> None:
        own, data = cryptoki.open(slot), bytes([number]) * 100
        mechanism = Mechanism(CKM.AES_CBC_PAD, bytes([number]) * 16)
        for _turn in range(_ROUNDS):
            encrypted = own.cipher_parts("Encrypt", mechanism, key, [data[:33], data[33:]])
            assert data == own.cipher_parts("Decrypt", mechanism, key, [encrypted[:50], encrypted[50:]])

    _run(work)
    cryptoki.finalize()


@pytest.mark.needs(CKM.AES_CBC_PAD)
def test_threads_encrypt_in_parts() -> None:
    """Multi-part operations of four threads do not mix."""
    child.run(_encrypting, child.module_path())
