"""What every new record passes on its way into the store, compiled.

Bases of `Record`, `Entity`, `InsertQueue`, `Database` and `GroupCommit`: they have what runs for
each record; their subclasses what runs for each turn, each update and each fault.

A new record whose values are valid, have the declared type and are not long becomes a row without
a look at anything else. For other values the row is not made, nothing is changed, and `Entity`
looks at every field in the general way, which also finds the faults. So both must agree on what
they accept: tests/store/test_quick.py.
"""

from collections.abc import Callable, Mapping
from typing import Final

from typing_extensions import disjoint_base

from flinfast.errors import DurabilityError
from flinfast.store.engine import Done, Transactions, Undoable
from flinfast.store.entity import Entity
from flinfast.store.insert_queue import InsertQueue
from flinfast.store.record import Record
from flinfast.store.schema import Row, Stored, Table, Value

WAITING_MAX: Final = 1024
"""Rows that may wait in one table; a handler that saves more has them inserted in between."""

QUICK_SIZE_MAX: Final = 65536
"""Longest cell, in characters or bytes, that is taken without a closer look.

A row of FIELD_COUNT_MAX such cells is one that SQLite takes (up to 10**9 bytes), so that nothing
but the disk can refuse it.
"""

def unix_ms() -> int:
    """Unix time in milliseconds."""

def joined(rows: list[Row], start: int, stop: int, width: int) -> Row:
    """The first `width` cells of each of `rows[start:stop]` in one tuple.

    Raises:
        IndexError: There are no such rows or cells, or none are wanted.
    """

@disjoint_base
class QuickRecord:
    """The values of a record.

    Args:
        entity: Whose record it is; an `Entity`.
        row: It was read from, None: it is new.

    Raises:
        TypeError: `entity` is not an entity.
    """

    _entity: Entity
    _row: Row | None
    _cells: dict[str, Value]
    """Assigned or decoded values, except references."""
    _refs: dict[str, Value] | None
    """Assigned or loaded references."""
    _lists: dict[str, list[int | None]] | None
    """Ids of the live records that a stored list of references was read as.

    Saving the list unchanged keeps the deleted ones that reading left out.
    """
    _embedded: tuple[str, ...]
    """References that JSON shows as maps."""
    _snapshot: bool
    """It is an old version: read-only."""

    def __init__(self, entity: QuickEntity, row: Row | None) -> None: ...
    def flin_get(self, name: str) -> Value:
        """A field, an auto field, or `history`; FL511 when there is none of that name."""

@disjoint_base
class QuickStore:
    """Handlers' transactions and what statements of FLIN call.

    A subclass has `backfill()`, and `_no_record(value, verb)`, which raises.

    Attributes:
        group: Transactions.
    """

    group: Transactions
    _is_unfilled: bool
    """Old records wait for the defaults of fields that are new."""

    def begin(self, *, writes: bool) -> None:
        """A handler starts; raises as `Transactions.begin` and `BaseStore.backfill`."""

    def commit(self) -> bool:
        """It succeeded; see `Transactions.commit`."""

    def after_durable(self, done: Done) -> None:
        """Call `done` once everything committed so far is on disk, or never will be."""

    def save(self, value: Value) -> Record:
        """`save value`: insert or update; returns the record.

        Raises:
            ValidationFault: Fields are not valid.
            UniqueFault: A `@unique` value is taken.
            ConflictFault: The record changed since it was read.
            RuntimeFault: FL510, the value is no record.
            StoreError: The database refused.
        """

