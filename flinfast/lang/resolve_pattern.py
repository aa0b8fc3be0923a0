"""Resolution of patterns, enum variants and entity literals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flinfast.lang import ast
from flinfast.lang.declare import TYPE_NAMES
from flinfast.lang.report import Note
from flinfast.lang.source import Span
from flinfast.lang.symbol import (
    AUTO_FIELDS,
    UNKNOWN,
    ContextSymbol,
    EntitySymbol,
    EnumSymbol,
    Variable,
    VariantSymbol,
)
from flinfast.lang.types import ANY, is_parallel

if TYPE_CHECKING:
    from flinfast.lang.resolve import Resolver

_TESTED = frozenset({*TYPE_NAMES, "none", "null", "nil", "function"})


def destructure(self: Resolver, node: ast.Destructure) -> None:
    """`[a, b] = list`, `{ a, b } = map`: assigns what exists, declares the rest."""
    self.visit(node.value)
    pattern(self, node.pattern, declares=False)
    if is_parallel(node):
        _note_origins(self, node)


def _note_origins(self: Resolver, node: ast.Destructure) -> None:
    """Of `[a, b] = [b, a]` it is known where the values come from."""
    assert isinstance(node.pattern, ast.ListPattern)
    assert isinstance(node.value, ast.ListLiteral)
    for name, item in zip(node.pattern.items, node.value.items, strict=True):
        variable = self.file.symbols.get(id(name))
        if isinstance(variable, Variable):
            del variable.sources[-1 - variable.sources[::-1].index(ANY)]
            variable.sources.append(item.value)


def match(self: Resolver, node: ast.Match) -> None:
    """Arms in order, each with names of its own."""
    self.visit(node.value)
    caught: ast.Pattern | None = None
    taken: dict[tuple[type, object], Span] = {}
    for arm in node.arms:
        if caught is not None:
            self.warning(
                "FL214",
                "this arm can never be reached",
                arm.span,
                "an arm above takes every value",
            )
        else:
            _warn_taken(self, arm, taken)
        with self.block():
            _arm(self, arm)
        if caught is None:
            caught = next((p for p in arm.patterns if _takes_all(self, p)), None)


def _warn_taken(self: Resolver, arm: ast.MatchArm, taken: dict[tuple[type, object], Span]) -> None:
    """Warn about literals that an arm above takes already."""
    for choice in arm.patterns:
        if isinstance(choice, ast.LiteralPattern):
            key = (type(choice.value), choice.value)
            first = taken.setdefault(key, choice.span)
            if first is not choice.span:
                line = self.file.source.line_of(first.start)
                message = "this pattern can never match"
                self.warning("FL214", message, choice.span, f"line {line} takes this value")


def _arm(self: Resolver, arm: ast.MatchArm) -> None:
    bound: list[set[str]] = []
    for choice in arm.patterns:
        pattern(self, choice, declares=True)
        bound.append(set(_names(self, choice)))
    for names, choice in zip(bound[1:], arm.patterns[1:], strict=True):
        different = sorted(names ^ bound[0])
        if different:
            self.error(
                "FL113",
                f"`{different[0]}` is not bound by every alternative",
                choice.span,
                "binds other names",
            )
    self.visit(arm.body)


def _takes_all(self: Resolver, choice: ast.Pattern) -> bool:
    if isinstance(choice, ast.BindPattern):
        return isinstance(self.file.symbols.get(id(choice)), Variable)
    return isinstance(choice, ast.WildcardPattern)


def _names(self: Resolver, choice: ast.Pattern) -> list[str]:
    """Names that a pattern binds."""
    found: list[str] = []
    pending = [choice]
    while pending:
        current = pending.pop()
        if isinstance(current, ast.BindPattern):
            if isinstance(self.file.symbols.get(id(current)), Variable):
                found.append(current.name)
        elif isinstance(current, ast.RestPattern):
            found.append(current.name)
        elif isinstance(current, ast.ListPattern):
            pending += current.items
        elif isinstance(current, ast.MapPattern):
            pending += [item.pattern for item in current.items]
            if current.rest is not None:
                found.append(current.rest)
    return found


def pattern(self: Resolver, node: ast.Pattern, *, declares: bool) -> None:
    """Resolve a pattern.

    Args:
        self: The file's resolver.
        node: The pattern.
        declares: Whether its names are new (match, while let) or may exist (destructuring).
    """
    if isinstance(node, ast.BindPattern):
        _bind_pattern(self, node, declares=declares)
    elif isinstance(node, ast.RestPattern):
        variable = _bind(self, node, node.name, declares=declares)
        self.file.bindings[id(node)] = () if variable is None else (variable,)
    elif isinstance(node, ast.VariantPattern):
        _variant_pattern(self, node)
    elif isinstance(node, ast.ListPattern):
        for item in node.items:
            pattern(self, item, declares=declares)
    elif isinstance(node, ast.MapPattern):
        for entry in node.items:
            pattern(self, entry.pattern, declares=declares)
        if node.rest is not None:
            variable = _bind(self, node, node.rest, declares=declares)
            self.file.bindings[id(node)] = () if variable is None else (variable,)


def _bind_pattern(self: Resolver, node: ast.BindPattern, *, declares: bool) -> None:
    if node.default is not None:
        self.visit(node.default)
    if declares and node.name[:1].isupper():
        enum = next((e for e in self.table.enums.values() if node.name in e.variants), None)
        if enum is None:
            _unknown_variant(self, node.name, node.span)
        else:
            self.file.symbols[id(node)] = VariantSymbol(enum.name, node.name)
        return
    variable = _bind(self, node, node.name, declares=declares)
    self.file.symbols[id(node)] = UNKNOWN if variable is None else variable


def _bind(self: Resolver, node: ast.Pattern, name: str, *, declares: bool) -> Variable | None:
    """The variable that a pattern assigns; None when it was reported."""
    span = node.span
    if declares:
        # An alternative of the same arm binds the same variable.
        variable = self.names.scope.names.get(name) or self.names.declare(name, span, "pattern")
        self.file.declares.add(id(node))
    else:
        found = self.names.find(name)
        if isinstance(found, Variable):
            if not self.may_assign(found, span):
                return None
            variable = found
        elif isinstance(found, ContextSymbol | EntitySymbol | EnumSymbol):
            help = "choose another name"
            self.error("FL106", f"cannot assign to `{name}`", span, "has a meaning", help=help)
            return None
        else:
            variable = self.names.declare(name, span, "pattern")
            self.file.declares.add(id(node))
    self.assign(variable, ANY)
    return variable


def _variant_pattern(self: Resolver, node: ast.VariantPattern) -> None:
    if node.arguments:
        self.error(
            "FL407",
            f"variant `{node.name}` has no payload",
            node.span,
            "expected the name alone",
        )
        return
    owner, _, name = node.name.rpartition(".")
    enum = self.table.enums.get(owner)
    if owner and enum is None:
        if self.table.is_complete:
            self.unknown("FL204", "enum", owner, node.span, self.table.enums)
        return
    if enum is None:
        enum = next((e for e in self.table.enums.values() if name in e.variants), None)
    if enum is None:
        _unknown_variant(self, name, node.span)
    elif name not in enum.variants:
        _unknown_of(self, enum, name, node.span)
    else:
        self.file.symbols[id(node)] = VariantSymbol(enum.name, name)


def _unknown_variant(self: Resolver, name: str, span: Span) -> None:
    if self.table.is_complete:
        known = [v for enum in self.table.enums.values() for v in enum.variants]
        help = "names that a pattern binds start with a small letter"
        self.unknown("FL215", "variant", name, span, known, help=help)


def _unknown_of(self: Resolver, enum: EnumSymbol, name: str, span: Span) -> None:
    label = f"`{enum.name}` has no variant of this name"
    self.unknown("FL215", "variant", name, span, enum.variants, label=label)


def variant(self: Resolver, node: ast.Member, enum: EnumSymbol, name: str, span: Span) -> None:
    """`Status.Open`."""
    if name in enum.variants:
        self.file.symbols[id(node)] = VariantSymbol(enum.name, name)
    else:
        _unknown_of(self, enum, name, span)


def entity_literal(self: Resolver, node: ast.EntityLiteral) -> None:
    """`Name { field: value }`: the entity and its fields exist, none is given twice."""
    symbol = self.table.entities.get(node.entity)
    if symbol is None and self.table.is_complete:
        help = f"declare it: `entity {node.entity} {{ ... }}`"
        known = self.table.entities
        self.unknown("FL204", "entity", node.entity, node.name_span, known, help=help)
    first: dict[str, Span] = {}
    for entry in node.entries:
        key = entry.key
        if isinstance(key, str) and symbol is not None:
            if key in first:
                note = Note("first given here", self.file.source, first[key])
                message = f"field `{key}` is given twice"
                self.error("FL403", message, entry.key_span, "given again", notes=[note])
            first.setdefault(key, entry.key_span)
            if key in AUTO_FIELDS:
                message = f"`{key}` is set by the database"
                self.error("FL404", message, entry.key_span, "cannot be given")
            else:
                self.check_field(node.entity, key, entry.key_span, symbol.fields)
        elif isinstance(key, ast.Expr):
            self.visit(key)
        self.visit(entry.value)


def type_test(self: Resolver, node: ast.TypeTest) -> None:
    """`value is text`."""
    self.visit(node.value)
    table, name = self.table, node.type_name
    known = {*_TESTED, *table.entities, *table.enums, *table.aliases}
    if name not in known and table.is_complete:
        self.unknown("FL401", "type", name, node.span, known)
