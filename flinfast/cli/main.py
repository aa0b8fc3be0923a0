"""Entry point of `flinfast`; imports as little as possible, so that `--version` is instant.

Exit codes: 0 fine, 1 diagnostics (a program, a setting or the database needs attention), 2 wrong
usage, 70 a fault of flinfast itself, 130 interrupted.
"""

from __future__ import annotations

import sys

from flinfast import __version__

TYPE_CHECKING = False  # as type checkers know it: `typing` takes longer than all else here
if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line of this process and exit."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        print(f"flinfast {__version__}")
        sys.exit(0)
    from flinfast.cli.commands import main

    sys.exit(main(arguments))
