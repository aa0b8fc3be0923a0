"""The client's side of a WebSocket in a test.

One end of a socket pair belongs to the hub, as the socket of a client would; this is the other
end. Messages are taken in as they come and kept until the test asks for them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from flinfast.errors import FlinError, RuntimeFault
from flinfast.native.frame import Event, Opcode
from flinfast.runtime.client_side import HEAD, LOST, ClientSide, answer, frame
from flinfast.runtime.cookie import printable
from flinfast.runtime.encode import decode_json, encode_json

if TYPE_CHECKING:
    from flinfast.runtime.app import App, Upgrade
    from flinfast.runtime.services import Timer

RECEIVE_MS: Final = 10_000  # how long `receive` waits unless it is told, on a busy machine too
SILENT_MS: Final = 100  # how long `is_silent` listens
# A time that is up so much later than it was due was not spent waiting: something else held up the
# loop, and what came meanwhile has not been read. It is granted again, so often at most.
LATE_S: Final = 0.2
GRANTS_MAX: Final = 3
WAIT_MS_MAX: Final = 3_600_000
READ_BYTES: Final = 64 << 10


class Watcher(Protocol):
    """Tells when a socket has something to read."""

    def watch(self, descriptor: int, when_readable: Callable[[], None]) -> None:
        """Call `when_readable` in the loop whenever there is something to read."""

    def unwatch(self, descriptor: int) -> None:
        """Stop that."""


class TestConnection:
    """A WebSocket of a test; `socket.send(value)`, `socket.receive()` and so on.

    Args:
        app: The program under test.
        watcher: Tells of received bytes.
    """

    __slots__ = (
        "_app",
        "_code",
        "_is_closing",
        "_messages",
        "_reason",
        "_side",
        "_socket",
        "_status",
        "_waiting",
        "_watcher",
        "body",
    )

    __test__ = False  # pytest: not a test class

    flin_kind = "test connection"

    def __init__(self, app: App, watcher: Watcher) -> None:
        self._app = app
        self._watcher = watcher
        self._socket: socket.socket | None = None
        self._side = ClientSide()
        self._messages: deque[Any] = deque()
        self._waiting: Callable[[], None] | None = None
        self._status = 101
        self._code = 0
        self._reason = ""
        self._is_closing = False
        self.body: Any = None

    # --- for the user of the test ----------------------------------------

    def refuse(self, status: int, body: Any) -> None:
        """The upgrade was answered with another status than 101."""
        self._status = status
        self._code = LOST
        self.body = body

    def start(self, upgrade: Upgrade, done: Callable[[None], None]) -> None:
        """Open it; `done` is called when the server has."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._socket = ours
        self._waiting = lambda: done(None)
        self._watcher.watch(ours.fileno(), self._read)
        self._app.hub.open_fd(upgrade.context, upgrade.endpoint, theirs.detach(), response=HEAD)

    def drop(self) -> None:
        """End it without a closing handshake."""
        if self._socket is not None:
            self._watcher.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    # --- members in FLIN ----------------------------------------

    def flin_get(self, name: str) -> Any:
        """`status`, `body` of a refusal, `is_open`, `close_code`, `close_reason`."""
        if name == "status":
            return self._status
        if name == "body":
            return self.body
        if name == "is_open":
            return self._code == 0
        if name == "close_code":
            return self._code or None
        if name == "close_reason":
            return self._reason
        return None

    def flin_set(self, name: str, value: Any) -> None:
        """Nothing of it can be set."""
        raise RuntimeFault(f"`{printable(name)}` of a test connection is read-only", code="FL507")

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """`send receive receive_close is_silent close`."""
        if name == "send" and len(args) == 1 and not named:
            self._send(args[0])
            return None
        if name == "receive":
            return self._receive(_wait_ms(name, args, named, RECEIVE_MS))
        if name == "receive_close":
            return self._receive_close(_wait_ms(name, args, named, RECEIVE_MS))
        if name == "is_silent":
            return self._is_silent(_wait_ms(name, args, named, SILENT_MS))
        if name == "close" and not args and not named:
            self._close()
            return None
        if name in ("send", "close"):
            wanted = "1 argument" if name == "send" else "no arguments"
            raise RuntimeFault(f"`{name}` of a test connection takes {wanted}", code="FL504")
        raise RuntimeFault(f"a test connection has no method `{printable(name)}`", code="FL505")

    def to_map(self) -> dict[str, Any]:
        """What a failed expectation shows of it."""
        return {name: self.flin_get(name) for name in ("status", "is_open", "close_code")}

    # --- private ----------------------------------------

    def _send(self, value: Any) -> None:
        if isinstance(value, bytes):
            self._write(Opcode.BINARY, value)
        else:
            self._write(Opcode.TEXT, value.encode() if type(value) is str else encode_json(value))

    def _write(self, opcode: Opcode, payload: bytes) -> None:
        """Send a frame.

        The socket's buffer is large and the loop reads the other end whenever a test waits, so a
        frame that does not fit is sent by waiting until it does.
        """
        if self._socket is None or self._code:
            raise self._closed_fault("cannot send")
        rest = memoryview(frame(opcode, payload))
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                self._app.services.waiter.sleep(0.001)
            except OSError:
                raise self._closed_fault("cannot send") from None

    def _receive(self, wait_ms: float) -> Any:
        if not self._until(lambda: bool(self._messages or self._code), wait_ms):
            raise RuntimeFault(f"no message came within {wait_ms:g} ms", code="FL571")
        if self._messages:
            return self._messages.popleft()
        raise self._closed_fault("no message came")

    def _receive_close(self, wait_ms: float) -> dict[str, Any]:
        if not self._until(lambda: bool(self._code), wait_ms):
            raise RuntimeFault(f"the server did not close within {wait_ms:g} ms", code="FL571")
        return {"code": self._code, "reason": self._reason}

    def _is_silent(self, wait_ms: float) -> bool:
        return not self._until(lambda: bool(self._messages or self._code), wait_ms)

    def _close(self) -> None:
        if self._code:
            return
        self._write(Opcode.CLOSE, (1000).to_bytes(2))
        self._is_closing = True
        self._until(lambda: bool(self._code), RECEIVE_MS)
        self.drop()

    def _closed_fault(self, what: str) -> RuntimeFault:
        if self._status != 101:
            return RuntimeFault(
                f"{what}: the upgrade was refused with {self._status}", code="FL571"
            )
        said = f"{self._code} {self._reason}".rstrip()
        return RuntimeFault(f"{what}: the connection was closed with {said}", code="FL571")

    def _until(self, is_so: Callable[[], bool], wait_ms: float) -> bool:
        """Wait until something holds; False when the time is over first."""
        services = self._app.services
        is_over = False

        grants = GRANTS_MAX

        def start(done: Callable[[None], None]) -> None:
            due: float
            timer: Timer

            def wait() -> tuple[float, Timer]:
                wait_s = wait_ms / 1000
                return time.monotonic() + wait_s, services.scheduler.call_later(wait_s, time_is_up)

            def time_is_up() -> None:
                nonlocal is_over, due, timer, grants
                if grants and time.monotonic() - due > LATE_S:
                    grants -= 1
                    due, timer = wait()
                    return
                is_over = True
                done(None)

            due, timer = wait()

            def look() -> None:
                if is_so():
                    self._waiting = None
                    timer.cancel()
                    done(None)

            self._waiting = look

        while not is_so() and not is_over:
            services.waiter.wait_callback(start)
        self._waiting = None
        return is_so()

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(LOST, "")
        else:
            with contextlib.suppress(FlinError):
                for event in self._side.feed(data):
                    self._take(event)
        if self._waiting is not None and (self._code or self._side.is_open):
            self._waiting()

    def _take(self, event: Event) -> None:
        if event.opcode == Opcode.TEXT:
            text = event.payload.decode()
            try:
                self._messages.append(decode_json(text))
            except ValueError:
                self._messages.append(text)
        elif event.opcode == Opcode.BINARY:
            self._messages.append(event.payload)
        elif self._socket is not None and not self._is_closing:
            with contextlib.suppress(OSError):  # the connection is gone or full
                self._socket.send(answer(event))
        if event.opcode == Opcode.CLOSE:
            self._end(event.close_code, event.payload.decode("utf-8", "replace"))

    def _end(self, code: int, reason: str) -> None:
        self._code = self._code or code
        self._reason = self._reason or reason
        self.drop()


def _wait_ms(name: str, args: tuple[Any, ...], named: Mapping[str, Any], default: float) -> float:
    """The one optional argument of the methods that wait: a duration."""
    given = [*args, *named.values()]
    if len(given) > 1 or set(named) - {"timeout"}:
        raise RuntimeFault(f"`{name}` takes at most 1 argument, `timeout`", code="FL504")
    value = given[0] if given and given[0] is not None else default
    if type(value) not in (int, float) or not 0 <= value <= WAIT_MS_MAX:
        raise RuntimeFault(
            f"`{name}` argument 1: expected a duration such as `2.seconds`", code="FL504"
        )
    return float(value)
