"""An editor for tests: pygls' own client, talking to `flinfast lsp` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls import uris
from pygls.lsp.client import LanguageClient

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60
PROJECT = {
    "app/_middleware.flin": 'middleware {\n    next()\n    response.headers["X-App"] = "tea"\n}\n',
    "app/api/tickets/[id].flin": (
        "guard auth\n\n"
        "route GET {\n"
        "    ticket = Ticket.find(params.id)\n"
        '    if ticket == none { return error(404, "No such ticket") }\n'
        "    shout(ticket.title)\n"
        "}\n\n"
        "ws {\n"
        '    on connect { ws_join("ticket:" + params.id) }\n'
        '    on message(data) { broadcast("ticket:" + params.id, data) }\n'
        "}\n"
    ),
    "app/index.flin": "guard premium\n\nroute GET { { ok: true } }\n",
    "entities/ticket.flin": (
        "// What people ask for.\nentity Ticket {\n    title: text @required @minLength(3)\n"
        "    state: State = State.Open\n    owner_id: int\n}\n\nenum State { Open, Closed }\n"
    ),
    "guards/premium.flin": ('guard_definition premium() {\n    session.plan == "premium"\n}\n'),
    "lib/text.flin": "// Louder.\nfn shout(text, times = 1) {\n    text.upper.repeat(times)\n}\n",
}


class Client(LanguageClient):
    """Collects what the server sends by itself."""

    def __init__(self) -> None:
        super().__init__("test editor", "1")
        self.diagnostics: dict[str, lsp.PublishDiagnosticsParams] = {}
        self.published = 0
        self.messages: list[str] = []
        self.arrived = asyncio.Event()

        @self.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def publish(params: lsp.PublishDiagnosticsParams) -> None:
            self.diagnostics[params.uri] = params
            self.published += 1
            self.arrived.set()

        @self.feature(lsp.WINDOW_SHOW_MESSAGE)
        def show(params: lsp.ShowMessageParams) -> None:
            self.messages.append(params.message)
            self.arrived.set()

        @self.feature(lsp.CLIENT_REGISTER_CAPABILITY)
        def register(params: lsp.RegistrationParams) -> None:
            self.registered = params.registrations


class Editor:
    """One editor with one folder open."""

    def __init__(self, root: Path, *, encodings: list[str] | None = None) -> None:
        self.root = root
        self.client = Client()
        self.texts: dict[str, str] = {}
        self._versions: dict[str, int] = {}
        self._encodings = encodings

    async def __aenter__(self) -> Editor:
        await self.client.start_io(
            sys.executable, "-m", "flinfast", "lsp",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        capabilities = lsp.ClientCapabilities(
            general=lsp.GeneralClientCapabilities(position_encodings=self._encodings),
            workspace=lsp.WorkspaceClientCapabilities(
                did_change_watched_files=lsp.DidChangeWatchedFilesClientCapabilities(
                    dynamic_registration=True
                )
            ),
            text_document=lsp.TextDocumentClientCapabilities(
                completion=lsp.CompletionClientCapabilities(
                    completion_item=lsp.ClientCompletionItemOptions(snippet_support=True)
                )
            ),
        )
        self.result = await self.client.initialize_async(
            lsp.InitializeParams(
                capabilities=capabilities,
                process_id=os.getpid(),
                root_uri=self.root.as_uri(),
                workspace_folders=[lsp.WorkspaceFolder(self.root.as_uri(), "project")],
            )
        )
        self.client.initialized(lsp.InitializedParams())
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self.client._server
        assert process is not None
        if process.returncode is None:
            await asyncio.wait_for(self.client.shutdown_async(None), DEADLINE_S)
            self.client.exit(None)
            await asyncio.wait_for(process.wait(), DEADLINE_S)
        self.exit_code = process.returncode
        await asyncio.wait_for(self.client.stop(), DEADLINE_S)

    def uri(self, name: str) -> str:
        return uris.from_fs_path(str(self.root / name)) or ""

    def open(self, name: str, text: str | None = None) -> None:
        """Open a file, with a text of the editor's own if given."""
        if text is None:
            text = (self.root / name).read_text(encoding="utf-8")
        self.texts[name] = text
        self._versions[name] = 1
        item = lsp.TextDocumentItem(self.uri(name), "flin", 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def type(self, name: str, text: str) -> None:
        """Replace a document's text."""
        self.texts[name] = text
        self._versions[name] += 1
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(self._versions[name], self.uri(name)),
                [lsp.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    def place(self, name: str, part: str, shift: int = 0) -> dict[str, Any]:
        """Parameters for the place where `part` starts, in UTF-16, `shift` characters on."""
        offset = self.texts[name].index(part) + shift
        before = self.texts[name][:offset]
        line = before.rpartition("\n")[2]
        position = lsp.Position(before.count("\n"), len(line.encode("utf-16-le")) // 2)
        return {
            "text_document": lsp.TextDocumentIdentifier(self.uri(name)),
            "position": position,
        }

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that a notification brings."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self.client.arrived.clear()
                await self.client.arrived.wait()

    def codes(self, name: str) -> list[str]:
        """Codes of the diagnostics that are shown in a file."""
        params = self.client.diagnostics.get(self.uri(name))
        return [] if params is None else [str(d.code) for d in params.diagnostics]

    async def shows(self, name: str, codes: list[str]) -> list[lsp.Diagnostic]:
        """Wait until a file has been published with exactly these codes."""
        uri = self.uri(name)
        await self.until(lambda: uri in self.client.diagnostics and self.codes(name) == codes)
        return list(self.client.diagnostics[uri].diagnostics)

    async def hover(self, name: str, part: str, shift: int = 0) -> str:
        found = await self.client.text_document_hover_async(
            lsp.HoverParams(**self.place(name, part, shift))
        )
        if found is None:
            return ""
        assert isinstance(found.contents, lsp.MarkupContent)
        return found.contents.value

    async def complete(self, name: str, text: str) -> dict[str, lsp.CompletionItem]:
        """Type a text with a `|` where the cursor is, and ask for completions there."""
        offset = text.index("|")
        self.type(name, text[:offset] + text[offset + 1 :])
        before = text[:offset]
        position = lsp.Position(before.count("\n"), len(before.rpartition("\n")[2]))
        found = await self.client.text_document_completion_async(
            lsp.CompletionParams(lsp.TextDocumentIdentifier(self.uri(name)), position)
        )
        assert isinstance(found, lsp.CompletionList)
        return {item.label: item for item in found.items}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def with_editor(root: Path, story: Callable[[Editor], Awaitable[None]], **options: Any) -> Editor:
    """Run a story of an editor and end it cleanly; the server must end with 0."""
    editor_used: list[Editor] = []

    async def run() -> None:
        async with Editor(root, **options) as editor:
            editor_used.append(editor)
            await story(editor)

    asyncio.run(run())
    assert editor_used[0].exit_code == 0
    return editor_used[0]
