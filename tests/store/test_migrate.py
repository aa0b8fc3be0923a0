"""Schema changes: harmless ones happen at start, lossy ones stop with a plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import SchemaError
from flinfast.store import EntitySpec, FieldSpec, Store
from flinfast.store.migrate import migrate
from flinfast.store.sqlite import FILE_NAME, Database
from flinfast.values import Time
from tests.store.store_loop import FakeLoop, make, open_store

Open = Callable[..., Store]


@pytest.fixture
def reopen(tmp_path: Path) -> Open:
    """Open the same folder with these fields of entity `Item` (and other entities)."""

    def opened(*fields: FieldSpec, others: tuple[EntitySpec, ...] = ()) -> Store:
        return open_store(tmp_path, FakeLoop(), entities=[EntitySpec("Item", fields), *others])

    return opened


def fill(store: Store, **fields: Any) -> None:
    with store.transaction():
        make(store, "Item", **fields)
    store.close()


def refused(open_: Open, *fields: FieldSpec, **options: Any) -> SchemaError:
    with pytest.raises(SchemaError) as caught:
        open_(*fields, **options)
    return caught.value


NAME = FieldSpec("name", "text")
COUNT = FieldSpec("count", "int")


# --- harmless ----------------------------------------


def test_new_entity_and_field(reopen: Open) -> None:
    """Old records read none for a new field, or its default; their versions do not change."""
    fill(reopen(NAME), name="a")
    store = reopen(
        NAME,
        COUNT,
        FieldSpec("paid", "bool", default=lambda: False),
        FieldSpec("at", "time", default=lambda: Time(5)),
        others=(EntitySpec("Other", (NAME,)),),
    )
    store.backfill()
    item = store.handle("Item").find(1)
    assert item.to_map() | {"created_at": 0, "updated_at": 0} == {
        "id": 1,
        "name": "a",
        "count": None,
        "paid": False,
        "at": Time(5),
        "created_at": 0,
        "updated_at": 0,
        "version": 1,
    }
    with store.transaction():
        store.save(item)
        make(store, "Other", name="b")
    store.close()


def test_reopening_without_changes_keeps_the_schema(reopen: Open) -> None:
    """Opening twice writes nothing to the schema."""
    fill(reopen(NAME, FieldSpec("email", "text", unique=True)), name="a")
    store = reopen(NAME, FieldSpec("email", "text", unique=True))
    (before,) = store.database.query("PRAGMA schema_version")
    store.close()
    store = reopen(NAME, FieldSpec("email", "text", unique=True))
    assert store.database.query("PRAGMA schema_version") == [before]
    store.close()


def test_order_of_fields_does_not_matter(reopen: Open) -> None:
    """Reordered declarations read the right columns."""
    fill(reopen(NAME, COUNT), name="a", count=1)
    store = reopen(COUNT, FieldSpec("extra", "text"), NAME)
    item = store.handle("Item").find(1)
    assert (item.flin_get("name"), item.flin_get("count")) == ("a", 1)
    store.close()


def test_empty_field_and_entity_are_dropped(reopen: Open) -> None:
    """What holds nothing can go without a question."""
    fill(reopen(NAME, COUNT, others=(EntitySpec("Other", (NAME,)),)), name="a")
    store = reopen(NAME)
    columns = [row[1] for row in store.database.query("PRAGMA table_info(Item)")]
    assert "count" not in columns
    assert not store.database.query("SELECT * FROM sqlite_schema WHERE name LIKE '%Other%'")
    store.close()
    reopen(NAME, others=(EntitySpec("Other", (COUNT,)),)).close()


def test_indexes_follow_the_declaration(reopen: Open) -> None:
    """@index and @unique come and go."""
    indexed = FieldSpec("name", "text", index=True)
    unique = FieldSpec("name", "text", unique=True)
    for spec, expected in (
        (NAME, []),
        (indexed, ["_flin_index_Item_name"]),
        (unique, ["_flin_unique_Item_name"]),
        (indexed, ["_flin_index_Item_name"]),
        (NAME, []),
    ):
        store = reopen(spec)
        rows = store.database.query(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'Item'"
        )
        assert [name for (name,) in rows] == expected
        store.close()


@pytest.mark.parametrize(
    ("old", "new", "value", "expected"),
    [
        ("int", "number", 7, 7.0),
        ("int", "duration", 7, 7),
        ("text", "enum", "Open", "Open"),
        ("enum", "text", "Open", "Open"),
        ("any", "file", [1], [1]),
    ],
)
def test_lossless_type_changes(
    reopen: Open, old: str, new: str, value: object, expected: object
) -> None:
    """Type changes that every stored value survives happen by themselves; history stays."""
    variants = ("Open", "Closed")
    store = reopen(FieldSpec("x", old, variants=variants, index=True))
    with store.transaction():
        item = make(store, "Item", x=value)
        store.save(item)
    store.close()
    store = reopen(FieldSpec("x", new, variants=variants, index=True))
    item = store.handle("Item").find(1)
    assert item.flin_get("x") == expected
    assert type(item.flin_get("x")) is type(expected)
    assert len(item.history()) == 2
    with store.transaction():
        store.save(item)
    store.close()


def test_type_of_an_empty_field_changes_freely(reopen: Open) -> None:
    """A field without values can become anything, even with an index on it."""
    fill(reopen(NAME, FieldSpec("x", "text", index=True)), name="a")
    store = reopen(NAME, FieldSpec("x", "list", index=True))
    with store.transaction():
        make(store, "Item", x=[1])
    store.close()


def test_history_survives_added_and_dropped_fields(reopen: Open) -> None:
    """Old versions read none for fields they did not have and forget dropped ones."""
    store = reopen(NAME, FieldSpec("gone", "int"))
    with store.transaction():
        item = make(store, "Item", name="a", gone=1)
        item.flin_set("name", "b")
        item.flin_set("gone", None)
        store.save(item)
    store.close()
    store = reopen(NAME, FieldSpec("fresh", "text"))
    first = store.handle("Item").find(1).version_at(1)
    assert (first.flin_get("name"), first.flin_get("fresh")) == ("a", None)
    store.close()


# --- lossy ----------------------------------------


def test_dropped_field_with_values_stops(reopen: Open) -> None:
    """The plan names the field, how much is at stake, and a rename when one fits."""
    fill(reopen(NAME, COUNT), name="a", count=1)
    error = refused(reopen, FieldSpec("title", "text"), COUNT)
    assert error.plan == (
        "field `Item.name` is no longer declared: its 1 value would be dropped, "
        "or keep them with `--rename Item.name=title`",
    )
    assert error.command == "flinfast db migrate --drop Item.name"
    store = reopen(NAME, COUNT)  # nothing was changed
    assert store.handle("Item").find(1).flin_get("name") == "a"
    store.close()


def test_dropped_entity_with_records_stops(reopen: Open) -> None:
    """Deleted records count, too: they could be restored."""
    store = reopen(NAME, others=(EntitySpec("Other", (NAME,)),))
    with store.transaction():
        store.delete(make(store, "Other"))
    store.close()
    error = refused(reopen, NAME)
    assert error.plan == ("entity `Other` is no longer declared: its 1 record would be dropped",)
    assert error.command == "flinfast db migrate --drop Other"


@pytest.mark.parametrize(
    ("old", "new", "value", "shown"),
    [
        ("text", "int", "7", "from text to int"),
        ("number", "int", 1.5, "from number to int"),
        ("int", "number", (1 << 53) + 1, "from int to number"),
        ("int", "text", 7, "from int to text"),
        ("list", "map", [1], "from list to map"),
        ("int", "bool", 1, "from int to bool"),
    ],
)
def test_lossy_type_change_stops(
    reopen: Open, old: str, new: str, value: object, shown: str
) -> None:
    """Values that the new type cannot hold are not thrown away."""
    fill(reopen(FieldSpec("x", old)), x=value)
    error = refused(reopen, FieldSpec("x", new))
    assert len(error.plan) == 1
    assert shown in error.plan[0]
    assert error.command == "flinfast db migrate --drop Item.x"


def test_all_steps_are_reported_together(reopen: Open) -> None:
    """One start shows everything that needs a decision."""
    fill(reopen(NAME, COUNT, FieldSpec("x", "int")), name="a", count=1, x=2)
    error = refused(reopen, FieldSpec("x", "text"))
    assert len(error.plan) == 3
    assert error.command.count("--drop") == 3


def test_new_unique_with_duplicates_stops(reopen: Open) -> None:
    """@unique over values that live records share cannot hold."""
    store = reopen(NAME)
    with store.transaction():
        for name in ("a", "a", "b", None, None):
            make(store, "Item", name=name)
        store.delete(make(store, "Item", name="b"))
    store.close()
    error = refused(reopen, FieldSpec("name", "text", unique=True))
    assert len(error.plan) == 1
    assert "1 values are shared by live records (for example of the records 1, 2)" in error.plan[0]


def test_dropped_variant_in_use_stops(reopen: Open) -> None:
    """An enum may lose variants that nobody uses."""
    fill(reopen(FieldSpec("s", "enum", variants=("A", "B", "C"))), s="B")
    error = refused(reopen, FieldSpec("s", "enum", variants=("A",)))
    assert "`Item.s` is 'B' in 1 records" in error.plan[0]
    reopen(FieldSpec("s", "enum", variants=("B",))).close()


def test_dropped_variants_by_decision(reopen: Open, tmp_path: Path) -> None:
    """Only the values that are no variant any more are dropped."""
    store = reopen(FieldSpec("s", "text"))
    with store.transaction():
        for value in ("A", "B", None):
            make(store, "Item", s=value)
    store.close()
    new = FieldSpec("s", "enum", variants=("A",))
    decide(tmp_path, new, drops=("Item.s",))
    store = reopen(new)
    assert [item.flin_get("s") for item in store.handle("Item").flin_get("all")] == [
        "A",
        None,
        None,
    ]
    store.close()


# --- decisions ----------------------------------------


def decide(folder: Path, *fields: FieldSpec, **decisions: Any) -> None:
    database = Database(folder / FILE_NAME)
    try:
        migrate(database, [EntitySpec("Item", fields)], **decisions)
    finally:
        database.close()


def test_drop_by_decision(reopen: Open, tmp_path: Path) -> None:
    """`--drop` removes fields, values that do not fit a new type, and entities."""
    store = reopen(NAME, COUNT, others=(EntitySpec("Other", (NAME,)),))
    with store.transaction():
        make(store, "Item", name="a", count=1)
        make(store, "Other", name="b")
    store.close()
    new = FieldSpec("count", "text")
    decide(tmp_path, new, drops=("Item.name", "Item.count", "Other"))
    store = reopen(new)
    assert store.handle("Item").find(1).flin_get("count") is None
    store.close()


def test_rename_by_decision(reopen: Open, tmp_path: Path) -> None:
    """`--rename` keeps the values and the index under the new name."""
    fill(reopen(FieldSpec("name", "text", unique=True)), name="a")
    title = FieldSpec("title", "text", unique=True)
    decide(tmp_path, title, renames={"Item.name": "title"})
    store = reopen(title)
    assert store.handle("Item").find(1).flin_get("title") == "a"
    store.close()


def test_rename_that_does_not_fit(reopen: Open, tmp_path: Path) -> None:
    """Renaming what is not there, or onto what is, is refused and changes nothing."""
    fill(reopen(NAME, COUNT), name="a", count=1)
    for renames in ({"Item.nope": "x"}, {"Item.name": "count"}, {"Nope.name": "x"}):
        with pytest.raises(SchemaError, match="cannot rename"):
            decide(tmp_path, NAME, COUNT, renames=renames)
    reopen(NAME, COUNT).close()


# --- declarations and files that cannot be used ----------------------------------------


@pytest.mark.parametrize(
    ("entities", "message"),
    [
        ([EntitySpec("Item", ()), EntitySpec("ITEM", ())], "`Item` and `ITEM` clash"),
        ([EntitySpec("Item", (NAME, FieldSpec("Name", "text")))], "`name` and `Name` clash"),
        ([EntitySpec("Item", (FieldSpec("ID", "int"),))], "`id` and `ID` clash"),
        ([EntitySpec("Sqlite_x", ())], "reserves"),
        ([EntitySpec("Item", (FieldSpec("x", "money"),))], "unknown type `money`"),
        ([EntitySpec("Item", (FieldSpec("x", "ref", target="No"),))], "unknown entity `No`"),
        (
            [EntitySpec("Item", tuple(FieldSpec(f"f{n}", "int") for n in range(1001)))],
            "more than 1000 fields",
        ),
    ],
)
def test_declarations_that_cannot_be_stored(
    tmp_path: Path, entities: list[EntitySpec], message: str
) -> None:
    """Names that the database cannot tell apart are refused before anything is made."""
    with pytest.raises(SchemaError, match=message):
        open_store(tmp_path, FakeLoop(), entities=entities)


def test_most_fields(tmp_path: Path) -> None:
    """The limit itself works."""
    spec = EntitySpec("Item", tuple(FieldSpec(f"f{n}", "int") for n in range(1000)))
    store = open_store(tmp_path, FakeLoop(), entities=[spec])
    with store.transaction():
        make(store, "Item", f999=5)
    assert store.handle("Item").find(1).flin_get("f999") == 5
    store.close()


def test_backfill_runs_before_the_first_handler(reopen: Open) -> None:
    """Defaults are asked for once the program is bound, once, and not at later starts."""
    fill(reopen(NAME), name="a")
    asked = []

    def default() -> int:
        asked.append(1)
        return 7

    count = FieldSpec("count", "int", default=default)
    store = reopen(NAME, count)
    assert not asked
    store.close()  # never served: the next start must still fill
    store = reopen(NAME, count)
    store.begin(writes=False)
    assert store.handle("Item").find(1).flin_get("count") == 7
    store.commit()
    store.close()
    assert len(asked) == 1
    store = reopen(NAME, count)
    with store.transaction():
        make(store, "Item", name="b", count=None)
    store.close()
    store = reopen(NAME, count)
    store.begin(writes=True)
    store.rollback()
    assert [r.flin_get("count") for r in store.handle("Item").flin_get("all")] == [7, None]
    store.close()


def test_bad_default_of_a_new_field(reopen: Open) -> None:
    """A default that does not fit its field is reported, and nothing is filled."""
    fill(reopen(NAME), name="a")
    store = reopen(
        NAME,
        FieldSpec("size", "int", default=lambda: 1),
        FieldSpec("count", "int", default=lambda: "x"),
    )
    with pytest.raises(SchemaError, match=r"default of `Item\.count` must be an integer"):
        store.backfill()
    with pytest.raises(SchemaError):
        store.begin(writes=False)
    assert store.handle("Item").find(1).flin_get("size") is None
    store.close()
    store = reopen(NAME, FieldSpec("size", "int", default=lambda: 1))
    store.backfill()
    assert store.handle("Item").find(1).flin_get("size") == 1
    store.close()


def test_database_of_another_program(tmp_path: Path) -> None:
    """A SQLite file that is not ours is left alone."""
    database = Database(tmp_path / FILE_NAME)
    database.execute("CREATE TABLE theirs (x)")
    database.close()
    with pytest.raises(SchemaError, match="another program"):
        open_store(tmp_path, FakeLoop())
    database = Database(tmp_path / FILE_NAME)
    assert database.query("SELECT name FROM sqlite_schema") == [("theirs",)]
    database.close()


def test_database_of_a_newer_version(tmp_path: Path) -> None:
    """A newer format is refused with advice."""
    open_store(tmp_path, FakeLoop()).close()
    database = Database(tmp_path / FILE_NAME)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SchemaError, match="newer flinfast"):
        open_store(tmp_path, FakeLoop())
