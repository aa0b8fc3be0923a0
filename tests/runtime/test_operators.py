"""Operators: the semantics of the language reference, section 3."""

import math
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import BoundBuiltins
from flinfast.runtime.operators import OPERATORS as OPS
from flinfast.values import NO_VALUE, Time
from tests.runtime.flin_values import FakeParams, FakeQuery, FakeRecord, looped, nested

NAN = math.nan
INF = math.inf


def code_of(function: Any, *args: Any) -> str:
    with pytest.raises(RuntimeFault) as caught:
        function(*args)
    return caught.value.code


@pytest.mark.parametrize("value", [None, False, 0, 0.0, -0.0, NAN, "", NO_VALUE])
def test_truthy_of_the_falsy_values_is_false(value: Any) -> None:
    assert OPS.truthy(value) is False


@pytest.mark.parametrize(
    "value", [True, 1, -1, 0.1, INF, "0", "false", [], {}, b"", Time(0), FakeRecord("U", None, {})]
)
def test_truthy_of_everything_else_is_true(value: Any) -> None:
    assert OPS.truthy(value) is True


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        ("a", "a"),
        (2**70, 2**70),
        ([1, [2.0]], [1.0, [2]]),
        ({"a": 1, "b": []}, {"b": [], "a": 1}),
        (Time(5), Time(5)),
        (b"x", b"x"),
        (None, None),
        (None, NO_VALUE),
        (range(3), [0, 1, 2]),
        (FakeQuery([1, 2]), [1, 2]),
        (FakeRecord("User", 1, {"a": 1}), FakeRecord("User", 1, {"a": 2})),
        (FakeParams(a="1"), {"a": "1"}),
    ],
)
def test_eq_of_structurally_equal_values(left: Any, right: Any) -> None:
    assert OPS.eq(left, right) is True
    assert OPS.eq(right, left) is True


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("7", 7),
        (True, 1),
        (False, 0),
        (True, 1.0),
        ([1], [True]),
        ({"a": 0}, {"a": False}),
        (None, False),
        (None, ""),
        (NAN, NAN),
        ([NAN], [NAN]),
        (Time(5), 5),
        (b"x", "x"),
        ([1], [1, 2]),
        ({"a": None}, {"b": None}),
        (2**53 + 1, float(2**53)),
        (FakeRecord("User", 1, {}), FakeRecord("Note", 1, {})),
        (FakeRecord("User", None, {}), FakeRecord("User", None, {})),
        (FakeRecord("User", 1, {}), {"id": 1}),
        (1, [1]),
    ],
)
def test_eq_of_different_values(left: Any, right: Any) -> None:
    """Nothing is coerced, at any depth."""
    assert OPS.eq(left, right) is False
    assert OPS.eq(right, left) is False


def test_eq_of_an_unsaved_record_with_itself_is_true() -> None:
    record = FakeRecord("User", None, {})
    assert OPS.eq(record, record) is True


@pytest.mark.parametrize("make", [looped, lambda: nested(5000)])
def test_eq_of_endless_values_is_a_fault(make: Any) -> None:
    assert code_of(OPS.eq, make(), make()) == "FL508"


@pytest.mark.parametrize(
    ("left", "right"), [(1, 2), (1, 1.5), (-INF, 0), ("B", "a"), ("Z", "é"), (Time(1), Time(2))]
)
def test_lt_of_ordered_values(left: Any, right: Any) -> None:
    assert OPS.lt(left, right) is True
    assert OPS.le(left, right) is True
    assert OPS.lt(right, left) is False
    assert OPS.le(right, left) is False
    assert OPS.le(left, left) is True


@pytest.mark.parametrize(
    ("left", "right"),
    [("1", 1), (None, 1), (True, False), (True, 1), ([1], [2]), ({}, {}), (Time(1), 1), (b"", b"")],
)
def test_lt_of_mixed_kinds_is_a_fault_that_names_them(left: Any, right: Any) -> None:
    assert code_of(OPS.lt, left, right) == "FL501"
    assert code_of(OPS.le, left, right) == "FL501"


