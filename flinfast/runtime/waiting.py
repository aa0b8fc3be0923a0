"""Handlers that wait: each runs in a greenlet that gives the loop back while it waits.

Only handlers that the compiler marked as waiting run here; all others are called directly. A wait
is a commit point: the handler's transaction is committed before the greenlet switches, and a new
one begins when it goes on. Greenlets are kept and used again.

Outside a greenlet (tests, a console, a handler the compiler did not mark) a wait simply blocks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

from flinfast.errors import RuntimeFault
from flinfast.runtime.error_page import standard_reply
from flinfast.runtime.fault import TimeLimitFault
from flinfast.runtime.response import Stop
from flinfast.runtime.services import Scheduler, Timer, Unwanted

T = TypeVar("T")

IDLE_MAX = 64  # greenlets kept for the next handler that may wait
WAITING_MAX = 4096  # handlers suspended at one time; each keeps some 10 KB of stack
BLOCKING_WAIT_S = 60.0  # longest wait outside a greenlet


class CommitPoint(Protocol):
    """A handler's transaction, as far as waiting concerns it."""

    def suspend(self) -> None:
        """Commit what the handler did so far; it is about to wait."""

    def resume(self) -> None:
        """Begin again; the handler goes on."""

    def pause(self) -> None:
        """Others run for a while; the transaction stays open."""

    def unpause(self) -> None:
        """The handler goes on."""


class TooManyWaiting(RuntimeFault):
    """WAITING_MAX handlers are suspended already."""

    status = 503

    def __init__(self) -> None:
        super().__init__("too many handlers are waiting", code="FL553")


class NobodyWaits(Stop):
    """The work was still in line when the client had left: the handler ends there."""

    def __init__(self) -> None:
        super().__init__(standard_reply(503))


class _Task:
    """One run of a handler that may wait."""

    __slots__ = (
        "cancel",
        "deadline_s",
        "is_waiting",
        "is_wanted",
        "job",
        "point",
        "result",
        "timer",
        "token",
        "worker",
    )

    def __init__(self, job: Callable[[], None]) -> None:
        self.job = job
        self.point: CommitPoint | None = None
        self.worker: _Worker | None = None
        self.cancel: Callable[[], None] | None = None  # drops the work it waits for, if queued
        self.timer: Timer | None = None
        self.token: object | None = None
        self.is_waiting = False
        self.is_wanted: Callable[[], bool] | None = None
        self.result: Any = None
        self.deadline_s = 0.0


class _Worker(greenlet):  # type: ignore[misc]
    """A greenlet that runs one task after the other.

    Attributes:
        task: Set before the switch. Neither an argument of run() nor a variable of it: those live
            as long as the greenlet, and with them all that the last request held.
    """

    def __init__(self, pool: WaitingPool) -> None:
        super().__init__()
        self.pool = pool
        self.task: _Task | None = None

    def run(self) -> None:
        while self.task is not None:
            try:
                self.task.job()
            except GreenletExit:
                return
            finally:
                self.task = None
            self.parent.switch()


