"""Second half of name resolution: what every name in every body stands for.

Walks each file once, in source order, and fills its `FileNames`. Reports all faults it finds;
nothing it does depends on a fault-free tree. Calls and queries are in `resolve_call`, patterns and
literals with names in `resolve_pattern`; the rules of scopes are FLIN reference 3.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final

from flinfast.lang import ast, resolve_call, resolve_flow, resolve_pattern
from flinfast.lang.abi import Builtin
from flinfast.lang.declare import Declarations, default_of
from flinfast.lang.program import TypeInfo
from flinfast.lang.report import Note, Report
from flinfast.lang.resolve_needs import where_available
from flinfast.lang.scope import Names, Scope
from flinfast.lang.source import Span
from flinfast.lang.symbol import (
    AVAILABLE,
    UNKNOWN,
    ContextSymbol,
    EntitySymbol,
    EnumSymbol,
    FileNames,
    FunctionScope,
    FunctionSymbol,
    ItemOf,
    ProjectTable,
    Symbol,
    Variable,
    children,
    walk,
)
from flinfast.lang.types import ANY, NONE, Kinds, entity_of, join, known_members

LOOPS_NESTED_MAX: Final = 16  # in one function; Python compiles at most 20 nested blocks


class _Inner:
    """See `Resolver.block`."""

    __slots__ = ("_names", "_outer", "_scope")

    def __init__(self, names: Names, in_loop: bool, entity: str) -> None:
        self._names = names
        self._outer = outer = names.scope
        self._scope = Scope(outer, outer.function, outer.in_loop or in_loop, entity)

    def __enter__(self) -> None:
        self._names.scope = self._scope

    def __exit__(self, *_: object) -> None:
        self._names.scope = self._outer


class Resolver:
    """Resolves one file.

    Attributes:
        names: Scopes, and the file they belong to.
        report: Where faults go.
        kinds: Evident kinds, as far as they are known at this point of the walk.
        declarations: Canonical types and fields.
        root: The function around all lambdas that are being walked.
        tests: Where each test of the file has its name.
    """

    def __init__(self, file: FileNames, report: Report, declarations: Declarations) -> None:
        self.file = file
        self.table: ProjectTable = file.table
        self.names = Names(file)
        self.report = report
        self.kinds = Kinds(file)
        self.declarations = declarations
        self.root = file.file_scope
        self._loops: list[str | None] = []
        self._results: list[Any] = []
        self.tests: dict[str, Span] = {}

    # --- reporting ----------------------------------------

    def error(self, code: str, message: str, span: Span, label: str = "", **more: Any) -> None:
        """Add a fault in this file."""
        self.report.error(code, message, self.file.source, span, label, **more)

    def warning(self, code: str, message: str, span: Span, label: str = "", **more: Any) -> None:
        """Add a warning about this file."""
        self.report.warning(code, message, self.file.source, span, label, **more)

    def unknown(
        self, code: str, what: str, name: str, span: Span, candidates: Iterable[str], **more: Any
    ) -> None:
        """Add an unknown name of this file, with the closest candidate as help."""
        self.report.unknown(code, what, name, self.file.source, span, candidates, **more)

    # --- the file ----------------------------------------

    def run(self) -> None:
        """Resolve everything in the file."""
        items = self.file.tree.items
        counts = self.file.file_scope.python_names
        counts.update(dict.fromkeys(self.file.functions, 1))
        self.file.roots.append(self.file.file_scope)
        for item in items:
            if isinstance(item, ast.Statement):
                self.visit(item)
        self._mark_late([item for item in items if isinstance(item, ast.Statement)])
        for item in items:
            rule = _ITEMS.get(type(item))
            if rule is not None:
                rule(self, item)
        resolve_flow.warn_unused(self)

    def _mark_late(self, statements: Sequence[ast.Statement]) -> None:
        """Mark file-level variables that a function may see before they are assigned."""
        first = next((s for s in statements if any(map(self._runs_code, walk(s)))), None)
        if first is None:
            return
        for variable in self.file.variables:
            if variable.is_file_level and variable.span.start >= first.span.start:
                variable.is_late = True
                variable.sources.append(NONE)

    def _runs_code(self, node: ast.Node) -> bool:
        """Whether evaluating a node may run a function of this project."""
        if isinstance(node, ast.Pipe):
            return True
        if not isinstance(node, ast.Call):
            return False
        return not isinstance(self.file.symbols.get(id(node.callee)), Builtin)

    @contextmanager
    def function(self, kind: str, title: str, node: ast.Node) -> Iterator[FunctionScope]:
        """Walk code that becomes a function of its own, with `node` as the key of its scope."""
        names = dict(self.file.file_scope.python_names)
        scope = FunctionScope(kind, title, self.file.file_scope, python_names=names)
        self.file.scopes[id(node)] = scope
        self.file.roots.append(scope)
        outer_root, self.root = self.root, scope
        with self._inside(scope):
            yield scope
        self.root = outer_root

    @contextmanager
    def _inside(self, scope: FunctionScope) -> Iterator[None]:
        outer, loops, results = self.names.scope, self._loops, self._results
        self.names.scope = Scope(outer, scope)
        self._loops, self._results = [], []
        yield
        self.names.scope, self._loops, self._results = outer, loops, results

    def block(self, *, in_loop: bool = False, entity: str = "") -> _Inner:
        """Walk something in a scope of its own."""
        return _Inner(self.names, in_loop, entity)

    def _route(self, route: ast.Route) -> None:
        title = f"route {route.method}"
        self._guards(route.guards, "guard", title)
        if route.validate is not None:
            key = f"default {title}{'' if route.path is None else ' ' + route.path}"
            fields = route.validate.fields
            self.declarations.fields(fields, self.file, key, in_entity=False)
            self._defaults(fields)
        with self.function("route", title, route):
            self.visit(route.body)

    def _ws(self, ws: ast.Ws) -> None:
        self._guards(ws.guards, "upgrade guard", "ws")
        for handler in ws.handlers:
            with self.function("ws", f"on {handler.event}", handler):
                if handler.parameter is not None:
                    variable = self.names.declare(handler.parameter, handler.span, "message")
                    variable.sources.append(ANY)
                    self.file.bindings[id(handler)] = (variable,)
                self.visit(handler.body)

    def _middleware(self, middleware: ast.Middleware) -> None:
        with self.function("middleware", "middleware", middleware):
            self.visit(middleware.body)

    def _guard(self, guard: ast.Guard) -> None:
        has_ws = any(isinstance(item, ast.Ws) for item in self.file.tree.items)
        self._guards((guard,), "upgrade guard" if has_ws else "guard", "guard")

    def _guards(self, guards: Sequence[ast.Guard], kind: str, title: str) -> None:
        for guard in guards:
            with self.function(kind, f"{title} guard", guard) as scope:
                resolve_call.guard(self, guard, scope)

    def _function(self, declaration: ast.FunctionDecl) -> None:
        symbol = self.file.functions.get(declaration.name)
        if symbol is None or symbol.declaration is not declaration:
            return  # declared twice: reported
        if declaration.result is not None:
            symbol.result = self.type_of(declaration.result)
        self._code("function", f"fn {symbol.name}", symbol, declaration.parameters)

    def _guard_definition(self, definition: ast.GuardDefinition) -> None:
        symbol = self.file.guards.get(definition.name)
        if symbol is not None and symbol.declaration is definition:
            title = f"guard_definition {symbol.name}"
            self._code("definition", title, symbol, definition.parameters)

    def _code(
        self, kind: str, title: str, symbol: FunctionSymbol, parameters: Sequence[ast.Parameter]
    ) -> None:
        declaration = symbol.declaration
        with self.function(kind, title, declaration) as scope:
            symbol.scope = scope
            self.parameters(parameters)
            self.visit(declaration.body)
            symbol.results = [*self._results, *results_of(declaration.body)]

    def _entity(self, entity: ast.EntityDecl) -> None:
        self._defaults(entity.fields)

    def _defaults(self, fields: Sequence[ast.Field]) -> None:
        for entry in fields:
            default = default_of(entry)
            if default is not None:
                with self.function("default", f"default of {entry.name}", entry):
                    self.visit(default)

    # --- walking ----------------------------------------

    def visit(self, node: ast.Node) -> None:
        """Resolve a statement, expression or part of one."""
        rule = _RULES.get(type(node))
        if rule is not None:
            rule(self, node)
            return
        for child in children(node):
            self.visit(child)

    def _block(self, block: ast.Block) -> None:
        with self.block():
            resolve_flow.statements(self, block)

    def _assign(self, node: ast.Assign) -> None:
        target = node.target
        if not isinstance(target, ast.Name):
            self.visit(target)
            self.visit(node.value)
            self._check_store(target)
            return
        # A lambda may call itself by the name it is assigned to.
        early = isinstance(node.value, ast.Lambda) and node.operator == "="
        if not early:
            self.visit(node.value)
        variable = self._assigned(node, target)
        if early:
            self.visit(node.value)
        if variable is None:
            return
        self.file.targets[id(node)] = variable
        self.file.symbols[id(target)] = variable
        origin: ast.Expr = node.value
        if node.operator != "=":
            origin = ast.Binary(node.span, node.operator[0], target, node.value)
            self.file.compounds[id(node)] = origin
        if node.type is not None:
            variable.annotation = self.type_of(node.type)
        self.assign(variable, origin)

    def assign(self, variable: Variable, origin: ast.Expr | ItemOf | str) -> None:
        """Note where a value of the variable comes from."""
        self.names.write(variable)
        variable.sources.append(origin)
        variable.kind = join(variable.kind, self.kinds.of_origin(origin))

    def _assigned(self, node: ast.Assign, target: ast.Name) -> Variable | None:
        """The variable that an assignment means; None when it was reported."""
        name, declared = target.name, node.declared
        if declared == "shared" and self.names.scope.parent is not None:
            self.error("FL108", "`shared` inside a block", node.span, "belongs at file level")
        if declared:
            known = self.names.scope.names.get(name)
            if known is None or known.role == "parameter":
                return self._declare(node, target, declared)
            if declared == "const" or known.role == "const":
                note = Note("first declared here", self.file.source, known.span)
                self.error(
                    "FL216", f"`{name}` is declared twice", target.span, "again", notes=[note]
                )
            return known
        found = self.names.find_variable(name)
        if isinstance(found, Variable):
            return self._existing(found, target)
        if node.operator != "=":
            self._unknown_name(target)
            return None
        return self._declare(node, target, "assigned")

    def _declare(self, node: ast.Assign, target: ast.Name, role: str) -> Variable | None:
        if role == "assigned" and isinstance(self.names.find(target.name), ContextSymbol):
            self.error(
                "FL106",
                f"cannot assign to `{target.name}`",
                target.span,
                "comes with every request",
                help="choose another name",
            )
            return None
        if isinstance(self.names.find_global(target.name), EntitySymbol | EnumSymbol):
            self.error(
                "FL106",
                f"cannot assign to `{target.name}`",
                target.span,
                "names an entity or enum",
                help="choose another name, such as one that starts with a small letter",
            )
            return None
        self.file.declares.add(id(node))
        return self.names.declare(target.name, target.span, role)

    def _existing(self, variable: Variable, target: ast.Name) -> Variable | None:
        if self.may_assign(variable, target.span):
            return variable
        variable.reads += 1  # one fault is enough
        self.file.symbols[id(target)] = UNKNOWN
        return None

    def may_assign(self, variable: Variable, span: Span) -> bool:
        """Whether code here may change a variable; reports if not."""
        if variable.role == "const" and variable.writes:
            note = Note("declared here", self.file.source, variable.span)
            message = f"cannot assign to constant `{variable.name}`"
            self.error("FL210", message, span, "never changes", notes=[note])
            return False
        if not variable.is_file_level or variable.role == "shared":
            return True
        if self.names.function is self.file.file_scope:
            return True
        note = Note("declared here", self.file.source, variable.span)
        self.error(
            "FL210",
            f"cannot assign to `{variable.name}`, which all requests share",
            span,
            "set once, when the file is loaded",
            help=f"declare it as `shared {variable.name} = ...`, or use another name",
            notes=[note],
        )
        return False

    def _check_store(self, target: ast.Expr) -> None:
        """`a.b = v`, `a[k] = v`: file constants stay as they are."""
        root = target
        while isinstance(root, ast.Member | ast.Index):
            root = root.target
        if isinstance(root, ast.Name):
            symbol = self.file.symbols.get(id(root))
            if isinstance(symbol, Variable) and symbol.role != "const":
                self.may_assign(symbol, root.span)

    def _for(self, node: ast.For) -> None:
        self.visit(node.iterable)
        with self.block(in_loop=True):
            variables = []
            for place, name in enumerate(node.names):
                variable = self.names.declare(name, node.span, "loop")
                single = len(node.names) == 1
                self.assign(
                    variable, ItemOf(node.iterable, -1 if single else place, node.key_first)
                )
                variables.append(variable)
            self.file.bindings[id(node)] = tuple(variables)
            with self._loop(node):
                self._block(node.body)

    def _while(self, node: ast.While) -> None:
        with self.block(in_loop=True):
            self.visit(node.condition)
            if node.pattern is not None:
                resolve_pattern.pattern(self, node.pattern, declares=True)
            with self._loop(node):
                self._block(node.body)

    @contextmanager
    def _loop(self, node: ast.For | ast.While) -> Iterator[None]:
        if len(self._loops) == LOOPS_NESTED_MAX:
            message = f"more than {LOOPS_NESTED_MAX} loops inside each other"
            self.error("FL009", message, node.span, help="move the inner ones into a function")
        self._loops.append(node.label)
        yield
        self._loops.pop()

    def _jump(self, node: ast.Break | ast.Continue) -> None:
        if isinstance(node, ast.Break) and node.value is not None:
            self.visit(node.value)
        word = "break" if isinstance(node, ast.Break) else "continue"
        if not self._loops:
            self.error("FL208", f"`{word}` outside a loop", node.span, "no loop to leave")
        elif node.label is not None and node.label not in self._loops:
            labels = [label for label in self._loops if label is not None]
            at = self.file.source.text.find(f"'{node.label}", node.span.start)
            span = Span(at, at + len(node.label) + 1)
            self.unknown("FL209", "loop label", node.label, span, labels)

    def _return(self, node: ast.Return) -> None:
        if self.names.function is self.file.file_scope:
            self.error("FL108", "`return` outside a handler", node.span, "nothing to return from")
        if node.value is not None:
            self.visit(node.value)
        self._results.append(NONE if node.value is None else node.value)

    def _lambda(self, node: ast.Lambda, first_kind: str = ANY) -> None:
        outer = self.names.function
        scope = FunctionScope(outer.kind, "lambda", outer, True, outer.python_names)
        self.file.scopes[id(node)] = scope
        with self._inside(scope):
            self.parameters(node.parameters, first_kind)
            self.visit(node.body)

    def lambda_of(self, node: ast.Lambda, first_kind: str) -> None:
        """Resolve a lambda whose first parameter is of an evident kind."""
        self._lambda(node, first_kind)

    def parameters(self, parameters: Sequence[ast.Parameter], first_kind: str = ANY) -> None:
        """Declare parameters; defaults see those before them."""
        for place, parameter in enumerate(parameters):
            if parameter.default is not None:
                self.visit(parameter.default)
            known = self.names.scope.names.get(parameter.name)
            if known is not None:
                message = f"parameter `{parameter.name}` is declared twice"
                self.error("FL216", message, parameter.span, "declared again")
            variable = self.names.declare(parameter.name, parameter.span, "parameter")
            if parameter.type is not None:
                variable.annotation = self.type_of(parameter.type)
                if parameter.rest and not _holds_a_list(variable.annotation):
                    self.error(
                        "FL114",
                        f"`...{parameter.name}` is declared as another type than a list",
                        parameter.type.span,
                        "what is left is always a list",
                        help=f"write the type of one argument in brackets, as in "
                        f"`...{parameter.name}: [int]`",
                    )
            self.assign(variable, ANY if place or parameter.rest else first_kind)
            self.file.bindings[id(parameter)] = (variable,)

    def type_of(self, ref: ast.TypeRef) -> TypeInfo:
        """Canonical form of a type."""
        return self.declarations.type_of(ref, self.file.source)

    # --- names ----------------------------------------

    def _name(self, node: ast.Name) -> None:
        symbol = self.find(node)
        if isinstance(symbol, EnumSymbol):
            self.error(
                "FL202",
                f"`{node.name}` is an enum, not a value",
                node.span,
                "expected a variant",
                help=f"write `{node.name}.{symbol.variants[0]}`" if symbol.variants else "",
            )

    def find(self, node: ast.Name, *, fields: bool = True) -> Symbol:
        """What a name stands for, noted as read; reports unknown ones."""
        symbol = self.names.find(node.name, fields=fields)
        if symbol is None:
            self._unknown_name(node)
            symbol = UNKNOWN
        self.file.symbols[id(node)] = symbol
        if isinstance(symbol, Variable):
            self.names.read(symbol)
        elif isinstance(symbol, ContextSymbol):
            self.need(symbol.name, node.span)
        elif isinstance(symbol, FunctionSymbol):
            self.root.edges.append((symbol, node.span))
        return symbol

    def need(self, name: str, span: Span) -> None:
        """Note that code here uses a context name; reports where there is none."""
        self.root.needs.setdefault(name, span)
        if name in AVAILABLE[self.root.kind]:
            return
        title = self.root.title
        place = "at file level" if self.root.kind == "file" else f"in `{title}`"
        self.error(
            "FL310",
            f"`{name}` is not available {place}",
            span,
            "nothing provides it here",
            help=where_available(self.root.kind, name),
        )

    def _unknown_name(self, node: ast.Name) -> None:
        self.file.symbols[id(node)] = UNKNOWN
        name = node.name
        if name[:1].isupper():
            if self.table.is_complete:
                known = [*self.table.entities, *self.table.enums]
                help = f"declare it: `entity {name} {{ ... }}`"
                self.unknown("FL204", "entity", name, node.span, known, help=help)
            return
        ended = self.names.ended(name, node.span)
        if ended is not None:
            ended.reads += 1
            note = Note("this one ends with its block", self.file.source, ended.span)
            help = f"assign it before the block, such as `{name} = none`"
            message = f"unknown name `{name}`"
            self.error("FL202", message, node.span, "not known here", help=help, notes=[note])
            return
        candidates = chain(self.names.visible(), self.names.global_names())
        label = "nothing has this name"
        self.unknown("FL202", "name", name, node.span, candidates, label=label)

    def _member(self, node: ast.Member) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            symbol = self.find(target)
            if isinstance(symbol, EnumSymbol):
                resolve_pattern.variant(self, node, symbol, node.name, node.name_span)
                return
        else:
            self.visit(target)
        self.check_member(node)

    def check_member(self, node: ast.Member) -> None:
        """Report a name that an evident record, query or entity does not have."""
        kind = self.kinds.of(node.target)
        entity = entity_of(kind, "record")
        if entity and entity in self.table.entities:
            if not self.is_builtin_method(node.name):
                names = known_members(self.table, entity)
                self.check_field(entity, node.name, node.name_span, names)
            return
        entity = entity_of(kind, "handle", "query")
        if entity:
            resolve_call.check_query_member(self, node, entity)

    def is_builtin_method(self, name: str) -> bool:
        """Whether a builtin takes what stands before `.name` as its first argument."""
        builtin = self.table.builtins.get(name)
        return builtin is not None and bool(builtin.parameters) and not name.startswith("_")

    def check_field(self, entity: str, name: str, span: Span, names: Iterable[str]) -> bool:
        """Report a field that an entity does not have."""
        known = set(names)
        if name in known:
            return True
        label = f"`{entity}` has no field of this name"
        self.unknown("FL205", "field", name, span, known, label=label)
        return False


def results_of(block: ast.Block) -> list[ast.Expr | str]:
    """Where the value of a block that falls off its end comes from."""
    if not block.statements:
        return [NONE]
    last = block.statements[-1]
    if isinstance(last, ast.ExprStatement):
        return [last.value]
    return [] if isinstance(last, ast.Return) else [ANY]


def _holds_a_list(declared: TypeInfo) -> bool:
    """Whether a list may fit a declared type."""
    if declared.name == "union":
        return any(map(_holds_a_list, declared.arguments))
    return declared.name in ("list", "any")


_ITEMS: Final[dict[type, Callable[[Resolver, Any], None]]] = {
    ast.Route: Resolver._route,
    ast.Ws: Resolver._ws,
    ast.Middleware: Resolver._middleware,
    ast.Guard: Resolver._guard,
    ast.FunctionDecl: Resolver._function,
    ast.GuardDefinition: Resolver._guard_definition,
    ast.EntityDecl: Resolver._entity,
    ast.TestDecl: resolve_flow.test,
}
_RULES: Final[dict[type, Callable[[Resolver, Any], None]]] = {
    ast.Block: Resolver._block,
    ast.Assign: Resolver._assign,
    ast.For: Resolver._for,
    ast.While: Resolver._while,
    ast.Break: Resolver._jump,
    ast.Continue: Resolver._jump,
    ast.Return: Resolver._return,
    ast.Lambda: Resolver._lambda,
    ast.Name: Resolver._name,
    ast.Member: Resolver._member,
    ast.Call: resolve_call.call,
    ast.Pipe: resolve_call.pipe,
    ast.Destructure: resolve_pattern.destructure,
    ast.Match: resolve_pattern.match,
    ast.EntityLiteral: resolve_pattern.entity_literal,
    ast.TypeTest: resolve_pattern.type_test,
}
