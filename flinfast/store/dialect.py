"""What differs between the SQL of the engines: types, tables, and the pieces of conditions.

A `Dialect` is text and pure functions; it opens nothing. `SQLITE` is here, PostgreSQL's is in
`store/postgres/dialect.py`. Patterns have one `{}` per operand. Rows look the same on every engine
(booleans as 0 and 1, times as milliseconds, nested values as MessagePack), so that records,
history and exports do not depend on where they are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from flinfast.store.schema import Table


def is_valid(text: str) -> bool:
    """Whether a text has a UTF-8 form: it holds no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Number(NamedTuple):
    """How a column is compared with a number.

    Attributes:
        column: Pattern of the column.
        mark: Pattern of the value.
        bind: The value as it is bound; None for one that equals nothing.
    """

    column: str
    mark: str
    bind: Callable[[Any], Any]


NAME_BYTES_MAX: Final = 63  # of an identifier in PostgreSQL; longer names of ours are shortened


class Dialect:
    """SQL as SQLite has it; other engines override what differs.

    Attributes:
        name: Of the engine.
        types: Column type by FLIN type.
        no_limit: Value of LIMIT that means all rows.
        false: A condition that never holds.
        same: Two operands are equal or both NULL; never NULL itself.
        equals: A column equals a value that is not NULL; never NULL itself, and finds an index.
        is_true: A boolean is true; never NULL.
        or_false: A condition, with false for NULL.
        length: Characters of a text, or bytes.
        contains: The first text contains the second.
        starts_with: The first text starts with the second; "" to compare with bounds.
        ends_with: The first text ends with the second; "" to compare a piece.
        folds: Whether lower, upper and trim can be asked of the engine as Python does them.
        types_any: Whether cells of `any` fields have their own types in SQL.
        exact: Pattern of a number as a type in which integers and floats compare exactly.
    """

    name = "sqlite"
    types: dict[str, str] = {  # noqa: RUF012 - a constant of the class
        "text": "TEXT",
        "enum": "TEXT",
        "int": "INTEGER",
        "number": "REAL",
        "duration": "INTEGER",
        "bool": "INTEGER",
        "time": "INTEGER",
        "bytes": "BLOB",
        "ref": "INTEGER",
        "list": "BLOB",
        "map": "BLOB",
        "any": "ANY",
        "file": "ANY",
    }
    no_limit: Any = -1
    false = "0"
    same = "{} IS {}"
    equals = "{} IS {}"
    is_true = "{} IS 1"
    or_false = "ifnull({}, 0)"
    length = "length({})"
    contains = "instr({}, {}) > 0"
    starts_with = ""
    ends_with = ""
    folds = True
    types_any = True
    exact = "{}"

    # --- tables ----------------------------------------

    def create(self, table: Table) -> list[str]:
        """Statements that make an entity's table and its history table, without indexes."""
        parts = ["id INTEGER PRIMARY KEY AUTOINCREMENT"]
        parts += [f"{quote(spec.name)} {self.types[spec.type]}" for spec in table.fields]
        parts += [
            "created_at INTEGER NOT NULL",
            "updated_at INTEGER NOT NULL",
            "deleted_at INTEGER",
            "version INTEGER NOT NULL",
            "_flin_history INTEGER",
        ]
        return [
            f"CREATE TABLE {quote(table.name)} ({', '.join(parts)}) STRICT",
            f"CREATE TABLE {table.history} (place INTEGER PRIMARY KEY, previous INTEGER, "
            "id INTEGER NOT NULL, version INTEGER NOT NULL, updated_at INTEGER NOT NULL, "
            "data BLOB NOT NULL) STRICT",
        ]

    def row_reader(self, table: Table) -> Callable[[tuple[Any, ...]], tuple[Any, ...]] | None:
        """Makes a row as every engine has it from a row of this one; None: it is one."""
        return None

    # --- queries ----------------------------------------

    def order(self, name: str, *, descending: bool) -> str:
        """A term of ORDER BY; NULL comes first ascending."""
        return quote(name) + (" DESC" if descending else "")

    def total(self, field: str, *, is_integer: bool) -> tuple[str, str]:
        """Two sums of a column: the high parts (times 2**32) and the rest."""
        if is_integer:  # in halves: SQLite's own sum stops at 64 bits
            return f"SUM({field} >> 32)", f"SUM({field} & 4294967295)"
        return "0", f"SUM({field})"

    # --- conditions ----------------------------------------

    def can_bind(self, text: str) -> bool:
        """Whether a text can be given to the engine; otherwise Python evaluates the condition."""
        return text.isascii() or is_valid(text)

    def number(self, op: str, *, is_integer: bool, shape: str) -> Number | None:
        """How a column of numbers is compared with a number; None: as it stands.

        Args:
            op: eq, lt, le, gt or ge.
            is_integer: The column holds 64-bit integers, otherwise floats.
            shape: "int" or "float", of the value.
        """
        return None

    def item(self, value: Any, *, is_integer: bool) -> Any:
        """A number as a member of an IN list over a column of numbers; None matches nothing."""
        return value


SQLITE: Final = Dialect()


def quote(name: str) -> str:
    """An SQL identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'
