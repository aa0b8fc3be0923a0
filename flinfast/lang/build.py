"""Nodes whose making needs a decision; called by the actions of the grammar.

Not for wording of syntax errors (`lang.recovery`) nor for anything that needs names to be resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, TypeVar

from flinfast.lang import ast
from flinfast.lang.diagnostic import Note, suggest
from flinfast.lang.source import Source, Span

Report = Callable[..., None]
T = TypeVar("T")

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
EVENTS: Final = ("connect", "message", "close")
_LIKE_EVENTS: Final = {"disconnect": "close", "open": "connect", "receive": "message"}

TYPE_ALIASES: Final = {
    "string": "text",
    "boolean": "bool",
    "float": "number",
    "decimal": "number",
    "integer": "int",
    "datetime": "time",
    "array": "list",
    "null": "none",
    "nil": "none",
}

_SECOND_MS: Final = 1_000
_DAY_MS: Final = 86_400 * _SECOND_MS
UNITS_MS: Final = {
    "second": _SECOND_MS,
    "minute": 60 * _SECOND_MS,
    "hour": 3_600 * _SECOND_MS,
    "day": _DAY_MS,
    "week": 7 * _DAY_MS,
    "month": 30 * _DAY_MS,
    "year": 365 * _DAY_MS,
}
_DURATIONS: Final = UNITS_MS | {f"{unit}s": ms for unit, ms in UNITS_MS.items()}


@dataclass(slots=True)
class Body:
    """What stands between the braces of a route, a handler or any other block."""

    span: Span
    items: list[Any]


@dataclass(slots=True)
class FieldParts:
    """A field while it is read."""

    name: str
    name_span: Span
    type: ast.TypeRef
    modifiers: list[ast.Modifier] = field(default_factory=list)
    default: ast.Expr | None = None

    def set_default(self, value: ast.Expr, report: Report) -> FieldParts:
        """`= value`; a field has one default."""
        if self.default is not None:
            report("FL105", "a field has one default", value.span, "this is the second")
        self.default = value
        return self

    def build(self, span: Span) -> ast.Field:
        """The finished node."""
        modifiers = tuple(self.modifiers)
        return ast.Field(span, self.name, self.name_span, self.type, modifiers, self.default)


def at(p: Any) -> Span:
    """The span of everything a production matched; its edges are never empty."""
    return Span(p.starts[-len(p)], p.ends[-1])


def of(p: Any, index: int) -> Span:
    """The span of one symbol of a production."""
    index -= len(p)
    return Span(p.starts[index], p.ends[index])


def extend(items: list[T], item: T | None) -> list[T]:
    """A list with one more item, unless recovery left none."""
    if item is not None:
        items.append(item)
    return items


def collect(items: list[Any], item: Any) -> list[Any]:
    """Like `extend` for statements and declarations, one of which may stand for several."""
    if isinstance(item, list):
        items.extend(item)
    elif item is not None:
        items.append(item)
    return items


# --- statements


def block(body: Body, report: Report) -> ast.Block:
    """A block of statements; declarations in it are reported and dropped."""
    statements = []
    for item in body.items:
        if isinstance(item, ast.Statement):
            statements.append(item)
        else:
            _misplaced(item, report)
    return ast.Block(body.span, tuple(statements))


def _misplaced(item: Any, report: Report) -> None:
    """A declaration where only statements may stand."""
    if isinstance(item, ast.Guard):
        span = item.span
        report("FL108", "a guard stands at the top of a file, `route` or `ws`", span, "not here")
    elif isinstance(item, ast.Validate):
        span = Span(item.span.start, item.span.start + len("validate"))
        help = 'elsewhere write `validate(data, { name: "text @required" })`'
        report("FL108", "`validate` stands at the top of a `route`", span, "not here", help)
    else:
        what, help = _WHAT.get(type(item), ("this", ""))
        span = Span(item.span.start, min(item.span.end, item.span.start + _HEAD_MAX))
        report("FL111", f"{what} stands at file level", span, "not inside a block", help)


_HEAD_MAX: Final = 8  # characters of a misplaced declaration that are underlined
_WHAT: Final[dict[type[Any], tuple[str, str]]] = {
    ast.FunctionDecl: ("a named function", "inside a block write `name = fn(...) { ... }`"),
    ast.EntityDecl: ("`entity`", ""),
    ast.EnumDecl: ("`enum`", ""),
    ast.TypeAlias: ("`type`", ""),
    ast.Route: ("`route`", ""),
    ast.Ws: ("`ws`", ""),
    ast.WsHandler: ("`on`", ""),
    ast.Middleware: ("`middleware`", ""),
    ast.GuardDefinition: ("`guard_definition`", ""),
    ast.TestDecl: ("`test`", ""),
}


def assign(
    span: Span, target: ast.Expr, operator: str, value: ast.Expr, report: Report
) -> ast.Statement:
    """`target op value`."""
    optional = isinstance(target, ast.Member) and target.optional
    if isinstance(target, ast.Name | ast.Member | ast.Index) and not optional:
        return ast.Assign(span, target, operator, value)
    help = "only a name, `a.b` and `a[b]` can be assigned to"
    report("FL106", "cannot assign to this", target.span, "", help)
    return ast.ExprStatement(span, value)


def declare(
    span: Span,
    word: str,
    name: str,
    name_span: Span,
    value: ast.Expr,
    type: ast.TypeRef | None = None,
) -> ast.Assign:
    """`let name = value` and its like."""
    declared = "let" if word == "var" else word
    return ast.Assign(span, ast.Name(name_span, name), "=", value, declared, type)


def step(p: Any, operator: str, report: Report) -> ast.Statement:
    """`target++`, `target--`."""
    return assign(at(p), p[0], operator, ast.Literal(of(p, 1), 1), report)


# --- expressions


def member(span: Span, target: ast.Expr, name: str, name_span: Span, optional: bool) -> ast.Expr:
    """`target.name`; a unit after a number literal makes a duration in ms."""
    if isinstance(target, ast.Literal) and name in _DURATIONS and not optional:
        amount = target.value
        if isinstance(amount, int | float) and not isinstance(amount, bool):
            return ast.Literal(span, _milliseconds(amount, _DURATIONS[name]))
    return ast.Member(span, target, name, name_span, optional)


def _milliseconds(amount: int | float, unit_ms: int) -> int:
    """A duration as the nearest whole number of ms, exact however large."""
    if isinstance(amount, int):
        return amount * unit_ms
    return round(Fraction(amount) * unit_ms)


def interpolation(span: Span, parts: Iterable[str | ast.Expr]) -> ast.Expr:
    """A text made of parts; without expressions it is a plain literal."""
    merged: list[str | ast.Expr] = []
    chunks: list[str] = []
    for part in parts:
        if isinstance(part, str):
            chunks.append(part)
            continue
        if chunks:
            merged.append("".join(chunks))
            chunks = []
        merged.append(part)
    if chunks:
        merged.append("".join(chunks))
    if not merged:
        return ast.Literal(span, "")
    if len(merged) == 1 and isinstance(merged[0], str):
        return ast.Literal(span, merged[0])
    return ast.Interpolation(span, tuple(merged))


def list_or_map(
    span: Span, items: list[ast.ListItem | ast.MapEntry], report: Report
) -> ast.ListLiteral | ast.MapLiteral:
    """`[...]`: a map when its items are `key: value` pairs."""
    pairs = [item for item in items if isinstance(item, ast.MapEntry)]
    if not pairs:
        plain = tuple(item for item in items if isinstance(item, ast.ListItem))
        return ast.ListLiteral(span, plain)
    entries: list[ast.MapEntry] = []
    for item in items:
        if isinstance(item, ast.MapEntry):
            entries.append(item)
        elif item.spread:
            entries.append(ast.MapEntry(item.span, None, item.value, item.span))
        else:
            report(
                "FL115",
                "this list mixes values and `key: value` pairs",
                item.span,
                "expected `key: value`",
            )
    return ast.MapLiteral(span, tuple(entries))


def pair(span: Span, key: ast.Expr, value: ast.Expr) -> ast.MapEntry:
    """`"key": value` or `computed: value` in brackets."""
    if isinstance(key, ast.Literal) and isinstance(key.value, str):
        return ast.MapEntry(span, key.value, value, key.span)
    return ast.MapEntry(span, key, value, key.span)


_CONSTANTS: Final = {"true": True, "false": False}
_OPERATORS: Final = {"and": "&&", "or": "||", "?:": "??", "not": "not_in"}


def constant(word: str) -> bool | None:
    """The value of `true`, `false`, `none` and its aliases."""
    return _CONSTANTS.get(word)


def operator(word: str) -> str:
    """The canonical spelling of a binary operator; `not` is the first word of `not in`."""
    return _OPERATORS.get(word, word)


def values(items: list[ast.ListItem | ast.MapEntry], report: Report) -> tuple[ast.Expr, ...]:
    """The arguments of a modifier: plain values."""
    plain = []
    for item in items:
        if isinstance(item, ast.ListItem) and not item.spread:
            plain.append(item.value)
        else:
            report("FL105", "a modifier takes plain values", item.span, "expected a value")
    return tuple(plain)


def type_name(word: str) -> str:
    """The canonical name of a type."""
    return TYPE_ALIASES.get(word, word)


# --- parameters and patterns


def parameters(items: list[ast.Parameter], report: Report) -> tuple[ast.Parameter, ...]:
    """Checks the order: `...rest` is last, names differ."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        if item.rest and index < len(items) - 1:
            report("FL114", "`...` stands before the last parameter only", item.span, "not last")
        if item.name in seen and item.name != "_":
            report("FL114", f"two parameters are named `{item.name}`", item.span, "second one")
        seen.add(item.name)
    return tuple(items)


