"""Members and items that are read in several places: evaluated once where nothing changes between.

`order.total > 0 && order.total < 9` reads `total` once. A read is remembered from where it is
certainly evaluated up to the next thing that may change what it gives: an assignment to its
variable, to any member or item, or a call. Loops, branches and functions keep what they evaluate to
themselves (`Lowering.captured`). Names of properties are left alone, as `list.shuffle` is a method.
"""

from __future__ import annotations

import ast as py
from typing import Final

from flinfast.lang import ast
from flinfast.lang.lower_base import Lowering, Read
from flinfast.lang.lower_method import is_of_text
from flinfast.lang.symbol import ContextSymbol, Variable
from flinfast.lang.types import ANY, INT, LIST, MAP

# Properties of texts and times, or no properties at all, that are as good as any key of a map.
_KEYS: Final = frozenset({"type", "title", "slug", "year", "month", "day"})


def read_of(self: Lowering, node: ast.Member | ast.Index) -> Read | None:
    """What an expression reads of a variable, if reading it again gives the same."""
    variable = self.file.symbols.get(id(node.target))
    if type(variable) is not Variable or variable.is_file_level:
        return None
    if variable.is_captured and (variable.writes > 1 or variable.in_loop):
        return None
    if type(node) is ast.Member:
        if node.optional or (node.name in self.file.table.builtins and node.name not in _KEYS):
            return None
        return (variable, node.name) if variable.kind in (ANY, MAP) else None
    assert type(node) is ast.Index
    if variable.kind not in (ANY, LIST) or self.kinds.of(node.key) != INT:
        return None
    place, moved = node.key, 0
    if type(place) is ast.Binary and type(place.right) is ast.Literal:
        if place.operator not in ("+", "-") or type(place.right.value) is not int:
            return None
        moved = place.right.value if place.operator == "+" else -place.right.value
        place = place.left
    symbol = self.file.symbols.get(id(place))
    if type(symbol) is not Variable or symbol.is_file_level or symbol.is_captured:
        return None
    return (variable, symbol, moved)


def known(self: Lowering, read: Read | None) -> py.expr | None:
    """The value of a read that has been evaluated."""
    if read is None or self.rows or self.trial is not None:
        return None
    name = self.seen.get(read)
    return None if name is None else self.load(name)


def remembered(self: Lowering, read: Read | None, value: py.expr) -> py.expr:
    """The lowered value of a read, kept where it is read again somewhere."""
    if read not in self.repeated or self.rows or self.trial is not None:
        return value
    assert read is not None
    name = value.id if isinstance(value, py.Name) else self.temp()
    self.seen[read] = name
    return self.load(name) if isinstance(value, py.Name) else self.walrus(name, value)


def is_twice(self: Lowering, node: ast.Member | ast.Index) -> bool:
    """Whether a member of a member, or item of an item, is read by one operator.

    That takes unknown kinds, and nobody else who wants the first of both reads. Any fault has the
    line on which both begin.
    """
    inner = node.target
    if type(inner) is not type(node) or self.kinds.of(inner) != ANY:
        return False
    assert isinstance(inner, ast.Member | ast.Index)
    kinds = (ANY, MAP) if isinstance(inner, ast.Member) or self.frame.loops else (ANY, MAP, LIST)
    if self.kinds.of(inner.target) not in kinds or id(inner) in self.file.symbols:
        return False
    read = read_of(self, inner)
    if read in self.repeated or known(self, read) is not None:
        return False
    if isinstance(inner, ast.Index):
        assert isinstance(node, ast.Index)
        return not _is_name(inner.key) and self.kinds.of(node.key) == INT and _is_plain(node.key)
    assert isinstance(node, ast.Member)
    if inner.optional or node.optional or is_of_text(inner.name):
        return False
    if node.name != "len" and is_of_text(node.name):
        return False
    if self.kinds.owned(inner) is not None or self.kinds.owned(node) is not None:
        return False
    symbol = self.file.symbols.get(id(inner.target))
    return not isinstance(symbol, ContextSymbol)


def _is_name(key: ast.Expr) -> bool:
    return isinstance(key, ast.Literal) and isinstance(key.value, str)


def _is_plain(key: ast.Expr) -> bool:
    """Whether an int is made without a fault and changes nothing: a sum of variables at most."""
    if isinstance(key, ast.Binary):
        return key.operator in ("+", "-") and _is_plain(key.left) and _is_plain(key.right)
    return isinstance(key, ast.Name | ast.Literal)


def is_tested(self: Lowering, value: py.expr, python_type: str) -> py.expr:
    """`is_exactly` of a value that is looked at first of all; kept for what is read again."""
    if not isinstance(value, py.Name) or value.id not in self.seen.values():
        return self.is_exactly(value, python_type)
    test = (value.id, python_type)
    name = self.seen.get(test)
    if name is not None:
        return self.load(name)
    found = self.is_exactly(value, python_type)
    name = self.seen[test] = self.temp()
    return self.walrus(name, found)
