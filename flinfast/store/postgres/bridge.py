"""A thread with an asyncio loop of its own, where asyncpg lives.

Statements are asked for by handlers that give the server's loop back while they wait, but also
where nothing can wait (at start, in commands, in tests), so they must be able to simply block.
Both only need somebody else's loop to do the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from flinfast.errors import StoreError

T = TypeVar("T")
Result = Callable[[Any], None]  # is given what came out, or the exception
Wait = Callable[[Callable[[Result], None]], Any]

CLOSE_S = 10.0  # longest time to wait for connections to close


class Bridge:
    """Runs coroutines on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="flinfast-postgres", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def submit(self, work: Coroutine[Any, Any, Any], done: Result) -> None:
        """Run `work`; `done(result or exception)` is called on the bridge's thread."""

        async def run() -> None:
            result: Any
            try:
                result = await work
            except BaseException as error:  # noqa: BLE001 - it is handed to whoever asked
                result = error
            done(result)

        try:
            self._loop.call_soon_threadsafe(self._start, run())
        except RuntimeError:
            work.close()
            done(StoreError("the database is closed"))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self, last: Coroutine[Any, Any, Any]) -> None:
        """Run a last coroutine and end the thread, blocking for at most CLOSE_S."""
        with contextlib.suppress(Exception):
            block(lambda done: self.submit(asyncio.wait_for(last, CLOSE_S), done))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)


def block(start: Callable[[Result], None]) -> Any:
    """Wait for a result where nothing else can run meanwhile."""
    finished = threading.Event()
    results: list[Any] = []

    def done(result: Any) -> None:
        results.append(result)
        finished.set()

    start(done)
    finished.wait()
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]
