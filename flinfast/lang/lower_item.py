"""Items of lists in special forms, whose lists and indexes are evident (`special`).

`rows[y][x]` is an item of a list of lists nearly always where `rows` is a list, and `x` and `y`
are counted with: Python's own is tried, and the operator decides where Python refuses. Of no value
it gives anything else: a map has texts as keys, so it refuses every int. Nor has the statement
changed anything by then, as the indexes are sums of names and literals.
"""

from __future__ import annotations

import ast as py
from functools import partial

from flinfast.lang import ast
from flinfast.lang.lower_base import LOAD, Lowering
from flinfast.lang.lower_value import Tried
from flinfast.lang.types import ANY, INT, LIST


def item_of_item(self: Lowering, node: ast.Index) -> Tried | None:
    """`rows[y][x]`, tried; None where it is not evident enough."""
    inner = node.target
    if not self.is_special or self.rows or not isinstance(inner, ast.Index):
        return None
    if self.trial is not None or not _is_in_list(self, inner):
        return None
    if self.kinds.of(node.key) != INT or not _is_sum(node.key):
        return None
    rows, key, next_key = self.operands([inner.target, inner.key, node.key])
    found = self.item(self.item(rows, key), next_key)
    other = self.call(self.op("index_twice"), rows, key, next_key)
    return _tried(self, found, other, "py_no_item")


def assign(self: Lowering, node: ast.Assign, place: ast.Index) -> bool:
    """Write `rows[y][x] = value`, or `row[x] = value` of an unknown `row`, which is asked for.

    Returns:
        Whether it has been written.
    """
    if not self.is_special or self.rows or self.trial is not None or node.operator != "=":
        return False
    if self.kinds.of(place.target) != ANY or self.kinds.of(place.key) != INT:
        return False
    makers = [
        partial(_owner, self, place.target),
        partial(self.expr, place.key),
        partial(self.expr, node.value),
    ]
    owner, key, value = self.in_order(makers, [place.target, place.key, node.value])
    owner = owner if self.is_stable(place.target, owner) else self.kept(owner)
    key = key if self.is_stable(place.key, key) else self.kept(key)
    value = value if self.is_stable(node.value, value) else self.kept(value)
    slow = py.Expr(self.call(self.op("set_index"), owner, key, value), **self.place)
    cell = py.Subscript(owner, key, py.Store(), **self.place)
    with self.captured() as of_list:
        self.emit_in_bounds(py.Assign([cell], value, **self.place), slow)
    self.emit(py.If(self.is_exactly(owner, "list"), of_list, [slow], **self.place))
    return True


def _owner(self: Lowering, node: ast.Expr) -> py.expr:
    """The list that gets an item: if it is one itself, it is there as a rule."""
    if not isinstance(node, ast.Index) or not _is_in_list(self, node):
        return self.expr(node)
    rows, key = self.operands([node.target, node.key])
    return _tried(self, self.item(rows, key), self.const(None), "py_index_error")


def _tried(self: Lowering, found: py.expr, other: py.expr, refused: str) -> Tried:
    """`found`, or `other` where Python refuses it."""
    result = self.temp()
    missing = py.Assign([self.store(result)], other, **self.place)
    self.emit_unless(refused, py.Assign([self.store(result)], found, **self.place), missing)
    tried = Tried(result, LOAD, **self.place)
    (tried.attempt,) = self.body[-1:]  # type: ignore[assignment]  # a Try, see above
    return tried


def _is_in_list(self: Lowering, node: ast.Index) -> bool:
    """Whether it is an item of a variable that holds a list, by an int."""
    is_list = isinstance(node.target, ast.Name) and self.kinds.of(node.target) == LIST
    return is_list and self.kinds.of(node.key) == INT and _is_sum(node.key)


def _is_sum(key: ast.Expr) -> bool:
    """Whether a key is a sum of variables and literals at most."""
    if isinstance(key, ast.Binary):
        return key.operator in ("+", "-") and _is_sum(key.left) and _is_sum(key.right)
    return isinstance(key, ast.Name | ast.Literal)