def test_lt_names_both_kinds() -> None:
    with pytest.raises(RuntimeFault, match="cannot compare text with int"):
        OPS.lt("1", 1)


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        (1, 2, 3),
        (2**63, 1, 2**63 + 1),
        (1, 0.5, 1.5),
        ("a", "b", "ab"),
        ("a", 1, "a1"),
        (1.0, "a", "1a"),
        ("x", None, "xnone"),
        ("x", True, "xtrue"),
        ("x", [1, "y"], 'x[1,"y"]'),
        ([1], [2], [1, 2]),
        ([1], range(2), [1, 0, 1]),
        (Time(1000), 500, Time(1500)),
        (500, Time(1000), Time(1500)),
        (Time(1000), 0.6, Time(1001)),
        (b"a", b"b", b"ab"),
    ],
)
def test_add(left: Any, right: Any, result: Any) -> None:
    value = OPS.add(left, right)
    assert value == result
    assert type(value) is type(result)


@pytest.mark.parametrize(
    ("left", "right"),
    [(1, None), (None, None), (True, 1), ({}, {}), ([1], 2), (Time(0), Time(0)), (b"", 1)],
)
def test_add_of_other_kinds_is_a_fault(left: Any, right: Any) -> None:
    assert code_of(OPS.add, left, right) == "FL501"


def test_add_leaves_lists_alone() -> None:
    left, right = [1], [2]
    OPS.add(left, right).append(3)
    assert (left, right) == ([1], [2])


@pytest.mark.parametrize(
    ("function", "left", "right", "result"),
    [
        ("sub", 1, 2, -1),
        ("sub", Time(1500), Time(1000), 500),
        ("sub", Time(1500), 500, Time(1000)),
        ("mul", 3, 4, 12),
        ("mul", 2**40, 2**40, 2**80),
        ("mul", 1000, 1.5, 1500.0),
        ("div", 6, 2, 3),
        ("div", 7, 2, 3.5),
        ("div", -6, 2, -3),
        ("div", 6.0, 2, 3.0),
        ("div", 10**30, 10**10, 10**20),
        ("div", 1.0, 0, INF),
        ("div", -1, 0.0, -INF),
        ("div", 1, -0.0, -INF),
        ("mod", 7, 3, 1),
        ("mod", -7, 3, -1),
        ("mod", 7, -3, 1),
        ("mod", -6, 3, 0),
        ("mod", 7.5, 2, 1.5),
        ("pow", 2, 10, 1024),
        ("pow", 2, -1, 0.5),
        ("pow", 0, 0, 1),
        ("pow", -1, 10**30, 1),
        ("pow", -1, 10**30 + 1, -1),
        ("pow", 4, 0.5, 2.0),
        ("pow", 10.0, 400, INF),
        ("pow", -10.0, 401, -INF),
        ("pow", 0.0, -1, INF),
    ],
)
def test_arithmetic(function: str, left: Any, right: Any, result: Any) -> None:
    value = getattr(OPS, function)(left, right)
    assert value == result
    assert type(value) is type(result)


@pytest.mark.parametrize(
    ("function", "left", "right"),
    [("div", 0.0, 0), ("div", NAN, 0.0), ("mod", 1.0, 0), ("mod", INF, 2), ("pow", -8, 1 / 3)],
)
def test_arithmetic_without_a_result_is_nan(function: str, left: Any, right: Any) -> None:
    assert math.isnan(getattr(OPS, function)(left, right))


@pytest.mark.parametrize(
    ("function", "left", "right"), [("div", 7, 0), ("mod", 7, 0), ("pow", 0, -1)]
)
def test_division_of_ints_by_zero_is_a_fault(function: str, left: int, right: int) -> None:
    assert code_of(getattr(OPS, function), left, right) == "FL503"


