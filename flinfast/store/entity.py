"""Records and the entities they belong to: construction, fields, saving and deleting.

A record is the row it was read from plus the values assigned since. Records are values: changing
one changes no other, until it is saved. An update names the version it was read at, so a change
made by someone else in between is a ConflictFault and never lost.

References hold an id. Reading one loads the live record, once; a reference to a record that was
deleted or destroyed reads as none but keeps its id. In JSON a reference is its id, unless the
query said `.with(field)`: reading a reference must not change what a route answers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

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
from flinfast.store.query import Query
from flinfast.store.schema import (
    Column,
    FieldSpec,
    Row,
    Stored,
    Table,
    Value,
    quote,
    suggest,
)
from flinfast.store.sqlite import UniqueViolation
from flinfast.values import Time

if TYPE_CHECKING:
    from flinfast.store.store import Store

_AUTO_TAIL: Final = 4  # created_at, updated_at, deleted_at, version end every row
_REQUIRED: Final = "is required"
_TAKEN: Final = "is already taken"


class Record:
    """One record of an entity; a FlinObject.

    Attributes:
        entity: Name of its entity.
        id: None until it is first saved.
    """

    __slots__ = ("_cells", "_embedded", "_entity", "_refs", "_row", "_snapshot")

    def __init__(self, entity: Entity, row: Row | None) -> None:
        self._entity = entity
        self._row = row
        self._cells: dict[str, Value] = {}  # assigned or decoded values, except references
        self._refs: dict[str, Value] | None = None  # assigned or loaded references
        self._embedded: tuple[str, ...] = ()  # references that JSON shows as maps
        self._snapshot = False  # an old version: read-only

    @property
    def entity(self) -> str:
        """Name of the entity."""
        return self._entity.name

    @property
    def id(self) -> int | None:
        """The record's id, None until it is first saved."""
        return None if self._row is None else self._row[0]

    @property
    def version(self) -> int | None:
        """Version of the row it was read from or saved as."""
        return None if self._row is None else self._row[-1]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Record)
            and self._row is not None
            and other._row is not None
            and self._entity is other._entity
            and bool(self._row[0] == other._row[0])
        )

    def __hash__(self) -> int:
        return hash((self._entity.name, self.id))

    def __repr__(self) -> str:
        return f"<{self.entity} {self.id}>"

    # --- FlinObject ----------------------------------------

    def flin_get(self, name: str) -> Value:
        """A field, an auto field, or `history`; FL511 when there is none of that name."""
        try:
            return self._cells[name]
        except KeyError:
            return self._load(name)

    def _load(self, name: str) -> Value:
        column = self._entity.columns.get(name)
        if column is None:
            if name == "history":
                return self.history()
            raise self._entity.unknown_field(name)
        if column.kind == "ref":
            return self._reference(column)
        row = self._row
        if row is None:
            return None
        cell = row[column.index]
        if cell is None:
            return None
        if self._entity.decoders[column.index] is None:
            return cell
        value = self._entity.stored(column, cell)
        if column.target:
            value = self._entity.target(column).find_many(value)
        self._cells[name] = value
        return value

    def _reference(self, column: Column) -> Record | None:
        held = self._held_reference(column)
        if held is None or isinstance(held, Record):
            return held
        number = to_id(held)
        found = None if number is None else self._entity.target(column).find(number)
        if found is not None:
            if self._refs is None:
                self._refs = {}
            self._refs[column.name] = found
        return found

    def _held_reference(self, column: Column) -> Value:
        """The record or id that a reference field holds, without loading it."""
        if self._refs is not None and column.name in self._refs:
            return self._refs[column.name]
        return None if self._row is None else self._row[column.index]

    def flin_set(self, name: str, value: Value) -> None:
        """Assign a declared field; FL507 for auto fields and old versions, FL511 unknown."""
        column = self._entity.columns.get(name)
        if column is None:
            raise self._entity.unknown_field(name)
        if column.field is None:
            raise RuntimeFault(f"`{name}` of `{self.entity}` is set by `save`", code="FL507")
        if self._snapshot:
            raise RuntimeFault(
                f"this is an old version of `{self.entity}`",
                code="FL507",
                hint="change the current record and save it",
            )
        self._assign(column, value)

    def _assign(self, column: Column, value: Value) -> None:
        if column.kind == "ref":
            if self._refs is None:
                self._refs = {}
            self._refs[column.name] = value
        else:
            self._cells[column.name] = value

    def flin_call(self, name: str, args: tuple[Value, ...], named: Mapping[str, Value]) -> Value:
        """`history()`, `to_map()` and `version_at(reference)`; FL505 for anything else."""
        if not named:
            if name == "history" and not args:
                return self.history()
            if name == "to_map" and not args:
                return self.to_map()
            if name == "version_at" and len(args) == 1:
                return self.version_at(args[0])
        raise RuntimeFault(
            f"`{self.entity}` records have no method `{name}` that takes these arguments",
            code="FL505",
            hint=suggest(name, ("history", "to_map")),
        )

    # --- versions ----------------------------------------

    def history(self) -> list[Record]:
        """Every version that was saved, oldest first, as read-only records."""
        return [] if self.id is None else history.versions(self._entity, self.id)

    def version_at(self, reference: Value) -> Record | None:
        """`record@reference`: the version as a read-only record, or None.

        Args:
            reference: -1 is the version before this one, 2 is version 2; a time, or ISO 8601
                text, is the version that was current then.

        Raises:
            RuntimeFault: FL513, the reference is none of these.
        """
        return history.version_at(self._entity, self, reference)

    # --- JSON shape ----------------------------------------

    def to_map(self, *, hidden: bool = False) -> dict[str, Value]:
        """Its fields in declaration order, `id` first, auto fields last.

        Args:
            hidden: Keep `@hidden` fields.
        """
        return self._to_map(hidden, ())

    def _to_map(self, hidden: bool, parents: tuple[Record, ...]) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for name, column in self._entity.columns.items():
            if column.field is not None and column.field.hidden and not hidden:
                continue
            if column.kind == "ref" or column.target:
                result[name] = self._reference_to_map(column, hidden, (*parents, self))
                continue
            value = self.flin_get(name)
            if value is None and name == "deleted_at":
                continue
            result[name] = value
        return result

    def _reference_to_map(self, column: Column, hidden: bool, parents: tuple[Record, ...]) -> Value:
        embedded = column.name in self._embedded
        if column.kind == "ref":
            held = self._reference(column) if embedded else self._held_reference(column)
            if held is None and embedded:
                held = self._held_reference(column)
            return self._item_to_map(held, embedded, hidden, parents)
        items = self.flin_get(column.name) if embedded or column.name in self._cells else None
        if items is None:
            return self._stored_list(column)
        if not isinstance(items, list):
            return items
        return [self._item_to_map(item, embedded, hidden, parents) for item in items]

    def _stored_list(self, column: Column) -> Value:
        cell = None if self._row is None else self._row[column.index]
        return None if cell is None else self._entity.stored(column, cell)

    @staticmethod
    def _item_to_map(
        item: Value, embedded: bool, hidden: bool, parents: tuple[Record, ...]
    ) -> Value:
        if not isinstance(item, Record):
            return item
        return item._to_map(hidden, parents) if embedded and item not in parents else item.id


