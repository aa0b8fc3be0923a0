"""What entities look like to the store: fields, columns, tables and indexes as data and SQL text.

Pure: nothing here opens a database. Names come from FLIN declarations, so every identifier is
quoted; values never become part of SQL text.

One entity is one STRICT table of the same name. Columns, in the order every record row has:
`id`, the declared fields, `created_at`, `updated_at`, `deleted_at`, `version`; not part of a row is
`_flin_history`, where the history of the record begins (history.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, Final, Literal

from msgspec import Struct, field
from msgspec.structs import force_setattr

from flinfast.errors import SchemaError
from flinfast.store.dialect import NAME_BYTES_MAX, SQLITE, Dialect, quote

__all__ = [
    "Column",
    "EntitySpec",
    "FieldSpec",
    "Kind",
    "Row",
    "Stored",
    "Table",
    "Value",
    "check_specs",
    "index_name",
    "quote",
    "suggest",
]

Value = Any  # a FLIN value: see flinfast/values.py
Stored = int | float | str | bytes | None  # what one SQLite cell holds
Row = tuple[Any, ...]  # cells in column order

Kind = Literal["number", "text", "bool", "time", "bytes", "ref", "any", "list", "map"]

# FLIN field type -> kind of value that conditions reason about.
_KINDS: Final[dict[str, Kind]] = {
    "text": "text",
    "enum": "text",
    "int": "number",
    "number": "number",
    "duration": "number",  # milliseconds
    "bool": "bool",  # 0 or 1
    "time": "time",  # milliseconds since 1970 UTC
    "bytes": "bytes",
    "ref": "ref",  # id of the target record
    "list": "list",  # MessagePack
    "map": "map",  # MessagePack
    "any": "any",  # int, number and text natively, the rest as MessagePack
    "file": "any",
}

AUTO_FIELDS: Final = ("id", "created_at", "updated_at", "deleted_at", "version")
TABLE_PREFIX: Final = "_flin_"  # tables of ours that hold no records
# SQLite's default limit is 2000 columns; a record also has the five auto fields.
FIELD_COUNT_MAX: Final = 1000


class FieldSpec(Struct, frozen=True):
    """One declared field of an entity.

    Attributes:
        name: As declared.
        type: text, int, number, bool, time, duration, bytes, any, list, map, file, ref or enum.
        target: Entity of a `ref`, or of the items of a `list` of references; otherwise "".
        required: `@required`: not none, and not empty text.
        unique: `@unique`: no other live record has the value.
        index: `@index`.
        hidden: `@hidden`: never serialised.
        default: Makes a fresh default value per construction, or None.
        checks: Validators; each returns an error text or None and is not asked about none.
        variants: Names of an `enum`'s variants.
        transforms: Change a text before it is checked and stored, such as `@trim`.
    """

    name: str
    type: str
    target: str = ""
    required: bool = False
    unique: bool = False
    index: bool = False
    hidden: bool = False
    default: Callable[[], Value] | None = None
    checks: tuple[Callable[[Value], str | None], ...] = ()
    variants: tuple[str, ...] = ()
    transforms: tuple[Callable[[str], str], ...] = ()


class EntitySpec(Struct, frozen=True):
    """One declared entity."""

    name: str
    fields: tuple[FieldSpec, ...]


class Column(Struct, frozen=True):
    """One column of an entity's table.

    Attributes:
        name: Of the field.
        index: Position in a record row.
        kind: How conditions compare it.
        type: FLIN type name.
        field: The declaration, None for an auto field.
    """

    name: str
    index: int
    kind: Kind
    type: str
    field: FieldSpec | None

    @property
    def is_integer(self) -> bool:
        """Whether its cells are 64-bit integers."""
        return self.type in ("int", "duration", "ref", "time", "bool")

    @property
    def target(self) -> str:
        """Entity that a reference (or a list of references) points to, or ""."""
        return self.field.target if self.field else ""

    @property
    def indexed(self) -> bool:
        """Whether live records are indexed by this column (references always are)."""
        return self.field is not None and (
            self.field.unique or self.field.index or self.kind == "ref"
        )


class Table(Struct, frozen=True, dict=True):
    """Columns and SQL text of one entity; made once, statements are constant per table."""

    spec: EntitySpec
    dialect: Dialect = SQLITE
    columns: dict[str, Column] = field(default_factory=dict)  # made from the fields

    def __post_init__(self) -> None:
        columns: dict[str, Column] = {"id": Column("id", 0, "number", "int", None)}
        for position, spec in enumerate(self.spec.fields, 1):
            columns[spec.name] = Column(spec.name, position, _KINDS[spec.type], spec.type, spec)
        auto: tuple[tuple[str, str], ...] = (
            ("created_at", "time"),
            ("updated_at", "time"),
            ("deleted_at", "time"),
            ("version", "int"),
        )
        for name, type_name in auto:
            columns[name] = Column(name, len(columns), _KINDS[type_name], type_name, None)
        force_setattr(self, "columns", columns)

    @property
    def name(self) -> str:
        """Entity and table name."""
        return self.spec.name

    @property
    def select_list(self) -> str:
        """Column list in row order."""
        return ", ".join(quote(name) for name in self.columns)

    def create(self) -> list[str]:
        """Statements that make the table and its history table, without indexes."""
        return self.dialect.create(self)

    @property
    def fields(self) -> tuple[FieldSpec, ...]:
        """The declared fields."""
        return self.spec.fields

    @property
    def history(self) -> str:
        """Quoted name of the table of previous versions."""
        return quote(f"{TABLE_PREFIX}history_{self.name}")

    @cached_property
    def insert_sql(self) -> str:
        """INSERT of the declared fields, created_at, updated_at; version is 1."""
        names = [quote(spec.name) for spec in self.fields]
        marks = ["?"] * (len(names) + 2)
        return (
            f"INSERT INTO {quote(self.name)} ({', '.join([*names, 'created_at', 'updated_at'])}, "
            f"version) VALUES ({', '.join(marks)}, 1)"
        )

    def insert_rows_sql(self, count: int) -> str:
        """INSERT of `count` new records; each takes id, declared fields and time of creation."""
        width = len(self.fields) + 2
        marks = "?," * width
        rows = [f"({marks}?{last},NULL,1)" for last in range(width, width * count + 1, width)]
        return f"INSERT INTO {quote(self.name)} ({self.select_list}) VALUES {','.join(rows)}"

    @cached_property
    def insert_whole_sql(self) -> str:
        """INSERT of a whole row and the place of its history."""
        names = [*map(quote, self.columns), "_flin_history"]
        marks = ", ".join("?" * len(names))
        return f"INSERT INTO {quote(self.name)} ({', '.join(names)}) VALUES ({marks})"

    @cached_property
    def update_sql(self) -> str:
        """UPDATE of the declared fields, updated_at, version where id; after `archive_sql`."""
        names = [quote(spec.name) for spec in self.fields]
        sets = ", ".join(f"{name} = ?" for name in [*names, "updated_at", "version"])
        return (
            f"UPDATE {quote(self.name)} SET {sets}, _flin_history = last_insert_rowid() "
            "WHERE id = ?"
        )

    @cached_property
    def archive_sql(self) -> str:
        """Append data to the history where id, version and deleted_at are still the given ones."""
        return (
            f"INSERT INTO {self.history} (previous, id, version, updated_at, data) "
            f"SELECT _flin_history, id, version, updated_at, ? FROM {quote(self.name)} "
            "WHERE id = ? AND version = ? AND deleted_at IS ?"
        )

    @property
    def unarchive_sql(self) -> str:
        """Takes back the last `archive_sql`."""
        return f"DELETE FROM {self.history} WHERE place = last_insert_rowid()"

    @cached_property
    def restore_sql(self) -> str:
        """Clears deleted_at where id."""
        return f"UPDATE {quote(self.name)} SET deleted_at = NULL WHERE id = ?"

    def index_name(self, column: Column) -> str:
        """Unquoted name of the index on a column; it differs for a unique one."""
        assert column.field is not None
        return index_name("unique" if column.field.unique else "index", self.name, column.name)

    def create_index(self, column: Column) -> str:
        """Statement that makes the partial index over live records."""
        assert column.field is not None
        unique = "UNIQUE " if column.field.unique else ""
        return (
            f"CREATE {unique}INDEX {quote(self.index_name(column))} "
            f"ON {quote(self.name)} ({quote(column.name)}) WHERE deleted_at IS NULL"
        )


def index_name(what: str, entity: str, field: str) -> str:
    """Unquoted name of a "unique" or plain "index"; a long one ends in a digest instead."""
    name = f"{TABLE_PREFIX}{what}_{entity}_{field}"
    if len(name.encode()) <= NAME_BYTES_MAX:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:40]
    return f"{TABLE_PREFIX}{what}_{digest}"


def check_specs(entities: Sequence[EntitySpec]) -> None:
    """Refuse declarations that no SQLite schema can hold.

    Raises:
        SchemaError: Names that SQLite cannot tell apart or reserves, unknown types, a reference
            to an unknown entity, or more than FIELD_COUNT_MAX fields.
    """
    names = [spec.name for spec in entities]
    _check_names("entity", names)
    for spec in entities:
        folded = spec.name.lower()
        if folded.startswith(("sqlite_", TABLE_PREFIX)):
            raise SchemaError(f"entity `{spec.name}` has a name that the database reserves")
        if len(spec.fields) > FIELD_COUNT_MAX:
            raise SchemaError(f"entity `{spec.name}` has more than {FIELD_COUNT_MAX} fields")
        for item in spec.fields:
            if item.name.lower().startswith(TABLE_PREFIX):
                raise SchemaError(
                    f"`{spec.name}.{item.name}` has a name that the database reserves"
                )
        _check_names(f"field of `{spec.name}`", [*AUTO_FIELDS, *(f.name for f in spec.fields)])
        for item in spec.fields:
            if item.type not in _KINDS:
                raise SchemaError(f"`{spec.name}.{item.name}` has the unknown type `{item.type}`")
            if (item.target or item.type == "ref") and item.target not in names:
                raise SchemaError(
                    f"`{spec.name}.{item.name}` refers to the unknown entity `{item.target}`"
                )


def _check_names(what: str, names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise SchemaError(
                f"{what}: `{seen[name.lower()]}` and `{name}` clash: names in the database "
                "do not differ by case"
            )
        seen[name.lower()] = name


def suggest(name: str, candidates: Iterable[str]) -> str:
    """The hint "did you mean `x`?" for a misspelt name, or ""."""
    best, best_cost = "", max(1, len(name) // 3) + 1
    for candidate in candidates:
        if candidate.lower() == name.lower():
            return f"did you mean `{candidate}`?"
        cost = _edit_distance(name, candidate, best_cost)
        if cost < best_cost:
            best, best_cost = candidate, cost
    return f"did you mean `{best}`?" if best else ""


def _edit_distance(left: str, right: str, limit: int) -> int:
    """Levenshtein distance with swaps of neighbours costing 1; `limit` when it is not below it."""
    if abs(len(left) - len(right)) >= limit:
        return limit
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        current = [row]
        for column, b in enumerate(right, 1):
            cost = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (a != b))
            swapped = row > 1 and column > 1 and a == right[column - 2] and left[row - 2] == b
            if swapped:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, previous = previous, current
    return min(previous[-1], limit)