@pytest.mark.parametrize("function", ["sub", "mul", "div", "mod", "pow"])
@pytest.mark.parametrize(
    ("left", "right"), [("3", 2), (3, "2"), (True, 1), (None, 1), ([], 1), (1, Time(0))]
)
def test_arithmetic_of_other_kinds_is_a_fault(function: str, left: Any, right: Any) -> None:
    assert code_of(getattr(OPS, function), left, right) == "FL501"


@pytest.mark.parametrize(
    ("function", "left", "right"),
    [
        ("pow", 10, 10**9),
        ("pow", 2, 14_000),
        ("mul", 2**10_000, 2**10_000),
        ("add", 10**400, 0.5),
        ("sub", 0.5, 10**400),
        ("mul", 10**400, 0.5),
        ("div", 10**400 + 1, 3),
        ("mod", 10**400, 0.5),
        ("add", Time(0), 10**20),
        ("sub", Time(0), INF),
        ("add", Time(0), NAN),
    ],
)
def test_results_beyond_a_limit_are_a_fault(function: str, left: Any, right: Any) -> None:
    assert code_of(getattr(OPS, function), left, right) == "FL508"


def test_pow_reaches_its_limit_exactly() -> None:
    """The largest int can still be printed; one bit more is a fault."""
    assert OPS.to_text(OPS.pow(2, 13_999)) == str(2**13_999)
    assert code_of(OPS.pow, 2, 14_000) == "FL508"


def test_neg() -> None:
    assert OPS.neg(3) == -3
    assert code_of(OPS.neg, True) == "FL501"
    assert code_of(OPS.neg, "3") == "FL501"


def test_concat_converts_both_sides() -> None:
    assert OPS.concat(1, None) == "1none"


@pytest.mark.parametrize(
    ("item", "container", "result"),
    [
        ("a", ["a"], True),
        (1, [1.0], True),
        (1, [True], False),
        (True, [1], False),
        (None, [0, None], True),
        ([1], [[1]], True),
        ([True], [[1]], False),
        ("b", "abc", True),
        ("k", {"k": None}, True),
        (1, {"1": 2}, False),
        (2, range(3), True),
        (3, range(3), False),
        (True, range(3), False),
        (65, b"A", True),
        (999, b"A", False),
        (2, FakeQuery([1, 2]), True),
    ],
)
def test_contains(item: Any, container: Any, result: bool) -> None:
    assert OPS.contains(item, container) is result


def test_contains_of_other_kinds_is_a_fault() -> None:
    assert code_of(OPS.contains, 1, None) == "FL502"
    assert code_of(OPS.contains, 1, 5) == "FL501"
    assert code_of(OPS.contains, 1, "1") == "FL501"


@pytest.mark.parametrize(
    ("value", "name", "result"),
    [
        ({"type": "x"}, "type", "x"),
        ({"len": 7}, "len", 7),
        ({}, "len", None),
        ({}, "count", None),
        ("héllo", "len", 5),
        ("👍🏽", "length", 2),
        ("abc", "type", None),
        ("abc", "env", None),
        ([1, 2], "len", 2),
        ([1, 2], "size", 2),
        ([1, 2], "type", None),
        ([1, 2], "first", 1),
        (b"abc", "len", 3),
        (b"abc", "size", 3),
        (7, "type", None),
        (7, "minutes", 420_000),
        (1.5, "hours", 5_400_000),
        (True, "type", None),
        (True, "to_text", "true"),
        (Time(86_400_000), "day", 2),
        (range(4), "len", 4),
        (FakeQuery([3, 4]), "count", 2),
        (FakeQuery([3, 4]), "len", 2),
        (FakeRecord("User", 1, {"len": 9}), "len", 9),
        (FakeParams(len="x"), "len", "x"),
        (FakeParams({"x-id": "1"}), "x_id", "1"),
    ],
)
def test_member(value: Any, name: str, result: Any) -> None:
    assert OPS.member(value, name) == result


def test_member_of_none_is_a_fault_that_names_the_member() -> None:
    with pytest.raises(RuntimeFault, match=r"cannot read `\.title` of none") as caught:
        OPS.member(None, "title")
    assert caught.value.code == "FL502"
    assert OPS.member_optional(None, "title") is None
    assert OPS.member_optional({"title": 1}, "title") == 1


