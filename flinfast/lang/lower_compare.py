"""Lowering of comparisons with a member of unknown kind: `key < tree.key`.

Reading the member and comparing are two calls into the runtime's C; `compare_once` is one. The
member is its right operand: `person.age >= 18` becomes `18 <= person.age`, which the runtime takes
for the same comparison, down to the words of its faults. That needs a left operand that is the
same before and after the member is read.
"""

from __future__ import annotations

import ast as py
from typing import Final

from flinfast.lang.lower_base import Lowering

_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_READ: Final = "$of."  # begins the names of functions that read a member


def with_member(
    self: Lowering, operator: str, left: py.expr, right: py.expr, *, is_fixed: bool
) -> py.expr | None:
    """`left operator right` by one call if one of them is just read from a map.

    Args:
        self: The file.
        operator: An order.
        left: The first operand, lowered.
        right: The second one.
        is_fixed: Whether the second one is the same before and after the first is read.

    Returns:
        None when neither is, or they begin on two lines: the fault has the line of the call.
    """
    owner = _read(self, right)
    if owner is not None:
        return _compared(self, operator, _name(right), left, owner)
    owner = _read(self, left) if is_fixed else None
    if owner is not None and not _sets(owner, right):
        return _compared(self, _TURNED[operator], _name(left), right, owner)
    return None


def _read(self: Lowering, value: py.expr) -> py.expr | None:
    """What a member is read of, if a value is that and nothing else."""
    if not isinstance(value, py.Call) or value.lineno != self.place["lineno"] or self.rows:
        return None
    name = _name(value)
    return value.args[0] if name and "." not in name else None


def _sets(value: py.expr, variable: py.expr) -> bool:
    """Whether evaluating a value is what gives a variable its own: `x.a.b > x.a` keeps `x.a`."""
    return isinstance(variable, py.Name) and any(
        isinstance(part, py.NamedExpr) and part.target.id == variable.id for part in py.walk(value)
    )


def _name(value: py.expr) -> str:
    """The member that a call reads, or ""."""
    if not isinstance(value, py.Call) or not isinstance(value.func, py.Name):
        return ""
    name = value.func.id
    return name[len(_READ) :] if name.startswith(_READ) else ""


def _compared(self: Lowering, operator: str, name: str, value: py.expr, owner: py.expr) -> py.expr:
    compare = self.bind(
        f"$by.{operator}{name}",
        lambda: self.call(
            self.op("compare_once"), self.op("member"), self.const(name), self.const(operator)
        ),
    )
    return self.call(compare, value, owner)
