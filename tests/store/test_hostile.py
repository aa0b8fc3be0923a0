"""Values that attack, overflow or mean nothing, and disks and clocks that fail, on each engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault, StoreError, ValidationFault
from flinfast.store import Store
from flinfast.store.base import BaseStore
from flinfast.store.check import integrity
from flinfast.store.sqlite import FILE_NAME
from flinfast.values import Time
from tests.store.store_loop import Clock, FakeLoop, make, open_store

INJECTIONS = (
    '\'; DROP TABLE "User"; --',
    '" OR ""="',
    "' OR 1=1 --",
    "1; DELETE FROM _flin_session",
    "\\'; SELECT pg_sleep(10); --",
    "%_*?[a-z]$1 ?1 :name @p $$",
    'x\') UNION SELECT password FROM "User" --',
)
TEXT = st.one_of(st.sampled_from(INJECTIONS), st.text(max_size=20))
STORABLE = st.one_of(
    st.sampled_from(INJECTIONS),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20),
)
StoreMaker = Callable[[], tuple[BaseStore, Clock]]
FIELD = ("field", "name")
P0 = ("param", 0)


def names(store: BaseStore, tree: tuple[Any, ...], value: Any) -> list[str]:
    query = store.handle("User").prepare(tree)((value,))
    return [record.flin_get("name") for record in query.rows()]


@given(stored=st.lists(STORABLE.filter(bool), max_size=4), asked=TEXT)
@example(stored=["a"], asked="\0")
@example(stored=["a"], asked="\ud800")
@example(stored=["a"], asked="a\0")
@settings(max_examples=80, deadline=None)
def test_text_is_data_wherever_it_goes(
    store_factory: StoreMaker, stored: list[str], asked: str
) -> None:
    """Saved and asked for as it is; nothing in it is ever part of a statement."""
    store, _ = store_factory()
    with store.transaction():
        for name in stored:
            make(store, "User", name=name)
    assert names(store, ("eq", FIELD, P0), asked) == [n for n in stored if n == asked]
    assert names(store, ("ne", FIELD, P0), asked) == [n for n in stored if n != asked]
    for method, holds in (
        ("contains", lambda n: asked in n),
        ("starts_with", lambda n: n.startswith(asked)),
        ("ends_with", lambda n: n.endswith(asked)),
    ):
        found = names(store, ("call", method, FIELD, P0), asked)
        assert found == [n for n in stored if holds(n)]
    assert names(store, ("in", FIELD, P0), [asked, "zz"]) == [n for n in stored if n == asked]
    assert names(store, ("lt", FIELD, P0), asked) == [n for n in stored if n < asked]
    user = store.handle("User")
    assert user.find(asked) is None or asked.strip().lstrip("+-").isdigit()
    assert user.flin_get("count") == len(stored)


@pytest.mark.parametrize("text", [*INJECTIONS, "\0", "\ud800", "id\0"])
def test_names_are_checked_before_they_reach_sql(store: BaseStore, text: str) -> None:
    """Orders, aggregates and groups by user input name a field or are a fault."""
    user = store.handle("User")
    for method in ("order", "sum", "max", "group_by", "distinct", "with"):
        with pytest.raises(RuntimeFault) as caught:
            user.flin_call(method, (text,), {})
        assert caught.value.code == "FL511"
    for args in (("name", text), ("name", 1)):
        with pytest.raises(RuntimeFault):
            user.flin_call("order", args, {})
    for method in ("limit", "offset"):
        with pytest.raises(RuntimeFault):
            user.flin_call(method, (text,), {})
    store.sessions.put(text if "\0" not in text and text.isprintable() else "x", b"", 1 << 60)
    assert len(store.sessions.all()) == 1


@pytest.mark.parametrize("number", [0, -1, (1 << 63) - 1, -(1 << 63), 1 << 53, (1 << 53) + 1])
def test_integers_of_64_bits_are_exact(store: BaseStore, number: int) -> None:
    """Stored, compared and summed without losing a digit."""
    with store.transaction():
        make(store, "Note", rank=number, items=[number], free=number)
    note = store.handle("Note")
    record = note.prepare(("eq", ("field", "rank"), P0))((number,)).first()
    assert record is not None
    assert (record.flin_get("rank"), record.flin_get("free")) == (number, number)
    assert record.flin_get("items") == [number]
    assert note.flin_call("sum", ("rank",), {}) == number
    for other in (number + 1, number - 1, float(number) if abs(number) > 1 << 53 else 0.5):
        found = note.prepare(("eq", ("field", "rank"), P0))((other,)).first()
        assert (found is not None) == (other == number)


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1, 1 << 200])
def test_integers_beyond_64_bits_are_field_errors(store: BaseStore, number: int) -> None:
    """They cannot be stored in a field, can be asked for, and survive inside a list."""
    with store.transaction():
        with pytest.raises(ValidationFault, match="must fit in 64 bits"):
            make(store, "Note", rank=number)
        make(store, "Note", rank=5, items=[number])
    note = store.handle("Note")
    assert note.find(number) is None
    assert note.flin_get("first").flin_get("items") == [number]
    assert note.prepare(("eq", ("field", "rank"), P0))((number,)).count() == 0
    below = note.prepare(("lt", ("field", "rank"), P0))((number,)).count()
    assert below == (1 if number > 0 else 0)


def test_nan_is_no_number(store: BaseStore) -> None:
    """It cannot be stored in a number, equals nothing, and infinities are kept."""
    with store.transaction():
        with pytest.raises(ValidationFault, match="must be a number"):
            make(store, "Note", score=math.nan)
        make(store, "Note", score=math.inf)
        make(store, "Note", score=-math.inf, items=[math.nan])
    note = store.handle("Note")
    for op in ("eq", "lt", "ge"):
        assert note.prepare((op, ("field", "score"), P0))((math.nan,)).count() == 0
    assert [n.flin_get("score") for n in note.flin_call("order", ("score",), {})] == [
        -math.inf,
        math.inf,
    ]
    assert math.isnan(note.flin_get("last").flin_get("items")[0])
    assert math.isnan(note.flin_call("sum", ("score",), {}))


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "x\udfff"])
def test_text_that_is_none_is_a_field_error(store: BaseStore, text: str) -> None:
    """U+0000 and lone surrogates are named, in a field and inside a list."""
    with store.transaction():
        with pytest.raises(ValidationFault):
            make(store, "Note", title=text)
        if "\0" not in text:
            with pytest.raises(ValidationFault, match="must be valid text"):
                make(store, "Note", items=[text])
    assert store.handle("Note").flin_get("count") == 0


def test_large_texts(store: BaseStore) -> None:
    """4 MiB come back; where a text is indexed, PostgreSQL's limit is a field error."""
    text = "ä" * (2 << 20)
    with store.transaction():
        make(store, "Note", title=text, extra={"k": text})
        if store.waits:
            with pytest.raises(ValidationFault, match="must be at most 2600 bytes"):
                make(store, "User", name="Ann", email=text)
        else:
            make(store, "User", name="Ann", email=text)
    note = store.handle("Note").flin_get("first")
    assert note.flin_get("title") == text
    assert note.flin_get("extra") == {"k": text}


