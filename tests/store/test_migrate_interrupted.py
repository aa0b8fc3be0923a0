"""A schema change that is cut short at any statement has happened as a whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import StoreError
from flinfast.store import EntitySpec, FieldSpec
from flinfast.store.migrate import migrate
from flinfast.store.sqlite import FILE_NAME, Database
from tests.store.store_loop import FakeLoop, make, open_store

OLD = (
    EntitySpec(
        "Item",
        (
            FieldSpec("name", "text", unique=True),
            FieldSpec("count", "int", index=True),
            FieldSpec("size", "int"),
        ),
    ),
    EntitySpec("Gone", (FieldSpec("name", "text"),)),
    EntitySpec("Kept", (FieldSpec("name", "text"),)),
)
NEW = (
    EntitySpec(
        "Item",
        (
            FieldSpec("title", "text", unique=True),
            FieldSpec("size", "number", index=True),
            FieldSpec("state", "text", default=lambda: "new"),
        ),
    ),
    EntitySpec("Called", (FieldSpec("name", "text", index=True),)),
    EntitySpec("Added", (FieldSpec("to", "ref", target="Item"),)),
)
RENAMES = {"Item.name": "title", "Kept": "Called"}
DROPS = ("Item.count", "Gone")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the old declarations, with records and old versions."""
    folder = tmp_path_factory.mktemp("old")
    store = open_store(folder, FakeLoop(), entities=OLD)
    with store.transaction():
        for number in range(3):
            item = make(store, "Item", name=f"n{number}", count=number, size=number)
            store.save(item)
        make(store, "Gone", name="gone")
        make(store, "Kept", name="kept")
    store.close()
    return folder


class Watched(Database):
    """Calls `before` with the number of each statement that may write, the first is 1."""

    count = 0
    before: Callable[[int], None]

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        self.count += 1
        self.before(self.count)
        super().execute(sql, values)


def change(folder: Path, before: Callable[[int], None]) -> int:
    """Migrate the database in a folder; how many statements it took."""
    database = Watched(folder / FILE_NAME)
    database.before = before
    try:
        migrate(database, NEW, renames=RENAMES, drops=DROPS)
    finally:
        database.close()
    return database.count


def is_changed(folder: Path) -> bool:
    """Whether the change happened; all of it is there, or nothing."""
    database = Database(folder / FILE_NAME)
    names = {name for (name,) in database.query("SELECT name FROM sqlite_schema")}
    assert database.query("PRAGMA integrity_check") == [("ok",)]
    database.close()
    changed = "Called" in names
    store = open_store(folder, FakeLoop(), entities=NEW if changed else OLD)
    store.backfill()
    items = [item.to_map() for item in store.handle("Item").flin_get("all")]
    key = "title" if changed else "name"
    assert [(item[key], item["size"], item["version"]) for item in items] == [
        (f"n{number}", number, 2) for number in range(3)
    ]
    assert [past.flin_get(key) for past in store.handle("Item").find(2).history()] == ["n1", "n1"]
    assert store.handle("Called" if changed else "Kept").find(1).flin_get("name") == "kept"
    if changed:
        assert {item["state"] for item in items} == {"new"}
        assert not {"Gone", "Kept", "_flin_history_Gone", "_flin_history_Kept"} & names
    else:
        assert store.handle("Gone").find(1) is not None
        assert not {"Called", "Added"} & names
    store.close()
    return changed


def copy_of(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.glob(f"{FILE_NAME}*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, to / path.name)
    return to


def test_process_that_dies_before_any_statement(old: Path, tmp_path: Path) -> None:
    """What another process then finds is the old schema, until COMMIT was run."""
    seen: list[bool] = []

    def die(number: int) -> None:
        left = copy_of(live, tmp_path / f"left{number}")
        seen.append(is_changed(left))
        shutil.rmtree(left)

    live = copy_of(old, tmp_path / "live")
    assert change(live, die) > 15
    assert not any(seen)
    assert is_changed(live)


def test_statement_that_fails(old: Path, tmp_path: Path) -> None:
    """An error at any statement leaves the old schema, and the change can be made again."""
    total = change(copy_of(old, tmp_path / "whole"), lambda number: None)
    for failing in range(1, total + 1):

        def fail(number: int, failing: int = failing) -> None:
            if number == failing:
                raise StoreError("the disk is full")

        folder = copy_of(old, tmp_path / f"failed{failing}")
        with pytest.raises(StoreError, match="is full"):
            change(folder, fail)
        assert not is_changed(folder)
        change(folder, lambda number: None)
        assert is_changed(folder)
        shutil.rmtree(folder)
