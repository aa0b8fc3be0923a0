"""Checks across functions: whether a handler has what the functions it calls need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flinfast.lang.report import Note, Report
from flinfast.lang.source import Source
from flinfast.lang.symbol import AVAILABLE, FileNames, FunctionScope, FunctionSymbol

FILE_LEVEL_HELP: Final = "file-level code runs once, when the file is loaded: use it in a handler"
_CONTEXT_HELP: Final = {
    ("ws", "body"): "a message is the parameter of `on message(data)`",
    ("ws", "response"): "answer with `ws_send(ws.connection_id, data)`",
    ("file", ""): FILE_LEVEL_HELP,
    ("default", ""): "set the field where the record is made",
}
_KIND_TITLES: Final = {
    "route": "route handlers",
    "ws": "`ws` handlers",
    "middleware": "middleware",
    "function": "functions",
}


def where_available(kind: str, name: str) -> str:
    """What to do about a context name that code of this kind does not have, or ""."""
    help = _CONTEXT_HELP.get((kind, name)) or _CONTEXT_HELP.get((kind, ""))
    having = [other for other, names in AVAILABLE.items() if name in names]
    if help or len(having) > 3:
        return help or ""
    return f"it exists in {_KIND_TITLES[having[0]]} only"


def check_needs(files: Iterable[FileNames], report: Report) -> None:
    """Report handlers that call functions which need what the handlers do not have."""
    files = list(files)
    _spread_needs([f for file in files for f in (*file.functions.values(), *file.guards.values())])
    for file in files:
        for scope in file.roots:
            if scope.kind not in ("function", "definition"):
                _check_edges(scope, file.source, report)


def _check_edges(scope: FunctionScope, source: Source, report: Report) -> None:
    for symbol, span in scope.edges:
        missing = sorted(set(symbol.needs) - AVAILABLE[scope.kind])
        if missing:
            place, where = symbol.needs[missing[0]]
            title = "file level" if scope.kind == "file" else f"`{scope.title}`"
            report.error(
                "FL310",
                f"`{symbol.name}` uses `{missing[0]}`, which {title} does not have",
                source,
                span,
                "used here",
                notes=[Note(f"`{missing[0]}` is used here", where, place)],
            )


def _spread_needs(functions: list[FunctionSymbol]) -> None:
    for symbol in functions:
        if symbol.scope is not None:
            symbol.needs = {n: (span, symbol.source) for n, span in symbol.scope.needs.items()}
    changed = True
    while changed:
        changed = False
        for symbol in functions:
            for callee, _ in symbol.scope.edges if symbol.scope is not None else ():
                for name, place in callee.needs.items():
                    if name not in symbol.needs:
                        symbol.needs[name] = place
                        changed = True
