"""Users whose rights changed: their open connections were let in with the old ones.

Guards read the user's record once, before the upgrade. When its `role` changes later, or it is
deleted, connections of sessions with this user close, and who opens one again meets the guards
again. A change is noted when it is written, and counts once the record is found to be different:
a handler that fails has changed nothing, and one that waits for its commit has not changed it yet.
A role that came and went between two looks counts as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from flinfast.store.entity import Entity

ROLE = "role"  # the field that `guard role` reads
LOOKS = 30  # sweeps, a second apart, in which a noted change may be committed: as long as a handler
NOTED_MAX = 10_000  # records noted between two sweeps; beyond it all users of an entity count


class ChangedUsers(Struct, frozen=True):
    """Whose rights changed.

    Attributes:
        records: Entity and id of each.
        entities: Names of entities of which all count.
    """

    records: frozenset[tuple[str, int]]
    entities: frozenset[str]

    def has(self, entity: str, id: int) -> bool:
        """Whether a user is one of them."""
        return (entity, id) in self.records or entity in self.entities


class RightsWatch:
    """Collects changes of users until the next sweep.

    Attributes:
        entities: Names of entities that sessions have users of; others are not looked at.
    """

    def __init__(self) -> None:
        self.entities: set[str] = set()
        # The role as it was, and how often the record is still looked at.
        self._before: dict[tuple[str, int], tuple[Any, int]] = {}
        self._all_of: set[str] = set()
        # Had two old roles since the last sweep: one may have come in between with the second.
        self._between: set[tuple[str, int]] = set()

    @property
    def has_noted(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._before or self._all_of)

    def note(self, entity: Entity, old: Sequence[Any], new: Sequence[Any] | None) -> None:
        """A record is written: `old` and `new` are its rows, `new` is None when it is deleted."""
        if entity.name not in self.entities:
            return
        column = entity.columns.get(ROLE)
        if new is not None and (column is None or old[column.index] == new[column.index]):
            return
        key = (entity.name, old[0])
        if key not in self._before and len(self._before) >= NOTED_MAX:
            self._all_of.add(entity.name)
            return
        cell = None if column is None else old[column.index]
        role = None if cell is None or column is None else entity.stored(column, cell)
        first, _ = self._before.get(key, (role, 0))
        if first != role:
            self._between.add(key)
        self._before[key] = (first, LOOKS)

    def take(self, find: Callable[[str, int], Any]) -> ChangedUsers:
        """Whose rights are not what they were.

        Args:
            find: A live record by entity and id, or None. When it raises, nothing is forgotten.
        """
        noted = dict(self._before)
        between, self._between = self._between, set()
        try:
            differs = {key for key, (role, _) in noted.items() if _differs(find(*key), role)}
        except BaseException:
            self._between |= between
            raise
        for key, (role, looks) in noted.items():
            if self._before.get(key) is not noted[key]:  # noted again while `find` waited
                continue
            if key in differs or looks <= 1:
                del self._before[key]
            else:
                self._before[key] = (role, looks - 1)
        everyone, self._all_of = self._all_of, set()
        return ChangedUsers(frozenset(differs | between), frozenset(everyone))


def _differs(record: Any, role: Any) -> bool:
    if record is None:
        return True
    has_role = ROLE in record._entity.columns
    return bool((record.flin_get(ROLE) if has_role else None) != role)
