"""The embedded store: point reads, queries and saves, beside the same statements on bare apsw.

Run with `pytest bench/bench_store.py --benchmark`. Every figure is per handler: the ones named
`_256` divide a loop turn of 256 handlers by 256. `bare` is the floor: the statements alone, without
validation, records or acknowledgements.
"""

import os
import tempfile
import time
from collections import deque
from pathlib import Path

import apsw
import pytest

from flinfast.store import EntitySpec, FieldSpec, Store

NOTE = EntitySpec(
    "Note",
    (
        FieldSpec("user_id", "int"),
        FieldSpec("message", "text", required=True),
        FieldSpec("read", "bool"),
    ),
)
ROWS = 20_000
TURN = 256


class Loop:
    """Callbacks in order; thread jobs run at once, as if the thread were infinitely fast."""

    def __init__(self):
        self.ready = deque()

    def run_in_thread(self, work, done):
        result = work()
        self.ready.append(lambda: done(result))

    def drain(self):
        while self.ready:
            self.ready.popleft()()


def make_store(folder, durability, rows=ROWS):
    loop = Loop()
    store = Store(
        folder,
        [NOTE],
        durability=durability,
        clock_ms=lambda: time.time_ns() // 1_000_000,
        call_soon=loop.ready.append,
        run_in_thread=loop.run_in_thread,
    )
    note = store.handle("Note")
    with store.transaction():
        for number in range(rows):
            store.save(note.construct({"user_id": number, "message": "hello", "read": False}))
    return store, note, loop


@pytest.fixture(scope="module", params=["normal", "full"])
def opened(request):
    with tempfile.TemporaryDirectory(dir=os.environ.get("FLINFAST_BENCH_DIR")) as folder:
        store, note, loop = make_store(Path(folder) / "db", request.param)
        yield store, note, loop
        loop.drain()
        store.close()


@pytest.fixture(scope="module")
def bare():
    with tempfile.TemporaryDirectory(dir=os.environ.get("FLINFAST_BENCH_DIR")) as folder:
        connection = apsw.Connection(f"{folder}/bare.db")
        connection.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = normal")
        connection.wal_autocheckpoint(4000)  # as often as the store does it
        connection.execute(
            "CREATE TABLE Note (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER, "
            "message TEXT, read INTEGER, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, "
            "deleted_at INTEGER, version INTEGER NOT NULL) STRICT"
        )
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        for number in range(ROWS):
            cursor.execute(INSERT, (number, "hello", 0, 1, 1))
        cursor.execute("COMMIT")
        yield cursor
        connection.close()


INSERT = (
    "INSERT INTO Note (user_id, message, read, created_at, updated_at, version) "
    "VALUES (?, ?, ?, ?, ?, 1)"
)


def report(benchmark, per_round=1):
    """Show microseconds per handler beside pytest-benchmark's own table."""
    if benchmark.stats is not None:
        benchmark.extra_info["us_per_handler"] = benchmark.stats.stats.min * 1e6 / per_round


def acknowledged(error):
    assert error is None


def save_turn(store, note, loop, count):
    for number in range(count):
        store.begin(writes=True)
        store.save(note.construct({"user_id": number, "message": "hello", "read": False}))
        if store.commit():
            store.after_durable(acknowledged)
    loop.drain()


def bare_turn(cursor, count):
    cursor.execute("BEGIN IMMEDIATE")
    for number in range(count):
        cursor.execute("SAVEPOINT handler")
        cursor.execute(INSERT, (number, "hello", 0, 1, 1))
        cursor.execute("RELEASE handler")
    cursor.execute("COMMIT")


def test_bare_insert_1(benchmark, bare):
    benchmark(bare_turn, bare, 1)
    report(benchmark)


def test_save_1(benchmark, opened):
    benchmark(save_turn, *opened, 1)
    report(benchmark)


def test_bare_insert_256(benchmark, bare):
    benchmark(bare_turn, bare, TURN)
    report(benchmark, TURN)


def test_save_256(benchmark, opened):
    benchmark(save_turn, *opened, TURN)
    report(benchmark, TURN)


def test_update_256(benchmark, opened):
    store, note, loop = opened

    def turn():
        for number in range(TURN):
            store.begin(writes=True)
            record = note.find(number + 1)
            record.flin_set("read", True)
            store.save(record)
            if store.commit():
                store.after_durable(acknowledged)
        loop.drain()

    benchmark(turn)
    report(benchmark, TURN)


def test_bare_point_read(benchmark, bare):
    sql = "SELECT * FROM Note WHERE id = ? AND deleted_at IS NULL"
    benchmark(lambda: bare.execute(sql, (77,)).fetchall())
    report(benchmark)


def test_point_read_outside_a_handler(benchmark, opened):
    _, note, _ = opened
    benchmark(note.find, 77)
    report(benchmark)


def test_point_read_256(benchmark, opened):
    store, note, loop = opened

    def turn():
        for number in range(TURN):
            store.begin(writes=False)
            note.find(number + 1)
            store.commit()
        loop.drain()

    benchmark(turn)
    report(benchmark, TURN)


def test_where_order_limit_50(benchmark, opened):
    _, note, _ = opened
    prepared = note.prepare(
        ("and", ("ge", ("field", "id"), ("param", 0)), ("lt", ("field", "id"), ("param", 1)))
    )
    benchmark(lambda: prepared((100, 300)).order("created_at", "desc").limit(50).rows())
    report(benchmark)


def test_field_read(benchmark, opened):
    _, note, _ = opened
    record = note.find(77)
    benchmark(record.flin_get, "message")
    report(benchmark)


def test_to_map(benchmark, opened):
    _, note, _ = opened
    record = note.find(77)
    benchmark(record.to_map)
    report(benchmark)


def test_empty_handler(benchmark, opened):
    store, _, _ = opened

    def handler():
        store.begin(writes=False)
        store.commit()

    benchmark(handler)
    report(benchmark)
