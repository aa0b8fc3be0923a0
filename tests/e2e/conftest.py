"""Real `flinfast serve` processes for the end-to-end tests, and small clients for them."""

import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parent.parent.parent
# Of a loaded machine: a start takes half a second of processor time, 2 s without a cache.
START_S = 100.0
RECEIVE_S = 30.0
# A server whose clients do not end is noticed: it waits longer than the tests do.
STOP_S = 100.0
DRAIN = "300s"
_LISTENS = re.compile(rb"App {6}https?://\S+?:(\d+)\s")  # whole: output comes in pieces
# Below what systems give to connections and to port 0 (32768 and up): nobody takes one of these
# while a server is down that starts on it again.
_PORTS = range(20_000, 32_000)
# For clients that answer no pings: a loaded machine may take longer than a server lets them be.
NO_PINGS = {"FLIN_WS_HEARTBEAT": "600s", "FLIN_WS_TIMEOUT": "1200s"}
SECRET = secrets.token_urlsafe(48)  # one per run: a restarted server knows its sessions


def free_port() -> int:
    """A port for a server that has to know it before it starts, or starts on it twice."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(
    condition: Callable[[], Any],
    timeout_s: float = RECEIVE_S,
    what: str = "",
    every_s: float = 0.01,
) -> Any:
    """Poll until `condition()` is true; its value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what or condition}")
        time.sleep(every_s)


class Server:
    """One `flinfast serve` process over a copy of a project.

    Attributes:
        root: Project folder (a copy; tests may change it).
        port: TCP port on 127.0.0.1.
    """

    def __init__(self, root: Path, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
        self.root = root
        self.environment = environment
        self.arguments = arguments
        self.port = 0
        self.command = "serve"
        self.process: subprocess.Popen[bytes] | None = None
        self._output = bytearray()
        self._heard = 0  # bytes of output that earlier processes wrote
        self._reader = threading.Thread()

    @property
    def output(self) -> str:
        """Standard output and error so far: lines may come later than what they are about."""
        return bytes(self._output).decode(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, port: int = 0, *, prefix: tuple[str, ...] = ()) -> "Server":
        """Start the process and wait until it says that it listens; `port` 0 lets it choose.

        `prefix` is a command that runs it, such as one that sets limits.
        """
        process = self.launch(port, prefix=prefix)
        deadline = time.monotonic() + START_S
        while not self.is_listening:
            if process.poll() is not None:
                self._reader.join(START_S)
                raise AssertionError(f"server ended at once:\n{self.output}")
            assert time.monotonic() < deadline, (
                f"server did not listen within {START_S:.0f} s ({self.state}):\n{self.output}"
            )
            time.sleep(0.005)
        return self

    @property
    def is_listening(self) -> bool:
        """Whether the process has said on which port it listens; `port` is that."""
        found = _LISTENS.search(bytes(self._output[self._heard :]))
        if found is not None:
            self.port = int(found[1])
        return found is not None

    def launch(self, port: int = 0, *, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start the process and wait for nothing."""
        self._heard = len(self._output)
        command = [*prefix, sys.executable, "-m", "flinfast", self.command, str(self.root)]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "FLIN_SESSION_SECRET": SECRET,
                "FLIN_SERVER_DRAIN": DRAIN,
                **self.environment,
            },
            cwd=self.root,
        )
        self._reader = threading.Thread(target=self._drain, args=(self.process,), daemon=True)
        self._reader.start()
        return self.process

    @property
    def state(self) -> str:
        """What the process is doing, and how busy the machine is, for a failure's message."""
        load = "load " + ", ".join(f"{mean:.1f}" for mean in os.getloadavg())
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return load
        used_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return f"state {fields[0]}, {used_s:.2f} s of processor time, {load}"

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stdout:
            while chunk := stdout.read1(65536):  # type: ignore[attr-defined]
                self._output += chunk

    def stop(self, with_signal: int = signal.SIGTERM, timeout_s: float = STOP_S) -> int:
        """End the process; its exit status. All that it has said is in `output` then."""
        assert self.process is not None
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(with_signal)
        try:
            status = self.process.wait(timeout_s)
            self._reader.join(timeout_s)
            return status
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"server did not end:\n{self.output}") from None

    def kill(self) -> None:
        """End the process if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)

    def client(self, name: str | None = None) -> "Client":
        """An HTTP client with its own cookies, logged in when a name is given."""
        client = Client(self)
        if name is not None:
            status, body = client.post("/api/login", {"name": name})
            assert status == 200, (status, body, self.output)
        return client


class Client:
    """An HTTP client that keeps cookies, and opens WebSockets with them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookies: dict[str, str] = {}
        self.last_headers: dict[str, str] = {}

    @property
    def cookie_header(self) -> dict[str, str]:
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": pairs} if pairs else {}

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and body (decoded when it is JSON)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=RECEIVE_S)
        try:
            connection.request(method, path, body, {**self.cookie_header, **(headers or {})})
            answer = connection.getresponse()
            data = answer.read()
            self.last_headers = {k.lower(): v for k, v in answer.getheaders()}
            for key, value in answer.getheaders():
                if key.lower() == "set-cookie":
                    pair, _, attributes = value.partition(";")
                    name, _, content = pair.partition("=")
                    if "max-age=0" in attributes.lower().replace(" ", ""):
                        self.cookies.pop(name, None)
                    else:
                        self.cookies[name] = content
        finally:
            connection.close()
        if answer.getheader("Content-Type", "").startswith("application/json") and data:
            return answer.status, json.loads(data)
        return answer.status, data

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, value: Any) -> tuple[int, Any]:
        body = json.dumps(value).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json"})

    def ws(self, path: str, **options: Any) -> "Socket":
        url = f"ws://127.0.0.1:{self.server.port}{path}"
        headers = {**self.cookie_header, **options.pop("additional_headers", {})}
        options = {"open_timeout": RECEIVE_S, "ping_interval": None, **options}
        return Socket(connect(url, additional_headers=headers, **options))


