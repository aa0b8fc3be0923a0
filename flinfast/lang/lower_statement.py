"""Lowering of statements and blocks.

Where the value of a statement goes is decided from outside (`Target`): the last statement of a
block passes it on, so `if` and `match` at the end of a function return from their branches.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable
from typing import Final

from flinfast.lang import (
    ast,
    lower_columns,
    lower_entry,
    lower_expr,
    lower_item,
    lower_method,
    lower_pattern,
    lower_row,
    lower_version,
)
from flinfast.lang.lower_base import RETURN, Lowering, StatementRule, Target
from flinfast.lang.lower_block import (
    checked,
    deliver,
    expr_has_value,
    has_value,
    is_plain,
    no_value,
    return_nothing,
    statements,
)
from flinfast.lang.lower_operator import arithmetic, condition
from flinfast.lang.lower_region import common, ends
from flinfast.lang.lower_text import quoted
from flinfast.lang.magnitude import is_natural
from flinfast.lang.symbol import Variable
from flinfast.lang.types import ANY, INT, LIST, MAP, TEXT, entity_of, is_parallel

# --- expression statements ----------------------------------------


def expr_statement(self: Lowering, node: ast.ExprStatement, target: Target) -> None:
    """An expression, whose value is the target's if it has one."""
    value = node.value
    if isinstance(value, ast.IfExpr):
        _if(self, value, target)
    elif isinstance(value, ast.Match):
        lower_pattern.match(self, value, target)
    elif isinstance(value, ast.BlockExpr):
        statements(self, value.block, target)
    elif target.kind == "discard" and isinstance(value, ast.Call) and _is_push(self, value):
        assert isinstance(value.callee, ast.Member)
        lower_method.push(self, value.callee.target, value.callee.name, value.arguments[0].value)
    else:
        plain_value(self, value, target)


def _is_push(self: Lowering, node: ast.Call) -> bool:
    """`list.push(item)`, or what may be it."""
    callee = node.callee
    return (
        isinstance(callee, ast.Member)
        and not callee.optional
        and self.kinds.of(callee.target) in (LIST, ANY)
        and id(node) not in self.file.queries
        and id(callee) not in self.file.symbols
        and lower_method.is_push(callee.name, node.arguments)
    )


def plain_value(self: Lowering, value: ast.Expr, target: Target) -> None:
    """A value that is not written as statements."""
    is_answer = target.kind == "return" and self.frame.mode == "route"
    if is_answer and not expr_has_value(self, value):
        self.emit_expr(self.expr(value))
        return_nothing(self)
        return
    deliver(self, self.expr(value), value, target)


def _if(self: Lowering, node: ast.IfExpr, target: Target) -> None:
    if self.trial is None:
        _if_else(self, node, target, condition)
    elif lower_version.is_small(node):
        lower_version.tried(self, lambda: _if_else(self, node, target, condition))
    else:
        _if_else(self, node, target, _tried_condition)


def _if_else(
    self: Lowering,
    node: ast.IfExpr,
    target: Target,
    condition_of: Callable[[Lowering, ast.Expr], py.expr],
) -> None:
    self.seen_if_true = {}
    test = condition_of(self, node.condition)
    before = self.seen
    with self.captured() as then:
        self.seen |= self.seen_if_true
        statements(self, node.then, target)
    after = before if ends(then) else self.seen
    self.seen, self.seen_if_true = before, {}
    branch = node.otherwise
    with self.captured() as otherwise:
        if isinstance(branch, ast.IfExpr):
            with self.at(branch.span):
                _if(self, branch, target)
        elif branch is not None:
            statements(self, branch, target)
        elif target.kind != "discard":
            _missing_else(self, node, target)
    self.seen = after if ends(otherwise) else common(after, self.seen)
    self.emit(py.If(test, then or [py.Pass(**self.place)], otherwise, **self.place))


def _tried_condition(self: Lowering, node: ast.Expr) -> py.expr:
    """A condition of the first form, with nothing but itself to do again."""
    # To Python, a comparison that decides where to go on is faster than one whose result is kept.
    true, false = self.const(True), self.const(False)
    found = lower_version.tried_value(self, lambda: self.choose(condition(self, node), true, false))
    return found.test if isinstance(found, py.IfExp) else found


def _missing_else(self: Lowering, node: ast.IfExpr, target: Target) -> None:
    """A branch that is not there is none, or no answer where no branch answers."""
    if target.kind == "return" and self.frame.mode == "route" and has_value(self, node):
        self.emit(py.Return(self.const(None), **self.place))
    else:
        no_value(self, target)


# --- assignment ----------------------------------------


