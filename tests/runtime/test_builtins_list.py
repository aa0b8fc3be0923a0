"""List and map builtins."""

import itertools
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.native import collection
from flinfast.runtime.builtins import BoundBuiltins
from flinfast.runtime.operators import OPERATORS
from flinfast.values import Time
from tests.runtime.flin_values import FakeQuery, FakeRecord, ints, plain

PURE = BoundBuiltins(None)
PEOPLE = [{"name": "B", "age": 30}, {"name": "A", "age": None}, {"name": "C", "age": 20}]


def code_of(name: str, *args: Any) -> str:
    with pytest.raises(RuntimeFault) as caught:
        PURE[name](*args)
    return caught.value.code


def doubled() -> list[Any]:
    """A list that contains itself twice: flattening it doubles at every level."""
    items: list[Any] = [1]
    items += [items, items]
    return items


@pytest.mark.parametrize(
    ("name", "args", "result", "after"),
    [
        ("push", ([1], 2), [1, 2], [1, 2]),
        ("pop", ([1, 2],), 2, [1]),
        ("pop", ([],), None, []),
        ("shift", ([1, 2],), 1, [2]),
        ("shift", ([],), None, []),
        ("unshift", ([1], 0), [0, 1], [0, 1]),
        ("insert_at", ([1, 3], 1, 2), [1, 2, 3], [1, 2, 3]),
        ("insert_at", ([1], 99, 2), [1, 2], [1, 2]),
        ("remove_at", ([1, 2, 3], -1), 3, [1, 2]),
        ("remove_at", ([1], 5), None, [1]),
        ("splice", ([1, 2, 3, 4], 1, 2, "a"), [2, 3], [1, "a", 4]),
        ("splice", ([1, 2, 3], -1), [3], [1, 2]),
        ("splice", ([1, 2], 9, 1, "x"), [], [1, 2, "x"]),
        ("splice", ([1, 2], 0, -5), [], [1, 2]),
    ],
)
def test_in_place_function(name: str, args: Any, result: Any, after: Any) -> None:
    """Its result, and what the list is afterwards."""
    assert PURE[name](*args) == result
    assert args[0] == after


