"""Frames, close payloads and messages without I/O (RFC 6455 section 5), over csrc.

For tests, tools and clients; the hub uses the same C directly. Everything here is sans I/O.

    parser = FrameParser(sender="client")
    parser.feed(received)
    while (event := parser.next_event()) is not None:
        ...
"""

from enum import IntEnum
from typing import Literal, NamedTuple, final

from typing_extensions import Buffer

class Opcode(IntEnum):
    """Frame opcodes of RFC 6455 section 5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

class FrameHeader(NamedTuple):
    """One decoded frame header.

    Attributes:
        opcode: What the frame is.
        payload_size: Bytes of payload, 0 to 2**63 - 1.
        header_size: Bytes of the header, 2 to 14; the payload follows.
        fin: Whether this is the last frame of its message.
        rsv1: Whether the message is compressed (RFC 7692).
        mask_key: The four bytes on the wire, or None for a frame of a server.
    """

    opcode: Opcode
    payload_size: int
    header_size: int
    fin: bool
    rsv1: bool
    mask_key: bytes | None

class Event(NamedTuple):
    """One complete message or control frame.

    Attributes:
        opcode: TEXT, BINARY, CLOSE, PING or PONG.
        payload: Unmasked, reassembled. Text is valid UTF-8 unless compressed. Of a close frame
            the reason alone.
        rsv1: Whether the payload is compressed; the caller inflates, limits and validates it.
        close_code: Of a close frame, 1005 when it carries none; else 0.
    """

    opcode: Opcode
    payload: bytes
    rsv1: bool = False
    close_code: int = 0

def decode_header(
    data: Buffer, *, sender: Literal["client", "server"], allow_rsv1: bool = False
) -> FrameHeader | None:
    """Decode one frame header from the start of `data`.

    Args:
        data: Contiguous bytes; what follows the header does not matter.
        sender: Side that sent them: a client must mask, a server must not.
        allow_rsv1: Whether permessage-deflate was negotiated.

    Returns:
        The header, or None when more bytes are needed.

    Raises:
        RemoteProtocolError: The bytes break RFC 6455 section 5.2; found before the header is
            complete where it can be.
    """

def encode_frame(
    opcode: int, payload: Buffer = b"", *, fin: bool = True, rsv1: bool = False
) -> bytes:
    """Serialise one unmasked (server-to-client) frame.

    Args:
        opcode: Frame opcode.
        payload: Contiguous bytes, 0 to 2**63 - 1; control frames at most 125.
        fin: Whether this is the last frame of its message.
        rsv1: Whether the payload is compressed; only on the first frame of a message.

    Returns:
        Header (2, 4 or 10 bytes) followed by the payload: the only copy made.

    Raises:
        LocalProtocolError: The opcode is not defined, a control frame is fragmented or longer
            than 125 bytes, or RSV1 may not stand there.
    """

def encode_masked_frame(
    opcode: int, payload: Buffer, key: bytes, *, fin: bool = True, rsv1: bool = False
) -> bytes:
    """Serialise one masked (client-to-server) frame; see encode_frame().

    Args:
        opcode: Frame opcode.
        payload: Contiguous bytes before masking.
        key: Four bytes, new and unpredictable for every frame (RFC 6455 section 10.3).
        fin: Whether this is the last frame of its message.
        rsv1: Whether the payload is compressed.

    Raises:
        LocalProtocolError: As for encode_frame().
        ValueError: The key is not 4 bytes.
    """

def encode_close(code: int = 1000, reason: str = "") -> bytes:
    """Serialise one unmasked close frame.

    Args:
        code: A code that may be sent (1000-1003, 1007-1014, 3000-4999), or 1005 for an empty
            payload.
        reason: Cut between code points to 123 bytes of UTF-8.

    Raises:
        LocalProtocolError: The code must not be sent.
    """

def decode_close(payload: Buffer) -> tuple[int, str]:
    """Read the payload of a close frame.

    Returns:
        Close code (1005 when the payload is empty) and close reason.

    Raises:
        RemoteProtocolError: One byte, a code that must not be sent, or a reason that is no UTF-8.
    """

@final
class Utf8Validator:
    """Incremental UTF-8 validation: a code point may straddle any two pieces."""

    def feed(self, data: Buffer) -> bool:
        """Validate the next piece.

        Returns:
            False at the first byte that no valid text can have there; only reset() helps then.
        """

    @property
    def is_complete(self) -> bool:
        """Whether the text may end here (no code point is half done)."""

    def reset(self) -> None:
        """Start a new text."""

@final
class FrameParser:
    """Messages out of received bytes: reassembly, unmasking, UTF-8, limits.

    However the bytes are cut into pieces, the events and the fault are the same. Text is validated
    while it arrives, also inside an unfinished frame.
    """

    def __init__(
        self,
        *,
        sender: Literal["client", "server"],
        message_bytes_max: int = 1048576,
        empty_fragments_max: int = 1024,
        allow_rsv1: bool = False,
    ) -> None:
        """Start at the first byte after the opening handshake.

        Args:
            sender: Side whose bytes are read.
            message_bytes_max: Payload bytes of one message, all fragments; beyond: 1009.
            empty_fragments_max: Empty fragments of one message, at most 65535; beyond: 1008.
            allow_rsv1: Whether permessage-deflate was negotiated.
        """

    def feed(self, data: Buffer) -> None:
        """Add received bytes; next_event() looks at them."""

    def next_event(self) -> Event | None:
        """Take the next message or control frame.

        Returns:
            The event, or None when more bytes are needed. After a CLOSE event always None.

        Raises:
            RemoteProtocolError: The peer broke the protocol or a limit; `close_code` says what to
                answer. Every further call raises it again.
        """

    @property
    def is_idle(self) -> bool:
        """Whether the stream may end here without cutting a frame or a message in two."""

    @property
    def held_bytes(self) -> int:
        """Bytes of memory held for an unfinished message."""
