"""Lowering of code that becomes a Python function: functions, lambdas, handlers, defaults."""

from __future__ import annotations

import ast as py
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from flinfast.lang import ast, lower_block, lower_read
from flinfast.lang.lower_base import CONTEXT, MESSAGE, RETURN, Frame, Lowering, Read, Rule
from flinfast.lang.lower_formula import with_formula
from flinfast.lang.lower_method import is_of_text, is_size
from flinfast.lang.message import MessageUse
from flinfast.lang.scope import python_name
from flinfast.lang.source import Span
from flinfast.lang.special import find_specials
from flinfast.lang.symbol import FunctionScope, FunctionSymbol, Special, Variable, all_code
from flinfast.lang.types import ANY, INT, LIST, PYTHON_TYPES, annotated, has_parts


@contextmanager
def inside(self: Lowering, frame: Frame) -> Iterator[list[py.stmt]]:
    """Write the body of a function."""
    outer, self.frame = self.frame, frame
    known = self.seen, self.lists
    self.seen, self.lists = {}, {}  # variables of other functions may have the same names
    with self.captured() as body:
        yield body
    self.frame = outer
    self.seen, self.lists = known


def _nonlocal(self: Lowering, scope: FunctionScope) -> list[py.stmt]:
    names = sorted({v.python for v in scope.outer_written if not v.is_boxed})
    return [py.Nonlocal(names, **self.place)] if names else []


# --- handlers and functions ----------------------------------------


def handler(
    self: Lowering,
    name: str,
    node: ast.Node,
    body: ast.Block,
    frame: Frame,
    first: Sequence[str] = (CONTEXT,),
    message: tuple[Variable, MessageUse] | None = None,
) -> py.FunctionDef:
    """A closure for the runtime.

    Args:
        self: The file.
        name: Python name of the function, shown in tracebacks.
        node: Key of its scope.
        body: Its statements.
        frame: How it is lowered.
        first: Its parameters.
        message: The parameter of `on message`, and how it is used.
    """
    scope = self.file.scopes[id(node)]
    with self.at(_head(node.span)), inside(self, frame) as statements:
        statements += _nonlocal(self, scope)
        if message is not None:
            variable, use = message
            frame.relays = use.relays
            if use.reads:
                value = self.attr(self.load(MESSAGE), "value")
                self.write(variable, value, declares=True)
        with self.at(body.span):
            lower_block.statements(self, body, RETURN)
        return self.define(name, first, statements)


def function(self: Lowering, symbol: FunctionSymbol) -> list[py.stmt]:
    """A `fn` or `guard_definition`; with a core, when calls are known to fit its types."""
    declaration = symbol.declaration
    scope = self.file.scopes[id(declaration)]
    name = python_name(symbol.name)
    frame = Frame(scope, "value", title=symbol.name, result=symbol.result)
    has_core = symbol in self.cores
    made: list[py.stmt] = []
    with self.at(declaration.name_span), inside(self, frame) as statements:
        arguments = _parameters(self, declaration.parameters, symbol.name, has_core=has_core)
        if has_core:
            core, names = self.core(symbol), [arg.arg for arg in arguments.args]
            value = self.call(self.load(core), *(self.load(n) for n in names))
            checked = [*statements, py.Return(value, **self.place)]
            statements.clear()
            for parameter in declaration.parameters:
                self.note_map(self.file.bindings[id(parameter)][0])
        special = self.kinds.specials.get(symbol)
        if special is not None:
            _pass_on(self, symbol, special)
            made += _special_form(self, symbol, special)
        statements[:0] = _nonlocal(self, scope)
        with self.at(declaration.body.span):
            lower_block.statements(self, declaration.body, RETURN)
        if not has_core:
            return [*made, self.define_with(name, arguments, statements)]
        made.append(self.define(name, names, statements))
        made.append(py.Assign([self.store(core)], self.load(name), **self.place))
        made.append(self.define_with(name, arguments, checked))
    return made


def _pass_on(self: Lowering, symbol: FunctionSymbol, special: Special) -> None:
    """Call the special form if the arguments fit."""
    variables = [self.file.bindings[id(p)][0] for p in symbol.declaration.parameters]
    tests = [
        self.is_exactly(self.load(variable.python), PYTHON_TYPES[kind])
        for variable, kind in zip(variables, special.arguments, strict=True)
        if kind and variable.kind == ANY
    ]
    values = [self.load(name) for name in (CONTEXT, *(v.python for v in variables))]
    call = self.call(self.load(self.special(symbol)), *values)
    test = tests[0] if len(tests) == 1 else self.both(*tests)
    self.emit(py.If(test, [py.Return(call, **self.place)], [], **self.place))


