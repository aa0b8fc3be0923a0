"""A tree-walking evaluator of expressions, as the oracle for compiled code. Nothing like it ships.

It knows no kinds and no fast paths: every operator goes to the runtime's operators, operands are
evaluated from left to right, and a fault is whatever they raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flinfast.lang import ast
from flinfast.lang.abi import Operators

_BINARY = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "%": "mod",
    "**": "pow",
    "++": "concat",
}


class Evaluator:
    """Evaluates expressions over an environment."""

    def __init__(self, ops: Operators, names: Mapping[str, Any]) -> None:
        self.ops = ops
        self.names = dict(names)

    def value(self, node: ast.Expr) -> Any:
        rule = getattr(self, f"_{type(node).__name__}")
        return rule(node)

    def _Literal(self, node: ast.Literal) -> Any:  # noqa: N802 - named like the node
        return node.value

    def _Interpolation(self, node: ast.Interpolation) -> Any:  # noqa: N802
        parts = [p if isinstance(p, str) else self.ops.to_text(self.value(p)) for p in node.parts]
        return "".join(parts)

    def _Name(self, node: ast.Name) -> Any:  # noqa: N802
        return self.names[node.name]

    def _Member(self, node: ast.Member) -> Any:  # noqa: N802
        operator = self.ops.member_optional if node.optional else self.ops.member
        return operator(self.value(node.target), node.name)

    def _Index(self, node: ast.Index) -> Any:  # noqa: N802
        target = self.value(node.target)
        return self.ops.index(target, self.value(node.key))

    def _Slice(self, node: ast.Slice) -> Any:  # noqa: N802
        target = self.value(node.target)
        bounds = [None if b is None else self.value(b) for b in (node.start, node.stop, node.step)]
        return self.ops.slice(target, *bounds)

    def _ListLiteral(self, node: ast.ListLiteral) -> Any:  # noqa: N802
        found: list[Any] = []
        for item in node.items:
            value = self.value(item.value)
            if item.spread:
                self.ops.spread_list(found, value)
            else:
                found.append(value)
        return found

    def _MapLiteral(self, node: ast.MapLiteral) -> Any:  # noqa: N802
        found: dict[str, Any] = {}
        for entry in node.entries:
            value = self.value(entry.value)
            if entry.key is None:
                self.ops.spread_map(found, value)
            else:
                assert isinstance(entry.key, str)
                found[entry.key] = value
        return found

    def _Unary(self, node: ast.Unary) -> Any:  # noqa: N802
        value = self.value(node.operand)
        return not self.ops.truthy(value) if node.operator == "!" else self.ops.neg(value)

    def _Conditional(self, node: ast.Conditional) -> Any:  # noqa: N802
        chosen = node.then if self.ops.truthy(self.value(node.condition)) else node.otherwise
        return self.value(chosen)

    def _IfExpr(self, node: ast.IfExpr) -> Any:  # noqa: N802
        if self.ops.truthy(self.value(node.condition)):
            return self.block(node.then)
        if isinstance(node.otherwise, ast.Block):
            return self.block(node.otherwise)
        return None if node.otherwise is None else self.value(node.otherwise)

    def block(self, node: ast.Block) -> Any:
        result = None
        for statement in node.statements:
            result = None
            if isinstance(statement, ast.Assign):
                assert isinstance(statement.target, ast.Name)
                self.names[statement.target.name] = self.value(statement.value)
            else:
                assert isinstance(statement, ast.ExprStatement)
                result = self.value(statement.value)
        return result

    def _Binary(self, node: ast.Binary) -> Any:  # noqa: N802
        operator, ops = node.operator, self.ops
        left = self.value(node.left)
        if operator == "&&":
            return self.value(node.right) if ops.truthy(left) else left
        if operator == "||":
            return left if ops.truthy(left) else self.value(node.right)
        if operator == "??":
            return self.value(node.right) if left is None else left
        right = self.value(node.right)
        if operator in _BINARY:
            return getattr(ops, _BINARY[operator])(left, right)
        if operator in ("==", "!="):
            return ops.eq(left, right) == (operator == "==")
        if operator in ("in", "not_in"):
            return ops.contains(left, right) == (operator == "in")
        if operator in ("<", "<="):
            return (ops.lt if operator == "<" else ops.le)(left, right)
        return (ops.lt if operator == ">" else ops.le)(right, left)
