"""Operators in C against the ones in Python that they stand in front of."""

from __future__ import annotations

import copy
import itertools
import math
import random
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.native import operators as native
from flinfast.runtime import access, arithmetic, compare, encode
from flinfast.runtime.builtins.value import to_int
from flinfast.runtime.operators import OPERATORS
from flinfast.values import NO_VALUE, Time


class Own(int):
    """A subclass, which is no FLIN int."""


VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -7,
        1 << 32,
        -(1 << 31),
        -1,
        1 << 70,
        -(1 << 13_999),
        0.0,
        -0.0,
        2.5,
        math.nan,
        -math.inf,
    ),
    *("", "a", "b\udc80", "\U0001f600", b"", b"a", [], [1], ["a", None], {}, {"a": 1}, range(2)),
    *(Time(5), Time(6), NO_VALUE, Own(3), len),
)
COMPLETED = OPERATORS  # its module says what the native ones leave to Python
PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "div": arithmetic.div,
    "mod": arithmetic.mod,
    "lt": compare.lt,
    "le": compare.le,
    "gt": lambda left, right: compare.lt(right, left),
    "ge": lambda left, right: compare.le(right, left),
    "eq": compare.eq,
}


def outcome(function: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """Type and form of a result, or the fault."""
    try:
        found = function(*args)
    except RuntimeFault as fault:
        return ("fault", fault.code, str(fault))
    return (type(found), hash(found) if isinstance(found, int) else repr(found))


@pytest.mark.parametrize(
    "name", [*PAIRS, "truthy", "to_text", "to_int", "index", "set_index", "iterate", "items"]
)
def test_lowered_code_calls_the_operators_in_c(name: str) -> None:
    """They are completed by the set that has them."""
    assert getattr(OPERATORS, name) is getattr(native, name)


@pytest.mark.parametrize("name", PAIRS)
def test_operator_gives_what_the_one_in_python_gives(name: str) -> None:
    """Values, types and faults of every pair."""
    for left, right in product(VALUES, VALUES):
        expected = outcome(PAIRS[name], left, right)
        assert outcome(getattr(native, name), left, right) == expected, (left, right)


def test_truth_and_text_are_those_of_python() -> None:
    """Of every value."""
    for value in VALUES:
        assert outcome(native.truthy, value) == outcome(compare.truthy, value), value
        assert outcome(native.to_text, value) == outcome(encode.to_text, value), value


@pytest.mark.parametrize(
    "value",
    [
        *VALUES,
        *("0", "7", "007", "123456789012345678", "1234567890123456789", "9" * 19, "9" * 4300),
        *("-1", "+1", " 12 ", "1.5", "1e3", "12a", "/1", ":1", "\u0661", "1\u0661", "\xb2", "1_0"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_int_of_a_value_is_that_of_the_builtin(value: Any) -> None:
    """Short texts of digits are read in C."""
    assert outcome(native.to_int, value) == outcome(to_int, value)


KEYS: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        1,
        -1,
        -2,
        2,
        -3,
        1 << 62,
        -(1 << 63),
        1 << 64,
        0.0,
        1.5,
        "",
        "a",
        "b",
        [],
        b"a",
    ),
)
HOLDERS: tuple[Any, ...] = (
    *([], [5], ["x", None], {}, {"a": 1}, {"1": 2, "true": 3}, "text", b"ab", range(3), None, 7),
)


def test_item_is_that_of_python() -> None:
    """Of every value by every key: in bounds, from the end, beyond, of another kind."""
    for holder, key in product(HOLDERS, KEYS):
        assert outcome(native.index, holder, key) == outcome(access.index, holder, key), key


def test_item_of_an_item_is_that_of_two_operators() -> None:
    """Of every value by every two keys, with the fault of whichever fails first."""

    def expected(holder: Any, key: Any, next_key: Any) -> Any:
        return access.index(access.index(holder, key), next_key)

    for given in product(([[1, "ab"], {"a": 2}], {"a": [3]}, *HOLDERS), KEYS, KEYS):
        assert outcome(native.index_twice, *given) == outcome(expected, *given), given


def test_member_of_a_member_is_that_of_two_operators() -> None:
    """Maps and sizes are read in C; all else, and every fault, is the operator's."""
    member = COMPLETED.member

    def expected(value: Any, name: str, next_name: str) -> Any:
        return member(member(value, name), next_name)

    inner = (*HOLDERS, "\U0001f600b", {"len": 5, "a": None}, True, Time(5), NO_VALUE, len)
    values = (*HOLDERS, *({"a": one, "len": one} for one in inner))
    for name, value in product(("a", "len", "upper"), values):
        once = native.member_once(member, name)
        assert outcome(once, value) == outcome(member, value, name), (value, name)
    for names in product(("a", "len", "upper"), ("a", "len", "length", "upper")):
        twice = native.member_twice(member, *names)
        for value in values:
            assert outcome(twice, value) == outcome(expected, value, *names), (value, names)


def test_member_is_changed_as_by_three_operators() -> None:
    """It is read, computed with and set; at a fault nothing is changed."""
    member, set_member = COMPLETED.member, COMPLETED.set_member
    values = (*VALUES[:-1], 1 << 62, (1 << 63) - 1, "\U0001f600b")

    def expected(value: Any, amount: Any) -> None:
        set_member(value, "a", PAIRS[name](member(value, "a"), amount))

    for name, amount in product(("add", "sub"), values):
        change = native.change_once(member, set_member, "a", name == "add")
        for holder in (*({"b": 1, "a": one} for one in values), *HOLDERS):
            found, other = copy.deepcopy(holder), copy.deepcopy(holder)
            result = outcome(change, found, amount)
            assert result == outcome(expected, other, amount), (name, holder, amount)
            assert repr(found) == repr(other)


def test_entry_is_added_to_as_by_three_operators() -> None:
    """It is looked up, added to and set; at a fault nothing is changed."""

    def expected(target: Any, key: Any, first: Any, amount: Any) -> None:
        before = access.index(target, key)
        added = arithmetic.add(first if before is None else before, amount)
        access.set_index(target, key, added)

    values = (None, True, 2, 0.5, (1 << 63) - 1, "t", [1], {"a": 1}, Time(5))
    holders = (*({"b": 1, "a": one} for one in values), [1, "x", None], *HOLDERS)
    for holder, key, first in product(holders, KEYS, (None, 0, 1.5)):
        for amount in values:
            found, other = copy.deepcopy(holder), copy.deepcopy(holder)
            result = outcome(native.add_to_entry, found, key, first, amount)
            assert result == outcome(expected, other, key, first, amount), (holder, key, amount)
            assert repr(found) == repr(other)


def test_items_at_a_key_are_those_of_two_operators() -> None:
    """An entry of a map or item of a list, and its items; faults are those of each."""

    def expected(value: Any, key: Any) -> Any:
        return native.items(access.index(value, key))

    inner: tuple[Any, ...] = ([1, 2], [], "ab", range(2), {"k": 1}, None, 5)
    holders = (*({"a": one} for one in inner), *([one, one] for one in inner), *HOLDERS)
    for value, key in product(holders, KEYS):
        assert outcome(native.items_at, value, key) == outcome(expected, value, key), (value, key)


def test_value_is_compared_with_a_member_as_by_two_operators() -> None:
    """Also where keys lie at other places than before, or are not there."""
    member = COMPLETED.member
    for operator, name in (("<", "lt"), ("<=", "le"), (">", "gt"), (">=", "ge")):
        compare = native.compare_once(member, "a", operator)
        maps = ({"a": one} for one in VALUES)
        shifted = ({"b": 0, "a": one} for one in VALUES)
        for owner, value in product((*maps, *shifted, *HOLDERS), VALUES):
            found = outcome(compare, value, owner)
            wanted = outcome(lambda v, o, f=PAIRS[name]: f(v, member(o, "a")), value, owner)
            assert found == wanted, (operator, value, owner)
    with pytest.raises(KeyError):
        native.compare_once(member, "a", "==")


def test_value_is_held_while_its_member_is_changed() -> None:
    """No reference is lost or kept either."""
    change = native.change_once(COMPLETED.member, COMPLETED.set_member, "a", True)
    amount = "".join(["x", "y"])
    before = sys.getrefcount(amount)
    for _ in range(100):
        holder: dict[str, Any] = {"a": "".join(["s", "t"])}
        change(holder, amount)
        change(holder, holder["a"])
        assert holder == {"a": "stxystxy"}
    assert sys.getrefcount(amount) == before


def test_value_is_held_while_its_member_is_read() -> None:
    """Also when reading the member removes the value from the map that it is in."""

    class Leaving:
        def flin_get(self, name: str) -> str:
            holder.clear()
            return f"{name} of {type(self).__name__}"

    holder: dict[str, Any] = {"a": Leaving()}
    assert native.member_twice(COMPLETED.member, "a", "b")(holder) == "b of Leaving"
    assert holder == {}


def test_item_is_set_as_in_python() -> None:
    """Or it is the same fault, and nothing is changed."""
    for holder, key in product(HOLDERS, KEYS):
        found, expected = copy.deepcopy(holder), copy.deepcopy(holder)
        result = outcome(native.set_index, found, key, "new")
        assert result == outcome(access.set_index, expected, key, "new"), (holder, key)
        assert found == expected


def test_items_are_owned_by_who_gets_them() -> None:
    """No reference is lost or kept, whether an item is read or replaced."""
    first, second = object(), object()
    before = sys.getrefcount(first), sys.getrefcount(second)
    values = [first]
    for _ in range(100):
        assert native.index(values, 0) is first
        native.set_index(values, -1, second)
        native.set_index(values, 0, first)
        native.set_index({}, "k", second)
    del values
    assert (sys.getrefcount(first), sys.getrefcount(second)) == before


def test_int_that_is_too_long_to_print_is_a_fault() -> None:
    """Not Python's ValueError."""
    with pytest.raises(RuntimeFault, match="4300 digits"):
        native.to_text(1 << 15_000)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], None),
        ([1], int),
        ([1, 2, 3], int),
        ([1, True], None),
        ([True, False], bool),
        ([1, 2.0], None),
        (["a", "b"], str),
        ([{}, {}], dict),
        ([1, Own(1)], None),
        ([None, None], type(None)),
        ([1] * 5_000 + ["a"], None),
    ],
)
def test_common_class_is_exact(items: list[Any], expected: type | None) -> None:
    """A bool is no int, and nothing is said of no items."""
    assert native.common_class(items) is expected
    assert native.items(items) == (items, expected)