class Socket:
    """A WebSocket of the `websockets` library whose receives time out."""

    def __init__(self, opening: AbstractContextManager[ClientConnection]) -> None:
        self._opening = opening
        self.connection = opening.__enter__()

    def send(self, value: Any) -> None:
        self.connection.send(value if isinstance(value, (str, bytes)) else json.dumps(value))

    def receive(self) -> Any:
        """The next message, decoded when it is JSON."""
        data = self.connection.recv(RECEIVE_S)
        if isinstance(data, str):
            with suppress(ValueError):
                return json.loads(data)
        return data

    def nothing_arrives_before(self, marker: Callable[[], None]) -> list[Any]:
        """Messages that arrive before the one that `marker` causes (a dict with `marker`)."""
        marker()
        seen: list[Any] = []
        while True:
            message = self.receive()
            if isinstance(message, dict) and "marker" in message:
                return seen
            seen.append(message)

    def receive_until_closed(self) -> None:
        """Read on until the connection ends; raises ConnectionClosed."""
        while True:
            self.receive()

    def close(self) -> None:
        self._opening.__exit__(None, None, None)

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def made(
    root: Path,
    files: dict[str, str],
    environment: dict[str, str] | None = None,
    arguments: tuple[str, ...] = (),
) -> Server:
    """A server over these files, not yet started."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Server(root, environment or {}, arguments)


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Factory: `make_server("chat")` or `make_server(files={"app/api/x.flin": "..."})`."""
    servers: list[Server] = []

    def make(
        example: str = "",
        *,
        files: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        start: bool = True,
    ) -> Server:
        root = tmp_path / f"project{len(servers)}"
        if example:
            ignore = shutil.ignore_patterns(".flindb", ".flincache")
            shutil.copytree(ROOT / "examples" / example, root, ignore=ignore)
        server = made(root, files or {}, environment, arguments)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.kill()
