"""What generated code needs besides the `Abi`: a few functions, and Python's own types by name.

Reached as `$support` by the factories that `lower` writes. Nothing here knows FLIN trees.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final

from flinfast.errors import RuntimeFault
from flinfast.lang.abi import Operators, Value
from flinfast.late_pattern import late_pattern
from flinfast.values import NO_VALUE

py_str: Final = str
py_int: Final = int
py_float: Final = float
py_bool: Final = bool
py_list: Final = list
py_dict: Final = dict
py_len: Final = len
py_iter: Final = iter
py_any: Final = any
py_all: Final = all
py_next: Final = next
py_enumerate: Final = enumerate
py_range: Final = range
py_index_error: Final = IndexError
py_type_error: Final = TypeError
py_key_error: Final = KeyError
py_exception: Final = Exception
py_no_item: Final = (LookupError, TypeError, AttributeError)  # of a map, headers, or any value
py_refused: Final = (IndexError, TypeError)
bound: Final = partial  # a FLIN function as a value: its context is the first argument
no_value: Final = NO_VALUE


class Missing:
    """Stands for an argument that was not given, where none may be given."""


missing: Final = Missing()
_SHOWN_MAX: Final = 200  # characters of a value in the message of a failed expectation

_EXACT: Final[dict[str, type]] = {
    "text": str,
    "int": int,
    "duration": int,
    "number": float,
    "bool": bool,
    "list": list,
    "map": dict,
}


def list_items(ops: Operators) -> Callable[[Value], list[Value]]:
    """`[...value]` as a function that gives the items to add."""
    spread_list = ops.spread_list

    def items(value: Value) -> list[Value]:
        found: list[Value] = []
        spread_list(found, value)
        return found

    return items


def map_entries(ops: Operators) -> Callable[[Value], dict[str, Value]]:
    """`{ ...value }` as a function that gives the entries to add."""
    spread_map = ops.spread_map

    def entries(value: Value) -> dict[str, Value]:
        found: dict[str, Value] = {}
        spread_map(found, value)
        return found

    return entries


def map_rest(ops: Operators) -> Callable[[Value, tuple[str, ...]], dict[str, Value]]:
    """`{ a, b, ...rest } = value`: all entries but the named ones."""
    spread_map = ops.spread_map

    def rest(value: Value, names: tuple[str, ...]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        spread_map(found, value)
        for name in names:
            found.pop(name, None)
        return found

    return rest


def map_fields(ops: Operators) -> Callable[[Value, tuple[str, ...]], bool]:
    """Whether a map pattern with these keys can match: a map that has them, or a record."""
    is_type = ops.is_type

    def fields(value: Value, names: tuple[str, ...]) -> bool:
        if type(value) is dict:
            return all(name in value for name in names)
        if value is None or not hasattr(value, "flin_get") or is_type(value, "list"):
            return False
        try:
            for name in names:
                value.flin_get(name)
        except RuntimeFault:
            return False
        return True

    return fields


def type_check(ops: Operators) -> Callable[[Value, str, bool, str], Value]:
    """Check of a value against a declared type."""
    is_type = ops.is_type

    def check(value: Value, expected: str, optional: bool, what: str) -> Value:
        """The value, an int widened to number; `what` such as "argument `n` of `f`".

        Raises:
            RuntimeFault: FL513 when it is of another type.
        """
        if value is None and optional:
            return value
        if type(value) is _EXACT.get(expected):
            return value
        if expected == "number" and type(value) is int:
            try:
                return float(value)
            except OverflowError:
                raise RuntimeFault(f"{what}: int is too large for number", code="FL513") from None
        if expected == "int" and type(value) is float and value.is_integer():
            return int(value)
        if expected not in _EXACT and is_type(value, expected):
            return value
        or_none = " or none" if optional else ""
        raise RuntimeFault(
            f"{what}: expected {expected}{or_none}, got {_kind(is_type, value)}", code="FL513"
        )

    return check


def union_check(
    ops: Operators,
) -> Callable[[Value, tuple[str, ...], tuple[str, ...], bool, str], Value]:
    """Check of a value against a declared union."""
    is_type = ops.is_type

    def check(
        value: Value, names: tuple[str, ...], variants: tuple[str, ...], optional: bool, what: str
    ) -> Value:
        """The value, when it is of one of the types or a variant of one of the enums.

        Raises:
            RuntimeFault: FL513 when it is neither.
        """
        if (value is None and optional) or (type(value) is str and value in variants):
            return value
        if any(is_type(value, name) for name in names):
            return value
        wanted = " or ".join([*names, "none"] if optional else names)
        raise RuntimeFault(f"{what}: expected {wanted}, got {_kind(is_type, value)}", code="FL513")

    return check


def parts_check(
    ops: Operators,
) -> Callable[[Value, tuple[Value, ...], str], Value]:
    """Check of the items of a list, or of keys and values of a map, against their declared type."""
    is_type = ops.is_type

    def wrong(value: Value, kind: tuple[Value, ...] | None) -> str:
        """What is wrong with a value, or "". Nothing is converted: nobody relies on the parts.

        Args:
            value: Any value. Of a query nothing is looked at, as that would fetch its rows.
            kind: Name, as written, variants of an enum, whether none is allowed, and the kinds of
                the parts or members; None where every value will do.
        """
        if kind is None:
            return ""
        name, shown, variants, optional, inner = kind
        if value is None:
            return "" if optional else f"expected {shown}, got none"
        if name == "union":
            fits = any(not wrong(value, member) for member in inner)
        elif variants:
            fits = type(value) is str and value in variants
        elif name in ("int", "duration") and type(value) is float:
            fits = value.is_integer()
        else:
            fits = is_type(value, name)
        if not fits:
            return f"expected {shown}, got {_kind(is_type, value)}"
        if name == "union":
            return ""
        if inner and type(value) is list:
            return among(value, enumerate(value, 1), inner[-1], "item {}")
        if inner and isinstance(value, dict):
            if len(inner) == 2 and inner[0] is not None and inner[0][0] != "text":
                for key in value:
                    if not _is_key_of(key, inner[0]):
                        return f"key `{key:.40}`: expected {inner[0][1]}"
            return among(value.values(), value.items(), inner[-1], "entry `{:.40}`")
        return ""

    def among(
        parts: Collection[Value],
        named: Iterable[tuple[Value, Value]],
        kind: tuple[Value, ...] | None,
        place: str,
    ) -> str:
        """The first thing wrong with the parts of one value, and the place of that part."""
        if kind is None:
            return ""
        exact = None if kind[-1] else _EXACT.get(kind[0])
        if exact is not None and all(type(part) is exact for part in parts):
            return ""
        for name, part in named:
            fault = wrong(part, kind)
            if fault:
                return f"{place.format(name)}: {fault}"
        return ""

    def check(value: Value, kind: tuple[Value, ...], what: str) -> Value:
        """The value, if its parts are of the declared types.

        Raises:
            RuntimeFault: FL513 at the first one that is not.
        """
        fault = wrong(value, kind)
        if fault:
            raise RuntimeFault(f"{what}: {fault}", code="FL513")
        return value

    return check


_KEYS: Final = {
    "int": late_pattern(r"-?(0|[1-9][0-9]*)"),
    "number": late_pattern(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-]?[0-9]+)?|NaN|-?Infinity"),
    "bool": late_pattern("true|false"),
    "time": late_pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?Z"),
    "none": late_pattern("none"),
}


def _is_key_of(key: Value, kind: tuple[Value, ...]) -> bool:
    """Whether a key, which is text, is the text of a value of the kind: `{ "7": x }` is [int: X].

    Args:
        key: A key of a map.
        kind: As of parts_check.
    """
    name, _, variants, optional, inner = kind
    if optional and key == "none":
        return True
    if name == "union":
        return any(member is None or _is_key_of(key, member) for member in inner)
    if variants:
        return key in variants
    pattern = _KEYS.get("int" if name == "duration" else name)
    return name == "text" or (pattern is not None and pattern.fullmatch(key) is not None)


def expectation(
    ops: Operators,
) -> Callable[[str, Value, tuple[str, ...], tuple[Value, ...]], None]:
    """What a test does when something it expects is not so."""
    to_text = ops.to_text

    def fail(text: str, message: Value, names: tuple[str, ...], values: tuple[Value, ...]) -> None:
        """End the test.

        Args:
            text: What was expected, as written.
            message: What the author says about it, or none.
            names: Operands whose values are worth showing, as written.
            values: Their values.

        Raises:
            RuntimeFault: FL570, always.
        """
        shown = [f"`{n}` is {_shown(to_text, v)}" for n, v in zip(names, values, strict=True)]
        found = f", but {' and '.join(shown)}" if shown else ""
        said = "" if message is None else f"{to_text(message)}: "
        raise RuntimeFault(f"{said}expected `{text}`{found}", code="FL570")

    return fail


def _shown(to_text: Callable[[Value], str], value: Value) -> str:
    text = f'"{value}"' if type(value) is str else to_text(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def check_variant(value: Value, variants: tuple[str, ...], optional: bool, what: str) -> Value:
    """The value, if it is a variant of an enum.

    Raises:
        RuntimeFault: FL513 when it is not.
    """
    if (value is None and optional) or (type(value) is str and value in variants):
        return value
    raise RuntimeFault(f"{what}: expected one of {', '.join(variants)}", code="FL513")


def _kind(is_type: Callable[[Value, str], bool], value: Value) -> str:
    if value is None:
        return "none"
    names = ("text", "bool", "int", "number", "list", "map", "time", "bytes", "function")
    return next((name for name in names if is_type(value, name)), "another type")
