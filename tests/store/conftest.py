"""Fixtures of the store's tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
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
