"""Comments and blank lines: what stands between the tokens of a file, which no later pass sees.

The lexer drops them; whoever rewrites source (`lang.format`, the language server) reads them here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment.

    Attributes:
        text: As written, without white space after it.
        starts_line: Whether nothing but white space (and separators) stands before it on its line.
        blank_before: Whether a blank line does.
    """

    text: str
    starts_line: bool
    blank_before: bool

    @property
    def takes_line(self) -> bool:
        """Whether it reaches to the end of its line, as `//` does."""
        return self.text.startswith("//")


@dataclass(frozen=True, slots=True)
class Gap:
    """What stands before a token.

    Attributes:
        trailing: Comments on the line of the token before, where the line ends after them.
        own: Comments on lines of their own.
        inline: Comments that the token follows on the same line.
        breaks_line: Whether a line ends in the gap.
        blank: Whether a blank line stands right before the token (and its inline comments).
        column: Where the first trailing comment starts on its line, 0-based.
        room: How many characters of white space stand before it.
    """

    trailing: tuple[Comment, ...] = ()
    own: tuple[Comment, ...] = ()
    inline: tuple[Comment, ...] = ()
    breaks_line: bool = False
    blank: bool = False
    column: int = 0
    room: int = 0

    @property
    def comments(self) -> tuple[Comment, ...]:
        """All of them, in source order."""
        return self.trailing + self.own + self.inline


NO_GAP: Final = Gap()


def read_gap(between: str) -> Gap:
    """What stands between two tokens.

    Args:
        between: The text from the end of one to the start of the next; a line break added at an
            edge stands for the start or the end of the file.
    """
    if "/" not in between:
        lines = between.count("\n")
        return Gap(breaks_line=True, blank=lines > 1) if lines else NO_GAP
    comments, rest = _split(between)
    own = [index for index, comment in enumerate(comments) if comment.starts_line]
    ends_line = "\n" in rest
    if not own and not ends_line:
        return Gap(inline=tuple(comments))
    first = own[0] if own else len(comments)
    last = len(comments) if ends_line else own[-1]
    blank = comments[last].blank_before if last < len(comments) else _has_blank_line(rest)
    trailing, middle = comments[:first], comments[first:last]
    return Gap(tuple(trailing), tuple(middle), tuple(comments[last:]), True, blank)


def comments_of(text: str, tokens: Iterable[Any]) -> list[str]:
    """Text of every comment of a file in order; the lines of one without their indentation.

    Args:
        text: The file.
        tokens: Its tokens in source order, each with `index` and `end`.
    """
    found = []
    start = 0
    for token in tokens:
        if token.index > start:
            found += _texts(text[start : token.index])
        if token.type == "NOT_IN":  # one token of two words
            found += _texts(text[token.index : token.end])
        start = max(start, token.end)
    return found + _texts(text[start:])


def _texts(between: str) -> list[str]:
    if "/" not in between:
        return []
    return ["\n".join(map(str.strip, c.text.split("\n"))) for c in _split(between)[0]]


def _split(between: str) -> tuple[list[Comment], str]:
    """The comments of a gap, and what follows the last one."""
    found = []
    start = 0
    for match in _COMMENT.finditer(between):
        before = between[start : match.start()]
        found.append(Comment(match[0].rstrip(), "\n" in before, _has_blank_line(before)))
        start = match.end()
    return found, between[start:]


def _has_blank_line(space: str) -> bool:
    return space.count("\n") > 1
