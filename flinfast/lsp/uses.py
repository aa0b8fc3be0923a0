"""Where a symbol is used, and what renaming it changes.

Variables, functions and guards can be renamed: everything that means them is in the source.
Entities, fields and variants cannot: their names are in the database, and in what clients send.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import (
    CONTEXT_NAMES,
    EntitySymbol,
    EnumSymbol,
    FieldSymbol,
    FileNames,
    FunctionSymbol,
    Variable,
    VariantSymbol,
    walk,
)
from flinfast.lang.types import Kinds, entity_of
from flinfast.lang.vocabulary import HARD_KEYWORDS, RESERVED
from flinfast.lsp.names import ProjectNames

_IDENTIFIER: Final = re.compile(r"[^\W\dA-Z]\w*")


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a symbol is named.

    Attributes:
        source: The file.
        span: The name.
        is_write: Whether it is declared or assigned there.
        key: The key of a map pattern that stands for key and variable at once, else "".
    """

    source: Source
    span: Span
    is_write: bool = False
    key: str = ""


class RenameError(Exception):
    """The symbol cannot be called like that."""


def uses_of(names: ProjectNames, symbol: Any, only: str = "") -> list[Use]:
    """Every place where a symbol is named, in the order of files and lines.

    Args:
        names: The project.
        symbol: As `Subject.symbol`.
        only: Path of the one file to look at; all without it.
    """
    if isinstance(symbol, Variable):
        only = next(
            (p for p, f in names.files.items() if symbol in f.variables), only
        )  # no other file sees it
    found: dict[tuple[str, int], Use] = {}
    for path in names.files:
        if only and path != only:
            continue
        file = names.file(path)
        assert file is not None
        for use in _Search(file, names.kinds_of(path), symbol).run():
            found.setdefault((path, use.span.start), use)
    return sorted(found.values(), key=lambda use: (use.source.path, use.span.start))


def check_rename(names: ProjectNames, symbol: Any, uses: list[Use], new: str) -> None:
    """Whether a symbol may get a name.

    Raises:
        RenameError: It may not, and why.
    """
    if not isinstance(symbol, Variable | FunctionSymbol):
        raise RenameError("only variables, functions and guards can be renamed")
    if not _IDENTIFIER.fullmatch(new):
        raise RenameError(f"`{new}` is not a name: a small letter or `_`, then letters and digits")
    if new in HARD_KEYWORDS or new in RESERVED or new in CONTEXT_NAMES:
        raise RenameError(f"`{new}` has a meaning of its own")
    for path in {use.source.path for use in uses}:
        file = names.files[path]
        taken = {v.name for v in file.variables} | set(file.functions) | set(file.guards)
        if new in taken or new in names.table.functions or new in names.table.guards:
            raise RenameError(f"`{new}` is taken in {path}")


