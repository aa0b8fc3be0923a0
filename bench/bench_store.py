"""The embedded store: point reads, queries and saves, beside the same statements on bare apsw.

Run with `pytest bench/bench_store.py --benchmark`; `python -m bench.bench_store` prints a table of
plain apsw, the standard library, SQLAlchemy (extra `bench`) and flinfast, all in one run. Every
figure is per handler: the ones named `_256` divide a loop turn of 256 handlers by 256. `bare` is
the floor: the statements alone, without validation, records or acknowledgements.
"""

import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections import deque
from functools import partial
from pathlib import Path

import apsw
import pytest

from flinfast.store import EntitySpec, FieldSpec, Store
from flinfast.store.quick import unix_ms

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
        clock_ms=unix_ms,
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
        connection.execute(CREATE)
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        for number in range(ROWS):
            cursor.execute(INSERT, (number, "hello", 0, 1, 1))
        cursor.execute("COMMIT")
        yield cursor
        connection.close()


CREATE = (
    "CREATE TABLE Note (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER, "
    "message TEXT, read INTEGER, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, "
    "deleted_at INTEGER, version INTEGER NOT NULL) STRICT"
)
POINT = "SELECT * FROM Note WHERE id = ? AND deleted_at IS NULL"
SOME = (
    "SELECT * FROM Note WHERE deleted_at IS NULL AND user_id < ? ORDER BY user_id DESC, id LIMIT 50"
)
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
    benchmark(lambda: bare.execute(POINT, (77,)).fetchall())
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


# --- beside other ways to SQLite, in one run ----------------------------------------


class Apsw:
    """The statements alone, with the same settings; a commit syncs when durability is full."""

    name = "apsw"

    def __init__(self, folder, durability="full"):
        self.connection = apsw.Connection(f"{folder}/apsw-{durability}.db")
        self.connection.execute("PRAGMA journal_mode = wal")
        self.connection.execute(f"PRAGMA synchronous = {durability}")
        self.connection.execute(CREATE)
        self.run = self.connection.cursor().execute

    def insert(self, count):
        self.run("BEGIN IMMEDIATE")
        for number in range(count):
            self.run(INSERT, (number, "hello", 0, 1, 1))
        self.run("COMMIT")

    def read(self, id):
        return self.run(POINT, (id,)).fetchall()

    def some(self):
        return self.run(SOME, (TURN,)).fetchall()

    def close(self):
        self.connection.close()


class Sqlite3(Apsw):
    """The standard library's module, on a file of its own."""

    name = "sqlite3"

    def __init__(self, folder, durability="full"):
        path = f"{folder}/sqlite3-{durability}.db"
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = wal")
        self.connection.execute(f"PRAGMA synchronous = {durability}")
        self.connection.execute(CREATE)
        self.run = self.connection.execute


class SqlAlchemy:
    """The ORM as it is used: a session per turn, an object per record, one flush."""

    name = "SQLAlchemy"

    def __init__(self, folder, durability="full"):
        from sqlalchemy import create_engine, event
        from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

        class Base(DeclarativeBase):
            pass

        class Note(Base):
            __tablename__ = "Note"
            id: Mapped[int] = mapped_column(primary_key=True)
            user_id: Mapped[int | None]
            message: Mapped[str]
            read: Mapped[bool]
            created_at: Mapped[int]
            updated_at: Mapped[int]
            deleted_at: Mapped[int | None]
            version: Mapped[int]

        self.note, self.session = Note, Session
        self.engine = create_engine(f"sqlite:///{folder}/alchemy-{durability}.db")

        @event.listens_for(self.engine, "connect")
        def configure(connection, _record):
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute(f"PRAGMA synchronous = {durability}")

        Base.metadata.create_all(self.engine)

    def insert(self, count):
        with self.session(self.engine) as session:
            for number in range(count):
                note = self.note(user_id=number, message="hello", read=False)
                note.created_at = note.updated_at = note.version = 1
                session.add(note)
            session.commit()

    def read(self, id):
        with self.session(self.engine) as session:
            return session.get(self.note, id)

    def some(self):
        note = self.note
        with self.session(self.engine) as session:
            found = session.query(note).filter(note.user_id < TURN, note.deleted_at.is_(None))
            return found.order_by(note.user_id.desc(), note.id).limit(50).all()

    def close(self):
        self.engine.dispose()


