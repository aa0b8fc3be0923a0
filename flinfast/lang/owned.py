"""Maps of one variable that nothing else can get hold of: their fields have kinds, as variables do.

`state = { count: 0, log: [] }` is owned when the rest of its function only reads and sets fields by
name, and gives the map as its result at most: no call can take a field away or put another kind
into it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flinfast.lang import ast
from flinfast.lang.symbol import FileNames, FunctionSymbol, Origin, Variable, all_code

FieldKey = tuple[Variable, str]


@dataclass(slots=True, eq=False)
class OwnedField:
    """A field that an owned map has from the beginning.

    Attributes:
        sources: Where its values come from.
        kind: Evident kind of its values.
    """

    sources: list[Origin] = field(default_factory=list)
    kind: str = ""


def owned_fields(file: FileNames) -> dict[FieldKey, OwnedField]:
    """The fields of all owned maps of a resolved file."""
    names = {variable: _literal_names(variable) for variable in file.variables if _fits(variable)}
    names = {variable: found for variable, found in names.items() if found}
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
        elif kind is ast.Assign:
            assert isinstance(node, ast.Assign)
            set_to += _set(file, node)
    for symbol in (*file.functions.values(), *file.guards.values()):
        _count_results(file, symbol, uses)
    return _fields(names, uses, set_to)


def _fits(variable: Variable) -> bool:
    """Whether a variable holds nothing but maps that are written where it gets them."""
    if variable.is_captured or variable.is_file_level or variable.annotation is not None:
        return False
    return bool(variable.sources) and all(type(s) is ast.MapLiteral for s in variable.sources)


def _literal_names(variable: Variable) -> set[str]:
    """Names that every map of a variable starts with; none when one has others besides."""
    common: set[str] | None = None
    for origin in variable.sources:
        assert isinstance(origin, ast.MapLiteral)
        names = {entry.key for entry in origin.entries if isinstance(entry.key, str)}
        if len(names) < len(origin.entries):
            return set()
        common = names if common is None else common & names
    return common or set()


def _set(file: FileNames, node: ast.Assign) -> Iterable[tuple[FieldKey, Origin]]:
    """What an assignment gives to which field; the name "" when that is not known."""
    place = node.target
    if not isinstance(place, ast.Member | ast.Index):
        return
    variable = file.symbols.get(id(place.target))
    if not isinstance(variable, Variable):
        return
    if isinstance(place, ast.Index):
        yield (variable, ""), ""
    elif node.operator == "=":
        yield (variable, place.name), node.value
    else:
        result = ast.Binary(node.span, node.operator[0], place, node.value)
        file.made.append(result)
        yield (variable, place.name), result


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
    unknown = {variable for (variable, name), _ in set_to if not name}
    for variable, found in names.items():
        if uses[variable] == variable.reads and variable not in unknown:
            for name in found:
                fields[variable, name] = OwnedField()
            for origin in variable.sources:
                assert isinstance(origin, ast.MapLiteral)
                for entry in origin.entries:
                    if isinstance(entry.key, str) and entry.key in found:
                        fields[variable, entry.key].sources.append(entry.value)
    for key, given in set_to:
        if key in fields:
            fields[key].sources.append(given)
    return fields
