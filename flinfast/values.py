"""FLIN values that Python has no type for; every layer may import this, it imports nothing of ours.

FLIN text, int, number, bool, none, list, map and bytes are str, int, float, bool, None, list, dict
and bytes. A duration is an int of milliseconds. This module adds the UTC instant and the sentinel
for "a handler that has no value".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import total_ordering
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE: Final = datetime(1970, 1, 1)  # for text: half the time of the aware one
TIME_MS_MAX: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last that datetime holds
TIME_MS_MIN: Final = -62_135_596_800_000  # 0001-01-01T00:00:00Z


class NoValue(Enum):
    """A handler whose last statement has no value (HTTP answers 204)."""

    NO_VALUE = 0


NO_VALUE: Final = NoValue.NO_VALUE


@total_ordering
class Time:
    """A UTC instant with millisecond resolution.

    Attributes:
        ms: Milliseconds since 1970-01-01T00:00:00Z, TIME_MS_MIN to TIME_MS_MAX.

    Raises:
        ValueError: `ms` is outside that range.
    """

    __slots__ = ("ms",)

    def __init__(self, ms: int) -> None:
        if not TIME_MS_MIN <= ms <= TIME_MS_MAX:
            raise ValueError(f"expected a time in the years 1 to 9999, got {ms} ms")
        self.ms = ms

    @classmethod
    def parse(cls, text: str) -> Time:
        """Read ISO 8601 text; without an offset it is UTC.

        Raises:
            ValueError: The text is not an ISO 8601 date or date-time.
        """
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return cls((moment - _EPOCH) // timedelta(milliseconds=1))

    def datetime(self) -> datetime:
        """The same instant as an aware `datetime` in UTC."""
        return _EPOCH + timedelta(milliseconds=self.ms)

    def isoformat(self) -> str:
        """ISO 8601 in UTC, with milliseconds only when they are not zero."""
        text = (_EPOCH_NAIVE + timedelta(0, 0, 0, self.ms)).isoformat(timespec="seconds")
        return f"{text}.{self.ms % 1000:03d}Z" if self.ms % 1000 else f"{text}Z"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.ms == other.ms

    def __lt__(self, other: Time) -> bool:
        if not isinstance(other, Time):
            return NotImplemented
        return self.ms < other.ms

    def __hash__(self) -> int:
        return hash((Time, self.ms))

    def __repr__(self) -> str:
        return f"Time({self.isoformat()})"

    __str__ = isoformat
