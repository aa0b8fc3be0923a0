"""One HTTP request as the server hands it over; nothing here reads sockets or parses bodies.

The server has checked the request line, the field names and the limits. Values are latin-1 text,
so no byte of a header is lost or can fail to decode.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct, field

from flinfast.late_pattern import late_pattern

_DIGITS: Final = "0123456789abcdefABCDEF"
_OCTETS: Final = {f"{a}{b}".encode(): bytes((int(a + b, 16),)) for a in _DIGITS for b in _DIGITS}
_ESCAPE: Final = late_pattern(rb"%([0-9A-Fa-f]{2})")

QUERY_FIELDS_MAX = 1000  # name=value pairs of a query string or form; beyond it: 400


class Request(Struct):
    """A received request.

    Attributes:
        method: Upper-case method.
        target: Request target as received, latin-1.
        path: Path part of the target, still percent-encoded, starting with `/`.
        query_string: What follows the first `?`, "" without one.
        http_version: "1.0" or "1.1".
        headers: Lower-case names and latin-1 values, in the order received.
        body: The whole body, empty without one.
        peer: IP address of the client (of the proxy's client, when proxies are trusted).
        scheme: "https" when the connection, or a trusted proxy's, is TLS.
        id: Request id for logs.
    """

    method: str
    target: str
    path: str
    query_string: str = ""
    http_version: str = "1.1"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    peer: str = ""
    scheme: Literal["http", "https"] = "http"
    id: str = ""

    def header(self, name: str) -> str:
        """First value of a header, "" without one; `name` is lower-case."""
        for key, value in self.headers:
            if key == name:
                return value
        return ""

    def header_joined(self, name: str, separator: str = ", ") -> str:
        """All values of a header joined (RFC 9110 section 5.3), "" without one."""
        return separator.join(value for key, value in self.headers if key == name)

    @property
    def host(self) -> str:
        """The Host header, "" without one."""
        return self.header("host")

    @property
    def is_upgrade(self) -> bool:
        """Whether this asks for a WebSocket: GET, `Upgrade: websocket`, `Connection: upgrade`."""
        if self.method != "GET":
            return False
        return has_token(self.header_joined("upgrade"), "websocket") and has_token(
            self.header_joined("connection"), "upgrade"
        )


def has_token(value: str, token: str) -> bool:
    """Whether a comma-separated header value holds a token, case-insensitively."""
    return any(part.strip(" \t").lower() == token for part in value.split(","))


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """Names and values of a query string or of a urlencoded form, in order.

    `+` is a space; bytes that are not UTF-8 become U+FFFD. A part without `=` has the value "".

    Args:
        text: Latin-1 text, percent-encoded.

    Raises:
        ValueError: More than QUERY_FIELDS_MAX pairs.

    Source: URL standard, section 5.1 (application/x-www-form-urlencoded parsing).
    """
    if not text:
        return []
    parts = text.split("&", QUERY_FIELDS_MAX)
    if len(parts) > QUERY_FIELDS_MAX:
        raise ValueError(f"expected at most {QUERY_FIELDS_MAX} fields")
    pairs = []
    for part in parts:
        if part:
            name, _, value = part.partition("=")
            pairs.append((decode_component(name), decode_component(value)))
    return pairs


def decode_component(text: str) -> str:
    """Percent-decode one form component (`+` is a space) of latin-1 text."""
    if "%" not in text and "+" not in text and text.isascii():
        return text
    raw = text.replace("+", " ").encode("latin-1", "replace")
    return _ESCAPE.sub(_escaped, raw).decode("utf-8", "replace")


def _escaped(found: re.Match[bytes]) -> bytes:
    return _OCTETS[found[1]]
