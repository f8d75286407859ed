"""What a wire between the library and a network HSM can read under each flag set, and what it gets by pretending.

What a wire can do under which flags stands as a table in docs/security.md; what it can change is the matter of
tests/test_secure_messaging_frames.py.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conformance.cryptoki import Cryptoki, Refused, Session
from conformance.parameters import Mechanism
from lines import ITEMS, MODES, library, line_under
from machine import Machine
from modules import Module
from network import LABEL, OTHER, SERIAL, USER_PIN, client, made, served, set_flags
from processes import program, run
from wire import REPLIES, REQUESTS, Passed, Wire

from ptkc.sms.frames import clear
from ptkc.sms.protection import (
    ENCRYPTED,
    SIGNED,
    policy_of_flags,
    policy_of_letters,
    reply_needs,
    request_needs,
)
from ptkc.sms.state import REFUSED
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.wire.codec import decode_request
from ptkc.wire.commands import BY_NAME

_VALUE = b"the value of a key, 32 bytes long"[:32]
_PLAINTEXT = b"the plaintext of an encryption, 48 bytes in all."

# What can be read


def _work(session: Session) -> None:
    """Do something with each kind of secret: a PIN, a key value, data that go in, data that come out."""
    session.login(USER_PIN)
    session.create(
        {
            CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE: _VALUE, CKA.SENSITIVE: True,
        }
    )  # fmt: skip
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 16, CKA.ENCRYPT: True, CKA.DECRYPT: True})
    sealed = session.encrypt(Mechanism(CKM.AES_ECB), key, _PLAINTEXT)
    assert _PLAINTEXT == session.decrypt(Mechanism(CKM.AES_ECB), key, sealed)


# Flags: whether PIN, key value, plaintext in a request and plaintext in a reply can be read on the wire.
_SEEN = {
    "0": (True, True, True, True),
    "n": (False, False, True, True),
    "u": (True, True, True, True),
    "nu": (False, False, True, True),
    "U": (True, True, True, True),
    "N": (False, False, False, False),
    "NU": (False, False, False, False),
    "F": (False, False, True, True),
}


@pytest.mark.parametrize("flags", sorted(_SEEN))
def test_what_the_wire_reads_is_what_the_flags_say(
    module: Module, appliance: Machine, tmp_path: Path, flags: str
) -> None:
    """PIN and key value are hidden under `n`, everything under `N`, nothing under `u` and `U`; `F` is as `nu`."""
    with line_under(module, appliance, tmp_path, flags, user=False) as line:
        _work(line.session)
        sent, received = (bytes(line.wire.raw[direction]) for direction in (REQUESTS, REPLIES))
    seen = (USER_PIN.encode() in sent, _VALUE in sent, _PLAINTEXT in sent, _PLAINTEXT in received)
    assert _SEEN[flags] == seen


def _check_protection(frames: list[Passed], policy: int) -> None:
    """Assert that each frame has what a policy wants, and that what has no channel has no session either."""
    kinds = {passed.kind for passed in frames}
    assert {"REQUEST", "REPLY"} <= kinds
    for passed in frames:
        if passed.kind == "REPLY":
            assert reply_needs(policy) == passed.protection & reply_needs(policy)
        elif passed.kind == "REQUEST":
            needed = request_needs(policy, sensitive=False)
            assert needed == passed.protection & needed
        elif passed.kind == "PLAIN_REQUEST" and len(passed.frame) > 24:
            command, _ = decode_request(passed.frame[24:])
            assert not command.has_session, command.name


@pytest.mark.parametrize("flags", sorted(set(_SEEN) - {"0"}))
def test_each_frame_has_the_protection_that_the_flags_want(
    module: Module, appliance: Machine, tmp_path: Path, flags: str
) -> None:
    """And only functions with a session handle are protected: the others are outside, as in the original."""
    with line_under(module, appliance, tmp_path, flags, user=False) as line:
        _work(line.session)
        frames = list(line.wire.frames)
    _check_protection(frames, policy_of_flags(MODES[flags]))
    both = [passed.protection for passed in frames if passed.kind in ("REQUEST", "REPLY")]
    assert any(each & ENCRYPTED for each in both) is (flags not in ("u", "U"))
    assert any(each & SIGNED for each in both) is (flags not in ("n", "N"))


@pytest.mark.parametrize("level", ["temporary", "user"])
@pytest.mark.parametrize("letters", ["SR", "E", "NU"])
def test_the_smpr_adds_to_an_hsm_without_flags(
    module: Module, appliance: Machine, tmp_path: Path, letters: str, level: str
) -> None:
    """`ET_PTKC_<serial>_SMPR=SR`: requests and replies are signed, though the HSM does not ask for it."""
    items = {f"PTKC_{SERIAL}_SMPR": letters} if level == "temporary" else {}
    if level == "user":
        directory = tmp_path / "client" / ".safenet"
        directory.mkdir(parents=True)
        (directory / "et_ptkc").write_text(f"ET_PTKC_{SERIAL}_SMPR={letters}\n", encoding="ascii")
    with line_under(module, appliance, tmp_path, "0", user=False, **items) as line:
        _work(line.session)
        _check_protection(list(line.wire.frames), policy_of_letters(letters))
        assert (USER_PIN.encode() not in line.wire.raw[REQUESTS]) is (letters != "SR")


def test_the_smpr_of_the_system_holds(module: Module, appliance: Machine, tmp_path: Path) -> None:
    """`/etc/default/et_ptkc`: a program sees it in a mount namespace of its own, where all else is as it was."""
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
    if subprocess.run([program(inside[0]), *inside[1:], "mount --bind /tmp /etc/default"], check=False).returncode:
        pytest.skip("the kernel gives no mount namespace")
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "et_ptkc").write_text(f"ET_PTKC_{SERIAL}_SMPR=SR\n", encoding="ascii")
    with served(appliance.copy(tmp_path / "appliance")) as told, Wire(told.port) as wire:
        machine = client(tmp_path / "client", wire.port, trusts=appliance, **ITEMS)
        run(
            *inside, 'mount --bind "$0" /etc/default; exec "$@"', tmp_path / "default", "pkcs11-tool", "--module",
            module.path, "--token-label", LABEL, "--login", "--pin", USER_PIN, "--list-objects",
            env=machine.environment,
        )  # fmt: skip
        _check_protection(list(wire.frames), policy_of_letters("SR"))


# Men in the middle


def _no_flags(passed: Passed) -> list[bytes]:
    """Say in place of the HSM that it has no flags and proves nothing."""
    if passed.kind != "STATEMENT":
        return [passed.frame]
    body = bytearray(passed.frame[24:])
    body[0:8] = bytes(8)
    serial_end = 17 + body[16]
    return [clear(passed.frame[1], bytes(body[:serial_end]) + b"\0" + b"\0\0")]


def _flags_changed(passed: Passed) -> list[bytes]:
    """Change only the flags of what the HSM states."""
    if passed.kind != "STATEMENT":
        return [passed.frame]
    return [passed.frame[:24] + bytes(8) + passed.frame[32:]]


def _refused(passed: Passed) -> list[bytes]:
    """Refuse every handshake in place of the HSM."""
    return [clear(REFUSED, bytes(8))] if passed.kind == "ANSWER" else [passed.frame]


@pytest.mark.parametrize("script", [_no_flags, _flags_changed, _refused])
def test_a_man_in_the_middle_gets_no_pin(
    module: Module, appliance: Machine, tmp_path: Path, script: Callable[[Passed], list[bytes]]
) -> None:
    """Who says `no flags`, or refuses the handshake, ends the session's beginning: nothing is sent in clear."""
    server = appliance.copy(tmp_path / "appliance")
    set_flags(server, "NU")
    with served(server) as told, Wire(told.port) as wire:
        machine = client(tmp_path / "client", wire.port, trusts=server, **ITEMS)
        with wire.doing(script), library(module, machine) as cryptoki:
            slot = cryptoki.find_slot(LABEL)
            with pytest.raises(Refused) as caught:
                cryptoki.open(slot)
        assert CKR.SMS_ERROR == caught.value.rv, str(caught.value)
        assert USER_PIN.encode() not in wire.raw[REQUESTS]
        assert "REQUEST" not in wire.kinds()


