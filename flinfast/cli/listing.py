"""Routes of a compiled program as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flinfast.runtime.loading import Compiled, RouteRow


def rows_of(compiled: Compiled) -> list[RouteRow]:
    """One row per handler, in the order of files and lines; nothing of the program runs."""
    from flinfast.runtime.loading import RouteRow
    from flinfast.runtime.router import pattern_of_text

    rows: list[RouteRow] = []
    for file in compiled.project.files:
        if file.kind != "route" or file.pattern is None:
            continue
        info = compiled.by_path[file.source.path].info
        blocks = [(route.method, route.path, route.line, route.guards) for route in info.routes]
        if info.ws is not None:
            blocks.append(("WS", None, info.ws.line, info.ws.guards))
        for method, operand, line, guards in sorted(blocks, key=lambda block: block[2]):
            pattern = file.pattern if operand is None else pattern_of_text(operand)
            text = ", ".join(guard.source for guard in (*info.guards, *guards))
            rows.append(RouteRow(method, str(pattern), f"{info.path}:{line}", text))
    return rows


def route_lines(rows: Sequence[RouteRow]) -> Iterable[str]:
    """Aligned lines: method, path, place, guards."""
    methods = max((len(row.method) for row in rows), default=0)
    paths = max((len(row.path) for row in rows), default=0)
    places = max((len(row.place) for row in rows), default=0)
    for row in rows:
        guards = f"guard {row.guards}" if row.guards else ""
        line = f"{row.method:{methods}} {row.path:{paths}}   {row.place:{places}}   {guards}"
        yield line.rstrip()
