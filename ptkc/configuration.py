"""The configuration items, their levels and their files.

An item is looked up at four levels, first hit wins: environment variable, user file (`$HOME/.safenet/et_<class>`),
system file (`/etc/default/et_<class>`), built-in default. `ptkc.items` is the list of items. In a setuid host
(AT_SECURE) the environment and the user file are not read: both belong to the caller. Nothing here raises: what is
wrong is said in `problems`, and each item's row says what happens then.
"""

from __future__ import annotations

import os
from collections import namedtuple

from ptkc.items import ITEMS, Item

__all__ = [
    "DEFAULT", "DEFAULT_PORT", "ENVIRONMENT", "SYSTEM", "USER", "Configuration", "Setting", "parse",
    "read_server",
]  # fmt: skip

# value; level: one of the four below; source: the variable, `file:line`, or empty
Setting = namedtuple("Setting", "value level source")

ENVIRONMENT = "environment"
USER = "user"
SYSTEM = "system"
DEFAULT = "default"

DEFAULT_PORT = 12396
_BY_NAME = {item.name: item for item in ITEMS}
_SMPR = _BY_NAME["ET_PTKC_<serial>_SMPR"]
_LONGEST_SERIAL = 16
_LARGEST_PORT = 65535
_CLASSES = sorted({item.name.split("_")[1].lower() for item in ITEMS})
_LARGEST_FILE = 65536
_LARGEST_PATH = 4096


def parse(text: str) -> tuple[dict[str, tuple[str, int]], list[tuple[int, str]]]:
    """Return ({item: (value, line)}, [(line, what is wrong)]) of a configuration file.

    Lines are `ITEM=value`; blanks around both are dropped; a `#` at the start of a line or after a blank begins a
    comment. A value between single or double quotes is taken as it stands; there are no escapes, and nothing is
    expanded but a leading `~/`. Of an item given twice the later line counts, and an empty value is no value.
    """
    values: dict[str, tuple[str, int]] = {}
    wrong = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line[0] == "#":
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name or " " in name:
            wrong.append((number, "is not ITEM=value"))
            continue
        if value[:1] in ('"', "'") and value:
            end = value.find(value[0], 1)
            rest = value[end + 1 :].strip()
            if end < 0 or (rest and rest[0] != "#"):
                wrong.append((number, f"{name}: the quotes do not match"))
                continue
            value = value[1:end]
        else:
            value = value.replace("\t", " ").split(" #", 1)[0].rstrip() if value[:1] != "#" else ""
        if name in values:
            wrong.append((number, f"{name} is given twice, this line counts"))
        values[name] = (value, number)
    return values, wrong


def read_server(text: str) -> tuple[str, int]:
    """Return host and port of an entry of the server list, or a path and 0; ValueError if it is none."""
    if text.startswith("unix:"):
        path = text[5:]
        if not os.path.isabs(path):
            raise ValueError("the path of a socket must be absolute")
        return path, 0
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            raise ValueError("the brackets do not match")
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
    if not host or (colon and not (port.isascii() and port.isdigit() and 0 < int(port) <= _LARGEST_PORT)):
        raise ValueError("it is not host, host:port, [address]:port or unix:/path")
    return host, int(port or DEFAULT_PORT)


def _serial_of(name: str) -> str | None:
    """Return the serial in the name of an SMPR, None if it is another item's."""
    serial = name.removeprefix("ET_PTKC_").removesuffix("_SMPR")
    if len(serial) != len(name) - len("ET_PTKC__SMPR") or len(serial) > _LONGEST_SERIAL:
        return None
    return serial if serial.isascii() and serial.isalnum() else None


