"""Documents: text with places where lines may end, and their layout within a width.

A document is a str or one of the classes below. A group is printed on one line when it fits, and
otherwise ends a line at each of its own places. Knows nothing of FLIN.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

INDENT: Final = 4  # columns per level
COMMENT_GAP: Final = "    "  # between code and the comment after it
_ALIGNED_GAP: Final = 2  # columns that may be left of it in comments that stand below each other


class Line:
    """A place where a line may end.

    Attributes:
        flat: What stands here when it does not: "" or " ".
        hard: It always ends, and so do the lines of the groups around it.
        blank: When it ends, a blank line follows.
    """

    __slots__ = ("blank", "breaks", "flat", "hard")

    def __init__(self, flat: str = " ", *, hard: bool = False, blank: bool = False) -> None:
        self.flat = flat
        self.hard = hard
        self.breaks = hard
        self.blank = blank


class Concat:
    """Documents one after another."""

    __slots__ = ("breaks", "parts")

    def __init__(self, parts: Iterable[Doc]) -> None:
        self.parts = list(parts)
        self.breaks: bool = any(map(breaks, self.parts))


class Indent:
    """A document whose lines stand one level further in."""

    __slots__ = ("breaks", "content")

    def __init__(self, content: Doc) -> None:
        self.content = content
        self.breaks: bool = breaks(content)


class Group:
    """A document on one line, or broken at all its own places."""

    __slots__ = ("breaks", "content")

    def __init__(self, content: Doc, *, broken: bool = False) -> None:
        self.content = content
        self.breaks: bool = broken or breaks(content)


class Hugging:
    """Either `content` as a group, or all on one line but its last group, `tail`.

    Attributes:
        content: All broken; also the way it is written on one line.
        hugged: The same text without the places of the outer group.
        tail: The group inside that breaks when `hugged` is chosen.
    """

    __slots__ = ("breaks", "content", "hugged", "tail")

    def __init__(self, content: Doc, hugged: Doc, tail: Group) -> None:
        self.content = content
        self.hugged = hugged
        self.tail = tail
        self.breaks: bool = breaks(content)


class Suffix:
    """A comment at the end of a line; a place where that ends follows.

    Attributes:
        column: Where it stood on its line, 0-based.
        room: How much white space stood before it.
    """

    __slots__ = ("breaks", "column", "room", "takes_line", "text")

    def __init__(self, text: str, column: int, room: int) -> None:
        self.text = text
        self.takes_line = text.startswith("//")
        self.breaks = True
        self.column = column
        self.room = room


class Inline:
    """A `/* */` comment between two tokens, with the space after it."""

    __slots__ = ("breaks", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.breaks = False


Doc = str | Line | Concat | Indent | Group | Hugging | Suffix | Inline


def breaks(doc: Doc) -> bool:
    """Whether a document cannot stand on one line."""
    return not isinstance(doc, str) and doc.breaks


class _Place(NamedTuple):
    """Where a comment follows code.

    Attributes:
        piece: Place of the space before it among the pieces of the output.
        line: Its line.
        width: Columns of the code before it.
        suffix: The comment.
    """

    piece: int
    line: int
    width: int
    suffix: Suffix


class Printer:
    """Lays one document out."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._out: list[str] = []
        self._column = 0
        self._suffixes: list[Suffix] = []
        self._line_number = 0
        self._places: list[_Place] = []

    def run(self, doc: Doc) -> str:
        """The text."""
        stack: list[tuple[int, bool, Doc]] = [(0, False, doc)]  # indentation, flat, document
        while stack:
            indent, flat, item = stack.pop()
            kind = type(item)
            if kind is str:
                self._write(item)  # type: ignore[arg-type]
            elif kind is Line:
                self._line(item, indent, flat)  # type: ignore[arg-type]
            else:
                self._expand(item, indent, flat, stack)
        self._flush(0)
        _align(self._places, self._out)
        return "".join(self._out)

    def _expand(self, item: Any, indent: int, flat: bool, stack: list[Any]) -> None:
        match item:
            case Concat(parts=parts):
                stack += [(indent, flat, part) for part in reversed(parts)]
            case Indent(content=content):
                stack.append((indent + INDENT, flat, content))
            case Group(content=content, breaks=broken):
                fits = flat or (not broken and self._fits(content, indent, stack))
                stack.append((indent, fits, content))
            case Hugging():
                self._hug(item, indent, flat, stack)
            case Suffix():
                self._suffixes.append(item)
            case Inline(text=text):
                self._write(text)

    def _hug(self, item: Hugging, indent: int, flat: bool, stack: list[Any]) -> None:
        if flat or (not item.breaks and self._fits(item.content, indent, stack)):
            stack.append((indent, True, item.content))
        elif self._fits(item.hugged, indent, [], item.tail):
            item.tail.breaks = True
            stack.append((indent, False, item.hugged))
        else:
            stack.append((indent, False, item.content))

    def _write(self, text: str) -> None:
        self._out.append(text)
        at = text.rfind("\n")
        if at < 0:
            self._column += len(text)
        else:
            self._column = len(text) - at - 1
            self._line_number += text.count("\n")

    def _line(self, line: Line, indent: int, flat: bool) -> None:
        if flat and not line.hard:
            self._write(line.flat)
            return
        self._flush(indent)
        self._end_line()
        self._out.append("\n" * (1 + line.blank) + " " * indent)
        self._line_number += 1 + line.blank
        self._column = indent

    def _end_line(self) -> None:
        """No line ends in spaces; the text of a program never does either."""
        out = self._out
        while out:
            text = out[-1].rstrip(" ")
            self._column -= len(out[-1]) - len(text)
            out[-1] = text
            if text:
                break
            out.pop()

    def _flush(self, indent: int) -> None:
        """Write the comments of this line; what does not fit beside `//` goes on the next ones."""
        pending, self._suffixes = self._suffixes, []
        separator = COMMENT_GAP
        for suffix in pending:
            self._end_line()
            if separator == COMMENT_GAP:
                self._places.append(_Place(len(self._out), self._line_number, self._column, suffix))
                self._out.append(separator)
            else:
                self._out.append(separator)
                self._line_number += separator.count("\n")
            self._out.append(suffix.text)
            self._line_number += suffix.text.count("\n")
            separator = "\n" + " " * indent if suffix.takes_line else " "

    def _fits(self, doc: Doc, indent: int, rest: list[Any], tail: Group | None = None) -> bool:
        """Whether a document on one line, and what follows up to the next line end, fits.

        With `tail`, the line ends where that group breaks.
        """
        room = self._width - self._column
        after = len(rest)
        stack: list[tuple[bool, Any]] = [(True, doc)]
        while room >= 0:
            if not stack:
                if not after:
                    return True
                after -= 1
                _, flat, item = rest[after]
            else:
                flat, item = stack.pop()
            kind = type(item)
            if kind is str:
                at = item.find("\n")
                if at >= 0:
                    return bool(room >= at)
                room -= len(item)
            elif kind is Line:
                if item.hard or not flat:
                    return tail is None or not flat
                room -= len(item.flat)
            elif kind is Concat:
                stack += [(flat, part) for part in reversed(item.parts)]
            elif kind is Group:
                is_flat = item is not tail if tail else flat and not item.breaks
                stack.append((is_flat, item.content))
            elif kind is Inline:
                at = item.text.find("\n")
                if at >= 0:
                    return bool(room >= at)
                room -= len(item.text)
            elif kind is not Suffix:
                stack.append((flat, item.content))
        return False


def _align(places: list[_Place], out: list[str]) -> None:
    """Keep comments below each other that were so: on neighbouring lines, at one column."""
    start = 0
    for end in range(1, len(places) + 1):
        if end < len(places):
            before, place = places[end - 1], places[end]
            if place.line == before.line + 1 and place.suffix.column == before.suffix.column:
                continue
        run = places[start:end]
        start = end
        least = _ALIGNED_GAP if len(run) > 1 else len(COMMENT_GAP)
        width = max(place.width for place in run)
        column = width + len(COMMENT_GAP)
        if run[0].suffix.column - width >= least and (len(run) > 1 or run[0].suffix.room >= least):
            column = run[0].suffix.column
        for place in run:
            if place.suffix.column:
                out[place.piece] = " " * (column - place.width)
