"""The C functions: the only place where Python touches pointers.

Each function is compiled from its row of the command table when it is first called: what a field's kind means in C is
said once, in `_INPUTS` and `_OUTPUTS`, and nothing is looked up or looped over in a call. A `CryptokiError` becomes
the CK_RV here; any other exception is a bug, logged without values, and CKR_GENERAL_ERROR for the caller, but for
Ctrl-C in a Python host (CKR_FUNCTION_CANCELED, and raised again there) and want of memory (CKR_HOST_MEMORY).
A refused argument ends the operation that the function works on, as any error does (specification 5.2).
"""

from __future__ import annotations

import sys
from _thread import interrupt_main

from _libptkc import ffi

from ptkc import log
from ptkc.client import memory
from ptkc.client.library import Library
from ptkc.spec.constants import CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.spec.layouts import WITHOUT_KEY
from ptkc.wire.commands import CANCEL, CANCEL_ALONE, COMMANDS, MESSAGE_ALONE, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["install"]

# What goes in: the C parameters, the statements that read them, and the argument for the device's method.
_INPUTS = {
    "session": ("{0}", "", "{0}"),
    "handle": ("{0}", "", "{0}"),
    "ulong": ("{0}", "", "{0}"),
    "device": ("{0}", "", "{0}"),
    "boolean": ("{0}", "", "bool({0})"),
    "bytes": (
        "p_{0}, n_{0}",
        "if n_{0}:\n"
        "    if not p_{0} or n_{0} > LARGE and is_absurd(p_{0}, n_{0}): raise BadArgument('{0}')\n"
        "    {0} = unpack(p_{0}, n_{0})\n"
        "else: {0} = b''",
        "{0}",
    ),
    "secret": (
        "p_{0}, n_{0}",
        "if n_{0} > LARGE or n_{0} and not p_{0}: raise BadArgument('{0}')\n"
        "{0} = unpack(p_{0}, n_{0}) if p_{0} else None",
        "{0}",
    ),
    "last": (
        "p_{0}, n_{0}",
        "if p_{0} and n_{0} > LARGE: raise BadArgument('{0}')",
        "unpack(p_{0}, n_{0}) if p_{0} else None",
    ),
    "label": ("p_{0}", "if not p_{0}: raise BadArgument('{0}')", "unpack(p_{0}, 32)"),
    "name": ("p_{0}", "if not p_{0}: raise BadArgument('{0}')", "string(p_{0}, 64)"),
    "mechanism": ("p_{0}", "", "read_mechanism(p_{0}) if p_{0} else None"),
    "template": ("p_{0}, n_{0}", "", "read_template(p_{0}, n_{0})"),
    "types": ("p_{0}, n_{0}", "entries = read_entries(p_{0}, n_{0})", "[entry[0] for entry in entries]"),
    **dict.fromkeys(("callback", "ignored"), ("_pointer, _other", "", "")),
    "reserved": ("p_{0}", "if p_{0}: raise BadArgument('{0}')", ""),
    "ulong_in": ("{0}", "", "{0}"),
    # Parameters of which something is written back by `written`:
    "made": ("p_{0}, n_{0}", "outputs = []", "read_message(p_{0}, n_{0}, outputs)"),
    "given": ("p_{0}, n_{0}", "", "read_message(p_{0}, n_{0})"),
    "sealing": ("p_{0}", "outputs = []", "read_message_mechanism(p_{0}, outputs) if p_{0} else None"),
    "opening": ("p_{0}", "", "read_message_mechanism(p_{0}) if p_{0} else None"),
    "mechanism_back": ("p_{0}", "outputs = []", "read_mechanism(p_{0}, outputs) if p_{0} else None"),
}

