"""A process that adds to shared counters: `python count_child.py FOLDER|URL TIMES`."""

from __future__ import annotations

import queue
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flinfast.errors import ConflictFault
from flinfast.store import EntitySpec, FieldSpec, Store
from flinfast.store.base import BaseStore
from flinfast.store.postgres import PostgresStore

COUNTER = EntitySpec("Counter", (FieldSpec("name", "text", unique=True), FieldSpec("n", "int")))
# One per addition; on SQLite new ones wait to be inserted together.
MARK = EntitySpec("Mark", (FieldSpec("id_added_to", "int"), FieldSpec("n", "int")))


def open_counters(place: str) -> tuple[BaseStore, queue.SimpleQueue[Callable[[], None]]]:
    """The store in a folder or at a URL, and the loop that the caller must run."""
    ready: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    if place.startswith("postgres"):
        store = PostgresStore(
            place, [COUNTER, MARK], durability="full", clock_ms=now_ms, connections=2
        )
        return store, ready

    def run_now(work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        result = work()
        ready.put(lambda: done(result))

    return Store(
        Path(place),
        [COUNTER, MARK],
        durability="full",
        clock_ms=now_ms,
        call_soon=ready.put,
        run_in_thread=run_now,
        busy_ms=30_000,  # fairness between busy processes is not the claim
    ), ready


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def add(store: BaseStore, id: int) -> None:
    """A handler: read, add, save, and note it twice."""
    store.begin(writes=True)
    try:
        record = store.handle("Counter").find(id)
        assert record is not None
        n = record.flin_get("n") + 1
        mark = store.handle("Mark").construct
        store.save(mark({"id_added_to": id, "n": -n}))
        store.save(mark({"id_added_to": id, "n": n}))
        record.flin_set("n", n)
        store.save(record)
    except BaseException:
        store.rollback()
        raise
    store.commit()


def main(place: str, times: int) -> None:
    """Add 1 to a random counter, `times` times, some of them in one turn."""
    store, ready = open_counters(place)
    rng = random.Random()
    acknowledged: list[BaseException | None] = []
    for _ in range(times):
        id = rng.randint(1, 3)
        while True:  # as handlers are run again; how often is not the claim
            try:
                add(store, id)
                break
            except ConflictFault:
                time.sleep(rng.uniform(0, 0.005))
        store.after_durable(acknowledged.append)
        if rng.random() < 0.5:
            while not ready.empty():
                ready.get()()
    while not ready.empty():
        ready.get()()
    store.close()
    assert acknowledged == [None] * times


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
