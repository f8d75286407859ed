"""OpenSSH: ssh-keygen -D, ssh -I and ssh-agent, each against a local sshd with keys that live in the token."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from processes import beside, free_port, listening, program, run
from tokens import Initialised

_SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {host_key}
AuthorizedKeysFile {keys}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


class _Server(NamedTuple):
    """A running sshd: its port, its host key as known_hosts line, and the file of keys that may log in."""

    port: int
    known_hosts: Path
    authorized_keys: Path


@pytest.fixture
def server(token: Initialised, tmp_path: Path) -> Iterator[_Server]:
    """Run sshd on a free port of the loopback interface, for the user who runs the tests."""
    host_key = tmp_path / "host_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key, env=token.env)
    made = _Server(free_port(), tmp_path / "known_hosts", tmp_path / "authorized_keys")
    public = host_key.with_suffix(".pub").read_text(encoding="ascii")
    made.known_hosts.write_text(f"[127.0.0.1]:{made.port} {public}", encoding="ascii")
    made.authorized_keys.touch()
    config = tmp_path / "sshd_config"
    config.write_text(
        _SSHD.format(port=made.port, host_key=host_key, keys=made.authorized_keys), encoding="utf-8"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = tmp_path / "sshd.log"
    command = (program("sshd"), "-D", "-e", "-f", config)
    with beside(*command, env=token.env, log=log, ready=lambda: listening(made.port)):
        yield made


@pytest.fixture
def asking(token: Initialised, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which OpenSSH gets the PIN where it would ask a person."""
    answer = tmp_path / "askpass"
    answer.write_text(f"#!/bin/sh\necho '{token.pin}'\n", encoding="utf-8")
    answer.chmod(0o700)
    return {**token.env, "SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}


def _public_keys(token: Initialised) -> list[str]:
    """Return the public keys that `ssh-keygen -D` finds in the module."""
    said = run("ssh-keygen", "-D", token.path, env=token.env)
    return [line for line in said.splitlines() if line.startswith(("ssh-", "ecdsa-"))]


def _ssh(server: _Server, env: dict[str, str], *options: str) -> str:
    """Log in to the server with keys of the module only, and return what the remote command says."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    return run(
        "ssh", "-F", "none", "-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "StrictHostKeyChecking=yes",
        "-o", "PreferredAuthentications=publickey", "-o", "IdentityFile=none", *options,
        "-p", str(server.port), f"{user}@127.0.0.1", "echo in as $((6 * 7))", env=env,
    )  # fmt: skip


def test_ssh_keygen_lists_public_keys_without_login(token: Initialised, rsa_key: str, ec_key: str) -> None:
    """`ssh-keygen -D` prints the RSA and the P-256 public key, and asks for no PIN."""
    assert {"ssh-rsa", "ecdsa-sha2-nistp256"} == {line.split()[0] for line in _public_keys(token)}


@pytest.mark.parametrize("kind", ["rsa_key", "ec_key"])
def test_ssh_logs_in_with_a_token_key(
    token: Initialised, server: _Server, asking: dict[str, str], kind: str, request: pytest.FixtureRequest
) -> None:
    """`ssh -I` asks for the PIN and signs in the token."""
    request.getfixturevalue(kind)
    server.authorized_keys.write_text("\n".join(_public_keys(token)) + "\n", encoding="ascii")
    assert "in as 42" in _ssh(server, asking, "-I", token.path)


@pytest.mark.parametrize("kind", ["rsa_key", "ec_key"])
def test_ssh_agent_signs_with_a_token_key(
    token: Initialised,
    server: _Server,
    asking: dict[str, str],
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """`ssh-agent -P <module>` loads it by `ssh-add -s`; ssh then logs in several times without a PIN."""
    request.getfixturevalue(kind)
    server.authorized_keys.write_text("\n".join(_public_keys(token)) + "\n", encoding="ascii")
    with _agent(token, tmp_path) as socket:
        run("ssh-add", "-s", token.path, env={**asking, "SSH_AUTH_SOCK": str(socket)})
        env = {**token.env, "SSH_AUTH_SOCK": str(socket)}
        assert "in as 42" in _ssh(server, env)
        assert "in as 42" in _ssh(server, env)
        run("ssh-add", "-e", token.path, env=env)
        assert "no identities" in run("ssh-add", "-l", env=env, expect=1)


@contextlib.contextmanager
def _agent(token: Initialised, directory: Path) -> Iterator[Path]:
    """Run an ssh-agent that may load the module, and yield its socket."""
    socket = directory / "agent"
    command = ("ssh-agent", "-D", "-a", socket, "-P", os.path.realpath(token.path))
    with beside(*command, env=token.env, log=directory / "agent.log", ready=socket.exists):
        yield socket
