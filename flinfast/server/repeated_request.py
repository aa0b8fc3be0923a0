"""Requests that a connection repeats byte by byte: polling, health checks, load tests.

When the same GET comes again in one piece, its head has been judged and its route found; only the
handler runs anew. Whatever is not a plain JSON answer of a handler without stored data goes the
ordinary way, so that an equal request gets an equal answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flinfast.server.probes import PREFIX

if TYPE_CHECKING:
    from flinfast.runtime.request import Request
    from flinfast.runtime.runner import Straight
    from flinfast.server.head import Head
    from flinfast.server.site import Site

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


class RepeatedRequest:
    """What is known of a request before it comes again.

    Attributes:
        raw: Its bytes.
        epoch: The program it was matched by.
        request: The same for the program; every time the same object, with another id.
        run: Runs the handler.
    """

    __slots__ = ("epoch", "raw", "request", "run")

    def __init__(self, raw: bytes, epoch: int, request: Request, run: Straight) -> None:
        self.raw = raw
        self.epoch = epoch
        self.request = request
        self.run = run

    @classmethod
    def of(cls, site: Site, raw: bytes, head: Head, request: Request) -> RepeatedRequest | None:
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
        run = site.app.straight(request)
        return None if run is None else cls(raw, site.app.epoch, request, run)
