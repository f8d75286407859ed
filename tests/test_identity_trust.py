"""Trust between HSMs, and what of an identity lasts: tampers, other processes, kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from asymmetric import refusal
from boards import (
    DAY,
    PENDING_OWNER,
    SELF,
    Board,
    board,
    boards,
    certificate,
    joined,
    paths_of,
    self_signed,
    three,
    two,
)
from cryptography.hazmat.primitives.asymmetric import ec

from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.mechanisms import load
from ptkc.spec.constants import CKO, CKR
from ptkc.spec.values import FALSE, TRUE
from ptkc.token.events import Event, unpack
from ptkc.token.hsms import Hsm

load()

from ptkc.hsm import identity  # noqa: E402 - behind `load`

__all__ = ["board", "three", "two"]  # fixtures


# Trust


def test_trust_is_one_way_until_it_is_given_both_ways(three: list[Board]) -> None:
    """A copy of the peer's PIC, labelled by its serial; an older copy is replaced."""
    one, two = three[:2]
    target = one.trust(two)
    assert f"PIC {two.hsm.serial}".encode() == one.get(target, "LABEL")
    assert (FALSE, TRUE, TRUE) == tuple(one.get(target, name) for name in ("LOCAL_IDENTITY_CERT", "TRUSTED", "TOKEN"))
    assert ([two.hsm.serial], []) == (one.trusted, two.trusted)
    assert target == one.trust(two)
    two.store_identity(one.certify(two.request()))
    again = one.trust(two)
    assert target != again
    assert two.value("PIC") == one.get(again, "VALUE")
    assert 1 == one.state.count(two.hsm.serial)
    two.trust(one)
    assert [one.hsm.serial] == two.trusted
    one.device.destroy_object(one.session, again)
    assert ([], [one.hsm.serial]) == (one.trusted, two.trusted)
    with refusal(CKR.OBJECT_HANDLE_INVALID):
        one.device.destroy_object(one.session, again)


def test_self_signed_hsms_trust_each_other(two: list[Board]) -> None:
    """And not one that an owner signed."""
    for each in two:
        each.generate_identity(self_sign=True)
    two[0].trust(two[1])
    two[1].trust(two[0])
    assert [two[1].hsm.serial] == two[0].trusted
    two[0].become_owner()
    assert [] == two[0].trusted
    with refusal(CKR.CERT_NOT_VALIDATED):
        two[0].trust(two[1])
    with refusal(CKR.CERT_NOT_VALIDATED):
        two[1].trust(two[0])
    assert [two[0].hsm.serial] == two[1].trusted  # it still holds the self-signed one


def test_trust_has_prerequisites(three: list[Board], tmp_path: Path) -> None:
    """An identity here, no owner pending here, another serial, the same owner, valid now."""
    one, two, _ = three
    (stranger,) = boards(tmp_path / "elsewhere", 1)
    with refusal(CKR.CERT_NOT_VALIDATED):
        stranger.store(one.value("PIC"), LOCAL_IDENTITY_CERT=False)
    stranger.become_owner()
    for trusting, trusted in ((one, stranger), (stranger, one)):
        with refusal(CKR.CERT_NOT_VALIDATED):
            trusting.trust(trusted)
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        one.trust(one)
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        one.store(self_signed(), LOCAL_IDENTITY_CERT=False)
    one.hsm.set_clock(one.hsm.now() + 11 * 365 * DAY)
    with refusal(CKR.CERT_NOT_VALIDATED):
        one.trust(two)
    one.hsm.set_clock(one.hsm.now() - 11 * 365 * DAY)
    one.generate_owner()
    with refusal(CKR.CERT_NOT_VALIDATED):
        one.trust(two)


def test_a_peers_certificate_is_in_use_while_it_is_valid_and_of_the_same_owner(three: list[Board]) -> None:
    """It stays in the list when the owner changes, and is not believed."""
    one, two, third = three
    one.trust(two)
    third.trust(two)
    one.store_identity(one.certify(one.request()))
    assert [two.hsm.serial] == one.trusted
    one.become_owner()
    assert ([], [two.hsm.serial]) == (one.trusted, third.trusted)
    assert 1 == one.state.count(two.hsm.serial)
    two.store_owner(one.value("POC"))
    two.store_identity(one.certify(two.request()))
    one.trust(two)
    assert [two.hsm.serial] == one.trusted
    third.hsm.set_clock(third.hsm.now() + 11 * 365 * DAY)
    assert [] == third.trusted


