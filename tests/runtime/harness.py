"""A program's parts on a clock that tests move: scheduler, store, sessions, services."""

from __future__ import annotations

import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flinfast.errors import StoreError
from flinfast.native.hub import Connection, Hub
from flinfast.runtime.context import RequestContext, WsContext, WsSite
from flinfast.runtime.encode import encode_json
from flinfast.runtime.request import Request
from flinfast.runtime.runner import Runner
from flinfast.runtime.secret import Secrets
from flinfast.runtime.services import Services
from flinfast.runtime.session import SessionManager
from flinfast.runtime.session_value import SessionState
from flinfast.runtime.waiting import WaitingPool
from flinfast.settings import Settings
from flinfast.store.schema import EntitySpec, FieldSpec
from flinfast.store.store import Store

NOW_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z, a Friday

USER = EntitySpec(
    "User",
    (
        FieldSpec("name", "text", required=True),
        FieldSpec("role", "text"),
        FieldSpec("email", "text", unique=True),
    ),
)


class Timer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualLoop:
    """A scheduler whose turns and time tests drive; threads are played in order."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self._soon: deque[Callable[[], None]] = deque()
        self._threads: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._timers: list[tuple[int, int, Timer, Callable[[], None]]] = []
        self._count = 0
        self.thread_error: BaseException | None = None

    def clock_ms(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        self._count += 1
        due = self.now_ms + int(delay_s * 1000)
        heapq.heappush(self._timers, (due, self._count, timer, callback))
        return timer

    def run_in_thread(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._threads.append((work, done))

    def run_waiting(
        self, work: Callable[[], Any], done: Callable[[Any], None]
    ) -> Callable[[], None]:
        entry = (work, done)
        self._threads.append(entry)

        def cancel() -> None:
            if entry in self._threads:
                self._threads.remove(entry)

        return cancel

    def run_computing(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        is_wanted: Callable[[], bool] | None = None,
    ) -> Callable[[], None]:
        return self.run_waiting(work, done)

    def turn(self) -> None:
        """Run what is due in the loop, no thread."""
        while self._soon:
            self._soon.popleft()()

    def run_threads(self) -> None:
        """Finish every thread, then the loop callbacks that follow."""
        while self._threads or self._soon:
            self.turn()
            if self._threads:
                work, done = self._threads.popleft()
                try:
                    result = self.thread_error or work()
                except Exception as error:  # noqa: BLE001 - handed to whoever waits
                    result = error
                done(result)

    def pass_time(self, seconds: float) -> None:
        """Let timers of the next `seconds` fire."""
        end = self.now_ms + int(seconds * 1000)
        while self._timers and self._timers[0][0] <= end:
            due, _, timer, callback = heapq.heappop(self._timers)
            self.now_ms = max(self.now_ms, due)
            if not timer.is_cancelled:
                callback()
                self.turn()
        self.now_ms = end


class RecordingLog:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any], str]] = []

    def __call__(self, level: str, text: str, fields: Mapping[str, Any], place: str) -> None:
        self.lines.append((level, text, dict(fields), place))

    def texts(self, level: str) -> list[str]:
        return [text for lvl, text, _, _ in self.lines if lvl == level]


class Parts:
    """Services over a real store and hub, on a manual loop."""

    def __init__(
        self,
        root: Path,
        settings: Settings | None = None,
        entities: Sequence[EntitySpec] = (USER,),
    ) -> None:
        self.settings = settings or Settings()
        self.loop = ManualLoop()
        self.log = RecordingLog()
        self.hub = Hub(encode_json)
        self.dropped: list[tuple[Connection, int, str]] = []
        self.store = Store(
            root / ".flindb",
            entities,
            durability="full",
            clock_ms=self.loop.clock_ms,
            call_soon=self.loop.call_soon,
            run_in_thread=self.loop.run_in_thread,
        )
        self.secrets = Secrets(b"k" * 32)
        self.sessions = self.make_sessions()
        self.pool = WaitingPool(self.loop, 30.0, self.loop.monotonic)
        self.services = Services(
            hub=self.hub,
            store=self.store,
            root=root,
            settings=self.settings,
            clock_ms=self.loop.clock_ms,
            log=self.log,
            scheduler=self.loop,
            waiter=self.pool,
            sessions=self.sessions,
            secrets=self.secrets,
        )
        self.runner = Runner(self.services, self.pool)
        self.site = WsSite("/ws", (), frozenset(), self.find_record)

    def make_sessions(self, *, is_shared: bool = False) -> SessionManager:
        return SessionManager(
            table=self.store.sessions,
            settings=self.settings.session,
            keys=self.secrets,
            clock_ms=self.loop.clock_ms,
            find_record=self.find_record,
            drop=lambda connection, code, reason: self.dropped.append((connection, code, reason)),
            is_shared=is_shared,
        )

    def find_record(self, entity: str, id: int) -> Any:
        return self.store.handle(entity).find(id) if entity in self.store.entities else None

    def user(self, name: str = "Ada", role: str = "member") -> Any:
        """A saved user."""
        with self.store.transaction():
            return self.store.save(
                self.store.handle("User").construct(
                    {"name": name, "role": role, "email": f"{name.lower()}@example.com"}
                )
            )

    def context(self, method: str = "GET", target: str = "/", **parts: Any) -> RequestContext:
        """A request context; headers come as keyword `headers`, cookies as `cookie`."""
        return RequestContext(self.services, make_request(method, target, **parts), {})

    def connection(self, state: SessionState | None = None) -> WsContext:
        return WsContext.of(self.site, make_request("GET", "/ws"), (), state)

    def log_in(self, user: Any, **more: Any) -> str:
        """Store a session whose user is `user`; returns its Cookie header."""
        context = self.context()
        context.session.flin_set("user", user)
        for name, value in more.items():
            context.session.flin_set(name, value)
        return self.finish(context)

    def finish(self, context: RequestContext) -> str:
        """What a successful handler does with its session; returns the Cookie header."""
        change = context.session.change()
        assert change is not None
        self.store.begin(writes=True)
        self.sessions.store(change)
        self.store.commit()
        self.store.after_durable(self.sessions.apply(change))
        self.loop.run_threads()
        return change.cookie.partition(";")[0]

    def close(self) -> None:
        self.pool.close()
        with contextlib.suppress(StoreError):  # tests that lose writes on purpose
            self.store.close()


def make_request(
    method: str = "GET",
    target: str = "/",
    *,
    headers: Mapping[str, str] | None = None,
    cookie: str = "",
    body: bytes = b"",
    json: Any = None,
    peer: str = "192.0.2.1",
    scheme: Any = "http",
) -> Request:
    """A request as the server makes them."""
    path, _, query = target.partition("?")
    fields = [("host", "app.example")]
    fields += [(name.lower(), value) for name, value in (headers or {}).items()]
    if cookie:
        fields.append(("cookie", cookie))
    if json is not None:
        body = encode_json(json)
        fields.append(("content-type", "application/json"))
    return Request(
        method, target, path, query, headers=fields, body=body, peer=peer, scheme=scheme, id="r-1"
    )
