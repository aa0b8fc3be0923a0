"""The SQLite connection: set-up, statements, checkpoints, and its errors in our words.

The only module that imports apsw. Never import the standard library's sqlite3 in the same process:
a second copy of SQLite drops the first one's file locks when it closes the file.

Settings and why:
* WAL, `synchronous = NORMAL`: a commit writes to the `-wal` file without a sync (commit.py syncs it
  on a thread). NORMAL still syncs the log's header when the log starts over, and the checkpointing
  connection syncs log and database around a checkpoint. OFF would lose both, and with them the
  database on a power cut.
* `foreign_keys = OFF`: a reference may point to a soft-deleted record, and `destroy` must not fail
  or cascade. Saving checks that a reference exists; reading a dangling one gives none.
* `wal_autocheckpoint = 0`: checkpoints sync, so they run on a thread with a second connection.
* Statements of one loop thread only: a `Database` is not shared between threads.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import msgpack

from flinfast.errors import DurabilityError, RuntimeFault, SchemaError, StoreError
from flinfast.store.dialect import SQLITE
from flinfast.store.engine import UniqueViolation
from flinfast.store.insert_queue import ID_MAX, InsertQueue
from flinfast.store.quick import QuickDatabase, joined
from flinfast.store.schema import Row, Table, quote

FILE_NAME: Final = "flin.db"
APPLICATION_ID: Final = 0x464C494E  # "FLIN" in the file header
FORMAT_VERSION: Final = 1  # PRAGMA user_version: layout of the tables named _flin_*
STATEMENT_CACHE_SIZE: Final = 512
PAGE_CACHE_KIB: Final = 16 << 10
# A log that grew beyond this, while another process read for long, is cut when it starts over.
LOG_SIZE_KEPT: Final = 64 << 20
# Pauses between two tries for a lock that another process holds, in seconds: the first, which is
# also what each adds, and the longest. SQLite's own grow to 100 ms, 50 times as long as a turn: of
# processes that are all busy one would look so seldom that it can wait for its limit.
BUSY_PAUSE_S: Final = 0.0005
BUSY_PAUSE_MAX_S: Final = 0.005
# A wait in vain tells that somebody holds the lock for long, such as a shell. Until it is taken
# again nobody waits for so long, and then briefly: the loop is there for those who only read.
BUSY_REST_S: Final = 1.0
BUSY_AGAIN_S: Final = 0.1
# VM instructions between two looks at the clock: about 1 ms of scanning.
PROGRESS_STEPS: Final = 50_000
SCAN_PATIENCE: Final = 5


def translate(error: apsw.Error, path: str, reason: int = 0) -> StoreError:
    """Our error for one of SQLite's: what is wrong, with which file, what to do.

    `reason` is what the system said (`errno`), 0 when it is not known.
    """
    if _extended(error) in (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC):
        return DurabilityError(f"syncing {path} to disk failed: {error}")
    for kind, text in _MESSAGES:
        if isinstance(error, kind):
            said = f"{os.strerror(reason)}; {error}" if reason and kind in _OF_SYSTEM else error
            return StoreError(f"{text.format(path=path)} ({said})")
    return StoreError(f"the database {path} refused a statement: {error}")


def _extended(error: apsw.Error) -> int:
    """SQLite's extended result code, 0 for an error of apsw's own."""
    return int(getattr(error, "extendedresult", 0))


_UNIQUE: Final = (apsw.SQLITE_CONSTRAINT_UNIQUE, apsw.SQLITE_CONSTRAINT_PRIMARYKEY)
_MESSAGES: Final[tuple[tuple[type[apsw.Error], str], ...]] = (
    (apsw.BusyError, "the database {path} is locked by another process for too long"),
    (apsw.LockedError, "the database {path} is locked by another process for too long"),
    (apsw.FullError, "the disk of the database {path} is full"),
    (apsw.ReadOnlyError, "the database {path} cannot be written: check its owner and permissions"),
    (apsw.PermissionsError, "the database {path} cannot be opened: check its permissions"),
    (apsw.CantOpenError, "the database {path} cannot be opened: check that its folder is writable"),
    (apsw.NotADBError, "{path} is not a SQLite database: restore a backup or move it away"),
    (apsw.CorruptError, "the database {path} is damaged: stop and restore a backup"),
    (apsw.IOError, "reading or writing the database {path} failed: check its disk and mount"),
    (apsw.NoMemError, "not enough memory for the database {path}"),
    (apsw.TooBigError, "a value is too big for the database {path}"),
)


_OF_SYSTEM: Final = (apsw.IOError, apsw.CantOpenError)


class Database(QuickDatabase):
    """One connection to the database file.

    Attributes:
        dialect: SQLite's.
        own_tables: Statements that make the tables that hold no records.
        path: The database file.
        wal_pages: Pages in the log after the last commit of this connection.
        sync_error: A statement's own sync (of the log's header) failed.

    Raises:
        StoreError: The file cannot be opened as a database of ours.
    """

    dialect = SQLITE
    own_tables: tuple[str, ...] = (
        "CREATE TABLE IF NOT EXISTS _flin_schema (entity TEXT PRIMARY KEY, fields TEXT NOT NULL) "
        "STRICT, WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS _flin_session (id TEXT PRIMARY KEY, data BLOB NOT NULL, "
        "expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE INDEX IF NOT EXISTS _flin_session_expires ON _flin_session (expires_ms)",
    )

    def __init__(
        self,
        path: Path,
        *,
        vfs: str = "",
        busy_ms: int = 2000,
    ) -> None:
        self.path = path
        self.wal_pages = 0
        self.sync_error: DurabilityError | None = None
        self.waiting = []
        self._foreseen: list[InsertQueue] = []  # queues whose next id is known
        self._scan_started = 0.0
        self._scan_used = 0.0
        self._scan_limit_s = 0.0
        self._busy_s = busy_ms / 1000
        self._busy_since = 0.0
        self._busy_limit_s = self._busy_s
        self._rests_until = 0.0
        with self._translated():
            self._connection = apsw.Connection(
                str(path), vfs=vfs or None, statementcachesize=STATEMENT_CACHE_SIZE
            )
        try:
            with self._translated():
                self._configure()
        except BaseException:
            self._connection.close(force=True)
            raise

    def _configure(self) -> None:
        connection = self._connection
        connection.set_busy_handler(self._wait_for_lock)
        connection.execute(
            "PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; "
            f"PRAGMA cell_size_check = ON; PRAGMA cache_size = -{PAGE_CACHE_KIB}"
        )
        connection.execute("PRAGMA synchronous = NORMAL")
        mode = connection.pragma("journal_mode", "wal")
        if mode != "wal":
            raise StoreError(f"the database {self.path} cannot use a write-ahead log (got {mode})")
        connection.wal_autocheckpoint(0)
        connection.execute(f"PRAGMA journal_size_limit = {LOG_SIZE_KEPT}")
        connection.set_wal_hook(self._on_wal)
        self._run: Callable[..., apsw.Cursor] = connection.cursor().execute
        self.data_version = connection.data_version
        self.last_id = connection.last_insert_rowid
        self.changes = connection.changes

    def limit_scans(
        self, limit_s: float, processor_s: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        """From now on a query that scans for too long is FL512.

        Args:
            limit_s: Seconds of processor time, or `SCAN_PATIENCE` times as many in all: on a busy
                machine even a short query takes long, and is no fault of the program.
            processor_s: Processor time of the calling thread.
            monotonic: Time.
        """
        self._scan_limit_s = limit_s
        self._connection.set_progress_handler(
            lambda: self._over_limit(processor_s(), monotonic()), PROGRESS_STEPS
        )

    def _on_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.wal_pages = pages
        return apsw.SQLITE_OK

    def _wait_for_lock(self, tries: int) -> bool:
        """Pause before the next try; False when it has been tried for long enough."""
        now_s = time.monotonic()
        if tries == 0:
            self._busy_since = now_s
            if now_s < self._rests_until:
                return False
        elif now_s - self._busy_since > self._busy_limit_s:
            self._busy_limit_s = min(self._busy_s, BUSY_AGAIN_S)
            self._rests_until = now_s + BUSY_REST_S
            return False
        time.sleep(min(BUSY_PAUSE_S * (tries + 1), BUSY_PAUSE_MAX_S))
        return True

    def _over_limit(self, used_s: float, now_s: float) -> bool:
        if self._scan_started < 0:  # a write: cheap by construction, and must not be cut short
            return False
        if self._scan_started == 0:
            self._scan_used = used_s
            self._scan_started = now_s
            return False
        limit_s = self._scan_limit_s
        return (
            used_s - self._scan_used > limit_s
            or now_s - self._scan_started > SCAN_PATIENCE * limit_s
        )

    def _failure(self, error: apsw.Error) -> StoreError:
        self.aborted = self._connection.get_autocommit()
        ours = translate(error, str(self.path), self._connection.system_errno)
        if isinstance(ours, DurabilityError):
            self.sync_error = ours
        return ours

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise translate(error, str(self.path)) from error

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT.

        Raises:
            RuntimeFault: FL512, it scanned for longer than the limit.
            StoreError: SQLite refused.
            OverflowError: An integer among the values does not fit 64 bits.
        """
        if self.waiting:
            self.insert_waiting()
        return self._query(sql, values)

    def query_table(self, queue: InsertQueue, sql: str, values: Sequence[Any]) -> list[Row]:
        """query(), for a SELECT that reads one entity's table only."""
        if queue.rows:
            self.insert_waiting()
        return self._query(sql, values)

    def _query(self, sql: str, values: Sequence[Any]) -> list[Row]:
        self._scan_started = 0.0
        try:
            return self._run(sql, values).fetchall()
        except apsw.InterruptError:
            raise RuntimeFault(
                f"a query ran for more than {self._scan_limit_s:g} s",
                code="FL512",
                hint="narrow it with `where` on an indexed field, or add `.limit(n)`",
            ) from None
        except apsw.Error as error:
            raise self._failure(error) from error

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that gives no rows.

        Raises:
            UniqueViolation: A unique index has the value already.
            StoreError: SQLite refused.
        """
        if self.waiting:
            self.insert_waiting()
        self._scan_started = -1.0
        try:
            self._run(sql, values)
        except apsw.Error as error:
            raise self._refusal(error) from error

    def begin_write(self) -> None:
        """Begin a transaction that holds the write lock; raises StoreError after a wait."""
        self.execute("BEGIN IMMEDIATE")
        self._be_patient()

    def _be_patient(self) -> None:
        self._busy_limit_s = self._busy_s
        self._rests_until = 0.0

    def _refusal(self, error: apsw.Error) -> Exception:
        """What a statement that gives no rows raises instead of an error of SQLite's."""
        if isinstance(error, apsw.ConstraintError) and _extended(error) in _UNIQUE:
            return UniqueViolation(str(error).rpartition(".")[2])
        return self._failure(error)

    # --- records ----------------------------------------

    def insert(self, queue: InsertQueue, values: Sequence[Any]) -> int:
        """Insert a record; its id. Raises as execute()."""
        if self.waiting:
            self.insert_waiting()
        self._scan_started = -1.0
        try:
            self._run(queue.table.insert_sql, values)
        except apsw.Error as error:
            raise self._refusal(error) from error
        id = self.last_id()
        if queue.can_wait and id < ID_MAX and self.in_transaction():
            if not queue.next_id:
                self._foreseen.append(queue)
            queue.next_id = id + 1
        return id

    def insert_waiting(self) -> None:
        """Insert the rows that wait.

        Raises:
            StoreError: It failed, and the transaction is rolled back: some rows may be of handlers
                that have succeeded.
        """
        self._scan_started = -1.0
        try:
            for queue in self.waiting:
                self._insert_rows(queue)
                queue.rows.clear()
        except BaseException as error:
            ours = self._failure(error) if isinstance(error, apsw.Error) else None
            self.abort()
            if ours is None:
                raise
            raise ours from error
        self.waiting.clear()

    def _insert_rows(self, queue: InsertQueue) -> None:
        run, rows = self._run, queue.rows
        start, left = 0, len(rows)
        for count, sql in queue.statements:
            while left >= count:
                run(sql, joined(rows, start, start + count, queue.cell_count))
                start += count
                left -= count

    def abort(self) -> None:
        """Roll the whole transaction back; `aborted` is set, as after an error of SQLite's."""
        self.forget_ids()
        with contextlib.suppress(apsw.Error):
            if self.in_transaction():
                self._run("ROLLBACK")
        self.aborted = True

    def forget_ids(self) -> None:
        """The transaction is over: nothing waits, and others may insert from here on."""
        for queue in self._foreseen:
            queue.next_id = 0
            queue.rows.clear()
        self._foreseen.clear()
        self.waiting.clear()

    def take_back(self, table: Table, id: int) -> None:
        """Undo the last inserts into a table; the next record gets this id. Raises StoreError.

        Args:
            table: Its records with this id and higher ones are those to undo.
            id: What `insert` returned for the first of them: the one after the highest that the
                table had ever had.
        """
        self.execute(f"DELETE FROM {quote(table.name)} WHERE id >= ?", (id,))
        self.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (id - 1, table.name))

    def replace(self, table: Table, old: Row, cells: Sequence[Any], now: int, data: bytes) -> bool:
        """Archive the version that was read, then write the next one; see `engine.Database`."""
        id, deleted, version = old[0], old[-2], old[-1]
        self.execute(table.archive_sql, (data, id, version, deleted))
        if not self.changes():
            return False
        try:
            self.execute(table.update_sql, (*cells, now, version + 1, id))
        except UniqueViolation:
            self.execute(table.unarchive_sql)
            raise
        return True

    def restore(self, table: Table, row: Row) -> bool:
        """Clear deleted_at; whether the record still exists. Raises as execute()."""
        self.execute(table.restore_sql, (row[0],))
        return bool(self.changes())

    def append_history(self, table: Table, previous: int | None, row: Row) -> int:
        """Put a row in the history after `previous`; its place."""
        data = msgpack.packb(dict(zip(table.columns, row, strict=True)))
        self.execute(
            f"INSERT INTO {table.history} (previous, id, version, updated_at, data) "
            "VALUES (?, ?, ?, ?, ?)",
            (previous, row[0], row[-1], row[-3], data),
        )
        return self.last_id()

    def insert_whole(self, table: Table, row: Row, history: int | None) -> None:
        """Insert a record as it is, id and auto fields included; raises as execute()."""
        self.execute(table.insert_whole_sql, (*row, history))
        for queue in self._foreseen:
            queue.next_id = 0
        self._foreseen.clear()

    def continue_ids(self, table: Table, id: int) -> None:
        """New records get ids above this one: AUTOINCREMENT does it by itself."""

    # --- schema ----------------------------------------

    @property
    def label(self) -> str:
        """The file."""
        return str(self.path)

    def begin_schema(self) -> None:
        """Begin a transaction that holds the write lock."""
        self.begin_write()

    def end_schema(self, *, keep: bool) -> None:
        """Commit it, or take it back."""
        if keep:
            self.execute("COMMIT")
        elif self.in_transaction():
            self.execute("ROLLBACK")

    def check_format(self) -> None:
        """Refuse a database that is not ours or of a newer version; raises SchemaError."""
        (application,) = self.query("PRAGMA application_id")[0]
        (version,) = self.query("PRAGMA user_version")[0]
        if application == 0 and version == 0:
            (count,) = self.query("SELECT COUNT(*) FROM sqlite_schema")[0]
            if count:
                raise SchemaError(f"{self.path} is a database of another program")
            self.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        elif application != APPLICATION_ID:
            raise SchemaError(f"{self.path} is a database of another program")
        elif version > FORMAT_VERSION:
            raise SchemaError(
                f"{self.path} was written by a newer flinfast (format {version}, "
                f"this one knows {FORMAT_VERSION}): upgrade flinfast"
            )

    def indexes(self) -> list[tuple[str, str]]:
        """Names of indexes that were made by statements, with their tables."""
        return self.query(
            "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
        )

    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return not self._connection.get_autocommit()

    def define(self, name: str, function: Callable[..., Any]) -> None:
        """Make a deterministic one-argument SQL function."""
        self._connection.create_scalar_function(name, function, 1, deterministic=True)

    def checkpoint(self, *, restart: bool) -> tuple[int, int]:
        """Copy the log into the database file and sync both.

        Args:
            restart: Hold writers back until the whole log is copied, so that the next write
                starts it over; otherwise copy what can be copied without disturbing anyone.

        Returns:
            Pages in the log, and how many of them are copied.

        Raises:
            DurabilityError: A sync failed.
            StoreError: It could not be done now.
        """
        self._be_patient()  # it runs on a thread: whatever happened before, it can wait
        mode = apsw.SQLITE_CHECKPOINT_RESTART if restart else apsw.SQLITE_CHECKPOINT_PASSIVE
        with self._translated():
            return self._connection.wal_checkpoint(mode=mode)

    def close(self, *, keeps_log: bool = False) -> None:
        """Close the connection; the last one of all processes removes the log.

        Args:
            keeps_log: It neither copies nor removes it.
        """
        with self._translated():
            if keeps_log:
                self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._connection.close(force=True)
        self._run = self._refuse

    def _refuse(self, *_: object) -> Any:
        raise StoreError(f"the database {self.path} was opened again, for other entities")


