"""Administration while applications work over the network: channels closed, flags changed, HSMs restarted; the docs.

What the application gets each time is the table of docs/secure-messaging-use.md.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from network import SERIAL, USER_PIN, client, made, served, set_flags
from processes import program

from ptkc.items import ITEMS

_DOCS = Path(__file__).parents[1] / "docs"

# An application that logs in, has a command given, and goes on; it prints what each of three calls, a use of
# its key, and a new session gave.
_APPLICATION = """
import json, subprocess, sys
from pkcs11 import KeyType
from ptkc.vendor import devices, lib
pin, *command = sys.argv[1:]
(device,) = devices(lib())
session = device.user_slots[0].get_token().open(rw=True, user_pin=pin)
key = session.generate_key(KeyType.AES, 256)
done = subprocess.run(command, capture_output=True, text=True)
said = [done.stdout + done.stderr]
for _ in range(3):
    try:
        said.append(len(session.generate_random(64)))
    except Exception as error:
        said.append(type(error).__name__)
try:
    said.append(len(key.encrypt(bytes(16), mechanism_param=bytes(16))))
except Exception as error:
    said.append(type(error).__name__)
try:
    said.append(len(device.user_slots[0].get_token().open(user_pin=pin).generate_random(64)))
except Exception as error:
    said.append(type(error).__name__)
print(json.dumps(said))
"""

_LOGGED_IN_STILL = [8, 8, 8, 32, "UserAlreadyLoggedIn"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Make a machine with an HSM, its token and its identity."""
    return made(tmp_path_factory.mktemp("prepared") / "home")


@pytest.fixture
def server(prepared, tmp_path):
    """Return a copy of it."""
    return prepared.copy(tmp_path / "server").knowing_pins()


def _application(machine, command):
    """Return what an application of a machine said, and the command that was given meanwhile."""
    machine.environment[f"PTKC_ADMIN_PIN_{SERIAL}"] = f"admin-{SERIAL}"
    said, *rest = json.loads(machine.script(_APPLICATION, USER_PIN, *command))
    return said, rest


def _on(machine, *command):
    """Return a command line that is run on another machine than the application's."""
    variables = [f"{name}={value}" for name, value in machine.environment.items()]
    return ["env", "-i", *variables, *machine.words(*command)]


def test_a_channel_that_the_administrator_closes_costs_the_application_nothing(server, tmp_path):
    """Its next call is on a new one; session, login and key are as before."""
    set_flags(server, "NU")
    with served(server) as running:
        machine = client(tmp_path / "client", running.port, trusts=server)
        said, calls = _application(machine, machine.words("ptkc", "channel", "close", f"sn:{SERIAL}", "all"))
    assert 2 == said.count("closed"), said
    assert _LOGGED_IN_STILL == calls


def test_flags_that_are_added_find_a_running_application_protected(server, tmp_path):
    """The call is repeated on a channel."""
    with served(server) as running:
        machine = client(tmp_path / "client", running.port, trusts=server)
        said, calls = _application(machine, machine.words("ctconf", f"-asn:{SERIAL}", "-fNU"))
    assert "requests and replies encrypted, requests and replies signed" in said
    assert _LOGGED_IN_STILL == calls


def test_flags_that_are_added_end_an_application_that_holds_no_certificate(server, tmp_path):
    """It is not told by anybody unproved to go on in clear."""
    with served(server) as running:
        machine = client(tmp_path / "client", running.port)
        said, calls = _application(machine, _on(server, "ctconf", f"-asn:{SERIAL}", "-fNU"))
    assert "Full Secure Messaging" in said
    assert ["CertNotValidated"] * 5 == calls


def test_flags_that_are_taken_away_end_the_sessions_of_a_running_application(server, tmp_path):
    """Once CKR_DEVICE_RESET; new sessions are as protected as the old ones were."""
    set_flags(server, "NU")
    with served(server) as running:
        machine = client(tmp_path / "client", running.port, trusts=server)
        said, calls = _application(machine, machine.words("ctconf", f"-asn:{SERIAL}", "-f0"))
    assert "Default Mode" in said
    assert ["DeviceReset", *["SessionHandleInvalid"] * 3, 8] == calls


@pytest.mark.parametrize("flags", ["0", "NU"])
def test_a_restart_of_the_hsm_ends_the_sessions_of_a_running_application(server, tmp_path, flags):
    """On the server's machine, by hand; once CKR_DEVICE_RESET."""
    set_flags(server, flags)
    with served(server) as running:
        machine = client(tmp_path / "client", running.port, trusts=server)
        _, calls = _application(machine, _on(server, "ptkc", "hsm", "restart", SERIAL))
    assert ["DeviceReset", *["SessionHandleInvalid"] * 3, 8] == calls


def test_a_tamper_takes_token_and_flags_and_leaves_the_identity(server, tmp_path):
    """The token is gone for the application; a new client finds the same PIC, and no secure messaging."""
    set_flags(server, "NU")
    with served(server) as running:
        machine = client(tmp_path / "client", running.port, trusts=server)
        _, calls = _application(machine, _on(server, "ptkc", "hsm", "tamper", SERIAL, "--yes"))
        assert "DeviceReset" == calls[0]
        assert all(isinstance(call, str) for call in calls)
        assert "not demanded" in machine.tool("ctconf", f"-asn:{SERIAL}", "-v").out
        assert "exported to" in machine.ctident("fetch-certs", f"sn:{SERIAL}").out


def test_a_server_that_is_gone_is_said_so_and_nothing_waits(server, tmp_path):
    """CKR_DEVICE_REMOVED: nothing of the calls was done."""
    set_flags(server, "NU")
    with served(server) as running:
        machine = client(tmp_path / "client", running.port, trusts=server)
        gone = f"kill {running.process}; while (exec 3<>/dev/tcp/127.0.0.1/{running.port}) 2>/dev/null; do :; done"
        _, calls = _application(machine, [program("bash"), "-c", gone])
    assert ["DeviceRemoved"] * 5 == calls


def test_the_systemd_unit_of_the_page_is_one(tmp_path):
    """`systemd-analyze verify` has nothing to say."""
    text = (_DOCS / "network.md").read_text().partition("```ini\n")[2].partition("```")[0]
    unit = tmp_path / "ptkc.service"
    unit.write_text(text.replace("/usr/local/bin/ptkc", "/bin/true"))
    words = [program("systemd-analyze"), "verify", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def test_the_systemd_unit_waits_for_calls_that_are_under_way():
    """A server that stops is killed only after the time that the server itself waits for them."""
    page = (_DOCS / "network.md").read_text()
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", page, re.MULTILINE)
    (item,) = [item for item in ITEMS if item.name == "ET_HSM_NETSERVER_TRANSFER"]
    assert int(item.default) < int(seconds)


def test_every_item_of_client_and_server_is_on_the_page():
    """docs/network.md names all items of the network."""
    page = (_DOCS / "network.md").read_text()
    assert [] == [item.name for item in ITEMS if item.name.startswith("ET_HSM_") and f"`{item.name}`" not in page]
