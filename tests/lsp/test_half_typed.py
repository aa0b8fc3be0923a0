"""Analysis of whatever stands in a file while it is typed: it never fails."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from flinfast.lang.source import Source
from flinfast.lsp.colour import semantic_tokens
from flinfast.lsp.completion import CURSOR, complete
from flinfast.lsp.names import ProjectNames
from flinfast.lsp.outline import outline, project_symbols
from flinfast.lsp.position import TextIndex
from flinfast.lsp.signature import signatures_at
from flinfast.lsp.subject import subject_at
from flinfast.lsp.uses import uses_of
from flinfast.runtime.project import Project, ProjectFile
from flinfast.runtime.router import Pattern
from tests.lsp.editor import PROJECT

TEXTS = list(PROJECT.values())
PIECES = st.sampled_from(
    [
        *("{", "}", "(", ")", "[", "]", '"', "`", "'", "${", "//", "/*", ".", ",", ":", "@", "|>"),
        *("route GET", "ws", "on ", "guard ", "fn ", "entity ", "enum ", "if ", "for ", "match "),
        *("save ", "validate ", "test ", "let ", "\n", " ", "x", "Ticket", "ticket", "=", "1"),
    ]
)


@st.composite
def half_typed(draw: st.DrawFn) -> tuple[str, int]:
    """A program with something cut out and something put in, and a place in it."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(PIECES) + text[end:]
    return text, draw(st.integers(0, len(text)))


def project(text: str) -> Project:
    files = [
        ProjectFile(Source("entities/t.flin", PROJECT["entities/ticket.flin"]), "entities"),
        ProjectFile(Source("lib/text.flin", PROJECT["lib/text.flin"]), "lib"),
        ProjectFile(Source("app/x.flin", text), "route", Pattern(())),
    ]
    return Project(Path("/project"), files)


@settings(max_examples=120, deadline=None)
@given(half_typed())
@example(("", 0))
@example(("= 1\n", 0))
@example(("entity Ticket { id: int }\nfn shout() { }", 8))
@example(("type A = A\nentity B { a: A b: B c: [B] }", 30))
@example(('x = "{"', 7))
def test_every_question_has_an_answer(case: tuple[str, int]) -> None:
    """Hover, definition, uses, completion, signatures, symbols and colours."""
    text, offset = case
    known: dict[str, list[tuple[str, object]]] = {}
    names = ProjectNames(project(text), known)  # type: ignore[arg-type]
    subject = subject_at(names, "app/x.flin", offset)
    if subject is not None:
        assert 0 <= subject.span.start <= subject.span.end <= len(text)
        for source, span in subject.targets:
            assert span.end <= len(source.text)
        if subject.symbol is not None:
            for use in uses_of(names, subject.symbol):
                assert "\n" not in use.source.text[use.span.start : use.span.end]
    word, items = complete(names.project, "app/x.flin", offset, known)  # type: ignore[arg-type]
    assert word.start <= offset
    assert all(CURSOR not in item.label + item.insert + item.detail for item in items)
    signatures_at(names, "app/x.flin", offset)
    file = names.files["app/x.flin"]
    for symbol in outline(file.tree, file.source):
        assert symbol.span.start <= symbol.name_span.start <= symbol.span.end
    list(project_symbols(names, "a"))
    assert len(semantic_tokens(TextIndex(text))) % 5 == 0
