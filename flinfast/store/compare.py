"""What has to change in a database so that it fits the declared entities.

Pure comparison: it reads the database and fills `Steps`; migrate.py runs them. A step that could
lose data asks for a decision instead, unless the caller made it already.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from msgspec import Struct, field

from flinfast.store.engine import SchemaDatabase
from flinfast.store.schema import TABLE_PREFIX, Column, FieldSpec, Table, index_name, quote

SHOWN_MAX: Final = 5  # dropped variants named per field
# Integers beyond this lose digits as 64-bit floats.
EXACT_MAX: Final = 1 << 53

# Field name -> {"type", "target", for an enum "variants", "fill" while `backfill` is due}.
Stored = dict[str, dict[str, Any]]

# Stored type -> types whose cells look the same, so that the column needs no conversion.
_SAME_CELLS: Final[dict[str, frozenset[str]]] = {
    "int": frozenset({"duration"}),
    "duration": frozenset({"int"}),
    "enum": frozenset({"text"}),
    "file": frozenset({"any"}),
    "any": frozenset({"file"}),
}


class Steps(Struct):
    """What the comparison found.

    Attributes:
        drops: "Entity.field" or "Entity" whose data may be lost.
        statements: SQL that brings the tables there, with its values.
        changes: What that does, a sentence per step.
        plan: Sentences of steps that need a decision first.
        options: What to give to `flinfast db migrate` for them.
    """

    drops: Collection[str]
    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    def run(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Add a statement."""
        self.statements.append((sql, values))

    def say(self, sentence: str) -> None:
        """Add a line to the description."""
        self.changes.append(sentence)

    def ask(self, sentence: str, option: str) -> None:
        """Add a step that needs a decision."""
        self.plan.append(sentence)
        self.options.append(option)


def compare(
    database: SchemaDatabase,
    tables: Mapping[str, Table],
    stored: Mapping[str, Stored],
    drops: Collection[str],
) -> Steps:
    """Compare declared tables with the stored declarations and data."""
    steps = Steps(drops)
    new = [table for name, table in tables.items() if name not in stored]
    for name in stored.keys() - tables.keys():
        _drop_entity(database, name, stored[name], new, steps)
    for table in new:
        count = len(table.fields)
        steps.say(f"create entity `{table.name}` with {counted(count, 'field')}")
        for statement in table.create():
            steps.run(statement)
    for name, table in tables.items():
        if name in stored:
            _compare(database, table, stored[name], steps)
    return steps


