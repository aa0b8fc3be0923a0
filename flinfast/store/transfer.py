"""Records out of a store and into one, whole: ids, times, versions, deleted records, history.

What travels are `Item`s, whose cells look the same on every engine. Exports (transfer_json.py,
transfer_csv.py) write them to files; `copy` hands them from one store to another. Checks of fields
do not run, types do; loading is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from flinfast.errors import SchemaError, StoreError
from flinfast.store.base import BaseStore
from flinfast.store.codec import INT_MAX, INT_MIN, FieldFault, decoder, encoder
from flinfast.store.engine import UniqueViolation
from flinfast.store.entity import Entity
from flinfast.store.schema import Column, Row, quote, suggest

BATCH: Final = 500  # records read per statement

Progress = Callable[[int, int], None]  # (records done, records in all)


@dataclass(frozen=True, slots=True)
class Item:
    """One record.

    Attributes:
        entity: Name of its entity.
        cells: By column name: id, declared fields, created_at, updated_at, deleted_at, version.
        past: Old versions in the same form, oldest first.
    """

    entity: str
    cells: Mapping[str, Any]
    past: tuple[Mapping[str, Any], ...] = ()


def count(store: BaseStore, names: Iterable[str] | None = None) -> int:
    """Records in all, deleted ones included."""
    total = 0
    for name in store.entities if names is None else names:
        total += store.entities[name].rows(f"SELECT COUNT(*) FROM {quote(name)}", ())[0][0]
    return total


def dump(
    store: BaseStore, names: Sequence[str] | None = None, *, history: bool = True
) -> Iterator[Item]:
    """Every record, entity by entity, in id order; inside a transaction they are of one moment."""
    for name in names if names is not None else list(store.entities):
        entity = store.entities[name]
        sql = f"{entity.select} WHERE id > ? ORDER BY id LIMIT {BATCH}"
        last = _FIRST_ID
        while rows := entity.fetch(sql, (last,)):
            past = _past(entity, rows) if history else {}
            for row in rows:
                cells = dict(zip(entity.columns, row, strict=True))
                yield Item(name, cells, tuple(past.get(row[0], ())))
            last = rows[-1][0]


_FIRST_ID: Final = -(1 << 63)  # below every id


def _past(entity: Entity, rows: Sequence[Row]) -> dict[int, list[Mapping[str, Any]]]:
    """Old versions of some records by id."""
    ids = [row[0] for row in rows if row[-1] > 1]
    found: dict[int, list[Mapping[str, Any]]] = {}
    if not ids:
        return found
    history, names = entity.table.history, ("place", "previous", "id", "version", "data")
    columns = ", ".join(f"h.{name}" for name in names)
    sql = (
        f"WITH RECURSIVE chain ({', '.join(names)}) AS (SELECT {columns} "
        f"FROM {quote(entity.name)} AS r JOIN {history} AS h ON h.place = r._flin_history "
        f"WHERE r.id BETWEEN ? AND ? UNION ALL SELECT {columns} FROM chain "
        f"JOIN {history} AS h ON h.place = chain.previous) "
        "SELECT id, data FROM chain ORDER BY id, version"
    )
    for id, data in entity.rows(sql, (ids[0], ids[-1])):
        cells: dict[str, Any] = msgpack.unpackb(data)
        found.setdefault(id, []).append({name: cells.get(name) for name in entity.columns})
    return found


class Loader:
    """Puts items into a store, in the transaction of the caller.

    Args:
        store: An open store.
        replace: Records that have an id of an item make room for it; otherwise they are an error.
    """

    def __init__(self, store: BaseStore, *, replace: bool = False) -> None:
        self._store = store
        self._replace = replace
        self._highest: dict[str, int] = {}
        self.count = 0

    def add(self, item: Item) -> None:
        """Insert a record.

        Raises:
            StoreError: Its id or a `@unique` value is taken.
            SchemaError: The program has no such entity or field, or a cell does not fit it.
        """
        entity = self._entity(item.entity)
        row = _checked_row(entity, item.cells)
        id = row[0]
        database = self._store.database
        self._store.group.writing(None)
        if self._replace:
            database.execute(entity.destroy_history_sql, (id,))
            database.execute(entity.destroy_sql, (id,))
        place = None
        for cells in item.past:
            place = database.append_history(
                entity.table, place, _checked_row(entity, cells, past=True)
            )
        try:
            database.insert_whole(entity.table, row, place)
        except UniqueViolation as violation:
            column = violation.column
            raise StoreError(
                f"`{entity.name}.{column}` {item.cells[column]!r:.60} is taken already: "
                "import into an empty database, or give --replace"
            ) from None
        self._highest[entity.name] = max(self._highest.get(entity.name, 0), id)
        self.count += 1

    def finish(self) -> None:
        """New records get ids above those that were loaded."""
        for name, id in self._highest.items():
            self._store.database.continue_ids(self._store.entities[name].table, id)

    def _entity(self, name: str) -> Entity:
        entity = self._store.entities.get(name)
        if entity is None:
            hint = suggest(name, self._store.entities)
            raise SchemaError(f"the program has no entity `{name}`" + (f": {hint}" if hint else ""))
        return entity


def _checked_row(entity: Entity, cells: Mapping[str, Any], *, past: bool = False) -> Row:
    """Cells in row order, each of its column's type.

    Args:
        entity: What the record belongs to.
        cells: By column name.
        past: It is an old version, whose values may have been possible only then.

    Raises:
        SchemaError: A name is unknown, an auto field is missing, or a cell has the wrong type.
    """
    for name in cells:
        if name not in entity.columns:
            hint = suggest(name, entity.columns)
            raise SchemaError(
                f"`{entity.name}` has no field `{name}`" + (f": {hint}" if hint else "")
            )
    columns = entity.columns.values()
    return tuple(_checked(entity, column, cells.get(column.name), past=past) for column in columns)


def _checked(entity: Entity, column: Column, cell: Any, *, past: bool) -> Any:
    if cell is None:
        if column.field is None and column.name != "deleted_at":
            raise SchemaError(f"a record of `{entity.name}` has no `{column.name}`")
        return None
    try:
        if isinstance(cell, int) and not INT_MIN <= cell <= INT_MAX:
            raise FieldFault("must fit in 64 bits")
        if isinstance(cell, str):
            cell.encode()  # old versions are packed as they are, and must not have lone surrogates
        decode = decoder(column)
        value = cell if decode is None else decode(cell)
        if column.field is not None and not past:
            return encoder(column.field)(value)
        is_plain = isinstance(cell, int) and not isinstance(cell, bool)
        if column.field is None and not is_plain:
            raise FieldFault("must be an integer")
        if column.name == "version" and cell < 1:
            raise FieldFault("must be at least 1")
    except (FieldFault, ValueError, TypeError, msgpack.UnpackException) as fault:
        raise SchemaError(
            f"`{entity.name}.{column.name}` of record {cell!r:.40}: {fault}"
        ) from None
    return cell


def copy(source: BaseStore, target: BaseStore, progress: Progress | None = None) -> int:
    """Copy every record and every session into an empty store, in one transaction of each.

    Returns:
        How many records were copied.

    Raises:
        StoreError: The target has records, or an engine refused.
        SchemaError: The stores do not have the same entities.
    """
    if count(target):
        raise StoreError("the target has records already: copy into an empty database")
    with source.transaction(), target.transaction():
        total = count(source)
        loader = Loader(target)
        for item in dump(source):
            loader.add(item)
            if progress is not None:
                progress(loader.count, total)
        loader.finish()
        for id, data, expires_ms in source.sessions.all():
            target.sessions.put(id, data, expires_ms)
    return loader.count
