"""`hsmstate`: are the HSMs and the installation in their normal state? Another name for `ptkc doctor`."""

from __future__ import annotations

import sys

from ptkc.tools import arguments, common, ptkc

__all__ = ["main", "parser"]


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    top = arguments.top(
        "hsmstate",
        "Say whether installation, configuration and HSMs are in their normal state, and what to do if not; the same "
        "as `ptkc doctor`. Nothing is changed, no PIN is needed. Exit code 1 if there is an error.",
        examples=(("hsmstate", "everything that was looked at"), ("hsmstate --quiet", "only what is wrong")),
    )
    ptkc.add_report(top)
    return top


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser()))


if __name__ == "__main__":
    main()
