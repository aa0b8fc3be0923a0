"""Thousands of WebSockets from one thread: raw sockets in an epoll set, for tests of pressure."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence

from tests import wire
from tests.e2e.conftest import RECEIVE_S, Server

# Handshakes under way at once: below the backlog of the listener.
_BATCH = 200
# Loopback addresses connections come from, so that ports do not run out; those of 127.0.0.1 are
# left to others.
_SOURCES = [f"127.0.0.{last}" for last in range(2, 10)]
_SPARE_DESCRIPTORS = 300


def descriptors_for(count: int) -> bool:
    """Whether `count` sockets fit; the limit is that which conftest.py set for all tests."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft == resource.RLIM_INFINITY or soft >= count + _SPARE_DESCRIPTORS


class Crowd:
    """Connections that only count what they receive.

    Attributes:
        sockets: The open ones, non-blocking, by descriptor.
        received: Bytes after the handshake, by descriptor.
        ended: Descriptors whose stream has ended or failed.
    """

    def __init__(self, server: Server, path: str) -> None:
        self.server = server
        self.path = path
        self.sockets: dict[int, socket.socket] = {}
        self.received: dict[int, int] = {}
        self.ended: set[int] = set()
        self._epoll = select.epoll()

    def open(self, count: int, cookies: Sequence[str] = ()) -> None:
        """Open `count` more; cookie i of `cookies` (repeated) goes with connection i."""
        for start in range(0, count, _BATCH):
            opening = [
                self._request(cookies[i % len(cookies)] if cookies else "")
                for i in range(start, min(start + _BATCH, count))
            ]
            for one in opening:
                self._finish(one)

    def _request(self, cookie: str) -> socket.socket:
        one = socket.socket()
        one.settimeout(RECEIVE_S)
        one.bind((_SOURCES[one.fileno() % len(_SOURCES)], 0))
        one.connect(("127.0.0.1", self.server.port))
        one.sendall(
            f"GET {self.path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{cookie}\r\n".encode()
        )
        return one

    def _finish(self, one: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = one.recv(4096)
            assert chunk, head
            head += chunk
        assert head.startswith(b"HTTP/1.1 101 "), head
        one.setblocking(False)
        self.sockets[one.fileno()] = one
        self.received[one.fileno()] = len(head.partition(b"\r\n\r\n")[2])
        self._epoll.register(one, select.EPOLLIN)

    def pump(self, until: Callable[[], bool], timeout_s: float) -> float:
        """Receive until the condition holds, at most `timeout_s`; the seconds it took."""
        start = time.monotonic()
        while not until():
            assert time.monotonic() - start < timeout_s, f"not within {timeout_s} s"
            for fd, _ in self._epoll.poll(0.05):
                self._receive(fd)
        return time.monotonic() - start

    def _receive(self, fd: int) -> None:
        try:
            size = len(self.sockets[fd].recv(1 << 18))
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self.received[fd] += size
        if size == 0:
            self.ended.add(fd)
            self._epoll.unregister(fd)

    def send(self, fd: int, data: bytes) -> None:
        """Send all of `data`, waiting for the socket."""
        one = self.sockets[fd]
        one.settimeout(RECEIVE_S)
        one.sendall(data)
        one.setblocking(False)

    def send_text(self, fd: int, text: bytes) -> None:
        """Send one message."""
        self.send(fd, wire.frame(wire.TEXT, text))

    def drop(self, fds: Sequence[int], *, reset: bool) -> None:
        """Close some at once, with a reset or without a word."""
        for fd in fds:
            one = self.sockets.pop(fd)
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()

    def close(self) -> None:
        """Close all."""
        self.drop(list(self.sockets), reset=True)
        self._epoll.close()


@contextlib.contextmanager
def crowd(server: Server, path: str) -> Iterator[Crowd]:
    """A crowd that is closed in the end."""
    one = Crowd(server, path)
    try:
        yield one
    finally:
        one.close()


def resident_bytes(server: Server) -> int:
    """Resident memory of the server process."""
    with open(f"/proc/{server.pid}/status") as lines:
        for line in lines:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")
