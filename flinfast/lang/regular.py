"""Reads regular expressions as Python's `re` does, into a tree that can be judged.

For expressions that `re.compile()` has taken: what it refuses is not looked for here. The parser of
the standard library is private and differs between versions; the syntax does not.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Final

from msgspec import Struct

from flinfast.lang.charset import CharSet, any_char

_FLAGS: Final = {
    "a": re.ASCII,
    "i": re.IGNORECASE,
    "L": re.LOCALE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "u": re.UNICODE,
    "x": re.VERBOSE,
}
_REPEATS: Final[dict[str, tuple[int, float]]] = {
    "*": (0, math.inf),
    "+": (1, math.inf),
    "?": (0, 1),
}
_COUNT: Final = re.compile(r"\{([0-9]*)(?:(,)([0-9]*))?\}", re.ASCII)
_FLAG_GROUP: Final = re.compile(r"([aiLmsux]*)(?:-([imsx]+))?([:)])", re.ASCII)
_CONTROL: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_HEX_DIGITS: Final = {"x": 2, "u": 4, "U": 8}
_CATEGORIES: Final = frozenset("dDsSwW")
_DIGITS: Final = frozenset("0123456789")
_OCTAL: Final = frozenset("01234567")
_THREE_OCTAL: Final = re.compile("[0-7]{3}")
_SPACES: Final = frozenset(" \t\n\r\v\f")


class Chars(Struct, frozen=True):
    """One character of a set (see `charset.py`)."""

    bits: int


class Repeat(Struct, frozen=True):
    """Something `least` to `most` times; `most` is infinite without a limit."""

    least: int
    most: float
    part: Sequence


class Either(Struct, frozen=True):
    """One of several."""

    branches: tuple[Sequence, ...]


class Group(Struct, frozen=True):
    """What stands in brackets."""

    part: Sequence


class Look(Struct, frozen=True):
    """What has to stand before or after a place, or must not."""

    part: Sequence


class Again(Struct, frozen=True):
    """The text that a group has found, once more."""


class Place(Struct, frozen=True):
    """A place between characters, such as `$`; at the start of the text or anywhere."""

    is_start: bool


Item = Chars | Repeat | Either | Group | Look | Again | Place
Sequence = tuple[Item, ...]


def parse(pattern: str) -> Sequence:
    """The tree of an expression.

    Args:
        pattern: A valid one, as `re.compile()` takes it.

    Raises:
        re.error: It is not valid.
        OverflowError, RecursionError: It is too large.
    """
    flags = re.compile(pattern).flags
    return _Reader(pattern).sequence(flags)


class _Reader:
    """An expression and how far it is read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _take(self, expected: str) -> bool:
        if not self._text.startswith(expected, self._at):
            return False
        self._at += len(expected)
        return True

    def _char(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _until(self, end: str) -> str:
        start, self._at = self._at, self._text.index(end, self._at) + len(end)
        return self._text[start : self._at - len(end)]

    def sequence(self, flags: int) -> Sequence:
        """All alternatives up to the end, or to the bracket that closes them."""
        branches = [self._branch(flags)]
        while self._take("|"):
            branches.append(self._branch(flags))
        return branches[0] if len(branches) == 1 else (Either(tuple(branches)),)

    def _branch(self, flags: int) -> Sequence:
        items: list[Item] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if flags & re.VERBOSE and self._skip_verbose():
                continue
            repeated = self._repetition()
            if repeated is not None:
                items[-1] = Repeat(*repeated, (items[-1],))
            else:
                items.extend(self._item(flags))
        return tuple(items)

    def _skip_verbose(self) -> bool:
        """Skip one thing that means nothing with the flag `x`."""
        if self._text[self._at] in _SPACES:
            self._at += 1
            return True
        if self._text[self._at] != "#":
            return False
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end + 1
        return True

    def _repetition(self) -> tuple[int, float] | None:
        """The counts of `*`, `+`, `?` or `{m,n}` that stand here; None for another thing."""
        counts = _REPEATS.get(self._text[self._at])
        if counts is not None:
            self._at += 1
        else:
            found = _COUNT.match(self._text, self._at)
            if found is None or found[0] == "{}":
                return None
            self._at = found.end()
            least = int(found[1] or 0)
            counts = (least, least if not found[2] else int(found[3]) if found[3] else math.inf)
        if not self._take("?"):  # reluctant: the same ways in another order
            self._take("+")  # possessive: fewer ways
        return counts

    def _item(self, flags: int) -> Sequence:
        char = self._char()
        if char == ".":
            return (Chars(any_char(flags)),)
        if char == "^":
            return (Place(not flags & re.MULTILINE),)
        if char == "$":
            return (Place(is_start=False),)
        if char == "[":
            return (Chars(self._set(flags)),)
        if char == "(":
            return self._group(flags)
        if char == "\\":
            return (self._escape(flags),)
        return (_literal(ord(char), flags),)

    # --- groups

    def _group(self, flags: int) -> Sequence:
        if not self._take("?"):
            return (self._rest_of_group(flags),)
        if self._take("#"):
            self._until(")")
            return ()
        if self._take("P="):
            self._until(")")
            return (Again(),)
        if self._take("("):
            self._until(")")
            yes = self._branch(flags)
            no = self._branch(flags) if self._take("|") else ()
            self._char()
            return (Either((yes, no)),)
        for opening in ("=", "!", "<=", "<!"):
            if self._take(opening):
                return (Look(self._rest_of_group(flags).part),)
        if self._take("P<"):
            self._until(">")
        elif not self._take(">"):
            found = _FLAG_GROUP.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if found[3] == ")":  # for the whole expression: `re.compile()` has told
                return ()
            flags = _changed(flags, found[1], found[2] or "")
        return (self._rest_of_group(flags),)

    def _rest_of_group(self, flags: int) -> Group:
        part = self.sequence(flags)
        self._char()
        return Group(part)

    # --- characters

    def _set(self, flags: int) -> int:
        chars = CharSet(flags)
        is_negated = self._take("^")
        is_first = True
        while is_first or not self._take("]"):
            is_first = False
            start = self._member(chars)
            if start is None or self._text[self._at : self._at + 2] == "-]":
                if start is not None:
                    chars.add(start, start)
                continue
            end = self._member(chars) if self._take("-") else start
            assert end is not None
            chars.add(start, end)
        return chars.bits(is_negated=is_negated)

    def _member(self, chars: CharSet) -> int | None:
        """The number of a character in a set; None for a category, which is added."""
        char = self._char()
        if char != "\\":
            return ord(char)
        char = self._char()
        if char in _CATEGORIES:
            chars.add_category(char)
            return None
        return self._octal(char) if char in _OCTAL else self._escaped(char)

    def _escape(self, flags: int) -> Item:
        """What a backslash and what follows it stand for, outside of a set."""
        char = self._char()
        if char in "AbBZz":
            return Place(char == "A")
        if char in _CATEGORIES:
            chars = CharSet(flags)
            chars.add_category(char)
            return Chars(chars.bits(is_negated=False))
        if char == "0":
            return _literal(self._octal(char), flags)
        if char in _DIGITS:
            if _THREE_OCTAL.match(self._text, self._at - 1):
                return _literal(self._octal(char), flags)
            if self._at < len(self._text) and self._text[self._at] in _DIGITS:
                self._at += 1
            return Again()
        return _literal(self._escaped(char), flags)

    def _octal(self, first: str) -> int:
        digits = first
        while len(digits) < 3 and self._text[self._at : self._at + 1] in _OCTAL:
            digits += self._char()
        return int(digits, 8)

    def _escaped(self, char: str) -> int:
        if char in _HEX_DIGITS:
            end = self._at + _HEX_DIGITS[char]
            number, self._at = int(self._text[self._at : end], 16), end
            return number
        if char == "N":
            self._char()
            return ord(unicodedata.lookup(self._until("}")))
        return ord(_CONTROL.get(char, char))


def _literal(number: int, flags: int) -> Chars:
    chars = CharSet(flags)
    chars.add(number, number)
    return Chars(chars.bits(is_negated=False))


def _changed(flags: int, added: str, removed: str) -> int:
    for letter in added:
        if letter in "au":
            flags &= ~(re.ASCII | re.UNICODE)
        flags |= _FLAGS[letter]
    for letter in removed:
        flags &= ~_FLAGS[letter]
    return flags
