"""Cutting a byte stream into requests: buffer, head, body. No I/O and no clock.

Any split of the same bytes gives the same requests, and refuses the same streams. At most one
request is taken at a time; the rest stays in the buffer, whose owner bounds it by not reading on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flinfast.server.body import ChunkedBody
from flinfast.server.head import (
    BLANK_LINES_MAX,
    TARGET_BYTES_MAX,
    Head,
    RequestError,
    check_line_ends,
    check_request_line,
)
from flinfast.settings import ServerSettings

BODY_PROGRESS_BYTES = 4 << 10  # a body has to grow by this per `body_timeout_s`

_REQUEST_LINE_BYTES_MAX = TARGET_BYTES_MAX + 20  # the longest method, two spaces, the version


class RequestReader:
    """Reads the requests of one connection.

    Args:
        settings: Limits.
        read_head: Parses a complete head; raises RequestError.

    Attributes:
        buffer: Received and not yet used; its owner appends.
        raw_head: Bytes of the head understood last.
        repeat_count: Heads right before it that were the same.
        head: Head of the request being read or just read; None before one was understood.
        in_body: Whether the head is complete and its body is not.
        has_progress: Set when a deadline deserves to be moved: a head has begun, a body has begun
            or has grown by BODY_PROGRESS_BYTES. Cleared by the owner.
        owes_continue: Set when the peer waits for 100 before it sends the body. Cleared likewise.
    """

    __slots__ = (
        "_blank_lines",
        "_chunks",
        "_has_request_line",
        "_progress",
        "_read_head",
        "_searched",
        "_settings",
        "buffer",
        "has_progress",
        "head",
        "in_body",
        "owes_continue",
        "raw_head",
        "repeat_count",
    )

    def __init__(self, settings: ServerSettings, read_head: Callable[[bytes], Head]) -> None:
        self._settings = settings
        self._read_head = read_head
        self.buffer = bytearray()
        self.head: Head | None = None
        self.in_body = False
        self.repeat_count = 0
        self.has_progress = False
        self.owes_continue = False
        self._searched = 0
        self._blank_lines = 0
        self._has_request_line = False
        self.raw_head = b""
        self._chunks: ChunkedBody | None = None
        self._progress = 0

    def next_body(self) -> bytes | None:
        """The body of the next complete request, its head in `head`; None: more has to come.

        Raises:
            RequestError: The stream is not a valid request; nothing after it can be trusted.
        """
        if not self.in_body:
            if not self._take_head():
                return None
            head = cast(Head, self.head)
            if not head.is_chunked and not head.content_length:
                return b""
            self._begin_body(head)
        return self._take_body(cast(Head, self.head))

    def clear(self) -> None:
        """Forget what was received."""
        self.buffer.clear()
        self._chunks = None

    # --- head ----------------------------------------

    def _take_head(self) -> bool:
        buffer = self.buffer
        if not buffer:
            return False
        if buffer[0] in b"\r\n":
            self._skip_blank_lines()
            if not buffer:
                return False
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            self._check_partial_head()
            return False
        end += 4
        if end > self._settings.head_size_max:
            raise self._oversize_head()
        raw = bytes(buffer[:end])
        del buffer[:end]
        self._searched = 0
        self._blank_lines = 0
        self._has_request_line = False
        # A peer that repeats its request (polling, load tests) repeats it byte by byte.
        if raw == self.raw_head:
            self.repeat_count += 1
        else:
            self.repeat_count = 0
            self.head = None
            self.head = self._read_head(raw)
            self.raw_head = raw
        return True

    def _skip_blank_lines(self) -> None:
        buffer = self.buffer
        while buffer.startswith(b"\r\n"):
            del buffer[:2]
            self._blank_lines += 1
            if self._blank_lines > BLANK_LINES_MAX:
                raise RequestError("expected a request, got empty lines")
        if buffer[:1] == b"\n" or (buffer[:1] == b"\r" and len(buffer) > 1):
            raise RequestError("expected lines to end with CR LF")

    def _check_partial_head(self) -> None:
        """Refuse early what can never become a valid head."""
        buffer, start = self.buffer, self._searched
        if not start:
            self.has_progress = True
        if len(buffer) > self._settings.head_size_max:
            raise self._oversize_head()
        if start and buffer[start - 1] == 13:
            start -= 1
        check_line_ends(buffer[start:])
        if not self._has_request_line:
            end = buffer.find(b"\r\n")
            if end >= 0:
                check_request_line(bytes(buffer[:end]))
                self._has_request_line = True
            elif len(buffer) > _REQUEST_LINE_BYTES_MAX:
                raise self._oversize_head()
            elif buffer[0] != 13 and not 65 <= buffer[0] <= 90:
                raise RequestError("expected a request such as `GET / HTTP/1.1`")
        self._searched = max(0, len(buffer) - 3)

    def _oversize_head(self) -> RequestError:
        end = self.buffer.find(b"\r\n")
        if end < 0 or end > _REQUEST_LINE_BYTES_MAX:
            return RequestError("request target too long", status=414)
        return RequestError("request header fields too large", status=431)

    # --- body ----------------------------------------

    def _begin_body(self, head: Head) -> None:
        self.in_body = True
        if head.is_websocket:
            raise RequestError("an upgrade request cannot have a body")
        size_max = self._settings.body_size_max
        if head.content_length > size_max:
            raise RequestError("request body too large", status=413)
        self._chunks = ChunkedBody(size_max) if head.is_chunked else None
        self.has_progress = True
        self._progress = 0
        self.owes_continue = head.expects_continue and not self.buffer

    def _take_body(self, head: Head) -> bytes | None:
        buffer, chunks = self.buffer, self._chunks
        if chunks is not None:
            if chunks.feed(buffer):
                self._chunks = None
                self.in_body = False
                return bytes(chunks.body)
            size = chunks.consumed
        else:
            wanted = head.content_length
            size = len(buffer)
            if size >= wanted:
                body = bytes(buffer[:wanted])
                del buffer[:wanted]
                self.in_body = False
                return body
        if size - self._progress >= BODY_PROGRESS_BYTES:
            self._progress = size
            self.has_progress = True
        return None
