"""Walks over lists and maps: every edge that a shortcut could get wrong."""

import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.native import collection
from flinfast.runtime.builtins import BoundBuiltins
from flinfast.runtime.operators import OPERATORS
from flinfast.values import NO_VALUE, Time
from tests.runtime.flin_values import FakeQuery, FakeRecord, ints, plain
from tests.runtime.list_reference import TWINS, equal, groups, ordered, place, unique

PURE = BoundBuiltins(None)
BIG = 2**63 - 1
numbers = st.one_of(ints, st.floats(), st.integers(-(2**70), 2**70), st.none())
mixed = st.lists(st.one_of(numbers, st.booleans(), st.text(max_size=3), plain), max_size=8)


def outcome(function: Any, *args: Any) -> tuple[str, str]:
    """Result as Python shows it, or fault: type, sign and NaN included."""
    try:
        return "result", repr(function(*args))
    except RuntimeFault as fault:
        return fault.code, str(fault)


def fault_of(function: Any, *args: Any) -> str:
    with pytest.raises(RuntimeFault) as caught:
        function(*args)
    return f"{caught.value.code} {caught.value}"


def call(name: str, *args: Any) -> Any:
    """As a function, as a method with any arguments and as a method of known arguments."""
    found = {
        outcome(PURE[name], *args),
        outcome(OPERATORS.call_method, None, args[0], name, args[1:], {}),
        outcome(OPERATORS.method(name, len(args) - 1), None, *args),
    }
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("name", TWINS)
@given(items=st.one_of(mixed, st.lists(numbers, max_size=8), st.lists(st.text(), max_size=8)))
def test_builtin_agrees_with_its_twin(name: str, items: list[Any]) -> None:
    """Whatever the items are, it is the same result or the same fault."""
    assert call(name, items) == outcome(TWINS[name], items)


@given(items=mixed, other=st.one_of(mixed, numbers, st.booleans(), plain))
def test_equality_and_places_agree_with_their_twins(items: list[Any], other: Any) -> None:
    assert OPERATORS.eq(items, other) is equal(items, other)
    assert PURE["index_of"](items, other) == place(items, other)
    assert OPERATORS.contains(other, items) is (place(items, other) >= 0)
    assert repr(PURE["union"](items, [other])) == repr(unique([*items, other]))
    assert repr(PURE["group_by"](items, lambda item: item)) == repr(groups(items))


@given(
    items=st.one_of(
        st.lists(st.one_of(ints, st.floats(allow_nan=False), st.none())),
        st.lists(st.one_of(st.text(), st.none())),
        st.lists(st.one_of(st.integers(0, 9).map(Time), st.none())),
        st.lists(st.booleans()),
    ),
    descending=st.booleans(),
)
def test_sort_agrees_with_its_twin(items: list[Any], descending: bool) -> None:
    """By the items and by keys, with none first; equal ones keep their order."""
    direction = "desc" if descending else "asc"
    expected = repr(ordered(items, descending))
    assert repr(PURE["sort"](items, None, direction)) == expected
    assert repr(PURE["sort"](items, lambda item: item, direction)) == expected
    rows = [{"key": item} for item in items]
    assert repr([row["key"] for row in PURE["sort"](rows, "key", direction)]) == expected


# --- numbers ----------------------------------------


@pytest.mark.parametrize(
    ("items", "total"),
    [
        ([], 0),
        ([None], 0),
        ([BIG, 1], 2**63),
        ([1, BIG], 2**63),
        ([-BIG - 1, -1], -(2**63) - 1),
        ([BIG + 1, -1], BIG),
        ([BIG, 1, -1, None, 2], BIG + 2),
        ([1] * 99 + [2**64], 2**64 + 99),
        ([BIG, 1, 0.5], float(2**63)),
        ([0.5, BIG], 0.5 + BIG),
        ([2**53, 1, 1.0], (2**53 + 1) + 1.0),
        ([-0.0], 0.0),
        ([0.1] * 10, 0.9999999999999999),
    ],
)
def test_sum_is_exact_until_there_is_a_number(items: list[Any], total: Any) -> None:
    """Ints grow beyond 64 bits; numbers are added from left to right."""
    assert call("sum", items) == ("result", repr(total))
    assert repr(PURE["sum"](items, lambda item: item)) == repr(total)


