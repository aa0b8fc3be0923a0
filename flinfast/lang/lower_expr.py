"""Lowering of names, members, literals and conditional expressions."""

from __future__ import annotations

import ast as py
from collections.abc import Callable
from functools import partial
from types import NoneType
from typing import Final

from flinfast.lang import ast, lower_columns, lower_item, lower_method, lower_read, lower_version
from flinfast.lang.abi import Builtin
from flinfast.lang.lower_base import CONTEXT, LOAD, Lowering, Rule, Target
from flinfast.lang.lower_operator import condition
from flinfast.lang.lower_value import Tried
from flinfast.lang.magnitude import is_natural
from flinfast.lang.scope import python_name
from flinfast.lang.symbol import (
    ContextSymbol,
    EntitySymbol,
    FieldSymbol,
    FunctionSymbol,
    Symbol,
    Variable,
    VariantSymbol,
)
from flinfast.lang.types import (
    ANY,
    INT,
    LIST,
    MAP,
    QUERY_RESULTS,
    SIZE_NAMES,
    TEXT,
    entity_of,
)

# Builtins that need no parentheses (FLIN reference 13.4).
BARE_CALLS: Final = frozenset({"now", "today", "yesterday", "tomorrow"})
_CHANGES: Final = frozenset({"+=", "-="})
_OBJECTS: Final = frozenset({"session", "request", "response", "ws"})  # never plain maps


def literal(self: Lowering, node: ast.Literal) -> py.expr:
    """`42`, `"text"`, `none`."""
    return self.const(node.value)


def name(self: Lowering, node: ast.Name) -> py.expr:
    """A plain name where a value is wanted."""
    return symbol_value(self, self.file.symbols[id(node)])


def symbol_value(self: Lowering, symbol: Symbol) -> py.expr:
    """The value of what a name stands for."""
    if isinstance(symbol, Variable):
        return self.read(symbol)
    if isinstance(symbol, ContextSymbol):
        return self.attr(self.load(CONTEXT), symbol.name)
    if isinstance(symbol, EntitySymbol):
        return self.handle(symbol.name)
    if isinstance(symbol, FieldSymbol):
        row = self.rows[symbol.entity]
        return self.call(self.op("member"), self.load(row), self.const(symbol.name))
    if isinstance(symbol, VariantSymbol):
        return self.const(symbol.name)
    if isinstance(symbol, FunctionSymbol):
        return self.call(self.support("bound"), function(self, symbol), self.load(CONTEXT))
    assert isinstance(symbol, Builtin)
    value = self.builtin(symbol.name)
    context = [self.load(CONTEXT)] if symbol.context else []
    if symbol.name in BARE_CALLS:
        return self.call(value, *context)
    return self.call(self.support("bound"), value, *context) if context else value


def function(self: Lowering, symbol: FunctionSymbol) -> py.expr:
    """The closure of a function, which takes the context first."""
    if self.file.functions.get(symbol.name) is symbol:
        return self.load(python_name(symbol.name))
    shared = self.abi("shared_functions")
    if self.file.kind in ("lib", "entities"):
        # Files of functions may use each other, so look it up when it is called.
        return self.item(shared, self.const(symbol.name))
    return self.bind(f"$f_{symbol.name}", lambda: self.item(shared, self.const(symbol.name)))


# --- members ----------------------------------------


def member(self: Lowering, node: ast.Member) -> py.expr:
    """`target.name`."""
    symbol = self.file.symbols.get(id(node))
    if symbol is not None:
        return symbol_value(self, symbol)
    target = node.target
    column = None if self.columns is None else lower_columns.column_of(self, node)
    if column is not None:
        return column
    if isinstance(target, ast.Name):
        context = self.file.symbols.get(id(target))
        if isinstance(context, ContextSymbol):
            return _context_member(self, context, node)
    read = lower_read.read_of(self, node)
    known = lower_read.known(self, read)
    if known is not None:
        return known
    if lower_read.is_twice(self, node):
        assert isinstance(target, ast.Member)
        names = (target.name, node.name)
        twice = self.bind(
            f"$of.{'.'.join(names)}",
            lambda: self.call(self.op("member_twice"), self.op("member"), *map(self.const, names)),
        )
        return self.call(twice, self.expr(target.target))
    value, is_map = self.expr(target), self.is_map(target)
    if self.kinds.owned(node) is not None:
        return lower_read.remembered(self, read, self.item(value, self.const(node.name)))
    found = read_member(self, value, self.kinds.of(target), node.name, node.optional, is_map)
    return lower_read.remembered(self, read, found)


