"""Handlers that wait give the loop back, and a transaction joins store and hub."""

import gc
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import ConflictFault, DurabilityError, StoreError
from flinfast.runtime import waiting
from flinfast.runtime.fault import TimeLimitFault
from flinfast.runtime.handler import RETRIES_MAX, Transaction, may_retry
from flinfast.runtime.waiting import IDLE_MAX, TooManyWaiting, WaitingPool
from tests.runtime.harness import ManualLoop, Parts


@pytest.fixture
def loop() -> ManualLoop:
    return ManualLoop()


@pytest.fixture
def pool(loop: ManualLoop) -> Iterator[WaitingPool]:
    pool = WaitingPool(loop, 30.0, loop.monotonic)
    yield pool
    pool.close()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.close()


class Point:
    """A commit point that notes what happens."""

    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def suspend(self) -> None:
        self.events.append("suspend")

    def resume(self) -> None:
        self.events.append("resume")


def test_job_without_a_wait_ends_at_once(pool: WaitingPool) -> None:
    """run() says that it has ended, and the greenlet is used again."""
    done: list[int] = []
    for index in range(3):
        assert pool.run(lambda index=index: done.append(index)) is True
    assert done == [0, 1, 2]
    assert len(pool._idle) == 1


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("runs", [1, 2])
def test_an_idle_greenlet_holds_nothing_of_its_last_job(
    loop: ManualLoop, pool: WaitingPool, waits: bool, runs: int
) -> None:
    """Else the request, the connection and the body live until the next one that waits."""

    class Request:
        """Something a job holds."""

    def job(request: Request) -> None:
        if waits:
            pool.wait(lambda: request)

    for _ in range(runs):
        request = Request()
        gone = weakref.ref(request)
        pool.run(partial(job, request))
        loop.run_threads()
        loop.pass_time(31)  # the cancelled timer is gone
        del request
        gc.collect()
        assert len(pool._idle) == 1
        assert gone() is None


def test_waits_of_many_jobs_overlap(loop: ManualLoop, pool: WaitingPool) -> None:
    """Each job goes on when its own work is done; results come back in the job."""
    events: list[Any] = []

    def job(name: str) -> None:
        pool.use(Point(events))
        events.append((name, "starts"))
        events.append((name, pool.wait(lambda: name * 2)))

    assert pool.run(lambda: job("a")) is False
    assert pool.run(lambda: job("b")) is False
    assert pool.waiting_count == 2
    loop.run_threads()
    assert pool.waiting_count == 0
    assert events == [
        ("a", "starts"),
        "suspend",
        ("b", "starts"),
        "suspend",
        "resume",
        ("a", "aa"),
        "resume",
        ("b", "bb"),
    ]


def test_exception_of_the_work_is_raised_in_the_job(loop: ManualLoop, pool: WaitingPool) -> None:
    """A failing thread is a failing builtin."""
    caught: list[str] = []

    def work() -> None:
        raise OSError("no route")

    def job() -> None:
        try:
            pool.wait(work)
        except OSError as error:
            caught.append(str(error))

    pool.run(job)
    loop.run_threads()
    assert caught == ["no route"]


def test_work_that_nobody_waits_for_any_more_is_not_begun(
    loop: ManualLoop, pool: WaitingPool
) -> None:
    """The time limit takes queued work out of the queue; so does the end of the program."""
    begun: list[str] = []
    faults: list[str] = []

    def job(name: str) -> None:
        try:
            pool.compute(lambda: begun.append(name))
        except TimeLimitFault as fault:
            faults.append(fault.code)

    pool.run(lambda: job("a"))
    loop.pass_time(31)
    pool.run(lambda: job("b"))
    pool.close()
    pool.run(lambda: job("c"))
    loop.run_threads()
    assert faults == ["FL550"]
    assert begun == ["c"]


def test_sleep_takes_its_time(loop: ManualLoop, pool: WaitingPool) -> None:
    """The loop goes on meanwhile."""
    woke: list[int] = []

    def job() -> None:
        pool.sleep(2.5)
        woke.append(loop.now_ms)

    start = loop.now_ms
    assert pool.run(job) is False
    loop.pass_time(2.4)
    assert woke == []
    loop.pass_time(1)
    assert woke == [start + 2500]


