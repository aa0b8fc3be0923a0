"""New records that wait to be inserted together: nobody can tell, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.errors import FlinError, StoreError
from flinfast.store import EntitySpec, FieldSpec, Record, Store
from flinfast.store.insert_queue import ID_MAX, ROW_COUNTS, VALUES_MAX, InsertQueue
from flinfast.store.quick import QUICK_SIZE_MAX, WAITING_MAX
from flinfast.store.schema import FIELD_COUNT_MAX, Table
from tests.store.store_loop import Acknowledgements, FakeLoop, make, open_store

ENTITIES = (
    EntitySpec("Plain", (FieldSpec("text", "text"), FieldSpec("free", "any"))),
    EntitySpec("Other", (FieldSpec("text", "text", required=True),)),
    EntitySpec("Linked", (FieldSpec("to", "ref", target="Plain"), FieldSpec("text", "text"))),
    EntitySpec("Unique", (FieldSpec("text", "text", unique=True),)),
)
NAMES = tuple(spec.name for spec in ENTITIES)
DUMPS = [f'SELECT * FROM "{name}"' for name in NAMES]
DUMPS += [f'SELECT * FROM "_flin_history_{name}"' for name in NAMES]


class Pair:
    """Two stores that are told the same; in the second one nothing ever waits."""

    def __init__(self, folder: Path) -> None:
        self.loops = (FakeLoop(), FakeLoop())
        self.stores = tuple(
            open_store(folder / str(index), loop, entities=ENTITIES, durability="normal")
            for index, loop in enumerate(self.loops)
        )
        for entity in self.stores[1].entities.values():
            entity._queue.can_wait = False
        self.records: tuple[list[Record], list[Record]] = ([], [])

    def empty(self) -> None:
        for store, records in zip(self.stores, self.records, strict=True):
            records.clear()
            if store.group.in_handler:  # an example failed in the middle
                store.rollback()
            with store.transaction():
                for name in NAMES:
                    store.database.execute(f'DELETE FROM "{name}"')
                    store.database.execute(f'DELETE FROM "_flin_history_{name}"')
                store.database.execute("DELETE FROM sqlite_sequence")

    def both(self, act: Any) -> None:
        """Do something to both; it gives or raises the same."""
        results = []
        for store, records in zip(self.stores, self.records, strict=True):
            try:
                results.append(act(store, records))
            except FlinError as error:
                results.append((type(error), str(error)))
        assert results[0] == results[1]

    def turn(self) -> None:
        for loop in self.loops:
            loop.turn()

    def check(self) -> None:
        for sql in DUMPS:
            first, second = (store.database.query(sql) for store in self.stores)
            assert first == second
        rows = [[record._row for record in records] for records in self.records]
        assert rows[0] == rows[1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    opened = Pair(tmp_path_factory.mktemp("pair"))
    yield opened
    opened.turn()
    for store in opened.stores:
        store.close()


def save(name: str, text: str, pick: int) -> Any:
    def act(store: Store, records: list[Record]) -> Any:
        values: dict[str, Any] = {"text": text}
        if name == "Linked":
            values["to"] = records[pick % len(records)] if records and pick % 3 else pick
        record = store.handle(name).construct(values)
        records.append(record)
        store.save(record)
        return record.id

    return act


def use(what: str, pick: int) -> Any:
    def act(store: Store, records: list[Record]) -> Any:
        record = records[pick % len(records)]
        if what == "update":
            record.flin_set("text", f"changed {pick}")
            store.save(record)
        elif what == "find":
            found = store.handle(record.entity).find(record.id or pick)
            return None if found is None else found._row
        else:
            getattr(store, what)(record)
        return record._row

    return act


def load(name: str, above: int) -> Any:
    """As an import does: an id that nobody could foresee."""

    def act(store: Store, records: list[Record]) -> Any:
        highest = store.database.query(f'SELECT max(id) FROM "{name}"')[0][0] or 0
        table = store.handle(name).table
        row = (highest + above, *[None] * len(table.fields), 1, 1, None, 1)
        store.group.writing(None)
        store.database.insert_whole(table, row, None)

    return act


def act_of(data: st.DataObject, pair: Pair) -> Any:
    kinds = ["save"] * 6 + ["count", "session", "load"]
    if pair.records[0]:
        kinds += ["find", "find", "update", "delete", "destroy", "restore"]
    kind, pick = data.draw(st.sampled_from(kinds)), data.draw(st.integers(0, 9))
    name = data.draw(st.sampled_from(NAMES))
    if kind == "save":
        texts = st.sampled_from(["a", "b", "", "\0", "ä", "x" * (QUICK_SIZE_MAX + 1)])
        return save(name, data.draw(texts), pick)
    if kind == "count":
        return lambda store, _: store.handle(name).flin_get("count")
    if kind == "session":
        return lambda store, _: store.sessions.put("s", b"%d" % pick, 1 << 60)
    return load(name, pick + 1) if kind == "load" else use(kind, pick)


@settings(deadline=None)
@given(data=st.data())
def test_waiting_cannot_be_told(pair: Pair, data: st.DataObject) -> None:
    """Any handlers in any turns: the same ids, rows, faults and records as without waiting."""
    pair.empty()
    for _ in range(data.draw(st.integers(1, 6))):
        for store in pair.stores:
            store.begin(writes=True)
        for _ in range(data.draw(st.integers(0, 6))):
            pair.both(act_of(data, pair))
        keeps = data.draw(st.booleans())
        for store in pair.stores:
            if keeps:
                store.commit()
            else:
                store.rollback()
        looks, ends = data.draw(st.booleans()), data.draw(st.booleans())
        if ends:
            pair.turn()
        if looks:
            pair.check()
    pair.check()
    pair.turn()
    pair.check()


# --- one store ----------------------------------------


class Fixture:
    def __init__(self, folder: Path) -> None:
        self.loop = FakeLoop()
        self.store = open_store(folder, self.loop, entities=ENTITIES)
        self.acks = Acknowledgements(self.store)
        self.queue = self.store.handle("Plain")._queue

    def handler(self, *texts: str, name: str = "Plain") -> None:
        self.store.begin(writes=True)
        for text in texts:
            make(self.store, name, text=text)
        assert self.store.commit()
        self.acks.expect(texts)

    def texts(self) -> list[str]:
        rows = self.store.database.query('SELECT text FROM "Plain" ORDER BY id')
        return [text for (text,) in rows]


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Fixture]:
    opened = Fixture(tmp_path / "db")
    yield opened
    opened.loop.settle()
    opened.store.close()


def test_records_wait_until_the_end_of_the_turn(at: Fixture) -> None:
    """All but the first of a turn, and no statement runs for a handler that fails."""
    at.handler("a")
    at.handler("b", "c")
    assert [row[1] for row in at.queue.rows] == ["b", "c"]
    at.store.begin(writes=True)
    lost = make(at.store, "Plain", text="lost")
    assert lost.id == 4
    at.store.rollback()
    assert lost.id is None
    assert [row[1] for row in at.queue.rows] == ["b", "c"]
    at.loop.turn()
    assert (at.queue.rows, at.queue.next_id) == ([], 0)
    assert at.texts() == ["a", "b", "c"]


def test_looking_at_other_tables_lets_records_wait(at: Fixture) -> None:
    """A handler that finds its user by id does not end the waiting; a query does."""
    at.handler("a")
    at.handler("b")
    at.store.begin(writes=False)
    at.store.handle("Other").find(1)
    assert len(at.queue.rows) == 1
    assert at.store.handle("Plain").find(2).flin_get("text") == "b"
    assert at.queue.rows == []
    at.store.commit()
    at.handler("c")
    assert len(at.queue.rows) == 1
    assert at.store.handle("Other").flin_get("count") == 0
    assert at.queue.rows == []


@pytest.mark.parametrize("count", [WAITING_MAX, WAITING_MAX + 1, WAITING_MAX + 2])
def test_no_more_wait_than_the_limit(at: Fixture, count: int) -> None:
    """A handler that saves many has them inserted in between; failing takes all of them back."""
    texts = [str(number) for number in range(count)]
    at.handler(*texts)
    assert len(at.queue.rows) == (count - 1 if count <= WAITING_MAX + 1 else 1)
    at.store.begin(writes=True)
    for text in texts:
        make(at.store, "Plain", text=text)
    at.store.rollback()
    assert at.texts() == texts
    at.handler("next")
    assert at.texts() == [*texts, "next"]
    assert at.store.database.query('SELECT max(id) FROM "Plain"') == [(count + 1,)]


@pytest.mark.parametrize("count", sorted({n + d for n in ROW_COUNTS for d in (-1, 0, 1)} | {150}))
def test_any_number_of_rows(at: Fixture, count: int) -> None:
    """Statements for many rows and for few insert each row once."""
    at.handler("first", *map(str, range(count)))
    at.loop.settle()
    assert at.texts() == ["first", *map(str, range(count))]


def test_widest_row_fits_a_statement() -> None:
    """An entity with the most fields is inserted row by row; no statement has too many values."""
    for count in (0, 1, 100, 500, FIELD_COUNT_MAX):
        fields = tuple(FieldSpec(f"f{number}", "int") for number in range(count))
        queue = InsertQueue(Table(EntitySpec("Wide", fields)))
        counts = [rows for rows, sql in queue.statements]
        assert counts[-1] == 1
        assert counts[0] * queue.cell_count <= VALUES_MAX
        for rows, sql in queue.statements:
            assert sql.count("?,") == rows * queue.cell_count
            assert f"?{rows * queue.cell_count}," in sql


def test_ids_near_the_end_are_not_foreseen(at: Fixture) -> None:
    """The last id is SQLite's to refuse, in the handler that meets it."""
    for last in (ID_MAX, (1 << 63) - 2):
        with at.store.transaction():
            highest = at.store.database.query('SELECT max(id) FROM "Plain"')[0][0] or 0
            load("Plain", last - highest)(at.store, [])
        at.store.begin(writes=True)
        assert make(at.store, "Plain", text="a").id == last + 1
        assert at.queue.next_id == 0
        if last == ID_MAX:
            make(at.store, "Plain", text="b")
        else:
            with pytest.raises(StoreError):
                make(at.store, "Plain", text="b")
        at.store.rollback()


