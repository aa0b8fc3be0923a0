"""Responses: what a handler returns, and what the server sends.

`Reply` is the FLIN value behind `response { }`, `error()` and `redirect()`; `ResponseState` is the
`response` object of a request; `Response` is what the server writes. Names and values of fields
are checked where a program sets them, so nothing can end a field early (CR, LF, NUL).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from flinfast.errors import FlinError, RuntimeFault
from flinfast.late_pattern import late_pattern
from flinfast.runtime.cookie import cookie_from_options, printable
from flinfast.runtime.upload import UploadedFile
from flinfast.values import NO_VALUE

if TYPE_CHECKING:
    from flinfast.runtime.event_stream import EventStream

JSON_TYPE = "application/json; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
BYTES_TYPE = "application/octet-stream"

Encode = Callable[[Any], bytes]

_TOKEN = late_pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FIELD_VALUE = late_pattern(r"[\t\x20-\x7e\x80-\xff]*\Z")
# Framing belongs to the server: a program that sets these would desynchronise the connection.
_SERVER_FIELDS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
_JSON_FIELD = ("Content-Type", JSON_TYPE)
# Events leave at once: no proxy may keep them (nginx reads the last field).
_STREAM_FIELDS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),
)
JSON_KINDS = frozenset({dict, list, str, int, float, bool, type(None)})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Response(Struct):
    """What the server writes.

    Attributes:
        status: 200 to 599.
        headers: Names as sent and latin-1 values, without Content-Length, Date and Connection.
        body: The whole body; for a HEAD request the body of the GET, which the server drops.
        file: Send this file instead of `body`.
        stream: Send events instead of `body`, until somebody ends it.
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    file: Path | None = None
    stream: EventStream | None = None


