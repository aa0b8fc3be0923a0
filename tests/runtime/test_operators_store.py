"""Operators, builtins and JSON on real records and queries of the store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import BoundBuiltins
from flinfast.runtime.encode import encode_json
from flinfast.runtime.operators import OPERATORS as OPS
from flinfast.store import Store
from tests.store.store_loop import FakeLoop, make, open_store

PURE = BoundBuiltins(None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    loop = FakeLoop()
    store = open_store(tmp_path / ".flindb", loop, durability="normal")
    with store.transaction():
        ann = make(store, "User", name="Ann", email="a@b.co", password="hash", age=40)
        make(store, "User", name="Bob", email="b@b.co", age=30)
        make(store, "Note", title="first", rank=2, owner=ann)
        make(store, "Note", title="second", rank=1)
    yield store
    loop.settle()
    store.close()


def call(value: Any, name: str, *args: Any) -> Any:
    return OPS.call_method(None, value, name, args, {})


def test_list_methods_of_queries_and_entities(store: Store) -> None:
    with store.transaction():
        notes = store.handle("Note")
        for rows in (notes, notes.flin_get("all")):
            assert call(rows, "map", lambda n: n.flin_get("title")) == ["first", "second"]
            assert [n.id for n in call(rows, "sort", "rank")] == [2, 1]
            assert PURE["sum"](rows, "rank") == 3
            assert [n.id for n in OPS.iterate(rows)] == [1, 2]
            assert OPS.member(rows, "length") == 2
            assert OPS.is_type(rows, "list")
            assert OPS.index(rows, -1).id == 2
            assert OPS.contains(notes.find(2), rows)
            assert OPS.eq(rows, [notes.find(1), notes.find(2)])


def test_methods_of_the_query_itself_come_first(store: Store) -> None:
    with store.transaction():
        query = store.handle("Note").flin_get("all")
        assert call(query, "sum", "rank") == 3
        assert call(query, "order", "rank", "desc").rows()[0].id == 1
        assert call(query, "where", lambda n: n.flin_get("rank") == 1).rows()[0].id == 2
        assert OPS.member(query, "count") == 2


def test_records(store: Store) -> None:
    with store.transaction():
        users = store.handle("User")
        ann, again = users.find(1), users.find("1")
        assert OPS.eq(ann, again)
        assert not OPS.eq(ann, users.find(2))
        assert not OPS.eq(ann, store.handle("Note").find(1))
        assert OPS.eq(store.handle("Note").find(1).flin_get("owner"), ann)
        assert PURE["type_of"](ann) == "User"
        assert OPS.is_type(ann, "User")
        assert OPS.member(ann, "name") == "Ann"
        assert OPS.index(ann, "name") == "Ann"
        assert call(ann, "pick", ["name", "password"]) == {"name": "Ann"}
        assert PURE["unique"]([ann, again]) == [ann]
        OPS.set_member(ann, "age", 41)
        assert OPS.version_at(store.save(ann), -1).flin_get("age") == 40
        with pytest.raises(RuntimeFault) as caught:
            OPS.member(ann, "nmae")
        assert caught.value.code == "FL511"


def test_json_never_shows_hidden_fields(store: Store) -> None:
    with store.transaction():
        ann = store.handle("User").find(1)
        for value in (
            ann,
            {"a": [ann]},
            store.handle("User"),
            store.handle("User").flin_get("all"),
        ):
            assert b"hash" not in encode_json(value)
            assert "hash" not in OPS.to_text(value)
        assert list(json.loads(encode_json(ann))) == (
            ["id", "name", "email", "age", "created_at", "updated_at", "version"]
        )


def test_json_of_notes_that_refer_to_each_other_ends(store: Store) -> None:
    with store.transaction():
        notes = store.handle("Note")
        first, second = notes.find(1), notes.find(2)
        first.flin_set("twin", second)
        second.flin_set("twin", first)
        store.save(first)
        store.save(second)
        assert json.loads(encode_json(first))["id"] == 1
        assert json.loads(encode_json(call(notes.flin_get("all"), "with", "twin")))[0]["id"] == 1
