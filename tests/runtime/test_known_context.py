"""The context of a known request makes its parts when they are looked at, and says so."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
from msgspec.structs import replace

from flinfast.runtime.known_context import KnownContext
from flinfast.runtime.request import Request

TEMPLATE = Request("GET", "/a/7?x=1", "/a/7", "x=1", peer="127.0.0.1", id="first")


class Ids:
    """Makes requests, each with the next id."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def make_request(self) -> Request:
        return replace(TEMPLATE, id=f"id-{next(self._numbers)}")


def context_of(ids: Ids) -> KnownContext:
    return KnownContext(cast(Any, None), ids.make_request, ("id",), ("7",))


def test_nothing_is_made_before_it_is_looked_at() -> None:
    """What the hub asks makes nothing."""
    ids = Ids()
    context = context_of(ids)
    assert context.opened_response is None
    assert context.opened_session is None
    assert not context.is_upgrade
    assert context.is_unseen
    assert context_of(ids).raw.id == "id-1"


@pytest.mark.parametrize("name", ["raw", "params", "query", "headers", "request", "_user"])
def test_context_that_was_looked_at_says_so(name: str) -> None:
    """Whatever part it was; a second look finds the same."""
    context = context_of(Ids())
    part = getattr(context, name)
    assert not context.is_unseen
    assert getattr(context, name) is part


def test_kept_request_keeps_its_id() -> None:
    """The next one is another request with another id."""
    ids = Ids()
    kept = context_of(ids).raw
    others = [context_of(ids).raw for _ in range(3)]
    assert kept.id == "id-1"
    assert [other.id for other in others] == ["id-2", "id-3", "id-4"]
    assert TEMPLATE.id == "first"
    assert kept.path == others[0].path == "/a/7"


def test_parameters_are_a_map_of_this_run() -> None:
    """What one handler does to them no other sees."""
    ids = Ids()
    first, second = context_of(ids), context_of(ids)
    first.params["id"] = "changed"
    assert second.params == {"id": "7"}


def test_unknown_part_is_an_attribute_error() -> None:
    """As of any object."""
    with pytest.raises(AttributeError):
        _ = cast(Any, context_of(Ids())).nothing
