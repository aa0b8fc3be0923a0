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
from typing import Any, Final, NamedTuple

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
        compiler = _Compiler(self._table, shapes)
        parts: list[_Sql] = []
        filters: list[Tree] = []
        for tree in self._conjuncts:
            try:
                parts.append(compiler.boolean(tree, positive=True))
            except _Unsupported:
                filters.append(tree)
        binders = [bind for part in parts for bind in part.binds]
        text = " AND ".join(part.text for part in parts)
        return Compiled(text, _binder(binders), tuple(filters))


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


class _Sql(NamedTuple):
    """A piece of SQL and what its `?` are bound to, in order."""

    text: str
    binds: tuple[Bind, ...] = ()


_FALSE: Final = _Sql("0")


def _sql(pattern: str, *parts: _Sql) -> _Sql:
    """`pattern` with each `{}` replaced by the next part."""
    text = pattern.format(*[part.text for part in parts])
    return _Sql(text, tuple([bind for part in parts for bind in part.binds]))


@dataclass(frozen=True, slots=True)
class _Column:
    """One side of a comparison that differs from row to row: a column or a function of one.

    Attributes:
        sql: Its SQL.
        kind: Kind of its values.
        column: The column, when it is just that.
    """

    sql: _Sql
    kind: Kind
    column: Column | None = None

    @property
    def is_integer(self) -> bool:
        """Whether cells are 64-bit integers (and never REAL)."""
        return self.column is None or self.column.sql_type == "INTEGER"


@dataclass(frozen=True, slots=True)
class _Known:
    """One side of a comparison that is known before the scan.

    Attributes:
        bind: Gives the value.
        shape: Shape of the value.
    """

    bind: Bind
    shape: Any

    def mark(self, convert: Callable[[Any], Any] | None = None) -> _Sql:
        """A `?` bound to the (converted) value."""
        bind = self.bind
        if convert is None:
            return _Sql("?", (bind,))
        return _Sql("?", (lambda params: convert(bind(params)),))


_Side = _Column | _Known


class _Compiler:
    """Makes the SQL of conditions over one table, for parameters of given shapes."""

    def __init__(self, table: Table, shapes: tuple[Any, ...]) -> None:
        self._table = table
        self._shapes = shapes

    def _side(self, tree: Tree) -> _Side:
        op = tree[0]
        if op == "param":
            return _Known(_Pick(tree[1]), self._shapes[tree[1]])
        if op == "const":
            value = tree[1]
            return _Known(lambda _: value, shape_of(value))
        if op == "field":
            column = self._table.columns[tree[1]]
            return _Column(_Sql(quote(column.name)), column.kind, column)
        if op == "call" and tree[1] not in BOOLEAN_CALLS:
            return self._function(tree[1], tree[2])
        if op in ("and", "or") and not (_is_boolean(tree[1]) and _is_boolean(tree[2])):
            raise _Unsupported  # value-returning: `(nickname || name) == x`
        return _Column(_sql("({})", self.boolean(tree, positive=False)), "bool")

    def _function(self, name: str, target: Tree) -> _Column:
        inner = self._side(target)
        if isinstance(inner, _Column):
            if name == "len" and inner.kind in ("text", "bytes"):
                return _Column(_sql("length({})", inner.sql), "number")
            if name in TEXT_CALLS and inner.kind == "text":
                return _Column(_sql(f"flin_{name}({{}})", inner.sql), "text")
        raise _Unsupported

    def boolean(self, tree: Tree, *, positive: bool) -> _Sql:
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
            return _equal(self._side(tree[1]), self._side(tree[2]))
        if op == "ne":
            return _sql("NOT ({})", _equal(self._side(tree[1]), self._side(tree[2])))
        if op in _ORDERINGS:
            result = _ordering(op, self._side(tree[1]), self._side(tree[2]))
        elif op == "in":
            result = _in(self._side(tree[1]), self._side(tree[2]))
        elif op == "call" and tree[1] in BOOLEAN_CALLS:
            result = _text_call(tree[1], self._side(tree[2]), self._side(tree[3]))
        else:
            result = _truth(self._side(tree))
        return result if positive else _sql("ifnull({}, 0)", result)


def _is_boolean(tree: Tree) -> bool:
    if tree[0] in ("and", "or"):
        return _is_boolean(tree[1]) and _is_boolean(tree[2])
    return tree[0] in _BOOLEAN or (tree[0] == "call" and tree[1] in BOOLEAN_CALLS)


def _folded(function: Callable[[Any, Any], bool], left: _Known, right: _Known) -> _Sql:
    """A condition on known values: evaluated once, bound as 0 or 1."""
    a, b = left.bind, right.bind
    return _Sql("?", (lambda params: int(function(a(params), b(params))),))


def _truth(side: _Side) -> _Sql:
    if isinstance(side, _Known):
        return side.mark(lambda value: int(truthy(value)))
    if side.kind == "bool":
        return _sql("{} IS 1", side.sql)
    if side.kind == "number":
        return _sql("{} <> 0", side.sql)
    if side.kind == "text":
        return _sql("{} <> ''", side.sql)
    if side.kind == "any":
        raise _Unsupported
    return _sql("{} IS NOT NULL", side.sql)


# --- equality and order ----------------------------------------

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


