"""Truth, equality and order of FLIN values (FLIN reference 3.1 and 3.2).

Nothing is coerced: text never equals a number, a bool is not a number, and only values of one kind
have an order. Entities are equal when entity and id are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, Final

from flinfast.errors import RuntimeFault
from flinfast.native import collection
from flinfast.runtime.kinds import Value, as_items, depth_fault, kind_of
from flinfast.values import NoValue, Time

_PLAIN: Final = frozenset({str, int, float, bool, bytes, Time, NoneType, NoValue})
_ORDERED: Final = frozenset({str, int, float, Time})
_NUMBERS: Final = frozenset({int, float})


def truthy(value: Value) -> bool:
    """Whether `value` counts as true: all but none, false, 0, NaN and "" do."""
    kind = type(value)
    if kind is bool:
        return value  # type: ignore[no-any-return]
    if kind is str or kind is int:
        return bool(value)
    if kind is float:
        return not (value == 0.0 or value != value)
    return value is not None and kind is not NoValue


eq: Final = collection.eq  # `left == right`
list_contains: Final = collection.contains
index_of: Final = collection.index_of
contains: Final = collection.is_in  # `item in container`


def lt(left: Value, right: Value) -> bool:
    """`left < right` of two numbers, two texts or two times.

    Raises:
        RuntimeFault: FL501 for any other pair.
    """
    kind = type(left)
    if kind is type(right):
        if kind in _ORDERED:
            return left < right  # type: ignore[no-any-return]
    elif kind in _NUMBERS and type(right) in _NUMBERS:
        return left < right  # type: ignore[no-any-return]
    raise order_fault(left, right)


def le(left: Value, right: Value) -> bool:
    """`left <= right`; faults as `lt`."""
    kind = type(left)
    if kind is type(right):
        if kind in _ORDERED:
            return left <= right  # type: ignore[no-any-return]
    elif kind in _NUMBERS and type(right) in _NUMBERS:
        return left <= right  # type: ignore[no-any-return]
    raise order_fault(left, right)


def _in_other(item: Value, container: Value) -> bool:
    """`item in container` where the container is no list, or the item no text."""
    kind = type(container)
    if kind is str:
        raise _in_fault(item, container)
    if isinstance(container, dict):
        return item in container if type(item) is str else False
    if kind is bytes:
        return type(item) is int and 0 <= item <= 255 and item in container
    if kind is range:
        return type(item) in _NUMBERS and item in container
    if container is None:
        raise RuntimeFault("cannot look for an item in none", code="FL502")
    items = as_items(container)
    if items is None:
        raise _in_fault(item, container)
    return list_contains(items, item)


def order_fault(left: Value, right: Value) -> RuntimeFault:
    """Fault FL501: two values have no order between them."""
    return RuntimeFault(
        f"cannot compare {kind_of(left)} with {kind_of(right)}",
        code="FL501",
        hint="`<` and `>` compare two numbers, two texts or two times; convert one side first",
    )


def _in_fault(item: Value, container: Value) -> RuntimeFault:
    return RuntimeFault(
        f"cannot look for {kind_of(item)} in {kind_of(container)}",
        code="FL501",
        hint="`in` looks for an item of a list, a key of a map or a part of a text",
    )


# --- equality of what is not plain ----------------------------------------


def _eq_other(left: Value, right: Value) -> bool:
    left_kind, right_kind = type(left), type(right)
    if left_kind is right_kind and left_kind in _PLAIN:
        return left == right  # type: ignore[no-any-return]
    if left_kind in _PLAIN or right_kind in _PLAIN:
        if left_kind in _NUMBERS and right_kind in _NUMBERS:
            return left == right  # type: ignore[no-any-return]
        return (left is None and right_kind is NoValue) or (right is None and left_kind is NoValue)
    if left is right:
        return True
    if isinstance(left, dict) or isinstance(right, dict):
        both = isinstance(left, dict) and isinstance(right, dict)
        return both and eq(dict(left), dict(right))
    if _is_record(left) or _is_record(right):
        return _eq_records(left, right)
    left_items, right_items = as_items(left), as_items(right)
    if left_items is None or right_items is None:
        return False
    return eq(left_items, right_items)


def _is_record(value: Value) -> bool:
    return hasattr(value, "to_map") and hasattr(value, "entity")


def _eq_records(left: Value, right: Value) -> bool:
    if not (_is_record(left) and _is_record(right)) or left.entity != right.entity:
        return False
    return left.id is not None and left.id == right.id


# --- sorting ----------------------------------------


def sort_items(
    items: Iterable[Value], key: Callable[[Value], Value] | None, *, descending: bool = False
) -> list[Value]:
    """Stable sort by `key(item)`, none first; keys are all numbers, texts, times or bools.

    Raises:
        RuntimeFault: FL501 when two keys have no order.
    """
    if key is None:
        found = items if type(items) is list else list(items)
        kinds = set(map(type, found))
        if len(kinds) == 1 and kinds <= _SORTABLE:
            return sorted(found, reverse=descending)
        items = found
    pairs = [(item if key is None else key(item), item) for item in items]
    present = [pair[0] for pair in pairs if pair[0] is not None]
    kinds = {type(value) for value in present}
    if not (len(kinds) <= 1 and kinds <= _SORTABLE) and not kinds <= _NUMBERS:
        first = present[0]
        other = next((v for v in present if not _share_order(first, v)), first)
        raise order_fault(first, other)
    pairs.sort(key=_sort_key, reverse=descending)
    return [item for _, item in pairs]


_SORTABLE: Final = _ORDERED | {bool}


def _share_order(left: Value, right: Value) -> bool:
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return True
    return type(left) is type(right) and type(left) in _SORTABLE


def _sort_key(pair: tuple[Value, Value]) -> tuple[bool, Any]:
    key = pair[0]
    return (key is not None, 0 if key is None else key)


def is_number(value: Value) -> bool:
    """Whether `value` is an int or a number; a bool is neither."""
    return type(value) in _NUMBERS


def _set_rules() -> None:
    """What comparing in `native.collection` leaves to the runtime."""
    rules = collection.RULES
    rules.eq_other = _eq_other
    rules.in_other = _in_other
    rules.lt = lt
    rules.depth_fault = depth_fault


_set_rules()