def name_pattern(span: Span, name: str, default: ast.Expr | None = None) -> ast.Pattern:
    """`_` matches anything, another name binds."""
    if name == "_":
        return ast.WildcardPattern(span)
    return ast.BindPattern(span, name, default)


def list_pattern(span: Span, items: list[ast.Pattern], report: Report) -> ast.ListPattern:
    """`[a, b, ...rest]`; the rest is last."""
    for item in items[:-1]:
        if isinstance(item, ast.RestPattern):
            report("FL113", "`...` takes what is left, so it stands last", item.span, "not last")
    return ast.ListPattern(span, tuple(items))


def map_pattern(
    span: Span, items: list[ast.MapPatternItem | ast.RestPattern], report: Report
) -> ast.MapPattern:
    """`{ a, b: c, ...rest }`; the rest is last."""
    rest: str | None = None
    plain: list[ast.MapPatternItem] = []
    for index, item in enumerate(items):
        if isinstance(item, ast.MapPatternItem):
            plain.append(item)
        elif index < len(items) - 1:
            report("FL113", "`...` takes what is left, so it stands last", item.span, "not last")
        else:
            rest = item.name
    return ast.MapPattern(span, tuple(plain), rest)


# --- declarations


def check_order(items: list[Any], report: Report) -> list[Any]:
    """File-level guards stand before what they guard, so that nothing looks guarded but is not."""
    guarded = False
    for item in items:
        if isinstance(item, ast.Guard) and guarded:
            report(
                "FL108",
                "this guard stands after a `route` or `ws` of the file",
                item.span,
                "it guards the whole file",
                "move it to the top, or into the block it is meant for",
            )
        guarded = guarded or isinstance(item, ast.Route | ast.Ws)
    return items


