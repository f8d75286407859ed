"""`hsmreset`: start HSMs anew. Another name for `ptkc hsm restart`."""

from __future__ import annotations

import sys

from ptkc.tools import arguments, common, devices, hsm

__all__ = ["main", "parser"]


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    top = arguments.top(
        "hsmreset",
        "Start an HSM anew: all sessions with it end, and transport mode single does too. Nothing that is stored is "
        "lost. The same as `ptkc hsm restart`; no PIN is needed.",
        examples=(("hsmreset", "the only HSM"), ("hsmreset sn:1197", "one of several"), ("hsmreset --all", "all")),
    )
    hsm.add_restart(top)
    return top


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser(), devices.glued(sys.argv[1:])))


if __name__ == "__main__":
    main()
