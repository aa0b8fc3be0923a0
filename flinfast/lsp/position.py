"""Offsets to the positions of the protocol and back.

The compiler counts code points; the protocol counts lines, ended by LF, CR LF or CR, and in them
UTF-16 code units unless client and server agreed on something else.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

from lsprotocol import types as lsp

from flinfast.lang.source import Span

_LINE_END: Final = re.compile(r"\r\n|\n|\r")

UTF8: Final = "utf-8"
UTF16: Final = "utf-16"
UTF32: Final = "utf-32"


class TextIndex:
    """The lines of one text.

    Args:
        text: The whole text.
        encoding: What a `character` of a position counts: UTF8, UTF16 or UTF32 units.
    """

    def __init__(self, text: str, encoding: str = UTF16) -> None:
        self.text = text
        self.encoding = encoding
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
        self._is_ascii = text.isascii()

    def position(self, offset: int) -> lsp.Position:
        """Position of an offset; one beyond the text is its end."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self._starts, offset) - 1
        return lsp.Position(line, self._units(self.text[self._starts[line] : offset]))

    def offset(self, position: lsp.Position) -> int:
        """Offset of a position; one beyond its line is the end of the line."""
        if position.line >= len(self._starts):
            return len(self.text)
        start = self._starts[position.line]
        following = position.line + 1
        end = self._starts[following] if following < len(self._starts) else len(self.text)
        line = self.text[start:end].rstrip("\r\n")
        units = 0
        for index, character in enumerate(line):
            if units >= position.character:
                return start + index
            units += self._units(character)
        return start + len(line)

    def range(self, span: Span) -> lsp.Range:
        """Range of a span."""
        return lsp.Range(self.position(span.start), self.position(span.end))

    def _units(self, text: str) -> int:
        if self._is_ascii or self.encoding == UTF32:
            return len(text)
        if self.encoding == UTF8:
            return len(text.encode("utf-8", "surrogatepass"))
        return len(text) + sum(character > "\uffff" for character in text)
