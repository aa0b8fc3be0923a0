"""What a request head must look like, and what it means: strict, linear, on raw bytes.

httptools reads heads fast but leaves much to its caller: the number of Host lines, the target's
characters, several Transfer-Encoding values, limits. A head therefore passes `check_head()` before
the parser sees it, and `interpret()` decides about framing afterwards. Whatever two servers could
read differently is refused, because such requests are how one user's request becomes another's.

No I/O here, and no httptools.

Source: RFC 9112 sections 2-7, RFC 9110 sections 5-7.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

from flinfast.errors import FlinError
from flinfast.late_pattern import late_pattern
from flinfast.runtime.request import has_token

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
TARGET_BYTES_MAX = 8 << 10  # what nginx and Apache take; longer ones are faults or attacks
BLANK_LINES_MAX = 2  # RFC 9112 section 2.2: old clients send one after a body

# Fields of which a second line means that someone is confused, or attacking.
_SINGLE: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "content-type",
        "authorization",
        "expect",
        "origin",
        "sec-websocket-key",
        "sec-websocket-version",
    }
)
# Codings that exist; a request that ends in one of them with `chunked` is honest but unsupported.
_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"})

_METHOD = (
    rb"[A-Z][A-Z_-]{0,31}"  # methods are case-sensitive, and every registered one is upper-case
)
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Visible ASCII without `"`, `#` (a fragment is never sent), `<`, `>` and `\`.
_TARGET = rb"[!$-;=?-\[\]-~]+"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
_REQUEST_LINE: Final = late_pattern(_METHOD + rb" " + _TARGET + rb" HTTP/1\.[01]")
_FIELD_LINE: Final = late_pattern(_TOKEN + rb":" + _VALUE)
_HEAD: Final = late_pattern(
    _METHOD + rb" " + _TARGET + rb" HTTP/1\.[01]\r\n(?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*\r\n"
)
_VERSION: Final = late_pattern(rb"HTTP/[0-9]\.[0-9]")
_HOST: Final = late_pattern(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_LENGTH: Final = late_pattern(r"[0-9]{1,19}")  # more digits than 2**63 has are no length


class RequestError(FlinError):
    """A request that is answered with an error and never reaches a handler.

    Attributes:
        status: HTTP status, 400 to 505.
        message: For the peer; names no internals.
        headers: More fields of the response.
    """

    def __init__(
        self, message: str, *, status: int = 400, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class Head(Struct):
    """A checked request head; shared by every request that repeats it, so never changed.

    Attributes:
        method: One of METHODS.
        target: As received.
        path: Percent-encoded, starts with `/`; `*` for `OPTIONS *`.
        query_string: After the first `?`, or "".
        version: "1.0" or "1.1".
        headers: Lower-case names and latin-1 values, in order.
        fields: Last value per name; only for names of which one value counts.
        keep_alive: Whether the peer can take another response on this connection.
        content_length: Bytes of body, 0 without one; unused when `is_chunked`.
        is_chunked: Whether the body comes in chunks.
        expects_continue: Whether the peer waits for 100 before it sends the body.
        is_websocket: Whether `Upgrade` names websocket (HTTP/1.1 only; 1.0 cannot upgrade).
    """

    method: str
    target: str
    path: str
    query_string: str
    version: str
    headers: list[tuple[str, str]]
    fields: dict[str, str]
    keep_alive: bool
    content_length: int
    is_chunked: bool
    expects_continue: bool
    is_websocket: bool

    def joined(self, name: str) -> str:
        """All values of a field joined by commas (RFC 9110 section 5.3), "" without one."""
        return _joined(self.headers, self.fields, name)


# --- bytes ----------------------------------------


def check_head(raw: bytes, *, header_count_max: int) -> None:
    """Check a complete head, from the method to the empty line.

    Args:
        raw: Ends with CRLF CRLF.
        header_count_max: Field lines allowed.

    Raises:
        RequestError: It breaks a rule; the message names the first one found.
    """
    if _HEAD.fullmatch(raw) is None:
        raise _fault_of(raw)
    line_end = raw.find(b"\r\n")
    if line_end > TARGET_BYTES_MAX + 20:  # 20: the longest method, two spaces and the version
        raise RequestError("request target too long", status=414)
    if raw.count(b"\n") - 2 > header_count_max:
        raise RequestError("too many header fields", status=431)
    method = raw[: raw.find(b" ")].decode("ascii")
    if method not in METHODS:
        raise RequestError("method not supported", status=501)


def check_request_line(line: bytes) -> None:
    """Check a request line without its CRLF, before the rest of the head has come.

    Raises:
        RequestError: It can never become valid.
    """
    if _REQUEST_LINE.fullmatch(line) is None:
        raise _request_line_fault(line)


def check_field_line(line: bytes) -> None:
    """Check one header or trailer line without its CRLF.

    Raises:
        RequestError: Folded, without a name, or with a character that fields must not hold.
    """
    if _FIELD_LINE.fullmatch(line) is None:
        raise _field_fault(line)


def check_line_ends(part: bytes | bytearray) -> None:
    """Refuse a CR or LF that stands alone; a CR at the very end may still get its LF.

    Args:
        part: Part of a head that does not start between a CR and its LF.

    Raises:
        RequestError: A line end that parsers read differently.
    """
    pairs = part.count(b"\r\n")
    if part.count(b"\n") != pairs:
        raise RequestError("expected lines to end with CR LF, got a bare LF")
    if part.count(b"\r") - part.endswith(b"\r") != pairs:
        raise RequestError("expected lines to end with CR LF, got a bare CR")


def _fault_of(raw: bytes) -> RequestError:
    """Why a head does not match the grammar."""
    if b"\0" in raw:
        return RequestError("the head holds a NUL byte")
    try:
        check_line_ends(raw)
        first, *lines = raw[:-4].split(b"\r\n")
        check_request_line(first)
        for line in lines:
            check_field_line(line)
    except RequestError as fault:
        return fault
    return RequestError("malformed request head")


def _request_line_fault(line: bytes) -> RequestError:
    parts = line.split(b" ")
    if len(line) > TARGET_BYTES_MAX + 20:
        return RequestError("request target too long", status=414)
    if len(parts) != 3 or not all(parts):
        return RequestError("expected `METHOD target HTTP/1.1` with single spaces")
    method, target, version = parts
    if re.fullmatch(_METHOD, method) is None:
        return RequestError("expected a method in upper-case letters")
    if b"#" in target:
        return RequestError("the request target holds a fragment")
    if re.fullmatch(_TARGET, target) is None:
        return RequestError("the request target holds a character that has to be percent-encoded")
    if _VERSION.fullmatch(version) is not None:
        return RequestError("expected HTTP/1.1 or HTTP/1.0", status=505)
    return RequestError("expected a version such as HTTP/1.1")


def _field_fault(line: bytes) -> RequestError:
    if line[:1] in (b" ", b"\t"):
        return RequestError("folded header lines are not accepted")
    name, colon, value = line.partition(b":")
    if not colon:
        return RequestError("expected `name: value` in each header line")
    if re.fullmatch(_TOKEN, name) is None:
        return RequestError("a header name is empty or holds a character that names must not hold")
    if re.fullmatch(_VALUE, value) is None:
        return RequestError("a header value holds a control character")
    return RequestError("malformed header line")


# --- meaning ----------------------------------------


def interpret(method: str, target: str, version: str, headers: list[tuple[str, str]]) -> Head:
    """What a parsed head asks for.

    Args:
        method: As parsed.
        target: As parsed, ASCII.
        version: "1.0" or "1.1".
        headers: Lower-case names and stripped latin-1 values.

    Raises:
        RequestError: Host, target, framing or Expect break a rule.
    """
    fields = dict(headers)
    if len(fields) != len(headers):
        _check_single(headers)
    is_http11 = version == "1.1"
    host = fields.get("host")
    if host is not None:
        check_host(host)
    elif is_http11:
        raise RequestError("expected exactly one Host header")
    path, query_string = _split_target(method, target, host)
    content_length, is_chunked = _framing(fields, is_http11=is_http11)
    connection = _joined(headers, fields, "connection")
    keep_alive = _keeps_alive(connection, is_http11=is_http11)
    expects_continue = False
    if "expect" in fields and is_http11:
        if fields["expect"].lower() != "100-continue":
            raise RequestError("the only expectation served is 100-continue", status=417)
        expects_continue = True
    is_websocket = (
        is_http11
        and "upgrade" in fields
        and has_token(_joined(headers, fields, "upgrade"), "websocket")
    )
    return Head(
        method,
        target,
        path,
        query_string,
        version,
        headers,
        fields,
        keep_alive,
        content_length,
        is_chunked,
        expects_continue,
        is_websocket,
    )


@lru_cache(maxsize=256)
def _keeps_alive(connection: str, *, is_http11: bool) -> bool:
    """Whether a connection goes on after the response; few values occur, so they are kept."""
    if has_token(connection, "close"):
        return False
    return is_http11 or has_token(connection, "keep-alive")


@lru_cache(maxsize=256)
def check_host(host: str) -> None:
    """Check a Host value.

    Raises:
        RequestError: It is not a name or address with an optional port.
    """
    found = _HOST.fullmatch(host)
    if found is None or int(found[1] or 0) > 65_535:
        raise RequestError("expected a host name or address with an optional port in Host")


def _joined(headers: list[tuple[str, str]], fields: dict[str, str], name: str) -> str:
    if len(fields) == len(headers) or name not in fields:
        return fields.get(name, "")
    return ", ".join(value for key, value in headers if key == name)


def _check_single(headers: list[tuple[str, str]]) -> None:
    seen: set[str] = set()
    for name, _ in headers:
        if name in seen and name in _SINGLE:
            raise RequestError(f"expected at most one {name.title()} header")
        seen.add(name)


def _split_target(method: str, target: str, host: str | None) -> tuple[str, str]:
    """Path and query string of a request target."""
    if target[0] != "/":
        if target == "*" and method == "OPTIONS":
            return "*", ""
        target = _origin_form(target, host)
    path, _, query_string = target.partition("?")
    return path, query_string


def _origin_form(target: str, host: str | None) -> str:
    """The origin-form of an absolute-form target, which has to name the Host header's host."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise RequestError("expected a request target that starts with `/`")
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority = rest[:end]
    check_host(authority)
    if host is not None and authority.lower() != host.lower():
        raise RequestError("the request target and Host name different hosts")
    rest = rest[end:]
    return rest if rest.startswith("/") else f"/{rest}"


def _framing(fields: dict[str, str], *, is_http11: bool) -> tuple[int, bool]:
    """Content length, and whether the body is chunked (RFC 9112 section 6.3, strictly)."""
    length = fields.get("content-length")
    coding = fields.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise RequestError("expected Content-Length or Transfer-Encoding, got both")
        if not is_http11:
            raise RequestError("Transfer-Encoding needs HTTP/1.1")
        if coding.lower() != "chunked":
            raise _coding_fault(coding)
        return 0, True
    if length is None:
        return 0, False
    if _LENGTH.fullmatch(length) is None:
        raise RequestError("expected at most 19 digits in Content-Length")
    return int(length), False


def _coding_fault(coding: str) -> RequestError:
    *inner, last = (part.strip(" \t").lower() for part in coding.split(","))
    if last == "chunked" and inner and all(part in _CODINGS for part in inner):
        return RequestError("the only transfer coding served is chunked", status=501)
    return RequestError("expected `chunked` in Transfer-Encoding")
