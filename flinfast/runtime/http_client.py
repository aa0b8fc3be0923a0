"""A small HTTP client for handlers: one request, bounded in time and size, never an exception.

It runs on a pool thread (`services.waiter`), so the standard library's blocking client does. It is
not for streaming, cookies, proxies or connection reuse.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

RESPONSE_SIZE_MAX: Final = 10 << 20  # bytes of a response body
REDIRECTS_MAX: Final = 5
CHUNK_SIZE: Final = 64 << 10
CONNECT_TIMEOUT_S_MAX: Final = 10.0  # of one attempt to connect, and of one silent read
_FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
_METHOD_KEPT: Final = frozenset({307, 308})
_PRIVATE_FIELDS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to make.

    Attributes:
        method: Upper-case method.
        url: Absolute http or https URL, checked by `check_url`.
        headers: Names and values, checked by the caller.
        body: Bytes to send, or None.
        timeout_s: For everything, redirects included.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """What came back; `status` is 0 and `error` says why when nothing did."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""


class _TooLarge(Exception):  # noqa: N818 - leaves this module as Incoming.error
    pass


def check_url(url: str) -> str:
    """What is wrong with a URL, or "" when it can be requested."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "a URL of ASCII characters without spaces"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "a URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "an http or https URL"
    return "a URL without a password" if "@" in parts.netloc else ""


def perform(request: Outgoing) -> Incoming:
    """Make a request, following up to REDIRECTS_MAX redirects; blocks."""
    deadline = time.monotonic() + request.timeout_s
    try:
        for _ in range(REDIRECTS_MAX + 1):
            answer = _exchange(request, deadline)
            following = _following(request, answer)
            if following is None:
                return answer
            request = following
        return Incoming(0, error="too many redirects")
    except TimeoutError:
        return Incoming(0, error="timed out")
    except _TooLarge:
        return Incoming(0, error=f"response has more than {RESPONSE_SIZE_MAX} bytes")
    except ssl.SSLError as error:
        return Incoming(0, error=f"TLS: {error.reason or 'failed'}")
    except OSError as error:
        return Incoming(0, error=error.strerror or "cannot connect")
    except (http.client.HTTPException, ValueError):
        return Incoming(0, error="malformed response")


def _exchange(request: Outgoing, deadline: float) -> Incoming:
    parts = urlsplit(request.url)
    connection = _connect(parts.scheme, parts.hostname or "", parts.port, _rest(deadline))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(request.method, target, request.body, dict(request.headers))
        response = connection.getresponse()
        body = _read(response, connection, deadline)
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return Incoming(response.status, headers, body)
    finally:
        connection.close()


def _connect(
    scheme: str, host: str, port: int | None, timeout_s: float
) -> http.client.HTTPConnection:
    wait_s = min(timeout_s, CONNECT_TIMEOUT_S_MAX)
    if scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=wait_s, context=context)
    return http.client.HTTPConnection(host, port, timeout=wait_s)


def _read(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float
) -> bytes:
    """The body, within the limits; a peer that drips bytes runs into the deadline too."""
    parts: list[bytes] = []
    size = 0
    while True:
        if connection.sock is not None:
            connection.sock.settimeout(_rest(deadline))
        part = response.read1(CHUNK_SIZE)
        if not part:
            return b"".join(parts)
        _rest(deadline)
        parts.append(part)
        size += len(part)
        if size > RESPONSE_SIZE_MAX:
            raise _TooLarge


def _rest(deadline: float) -> float:
    """Seconds until the deadline; TimeoutError when it is over."""
    rest_s = deadline - time.monotonic()
    if rest_s <= 0:
        raise TimeoutError
    return rest_s


def _following(request: Outgoing, answer: Incoming) -> Outgoing | None:
    """The request that a redirect asks for, None when the answer is final."""
    location = answer.headers.get("location")
    if answer.status not in _FOLLOWED or location is None:
        return None
    if request.method not in ("GET", "HEAD") and answer.status in _METHOD_KEPT:
        return None  # repeating a write elsewhere is the caller's decision
    url = urljoin(request.url, location)
    if check_url(url):
        return None
    method = request.method if request.method in ("GET", "HEAD") else "GET"
    headers = dict(request.headers)
    if urlsplit(url)[:2] != urlsplit(request.url)[:2]:
        headers = {k: v for k, v in headers.items() if k.lower() not in _PRIVATE_FIELDS}
    if method != request.method:
        headers = {k: v for k, v in headers.items() if not k.lower().startswith("content-")}
    return Outgoing(method, url, headers, None, request.timeout_s)
