"""Calls of methods that no value has: `text.toUpperCase()`, `record.save()`.

There are no methods but the builtins, those of the objects around a request, and functions that a
map holds. A name that is none of these fails whenever it is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.diagnostic import suggest
from flinfast.lang.report import Report
from flinfast.lang.symbol import (
    UNKNOWN,
    ContextSymbol,
    FileNames,
    ProjectTable,
    Variable,
    all_code,
)
from flinfast.lang.types import (
    BOOL,
    INT,
    LIST,
    MAP,
    NUMBER,
    QUERY_RESULTS,
    RANGE,
    SIZE_NAMES,
    TEXT,
    Kinds,
    entity_of,
)
from flinfast.lang.vocabulary import FOREIGN_METHODS

_PLAIN: Final = {TEXT: "text", INT: "int", NUMBER: "number", BOOL: "bool", LIST: "list"}
_KINDS: Final = _PLAIN | {RANGE: "range"}
_OF_RECORDS: Final = frozenset({"history", "to_map", "version_at"})
# Of queries, sessions, headers, `response` and the connections of tests (FLIN reference 8).
_OF_OBJECTS: Final = (
    _OF_RECORDS
    | set(QUERY_RESULTS)
    | {"destroy", "clear", "get", "has", "has_key", "send", "receive", "receive_close"}
    | {"is_silent", "close", "ok", "created", "accepted", "no_content", "bad_request", "error"}
    | {"unauthorized", "forbidden", "not_found", "redirect", "json", "html", "text"}
)
_OF_MAPS: Final = SIZE_NAMES | {"keys", "values", "entries", "is_empty"}
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def check_methods(readers: Iterable[Kinds], report: Report) -> None:
    """Warn about calls of methods that the value, or any value of the program, cannot have."""
    readers = list(readers)
    keys = {key for reader in readers for node in all_code(reader.file) for key in _keys(node)}
    for reader in readers:
        called: set[int] = set()  # ids of members; a call stands before what it calls
        for node in all_code(reader.file):
            if isinstance(node, ast.Call) and isinstance(node.callee, ast.Name):
                _check_response(reader.file, node.callee, report)
            elif isinstance(node, ast.Call) and isinstance(node.callee, ast.Member):
                called.add(id(node.callee))
                _check(reader, node, node.callee, keys, report)
            elif isinstance(node, ast.Member) and id(node) not in called:
                _check_member(reader, node, keys, report)


def _keys(node: ast.Node) -> Iterable[str]:
    """Names under which this puts something into a map."""
    if isinstance(node, ast.MapLiteral):
        for entry in node.entries:
            key = entry.key.value if isinstance(entry.key, ast.Literal) else entry.key
            if isinstance(key, str):
                yield key
    elif isinstance(node, ast.Assign):
        target = node.target
        if isinstance(target, ast.Member):
            yield target.name
        elif isinstance(target, ast.Index) and isinstance(target.key, ast.Literal):
            yield str(target.key.value)


def _check(
    reader: Kinds, node: ast.Call, callee: ast.Member, keys: set[str], report: Report
) -> None:
    file, name = reader.file, callee.name
    if id(node) in file.queries or isinstance(file.symbols.get(id(callee)), Builtin):
        return
    if _is_builtin(reader.table, name) or _is_reported(file, callee.target):
        return
    kind = reader.of(callee.target)
    entity = entity_of(kind, "record")
    if entity:
        label = "" if name in _OF_RECORDS else f"a record of `{entity}` has no method of this name"
    elif kind in _KINDS:
        label = f"{_KINDS[kind]} has no method of this name"
    elif _is_ws(file, callee.target):
        label = "`ws` has no methods"
    else:
        label = "" if name in _OF_OBJECTS or name in keys else "nothing has a method of this name"
    if label:
        message = f"unknown method `{name}`"
        help = advice(name, reader.table)
        report.warning("FL203", message, file.source, callee.name_span, label, help=help)


def _check_member(reader: Kinds, node: ast.Member, keys: set[str], report: Report) -> None:
    """Warn about `map.len`, which is a key of the map, where nothing has such a key."""
    if node.name not in _OF_MAPS or node.name in keys or reader.of(node.target) != MAP:
        return
    symbol = reader.file.symbols.get(id(node.target))
    if not isinstance(symbol, Variable) or not all(map(_shows_keys, symbol.sources)):
        return
    message = f"`{node.name}` without parentheses is a key of a map"
    label = "nothing puts such a key into a map"
    help = f"write `.{node.name}()`"
    report.warning("FL203", message, reader.file.source, node.name_span, label, help=help)


def _check_response(file: FileNames, callee: ast.Name, report: Report) -> None:
    """Warn about `response(201, value)`."""
    symbol = file.symbols.get(id(callee))
    if isinstance(symbol, ContextSymbol) and symbol.name == "response":
        help = "write `response { status: 201, body: value }`"
        report.warning("FL203", "`response` is not a function", file.source, callee.span, help=help)


def _shows_keys(source: object) -> bool:
    """Whether it is a map with nothing of another one in it."""
    return isinstance(source, ast.MapLiteral) and all(e.key is not None for e in source.entries)


def advice(name: str, table: ProjectTable) -> str:
    """What to write instead of a method of another language, or ""."""
    if name in FOREIGN_METHODS:
        return FOREIGN_METHODS[name]
    plain = _HUMP.sub("_", name).lower()
    if not _is_builtin(table, plain):
        plain = suggest(name, (known for known in table.builtins if _is_builtin(table, known)))
    return f"did you mean `{plain}`?" if plain else ""


def _is_builtin(table: ProjectTable, name: str) -> bool:
    builtin = table.builtins.get(name)
    return builtin is not None and bool(builtin.parameters) and not name.startswith("_")


def _is_reported(file: FileNames, node: ast.Expr) -> bool:
    """Whether this is a part of what an unknown name would be."""
    while isinstance(node, ast.Member | ast.Index):
        node = node.target
    return file.symbols.get(id(node)) is UNKNOWN


def _is_ws(file: FileNames, node: ast.Expr) -> bool:
    symbol = file.symbols.get(id(node))
    return isinstance(symbol, ContextSymbol) and symbol.name == "ws"
