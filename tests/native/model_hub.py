"""Hubs to test against: a loop that runs when told to, far ends of both kinds, frames in and out.

`Rig("socket")` opens connections on socket pairs, so the reactor and the kernel are in the test;
`Rig("transport")` opens them on an object like an asyncio transport.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from flinfast.native.hub import Connection, Endpoint, Hub
from tests import wire

Kind = Literal["socket", "transport"]
DIRECT = ("connect", "message", "close")
RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def server_frames(data: bytes) -> Iterator[wire.Frame]:
    """Like `wire.frames()` for frames without a mask, and quick about large ones."""
    offset = 0
    while offset < len(data):
        first, size = data[offset], data[offset + 1]
        offset += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[offset : offset + width], "big")
            offset += width
        if offset + size > len(data):
            raise ValueError(f"{len(data)} bytes end inside a frame")
        payload = data[offset : offset + size]
        offset += size
        yield wire.Frame(first & 15, payload, bool(first & 0x80), first >> 4 & 7)


class Timer:
    """A handle of `Loop.call_soon()` or `Loop.call_later()`."""

    def __init__(self, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self.callback = callback
        self.args = args
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """What the hub asks of an event loop; nothing happens but in `turn()` and `advance()`."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], None]] = {}
        self.soon: list[Timer] = []
        self.later: list[tuple[float, Timer]] = []
        self.now = 1000.0

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]

    def call_soon(self, callback: Callable[..., object], *args: object) -> Timer:
        timer = Timer(callback, args)
        self.soon.append(timer)
        return timer

    def call_later(self, seconds: float, callback: Callable[..., object], *args: object) -> Timer:
        timer = Timer(callback, args)
        self.later.append((self.now + seconds, timer))
        return timer

    def turn(self) -> bool:
        """One turn of a loop; whether anything happened."""
        happened = False
        for fd, callback in list(self.readers.items()):
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if poll.poll(0):
                callback()
                happened = True
        soon, self.soon = self.soon, []
        for timer in soon:
            if not timer.is_cancelled:
                timer.callback(*timer.args)
                happened = True
        return happened

    def advance(self, seconds: float) -> None:
        """Let time pass, running what is due in order, with a turn after each."""
        end = self.now + seconds
        while True:
            due = [entry for entry in self.later if entry[0] <= end and not entry[1].is_cancelled]
            if not due:
                break
            first = min(due, key=lambda entry: entry[0])
            self.later.remove(first)
            self.now = max(self.now, first[0])
            first[1].callback(*first[1].args)
            while self.turn():
                pass
        self.now = end


