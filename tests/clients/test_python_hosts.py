"""Python hosts: python-pkcs11 and PyKCS11 beside the module, in another environment, and in another Python."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from modules import Module
from processes import run
from tokens import Initialised, openssl

_PROGRAMS = Path(__file__).parents[1] / "programs"
_SIGN = Path(__file__).parents[2] / "examples" / "python_pkcs11_sign.py"


def _sign_and_verify(python: str | Path, token: Initialised, message: Path) -> None:
    """Have the example sign a file in the given Python, and openssl verify it as the example says."""
    env = {**token.env, "PKCS11_PIN": token.pin}
    for _ in range(2):  # the second time the key is there
        command = run(python, _SIGN, token.path, token.label, message, env=env).strip().splitlines()[-1]
        assert "Verified OK" in openssl(token, *command.split()[1:])


def test_python_pkcs11_signs_in_the_modules_own_environment(token: Initialised, message: Path) -> None:
    """python-pkcs11, ptkc and cryptography in one environment: the module shares interpreter and packages."""
    _sign_and_verify(sys.executable, token, message)


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a virtual environment that has python-pkcs11 and asn1crypto only: copied, not downloaded."""
    top = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(top)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = top / "lib" / version / "site-packages"
    for name in ("python-pkcs11", "asn1crypto"):
        for file in importlib.metadata.files(name) or []:
            if not file.parts[0].startswith(".."):
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), packages / file)
    return top / "bin" / "python"


def test_python_pkcs11_signs_in_another_virtual_environment(
    token: Initialised, bare_python: Path, message: Path
) -> None:
    """The host has neither ptkc nor cryptography nor cffi: the module brings its own."""
    run(bare_python, "-c", "import cryptography", env=token.env, expect=1)
    _sign_and_verify(bare_python, token, message)


def test_the_module_leaves_the_hosts_search_path_alone(module: Module, env: dict[str, str], bare_python: Path) -> None:
    """After C_Initialize and C_Finalize sys.path is what it was, and nothing but the module's own packages came in."""
    code = (
        "import sys, pkcs11; before = list(sys.path)\n"
        f"library = pkcs11.lib({module.path!r}); library.get_slots(); library.finalize()\n"
        "assert sys.path == before, sys.path"
    )
    run(bare_python, "-c", code, env=env)


def test_pykcs11_initialises_a_token(module: Module, env: dict[str, str]) -> None:
    """And makes keys in it, signs, encrypts, finds and digests."""
    assert "done" in run(sys.executable, _PROGRAMS / "pykcs11_work.py", module.path, env=env)


def test_pykcs11_does_its_work(token: Initialised) -> None:
    """PyKCS11 makes keys, signs, encrypts, finds and digests."""
    program = _PROGRAMS / "pykcs11_work.py"
    assert "done" in run(sys.executable, program, token.path, token.label, token.pin, env=token.env)


def test_finalizers_may_call_the_module_wherever_the_collector_runs(token: Initialised) -> None:
    """Garbage of the host is not collected in the midst of our calls: its finalizers would wait for themselves."""
    program = _PROGRAMS / "finalizers.py"
    assert "done" in run(sys.executable, program, token.path, token.label, token.pin, env=token.env, timeout=60)


def _other_pythons() -> list[str]:
    """Return CPythons of other versions than this one: on PATH or, where pyenv is, among its versions."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    find = Path(__file__).parents[2] / ".ci" / "find-python"
    versions = [version for version in ("3.11", "3.12", "3.13") if version != own]
    found = [subprocess.run([find, version], capture_output=True, check=False, text=True) for version in versions]
    return [answer.stdout.strip() for answer in found if answer.returncode == 0]


def test_a_python_of_another_version_is_refused_at_once(module: Module, env: dict[str, str]) -> None:
    """A host with another Python gets an error from C_Initialize, not a hang; the log names both versions."""
    if not module.ours:
        pytest.skip("SoftHSM2 has no Python in it")
    others = _other_pythons()
    if not others:
        pytest.skip("there is only one Python here")
    own = sysconfig.get_python_version()
    for python in others:
        code = (
            "import ctypes, platform\n"
            f"library = ctypes.CDLL({module.path!r})\n"
            "library.C_Initialize.restype = ctypes.c_ulong\n"
            "print(hex(library.C_Initialize(None)), platform.python_version())"
        )
        answer, version = run(python, "-c", code, env=env, timeout=30).split()[-2:]
        assert "0x0" != answer
        log = Path(env["ET_PTKC_LOGGER_FILE"]).read_text(encoding="utf-8")
        assert version.rpartition(".")[0] in log
        assert own in log
        os.unlink(env["ET_PTKC_LOGGER_FILE"])