def assign(self: Lowering, node: ast.Assign, target: Target) -> None:
    """`name = value`, `a.b += value`."""
    place = node.target
    if isinstance(place, ast.Name):
        _assign_name(self, node, self.file.targets[id(node)])
    else:
        if isinstance(place, ast.Member):
            _assign_member(self, node, place)
        elif isinstance(place, ast.Index):
            _assign_index(self, node, place)
        self.forget(self.kinds.owner(place))  # no other name has a map that is owned
    no_value(self, target)


def _assign_name(self: Lowering, node: ast.Assign, variable: Variable) -> None:
    declares = id(node) in self.file.declares
    origin: ast.Expr = self.file.compounds.get(id(node), node.value)
    if declares and variable.is_boxed and isinstance(origin, ast.Lambda):
        self.write(variable, self.const(None), declares=True)  # the lambda may call itself
        declares = False
    value = self.expr(origin)
    what = f"variable `{variable.name}`"
    value = checked(self, value, self.kinds.of(origin), variable.annotation, what)
    self.write(variable, value, declares=declares)


def _assign_member(self: Lowering, node: ast.Assign, place: ast.Member) -> None:
    kind = self.kinds.of(place.target)
    if lower_expr.is_change(self, node, place):
        if not lower_row.add(self, node, place):
            self.emit_expr(lower_expr.change(self, node, place))
        return
    if node.operator == "=":
        owner, value = self.operands([place.target, node.value])
    else:
        owner = self.expr(place.target)
        if not self.is_stable(place.target, owner):
            owner = self.kept(owner)
        before: py.expr
        if self.kinds.owned(place) is not None:
            before = self.item(owner, self.const(place.name))
        else:
            is_map = self.is_map(place.target)
            before = lower_expr.read_member(self, owner, kind, place.name, is_map=is_map)
        value = _compound(self, node, place, before)
    cell = py.Subscript(owner, self.const(place.name), py.Store(), **self.place)
    if kind == MAP:
        if not is_plain(owner):  # Python would take the value first
            cell.value = self.kept(owner)
        self.emit(py.Assign([cell], value, **self.place))
        return
    if not entity_of(kind, "record") and not self.is_stable(place.target, owner):
        cell.value = owner = self.kept(owner)
        value = self.kept(value)
    slow = self.call(self.op("set_member"), owner, self.const(place.name), value)
    if kind != ANY or not isinstance(owner, py.Name):
        self.emit_expr(slow)
        return
    if not is_plain(value):
        slow.args[-1] = value = self.kept(value)
    fast, rare = py.Assign([cell], value, **self.place), py.Expr(slow, **self.place)
    is_map = self.is_map(place.target)
    if is_map is None and place.name in self.made_names:
        # As maps of the file have such a key, this is one most likely; Python refuses all others.
        self.emit_unless("py_type_error", fast, rare)
        return
    is_map = is_map or self.is_exactly(owner, "dict")
    self.emit(py.If(is_map, [fast], [rare], **self.place))


def _assign_index(self: Lowering, node: ast.Assign, place: ast.Index) -> None:
    kinds = (self.kinds.of(place.target), self.kinds.of(place.key))
    if self.trial is not None and self.kinds.part_of(place.target) not in ("", TEXT):
        _assign_tried(self, node, place)
        return
    added = lower_entry.added(self, node, place)
    if added is not None:
        self.emit_expr(added)
        return
    if lower_item.assign(self, node, place):
        return
    if node.operator == "=":
        owner, key, value = self.operands([place.target, place.key, node.value])
    else:
        owner, key = (self.kept(e) for e in self.operands([place.target, place.key]))
        before: py.expr
        if kinds == (MAP, TEXT):
            before = self.call(self.attr(owner, "get"), key)
        else:
            before = self.call(self.op("index"), owner, key)
        value = _compound(self, node, place, before)
    of_list = kinds == (LIST, INT)
    # A natural index is a sum of names and literals: to compute it later makes no difference.
    natural = of_list and is_natural(self, place.key)
    parts = (owner, value) if natural else (owner, key, value)
    tests = _set_tests(self, kinds, owner, key)
    if kinds == (MAP, TEXT) and not is_plain(key):  # Python would take the value first
        owner = owner if is_plain(owner) else self.kept(owner)
        key = self.kept(key)
    if (of_list or tests) and not all(is_plain(e) for e in parts):
        owner = owner if self.is_stable(place.target, owner) else self.kept(owner)
        key = key if self.is_stable(place.key, key) else self.kept(key)
        value = self.kept(value)
        tests = _set_tests(self, kinds, owner, key)
    slow = py.Expr(self.call(self.op("set_index"), owner, key, value), **self.place)
    cell = py.Subscript(owner, key, py.Store(), **self.place)
    fast = py.Assign([cell], value, **self.place)
    if kinds == (MAP, TEXT):
        self.emit(fast)
    elif of_list:
        self.emit_in_bounds(fast, slow)  # negative indexes are Python's
    elif tests:
        test = tests[0] if len(tests) == 1 else self.both(*tests)
        self.emit(py.If(test, [fast], [slow], **self.place))
    else:
        self.emit(slow)


