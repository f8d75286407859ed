"""The HSM as one application sees it, in this process."""

from __future__ import annotations

from ptkc.hsm.asynchronous import AsynchronousCommands
from ptkc.hsm.certificates import CertificateCommands
from ptkc.hsm.encapsulation import EncapsulationCommands
from ptkc.hsm.extensions import ExtensionCommands
from ptkc.hsm.messages import MessageCommands
from ptkc.hsm.recover import RecoverCommands
from ptkc.hsm.states import StateCommands

__all__ = ["LocalDevice"]


class LocalDevice(
    AsynchronousCommands,
    CertificateCommands,
    ExtensionCommands,
    EncapsulationCommands,
    MessageCommands,
    RecoverCommands,
    StateCommands,
):
    """One method for each command of `wire.commands` that is not the library's; what it lacks is not supported."""
