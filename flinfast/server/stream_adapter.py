"""The asyncio side of a WebSocket whose bytes pass through the loop's transport.

Used for TLS, for loops without epoll, and when `server.data_plane` asks for it. The hub does the
rest: it writes to and closes the transport by itself, this only brings it what the loop says.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flinfast.native.hub import Connection
    from flinfast.server.site import Site


EARLY_FLUSH_BYTES = 64 << 10  # queued answers from which they are written before the turn ends


class StreamAdapter(asyncio.Protocol):
    """Protocol of one open WebSocket.

    Args:
        site: Whose hub owns the connection.
        connection: The connection, opened with `Hub.open_transport()` right after this is set.
    """

    __slots__ = ("_connection", "_site")

    def __init__(self, site: Site, connection: Connection) -> None:
        self._site = site
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        hub, connection = self._site.hub, self._connection
        hub.feed(connection, data)
        # The loop may read many times before its turn ends; a peer that floods and does not read
        # has to be stopped now.
        if connection.buffered_bytes > EARLY_FLUSH_BYTES:
            hub.flush()

    def eof_received(self) -> bool:
        """The peer closed its side: the hub says what follows."""
        self._site.hub.eof(self._connection)
        return False

    def resume_writing(self) -> None:
        """The transport's buffer is low again."""
        self._site.hub.writable(self._connection)

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone."""
        self._site.hub.lost(self._connection)