def test_member_in_place_functions_are_no_properties() -> None:
    """`list.pop` without parentheses must not change the list."""
    items = [1, 2]
    assert OPS.member(items, "pop") is None
    assert items == [1, 2]


def test_member_of_a_function_is_a_fault() -> None:
    assert code_of(OPS.member, len, "x") == "FL501"


def test_set_member() -> None:
    entries: dict[str, Any] = {}
    OPS.set_member(entries, "a", 1)
    record = FakeRecord("User", 1, {})
    OPS.set_member(record, "a", 2)
    assert (entries, record.fields) == ({"a": 1}, {"a": 2})
    assert code_of(OPS.set_member, None, "a", 1) == "FL502"
    assert code_of(OPS.set_member, "text", "a", 1) == "FL501"
    assert code_of(OPS.set_member, [], "a", 1) == "FL501"
    assert code_of(OPS.set_member, FakeParams(), "a", 1) == "FL507"


@pytest.mark.parametrize(
    ("value", "key", "result"),
    [
        ([1, 2], 0, 1),
        ([1, 2], -1, 2),
        ([1, 2], 2, None),
        ([1, 2], -3, None),
        ([1, 2], 1.0, 2),
        ([1, 2], 10**30, None),
        ("añb", 1, "ñ"),
        ("añb", 3, None),
        (b"AB", 1, 66),
        ({"a": 1}, "a", 1),
        ({"1": 2}, 1, 2),
        ({"a": 1}, "b", None),
        (range(5), 4, 4),
        (FakeQuery([7]), 0, 7),
        (FakeRecord("User", 1, {"a": 5}), "a", 5),
        (FakeParams({"x-id": "1"}), "x_id", "1"),
        (7, "type", None),
    ],
)
def test_index(value: Any, key: Any, result: Any) -> None:
    assert OPS.index(value, key) == result


def test_index_with_a_wrong_key_is_a_fault() -> None:
    assert code_of(OPS.index, [1], "a") == "FL506"
    assert code_of(OPS.index, [1], True) == "FL506"
    assert code_of(OPS.index, [1], 0.5) == "FL506"
    assert code_of(OPS.index, None, 0) == "FL502"
    assert code_of(OPS.index, {}, []) == "FL501"
    assert code_of(OPS.index, 5, 0) == "FL501"


def test_set_index() -> None:
    items: list[Any] = [1, 2]
    OPS.set_index(items, -1, 9)
    entries: dict[str, Any] = {}
    OPS.set_index(entries, 7, "x")
    assert (items, entries) == ([1, 9], {"7": "x"})
    assert code_of(OPS.set_index, items, 2, 0) == "FL506"
    assert code_of(OPS.set_index, items, "a", 0) == "FL506"
    assert code_of(OPS.set_index, None, 0, 0) == "FL502"
    assert code_of(OPS.set_index, "abc", 0, "x") == "FL501"


@pytest.mark.parametrize(
    ("value", "bounds", "result"),
    [
        ("héllo", (1, 3, None), "él"),
        ("hello", (None, None, -1), "olleh"),
        ([1, 2, 3, 4], (1, None, 2), [2, 4]),
        ([1, 2, 3], (-2, None, None), [2, 3]),
        ([1, 2], (5, 9, None), []),
        (b"abc", (0, 2, None), b"ab"),
        (range(5), (1, 3, None), [1, 2]),
        (FakeQuery([1, 2, 3]), (0, 2, None), [1, 2]),
    ],
)
def test_slice(value: Any, bounds: tuple[Any, Any, Any], result: Any) -> None:
    assert OPS.slice(value, *bounds) == result


def test_slice_with_bad_bounds_is_a_fault() -> None:
    assert code_of(OPS.slice, [1], None, None, 0) == "FL506"
    assert code_of(OPS.slice, [1], "a", None, None) == "FL506"
    assert code_of(OPS.slice, None, 0, 1, None) == "FL502"
    assert code_of(OPS.slice, {}, 0, 1, None) == "FL501"


