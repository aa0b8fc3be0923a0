"""`where` templates evaluated in Python, for what SQL cannot express exactly (condition.py).

Nothing here fails: an ordering or a text method on the wrong kinds is false, so that one odd
record cannot make a query fail.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from flinfast.store.schema import Value
from flinfast.values import Time

BOOLEAN_CALLS: Final = frozenset({"contains", "starts_with", "ends_with"})
TEXT_CALLS: Final[dict[str, Callable[[str], str]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
}
_ORDERINGS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_ORDERED: Final[tuple[tuple[type, ...], ...]] = ((int, float), (str,), (Time,))


class Reference(NamedTuple):
    """What a reference field holds, while a template is evaluated in Python."""

    entity: str
    id: int


def truthy(value: Value) -> bool:
    """Whether a value counts as true: all but none, false, 0, NaN and "" do."""
    if isinstance(value, (int, float)):
        return not (value == 0 or value != value)
    return value is not None and value != ""


def equal(left: Value, right: Value) -> bool:
    """Structural equality; text never equals a number, a bool is not a number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return left == right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[k], right[k]) for k in left)
    if isinstance(left, Reference) or isinstance(right, Reference):
        return _equal_reference(left, right)
    if isinstance(left, range) and isinstance(right, range):
        return left == right
    if isinstance(left, (list, tuple, range)) and isinstance(right, (list, tuple, range)):
        return _equal_items(left, right)
    return type(left) is type(right) and bool(left == right)


def _equal_items(left: Sequence[Value], right: Sequence[Value]) -> bool:
    try:
        return len(left) == len(right) and all(map(equal, left, right))
    except OverflowError:  # a range of more items than any list can have
        return False


def _equal_reference(left: Value, right: Value) -> bool:
    if not isinstance(left, Reference):
        left, right = right, left
    if isinstance(right, (int, float)):
        return bool(left.id == right)
    return getattr(right, "entity", None) == left.entity and bool(right.id == left.id)


def ordered(op: str, left: Value, right: Value) -> bool:
    """`lt`, `le`, `gt` or `ge` of two numbers, texts or times; false for anything else."""
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    for kinds in _ORDERED:
        if isinstance(left, kinds) and isinstance(right, kinds):
            return bool(_ORDERINGS[op](left, right))
    return False


def contains(container: Value, item: Value) -> bool:
    """`item in container`; false when that has no meaning."""
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    if isinstance(container, (bytes, range)):
        if isinstance(item, float) and item.is_integer():
            item = int(item)
        if not isinstance(item, int) or isinstance(item, bool):
            return False
        in_bytes = isinstance(container, range) or 0 <= item <= 255
        return in_bytes and item in container
    if isinstance(container, (list, tuple)) and not isinstance(container, Reference):
        return any(equal(item, other) for other in container)
    return False


def evaluate(
    tree: tuple[Any, ...], field: Callable[[str], Value], params: tuple[Value, ...]
) -> Value:
    """Value of a template for one row; `field` gives the row's fields."""
    op = tree[0]
    if op == "field":
        return field(tree[1])
    if op == "param":
        return params[tree[1]]
    if op == "const":
        return tree[1]
    left = evaluate(tree[2] if op == "call" else tree[1], field, params)
    if op == "and":
        return evaluate(tree[2], field, params) if truthy(left) else left
    if op == "or":
        return left if truthy(left) else evaluate(tree[2], field, params)
    if op == "not":
        return not truthy(left)
    if op == "truthy":
        return truthy(left)
    if op == "call":
        arg = evaluate(tree[3], field, params) if len(tree) > 3 else None
        return _call(tree[1], left, arg)
    right = evaluate(tree[2], field, params)
    if op in ("eq", "ne"):
        return equal(left, right) == (op == "eq")
    if op == "in":
        return contains(right, left)
    return ordered(op, left, right)


def _call(name: str, target: Value, arg: Value) -> Value:
    if name == "contains":
        return contains(target, arg)
    if name == "len":
        is_sized = isinstance(target, (str, bytes, list, dict))
        return len(target) if is_sized else None
    if not isinstance(target, str):
        return False if name in BOOLEAN_CALLS else None
    if name in TEXT_CALLS:
        return TEXT_CALLS[name](target)
    if not isinstance(arg, str):
        return False
    return target.startswith(arg) if name == "starts_with" else target.endswith(arg)
