"""Group commit: a handler is undone alone, one COMMIT per loop turn, one sync for many turns.

    begin -> statements                           (any number of handlers in one loop turn)
    end of the turn (call_soon) -> COMMIT         (no sync: 1 or 2 us)
    thread -> sync the -wal file                  (one sync for every turn committed before it)
    loop -> after_durable callbacks, in the order they were given

A handler that writes takes the write lock before its first statement, so that handlers of several
processes on one file are serialisable. A handler that only reads opens a read transaction at its
first query; that one is shared by the turn, too, so a handler sees one state of the database.

A failed handler is rolled back to a savepoint. A savepoint makes SQLite keep a copy of every page
that changes, for each handler again, which costs more than inserting a row does. So a handler that
only inserts new records has none: a statement undoes itself when it fails, and rows that were
inserted are taken back by removing them, with their ids, or were still waiting in an `InsertQueue`.
A savepoint is opened by the first statement of another kind, after all that waits is inserted.

Numbers: each turn that changed something gets the next generation. `_committed` is the last one
that COMMIT accepted, `_durable` the last one that is on disk; `_durable <= _committed`.

Rules:
1. `after_durable` callbacks run in the order given, on the loop's thread, exactly once.
2. A callback runs without an error only if everything its handler wrote or saw is on disk.
3. After a failed sync nothing is acknowledged again in this process: the kernel may have dropped
   the data and report success the next time (the reason PostgreSQL panics there).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

from flinfast.errors import ConflictFault, DurabilityError, StoreError
from flinfast.store.engine import AfterCommit, Undoable
from flinfast.store.insert_queue import InsertQueue
from flinfast.store.quick import QuickTurn
from flinfast.store.schema import Stored
from flinfast.store.sqlite import Database

T = TypeVar("T")
CallSoon = Callable[[Callable[[], None]], None]
RunInThread = Callable[[Callable[[], T], Callable[[T | BaseException], None]], None]

_IDLE: Final = 0  # no transaction
_READ: Final = 1  # a read transaction, ended with the turn
_WRITE: Final = 2  # the write lock is held, until the end of the turn
_ABORTED: Final = "the transaction was rolled back after an error"


class GroupCommit(QuickTurn):
    """The transactions of one store, all on one connection and one loop.

    Records of a turn pass through its base, which is compiled.
    """

    def __init__(
        self,
        database: Database,
        *,
        durability: Literal["full", "normal"],
        call_soon: CallSoon,
        run_in_thread: RunInThread[Any],
        sync: Callable[[], None],
        committed: Callable[[], None],
    ) -> None:
        super().__init__(database, durability == "full")
        self._database = database
        self._full = durability == "full"
        self._call_soon = call_soon
        self._run_in_thread = run_in_thread
        self._sync = sync
        self._after_commit = committed
        self._mode = _IDLE
        self._syncing = False
        self._tells = False  # whether something among `_undo` is to be called after COMMIT
        self._seen_version = database.data_version()

    @property
    def in_handler(self) -> bool:
        """Whether a handler has begun and neither committed nor rolled back."""
        return self._in_handler

    # --- a handler ----------------------------------------

    def _commit_savepoint(self) -> None:
        """Keep what was written since the savepoint; the handler is over when it is lost."""
        try:
            if self._database.aborted:
                raise StoreError(_ABORTED)
            self._database.execute("RELEASE handler")
            self._has_savepoint = False
        except StoreError as error:
            self._lose_turn(error)
            self._end_handler()
            raise

    def rollback(self) -> None:
        """The handler failed: nothing it wrote stays, its records get their old attributes back.

        Raises:
            StoreError: SQLite refused; the whole turn is lost then, which includes this handler.
        """
        writes, has_savepoint = self._handler_writes, self._has_savepoint
        self._end_handler()
        inserted = self._undo_to(self._undo_mark)
        if not writes:
            return
        if not self._database.in_transaction():  # SQLite gave the transaction up by itself
            self._lose_turn(StoreError(_ABORTED))
            return
        try:
            if has_savepoint:
                self._database.execute("ROLLBACK TO handler")
                self._database.execute("RELEASE handler")
            for queue, id in inserted.items():
                self._database.take_back(queue.table, id)
        except StoreError as error:
            self._lose_turn(error)
            raise
        self._check_sync()

    def _end_handler(self) -> None:
        self._in_handler = False
        self._handler_writes = False
        self._handler_wrote = False
        self._has_savepoint = False
        if not self.idle and not self._scheduled:
            self._schedule()

    # --- statements ----------------------------------------

    def open_read(self) -> None:
        """A query runs while no transaction is open; only a handler needs one."""
        if self._in_handler:
            self._database.execute("BEGIN")
            self._set_mode(_READ)
            self._schedule()

    def writing(self, record: Undoable | None) -> None:
        """A statement is about to write; the record gets its row back if that does not stay.

        Outside a handler the statement joins the transaction of this turn.

        Raises:
            ConflictFault: The handler began without `writes`, and the database changed since.
            StoreError: The write lock could not be taken.
            DurabilityError: A sync has failed before.
        """
        self.lock()
        if self._in_handler:
            self._open_savepoint()
            self._handler_wrote = True
        else:
            self._turn_wrote = True
        if record is not None:
            self._undo.append((record, record._row))

    def after_commit(self, done: Callable[[], None]) -> None:
        """Call `done` after this turn's COMMIT if the handler's writes are in it."""
        self._undo.append((AfterCommit(done), None))
        self._tells = True

    def lock(self) -> None:
        """What is read from here on stays as it is until the end of the turn; raises as writing."""
        if not self._handler_writes:
            self._escalate()
        elif self._database.aborted:
            raise StoreError(_ABORTED)

    def insert(self, record: Undoable, queue: InsertQueue, tail: tuple[Stored, ...]) -> None:
        """Insert a new record now.

        Raises:
            UniqueViolation: A `@unique` value is taken.
            StoreError: As `writing` and `Database.insert`.
        """
        self.lock()
        if self._in_handler:
            self._handler_wrote = True
        else:
            self._turn_wrote = True
        record._row = (self._database.insert(queue, tail[:-2]), *tail)
        self._undo.append((record, queue))

    def _open_savepoint(self) -> None:
        if not self._has_savepoint:  # `execute` inserts what waits before it
            self._database.execute("SAVEPOINT handler")
            self._has_savepoint = True

    def _escalate(self) -> None:
        if self._mode != _WRITE:
            version = self._database.data_version() if self._in_handler and self.read else None
            self._open_write()
            # The version is only looked up by a statement that takes a read lock, as BEGIN
            # IMMEDIATE has just done.
            if version is not None and version != self._database.data_version():
                raise ConflictFault("the database changed while this handler ran")
        self._handler_writes = self._in_handler

    # --- the turn ----------------------------------------

    def _set_mode(self, mode: int) -> None:
        self._mode = mode
        self.idle = mode == _IDLE
        self._has_lock = mode == _WRITE

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._end_turn)

    def _open_write(self) -> None:
        if self.failed is not None:
            raise DurabilityError(str(self.failed))
        if self._mode == _WRITE:
            if not self._database.aborted:
                return
            self._lose_turn(StoreError(_ABORTED))
        if self._mode == _READ:
            self._set_mode(_IDLE)
            self._database.execute("COMMIT")
        self._database.aborted = False
        self._database.begin_write()
        self._set_mode(_WRITE)
        self._schedule()

    def _end_turn(self) -> None:
        self._scheduled = False
        if not self._in_handler:  # a `transaction()` may span turns: its end schedules again
            self.end_turn()

    def end_turn(self) -> None:
        """Commit the turn's transaction now and start to make it durable."""
        mode = self._mode
        if mode == _IDLE:
            return
        try:
            self._database.execute("COMMIT")
        except StoreError as error:
            self._lose_turn(error)
            return
        self._set_mode(_IDLE)
        if mode != _WRITE:
            return
        self._database.forget_ids()
        told = [r for r, _ in self._undo if type(r) is AfterCommit] if self._tells else []
        self._undo.clear()
        self._tells = False
        for entry in told:
            entry.done()
        wrote, self._turn_wrote = self._turn_wrote, False
        if wrote:
            self._seen_version = self._database.data_version()
            self._committed += 1
        self._after_commit()  # the log grows by pages whose changes were undone, too
        if wrote:
            self._start_sync()

    def _lose_turn(self, error: StoreError) -> None:
        """Nothing of this turn stays: tell everyone who waits for it."""
        self._set_mode(_IDLE)
        if self._database.in_transaction():
            try:
                self._database.execute("ROLLBACK")
            except StoreError as second:
                self._fail(DurabilityError(f"rolling back failed: {second}"))
        self._undo_to(0)
        self._database.forget_ids()
        if self._turn_wrote:
            self._turn_wrote = False
            lost = self._committed + 1
            self._waiters = [
                (self._committed, done, error)
                if target == lost and known is None
                else (target, done, known)
                for target, done, known in self._waiters
            ]
            self._release()
        self._check_sync()

    def _check_sync(self) -> None:
        """A statement's own sync failed: the same as a failed sync of the log."""
        if self._database.sync_error is not None and self.failed is None:
            self._fail(self._database.sync_error)

    def _undo_to(self, mark: int) -> dict[InsertQueue, int]:
        """Give records their rows back; the lowest id that was inserted, by table."""
        undo = self._undo
        inserted: dict[InsertQueue, int] = {}
        while len(undo) > mark:
            record, before = undo.pop()
            if type(before) is not InsertQueue:
                record._row = before
                continue
            row, record._row = record._row, None
            if not before.take_back(row):
                inserted[before] = row[0]
            if before.next_id:
                before.next_id = row[0]
        return inserted

    # --- durability ----------------------------------------

    def _notice_other_processes(self) -> None:
        """Another process committed what this handler may have seen: it must be durable first."""
        version = self._database.data_version()
        if version != self._seen_version and not self._turn_wrote:
            self._seen_version = version
            self._committed += 1
            self._start_sync()

    def _start_sync(self) -> None:
        if self._syncing or self.failed is not None:
            return
        if not self._full:
            self._durable = self._committed
            self._release()
            return
        self._syncing = True
        target = self._committed
        self._run_in_thread(self._sync, lambda result: self._synced(target, result))

    def _synced(self, target: int, result: object) -> None:
        self._syncing = False
        if isinstance(result, BaseException):
            self._fail(_sync_error(result))
            return
        self._durable = max(self._durable, target)
        try:
            self._release()
        finally:
            if self._durable < self._committed:
                self._start_sync()

    def _fail(self, error: DurabilityError) -> None:
        """Acknowledge nothing any more; whatever waits gets the error."""
        if self.failed is None:
            self.failed = error
        if self._mode != _IDLE and not self._in_handler:
            self._lose_turn(self.failed)
        self._waiters = [(0, done, known or self.failed) for _, done, known in self._waiters]
        self._release()

    def fail(self, error: DurabilityError) -> None:
        """A checkpoint could not sync, or the files are gone: the same as a failed sync."""
        self._fail(error)

    def flush(self) -> None:
        """Commit and make durable now, blocking.

        Raises:
            StoreError: What was written in this turn is lost, or a handler is running.
            DurabilityError: The sync failed.
        """
        if self._in_handler:
            raise StoreError("a handler is running: it must end before the turn can be committed")
        lost: list[BaseException] = []
        if self._turn_wrote:
            self.after_durable(lambda error: lost.append(error) if error else None)
        self.end_turn()
        if self._full and self.failed is None and self._durable < self._committed:
            target = self._committed
            try:
                self._sync()
            except (DurabilityError, OSError) as error:
                self._fail(_sync_error(error))
            else:
                self._durable = max(self._durable, target)
                self._release()
        if self.failed is not None:
            raise DurabilityError(str(self.failed))
        if lost:
            raise lost[0]


def _sync_error(error: BaseException) -> DurabilityError:
    """What nothing can be acknowledged for any more; a sync may say it itself."""
    if isinstance(error, DurabilityError):
        return error
    return DurabilityError(f"syncing the database's log to disk failed: {error}")
