"""Diagnostics about FLIN source: data first, text last.

Not for run-time failures: those are exceptions (`flinfast.errors.RuntimeFault`), although the
runtime uses `render` to show where one happened. Rules: every diagnostic has a code of
`lang.catalog`; `render` is the only place that lays one out; its frame is ASCII, and colour only
repeats what the text says.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct

from flinfast.lang.source import Source, Span

DIAGNOSTICS_MAX = 100  # per file: nobody reads more, and hostile input could cause millions
_TAB_COLUMNS = 4  # tab stops in rendered lines
_LINE_COLUMNS_MAX = 160  # longer lines are shown as a window around the span
_LINE_CONTEXT = 60  # columns kept before the span in such a window

_BOLD, _RED, _YELLOW, _BLUE, _OFF = "\x1b[1m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[0m"


class Note(Struct, frozen=True):
    """A second place that matters, such as the bracket that was never closed.

    Attributes:
        message: What is there, in the form of `Diagnostic.message`.
        source: File of the span.
        span: The place.
    """

    message: str
    source: Source
    span: Span


class Diagnostic(Struct, frozen=True):
    """One fault in FLIN source.

    Attributes:
        code: A key of `lang.catalog.CATALOG`, such as "FL201".
        message: What is wrong, lower-case, without a final period.
        source: The file.
        span: Smallest stretch of text that shows the fault.
        label: A few words written beside the carets (or "").
        help: What to do about it (or "").
        notes: Other places that matter.
        severity: An "error" stops the program from loading, a "warning" does not.
    """

    code: str
    message: str
    source: Source
    span: Span
    label: str
    help: str = ""
    notes: tuple[Note, ...] = ()
    severity: Literal["error", "warning"] = "error"

    def to_map(self) -> dict[str, Any]:
        """The JSON form; lines and columns are 1-based, columns count characters."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            **_place(self.source, self.span),
            "label": self.label,
            "help": self.help,
            "notes": [
                {"message": note.message, **_place(note.source, note.span)} for note in self.notes
            ],
        }


def render(diagnostics: Iterable[Diagnostic], *, color: bool) -> str:
    """Lay diagnostics out as text for people.

    Args:
        diagnostics: Shown in the order given.
        color: Whether to add ANSI colours; the text is the same without them.

    Returns:
        The text, one blank line between diagnostics, ending in a line break; "" for none.
    """
    return "\n".join(_render_one(diagnostic, color) for diagnostic in diagnostics)


def suggest(word: str, candidates: Iterable[str]) -> str:
    """The candidate a misspelt word most likely meant, or "".

    A difference of letter case alone wins; otherwise the closest candidate whose edits are at most
    a third of the word's length (at least one edit is allowed for words of two letters and more).
    """
    names = sorted(set(candidates) - {word})
    folded = word.casefold()
    for name in names:
        if name.casefold() == folded:
            return name
    limit = max(len(word) // 3, 1)
    best, best_edits = "", limit + 1
    for name in names:
        if abs(len(name) - len(word)) <= limit and len(word) > 1:
            edits = _edit_distance(folded, name.casefold(), limit)
            if edits < best_edits:
                best, best_edits = name, edits
    return best


def _edit_distance(left: str, right: str, limit: int) -> int:
    """Insertions, deletions, replacements and swaps of neighbours; `limit + 1` when more."""
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        current = [i]
        for j, b in enumerate(right, 1):
            cost = min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return previous[-1]


def _place(source: Source, span: Span) -> dict[str, Any]:
    line, column = source.position(span.start)
    end_line, end_column = source.position(span.end)
    return {
        "path": source.path,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _render_one(diagnostic: Diagnostic, color: bool) -> str:
    places = [(diagnostic.source, diagnostic.span)]
    places += [(note.source, note.span) for note in diagnostic.notes]
    width = max(len(str(source.line_of(span.start))) for source, span in places)
    tint = (_RED if diagnostic.severity == "error" else _YELLOW) if color else ""
    bold, frame, off = (_BOLD, _BLUE, _OFF) if color else ("", "", "")
    title = f"{diagnostic.severity}[{diagnostic.code}]"
    lines = [f"{tint}{title}{off}{bold}: {_printable(diagnostic.message)}{off}"]
    lines += _snippet(diagnostic.source, diagnostic.span, diagnostic.label, width, tint, color)
    for note in diagnostic.notes:
        lines.append(f"{frame}note{off}: {_printable(note.message)}")
        lines += _snippet(note.source, note.span, "", width, frame, color)
    margin = " " * (width + 1)
    if diagnostic.help:
        lines.append(f"{margin}{frame}={off} help: {_printable(diagnostic.help)}")
    lines.append(f"{margin}{frame}={off} docs: flinfast explain {diagnostic.code}")
    return "\n".join(lines) + "\n"


def _snippet(
    source: Source, span: Span, label: str, width: int, tint: str, color: bool
) -> list[str]:
    """The arrow, the line of the span and the carets under it."""
    frame, off = (_BLUE, _OFF) if color else ("", "")
    line, column = source.position(span.start)
    text, start, stop = _window(source.line_text(line), column - 1, span.end - span.start)
    margin = " " * width
    carets = " " * start + tint + "^" * (stop - start) + (f" {label}" if label else "") + off
    empty = f"{margin} {frame}|{off}"
    return [
        f"{margin}{frame}-->{off} {_printable(source.path)}:{line}:{column}",
        empty,
        f"{frame}{line:>{width}} |{off} {text}".rstrip(),
        f"{empty} {carets}",
        empty,
    ]


def _window(text: str, start: int, length: int) -> tuple[str, int, int]:
    """A line as shown, and the display columns of the span in it.

    Tabs are expanded, control characters replaced, wide characters counted as two columns; a long
    line is cut to the neighbourhood of the span.
    """
    shown: list[str] = []
    first = max(0, start - _LINE_CONTEXT) if len(text) > _LINE_COLUMNS_MAX else 0
    column = 0
    if first:
        shown.append("...")
        column = 3
    caret_start = caret_stop = -1
    last = min(len(text), first + _LINE_COLUMNS_MAX)
    for index in range(first, last):
        if index == start:
            caret_start = column
        character = text[index]
        if character == "\t":
            character = " " * (_TAB_COLUMNS - column % _TAB_COLUMNS)
        shown.append(_printable(character))
        column += len(character) if len(character) > 1 else _columns(character)
        if start <= index < start + length:
            caret_stop = column
    if last < len(text):
        shown.append("...")
    if caret_start < 0:
        caret_start = column
    return "".join(shown), caret_start, max(caret_stop, caret_start + 1)


def _columns(character: str) -> int:
    """Columns a terminal gives a printable character."""
    if character.isascii():
        return 1
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _printable(text: str) -> str:
    """Text that cannot steer a terminal: control characters and half characters become `?`."""
    if text.isprintable():
        return text
    return "".join(c if c == " " or c.isprintable() else "?" for c in text)
