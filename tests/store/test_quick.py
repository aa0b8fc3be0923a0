"""The quick way finds the same cells as the general way, or leaves it to that."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import ValidationFault
from flinfast.store import EntitySpec, FieldSpec, Record, Store
from flinfast.store.entity import Entity
from flinfast.store.quick import QUICK_SIZE_MAX, joined, unix_ms
from flinfast.values import Time
from tests.store.store_loop import FakeLoop, make, open_store

KINDS = ("text", "int", "number", "bool", "time", "duration", "bytes", "list", "map", "any", "file")


def short(value: Any) -> str | None:
    """A check that looks at what it is given, whatever that is."""
    return "is too long" if len(str(value)) > 30 else None


USER = EntitySpec("User", (FieldSpec("name", "text", required=True),))
PLAIN = EntitySpec("Plain", tuple(FieldSpec(f"f_{kind}", kind) for kind in KINDS))
STRICT = EntitySpec(
    "Strict",
    (
        *(FieldSpec(f"f_{kind}", kind, required=True, checks=(short, short)) for kind in KINDS),
        FieldSpec("trimmed", "text", required=True, transforms=(str.strip, str.lower)),
        FieldSpec("state", "enum", variants=("Open", "Closed")),
        FieldSpec('odd "\\name', "text"),
    ),
)
LINKED = EntitySpec(
    "Linked",
    (
        FieldSpec("owner", "ref", target="User", required=True),
        FieldSpec("other", "ref", target="User"),
        FieldSpec("twin", "ref", target="Linked"),
        FieldSpec("all", "list", target="User"),
    ),
)
EMPTY = EntitySpec("Empty", ())

USUAL: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=40),
    "int": st.integers(-(1 << 64), 1 << 64),
    "number": st.floats() | st.integers(),
    "bool": st.booleans(),
    "time": st.integers(0, 1 << 41).map(Time) | st.just("2026-01-02T03:04:05Z"),
    "duration": st.integers(0, 1 << 40),
    "bytes": st.binary(max_size=40),
    "list": st.lists(st.integers()),
    "map": st.dictionaries(st.text(max_size=3), st.integers()),
    "any": st.text(max_size=9) | st.floats() | st.lists(st.none()),
    "file": st.binary(max_size=9),
}
NOW = 1_700_000_000_000
ODD = st.sampled_from(
    [
        *(None, "", " ", "A", " Open ", "Open", "x" * 31, "\0", "ä", "\ud800", "12"),
        *(0, 1, -1, True, False, 2**63, -(2**63), 2**63 - 1, 1.0, 1.5, math.inf, math.nan),
        *(b"", b"x", bytearray(b"y"), [], [1], (), {}, {"a": 1}, range(3), object(), Time(5)),
    ]
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder: Path = tmp_path_factory.mktemp("generate")
    loop = FakeLoop()
    opened = open_store(folder, loop, entities=[USER, PLAIN, STRICT, LINKED, EMPTY])
    with opened.transaction():
        make(opened, "User", name="a")
        make(opened, "Linked", owner=1)
    yield opened
    opened.close()


def both(entity: Entity, values: dict[str, Any]) -> tuple[Any, Any]:
    """What each way makes of the values: cells and the record afterwards, or None and faults."""
    quick, general = entity.construct(values), entity.construct(values)
    before = dict(quick._cells), dict(quick._refs or {})
    cells = entity.encode_new(quick, NOW)
    if cells is None:
        assert (quick._cells, quick._refs or {}) == before
    try:
        expected = (*entity._encode(general), NOW, NOW, None, 1)
    except ValidationFault:
        expected = None
    assert cells in (None, expected)
    if cells is not None:
        assert list(map(type, cells)) == list(map(type, expected))
        assert repr((quick._cells, quick._refs)) == repr((general._cells, general._refs))
    return cells, expected


@given(data=st.data(), name=st.sampled_from(["Plain", "Strict", "Empty"]))
def test_cells_are_those_of_the_general_way(store: Store, data: st.DataObject, name: str) -> None:
    """Any values of any fields: equal cells of equal types, and an equal record."""
    entity = store.handle(name)
    values = {}
    for field in entity.table.fields:
        usual = USUAL.get(field.type, st.sampled_from(["Open", "Closed"]))
        if data.draw(st.integers(0, 9)):
            values[field.name] = data.draw(ODD if data.draw(st.integers(0, 5)) == 0 else usual)
    both(entity, values)


@given(data=st.data())
def test_references_are_those_of_the_general_way(store: Store, data: st.DataObject) -> None:
    """Records, ids, text, unsaved records and records of another entity."""
    user, linked = store.handle("User"), store.handle("Linked")
    saved = user.find(1)
    unsaved = user.construct({"name": "b"})
    held = st.sampled_from([saved, unsaved, linked.find(1), 1, 7, "1", None, True, 2**63, "x"])
    values = {name: data.draw(held) for name in ("owner", "other", "twin")}
    if data.draw(st.integers(0, 3)) == 0:
        values["all"] = data.draw(st.sampled_from([None, [], [1], [saved], "x"]))
    both(linked, values)


def test_usual_values_take_the_quick_way(store: Store) -> None:
    """Valid values of the declared types need no second look; anything refused does."""
    text = {"f_text": "a", "f_any": "b", "f_file": b"c", "f_bytes": b"d", "trimmed": " E "}
    numbers = {"f_int": 1, "f_number": 2.0, "f_bool": True, "f_time": Time(3), "f_duration": 4}
    nested = {"f_list": [1], "f_map": {"a": 1}, "state": "Open"}
    cells, expected = both(store.handle("Strict"), {**text, **numbers, **nested})
    assert cells == expected is not None
    assert cells[11] == "e"
    cells, expected = both(store.handle("Strict"), {**text, **numbers, **nested, "f_int": None})
    assert cells is expected is None
    assert both(store.handle("Linked"), {"owner": 1})[0] == (1, None, None, None, NOW, NOW, None, 1)
    owner = store.handle("User").find(1)
    assert both(store.handle("Linked"), {"owner": owner})[0] == (
        1,
        None,
        None,
        None,
        NOW,
        NOW,
        None,
        1,
    )
    assert both(store.handle("Empty"), {})[0] == (NOW, NOW, None, 1)


@pytest.mark.parametrize("excess", [-1, 0, 1])
@pytest.mark.parametrize("kind", ["text", "any", "file", "bytes", "list"])
def test_long_cells_are_left_to_the_general_way(store: Store, kind: str, excess: int) -> None:
    """A row of quick cells always fits SQLite."""
    size = QUICK_SIZE_MAX + excess
    value: Any = "x" * size if kind in ("text", "any") else b"x" * size
    if kind == "file":
        value = b"x" * (size - 3)  # MessagePack says how long the bytes are
    elif kind == "list":
        value = [b"x" * (size - 4)]
    cells, expected = both(store.handle("Plain"), {f"f_{kind}": value})
    assert expected is not None
    assert (cells is None) == (excess > 0)


@pytest.mark.parametrize(
    ("start", "stop", "width", "cells"),
    [
        (0, 1, 1, (1,)),
        (0, 2, 2, (1, 2, 4, 5)),
        (1, 2, 3, (4, 5, 6)),
        (0, 2, 3, (1, 2, 3, 4, 5, 6)),
        *((-1, 1, 1, None), (1, 1, 1, None), (0, 3, 1, None), (2, 1, 1, None)),
        *((0, 1, 0, None), (0, 1, -1, None), (0, 2, 4, None)),
    ],
)
def test_rows_are_joined_within_their_bounds(
    start: int, stop: int, width: int, cells: tuple[int, ...] | None
) -> None:
    """The cells of rows in one tuple; never a look beyond a row or the rows."""
    rows: list[tuple[int, ...]] = [(1, 2, 3), (4, 5, 6)]
    if cells is None:
        with pytest.raises(IndexError):
            joined(rows, start, stop, width)
    else:
        assert joined(rows, start, stop, width) == cells


def test_compiled_bases_refuse_what_was_not_made(store: Store) -> None:
    """An object whose `__init__` never ran, or no record at all, is an error and no crash."""
    hollow, entity = Record.__new__(Record), Entity.__new__(Entity)
    for act in (
        *(lambda: hollow.flin_get("name"), lambda: store.save(hollow)),
        *(lambda: entity.construct({}), lambda: entity.save(hollow)),
        *(lambda: Record(None, None), lambda: store.handle("User").save(None)),  # type: ignore[arg-type]
    ):
        with pytest.raises((AttributeError, TypeError)):
            act()


def test_clock_is_the_system_s() -> None:
    """Whole milliseconds since 1970, as Python's own clock has them."""
    before = time.time_ns() // 1_000_000
    now = unix_ms()
    assert before <= now <= time.time_ns() // 1_000_000
