"""Collects the faults of one compilation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from flinfast.lang.diagnostic import Diagnostic, Note, suggest
from flinfast.lang.program import FAULTS_MAX
from flinfast.lang.source import Source, Span
from flinfast.lang.vocabulary import FOREIGN

_OF_NAMES = frozenset({"FL202", "FL203", "FL204"})  # codes of unknown names, functions, entities

_VALUES = frozenset({"True", "False", "None", "undefined", "void"})  # of other languages
# A keyword stands before a word or a bracket; an operator or an end stands after a value.
_AFTER_KEYWORD = re.compile(r"[ \t]+(?!(?:in|is|and|or|not|as|then)\b)[\w\"'`{\[]")


class Report:
    """The diagnostics found so far; one place is reported once per code."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._muted: list[tuple[str, int, int]] = []  # path, start and end of parts of lines
        self._seen: set[tuple[str, str, int]] = set()

    @property
    def has_errors(self) -> bool:
        """Whether the program must not be run."""
        return any(d.severity == "error" for d in self.diagnostics)

    @property
    def is_full(self) -> bool:
        """Whether there are more faults than anybody is shown: no work on advice is worth it."""
        return len(self.diagnostics) > FAULTS_MAX

    def error(
        self,
        code: str,
        message: str,
        source: Source,
        span: Span,
        label: str = "",
        *,
        help: str = "",
        notes: Iterable[Note] = (),
    ) -> None:
        """Add a fault that stops the program from loading."""
        self._add("error", code, message, source, span, label, help, notes)

    def warning(
        self,
        code: str,
        message: str,
        source: Source,
        span: Span,
        label: str = "",
        *,
        help: str = "",
    ) -> None:
        """Add something that is probably not meant."""
        self._add("warning", code, message, source, span, label, help, ())

    def unknown(
        self,
        code: str,
        what: str,
        name: str,
        source: Source,
        span: Span,
        candidates: Iterable[str],
        *,
        label: str = "",
        help: str = "",
    ) -> None:
        """Add "unknown <what> `name`", with a word for newcomers or the closest candidate as help.

        Args:
            code: Code of the diagnostic.
            what: Noun, such as "guard".
            name: As written.
            source: The file.
            span: The name.
            candidates: What could have been meant.
            label: Text beside the carets.
            help: Used when nothing is close.
        """
        foreign = FOREIGN.get(name, "") if code in _OF_NAMES else ""
        if self._is_muted(source, span):
            return
        if foreign and name not in _VALUES:
            self._mute(source, span)
        near = "" if self.is_full or foreign else suggest(name, candidates)
        self.error(
            code,
            f"unknown {what} `{name}`",
            source,
            span,
            label or f"no {what} has this name",
            help=f"did you mean `{near}`?" if near else foreign or help,
        )

    def _mute(self, source: Source, span: Span) -> None:
        """What follows a keyword of another language on its line is no fault of its own."""
        if _AFTER_KEYWORD.match(source.text, span.end):
            end = source.text.find("\n", span.end)
            self._muted.append((source.path, span.end, end if end >= 0 else len(source.text)))

    def _is_muted(self, source: Source, span: Span) -> bool:
        place = span.start
        return any(path == source.path and start <= place < end for path, start, end in self._muted)

    def _add(
        self,
        severity: Literal["error", "warning"],
        code: str,
        message: str,
        source: Source,
        span: Span,
        label: str,
        help: str,
        notes: Iterable[Any],
    ) -> None:
        place = (code, source.path, span.start)
        if place in self._seen or (code in _OF_NAMES and self._is_muted(source, span)):
            return
        self._seen.add(place)
        self.diagnostics.append(
            Diagnostic(code, message, source, span, label, help, tuple(notes), severity)
        )


__all__ = ["Note", "Report"]