def test_callback_that_answers_at_once_does_not_switch(pool: WaitingPool) -> None:
    """A result that is there already costs no turn."""
    results: list[int] = []

    def job() -> None:
        results.append(pool.wait_callback(lambda done: done(7)))

    assert pool.run(job) is True
    assert results == [7]


def test_time_limit_ends_the_wait_and_late_results_are_ignored(
    loop: ManualLoop, pool: WaitingPool
) -> None:
    """The handler's whole time counts; every further wait fails as well."""
    late: list[Callable[[Any], None]] = []
    faults: list[str] = []

    def job() -> None:
        pool.sleep(20)
        for _ in range(2):
            try:
                pool.wait_callback(late.append)
            except TimeLimitFault as fault:
                faults.append(fault.code)

    assert pool.run(job) is False
    loop.pass_time(29.9)
    assert faults == []
    loop.pass_time(0.2)
    assert faults == ["FL550", "FL550"]
    assert pool.waiting_count == 0
    late[0]("too late")


def test_second_result_is_ignored(loop: ManualLoop, pool: WaitingPool) -> None:
    """A builtin that calls done twice does not wake the handler out of its next wait."""
    dones: list[Callable[[Any], None]] = []
    results: list[Any] = []

    def job() -> None:
        results.append(pool.wait_callback(dones.append))
        results.append(pool.wait_callback(dones.append))

    pool.run(job)
    dones[0](1)
    dones[0](2)
    assert results == [1]
    dones[1](3)
    assert results == [1, 3]


def test_close_ends_suspended_jobs(loop: ManualLoop, pool: WaitingPool) -> None:
    """Their rest does not run, their finally blocks do."""
    events: list[str] = []

    def job() -> None:
        try:
            pool.sleep(5)
            events.append("woke")
        finally:
            events.append("ended")

    pool.run(job)
    pool.close()
    loop.pass_time(10)
    assert events == ["ended"]
    assert pool.waiting_count == 0


