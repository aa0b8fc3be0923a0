"""A small HTTP client for handlers: one request, bounded in time and size, never an exception.

It runs on a pool thread (`services.waiter`), so the standard library's blocking client does. It is
not for streaming, cookies, proxies or connection reuse.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

RESPONSE_SIZE_MAX: Final = 10 << 20  # bytes of a response body
REDIRECTS_MAX: Final = 5
CHUNK_SIZE: Final = 64 << 10
CONNECT_TIMEOUT_S_MAX: Final = 10.0  # of one attempt to connect
_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
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
        only_public: Whether addresses of private networks and of this machine are refused.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_s: float = 10.0
    only_public: bool = False


@dataclass(frozen=True, slots=True)
class Incoming:
    """What came back; `status` is 0 and `error` says why when nothing did."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""


class _TooLarge(Exception):  # noqa: N818 - leaves this module as Incoming.error
    pass


class _NotPublic(Exception):  # noqa: N818 - likewise
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
    except _NotPublic:
        return Incoming(0, error="the address is not public")
    except ssl.SSLError as error:
        return Incoming(0, error=f"TLS: {error.reason or 'failed'}")
    except OSError as error:
        return Incoming(0, error=error.strerror or "cannot connect")
    except (http.client.HTTPException, ValueError):
        return Incoming(0, error="malformed response")


def _exchange(request: Outgoing, deadline: float) -> Incoming:
    parts = urlsplit(request.url)
    host = parts.hostname or ""
    connection = http.client.HTTPConnection(host, parts.port or _PORTS[parts.scheme])
    connection.default_port = _PORTS[parts.scheme]  # what the Host field leaves out
    connection.response_class = cast("Any", partial(_TimedResponse, deadline))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.sock = _connect(request, host, connection.port, deadline)
        connection.request(request.method, target, request.body, dict(request.headers))
        response = connection.getresponse()
        body = _read(response)
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return Incoming(response.status, headers, body)
    finally:
        connection.close()


def _connect(request: Outgoing, host: str, port: int, deadline: float) -> socket.socket:
    """A connection to the first address of the host that takes one; TLS when the URL says so.

    The address is judged and then used, so a name cannot mean another one meanwhile.
    """
    failure: OSError = OSError("cannot connect")
    is_refused = False
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        if request.only_public and not is_public(str(address[0])):
            is_refused = True
            continue
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(min(_rest(deadline), CONNECT_TIMEOUT_S_MAX))
            link.connect(address)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.settimeout(_rest(deadline))
            if request.url.startswith("https:"):
                return ssl.create_default_context().wrap_socket(link, server_hostname=host)
        except ssl.SSLError:
            link.close()
            raise
        except OSError as error:
            link.close()
            failure = error
        else:
            return link
    if is_refused:
        raise _NotPublic
    raise failure


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet, neither private nor this machine's.

    IPv4 inside IPv6 is judged as IPv4; the tunnels of IPv6 (6to4, Teredo, NAT64) are not public.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found.sixtofour or found.teredo or found in _NAT64:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


class _TimedReader(io.RawIOBase):
    """Reads of a socket that all together end at a deadline, however the peer drips its bytes."""

    def __init__(self, link: socket.socket, deadline: float) -> None:
        self._link = link
        self._deadline = deadline
        self._raw = link.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._link.settimeout(_rest(self._deadline))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """A response whose head and body are read with one deadline."""

    def __init__(self, deadline: float, sock: socket.socket, **options: Any) -> None:
        super().__init__(sock, **options)
        with contextlib.closing(self.fp):
            self.fp = io.BufferedReader(_TimedReader(sock, deadline))


def _read(response: http.client.HTTPResponse) -> bytes:
    """The body, within the limit."""
    parts: list[bytes] = []
    size = 0
    while True:
        part = response.read1(CHUNK_SIZE)
        if not part:
            return b"".join(parts)
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
    return replace(request, method=method, url=url, headers=headers, body=None)