class ResponseHeaders(dict[str, Any]):
    """Fields a program sets: case-insensitive, values are text or a list of text.

    Keys keep the spelling they were first set with.
    """

    __slots__ = ()

    def flin_get(self, name: str) -> Any:
        """Value of a field, or None."""
        key = self._key(name)
        return None if key is None else dict.__getitem__(self, key)

    def flin_set(self, name: str, value: Any) -> None:
        """Set a field; None removes it.

        Raises:
            RuntimeFault: FL560: not a field name, a value that would break the response, or a
                field that belongs to the server.
        """
        key = self._key(name)
        if value is None:
            if key is not None:
                dict.__delitem__(self, key)
            return
        dict.__setitem__(self, name if key is None else key, check_header(name, value))

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """No methods of its own; maps' methods are builtins."""
        raise RuntimeFault(f"response headers have no method `{printable(name)}`", code="FL505")

    def get(self, name: str, default: Any = None) -> Any:
        """Value of a field, case-insensitively."""
        key = self._key(name)
        return default if key is None else dict.__getitem__(self, key)

    def __getitem__(self, name: str) -> Any:
        key = self._key(name)
        if key is None:
            raise KeyError(name)
        return dict.__getitem__(self, key)

    def __setitem__(self, name: str, value: Any) -> None:
        self.flin_set(name, value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._key(name) is not None

    def _key(self, name: str) -> str | None:
        """The spelling under which a field is kept."""
        if dict.__contains__(self, name):
            return name
        lowered = name.lower()
        for key in self:
            if key.lower() == lowered:
                return key
        return None

    def fields(self) -> Iterator[tuple[str, str]]:
        """Every field line."""
        for name, value in self.items():
            if isinstance(value, list):
                for item in value:
                    yield name, item
            else:
                yield name, value


class Reply:
    """A response as a value.

    Attributes:
        status: 200 to 599.
        body: A FLIN value, or NO_VALUE for an empty body.
        cookies: Values of Set-Cookie fields.
        is_standard: Whether it is an error of ours, which a browser may get as a page.
    """

    __slots__ = ("_headers", "body", "cookies", "is_standard", "status")

    flin_kind = "response"

    def __init__(
        self,
        status: int = 200,
        body: Any = NO_VALUE,
        headers: ResponseHeaders | None = None,
        cookies: list[str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self._headers = headers
        self.cookies: list[str] = [] if cookies is None else cookies
        self.is_standard = False

    @property
    def headers(self) -> ResponseHeaders:
        """What the program set; made when it is first asked for."""
        if self._headers is None:
            self._headers = ResponseHeaders()
        return self._headers

    @headers.setter
    def headers(self, headers: ResponseHeaders) -> None:
        self._headers = headers

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing but status and body."""
        return not self._headers and not self.cookies

    def flin_get(self, name: str) -> Any:
        """`status`, `headers` or `body`."""
        if name == "status":
            return self.status
        if name == "headers":
            return self.headers
        if name == "body":
            return None if self.body is NO_VALUE else self.body
        raise RuntimeFault(f"a response has no member `{printable(name)}`", code="FL505")

    def flin_set(self, name: str, value: Any) -> None:
        """Set `status` or `body`; `headers` are set one by one."""
        if name == "status":
            self.status = check_status(value)
        elif name == "body":
            self.body = value
        elif name == "headers":
            self.headers = _headers_of(value)
        else:
            raise RuntimeFault(f"a response has no member `{printable(name)}`", code="FL505")

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """A reply has no methods."""
        raise RuntimeFault(f"a response has no method `{printable(name)}`", code="FL505")

    def to_map(self) -> dict[str, Any]:
        """Its parts as a map, for logs."""
        return {"status": self.status, "headers": dict(self.headers), "body": self.flin_get("body")}


class ResponseState:
    """The `response` object: the response being built, in middleware and routes.

    Before the handler ran it holds what middleware wants to add; after `next()` it is the inner
    response, whose status, headers and body may be read and changed.
    """

    __slots__ = ("_added", "has_status", "is_secure", "is_set", "reply")

    flin_kind = "response"

    def __init__(self, *, is_secure: bool) -> None:
        self.reply = Reply()
        self.is_secure = is_secure
        self.is_set = False  # whether status or body were set: the chain may stop without next()
        self.has_status = False
        self._added: Reply | None = None  # headers and cookies set before there was a response

    def flin_get(self, name: str) -> Any:
        """`status`, `headers`, `cookies` or `body`."""
        return _CookieJar(self) if name == "cookies" else self.reply.flin_get(name)

    def flin_set(self, name: str, value: Any) -> None:
        """Set `status`, `body` or all `headers`."""
        self.reply.flin_set(name, value)
        self.reply.is_standard = False
        self.is_set = self.is_set or name != "headers"
        self.has_status = self.has_status or name == "status"

    def adopt(self, reply: Reply) -> Reply:
        """Make a handler's reply the response; what was set before is added to it.

        The reply's own value for a header wins.
        """
        if self._added is None:
            self._added = self.reply
        merged = Reply(reply.status, reply.body)
        merged.is_standard = reply.is_standard
        dict.update(merged.headers, reply.headers)
        for name, value in self._added.headers.items():
            if name not in merged.headers:
                merged.headers.flin_set(name, value)
        for line in (*self._added.cookies, *reply.cookies):
            add_cookie(merged.cookies, line)
        self.reply = merged
        return merged

    def finish(self, value: Any) -> Reply:
        """The reply for what a handler returned, with what it set on `response`."""
        if isinstance(value, Reply):
            return self.adopt(value)
        # `response` itself may be the last expression.
        if isinstance(value, ResponseState) or (value is NO_VALUE and self.is_set):
            return self.adopt(Reply(self.reply.status, self.reply.body))
        reply = to_reply(value)
        if self.has_status:
            reply.status = self.reply.status
        return self.adopt(reply)

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """`response.ok(v)`, `.created(v)`, `.no_content()`, `.json(v, status)` and so on."""
        maker = _MAKERS.get(name)
        if maker is None:
            raise RuntimeFault(f"`response` has no method `{printable(name)}`", code="FL505")
        least, most, make = maker
        if named or not least <= len(args) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise RuntimeFault(
                f"expected {wanted} argument(s) for `response.{name}`, got {len(args)}",
                code="FL504",
            )
        return make(*args)

    def set_cookie(self, name: Any, value: Any, options: Mapping[str, Any]) -> None:
        """Add a Set-Cookie field; a later one of the same name replaces an earlier one.

        Raises:
            RuntimeFault: FL561, see `runtime.cookie`.
        """
        line = cookie_from_options(name, value, options, secure=self.is_secure)
        add_cookie(self.reply.cookies, line)

    def delete_cookie(self, name: Any, options: Mapping[str, Any] | None = None) -> None:
        """Tell the browser to forget a cookie."""
        self.set_cookie(name, "", {**(options or {}), "max_age": 0})


class Stop(FlinError):  # noqa: N818 - not an error: it ends a handler early with an answer
    """Leaves a handler from inside a builtin, such as `rate_limit(...)` in middleware.

    Attributes:
        reply: What to answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__("the handler ends with an answer")
        self.reply = reply


class _CookieJar:
    """`response.cookies[name] = value`, or a map `{ value, max_age, ... }`; none deletes."""

    __slots__ = ("_state",)

    def __init__(self, state: ResponseState) -> None:
        self._state = state

    def flin_get(self, name: str) -> Any:
        """Value of a cookie set in this response, or None."""
        for line in self._state.reply.cookies:
            key, _, rest = line.partition("=")
            if key == name:
                return rest.partition(";")[0]
        return None

    def flin_set(self, name: str, value: Any) -> None:
        """Set or (None) delete a cookie."""
        if value is None:
            self._state.delete_cookie(name)
        elif isinstance(value, dict):
            options = {key: item for key, item in value.items() if key != "value"}
            self._state.set_cookie(name, value.get("value", ""), options)
        else:
            self._state.set_cookie(name, value, {})

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """No methods."""
        raise RuntimeFault(f"`response.cookies` has no method `{printable(name)}`", code="FL505")


def add_cookie(lines: list[str], line: str) -> None:
    """Append a Set-Cookie value, replacing one of the same name."""
    name = line.partition("=")[0] + "="
    lines[:] = [earlier for earlier in lines if not earlier.startswith(name)]
    lines.append(line)


# --- values ----------------------------------------


def check_status(value: Any) -> int:
    """A status a handler may answer with.

    Raises:
        RuntimeFault: FL560: not an int from 200 to 599.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise RuntimeFault(
            f"expected a status from 200 to 599, got {printable(str(value))}", code="FL560"
        )
    return value


def check_header(name: str, value: Any) -> str | list[str]:
    """The text (or texts) of a field that may be sent.

    Raises:
        RuntimeFault: FL560: see ResponseHeaders.flin_set().
    """
    if not isinstance(name, str) or not _TOKEN.match(name):
        raise RuntimeFault(f"`{printable(str(name))}` is not a header name", code="FL560")
    if name.lower() in _SERVER_FIELDS:
        raise RuntimeFault(f"`{name}` is set by the server", code="FL560")
    if isinstance(value, list):
        return [_header_text(name, item) for item in value]
    return _header_text(name, value)


def _header_text(name: str, value: Any) -> str:
    """One field value as text."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str):
        raise RuntimeFault(f"expected header `{name}` to be text", code="FL560")
    if not _FIELD_VALUE.match(value):
        raise RuntimeFault(
            f"header `{name}` holds a character that headers must not hold",
            code="FL560",
            hint="line breaks and characters beyond latin-1 have to be encoded first",
        )
    return value.strip(" \t")


def _headers_of(value: Any) -> ResponseHeaders:
    """ResponseHeaders from a map."""
    if not isinstance(value, dict):
        raise RuntimeFault("expected `headers` to be a map", code="FL560")
    headers = ResponseHeaders()
    for name, item in value.items():
        headers.flin_set(name, item)
    return headers


def make_response(fields: Mapping[str, Any]) -> Reply:
    """`response { status: 201, body: x, headers: { ... } }`.

    Raises:
        RuntimeFault: FL560: an unknown part or a bad value.
    """
    reply = Reply()
    for name, value in fields.items():
        if name == "status":
            reply.status = check_status(value)
        elif name == "body":
            reply.body = value
        elif name == "headers":
            merged = _headers_of(value)
            for key, item in reply.headers.items():
                merged.flin_set(key, item)
            reply.headers = merged
        elif name in ("type", "content_type"):
            reply.headers.flin_set("Content-Type", value)
        else:
            raise RuntimeFault(
                f"a response has no part `{printable(name)}`",
                code="FL560",
                hint="the parts are status, body, headers and content_type",
            )
    return reply


def error_reply(status: Any, message: Any = None, extra: Any = None) -> Reply:
    """`error(404, "No such ticket")`; a third argument's entries are added to the body.

    Raises:
        RuntimeFault: FL560: the status is not 400 to 599, or `extra` is not a map.
    """
    status = check_status(status)
    if status < 400:
        raise RuntimeFault(f"expected an error status from 400 to 599, got {status}", code="FL560")
    if extra is not None and not isinstance(extra, dict):
        raise RuntimeFault("expected the third argument of `error` to be a map", code="FL560")
    body: dict[str, Any] = {"error": reason(status) if message is None else message}
    body["status"] = status
    for name, value in (extra or {}).items():
        body.setdefault(name, value)
    return Reply(status, body)


def redirect_reply(url: Any, status: Any = 302) -> Reply:
    """`redirect("/login")`, `redirect(url, 301)`.

    Raises:
        RuntimeFault: FL560: the URL is not text that a header may hold, or the status is none of
            301, 302, 303, 307, 308.
    """
    if status not in _REDIRECTS:
        raise RuntimeFault("expected a redirect status 301, 302, 303, 307 or 308", code="FL560")
    if not isinstance(url, str) or not url:
        raise RuntimeFault("expected the URL of `redirect` to be text", code="FL560")
    reply = Reply(status)
    reply.headers.flin_set("Location", _ascii_url(url))
    return reply


def _ascii_url(url: str) -> str:
    """A URL with everything outside ASCII percent-encoded; control characters are kept and fail."""
    return "".join(
        c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace"))
        for c in url
    )


def _text_reply(body: Any, status: int, content_type: str) -> Reply:
    reply = Reply(check_status(status), body)
    reply.headers.flin_set("Content-Type", content_type)
    return reply


_MAKERS: dict[str, tuple[int, int, Callable[..., Reply]]] = {
    "ok": (0, 1, lambda body=None: Reply(200, body)),
    "created": (0, 1, lambda body=None: Reply(201, body)),
    "accepted": (0, 1, lambda body=None: Reply(202, body)),
    "no_content": (0, 0, lambda: Reply(204)),
    "bad_request": (0, 1, lambda message=None: error_reply(400, message)),
    "unauthorized": (0, 1, lambda message=None: error_reply(401, message)),
    "forbidden": (0, 1, lambda message=None: error_reply(403, message)),
    "not_found": (0, 1, lambda message=None: error_reply(404, message)),
    "error": (1, 3, error_reply),
    "redirect": (1, 2, redirect_reply),
    "json": (1, 2, lambda body, status=200: _text_reply(body, status, JSON_TYPE)),
    "html": (1, 2, lambda body, status=200: _text_reply(body, status, HTML_TYPE)),
    "text": (1, 2, lambda body, status=200: _text_reply(body, status, TEXT_TYPE)),
}


# --- sending ----------------------------------------


def to_reply(value: Any) -> Reply:
    """What a handler returned as a Reply: 204 without a value, 200 with one."""
    if isinstance(value, Reply):
        return value
    if value is NO_VALUE:
        return Reply(204)
    return Reply(200, value)


def json_response(body: bytes) -> Response:
    """The answer to a handler's plain value, which is of one of JSON_KINDS."""
    return Response(200, [_JSON_FIELD], body)


def to_response(reply: Reply, encode: Encode) -> Response:
    """A Reply as bytes.

    Args:
        reply: What to send.
        encode: FLIN value to JSON bytes; raises RuntimeFault for what has no JSON form.
    """
    body, status = reply.body, reply.status
    if reply.is_bare and type(body) in JSON_KINDS and status != 204 and status != 304:
        return Response(status, [_JSON_FIELD], encode(body))
    headers = list(reply.headers.fields())
    headers.extend(("Set-Cookie", line) for line in reply.cookies)
    if body is NO_VALUE or status in (204, 304):
        return Response(status, headers)
    content_type = reply.headers.get("content-type")
    if getattr(body, "flin_kind", "") == "event stream":
        return Response(status, [*headers, *_STREAM_FIELDS], stream=body)
    if isinstance(body, UploadedFile):
        raw, default = bytes(body.data), body.content_type or BYTES_TYPE
        default = default if _FIELD_VALUE.match(default) else BYTES_TYPE
    elif isinstance(body, bytes):
        raw, default = body, BYTES_TYPE
    elif isinstance(body, str) and content_type is not None and not _is_json(content_type):
        raw, default = body.encode("utf-8", "replace"), ""
    else:
        raw, default = encode(body), JSON_TYPE
    if content_type is None:
        headers.append(("Content-Type", default))
    return Response(status, headers, raw)


def _is_json(content_type: Any) -> bool:
    """Whether a content type is JSON (`application/json`, `.../...+json`)."""
    essence = str(content_type).partition(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


def reason(status: int) -> str:
    """The usual words for a status."""
    return REASONS.get(status, "Error" if status >= 400 else "OK")


REASONS: dict[int, str] = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    422: "Unprocessable Content",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
