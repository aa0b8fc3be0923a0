"""A server while it is attacked: it goes on, gives everything back, and ends when it is told to."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import wire
from tests.e2e.attacks import request
from tests.e2e.conftest import NO_PINGS, Server, wait_until
from tests.server.running import Client

DESCRIPTORS = 64  # few enough to run out of, more than a server needs to start
PIPELINED_COUNT = 100_000
DRAIN = "2s"
WAIT_S = 100.0  # for an answer; hashing passwords takes its time on a busy machine
FILES = {
    "app/index.flin": 'route GET { "home" }\n\nroute POST { body.len }\n',
    "app/big.flin": 'route GET { "x".repeat(2_000_000) }\n',
    "app/sleep.flin": 'route GET { sleep(15_000) "woke" }\n',
    "app/long.flin": 'route GET { sleep(600_000) "woke" }\n',
    "app/hash.flin": 'route GET { hash_password("a password").len }\n',
    "app/fetch.flin": """
        route GET { http_get("http://127.0.0.1:{query.port}/", { timeout: 60.seconds }).status }
    """,
    "app/upload.flin": 'route POST { save_file(body.file, "uploads") }\n',
    "app/news.flin": 'route GET { event_stream("news") }\n',
    "app/echo.flin": "ws { on message(data) { ws_send(ws.connection_id, data) } }\n",
    "app/slow.flin": "ws { on message(data) { sleep(20) ws_send(ws.connection_id, data) } }\n",
}
PLANES = ["reactor", "adapter"]
Start = Callable[..., Server]

pytestmark = pytest.mark.timeout(3 * WAIT_S)  # a deadline for what hangs, not for what is slow


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers; what they wrote to their log is looked at in the end."""
    started: list[Server] = []

    def begin(plane: str = "reactor", *, prefix: tuple[str, ...] = (), **settings: str) -> Server:
        root = tmp_path / f"project{len(started)}"
        for name, text in FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        environ = {f"FLIN_{name.upper()}": value for name, value in settings.items()}
        environ |= {"FLIN_LOG_ACCESS": "off", "FLIN_SERVER_DATA_PLANE": plane, **NO_PINGS}
        one = Server(root, environ, ())
        started.append(one)
        return one.start(prefix=prefix)

    yield begin
    for one in started:
        if one.process is not None and one.process.poll() is None:
            assert one.stop() == 0
        assert "Traceback" not in one.output


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), WAIT_S)


def ask(server: Server, path: str) -> socket.socket:
    """A request whose answer is not waited for."""
    link = connect(server)
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return link


def get(server: Server, path: str = "/") -> bytes:
    """An honest client's answer."""
    with Client(connect(server)) as client:
        client.link.settimeout(WAIT_S)
        return client.get(path, "Connection: close").body


def upgrade(server: Server, path: str = "/echo") -> Client:
    client = Client(connect(server))
    client.send(request(line=f"GET {path} HTTP/1.1"))
    assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    return client


def reset(link: socket.socket) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


