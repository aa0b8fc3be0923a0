"""Lowering of patterns: `match`, `while let` and destructuring.

A pattern that is tried becomes one Python condition; the names it binds are assigned when it has
matched. Destructuring never fails to match: what is missing is the default or none.
"""

from __future__ import annotations

import ast as py
from typing import Final

from flinfast.lang import ast, lower_block, lower_expr
from flinfast.lang.abi import Value
from flinfast.lang.lower_base import Lowering, Target
from flinfast.lang.lower_region import common, ends
from flinfast.lang.symbol import Variable, VariantSymbol
from flinfast.lang.types import ANY, LIST, MAP

ARMS_CHAINED_MAX: Final = 40  # arms of a match that become one if-else chain


def match(self: Lowering, node: ast.Match, target: Target) -> None:
    """`match value { pattern -> body }`: the first arm that fits, none without one."""
    value = self.kept(self.expr(node.value))
    _arms(self, node.arms, value, target)


def _arms(self: Lowering, arms: tuple[ast.MatchArm, ...], value: py.expr, target: Target) -> None:
    branches: list[tuple[py.expr, list[py.stmt]]] = []
    otherwise: list[py.stmt] | None = None
    before = after = self.seen
    for arm in arms:
        self.seen = before
        with self.at(arm.span):
            wanted = _any_of(self, arm.patterns, value)
            with self.captured() as body:
                if len(arm.patterns) == 1:
                    bind_names(self, arm.patterns[0], value)
                _body(self, arm.body, target)
        after = after if ends(body) else common(after, self.seen)
        if not isinstance(wanted, py.Constant):
            branches.append((wanted, body))
        elif wanted.value:
            otherwise = body
            break
    self.seen = after
    if otherwise is None:
        with self.captured() as otherwise:
            _no_arm(self, arms, target)
    if len(branches) > ARMS_CHAINED_MAX:
        _flat(self, branches, otherwise)
        return
    for wanted, body in reversed(branches):
        otherwise = [py.If(wanted, body or [py.Pass(**self.place)], otherwise, **self.place)]
    self.body.extend(otherwise)


def _flat(
    self: Lowering, branches: list[tuple[py.expr, list[py.stmt]]], otherwise: list[py.stmt]
) -> None:
    """Many arms one after the other, because a chain would nest too deeply for Python."""
    done = self.temp()
    self.emit_assign(done, self.const(False))
    found = py.Assign([self.store(done)], self.const(True), **self.place)
    for wanted, body in branches:
        first = self.negate(self.load(done))
        both = py.BoolOp(py.And(), [first, wanted], **self.place)
        self.emit(py.If(both, [found, *body], [], **self.place))
    if otherwise:
        self.emit(py.If(self.negate(self.load(done)), otherwise, [], **self.place))


def _body(self: Lowering, body: ast.Expr | ast.Block, target: Target) -> None:
    if isinstance(body, ast.Block):
        lower_block.statements(self, body, target)
    else:
        self.statement(ast.ExprStatement(body.span, body), target)


def _no_arm(self: Lowering, arms: tuple[ast.MatchArm, ...], target: Target) -> None:
    has_value = any(
        lower_block.has_value(self, arm.body)
        if isinstance(arm.body, ast.Block)
        else lower_block.expr_has_value(self, arm.body)
        for arm in arms
    )
    if target.kind == "return" and self.frame.mode == "route" and has_value:
        self.emit(py.Return(self.const(None), **self.place))
    else:
        lower_block.no_value(self, target)


# --- patterns that are tried ----------------------------------------


