"""Function values that builtins call back: how many arguments they are given.

FLIN follows JavaScript: `list.map(x => ...)` and `list.map((x, i) => ...)` both work. A parameter
with a default of its own keeps it (`fn price(x, rate = 2)`); one without asks for what there is,
though FLIN could do without: missing arguments are none. What a function can take is looked at
once, before the first call, so a mismatch is a fault of the call that passed the function and
never a Python error inside it.
"""

from __future__ import annotations

from functools import partial
from types import FunctionType
from typing import Final

from flinfast.errors import RuntimeFault
from flinfast.native import dispatch
from flinfast.runtime.kinds import argument_fault, is_function
from flinfast.runtime.registry import CO_VARARGS, Function, Value

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


def is_plain(function: Function) -> bool:
    """Whether calls with as many arguments as argument_count() says need no protection."""
    inner = function.func if type(function) is partial else function
    return type(inner) is FunctionType or dispatch.is_function(inner)
