"""Opens the store that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from flinfast.errors import ConfigError
from flinfast.runtime.services import Scheduler
from flinfast.runtime.waiting import WaitingPool
from flinfast.settings import Settings
from flinfast.store.base import BaseStore
from flinfast.store.schema import EntitySpec
from flinfast.store.store import Store


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


def _open_postgres(
    settings: Settings,
    specs: Sequence[EntitySpec],
    clock_ms: Callable[[], int],
    pool: WaitingPool | None,
) -> BaseStore:
    if not is_postgres(settings.store.database):
        raise ConfigError(
            "expected a URL such as `postgres://user:password@host/name`",
            path="store.database",
        )
    try:
        from flinfast.store.postgres import PostgresStore
        from flinfast.store.postgres.bridge import block
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"PostgreSQL needs the package {error.name}",
            path="store.database",
            hint='install it with `pip install "flinfast[postgres]"`',
        ) from None
    return PostgresStore(
        settings.store.database,
        specs,
        durability=settings.store.durability,
        clock_ms=clock_ms,
        wait=block if pool is None else pool.wait_inside,
        connections=settings.store.connections,
        statement_s=settings.server.handler_timeout_s,
    )
