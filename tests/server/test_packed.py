"""The subprotocol `flin.msgpack`: equal values for clients of both kinds in one room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.server.packed import from_packed, to_packed
from tests.server.program import Program, Socket

FILES = {
    "app/room.flin": """
        ws {
            on connect { ws_join("room") }
            on message(data) { broadcast("room", data) }
        }
        route POST { broadcast("room", body) }
    """,
    "app/kind.flin": """
        ws {
            on message(data) {
                if data.type == "binary" {
                    ws_send(ws.connection_id, { size: data.bytes.len })
                } else if data == "protocol" {
                    ws_send(ws.connection_id, ws.protocol)
                } else {
                    ws_send(ws.connection_id, { got: data, kind: type_of(data) })
                }
            }
        }
    """,
    "app/bytes.flin": "ws { on message(data) { ws_send(ws.connection_id, data.bytes) } }",
    "app/slow.flin": 'ws { on connect { ws_send(ws.connection_id, "hello") } }',
}
OFFER = {"Sec_WebSocket_Protocol": "flin.msgpack"}


@pytest.fixture(scope="module", params=["auto", "adapter"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    with Program(
        tmp_path_factory.mktemp("packed"),
        FILES,
        log_access="off",
        ws_compression="on",
        server_data_plane=request.param,
    ) as program:
        yield program


def packed(site: Program, path: str, **fields: str) -> Socket:
    answer, link = site.client().upgrade(path, **{**OFFER, **fields})
    assert answer.status == 101
    assert answer.headers["sec-websocket-protocol"] == "flin.msgpack"
    return link


def send(link: Socket, value: Any) -> None:
    link.send_frame(2, msgpack.packb(value))


def receive(link: Socket) -> Any:
    opcode, payload = link.frame()
    assert opcode == 2
    return msgpack.unpackb(payload)


VALUES = [
    {"type": "chat", "text": "hëllo", "n": 5, "x": 1.5, "ok": True, "none": None},
    [1, [2, {"a": []}]],
    "text",
    "",
    7,
    -(2**63),
    2**64 - 1,
    1.25,
    True,
    None,
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_clients_of_both_kinds_see_equal_values(site: Program, value: Any) -> None:
    """One room: what either sends arrives at both as the same value."""
    with packed(site, "/room") as first, site.client().ws("/room") as second:
        site.wait_for(lambda: site.app.hub.room_size("room") == 2)
        send(first, value)
        assert receive(first) == value
        opcode, text = second.frame()
        assert opcode == 1
        assert text.decode() == value if isinstance(value, str) else json.loads(text) == value
        if not isinstance(value, str):
            second.send(value if isinstance(value, dict | list) else json.dumps(value))
            assert receive(first) == value
            second.frame()
    site.wait_for(lambda: site.app.hub.room_size("room") == 0)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("hi", {"got": "hi", "kind": "text"}),
        ("5", {"got": "5", "kind": "text"}),
        (5, {"got": 5, "kind": "int"}),
        ({"a": 1}, {"got": {"a": 1}, "kind": "map"}),
        (b"12345", {"size": 5}),
        ("protocol", "flin.msgpack"),
    ],
)
def test_handlers_get_the_value(site: Program, value: Any, answer: Any) -> None:
    """Text stays text, `bin` is binary data, `ws.protocol` says what was agreed on."""
    with packed(site, "/kind") as link:
        send(link, value)
        assert receive(link) == answer


def test_bytes_are_bin(site: Program) -> None:
    """Binary data in both directions."""
    with packed(site, "/bytes") as link:
        send(link, bytes(range(256)))
        assert receive(link) == bytes(range(256))


def test_frames_may_be_fragmented_and_cut(site: Program) -> None:
    """Reassembly, pings in between, and bytes one by one."""
    with packed(site, "/kind") as link:
        raw = msgpack.packb({"a": "x" * 300})
        link.client.send(b"\x02\x80\0\0\0\0")  # binary, not final, empty
        link.send_frame(9, b"ping")
        opcode, payload = link.frame()
        assert (opcode, payload) == (10, b"ping")
        frame = b"\x80\xfe" + len(raw).to_bytes(2, "big") + b"\0\0\0\0" + raw
        for byte in frame:
            link.client.send(bytes([byte]))
        assert receive(link)["got"] == {"a": "x" * 300}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 1007),
        (b"\xc1", 1007),
        (b"\x01\x02", 1007),
        (b"\xd9\x05ab", 1007),
        (b"\xc7\x01\x05x", 1007),  # an extension type
        (b"\xdd\xff\xff\xff\xff", 1007),  # a list of 2**32 - 1 items that are not there
        (b"\x91" * 5000 + b"\x01", 1007),
    ],
)
def test_malformed_messages_close_1007(site: Program, payload: bytes, code: int) -> None:
    """Nothing but MessagePack; what came before is handled first."""
    with packed(site, "/kind") as link:
        send(link, 1)
        link.send_frame(2, payload)
        assert receive(link)["got"] == 1
        assert link.close_code() == code


def test_protocol_faults_keep_their_codes(site: Program) -> None:
    """A frame without a mask, a message that is too long, a close of the client."""
    with packed(site, "/kind") as link:
        link.client.send(b"\x82\x01\x01")
        assert link.close_code() == 1002
    with packed(site, "/kind") as link:
        link.client.send(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"\0\0\0\0")
        assert link.close_code() == 1009
    with packed(site, "/kind") as link:
        link.send_frame(8, (4000).to_bytes(2, "big") + b"bye")
        assert link.close_code() == 4000


def test_bytes_glued_to_the_handshake_are_not_lost(site: Program) -> None:
    """A client that does not wait for the 101."""
    with site.connect() as client:
        head = site.client().head(
            "GET",
            "/kind",
            {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                "Sec-WebSocket-Protocol": "flin.msgpack",
            },
        )
        client.send(head + b"\x82\x81\0\0\0\0\x07")
        assert client.read_response().status == 101
        assert receive(Socket(client)) == {"got": 7, "kind": "int"}


def test_the_first_offered_protocol_of_ours_is_chosen(site: Program) -> None:
    """In the client's order; unknown ones are passed over; compression is not for MessagePack."""
    for offered, chosen in (
        ("x, flin.json, flin.msgpack", "flin.json"),
        ("flin.msgpack, flin.json", "flin.msgpack"),
        ("soap", None),
    ):
        answer, link = site.client().upgrade(
            "/kind",
            Sec_WebSocket_Protocol=offered,
            Sec_WebSocket_Extensions="permessage-deflate",
        )
        with link:
            assert answer.headers.get("sec-websocket-protocol") == chosen
            is_packed = chosen == "flin.msgpack"
            assert ("sec-websocket-extensions" in answer.headers) is not is_packed


