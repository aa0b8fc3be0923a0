"""A bounded pool of threads for the work that suspended handlers wait for.

Unlike the standard library's pool it never holds up the end of the process: its threads are
daemons, because what handlers wait for (a server that never answers) has no end of its own. And
work that nobody waits for any more is dropped while it is still in the queue.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable


class Job:
    """Work that was handed to a pool."""

    __slots__ = ("_late", "_work")

    def __init__(self, work: Callable[[], None], late: Callable[[], None] | None = None) -> None:
        self._work: Callable[[], None] | None = work
        self._late = late

    def delay(self) -> None:
        """It has to wait for a thread: what is to be done then is done instead."""
        if self._late is not None:
            self._work = self._late

    def cancel(self) -> None:
        """Do not begin with it; no effect on work that has begun."""
        self._work = self._late = None

    def run(self) -> None:
        """Do it, unless it was cancelled."""
        work = self._work
        self._work = self._late = None
        if work is not None:
            work()


class ThreadPool:
    """Threads that are started when work comes, and stay.

    Args:
        name: Of the threads.
        count_max: Threads at most, 1 or more; what is more waits in line.
        niceness: How far they step back behind the loop's thread, 0 to 19 (Linux only).
    """

    def __init__(self, name: str, count_max: int, *, niceness: int = 0) -> None:
        self._name = name
        self._count_max = count_max
        self._niceness = niceness
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._count = 0
        self._idle_count = 0
        self._is_closed = False

    def submit(self, work: Callable[[], None], *, if_late: Callable[[], None] | None = None) -> Job:
        """Run `work`, which must not raise, on one of the threads.

        Args:
            work: What to do.
            if_late: Run instead of it if no thread was free at once.

        Raises:
            RuntimeError: There is no thread, and the system gives none.
        """
        job = Job(work, if_late)
        with self._changed:
            if self._is_closed:
                job.cancel()
                return job
            self._jobs.append(job)
            self._changed.notify()
            if len(self._jobs) > self._idle_count:
                if self._count < self._count_max:
                    self._start_thread()
                else:
                    job.delay()
        return job

    def close(self) -> None:
        """Begin no more work; what runs is neither waited for nor ended."""
        with self._changed:
            self._is_closed = True
            self._jobs.clear()
            self._changed.notify_all()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name=f"{self._name}-{self._count}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._count:
                self._jobs.pop()
                raise
            return  # the others will come to it
        self._count += 1

    def _run(self) -> None:
        if self._niceness and sys.platform == "linux":
            with contextlib.suppress(OSError):  # Linux counts niceness by thread
                thread = threading.get_native_id()
                niceness = os.getpriority(os.PRIO_PROCESS, thread) + self._niceness
                os.setpriority(os.PRIO_PROCESS, thread, min(niceness, 19))
        while True:
            with self._changed:
                while not self._jobs:
                    if self._is_closed:
                        return
                    self._idle_count += 1
                    self._changed.wait()
                    self._idle_count -= 1
                job = self._jobs.popleft()
            job.run()
