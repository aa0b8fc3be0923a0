"""Streams of frames, mostly right and sometimes wrong, and the two ways to make them.

For hypothesis (`streams`), which shrinks what fails, and from a seed (`random_stream`), which is
a hundred times faster and may run for hours.
"""

from __future__ import annotations

import random

from hypothesis import strategies as st

from flinfast.errors import RemoteProtocolError
from flinfast.native.frame import Event, FrameParser
from tests import wire

# Pieces of text and of what is none; put together they cut code points in every place.
FRAGMENTS = [
    b"",
    b"a",
    b"plain text that is longer than one vector of bytes",
    "\u00e9\u20ac\U0001f600".encode(),
    "\u20ac".encode() * 25,
    b"\xe2\x82",
    b"\xac",
    b"\xf0\x9f",
    b"\x98\x80",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"\xff",
]
CLOSE_PAYLOADS = [
    b"",
    b"\x03",
    b"\x03\xe8",
    b"\x03\xe9bye",
    b"\x03\xed",
    b"\x03\xe8\xff",
    b"\x0b\xb8" + "\u20ac".encode() * 41,
    b"\x13\x88",
]

payloads = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    st.lists(st.sampled_from(FRAGMENTS), max_size=4).map(b"".join),
    st.integers(0, 400).map(lambda size: b"x" * size),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """One frame of a client; one in ten breaks a rule."""
    wrong = draw(st.integers(0, 9)) == 0
    opcode = draw(st.integers(0, 15) if wrong else st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10]))
    payload = draw(payloads)
    if opcode == wire.CLOSE:
        payload = draw(st.sampled_from(CLOSE_PAYLOADS))
    if opcode >= 8 and not wrong:
        payload = payload[:125]
    return wire.frame(
        opcode,
        payload,
        fin=draw(st.booleans()) if wrong or opcode < 8 else True,
        rsv=draw(st.integers(0, 7)) if wrong else 0,
        key=None if wrong and draw(st.booleans()) else draw(st.binary(min_size=4, max_size=4)),
        width=draw(st.sampled_from([None, 2, 8])) if wrong and len(payload) < 126 else None,
    )


streams = st.one_of(
    st.lists(frames(), max_size=8).map(b"".join),
    st.binary(max_size=60),
)


def random_stream(noise: random.Random) -> bytes:
    """A stream of a client from a seed: messages with control frames between their fragments."""
    out = bytearray()
    for _ in range(noise.randint(1, 5)):
        opcode = noise.choice([wire.TEXT, wire.TEXT, wire.BINARY])
        count = noise.choice([1, 1, 1, 2, 3])
        for index in range(count):
            if noise.random() < 0.1:
                out += wire.frame(noise.choice([wire.PING, wire.PONG]), noise.randbytes(3))
            payload = b"".join(noise.choices(FRAGMENTS[:-5], k=noise.randint(0, 3)))
            if noise.random() < 0.05:
                payload += noise.choice(FRAGMENTS)
            if noise.random() < 0.1:
                payload += b"y" * noise.choice([100, 126, 200, 300])
            if noise.random() < 0.005:
                payload += b"z" * 66000
            out += wire.frame(
                opcode if index == 0 else wire.CONTINUATION,
                payload,
                fin=index + 1 == count,
                key=noise.randbytes(4),
            )
        if noise.random() < 0.1:
            out += wire.frame(wire.CLOSE, noise.choice(CLOSE_PAYLOADS))
    for _ in range(noise.choice([0, 0, 1, 3])):
        # Damage near the start hits headers more often than payloads.
        place = min(int(noise.expovariate(1 / 40)), len(out) - 1)
        out[place] ^= 1 << noise.randrange(8)
    return bytes(out)


def cut(stream: bytes, noise: random.Random) -> list[bytes]:
    """The stream in pieces, of one byte to all of it."""
    pieces = []
    while stream:
        size = noise.choice([1, 2, 7, 50, 1448, len(stream)])
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


def drain(parser: FrameParser) -> tuple[list[Event], int]:
    """Events until more bytes are needed, and the close code of the fault or 0."""
    events: list[Event] = []
    try:
        while (event := parser.next_event()) is not None:
            events.append(event)
    except RemoteProtocolError as error:
        return events, error.close_code
    return events, 0


def parse(pieces: list[bytes], **options: object) -> tuple[list[Event], int]:
    """All events of a stream of a client that came in these pieces, and its fault or 0."""
    parser = FrameParser(sender="client", **options)  # type: ignore[arg-type]
    events: list[Event] = []
    for piece in pieces:
        parser.feed(piece)
        more, fault = drain(parser)
        events += more
        if fault:
            return events, fault
    return events, 0
