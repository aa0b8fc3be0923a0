"""`flinfast lsp` as an editor meets it: a process, JSON-RPC over its standard streams."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from tests.lsp.editor import DEADLINE_S, PROJECT, Editor, with_editor, write

TICKET = "app/api/tickets/[id].flin"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, PROJECT)


def test_faults_follow_the_text_that_is_typed(root: Path) -> None:
    """On open none; unsaved faults show at once, in other files too, and go when they are gone."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        await editor.shows(TICKET, [])
        editor.type(TICKET, editor.texts[TICKET].replace("guard auth", "guard atuh"))
        (fault,) = await editor.shows(TICKET, ["FL201"])
        assert fault.range == lsp.Range(lsp.Position(0, 6), lsp.Position(0, 10))
        assert fault.severity == lsp.DiagnosticSeverity.Error
        assert fault.source == "flinfast"
        assert "did you mean `auth`?" in fault.message
        assert fault.code_description is not None
        assert fault.code_description.href.endswith("#fl201")
        editor.type(TICKET, PROJECT[TICKET])
        await editor.shows(TICKET, [])
        editor.open("lib/text.flin")
        editor.type("lib/text.flin", "fn whisper(text) { text }\n")
        (fault,) = await editor.shows(TICKET, ["FL203"])
        assert fault.range.start.line == 5
        editor.type("lib/text.flin", PROJECT["lib/text.flin"])
        await editor.shows(TICKET, [])

    with_editor(root, story)


def test_a_duplicate_points_at_the_first_one(root: Path) -> None:
    """As related information in its own file; unused variables are faded out."""

    async def story(editor: Editor) -> None:
        editor.open("lib/text.flin", "fn shout(text) { text }\nfn shout(text) { text }\n")
        (fault,) = await editor.shows("lib/text.flin", ["FL211"])
        assert fault.related_information is not None
        (note,) = fault.related_information
        assert note.location.uri == editor.uri("lib/text.flin")
        assert note.location.range.start == lsp.Position(0, 3)
        editor.open("app/index.flin", "route GET { x = 1 }\n")
        editor.type("lib/text.flin", PROJECT["lib/text.flin"])
        (unused,) = await editor.shows("app/index.flin", ["FL213"])
        assert unused.severity == lsp.DiagnosticSeverity.Warning
        assert list(unused.tags or ()) == [lsp.DiagnosticTag.Unnecessary]

    with_editor(root, story)


