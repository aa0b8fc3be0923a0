"""Users whose rights changed: their open connections were let in with the old ones.

Guards read the user's record once, before the upgrade. When its `role` changes later, or it is
deleted, connections of sessions with this user close, and who opens one again meets the guards
again. A change counts when it is committed, and a role that came and went counts as two: who was
let in between has it.

Changes are numbered. A connection has the number of the last one that was there before its guards
began: it is closed, or not even opened, because of later ones alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flinfast.store.entity import Entity

ROLE: Final = "role"  # the field that `guard role` reads
CHANGED_MAX: Final = 10_000  # users whose last change is remembered, the others as one: 2 MB


class RightsWatch:
    """Collects changes of users.

    Attributes:
        entities: Names of entities that sessions have users of; others are not looked at.
        count: Changes so far: the number of the last one.
    """

    def __init__(self) -> None:
        self.entities: set[str] = set()
        self.count = 0
        self._last: dict[tuple[str, int], int] = {}  # number of a user's last change, oldest first
        self._forgotten: dict[str, int] = {}  # by entity, the last one that is not in it any more

    def note(
        self, entity: Entity, old: Sequence[Any], new: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        """A record is written: `old` and `new` are its rows, `new` is None when it is deleted.

        Returns:
            What to call when that is committed, None if it is no change of rights.
        """
        if entity.name not in self.entities:
            return None
        column = entity.columns.get(ROLE)
        if new is not None and (column is None or old[column.index] == new[column.index]):
            return None
        return partial(self._change, (entity.name, old[0]))

    def _change(self, key: tuple[str, int]) -> None:
        self.count += 1
        self._last.pop(key, None)
        self._last[key] = self.count
        if len(self._last) > CHANGED_MAX:
            oldest = next(iter(self._last))
            self._forgotten[oldest[0]] = self._last.pop(oldest)

    def last(self, entity: str, id: int) -> int:
        """Number of a user's last change; it may be that of another one, long ago."""
        return self._last.get((entity, id)) or self._forgotten.get(entity, 0)
