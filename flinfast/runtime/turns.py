"""Long work in the loop, a little of it in each turn, so that connections are served meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from flinfast.errors import FlinError
from flinfast.runtime.services import Scheduler

TURN_S: Final = 0.005  # of one turn


def run_in_turns(
    steps: Iterator[None],
    scheduler: Scheduler,
    is_over: Callable[[], bool],
    done: Callable[[BaseException | None], None],
) -> None:
    """Run steps for TURN_S now, and the rest in later turns.

    Args:
        steps: The work; each step should be short.
        scheduler: The loop.
        is_over: Whether nobody wants it any more: then it stops, and `done` is not called.
        done: Told of the FlinError that ended it, or None.
    """
    if is_over():
        return
    until = time.monotonic() + TURN_S
    try:
        for _ in steps:
            if time.monotonic() > until:
                scheduler.call_soon(lambda: run_in_turns(steps, scheduler, is_over, done))
                return
    except FlinError as error:
        done(error)
    else:
        done(None)