def test_iterate_a_list_is_over_a_snapshot() -> None:
    items = [1, 2]
    seen = []
    for item in OPS.iterate(items):
        seen.append(item)
        items.append(item)
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("añ", ["a", "ñ"]),
        ({"a": 1, "b": 2}, ["a", "b"]),
        (range(3), [0, 1, 2]),
        (b"A", [65]),
        (FakeQuery([1]), [1]),
        (FakeParams(a="1"), ["a"]),
    ],
)
def test_iterate(value: Any, items: list[Any]) -> None:
    assert list(OPS.iterate(value)) == items


def test_iterate_over_what_has_no_items_is_a_fault() -> None:
    assert code_of(OPS.iterate, None) == "FL502"
    assert code_of(OPS.iterate, 5) == "FL501"


def test_iterate_pairs() -> None:
    assert list(OPS.iterate_pairs(["a", "b"], False)) == [("a", 0), ("b", 1)]
    assert list(OPS.iterate_pairs({"a": 1}, True)) == [("a", 1)]
    assert list(OPS.iterate_pairs({"a": 1}, False)) == [("a", 1)]
    assert list(OPS.iterate_pairs([["a", 1]], True)) == [("a", 1)]
    assert code_of(lambda: list(OPS.iterate_pairs([1], True))) == "FL501"


def test_range() -> None:
    assert list(OPS.range(1, 4, False)) == [1, 2, 3]
    assert list(OPS.range(1, 4, True)) == [1, 2, 3, 4]
    assert list(OPS.range(3, 1, False)) == []
    assert code_of(OPS.range, 1, "4", False) == "FL501"
    assert code_of(OPS.range, True, 4, False) == "FL501"


def test_spread() -> None:
    items = [1]
    OPS.spread_list(items, (range(2)))
    OPS.spread_list(items, "ab")
    assert items == [1, 0, 1, "a", "b"]
    entries = {"a": 1}
    OPS.spread_map(entries, {"b": 2})
    OPS.spread_map(entries, None)
    OPS.spread_map(entries, FakeRecord("User", 7, {"c": 3}))
    assert entries == {"a": 1, "b": 2, "id": 7, "c": 3}
    assert code_of(OPS.spread_list, [], None) == "FL502"
    assert code_of(OPS.spread_list, [], 1) == "FL501"
    assert code_of(OPS.spread_map, {}, [1]) == "FL501"
    assert code_of(OPS.spread_list, [], range(10**9)) == "FL508"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a", "text"),
        ("a", "string"),
        (1, "int"),
        (1, "number"),
        (1.5, "number"),
        (True, "bool"),
        (None, "none"),
        ([], "list"),
        (range(2), "list"),
        ({}, "map"),
        (Time(0), "time"),
        (b"", "bytes"),
        (FakeRecord("User", 1, {}), "User"),
        (5, "any"),
    ],
)
def test_is_type(value: Any, name: str) -> None:
    assert OPS.is_type(value, name) is True


@pytest.mark.parametrize(
    ("value", "name"),
    [(True, "int"), (1.0, "int"), ("1", "int"), (None, "map"), (FakeRecord("A", 1, {}), "B")],
)
def test_is_type_of_another_kind_is_false(value: Any, name: str) -> None:
    assert OPS.is_type(value, name) is False


def test_call() -> None:
    assert OPS.call(lambda x, y=2: x + y, (1,), {"y": 5}) == 6
    assert code_of(OPS.call, None, (), {}) == "FL502"
    assert code_of(OPS.call, 5, (), {}) == "FL509"
    assert code_of(OPS.call, lambda x: x, (), {}) == "FL509"
    assert code_of(OPS.call, lambda x: x, (1,), {"z": 1}) == "FL509"


