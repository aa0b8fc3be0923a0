"""Versions of records: what every save replaced, and how to read it back.

The history table of an entity is only appended to: one row per version that a later save replaced,
`(place, previous, id, version, updated_at, data)`. `previous` is the place of the version before,
and the record's `_flin_history` column the place of the newest one, so that no index has to be
kept: an index on the record's id would cost every save a page of its own. `data` is the
MessagePack map of column name to cell: versions written before a field was added or dropped can
still be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from flinfast.errors import RuntimeFault, StoreError
from flinfast.store.schema import Row, Table, Value, quote
from flinfast.values import Time

if TYPE_CHECKING:
    from flinfast.store.entity import Entity
    from flinfast.store.record import Record


def _chain(table: Table) -> str:
    """Common table expression: the old versions of record `?`, newest first."""
    columns = "place, previous, version, updated_at, data"
    return (
        f"WITH RECURSIVE chain ({columns}) AS (SELECT {columns} FROM {table.history} "
        f"WHERE place = (SELECT _flin_history FROM {quote(table.name)} WHERE id = ?) UNION ALL "
        f"SELECT {', '.join(f'h.{name.strip()}' for name in columns.split(','))} "
        f"FROM chain JOIN {table.history} AS h ON h.place = chain.previous) "
    )


def destroy_statement(table: Table) -> str:
    """DELETE of all old versions of record `?`, which must still exist."""
    return f"{_chain(table)} DELETE FROM {table.history} WHERE place IN (SELECT place FROM chain)"


def versions(entity: Entity, id: int) -> list[Record]:
    """Every version of a record, deleted ones included, oldest first; empty when destroyed."""
    past = entity.rows(f"{_chain(entity.table)} SELECT data FROM chain ORDER BY version", (id,))
    rows = [_row(entity, data) for (data,) in past]
    rows += _current(entity, id)
    return [entity.snapshot(row) for row in rows]


def version_at(entity: Entity, record: Record, reference: Value) -> Record | None:
    """See `Record.version_at`."""
    id, version = record.id, record.version
    if isinstance(reference, str):
        try:
            reference = Time.parse(reference)
        except ValueError:
            raise _bad_reference(reference) from None
    if isinstance(reference, Time):
        return None if id is None else _at_time(entity, id, reference.ms)
    if not isinstance(reference, int) or isinstance(reference, bool):
        raise _bad_reference(reference)
    if id is None or version is None:
        return None
    return _at_version(entity, id, reference if reference >= 0 else version + reference)


def _bad_reference(reference: Value) -> RuntimeFault:
    return RuntimeFault(
        f"expected a version number, a time or ISO 8601 text after `@`, got {reference!r:.40}",
        code="FL504",
    )


def _at_version(entity: Entity, id: int, version: int) -> Record | None:
    if version < 1:
        return None
    sql = f"{_chain(entity.table)} SELECT data FROM chain WHERE version = ? LIMIT 1"
    try:
        past = entity.rows(sql, (id, version))
    except OverflowError:
        return None
    if past:
        return entity.snapshot(_row(entity, past[0][0]))
    current = _current(entity, id)
    return entity.snapshot(current[0]) if current and current[0][-1] == version else None


def _at_time(entity: Entity, id: int, ms: int) -> Record | None:
    """The highest version that was saved at or before `ms`."""
    current = _current(entity, id)
    if current and current[0][-3] <= ms:
        return entity.snapshot(current[0])
    sql = f"{_chain(entity.table)} SELECT data FROM chain WHERE updated_at <= ? LIMIT 1"
    past = entity.rows(sql, (id, ms))
    return entity.snapshot(_row(entity, past[0][0])) if past else None


def _current(entity: Entity, id: int) -> list[Row]:
    return entity.fetch(f"{entity.select} WHERE {quote('id')} = ?", (id,))


def _row(entity: Entity, data: bytes) -> Row:
    try:
        cells: dict[str, Any] = msgpack.unpackb(data)
        return tuple(cells.get(name) for name in entity.columns)
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise StoreError(
            f"the history of `{entity.name}` in the database is damaged ({error})"
        ) from error