@pytest.mark.parametrize("items", [[1.5, 10**400], [10**400, 1.5], [0, 1, 1.5, 10**400]])
def test_an_int_too_large_for_a_number_is_a_fault(items: list[Any]) -> None:
    message = "FL508 int is too large to become a number"
    assert fault_of(PURE["sum"], items) == message
    assert fault_of(PURE["sum"], items, lambda item: item) == message
    assert fault_of(PURE["avg"], items) == "FL508 `avg`: result is too large"


def test_nan_and_bools_are_what_they_are() -> None:
    """NaN equals nothing, the same object included; a bool is no number."""
    nan = math.nan
    assert OPERATORS.eq([nan], [nan]) is False
    assert PURE["contains"]([nan], nan) is False
    assert len(PURE["unique"]([nan, nan])) == 2
    assert PURE["intersection"]([nan, 1], [nan, 1]) == [1]
    assert math.isnan(PURE["sum"]([1, nan]))
    assert PURE["index_of"]([True, 1], 1) == 1
    assert PURE["index_of"]([1, True], True) == 1
    assert PURE["unique"]([1, True, 1.0, 0, False, -0.0]) == [1, True, 0, False]
    assert PURE["count"]([nan, 0.0, -0.0, "", None, NO_VALUE, [], {}], lambda item: item) == 2
    assert PURE["group_by"]([1, True, 1.0], lambda item: item) == {"1": [1, 1.0], "true": [True]}
    for name in ("sum", "avg"):
        expected = f"FL504 `{name}`: expected a list of number, got bool in it"
        assert fault_of(PURE[name], [1, 2.5, True]) == expected
        assert fault_of(PURE[name], [1, 2, True], lambda item: item) == expected


# --- functions ----------------------------------------

WALKS: list[tuple[str, Any]] = [
    *((name, None) for name in ("map", "filter", "find", "find_index", "some", "every", "count")),
    *((name, None) for name in ("each", "flat_map", "sum", "avg", "min", "max", "sort", "unique")),
    ("group_by", None),
]


@pytest.mark.parametrize("name", [name for name, _ in WALKS])
@pytest.mark.parametrize("change", ["push", "pop", "clear"])
def test_a_function_may_change_the_list_that_is_walked(name: str, change: str) -> None:
    """It is called once for each item that the list had at first, and those decide."""
    items = [1, 2, 3]
    seen: list[int] = []

    def function(item: int) -> int:
        seen.append(item)
        if change == "push":
            items.append(9)
        elif items:
            items.pop() if change == "pop" else items.clear()
        return 0 if name in ("find", "find_index", "some") else item

    result = PURE[name](items, function)
    assert seen == [1, 2, 3]
    expected = PURE[name]([1, 2, 3], lambda item: item)
    if name in ("find", "find_index", "some"):
        expected = {"find": None, "find_index": -1, "some": False}[name]
    assert result == (items if name == "each" else expected)


def test_find_gives_the_item_that_was_looked_at() -> None:
    items = [1, 2, 3]
    assert PURE["find"](items, lambda item: items.clear() or item == 2) == 2


@pytest.mark.parametrize("name", [name for name, _ in WALKS])
def test_what_a_function_raises_comes_out(name: str) -> None:
    """Also at the last item, and also what looks like a refused call."""

    def failing(error: BaseException) -> Any:
        def function(item: Any) -> Any:
            if item == 3:
                raise error
            return True if name == "every" else [] if name == "flat_map" else item - item

        return function

    for error in (TypeError("inside"), RuntimeFault("inside", code="FL500"), ZeroDivisionError()):
        with pytest.raises(type(error)) as caught:
            PURE[name]([1, 2, 3], failing(error))
        assert caught.value is error


def test_endless_recursion_through_a_walk_is_a_fault() -> None:
    def again(item: Any) -> Any:
        return PURE["map"]([item], again)

    assert fault_of(again, 1).startswith("FL508")
    assert sys.getrecursionlimit() >= 1000