def test_a_call_of_plain_arguments_is_judged_as_any_other() -> None:
    """Of functions with exactly so many parameters, with others, and of what is none."""
    assert OPS.call_value(lambda: 1) == 1
    assert OPS.call_value(lambda x, y: x - y, 3, 2) == 1
    assert OPS.call_value(lambda x, y=2: x - y, 3) == 1
    assert OPS.call_value(lambda *xs: len(xs), 3, 2) == 2
    assert OPS.call_value(lambda x, **more: (x, more), 3) == (3, {})
    assert OPS.call_value(BoundBuiltins(None)["len"], [1, 2]) == 2
    assert code_of(OPS.call_value, lambda x, *, y: x, 1) == "FL509"
    assert code_of(OPS.call_value, lambda x: x) == "FL509"
    assert code_of(OPS.call_value, lambda x: x, 1, 2) == "FL509"
    assert code_of(OPS.call_value, None, 1) == "FL502"
    assert code_of(OPS.call_value, 5) == "FL509"
    with pytest.raises(TypeError, match="function"):
        OPS.call_value()


def test_call_does_not_hide_a_failure_inside_the_function() -> None:
    """A TypeError from within is a bug to be reported, not a wrong argument of the caller."""

    def broken() -> None:
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        OPS.call(broken, (), {})
    with pytest.raises(TypeError, match="inside"):
        OPS.call_value(broken)


def test_call_method_prefers_a_function_in_the_map() -> None:
    assert OPS.call_method(None, {"len": lambda: 99}, "len", (), {}) == 99
    assert OPS.call_method(None, {"len": 1}, "len", (), {}) == 1
    assert OPS.call_method(None, {"a": 1, "b": 2}, "len", (), {}) == 2


def test_call_method_falls_back_to_builtins() -> None:
    assert OPS.call_method(None, "abc", "sha256", (), {})[:8] == "ba7816bf"
    assert OPS.call_method(None, FakeRecord("User", 1, {"a": 2}), "to_json", (), {}) == (
        '{"id":1,"a":2}'
    )


def test_call_method_on_a_query_uses_list_methods() -> None:
    query = FakeQuery([3, 1, 2])
    assert OPS.call_method(None, query, "map", (lambda x: x * 2,), {}) == [6, 2, 4]
    assert OPS.call_method(None, query, "sort", (), {}) == [1, 2, 3]


def test_call_method_on_a_record_uses_map_methods() -> None:
    record = FakeRecord("User", 1, {"name": "A", "mail": "m"})
    assert OPS.call_method(None, record, "pick", (["name"],), {}) == {"name": "A"}


def test_call_method_keeps_faults_of_the_object() -> None:
    class Strict(FakeRecord):
        def flin_call(self, name: str, args: Any, named: Any) -> Any:
            raise RuntimeFault("no", code="FL510")

    assert code_of(OPS.call_method, None, Strict("User", 1, {}), "to_json", (), {}) == "FL510"


@pytest.mark.parametrize(
    ("value", "name", "args", "code"),
    [
        ("abc", "unknown", (), "FL505"),
        ("abc", "_ws_send_current", (), "FL505"),
        (5, "now", (), "FL505"),
        (None, "len", (), "FL502"),
        ("abc", "pad_start", (), "FL509"),
        ("abc", "pad_start", ("x",), "FL504"),
        ([1], "sha256", (), "FL504"),
        (FakeRecord("User", 1, {}), "nothing", (), "FL505"),
    ],
)
def test_call_method_faults(value: Any, name: str, args: tuple[Any, ...], code: str) -> None:
    assert code_of(OPS.call_method, None, value, name, args, {}) == code


def test_map_key() -> None:
    assert [OPS.map_key(key) for key in ("a", 1, 1.0, True, None)] == [
        "a",
        "1",
        "1",
        "true",
        "none",
    ]
    assert code_of(OPS.map_key, []) == "FL501"


def test_version_at() -> None:
    class Versioned(FakeRecord):
        def flin_call(self, name: str, args: Any, named: Any) -> Any:
            return (name, args)

    assert OPS.version_at(Versioned("User", 1, {}), -1) == ("version_at", (-1,))
    assert code_of(OPS.version_at, None, -1) == "FL502"
    assert code_of(OPS.version_at, "x", -1) == "FL501"
