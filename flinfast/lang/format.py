"""The formatter: one style for FLIN source.

`format_source` keeps every token and comment and moves only what stands between them, besides
spellings that mean the same (`and` is `&&`). It proves that by reading what it wrote: the tree and
the comments are those of the source, or it refuses.
"""

from __future__ import annotations

from typing import Any, Final

from flinfast.errors import CompileError, FlinError
from flinfast.lang import ast
from flinfast.lang.comments import comments_of
from flinfast.lang.formatting.builder import Builder
from flinfast.lang.formatting.document import Printer
from flinfast.lang.formatting.tree import read_tree
from flinfast.lang.parser import parse_tokens
from flinfast.lang.source import Source

WIDTH: Final = 100  # columns; longer lines are broken where the language allows it
_MARK: Final = "\ufeff"  # byte order mark


class FormatError(FlinError):
    """The formatter would have changed the program, which is a fault of its own.

    Attributes:
        exit_code: 70, as for any fault of flinfast.
    """

    exit_code = 70


def format_source(text: str, path: str = "<source>") -> str:
    """Format one file.

    Args:
        text: The file; a byte order mark at its start is kept.
        path: Its name in diagnostics.

    Returns:
        The text in the one style, ending in a line break unless it is empty; formatting it again
        changes nothing. Its lines end as the first line of `text` does.

    Raises:
        CompileError: The text has syntax errors.
        FormatError: The result would not be the same program; the text is best left alone.
    """
    mark = _MARK if text.startswith(_MARK) else ""
    line_end = "\r\n" if "\r\n" in text[: text.find("\n") + 1] else "\n"
    before = text[len(mark) :].replace("\r\n", "\n")
    reading = _Reading(before, path)
    after = reading.written()
    _check(reading, _Reading(after, path, is_ours=True))
    return mark + after.replace("\n", line_end)


class _Reading:
    """A text with its tokens and its tree."""

    def __init__(
        self, text: str, path: str, *, is_ours: bool = False, keeps_quotes: bool = False
    ) -> None:
        source = Source(path, text)
        self.text = text
        self._keeps_quotes = keeps_quotes
        self.program, diagnostics, self.tokens = parse_tokens(source)
        if any(found.severity == "error" for found in diagnostics):
            if is_ours:
                raise FormatError(f"{path} would not be readable any more: left as it is")
            raise CompileError(diagnostics)

    def written(self) -> str:
        """The text in the one style."""
        tree = read_tree(
            self.text, self.tokens, self.program, _format_code, keeps_quotes=self._keeps_quotes
        )
        text = Printer(WIDTH).run(Builder().program(tree)).strip("\n")
        return text + "\n" if text else ""


_AROUND: Final = ("fn code() {\n    return ", "\n}\n")  # makes a program of an expression


def _format_code(code: str) -> str:
    """The code of an interpolation in the one style; as it is where that takes several lines.

    Comments stay where they are. So do braces at the edges, which would meet those around them.
    """
    if "\n" in code or "//" in code or "/*" in code:
        return code
    around = code.strip().join(_AROUND)
    try:
        written = _Reading(around, "<text>", is_ours=True, keeps_quotes=True).written()
    except FormatError:
        return code  # there it means something else than here
    found = written.removeprefix(_AROUND[0]).removesuffix(_AROUND[1])
    if "\n" in found or len(found) + sum(map(len, _AROUND)) != len(written):
        return code
    return code if found[:1] == "{" or found[-1:] == "}" else found


def _check(before: _Reading, after: _Reading) -> None:
    """Compare two readings.

    Raises:
        FormatError: They are not the same program with the same comments.
    """
    if not same_tree(before.program, after.program):
        raise FormatError("the program would not be the same any more: left as it is")
    if comments_of(before.text, before.tokens) != comments_of(after.text, after.tokens):
        raise FormatError("a comment would not be the same any more: left as it is")


def same_tree(left: object, right: object) -> bool:
    """Whether two trees are the same but for their spans; `1`, `1.0` and `true` differ."""
    pending: list[tuple[Any, Any]] = [(left, right)]
    while pending:
        one, other = pending.pop()
        if type(one) is not type(other):
            return False
        if isinstance(one, tuple):
            if len(one) != len(other):
                return False
            pending += zip(one, other, strict=True)
        elif isinstance(one, ast.Node):
            pending += [(getattr(one, name), getattr(other, name)) for name in _names(type(one))]
        elif one != other:
            return False
    return True


_NAMES: dict[type[ast.Node], tuple[str, ...]] = {}


def _names(kind: type[ast.Node]) -> tuple[str, ...]:
    """Fields of a class of nodes but its spans."""
    names = _NAMES.get(kind)
    if names is None:
        names = tuple(name for name, type in ast.field_types(kind).items() if type != "Span")
        _NAMES[kind] = names
    return names
