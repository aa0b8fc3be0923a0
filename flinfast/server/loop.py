"""The event loop: uvloop where it exists, and what `runtime` sees of it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Threads for syncing the database, hashing passwords and calling other servers. They are started
# on demand; a sync must find one free even while many handlers wait for slow servers.
THREADS_MAX = 32


def new_loop() -> asyncio.AbstractEventLoop:
    """A fresh uvloop loop, asyncio's own where uvloop does not exist (Windows)."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class LoopScheduler:
    """`runtime.services.Scheduler` over a loop and a small pool of threads.

    Args:
        loop: The loop; every method except what runs in threads is called from its thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="flinfast")

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` after the current loop callback."""
        self._loop.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Run `callback` after `delay_s` seconds."""
        return self._loop.call_later(delay_s, callback)

    def run_in_thread(
        self, work: Callable[[], T], done: Callable[[T | BaseException], None]
    ) -> None:
        """Run `work` on a pool thread, then `done(result or exception)` in the loop."""
        self._pool.submit(self._work, work, done)

    def _work(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        result: T | BaseException
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is handed to whoever asked for the work
            result = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(done, result)

    def close(self) -> None:
        """Start no more work; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
