"""Trees as short text, so that tests of the grammar can be read.

`shape("a + b * c")` is "(+ a (* b c))"; the full tree is compared where spans or fields matter.
"""

from typing import Any

from msgspec.structs import astuple

from flinfast.lang import ast
from flinfast.lang.parser import parse
from flinfast.lang.source import Source, Span

_CONSTANTS = {"True": "true", "False": "false", "None": "none"}


def program(text: str) -> ast.Program:
    """The tree of a program without faults."""
    tree, diagnostics = parse(Source("test.flin", text))
    assert not diagnostics, [(d.code, d.message, d.span) for d in diagnostics]
    return tree


def codes(text: str) -> list[str]:
    """Codes of the diagnostics of a program."""
    return [diagnostic.code for diagnostic in parse(Source("test.flin", text))[1]]


def shape(text: str) -> str:
    """The statements and declarations of a program, separated by `; `."""
    return "; ".join(show(item) for item in program(text).items)


def show(node: Any) -> str:
    """One node, or one value inside a node, as short text."""
    match node:
        case ast.Literal(value=value) | ast.LiteralPattern(value=value):
            return _CONSTANTS.get(repr(value), repr(value))
        case ast.Name(name=name):
            return name
        case ast.ExprStatement(value=value) | ast.Argument(value, None, False):
            return show(value)
        case ast.Interpolation(parts=parts):
            shown = [repr(part) if isinstance(part, str) else show(part) for part in parts]
            return f"(Interpolation {' '.join(shown)})"
        case ast.Member(target=target, name=name, optional=optional):
            return f"{show(target)}{'?.' if optional else '.'}{name}"
        case ast.Call(callee=callee, arguments=arguments):
            return f"{show(callee)}({', '.join(show(a) for a in arguments)})"
        case ast.Binary(operator=operator, left=left, right=right):
            return f"({operator} {show(left)} {show(right)})"
        case ast.Unary(operator=operator, operand=operand):
            return f"({operator} {show(operand)})"
        case ast.Block(statements=statements):
            return "{" + "; ".join(show(s) for s in statements) + "}"
        case tuple():
            return "[" + ", ".join(show(part) for part in node) + "]"
        case ast.Node():
            values = [value for value in astuple(node) if not isinstance(value, Span)]
            while values and not isinstance(values[-1], ast.Node) and not values[-1]:
                values.pop()
            return f"({' '.join([type(node).__name__, *map(show, values)])})"
        case None:
            return "-"
        case bool():
            return "true" if node else "false"
        case str():
            return node or "''"
        case _:
            return repr(node)
