"""Members, indexes, slices, loops and calls (FLIN reference 3.5, 5.2 and 5.4).

Property-style methods (`text.len`) and methods (`list.map(f)`) come from the tables of
`runtime.registry`; which object may have which member is the object's own matter (`flin_get`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, NoneType
from typing import Any, Final

from flinfast.errors import RuntimeFault
from flinfast.native import collection, dispatch
from flinfast.native.operators import common_class, items
from flinfast.runtime.encode import to_text
from flinfast.runtime.kinds import (
    KIND_BY_TYPE,
    LIST_ITEMS_MAX,
    Value,
    as_int,
    as_items,
    as_map,
    is_function,
    is_rows,
    kind_of,
    none_fault,
    size_fault,
)
from flinfast.runtime.registry import (
    FAMILY_BY_TYPE,
    METHODS,
    PROPERTIES,
    REGISTRY,
    call_checked,
    family_of,
    limit_fault,
)
from flinfast.values import NoValue, Time

PROPERTIES_BY_TYPE: Final[dict[type, dict[str, Callable[[Value], Value]]]] = {
    str: PROPERTIES["text"],
    int: PROPERTIES["number"],
    float: PROPERTIES["number"],
    bool: PROPERTIES["bool"],
    Time: PROPERTIES["time"],
    bytes: PROPERTIES["bytes"],
    list: PROPERTIES["list"],
}
_METHODS_BY_TYPE: Final = {kind: METHODS[family] for kind, family in FAMILY_BY_TYPE.items()}
_KEY_SCALARS: Final = frozenset({int, float, bool, NoneType, Time})
NAME_SHOWN_MAX: Final = 60  # characters of a name repeated in a message


# --- members ----------------------------------------


def make_member(
    tables: dict[type, dict[str, Callable[[Value], Value]]],
) -> Callable[[Value, str], Value]:
    """`Operators.member` over these tables of property-style methods.

    `value.name` is a key of a map, a member of an object or a property-style method. A map's
    missing key, and a name that a text, number, bool, list, time or bytes lacks, is none.
    RuntimeFault FL502 for none, FL501 for a function, and what the object itself raises.
    """
    return dispatch.member(tables, _member_other)  # not copies: builtins are still to come


def set_member(target: Value, name: str, value: Value) -> None:
    """`target.name = value`.

    Raises:
        RuntimeFault: FL502 for none, FL501 for what has no members to set, FL507 when read-only.
    """
    if type(target) is dict:
        target[name] = value
        return
    if target is None:
        raise none_fault(f"set `.{_shown(name)}`")
    write = getattr(target, "flin_set", None)
    if write is not None:
        write(name, value)
    elif isinstance(target, dict):
        target[name] = value
    else:
        raise RuntimeFault(f"cannot set `.{_shown(name)}` of {kind_of(target)}", code="FL501")


def _member_other(value: Value, name: str) -> Value:
    if value is None or type(value) is NoValue:
        raise none_fault(f"read `.{_shown(name)}`")
    if is_rows(value) and name in PROPERTIES["list"] and name not in _QUERY_MEMBERS:
        return PROPERTIES["list"][name](as_items(value))
    read = getattr(value, "flin_get", None)
    if read is not None:
        return read(name)
    if isinstance(value, dict):
        return value.get(name)
    items = as_items(value)
    if items is not None:
        return member(items, name)
    raise RuntimeFault(f"cannot read `.{_shown(name)}` of {kind_of(value)}", code="FL501")


member: Final = make_member(PROPERTIES_BY_TYPE)

# What a query answers itself, without fetching all rows (FLIN reference 6.1).
_QUERY_MEMBERS: Final = frozenset(
    {
        *("all", "find", "where", "order", "limit", "offset", "skip", "first", "last", "count"),
        *("exists", "sum", "avg", "min", "max", "group_by", "distinct", "with_deleted", "history"),
    }
)


# --- indexes and slices ----------------------------------------


def index(value: Value, key: Value) -> Value:
    """`value[key]`: none when there is no such item or key; negative counts from the end.

    Raises:
        RuntimeFault: FL502 for none, FL506 for a key of the wrong kind, FL501 for what has no
            items.
    """
    kind = type(value)
    if kind is dict:
        return value.get(key) if type(key) is str else value.get(map_key(key))
    if kind is list or kind is str or kind is bytes or kind is range:
        place = key if type(key) is int else as_int(key)
        if place is None:
            raise _index_fault(value, key)
        try:
            return value[place]
        except (IndexError, OverflowError):
            return None
    return _index_other(value, key)


def set_index(target: Value, key: Value, value: Value) -> None:
    """`target[key] = value`: an existing item of a list, any key of a map.

    Raises:
        RuntimeFault: FL502 for none, FL506 for an item that does not exist or a key of the wrong
            kind, FL501 for a target of the wrong kind, FL507 when the target is read-only.
    """
    if type(target) is dict:
        target[map_key(key)] = value
    elif type(target) is list:
        place = as_int(key)
        if place is None:
            raise _index_fault(target, key)
        if not -len(target) <= place < len(target):
            raise RuntimeFault(
                f"cannot set item {place} of a list of {len(target)}",
                code="FL506",
                hint="add items with `push`",
            )
        target[place] = value
    elif target is None:
        raise none_fault("set an item")
    else:
        set_member(target, map_key(key), value)


slice_: Final = collection.cut  # `value[start:stop:step]`; none stands for a missing bound


def _slice_other(value: Value, start: Value, stop: Value, step: Value) -> Value:
    """What `slice_` does with other values and bounds.

    Raises:
        RuntimeFault: FL502 for none, FL501 for another kind, FL506 for a bound that is not an int
            or step 0.
    """
    bounds = slice(_bound(start), _bound(stop), _bound(step))
    if bounds.step == 0:
        raise RuntimeFault("cannot slice with step 0", code="FL506")
    if type(value) is str or type(value) is list or type(value) is bytes:
        return value[bounds]
    if value is None:
        raise none_fault("take a slice")
    items = as_items(value)
    if items is None:
        raise RuntimeFault(f"cannot take a slice of {kind_of(value)}", code="FL501")
    return items[bounds]


collection.RULES.slice_other = _slice_other


def map_key(key: Value) -> str:
    """A computed key of a map: text, or the text of another scalar.

    Raises:
        RuntimeFault: FL501 for a list, map, function or object.
    """
    if type(key) is str:
        return key
    if type(key) in _KEY_SCALARS:
        return to_text(key)
    raise RuntimeFault(
        f"expected text as a key, got {kind_of(key)}", code="FL501", hint="convert it with to_text"
    )


def _index_other(value: Value, key: Value) -> Value:
    if value is None:
        raise none_fault("read an item")
    if type(key) is str and type(value) in _KEY_SCALARS:
        return None  # as `.name` of a scalar
    read = getattr(value, "flin_get", None)
    if read is not None and type(key) is str:
        return read(key)
    items = as_items(value)
    if items is not None:
        return index(items, key)
    if isinstance(value, dict):
        return value.get(map_key(key))
    raise RuntimeFault(f"cannot read an item of {kind_of(value)}", code="FL501")


def _index_fault(value: Value, key: Value) -> RuntimeFault:
    return RuntimeFault(
        f"expected an int to index {kind_of(value)}, got {kind_of(key)}", code="FL506"
    )


def _bound(value: Value) -> int | None:
    if value is None:
        return None
    bound = as_int(value)
    if bound is None:
        raise RuntimeFault(f"expected an int as slice bound, got {kind_of(value)}", code="FL506")
    return bound


def _shown(name: str) -> str:
    return name if len(name) <= NAME_SHOWN_MAX else f"{name[:NAME_SHOWN_MAX]}..."


# --- loops ----------------------------------------


def iterate(value: Value) -> Iterator[Value]:
    """Items for one loop variable, a snapshot: list, query, text, range, bytes; keys of a map.

    Raises:
        RuntimeFault: FL502 for none, FL501 for what cannot be looped over.
    """
    kind = type(value)
    if kind is list:
        return iter(value[:])
    if kind is dict:
        return iter(list(value))
    if kind is str or kind is range or kind is bytes:
        return iter(value)
    return _iterate_other(value)


def pairs(
    value: Value, key_first: bool
) -> tuple[Iterable[tuple[Value, Value]], type | None, type | None]:
    """What `iterate_pairs` gives, and the classes of all first and of all second parts, if one.

    Raises:
        RuntimeFault: As `iterate_pairs`.
    """
    fields = as_map(value)
    if fields is None and not key_first:
        found, kind = items(value)
        return zip(found, itertools.count(), strict=False), kind, int
    if fields is None:
        return iterate_pairs(value, key_first), None, None
    keys, values = list(fields), list(fields.values())
    return zip(keys, values, strict=True), common_class(keys), common_class(values)


def iterate_pairs(value: Value, key_first: bool) -> Iterator[tuple[Value, Value]]:
    """Pairs for two loop variables.

    Args:
        value: A map gives (key, value); anything else that `iterate` takes gives (item, index).
        key_first: Written `[a, b]`: the items of a list are pairs themselves, such as entries(m).

    Raises:
        RuntimeFault: FL502 for none, FL501 for what cannot be looped over, or an item that is not
            a pair.
    """
    fields = as_map(value)
    if fields is not None:
        return iter(list(fields.items()))
    if key_first:
        return map(_pair, iterate(value))
    return zip(iterate(value), itertools.count(), strict=False)


def range_(start: Value, stop: Value, inclusive: bool) -> range:
    """`start..stop`, or `start..=stop`.

    Raises:
        RuntimeFault: FL501 when a bound is not an int.
    """
    first, last = as_int(start), as_int(stop)
    if first is None or last is None:
        wrong = start if first is None else stop
        raise RuntimeFault(f"expected ints around `..`, got {kind_of(wrong)}", code="FL501")
    return range(first, last + 1 if inclusive else last)


def spread_list(target: list[Value], value: Value) -> None:
    """`[...value]`: append the items of a list, query, range or text.

    Raises:
        RuntimeFault: FL502 for none, FL501 for another kind, FL508 beyond LIST_ITEMS_MAX.
    """
    if type(value) is list:
        target += value
        return
    items = list(value) if type(value) is str else as_items(value)
    if items is None:
        if value is None:
            raise none_fault("spread items")
        raise RuntimeFault(f"cannot spread {kind_of(value)} into a list", code="FL501")
    target += items
    if len(target) > LIST_ITEMS_MAX:
        raise size_fault("a list", f"{LIST_ITEMS_MAX} items")


def spread_map(target: dict[str, Value], value: Value) -> None:
    """`{ ...value }`: copy the entries of a map or record; none has none.

    Raises:
        RuntimeFault: FL501 for another kind.
    """
    if value is None:
        return
    fields = as_map(value)
    if fields is None:
        raise RuntimeFault(f"cannot spread {kind_of(value)} into a map", code="FL501")
    target.update(fields)


def _iterate_other(value: Value) -> Iterator[Value]:
    if value is None:
        raise none_fault("loop over the items")
    items = as_items(value)
    if items is not None:
        return iter(items)
    fields = as_map(value)
    if fields is not None:
        return iter(list(fields))
    raise RuntimeFault(f"cannot loop over {kind_of(value)}", code="FL501")


def _pair(item: Value) -> tuple[Value, Value]:
    if type(item) is list and len(item) == 2:
        return item[0], item[1]
    raise RuntimeFault(
        f"expected a list of two items in the loop, got {kind_of(item)}", code="FL501"
    )


# --- calls ----------------------------------------


def call(function: Value, args: tuple[Value, ...], named: Mapping[str, Value]) -> Value:
    """Call a function value.

    Raises:
        RuntimeFault: FL502 for none, FL509 for what is not a function or takes other arguments.
    """
    if type(function) is FunctionType or is_function(function):
        return call_checked(_function_name(function), function, args, named)
    if function is None:
        raise RuntimeFault("cannot call none", code="FL502")
    raise RuntimeFault(f"cannot call {kind_of(function)}", code="FL509")


call_value: Final = dispatch.caller(call)


def make_call_method(
    builtins: Mapping[str, Callable[..., Value]],
) -> Callable[[Any, Value, str, tuple[Value, ...], Mapping[str, Value]], Value]:
    """`Operators.call_method` of a program with these builtins."""

    def call_method(
        context: Any, value: Value, name: str, args: tuple[Value, ...], named: Mapping[str, Value]
    ) -> Value:
        """Call `value.name(args)`.

        Raises:
            RuntimeFault: FL502 for none, FL505 when there is no such method, FL509 when it takes
                other arguments.
        """
        table = _METHODS_BY_TYPE.get(type(value))
        if table is None:
            return call_object(context, value, name, args, named)
        if type(value) is dict:
            own = value.get(name)
            if own is not None and is_function(own):
                return call(own, args, named)
        method = table.get(name)
        if method is not None:
            function = method.checked or method.bind(None)
            return call_checked(name, function, (value, *args), named)
        return call_builtin(context, value, name, args, named)

    def call_object(
        context: Any, value: Value, name: str, args: tuple[Value, ...], named: Mapping[str, Value]
    ) -> Value:
        if value is None or type(value) is NoValue:
            raise none_fault(f"call `.{_shown(name)}()`")
        own = getattr(value, "flin_call", None)
        family = family_of(value)
        if own is not None:
            try:
                return own(name, args, named)
            except RuntimeFault as fault:
                if fault.code != "FL505" or not (family or name in REGISTRY):
                    raise
        elif isinstance(value, dict):
            stored = value.get(name)
            if stored is not None and is_function(stored):
                return call(stored, args, named)
        method = METHODS[family].get(name) if family else None
        if method is not None:
            return call_checked(name, method.bind(None), (value, *args), named)
        return call_builtin(context, value, name, args, named)

    def call_builtin(
        context: Any, value: Value, name: str, args: tuple[Value, ...], named: Mapping[str, Value]
    ) -> Value:
        function = None if name.startswith("_") else builtins.get(name)
        entry = REGISTRY.get(name)
        if function is None or entry is None or not entry.spec.parameters:
            raise RuntimeFault(f"{kind_of(value)} has no method `{_shown(name)}`", code="FL505")
        if entry.spec.context:
            return call_checked(name, function, (context, value, *args), named)
        return call_checked(name, function, (value, *args), named)

    return call_method


def make_method(
    call_method: Callable[[Any, Value, str, tuple[Value, ...], Mapping[str, Value]], Value],
) -> Callable[[str, int], Callable[..., Value]]:
    """`Operators.method` of a program with this `call_method`."""

    def method(name: str, count: int) -> Callable[..., Value]:
        """`value.name(...)` with `count` plain arguments as a function of context, value and those.

        Which function a kind has is looked up once; what no kind has is left to `call_method`.
        """
        known: dict[type, Callable[..., Value]] = {}

        def other(context: Any, value: Value, *args: Value) -> Value:
            kind = type(value)
            family = FAMILY_BY_TYPE.get(kind, "")
            variant = METHODS[family].get(name) if family else None
            if variant is None or not variant.takes(count + 1):
                return call_method(context, value, name, args, {})
            if kind is dict and is_function(value.get(name)):  # a function of its own
                return call_method(context, value, name, args, {})
            known[kind] = variant.bind_to(kind)
            return variant.bind(None)(value, *args)

        return dispatch.method(name, count, known, other, limit_fault)

    return method


def version_at(value: Value, reference: Value) -> Value:
    """`entity @ reference`: an earlier version of a record, or none.

    Raises:
        RuntimeFault: FL502 for none, FL501 for what has no versions.
    """
    if value is None:
        raise none_fault("read a version")
    if type(value) in KIND_BY_TYPE or not hasattr(value, "flin_call"):
        raise RuntimeFault(f"{kind_of(value)} has no versions", code="FL501")
    return value.flin_call("version_at", (reference,), {})


def is_type(value: Value, type_name: str) -> bool:
    """`value is type_name`: the name of a kind, an alias of one, or an entity."""
    if type_name == "any":
        return True
    wanted = _TYPE_ALIASES.get(type_name, type_name)
    kind = kind_of(value)
    if wanted == "number":
        return kind == "number" or kind == "int"
    return kind == wanted or (wanted == "list" and kind in ("query", "range"))


_TYPE_ALIASES: Final = {
    "string": "text",
    "integer": "int",
    "float": "number",
    "decimal": "number",
    "boolean": "bool",
    "datetime": "time",
    "array": "list",
    "duration": "int",
    "null": "none",
}


def _function_name(function: Value) -> str:
    return str(getattr(function, "__name__", "function"))


__all__ = [
    "PROPERTIES_BY_TYPE",
    "call",
    "call_value",
    "index",
    "is_type",
    "iterate",
    "iterate_pairs",
    "make_call_method",
    "make_member",
    "make_method",
    "map_key",
    "member",
    "pairs",
    "range_",
    "set_index",
    "set_member",
    "slice_",
    "spread_list",
    "spread_map",
    "version_at",
]
