"""What handlers may do: write, wait, read, send, join rooms.

Conservative: a handler is said to do whatever some path through it, or through a function it uses,
could do. A function value that is called counts as every lambda of the file; a lambda counts where
it is written. Handlers for which all is false run without any ceremony, so what the common ones do
(reading `data`, `session`, `params`, broadcasting) must be seen through exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.program import Effects
from flinfast.lang.symbol import (
    NOTHING,
    ContextSymbol,
    EntitySymbol,
    FunctionSymbol,
    ProjectTable,
    Variable,
    all_code,
    extent_of,
)
from flinfast.lang.types import MAP, Kinds, entity_of

_READS: Final = Effects(reads=True)
_WRITES: Final = Effects(writes=True, reads=True)
_SENDERS: Final = frozenset(
    {"ws_send", "broadcast", "broadcast_all", "broadcast_others", "ws_close"}
)
# Methods of entities, queries and records that change stored data.
_WRITING: Final = frozenset({"create", "update", "save", "delete", "destroy", "restore"})
# Members of the session and request that may be records, which load references when read.
_RECORD_MEMBERS: Final = frozenset({"user"})


@dataclass(slots=True)
class _Node:
    """A piece of code, its own effects, and what it calls."""

    effects: Effects
    calls: list[FunctionSymbol]


class EffectAnalysis:
    """Effects of every function and handler of some files.

    Functions of other files have theirs already.
    """

    def __init__(self, readers: Iterable[Kinds]) -> None:
        self._readers = list(readers)
        self._marks: dict[str, list[_Mark]] = {}
        self._lambdas: dict[str, _Node] = {}
        self._referring: dict[str, bool] = {}
        for reader in self._readers:
            self._lambdas[reader.file.source.path] = self._all_lambdas(reader)
        self._settle()

    def of(self, reader: Kinds, node: ast.Node) -> Effects:
        """Effects of a piece of code, functions it uses included."""
        return self._total(self._scan(reader, node))

    def _references(self, entity: str) -> bool:
        """Whether an entity refers to others, so that reading a record may read the database."""
        known = self._referring.get(entity)
        if known is None:
            known = self._referring[entity] = self._refers(entity)
        return known

    def _refers(self, entity: str) -> bool:
        table = self._readers[0].table
        symbol = table.entities.get(entity)
        if symbol is None:
            return True
        kinds = [info.type for info in symbol.fields.values()]
        kinds += [argument for kind in kinds for argument in kind.arguments]
        return any(kind.name in table.entities for kind in kinds)

    def _settle(self) -> None:
        """Effects of functions, whoever calls whom."""
        nodes = {
            symbol: self._scan(reader, symbol.declaration)
            for reader in self._readers
            for symbol in (*reader.file.functions.values(), *reader.file.guards.values())
        }
        changed = True
        while changed:
            changed = False
            for symbol, node in nodes.items():
                total = self._total(node)
                if total != symbol.effects:
                    symbol.effects, changed = total, True

    def _total(self, node: _Node) -> Effects:
        total = node.effects
        for symbol in node.calls:
            total |= symbol.effects
        return total

    def _all_lambdas(self, reader: Kinds) -> _Node:
        """What a call of an unknown function of the file can come to."""
        found = _Node(NOTHING, [])
        for node in all_code(reader.file):
            if isinstance(node, ast.Lambda):
                scanned = self._scan(reader, node, dynamic=False)
                found.effects |= scanned.effects
                found.calls += scanned.calls
        return found

    def _scan(self, reader: Kinds, root: ast.Node, *, dynamic: bool = True) -> _Node:
        path = reader.file.source.path
        marks = self._marks.get(path)
        if marks is None:
            marks = self._marks[path] = _Scan(reader, self._references).run()
        start, end = extent_of(reader.file, root)
        found, is_dynamic = _Node(NOTHING, []), False
        for place in range(bisect_left(marks, start, key=_place), len(marks)):
            at, mark = marks[place]
            if at >= end:
                break
            if isinstance(mark, FunctionSymbol):
                found.calls.append(mark)
            elif mark is None:
                is_dynamic = True
            else:
                found.effects |= mark
        if is_dynamic and dynamic:
            lambdas = self._lambdas[path]
            found.effects |= lambdas.effects
            found.calls += lambdas.calls
        return found


# Place of a node in `all_code`, and what it does by itself; None calls an unknown function.
_Mark = tuple[int, Effects | FunctionSymbol | None]


def _place(mark: _Mark) -> int:
    return mark[0]


class _Scan:
    """Looks at all nodes of a file, once."""

    def __init__(self, reader: Kinds, references: Callable[[str], bool]) -> None:
        self.reader = reader
        self._references = references
        self.file = reader.file
        self.table: ProjectTable = reader.table
        self._place = 0
        self._marks: list[_Mark] = []

    def run(self) -> list[_Mark]:
        """What the nodes do, in the order of the code."""
        for place, node in enumerate(all_code(self.file)):
            rule = _RULES.get(type(node))
            if rule is not None:
                self._place = place
                rule(self, node)
        return self._marks

    def _mark(self, mark: Effects | FunctionSymbol | None) -> None:
        self._marks.append((self._place, mark))

    def _save(self, node: ast.SaveExpr) -> None:
        self._add(_WRITES)

    def _version(self, node: ast.VersionAt) -> None:
        self._add(_READS)

    def _literal(self, node: ast.EntityLiteral) -> None:
        if self._references(node.entity):
            self._add(_READS)

    def _add(self, effects: Effects) -> None:
        if effects != NOTHING:
            self._mark(effects)

    def _name(self, node: ast.Name) -> None:
        symbol = self.file.symbols.get(id(node))
        if isinstance(symbol, FunctionSymbol):
            self._mark(symbol)
        elif isinstance(symbol, Builtin):
            self._add(effects_of(symbol))
        elif isinstance(symbol, EntitySymbol):
            self._add(_READS)
        elif (
            isinstance(symbol, Variable)
            and symbol.role == "shared"
            and any(map(self._references, self.table.entities))
        ):
            self._add(_READS)  # it may keep a record that another handler put there

    def _member(self, node: ast.Member) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            symbol = self.file.symbols.get(id(target))
            if isinstance(symbol, ContextSymbol) and node.name in _RECORD_MEMBERS:
                if symbol.name in ("session", "request"):
                    self._add(_READS)
                return
        kind = self.reader.of(target)
        record = entity_of(kind, "record")
        if entity_of(kind, "handle", "query") or (record and self._references(record)):
            self._add(_READS)
        if record and node.name == "history":
            self._add(_READS)

    def _call(self, node: ast.Call) -> None:
        callee = node.callee
        symbol = self.file.symbols.get(id(callee))
        if isinstance(callee, ast.Name):
            if isinstance(symbol, Variable):
                self._mark(None)
            return  # functions and builtins are counted as names
        if isinstance(symbol, Builtin):
            self._add(effects_of(symbol))
        elif isinstance(callee, ast.Member):
            self._method(callee)
        else:
            self._mark(None)

    def _method(self, callee: ast.Member) -> None:
        kind = self.reader.of(callee.target)
        if entity_of(kind, "handle", "query", "record"):
            self._add(_WRITES if callee.name in _WRITING else _READS)
        builtin = self.table.builtins.get(callee.name)
        if builtin is not None and not callee.name.startswith("_"):
            self._add(effects_of(builtin))
        # A map may hold functions; nothing else that is called by name is code of this project.
        if builtin is None and kind in ("any", MAP):
            self._mark(None)


def effects_of(symbol: Builtin) -> Effects:
    """Effects of a builtin."""
    return Effects(
        writes=symbol.writes,
        waits=symbol.waits,
        reads=symbol.reads,
        sends=symbol.name in _SENDERS,
        joins=symbol.joins,
    )


_RULES: Final[dict[type, Callable[[_Scan, Any], None]]] = {
    ast.Call: _Scan._call,
    ast.Member: _Scan._member,
    ast.Name: _Scan._name,
    ast.SaveExpr: _Scan._save,
    ast.VersionAt: _Scan._version,
    ast.EntityLiteral: _Scan._literal,
}