def test_flags_that_are_set_meanwhile_protect_the_next_call(
    module: Module, appliance: Machine, tmp_path: Path
) -> None:
    """A session that began in clear goes on protected, with the same handle and login."""
    with line_under(module, appliance, tmp_path, "0") as line:
        assert CKR.OK == line.code()
        set_flags(line.server, "NU")
        line.wire.forget()
        assert CKR.OK == line.code()
        _check_protection(list(line.wire.frames)[-2:], policy_of_flags(MODES["NU"]))
        line.session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 16})


def test_flags_that_became_weaker_end_the_sessions_and_not_the_protection(
    module: Module, appliance: Machine, tmp_path: Path
) -> None:
    """CKR_DEVICE_RESET once; what follows is protected as before."""
    with line_under(module, appliance, tmp_path, "NU") as line:
        set_flags(line.server, "0")
        assert CKR.DEVICE_RESET == line.code()
        assert CKR.SESSION_HANDLE_INVALID == line.code()
        line.wire.forget()
        session = line.cryptoki.open(line.cryptoki.find_slot(LABEL))
        session.login(USER_PIN)
        session.info()
        assert USER_PIN.encode() not in line.wire.raw[REQUESTS]
        _check_protection(list(line.wire.frames), policy_of_flags(MODES["NU"]))


