"""What a name can stand for, and the scopes in which names live.

Made by `resolve`, read by `effects`, `types` and `lower`. Trees are never changed: what was found
out about a node is kept beside it, by `id(node)`, in `FileNames`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.program import Effects, FieldInfo, TypeInfo
from flinfast.lang.source import Source, Span

NOTHING: Final = Effects()

# --- names every request brings along (FLIN reference 8.1) ----------------------------------------

_REQUEST: Final = frozenset({"params", "query", "headers", "cookies", "session", "request"})
CONTEXT_NAMES: Final = _REQUEST | {"body", "response", "ws"}
NEXT: Final = "next"  # builtin of middleware; treated like a context name

IN_TEST: Final = "test"  # what the functions of tests need; no name of its own

# Kind of a function scope -> context names its code may use. Functions and guard definitions are
# checked where they are used, because that decides what their context has.
AVAILABLE: Final[dict[str, frozenset[str]]] = {
    "route": _REQUEST | {"body", "response"},
    "ws": _REQUEST | {"ws"},
    "middleware": _REQUEST | {"body", "response", NEXT},
    "guard": _REQUEST | {"body"},
    "upgrade guard": _REQUEST,
    "function": CONTEXT_NAMES | {NEXT, IN_TEST},
    "definition": CONTEXT_NAMES - {"ws"},
    "file": frozenset(),
    "default": frozenset(),
    "test": frozenset({IN_TEST}),
}
AUTO_FIELDS: Final = ("id", "created_at", "updated_at", "deleted_at", "version")

# --- symbols ----------------------------------------


class ItemOf(Struct, frozen=True):
    """What a loop variable gets: place 0 or 1 of the items of `iterable`; alone when -1."""

    iterable: ast.Expr
    place: int
    key_first: bool


# Where the values of a variable come from: an expression, a loop, or a kind (see `types`).
Origin = ast.Expr | ItemOf | str


@dataclass(slots=True, eq=False)
class FunctionScope:
    """A piece of code that becomes one Python function, or the file level.

    Attributes:
        kind: A key of AVAILABLE; a lambda has the kind of the code around it.
        title: As shown to people, such as "`route GET`".
        parent: The function around a lambda; the file level around everything else.
        is_lambda: Whether it is a lambda.
        python_names: How often each name was declared in the outermost function around.
        outer_written: Variables of functions around it that it assigns.
        captured: Loop variables and such of `parent` that it, or a lambda in it, uses.
        edges: Functions it refers to, and where.
        needs: Context names it uses, with the first place.
    """

    kind: str
    title: str
    parent: FunctionScope | None
    is_lambda: bool = False
    python_names: dict[str, int] = field(default_factory=dict)
    outer_written: dict[Variable, None] = field(default_factory=dict)
    captured: dict[Variable, None] = field(default_factory=dict)
    edges: list[tuple[FunctionSymbol, Span]] = field(default_factory=list)
    needs: dict[str, Span] = field(default_factory=dict)

    def path_to(self, owner: FunctionScope) -> Iterator[FunctionScope]:
        """This function and those around it, up to but without `owner`."""
        scope: FunctionScope | None = self
        while scope is not None and scope is not owner:
            yield scope
            scope = scope.parent


@dataclass(slots=True, eq=False)
class Variable:
    """A variable, parameter, loop variable or name bound by a pattern.

    Attributes:
        name: As written.
        span: Its declaration.
        function: Where it lives.
        role: "assigned", "let", "const", "shared", "parameter", "loop", "pattern" or "message".
        python: Its name in the generated function.
        in_loop: Whether it is declared inside a loop of its function.
        is_captured: Whether a lambda uses it.
        is_late: Whether a function may run before it is assigned (file level only).
        reads: Uses of its value.
        writes: Assignments, the declaration included.
        sources: Where its values come from.
        kind: Evident kind of its values, see `types`.
        annotation: Its declared type; values are checked against it.
        gives: Evident kind of what calls of the lambda it holds give.
    """

    name: str
    span: Span
    function: FunctionScope
    role: str
    python: str = ""
    in_loop: bool = False
    is_captured: bool = False
    is_late: bool = False
    reads: int = 0
    writes: int = 0
    sources: list[Origin] = field(default_factory=list)
    kind: str = ""
    annotation: TypeInfo | None = None
    gives: str = "any"

    @property
    def is_boxed(self) -> bool:
        """Whether each turn of a loop needs a variable of its own, because a lambda keeps it."""
        return self.is_captured and self.in_loop

    @property
    def is_file_level(self) -> bool:
        """Whether it lives as long as the program."""
        return self.function.kind == "file" and not self.function.is_lambda


@dataclass(slots=True)
class Special:
    """What the special form of a function takes for granted, see `special`.

    Attributes:
        arguments: Kinds of its parameters; "" for those that may be anything.
        kinds: Kinds of its variables.
        result: Kind of its results.
    """

    arguments: tuple[str, ...]
    kinds: dict[Variable, str]
    result: str = ""


@dataclass(slots=True, eq=False)
class FunctionSymbol:
    """A function or guard definition.

    Attributes:
        name: As written.
        source: Its file.
        declaration: Its tree.
        is_shared: Whether other files see it.
        scope: Filled in by `resolve`.
        result: Declared type of its results; they are checked against it.
        results: Where its results come from.
        kind: Evident kind of its results.
        effects: What calling it may do.
        needs: Context names it or what it calls uses: name -> (place, file).
    """

    name: str
    source: Source
    declaration: ast.FunctionDecl | ast.GuardDefinition
    is_shared: bool
    scope: FunctionScope | None = None
    result: TypeInfo | None = None
    results: list[Origin] = field(default_factory=list)
    kind: str = ""
    effects: Effects = NOTHING
    needs: dict[str, tuple[Span, Source]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class EntitySymbol:
    """An entity: its fields by name, auto fields not included."""

    name: str
    source: Source
    declaration: ast.EntityDecl
    fields: dict[str, FieldInfo] = field(default_factory=dict)

    @property
    def field_names(self) -> tuple[str, ...]:
        """All that a record has, auto fields included."""
        return (*self.fields, *AUTO_FIELDS)


@dataclass(slots=True, eq=False)
class EnumSymbol:
    """An enum and its variants."""

    name: str
    source: Source
    declaration: ast.EnumDecl
    variants: tuple[str, ...]


class ContextSymbol(Struct, frozen=True):
    """One of CONTEXT_NAMES."""

    name: str


class FieldSymbol(Struct, frozen=True):
    """A bare field name in a query of `entity`."""

    entity: str
    name: str


class VariantSymbol(Struct, frozen=True):
    """A variant of an enum; its value is its name."""

    enum: str
    name: str


class UnknownSymbol(Struct, frozen=True):
    """A name that was reported already."""


Symbol = (
    Variable
    | FunctionSymbol
    | EntitySymbol
    | EnumSymbol
    | ContextSymbol
    | FieldSymbol
    | VariantSymbol
    | Builtin
    | UnknownSymbol
)
UNKNOWN: Final = UnknownSymbol()

# --- tables ----------------------------------------


@dataclass(slots=True)
class ProjectTable:
    """Everything that files share.

    Attributes:
        entities: All entities.
        enums: All enums.
        aliases: All type aliases, with their file.
        functions: Functions of `lib` and `entities` files.
        guards: Guard definitions that every file sees.
        builtins: The builtins, internal ones included.
        builtin_guards: Names of the guards that come with the runtime.
        is_complete: False when a file that declares for others could not be parsed: what is
            missing then is not reported as unknown.
    """

    builtins: Mapping[str, Builtin]
    builtin_guards: frozenset[str]
    entities: dict[str, EntitySymbol] = field(default_factory=dict)
    enums: dict[str, EnumSymbol] = field(default_factory=dict)
    aliases: dict[str, tuple[ast.TypeAlias, Source]] = field(default_factory=dict)
    functions: dict[str, FunctionSymbol] = field(default_factory=dict)
    guards: dict[str, FunctionSymbol] = field(default_factory=dict)
    is_complete: bool = True


@dataclass(slots=True)
class FileNames:
    """What `resolve` found out about one file; keys are `id(node)` of its tree.

    Attributes:
        source: The file.
        kind: As FileInfo.kind.
        tree: Its tree; kept so that ids stay valid.
        parameters: Names of its path's parameters.
        table: The project.
        functions: Its own functions.
        guards: Its own guard definitions.
        symbols: Name, BindPattern and VariantPattern nodes -> what they stand for.
        targets: Assign nodes with a Name target -> the variable.
        bindings: For, Parameter, RestPattern, MapPattern (rest) and WsHandler nodes -> variables.
        declares: Ids of Assign and pattern nodes that declare their variable.
        compounds: Assign nodes such as `x += 1` -> the operation, `x + 1`.
        scopes: Lambda, Block (of a handler) and other code nodes -> their function.
        pipes: Pipe nodes -> the call they stand for.
        queries: Call nodes of `where` and the like -> the entity whose fields are visible.
        variables: All variables.
        fields: Field nodes -> their canonical form.
        roots: Every scope that is not a lambda.
        made: Nodes made here, kept so that ids stay valid.
        code: See `all_code`.
        extents: Pieces of code -> where `code` has their nodes: the first and after the last.
    """

    source: Source
    kind: str
    tree: ast.Program
    parameters: frozenset[str]
    table: ProjectTable
    file_scope: FunctionScope
    functions: dict[str, FunctionSymbol] = field(default_factory=dict)
    guards: dict[str, FunctionSymbol] = field(default_factory=dict)
    symbols: dict[int, Symbol] = field(default_factory=dict)
    targets: dict[int, Variable] = field(default_factory=dict)
    bindings: dict[int, tuple[Variable, ...]] = field(default_factory=dict)
    declares: set[int] = field(default_factory=set)
    compounds: dict[int, ast.Binary] = field(default_factory=dict)
    scopes: dict[int, FunctionScope] = field(default_factory=dict)
    pipes: dict[int, ast.Call] = field(default_factory=dict)
    queries: dict[int, str] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    fields: dict[int, FieldInfo] = field(default_factory=dict)
    roots: list[FunctionScope] = field(default_factory=list)
    made: list[ast.Node] = field(default_factory=list)
    code: list[ast.Node] = field(default_factory=list)
    extents: dict[int, tuple[int, int]] = field(default_factory=dict)


_LEAF_WORDS: Final = frozenset(["Span", "str", "int", "float", "bool", "None", "tuple"])
_WORD: Final = re.compile(r"\w+")
_BELOW: Final[dict[type, Callable[[Any], list[ast.Node]]]] = {}  # node type -> its `children`


def _below(kind: type[ast.Node]) -> Callable[[Any], list[ast.Node]]:
    """`children` for one type of node, written out from the annotations of its fields."""
    lines: tuple[list[str], ...] = ([], [], [], [])
    for name, annotation in ast.field_types(kind).items():
        value = f"node.{name}"
        words = set(_WORD.findall(annotation)) - {"tuple"}
        if words <= _LEAF_WORDS:
            continue
        is_mixed = bool(words & (_LEAF_WORDS - {"None"}))
        if annotation.startswith("tuple["):
            kept = f"[each for each in {value} if isinstance(each, Node)]" if is_mixed else value
            lines[2 + is_mixed].append(f"found += {kept}")
        elif is_mixed:
            lines[0].append(f"if isinstance({value}, Node): found.append({value})")
        elif "None" in words:
            lines[1].append(f"if {value} is not None: found.append({value})")
        else:
            lines[1].append(f"found.append({value})")
    body = ["found = []", *(line for group in lines for line in group), "return found"]
    namespace: dict[str, Any] = {"Node": ast.Node}
    exec("def below(node):\n " + "\n ".join(body), namespace)  # made of names of this package
    made: Callable[[Any], list[ast.Node]] = namespace["below"]
    _BELOW[kind] = made
    return made


def children(node: ast.Node) -> list[ast.Node]:
    """Nodes directly below one, in source order within each field."""
    kind = type(node)
    return (_BELOW[kind] if kind in _BELOW else _below(kind))(node)


def walk(node: ast.Node) -> Iterator[ast.Node]:
    """A node and everything below it; no recursion, so no depth is too much."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(children(current)))


