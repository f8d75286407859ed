"""What is wrong, which file, which item, what to do: the checks of `ptkc doctor`.

Each check looks and changes nothing: directories are listed, databases opened read-only, the shared object loaded in a
process of its own. A finding is fine, a note (nothing is wrong, but know it), a warning, or an error.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import ptkc
from ptkc.configuration import ENVIRONMENT
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.token import place
from ptkc.tools.doctor_hsms import examine_hsms as _hsms
from ptkc.tools.doctor_network import examine_certificates, examine_servers
from ptkc.tools.findings import ERROR, FINE, NOTE, WARNING, Finding, rights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ptkc.configuration import Configuration

__all__ = ["ERROR", "FINE", "NOTE", "WARNING", "Finding", "examine", "module_path"]

_PATIENCE = 30  # seconds for a start-up that takes milliseconds
_SCARCE = 16 * 1024 * 1024  # bytes left on the file system that are called scarce
_P11_KIT = ("/etc/pkcs11/modules", "/usr/share/p11-kit/modules", "/usr/local/share/p11-kit/modules")

# Loads the module as a Python host does and prints what it says. Started as a process of its own: a module that
# crashes or hangs must not take the doctor with it.
_PROBE = """\
import json, sys
from cffi import FFI
ffi = FFI()
ffi.cdef('''
typedef struct { unsigned char cryptoki[2], maker[32]; unsigned long flags; unsigned char name[32], version[2]; } Info;
unsigned long C_Initialize(void *); unsigned long C_GetInfo(Info *); unsigned long C_Finalize(void *);
''')
try:
    library = ffi.dlopen(sys.argv[1])
except OSError as error:
    print(json.dumps({"load": str(error)}))
    sys.exit()
code = library.C_Initialize(ffi.NULL)
found = {"code": code}
if code == 0:
    info = ffi.new("Info *")
    found["info"] = library.C_GetInfo(info)
    found["version"] = "%d.%d" % tuple(info.version)
    library.C_Finalize(ffi.NULL)
print(json.dumps(found))
"""


def module_path() -> str:
    """Return where the shared object of this installation is, or would be."""
    return os.path.join(os.path.dirname(os.path.realpath(ptkc.__file__)), "libptkc.so")


def examine(configuration: Configuration) -> list[Finding]:
    """Run all checks."""
    checks: tuple[Callable[[Configuration], Iterator[Finding]], ...] = (
        _versions, _module, _hosts, _openssl, _p11_kit, _items, _data_path, _key_path, _hsms, _network, _log,
    )  # fmt: skip
    return [finding for check in checks for finding in check(configuration)]


# Installation


def _versions(_: Configuration) -> Iterator[Finding]:
    """Check what is installed."""
    versions = [f"ptkc {ptkc.__version__}"]
    for name in ("cryptography", "cffi", "asn1crypto"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(ERROR, "versions", f"{name} is not installed", f"{sys.executable} -m pip install {name}")
    try:
        from cryptography.hazmat.backends.openssl import backend  # noqa: PLC0415 - may be what is missing

        versions.append(backend.openssl_version_text())
    except ImportError as error:
        yield Finding(ERROR, "versions", f"cryptography cannot be imported: {error.msg}", "install it again")
    versions += [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    yield Finding(FINE, "versions", ", ".join(versions))


def _module(_: Configuration) -> Iterator[Finding]:
    """Check that the shared object is there, can be loaded and starts."""
    path = module_path()
    if not os.path.exists(path):
        yield Finding(ERROR, "module", f"{path} is not there", "`make build`, or install the package again")
        return
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "log")
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and code
                [sys.executable, "-I", "-c", _PROBE, path],
                env={**os.environ, "ET_PTKC_LOGGER_FILE": log},
                capture_output=True, timeout=_PATIENCE, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            hint = "set OPENSSL_CONF=/dev/null and look again"
            yield Finding(ERROR, "module", f"{path} hangs at C_Initialize; {_last_line(log)}", hint)
            return
        reason = _last_line(log)
    if done.returncode < 0:
        yield Finding(ERROR, "module", f"{path} dies of signal {-done.returncode} in a Python host", _REINSTALL)
        return
    try:
        found = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        yield Finding(ERROR, "module", f"{path} cannot be tried: {last or 'no answer'}", _REINSTALL)
        return
    if "load" in found:
        yield Finding(ERROR, "module", f"cannot be loaded: {found['load']}", _REINSTALL)
    elif found["code"] != CKR.OK:
        text = f"{path}: C_Initialize answers {name_of(CKR, found['code'])}; {reason}"
        yield Finding(ERROR, "module", text, _REINSTALL)
    elif found["version"] != ".".join(ptkc.__version__.split(".")[:2]):
        text = f"{path} is version {found['version']}, the package beside it {ptkc.__version__}"
        yield Finding(ERROR, "module", text, _REINSTALL)
    else:
        yield Finding(FINE, "module", f"{path}, version {found['version']}, starts in a Python host")


def _last_line(path: str) -> str:
    """Return what the last line of a log says, without time and process."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    return lines[-1].split(" ", 2)[-1].removeprefix("note: ") if lines else "its log says nothing"


