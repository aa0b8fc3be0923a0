"""Equal upgrade requests are decided once, and answered as if each had been decided.

What the hub does with them is tested in tests/native/test_known_upgrade.py.
"""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from flinfast.native.handshake import accept_key
from flinfast.runtime.context import WsContext
from flinfast.server.repeated_upgrade import HEAD_BYTES_MAX, HEADS_MAX
from tests.server.program import Program
from tests.server.running import Client, Running

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
    (connection,) = running.app.renewed
    assert connection.address == "127.0.0.9"
    assert connection.protocol == ""
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
    assert running.hub.known.count == 1


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
    assert running.hub.known.count == 1
    assert running.app.renewed[-1].protocol == "flin.json.v1"


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
    assert running.hub.known.count == 0


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
    assert running.hub.known.count == 0


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
    assert running.hub.known.count == 0
    behind = start(server_proxy_headers="true")
    for _ in range(2):
        with behind.connect() as client:
            upgrade(client)
    assert behind.hub.known.count == 0


def test_memory_of_heads_is_bounded(start: Start) -> None:
    """The oldest are forgotten."""
    running = start()
    for number in range(HEADS_MAX + 1):
        with running.connect() as client:
            upgrade(client, f"X-Number: {number}")
    with running.connect() as client:
        upgrade(client, f"X-Number: {HEADS_MAX}")
    assert running.hub.known.count == 1
    with running.connect() as client:
        upgrade(client, "X-Number: 0")
    assert running.hub.known.count == 1


# --- with a real program ----------------------------------------

ECHO = "ws { on message(data) { ws_send(ws.connection_id, [data, ws.ip]) } }"
ROOM = """
ws {
    on connect { ws_join("r") }
    on message(data) { broadcast("r", data) }
    on close { log_info("left with {ws.close_code}") }
}
"""


def test_silent_connections_of_a_plain_block_run_no_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted; one that speaks is like any other."""
    made: list[str] = []

    class Counted(WsContext):
        def __init__(self, site: object, path: str, ip: str, values: tuple[str, ...]) -> None:
            made.append(ip)
            super().__init__(site, path, ip, values)  # type: ignore[arg-type]

    monkeypatch.setattr("flinfast.runtime.app.WsContext", Counted)
    with Program(tmp_path, {"app/echo.flin": ECHO}, log_access="off") as program:
        browser = program.client()
        for _ in range(5):
            with browser.ws("/echo") as socket:
                socket.send_frame(8, b"\x03\xe8")
                assert socket.close_code() == 1000
        assert made == ["127.0.0.1"]  # the first one was decided
        with browser.ws("/echo") as socket:
            socket.send("a")
            assert socket.receive() == ["a", "127.0.0.1"]
        assert len(made) == 2
        program.wait_for(lambda: program.app.hub.connection_count == 0)
        stats = program.app.hub.stats()
        assert (stats["opened"], stats["closed"]) == (6, 6)
        assert program.server.site.response_count(1) == 6


@pytest.mark.parametrize("access", ["on", "off"])
def test_handlers_with_code_run_for_each(tmp_path: Path, access: str) -> None:
    """Rooms and `on close` are those of connections that were decided one by one."""
    with Program(tmp_path, {"app/room.flin": ROOM}, log_access=access) as program:
        browser = program.client()
        with browser.ws("/room") as first, browser.ws("/room") as second:
            first.send("hello")
            assert [first.receive(), second.receive()] == ["hello"] * 2
            second.send_frame(8, b"\x0f\xa1")
            assert second.close_code() == 4001
            first.send("alone")
            assert first.receive() == "alone"
            assert program.app.hub.room_size("r") == 1
        program.wait_for(lambda: "left with 1006" in program.log_text())
    lines = program.log_text().splitlines()
    assert sum("left with 4001" in line for line in lines) == 1
    assert sum("left with" in line for line in lines) == 2
    assert sum('"status":101' in line for line in lines) == (2 if access == "on" else 0)
