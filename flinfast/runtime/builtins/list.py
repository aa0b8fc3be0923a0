"""List builtins (FLIN reference 13.2).

Functions that change a list in place say so; all others leave it alone and give a new one. Where
a key function is expected (`sum(i => i.price)`), the name of a member works too (`sum("price")`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from flinfast.errors import RuntimeFault
from flinfast.native import collection
from flinfast.runtime import arithmetic, compare
from flinfast.runtime.access import member
from flinfast.runtime.builtins.text import join_texts
from flinfast.runtime.encode import to_text
from flinfast.runtime.function import argument_count, is_plain
from flinfast.runtime.kinds import (
    LIST_ITEMS_MAX,
    TEXT_SIZE_MAX,
    argument_fault,
    as_items,
    is_function,
    kind_of,
    range_fault,
    size_fault,
)
from flinfast.runtime.registry import (
    Function,
    Items,
    ListRef,
    Map,
    Value,
    builtin,
    call_checked,
    method,
)

T = TypeVar("T")


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


@method(name="map", native=collection.map)
def map_(items: Items, function: Function) -> Items:
    """Give the results of `function(item)` or `function(item, index)`."""
    return collection.map(items, function)


@method("where", name="filter", native=collection.filter)
def filter_(items: Items, function: Function) -> Items:
    """Keep the items for which `function` is truthy."""
    return collection.filter(items, function)


@method(native=collection.reduce)
def reduce(items: Items, function: Value, initial: Value) -> Value:
    """Fold the items: `function(result, item)` from `initial`; either argument order."""
    return _accepted(collection.reduce(items, function, initial), "reduce", "function", function)


@method(native=collection.flat_map)
def flat_map(items: Items, function: Function) -> Items:
    """Join the lists that `function(item)` gives."""
    return collection.flat_map(items, function)


@method("for_each", native=collection.each)
def each(items: Items, function: Function) -> Items:
    """Call `function(item)` for every item and give the list."""
    return collection.each(items, function)


@method(native=collection.find)
def find(items: Items, function: Function) -> Value:
    """Give the first item for which `function` is truthy, or none."""
    return collection.find(items, function)


@method(native=collection.find_index)
def find_index(items: Items, function: Function) -> int:
    """Give the index of the first item for which `function` is truthy, or -1."""
    return collection.find_index(items, function)


@method("any", native=collection.some)
def some(items: Items, function: Function) -> bool:
    """Tell whether `function` is truthy for some item."""
    return collection.some(items, function)


@method("all", native=collection.every)
def every(items: Items, function: Function) -> bool:
    """Tell whether `function` is truthy for every item."""
    return collection.every(items, function)


@method(name="sum", result="number", native=collection.sum)
def sum_(items: Items, key: Value = None) -> Value:
    """Add up the items, or `key(item)` of each; none is skipped."""
    return _accepted(collection.sum(items, key), "sum", _KEY, key)


@method("average", result="number?", native=collection.avg)
def avg(items: Items, key: Value = None) -> Value:
    """Average of the items, or of `key(item)`; none is skipped, no items give none."""
    return _accepted(collection.avg(items, key), "avg", _KEY, key)


@method(name="min", native=collection.min)
def min_(items: Items, key: Value = None) -> Value:
    """Give the smallest item of a list, or `key(item)`; none is skipped, no items give none."""
    return _accepted(collection.min(items, key), "min", _KEY, key)


@method(name="max", native=collection.max)
def max_(items: Items, key: Value = None) -> Value:
    """Give the largest item of a list, or `key(item)`; none is skipped, no items give none."""
    return _accepted(collection.max(items, key), "max", _KEY, key)


@method(native=collection.count)
def count(items: Items, function: Function | None = None) -> int:
    """Count the items, or those for which `function` is truthy."""
    return collection.count(items, function)


@method("sort_by", native=collection.sort)
def sort(items: Items, key: Value = None, direction: str = "asc") -> Items:
    """Sort by the items, by `key(item)`, or by `compare(a, b)`; `direction` "asc" or "desc"."""
    if direction not in ("asc", "desc"):
        raise range_fault("sort", 3, '"asc" or "desc"', f'"{direction[:20]}"')
    return _accepted(collection.sort(items, key, direction), "sort", _KEY, key)


@method(native=collection.group_by)
def group_by(items: Items, key: Value) -> Map:
    """Group the items by the text of `key(item)`: a map of lists."""
    return _accepted(collection.group_by(items, key), "group_by", _KEY, key)


@method(native=collection.zip_with)
def zip_with(items: Items, others: Items, function: Function) -> Items:
    """Give `function(item, other)` for the items of two lists, up to the shorter."""
    return collection.zip_with(items, others, function)


# --- new lists ----------------------------------------


@method("list_reverse", native=collection.reverse)
def reverse(items: Items) -> Items:
    """Reverse the order of the items."""
    return collection.reverse(items)


@method(native=collection.flatten)
def flatten(items: Items, depth: int = 1) -> Items:
    """Put the items of inner lists in their place, `depth` levels deep."""
    return collection.flatten(items) if depth == 1 else _flat(items, min(depth, 100))


@method(native=collection.zip)
def zip_(items: Items, others: Items) -> Items:
    """Pair the items of two lists, up to the shorter: a list of `[item, other]`."""
    return collection.zip(items, others)


@method(native=collection.concat)
def concat(items: Items, *others: Items) -> Items:
    """Join lists."""
    joined = list(items)
    for other in others:
        joined += other
    return joined


@method(name="slice", native=collection.slice)
def slice_(items: Items, start: int, stop: int | None = None) -> Items:
    """Take the items from `start` to before `stop`; negative counts from the end."""
    return items[start:stop]


@method("limit", native=collection.take)
def take(items: Items, count: int) -> Items:
    """Take the first `count` items."""
    return items[: max(0, count)]


@method("skip", native=collection.drop)
def drop(items: Items, count: int) -> Items:
    """Take all but the first `count` items."""
    return items[max(0, count) :]


@method(native=collection.rest)
def rest(items: Items) -> Items:
    """Take all but the first item."""
    return collection.rest(items)


@method(native=collection.first)
def first(items: Items) -> Value:
    """Give the first item, or none."""
    return collection.first(items)


@method(native=collection.last)
def last(items: Items) -> Value:
    """Give the last item, or none."""
    return collection.last(items)


@method("includes", native=collection.contains)
def contains(items: Items, item: Value) -> bool:
    """Tell whether some item equals `item`."""
    return collection.contains(items, item)


@method(native=collection.index_of)
def index_of(items: Items, item: Value) -> int:
    """Find the first item that equals `item`; -1 when none does."""
    return collection.index_of(items, item)


@method("length", "size", native=collection.size)
def len_(items: Items) -> int:
    """Count the items."""
    return len(items)


@method(native=collection.is_empty)
def is_empty(items: Items) -> bool:
    """Tell whether there are no items."""
    return not items


@method(native=collection.join)
def join(items: Items, separator: str = ",") -> str:
    """Join the texts of the items, with `separator` between them."""
    return join_texts(items, separator)


@method("clone", native=collection.copy)
def copy(items: Items) -> Items:
    """Copy the list; the items are shared."""
    return items[:]


@method("distinct", native=collection.unique)
def unique(items: Items, key: Value = None) -> Items:
    """Keep the first of equal items, or of items with equal `key(item)`."""
    return _accepted(collection.unique(items, key), "unique", _KEY, key)


@method(native=collection.chunk)
def chunk(items: Items, size: int) -> Items:
    """Cut into lists of `size` items; the last may be shorter."""
    if size < 1:
        raise range_fault("chunk", 2, "an int from 1", size)
    return [items[start : start + size] for start in range(0, len(items), size)]


@method(native=collection.union)
def union(items: Items, others: Items) -> Items:
    """Give the items that are in one list or the other, each once."""
    return collection.union(items, others)


@method(native=collection.intersection)
def intersection(items: Items, others: Items) -> Items:
    """Give the items that are in both lists, each once."""
    return collection.intersection(items, others)


@method(native=collection.difference)
def difference(items: Items, others: Items) -> Items:
    """Give the items that are not in the other list, each once."""
    return collection.difference(items, others)


@method(native=collection.symmetric_difference)
def symmetric_difference(items: Items, others: Items) -> Items:
    """Give the items that are in exactly one of the lists, each once."""
    return collection.symmetric_difference(items, others)


@builtin(name="range", native=collection.range_list)
def range_(start: int, stop: int | None = None, step: int = 1) -> Items:
    """List the ints from `start` to before `stop`; `range(n)` starts at 0."""
    if step == 0:
        raise range_fault("range", 3, "an int other than 0", 0)
    numbers = range(0, start, step) if stop is None else range(start, stop, step)
    listed = as_items(numbers)
    return [] if listed is None else listed


# --- shared ----------------------------------------


_KEY: Final = "function or text"  # what a key may be


def _accepted(result: T, name: str, expected: str, function: Value) -> T:
    """The result of a walk that may have refused its function, argument 2."""
    if result is NotImplemented:
        raise argument_fault(name, 2, expected, function)
    return result


def _sort_keyed(items: Items, keys: Items, descending: bool) -> Items:
    """Sort by keys that are not all of one kind, such as none for some."""
    numbered = zip(keys, items, strict=True)
    ordered = compare.sort_items(numbered, lambda pair: pair[0], descending=descending)
    return [item for _, item in ordered]


def _comparison_fault(result: Value) -> RuntimeFault:
    return RuntimeFault(
        f"expected a number from the comparison of `sort`, got {kind_of(result)}", code="FL501"
    )


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


def _set_rules() -> None:
    """What the walks of `native.collection` leave to the runtime."""
    rules = collection.RULES
    rules.argument_count = argument_count
    rules.is_plain = is_plain
    rules.is_function = is_function
    rules.call_checked = call_checked
    rules.member = member
    rules.to_text = to_text
    rules.add = arithmetic.add
    rules.as_items = as_items
    rules.item_fault = _item_fault
    rules.size_fault = size_fault
    rules.sort_keyed = _sort_keyed
    rules.number_fault = _comparison_fault
    rules.items_max = LIST_ITEMS_MAX
    rules.text_max = TEXT_SIZE_MAX


_set_rules()
