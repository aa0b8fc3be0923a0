"""What one peer reads slowly, or what is long to prepare, never makes another wait."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.runtime.response import Response
from flinfast.server import compressor as compressor_module
from flinfast.server.compress import compress
from flinfast.server.compressor import BODIES_MAX, LOOP_BYTES_MAX
from flinfast.server.http_protocol import WHOLE_BODY_BYTES_MAX, WRITE_HIGH_BYTES
from flinfast.server.outflow import PIECE_BYTES, TURN_BYTES_MAX, Outflow, Pieces
from tests.server.program import Program
from tests.server.running import JSON, TIMEOUT_S, Client, Running

Start = Callable[..., Running]
READERS = 6
BODY = os.urandom(4 << 20)
ROWS = b'{"rows":[' + b",".join(b'{"id":%d,"name":"row"}' % n for n in range(9000)) + b"]}"
GZIP = "Accept-Encoding: gzip"


class Gate:
    """Stands in for compress(): begins, and goes on when it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        monkeypatch.setattr(compressor_module, "compress", self)

    def __call__(self, head: object, response: Response, *, threshold: int) -> None:
        assert self.open.wait(TIMEOUT_S)
        compress(head, response, threshold=threshold)  # type: ignore[arg-type]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Compression that waits; let go of at the end, so that no thread stays."""
    one = Gate(monkeypatch)
    yield one
    one.open.set()


def rows(running: Running, *, body: bytes = ROWS) -> None:
    running.app.routes["/rows"] = lambda _, respond: respond(Response(200, [*JSON], body))


# --- the line of long bodies


class Reader:
    """A connection whose peer takes everything."""

    def __init__(self, outflow: Outflow, name: int, told: list[int]) -> None:
        self._outflow = outflow
        self._name = name
        self._told = told
        self.body = Pieces(BODY, len(BODY))

    def send_piece(self) -> int:
        piece = self.body.read()
        self._told.append(self._name)
        if self.body.left:
            self._outflow.add(self)
        return len(piece)


