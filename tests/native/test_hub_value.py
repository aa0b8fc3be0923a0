"""What handlers get for a message, and what leaves for a value; with and without compression."""

from __future__ import annotations

import os
import zlib
from typing import Any

import pytest

from flinfast.native.deflate import Deflater, InflateError, InflateLimitError, inflate
from flinfast.native.hub import Connection, Message
from tests import wire
from tests.native.model_hub import Rig


def message_of(rig: Rig, frame: bytes) -> Message:
    """A message that its handler keeps."""
    kept: list[Message] = []
    peer = rig.open(rig.endpoint(on_message=lambda _, message: kept.append(message)))
    peer.send(frame)
    return kept[0]


# --- values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"type":"ping","n":1}', {"type": "ping", "n": 1}),
        ("[1,2.5,null,true]", [1, 2.5, None, True]),
        ('"quoted"', "quoted"),
        ('  "quoted" ', "quoted"),
        ("12", 12),
        ("-7", -7),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("-9223372036854775809", -9223372036854775809),
        ("true", True),
        ("null", None),
        ("hello", "hello"),
        ("", ""),
        ("   ", "   "),
        ("{not json}", "{not json}"),
        ("truth", "truth"),
        ("1e999", "1e999"),
        ('"open', '"open'),
        ('"\\ud800"', '"\\ud800"'),
        ("[" * 5000, "[" * 5000),
        ("[" * 100_000 + "]" * 100_000, "[" * 100_000 + "]" * 100_000),
        ("grüße 🎉", "grüße 🎉"),
    ],
)
def test_value_of_a_text_is_its_json_or_the_text(rig: Rig, text: str, value: Any) -> None:
    """Text that is JSON is that value, exact integers included; all other text is itself."""
    message = message_of(rig, wire.frame(wire.TEXT, text.encode()))
    assert message.value == value
    assert type(message.value) is type(value)
    assert message.value is message.value
    assert message.is_text
    assert message.payload == text.encode()


def test_value_of_a_binary_message_is_a_map_with_its_bytes(rig: Rig) -> None:
    """Binary is `{type: "binary", bytes}`, whatever the bytes are."""
    message = message_of(rig, wire.frame(wire.BINARY, b'{"a":1}\xff'))
    assert message.value == {"type": "binary", "bytes": b'{"a":1}\xff'}
    assert not message.is_text


def test_a_kept_message_survives_the_reuse_of_the_buffer(rig: Rig) -> None:
    """A message borrows the receive buffer only while its handler runs."""
    kept: list[Message] = []
    peer = rig.open(rig.endpoint(on_message=lambda _, message: kept.append(message)))
    for i in range(20):
        peer.send(wire.frame(wire.TEXT, b"%d" % i * 50))
    assert [message.payload for message in kept] == [b"%d" % i * 50 for i in range(20)]
    assert len({id(message) for message in kept}) == 20


def test_messages_cannot_be_made_by_hand() -> None:
    """A message without bytes would be a hole."""
    with pytest.raises(TypeError):
        Message()


# --- what goes out


@pytest.mark.parametrize(
    ("data", "opcode", "payload"),
    [
        ("plain text", wire.TEXT, b"plain text"),
        ('"not unquoted"', wire.TEXT, b'"not unquoted"'),
        ("grüße 🎉", wire.TEXT, "grüße 🎉".encode()),
        ("lone \ud800 half", wire.TEXT, "lone \ufffd half".encode()),
        (b"\x00\xff", wire.BINARY, b"\x00\xff"),
        ({"a": [1, None]}, wire.TEXT, b'{"a":[1,null]}'),
        (None, wire.TEXT, b"null"),
        (12, wire.TEXT, b"12"),
        ("", wire.TEXT, b""),
    ],
)
def test_a_value_leaves_as_the_frame_of_its_kind(
    rig: Rig, data: Any, opcode: int, payload: bytes
) -> None:
    """Text leaves raw, bytes as binary, everything else as JSON text."""
    peer = rig.open(rig.endpoint())
    with rig.handler() as hub:
        assert hub.send_to(peer.connection, data) == 1
    assert peer.frames() == [wire.Frame(opcode, payload)]


