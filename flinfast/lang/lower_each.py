"""`items.map(x => ...)`, `filter`, `any`, `sum` and their like as comprehensions and loops.

Only for a lambda of one plain parameter whose body is one expression without a lambda in it, and
not what walks can compute (`lower_formula`): its code is written twice where the items may be
something else than a list.
"""

from __future__ import annotations

import ast as py
from collections.abc import Sequence
from functools import partial
from typing import Final

from flinfast.lang import ast, lower_method
from flinfast.lang.lower_base import CONTEXT, LOAD, Frame, Lowering
from flinfast.lang.lower_formula import formula_of
from flinfast.lang.lower_function import inside
from flinfast.lang.lower_operator import condition
from flinfast.lang.symbol import walk
from flinfast.lang.types import LIST

# By the truth of the body.
_TESTS: Final = frozenset({"filter", "any", "some", "all", "every", "find", "find_index", "count"})
_MAP: Final = "map"
# Of the values of the body -> method of the list of them.
_FOLDS: Final = {
    "flat_map": "flatten",
    "sum": "sum",
    "avg": "avg",
    "min": "min",
    "max": "max",
}
_SIZE_MAX: Final = 40  # nodes of a body that is written twice


def fits(node: ast.Call) -> bool:
    """Whether a call of a method may be a comprehension."""
    callee = node.callee
    if (
        not isinstance(callee, ast.Member)
        or not (callee.name == _MAP or callee.name in _TESTS or callee.name in _FOLDS)
        or len(node.arguments) != 1
    ):
        return False
    argument = node.arguments[0]
    function = argument.value
    if argument.name is not None or argument.spread or not isinstance(function, ast.Lambda):
        return False
    if len(function.parameters) != 1 or isinstance(function.body, ast.Block):
        return False
    parameter = function.parameters[0]
    if parameter.rest or parameter.default is not None or parameter.type is not None:
        return False
    for count, inner in enumerate(walk(function.body)):
        if count > _SIZE_MAX or isinstance(inner, ast.Lambda):
            return False
    return True


def is_walk(self: Lowering, node: ast.Call) -> bool:
    """Whether a call of a method gets a lambda with a formula: the walk itself is the fastest."""
    return any(formula_of(self, argument.value) is not None for argument in node.arguments)


def comprehension(self: Lowering, kind: str, callee: ast.Member, node: ast.Call) -> py.expr | None:
    """The call on a value of a kind; None when the body needs statements of its own."""
    function = node.arguments[0].value
    assert isinstance(function, ast.Lambda)
    assert not isinstance(function.body, ast.Block)
    variable = self.file.bindings[id(function.parameters[0])][0]
    scope = self.file.scopes[id(function)]
    if variable.is_boxed or variable.writes > 1 or scope.outer_written:
        return None
    if callee.name in _FOLDS and self.frame.title == "lambda":
        return None  # a loop would make a loop of what is around it, too
    flag = self.temp() if variable in self.asked else ""
    if flag:
        self.maps[variable] = flag
    own = variable.python
    if callee.name in _FOLDS:
        variable.python = self.temp()  # the function around may have a variable of that name
    name = variable.python
    with inside(self, Frame(scope, "value", title="lambda", relays=self.frame.relays)) as made:
        is_test = callee.name in _TESTS
        body = condition(self, function.body) if is_test else self.expr(function.body)
    self.maps.pop(variable, None)  # it is a name of the comprehension alone
    variable.python = own
    if made:
        return None
    items = self.kept(self.expr(callee.target))
    snapshot = self.item(items, py.Slice(None, None, None, **self.place))

    def walk() -> py.expr:
        method = lower_method.method(self, callee.name, 1)
        return self.call(method, self.load(CONTEXT), items, self.expr(function))

    is_map = self.is_exactly(self.load(name), "dict")
    if callee.name in _FOLDS:
        setup = [py.Assign([self.store(flag)], is_map, **self.place)] if flag else []
        fold = partial(_folded, self, callee.name, name, snapshot, setup, body)
        return fold() if kind == LIST else self.branch(self.is_exactly(items, "list"), fold, walk)
    turns = [py.comprehension(self.store(name), snapshot, [], 0)]
    if flag:  # to Python, a loop over a list of one value is an assignment
        turns.append(
            py.comprehension(self.store(flag), py.List([is_map], LOAD, **self.place), [], 0)
        )
    if is_test:
        fast = _tested(self, callee.name, name, body, turns)
    else:
        fast = py.ListComp(body, turns, **self.place)
    return fast if kind == LIST else self.choose(self.is_exactly(items, "list"), fast, walk())


def _tested(
    self: Lowering, method: str, name: str, test: py.expr, turns: list[py.comprehension]
) -> py.expr:
    """What a method makes of a test of the items called `name`."""
    if method in ("any", "some"):
        return self.call(self.support("py_any"), py.GeneratorExp(test, turns, **self.place))
    if method in ("all", "every"):
        return self.call(self.support("py_all"), py.GeneratorExp(test, turns, **self.place))
    turns[-1].ifs = [test]
    if method == "find":
        found = py.GeneratorExp(self.load(name), turns, **self.place)
        return self.call(self.support("py_next"), found, self.const(None))
    if method == "find_index":
        place = self.temp()
        pair = py.Tuple([self.store(place), turns[0].target], py.Store(), **self.place)
        turns[0].target = pair
        turns[0].iter = self.call(self.support("py_enumerate"), turns[0].iter)
        found = py.GeneratorExp(self.load(place), turns, **self.place)
        return self.call(self.support("py_next"), found, self.const(-1))
    kept = py.ListComp(self.load(name), turns, **self.place)
    return kept if method == "filter" else self.call(self.support("py_len"), kept)


def _folded(
    self: Lowering,
    method: str,
    name: str,
    items: py.expr,
    setup: Sequence[py.stmt],
    value: py.expr,
) -> py.expr:
    """What a method makes of the values of a function of the items called `name`.

    When the function fails, an earlier value may be one that the method refuses: of both faults,
    the one that belongs to the earlier item is told.
    """
    values = self.temp()
    self.emit_assign(values, py.List([], LOAD, **self.place))

    def fold() -> py.expr:
        combine = lower_method.method(self, _FOLDS[method], 0)
        return self.call(combine, self.load(CONTEXT), self.load(values))

    add = self.call(self.attr(self.load(values), "append"), value)
    turn = [*setup, py.Expr(add, **self.place)]
    loop = py.For(self.store(name), items, turn, [], **self.place)
    earlier = [py.Expr(fold(), **self.place), py.Raise(None, None, **self.place)]
    failed = py.ExceptHandler(self.support("py_exception"), None, earlier, **self.place)
    self.emit(py.Try([loop], [failed], [], [], **self.place))
    return fold()
