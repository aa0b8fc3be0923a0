"""Lowering of sums in tables: `table[key].points += 3`, see `owned_rows`.

Where the key is a text and the amount is of the kind of the field, Python does all of it, as soon
as there is such an inner map. A missing one is told by Python before anything has changed: then it
is done once more, by the operators that know the fault.
"""

from __future__ import annotations

import ast as py

from flinfast.lang import ast, lower_expr
from flinfast.lang.lower_base import STORE, Lowering
from flinfast.lang.lower_block import is_plain
from flinfast.lang.owned_rows import table_of
from flinfast.lang.types import TEXT


def add(self: Lowering, node: ast.Assign, place: ast.Member) -> bool:
    """Write a change that `lower_expr.is_change` says may be one call; False if Python cannot."""
    entry = place.target
    fields = table_of(self.kinds, self.tables, entry)
    if fields is None or self.kinds.of(node.value) != fields.get(place.name):
        return False
    assert isinstance(entry, ast.Index)
    if self.kinds.of(entry.key) != TEXT:
        return False
    with self.captured() as made:
        table, key, amount = self.operands([entry.target, entry.key, node.value])
    if made or not is_plain(key):  # it is read again after a fault
        return False
    row = self.item(table, key)
    cell = py.Subscript(row, self.const(place.name), STORE, **self.place)
    operator = py.Add() if node.operator == "+=" else py.Sub()
    with self.captured() as other:
        self.emit_expr(lower_expr.change(self, node, place))
    missing = py.ExceptHandler(self.support("py_key_error"), None, other, **self.place)
    change = py.AugAssign(cell, operator, amount, **self.place)
    self.emit(py.Try([change], [missing], [], [], **self.place))
    return True