@pytest.mark.parametrize(
    ("frame", "relayed"),
    [
        (wire.frame(wire.TEXT, b'{"a":  1}'), wire.Frame(wire.TEXT, b'{"a":  1}')),
        (wire.frame(wire.TEXT, b"no json"), wire.Frame(wire.TEXT, b"no json")),
        (wire.frame(wire.TEXT, b'"caf\\u00e9"'), wire.Frame(wire.TEXT, "café".encode())),
        (wire.frame(wire.TEXT, b' "x"'), wire.Frame(wire.TEXT, b"x")),
        (wire.frame(wire.TEXT, b'"never closed'), wire.Frame(wire.TEXT, b'"never closed')),
        (wire.frame(wire.BINARY, b'"\xff"'), wire.Frame(wire.BINARY, b'"\xff"')),
        (wire.frame(wire.TEXT, b"1.50"), wire.Frame(wire.TEXT, b"1.50")),
        (wire.frame(wire.BINARY, b"x" * 50_000), wire.Frame(wire.BINARY, b"x" * 50_000)),
    ],
)
def test_a_relayed_message_keeps_its_bytes(rig: Rig, frame: bytes, relayed: wire.Frame) -> None:
    """Relaying decodes nothing, except that a JSON string leaves unquoted as any text does."""
    peer = rig.open(rig.endpoint(on_message=lambda c, m: rig.hub.send_to(c, m)))
    peer.send(frame)
    assert peer.frames() == [relayed]


def test_an_encoder_that_fails_fails_the_handler_alone(rig: Rig) -> None:
    """What cannot be encoded is the handler's fault; its other effects are gone with it."""

    def on_message(connection: Connection, _: Message) -> None:
        rig.hub.send_to(connection, "gone")
        rig.hub.send_to(connection, object())

    peer = rig.open(rig.endpoint(on_message=on_message))
    peer.send_text("x")
    assert peer.frames() == []
    assert peer.connection.is_open
    assert [fault[0] for fault in rig.faults] == ["message"]
    rig.faults.clear()


def test_the_message_of_a_handler_is_at_hand_while_it_runs(rig: Rig) -> None:
    """`connection.received` is that message in its handler, and nothing before and after."""
    seen: list[object] = []

    def on_message(connection: Connection, message: Message) -> None:
        seen.append(connection.received is message)

    peer = rig.open(rig.endpoint(on_message=on_message))
    assert peer.connection.received is None
    peer.send_text("x")
    assert seen == [True]
    assert peer.connection.received is None


# --- compression


