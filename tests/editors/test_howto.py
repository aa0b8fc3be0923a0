"""docs/howto/editors.md is true: snippets parse, and start what there is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from flinfast.cli.commands import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "howto" / "editors.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def commands_in(value: Any) -> list[Any]:
    """Lists of a parsed snippet that are command lines."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in commands_in(item)]
    return [value] if isinstance(value, list) and "flinfast" in value else []


def test_every_editor_starts_the_same_command() -> None:
    """`flinfast lsp`, in the syntax of each."""
    lua = re.findall(r"cmd = \{([^}]*)\}", "\n".join(blocks("lua")))
    assert lua == [' "flinfast", "lsp" '] * 2
    (elisp,) = blocks("elisp")
    assert """'(flin-mode . ("flinfast" "lsp"))""" in elisp
    (helix,) = [tomllib.loads(text) for text in blocks("toml")]
    server = helix["language-server"]["flinfast"]
    assert [server["command"], *server["args"]] == ["flinfast", "lsp"]
    assert helix["language"][0]["language-servers"] == ["flinfast"]
    found = [c for text in blocks("json") for c in commands_in(json.loads(text))]
    assert found == [["flinfast", "lsp"]]
    assert "lsp" in COMMANDS


def test_every_editor_knows_the_extension_of_files() -> None:
    """Neovim, Helix, Emacs."""
    assert all('extension = { flin = "flin" }' in b for b in blocks("lua") if "cmd =" in b)
    assert tomllib.loads(blocks("toml")[0])["language"][0]["file-types"] == ["flin"]
    assert "flin" in re.findall(r"auto-mode-alist '\(\"(.*?)\" \. flin-mode", blocks("elisp")[0])[0]
    assert blocks("elisp")[0].count("(") == blocks("elisp")[0].count(")")


def test_json_of_a_check_is_as_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Key by key."""
    path = tmp_path / "app" / "api" / "chat.flin"
    path.parent.mkdir(parents=True)
    path.write_text("guard atuh\nroute GET { 1 }\n")
    assert main(["check", str(tmp_path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["diagnostics"]
    assert found in [json.loads(text) for text in blocks("json")]


def test_commands_of_the_page_exist() -> None:
    """Each `flinfast ...` in it."""
    named = set(re.findall(r"flinfast ([a-z]+)", TEXT)) - {"is", "for"}
    assert named
    assert named <= set(COMMANDS)
    assert (ROOT / "editors" / "vscode" / "syntaxes" / "flin.tmLanguage.json").is_file()
