"""`flinfast lsp` when it cannot start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lsp.editor import DEADLINE_S, ROOT

# In a process of its own: what a failed import leaves behind is nothing for other tests.
PROGRAM = """
import sys
from flinfast.cli.commands import main
sys.modules[sys.argv[1]] = None
sys.exit(main(["lsp"]))
"""


@pytest.mark.parametrize("missing", ["pygls", "lsprotocol"])
def test_without_pygls_the_command_says_what_to_install(missing: str) -> None:
    """Exit 1 with the extra to install, no traceback."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, missing],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'flinfast[lsp]'" in done.stderr
    assert "Traceback" not in done.stderr
