"""`where` conditions: templates compiled to SQL (evaluate.py does the same in Python).

A template is a tree of tuples (the contract with the compiler):

    ("field", name) ("param", index) ("const", value) ("truthy", x) ("not", x)
    ("and"|"or", l, r) ("eq"|"ne"|"lt"|"le"|"gt"|"ge", l, r) ("in", item, container)
    ("call", "contains"|"starts_with"|"ends_with"|"lower"|"upper"|"trim"|"len", target, *args)

Parameters are evaluated before the scan, so their kinds are known when SQL is made. SQL text is
made once per template and tuple of kinds; values are always bound, never written into the text.
Knowing the kinds is what keeps FLIN's rules: SQLite would compare a text column with 7 as text.

Rules of both forms:
1. Equality is structural, text never equals a number, a bool is not a number, none equals none.
2. An ordering between kinds that have none, or a text method on what is no text, is false.
3. A reference field equals a record of its entity and that record's id.

What SQL cannot express exactly (lists and maps, `any` fields holding them, integers beyond 64 bits
against a number field) is left to Python: `Compiled.filters` must hold for each row, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

from flinfast.errors import RuntimeFault
from flinfast.store.codec import INT_MAX, INT_MIN
from flinfast.store.evaluate import (
    BOOLEAN_CALLS,
    TEXT_CALLS,
    contains,
    equal,
    ordered,
    truthy,
)
from flinfast.store.schema import Column, Kind, Table, Value, quote, suggest
from flinfast.values import Time

Tree = tuple[Any, ...]
Params = tuple[Value, ...]
Bind = Callable[[Params], Any]

# Items of a list parameter of `in` that become SQL parameters (SQLite allows 32766 in all).
LIST_ITEMS_MAX: Final = 8192
# Compiled forms kept per template; list parameters make one per power of two.
FORMS_MAX: Final = 256
_SUBSTR_END: Final = 1 << 30

_ORDERINGS: Final = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_FLIPPED: Final = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_BOOLEAN: Final = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "not", "in", "truthy"})
# SQLite's own lower() and upper() know ASCII only.
FUNCTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "flin_lower": lambda text: text.lower() if isinstance(text, str) else None,
    "flin_upper": lambda text: text.upper() if isinstance(text, str) else None,
    "flin_trim": lambda text: text.strip() if isinstance(text, str) else None,
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """One form of a template.

    Attributes:
        sql: Condition text, "" when everything is left to Python.
        bind: The text's parameters, in order.
        filters: Templates that Python must evaluate for each row.
    """

    sql: str
    bind: Callable[[Params], Params]
    filters: tuple[Tree, ...]


class Template:
    """A `where` condition of one entity.

    Raises:
        RuntimeFault: FL511, it names a field that the entity does not have.
    """

    def __init__(self, table: Table, tree: Tree) -> None:
        self._table = table
        self._conjuncts = tuple(_conjuncts(tree))
        self._forms: dict[tuple[Any, ...], Compiled] = {}
        _check_fields(table, tree)

    def compile(self, params: Params) -> Compiled:
        """SQL for parameters of these kinds."""
        key = tuple([shape_of(value) for value in params])
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= FORMS_MAX:
                self._forms.clear()
            form = self._forms[key] = self._compile(key)
        return form

    def _compile(self, shapes: tuple[Any, ...]) -> Compiled:
        texts: list[str] = []
        binders: list[Bind] = []
        filters: list[Tree] = []
        for tree in self._conjuncts:
            compiler = _Compiler(self._table, shapes)
            try:
                texts.append(compiler.boolean(tree, positive=True))
            except _Unsupported:
                filters.append(tree)
            else:
                binders += compiler.binders
        return Compiled(" AND ".join(texts), _binder(binders), tuple(filters))


def _conjuncts(tree: Tree) -> Iterable[Tree]:
    if tree[0] == "and":
        yield from _conjuncts(tree[1])
        yield from _conjuncts(tree[2])
    else:
        yield tree


def _check_fields(table: Table, tree: Tree) -> None:
    if tree[0] == "field":
        if tree[1] not in table.columns:
            raise RuntimeFault(
                f"`{table.name}` has no field `{tree[1]}`",
                code="FL511",
                hint=suggest(tree[1], table.columns),
            )
    elif tree[0] not in ("param", "const"):
        for node in tree[1:]:
            if isinstance(node, tuple):
                _check_fields(table, node)


def _binder(binders: list[Bind]) -> Callable[[Params], Params]:
    picks = [bind.index for bind in binders if isinstance(bind, _Pick)]
    if len(picks) == len(binders):
        if picks == list(range(len(picks))):
            count = len(picks)
            return lambda params: params if len(params) == count else params[:count]
        return lambda params: tuple([params[index] for index in picks])
    return lambda params: tuple([bind(params) for bind in binders])


@dataclass(frozen=True, slots=True)
class _Pick:
    """Binds a parameter as it is."""

    index: int

    def __call__(self, params: Params) -> Any:
        return params[self.index]


# --- shapes of parameters ----------------------------------------

_SHAPES: Final[dict[type, str]] = {
    str: "text",
    bool: "bool",
    NoneType: "none",
    Time: "time",
    bytes: "bytes",
    dict: "map",
    range: "range",
}


def shape_of(value: Value) -> Any:
    """What SQL text depends on: the kind, and the rounded-up length of a list."""
    kind = type(value)
    if kind is int:
        if INT_MIN <= value <= INT_MAX:
            return "int"
        return "above" if value > 0 else "below"
    shape = _SHAPES.get(kind)
    if shape is not None:
        return shape
    if kind is float:
        return "nan" if math.isnan(value) else "float"
    if kind is list or kind is tuple:
        size = 1 << max(0, len(value) - 1).bit_length() if value else 0
        return ("list", size, any(item is None for item in value))
    entity = getattr(value, "entity", None)
    if isinstance(entity, str):
        return ("record", entity if value.id is not None else "")
    return "opaque"


def settle(value: Value) -> Value:
    """A parameter as conditions take it: a query becomes the list of its records."""
    rows = None if type(value) in _SHAPES else getattr(value, "rows", None)
    return value if rows is None else list(rows())


# --- to SQL ----------------------------------------


class _Unsupported(Exception):  # noqa: N818 - a signal within this module
    """SQL cannot express this part exactly."""


@dataclass(frozen=True, slots=True)
class _Operand:
    """One side of a comparison.

    Attributes:
        sql: Text of a column or function; "" for a value known before the scan.
        kind: Kind of the column or function's result.
        bind: Gives the value.
        shape: Shape of the value.
        column: The column, when it is just that.
    """

    sql: str = ""
    kind: Kind = "any"
    bind: Bind | None = None
    shape: Any = None
    column: Column | None = None

    @property
    def is_integer(self) -> bool:
        """Whether cells are 64-bit integers (and never REAL)."""
        return self.column is None or self.column.sql_type == "INTEGER"


class _Compiler:
    """Makes the SQL of one conjunct; `binders` follow the order of the `?` in its text."""

    def __init__(self, table: Table, shapes: tuple[Any, ...]) -> None:
        self._table = table
        self._shapes = shapes
        self.binders: list[Bind] = []

    def _mark(self, bind: Bind) -> str:
        self.binders.append(bind)
        return "?"

    def _value(self, side: _Operand, convert: Callable[[Any], Any] | None = None) -> str:
        bind = side.bind
        assert bind is not None
        return self._mark(bind if convert is None else lambda params: convert(bind(params)))

    # --- operands ----------------------------------------

    def _operand(self, tree: Tree) -> _Operand:
        op = tree[0]
        if op == "param":
            return _Operand(bind=_Pick(tree[1]), shape=self._shapes[tree[1]])
        if op == "const":
            value = tree[1]
            return _Operand(bind=lambda _: value, shape=shape_of(value))
        if op == "field":
            column = self._table.columns[tree[1]]
            return _Operand(quote(column.name), column.kind, column=column)
        if op == "call" and tree[1] not in BOOLEAN_CALLS:
            return self._function(tree[1], tree[2])
        if op in ("and", "or") and not (_is_boolean(tree[1]) and _is_boolean(tree[2])):
            raise _Unsupported  # value-returning: `(nickname || name) == x`
        return _Operand(f"({self.boolean(tree, positive=False)})", "bool")

    def _function(self, name: str, target: Tree) -> _Operand:
        inner = self._operand(target)
        if not inner.sql:
            raise _Unsupported
        if name == "len" and inner.kind in ("text", "bytes"):
            return _Operand(f"length({inner.sql})", "number")
        if name in TEXT_CALLS and inner.kind == "text":
            return _Operand(f"flin_{name}({inner.sql})", "text")
        raise _Unsupported

    # --- conditions ----------------------------------------

    def boolean(self, tree: Tree, *, positive: bool) -> str:
        """SQL of a condition.

        Args:
            tree: The condition.
            positive: NULL may stand for false: no NOT and no comparison is around it.
        """
        op = tree[0]
        if op in ("and", "or"):
            left = self.boolean(tree[1], positive=positive)
            right = self.boolean(tree[2], positive=positive)
            return f"({left} {op.upper()} {right})"
        if op == "not":
            return f"NOT ({self.boolean(tree[1], positive=False)})"
        if op == "eq":
            return self._equal(self._operand(tree[1]), self._operand(tree[2]))
        if op == "ne":
            return f"NOT ({self._equal(self._operand(tree[1]), self._operand(tree[2]))})"
        if op == "truthy":
            return self.boolean(tree[1], positive=positive)
        if op in _ORDERINGS:
            text = self._ordering(op, self._operand(tree[1]), self._operand(tree[2]))
        elif op == "in":
            text = self._in(self._operand(tree[1]), self._operand(tree[2]))
        elif op == "call" and tree[1] in BOOLEAN_CALLS:
            text = self._text_call(tree[1], self._operand(tree[2]), self._operand(tree[3]))
        else:
            text = self._truth(self._operand(tree))
        return text if positive else f"ifnull({text}, 0)"

    def _truth(self, side: _Operand) -> str:
        if not side.sql:
            return self._value(side, lambda value: int(truthy(value)))
        if side.kind == "bool":
            return f"{side.sql} IS 1"
        if side.kind == "number":
            return f"{side.sql} <> 0"
        if side.kind == "text":
            return f"{side.sql} <> ''"
        if side.kind == "any":
            raise _Unsupported
        return f"{side.sql} IS NOT NULL"

    def _equal(self, left: _Operand, right: _Operand) -> str:
        if left.sql and right.sql:
            return _equal_columns(left, right)
        if not left.sql:
            left, right = right, left
        if not left.sql:
            a, b = left.bind, right.bind
            assert a is not None
            assert b is not None
            return self._mark(lambda params: int(equal(b(params), a(params))))
        shape = right.shape
        if shape == "none":
            return f"{left.sql} IS NULL"
        kind = left.kind
        if kind in ("list", "map"):
            if shape in ("map", "range", "opaque") or isinstance(shape, tuple):
                raise _Unsupported
            return "0"
        if kind == "any":
            if shape in ("text", "int", "float"):
                return f"{left.sql} IS {self._value(right)}"
            raise _Unsupported
        if kind == "number" and shape in ("above", "below") and not left.is_integer:
            raise _Unsupported
        convert = _conversion(left, shape)
        return f"{left.sql} IS {self._value(right, convert)}" if convert else "0"

    def _ordering(self, op: str, left: _Operand, right: _Operand) -> str:
        if left.sql and right.sql:
            if "any" in (left.kind, right.kind):
                raise _Unsupported
            if left.kind != right.kind or left.kind not in ("number", "text", "time"):
                return "0"
            return f"{left.sql} {_ORDERINGS[op]} {right.sql}"
        if not left.sql:
            left, right, op = right, left, _FLIPPED[op]
        if not left.sql:
            a, b = left.bind, right.bind
            assert a is not None
            assert b is not None
            return self._mark(lambda params: int(ordered(op, a(params), b(params))))
        sign, shape = _ORDERINGS[op], right.shape
        if left.kind == "any":
            types = {"int": "'integer', 'real'", "float": "'integer', 'real'", "text": "'text'"}
            if shape not in types:
                raise _Unsupported
            mark = self._value(right)
            return f"(typeof({left.sql}) IN ({types[shape]}) AND {left.sql} {sign} {mark})"
        if left.kind == "number" and shape in ("above", "below"):
            if not left.is_integer:
                raise _Unsupported
            return f"{left.sql} IS NOT NULL" if (shape == "above") == (sign[0] == "<") else "0"
        if left.kind not in ("number", "text", "time"):
            return "0"
        convert = _conversion(left, shape)
        return f"{left.sql} {sign} {self._value(right, convert)}" if convert else "0"

    def _in(self, item: _Operand, container: _Operand) -> str:
        if container.sql:
            if container.kind == "text":
                return self._part(container, item)
            if container.kind in ("list", "map", "any", "bytes"):
                raise _Unsupported
            return "0"
        shape, bind = container.shape, container.bind
        assert bind is not None
        if not item.sql:
            a = item.bind
            assert a is not None
            return self._mark(lambda params: int(contains(bind(params), a(params))))
        if shape == "text":
            return self._part(container, item)
        if shape == "map":
            raise _Unsupported
        if isinstance(shape, tuple) and shape[0] == "list":
            return self._in_list(item, shape, bind)
        if shape in ("range", "bytes", "opaque"):
            raise _Unsupported
        return "0"

    def _in_list(self, item: _Operand, shape: tuple[Any, ...], bind: Bind) -> str:
        _, size, has_none = shape
        if size > LIST_ITEMS_MAX or item.kind in ("any", "list", "map"):
            raise _Unsupported
        none = f"{item.sql} IS NULL"
        if size == 0:
            return "0"
        marks = ", ".join("?" * size)
        for position in range(size):
            self.binders.append(_ListItem(bind, position, item))
        text = f"{item.sql} IN ({marks})"
        return f"({text} OR {none})" if has_none else text

    def _part(self, whole: _Operand, part: _Operand) -> str:
        """Whether a text contains another; false for other kinds."""
        texts = []
        for side in (whole, part):
            if side.sql:
                if side.kind == "any":
                    raise _Unsupported
                if side.kind != "text":
                    return "0"
                texts.append(side.sql)
            else:
                if side.shape != "text":
                    return "0"
                texts.append(self._value(side))
        return f"instr({texts[0]}, {texts[1]}) > 0"

    def _text_call(self, name: str, target: _Operand, arg: _Operand) -> str:
        if target.sql and target.kind in ("list", "map", "any", "bytes"):
            raise _Unsupported
        if not target.sql and target.shape != "text":
            raise _Unsupported
        if name == "contains":
            return self._part(target, arg)
        if not target.sql or arg.sql:
            raise _Unsupported
        if target.kind != "text" or arg.shape != "text":
            return "0"
        if name == "starts_with":
            low = self._value(arg)
            high = self._value(arg, _prefix_end)
            return f"({target.sql} >= {low} AND {target.sql} < {high})"
        start = self._value(arg, lambda text: -len(text) or _SUBSTR_END)
        return f"substr({target.sql}, {start}) IS {self._value(arg)}"


def _is_boolean(tree: Tree) -> bool:
    if tree[0] in ("and", "or"):
        return _is_boolean(tree[1]) and _is_boolean(tree[2])
    return tree[0] in _BOOLEAN or (tree[0] == "call" and tree[1] in BOOLEAN_CALLS)


def _equal_columns(left: _Operand, right: _Operand) -> str:
    kinds = {left.kind, right.kind}
    if kinds & {"any", "list", "map"}:
        raise _Unsupported
    same = len(kinds) == 1 or kinds == {"ref", "number"}
    if kinds == {"ref"} and left.column and right.column:
        same = left.column.target == right.column.target
    if same:
        return f"{left.sql} IS {right.sql}"
    return f"({left.sql} IS NULL AND {right.sql} IS NULL)"


_SAME: Final[dict[tuple[str, str], Callable[[Any], Any] | None]] = {
    ("number", "int"): None,
    ("number", "float"): None,
    ("ref", "int"): None,
    ("ref", "float"): None,
    ("text", "text"): None,
    ("bytes", "bytes"): None,
    ("bool", "bool"): int,
    ("time", "time"): lambda time: time.ms,
}


def _identity(value: Any) -> Any:
    return value


def _conversion(side: _Operand, shape: Any) -> Callable[[Any], Any] | None:
    """How a value of this shape is bound against the column; None when they never compare."""
    if isinstance(shape, tuple):
        target = side.column.target if side.kind == "ref" and side.column else None
        return (lambda record: record.id) if shape == ("record", target) else None
    if (side.kind, shape) not in _SAME:
        return None
    return _SAME[side.kind, shape] or _identity


@dataclass(frozen=True, slots=True)
class _ListItem:
    """Binds one item of a list; NULL, which equals nothing in IN, for one that cannot match."""

    bind: Bind
    position: int
    side: _Operand

    def __call__(self, params: Params) -> Any:
        items = self.bind(params)
        item = items[min(self.position, len(items) - 1)]
        shape = shape_of(item)
        if shape in ("above", "below") and self.side.kind == "number":
            return _exact_float(item) if not self.side.is_integer else None
        convert = _conversion(self.side, shape)
        return None if convert is None else convert(item)


def _exact_float(value: int) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if number == value else None


def _prefix_end(prefix: str) -> str | bytes:
    """Smallest value above every text with this prefix; a blob is above every text."""
    for index in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[index])
        if code < 0x10FFFF:
            following = 0xE000 if code + 1 == 0xD800 else code + 1
            return prefix[:index] + chr(following)
    return b""
