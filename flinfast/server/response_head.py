"""Serialising response heads: status line, Date, security and cross-origin fields.

What does not depend on the response is rendered once (security fields) or once per second (Date).
A field that a program sets wins over the default of the same name; framing fields are ours alone.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Final

from flinfast.runtime.origin import normal_origin
from flinfast.runtime.response import Response, json_response
from flinfast.server.head import METHODS, Head
from flinfast.server.http_date import http_date
from flinfast.settings import SecuritySettings

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON_TYPE: Final = "application/json; charset=utf-8"

# Rendered heads that are kept: responses of one program differ in few ways.
_CACHE_COUNT_MAX = 128
_CACHED_FIELDS_MAX = 3
_CACHED_FIELDS: Final = frozenset(
    {"allow", "cache-control", "content-encoding", "content-type", "vary"}
)

_FRAMING: Final = frozenset(
    {"connection", "content-length", "date", "keep-alive", "transfer-encoding"}
)
_BODILESS: Final = frozenset({204, 304})
_PREFLIGHT_AGE_S = 7200  # the longest that browsers keep a preflight answer (Chromium)


@cache
def _reason(status: int) -> str:
    from http import HTTPStatus  # not at the start: a class of sixty names

    return next((known.phrase for known in HTTPStatus if known == status), "Unknown")


class UnsafeFieldError(ValueError):
    """A response field would end its line early: a fault of the program, answered with 500."""


def as_browsers_send(origin: str) -> str:
    """A listed origin as `Origin` has it: lower case, without the usual port; `*` stays.

    Source: HTML standard, serialisation of an origin.
    """
    normal = normal_origin(origin)
    usual = {"http": ":80", "https": ":443"}.get(normal.partition(":")[0], "")
    return normal.removesuffix(usual) or origin


class ResponseHeads:
    """Renders the heads of all responses of a server.

    Args:
        security: Which fields to add.
        is_tls: Whether HSTS makes sense.
    """

    def __init__(self, security: SecuritySettings, *, is_tls: bool) -> None:
        defaults: dict[str, str] = {}
        if security.headers:
            defaults["x-content-type-options"] = "X-Content-Type-Options: nosniff\r\n"
            defaults["x-frame-options"] = "X-Frame-Options: DENY\r\n"
            defaults["referrer-policy"] = "Referrer-Policy: strict-origin-when-cross-origin\r\n"
        if security.hsts and is_tls:
            hsts = "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
            defaults["strict-transport-security"] = hsts
        self._defaults = defaults
        policy = security.content_security_policy if security.headers else ""
        self._page_policy = f"Content-Security-Policy: {policy}\r\n" if policy else ""
        self._origins = frozenset(as_browsers_send(origin) for origin in security.cors_origins)
        self._cache: dict[tuple[object, ...], str] = {}
        self._second = 0
        self._date = ""

    def render(
        self,
        response: Response,
        head: Head | None,
        *,
        size: int | None,
        keep_alive: bool,
    ) -> bytes:
        """The head of a response, with its empty line.

        Args:
            response: Status and fields.
            head: The request's head, None when it was not understood.
            size: Bytes of the body, as the Content-Length of a HEAD or GET says it; None when the
                end of the connection ends the body.
            keep_alive: Whether the connection stays open.

        Raises:
            UnsafeFieldError: A field holds CR, LF, NUL or a character beyond latin-1.
        """
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._date = f"Date: {http_date(now)}\r\n"
        status = response.status
        block = self._block(response)
        origin = self._origin_fields(head) if self._origins else ""
        length = "" if size is None or status in _BODILESS else f"Content-Length: {size}\r\n"
        if not keep_alive:
            connection = "Connection: close\r\n"
        elif status == 426:
            connection = "Connection: Upgrade\r\n"  # RFC 9110 section 7.8: goes with Upgrade
        elif head is not None and head.version == "1.0":
            connection = "Connection: keep-alive\r\n"
        else:
            connection = ""
        text = f"{block}{self._date}{length}{origin}{connection}\r\n"
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise UnsafeFieldError("expected latin-1 response fields") from error

    @property
    def is_plain(self) -> bool:
        """Whether heads do not depend on the request (no origins are configured)."""
        return not self._origins

    def json_start(self, now: int) -> bytes:
        """render() of a plain JSON answer over a kept connection, up to the size of its body.

        Args:
            now: Unix time, whole seconds.
        """
        block = self._block(json_response(b""))
        return f"{block}Date: {http_date(now)}\r\nContent-Length: ".encode("latin-1")

    def _block(self, response: Response) -> str:
        """Status line and fields; kept for the few combinations that repeat."""
        fields = response.headers
        if len(fields) > _CACHED_FIELDS_MAX:
            return self._rendered(response)
        key = (response.status, *fields)
        block = self._cache.get(key)
        if block is None:
            block = self._rendered(response)
            # Cookies, locations and what a peer chose differ each time: they would fill it up.
            if len(self._cache) < _CACHE_COUNT_MAX and all(
                name.lower() in _CACHED_FIELDS for name, _ in fields
            ):
                self._cache[key] = block
        return block

    def _rendered(self, response: Response) -> str:
        status = response.status
        lines = [f"HTTP/1.1 {status} {_reason(status)}\r\n"]
        names: set[str] = set()
        is_page = False
        count = 0
        for name, value in response.headers:
            lowered = name.lower()
            if lowered in _FRAMING:
                continue
            names.add(lowered)
            is_page = is_page or (lowered == "content-type" and value.startswith("text/html"))
            lines.append(f"{name}: {value}\r\n")
            count += 1
        given = "".join(lines)
        if given.count("\n") != count + 1 or given.count("\r") != count + 1 or "\0" in given:
            raise UnsafeFieldError("a response field holds a line break or NUL")
        extra = "".join(line for name, line in self._defaults.items() if name not in names)
        if is_page and "content-security-policy" not in names:
            extra += self._page_policy
        return given + extra

    # --- cross-origin ----------------------------------------

    def _allowed_origin(self, head: Head | None) -> str:
        """Value of Access-Control-Allow-Origin for a request, "" when it gets none."""
        origin = head.fields.get("origin", "") if head is not None else ""
        if not origin:
            return ""
        if origin in self._origins:
            return origin
        return "*" if "*" in self._origins else ""

    def _origin_fields(self, head: Head | None) -> str:
        allowed = self._allowed_origin(head)
        if not allowed:
            return "Vary: Origin\r\n"
        if allowed == "*":
            return "Access-Control-Allow-Origin: *\r\n"
        return (
            f"Access-Control-Allow-Origin: {allowed}\r\n"
            "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
        )

    def preflight(self, head: Head) -> Response | None:
        """The answer to a cross-origin preflight, None for any other request.

        Source: Fetch standard, CORS-preflight request.
        """
        if head.method != "OPTIONS" or "access-control-request-method" not in head.fields:
            return None
        if not self._allowed_origin(head):
            return None
        wanted = head.fields.get("access-control-request-headers", "")
        headers = [
            ("Access-Control-Allow-Methods", ", ".join(sorted(METHODS))),
            ("Access-Control-Max-Age", str(_PREFLIGHT_AGE_S)),
        ]
        if wanted:
            headers.append(("Access-Control-Allow-Headers", wanted))
        return Response(204, headers)
