"""Opening handshakes: what is accepted, what is refused, and how the socket changes hands."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable

import pytest

from flinfast.server.head import Head, interpret
from flinfast.server.upgrade import (
    EARLY_BYTES_MAX,
    Handshake,
    accept_of,
    negotiate_deflate,
    offered_protocols,
    switching_response,
)
from tests.server.running import TIMEOUT_S, Answer, Client, Running

Start = Callable[..., Running]
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
CONNECTION = "Connection: Upgrade"
UPGRADE = "Upgrade: websocket"
ALL = (UPGRADE, CONNECTION, KEY, VERSION)


def upgrade(path: str = "/ws", *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = "".join(f"{line}\r\n" for line in fields)
    return f"{method} {path} HTTP/{version}\r\nHost: test\r\n{lines}\r\n".encode("latin-1")


def opened(client: Client, *fields: str, path: str = "/ws", tail: bytes = b"") -> Answer:
    client.send(upgrade(path, *(fields or ALL)) + tail)
    return client.read_response()


def without(*dropped: str) -> tuple[str, ...]:
    return tuple(field for field in ALL if field not in dropped)


# --- accepted ----------------------------------------


def test_accept_value_is_that_of_the_rfc() -> None:
    """RFC 6455 section 1.3."""
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "fields",
    [
        ALL,
        (UPGRADE, "Connection: keep-alive, Upgrade", KEY, VERSION),  # Firefox
        ("Upgrade: WebSocket", "Connection: upgrade", KEY, VERSION),
        ("Upgrade: h2c, websocket", CONNECTION, KEY, VERSION),
        (UPGRADE, "Connection: keep-alive", "Connection: Upgrade", KEY, VERSION),
        (*ALL, "Content-Length: 0"),
        (*ALL, "Sec-WebSocket-Protocol: \xff\xfe"),
        (*ALL, "Sec-WebSocket-Extensions: \xe9; ;;=,,"),
        (*ALL, "X-Name: \x80\x9f"),
    ],
    ids=str,
)
def test_valid_handshakes_are_answered_101(shared: Running, fields: tuple[str, ...]) -> None:
    """Token lists, letter case, bytes beyond ASCII."""
    with shared.connect() as client:
        answer = opened(client, *fields)
        assert answer.status == 101
        assert answer.headers["upgrade"] == "websocket"
        assert answer.headers["connection"] == "Upgrade"
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert "sec-websocket-protocol" not in answer.headers
        assert "sec-websocket-extensions" not in answer.headers
        assert "content-length" not in answer.headers


def test_bytes_glued_to_the_handshake_reach_the_hub(shared: Running) -> None:
    """Frames in the same segment are early bytes, whole and in order."""
    frames = b"\x81\x85\0\0\0\0hello" * 3
    with shared.connect() as client:
        assert opened(client, tail=frames).status == 101
        shared.wait_for(lambda: shared.hub.opened[-1].early == frames)


def test_bytes_sent_while_guards_run_reach_the_hub(shared: Running) -> None:
    """They wait in the kernel, or as early bytes; none is lost and none is read as HTTP."""
    count = len(shared.hub.opened)
    with shared.connect() as client:
        client.send(upgrade("/ws-later", *ALL) + b"first")
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.read_response().status == 101
        shared.wait_for(lambda: len(shared.hub.opened) > count)
        link = shared.hub.opened[-1].link
        link.settimeout(TIMEOUT_S)
        received = shared.hub.opened[-1].early
        while len(received) < len(b"firstGET / HTTP/1.1\r\n\r\n"):
            received += link.recv(100)
        assert received == b"firstGET / HTTP/1.1\r\n\r\n"


def test_too_many_early_bytes_are_refused(shared: Running) -> None:
    """EARLY_BYTES_MAX bounds what is kept in memory before the 101."""
    with shared.connect() as client:
        client.send(upgrade("/ws-later", *ALL) + b"x" * (EARLY_BYTES_MAX * 3))
        answer = client.read_response()
        # What has not been read when reading pauses stays in the kernel: both ends are right.
        assert answer.status in (101, 400)
        if answer.status == 101:
            assert len(shared.hub.opened[-1].early) <= EARLY_BYTES_MAX


def test_the_loop_forgets_the_connection(shared: Running) -> None:
    """The duplicate alone keeps the socket open, both ways."""
    with shared.connect() as client:
        opened(client)
        site = shared.server.site
        assert site is not None
        shared.wait_for(lambda: not site.connections)
        link = shared.hub.opened[-1].link
        link.send(b"down")
        assert client.read_exactly(4) == b"down"
        client.send(b"up")
        link.settimeout(TIMEOUT_S)
        assert link.recv(10) == b"up"
        link.close()
        assert client.is_closed()


def test_earlier_pipelined_answers_leave_before_the_101(shared: Running) -> None:
    """A large answer to an earlier request, then the upgrade, in one segment."""
    with shared.connect() as client:
        client.send(b"GET /big HTTP/1.1\r\nHost: test\r\n\r\n" + upgrade("/ws", *ALL))
        assert len(client.read_response().body) == 4 << 20
        assert client.read_response().status == 101


def test_the_101_carries_fields_of_the_program(start: Start) -> None:
    """Cookies of middleware; framing fields of the program are left out."""
    running = start()
    running.app.upgrade_headers = [("Set-Cookie", "a=b"), ("Content-Type", "text/html")]
    with running.connect() as client:
        answer = opened(client)
        assert answer.headers["set-cookie"] == "a=b"
        assert "content-type" not in answer.headers


def test_a_line_break_in_a_field_of_the_program_is_500(start: Start) -> None:
    """No 101 is written at all."""
    running = start()
    running.app.upgrade_headers = [("X-A", "b\r\nX-B: c")]
    with running.connect() as client:
        assert opened(client).status == 500
    assert not running.hub.opened


def test_subprotocol_is_answered_when_offered_and_chosen(shared: Running) -> None:
    """The program's choice counts only if the peer offered it."""
    with shared.connect() as client:
        answer = opened(client, *ALL, "Sec-WebSocket-Protocol: x, flin.json.v1")
        assert answer.headers["sec-websocket-protocol"] == "flin.json.v1"
        assert shared.hub.opened[-1].protocol == "flin.json.v1"
    with shared.connect() as client:
        answer = opened(client, *ALL, "Sec-WebSocket-Protocol: other")
        assert "sec-websocket-protocol" not in answer.headers


