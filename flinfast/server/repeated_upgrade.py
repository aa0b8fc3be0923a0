"""Upgrades that were decided before: heads that differ in their key only.

A client library sends the same head whenever it connects, but for Sec-WebSocket-Key. When the
program can refuse nothing on a route (no middleware, no guard) and the request carries no cookie,
so no session, the answer to such a head is always the same until the program is loaded again. It
is remembered by the head without its key, and a returning crowd costs neither parsing nor objects:
the hub answers by itself (`KnownUpgrades` in native/hub.pyi), and unless `on connect` or `on close`
has code, or access lines are wanted, a connection that sends nothing is opened and closed without
a line of Python.

Only whole heads that came in one piece as the first bytes of a socket are looked up; everything
else takes the ordinary way, which also judges every head that was not seen before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flinfast.native.hub import KnownUpgrades, Opening

if TYPE_CHECKING:
    from flinfast.runtime.context import WsContext
    from flinfast.server.site import Site

HEADS_MAX = 256  # remembered; the oldest go first
HEAD_BYTES_MAX = 4 << 10  # longer ones are rare and not worth their memory


class RepeatedUpgrades:
    """The decisions that hold for every equal head.

    Args:
        site: What connections share.

    Attributes:
        known: The same for the hub.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.known = KnownUpgrades(
            site.app,
            heads_max=HEADS_MAX,
            on_opened=self._log if site.log.has_access_lines else None,
        )

    def remember(self, head: bytes, renew: Callable[[str], WsContext], opening: Opening) -> None:
        """Keep the answer to a head.

        Args:
            head: The whole request head.
            renew: Makes the connection for an equal request from an address.
            opening: How it was answered.
        """
        if len(head) <= HEAD_BYTES_MAX and not self._site.reads_proxy_headers:
            # Behind a proxy, the peer's address is not all that tells clients apart.
            self.known.add(head, opening, renew)

    def _log(self, connection: WsContext, address: str, duration_s: float) -> None:
        site = self._site
        request_id = site.next_request_id()
        site.log.request("GET", connection.path, 101, 0, duration_s, address, request_id)
