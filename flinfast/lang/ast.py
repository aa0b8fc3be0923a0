"""The FLIN tree: frozen nodes with spans, nothing else.

`strip_spans()` gives the bare shape, which is what "equal trees" means in tests.
Names follow FLIN reference, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from flinfast.lang.source import Span


@dataclass(frozen=True, slots=True)
class Node:
    """Base of all nodes; `span` covers the whole construct."""

    span: Span


# --- expressions ----------------------------------------


@dataclass(frozen=True, slots=True)
class Expr(Node):
    """Base of expressions."""


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """`42`, `3.5`, `"text"` without interpolation, `true`, `none`; a duration is its ms."""

    value: int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Interpolation(Expr):
    """`"a {b} c"`; str parts are literal text, Expr parts go through to_text."""

    parts: tuple[str | Expr, ...]


@dataclass(frozen=True, slots=True)
class Name(Expr):
    """A variable, context name, builtin, function, entity or enum name."""

    name: str


@dataclass(frozen=True, slots=True)
class Member(Expr):
    """`target.name`, or `target?.name` when optional."""

    target: Expr
    name: str
    name_span: Span
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Index(Expr):
    """`target[key]`."""

    target: Expr
    key: Expr


@dataclass(frozen=True, slots=True)
class Slice(Expr):
    """`target[start:stop:step]`."""

    target: Expr
    start: Expr | None
    stop: Expr | None
    step: Expr | None


@dataclass(frozen=True, slots=True)
class VersionAt(Expr):
    """`target@reference`; reference is an expression (`-1`, `"2026-01-15"`, `yesterday`)."""

    target: Expr
    reference: Expr


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """One call argument: positional, named (`limit: 100`) or spread (`...list`)."""

    value: Expr
    name: str | None = None
    spread: bool = False


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """`callee(arguments)`; a method call has a Member callee."""

    callee: Expr
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """`!x` (operator "!"), `-x` ("-")."""

    operator: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """Operators `+ - * / % ** ++ == != < <= > >= in not_in && || ??`; `?:` is `??`."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class TypeTest(Expr):
    """`value is text`."""

    value: Expr
    type_name: str


@dataclass(frozen=True, slots=True)
class RangeExpr(Expr):
    """`a..b` (end exclusive) or `a..=b`."""

    start: Expr
    stop: Expr
    inclusive: bool


@dataclass(frozen=True, slots=True)
class Pipe(Expr):
    """`value |> call`: value becomes the first argument."""

    value: Expr
    target: Expr


@dataclass(frozen=True, slots=True)
class Conditional(Expr):
    """`if c then a else b` or `c ? a : b`."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class ListItem(Node):
    """One item of a list literal."""

    value: Expr
    spread: bool = False


@dataclass(frozen=True, slots=True)
class ListLiteral(Expr):
    """`[a, ...b]`."""

    items: tuple[ListItem, ...]


@dataclass(frozen=True, slots=True)
class MapEntry(Node):
    """`key: value`, `[computed]: value` (bracket maps), or `...map` (key is None)."""

    key: str | Expr | None
    value: Expr
    key_span: Span


@dataclass(frozen=True, slots=True)
class MapLiteral(Expr):
    """`{ k: v }` or `["k": v]`."""

    entries: tuple[MapEntry, ...]


@dataclass(frozen=True, slots=True)
class EntityLiteral(Expr):
    """`Name { field: value, ...map }`."""

    entity: str
    name_span: Span
    entries: tuple[MapEntry, ...]


@dataclass(frozen=True, slots=True)
class ResponseLiteral(Expr):
    """`response { status: 201, body: x }`."""

    entries: tuple[MapEntry, ...]


@dataclass(frozen=True, slots=True)
class TypeRef(Node):
    """A type as written: `name`, its arguments (`[T]` is list of T), `?`, or a union.

    Attributes:
        name: "text", "int", ..., an entity or enum name, "list", "map", "tuple" or "union".
        arguments: Element types.
        optional: Whether `?` follows.
    """

    name: str
    arguments: tuple[TypeRef, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """One parameter of a function or lambda."""

    name: str
    type: TypeRef | None = None
    default: Expr | None = None
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Lambda(Expr):
    """`x => e`, `(a, b) => { ... }`, `fn(a) { ... }`; body is an Expr or a Block."""

    parameters: tuple[Parameter, ...]
    body: Expr | Block


@dataclass(frozen=True, slots=True)
class MatchArm(Node):
    """`pattern | pattern -> body`."""

    patterns: tuple[Pattern, ...]
    body: Expr | Block


@dataclass(frozen=True, slots=True)
class Match(Expr):
    """`match value { arms }`."""

    value: Expr
    arms: tuple[MatchArm, ...]


@dataclass(frozen=True, slots=True)
class IfExpr(Expr):
    """`if c { } else { }` where a value is wanted, and as a statement; otherwise may be None."""

    condition: Expr
    then: Block
    otherwise: Block | IfExpr | None


@dataclass(frozen=True, slots=True)
class BlockExpr(Expr):
    """`{ statements }` standing alone, with its own scope: its value is the last expression."""

    block: Block


@dataclass(frozen=True, slots=True)
class SaveExpr(Expr):
    """`save e`, `delete e`, `restore e`, `destroy e` (verb)."""

    verb: str
    value: Expr


# --- patterns (match, destructuring) ----------------------------------------


@dataclass(frozen=True, slots=True)
class Pattern(Node):
    """Base of patterns."""


@dataclass(frozen=True, slots=True)
class WildcardPattern(Pattern):
    """`_`."""


@dataclass(frozen=True, slots=True)
class LiteralPattern(Pattern):
    """A literal, compared structurally."""

    value: int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class BindPattern(Pattern):
    """A name to bind, with a default in destructuring; an enum variant when resolved as one."""

    name: str
    default: Expr | None = None


@dataclass(frozen=True, slots=True)
class RestPattern(Pattern):
    """`...rest`."""

    name: str


@dataclass(frozen=True, slots=True)
class VariantPattern(Pattern):
    """`Status.Open`, `Open`, `Some(x)`."""

    name: str
    arguments: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class ListPattern(Pattern):
    """`[a, b, ...rest]`."""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class MapPatternItem(Node):
    """`key`, `key: pattern`, `key = default`."""

    key: str
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class MapPattern(Pattern):
    """`{ a, b: c, ...rest }`."""

    items: tuple[MapPatternItem, ...]
    rest: str | None = None


# --- statements ----------------------------------------


@dataclass(frozen=True, slots=True)
class Statement(Node):
    """Base of statements."""


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`{ statements }`."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class ExprStatement(Statement):
    """An expression; the last one of a block is its value."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Assign(Statement):
    """`target op value`; target is Name, Member or Index; op is "=", "+=", "-=", "*=", "/=".

    `x++` is `x += 1`. `declared` is "", "let", "const" or "shared".
    """

    target: Expr
    operator: str
    value: Expr
    declared: str = ""
    type: TypeRef | None = None