def read_member(
    self: Lowering,
    value: py.expr,
    kind: str,
    name: str,
    optional: bool = False,
    is_map: py.expr | None = None,
) -> py.expr:
    """`value.name` of a lowered value; `is_map` says whether it is a plain map, if given."""
    if kind == MAP:
        return self.call(self.attr(value, "get"), self.const(name))
    if kind in (TEXT, LIST) and name in SIZE_NAMES:
        return self.call(self.support("py_len"), value)
    if entity_of(kind, "handle", "query") and name in QUERY_RESULTS:
        return self.call(self.attr(value, "flin_get"), self.const(name))
    if not optional:
        made = lower_method.text_property(self, kind, name, value)
        if made is not None:
            return made
    if kind == ANY and not optional and not self.rows:
        return self.call(member_of(self, name), value)
    operator = self.op("member_optional" if optional else "member")
    if kind in (TEXT, LIST):
        return self.call(operator, value, self.const(name))
    first, again = self.once(value)
    slow = self.call(operator, again(), self.const(name))
    if entity_of(kind, "record"):
        fast = self.call(self.attr(again(), "flin_get"), self.const(name))
        return self.choose(self.is_none(first), slow, fast)
    fast = self.call(self.attr(again(), "get"), self.const(name))
    return self.choose(is_map or self.is_exactly(first, "dict"), fast, slow)


def member_of(self: Lowering, name: str) -> py.Name:
    """The function that gives `value.name`."""
    return self.bind(
        f"$of.{name}",
        lambda: self.call(self.op("member_once"), self.op("member"), self.const(name)),
    )


def is_change(self: Lowering, node: ast.Assign, place: ast.Member) -> bool:
    """Whether one call does `value.name += amount`: what that is shows only when it runs.

    The call reads the member after the amount, so that has to be one that nothing changes.
    """
    if node.operator not in _CHANGES or self.rows or self.kinds.of(place.target) != ANY:
        return False
    if self.kinds.owned(place) is not None or self.kinds.of(place) != ANY:
        return False
    if isinstance(node.value, ast.Literal):
        return True
    return isinstance(node.value, ast.Name) and self.is_stable(node.value, self.expr(node.value))


def change(self: Lowering, node: ast.Assign, place: ast.Member) -> py.expr:
    """`value.name += amount` by a function of that name."""
    is_sum = node.operator == "+="
    made = self.bind(
        f"$by.{node.operator}{place.name}",
        lambda: self.call(
            self.op("change_once"),
            *(self.op("member"), self.op("set_member")),
            *(self.const(place.name), self.const(is_sum)),
        ),
    )
    return self.call(made, *self.operands([place.target, node.value]))


def _context_member(self: Lowering, symbol: ContextSymbol, node: ast.Member) -> py.expr:
    context = self.load(CONTEXT)
    key = self.const(node.name)
    if symbol.name == "params":
        values = self.attr(context, "params")
        if self.kinds.is_path_parameter(symbol, node.name):
            return self.item(values, key)
        return self.call(self.attr(values, "get"), key)
    if symbol.name == "ws" and node.name == "connection_id":
        return self.attr(context, "connection_id")  # the context is the connection
    value = self.attr(context, symbol.name)
    if symbol.name in _OBJECTS:
        operator = self.op("member_optional" if node.optional else "member")
        return self.call(operator, value, key)
    return read_member(self, value, "any", node.name, node.optional)