def test_deep_values_are_a_fault_wherever_they_are_compared() -> None:
    left: list[Any] = []
    right: list[Any] = []
    left.append(left)
    right.append(right)
    for name, args in (
        ("contains", ([left], right)),
        ("index_of", ([left], right)),
        ("unique", ([left, right],)),
        ("difference", ([left], [right])),
    ):
        assert fault_of(PURE[name], *args).startswith("FL508")
    assert fault_of(OPERATORS.contains, right, [left]).startswith("FL508")
    assert fault_of(OPERATORS.eq, {"a": left}, {"a": right}).startswith("FL508")


# --- arguments ----------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "fault"),
    [
        ("map", ([1], 5), "FL504 `map` argument 2: expected function, got int"),
        ("any", ([1], "a"), "FL504 `any` argument 2: expected function, got text"),
        ("where", ([1], None), "FL504 `where` argument 2: expected function, got none"),
        ("sum", ([1], 5), "FL504 `sum` argument 2: expected function or text, got int"),
        ("sort_by", ([1], 5), "FL504 `sort` argument 2: expected function or text, got int"),
        (
            "group_by",
            ([1], None),
            "FL504 `group_by` argument 2: expected function or text, got none",
        ),
        ("reduce", ([1], 1, 2), "FL504 `reduce` argument 2: expected function, got int"),
        ("zip", ([1], 5), "FL504 `zip` argument 2: expected list, got int"),
        ("zip", ([1], None), "FL504 `zip` argument 2: expected list, got none"),
        ("union", ([1], None), "FL504 `union` argument 2: expected list, got none"),
        ("difference", ([1], "ab"), "FL504 `difference` argument 2: expected list, got text"),
        ("zip_with", ([1], None, len), "FL504 `zip_with` argument 2: expected list, got none"),
        ("join", ([1], None), "FL504 `join` argument 2: expected text, got none"),
        ("concat", ([1], [2], None), "FL504 `concat` argument 3: expected list, got none"),
        ("slice", ([1], "a"), "FL504 `slice` argument 2: expected int, got text"),
        ("take", ([1], None), "FL504 `take` argument 2: expected int, got none"),
        ("chunk", ([1], 0), "FL504 `chunk` argument 2: expected an int from 1, got 0"),
        ("flatten", ([1], "x"), "FL504 `flatten` argument 2: expected int, got text"),
        ("pick", ({"a": 1}, None), "FL504 `pick` argument 2: expected list, got none"),
        ("merge", ({"a": 1}, 5), "FL504 `merge` argument 2: expected map, got int"),
        ("map_values", ({"a": 1}, 5), "FL504 `map_values` argument 2: expected function, got int"),
        (
            "sort",
            ([2, 1], lambda a, b: "x"),
            "FL501 expected a number from the comparison of `sort`, got text",
        ),
        (
            "from_entries",
            ([["a", 1], 5],),
            "FL504 `from_entries`: expected a list of [key, value], got int in it",
        ),
        (
            "map",
            ([1], lambda a, b, c: a),
            "FL504 `map` argument 2: expected a function of at most 2 parameters, got one of 3",
        ),
    ],
)
def test_wrong_arguments_are_named(name: str, args: tuple[Any, ...], fault: str) -> None:
    """The fault has the name that was called, the position and the types."""
    assert " ".join(call(name, *args)) == fault


@pytest.mark.parametrize("name", ["sum", "len", "get", "first", "range"])
def test_too_many_arguments_are_a_fault(name: str) -> None:
    """Of a call whose arguments nobody counted before."""
    wrong = fault_of(OPERATORS.call, PURE[name], ([1], 1, 1, 1, 1, 1), {})
    assert wrong.startswith(f"FL509 cannot call `{name}(")
    assert fault_of(OPERATORS.call, PURE[name], ([1],), {"nonsense": 1}).startswith("FL509")
    assert fault_of(OPERATORS.call, PURE[name], (), {}).startswith("FL509")


def test_named_arguments_reach_a_builtin() -> None:
    assert PURE["sort"]([1, 3, 2], direction="desc") == [3, 2, 1]
    assert PURE["get"]({}, "a", default=5) == 5