def _any_of(self: Lowering, patterns: tuple[ast.Pattern, ...], value: py.expr) -> py.expr:
    """Condition of an arm; the constant True when it always fits."""
    if len(patterns) == 1:
        return test(self, patterns[0], value)
    texts = _text_literals(self, patterns)
    if texts is not None:
        return self.compare(value, py.In(), self.const(texts))
    tests: list[py.expr] = []
    for pattern in patterns:
        wanted = test(self, pattern, value)
        stores = [_store(self, v, part) for v, part in _bound(self, pattern, value)]
        if stores:
            # Which alternative fits is only known here, so its names are assigned here too.
            always = py.List(stores, py.Load(), **self.place)  # true, as it is not empty
            wanted = _both(self, [wanted, always])
        if not isinstance(wanted, py.Constant):
            tests.append(wanted)
        elif wanted.value:
            tests.append(wanted)
            break
    return _joined(self, py.Or(), tests, default=False)


def _store(self: Lowering, variable: Variable, value: py.expr) -> py.expr:
    if variable.is_boxed:
        value = py.List([value], py.Load(), **self.place)
    return self.walrus(variable.python, value)


def _text_literals(self: Lowering, patterns: tuple[ast.Pattern, ...]) -> tuple[str, ...] | None:
    texts: list[str] = []
    for pattern in patterns:
        symbol = self.file.symbols.get(id(pattern))
        if isinstance(pattern, ast.LiteralPattern) and isinstance(pattern.value, str):
            texts.append(pattern.value)
        elif isinstance(symbol, VariantSymbol):
            texts.append(symbol.name)
        else:
            return None
    return tuple(texts)


def test(self: Lowering, pattern: ast.Pattern, value: py.expr) -> py.expr:
    """Condition for a value to match; `value` may be evaluated several times."""
    symbol = self.file.symbols.get(id(pattern))
    if isinstance(symbol, VariantSymbol):
        return self.compare(value, py.Eq(), self.const(symbol.name))
    if isinstance(pattern, ast.LiteralPattern):
        return _literal(self, pattern.value, value)
    if isinstance(pattern, ast.ListPattern):
        return _list(self, pattern, value)
    if isinstance(pattern, ast.MapPattern):
        return _map(self, pattern, value)
    return self.const(True)


def _literal(self: Lowering, wanted: Value, value: py.expr) -> py.expr:
    if wanted is None or type(wanted) is bool:
        return self.is_constant(value, wanted)
    if type(wanted) is str or wanted not in (0, 1):
        return self.compare(value, py.Eq(), self.const(wanted))
    return self.call(self.op("eq"), value, self.const(wanted))  # true is not 1


def _list(self: Lowering, pattern: ast.ListPattern, value: py.expr) -> py.expr:
    rest = [p for p in pattern.items if isinstance(p, ast.RestPattern)]
    count = self.const(len(pattern.items) - len(rest))
    size = self.call(self.support("py_len"), value)
    operator: py.cmpop = py.GtE() if rest else py.Eq()
    parts = [test(self, item, part) for item, part in _list_parts(self, pattern, value)]
    is_list = self.is_exactly(value, "list")
    return _both(self, [is_list, self.compare(size, operator, count), *parts])


def _list_parts(
    self: Lowering, pattern: ast.ListPattern, value: py.expr
) -> list[tuple[ast.Pattern, py.expr]]:
    """Items of a list pattern, without the rest, and where their values are."""
    found: list[tuple[ast.Pattern, py.expr]] = []
    shift = 0
    for place, item in enumerate(pattern.items):
        if isinstance(item, ast.RestPattern):
            shift = len(pattern.items)
        else:
            found.append((item, self.item(value, self.const(place - shift))))
    return found


def _map(self: Lowering, pattern: ast.MapPattern, value: py.expr) -> py.expr:
    names = tuple(entry.key for entry in pattern.items if not _has_default(entry.pattern))
    tests: list[py.expr] = [_has_fields(self, value, names)]
    tests += [test(self, e.pattern, _field(self, value, e.key)) for e in pattern.items]
    return _both(self, tests)


def _has_fields(self: Lowering, value: py.expr, names: tuple[str, ...]) -> py.expr:
    """Whether a value has these names: Python looks for them in a map."""
    other = self.call(self.support_of_ops("map_fields"), value, self.const(names))
    if not names or not isinstance(value, py.Name):
        return other
    there = [self.compare(self.const(name), py.In(), value) for name in names]
    in_map = there[0] if len(there) == 1 else self.both(*there)
    return self.choose(self.is_exactly(value, "dict"), in_map, other)