def index(self: Lowering, node: ast.Index) -> py.expr:
    """`target[key]`."""
    column = None if self.columns is None else lower_columns.column_of(self, node)
    if column is not None:
        return column
    read = lower_read.read_of(self, node)
    known = lower_read.known(self, read)
    if known is not None:
        return known
    return lower_read.remembered(self, read, _item(self, node))


def _item(self: Lowering, node: ast.Index) -> py.expr:
    if _is_last(self, node):
        return _last(self, node)
    if lower_version.is_known_item(self, node):
        self.is_tried = True
        return self.item(*self.operands([node.target, node.key]))
    tried = lower_item.item_of_item(self, node)
    if tried is not None:
        return tried
    if lower_read.is_twice(self, node):
        assert isinstance(node.target, ast.Index)
        parts = [node.target.target, node.target.key, node.key]
        return self.call(self.op("index_twice"), *self.operands(parts))
    value, key = self.operands([node.target, node.key])
    kind = self.kinds.of(node.target)
    is_name = isinstance(node.key, ast.Literal) and isinstance(node.key.value, str)
    if kind == MAP and self.kinds.of(node.key) == TEXT:
        return self.call(self.attr(value, "get"), key)
    if is_name:
        first, again = self.once(value)
        fast = self.call(self.attr(again(), "get"), key)
        slow = self.call(self.op("index"), again(), key)
        is_map = self.is_map(node.target) or self.is_exactly(first, "dict")
        return self.choose(is_map, fast, slow)
    if self.is_stable(node.target, value):
        return _stable_index(self, node, value, key)
    if kind == LIST and self.kinds.of(node.key) == INT and isinstance(value, py.Name):
        return _list_item(self, node, value, key)
    return self.call(self.op("index"), value, key)


def _is_last(self: Lowering, node: ast.Index) -> bool:
    """Whether it is `list[list.len - 1]` of a variable."""
    key = node.key
    if type(key) is not ast.Binary or key.operator != "-" or type(key.left) is not ast.Member:
        return False
    if type(key.right) is not ast.Literal or key.right.value != 1 or key.left.optional:
        return False
    if key.left.name not in SIZE_NAMES or self.kinds.of(node.target) != LIST:
        return False
    variable = self.file.symbols.get(id(node.target))
    is_same = self.file.symbols.get(id(key.left.target)) is variable
    return is_same and type(variable) is Variable and type(key.right.value) is int


def _last(self: Lowering, node: ast.Index) -> py.expr:
    """The last item of a list: of an empty one there is none at either place, -1 being the key."""
    value, last = self.expr(node.target), self.const(-1)
    if lower_version.is_known_item(self, node):
        self.is_tried = True
        return self.item(value, last)
    if not isinstance(value, py.Name):
        return self.call(self.op("index"), value, last)
    if self.frame.loops and not self.rows:
        return _item_in_loop(self, value, last)
    return self.choose(value, self.item(value, last), self.const(None))


def _stable_index(self: Lowering, node: ast.Index, value: py.expr, key: py.expr) -> py.expr:
    """An item of what a variable holds, which is there to be looked at twice."""
    kind, of_key = self.kinds.of(node.target), self.kinds.of(node.key)
    if kind == LIST and of_key == INT:
        return _list_item(self, node, value, key)
    is_asked = isinstance(value, py.Name) and (value.id in self.lists or value.id in self.classes)
    if is_asked and kind == ANY and of_key == INT and self.frame.loops and not self.rows:
        return _item_if_list(self, value, key)
    is_map = self.is_map(node.target)
    if kind == MAP and of_key == ANY and isinstance(key, py.Name) and key.id in self.classes:
        fast = self.call(self.attr(value, "get"), key)
        slow = self.call(self.op("index"), value, key)
        return self.choose(self.is_exactly(key, "str"), fast, slow)
    if kind == ANY and is_map is not None and of_key == TEXT and _is_simple(key):
        first, again = self.once(key)
        fast = self.call(self.attr(value, "get"), first)
        return self.choose(is_map, fast, self.call(self.op("index"), value, again()))
    return self.call(self.op("index"), value, key)


def _is_simple(value: py.expr) -> bool:
    return isinstance(value, py.Name | py.Constant)


