"""Bad pointers, counts and lengths through all functions, plain, under valgrind and with AddressSanitizer."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import compiler, programs
from modules import Module
from processes import program, run

_BUILDER = Path(__file__).parents[1] / "native"
_FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


@pytest.fixture(autouse=True)
def _only_ours(module: Module) -> None:
    """Skip these tests for another module: what it does with bad pointers is its own affair."""
    if not module.ours:
        pytest.skip("the module under test is not ours")


def test_bad_arguments_are_answered_and_the_session_stays_usable(module: Module, env: dict[str, str]) -> None:
    """NULL, odd addresses, absurd counts and lengths, handles that never were: no crash, and no bug of ours."""
    run(programs() / "bad", module.path, env=env)
    log = Path(env["ET_PTKC_LOGGER_FILE"]).read_text(encoding="utf-8")
    assert [] == [line for line in log.splitlines() if " bug: " in line]


def test_bad_arguments_under_valgrind(module: Module, env: dict[str, str]) -> None:
    """No invalid read or write, no use of what was never written."""
    options = ["--quiet", "--error-exitcode=9", "--num-callers=20"]
    assert not run("valgrind", *options, programs() / "bad", module.path, "2", env=env, timeout=300)


def test_signing_under_valgrind(module: Module, env: dict[str, str]) -> None:
    """The same for a session that makes a key and signs, from a thread with a small stack."""
    options = ["--quiet", "--error-exitcode=9", "--num-callers=20"]
    run("valgrind", *options, programs() / "host", module.path, "small-stack", env=env, timeout=300)


@pytest.fixture(scope="session")
def sanitized(module: Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package's shared object whose own C is checked by AddressSanitizer at run time."""
    if not _BUILDER.is_dir():
        pytest.skip("the sources are not here")
    top = tmp_path_factory.mktemp("sanitized")
    shutil.copytree(Path(module.path).parent, top / "ptkc", ignore=shutil.ignore_patterns("libptkc.so"))
    code = (
        f"import sys; sys.path.insert(0, {str(_BUILDER)!r}); import build, pathlib\n"
        f"build.build(pathlib.Path({str(top / 'ptkc' / 'libptkc.so')!r}), tree=True, flags={_FLAGS!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return top / "ptkc" / "libptkc.so"


def _preloaded(env: dict[str, str]) -> dict[str, str]:
    """Return an environment in which a host has the sanitizers; leaks are not asked for, Python has many."""
    found = []
    for name in ("libasan.so", "libubsan.so"):
        command = [program(compiler()[0]), *compiler()[1:], f"-print-file-name={name}"]
        path = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
        if not Path(path).is_absolute():
            pytest.skip(f"the compiler has no {name}")
        found.append(path)
    return {**env, "LD_PRELOAD": " ".join(found), "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"}


def test_bad_arguments_with_address_sanitizer(sanitized: Path, env: dict[str, str]) -> None:
    """Neither our own C nor what it calls in the host's libraries touches what it must not."""
    assert not run(programs() / "bad", sanitized, env=_preloaded(env), timeout=300)


# No forks: GCC 12's sanitizer does not take its allocator's locks around fork, so a child of a host with threads may
# hang in it. tests/test_hosts.py forks without it.
@pytest.mark.parametrize("command", [("sign",), ("small-stack",), ("arguments",), ("exit", "1000")])
def test_hosts_with_address_sanitizer(sanitized: Path, env: dict[str, str], command: tuple[str, ...]) -> None:
    """What threads and small stacks do is clean too."""
    out = run(programs() / "host", sanitized, *command, env=_preloaded(env), timeout=300)
    assert not re.search(r"Sanitizer|runtime error", out)
