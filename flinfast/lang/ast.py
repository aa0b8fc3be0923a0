"""The FLIN tree: frozen nodes with spans, nothing else.

`strip_spans()` gives the bare shape, which is what "equal trees" means in tests.
Names follow FLIN reference, section 4.1.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from flinfast.lang.source import Span


class Node(Struct, frozen=True, gc=False):
    """Base of all nodes; `span` covers the whole construct.

    A tree has no cycles, so the cyclic garbage collector need not look at it.
    """

    span: Span


# --- expressions ----------------------------------------


class Expr(Node, frozen=True):
    """Base of expressions."""


class Literal(Expr, frozen=True):
    """`42`, `3.5`, `"text"` without interpolation, `true`, `none`; a duration is its ms."""

    value: int | float | str | bool | None


class Interpolation(Expr, frozen=True):
    """`"a {b} c"`; str parts are literal text, Expr parts go through to_text."""

    parts: tuple[str | Expr, ...]


class Name(Expr, frozen=True):
    """A variable, context name, builtin, function, entity or enum name."""

    name: str


class Member(Expr, frozen=True):
    """`target.name`, or `target?.name` when optional."""

    target: Expr
    name: str
    name_span: Span
    optional: bool = False


class Index(Expr, frozen=True):
    """`target[key]`."""

    target: Expr
    key: Expr


class Slice(Expr, frozen=True):
    """`target[start:stop:step]`."""

    target: Expr
    start: Expr | None
    stop: Expr | None
    step: Expr | None


class VersionAt(Expr, frozen=True):
    """`target@reference`; reference is an expression (`-1`, `"2026-01-15"`, `yesterday`)."""

    target: Expr
    reference: Expr


class Argument(Node, frozen=True):
    """One call argument: positional, named (`limit: 100`) or spread (`...list`)."""

    value: Expr
    name: str | None = None
    spread: bool = False


class Call(Expr, frozen=True):
    """`callee(arguments)`; a method call has a Member callee."""

    callee: Expr
    arguments: tuple[Argument, ...]


class Unary(Expr, frozen=True):
    """`!x` (operator "!"), `-x` ("-")."""

    operator: str
    operand: Expr


class Binary(Expr, frozen=True):
    """Operators `+ - * / % ** ++ == != < <= > >= in not_in && || ??`; `?:` is `??`."""

    operator: str
    left: Expr
    right: Expr


class TypeTest(Expr, frozen=True):
    """`value is text`."""

    value: Expr
    type_name: str


class RangeExpr(Expr, frozen=True):
    """`a..b` (end exclusive) or `a..=b`."""

    start: Expr
    stop: Expr
    inclusive: bool


class Pipe(Expr, frozen=True):
    """`value |> call`: value becomes the first argument."""

    value: Expr
    target: Expr


class Conditional(Expr, frozen=True):
    """`if c then a else b` or `c ? a : b`."""

    condition: Expr
    then: Expr
    otherwise: Expr


class ListItem(Node, frozen=True):
    """One item of a list literal."""

    value: Expr
    spread: bool = False


class ListLiteral(Expr, frozen=True):
    """`[a, ...b]`."""

    items: tuple[ListItem, ...]


class MapEntry(Node, frozen=True):
    """`key: value`, `[computed]: value` (bracket maps), or `...map` (key is None)."""

    key: str | Expr | None
    value: Expr
    key_span: Span


class MapLiteral(Expr, frozen=True):
    """`{ k: v }` or `["k": v]`."""

    entries: tuple[MapEntry, ...]


class EntityLiteral(Expr, frozen=True):
    """`Name { field: value, ...map }`."""

    entity: str
    name_span: Span
    entries: tuple[MapEntry, ...]


class ResponseLiteral(Expr, frozen=True):
    """`response { status: 201, body: x }`."""

    entries: tuple[MapEntry, ...]


class TypeRef(Node, frozen=True):
    """A type as written: `name`, its arguments (`[T]` is list of T), `?`, or a union.

    Attributes:
        name: "text", "int", ..., an entity or enum name, "list", "map", "tuple" or "union".
        arguments: Element types.
        optional: Whether `?` follows.
    """

    name: str
    arguments: tuple[TypeRef, ...] = ()
    optional: bool = False


class Parameter(Node, frozen=True):
    """One parameter of a function or lambda."""

    name: str
    type: TypeRef | None = None
    default: Expr | None = None
    rest: bool = False


class Lambda(Expr, frozen=True):
    """`x => e`, `(a, b) => { ... }`, `fn(a) { ... }`; body is an Expr or a Block."""

    parameters: tuple[Parameter, ...]
    body: Expr | Block


class MatchArm(Node, frozen=True):
    """`pattern | pattern -> body`."""

    patterns: tuple[Pattern, ...]
    body: Expr | Block


class Match(Expr, frozen=True):
    """`match value { arms }`."""

    value: Expr
    arms: tuple[MatchArm, ...]


class IfExpr(Expr, frozen=True):
    """`if c { } else { }` where a value is wanted, and as a statement; otherwise may be None."""

    condition: Expr
    then: Block
    otherwise: Block | IfExpr | None


class BlockExpr(Expr, frozen=True):
    """`{ statements }` standing alone, with its own scope: its value is the last expression."""

    block: Block


class SaveExpr(Expr, frozen=True):
    """`save e`, `delete e`, `restore e`, `destroy e` (verb)."""

    verb: str
    value: Expr


# --- patterns (match, destructuring) ----------------------------------------


class Pattern(Node, frozen=True):
    """Base of patterns."""


class WildcardPattern(Pattern, frozen=True):
    """`_`."""


class LiteralPattern(Pattern, frozen=True):
    """A literal, compared structurally."""

    value: int | float | str | bool | None


class BindPattern(Pattern, frozen=True):
    """A name to bind, with a default in destructuring; an enum variant when resolved as one."""

    name: str
    default: Expr | None = None


class RestPattern(Pattern, frozen=True):
    """`...rest`."""

    name: str


class VariantPattern(Pattern, frozen=True):
    """`Status.Open`, `Open`, `Some(x)`."""

    name: str
    arguments: tuple[Pattern, ...]


class ListPattern(Pattern, frozen=True):
    """`[a, b, ...rest]`."""

    items: tuple[Pattern, ...]


class MapPatternItem(Node, frozen=True):
    """`key`, `key: pattern`, `key = default`."""

    key: str
    pattern: Pattern


class MapPattern(Pattern, frozen=True):
    """`{ a, b: c, ...rest }`."""

    items: tuple[MapPatternItem, ...]
    rest: str | None = None


# --- statements ----------------------------------------


class Statement(Node, frozen=True):
    """Base of statements."""


class Block(Node, frozen=True):
    """`{ statements }`."""

    statements: tuple[Statement, ...]


class ExprStatement(Statement, frozen=True):
    """An expression; the last one of a block is its value."""

    value: Expr


class Assign(Statement, frozen=True):
    """`target op value`; target is Name, Member or Index; op is "=", "+=", "-=", "*=", "/=".

    `x++` is `x += 1`. `declared` is "", "let", "const" or "shared".
    """

    target: Expr
    operator: str
    value: Expr
    declared: str = ""
    type: TypeRef | None = None


class Destructure(Statement, frozen=True):
    """`[a, b] = list`, `{ a, b } = map`."""

    pattern: Pattern
    value: Expr


class For(Statement, frozen=True):
    """`for x in xs`, `for x, i in xs`, `for [k, v] in m` (key_first)."""

    names: tuple[str, ...]
    iterable: Expr
    body: Block
    label: str | None = None
    key_first: bool = False


class While(Statement, frozen=True):
    """`while c { }`, or `while let pattern = e { }`."""

    condition: Expr
    body: Block
    label: str | None = None
    pattern: Pattern | None = None


class Break(Statement, frozen=True):
    """`break`, `break 'label`, `break value`."""

    label: str | None = None
    value: Expr | None = None


class Continue(Statement, frozen=True):
    """`continue`, `continue 'label`."""

    label: str | None = None


class Return(Statement, frozen=True):
    """`return`, `return value`."""

    value: Expr | None = None


class Expect(Statement, frozen=True):
    """`expect a == b`, `expect done, "not done yet"` in a test."""

    value: Expr
    message: Expr | None = None


# --- declarations ----------------------------------------


class Item(Node, frozen=True):
    """Base of what may stand at file level besides statements."""


class Modifier(Node, frozen=True):
    """`@name(arguments)`; name as written, without `@`."""

    name: str
    arguments: tuple[Expr, ...]


class Field(Node, frozen=True):
    """`name: type @modifiers = default` in an entity or validate block."""

    name: str
    name_span: Span
    type: TypeRef
    modifiers: tuple[Modifier, ...]
    default: Expr | None


class EntityDecl(Item, frozen=True):
    """`entity Name { fields }`."""

    name: str
    name_span: Span
    fields: tuple[Field, ...]


class EnumVariant(Node, frozen=True):
    """`Open`, `Some(T)`, `High = 3`."""

    name: str
    payload: tuple[TypeRef, ...] = ()
    value: Expr | None = None


class EnumDecl(Item, frozen=True):
    """`enum Status { Open, Closed }`."""

    name: str
    name_span: Span
    variants: tuple[EnumVariant, ...]


class TypeAlias(Item, frozen=True):
    """`type Id = int`, `type Pair<A> = [A]`."""

    name: str
    type: TypeRef
    parameters: tuple[TypeRef, ...] = ()


class FunctionDecl(Item, frozen=True):
    """`fn name(parameters) -> type { body }`."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    result: TypeRef | None
    body: Block


