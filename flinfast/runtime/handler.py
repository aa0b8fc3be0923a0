"""A handler is a transaction: what it writes and what it sends happen together or not at all.

`Transaction` joins the two logs of one run: the hub's effects and the store's savepoint. Effects of
a run that wrote, or that saw writes which are not durable yet, leave when those are on disk.

    begin -> handler -> commit -> (durable) -> sends and response leave
                     -> rollback: only the error leaves

A wait in the middle is a commit point: what came before it can no longer be taken back, so such a
run is not repeated on a conflict.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flinfast.errors import ConflictFault, DurabilityError, RuntimeFault, StoreError
from flinfast.runtime.file_log import RUNNING, FileLog

if TYPE_CHECKING:
    from flinfast.native.hub import Connection, Held, Hub

RETRIES_MAX = 5  # runs after the first one that met a conflict

Done = Callable[[BaseException | None], None]

_NO_FILES = FileLog()  # of runs that change none


class Transaction:
    """One run of a handler.

    Args:
        hub: Effect log.
        store: Database.
        current: Connection the handler runs for, None for a request.
        uses_store: Whether it reads or writes stored data.
        writes: Whether it may write; then the write lock is taken before its first read.
    """

    __slots__ = (
        "_current",
        "_files",
        "_held",
        "_hub",
        "_is_open",
        "_is_paused",
        "_parts",
        "_store",
        "_uses_store",
        "_writes",
        "has_waited",
    )

    def __init__(
        self, hub: Hub, store: Any, current: Connection | None, *, uses_store: bool, writes: bool
    ) -> None:
        self._hub = hub
        self._store = store
        self._current = current
        self._uses_store = uses_store or writes
        self._writes = writes
        self._is_open = False
        self._is_paused = False
        self._held = False  # whether an earlier part of this run had to wait for durability
        self._files = _NO_FILES
        self._parts: list[Held] = []  # what was done before statements that had to wait
        self.has_waited = False

    def begin(self) -> None:
        """Open both logs.

        Raises:
            StoreError: The database cannot be used.
        """
        if self._uses_store:
            self._store.begin(writes=self._writes)
        try:
            self._hub.begin(self._current)
        except BaseException:
            if self._uses_store:
                self._store.rollback()
            raise
        self._is_open = True
        if self._uses_store:
            self._files = FileLog()
            RUNNING.set(self._files)

    def adopt(self) -> None:
        """The hub's log is open already; this transaction ends it."""
        self._is_open = True

    def use_store(self) -> None:
        """The run writes although nobody expected it (its session changed)."""
        if not self._uses_store:
            self._store.begin(writes=True)
            self._uses_store = self._writes = True

    def commit(
        self,
        done: Done | None = None,
        *,
        hold: bool = False,
        committed: Callable[[], None] | None = None,
    ) -> None:
        """The run succeeded.

        Args:
            done: Called with None when everything it did is durable and its sends have left, or
                with an error when its writes were lost; perhaps before this returns.
            hold: It saw something that is not durable although it did not ask the store.
            committed: Called before `done`, when the next handler can see what this one wrote.

        Raises:
            StoreError: What it wrote is lost; the transaction is over.
        """
        files = self._end_files()
        try:
            files.publish()
        except RuntimeFault:
            self.abandon()
            raise
        self._is_open = False
        try:
            must_wait = self._store.commit() if self._uses_store else False
        except BaseException:
            files.retract()
            self._hub.rollback()
            self._discard_parts()
            raise
        if must_wait or self._held or hold or self._parts:
            self._held = must_wait or self._held or hold
            held = [*self._parts, self._hub.hold()]
            self._parts = []
            if committed is not None:
                committed()
            self._store.after_durable(self._releaser(held, files, done))
            return
        files.settle()
        self._hub.commit()
        if committed is not None:
            committed()
        if done is not None:
            done(None)

    def _discard_parts(self) -> None:
        for part in self._parts:
            self._hub.discard(part)
        self._parts = []

    def _end_files(self) -> FileLog:
        """The run is over as far as files are concerned; what it did to them."""
        files, self._files = self._files, _NO_FILES
        if files is not _NO_FILES:
            RUNNING.set(None)
        return files

    def _releaser(self, held: list[Held], files: FileLog, done: Done | None) -> Done:
        hub = self._hub

        def durable(error: BaseException | None) -> None:
            if error is None:
                files.settle()
            elif not isinstance(error, DurabilityError):
                files.retract()  # after a failed sync the rows may be there all the same
            for part in held:
                if error is None:
                    hub.release(part)
                else:
                    hub.discard(part)
            if done is not None:
                done(error)

        return durable

    def abandon(self) -> None:
        """The run failed: forget its effects and its writes; no effect once it was committed."""
        if not self._is_open:
            return
        self._is_open = False
        self._end_files().retract()
        self._hub.rollback()
        self._discard_parts()
        if self._uses_store:
            with contextlib.suppress(StoreError):  # the whole turn is lost, this run with it
                self._store.rollback()

    # --- CommitPoint ----------------------------------------

    def suspend(self) -> None:
        """Commit what was done so far; the handler is about to wait."""
        self.has_waited = True
        self.commit()

    def resume(self) -> None:
        """Begin again; the handler goes on."""
        self.begin()

    def pause(self) -> None:
        """Others run while a statement does: set aside what this run has asked for."""
        self._is_paused = self._hub.in_handler  # not after the end, when the answer is made
        if self._is_paused:
            self._parts.append(self._hub.hold())

    def unpause(self) -> None:
        """The handler goes on."""
        if self._is_paused:
            self._hub.begin(self._current)


def may_retry(error: BaseException, transaction: Transaction, attempt: int) -> bool:
    """Whether a run that failed is to be repeated from its start.

    Args:
        error: What ended it.
        transaction: Its transaction, rolled back.
        attempt: 0 for the first run.
    """
    return isinstance(error, ConflictFault) and attempt < RETRIES_MAX and not transaction.has_waited
