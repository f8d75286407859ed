"""The configuration items, their levels and their files.

An item is looked up at four levels, first hit wins: environment variable, user file (`$HOME/.safenet/et_<class>`),
system file (`/etc/default/et_<class>`), built-in default. `ITEMS` is the only list of items, `docs/configuration.md`
is made from it. In a setuid host (AT_SECURE) the environment and the user file are not read: both belong to the
caller. Nothing here raises: what is wrong is said in `problems`, and each item's row says what happens then.
"""

from __future__ import annotations

import os
from collections import namedtuple

__all__ = ["DEFAULT", "ENVIRONMENT", "ITEMS", "SYSTEM", "USER", "Configuration", "Setting", "parse"]

# name; kind: path, choice or flag; values a choice may have; default, None where it is computed; what the default is,
# for the reader; what the item means; what an invalid value does: "absent" (never another directory than the one that
# was meant) or "default" (the item protects nothing).
Item = namedtuple("Item", "name kind values default default_text meaning invalid")

# value; level: one of the four below; source: the variable, `file:line`, or empty
Setting = namedtuple("Setting", "value level source")

ENVIRONMENT = "environment"
USER = "user"
SYSTEM = "system"
DEFAULT = "default"

ITEMS = (
    Item(
        "ET_PTKC_SW_DATAPATH", "path", (), None, "`$XDG_DATA_HOME/ptkc`, else `~/.local/share/ptkc`",
        "Directory of the HSMs: one directory an HSM, named by its serial number.", "absent",
    ),
    Item(
        "ET_PTKC_SW_KEYPATH", "path", (), None,
        "`<data path>.keys` if `ET_PTKC_SW_DATAPATH` is set, else `$XDG_CONFIG_HOME/ptkc/keys`, "
        "else `~/.config/ptkc/keys`",
        "Directory of the key sources: one file an HSM, without which its data cannot be read. "
        "Keep it, and its backup, apart from the data.", "absent",
    ),
    Item(
        "ET_PTKC_SW_TRANSPORT", "choice", ("direct", "encoded"), "direct", "`direct`",
        "How commands reach an HSM in the same process: called, or encoded to bytes and decoded as over a wire. "
        "They differ in speed only; `encoded` is for tests.", "default",
    ),
    Item(
        "ET_PTKC_GENERAL_HIDE_ADMIN_SLOT", "flag", ("YES", "NO"), "NO", "`NO`",
        "Whether applications do not see the Admin slots: for those that log in to every token they find. "
        "The tools see them all the same.", "default",
    ),
    Item(
        "ET_PTKC_GENERAL_CERT_STORE", "path", (), None, "`$XDG_CONFIG_HOME/ptkc/certs`, else `~/.config/ptkc/certs`",
        "Directory of the client's certificate store, made with mode 0700: `Owner_POC.crt`, and `HSM_<serial>.crt` and "
        "`HSM_<serial>.csr` of each HSM. A client holds one owner's certificate: another owner, another directory.",
        "absent",
    ),
    Item(
        "ET_PTKC_LOGGER_FILE", "path", (), "", "none: nothing is logged",
        "Log file, made with mode 0600. Each refused call is one line: function, return code, and the attribute, field "
        "or file that was wrong; never a PIN, a key or data.", "default",
    ),
    Item(
        "ET_PTKC_LOGGER_MODE", "choice", ("refused", "bugs"), "refused", "`refused`",
        "What is logged: `refused` = refused calls, notes and bugs; `bugs` = notes and bugs only.", "default",
    ),
)  # fmt: skip

_BY_NAME = {item.name: item for item in ITEMS}
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
        self.settings = {item.name: self._setting(item, found) for item in ITEMS}

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
        self.unknown.extend(f"{path}:{line}: {name}" for name, (_, line) in values.items() if name not in _BY_NAME)
        return values

    def _setting(self, item: Item, found: list[tuple[str, str, dict[str, tuple[str, int]]]]) -> Setting:
        """Return an item's first valid value; an invalid one ends the search as the item's row says."""
        candidates = [(self._environment.get(item.name, ""), ENVIRONMENT, item.name)]
        for level, path, values in found:
            value, line = values.get(item.name, ("", 0))
            candidates.append((value, level, f"{path}:{line}"))
        for text, level, source in candidates:
            if not text:
                continue
            checked, wrong = self._check(item, text, level)
            if checked is not None:
                return Setting(checked, level, source)
            where = f"{item.name} (environment)" if level == ENVIRONMENT else f"{item.name} ({source})"
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

    def value(self, name: str) -> str | None:
        """Return an item's value with computed defaults, as the HSM uses it; None if there is none."""
        computed = {
            "ET_PTKC_SW_DATAPATH": self.data_path,
            "ET_PTKC_SW_KEYPATH": self.key_path,
            "ET_PTKC_GENERAL_CERT_STORE": self.certificate_store,
        }
        return computed[name] if name in computed else self.settings[name].value or None


def _password_home() -> str:
    """Return the home directory of the user whose rights we have, "" if there is none."""
    import pwd  # noqa: PLC0415 - asks name services: only where HOME does not say

    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""
    return home if os.path.isabs(home) else ""