def fill(link: socket.socket, data: bytes, size_max: int = 32 << 20) -> None:
    """Send the same again and again until nothing more is taken."""
    link.setblocking(False)
    with contextlib.suppress(BlockingIOError, ConnectionError):
        for _ in range(size_max // len(data)):
            link.send(data)


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")

# --- floods ----------------------------------------


@pytest.mark.parametrize("plane", PLANES)
def test_a_flood_of_pipelined_requests_leaves_room_for_others(start: Start, plane: str) -> None:
    """Each is answered, and neighbours are answered meanwhile, not after it."""
    server = start(plane)
    one = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
    other = b"GET /?a=1 HTTP/1.1\r\nHost: test\r\n\r\n"
    link = connect(server)
    sender = threading.Thread(target=link.sendall, args=((one + other) * (PIPELINED_COUNT // 2),))
    sender.start()
    size = answered = neighbours = 0
    tail = b""
    while answered < PIPELINED_COUNT:
        part = link.recv(1 << 20)
        assert part, f"the connection ended after {answered} answers"
        read = tail + part
        answered += read.count(b'"home"')
        tail = read[-5:]  # a part may be shorter than that
        size += len(part)
        if size > 1 << 20:
            size = 0
            assert get(server) == b'"home"'
            neighbours += answered < PIPELINED_COUNT
    sender.join()
    link.close()
    assert neighbours > 5


@needs_proc
@pytest.mark.parametrize("plane", PLANES)
def test_garbage_after_the_upgrade_leaves_nothing(start: Start, plane: str) -> None:
    """Whatever bytes come and however the peer leaves, descriptors come back."""
    server = start(plane)
    assert get(server) == b'"home"'
    before, chance = descriptors(server), random.Random(7)
    for number in range(300):
        client = upgrade(server)
        with contextlib.suppress(ConnectionError):
            client.send(chance.randbytes(chance.randrange(1, 2000)))
        if number % 3 == 0:
            reset(client.link)
        elif number % 3 == 1:
            client.link.shutdown(socket.SHUT_WR)
            client.read_to_end()
        client.link.close()
    wait_until(lambda: descriptors(server) <= before, WAIT_S, "descriptors come back")
    assert get(server) == b'"home"'


@needs_proc
def test_uploads_that_break_off_leave_no_file(start: Start) -> None:
    """The client vanishes while its file streams in: nothing is saved, nothing is kept open."""
    server = start()
    assert get(server) == b'"home"'
    before = descriptors(server)
    head = (
        b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 5000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    )
    for number in range(100):
        link = connect(server)
        link.sendall(head + b"x" * 50_000)
        if number % 2:
            reset(link)
        else:
            link.close()
    wait_until(lambda: descriptors(server) <= before, WAIT_S, "descriptors come back")
    assert not (server.root / "uploads").exists()


@needs_proc
def test_clients_that_leave_while_their_handlers_wait_harm_nobody(start: Start) -> None:
    """Each waiting builtin in turn: others are served; who only ended a side is answered first."""
    server = start(server_drain=DRAIN, server_handler_timeout="100s")
    assert get(server) == b'"home"'
    before = descriptors(server)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for path in ("/sleep", "/hash", f"/fetch?port={silent.getsockname()[1]}"):
            links = [ask(server, path) for _ in range(40)]
            for number, link in enumerate(links):
                if number % 2:
                    reset(link)
                else:
                    link.close()
            assert get(server) == b'"home"'
        assert get(server, "/hash").isdigit()  # while 40 requests wait for a silent server
    wait_until(lambda: descriptors(server) <= before, WAIT_S, "descriptors come back")


# --- the last descriptor ----------------------------------------


@needs_proc
@pytest.mark.parametrize("plane", PLANES)
def test_a_server_without_descriptors_recovers(start: Start, plane: str) -> None:
    """Connections beyond the limit wait; those that are open are served; later ones as well."""
    limit = shutil.which("prlimit")
    if limit is None:
        pytest.skip("needs prlimit (util-linux)")
    server = start(plane, prefix=(limit, f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"))
    with upgrade(server) as early:
        links = [connect(server) for _ in range(2 * DESCRIPTORS)]
        wait_until(lambda: descriptors(server) == DESCRIPTORS, what="no descriptor is left")
        early.send(wire.frame(wire.TEXT, b"still here"))
        assert early.read_until(b"still here")
        for link in links:
            link.close()
        # Not before: libuv drops whom it has no descriptor for.
        wait_until(lambda: descriptors(server) < DESCRIPTORS // 2, WAIT_S, "descriptors come back")
        assert get(server) == b'"home"'
        late = b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\nConnection: close\r\n"
        kind = b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        body = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
            b"text\r\n--b--\r\n"
        )
        with Client(connect(server)) as client:
            client.send(late % len(body) + kind + body)
            assert client.read_response().status == 200


# --- the end ----------------------------------------


def _silent(server: Server) -> list[socket.socket]:
    return [connect(server) for _ in range(100)]


def _half_open(server: Server) -> list[socket.socket]:
    links = [connect(server) for _ in range(100)]
    for link in links:
        link.sendall(b"GET / HT")
    return links


def _uploads(server: Server) -> list[socket.socket]:
    links = [connect(server) for _ in range(30)]
    for link in links:
        link.sendall(
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 500000\r\n\r\n" + bytes(9999)
        )
    return links


def _never_reading(server: Server) -> list[socket.socket]:
    links = [connect(server) for _ in range(5)]
    for link in links:
        fill(link, b"GET /big HTTP/1.1\r\nHost: test\r\n\r\n" * 100, 1 << 20)
    return links


def _hashing(server: Server) -> list[socket.socket]:
    return [ask(server, "/hash") for _ in range(30)]


def _sleeping(server: Server) -> list[socket.socket]:
    return [ask(server, "/long") for _ in range(60)]


def _fetching(server: Server) -> list[socket.socket]:
    silent = socket.create_server(("127.0.0.1", 0))
    links = [ask(server, f"/fetch?port={silent.getsockname()[1]}") for _ in range(3)]
    silent.settimeout(WAIT_S)
    reached = silent.accept()[0]  # the handler waits for an answer now
    return [*links, reached, silent]


def _messages(server: Server) -> list[socket.socket]:
    links = [upgrade(server, path).link for path in ("/slow", "/echo") for _ in range(5)]
    for link in links:
        fill(link, wire.frame(wire.TEXT, b"x" * 1000) * 20)
    return links


def _event_streams(server: Server) -> list[socket.socket]:
    links = [ask(server, "/news") for _ in range(30)]
    for link in links:
        assert link.recv(4096).startswith(b"HTTP/1.1 200 ")
    return links


@pytest.mark.parametrize(
    "attack",
    [
        _silent,
        _half_open,
        _uploads,
        _never_reading,
        _hashing,
        _sleeping,
        _fetching,
        _messages,
        _event_streams,
    ],
    ids=lambda attack: attack.__name__[1:],
)
def test_a_stopped_server_ends(
    start: Start, attack: Callable[[Server], list[socket.socket]]
) -> None:
    """SIGTERM in the middle of each: exit status 0 soon after the drain, whatever clients do."""
    server = start(server_drain=DRAIN, server_handler_timeout="1h")
    assert get(server) == b'"home"'
    links = attack(server)
    try:
        assert server.stop() == 0
    finally:
        for link in links:
            link.close()
