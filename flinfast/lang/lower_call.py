"""Lowering of calls: functions, builtins, methods, pipelines."""

from __future__ import annotations

import ast as py
import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from flinfast.lang import ast, lower_each, lower_expr, lower_query
from flinfast.lang.abi import Builtin
from flinfast.lang.lower_argument import Maker, call_method, packed
from flinfast.lang.lower_base import CONTEXT, MESSAGE, Lowering, Rule
from flinfast.lang.lower_function import needs_no_check
from flinfast.lang.lower_method import (
    has_map_form,
    has_text_form,
    map_method,
    size_of,
    text_method,
)
from flinfast.lang.lower_operator import floor_quotient
from flinfast.lang.lower_text import to_text
from flinfast.lang.message import relayed_places
from flinfast.lang.resolve_call import Signature, signature_of
from flinfast.lang.scope import python_name
from flinfast.lang.symbol import (
    ContextSymbol,
    FunctionSymbol,
    Variable,
)
from flinfast.lang.types import ANY, INT, LIST, MAP, NUMBER, SIZE_NAMES, TEXT

_SEND_CURRENT: Final = "_ws_send_current"
# On these kinds `value.name(...)` is the builtin `name` and nothing else.
_PLAIN_KINDS: Final = frozenset({TEXT, INT, NUMBER, LIST})


def call(self: Lowering, node: ast.Call) -> py.expr:
    """`callee(arguments)`."""
    made = _call(self, node)
    self.forget()
    return made


def _call(self: Lowering, node: ast.Call) -> py.expr:
    callee = node.callee
    if isinstance(callee, ast.Name):
        symbol = self.file.symbols.get(id(callee))
        if isinstance(symbol, FunctionSymbol):
            return _function(self, node, symbol)
        if isinstance(symbol, Builtin):
            return builtin(self, symbol, node.arguments)
        if isinstance(symbol, Variable):
            direct = _known_lambda(self, node, symbol)
            if direct is not None:
                return direct
    elif isinstance(callee, ast.Member):
        symbol = self.file.symbols.get(id(callee))
        if isinstance(symbol, Builtin):
            return builtin(self, symbol, node.arguments)
        return _method(self, node, callee)
    return _dynamic(self, lambda: self.expr(callee), node.arguments)


def pipe(self: Lowering, node: ast.Pipe) -> py.expr:
    """`value |> f`."""
    return call(self, self.file.pipes[id(node)])


# --- arguments ----------------------------------------


def _dynamic(self: Lowering, callee: Maker, arguments: Sequence[ast.Argument]) -> py.expr:
    """A call of a function that is only known when it runs."""
    if not any(a.spread or a.name is not None for a in arguments):
        values = self.in_order([callee, *(_argument(self, a) for a in arguments)])
        return self.call(self.op("call_value"), *values)
    function, args, named = packed(self, [callee], arguments)
    return self.call(self.op("call"), *function, args, named)


def _argument(self: Lowering, argument: ast.Argument) -> Maker:
    return lambda: self.expr(argument.value)


def _has_spread(arguments: Sequence[ast.Argument]) -> bool:
    return any(argument.spread for argument in arguments)


def _placed(
    self: Lowering,
    function: py.expr,
    context: list[py.expr],
    arguments: Sequence[ast.Argument],
    names: Sequence[str],
    spelling: Callable[[str], str],
    makers: Mapping[int, Maker] | None = None,
) -> py.expr:
    """A direct call whose named arguments are put where they belong, if they fit in a row."""
    made = [(makers or {}).get(i) or _argument(self, a) for i, a in enumerate(arguments)]
    values = self.in_order(made)
    if all(argument.name is None for argument in arguments):
        return self.call(function, *context, *values)
    positional = [v for a, v in zip(arguments, values, strict=True) if a.name is None]
    named = {a.name: v for a, v in zip(arguments, values, strict=True) if a.name is not None}
    in_order = [name for name in names[len(positional) :] if name in named]
    if in_order == list(named) and tuple(names[len(positional) :][: len(named)]) == tuple(named):
        positional += named.values()
        named = {}
    keywords = [py.keyword(spelling(name), value, **self.place) for name, value in named.items()]
    return py.Call(function, [*context, *positional], keywords, **self.place)


