"""The frame core by itself: masking, UTF-8, headers, messages.

`pytest bench/bench_micro.py --benchmark`. Every figure includes one call from Python, about
0.1 us; the rows of size 0 show it. `csrc` by itself is a few nanoseconds for small sizes.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from flinfast.native.frame import (
    Event,
    FrameParser,
    Opcode,
    Utf8Validator,
    decode_header,
    encode_frame,
    encode_masked_frame,
)
from flinfast.native.mask import apply_mask

KEY = b"\x37\xfa\x21\x3d"
SIZES = [0, 16, 64, 125, 512, 4096, 65536]
TEXTS = {
    "ascii": "plain text ",
    "latin": "d\u00e9j\u00e0 vu, \u00e7a va ",
    "cjk": "\u65e5\u672c\u8a9e",
    "emoji": "\U0001f600",
}


@pytest.mark.parametrize("size", SIZES)
def test_mask(benchmark: BenchmarkFixture, size: int) -> None:
    """Unmask in place, one byte past an aligned address as after a 6-byte header."""
    data = memoryview(bytearray(size + 6))[6:]
    benchmark.extra_info["bytes"] = size
    assert benchmark(apply_mask, data, KEY) == size % 4


@pytest.mark.parametrize("size", [64, 1024, 16384])
@pytest.mark.parametrize("kind", TEXTS)
def test_utf8(benchmark: BenchmarkFixture, kind: str, size: int) -> None:
    """Validate one whole text of about `size` bytes."""
    unit = TEXTS[kind].encode()
    data = unit * (size // len(unit))
    benchmark.extra_info["bytes"] = len(data)
    validator = Utf8Validator()
    assert benchmark(validator.feed, data)


@pytest.mark.parametrize("size", [64, 1024, 1 << 20])
def test_decode_header(benchmark: BenchmarkFixture, size: int) -> None:
    """Decode the 6, 8 or 14 bytes before a client's payload."""
    data = encode_masked_frame(Opcode.TEXT, bytes(size), KEY)[:14]
    header = benchmark(decode_header, data, sender="client")
    assert header.payload_size == size


@pytest.mark.parametrize("size", [64, 1024, 16384])
def test_encode_frame(benchmark: BenchmarkFixture, size: int) -> None:
    """Serialise one server frame."""
    frame = benchmark(encode_frame, Opcode.TEXT, bytes(size))
    assert len(frame) == size + (2 if size < 126 else 4)


@pytest.mark.parametrize("size", [64, 1024, 16384, 1 << 20])
def test_parse_message(benchmark: BenchmarkFixture, size: int) -> None:
    """Header, unmask, validate and copy out one text message that came in one piece."""
    data = encode_masked_frame(Opcode.TEXT, b"x" * size, KEY)
    parser = FrameParser(sender="client")

    def parse() -> Event | None:
        parser.feed(data)
        return parser.next_event()

    event = benchmark(parse)
    assert event is not None
    assert len(event.payload) == size


def test_parse_message_in_pieces(benchmark: BenchmarkFixture) -> None:
    """One text message of 1 MiB received 64 KiB at a time: one copy into a growing buffer."""
    data = encode_masked_frame(Opcode.TEXT, b"x" * (1 << 20), KEY)
    pieces = [data[start : start + 65536] for start in range(0, len(data), 65536)]
    parser = FrameParser(sender="client")

    def parse() -> Event | None:
        event = None
        for piece in pieces:
            parser.feed(piece)
            event = parser.next_event()
        return event

    event = benchmark(parse)
    assert event is not None
    assert len(event.payload) == 1 << 20