def test_a_turn_writes_a_bounded_share_whoever_reads() -> None:
    """All connections together; the rest of the loop comes in between; nobody goes ahead."""
    turns: list[Callable[[], None]] = []
    outflow, told = Outflow(turns.append), list[int]()
    readers = [Reader(outflow, name, told) for name in range(READERS)]
    for reader in readers:
        outflow.add(reader)
    assert len(turns) == 1
    while turns:
        before = sum(reader.body.left for reader in readers)
        turns.pop()()
        assert before - sum(reader.body.left for reader in readers) <= TURN_BYTES_MAX
        assert len(turns) <= 1
    assert all(reader.body.left == 0 for reader in readers)
    assert told == [*range(READERS)] * (len(BODY) // PIECE_BYTES)


def test_pieces_are_the_body() -> None:
    """In order and complete; given back when closed."""
    body = Pieces(BODY[: 2 * PIECE_BYTES + 1], 2 * PIECE_BYTES + 1)
    pieces = [body.read() for _ in range(3)]
    assert b"".join(pieces) == BODY[: 2 * PIECE_BYTES + 1]
    assert body.left == 0
    assert body.read() == b""
    body = Pieces(BODY, len(BODY))
    body.close()
    assert (body.data, body.left, body.read()) == (b"", 0, b"")


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("path", ["/body", "/file.bin"])
def test_a_transport_holds_little_of_a_body(
    tmp_path: Path, certificate: tuple[str, str], path: str, is_tls: bool
) -> None:
    """Of many peers that do not read; each gets all of it once it does; a neighbour is served."""
    (tmp_path / "site" / "public").mkdir(parents=True)
    (tmp_path / "site" / "public" / "file.bin").write_bytes(BODY)
    running = Running(tmp_path / "site", {}, tls=certificate if is_tls else None).start()
    running.app.routes["/body"] = lambda _, respond: respond(Response(200, [], BODY))
    for listener in running.server._listeners:  # the kernel's buffers may grow to a whole body
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
    with contextlib.ExitStack() as stack:
        stack.callback(running.stop)
        site = running.server.site
        assert site is not None
        connections = site.connections
        clients = [stack.enter_context(connect(running, is_tls=is_tls)) for _ in range(READERS)]
        for client in clients:
            client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        running.wait_for(lambda: site.response_count(2) == READERS)
        running.wait_for(lambda: all(one._is_blocked for one in list(connections)))
        held = [one.transport.get_write_buffer_size() for one in list(connections)]
        assert len(held) == READERS
        assert max(held) <= WRITE_HIGH_BYTES + 2 * PIECE_BYTES  # TLS adds its records' heads
        with connect(running, is_tls=is_tls) as neighbour:
            assert neighbour.get("/").body == b'"home"'
        for client in clients:
            assert client.read_response().body == BODY


def connect(running: Running, *, is_tls: bool) -> Client:
    """A peer whose window is small."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    link.connect(("127.0.0.1", running.port))
    if is_tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return Client(context.wrap_socket(link))
    return Client(link)


@pytest.mark.parametrize("size", [WHOLE_BODY_BYTES_MAX - 1, WHOLE_BODY_BYTES_MAX, 1 << 20])
def test_bodies_round_the_limit_arrive_and_the_next_answer_follows(
    shared: Running, size: int
) -> None:
    """Whole or in pieces; HEAD has none of it."""
    shared.app.routes["/sized"] = lambda _, respond: respond(Response(200, [], BODY[:size]))
    with shared.connect() as client:
        client.send(b"GET /sized HTTP/1.1\r\nHost: test\r\n\r\n" * 2)
        assert [client.read_response().body for _ in range(2)] == [BODY[:size]] * 2
        client.send(b"HEAD /sized HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.read_response(head_only=True).headers["content-length"] == str(size)
        assert client.get("/").body == b'"home"'


def test_a_peer_that_leaves_in_the_middle_of_a_body_is_forgotten(start: Start) -> None:
    """Its body, too."""
    running = start()
    site = running.server.site
    assert site is not None
    with running.connect() as client:
        client.send(b"GET /big HTTP/1.1\r\nHost: test\r\n\r\n")
        client.read_exactly(1000)
        (connection,) = site.connections
    running.wait_for(lambda: not site.connections)
    assert connection._source is None


# --- compression


def test_others_are_served_while_a_body_is_compressed(start: Start, gate: Gate) -> None:
    """It is done on a thread; the answer is complete and comes once."""
    running = start()
    rows(running)
    with running.connect() as client, running.connect() as neighbour:
        client.send(f"GET /rows HTTP/1.1\r\nHost: test\r\n{GZIP}\r\n\r\n".encode())
        site = running.server.site
        assert site is not None
        running.wait_for(lambda: site.compressor.pending_count == 1)
        assert neighbour.get("/").body == b'"home"'
        gate.open.set()
        answer = client.read_response()
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer.body) == ROWS
        assert site.compressor.pending_count == 0
        assert client.get("/").body == b'"home"'


def test_a_second_answer_is_dropped_while_the_first_is_compressed(start: Start, gate: Gate) -> None:
    """As it is at any other time."""
    running = start()

    def twice(_: object, respond: Callable[[Response], None]) -> None:
        respond(Response(200, [*JSON], ROWS))
        respond(Response(200, [*JSON], b'"second"'))
        gate.open.set()

    running.app.routes["/twice"] = twice
    with running.connect() as client:
        assert gzip.decompress(client.get("/twice", GZIP).body) == ROWS
        assert client.get("/").body == b'"home"'


def test_a_peer_that_leaves_while_its_body_is_compressed_harms_nobody(
    start: Start, gate: Gate
) -> None:
    """The result has no reader."""
    running = start()
    rows(running)
    site = running.server.site
    assert site is not None
    with running.connect() as client:
        client.send(f"GET /rows HTTP/1.1\r\nHost: test\r\n{GZIP}\r\n\r\n".encode())
        running.wait_for(lambda: site.compressor.pending_count == 1)
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    running.wait_for(lambda: not site.connections)
    gate.open.set()
    running.wait_for(lambda: site.compressor.pending_count == 0)
    with running.connect() as client:
        assert client.get("/").body == b'"home"'
    assert site.response_count(2) == 1


def test_what_cannot_be_compressed_in_time_is_sent_as_it_is(
    start: Start, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many waiting bodies; caches are told all the same."""
    assert BODIES_MAX > 1
    monkeypatch.setattr(compressor_module, "BODIES_MAX", 1)
    running = start()
    rows(running)
    with running.connect() as first, running.connect() as second:
        first.send(f"GET /rows HTTP/1.1\r\nHost: test\r\n{GZIP}\r\n\r\n".encode())
        site = running.server.site
        assert site is not None
        running.wait_for(lambda: site.compressor.pending_count == 1)
        answer = second.get("/rows", GZIP)
        assert answer.body == ROWS
        assert answer.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in answer.headers
        gate.open.set()
        assert gzip.decompress(first.read_response().body) == ROWS


def test_a_body_that_does_not_get_smaller_is_sent_as_it_is(start: Start) -> None:
    """After the thread has tried; not tried again in the loop."""
    running = start()
    rows(running, body=BODY[: LOOP_BYTES_MAX + 1])
    with running.connect() as client:
        answer = client.get("/rows", GZIP)
    assert answer.body == BODY[: LOOP_BYTES_MAX + 1]
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("size", "is_apart"), [(LOOP_BYTES_MAX, False), (LOOP_BYTES_MAX + 1, True)]
)
def test_short_bodies_are_compressed_in_the_loop(
    start: Start, monkeypatch: pytest.MonkeyPatch, size: int, is_apart: bool
) -> None:
    """A thread would take longer than the work."""
    threads: list[bool] = []

    def told(head: object, response: Response, *, threshold: int) -> None:
        threads.append(True)
        compress(head, response, threshold=threshold)  # type: ignore[arg-type]

    monkeypatch.setattr(compressor_module, "compress", told)
    running = start()
    rows(running, body=b" " * size)
    with running.connect() as client:
        answer = client.get("/rows", GZIP)
    assert gzip.decompress(answer.body) == b" " * size
    assert bool(threads) is is_apart


