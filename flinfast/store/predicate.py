"""Conditions as SQL: what a `where` tree becomes for parameters of known kinds.

The rules are in condition.py. What an engine writes differently comes from its `Dialect`; what it
cannot express exactly raises `Unsupported`, and Python evaluates that part instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import NoneType
from typing import Any, Final, NamedTuple

from msgspec import Struct

from flinfast.late_pattern import late_pattern
from flinfast.store.codec import INT_MAX, INT_MIN
from flinfast.store.dialect import Dialect, Number
from flinfast.store.evaluate import (
    BOOLEAN_CALLS,
    TEXT_CALLS,
    contains,
    equal,
    ordered,
    truthy,
)
from flinfast.store.schema import Column, Kind, Table, Value, quote
from flinfast.values import Time

Tree = tuple[Any, ...]
Params = tuple[Value, ...]
Bind = Callable[[Params], Any]

# Items of a list parameter of `in` that become SQL parameters (SQLite allows 32766 in all).
LIST_ITEMS_MAX: Final = 8192
_PLACE: Final = late_pattern(r"\{(\d)\}")
_SUBSTR_END: Final = 1 << 30  # no text is that long: substr() from here is ""

_ORDERED: Final = frozenset({"number", "text", "time"})  # kinds that `<` compares
# Cells of an `any` column that a value of this shape has an order with.
_ANY_TYPES: Final = {
    "int": "'integer', 'real'",
    "float": "'integer', 'real'",
    "text": "'text'",
}

_ORDERINGS: Final = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_FLIPPED: Final = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_BOOLEAN: Final = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "not", "in", "truthy"})


class Pick(Struct, frozen=True):
    """Binds a parameter as it is."""

    index: int

    def __call__(self, params: Params) -> Any:
        """The parameter."""
        return params[self.index]


# --- shapes of parameters ----------------------------------------

SHAPES: Final[dict[type, str]] = {
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
    shape = SHAPES.get(kind)
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


# --- to SQL ----------------------------------------


class Unsupported(Exception):  # noqa: N818 - a signal within this module
    """SQL cannot express this part exactly."""


class Sql(NamedTuple):
    """A piece of SQL and what its `?` are bound to, in order."""

    text: str
    binds: tuple[Bind, ...] = ()


def _sql(pattern: str, *parts: Sql) -> Sql:
    """`pattern` with each `{}` replaced by the next part, or `{0}` by the first one."""
    text = pattern.format(*[part.text for part in parts])
    if "{0}" in pattern:
        order = [int(index) for index in _PLACE.findall(pattern)]
        parts = tuple([parts[index] for index in order])
    return Sql(text, tuple([bind for part in parts for bind in part.binds]))


class _Column(Struct, frozen=True):
    """One side of a comparison that differs from row to row: a column or a function of one.

    Attributes:
        sql: Its SQL.
        kind: Kind of its values.
        column: The column, when it is just that.
    """

    sql: Sql
    kind: Kind
    column: Column | None = None

    @property
    def is_integer(self) -> bool:
        """Whether cells are 64-bit integers (and never REAL)."""
        return self.column is None or self.column.is_integer


class _Known(Struct, frozen=True):
    """One side of a comparison that is known before the scan.

    Attributes:
        bind: Gives the value.
        shape: Shape of the value.
    """

    bind: Bind
    shape: Any

    def mark(self, convert: Callable[[Any], Any] | None = None) -> Sql:
        """A `?` bound to the (converted) value."""
        bind = self.bind
        if convert is None:
            return Sql("?", (bind,))
        return Sql("?", (lambda params: convert(bind(params)),))


_Side = _Column | _Known


class Predicates:
    """Makes the SQL of conditions over one table, for parameters of given shapes."""

    def __init__(self, table: Table, shapes: tuple[Any, ...]) -> None:
        self._table = table
        self._shapes = shapes
        self._dialect: Dialect = table.dialect
        self._false = Sql(table.dialect.false)

    def _side(self, tree: Tree) -> _Side:
        op = tree[0]
        if op == "param":
            shape = self._shapes[tree[1]]
            if shape == "unfit":
                raise Unsupported
            return _Known(Pick(tree[1]), shape)
        if op == "const":
            value = tree[1]
            return _Known(lambda _: value, shape_of(value))
        if op == "field":
            column = self._table.columns[tree[1]]
            return _Column(Sql(quote(column.name)), column.kind, column)
        if op == "call" and tree[1] not in BOOLEAN_CALLS:
            return self._function(tree[1], tree[2])
        if op in ("and", "or") and not (_is_boolean(tree[1]) and _is_boolean(tree[2])):
            raise Unsupported  # value-returning: `(nickname || name) == x`
        return _Column(_sql("({})", self.boolean(tree, positive=False)), "bool")

    def _function(self, name: str, target: Tree) -> _Column:
        inner = self._side(target)
        if isinstance(inner, _Column):
            if name == "len" and inner.kind in ("text", "bytes"):
                return _Column(_sql(self._dialect.length, inner.sql), "number")
            if name in TEXT_CALLS and inner.kind == "text" and self._dialect.folds:
                return _Column(_sql(f"flin_{name}({{}})", inner.sql), "text")
        raise Unsupported

    def boolean(self, tree: Tree, *, positive: bool) -> Sql:
        """SQL of a condition.

        Args:
            tree: The condition.
            positive: NULL may stand for false: no NOT and no comparison is around it.
        """
        op = tree[0]
        if op in ("and", "or"):
            left = self.boolean(tree[1], positive=positive)
            right = self.boolean(tree[2], positive=positive)
            return _sql(f"({{}} {op.upper()} {{}})", left, right)
        if op == "not":
            return _sql("NOT ({})", self.boolean(tree[1], positive=False))
        if op == "truthy":
            return self.boolean(tree[1], positive=positive)
        if op == "eq":
            return self._equal(self._side(tree[1]), self._side(tree[2]))
        if op == "ne":
            return _sql("NOT ({})", self._equal(self._side(tree[1]), self._side(tree[2])))
        if op in _ORDERINGS:
            result = self._ordering(op, self._side(tree[1]), self._side(tree[2]))
        elif op == "in":
            result = self._in(self._side(tree[1]), self._side(tree[2]))
        elif op == "call" and tree[1] in BOOLEAN_CALLS:
            result = self._text_call(tree[1], self._side(tree[2]), self._side(tree[3]))
        else:
            result = self._truth(self._side(tree))
        return result if positive else _sql(self._dialect.or_false, result)

    def _truth(self, side: _Side) -> Sql:
        if isinstance(side, _Known):
            return side.mark(lambda value: int(truthy(value)))
        if side.kind == "bool":
            return _sql(self._dialect.is_true, side.sql)
        if side.kind == "number":
            return _sql("{} <> 0", side.sql)
        if side.kind == "text":
            return _sql("{} <> ''", side.sql)
        if side.kind == "any":
            raise Unsupported
        return _sql("{} IS NOT NULL", side.sql)

    # --- equality and order ----------------------------------------

    def _equal(self, left: _Side, right: _Side) -> Sql:
        if isinstance(left, _Known):
            if isinstance(right, _Known):
                return _folded(equal, left, right)
            left, right = right, left
        if isinstance(right, _Column):
            return self._equal_columns(left, right)
        shape, kind = right.shape, left.kind
        if shape == "none":
            return _sql("{} IS NULL", left.sql)
        if kind in ("list", "map"):
            if shape in ("map", "range", "opaque") or isinstance(shape, tuple):
                raise Unsupported
            return self._false
        if kind == "any":
            if shape not in ("text", "int", "float") or not self._dialect.types_any:
                raise Unsupported
            return _sql("{} IS {}", left.sql, right.mark())
        if kind == "number" and shape in ("above", "below") and not left.is_integer:
            raise Unsupported
        if not _comparable(left, shape):
            return self._false
        number = self._number("eq", left, shape)
        if number is not None:
            column, mark = _sql(number.column, left.sql), right.mark(number.bind)
            return _sql("coalesce({} = {}, FALSE)", column, _sql(number.mark, mark))
        return _sql(self._dialect.equals, left.sql, right.mark(_conversion(left, shape)))

    def _number(self, op: str, side: _Column, shape: Any) -> Number | None:
        if side.kind not in ("number", "ref") or shape not in ("int", "float"):
            return None
        return self._dialect.number(op, is_integer=side.is_integer, shape=shape)

    def _equal_columns(self, left: _Column, right: _Column) -> Sql:
        kinds = {left.kind, right.kind}
        if kinds & {"any", "list", "map"}:
            raise Unsupported
        same = len(kinds) == 1 or kinds == {"ref", "number"}
        if kinds == {"ref"} and left.column and right.column:
            same = left.column.target == right.column.target
        if not same:
            return _sql("({} IS NULL AND {} IS NULL)", left.sql, right.sql)
        return _sql(self._dialect.same, *self._alike(left, right))

    def _alike(self, left: _Column, right: _Column) -> tuple[Sql, Sql]:
        """Two columns in types that compare exactly."""
        if left.kind in ("number", "ref") and left.is_integer != right.is_integer:
            exact = self._dialect.exact
            return _sql(exact, left.sql), _sql(exact, right.sql)
        return left.sql, right.sql

    def _ordering(self, op: str, left: _Side, right: _Side) -> Sql:
        if isinstance(left, _Known):
            if isinstance(right, _Known):
                return _folded(lambda a, b: ordered(op, a, b), left, right)
            left, right, op = right, left, _FLIPPED[op]
        sign, kind = _ORDERINGS[op], left.kind
        if isinstance(right, _Column):
            if "any" in (kind, right.kind):
                raise Unsupported
            if kind != right.kind or kind not in _ORDERED:
                return self._false
            return _sql(f"{{}} {sign} {{}}", *self._alike(left, right))
        shape = right.shape
        if kind == "any":
            types = _ANY_TYPES.get(shape) if isinstance(shape, str) else None
            if types is None or not self._dialect.types_any:
                raise Unsupported
            pattern = f"(typeof({{}}) IN ({types}) AND {{}} {sign} {{}})"
            return _sql(pattern, left.sql, left.sql, right.mark())
        if kind == "number" and shape in ("above", "below"):
            if not left.is_integer:
                raise Unsupported
            is_always = (shape == "above") == (sign[0] == "<")
            return _sql("{} IS NOT NULL", left.sql) if is_always else self._false
        if kind not in _ORDERED or not _comparable(left, shape):
            return self._false
        number = self._number(op, left, shape)
        if number is not None:
            column, mark = _sql(number.column, left.sql), right.mark(number.bind)
            return _sql(f"{{}} {sign} {{}}", column, _sql(number.mark, mark))
        return _sql(f"{{}} {sign} {{}}", left.sql, right.mark(_conversion(left, shape)))

    # --- membership and text ----------------------------------------

    def _in(self, item: _Side, container: _Side) -> Sql:
        if isinstance(container, _Column):
            if container.kind == "text":
                return self._part(container, item)
            if container.kind in ("list", "map", "any", "bytes"):
                raise Unsupported
            return self._false
        if isinstance(item, _Known):
            return _folded(contains, container, item)
        shape = container.shape
        if shape == "text":
            return self._part(container, item)
        if shape in ("map", "range", "bytes", "opaque"):
            raise Unsupported
        if not (isinstance(shape, tuple) and shape[0] == "list"):
            return self._false
        _, size, has_none = shape
        if size == 0:
            return self._false
        if size > LIST_ITEMS_MAX or item.kind in ("any", "list", "map"):
            raise Unsupported
        items = [_ListItem(container.bind, n, item, self._dialect) for n in range(size)]
        marks = Sql(", ".join("?" * size), tuple(items))
        if has_none:
            return _sql("({} IN ({}) OR {} IS NULL)", item.sql, marks, item.sql)
        return _sql("{} IN ({})", item.sql, marks)

    def _part(self, whole: _Side, part: _Side) -> Sql:
        """Whether a text contains another; false for other kinds."""
        texts = []
        for side in (whole, part):
            if isinstance(side, _Known):
                if side.shape != "text":
                    return self._false
                texts.append(side.mark())
            else:
                if side.kind == "any":
                    raise Unsupported
                if side.kind != "text":
                    return self._false
                texts.append(side.sql)
        return _sql(self._dialect.contains, *texts)

    def _text_call(self, name: str, target: _Side, arg: _Side) -> Sql:
        if isinstance(target, _Known):
            if name == "contains" and target.shape == "text":
                return self._part(target, arg)
            raise Unsupported
        if target.kind in ("list", "map", "any", "bytes"):
            raise Unsupported
        if name == "contains":
            return self._part(target, arg)
        if isinstance(arg, _Column):
            raise Unsupported
        if target.kind != "text" or arg.shape != "text":
            return self._false
        own = self._dialect.starts_with if name == "starts_with" else self._dialect.ends_with
        if own:
            return _sql(own, target.sql, arg.mark())
        if name == "starts_with":
            low, high = arg.mark(), arg.mark(_prefix_end)
            return _sql("({} >= {} AND {} < {})", target.sql, low, target.sql, high)
        start = arg.mark(lambda text: -len(text) or _SUBSTR_END)
        return _sql("substr({}, {}) IS {}", target.sql, start, arg.mark())


def _is_boolean(tree: Tree) -> bool:
    if tree[0] in ("and", "or"):
        return _is_boolean(tree[1]) and _is_boolean(tree[2])
    return tree[0] in _BOOLEAN or (tree[0] == "call" and tree[1] in BOOLEAN_CALLS)


def _folded(function: Callable[[Any, Any], bool], left: _Known, right: _Known) -> Sql:
    """A condition on known values: evaluated once, bound as 0 or 1."""
    a, b = left.bind, right.bind
    return Sql("?", (lambda params: int(function(a(params), b(params))),))


# --- values ----------------------------------------

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


def _comparable(side: _Column, shape: Any) -> bool:
    """Whether a value of this shape can equal one of the column's."""
    if isinstance(shape, tuple):
        target = side.column.target if side.kind == "ref" and side.column else None
        return bool(shape == ("record", target))
    return (side.kind, shape) in _SAME


def _conversion(side: _Column, shape: Any) -> Callable[[Any], Any] | None:
    """How a comparable value is bound; None: as it is."""
    return _record_id if isinstance(shape, tuple) else _SAME[side.kind, shape]


def _record_id(record: Any) -> int:
    return int(record.id)


class _ListItem(Struct, frozen=True):
    """Binds one item of a list; NULL, which equals nothing in IN, for one that cannot match."""

    bind: Bind
    position: int
    side: _Column
    dialect: Dialect

    def __call__(self, params: Params) -> Any:
        items = self.bind(params)
        item = items[min(self.position, len(items) - 1)]
        shape = shape_of(item)
        if shape in ("above", "below") and self.side.kind == "number":
            return None if self.side.is_integer else exact_float(item)
        if not _comparable(self.side, shape):
            return None
        if shape in ("int", "float"):
            return self.dialect.item(item, is_integer=self.side.is_integer)
        if shape == "text" and not self.dialect.can_bind(item):
            return None
        convert = _conversion(self.side, shape)
        return item if convert is None else convert(item)


def exact_float(value: int) -> float | None:
    """The float that equals an integer, None when there is none."""
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
