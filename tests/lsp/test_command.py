"""`flinfast lsp` when it cannot start."""

from __future__ import annotations

import sys

import pytest

from flinfast.cli.commands import main


@pytest.mark.parametrize("missing", ["pygls", "lsprotocol"])
def test_without_pygls_the_command_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 with the extra to install, no traceback."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("pygls", "lsprotocol") or name.startswith("flinfast.lsp"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["lsp"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "pip install 'flinfast[lsp]'" in captured.err
    assert "Traceback" not in captured.err