def _assign_tried(self: Lowering, node: ast.Assign, place: ast.Index) -> None:
    """Set an item of a list whose items have a kind: Python's own, or refused."""
    self.is_tried = True
    owner, key = self.operands([place.target, place.key])
    if node.operator == "=":
        value = self.expr(node.value)
    else:
        owner, key = self.kept(owner), self.kept(key)
        kinds = (self.kinds.sure(place), self.kinds.sure(node.value))
        before = self.kept(self.item(owner, key))
        operator = node.operator[0]
        nodes = (place, node.value)
        value = arithmetic(self, operator, nodes, before, self.expr(node.value), kinds)
    cell = py.Subscript(owner, key, py.Store(), **self.place)
    self.emit(py.Assign([cell], value, **self.place))


def _set_tests(
    self: Lowering, kinds: tuple[str, str], owner: py.expr, key: py.expr
) -> list[py.expr]:
    """What must hold for Python to do the assignment; empty when it better does not."""
    if kinds[0] not in (MAP, ANY) or kinds[1] not in (TEXT, ANY) or isinstance(owner, py.Constant):
        return []
    tests: list[py.expr] = [] if kinds[1] == TEXT else [self.is_exactly(key, "str")]
    if kinds[0] == ANY:
        tests.append(self.is_exactly(owner, "dict"))
    return tests


def _compound(
    self: Lowering, node: ast.Assign, place: ast.Member | ast.Index, before: py.expr
) -> py.expr:
    """`before + value` of `a.b += value`."""
    left = self.kept(before)
    right = self.expr(node.value)
    kinds = (self.kinds.of(place), self.kinds.of(node.value))
    if node.operator == "+=" and TEXT in kinds:
        return self.call(self.op("add"), left, right)
    return arithmetic(self, node.operator[0], (place, node.value), left, right, kinds)


def return_(self: Lowering, node: ast.Return, target: Target) -> None:
    """`return`, `return value`."""
    if isinstance(node.value, ast.IfExpr | ast.Match | ast.BlockExpr):
        expr_statement(self, ast.ExprStatement(node.value.span, node.value), RETURN)
    elif node.value is not None:
        deliver(self, self.expr(node.value), node.value, RETURN)
    if not self.body or not isinstance(self.body[-1], py.Return):
        return_nothing(self)


_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "not_in"})
_LITERALS: Final = (ast.Literal, ast.ListLiteral, ast.MapLiteral)  # they show themselves


def expect(self: Lowering, node: ast.Expect, target: Target) -> None:
    """`expect a == b`: the operands of a comparison are shown when it does not hold."""
    value = node.value
    names: list[str] = []
    shown: list[py.expr] = []
    if isinstance(value, ast.Binary) and value.operator in _COMPARISONS:
        sides = [s for s in (value.left, value.right) if not isinstance(s, _LITERALS)]
        for side, made in zip(sides, [self.kept(v) for v in self.operands(sides)], strict=True):
            if isinstance(made, py.Name):
                self.given[id(side)] = made.id
                names.append(quoted(self, side))
                shown.append(made)
    unmet = self.negate(condition(self, value))
    with self.captured() as body:
        message = self.const(None) if node.message is None else self.expr(node.message)
        text = self.const(quoted(self, value))
        fail = self.support_of_ops("expectation")
        parts = [text, message, self.const(tuple(names)), self.row(shown)]
        self.emit_expr(self.call(fail, *parts))
    self.emit(py.If(unmet, body, [], **self.place))
    no_value(self, target)


def destructure(self: Lowering, node: ast.Destructure, target: Target) -> None:
    """`[a, b] = list`, `{ a, b } = map`."""
    if is_parallel(node):
        assert isinstance(node.pattern, ast.ListPattern)
        assert isinstance(node.value, ast.ListLiteral)
        values = self.operands([i.value for i in node.value.items])
        lower_pattern.take_parallel(self, node.pattern, values)
        no_value(self, target)
        return
    columns = [] if self.columns is None else lower_columns.taken_apart(self, node)
    if columns:
        for pattern, variable, column in columns:
            if column.id != variable.python:
                lower_pattern.take_apart(self, pattern, column)
        no_value(self, target)
        return
    value = self.expr(node.value)
    if not self.is_stable(node.value, value):
        value = self.kept(value)
    lower_pattern.take_apart(self, node.pattern, value, node.value)
    no_value(self, target)


RULES: Final[dict[type, StatementRule]] = {
    ast.ExprStatement: expr_statement,
    ast.Assign: assign,
    ast.Destructure: destructure,
    ast.Return: return_,
    ast.Expect: expect,
}
