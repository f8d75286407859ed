"""What the shared object starts: joins the library with the HSMs of this process.

`start` runs once in a process, when the first C_Initialize has Python up; its last line tells the native layer that the
C functions are there. C_Initialize makes an application, C_Finalize and fork end it. An HSM of this process is called
directly, until a policy wants its messages protected; what that needs, and the network, is imported only then.
"""

from __future__ import annotations

import gc
import os

from _libptkc import ffi, lib

from ptkc import log
from ptkc.client import bridge
from ptkc.client.library import Library
from ptkc.configuration import Configuration
from ptkc.hsm import asynchronous
from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.spec import loading
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.hsms import Hsm
from ptkc.wire.commands import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.client.certificates import CertificateStore
    from ptkc.client.remote import RemoteDevice
    from ptkc.client.servers import Servers

__all__ = ["after_fork_in_child", "start"]



class _State:
    """What C_Initialize has made."""

    configuration: Configuration | None = None
    servers: Servers | None = None


_library = Library()
_hsms: list[Hsm] = []
_local: dict[Device, Application] = {}  # devices of this process that are called directly
_remote: dict[Device, RemoteDevice] = {}  # all others, by themselves and by the one whose place they took
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
        _State.configuration = configuration
        handles = Handles()
        _open(configuration)
        devices = [device for hsm in _hsms if (device := _device(hsm, handles, configuration)) is not None]
        if configuration.servers:
            devices += _begin_servers(configuration, handles)
        _library.begin(
            devices, admin_slots=not configuration.hide_admin_slot, look=_look, protected=_protected
        )
    except BaseException:  # noqa: BLE001 - the boundary to C
        log.bug("C_Initialize")
        return CKR.GENERAL_ERROR
    lib.ptkc_set_initialized(1)
    return CKR.OK


def _open(configuration: Configuration) -> None:
    """Open the HSMs of the data path; one that cannot be opened is absent, and the log says why."""
    data_path, key_path = configuration.data_path, configuration.key_path
    if data_path is None or key_path is None:
        log.note("no data path: neither ET_PTKC_SW_DATAPATH nor a home directory")
        return
    try:
        opened = Hsm.open_all(data_path, key_path, credentials=configuration.credentials)
        if configuration.servers and all(hsm.store is None for hsm in opened):
            # The HSM that is made by the first write would be in slot 0, in front of those that the client is to use.
            while opened:
                opened.pop().close()
        _hsms.extend(opened)
    except CryptokiError as error:
        log.note(f"{data_path}: no HSM, {error}")


def _device(hsm: Hsm, handles: Handles, configuration: Configuration) -> Device | None:
    """Return an HSM as this application's device; None if its SMPR is not understood."""
    letters = configuration.smpr(hsm.serial)
    if letters is None:
        log.note(f"HSM {hsm.serial}: absent, ET_PTKC_{hsm.serial}_SMPR is not understood")
        return None
    application = Application(hsm, handles)
    device: Device = LocalDevice(hsm, application)
    if configuration.transport == "encoded":
        device = _encoded(device)
    _local[device] = application
    return _protected(device, letters) if letters else device


def _encoded(device: Device) -> Device:
    """Return a device behind the codec."""
    from ptkc.client.remote import EncodedDevice  # noqa: PLC0415 - for tests
    from ptkc.hsm.calls import answer  # noqa: PLC0415

    return EncodedDevice(lambda request: answer(device, request))


def _protected(device: Device, letters: str | None = None) -> Device | None:
    """Return what takes the place of an HSM of this process when its messages are to be protected; None for another.

    Its sessions, logins and handles stay: it is the same application.
    """
    application, configuration = _local.get(device), _State.configuration
    if application is None or configuration is None:
        return None
    remote = _remote.get(device)
    if remote is None:
        remote = _remote[device] = _behind_channels(application, configuration, letters)
        _remote[remote] = remote
    sessions = list(application.sessions.items())
    remote.adopt({handle: (session.slot, session.token.serial.encode()) for handle, session in sessions})
    return remote


def _behind_channels(application: Application, configuration: Configuration, letters: str | None) -> RemoteDevice:
    """Return an application of this process as a device that is reached through channels."""
    loading.check_version()
    from ptkc.client.connection import Connection  # noqa: PLC0415 - only where a policy wants it
    from ptkc.client.pool import Pool  # noqa: PLC0415
    from ptkc.client.protection import Protection  # noqa: PLC0415
    from ptkc.client.remote import RemoteDevice  # noqa: PLC0415
    from ptkc.client.transport import DirectTransport  # noqa: PLC0415
    from ptkc.hsm.applications import OneApplication  # noqa: PLC0415
    from ptkc.hsm.endpoint import Endpoint  # noqa: PLC0415
    from ptkc.sms.protection import policy_of_flags, policy_of_letters  # noqa: PLC0415

    hsm = application.hsm
    wanted = policy_of_letters(letters) if letters else policy_of_flags(hsm.security_mode)
    patience = configuration.number("ET_HSM_NETCLIENT_CONNECT_TIMEOUT")
    protection = Protection(hsm.serial, wanted, _certificates(configuration), patience, local=True)
    endpoint = Endpoint(hsm, OneApplication(application))

    def connect() -> Connection:
        transport = DirectTransport(endpoint.connection("", b""))
        return Connection(transport, float("inf"), protection.epoch)

    most = configuration.number("ET_HSM_NETCLIENT_CONNECTIONS")
    return RemoteDevice(Pool(connect, protection, most, configuration.number("ET_HSM_NETCLIENT_READ_TIMEOUT")))


def _certificates(configuration: Configuration) -> CertificateStore | None:
    from ptkc.client.certificates import CertificateStore  # noqa: PLC0415 - only where a policy wants it

    path = configuration.certificate_store
    return CertificateStore(path) if path else None


def _begin_servers(configuration: Configuration, handles: Handles) -> list[Device]:
    """Return the HSMs of the servers that the configuration names; those that are not there may come later."""
    from ptkc.client.servers import Servers  # noqa: PLC0415 - only where there are any

    certificates = _certificates(configuration)
    _State.servers = Servers(configuration, certificates, handles.add, lambda name: handles.pop(name, None))
    return _look()


def _look() -> list[Device]:
    """Return the HSMs of servers that were not there before."""
    if _State.servers is None:
        return []
    found = _State.servers.look({hsm.serial for hsm in _hsms})
    _remote.update({device: device for device in found})
    return list(found)


@_uncollected
def _finalize(_reserved: object) -> int:
    """C_Finalize."""
    lib.ptkc_set_initialized(0)
    try:
        _library.end()
        asynchronous.settle()
        _local.clear()
        _State.configuration = _State.servers = None
        for remote in set(_remote.values()):
            remote.close()
        _remote.clear()
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
    asynchronous.drop_after_fork()
    for hsm in {*_hsms, *_locked}:
        hsm.drop_after_fork()
    for remote in set(_remote.values()):
        remote.pool.drop_after_fork()
    _remote.clear()
    _local.clear()
    _State.configuration = _State.servers = None
    _hsms.clear()
    _locked.clear()
    _library.end()
