"""Handlers as transactions, group commit, order of acknowledgements, failed syncs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flinfast.errors import ConflictFault, DurabilityError, StoreError, UniqueFault
from flinfast.store import Record, Store
from flinfast.store.schema import Table
from flinfast.store.sqlite import Database, LogSync
from tests.store.store_loop import Acknowledgements, Clock, FakeLoop, make, open_store


class BreakableSync(LogSync):
    """A log whose sync fails from the moment a test says so."""

    broken = False
    calls = 0

    def __call__(self) -> None:
        if self.broken:
            raise OSError(5, os.strerror(5))
        self.calls += 1
        super().__call__()


class Fixture:
    """A store with its loop, its acknowledgements and a log that can break."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.loop = FakeLoop()
        self.logs: list[BreakableSync] = []
        self.store = open_store(folder, self.loop, Clock(), open_log_sync=self._open, **options)
        self.acks = Acknowledgements(self.store)
        self.logs[0].calls = 0

    def _open(self, path: Path) -> BreakableSync:
        self.logs.append(BreakableSync(path))
        return self.logs[-1]

    @property
    def log(self) -> BreakableSync:
        return self.logs[0]

    def handler(self, name: str, **fields: object) -> bool:
        """A handler that saves one note and waits for it to be durable."""
        self.store.begin(writes=True)
        make(self.store, "Note", title=name, **fields)
        must_wait = self.store.commit()
        self.acks.expect(name)
        return must_wait

    def reader(self, name: str) -> bool:
        """A handler that only reads; it waits only when told to."""
        self.store.begin(writes=False)
        self.store.handle("Note").find(1)
        must_wait = self.store.commit()
        if must_wait:
            self.acks.expect(name)
        return must_wait

    def titles(self) -> list[str]:
        return [note.flin_get("title") for note in self.store.handle("Note").flin_get("all")]


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Fixture]:
    fixture = Fixture(tmp_path / "db")
    yield fixture
    fixture.loop.settle()
    if fixture.store.group.failed is None:
        fixture.store.close()


def titles_on_disk(store: Store) -> list[str]:
    """What another process sees."""
    other = Database(store.database.path)
    try:
        return [title for (title,) in other.query("SELECT title FROM Note ORDER BY id")]
    finally:
        other.close()


# --- one turn ----------------------------------------


def test_turn_commits_once_and_syncs_once(at: Fixture) -> None:
    """Handlers of one turn share a COMMIT and a sync; acknowledgements come after it, in order."""
    for name in "abc":
        assert at.handler(name)
    assert titles_on_disk(at.store) == []
    assert at.store.pending
    at.loop.turn()
    assert titles_on_disk(at.store) == ["a", "b", "c"]
    assert at.acks.seen == []
    at.loop.job()
    assert at.acks.seen == []
    at.loop.turn()
    assert at.acks.good == ["a", "b", "c"]
    assert at.log.calls == 1
    assert not at.store.pending


def test_turns_during_a_sync_share_the_next_one(at: Fixture) -> None:
    """While one sync runs, later turns commit and wait for one more sync, not one each."""
    at.handler("a")
    at.loop.turn()
    for name in "bcd":
        at.handler(name)
        at.loop.turn()
    assert len(at.loop.jobs) == 1
    at.loop.job()
    at.loop.turn()
    assert at.acks.good == ["a"]
    assert len(at.loop.jobs) == 1
    at.loop.settle()
    assert at.acks.good == ["a", "b", "c", "d"]
    assert at.log.calls == 2


def test_normal_durability_acknowledges_after_commit(tmp_path: Path) -> None:
    """`normal`: no sync, but nothing is acknowledged before COMMIT."""
    at = Fixture(tmp_path, durability="normal")
    at.handler("a")
    assert at.acks.seen == []
    at.loop.turn()
    assert at.acks.good == ["a"]
    assert not at.loop.jobs
    assert at.log.calls == 0
    at.store.close()


def test_handler_without_writes_commits_nothing(at: Fixture) -> None:
    """A handler marked as writing that wrote nothing needs no acknowledgement."""
    at.store.begin(writes=True)
    assert at.store.commit() is False
    at.loop.settle()
    assert at.log.calls == 0


