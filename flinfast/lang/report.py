"""Collects the faults of one compilation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from flinfast.lang.diagnostic import Diagnostic, Note, suggest
from flinfast.lang.program import FAULTS_MAX
from flinfast.lang.source import Source, Span
from flinfast.lang.vocabulary import FOREIGN

_OF_NAMES = frozenset({"FL202", "FL203", "FL204"})  # codes of unknown names, functions, entities


class Report:
    """The diagnostics found so far; one place is reported once per code."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
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
        near = "" if self.is_full or foreign else suggest(name, candidates)
        self.error(
            code,
            f"unknown {what} `{name}`",
            source,
            span,
            label or f"no {what} has this name",
            help=f"did you mean `{near}`?" if near else foreign or help,
        )

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
        if place in self._seen:
            return
        self._seen.add(place)
        self.diagnostics.append(
            Diagnostic(code, message, source, span, label, help, tuple(notes), severity)
        )


__all__ = ["Note", "Report"]
