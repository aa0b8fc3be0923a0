"""Frames as they stand on the wire, written by hand from RFC 6455; imports nothing of ours.

Tests that compare our codec with these bytes share no code with it, so a fault in the codec
cannot hide in the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

KEY = bytes.fromhex("37fa213d")  # the masking key of the RFC's examples

# RFC 6455 section 5.7, byte for byte.
RFC_TEXT_HELLO = bytes.fromhex("8105 48656c6c6f")
RFC_TEXT_HELLO_MASKED = bytes.fromhex("8185 37fa213d 7f9f4d5158")
RFC_FRAGMENTS_HELLO = bytes.fromhex("0103 48656c 8002 6c6f")
RFC_PING_HELLO = bytes.fromhex("8905 48656c6c6f")
RFC_PONG_HELLO_MASKED = bytes.fromhex("8a85 37fa213d 7f9f4d5158")
RFC_BINARY_256_HEADER = bytes.fromhex("827e 0100")
RFC_BINARY_65536_HEADER = bytes.fromhex("827f 0000000000010000")

CLOSE_EMPTY = bytes.fromhex("8800")
CLOSE_1000 = bytes.fromhex("8802 03e8")
CLOSE_1000_MASKED = bytes.fromhex("8882 37fa213d 3412")


def mask(payload: bytes, key: bytes = KEY) -> bytes:
    """XOR with the key, a byte at a time (section 5.3)."""
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def length(size: int, width: int | None = None) -> bytes:
    """The 7-bit length and its extension; `width` 2 or 8 forces a longer form than needed.

    The mask bit is clear.
    """
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    if width == 0:
        return bytes([size])
    return bytes([126 if width == 2 else 127]) + size.to_bytes(width, "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = KEY,
    width: int | None = None,
) -> bytes:
    """One frame, right or wrong as asked.

    Args:
        opcode: 0 to 15, defined or not.
        payload: Application data before masking.
        fin: The last frame of its message.
        rsv: The three reserved bits, 0 to 7; RSV1 is 4.
        key: Masking key, or None for the unmasked frame of a server.
        width: 2 or 8 to write the length longer than needed.
    """
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = bytearray(length(len(payload), width))
    if key is None:
        return bytes([first]) + size + payload
    size[0] |= 0x80
    return bytes([first]) + size + key + mask(payload, key)


def close(code: int | None = 1000, reason: bytes = b"", *, key: bytes | None = KEY) -> bytes:
    """A close frame; `code` None leaves the payload empty."""
    payload = b"" if code is None else code.to_bytes(2, "big") + reason
    return frame(CLOSE, payload, key=key)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame read back from the wire, payload unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def frames(data: bytes) -> Iterator[Frame]:
    """Read whole frames, masked or not.

    Raises:
        ValueError: Bytes are left over that are no whole frame.
    """
    offset = 0
    while offset < len(data):
        first, second = data[offset], data[offset + 1]
        offset += 2
        size = second & 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[offset : offset + width], "big")
            offset += width
        key = bytes(4)
        if second & 0x80:
            key = data[offset : offset + 4]
            offset += 4
        payload = data[offset : offset + size]
        if len(payload) < size or len(key) < 4:
            raise ValueError(f"{len(data)} bytes end inside a frame")
        offset += size
        yield Frame(first & 15, mask(payload, key), bool(first & 0x80), first >> 4 & 7)
