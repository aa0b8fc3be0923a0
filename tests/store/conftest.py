"""Fixtures of the store's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flinfast.store import Store
from tests.store.store_loop import Clock, FakeLoop, open_store


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
