"""Source files and spans; no I/O: text is handed in."""

from __future__ import annotations

from bisect import bisect_right

from msgspec import Struct, field

SOURCE_BYTES_MAX = 4 << 20  # a .flin file beyond this is refused (FL901); hand-written ones are KBs


class Span(Struct, frozen=True, gc=False):  # two numbers: nothing to collect
    """A stretch of source text.

    Attributes:
        start: Offset of its first character, 0-based, in code points.
        end: Offset after its last character; `start <= end`.
    """

    start: int
    end: int

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of the other."""
        return Span(self.start, max(self.end, other.end))


class Source(Struct):
    """One file's text and where its lines start.

    Attributes:
        path: As shown to people, relative to the project root, with forward slashes.
        text: The whole file.
    """

    path: str
    text: str
    _line_starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        starts = [0]
        find = self.text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        self._line_starts = starts

    def line_of(self, offset: int) -> int:
        """1-based line of an offset."""
        return bisect_right(self._line_starts, offset)

    def position(self, offset: int) -> tuple[int, int]:
        """1-based line and column (in characters) of an offset."""
        line = self.line_of(offset)
        return line, offset - self._line_starts[line - 1] + 1

    def extent(self, span: Span) -> tuple[int, int, int, int]:
        """Line (1-based) and column (0-based, in characters) of a span's start and of its end."""
        starts = self._line_starts
        line = end_line = bisect_right(starts, span.start)
        if line < len(starts) and span.end >= starts[line]:
            end_line = bisect_right(starts, span.end)
        return line, span.start - starts[line - 1], end_line, span.end - starts[end_line - 1]

    def line_text(self, line: int) -> str:
        """Text of a 1-based line without its line break."""
        start = self._line_starts[line - 1]
        end = self.text.find("\n", start)
        return (self.text[start:] if end < 0 else self.text[start:end]).rstrip("\r")

    def span_of_line(self, line: int) -> Span:
        """What is written on a 1-based line, without its indentation."""
        text = self.line_text(line)
        start = self._line_starts[line - 1]
        return Span(start + len(text) - len(text.lstrip()), start + len(text.rstrip()))