def test_a_peer_that_is_no_identity_is_refused(two: list[Board]) -> None:
    """A CA, another curve, a signature that is not its own."""
    board, other = two
    board.generate_identity(self_sign=True)
    key = ec.generate_private_key(ec.SECP521R1())
    serial = other.hsm.serial
    for value in (
        self_signed(serial=serial, ca=True),
        self_signed(serial=serial, curve=ec.SECP384R1()),
        self_signed(serial=serial, issued_by="other"),
        certificate(key, ec.generate_private_key(ec.SECP521R1()), serial=serial),
        self_signed(serial=serial, days=(-3, -2)),
    ):
        with refusal(CKR.CERT_NOT_VALIDATED):
            board.store(value, LOCAL_IDENTITY_CERT=False)
    board.store(self_signed(serial=serial), LOCAL_IDENTITY_CERT=False)
    assert [serial] == board.trusted


# What lasts


def test_identities_survive_tamper_and_initialisation(three: list[Board]) -> None:
    """Keys, certificates, peers, and their use."""
    one, two = three[:2]
    one.trust(two)
    state, certificates = one.state, [one.value(label) for label in ("POC", "PIC")]
    one.hsm.tamper("for a test")
    one.application = Application(one.hsm, Handles())
    one.device = LocalDevice(one.hsm, one.application)
    one.log_in()
    assert state == one.state
    assert certificates == [one.value(label) for label in ("POC", "PIC")]
    assert [two.hsm.serial] == one.trusted
    two.store_identity(one.certify(two.request()))
    one.trust(two)
    again = Hsm.open(*paths_of(one.hsm), one.hsm.serial)
    assert [two.hsm.serial] == list(identity.trusted(again))


def test_changes_are_in_the_event_log(three: list[Board]) -> None:
    """Identity replaced, peer trusted, peer removed."""
    one, two = three[:2]
    peer = one.trust(two)
    one.device.destroy_object(one.session, peer)
    entries = [unpack(record) for record in one.hsm.events()]
    said = [(entry.code, entry.detail) for entry in entries if entry.code in _EVENTS]
    assert [
        (Event.IDENTITY_REPLACED, "POK-Pending"),
        (Event.IDENTITY_REPLACED, "PIK-Pending"),
        (Event.IDENTITY_REPLACED, "PIC"),
        (Event.PEER_TRUSTED, two.hsm.serial),
        (Event.PEER_REMOVED, two.hsm.serial),
    ] == said


_EVENTS = (Event.IDENTITY_REPLACED, Event.PEER_TRUSTED, Event.PEER_REMOVED)

_WRITER = """
import os, sys
from ptkc.mechanisms import load
load()
from ptkc.hsm import identity
from ptkc.token.hsms import Hsm
hsm = Hsm.open(sys.argv[1], sys.argv[2], sys.argv[3])
print("ready", flush=True)
for turn in range(int(sys.argv[4])):
    if turn % 3 == 2:
        identity.generate_owner(hsm)
    else:
        identity.generate_identity(hsm, self_sign=bool(turn % 2))
    print(turn, flush=True)
"""


def writer(board: Board, turns: int) -> subprocess.Popen[str]:
    """Start a process that changes the identity so many times."""
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, *paths_of(board.hsm), board.hsm.serial, str(turns)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip


def whole(board: Board) -> None:
    """Assert that the identity is a whole one: each certificate with its pair, one of each."""
    entries = board.state.split()
    assert len(entries) == len(set(entries)), entries
    for key, signed in (("PIK", "PIC"), ("POK-Pending", "POC-Pending")):
        if f"{key}:k" in entries:
            wanted = board.get(board.one(CKO.CERTIFICATE, signed), "PUBLIC_KEY_INFO")
            assert wanted == board.get(board.one(CKO.PRIVATE_KEY, key), "PUBLIC_KEY_INFO")
            assert wanted == board.get(board.one(CKO.PUBLIC_KEY, key), "PUBLIC_KEY_INFO")
    for label in ("PIK-Pending", "POK-Pending"):
        assert (f"{label}:k" in entries) == (f"{label}:p" in entries)


def test_processes_that_change_an_identity_at_once_never_mix(board: Board) -> None:
    """Four writers and this process: whoever was last, one whole identity is there."""
    writers = [writer(board, 12) for _ in range(4)]
    for each in writers:
        assert "ready\n" == each.stdout.readline()
    for _ in range(5):
        board.generate_identity(self_sign=True)
    for each in writers:
        each.communicate(timeout=120)
        assert 0 == each.returncode
    whole(board)
    assert joined(SELF, PENDING_OWNER) == joined(*[entry for entry in board.state.split() if "PIK-" not in entry])


def test_a_killed_process_leaves_a_whole_identity(board: Board) -> None:
    """Kill -9 wherever it is."""
    board.generate_identity(self_sign=True)
    for turn in range(6):
        with writer(board, 1000) as process:
            for _ in range(2 + turn):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
        whole(board)