@pytest.mark.parametrize(
    ("name", "args", "result"),
    [
        ("map", ([1, 2], lambda x: x * 2), [2, 4]),
        ("map", (["a", "b"], lambda x, i: f"{x}{i}"), ["a0", "b1"]),
        ("map", ([1, 2], lambda: "x"), ["x", "x"]),
        ("map", ([1, 2], lambda *all: len(all)), [1, 1]),
        ("map", (range(3), lambda x: -x), [0, -1, -2]),
        ("map", (FakeQuery([1]), lambda x: x), [1]),
        ("filter", ([0, 1, "", "a", []], lambda x: x), [1, "a", []]),
        ("where", ([1, 2, 3], lambda x: x > 1), [2, 3]),
        ("reduce", ([1, 2, 3], lambda total, x: total + x, 10), 16),
        ("reduce", ([1, 2, 3], 10, lambda total, x: total + x), 16),
        ("reduce", ([], lambda total, x: x, "empty"), "empty"),
        ("flat_map", ([1, 2], lambda x: [x, x]), [1, 1, 2, 2]),
        ("find", ([1, 2, 3], lambda x: x > 1), 2),
        ("find", ([1], lambda x: False), None),
        ("find_index", ([1, 2], lambda x: x == 2), 1),
        ("find_index", ([1], lambda x: False), -1),
        ("some", ([0, 1], lambda x: x), True),
        ("any", ([0, 0], lambda x: x), False),
        ("every", ([1, 0], lambda x: x), False),
        ("all", ([], lambda x: False), True),
        ("sum", ([1, 2.5],), 3.5),
        ("sum", ([],), 0),
        ("sum", (PEOPLE, "age"), 50),
        ("sum", (PEOPLE, lambda p: p["age"]), 50),
        ("avg", ([1, 2],), 1.5),
        ("avg", ([],), None),
        ("avg", (PEOPLE, "age"), 25),
        ("min", (["b", "a"],), "a"),
        ("max", ([1, 2.5, None],), 2.5),
        ("max", ([],), None),
        ("min", (PEOPLE, "age"), 20),
        ("max", ([Time(1), Time(2)],), Time(2)),
        ("min", (3, 1, 2), 1),
        ("max", (3, 4.5), 4.5),
        ("count", ([1, 2],), 2),
        ("count", ([0, 1, 2], lambda x: x), 2),
        ("sort", ([3, 1, 2.5],), [1, 2.5, 3]),
        ("sort", ([2, None, 1],), [None, 1, 2]),
        ("sort", ([True, False],), [False, True]),
        ("sort", (["b", "a"], None, "desc"), ["b", "a"]),
        ("sort", ([1, 3, 2], lambda a, b: b - a), [3, 2, 1]),
        ("sort", ([[1, "b"], [1, "a"]], lambda x: x[0]), [[1, "b"], [1, "a"]]),
        ("group_by", ([1, 2, 3], lambda x: x % 2), {"1": [1, 3], "0": [2]}),
        ("group_by", (PEOPLE, "age"), {"30": [PEOPLE[0]], "none": [PEOPLE[1]], "20": [PEOPLE[2]]}),
        ("zip_with", ([1, 2], [3, 4, 5], lambda a, b: a + b), [4, 6]),
        ("reverse", ([1, 2],), [2, 1]),
        ("list_reverse", ([1, 2],), [2, 1]),
        ("flatten", ([[1], [[2]], 3],), [1, [2], 3]),
        ("flatten", ([[1], [[2]], 3], 2), [1, 2, 3]),
        ("zip", ([1, 2, 3], ["a", "b"]), [[1, "a"], [2, "b"]]),
        ("concat", ([1], [2], [3]), [1, 2, 3]),
        ("slice", ([1, 2, 3], 1, 2), [2]),
        ("take", ([1, 2, 3], 2), [1, 2]),
        ("drop", ([1, 2, 3], 2), [3]),
        ("take", ([1], -1), []),
        ("rest", ([1, 2, 3],), [2, 3]),
        ("first", ([],), None),
        ("last", ([1, 2],), 2),
        ("contains", ([1], True), False),
        ("includes", ([[1]], [1.0]), True),
        ("index_of", ([1, "a"], "a"), 1),
        ("index_of", ([1], "1"), -1),
        ("length", ([1],), 1),
        ("size", (FakeQuery([1, 2]),), 2),
        ("unique", ([1, 1.0, True, "1", [1], [1], None, None],), [1, True, "1", [1], None]),
        ("unique", (PEOPLE, "name"), PEOPLE),
        ("unique", ([1, 2, 3], lambda x: x % 2), [1, 2]),
        ("chunk", ([1, 2, 3], 2), [[1, 2], [3]]),
        ("union", ([1, 2], [2, 3]), [1, 2, 3]),
        ("intersection", ([1, 2, 2, [3]], [2, [3]]), [2, [3]]),
        ("difference", ([1, 2, 2, 1], [2]), [1]),
        ("symmetric_difference", ([1, 2], [2, 3]), [1, 3]),
        ("range", (2, 5), [2, 3, 4]),
        ("range", (3,), [0, 1, 2]),
        ("range", (5, 0, -2), [5, 3, 1]),
        ("range", (5, 0), []),
        ("each", ([1], lambda x: None), [1]),
        ("copy", ([1],), [1]),
        ("keys", ({"a": 1, "b": 2},), ["a", "b"]),
        ("values", ({"a": 1},), [1]),
        ("entries", ({"a": 1},), [["a", 1]]),
        ("from_entries", ([["a", 1], [2, "b"]],), {"a": 1, "2": "b"}),
        ("has_key", ({"a": None}, "a"), True),
        ("has", ({"1": 0}, 1), True),
        ("get", ({"a": None}, "a", 5), None),
        ("get", ({}, "a", 5), 5),
        ("set", ({}, "a", 1), {"a": 1}),
        ("delete_key", ({"a": 1, "b": 2}, "a"), {"b": 2}),
        ("delete_key", ({}, "a"), {}),
        ("pick", ({"a": 1, "b": 2}, ["b", "c"]), {"b": 2}),
        ("omit", ({"a": 1, "b": 2}, ["b", "c"]), {"a": 1}),
        ("clone", ({"a": 1},), {"a": 1}),
        ("merge", ({"a": 1}, {"a": 2}, {"b": 3}), {"a": 2, "b": 3}),
        ("map_values", ({"a": 1}, lambda v: v + 1), {"a": 2}),
        ("map_values", ({"a": 1}, lambda v, k: k), {"a": "a"}),
        ("len", ({"a": 1},), 1),
        ("is_empty", ({},), True),
        ("keys", (FakeRecord("User", 1, {"a": 1}),), ["id", "a"]),
    ],
)
def test_list_or_map_function(name: str, args: tuple[Any, ...], result: Any) -> None:
    """Called as a function and as a method it gives the same."""
    assert PURE[name](*args) == result
    assert OPERATORS.call_method(None, args[0], name, args[1:], {}) == result


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [
        ("push", (range(3), 4), "FL504"),
        ("push", (FakeQuery([1]), 4), "FL504"),
        ("map", ([1], 5), "FL504"),
        ("map", (5, lambda x: x), "FL504"),
        ("map", ([1], lambda a, b, c: a), "FL504"),
        ("reduce", ([1], 1, 2), "FL504"),
        ("sum", ([1, "a"],), "FL504"),
        ("sum", ([True],), "FL504"),
        ("sum", ([1], 5), "FL504"),
        ("min", ([1, "a"],), "FL501"),
        ("min", (1, "a"), "FL504"),
        ("sort", ([1, "a"],), "FL501"),
        ("sort", ([[1], [2]],), "FL501"),
        ("sort", ([1, True],), "FL501"),
        ("sort", ([1, 2], lambda a, b: "x"), "FL501"),
        ("sort", ([1], None, "down"), "FL504"),
        ("chunk", ([1], 0), "FL504"),
        ("range", (0, 10**9), "FL508"),
        ("range", (0, 10**30), "FL508"),
        ("range", (0, 5, 0), "FL504"),
        ("from_entries", ([["a"]],), "FL504"),
        ("set", (FakeRecord("User", 1, {}), "a", 1), "FL504"),
        ("get", ({}, []), "FL501"),
    ],
)
def test_list_or_map_function_faults(name: str, args: tuple[Any, ...], code: str) -> None:
    assert code_of(name, *args) == code


