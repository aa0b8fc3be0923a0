"""Function values that builtins call back: how many arguments they are given.

FLIN follows JavaScript: `list.map(x => ...)` and `list.map((x, i) => ...)` both work. A parameter
with a default of its own keeps it (`fn price(x, rate = 2)`); one without asks for what there is,
though FLIN could do without: missing arguments are none. What a function can take is looked at
once, before the first call, so a mismatch is a fault of the call that passed the function and
never a Python error inside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from types import FunctionType
from typing import Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.kinds import argument_fault, is_function
from flinfast.runtime.registry import CO_VARARGS, Function, Items, Value, call_checked

_UNBOUNDED: Final = 255


def argument_range(function: Function) -> tuple[int, int]:
    """Fewest and most positional arguments that `function` takes."""
    if type(function) is partial:  # a file-level function, its context bound
        fewest, most = argument_range(function.func)
        given = len(function.args)
        return max(0, fewest - given), most if most == _UNBOUNDED else max(0, most - given)
    if type(function) is FunctionType:
        code = function.__code__
        most = _UNBOUNDED if code.co_flags & CO_VARARGS else code.co_argcount
        return code.co_argcount - len(function.__defaults__ or ()), most
    return 0, _UNBOUNDED


def argument_wish(function: Function) -> int:
    """How many positional arguments a function asks for: those before the first with a default.

    To Python, a parameter of a FLIN function without a default has the default None.
    """
    if type(function) is partial:
        return max(0, argument_wish(function.func) - len(function.args))
    if type(function) is not FunctionType:
        return 0
    count: int = function.__code__.co_argcount
    defaults = function.__defaults__ or ()
    for place, default in enumerate(defaults, count - len(defaults)):
        if default is not None:
            return place
    return count


def argument_count(name: str, position: int, function: Value, needed: int, offered: int) -> int:
    """How many arguments to give `function`: `needed`, more if it asks, fewer if it must.

    Args:
        name: Builtin that received the function, for the fault.
        position: 1-based position of the function among its arguments.
        function: The function value.
        needed: Arguments that the builtin always gives.
        offered: Arguments that it has.

    Raises:
        RuntimeFault: FL504 when it is no function, or needs more than `offered`.
    """
    if not is_function(function):
        raise argument_fault(name, position, "function", function)
    fewest, most = argument_range(function)
    if fewest > offered:
        raise RuntimeFault(
            f"`{name}` argument {position}: expected a function of at most {offered} parameters, "
            f"got one of {fewest}",
            code="FL504",
        )
    return max(fewest, min(needed, most), min(argument_wish(function), offered))


def results(name: str, position: int, function: Value, items: Items) -> Iterator[Value]:
    """Results of `function(item)` or `function(item, index)` over a snapshot of the items."""
    count = argument_count(name, position, function, 1, 2)
    if not _is_plain(function):
        return (call_checked(name, function, (item,), {}) for item in items[:])
    if count == 1:
        return map(function, items[:])
    if count == 2:
        return map(function, items[:], itertools.count())
    return (function() for _ in items[:])


def pairwise(name: str, position: int, function: Value) -> Function:
    """`function` as one of exactly two arguments, such as the step of a reduction."""
    count = argument_count(name, position, function, 2, 2)
    if not _is_plain(function):
        return lambda first, second: call_checked(name, function, (first, second), {})
    if count == 2:
        step: Function = function
        return step
    if count == 1:
        return lambda first, second: function(first)
    return lambda first, second: function()


def _is_plain(function: Function) -> bool:
    """Whether argument_range() is exact, so that calls need no protection."""
    inner = function.func if type(function) is partial else function
    return type(inner) is FunctionType
