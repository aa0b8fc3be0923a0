"""Loops of FLIN's builtins over lists and maps.

Every function here is the builtin of that name (docs/language/builtins.md) for a list or map as
first argument, which is not looked at again. Others that are not what the builtin takes give
NotImplemented before anything was done, and no function of the program was called: the runtime
converts or refuses them. With the first argument alone that never happens, so properties may use
them.

A function of the program is given as many arguments as it asks for, which is found once per walk.
Where one is called, the walk is over a copy of the list: it may change the list as it likes.
Faults come in the order in which a loop in Python would raise them.

What only the runtime knows is in RULES; it is set before the first call.
"""

from collections.abc import Callable
from typing import Any, Self, TypeVar

from typing_extensions import disjoint_base

_Value = Any
_Items = list[Any]
_Map = dict[str, Any]

@disjoint_base
class Rules:
    """What is left to the runtime: functions, all set by its modules that have them, and limits.

    Attributes:
        argument_count: `runtime.function.argument_count`.
        is_plain: Whether calls with that many arguments need no protection.
        is_function: Whether FLIN can call a value.
        call_checked: Calls `(name, function, args, named)`; its refusal becomes a fault.
        member: `value.name` of other values than maps.
        to_text: Text of any value.
        add: `left + right` beyond 64 bits, and its faults.
        lt: `left < right` of values of other or different types, and its fault.
        eq_other: `left == right` of other values than plain ones, lists and maps.
        in_other: `item in container` of other containers than lists, and its faults.
        slice_other: `value[start:stop:step]` of other values and bounds, and its faults.
        as_items: Items of a range or query; None for what has none.
        map_key: The text of a computed key.
        sort_keyed: Sorts `(items, keys, descending)` by keys of more than one type.
        item_fault: The fault for `(function, expected, item)`.
        entry_fault: The fault for an item of `from_entries`.
        number_fault: The fault for the result of a comparison.
        size_fault: The fault for a result beyond a limit.
        depth_fault: The fault for values that nest too deeply.
        items_max: Items that a computed list may hold.
        text_max: Code points that a computed text may hold.
    """

    argument_count: Callable[[str, int, _Value, int, int], int]
    is_plain: Callable[[_Value], bool]
    is_function: Callable[[_Value], bool]
    call_checked: Callable[..., _Value]
    member: Callable[[_Value, str], _Value]
    to_text: Callable[[_Value], str]
    add: Callable[[_Value, _Value], _Value]
    lt: Callable[[_Value, _Value], bool]
    eq_other: Callable[[_Value, _Value], bool]
    in_other: Callable[[_Value, _Value], bool]
    slice_other: Callable[[_Value, _Value, _Value, _Value], _Value]
    as_items: Callable[[_Value], _Items | None]
    map_key: Callable[[_Value], str]
    sort_keyed: Callable[[_Items, _Items, bool], _Items]
    item_fault: Callable[[str, str, _Value], Exception]
    entry_fault: Callable[[_Value], Exception]
    number_fault: Callable[[_Value], Exception]
    size_fault: Callable[[str, str], Exception]
    depth_fault: Callable[[], Exception]
    items_max: int
    text_max: int

RULES: Rules

_Function = TypeVar("_Function", bound=Callable[..., Any])

@disjoint_base
class Formula:
    """What the body of a small function computes, so that a walk need not call it.

    Given a function of Python, it stands where the documentation of that would, and the walks use
    it where all values are plain: ints of 64 bits, numbers, bools, texts, none, members of maps.
    For all others they call the function.

    A body is a step and its operands, which are bodies: "at" the number of an argument or kept
    value, "constant", "cell" (the name of a variable of a function around), "get" or "get?" a
    member, "len" (a member of that name, or the size), "index", "keep" (a number, its value, the
    body that uses it), "?", "&&", "||", "??", "!", "negate", "+", "-", "*", "/", "%", "<", "<=",
    ">", ">=", "==", "!=".

    Args:
        arguments: What the function takes, 1 or 2.
        body: At most 24 nodes, 4 kept values (numbers 2 to 5).

    Raises:
        ValueError: Beyond these limits.
        KeyError: For an unknown step.
    """

    def __new__(cls, arguments: int, body: tuple[Any, ...]) -> Self: ...
    def __call__(self, function: _Function) -> _Function:
        """Put it into a function, and give that; TypeError for what is none of Python's."""

