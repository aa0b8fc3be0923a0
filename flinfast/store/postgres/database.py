"""Statements and transactions on PostgreSQL.

Each handler is a serialisable transaction on a connection of its own, taken at its first
statement. A conflict is a ConflictFault: whoever runs handlers repeats the run from its start.
COMMIT is what makes it durable, so nothing is held back afterwards.

Who runs a statement finds its transaction in a context variable: greenlets and threads each have
their own context.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import msgpack

from flinfast.errors import DurabilityError, SchemaError, StoreError, ValidationFault
from flinfast.store.dialect import Dialect
from flinfast.store.engine import AfterCommit, Done, Undoable, UniqueViolation
from flinfast.store.insert_queue import InsertQueue
from flinfast.store.postgres.bridge import Bridge, Wait, block
from flinfast.store.postgres.dialect import POSTGRES
from flinfast.store.postgres.fault import LOST, translate
from flinfast.store.schema import Row, Stored, Table, quote

FORMAT_VERSION: Final = 1  # of the tables named _flin_*
SERVER_MIN: Final = 140_000  # 14: numeric knows infinity
SCHEMA_LOCK: Final = 0x464C494E  # advisory lock: "FLIN"
CONNECT_S: Final = 10.0
ACQUIRE_S: Final = 10.0
IDLE_IN_TRANSACTION_MS: Final = 60_000
# A b-tree refuses longer entries (a third of a page).
INDEXED_BYTES_MAX: Final = 2_600
BEGIN_TRIES: Final = 3  # connections tried when the server has closed pooled ones

Use = Callable[[Any], Coroutine[Any, Any, Any]]  # of a connection

_MARK: Final = re.compile(r"\?")


class _Unit:
    """The transaction of one handler."""

    __slots__ = ("begin", "connection", "is_over", "task", "undo")

    def __init__(self, begin: str = "BEGIN") -> None:
        self.begin = begin
        self.connection: Any = None
        self.task: asyncio.Task[Any] | None = None
        self.undo: list[tuple[Undoable, Any]] = []
        self.is_over = False


class PostgresDatabase:
    """A pool of connections.

    Args:
        url: `postgres://user:password@host:port/name`.
        wait: Waits for a result; see `bridge.block`.
        connections: Most connections at a time.
        synchronous: Whether COMMIT waits for the disk.
        statement_s: Longest time of one statement.

    Raises:
        StoreError: It cannot be reached or used.
    """

    dialect: Dialect = POSTGRES
    own_tables: tuple[str, ...] = (
        "CREATE TABLE IF NOT EXISTS _flin_format (version INTEGER NOT NULL)",
        f"INSERT INTO _flin_format SELECT {FORMAT_VERSION} "
        "WHERE NOT EXISTS (SELECT 1 FROM _flin_format)",
        'CREATE TABLE IF NOT EXISTS _flin_schema (entity TEXT COLLATE "C" PRIMARY KEY, '
        "fields TEXT NOT NULL)",
        'CREATE TABLE IF NOT EXISTS _flin_session (id TEXT COLLATE "C" PRIMARY KEY, '
        "data BYTEA NOT NULL, expires_ms BIGINT NOT NULL)",
        "CREATE INDEX IF NOT EXISTS _flin_session_expires ON _flin_session (expires_ms)",
    )

    def __init__(
        self,
        url: str,
        *,
        wait: Wait = block,
        connections: int,
        synchronous: bool,
        statement_s: float,
    ) -> None:
        parts = urlsplit(url)
        self.label = f"{parts.hostname or 'local'}{parts.path}"
        self._url = url
        self._wait = wait
        self._unit: ContextVar[_Unit | None] = ContextVar("flin_unit", default=None)
        self._texts: dict[str, str] = {}
        self._bridge = Bridge()
        try:
            self._pool = self._result(
                self._connect(connections, synchronous, statement_s), wait=block
            )
        except BaseException:
            self._bridge.close(_nothing())
            raise

    async def _connect(self, connections: int, synchronous: bool, statement_s: float) -> Any:
        server_settings = {
            "application_name": "flinfast",
            "default_transaction_isolation": "serializable",
            "synchronous_commit": "on" if synchronous else "off",
            "statement_timeout": str(int(statement_s * 1000)),
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
        }
        pool = await asyncpg.create_pool(
            self._url,
            min_size=1,
            max_size=connections,
            timeout=CONNECT_S,
            init=_prepare_connection,
            reset=_keep_settings,
            server_settings=server_settings,
        )
        async with pool.acquire() as connection:
            version = int(await connection.fetchval("SHOW server_version_num"))
            encoding = await connection.fetchval("SHOW server_encoding")
        if version < SERVER_MIN or encoding != "UTF8":
            await pool.close()
            raise StoreError(
                f"the database {self.label} must be PostgreSQL {SERVER_MIN // 10_000} or newer "
                f"with the encoding UTF8, not {version // 10_000} with {encoding}"
            )
        return pool

    def close(self) -> None:
        """Close every connection."""
        self._bridge.close(self._pool.close())

    # --- waiting ----------------------------------------

    def _result(self, work: Coroutine[Any, Any, Any], *, wait: Wait | None = None) -> Any:
        try:
            return (wait or self._wait)(lambda done: self._bridge.submit(work, done))
        except Exception as error:
            ours = translate(error, self.label)
            if ours is error:
                raise
            raise ours from error

    def _current(self) -> _Unit | None:
        unit = self._unit.get()
        return None if unit is None or unit.is_over else unit

    async def _within(self, unit: _Unit | None, use: Use) -> Any:
        """Use the connection of a transaction, or any one for a statement alone."""
        if unit is None:
            async with self._pool.acquire(timeout=ACQUIRE_S) as connection:
                return await use(connection)
        unit.task = asyncio.current_task()
        try:
            if unit.connection is None:
                await self._open(unit)
            return await use(unit.connection)
        finally:
            unit.task = None

    async def _open(self, unit: _Unit) -> None:
        """Take a connection and begin; one that the server has closed meanwhile is not used."""
        for rest in range(BEGIN_TRIES - 1, -1, -1):
            connection = await self._pool.acquire(timeout=ACQUIRE_S)
            try:
                await connection.execute(unit.begin)
            except BaseException as error:
                connection.terminate()
                await self._pool.release(connection)
                if not (rest and isinstance(error, LOST)):
                    raise
            else:
                unit.connection = connection
                return

    # --- statements ----------------------------------------

    def _text(self, sql: str) -> str:
        """The statement with `$1` for the first `?`, and so on."""
        text = self._texts.get(sql)
        if text is None:
            if len(self._texts) >= 10_000:
                self._texts.clear()
            numbers = itertools.count(1)
            text = self._texts[sql] = _MARK.sub(lambda _: f"${next(numbers)}", sql)
        return text

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT; see `engine.Database`."""
        text = self._text(sql)

        async def fetch(connection: Any) -> list[Row]:
            return [tuple(record) for record in await connection.fetch(text, *values)]

        found: list[Row] = self._result(self._within(self._current(), fetch))
        return found

    def query_table(self, queue: InsertQueue, sql: str, values: Sequence[Any]) -> list[Row]:
        """query(): nothing waits."""
        return self.query(sql, values)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that gives no rows; see `engine.Database`."""
        self._run(sql, values)

    def _run(self, sql: str, values: Sequence[Any]) -> int:
        """Rows that a statement changed."""
        text = self._text(sql)

        async def run(connection: Any) -> str:
            status: str = await connection.execute(text, *values)
            return status

        count: str = self._result(self._within(self._current(), run)).rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    # --- records ----------------------------------------

    def insert(self, table: Table, values: Sequence[Any]) -> int:
        """Insert a record; its id."""
        cells = values[: len(table.fields)]
        self._check(table, cells, None)
        packed = (*self._packed(table, cells, 1), *values[len(table.fields) :])
        id: int = self.query(f"{table.insert_sql} RETURNING id", packed)[0][0]
        return id

    def replace(self, table: Table, old: Row, cells: Sequence[Any], now: int, data: bytes) -> bool:
        """Archive the version that was read and write the next one, in one statement."""
        id, deleted, version = old[0], old[-2], old[-1]
        if deleted is None:
            self._check(table, cells, old)
        values = (data, id, version, deleted, *self._packed(table, cells, 1), now, version + 1, id)
        return self._run(_replace_sql(table), values) == 1

    def restore(self, table: Table, row: Row) -> bool:
        """Clear deleted_at; whether the record still exists."""
        (found,) = self.query(f"SELECT COUNT(*) FROM {quote(table.name)} WHERE id = ?", row[:1])[0]
        if not found:
            return False
        if row[-2] is not None:
            select = f"SELECT {table.select_list} FROM {quote(table.name)} WHERE id = ?"
            stored = self.query(select, row[:1])[0]
            self._check_unique(table, stored[1:-4], None, row[0])
        return self._run(table.restore_sql, row[:1]) == 1

    def _packed(self, table: Table, cells: Sequence[Any], first: int) -> Sequence[Any]:
        """Cells as the columns have them; `first` is the position of cells[0] in a row."""
        places = POSTGRES.packed(table)
        if not places:
            return cells
        result = list(cells)
        for place in places:
            cell = result[place - first]
            if cell is not None:
                result[place - first] = msgpack.packb(cell)
        return result

    def _check(self, table: Table, cells: Sequence[Any], old: Row | None) -> None:
        """What an index would refuse: then the transaction could not go on."""
        too_long = {
            column.name: f"must be at most {INDEXED_BYTES_MAX} bytes where it is indexed"
            for column in table.columns.values()
            if column.indexed
            and isinstance(cells[column.index - 1], (str, bytes))
            and _size(cells[column.index - 1]) > INDEXED_BYTES_MAX
        }
        if too_long:
            raise ValidationFault(too_long)
        self._check_unique(table, cells, old, None if old is None else old[0])

    def _check_unique(
        self, table: Table, cells: Sequence[Any], old: Row | None, id: int | None
    ) -> None:
        wanted = [
            column
            for column in table.columns.values()
            if column.field is not None
            and column.field.unique
            and cells[column.index - 1] is not None
            and (old is None or old[column.index] != cells[column.index - 1])
        ]
        if not wanted:
            return
        packed = self._packed(table, cells, 1)
        parts, values = [], []
        for column in wanted:
            parts.append(
                f"SELECT {column.index} FROM {quote(table.name)} WHERE {quote(column.name)} = ? "
                "AND deleted_at IS NULL AND id IS DISTINCT FROM ?::bigint"
            )
            values += [packed[column.index - 1], id]
        rows = self.query(f"{' UNION ALL '.join(parts)} LIMIT 1", values)
        for column in wanted:
            if rows and rows[0][0] == column.index:
                raise UniqueViolation(column.name)

    def append_history(self, table: Table, previous: int | None, row: Row) -> int:
        """Put a row in the history after `previous`; its place."""
        data = msgpack.packb(dict(zip(table.columns, row, strict=True)))
        place: int = self.query(
            f"INSERT INTO {table.history} (previous, id, version, updated_at, data) "
            "VALUES (?, ?, ?, ?, ?) RETURNING place",
            (previous, row[0], row[-1], row[-3], data),
        )[0][0]
        return place

    def insert_whole(self, table: Table, row: Row, history: int | None) -> None:
        """Insert a record as it is, id and auto fields included."""
        if self.query(f"SELECT 1 FROM {quote(table.name)} WHERE id = ?", row[:1]):
            raise UniqueViolation("id")
        if row[-2] is None:
            self._check(table, row[1:-4], None)
        self._run(table.insert_whole_sql, (*self._packed(table, row, 0), history))

    def continue_ids(self, table: Table, id: int) -> None:
        """New records get ids above this one."""
        self.query(
            f"SELECT setval(pg_get_serial_sequence(?, 'id'), "
            f"GREATEST((SELECT MAX(id) FROM {quote(table.name)}), 1))",
            (quote(table.name),),
        )

    # --- schema ----------------------------------------

    def begin_schema(self) -> None:
        """Begin a transaction that excludes every other one that changes tables."""
        # Not serialisable: what counts is what is there when the lock is given.
        self._unit.set(_Unit("BEGIN ISOLATION LEVEL READ COMMITTED"))
        self.query("SELECT pg_advisory_xact_lock(?)", (SCHEMA_LOCK,))

    def end_schema(self, *, keep: bool) -> None:
        """Commit it, or take it back."""
        unit = self._current()
        assert unit is not None
        self._unit.set(None)
        unit.is_over = True
        self._result(self._end(unit, "COMMIT" if keep else "ROLLBACK"))

    def check_format(self) -> None:
        """Refuse a database of a newer version, and names that PostgreSQL would cut."""
        if not self.query("SELECT 1 WHERE to_regclass('_flin_format') IS NOT NULL"):
            return
        (version,) = self.query("SELECT MAX(version) FROM _flin_format")[0]
        if version is not None and version > FORMAT_VERSION:
            raise SchemaError(
                f"the database {self.label} was written by a newer flinfast (format {version}, "
                f"this one knows {FORMAT_VERSION}): upgrade flinfast"
            )

    def servers(self) -> int:
        """Connections of other processes of ours to the same database."""
        (count,) = self.query(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'flinfast' AND pid <> pg_backend_pid()"
        )[0]
        own = self._pool.get_size()
        return max(0, int(count) + 1 - int(own))

    def indexes(self) -> list[tuple[str, str]]:
        """Names of indexes that were made by statements, with their tables."""
        rows = self.query(
            "SELECT i.relname::text, t.relname::text FROM pg_index "
            "JOIN pg_class AS i ON i.oid = indexrelid JOIN pg_class AS t ON t.oid = indrelid "
            "JOIN pg_namespace AS n ON n.oid = i.relnamespace "
            "WHERE n.nspname = current_schema() AND NOT indisprimary"
        )
        return [(name, owner) for name, owner in rows]

    # --- transactions ----------------------------------------

    def begin_unit(self) -> None:
        """A handler starts; it has no connection before its first statement."""
        if self._current() is not None:
            raise StoreError("a handler began before the last one ended")
        self._unit.set(_Unit())

    def has_unit(self) -> bool:
        """Whether a handler has begun."""
        return self._current() is not None

    def note(self, record: Undoable) -> None:
        """A record is about to change."""
        unit = self._current()
        if unit is not None:
            unit.undo.append((record, record._row))

    def commit_unit(self) -> None:
        """The handler succeeded; raises StoreError or ConflictFault when it did not stay."""
        unit = self._current()
        if unit is None:
            raise StoreError("no handler is running")
        try:
            if unit.connection is not None:
                self._result(self._end(unit, "COMMIT"))
        except BaseException:
            _undo(unit)
            raise
        finally:
            unit.is_over = True
            self._unit.set(None)
        for record, _ in unit.undo:
            if type(record) is AfterCommit:
                record.done()

    def rollback_unit(self) -> None:
        """The handler failed; the connection is cleared while others go on."""
        unit = self._current()
        if unit is None:
            return
        unit.is_over = True
        self._unit.set(None)
        _undo(unit)
        self._bridge.submit(self._end(unit, "ROLLBACK"), lambda _: None)

    async def _end(self, unit: _Unit, statement: str) -> None:
        """COMMIT or ROLLBACK, and give the connection back whatever comes of it."""
        task = unit.task
        if task is not None:  # the handler did not wait for its statement's end
            task.cancel()
            await asyncio.wait([task])
        connection, unit.connection = unit.connection, None
        if connection is None:
            return
        try:
            status = await connection.execute(statement)
            if status != statement:
                raise StoreError("the transaction was rolled back after an error")
        except BaseException:
            connection.terminate()  # whatever it holds must not reach the next handler
            raise
        finally:
            await self._pool.release(connection)


class PostgresTransactions:
    """Makes a handler a transaction; see `engine.Transactions`."""

    idle = False

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self.read = False
        self.failed: DurabilityError | None = None

    @property
    def in_handler(self) -> bool:
        """Whether a handler has begun and neither committed nor rolled back."""
        return self._database.has_unit()

    @property
    def pending(self) -> bool:
        """COMMIT waits for the disk: nothing is ever committed and not durable."""
        return False

    def begin(self, *, writes: bool) -> None:
        """A handler starts."""
        self._database.begin_unit()

    def commit(self) -> bool:
        """It succeeded; its effects need not wait for anything else."""
        self._database.commit_unit()
        return False

    def rollback(self) -> None:
        """It failed: nothing it wrote stays, its records get their old rows back."""
        self._database.rollback_unit()

    def after_durable(self, done: Done) -> None:
        """Call `done` now."""
        done(None)

    def open_read(self) -> None:
        """The first statement begins the transaction."""

    def writing(self, record: Undoable | None) -> None:
        """A statement is about to write."""
        if record is not None:
            self._database.note(record)

    def after_commit(self, done: Callable[[], None]) -> None:
        """Call `done` after the handler's COMMIT; a statement of no handler is committed."""
        if self._database.has_unit():
            self._database.note(AfterCommit(done))
        else:
            done()

    def lock(self) -> None:
        """The transaction is serialisable."""

    def insert(self, record: Undoable, queue: InsertQueue, tail: tuple[Stored, ...]) -> None:
        """Insert a new record and give it its row; nothing waits."""
        self._database.note(record)
        record._row = (self._database.insert(queue.table, tail[:-2]), *tail)

    def flush(self) -> None:
        """Nothing is kept back."""