# --- a loop that was held up


def test_an_answer_to_our_close_counts_however_late_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closing handshake was complete in time: the connection ends without a reset."""
    files = {
        "app/a.flin": 'ws { on message(data) { ws_close(4001, "bye") } }',
        "app/hold.flin": "route GET { 1 }",
    }
    with Program(tmp_path, files, ws_close="1s") as program:
        held, sent, handle = threading.Event(), threading.Event(), program.app.handle

        def hold(*request: Any) -> None:
            held.set()
            assert sent.wait(TIMEOUT_S)
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                threading.Event().wait(0.01)
            handle(*request)

        monkeypatch.setattr(program.app, "handle", hold)
        with contextlib.ExitStack() as stack:
            while True:
                socket_ = stack.enter_context(program.client().ws("/a"))
                busy = stack.enter_context(program.connect())
                began = time.monotonic()
                socket_.send("x")
                assert socket_.close_code() == 4001
                busy.send(b"GET /hold HTTP/1.1\r\nHost: test\r\n\r\n")
                assert held.wait(TIMEOUT_S)
                if time.monotonic() - began < 1.0:
                    break
                sent.set()  # this thread was held up
                assert busy.read_response().body == b"1"
                held.clear()
                sent.clear()
            socket_.send_frame(8, (4001).to_bytes(2, "big"))
            sent.set()
            assert socket_.client.link.recv(1) == b""
            assert busy.read_response().body == b"1"


def test_a_loop_that_was_held_up_reads_before_it_gives_up(start: Start) -> None:
    """Deadlines are for peers: what they sent in time counts, whenever we come to read it."""
    running = start(server_head_timeout="1s", server_keep_alive="1s")
    site = running.server.site
    assert site is not None
    held, sent = threading.Event(), threading.Event()

    def hold(_: object, respond: Callable[[Response], None]) -> None:
        held.set()
        assert sent.wait(TIMEOUT_S)
        while time.monotonic() < site.now + 3.0:  # three times what a peer has
            threading.Event().wait(0.01)
        respond(Response(204))

    running.app.routes["/hold"] = hold

    def begun(stack: contextlib.ExitStack) -> list[Client]:
        """One with half a request, one without any, one that is kept, and one that holds up."""
        half, fresh, kept, busy = (stack.enter_context(running.connect()) for _ in range(4))
        assert kept.get("/").body == b'"home"'
        half.send(b"GET / HTTP/1.1\r\n")
        running.wait_for(lambda: len(site.connections) == 2)
        busy.send(b"GET /hold HTTP/1.1\r\nHost: test\r\n\r\n")
        assert held.wait(TIMEOUT_S)
        return [half, fresh, kept, busy]

    with contextlib.ExitStack() as stack:
        while True:
            began = time.monotonic()
            with contextlib.suppress(AssertionError):  # this thread was held up
                clients = begun(stack)
                if time.monotonic() - began < 1.0:
                    break
            sent.set()
            stack.close()
            running.wait_for(lambda: not site.connections)
            held.clear()
            sent.clear()
        clients[0].send(b"Host: test\r\n\r\n")
        for client in clients[1:3]:
            client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        sent.set()
        for client in clients[:3]:
            assert client.read_response().body == b'"home"'
        assert clients[3].read_response().status == 204
