"""HTTP/1.1 and 1.0 on one connection: bytes in, requests to the site, responses out in order.

Requests of a connection are answered one at a time. What a peer sends ahead (pipelining) waits in
the connection's buffer, which is bounded because reading pauses, so answers cannot change places
and a peer that never reads stops being read. Heads are checked by `head.py` and parsed by
httptools; bodies are cut off by length or decoded by `body.py`.

There is no timer per connection: `deadline` is compared with the site's coarse clock by its sweep.
No exception leaves a callback: a peer gets an error response, the log gets the rest.
"""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from flinfast.native.hub import Stream
from flinfast.runtime.request import Request
from flinfast.runtime.response import Response, json_response
from flinfast.server.events import OPENING, EventTransport
from flinfast.server.head import Head, RequestError
from flinfast.server.outflow import Pieces, Source
from flinfast.server.repeated_request import known_request, tell
from flinfast.server.request_reader import RequestReader
from flinfast.server.responder import Responder
from flinfast.server.response_head import CONTINUE, UnsafeFieldError
from flinfast.server.static import OpenFile, opened
from flinfast.server.upgrade import PendingUpgrade

if TYPE_CHECKING:
    from flinfast.native.hub import Known
    from flinfast.runtime.event_stream import EventStream
    from flinfast.runtime.known_context import KnownContext
    from flinfast.server.packed import PackedTransport
    from flinfast.server.repeated_request import KnownRun
    from flinfast.server.site import Site

PIPELINE_BYTES_MAX = 64 << 10  # bytes kept while a response is pending; then reading pauses
PIPELINE_TURN_MAX = 16  # requests of one connection answered before others get their turn
WRITE_HIGH_BYTES = 64 << 10  # unsent bytes from which no further response is started
WRITE_LOW_BYTES = 16 << 10
JOINED_BODY_BYTES_MAX = 64 << 10  # smaller bodies are sent in one piece with their head
WHOLE_BODY_BYTES_MAX = 256 << 10  # larger ones leave in pieces, in turn with other connections
STALL_S = 30.0  # a peer that takes nothing of a response for so long is gone
LINGER_S = 2.0  # how long input is read and dropped so that the peer can read its error
HANDLER_GRACE_S = 5.0  # runtime ends a handler at handler_timeout_s; this is the net below it

READING, HANDLING, STREAMING, UPGRADING, LINGERING, CLOSED, HOSTING = range(7)


