"""The operators that lowered FLIN code calls: `lang.abi.Operators`, put together.

Each operator is a plain function of `compare`, `arithmetic`, `access` or `encode`, so a compiled
file that binds `ops.add` to a local name calls it without any indirection. The most frequent ones
are C functions (`native.operators`), which decide what two operands of one plain type give and
leave the rest to those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flinfast.native import collection
from flinfast.native import operators as native
from flinfast.runtime import access, arithmetic, compare, encode
from flinfast.runtime.builtins import BoundBuiltins
from flinfast.runtime.builtins.value import to_int
from flinfast.runtime.registry import BOUND_PROPERTIES, FAMILY_BY_TYPE

Value = Any

native.complete(
    add=arithmetic.add,
    sub=arithmetic.sub,
    mul=arithmetic.mul,
    div=arithmetic.div,
    mod=arithmetic.mod,
    lt=compare.lt,
    le=compare.le,
    eq=compare.eq,
    truthy=compare.truthy,
    to_text=encode.to_text,
    to_int=to_int,
    index=access.index,
    set_index=access.set_index,
    iterate=access.iterate,
)


class OperatorSet:
    """Satisfies `lang.abi.Operators`; what reaches builtins differs from program to program.

    Args:
        builtins: The program's builtins, for `value.name(args)` where `name` is no method.
    """

    __slots__ = ("call_method", "member", "member_optional", "method")

    truthy = staticmethod(native.truthy)
    eq = staticmethod(native.eq)
    lt = staticmethod(native.lt)
    le = staticmethod(native.le)
    gt = staticmethod(native.gt)
    ge = staticmethod(native.ge)
    contains = staticmethod(compare.contains)
    add = staticmethod(native.add)
    sub = staticmethod(native.sub)
    mul = staticmethod(native.mul)
    div = staticmethod(native.div)
    mod = staticmethod(native.mod)
    pow = staticmethod(arithmetic.pow)
    neg = staticmethod(arithmetic.neg)
    concat = staticmethod(arithmetic.concat)
    to_int = staticmethod(native.to_int)
    to_text = staticmethod(native.to_text)
    is_type = staticmethod(access.is_type)
    set_member = staticmethod(access.set_member)
    member_once = staticmethod(native.member_once)
    member_twice = staticmethod(native.member_twice)
    change_once = staticmethod(native.change_once)
    compare_once = staticmethod(native.compare_once)
    index = staticmethod(native.index)
    index_twice = staticmethod(native.index_twice)
    set_index = staticmethod(native.set_index)
    add_to_entry = staticmethod(native.add_to_entry)
    holds = staticmethod(native.holds)
    holds_ints = staticmethod(native.holds_ints)
    has_fields = staticmethod(native.has_fields)
    field_columns = staticmethod(native.field_columns)
    slice = staticmethod(access.slice_)
    call = staticmethod(access.call)
    call_value = staticmethod(access.call_value)
    items = staticmethod(native.items)
    items_at = staticmethod(native.items_at)
    pairs = staticmethod(access.pairs)
    formula = collection.Formula
    iterate = staticmethod(native.iterate)
    iterate_pairs = staticmethod(access.iterate_pairs)
    range = staticmethod(access.range_)
    spread_list = staticmethod(access.spread_list)
    spread_map = staticmethod(access.spread_map)
    map_key = staticmethod(access.map_key)
    version_at = staticmethod(access.version_at)

    def __init__(self, builtins: Mapping[str, Callable[..., Value]]) -> None:
        member = access.make_member(_property_tables(builtins))

        def member_optional(value: Value, name: str) -> Value:
            """`value?.name`: none for none, else as `member`."""
            return None if value is None else member(value, name)

        self.member = member
        self.member_optional = member_optional
        self.call_method = access.make_call_method(builtins)
        self.method = access.make_method(self.call_method)


def _property_tables(
    builtins: Mapping[str, Callable[..., Value]],
) -> dict[type, dict[str, Callable[[Value], Value]]]:
    """The shared tables, with properties such as `2.hours.ago` bound to the program's clock."""
    tables: dict[type, dict[str, Callable[[Value], Value]]] = {}
    for kind, shared in access.PROPERTIES_BY_TYPE.items():
        names = BOUND_PROPERTIES.get(FAMILY_BY_TYPE.get(kind, ""), set())
        bound = {name: builtins.get(name) for name in names}
        found = {name: function for name, function in bound.items() if function is not None}
        tables[kind] = {**shared, **found} if found else shared
    return tables


OPERATORS: Final = OperatorSet(BoundBuiltins(None))  # without the builtins that need services
