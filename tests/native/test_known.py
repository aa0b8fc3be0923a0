"""Requests known byte by byte: what a run leads to, and what a run may not keep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from flinfast.native.hub import Answers, Hub, Known

RAW = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Context:
    """What the handler sees."""

    def __init__(self) -> None:
        self.is_unseen = True
        self.opened_response: object = None
        self.opened_session: object = None


class Way:
    """A handler and the contexts that were made for it."""

    def __init__(self, handler: Callable[[Context], object]) -> None:
        self.handler = handler
        self.contexts: list[int] = []

    def make_context(self) -> Context:
        self.contexts.append(len(self.contexts))
        return Context()


class Program:
    """Has an epoch."""

    epoch = 1000


class Protocol:
    """Records what it is asked."""

    deadline = 0.0

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.told: list[int] = []
        self.asked: list[tuple[Any, ...]] = []

    def known_answered(self, known: Known, context: Any, size: int, started: float) -> None:
        self.told.append(size)

    def answer_known(self, known: Known, run: Any, body: bytes | None, started: float) -> None:
        assert self.hub.in_handler == (body is None)
        if body is None:
            self.hub.rollback()
        self.asked.append((run[1], run[2], body))


class Parts:
    """A known request and everything around it."""

    def __init__(self, handler: Callable[[Context], object], *, is_told: bool = False) -> None:
        self.seconds: list[int] = []
        self.hub = Hub(lambda value: repr(value).encode())
        self.answers = Answers(self.start, unchanged_max=1000, is_told=is_told)
        self.program = Program()
        self.way = Way(handler)
        self.protocol = Protocol(self.hub)
        self.known = Known(
            self.answers,
            self.hub,
            self.program,
            RAW,
            self.way,
            kinds=frozenset({dict, str, int}),
            encode=lambda value: repr(value).encode(),
        )

    def start(self, second: int) -> bytes:
        self.seconds.append(second)
        return b"Length: "

    def answer(self) -> bytes | None:
        return self.known.answer(self.protocol)


def touch(context: Context) -> int:
    """As the context does when a part of it is looked at."""
    context.is_unseen = False
    return 1


def opens(name: str) -> Callable[[Context], int]:
    """A handler that opens its response or session."""

    def handler(context: Context) -> int:
        context.is_unseen = False
        setattr(context, name, object())
        return 1

    return handler


def text_of(size: int, _: Context) -> str:
    """A handler that gives text."""
    return "x" * size


def fails(error: BaseException) -> Callable[[Context], int]:
    """A handler that raises."""

    def handler(context: Context) -> int:
        raise error

    return handler


def test_plain_value_is_the_body_of_an_answer() -> None:
    """With its length; counted; the start is asked for once per second."""
    parts = Parts(lambda _: {"a": 1})
    for _ in range(5):
        assert parts.answer() == b"Length: 8\r\n\r\n{'a': 1}"
    assert parts.answers.count == 5
    assert len(parts.seconds) == len(set(parts.seconds)) <= 2
    assert not parts.protocol.asked
    assert not parts.hub.in_handler


def test_context_is_used_again_only_when_nobody_saw_or_kept_it() -> None:
    """Otherwise each run has its own."""
    kept: list[Context] = []

    def keep(context: Context) -> int:
        kept.append(context)
        return 1

    for handler, count in ((lambda _: 1, 1), (touch, 4), (keep, 4)):
        parts = Parts(handler)
        for _ in range(4):
            assert parts.answer() == b"Length: 1\r\n\r\n1"
        assert len(parts.way.contexts) == count
    assert len({id(context) for context in kept}) == 4


def test_context_of_a_failed_run_is_not_used_again() -> None:
    """Its traceback has it."""
    parts = Parts(fails(ValueError("x")))
    for _ in range(3):
        assert parts.answer() == b""
    assert len(parts.way.contexts) == 3


@pytest.mark.parametrize("name", ["opened_response", "opened_session"])
def test_opened_response_or_session_is_the_protocols(name: str) -> None:
    """The value says not everything then."""
    parts = Parts(opens(name))
    assert parts.answer() == b""
    assert parts.protocol.asked == [(1, None, None)]
    assert parts.answers.count == 0


@pytest.mark.parametrize("value", [None, b"bytes", [1], object(), True])
def test_value_of_another_kind_is_the_protocols(value: object) -> None:
    """With the log still open (the protocol checks that)."""
    parts = Parts(lambda _: value)
    assert parts.answer() == b""
    assert parts.protocol.asked == [(value, None, None)]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), MemoryError()])
def test_what_a_handler_raises_is_the_protocols(error: BaseException) -> None:
    """Whatever it is."""
    parts = Parts(fails(error))
    assert parts.answer() == b""
    assert parts.protocol.asked == [(None, error, None)]


def test_value_that_cannot_be_encoded_is_the_protocols() -> None:
    """As an error."""
    parts = Parts(lambda _: {"a": Unprintable()})
    assert parts.answer() == b""
    ((value, error, body),) = parts.protocol.asked
    assert value is None
    assert isinstance(error, ZeroDivisionError)
    assert body is None


class Unprintable:
    """Has no text."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


def test_longest_body_that_leaves_as_it_is() -> None:
    """One byte more is the protocol's, with the log closed."""
    for size, is_asked in ((999, False), (1000, False), (1001, True)):
        parts = Parts(partial(text_of, size - 2))
        answer = parts.answer()
        assert (answer == b"") == is_asked
        assert [len(body) for _, _, body in parts.protocol.asked] == [size] * is_asked


def test_nothing_is_answered_when_it_may_not_be() -> None:
    """Another program, a server that drains, a handler that runs."""
    parts = Parts(lambda _: 1)
    parts.answers.is_open = False
    assert parts.answer() is None
    parts.answers.is_open = True
    parts.hub.begin()
    assert parts.answer() is None
    parts.hub.rollback()
    assert parts.answer()
    was_current = parts.known.is_current
    parts.program.epoch = 1001
    assert parts.answer() is None
    assert (was_current, parts.known.is_current) == (True, False)
    assert len(parts.way.contexts) == 1


def test_handler_that_ends_the_log_itself_is_the_protocols() -> None:
    """It is told so as an error."""

    def handler(_: Context) -> int:
        parts.hub.rollback()
        return 1

    parts = Parts(handler)
    with pytest.raises(AssertionError):
        parts.answer()
    assert parts.answers.count == 0


def test_protocol_is_told_of_each_answer_when_it_wants_that() -> None:
    """And otherwise of none that was quick."""
    for is_told in (True, False):
        parts = Parts(lambda _: 1, is_told=is_told)
        parts.answer()
        assert parts.protocol.told == [1] * is_told


def test_empty_request_cannot_be_known() -> None:
    """It would be found everywhere."""
    parts = Parts(lambda _: 1)
    with pytest.raises(ValueError, match="expected the bytes"):
        Known(
            parts.answers,
            parts.hub,
            parts.program,
            b"",
            parts.way,
            kinds=frozenset(),
            encode=bytes,
        )
