"""Parameters of builtins: which annotation accepts which kinds of FLIN values.

Only what the declaration of one parameter says; functions and tables are in `runtime.registry`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from flinfast.runtime.kinds import Value, as_int, as_items, as_map, is_function
from flinfast.values import Time

CO_VARARGS: Final = 4  # `inspect` has it too, and takes 15 ms to import

# Annotations of builtins. `Items` and `Map` also accept what can be read as one (a query, a range,
# a record); `ListRef` and `MapRef` only the real thing, because the builtin changes it in place.
Number = int | float
Items = list[Any]
ListRef = list[Any]
Map = dict[str, Any]
MapRef = dict[str, Any]
Function = Callable[..., Any]


class Kind(Struct, frozen=True):
    """What an annotation means.

    Attributes:
        title: As messages and docs show it.
        types: Python types accepted as they are.
        convert: Makes something else acceptable, or returns None.
        family: Which method table it belongs to, or "".
        expected: How a fault names it; `title` when "".
    """

    title: str
    types: tuple[type, ...] = ()
    convert: Callable[[Value], Value] | None = None
    family: str = ""
    expected: str = ""


def _as_function(value: Value) -> Value:
    return value if is_function(value) else None


KINDS: Final[dict[str, Kind]] = {
    "Value": Kind("any"),
    "str": Kind("text", (str,), family="text"),
    "int": Kind("int", (int,), as_int, family="number"),
    "Number": Kind("number", (int, float), family="number"),
    "bool": Kind("bool", (bool,)),
    "Time": Kind("time", (Time,), family="time"),
    "bytes": Kind("bytes", (bytes,), family="bytes"),
    "Items": Kind("list", (list,), as_items, family="list"),
    "ListRef": Kind("list", (list,), family="list", expected="a list of its own"),
    "Map": Kind("map", (dict,), as_map, family="map"),
    "MapRef": Kind("map", (dict,), family="map", expected="a map of its own"),
    "Function": Kind("function", (), _as_function),
}


class Parameter(Struct, frozen=True):
    """One parameter of a builtin as FLIN sees it."""

    name: str
    kind: Kind
    optional: bool = False
    rest: bool = False
    default: Value = None

    @property
    def spelling(self) -> str:
        """`name`, `name?` or `...name`, the form of `Builtin.parameters`."""
        return f"...{self.name}" if self.rest else f"{self.name}?" if self.optional else self.name


__all__ = [
    "CO_VARARGS",
    "KINDS",
    "Function",
    "Items",
    "Kind",
    "ListRef",
    "Map",
    "MapRef",
    "Number",
    "Parameter",
    "Value",
]
