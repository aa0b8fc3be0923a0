"""A process that writes and acknowledges until it is killed: `python crash_child.py FOLDER`.

Each turn saves a few entries, all marked with the turn's number and how many there are, and moves a
counter. The turn's number goes to standard output once it is durable.
"""

from __future__ import annotations

import os
import queue
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flinfast.store import EntitySpec, FieldSpec, Store

ENTITIES = (
    EntitySpec(
        "Entry",
        (
            FieldSpec("turn", "int", index=True),
            FieldSpec("size", "int"),
            FieldSpec("pad", "text"),
        ),
    ),
    EntitySpec("Counter", (FieldSpec("turn", "int"),)),
)


def main(folder: Path) -> None:
    """Write until killed."""
    ready: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    pool = ThreadPoolExecutor(2)

    def run_in_thread(work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        def job() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed to the loop
                result = error
            ready.put(lambda: done(result))

        pool.submit(job)

    store = Store(
        folder,
        ENTITIES,
        durability="full",
        clock_ms=lambda: time.time_ns() // 1_000_000,
        call_soon=ready.put,
        run_in_thread=run_in_thread,
    )
    counter = store.handle("Counter")
    with store.transaction():
        if counter.find(1) is None:
            store.save(counter.construct({"turn": 0}))
    turn = counter.find(1).flin_get("turn")
    rng = random.Random()
    while True:
        turn += 1
        write_turn(store, turn, rng)
        for _ in range(max(1, ready.qsize())):
            ready.get()()


def write_turn(store: Store, turn: int, rng: random.Random) -> None:
    """One loop turn: a handler per entry, one for the counter, one acknowledgement."""
    entry, counter = store.handle("Entry"), store.handle("Counter")
    size = rng.randint(1, 6)
    for _ in range(size):
        store.begin(writes=True)
        pad = "x" * rng.choice((0, 50, 9000))
        store.save(entry.construct({"turn": turn, "size": size, "pad": pad}))
        store.commit()
    store.begin(writes=True)
    record = counter.find(1)
    record.flin_set("turn", turn)
    store.save(record)
    store.commit()

    def done(error: BaseException | None) -> None:
        assert error is None
        os.write(1, b"%d\n" % turn)

    store.after_durable(done)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
