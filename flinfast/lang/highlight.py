"""What every stretch of source text is, for colouring.

Behind the Pygments lexer and the check of the editors' grammar. Uses the compiler's own tokens and
line structure, so that it cannot disagree with them. Takes any text; what means nothing is "error".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from flinfast.lang.brackets import balance
from flinfast.lang.declare import TYPE_NAMES
from flinfast.lang.layout import Layout
from flinfast.lang.lexer import FlinLexer
from flinfast.lang.source import Source
from flinfast.lang.symbol import CONTEXT_NAMES
from flinfast.lang.token import make_token
from flinfast.lang.vocabulary import CONTEXTUAL

# Start, end and kind of a stretch; kinds are those of KINDS.
Stretch = tuple[int, int, str]

KINDS: Final = frozenset(
    {
        *("space", "comment", "keyword", "declaration", "constant", "word operator", "operator"),
        *("punctuation", "number", "string", "escape", "interpolation", "type", "entity"),
        *("function", "method", "member", "key", "modifier", "label", "path", "context", "name"),
        *("http method", "event", "guard", "error"),
    }
)
_CONSTANTS: Final = frozenset({"TRUE", "FALSE", "NONE"})
_DECLARATIONS: Final = frozenset({"ENTITY", "ENUM", "FN"}) | {
    kind for kind, _, _ in CONTEXTUAL.values()
}
_WORD_OPERATORS: Final = frozenset({"AND", "OR", "NOT", "IN", "IS", "NOT_IN"})
_STRINGS: Final = frozenset({"TEXT", "TEXT_OPEN", "TEXT_CLOSE", "CHUNK"})
_INTERPOLATION: Final = frozenset({"INTERP_OPEN", "INTERP_CLOSE"})
_PUNCTUATION: Final = frozenset(
    {
        *("LBRACE", "RBRACE", "LPAREN", "RPAREN", "LBRACKET", "RBRACKET"),
        *("COMMA", "SEMICOLON", "COLON", "DOT", "OPTIONAL_DOT"),
    }
)
_NAMES: Final = frozenset({"NAME", "TYPE_NAME", "KEY", "BINDER"})
_AFTER_MEMBER: Final = frozenset({"DOT", "OPTIONAL_DOT"})
_SPECIAL: Final = {"ROUTE": "http method", "ON": "event", "GUARD": "guard", "FIELD_AT": "modifier"}
_BEFORE_TYPE: Final = frozenset({"COLON", "ARROW", "IS", "BAR", "SEMANTIC"})
_GAP: Final = re.compile(r"(\s+)|(//[^\n]*|/\*.*?(?:\*/|\Z))|(\S)", re.DOTALL)


def stretches(text: str) -> Iterator[Stretch]:
    """Every stretch of a text in order, without holes.

    Args:
        text: Any text.
    """
    at = 0
    for start, end, kind in _tokens(text):
        yield from _gap(text, at, start)
        yield start, end, kind
        at = end
    yield from _gap(text, at, len(text))


def _gap(text: str, start: int, end: int) -> Iterator[Stretch]:
    """White space, comments, and characters that the lexer could not use."""
    for match in _GAP.finditer(text, start, end):
        kind = "space" if match[1] else "comment" if match[2] else "error"
        yield match.start(), match.end(), kind


def _tokens(text: str) -> Iterator[Stretch]:
    source = Source("", text)
    lexer = FlinLexer(source)
    raw = lexer.run()
    plain = [(token.type, token.index, token.end) for token in raw]
    refined = _refined(source, raw, lexer)
    before = ""
    for place, (kind, start, end) in enumerate(plain):
        if start == end:
            continue
        following = plain[place + 1][0] if place + 1 < len(plain) else ""
        refined_kind = refined.get(start, kind)
        word = text[start:end]
        yield start, end, _kind_of(kind, refined_kind, word, before, following)
        if kind == "LBRACKET" and before in _BEFORE_TYPE:
            continue  # `name: [text]`
        before = refined_kind if kind not in _PUNCTUATION else kind


def _refined(source: Source, raw: list[Any], lexer: FlinLexer) -> dict[int, str]:
    """Type of each token by its offset once line structure is known."""
    tokens, partners = balance(raw, source, make_token, lexer.report)
    laid_out = Layout(source.text, tokens, partners, make_token, lexer.fault).run()
    return {token.index: token.type for token in laid_out if token.type != "SEP"}


def _kind_of(kind: str, refined: str, word: str, before: str, following: str) -> str:
    if kind in _STRINGS:
        return "key" if refined == "KEY" else "escape" if word[0] == "\\" else "string"
    for kinds, name in _BY_TYPE:
        # A keyword after a `.` is a name; a bracket stays one, whatever it opens.
        if refined in kinds or (kind in kinds and not word[0].isalpha()):
            return name
    if kind == "NUMBER":
        return "number"
    if kind in ("LABEL", "PATH"):
        return kind.lower()
    if word[0].isalpha() or word[0] == "_":
        return _word_kind(kind, refined, word, before, following)
    return "error" if kind == "BAD" else "operator"


def _word_kind(kind: str, refined: str, word: str, before: str, following: str) -> str:
    if before in _AFTER_MEMBER:
        return "method" if following == "LPAREN" else "member"
    if before in _SPECIAL:
        return _SPECIAL[before]
    if refined == "KEY":
        return "key"
    if refined not in _NAMES:
        return "keyword"
    if refined == "TYPE_NAME":
        return "entity"
    if before in _BEFORE_TYPE and word in TYPE_NAMES and following != "LPAREN":
        return "type"
    if following == "LPAREN":
        return "function"
    return "context" if word in CONTEXT_NAMES else "name"


_BY_TYPE: Final = (
    (_CONSTANTS, "constant"),
    (_WORD_OPERATORS, "word operator"),
    (_INTERPOLATION, "interpolation"),
    (_PUNCTUATION, "punctuation"),
    (_DECLARATIONS, "declaration"),
)
