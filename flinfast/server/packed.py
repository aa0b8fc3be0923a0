"""The subprotocol `flin.msgpack`: the same values as with JSON, written as MessagePack.

A transport between the hub and the socket: the hub goes on to speak JSON and text, so rooms,
limits and handlers know nothing of it. What the client sends as a binary message is read as
MessagePack and handed on as the text (or, for a `bin`, the binary) that stands for the same value;
what the hub writes becomes one binary message per message. Conversions of a broadcast are kept, so
a room pays for one.

Values are those that JSON has: times are ISO 8601 text, bytes inside of maps base64 text.

Source: MessagePack specification; RFC 6455 sections 1.9 and 5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flinfast.errors import RemoteProtocolError
from flinfast.native.frame import (
    Event,
    FrameParser,
    Opcode,
    encode_close,
    encode_frame,
    encode_masked_frame,
)

if TYPE_CHECKING:
    import asyncio

    from flinfast.native.hub import Connection, Hub

CLOSE_MALFORMED: Final = 1007  # RFC 6455 section 7.4.1: data not consistent with its type
CLOSE_EMPTY: Final = 1005
CACHED_BYTES_MAX = 16 << 10
# Our own messages have no limit of their own here: the hub's queue has.
_OWN_BYTES_MAX: Final = 1 << 40
_NO_MASK: Final = b"\0\0\0\0"
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1


def to_packed(payload: bytes) -> bytes:
    """MessagePack of a text message: of its JSON value, or of the text itself."""
    return _cached(payload) if len(payload) <= CACHED_BYTES_MAX else _to_packed(payload)


def _to_packed(payload: bytes) -> bytes:
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        value = payload.decode()
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:  # an integer beyond 64 bits
        return msgspec.msgpack.encode(_fitting(value))


_cached = lru_cache(maxsize=64)(_to_packed)


def _fitting(value: Any) -> Any:
    """A value whose integers MessagePack can hold; others become floats, as in browsers."""
    if isinstance(value, dict):
        return {key: _fitting(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_fitting(item) for item in value]
    if type(value) is int and not _INT_MIN <= value <= _INT_MAX:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    return value


def from_packed(payload: bytes) -> tuple[Opcode, bytes]:
    """The message that stands for a MessagePack value.

    Raises:
        ValueError: It is not one MessagePack value, or has no JSON form.
    """
    try:
        value = msgspec.msgpack.decode(payload)
        if isinstance(value, bytes):
            return Opcode.BINARY, value
        return Opcode.TEXT, msgspec.json.encode(value)
    except (msgspec.MsgspecError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("expected one MessagePack value") from error


class PackedTransport:
    """What the hub takes for the transport of a WebSocket.

    Args:
        transport: The socket's.
        hub: Owner of the connection.
        connection: The connection.
        message_bytes_max: Limit of a received message.
    """

    __slots__ = ("_connection", "_hub", "_reader", "_transport", "_writer")

    def __init__(
        self,
        transport: asyncio.Transport,
        hub: Hub,
        connection: Connection,
        *,
        message_bytes_max: int,
    ) -> None:
        self._transport = transport
        self._hub = hub
        self._connection = connection
        self._reader = FrameParser(sender="client", message_bytes_max=message_bytes_max)
        self._writer = FrameParser(sender="server", message_bytes_max=_OWN_BYTES_MAX)

    # --- what the HTTP connection tells ----------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        frames: list[bytes] = []
        code = 0
        self._reader.feed(data)
        try:
            while (event := self._reader.next_event()) is not None:
                frames.append(_as_client(event))
        except RemoteProtocolError as error:
            code = error.close_code
        except ValueError:
            code = CLOSE_MALFORMED
        if frames:  # what came before the fault is handled before it
            self._hub.feed(self._connection, b"".join(frames))
        if code:
            self._hub.drop(self._connection, code, "")

    def writable(self) -> None:
        """The client has caught up."""
        self._hub.writable(self._connection)

    def lost(self) -> None:
        """The client is gone."""
        self._hub.lost(self._connection)

    # --- what the hub asks ----------------------------------------

    def write(self, data: bytes) -> None:
        """Frames of ours."""
        self._writer.feed(data)
        frames = []
        while (event := self._writer.next_event()) is not None:
            frames.append(_as_server(event))
        if frames:
            self._transport.write(b"".join(frames))

    def close(self) -> None:
        """Send what is queued, then close."""
        self._transport.close()

    def abort(self) -> None:
        """Reset."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """The hub has enough input."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """The hub takes input again."""
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Bytes the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When writable() follows."""
        self._transport.set_write_buffer_limits(high, low)


def _as_client(event: Event) -> bytes:
    """A client's message or control frame as the hub reads it."""
    opcode, payload = event.opcode, event.payload
    if opcode == Opcode.BINARY:
        opcode, payload = from_packed(payload)
    elif opcode == Opcode.CLOSE and event.close_code != CLOSE_EMPTY:
        payload = event.close_code.to_bytes(2, "big") + payload
    return encode_masked_frame(opcode, payload, _NO_MASK)


def _as_server(event: Event) -> bytes:
    """One of our frames as the client reads it."""
    if event.opcode == Opcode.TEXT:
        return encode_frame(Opcode.BINARY, to_packed(event.payload))
    if event.opcode == Opcode.BINARY:
        return encode_frame(Opcode.BINARY, msgspec.msgpack.encode(event.payload))
    if event.opcode == Opcode.CLOSE:
        return encode_close(event.close_code, event.payload.decode())
    return encode_frame(event.opcode, event.payload)
