"""The load that `flinfast bench` makes: connections in one thread, one message in flight on each.

Only right answers count. Frames are made and read by the server's own native code.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from flinfast.cli.ws import open_socket
from flinfast.errors import FlinError, RemoteProtocolError
from flinfast.native.frame import FrameParser, Opcode, encode_masked_frame

READ_BYTES: Final = 1 << 18
MESSAGE_BYTES_MAX: Final = 16 << 20
HEAD_BYTES_MAX: Final = 64 << 10
SEND_S: Final = 10.0  # a server that takes nothing for so long has failed
LATE_S: Final = 2.0  # what is unanswered for so long at the end is an error
_DIGITS: Final = 1000  # latencies are kept to three digits


class BenchError(FlinError):
    """The target cannot be measured."""


@dataclass(slots=True)
class Figures:
    """What was measured.

    Attributes:
        count: Right answers, deliveries or connections.
        bytes: Received payload.
        errors: By what went wrong.
        latencies: Microseconds, to three digits -> how often.
        latency_max_us: Microseconds.
        seconds: Of the wall clock.
    """

    count: int = 0
    bytes: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    latencies: dict[int, int] = field(default_factory=dict)
    latency_max_us: int = 0
    seconds: float = 0.0

    def right(self, began: float, size: int) -> None:
        """Count an answer of `size` bytes to what was sent at `began`."""
        us = int((time.perf_counter() - began) * 1e6)
        self.count += 1
        self.bytes += size
        if us > self.latency_max_us:
            self.latency_max_us = us
        unit = 1
        while us >= _DIGITS * unit:
            unit *= 10
        key = us // unit * unit
        self.latencies[key] = self.latencies.get(key, 0) + 1

    def wrong(self, what: str) -> None:
        """Count something that went wrong."""
        self.errors[what] = self.errors.get(what, 0) + 1

    def percentile_us(self, share: float) -> int:
        """Latency that so large a share of the answers did not exceed; 0 without answers."""
        rest = share * sum(self.latencies.values())
        for us in sorted(self.latencies):
            rest -= self.latencies[us]
            if rest <= 0:
                return us
        return 0


class Load(ABC):
    """Connections to one target.

    Args:
        sockets: Open; they belong to the load from here on.
        figures: Where everything is counted.
    """

    def __init__(self, sockets: Sequence[socket.socket], figures: Figures) -> None:
        self.figures = figures
        self.sockets = list(sockets)
        self.began = [0.0] * len(sockets)  # when what is in flight was sent, 0.0: nothing is
        self._selector = selectors.DefaultSelector()
        for index, link in enumerate(self.sockets):
            link.settimeout(SEND_S)
            self._selector.register(link, selectors.EVENT_READ, index)

    def run(self, seconds: float) -> None:
        """Send and count for so long."""
        start = time.perf_counter()
        end = start + seconds
        self.start()
        while (now := time.perf_counter()) < end and self._selector.get_map():
            for key, _ in self._selector.select(min(0.1, end - now)):
                self._read(key.data)
        self.figures.seconds = time.perf_counter() - start
        late = time.perf_counter() - LATE_S
        for began in self.began:
            if 0.0 < began < late:
                self.figures.wrong("no answer")
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._selector.close()
        for link in self.sockets:
            link.close()

    def _read(self, index: int) -> None:
        try:
            data = self.sockets[index].recv(READ_BYTES)
            if not data:
                self.drop(index, "connection closed")
                return
            self.received(index, data)
        except RemoteProtocolError:
            self.drop(index, "broken protocol")
        except OSError:
            self.drop(index, "connection lost")

    def send(self, index: int, data: bytes) -> None:
        """Send on a connection and note when."""
        self.began[index] = time.perf_counter()
        self.sockets[index].sendall(data)

    def drop(self, index: int, why: str) -> None:
        """Give a connection up."""
        self.figures.wrong(why)
        self.began[index] = 0.0
        self._selector.unregister(self.sockets[index])
        self.sockets[index].close()

    @abstractmethod
    def start(self) -> None:
        """Send the first messages."""

    @abstractmethod
    def received(self, index: int, data: bytes) -> None:
        """Bytes came on a connection."""


class _Frames(Load):
    """Connections that speak WebSocket."""

    def __init__(
        self, sockets: Sequence[socket.socket], figures: Figures, message: bytes, expect: bytes
    ) -> None:
        super().__init__(sockets, figures)
        self.expect = expect
        self.frame = encode_masked_frame(Opcode.TEXT, message, secrets.token_bytes(4))
        self._parsers = [
            FrameParser(sender="server", message_bytes_max=MESSAGE_BYTES_MAX) for _ in sockets
        ]

    def received(self, index: int, data: bytes) -> None:
        parser = self._parsers[index]
        parser.feed(data)
        while (event := parser.next_event()) is not None:
            if event.opcode in (Opcode.TEXT, Opcode.BINARY):
                self.message(index, bytes(event.payload))
            elif event.opcode == Opcode.PING:
                pong = encode_masked_frame(Opcode.PONG, event.payload, secrets.token_bytes(4))
                self.sockets[index].sendall(pong)
            elif event.opcode == Opcode.CLOSE:
                self.drop(index, f"closed {event.close_code}")
                return

    @abstractmethod
    def message(self, index: int, payload: bytes) -> None:
        """A message came."""


class Echo(_Frames):
    """Each connection sends a message and waits for the answer to it."""

    def start(self) -> None:
        """One message on each connection."""
        for index in range(len(self.sockets)):
            self.send(index, self.frame)

    def message(self, index: int, payload: bytes) -> None:
        """The answer; then the next message."""
        if payload == self.expect:
            self.figures.right(self.began[index], len(payload))
        else:
            self.figures.wrong("wrong answer")
        self.send(index, self.frame)


class Fanout(_Frames):
    """One connection sends a message, all others are to receive it; then comes the next one."""

    def start(self) -> None:
        """The first message."""
        self._waiting = set(range(1, len(self.sockets)))
        self.send(0, self.frame)

    def message(self, index: int, payload: bytes) -> None:
        """A delivery; what the sender hears itself does not count."""
        if index == 0:
            return
        if payload != self.expect:
            self.figures.wrong("wrong message")
        elif index not in self._waiting:
            self.figures.wrong("message came twice")
        else:
            self.figures.right(self.began[0], len(payload))
        self._arrived(index)

    def drop(self, index: int, why: str) -> None:
        """Nobody waits for a connection that is gone."""
        super().drop(index, why)
        self._arrived(index)

    def _arrived(self, index: int) -> None:
        was_last = self._waiting == {index}
        self._waiting.discard(index)
        if was_last and self.sockets[0].fileno() >= 0:
            self._waiting = {
                place for place in range(1, len(self.sockets)) if self.sockets[place].fileno() >= 0
            }
            self.send(0, self.frame)


class Http(Load):
    """Each connection asks, and asks again when the answer is there."""

    def __init__(
        self, sockets: Sequence[socket.socket], figures: Figures, request: bytes, expect: bytes
    ) -> None:
        super().__init__(sockets, figures)
        self._request = request
        self._expect = expect
        self._buffers = [bytearray() for _ in sockets]

    def start(self) -> None:
        """One request on each connection."""
        for index in range(len(self.sockets)):
            self.send(index, self._request)

    def received(self, index: int, data: bytes) -> None:
        """Part of an answer, or one."""
        buffer = self._buffers[index]
        buffer += data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(buffer) > HEAD_BYTES_MAX:
                self.drop(index, "broken protocol")
            return
        head = bytes(buffer[:end]).lower()
        size = body_size(head)
        if size is None:
            self.drop(index, "answer without Content-Length")
            return
        if len(buffer) < end + 4 + size:
            return
        body = bytes(buffer[end + 4 : end + 4 + size])
        del buffer[: end + 4 + size]
        status = head[9:12].decode("latin-1")
        if not status.startswith("2"):
            self.figures.wrong(f"status {status}")
        elif self._expect and body != self._expect:
            self.figures.wrong("wrong answer")
        else:
            self.figures.right(self.began[index], size)
        self.send(index, self._request)


def body_size(head: bytes) -> int | None:
    """Bytes of the body behind a head in lower case; None when it does not say."""
    if head[9:12] in (b"204", b"304"):
        return 0
    _, found, rest = head.partition(b"\r\ncontent-length:")
    text = rest.partition(b"\r\n")[0].strip()
    return int(text) if found and text.isdigit() else None


def connect_load(url: str, fields: list[tuple[str, str]], seconds: float, figures: Figures) -> None:
    """Open a WebSocket and close it, one after the other."""
    close = encode_masked_frame(Opcode.CLOSE, (1000).to_bytes(2, "big"), secrets.token_bytes(4))
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        began = time.perf_counter()
        try:
            link, _ = open_socket(url, fields)
        except FlinError:
            figures.wrong("not opened")
            continue
        with link:
            figures.right(began, 0)
            link.sendall(close)
    figures.seconds = time.perf_counter() - start


def open_all(count: int, connect: Callable[[], socket.socket]) -> list[socket.socket]:
    """So many connections; none is left open when one fails.

    Raises:
        FlinError: One could not be opened.
        OSError: One could not be opened.
    """
    links: list[socket.socket] = []
    try:
        for _ in range(count):
            links.append(connect())  # noqa: PERF401 - those opened so far must be closed
    except BaseException:
        for link in links:
            link.close()
        raise
    return links