@pytest.mark.parametrize(
    "value", [[1, 2], ["a"], [], "abc", b"ab", range(3), {"a": 1, "b": 2}, {}], ids=repr
)
def test_loops_go_through_the_same_items(value: Any) -> None:
    """Whatever is looped over."""
    expected = list(access.iterate(value))
    found, kind = native.items(value)
    assert list(found) == list(native.iterate(value)) == expected
    assert {type(item) for item in expected} <= {kind}


def test_loop_over_a_list_has_a_snapshot() -> None:
    """What the body does to the list is not seen."""
    value = [1, 2]
    found, again = native.items(value)[0], native.iterate(value)
    value.append("x")  # type: ignore[arg-type]
    assert list(found) == list(again) == [1, 2]


def test_long_range_is_not_listed() -> None:
    """Its items are made as they are asked for."""
    value = range(1 << 60)
    assert native.items(value) == (value, int)


@pytest.mark.parametrize("value", [None, 5, True, 2.5, Time(1)], ids=repr)
def test_what_has_no_items_is_a_fault(value: Any) -> None:
    """The same one for both."""
    expected = outcome(access.iterate, value)
    assert expected[0] == "fault"
    assert outcome(native.items, value) == outcome(native.iterate, value) == expected


@pytest.mark.parametrize("name", ["add", "to_text", "items", "common_class"])
def test_wrong_number_of_arguments_is_a_type_error(name: str) -> None:
    """As of any function of Python."""
    with pytest.raises(TypeError):
        getattr(native, name)()


