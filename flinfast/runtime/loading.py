"""A project to a running program: compile, open the store, bind closures, build the route table.

Nothing here runs per request. `compile_files` finds every fault of the source; `bind` connects the
checked program with its services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from flinfast.errors import CompileError, RuntimeFault
from flinfast.lang.cache import compile_cached
from flinfast.lang.diagnostic import Diagnostic, Note
from flinfast.lang.program import (
    CompiledFile,
    CompiledProgram,
    Effects,
    EntityInfo,
    FileInfo,
    GuardInfo,
    KeptState,
    ProjectSource,
    RouteInfo,
    WsInfo,
    compile_project,
)
from flinfast.lang.source import Source, Span
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.error_page import standard_reply
from flinfast.runtime.fault import to_fault
from flinfast.runtime.guard import BUILTIN_GUARDS, GuardUse, Verdict, make_verdict
from flinfast.runtime.message_limit import limited
from flinfast.runtime.middleware import FaultReply, Plan, accept_upgrade
from flinfast.runtime.operators import OperatorSet
from flinfast.runtime.project import Project, ProjectFile
from flinfast.runtime.response import Reply, make_response
from flinfast.runtime.router import Pattern, RouteNameError, Router, pattern_of_text
from flinfast.runtime.validate import Schema, Validator

if TYPE_CHECKING:
    from flinfast.runtime.services import Services

Closures = dict[str, Callable[..., Any]]

# Context parts of an upgrade request that a connection keeps only when they are mentioned.
KEPT_PARTS: Final = frozenset({"headers", "cookies", "query", "request"})
_SESSION_PARTS: Final = frozenset({"session", "request"})
_STORE_GUARDS: Final = frozenset({"auth", "role", "owner", "csrf"})  # they look at the session


class Compiled(Struct, frozen=True):
    """A checked program that is not bound yet.

    Attributes:
        project: What it came from.
        program: Its files in binding order.
        by_path: The same by source path.
        enums: Variants by enum name.
    """

    project: Project
    program: CompiledProgram
    by_path: Mapping[str, CompiledFile]
    enums: Mapping[str, tuple[str, ...]]

    @property
    def entities(self) -> tuple[EntityInfo, ...]:
        """Declared entities in binding order."""
        return tuple(e for file in self.program.files for e in file.info.entities)

    @property
    def shape(self) -> tuple[tuple[EntityInfo, ...], Mapping[str, tuple[str, ...]]]:
        """What the database depends on."""
        return self.entities, self.enums


class WsEntry(Struct):
    """The `ws` block of a route.

    Attributes:
        plan: What decides about an upgrade.
        connect: Closure of `on connect`, None without one; so for `message` and `close`.
        message: See there.
        close: See there.
        effects: Effects by event.
        is_implicit: Whether its connections are members of the rooms it broadcasts to.
        keeps: Parts of the upgrade request that its handlers mention.
    """

    plan: Plan
    connect: Callable[..., Any] | None
    message: Callable[..., Any] | None
    close: Callable[..., Any] | None
    effects: dict[str, Effects]
    is_implicit: bool
    keeps: frozenset[str]

    @property
    def is_open(self) -> bool:
        """Whether nothing can refuse an upgrade, nor looks at more of it than path and address."""
        plan = self.plan
        return not (plan.middleware or plan.guards or plan.validator or self.keeps)


class Route(Struct):
    """Everything at one path.

    Attributes:
        pattern: The path.
        plans: By method; HEAD stands for GET where it is not defined.
        ws: The `ws` block.
        options: The way of an OPTIONS request that no route block answers.
        names: Parameter names.
    """

    pattern: Pattern
    plans: dict[str, Plan] = field(default_factory=dict)
    ws: WsEntry | None = None
    options: Plan | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.names = self.pattern.names

    @property
    def allow(self) -> str:
        """Value of an Allow header."""
        methods = set(self.plans) | {"OPTIONS"}
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods))


class RouteRow(Struct, frozen=True):
    """One line of `flinfast routes`: method or "WS", path, place and guards as written."""

    method: str
    path: str
    place: str
    guards: str


def compile_files(
    project: Project, cache: Path | None = None, kept: KeptState | None = None
) -> Compiled:
    """Check and compile every file of a project.

    Args:
        project: The project.
        cache: Folder where the compiled program is kept for the next start, None to keep nothing.
        kept: What this process keeps from one call to the next, see `compile_project`; only
            without a cache.

    Raises:
        CompileError: With the diagnostics of all files, their names and paths included.
    """
    faults = [*project.diagnostics, *_path_clashes(project.files)]
    sources = [
        (file.source, file.kind, file.pattern.names if file.pattern is not None else ())
        for file in project.files
    ]
    try:
        program = _compile(sources, cache, kept)
    except CompileError as error:
        raise CompileError([*faults, *error.diagnostics]) from None
    faults += _operand_faults(project, program)
    if faults:
        raise CompileError(faults)
    by_path = {file.info.path: file for file in program.files}
    enums = {e.name: e.variants for file in program.files for e in file.info.enums}
    return Compiled(project, program, by_path, enums)


def _compile(
    sources: list[ProjectSource], cache: Path | None, kept: KeptState | None
) -> CompiledProgram:
    if cache is None:
        return compile_project(sources, builtins=specs(), guards=BUILTIN_GUARDS, kept=kept)
    return compile_cached(sources, builtins=specs(), guards=BUILTIN_GUARDS, folder=cache)


def _path_clashes(files: Iterable[ProjectFile]) -> list[Diagnostic]:
    """FL303: two files for one route."""
    first: dict[tuple[str, ...], ProjectFile] = {}
    faults = []
    for file in files:
        if file.pattern is None:
            continue
        other = first.setdefault(file.pattern.shape, file)
        if other is not file:
            here, there = file.source, other.source
            faults.append(
                Diagnostic(
                    "FL303",
                    f"`{there.path}` and `{here.path}` are both the route `{file.pattern}`",
                    here,
                    _first_line(here),
                    "second file for this route",
                    help="rename or remove one of them",
                    notes=(Note("the first file is here", there, _first_line(there)),),
                )
            )
    return faults


def _first_line(source: Source) -> Span:
    return Span(0, len(source.line_text(1)))


def _operand_faults(project: Project, program: CompiledProgram) -> list[Diagnostic]:
    """FL306: a path operand that is no path, or not the file's own in an `app/` file."""
    known = {file.source.path: file for file in project.files}
    faults = []
    for compiled in program.files:
        file = known[compiled.info.path]
        for route in compiled.info.routes:
            if route.path is None:
                continue
            message = _operand_fault(project, file, route.path)
            if message:
                span = file.source.span_of_line(route.line)
                faults.append(Diagnostic("FL306", message, file.source, span, "this path"))
    return faults


