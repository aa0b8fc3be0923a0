"""Where sessions outlive the process: opaque bytes by id, with an expiry.

Writes join the group commit: inside a handler they stay or go with it, outside they belong to the
loop turn.
"""

from __future__ import annotations

from collections.abc import Callable

from flinfast.store.engine import Database, Transactions


class SessionTable:
    """The table `_flin_session`."""

    def __init__(
        self, database: Database, commit: Transactions, clock_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._commit = commit
        self._clock_ms = clock_ms

    def get(self, id: str) -> bytes | None:
        """Data of a session that has not expired."""
        commit = self._commit
        commit.read = True
        if commit.idle:
            commit.open_read()
        rows = self._database.query(
            "SELECT data FROM _flin_session WHERE id = ? AND expires_ms > ?",
            (id, self._clock_ms()),
        )
        return rows[0][0] if rows else None

    def all(self) -> list[tuple[str, bytes, int]]:
        """Every session: id, data, and when it expires."""
        self._commit.read = True
        if self._commit.idle:
            self._commit.open_read()
        return self._database.query("SELECT id, data, expires_ms FROM _flin_session ORDER BY id")

    def put(self, id: str, data: bytes, expires_ms: int) -> None:
        """Insert or replace; `expires_ms` is Unix time in milliseconds."""
        self._write(
            "INSERT INTO _flin_session VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET data = excluded.data, expires_ms = excluded.expires_ms",
            (id, data, expires_ms),
        )

    def delete(self, id: str) -> None:
        """Remove a session; no error when absent."""
        self._write("DELETE FROM _flin_session WHERE id = ?", (id,))

    def purge(self, now_ms: int) -> None:
        """Remove every session that expired at or before `now_ms`."""
        self._write("DELETE FROM _flin_session WHERE expires_ms <= ?", (now_ms,))

    def _write(self, sql: str, values: tuple[str | bytes | int, ...]) -> None:
        self._commit.writing(None)
        self._database.execute(sql, values)