def test_begin_within_a_handler_fails(at: Fixture) -> None:
    """Handlers run one at a time."""
    at.store.begin(writes=False)
    with pytest.raises(StoreError, match="before the last one ended"):
        at.store.begin(writes=True)
    at.store.rollback()


# --- rollback ----------------------------------------


def test_rollback_leaves_nothing_but_other_handlers(at: Fixture) -> None:
    """A failed handler's rows vanish; those before and after it in the turn stay."""
    at.handler("a")
    at.store.begin(writes=True)
    make(at.store, "Note", title="lost")
    kept = at.store.handle("Note").find(1)
    kept.flin_set("title", "lost too")
    at.store.save(kept)
    at.store.sessions.put("s", b"lost", 1 << 60)
    at.store.rollback()
    at.handler("b")
    at.loop.settle()
    assert titles_on_disk(at.store) == ["a", "b"]
    assert at.store.handle("Note").flin_call("history", (1,), {})[0].version == 1
    assert at.store.sessions.get("s") is None
    assert at.acks.good == ["a", "b"]


def test_rollback_restores_what_save_set(at: Fixture) -> None:
    """id, version and times of records saved in a failed handler are as before it."""
    at.handler("a")
    at.loop.settle()
    old = at.store.handle("Note").find(1)
    before = old.to_map()
    at.store.begin(writes=True)
    new = make(at.store, "Note", title="new")
    at.store.save(new)
    at.store.save(old)
    at.store.delete(old)
    assert (new.id, new.version, old.version) == (2, 2, 2)
    at.store.rollback()
    assert (new.id, new.version) == (None, None)
    assert old.to_map() == before
    at.store.begin(writes=True)
    at.store.save(old)
    at.store.save(new)
    assert at.store.commit()
    assert (old.version, new.id) == (2, 2)


def test_rollback_after_a_handled_fault(at: Fixture) -> None:
    """A unique fault inside a handler that then fails leaves nothing of it."""
    at.store.begin(writes=True)
    make(at.store, "User", name="a", email="x")
    with pytest.raises(UniqueFault):
        make(at.store, "User", name="b", email="x")
    at.store.rollback()
    at.loop.settle()
    assert at.store.handle("User").flin_get("count") == 0


def save_tags(store: Store, *labels: str) -> list[Record]:
    return [make(store, "Tag", label=label) for label in labels]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("before", [0, 2])
def test_rollback_takes_new_records_back(at: Fixture, count: int, before: int) -> None:
    """Their ids and `@unique` values are free again, and what the handler changed is undone."""
    with at.store.transaction():
        kept = save_tags(at.store, *map(str, range(before)))
        if kept:
            at.store.destroy(kept.pop())  # its id is not used again
    at.store.begin(writes=True)
    tags = save_tags(at.store, *"abc"[:count])
    assert [tag.id for tag in tags] == list(range(before + 1, before + count + 1))
    at.store.delete(tags[0])
    at.store.destroy(tags[-1])
    at.store.rollback()
    assert {tag.id for tag in tags} == {None}
    assert at.store.handle("Tag").flin_get("count") == len(kept)
    at.store.begin(writes=True)
    assert save_tags(at.store, "a")[0].id == before + 1
    assert at.store.commit()
    at.loop.settle()
    sql = "SELECT id, label FROM Tag WHERE id > ?"
    assert at.store.database.query(sql, (before,)) == [(before + 1, "a")]


def test_rollback_after_a_fault_then_a_record(at: Fixture) -> None:
    """A refused record leaves nothing to take back; the one after it is taken back."""
    with at.store.transaction():
        save_tags(at.store, "taken")
    at.store.begin(writes=True)
    with pytest.raises(UniqueFault):
        save_tags(at.store, "taken")
    save_tags(at.store, "b", "c")
    at.store.rollback()
    assert at.store.database.query("SELECT label FROM Tag") == [("taken",)]


