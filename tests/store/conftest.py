"""Fixtures of the store's tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flinfast.store import Store
from tests.store.store_loop import Clock, FakeLoop, open_store


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is one: these tests sync a lot and test no disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path_factory.mktemp("store")
        return
    with tempfile.TemporaryDirectory(prefix="flin-store-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, loop: FakeLoop, clock: Clock) -> Iterator[Store]:
    store = open_store(tmp_path / ".flindb", loop, clock)
    yield store
    loop.settle()
    store.close()


@pytest.fixture(scope="module")
def store_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], tuple[Store, Clock]]]:
    """Empty stores for property tests, which need one per example: a store that is emptied."""
    clock, loop = Clock(), FakeLoop()
    store = open_store(tmp_path_factory.mktemp("shared"), loop, clock, durability="normal")

    def emptied() -> tuple[Store, Clock]:
        with store.transaction():
            for name, entity in store.entities.items():
                store.database.execute(f"DELETE FROM {name}")
                store.database.execute(f"DELETE FROM {entity.table.history}")
        return store, clock

    yield emptied
    loop.settle()
    store.close()