# What comes out: the C parameters, the statements before the call, the argument, and those after it ({1} the result).
_WHOLE = ("p_{0}", "if not p_{0}: raise BadArgument('{0}')", "", "write_structure(p_{0}, '{2}', {1})")
_OUTPUTS = {
    **dict.fromkeys(("ulong", "uint"), ("p_{0}", "if not p_{0}: raise BadArgument('{0}')", "", "p_{0}[0] = {1}")),
    # Of C_DeriveKey: some mechanisms make no key but those that their parameter takes.
    "derived": (
        "p_{0}",
        "if not p_{0} and not (p_mechanism and p_mechanism.mechanism in WITHOUT_KEY): raise BadArgument('{0}')",
        "",
        "if p_{0}: p_{0}[0] = {1}",
    ),
    "buffer": (
        "p_{0}, n_{0}",
        "if not n_{0}: raise BadArgument('{0}')\nroom = n_{0}[0] if p_{0} else None",
        "room",
        "if room is None: n_{0}[0] = {1}\nelse:\n    size = n_{0}[0] = len({1})\n    memmove(p_{0}, {1}, size)",
    ),
    "last_buffer": (
        "p_{0}, n_{0}",
        "room = (n_{0}[0] if p_{0} else None) if n_{0} else False",
        "room",
        "if room is None: n_{0}[0] = {1}\n"
        "elif n_{0}:\n    size = n_{0}[0] = len({1})\n    memmove(p_{0}, {1}, size)",
    ),
    "slots": ("p_{0}, n_{0}", "if not n_{0}: raise BadArgument('{0}')", "not p_{0}", "write_list(p_{0}, n_{0}, {1})"),
    "fill": (
        "p_{0}, n_{0}",
        "if n_{0} and not p_{0} or n_{0} > LARGE and is_absurd(p_{0}, n_{0}): raise BadArgument('{0}')",
        "n_{0}",
        "memmove(p_{0}, {1}, n_{0})",
    ),
    "list": ("p_{0}, n_{0}", "if not n_{0}: raise BadArgument('{0}')", "", "write_list(p_{0}, n_{0}, {1})"),
    "found": (
        "p_{0}, most, n_{0}",
        "if most and not p_{0} or not n_{0}: raise BadArgument('{0}')",
        "most",
        "write_numbers(p_{0}, {1})\nn_{0}[0] = len({1})",
    ),
    "written": ("", "", "", "if {1} or outputs: write_back(outputs, {1})"),
    "values": ("", "", "", "return write_values(p_types, entries, *{1})"),
    **dict.fromkeys(("slot_info", "token_info", "session_info", "mechanism_info", "async_data"), _WHOLE),
}

class _BadArgumentError(CryptokiError):
    """A pointer, count or length that cannot be right."""

    def __init__(self, field: str) -> None:
        super().__init__(CKR.ARGUMENTS_BAD, f"{field} is NULL, or its length cannot be right")


def _fields(names: list[str]) -> list[tuple[str, str]]:
    """Return (name, kind) of each field; a kind alone names itself."""
    return [(part.split(":")[0], part.split(":")[-1]) for part in names]


def _source(command: Command) -> str:
    """Return the source text of a command's C function."""
    parameters: list[str] = []
    before: list[str] = []
    arguments: list[str] = []
    after: list[str] = []
    writes_back = "written" in command.outputs
    for name, kind in _fields(command.inputs):
        c_names, statements, argument = _INPUTS["mechanism_back" if writes_back and kind == "mechanism" else kind]
        parameters.append(c_names.format(name))
        before.append(statements.format(name))
        arguments.append(argument.format(name))
    if command.method == "session_cancel":
        arguments[-1] += " & PUBLIC"  # the rest is the library's own to say
    outputs = [field for field in _fields(command.outputs) if field[1] in _OUTPUTS]
    if command.method == "derive_key":
        outputs[0] = outputs[0][0], "derived"
    results = [f"r{place}" for place in range(len(outputs))]
    room = ""
    for (name, kind), result in zip(outputs, results, strict=True):
        c_names, statements, argument, writing = _OUTPUTS[kind]
        parameters.append(c_names.format(name))
        before.append(statements.format(name))
        arguments.append(argument.format(name))
        # What the parameter names is written first: it alone is held against the memory there is. A length query gives
        # nothing but the length.
        writing = writing.format(name, result, kind)
        asks = kind == "ulong" and room
        after.insert(0 if kind == "written" else len(after), f"if room is not None: {writing}" if asks else writing)
        room = f"n_{name}" if kind in ("buffer", "last_buffer", "list", "slots") else room
    for name, kind in _fields(command.outputs):
        if kind in ("ulong_in", "reserved"):
            parameters.append(name)
            before.append(f"if {name}: raise BadArgument('{name}')" if kind == "reserved" else "")
            arguments.append(name if kind == "ulong_in" else "")
    local = command.method in vars(Library)
    target = "library" if local or not command.has_session else "device"
    call = f"{target}.{command.method}({', '.join(filter(None, arguments))})"
    body = []
    if command.has_session:
        body = ["device = sessions.get(session)", "if device is None: raise NoSession"]
    body += [*before, f"{', '.join(results)} = {call}" if results else call, *after, "return 0"]
    lines = [f"def function({', '.join(filter(None, parameters))}):", "    try:"]
    lines += ["        " + line for statement in body for line in statement.splitlines()]
    if room:
        lines += ["    except TooSmall as error:", f"        if {room}: {room}[0] = error.length"]
        lines += ["        return error.code"]
    lines += ["    except CryptokiError as error:"]
    if command.has_session:
        # Nothing was done: the HSM's flags want messages protected, and from now on they are.
        lines += ["        if error.code == UNPROTECTED and library.protect(session, device):"]
        lines += [f"            return function({', '.join(filter(None, parameters))})"]
    lines += [f"        return refused(error, {'session' if command.has_session else '0'})"]
    lines += ["    except BaseException:", "        return failed()"]
    return "\n".join(lines)


