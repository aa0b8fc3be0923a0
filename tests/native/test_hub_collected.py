"""Hubs that nobody uses any more: what is open in them does not keep them alive."""

from __future__ import annotations

import gc
import socket
import weakref
from typing import Any

import pytest

from flinfast.native.hub import Connection, Endpoint, Held, Hub
from tests import wire
from tests.native.model_hub import DIRECT, RESPONSE, Loop, Transport

TIMEOUT_S = 30.0


class Protocol:
    """The protocol of a stream; it refers to its transport, as all do."""

    def __init__(self) -> None:
        self.received = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data


class Rooted:
    """A hub with a loop, and something open of every kind.

    Attributes:
        hub: The hub; nothing else of this object refers to it but what a collector must see.
        far: Far ends of what is open.
    """

    def __init__(self) -> None:
        self.loop = Loop()
        self.hub = Hub(lambda value: repr(value).encode())
        self.hub.attach_loop(self.loop)
        self.far: list[socket.socket] = []
        self.protocols: list[Protocol] = []
        self.endpoint = Endpoint(
            path="/", on_message=self.echo, on_close=self.never, direct=DIRECT, implicit_room=True
        )

    def echo(self, connection: Connection, message: Any) -> None:
        self.hub.send_to(connection, message)

    def never(self, connection: Connection) -> None:
        raise AssertionError("`on close` of a hub that nobody uses")

    def open_socket(self) -> Connection:
        near, far = socket.socketpair()
        far.settimeout(TIMEOUT_S)
        self.far.append(far)
        connection = Connection()
        self.hub.open_fd(connection, self.endpoint, near.detach(), response=RESPONSE)
        assert far.recv(len(RESPONSE)) == RESPONSE
        return connection

    def open_transport(self) -> Transport:
        transport = Transport()
        self.hub.open_transport(Connection(), self.endpoint, transport, response=RESPONSE)
        return transport

    def open_stream(self, listener: socket.socket) -> None:
        def protocol() -> Protocol:
            self.protocols.append(Protocol())
            return self.protocols[-1]

        listener.setblocking(False)
        self.hub.listen(listener.fileno(), protocol, lambda text, error: None)
        far = socket.create_connection(listener.getsockname(), TIMEOUT_S)
        far.sendall(b"first")
        while not self.protocols:
            self.loop.turn()
        self.hub.unlisten(listener.fileno())
        self.far.append(far)

    def hold(self, connection: Connection) -> Held:
        self.hub.begin(connection)
        self.hub.send_to(connection, "never durable")
        return self.hub.hold()


def has_ended(far: socket.socket) -> bool:
    """Whether the stream is over; with a reset counts as well. The kernel may take a moment."""
    far.settimeout(TIMEOUT_S)
    try:
        return far.recv(100) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_a_hub_nobody_uses_goes_with_all_that_is_open_in_it() -> None:
    """A collector frees it; sockets end, handlers are not called, held effects are dropped."""
    rooted = Rooted()
    connection = rooted.open_socket()
    rooted.open_socket()
    transport = rooted.open_transport()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        rooted.open_stream(listener)
        held = rooted.hold(connection)
        rooted.hub.detach_loop()
        far, protocol = rooted.far, rooted.protocols[0]
        seen: list[weakref.ref[Any]] = [weakref.ref(rooted), weakref.ref(rooted.hub)]
        protocol.held = held  # type: ignore[attr-defined]  # a cycle through the effects, too
        del rooted, connection, held, protocol
        gc.collect()
        assert [reference() for reference in seen] == [None, None]
        assert all(has_ended(one) for one in far)
        assert transport.written == RESPONSE
        assert listener.fileno() >= 0
    for one in far:
        one.close()


@pytest.mark.parametrize("keeps", ["connection", "stream"])
def test_whoever_has_a_part_of_it_has_the_hub(keeps: str) -> None:
    """References that the core owns are counted right: nothing goes that is still in use."""
    rooted = Rooted()
    connection = rooted.open_socket()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        rooted.open_stream(listener)
    protocol = rooted.protocols[0]
    kept = connection if keeps == "connection" else protocol.transport
    reference, loop, far = weakref.ref(rooted.hub), rooted.loop, rooted.far
    rooted.hub.detach_loop()
    del rooted, connection, protocol
    for _ in range(3):
        gc.collect()
    hub = reference()
    assert hub is not None
    assert kept is not None
    hub.attach_loop(loop)
    far[0].sendall(wire.frame(wire.TEXT, b"there?"))
    while loop.turn():
        pass
    assert far[0].recv(100) == bytes([0x81, 6]) + b"there?"
    hub.detach_loop()
    hub.abort_all()
    for one in far:
        one.close()


def test_parts_that_outlive_their_hub_are_closed() -> None:
    """A connection resurrected by a finaliser of its own says that it is closed."""
    survivors: list[Connection] = []

    class Stubborn(Connection):
        def __del__(self) -> None:
            survivors.append(self)

    hub = Hub(lambda value: repr(value).encode())
    near, far = socket.socketpair()
    endpoint = Endpoint(path="/", direct=DIRECT)
    hub.open_fd(Stubborn(), endpoint, near.detach(), response=RESPONSE)
    del hub, endpoint
    gc.collect()
    (survivor,) = survivors
    assert not survivor.is_open
    assert survivor.close_code == 1006
    assert survivor.rooms == []
    with far:
        assert far.recv(len(RESPONSE)) == RESPONSE
        assert has_ended(far)
    survivors.clear()
