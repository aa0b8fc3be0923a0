"""Checks of evident types: values that can never be what they are declared to be.

Runs when the kinds of all expressions are known. Only what is certain is reported: a value of
unknown kind fits everywhere, and what it turns out to be is judged when it runs. These are
warnings: types are judged at run time (FLIN reference 2.1), and the code may never be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.declare import default_of
from flinfast.lang.diagnostic import suggest
from flinfast.lang.program import FieldInfo, TypeInfo
from flinfast.lang.report import Report
from flinfast.lang.source import Span
from flinfast.lang.symbol import (
    ContextSymbol,
    FieldSymbol,
    FunctionSymbol,
    ProjectTable,
    all_code,
)
from flinfast.lang.types import (
    BOOL,
    INT,
    LIST,
    MAP,
    NONE,
    NUMBER,
    RANGE,
    TEXT,
    Kinds,
    entity_of,
)

_NUMERIC: Final = frozenset({INT, NUMBER})
_EVIDENT: Final = frozenset({TEXT, INT, NUMBER, BOOL, LIST, MAP, NONE})
# Declared type -> kinds that it takes.
_TAKES: Final[dict[str, frozenset[str]]] = {
    "text": frozenset({TEXT}),
    "int": _NUMERIC,
    "duration": _NUMERIC,
    "number": _NUMERIC,
    "bool": frozenset({BOOL}),
    "list": frozenset({LIST, RANGE}),
    "map": frozenset({MAP}),
}
_STORED: Final[dict[str, frozenset[str]]] = {"time": frozenset({TEXT}), "file": _EVIDENT}
_REFERENCES: Final = frozenset({INT, NUMBER, TEXT})  # a reference field takes an id, too
_ORDER: Final = frozenset({"<", "<=", ">", ">="})
_ARITHMETIC: Final = {
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "%": "take the remainder of",
    "**": "raise",
}
# Context names that nothing is assigned to -> what was meant.
_OF_REQUEST: Final = {
    "headers": "a header of the answer is `response.headers[name]`",
    "cookies": "write `set_cookie(name, value)`",
    "query": "copy the value to a variable",
    "params": "copy the value to a variable",
}
_CONVERTED: Final = frozenset({TEXT, INT, NUMBER, BOOL})
_CONVERSIONS: Final = {"text": "to_text", "int": "to_int", "number": "to_number"}


def check_types(readers: Iterable[Kinds], report: Report) -> None:
    """Report values of evident kinds that cannot be what they are declared or used as."""
    for reader in readers:
        checker = _Checker(reader, report)
        for node in all_code(reader.file):
            rule = _RULES.get(type(node))
            if rule is not None:
                rule(checker, node)


def shown(declared: TypeInfo) -> str:
    """A type as people write it."""
    inner = [shown(argument) for argument in declared.arguments]
    name = declared.name
    if name == "union":
        name = " | ".join(inner)
    elif name == "list" and inner:
        name = f"[{inner[0]}]"
    elif name == "map" and len(inner) == 2:
        name = f"[{inner[0]}: {inner[1]}]"
    return f"{name}?" if declared.optional else name


class _Checker:
    """Checks one file."""

    def __init__(self, reader: Kinds, report: Report) -> None:
        self.reader = reader
        self.file = reader.file
        self.table: ProjectTable = reader.table
        self.report = report

    def _warn(self, message: str, span: Span, label: str, help: str = "") -> None:
        self.report.warning("FL218", message, self.file.source, span, label, help=help)

    # --- declared types ----------------------------------------

    def _expects(self, declared: TypeInfo, value: ast.Expr, what: str, *, stored: bool) -> None:
        """Report a value that can never be of a declared type."""
        kind = self.reader.of(value)
        if isinstance(value, ast.Literal) and type(value.value) is str:
            enum = self.table.enums.get(declared.name)
            if enum is not None:
                self._variant(value, enum.variants, what)
                return
        if self._fits(kind, declared, stored=stored):
            return
        help = ""
        if kind == TEXT and isinstance(value, ast.Literal):
            help = "a number is written without quotes" if declared.name in _CONVERSIONS else ""
        elif kind in _CONVERTED and declared.name in _CONVERSIONS:
            help = f"convert it with `{_CONVERSIONS[declared.name]}`"
        message = f"{what} is declared `{shown(declared)}`"
        self._warn(message, value.span, f"this is {_named(kind)}", help)

    def _variant(self, value: ast.Literal, variants: tuple[str, ...], what: str) -> None:
        if value.value in variants:
            return
        near = suggest(str(value.value), variants)
        help = f"did you mean `{near}`?" if near else f"variants: {', '.join(variants)}"
        self._warn(
            f"{what} has no variant `{value.value}`", value.span, "this is none of them", help
        )

    def _fits(self, kind: str, declared: TypeInfo, *, stored: bool) -> bool:
        name = declared.name
        if name == "any":
            return True
        if kind == NONE:
            return declared.optional or stored
        if name in self.table.enums:
            return kind == TEXT or kind not in _EVIDENT
        if name == "union":
            return any(self._fits(kind, member, stored=stored) for member in declared.arguments)
        entity = entity_of(kind, "record")
        if entity:
            return name == entity or name not in {*_TAKES, *self.table.entities}
        if kind not in _EVIDENT and kind != RANGE:
            return True
        if name in self.table.entities:
            return stored and kind in _REFERENCES
        takes = _TAKES.get(name, frozenset())
        return kind in takes or (stored and kind in _STORED.get(name, frozenset()))

    def assign(self, node: ast.Assign) -> None:
        """`x: int = value`, and later assignments to such a variable."""
        variable = self.file.targets.get(id(node))
        if variable is not None and variable.annotation is not None and node.operator == "=":
            self._expects(variable.annotation, node.value, f"`{node_name(node)}`", stored=False)
        owner = node.target.target if isinstance(node.target, ast.Member | ast.Index) else None
        symbol = self.file.symbols.get(id(owner))
        if isinstance(symbol, ContextSymbol) and symbol.name in _OF_REQUEST:
            message = f"`{symbol.name}` holds what was sent"
            self._warn(message, node.target.span, "cannot be set", _OF_REQUEST[symbol.name])

    def call(self, node: ast.Call) -> None:
        """Arguments of declared functions."""
        symbol = self.file.symbols.get(id(node.callee))
        if not isinstance(symbol, FunctionSymbol) or symbol.scope is None:
            return
        parameters = {p.name: p for p in symbol.declaration.parameters}
        names = list(parameters)
        for place, argument in enumerate(node.arguments):
            if argument.spread:
                return
            name = argument.name or (names[place] if place < len(names) else "")
            parameter = parameters.get(name)
            if parameter is None or parameter.rest or parameter.type is None:
                continue
            declared = self._declared(symbol, parameter)
            if declared is not None:
                what = f"argument `{name}` of `{symbol.name}`"
                self._expects(declared, argument.value, what, stored=False)

    def _declared(self, symbol: FunctionSymbol, parameter: ast.Parameter) -> TypeInfo | None:
        """Canonical type of a parameter of a function of this file."""
        bound = self.file.bindings.get(id(parameter))
        return bound[0].annotation if bound and symbol.source is self.file.source else None

    def function(self, node: ast.FunctionDecl) -> None:
        """Results of a function with a declared type."""
        symbol = self.file.functions.get(node.name)
        if symbol is None or symbol.declaration is not node or symbol.result is None:
            return
        for origin in symbol.results:
            if isinstance(origin, ast.Expr):
                self._expects(symbol.result, origin, f"result of `{node.name}`", stored=False)

    def entity(self, node: ast.EntityLiteral) -> None:
        """Fields of `Name { field: value }`."""
        symbol = self.table.entities.get(node.entity)
        for entry in node.entries if symbol is not None else ():
            info = symbol.fields.get(str(entry.key)) if symbol is not None else None
            if info is not None and isinstance(entry.key, str):
                self._expects(info.type, entry.value, f"field `{entry.key}`", stored=True)

    def field(self, node: ast.Field) -> None:
        """Defaults of fields."""
        default, info = default_of(node), self.file.fields.get(id(node))
        if default is not None and info is not None:
            self._expects(info.type, default, f"field `{node.name}`", stored=True)

    # --- operators ----------------------------------------

    def binary(self, node: ast.Binary) -> None:
        """Operators that never work, and comparisons that never hold."""
        kinds = (self.reader.of(node.left), self.reader.of(node.right))
        if node.operator in ("==", "!="):
            self._equality(node, kinds)
        elif not set(kinds) <= _EVIDENT:
            return
        elif node.operator in _ORDER:
            if not (set(kinds) <= _NUMERIC or kinds == (TEXT, TEXT)):
                self._never(node, f"cannot compare {_named(kinds[0])} with {_named(kinds[1])}")
        elif node.operator in _ARITHMETIC and not set(kinds) <= _NUMERIC:
            wrong = kinds[0] if kinds[0] not in _NUMERIC else kinds[1]
            self._never(node, f"cannot {_ARITHMETIC[node.operator]} {_named(wrong)}")
        elif node.operator == "+" and not (TEXT in kinds or _can_add(kinds)):
            self._never(node, f"cannot add {_named(kinds[1])} to {_named(kinds[0])}")

    def _never(self, node: ast.Binary, message: str) -> None:
        self._warn(message, node.span, "fails whenever it runs")

    def _equality(self, node: ast.Binary, kinds: tuple[str, str]) -> None:
        result = "false" if node.operator == "==" else "true"
        help = ""
        if TEXT in kinds and set(kinds) & _NUMERIC:
            message = f"text never equals a number, so this is always {result}"
            side = node.left if kinds[0] == TEXT else node.right
            text = self.file.source.text[side.span.start : side.span.end]
            help = "compare numbers: " + (
                "write the number without quotes"
                if isinstance(side, ast.Literal)
                else f"`to_int({text})`"
            )
        else:
            unknown = self._unknown_variant(node.left, node.right)
            unknown = unknown or self._unknown_variant(node.right, node.left)
            if unknown is None:
                return
            name, variants = unknown
            message = f"`{name}` is no variant, so this is always {result}"
            near = suggest(name, variants)
            help = f"did you mean `{near}`?" if near else f"variants: {', '.join(variants)}"
        source = self.file.source
        self.report.warning("FL219", message, source, node.span, f"always {result}", help=help)

    def _unknown_variant(
        self, value: ast.Expr, field: ast.Expr
    ) -> tuple[str, tuple[str, ...]] | None:
        """A text that a field of an enum is compared with, and never has."""
        if not isinstance(value, ast.Literal) or not isinstance(value.value, str):
            return None
        info = self._field(field)
        enum = self.table.enums.get(info.type.name) if info is not None else None
        if enum is None or value.value in enum.variants:
            return None
        return value.value, enum.variants

    def _field(self, node: ast.Expr) -> FieldInfo | None:
        """The field that an expression reads, when that is evident."""
        symbol = self.file.symbols.get(id(node))
        if isinstance(symbol, FieldSymbol):
            entity, name = symbol.entity, symbol.name
        elif isinstance(node, ast.Member):
            entity, name = entity_of(self.reader.of(node.target), "record"), node.name
        else:
            return None
        owner = self.table.entities.get(entity)
        return owner.fields.get(name) if owner is not None else None

    # --- statements ----------------------------------------

    def loop(self, node: ast.For) -> None:
        """Loops over what has no items."""
        kind = self.reader.of(node.iterable)
        if kind in (INT, NUMBER, BOOL, NONE):
            help = "a range is written `0..n`" if kind == INT else ""
            message = f"cannot loop over {_named(kind)}"
            self._warn(message, node.iterable.span, "has no items", help)

    def save(self, node: ast.SaveExpr) -> None:
        """`save` of what is no record."""
        kind = self.reader.of(node.value)
        if kind in _EVIDENT:
            help = "make a record of it: `Name { field: value }`" if kind == MAP else ""
            message = f"cannot {node.verb} {_named(kind)}"
            self._warn(message, node.value.span, "expected a record", help)


def _can_add(kinds: tuple[str, str]) -> bool:
    return set(kinds) <= _NUMERIC or kinds == (LIST, LIST)


def node_name(node: ast.Assign) -> str:
    """Name of the variable that is assigned."""
    return node.target.name if isinstance(node.target, ast.Name) else "value"


def _named(kind: str) -> str:
    """A kind as people say it."""
    entity = entity_of(kind, "record", "query", "handle")
    articles = {INT: "an int", NUMBER: "a number", LIST: "a list", MAP: "a map", RANGE: "a range"}
    return f"`{entity}`" if entity else articles.get(kind, kind)


_RULES: Final[dict[type, Callable[[_Checker, Any], None]]] = {
    ast.Assign: _Checker.assign,
    ast.Binary: _Checker.binary,
    ast.Call: _Checker.call,
    ast.EntityLiteral: _Checker.entity,
    ast.Field: _Checker.field,
    ast.For: _Checker.loop,
    ast.FunctionDecl: _Checker.function,
    ast.SaveExpr: _Checker.save,
}
