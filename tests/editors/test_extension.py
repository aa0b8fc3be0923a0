"""The VS Code extension: its manifest names what exists, and it starts the right server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "editors" / "vscode"
needs_node = pytest.mark.skipif(
    shutil.which("node") is None and not os.environ.get("CI"), reason="Node.js is not installed"
)


def run(failure: str = "") -> dict[str, Any]:
    done = subprocess.run(
        [
            "node",
            Path(__file__).with_name("extension.cjs"),
            EXTENSION / "extension.js",
            failure,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_manifest_names_files_that_exist() -> None:
    """Entry point, grammar, configuration; the grammar's scope is the one declared."""
    manifest = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    assert (EXTENSION / manifest["main"]).is_file()
    contributes = manifest["contributes"]
    (language,) = contributes["languages"]
    (grammar,) = contributes["grammars"]
    assert language["extensions"] == [".flin"]
    configuration = json.loads((EXTENSION / language["configuration"]).read_text(encoding="utf-8"))
    stored = json.loads((EXTENSION / grammar["path"]).read_text(encoding="utf-8"))
    assert stored["scopeName"] == grammar["scopeName"]
    assert configuration["comments"]["lineComment"] == "//"
    for rule in configuration["indentationRules"].values():
        assert re.compile(rule)
    assert list(manifest["dependencies"]) == ["vscode-languageclient"]


def test_readme_names_the_settings_there_are() -> None:
    """And the file that packaging makes."""
    manifest = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    text = (EXTENSION / "README.md").read_text(encoding="utf-8")
    for name in manifest["contributes"]["configuration"]["properties"]:
        assert f"`{name}`" in text
    assert f"{manifest['name']}-{manifest['version']}.vsix" in text


@pytest.mark.node
@needs_node
def test_the_extension_starts_and_restarts_the_server() -> None:
    """`flinfast lsp` for FLIN documents; again on the command and when the setting changes."""
    log = run()
    servers = [client["server"] for client in log["clients"]]
    assert servers == [{"command": "flinfast", "args": ["lsp"]}] * 3
    assert log["clients"][0]["options"]["documentSelector"] == [{"language": "flin"}]
    assert log["commands"] == ["flin.restartServer"]
    assert log["stopped"] == 3
    assert log["messages"] == []


@pytest.mark.node
@needs_node
def test_the_extension_chooses_the_server() -> None:
    """The setting, an environment in the workspace, the search path; in that order."""
    chosen = [[part.replace("\\", "/") for part in choice] for choice in run()["choices"]]
    assert chosen == [
        ["/opt/f", "lsp"],
        ["/p/.venv/bin/flinfast", "lsp"],
        ["/q/venv/Scripts/flinfast.exe", "lsp"],
        ["flinfast", "lsp"],
    ]


@pytest.mark.node
@needs_node
def test_a_server_that_does_not_start_is_explained() -> None:
    """With the command that was tried and what to install."""
    (message,) = run("spawn flinfast ENOENT")["messages"]
    assert "`flinfast lsp`" in message
    assert "pip install 'flinfast[lsp]'" in message
