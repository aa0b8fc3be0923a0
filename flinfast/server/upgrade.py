"""From an upgrade request to an open WebSocket: handshake, guards, hand-over of the socket.

The order matters. Reading pauses first, so nothing the peer sends can be taken for HTTP. Then the
handshake is checked, then the program decides (origin, middleware, guards): a refusal is an
ordinary HTTP response, and no 101 is written before the last guard has passed. Then the socket
changes hands: the hub writes the 101, runs `on connect` and only then parses what the peer sent
early.

Source: RFC 6455 section 4.2; RFC 7692 section 7.1 for compression.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from flinfast.late_pattern import late_pattern
from flinfast.native.handshake import accept_key
from flinfast.native.hub import Opening, Stream
from flinfast.runtime.request import Request, has_token
from flinfast.runtime.response import Response
from flinfast.server.head import Head, RequestError
from flinfast.server.stream_adapter import StreamAdapter

if TYPE_CHECKING:
    from flinfast.runtime.app import Upgrade
    from flinfast.server.http_protocol import HttpConnection
    from flinfast.server.site import Site

VERSION = "13"
JSON_PROTOCOL: Final = "flin.json"
PACKED_PROTOCOL: Final = "flin.msgpack"  # see packed.py
EARLY_BYTES_MAX = 64 << 10  # frames sent before the 101; an honest client sends none or one
OFFERS_MAX = 16  # extension offers looked at; browsers send one or two
FLUSH_RETRY_S = 0.005  # earlier pipelined responses are still on their way to the kernel

_KEY: Final = late_pattern(r"[A-Za-z0-9+/]{22}==")  # base64 of exactly 16 bytes
_TOKEN: Final = late_pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_WINDOW_BITS: Final = frozenset(map(str, range(8, 16)))
_DEFLATE_ANSWER: Final = (
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
)
_WINDOW_LIMIT: Final = "; server_max_window_bits="
_WINDOW_WHOLE: Final = f"{_WINDOW_LIMIT}15"  # the window of every deflated frame of ours
_SWITCHING: Final = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
)
_OWN_FIELDS: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "transfer-encoding",
        "upgrade",
    }
)


class Handshake(Struct, frozen=True):
    """A valid opening handshake.

    Attributes:
        accept: Value of Sec-WebSocket-Accept.
        protocols: Subprotocols offered, in the peer's order of preference.
        deflate: Value of Sec-WebSocket-Extensions to answer with, or "".
    """

    accept: str
    protocols: tuple[str, ...]
    deflate: str


def check_handshake(head: Head, *, compression: bool) -> Handshake:
    """Check the opening handshake of a request whose Upgrade field names websocket.

    Args:
        head: An HTTP/1.1 request.
        compression: Whether permessage-deflate may be agreed on.

    Raises:
        RequestError: 400, or 426 for another version.
    """
    fields = head.fields
    if head.method != "GET":
        raise RequestError("a WebSocket upgrade has to be a GET request")
    if head.is_chunked or head.content_length:
        raise RequestError("an upgrade request cannot have a body")
    if not has_token(head.joined("connection"), "upgrade"):
        raise RequestError("expected `upgrade` in the Connection header")
    if fields.get("sec-websocket-version") != VERSION:
        raise RequestError(
            f"expected Sec-WebSocket-Version {VERSION}",
            status=426,
            headers=(("Sec-WebSocket-Version", VERSION), ("Upgrade", "websocket")),
        )
    key = fields.get("sec-websocket-key", "")
    if _KEY.fullmatch(key) is None:
        raise RequestError("expected 16 bytes in base64 in Sec-WebSocket-Key")
    deflate = negotiate_deflate(head.joined("sec-websocket-extensions")) if compression else ""
    return Handshake(accept_of(key), offered_protocols(head), deflate)


def accept_of(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key."""
    return accept_key(key.encode("ascii")).decode("ascii")


def offered_protocols(head: Head) -> tuple[str, ...]:
    """Subprotocols of a request in order; names that are not tokens offer nothing."""
    parts = (part.strip(" \t") for part in head.joined("sec-websocket-protocol").split(","))
    return tuple(part for part in parts if _TOKEN.fullmatch(part))


def negotiate_deflate(value: str) -> str:
    """The answer to the first offer of permessage-deflate that we can keep, "" for none.

    We keep no compression state between messages in either direction. A peer that allows us a
    window below 15 bits is answered yes and sent uncompressed messages, which is always allowed:
    so one deflated frame serves a whole room.

    Args:
        value: All Sec-WebSocket-Extensions values, joined by commas.

    Source: RFC 7692 section 7.1.
    """
    for offer in value.split(",")[:OFFERS_MAX]:
        name, *parameters = (part.strip(" \t") for part in offer.split(";"))
        window_bits = _window_bits(parameters) if name == "permessage-deflate" else None
        if window_bits is not None:
            limit = f"{_WINDOW_LIMIT}{window_bits}" if window_bits else ""
            return _DEFLATE_ANSWER + limit
    return ""


def _window_bits(parameters: Sequence[str]) -> str | None:
    """Window that an offer allows us, "" when it names none; None when we cannot keep it."""
    seen: set[str] = set()
    window_bits = ""
    for parameter in parameters:
        name, equals, value = (part.strip(" \t") for part in parameter.partition("="))
        if name in seen:
            return None
        seen.add(name)
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            is_known = not equals
        elif name == "client_max_window_bits":
            is_known = not equals or value in _WINDOW_BITS
        elif name == "server_max_window_bits":
            is_known, window_bits = value in _WINDOW_BITS, value
        else:
            is_known = False
        if not is_known:
            return None
    return window_bits


