"""Sets of characters of regular expressions, as bits: what can be shared is found with `&`.

One bit for each ASCII character, one for each kind of others. What lies beyond ASCII is on the safe
side: a set that has some characters of a kind has all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_ASCII: Final = 128
_KINDS: Final[tuple[Callable[[str], bool], ...]] = (
    str.isdecimal,
    lambda char: char.isalnum() and not char.isdecimal(),
    str.isspace,
    lambda char: not (char.isalnum() or char.isspace()),
)
ALL: Final = (1 << (_ASCII + len(_KINDS))) - 1
_ASCII_ALL: Final = (1 << _ASCII) - 1
_OTHERS: Final = ALL & ~_ASCII_ALL
_RANGE_CHARS_MAX: Final = 512  # of a range beyond ASCII that are looked at; more have every kind


class CharSet:
    """What stands between `[` and `]`, as it is read.

    Args:
        flags: Of `re`: IGNORECASE, ASCII.
    """

    __slots__ = ("_chars", "_flags", "_whole_kinds")

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._chars = 0
        self._whole_kinds = 0

    def add(self, start: int, end: int) -> None:
        """Characters from one to another, both included, by their numbers."""
        self._chars |= _of_range(start, end)

    def add_category(self, letter: str) -> None:
        """What a backslash and one of `dDsSwW` stand for."""
        found = _of_category(letter, self._flags)
        self._chars |= found
        self._whole_kinds |= found & _OTHERS

    def bits(self, *, is_negated: bool) -> int:
        """The set, or every other character; a kind of which only some are named stays."""
        chars = _either_case(self._chars, self._flags)
        if not is_negated:
            return chars
        return (_ASCII_ALL & ~chars) | (_OTHERS & ~self._whole_kinds)


def any_char(flags: int) -> int:
    """What `.` stands for."""
    return ALL if flags & re.DOTALL else ALL & ~(1 << ord("\n"))


def _of_range(start: int, end: int) -> int:
    chars = 0
    for number in range(start, min(end, _ASCII - 1) + 1):
        chars |= 1 << number
    first = max(start, _ASCII)
    if end - first >= _RANGE_CHARS_MAX:
        return chars | _OTHERS
    for number in range(first, end + 1):
        chars |= _of_char(chr(number))
    return chars


def _of_char(char: str) -> int:
    if ord(char) < _ASCII:
        return 1 << ord(char)
    return sum(1 << (_ASCII + bit) for bit, test in enumerate(_KINDS) if test(char))


def _of_category(letter: str, flags: int) -> int:
    test = _CATEGORIES[letter.lower()]
    chars = sum(1 << number for number in range(_ASCII) if test(chr(number)))
    samples = ("\u0661", "\u00e9", "\u00a0", "\u20ac")  # one of each of _KINDS
    if not flags & re.ASCII:
        chars |= sum(1 << (_ASCII + bit) for bit, char in enumerate(samples) if test(char))
    return ALL & ~chars if letter.isupper() else chars


_CATEGORIES: Final[dict[str, Callable[[str], bool]]] = {
    "d": str.isdecimal,
    "s": str.isspace,
    "w": lambda char: char.isalnum() or char == "_",
}


def _either_case(chars: int, flags: int) -> int:
    if not flags & re.IGNORECASE:
        return chars
    both = chars
    for number in range(_ASCII):
        if chars >> number & 1:
            for char in (chr(number).lower(), chr(number).upper()):
                both |= _of_char(char)
    # `k` and `s` have siblings beyond ASCII, and letters there some within.
    if both & _OTHERS or not flags & re.ASCII:
        letters = sum(1 << ord(char) for char in "kKsSiI")
        if both & letters:
            both |= 1 << (_ASCII + 1)
        if chars & (1 << (_ASCII + 1)):
            both |= letters
    return both
