"""Operators over random values of every kind: a result or a RuntimeFault, never anything else."""

import copy
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.runtime.operators import OPERATORS as OPS
from tests.runtime.flin_values import fault_code, ints, names, plain, scalars, values

UNARY = ("truthy", "neg", "to_text", "map_key")
BINARY = (
    *("eq", "lt", "le", "add", "sub", "mul", "div", "mod", "pow"),
    *("concat", "contains", "index", "version_at"),
)


def survives(function: Any, *args: Any) -> None:
    """Anything but a result or a RuntimeFault fails the test."""
    code = fault_code(function, *args)
    assert code == "" or code.startswith("FL5")


@settings(deadline=None, max_examples=150)
@given(values)
def test_unary_operators_never_raise_a_python_error(value: Any) -> None:
    for name in UNARY:
        survives(getattr(OPS, name), value)
    survives(lambda: list(islice(OPS.iterate(value), 5)))
    survives(lambda: list(islice(OPS.iterate_pairs(value, True), 5)))
    survives(lambda: list(islice(OPS.iterate_pairs(value, False), 5)))
    survives(OPS.spread_list, [], value)
    survives(OPS.spread_map, {}, value)


@settings(deadline=None, max_examples=150)
@given(values, values)
def test_binary_operators_never_raise_a_python_error(left: Any, right: Any) -> None:
    for name in BINARY:
        survives(getattr(OPS, name), left, right)
    survives(OPS.range, left, right, True)
    survives(OPS.call, left, (right,), {})
    survives(OPS.call_value, left, right)


@settings(deadline=None, max_examples=150)
@given(values, values, values, names)
def test_access_never_raises_a_python_error(a: Any, b: Any, c: Any, name: str) -> None:
    survives(OPS.member, a, name)
    survives(OPS.member_optional, a, name)
    survives(OPS.is_type, a, name)
    survives(OPS.slice, a, b, c, None)
    survives(OPS.slice, a, None, None, c)
    survives(OPS.set_member, copy.copy(a), name, c)
    survives(OPS.set_index, copy.copy(a), b, c)
    survives(OPS.call_method, None, a, name, (b,), {})


@settings(deadline=None)
@given(values)
def test_to_text_of_any_value_is_text(value: Any) -> None:
    assert type(OPS.to_text(value)) is str


@given(plain)
def test_eq_is_reflexive_without_nan(value: Any) -> None:
    """A copy equals the original unless NaN is in it."""
    assert OPS.eq(value, copy.deepcopy(value)) is ("nan" not in repr(value))


@given(values, values)
@settings(deadline=None)
def test_eq_is_symmetric(left: Any, right: Any) -> None:
    code = fault_code(OPS.eq, left, right)
    assert code == fault_code(OPS.eq, right, left)
    assert code or OPS.eq(left, right) is OPS.eq(right, left)


@given(scalars, scalars)
def test_le_is_lt_or_eq(left: Any, right: Any) -> None:
    try:
        expected = OPS.lt(left, right) or OPS.eq(left, right)
    except RuntimeFault:
        with pytest.raises(RuntimeFault):
            OPS.le(left, right)
        return
    assert OPS.le(left, right) is expected


@given(ints, ints.filter(lambda n: n != 0))
def test_div_and_mod_of_ints_are_exact(left: int, right: int) -> None:
    """quotient * right + remainder is left; the remainder has the sign of left."""
    remainder = OPS.mod(left, right)
    assert abs(remainder) < abs(right)
    assert remainder == 0 or (remainder < 0) is (left < 0)
    quotient = OPS.div(OPS.sub(left, remainder), right)
    assert type(quotient) is int
    assert quotient * right + remainder == left


@given(st.lists(plain, max_size=5), plain)
def test_contains_agrees_with_eq(items: list[Any], item: Any) -> None:
    assert OPS.contains(item, items) is any(OPS.eq(item, other) for other in items)
