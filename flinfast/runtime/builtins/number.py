"""Number and duration builtins (FLIN reference 3.4 and 13.5).

A duration is a number of milliseconds: `n.hours` gives one, `n.hours.ago` the time before now.
"""

from __future__ import annotations

import math
import secrets
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from flinfast.errors import RuntimeFault
from flinfast.runtime import arithmetic
from flinfast.runtime.arithmetic import shift_time
from flinfast.runtime.kinds import INT_MAX, range_fault
from flinfast.runtime.registry import Number, Value, builtin, method
from flinfast.runtime.services import Services
from flinfast.values import Time

DIGITS_MAX: Final = 100  # decimals that `format` and `round` deal with
UNITS_MS: Final = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
    "month": 2_592_000_000,  # 30 days
    "year": 31_536_000_000,  # 365 days
}
_DECIMAL: Final = Context(prec=420)  # 309 digits before the point, DIGITS_MAX after it
_random: Final = secrets.SystemRandom()


@method(name="abs")
def abs_(number: Number) -> Number:
    """Give the absolute value."""
    return abs(number)


@method(result="number")
def floor(number: Number) -> Value:
    """Round down to an int."""
    return math.floor(number) if math.isfinite(number) else number


@method(result="number")
def ceil(number: Number) -> Value:
    """Round up to an int."""
    return math.ceil(number) if math.isfinite(number) else number


@method(result="number")
def trunc(number: Number) -> Value:
    """Drop the fraction: an int."""
    return math.trunc(number) if math.isfinite(number) else number


@method(name="round", result="number")
def round_(number: Number, digits: int = 0) -> Value:
    """Round halves away from zero: to an int, or to `digits` decimals."""
    _check_digits("round", digits)
    if isinstance(number, int) or not math.isfinite(number):
        return number
    if number.is_integer():
        return number if digits else int(number)
    rounded = _rounded(number, digits)
    return float(rounded) if digits else int(rounded)


@method(name="min")
def min_(number: Number, *others: Number) -> Number:
    """Give the smallest of the numbers."""
    return min(number, *others) if others else number


@method(name="max")
def max_(number: Number, *others: Number) -> Number:
    """Give the largest of the numbers."""
    return max(number, *others) if others else number


@method()
def clamp(number: Number, low: Number, high: Number) -> Number:
    """Give the number, but at least `low` and at most `high`."""
    return max(low, min(number, high))


@method(name="pow", result="number")
def pow_(number: Number, exponent: Number) -> Value:
    """Raise to a power."""
    return arithmetic.pow(number, exponent)


@method(result="number")
def sqrt(number: Number) -> Value:
    """Give the square root; NaN of a negative number."""
    return math.sqrt(number) if number >= 0 else math.nan


@method()
def sign(number: Number) -> int:
    """Give -1, 0 or 1."""
    return (number > 0) - (number < 0)


@method()
def is_nan(number: Number) -> bool:
    """Tell whether the value is NaN."""
    return math.isnan(number)


@builtin(result="number")
def random() -> Value:
    """Give a random number from 0 to below 1, fit for secrets."""
    return _random.random()


@builtin()
def random_int(low: int, high: int) -> int:
    """Give a random int from `low` to `high`, both included, fit for secrets."""
    if low > high:
        raise range_fault("random_int", 2, f"an int from {low}", high)
    return _random.randint(low, high)


@method("to_fixed", name="format")
def format_(number: Number, digits: int = 0) -> str:
    """Write a number with exactly `digits` decimals."""
    _check_digits("format", digits)
    if type(number) is int:
        return f"{number}.{'0' * digits}" if digits else str(number)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    return f"{_rounded(number, digits):f}"


@method()
def ago(services: Services, duration: Number) -> Time:
    """Give the time that long before now: `2.hours.ago`."""
    return shift_time(Time(services.clock_ms()), arithmetic.neg(duration))


@method("since_now")
def from_now(services: Services, duration: Number) -> Time:
    """Give the time that long after now: `2.hours.from_now`."""
    return shift_time(Time(services.clock_ms()), duration)


def _register_unit(unit: str, milliseconds: int) -> None:
    """`n.hours` and, for `1.hour`, the singular."""

    def duration(number: Number) -> Value:
        return _duration(number, milliseconds)

    duration.__doc__ = f"Give that many {unit}s as a duration in milliseconds."
    method(unit, name=f"{unit}s", result="duration")(duration)


def _duration(number: Number, unit_ms: int) -> Value:
    if type(number) is float and not math.isfinite(number):
        raise RuntimeFault(f"expected a finite duration, got {number}", code="FL508")
    product = round(number * unit_ms)
    if not -INT_MAX < product < INT_MAX:
        raise RuntimeFault("duration is out of range", code="FL508")
    return product


def _check_digits(function: str, digits: int) -> None:
    if not 0 <= digits <= DIGITS_MAX:
        raise range_fault(function, 2, f"an int from 0 to {DIGITS_MAX}", digits)


def _rounded(number: float, digits: int) -> Decimal:
    """`number` with `digits` decimals, by its shortest decimal form, halves away from zero."""
    unit = Decimal((0, (1,), -digits))
    rounded = Decimal(repr(number)).quantize(unit, ROUND_HALF_UP, _DECIMAL)
    return abs(rounded) if rounded.is_zero() else rounded  # no "-0.00"


for _unit, _milliseconds in UNITS_MS.items():
    _register_unit(_unit, _milliseconds)
