"""Lowering of texts that are put together: interpolation, `+` and `++`."""

from __future__ import annotations

import ast as py
from collections.abc import Callable
from typing import Final

from flinfast.lang import ast
from flinfast.lang.abi import Value
from flinfast.lang.lower_base import Lowering, Rule
from flinfast.lang.types import TEXT

_QUOTED_MAX: Final = 80  # characters of source text quoted in the message of an expectation


def quoted(self: Lowering, node: ast.Expr) -> str:
    """An expression as written, on one line."""
    text = " ".join(self.file.source.text[node.span.start : node.span.end].split())
    return text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}..."


def interpolation(self: Lowering, node: ast.Interpolation) -> py.expr:
    """`"a {b}"`."""
    makers = [part_maker(self, part) for part in node.parts]
    values = self.in_order(makers)
    return py.JoinedStr([text_value(self, value) for value in values], **self.place)


def part_maker(self: Lowering, part: str | ast.Expr) -> Callable[[], py.expr]:
    """Maker of one part of a text."""
    if isinstance(part, str):
        return lambda: self.const(part)
    return lambda: to_text(self, part)


def text_value(self: Lowering, value: py.expr) -> py.expr:
    """A part of a joined text, whose value is a str."""
    if isinstance(value, py.Constant):
        return value
    return py.FormattedValue(value, -1, None, **self.place)


def to_text(self: Lowering, node: ast.Expr) -> py.expr:
    """`to_text(node)`; a text is itself."""
    if isinstance(node, ast.Literal) and type(node.value) is not float:
        return self.const(_literal_text(node.value))
    value = self.expr(node)
    if self.kinds.of(node) == TEXT:
        return value
    return self.call(self.op("to_text"), value)


def _literal_text(value: Value) -> str:
    if value is None:
        return "none"
    return str(value).lower() if type(value) is bool else str(value)


def join_texts(self: Lowering, node: ast.Binary) -> py.expr:
    """`"a" + b + c` and `a ++ b`: one joined text for the whole chain."""
    parts: list[ast.Expr] = []
    rest: ast.Expr = node
    while isinstance(rest, ast.Binary) and (
        rest.operator == "++" or (rest.operator == "+" and self.kinds.of(rest) == TEXT)
    ):
        parts.append(rest.right)
        if rest.operator == "+" and self.kinds.of(rest.left) != TEXT:
            parts.append(rest.left)
            break
        rest = rest.left
    else:
        parts.append(rest)
    parts.reverse()
    is_sum = len(parts) == 2 and not isinstance(parts[0], ast.Literal)
    values = self.in_order([part_maker(self, part) for part in parts])
    if is_sum:
        return py.BinOp(values[0], py.Add(), values[1], **self.place)
    texts = [text_value(self, value) for value in values]
    return py.JoinedStr(texts, **self.place)


RULES: Final[dict[type, Rule]] = {ast.Interpolation: interpolation}
