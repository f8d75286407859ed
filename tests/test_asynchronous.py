"""What asynchronous sessions are in a C host: C_Finalize, fork, signals and the end of the process come in between."""

from __future__ import annotations

import pytest
from compiled import programs
from modules import Module
from processes import run


@pytest.mark.parametrize("command", ["finalize", "fork", "signals", "exit", "users"])
def test_a_c_host_goes_on_while_a_key_is_generated(command: str, module: Module, env: dict[str, str]) -> None:
    """No thread outlives C_Finalize, no child inherits one, none takes a signal, and the process may end meanwhile.

    What one user began, another one who follows with a new PIN or on the emptied token does not join.
    """
    assert not run(programs() / "pending", module.path, command, env=env, timeout=120)
