"""Brings a database to the declared entities: compares with what is stored, then changes it.

The table `_flin_schema` keeps each entity's fields as JSON. Changes that cannot lose data are made
when the store opens, in one transaction: new entities and fields, new and dropped indexes, dropped
fields and entities that hold nothing, and type changes that every stored value survives. Anything
else stops with a SchemaError whose plan says, step by step, what needs a decision.

`migrate` makes the decisions of its caller: entities and fields to rename and things to drop.
`plan` tells what would happen and changes nothing.

Defaults are program code, which can only run once the store is open and the program bound to it.
So a new field with a default is marked, and `backfill` gives the old records their value later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgpack
import msgspec
from msgspec import Struct

from flinfast.errors import SchemaError
from flinfast.store.codec import FieldFault, encoder
from flinfast.store.compare import Steps, Stored, compare, compare_indexes, index_names
from flinfast.store.engine import SchemaDatabase
from flinfast.store.schema import (
    TABLE_PREFIX,
    EntitySpec,
    FieldSpec,
    Table,
    check_specs,
    quote,
)
from flinfast.store.schema import Stored as StoredCell

COMMAND: Final = "flinfast db migrate"
# Old versions rewritten per statement when a field is renamed.
BATCH: Final = 500


class Schema(Struct, frozen=True):
    """An up-to-date database.

    Attributes:
        tables: By entity.
        unfilled: (entity, field) of new fields whose old records still lack the default.
    """

    tables: dict[str, Table]
    unfilled: tuple[tuple[str, str], ...]


class Plan(Struct, frozen=True):
    """What `migrate` with the same arguments would do.

    Attributes:
        changes: A sentence per change.
        decisions: A sentence per step that could lose data and has not been decided.
        command: The command that decides them, "" without any (or when no option helps).
    """

    changes: tuple[str, ...]
    decisions: tuple[str, ...] = ()
    command: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether database and entities agree."""
        return not self.changes and not self.decisions


def open_schema(database: SchemaDatabase, entities: Sequence[EntitySpec]) -> Schema:
    """Check the declarations and apply harmless changes.

    Raises:
        SchemaError: Declarations that cannot be stored, a database of a newer version or of
            another program, or a change that could lose data.
    """
    return migrate(database, entities)


def migrate(
    database: SchemaDatabase,
    entities: Sequence[EntitySpec],
    *,
    renames: Mapping[str, str] | None = None,
    drops: Collection[str] = (),
) -> Schema:
    """The same with the caller's decisions, in one transaction.

    Args:
        database: An open connection without a transaction.
        entities: What the program declares.
        renames: "Entity.old" to the new name of a field, or "Old" to the new name of an entity.
        drops: "Entity.field" or "Entity" whose data may be lost.

    Raises:
        SchemaError: See `open_schema`; also for a rename that does not fit.
    """
    with _schema_change(database, keep=True):
        schema, _ = _apply(database, entities, renames or {}, drops)
    return schema


def plan(
    database: SchemaDatabase,
    entities: Sequence[EntitySpec],
    *,
    renames: Mapping[str, str] | None = None,
    drops: Collection[str] = (),
) -> Plan:
    """What `migrate` would do; it is tried and taken back.

    Raises:
        SchemaError: Declarations or renames that cannot be, or a database that is not ours.
    """
    with _schema_change(database, keep=False):
        try:
            _, changes = _apply(database, entities, renames or {}, drops)
        except SchemaError as error:
            if not error.plan:
                raise
            return Plan((), error.plan, error.command)
    return Plan(tuple(changes))


@contextlib.contextmanager
def _schema_change(database: SchemaDatabase, *, keep: bool) -> Iterator[None]:
    database.begin_schema()
    try:
        yield
    except BaseException:
        database.end_schema(keep=False)
        raise
    database.end_schema(keep=keep)


