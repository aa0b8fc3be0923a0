"""Records: the row one was read from, plus the values assigned since; a FlinObject.

Records are values: changing one changes no other, until it is saved. References hold an id.
Reading one loads the live record, once; a reference to a record that was deleted or destroyed
reads as none but keeps its id. In JSON a reference is its id, unless the query said
`.with(field)`: reading a reference must not change what a route answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from flinfast.errors import RuntimeFault
from flinfast.store import history
from flinfast.store.codec import to_id
from flinfast.store.quick import QuickRecord
from flinfast.store.schema import Column, Value, suggest


class Record(QuickRecord):
    """One record of an entity; a FlinObject.

    Attributes:
        entity: Name of its entity.
        id: None until it is first saved.
    """

    __slots__ = ()

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
            and self.entity == other.entity
            and bool(self._row[0] == other._row[0])
        )

    def __hash__(self) -> int:
        return hash((self._entity.name, self.id))

    def __repr__(self) -> str:
        return f"<{self.entity} {self.id}>"

    # --- FlinObject ----------------------------------------

    def _load(self, name: str) -> Value:
        """flin_get() of what was not assigned or read before."""
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
            self._lists = {**(self._lists or {}), name: [record.id for record in value]}
        if column.kind in ("list", "map", "any"):  # changes made in place must be saved
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
            return
        if column.target and hasattr(value, "rows"):
            value = value.rows()  # a query: the field holds the records there are now
        if column.target and isinstance(value, (list, tuple)):
            value = self._entity.target(column).resolve(value)
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
