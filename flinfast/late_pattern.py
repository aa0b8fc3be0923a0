"""Regular expressions that are compiled when they are first used.

A start would compile some seventy, which takes a tenth of its time, and most are for requests that
may never come. A late pattern stands where `re.compile()` stood, and is one from its first use on.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, Final, cast

_METHODS: Final = ("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")


class _Used:
    """A pattern that has been used: its methods are attributes."""


class _Late(_Used):
    """A pattern that has not."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self.pattern, self._flags)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        self.__class__ = _Used  # type: ignore[assignment]  # from now on looked up without a hook
        return getattr(compiled, name)


def late_pattern(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """A pattern compiled on its first use; it has the methods of one and `pattern`, no more.

    Args:
        pattern: A regular expression of ours: what is wrong with it shows only when it is used.
        flags: As for `re.compile()`.
    """
    return cast("re.Pattern[AnyStr]", _Late(pattern, flags))