_CODE: Final = frozenset([ast.Block, ast.Lambda, ast.FunctionDecl, ast.GuardDefinition])


def all_code(file: FileNames) -> list[ast.Node]:
    """All nodes of a resolved file, found once; a pipeline is the call it stands for."""
    found = file.code
    if found:
        return found
    pipes, extents, known = file.pipes, file.extents, _BELOW
    pending: list[Any] = [file.tree]
    while pending:
        node = pending.pop()
        kind = type(node)
        if kind is tuple:  # everything below such a node was found
            extents[node[0]] = (node[1], len(found))
        elif kind is ast.Pipe and id(node) in pipes:
            pending.append(pipes[id(node)])
        else:
            if kind in _CODE:
                pending.append((id(node), len(found)))
            found.append(node)
            pending += (known[kind] if kind in known else _below(kind))(node)
    return found


def extent_of(file: FileNames, root: ast.Node) -> tuple[int, int]:
    """Where `all_code` has the nodes of a block, lambda, function, guard definition or the file."""
    found = all_code(file)
    return (0, len(found)) if root is file.tree else file.extents[id(root)]


def code_nodes(file: FileNames, root: ast.Node) -> list[ast.Node]:
    """All nodes of a block, lambda, function or guard definition of a resolved file, or of it."""
    start, end = extent_of(file, root)
    return file.code[start:end]


def depth(node: ast.Node) -> int:
    """Levels of nodes, the node itself included."""
    deepest = 0
    pending = [(node, 1)]
    while pending:
        current, level = pending.pop()
        deepest = max(deepest, level)
        pending.extend((child, level + 1) for child in children(current))
    return deepest
