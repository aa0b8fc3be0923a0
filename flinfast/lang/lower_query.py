"""Lowering of queries: `Notification.where(user_id == x && !read).order(created_at, "desc")`.

A condition becomes a template, a constant that the store turns into SQL once, and the values of
what does not depend on the row, evaluated once. What no template can say runs as a function per
row. Shapes of templates: ("field", name), ("param", i), ("const", v), ("eq" | "ne" | "lt" | "le" |
"gt" | "ge", l, r), ("and" | "or", l, r), ("not", x), ("in", item, container),
("call", method, target, *args), ("truthy", x).
"""

from __future__ import annotations

import ast as py
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.lower_argument import Maker, call_method, packed
from flinfast.lang.lower_base import CONTEXT, Lowering
from flinfast.lang.resolve_call import FIELD_METHODS
from flinfast.lang.symbol import (
    EntitySymbol,
    FieldSymbol,
    Variable,
    VariantSymbol,
    children,
    walk,
)
from flinfast.lang.types import INT, QUERY_RESULTS, SIZE_NAMES, TEXT, entity_of

Template = tuple[Any, ...]

_COMPARISONS: Final = {
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
}
_METHODS: Final = frozenset({"contains", "starts_with", "ends_with", "lower", "upper", "trim"})
_LIST_NAMES: Final = frozenset(
    {"count", "find", "sum", "avg", "min", "max", "group_by", "distinct"}
)
_PROPERTIES: Final = frozenset({"lower", "upper", "trim"})
_PURE: Final = (
    ast.Literal,
    ast.Interpolation,
    ast.Name,
    ast.Member,
    ast.Index,
    ast.Unary,
    ast.Binary,
    ast.Call,
    ast.Argument,
    ast.ListLiteral,
    ast.ListItem,
)


@dataclass(slots=True)
class Condition:
    """A condition on rows while it is turned into a template.

    Attributes:
        entity: Entity of the rows.
        row: The lambda's parameter, when the condition is a lambda.
        params: What is evaluated once, in order.
    """

    lowering: Lowering
    entity: str
    row: Variable | None = None
    params: list[ast.Expr] = field(default_factory=list)

    # --- which parts depend on the row ----------------------------------------

    def depends(self, node: ast.Node) -> bool:
        """Whether a part of the condition reads the row."""
        file = self.lowering.file
        pending = [node]
        while pending:
            current = pending.pop()
            if isinstance(current, ast.Name):
                symbol = file.symbols.get(id(current))
                if self.row is not None and symbol is self.row:
                    return True
                if self.row is None and symbol == FieldSymbol(self.entity, current.name):
                    return True
            if isinstance(current, ast.Call) and file.queries.get(id(current)) == self.entity:
                # Bare names in an inner query of the same entity are the inner row's fields.
                pending.append(current.callee)
                if self.row is None:
                    continue
            pending.extend(children(current))
        return False

    # --- templates ----------------------------------------

    def test(self, node: ast.Expr) -> Template | None:
        """Template of a condition; None when there is no such template."""
        if not self.depends(node):
            return ("truthy", self._outer(node))
        if isinstance(node, ast.Unary) and node.operator == "!":
            inner = self.test(node.operand)
            return None if inner is None else ("not", inner)
        if not isinstance(node, ast.Binary):
            value = self.value(node)
            return None if value is None else ("truthy", value)
        if node.operator in ("&&", "||"):
            left, right = self.test(node.left), self.test(node.right)
            name = "and" if node.operator == "&&" else "or"
            return None if left is None or right is None else (name, left, right)
        name = _COMPARISONS.get(node.operator, "in" if node.operator in ("in", "not_in") else "")
        if not name:
            return None
        first, second = self.value(node.left), self.value(node.right)
        if first is None or second is None:
            return None
        found = (name, first, second)
        return ("not", found) if node.operator == "not_in" else found

    def value(self, node: ast.Expr) -> Template | None:
        """Template of a value; None when there is no such template."""
        if not self.depends(node):
            return self._outer(node)
        if isinstance(node, ast.Name):
            return ("field", node.name) if self.row is None else None
        if isinstance(node, ast.Member):
            return self._member(node)
        return self._call(node) if isinstance(node, ast.Call) else None

    def _outer(self, node: ast.Expr) -> Template:
        if isinstance(node, ast.Literal):
            return ("const", node.value)
        symbol = self.lowering.file.symbols.get(id(node))
        if isinstance(symbol, VariantSymbol):
            return ("const", symbol.name)
        self.params.append(node)
        return ("param", len(self.params) - 1)

    def _member(self, node: ast.Member) -> Template | None:
        target = node.target
        if self.row is not None and isinstance(target, ast.Name):
            names = self.lowering.file.table.entities[self.entity].field_names
            return ("field", node.name) if node.name in names else None
        method = "len" if node.name in SIZE_NAMES else node.name
        if method != "len" and method not in _PROPERTIES:
            return None
        inner = self.value(target)
        return None if inner is None else ("call", method, inner)

    def _call(self, node: ast.Call) -> Template | None:
        callee = node.callee
        arguments = [a.value for a in node.arguments if a.name is None and not a.spread]
        if len(arguments) < len(node.arguments):
            return None
        if isinstance(callee, ast.Member) and not callee.optional:
            name, parts = callee.name, [callee.target, *arguments]
        elif isinstance(callee, ast.Name) and self._is_builtin(callee):
            name, parts = callee.name, arguments
        else:
            return None
        name = "len" if name in SIZE_NAMES else name
        wanted = 1 if name == "len" or name in _PROPERTIES else 2
        if (name != "len" and name not in _METHODS) or len(parts) != wanted:
            return None
        values = [self.value(part) for part in parts]
        if any(value is None for value in values):
            return None
        return ("call", name, *values)

    def _is_builtin(self, node: ast.Name) -> bool:
        return isinstance(self.lowering.file.symbols.get(id(node)), Builtin)


