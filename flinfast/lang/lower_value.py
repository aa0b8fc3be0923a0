"""What lowering knows of values and loops beside the Python that it writes for them."""

from __future__ import annotations

import ast as py
from collections.abc import Callable
from dataclasses import dataclass, field


class Choice(py.IfExp):
    """`likely if test else rare`, where the likely value is of an evident kind.

    An operation on it goes into both branches: Python does it on the likely value, and an operator
    of the runtime on the other.
    """

    kind = ""


class Tried(py.Name):
    """A name that got an item of a list, or none where there is no such item.

    Whoever does nothing but use it once, in the very next statement, may do so in the attempt.
    """

    attempt: py.Try

    def replaces(self, body: list[py.stmt], make: Callable[[py.expr], py.stmt]) -> bool:
        """Put what `make` makes of the item, and of none, into the attempt, if nothing follows."""
        if not body or body[-1] is not self.attempt:
            return False
        for branch in (self.attempt.body, self.attempt.handlers[0].body):
            (given,) = branch
            assert isinstance(given, py.Assign)
            branch[0] = make(given.value)
        return True


@dataclass(slots=True, eq=False)
class Loop:
    """A loop that is being lowered.

    Attributes:
        label: Its label.
        wants_value: Whether somebody looks at its value (`break value`).
        start: Where it starts in the source.
        result: Python name of its value, once there is one.
        flag: Python name that says which jump to it is under way in an inner loop, once there is
            one.
        crossed: Loops further out that a jump inside this one goes to.
    """

    label: str | None
    wants_value: bool
    start: int
    result: str = ""
    flag: str = ""
    crossed: list[Loop] = field(default_factory=list)
