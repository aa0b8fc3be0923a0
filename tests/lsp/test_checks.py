"""How checks of whole projects are run beside requests: in this process, on a loop of the test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lsprotocol import types as lsp

from flinfast.errors import ConfigError
from flinfast.lsp.server import FlinServer
from flinfast.lsp.workspace import Checked, Document
from tests.lsp.editor import PROJECT, ROOT, write

DEADLINE_S = 60


class Bench:
    """A server without an editor; what it would publish is collected."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.server = FlinServer(delay_s=0.0)
        self.published: list[lsp.PublishDiagnosticsParams] = []
        self.arrived = asyncio.Event()
        fake = SimpleNamespace(
            server_capabilities=SimpleNamespace(position_encoding="utf-16"),
            client_capabilities=lsp.ClientCapabilities(),
            text_document_publish_diagnostics=self._publish,
        )
        monkeypatch.setattr(self.server, "pygls", fake)

    def _publish(self, params: lsp.PublishDiagnosticsParams) -> None:
        self.published.append(params)
        self.arrived.set()

    def open(self, name: str, text: str, version: int = 1) -> str:
        uri = (self.root / name).as_uri()
        item = lsp.TextDocumentItem(uri, "flin", version, text)
        self.server._did_open(lsp.DidOpenTextDocumentParams(item))
        return uri

    async def codes(self, uri: str, wanted: list[str]) -> None:
        """Wait until a document has been published with these codes last."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                last = [p for p in self.published if p.uri == uri][-1:]
                if last and [d.code for d in last[0].diagnostics] == wanted:
                    return
                self.arrived.clear()
                await self.arrived.wait()


def test_requests_are_answered_while_a_check_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hover and completion do not wait for it; the text typed meanwhile is checked afterwards."""

    async def story() -> None:
        bench = Bench(write(tmp_path, PROJECT), monkeypatch)
        server, real = bench.server, bench.server.workspace.check
        started, may_end = threading.Event(), threading.Event()

        def slow(path: Path, documents: dict[Path, Document]) -> Checked:
            started.set()
            assert may_end.wait(DEADLINE_S)
            return real(path, documents)

        monkeypatch.setattr(server.workspace, "check", slow)
        uri = bench.open("app/index.flin", "guard atuh\nroute GET { upper(1) }\n")
        await asyncio.get_running_loop().run_in_executor(None, started.wait, DEADLINE_S)
        identifier = lsp.TextDocumentIdentifier(uri)
        hover = server._hover(lsp.HoverParams(identifier, lsp.Position(1, 13)))
        assert hover is not None
        found = server._completion(lsp.CompletionParams(identifier, lsp.Position(0, 8)))
        assert "auth" in {item.label for item in found.items}
        bench.open("app/index.flin", "guard auth\nroute GET { uper(1) }\n", version=2)
        assert bench.published == []
        may_end.set()
        await bench.codes(uri, ["FL203"])
        # What was found in the first text was never shown on the second.
        assert all(p.version == 2 for p in bench.published)

    asyncio.run(story())


@pytest.mark.parametrize("error", [ConfigError("gone"), KeyError("a fault of ours")])
def test_a_check_that_fails_is_followed_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The project cannot be read, or the compiler has a fault: the next change counts."""

    async def story() -> None:
        bench = Bench(write(tmp_path, PROJECT), monkeypatch)
        real = bench.server.workspace.check
        failures = [error]
        failed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def check(*arguments: Any) -> Checked:
            if failures:
                loop.call_soon_threadsafe(failed.set)
                raise failures.pop()
            return real(*arguments)

        monkeypatch.setattr(bench.server.workspace, "check", check)
        uri = bench.open("app/index.flin", "guard atuh\n")
        async with asyncio.timeout(DEADLINE_S):
            await failed.wait()
        bench.open("app/index.flin", "guard atuh\nroute GET { 1 }\n", version=2)
        await bench.codes(uri, ["FL201"])

    asyncio.run(story())


def test_faults_of_another_file_go_when_its_project_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stays behind in the list of problems."""

    async def story() -> None:
        root = write(tmp_path, {**PROJECT, "app/bad.flin": "guard atuh\n"})
        bench = Bench(root, monkeypatch)
        bench.open("app/index.flin", PROJECT["app/index.flin"])
        bad = (root / "app" / "bad.flin").as_uri()
        await bench.codes(bad, ["FL201"])
        (root / "app" / "bad.flin").unlink()
        event = lsp.FileEvent(bad, lsp.FileChangeType.Deleted)
        bench.server._files_changed(lsp.DidChangeWatchedFilesParams([event]))
        await bench.codes(bad, [])

    asyncio.run(story())


def test_the_server_ends_with_its_editor() -> None:
    """Standard input that ends, as when the editor crashed, is the end; nothing is printed."""
    done = subprocess.run(
        [sys.executable, "-m", "flinfast", "lsp"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=ROOT,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
