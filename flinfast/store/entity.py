"""Entities: what `Notification` in FLIN evaluates to, and how its records are made and saved.

An update names the version that the record was read at, so a change that someone else made in
between is a ConflictFault and never lost. Validation reports all bad fields at once, the first
message of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from flinfast.errors import (
    ConflictFault,
    RuntimeFault,
    StoreError,
    UniqueFault,
    ValidationFault,
)
from flinfast.store import history
from flinfast.store.codec import FieldFault, decoder, encoder, to_id
from flinfast.store.condition import Template
from flinfast.store.engine import UniqueViolation
from flinfast.store.insert_queue import InsertQueue
from flinfast.store.query import Query
from flinfast.store.quick import QuickEntity
from flinfast.store.record import Record
from flinfast.store.schema import Column, Row, Stored, Table, Value, quote, suggest
from flinfast.values import Time

if TYPE_CHECKING:
    from flinfast.store.base import BaseStore

_REQUIRED: Final = "is required"
_TAKEN: Final = "is already taken"
_UNSET: Final = object()
# Conditions kept per entity; each is a constant in the program's code.
TEMPLATES_MAX: Final = 1000
# Ids per statement (SQLite allows 32766 parameters).
IDS_MAX: Final = 8192
# What checks see, and the record keeps, once a value is encoded.
_PLAIN, _KEEP, _TIME, _REF, _REFS = range(5)


class _Slot(NamedTuple):
    """What saving needs to know of one field, unpacked in its loop."""

    name: str
    position: int
    encode: Callable[[Value], Stored]
    mode: int
    required: bool
    checks: tuple[Callable[[Value], str | None], ...]


def _slot(column: Column) -> _Slot:
    spec = column.field
    assert spec is not None
    mode = _KEEP
    if column.kind == "ref":
        mode = _REF
    elif column.target:
        mode = _REFS
    elif column.kind == "time":
        mode = _TIME
    elif decoder(column) is None:
        mode = _PLAIN
    return _Slot(column.name, column.index, encoder(spec), mode, spec.required, spec.checks)


class Entity(QuickEntity):
    """One entity of the program: the handle that `Notification` in FLIN evaluates to.

    Attributes:
        name: As declared.
        table: Its columns and SQL text.
        columns: Column by field name, in row order.
        destroy_sql: Removes record `?`; `destroy_history_sql` its history, before that.
    """

    def __init__(self, table: Table, store: BaseStore) -> None:
        super().__init__(table, Record, store.group, store.clock_ms, InsertQueue(table))
        self.table = table
        self.columns = table.columns
        self.store = store
        self.decoders = [decoder(column) for column in table.columns.values()]
        self._database = store.database
        declared = {column.name: column for column in table.columns.values() if column.field}
        self._declared = declared
        self._slots = [_slot(column) for column in declared.values()]
        self._references = [column for column in declared.values() if column.target]
        name = quote(table.name)
        self.select = f"SELECT {table.select_list} FROM {name}"
        self._find = f"{self.select} WHERE id = ? AND deleted_at IS NULL"
        self._exists = f"SELECT 1 FROM {name} WHERE id = ? AND deleted_at IS NULL"
        self._delete = f"UPDATE {name} SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL"
        self.destroy_sql = f"DELETE FROM {name} WHERE id = ?"
        self.destroy_history_sql = history.destroy_statement(table)
        self._names = tuple(table.columns)
        self._read_row = table.dialect.row_reader(table)
        self.statements: dict[tuple[object, ...], str] = {}  # texts of queries
        # By id(tree); the tree is kept so that its id is not used again.
        self._templates: dict[int, tuple[tuple[Any, ...], Template]] = {}

    def __repr__(self) -> str:
        return f"<entity {self.name}>"

    # --- EntityHandle ----------------------------------------

    def find(self, id: Value) -> Record | None:
        """The live record with this id (an int, or text that parses as one), or None."""
        number = id if type(id) is int else to_id(id)
        if number is None:
            return None
        try:
            rows = self._fetch_own(self._find, (number,))
        except OverflowError:
            return None
        return Record(self, rows[0]) if rows else None

    def find_many(self, ids: Sequence[int]) -> list[Record]:
        """Live records with these ids, in the order of the ids."""
        found: dict[int, Record] = {}
        for start in range(0, len(ids), IDS_MAX):
            some = ids[start : start + IDS_MAX]
            sql = f"{self.select} WHERE id IN ({', '.join('?' * len(some))}) AND deleted_at IS NULL"
            for row in self._fetch_own(sql, some):
                found[row[0]] = Record(self, row)
        return [found[number] for number in ids if number in found]

    def resolve(self, items: Sequence[Value]) -> list[Value]:
        """The items of a list of references with ids replaced by their live records."""
        ids = {item: to_id(item) for item in items if isinstance(item, (int, str))}
        wanted = [number for number in ids.values() if number is not None]
        found = {record.id: record for record in self.find_many(wanted)} if wanted else {}
        return [
            found.get(ids[item], item) if isinstance(item, (int, str)) else item for item in items
        ]

    def _construct(self, fields: Mapping[str, Value], spread: tuple[Value, ...]) -> Record:
        """construct() with references, spreads or unknown fields."""
        record = Record(self, None)
        for name, value in fields.items():
            column = self._declared.get(name)
            if column is None:
                raise self.unknown_field(name)
            record._assign(column, value)
        merged: dict[str, Value] = {}
        for source in spread:
            merged.update(self._spread(source))
        for name, value in merged.items():
            if name not in fields:
                record._assign(self._declared[name], value)
        for name, default in self._defaults:
            if name not in fields and name not in merged:
                record._assign(self._declared[name], default())
        return record

    def _spread(self, source: Value) -> Iterable[tuple[str, Value]]:
        if source is None:
            return ()
        if isinstance(source, Record):
            names = self._declared.keys() & source._entity._declared.keys()
            return [(name, source.flin_get(name)) for name in names]
        if isinstance(source, dict):
            return [(name, value) for name, value in source.items() if name in self._declared]
        raise RuntimeFault("expected a map after `...`", code="FL501")

    def prepare(self, template: tuple[Any, ...]) -> Callable[[tuple[Value, ...]], Query]:
        """A `where` condition as a function from its parameters to a query."""
        condition = self.template(template)
        return lambda params: Query(self, conditions=((condition, params),))

    def template(self, tree: tuple[Any, ...]) -> Template:
        """The compiled form of a condition, which is a constant in the program's code.

        Kept by identity: trees that differ in `1` and `true` are equal to Python.
        """
        known = self._templates.get(id(tree))
        if known is None:
            if len(self._templates) >= TEMPLATES_MAX:
                self._templates.clear()
            known = self._templates[id(tree)] = (tree, Template(self.table, tree))
        return known[1]

    def flin_get(self, name: str) -> Value:
        """`E.all`, `E.count`, ... without parentheses; FL505 for an unknown name."""
        return Query(self).flin_get(name)

    def flin_set(self, name: str, value: Value) -> None:
        """Nothing of an entity can be assigned: FL507."""
        raise RuntimeFault(f"`{self.name}.{name}` cannot be assigned", code="FL507")

    def flin_call(self, name: str, args: tuple[Value, ...], named: Mapping[str, Value]) -> Value:
        """`E.find(id)`, `E.create(map)`, `E.history(id)` and every method of a query."""
        if name == "find" and len(args) == 1 and not named and not callable(args[0]):
            return self.find(args[0])
        if name == "create" and len(args) <= 1:
            record = self.construct(named, args)
            self.save(record)
            return record
        if name == "history" and len(args) == 1 and not named:
            number = to_id(args[0])
            return [] if number is None else history.versions(self, number)
        return Query(self).flin_call(name, args, named)

    # --- reading ----------------------------------------

    def rows(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """Rows of a SELECT, in the transaction of the running handler."""
        commit = self._commit
        commit.read = True
        if commit.idle:
            commit.open_read()
        return self._database.query(sql, values)

    def fetch(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """Rows of `select`, with cells as every engine has them."""
        rows = self.rows(sql, values)
        return rows if self._read_row is None else [self._read_row(row) for row in rows]

    def _fetch_own(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """fetch() from no table but this entity's."""
        commit = self._commit
        commit.read = True
        if commit.idle:
            commit.open_read()
        rows = self._database.query_table(self._queue, sql, values)
        return rows if self._read_row is None else [self._read_row(row) for row in rows]

    def record(self, row: Row) -> Record:
        """The record of a row."""
        return Record(self, row)

    def target(self, column: Column) -> Entity:
        """Entity that a reference column points to."""
        return self.store.entities[column.target]

    def stored(self, column: Column, cell: Stored) -> Value:
        """Value of a cell that is not NULL, references as ids; StoreError when it is damaged."""
        decode = self.decoders[column.index]
        try:
            return cell if decode is None else decode(cell)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise StoreError(
                f"the database {self._database.label} is damaged: "
                f"`{self.name}.{column.name}` cannot be read ({error})"
            ) from error

    def unknown_field(self, name: str) -> RuntimeFault:
        """FL511 with a hint."""
        column = self.columns.get(name)
        if column is not None:
            return RuntimeFault(
                f"`{name}` of `{self.name}` is set by `save` and cannot be given", code="FL511"
            )
        return RuntimeFault(
            f"`{self.name}` has no field `{name}`",
            code="FL511",
            hint=suggest(name, self.columns),
        )

    # --- writing ----------------------------------------

    def _save(self, record: Record, now: int) -> None:
        """save() of a record that is not new, or that needs a closer look."""
        if record._snapshot:
            raise RuntimeFault(
                f"an old version of `{self.name}` cannot be saved",
                code="FL510",
                hint="copy its fields to the current record",
            )
        old = record._row
        cells = self._encode(record)
        if old is None:
            if self._references:
                self._commit.lock()
                self._check_references(cells, None)
            self._insert(record, (*cells, now, now, None, 1))
            return
        try:
            self._commit.writing(record)
            if self._references:
                self._check_references(cells, old)
            record._row = self._replace(old, cells, now)
        except UniqueViolation as violation:
            raise UniqueFault({violation.column: _TAKEN}) from None
        self._tell(old, record._row)

    def _insert(self, record: Record, tail: tuple[Stored, ...]) -> None:
        """Insert a new record whose row without the id is `tail`."""
        try:
            self._commit.insert(record, self._queue, tail)
        except UniqueViolation as violation:
            raise UniqueFault({violation.column: _TAKEN}) from None

    def _replace(self, old: Row, cells: Sequence[Stored], now: int) -> Row:
        """Archive the version that was read, then write the new one; returns its row."""
        id, created, _, deleted, version = old[0], *old[-4:]
        data = msgpack.packb(dict(zip(self._names, old, strict=True)))
        if not self._database.replace(self.table, old, cells, now, data):
            raise ConflictFault(f"`{self.name}` {id} was changed since it was read")
        return (id, *cells, created, now, deleted, version + 1)

    def _tell(self, old: Row, new: Row | None) -> None:
        if self.store.on_change is not None:
            told = self.store.on_change(self, old, new)
            if told is not None:
                self._commit.after_commit(told)

    def _encode(self, record: Record) -> list[Stored]:
        """Cells of the declared fields; puts coerced values back into the record."""
        cells: list[Stored] = []
        faults: dict[str, str] = {}
        row = record._row
        assigned = record._cells
        for name, index, encode, mode, required, checks in self._slots:
            if mode == _REF:
                value = record._held_reference(self.columns[name])
            else:
                value = assigned.get(name, _UNSET)
                if value is _UNSET:  # unchanged since it was read
                    value = None if row is None else row[index]
                    cells.append(value)
                    if required and value is None:
                        faults[name] = _REQUIRED
                    continue
            if value is None or (required and value == ""):
                cells.append(None)
                if required:
                    faults[name] = _REQUIRED
                continue
            try:
                cell = encode(value)
                cells.append(cell)
                if mode == _PLAIN:
                    if cell is not value:
                        assigned[name] = value = cell
                elif mode != _KEEP:
                    value = self._settle(record, name, mode, value, cells)
                for check in checks:
                    message = check(value)
                    if message is not None:
                        raise FieldFault(message)
            except FieldFault as fault:
                faults[name] = str(fault)
        if faults:
            raise ValidationFault(faults)
        return cells

    def _settle(
        self, record: Record, name: str, mode: int, value: Value, cells: list[Stored]
    ) -> Value:
        """The coerced value of a time or a reference, put back into the record."""
        column = self.columns[name]
        if mode == _TIME:
            value = value if isinstance(value, Time) else Time.parse(value)
        elif mode == _REF:
            value = value if isinstance(value, Record) else cells[-1]
        elif record._row is not None and record._lists is not None and name in record._lists:
            ids = [item.id if isinstance(item, Record) else item for item in value]
            if ids == record._lists[name]:
                cells[-1] = record._row[column.index]
        record._assign(column, value)
        return value

    def _check_references(self, cells: Sequence[Stored], old: Row | None) -> None:
        """Every id that is new in a reference field belongs to a live record."""
        faults: dict[str, str] = {}
        for column in self._references:
            cell = cells[column.index - 1]
            before = None if old is None else old[column.index]
            if cell is None or cell == before:
                continue
            target = self.target(column)
            new: set[Any] = {cell}
            if column.kind != "ref":
                new = set(self.stored(column, cell))
                new -= set(() if before is None else self.stored(column, before))
            if len(target.find_many(list(new))) < len(new):
                what = "the id" if column.kind == "ref" else "ids"
                faults[column.name] = f"must be {what} of a live {target.name}"
        if faults:
            raise ValidationFault(faults)

    def _stored_row(self, record: Record, verb: str) -> Row:
        if record._row is None or record._snapshot:
            what = "an old version of" if record._snapshot else "an unsaved"
            raise RuntimeFault(f"cannot {verb} {what} `{self.name}`", code="FL510")
        return record._row

    def delete(self, record: Record) -> None:
        """Soft delete; nothing happens to a record that is deleted already.

        Raises:
            RuntimeFault: FL510, it was never saved or is an old version.
        """
        row = self._stored_row(record, "delete")
        now = self.store.clock_ms()
        self._commit.writing(record)
        self._database.execute(self._delete, (now, row[0]))
        if row[-2] is None:
            record._row = (*row[:-2], now, row[-1])
        self._tell(row, None)

    def restore(self, record: Record) -> None:
        """Undo a soft delete; nothing happens to a live record.

        Raises:
            UniqueFault: Another live record took a `@unique` value meanwhile.
            ConflictFault: The record was destroyed.
            RuntimeFault: FL510, it was never saved or is an old version.
        """
        row = self._stored_row(record, "restore")
        self._commit.writing(record)
        try:
            is_there = self._database.restore(self.table, row)
        except UniqueViolation as violation:
            raise UniqueFault({violation.column: _TAKEN}) from None
        if not is_there:
            raise ConflictFault(f"`{self.name}` {row[0]} was destroyed")
        record._row = (*row[:-2], None, row[-1])

    def destroy(self, record: Record) -> None:
        """Remove the record and its history; nothing happens when it is gone already.

        Raises:
            RuntimeFault: FL510, it was never saved or is an old version.
        """
        row = self._stored_row(record, "destroy")
        self._commit.writing(None)
        self._database.execute(self.destroy_history_sql, (row[0],))
        self._database.execute(self.destroy_sql, (row[0],))
        self._tell(row, None)

    def snapshot(self, row: Row) -> Record:
        """A read-only record of an old version."""
        record = Record(self, row)
        record._snapshot = True
        return record
