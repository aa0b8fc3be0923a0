"""Arguments of calls that are judged when they run."""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Mapping, Sequence

from flinfast.lang import ast, lower_method
from flinfast.lang.lower_base import CONTEXT, Lowering
from flinfast.lang.types import LIST

Maker = Callable[[], py.expr]


def packed(
    self: Lowering,
    before: Sequence[Maker],
    arguments: Sequence[ast.Argument],
    makers: Mapping[int, Maker] | None = None,
) -> tuple[list[py.expr], py.expr, py.expr]:
    """What comes first, the positional arguments as a tuple, the named ones as a dict."""
    made = [*before, *(_maker(self, a, (makers or {}).get(i)) for i, a in enumerate(arguments))]
    values = self.in_order(made)
    first, rest = values[: len(before)], values[len(before) :]
    args: list[py.expr] = []
    named: dict[str, py.expr] = {}
    for argument, value in zip(arguments, rest, strict=True):
        if argument.spread:
            args.append(_spread(self, argument.value, value))
        elif argument.name is not None:
            named[argument.name] = value
        else:
            args.append(value)
    return first, self.row(args), self.mapping(named)


def _maker(self: Lowering, argument: ast.Argument, other: Maker | None) -> Maker:
    return other or (lambda: self.expr(argument.value))


def _spread(self: Lowering, node: ast.Expr, value: py.expr) -> py.expr:
    if self.kinds.of(node) != LIST:
        value = self.call(self.support_of_ops("list_items"), value)
    return py.Starred(value, py.Load(), **self.place)


def call_method(
    self: Lowering,
    target: Maker,
    name: str,
    arguments: Sequence[ast.Argument],
    makers: Mapping[int, Maker] | None = None,
) -> py.expr:
    """`target.name(arguments)` of a value of any kind."""
    if not any(a.spread or a.name is not None for a in arguments):
        makers = makers or {}
        values = [_maker(self, a, makers.get(i)) for i, a in enumerate(arguments)]
        value, *rest = self.in_order([target, *values])
        function = lower_method.method(self, name, len(rest))
        return self.call(function, self.load(CONTEXT), value, *rest)
    first, args, named = packed(self, [target], arguments, makers)
    operator = self.op("call_method")
    return self.call(operator, self.load(CONTEXT), *first, self.const(name), args, named)