_REINSTALL = "build or install it again with the Python it shall run in"


def _hosts(_: Configuration) -> Iterator[Finding]:
    """Check a host that is not Python: OpenSC's pkcs11-tool, where it is installed."""
    tool = shutil.which("pkcs11-tool")
    path = module_path()
    if not os.path.exists(path):
        return
    if tool is None:
        yield Finding(NOTE, "C host", "not tried: there is no pkcs11-tool", "apt install opensc")
        return
    try:
        done = subprocess.run(  # noqa: S603 - the tool the user has in PATH
            [tool, "--module", path, "--show-info"], capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        yield Finding(ERROR, "C host", f"pkcs11-tool hangs with {path}", "OPENSSL_CONF=/dev/null, then look again")
        return
    if done.returncode == 0:
        yield Finding(FINE, "C host", "pkcs11-tool loads the module")
    else:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        yield Finding(ERROR, "C host", f"pkcs11-tool: {last or f'exit code {done.returncode}'}", _REINSTALL)


def _openssl(_: Configuration) -> Iterator[Finding]:
    """Look for an OpenSSL configuration that loads PKCS#11 into every OpenSSL, ours included."""
    path = os.environ.get("OPENSSL_CONF", "")
    if not path:
        return
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        yield Finding(WARNING, "OPENSSL_CONF", f"{path}: {error.strerror}", "unset it, or correct the path")
        return
    if "libptkc" in text:
        hint = "this works, at the price of a start-up more; where only some programs need it, set it for those"
        yield Finding(NOTE, "OPENSSL_CONF", f"{path} names this module, and its own OpenSSL reads it too", hint)
    elif "pkcs11" in text:
        yield Finding(NOTE, "OPENSSL_CONF", f"{path} loads another PKCS#11 module into this one's OpenSSL")


def _p11_kit(_: Configuration) -> Iterator[Finding]:
    """Look for module files of p11-kit that name this module."""
    directories = [os.path.expanduser("~/.config/pkcs11/modules"), *_P11_KIT]
    named = False
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in names:
            path = os.path.join(directory, name)
            module = _p11_kit_module(path)
            if "libptkc" not in module:
                continue
            named = True
            if os.path.isabs(module) and not os.path.exists(module):
                yield Finding(ERROR, "p11-kit", f"{path}: {module} is not there", f"module: {module_path()}")
            else:
                yield Finding(FINE, "p11-kit", f"{path} names the module")
    if not named and any(map(os.path.isdir, _P11_KIT)):
        hint = f'echo "module: {module_path()}" > ~/.config/pkcs11/modules/ptkc.module'
        yield Finding(NOTE, "p11-kit", "programs that use p11-kit do not see the module", hint)


def _p11_kit_module(path: str) -> str:
    """Return what a p11-kit module file says behind `module:`, "" if nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return ""
    return next((value.strip() for name, _, value in lines if name.strip() == "module"), "")


# Configuration


def _items(configuration: Configuration) -> Iterator[Finding]:
    """Say which configuration files and variables were not understood."""
    for problem in configuration.problems:
        yield Finding(ERROR, "configuration", problem, "see docs/configuration.md")
    for unknown in configuration.unknown:
        yield Finding(WARNING, "configuration", f"{unknown} is no item of this version, and does nothing")
    for name in sorted(os.environ):
        if name.startswith("ET_") and name not in configuration.settings:
            text = f"{name} (environment) is no item of this version, and does nothing"
            yield Finding(WARNING, "configuration", text)
    for name, setting in configuration.settings.items():
        if setting.level == ENVIRONMENT:
            yield Finding(NOTE, "configuration", f"{name}={setting.value} comes from the environment")
    read = [path for _, path in configuration.files if os.path.exists(path)]
    yield Finding(FINE, "configuration", f"files read: {', '.join(read) or 'none'}")


def _network(configuration: Configuration) -> Iterator[Finding]:
    """Check the servers, and the certificates of secure messaging."""
    yield from examine_servers(configuration)
    yield from examine_certificates(configuration)


def _log(configuration: Configuration) -> Iterator[Finding]:
    """Check that the log can be written, if one is asked for."""
    path = configuration.log_file
    if path is None:
        return
    if os.path.islink(path) or (os.path.exists(path) and not os.path.isfile(path)):
        hint = "ET_PTKC_LOGGER_FILE must name a plain file, not a link"
        yield Finding(ERROR, "log", f"{path} is not a plain file, nothing is logged", hint)
    elif not os.access(path if os.path.exists(path) else os.path.dirname(path), os.W_OK):
        yield Finding(ERROR, "log", f"{path} cannot be written, nothing is logged", "change ET_PTKC_LOGGER_FILE")
    else:
        yield Finding(FINE, "log", path)


# Directories


def _data_path(configuration: Configuration) -> Iterator[Finding]:
    """Check the directory of the HSMs."""
    yield from _directory("data path", "ET_PTKC_SW_DATAPATH", configuration.data_path)
    path = configuration.data_path
    if path is None:
        return
    here = _existing(path)
    try:
        place.check_file_system(here)
    except CryptokiError as error:
        yield Finding(ERROR, "data path", error.message, "nothing below it is opened")
    room = os.statvfs(here)
    if room.f_bavail * room.f_frsize < _SCARCE:
        yield Finding(WARNING, "data path", f"{here}: less than {_SCARCE >> 20} MiB left", "make room")


def _key_path(configuration: Configuration) -> Iterator[Finding]:
    """Check the directory of the key sources."""
    path = configuration.key_path
    yield from _directory("key path", "ET_PTKC_SW_KEYPATH", path)
    data = configuration.data_path
    if path is None or data is None:
        return
    if os.path.commonpath([os.path.realpath(path), os.path.realpath(data)]) == os.path.realpath(data):
        hint = "ET_PTKC_SW_KEYPATH: name a directory that is not copied together with the data"
        yield Finding(WARNING, "key path", f"{path} is inside the data path: who copies one has both", hint)


def _directory(check: str, item: str, path: str | None) -> Iterator[Finding]:
    """Say whether a directory can be used, and by whom else."""
    if path is None:
        yield Finding(ERROR, check, "there is none: no home directory, or the item is wrong", f"set {item}")
        return
    if not os.path.lexists(path):
        parent = _existing(path)
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding(FINE, check, f"{path} is made at the first write")
        else:
            yield Finding(ERROR, check, f"{path} is not there, and {parent} cannot be written", f"set {item}")
        return
    if not os.path.isdir(path):
        yield Finding(ERROR, check, f"{path} is no directory", f"set {item}")
        return
    found = os.stat(path)
    if not os.access(path, os.R_OK | os.X_OK):
        yield Finding(ERROR, check, f"{path} cannot be read by user {os.geteuid()}", rights(path))
        return
    if found.st_mode & stat.S_IWOTH:
        yield Finding(ERROR, check, f"{path} can be written by everybody", f"chmod o-w {path}")
    elif found.st_mode & 0o077:
        text = f"{path} is open to its group or to others (mode {found.st_mode & 0o777:04o})"
        yield Finding(NOTE, check, text, f"chmod 0700 {path}, unless they are meant to use the HSMs")
    if not os.access(path, os.W_OK):
        yield Finding(WARNING, check, f"{path} cannot be written: its tokens are write-protected", rights(path))
    yield Finding(FINE, check, path)


def _existing(path: str) -> str:
    """Return the nearest directory above `path`, or itself, that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