def _list_item(self: Lowering, node: ast.Index, value: py.expr, key: py.expr) -> py.expr:
    """An item of a list: negative indexes are Python's."""
    if self.frame.loops and not self.rows:
        return _item_in_loop(self, value, key)
    first, again = self.once(key)
    slow: py.expr = self.const(None)
    if not is_natural(self, node.key):
        slow = self.call(self.op("index"), value, again())
    tests = _inside(self, node.key, value, first)
    return self.choose(tests[0], self.item(value, again()), slow)


def _inside(self: Lowering, node: ast.Expr, value: py.expr, key: py.expr) -> list[py.expr]:
    """Tests of an int for being the index of an item."""
    if isinstance(key, py.Constant) and key.value == 0:
        return [value]  # to Python, a list is true that has a first item
    size = self.call(self.support("py_len"), value)
    if is_natural(self, node):
        return [self.compare(key, py.Lt(), size)]
    return [py.Compare(self.const(0), [py.LtE(), py.Lt()], [key, size], **self.place)]


def _item_in_loop(self: Lowering, value: py.expr, key: py.expr) -> Tried:
    """An item of a list, tried: in a loop most are there, and Python checks the bounds anyway."""
    result = self.temp()
    found = py.Assign([self.store(result)], self.item(value, key), **self.place)
    missing = py.Assign([self.store(result)], self.const(None), **self.place)
    self.emit_in_bounds(found, missing)
    tried = Tried(result, LOAD, **self.place)
    (tried.attempt,) = self.body[-1:]  # type: ignore[assignment]  # a Try, see above
    return tried


def _item_if_list(self: Lowering, value: py.expr, key: py.expr) -> py.expr:
    """An item of what is known to be a list or not: `_item_in_loop`, or the operator."""
    key = self.kept(key) if not isinstance(key, py.Name) else key
    _, again = self.once(key)
    with self.captured() as inside:
        found = _item_in_loop(self, value, key)
    other = self.call(self.op("index"), value, again())
    outside = py.Assign([self.store(found.id)], other, **self.place)
    self.emit(py.If(self.is_exactly(value, "list"), inside, [outside], **self.place))
    return self.load(found.id)


def slice_(self: Lowering, node: ast.Slice) -> py.expr:
    """`target[start:stop:step]`."""
    none = ast.Literal(node.span, None)
    bounds = [node.start or none, node.stop or none, node.step or none]
    value, start, stop, step = self.operands([node.target, *bounds])
    plain = all(isinstance(b, ast.Literal) and type(b.value) in (int, NoneType) for b in bounds)
    if plain and node.step is None and self.kinds.of(node.target) in (TEXT, LIST):
        between = py.Slice(_bound(start), _bound(stop), None, **self.place)
        return self.item(value, between)
    return self.call(self.op("slice"), value, start, stop, step)


def _bound(value: py.expr) -> py.expr | None:
    return None if isinstance(value, py.Constant) and value.value is None else value


def version_at(self: Lowering, node: ast.VersionAt) -> py.expr:
    """`target@reference`."""
    return self.call(self.op("version_at"), *self.operands([node.target, node.reference]))


# --- literals of several values ----------------------------------------


def list_literal(self: Lowering, node: ast.ListLiteral) -> py.expr:
    """`[a, ...b]`."""
    values = self.operands([item.value for item in node.items])
    items = [
        _spread_items(self, item.value, value) if item.spread else value
        for item, value in zip(node.items, values, strict=True)
    ]
    return py.List(items, py.Load(), **self.place)


def _spread_items(self: Lowering, node: ast.Expr, value: py.expr) -> py.expr:
    if self.kinds.of(node) != LIST:
        value = self.call(self.support_of_ops("list_items"), value)
    return py.Starred(value, py.Load(), **self.place)


def map_literal(self: Lowering, node: ast.MapLiteral) -> py.expr:
    """`{ k: v, ...m }`."""
    return entries(self, node.entries)


