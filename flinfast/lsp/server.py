"""`flinfast lsp`: the protocol, by pygls.

Requests are answered on the event loop from the texts as they are; they look at one file at a
time. Whole projects are compiled on a thread, a moment after the last change, so that typing never
waits for them. No fault ends the server: it is logged, and the request gets no answer.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from flinfast import __version__
from flinfast.errors import ConfigError, FlinError
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.format import format_source
from flinfast.lang.parser import parse
from flinfast.lang.source import Source, Span
from flinfast.lsp import convert
from flinfast.lsp.action import fixes_of
from flinfast.lsp.colour import LEGEND, semantic_tokens
from flinfast.lsp.completion import complete
from flinfast.lsp.names import ProjectNames
from flinfast.lsp.outline import outline, project_symbols
from flinfast.lsp.position import UTF16, TextIndex
from flinfast.lsp.signature import signatures_at
from flinfast.lsp.subject import Subject, subject_at
from flinfast.lsp.uses import RenameError, Use, check_rename, uses_of
from flinfast.lsp.workspace import Checked, Document, Workspace

DELAY_S: Final = 0.2  # from the last change to the check of the project
SYMBOLS_MAX: Final = 500  # of one search in a workspace
log = logging.getLogger("flinfast.lsp")


class FlinServer:
    """The language server.

    Attributes:
        pygls: What speaks the protocol; `pygls.start_io()` runs until the editor says so.
    """

    def __init__(self, delay_s: float = DELAY_S) -> None:
        # Whole texts, not edits: FLIN files are small, and no arithmetic of lines can go wrong.
        self.pygls = LanguageServer(
            "flinfast", __version__, text_document_sync_kind=lsp.TextDocumentSyncKind.Full
        )
        self.workspace = Workspace()
        self._delay_s = delay_s
        self._timers: dict[Path, asyncio.TimerHandle] = {}
        self._running: dict[Path, bool] = {}  # root -> whether it has to be checked once more
        self._tasks: set[asyncio.Task[None]] = set()
        self._shown: dict[Path, set[Path]] = {}  # root -> files with diagnostics in the editor
        self._found: dict[Path, list[Diagnostic]] = {}  # what they are, by file
        self._checker = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._register()
        parse(Source("", ""))  # reads the grammar's tables once, on this thread

    def run(self) -> None:
        """Serve standard input and output until the editor ends it."""
        try:
            self.pygls.start_io()
        finally:
            self._checker.shutdown(wait=False, cancel_futures=True)

    def _register(self) -> None:
        on = self._on
        on(lsp.INITIALIZED, self._initialized)
        on(lsp.TEXT_DOCUMENT_DID_OPEN, self._did_open)
        on(lsp.TEXT_DOCUMENT_DID_CHANGE, self._did_change)
        on(lsp.TEXT_DOCUMENT_DID_SAVE, self._did_save)
        on(lsp.TEXT_DOCUMENT_DID_CLOSE, self._did_close)
        on(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, self._files_changed)
        on(lsp.TEXT_DOCUMENT_HOVER, self._hover)
        on(lsp.TEXT_DOCUMENT_DEFINITION, self._definition)
        on(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL, self._document_symbols)
        on(lsp.WORKSPACE_SYMBOL, self._workspace_symbols)
        on(lsp.TEXT_DOCUMENT_FORMATTING, self._formatting)
        on(lsp.TEXT_DOCUMENT_REFERENCES, self._references)
        on(lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT, self._highlights)
        on(lsp.TEXT_DOCUMENT_PREPARE_RENAME, self._prepare_rename)
        on(lsp.TEXT_DOCUMENT_RENAME, self._rename, lsp.RenameOptions(prepare_provider=True))
        on(lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, self._colours, LEGEND)
        on(
            lsp.TEXT_DOCUMENT_COMPLETION,
            self._completion,
            lsp.CompletionOptions(trigger_characters=[".", "@", '"', ":"]),
        )
        on(
            lsp.TEXT_DOCUMENT_SIGNATURE_HELP,
            self._signature,
            lsp.SignatureHelpOptions(trigger_characters=["(", ","]),
        )
        on(
            lsp.TEXT_DOCUMENT_CODE_ACTION,
            self._code_actions,
            lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix]),
        )

    def _on(self, method: str, handler: Callable[[Any], Any], options: Any = None) -> None:
        """Register a handler whose faults end nothing."""

        @functools.wraps(handler)
        def guarded(params: Any) -> Any:
            try:
                return handler(params)
            except JsonRpcException:  # an answer: the request itself is wrong
                raise
            except ConfigError as error:
                log.warning("%s: %s", method, error)
            except Exception:
                log.exception("%s failed", method)
            return None

        self.pygls.feature(method, options)(guarded)

    # --- places ----------------------------------------

    @property
    def _encoding(self) -> str:
        return str(getattr(self.pygls.server_capabilities, "position_encoding", None) or UTF16)

    def _index(self, text: str) -> TextIndex:
        return TextIndex(text, self._encoding)

    def _uri(self, path: Path) -> str:
        """The editor's own spelling of a URI, when it has one."""
        document = self.workspace.documents.get(path)
        if document is not None:
            return document.uri
        return uris.from_fs_path(str(path)) or path.as_uri()

    def _location(self, path: Path, text: str, span: Span) -> lsp.Location:
        return lsp.Location(self._uri(path), self._index(text).range(span))

    def _at(self, params: Any) -> tuple[ProjectNames, str, TextIndex, int]:
        """Names of the project, the file's path in it, its lines, and the offset asked about."""
        path = path_of(params.text_document.uri)
        names, relative = self.workspace.names(path)
        index = self._index(self.workspace.text(path))
        offset = index.offset(params.position) if hasattr(params, "position") else 0
        return names, relative, index, offset

    # --- documents ----------------------------------------

    def _initialized(self, _params: Any) -> None:
        watched = self.pygls.client_capabilities.workspace
        files = watched.did_change_watched_files if watched is not None else None
        if files is None or not files.dynamic_registration:
            return
        globs = [lsp.FileSystemWatcher(glob) for glob in ("**/*.flin", "**/flinfast.toml")]
        self.pygls.client_register_capability(
            lsp.RegistrationParams(
                [
                    lsp.Registration(
                        "flin-files",
                        lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES,
                        lsp.DidChangeWatchedFilesRegistrationOptions(globs),
                    )
                ]
            )
        )

    def _did_open(self, params: lsp.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        path = path_of(item.uri)
        self.workspace.put(path, Document(item.uri, item.text, item.version))
        self._check_soon(path, 0.0)

    def _did_change(self, params: lsp.DidChangeTextDocumentParams) -> None:
        uri, version = params.text_document.uri, params.text_document.version
        path = path_of(uri)
        text = self.workspace.text(path)
        for change in params.content_changes:
            if isinstance(change, lsp.TextDocumentContentChangePartial):  # though not asked for
                index = self._index(text)
                start, end = index.offset(change.range.start), index.offset(change.range.end)
                text = text[:start] + change.text + text[end:]
            else:
                text = change.text
        self.workspace.put(path, Document(uri, text, version))
        self._check_soon(path, self._delay_s)

    def _did_save(self, params: lsp.DidSaveTextDocumentParams) -> None:
        self.workspace.forget()
        self._check_soon(path_of(params.text_document.uri), 0.0)

    def _did_close(self, params: lsp.DidCloseTextDocumentParams) -> None:
        path = path_of(params.text_document.uri)
        self.workspace.drop(path)
        self._check_soon(path, 0.0)

    def _files_changed(self, params: lsp.DidChangeWatchedFilesParams) -> None:
        self.workspace.forget()
        for path in {path_of(change.uri) for change in params.changes}:
            self._check_soon(path, self._delay_s)

    # --- diagnostics ----------------------------------------

    def _check_soon(self, path: Path, delay_s: float) -> None:
        """Check the project of a file after a pause without further changes."""
        root = self.workspace.root_of(path)
        timer = self._timers.pop(root, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[root] = loop.call_later(delay_s, self._start_check, root, path)

    def _start_check(self, root: Path, path: Path) -> None:
        self._timers.pop(root, None)
        if root in self._running:
            self._running[root] = True
            return
        self._running[root] = False
        task = asyncio.get_running_loop().create_task(self._check(root, path))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check(self, root: Path, path: Path) -> None:
        documents = dict(self.workspace.documents)
        loop = asyncio.get_running_loop()
        try:
            work = functools.partial(self.workspace.check, path, documents)
            self._publish(root, await loop.run_in_executor(self._checker, work))
        except ConfigError as error:
            log.warning("cannot check %s: %s", root, error)
            self._publish_all(root, {})
        except Exception:
            log.exception("check of %s failed", root)
        finally:
            if self._running.pop(root):
                self._check_soon(path, 0.0)

    def _publish(self, root: Path, checked: Checked) -> None:
        by_file: dict[Path, list[Diagnostic]] = {}
        for found in checked.diagnostics:
            by_file.setdefault(checked.project.root / found.source.path, []).append(found)
        for file in checked.project.files:
            path = checked.project.root / file.source.path
            if path in self.workspace.documents:
                by_file.setdefault(path, [])
        fresh = {
            path: found
            for path, found in by_file.items()
            if self._version(path) == checked.versions.get(path)
        }
        self._publish_all(root, fresh, keep=set(by_file) - set(fresh))

    def _publish_all(
        self, root: Path, found: dict[Path, list[Diagnostic]], keep: set[Path] | None = None
    ) -> None:
        """Show these diagnostics; other files of the project lose theirs, besides `keep`."""
        kept = keep or set()
        before = self._shown.get(root, set())
        gone: dict[Path, list[Diagnostic]] = {p: [] for p in before - set(found) - kept}
        for path, diagnostics in {**gone, **found}.items():
            self._found[path] = diagnostics
            self.pygls.text_document_publish_diagnostics(
                lsp.PublishDiagnosticsParams(
                    self._uri(path),
                    [self._diagnostic(path, each) for each in diagnostics],
                    self._version(path),
                )
            )
        self._shown[root] = {p for p, each in found.items() if each} | (before & kept)

    def _diagnostic(self, path: Path, found: Diagnostic) -> lsp.Diagnostic:
        root = _root_of(path, found.source.path)

        def place_of(relative: str, text: str, span: Span) -> lsp.Location:
            return self._location(root / relative, text, span)

        return convert.diagnostic(found, self._index(found.source.text), place_of)

    def _version(self, path: Path) -> int | None:
        document = self.workspace.documents.get(path)
        return None if document is None else document.version

    # --- requests ----------------------------------------

    def _subject(self, params: Any) -> tuple[Subject | None, TextIndex, ProjectNames]:
        names, relative, index, offset = self._at(params)
        return subject_at(names, relative, offset), index, names

    def _hover(self, params: lsp.HoverParams) -> lsp.Hover | None:
        subject, index, _ = self._subject(params)
        if subject is None:
            return None
        return lsp.Hover(convert.markdown(subject.text), index.range(subject.span))

    def _definition(self, params: lsp.DefinitionParams) -> list[lsp.Location] | None:
        subject, _, names = self._subject(params)
        if subject is None or not subject.targets:
            return None
        root = names.project.root
        return [
            self._location(root / source.path, source.text, span)
            for source, span in subject.targets
        ]

    def _uses(self, params: Any, only: str = "") -> tuple[Subject | None, ProjectNames, list[Use]]:
        subject, _, names = self._subject(params)
        if subject is None or subject.symbol is None:
            return None, names, []
        return subject, names, uses_of(names, subject.symbol, only)

    def _references(self, params: lsp.ReferenceParams) -> list[lsp.Location] | None:
        _, names, uses = self._uses(params)
        declared = params.context.include_declaration
        root = names.project.root
        return [
            self._location(root / use.source.path, use.source.text, use.span)
            for use in uses
            if declared or not use.is_write
        ] or None

    def _highlights(self, params: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight]:
        _, relative, index, _ = self._at(params)
        _, _, uses = self._uses(params, relative)
        kinds = (lsp.DocumentHighlightKind.Read, lsp.DocumentHighlightKind.Write)
        return [lsp.DocumentHighlight(index.range(u.span), kinds[u.is_write]) for u in uses]

    def _prepare_rename(self, params: lsp.PrepareRenameParams) -> lsp.Range | None:
        subject, names, uses = self._uses(params)
        index = self._at(params)[2]
        if subject is None or not uses:
            return None
        self._check_rename(names, subject, uses, "flin_new_name")
        return index.range(subject.span)

    def _rename(self, params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
        subject, names, uses = self._uses(params)
        if subject is None or not uses:
            return None
        self._check_rename(names, subject, uses, params.new_name)
        changes: dict[str, list[lsp.TextEdit]] = {}
        for use in uses:
            text = f"{use.key}: {params.new_name}" if use.key else params.new_name
            path = names.project.root / use.source.path
            edit = lsp.TextEdit(self._index(use.source.text).range(use.span), text)
            changes.setdefault(self._uri(path), []).append(edit)
        return lsp.WorkspaceEdit(changes)

    @staticmethod
    def _check_rename(names: ProjectNames, subject: Subject, uses: list[Use], new: str) -> None:
        try:
            check_rename(names, subject.symbol, uses, new)
        except RenameError as error:
            raise JsonRpcInvalidParams(str(error)) from None

    def _colours(self, params: lsp.SemanticTokensParams) -> lsp.SemanticTokens:
        text = self.workspace.text(path_of(params.text_document.uri))
        return lsp.SemanticTokens(semantic_tokens(self._index(text)))

    def _completion(self, params: lsp.CompletionParams) -> lsp.CompletionList:
        names, relative, index, offset = self._at(params)
        root = self.workspace.root_of(path_of(params.text_document.uri))
        word, items = complete(names.project, relative, offset, self.workspace.parsed(root))
        given = self.pygls.client_capabilities.text_document
        support = given.completion.completion_item if given and given.completion else None
        snippets = bool(support and support.snippet_support)
        place = index.range(word)
        found = [convert.completion(item, place, snippets=snippets) for item in items]
        return lsp.CompletionList(is_incomplete=False, items=found)

    def _signature(self, params: lsp.SignatureHelpParams) -> lsp.SignatureHelp | None:
        names, relative, _, offset = self._at(params)
        found = signatures_at(names, relative, offset)
        return convert.signature_help(found) if found else None

    def _document_symbols(self, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        names, relative, index, _ = self._at(params)
        file = names.files[relative]
        listed = names.project_file(relative)
        path = str(listed.pattern) if listed is not None and listed.pattern is not None else ""
        return convert.document_symbols(outline(file.tree, file.source, path), index)

    def _workspace_symbols(self, params: lsp.WorkspaceSymbolParams) -> list[lsp.WorkspaceSymbol]:
        found: list[lsp.WorkspaceSymbol] = []
        for path in self._project_paths():
            names, _ = self.workspace.names(path)
            root = names.project.root
            for file, symbol, inside in project_symbols(names, params.query):
                source = file.source
                place = self._location(root / source.path, source.text, symbol.name_span)
                found.append(convert.workspace_symbol(symbol, inside or source.path, place))
                if len(found) == SYMBOLS_MAX:
                    return found
        return found

    def _project_paths(self) -> list[Path]:
        """One open document, or folder of the editor, of each project."""
        roots = {self.workspace.root_of(path): path for path in self.workspace.documents}
        for uri in self.pygls.workspace.folders:
            folder = path_of(uri)
            if (folder / "app").is_dir():
                roots.setdefault(folder, folder / "app" / "index.flin")
        return list(roots.values())

    def _formatting(self, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        path = path_of(params.text_document.uri)
        text = self.workspace.text(path)
        try:
            formatted = format_source(text, path.name)
        except FlinError as error:  # half-typed: nothing to format
            log.info("not formatted: %s", error)
            return None
        if formatted == text:
            return []
        return [lsp.TextEdit(self._index(text).range(Span(0, len(text))), formatted)]

    def _code_actions(self, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        path = path_of(params.text_document.uri)
        index = self._index(self.workspace.text(path))
        wanted = Span(index.offset(params.range.start), index.offset(params.range.end))
        actions = []
        for found in self._found.get(path, ()):
            span = found.span
            is_touched = span.start <= wanted.end and wanted.start <= span.end
            if not is_touched or found.source.text != index.text:
                continue
            shown = self._diagnostic(path, found)
            for fix in fixes_of(found):
                edit = lsp.TextEdit(index.range(fix.span), fix.text)
                actions.append(
                    lsp.CodeAction(
                        title=fix.title,
                        kind=lsp.CodeActionKind.QuickFix,
                        diagnostics=[shown],
                        is_preferred=fix.is_preferred,
                        edit=lsp.WorkspaceEdit({params.text_document.uri: [edit]}),
                    )
                )
        return actions


def path_of(uri: str) -> Path:
    """The path of a document; one that is no file gets a path that does not exist."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        path = uris.to_fs_path(uri)
        if path:
            return Path(path)
    return Path("/nowhere") / (parts.scheme or "text") / (Path(parts.path).name or "text.flin")


def _root_of(path: Path, relative: str) -> Path:
    """The folder that a file's path starts in."""
    return path.parents[max(0, len(Path(relative).parts) - 1)]
