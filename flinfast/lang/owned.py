"""Maps of one variable that nothing else can get hold of: their fields have kinds, as variables do.

`state = { count: 0, log: [] }` is owned when the rest of its function only reads and sets fields by
name, and gives the map as its result at most: no call can take a field away or put another kind
into it. Where fields are set by computed names, all values of the map together have a kind: that of
the field ENTRIES.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from flinfast.lang import ast
from flinfast.lang.abi import Value
from flinfast.lang.symbol import FileNames, FunctionSymbol, Origin, Variable, all_code

FieldKey = tuple[Variable, str]
ENTRIES: Final = "*"


@dataclass(slots=True, eq=False)
class OwnedField:
    """A field that an owned map has from the beginning.

    Attributes:
        sources: Where its values come from.
        kind: Evident kind of its values.
    """

    sources: list[Origin] = field(default_factory=list)
    kind: str = ""


def chain_of(node: ast.Expr) -> tuple[ast.Expr, str]:
    """What `target.a.b[0]` begins with, and the rest: "a.b.0"; a literal place counts as a name."""
    names: list[str] = []
    while True:
        if type(node) is ast.Member:
            names.append(node.name)
        elif type(node) is ast.Index and type(node.key) is ast.Literal and is_place(node.key.value):
            names.append(str(node.key.value))
        else:
            return node, ".".join(reversed(names))
        node = node.target


def is_place(value: Value) -> bool:
    """Whether a literal is a place in a list, from its beginning."""
    return type(value) is int and value >= 0


def owned_fields(file: FileNames) -> dict[FieldKey, OwnedField]:
    """The fields of all owned maps of a resolved file."""
    names = {variable: _literal_names(variable) for variable in file.variables if _fits(variable)}
    if not names:
        return {}
    uses = dict.fromkeys(names, 0)
    called: set[int] = set()
    set_to: list[tuple[FieldKey, Origin]] = []
    for node in all_code(file):
        kind = type(node)
        if kind is ast.Call:
            called.add(id(node.callee))  # type: ignore[attr-defined]
        elif kind is ast.Member or kind is ast.Index:
            variable = file.symbols.get(id(node.target))  # type: ignore[attr-defined]
            if variable in uses and id(node) not in called:
                uses[variable] += 1
        elif kind is ast.Binary and node.operator in _TESTS:  # type: ignore[attr-defined]
            variable = file.symbols.get(id(node.right))  # type: ignore[attr-defined]
            if variable in uses:
                uses[variable] += 1
        elif kind is ast.Assign:
            assert isinstance(node, ast.Assign)
            set_to += _set(file, node)
    for symbol in (*file.functions.values(), *file.guards.values()):
        _count_results(file, symbol, uses)
    return _fields(names, uses, set_to)


_TESTS: Final = frozenset({"in", "not_in"})


def _fits(variable: Variable) -> bool:
    """Whether a variable holds nothing but maps that are written where it gets them."""
    if variable.is_captured or variable.is_file_level or variable.annotation is not None:
        return False
    return bool(variable.sources) and all(type(s) is ast.MapLiteral for s in variable.sources)


def _literal_names(variable: Variable) -> set[str]:
    """Names that every map of a variable starts with; none when one has others besides.

    A key that is no name is left out: it may look like a chain of them.
    """
    common: set[str] | None = None
    for origin in variable.sources:
        assert isinstance(origin, ast.MapLiteral)
        names = {entry.key for entry in origin.entries if isinstance(entry.key, str)}
        if len(names) < len(origin.entries):
            return set()
        common = names if common is None else common & names
    return {name for name in common or () if name.isidentifier()}


def _entries(variable: Variable) -> Iterable[ast.MapEntry]:
    """Entries of all maps that a variable gets."""
    for origin in variable.sources:
        assert isinstance(origin, ast.MapLiteral)
        yield from origin.entries


def _set(file: FileNames, node: ast.Assign) -> Iterable[tuple[FieldKey, Origin]]:
    """What an assignment gives to which field; ENTRIES when that is not known."""
    place = node.target
    if not isinstance(place, ast.Member | ast.Index):
        return
    variable = file.symbols.get(id(place.target))
    if not isinstance(variable, Variable):
        return
    value: ast.Expr = node.value
    if node.operator != "=":
        value = ast.Binary(node.span, node.operator[0], place, node.value)
        file.made.append(value)
    yield (variable, place.name if isinstance(place, ast.Member) else ENTRIES), value


def _count_results(file: FileNames, symbol: FunctionSymbol, uses: dict[Variable, int]) -> None:
    """Count the results of a function: when it gives its map away, it is over."""
    for origin in symbol.results:
        variable = file.symbols.get(id(origin)) if type(origin) is ast.Name else None
        if variable in uses:
            uses[variable] += 1


def _fields(
    names: dict[Variable, set[str]],
    uses: dict[Variable, int],
    set_to: list[tuple[FieldKey, Origin]],
) -> dict[FieldKey, OwnedField]:
    fields: dict[FieldKey, OwnedField] = {}
    unknown = {variable for (variable, name), _ in set_to if name == ENTRIES}
    for variable, found in names.items():
        if uses[variable] != variable.reads:
            continue
        if variable in unknown:
            if not any(entry.key is None for entry in _entries(variable)):
                sources: list[Origin] = [entry.value for entry in _entries(variable)]
                sources += [given for (owner, _), given in set_to if owner is variable]
                fields[variable, ENTRIES] = OwnedField(sources)
        else:
            for name in found:
                fields[variable, name] = OwnedField()
            for entry in _entries(variable):
                if isinstance(entry.key, str) and entry.key in found:
                    fields[variable, entry.key].sources.append(entry.value)
    for key, given in set_to:
        if key in fields and key[1] != ENTRIES:
            fields[key].sources.append(given)
    return fields
