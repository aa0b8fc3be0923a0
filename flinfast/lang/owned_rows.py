"""Tables: owned maps of maps that are written where they are put in, whose fields have kinds.

`table[key] = { points: 0, played: 0 }` and `table[key].points += 3` are all that becomes of such a
map besides tests and its being given as a result. So nobody else has one of the inner maps, each
has the fields that it starts with, and these hold what the assignments to them show.
"""

from __future__ import annotations

from typing import Final

from flinfast.lang import ast
from flinfast.lang.owned import ENTRIES
from flinfast.lang.symbol import Origin, Variable, all_code
from flinfast.lang.types import INT, NUMBER, Kinds

Tables = dict[Variable, dict[str, str]]
_KEPT: Final = frozenset({INT, NUMBER})  # kinds that sums and products of their own stay of


def owned_rows(kinds: Kinds) -> Tables:
    """The tables of a file whose kinds are settled, with the kinds of fields of their inner maps.

    Fields are left out that one has not from its beginning, or whose kind differs or is not that of
    a number.
    """
    found = {
        variable: _first_kinds(kinds, held.sources)
        for (variable, name), held in kinds.fields.items()
        if name == ENTRIES and held.sources
    }
    tables = {variable: fields for variable, fields in found.items() if fields}
    if not tables:
        return {}
    known: set[int] = set()  # reads that let no inner map out; what is around comes before
    for node in all_code(kinds.file):
        if isinstance(node, ast.Call):
            if isinstance(node.callee, ast.Member):
                known.add(-id(node.callee))
        elif isinstance(node, ast.Binary):
            if node.operator in ("==", "!="):
                known |= {id(side) for side in (node.left, node.right) if _is_index(side)}
        elif isinstance(node, ast.Assign):
            known.add(id(node.target))
            _note_assigned(kinds, tables, node)
        elif isinstance(node, ast.Member):
            if -id(node) not in known and not node.optional:
                known.add(id(node.target))
            _forget(kinds, tables, node.target)
        elif isinstance(node, ast.Index) and id(node) not in known:
            _forget(kinds, tables, node.target)
    return tables


def table_of(kinds: Kinds, tables: Tables, node: ast.Expr) -> dict[str, str] | None:
    """The fields of `table[key]`; None for anything else."""
    if not tables or not isinstance(node, ast.Index):
        return None
    variable = _variable(kinds, node.target)
    return None if variable is None else tables.get(variable)


def _first_kinds(kinds: Kinds, sources: list[Origin]) -> dict[str, str]:
    """Kinds of the fields that all maps start with; none if one is not written there."""
    common: dict[str, str] | None = None
    for source in sources:
        if not isinstance(source, ast.MapLiteral):
            return {}
        given: dict[str, str] = {}
        for entry in source.entries:
            if not isinstance(entry.key, str):
                return {}
            given[entry.key] = kinds.of(entry.value)
        kept = given if common is None else common
        common = {name: kind for name, kind in kept.items() if given.get(name) == kind}
    return {name: kind for name, kind in (common or {}).items() if kind in _KEPT}


def _note_assigned(kinds: Kinds, tables: Tables, node: ast.Assign) -> None:
    """Forget the kind of a field that gets a value of another."""
    place = node.target
    fields = table_of(kinds, tables, place.target) if isinstance(place, ast.Member) else None
    if fields is None:
        return
    assert isinstance(place, ast.Member)
    stays = node.operator in ("=", "+=", "-=", "*=")
    if not stays or kinds.of(node.value) != fields.get(place.name):
        fields.pop(place.name, None)


def _forget(kinds: Kinds, tables: Tables, node: ast.Expr) -> None:
    """A map is no table, as somebody else may get hold of what is in it."""
    variable = _variable(kinds, node)
    if variable is not None:
        tables.pop(variable, None)


def _is_index(node: ast.Expr) -> bool:
    return isinstance(node, ast.Index)


def _variable(kinds: Kinds, node: ast.Expr) -> Variable | None:
    symbol = kinds.file.symbols.get(id(node)) if isinstance(node, ast.Name) else None
    return symbol if type(symbol) is Variable else None