def test_closing_and_changes_on_disk_count(root: Path) -> None:
    """A closed document is what its file says; watched files are read again."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        editor.open("lib/text.flin", "fn other() { 1 }\n")
        await editor.shows(TICKET, ["FL203"])
        identifier = lsp.TextDocumentIdentifier(editor.uri("lib/text.flin"))
        editor.client.text_document_did_close(lsp.DidCloseTextDocumentParams(identifier))
        await editor.shows(TICKET, [])
        (root / "lib" / "text.flin").write_text("fn other() { 1 }\n")
        event = lsp.FileEvent(editor.uri("lib/text.flin"), lsp.FileChangeType.Changed)
        editor.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([event]))
        await editor.shows(TICKET, ["FL203"])
        assert editor.client.registered[0].method == "workspace/didChangeWatchedFiles"

    with_editor(root, story)


def test_faults_of_the_settings_are_shown_in_their_file(root: Path) -> None:
    """At the key, with a fix; they go when the file is put right."""
    name = "flinfast.toml"

    async def story(editor: Editor) -> None:
        (root / name).write_text("[ws]\nheartbeat = 5\n[server]\nprot = 1\n")
        editor.open("app/index.flin")
        (fault,) = await editor.shows(name, ["FL904"])
        assert fault.range == lsp.Range(lsp.Position(3, 0), lsp.Position(3, 4))
        assert "did you mean `port`?" in fault.message
        changed = lsp.DidChangeWatchedFilesParams(
            [lsp.FileEvent(editor.uri(name), lsp.FileChangeType.Changed)]
        )
        for text, line in (("[server]\n\nport = 'x'\n", 2), ("\n[server\n", 1)):
            (root / name).write_text(text)
            editor.client.workspace_did_change_watched_files(changed)
            (fault,) = await editor.shows(name, ["FL905"])
            assert fault.range.start.line == line
            (root / name).write_text("")
            editor.client.workspace_did_change_watched_files(changed)
            await editor.shows(name, [])

    with_editor(root, story)


def test_hover_tells_what_a_word_is(root: Path) -> None:
    """Builtins, entities, fields, functions, guards, keywords, parameters and codes."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        assert "guard auth" in await editor.hover(TICKET, "auth", 1)
        assert "Answers requests of one method" in await editor.hover(TICKET, "route GET", 2)
        assert "app/_middleware.flin" in await editor.hover(TICKET, "route GET", 2)
        assert "ticket: record Ticket" in await editor.hover(TICKET, "ticket = ")
        entity = await editor.hover(TICKET, "Ticket.find", 2)
        assert "title: text @required @minLength(3)" in entity
        assert "What people ask for." in entity
        assert "entities/ticket.flin:2" in entity
        assert "`[id].flin`" in await editor.hover(TICKET, "params.id", 1)
        assert "params.id: text" in await editor.hover(TICKET, "params.id", 8)
        assert "Entity.find(id) -> record?" in await editor.hover(TICKET, "find(")
        assert "Ticket.title: text" in await editor.hover(TICKET, "title")
        assert "fn shout(text, times = 1)" in await editor.hover(TICKET, "shout")
        assert "Louder." in await editor.hover(TICKET, "shout")
        assert "error(status: int" in await editor.hover(TICKET, "error(404")
        assert "broadcast(room, data" in await editor.hover(TICKET, "broadcast", 3)
        assert "the message" in await editor.hover(TICKET, "data)", 1)
        assert await editor.hover(TICKET, "No such ticket", 3) == ""
        editor.type(TICKET, "// FL201\nguard premium\n")
        assert "No guard has this name." in await editor.hover(TICKET, "FL201", 2)
        assert 'session.plan == "premium"' not in await editor.hover(TICKET, "premium")
        assert "guard_definition premium()" in await editor.hover(TICKET, "premium")
        editor.open("entities/ticket.flin")
        name = "entities/ticket.flin"
        assert "At least that many characters" in await editor.hover(name, "minLength", 2)
        assert "Unicode text." in await editor.hover(name, "text @required", 1)
        assert "enum State" in await editor.hover(name, "State.Open", 1)
        assert "enum State" in await editor.hover(name, "Open\n", 1)

    with_editor(root, story)


