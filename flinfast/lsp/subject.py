"""What stands at a place of a file: its description for hovers, and where it is declared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.declare import TYPE_NAMES
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import (
    AUTO_FIELDS,
    ContextSymbol,
    EntitySymbol,
    EnumSymbol,
    FieldSymbol,
    FileNames,
    FunctionSymbol,
    Variable,
    VariantSymbol,
)
from flinfast.lang.types import ANY, UNSEEN, Kinds, entity_of
from flinfast.lsp.names import ProjectNames, chain_at
from flinfast.lsp.place import code_at, word_at
from flinfast.manual import book
from flinfast.manual.entry import Entry

_LINES_MAX: Final = 40  # of a declaration in a hover
_ROLES: Final = {
    "assigned": "variable",
    "let": "variable",
    "const": "constant",
    "shared": "shared variable, one for all requests of a process",
    "parameter": "parameter",
    "loop": "loop variable",
    "pattern": "name bound by a pattern",
    "message": "the message: JSON as a value, other text as it is, or "
    '`{ type: "binary", bytes: ... }`',
}
_METHOD_KINDS: Final = ("function", "query method")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a word means.

    Attributes:
        span: The word.
        text: Markdown.
        targets: Where it is declared: files and spans; empty for what comes with the language.
        symbol: What it stands for, to find other uses; None when that makes no sense.
    """

    span: Span
    text: str
    targets: tuple[tuple[Source, Span], ...] = ()
    symbol: Any = None


def subject_at(names: ProjectNames, path: str, offset: int) -> Subject | None:
    """What stands at an offset of a file, None for nothing in particular."""
    file = names.file(path)
    if file is None:
        return None
    text = file.source.text
    code = code_at(text, offset)
    word = word_at(text, offset)
    if code:
        return _entries(word, book.find(code, "diagnostic"))
    if word.start == word.end:
        return None
    chain = chain_at(file.tree, offset)
    found = _Finder(names, file, names.kinds_of(path), word, chain).find()
    if found is not None:
        return found
    if _is_text(chain):
        return None
    name = text[word.start : word.end]
    return _entries(word, book.find(name, "keyword") or book.find(name, "context"))


def _is_text(chain: list[ast.Node]) -> bool:
    last = chain[-1]
    return isinstance(last, ast.Interpolation) or (
        isinstance(last, ast.Literal) and type(last.value) is str
    )


def _entries(span: Span, entries: Iterable[Entry]) -> Subject | None:
    titles = book.titles()
    parts = [entry.to_markdown(titles) for entry in entries]
    return Subject(span, "\n\n---\n\n".join(parts)) if parts else None