def _special_form(self: Lowering, symbol: FunctionSymbol, special: Special) -> list[py.stmt]:
    """The form of a function for arguments of evident kinds."""
    declaration = symbol.declaration
    frame = Frame(self.frame.scope, "value", title=symbol.name, result=symbol.result)
    variables = [self.file.bindings[id(p)][0] for p in declaration.parameters]
    known = self.naturals, self.bits, self.maps
    self.naturals, self.bits, self.maps, self.is_special = {}, {}, {}, True
    with self.kinds.assuming(special.kinds), inside(self, frame) as statements:
        for variable in variables:
            self.note_map(variable)
        statements[:0] = _nonlocal(self, frame.scope)
        with self.at(declaration.body.span):
            lower_block.statements(self, declaration.body, RETURN)
    self.naturals, self.bits, self.maps = known
    self.is_special = False
    name = python_name(symbol.name)
    names = [CONTEXT, *(variable.python for variable in variables)]
    kept = py.Assign([self.store(self.special(symbol))], self.load(name), **self.place)
    return [self.define(name, names, statements), kept]


def find_asked(self: Lowering) -> None:
    """Find the variables that are asked for being maps, and what is read repeatedly."""
    counts: dict[Variable, int] = {}
    reads: dict[Read, int] = {}
    sizes: dict[Variable, int] = {}
    indexed: set[Variable] = set()
    called: set[int] = set()
    given: set[int] = set()
    set_by_name: list[tuple[Variable, str]] = []
    names: set[str] = set()
    for node in all_code(self.file):
        # There are many nodes: `type` narrows as `isinstance` does, and costs half of it.
        if type(node) is ast.Call:
            called.add(id(node.callee))  # a call is met before what it calls
            continue
        if type(node) is ast.Assign:
            given.add(id(node.target))
            continue
        if type(node) is ast.MapLiteral:
            names.update(entry.key for entry in node.entries if type(entry.key) is str)
            continue
        if type(node) is ast.Member:
            if id(node) in called:
                continue
        elif type(node) is not ast.Index:
            continue
        symbol = self.file.symbols.get(id(node.target))
        if type(symbol) is not Variable:
            continue
        if type(node) is ast.Member and is_of_text(node.name):
            if is_size(node.name):
                sizes[symbol] = sizes.get(symbol, 0) + 1
            continue
        if type(node) is ast.Index and self.kinds.of(node.key) == INT:
            indexed.add(symbol)
        elif symbol.kind == ANY and symbol.writes <= 1:
            if isinstance(node, ast.Index):
                counts[symbol] = counts.get(symbol, 0) + 1
            elif id(node) in given:  # other members are read by functions, which ask themselves
                set_by_name.append((symbol, node.name))
        read = lower_read.read_of(self, node)
        if read is not None:
            reads[read] = reads.get(read, 0) + 1
    self.open_names = frozenset(
        v.python for v in self.file.variables if v.is_captured or v.is_file_level
    )
    self.made_names = frozenset(names)
    for symbol, name in set_by_name:
        if name not in names:  # see `lower_statement`
            counts[symbol] = counts.get(symbol, 0) + 1
    self.repeated = {read for read, count in reads.items() if count > 1}
    self.listed = {
        variable
        for variable, count in sizes.items()
        if (count > 1 or variable in indexed)
        and variable.kind == ANY
        and variable.writes <= 1
        and variable.role != "loop"  # the class of its items is known otherwise
        and not variable.is_captured
        and not variable.is_file_level
    }
    self.asked = {
        variable
        for variable, count in counts.items()
        if count > 1 and not variable.is_boxed and not variable.is_file_level
    }


def find_forms(self: Lowering) -> None:
    """Find the functions of the file that are written twice, for calls with evident arguments."""
    calls: dict[FunctionSymbol, list[ast.Call]] = {}
    functions = self.file.functions
    for node in all_code(self.file) if functions else ():
        if type(node) is ast.Call:
            symbol = self.file.symbols.get(id(node.callee))
            if type(symbol) is FunctionSymbol and functions.get(symbol.name) is symbol:
                calls.setdefault(symbol, []).append(node)
    self.cores = {s for s, of in calls.items() if any(needs_no_check(self, s, n) for n in of)}
    find_specials(self.kinds, {s: of for s, of in calls.items() if s not in self.cores})


def needs_no_check(self: Lowering, symbol: FunctionSymbol, node: ast.Call) -> bool:
    """Whether the arguments of a call evidently are of the declared types."""
    declaration = symbol.declaration
    if len(declaration.parameters) != len(node.arguments):
        return False
    is_typed = False
    for parameter, argument in zip(declaration.parameters, node.arguments, strict=True):
        if parameter.rest or argument.name is not None or argument.spread:
            return False
        if parameter.default is not None and not isinstance(parameter.default, ast.Literal):
            return False
        declared = self.file.bindings[id(parameter)][0].annotation
        if declared is not None:
            is_typed = True
            kind = annotated(declared)
            if not kind or kind != self.kinds.of(argument.value) or has_parts(declared):
                return False
    return is_typed


def value_function(self: Lowering, name: str, node: ast.Node, value: ast.Expr) -> py.FunctionDef:
    """A function without parameters that gives a value: the default of a field."""
    frame = Frame(self.file.scopes[id(node)], "value")
    with self.at(value.span), inside(self, frame) as statements:
        result = self.expr(value)
        statements.append(py.Return(result, **self.place))
        return self.define(name, (), statements)


