"""Changes of entities in PostgreSQL: what goes by itself, what stops, what a decision does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from flinfast.errors import SchemaError
from flinfast.store import EntitySpec, FieldSpec
from flinfast.store.migrate import migrate, plan
from flinfast.store.postgres import PostgresStore
from flinfast.store.postgres.database import PostgresDatabase
from tests.store.store_loop import make, open_postgres

Open = Callable[..., PostgresStore]
NAME = FieldSpec("name", "text")


@pytest.fixture
def reopen(postgres_url: str) -> Iterator[Open]:
    """Opens the same database with other fields of `Item`."""
    opened: list[PostgresStore] = []

    def open_with(*fields: FieldSpec) -> PostgresStore:
        for store in opened:
            store.close()
        opened.append(open_postgres(postgres_url, entities=[EntitySpec("Item", fields)]))
        return opened[-1]

    yield open_with
    for store in opened:
        store.close()


def values(store: PostgresStore, name: str) -> list[object]:
    return [item.flin_get(name) for item in store.handle("Item").flin_get("all")]


def test_changes_that_lose_nothing(reopen: Open) -> None:
    """New fields and indexes, whole numbers to ints and back, text to an enum it fits."""
    store = reopen(NAME, FieldSpec("n", "number"), FieldSpec("state", "text"))
    with store.transaction():
        make(store, "Item", name="a", n=2.0, state="Open")
        make(store, "Item", name="b", state="Done")
    state = FieldSpec("state", "enum", variants=("Open", "Done"))
    more = FieldSpec("x_pkey", "int", index=True)
    unique = FieldSpec("name", "text", unique=True)
    for number in ("int", "number", "int"):
        store = reopen(unique, FieldSpec("n", number), state, more)
        assert values(store, "n") == [2, None]
        assert values(store, "state") == ["Open", "Done"]
        assert values(store, "x_pkey") == [None, None]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ((FieldSpec("n", "number"),), "field `Item.name` is no longer declared: its 2 values"),
        ((FieldSpec("name", "int"), FieldSpec("n", "number")), "changed from text to int"),
        ((NAME, FieldSpec("n", "int")), "changed from number to int: its 2 values"),
        ((FieldSpec("name", "text", unique=True), FieldSpec("n", "number")), "of the records 1, 2"),
        ((FieldSpec("name", "enum", variants=("z",)), FieldSpec("n", "number")), "'same' in 2"),
    ],
)
def test_changes_that_could_lose_data_stop(
    reopen: Open, postgres_url: str, fields: tuple[FieldSpec, ...], sentence: str
) -> None:
    """The plan says what, and nothing has changed."""
    store = reopen(NAME, FieldSpec("n", "number"))
    with store.transaction():
        make(store, "Item", name="same", n=1.5)
        make(store, "Item", name="same", n=float("inf"))
    with pytest.raises(SchemaError) as caught:
        reopen(*fields)
    assert any(sentence in line for line in caught.value.plan)
    store = open_postgres(
        postgres_url, entities=[EntitySpec("Item", (NAME, FieldSpec("n", "number")))]
    )
    assert values(store, "n") == [1.5, float("inf")]
    store.close()


def test_decisions(reopen: Open, postgres_url: str) -> None:
    """A renamed field keeps values and old versions, a dropped one goes, a plan only tells."""
    store = reopen(NAME, FieldSpec("gone", "int"))
    with store.transaction():
        item = make(store, "Item", name="one", gone=1)
        item.flin_set("name", "two")
        store.save(item)
    store.close()
    entities = [EntitySpec("Item", (FieldSpec("title", "text", unique=True),))]
    database = PostgresDatabase(postgres_url, connections=2, synchronous=True, statement_s=30)
    try:
        decisions = {"renames": {"Item.name": "title"}, "drops": ("Item.gone",)}
        found = plan(database, entities, **decisions)
        assert found.changes == (
            "rename field `Item.name` to `title`",
            "drop field `Item.gone` and its 1 value",
            "make unique `Item.title`",
        )
        assert plan(database, entities).decisions
        migrate(database, entities, **decisions)
        assert plan(database, entities).is_empty
    finally:
        database.close()
    store = open_postgres(postgres_url, entities=entities)
    past = store.handle("Item").find(1).history()
    assert [version.flin_get("title") for version in past] == ["one", "two"]
    store.close()
