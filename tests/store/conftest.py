"""Fixtures of the store's tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flinfast.store.base import BaseStore
from tests.store.postgres_server import emptied, running_server
from tests.store.store_loop import ENGINES, Clock, FakeLoop, open_postgres, open_store


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server of the tests' own."""
    with running_server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """URL of an empty PostgreSQL database."""
    return emptied(postgres_server)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine under the `store` of a test."""
    return str(request.param)


@pytest.fixture
def store(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, loop: FakeLoop, clock: Clock
) -> Iterator[BaseStore]:
    """An empty store on each engine."""
    if engine == "postgres":
        store = open_postgres(request.getfixturevalue("postgres_url"), clock)
    else:
        store = open_store(tmp_path / ".flindb", loop, clock)
    yield store
    loop.settle()
    store.close()


@pytest.fixture(scope="module", params=ENGINES)
def store_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], tuple[BaseStore, Clock]]]:
    """Empty stores for property tests, which need one per example: a store that is emptied."""
    clock, loop = Clock(), FakeLoop()
    store: BaseStore
    if request.param == "postgres":
        url = emptied(request.getfixturevalue("postgres_server"))
        store = open_postgres(url, clock, durability="normal")
    else:
        store = open_store(tmp_path_factory.mktemp("shared"), loop, clock, durability="normal")

    def used() -> tuple[BaseStore, Clock]:
        with store.transaction():
            for entity in store.entities.values():
                store.database.execute(f'DELETE FROM "{entity.name}"')
                store.database.execute(f"DELETE FROM {entity.table.history}")
        return store, clock

    yield used
    loop.settle()
    store.close()
