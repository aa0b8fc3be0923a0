"""What builtins, guards and contexts may reach outside their own file: one object per program.

A builtin's factory is bound with the `Services` of the program it serves, and nothing in `runtime`
keeps module-level state. Clocks, threads and timers come from here, so tests pass their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from msgspec import Struct

from flinfast.runtime.folder import Folder
from flinfast.runtime.rate_limit import RateLimiter
from flinfast.settings import Settings

if TYPE_CHECKING:
    from flinfast.native.hub import Hub
    from flinfast.runtime.event_stream import EventStreams
    from flinfast.runtime.secret import Secrets
    from flinfast.runtime.session import SessionManager

T = TypeVar("T")

LogLevel = Literal["debug", "info", "warn", "error"]


class Unwanted(Exception):  # noqa: N818 - no fault: the outcome of work that was not begun
    """Nobody waits for the work any more."""


class Timer(Protocol):
    """A pending `call_later`."""

    def cancel(self) -> None:
        """Forget the call; no effect once it ran."""


class Scheduler(Protocol):
    """The loop as `runtime` sees it; the server implements it over uvloop.

    All calls come from the loop's thread, and everything it calls back runs there, except `work`.
    """

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` after the current loop callback."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` after `delay_s` seconds."""

    def run_in_thread(
        self, work: Callable[[], T], done: Callable[[T | BaseException], None]
    ) -> None:
        """Run `work` on a thread of the database, then `done(result or exception)` in the loop."""

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the loop; the only call that other threads may make."""

    def run_waiting(
        self, work: Callable[[], T], done: Callable[[T | BaseException], None]
    ) -> Callable[[], None]:
        """run_in_thread() for what handlers wait for: it never delays the database.

        Returns:
            Drops `work` if it has not begun.
        """

    def run_computing(
        self,
        work: Callable[[], T],
        done: Callable[[T | BaseException], None],
        is_wanted: Callable[[], bool] | None = None,
    ) -> Callable[[], None]:
        """run_waiting() for work that keeps a core busy, of which little is done at one time.

        Work that waits in line is not begun when `is_wanted`, asked on any thread, says no: `done`
        gets Unwanted.
        """


class Log(Protocol):
    """Writes one line to the log."""

    def __call__(self, level: LogLevel, text: str, fields: Mapping[str, Any], place: str) -> None:
        """Log `text`; `place` is `app/api/chat.flin:4` or "", `fields` are structured extras."""


class Waiter(Protocol):
    """Suspends the running handler; `runtime/handler.py` implements it with greenlets.

    Waiting is a commit point: writes and sends made before it are committed first. Outside a
    handler that may wait (tests, console) the work simply blocks.
    """

    def wait(self, work: Callable[[], T]) -> T:
        """Run `work` on a pool thread; returns its result or raises its exception."""

    def compute(self, work: Callable[[], T]) -> T:
        """wait() for work that keeps a core busy, such as hashing a password."""

    def wait_callback(self, start: Callable[[Callable[[T | BaseException], None]], None]) -> T:
        """Call `start(done)` in the loop and sleep until `done(result or exception)` is called."""

    def sleep(self, seconds: float) -> None:
        """Suspend for that long."""

    def go_on(self) -> None:
        """The running handler closes its connection itself: it goes on, whoever is gone."""


class Services(Struct):
    """Everything a program's builtins are bound to.

    Attributes:
        hub: Connections, rooms and the effect log.
        store: The database, a `flinfast.store.sqlite.Store`.
        root: Project root, absolute; file builtins stay below it.
        settings: All settings.
        clock_ms: Unix time in milliseconds.
        log: Writes a log line.
        scheduler: The loop.
        waiter: Suspends the running handler (`sleep`, `http_get`, `hash_password`).
        sessions: All sessions of the program.
        secrets: Keys for tokens and cookies: `secrets.keys("token")[0]` signs, all verify.
        limiter: Counts calls for rate limits.
        folder: The program's files.
        streams: Opens event streams; set by the program.
    """

    hub: Hub
    store: Any
    root: Path
    settings: Settings
    clock_ms: Callable[[], int]
    log: Log
    scheduler: Scheduler
    waiter: Waiter
    sessions: SessionManager
    secrets: Secrets
    limiter: RateLimiter = cast(Any, None)  # made from the rest
    folder: Folder = cast(Any, None)  # so is this
    streams: EventStreams = cast(Any, None)

    def __post_init__(self) -> None:
        self.limiter = RateLimiter(self.clock_ms)
        self.folder = Folder(self.root, self.settings.store.path)
