"""Semantic tokens: colours for editors without a grammar of FLIN, from the compiler's tokens."""

from __future__ import annotations

from typing import Final

from lsprotocol import types as lsp

from flinfast.lang.highlight import stretches
from flinfast.lang.source import Span
from flinfast.lsp.position import TextIndex

# Kind of a stretch -> type of the protocol; punctuation and white space have none.
_TYPES: Final = {
    "comment": "comment",
    "keyword": "keyword",
    "declaration": "keyword",
    "constant": "keyword",
    "word operator": "operator",
    "operator": "operator",
    "number": "number",
    "string": "string",
    "escape": "regexp",
    "interpolation": "operator",
    "type": "type",
    "entity": "class",
    "function": "function",
    "method": "method",
    "member": "property",
    "key": "property",
    "modifier": "decorator",
    "label": "event",
    "path": "string",
    "context": "namespace",
    "name": "variable",
    "http method": "enumMember",
    "event": "event",
    "guard": "decorator",
}
TYPES: Final = tuple(dict.fromkeys(_TYPES.values()))
_NUMBERS: Final = {kind: TYPES.index(name) for kind, name in _TYPES.items()}
LEGEND: Final = lsp.SemanticTokensLegend(list(TYPES), [])


def semantic_tokens(index: TextIndex) -> list[int]:
    """Five numbers per token, as the protocol wants them: line and start are differences."""
    numbers: list[int] = []
    line = start = 0
    for begin, end, kind in stretches(index.text):
        number = _NUMBERS.get(kind)
        if number is None:
            continue
        for span in _lines(index.text, begin, end):
            place = index.range(span)
            first, last = place.start, place.end
            if last.character == first.character:
                continue
            same = first.line == line
            shift = first.character - start if same else first.character
            length = last.character - first.character
            numbers += [first.line - line, shift, length, number, 0]
            line, start = first.line, first.character
    return numbers


def _lines(text: str, begin: int, end: int) -> list[Span]:
    """A stretch cut at line ends: editors need not know tokens of several lines."""
    if "\n" not in text[begin:end] and "\r" not in text[begin:end]:
        return [Span(begin, end)]
    found = []
    at = begin
    for part in text[begin:end].splitlines(keepends=True):
        found.append(Span(at, at + len(part.rstrip("\r\n"))))
        at += len(part)
    return found
