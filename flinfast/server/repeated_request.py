"""Requests that a connection repeats byte by byte: polling, health checks, load tests.

When the same GET comes again in one piece, its head has been judged and its route found; only the
handler runs anew. The stream recognises it and writes a plain JSON answer by itself (`Known` in
`native/hub.pyi`). Whatever a handler without stored data answers else goes the ordinary way, so
that an equal request gets an equal answer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from flinfast.native.hub import Known
from flinfast.runtime.encode import encode_json
from flinfast.runtime.response import JSON_KINDS
from flinfast.server.probes import PREFIX

if TYPE_CHECKING:
    from flinfast.runtime.known_context import KnownContext
    from flinfast.runtime.request import Request
    from flinfast.server.head import Head
    from flinfast.server.site import Site

# What a handler saw, what it gave, what it raised.
KnownRun: TypeAlias = "tuple[KnownContext, Any, BaseException | None]"

# Fields that make an answer depend on more than what the handler gives, or announce a body.
_CONDITIONS = (
    "content-length",
    "expect",
    "if-none-match",
    "origin",
    "range",
    "transfer-encoding",
    "upgrade",
)


def known_request(site: Site, raw: bytes, head: Head, request: Request) -> Known | None:
    """The way to answer an equal request; None when it has to be looked at each time.

    Args:
        site: What connections share.
        raw: The whole request, a head without a body.
        head: The same, understood.
        request: The same, as the program got it.
    """
    if head.method != "GET" or head.version != "1.1" or not head.keep_alive:
        return None
    if any(name in head.fields for name in _CONDITIONS) or not site.heads.is_plain:
        return None
    if request.path.startswith(PREFIX):
        return None
    app = site.app
    way = app.straight(request, site.next_request_id)
    if way is None:
        return None
    return Known(site.answers, site.hub, app, raw, way, kinds=JSON_KINDS, encode=encode_json)


def tell(site: Site, known: Known, context: KnownContext, size: int, started: float) -> None:
    """Log an answer that the hub has given by itself: each with access lines, else slow ones.

    Args:
        site: What connections share.
        known: The request.
        context: What its handler saw.
        size: Bytes of the body.
        started: When the handler did, `perf_counter()`.
    """
    known.way.warn_when_slow(context, started)
    if site.log.has_access_lines:
        request, duration_s = context.raw, time.perf_counter() - started
        site.log.request(
            request.method, request.path, 200, size, duration_s, request.peer, request.id
        )
