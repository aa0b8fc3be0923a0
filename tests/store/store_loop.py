"""A deterministic loop, a clock and a set of entities for the tests of the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flinfast.errors import FlinError
from flinfast.store import EntitySpec, FieldSpec, Record, Store
from flinfast.store.base import BaseStore
from flinfast.store.postgres import PostgresStore
from flinfast.values import Time

ENGINES = ("sqlite", "postgres")


class FakeLoop:
    """Callbacks and thread jobs that run when the test says so."""

    def __init__(self) -> None:
        self.ready: deque[Callable[[], None]] = deque()
        self.jobs: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)

    def run_in_thread(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.jobs.append((work, done))

    def turn(self) -> None:
        """Run the callbacks of one loop turn, not those they add."""
        for _ in range(len(self.ready)):
            self.ready.popleft()()

    def job(self) -> None:
        """Run the oldest thread job; its result arrives with the next turn."""
        work, done = self.jobs.popleft()
        try:
            result = work()
        except (OSError, FlinError) as error:  # as a thread pool hands it over
            result = error
        self.ready.append(partial(done, result))

    def settle(self) -> None:
        """Run everything until nothing is left."""
        for _ in range(10_000):
            if not self.ready and not self.jobs:
                return
            self.turn()
            if self.jobs:
                self.job()
        raise AssertionError("the loop does not come to rest")


class Clock:
    """Milliseconds that only move when told."""

    def __init__(self, ms: int = 1_700_000_000_000) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


def at_least(minimum: int) -> Callable[[Any], str | None]:
    """A check as `@min(n)` makes one."""
    return lambda value: None if value >= minimum else f"must be at least {minimum}"


USER = EntitySpec(
    "User",
    (
        FieldSpec("name", "text", required=True),
        FieldSpec("email", "text", unique=True),
        FieldSpec("password", "text", hidden=True),
        FieldSpec("age", "int", checks=(at_least(0),)),
    ),
)
TAG = EntitySpec("Tag", (FieldSpec("label", "text", required=True, unique=True),))
NOTE = EntitySpec(
    "Note",
    (
        FieldSpec("title", "text", default=lambda: "untitled"),
        FieldSpec("rank", "int", index=True),
        FieldSpec("score", "number"),
        FieldSpec("done", "bool", default=lambda: False),
        FieldSpec("due", "time"),
        FieldSpec("spent", "duration"),
        FieldSpec("blob", "bytes"),
        FieldSpec("items", "list", default=list),
        FieldSpec("extra", "map"),
        FieldSpec("free", "any"),
        FieldSpec("state", "enum", variants=("Open", "Closed")),
        FieldSpec("owner", "ref", target="User"),
        FieldSpec("tags", "list", target="Tag"),
        FieldSpec("twin", "ref", target="Note"),
    ),
)
ENTITIES = (USER, TAG, NOTE)


def open_store(
    folder: Path,
    loop: FakeLoop,
    clock: Callable[[], int] | None = None,
    entities: Sequence[EntitySpec] = ENTITIES,
    **options: Any,
) -> Store:
    """A store on the fake loop."""
    return Store(
        folder,
        entities,
        durability=options.pop("durability", "full"),
        clock_ms=clock or Clock(),
        call_soon=loop.call_soon,
        run_in_thread=loop.run_in_thread,
        **options,
    )


def open_postgres(
    url: str,
    clock: Callable[[], int] | None = None,
    entities: Sequence[EntitySpec] = ENTITIES,
    **options: Any,
) -> PostgresStore:
    """A store in PostgreSQL whose statements block."""
    durability = options.pop("durability", "full")
    clock = clock or Clock()
    return PostgresStore(url, entities, durability=durability, clock_ms=clock, **options)


def make(store: BaseStore, entity: str, **fields: Any) -> Record:
    """Construct and save within the running handler."""
    return store.save(store.handle(entity).construct(fields))


class Acknowledgements:
    """Collects what `after_durable` says."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seen: list[tuple[Any, BaseException | None]] = []

    def expect(self, name: Any) -> None:
        self._store.after_durable(lambda error: self.seen.append((name, error)))

    @property
    def good(self) -> list[Any]:
        return [name for name, error in self.seen if error is None]

    @property
    def bad(self) -> list[Any]:
        return [name for name, error in self.seen if error is not None]


def time_of(text: str) -> Time:
    return Time.parse(text)