def test_another_process_takes_ids_between_turns(at: Fixture, tmp_path: Path) -> None:
    """What was foreseen in one turn is forgotten with it."""
    at.handler("a", "b")
    at.loop.settle()
    loop = FakeLoop()
    other = open_store(tmp_path / "db", loop, entities=ENTITIES)
    with other.transaction():
        assert make(other, "Plain", text="theirs").id == 3
    other.close()
    at.handler("c", "d")
    at.loop.settle()
    assert at.texts() == ["a", "b", "theirs", "c", "d"]


def test_rows_that_cannot_be_inserted_lose_the_turn(
    at: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody whose rows waited is told that they are durable; the next turn is whole again."""
    at.handler("before")
    at.loop.settle()
    at.handler("a")
    at.handler("b")

    def refuse(queue: InsertQueue) -> None:
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(at.store.database, "_insert_rows", refuse)
        at.store.begin(writes=True)
        lost = make(at.store, "Plain", text="c")
        with pytest.raises(StoreError, match="is full"):
            at.store.handle("Plain").flin_get("count")
        with pytest.raises(StoreError, match="rolled back"):
            make(at.store, "Plain", text="d")
        at.store.rollback()
    assert lost.id is None
    at.handler("after")
    at.loop.settle()
    assert at.texts() == ["before", "after"]
    assert at.acks.good == [("before",), ("after",)]
    assert at.acks.bad == [("a",), ("b",)]


def test_rows_that_cannot_be_inserted_at_commit_lose_the_turn(
    at: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same at the end of the turn."""
    at.handler("a")
    at.handler("b")

    def refuse(queue: InsertQueue) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(at.store.database, "_insert_rows", refuse)
        with pytest.raises(MemoryError):
            at.loop.turn()
    assert not at.store.database.in_transaction()
    at.handler("after")
    at.loop.settle()
    assert at.texts() == ["after"]
    assert at.acks.good == [("after",)]
    assert at.acks.bad == [("a",), ("b",)]