class Transport:
    """The transport half of a connection; what is written arrives at once unless it is stuck."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.buffered = 0
        self.is_stuck = False
        self.is_closed = self.is_aborted = self.is_reading_paused = False
        self.limits: tuple[int, int] = (0, 0)

    def write(self, data: bytes) -> None:
        if self.is_closed or self.is_aborted:
            raise RuntimeError("written to after its end")
        self.written += data
        if self.is_stuck:
            self.buffered += len(data)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self.limits = (high, low)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


class Peer:
    """The far end of one connection."""

    def __init__(self, rig: Rig, connection: Connection) -> None:
        self.rig = rig
        self.connection = connection
        self.received = bytearray()
        self.is_ended = False

    def send(self, data: bytes) -> None:
        """Bytes for the hub; then everything that follows from them happens."""
        self.push(data)
        self.rig.settle()

    def send_text(self, text: str) -> None:
        self.send(wire.frame(wire.TEXT, text.encode()))

    def push(self, data: bytes) -> None:
        raise NotImplementedError

    def pull(self) -> None:
        """Take what has been written to us."""
        raise NotImplementedError

    def end(self) -> None:
        """Close our end."""
        raise NotImplementedError

    def frames(self) -> list[wire.Frame]:
        """All frames so far, without the response of the handshake."""
        self.pull()
        assert self.received.startswith(RESPONSE)
        return list(server_frames(bytes(self.received[len(RESPONSE) :])))

    def texts(self) -> list[str]:
        return [frame.payload.decode() for frame in self.frames() if frame.opcode == wire.TEXT]


class SocketPeer(Peer):
    """A connection on a socket pair."""

    def __init__(self, rig: Rig, connection: Connection, far: socket.socket) -> None:
        super().__init__(rig, connection)
        self.far = far
        far.setblocking(False)

    def push(self, data: bytes) -> None:
        while data:
            try:
                data = data[self.far.send(data) :]
            except BlockingIOError:
                self.rig.loop.turn()

    def pull(self) -> None:
        if self.far.fileno() < 0:
            return
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while data := self.far.recv(1 << 16):
                self.received += data
            self.is_ended = True

    def end(self) -> None:
        self.far.close()
        self.rig.settle()


class TransportPeer(Peer):
    """A connection on a transport."""

    def __init__(self, rig: Rig, connection: Connection, transport: Transport) -> None:
        super().__init__(rig, connection)
        self.transport = transport

    def push(self, data: bytes) -> None:
        self.rig.hub.feed(self.connection, data)

    def pull(self) -> None:
        self.received += self.transport.written
        self.transport.written.clear()
        self.is_ended = self.transport.is_closed or self.transport.is_aborted

    def end(self) -> None:
        self.rig.hub.eof(self.connection)
        self.rig.settle()
        self.rig.hub.lost(self.connection)
        self.rig.settle()


class Rig:
    """A hub with its loop and its far ends."""

    def __init__(self, kind: Kind, **options: Any) -> None:
        self.kind = kind
        self.loop = Loop()
        self.faults: list[tuple[str, Connection, BaseException]] = []
        self.hub = Hub(msgspec.json.encode, clock_ms=lambda: int(self.loop.now * 1000), **options)
        self.hub.attach_loop(self.loop)
        self.peers: list[Peer] = []

    def endpoint(self, **options: Any) -> Endpoint:
        """An endpoint with direct handlers whose faults are collected."""
        defaults: dict[str, Any] = {"path": "/test", "direct": DIRECT, "report": self._report}
        return Endpoint(**defaults | options)

    def _report(self, event: str, connection: Connection, error: BaseException) -> None:
        self.faults.append((event, connection, error))

    def open(
        self,
        endpoint: Endpoint,
        *,
        early: bytes = b"",
        deflate: bool = False,
        deflate_output: bool = True,
        send_buffer: int = 0,
        connection: Connection | None = None,
    ) -> Peer:
        """A new connection, settled."""
        connection = Connection() if connection is None else connection
        options: dict[str, Any] = {
            "response": RESPONSE,
            "early": early,
            "deflate": deflate,
            "deflate_output": deflate_output,
        }
        peer: Peer
        if self.kind == "transport":
            transport = Transport()
            peer = TransportPeer(self, connection, transport)
            self.hub.open_transport(connection, endpoint, transport, **options)
        else:
            near, far = socket.socketpair()
            if send_buffer:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            peer = SocketPeer(self, connection, far)
            try:
                self.hub.open_fd(connection, endpoint, near.fileno(), **options)
            except BaseException:
                near.close()
                far.close()
                raise
            near.detach()
        self.peers.append(peer)
        self.settle()
        return peer

    def settle(self) -> None:
        """Turns until nothing happens any more."""
        for _ in range(10_000):
            if not self.loop.turn():
                return
        raise AssertionError("the loop never came to rest")

    @contextlib.contextmanager
    def handler(self, current: Connection | None = None) -> Iterator[Hub]:
        """Effects as a handler has them; they leave at the end."""
        self.hub.begin(current)
        try:
            yield self.hub
        except BaseException:
            self.hub.rollback()
            raise
        self.hub.commit()
        self.settle()

    def close(self) -> None:
        """End everything; nothing may be left."""
        self.hub.abort_all()
        self.settle()
        for peer in self.peers:
            if isinstance(peer, SocketPeer):
                peer.far.close()
        assert self.hub.connection_count == 0
        assert self.hub.room_count == 0
        assert self.hub.stats()["queued_bytes"] == 0
        self.hub.detach_loop()
