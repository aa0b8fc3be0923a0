"""Tokens, from the lexer to the grammar."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Token(Struct, gc=False):
    """A word, sign, number or piece of a text; later passes give it another type.

    Attributes:
        type: Its name in the grammar, as it is known so far.
        value: What it stands for, mostly its text.
        index: Offset of its first character, in code points.
        end: Offset after its last character.
    """

    type: str
    value: Any
    index: int
    end: int


def make_token(kind: str, value: Any, start: int, end: int) -> Any:
    """A token that no source text stands for, such as a separator."""
    return Token(kind, value, start, end)
