"""Versions: every save is kept, `e@n`, `e@time`, and what happens to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault, StoreError
from flinfast.store import Record, Store
from flinfast.values import Time
from tests.store.store_loop import Clock, make


@pytest.fixture
def note(store: Store, clock: Clock) -> Record:
    """A note saved at 1 Jan, 2 Jan and 3 Jan 2026, noon, with titles v1, v2 and v3."""
    with store.transaction():
        for number in (1, 2, 3):
            clock.ms = Time.parse(f"2026-01-0{number}T12:00:00").ms
            if number == 1:
                record = make(store, "Note", title="v1", items=[1])
            else:
                record.flin_set("title", f"v{number}")
                store.save(record)
    return store.handle("Note").find(1)


def titles(records: list[Record]) -> list[str]:
    return [record.flin_get("title") for record in records]


def test_history_has_every_version_oldest_first(store: Store, note: Record) -> None:
    """All three spellings agree; versions carry the times and numbers they were saved with."""
    for versions in (
        note.history(),
        note.flin_get("history"),
        note.flin_call("history", (), {}),
        store.handle("Note").flin_call("history", (1,), {}),
        store.handle("Note").flin_call("history", ("1",), {}),
    ):
        assert titles(versions) == ["v1", "v2", "v3"]
    assert [v.version for v in note.history()] == [1, 2, 3]
    assert note.history()[0].flin_get("updated_at") == Time.parse("2026-01-01T12:00:00")
    assert note.history()[2].flin_get("created_at") == Time.parse("2026-01-01T12:00:00")
    assert note.history()[0].flin_get("items") == [1]
    assert store.handle("Note").flin_call("history", ("x",), {}) == []


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (-1, "v2"),
        (-2, "v1"),
        (-3, None),
        (0, None),
        (1, "v1"),
        (3, "v3"),
        (4, None),
        (1 << 70, None),
        (-(1 << 70), None),
        ("2026-01-01", None),
        ("2026-01-02", "v1"),
        ("2026-01-02T12:00:00Z", "v2"),
        ("2026-01-02T11:59:59.999Z", "v1"),
        ("2030-01-01", "v3"),
        (Time.parse("2026-01-03"), "v2"),
    ],
)
def test_version_at(note: Record, reference: object, expected: str | None) -> None:
    """Numbers count versions, negative ones back from this one; times pick what was current."""
    found = note.flin_call("version_at", (reference,), {})
    assert (found and found.flin_get("title")) == expected


@pytest.mark.parametrize("reference", ["soon", 1.5, True, None, [1]])
def test_version_at_something_else_fails(note: Record, reference: object) -> None:
    """Only ints, times and ISO 8601 text are versions."""
    with pytest.raises(RuntimeFault) as caught:
        note.version_at(reference)
    assert caught.value.code == "FL504"


def test_minus_one_counts_from_the_version_in_hand(store: Store, note: Record) -> None:
    """A record read earlier keeps its own point of view."""
    with store.transaction():
        fresh = store.handle("Note").find(1)
        fresh.flin_set("title", "v4")
        store.save(fresh)
    assert note.version_at(-1).flin_get("title") == "v2"
    assert fresh.version_at(-1).flin_get("title") == "v3"


@pytest.mark.parametrize("verb", ["save", "delete", "restore", "destroy"])
def test_old_versions_are_read_only(store: Store, note: Record, verb: str) -> None:
    """An old version can be read and copied, not changed or saved."""
    old = note.version_at(1)
    with pytest.raises(RuntimeFault) as caught:
        old.flin_set("title", "x")
    assert caught.value.code == "FL507"
    store.begin(writes=True)
    with pytest.raises(RuntimeFault) as caught:
        getattr(store, verb)(old)
    store.rollback()
    assert caught.value.code == "FL510"


def test_going_back_by_copying_fields(store: Store, note: Record) -> None:
    """Fields of an old version can be assigned to the current record."""
    note.flin_set("title", note.version_at(1).flin_get("title"))
    with store.transaction():
        store.save(note)
    assert titles(note.history()) == ["v1", "v2", "v3", "v1"]


def test_history_of_deleted_record_stays(store: Store, note: Record) -> None:
    """Soft deletion is no version and takes none away."""
    with store.transaction():
        store.delete(note)
    assert titles(note.history()) == ["v1", "v2", "v3"]
    assert note.version_at("2026-01-02T13:00").flin_get("title") == "v2"


def test_damaged_history_is_a_store_error(store: Store, note: Record) -> None:
    """History that cannot be read says so."""
    with store.transaction():
        store.database.execute('UPDATE "_flin_history_Note" SET data = ?', (b"\xc1",))
    with pytest.raises(StoreError, match="history of `Note`"):
        note.history()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1000), st.sampled_from(["save", "rollback", "delete", "restore"])),
        min_size=1,
        max_size=12,
    ),
    looks=st.lists(st.integers(-5, 6000), max_size=6),
)
def test_history_equals_a_list_of_saves(
    store_factory, steps: list[tuple[int, str]], looks: list[int]
) -> None:
    """Whatever happens to a record, its history is the list of committed saves."""
    store, clock = store_factory()
    start = clock.ms
    with store.transaction():
        record = make(store, "Note", title="0")
    saves = [("0", start)]
    for number, (pause, step) in enumerate(steps, 1):
        clock.ms += pause
        store.begin(writes=True)
        title = str(number)
        if step in ("save", "rollback"):
            record.flin_set("title", title)
            store.save(record)
        else:
            getattr(store, step)(record)
        if step == "rollback":
            store.rollback()
        else:
            store.commit()
            if step == "save":
                saves.append((title, clock.ms))
    assert [(r.flin_get("title"), r.flin_get("updated_at").ms) for r in record.history()] == saves
    for look in looks:
        current = [title for title, ms in saves if ms <= start + look]
        found = record.version_at(Time(start + look))
        assert (found and found.flin_get("title")) == (current[-1] if current else None)