def test_number_of_waiting_jobs_is_limited(
    loop: ManualLoop, pool: WaitingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit a new job is refused, below it runs."""
    monkeypatch.setattr(waiting, "WAITING_MAX", 3)
    for _ in range(3):
        pool.run(lambda: pool.sleep(5))
    with pytest.raises(TooManyWaiting) as caught:
        pool.run(lambda: None)
    assert caught.value.status == 503
    loop.pass_time(6)
    assert pool.run(lambda: None) is True


def test_idle_greenlets_are_bounded(loop: ManualLoop, pool: WaitingPool) -> None:
    """A burst does not leave its greenlets behind."""
    for _ in range(IDLE_MAX + 20):
        pool.run(lambda: pool.sleep(1))
    loop.pass_time(2)
    assert len(pool._idle) == IDLE_MAX


def test_wait_outside_a_greenlet_blocks(pool: WaitingPool) -> None:
    """Consoles and tests need no loop."""
    assert pool.wait(lambda: 3) == 3
    assert pool.wait_callback(lambda done: done(4)) == 4
    pool.sleep(0)
    with pytest.raises(OSError, match="x"):
        pool.wait_callback(lambda done: done(OSError("x")))
    assert pool.use(None) is None


# --- transactions ----------------------------------------


def save(parts: Parts, name: str) -> Any:
    handle = parts.store.handle("User")
    return parts.store.save(handle.construct({"name": name, "email": name}))


def names(parts: Parts) -> list[str]:
    return [record.flin_get("name") for record in parts.store.handle("User").flin_get("all").rows()]


def transaction(parts: Parts, *, uses_store: bool = True, writes: bool = True) -> Transaction:
    return Transaction(parts.hub, parts.store, None, uses_store=uses_store, writes=writes)


def test_reader_is_done_at_once(parts: Parts) -> None:
    """Nothing pending: nothing to wait for."""
    results: list[Any] = []
    run = transaction(parts, writes=False)
    run.begin()
    assert names(parts) == []
    run.commit(results.append)
    assert results == [None]
    assert not parts.hub.in_handler


def test_writer_is_done_when_durable(parts: Parts) -> None:
    """`done` waits for the sync of the turn's commit."""
    results: list[Any] = []
    order: list[str] = []
    run = transaction(parts)
    run.begin()
    save(parts, "a")
    run.commit(results.append, committed=lambda: order.append("committed"))
    assert (results, order) == ([], ["committed"])
    parts.loop.turn()
    assert results == []
    parts.loop.run_threads()
    assert results == [None]


def test_reader_of_what_is_not_durable_waits_too(parts: Parts) -> None:
    """Nobody sees what a crash could take back."""
    results: list[str] = []
    writer, reader = transaction(parts), transaction(parts, writes=False)
    writer.begin()
    save(parts, "a")
    writer.commit(lambda error: results.append("writer"))
    reader.begin()
    assert names(parts) == ["a"]
    reader.commit(lambda error: results.append("reader"))
    assert results == []
    parts.loop.run_threads()
    assert results == ["writer", "reader"]


def test_abandoned_run_leaves_nothing(parts: Parts) -> None:
    """No row, no effect, and the next run can begin."""
    run = transaction(parts)
    run.begin()
    save(parts, "a")
    assert parts.hub.in_handler
    run.abandon()
    run.abandon()
    assert not parts.hub.in_handler
    assert names(parts) == []
    again = transaction(parts)
    again.begin()
    again.commit()


def test_lost_write_is_told(parts: Parts) -> None:
    """After a failed sync `done` gets the error, and nothing is acknowledged any more."""
    results: list[Any] = []
    parts.loop.thread_error = OSError("EIO")
    run = transaction(parts)
    run.begin()
    save(parts, "a")
    run.commit(results.append)
    parts.loop.run_threads()
    assert isinstance(results[0], DurabilityError)
    with pytest.raises(StoreError):
        transaction(parts).begin()
    assert not parts.hub.in_handler


def test_wait_is_a_commit_point(parts: Parts) -> None:
    """What came before a wait stays, even when the rest fails."""

    def job() -> None:
        run = transaction(parts)
        parts.pool.use(run)
        run.begin()
        save(parts, "before")
        parts.pool.sleep(1)
        save(parts, "after")
        run.abandon()

    parts.pool.run(job)
    assert names(parts) == ["before"]
    parts.loop.run_threads()
    parts.loop.pass_time(2)
    assert names(parts) == ["before"]


def test_end_of_a_run_that_waited_comes_after_its_earlier_writes(parts: Parts) -> None:
    """A read-only rest is not done before the part that wrote is durable."""
    results: list[Any] = []

    def job() -> None:
        run = transaction(parts)
        parts.pool.use(run)
        run.begin()
        save(parts, "a")
        parts.pool.wait_callback(lambda done: done(None))
        run.commit(results.append)

    assert parts.pool.run(job) is True
    assert results == []
    parts.loop.run_threads()
    assert results == [None]


def test_unexpected_write_opens_the_store(parts: Parts) -> None:
    """A run that was not expected to write can still store its session."""
    run = transaction(parts, uses_store=False, writes=False)
    run.begin()
    run.use_store()
    save(parts, "a")
    results: list[Any] = []
    run.commit(results.append)
    parts.loop.run_threads()
    assert results == [None]
    assert names(parts) == ["a"]


def test_closing_while_a_run_is_suspended_rolls_its_rest_back(parts: Parts) -> None:
    """The pool ends it between two commit points; no log stays open."""

    def job() -> None:
        run = transaction(parts)
        parts.pool.use(run)
        run.begin()
        try:
            parts.pool.sleep(5)
            save(parts, "never")
        except BaseException:
            run.abandon()
            raise

    parts.pool.run(job)
    parts.pool.close()
    assert not parts.hub.in_handler
    assert names(parts) == []


def test_only_conflicts_of_runs_without_a_wait_are_repeated(parts: Parts) -> None:
    """Up to RETRIES_MAX times; what was committed in between must not happen twice."""
    run = transaction(parts)
    conflict = ConflictFault("x")
    assert may_retry(conflict, run, 0)
    assert may_retry(conflict, run, RETRIES_MAX - 1)
    assert not may_retry(conflict, run, RETRIES_MAX)
    assert not may_retry(ValueError(), run, 0)
    run.has_waited = True
    assert not may_retry(conflict, run, 0)