# --- values

def eq(left: _Value, right: _Value) -> bool:
    """`left == right`; the fault of `depth_fault` when they nest deeper than Python's calls may."""

def is_in(item: _Value, container: _Value) -> bool:
    """`item in container`."""

def cut(value: _Value, start: _Value, stop: _Value, step: _Value) -> _Value:
    """`value[start:stop:step]`; none stands for a missing bound."""

def contains(items: _Items, item: _Value) -> bool: ...
def index_of(items: _Items, item: _Value) -> int: ...

# --- one value

def find(items: _Items, function: _Value) -> _Value: ...
def find_index(items: _Items, function: _Value) -> int: ...
def some(items: _Items, function: _Value) -> bool: ...
def every(items: _Items, function: _Value) -> bool: ...
def count(items: _Items, function: _Value = None) -> int: ...
def each(items: _Items, function: _Value) -> _Items: ...
def reduce(items: _Items, function: _Value, initial: _Value) -> _Value: ...
def sum(items: _Items, key: _Value = None) -> _Value: ...
def avg(items: _Items, key: _Value = None) -> _Value: ...
def min(items: _Items, key: _Value = None) -> _Value: ...
def max(items: _Items, key: _Value = None) -> _Value: ...

# --- lists

def map(items: _Items, function: _Value) -> _Items: ...
def filter(items: _Items, function: _Value) -> _Items: ...
def zip_with(items: _Items, others: _Value, function: _Value) -> _Items: ...
def flat_map(items: _Items, function: _Value) -> _Items: ...
def flatten(items: _Items, depth: _Value = 1) -> _Items:
    """One level deep; other depths are left to the runtime."""

def sort(items: _Items, key: _Value = None, direction: _Value = "asc") -> _Items: ...
def group_by(items: _Items, key: _Value) -> _Map: ...
def join(items: _Items, separator: _Value = ",") -> str: ...
def size(value: _Value) -> int: ...
def is_empty(value: _Value) -> bool: ...
def first(items: _Items) -> _Value: ...
def last(items: _Items) -> _Value: ...
def rest(items: _Items) -> _Items: ...
def reverse(items: _Items) -> _Items: ...
def copy(items: _Items) -> _Items: ...
def take(items: _Items, count: _Value) -> _Items: ...
def drop(items: _Items, count: _Value) -> _Items: ...
def slice(items: _Value, start: _Value, stop: _Value = None) -> Any:
    """Of a text, too."""

def concat(items: _Items, other: _Value = ..., *more: _Value) -> _Items: ...
def zip(items: _Items, others: _Value) -> _Items: ...
def chunk(items: _Items, count: _Value) -> _Items: ...
def range_list(start: int, stop: _Value = None, step: _Value = 1) -> _Items:
    """The builtin `range`."""

def unique(items: _Items, key: _Value = None) -> _Items: ...
def union(items: _Items, others: _Value) -> _Items: ...
def intersection(items: _Items, others: _Value) -> _Items: ...
def difference(items: _Items, others: _Value) -> _Items: ...
def symmetric_difference(items: _Items, others: _Value) -> _Items: ...

# --- maps

def keys(entries: _Map) -> _Items: ...
def values(entries: _Map) -> _Items: ...
def entries(entries: _Map) -> _Items: ...
def from_entries(items: _Items) -> _Map: ...
def has_key(entries: _Map, key: _Value) -> bool: ...
def get(entries: _Map, key: _Value, default: _Value = None) -> _Value: ...
def pick(entries: _Map, names: _Value) -> _Map: ...
def omit(entries: _Map, names: _Value) -> _Map: ...
def clone(entries: _Map) -> _Map: ...
def merge(entries: _Map, other: _Value = ..., *more: _Value) -> _Map: ...
def map_values(entries: _Map, function: _Value) -> _Map: ...

# --- texts, where the result is certain to fit

def text_count(text: str, part: _Value = None) -> int: ...
def replace_all(text: str, part: _Value, replacement: _Value) -> str: ...
def pad_start(text: str, length: _Value, fill: _Value = " ") -> str: ...
def pad_end(text: str, length: _Value, fill: _Value = " ") -> str: ...
def capitalize(text: str) -> str: ...