def counted(number: int, noun: str) -> str:
    """Such as "1 field" or "2 fields"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _drop_entity(
    database: SchemaDatabase, name: str, stored: Stored, new: list[Table], steps: Steps
) -> None:
    (count,) = database.query(f"SELECT COUNT(*) FROM {quote(name)}")[0]
    if count and name not in steps.drops:
        twins = [table.name for table in new if _is_twin(table, stored)]
        rename = f", or keep them with `--rename {name}={twins[0]}`" if twins else ""
        steps.ask(
            f"entity `{name}` is no longer declared: its {counted(count, 'record')} "
            f"would be dropped{rename}",
            f"--drop {name}",
        )
        return
    what = f"and its {counted(count, 'record')}" if count else "which has no records"
    steps.say(f"drop entity `{name}` {what}")
    steps.run(f"DROP TABLE {quote(name)}")
    steps.run(f"DROP TABLE {quote(f'{TABLE_PREFIX}history_{name}')}")
    steps.run("DELETE FROM _flin_schema WHERE entity = ?", (name,))


def _is_twin(table: Table, stored: Stored) -> bool:
    """Whether an entity has all the fields of one that is gone."""
    own = {spec.name: (spec.type, spec.target) for spec in table.fields}
    return all(own.get(name) == (kind["type"], kind["target"]) for name, kind in stored.items())


def _compare(database: SchemaDatabase, table: Table, stored: Stored, steps: Steps) -> None:
    gone = [name for name in stored if name not in table.columns]
    new = [spec for spec in table.fields if spec.name not in stored]
    for name in gone:
        _drop_field(database, table, name, stored[name], new, steps)
    for spec in new:
        steps.say(f"add field `{table.name}.{spec.name}` ({_shown(spec.type, spec.target)})")
        steps.run(f"ALTER TABLE {quote(table.name)} ADD COLUMN {_definition(table, spec)}")
    for spec in table.fields:
        if spec.name in stored:
            _change_field(database, table, spec, stored[spec.name], steps)


def _definition(table: Table, spec: FieldSpec, name: str = "") -> str:
    return f"{quote(name or spec.name)} {table.dialect.types[spec.type]}"


def _drop_field(
    database: SchemaDatabase,
    table: Table,
    name: str,
    stored: dict[str, Any],
    new: list[FieldSpec],
    steps: Steps,
) -> None:
    path = f"{table.name}.{name}"
    count = _count(database, table, name)
    if count and path not in steps.drops:
        twins = [spec.name for spec in new if _same_type(spec, stored)]
        rename = f", or keep them with `--rename {path}={twins[0]}`" if twins else ""
        steps.ask(
            f"field `{path}` is no longer declared: its {counted(count, 'value')} "
            f"would be dropped{rename}",
            f"--drop {path}",
        )
        return
    what = f"and its {counted(count, 'value')}" if count else "which holds nothing"
    steps.say(f"drop field `{path}` {what}")
    for index in index_names(database, table.name, name):
        steps.run(f"DROP INDEX {quote(index)}")
    steps.run(f"ALTER TABLE {quote(table.name)} DROP COLUMN {quote(name)}")


def _change_field(
    database: SchemaDatabase,
    table: Table,
    spec: FieldSpec,
    stored: dict[str, Any],
    steps: Steps,
) -> None:
    old_type, old_target = stored["type"], stored["target"]
    path = f"{table.name}.{spec.name}"
    dropped = set(stored.get("variants", ())) - set(spec.variants)
    if spec.type == "enum" and (old_type == "text" or (old_type == "enum" and dropped)):
        _check_variants(database, table, spec, steps)
    if (old_type, old_target) == (spec.type, spec.target):
        return
    change = f"from {_shown(old_type, old_target)} to {_shown(spec.type, spec.target)}"
    same_cells = spec.type in _SAME_CELLS.get(old_type, ()) and old_target == spec.target
    if same_cells or (old_type == "text" and spec.type == "enum"):
        steps.say(f"change field `{path}` {change}, values stay")
        return
    count = _count(database, table, spec.name)
    convert = _conversion(database, table, spec, old_type) if count else ""
    if count and not convert and path not in steps.drops:
        steps.ask(
            f"field `{path}` changed {change}: its {counted(count, 'value')} would be dropped",
            f"--drop {path}",
        )
        return
    keeps = convert and path not in steps.drops
    what = f"its {counted(count, 'value')} {'stay' if keeps else 'are dropped'}"
    steps.say(f"change field `{path}` {change}, {what}")
    name, cells = quote(spec.name), f"{TABLE_PREFIX}new"
    for index in index_names(database, table.name, spec.name):
        steps.run(f"DROP INDEX {quote(index)}")
    alter = f"ALTER TABLE {quote(table.name)}"
    steps.run(f"{alter} ADD COLUMN {_definition(table, spec, cells)}")
    if keeps:
        steps.run(f"UPDATE {quote(table.name)} SET {quote(cells)} = {convert}")
    steps.run(f"{alter} DROP COLUMN {name}")
    steps.run(f"{alter} RENAME COLUMN {quote(cells)} TO {name}")


def _conversion(database: SchemaDatabase, table: Table, spec: FieldSpec, old_type: str) -> str:
    """SQL of the new cell when every stored value survives, otherwise ""."""
    if (old_type, spec.type) not in {("int", "number"), ("number", "int")}:
        return ""
    name = quote(spec.name)
    fits = f"{name} BETWEEN ? AND ?"
    if spec.type == "int":
        fits += f" AND {name} = round({name})"
    limit: Any = EXACT_MAX if old_type == "int" else float(EXACT_MAX)
    sql = f"SELECT COUNT(*) FROM {quote(table.name)} WHERE NOT ({fits})"
    if database.query(sql, (-limit, limit))[0][0]:
        return ""
    return f"CAST({name} AS {table.dialect.types[spec.type]})"


def _check_variants(database: SchemaDatabase, table: Table, spec: FieldSpec, steps: Steps) -> None:
    """Stop at values that are no variant any more, or drop just those."""
    path = f"{table.name}.{spec.name}"
    name = quote(spec.name)
    unknown = f"{name} NOT IN ({', '.join('?' * len(spec.variants))})"  # NULL: not unknown
    rows = database.query(
        f"SELECT {name}, COUNT(*) FROM {quote(table.name)} WHERE {unknown} "
        f"GROUP BY 1 ORDER BY 1 LIMIT {SHOWN_MAX}",
        spec.variants,
    )
    if path in steps.drops:
        steps.run(f"UPDATE {quote(table.name)} SET {name} = NULL WHERE {unknown}", spec.variants)
    for value, count in rows:
        if path in steps.drops:
            steps.say(f"set `{path}` to none where it is {value!r} ({counted(count, 'record')})")
            continue
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


def _count(database: SchemaDatabase, table: Table, name: str) -> int:
    sql = f"SELECT COUNT({quote(name)}) FROM {quote(table.name)}"
    return int(database.query(sql)[0][0])


# --- indexes ----------------------------------------


def index_names(database: SchemaDatabase, entity: str, name: str) -> list[str]:
    """Names of our indexes on a field."""
    wanted = {index_name(what, entity, name) for what in ("unique", "index")}
    return [index for index, owner in database.indexes() if owner == entity and index in wanted]


def compare_indexes(database: SchemaDatabase, tables: Mapping[str, Table], steps: Steps) -> None:
    """Statements that make and drop indexes until they are the declared ones.

    Reads the data of every new unique index, so the tables must be as declared already.
    """
    present = {name for name, owner in database.indexes() if owner in tables}
    wanted: dict[str, tuple[Table, Column]] = {}
    for table in tables.values():
        for column in table.columns.values():
            if column.indexed:
                wanted[table.index_name(column)] = (table, column)
    for name in present - wanted.keys():
        if name.startswith(TABLE_PREFIX):
            steps.say(f"drop index {name.removeprefix(TABLE_PREFIX)}")
            steps.run(f"DROP INDEX {quote(name)}")
    for name, (table, column) in wanted.items():
        if name in present:
            continue
        duplicates = _duplicates(database, table, column)
        if duplicates:
            steps.plan.append(duplicates)
            continue
        is_unique = column.field is not None and column.field.unique
        what = "make unique" if is_unique else "index"
        steps.say(f"{what} `{table.name}.{column.name}`")
        steps.run(table.create_index(column))


def _duplicates(database: SchemaDatabase, table: Table, column: Column) -> str:
    if column.field is None or not column.field.unique:
        return ""
    name = quote(column.name)
    rows = database.query(
        f"SELECT {name} FROM {quote(table.name)} WHERE deleted_at IS NULL AND {name} IS NOT NULL "
        f"GROUP BY {name} HAVING COUNT(*) > 1 ORDER BY MIN(id)"
    )
    if not rows:
        return ""
    found = database.query(
        f"SELECT id FROM {quote(table.name)} WHERE deleted_at IS NULL AND {name} = ? "
        f"ORDER BY id LIMIT {SHOWN_MAX}",
        (rows[0][0],),
    )
    ids = ", ".join(str(id) for (id,) in found)
    return (
        f"`{table.name}.{column.name}` is `@unique`, but {len(rows)} values are shared by live "
        f"records (for example of the records {ids}): change or delete all but one of each"
    )