def _undo(unit: _Unit) -> None:
    while unit.undo:
        record, row = unit.undo.pop()
        record._row = row


def _size(cell: str | bytes) -> int:
    return len(cell.encode() if isinstance(cell, str) else cell)


def _replace_sql(table: Table) -> str:
    known: str | None = table.__dict__.get("_replace_sql")
    if known is None:
        name = quote(table.name)
        sets = [f"{quote(spec.name)} = ?" for spec in table.fields]
        sets += ["updated_at = ?", "version = ?", "_flin_history = past.place"]
        known = table.__dict__["_replace_sql"] = (
            f"WITH past AS (INSERT INTO {table.history} (previous, id, version, updated_at, data) "
            f"SELECT _flin_history, id, version, updated_at, ?::bytea FROM {name} WHERE id = ? "
            "AND version = ? AND deleted_at IS NOT DISTINCT FROM ?::bigint RETURNING place) "
            f"UPDATE {name} SET {', '.join(sets)} FROM past WHERE {name}.id = ?"
        )
    return known


async def _prepare_connection(connection: Any) -> None:
    """Booleans are 0 and 1, as cells of every engine are."""
    await connection.set_type_codec(
        "bool",
        schema="pg_catalog",
        encoder=lambda value: b"\1" if value else b"\0",
        decoder=lambda data: data[0],
        format="binary",
    )


async def _keep_settings(connection: Any) -> None:
    """Nothing of a handler outlives its transaction, so there is nothing to reset."""


async def _nothing() -> None:
    return None
