"""What the runtime does with an entry of a map in one call: add to it, or loop over its items.

`counts[word] = (counts[word] ?? 0) + 1` looks the entry up, adds and sets it: where the kinds of
the map, the key or the values show only when it runs, each step asks for them anew. `add_to_entry`
does all of it in one call. Its faults have the line of that call, so a statement on several lines
is done step by step.
"""

from __future__ import annotations

import ast as py
from typing import Final

from flinfast.lang import ast
from flinfast.lang.lower_base import Lowering
from flinfast.lang.symbol import Variable
from flinfast.lang.types import ANY, INT, MAP, NUMBER

_ADDED: Final = frozenset({ANY, INT, NUMBER})  # kinds of sums; texts are joined otherwise


def added(self: Lowering, node: ast.Assign, place: ast.Index) -> py.expr | None:
    """One call for `map[key] = (map[key] ?? first) + amount`, or `map[key] += amount`.

    It reads the entry after the amount, so that has to be one that nothing changes.

    Returns:
        None when the assignment is another one, or its kinds are known and Python does it sooner.
    """
    if self.rows or self.trial is not None or self.place["lineno"] != self.place["end_lineno"]:
        return None
    parts = _parts(self, node, place)
    if parts is None:
        return None
    first, amount = parts
    is_known = self.kinds.of(place.target) == MAP and self.kinds.of(place.key) != ANY
    if self.kinds.of(place.target) not in (ANY, MAP) or self.kinds.of(amount) not in _ADDED:
        return None
    if is_known and self.kinds.entry(place) in (INT, NUMBER):
        return None
    values = self.operands([place.target, place.key, first, amount])
    return self.call(self.op("add_to_entry"), *values)


def _parts(
    self: Lowering, node: ast.Assign, place: ast.Index
) -> tuple[ast.Literal, ast.Expr] | None:
    """What stands for a missing entry, and what is added to it."""
    names = (_own(self, place.target), _own(self, place.key))
    if None in names:
        return None
    first: ast.Expr = ast.Literal(node.span, None)
    amount = node.value
    if node.operator == "=":
        if not isinstance(amount, ast.Binary) or amount.operator != "+":
            return None
        before, amount = amount.left, amount.right
        if not isinstance(before, ast.Binary) or before.operator != "??":
            return None
        read, first = before.left, before.right
        if not isinstance(read, ast.Index):
            return None
        if (_own(self, read.target), _own(self, read.key)) != names:
            return None
    elif node.operator != "+=":
        return None
    if not isinstance(first, ast.Literal) or type(first.value) is str:
        return None
    is_fixed = isinstance(amount, ast.Literal) or _own(self, amount) is not None
    return (first, amount) if is_fixed else None


def _own(self: Lowering, node: ast.Expr) -> Variable | None:
    """The variable that an expression is, if only its function sees it."""
    variable = self.file.symbols.get(id(node)) if isinstance(node, ast.Name) else None
    if type(variable) is not Variable or variable.is_captured or variable.is_file_level:
        return None
    return variable


def items_of(self: Lowering, value: py.expr) -> py.expr:
    """The items that a loop goes through and their class: those of an entry by one operator."""
    if isinstance(value, py.Call) and isinstance(value.func, py.Name):
        is_entry = value.func.id == self.op("index").id
        if is_entry and value.lineno == value.end_lineno == self.place["lineno"]:
            return self.call(self.op("items_at"), *value.args)
    return self.call(self.op("items"), value)
