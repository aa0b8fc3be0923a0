"""A real server over loopback with a small fake program and a fake hub behind it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flinfast.native.hub import Connection, Endpoint, Hub, KnownUpgrades, Opening, Stream
from flinfast.runtime.request import Request
from flinfast.runtime.response import Response
from flinfast.runtime.router import BadPath
from flinfast.server import config as config_module
from flinfast.server.log import Log
from flinfast.server.loop import LoopScheduler, new_loop
from flinfast.server.server import Server

TIMEOUT_S = 30.0  # of a loaded machine
JSON = [("Content-Type", "application/json; charset=utf-8")]


@dataclass
class FakeUpgrade:
    """What the program hands over for an accepted upgrade."""

    endpoint: object = None
    context: object = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    protocol: str = ""
    renew: Callable[[str], Any] | None = None


class FakeApp:
    """Routes by exact path to Python functions; `/echo` and friends exist from the start."""

    def __init__(self, scheduler: LoopScheduler) -> None:
        self.scheduler = scheduler
        self.requests: list[Request] = []
        self.upgrades: list[Request] = []
        self.renewed: list[PlainConnection] = []  # of upgrades that nobody was asked about
        self.pending: list[Callable[[Response], None]] = []
        self.closed = False
        self.reloads = 0
        self.epoch = 1
        self.can_store = True
        self.endpoint = Endpoint(path="/ws-open")
        self.when_closed: Callable[[Any], None] | None = None
        self.upgrade_headers: list[tuple[str, str]] = []
        self.routes: dict[str, Callable[[Request, Callable[[Response], None]], None]] = {
            "/": lambda _, respond: respond(Response(200, JSON, b'"home"')),
            "/echo": self._echo,
            "/later": lambda _, respond: scheduler.call_later(
                0.01, lambda: respond(Response(200, JSON, b'"later"'))
            ),
            "/never": lambda _, respond: self.pending.append(respond),
            "/crash": self._crash,
            "/twice": self._twice,
            "/inject": lambda _, respond: respond(Response(200, [("X-A", "b\r\nX-C: d")], b"")),
            "/empty": lambda _, respond: respond(Response(204)),
            "/big": lambda _, respond: respond(Response(200, [], b"x" * (4 << 20))),
            "/ws": lambda _, respond: respond(Response(426, [("Upgrade", "websocket")])),
            "/ws-open": lambda _, respond: respond(Response(426)),
            "/ws-denied": lambda _, respond: respond(Response(404)),
            "/ws-later": lambda _, respond: respond(Response(404)),
            "/ws-never": lambda _, respond: respond(Response(404)),
        }

    def _echo(self, request: Request, respond: Callable[[Response], None]) -> None:
        respond(Response(200, [("X-Path", request.path)], request.body or b"empty"))

    def _crash(self, request: Request, respond: Callable[[Response], None]) -> None:
        raise KeyError("inside the program")

    def _twice(self, request: Request, respond: Callable[[Response], None]) -> None:
        respond(Response(200, JSON, b"1"))
        respond(Response(200, JSON, b"2"))

    def _renew(self, address: str) -> PlainConnection:
        self.renewed.append(PlainConnection(address))
        return self.renewed[-1]

    def match(self, path: str) -> str | None:
        if "/../" in path or path.endswith("/..") or "%zz" in path:
            raise BadPath
        return path if path in self.routes else None

    def handle(self, match: str, request: Request, respond: Callable[[Response], None]) -> None:
        self.requests.append(request)
        self.routes[match](request, respond)

    def upgrade(
        self,
        match: str,
        request: Request,
        accept: Callable[[Any], None],
        reject: Callable[[Response], None],
    ) -> None:
        self.upgrades.append(request)
        accepted = FakeUpgrade(
            context=FakeConnection(), headers=self.upgrade_headers, protocol="flin.json.v1"
        )
        if match == "/ws":
            accept(accepted)
        elif match == "/ws-open":
            accept(
                FakeUpgrade(
                    self.endpoint,
                    PlainConnection(request.peer),
                    self.upgrade_headers,
                    "flin.json.v1",
                    self._renew,
                )
            )
        elif match == "/ws-later":
            self.scheduler.call_later(0.02, lambda: accept(accepted))
        elif match == "/ws-denied":
            reject(Response(401, JSON, b'{"error":"Unauthorized","status":401}'))
        elif match != "/ws-never":
            reject(Response(404))

    def straight(self, request: Request, make_id: Callable[[], str]) -> None:
        """Every request takes the ordinary way."""

    def not_found(self, request: Request) -> Response:
        return Response(404, JSON, b'{"error":"Not Found","status":404}')

    def error_response(self, status: int, message: str, request: Request) -> Response:
        return Response(status, JSON, b'{"error":"' + message.encode() + b'"}')

    def reload_apart(self, done: Callable[[BaseException | None], None]) -> None:
        self.reloads += 1
        done(None)

    def close(self) -> None:
        self.closed = True


class PlainConnection(Connection):
    """A real one, of an endpoint without handlers."""

    path = "/ws-open"

    def __init__(self, address: str) -> None:
        self.address = address


class FakeConnection:
    """What the adapter asks of a connection."""

    buffered_bytes = 0


@dataclass
class Opened:
    """One call of open_stream() or open_transport()."""

    kind: str
    early: bytes
    protocol: str
    deflate: bool
    link: Any


class FakeHub:
    """Sends the 101 and keeps the socket; feeds are recorded."""

    connection_count = 0
    room_count = 0

    def __init__(self) -> None:
        self.real = Hub(lambda value: repr(value).encode())  # accepts, and carries HTTP
        self.opened: list[Opened] = []
        self.known: KnownUpgrades
        self.fed = bytearray()
        self.events: list[str] = []

    def attach_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self.real.attach_loop(loop)
        self.events.append("attach")

    def detach_loop(self) -> None:
        self.real.detach_loop()
        self.real = Hub(lambda value: repr(value).encode())  # with the old one its epoll set goes
        self.events.append("detach")

    def listen(self, fd: int, make_protocol: Any, on_fault: Any, known: KnownUpgrades) -> None:
        self.known = known
        self.real.listen(fd, make_protocol, on_fault, known)

    def unlisten(self, fd: int) -> None:
        self.real.unlisten(fd)

    def sweep_accepted(self, fresh_s: float) -> None:
        self.real.sweep_accepted(fresh_s)

    def close_accepted(self) -> None:
        self.real.close_accepted()

    def open_stream(self, stream: Stream, opening: Opening) -> None:
        link = socket.socket(fileno=os.dup(stream.fileno()))
        assert not os.get_blocking(link.fileno())
        stream.abort()  # the duplicate keeps the connection
        self.opened.append(Opened("stream", opening.early, opening.protocol, opening.deflate, link))
        with contextlib.suppress(OSError):  # the peer may have gone; the hub owns the socket
            link.send(opening.response)

    def open_transport(
        self,
        connection: object,
        endpoint: object,
        transport: Any,
        *,
        response: bytes,
        early: bytes = b"",
        protocol: str = "",
        deflate: bool = False,
        deflate_output: bool = True,
    ) -> None:
        self.opened.append(Opened("transport", early, protocol, deflate, transport))
        transport.write(response)

    def feed(self, connection: object, data: bytes) -> None:
        self.fed += data

    def eof(self, connection: object) -> None:
        self.events.append("eof")

    def lost(self, connection: object) -> None:
        self.events.append("lost")

    def drain(self, code: int) -> None:
        self.events.append(f"drain {code}")

    def abort_all(self) -> None:
        self.events.append("abort")
        for one in self.opened:
            if one.kind == "stream":
                one.link.close()

    def stats(self) -> dict[str, int]:
        return {"opened": len(self.opened), "queued_bytes": 7}


class Client:
    """A blocking socket that reads HTTP responses; every read has a deadline."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.link.settimeout(TIMEOUT_S)
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def send(self, data: bytes) -> None:
        self.link.sendall(data)

    def read_some(self) -> bytes:
        try:
            return self.link.recv(65536)
        except ConnectionResetError:
            return b""

    def read_to_end(self) -> bytes:
        """Everything up to the end of the stream."""
        while data := self.read_some():
            self.buffer += data
        found, self.buffer = self.buffer, b""
        return found

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            data = self.read_some()
            if not data:
                raise AssertionError(f"the connection ended before {mark!r}: {self.buffer!r}")
            self.buffer += data
        end = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:end], self.buffer[end:]
        return found

    def read_exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            data = self.read_some()
            if not data:
                raise AssertionError(f"the connection ended, got {len(self.buffer)} of {size}")
            self.buffer += data
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def read_response(self, *, head_only: bool = False) -> Answer:
        head = self.read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        status = int(first.split(" ")[1])
        pairs = [line.partition(": ")[::2] for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        if headers.get("transfer-encoding") == "chunked" and not head_only:  # only proxies do
            return Answer(status, headers, self._read_chunks(), pairs)
        size = 0 if head_only or status < 200 else int(headers.get("content-length", "0"))
        return Answer(status, headers, self.read_exactly(size), pairs)

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.read_until(b"\r\n"), 16):
            body += self.read_exactly(size + 2)[:-2]
        self.read_until(b"\r\n")
        return body

    def get(self, path: str, *fields: str) -> Answer:
        lines = "".join(f"{line}\r\n" for line in fields)
        self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode("latin-1"))
        return self.read_response()

    def is_closed(self) -> bool:
        """Whether the server ends the stream without another byte."""
        return self.read_to_end() == b""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    pairs: list[tuple[str, str]] = field(default_factory=list)