class Guard(Item, frozen=True):
    """`guard name(arguments)` at file level or at the top of a block."""

    name: str
    name_span: Span
    arguments: tuple[Argument, ...]


class GuardDefinition(Item, frozen=True):
    """`guard_definition name(parameters) { body }`."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    body: Block


class Middleware(Item, frozen=True):
    """`middleware { body }`."""

    body: Block


class Validate(Node, frozen=True):
    """`validate { fields }`."""

    fields: tuple[Field, ...]


class Route(Item, frozen=True):
    """`route METHOD path { guards validate statements }`; path is None or as written."""

    method: str
    method_span: Span
    path: str | None
    guards: tuple[Guard, ...]
    validate: Validate | None
    body: Block


class WsHandler(Node, frozen=True):
    """`on connect`, `on message(data)`, `on close`; parameter is the name in parentheses."""

    event: str
    parameter: str | None
    body: Block


class Ws(Item, frozen=True):
    """`ws { guards handlers }`."""

    guards: tuple[Guard, ...]
    handlers: tuple[WsHandler, ...]


class TestDecl(Item, frozen=True):
    """`test "name" { body }`."""

    name: str
    body: Block


class Program(Node, frozen=True):
    """One file: items and statements in source order."""

    items: tuple[Item | Statement, ...]


def field_types(kind: type[Node]) -> dict[str, str]:
    """Fields of a class of nodes, in order, and how their types are written."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        found.update(getattr(owner, "__annotations__", {}))
    return {name: found[name] for name in kind.__struct_fields__}


def strip_spans(node: object) -> Any:
    """A node as nested tuples without spans: (class name, field values...)."""
    if isinstance(node, tuple):
        return tuple(strip_spans(item) for item in node)
    if not isinstance(node, Struct) or isinstance(node, Span):
        return node
    values = tuple(
        strip_spans(getattr(node, name))
        for name in node.__struct_fields__
        if name != "span" and not name.endswith("_span")
    )
    return (type(node).__name__, *values)