def _compile(command: Command, library: Library) -> Callable[..., int]:
    """Return the Python function behind a C function."""
    cancel = _cancelled(command)
    sessions = library.sessions

    def refused(error: CryptokiError, session: int) -> int:
        if not library.is_begun:
            return CKR.CRYPTOKI_NOT_INITIALIZED  # whatever it was that C_Finalize took away
        log.refused(command.name, error)
        if cancel and error.__class__ is _BadArgumentError:
            try:
                library.call(session, "session_cancel", cancel)
            except CryptokiError as failed:  # the operation has not ended, or the session has
                return failed.code
        return error.code

    names: dict[str, Any] = {
        **vars(memory),
        "library": library,
        "sessions": sessions,
        "refused": refused,
        "failed": lambda: _failed(command, library),
        "NoSession": CryptokiError(CKR.SESSION_HANDLE_INVALID, "no such session"),
        "BadArgument": _BadArgumentError,
        "WITHOUT_KEY": WITHOUT_KEY,
        "CryptokiError": CryptokiError,
        "TooSmall": BufferTooSmallError,
        "PUBLIC": MESSAGE_ALONE - 1,
        "UNPROTECTED": CKR.BAD_PROTECTION,
    }
    exec(compile(_source(command), f"<{command.name}>", "exec"), names)  # noqa: S102 - our own table, not input
    function: Callable[..., int] = names["function"]
    return function


def _cancelled(command: Command) -> int:
    """Return the mask of C_SessionCancel for what a refused argument ends.

    A message-based operation goes on; of its functions only those that continue a message end that.
    """
    if command.name.endswith("Init"):
        return 0
    kinds = [kind for kind in command.operation.split(",") if kind in CANCEL]
    if any(kind.startswith("message") for kind in kinds):
        return CANCEL[kinds[0]] | MESSAGE_ALONE if command.name.endswith("Next") else 0
    return sum(CANCEL_ALONE[kind] for kind in kinds)


def _failed(command: Command, library: Library) -> int:
    """Return the CK_RV for the exception being handled, which is none of ours."""
    kind = sys.exc_info()[0]
    if kind is KeyboardInterrupt:
        # A Python host's Ctrl-C met our code: it is raised again where the host can see it.
        interrupt_main()
        return CKR.FUNCTION_CANCELED
    if kind is MemoryError:
        return CKR.HOST_MEMORY
    if not library.is_begun:
        # C_Finalize in another thread took away what the call was at work on.
        return CKR.CRYPTOKI_NOT_INITIALIZED
    log.bug(command.name)
    return CKR.GENERAL_ERROR


def install(library: Library) -> None:
    """Put a function behind each C function of the table that the native layer does not answer itself."""
    for command in COMMANDS:
        if not command.library or command.method in vars(Library):
            _install(command, library)


def _install(command: Command, library: Library) -> None:
    """Put behind a C function one that compiles the real one at the first call and takes its place."""
    name = "ptkc_" + command.name

    def first(*arguments: object) -> int:
        try:
            function = _compile(command, library)
            ffi.def_extern(name, error=CKR.GENERAL_ERROR)(function)
        except BaseException:  # noqa: BLE001 - the boundary to C
            return _failed(command, library)
        return function(*arguments)

    ffi.def_extern(name, error=CKR.GENERAL_ERROR)(first)
