"""The pool behind waiting handlers: bounded, in line, and never in the way of the end."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable

import pytest

from flinfast.server.loop import COMPUTE_THREADS_MAX, WAIT_THREADS_MAX, LoopScheduler, new_loop
from flinfast.server.threads import ThreadPool
from tests.e2e.conftest import wait_until
from tests.server.running import TIMEOUT_S

COUNT = 3


class Gate:
    """Work that begins, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended = threading.Semaphore(0)
        self._started = threading.Semaphore(0)
        self._open = threading.Event()

    def work(self, number: int) -> Callable[[], None]:
        def run() -> None:
            self.begun.append(number)
            self._started.release()
            assert self._open.wait(TIMEOUT_S)
            self.ended.release()

        return run

    def wait_begun(self, count: int) -> None:
        for _ in range(count):
            assert self._started.acquire(timeout=TIMEOUT_S)

    def open(self) -> None:
        self._open.set()

    def wait_ended(self, count: int) -> None:
        for _ in range(count):
            assert self.ended.acquire(timeout=TIMEOUT_S)


def test_work_waits_in_line_for_a_thread() -> None:
    """At most so many run at a time; the rest follows in order."""
    pool, gate = ThreadPool("test", COUNT), Gate()
    for number in range(10):
        pool.submit(gate.work(number))
    gate.wait_begun(COUNT)
    assert sorted(gate.begun) == [0, 1, 2]
    gate.open()
    gate.wait_ended(10)
    assert sorted(gate.begun) == list(range(10))
    pool.close()


def test_threads_are_used_again() -> None:
    """One after the other needs one thread."""
    pool, seen = ThreadPool("test", COUNT), []
    for _ in range(20):
        done = threading.Event()
        pool.submit(lambda done=done: (seen.append(threading.get_ident()), done.set()))  # type: ignore[misc]
        assert done.wait(TIMEOUT_S)
    assert len(set(seen)) <= COUNT
    pool.close()


def test_an_idle_thread_holds_nothing_of_its_last_work() -> None:
    """Neither what it did nor what it would have done later: both know a whole request."""

    class Held:
        """What a request is made of."""

    pool, done, held = ThreadPool("test", 1), threading.Event(), Held()
    gone = weakref.ref(held)
    pool.submit(lambda _=held: done.set(), if_late=lambda _=held: done.set())  # type: ignore[misc]
    del held
    assert done.wait(TIMEOUT_S)
    wait_until(lambda: gone() is None)
    pool.close()


def test_cancelled_work_is_not_begun() -> None:
    """It was in line; what runs already goes on."""
    pool, gate = ThreadPool("test", 1), Gate()
    running = pool.submit(gate.work(0))
    gate.wait_begun(1)
    queued = pool.submit(gate.work(1))
    pool.submit(gate.work(2))
    queued.cancel()
    running.cancel()
    gate.open()
    gate.wait_ended(2)
    assert gate.begun == [0, 2]
    pool.close()


def test_a_closed_pool_begins_nothing() -> None:
    """Neither what is in line nor what comes later; its threads end."""
    pool, gate = ThreadPool("test-closed", 1), Gate()
    pool.submit(gate.work(0))
    gate.wait_begun(1)
    pool.submit(gate.work(1))
    pool.close()
    pool.submit(gate.work(2))
    gate.open()
    gate.wait_ended(1)
    for thread in threading.enumerate():
        if thread.name.startswith("test-closed"):
            assert thread.daemon  # the end of the process does not wait for it
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()
    assert gate.begun == [0]


@pytest.mark.skipif(sys.platform != "linux", reason="niceness by thread is Linux's")
def test_computing_steps_back_behind_the_loop() -> None:
    """Its threads are nicer than the one that asked."""
    pool, seen = ThreadPool("test", 1, niceness=5), []
    done = threading.Event()

    def work() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        done.set()

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    pool.submit(work)
    assert done.wait(TIMEOUT_S)
    assert seen == [min(before + 5, 19)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    pool.close()


def test_a_login_finds_a_thread_while_every_other_waits_for_a_server() -> None:
    """Computing has threads of its own, a few."""
    loop = new_loop()
    scheduler = LoopScheduler(loop)
    gate, hashes = Gate(), Gate()
    for number in range(WAIT_THREADS_MAX + 8):
        scheduler.run_waiting(gate.work(number), lambda _: None)
    gate.wait_begun(WAIT_THREADS_MAX)
    for number in range(100):
        scheduler.run_computing(hashes.work(number), lambda _: None)
    hashes.wait_begun(1)
    hashes.open()
    gate.open()
    hashes.wait_ended(100)
    names = {t.name for t in threading.enumerate() if t.name.startswith("flinfast-compute")}
    scheduler.close()
    loop.close()
    assert 1 <= len(names) <= COMPUTE_THREADS_MAX
