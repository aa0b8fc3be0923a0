"""FLIN for Pygments, and so for Sphinx, MkDocs, rich and everything else that uses it.

Registered as `flin`; the tokens are the compiler's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from pygments.lexer import Lexer
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

from flinfast.lang.highlight import stretches

TOKENS: Final[dict[str, Any]] = {
    "space": Whitespace,
    "comment": Comment,
    "keyword": Keyword,
    "declaration": Keyword.Declaration,
    "constant": Keyword.Constant,
    "word operator": Operator.Word,
    "operator": Operator,
    "punctuation": Punctuation,
    "number": Number,
    "string": String,
    "escape": String.Escape,
    "interpolation": String.Interpol,
    "type": Keyword.Type,
    "entity": Name.Class,
    "function": Name.Function,
    "method": Name.Function,
    "member": Name.Attribute,
    "key": Name.Attribute,
    "modifier": Name.Decorator,
    "label": Name.Label,
    "path": String.Other,
    "context": Name.Builtin.Pseudo,
    "name": Name,
    "http method": Name.Constant,
    "event": Name.Function.Magic,
    "guard": Name.Decorator,
    "error": Error,
}


class FlinLexer(Lexer):  # type: ignore[misc]
    """Pygments lexer of FLIN source files."""

    name = "FLIN"
    aliases: ClassVar[list[str]] = ["flin"]
    filenames: ClassVar[list[str]] = ["*.flin"]
    mimetypes: ClassVar[list[str]] = ["text/x-flin"]
    url = "https://github.com/flinfast/flinfast"

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, Any, str]]:
        """Index, token type and text of every stretch."""
        for start, end, kind in stretches(text):
            yield start, TOKENS[kind], text[start:end]