def test_clients_that_leave_are_forgotten(site: Program) -> None:
    """Descriptors, rooms and connections."""
    for _ in range(20):
        with packed(site, "/room"):
            pass
    site.wait_for(lambda: site.app.hub.room_size("room") == 0)
    site.wait_for(lambda: site.app.hub.connection_count == 0)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(plain)
def test_a_value_survives_both_ways(value: Any) -> None:
    """Against the MessagePack library: what it writes is read, and what is written it reads."""
    _, text = from_packed(msgpack.packb(value))
    assert json.loads(text) == value
    assert msgpack.unpackb(to_packed(text)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_value_error(payload: bytes) -> None:
    """Nothing else leaves."""
    try:
        _, data = from_packed(payload)
    except ValueError:
        return
    assert isinstance(data, bytes)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"plain text", "plain text"),
        (b'"quoted"', "quoted"),
        (b"1e400", "1e400"),
        (b"123456789012345678901234567890", 1.2345678901234568e29),
        (b'{"n":123456789012345678901234567890}', {"n": 1.2345678901234568e29}),
    ],
)
def test_text_of_the_hub(text: bytes, value: Any) -> None:
    """Text that is no JSON stays text; integers beyond 64 bits become floats."""
    assert msgpack.unpackb(to_packed(text)) == value