def guards(entries: list[ast.MapEntry]) -> list[ast.Guard]:
    """The product-page spelling `guards { auth: required, role: "admin" }`."""
    found = []
    for entry in entries:
        if not isinstance(entry.key, str):
            continue
        value = entry.value
        plain = (isinstance(value, ast.Name) and value.name == "required") or (
            isinstance(value, ast.Literal) and value.value is True
        )
        arguments = () if plain else (ast.Argument(value.span, value),)
        found.append(ast.Guard(entry.span, entry.key, entry.key_span, arguments))
    return found


def generic_enum(p: Any, report: Report) -> ast.EnumDecl:
    """`enum Option<T> { ... }`: parameters would be for payloads, which variants do not have."""
    report(
        "FL407",
        f"enum `{p.TYPE_NAME}` has type parameters",
        Span(of(p, 2).start, of(p, 4).end),
        "a variant's value is its name",
        "leave them out, and keep the data in a field beside the enum",
    )
    return ast.EnumDecl(at(p), p.TYPE_NAME, of(p, 1), tuple(p.variants))


def route(
    span: Span,
    method: tuple[str, Span],
    path: str | None,
    body: Body,
    report: Report,
    source: Source,
) -> ast.Route:
    """`route METHOD path { guards validate statements }`."""
    name, method_span = method
    if name not in METHODS:
        near = suggest(name, METHODS)
        help = f"did you mean `{near}`?" if near else f"known methods: {', '.join(METHODS)}"
        report("FL109", f"unknown method `{name}`", method_span, "", help)
    found: list[ast.Guard] = []
    validate: ast.Validate | None = None
    rest: list[Any] = []
    for item in body.items:
        if isinstance(item, ast.Guard) and not rest:
            found.append(item)
        elif isinstance(item, ast.Validate) and not rest:
            if validate is None:
                validate = item
                continue
            span_ = Span(item.span.start, item.span.start + len("validate"))
            first = Span(validate.span.start, validate.span.start + len("validate"))
            notes = (Note("the first one is here", source, first),)
            report("FL305", "two `validate` blocks in one route", span_, "", "merge them", notes)
        else:
            rest.append(item)
    statements = block(Body(body.span, rest), report)
    return ast.Route(span, name, method_span, path, tuple(found), validate, statements)


def ws(span: Span, body: Body, report: Report) -> ast.Ws:
    """`ws { guards handlers }`."""
    found: list[ast.Guard] = []
    handlers: list[ast.WsHandler] = []
    for item in body.items:
        if isinstance(item, ast.WsHandler):
            handlers.append(item)
        elif isinstance(item, ast.Guard):
            found.append(item)
            if handlers:
                _misplaced(item, report)
        else:
            report(
                "FL108",
                "a `ws` block holds guards and handlers only",
                item.span,
                "expected `on connect`, `on message` or `on close`",
            )
    return ast.Ws(span, tuple(found), tuple(handlers))


def ws_handler(
    span: Span,
    event: tuple[str, Span],
    parameter: tuple[str, Span] | None,
    body: ast.Block,
    report: Report,
) -> ast.WsHandler:
    """`on event(parameter) { body }`."""
    name, place = event
    if name not in EVENTS:
        near = _LIKE_EVENTS.get(name) or suggest(name, EVENTS)
        help = f"did you mean `{near}`?" if near else "known events: connect, message, close"
        report("FL110", f"unknown event `{name}`", place, "", help)
    if name == "connect" and parameter is not None:
        help = "the connection is `ws`: its id is `ws.connection_id`"
        report("FL114", "`on connect` takes no parameter", parameter[1], "", help)
    return ast.WsHandler(span, name, parameter[0] if parameter else None, body)
