"""Equal upgrade requests are decided once, and answered as if each had been decided."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable

import pytest

from flinfast.native.handshake import accept_key
from flinfast.server.repeated_upgrade import HEAD_BYTES_MAX, HEADS_MAX
from tests.server.running import Client, PlainConnection, Running

Start = Callable[..., Running]
COMMON = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")


def upgrade(
    client: Client,
    *more: str,
    path: str = "/ws-open",
    field: str = "Sec-WebSocket-Key",
    key: str = "",
    tail: bytes = b"",
) -> list[tuple[str, str]]:
    """Open a WebSocket; the fields of the 101, whose accept value is right."""
    key = key or base64.b64encode(os.urandom(16)).decode()
    lines = (f"GET {path} HTTP/1.1", "Host: test", *COMMON, f"{field}: {key}", *more, "", "")
    client.send("\r\n".join(lines).encode() + tail)
    answer = client.read_response()
    assert answer.status == 101
    assert answer.headers["sec-websocket-accept"] == accept_key(key.encode()).decode()
    return [pair for pair in answer.pairs if pair[0].lower() != "sec-websocket-accept"]


def connect_from(running: Running, address: str) -> Client:
    link = socket.create_connection(("127.0.0.1", running.port), source_address=(address, 0))
    return Client(link)


def test_second_equal_head_is_not_asked_again(start: Start) -> None:
    """Same answer, other key, other peer; the program saw one request."""
    running = start()
    with running.connect() as first, connect_from(running, "127.0.0.9") as second:
        fields = upgrade(first)
        assert upgrade(second) == fields
    assert len(running.app.upgrades) == 1
    (opening,) = running.hub.repeated
    assert isinstance(opening.connection, PlainConnection)
    assert opening.connection.address == "127.0.0.9"
    assert opening.protocol == ""
    running.stop()
    lines = [line for line in running.log_text().splitlines() if "/ws-open" in line]
    assert len(lines) == 2
    assert all("101" in line for line in lines)


def test_frames_glued_to_a_repeated_head_arrive(start: Start) -> None:
    """A ping right behind the head is answered."""
    running = start()
    with running.connect() as first, running.connect() as second:
        upgrade(first)
        upgrade(second, tail=b"\x89\x81\0\0\0\0p")
        assert second.read_exactly(3) == b"\x8a\x01p"
    assert len(running.hub.repeated) == 1


def test_choice_of_subprotocol_and_compression_is_repeated(start: Start) -> None:
    """They follow from the head, so they are the same."""
    running = start(ws_compression="true")
    offers = (
        "Sec-WebSocket-Protocol: flin.json.v1",
        "Sec-WebSocket-Extensions: permessage-deflate",
    )
    with running.connect() as first, running.connect() as second:
        fields = upgrade(first, *offers)
        assert ("Sec-WebSocket-Protocol", "flin.json.v1") in fields
        assert upgrade(second, *offers) == fields
    (opening,) = running.hub.repeated
    assert opening.protocol == "flin.json.v1"
    assert opening.deflate
    assert opening.deflate_output


@pytest.mark.parametrize(
    "more",
    [("X-Other: 1",), ("Origin: http://a",), ("Sec-WebSocket-Protocol: x",)],
    ids=str,
)
def test_another_head_is_decided_anew(start: Start, more: tuple[str, ...]) -> None:
    """Any other byte makes it another request."""
    running = start()
    with running.connect() as first, running.connect() as second:
        upgrade(first)
        upgrade(second, *more)
    assert len(running.app.upgrades) == 2


def test_bad_key_of_a_known_head_is_refused(start: Start) -> None:
    """The key is checked each time."""
    running = start()
    with running.connect() as first:
        upgrade(first)
    for key in ("short", "dGhlIHNhbXBsZSBub25jZQ=*", "dGhlIHNhbXBsZSBub25jZQ== "):
        with running.connect() as client:
            lines = ("GET /ws-open HTTP/1.1", "Host: test", *COMMON, f"Sec-WebSocket-Key: {key}")
            client.send("\r\n".join((*lines, "", "")).encode())
            assert client.read_response().status in (101, 400)
    assert not running.hub.repeated


def test_head_in_pieces_takes_the_ordinary_way(start: Start) -> None:
    """It is answered alike."""
    running = start()
    with running.connect() as first, running.connect() as second:
        fields = upgrade(first)
        second.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        second.send(b"GET /ws-open HTTP/1.1\r\n")
        running.wait_for(lambda: len(running.server.site.connections) == 1)
        lines = ("Host: test", *COMMON, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "")
        second.send("\r\n".join(lines).encode())
        answer = second.read_response()
        assert [pair for pair in answer.pairs if pair[0] != "Sec-WebSocket-Accept"] == fields
    assert not running.hub.repeated


def test_program_that_changed_is_asked_again(start: Start) -> None:
    """A new program may refuse."""
    running = start()
    with running.connect() as first, running.connect() as second, running.connect() as third:
        upgrade(first)
        running.app.epoch += 1
        running.app.upgrade_headers = [("X-New", "1")]
        assert ("X-New", "1") in upgrade(second)
        assert ("X-New", "1") in upgrade(third)
    assert len(running.app.upgrades) == 2


def test_what_is_decided_each_time_is_not_remembered(start: Start) -> None:
    """Routes that may refuse, heads behind a proxy, fields spelled otherwise, huge heads."""
    running = start()
    for _ in range(2):
        with running.connect() as client:
            upgrade(client, path="/ws")
        with running.connect() as client:
            upgrade(client, field="sec-websocket-key")
        with running.connect() as client:
            upgrade(client, "X-Long: " + "x" * HEAD_BYTES_MAX)
    assert not running.hub.repeated
    behind = start(server_proxy_headers="true")
    for _ in range(2):
        with behind.connect() as client:
            upgrade(client)
    assert not behind.hub.repeated


def test_memory_of_heads_is_bounded(start: Start) -> None:
    """The oldest are forgotten."""
    running = start()
    for number in range(HEADS_MAX + 1):
        with running.connect() as client:
            upgrade(client, f"X-Number: {number}")
    with running.connect() as client:
        upgrade(client, f"X-Number: {HEADS_MAX}")
    assert len(running.hub.repeated) == 1
    with running.connect() as client:
        upgrade(client, "X-Number: 0")
    assert len(running.hub.repeated) == 1
