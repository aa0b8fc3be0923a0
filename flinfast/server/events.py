"""The wire of server-sent events: the hub's frames become `data:` lines.

To the hub a stream is a connection whose bytes pass through a transport (`hub.open_transport()`).
That transport is `EventTransport`: it reads the frames the hub writes, writes events instead, and
gives the answers to pings and closes that no client of a stream can give. A heartbeat ping becomes
a comment, so proxies see traffic and a peer that is gone is noticed by its full send buffer.

Source: HTML Living Standard, section 9.2 (server-sent events); RFC 6455 section 5.2.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flinfast.late_pattern import late_pattern

if TYPE_CHECKING:
    import asyncio

    from flinfast.native.hub import Connection, Hub, Stream

# Sent first: it ends the wait for a first byte in proxies, and says how soon to come back.
OPENING: Final = b"retry: 2000\n: open\n\n"
HEARTBEAT: Final = b": heartbeat\n\n"
ID_CHARS_MAX = 256
CACHED_BYTES_MAX = 16 << 10  # larger messages are converted for each stream

_OPCODE_TEXT, _OPCODE_CLOSE, _OPCODE_PING = 1, 8, 9
_LINE_END: Final = late_pattern(rb"\r\n|\r|\n")
_MASKED: Final = 0x80
_PONG: Final = 0x8A
_CLOSE: Final = 0x88
_NO_MASK: Final = b"\0\0\0\0"


class _Identified(msgspec.Struct):
    """The part of a message that becomes the `id:` line."""

    id: int | str


def event(payload: bytes, *, is_text: bool) -> bytes:
    """One message as an event.

    Text goes into `data:` lines, binary as base64 with the type `binary`. A JSON object whose `id`
    is an int or a text gives the event that id, which browsers send back as `Last-Event-ID`.
    """
    if len(payload) <= CACHED_BYTES_MAX:
        return _cached_event(payload, is_text)
    return _event(payload, is_text)


def _event(payload: bytes, is_text: bool) -> bytes:
    if not is_text:
        return b"event: binary\ndata: " + base64.b64encode(payload) + b"\n\n"
    lines = b"".join(b"data: " + line + b"\n" for line in _LINE_END.split(payload))
    return _id_line(payload) + lines + b"\n"


# A broadcast reaches all streams of a room in one turn of the loop.
_cached_event = lru_cache(maxsize=64)(_event)


def _id_line(payload: bytes) -> bytes:
    if not payload.startswith(b"{") or b'"id"' not in payload:
        return b""
    try:
        found = str(msgspec.json.decode(payload, type=_Identified).id)
    except (msgspec.DecodeError, RecursionError):
        return b""
    if not found or len(found) > ID_CHARS_MAX or any(c in found for c in "\r\n\0"):
        return b""
    return b"id: " + found.encode("utf-8", "replace") + b"\n"


class EventTransport:
    """What the hub takes for the transport of a WebSocket.

    Args:
        transport: Where events go.
        hub: Owner of the connection.
        connection: The stream.
        call_soon: The loop's; the hub cannot be fed while it writes.
    """

    __slots__ = ("_buffer", "_call_soon", "_connection", "_hub", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport | Stream,
        hub: Hub,
        connection: Connection,
        call_soon: Callable[..., Any],
    ) -> None:
        self._transport = transport
        self._hub = hub
        self._connection = connection
        self._call_soon = call_soon
        self._buffer = bytearray()

    # --- what the HTTP connection tells ----------------------------------------

    def received(self, data: bytes) -> None:
        """Whatever a client of a stream sends is dropped."""

    def writable(self) -> None:
        """The client has caught up."""
        self._hub.writable(self._connection)

    def lost(self) -> None:
        """The client is gone."""
        self._hub.lost(self._connection)

    # --- what the hub asks ----------------------------------------

    def write(self, data: bytes) -> None:
        """Frames of ours: never masked, never fragmented, not always whole."""
        buffer = self._buffer
        buffer += data
        events: list[bytes] = []
        at = 0
        while True:
            head = _frame_head(buffer, at)
            if head is None:
                break
            start, end = head
            events.append(self._converted(buffer[at] & 0x0F, bytes(buffer[start:end])))
            at = end
        del buffer[:at]
        if events:
            self._transport.write(b"".join(events))

    def _converted(self, opcode: int, payload: bytes) -> bytes:
        if opcode < _OPCODE_CLOSE:
            return event(payload, is_text=opcode == _OPCODE_TEXT)
        if opcode == _OPCODE_PING:
            self._call_soon(self._answer, _PONG, payload)
            return HEARTBEAT
        if opcode == _OPCODE_CLOSE:
            self._call_soon(self._answer, _CLOSE, payload)
        return b""

    def _answer(self, first: int, payload: bytes) -> None:
        """The control frame that a WebSocket client would send back."""
        frame = bytes((first, _MASKED | len(payload))) + _NO_MASK + payload
        self._hub.feed(self._connection, frame)

    def close(self) -> None:
        """Send what is queued, then end the stream."""
        self._transport.close()

    def abort(self) -> None:
        """Reset."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Nothing is read from a stream's client."""

    def resume_reading(self) -> None:
        """Nothing is read from a stream's client."""

    def get_write_buffer_size(self) -> int:
        """Bytes the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When writable() follows."""
        self._transport.set_write_buffer_limits(high, low)


def _frame_head(buffer: bytearray, at: int) -> tuple[int, int] | None:
    """Start and end of the payload of the frame at a place, None when it is not all there."""
    if len(buffer) < at + 2:
        return None
    size, start = buffer[at + 1], at + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(buffer) < start + width:
            return None
        size = int.from_bytes(buffer[start : start + width], "big")
        start += width
    return (start, start + size) if len(buffer) >= start + size else None
