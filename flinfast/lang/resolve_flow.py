"""Checks of what runs and what is used: unreachable statements, unused variables, tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flinfast.lang import ast
from flinfast.lang.report import Note
from flinfast.lang.source import Span
from flinfast.lang.symbol import walk

if TYPE_CHECKING:
    from flinfast.lang.resolve import Resolver


def statements(self: Resolver, block: ast.Block) -> None:
    """Resolve the statements of a block in the present scope; warns about those after its end."""
    ended = False
    for statement in block.statements:
        if ended:
            self.warning("FL214", "this can never run", statement.span, "after the end")
        self.visit(statement)
        ended = not ended and ends(statement)


def ends(statement: ast.Statement) -> bool:
    """Whether nothing after a statement runs: it jumps, or every way through it does."""
    if isinstance(statement, ast.Return | ast.Break | ast.Continue):
        return True
    if isinstance(statement, ast.While):
        is_endless = isinstance(statement.condition, ast.Literal) and statement.condition.value
        return bool(is_endless) and not any(isinstance(n, ast.Break) for n in walk(statement.body))
    return isinstance(statement, ast.ExprStatement) and _value_ends(statement.value)


def _value_ends(value: ast.Expr) -> bool:
    if isinstance(value, ast.IfExpr):
        branch = value.otherwise
        if branch is None or not _block_ends(value.then):
            return False
        return _block_ends(branch) if isinstance(branch, ast.Block) else _value_ends(branch)
    if isinstance(value, ast.Match):
        bodies = [arm.body for arm in value.arms]
        is_total = any(isinstance(p, ast.WildcardPattern) for a in value.arms for p in a.patterns)
        return is_total and all(isinstance(b, ast.Block) and _block_ends(b) for b in bodies)
    return isinstance(value, ast.BlockExpr) and _block_ends(value.block)


def _block_ends(block: ast.Block) -> bool:
    return any(ends(statement) for statement in block.statements)


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
