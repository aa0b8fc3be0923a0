"""Opens the store that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from flinfast.runtime.services import Scheduler
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
) -> BaseStore:
    """The store of a program.

    Args:
        settings: All settings.
        folder: Where the embedded database lies.
        specs: What the program declares.
        clock_ms: Unix time in milliseconds.
        scheduler: The loop.

    Raises:
        StoreError: It cannot be opened, or its schema needs a decision.
    """
    return Store(
        folder,
        specs,
        durability=settings.store.durability,
        clock_ms=clock_ms,
        call_soon=scheduler.call_soon,
        run_in_thread=scheduler.run_in_thread,
    )