def test_definition_leads_to_the_declaration(root: Path) -> None:
    """In whatever file it is."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)

        async def where(name: str, part: str, shift: int = 0) -> tuple[str, int, int]:
            found = await editor.client.text_document_definition_async(
                lsp.DefinitionParams(**editor.place(name, part, shift))
            )
            assert isinstance(found, list)
            place = found[0]
            assert isinstance(place, lsp.Location)
            relative = place.uri.removeprefix(editor.root.as_uri() + "/")
            return relative, place.range.start.line, place.range.start.character

        assert await where(TICKET, "shout", 2) == ("lib/text.flin", 1, 3)
        assert await where(TICKET, "Ticket.find", 2) == ("entities/ticket.flin", 1, 7)
        assert await where(TICKET, "title", 1) == ("entities/ticket.flin", 2, 4)
        assert (await where(TICKET, "ticket.title", 1))[1:] == (3, 4)
        assert (await where(TICKET, "data) }", 1))[1:] == (10, 15)
        assert await where(TICKET, "route", 1) == ("app/_middleware.flin", 0, 0)
        editor.open("app/index.flin")
        assert await where("app/index.flin", "premium", 1) == ("guards/premium.flin", 0, 17)
        editor.open("entities/ticket.flin")
        assert await where("entities/ticket.flin", "Open\n", 1) == ("entities/ticket.flin", 7, 13)
        nowhere = await editor.client.text_document_definition_async(
            lsp.DefinitionParams(**editor.place(TICKET, "broadcast", 1))
        )
        assert nowhere is None

    with_editor(root, story)


def test_completion_knows_the_project(root: Path) -> None:
    """Entities, fields, parameters, rooms, guards, builtins; half-typed code is no obstacle."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        start = "route GET {\n    ticket = Ticket.find(params.id)\n    "

        async def labels(text: str) -> set[str]:
            return set(await editor.complete(TICKET, text))

        assert {"title", "state", "owner_id", "id", "created_at"} <= await labels(
            start + "ticket.|"
        )
        assert await labels(start + "params.|\n}\n") == {"id"}
        assert {"where", "find", "all", "order"} <= await labels(start + "Ticket.|\n")
        assert {"auth", "role", "premium"} <= await labels("guard |")
        assert {"ticket", "shout", "Ticket", "broadcast"} <= await labels(start + "x = |\n}\n")
        assert {"title", "owner_id"} <= await labels(start + "Ticket.where(|)\n}\n")
        assert await labels("ws {\n    on |\n}\n") == {"connect", "message", "close"}
        assert await labels(start + "save Ticket { title: 1, |") == {"state", "owner_id"}
        assert {"required", "minLength", "one_of"} <= await labels("entity A {\n  x: text @|")
        assert {"text", "int", "Ticket", "State"} <= await labels("entity A {\n  x: |")
        assert await labels(start + "x = State.|\n}\n") == {"Open", "Closed"}
        assert {"userId", "plan"} <= await labels(start + "session.|\n}\n")
        assert await labels("// gu|") == set()
        assert "GET" in await labels("route |")

    with_editor(root, story)


def test_completion_of_rooms_and_snippets(root: Path) -> None:
    """Rooms that other files name; functions bring their brackets."""

    async def story(editor: Editor) -> None:
        editor.open("app/index.flin")
        name = "app/index.flin"
        rooms = await editor.complete(name, 'route POST { broadcast("|", 1) }')
        assert rooms["ticket:"].text_edit is not None
        whole = await editor.complete(name, "route POST { broadcast(|")
        assert whole['"ticket:" + params.id'].sort_text == '0"ticket:" + params.id'
        items = await editor.complete(name, "route POST { bro|adc }")
        edit = items["broadcast"].text_edit
        assert isinstance(edit, lsp.TextEdit)
        assert edit.new_text == "broadcast($0)"
        assert edit.range == lsp.Range(lsp.Position(0, 13), lsp.Position(0, 19))
        assert items["broadcast"].insert_text_format == lsp.InsertTextFormat.Snippet
        assert "broadcast" in str(items["broadcast"].documentation)

    with_editor(root, story)


def test_signature_help_follows_the_cursor(root: Path) -> None:
    """Builtins, own functions, guards, modifiers; methods lose their first parameter."""

    async def story(editor: Editor) -> None:
        editor.open("app/index.flin")
        name = "app/index.flin"

        async def at(text: str) -> tuple[str, int | None]:
            offset = text.index("|")
            editor.type(name, text.replace("|", ""))
            found = await editor.client.text_document_signature_help_async(
                lsp.SignatureHelpParams(
                    lsp.TextDocumentIdentifier(editor.uri(name)), lsp.Position(0, offset)
                )
            )
            if found is None:
                return "", None
            return found.signatures[0].label, found.active_parameter

        assert await at("route GET { upper(|") == ("upper(text: text) -> text", 0)
        assert (await at('route GET { contains("a", f(1, 2), |) }'))[1] == 1
        assert await at("route GET { shout(params.id, |") == ("fn shout(text, times = 1)", 1)
        assert (await at('route GET { "a".replace("b", |')) == (
            "text.replace(part: text, replacement: text) -> text",
            1,
        )
        assert (await at("guard rate_limit(1, |"))[0] == "guard rate_limit(limit, seconds = 60)"
        assert (await at("entity A { x: text @min_length(|"))[0] == (
            "field: type @min_length(count)"
        )
        assert await at("route GET { | }") == ("", None)

    with_editor(root, story)


def test_symbols_of_a_document_and_of_the_project(root: Path) -> None:
    """A tree of what a file declares; a search over all files."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        found = await editor.client.text_document_document_symbol_async(
            lsp.DocumentSymbolParams(lsp.TextDocumentIdentifier(editor.uri(TICKET)))
        )
        assert found is not None
        symbols = [s for s in found if isinstance(s, lsp.DocumentSymbol)]
        names = [(s.name, [c.name for c in s.children or ()]) for s in symbols]
        assert names == [
            ("guard auth", []),
            ("GET /api/tickets/:id", []),
            ("WS /api/tickets/:id", ["on connect", "on message"]),
        ]

        async def search(query: str) -> dict[str, str]:
            result = await editor.client.workspace_symbol_async(lsp.WorkspaceSymbolParams(query))
            assert result is not None
            return {s.name: s.container_name or "" for s in result}

        assert (await search("shout"))["shout"] == "lib/text.flin"
        assert (await search("ttl"))["title"] == "Ticket"
        assert "GET /api/tickets/:id" in await search("get tick")
        everything = await search("")
        assert {"Ticket", "State", "premium", "shout", "middleware"} <= set(everything)
        assert await search("nothing is called this") == {}

    with_editor(root, story)


def test_formatting(root: Path) -> None:
    """The whole text, or nothing while it does not parse."""

    async def story(editor: Editor) -> None:
        editor.open("app/index.flin", "route GET   {x=1   x}\n")
        parameters = lsp.DocumentFormattingParams(
            lsp.TextDocumentIdentifier(editor.uri("app/index.flin")),
            lsp.FormattingOptions(tab_size=4, insert_spaces=True),
        )
        edits = await editor.client.text_document_formatting_async(parameters)
        (edit,) = edits or ()
        assert edit.range.start == lsp.Position(0, 0)
        assert edit.range.end == lsp.Position(1, 0)
        assert "route GET {" in edit.new_text
        editor.type("app/index.flin", edit.new_text)
        assert not await editor.client.text_document_formatting_async(parameters)
        editor.type("app/index.flin", "route GET { (")
        assert await editor.client.text_document_formatting_async(parameters) is None

    with_editor(root, story)


def test_quick_fix_changes_what_was_misspelt(root: Path) -> None:
    """The nearest name, in place of the word."""

    async def story(editor: Editor) -> None:
        name = "app/index.flin"
        editor.open(name, "guard atuh\nroute GET { x = 1 }\n")
        await editor.shows(name, ["FL201", "FL213"])

        async def fixes(line: int, character: int) -> dict[str, str]:
            position = lsp.Position(line, character)
            found = await editor.client.text_document_code_action_async(
                lsp.CodeActionParams(
                    lsp.TextDocumentIdentifier(editor.uri(name)),
                    lsp.Range(position, position),
                    lsp.CodeActionContext([]),
                )
            )
            texts = {}
            for action in found or ():
                assert isinstance(action, lsp.CodeAction)
                assert action.edit is not None
                assert action.edit.changes is not None
                assert action.diagnostics
                texts[action.title] = action.edit.changes[editor.uri(name)][0].new_text
            return texts

        assert await fixes(0, 8) == {"Change to `auth`": "auth"}
        assert await fixes(1, 13) == {"Rename to `_x`": "_x"}
        assert await fixes(1, 2) == {}
        editor.type(name, "guard auth\n" + editor.texts[name])
        assert await fixes(0, 8) == {}  # the places of the old text mean nothing here
        editor.type(name, "route GET { if 1 = 2 { 1 } }\n")
        await editor.shows(name, ["FL107"])
        assert await fixes(0, 17) == {"Compare with `==`": "=="}

    with_editor(root, story)


@pytest.mark.parametrize(
    ("encodings", "character"),
    [(None, 13), (["utf-16"], 13), (["utf-8", "utf-16"], 17), (["utf-32"], 11)],
)
def test_positions_count_what_was_agreed(
    root: Path, encodings: list[str] | None, character: int
) -> None:
    """UTF-16 code units unless the editor prefers others; an emoji is two of them."""

    async def story(editor: Editor) -> None:
        name = "app/index.flin"
        editor.open(name, 'route GET {\n    "\U0001f375\U0001f375" + oops }\n')
        (fault,) = await editor.shows(name, ["FL202"])
        assert fault.range.start == lsp.Position(1, character)

    with_editor(root, story, encodings=encodings)


def test_requests_at_an_emoji_count_in_utf16(root: Path) -> None:
    """Hover and completion find the word behind two emoji."""

    async def story(editor: Editor) -> None:
        name = "app/index.flin"
        editor.open(name, 'route GET { x = "\U0001f375\U0001f375" + upper("a") x }\n')
        assert "upper(text: text) -> text" in await editor.hover(name, "upper", 2)

    with_editor(root, story)


def test_a_half_typed_file_never_ends_the_server(root: Path) -> None:
    """Every prefix of a program: faults or none, but always answers."""

    async def story(editor: Editor) -> None:
        name = "app/index.flin"
        editor.open(name)
        text = PROJECT[TICKET]
        for end in range(0, len(text), 7):
            editor.type(name, text[:end])
            parameters = editor.place(name, "")
            parameters["position"] = lsp.Position(text[:end].count("\n"), 999)
            await editor.client.text_document_hover_async(lsp.HoverParams(**parameters))
            found = await editor.client.text_document_completion_async(
                lsp.CompletionParams(**parameters)
            )
            assert isinstance(found, lsp.CompletionList)
        assert "broadcast(room" in await editor.hover(name, "broadcast", 1)

    with_editor(root, story)


def test_a_file_without_a_project_is_checked_by_itself(tmp_path: Path) -> None:
    """On disk, not yet saved, or not a file at all."""
    (tmp_path / "alone.flin").write_text("guard atuh\n")

    async def story(editor: Editor) -> None:
        editor.open("alone.flin")
        await editor.shows("alone.flin", ["FL201"])
        editor.open("unsaved.flin", "guard atuh\nroute GET { 1 }\n")
        await editor.shows("unsaved.flin", ["FL201"])
        item = lsp.TextDocumentItem("untitled:Untitled-1", "flin", 1, "guard atuh\n")
        editor.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        await editor.until(lambda: "untitled:Untitled-1" in editor.client.diagnostics)
        (fault,) = editor.client.diagnostics["untitled:Untitled-1"].diagnostics
        assert fault.code == "FL201"

    with_editor(tmp_path, story)


def test_garbage_is_answered_and_survived(root: Path) -> None:
    """Broken JSON, unknown methods, wrong parameters, requests about files nobody opened."""

    async def story(editor: Editor) -> None:
        process = editor.client._server
        assert process is not None
        assert process.stdin is not None
        for body in (
            b"{not json",
            b"[]",
            b'"text"',
            b'{"jsonrpc": "2.0", "method": "no/such", "params": {}}',
            b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"a": 1}}',
            b'{"jsonrpc": "2.0", "method": "textDocument/didChange", "params": null}',
            json.dumps({"jsonrpc": "2.0", "id": 7777, "result": 1}).encode(),
            b"\xff\xfe\x00",
        ):
            process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await process.stdin.drain()
        editor.open(TICKET)
        assert "broadcast(room" in await editor.hover(TICKET, "broadcast", 1)
        unopened = lsp.TextDocumentIdentifier(editor.uri("no/such/file.flin"))
        position = lsp.Position(99, 99)
        assert (
            await editor.client.text_document_hover_async(lsp.HoverParams(unopened, position))
            is None
        )
        with pytest.raises(Exception, match="Method Not Found"):
            await asyncio.wait_for(
                editor.client.protocol.send_request_async("flin/unknown", {}), DEADLINE_S
            )
        assert "broadcast(room" in await editor.hover(TICKET, "broadcast", 1)

    with_editor(root, story)


def test_typing_is_checked_once_it_pauses(root: Path) -> None:
    """A burst of changes gives far fewer checks than changes; the last text wins."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        await editor.shows(TICKET, [])
        before = editor.client.published
        for count in range(60):
            editor.type(TICKET, "guard atuh\n" * (count % 3 + 1) + "route GET { 1 }\n")
        # Texts before the last may have been checked, some with as many faults.
        await editor.until(lambda: editor.client.diagnostics[editor.uri(TICKET)].version == 61)
        assert editor.codes(TICKET) == ["FL201"] * 3
        assert editor.client.published - before < 20

    with_editor(root, story)
