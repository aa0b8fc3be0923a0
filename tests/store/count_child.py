"""A process that adds to shared counters: `python count_child.py FOLDER TIMES`."""

from __future__ import annotations

import queue
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flinfast.store import EntitySpec, FieldSpec, Store

COUNTER = EntitySpec("Counter", (FieldSpec("name", "text", unique=True), FieldSpec("n", "int")))


def open_counters(folder: Path) -> tuple[Store, queue.SimpleQueue[Callable[[], None]]]:
    """The store, and the loop that the caller must run."""
    ready: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def run_now(work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        result = work()
        ready.put(lambda: done(result))

    store = Store(
        folder,
        [COUNTER],
        durability="full",
        clock_ms=lambda: time.time_ns() // 1_000_000,
        call_soon=ready.put,
        run_in_thread=run_now,
        busy_ms=30_000,  # fairness between busy processes is not the claim
    )
    return store, ready


def main(folder: Path, times: int) -> None:
    """Add 1 to a random counter, `times` times, some of them in one turn."""
    store, ready = open_counters(folder)
    counter = store.handle("Counter")
    rng = random.Random()
    acknowledged: list[BaseException | None] = []
    for _ in range(times):
        store.begin(writes=True)
        record = counter.find(rng.randint(1, 3))
        record.flin_set("n", record.flin_get("n") + 1)
        store.save(record)
        store.commit()
        store.after_durable(acknowledged.append)
        if rng.random() < 0.5:
            while not ready.empty():
                ready.get()()
    while not ready.empty():
        ready.get()()
    store.close()
    assert acknowledged == [None] * times


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