class Running:
    """A server in a thread of its own."""

    def __init__(
        self, root: Path, environ: dict[str, str], *, tls: tuple[str, str] | None = None
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        values = {"FLIN_SERVER_PORT": "0", **environ}
        if tls:
            values["FLIN_SERVER_SSL_CERTFILE"], values["FLIN_SERVER_SSL_KEYFILE"] = tls
        self.config = config_module.load(root, environ=values)
        self.root = root
        self.log_path = root / "log.txt"
        self.app: FakeApp
        self.hub = FakeHub()
        self.server: Server
        self._ready = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def _run(self) -> None:
        loop = new_loop()
        with self.log_path.open("wb") as file:
            log = Log(self.config.settings.log, fd=file.fileno())
            try:
                self.server = Server(self.config, self.root, self._load, log)
                self.loop = loop
                loop.run_until_complete(self.server.serve(lambda *_: self._ready.set()))
            except BaseException as error:  # noqa: BLE001 - shown by the thread that waits
                self._fault = error
                self._ready.set()
            finally:
                loop.close()
                gc.unfreeze()  # a server freezes what its process holds; this one lives on

    def _load(self, scheduler: LoopScheduler, log: Log) -> Any:
        self.app = FakeApp(scheduler)
        return self.app, self.hub

    def start(self) -> Running:
        self._thread.start()
        assert self._ready.wait(TIMEOUT_S)
        if self._fault is not None:
            raise self._fault
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it ends by itself: its loop is closed
                self.loop.call_soon_threadsafe(self.server.request_stop)
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive(), "the server did not stop"
        if self._fault is not None:
            raise self._fault

    def request_stop(self) -> None:
        self.loop.call_soon_threadsafe(self.server.request_stop)

    @property
    def port(self) -> int:
        return int(self.server.addresses[0].rpartition(":")[2])

    def connect(self) -> Client:
        return Client(socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S))

    def log_text(self) -> str:
        return self.log_path.read_text()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds in the server's thread."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            threading.Event().wait(0.005)
