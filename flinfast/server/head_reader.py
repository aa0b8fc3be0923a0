"""Request heads from bytes: httptools between the checks before it and the meaning after it."""

from __future__ import annotations

from typing import Final

import httptools

from flinfast.server.allowed_hosts import AllowedHosts
from flinfast.server.head import Head, RequestError, check_head, interpret

# Heads that are kept with their meaning: clients of one kind ask alike, so a crowd of them sends
# few different heads. Each is kept once, and the oldest goes when a new one comes.
KEPT_COUNT_MAX = 512
KEPT_BYTES_MAX = 2 << 10

# Most field names are one of these, so lower-casing and decoding is a lookup.
# fmt: off
_COMMON_NAMES: Final = (
    "Host", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Authorization",
    "Cache-Control", "Connection", "Content-Length", "Content-Type", "Cookie", "If-None-Match",
    "Origin", "Pragma", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
    "Sec-WebSocket-Extensions", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version", "Transfer-Encoding", "Upgrade", "X-Forwarded-For",
    "X-Forwarded-Proto", "X-Request-Id",
)
# fmt: on
_NAMES: Final[dict[bytes, str]] = {
    spelling.encode(): name.lower() for name in _COMMON_NAMES for spelling in (name, name.lower())
}


class HeadReader:
    """Parses complete heads; one for all connections of a site, since heads come whole.

    A parser is used again only after a head that certainly left it between two requests; anything
    else (a body to come, `Connection: close`, a fault) would leak into another connection.

    Args:
        header_count_max: Field lines allowed.
        hosts: The names that heads may be for; any when None.
    """

    def __init__(self, *, header_count_max: int, hosts: AllowedHosts | None = None) -> None:
        self._header_count_max = header_count_max
        self._hosts = AllowedHosts(()) if hosts is None else hosts
        self._headers: list[tuple[str, str]] = []
        self._target = b""
        self._is_complete = False
        self._parser: httptools.HttpRequestParser | None = None
        self._kept: dict[bytes, Head] = {}

    def read(self, raw: bytes) -> Head:
        """The meaning of a head that ends with its empty line.

        Raises:
            RequestError: It breaks a rule.
        """
        kept = self._kept
        head = kept.get(raw)
        if head is not None:
            return head
        head = self._parse(raw)
        if len(raw) <= KEPT_BYTES_MAX and not head.is_websocket:  # each of those has its own key
            if len(kept) >= KEPT_COUNT_MAX:
                del kept[next(iter(kept))]
            kept[raw] = head
        return head

    def _parse(self, raw: bytes) -> Head:
        check_head(raw, header_count_max=self._header_count_max)
        self._headers = []
        self._is_complete = False
        parser = self._parser or httptools.HttpRequestParser(self)
        self._parser = None
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass  # how the parser says that an Upgrade field was there; what follows is ours
        except httptools.HttpParserError as error:
            raise RequestError("malformed request head") from error
        head = interpret(
            parser.get_method().decode("ascii"),
            self._target.decode("latin-1"),
            parser.get_http_version(),
            self._headers,
        )
        if self._is_complete and head.keep_alive and head.version == "1.1":
            self._parser = parser
        self._hosts.check(head)
        return head

    # httptools calls these; they store and return.

    def on_url(self, url: bytes) -> None:
        """The request target."""
        self._target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field line."""
        known = _NAMES.get(name)
        if known is None:
            known = name.decode("latin-1").lower()
        self._headers.append((known, value.decode("latin-1").strip(" \t")))

    def on_message_complete(self) -> None:
        """The head stands alone: no body is expected."""
        self._is_complete = True