def _has_default(pattern: ast.Pattern) -> bool:
    return isinstance(pattern, ast.BindPattern) and pattern.default is not None


def _field(self: Lowering, value: py.expr, name: str) -> py.expr:
    return self.call(self.op("member"), value, self.const(name))


def _both(self: Lowering, tests: list[py.expr]) -> py.expr:
    """All of them; a constant when that is settled already."""
    if any(isinstance(t, py.Constant) and not t.value for t in tests):
        return self.const(False)
    wanted = [t for t in tests if not isinstance(t, py.Constant)]
    return _joined(self, py.And(), wanted, default=True)


def _joined(self: Lowering, operator: py.boolop, tests: list[py.expr], *, default: bool) -> py.expr:
    if not tests:
        return self.const(default)
    return tests[0] if len(tests) == 1 else py.BoolOp(operator, tests, **self.place)


# --- names that a matched pattern binds ----------------------------------------


def bind_names(self: Lowering, pattern: ast.Pattern, value: py.expr) -> None:
    """Assign the names of a pattern that has matched."""
    for variable, part in _bound(self, pattern, value):
        self.write(variable, part, declares=True)


def _bound(self: Lowering, pattern: ast.Pattern, value: py.expr) -> list[tuple[Variable, py.expr]]:
    """Variables of a pattern and the values they get."""
    if isinstance(pattern, ast.BindPattern):
        symbol = self.file.symbols.get(id(pattern))
        if not isinstance(symbol, Variable):
            return []
        return [(symbol, _or_default(self, pattern, value))]
    found: list[tuple[Variable, py.expr]] = []
    if isinstance(pattern, ast.ListPattern):
        for item, part in _list_parts(self, pattern, value):
            found += _bound(self, item, part)
        for place, item in enumerate(pattern.items):
            if isinstance(item, ast.RestPattern):
                after = place + 1 - len(pattern.items)
                stop = self.const(after) if after else None
                between = py.Slice(self.const(place), stop, None, **self.place)
                found += [(v, self.item(value, between)) for v in self.file.bindings[id(item)]]
    elif isinstance(pattern, ast.MapPattern):
        for entry in pattern.items:
            found += _bound(self, entry.pattern, _field(self, value, entry.key))
        found += [(v, _rest(self, pattern, value)) for v in _rest_variables(self, pattern)]
    return found


def _rest_variables(self: Lowering, pattern: ast.MapPattern) -> tuple[Variable, ...]:
    return self.file.bindings.get(id(pattern), ())


def _rest(self: Lowering, pattern: ast.MapPattern, value: py.expr) -> py.expr:
    names = self.const(tuple(entry.key for entry in pattern.items))
    return self.call(self.support_of_ops("map_rest"), value, names)


def _or_default(self: Lowering, pattern: ast.BindPattern, value: py.expr) -> py.expr:
    default = pattern.default
    if default is None:
        return value
    first, again = self.once(value)
    return self.branch(self.is_none(first), lambda: self.expr(default), again)


# --- destructuring ----------------------------------------


def take_apart(
    self: Lowering, pattern: ast.Pattern, value: py.expr, node: ast.Expr | None = None
) -> None:
    """Assign the names of a destructuring pattern.

    Args:
        self: The file.
        pattern: The pattern.
        value: What is taken apart; may be evaluated several times.
        node: What it comes from, if that is an expression.
    """
    kind = ANY if node is None else self.kinds.of(node)
    if isinstance(pattern, ast.BindPattern):
        symbol = self.file.symbols.get(id(pattern))
        if isinstance(symbol, Variable):
            _take(self, pattern, symbol, _or_default(self, pattern, value))
    elif isinstance(pattern, ast.ListPattern):
        _take_list_apart(self, pattern, value, kind)
    elif isinstance(pattern, ast.MapPattern):
        is_map: py.expr | None = None
        if kind != MAP and len(pattern.items) > 1:
            is_map = self.kept(self.is_exactly(value, "dict"))
        owner = None if node is None else self.file.symbols.get(id(node))
        for entry in pattern.items:
            if isinstance(owner, Variable) and (owner, entry.key) in self.kinds.fields:
                part: py.expr = self.item(value, self.const(entry.key))
            else:
                of = MAP if kind == MAP else ANY
                part = lower_expr.read_member(self, value, of, entry.key, is_map=is_map)
            take_apart(self, entry.pattern, _simple(self, entry.pattern, part))
        for variable in _rest_variables(self, pattern):
            _take(self, pattern, variable, _rest(self, pattern, value))


