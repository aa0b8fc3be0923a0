"""Operators that compute (FLIN reference 3.3 and 3.4).

Ints are exact and bounded only by INT_MAX, where they could no longer be printed. An operand of
type number makes the result a number, with IEEE 754 infinities and NaN. A duration is an int of
milliseconds, so `time + 3.hours` is a time plus an int.
"""

from __future__ import annotations

import math
from typing import Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.encode import to_text
from flinfast.runtime.kinds import (
    INT_BITS_MAX,
    INT_MAX,
    Value,
    as_items,
    kind_of,
    size_fault,
)
from flinfast.values import Time

_NUMBERS: Final = frozenset({int, float})
_ADDABLE: Final = frozenset({int, float, str, list})  # `+` of Python is FLIN's for equal types


def add(left: Value, right: Value) -> Value:
    """`left + right`: numbers, text with anything, two lists, a time and a duration.

    Raises:
        RuntimeFault: FL501 for any other pair, FL508 beyond a limit.
    """
    kind = type(left)
    if kind is type(right) and kind in _ADDABLE:
        return left + right
    return _add_other(left, right)


def sub(left: Value, right: Value) -> Value:
    """`left - right`: numbers, time - duration, time - time.

    Raises:
        RuntimeFault: FL501 for any other pair, FL508 beyond a limit.
    """
    left_kind, right_kind = type(left), type(right)
    if left_kind in _NUMBERS and right_kind in _NUMBERS:
        try:
            return left - right
        except OverflowError:
            raise _number_fault() from None
    if left_kind is Time:
        if right_kind is Time:
            return left.ms - right.ms
        if right_kind in _NUMBERS:
            return shift_time(left, -right)
    raise _operand_fault("subtract", right, "from", left)


def mul(left: Value, right: Value) -> Value:
    """`left * right` of two numbers.

    Raises:
        RuntimeFault: FL501 for any other pair, FL508 beyond a limit.
    """
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        try:
            result = left * right
        except OverflowError:
            raise _number_fault() from None
        if type(result) is float or -INT_MAX < result < INT_MAX:
            return result
        raise _int_fault()
    raise _operand_fault("multiply", left, "by", right)


def div(left: Value, right: Value) -> Value:
    """`left / right`: two ints give an int when the division is exact, else a number.

    Raises:
        RuntimeFault: FL503 for two ints when `right` is 0, FL501 for what is not a number.
    """
    left_kind, right_kind = type(left), type(right)
    if left_kind is int and right_kind is int:
        if right == 0:
            raise _zero_fault("divide")
        quotient, remainder = divmod(left, right)
        if remainder == 0:
            return quotient
    elif left_kind not in _NUMBERS or right_kind not in _NUMBERS:
        raise _operand_fault("divide", left, "by", right)
    try:
        return left / right
    except ZeroDivisionError:
        return _float_by_zero(left, right)
    except OverflowError:
        raise _number_fault() from None


def mod(left: Value, right: Value) -> Value:
    """`left % right`: the remainder, with the sign of `left`.

    Raises:
        RuntimeFault: FL503 for two ints when `right` is 0, FL501 for what is not a number.
    """
    left_kind, right_kind = type(left), type(right)
    if left_kind is int and right_kind is int:
        if right == 0:
            raise _zero_fault("take the remainder")
        remainder = left % right
        return remainder - right if remainder and (left < 0) != (right < 0) else remainder
    if left_kind not in _NUMBERS or right_kind not in _NUMBERS:
        raise _operand_fault("take the remainder of", left, "by", right)
    try:
        return math.fmod(left, right)
    except ValueError:  # x % 0.0 and inf % x
        return math.nan
    except OverflowError:
        raise _number_fault() from None


def pow(left: Value, right: Value) -> Value:
    """`left ** right` of two numbers; an int to a negative int is a number.

    Raises:
        RuntimeFault: FL501 for what is not a number, FL503 for 0 to a negative int, FL508 for an
            int result beyond INT_BITS_MAX bits.
    """
    left_kind, right_kind = type(left), type(right)
    if left_kind not in _NUMBERS or right_kind not in _NUMBERS:
        raise _operand_fault("raise", left, "to the power of", right)
    if left_kind is int and right_kind is int and right >= 0:
        if left in (0, 1, -1):  # cheap for any exponent
            return left**right if right < 2 else left ** (2 + right % 2)
        if (abs(left).bit_length() - 1) * right >= INT_BITS_MAX:
            raise _int_fault()
        result = left**right
        if -INT_MAX < result < INT_MAX:
            return result
        raise _int_fault()
    if left == 0 and right < 0 and left_kind is int and right_kind is int:
        raise _zero_fault("divide")
    return _float_power(left, right)


def neg(operand: Value) -> Value:
    """`-operand` of a number.

    Raises:
        RuntimeFault: FL501 for anything else.
    """
    if type(operand) in _NUMBERS:
        return -operand
    raise RuntimeFault(f"cannot negate {kind_of(operand)}", code="FL501")


def concat(left: Value, right: Value) -> str:
    """`left ++ right`: the texts of both sides, joined."""
    return to_text(left) + to_text(right)


def shift_time(moment: Time, duration: Value) -> Time:
    """`moment` plus a duration in ms, an int or a finite number.

    Raises:
        RuntimeFault: FL508 when the result leaves the years 1 to 9999.
    """
    try:
        return Time(moment.ms + round(duration))
    except (ValueError, OverflowError):  # beyond the range; NaN or an infinity
        raise RuntimeFault(
            "result is out of range: a time lies in the years 1 to 9999", code="FL508"
        ) from None


# --- rare operands ----------------------------------------


def _add_other(left: Value, right: Value) -> Value:
    left_kind, right_kind = type(left), type(right)
    if left_kind in _NUMBERS and right_kind in _NUMBERS:
        try:
            return left + right
        except OverflowError:
            raise _number_fault() from None
    if left_kind is str or right_kind is str:
        return to_text(left) + to_text(right)
    if left_kind is Time and right_kind in _NUMBERS:
        return shift_time(left, right)
    if right_kind is Time and left_kind in _NUMBERS:
        return shift_time(right, left)
    if left_kind is bytes and right_kind is bytes:
        return left + right
    left_items, right_items = as_items(left), as_items(right)
    if left_items is None or right_items is None:
        raise _operand_fault("add", left, "and", right)
    return left_items + right_items


def _float_by_zero(left: Value, right: Value) -> float:
    if left == 0 or left != left:
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _float_power(left: Value, right: Value) -> float:
    try:
        return math.pow(left, right)
    except ValueError:  # a fractional power of a negative, or 0.0 to a negative
        return math.inf if left == 0 else math.nan
    except OverflowError:
        pass
    try:
        odd = right % 2 == 1
        return -math.inf if left < 0 and odd else math.inf
    except OverflowError:
        raise _number_fault() from None


def _operand_fault(verb: str, first: Value, joint: str, second: Value) -> RuntimeFault:
    return RuntimeFault(
        f"cannot {verb} {kind_of(first)} {joint} {kind_of(second)}",
        code="FL501",
        hint="one side is none: test for it first" if first is None or second is None else "",
    )


def _zero_fault(verb: str) -> RuntimeFault:
    return RuntimeFault(f"cannot {verb} by zero", code="FL503", hint="test the divisor first")


def _int_fault() -> RuntimeFault:
    return size_fault("an int", f"{INT_BITS_MAX} bits")


def _number_fault() -> RuntimeFault:
    return RuntimeFault("int is too large to become a number", code="FL508")
