"""Brings a database to the declared entities: compares with what is stored, then changes it.

The table `_flin_schema` keeps each entity's fields as JSON. Changes that cannot lose data are made
when the store opens, in one transaction: new entities and fields, new and dropped indexes, dropped
fields and entities that hold nothing, and type changes that every stored value survives. Anything
else stops with a SchemaError whose plan says, step by step, what needs a decision.

`migrate` makes the decisions of its caller: fields to rename and things to drop. It keeps a copy
of the database file first.

Defaults are program code, which can only run once the store is open and the program bound to it.
So a new field with a default is marked, and `backfill` gives the old records their value later.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flinfast.errors import SchemaError
from flinfast.store import session
from flinfast.store.codec import FieldFault, encoder
from flinfast.store.schema import (
    TABLE_PREFIX,
    Column,
    EntitySpec,
    FieldSpec,
    Table,
    check_specs,
    quote,
)
from flinfast.store.schema import Stored as StoredCell
from flinfast.store.sqlite import APPLICATION_ID, FORMAT_VERSION, Database

COMMAND: Final = "flinfast db migrate"
SHOWN_MAX: Final = 5  # dropped variants named per field

_SCHEMA_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS _flin_schema (entity TEXT PRIMARY KEY, fields TEXT NOT NULL) "
    "STRICT, WITHOUT ROWID"
)
# Stored type -> types whose cells look the same, so that the column needs no conversion.
_SAME_CELLS: Final[dict[str, frozenset[str]]] = {
    "int": frozenset({"duration"}),
    "duration": frozenset({"int"}),
    "enum": frozenset({"text"}),
    "file": frozenset({"any"}),
    "any": frozenset({"file"}),
}


@dataclass
class _Steps:
    """What the comparison found."""

    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)  # sentences that need a decision
    options: list[str] = field(default_factory=list)  # what to give to COMMAND

    def run(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Add a statement that loses nothing."""
        self.statements.append((sql, values))

    def ask(self, sentence: str, option: str) -> None:
        """Add a step that needs a decision."""
        self.plan.append(sentence)
        self.options.append(option)


@dataclass(frozen=True, slots=True)
class Schema:
    """An up-to-date database.

    Attributes:
        tables: By entity.
        unfilled: (entity, field) of new fields whose old records still lack the default.
    """

    tables: dict[str, Table]
    unfilled: tuple[tuple[str, str], ...]


def open_schema(database: Database, entities: Sequence[EntitySpec]) -> Schema:
    """Check the declarations and apply harmless changes.

    Raises:
        SchemaError: Declarations that cannot be stored, a database of a newer version or of
            another program, or a change that could lose data.
    """
    return migrate(database, entities)


def migrate(
    database: Database,
    entities: Sequence[EntitySpec],
    *,
    renames: Mapping[str, str] | None = None,
    drops: Collection[str] = (),
) -> Schema:
    """The same with the caller's decisions.

    Args:
        database: An open connection without a transaction.
        entities: What the program declares.
        renames: "Entity.old" to "new" name of a field.
        drops: "Entity.field" or "Entity" whose data may be lost.

    Raises:
        SchemaError: See `open_schema`; also for a rename that does not fit.
    """
    check_specs(entities)
    if renames or drops:
        _keep_copy(database)
    database.execute("BEGIN IMMEDIATE")
    try:
        _check_format(database)
        database.execute(_SCHEMA_TABLE)
        for statement in session.CREATE:
            database.execute(statement)
        _rename(database, renames or {})
        steps = _Steps()
        tables = {spec.name: Table(spec) for spec in entities}
        stored = _stored(database)
        for name in stored.keys() - tables.keys():
            _drop_entity(database, name, steps, drops)
        for name, table in tables.items():
            if name not in stored:
                for statement in table.create():
                    steps.run(statement)
            else:
                _compare(database, table, stored[name], steps, drops)
        if steps.plan:
            raise SchemaError(
                "the stored data does not fit the entities any more",
                plan=steps.plan,
                command=f"{COMMAND} {' '.join(dict.fromkeys(steps.options))}",
            )
        for sql, values in steps.statements:
            database.execute(sql, values)
        _indexes(database, tables)
        unfilled = _unfilled(tables, stored)
        for name, table in tables.items():
            _store(database, name, table, unfilled)
    except BaseException:
        if database.in_transaction():
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
    return Schema(tables, unfilled)


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


