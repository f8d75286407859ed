"""Run python-pkcs11's or PyKCS11's own test suite, from its source distribution, on a PKCS#11 module.

    python tests/suites/run_suite.py fetch                          download both source distributions
    python tests/suites/run_suite.py python-pkcs11 [MODULE ...]     run on each module, and compare
    python tests/suites/run_suite.py pykcs11 [MODULE ...]

Without modules: ours and SoftHSM2. With two the exit status is 1 if a test fails on the first and passes on the second.
Each run has a data path of its own and a token as the suite wants it. On ours the suites see SoftHSM2's name, by a
link and by `named_softhsm2.py`, and the security flags allow weak mechanisms and explicit curves: else they would skip
tests. `docs/clients.md` has more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import NamedTuple

_TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_TESTS))

from modules import Module, clean_environment, module_under_test  # noqa: E402 - also run as a script

__all__ = ["SOFTHSM2", "SUITES", "Outcome", "Suite", "fetch", "regressions", "run_suite"]

_CACHE = _TESTS.parent / ".caches" / "suites"
_SOFTHSM2_PATHS = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
)
SOFTHSM2 = Module(next((path for path in _SOFTHSM2_PATHS if Path(path).exists()), _SOFTHSM2_PATHS[0]), ours=False)


class Outcome(NamedTuple):
    """What a test came to: passed, failed or skipped; and the first line of the reason."""

    what: str
    reason: str


class Suite(NamedTuple):
    """A client library's own tests: the distribution, its pinned version, the folder of tests in it, its variables."""

    name: str
    version: str
    folder: str
    variables: dict[str, str]

    @property
    def tests(self) -> Path:
        """The folder that holds the unpacked tests."""
        return _CACHE / f"{self.name}-{self.version}" / self.folder


_TOKEN, _SO_PIN, _PIN = "A token", "123456", "1234"  # what PyKCS11's tests have written into them
SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "python-pkcs11", "0.10.1", "tests",
            {
                "PKCS11_MODULE": "{module}", "PKCS11_TOKEN_LABEL": _TOKEN, "PKCS11_TOKEN_PIN": _PIN,
                "PKCS11_TOKEN_SO_PIN": _SO_PIN,
            },
        ),
        Suite("pykcs11", "1.5.20", "test", {"PYKCS11LIB": "{module}"}),
    )
}  # fmt: skip


def fetch(suite: Suite) -> None:
    """Download the suite's source distribution with pip, and unpack its tests, unless they are there."""
    if suite.tests.is_dir():
        return
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--no-binary", suite.name, "--dest", name, f"{suite.name}=={suite.version}"]
        subprocess.run(command, check=True)
        with tarfile.open(next(Path(name).glob("*.tar.gz"))) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and newer
            archive.extractall(name)  # noqa: S202 - pip has just run what is in it
        top = next(path for path in Path(name).iterdir() if path.is_dir())
        suite.tests.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(top / suite.folder, suite.tests)


def _softhsm2_settings(directory: Path) -> dict[str, str]:
    """Return the variables that have SoftHSM2 keep its tokens below `directory`, which is made."""
    directory.mkdir()
    return SOFTHSM2.settings(directory)


def _as_softhsm2(module: Module, suite: Suite, directory: Path, env: dict[str, str]) -> str:
    """Have the suite on our module skip nothing for its name; return the path that it is told."""
    administer = [str(Path(sys.executable).with_name("ctconf")), "-a0"]
    pins = {"PTKC_ADMIN_PIN": "administrator", "PTKC_ASO_PIN": "aso-administrator"}
    for words in (["--yes"], ["-fwE", "--yes"]):
        subprocess.run([*administer, *words], env=env | pins, check=True, stdout=subprocess.DEVNULL)
    shutil.copy(Path(__file__).with_name("named_softhsm2.py"), directory / "suite" / "conftest.py")
    link = directory / "libsofthsm2.so"
    link.symlink_to(module.path)
    return str(link) if suite.name == "python-pkcs11" else module.path


