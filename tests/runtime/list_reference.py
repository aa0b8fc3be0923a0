"""Twins of list builtins, written for clearness: one comparison at a time, no hashing, no C."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

from flinfast.errors import RuntimeFault
from flinfast.runtime.encode import to_text
from flinfast.runtime.kinds import kind_of
from flinfast.values import Time

NUMBERS = (int, float)
ORDERED = (*NUMBERS, str, Time)


def equal(left: Any, right: Any) -> bool:
    if type(left) is list and type(right) is list:
        return len(left) == len(right) and all(map(equal, left, right))
    if type(left) is dict and type(right) is dict:
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def less(left: Any, right: Any) -> bool:
    numbers = type(left) in NUMBERS and type(right) in NUMBERS
    if numbers or (type(left) is type(right) and type(left) in ORDERED):
        return bool(left < right)
    raise RuntimeFault(f"cannot compare {kind_of(left)} with {kind_of(right)}", code="FL501")


def numbers_of(name: str, items: list[Any]) -> Iterator[Any]:
    for item in items:
        if item is not None and type(item) not in NUMBERS:
            message = f"`{name}`: expected a list of number, got {kind_of(item)} in it"
            raise RuntimeFault(message, code="FL504")
        if item is not None:
            yield item


def total(items: list[Any]) -> Any:
    result: Any = 0
    for number in numbers_of("sum", items):
        try:
            result = result + number
        except OverflowError:
            message = "int is too large to become a number"
            raise RuntimeFault(message, code="FL508") from None
    return result


def average(items: list[Any]) -> Any:
    result, count = 0.0, 0
    for number in numbers_of("avg", items):
        try:
            result += number
        except OverflowError:
            raise RuntimeFault("`avg`: result is too large", code="FL508") from None
        count += 1
    return result / count if count else None


def extreme(items: list[Any], is_better: Callable[[Any, Any], bool]) -> Any:
    best = None
    for item in items:
        if item is not None and (best is None or is_better(item, best)):
            best = item
    return best


def place(items: list[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if equal(item, wanted)), -1)


def unique(items: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        if place(kept, item) < 0:
            kept.append(item)
    return kept


def groups(items: list[Any]) -> dict[str, list[Any]]:
    made: dict[str, list[Any]] = {}
    for item in items:
        made.setdefault(to_text(item), []).append(item)
    return made


def ordered(items: list[Any], descending: bool) -> list[Any]:
    """For lists that have an order, without NaN."""

    def compare(left: Any, right: Any) -> int:
        if left is None or right is None:
            return (left is not None) - (right is not None)
        return 0 if left == right else -1 if left < right else 1

    assert not any(type(item) is float and math.isnan(item) for item in items)
    return sorted(items, key=functools.cmp_to_key(compare), reverse=descending)


def flat(items: list[Any]) -> list[Any]:
    made: list[Any] = []
    for item in items:
        made += item if type(item) is list else [item]
    return made


TWINS: dict[str, Callable[..., Any]] = {
    "sum": total,
    "avg": average,
    "min": lambda items: extreme(items, less),
    "max": lambda items: extreme(items, lambda item, best: less(best, item)),
    "unique": unique,
    "flatten": flat,
    "reverse": lambda items: items[::-1],
    "join": lambda items: ",".join(map(to_text, items)),
}