def _function(self: Lowering, node: ast.Call, symbol: FunctionSymbol) -> py.expr:
    """A call of a declared function: its context goes first."""
    if symbol in self.cores and needs_no_check(self, symbol, node):
        values = self.operands([argument.value for argument in node.arguments])
        return self.call(self.load(self.core(symbol)), self.load(CONTEXT), *values)
    if self.kinds.specials and self.kinds.special(node, symbol) is not None:
        values = self.operands([argument.value for argument in node.arguments])
        return self.call(self.load(self.special(symbol)), self.load(CONTEXT), *values)
    function = lower_expr.function(self, symbol)
    if _has_spread(node.arguments):
        bound = self.call(self.support("bound"), function, self.load(CONTEXT))
        return _dynamic(self, lambda: bound, node.arguments)
    names = signature_of(symbol).names
    return _placed(self, function, [self.load(CONTEXT)], node.arguments, names, python_name)


def _known_lambda(self: Lowering, node: ast.Call, variable: Variable) -> py.expr | None:
    """A direct call of a variable that always holds one lambda, if the arguments fit."""
    if variable.writes != 1 or variable.is_late:
        return None
    origin = variable.sources[0]
    if not isinstance(origin, ast.Lambda) or any(p.rest for p in origin.parameters):
        return None
    if any(a.name is not None or a.spread for a in node.arguments):
        return None
    if len(node.arguments) > len(origin.parameters):
        return None
    values = self.operands([a.value for a in node.arguments])
    return self.call(self.read(variable), *values)


# --- builtins ----------------------------------------


def builtin(self: Lowering, symbol: Builtin, arguments: Sequence[ast.Argument]) -> py.expr:
    """A call of a builtin."""
    if _has_spread(arguments):
        return _spread_builtin(self, symbol, arguments)
    inline = _inline(self, symbol, arguments)
    if inline is not None:
        return inline
    makers: dict[int, Maker] = {}
    relayed = _relayed(self, symbol, arguments)
    if relayed is not None:
        makers[relayed] = lambda: self.load(MESSAGE)
    if symbol.name == "ws_send" and _is_to_current(self, arguments):
        symbol, arguments = self.file.table.builtins[_SEND_CURRENT], arguments[1:]
        makers = {place - 1: maker for place, maker in makers.items()}
    context: list[py.expr] = [self.load(CONTEXT)] if symbol.context else []
    names = signature_of(symbol).names
    function = self.builtin(symbol.name)
    return _placed(self, function, context, arguments, names, _spelling, makers)


def _spread_builtin(self: Lowering, symbol: Builtin, arguments: Sequence[ast.Argument]) -> py.expr:
    value: py.expr = self.builtin(symbol.name)
    if symbol.context:
        value = self.call(self.support("bound"), value, self.load(CONTEXT))
    return _dynamic(self, lambda: value, arguments)


