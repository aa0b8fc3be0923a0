"""Long bodies are compressed on a thread, so that nobody else waits for them.

A megabyte takes 2 ms when it repeats itself and 25 when it does not; the program answers others
meanwhile. What comes while BODIES_MAX wait is sent as it is: a server that cannot keep up saves
itself that work first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final

from flinfast.runtime.response import Response
from flinfast.server.compress import compress, is_due
from flinfast.server.head import Head
from flinfast.server.threads import ThreadPool

LOOP_BYTES_MAX: Final = 32 << 10  # up to here the loop does it: under 1 ms whatever it is
BODIES_MAX: Final = 64  # compressed or waiting for it
THREADS_MAX: Final = 2
NICENESS: Final = 2  # the loop's thread goes first


class Compressor:
    """Compression beside the loop.

    Args:
        loop: Where responses are handed back.
        threshold: Bytes from which a body is compressed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threshold: int) -> None:
        self._loop = loop
        self._threshold = threshold
        self._pool = ThreadPool("flinfast-gzip", THREADS_MAX, niceness=NICENESS)
        self.pending_count = 0

    def takes(self, head: Head, response: Response) -> bool:
        """Whether a response has to go through compress() first."""
        return (
            len(response.body) > LOOP_BYTES_MAX
            and self.pending_count < BODIES_MAX
            and is_due(head, response, threshold=self._threshold)
        )

    def compress(self, head: Head, response: Response, done: Callable[[Response], None]) -> None:
        """Compress a body, then call `done` with the response in the loop.

        Args:
            head: The request.
            response: Nobody else's from now on.
            done: Called once, unless the loop has been closed.
        """
        self.pending_count += 1
        self._pool.submit(partial(self._work, head, response, done))

    def close(self) -> None:
        """Begin no more work."""
        self._pool.close()

    def _work(self, head: Head, response: Response, done: Callable[[Response], None]) -> None:
        with contextlib.suppress(MemoryError):  # then it is sent as it is
            compress(head, response, threshold=self._threshold)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._hand_back, response, done)

    def _hand_back(self, response: Response, done: Callable[[Response], None]) -> None:
        self.pending_count -= 1
        done(response)