def test_what_can_be_read_as_a_list_or_map_is_converted() -> None:
    """Ranges, queries, records and whole numbers, in every position."""
    assert PURE["zip"](range(2), FakeQuery(["a", "b"])) == [[0, "a"], [1, "b"]]
    assert PURE["union"]([0], range(3)) == [0, 1, 2]
    assert PURE["take"]([1, 2, 3], 2.0) == [1, 2]
    assert PURE["slice"]([1, 2, 3], 1.0) == [2, 3]
    assert PURE["flatten"]([range(2), FakeQuery([5]), {"a": 1}, "ab"]) == [0, 1, 5, {"a": 1}, "ab"]
    assert PURE["flatten"]([[[1]]], 2.0) == [1]
    assert PURE["merge"](FakeRecord("User", 1, {"a": 1}), {"b": 2}) == {"id": 1, "a": 1, "b": 2}
    assert PURE["merge"]({"b": 2}, FakeRecord("User", 1, {})) == {"b": 2, "id": 1}
    assert PURE["sum"]([FakeRecord("User", 1, {"age": 3}), None, {"age": 4}, {}], "age") == 7
    assert PURE["get"]({"1": "one"}, 1) == "one"
    assert PURE["omit"]({"1": "one", "b": 2}, [1]) == {"b": 2}


def test_a_map_has_functions_of_its_own_first() -> None:
    """Found at each call, by the value: another map keeps the builtin."""
    get = OPERATORS.method("get", 1)
    assert get(None, {"a": 1}, "a") == 1
    assert get(None, {"get": lambda key: f"own {key}"}, "a") == "own a"
    assert get(None, {"get": 5, "a": 2}, "a") == 2
    assert get(None, {"a": 3}, "a") == 3


def test_builtins_are_functions_like_others() -> None:
    """Those that find their form by type can be stored, mapped with and asked for their kind."""
    assert PURE["type_of"](PURE["sum"]) == "function"
    assert PURE["map"]([[1, 2], [3]], PURE["sum"]) == [3, 3]
    assert PURE["map"]([[1, 2], "abc", {"a": 1}], PURE["len"]) == [2, 3, 1]
    refused = fault_of(PURE["map"], [5], PURE["len"])
    assert refused.startswith("FL504 `len` argument 1: expected ")
    assert refused.endswith(", got int")


@pytest.mark.parametrize("name", [name for name, _ in WALKS])
def test_a_walk_refuses_before_it_calls(name: str) -> None:
    """What is no function gives NotImplemented, for the runtime to refuse."""
    assert getattr(collection, name)([1], 5) is NotImplemented


def test_texts_that_may_not_fit_are_left_to_the_runtime() -> None:
    """What is certain to fit is done at once; the limit is the same for both."""
    limit = collection.RULES.text_max
    assert collection.replace_all("aa", "a", "b" * limit) is NotImplemented
    assert collection.pad_start("a", limit + 1, "-") is NotImplemented
    assert collection.pad_end("a", 3, "ab") is NotImplemented
    assert fault_of(PURE["replace_all"], "aa", "a", "b" * limit).startswith("FL508")
    assert fault_of(PURE["pad_start"], "a", limit + 1, "-").startswith("FL508")
    assert PURE["replace_all"]("aba", "", "-") == "-a-b-a-"
    assert PURE["replace_all"]("aba", "a", "") == "b"
    assert PURE["pad_end"]("a", 4, "xy") == "axyx"
    assert PURE["pad_start"]("abc", -5) == "abc"
    assert PURE["pad_start"]("abc", 5.0, "0") == "00abc"
    assert PURE["count"]("aXbX", "X") == PURE["count"]("ab") == 2
    assert PURE["count"]("ab", "") == 3
    assert fault_of(PURE["count"], "ab", 5) == "FL504 `count` argument 2: expected text, got int"


def test_members_of_plain_values_are_found_by_type() -> None:
    """Maps have their keys alone; what a type lacks is none."""
    member = OPERATORS.member
    assert member({"len": 5}, "len") == 5
    assert member({}, "len") is None
    assert member([1, 2], "len") == 2
    assert member([2, 1], "sort") == [1, 2]
    assert member([2, 1], "nothing") is None
    assert member("abc", "len") == 3
    assert member(True, "len") is None
    assert fault_of(member, None, "len") == "FL502 cannot read `.len` of none"
    assert fault_of(member, [1, "a"], "sum").startswith("FL504 `sum`")
