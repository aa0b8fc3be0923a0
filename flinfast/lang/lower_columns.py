"""Fields of the items of a loop that are read before its first turn: as columns of a table.

`for p in points { sum += p.x * p.y }` reads two fields of each item. Where one call looks at all
items first (`lower_fields`), it has found the fields, and gives their values beside each other:
`for x, y in columns: sum += x * y`. An item of a list by a literal place, `p.goals[0]`, counts as a
field of the list. The item itself is given too, if something needs it.

A field is no column if the loop sets a field of that name in any item: two items may be one map.
With places among them it may set no items of lists, and add none where one may be missing.
"""

from __future__ import annotations

import ast as py
from dataclasses import dataclass, field

from flinfast.lang import ast
from flinfast.lang.lower_base import STORE, Lowering
from flinfast.lang.owned import is_place
from flinfast.lang.symbol import Variable
from flinfast.lang.types import ANY

Path = tuple[str | int, ...]  # names of members, and literal places in lists
_ITEM = -1  # the place of the item among its fields, see `field_columns` of native/operators.pyi


@dataclass(slots=True)
class Columns:
    """The columns of one loop.

    Attributes:
        item: The loop variable.
        places: Fields that may be columns -> their places among those that are looked at.
        names: Python names of those that are read.
        needs_item: Whether the item is read by itself.
    """

    item: Variable
    places: dict[Path, int]
    names: dict[Path, str] = field(default_factory=dict)
    needs_item: bool = False


def path_of(self: Lowering, item: Variable, node: ast.Node) -> Path:
    """The names and places of `item.a[0].b`; () for anything else."""
    steps: list[str | int] = []
    while True:
        if type(node) is ast.Member and id(node) not in self.file.symbols:
            steps.append(node.name)
        elif type(node) is ast.Index and type(node.key) is ast.Literal and is_place(node.key.value):
            assert type(node.key.value) is int
            steps.append(node.key.value)
        else:
            break
        node = node.target
    if type(node) is not ast.Name or self.file.symbols.get(id(node)) is not item:
        return ()
    return tuple(reversed(steps)) if steps and type(steps[-1]) is str else ()


def column_of(self: Lowering, node: ast.Member | ast.Index) -> py.expr | None:
    """The value of a field of the item, if it is a column."""
    columns = self.columns
    assert columns is not None
    return _column(self, columns, path_of(self, columns.item, node))


def _column(self: Lowering, columns: Columns, path: Path) -> py.Name | None:
    if path not in columns.places:
        return None
    name = columns.names.get(path)
    if name is None:
        name = columns.names[path] = self.temp()
    return self.load(name)


def taken_apart(
    self: Lowering, node: ast.Destructure
) -> list[tuple[ast.Pattern, Variable, py.Name]]:
    """The parts of `{ x, y } = item` and their values, if all are columns; or nothing.

    A variable of known kind that gets its only value here is given that by the loop itself, and is
    its own value.
    """
    columns, pattern = self.columns, node.pattern
    assert columns is not None
    is_of_item = self.file.symbols.get(id(node.value)) is columns.item
    if not is_of_item or not isinstance(pattern, ast.MapPattern):
        return []
    if not all((entry.key,) in columns.places for entry in pattern.items):
        return []
    found: list[tuple[ast.Pattern, Variable, py.Name]] = []
    for entry in pattern.items:
        path = (entry.key,)
        variable = self.file.symbols.get(id(entry.pattern))
        assert isinstance(variable, Variable)
        is_alone = variable.writes == 1 and not variable.is_boxed and variable.kind != ANY
        if path not in columns.names and is_alone:
            columns.names[path] = variable.python
        value = _column(self, columns, path)
        assert value is not None
        found.append((entry.pattern, variable, value))
    return found


def go_through(self: Lowering, columns: Columns, loop: py.For) -> tuple[int, ...]:
    """Let a loop over the items go through the columns.

    Returns:
        The places of the columns, in their order.
    """
    names = {columns.places[path]: name for path, name in columns.names.items()}
    if columns.needs_item or not names:
        assert isinstance(loop.target, py.Name)
        names[_ITEM] = loop.target.id
    places = tuple(sorted(names))
    if len(places) == 1:
        loop.target = self.store(names[places[0]])
    else:
        targets: list[py.expr] = [self.store(names[place]) for place in places]
        loop.target = py.Tuple(targets, STORE, **self.place)
    return places