def _equal(left: _Side, right: _Side) -> _Sql:
    if isinstance(left, _Known):
        if isinstance(right, _Known):
            return _folded(equal, left, right)
        left, right = right, left
    if isinstance(right, _Column):
        return _equal_columns(left, right)
    shape, kind = right.shape, left.kind
    if shape == "none":
        return _sql("{} IS NULL", left.sql)
    if kind in ("list", "map"):
        if shape in ("map", "range", "opaque") or isinstance(shape, tuple):
            raise _Unsupported
        return _FALSE
    if kind == "any":
        if shape not in ("text", "int", "float"):
            raise _Unsupported
        return _sql("{} IS {}", left.sql, right.mark())
    if kind == "number" and shape in ("above", "below") and not left.is_integer:
        raise _Unsupported
    if not _comparable(left, shape):
        return _FALSE
    return _sql("{} IS {}", left.sql, right.mark(_conversion(left, shape)))


def _equal_columns(left: _Column, right: _Column) -> _Sql:
    kinds = {left.kind, right.kind}
    if kinds & {"any", "list", "map"}:
        raise _Unsupported
    same = len(kinds) == 1 or kinds == {"ref", "number"}
    if kinds == {"ref"} and left.column and right.column:
        same = left.column.target == right.column.target
    pattern = "{} IS {}" if same else "({} IS NULL AND {} IS NULL)"
    return _sql(pattern, left.sql, right.sql)


def _ordering(op: str, left: _Side, right: _Side) -> _Sql:
    if isinstance(left, _Known):
        if isinstance(right, _Known):
            return _folded(lambda a, b: ordered(op, a, b), left, right)
        left, right, op = right, left, _FLIPPED[op]
    sign, kind = _ORDERINGS[op], left.kind
    if isinstance(right, _Column):
        if "any" in (kind, right.kind):
            raise _Unsupported
        if kind != right.kind or kind not in _ORDERED:
            return _FALSE
        return _sql(f"{{}} {sign} {{}}", left.sql, right.sql)
    shape = right.shape
    if kind == "any":
        types = _ANY_TYPES.get(shape) if isinstance(shape, str) else None
        if types is None:
            raise _Unsupported
        pattern = f"(typeof({{}}) IN ({types}) AND {{}} {sign} {{}})"
        return _sql(pattern, left.sql, left.sql, right.mark())
    if kind == "number" and shape in ("above", "below"):
        if not left.is_integer:
            raise _Unsupported
        is_always = (shape == "above") == (sign[0] == "<")
        return _sql("{} IS NOT NULL", left.sql) if is_always else _FALSE
    if kind not in _ORDERED or not _comparable(left, shape):
        return _FALSE
    return _sql(f"{{}} {sign} {{}}", left.sql, right.mark(_conversion(left, shape)))


# --- membership and text ----------------------------------------


def _in(item: _Side, container: _Side) -> _Sql:
    if isinstance(container, _Column):
        if container.kind == "text":
            return _part(container, item)
        if container.kind in ("list", "map", "any", "bytes"):
            raise _Unsupported
        return _FALSE
    if isinstance(item, _Known):
        return _folded(contains, container, item)
    shape = container.shape
    if shape == "text":
        return _part(container, item)
    if shape in ("map", "range", "bytes", "opaque"):
        raise _Unsupported
    if not (isinstance(shape, tuple) and shape[0] == "list"):
        return _FALSE
    _, size, has_none = shape
    if size == 0:
        return _FALSE
    if size > LIST_ITEMS_MAX or item.kind in ("any", "list", "map"):
        raise _Unsupported
    items = tuple([_ListItem(container.bind, position, item) for position in range(size)])
    marks = _Sql(", ".join("?" * size), items)
    if has_none:
        return _sql("({} IN ({}) OR {} IS NULL)", item.sql, marks, item.sql)
    return _sql("{} IN ({})", item.sql, marks)


@dataclass(frozen=True, slots=True)
class _ListItem:
    """Binds one item of a list; NULL, which equals nothing in IN, for one that cannot match."""

    bind: Bind
    position: int
    side: _Column

    def __call__(self, params: Params) -> Any:
        items = self.bind(params)
        item = items[min(self.position, len(items) - 1)]
        shape = shape_of(item)
        if shape in ("above", "below") and self.side.kind == "number":
            return None if self.side.is_integer else _exact_float(item)
        if not _comparable(self.side, shape):
            return None
        convert = _conversion(self.side, shape)
        return item if convert is None else convert(item)


def _exact_float(value: int) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if number == value else None


def _part(whole: _Side, part: _Side) -> _Sql:
    """Whether a text contains another; false for other kinds."""
    texts = []
    for side in (whole, part):
        if isinstance(side, _Known):
            if side.shape != "text":
                return _FALSE
            texts.append(side.mark())
        else:
            if side.kind == "any":
                raise _Unsupported
            if side.kind != "text":
                return _FALSE
            texts.append(side.sql)
    return _sql("instr({}, {}) > 0", *texts)


def _text_call(name: str, target: _Side, arg: _Side) -> _Sql:
    if isinstance(target, _Known):
        if name == "contains" and target.shape == "text":
            return _part(target, arg)
        raise _Unsupported
    if target.kind in ("list", "map", "any", "bytes"):
        raise _Unsupported
    if name == "contains":
        return _part(target, arg)
    if isinstance(arg, _Column):
        raise _Unsupported
    if target.kind != "text" or arg.shape != "text":
        return _FALSE
    if name == "starts_with":
        low, high = arg.mark(), arg.mark(_prefix_end)
        return _sql("({} >= {} AND {} < {})", target.sql, low, target.sql, high)
    start = arg.mark(lambda text: -len(text) or _SUBSTR_END)
    return _sql("substr({}, {}) IS {}", target.sql, start, arg.mark())


def _prefix_end(prefix: str) -> str | bytes:
    """Smallest value above every text with this prefix; a blob is above every text."""
    for index in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[index])
        if code < 0x10FFFF:
            following = 0xE000 if code + 1 == 0xD800 else code + 1
            return prefix[:index] + chr(following)
    return b""