class WaitingPool:
    """Runs handlers that may wait, and is what their builtins wait with.

    Args:
        scheduler: The loop.
        timeout_s: How long one handler may take, its waits included; then the wait raises
            TimeLimitFault.
        monotonic: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        timeout_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scheduler = scheduler
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._idle: list[_Worker] = []
        self._waiting: set[_Task] = set()

    @property
    def waiting_count(self) -> int:
        """Handlers suspended now."""
        return len(self._waiting)

    def run(self, job: Callable[[], None], is_wanted: Callable[[], bool] | None = None) -> bool:
        """Run `job` in a greenlet until it ends or waits for the first time.

        Args:
            job: Must not raise.
            is_wanted: Whether anybody waits for it; asked on any thread.

        Returns:
            True when it has ended; False when it waits, and ends in a later turn of the loop.

        Raises:
            TooManyWaiting: The job was not started.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise TooManyWaiting
        task = _Task(job)
        task.is_wanted = is_wanted
        worker = self._idle.pop() if self._idle else _Worker(self)
        task.worker, worker.task = worker, task
        task.deadline_s = self._monotonic() + self._timeout_s
        self._switch(worker, task)
        return not task.is_waiting

    def use(self, point: CommitPoint | None) -> CommitPoint | None:
        """Say what to commit when the running handler waits; returns what was set before."""
        task = self._task()
        if task is None:
            return None
        before, task.point = task.point, point
        return before

    def close(self) -> None:
        """End every suspended handler; nothing of what it did since its last wait stays."""
        for task in list(self._waiting):
            self._settle(task)
            if task.worker is not None:
                task.worker.parent = getcurrent()
                task.worker.throw(GreenletExit)
        self._idle.clear()

    # --- Waiter ----------------------------------------

    def wait(self, work: Callable[[], T]) -> T:
        """Run `work` on a pool thread; returns its result or raises its exception."""
        return self._elsewhere(work, self._scheduler.run_waiting)

    def compute(self, work: Callable[[], T]) -> T:
        """wait() for work that keeps a core busy, such as hashing a password.

        Raises:
            NobodyWaits: It waited in line until nobody wanted it any more.
        """
        task = self._task()
        run = partial(self._scheduler.run_computing, is_wanted=task.is_wanted if task else None)
        try:
            return self._elsewhere(work, run)
        except Unwanted:
            raise NobodyWaits from None

    def sleep(self, seconds: float) -> None:
        """Suspend for that long."""
        if self._task() is None:
            time.sleep(min(seconds, BLOCKING_WAIT_S))
            return

        def start(done: Callable[[BaseException | None], None]) -> None:
            self._scheduler.call_later(seconds, lambda: done(None))

        self.wait_callback(start)

    def go_on(self) -> None:
        """The running handler closes its connection itself: it goes on, whoever is gone."""
        task = self._task()
        if task is not None:
            task.is_wanted = None

    def wait_callback(self, start: Callable[[Callable[[T | BaseException], None]], None]) -> T:
        """Call `start(done)` and sleep until `done(result or exception)` is called in the loop.

        Raises:
            TimeLimitFault: The handler's time is over; a later `done` has no effect.
        """
        task = self._task()
        if task is None:
            return _wait_blocking(start)
        rest_s = task.deadline_s - self._monotonic()
        if rest_s <= 0:
            raise TimeLimitFault(self._timeout_s)
        point = task.point
        if point is not None:
            point.suspend()
        try:
            result = self._suspend(task, start, rest_s)
        finally:
            if point is not None:
                point.resume()
        if isinstance(result, BaseException):
            raise result
        return result  # type: ignore[no-any-return]

    def wait_inside(self, start: Callable[[Callable[[Any], None]], None]) -> Any:
        """Wait within the handler's transaction, for a statement of it.

        Args:
            start: Given `done`, which may be called from any thread.

        Raises:
            TimeLimitFault: The handler's time is over; a later `done` has no effect.
        """
        task = self._task()
        if task is None:
            return _wait_blocking(start)
        rest_s = task.deadline_s - self._monotonic()
        if rest_s <= 0:
            raise TimeLimitFault(self._timeout_s)
        from_thread = self._scheduler.call_from_thread

        def begin(done: Callable[[Any], None]) -> None:
            start(lambda result: from_thread(lambda: done(result)))

        point = task.point
        if point is not None:
            point.pause()
        try:
            result = self._suspend(task, begin, rest_s)
        finally:
            if point is not None:
                point.unpause()
        if isinstance(result, BaseException):
            raise result
        return result

    def back_off(self, seconds: float) -> None:
        """Let others finish before a run is repeated; nothing of it is open."""
        if self._task() is not None:
            self.use(None)
            self.sleep(seconds)

    # --- private ----------------------------------------

    def _task(self) -> _Task | None:
        worker = getcurrent()
        return worker.task if isinstance(worker, _Worker) and worker.pool is self else None

    def _elsewhere(self, work: Callable[[], T], run: Callable[..., Callable[[], None]]) -> T:
        """Wait for what `run(work, done)` does on another thread."""
        task = self._task()
        if task is None:
            return work()

        def start(done: Callable[[T | BaseException], None]) -> None:
            task.cancel = run(work, done)

        return self.wait_callback(start)

    def _suspend(self, task: _Task, start: Callable[..., None], rest_s: float) -> Any:
        token = task.token = object()
        is_starting = True

        def done(result: Any) -> None:
            if task.token is not token:
                return
            self._settle(task)
            task.result = result
            if not is_starting and task.worker is not None:
                self._switch(task.worker, task)

        start(done)
        is_starting = False
        if task.token is token:
            task.timer = self._scheduler.call_later(
                rest_s, lambda: done(TimeLimitFault(self._timeout_s))
            )
            task.is_waiting = True
            self._waiting.add(task)
            assert task.worker is not None
            task.worker.parent.switch()
        result, task.result = task.result, None
        return result

    def _settle(self, task: _Task) -> None:
        task.token = None
        task.is_waiting = False
        self._waiting.discard(task)
        cancel, task.cancel = task.cancel, None
        if cancel is not None:
            cancel()
        if task.timer is not None:
            task.timer.cancel()
            task.timer = None

    def _switch(self, worker: _Worker, task: _Task) -> None:
        """Let a worker go on until it waits or its task has ended."""
        worker.parent = getcurrent()
        worker.switch()
        if not task.is_waiting and not worker.dead and len(self._idle) < IDLE_MAX:
            self._idle.append(worker)


def _wait_blocking(start: Callable[[Callable[[T | BaseException], None]], None]) -> T:
    """wait_callback() for callers that no loop waits behind."""
    finished = threading.Event()
    results: list[T | BaseException] = []

    def done(result: T | BaseException) -> None:
        results.append(result)
        finished.set()

    start(done)
    if not finished.wait(BLOCKING_WAIT_S):
        raise TimeLimitFault(BLOCKING_WAIT_S)
    result = results[0]
    if isinstance(result, BaseException):
        raise result
    return result