# --- methods of entities and queries ----------------------------------------


def method(self: Lowering, node: ast.Call, callee: ast.Member) -> py.expr:
    """`Entity.name(...)`, `query.name(...)`."""
    entity = self.file.queries[id(node)]
    kind = self.kinds.of(callee.target)
    is_certain = entity_of(kind, "handle", "query") == entity
    name, arguments = callee.name, node.arguments
    if name == "where" and len(arguments) == 1 and _is_plain(arguments[0]):
        return _where(self, callee, arguments[0].value, entity, kind if is_certain else "")
    on_handle = is_certain and kind.startswith("handle ")
    if name == "find" and on_handle and len(arguments) == 1 and _is_plain(arguments[0]):
        value = arguments[0].value
        if not isinstance(value, ast.Lambda) and _is_entity(self, callee.target):
            return self.call(self.handle_method(entity, "find"), self.expr(value))
    makers: dict[int, Maker] = {}
    for place, argument in enumerate(arguments):
        if name in FIELD_METHODS and (place == 0 or name == "with"):
            field_maker = _field_maker(self, argument.value, entity)
            if field_maker is not None:
                makers[place] = field_maker

    def target() -> py.expr:
        return self.expr(callee.target)

    if not is_certain or not _is_own_method(self, name, arguments, makers):
        return call_method(self, target, name, arguments, makers)
    first, args, named = packed(self, [target], arguments, makers)
    return self.call(self.attr(first[0], "flin_call"), self.const(name), args, named)


def _is_own_method(
    self: Lowering,
    name: str,
    arguments: Sequence[ast.Argument],
    makers: Mapping[int, Maker],
) -> bool:
    """Whether entities and queries answer a call themselves, not the list of their rows."""
    if name not in QUERY_RESULTS or not all(_is_plain(argument) for argument in arguments):
        return False
    if name not in _LIST_NAMES:
        return True
    # With a function it is the method of lists of that name.
    return all(
        (place in makers and isinstance(argument.value, ast.Name))
        or self.kinds.of(argument.value) in (TEXT, INT)
        for place, argument in enumerate(arguments)
    )


def _is_plain(argument: ast.Argument) -> bool:
    return argument.name is None and not argument.spread


def _is_entity(self: Lowering, node: ast.Expr) -> bool:
    return isinstance(node, ast.Name) and isinstance(self.file.symbols.get(id(node)), EntitySymbol)


def _field_maker(self: Lowering, value: ast.Expr, entity: str) -> Maker | None:
    """An argument that names a field becomes its text, one that reads fields a row function."""
    if isinstance(value, ast.Lambda) or not Condition(self, entity).depends(value):
        return None
    if isinstance(value, ast.Name):
        name = value.name
        return lambda: self.const(name)
    return lambda: _row_function(self, value, entity)


# --- where ----------------------------------------


