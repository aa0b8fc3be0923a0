"""The store: opens the database of a program and hands out entities and transactions.

Everything runs on the loop's thread except syncing the log and checkpoints, which the given
`run_in_thread` runs elsewhere. Clocks, threads, paths and the loop are arguments.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from flinfast.errors import DurabilityError, StoreError
from flinfast.store.base import BaseStore
from flinfast.store.commit import CallSoon, GroupCommit, RunInThread
from flinfast.store.condition import FUNCTIONS
from flinfast.store.in_place import FilesInPlace
from flinfast.store.migrate import open_schema
from flinfast.store.schema import EntitySpec
from flinfast.store.sqlite import FILE_NAME, Database, LogSync, sync_folder

# Pages of 4 KiB. Beyond the first, the log is copied into the database without disturbing
# anyone; beyond the second, writers wait for the rest to be copied so that the log can start over.
CHECKPOINT_PAGES: Final = 4_000  # 16 MiB
CHECKPOINT_PAGES_MAX: Final = 64_000  # 256 MiB
# The loop stands still while it waits for another process's write lock.
BUSY_MS: Final = 2_000
# The loop stands still while a query scans.
SCAN_LIMIT_S: Final = 2.0


class Store(BaseStore):
    """The entities of one program in `folder/flin.db`.

    Args:
        folder: Made with mode 0700 when missing.
        entities: What the program declares.
        durability: "full": acknowledged means synced to disk; "normal": handed to the operating
            system, which survives a crash of the process and not of the machine.
        clock_ms: Unix time in milliseconds.
        call_soon: Runs a function at the end of this loop turn.
        run_in_thread: `(work, done)`: runs `work` on a thread, then `done(result or exception)`
            in the loop.
        monotonic: Seconds, for the limit of long scans.
        processor_s: Processor time of the calling thread in seconds, for the same.
        scan_limit_s: Processor time that one query may use; see `Database.limit_scans`.
        busy_ms: Longest wait for another process's write lock.
        vfs: Name of a SQLite VFS, "" for the default (tests inject faults there).
        open_log_sync: Makes the object that syncs the log of a database (tests inject faults).

    Attributes:
        database: The connection.
        group: Transactions and group commit.

    Raises:
        SchemaError: The stored data does not fit the entities.
        StoreError: The database cannot be opened; the message says why.
    """

    database: Database
    group: GroupCommit

    def __init__(
        self,
        folder: Path,
        entities: Sequence[EntitySpec],
        *,
        durability: Literal["full", "normal"],
        clock_ms: Callable[[], int],
        call_soon: CallSoon,
        run_in_thread: RunInThread[Any],
        monotonic: Callable[[], float] = time.monotonic,
        processor_s: Callable[[], float] = time.thread_time,
        scan_limit_s: float = SCAN_LIMIT_S,
        busy_ms: int = BUSY_MS,
        vfs: str = "",
        open_log_sync: Callable[[Path], LogSync] = LogSync,
    ) -> None:
        self.clock_ms = clock_ms
        self._run_in_thread = run_in_thread
        self._closed = False
        self._vfs = vfs
        self._path = folder / FILE_NAME
        self._sync_lock = threading.Lock()
        self._checkpoint_lock = threading.Lock()
        self._checkpointing = False
        self._checkpoint_at = CHECKPOINT_PAGES
        is_new = _make_folder(folder, self._path)
        self.database = Database(self._path, vfs=vfs, busy_ms=busy_ms)
        try:
            self._schema = open_schema(self.database, entities)
            self.database.limit_scans(scan_limit_s, processor_s, monotonic)
            for name, function in FUNCTIONS.items():
                self.database.define(name, function)
            self._log_sync = _open_log(self._path, open_log_sync, sync_parent=is_new)
            self._files = _files_of(self._path)
        except BaseException:
            self.database.close()
            raise
        self._checkpointer: Database | None = None
        self._is_rescued = False
        self.group = GroupCommit(
            self.database,
            durability=durability,
            call_soon=call_soon,
            run_in_thread=run_in_thread,
            sync=self._sync,
            committed=self._maybe_checkpoint,
        )
        self._bind()

    def _schema_database(self) -> Database:
        return self.database

    def close(self) -> None:
        """Commit, sync, copy the log into the database and close; more calls do nothing.

        A handler that is still running is rolled back.

        Raises:
            StoreError: What was written last is lost.
        """
        if self._closed:
            return
        try:
            if self.group.in_handler:
                self.rollback()
            self.group.flush()
        finally:
            self._closed = True
            with self._sync_lock:
                self._log_sync.close()
            # Closing copies the log into the database and removes what has the log's name: only
            # while those are ours.
            keeps_log = bool(self._files.fault()) and not self._files.is_only_log_gone()
            with self._checkpoint_lock:
                if self._checkpointer is not None:
                    self._checkpointer.close(keeps_log=keeps_log)
            self.database.close(keeps_log=keeps_log)

    def look_after(self) -> str:
        """Notice what happened to the files, which somebody may have removed or replaced.

        Returns:
            What is wrong, once; "" as a rule.
        """
        if self._closed:
            return ""
        fault = self._files.fault()
        if not fault:
            return ""
        if not self._is_rescued and self._files.is_only_log_gone():
            with contextlib.suppress(StoreError):  # in the middle of a transaction: next time
                self.database.checkpoint(restart=False)
                self._is_rescued = True
        is_new = self.group.failed is None
        self.group.fail(DurabilityError(fault))
        return fault if is_new else ""

    # --- on threads ----------------------------------------

    def _sync(self) -> None:
        with self._sync_lock:
            if self._closed:
                return
            self._log_sync()
            if fault := self._files.fault():
                raise DurabilityError(fault)

    def _maybe_checkpoint(self) -> None:
        pages = self.database.wal_pages
        if pages < self._checkpoint_at - CHECKPOINT_PAGES:
            self._checkpoint_at = CHECKPOINT_PAGES  # the log has started over since the last one
        if pages >= self._checkpoint_at and not self._checkpointing:
            self._checkpointing = True
            restart = pages >= CHECKPOINT_PAGES_MAX
            self._run_in_thread(lambda: self._checkpoint(restart), self._checkpointed)

    def _checkpoint(self, restart: bool) -> None:
        with self._checkpoint_lock:
            if self._closed:
                return
            if fault := self._files.fault():  # another database would be opened
                raise DurabilityError(fault)
            if self._checkpointer is None:
                self._checkpointer = Database(self._path, vfs=self._vfs, busy_ms=BUSY_MS)
            self._checkpointer.checkpoint(restart=False)
            if restart:
                self._checkpointer.checkpoint(restart=True)

    def _checkpointed(self, result: object) -> None:
        self._checkpointing = False
        # Under load the log cannot start over at once, and a checkpoint that failed for any
        # reason but a sync has lost nothing: the next one is due when the log has grown again.
        self._checkpoint_at = self.database.wal_pages + CHECKPOINT_PAGES
        if isinstance(result, DurabilityError):
            self.group.fail(result)


def _make_folder(folder: Path, path: Path) -> bool:
    """Make the folder and an empty database file; whether the folder is new."""
    try:
        is_new = not folder.exists()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # Before SQLite opens it: closing a descriptor later would drop SQLite's locks.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"the database folder {folder} cannot be used: {error.strerror}: "
            "check its owner and permissions"
        ) from error
    return is_new


def _files_of(path: Path) -> FilesInPlace:
    try:
        return FilesInPlace(path)
    except OSError as error:
        raise StoreError(
            f"the database {path} was taken away while it was opened: {error.strerror}"
        ) from error


def _open_log(
    path: Path, open_log_sync: Callable[[Path], LogSync], *, sync_parent: bool
) -> LogSync:
    """Open the log and make it durable as it is: a killed process may not have synced its end."""
    try:
        log_sync = open_log_sync(path)
        log_sync()
        sync_folder(path.parent)  # the log is a new file whenever the last process closed it
        if sync_parent:
            sync_folder(path.parent.parent)
    except OSError as error:
        raise StoreError(
            f"the log of the database {path} cannot be synced: {error.strerror}"
        ) from error
    return log_sync