class Configuration:
    """The items as they stand at C_Initialize; later changes of files and environment are not seen.

    `secure` says that the host runs with other rights than its caller (AT_SECURE). `environment` and
    `system_directory` are replaced in tests. `problems` is what was wrong, each one sentence that names item and file.
    """

    def __init__(
        self, *, secure: bool = False, environment: dict[str, str] | None = None, system_directory: str = "/etc/default"
    ) -> None:
        """Read environment and files."""
        self.secure = secure
        self.problems: list[str] = []
        self.unknown: list[str] = []
        self._environment = {} if secure else dict(os.environ if environment is None else environment)
        self._home: str | None = None
        self.files = [(SYSTEM, os.path.join(system_directory, "et_" + name)) for name in _CLASSES]
        home = self.home
        if not secure and home:
            self.files[:0] = [(USER, os.path.join(home, ".safenet", "et_" + name)) for name in _CLASSES]
        found = [(level, path, self._read(path)) for level, path in self.files]
        self.settings = {item.name: self._setting(item, found) for item in ITEMS if item is not _SMPR}
        named = {name for _, _, values in found for name in values}.union(self._environment)
        for name in sorted(named):
            if _serial_of(name):
                self.settings[name] = self._setting(_SMPR, found, name)

    # Levels

    def _read(self, path: str) -> dict[str, tuple[str, int]]:
        """Return a file's items; one that cannot be read counts as absent, and is said unless it is not there."""
        try:
            with open(path, "rb") as file:
                raw = file.read(_LARGEST_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            self.problems.append(f"{path}: cannot be read ({error.strerror}), taken as absent")
            return {}
        if len(raw) > _LARGEST_FILE:
            self.problems.append(f"{path}: longer than {_LARGEST_FILE} bytes, taken as absent")
            return {}
        values, wrong = parse(os.fsdecode(raw))
        self.problems.extend(f"{path}:{line}: {what}" for line, what in wrong)
        self.unknown.extend(
            f"{path}:{line}: {name}"
            for name, (_, line) in values.items()
            if name not in _BY_NAME and _serial_of(name) is None
        )
        return values

    def _setting(self, item: Item, found: list[tuple[str, str, dict[str, tuple[str, int]]]], name: str = "") -> Setting:
        """Return an item's first valid value; an invalid one ends the search as the item's row says."""
        name = name or item.name
        candidates = [(self._environment.get(name, ""), ENVIRONMENT, name)]
        for level, path, values in found:
            value, line = values.get(name, ("", 0))
            candidates.append((value, level, f"{path}:{line}"))
        for text, level, source in candidates:
            if not text:
                continue
            checked, wrong = self._check(item, text, level)
            if checked is not None:
                return Setting(checked, level, source)
            where = f"{name} (environment)" if level == ENVIRONMENT else f"{name} ({source})"
            self.problems.append(f"{where}: {wrong}")
            return Setting(item.default if item.invalid == "default" else None, level, source)
        return Setting(item.default, DEFAULT, "")

    def _check(self, item: Item, text: str, level: str) -> tuple[str | None, str]:
        """Return (value, "") or (None, what is wrong)."""
        if item.kind == "path":
            if text.startswith("~/") and self.home:
                text = os.path.join(self.home, text[2:])
            if "\0" in text or len(text) > _LARGEST_PATH:
                return None, "is not a path"
            if os.path.isabs(text):
                return os.path.normpath(text), ""
            if level == ENVIRONMENT:
                return self._absolute(text)
            return None, "must be an absolute path, or begin with ~/"
        if item.kind in _CHECKS:
            return _CHECKS[item.kind](item, text)
        for value in item.values:
            if text.lower() == value.lower():
                return value, ""
        return None, f"is not one of {', '.join(item.values)}"

    @staticmethod
    def _absolute(text: str) -> tuple[str | None, str]:
        """Return a relative path of the environment from the working directory of now."""
        try:
            return os.path.abspath(text), ""
        except OSError:
            return None, "is relative, and the working directory is gone"

    # Directories

    @property
    def home(self) -> str | None:
        """The user's home directory, None if there is none: HOME, else the password file's (always so if secure)."""
        if self._home is None:
            self._home = self._environment.get("HOME", "")
            if not os.path.isabs(self._home):
                self._home = _password_home()
        return self._home or None

    def _directory(self, variable: str, *below_home: str) -> str | None:
        """Return our directory below an XDG base directory; a relative base is ignored, as XDG wants it."""
        base = self._environment.get(variable, "")
        if os.path.isabs(base):
            return os.path.join(base, "ptkc")
        return os.path.join(self.home, *below_home, "ptkc") if self.home else None

    @property
    def data_path(self) -> str | None:
        """Directory of the HSMs, None if there is none: then there are no HSMs."""
        value, level, _ = self.settings["ET_PTKC_SW_DATAPATH"]
        return self._directory("XDG_DATA_HOME", ".local", "share") if level == DEFAULT else value

    @property
    def key_path(self) -> str | None:
        """Directory of the key sources, None if there is none."""
        value, level, _ = self.settings["ET_PTKC_SW_KEYPATH"]
        if level != DEFAULT:
            return value  # type: ignore[no-any-return]
        if self.settings["ET_PTKC_SW_DATAPATH"].level == DEFAULT:
            base = self._directory("XDG_CONFIG_HOME", ".config")
            return os.path.join(base, "keys") if base else None
        return self.data_path + ".keys" if self.data_path else None

    @property
    def certificate_store(self) -> str | None:
        """Directory of the client's certificate store, None if there is none."""
        value, level, _ = self.settings["ET_PTKC_GENERAL_CERT_STORE"]
        if level != DEFAULT:
            return value  # type: ignore[no-any-return]
        base = self._directory("XDG_CONFIG_HOME", ".config")
        return os.path.join(base, "certs") if base else None

    @property
    def credentials(self) -> str | None:
        """Directory of systemd's credentials, None if there is none or the host is setuid."""
        path = self._environment.get("CREDENTIALS_DIRECTORY", "")
        return path if os.path.isabs(path) else None

    # The other items

    @property
    def transport(self) -> str:
        """`direct` or `encoded`."""
        return self.settings["ET_PTKC_SW_TRANSPORT"].value  # type: ignore[no-any-return]

    @property
    def hide_admin_slot(self) -> bool:
        """Whether applications do not see the Admin slots."""
        return self.settings["ET_PTKC_GENERAL_HIDE_ADMIN_SLOT"].value == "YES"  # type: ignore[no-any-return]

    @property
    def log_file(self) -> str | None:
        """Path of the log file, None for no log."""
        return self.settings["ET_PTKC_LOGGER_FILE"].value or None

    @property
    def log_mode(self) -> str:
        """`refused` or `bugs`."""
        return self.settings["ET_PTKC_LOGGER_MODE"].value  # type: ignore[no-any-return]

    @property
    def servers(self) -> tuple[tuple[str, int], ...]:
        """The servers of network HSMs: (host, port), or (path of a socket, 0)."""
        return tuple(map(read_server, self.settings["ET_HSM_NETCLIENT_SERVERLIST"].value.split()))

    @property
    def new_hsms(self) -> tuple[str, ...]:
        """The serials of HSMs that have no identity yet, and may be used in clear."""
        return tuple(self.settings["ET_PTKC_SMS_NEW_HSMS"].value.split())

    def number(self, name: str) -> int:
        """Return the value of an item that is a number."""
        return int(self.settings[name].value)

    def smpr(self, serial: str) -> str | None:
        """Return the letters of the SMPR for an HSM, None if they are not understood: it must not be used then."""
        setting = self.settings.get(f"ET_PTKC_{serial}_SMPR")
        return "" if setting is None else setting.value

    def value(self, name: str) -> str | None:
        """Return an item's value with computed defaults, as the HSM uses it; None if there is none."""
        computed = {
            "ET_PTKC_SW_DATAPATH": self.data_path,
            "ET_PTKC_SW_KEYPATH": self.key_path,
            "ET_PTKC_GENERAL_CERT_STORE": self.certificate_store,
        }
        return computed[name] if name in computed else self.settings[name].value or None


def _check_number(item: Item, text: str) -> tuple[str | None, str]:
    least, most = item.values
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return str(int(text)), ""
    return None, f"is not a number from {least} to {most}"


def _check_servers(_: Item, text: str) -> tuple[str | None, str]:
    entries = text.split()
    for entry in entries:
        try:
            read_server(entry)
        except ValueError as error:
            return None, f"{entry}: {error}"
    return " ".join(entries), ""


def _check_serials(_: Item, text: str) -> tuple[str | None, str]:
    for serial in text.split():
        if not (serial.isascii() and serial.isalnum()) or len(serial) > _LONGEST_SERIAL:
            return None, f"{serial!r} is no serial number"
    return " ".join(text.split()), ""


def _check_letters(item: Item, text: str) -> tuple[str | None, str]:
    for letter in text:
        if letter not in item.values:
            return None, f"has the letter {letter!r}, and not only {', '.join(item.values)}"
    return text, ""


_CHECKS = {
    "number": _check_number, "servers": _check_servers, "serials": _check_serials, "letters": _check_letters,
}  # fmt: skip


def _password_home() -> str:
    """Return the home directory of the user whose rights we have, "" if there is none."""
    import pwd  # noqa: PLC0415 - asks name services: only where HOME does not say

    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""
    return home if os.path.isabs(home) else ""
