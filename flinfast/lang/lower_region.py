"""Pieces of code that `Lowering` writes apart: with a position, or into a list of their own.

Classes, as `contextmanager` would take four times as long, and there are many.
"""

from __future__ import annotations

import ast as py
from typing import TYPE_CHECKING

from flinfast.lang.source import Span

if TYPE_CHECKING:
    from flinfast.lang.lower_base import Lowering, Read


def common(left: dict[Read, str], right: dict[Read, str]) -> dict[Read, str]:
    """What has been evaluated on both ways."""
    if left is right or not left:
        return left
    return {read: name for read, name in left.items() if right.get(read) == name}


def ends(body: list[py.stmt]) -> bool:
    """Whether what stands after some statements is not reached through them."""
    return bool(body) and isinstance(body[-1], py.Return | py.Break | py.Continue)


class Placed:
    """See `Lowering.at`."""

    __slots__ = ("_lowering", "_outer", "_span")

    def __init__(self, lowering: Lowering, span: Span) -> None:
        self._lowering = lowering
        self._span = span

    def __enter__(self) -> None:
        lowering = self._lowering
        self._outer, lowering.place = lowering.place, lowering.place_of(self._span)

    def __exit__(self, *_: object) -> None:
        self._lowering.place = self._outer


class Captured:
    """See `Lowering.captured`."""

    __slots__ = ("_lowering", "_outer", "_seen")

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering

    def __enter__(self) -> list[py.stmt]:
        body: list[py.stmt] = []
        lowering = self._lowering
        self._outer, lowering.body = lowering.body, body
        self._seen = lowering.seen
        lowering.seen = dict(self._seen)
        return body

    def __exit__(self, *_: object) -> None:
        lowering = self._lowering
        lowering.body = self._outer
        # What is written inside may be skipped: what it evaluates is not seen outside.
        inside, lowering.seen = lowering.seen, self._seen
        if self._seen:
            lowering.seen = common(self._seen, inside)
