"""Exports, imports and copies: every value of every type comes back as it was."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.errors import SchemaError, StoreError
from flinfast.store import Store
from flinfast.store.export import read_csv, read_json, write_csv, write_json
from flinfast.store.transfer import Item, Loader, copy, count, dump
from flinfast.values import TIME_MS_MAX, TIME_MS_MIN, Time
from tests.store.store_loop import Clock, FakeLoop, make, open_store

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
TIMES = st.builds(Time, st.integers(TIME_MS_MIN, TIME_MS_MAX))
NUMBERS = st.floats(allow_nan=False)
INTS = st.integers(-(1 << 63), (1 << 63) - 1)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 80), 1 << 80),
    NUMBERS,
    TEXT,
    st.binary(max_size=6),
    TIMES,
)
KEYS = st.one_of(TEXT, TEXT.map(lambda text: f"${text}"))
NESTED = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
ANY = st.one_of(INTS, NUMBERS, TEXT, st.booleans(), TIMES, st.lists(NESTED, max_size=2))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "title": TEXT,
    "rank": INTS,
    "score": NUMBERS,
    "done": st.booleans(),
    "due": TIMES,
    "spent": INTS,
    "blob": st.binary(max_size=8),
    "items": st.lists(NESTED, max_size=3),
    "extra": st.dictionaries(KEYS, NESTED, max_size=3),
    "free": ANY,
    "state": st.sampled_from(["Open", "Closed"]),
}
NOTES = st.fixed_dictionaries({}, optional={k: v | st.none() for k, v in FIELDS.items()})
StoreMaker = Callable[[], tuple[Store, Clock]]


def items_of(store: Store) -> list[Item]:
    with store.transaction():
        return list(dump(store))


def load(store: Store, items: Any, *, replace: bool = False) -> None:
    with store.transaction():
        loader = Loader(store, replace=replace)
        for item in items:
            loader.add(item)
        loader.finish()


def clear(store: Store) -> None:
    with store.transaction():
        for name, entity in store.entities.items():
            store.database.execute(f'DELETE FROM "{name}"')
            store.database.execute(f"DELETE FROM {entity.table.history}")


def filled(store: Store, clock: Clock, notes: list[dict[str, Any]]) -> list[Item]:
    with store.transaction():
        user = make(store, "User", name="Ann", email="a@x.org")
        tag = make(store, "Tag", label="red")
        for fields in notes:
            note = make(store, "Note", owner=user, tags=[tag], **fields)
            clock.ms += 1
            note.flin_set("title", "changed")
            store.save(note)
        if notes:
            store.delete(note)
    return items_of(store)


@given(st.lists(NOTES, max_size=3))
@settings(max_examples=60, deadline=None)
def test_json_export_comes_back(store_factory: StoreMaker, notes: list[dict[str, Any]]) -> None:
    """All types, references, deleted records and old versions survive export and import."""
    store, clock = store_factory()
    before = filled(store, clock, notes)
    tables = {name: entity.table for name, entity in store.entities.items()}
    out = io.StringIO()
    write_json(out, tables, before)
    clear(store)
    load(store, read_json(io.StringIO(out.getvalue()), tables))
    assert repr(items_of(store)) == repr(before)  # as text: NaN is not equal to itself


@given(st.lists(NOTES, max_size=3))
@settings(max_examples=60, deadline=None)
def test_csv_export_comes_back(store_factory: StoreMaker, notes: list[dict[str, Any]]) -> None:
    """So do current records through CSV, none and empty text told apart."""
    store, clock = store_factory()
    before = filled(store, clock, notes)
    out = {name: io.StringIO(newline="") for name in store.entities}
    for name, file in out.items():
        table = store.entities[name].table
        write_csv(file, table, [item for item in before if item.entity == name])
    clear(store)
    for name, file in out.items():
        text = io.StringIO(file.getvalue(), newline="")
        load(store, read_csv(text, store.entities[name].table))
    after = items_of(store)
    assert [(i.entity, repr(i.cells)) for i in after] == [(i.entity, repr(i.cells)) for i in before]


def test_history_of_an_imported_record(tmp_path: Path) -> None:
    """Versions are read, and a new save goes on from there."""
    loop, clock = FakeLoop(), Clock()
    old = open_store(tmp_path / "a", loop, clock)
    filled(old, clock, [{"title": "first", "score": math.inf}])
    new = open_store(tmp_path / "b", loop, clock)
    assert copy(old, new) == count(old) == 3
    with new.transaction():
        note = new.handle("Note").flin_call("with_deleted", (), {}).first()
        assert [v.flin_get("title") for v in note.history()] == ["first", "changed"]
        new.restore(note)
        note.flin_set("title", "third")
        new.save(note)
        assert [v.flin_get("title") for v in note.history()] == ["first", "changed", "third"]
        assert make(new, "Note").id == note.id + 1
    old.close()
    new.close()


def test_copy_takes_sessions_and_wants_an_empty_target(tmp_path: Path) -> None:
    """Sessions go along; a target that has records is left alone."""
    loop, clock = FakeLoop(), Clock()
    old, new = (open_store(tmp_path / name, loop, clock) for name in "ab")
    with old.transaction():
        make(old, "User", name="Ann")
        old.sessions.put("one", b"data", clock.ms + 1000)
    copy(old, new)
    assert new.sessions.get("one") == b"data"
    with pytest.raises(StoreError, match="has records already"):
        copy(old, new)
    assert count(new) == 1
    old.close()
    new.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("{}", "must begin with a line"),
        ('{"flinfast": 99, "entities": {}}', "format 99"),
        ('{"flinfast": 1, "entities": {"Nope": {}}}', "entity `Nope`"),
        ('{"flinfast": 1, "entities": {"User": {"nope": "text"}}}', "field `User.nope`"),
        ('{"flinfast": 1, "entities": {}}\n{"entity": "User"}', "line 2 .* 'record'"),
        ('{"flinfast": 1, "entities": {}}\n{"entity": "X", "record": {}}', "unknown entity"),
        ('{"flinfast": 1, "entities": {}}\n{"entity": "User", "record": {"x": 1}}', "`x`"),
        ('{"flinfast": 1, "entities": {}}\n{broken', "line 2"),
        ('{"flinfast": 1, "entities": {}}\n{"entity": "User", "record": {}}', "has no `id`"),
    ],
)
def test_import_of_something_else_says_where(store: Store, text: str, message: str) -> None:
    """What is no export of this program is refused before anything is kept."""
    tables = {name: entity.table for name, entity in store.entities.items()}
    with pytest.raises(SchemaError, match=message):
        load(store, read_json(io.StringIO(text), tables))
    assert count(store) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header"),
        ("id,nope\n1,2\n", "unknown column `nope`"),
        ("id,name\n1\n", "line 2 .* expected 2 cells"),
        ("id,age\n1,x\n", "line 2"),
    ],
)
def test_csv_that_does_not_fit_says_where(store: Store, text: str, message: str) -> None:
    """The line is named."""
    with pytest.raises(SchemaError, match=message):
        load(store, read_csv(io.StringIO(text, newline=""), store.entities["User"].table))


def test_wrong_cells_are_refused(store: Store, clock: Clock) -> None:
    """Types hold for imports, too."""
    auto = {"created_at": clock.ms, "updated_at": clock.ms, "version": 1}
    with pytest.raises(SchemaError, match="must be an integer"):
        load(store, [Item("User", {"id": 1, "age": "old", **auto})])
    with pytest.raises(SchemaError, match="must be one of"):
        load(store, [Item("Note", {"id": 1, "state": "Gone", **auto})])
    assert count(store) == 0


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"version": 1 << 63}, "`User.version` .* 64 bits"),
        ({"version": 0}, "`User.version` .* at least 1"),
        ({"id": -(1 << 63) - 1}, "`User.id` .* 64 bits"),
        ({"age": 1 << 64}, "`User.age` .* 64 bits"),
        ({"name": "\ud800"}, "`User.name` .*"),
        ({"name": 1 << 90}, "`User.name` .* 64 bits"),
    ],
)
@pytest.mark.parametrize("is_past", [False, True], ids=["current", "past"])
def test_cells_that_no_record_has(
    store: Store, clock: Clock, cells: dict[str, Any], message: str, *, is_past: bool
) -> None:
    """In a record and in its old versions, which are kept packed."""
    sound = {"id": 1, "name": "a", "created_at": clock.ms, "updated_at": clock.ms, "version": 2}
    past = [{**sound, **cells}] if is_past else []
    with pytest.raises(SchemaError, match=message):
        load(store, [Item("User", sound if is_past else {**sound, **cells}, past)])
    assert count(store) == 0


def test_taken_ids_need_replace(store: Store) -> None:
    """An id that is taken stops the import, unless the old record may go."""
    with store.transaction():
        make(store, "User", name="Ann", email="a@x.org")
    (item,) = items_of(store)
    with pytest.raises(StoreError, match="is taken already"):
        load(store, [item])
    changed = Item("User", {**item.cells, "name": "Bob"})
    load(store, [changed], replace=True)
    assert store.handle("User").find(1).flin_get("name") == "Bob"


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A text of which pieces were cut out, doubled, moved or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 60)))
        piece = draw(
            st.sampled_from(["", text[start:end] * 2, "null", "-1", "1e999", "[]", "{}", '"', "\n"])
            | st.text(max_size=3)
            | st.sampled_from(["NaN", "\0", '"\\ud800"', "9" * 30, '{"": 1}', "true"])
        )
        text = text[:start] + piece + text[end:]
    return text


@pytest.fixture(scope="module")
def exports(store_factory: StoreMaker) -> dict[str, str]:
    """Sound exports: of everything as "json", and of an entity as CSV by its name."""
    store, clock = store_factory()
    items = filled(store, clock, [{"free": 1.5, "items": [1, "x"], "extra": {"k": None}}])
    tables = {name: entity.table for name, entity in store.entities.items()}
    texts = {}
    for kind in ("json", "User", "Note"):
        out = io.StringIO(newline="")
        if kind == "json":
            write_json(out, tables, items)
        else:
            write_csv(out, tables[kind], [item for item in items if item.entity == kind])
        texts[kind] = out.getvalue()
    return texts


@given(data=st.data(), kind=st.sampled_from(["json", "User", "Note"]))
@settings(max_examples=200, deadline=None)
def test_damaged_export_is_refused_or_read(
    store_factory: StoreMaker, exports: dict[str, str], data: st.DataObject, kind: str
) -> None:
    """Never a Python error, and what is refused leaves nothing behind."""
    store, _ = store_factory()
    tables = {name: entity.table for name, entity in store.entities.items()}
    text = io.StringIO(data.draw(damaged(exports[kind])), newline="")
    try:
        load(store, read_json(text, tables) if kind == "json" else read_csv(text, tables[kind]))
    except StoreError:
        assert count(store) == 0
    else:
        assert len(items_of(store)) == count(store)
        for entity in store.entities.values():  # whatever was taken can be read
            records = entity.flin_call("with_deleted", (), {}).rows()
            assert all(repr(record.to_map()) for record in records)