class Ours:
    """A handler per record: validation, records, acknowledgements after the sync."""

    name = "flinfast"

    def __init__(self, folder, durability="full"):
        place = Path(folder) / f"flin-{durability}"
        self.store, self.note, self.loop = make_store(place, durability, rows=0)
        self.below = self.note.prepare(("lt", ("field", "user_id"), ("param", 0)))

    def insert(self, count):
        save_turn(self.store, self.note, self.loop, count)

    def read(self, id):
        self.store.begin(writes=False)
        found = self.note.find(id)
        self.store.commit()
        return found

    def some(self):
        self.store.begin(writes=False)
        found = self.below((TURN,)).order("user_id", "desc").limit(50).rows()
        self.store.commit()
        return found

    def close(self):
        self.loop.drain()
        self.store.close()


PEERS = (Apsw, Sqlite3, SqlAlchemy, Ours)
ROUNDS = 40
READS = 200


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_peers_insert_256_synced(benchmark, tmp_path, peer):
    if peer is SqlAlchemy:
        pytest.importorskip("sqlalchemy")
    opened = peer(tmp_path)
    benchmark(opened.insert, TURN)
    report(benchmark, TURN)
    opened.close()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_peers_point_read(benchmark, tmp_path, peer):
    if peer is SqlAlchemy:
        pytest.importorskip("sqlalchemy")
    opened = peer(tmp_path)
    opened.insert(1000)
    benchmark(opened.read, 77)
    report(benchmark)
    opened.close()


def reads(peer):
    for id in range(1, READS + 1):
        peer.read(id)


def measured(work, per_round):
    """Wall and processor time of a piece of work, microseconds per operation."""
    began, began_cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return wall / per_round * 1e6, cpu / per_round * 1e6


def compare(title, works, per_round):
    """One row per peer: medians of rounds taken in turns, so that load on the machine hits all.

    The order changes: whoever follows the ORM finds the processor's caches full of that. What is
    compared with apsw is compared in each round, since the processor's speed changes with load.
    """
    rounds = {name: [] for name in works}
    order, shuffled = list(works), random.Random(1)
    for _ in range(ROUNDS):
        shuffled.shuffle(order)
        for name in order:
            rounds[name].append(measured(works[name], per_round))
    base = rounds["apsw"]
    for name, taken in rounds.items():
        wall, cpu = (statistics.median(figures) for figures in zip(*taken, strict=True))
        pairs = list(zip(base, taken, strict=True))
        rate = statistics.median(bare[0] / own[0] for bare, own in pairs)
        ratio = statistics.median(own[1] / bare[1] for bare, own in pairs)
        print(f"| {title} | {name} | {wall:.2f} | {rate:.0%} | {cpu:.2f} | {ratio:.2f} |")


def main():
    """Print a table of all peers beside plain apsw, per record.

    The time of an insert is mostly the disk's, and other programs'; the processor's is apart.
    """
    print(f"load average {os.getloadavg()[0]:.1f}; medians of {ROUNDS} rounds in turns")
    print("| what | by | us | rate of apsw | CPU us | CPU of apsw |\n|---|---|---|---|---|---|")
    for durability in ("full", "normal"):
        with tempfile.TemporaryDirectory(dir=os.environ.get("FLINFAST_BENCH_DIR")) as folder:
            peers = [peer(folder, durability) for peer in PEERS]
            for peer in peers:
                peer.insert(4 * TURN)
            for count in (1, 32, TURN):
                works = {peer.name: partial(peer.insert, count) for peer in peers}
                compare(f"insert, {durability}, {count} a turn", works, count)
            if durability == "full":
                compare("point read", {p.name: partial(reads, p) for p in peers}, READS)
                compare("where, order, limit 50", {p.name: p.some for p in peers}, 1)
            for peer in peers:
                peer.close()


if __name__ == "__main__":
    main()