def deflated(payload: bytes) -> bytes:
    """As a client without context takeover sends it."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_compressed_messages_are_inflated_for_handlers(rig: Rig) -> None:
    """Text, binary, fragments and empty messages; plain ones may come in between."""
    seen: list[tuple[bool, bytes]] = []
    peer = rig.open(
        rig.endpoint(on_message=lambda _, m: seen.append((m.is_text, m.payload))), deflate=True
    )
    body = deflated(b'{"a":1}' * 100)
    peer.send(wire.frame(wire.TEXT, body, rsv=4))
    peer.send(
        wire.frame(wire.BINARY, body[:5], rsv=4, fin=False)
        + wire.frame(wire.PING)
        + wire.frame(wire.CONTINUATION, body[5:])
    )
    peer.send(wire.frame(wire.TEXT, deflated(b""), rsv=4) + wire.frame(wire.TEXT, b"plain"))
    text = b'{"a":1}' * 100
    assert seen == [(True, text), (False, text), (True, b""), (True, b"plain")]


def test_messages_leave_compressed_only_where_it_was_agreed_and_pays(rig: Rig) -> None:
    """One broadcast serves both kinds of readers; short and random messages stay plain."""
    endpoint = rig.endpoint(on_connect=lambda c: rig.hub.join(c, "room"))
    plain, packed = rig.open(endpoint), rig.open(endpoint, deflate=True)
    long, noise = "abcdefgh" * 500, os.urandom(4000)
    with rig.handler() as hub:
        hub.broadcast("room", "short")
        hub.broadcast("room", long)
        hub.broadcast("room", noise)
        hub.send_to(packed.connection, long)
        hub.send_to(plain.connection, long)
    assert [frame.rsv for frame in plain.frames()] == [0, 0, 0, 0]
    assert [frame.rsv for frame in packed.frames()] == [0, 4, 0, 4]
    assert plain.frames()[1].payload.decode() == long
    for frame in packed.frames()[1::2]:
        assert len(frame.payload) < 200
        # Each is readable by itself: nothing refers to the message before.
        assert zlib.decompressobj(-15).decompress(frame.payload + b"\0\0\xff\xff").decode() == long


def test_large_compressed_broadcasts_are_shared(rig: Rig) -> None:
    """Both forms of a large message go by reference and arrive whole."""
    endpoint = rig.endpoint(on_connect=lambda c: rig.hub.join(c, "room"))
    plain, packed = rig.open(endpoint), rig.open(endpoint, deflate=True)
    data = os.urandom(1000) * 40
    with rig.handler() as hub:
        hub.broadcast("room", data)
        hub.broadcast("room", "after")
    assert plain.frames()[0].payload == data
    first, second = packed.frames()
    assert zlib.decompressobj(-15).decompress(first.payload + b"\0\0\xff\xff") == data
    assert second.payload == b"after"


def test_compression_may_be_agreed_for_receiving_only(rig: Rig) -> None:
    """A client whose window is smaller than ours is sent plain messages."""
    connection = Connection()
    peer = rig.open(
        rig.endpoint(on_message=lambda c, m: rig.hub.send_to(c, m)),
        connection=connection,
        deflate=True,
        deflate_output=False,
    )
    peer.send(wire.frame(wire.TEXT, deflated(b"long " * 1000), rsv=4))
    assert peer.frames() == [wire.Frame(wire.TEXT, b"long " * 1000)]


@pytest.mark.parametrize(
    ("body", "opcode", "code"),
    [
        (deflated(b"x" * 2001), wire.TEXT, 1009),
        (deflated(b"\0" * 50_000_000), wire.BINARY, 1009),
        (b"\xff\xff\xff", wire.TEXT, 1007),
        (deflated(b"\xff"), wire.TEXT, 1007),
        (b"\x03\x00" * 800, wire.TEXT, 1007),
    ],
    ids=["one too long", "bomb", "damage", "bad text", "many final blocks"],
)
def test_bad_compressed_messages_end_the_connection(
    rig: Rig, body: bytes, opcode: int, code: int
) -> None:
    """The limit holds for the inflated size, while inflating; damage is 1007."""
    endpoint = rig.endpoint(
        message_bytes_max=60_000 if code == 1009 and len(body) > 2000 else 2000,
        on_message=lambda *_: pytest.fail("a bad message reached its handler"),
    )
    peer = rig.open(endpoint, deflate=True)
    peer.send(wire.frame(opcode, body, rsv=4))
    assert peer.connection.close_code == code
    assert peer.frames()[-1].payload[:2] == code.to_bytes(2, "big")


def test_a_compressed_message_at_the_limit_passes(rig: Rig) -> None:
    """2000 bytes are not more than 2000."""
    seen: list[int] = []
    endpoint = rig.endpoint(
        message_bytes_max=2000, on_message=lambda _, m: seen.append(len(m.payload))
    )
    rig.open(endpoint, deflate=True).send(wire.frame(wire.TEXT, deflated(b"x" * 2000), rsv=4))
    assert seen == [2000]


def test_a_queued_compressed_message_is_inflated_when_its_turn_comes(rig: Rig) -> None:
    """Messages wait compressed behind a handler that waits."""
    seen: list[bytes] = []
    endpoint = rig.endpoint(
        direct=(),
        runner=lambda _, closure, args: closure(*args) or False,
        on_message=lambda _, m: seen.append(m.payload),
    )
    peer = rig.open(endpoint, deflate=True)
    peer.send(wire.frame(wire.TEXT, b"first") + wire.frame(wire.TEXT, deflated(b"2nd"), rsv=4))
    assert seen == [b"first"]
    rig.hub.handler_done(peer.connection)
    assert seen == [b"first", b"2nd"]
    rig.hub.handler_done(peer.connection)


def test_inflate_takes_a_final_block_and_one_more_stream() -> None:
    """RFC 7692 section 7.2.3.4: BFINAL is allowed; what follows it must be one stream."""
    compressor = zlib.compressobj(wbits=-15)
    final = compressor.compress(b"done") + compressor.flush()
    assert inflate(final, 100) == b"done"
    assert inflate(final + b"\x00", 100) == b"done"
    with pytest.raises(InflateError):
        inflate(final * 3, 100)
    with pytest.raises(InflateLimitError):
        inflate(final, 3)


def test_a_compressor_remembers_nothing() -> None:
    """The same text twice gives the same bytes, each inflated alone."""
    deflater = Deflater()
    first = deflater.deflate(b"the same words again and again " * 10)
    assert deflater.deflate(b"the same words again and again " * 10) == first
    assert inflate(first, 1000) == b"the same words again and again " * 10
