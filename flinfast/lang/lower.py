"""Lowering: the resolved tree of a file becomes Python code.

The module code defines one function, the factory. It binds what the file uses of the Abi to local
names, runs the file-level statements, and returns the closures by key. The closures reach
everything through their cells, so nothing is looked up by name while a handler runs.
"""

from __future__ import annotations

import ast as py
import warnings
from types import CodeType
from typing import Final

from flinfast.lang import (
    ast,
    lower_call,
    lower_expr,
    lower_for,
    lower_function,
    lower_operator,
    lower_statement,
    lower_text,
)
from flinfast.lang.declare import default_of
from flinfast.lang.effects import EffectAnalysis
from flinfast.lang.lower_argument import packed
from flinfast.lang.lower_base import CONTEXT, DISCARD, MESSAGE, Frame, Lowering, Rule, StatementRule
from flinfast.lang.message import message_use
from flinfast.lang.program import (
    FACTORY,
    EntityInfo,
    EnumInfo,
    FieldInfo,
    FileInfo,
    GuardDefinitionInfo,
    GuardInfo,
    HandlerInfo,
    RouteInfo,
    TestInfo,
    WsInfo,
)
from flinfast.lang.scope import python_name
from flinfast.lang.source import Source
from flinfast.lang.symbol import FileNames
from flinfast.lang.types import Kinds

_EXPRESSIONS: Final[dict[type, Rule]] = {
    **lower_call.RULES,
    **lower_expr.RULES,
    **lower_function.RULES,
    **lower_operator.RULES,
    **lower_text.RULES,
}
_STATEMENTS: Final[dict[type, StatementRule]] = {**lower_for.RULES, **lower_statement.RULES}