def _apply(
    database: SchemaDatabase,
    entities: Sequence[EntitySpec],
    renames: Mapping[str, str],
    drops: Collection[str],
) -> tuple[Schema, list[str]]:
    """Change everything; the schema and a sentence per change."""
    check_specs(entities)
    database.check_format()
    for statement in database.own_tables:
        database.execute(statement)
    renamed = _rename(database, renames)
    tables = {spec.name: Table(spec, database.dialect) for spec in entities}
    stored = stored_schema(database)
    steps = compare(database, tables, stored, drops)
    _decided(steps, renames)
    _run(database, steps)
    unfilled = _unfilled(tables, stored)
    indexes = Steps(drops)
    compare_indexes(database, tables, indexes)
    if indexes.plan:
        raise SchemaError("`@unique` does not hold for the stored data", plan=indexes.plan)
    _run(database, indexes)
    for name, table in tables.items():
        _store(database, name, table, unfilled)
    created = tables.keys() - stored.keys()
    changes = [
        line
        for line in indexes.changes
        if not any(f"`{name}." in line for name in created)  # part of creating the entity
    ]
    return Schema(tables, unfilled), [*renamed, *steps.changes, *changes]


def _run(database: SchemaDatabase, steps: Steps) -> None:
    for sql, values in steps.statements:
        database.execute(sql, values)


def _decided(steps: Steps, renames: Mapping[str, str]) -> None:
    """Stop unless every step that could lose data is decided."""
    if not steps.plan:
        return
    options = [f"--rename {old}={new}" for old, new in renames.items()]
    options += [f"--drop {name}" for name in steps.drops]
    options += steps.options
    raise SchemaError(
        "the stored data does not fit the entities any more",
        plan=steps.plan,
        command=f"{COMMAND} {' '.join(dict.fromkeys(options))}",
    )


def _unfilled(
    tables: Mapping[str, Table], stored: Mapping[str, Stored]
) -> tuple[tuple[str, str], ...]:
    """Fields with a default that are new in an old table, or were left unfilled before."""
    return tuple(
        (name, spec.name)
        for name, table in tables.items()
        if name in stored
        for spec in table.fields
        if spec.default is not None
        and (spec.name not in stored[name] or stored[name][spec.name].get("fill"))
    )


def backfill(database: SchemaDatabase, schema: Schema) -> None:
    """Give old records the defaults of fields that are new, in one transaction.

    Raises:
        SchemaError: A default does not fit its field.
        StoreError: The database refused.
    """
    with _schema_change(database, keep=True):
        for name, field_name in schema.unfilled:
            table = schema.tables[name]
            spec = next(spec for spec in table.fields if spec.name == field_name)
            cell = _default_cell(table, spec)
            column = quote(field_name)
            if cell is not None:
                database.execute(
                    f"UPDATE {quote(name)} SET {column} = ? WHERE {column} IS NULL", (cell,)
                )
        for name in {name for name, _ in schema.unfilled}:
            _store(database, name, schema.tables[name], ())


def _default_cell(table: Table, spec: FieldSpec) -> StoredCell:
    assert spec.default is not None
    value = spec.default()
    if value is None:
        return None
    try:
        return encoder(spec)(value)
    except FieldFault as fault:
        raise SchemaError(f"the default of `{table.name}.{spec.name}` {fault}") from None


# --- stored declarations ----------------------------------------


def stored_schema(database: SchemaDatabase) -> dict[str, Stored]:
    """Fields by entity, as the database has them."""
    rows = database.query("SELECT entity, fields FROM _flin_schema ORDER BY entity")
    return {name: msgspec.json.decode(text) for name, text in rows}


def _store(
    database: SchemaDatabase, name: str, table: Table, unfilled: Collection[tuple[str, str]]
) -> None:
    fields = {
        spec.name: _stored_form(spec) | ({"fill": True} if (name, spec.name) in unfilled else {})
        for spec in table.fields
    }
    database.execute(
        "INSERT INTO _flin_schema VALUES (?, ?) ON CONFLICT (entity) DO UPDATE "
        "SET fields = excluded.fields WHERE _flin_schema.fields <> excluded.fields",
        (name, msgspec.json.encode(fields).decode()),
    )


