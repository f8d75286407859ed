"""What the shared object starts: joins the library with the HSMs of this process.

`start` runs once in a process, when the first C_Initialize has Python up; its last line tells the native layer that the
C functions are there. C_Initialize makes an application, C_Finalize and fork end it.
"""

from __future__ import annotations

import gc
import os

from _libptkc import ffi, lib

from ptkc import log
from ptkc.client import bridge
from ptkc.client.library import Library
from ptkc.client.remote import RemoteDevice
from ptkc.client.transport import DirectTransport
from ptkc.configuration import Configuration
from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.endpoint import answer
from ptkc.hsm.handles import Handles
from ptkc.spec import loading
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.hsms import Hsm
from ptkc.wire.commands import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["after_fork_in_child", "start"]

_library = Library()
_hsms: list[Hsm] = []
_locked: list[Hsm] = []  # by the fork that is under way


def start() -> None:
    """Put Python behind the C functions."""
    loading.around(lib.ptkc_begin_loading, lib.ptkc_end_loading)
    bridge.install(_library)
    for name, function in (("C_Initialize", _initialize), ("C_Finalize", _finalize)):
        ffi.def_extern("ptkc_" + name, error=CKR.GENERAL_ERROR)(function)
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
    lib.ptkc_set_ready()


def _uncollected(function: Callable[[object], int]) -> Callable[[object], int]:
    """Keep the garbage collector out while `function` runs.

    A Python host's finaliser might wait for a lock that the host holds while it calls us, as PyKCS11's does.
    """

    def quiet(argument: object) -> int:
        if not gc.isenabled():
            return function(argument)
        gc.disable()
        try:
            return function(argument)
        finally:
            gc.enable()

    return quiet


@_uncollected
def _initialize(_arguments: object) -> int:
    """C_Initialize, whose arguments the native layer has checked."""
    try:
        configuration = Configuration(secure=bool(lib.ptkc_secure()))
        for problem in (log.configure(configuration.log_file, configuration.log_mode), *configuration.problems):
            if problem:
                log.note(problem)
        handles = Handles()
        _library.begin(
            [_device(hsm, handles, configuration.transport) for hsm in _open(configuration)],
            admin_slots=not configuration.hide_admin_slot,
        )
    except BaseException:  # noqa: BLE001 - the boundary to C
        log.bug("C_Initialize")
        return CKR.GENERAL_ERROR
    lib.ptkc_set_initialized(1)
    return CKR.OK


def _open(configuration: Configuration) -> list[Hsm]:
    """Open the HSMs of the data path; one that cannot be opened is absent, and the log says why."""
    data_path, key_path = configuration.data_path, configuration.key_path
    if data_path is None or key_path is None:
        log.note("no data path: neither ET_PTKC_SW_DATAPATH nor a home directory")
        return []
    try:
        _hsms.extend(Hsm.open_all(data_path, key_path, credentials=configuration.credentials))
    except CryptokiError as error:
        log.note(f"{data_path}: no HSM, {error}")
    return _hsms


def _device(hsm: Hsm, handles: Handles, transport: str) -> Device:
    """Return an HSM as this application's device, behind the codec if the configuration asks for it."""
    device = LocalDevice(hsm, Application(hsm, handles))
    return RemoteDevice(DirectTransport(lambda request: answer(device, request))) if transport == "encoded" else device


@_uncollected
def _finalize(_reserved: object) -> int:
    """C_Finalize."""
    lib.ptkc_set_initialized(0)
    try:
        _library.end()
        while _hsms:
            _close(_hsms[-1])
            _hsms.pop()
    except BaseException:  # noqa: BLE001 - the boundary to C
        log.bug("C_Finalize")
        return CKR.GENERAL_ERROR
    return CKR.OK


def _close(hsm: Hsm) -> None:
    """Close an HSM; one that was taken away meanwhile keeps no other open."""
    try:
        hsm.close()
    except CryptokiError as error:
        log.note(f"HSM {hsm.serial}: {error}")


def _before_fork() -> None:
    """Have no store at work while the process is copied.

    The locks are taken in the order of the HSMs, and no thread holds those of two. Another thread's C_Initialize or
    C_Finalize may change the list meanwhile: what was locked is what is released.
    """
    hsms = list(_hsms)
    for hsm in hsms:
        hsm.before_fork()
    _locked[:] = hsms


def _after_fork_in_parent() -> None:
    hsms = list(_locked)
    _locked.clear()
    for hsm in reversed(hsms):
        hsm.after_fork_in_parent()


def after_fork_in_child() -> None:
    """Forget, without a word to database or key, what belongs to the parent: the child begins with C_Initialize."""
    for hsm in {*_hsms, *_locked}:
        hsm.drop_after_fork()
    _hsms.clear()
    _locked.clear()
    _library.end()
