"""List builtins (FLIN reference 13.2).

Functions that change a list in place say so; all others leave it alone and give a new one. Where
a key function is expected (`sum(i => i.price)`), the name of a member works too (`sum("price")`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flinfast.errors import RuntimeFault
from flinfast.runtime import arithmetic, compare
from flinfast.runtime.access import member
from flinfast.runtime.builtins.text import join_texts
from flinfast.runtime.compare import is_number, lt, truthy
from flinfast.runtime.encode import to_text
from flinfast.runtime.function import argument_count, argument_wish, pairwise, results
from flinfast.runtime.kinds import (
    LIST_ITEMS_MAX,
    argument_fault,
    as_items,
    is_function,
    kind_of,
    range_fault,
    size_fault,
)
from flinfast.runtime.registry import Function, Items, ListRef, Map, Value, builtin, method

# --- in place ----------------------------------------


@method("append", mutates=True)
def push(items: ListRef, item: Value) -> Items:
    """Append `item` in place and give the list."""
    items.append(item)
    return items


@method(mutates=True)
def pop(items: ListRef) -> Value:
    """Remove and give the last item; none when the list is empty."""
    return items.pop() if items else None


@method(mutates=True)
def shift(items: ListRef) -> Value:
    """Remove and give the first item; none when the list is empty."""
    return items.pop(0) if items else None


@method("prepend", mutates=True)
def unshift(items: ListRef, item: Value) -> Items:
    """Insert `item` at the start, in place, and give the list."""
    items.insert(0, item)
    return items


@method(mutates=True)
def insert_at(items: ListRef, position: int, item: Value) -> Items:
    """Insert `item` before `position`, in place, and give the list."""
    items.insert(position, item)
    return items


@method(mutates=True)
def remove_at(items: ListRef, position: int) -> Value:
    """Remove and give the item at `position`; none when there is none."""
    return items.pop(position) if -len(items) <= position < len(items) else None


@method(mutates=True)
def splice(items: ListRef, start: int, count: int | None = None, *new: Value) -> Items:
    """Remove `count` items from `start`, insert others there, and give the removed ones."""
    size = len(items)
    first = max(0, size + start) if start < 0 else min(start, size)
    last = size if count is None else min(size, first + max(0, count))
    removed = items[first:last]
    items[first:last] = new
    return removed


# --- with functions ----------------------------------------


@method(name="map")
def map_(items: Items, function: Function) -> Items:
    """Give the results of `function(item)` or `function(item, index)`."""
    return list(results("map", 2, function, items))


@method("where", name="filter")
def filter_(items: Items, function: Function) -> Items:
    """Keep the items for which `function` is truthy."""
    kept = results("filter", 2, function, items)
    return [
        item
        for item, keep in zip(items[:], kept, strict=True)
        if keep is True or (keep is not False and truthy(keep))
    ]


@method()
def reduce(items: Items, function: Value, initial: Value) -> Value:
    """Fold the items: `function(result, item)` from `initial`; either argument order."""
    position = 2
    if not is_function(function) and is_function(initial):
        function, initial, position = initial, function, 3
    step = pairwise("reduce", position, function)
    result = initial
    for item in items[:]:
        result = step(result, item)
    return result


@method()
def flat_map(items: Items, function: Function) -> Items:
    """Join the lists that `function(item)` gives."""
    return _flat(results("flat_map", 2, function, items), 1)


@method("for_each")
def each(items: Items, function: Function) -> Items:
    """Call `function(item)` for every item and give the list."""
    for _ in results("each", 2, function, items):
        pass
    return items


@method()
def find(items: Items, function: Function) -> Value:
    """Give the first item for which `function` is truthy, or none."""
    found = _position("find", items, function)
    return None if found < 0 else items[found]


@method()
def find_index(items: Items, function: Function) -> int:
    """Give the index of the first item for which `function` is truthy, or -1."""
    return _position("find_index", items, function)


@method("any")
def some(items: Items, function: Function) -> bool:
    """Tell whether `function` is truthy for some item."""
    return any(map(truthy, results("some", 2, function, items)))


@method("all")
def every(items: Items, function: Function) -> bool:
    """Tell whether `function` is truthy for every item."""
    return all(map(truthy, results("every", 2, function, items)))


@method(name="sum", result="number")
def sum_(items: Items, key: Value = None) -> Value:
    """Add up the items, or `key(item)` of each; none is skipped."""
    if key is None and set(map(type, items)) == {int}:
        return sum(items)
    total: Value = 0
    for value in _present("sum", items, key):
        if not is_number(value):
            raise _item_fault("sum", "number", value)
        total = arithmetic.add(total, value)
    return total


@method("average", result="number?")
def avg(items: Items, key: Value = None) -> Value:
    """Average of the items, or of `key(item)`; none is skipped, no items give none."""
    total, count = 0.0, 0
    for value in _present("avg", items, key):
        if not is_number(value):
            raise _item_fault("avg", "number", value)
        total += value
        count += 1
    return arithmetic.div(total, count) if count else None


@method(name="min")
def min_(items: Items, key: Value = None) -> Value:
    """Give the smallest item of a list, or `key(item)`; none is skipped, no items give none."""
    return _extreme(_present("min", items, key), smallest=True)


@method(name="max")
def max_(items: Items, key: Value = None) -> Value:
    """Give the largest item of a list, or `key(item)`; none is skipped, no items give none."""
    return _extreme(_present("max", items, key), smallest=False)


@method()
def count(items: Items, function: Function | None = None) -> int:
    """Count the items, or those for which `function` is truthy."""
    if function is None:
        return len(items)
    return sum(map(truthy, results("count", 2, function, items)))


@method("sort_by")
def sort(items: Items, key: Value = None, direction: str = "asc") -> Items:
    """Sort by the items, by `key(item)`, or by `compare(a, b)`; `direction` "asc" or "desc"."""
    if direction not in ("asc", "desc"):
        raise range_fault("sort", 3, '"asc" or "desc"', f'"{direction[:20]}"')
    descending = direction == "desc"
    if key is None:
        return compare.sort_items(items, None, descending=descending)
    if is_function(key) and argument_wish(key) == 2:
        ordered = compare.sort_by_comparison(items, pairwise("sort", 2, key))
        return ordered[::-1] if descending else ordered
    keys = list(_keys("sort", items, key))
    numbered = zip(keys, items[:], strict=True)
    ordered = compare.sort_items(numbered, lambda pair: pair[0], descending=descending)
    return [item for _, item in ordered]


@method()
def group_by(items: Items, key: Value) -> Map:
    """Group the items by the text of `key(item)`: a map of lists."""
    groups: dict[str, list[Any]] = {}
    for name, item in zip(_keys("group_by", items, key), items[:], strict=True):
        text = name if type(name) is str else to_text(name)
        if text in groups:
            groups[text].append(item)
        else:
            groups[text] = [item]
    return groups


@method()
def zip_with(items: Items, others: Items, function: Function) -> Items:
    """Give `function(item, other)` for the items of two lists, up to the shorter."""
    step = pairwise("zip_with", 3, function)
    return [step(a, b) for a, b in zip(items[:], others[:], strict=False)]


# --- new lists ----------------------------------------


@method("list_reverse")
def reverse(items: Items) -> Items:
    """Reverse the order of the items."""
    return items[::-1]


@method()
def flatten(items: Items, depth: int = 1) -> Items:
    """Put the items of inner lists in their place, `depth` levels deep."""
    return _flat(items, min(depth, 100))


@method()
def zip_(items: Items, others: Items) -> Items:
    """Pair the items of two lists, up to the shorter: a list of `[item, other]`."""
    return [[a, b] for a, b in zip(items, others, strict=False)]


@method()
def concat(items: Items, *others: Items) -> Items:
    """Join lists."""
    joined = list(items)
    for other in others:
        joined += other
    return joined


@method(name="slice")
def slice_(items: Items, start: int, stop: int | None = None) -> Items:
    """Take the items from `start` to before `stop`; negative counts from the end."""
    return items[start:stop]


@method("limit")
def take(items: Items, count: int) -> Items:
    """Take the first `count` items."""
    return items[: max(0, count)]


@method("skip")
def drop(items: Items, count: int) -> Items:
    """Take all but the first `count` items."""
    return items[max(0, count) :]


@method()
def rest(items: Items) -> Items:
    """Take all but the first item."""
    return items[1:]


@method()
def first(items: Items) -> Value:
    """Give the first item, or none."""
    return items[0] if items else None


@method()
def last(items: Items) -> Value:
    """Give the last item, or none."""
    return items[-1] if items else None


@method("includes")
def contains(items: Items, item: Value) -> bool:
    """Tell whether some item equals `item`."""
    return compare.list_contains(items, item)


@method()
def index_of(items: Items, item: Value) -> int:
    """Find the first item that equals `item`; -1 when none does."""
    return compare.index_of(items, item)


@method("length", "size")
def len_(items: Items) -> int:
    """Count the items."""
    return len(items)


@method()
def is_empty(items: Items) -> bool:
    """Tell whether there are no items."""
    return not items


@method()
def join(items: Items, separator: str = ",") -> str:
    """Join the texts of the items, with `separator` between them."""
    return join_texts(items, separator)


@method("clone")
def copy(items: Items) -> Items:
    """Copy the list; the items are shared."""
    return items[:]


@method("distinct")
def unique(items: Items, key: Value = None) -> Items:
    """Keep the first of equal items, or of items with equal `key(item)`."""
    seen = _Seen()
    keys = items if key is None else list(_keys("unique", items, key))
    return [item for item, value in zip(items[:], keys, strict=True) if seen.add(value)]


@method()
def chunk(items: Items, size: int) -> Items:
    """Cut into lists of `size` items; the last may be shorter."""
    if size < 1:
        raise range_fault("chunk", 2, "an int from 1", size)
    return [items[start : start + size] for start in range(0, len(items), size)]


@method()
def union(items: Items, others: Items) -> Items:
    """Give the items that are in one list or the other, each once."""
    seen = _Seen()
    return [item for item in [*items, *others] if seen.add(item)]


@method()
def intersection(items: Items, others: Items) -> Items:
    """Give the items that are in both lists, each once."""
    wanted, seen = _Seen(others), _Seen()
    return [item for item in items if wanted.has(item) and seen.add(item)]


@method()
def difference(items: Items, others: Items) -> Items:
    """Give the items that are not in the other list, each once."""
    seen = _Seen(others)
    return [item for item in items if seen.add(item)]


@method()
def symmetric_difference(items: Items, others: Items) -> Items:
    """Give the items that are in exactly one of the lists, each once."""
    mine, theirs, seen = _Seen(items), _Seen(others), _Seen()
    return [x for x in [*items, *others] if mine.has(x) != theirs.has(x) and seen.add(x)]


@builtin(name="range")
def range_(start: int, stop: int | None = None, step: int = 1) -> Items:
    """List the ints from `start` to before `stop`; `range(n)` starts at 0."""
    if step == 0:
        raise range_fault("range", 3, "an int other than 0", 0)
    numbers = range(0, start, step) if stop is None else range(start, stop, step)
    listed = as_items(numbers)
    return [] if listed is None else listed


# --- shared ----------------------------------------


class _Seen:
    """A set of FLIN values: hashed where FLIN equality allows it, else compared one by one."""

    __slots__ = ("_hashed", "_others")

    def __init__(self, items: Iterable[Value] = ()) -> None:
        self._hashed: set[Any] = set()
        self._others: list[Value] = []
        for item in items:
            self.add(item)

    def has(self, item: Value) -> bool:
        key = _hash_key(item)
        return compare.list_contains(self._others, item) if key is None else key in self._hashed

    def add(self, item: Value) -> bool:
        """Add `item`; whether it is new."""
        if self.has(item):
            return False
        key = _hash_key(item)
        if key is None:
            self._others.append(item)
        else:
            self._hashed.add(key)
        return True


def _hash_key(item: Value) -> Any:
    """A key that is equal exactly when the items are, or None when there is no such key."""
    kind = kind_of(item)
    if kind in ("text", "time", "bytes", "bool", "none"):
        return kind, item
    if kind in ("int", "number"):
        return None if item != item else ("number", item)  # NaN equals nothing
    return None


def _position(name: str, items: Items, function: Value) -> int:
    for index, found in enumerate(results(name, 2, function, items)):
        if truthy(found):
            return index
    return -1


def _keys(name: str, items: Items, key: Value) -> Iterator[Value]:
    """`key(item)` of every item; a text key names a member."""
    if type(key) is str:
        return (None if item is None else member(item, key) for item in items[:])
    if not is_function(key):
        raise argument_fault(name, 2, "function or text", key)
    argument_count(name, 2, key, 1, 2)
    return results(name, 2, key, items)


def _present(name: str, items: Items, key: Value) -> Iterator[Value]:
    values = iter(items) if key is None else _keys(name, items, key)
    return (value for value in values if value is not None)


def _extreme(values: Iterator[Value], *, smallest: bool) -> Value:
    best = next(values, None)
    for value in values:
        if lt(value, best) if smallest else lt(best, value):
            best = value
    return best


def _flat(items: Iterable[Value], depth: int) -> list[Value]:
    flat: list[Value] = []
    pending = [iter(items)]  # from the outermost list to the one being read
    steps = 0  # empty lists cost time too, and a list may contain itself
    while pending:
        for item in pending[-1]:
            steps += 1
            inner = as_items(item) if len(pending) <= depth else None
            if inner is not None:
                pending.append(iter(inner))
                break
            flat.append(item)
        else:
            pending.pop()
        if steps > LIST_ITEMS_MAX:
            raise size_fault("a list", f"{LIST_ITEMS_MAX} items")
    return flat


def _item_fault(function: str, expected: str, value: Value) -> RuntimeFault:
    return RuntimeFault(
        f"`{function}`: expected a list of {expected}, got {kind_of(value)} in it", code="FL504"
    )