def test_common_class_takes_lists_alone() -> None:
    """Nothing else has items that stay."""
    with pytest.raises(TypeError):
        native.common_class((1, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "depth", "expected"),
    [
        ([1, 2], 1, True),
        ([1, None, (1 << 63) - 1, -(1 << 63)], 1, True),
        ([1, 1 << 63], 1, False),
        ([[1], [-1 - (1 << 63)]], 2, False),
        ([], 1, True),
        ([], 2, False),
        ([[]], 2, True),
        ([[1], [2, None]], 2, True),
        ([1, True], 1, False),
        ([1, 2.0], 1, False),
        ([Own(1)], 1, False),
        ([[1], [True]], 2, False),
        ([[1], None], 2, False),
        ([[1], (1,)], 2, False),
        ([[1]], 1, False),
        ([1], 2, False),
        ((1, 2), 1, False),
        ("12", 1, False),
        (None, 1, False),
    ],
)
def test_holds_is_about_exact_classes(value: Any, depth: int, expected: bool) -> None:
    """None may stand among the items; a bool, a subclass or an int beyond 64 bits may not."""
    assert native.holds(value, int, depth, 0, False) is expected


@pytest.mark.parametrize(
    ("turns", "is_nested", "most"),
    [
        (0, False, 64),
        (10, False, 64 + 80),
        (10, True, 64 + 80),
        (range(10), False, 64 + 80),
        (range(10), True, 64 + 2560),
        (range(5, 0), True, 64),
    ],
)
def test_holds_looks_at_no_more_than_the_loop_is_worth(
    turns: range | int, is_nested: bool, most: int
) -> None:
    """At the limit and one beyond it, in one list or in rows, which count as items, too."""
    for items, depth in (([1] * most, 1), ([[1] * (most - 1)], 2), ([[]] * most, 2)):
        assert native.holds(items, int, depth, turns, is_nested)
        items.append(items[0])
        assert not native.holds(items, int, depth, turns, is_nested)