def entries(self: Lowering, items: tuple[ast.MapEntry, ...]) -> py.expr:
    """Map entries as a dict display."""
    makers: list[Callable[[], py.expr]] = []
    for entry in items:
        if isinstance(entry.key, ast.Expr):
            makers.append(partial(_computed_key, self, entry.key))
        makers.append(partial(self.expr, entry.value))
    values = iter(self.in_order(makers))
    keys: list[py.expr | None] = []
    found: list[py.expr] = []
    for entry in items:
        if entry.key is None:
            value = next(values)
            if self.kinds.of(entry.value) != MAP:
                value = self.call(self.support_of_ops("map_entries"), value)
            keys.append(None)
            found.append(value)
            continue
        keys.append(self.const(entry.key) if isinstance(entry.key, str) else next(values))
        found.append(next(values))
    return py.Dict(keys, found, **self.place)


def _computed_key(self: Lowering, key: ast.Expr) -> py.expr:
    value = self.expr(key)
    if self.kinds.of(key) == TEXT:
        return value
    return self.call(self.op("map_key"), value)


def entity_literal(self: Lowering, node: ast.EntityLiteral) -> py.expr:
    """`Name { field: value, ...map }`."""
    construct = self.handle_method(node.entity, "construct")
    values = self.operands([entry.value for entry in node.entries])
    named = zip(node.entries, values, strict=True)
    fields = {e.key: value for e, value in named if isinstance(e.key, str)}
    self.forget()  # defaults may be calls
    spread = [v for e, v in zip(node.entries, values, strict=True) if e.key is None]
    if spread:
        return self.call(construct, self.mapping(fields), self.row(spread))
    return self.call(construct, self.mapping(fields))


def response_literal(self: Lowering, node: ast.ResponseLiteral) -> py.expr:
    """`response { status: 201, body: x }`."""
    return self.call(self.abi("make_response"), entries(self, node.entries))


def save(self: Lowering, node: ast.SaveExpr) -> py.expr:
    """`save e`, `delete e`, `restore e`, `destroy e`."""
    value = self.expr(node.value)
    self.forget()
    return self.call(self.abi(node.verb), value)


# --- choices ----------------------------------------


def conditional(self: Lowering, node: ast.Conditional) -> py.expr:
    """`c ? a : b`."""
    test = condition(self, node.condition)
    return self.branch(test, lambda: self.expr(node.then), lambda: self.expr(node.otherwise))


def if_expr(self: Lowering, node: ast.IfExpr) -> py.expr:
    """`if` where a value is wanted."""
    then, otherwise = _single(node.then), node.otherwise
    last = _single(otherwise) if isinstance(otherwise, ast.Block) else None
    # What has effects is not done again with all around it: its statements are tried themselves.
    is_apart = self.trial is not None and lower_version.has_effects(node)
    if then is not None and last is not None and not is_apart:
        test = condition(self, node.condition)
        return self.branch(test, lambda: self.expr(then), lambda: self.expr(last))
    return value_of_statement(self, node)


def value_of_statement(self: Lowering, node: ast.IfExpr | ast.Match | ast.BlockExpr) -> py.expr:
    """The value of something that is written as statements."""
    result = self.temp()
    statement = ast.ExprStatement(node.span, node)
    self.statement(statement, Target("assign", result))
    return self.load(result)


def _single(block: ast.Block) -> ast.Expr | None:
    """The only expression of a block that has nothing else."""
    if len(block.statements) != 1:
        return None
    statement = block.statements[0]
    return statement.value if isinstance(statement, ast.ExprStatement) else None


RULES: Final[dict[type, Rule]] = {
    ast.Literal: literal,
    ast.Name: name,
    ast.Member: member,
    ast.Index: index,
    ast.Slice: slice_,
    ast.VersionAt: version_at,
    ast.ListLiteral: list_literal,
    ast.MapLiteral: map_literal,
    ast.EntityLiteral: entity_literal,
    ast.ResponseLiteral: response_literal,
    ast.SaveExpr: save,
    ast.Conditional: conditional,
    ast.IfExpr: if_expr,
    ast.Match: value_of_statement,
    ast.BlockExpr: value_of_statement,
}
