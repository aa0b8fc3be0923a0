"""Values of expressions that are known before a program runs."""

from __future__ import annotations

from flinfast.lang import ast
from flinfast.lang.abi import Value


class NotConstantError(Exception):
    """An expression has no value before the program runs."""


def constant(node: ast.Expr) -> Value:
    """Value of a literal, a negated literal or a list of such.

    Raises:
        NotConstantError: It is anything else.
    """
    if isinstance(node, ast.Literal):
        return node.value
    if isinstance(node, ast.Unary) and node.operator == "-":
        value = constant(node.operand)
        if type(value) in (int, float):
            return -value
    if isinstance(node, ast.ListLiteral) and not any(item.spread for item in node.items):
        return tuple(constant(item.value) for item in node.items)
    raise NotConstantError
