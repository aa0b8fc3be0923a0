"""Sessions by the thousand: their connections, their ends, and what is remembered of cookies."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.runtime.context import WsContext
from flinfast.runtime.secret import Secrets
from flinfast.runtime.session import CHECKS_MAX, PASS_SWEEPS, VERIFIED_MAX, SessionManager
from flinfast.runtime.session_value import NOTHING, SessionState, new_id
from flinfast.settings import SessionSettings

IDLE_S = 100.0


class Talker:
    """A connection, as far as its session is concerned."""

    def __init__(self) -> None:
        self.session_index = -1
        self.silent_ms = -1


class Crowd:
    """A manager with a clock, and the connections it has dropped."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.dropped: list[Any] = []
        self.manager = SessionManager(
            table=cast("Any", None),
            settings=SessionSettings(idle_s=IDLE_S),
            keys=Secrets(b"k" * 32),
            clock_ms=lambda: self.now_ms,
            find_record=lambda entity, id: None,
            drop=lambda connection, code, reason: self.dropped.append(connection),
        )

    def open(self) -> Talker:
        """A connection of a new session."""
        state = SessionState(new_id(), NOTHING, self.now_ms, self.now_ms)
        talker = Talker()
        self.manager.attach(state, cast("WsContext", talker))
        return talker


@given(st.lists(st.integers(0, 11), max_size=60))
def test_a_session_knows_its_connections(steps: list[int]) -> None:
    """Attached and detached in any order, like a set; who is not attached is not detached."""
    state = SessionState("id", NOTHING, 0, 0)
    talkers = [cast("WsContext", Talker()) for _ in range(6)]
    attached: set[WsContext] = set()
    for step in steps:
        talker = talkers[step % 6]
        if step < 6 and talker not in attached:
            state.attach(talker)
            attached.add(talker)
        elif step >= 6:
            assert state.detach(talker) == (talker in attached)
            attached.discard(talker)
        assert state.connection_count == len(state.connections) == len(attached)
        assert set(state.connections) == attached
        assert all((one.session_index >= 0) == (one in attached) for one in talkers)


def test_a_connection_of_another_session_is_not_detached() -> None:
    """Its place alone says nothing."""
    one, other = SessionState("1", NOTHING, 0, 0), SessionState("2", NOTHING, 0, 0)
    first, second = cast("WsContext", Talker()), cast("WsContext", Talker())
    one.attach(first)
    other.attach(second)
    assert not one.detach(second)
    assert one.connections == [first]
    assert other.connections == [second]


@pytest.mark.parametrize("count", [CHECKS_MAX, CHECKS_MAX + 1, CHECKS_MAX * PASS_SWEEPS + 16])
def test_every_session_of_a_crowd_ends_in_time(count: int) -> None:
    """A thousand in the next sweep, any number within PASS_SWEEPS and one; none before its time."""
    crowd = Crowd()
    early = [crowd.open() for _ in range(count - 1)]
    crowd.now_ms += 50_000
    late = crowd.open()
    crowd.now_ms += 49_999
    crowd.manager.sweep()
    assert crowd.dropped == []
    crowd.now_ms += 1
    sweeps = 0
    while len(crowd.dropped) < len(early):
        crowd.manager.sweep()
        sweeps += 1
        assert len(crowd.dropped) <= sweeps * max(CHECKS_MAX, count // PASS_SWEEPS + 1)
        assert sweeps <= PASS_SWEEPS + 1
    assert sweeps == 1 or count > CHECKS_MAX
    assert set(crowd.dropped) == set(early)
    crowd.now_ms += 49_999
    for _ in range(PASS_SWEEPS + 1):
        crowd.manager.sweep()
    assert late not in crowd.dropped
    crowd.now_ms += 1
    crowd.manager.sweep()
    assert crowd.dropped[-1] is late


def test_cookies_are_verified_beyond_what_is_remembered() -> None:
    """At the limit, one below and one above: always right, and again after it was forgotten."""
    manager = Crowd().manager
    cookies = {}
    for _ in range(VERIFIED_MAX + 1):
        id = new_id()
        cookies[manager.cookie_of(id, is_secure=False).partition("=")[2].partition(";")[0]] = id
    for _ in range(2):
        for cookie, id in cookies.items():
            assert manager.verify(cookie) == id
            assert manager.verify(f"{cookie}x") == ""
