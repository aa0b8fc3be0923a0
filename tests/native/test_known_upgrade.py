"""Upgrades that the hub opens by itself, over real sockets; who looks at them, and when."""

from __future__ import annotations

import base64
import contextlib
import gc
import hashlib
import os
import re
import select
import socket
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flinfast.native.hub import Connection, Endpoint, Hub, KnownUpgrades, Opening
from tests import wire
from tests.native.model_hub import DIRECT, Loop

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="the reactor needs epoll")

TIMEOUT_S = 60.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
FIELD = b"\r\nSec-WebSocket-Key: "
HEADS_MAX = 3


def accept_of(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def head_of(key: bytes = KEY, path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: a" + FIELD + key + b"\r\nX: y\r\n\r\n"


def response_of(key: bytes) -> bytes:
    return b"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: " + accept_of(key) + b"\r\nZ: z\r\n\r\n"


class Program:
    """Its epoch is another object when it changes."""

    def __init__(self) -> None:
        self.epoch = 0


class Visitor(Connection):
    """What is made when somebody looks."""

    def __init__(self, address: str) -> None:
        self.address = address


class Rig:
    """A hub that accepts, one endpoint whose head is known, and what became of connections.

    Attributes:
        made: Connections that were made, in order.
        events: What was called, as (event, connection).
        asked: Sockets whose first bytes were not known.
    """

    def __init__(self, listener: socket.socket, **handlers: Any) -> None:
        self.listener = listener
        self.loop = Loop()
        self.hub = Hub(lambda value: repr(value).encode())
        self.hub.attach_loop(self.loop)
        self.program = Program()
        self.made: list[Visitor] = []
        self.events: list[tuple[str, Any]] = []
        self.asked = 0
        self.faults: list[BaseException] = []
        self.failing = False
        on_opened = handlers.pop("on_opened", None)
        self.opening = {name: handlers.pop(name) for name in ("deflate",) if name in handlers}
        self.endpoint = Endpoint(path="/", direct=DIRECT, **handlers)
        self.known = KnownUpgrades(self.program, heads_max=HEADS_MAX, on_opened=on_opened)
        assert self.add()
        self.hub.listen(listener.fileno(), self.protocol, self.fault, self.known)

    def add(self, head: bytes = head_of(), key: bytes = KEY) -> bool:
        opening = Opening(
            Connection(), self.endpoint, response_of(key), protocol="p", **self.opening
        )
        return self.known.add(head, opening, self.renew)

    def renew(self, address: str) -> Visitor:
        if self.failing:
            raise MemoryError("no connection")
        self.made.append(Visitor(address))
        return self.made[-1]

    def protocol(self) -> Any:
        self.asked += 1
        raise RuntimeError("refused")

    def fault(self, text: str, error: BaseException) -> None:
        self.faults.append(error)

    def note(self, event: str) -> Callable[..., None]:
        return lambda connection, *_: self.events.append((event, connection))

    def swap(self, *events: str, session_only: tuple[str, ...] = ()) -> None:
        """Give the endpoint code for these events, as a reload does."""
        handlers = {f"on_{event}": None for event in ("connect", "message", "close")}
        handlers |= {f"on_{event}": self.note(event) for event in events}
        self.endpoint.swap(
            direct=DIRECT, implicit_room=False, session_only=session_only, **handlers
        )

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            self.loop.turn()

    def peer(self, data: bytes) -> socket.socket:
        peer = socket.create_connection(self.listener.getsockname(), TIMEOUT_S)
        peer.sendall(data)
        return peer

    def open(self, early: bytes = b"") -> socket.socket:
        """A peer whose handshake is complete."""
        key = base64.b64encode(os.urandom(16))
        before = self.known.count
        peer = self.peer(head_of(key) + early)
        self.wait_for(lambda: self.known.count > before)
        assert receive(peer, len(response_of(key))) == response_of(key)
        return peer

    def close(self, peer: socket.socket, code: int = 1000) -> None:
        """The closing handshake, up to the end of the stream."""
        with peer:
            peer.sendall(wire.frame(wire.CLOSE, code.to_bytes(2, "big"), key=bytes(4)))
            before = self.hub.stats()["closed"]
            self.wait_for(lambda: self.hub.stats()["closed"] > before)
            assert receive(peer, 100) == b"\x88\x02" + code.to_bytes(2, "big")


def receive(peer: socket.socket, size: int) -> bytes:
    """So many bytes, or what came before the end."""
    data = b""
    while len(data) < size and (more := peer.recv(size - len(data))):
        data += more
    return data


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        one.setblocking(False)
        yield one


def text(data: bytes) -> bytes:
    return wire.frame(wire.TEXT, data, key=b"mask")


# --- which heads are known ----------------------------------------


def split(data: bytes) -> tuple[bytes, bytes] | None:
    """A head without its key, and the key, in plain Python."""
    head, found, _ = data.partition(b"\r\n\r\n")
    head += found
    at = head.find(FIELD)
    if not found or at < 0:
        return None
    at += len(FIELD)
    key = head[at : at + 24]
    if not re.fullmatch(rb"[A-Za-z0-9+/]{22}==", key) or head[at + 24 : at + 26] != b"\r\n":
        return None
    return head[:at] + head[at + 24 :], key


pieces = st.lists(
    st.sampled_from(
        [
            b"GET / HTTP/1.1",
            FIELD,
            KEY,
            KEY[:-1],
            base64.b64encode(bytes(16)),
            b"\r\n",
            b"\r",
            b"\n",
            b"Host: a",
            b"x",
            b"\0",
        ]
    ),
    max_size=14,
).map(b"".join)
keys = st.binary(min_size=16, max_size=16).map(base64.b64encode)


@given(st.lists(st.one_of(pieces, keys.map(head_of)), max_size=6), keys)
@example([b"GET / HTTP/1.1" + FIELD + KEY + b"\r\n" + FIELD + KEY + b"\r\n\r\n"], KEY)
@example([head_of() + b"early"], bytes(22) + b"==")
@example([head_of(), head_of(path=b"/b"), head_of(path=b"/c"), head_of(path=b"/d")], KEY)
def test_what_is_known_equals_the_model(heads: list[bytes], key: bytes) -> None:
    """The latest heads without their keys, each with any valid key; never half of one."""
    known = KnownUpgrades(Program(), heads_max=HEADS_MAX)
    endpoint = Endpoint(path="/")
    model: dict[bytes, None] = {}
    for head in heads:
        parts = split(head)
        answer = response_of(KEY if parts is None else parts[1])
        opening = Opening(Connection(), endpoint, answer)
        assert known.add(head, opening, Visitor) == (parts is not None)
        if parts is not None:
            if len(model) >= HEADS_MAX:
                del model[next(iter(model))]
            model[parts[0]] = None
        for other in heads:
            data = other.replace(KEY, key)
            found = split(data)
            for _ in range(2):  # the second time it is the latest one
                assert known.answers(data) == (found is not None and found[0] in model)
            assert known.answers(data + b"early") == known.answers(data) or found is None
            if found is not None:
                whole = len(found[0]) + len(key)
                assert not any(known.answers(data[:size]) for size in range(whole))


def test_an_answer_without_the_accept_value_is_not_kept() -> None:
    """There would be no place for the next one."""
    known = KnownUpgrades(Program(), heads_max=HEADS_MAX)
    opening = Opening(Connection(), Endpoint(path="/"), response_of(b"A" * 22 + b"=="))
    assert not known.add(head_of(), opening, Visitor)
    assert not known.answers(head_of())


def test_another_program_or_a_drain_is_asked_anew(listener: socket.socket) -> None:
    """The sockets are those of the callback; what was known is void for good."""
    rig = Rig(listener)
    rig.known.is_open = False
    with rig.peer(head_of()):
        rig.wait_for(lambda: rig.asked)
    rig.known.is_open = True
    rig.program.epoch = 1
    with rig.peer(head_of()):
        rig.wait_for(lambda: rig.asked == 2)
    assert rig.add(head_of(path=b"/new"))
    assert not rig.known.answers(head_of())
    assert rig.known.answers(head_of(path=b"/new"))
    assert rig.known.count == 0


# --- life of connections that nobody looks at ----------------------------------------


def test_a_silent_connection_is_opened_and_closed_without_python(listener: socket.socket) -> None:
    """Handlers for sessions only are spared, counters are not."""
    rig = Rig(listener, session_only=("connect", "close"))
    rig.swap("connect", "message", "close", session_only=("connect", "close"))
    peers = [rig.open() for _ in range(20)]
    assert rig.hub.connection_count == rig.endpoint.connection_count == 20
    for peer in peers:
        rig.close(peer)
    stats = rig.hub.stats()
    assert (stats["opened"], stats["closed"], rig.known.count) == (20, 20, 20)
    assert stats["bytes_in"] == 20 * (len(head_of()) + 8)
    assert rig.hub.connection_count == rig.endpoint.connection_count == 0
    assert not rig.made
    assert not rig.events
    assert not rig.asked


@pytest.mark.parametrize("ends", ["close", "fin", "reset"])
def test_the_first_message_makes_the_connection(listener: socket.socket, ends: str) -> None:
    """It is that of the peer, it stays the same, and `on close` gets it once."""
    rig = Rig(listener, session_only=("connect", "close"))
    rig.swap("connect", "message", "close", session_only=("connect", "close"))
    began_ms = time.time_ns() // 1_000_000
    peer = rig.open()
    opened_ms = time.time_ns() // 1_000_000
    peer.sendall(text(b"a") + text(b"b"))
    rig.wait_for(lambda: len(rig.events) == 2)
    (connection,) = rig.made
    assert rig.events == [("message", connection)] * 2
    assert connection.address == "127.0.0.1"
    assert connection.protocol == "p"
    assert began_ms <= connection.opened_ms <= opened_ms
    assert connection.is_open
    assert connection.messages_in == 2
    assert connection.connection_id.startswith("ws_")
    if ends == "close":
        rig.close(peer, 4000)
    else:
        if ends == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        rig.wait_for(lambda: rig.hub.connection_count == 0)
    assert rig.events[2:] == [("close", connection)]
    assert connection.close_code == (4000 if ends == "close" else 1006)
    assert rig.made == [connection]


@pytest.mark.parametrize("wanted", ["connect", "close"])
def test_a_handler_with_code_is_called(listener: socket.socket, wanted: str) -> None:
    """At its time, which makes the connection."""
    rig = Rig(listener, **{f"on_{wanted}": lambda connection: called.append(connection)})
    called: list[Any] = []
    peer = rig.open()
    assert len(called) == (wanted == "connect")
    rig.close(peer)
    assert called == rig.made
    assert len(called) == 1
    assert called[0].close_code == 1000


def test_handlers_that_came_since_are_called(listener: socket.socket) -> None:
    """A reload gives the endpoint `on close` while a connection is open that had none."""
    rig = Rig(listener)
    peers = [rig.open(), rig.open()]
    rig.swap("connect", "close", session_only=("connect",))
    for peer in peers:
        rig.close(peer)
    assert rig.events == [("close", connection) for connection in rig.made]
    assert len(rig.made) == 2


def test_early_frames_come_after_on_connect(listener: socket.socket) -> None:
    """Glued to the head, as they may be."""
    rig = Rig(listener)
    for events in (("message",), ("connect", "message")):
        rig.swap(*events)
        with rig.open(early=text(b"x") + wire.frame(wire.PING, b"p", key=bytes(4))) as peer:
            assert receive(peer, 3) == b"\x8a\x01p"
    first, second = rig.made
    assert rig.events == [("message", first), ("connect", second), ("message", second)]


def test_broadcasts_and_drains_reach_who_was_never_seen(listener: socket.socket) -> None:
    """They need no connection object."""
    rig = Rig(listener, implicit_room=True)
    peers = [rig.open(), rig.open()]
    rig.hub.begin()
    assert rig.hub.broadcast_all("all") == 2
    rig.hub.commit()
    rig.wait_for(rig.loop.turn)
    assert [receive(peer, 5) for peer in peers] == [b"\x81\x03all"] * 2
    rig.hub.drain(1012)
    rig.loop.advance(1)
    assert [receive(peer, 4) for peer in peers] == [b"\x88\x02\x03\xf4"] * 2
    for peer in peers:
        peer.close()
    rig.wait_for(lambda: rig.hub.connection_count == 0)
    assert not rig.made


def test_compressed_messages_are_inflated(listener: socket.socket) -> None:
    """What was agreed on for the head holds for the connection."""
    received: list[Any] = []
    rig = Rig(
        listener,
        deflate=True,
        on_message=lambda _, message: received.append(message.value),
    )
    deflater = zlib.compressobj(wbits=-15)
    data = deflater.compress(b"twice twice twice") + deflater.flush(zlib.Z_SYNC_FLUSH)
    with rig.open() as peer:
        peer.sendall(wire.frame(wire.TEXT, data[:-4], key=bytes(4), rsv=4))
        rig.wait_for(lambda: received)
    assert received == ["twice twice twice"]


def test_the_server_is_told_when_it_wants_to_be(listener: socket.socket) -> None:
    """Of each connection, its address and how long it took; before `on connect`."""
    told: list[tuple[Any, str, float]] = []
    rig = Rig(
        listener,
        on_opened=lambda *what: told.append(what),
        on_connect=lambda connection: told.append((connection, "connect", 0.0)),
    )
    with rig.open():
        (connection,) = rig.made
        assert [what[:2] for what in told] == [(connection, "127.0.0.1"), (connection, "connect")]
        assert 0 <= told[0][2] < TIMEOUT_S


# --- faults, and the end ----------------------------------------


def test_a_connection_that_cannot_be_made_is_lost(listener: socket.socket) -> None:
    """When it opens the server is told of the fault; later there is nobody to tell but Python."""
    unraisable: list[Any] = []
    rig = Rig(listener)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as peers:
        patch.setattr("sys.unraisablehook", lambda one: unraisable.append(one.exc_value))
        first, second = (peers.enter_context(rig.open()) for _ in range(2))
        rig.failing = True
        first.sendall(text(b"x"))
        rig.wait_for(lambda: rig.hub.connection_count == 1)
        rig.swap("connect", "close")
        third = peers.enter_context(rig.peer(head_of()))
        rig.wait_for(lambda: rig.faults)
        rig.wait_for(lambda: rig.hub.connection_count == 1)
        rig.close(second)
        with contextlib.suppress(ConnectionResetError):  # with or without one, nothing came
            assert receive(third, 1000) == b""
    assert [type(fault) for fault in rig.faults] == [MemoryError]
    assert [type(fault) for fault in unraisable] == [MemoryError] * 3  # a message, two closes
    assert rig.hub.stats()["closed"] == 3
    assert not rig.events


def test_a_hub_nobody_uses_goes_with_unseen_connections(listener: socket.socket) -> None:
    """A collector finds them; their sockets end."""
    rig = Rig(listener)
    peer = rig.open()
    rig.hub.unlisten(listener.fileno())
    rig.hub.detach_loop()
    seen = [weakref.ref(rig), weakref.ref(rig.hub)]
    del rig
    gc.collect()
    assert [reference() for reference in seen] == [None, None]
    with peer:
        assert receive(peer, 1) == b""
