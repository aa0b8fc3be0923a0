"""The writer that all of `lower` shares: positions, temporaries, bindings, statement lists.

`Lowering` turns the resolved tree of one file into a Python tree. Rules for node types live in
`lower_expr`, `lower_operator`, `lower_call`, `lower_query`, `lower_pattern`, `lower_statement`,
`lower_for` and `lower_function`, and are looked up in two tables that `lower` puts together.

Rules: every Python node carries the position of the FLIN node it comes from; everything that is
not a user's name contains `$`; operands are evaluated once and from left to right. An expression
may need statements before it: those go to `body`, and `operands` keeps the order right.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar

from flinfast.lang import ast
from flinfast.lang.abi import Value
from flinfast.lang.lower_region import Captured, Placed, common
from flinfast.lang.lower_value import Choice, Loop, Tried
from flinfast.lang.owned_rows import owned_rows
from flinfast.lang.program import TypeInfo
from flinfast.lang.source import Span
from flinfast.lang.symbol import FileNames, FunctionScope, FunctionSymbol, Variable
from flinfast.lang.types import ANY, Kinds

if TYPE_CHECKING:
    from flinfast.lang.lower_columns import Columns

T = TypeVar("T", bound=py.AST)

CONTEXT: Final = "$ctx"
MESSAGE: Final = "$message"
LOAD: Final = py.Load()  # they have no position, so one of each will do
STORE: Final = py.Store()


class Place(TypedDict):
    """Position of a Python node; columns are 0-based UTF-8 bytes, as Python counts them."""

    lineno: int
    col_offset: int
    end_lineno: int
    end_col_offset: int


@dataclass(frozen=True, slots=True)
class Target:
    """What becomes of the value of a statement.

    Attributes:
        kind: "discard" it, "return" it, or "assign" it.
        name: Python name to assign.
    """

    kind: Literal["discard", "return", "assign"]
    name: str = ""


DISCARD: Final = Target("discard")
RETURN: Final = Target("return")


# What is read of a variable: the variable, then a name, or an index and what it is moved by.
Read = tuple[Any, ...]


@dataclass(slots=True)
class Frame:
    """The function that is being lowered.

    Attributes:
        scope: Its scope.
        mode: "route" when no value means NO_VALUE, "value" when it means none, "ignored" when
            nobody looks at the result.
        title: As shown to people.
        result: Type its results are checked against.
        loops: Loops around the present statement.
        relays: Whether `data` may be passed on as the message it came in.
    """

    scope: FunctionScope
    mode: Literal["route", "value", "ignored"]
    title: str = ""
    result: TypeInfo | None = None
    loops: list[Loop] = field(default_factory=list)
    relays: bool = False


def _made(kind: type[T], fields: dict[str, Any]) -> T:
    """A Python node with all its fields; the constructor takes twice as long."""
    node = kind.__new__(kind)
    node.__dict__ = fields
    return node


Rule = Callable[[Any, Any], py.expr]
StatementRule = Callable[[Any, Any, Target], None]


class Lowering:
    """Lowers one file.

    Attributes:
        file: Its names.
        kinds: Evident kinds of its expressions.
        body: Statements written so far in the present block.
        frame: The function that is being lowered.
        place: Position of the node that is being lowered.
        bindings: Names that the factory binds before anything else, with their values.
        rows: Entity -> Python name of the row, in conditions that run per row.
        given: `id(node)` -> Python name, for expressions evaluated beforehand.
        cores: Functions with a second form that does not check its arguments.
        templates: (entity, template) -> Python name of the prepared form.
        asked: Variables whose members are read several times.
        listed: Variables whose items are read, or counted, several times.
        lists: Python names of such variables -> Python name of what says whether they hold a list.
        maps: Variables -> Python name of what says whether they hold a plain map.
        classes: Python name of a loop variable -> Python type -> Python name of what says whether
            the item is of that type; for variables whose items' class is known beforehand.
        optional: Python names of variables that hold none or a value of one Python type at this
            place -> that type.
        made_names: Keys that map literals of the file have.
        open_names: Python names of variables that a call may change.
        repeated: Reads of members and items that stand in several places, see `lower_read`.
        seen: Those of them that have been evaluated -> Python name of the value.
        seen_if_true: Those that have been evaluated if the last condition is true.
        naturals: Variables -> whether they evidently hold ints from 0 only, as far as asked.
        bits: Variables -> bits of the ints that they evidently hold, as far as asked.
        positive: Variables that hold ints above 0 where something is written, see `lower_version`.
        trial: While code is written that is tried, see `lower_version`: variables whose kinds are
            taken for granted, and the kinds that they have otherwise.
        is_special: Whether the special form of a function is being written, see `special`.
        has_forms: Whether a loop around this place is written twice, see `lower_version`.
        item_bits: Bits of the ints of lists whose items are known, see `lower_version`.
        is_tried: Whether what is being written relies on Python to refuse none.
        columns: Fields that the loop around this place has for all items, see `lower_columns`.
        tables: Owned maps of maps, see `owned_rows`.
        bare_uses: Where variables are used as a whole, see `lower_fields`; None until it is asked.
    """

    def __init__(
        self,
        file: FileNames,
        kinds: Kinds,
        expressions: Mapping[type, Rule],
        statements: Mapping[type, StatementRule],
    ) -> None:
        self.file = file
        self.kinds = kinds
        self.body: list[py.stmt] = []
        self.frame = Frame(file.file_scope, "ignored")
        self.place = Place(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)
        self.bindings: dict[str, py.expr] = {}
        self.rows: dict[str, str] = {}
        self.given: dict[int, str] = {}
        self.cores: set[FunctionSymbol] = set()
        self.templates: dict[tuple[str, tuple[Any, ...]], str] = {}
        self.asked: set[Variable] = set()
        self.listed: set[Variable] = set()
        self.lists: dict[str, str] = {}
        self.maps: dict[Variable, str] = {}
        self.classes: dict[str, dict[str, str]] = {}
        self.optional: dict[str, str] = {}
        self.made_names: frozenset[str] = frozenset()
        self.open_names: frozenset[str] = frozenset()
        self.repeated: set[Read] = set()
        self.seen: dict[Read, str] = {}
        self.seen_if_true: dict[Read, str] = {}
        self.naturals: dict[Variable, bool] = {}
        self.bits: dict[Variable, int | None] = {}
        self.positive: frozenset[object] = frozenset()
        self.trial: dict[Variable, str] | None = None
        self.is_special = False
        self.has_forms = False
        self.item_bits: int | None = None
        self.is_tried = False
        self.columns: Columns | None = None
        self.tables = owned_rows(kinds)
        self.bare_uses: dict[Variable, list[int]] | None = None
        self._expressions = expressions
        self._statements = statements
        self._count = 0
        self._is_ascii = file.source.text.isascii()

    # --- dispatch ----------------------------------------

    def expr(self, node: ast.Expr) -> py.expr:
        """Lower an expression; its statements, if any, go to `body`."""
        if self.given:
            given = self.given.get(id(node))
            if given is not None:
                return self.load(given)
        outer = self.place
        self.place = self.place_of(node.span)
        lowered = self._expressions[type(node)](self, node)
        self.place = outer
        return lowered

    def statement(self, node: ast.Statement, target: Target) -> None:
        """Lower a statement into `body`."""
        outer = self.place
        self.place = self.place_of(node.span)
        self._statements[type(node)](self, node, target)
        self.place = outer

    def place_of(self, span: Span) -> Place:
        """Python position of a span."""
        line, column, end_line, end_column = self.file.source.extent(span)
        if not self._is_ascii:
            column, end_column = self._octets(line, column), self._octets(end_line, end_column)
        return {
            "lineno": line,
            "col_offset": column,
            "end_lineno": end_line,
            "end_col_offset": end_column,
        }

    def _octets(self, line: int, column: int) -> int:
        """A column in UTF-8 bytes."""
        text = self.file.source.line_text(line)
        return len(text[:column].encode("utf-8", "surrogatepass"))

    def at(self, span: Span) -> Placed:
        """Give what is written inside the position of `span`."""
        return Placed(self, span)

    # --- pieces of Python ----------------------------------------

    def load(self, name: str) -> py.Name:
        """`name`."""
        return _made(py.Name, {"id": name, "ctx": LOAD, **self.place})

    def store(self, name: str) -> py.Name:
        """`name` as the target of an assignment."""
        return _made(py.Name, {"id": name, "ctx": STORE, **self.place})

    def const(self, value: Value) -> py.Constant:
        """A constant; tuples of constants are constants too."""
        return _made(py.Constant, {"value": value, **self.place})

    def attr(self, value: py.expr, name: str) -> py.Attribute:
        """`value.name`."""
        return _made(py.Attribute, {"value": value, "attr": name, "ctx": LOAD, **self.place})

    def item(self, value: py.expr, key: py.expr) -> py.Subscript:
        """`value[key]`."""
        return py.Subscript(value, key, LOAD, **self.place)

    def call(self, function: py.expr, *args: py.expr) -> py.Call:
        """`function(*args)`."""
        fields = {"func": function, "args": list(args), "keywords": [], **self.place}
        return _made(py.Call, fields)

    def row(self, items: Sequence[py.expr]) -> py.expr:
        """`(items)`; a constant when all items are."""
        if all(isinstance(item, py.Constant) for item in items):
            return self.const(tuple(item.value for item in items if isinstance(item, py.Constant)))
        return py.Tuple(list(items), LOAD, **self.place)

    def mapping(self, entries: Mapping[str, py.expr]) -> py.Dict:
        """`{"name": value, ...}`."""
        keys: list[py.expr | None] = [self.const(name) for name in entries]
        return py.Dict(keys, list(entries.values()), **self.place)

    def walrus(self, name: str, value: py.expr) -> py.NamedExpr:
        """`(name := value)`."""
        return _made(py.NamedExpr, {"target": self.store(name), "value": value, **self.place})

    def compare(self, left: py.expr, operator: py.cmpop, right: py.expr) -> py.Compare:
        """`left operator right`."""
        fields = {"left": left, "ops": [operator], "comparators": [right], **self.place}
        return _made(py.Compare, fields)

    def is_none(self, value: py.expr) -> py.expr:
        """`value is None`."""
        return self.is_constant(value, None)

    def is_constant(self, value: py.expr, wanted: bool | None) -> py.expr:
        """`value is wanted`, settled here for a constant: Python warns about such code."""
        if isinstance(value, py.Constant):
            return self.const(value.value is wanted)
        return self.compare(value, py.Is(), self.const(wanted))

    def choose(self, test: py.expr, then: py.expr, otherwise: py.expr) -> py.IfExp:
        """`then if test else otherwise`."""
        return _made(py.IfExp, {"test": test, "body": then, "orelse": otherwise, **self.place})

    def likely(self, kind: str, test: py.expr, fast: py.expr, rare: py.expr) -> Choice:
        """`fast if test else rare`; `fast` is of an evident kind."""
        choice = Choice(test, fast, rare, **self.place)
        choice.kind = kind
        return choice

    def is_exactly(self, value: py.expr, python_type: str) -> py.expr:
        """Whether the class of a value is `python_type`; no FLIN value hides its class."""
        if isinstance(value, py.Name) and value.id in self.classes:
            return self.load(self.class_flag(value.id, python_type))
        if python_type == "list" and isinstance(value, py.Name) and value.id in self.lists:
            return self.load(self.lists[value.id])
        if isinstance(value, py.Name) and self.optional.get(value.id) == python_type:
            return self.compare(value, py.IsNot(), self.const(None))
        of_value = self.attr(value, "__class__")
        return self.compare(of_value, py.Is(), self.support(f"py_{python_type}"))

    def class_flag(self, name: str, python_type: str) -> str:
        """Python name of what says whether a loop variable of known class is of a type."""
        flags = self.classes[name]
        if python_type not in flags:
            flags[python_type] = self.temp()
        return flags[python_type]

    def both(self, *tests: py.expr) -> py.expr:
        """`test and test ...`."""
        return py.BoolOp(py.And(), list(tests), **self.place)

    def negate(self, value: py.expr) -> py.UnaryOp:
        """`not value`."""
        return py.UnaryOp(py.Not(), value, **self.place)

    def emit(self, statement: py.stmt) -> None:
        """Add a statement to the present block."""
        self.body.append(statement)

    def emit_assign(self, name: str, value: py.expr) -> None:
        """`name = value`."""
        if isinstance(value, Tried) and value.replaces(self.body, partial(self._assigned, name)):
            return
        self.body.append(self._assigned(name, value))

    def _assigned(self, name: str, value: py.expr) -> py.Assign:
        fields = {"targets": [self.store(name)], "value": value, **self.place}
        return _made(py.Assign, fields)

    def emit_expr(self, value: py.expr) -> None:
        """`value` for its effects; nothing for a constant or name."""
        if not isinstance(value, py.Constant | py.Name):
            self.emit(py.Expr(value, **self.place))

    def emit_in_bounds(self, inside: py.stmt, outside: py.stmt) -> None:
        """`inside`, or `outside` instead when an index is beyond the end of a list."""
        self.emit_unless("py_index_error", inside, outside)

    def emit_unless(self, refused: str, fast: py.stmt, rare: py.stmt) -> None:
        """`fast`, or `rare` instead when Python raises what `lang.support` calls `refused`."""
        error = py.ExceptHandler(self.support(refused), None, [rare], **self.place)
        self.emit(py.Try([fast], [error], [], [], **self.place))

    def define(self, name: str, parameters: Sequence[str], body: list[py.stmt]) -> py.FunctionDef:
        """`def name(parameters): body`."""
        args = [py.arg(p, **self.place) for p in parameters]
        arguments = py.arguments(
            posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=[]
        )
        return self.define_with(name, arguments, body)

    def define_with(
        self, name: str, arguments: py.arguments, body: list[py.stmt]
    ) -> py.FunctionDef:
        """`def name(arguments): body`."""
        statements = body or [py.Pass(**self.place)]
        node = py.FunctionDef(name, arguments, statements, [], **self.place)
        if "type_params" in py.FunctionDef._fields:  # Python 3.12
            node.type_params = []  # type: ignore[attr-defined, unused-ignore]
        return node

    # --- temporaries ----------------------------------------

    def temp(self) -> str:
        """A name that nothing else in the file has."""
        self._count += 1
        return f"${self._count}"

    def once(self, value: py.expr) -> tuple[py.expr, Callable[[], py.expr]]:
        """A value that is needed several times: its first use, and a maker of the others."""
        if isinstance(value, py.Name):
            name = value.id
            return value, lambda: self.load(name)
        if isinstance(value, py.Constant):
            constant = value.value
            return value, lambda: self.const(constant)
        if isinstance(value, py.NamedExpr):  # `remembered`
            name = value.target.id
            return value, lambda: self.load(name)
        name = self.temp()
        return self.walrus(name, value), lambda: self.load(name)

    def kept(self, value: py.expr) -> py.expr:
        """A value that later statements cannot change: assigned to a temporary if need be."""
        if isinstance(value, py.Constant):
            return value
        if isinstance(value, py.Name) and value.id.startswith("$"):
            return value
        if isinstance(value, py.NamedExpr) and value.target.id.startswith("$"):
            self.emit_assign(value.target.id, value.value)
            return self.load(value.target.id)
        name = self.temp()
        self.emit_assign(name, value)
        return self.load(name)

    def captured(self) -> Captured:
        """Collect the statements written inside."""
        return Captured(self)

    def operands(self, nodes: Sequence[ast.Expr]) -> list[py.expr]:
        """Lower expressions so that they are evaluated from left to right."""
        return self.in_order([partial(self.expr, node) for node in nodes], nodes)

    def in_order(
        self, makers: Sequence[Callable[[], py.expr]], nodes: Sequence[ast.Expr] = ()
    ) -> list[py.expr]:
        """Run makers of expressions so that what they make is evaluated from left to right.

        With the nodes they are made of, a variable that nothing assigns may be read later.
        """
        if len(makers) == 1:
            return [makers[0]()]
        found: list[tuple[list[py.stmt], py.expr]] = []
        outer, last = self.body, -1
        for place, make in enumerate(makers):
            statements: list[py.stmt] = []
            self.body = statements
            found.append((statements, make()))
            if statements:
                last = place
        self.body = outer
        if last < 0:
            return [value for _, value in found]
        values: list[py.expr] = []
        for place, (statements, value) in enumerate(found):
            self.body.extend(statements)
            is_stable = place >= last or (nodes and self.is_stable(nodes[place], value))
            values.append(value if is_stable else self.kept(value))
        return values

    def branch(
        self, test: py.expr, then: Callable[[], py.expr], otherwise: Callable[[], py.expr]
    ) -> py.expr:
        """`then if test else otherwise`, as a statement when one of them needs statements."""
        before = self.seen
        with self.captured() as then_body:
            then_value = then()
        after, self.seen = self.seen, before
        with self.captured() as other_body:
            other_value = otherwise()
        self.seen = common(after, self.seen)
        if not then_body and not other_body:
            return self.choose(test, then_value, other_value)
        name = self.temp()
        then_body.append(py.Assign([self.store(name)], then_value, **self.place))
        other_body.append(py.Assign([self.store(name)], other_value, **self.place))
        self.emit(py.If(test, then_body, other_body, **self.place))
        return self.load(name)

    # --- what the factory binds ----------------------------------------

    def bind(self, name: str, value: Callable[[], py.expr]) -> py.Name:
        """A name of the factory; `value` is asked for its value the first time."""
        if name not in self.bindings:
            outer, self.place = (
                self.place,
                Place(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0),
            )
            made = value()  # may bind what it needs itself, before this one
            self.bindings[name] = made
            self.place = outer
        return self.load(name)

    def abi(self, name: str) -> py.Name:
        """A member of the Abi."""
        return self.bind(f"${name}", lambda: self.attr(self.load("$abi"), name))

    def op(self, name: str) -> py.Name:
        """An operator of the Abi."""
        bound = f"$op_{name}"
        if bound in self.bindings:
            return self.load(bound)
        return self.bind(bound, lambda: self.attr(self.abi("ops"), name))

    def support(self, name: str) -> py.Name:
        """Something of `lang.support`."""
        bound = f"$s_{name}"
        if bound in self.bindings:
            return self.load(bound)
        return self.bind(bound, lambda: self.attr(self.load("$support"), name))

    def support_of_ops(self, name: str) -> py.Name:
        """A function that `lang.support` makes from the operators."""
        return self.bind(
            f"$s_{name}",
            lambda: self.call(self.attr(self.load("$support"), name), self.abi("ops")),
        )

    def builtin(self, name: str) -> py.Name:
        """A builtin."""
        return self.bind(f"$b_{name}", lambda: self.item(self.abi("builtins"), self.const(name)))

    def handle(self, entity: str) -> py.Name:
        """The handle of an entity."""
        return self.bind(
            f"$e_{entity}", lambda: self.item(self.abi("entities"), self.const(entity))
        )

    def handle_method(self, entity: str, name: str) -> py.Name:
        """A method of the handle of an entity."""
        return self.bind(f"$e_{entity}_{name}", lambda: self.attr(self.handle(entity), name))

    def core(self, symbol: FunctionSymbol) -> str:
        """Python name of the form of a function that does not check its arguments."""
        return f"$core_{symbol.name}"

    def special(self, symbol: FunctionSymbol) -> str:
        """Python name of the form of a function for arguments of evident kinds."""
        return f"$special_{symbol.name}"

    # --- variables ----------------------------------------

    def read(self, variable: Variable) -> py.expr:
        """The value of a variable."""
        if variable.is_boxed:
            return self.item(self.load(variable.python), self.const(0))
        constant = folded(variable)
        if constant is not None:
            return self.const(constant.value)
        if self.columns is not None and variable is self.columns.item:
            self.columns.needs_item = True
        return self.load(variable.python)

    def write(self, variable: Variable, value: py.expr, *, declares: bool) -> None:
        """Assign to a variable; a boxed one gets a new box where it is declared."""
        self.forget(variable)
        if not variable.is_boxed:
            self.emit_assign(variable.python, value)
            self.note_map(variable)
        elif declares:
            box = py.List([value], LOAD, **self.place)
            self.emit_assign(variable.python, box)
        else:
            cell = py.Subscript(self.load(variable.python), self.const(0), STORE, **self.place)
            self.emit(py.Assign([cell], value, **self.place))

    def forget(self, variable: Variable | None = None) -> None:
        """Evaluate again what depends on a variable; everything, when anything may have changed."""
        if self.seen:
            kept = {} if variable is None else self.seen
            self.seen = {read: name for read, name in kept.items() if variable not in read}
        if self.seen_if_true:
            self.seen_if_true = {}

    def forget_items(self) -> None:
        """Evaluate items of lists again; a list got another, and no map has changed."""
        if self.seen:
            self.seen = {read: n for read, n in self.seen.items() if type(read[1]) is str}
        self.seen_if_true = {}

    def note_map(self, variable: Variable) -> None:
        """Find out once, where a variable gets its only value, whether that is a map or list."""
        if variable in self.listed and variable.kind == ANY and variable.python not in self.classes:
            name = self.lists.pop(variable.python, "") or self.temp()
            self.emit_assign(name, self.is_exactly(self.load(variable.python), "list"))
            self.lists[variable.python] = name
        if variable not in self.asked or variable.kind != ANY:
            return
        if variable.python in self.classes:
            self.maps[variable] = self.class_flag(variable.python, "dict")
        else:
            name = self.maps.get(variable) or self.temp()
            self.maps[variable] = name
            self.emit_assign(name, self.is_exactly(self.load(variable.python), "dict"))

    def is_stable(self, node: ast.Expr, value: py.expr) -> bool:
        """Whether reading a lowered value later, or twice, makes no difference: nothing assigns."""
        if isinstance(value, py.Constant):
            return True
        if not isinstance(value, py.Name):
            return False
        if value.id.startswith("$"):
            return True
        symbol = self.file.symbols.get(id(node))
        return isinstance(symbol, Variable) and not symbol.is_file_level and symbol.writes <= 1

    def is_map(self, node: ast.Expr) -> py.expr | None:
        """Whether a variable holds a plain map, if that is known by the time it is read."""
        if not isinstance(node, ast.Name):
            return None
        symbol = self.file.symbols.get(id(node))
        is_open = isinstance(symbol, Variable) and symbol.kind == ANY
        name = self.maps.get(symbol) if isinstance(symbol, Variable) and is_open else None
        return None if name is None else self.load(name)


def folded(variable: Variable) -> ast.Literal | None:
    """The literal that a file-level variable always is, if it is one."""
    if not variable.is_file_level or variable.writes != 1 or variable.is_late or variable.in_loop:
        return None
    origin = variable.sources[0]
    return origin if isinstance(origin, ast.Literal) else None
