"""Advice about queries: a `where` that reads every record, or finds every one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from flinfast.lang import ast
from flinfast.lang.report import Report
from flinfast.lang.symbol import EntitySymbol, FieldSymbol, FileNames, Variable, all_code
from flinfast.lang.types import INT, LIST, MAP, NUMBER, TEXT, Kinds, entity_of

_SELECTIVE: Final = frozenset({"text", "int", "number", "time", "duration"})  # many values each
_ORDER: Final = frozenset({"<", "<=", ">", ">="})


def check_queries(readers: Iterable[Kinds], report: Report) -> None:
    """Warn about what `where` gets: equality without an index, and what is no condition."""
    for reader in readers:
        for node in all_code(reader.file):
            if isinstance(node, ast.Call) and isinstance(node.callee, ast.Member):
                _check_condition(reader, node, node.callee, report)
                _check(reader, node, node.callee, report)


def _check_condition(reader: Kinds, node: ast.Call, callee: ast.Member, report: Report) -> None:
    """Warn about `where({ done: true })` and `where("done = 1")`, which all records pass."""
    is_query = entity_of(reader.of(callee.target), "handle", "query") != ""
    if callee.name != "where" or not is_query or len(node.arguments) != 1:
        return
    value = node.arguments[0].value
    kind = reader.of(value)
    if not (
        kind in (MAP, LIST) or (isinstance(value, ast.Literal) and kind in (TEXT, INT, NUMBER))
    ):
        return
    field = "field"
    if isinstance(value, ast.MapLiteral) and value.entries:
        key = value.entries[0].key
        field = key if isinstance(key, str) else field
    report.warning(
        "FL218",
        f"`where` takes a condition, and this is a {kind}",
        reader.file.source,
        value.span,
        "every record passes",
        help=f"write `.where({field} == value)`",
    )


def _check(reader: Kinds, node: ast.Call, callee: ast.Member, report: Report) -> None:
    entity = entity_of(reader.of(callee.target), "handle")
    symbol = reader.table.entities.get(entity)
    if callee.name != "where" or symbol is None or len(node.arguments) != 1:
        return
    condition = node.arguments[0].value
    row: Variable | None = None
    if isinstance(condition, ast.Lambda):
        if len(condition.parameters) != 1 or not isinstance(condition.body, ast.Expr):
            return
        row = reader.file.bindings[id(condition.parameters[0])][0]
        condition = condition.body
    found: list[tuple[str, ast.Expr]] = []
    for operator, side in _comparisons(condition):
        name = _field(reader.file, side, symbol, row)
        if not name:
            continue
        if is_indexed(reader, symbol, name):
            return
        info = symbol.fields.get(name)
        if operator not in _ORDER and info is not None and info.type.name in _SELECTIVE:
            found.append((name, side))
    if found:
        name, side = found[0]
        declared = f"{name}: {symbol.fields[name].type.name} @index"
        report.warning(
            "FL220",
            f"this reads every `{entity}` to find some",
            reader.file.source,
            side.span,
            f"`{name}` has no index",
            help=f"declare the field with an index: `{declared}`",
        )


def _comparisons(condition: ast.Expr) -> Iterator[tuple[str, ast.Expr]]:
    """Operators and sides of the comparisons that all rows must pass."""
    pending = [condition]
    while pending:
        node = pending.pop()
        if not isinstance(node, ast.Binary):
            continue
        if node.operator == "&&":
            pending += [node.right, node.left]
        elif node.operator == "==" or node.operator in _ORDER:
            yield node.operator, node.left
            yield node.operator, node.right
        elif node.operator == "in":
            yield node.operator, node.left


def _field(file: FileNames, node: ast.Expr, entity: EntitySymbol, row: Variable | None) -> str:
    """Name of the field of the row that an expression is, or ""."""
    symbol = file.symbols.get(id(node))
    if isinstance(symbol, FieldSymbol) and symbol.entity == entity.name:
        return symbol.name
    if row is not None and isinstance(node, ast.Member) and isinstance(node.target, ast.Name):
        return node.name if file.symbols.get(id(node.target)) is row else ""
    return ""


def is_indexed(reader: Kinds, entity: EntitySymbol, name: str) -> bool:
    """Whether the store finds records by this field without reading all of them."""
    info = entity.fields.get(name)
    if info is None:
        return name == "id"
    modifiers = {modifier for modifier, _ in info.modifiers}
    return bool(modifiers & {"index", "unique"}) or info.type.name in reader.table.entities
