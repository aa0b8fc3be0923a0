"""Many bad clients at once: memory stays bounded, the others are served, descriptors come back."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Server, wait_until

FILES = {"app/index.flin": 'route GET { "home" }\n\nroute POST { body.len }\n'}
# Both ends need a descriptor each; a lower limit of this machine makes the flood smaller.
HALF_OPEN_COUNT = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
IDLE_BYTES_MAX = 8 << 10  # resident growth allowed per half-open connection
ANSWER_S = 30.0  # an honest client is answered within this, on a busy machine too
ENDED_S = 60.0  # bad ones are gone within this

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="memory is read from /proc"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers in processes of their own, whose memory is theirs alone."""
    started: list[Server] = []

    def begin(**settings: str) -> Server:
        root = tmp_path / "project"
        for name, text in FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "public").mkdir()
        (root / "public" / "large.bin").write_bytes(bytes(8 << 20))
        environ = {f"FLIN_{name.upper()}": value for name, value in settings.items()}
        one = Server(root, {"FLIN_LOG_ACCESS": "off", **environ}, ())
        started.append(one)
        return one.start()

    yield begin
    for one in started:
        one.stop()


def resident(server: Server) -> int:
    """Resident bytes of the server's process."""
    pages = Path(f"/proc/{server.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def get(server: Server) -> None:
    """Ask as an honest client does; it is answered while the flood lasts."""
    with socket.create_connection(("127.0.0.1", server.port), ANSWER_S) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := link.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'\r\n\r\n"home"')


def flood(server: Server, count: int, data: bytes) -> list[socket.socket]:
    """Connections that have sent something and wait."""
    links = []
    for _ in range(count):
        link = socket.create_connection(("127.0.0.1", server.port), ANSWER_S)
        link.sendall(data)
        links.append(link)
    return links


def close_all(links: list[socket.socket]) -> None:
    for link in links:
        link.close()


def test_half_open_requests_cost_little_and_end(server: Callable[..., Server]) -> None:
    """Thousands of heads that never end: small in memory, harmless to others, gone after 408."""
    one = server(server_head_timeout="4s")
    get(one)
    before, files_before = resident(one), descriptors(one)
    links = flood(one, HALF_OPEN_COUNT, b"GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ")
    try:
        get(one)
        grown = resident(one) - before
        assert grown < HALF_OPEN_COUNT * IDLE_BYTES_MAX, f"{grown / HALF_OPEN_COUNT:.0f} B each"
        wait_until(lambda: descriptors(one) <= files_before, ENDED_S, "half-open connections end")
        assert links[0].recv(4096).startswith(b"HTTP/1.1 408 ")
        assert links[-1].recv(4096).startswith(b"HTTP/1.1 408 ")
        get(one)
    finally:
        close_all(links)


def test_bodies_that_never_end_hold_what_was_sent(server: Callable[..., Server]) -> None:
    """An announced length reserves nothing; what was sent is kept until the body's deadline."""
    one = server(server_body_timeout="2s")
    get(one)
    before, files_before = resident(one), descriptors(one)
    head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n"
    links = flood(one, 300, head + b"x" * 1000)
    try:
        get(one)
        assert resident(one) - before < 300 * (32 << 10)
        wait_until(lambda: descriptors(one) <= files_before, ENDED_S, "slow bodies end")
        assert links[0].recv(4096).startswith(b"HTTP/1.1 408 ")
    finally:
        close_all(links)


def test_bodies_in_one_byte_chunks_are_bounded(server: Callable[..., Server]) -> None:
    """Chunks that are all framing are refused before they cost memory."""
    one = server()
    get(one)
    before = resident(one)
    head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    links = flood(one, 100, head + b"1\r\nx\r\n" * 8000)
    try:
        for link in links:
            assert link.recv(4096).startswith(b"HTTP/1.1 400 ")
        get(one)
        assert resident(one) - before < 16 << 20
    finally:
        close_all(links)


def test_readers_that_never_read_hold_one_window_each(server: Callable[..., Server]) -> None:
    """A large file asked for again and again by peers that read nothing is not loaded for them."""
    one = server()
    get(one)
    before = resident(one)
    links = flood(one, 100, b"GET /large.bin HTTP/1.1\r\nHost: test\r\n\r\n" * 50)
    try:
        readable, _, _ = select.select(links, [], [], ANSWER_S)
        assert readable
        get(one)
        assert resident(one) - before < 100 * (256 << 10)
    finally:
        close_all(links)


def test_header_floods_are_cut_off(server: Callable[..., Server]) -> None:
    """Endless fields are refused at the limit; what follows is dropped, not kept."""
    one = server()
    get(one)
    before = resident(one)
    line = b"X-Flood: " + b"y" * 1000 + b"\r\n"
    links = flood(one, 200, b"GET / HTTP/1.1\r\nHost: test\r\n" + line * 17)
    try:
        for link in links:
            with contextlib.suppress(ConnectionError):  # refused already
                link.sendall(line * 200)
            assert link.recv(4096).startswith(b"HTTP/1.1 431 ")
        get(one)
        assert resident(one) - before < 200 * (64 << 10)
    finally:
        close_all(links)


def test_connections_reset_at_once_leave_nothing(server: Callable[..., Server]) -> None:
    """A thousand resets in one moment: every descriptor comes back, the next client is served."""
    one = server()
    get(one)
    files_before = descriptors(one)
    links = flood(one, 1000, b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc")
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    for link in links:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        link.close()
    wait_until(lambda: descriptors(one) <= files_before, ENDED_S, "reset connections end")
    get(one)