def switching_response(
    handshake: Handshake, *, protocol: str, headers: Sequence[tuple[str, str]]
) -> bytes:
    """The 101 response.

    Args:
        handshake: What was checked.
        protocol: Chosen subprotocol, or "".
        headers: More fields, such as cookies that middleware set.

    Raises:
        ValueError: A field holds a line break or a character beyond latin-1.
    """
    lines = [_SWITCHING, f"Sec-WebSocket-Accept: {handshake.accept}\r\n"]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}\r\n")
    if handshake.deflate:
        lines.append(f"Sec-WebSocket-Extensions: {handshake.deflate}\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in headers if name.lower() not in _OWN_FIELDS]
    text = "".join(lines)
    breaks = len(lines) + 2  # the first item holds three lines
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise ValueError("a response field holds a line break or NUL")
    return f"{text}\r\n".encode("latin-1")


class PendingUpgrade:
    """One upgrade request between its head and the open connection.

    Args:
        connection: Where it came from.
        serial: Number of the request on its connection.
        head: Its head.
        request: The same for the program.
    """

    __slots__ = ("_connection", "_handshake", "_head", "_request", "_serial", "_site")

    def __init__(
        self, connection: HttpConnection, serial: int, head: Head, request: Request
    ) -> None:
        self._connection = connection
        self._serial = serial
        self._head = head
        self._request = request

    def begin(self, site: Site) -> None:
        """Check the handshake and ask the program.

        Raises:
            RequestError: The handshake is not valid.
        """
        self._site = site
        self._handshake = check_handshake(self._head, compression=site.settings.ws.compression)
        self._connection.hold_for_upgrade()
        site.dispatch_upgrade(self._head, self._request, self.accept, self.reject)

    def reject(self, response: Response) -> None:
        """The program said no: an ordinary response, after which HTTP goes on."""
        self._connection.respond(self._serial, response)

    def _chosen(self, upgrade: Upgrade) -> str:
        """The program's subprotocol if it was offered, else the first offered one of ours."""
        offered = self._handshake.protocols
        if upgrade.protocol in offered:
            return upgrade.protocol
        return next((name for name in offered if name in (PACKED_PROTOCOL, JSON_PROTOCOL)), "")

    def accept(self, upgrade: Upgrade) -> None:
        """Every guard has passed: open the connection."""
        connection, transport = self._connection, self._connection.transport
        if not connection.is_waiting_for(self._serial) or transport.is_closing():
            return
        if connection.early_size > EARLY_BYTES_MAX:
            self.reject(self._site.error(400, "too many bytes before the handshake was answered"))
            return
        if transport.get_write_buffer_size():
            # A response to an earlier pipelined request has to leave before the 101 does.
            self._site.call_later(FLUSH_RETRY_S, lambda: self.accept(upgrade))
            return
        handshake, protocol = self._handshake, self._chosen(upgrade)
        if protocol == PACKED_PROTOCOL:
            handshake = replace(handshake, deflate="")  # compressed frames cannot be converted
        try:
            response = switching_response(handshake, protocol=protocol, headers=upgrade.headers)
        except ValueError as error:
            self._site.log.error("an upgrade was not answered", reason=str(error))
            self.reject(self._site.error(500, "Internal Server Error"))
            return
        if protocol == PACKED_PROTOCOL:
            _open_packed(self._site, connection, upgrade, response)
            return
        answer = handshake.deflate
        opening = Opening(
            upgrade.context,
            upgrade.endpoint,
            response,
            connection.detach(),
            protocol,
            bool(answer),
            _WINDOW_LIMIT not in answer or answer.endswith(_WINDOW_WHOLE),
        )
        if type(transport) is Stream:  # the reactor accepted it
            if upgrade.renew is not None:
                self._site.repeated_upgrades.remember(connection.raw_head, upgrade.renew, opening)
            _open_stream(self._site, transport, opening)
        else:
            _open_transport(self._site, transport, opening)


def _open_packed(site: Site, connection: HttpConnection, upgrade: Upgrade, response: bytes) -> None:
    """Put a translator between the hub and the socket."""
    transport = cast("asyncio.Transport", connection.transport)  # or a Stream, which is alike
    from flinfast.server.packed import PackedTransport

    guest = PackedTransport(
        transport, site.hub, upgrade.context, message_bytes_max=site.settings.ws.max_message
    )
    transport.write(response)
    early = connection.host(guest)
    try:
        site.hub.open_transport(
            upgrade.context, upgrade.endpoint, guest, response=b"", protocol=PACKED_PROTOCOL
        )
    except Exception:
        transport.abort()  # nothing else would ever end it
        raise
    if early:
        guest.received(early)


def _open_stream(site: Site, stream: Stream, opening: Opening) -> None:
    """Let the hub speak WebSocket over an accepted socket that stays where it is."""
    try:
        site.hub.open_stream(stream, opening)
    except Exception as error:  # noqa: BLE001 - nothing else would ever end it
        stream.abort()
        site.report("a connection could not be opened", error)


def _open_transport(site: Site, transport: asyncio.Transport, opening: Opening) -> None:
    """Leave the socket with the loop and put the hub behind its transport."""
    transport.set_protocol(StreamAdapter(site, opening.connection))
    try:
        site.hub.open_transport(
            opening.connection,
            opening.endpoint,
            transport,
            response=opening.response,
            early=opening.early,
            protocol=opening.protocol,
            deflate=opening.deflate,
            deflate_output=opening.deflate_output,
        )
    except Exception:
        transport.abort()  # nothing else would ever end it
        raise
    if not transport.is_closing():
        transport.resume_reading()
