"""Frames from Python: headers, close payloads, UTF-8 and the message parser."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import LocalProtocolError, RemoteProtocolError
from flinfast.native.frame import (
    Event,
    FrameHeader,
    FrameParser,
    Opcode,
    Utf8Validator,
    decode_close,
    decode_header,
    encode_close,
    encode_frame,
    encode_masked_frame,
)
from tests import wire
from tests.native.reference import Twin, TwinUtf8, code_is_valid, is_text
from tests.native.streams import cut, drain, frames, parse, payloads, random_stream, streams

keys = st.binary(min_size=4, max_size=4)
data_opcodes = st.sampled_from([Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY])
control_opcodes = st.sampled_from([Opcode.CLOSE, Opcode.PING, Opcode.PONG])


# --- encode and decode ------------------------------------------------------------------------


@given(data_opcodes, st.binary(max_size=300), st.booleans())
def test_encode_frame_is_what_the_rfc_says(opcode: Opcode, payload: bytes, fin: bool) -> None:
    """Server frames equal frames written by hand, and so do client frames."""
    assert encode_frame(opcode, payload, fin=fin) == wire.frame(opcode, payload, fin=fin, key=None)
    masked = encode_masked_frame(opcode, payload, wire.KEY, fin=fin)
    assert masked == wire.frame(opcode, payload, fin=fin)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_header_of_each_width_survives_a_round_trip(size: int) -> None:
    """decode(encode(x)) is x, masked and not; every prefix asks for more."""
    payload = bytes(size)
    plain = encode_frame(Opcode.BINARY, payload, fin=False)
    masked = encode_masked_frame(Opcode.BINARY, payload, b"\1\2\3\4", fin=False)
    header_size = 2 if size < 126 else 4 if size < 65536 else 10
    expected = FrameHeader(Opcode.BINARY, size, header_size, False, False, None)
    assert decode_header(plain, sender="server") == expected
    expected = expected._replace(header_size=header_size + 4, mask_key=b"\1\2\3\4")
    assert decode_header(masked, sender="client") == expected
    for end in range(header_size + 4):
        assert decode_header(masked[:end], sender="client") is None


def test_rfc_examples_decode() -> None:
    """RFC 6455 section 5.7."""
    hello = decode_header(wire.RFC_TEXT_HELLO_MASKED, sender="client")
    assert hello == FrameHeader(Opcode.TEXT, 5, 6, True, False, wire.KEY)
    long = decode_header(wire.RFC_BINARY_65536_HEADER, sender="server")
    assert long == FrameHeader(Opcode.BINARY, 65536, 10, True, False, None)
    assert isinstance(hello.opcode, Opcode)


@pytest.mark.parametrize(
    ("data", "sender", "text"),
    [
        (b"\x91", "client", "reserved bit set without a negotiated extension"),
        (b"\xc1", "client", "reserved bit set without a negotiated extension"),
        (b"\x83", "client", "unknown opcode"),
        (b"\x09", "client", "control frame is fragmented"),
        (b"\x81\x00", "client", "client frame is not masked"),
        (b"\x81\x80", "server", "server frame is masked"),
        (b"\x89\xfe", "client", "control frame is longer than 125 bytes"),
        (b"\x81\xfe\x00\x7d", "client", "payload length is not in its shortest form"),
        (b"\x81\xff\x80", "client", "payload length has its top bit set"),
    ],
)
def test_decode_header_of_a_bad_frame_raises(data: bytes, sender: str, text: str) -> None:
    """The fault shows before the header is complete, as a 1002 of the peer."""
    with pytest.raises(RemoteProtocolError, match=text) as caught:
        decode_header(data, sender=sender)  # type: ignore[arg-type]
    assert caught.value.close_code == 1002


def test_decode_header_with_rsv1_negotiated() -> None:
    """RSV1 stands on the first frame of a data message and nowhere else."""
    header = decode_header(b"\xc1\x80\0\0\0\0", sender="client", allow_rsv1=True)
    assert header is not None
    assert header.rsv1
    for first in (b"\xc0", b"\xc9", b"\xd1"):
        with pytest.raises(RemoteProtocolError):
            decode_header(first, sender="client", allow_rsv1=True)


def test_decode_header_of_an_unknown_sender_is_refused() -> None:
    """Only two sides exist."""
    with pytest.raises(ValueError, match="expected the sender `client` or `server`, got 'proxy'"):
        decode_header(b"", sender="proxy")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("opcode", "size", "fin", "rsv1", "text"),
    [
        (3, 0, True, False, "unknown opcode"),
        (16, 0, True, False, "unknown opcode"),
        (-1, 0, True, False, "unknown opcode"),
        (Opcode.PING, 126, True, False, "control frame is longer than 125 bytes"),
        (Opcode.CLOSE, 0, False, False, "control frame is fragmented"),
        (Opcode.PONG, 0, True, True, "reserved bit"),
        (Opcode.CONTINUATION, 0, True, True, "reserved bit"),
    ],
)
def test_encode_of_a_forbidden_frame_raises(
    opcode: int, size: int, fin: bool, rsv1: bool, text: str
) -> None:
    """Our own faults are LocalProtocolError, masked or not."""
    with pytest.raises(LocalProtocolError, match=text):
        encode_frame(opcode, bytes(size), fin=fin, rsv1=rsv1)
    with pytest.raises(LocalProtocolError, match=text):
        encode_masked_frame(opcode, bytes(size), wire.KEY, fin=fin, rsv1=rsv1)


def test_encode_masked_frame_with_a_short_key_is_refused() -> None:
    """A key is four bytes."""
    with pytest.raises(ValueError, match="expected a masking key of 4 bytes, got 3"):
        encode_masked_frame(Opcode.TEXT, b"x", b"abc")


def test_encode_leaves_the_payload_as_it_was() -> None:
    """Masking works on the copy."""
    payload = bytearray(b"payload")
    encode_masked_frame(Opcode.BINARY, payload, wire.KEY)
    assert payload == b"payload"


# --- close ------------------------------------------------------------------------------------


def test_every_close_code_is_judged_as_registered() -> None:
    """Encoding and decoding agree with the registry for all 65536 codes."""
    for code in range(65536):
        if code_is_valid(code):
            assert decode_close(encode_close(code)[2:]) == (code, "")
            continue
        with pytest.raises(RemoteProtocolError):
            decode_close(code.to_bytes(2, "big"))
        if code != 1005:
            with pytest.raises(LocalProtocolError):
                encode_close(code)
    with pytest.raises(LocalProtocolError):
        encode_close(65536 + 1000)


@given(st.text(max_size=200))
def test_close_reason_survives_or_is_cut_between_code_points(reason: str) -> None:
    """At most 123 bytes, never half a code point, never shorter than it must be."""
    frame = encode_close(4000, reason)
    assert len(frame) <= 127
    code, kept = decode_close(frame[2:])
    assert code == 4000
    assert reason.startswith(kept)
    if kept != reason:
        next_character = reason[len(kept)]
        assert len((kept + next_character).encode()) > 123


def test_close_without_a_code_is_1005() -> None:
    """An empty payload, both ways (RFC 6455 section 7.1.5)."""
    assert encode_close(1005) == wire.CLOSE_EMPTY
    assert decode_close(b"") == (1005, "")


def test_decode_close_of_bad_payloads_raises_with_its_code() -> None:
    """Half a code is 1002, a reason that is no text 1007."""
    with pytest.raises(RemoteProtocolError) as caught:
        decode_close(b"\x03")
    assert caught.value.close_code == 1002
    with pytest.raises(RemoteProtocolError) as caught:
        decode_close(b"\x03\xe8\xff")
    assert caught.value.close_code == 1007


# --- UTF-8 ------------------------------------------------------------------------------------


@given(payloads, st.randoms(use_true_random=False))
def test_utf8_in_pieces_agrees_with_the_twin(data: bytes, noise: random.Random) -> None:
    """Same verdict after every piece, and about the end."""
    validator = Utf8Validator()
    twin = TwinUtf8()
    for piece in cut(data, noise):
        good = all(twin.feed(bytes([byte])) for byte in piece)
        assert validator.feed(piece) == good
        if not good:
            return
    assert validator.is_complete == (twin.pending == b"") == is_text(data)


def test_utf8_validator_starts_again_after_reset() -> None:
    """Half a code point is forgotten."""
    validator = Utf8Validator()
    assert validator.feed(b"\xe2\x82")
    assert not validator.is_complete
    validator.reset()
    assert validator.is_complete
    assert validator.feed(b"")
    assert not validator.feed(b"\xac")


# --- messages ---------------------------------------------------------------------------------


@given(streams, st.randoms(use_true_random=False))
def test_any_split_gives_the_same_events(stream: bytes, noise: random.Random) -> None:
    """How the bytes are cut changes neither the events nor the fault."""
    whole = parse([stream])
    assert parse(cut(stream, noise)) == whole
    assert parse([stream[index : index + 1] for index in range(len(stream))]) == whole


@given(
    streams,
    st.sampled_from([0, 5, 50, 1 << 20]),
    st.sampled_from([0, 1, 1024]),
    st.booleans(),
)
def test_the_twin_agrees_on_events_fault_and_place(
    stream: bytes, message_bytes_max: int, empty_fragments_max: int, allow_rsv1: bool
) -> None:
    """The plain-Python twin sees the same events and fails at the same byte."""
    twin = Twin("client", message_bytes_max, empty_fragments_max, allow_rsv1)
    parser = FrameParser(
        sender="client",
        message_bytes_max=message_bytes_max,
        empty_fragments_max=empty_fragments_max,
        allow_rsv1=allow_rsv1,
    )
    events: list[Event] = []
    for index in range(len(stream)):
        twin.feed(stream[index : index + 1])
        parser.feed(stream[index : index + 1])
        more, fault = drain(parser)
        events += more
        assert events == twin.events
        # The core judges the size of a message when its header is complete, the twin too.
        assert fault == twin.fault
        if fault:
            break


def test_the_twin_agrees_on_random_streams() -> None:
    """As above, for streams that look like traffic."""
    for seed in range(300):
        noise = random.Random(seed)
        stream = random_stream(noise)
        twin = Twin()
        twin.feed(stream)
        assert parse(cut(stream, noise)) == (twin.events, twin.fault), seed


@given(st.lists(frames(), max_size=4).map(b"".join))
def test_server_frames_agree_with_the_twin(stream: bytes) -> None:
    """A parser for the frames of a server refuses masks and reads without."""
    unmasked = b"".join(wire.frame(f.opcode, f.payload, fin=f.fin, key=None) for f in whole(stream))
    for data in (stream, unmasked):
        twin = Twin("server")
        twin.feed(data)
        parser = FrameParser(sender="server")
        parser.feed(data)
        assert drain(parser) == (twin.events, twin.fault)


def whole(stream: bytes) -> list[wire.Frame]:
    """The frames of a stream whose control frames are whole."""
    return [f for f in wire.frames(stream) if f.opcode < 8 or len(f.payload) <= 125]


def test_messages_come_out_in_order_with_control_frames_between() -> None:
    """A ping inside a fragmented message comes before the message."""
    parser = FrameParser(sender="client")
    parser.feed(
        wire.frame(wire.TEXT, b"Hel", fin=False)
        + wire.frame(wire.PING, b"now")
        + wire.frame(wire.CONTINUATION, b"lo")
        + wire.frame(wire.BINARY, b"\xff")
        + wire.close(1001, b"bye")
        + wire.frame(wire.TEXT, b"unseen")
    )
    assert drain(parser) == (
        [
            Event(Opcode.PING, b"now"),
            Event(Opcode.TEXT, b"Hello"),
            Event(Opcode.BINARY, b"\xff"),
            Event(Opcode.CLOSE, b"bye", False, 1001),
        ],
        0,
    )
    assert parser.next_event() is None


def test_bad_text_fails_inside_an_unfinished_frame_and_stays_failed() -> None:
    """The fault is raised at the bad byte and by every call after it."""
    stream = wire.frame(wire.TEXT, b"good\xff" + b"x" * 100)
    parser = FrameParser(sender="client")
    parser.feed(stream[:10])
    assert parser.next_event() is None
    parser.feed(stream[10:11])
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="text is not valid UTF-8") as caught:
            parser.next_event()
        assert caught.value.close_code == 1007
        parser.feed(wire.frame(wire.TEXT, b"fine"))


def test_messages_before_a_fault_are_delivered_first() -> None:
    """What earlier frames produced is not lost."""
    assert parse([wire.frame(wire.TEXT, b"first") + b"\x83"]) == (
        [Event(Opcode.TEXT, b"first")],
        1002,
    )


@pytest.mark.parametrize(("size", "code"), [(99, 0), (100, 0), (101, 1009)])
def test_message_limit_at_below_and_above(size: int, code: int) -> None:
    """The limit is on the whole message, in one frame or several."""
    one = wire.frame(wire.BINARY, bytes(size))
    two = wire.frame(wire.BINARY, bytes(60), fin=False) + wire.frame(0, bytes(size - 60))
    for stream in (one, two):
        assert parse([stream], message_bytes_max=100)[1] == code


@pytest.mark.parametrize(("count", "code"), [(3, 0), (4, 0), (5, 1008)])
def test_empty_fragment_cap_at_below_and_above(count: int, code: int) -> None:
    """Empty fragments hold no bytes, so they are counted."""
    stream = wire.frame(wire.TEXT, fin=False) + wire.frame(0, fin=False) * (count - 1)
    assert parse([stream], empty_fragments_max=4)[1] == code


def test_compressed_messages_pass_unvalidated() -> None:
    """With RSV1 the payload is the caller's to inflate and to validate."""
    stream = wire.frame(wire.TEXT, b"\xff", rsv=4) + wire.frame(wire.TEXT, b"\xff")
    assert parse([stream], allow_rsv1=True) == ([Event(Opcode.TEXT, b"\xff", True)], 1007)


def test_memory_follows_the_bytes_received() -> None:
    """An announced megabyte holds nothing; what a message held is given back after it."""
    parser = FrameParser(sender="client")
    assert parser.is_idle
    parser.feed(b"\x82\xff\0\0\0\0\0\x10\0\0" + wire.KEY)
    assert parser.next_event() is None
    assert parser.held_bytes == 0
    assert not parser.is_idle
    parser.feed(bytes(1000))
    assert parser.next_event() is None
    assert 1000 <= parser.held_bytes <= 2250
    parser.feed(bytes((1 << 20) - 1000))
    assert parser.next_event() is not None
    assert parser.next_event() is None
    assert parser.held_bytes == 0
    assert parser.is_idle


def test_is_idle_sees_bytes_not_looked_at_yet() -> None:
    """A stream may not end before next_event() has seen all of it."""
    parser = FrameParser(sender="server")
    parser.feed(wire.RFC_TEXT_HELLO)
    assert not parser.is_idle
    assert parser.next_event() == Event(Opcode.TEXT, b"Hello")
    assert parser.is_idle
    parser.feed(b"\x81")
    assert parser.next_event() is None
    assert not parser.is_idle