def _head(span: Span) -> Span:
    return Span(span.start, span.start)


# --- parameters ----------------------------------------


def _parameters(
    self: Lowering,
    parameters: Sequence[ast.Parameter],
    title: str,
    *,
    context: bool = True,
    in_block: bool = False,
    has_core: bool = False,
) -> py.arguments:
    """Python parameters; defaults and checks are written into the body, all else into a core."""
    args = [py.arg(CONTEXT, **self.place)] if context else []
    defaults: list[py.expr] = []
    vararg: py.arg | None = None
    for parameter in parameters:
        variables = self.file.bindings[id(parameter)]
        variable = variables[0]
        with self.at(parameter.span):
            if parameter.rest:
                vararg = py.arg(variable.python, **self.place)
                as_list: py.expr = self.call(self.support("py_list"), self.load(variable.python))
                what = f"argument `{variable.name}` of `{title}`"
                as_list = lower_block.checked(self, as_list, LIST, variable.annotation, what)
                self.emit_assign(variable.python, as_list)
                continue
            args.append(py.arg(variable.python, **self.place))
            defaults.append(_default(self, parameter, variable))
            _check(self, variable, title)
            if (context and not has_core) or in_block:
                self.note_map(variable)
    return py.arguments(
        posonlyargs=[],
        args=args,
        vararg=vararg,
        kwonlyargs=[],
        kw_defaults=[],
        defaults=defaults,
    )


def _default(self: Lowering, parameter: ast.Parameter, variable: Variable) -> py.expr:
    """What stands for a missing argument."""
    default = parameter.default
    if default is None:
        return self.const(None)
    if isinstance(default, ast.Literal):
        return self.const(default.value)
    missing = self.support("missing")
    is_missing = self.compare(self.load(variable.python), py.Is(), missing)
    with self.captured() as body:
        self.emit_assign(variable.python, self.expr(default))
    self.emit(py.If(is_missing, body, [], **self.place))
    return missing


def _check(self: Lowering, variable: Variable, title: str) -> None:
    """Check an argument against the parameter's declared type."""
    declared = variable.annotation
    value = self.load(variable.python)
    what = f"argument `{variable.name}` of `{title}`"
    value_checked = lower_block.checked(self, value, "any", declared, what)
    if declared is None or value_checked is value:
        return
    kind = "" if has_parts(declared) else annotated(declared)
    with self.captured() as body:
        self.emit_assign(variable.python, value_checked)
    if not kind:
        self.body.extend(body)
        return
    exact = self.is_exactly(value, PYTHON_TYPES[kind])
    self.emit(py.If(self.negate(exact), body, [], **self.place))


# --- lambdas ----------------------------------------


def lambda_(self: Lowering, node: ast.Lambda) -> py.expr:
    """`x => e`, `(a, b) => { ... }`: a Python lambda where that can say it."""
    scope = self.file.scopes[id(node)]
    frame = Frame(scope, "value", title="lambda", relays=self.frame.relays)
    result: py.expr | None = None
    with inside(self, frame) as statements:
        statements += _nonlocal(self, scope)
        in_block = isinstance(node.body, ast.Block)
        arguments = _parameters(self, node.parameters, "lambda", context=False, in_block=in_block)
        if isinstance(node.body, ast.Block):
            lower_block.statements(self, node.body, RETURN)
        else:
            result = self.expr(node.body)
    boxes = sorted({v.python for v in scope.captured if v.is_boxed})
    if result is not None and not statements:
        made: py.expr = py.Lambda(arguments, result, **self.place)
        if not boxes:
            return with_formula(self, node, made)
        return _with_boxes(self, boxes, made)
    if result is not None:
        statements.append(py.Return(result, **self.place))
    definition = self.define_with("<lambda>", arguments, statements)
    made = _defined(self, boxes, definition)
    return made if boxes else with_formula(self, node, made, is_made=True)


def _with_boxes(self: Lowering, boxes: list[str], made: py.expr) -> py.expr:
    """A lambda that keeps the boxes of this turn of a loop."""
    if not boxes:
        return made
    arguments = py.arguments(
        posonlyargs=[],
        args=[py.arg(name, **self.place) for name in boxes],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    maker = py.Lambda(arguments, made, **self.place)
    return self.call(maker, *(self.load(name) for name in boxes))


def _defined(self: Lowering, boxes: list[str], definition: py.FunctionDef) -> py.expr:
    name = self.temp()
    if not boxes:
        self.emit(definition)
        self.emit_assign(name, self.load(definition.name))
        return self.load(name)
    returned = py.Return(self.load(definition.name), **self.place)
    maker = self.define(self.temp(), boxes, [definition, returned])
    self.emit(maker)
    self.emit_assign(name, self.call(self.load(maker.name), *(self.load(b) for b in boxes)))
    return self.load(name)


RULES: Final[dict[type, Rule]] = {ast.Lambda: lambda_}