@dataclass(frozen=True, slots=True)
class Destructure(Statement):
    """`[a, b] = list`, `{ a, b } = map`."""

    pattern: Pattern
    value: Expr


@dataclass(frozen=True, slots=True)
class For(Statement):
    """`for x in xs`, `for x, i in xs`, `for [k, v] in m` (key_first)."""

    names: tuple[str, ...]
    iterable: Expr
    body: Block
    label: str | None = None
    key_first: bool = False


@dataclass(frozen=True, slots=True)
class While(Statement):
    """`while c { }`, or `while let pattern = e { }`."""

    condition: Expr
    body: Block
    label: str | None = None
    pattern: Pattern | None = None


@dataclass(frozen=True, slots=True)
class Break(Statement):
    """`break`, `break 'label`, `break value`."""

    label: str | None = None
    value: Expr | None = None


@dataclass(frozen=True, slots=True)
class Continue(Statement):
    """`continue`, `continue 'label`."""

    label: str | None = None


@dataclass(frozen=True, slots=True)
class Return(Statement):
    """`return`, `return value`."""

    value: Expr | None = None


@dataclass(frozen=True, slots=True)
class Expect(Statement):
    """`expect a == b`, `expect done, "not done yet"` in a test."""

    value: Expr
    message: Expr | None = None


# --- declarations ----------------------------------------


@dataclass(frozen=True, slots=True)
class Item(Node):
    """Base of what may stand at file level besides statements."""


@dataclass(frozen=True, slots=True)
class Modifier(Node):
    """`@name(arguments)`; name as written, without `@`."""

    name: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Field(Node):
    """`name: type @modifiers = default` in an entity or validate block."""

    name: str
    name_span: Span
    type: TypeRef
    modifiers: tuple[Modifier, ...]
    default: Expr | None


@dataclass(frozen=True, slots=True)
class EntityDecl(Item):
    """`entity Name { fields }`."""

    name: str
    name_span: Span
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class EnumVariant(Node):
    """`Open`, `Some(T)`, `High = 3`."""

    name: str
    payload: tuple[TypeRef, ...] = ()
    value: Expr | None = None


@dataclass(frozen=True, slots=True)
class EnumDecl(Item):
    """`enum Status { Open, Closed }`."""

    name: str
    name_span: Span
    variants: tuple[EnumVariant, ...]


@dataclass(frozen=True, slots=True)
class TypeAlias(Item):
    """`type Id = int`, `type Pair<A> = [A]`."""

    name: str
    type: TypeRef
    parameters: tuple[TypeRef, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionDecl(Item):
    """`fn name(parameters) -> type { body }`."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    result: TypeRef | None
    body: Block


@dataclass(frozen=True, slots=True)
class Guard(Item):
    """`guard name(arguments)` at file level or at the top of a block."""

    name: str
    name_span: Span
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class GuardDefinition(Item):
    """`guard_definition name(parameters) { body }`."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class Middleware(Item):
    """`middleware { body }`."""

    body: Block


@dataclass(frozen=True, slots=True)
class Validate(Node):
    """`validate { fields }`."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Route(Item):
    """`route METHOD path { guards validate statements }`; path is None or as written."""

    method: str
    method_span: Span
    path: str | None
    guards: tuple[Guard, ...]
    validate: Validate | None
    body: Block


@dataclass(frozen=True, slots=True)
class WsHandler(Node):
    """`on connect`, `on message(data)`, `on close`; parameter is the name in parentheses."""

    event: str
    parameter: str | None
    body: Block


@dataclass(frozen=True, slots=True)
class Ws(Item):
    """`ws { guards handlers }`."""

    guards: tuple[Guard, ...]
    handlers: tuple[WsHandler, ...]


@dataclass(frozen=True, slots=True)
class TestDecl(Item):
    """`test "name" { body }`."""

    name: str
    body: Block


@dataclass(frozen=True, slots=True)
class Program(Node):
    """One file: items and statements in source order."""

    items: tuple[Item | Statement, ...]


def strip_spans(node: object) -> Any:
    """A node as nested tuples without spans: (class name, field values...)."""
    if isinstance(node, tuple):
        return tuple(strip_spans(item) for item in node)
    if isinstance(node, Span) or not is_dataclass(node) or isinstance(node, type):
        return node
    values = tuple(
        strip_spans(getattr(node, entry.name))
        for entry in fields(node)
        if entry.name != "span" and not entry.name.endswith("_span")
    )
    return (type(node).__name__, *values)
