"""Whether a space stands between two tokens on one line."""

from __future__ import annotations

from typing import Final

from flinfast.lang.formatting.tree import Leaf
from flinfast.lang.vocabulary import CLOSER_OF

OPENERS: Final = frozenset(CLOSER_OF)
_NONE_AFTER: Final = (OPENERS - {"LBRACE", "LDO", "LMAP", "LPAT"}) | frozenset(
    {"BANG", "NOT", "ELLIPSIS", "DOT", "OPTIONAL_DOT", "AT", "FIELD_AT", "RANGE"}
)
_NONE_BEFORE: Final = frozenset(
    [
        *("RPAREN", "RBRACKET", "COMMA", "COLON", "SEMICOLON", "DOT", "OPTIONAL_DOT", "AT"),
        *("LCALL", "LINDEX", "RANGE", "INCREMENT", "DECREMENT"),
    ]
)
_NAMES: Final = frozenset({"NAME", "TYPE_NAME", "FN"})
_CLOSE_AFTER: Final = frozenset({"BAR", "COMMA", "SEMANTIC"})
_OPERATORS: Final = (
    *("...", "..", "..=", "**", "++", "--", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "|>"),
    *("??", "?:", "?.", "+=", "-=", "*=", "/=", "//", "/*", "*/", "===", "!=="),
)
# Two signs that would be read as one: last of the token before, first of the one after.
_GLUED: Final = frozenset(sign[at : at + 2] for sign in _OPERATORS for at in range(len(sign) - 1))


def is_spaced(before: Leaf, after: Leaf) -> bool:
    """Whether a space stands between two neighbours, outside types and unary operators."""
    if after.gap.inline and before.kind not in OPENERS:
        return True
    if before.kind in _NONE_AFTER or after.kind in _NONE_BEFORE:
        return must_space(before, after)
    return not (after.kind == "LPARAM" and before.kind in _NAMES)


def is_apart(before: Leaf, after: Leaf) -> bool:
    """The same where signs stand close: in types, slices and unary operators."""
    if after.gap.inline and before.kind not in OPENERS:
        return True
    if before.kind in _CLOSE_AFTER or after.kind == "BAR":
        return True
    return must_space(before, after)


def must_space(before: Leaf, after: Leaf) -> bool:
    """Whether two tokens would be read as something else without a space between them."""
    left, right = before.text[-1:], after.text[:1]
    if left + right in _GLUED:
        return True
    return (left.isalnum() or left == "_") and (right.isalnum() or right == "_")