def test_a_client_without_the_certificate_opens_no_protected_session(
    module: Module, appliance: Machine, tmp_path: Path
) -> None:
    """CKR_CERT_NOT_VALIDATED from C_OpenSession."""
    server = appliance.copy(tmp_path / "appliance")
    set_flags(server, "n")
    with served(server) as told:
        machine = client(tmp_path / "client", told.port, **ITEMS)
        with library(module, machine) as cryptoki:
            slot = cryptoki.find_slot(LABEL)
            with pytest.raises(Refused) as refused:
                cryptoki.open(slot)
    assert CKR.CERT_NOT_VALIDATED == refused.value.rv


@contextlib.contextmanager
def _reached(module: Module, appliance: Machine, top: Path, flags: str) -> Iterator[tuple[Cryptoki, Wire]]:
    """Return a library that reaches an HSM with these flags through a wire, and has no session with it."""
    server = appliance.copy(top / "appliance")
    set_flags(server, flags)
    with served(server) as told, Wire(told.port) as wire:
        machine = client(top / "client", wire.port, trusts=server, **ITEMS)
        with library(module, machine) as cryptoki:
            yield cryptoki, wire


@pytest.fixture(scope="module")
def fleet(module: Module, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Return two HSMs of one owner, both under `NU`."""
    if not module.ours:
        pytest.skip("secure messaging is ours")
    machine = made(tmp_path_factory.mktemp("fleet") / "home", SERIAL, OTHER, owner=True)
    for serial in (SERIAL, OTHER):
        set_flags(machine, "NU", serial)
    return machine


def _renamed(data: bytes, before: str, after: str) -> bytes:
    return data.replace(before.encode().ljust(16), after.encode().ljust(16))


@pytest.mark.parametrize("pinned", [False, True], ids=["chain to the owner", "pinned"])
def test_another_hsm_of_the_same_owner_is_not_the_one_that_was_asked_for(
    module: Module, fleet: Machine, tmp_path: Path, *, pinned: bool
) -> None:
    """Who leads a client's connection to another HSM, whose certificate is good, gets nothing."""
    server = fleet.copy(tmp_path / "fleet")
    with served(server) as told, Wire(told.port) as wire:
        machine = client(tmp_path / "client", wire.port, trusts=server, **ITEMS)
        if not pinned:
            for file in machine.store.glob("HSM_*.crt"):
                file.unlink()
        with library(module, machine) as cryptoki:
            cryptoki.open(cryptoki.find_slot(LABEL)).login(USER_PIN)
        wire.forget()
        wire.preludes = lambda data: _renamed(data, SERIAL, OTHER)
        with library(module, machine) as cryptoki:
            slot = cryptoki.slots()[0]
            assert bytes(cryptoki.token(slot).label).startswith(b"other"), "what has no session is not protected"
            with pytest.raises(Refused) as caught:
                cryptoki.open(slot)
        assert caught.value.rv in (CKR.CERT_NOT_VALIDATED, CKR.SMS_ERROR), str(caught.value)
        assert USER_PIN.encode() not in wire.raw[REQUESTS]
        assert "REQUEST" not in wire.kinds()


@pytest.mark.parametrize("flags", ["n", "N", "u", "U"])
def test_a_token_is_not_initialised_where_its_pin_would_travel_in_clear(
    module: Module, appliance: Machine, tmp_path: Path, flags: str
) -> None:
    """C_InitToken has no session: CKR_ACCESS_DENIED under `n` and `N`; under the other flags it is as without any."""
    with _reached(module, appliance, tmp_path, flags) as (cryptoki, wire):
        slot = cryptoki.find_slot(LABEL)
        with pytest.raises(Refused) as refused:
            cryptoki.init_token(slot, "a wrong PIN of the SO", "renamed")
        is_hidden = flags in "nN"
        assert (CKR.ACCESS_DENIED if is_hidden else CKR.PIN_INCORRECT) == refused.value.rv, str(refused.value)
        assert b"a wrong PIN of the SO" in wire.raw[REQUESTS] or is_hidden


def test_an_hsm_is_administered_through_the_channel(module: Module, appliance: Machine, tmp_path: Path) -> None:
    """Flags, clock, identity and tokens over TCP under `NU`: no PIN can be read."""
    server = appliance.copy(tmp_path / "appliance")
    set_flags(server, "NU")
    with served(server) as told, Wire(told.port) as wire:
        machine = client(tmp_path / "client", wire.port, trusts=server)
        machine.environment[f"PTKC_ADMIN_PIN_{SERIAL}"] = f"admin-{SERIAL}"
        machine.tool("ctconf", f"-asn:{SERIAL}", "-fNUt")
        machine.tool("ctconf", f"-asn:{SERIAL}", "-t")
        assert SERIAL == machine.listed()[0]["serial"]
        machine.ctident("gen-selfsigned", f"sn:{SERIAL}", typed="y")
        machine.tool("ctconf", f"-asn:{SERIAL}", "-c1")
        machine.tool("ctconf", f"-asn:{SERIAL}", "-n1", typed="second", PTKC_SO_PIN="so-87654321")
        machine.tool("ctconf", f"-asn:{SERIAL}", "-f0")
        for secret in (f"admin-{SERIAL}", "so-87654321"):
            assert secret.encode() not in wire.raw[REQUESTS]
        _check_protection(list(wire.frames), policy_of_flags(MODES["NU"]))


def _to_another_slot(passed: Passed) -> list[bytes]:
    """Have a session be opened with another slot than the one that was asked for."""
    frame = passed.frame
    if passed.kind != "PLAIN_REQUEST" or frame[26:28] != BY_NAME["C_OpenSession"].number.to_bytes(2, "little"):
        return [frame]
    return [frame[:28] + (1).to_bytes(8, "little") + frame[36:]]


def test_a_session_with_another_token_than_the_client_meant_is_of_no_use(
    module: Module, appliance: Machine, tmp_path: Path
) -> None:
    """C_OpenSession is not protected, but every request is bound to slot and token: the PIN is not tried there."""
    with _reached(module, appliance, tmp_path, "NU") as (cryptoki, wire):
        slot = cryptoki.find_slot(LABEL)
        with wire.doing(_to_another_slot):
            session = cryptoki.open(slot)
        with pytest.raises(Refused) as refused:
            session.login(USER_PIN)
        assert CKR.SMS_ERROR == refused.value.rv, str(refused.value)
        cryptoki.open(slot).login(USER_PIN)