def run_suite(suite: Suite, module: Module, directory: Path) -> dict[str, Outcome]:
    """Run the suite on the module with a new token below `directory`; return {test: its outcome}."""
    directory.mkdir(parents=True)
    env = {**clean_environment(directory), **_softhsm2_settings(directory / "second"), **module.settings(directory)}
    tool = ["pkcs11-tool", "--module", module.path]
    prepare = [
        [*tool, "--slot-index", "0", "--init-token", "--label", _TOKEN, "--so-pin", _SO_PIN],
        [*tool, "--token-label", _TOKEN, "--login", "--login-type", "so", "--so-pin", _SO_PIN,
         "--init-pin", "--pin", _PIN],
    ]  # fmt: skip
    for command in prepare:
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # A copy, since the suites' tests write beside themselves, and one of them is a package named `tests`.
    shutil.copytree(suite.tests, directory / "suite" / suite.folder)
    path = module.path
    if module.ours:
        path = _as_softhsm2(module, suite, directory, env)
        env |= {"PKCS11_MODULE2": SOFTHSM2.path}
    env |= {name: value.format(module=path) for name, value in suite.variables.items()}
    outcomes: dict[str, Outcome] = {}
    # A process for each file: what a failed test leaves loaded makes no other one fail.
    for file in sorted((directory / "suite" / suite.folder).glob("test_*.py")):
        report = directory / f"{file.stem}.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "-c", os.devnull]
        command += ["--tb=short", f"--junitxml={report}", f"{suite.folder}/{file.name}"]
        with (directory / "suite.log").open("ab") as log:
            try:
                subprocess.run(
                    command, cwd=directory / "suite", env=env, check=False, stdout=log, stderr=log,
                    stdin=subprocess.DEVNULL, timeout=60,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                log.write(f"{file.name} has no end\n".encode())
        if report.exists():
            outcomes |= _outcomes(report)
        else:
            outcomes[file.stem] = Outcome("failed", "it has no end, or crashed")
    return outcomes


_KINDS = {"failure": "failed", "error": "failed", "skipped": "skipped"}
_WORST = ("failed", "skipped", "passed")


def _outcomes(report: Path) -> dict[str, Outcome]:
    """Read a JUnit report; of a test with subtests the worst outcome counts."""
    outcomes: dict[str, Outcome] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = f"{case.get('classname')}.{case.get('name')}"
        said = [Outcome(_KINDS[child.tag], (child.get("message") or "")[:120]) for child in case if child.tag in _KINDS]
        found = [*said, outcomes.get(name, Outcome("passed", ""))]
        outcomes[name] = min(found, key=lambda outcome: _WORST.index(outcome.what))
    return outcomes


def regressions(ours: dict[str, Outcome], reference: dict[str, Outcome]) -> list[str]:
    """Return the tests that pass on the reference and fail, or are missing, on ours."""
    failed = Outcome("failed", "missing")
    return sorted(
        name
        for name, outcome in reference.items()
        if outcome.what == "passed" and ours.get(name, failed).what == "failed"
    )


def main(words: list[str]) -> int:
    """Do what the module's docstring says."""
    if words == ["fetch"]:
        for suite in SUITES.values():
            fetch(suite)
        return 0
    if not words or words[0] not in SUITES:
        print(__doc__, file=sys.stderr)
        return 2
    suite = SUITES[words[0]]
    fetch(suite)
    modules = [Module(path, ours=Path(path).name == "libptkc.so") for path in words[1:]]
    results = []
    top = Path(tempfile.mkdtemp(prefix="suite-"))
    for index, module in enumerate(modules or [module_under_test(), SOFTHSM2]):
        outcomes = run_suite(suite, module, top / str(index))
        results.append(outcomes)
        count = Counter(outcome.what for outcome in outcomes.values())
        counts = ", ".join(f"{number} {what}" for what, number in sorted(count.items()))
        print(f"{module.path}: {counts} ({top / str(index) / 'suite.log'})")
        for name, outcome in sorted(outcomes.items()):
            if outcome.what != "passed":
                print(f"  {outcome.what}: {name}: {outcome.reason}")
    lost = regressions(*results) if len(results) == 2 else []
    for name in lost:
        print(f"fails on the first, passes on the second: {name}")
    return bool(lost)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