@disjoint_base
class QuickEntity:
    """Makes and saves new records of one entity.

    Args:
        table: Its columns.
        record_type: Class of its records, and of those that references hold.
        commit: The transactions of its store.
        clock_ms: Unix time in milliseconds.
        queue: Where its rows may wait.
    """

    _queue: InsertQueue
    _commit: Transactions
    _defaults: list[tuple[str, Callable[[], Value]]]

    def __init__(
        self,
        table: Table,
        record_type: type[QuickRecord],
        commit: Transactions,
        clock_ms: Callable[[], int],
        queue: QuickQueue,
    ) -> None: ...
    @property
    def name(self) -> str:
        """As declared."""

    def construct(self, fields: Mapping[str, Value], spread: tuple[Value, ...] = ()) -> Record:
        """An unsaved record.

        Args:
            fields: Named fields; each must be declared.
            spread: Maps or records of which only declared fields are copied, earlier ones first;
                named fields win. None is skipped.

        Raises:
            RuntimeFault: FL511 for an unknown or an auto field, FL501 for a spread that is no map.
        """

    def save(self, record: QuickRecord) -> None:
        """Insert or update; sets id, version and times on the record.

        Raises:
            ValidationFault: Fields are not valid: all of them, the first message of each.
            UniqueFault: A `@unique` value belongs to another live record.
            ConflictFault: The record was changed, deleted or destroyed since it was read.
            RuntimeFault: FL510, it is an old version.
            StoreError: The database refused.
        """

    def encode_new(self, record: QuickRecord, now: int) -> tuple[Stored, ...] | None:
        """The row of a new record without its id, coerced values put back into the record.

        Args:
            record: Whose row is None.
            now: Unix time in milliseconds.

        Returns:
            None when it needs a closer look; the record is unchanged then.
        """

@disjoint_base
class QuickQueue:
    """Rows of one table that wait.

    Attributes:
        rows: Whole rows in the order of their ids.
        next_id: Id of the next new record; 0 while it is unknown or nothing may wait.
        can_wait: Whether no value of a row can be refused.
    """

    rows: list[Row]
    next_id: int
    can_wait: bool

    def __init__(self, can_wait: bool) -> None: ...

@disjoint_base
class QuickDatabase:
    """What a turn asks of its connection at every record; a subclass has `insert_waiting()`.

    Attributes:
        aborted: SQLite rolled the transaction back by itself, after an error in a statement.
        waiting: Queues with rows that are still to be inserted.
    """

    aborted: bool
    waiting: list[InsertQueue]

@disjoint_base
class QuickTurn:
    """A loop turn of handlers.

    Args:
        database: The connection.
        is_full: A handler that read must wait for what other processes committed, too.

    Attributes:
        idle: No transaction is open: a query must call `open_read` first.
        read: The running handler has read; queries set it.
        failed: Why nothing can be acknowledged any more, or None.
    """

    idle: bool
    read: bool
    failed: DurabilityError | None
    _has_lock: bool
    """The write lock is held, until the end of the turn."""
    _in_handler: bool
    _handler_writes: bool
    """The handler holds the write lock."""
    _handler_wrote: bool
    _has_savepoint: bool
    _turn_wrote: bool
    _scheduled: bool
    _releasing: bool
    _committed: int
    _durable: int
    _undo: list[tuple[Undoable, Row | InsertQueue | None]]
    """Records written in this turn and their rows before.

    Instead of a row it is the queue of their table when they are new.
    """
    _undo_mark: int
    """Where the handler's part of `_undo` begins."""

    def __init__(self, database: QuickDatabase, is_full: bool) -> None: ...
    @property
    def _waiters(self) -> list[tuple[int, Done, BaseException | None]]:
        """Generation that must be durable, its callback, why it never will be; in this order."""

    @_waiters.setter
    def _waiters(self, waiters: list[tuple[int, Done, BaseException | None]]) -> None: ...
    @property
    def pending(self) -> bool:
        """Whether something written is not durable yet."""

    def begin(self, *, writes: bool) -> None:
        """A handler starts.

        Raises:
            StoreError: Another process holds the write lock for too long, or SQLite refused.
            DurabilityError: It writes, and a sync has failed before.
        """

    def commit(self) -> bool:
        """The handler succeeded; True when its effects must wait for `after_durable`.

        Raises:
            StoreError: What it wrote is lost: treat it as failed (no `rollback` is needed).
        """

    def after_durable(self, done: Done) -> None:
        """Call `done` once everything committed so far is on disk, or never will be."""

    def _release(self) -> None:
        """Run the callbacks whose turn it is; safe to call from one of them."""
