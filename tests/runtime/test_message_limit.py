"""`guard ws_rate_limit`: the bucket on a clock that tests move, and the guard's arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.runtime.message_limit import (
    ACCEPT,
    CLOSE,
    DROP,
    SECONDS_MAX,
    WARN,
    MessageLimit,
    check_limit,
)
from flinfast.runtime.rate_limit import CALLS_MAX
from tests.runtime.programs import client_of


def test_a_burst_may_be_as_large_as_the_limit() -> None:
    """Then a warning, then silence, then the end."""
    limit = MessageLimit(3, 1, 0)
    assert [limit.take(0) for _ in range(7)] == [ACCEPT] * 3 + [WARN, DROP, DROP, CLOSE]


def test_the_bucket_fills_evenly() -> None:
    """A third of the time is worth one message of three."""
    limit = MessageLimit(3, 0.9, 0)
    assert [limit.take(0) for _ in range(3)] == [ACCEPT] * 3
    assert limit.take(299) == WARN
    assert limit.wait_ms <= 2
    assert limit.take(301) == ACCEPT
    assert limit.take(301) == DROP


def test_who_calms_down_is_forgiven() -> None:
    """A full bucket forgets the drops; without it they add up."""
    limit = MessageLimit(2, 1, 0)
    for _ in range(5):
        start = limit._seen_ms + 1000
        assert [limit.take(start) for _ in range(4)] == [ACCEPT, ACCEPT, WARN, DROP]
    late = limit._seen_ms
    assert [limit.take(late + 500 * n) for n in range(1, 3)] == [ACCEPT, ACCEPT]
    assert limit.take(late + 1000) == CLOSE


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """Time that seems to pass backwards counts as none."""
    limit = MessageLimit(1, 1, 10_000)
    assert limit.take(10_000) == ACCEPT
    assert limit.take(5_000) == WARN
    assert limit.take(5_999) == CLOSE


@given(
    st.integers(1, 50),
    st.integers(1, 60),
    st.lists(st.integers(0, 3000), min_size=1, max_size=200),
)
def test_no_window_lets_more_than_two_limits_through(
    count: int, seconds: int, gaps: list[int]
) -> None:
    """In any window of the time: what was in the bucket and what came into it, no more."""
    limit = MessageLimit(count, seconds, 0)
    now, accepted = 0, []
    for gap in gaps:
        now += gap
        if limit.take(now) == ACCEPT:
            accepted.append(now)
    for start in accepted:
        assert sum(start <= at < start + seconds * 1000 for at in accepted) <= 2 * count


@pytest.mark.parametrize(
    ("count", "seconds", "is_valid"),
    [
        (1, 1, True),
        (CALLS_MAX, SECONDS_MAX, True),
        (1, 0.001, True),
        (0, 1, False),
        (CALLS_MAX + 1, 1, False),
        (1, 0, False),
        (1, SECONDS_MAX + 1, False),
        (1, -1, False),
        (1.5, 1, False),
        ("1", 1, False),
        (True, 1, False),
        (1, None, False),
        (1, float("nan"), False),
    ],
)
def test_arguments_are_checked(count: object, seconds: object, is_valid: bool) -> None:
    """At the ends of their ranges and beyond."""
    assert (check_limit(count, seconds) == "") is is_valid


def test_bad_arguments_deny(tmp_path: Path) -> None:
    """A guard that cannot be evaluated refuses the upgrade, as all of them do."""
    files = {"app/a.flin": "guard ws_rate_limit(0)\n\nroute GET { 1 }\n\nws { }"}
    with client_of(tmp_path, files) as client:
        assert client.get("/a").status == 403
