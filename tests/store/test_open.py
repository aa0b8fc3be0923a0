"""Opening: what cannot be used gives a StoreError that says what to do."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from flinfast.errors import StoreError
from flinfast.store import sqlite
from flinfast.store.sqlite import FILE_NAME, Database
from tests.store.fault_vfs import FaultVfs
from tests.store.store_loop import FakeLoop, make, open_store

ROOT = Path(__file__).parents[2]


def filled(folder: Path, records: int = 200) -> Path:
    """A closed database with some pages of data."""
    store = open_store(folder, FakeLoop())
    with store.transaction():
        for number in range(records):
            make(store, "Note", title=f"note {number}" * 20, rank=number)
    store.close()
    return folder / FILE_NAME


def error_of(folder: Path, **options: object) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(folder, FakeLoop(), **options)
    return str(caught.value)


def test_new_folder_is_private(tmp_path: Path) -> None:
    """Folder 0700, files 0600: nobody else on the machine reads the data."""
    folder = tmp_path / "a" / ".flindb"
    store = open_store(folder, FakeLoop())
    with store.transaction():
        make(store, "Note")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.close()


def test_not_a_database(tmp_path: Path) -> None:
    """Another kind of file is named as such and left alone."""
    (tmp_path / FILE_NAME).write_bytes(b"hello, I am not a database" * 100)
    assert "is not a SQLite database" in error_of(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"hello")


def test_truncated_database(tmp_path: Path) -> None:
    """A file that lost its end is damaged, not empty."""
    path = filled(tmp_path)
    os.truncate(path, path.stat().st_size // 3 // 4096 * 4096)
    assert "damaged" in error_of(tmp_path)


def test_damaged_page_is_reported_when_met(tmp_path: Path) -> None:
    """A page of garbage gives a StoreError to the query that meets it."""
    path = filled(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(b"note 100")
    start = place // 4096 * 4096
    data[start : start + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    store = open_store(tmp_path, FakeLoop())
    with pytest.raises(StoreError, match="damaged: stop and restore a backup"):
        store.handle("Note").flin_get("all").rows()
    store.close()


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """The folder's name is taken."""
    (tmp_path / "db").write_text("x")
    assert "folder" in error_of(tmp_path / "db")
    assert "cannot be used" in error_of(tmp_path / "db" / "deeper")


def test_locked_at_opening(tmp_path: Path) -> None:
    """Another process that holds the write lock: a bounded wait and a clear error."""
    filled(tmp_path, 1)
    other = Database(tmp_path / FILE_NAME)
    other.execute("BEGIN IMMEDIATE")
    assert "locked by another process" in error_of(tmp_path, busy_ms=20)
    other.execute("ROLLBACK")
    other.close()
    open_store(tmp_path, FakeLoop()).close()


def test_a_lock_is_tried_for_often_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among busy processes none looks so seldom that it finds the lock taken until its limit."""
    filled(tmp_path, 1)
    now_s, pauses = 100.0, []
    holder, waiter = Database(tmp_path / FILE_NAME), Database(tmp_path / FILE_NAME)

    def pause(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        pauses.append(seconds)
        if len(pauses) == 200:
            holder.execute("COMMIT")

    # In its place: the module itself is shared with every thread of this process.
    clock = SimpleNamespace(sleep=pause, monotonic=lambda: now_s)
    monkeypatch.setattr(sqlite, "time", clock)
    holder.execute("BEGIN IMMEDIATE")
    waiter.execute("BEGIN IMMEDIATE")
    assert len(pauses) == 200
    assert pauses[0] == sqlite.BUSY_PAUSE_S
    assert max(pauses) == sqlite.BUSY_PAUSE_MAX_S
    again = sqlite.BUSY_AGAIN_S
    # In vain, then at once for a while, then briefly: a loop that others need is not held up.
    for later_s, waited_s in ((0, 2), (0, 0), (sqlite.BUSY_REST_S, again), (0, 0), (1e3, again)):
        now_s += later_s
        before = len(pauses)
        with pytest.raises(StoreError, match="locked by another process"):
            holder.begin_write()
        assert sum(pauses[before:]) == pytest.approx(waited_s, abs=2 * sqlite.BUSY_PAUSE_MAX_S)
    waiter.execute("ROLLBACK")
    holder.begin_write()
    holder.execute("ROLLBACK")
    waiter.begin_write()
    before = len(pauses)
    with pytest.raises(StoreError):
        holder.begin_write()
    assert sum(pauses[before:]) == pytest.approx(2, abs=2 * sqlite.BUSY_PAUSE_MAX_S)
    waiter.execute("ROLLBACK")
    for database in (holder, waiter):
        database.close()


def test_full_disk_at_opening(tmp_path: Path) -> None:
    """No room for the first page."""
    vfs = FaultVfs()
    vfs.plan = lambda number, what: "enospc" if what == "write" else None
    assert "is full" in error_of(tmp_path, vfs=vfs.name, open_log_sync=vfs.open_log_sync)
    vfs.unregister()


def test_log_that_cannot_be_synced_at_opening(tmp_path: Path) -> None:
    """What a killed process left in the log must be made durable first."""
    vfs = FaultVfs()
    vfs.plan = lambda number, what: "eio" if what == "log sync" else None
    message = error_of(tmp_path, vfs=vfs.name, open_log_sync=vfs.open_log_sync)
    assert "cannot be synced" in message
    vfs.unregister()


def test_failed_opening_leaves_no_connection(tmp_path: Path) -> None:
    """After a refused opening the file can be moved or repaired: nothing holds it."""
    (tmp_path / FILE_NAME).write_bytes(b"x" * 5000)
    error_of(tmp_path)
    assert not [c for c in apsw.connections() if c.filename == str(tmp_path / FILE_NAME)]


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everything: become nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_read_only_folder(tmp_path: Path) -> None:
    """A folder that may not be written says so, with the path."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "db"
    folder.mkdir()
    folder.chmod(0o555)
    with unprivileged():
        message = error_of(folder)
    assert "cannot be used" in message
    assert str(folder) in message


def test_read_only_database(tmp_path: Path) -> None:
    """A database file that may only be read is refused at the start, not at the first save."""
    filled(tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / FILE_NAME).chmod(0o444)
    with unprivileged():
        message = error_of(tmp_path)
    assert "check" in message
    assert FILE_NAME in message


def test_sqlite3_of_the_standard_library_is_not_imported() -> None:
    """Two copies of SQLite on one file break each other's locks."""
    code = "import sys, flinfast.store; sys.exit('sqlite3' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=100, check=False).returncode
        == 0
    )