def lower(kinds: Kinds, effects: EffectAnalysis) -> tuple[FileInfo, CodeType]:
    """Lower one resolved file without faults.

    Returns:
        What the file declares, and the code of its module.

    Raises:
        RecursionError: It nests more deeply than Python compiles.
    """
    writer = FileWriter(kinds, effects)
    info = writer.run()
    module = py.Module([writer.factory()], [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # `none[1]` is a fault when it runs
        code = compile(module, kinds.file.source.path, "exec", dont_inherit=True)
    return info, code


class FileWriter:
    """Writes the factory of one file, and notes what it declares."""

    def __init__(self, kinds: Kinds, effects: EffectAnalysis) -> None:
        self.kinds = kinds
        self.file: FileNames = kinds.file
        self.source: Source = kinds.file.source
        self.effects = effects
        self.lowering = Lowering(kinds.file, kinds, _EXPRESSIONS, _STATEMENTS)
        self._definitions: list[py.stmt] = []
        self._functions: list[py.stmt] = []
        self._closures: dict[str, str] = {}

    def run(self) -> FileInfo:
        """Write all closures."""
        items = self.file.tree.items
        functions = self._write_functions()
        self._write_statements()
        ws = next((item for item in items if isinstance(item, ast.Ws)), None)
        middleware = next((item for item in items if isinstance(item, ast.Middleware)), None)
        guards = [item for item in items if isinstance(item, ast.Guard)]
        tests = [item for item in items if isinstance(item, ast.TestDecl)]
        return FileInfo(
            path=self.source.path,
            kind=self.file.kind,
            guards=self._guards(guards, "guard"),
            routes=tuple(self._route(item) for item in items if isinstance(item, ast.Route)),
            ws=None if ws is None else self._ws(ws),
            middleware=None if middleware is None else self._middleware(middleware),
            guard_definitions=self._guard_definitions(),
            entities=self._entities(),
            enums=self._enums(),
            functions=functions,
            tests=tuple(self._test(test, place) for place, test in enumerate(tests)),
        )

    # --- the factory ----------------------------------------

    def factory(self) -> py.stmt:
        """`def __flin_factory__($abi): ...`."""
        lowering = self.lowering
        late = [v for v in self.file.variables if v.is_late]
        with lowering.captured() as body:
            lowering.emit_assign(CONTEXT, lowering.const(None))
            for variable in late:
                lowering.emit_assign(variable.python, lowering.const(None))
            body += [*self._functions, *self._statements, *self._definitions]
            closures = {k: lowering.load(name) for k, name in self._closures.items()}
            lowering.emit(py.Return(lowering.mapping(closures), **lowering.place))
        with lowering.captured() as head:
            for name, value in lowering.bindings.items():
                lowering.emit_assign(name, value)
        return lowering.define(FACTORY, ["$abi"], [*head, *body])

    def _write_functions(self) -> tuple[str, ...]:
        lower_function.find_forms(self.lowering)
        lower_function.find_asked(self.lowering)
        for symbol in self.file.functions.values():
            self._functions += lower_function.function(self.lowering, symbol)
            self._closures[symbol.name] = python_name(symbol.name)
        return tuple(self.file.functions)

    def _write_statements(self) -> None:
        with self.lowering.captured() as self._statements:
            for item in self.file.tree.items:
                if isinstance(item, ast.Statement):
                    self.lowering.statement(item, DISCARD)

    def _add(self, key: str, definition: py.FunctionDef) -> None:
        self._definitions.append(definition)
        self._closures[key] = definition.name

    def _line(self, node: ast.Node) -> int:
        return self.source.line_of(node.span.start)

    def _info(self, key: str, node: ast.Node, body: ast.Node) -> HandlerInfo:
        return HandlerInfo(key, self._line(node), self.effects.of(self.kinds, body))

    # --- blocks ----------------------------------------

    def _route(self, route: ast.Route) -> RouteInfo:
        key = f"route {route.method}" + ("" if route.path is None else f" {route.path}")
        frame = Frame(self.file.scopes[id(route)], "route", title=key)
        self._add(key, lower_function.handler(self.lowering, key, route, route.body, frame))
        validate = None
        if route.validate is not None:
            validate = self._fields(route.validate.fields)
        return RouteInfo(
            method=route.method,
            line=self._line(route),
            guards=self._guards(route.guards, f"{key} guard"),
            validate=validate,
            handler=self._info(key, route, route.body),
            path=route.path,
        )

    def _ws(self, ws: ast.Ws) -> WsInfo:
        infos = {handler.event: self._ws_handler(handler) for handler in ws.handlers}
        return WsInfo(
            line=self._line(ws),
            guards=self._guards(ws.guards, "ws guard"),
            connect=infos.get("connect"),
            message=infos.get("message"),
            close=infos.get("close"),
            uses_join=any(info.effects.joins for info in infos.values()),
        )

    def _ws_handler(self, handler: ast.WsHandler) -> HandlerInfo:
        lowering, event = self.lowering, handler.event
        key, title = f"ws {event}", f"on {event}"
        scope = self.file.scopes[id(handler)]
        frame = Frame(scope, "ignored", title=title)
        bound = self.file.bindings.get(id(handler), ())
        if event == "message":
            message = None
            if bound:
                message = (bound[0], message_use(self.kinds, bound[0], handler.body))
            definition = lower_function.handler(
                lowering, title, handler, handler.body, frame, (CONTEXT, MESSAGE), message
            )
        else:
            definition = lower_function.handler(lowering, title, handler, handler.body, frame)
            if bound:
                with lowering.at(handler.span), lowering.captured() as head:
                    close = {
                        name: lowering.attr(lowering.load(CONTEXT), f"close_{name}")
                        for name in ("code", "reason")
                    }
                    lowering.write(bound[0], lowering.mapping(close), declares=True)
                definition.body = [*head, *definition.body]
        self._add(key, definition)
        return self._info(key, handler, handler.body)

    def _middleware(self, middleware: ast.Middleware) -> HandlerInfo:
        key = "middleware"
        frame = Frame(self.file.scopes[id(middleware)], "value", title=key)
        title = "middleware block"  # two words, as no function is called
        definition = lower_function.handler(
            self.lowering, title, middleware, middleware.body, frame
        )
        self._add(key, definition)
        return self._info(key, middleware, middleware.body)

    def _test(self, test: ast.TestDecl, place: int) -> TestInfo:
        key = f"test {place}"
        frame = Frame(self.file.scopes[id(test)], "ignored", title=key)
        self._add(key, lower_function.handler(self.lowering, key, test, test.body, frame))
        return TestInfo(test.name, self._info(key, test, test.body))

    def _guard_definitions(self) -> tuple[GuardDefinitionInfo, ...]:
        found: list[GuardDefinitionInfo] = []
        for symbol in self.file.guards.values():
            key = f"guard_definition {symbol.name}"
            (definition,) = lower_function.function(self.lowering, symbol)
            assert isinstance(definition, py.FunctionDef)
            definition.name = key
            self._add(key, definition)
            info = self._info(key, symbol.declaration, symbol.declaration)
            found.append(GuardDefinitionInfo(symbol.name, key, info.line, info.effects))
        return tuple(found)

    def _guards(
        self, guards: list[ast.Guard] | tuple[ast.Guard, ...], prefix: str
    ) -> tuple[GuardInfo, ...]:
        return tuple(self._guard(guard, f"{prefix} {place}") for place, guard in enumerate(guards))

    def _guard(self, guard: ast.Guard, key: str) -> GuardInfo:
        lowering = self.lowering
        frame = Frame(self.file.scopes[id(guard)], "value", title=key)
        with lowering.at(guard.span), lower_function.inside(lowering, frame) as body:
            _, args, named = packed(lowering, [], guard.arguments)
            value = py.Tuple([args, named], py.Load(), **lowering.place)
            body.append(py.Return(value, **lowering.place))
            self._add(key, lowering.define(key, [CONTEXT], body))
        text = self.source.text[guard.name_span.start : guard.span.end].strip()
        return GuardInfo(guard.name, key, self._line(guard), " ".join(text.split()))

    # --- entities and enums ----------------------------------------

    def _fields(self, fields: tuple[ast.Field, ...]) -> tuple[FieldInfo, ...]:
        found: list[FieldInfo] = []
        for entry in fields:
            info = self.file.fields[id(entry)]
            default = default_of(entry)
            if info.default_key is not None and default is not None:
                definition = lower_function.value_function(
                    self.lowering, info.default_key, entry, default
                )
                self._add(info.default_key, definition)
            found.append(info)
        return tuple(found)

    def _entities(self) -> tuple[EntityInfo, ...]:
        return tuple(
            EntityInfo(item.name, self._line(item), self.source.path, self._fields(item.fields))
            for item in self.file.tree.items
            if isinstance(item, ast.EntityDecl)
        )

    def _enums(self) -> tuple[EnumInfo, ...]:
        table = self.file.table.enums
        return tuple(
            EnumInfo(item.name, self._line(item), self.source.path, table[item.name].variants)
            for item in self.file.tree.items
            if isinstance(item, ast.EnumDecl)
        )