def _spelling(name: str) -> str:
    """Python parameter of a builtin's parameter."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _inline(self: Lowering, symbol: Builtin, arguments: Sequence[ast.Argument]) -> py.expr | None:
    """Conversions and sizes of evident kinds need no call."""
    if len(arguments) != 1 or arguments[0].name is not None:
        return None
    node = arguments[0].value
    if symbol.name == "to_text":
        return to_text(self, node)
    if symbol.name == "to_int":
        return self.call(self.op("to_int"), self.expr(node))
    if symbol.name == "floor":
        return floor_quotient(self, node)
    if symbol.name in SIZE_NAMES:
        kind, value = self.kinds.of(node), self.expr(node)
        if kind in (TEXT, LIST, MAP):
            return self.call(self.support("py_len"), value)
        function = self.builtin(symbol.name)
        return size_of(self, value, lambda value: self.call(function, value))
    return None


def _relayed(self: Lowering, symbol: Builtin, arguments: Sequence[ast.Argument]) -> int | None:
    """Index of the argument that is the incoming message, sent on as it is."""
    if not self.frame.relays:
        return None
    for place in relayed_places(symbol, arguments):
        if is_message(self, arguments[place].value):
            return place
    return None


def is_message(self: Lowering, node: ast.Expr) -> bool:
    """Whether an expression is the whole parameter of `on message`."""
    if not isinstance(node, ast.Name):
        return False
    symbol = self.file.symbols.get(id(node))
    return isinstance(symbol, Variable) and symbol.role == "message"


def _is_to_current(self: Lowering, arguments: Sequence[ast.Argument]) -> bool:
    """`ws_send(ws.connection_id, data)`."""
    if _SEND_CURRENT not in self.file.table.builtins or len(arguments) != 2:
        return False
    target = arguments[0].value
    if any(a.name is not None for a in arguments) or not isinstance(target, ast.Member):
        return False
    symbol = self.file.symbols.get(id(target.target))
    is_ws = isinstance(symbol, ContextSymbol) and symbol.name == "ws"
    return is_ws and target.name == "connection_id"


# --- methods ----------------------------------------


def _method(self: Lowering, node: ast.Call, callee: ast.Member) -> py.expr:
    if callee.optional:
        return _optional_method(self, node, callee)
    if id(node) in self.file.queries:
        return lower_query.method(self, node, callee)
    kind = self.kinds.of(callee.target)
    if kind in (LIST, ANY) and lower_each.is_walk(self, node):
        return call_method(self, lambda: self.expr(callee.target), callee.name, node.arguments)
    if kind in (TEXT, ANY) and has_text_form(self, kind, callee.name, node.arguments):
        nodes = [argument.value for argument in node.arguments]
        target, *args = self.operands([callee.target, *nodes])
        return text_method(self, kind, callee.name, target, args)
    if has_map_form(kind, callee.name, node.arguments):
        target, *args = self.operands([callee.target, *(a.value for a in node.arguments)])
        return map_method(self, callee.name, target, args)
    if kind == LIST and lower_each.fits(node):
        made = lower_each.comprehension(self, kind, callee, node)
        if made is not None:
            return made
    static = self.file.table.builtins.get(callee.name) if kind in _PLAIN_KINDS else None
    if static is not None and not static.ws_only and not callee.name.startswith("_"):
        if kind in (TEXT, LIST) and callee.name in SIZE_NAMES and not node.arguments:
            return self.call(self.support("py_len"), self.expr(callee.target))
        if _fits(signature_of(static), node.arguments):
            return _static_method(self, static, callee, node.arguments)
    if kind == ANY and lower_each.fits(node):
        made = lower_each.comprehension(self, kind, callee, node)
        if made is not None:
            return made
    return call_method(self, lambda: self.expr(callee.target), callee.name, node.arguments)


def _optional_method(self: Lowering, node: ast.Call, callee: ast.Member) -> py.expr:
    """`target?.name(...)`: none for none, arguments unseen."""
    name = self.temp()
    target = self.walrus(name, self.expr(callee.target))

    def method() -> py.expr:
        self.given[id(callee.target)] = name
        if id(node) in self.file.queries:
            made = lower_query.method(self, node, callee)
        else:
            made = call_method(self, lambda: self.expr(callee.target), callee.name, node.arguments)
        del self.given[id(callee.target)]  # the code may be written a second time
        return made

    return self.branch(self.is_none(target), lambda: self.const(None), method)


def _static_method(
    self: Lowering, symbol: Builtin, callee: ast.Member, arguments: Sequence[ast.Argument]
) -> py.expr:
    target = ast.Argument(callee.target.span, callee.target)
    return builtin(self, symbol, (target, *arguments))


def _fits(signature: Signature, arguments: Sequence[ast.Argument]) -> bool:
    """Whether a builtin takes these arguments after its first."""
    if any(a.name is not None or a.spread for a in arguments) or not signature.names:
        return False
    count = len(arguments) + 1
    return signature.required <= count <= len(signature.names)


RULES: Final[dict[type, Rule]] = {
    ast.Call: call,
    ast.Pipe: pipe,
}