class ReadOnly:
    """A connection that changes nothing, to a file that a server may be using."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT; raises StoreError."""
        try:
            return self.connection.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise translate(error, str(self._path)) from error


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[ReadOnly]:
    """Open a database file for reading.

    Raises:
        StoreError: It is missing or may not be read.
    """
    if not path.is_file():
        raise StoreError(f"there is no database {path}")
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise translate(error, str(path)) from error
    try:
        connection.set_busy_timeout(2000)
        yield ReadOnly(connection, path)
    finally:
        connection.close(force=True)


@contextlib.contextmanager
def copied(path: Path) -> Iterator[Database]:
    """A temporary copy that may be changed; raises StoreError."""
    import tempfile

    with read_only(path) as source, tempfile.TemporaryDirectory() as folder:
        target = Path(folder, FILE_NAME)
        try:
            source.connection.execute("VACUUM INTO ?", (str(target),)).fetchall()
        except apsw.Error as error:
            raise translate(error, str(path)) from error
        with contextlib.closing(Database(target)) as database:
            yield database


def run_shell(path: Path, commands: Sequence[str], *, writable: bool) -> int:
    """Run SQLite's shell, or these commands in it; exit status, 1 when one of them failed."""
    import apsw.shell

    flags = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
    try:
        connection = apsw.Connection(str(path), flags=flags)
    except apsw.Error as error:
        raise translate(error, str(path)) from error
    connection.set_busy_timeout(2000)
    shell = apsw.shell.Shell(db=connection)
    try:
        if not commands:
            shell.cmdloop()  # type: ignore[no-untyped-call]
            return 0
        for command in commands:
            shell.process_complete_line(command)  # type: ignore[no-untyped-call]
    except apsw.Error as error:
        if writable or not isinstance(error, apsw.ReadOnlyError):
            raise translate(error, str(path)) from error
        raise StoreError("this would change the database: give `--write` to allow it") from error
    except shell.Error:
        return 1
    finally:
        connection.close(force=True)
    return 0


class LogSync:
    """Syncs the `-wal` file from a thread.

    SQLite locks the database and `-shm` files, never the log, so a descriptor of our own on it
    takes no lock away when it closes. The log is one file for as long as any connection is open.
    """

    def __init__(self, database: Path) -> None:
        self._fd = os.open(f"{database}-wal", os.O_RDWR | os.O_CLOEXEC)

    def __call__(self) -> None:
        """Block until everything written to the log is on disk; raises OSError."""
        _sync_data(self._fd)

    def close(self) -> None:
        """Close the descriptor; no call may be running."""
        os.close(self._fd)


def _sync_data(fd: int) -> None:
    if sys.platform == "darwin":  # no fdatasync, and fsync does not reach the platter
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
