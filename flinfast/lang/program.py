"""A compiled project: what the rest of the system knows of it, and how to run it.

`compile_project` is the only way in. It reads nothing but the sources it is given; the parser is
imported when something has to be parsed, so a program from the cache never pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from flinfast.lang import support
from flinfast.lang.abi import Abi, Builtin, Value
from flinfast.lang.source import Source

if TYPE_CHECKING:
    from flinfast.lang.diagnostic import Diagnostic

FACTORY: Final = "__flin_factory__"  # the one function of a compiled file's module code
FAULTS_MAX: Final = 100  # diagnostics of one run; more help nobody
COMPILER_VERSION: Final = 10  # raise with every change of what is generated: it is in the cache key

# (source, kind, names of the path's parameters); kinds as in FileInfo.kind.
ProjectSource = tuple[Source, str, tuple[str, ...]]
# What a development server keeps from one compilation to the next; opaque to everyone else.
KeptState = dict[str, Any]


class Effects(Struct, frozen=True):
    """What a handler may do, functions it calls included; conservative.

    Attributes:
        writes: It changes stored data.
        waits: It may be suspended in a builtin.
        reads: It reads stored data.
        sends: It sends, broadcasts or closes.
        joins: It makes rooms explicit (`ws_join`).
    """

    writes: bool = False
    waits: bool = False
    reads: bool = False
    sends: bool = False
    joins: bool = False

    def __or__(self, other: Effects) -> Effects:
        return Effects(
            self.writes or other.writes,
            self.waits or other.waits,
            self.reads or other.reads,
            self.sends or other.sends,
            self.joins or other.joins,
        )


class HandlerInfo(Struct, frozen=True):
    """One closure; `key` is its name in the dict that `CompiledFile.bind()` returns."""

    key: str
    line: int
    effects: Effects


class GuardInfo(Struct, frozen=True):
    """One use of a guard.

    Attributes:
        name: As written.
        key: `bind()[key](ctx)` gives (arguments tuple, named arguments dict).
        line: Where it stands.
        source: As shown to people, such as `role("admin")`.
    """

    name: str
    key: str
    line: int
    source: str


class GuardDefinitionInfo(Struct, frozen=True):
    """One `guard_definition`; `bind()[key](ctx, *arguments)` gives none or the answer."""

    name: str
    key: str
    line: int
    effects: Effects


class TypeInfo(Struct, frozen=True):
    """A type, canonical and without aliases.

    Attributes:
        name: text int number bool time duration file bytes any list map union, or the name of an
            entity or enum.
        arguments: Element types of a list (1) or map (key, value), members of a union.
        optional: Whether none is allowed.
    """

    name: str
    arguments: tuple[TypeInfo, ...] = ()
    optional: bool = False


class FieldInfo(Struct, frozen=True):
    """One field of an entity or `validate` block.

    Attributes:
        name: As written.
        type: Its type.
        modifiers: (snake_case name, constant arguments), in source order, without `default`.
        default_key: `bind()[default_key]()` gives a fresh default value; None without one.
        line: Where it stands.
    """

    name: str
    type: TypeInfo
    modifiers: tuple[tuple[str, tuple[Value, ...]], ...]
    default_key: str | None
    line: int


class RouteInfo(Struct, frozen=True):
    """One `route` block; `path` is the path override, as written, or None."""

    method: str
    line: int
    guards: tuple[GuardInfo, ...]
    validate: tuple[FieldInfo, ...] | None
    handler: HandlerInfo
    path: str | None = None


class WsInfo(Struct, frozen=True):
    """The `ws` block of a file; `uses_join` says whether its rooms are explicit."""

    line: int
    guards: tuple[GuardInfo, ...]
    connect: HandlerInfo | None
    message: HandlerInfo | None
    close: HandlerInfo | None
    uses_join: bool


class EntityInfo(Struct, frozen=True):
    """One entity."""

    name: str
    line: int
    path: str
    fields: tuple[FieldInfo, ...]


class EnumInfo(Struct, frozen=True):
    """One enum; the value of a variant is its name."""

    name: str
    line: int
    path: str
    variants: tuple[str, ...]


class TestInfo(Struct, frozen=True):
    """One `test "name" { ... }` block; any file may have some, at file level.

    `bind()[handler.key](ctx)` runs it. It has no request: of the context only what builtins need
    is used, so a context like that of file-level code will do. It returns nothing when all it
    expects is so. Otherwise it raises what any handler may raise; a failed `expect` or `assert`
    raises RuntimeFault with code FL570, whose message says what was expected and what was found,
    and whose traceback ends in the FLIN line. A test is a transaction like a handler
    (`handler.effects` says whether it writes or waits); whoever runs it undoes what it wrote.
    Files of tests alone have the kind "tests": they see what all files see, declare no routes,
    and their functions are their own.

    Attributes:
        name: As written; no two tests of a file have the same.
        handler: Key, line and effects.
    """

    __test__ = False  # pytest: not a test class

    name: str
    handler: HandlerInfo


class FileInfo(Struct, frozen=True):
    """What one file declares.

    Attributes:
        path: As in its Source.
        kind: "route", "middleware", "entities", "lib", "guards" or "tests".
        guards: Guards at file level.
        routes: Its `route` blocks in source order.
        ws: Its `ws` block.
        middleware: Its `middleware` block.
        guard_definitions: Its `guard_definition`s.
        entities: Its entities.
        enums: Its enums.
        functions: Names of its functions; each is also their key in `bind()`. They take the
            context first.
        tests: Its `test` blocks.
    """

    path: str
    kind: str
    guards: tuple[GuardInfo, ...] = ()
    routes: tuple[RouteInfo, ...] = ()
    ws: WsInfo | None = None
    middleware: HandlerInfo | None = None
    guard_definitions: tuple[GuardDefinitionInfo, ...] = ()
    entities: tuple[EntityInfo, ...] = ()
    enums: tuple[EnumInfo, ...] = ()
    functions: tuple[str, ...] = ()
    tests: tuple[TestInfo, ...] = ()


class CompiledFile(Struct, frozen=True):
    """One file: what it declares, and code that makes its closures."""

    info: FileInfo
    code: CodeType

    def bind(self, abi: Abi) -> dict[str, Callable[..., Any]]:
        """Run the file-level code and make the closures of one program.

        Args:
            abi: What they call. `abi.shared_functions` must already hold the functions of the
                `lib` and `entities` files that stand before this one in `CompiledProgram.files`.

        Returns:
            Closures by key; see the `...Info` classes.

        Raises:
            RuntimeFault: File-level code failed.
        """
        namespace: dict[str, Any] = {"__name__": self.info.path, "$support": support}
        exec(self.code, namespace)  # generated by this package from checked source
        closures: dict[str, Callable[..., Any]] = namespace[FACTORY](abi)
        return closures


class CompiledProgram(Struct, frozen=True):
    """All files of a project.

    Attributes:
        files: In the order in which they must be bound: files whose functions others use first.
        diagnostics: Warnings.
    """

    files: tuple[CompiledFile, ...]
    diagnostics: tuple[Diagnostic, ...] = field(default=())


def compile_project(
    sources: Sequence[ProjectSource],
    *,
    builtins: Mapping[str, Builtin],
    guards: Collection[str],
    kept: KeptState | None = None,
) -> CompiledProgram:
    """Compile all files of a project.

    Args:
        sources: Every file with its kind and the names of its path's parameters.
        builtins: The builtins, internal ones (`_name`) included.
        guards: Names of the built-in guards.
        kept: A dict that a development server keeps from one call to the next, empty at first.
            Files that did not change are not parsed again, and not compiled again when nothing
            changed that all files share.

    Raises:
        CompileError: With all faults of all files, at most FAULTS_MAX, and the warnings.
    """
    from flinfast.lang.compile import compile_sources  # brings the parser along

    return compile_sources(sources, builtins=builtins, guards=guards, kept=kept)
