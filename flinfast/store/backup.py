"""Backups of the embedded database: taken while a server writes, put back in one step.

A backup is an ordinary database file without a log. It is written beside its final name, synced,
and renamed, so that a file of that name is always a whole one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import apsw

from flinfast.errors import StoreError
from flinfast.store.check import identity, integrity
from flinfast.store.presence import alone
from flinfast.store.sqlite import FILE_NAME, read_only, sync_folder, translate

Progress = Callable[[int, int], None]  # (pages done, pages in all)

STEP_PAGES: Final = 2048  # copied between two looks at the progress: 8 MiB
_EMPTY: Final = ("-wal", "-shm", "-journal")


def backup(source: Path, target: Path, progress: Progress | None = None) -> None:
    """Copy a database as it is at one moment; writers go on meanwhile.

    The copy reads one snapshot from beginning to end, so a busy server cannot make it start over.

    Args:
        source: The database file.
        target: The copy (0600); must not exist.
        progress: Told after every STEP_PAGES pages.

    Raises:
        StoreError: There is no such database, the target exists, or copying failed; then nothing
            is left of the copy.
    """
    if target.exists():
        raise StoreError(f"{target} exists: give another name or remove it")
    with _written(target) as temporary:
        _copy(source, temporary, progress, name=target)


def _copy(source: Path, target: Path, progress: Progress | None, *, name: Path) -> None:
    """Copy to a file that will be called `name`."""
    with read_only(source) as database:
        try:
            copy = apsw.Connection(str(target))
            try:
                # A read transaction of our own: the backup sees this snapshot to its end.
                database.connection.execute("BEGIN")
                database.connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
                with copy.backup("main", database.connection, "main") as run:
                    while not run.done:
                        run.step(STEP_PAGES)
                        if progress is not None:
                            progress(run.page_count - run.remaining, run.page_count)
                copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            finally:
                copy.close(force=True)
        except apsw.FullError as error:
            raise StoreError(f"{name} cannot be written: its disk is full") from error
        except apsw.Error as error:
            raise translate(error, str(source)) from error


@contextlib.contextmanager
def _written(target: Path) -> Iterator[Path]:
    """A name to write to, which becomes `target` when the block succeeds, whole or not at all."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.rename(target)
            sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error


def next_name(folder: Path, what: str) -> Path:
    """A name that is free: `flin-before-<what>-<number>.db` in the folder of backups."""
    backups = folder / "backups"
    number = 1
    while (path := backups / f"flin-before-{what}-{number}.db").exists():
        number += 1
    return path


def restore(folder: Path, source: Path, progress: Progress | None = None) -> Path | None:
    """Put a backup in the place of the database, in one step.

    Args:
        folder: Where the data lies.
        source: The backup.
        progress: As for `backup`.

    Returns:
        Where the database that was there is kept, None without one.

    Raises:
        StoreError: A server runs, the backup is damaged, not ours or of a newer version, or
            copying failed. The database is as it was then.
    """
    problems = identity(source) or integrity(source)
    if problems:
        raise StoreError(f"{source} cannot be restored: {problems[0]}")
    path = folder / FILE_NAME
    with alone(folder, "restoring a backup"):
        copy = path.with_name(f".{FILE_NAME}.restored")
        copy.unlink(missing_ok=True)
        with _written(copy) as temporary:
            _copy(source, temporary, progress, name=path)
        try:
            kept = _set_aside(folder, path) if path.exists() else None
            copy.rename(path)
            sync_folder(folder)
        except OSError as error:
            raise StoreError(f"{path} cannot be replaced: {error.strerror}") from error
        finally:
            copy.unlink(missing_ok=True)
    return kept


def _set_aside(folder: Path, path: Path) -> Path:
    """Keep the database under another name as well, with its log folded into it.

    From here to the rename the old database is whole at all times: without a log, its file alone
    is the database.
    """
    kept = next_name(folder, "restore")
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        finally:
            connection.close(force=True)
    except (apsw.NotADBError, apsw.CorruptError):
        # Damaged: its parts are kept as they are.
        for suffix in _EMPTY:
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
    except apsw.Error as error:
        raise translate(error, str(path)) from error
    os.link(path, kept)
    return kept
