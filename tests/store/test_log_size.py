"""The write-ahead log under a reader that holds it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flinfast.store import Store
from flinfast.store.sqlite import FILE_NAME, Database
from tests.store.store_loop import FakeLoop, make, open_store

KEPT = 200_000


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, FakeLoop]]:
    """A store that checkpoints often and whose log keeps little."""
    monkeypatch.setattr("flinfast.store.sqlite.LOG_SIZE_KEPT", KEPT)
    monkeypatch.setattr("flinfast.store.store.CHECKPOINT_PAGES", 10)
    monkeypatch.setattr("flinfast.store.store.BUSY_MS", 10)
    loop = FakeLoop()
    store = open_store(tmp_path, loop)
    yield store, loop
    loop.settle()
    store.close()


def write(store: Store, loop: FakeLoop, turns: int) -> None:
    for _ in range(turns):
        store.begin(writes=True)
        make(store, "Note", blob=bytes(20_000))
        store.commit()
        loop.settle()


def test_log_gives_its_space_back_after_a_long_reader(
    opened: tuple[Store, FakeLoop], tmp_path: Path
) -> None:
    """It grows while the reader needs it, nothing fails, and the file is cut afterwards."""
    store, loop = opened
    log = tmp_path / f"{FILE_NAME}-wal"
    write(store, loop, 20)
    before = log.stat().st_size
    assert before < 2 * KEPT
    reader = Database(tmp_path / FILE_NAME)
    reader.execute("BEGIN")
    (count,) = reader.query("SELECT COUNT(*) FROM Note")[0]
    write(store, loop, 60)
    assert reader.query("SELECT COUNT(*) FROM Note") == [(count,)]  # still its own state
    assert log.stat().st_size > 5 * KEPT
    reader.execute("COMMIT")
    reader.close()
    write(store, loop, 20)
    assert log.stat().st_size < 2 * KEPT
    assert store.group.failed is None
    assert store.handle("Note").flin_get("count") == count + 80
