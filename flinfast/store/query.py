"""Lazy queries: chained methods make new queries, the database is asked when rows are needed.

A query remembers its rows once it has fetched them; chaining gives a fresh query. Rows come in the
given order, then by id, so that pages are stable; none sorts first ascending. Soft-deleted records
are invisible without `.with_deleted`.

List methods (`map`, `filter`, ...) are not here: they are FL505, and the caller applies the list's
own to `rows()`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from flinfast.errors import RuntimeFault
from flinfast.store.codec import to_id
from flinfast.store.condition import Template, settle
from flinfast.store.evaluate import Reference, evaluate, truthy
from flinfast.store.predicate import Params, Tree
from flinfast.store.schema import Column, Value, quote, suggest
from flinfast.values import Time

if TYPE_CHECKING:
    from flinfast.store.entity import Entity
    from flinfast.store.record import Record

# Query texts kept per entity; programs have few, orders made from user input could be many.
STATEMENTS_MAX: Final = 1000

_BY_ID: Final[Tree] = ("eq", ("field", "id"), ("param", 0))
_SIZES: Final = ("count", "len", "length", "size")
_METHODS: Final = (
    *("all", "where", "find", "order", "limit", "offset", "skip", "first", "last", "count"),
    *("exists", "sum", "avg", "min", "max", "group_by", "distinct", "with_deleted", "with"),
)


class Query:
    """A lazy list of records; a FlinObject. Immutable except for its fetched rows."""

    __slots__ = (
        "_conditions",
        "_deleted",
        "_entity",
        "_filters",
        "_limit",
        "_offset",
        "_order",
        "_rows",
        "_with",
    )

    def __init__(
        self, entity: Entity, conditions: tuple[tuple[Template, Params], ...] = ()
    ) -> None:
        self._entity = entity
        self._conditions = conditions
        self._filters: tuple[Callable[[Record], Value], ...] = ()
        self._order: tuple[tuple[Any, bool], ...] = ()  # (field or function, descending)
        self._limit: int | None = None
        self._offset = 0
        self._deleted = False
        self._with: tuple[Column, ...] = ()
        self._rows: list[Record] | None = None

    def _copy(self) -> Query:
        query = Query(self._entity, self._conditions)
        query._filters = self._filters
        query._order = self._order
        query._limit = self._limit
        query._offset = self._offset
        query._deleted = self._deleted
        query._with = self._with
        return query

    def __repr__(self) -> str:
        return f"<query {self._entity.name}>"

    # --- building ----------------------------------------

    def flin_where(self, template: Tree, params: Params) -> Query:
        """The same query with one more condition."""
        return self._where(self._entity.template(template), params)

    def _where(self, template: Template, params: Params) -> Query:
        query = self._copy()
        query._conditions = (*self._conditions, (template, params))
        return query

    def filter(self, function: Callable[[Record], Value]) -> Query:
        """`where(x => condition)`: evaluated in Python, row by row."""
        query = self._copy()
        query._filters = (*self._filters, function)
        return query

    def order(self, key: Value, direction: Value = "asc") -> Query:
        """Sort by a field (or a function of the record); repeated calls add secondary keys.

        Raises:
            RuntimeFault: FL511 unknown field; FL504 a direction that is neither "asc" nor
                "desc", or a field without an order.
        """
        if direction not in ("asc", "desc"):
            raise _bad_argument("order", '"asc" or "desc"', direction)
        if not callable(key):
            column = self._column(key, "order")
            if column.kind in ("list", "map"):
                raise _bad_argument("order", "a field that has an order", f"a {column.kind}")
        query = self._copy()
        query._order = (*self._order, (key, direction == "desc"))
        return query

    def limit(self, count: Value) -> Query:
        """At most `count` records; FL504 unless it is an int of 0 or more."""
        query = self._copy()
        query._limit = _whole("limit", count)
        return query

    def offset(self, count: Value) -> Query:
        """Leave out the first `count` records; FL504 unless it is an int of 0 or more."""
        query = self._copy()
        query._offset = _whole("offset", count)
        return query

    def with_deleted(self) -> Query:
        """Soft-deleted records as well."""
        query = self._copy()
        query._deleted = True
        return query

    def with_(self, *names: Value) -> Query:
        """Load these references along with the rows, and show them as maps in JSON."""
        query = self._copy()
        for name in names:
            column = self._column(name, "with")
            if not column.target:
                raise _bad_argument("with", "a reference field", f"`{name}`")
            query._with = (*query._with, column)
        return query

    # --- running ----------------------------------------

    def rows(self) -> list[Record]:
        """The records; fetched once. The list belongs to the query: do not change it.

        Raises:
            RuntimeFault: FL512, the scan took too long.
            StoreError: The database refused.
        """
        if self._rows is None:
            self._rows = self._fetch()
        return self._rows

    @property
    def entity_name(self) -> str:
        """Name of the entity whose records it finds."""
        return self._entity.name

    def peek(self, count: int) -> list[Record]:
        """The first records, `count` at most, without fetching all; raises as `rows`."""
        return self._fetch(count) if self._rows is None else self._rows[:count]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.rows())

    def __len__(self) -> int:
        return self.count()

    def _fetch(self, limit: int | None = None) -> list[Record]:
        """Records; `limit` restricts the query's own limit."""
        entity = self._entity
        where, values, filters = self._plan()
        if limit is None or (self._limit is not None and self._limit < limit):
            limit = self._limit
        in_python = bool(filters) or self._is_sorted_here()
        sql = self._statement(where, paged=not in_python and self._is_paged(limit))
        if not in_python and self._is_paged(limit):
            no_limit = entity.table.dialect.no_limit
            values = (*values, no_limit if limit is None else limit, self._offset)
        rows = entity.fetch(sql, values)
        records = [entity.record(row) for row in rows]
        if in_python:
            for keep in filters:
                records = [record for record in records if keep(record)]
            self._sort(records)
            end = None if limit is None else self._offset + limit
            records = records[self._offset : end]
        if self._with:
            self._load_references(records)
        return records

    def _is_sorted_here(self) -> bool:
        """Whether Python sorts: by functions, or cells that the engine has no order for."""
        return any(callable(key) or self._needs_python(key) for key, _ in self._order)

    def _needs_python(self, name: str) -> bool:
        table = self._entity.table
        return not table.dialect.types_any and table.columns[name].kind == "any"

    def _is_paged(self, limit: int | None) -> bool:
        return limit is not None or self._offset > 0

    def _plan(self) -> tuple[str, tuple[Any, ...], list[Callable[[Record], bool]]]:
        """Condition text, its values, and what Python must check for each record."""
        texts = [] if self._deleted else ["deleted_at IS NULL"]
        values: tuple[Any, ...] = ()
        filters: list[Callable[[Record], bool]] = []
        for template, raw in self._conditions:
            params = tuple([settle(value) for value in raw])
            form = template.compile(params)
            if form.sql:
                texts.append(form.sql)
                values += form.bind(params)
            filters += [_tree_filter(tree, params) for tree in form.filters]
        filters += [_function_filter(function) for function in self._filters]
        return " AND ".join(texts), values, filters

    def _statement(self, where: str, *, paged: bool) -> str:
        order = () if self._is_sorted_here() else self._order
        cache = self._entity.statements
        key = (where, order, paged)
        sql = cache.get(key)
        if sql is None:
            if len(cache) >= STATEMENTS_MAX:
                cache.clear()
            term = self._entity.table.dialect.order
            terms = [term(name, descending=desc) for name, desc in order]
            sql = f"{self._entity.select}{_where_text(where)} ORDER BY {', '.join([*terms, 'id'])}"
            cache[key] = sql = sql + (" LIMIT ? OFFSET ?" if paged else "")
        return sql

    def _sort(self, records: list[Record]) -> None:
        """Stable sorts, last key first; rows already come in id order."""
        if not self._is_sorted_here():
            return
        records.sort(key=lambda record: record.id or 0)
        for key, descending in reversed(self._order):
            read = _value_key(key) if callable(key) else _cell_key(self._entity.columns[key])
            try:
                records.sort(key=read, reverse=descending)
            except TypeError:
                raise RuntimeFault("cannot order values of different kinds", code="FL501") from None

    def _load_references(self, records: list[Record]) -> None:
        names = tuple(column.name for column in self._with)
        for column in self._with:
            if column.kind == "ref":
                target = self._entity.target(column)
                index = column.index
                ids = list({r._row[index] for r in records if r._row and r._row[index]})
                found = {item.id: item for item in target.find_many(ids)}
                for record in records:
                    row = record._row
                    loaded = found.get(row[index]) if row else None
                    if loaded is not None:
                        record._refs = {**(record._refs or {}), column.name: loaded}
        for record in records:
            record._embedded = names

    # --- results ----------------------------------------

    def first(self) -> Record | None:
        """The first record, or None."""
        rows = self._rows if self._rows is not None else self._fetch(1)
        return rows[0] if rows else None

    def last(self) -> Record | None:
        """The last record, or None."""
        simple = self._limit is None and not self._offset and not self._filters
        if self._rows is None and simple and not self._is_sorted_here():
            query = self._copy()
            query._order = tuple((key, not desc) for key, desc in self._order)
            if ("id", True) not in query._order:
                query._order = (*query._order, ("id", True))
            return query.first()
        rows = self.rows()
        return rows[-1] if rows else None

    def find(self, id: Value) -> Record | None:
        """The record with this id among those of the query, or None."""
        number = to_id(id)
        if number is None:
            return None
        return self._where(self._entity.template(_BY_ID), (number,)).first()

    def count(self) -> int:
        """How many records there are."""
        if self._rows is None:
            found = self._aggregate("COUNT(*)")
            if found is not None:
                return int(found[0])
        return len(self.rows())

    def exists(self) -> bool:
        """Whether there is any record."""
        return self.first() is not None

    def sum(self, name: Value) -> int | float:
        """Sum of a numeric field, without none (ints exactly); 0 when there is nothing to add."""
        return self._total(name, "sum")[0]

    def avg(self, name: Value) -> float | None:
        """Mean of a numeric field, without none; None when there is nothing."""
        total, count = self._total(name, "avg")
        return total / count if count else None

    def _total(self, name: Value, method: str) -> tuple[int | float, int]:
        column = self._column(name, method)
        if column.kind != "number":
            raise _bad_argument(method, "a numeric field", f"`{name}`")
        field = quote(column.name)
        is_integer = column.is_integer
        high, low = self._entity.table.dialect.total(field, is_integer=is_integer)
        found = self._aggregate(f"COUNT({field}), {high}, {low}")
        if found is None:
            values = [v for v in map(_field_reader(column.name), self.rows()) if v is not None]
            return sum(values), len(values)
        count, top, rest = found
        if is_integer:
            return (int(top or 0) << 32) + int(rest or 0), count
        if rest is None:  # nothing, or infinities of both signs
            rest = math.nan if count else 0.0
        return rest, count

    def min(self, name: Value) -> Value:
        """Smallest value of a field, without none; None when there is nothing."""
        return self._extreme(name, "min")

    def max(self, name: Value) -> Value:
        """Largest value of a field, without none; None when there is nothing."""
        return self._extreme(name, "max")

    def _extreme(self, name: Value, method: str) -> Value:
        column = self._column(name, method)
        if column.kind not in ("number", "text", "time"):
            raise _bad_argument(method, "a field of numbers, text or times", f"`{name}`")
        found = self._aggregate(f"{method.upper()}({quote(column.name)})")
        if found is not None:
            cell = found[0]
            return Time(cell) if column.kind == "time" and cell is not None else cell
        values = [v for v in map(_field_reader(column.name), self.rows()) if v is not None]
        if not values:
            return None
        return min(values) if method == "min" else max(values)

    def _aggregate(self, expressions: str) -> tuple[Any, ...] | None:
        """One row of SQL aggregates; None when Python must look at the records."""
        where, values, filters = self._plan()
        paged = self._is_paged(self._limit)
        if filters or (paged and self._is_sorted_here()):
            return None
        source = f"{quote(self._entity.name)}{_where_text(where)}"
        if paged:
            statement = self._statement(where, paged=True)
            source = f"({statement}) AS page"
            no_limit = self._entity.table.dialect.no_limit
            values = (*values, no_limit if self._limit is None else self._limit, self._offset)
        return self._entity.rows(f"SELECT {expressions} FROM {source}", values)[0]

    def group_by(self, name: Value) -> dict[str, list[Record]]:
        """Records by the text of a field, groups in order of appearance."""
        column = self._column(name, "group_by")
        if column.kind in ("list", "map"):
            raise _bad_argument("group_by", "a field of plain values", f"`{name}`")
        groups: dict[str, list[Record]] = {}
        for record in self.rows():
            groups.setdefault(_group_key(record, column), []).append(record)
        return groups

    def distinct(self, name: Value) -> list[Value]:
        """Different values of a field, in order of appearance."""
        column = self._column(name, "distinct")
        seen: dict[Any, Value] = {}
        for record in self.rows():
            row = record._row
            assert row is not None
            cell = row[column.index]
            seen.setdefault((type(cell) is bytes, cell), record)
        return [record.flin_get(column.name) for record in seen.values()]

    # --- FlinObject ----------------------------------------

    def flin_get(self, name: str) -> Value:
        """`query.count`, `query.first`, ... without parentheses; FL505 for anything else."""
        if name in _SIZES:
            return self.count()
        if name == "all":
            return self
        if name in ("first", "last", "exists", "with_deleted"):
            return getattr(self, name)()
        raise self._unknown_method(name)

    def flin_set(self, name: str, value: Value) -> None:
        """Queries are read-only: FL507."""
        raise RuntimeFault("a query cannot be changed", code="FL507")

    def flin_call(self, name: str, args: tuple[Value, ...], named: Mapping[str, Value]) -> Value:
        """Query methods; FL505 for anything else, which includes every method of lists."""
        if named:
            raise self._unknown_method(name)
        count = len(args)
        if count == 0 and name in (*_SIZES, "all", "first", "last", "exists", "with_deleted"):
            return self.flin_get(name)
        if name == "order" and count in (1, 2):
            return self.order(*args)
        if name == "with" and count:
            return self.with_(*args)
        if count == 1 and callable(args[0]):
            if name == "where":
                return self.filter(args[0])
        elif count == 1 and name in _ONE_ARGUMENT:
            return getattr(self, _ONE_ARGUMENT[name])(args[0])
        raise self._unknown_method(name)

    def _unknown_method(self, name: str) -> RuntimeFault:
        return RuntimeFault(
            f"queries have no method `{name:.40}` that takes these arguments",
            code="FL505",
            hint=suggest(name, _METHODS),
        )

    def _column(self, name: Value, method: str) -> Column:
        if not isinstance(name, str):
            raise _bad_argument(method, "the name of a field", name)
        column = self._entity.columns.get(name)
        if column is None:
            raise self._entity.unknown_field(name)
        return column


