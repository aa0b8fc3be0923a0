"""What kind of FLIN value a Python object is, and the faults that name kinds.

Lowered code hands around plain Python objects (`flinfast/values.py`); this module is the one place
that knows which Python type is which FLIN kind. Objects of other layers (records, queries, the
session) are recognised by what they can do: `flin_get`, `to_map`, `rows`.
"""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import Any, Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.upload import UploadedFile
from flinfast.values import NoValue, Time

Value = Any  # a FLIN value

LIST_ITEMS_MAX: Final = 10_000_000  # items a range or a computed list may hold: 80 MB of pointers
TEXT_SIZE_MAX: Final = 64 << 20  # code points a computed text may hold
INT_BITS_MAX: Final = 14_000  # 4215 decimal digits; Python prints at most 4300
INT_MAX: Final = 1 << INT_BITS_MAX  # exclusive bound of a computed int, either sign

KIND_BY_TYPE: Final[dict[type, str]] = {
    str: "text",
    int: "int",
    float: "number",
    bool: "bool",
    NoneType: "none",
    NoValue: "none",
    list: "list",
    range: "range",
    dict: "map",
    Time: "time",
    bytes: "bytes",
    FunctionType: "function",
    BuiltinFunctionType: "function",
    MethodType: "function",
    partial: "function",
}


def kind_of(value: Value) -> str:
    """Name of the FLIN type of `value`; an entity's name for a record."""
    kind = KIND_BY_TYPE.get(type(value))
    return kind if kind is not None else _kind_of_object(value)


def _kind_of_object(value: Value) -> str:
    if isinstance(value, UploadedFile):
        return "file"
    kind = getattr(value, "flin_kind", None)
    if type(kind) is str:
        return kind
    entity = getattr(value, "entity", None)
    if type(entity) is str and hasattr(value, "to_map"):
        return entity
    if is_rows(value):
        return "query"
    if isinstance(value, dict):
        return "map"
    if hasattr(value, "flin_get"):
        return "object"
    return "function" if callable(value) else "object"


def is_rows(value: Value) -> bool:
    """Whether `value` stands for rows: a query, or an entity by its name, which means all of it."""
    return hasattr(value, "rows") or hasattr(value, "prepare")


def is_function(value: Value) -> bool:
    """Whether FLIN code can call `value`."""
    return kind_of(value) == "function"


def argument_fault(function: str, position: int, expected: str, value: Value) -> RuntimeFault:
    """Fault FL504 for an argument of the wrong kind; `position` is 1-based."""
    return RuntimeFault(
        f"`{function}` argument {position}: expected {expected}, got {kind_of(value)}",
        code="FL504",
    )


def range_fault(function: str, position: int, expected: str, shown: object) -> RuntimeFault:
    """Fault FL504 for an argument of the right kind whose value cannot be used."""
    return RuntimeFault(
        f"`{function}` argument {position}: expected {expected}, got {shown}", code="FL504"
    )


def none_fault(action: str) -> RuntimeFault:
    """Fault FL502: something was asked of none; `action` such as "read `.name`"."""
    return RuntimeFault(
        f"cannot {action} of none",
        code="FL502",
        hint="test for none first, or use `?.`",
    )


def depth_fault() -> RuntimeFault:
    """Fault FL508 for lists and maps that contain themselves or nest too deeply."""
    return RuntimeFault("value is nested too deeply or contains itself", code="FL508")


def size_fault(what: str, limit: str) -> RuntimeFault:
    """Fault FL508 for a result beyond a limit, such as ("a list", "100 items")."""
    return RuntimeFault(f"result is too large: {what} has at most {limit}", code="FL508")


def as_items(value: Value) -> list[Value] | None:
    """Items of a list, range or query as a list (the list itself, not a copy), else None.

    Raises:
        RuntimeFault: FL508 for a range of more than LIST_ITEMS_MAX items.
    """
    if type(value) is list:
        return value
    if type(value) is range:
        if not _range_fits(value):
            raise size_fault("a list", f"{LIST_ITEMS_MAX} items")
        return list(value)
    if type(value) in KIND_BY_TYPE:
        return None
    if not is_rows(value):
        return None
    query = value.flin_get("all") if hasattr(value, "prepare") else value
    return list(query.rows())


def as_map(value: Value) -> dict[str, Value] | None:
    """A map, or the visible fields of a record or map-like object, else None."""
    if isinstance(value, dict):
        return value
    if type(value) in KIND_BY_TYPE:
        return None
    to_map = getattr(value, "to_map", None)
    return to_map() if to_map is not None else None


def as_int(value: Value) -> int | None:
    """An int, or a number without a fraction as int, else None."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    return None


def _range_fits(value: range) -> bool:
    try:
        return len(value) <= LIST_ITEMS_MAX
    except OverflowError:  # more than sys.maxsize items
        return False
