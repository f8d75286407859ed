"""HSM directories: when they are made, with which rights, and when an HSM is absent."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from hsm_directory import OTHER_USER, SO_PIN, USER_PIN, Place, aes_key, data_object, share

from ptkc.spec.constants import CKF, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token import place as places
from ptkc.token.hsms import Hsm


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an empty data path."""
    return Place(tmp_path)


def tree(directory: str) -> list[str]:
    """Return everything below a directory."""
    return sorted(str(path) for path in Path(directory).rglob("*"))


def mode(path: str | Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(os.stat(path).st_mode)


def test_an_hsm_is_virtual_until_something_is_written(place: Place) -> None:
    """Reading creates nothing; there are an uninitialised user slot and the Admin slot."""
    hsm = place.open()
    user, admin = hsm.tokens
    assert (0, 1) == (user.slot, admin.slot)
    assert (False, True) == (user.is_admin, admin.is_admin)
    assert (False, False) == (user.initialised, admin.initialised)
    assert f"AdminToken ({hsm.serial})".encode() == admin.label
    assert (hsm.serial + ":1", hsm.serial) == (user.serial, admin.serial)
    assert [] == user.find((), None)
    assert hsm.stamp() is None
    assert 0 == hsm.boot
    with pytest.raises(CryptokiError):
        user.login(CKU.SO, SO_PIN)
    hsm.close()
    assert [] == tree(place.directory)


def test_the_computed_serial_is_the_same_each_time_and_kept_once_written(place: Place, tmp_path: Path) -> None:
    """Seven digits from machine, data path and user; a data path that moved keeps its HSM."""
    serial = place.open().serial
    assert 7 == len(serial)
    assert serial.isdigit()
    assert serial == place.open().serial
    hsm, token, _ = place.initialised()
    assert serial == hsm.serial
    serials = (token.serial, hsm.tokens[1].serial)
    hsm.close()
    moved = Place(tmp_path / "moved")
    shutil.copytree(place.data_path, moved.data_path)
    shutil.copytree(place.key_path, moved.key_path)
    again = moved.open()
    assert serial != places.computed_serial(moved.data_path)
    assert serial == again.serial
    assert serials == (again.tokens[0].serial, again.tokens[1].serial)


def test_what_is_made_is_for_the_owner_only(place: Place) -> None:
    """Directories 0700, files 0600."""
    hsm, _, _ = place.initialised()
    wrong = [path for path in tree(place.directory) if mode(path) != (0o700 if os.path.isdir(path) else 0o600)]
    assert [] == wrong
    hsm.close()  # not before: its files come and go with it


def test_an_existing_data_path_s_mode_is_kept_and_passed_on(place: Place) -> None:
    """A data path shared by a group stays shared; nothing is ever for others."""
    os.mkdir(place.data_path)
    os.chmod(place.data_path, 0o2775)
    hsm, _, _ = place.initialised()
    assert 0o2775 == mode(place.data_path)
    assert 0o2770 == mode(hsm.directory)
    assert {0o660} == {mode(os.path.join(hsm.directory, name)) for name in os.listdir(hsm.directory)}
    assert 0o600 == mode(os.path.join(place.key_path, hsm.serial))


def test_nothing_half_is_left_if_making_the_hsm_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory appears whole, by a rename, or not at all."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        with pytest.raises(CryptokiError, match="No space left") as refused:
            place.open().tokens[0].initialise(SO_PIN, b"")
    assert CKR.TOKEN_WRITE_PROTECTED == refused.value.code
    assert [] == os.listdir(place.data_path)
    place.initialised()


def test_what_a_killed_maker_left_does_not_disturb(place: Place) -> None:
    """Its key file is used, its unfinished directory is not an HSM."""
    serial = place.open().serial
    os.makedirs(os.path.join(place.data_path, f".{serial}.00000000"))
    hsm = place.open()
    hsm._keys.create(serial)
    before = (Path(place.key_path) / serial).read_bytes()
    place.initialised()
    assert before == (Path(place.key_path) / serial).read_bytes()
    assert [serial] == places.serials(place.data_path)


def test_a_virtual_hsm_becomes_real_when_another_process_writes(place: Place) -> None:
    """Both processes then use the one directory."""
    hsm = place.open()
    place.say("place.initialised()")
    assert hsm.tokens[0].user_pin_set
    number = hsm.tokens[0].add(data_object(b"a"), None)
    assert str([number]) == place.say("print(place.open().tokens[0].find((), None))")


def test_two_processes_that_make_the_hsm_at_once_make_one(place: Place) -> None:
    """Who comes second finds the first one's."""
    script = "hsm = place.open(); print(flush=True); input(); hsm.tokens[0].add(data_object(b'a'), None); hsm.close()"
    processes = [place.process(script) for _ in range(6)]
    for process in processes:
        process.stdout.readline()  # type: ignore[union-attr]
    for process in processes:
        process.communicate("\n", timeout=60)
    assert [0] * 6 == [process.returncode for process in processes]
    assert 1 == len(os.listdir(place.data_path)) == len(os.listdir(place.key_path))
    assert 6 == len(place.open().tokens[0].find((), None))


def test_a_restart_raises_the_boot_number_for_every_process(place: Place) -> None:
    """`boot` is read again when the generation moved."""
    hsm, _, _ = place.initialised()
    before = hsm.boot
    place.say("place.open().restart()")
    assert before + 1 == hsm.boot


@pytest.mark.parametrize("data_path", ["", None])
def test_without_a_data_path_the_hsm_is_absent(data_path: str | None) -> None:
    """HOME is not set: CKR_DEVICE_REMOVED with the reason."""
    with pytest.raises(CryptokiError, match="HOME") as refused:
        Hsm.open(data_path, "")  # type: ignore[arg-type]
    assert CKR.DEVICE_REMOVED == refused.value.code


def test_a_data_path_that_is_no_directory_is_named(tmp_path: Path) -> None:
    """CKR_DEVICE_REMOVED."""
    (tmp_path / "data").write_text("")
    with pytest.raises(CryptokiError, match=str(tmp_path / "data")) as refused:
        Place(tmp_path).open()
    assert CKR.DEVICE_REMOVED == refused.value.code


def test_without_its_key_file_an_hsm_is_absent(place: Place) -> None:
    """CKR_DEVICE_REMOVED naming the file; nothing is made in its place."""
    hsm, _, _ = place.initialised()
    hsm.close()
    os.unlink(os.path.join(place.key_path, hsm.serial))
    with pytest.raises(CryptokiError, match=os.path.join(place.key_path, hsm.serial)) as refused:
        place.open()
    assert CKR.DEVICE_REMOVED == refused.value.code
    assert [] == os.listdir(place.key_path)


def test_roots_may_come_from_a_credential(place: Place, tmp_path: Path) -> None:
    """As systemd hands it over; the key path is not looked at then."""
    hsm, _, _ = place.initialised()
    hsm.close()
    (tmp_path / "credentials").mkdir()
    os.rename(os.path.join(place.key_path, hsm.serial), tmp_path / "credentials" / f"ptkc-{hsm.serial}")
    with_credential = Hsm.open(place.data_path, place.key_path, credentials=str(tmp_path / "credentials"))
    with_credential.tokens[0].login(CKU.USER, USER_PIN)


MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
55 22 0:48 / /home rw,relatime shared:9 - {kind} server:/home rw
"""


@pytest.mark.parametrize(("kind", "refused"), [("nfs4", True), ("cifs", True), ("tmpfs", False), ("overlay", False)])
def test_network_file_systems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool  # noqa: FBT001
) -> None:
    """CKR_DEVICE_REMOVED with the way out; local ones without a real device are not."""
    (tmp_path / "mounts").write_text(MOUNTS.format(kind=kind))
    monkeypatch.setattr(os, "stat", lambda _: os.stat_result((0o40700, 1, os.makedev(0, 48), *(0,) * 7)))
    if refused:
        with pytest.raises(CryptokiError, match="ET_PTKC_SW_DATAPATH"):
            places.check_file_system("/home/user", str(tmp_path / "mounts"))
    else:
        places.check_file_system("/home/user", str(tmp_path / "mounts"))


# As a user who may read but not write. Needs root, to become that user.

READER = f"""
from ptkc.token import pins, place as places
places.computed_serial("/")  # loads what could not be read any more where the installation is in a home directory
pins.seal_pin(bytes(32), b"", b"1234", bytes(32))
os.setgroups([]); os.setgid({OTHER_USER}); os.setuid({OTHER_USER})
"""


def test_a_directory_that_cannot_be_written_is_write_protected(place: Place, tmp_path: Path) -> None:
    """Reading and logging in work, writing is CKR_TOKEN_WRITE_PROTECTED, wrong PINs count in the process."""
    hsm, token, key = place.initialised()
    token.add(aes_key(b"a"), key)
    hsm.close()
    share(place, tmp_path)
    before = tree(place.data_path)
    said = place.say(READER + """
hsm = place.open(); token = hsm.tokens[0]
key = token.login(1, USER_PIN)
print(hsm.write_protected, len(token.find((), key)), token.load(token.find((), key)[0], key)[0][CKA.LABEL])
for change in (lambda: token.add(data_object(b"b"), None), lambda: token.set_pin(1, USER_PIN, b"another"),
               lambda: token.initialise(SO_PIN, b""), lambda: token.remove(token.find((), key)[0])):
    try:
        change()
    except CryptokiError as error:
        print(error.code)
for _ in range(3):
    try:
        token.login(1, b"wrong")
    except CryptokiError as error:
        print(error.code)
print(token.pin_state(1))
""")
    locked = CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_LOCKED
    refused = [str(CKR.TOKEN_WRITE_PROTECTED)] * 4 + [str(CKR.PIN_INCORRECT)] * 3 + [str(locked)]
    assert ["True 1 b'a'", *refused] == said.splitlines()
    assert before == tree(place.data_path)


def test_a_write_protected_directory_with_a_write_ahead_log_is_absent(place: Place, tmp_path: Path) -> None:
    """What is in the log cannot be read without writing: CKR_DEVICE_REMOVED."""
    hsm, _, _ = place.initialised()
    share(place, tmp_path)
    said = place.say(READER + """
try:
    place.open()
except CryptokiError as error:
    print(error.code, "write-ahead log" in error.message)
""")
    assert f"{CKR.DEVICE_REMOVED} True" == said
    hsm.close()


def test_an_unreadable_data_path_is_absent(place: Place, tmp_path: Path) -> None:
    """CKR_DEVICE_REMOVED with the path."""
    hsm, _, _ = place.initialised()
    hsm.close()
    share(place, tmp_path)
    os.chmod(place.data_path, 0o700)
    said = place.say(READER + """
try:
    place.open()
except CryptokiError as error:
    print(error.code, place.data_path in error.message)
""")
    assert f"{CKR.DEVICE_REMOVED} True" == said


def test_a_virtual_hsm_where_nothing_can_be_made_is_write_protected(place: Place, tmp_path: Path) -> None:
    """The slots are there, the first write is refused."""
    os.mkdir(place.data_path)
    os.mkdir(place.key_path)
    share(place, tmp_path)
    said = place.say(READER + """
hsm = place.open()
print(hsm.write_protected, len(hsm.tokens))
try:
    hsm.tokens[0].initialise(SO_PIN, b"")
except CryptokiError as error:
    print(error.code)
""")
    assert f"True 2\n{CKR.TOKEN_WRITE_PROTECTED}" == said
