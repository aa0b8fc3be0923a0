"""The event loop: uvloop where it exists, and what `runtime` sees of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from flinfast.runtime.services import Unwanted
from flinfast.server.threads import ThreadPool

T = TypeVar("T")

# Threads are started on demand. Each kind is apart: a sync must find one free even while every
# other thread waits for a slow server, and a login while all of those do.
STORE_THREADS_MAX = 4  # one sync and one checkpoint at a time, and the database closing
WAIT_THREADS_MAX = 32
# Hashing a password takes 64 MiB and four cores (its lanes) for its time, so few are hashed at one
# time, on threads that let the loop's go first: a flood of logins must not starve everybody else.
COMPUTE_THREADS_MAX = 8
CORES_PER_COMPUTATION = 4
COMPUTE_NICENESS = 2


def new_loop() -> asyncio.AbstractEventLoop:
    """A fresh uvloop loop, asyncio's own where uvloop does not exist (Windows)."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class LoopScheduler:
    """`runtime.services.Scheduler` over a loop and three small pools of threads.

    Args:
        loop: The loop; every method except what runs in threads is called from its thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._store_pool = ThreadPoolExecutor(STORE_THREADS_MAX, "flinfast-store")
        self._wait_pool = ThreadPool("flinfast-wait", WAIT_THREADS_MAX)
        count = max(1, min(_core_count() // CORES_PER_COMPUTATION, COMPUTE_THREADS_MAX))
        self._compute_pool = ThreadPool("flinfast-compute", count, niceness=COMPUTE_NICENESS)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` after the current loop callback."""
        self._loop.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Run `callback` after `delay_s` seconds."""
        return self._loop.call_later(delay_s, callback)

    def run_in_thread(
        self, work: Callable[[], T], done: Callable[[T | BaseException], None]
    ) -> None:
        """Run `work` on a thread of the database, then `done(result or exception)` in the loop."""
        self._store_pool.submit(self._work, work, done)

    def run_waiting(
        self, work: Callable[[], T], done: Callable[[T | BaseException], None]
    ) -> Callable[[], None]:
        """run_in_thread() for what handlers wait for; returns what drops it from the queue."""
        return self._wait_pool.submit(partial(self._work, work, done)).cancel

    def run_computing(
        self,
        work: Callable[[], T],
        done: Callable[[T | BaseException], None],
        is_wanted: Callable[[], bool] | None = None,
    ) -> Callable[[], None]:
        """run_waiting() for what keeps a core busy: few at a time, at a lower priority.

        Work that had to wait is not begun when `is_wanted` says no: `done` gets Unwanted. It is
        asked by the thread that comes to it.
        """
        late = None if is_wanted is None else partial(self._work_if, is_wanted, work, done)
        return self._compute_pool.submit(partial(self._work, work, done), if_late=late).cancel

    def _work_if(
        self,
        is_wanted: Callable[[], bool],
        work: Callable[[], T],
        done: Callable[[T | BaseException], None],
    ) -> None:
        def checked() -> T:
            if not is_wanted():
                raise Unwanted
            return work()

        self._work(checked, done)

    def _work(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        result: T | BaseException
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is handed to whoever asked for the work
            result = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(done, result)

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the loop; may be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback)

    def close(self) -> None:
        """Start no more work; what runs is not waited for."""
        self._store_pool.shutdown(wait=False, cancel_futures=True)
        self._wait_pool.close()
        self._compute_pool.close()


def _core_count() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