class Entity:
    """One entity of the program: the handle that `Notification` in FLIN evaluates to.

    Attributes:
        name: As declared.
        table: Its columns and SQL text.
        columns: Column by field name, in row order.
    """

    def __init__(self, table: Table, store: Store) -> None:
        self.name = table.name
        self.table = table
        self.columns = table.columns
        self.store = store
        self.decoders = [decoder(column) for column in table.columns.values()]
        self._database = store.database
        self._commit = store.group
        self._fields = [
            (column, column.field, encoder(column.field))
            for column in table.columns.values()
            if column.field is not None
        ]
        self._references = [column for column, _, _ in self._fields if column.kind == "ref"]
        self._insert = table.insert()
        self._update = table.update()
        name = quote(table.name)
        self.select = f"SELECT {table.select_list} FROM {name}"
        self._find = f"{self.select} WHERE id = ? AND deleted_at IS NULL"
        self._exists = f"SELECT 1 FROM {name} WHERE id = ? AND deleted_at IS NULL"
        self._delete = f"UPDATE {name} SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL"
        self._restore = f"UPDATE {name} SET deleted_at = NULL WHERE id = ?"
        self._destroy = f"DELETE FROM {name} WHERE id = ?"
        self._destroy_history = f"DELETE FROM {table.history} WHERE id = ?"
        self._archive = f"INSERT INTO {table.history} VALUES (?, ?, ?, ?)"
        self._names = tuple(table.columns)
        self.statements: dict[tuple[object, ...], str] = {}  # texts of queries

    def __repr__(self) -> str:
        return f"<entity {self.name}>"

    # --- EntityHandle ----------------------------------------

    def find(self, id: Value) -> Record | None:
        """The live record with this id (an int, or text that parses as one), or None."""
        number = id if type(id) is int else to_id(id)
        if number is None:
            return None
        try:
            rows = self.rows(self._find, (number,))
        except OverflowError:
            return None
        return Record(self, rows[0]) if rows else None

    def find_many(self, ids: Sequence[int]) -> list[Record]:
        """Live records with these ids, in the order of the ids."""
        if not ids:
            return []
        marks = ", ".join("?" * len(ids))
        sql = f"{self.select} WHERE id IN ({marks}) AND deleted_at IS NULL"
        found = {row[0]: Record(self, row) for row in self.rows(sql, tuple(ids))}
        return [found[number] for number in ids if number in found]

    def construct(self, fields: Mapping[str, Value], spread: tuple[Value, ...] = ()) -> Record:
        """An unsaved record.

        Args:
            fields: Named fields; each must be declared.
            spread: Maps or records of which only declared fields are copied, earlier ones first;
                named fields win. None is skipped.

        Raises:
            RuntimeFault: FL511 for an unknown or an auto field, FL501 for a spread that is no map.
        """
        record = Record(self, None)
        given = set(fields)
        for name, value in fields.items():
            column = self.columns.get(name)
            if column is None or column.field is None:
                raise self.unknown_field(name)
            record._assign(column, value)
        for source in reversed(spread):
            for name, value in self._spread(source):
                if name not in given:
                    given.add(name)
                    record._assign(self.columns[name], value)
        for column, spec, _ in self._fields:
            if column.name not in given and spec.default is not None:
                record._assign(column, spec.default())
        return record

    def _spread(self, source: Value) -> Iterable[tuple[str, Value]]:
        if source is None:
            return ()
        if isinstance(source, Record):
            names = [name for name, column in source._entity.columns.items() if column.field]
            pairs: Iterable[tuple[str, Value]] = [(name, source.flin_get(name)) for name in names]
        elif isinstance(source, dict):
            pairs = source.items()
        else:
            raise RuntimeFault("expected a map after `...`", code="FL501")
        columns = self.columns
        return [(k, v) for k, v in pairs if k in columns and columns[k].field is not None]

    def prepare(self, template: tuple[Any, ...]) -> Callable[[tuple[Value, ...]], Query]:
        """A `where` condition as a function from its parameters to a query."""
        condition = Template(self.table, template)
        return lambda params: Query(self, conditions=((condition, params),))

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
                f"the database {self._database.path} is damaged: "
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

    def save(self, record: Record) -> None:
        """Insert or update; sets id, version and times on the record.

        Raises:
            ValidationFault: Fields are not valid: all of them, the first message of each.
            UniqueFault: A `@unique` value belongs to another live record.
            ConflictFault: The record was changed, deleted or destroyed since it was read.
            RuntimeFault: FL510, it is an old version.
        """
        if record._snapshot:
            raise RuntimeFault(
                f"an old version of `{self.name}` cannot be saved",
                code="FL510",
                hint="copy its fields to the current record",
            )
        cells = self._encode(record)
        old = record._row
        now = self.store.clock_ms()
        self._commit.writing(functools.partial(setattr, record, "_row", old))
        self._check_references(cells, old)
        try:
            if old is None:
                self._database.execute(self._insert, (*cells, now, now))
                record._row = (self._database.last_id(), *cells, now, now, None, 1)
                return
            id, version, deleted = old[0], old[-1], old[-2]
            self._database.execute(self._update, (*cells, now, version + 1, id, version, deleted))
        except UniqueViolation as violation:
            raise UniqueFault({violation.column: _TAKEN}) from None
        if not self._database.changes():
            raise ConflictFault(f"`{self.name}` {id} was changed since it was read")
        data = msgpack.packb(dict(zip(self._names, old, strict=True)))
        self._database.execute(self._archive, (id, version, old[-3], data))
        record._row = (id, *cells, old[-_AUTO_TAIL], now, deleted, version + 1)

    def _encode(self, record: Record) -> list[Stored]:
        """Cells of the declared fields; puts coerced values back into the record."""
        cells: list[Stored] = []
        faults: dict[str, str] = {}
        row = record._row
        assigned = record._cells
        for column, spec, encode in self._fields:
            name = column.name
            if name in assigned:
                value = assigned[name]
            elif column.kind == "ref":
                value = record._held_reference(column)
            else:  # unchanged since it was read
                cells.append(None if row is None else row[column.index])
                if spec.required and cells[-1] is None:
                    faults[name] = _REQUIRED
                continue
            try:
                cells.append(self._encode_one(record, column, spec, encode, value))
            except FieldFault as fault:
                faults[name] = str(fault)
        if faults:
            raise ValidationFault(faults)
        return cells

    def _encode_one(
        self,
        record: Record,
        column: Column,
        spec: FieldSpec,
        encode: Callable[[Value], Stored],
        value: Value,
    ) -> Stored:
        if value is None or (spec.required and value == ""):
            if spec.required:
                raise FieldFault(_REQUIRED)
            return None
        cell = encode(value)
        if column.kind == "ref":
            if not isinstance(value, Record):
                value = cell
        elif column.kind == "time":
            value = value if isinstance(value, Time) else Time.parse(value)
        elif self.decoders[column.index] is None:
            value = cell
        record._assign(column, value)
        if spec.checks:
            for check in spec.checks:
                message = check(value)
                if message is not None:
                    raise FieldFault(message)
        return cell

    def _check_references(self, cells: Sequence[Stored], old: Row | None) -> None:
        faults: dict[str, str] = {}
        for column in self._references:
            cell = cells[column.index - 1]
            if cell is None or (old is not None and old[column.index] == cell):
                continue
            target = self.target(column)
            if not self.rows(target._exists, (cell,)):
                faults[column.name] = f"must be the id of a {target.name}"
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
        self._commit.writing(functools.partial(setattr, record, "_row", row))
        self._database.execute(self._delete, (now, row[0]))
        if row[-2] is None:
            record._row = (*row[:-2], now, row[-1])

    def restore(self, record: Record) -> None:
        """Undo a soft delete; nothing happens to a live record.

        Raises:
            UniqueFault: Another live record took a `@unique` value meanwhile.
            ConflictFault: The record was destroyed.
            RuntimeFault: FL510, it was never saved or is an old version.
        """
        row = self._stored_row(record, "restore")
        self._commit.writing(functools.partial(setattr, record, "_row", row))
        try:
            self._database.execute(self._restore, (row[0],))
        except UniqueViolation as violation:
            raise UniqueFault({violation.column: _TAKEN}) from None
        if not self._database.changes():
            raise ConflictFault(f"`{self.name}` {row[0]} was destroyed")
        record._row = (*row[:-2], None, row[-1])

    def destroy(self, record: Record) -> None:
        """Remove the record and its history; nothing happens when it is gone already.

        Raises:
            RuntimeFault: FL510, it was never saved or is an old version.
        """
        row = self._stored_row(record, "destroy")
        self._commit.writing(None)
        self._database.execute(self._destroy, (row[0],))
        self._database.execute(self._destroy_history, (row[0],))

    def snapshot(self, row: Row) -> Record:
        """A read-only record of an old version."""
        record = Record(self, row)
        record._snapshot = True
        return record