# --- refused ----------------------------------------

REFUSED: list[tuple[str, bytes, int]] = [
    ("no key", upgrade("/ws", *without(KEY)), 400),
    ("empty key", upgrade("/ws", *without(KEY), "Sec-WebSocket-Key:"), 400),
    ("key of 15 bytes", upgrade("/ws", *without(KEY), "Sec-WebSocket-Key: " + "A" * 20), 400),
    ("key of 17 bytes", upgrade("/ws", *without(KEY), "Sec-WebSocket-Key: " + "A" * 23 + "="), 400),
    ("key not base64", upgrade("/ws", *without(KEY), "Sec-WebSocket-Key: " + "!" * 22 + "=="), 400),
    ("two keys", upgrade("/ws", *ALL, KEY), 400),
    ("no version", upgrade("/ws", *without(VERSION)), 426),
    ("version 12", upgrade("/ws", *without(VERSION), "Sec-WebSocket-Version: 12"), 426),
    ("version 8", upgrade("/ws", *without(VERSION), "Sec-WebSocket-Version: 8"), 426),
    ("version 013", upgrade("/ws", *without(VERSION), "Sec-WebSocket-Version: 013"), 426),
    ("version list", upgrade("/ws", *without(VERSION), "Sec-WebSocket-Version: 13, 12"), 426),
    ("two versions", upgrade("/ws", *ALL, VERSION), 400),
    ("no Connection", upgrade("/ws", *without(CONNECTION)), 400),
    ("Connection: close", upgrade("/ws", *without(CONNECTION), "Connection: close"), 400),
    ("Connection: upgraded", upgrade("/ws", *without(CONNECTION), "Connection: upgraded"), 400),
    ("POST", upgrade("/ws", *ALL, method="POST"), 400),
    ("HEAD", upgrade("/ws", *ALL, method="HEAD"), 400),
    ("body", upgrade("/ws", *ALL, "Content-Length: 3") + b"abc", 400),
    ("chunked body", upgrade("/ws", *ALL, "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    ("no upgrade at all", upgrade("/ws"), 426),
    ("HTTP/1.0 cannot upgrade", upgrade("/ws", *ALL, version="1.0"), 426),
    ("another protocol", upgrade("/ws", "Upgrade: h2c", *without(UPGRADE)), 426),
    ("unknown path", upgrade("/nowhere", *ALL), 404),
    ("no ws there", upgrade("/echo", *ALL), 404),
    ("bad path", upgrade("/%zz", *ALL), 400),
    ("denied by a guard", upgrade("/ws-denied", *ALL), 401),
    ("two Origins", upgrade("/ws", *ALL, "Origin: http://a", "Origin: http://b"), 400),
    ("no Host", upgrade("/ws", *ALL).replace(b"Host: test\r\n", b""), 400),
]


@pytest.mark.parametrize(("data", "status"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_bad_handshakes_are_refused_as_http(shared: Running, data: bytes, status: int) -> None:
    """An ordinary response, no 101, nothing opened, the next client is served."""
    count = len(shared.hub.opened)
    with shared.connect() as client:
        client.send(data)
        head_only = data.startswith(b"HEAD")
        answer = client.read_response(head_only=head_only)
        assert answer.status == status
        if status == 426 and b"Sec-WebSocket-Version" in data and b"1.1" in data:
            assert "upgrade" in answer.headers
        if b"ersion: 12" in data:
            assert answer.headers["sec-websocket-version"] == "13"
    assert len(shared.hub.opened) == count
    with shared.connect() as other:
        assert opened(other).status == 101


def test_a_denied_upgrade_can_go_on_with_http(shared: Running) -> None:
    """401 is an answer like any other; guards ran before anything else."""
    with shared.connect() as client:
        assert opened(client, path="/ws-denied").status == 401
        assert client.get("/").body == b'"home"'


def test_a_peer_that_leaves_while_guards_run_harms_nobody(shared: Running) -> None:
    """The late accept opens nothing."""
    count = len(shared.hub.opened)
    with shared.connect() as client:
        client.send(upgrade("/ws-later", *ALL))
        client.link.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SOL_SOCKET, SO_LINGER: reset
    with shared.connect() as other:
        assert opened(other, path="/ws-later").status == 101
    assert len(shared.hub.opened) <= count + 2


@pytest.mark.parametrize("data_plane", ["reactor", "adapter"])
def test_connection_that_the_hub_does_not_take_is_ended(
    start: Start, monkeypatch: pytest.MonkeyPatch, data_plane: str
) -> None:
    """HTTP has let go of it already, and reading is paused: nobody else would."""
    running = start(server_data_plane=data_plane)

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    for name in ("open_stream", "open_transport"):
        monkeypatch.setattr(running.hub, name, fail)
    with running.connect() as client:
        client.send(upgrade("/ws", *ALL))
        assert client.is_closed()


def test_a_guard_that_never_decides_gets_503(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of handlers holds for upgrades."""
    monkeypatch.setattr("flinfast.server.http_protocol.HANDLER_GRACE_S", 0.0)
    running = start(server_handler_timeout="200ms")
    with running.connect() as client:
        assert opened(client, path="/ws-never").status == 503


def test_descriptors_do_not_leak(shared: Running) -> None:
    """Refused and accepted upgrades give back what they took."""
    gc.collect()  # what earlier tests left is not ours to count
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with shared.connect() as client:
            assert opened(client, path="/ws-denied").status == 401
        with shared.connect() as client:
            assert opened(client).status == 101
            shared.hub.opened.pop().link.close()
    site = shared.server.site
    assert site is not None
    shared.wait_for(lambda: not site.connections)
    shared.wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before)


# --- adapter ----------------------------------------


def test_adapter_keeps_the_transport(start: Start) -> None:
    """`server.data_plane = "adapter"`: bytes go through the loop's transport to the hub."""
    running = start(server_data_plane="adapter")
    with running.connect() as client:
        assert opened(client, tail=b"early").status == 101
        running.wait_for(lambda: bool(running.hub.opened))
        assert running.hub.opened[0].kind == "transport"
        assert running.hub.opened[0].early == b"early"
        client.send(b"later")
        running.wait_for(lambda: bytes(running.hub.fed) == b"later")
    running.wait_for(lambda: "lost" in running.hub.events)
    assert running.hub.events.index("eof") < running.hub.events.index("lost")


# --- pure parts ----------------------------------------


def head_with(*fields: tuple[str, str]) -> Head:
    return interpret("GET", "/ws", "1.1", [("host", "test"), *fields])


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; client_max_window_bits=15", True),
        ('permessage-deflate; client_max_window_bits="10"', True),
        ("permessage-deflate; client_max_window_bits=8", True),
        ("permessage-deflate; client_max_window_bits=7", False),
        ("permessage-deflate; client_max_window_bits=16", False),
        ("permessage-deflate; client_max_window_bits=015", False),
        ("permessage-deflate; client_max_window_bits=", False),
        ("permessage-deflate; client_max_window_bits=+9", False),
        ("permessage-deflate; server_max_window_bits=15", True),
        ("permessage-deflate; server_max_window_bits=14", True),
        ("permessage-deflate; server_max_window_bits=8", True),
        ("permessage-deflate; server_max_window_bits=7", False),
        ("permessage-deflate; server_max_window_bits", False),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", True),
        ("permessage-deflate; server_no_context_takeover=1", False),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", False),
        ("permessage-deflate; unknown", False),
        ("x-webkit-deflate-frame", False),
        ("PERMESSAGE-DEFLATE", False),
        ("", False),
        (", ".join(["x"] * 20 + ["permessage-deflate"]), False),
    ],
)
def test_compression_offers(offer: str, agreed: bool) -> None:
    """RFC 7692 section 7.1: an offer that cannot be kept is declined, never failed later."""
    answer = negotiate_deflate(offer)
    assert bool(answer) == agreed
    if agreed:
        plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        asked = offer.partition(",")[0].partition("server_max_window_bits=")[2]
        assert answer == (f"{plain}; server_max_window_bits={asked}" if asked else plain)


def test_compression_is_negotiated_only_when_set(start: Start) -> None:
    """`ws.compression`."""
    running = start(ws_compression="on")
    with running.connect() as client:
        answer = opened(client, *ALL, "Sec-WebSocket-Extensions: permessage-deflate")
        assert answer.headers["sec-websocket-extensions"].startswith("permessage-deflate")
        assert running.hub.opened[-1].deflate
    with running.connect() as client:
        assert "sec-websocket-extensions" not in opened(client).headers
        assert not running.hub.opened[-1].deflate


def test_offered_protocols_are_tokens_in_order() -> None:
    """Lists, several lines; what is not a token is skipped."""
    head = head_with(
        ("sec-websocket-protocol", "b, a"),
        ("sec-websocket-protocol", "c c, \xff, d,"),
    )
    assert offered_protocols(head) == ("b", "a", "d")


def test_switching_response_refuses_line_breaks() -> None:
    """Every place a program's text can get to."""
    handshake = Handshake("accept", ("p",), "")
    good = switching_response(handshake, protocol="", headers=[("A", "b")])
    assert good.count(b"\r\n") == 6
    for bad in ("b\r\nC: d", "b\nC: d", "b\rC: d", "b\r", "b\n", "b\0"):
        with pytest.raises(ValueError, match="line break"):
            switching_response(handshake, protocol="", headers=[("A", bad)])
        with pytest.raises(ValueError, match="line break"):
            switching_response(handshake, protocol="", headers=[(bad, "b")])
    with pytest.raises(ValueError, match="latin-1"):
        switching_response(handshake, protocol="", headers=[("A", "\u20ac")])


def test_hub_takes_over_on_plain_asyncio_as_well(tmp_path: object) -> None:
    """The duplicate survives abort() of asyncio's own transport, in both directions."""

    async def scenario() -> bytes:
        taken: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        class Taker(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                fd = os.dup(transport.get_extra_info("socket").fileno())
                assert isinstance(transport, asyncio.Transport)
                transport.pause_reading()
                transport.abort()
                taken.set_result(fd)

        server = await asyncio.get_running_loop().create_server(Taker, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            fd = await taken
            os.write(fd, b"hello")
            found = await reader.readexactly(5)
            os.close(fd)
            writer.close()
            return found

    assert asyncio.run(scenario()) == b"hello"
