"""What a WebSocket client of a test knows: frames in and out, without a socket.

A test's socket is one end of a pair whose other end the hub owns; `flinfast test` and
`flinfast.testing` read and write it each in their own way, and both speak through this.
"""

from __future__ import annotations

import secrets
from typing import Final

from flinfast.native.frame import Event, FrameParser, Opcode, encode_masked_frame

MESSAGE_BYTES_MAX: Final = 64 << 20
HEAD: Final = b"101\r\n\r\n"  # stands for the 101 response, which nobody reads
LOST: Final = 1006  # RFC 6455 section 7.1.5: the connection ended without a close frame
NO_CODE: Final = 1005  # a close frame without a code


class ClientSide:
    """Reads what the server sends, and makes what a client sends.

    Attributes:
        is_open: Whether HEAD has come.
    """

    __slots__ = ("_head", "_parser", "is_open")

    def __init__(self) -> None:
        self._parser = FrameParser(sender="server", message_bytes_max=MESSAGE_BYTES_MAX)
        self._head = b""
        self.is_open = False

    def feed(self, data: bytes) -> list[Event]:
        """Messages, pings and the close frame that are complete with these bytes.

        Raises:
            RemoteProtocolError: The server broke the protocol.
        """
        if not self.is_open:
            missing = len(HEAD) - len(self._head)
            self._head += data[:missing]
            data = data[missing:]
            self.is_open = len(self._head) == len(HEAD)
        self._parser.feed(data)
        events = []
        while (event := self._parser.next_event()) is not None:
            events.append(event)
        return events


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """A frame of a client.

    Raises:
        LocalProtocolError: The payload is too long for a control frame.
    """
    return encode_masked_frame(opcode, payload, secrets.token_bytes(4))


def answer(event: Event) -> bytes:
    """The control frame that a client owes for one of the server's, b"" for a message."""
    if event.opcode == Opcode.PING:
        return frame(Opcode.PONG, event.payload)
    if event.opcode == Opcode.CLOSE:
        code = b"" if event.close_code == NO_CODE else event.close_code.to_bytes(2)
        return frame(Opcode.CLOSE, code)
    return b""