class _Finder:
    """Finds the subject of one word."""

    def __init__(
        self,
        names: ProjectNames,
        file: FileNames,
        kinds: Kinds,
        word: Span,
        chain: list[ast.Node],
    ) -> None:
        self.names = names
        self.table = names.table
        self.file = file
        self.kinds = kinds
        self.word = word
        self.chain = chain
        self.name = file.source.text[word.start : word.end]

    def find(self) -> Subject | None:
        for node in reversed(self.chain):
            rule = _RULES.get(type(node))
            found = rule(self, node) if rule is not None else None
            if found is not None:
                return found
            if isinstance(node, ast.Statement | ast.Block):
                break
        return None

    # --- symbols ----------------------------------------

    def symbol(self, symbol: Any) -> Subject | None:
        """The subject of a symbol."""
        if isinstance(symbol, Variable):
            return self.variable(symbol)
        if isinstance(symbol, FunctionSymbol):
            return self._function(symbol)
        if isinstance(symbol, EntitySymbol | EnumSymbol):
            declaration = symbol.declaration
            target = ((symbol.source, declaration.name_span),)
            text = described(symbol.source, declaration.span)
            return Subject(self.word, text, target, symbol)
        if isinstance(symbol, FieldSymbol):
            return self.field(symbol.entity, symbol.name)
        if isinstance(symbol, VariantSymbol):
            return self._variant(symbol)
        if isinstance(symbol, ContextSymbol):
            return self._context(symbol)
        if isinstance(symbol, Builtin):
            return _entries(self.word, book.find(symbol.name, "function"))
        return None

    def variable(self, variable: Variable) -> Subject:
        kind = "" if variable.kind in (ANY, UNSEEN) else f": {variable.kind}"
        text = f"```flin\n{variable.name}{kind}\n```\n\n{_ROLES.get(variable.role, 'variable')}"
        source = self.file.source
        at = source.text.find(variable.name, variable.span.start, variable.span.end)
        start = variable.span.start if at < 0 else at
        span = Span(start, start + len(variable.name))
        return Subject(self.word, text, ((source, span),), variable)

    def _function(self, symbol: FunctionSymbol) -> Subject:
        declaration = symbol.declaration
        head = Span(declaration.span.start, declaration.body.span.start)
        text = described(symbol.source, head)
        target = ((symbol.source, declaration.name_span),)
        return Subject(self.word, text, target, symbol)

    def field(self, entity: str, name: str) -> Subject | None:
        """A field of an entity, or one that all records have."""
        symbol = self.table.entities.get(entity)
        if symbol is not None:
            for entry in symbol.declaration.fields:
                if entry.name == name:
                    text = described(symbol.source, entry.span, prefix=f"{entity}.")
                    target = ((symbol.source, entry.name_span),)
                    return Subject(self.word, text, target, FieldSymbol(entity, name))
        return _entries(self.word, book.find(name, "field")) if name in AUTO_FIELDS else None

    def _variant(self, symbol: VariantSymbol) -> Subject | None:
        enum = self.table.enums.get(symbol.enum)
        if enum is None:
            return None
        spans = [v.span for v in enum.declaration.variants if v.name == symbol.name]
        span = spans[0] if spans else enum.declaration.name_span
        text = described(enum.source, enum.declaration.span)
        return Subject(self.word, text, ((enum.source, span),), symbol)

    def _context(self, symbol: ContextSymbol) -> Subject | None:
        found = _entries(self.word, book.find(symbol.name, "context", "function"))
        if found is not None and symbol.name == "params" and self.file.parameters:
            listed = ", ".join(f"`{name}`" for name in sorted(self.file.parameters))
            return Subject(found.span, f"{found.text}\n\nHere: {listed}.")
        return found

    # --- nodes ----------------------------------------

    def of_name(self, node: Any) -> Subject | None:
        """A Name or BindPattern."""
        return self.symbol(self.file.symbols.get(id(node)))

    def of_member(self, node: ast.Member) -> Subject | None:
        if not _covers(node.name_span, self.word):
            return None
        target = node.target
        if isinstance(target, ast.Name):
            symbol = self.file.symbols.get(id(target))
            if isinstance(symbol, EnumSymbol):
                return self._variant(VariantSymbol(symbol.name, node.name))
            if isinstance(symbol, ContextSymbol):
                return self._context_member(symbol, node)
        kind = self.kinds.of(target)
        entity = entity_of(kind, "record")
        if entity:
            found = self.field(entity, node.name)
            if found is not None:
                return found
        kinds = _METHOD_KINDS[::-1] if entity_of(kind, "handle", "query") else _METHOD_KINDS[:1]
        for wanted in kinds:
            found = _entries(self.word, _for_kind(kind, book.find(node.name, wanted)))
            if found is not None:
                return found
        return None

    def _context_member(self, symbol: ContextSymbol, node: ast.Member) -> Subject | None:
        if symbol.name == "params" and node.name in self.file.parameters:
            pattern = self.names.project_file(self.file.source.path)
            where = f" of `{pattern.pattern}`" if pattern is not None else ""
            text = f"```flin\nparams.{node.name}: text\n```\n\nparameter{where}"
            return Subject(self.word, text)
        if symbol.name == "body":
            for entry in self.body_fields():
                if entry.name == node.name:
                    text = described(self.file.source, entry.span, prefix="body.")
                    return Subject(self.word, text, ((self.file.source, entry.name_span),))
        return self._context(symbol)

    def body_fields(self) -> tuple[ast.Field, ...]:
        """Fields of the `validate` block of the route around the word."""
        for node in self.chain:
            if isinstance(node, ast.Route) and node.validate is not None:
                return node.validate.fields
        return ()

    def of_entity_literal(self, node: ast.EntityLiteral) -> Subject | None:
        if _covers(node.name_span, self.word):
            return self.symbol(self.table.entities.get(node.entity))
        for entry in node.entries:
            if _covers(entry.key_span, self.word) and isinstance(entry.key, str):
                return self.field(node.entity, entry.key)
        return None

    def of_guard(self, node: ast.Guard) -> Subject | None:
        if not _covers(node.name_span, self.word):
            return None
        symbol = self.file.guards.get(node.name) or self.table.guards.get(node.name)
        if symbol is not None:
            return self._function(symbol)
        return _entries(self.word, book.find(node.name, "guard"))

    def of_declaration(self, node: Any) -> Subject | None:
        """A function, guard definition, entity or enum at its own name."""
        if not _covers(node.name_span, self.word):
            return None
        tables: tuple[Any, ...] = (
            self.file.functions,
            self.file.guards,
            self.table.entities,
            self.table.enums,
        )
        for table in tables:
            symbol = table.get(node.name)
            if symbol is not None and symbol.declaration is node:
                return self.symbol(symbol)
        return None

    def of_field(self, node: ast.Field) -> Subject | None:
        if not _covers(node.name_span, self.word):
            return None
        entity = next((n.name for n in self.chain if isinstance(n, ast.EntityDecl)), "")
        if entity:
            return self.field(entity, node.name)
        text = described(self.file.source, node.span, prefix="body.")
        return Subject(self.word, text, ((self.file.source, node.name_span),))

    def of_type(self, node: ast.TypeRef) -> Subject | None:
        name = self.name
        if name in TYPE_NAMES:
            return _entries(self.word, book.find(name, "type"))
        if name in self.table.aliases:
            alias, source = self.table.aliases[name]
            return Subject(self.word, described(source, alias.span), ((source, alias.span),))
        return self.symbol(self.table.entities.get(name) or self.table.enums.get(name))

    def of_modifier(self, node: ast.Modifier) -> Subject | None:
        return _entries(self.word, book.find(f"@{self.name}", "modifier"))

    def of_bound(self, node: Any) -> Subject | None:
        """A parameter, loop or handler that declares variables."""
        for variable in self.file.bindings.get(id(node), ()):
            if variable.name == self.name:
                return self.variable(variable)
        return None

    def of_block(self, node: Any) -> Subject | None:
        """`route` and `ws`: the middleware around them."""
        head = Span(node.span.start, node.span.start + len(self.name))
        if self.word != head or self.name not in ("route", "ws"):
            return None
        found = _entries(self.word, book.find(self.name, "keyword"))
        targets = tuple(self._middleware())
        if found is None or not targets:
            return found
        listed = ", ".join(f"`{source.path}`" for source, _ in targets)
        return Subject(found.span, f"{found.text}\n\nMiddleware: {listed}.", targets)

    def _middleware(self) -> Iterable[tuple[Source, Span]]:
        own = self.names.project_file(self.file.source.path)
        if own is None:
            return
        for file in self.names.project.files:
            folder = file.folder
            if file.kind == "middleware" and own.folder[: len(folder)] == folder:
                at = max(file.source.text.find("middleware"), 0)
                yield file.source, Span(at, at + len("middleware"))


