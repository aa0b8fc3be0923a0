"""A test client for FLIN programs: requests and WebSockets in this process, without a port.

    with TestClient("examples/chat") as client:
        client.post("/api/login", json={"name": "Ada"})
        with client.websocket("/api/chat") as socket:
            socket.send_json({"text": "hi"})
            assert socket.receive_json()["text"] == "hi"

Requests go to the program itself, so this tests everything but HTTP parsing and static files. Each
client has its own cookies; `client.another()` is a second user of the same program. Everything that
waits has a limit in seconds and raises TimeoutError beyond it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from flinfast.native.frame import Event, Opcode
from flinfast.runtime.app import App, Upgrade
from flinfast.runtime.client_side import HEAD, LOST, ClientSide, answer, frame
from flinfast.runtime.cookie import parse_cookies
from flinfast.runtime.encode import encode_json
from flinfast.runtime.request import Request
from flinfast.runtime.response import Response
from flinfast.runtime.router import BadPath
from flinfast.server.loop import LoopScheduler, new_loop
from flinfast.settings import Settings

TIMEOUT_S: Final = 60.0  # for what never comes; on a loaded machine a hash takes seconds
HOST: Final = "testserver"
READ_BYTES: Final = 64 << 10
POLL_S: Final = 0.002

T = TypeVar("T")


class UpgradeRefused(Exception):  # noqa: N818 - an outcome that tests ask for
    """A WebSocket was not opened.

    Attributes:
        response: What was answered instead.
    """

    def __init__(self, response: TestResponse) -> None:
        super().__init__(f"upgrade refused with {response.status}")
        self.response = response


class ConnectionClosed(Exception):  # noqa: N818 - an outcome that tests ask for
    """The server closed the WebSocket.

    Attributes:
        code: Close code, 1006 when the connection just ended.
        reason: Close reason.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TestResponse:
    """An answer.

    Attributes:
        status: HTTP status.
        headers: Lower-case name to value; repeated fields are joined with `, `.
        body: The body; empty for HEAD.
    """

    __test__ = False  # pytest: not a test class

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: It is none.
        """
        return msgspec.json.decode(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the program logged."""

    level: str
    text: str
    fields: Mapping[str, Any]
    place: str


