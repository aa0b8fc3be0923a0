"""What takes the response to one request, and knows whether anybody still waits for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from flinfast.server.http_protocol import HttpConnection


class Responder(partial[None]):
    """`HttpConnection.respond` for the request with one serial number.

    Called with the response, now or later; only the first call counts.
    """

    __slots__ = ()

    def is_wanted(self) -> bool:
        """Whether the peer waits for the response; may be called from any thread.

        A peer that has closed its side counts as gone: most that do have closed both, which
        nothing shows before something is written.
        """
        connection = cast("HttpConnection", self.func.__self__)  # type: ignore[attr-defined]
        return connection.is_waiting_for(self.args[0]) and not connection.is_half_closed