def _where(
    self: Lowering, callee: ast.Member, condition: ast.Expr, entity: str, kind: str
) -> py.expr:
    """`.where(condition)`; `kind` is "" when the target may be anything."""
    translated = _translate(self, condition, entity) if kind else None
    if translated is None:
        function = _function_of(self, condition, entity)
        if not kind:
            return _call_where(self, callee, function)
        target, row = self.in_order([lambda: self.expr(callee.target), function])
        args = self.row([row])
        return self.call(
            self.attr(target, "flin_call"), self.const("where"), args, self.mapping({})
        )
    template, params = translated
    if kind.startswith("handle ") and _is_entity(self, callee.target):
        values = self.operands(params)
        prepared = _prepared(self, entity, template)
        return self.call(prepared, self.row(values))
    target, *values = self.operands([callee.target, *params])
    if kind.startswith("handle "):
        prepare = self.call(self.attr(target, "prepare"), self.const(template))
        return self.call(prepare, self.row(values))
    where = self.attr(target, "flin_where")
    return self.call(where, self.const(template), self.row(values))


def _call_where(self: Lowering, callee: ast.Member, function: Maker) -> py.expr:
    target, row = self.in_order([lambda: self.expr(callee.target), function])
    name, args = self.const("where"), self.row([row])
    operator = self.op("call_method")
    return self.call(operator, self.load(CONTEXT), target, name, args, self.mapping({}))


def _prepared(self: Lowering, entity: str, template: Template) -> py.expr:
    """The reusable form of a template, made once per file."""
    name = self.templates.setdefault((entity, template), f"$w{len(self.templates)}")
    return self.bind(
        name, lambda: self.call(self.handle_method(entity, "prepare"), self.const(template))
    )


def _translate(
    self: Lowering, node: ast.Expr, entity: str
) -> tuple[Template, list[ast.Expr]] | None:
    """Template and once-evaluated parts of a condition, if there is such a template."""
    if not isinstance(node, ast.Lambda):
        condition = Condition(self, entity)
        template = condition.test(node)
        return None if template is None else (template, condition.params)
    parameters = node.parameters
    body = node.body
    if len(parameters) != 1 or parameters[0].rest or not isinstance(body, ast.Expr):
        return None
    (row,) = self.file.bindings[id(parameters[0])]
    condition = Condition(self, entity, row)
    template = condition.test(body)
    if template is None or not all(_is_pure(self, param) for param in condition.params):
        return None
    return template, condition.params


def _is_pure(self: Lowering, node: ast.Expr) -> bool:
    """Whether evaluating it once instead of per row makes no difference."""
    for part in walk(node):
        if not isinstance(part, _PURE):
            return False
        if isinstance(part, ast.Call):
            callee = part.callee
            symbol = self.file.symbols.get(id(callee))
            if not isinstance(symbol, Builtin) or symbol.writes or symbol.waits or symbol.ws_only:
                return False
    return True


def _function_of(self: Lowering, node: ast.Expr, entity: str) -> Maker:
    """Maker of the function that judges one row."""
    if isinstance(node, ast.Lambda):
        return lambda: self.expr(node)
    return lambda: _row_function(self, node, entity)


def _row_function(self: Lowering, node: ast.Expr, entity: str) -> py.expr:
    """A function of the row; what does not depend on the row is evaluated once, before."""
    outer = _outermost(Condition(self, entity), node)
    values = self.operands(outer)
    names = [self.temp() for _ in outer]
    given, rows = self.given, self.rows
    self.given = given | {id(part): name for part, name in zip(outer, names, strict=True)}
    row = self.temp()
    self.rows = rows | {entity: row}
    with self.captured() as body:
        result = self.expr(node)
    self.given, self.rows = given, rows
    function, maker = self.temp(), self.temp()
    body.append(py.Return(result, **self.place))
    inner = self.define(function, [row], body)
    returned = py.Return(self.load(function), **self.place)
    self.emit(self.define(maker, names, [inner, returned]))
    return self.call(self.load(maker), *values)


def _outermost(condition: Condition, node: ast.Expr) -> list[ast.Expr]:
    """The largest parts that do not depend on the row, in source order."""
    found: list[ast.Expr] = []
    pending: list[ast.Node] = [node]
    while pending:
        current = pending.pop()
        if not isinstance(current, ast.Expr):
            pending.extend(reversed(children(current)))
        elif not condition.depends(current):
            if not isinstance(current, ast.Literal) and not _is_callee(condition, current):
                found.append(current)
        elif not isinstance(current, ast.Lambda):
            pending.extend(reversed(children(current)))
    return found


def _is_callee(condition: Condition, node: ast.Expr) -> bool:
    """Functions and entities are no values to keep."""
    symbol = condition.lowering.file.symbols.get(id(node))
    return isinstance(node, ast.Name) and not isinstance(symbol, Variable) and symbol is not None