class _Search:
    """Finds the uses of one symbol in one file."""

    def __init__(self, file: FileNames, kinds: Kinds, symbol: Any) -> None:
        self.file = file
        self.kinds = kinds
        self.symbol = symbol
        self.keys: dict[int, str] = {}  # span start -> key of a map pattern

    def run(self) -> Iterator[Use]:
        targets: set[int] = set()
        for node in walk(self.file.tree):
            if isinstance(node, ast.Assign):
                targets.add(id(node.target))
            elif (
                isinstance(node, ast.MapPatternItem) and node.pattern.span.start == node.span.start
            ):
                self.keys[node.span.start] = node.key
            rule = _RULES.get(type(node))
            if rule is None:
                continue
            for span, is_write in rule(self, node):
                write = is_write or id(node) in targets
                key = self.keys.get(span.start, "")
                yield Use(self.file.source, span, write, key)

    def is_it(self, symbol: Any) -> bool:
        return symbol is self.symbol or (
            isinstance(symbol, FieldSymbol | VariantSymbol) and symbol == self.symbol
        )

    # --- nodes: spans of the symbol in them, and whether it is declared there -----------------

    def _name(self, node: ast.Name) -> Iterator[tuple[Span, bool]]:
        if self.is_it(self.file.symbols.get(id(node))):
            yield node.span, False

    def _bound_name(self, node: Any) -> Iterator[tuple[Span, bool]]:
        if self.is_it(self.file.symbols.get(id(node))):
            yield from self._word(node.span, node.name, is_write=True)

    def _bindings(self, node: Any) -> Iterator[tuple[Span, bool]]:
        for variable in self.file.bindings.get(id(node), ()):
            if variable is self.symbol:
                yield from self._word(node.span, variable.name, is_write=True)

    def _member(self, node: ast.Member) -> Iterator[tuple[Span, bool]]:
        if isinstance(self.symbol, VariantSymbol):
            target = node.target
            enum = self.file.symbols.get(id(target)) if isinstance(target, ast.Name) else None
            is_it = isinstance(enum, EnumSymbol) and enum.name == self.symbol.enum
        elif isinstance(self.symbol, FieldSymbol):
            is_it = entity_of(self.kinds.of(node.target), "record") == self.symbol.entity
        else:
            return
        if is_it and node.name == self.symbol.name:
            yield node.name_span, False

    def _entity_literal(self, node: ast.EntityLiteral) -> Iterator[tuple[Span, bool]]:
        if isinstance(self.symbol, EntitySymbol) and node.entity == self.symbol.name:
            yield node.name_span, False
        if isinstance(self.symbol, FieldSymbol) and node.entity == self.symbol.entity:
            for entry in node.entries:
                if entry.key == self.symbol.name:
                    yield entry.key_span, False

    def _guard(self, node: ast.Guard) -> Iterator[tuple[Span, bool]]:
        found = self.file.guards.get(node.name) or self.file.table.guards.get(node.name)
        if found is self.symbol and found is not None:
            yield node.name_span, False

    def _declaration(self, node: Any) -> Iterator[tuple[Span, bool]]:
        declared: Any = getattr(self.symbol, "declaration", None)
        if declared is node:
            yield node.name_span, True
        if isinstance(self.symbol, FieldSymbol) and isinstance(node, ast.EntityDecl):
            if node.name == self.symbol.entity:
                yield from ((f.name_span, True) for f in node.fields if f.name == self.symbol.name)
        elif (
            isinstance(self.symbol, VariantSymbol)
            and isinstance(node, ast.EnumDecl)
            and node.name == self.symbol.enum
        ):
            yield from ((v.span, True) for v in node.variants if v.name == self.symbol.name)

    def _type(self, node: Any) -> Iterator[tuple[Span, bool]]:
        name = node.type_name if isinstance(node, ast.TypeTest) else node.name
        if isinstance(self.symbol, EntitySymbol | EnumSymbol) and name == self.symbol.name:
            yield from self._word(node.span, name, is_write=False)

    def _word(self, span: Span, name: str, *, is_write: bool) -> Iterator[tuple[Span, bool]]:
        """The first place in a span where a name stands as a word of its own."""
        pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        found = pattern.search(self.file.source.text, span.start, span.end)
        if found is not None:
            yield Span(found.start(), found.end()), is_write


_RULES: Final[dict[type, Callable[[_Search, Any], Iterator[tuple[Span, bool]]]]] = {
    ast.Name: _Search._name,
    ast.BindPattern: _Search._bound_name,
    ast.VariantPattern: _Search._bound_name,
    ast.Parameter: _Search._bindings,
    ast.For: _Search._bindings,
    ast.WsHandler: _Search._bindings,
    ast.RestPattern: _Search._bindings,
    ast.MapPattern: _Search._bindings,
    ast.Member: _Search._member,
    ast.EntityLiteral: _Search._entity_literal,
    ast.Guard: _Search._guard,
    ast.FunctionDecl: _Search._declaration,
    ast.GuardDefinition: _Search._declaration,
    ast.EntityDecl: _Search._declaration,
    ast.EnumDecl: _Search._declaration,
    ast.TypeRef: _Search._type,
    ast.TypeTest: _Search._type,
}
