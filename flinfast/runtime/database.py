"""Opens the store that the settings name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flinfast.errors import ConfigError
from flinfast.runtime.services import Scheduler
from flinfast.runtime.waiting import WaitingPool
from flinfast.settings import Settings
from flinfast.store.base import BaseStore
from flinfast.store.schema import EntitySpec
from flinfast.store.store import Store

if TYPE_CHECKING:
    from flinfast.store.postgres.database import PostgresDatabase

# Rewriting a large table takes long, and a command waits for nobody.
SCHEMA_STATEMENT_S: Final = 3600.0


def open_store(
    settings: Settings,
    folder: Path,
    specs: Sequence[EntitySpec],
    *,
    clock_ms: Callable[[], int],
    scheduler: Scheduler,
    pool: WaitingPool | None = None,
) -> BaseStore:
    """The store of a program.

    Args:
        settings: All settings.
        folder: Where the embedded database lies.
        specs: What the program declares.
        clock_ms: Unix time in milliseconds.
        scheduler: The loop.
        pool: Runs handlers that wait for PostgreSQL; None where statements may block.

    Raises:
        ConfigError: `store.database` is no URL of PostgreSQL, or asyncpg is not installed.
        StoreError: It cannot be opened, or its schema needs a decision.
    """
    if settings.store.database:
        return _open_postgres(settings, specs, clock_ms, pool)
    return Store(
        folder,
        specs,
        durability=settings.store.durability,
        clock_ms=clock_ms,
        call_soon=scheduler.call_soon,
        run_in_thread=scheduler.run_in_thread,
    )


def is_postgres(url: str) -> bool:
    """Whether a database is named by a URL of PostgreSQL."""
    return url.startswith(("postgres://", "postgresql://"))


@contextlib.contextmanager
def postgres_schema(settings: Settings) -> Iterator[PostgresDatabase]:
    """A connection for commands that look at or change tables.

    Raises:
        ConfigError: See `open_store`.
        StoreError: It cannot be reached.
    """
    _check_postgres(settings.store.database)
    from flinfast.store.postgres.database import PostgresDatabase

    database = PostgresDatabase(
        settings.store.database,
        connections=2,
        synchronous=True,
        statement_s=SCHEMA_STATEMENT_S,
    )
    try:
        yield database
    finally:
        database.close()


def _check_postgres(url: str) -> None:
    if not is_postgres(url):
        raise ConfigError(
            "expected a URL such as `postgres://user:password@host/name`",
            path="store.database",
        )
    try:
        import_module("flinfast.store.postgres")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"PostgreSQL needs the package {error.name}",
            path="store.database",
            hint='install it with `pip install "flinfast[postgres]"`',
        ) from None


def _open_postgres(
    settings: Settings,
    specs: Sequence[EntitySpec],
    clock_ms: Callable[[], int],
    pool: WaitingPool | None,
) -> BaseStore:
    _check_postgres(settings.store.database)
    from flinfast.store.postgres import PostgresStore
    from flinfast.store.postgres.bridge import block

    return PostgresStore(
        settings.store.database,
        specs,
        durability=settings.store.durability,
        clock_ms=clock_ms,
        wait=block if pool is None else pool.wait_inside,
        connections=settings.store.connections,
        statement_s=settings.server.handler_timeout_s,
    )