def test_holds_takes_a_range_of_any_size() -> None:
    """Also one whose size Python cannot say; and as many turns as a loop can have had."""
    assert native.holds([1] * 1000, int, 1, range(1 << 100), True)
    assert native.holds([1] * 1000, int, 1, (1 << 63) - 1, False)


@pytest.mark.parametrize(
    "value", [[], [1, None, -(1 << 63)], [1 << 63], [True], [1.5], [1] * 64, [1] * 65, None, (1,)]
)
def test_holds_ints_is_holds_with_fixed_arguments(value: Any) -> None:
    """A short loop asks it, for which five arguments are too many."""
    for turns in (0, 1, (1 << 63) - 1):
        assert native.holds_ints(value, turns) is native.holds(value, int, 1, turns, False)


CODES: dict[int, Callable[[Any], bool]] = {
    1: lambda value: type(value) is int,
    2: lambda value: type(value) is float,
    3: lambda value: type(value) is str,
    4: lambda value: type(value) is list,
    5: lambda value: type(value) is dict,
    6: lambda value: value is None or type(value) in (int, float, str, bool),
    7: lambda _: True,
}


def fields_of(value: Any, description: tuple[Any, ...]) -> bool:
    """`has_fields` in Python."""
    if type(value) is list and description and type(description[0][0]) is int:
        value = dict(enumerate(value))
    return type(value) is dict and all(
        (code >= 6 if name not in value else CODES[code](value[name]))
        and (not inner or fields_of(value[name], inner))
        for name, code, inner in description
    )


def test_fields_are_found_wherever_they_lie() -> None:
    """One after the other: dicts made alike, of other orders, with holes, and what is no dict."""
    source = random.Random(5)
    names = ["a", "b", "".join(["c", "d"]), "e"]
    leaves: list[Any] = [(1, ()), (2, ()), (3, ()), (4, ()), (6, ()), (5, ()), (5, (("a", 1, ()),))]
    leaves += [(7, ()), (4, ((0, 1, ()),)), (4, ((0, 7, ()), (1, 5, (("a", 1, ()),)), (2, 6, ())))]
    for _ in range(300):
        described = tuple((n, *source.choice(leaves)) for n in names if source.random() < 0.6)
        description = (*described, ("z", 5, described)) if source.random() < 0.3 else described
        test = native.has_fields(description)
        for _ in range(30):
            order = source.sample(names, len(names)) if source.random() < 0.3 else names
            values: list[Any] = source.choice(
                [[1], [1.5, 2], ["x"], [[], {}], [{"a": 1}, None, True], [[1, {"a": 1}], [1], {}]]
            )
            found: Any = {"".join([*name]): source.choice(values) for name in order}
            if source.random() < 0.2:
                del found[source.choice(names)]
            if source.random() < 0.2:
                found["z"] = dict(found)
            found = found if source.random() < 0.95 else source.choice([None, [found], 5])
            assert test(found) == fields_of(found, description), (description, found)