def test_record_that_cannot_be_taken_back_loses_the_turn(
    at: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather nothing of the turn than a row of a handler that failed."""

    def refuse(table: Table, id: int) -> None:
        raise StoreError("the disk is full")

    at.handler("a")
    at.store.begin(writes=True)
    new = make(at.store, "Note", title="lost")
    assert at.store.handle("Note").find(new.id) == new  # now it is inserted
    monkeypatch.setattr(at.store.database, "take_back", refuse)
    with pytest.raises(StoreError, match="full"):
        at.store.rollback()
    at.loop.settle()
    assert new.id is None
    assert [name for name, _ in at.acks.seen] == at.acks.bad == ["a"]
    assert titles_on_disk(at.store) == []


def test_handler_whose_transaction_is_gone_fails(at: Fixture) -> None:
    """SQLite may roll back by itself: neither a save nor a commit after that succeeds."""
    at.store.begin(writes=True)
    make(at.store, "Note", title="lost")
    at.store.database.execute("ROLLBACK")
    with pytest.raises(StoreError):
        at.store.database.execute("nonsense")  # how the store learns of it
    with pytest.raises(StoreError, match="rolled back"):
        make(at.store, "Note", title="lost")
    with pytest.raises(StoreError, match="rolled back"):
        at.store.commit()
    at.handler("b")
    at.loop.settle()
    assert titles_on_disk(at.store) == ["b"]
    assert at.acks.good == ["b"]


# --- readers ----------------------------------------


def test_reader_of_undurable_rows_waits(at: Fixture) -> None:
    """Nobody sees what a power cut could take back: readers wait for the sync, too."""
    assert at.reader("before") is False
    at.handler("a")
    assert at.reader("same turn")
    at.loop.turn()
    assert at.reader("next turn")
    at.loop.job()
    at.loop.turn()
    assert at.acks.good == ["a", "same turn", "next turn"]
    assert at.reader("after") is False


def test_handler_that_touches_nothing_never_waits(at: Fixture) -> None:
    """Handlers without queries do not wait for others' writes, whatever ran before them."""
    at.handler("a")
    assert at.reader("r")
    at.store.begin(writes=False)
    assert at.store.commit() is False


def test_queries_see_the_turns_own_rows(at: Fixture) -> None:
    """Uncommitted rows of the same turn are visible to later handlers."""
    at.handler("a")
    at.store.begin(writes=False)
    assert at.titles() == ["a"]
    at.store.commit()


def test_after_durable_without_anything_pending_is_immediate(at: Fixture) -> None:
    """Nothing to wait for: the callback runs at once."""
    at.acks.expect("now")
    assert at.acks.good == ["now"]


def test_after_durable_keeps_order_from_within_callbacks(at: Fixture) -> None:
    """A callback that registers another one does not overtake those that wait."""
    at.store.begin(writes=True)
    make(at.store, "Note")
    at.store.commit()
    seen: list[str] = []

    def first(error: BaseException | None) -> None:
        at.store.after_durable(lambda _: seen.append("nested"))
        seen.append("first")

    at.store.after_durable(first)
    at.store.after_durable(lambda _: seen.append("second"))
    at.loop.settle()
    assert seen == ["first", "second", "nested"]


def test_callback_that_raises_does_not_stop_the_others(at: Fixture) -> None:
    """Its exception reaches the loop; every other callback still runs, and so do later syncs."""
    at.store.begin(writes=True)
    make(at.store, "Note")
    at.store.commit()

    def explode(_: BaseException | None) -> None:
        raise ZeroDivisionError

    at.store.after_durable(explode)
    at.acks.expect("a")
    at.loop.turn()
    at.handler("b")
    at.loop.turn()
    at.loop.job()
    with pytest.raises(ZeroDivisionError):
        at.loop.turn()
    at.loop.settle()
    assert at.acks.good == ["a", "b"]


# --- failures ----------------------------------------


def test_failed_sync_ends_acknowledging(at: Fixture) -> None:
    """After a failed sync every waiting and later handler gets DurabilityError, for good."""
    at.handler("good")
    at.loop.settle()
    at.handler("a")
    at.loop.turn()
    at.handler("b")
    at.log.broken = True
    at.loop.job()
    at.log.broken = False  # the kernel may report success next time: it must not be believed
    at.loop.turn()
    at.loop.settle()
    assert at.acks.good == ["good"]
    assert at.acks.bad == ["a", "b"]
    assert all(isinstance(error, DurabilityError) for _, error in at.acks.seen[1:])
    with pytest.raises(DurabilityError):
        at.store.begin(writes=True)
    assert at.reader("reader")
    assert at.acks.bad == ["a", "b", "reader"]
    with pytest.raises(DurabilityError):
        at.store.flush()
    with pytest.raises(DurabilityError):
        at.store.close()


def test_failed_sync_within_a_handler_ends_acknowledging(at: Fixture) -> None:
    """SQLite's own sync of the log's header may fail in any statement that writes pages."""
    at.store.begin(writes=True)
    make(at.store, "Note")
    at.store.database.sync_error = DurabilityError("syncing failed")
    at.store.rollback()
    with pytest.raises(DurabilityError):
        at.store.begin(writes=True)


def test_failed_commit_loses_the_turn_and_says_so(at: Fixture) -> None:
    """When COMMIT fails, exactly that turn's handlers get the error; the store goes on."""
    at.handler("good")
    at.loop.turn()
    at.store.begin(writes=True)
    record = make(at.store, "Note", title="lost")
    at.store.commit()
    at.acks.expect("lost")
    assert at.reader("saw it")
    real = at.store.database.execute

    def refuse(sql: str, values: tuple[object, ...] = ()) -> None:
        if sql == "COMMIT":
            raise StoreError("the disk of the database is full")
        real(sql, values)

    at.store.database.execute = refuse
    at.loop.turn()
    at.store.database.execute = real
    assert at.acks.seen == []  # in order: "good" is still being synced
    at.loop.settle()
    assert at.acks.good == ["good"]
    assert at.acks.bad == ["lost", "saw it"]
    assert record.id is None
    assert at.handler("next")
    at.loop.settle()
    assert at.acks.good == ["good", "next"]
    assert at.titles() == ["good", "next"]


def test_flush_of_a_lost_turn_raises(at: Fixture) -> None:
    """`flush()` does not end as if nothing had happened."""
    real = at.store.database.execute

    def refuse(sql: str, values: tuple[object, ...] = ()) -> None:
        if sql == "COMMIT":
            raise StoreError("the disk of the database is full")
        real(sql, values)

    at.store.begin(writes=True)
    make(at.store, "Note")
    at.store.commit()
    at.store.database.execute = refuse
    with pytest.raises(StoreError, match="full"):
        at.store.flush()
    at.store.database.execute = real
    assert at.titles() == []


def test_full_disk_in_a_handler(at: Fixture) -> None:
    """SQLITE_FULL in the middle: a clear error, earlier handlers keep or lose as a whole."""
    at.handler("a")
    at.store.database.query("PRAGMA max_page_count = 1")
    (pages,) = at.store.database.query("PRAGMA page_count")[0]
    at.store.database.query(f"PRAGMA max_page_count = {pages}")
    at.store.begin(writes=True)
    with pytest.raises(StoreError, match=r"disk of the database .* is full"):
        make(at.store, "Note", title="big", blob=bytes(1 << 20))
    at.store.rollback()
    at.store.database.query("PRAGMA max_page_count = 1000000")
    at.handler("b")
    at.loop.settle()
    assert [name for name, _ in at.acks.seen] == ["a", "b"]
    assert at.titles() == at.acks.good


# --- several processes ----------------------------------------


def other_connection(store: Store) -> Database:
    return Database(store.database.path, busy_ms=0)


def test_writer_waits_only_so_long_for_the_lock(tmp_path: Path) -> None:
    """A lock held elsewhere: a bounded wait, then an error that names the reason."""
    at = Fixture(tmp_path, busy_ms=20)
    other = other_connection(at.store)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another process"):
        at.store.begin(writes=True)
    assert at.reader("r") is False  # readers are not blocked
    other.execute("ROLLBACK")
    other.close()
    assert at.handler("a")
    at.loop.settle()
    assert at.acks.good == ["a"]
    at.store.close()


def test_writer_holds_the_lock_from_its_first_read(at: Fixture) -> None:
    """What a writing handler read cannot change before it commits."""
    at.store.begin(writes=True)
    other = other_connection(at.store)
    with pytest.raises(StoreError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    at.store.rollback()
    at.loop.turn()
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()


def test_reader_keeps_one_state(at: Fixture) -> None:
    """A handler's queries agree with each other while another process commits."""
    at.handler("a")
    at.loop.settle()
    at.store.begin(writes=False)
    assert at.titles() == ["a"]
    other = other_connection(at.store)
    other.execute("UPDATE Note SET title = 'b'")
    assert at.titles() == ["a"]
    at.store.commit()
    at.loop.turn()
    assert at.titles() == ["b"]
    other.close()


def test_unannounced_writer_that_read_stale_data_conflicts(at: Fixture) -> None:
    """A handler begun without `writes` may still save, unless what it read has changed."""
    at.handler("a")
    at.loop.settle()
    at.store.begin(writes=False)
    note = at.store.handle("Note").find(1)
    note.flin_set("title", "b")
    at.store.save(note)
    assert at.store.commit()
    at.loop.settle()
    at.store.begin(writes=False)
    note = at.store.handle("Note").find(1)
    other = other_connection(at.store)
    other.execute("UPDATE Note SET rank = 5")
    other.close()
    with pytest.raises(ConflictFault):
        at.store.save(note)
    at.store.rollback()
    at.loop.settle()
    assert at.titles() == ["b"]


def test_reader_of_another_process_commit_waits_for_a_sync(at: Fixture) -> None:
    """What another process committed may not be on disk: its readers here sync it first."""
    at.handler("a")
    at.loop.settle()
    calls = at.log.calls
    other = other_connection(at.store)
    other.execute("UPDATE Note SET title = 'b'")
    other.close()
    assert at.reader("r")
    at.loop.settle()
    assert at.acks.good == ["a", "r"]
    assert at.log.calls == calls + 1
    assert at.reader("again") is False


# --- close ----------------------------------------


def test_close_makes_everything_durable(at: Fixture, tmp_path: Path) -> None:
    """Closing commits, syncs and acknowledges; a sync that was queued finds nothing to do."""
    at.handler("a")
    at.loop.turn()
    at.handler("b")
    at.store.close()
    at.store.close()
    assert at.acks.good == ["a", "b"]
    at.loop.settle()
    assert not Path(f"{at.store.database.path}-wal").exists()
    again = open_store(tmp_path / "db", FakeLoop())
    assert again.handle("Note").flin_get("count") == 2
    again.close()


def test_flush_and_close_within_a_handler(tmp_path: Path) -> None:
    """Half a handler is never committed: flushing is refused, closing rolls it back."""
    at = Fixture(tmp_path / "db")
    at.handler("a")
    at.store.begin(writes=True)
    make(at.store, "Note", title="half")
    with pytest.raises(StoreError, match="a handler is running"):
        at.store.flush()
    at.store.close()
    assert at.acks.good == ["a"]
    again = open_store(tmp_path / "db", FakeLoop())
    assert again.handle("Note").flin_get("count") == 1
    again.close()


def test_transaction_rolls_back_on_error(at: Fixture) -> None:
    """`with store.transaction()`: an exception leaves nothing."""

    def fail() -> None:
        with at.store.transaction():
            make(at.store, "Note")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert at.titles() == []


def test_transaction_that_spans_turns(at: Fixture) -> None:
    """The turn ends while the block runs: it is committed when the block is done."""
    with at.store.transaction():
        make(at.store, "Note", title="a")
        at.loop.turn()
        make(at.store, "Note", title="b")
        assert titles_on_disk(at.store) == []
    assert titles_on_disk(at.store) == ["a", "b"]


def test_handler_that_spans_turns_does_not_spin(at: Fixture) -> None:
    """While a handler is open across turns nothing is scheduled; its end commits the turn."""
    at.store.begin(writes=True)
    make(at.store, "Note", title="a")
    at.loop.turn()
    assert not at.loop.ready
    at.store.commit()
    at.acks.expect("a")
    at.loop.settle()
    assert at.acks.good == ["a"]


# --- checkpoints ----------------------------------------


def test_checkpoint_runs_on_a_thread_and_lets_the_log_start_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log stays bounded under a steady load, and nothing is lost around checkpoints."""
    monkeypatch.setattr("flinfast.store.store.CHECKPOINT_PAGES", 20)
    at = Fixture(tmp_path)
    log = Path(f"{at.store.database.path}-wal")
    for count in range(150):
        at.handler(str(count), blob=bytes(2000))
        at.loop.settle()
    assert len(at.acks.good) == 150
    assert log.stat().st_size < 60 * 4200
    assert len(at.titles()) == 150
    at.store.close()


def test_log_stays_bounded_when_every_handler_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was undone is in the log all the same."""
    monkeypatch.setattr("flinfast.store.store.CHECKPOINT_PAGES", 20)
    at = Fixture(tmp_path)
    for _ in range(150):
        at.store.begin(writes=True)
        make(at.store, "Note", title="lost")
        at.store.rollback()
        at.loop.settle()
    assert at.store.database.wal_pages < 60
    assert at.titles() == []
    at.store.close()


def test_checkpoints_under_steady_load_are_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the log cannot start over, checkpoints come once per so many pages, then it must."""
    monkeypatch.setattr("flinfast.store.store.CHECKPOINT_PAGES", 30)
    monkeypatch.setattr("flinfast.store.store.CHECKPOINT_PAGES_MAX", 200)
    at = Fixture(tmp_path)
    other = other_connection(at.store)
    other.execute("BEGIN")
    other.query("SELECT COUNT(*) FROM Note")  # a reader that keeps the log from starting over
    kinds: list[bool] = []
    real = Database.checkpoint

    def counted(self: Database, *, restart: bool) -> tuple[int, int]:
        kinds.append(restart)
        if restart:
            other.execute("ROLLBACK")
        return real(self, restart=restart)

    monkeypatch.setattr(Database, "checkpoint", counted)
    pages = []
    while True not in kinds:
        at.handler("x")
        at.loop.settle()
        pages.append(at.store.database.wal_pages)
    assert 200 <= max(pages) < 300
    assert kinds.count(False) <= 200 // 30 + 2
    at.handler("y")
    at.loop.settle()
    assert at.store.database.wal_pages < 30
    other.close()
    at.store.close()


def test_failed_checkpoint_sync_ends_acknowledging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that could not sync is as bad as a failed sync of the log."""
    monkeypatch.setattr("flinfast.store.store.CHECKPOINT_PAGES", 1)
    at = Fixture(tmp_path)

    def fail(self: Database, *, restart: bool) -> tuple[int, int]:
        raise DurabilityError("syncing failed")

    monkeypatch.setattr(Database, "checkpoint", fail)
    at.handler("a")
    at.loop.settle()
    with pytest.raises(DurabilityError):
        at.store.begin(writes=True)


def test_checkpoint_that_cannot_run_now_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other failure of a checkpoint loses nothing and does not stop the store."""
    monkeypatch.setattr("flinfast.store.store.CHECKPOINT_PAGES", 50)
    at = Fixture(tmp_path)
    calls = []

    def fail(self: Database, *, restart: bool) -> tuple[int, int]:
        calls.append(restart)
        raise StoreError("locked")

    monkeypatch.setattr(Database, "checkpoint", fail)
    for count in range(20):
        at.handler(str(count))
        at.loop.settle()
    assert len(at.acks.good) == 20
    assert 2 <= len(calls) < 10
    at.store.close()


# --- sessions ----------------------------------------


def test_session_table(store: Store, clock: Clock, loop: FakeLoop) -> None:
    """Bytes by id until they expire; writes outside a handler belong to the turn."""
    table = store.sessions
    table.put("a", b"1", clock.ms + 10)
    table.put("b", b"2", clock.ms + 20)
    table.put("a", b"3", clock.ms + 10)
    assert table.get("a") == b"3"
    assert store.pending != store.waits  # in PostgreSQL it is durable at once
    loop.settle()
    assert not store.pending
    clock.ms += 10
    assert table.get("a") is None
    table.purge(clock.ms)
    assert store.database.query("SELECT id FROM _flin_session") == [("b",)]
    table.delete("b")
    table.delete("b")
    assert table.get("b") is None
    assert table.get("nobody") is None