_ONE_ARGUMENT: Final = {
    "limit": "limit",
    "offset": "offset",
    "skip": "offset",
    "find": "find",
    "sum": "sum",
    "avg": "avg",
    "min": "min",
    "max": "max",
    "group_by": "group_by",
    "distinct": "distinct",
}


def _where_text(where: str) -> str:
    return f" WHERE {where}" if where else ""


def _whole(method: str, value: Value) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _bad_argument(method, "an int of 0 or more", value)
    return min(value, 1 << 62)


def _bad_argument(method: str, expected: str, value: Value) -> RuntimeFault:
    shown = value if isinstance(value, str) else repr(value)
    return RuntimeFault(f"`{method}` expected {expected}, got {shown:.60}", code="FL504")


def _field_reader(name: str) -> Callable[[Record], Value]:
    return lambda record: record.flin_get(name)


def _value_key(function: Callable[[Record], Value]) -> Callable[[Record], tuple[bool, Value]]:
    def key(record: Record) -> tuple[bool, Value]:
        value = function(record)
        return (value is not None, 0 if value is None else value)

    return key


def _cell_key(column: Column) -> Callable[[Record], tuple[int, Value]]:
    """SQLite's order: none, numbers, text, bytes."""
    index = column.index

    def key(record: Record) -> tuple[int, Value]:
        row = record._row
        assert row is not None
        cell = row[index]
        if cell is None:
            return (0, 0)
        return (1 if isinstance(cell, (int, float)) else 2 if isinstance(cell, str) else 3, cell)

    return key


def _group_key(record: Record, column: Column) -> str:
    row = record._row
    assert row is not None
    cell = row[column.index]
    value = cell if column.kind in ("ref", "any") else record.flin_get(column.name)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _tree_filter(tree: Tree, params: Params) -> Callable[[Record], bool]:
    def keep(record: Record) -> bool:
        return truthy(evaluate(tree, lambda name: _evaluated(record, name), params))

    return keep


def _evaluated(record: Record, name: str) -> Value:
    """A field as conditions see it: references by id, never loaded."""
    entity = record._entity
    column = entity.columns[name]
    if not column.target:
        return record.flin_get(name)
    row = record._row
    assert row is not None
    cell = row[column.index]
    if cell is None:
        return None
    if column.kind == "ref":
        return Reference(column.target, cell)
    return [Reference(column.target, id) for id in entity.stored(column, cell)]


def _function_filter(function: Callable[[Record], Value]) -> Callable[[Record], bool]:
    def keep(record: Record) -> bool:
        try:
            return truthy(function(record))
        except RuntimeFault as fault:
            if fault.code in ("FL501", "FL502"):  # one odd record must not fail the filter
                return False
            raise

    return keep
