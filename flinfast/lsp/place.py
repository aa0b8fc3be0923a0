"""Where in a text the cursor is: what construct is around it, and which word and call it is in.

Reads tokens, not trees, so that it works in the middle of whatever is being typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from flinfast.lang.lexer import FlinLexer
from flinfast.lang.source import Source, Span

_WORD_BEFORE: Final = re.compile(r"[^\W\d]\w*\Z")
_WORD_AFTER: Final = re.compile(r"\w*")
_CODE: Final = re.compile(r"\bFL\d{3}\b")
_OPENERS: Final = {
    "LBRACE": "RBRACE",
    "LPAREN": "RPAREN",
    "LBRACKET": "RBRACKET",
    "TEXT_OPEN": "TEXT_CLOSE",
    "INTERP_OPEN": "INTERP_CLOSE",
}
_CLOSERS: Final = frozenset(_OPENERS.values())
_WORDS: Final = frozenset({"NAME", "TYPE_NAME", "ENTITY", "ENUM", "FN", "IF", "ELSE", "FOR"}) | {
    *("WHILE", "MATCH", "SAVE", "DELETE", "DESTROY", "RESTORE", "IN"),
}
# First word of a statement whose `{` opens something else than code.
_BODIES: Final = {"ws": "ws", "validate": "fields", "entity": "fields", "enum": "enum"}
_BEFORE_MAP: Final = frozenset({"COLON", "COMMA", "LPAREN", "LBRACKET", "ASSIGN", "ELLIPSIS"})
_HEADERS: Final = frozenset({"IF", "ELSE", "FOR", "WHILE", "MATCH", "FN"})


@dataclass(slots=True)
class Group:
    """One open bracket around the cursor.

    Attributes:
        kind: "ws", "fields", "enum", "code", "record", "response", "map", "call", "list", "text",
            "interpolation" or "parens".
        start: Offset of the bracket.
        name: Entity of a record, callee of a call as written after the last `.`.
        is_method: Whether the callee follows a `.`.
        commas: Commas in it so far.
        head: First word of the statement that the bracket belongs to.
        keys: Keys given so far, of a record, response or map; names of arguments.
    """

    kind: str
    start: int
    name: str = ""
    is_method: bool = False
    commas: int = 0
    head: str = ""
    keys: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """What is around a cursor.

    Attributes:
        groups: Open brackets, outermost first.
        word: The word that the cursor is in or after; empty where none is.
        before: Types and values of up to three tokens before the word, last one first.
        is_comment: Whether it is inside a comment.
        is_line_start: Whether the word is the first of its line or block.
    """

    groups: list[Group]
    word: Span
    before: list[tuple[str, Any]]
    is_comment: bool = False
    is_line_start: bool = False

    @property
    def inner(self) -> Group | None:
        """The innermost open bracket."""
        return self.groups[-1] if self.groups else None

    @property
    def call(self) -> Group | None:
        """The innermost call, if the cursor is in its arguments and not in a block of them."""
        for group in reversed(self.groups):
            if group.kind == "call":
                return group
            if group.kind not in ("text", "interpolation", "map", "list", "parens", "record"):
                return None
        return None

    @property
    def last(self) -> str:
        """Type of the token before the word."""
        return self.before[0][0] if self.before else ""

    @property
    def last_value(self) -> Any:
        """Value of the token before the word."""
        return self.before[0][1] if self.before else None


def word_at(text: str, offset: int) -> Span:
    """The word around an offset, empty when there is none."""
    before = _WORD_BEFORE.search(text, 0, offset)
    start = before.start() if before else offset
    after = _WORD_AFTER.match(text, offset)
    end = after.end() if after and (before or not text[offset : offset + 1].isdigit()) else offset
    return Span(start, end)


def code_at(text: str, offset: int) -> str:
    """The code of a diagnostic that is written at an offset, such as "FL201", or ""."""
    line_start = text.rfind("\n", 0, offset) + 1
    line_end = text.find("\n", offset)
    for found in _CODE.finditer(text, line_start, len(text) if line_end < 0 else line_end):
        if found.start() <= offset <= found.end():
            return found[0]
    return ""


def place_at(text: str, offset: int) -> Place:
    """What is around an offset."""
    word = word_at(text, offset)
    head = text[: word.start]
    # A word in the cursor's place: `"a {` alone would be a text with a brace.
    tokens = [t for t in FlinLexer(Source("", head + "_")).run() if t.index < len(head)]
    groups: list[Group] = []
    past: list[Any] = []
    for token in tokens:
        kind = token.type
        if kind in _CLOSERS:
            if groups:
                groups.pop()
        elif kind in _OPENERS:
            groups.append(_group(token, past, groups, head))
        elif groups:
            _note(groups[-1], token, past)
        past.append(token)
    end = past[-1].end if past else 0
    between = head[end:]
    before = [(t.type, t.value) for t in reversed(past[-3:]) if t.index < t.end]
    in_text = bool(groups) and groups[-1].kind == "text"
    is_start = not past or "\n" in between or past[-1].type in ("LBRACE", "SEMICOLON")
    return Place(
        groups,
        word,
        before,
        is_comment=not in_text and _in_comment(between),
        is_line_start=is_start,
    )


def _in_comment(between: str) -> bool:
    """Whether what follows the last token is a comment that has not ended."""
    line = between.rsplit("\n", 1)[-1]
    if "//" in line:
        return True
    return between.rfind("/*") > between.rfind("*/")


def _note(group: Group, token: Any, past: list[Any]) -> None:
    """What a token that is no bracket tells about the group around it."""
    if token.type == "COMMA":
        group.commas += 1
    elif token.type == "COLON" and past and past[-1].type in _WORDS | {"TEXT"}:
        group.keys.append(str(past[-1].value))


def _group(token: Any, past: list[Any], groups: list[Group], text: str) -> Group:
    kind, start = token.type, token.index
    last: Any = past[-1] if past else None
    if kind == "TEXT_OPEN":
        return Group("text", start)
    if kind == "INTERP_OPEN":
        return Group("interpolation", start)
    if kind == "LBRACKET":
        return Group("list", start)
    if kind == "LPAREN":
        is_adjacent = last is not None and last.end == start
        if is_adjacent and last.type in ("NAME", "TYPE_NAME"):
            is_method = len(past) > 1 and past[-2].type in ("DOT", "OPTIONAL_DOT")
            is_modifier = len(past) > 1 and past[-2].type == "AT"
            name = f"@{last.value}" if is_modifier else str(last.value)
            return Group("call", start, name, is_method, head=_head(past, text)[0])
        return Group("parens", start)
    return _brace(start, last, past, groups, text)


def _brace(start: int, last: Any, past: list[Any], groups: list[Group], text: str) -> Group:
    if last is None:
        return Group("code", start)
    word = last.value if last.type == "NAME" else ""
    if word == "response":
        return Group("response", start)
    if word in ("ws", "validate"):
        return Group(_BODIES[word], start, head=word)
    if last.type in _BEFORE_MAP or word == "guards":
        return Group("map", start)
    head, kinds = _head(past, text)
    if head in ("entity", "enum"):
        return Group(_BODIES[head], start, head=head)
    if last.type == "TYPE_NAME" and head != "route" and not kinds & _HEADERS:
        return Group("record", start, str(last.value))
    if last.type == "LBRACE" and groups and groups[-1].kind in ("map", "list"):
        return Group("map", start)
    return Group("code", start, head=head)


def _head(past: list[Any], text: str) -> tuple[str, set[str]]:
    """First word of the statement that ends here, and the types of its tokens."""
    depth = 0
    first: Any = None
    kinds: set[str] = set()
    for index in range(len(past) - 1, max(-1, len(past) - 60), -1):
        token = past[index]
        if token.type in ("RPAREN", "RBRACKET"):
            depth += 1
        elif token.type in ("LPAREN", "LBRACKET"):
            if depth == 0:
                break
            depth -= 1
        elif depth == 0 and token.type in ("LBRACE", "RBRACE", "SEMICOLON"):
            break
        following = past[index + 1].index if index + 1 < len(past) else token.end
        if depth == 0 and first is not None and "\n" in text[token.end : following]:
            break
        first = token
        kinds.add(token.type)
    if first is None:
        return "", kinds
    return text[first.index : first.end] if first.type in _WORDS else "", kinds