_RULES: Final[dict[type, Callable[[_Finder, Any], Subject | None]]] = {
    ast.Name: _Finder.of_name,
    ast.BindPattern: _Finder.of_name,
    ast.VariantPattern: _Finder.of_name,
    ast.Member: _Finder.of_member,
    ast.EntityLiteral: _Finder.of_entity_literal,
    ast.Guard: _Finder.of_guard,
    ast.FunctionDecl: _Finder.of_declaration,
    ast.GuardDefinition: _Finder.of_declaration,
    ast.EntityDecl: _Finder.of_declaration,
    ast.EnumDecl: _Finder.of_declaration,
    ast.Field: _Finder.of_field,
    ast.TypeRef: _Finder.of_type,
    ast.Modifier: _Finder.of_modifier,
    ast.Parameter: _Finder.of_bound,
    ast.For: _Finder.of_bound,
    ast.WsHandler: _Finder.of_bound,
    ast.RestPattern: _Finder.of_bound,
    ast.Route: _Finder.of_block,
    ast.Ws: _Finder.of_block,
}


def _covers(span: Span, word: Span) -> bool:
    return span.start <= word.start and word.end <= span.end


def _for_kind(kind: str, entries: list[Entry]) -> list[Entry]:
    """Of functions of one name, those for a kind of value, if it is evident."""
    area = {"text": "Text", "list": "Lists", "map": "Maps", "int": "Numbers and durations"}.get(
        "int" if kind == "number" else kind
    )
    return [e for e in entries if e.area == area] or entries


def described(source: Source, span: Span, prefix: str = "") -> str:
    """A declaration as Markdown: the comment above it, its text, and its file."""
    lines = (prefix + source.text[span.start : span.end].rstrip()).splitlines()
    if len(lines) > _LINES_MAX:
        lines = [*lines[:_LINES_MAX], "..."]
    code = "\n".join(lines)
    comment = _comment_above(source, span.start)
    place = f"*{source.path}:{source.line_of(span.start)}*"
    parts = [f"```flin\n{code}\n```", *([comment] if comment else []), place]
    return "\n\n".join(parts)


def _comment_above(source: Source, offset: int) -> str:
    """The `//` lines right above a line, without their slashes."""
    line = source.line_of(offset) - 1
    found: list[str] = []
    while line >= 1:
        text = source.line_text(line).strip()
        match = re.match(r"//+\s?(.*)", text)
        if match is None:
            break
        found.append(match[1])
        line -= 1
    return "\n".join(reversed(found))
