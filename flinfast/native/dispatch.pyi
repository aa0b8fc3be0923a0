"""Calls of builtins by the type of their first argument.

A table has, for exact types, a function that takes values of that type first. Such a function gives
NotImplemented, before it did anything, for other arguments that are not what it is for: then, and
for types that are not in the table, `other` is called. Overflow, endless recursion and exhausted
memory become what `limit_fault(name, error)` makes of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

def member(
    tables: dict[type, dict[str, Callable[[Any], Any]]],
    other: Callable[[Any, str], Any],
) -> Callable[[Any, str], Any]:
    """`value.name`: the value of a map's key, or what a type has under that name, read.

    Args:
        tables: Exact type to names to functions of the value; a name without one is None.
        other: Takes value and name, for values of other types.
    """

def caller(
    other: Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Any],
) -> Callable[..., Any]:
    """`function(...)`, as a function of that and the arguments.

    A function of Python's own that takes exactly so many is called at once.

    Args:
        other: Takes any other value, its arguments and none by name.
    """

def method(
    name: str,
    count: int,
    known: dict[type, Callable[..., Any]],
    other: Callable[..., Any],
    limit_fault: Callable[[str, BaseException], Exception],
) -> Callable[..., Any]:
    """`value.name(...)` with `count` arguments, as a function of context, value and those.

    Args:
        name: Name of the method; a map with an entry of that name is left to `other`.
        count: Arguments besides the value.
        known: The table; read at each call, so `other` may add to it. Nothing may be removed.
        other: Takes context, value and the arguments.
        limit_fault: See above.
    """

def function(
    name: str,
    tables: tuple[dict[type, Callable[..., Any]], ...],
    other: Callable[[tuple[Any, ...], Mapping[str, Any]], Any],
    limit_fault: Callable[[str, BaseException], Exception],
) -> Callable[..., Any]:
    """A builtin as a function of any arguments; what it does not take is for `other` to refuse.

    Args:
        name: Its `__name__`.
        tables: One table for one argument, one for two, and so on.
        other: Takes positional and named arguments, all that the tables do not.
        limit_fault: See above.
    """

def is_function(value: Any) -> bool:
    """Whether `function` gave a value."""