class HttpConnection(asyncio.Protocol):
    """One accepted connection until it closes or becomes a WebSocket.

    Attributes:
        deadline: Coarse monotonic time at which expire() is due, seconds.
        is_half_closed: Whether the peer sends nothing more.
        transport: The reactor's or (TLS) the loop's, set while connected.
    """

    __slots__ = (
        "_guest",
        "_is_advancing",
        "_is_blocked",
        "_is_reading",
        "_is_tls",
        "_known",
        "_peer",
        "_reader",
        "_request",
        "_serial",
        "_site",
        "_source",
        "_started",
        "_state",
        "_waits_for_reader",
        "deadline",
        "is_half_closed",
        "transport",
    )

    def __init__(self, site: Site) -> None:
        self._site = site
        self._state = READING
        self._reader = RequestReader(site.settings.server, site.head_reader.read)
        self._request: Request | None = None
        self._serial = 0
        self._started = 0.0
        self._known: Known | None = None
        self._source: Source | None = None
        self._guest: EventTransport | PackedTransport | None = None
        self._is_advancing = False
        self._is_blocked = False
        self._waits_for_reader = 0
        self.is_half_closed = False
        self._is_reading = True
        self._is_tls = False
        self._peer = ""
        self.deadline = 0.0
        self.transport: asyncio.Transport | Stream = cast(Any, None)

    # --- callbacks of the loop ----------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport | Stream) -> None:
        """Start to wait for a head."""
        self.transport = cast(Any, transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES)
        peer = transport.get_extra_info("peername")
        # A Unix socket's peer has no address; None: the peer has gone already.
        self._peer = str(peer[0]) if isinstance(peer, tuple) else "" if peer is not None else "-"
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        self.deadline = self._site.now + self._site.settings.server.head_timeout_s
        self._site.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        if self._state >= LINGERING:
            if self._guest is not None:
                self._guest.received(data)
            return
        buffer = self._reader.buffer
        known = self._known
        if (
            known is not None
            and data == known.raw
            and self._state == READING
            and not buffer
            and not self._is_blocked
        ):  # over a transport that does not do this by itself
            answer = known.answer(self)
            if answer is not None:
                if answer:
                    self.deadline = self._site.answers.deadline
                    self.transport.write(answer)
                    self._expect_known()
                return
        buffer += data
        if self._state == READING:
            self._advance()
        elif len(buffer) > PIPELINE_BYTES_MAX:
            self._set_reading(False)

    def eof_received(self) -> bool:
        """The peer will send nothing more; what it asked is still answered (not over TLS)."""
        is_reading = self._state == READING and bool(self._reader.buffer)
        if self._is_tls or not (is_reading or self._state in (HANDLING, STREAMING)):
            return False
        self.is_half_closed = True
        if is_reading:
            self._advance()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; a handler that still runs has its response dropped."""
        self._state = CLOSED
        self._serial += 1
        self._site.connections.discard(self)
        if self._source is not None:
            self._source.close()
            self._source = None
        if self._guest is not None:
            self._guest.lost()

    def pause_writing(self) -> None:
        """The peer reads too slowly: start no further response."""
        self._is_blocked = True
        self._waits_for_reader = self.transport.get_write_buffer_size()
        if self._state == READING:
            self.deadline = self._site.now + STALL_S

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._is_blocked = False
        if self._guest is not None:
            self._guest.writable()
        elif self._state == STREAMING:
            self._site.outflow.add(self)
        elif self._state == READING:
            self._await_head()
            self._advance()

    # --- what the site and upgrades call ----------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no request has begun."""
        reader = self._reader
        return (
            self._state == READING
            and not reader.buffer
            and not reader.in_body
            and not self._is_blocked
        )

    @property
    def is_handling(self) -> bool:
        """Whether a response is pending or being sent."""
        return self._state in (HANDLING, STREAMING, UPGRADING) or self._is_blocked

    def expire(self, now: float) -> None:
        """The deadline has passed."""
        state = self._state
        if self._is_blocked and state in (READING, STREAMING):
            size = self.transport.get_write_buffer_size()
            if size < self._waits_for_reader:
                self._waits_for_reader = size
                self.deadline = now + STALL_S
            else:
                self.transport.abort()
        elif self.transport.is_closing():
            self.transport.abort()  # what was written last has found no reader
        elif state == READING and not self._reader.in_body and not self._reader.buffer:
            self.deadline = now + STALL_S
            self.transport.close()
        elif state == READING:
            self._refuse(RequestError("the request took too long", status=408))
        elif state in (HANDLING, UPGRADING):
            self._refuse(RequestError("the handler took too long", status=503))
        else:
            self.transport.abort()

    def close_when_done(self) -> None:
        """Accept no further request (drain)."""
        if self.is_idle:
            self.transport.close()

    def is_waiting_for(self, serial: int) -> bool:
        """Whether the response to request number `serial` is still wanted."""
        return serial == self._serial and self._state in (HANDLING, UPGRADING)

    def respond(
        self, serial: int, response: Response, file: OpenFile | None = None, is_fitted: bool = False
    ) -> None:
        """Send the response to request number `serial`; late and second ones are dropped.

        Args:
            serial: As given to the site with the request.
            response: What to send.
            file: Sent as the body; closed here.
            is_fitted: Whether it has the form that this client wants.
        """
        if not self.is_waiting_for(serial):
            if file is not None:
                file.close()
            return
        site, head = self._site, self._reader.head
        if not (is_fitted or file or head is None) and site.compresses_apart(head, response):
            self._serial += 1  # a second response is one too many already
            done = partial(self.respond, self._serial, is_fitted=True)
            site.compressor.compress(head, response, done)
            return
        try:
            self._send(response, file, is_fitted)
        except UnsafeFieldError as error:
            self._site.log.error("a response was not sent", reason=str(error))
            self._send(self._site.error(500, "Internal Server Error"), None)

    def hold_for_upgrade(self) -> None:
        """Stop reading: what the peer sends now belongs to the WebSocket, if there will be one."""
        self._state = UPGRADING
        self._set_reading(False)

    def detach(self) -> bytes:
        """Give the connection away.

        Returns:
            Bytes received after the request.
        """
        tail = bytes(self._reader.buffer)
        self._log(101, 0)
        self._state = CLOSED
        self._serial += 1
        self._reader.clear()
        self._site.connections.discard(self)
        return tail

    def host(self, guest: PackedTransport) -> bytes:
        """Hand on what comes to a guest, which speaks with the hub and writes to the transport.

        Returns:
            Bytes received after the request.
        """
        tail = bytes(self._reader.buffer)
        self._log(101, 0)
        self._state = HOSTING
        self._serial += 1
        self._reader.clear()
        self.deadline = math.inf
        self._guest = guest
        self._set_reading(True)
        return tail

    @property
    def raw_head(self) -> bytes:
        """Bytes of the head of the pending request."""
        return self._reader.raw_head

    @property
    def early_size(self) -> int:
        """Bytes received after the pending request."""
        return len(self._reader.buffer)

    # --- requests ----------------------------------------

    def _advance(self) -> None:
        """Read and answer requests until input, output or a handler has to be waited for."""
        if self._is_advancing:
            return
        self._is_advancing = True
        reader = self._reader
        is_starved = False
        try:
            count = 0
            while self._state == READING and not self._is_blocked:
                body = reader.next_body()
                if body is None:
                    is_starved = True
                    self._await_rest()
                    break
                self._dispatch(body)
                count += 1
                if count >= PIPELINE_TURN_MAX and reader.buffer:
                    self._site.call_soon(self._advance)
                    break
        except RequestError as fault:
            self._refuse(fault)
        except Exception as error:  # noqa: BLE001 - one connection's fault must not end the server
            self._site.report("a request failed in the server", error)
            self._refuse(RequestError("Internal Server Error", status=500))
        finally:
            self._is_advancing = False
        if self._state == READING:
            if is_starved and self.is_half_closed:
                self.transport.close()  # the rest of this request will never come
            elif is_starved:
                self._set_reading(True)
            elif len(reader.buffer) > PIPELINE_BYTES_MAX:
                self._set_reading(False)

    def _await_rest(self) -> None:
        """A request is incomplete: move the deadline when the peer has earned it."""
        reader, server = self._reader, self._site.settings.server
        if reader.owes_continue:
            reader.owes_continue = False
            self.transport.write(CONTINUE)
        if reader.has_progress:
            reader.has_progress = False
            wait_s = server.body_timeout_s if reader.in_body else server.head_timeout_s
            self.deadline = self._site.now + wait_s

    def _dispatch(self, body: bytes) -> None:
        site, head = self._site, cast(Head, self._reader.head)
        self._state = HANDLING
        self._serial += 1
        respond = self._responder()
        if site.log.has_access_lines:
            self._started = time.perf_counter()
        peer, scheme = self._peer, "https" if self._is_tls else "http"
        if site.reads_proxy_headers:
            peer, scheme = site.forwarded(head, peer, scheme)
        request = self._request = Request(
            head.method,
            head.target,
            site.path_below_root(head.path),
            head.query_string,
            head.version,
            head.headers,
            body,
            peer,
            cast(Any, scheme),
            site.next_request_id(),
        )
        known, repeat_count = self._known, self._reader.repeat_count
        if repeat_count == 1 or (repeat_count and known is not None and not known.is_current):
            self._known = known_request(site, self._reader.raw_head, head, request)
        elif not repeat_count:
            self._known = None
        if head.is_websocket:
            PendingUpgrade(self, self._serial, head, request).begin(site)
        else:
            site.dispatch(head, request, respond)

    # --- what the hub says of known requests (see native/hub.pyi)

    def known_answered(
        self, known: Known, context: KnownContext, size: int, started: float
    ) -> None:
        """One was answered, and is to be told of."""
        tell(self._site, known, context, size, started)

    def answer_known(self, known: Known, run: KnownRun, body: bytes | None, started: float) -> None:
        """Answer one whose handler gave no plain answer, or one with a body worth compressing."""
        self._state = HANDLING
        self._serial += 1
        self._started = started
        self._request = run[0].raw
        respond = self._responder()
        try:
            if body is None:
                known.way.finish(*run, respond)
            else:
                respond(json_response(body))
        except Exception as fault:  # noqa: BLE001 - one connection's fault must not end the server
            self._site.report("a request failed in the server", fault)
            self._refuse(RequestError("Internal Server Error", status=500))

    def _responder(self) -> Responder:
        """What takes the response to the pending request, in time."""
        site = self._site
        self.deadline = site.now + site.settings.server.handler_timeout_s + HANDLER_GRACE_S
        return Responder(self.respond, self._serial)

    # --- responses ----------------------------------------

    @property
    def _is_last(self) -> bool:
        """Whether no request can follow the pending one."""
        return self.is_half_closed and not self._reader.buffer

    def _send(self, response: Response, file: OpenFile | None, is_fitted: bool = False) -> None:
        """Write a response; what follows depends on its body and on both sides' keep-alive."""
        site, head = self._site, self._reader.head
        if response.file is not None and file is None:
            response, file = opened(cast(Head, head), response) or (
                site.error(404, "Not Found"),
                None,
            )
        elif response.stream is not None:
            self._send_events(response, response.stream)
            return
        elif head is not None and file is None and not is_fitted:
            response = site.fitted(head, response)
        size = file.left if file is not None else len(response.body)
        keep_alive = (
            head is not None and head.keep_alive and not site.is_draining and not self._is_last
        )
        try:
            raw = site.heads.render(response, head, size=size, keep_alive=keep_alive)
        except UnsafeFieldError:
            if file is not None:
                file.close()
            raise
        has_body = (head is None or head.method != "HEAD") and response.status not in (204, 304)
        self._log(response.status, size if has_body else 0)
        source: Source | None = file
        if source is None and size > WHOLE_BODY_BYTES_MAX:
            source = Pieces(response.body, size)
        if has_body and source is not None and size:
            self.transport.write(raw)
            self._source = source
            self._state = STREAMING
            self.deadline = site.now + STALL_S
            self.send_piece()
            return
        if source is not None:
            source.close()
        if has_body and size > JOINED_BODY_BYTES_MAX:
            self.transport.write(raw)
            self.transport.write(response.body)
        else:
            self.transport.write(raw + response.body if has_body else raw)
        self._finish(keep_alive)

    def _send_events(self, response: Response, stream: EventStream) -> None:
        """Answer with events: the connection is the hub's from now on, and ends with them."""
        site, head = self._site, cast(Head, self._reader.head)
        raw = site.heads.render(response, head, size=None, keep_alive=False)
        self._log(response.status, 0)
        if head.method == "HEAD":
            self.transport.write(raw)
            self._finish(False)
            return
        self._state = HOSTING
        self._request = None
        self._reader.clear()
        self.deadline = math.inf
        self._set_reading(True)  # to notice when the client goes
        endpoint, connection = stream.open()
        self.transport.write(raw + OPENING)
        guest = EventTransport(self.transport, site.hub, connection, site.call_soon)
        self._guest = guest
        try:
            site.hub.open_transport(connection, endpoint, guest, response=b"")
        except Exception:
            self.transport.abort()  # nothing else would ever end it
            raise

    def send_piece(self) -> int:
        """Write a piece of the body if the peer takes any, and go on in another turn; its size."""
        source = self._source
        if source is None or self._state != STREAMING or self._is_blocked:
            return 0
        try:
            data = source.read()
        except OSError as error:
            self._site.report("a file could not be read", error)
            data = b""
        if not data:  # shorter than announced: only a reset tells the peer
            self.transport.abort()
            return 0
        self.deadline = self._site.now + STALL_S
        self.transport.write(data)
        if source.left:
            if not self._is_blocked:
                self._site.outflow.add(self)
        else:
            source.close()
            self._source = None
            head = cast(Head, self._reader.head)
            self._finish(head.keep_alive and not self._site.is_draining and not self._is_last)
        return len(data)

    def _finish(self, keep_alive: bool) -> None:
        """The response is written: take the next request or close."""
        self._request = None
        if not keep_alive:
            if self._reader.buffer:
                self._linger()
            else:
                self._state = LINGERING
                self.deadline = self._site.now + STALL_S
                self.transport.close()
            return
        self._state = READING
        self._await_head()
        if self._reader.buffer:
            self._advance()
            return
        if not self._is_reading:
            self._set_reading(True)
        self._expect_known()

    def _expect_known(self) -> None:
        """Have a stream answer the request by itself if it comes again right now."""
        if self._known is not None and type(self.transport) is Stream:
            self.transport.expect(self._known)

    def _await_head(self) -> None:
        server = self._site.settings.server
        wait_s = server.head_timeout_s if self._reader.buffer else server.keep_alive_s
        self.deadline = self._site.now + wait_s

    def _refuse(self, fault: RequestError) -> None:
        """Answer with an error and close; what the peer still sends is read and dropped."""
        if self._state >= LINGERING or self.transport.is_closing():
            return
        site = self._site
        response = site.error(fault.status, fault.message, fault.headers)
        head = self._current_head()
        raw = site.heads.render(response, head, size=len(response.body), keep_alive=False)
        is_head = head is not None and head.method == "HEAD"
        self.transport.write(raw if is_head else raw + response.body)
        self._log(fault.status, len(response.body))
        self._linger()

    def _current_head(self) -> Head | None:
        """Head of the request being read or answered; between requests it is the last one's."""
        if self._state == READING and not self._reader.in_body:
            return None
        return self._reader.head

    def _linger(self) -> None:
        """Close our side and drop input for a while: a reset would destroy the response."""
        self._state = LINGERING
        self._serial += 1
        self._reader.clear()
        self.deadline = self._site.now + LINGER_S
        if self._is_tls or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._set_reading(True)

    def _set_reading(self, is_reading: bool) -> None:
        if is_reading == self._is_reading or self.transport.is_closing():
            return
        self._is_reading = is_reading
        if is_reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _log(self, status: int, size: int) -> None:
        site = self._site
        site.count_response(status)
        if not site.log.has_access_lines:
            return
        request = self._request
        if request is None:
            head = self._current_head()
            method, path = (head.method, head.path) if head else ("-", "-")
            site.log.request(method, path, status, size, 0.0, self._peer, "")
        else:
            duration_s = time.perf_counter() - self._started
            site.log.request(
                request.method, request.path, status, size, duration_s, request.peer, request.id
            )
