"""Faults of flinfast.toml as diagnostics with a place."""

from __future__ import annotations

import re
from pathlib import Path

from flinfast.errors import ConfigError
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.source import Source, Span
from flinfast.server.config import CONFIG_FILE, load


def setting_faults(root: Path) -> tuple[Diagnostic, ...]:
    """What is wrong with the settings of a project, at most one fault.

    Variables of the editor's environment do not count: the program runs in another one.
    """
    try:
        text = (root / CONFIG_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    try:
        load(root, environ={})
    except ConfigError as error:
        source = Source(CONFIG_FILE, text)
        path = error.path.partition(" (")[0]  # without the name of the file
        table, _, name = path.rpartition(".")
        return (
            Diagnostic(
                getattr(error, "code", "FL905"),
                str(error),
                source,
                _place(source, str(error), table, name),
                "",
                help=error.hint.replace(f"`{table}.", "`") if table else error.hint,
            ),
        )
    return ()


def _place(source: Source, message: str, table: str, name: str) -> Span:
    """The key, the head of its table, or the line that the TOML reader names."""
    text = source.text
    start = 0
    if table:
        head = re.search(rf"^[ \t]*\[{re.escape(table)}\]", text, re.MULTILINE)
        start = head.end() if head is not None else 0
    key = re.compile(rf"^[ \t]*\[?\"?({re.escape(name)})\b", re.MULTILINE)
    found = key.search(text, start) if name else None
    if found is not None:
        return Span(found.start(1), found.end(1))
    line = re.search(r"at line (\d+)", message)
    number = min(int(line[1]), text.count("\n") + 1) if line is not None else 1
    begin = sum(len(part) + 1 for part in text.split("\n")[: number - 1])
    return Span(begin, begin + len(source.line_text(number)))