def test_a_clock_that_goes_back(store: BaseStore, clock: Clock) -> None:
    """Versions still count up; a time is answered by the newest version of that time."""
    with store.transaction():
        note = make(store, "Note", title="one")
        clock.ms -= 60_000
        note.flin_set("title", "two")
        store.save(note)
        clock.ms += 120_000
        note.flin_set("title", "three")
        store.save(note)
    assert [v.flin_get("title") for v in note.history()] == ["one", "two", "three"]
    assert note.version == 3
    assert note.version_at(2).flin_get("title") == "two"
    assert note.version_at(Time(clock.ms)).flin_get("title") == "three"
    assert note.version_at(Time(clock.ms - 60_000)).flin_get("title") == "two"


# --- the embedded database's file ----------------------------------------


def test_full_disk_fails_the_handler_and_nothing_else(
    tmp_path: Path, loop: FakeLoop, clock: Clock
) -> None:
    """The error names file and cause; what was there stays, and room makes it work again."""
    store = open_store(tmp_path, loop, clock)
    with store.transaction():
        make(store, "Note", title="kept")
    (pages,) = store.database.query("PRAGMA page_count")[0]
    store.database.query(f"PRAGMA max_page_count = {pages + 1}")
    full = pytest.raises(StoreError, match=r"the disk of the database .*flin\.db is full")
    with full, store.transaction():
        make(store, "Note", title="x" * 100_000)
    assert [n.flin_get("title") for n in store.handle("Note").flin_get("all")] == ["kept"]
    store.database.query("PRAGMA max_page_count = 100000")
    with store.transaction():
        make(store, "Note", title="later")
    store.close()
    assert integrity(tmp_path / FILE_NAME) == []


def test_file_that_became_read_only(store_on_disk: Store) -> None:
    """Reads go on; a save says what is wrong with which file."""
    store = store_on_disk
    store.database.query("PRAGMA query_only = ON")
    refused = pytest.raises(StoreError, match="cannot be written: check its owner and permissions")
    with refused, store.transaction():
        make(store, "Note", title="x")
    assert store.handle("Note").flin_get("count") == 0
    store.database.query("PRAGMA query_only = OFF")


@pytest.fixture
def store_on_disk(tmp_path: Path, loop: FakeLoop) -> Any:
    store = open_store(tmp_path, loop)
    yield store
    loop.settle()
    store.close()


def test_integrity_of_damaged_files(store_on_disk: Store, tmp_path: Path) -> None:
    """Sound while in use; damage, other files and missing ones are told apart."""
    path = tmp_path / FILE_NAME
    with store_on_disk.transaction():
        for number in range(200):
            make(store_on_disk, "Note", title=f"note {number}" * 10, rank=number)
    assert integrity(path) == []
    store_on_disk.close()
    raw = bytearray(path.read_bytes())
    raw[8192:12288] = b"\xff" * 4096
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(raw)
    assert integrity(damaged)
    other = tmp_path / "other.txt"
    other.write_text("hello" * 1000)
    assert "is not a SQLite database" in integrity(other)[0]
    with pytest.raises(StoreError, match="there is no database"):
        integrity(tmp_path / "missing.db")
