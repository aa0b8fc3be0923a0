"""References, renaming, highlights and colours, as an editor asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types as lsp

from flinfast.lsp.colour import TYPES, semantic_tokens
from flinfast.lsp.position import TextIndex
from tests.lsp.editor import PROJECT, Editor, with_editor, write

TICKET = "app/api/tickets/[id].flin"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, PROJECT)


async def rename(editor: Editor, name: str, part: str, new: str) -> dict[str, str]:
    """Texts of the files that a rename changes, after it."""
    found = await editor.client.text_document_rename_async(
        lsp.RenameParams(**editor.place(name, part), new_name=new)
    )
    assert found is not None
    assert found.changes is not None
    after = {}
    for uri, edits in found.changes.items():
        relative = next(n for n in (*PROJECT, *editor.texts) if editor.uri(n) == uri)
        text = editor.texts.get(relative) or (editor.root / relative).read_text()
        index = TextIndex(text)
        for edit in sorted(edits, key=lambda e: index.offset(e.range.start), reverse=True):
            start, end = index.offset(edit.range.start), index.offset(edit.range.end)
            text = text[:start] + edit.new_text + text[end:]
        after[relative] = text
    return after


def test_references_are_found_in_all_files(root: Path) -> None:
    """Of functions, guards, entities, fields, variants and variables."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        editor.open("entities/ticket.flin")

        async def places(name: str, part: str, *, declared: bool = True) -> list[tuple[str, int]]:
            found = await editor.client.text_document_references_async(
                lsp.ReferenceParams(
                    **editor.place(name, part), context=lsp.ReferenceContext(declared)
                )
            )
            prefix = editor.root.as_uri() + "/"
            return [
                (p.uri.removeprefix(prefix).replace("%5B", "[").replace("%5D", "]"),
                 p.range.start.line)
                for p in found or ()
            ]  # fmt: skip

        assert await places(TICKET, "shout") == [(TICKET, 5), ("lib/text.flin", 1)]
        assert await places(TICKET, "shout", declared=False) == [(TICKET, 5)]
        assert await places(TICKET, "Ticket.find") == [(TICKET, 3), ("entities/ticket.flin", 1)]
        assert await places(TICKET, "title") == [(TICKET, 5), ("entities/ticket.flin", 2)]
        assert await places(TICKET, "ticket = ") == [(TICKET, 3), (TICKET, 4), (TICKET, 5)]
        assert await places(TICKET, "data)") == [(TICKET, 10), (TICKET, 10)]
        assert await places("entities/ticket.flin", "Open\n") == [
            ("entities/ticket.flin", 3),
            ("entities/ticket.flin", 7),
        ]
        assert await places(TICKET, "broadcast") == []

    with_editor(root, story)


def test_rename_changes_every_use(root: Path) -> None:
    """In files that are not open, in texts, and in patterns that name key and variable at once."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        after = await rename(editor, TICKET, "shout", "louder")
        assert "fn louder(text, times = 1)" in after["lib/text.flin"]
        assert "louder(ticket.title)" in after[TICKET]
        assert "shout" not in after["lib/text.flin"] + after[TICKET]
        editor.open("app/index.flin")
        after = await rename(editor, "app/index.flin", "premium", "paying")
        assert after["app/index.flin"].startswith("guard paying\n")
        assert "guard_definition paying()" in after["guards/premium.flin"]
        editor.type(
            "app/index.flin",
            "route GET {\n    { a, b } = { a: 1, b: 2 }\n    xs = [a]\n"
            '    for x in xs { a = x + a }\n    "{a} and {b}" |> upper\n}\n',
        )
        after = await rename(editor, "app/index.flin", "a]", "first")
        assert after["app/index.flin"] == (
            "route GET {\n    { a: first, b } = { a: 1, b: 2 }\n    xs = [first]\n"
            '    for x in xs { first = x + first }\n    "{first} and {b}" |> upper\n}\n'
        )

    with_editor(root, story)


REFUSED = [
    ("shout", "two words", "is not a name"),
    ("shout", "Shout", "is not a name"),
    ("shout", "return", "has a meaning of its own"),
    ("shout", "session", "has a meaning of its own"),
    ("shout", "ticket", "is taken in"),
    ("title", "name", "only variables, functions and guards"),
    ("Ticket.find", "Issue", "only variables, functions and guards"),
]


def test_a_rename_that_would_break_something_is_refused(root: Path) -> None:
    """With the reason; nothing is changed."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        for part, new, reason in REFUSED:
            with pytest.raises(Exception, match=reason):
                await rename(editor, TICKET, part, new)

    with_editor(root, story)


def test_highlights_tell_reads_from_writes(root: Path) -> None:
    """In the open document."""

    async def story(editor: Editor) -> None:
        editor.open(TICKET)
        found = await editor.client.text_document_document_highlight_async(
            lsp.DocumentHighlightParams(**editor.place(TICKET, "ticket = "))
        )
        kinds = [highlight.kind for highlight in found or ()]
        read, write = lsp.DocumentHighlightKind.Read, lsp.DocumentHighlightKind.Write
        assert kinds == [write, read, read]
        prepared = await editor.client.text_document_prepare_rename_async(
            lsp.PrepareRenameParams(**editor.place(TICKET, "ticket = "))
        )
        assert prepared == lsp.Range(lsp.Position(3, 4), lsp.Position(3, 10))

    with_editor(root, story)


def test_semantic_tokens_colour_a_document(root: Path) -> None:
    """The legend is announced; numbers lead back to words, also behind emoji."""

    async def story(editor: Editor) -> None:
        name = "app/index.flin"
        editor.open(name, 'route GET { "\U0001f375" + upper(`a\nb`) }\n')
        provider = editor.result.capabilities.semantic_tokens_provider
        assert provider is not None
        assert tuple(provider.legend.token_types) == TYPES
        found = await editor.client.text_document_semantic_tokens_full_async(
            lsp.SemanticTokensParams(lsp.TextDocumentIdentifier(editor.uri(name)))
        )
        assert found is not None
        assert list(found.data) == semantic_tokens(TextIndex(editor.texts[name]))

    with_editor(root, story)


def test_semantic_tokens_lead_back_to_the_words() -> None:
    """Differences of lines and starts; a text over two lines is two tokens."""
    text = 'x = "\U0001f375" + upper(`a\nb`)\n// end\n'
    index = TextIndex(text)
    numbers = semantic_tokens(index)
    words = []
    line = start = 0
    for at in range(0, len(numbers), 5):
        down, right, length, kind, _ = numbers[at : at + 5]
        line, start = line + down, right if down else start + right
        begin = index.offset(lsp.Position(line, start))
        end = index.offset(lsp.Position(line, start + length))
        words.append((text[begin:end], TYPES[kind]))
    assert words == [
        ("x", "variable"), ("=", "operator"), ('"\U0001f375"', "string"), ("+", "operator"),
        ("upper", "function"), ("`", "string"), ("a", "string"), ("b", "string"), ("`", "string"),
        ("// end", "comment"),
    ]  # fmt: skip