def take_parallel(self: Lowering, pattern: ast.ListPattern, values: list[py.expr]) -> None:
    """`[a, b] = [b, a]`: all values are there before the first name gets its own."""
    variables = _plain_variables(self, pattern)
    if len(variables) < 2:
        for part, value in zip(pattern.items, [self.kept(v) for v in values], strict=True):
            take_apart(self, part, value)
    else:
        # Python exchanges two or three values on its stack, and makes no tuple.
        _store_all(self, variables, py.Tuple(values, py.Load(), **self.place))


def _take(self: Lowering, pattern: ast.Pattern, variable: Variable, value: py.expr) -> None:
    what = f"variable `{variable.name}`"
    value = lower_block.checked(self, value, "any", variable.annotation, what)
    self.write(variable, value, declares=id(pattern) in self.file.declares)


def _take_list_apart(self: Lowering, pattern: ast.ListPattern, value: py.expr, kind: str) -> None:
    variables = _plain_variables(self, pattern)
    if len(variables) < 2 or not isinstance(value, py.Name):
        _take_items(self, pattern, value)
        return
    # Python takes a list of as many items apart.
    size = self.call(self.support("py_len"), value)
    is_as_long = self.compare(size, py.Eq(), self.const(len(variables)))
    is_list = self.is_exactly(value, "list")
    fits = is_as_long if kind == LIST else self.both(is_list, is_as_long)
    with self.captured() as fast:
        _store_all(self, variables, value)
    with self.captured() as slow:
        _take_items(self, pattern, value)
    self.emit(py.If(fits, fast, slow, **self.place))


def _plain_variables(self: Lowering, pattern: ast.ListPattern) -> list[Variable]:
    """The variables of a pattern of nothing but names; empty if they are more than Python's own."""
    found = [self.file.symbols.get(id(part)) for part in pattern.items]
    are_plain = all(isinstance(p, ast.BindPattern) and p.default is None for p in pattern.items)
    variables = [v for v in found if type(v) is Variable and not v.is_boxed and not v.annotation]
    return variables if are_plain and len(variables) == len(found) else []


def _store_all(self: Lowering, variables: list[Variable], value: py.expr) -> None:
    """`a, b = value`."""
    place = py.Tuple([self.store(v.python) for v in variables], py.Store(), **self.place)
    self.emit(py.Assign([place], value, **self.place))
    for variable in variables:
        self.forget(variable)
        self.note_map(variable)


def _take_items(self: Lowering, pattern: ast.ListPattern, value: py.expr) -> None:
    shift = 0
    for place, item in enumerate(pattern.items):
        if isinstance(item, ast.RestPattern):
            shift = len(pattern.items)
            after = place + 1 - shift
            stop = self.const(after or None)
            none = self.const(None)
            part: py.expr = self.call(self.op("slice"), value, self.const(place), stop, none)
            for variable in self.file.bindings[id(item)]:
                _take(self, item, variable, part)
        elif not isinstance(item, ast.WildcardPattern):
            part = self.call(self.op("index"), value, self.const(place - shift))
            take_apart(self, item, _simple(self, item, part))


def _simple(self: Lowering, pattern: ast.Pattern, value: py.expr) -> py.expr:
    """A value that may be evaluated several times, where the pattern does that."""
    return value if isinstance(pattern, ast.BindPattern) else self.kept(value)