def _stored_form(spec: FieldSpec) -> dict[str, Any]:
    form: dict[str, Any] = {"type": spec.type, "target": spec.target}
    return form | {"variants": spec.variants} if spec.type == "enum" else form


# --- renames ----------------------------------------


def _rename(database: SchemaDatabase, renames: Mapping[str, str]) -> list[str]:
    """Rename entities, then fields; a sentence for each."""
    done = []
    for old, new in sorted(renames.items(), key=lambda item: "." in item[0]):
        stored = stored_schema(database)
        entity, dot, field = old.partition(".")
        if dot:
            _rename_field(database, stored.get(entity, {}), entity, field, new)
        else:
            _rename_entity(database, stored, old, new)
        done.append(f"rename {'field' if dot else 'entity'} `{old}` to `{new}`")
    return done


def _cannot_rename(old: str, new: str) -> SchemaError:
    return SchemaError(
        f"cannot rename `{old}` to `{new}`: nothing stored has the old name, or the new one is "
        "taken"
    )


def _drop_indexes(database: SchemaDatabase, names: Collection[str]) -> None:
    """Indexes have names made from their fields; the right ones are made afterwards."""
    for name in names:
        database.execute(f"DROP INDEX {quote(name)}")


def _rename_field(
    database: SchemaDatabase, fields: Stored, entity: str, old: str, new: str
) -> None:
    if old not in fields or new in fields or not new.isidentifier():
        raise _cannot_rename(f"{entity}.{old}", new)
    _drop_indexes(database, index_names(database, entity, old))
    database.execute(f"ALTER TABLE {quote(entity)} RENAME COLUMN {quote(old)} TO {quote(new)}")
    _rename_in_history(database, quote(f"{TABLE_PREFIX}history_{entity}"), old, new)
    fields = {new if name == old else name: kind for name, kind in fields.items()}
    _put_fields(database, entity, fields)


def _rename_in_history(database: SchemaDatabase, history: str, old: str, new: str) -> None:
    """Old versions are maps of names to cells: they get the new name as well."""
    place = 0
    sql = f"SELECT place, data FROM {history} WHERE place > ? ORDER BY place LIMIT {BATCH}"
    while rows := database.query(sql, (place,)):
        for place, data in rows:
            cells: dict[str, Any] = msgpack.unpackb(data)
            if old in cells:
                cells[new] = cells.pop(old)
                sql_update = f"UPDATE {history} SET data = ? WHERE place = ?"
                database.execute(sql_update, (msgpack.packb(cells), place))


def _rename_entity(database: SchemaDatabase, stored: dict[str, Stored], old: str, new: str) -> None:
    if old not in stored or new in stored or not new.isidentifier():
        raise _cannot_rename(old, new)
    ours = [name for name, owner in database.indexes() if owner == old]
    _drop_indexes(database, [name for name in ours if name.startswith(TABLE_PREFIX)])
    for prefix in ("", f"{TABLE_PREFIX}history_"):
        before, after = quote(prefix + old), quote(prefix + new)
        database.execute(f"ALTER TABLE {before} RENAME TO {after}")
    database.execute("UPDATE _flin_schema SET entity = ? WHERE entity = ?", (new, old))
    stored[new] = stored.pop(old)
    for entity, fields in stored.items():
        if any(kind["target"] == old for kind in fields.values()):
            changed = {
                name: {**kind, "target": new} if kind["target"] == old else kind
                for name, kind in fields.items()
            }
            _put_fields(database, entity, changed)


def _put_fields(database: SchemaDatabase, entity: str, fields: Stored) -> None:
    database.execute(
        "UPDATE _flin_schema SET fields = ? WHERE entity = ?",
        (msgspec.json.encode(fields).decode(), entity),
    )
