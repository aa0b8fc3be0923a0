"""Words for what the lexer cannot read: characters without a meaning, malformed numbers."""

from __future__ import annotations

import unicodedata
from typing import Final

_QUOTED_MAX: Final = 24  # characters of source text quoted in a message
_CHARACTERS: Final = {
    "#": "a comment starts with `//`",
    "\u201c": 'a text stands between `"` and `"`',
    "\u201d": 'a text stands between `"` and `"`',
    "\u2018": "a text stands between straight quotes",
    "\u2019": "a text stands between straight quotes",
    "$": "a name has no `$`; in a template `${...}` holds an expression",
    "\xa0": "replace it by a space",
}


def describe_character(character: str) -> tuple[str, str]:
    """Message and help for a character no rule takes."""
    help = _CHARACTERS.get(character, "")
    if character.isprintable() and not character.isspace():
        return f"unexpected character `{character}`", help
    name = unicodedata.name(character, "control character").lower()
    return f"unexpected character U+{ord(character):04X} ({name})", help


def describe_number(text: str) -> tuple[str, str]:
    """Label and help for a malformed number."""
    if text[:2] in ("0x", "0X"):
        return "expected hexadecimal digits after `0x`", ""
    if "_" in text:
        return "`_` stands between two digits", ""
    return "a number ends where a word begins", "put a space or an operator between the two"


def shortened(text: str) -> str:
    """Source text as quoted in a message."""
    return text if len(text) <= _QUOTED_MAX else text[: _QUOTED_MAX - 3] + "..."