def test_flatten_of_a_list_in_itself_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither items nor empty lists without end are followed for long."""
    monkeypatch.setattr("flinfast.runtime.builtins.list.LIST_ITEMS_MAX", 10_000)
    monkeypatch.setattr(collection.RULES, "items_max", 10_000)
    empty: list[Any] = []
    for _ in range(90):
        empty = [empty, empty]
    assert code_of("flatten", doubled(), 100) == "FL508"
    assert code_of("flatten", empty, 100) == "FL508"
    assert len(PURE["flatten"]([list(range(5000)), list(range(4998))])) == 9998
    assert code_of("flatten", [list(range(5000)), list(range(4999))]) == "FL508"


def test_functions_do_not_change_their_argument() -> None:
    items = [3, 1, 2]
    for name in ("sort", "reverse", "rest", "unique", "copy"):
        PURE[name](items)
    PURE["concat"](items, [4])
    assert items == [3, 1, 2]


def test_map_is_over_a_snapshot() -> None:
    """A function that appends to the list it maps over does not make the loop endless."""
    items = [1, 2]
    assert PURE["map"](items, lambda x: len(PURE["push"](items, x))) == [3, 4]


def test_map_takes_file_level_functions() -> None:
    """They come with their context bound."""

    def double(context: Any, number: int) -> int:
        return number * 2

    def numbered(context: Any, item: str, index: int) -> str:
        return f"{item}{index}"

    assert PURE["map"]([1, 2], partial(double, None)) == [2, 4]
    assert PURE["map"](["a"], partial(numbered, None)) == ["a0"]
    assert PURE["map"]([" a "], PURE["trim"]) == ["a"]
    assert PURE["map"](["abc"], PURE["len"]) == [3]


def test_a_failure_inside_a_function_is_not_hidden() -> None:
    def broken(item: Any) -> None:
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        PURE["map"]([1], broken)


@given(st.lists(st.one_of(st.none(), ints, st.floats(allow_nan=False))))
def test_sort_is_stable_and_ordered(items: list[Any]) -> None:
    numbered = [[item, place] for place, item in enumerate(items)]
    ordered = PURE["sort"](numbered, lambda pair: pair[0])
    assert sorted(pair[1] for pair in ordered) == list(range(len(items)))
    for (left, first), (right, second) in itertools.pairwise(ordered):
        if left is None or right is None:
            assert left is None
        else:
            assert left <= right
        if OPERATORS.eq(left, right):
            assert first < second


@given(st.lists(plain, max_size=6), st.lists(plain, max_size=6))
def test_set_functions_agree_with_equality(left: list[Any], right: list[Any]) -> None:
    """Hashing some values is an optimisation that nobody can see."""

    def has(items: list[Any], item: Any) -> bool:
        return any(OPERATORS.eq(item, other) for other in items)

    unique: list[Any] = []
    for item in left:
        if not has(unique, item):
            unique.append(item)
    assert repr(PURE["unique"](left)) == repr(unique)
    kept = [item for item in unique if not has(right, item)]
    assert repr(PURE["difference"](left, right)) == repr(kept)
    common = [item for item in unique if has(right, item)]
    assert repr(PURE["intersection"](left, right)) == repr(common)


@given(st.lists(ints), st.integers(1, 5))
def test_flatten_undoes_chunk(items: list[int], size: int) -> None:
    assert PURE["flatten"](PURE["chunk"](items, size)) == items