def test_columns_end_where_an_item_has_the_fields_not() -> None:
    """All items after it are left, also those with the fields; what is no list is left whole."""
    description = (("a", 1, ()), ("d", 5, (("t", 3, ()),)), ("l", 4, ((1, 7, ()),)), ("z", 7, ()))
    right: list[Any] = [
        {"a": 1, "d": {"t": "x"}, "l": [1, 2, 3], "z": 2.5},
        {"l": [], "z": None, "d": {"s": 1, "t": "y"}, "a": 2},
        {"a": 3, "d": {"t": ""}, "l": [5]},
    ]
    rows: list[Any] = [
        (1, right[0]["d"], "x", right[0]["l"], 2, 2.5),
        (2, right[1]["d"], "y", right[1]["l"], None, None),
        (3, right[2]["d"], "", right[2]["l"], None, None),
    ]
    wrong: list[Any] = [{"a": 1}, {**right[0], "a": 1.5}, {**right[0], "d": {"t": 1}}]
    wrong += [{**right[0], "l": {}}, {**right[0], "l": (1, 2)}, None, right]
    source = random.Random(9)
    for _ in range(300):
        places = tuple(source.sample(range(-1, 6), source.randint(1, 7)))
        apart = native.field_columns(description, places)
        items = [source.choice(right if source.random() < 0.8 else wrong) for _ in range(6)]
        items = items[: source.randint(0, 6)]
        count = len(list(itertools.takewhile(lambda item: item in right, items)))
        found, others = apart(items)
        expected = [(*rows[right.index(item)], item) for item in items[:count]]
        wanted: list[Any] = [tuple(row[place] for place in places) for row in expected]
        assert list(found) == (wanted if len(places) > 1 else [row[0] for row in wanted])
        assert others == items[count:]
        assert others is not items
    for value in ({"a": 1}, (right,), "text", None, iter([right])):
        assert apart(value) == ([], value)


def test_columns_keep_nothing() -> None:
    """Neither of the items that fit nor of the one that does not."""
    right: Any = {"a": "".join(["a", "b"]), "b": []}
    kept = [right, right["a"], right["b"]]
    apart = native.field_columns((("a", 3, ()), ("b", 4, ())), (0, 1, -1))
    before = list(map(sys.getrefcount, kept))
    for _ in range(100):
        turns, others = apart([right, right, None, right])
        assert (len(list(turns)), len(others)) == (2, 2)
        apart([None])
    del turns, others
    assert list(map(sys.getrefcount, kept)) == before


@pytest.mark.parametrize("places", [(), (1,), (-2,), ("a",), (None,), (0,) * 17])
def test_places_that_are_none_of_the_fields_are_refused(places: Any) -> None:
    """Before anything is read of them; 16 are as many as there can be."""
    with pytest.raises(TypeError):
        native.field_columns((("a", 1, ()),), places)
    assert list(native.field_columns((("a", 1, ()),), (0,) * 16)([{"a": 1}])[0]) == [(1,) * 16]


def test_member_is_found_wherever_it_lies() -> None:
    """In dicts of several sorts, in turns or one after the other, with holes and equal keys."""
    source = random.Random(7)
    once = native.member_once(COMPLETED.member, "a")
    twice = native.member_twice(COMPLETED.member, "a", "b")
    for _ in range(200):
        order = source.sample(["a", "b", "c", "d"], source.randint(1, 4))
        for _ in range(source.randint(1, 20)):
            inner = {"".join([*name]): source.random() for name in order}
            outer = {name: dict(inner) for name in source.sample(order, len(order))}
            if source.random() < 0.3:
                outer = dict.fromkeys(outer, inner)
                inner.pop(source.choice(order))
            assert once(outer) == outer.get("a")
            if "a" in outer:
                assert twice(outer) == outer["a"].get("b")


def test_without_a_field_dicts_fit_alone() -> None:
    """Their other members are looked up by what knows dicts only."""
    test = native.has_fields(())
    assert test({})
    assert test({"a": 1})
    assert not any(test(value) for value in ([], [1], (), "", None, {1}))


def test_fields_keep_no_dict() -> None:
    """Where keys lie is remembered, and nothing of the dict itself."""
    value: Any = {"a": [], "b": {}}
    before = [sys.getrefcount(value), *map(sys.getrefcount, value.values())]
    test = native.has_fields((("a", 4, ()), ("b", 5, ())))
    assert all(test(value) for _ in range(100))
    assert [sys.getrefcount(value), *map(sys.getrefcount, value.values())] == before
    key = "".join(["a", "-", "key"])
    references = sys.getrefcount(key)
    test = native.has_fields((("a-key", 1, ()),))
    assert test({key: 1})
    del test
    assert sys.getrefcount(key) == references


@pytest.mark.parametrize(
    "description",
    [
        *(("a",), (("a", 1),), ((1, 1, ()),), (("a", 8, ()),), (("a", 0, ()),)),
        *((("a", "1", ()),), (("a", 1, (("b", 1, ()),)),), (("a", 5, []),), (("a", 5, ("b",)),)),
        *((("a", 4, (("b", 1, ()),)),), (("a", 4, ((-1, 1, ()),)),), (("a", 5, ((0, 1, ()),)),)),
    ],
)
def test_description_of_fields_that_is_none_is_refused(description: Any) -> None:
    """Before anything is read of it."""
    with pytest.raises(TypeError):
        native.has_fields(description)
