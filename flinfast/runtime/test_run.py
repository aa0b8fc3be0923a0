"""What a `test` block can do: requests, sessions and WebSockets of one user, in this process.

The test runs in the loop as a handler that waits, so the program under test runs while the test
waits for it: a wait is a commit point, and the program sees what the test has stored. Whoever runs
a test gives it a program of its own (`flinfast.cli.test`).
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flinfast.errors import FlinError, RuntimeFault
from flinfast.runtime.context import RequestContext
from flinfast.runtime.cookie import parse_cookies, printable
from flinfast.runtime.encode import decode_json, encode_json
from flinfast.runtime.error_page import standard_reply
from flinfast.runtime.middleware import Plan
from flinfast.runtime.request import Request
from flinfast.runtime.response import Reply, Response
from flinfast.runtime.router import BadPath
from flinfast.runtime.test_connection import TestConnection, Watcher

if TYPE_CHECKING:
    from flinfast.lang.program import TestInfo
    from flinfast.runtime.app import App, Upgrade

HOST: Final = "testserver"
PEER: Final = "127.0.0.1"


class TestContext(RequestContext):
    """The context of a `test` block: no request, but a user.

    Attributes:
        test_user: Who sends the requests of the test.
    """

    __slots__ = ("test_user",)

    __test__ = False  # pytest: not a test class

    def __init__(self, user: TestUser) -> None:
        super().__init__(user.app.services, Request("GET", "/", "/", peer=PEER), {})
        self.test_user = user


class TestUser:
    """The user of one test.

    Args:
        app: The program under test.
        watcher: Tells of bytes that a WebSocket received.

    Attributes:
        app: See there.
        cookies: Sent with every request; set by responses.
    """

    __test__ = False  # pytest: not a test class

    def __init__(self, app: App, watcher: Watcher) -> None:
        self.app = app
        self.cookies: dict[str, str] = {}
        self._watcher = watcher
        self._connections: list[TestConnection] = []

    def run(self, path: str, test: TestInfo, done: Callable[[Exception | None], None]) -> None:
        """Run a test of the file at `path`; `done` is called once with what ended it, or None."""
        closure = self.app.closure(path, test.handler.key)
        self.app.runner.test(closure, test.handler.effects, TestContext(self), done)

    def close(self) -> None:
        """Close the connections that are open."""
        for connection in self._connections:
            connection.drop()

    # --- what the builtins do ----------------------------------------

    def request(
        self, method: str, path: str, body: Any, headers: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Send a request and wait for the answer; it is a map of status, headers and body."""
        request = self._make(method.upper(), path, body, headers)
        app = self.app

        def send(done: Callable[[Response], None]) -> None:
            try:
                match = app.match(request.path)
            except BadPath as fault:
                done(app.error_response(fault.status, str(fault), request))
                return
            if match is None:
                done(app.not_found(request))
            else:
                app.handle(match, request, done)

        response: Response = self._wait(send)
        self._take_cookies(response.headers)
        return _answer(response, with_body=request.method != "HEAD")

    def login(self, user: Any) -> None:
        """Come from a new session with this user, as a route makes one; from none without one.

        Connections that are open keep the session they have.
        """
        self.cookies.clear()
        if user is None:
            return
        faults: list[RuntimeFault] = []

        def handler(context: RequestContext) -> None:
            context.session.flin_set("user", user)

        def fault_reply(fault: RuntimeFault) -> Reply:
            faults.append(fault)
            return standard_reply(fault.status)

        plan = Plan(
            (), (), None, handler, lambda: standard_reply(204), fault_reply, True, writes=True
        )
        request = self._make("POST", "/", None, None)
        response: Response = self._wait(
            lambda done: self.app.runner.request(plan, request, {}, done)
        )
        if faults:
            raise faults[0]
        self._take_cookies(response.headers)

    def open(self, path: str, headers: Mapping[str, Any] | None) -> TestConnection:
        """Ask for an upgrade; the connection, whose `status` is not 101 when it was refused."""
        request = self._make("GET", path, None, headers)
        request.headers += [("upgrade", "websocket"), ("connection", "Upgrade")]
        app = self.app

        def send(done: Callable[[Any], None]) -> None:
            try:
                match = app.match(request.path)
            except BadPath as fault:
                done(app.error_response(fault.status, str(fault), request))
                return
            if match is None:
                done(app.not_found(request))
            else:
                app.upgrade(match, request, done, done)

        outcome: Upgrade | Response = self._wait(send)
        self._take_cookies(outcome.headers)
        connection = TestConnection(app, self._watcher)
        if isinstance(outcome, Response):
            connection.refuse(outcome.status, _answer(outcome)["body"])
        else:
            self._connections.append(connection)
            self._wait(lambda done: connection.start(outcome, done))
        return connection

    # --- private ----------------------------------------

    def _wait(self, start: Callable[[Callable[[Any], None]], None]) -> Any:
        """Begin something in the loop and wait for what it gives.

        Handlers must not run on the stack of the test, whose transaction is not theirs.
        """
        soon = self.app.services.scheduler.call_soon

        def begin(done: Callable[[Any], None]) -> None:
            def run() -> None:
                try:
                    start(done)
                except Exception as error:  # noqa: BLE001 - the test waits for it
                    done(error)

            soon(run)

        return self.app.services.waiter.wait_callback(begin)

    def _make(
        self, method: str, target: str, body: Any, headers: Mapping[str, Any] | None
    ) -> Request:
        if not target.startswith("/") or not target.isprintable() or " " in target:
            shown = printable(target)
            raise RuntimeFault(f"expected a path such as `/api/users`, got `{shown}`", code="FL504")
        if not method.isalpha():
            raise RuntimeFault(f"expected a method, got `{printable(method)}`", code="FL504")
        fields = {str(name).lower(): str(value) for name, value in (headers or {}).items()}
        data = b""
        if isinstance(body, bytes):
            data = body
        elif isinstance(body, str) and "content-type" in fields:
            data = body.encode()
        elif body is not None:
            data = encode_json(body)
            fields.setdefault("content-type", "application/json")
        sent = [("host", fields.pop("host", HOST)), *fields.items()]
        if self.cookies and "cookie" not in fields:
            pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            sent.append(("cookie", pairs))
        path, _, query = target.encode().decode("latin-1").partition("?")
        return Request(
            method, target, path, query, headers=sent, body=data, peer=PEER, id=secrets.token_hex(4)
        )

    def _take_cookies(self, headers: list[tuple[str, str]]) -> None:
        for name, line in headers:
            if name.lower() != "set-cookie":
                continue
            is_over = "max-age=0" in line.lower().replace(" ", "")
            for key, value in parse_cookies(line.partition(";")[0]).items():
                if is_over:
                    self.cookies.pop(key, None)
                else:
                    self.cookies[key] = value


def _answer(response: Response, *, with_body: bool = True) -> dict[str, Any]:
    headers: dict[str, str] = {}
    for name, value in response.headers:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    data = response.body if response.file is None else response.file.read_bytes()
    kind = headers.get("content-type", "")
    body: Any = data
    if not data or not with_body:
        body = None
    elif "json" in kind:
        with contextlib.suppress(ValueError, FlinError):
            body = decode_json(data)
    elif kind.startswith("text/"):
        body = data.decode("utf-8", "replace")
    return {"status": response.status, "headers": headers, "body": body}