def backfill(database: Database, schema: Schema) -> None:
    """Give old records the defaults of fields that are new, in one transaction.

    Raises:
        SchemaError: A default does not fit its field.
        StoreError: The database refused.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
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
    except BaseException:
        if database.in_transaction():
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _default_cell(table: Table, spec: FieldSpec) -> StoredCell:
    assert spec.default is not None
    value = spec.default()
    if value is None:
        return None
    try:
        return encoder(spec)(value)
    except FieldFault as fault:
        raise SchemaError(f"the default of `{table.name}.{spec.name}` {fault}") from None


def _keep_copy(database: Database) -> None:
    """Copy the database to `flin-before-<n>.db` beside it."""
    folder = database.path.parent
    number = 1
    while (copy := folder / f"{database.path.stem}-before-{number}.db").exists():
        number += 1
    database.execute("VACUUM INTO ?", (str(copy),))
    copy.chmod(0o600)


def _check_format(database: Database) -> None:
    (application,) = database.query("PRAGMA application_id")[0]
    (version,) = database.query("PRAGMA user_version")[0]
    if application == 0 and version == 0:
        (count,) = database.query("SELECT COUNT(*) FROM sqlite_schema")[0]
        if count:
            raise SchemaError(f"{database.path} is a database of another program")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    elif application != APPLICATION_ID:
        raise SchemaError(f"{database.path} is a database of another program")
    elif version > FORMAT_VERSION:
        raise SchemaError(
            f"{database.path} was written by a newer flinfast (format {version}, "
            f"this one knows {FORMAT_VERSION}): upgrade flinfast"
        )


# --- stored declarations ----------------------------------------

# Field name -> {"type", "target", for an enum "variants", "fill" while `backfill` is due}.
Stored = dict[str, dict[str, Any]]


def _stored(database: Database) -> dict[str, Stored]:
    rows = database.query("SELECT entity, fields FROM _flin_schema")
    return {name: json.loads(text) for name, text in rows}


def _store(
    database: Database, name: str, table: Table, unfilled: Collection[tuple[str, str]]
) -> None:
    fields = {
        spec.name: _stored_form(spec) | ({"fill": True} if (name, spec.name) in unfilled else {})
        for spec in table.fields
    }
    database.execute(
        "INSERT INTO _flin_schema VALUES (?, ?) ON CONFLICT (entity) DO UPDATE "
        "SET fields = excluded.fields WHERE fields <> excluded.fields",
        (name, json.dumps(fields)),
    )


def _stored_form(spec: FieldSpec) -> dict[str, Any]:
    form: dict[str, Any] = {"type": spec.type, "target": spec.target}
    return form | {"variants": spec.variants} if spec.type == "enum" else form


def _rename(database: Database, renames: Mapping[str, str]) -> None:
    stored = _stored(database)
    for source, new in renames.items():
        entity, _, old = source.partition(".")
        fields = stored.get(entity, {})
        if old not in fields or new in fields:
            raise SchemaError(
                f"cannot rename `{source}` to `{new}`: no such stored field, or taken"
            )
        for index in _index_names(database, entity, old):
            database.execute(f"DROP INDEX {quote(index)}")
        database.execute(f"ALTER TABLE {quote(entity)} RENAME COLUMN {quote(old)} TO {quote(new)}")
        fields = {new if name == old else name: kind for name, kind in fields.items()}
        stored[entity] = fields
        database.execute(
            "UPDATE _flin_schema SET fields = ? WHERE entity = ?", (json.dumps(fields), entity)
        )


# --- comparison ----------------------------------------


def _drop_entity(database: Database, name: str, steps: _Steps, drops: Collection[str]) -> None:
    (count,) = database.query(f"SELECT COUNT(*) FROM {quote(name)}")[0]
    if count and name not in drops:
        steps.ask(
            f"entity `{name}` is no longer declared: its {count} records would be dropped",
            f"--drop {name}",
        )
        return
    steps.run(f"DROP TABLE {quote(name)}")
    steps.run(f"DROP TABLE {quote(f'{TABLE_PREFIX}history_{name}')}")
    steps.run("DELETE FROM _flin_schema WHERE entity = ?", (name,))


def _compare(
    database: Database, table: Table, stored: Stored, steps: _Steps, drops: Collection[str]
) -> None:
    gone = [name for name in stored if name not in table.columns]
    new = [spec for spec in table.fields if spec.name not in stored]
    for name in gone:
        _drop_field(database, table, name, stored[name], new, steps, drops)
    for spec in new:
        _add_field(table, spec, steps)
    for spec in table.fields:
        if spec.name in stored:
            _change_field(database, table, spec, stored[spec.name], steps, drops)


def _drop_field(
    database: Database,
    table: Table,
    name: str,
    stored: dict[str, Any],
    new: list[FieldSpec],
    steps: _Steps,
    drops: Collection[str],
) -> None:
    path = f"{table.name}.{name}"
    count = _count(database, table, name)
    if count and path not in drops:
        twins = [spec.name for spec in new if _same_type(spec, stored)]
        rename = f", or keep them with `--rename {path}={twins[0]}`" if twins else ""
        steps.ask(
            f"field `{path}` is no longer declared: its {count} values would be dropped{rename}",
            f"--drop {path}",
        )
        return
    for index in _index_names(database, table.name, name):
        steps.run(f"DROP INDEX {quote(index)}")
    steps.run(f"ALTER TABLE {quote(table.name)} DROP COLUMN {quote(name)}")


def _add_field(table: Table, spec: FieldSpec, steps: _Steps) -> None:
    column = table.columns[spec.name]
    name = quote(table.name)
    steps.run(f"ALTER TABLE {name} ADD COLUMN {quote(spec.name)} {column.sql_type}")


def _change_field(
    database: Database,
    table: Table,
    spec: FieldSpec,
    stored: dict[str, Any],
    steps: _Steps,
    drops: Collection[str],
) -> None:
    old_type, old_target = stored["type"], stored["target"]
    path = f"{table.name}.{spec.name}"
    dropped = set(stored.get("variants", ())) - set(spec.variants)
    if spec.type == "enum" and (old_type == "text" or (old_type == "enum" and dropped)):
        _check_variants(database, table, spec, steps, drops)
    if (old_type, old_target) == (spec.type, spec.target):
        return
    same_cells = spec.type in _SAME_CELLS.get(old_type, ()) and old_target == spec.target
    if same_cells or (old_type == "text" and spec.type == "enum"):
        return
    count = _count(database, table, spec.name)
    column = table.columns[spec.name]
    name, cells = quote(spec.name), quote(f"{TABLE_PREFIX}new")
    convert = f"CAST({name} AS REAL)" if (old_type, spec.type) == ("int", "number") else ""
    if count and convert:
        limit = 1 << 53  # integers beyond this lose digits as 64-bit floats
        sql = f"SELECT COUNT(*) FROM {quote(table.name)} WHERE {name} NOT BETWEEN ? AND ?"
        convert = "" if database.query(sql, (-limit, limit))[0][0] else convert
    if count and not convert and path not in drops:
        steps.ask(
            f"field `{path}` changed from {_shown(old_type, old_target)} to "
            f"{_shown(spec.type, spec.target)}: its {count} values would be dropped",
            f"--drop {path}",
        )
        return
    for index in _index_names(database, table.name, spec.name):
        steps.run(f"DROP INDEX {quote(index)}")
    alter = f"ALTER TABLE {quote(table.name)}"
    steps.run(f"{alter} ADD COLUMN {cells} {column.sql_type}")
    if convert and path not in drops:
        steps.run(f"UPDATE {quote(table.name)} SET {cells} = {convert}")
    steps.run(f"{alter} DROP COLUMN {name}")
    steps.run(f"{alter} RENAME COLUMN {cells} TO {name}")


def _check_variants(
    database: Database, table: Table, spec: FieldSpec, steps: _Steps, drops: Collection[str]
) -> None:
    """Stop at values that are no variant any more, or drop just those."""
    path = f"{table.name}.{spec.name}"
    name = quote(spec.name)
    unknown = f"{name} NOT IN ({', '.join('?' * len(spec.variants))})"  # NULL: not unknown
    if path in drops:
        steps.run(f"UPDATE {quote(table.name)} SET {name} = NULL WHERE {unknown}", spec.variants)
        return
    rows = database.query(
        f"SELECT {name}, COUNT(*) FROM {quote(table.name)} WHERE {unknown} "
        f"GROUP BY 1 ORDER BY 1 LIMIT {SHOWN_MAX}",
        spec.variants,
    )
    for value, count in rows:
        steps.ask(
            f"`{path}` is {value!r} in {count} records, which is no variant of its enum any more",
            f"--drop {path}",
        )


def _same_type(spec: FieldSpec, stored: dict[str, Any]) -> bool:
    return bool(spec.type == stored["type"] and spec.target == stored["target"])


def _shown(type_name: str, target: str) -> str:
    if type_name == "list" and target:
        return f"[{target}]"
    return target or type_name


def _count(database: Database, table: Table, name: str) -> int:
    sql = f"SELECT COUNT({quote(name)}) FROM {quote(table.name)}"
    return int(database.query(sql)[0][0])


# --- indexes ----------------------------------------


def _index_names(database: Database, entity: str, name: str) -> list[str]:
    wanted = {f"{TABLE_PREFIX}{what}_{entity}_{name}" for what in ("unique", "index")}
    rows = database.query(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?", (entity,)
    )
    return [index for (index,) in rows if index in wanted]


def _indexes(database: Database, tables: Mapping[str, Table]) -> None:
    """Make and drop indexes until they are the declared ones; stop at duplicates."""
    rows = database.query(
        "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    )
    present = {name for name, owner in rows if owner in tables}
    wanted: dict[str, tuple[Table, Column]] = {}
    for table in tables.values():
        for column in table.columns.values():
            if column.indexed:
                wanted[table.index_name(column)] = (table, column)
    for name in present - wanted.keys():
        if name.startswith(TABLE_PREFIX):
            database.execute(f"DROP INDEX {quote(name)}")
    plan = []
    for name, (table, column) in wanted.items():
        if name in present:
            continue
        duplicates = _duplicates(database, table, column)
        if duplicates:
            plan.append(duplicates)
        else:
            database.execute(table.create_index(column))
    if plan:
        raise SchemaError("`@unique` does not hold for the stored data", plan=plan)


def _duplicates(database: Database, table: Table, column: Column) -> str:
    if column.field is None or not column.field.unique:
        return ""
    name = quote(column.name)
    rows = database.query(
        f"SELECT COUNT(*), MIN(ids) FROM (SELECT group_concat(id, ', ') AS ids "
        f"FROM {quote(table.name)} WHERE deleted_at IS NULL AND {name} IS NOT NULL "
        f"GROUP BY {name} HAVING COUNT(*) > 1)"
    )
    count, ids = rows[0]
    if not count:
        return ""
    return (
        f"`{table.name}.{column.name}` is `@unique`, but {count} values are shared by live "
        f"records (for example of the records {ids}): change or delete all but one of each"
    )