class _Program:
    """A loaded program and the loop it runs on; shared by the clients of one test."""

    def __init__(self, path: Path, settings: Settings, clock_ms: Callable[[], int] | None) -> None:
        self.lines: list[LogLine] = []
        self.loop = new_loop()
        self.scheduler = LoopScheduler(self.loop)
        try:
            self.app = App.load(
                path, settings, scheduler=self.scheduler, log=self._log, clock_ms=clock_ms
            )
        except BaseException:
            self.scheduler.close()
            self.loop.close()
            raise
        self.app.hub.attach_loop(self.loop)

    def _log(self, level: str, text: str, fields: Mapping[str, Any], place: str) -> None:
        self.lines.append(LogLine(level, text, dict(fields), place))

    def run_until(self, is_done: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Let the loop run until something holds."""

        async def wait() -> None:
            deadline = self.loop.time() + timeout_s
            while not is_done():
                if self.loop.time() > deadline:
                    raise TimeoutError(f"{what} took more than {timeout_s:g} s")
                await asyncio.sleep(0 if self.loop.time() < deadline - timeout_s + 0.05 else 0.005)

        self.loop.run_until_complete(wait())

    def close(self) -> None:
        hub = self.app.hub
        hub.abort_all()
        with contextlib.suppress(TimeoutError):
            self.run_until(lambda: hub.connection_count == 0, TIMEOUT_S, "closing")
        hub.detach_loop()
        self.app.close()
        self.scheduler.close()
        self.loop.close()


class TestClient:
    """One user of a program.

    Args:
        path: Project root, `app` folder or one `.flin` file.
        settings: Settings of the program; mode "test" when None. Data goes where
            `settings.store.path` says, `.flindb` in the project by default.
        data: Folder for the program's data instead; tests pass a temporary one.
        clock_ms: Unix time in milliseconds, for tests of expiry.

    Attributes:
        cookies: Sent with every request; set by responses.
        base_headers: Sent with every request.
    """

    __test__ = False  # pytest: not a test class

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        settings: Settings | None = None,
        data: str | os.PathLike[str] | None = None,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        settings = settings or Settings(mode="test")
        if data is not None:
            settings = replace(settings, store=replace(settings.store, path=os.fspath(data)))
        self._program = _Program(Path(path), settings, clock_ms)
        self._is_owner = True
        self.cookies: dict[str, str] = {}
        self.base_headers: dict[str, str] = {}

    @property
    def app(self) -> App:
        """The program."""
        return self._program.app

    @property
    def log(self) -> list[LogLine]:
        """What the program has logged."""
        return self._program.lines

    def another(self) -> TestClient:
        """A second user of the same program, without cookies."""
        client = object.__new__(TestClient)
        client._program = self._program
        client._is_owner = False
        client.cookies = {}
        client.base_headers = {}
        return client

    def __enter__(self) -> TestClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program; has no effect on a client made by another()."""
        if self._is_owner:
            self._is_owner = False
            self._program.close()

    # --- requests ----------------------------------------

    def request(
        self,
        method: str,
        target: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        peer: str = "127.0.0.1",
        timeout_s: float = TIMEOUT_S,
    ) -> TestResponse:
        """Send a request and wait for its answer.

        Args:
            method: HTTP method.
            target: Path and query, percent-encoded.
            json: A FLIN value to send as JSON.
            form: Fields to send as a form.
            body: Bytes to send; set Content-Type in `headers`.
            headers: Further fields.
            peer: Address the request comes from.
            timeout_s: Seconds.

        Raises:
            TimeoutError: No answer in time.
        """
        fields = dict(headers or {})
        if json is not None:
            body = encode_json(json)
            fields.setdefault("content-type", "application/json")
        elif form is not None:
            body = urlencode(form).encode()
            fields.setdefault("content-type", "application/x-www-form-urlencoded")
        request = self._make(method, target, fields, body, peer)
        answers: list[Response] = []
        app = self._program.app
        try:
            match = app.match(request.path)
        except BadPath as fault:
            answers.append(app.error_response(fault.status, str(fault), request))
        else:
            if match is None:
                answers.append(app.not_found(request))
            else:
                app.handle(match, request, answers.append)
        self._program.run_until(lambda: bool(answers), timeout_s, f"{method} {target}")
        return self._taken(answers[0], with_body=method != "HEAD")

    def get(self, target: str, **options: Any) -> TestResponse:
        """GET; options as request()."""
        return self.request("GET", target, **options)

    def post(self, target: str, **options: Any) -> TestResponse:
        """POST; options as request()."""
        return self.request("POST", target, **options)

    def put(self, target: str, **options: Any) -> TestResponse:
        """PUT; options as request()."""
        return self.request("PUT", target, **options)

    def patch(self, target: str, **options: Any) -> TestResponse:
        """PATCH; options as request()."""
        return self.request("PATCH", target, **options)

    def delete(self, target: str, **options: Any) -> TestResponse:
        """DELETE; options as request()."""
        return self.request("DELETE", target, **options)

    def websocket(
        self,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        peer: str = "127.0.0.1",
        timeout_s: float = TIMEOUT_S,
    ) -> TestSocket:
        """Open a WebSocket.

        Raises:
            UpgradeRefused: A guard, a middleware or the origin check refused, or there is no
                `ws` block at this path.
            TimeoutError: No decision in time.
        """
        request = self._make("GET", target, dict(headers or {}), b"", peer)
        request.headers += [("upgrade", "websocket"), ("connection", "Upgrade")]
        app = self._program.app
        accepted: list[Upgrade] = []
        refused: list[Response] = []
        try:
            match = app.match(request.path)
        except BadPath as fault:
            refused.append(app.error_response(fault.status, str(fault), request))
        else:
            if match is None:
                refused.append(app.not_found(request))
            else:
                app.upgrade(match, request, accepted.append, refused.append)
        self._program.run_until(
            lambda: bool(accepted or refused), timeout_s, f"upgrade of {target}"
        )
        if refused:
            raise UpgradeRefused(self._taken(refused[0]))
        upgrade = accepted[0]
        self._take_cookies(upgrade.headers)
        return TestSocket(self._program, upgrade)

    def wait_until(self, is_done: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
        """Let the program run until something holds, which may itself ask this client.

        Raises:
            TimeoutError: It does not hold in time.
        """
        loop = self._program.loop
        deadline = loop.time() + timeout_s
        while not is_done():
            if loop.time() > deadline:
                raise TimeoutError(f"the condition did not hold within {timeout_s:g} s")
            loop.run_until_complete(asyncio.sleep(POLL_S))

    # --- private ----------------------------------------

    def _make(
        self, method: str, target: str, fields: dict[str, str], body: bytes, peer: str
    ) -> Request:
        lowered = {name.lower(): value for name, value in {**self.base_headers, **fields}.items()}
        headers = [("host", lowered.pop("host", HOST)), *lowered.items()]
        if self.cookies and "cookie" not in lowered:
            text = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            headers.append(("cookie", text))
        path, _, query = target.partition("?")
        return Request(
            method,
            target,
            path,
            query,
            headers=headers,
            body=body,
            peer=peer,
            id=secrets.token_hex(4),
        )

    def _taken(self, response: Response, *, with_body: bool = True) -> TestResponse:
        self._take_cookies(response.headers)
        headers: dict[str, str] = {}
        for name, value in response.headers:
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = response.body
        if response.file is not None:
            body = response.file.read_bytes()
        return TestResponse(response.status, headers, body if with_body else b"")

    def _take_cookies(self, headers: list[tuple[str, str]]) -> None:
        for name, line in headers:
            if name.lower() != "set-cookie":
                continue
            for key, value in parse_cookies(line.partition(";")[0]).items():
                if "max-age=0" in line.lower().replace(" ", ""):
                    self.cookies.pop(key, None)
                else:
                    self.cookies[key] = value


class TestSocket:
    """The client side of one WebSocket.

    Attributes:
        headers: Further fields of the 101 response.
        connection: The program's side.
    """

    __test__ = False  # pytest: not a test class

    def __init__(self, program: _Program, upgrade: Upgrade) -> None:
        self._program = program
        self._side = ClientSide()
        self._messages: deque[str | bytes] = deque()
        self._is_closing = False
        self._closed: tuple[int, str] | None = None
        self.headers = list(upgrade.headers)
        self.connection = upgrade.context
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._socket = ours
        try:
            program.app.hub.open_fd(
                upgrade.context, upgrade.endpoint, theirs.detach(), response=HEAD
            )
            self._until(lambda: self._side.is_open, TIMEOUT_S)
        except BaseException:
            ours.close()
            raise

    def __enter__(self) -> TestSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- sending ----------------------------------------

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self._send(Opcode.TEXT, text.encode())

    def send_json(self, value: Any) -> None:
        """Send a FLIN value as JSON."""
        self._send(Opcode.TEXT, encode_json(value))

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._send(Opcode.BINARY, data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close as a well-behaved client and wait until the program has noticed."""
        if self._socket.fileno() < 0:
            return
        if self._closed is None:
            self._is_closing = True
            with contextlib.suppress(OSError):
                self._send(Opcode.CLOSE, code.to_bytes(2) + reason.encode())
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            self._until(lambda: self._closed is not None, TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End without a closing handshake, as a lost network does."""
        self._socket.close()

    def _send(self, opcode: Opcode, payload: bytes) -> None:
        # As in a browser, what is sent after the end goes nowhere; receiving tells the end.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._write(frame(opcode, payload))

    def _write(self, data: bytes) -> None:
        self._run(self._program.loop.sock_sendall(self._socket, data), TIMEOUT_S)

    # --- receiving ----------------------------------------

    def receive(self, timeout_s: float = TIMEOUT_S) -> str | bytes:
        """The next message: text or bytes.

        Raises:
            ConnectionClosed: The server closed instead.
            TimeoutError: Nothing came in time.
        """
        with contextlib.suppress(ConnectionClosed):  # what came before the end is received first
            self._until(lambda: bool(self._messages), timeout_s)
        if self._messages:
            return self._messages.popleft()
        raise ConnectionClosed(*(self._closed or (LOST, "")))

    def receive_json(self, timeout_s: float = TIMEOUT_S) -> Any:
        """The next message, decoded; raises as receive(), and ValueError when it is not JSON."""
        return msgspec.json.decode(self.receive(timeout_s))

    def receive_close(self, timeout_s: float = TIMEOUT_S) -> ConnectionClosed:
        """Skip messages until the server closes; how it did.

        Raises:
            TimeoutError: It does not close in time.
        """
        try:
            while True:
                self.receive(timeout_s)
        except ConnectionClosed as closed:
            return closed

    def is_silent(self, for_s: float = 0.05) -> bool:
        """Whether no message comes for a while."""
        try:
            self._until(lambda: bool(self._messages), for_s)
        except TimeoutError:
            return True
        except ConnectionClosed:
            pass
        return False

    def _take(self, event: Event) -> None:
        if event.opcode == Opcode.TEXT:
            self._messages.append(event.payload.decode())
        elif event.opcode == Opcode.BINARY:
            self._messages.append(event.payload)
        else:
            if not self._is_closing:
                with contextlib.suppress(OSError):
                    self._write(answer(event))
            if event.opcode == Opcode.CLOSE:
                self._closed = event.close_code, event.payload.decode("utf-8", "replace")

    def _until(self, is_done: Callable[[], bool], timeout_s: float) -> None:
        """Read until something holds, or the server has closed.

        Raises:
            ConnectionClosed: It has.
            TimeoutError: Neither came in time.
        """
        loop = self._program.loop
        deadline = loop.time() + timeout_s
        while not is_done():
            if self._closed is not None:
                raise ConnectionClosed(*self._closed)
            rest_s = deadline - loop.time()
            if rest_s <= 0:
                raise TimeoutError(f"nothing received for {timeout_s:g} s")
            try:
                data = self._run(loop.sock_recv(self._socket, READ_BYTES), rest_s)
            except ConnectionError:
                data = b""
            if not data:
                self._closed = LOST, ""
            else:
                for event in self._side.feed(data):
                    self._take(event)

    def _run(self, work: Any, timeout_s: float) -> Any:
        return self._program.loop.run_until_complete(asyncio.wait_for(work, timeout_s))
