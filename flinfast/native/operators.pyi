"""Operators on Python's own types, done in C; and the class that the items of a list share.

Each operator decides what two operands of one plain class give, and leaves all else to the
function it was completed with. They are what lowered code calls where a kind is not evident.
"""

from collections.abc import Callable, Iterable
from typing import Any

def complete(
    *,
    add: Callable[[Any, Any], Any],
    sub: Callable[[Any, Any], Any],
    mul: Callable[[Any, Any], Any],
    div: Callable[[Any, Any], Any],
    mod: Callable[[Any, Any], Any],
    lt: Callable[[Any, Any], bool],
    le: Callable[[Any, Any], bool],
    eq: Callable[[Any, Any], bool],
    truthy: Callable[[Any], bool],
    to_text: Callable[[Any], str],
    to_int: Callable[[Any], Any],
    index: Callable[[Any, Any], Any],
    set_index: Callable[[Any, Any, Any], None],
    iterate: Callable[[Any], Iterable[Any]],
) -> None:
    """Say what the operators do with other operands; called once, before any of them."""

def add(left: Any, right: Any, /) -> Any:
    """`left + right`: two ints, two floats or two texts here."""

def sub(left: Any, right: Any, /) -> Any:
    """`left - right`: two ints or two floats here."""

def mul(left: Any, right: Any, /) -> Any:
    """`left * right`: two ints of 64 bits whose product has as many, or two floats here."""

def div(left: Any, right: Any, /) -> Any:
    """`left / right`: floats by one that is not 0, ints up to 2**53 by one above 0 here."""

def mod(left: Any, right: Any, /) -> Any:
    """`left % right` with the sign of `left`: ints of 64 bits by one above 0 here."""

def lt(left: Any, right: Any, /) -> bool:
    """`left < right`: two ints, two floats or two texts here."""

def le(left: Any, right: Any, /) -> bool:
    """`left <= right`: two ints, two floats or two texts here."""

def gt(left: Any, right: Any, /) -> bool:
    """`left > right`, which is `lt` the other way round where it is not decided here."""

def ge(left: Any, right: Any, /) -> bool:
    """`left >= right`, which is `le` the other way round where it is not decided here."""

def eq(left: Any, right: Any, /) -> bool:
    """`left == right`: two ints, two floats or two texts here."""

def truthy(value: Any, /) -> bool:
    """Whether `value` counts as true: bools, ints, texts and None here."""

def to_text(value: Any, /) -> str:
    """The text of a value: texts and ints that Python prints here."""

def to_int(value: Any, /) -> Any:
    """The int of a value: ints and texts of up to 18 digits and nothing else here."""

def index(value: Any, key: Any, /) -> Any:
    """`value[key]`: a list or text by an int, a dict by a text here; None when it is not there."""

def index_twice(value: Any, key: Any, next_key: Any, /) -> Any:
    """`value[key][next_key]`, as two calls of `index`."""

def member_once(member: Callable[[Any, str], Any], name: str, /) -> Callable[[Any], Any]:
    """`member_twice` for one name."""

def member_twice(
    member: Callable[[Any, str], Any], name: str, next_name: str, /
) -> Callable[[Any], Any]:
    """A function that gives `value.name.next_name`; `member` is the operator of that name.

    It remembers where the last dicts had their keys, as dicts made alike have them at the same
    places.
    """

def change_once(
    member: Callable[[Any, str], Any],
    set_member: Callable[[Any, str, Any], None],
    name: str,
    is_sum: bool,
    /,
) -> Callable[[Any, Any], None]:
    """A function of a value and an amount for `value.name += amount`, or `-=` unless `is_sum`.

    It reads, computes and writes as `member_once`, `add` or `sub`, and `set_member` do, in that
    order; it remembers places as `member_twice` does.
    """

def compare_once(
    member: Callable[[Any, str], Any], name: str, operator: str, /
) -> Callable[[Any, Any], bool]:
    """A function of a value and an owner for `value < owner.name`; `member` is the operator.

    It reads as `member_once` does, and then compares as `lt`, `le`, `gt` or `ge`.

    Args:
        member: The operator that reads a member.
        name: The member.
        operator: `<`, `<=`, `>` or `>=`.

    Raises:
        KeyError: It is no such operator.
    """

def add_to_entry(target: Any, key: Any, first: Any, amount: Any, /) -> None:
    """`target[key] = (target[key] ?? first) + amount`, as `index`, `add` and `set_index` do it.

    With None as `first` it is `target[key] += amount`.
    """

def set_index(target: Any, key: Any, value: Any, /) -> None:
    """`target[key] = value`: an existing item of a list by an int, a dict by a text here."""

def common_class(items: list[Any], /) -> type | None:
    """The class of every item, exactly.

    Returns:
        None when there are no items, or two of them are of different classes. O(n), about 1 ns per
        item; nothing of the items is run.
    """

def has_fields(description: tuple[Any, ...], /) -> Callable[[Any], bool]:
    """What says whether a value is a dict that has all the fields described.

    It remembers where the last dict had its keys, as dicts made alike have them at the same places.

    Args:
        description: Each field is (name, code, fields of the dict or items of the list that it
            holds); an item has its place from 0 as its name. Codes: 1 an int, 2 a float, 3 a text,
            4 a list, 5 a dict; 6 what is missing, None or of a scalar class; 7 anything.

    Raises:
        TypeError: A field is no such tuple.
        MemoryError: There is no room to remember anything.
    """

def field_columns(
    description: tuple[Any, ...], places: tuple[int, ...], /
) -> Callable[[Any], tuple[Iterable[Any], Any]]:
    """What gives the values of some fields of all items of a list that have the fields described.

    It gives what goes through the first items that are such dicts, and all items after those; of
    what is no list, none and the value as it is. There is a value for each item if there is one
    place, else a tuple of values; None for what is missing.

    Args:
        description: See `has_fields`.
        places: Which fields, counted from 0 as they are written down, each before those that it
            holds; -1 is the item itself. At most 16.

    Raises:
        TypeError: A field is no such tuple, or a place none of a field; there is none, or too many.
        MemoryError: There is no room to remember anything.
    """

def holds(value: Any, kind: type, depth: int, turns: range | int, is_nested: bool, /) -> bool:
    """Whether a value is a list whose items are of a class, exactly, or None; ints have 64 bits.

    Looks at no more items than what takes less time than the loop for which it is asked: 64, and 8
    for each turn; the answer is False when there are more.

    Args:
        value: Any value.
        kind: The class.
        depth: 1; or 2 for a list of such lists, of which there is at least one.
        turns: What the loop goes through; or, if nobody knows how many turns are left, how many it
            has had since this was asked before: from 0, below 2**63.
        is_nested: Whether there are loops in the loop: 256 items for each turn that comes then.
    """

def holds_ints(value: Any, turns: int, /) -> bool:
    """`holds(value, int, 1, turns, False)`, whose arguments take longer than a few items."""

def iterate(value: Any, /) -> Iterable[Any]:
    """What a loop over `value` goes through: a copy of a list, a text itself."""

def items(value: Any, /) -> tuple[Iterable[Any], type | None]:
    """What `iterate` gives, and its `common_class`."""

def items_at(value: Any, key: Any, /) -> tuple[Iterable[Any], type | None]:
    """`items(index(value, key))`."""
