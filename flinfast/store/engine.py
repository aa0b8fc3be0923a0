"""The seam between the store and a database engine.

An engine gives a `SchemaDatabase` to bring its tables to the declared entities, a `Database` that
runs the statements of handlers, and a `Transactions` that makes a handler one. SQLite's are in
sqlite.py and commit.py, PostgreSQL's in `store/postgres/`. Everything above (records, queries,
history, sessions, exports) is written once, against these protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from flinfast.errors import DurabilityError
from flinfast.store.dialect import Dialect
from flinfast.store.insert_queue import InsertQueue
from flinfast.store.schema import Row, Stored, Table

Done = Callable[[BaseException | None], None]


class UniqueViolation(Exception):  # noqa: N818 - becomes a UniqueFault, never leaves store
    """A statement met a unique index.

    Attributes:
        column: Name of the first column of that index.
    """

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class SchemaDatabase(Protocol):
    """What changing the tables needs; statements take `?` for values on every engine."""

    dialect: Dialect
    own_tables: tuple[str, ...]

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT; raises StoreError."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that gives no rows; raises StoreError or UniqueViolation."""

    def begin_schema(self) -> None:
        """Begin a transaction that excludes every other one that changes tables."""

    def end_schema(self, *, keep: bool) -> None:
        """Commit it, or take it back."""

    def check_format(self) -> None:
        """Refuse a database that is not ours or of a newer version; raises SchemaError."""

    def indexes(self) -> list[tuple[str, str]]:
        """Names of indexes that were made by statements, with their tables."""


class Database(Protocol):
    """Runs the statements of the running handler, or alone outside of one."""

    dialect: Dialect

    @property
    def label(self) -> str:
        """What people know it by: the file, or host and name; no password."""

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT.

        Raises:
            RuntimeFault: FL512, it took longer than the limit.
            StoreError: The engine refused.
            ConflictFault: Another handler was faster; the handler is to run again.
            OverflowError: An integer among the values does not fit 64 bits.
        """

    def query_table(self, queue: InsertQueue, sql: str, values: Sequence[Any]) -> list[Row]:
        """query(), for a SELECT that reads one entity's table only."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that gives no rows; raises as query().

        Raises:
            UniqueViolation: A unique index has the value already.
        """

    def replace(self, table: Table, old: Row, cells: Sequence[Any], now: int, data: bytes) -> bool:
        """Put `data` in the history and write the next version, if `old` is still current.

        Returns:
            False when the record was changed, deleted or destroyed since; nothing was written.

        Raises:
            UniqueViolation: See `execute`; the history is as it was.
        """

    def restore(self, table: Table, row: Row) -> bool:
        """Clear deleted_at; whether the record still exists. Raises as execute()."""

    def append_history(self, table: Table, previous: int | None, row: Row) -> int:
        """Put a row in the history after `previous`; its place."""

    def insert_whole(self, table: Table, row: Row, history: int | None) -> None:
        """Insert a record as it is, id and auto fields included; raises as execute()."""

    def continue_ids(self, table: Table, id: int) -> None:
        """New records get ids above this one."""


class Undoable(Protocol):
    """A record: what a handler's writes change of it is its row."""

    _row: Any


class AfterCommit:
    """Stands among the records that a handler changes; forgotten with them when they are undone.

    Attributes:
        done: What to call when they are committed.
    """

    __slots__ = ("_row", "done")

    def __init__(self, done: Callable[[], None]) -> None:
        self._row = None
        self.done = done


class Transactions(Protocol):
    """Makes a handler a transaction.

    Attributes:
        read: The running handler has read; queries set it.
        idle: A query must call `open_read` first.
        failed: Why nothing can be acknowledged any more, or None.
    """

    read: bool
    idle: bool
    failed: DurabilityError | None

    @property
    def in_handler(self) -> bool:
        """Whether a handler has begun and neither committed nor rolled back."""

    @property
    def pending(self) -> bool:
        """Whether something written is not durable yet."""

    def begin(self, *, writes: bool) -> None:
        """A handler starts; raises StoreError."""

    def commit(self) -> bool:
        """It succeeded; True when its effects must wait for `after_durable`.

        Raises:
            StoreError: What it wrote is lost; no `rollback` is needed.
            ConflictFault: So is it, and the handler is to run again.
        """

    def rollback(self) -> None:
        """It failed: nothing it wrote stays, its records get their old rows back."""

    def after_durable(self, done: Done) -> None:
        """Call `done` once everything committed so far is on disk, or never will be."""

    def after_commit(self, done: Callable[[], None]) -> None:
        """Call `done` once what has just been written is committed; never when it is undone."""

    def open_read(self) -> None:
        """A query runs while `idle`."""

    def writing(self, record: Undoable | None) -> None:
        """A statement is about to write; the record gets its row back if that does not stay."""

    def lock(self) -> None:
        """What the handler reads from here on stays true until it commits; raises as writing."""

    def insert(self, record: Undoable, queue: InsertQueue, tail: tuple[Stored, ...]) -> None:
        """Insert a new record and give it its row.

        Args:
            record: The record, whose row is None.
            queue: Of its entity; the engine says whether anything waits there.
            tail: Its row without the id.

        Raises:
            UniqueViolation: See `Database.execute`.
        """

    def flush(self) -> None:
        """Commit and make durable now, blocking; raises StoreError."""
