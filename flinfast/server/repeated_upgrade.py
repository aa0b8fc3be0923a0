"""Upgrades that were decided before: heads that differ in their key only.

A client library sends the same head whenever it connects, but for Sec-WebSocket-Key. When the
program can refuse nothing on a route (no middleware, no guard) and the request carries no cookie,
so no session, the answer to such a head is always the same until the program is loaded again. It
is remembered by the head without its key, and a returning crowd costs neither parsing nor objects.

Only whole heads that came in one piece as the first bytes of a socket are looked up; everything
else takes the ordinary way, which also judges every head that was not seen before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from flinfast.native.handshake import accept_key, split_head
from flinfast.native.hub import Endpoint, Opening

if TYPE_CHECKING:
    from flinfast.runtime.context import WsContext
    from flinfast.server.site import Site

HEADS_MAX = 256  # remembered; the oldest go first
HEAD_BYTES_MAX = 4 << 10  # longer ones are rare and not worth their memory


class _Answer(NamedTuple):
    """What one head without its key leads to."""

    renew: Callable[[str], WsContext]
    endpoint: Endpoint
    before_accept: bytes
    after_accept: bytes
    protocol: str
    deflate: bool
    deflate_output: bool


class RepeatedUpgrades:
    """The decisions that hold for every equal head.

    Args:
        site: What connections share.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._answers: dict[bytes, _Answer] = {}
        self._epoch = 0

    def open(self, data: bytes, address: str) -> Opening | None:
        """The connection that the first bytes of a socket ask for; None: take the ordinary way.

        Args:
            data: First bytes of a socket.
            address: Of the peer.
        """
        parts = split_head(data)
        if parts is None:
            return None
        rest, key, early = parts
        answer = self._answers.get(rest)
        if answer is None:
            return None
        site = self._site
        if site.is_draining or site.app.epoch != self._epoch:
            return None
        site.count_response(101)
        if site.log.has_access_lines:
            started = time.perf_counter()
            request_id = site.next_request_id()
            context = answer.renew(address)
            duration_s = time.perf_counter() - started
            site.log.request("GET", context.path, 101, 0, duration_s, address, request_id)
        else:
            context = answer.renew(address)
        return Opening(
            context,
            answer.endpoint,
            answer.before_accept + accept_key(key) + answer.after_accept,
            early,
            answer.protocol,
            answer.deflate,
            answer.deflate_output,
        )

    def remember(
        self, head: bytes, accept: str, renew: Callable[[str], WsContext], opening: Opening
    ) -> None:
        """Keep the answer to a head.

        Args:
            head: The whole request head.
            accept: Its Sec-WebSocket-Accept.
            renew: Makes the connection for an equal request from an address.
            opening: How it was answered.
        """
        site = self._site
        if len(head) > HEAD_BYTES_MAX or site.reads_proxy_headers:
            return  # behind a proxy, the peer's address is not all that tells clients apart
        parts = split_head(head)
        before, found, after = opening.response.partition(accept.encode("ascii"))
        if parts is None or not found:
            return
        if self._epoch != site.app.epoch:
            self._epoch = site.app.epoch
            self._answers.clear()
        if len(self._answers) >= HEADS_MAX:
            del self._answers[next(iter(self._answers))]
        self._answers[parts[0]] = _Answer(
            renew,
            opening.endpoint,
            before,
            after,
            opening.protocol,
            opening.deflate,
            opening.deflate_output,
        )
