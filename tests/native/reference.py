"""A plain-Python twin of the frame core: the oracle of its tests. Nothing like it ships.

Written from RFC 6455, a byte at a time; slow and obvious. It stops at the first byte that shows a
fault, as the C code promises to do.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
DEFINED = {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}

# (opcode, payload, rsv1, close code): equal to flinfast.native.frame.Event.
TwinEvent = tuple[int, bytes, bool, int]


class PeerError(Exception):
    """The peer broke the protocol; `close_code` is what to answer."""

    def __init__(self, close_code: int, text: str) -> None:
        super().__init__(text)
        self.close_code = close_code


def xor(data: bytes, key: bytes, phase: int = 0) -> bytes:
    """Masking, a byte at a time."""
    return bytes(byte ^ key[(phase + index) % 4] for index, byte in enumerate(data))


def is_text(data: bytes) -> bool:
    """Whether the bytes are valid UTF-8, by the standard library."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class TwinUtf8:
    """UTF-8 that fails at the first bad byte, which the standard incremental decoder does not.

    Attributes:
        pending: The code point that is half done.
    """

    def __init__(self) -> None:
        self.pending = b""

    def feed(self, byte: bytes) -> bool:
        """Take one byte; False when no valid text can have it there."""
        self.pending += byte
        if is_text(self.pending):
            self.pending = b""
            return True
        # The values that are allowed after a start are neighbours: one of the extremes fits.
        return any(
            is_text(self.pending + extreme * count)
            for extreme in (b"\x80", b"\xbf")
            for count in (1, 2, 3)
        )


def code_is_valid(code: int) -> bool:
    """Whether a close code may stand on the wire: RFC 6455 section 7.4 and the IANA registry."""
    registered = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
    return code in registered or 3000 <= code <= 4999


@dataclass
class Twin:
    """Same contract as flinfast.native.frame.FrameParser, for whole streams.

    Attributes:
        events: What came out so far.
        fault: Close code of the fault, or 0.
        used: Bytes looked at: all of them, or up to and with the first that shows the fault.
    """

    sender: str = "client"
    message_bytes_max: int = 1 << 20
    empty_fragments_max: int = 1024
    allow_rsv1: bool = False
    events: list[TwinEvent] = field(default_factory=list)
    fault: int = 0
    used: int = 0

    def __post_init__(self) -> None:
        self.text = TwinUtf8()
        self._machine = self._run()
        next(self._machine)

    def feed(self, data: bytes) -> None:
        """Look at the bytes, up to a fault."""
        for byte in data:
            if self.fault:
                return
            self.used += 1
            try:
                self._machine.send(byte)
            except PeerError as fault:
                self.fault = fault.close_code

    def _run(self) -> Generator[None, int, None]:
        opcode = 0  # of the message in progress, or 0
        compressed = False
        message = b""
        empty = 0
        while True:
            first = yield
            in_frame, fin, rsv1 = self._check_first(first, opcode)
            second = yield
            self._check_second(in_frame, second)
            size = second & 127
            if size >= 126:
                size = yield from self._long_length(2 if size == 126 else 8)
            key = b"\0\0\0\0"
            if second & 128:
                key = bytes([(yield), (yield), (yield), (yield)])
            if in_frame >= CLOSE:
                payload = b""
                for index in range(size):
                    payload += bytes([(yield) ^ key[index % 4]])
                self._control(in_frame, payload)
                while in_frame == CLOSE:
                    yield
                continue
            if in_frame != CONTINUATION:
                opcode, compressed, message, empty = in_frame, rsv1, b"", 0
                self.text = TwinUtf8()
            if len(message) + size > self.message_bytes_max:
                raise PeerError(1009, "message is too long")
            if size == 0 and not fin:
                empty += 1
                if empty > self.empty_fragments_max:
                    raise PeerError(1008, "too many empty fragments")
            for index in range(size):
                byte = bytes([(yield) ^ key[index % 4]])
                message += byte
                if opcode == TEXT and not compressed and not self.text.feed(byte):
                    raise PeerError(1007, "text is not UTF-8")
            if fin:
                if self.text.pending:
                    raise PeerError(1007, "text ends inside a code point")
                self.events.append((opcode, message, compressed, 0))
                opcode = 0

    def _check_first(self, byte: int, opcode: int) -> tuple[int, bool, bool]:
        in_frame = byte & 15
        fin, rsv1 = bool(byte & 128), bool(byte & 64)
        if byte & 48 or (rsv1 and not (self.allow_rsv1 and in_frame in (TEXT, BINARY))):
            raise PeerError(1002, "reserved bit")
        if in_frame not in DEFINED:
            raise PeerError(1002, "unknown opcode")
        if in_frame >= CLOSE and not fin:
            raise PeerError(1002, "fragmented control frame")
        if in_frame == CONTINUATION and not opcode:
            raise PeerError(1002, "nothing to continue")
        if in_frame in (TEXT, BINARY) and opcode:
            raise PeerError(1002, "message inside a message")
        return in_frame, fin, rsv1

    def _check_second(self, in_frame: int, byte: int) -> None:
        if bool(byte & 128) != (self.sender == "client"):
            raise PeerError(1002, "mask")
        if in_frame >= CLOSE and byte & 127 > 125:
            raise PeerError(1002, "long control frame")

    def _long_length(self, width: int) -> Generator[None, int, int]:
        size = 0
        for index in range(width):
            byte = yield
            size = size << 8 | byte
            if width == 8 and index == 0 and byte & 128:
                raise PeerError(1002, "top bit of the length")
            # With six bytes of zeros the 16-bit form would have done.
            if width == 8 and index == 5 and size == 0:
                raise PeerError(1002, "length is not in its shortest form")
        if width == 2 and size < 126:
            raise PeerError(1002, "length is not in its shortest form")
        return size

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode != CLOSE:
            self.events.append((opcode, payload, False, 0))
            return
        code = 1005
        if payload:
            if len(payload) == 1:
                raise PeerError(1002, "half a close code")
            code = int.from_bytes(payload[:2], "big")
            if not code_is_valid(code):
                raise PeerError(1002, "close code")
            if not is_text(payload[2:]):
                raise PeerError(1007, "close reason")
        self.events.append((CLOSE, payload[2:], False, code))