def _operand_fault(project: Project, file: ProjectFile, text: str) -> str:
    try:
        pattern = pattern_of_text(text)
    except RouteNameError as error:
        return str(error)
    if project.is_single or file.pattern is None or pattern == file.pattern:
        return ""
    return f"`{text}` differs from the path of this file, `{file.pattern}`"


# --- binding ----------------------------------------


class Binder:
    """Connects a compiled program with its services.

    Args:
        compiled: The program.
        services: What its builtins reach.
        fault_reply: Turns a fault into what the client is told.

    Attributes:
        services: As given.
        abi: What files are bound to, once they are.
        routes: By shape of their paths, once bound.
    """

    abi: Any

    def __init__(
        self,
        compiled: Compiled,
        services: Services,
        fault_reply: FaultReply,
    ) -> None:
        self._compiled = compiled
        self.services = services
        self._fault_reply = fault_reply
        self.closures: dict[str, Closures] = {}
        self.routes: dict[tuple[str, ...], Route] = {}
        self.rows: list[RouteRow] = []
        self._definitions: dict[str, tuple[Callable[..., Any], Effects]] = {}
        self._own_definitions: dict[tuple[str, str], tuple[Callable[..., Any], Effects]] = {}
        self._middleware: dict[tuple[str, ...], tuple[Callable[..., Any], Effects]] = {}
        self._shared_names: set[str] = set()
        self._schema = Schema(
            compiled.enums,
            frozenset(entity.name for entity in compiled.entities),
            lambda entity, id: services.store.handle(entity).find(id) is not None,
        )

    def bind(self) -> dict[tuple[str, ...], Route]:
        """Bind every file and build its routes, by shape of their paths.

        Raises:
            RuntimeFault: File-level code failed.
        """
        for _ in self.steps():
            pass
        return self.routes

    def steps(self) -> Iterator[None]:
        """bind() in steps of a file each; `routes` is whole at the end. Raises as bind()."""
        yield from self._bind_files()
        self._collect()
        for file in self._compiled.project.files:
            if file.kind == "route" and file.pattern is not None:
                info = self._compiled.by_path[file.source.path].info
                self._add_routes(file, info, self.routes)
                yield

    def default_of(self, path: str, key: str) -> Callable[[], Any]:
        """Maker of a default value of an entity's field."""
        return self.closures[path][key]

    def _bind_files(self) -> Iterator[None]:
        services = self.services
        store = services.store
        builtins = BoundBuiltins(services)
        shared: Closures = {}
        abi = self.abi = SimpleNamespace(
            ops=OperatorSet(builtins),
            entities=store.entities,
            builtins=builtins,
            shared_functions=shared,
            save=store.save,
            delete=store.delete,
            restore=store.restore,
            destroy=store.destroy,
            make_response=make_response,
        )
        for file in self._compiled.program.files:
            try:
                closures = file.bind(abi)
            except (RuntimeFault, ArithmeticError, RecursionError, MemoryError) as error:
                fault = to_fault(error)  # with its place: nobody else sees the traceback
                raise fault from (None if fault is error else error)
            self.closures[file.info.path] = closures
            if file.info.kind in ("lib", "entities"):
                shared.update((name, closures[name]) for name in file.info.functions)
                self._shared_names |= code_names(file.code)
            yield

    def _collect(self) -> None:
        """Find guard definitions and middleware."""
        folders = {file.source.path: file.folder for file in self._compiled.project.files}
        for file in self._compiled.program.files:
            info, closures = file.info, self.closures[file.info.path]
            for definition in info.guard_definitions:
                entry = (closures[definition.key], self._with_session(file, definition.effects))
                self._own_definitions[info.path, definition.name] = entry
                if info.kind in ("guards", "middleware"):
                    self._definitions[definition.name] = entry
            if info.kind == "middleware" and info.middleware is not None:
                effects = self._with_session(file, info.middleware.effects)
                self._middleware[folders[info.path]] = (closures[info.middleware.key], effects)

    def _with_session(self, file: CompiledFile, effects: Effects) -> Effects:
        """Effects of a step that may read a record of the session, which no analysis sees."""
        names = code_names(file.code) | self._shared_names
        return effects | Effects(reads=True) if names & _SESSION_PARTS else effects

    def _add_routes(
        self, file: ProjectFile, info: FileInfo, routes: dict[tuple[str, ...], Route]
    ) -> None:
        compiled = self._compiled.by_path[info.path]
        assert file.pattern is not None
        chain = [
            self._middleware[file.folder[:depth]]
            for depth in range(len(file.folder) + 1)
            if file.folder[:depth] in self._middleware
        ]
        touched: list[Route] = []
        for route_info in info.routes:
            pattern = file.pattern
            if route_info.path is not None:
                pattern = pattern_of_text(route_info.path)
            route = routes.setdefault(pattern.shape, Route(pattern))
            route.plans[route_info.method] = self._route_plan(compiled, route_info, route, chain)
            self._row(route_info.method, pattern, info, route_info.line, route_info.guards)
            touched.append(route)
        if info.ws is not None:
            route = routes.setdefault(file.pattern.shape, Route(file.pattern))
            route.ws = self._ws_entry(compiled, info.ws, chain)
            self._row("WS", file.pattern, info, info.ws.line, info.ws.guards)
            touched.append(route)
        for route in touched:
            if route.options is None:
                route.options = self._plan(chain, (), None, None, _options_answer(route), Effects())

    def _route_plan(
        self,
        file: CompiledFile,
        info: RouteInfo,
        route: Route,
        chain: list[tuple[Callable[..., Any], Effects]],
    ) -> Plan:
        closures = self.closures[file.info.path]
        scope = f"{file.info.path} {info.method} {route.pattern}"
        guards, effects = self._guards(file, (*file.info.guards, *info.guards), scope)
        effects = effects | self._with_session(file, info.handler.effects)
        validator = None
        if info.validate is not None:
            validator = Validator(info.validate, self._schema, closures)
            if validator.reads:
                effects = effects | Effects(reads=True)
        handler = closures[info.handler.key]
        return self._plan(chain, guards, validator, handler, _no_answer, effects)

    def _ws_entry(
        self, file: CompiledFile, info: WsInfo, chain: list[tuple[Callable[..., Any], Effects]]
    ) -> WsEntry:
        closures = self.closures[file.info.path]
        scope = f"{file.info.path} WS"
        guards, effects = self._guards(file, (*file.info.guards, *info.guards), scope)
        handlers = {"connect": info.connect, "message": info.message, "close": info.close}
        found = {event: h for event, h in handlers.items() if h is not None}
        bound = {event: closures[handler.key] for event, handler in found.items()}
        names = code_names(file.code) | self._shared_names
        if "message" in bound and _limits_messages((*file.info.guards, *info.guards)):
            bound["message"] = limited(bound["message"], self.services)
        return WsEntry(
            plan=self._plan(chain, guards, None, None, accept_upgrade, effects),
            connect=bound.get("connect"),
            message=bound.get("message"),
            close=bound.get("close"),
            effects={event: handler.effects for event, handler in found.items()},
            is_implicit=not info.uses_join and self.services.settings.ws.implicit_rooms,
            keeps=KEPT_PARTS & names,
        )

    def _plan(
        self,
        chain: list[tuple[Callable[..., Any], Effects]],
        guards: tuple[Verdict, ...],
        validator: Validator | None,
        handler: Callable[..., Any] | None,
        answer: Callable[[], Reply],
        effects: Effects,
    ) -> Plan:
        for _, more in chain:
            effects = effects | more
        return Plan(
            tuple(closure for closure, _ in chain),
            guards,
            validator,
            handler,
            answer,
            self._fault_reply,
            uses_store=effects.reads or effects.writes,
            writes=effects.writes,
            waits=effects.waits or self.services.store.waits,
        )

    def _guards(
        self, file: CompiledFile, uses: Iterable[GuardInfo], scope: str
    ) -> tuple[tuple[Verdict, ...], Effects]:
        path = file.info.path
        effects = Effects()
        verdicts = []
        for info in uses:
            closure = None
            if info.name in BUILTIN_GUARDS:
                if info.name in _STORE_GUARDS:
                    effects = effects | Effects(reads=True)
            else:
                own = self._own_definitions.get((path, info.name))
                closure, more = own or self._definitions[info.name]
                effects = effects | more
            arguments = self.closures[path][info.key]
            if arguments.__code__.co_freevars:  # more than constants and context names
                effects = effects | Effects(reads=True)
            verdicts.append(
                make_verdict(
                    GuardUse(
                        name=info.name,
                        place=f"{path}:{info.line}",
                        arguments=arguments,
                        scope=scope,
                        limiter=self.services.limiter,
                        closure=closure,
                    )
                )
            )
        return tuple(verdicts), effects

    def _row(
        self,
        method: str,
        pattern: Pattern,
        info: FileInfo,
        line: int,
        guards: tuple[GuardInfo, ...],
    ) -> None:
        text = ", ".join(guard.source for guard in (*info.guards, *guards))
        self.rows.append(RouteRow(method, str(pattern), f"{info.path}:{line}", text))


def build_router(routes: Mapping[tuple[str, ...], Route]) -> Router[Route]:
    """The route table."""
    router: Router[Route] = Router()
    for route in routes.values():
        router.add(route.pattern, route)
    return router


def code_names(code: CodeType) -> frozenset[str]:
    """Names of attributes and globals that code mentions, inner functions included."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= code_names(constant)
    return frozenset(names)


def _limits_messages(guards: Iterable[GuardInfo]) -> bool:
    return any(guard.name == "ws_rate_limit" for guard in guards)


def _options_answer(route: Route) -> Callable[[], Reply]:
    def answer() -> Reply:
        reply = Reply(204)
        reply.headers.flin_set("Allow", route.allow)
        return reply

    return answer


def _no_answer() -> Reply:
    return standard_reply(500)
