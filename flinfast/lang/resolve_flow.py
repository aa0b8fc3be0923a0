"""Checks of what runs and what is used: unreachable statements, unused variables, tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flinfast.lang import ast
from flinfast.lang.report import Note
from flinfast.lang.source import Span

if TYPE_CHECKING:
    from flinfast.lang.resolve import Resolver


def statements(self: Resolver, block: ast.Block) -> None:
    """Resolve the statements of a block in the present scope; warns about those after its end."""
    ended = False
    for statement in block.statements:
        if ended:
            self.warning("FL214", "this can never run", statement.span, "after the end")
        self.visit(statement)
        ended = not ended and isinstance(statement, ast.Return | ast.Break | ast.Continue)


def warn_unused(self: Resolver) -> None:
    """Warn about variables of the file that are assigned and never read."""
    for variable in self.file.variables:
        if variable.role not in ("assigned", "let", "const") or variable.reads:
            continue
        if not variable.name.startswith("_"):
            self.warning(
                "FL213",
                f"variable `{variable.name}` is never read",
                variable.span,
                "assigned here",
                help=f"remove it, or call it `_{variable.name}`",
            )


def test(self: Resolver, node: ast.TestDecl) -> None:
    """`test "name" { ... }`: its name is its own, its body runs without a request."""
    start = node.span.start + len("test ")
    span = Span(start, start + len(node.name) + len('""'))
    first = self.tests.setdefault(node.name, span)
    if first is not span:
        notes = [Note("first declared here", self.file.source, first)]
        self.error("FL216", f"test `{node.name}` is declared twice", span, "again", notes=notes)
    with self.function("test", f"test {node.name}", node):
        self.visit(node.body)
