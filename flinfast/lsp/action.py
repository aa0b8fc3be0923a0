"""Edits that put a diagnostic right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.source import Span

_INSTEAD: Final = re.compile(r"write `([^`]+)`")
_MEANT: Final = re.compile(r"did you mean `([^`]+)`\?")


@dataclass(frozen=True, slots=True)
class Fix:
    """One edit.

    Attributes:
        title: What it does, as a menu shows it.
        span: What is replaced.
        text: By what.
        is_preferred: Whether it is certainly what was meant.
    """

    title: str
    span: Span
    text: str
    is_preferred: bool = True


def fixes_of(diagnostic: Diagnostic) -> list[Fix]:
    """Edits for one diagnostic, none when nobody can know what was meant."""
    span = diagnostic.span
    written = diagnostic.source.text[span.start : span.end]
    meant = _MEANT.search(diagnostic.help)
    if meant is not None and "\n" not in written:
        return [Fix(f"Change to `{meant[1]}`", span, meant[1])]
    instead = _INSTEAD.fullmatch(diagnostic.help)
    if diagnostic.code == "FL119" and instead is not None and "..." not in instead[1]:
        return [Fix(f"Change to `{instead[1]}`", span, instead[1])]
    if diagnostic.code == "FL107" and written == "=":
        return [Fix("Compare with `==`", span, "==")]
    if diagnostic.code == "FL012" and written in ("===", "!=="):
        return [Fix(f"Change to `{written[:2]}`", span, written[:2])]
    if diagnostic.code == "FL213" and written.isidentifier():
        return [Fix(f"Rename to `_{written}`", span, f"_{written}", is_preferred=False)]
    if diagnostic.code == "FL001" and written in ("&", "\u201c", "\u201d", "\u2018", "\u2019"):
        plain = {"&": "&&", "\u201c": '"', "\u201d": '"'}.get(written, "'")
        return [Fix(f"Change to `{plain}`", span, plain)]
    return []
