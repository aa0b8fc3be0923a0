"""Peer: websockets, the pure-Python reference; `broadcast()` for the room."""

import asyncio
import sys
from contextlib import suppress

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

ROOM: set[ServerConnection] = set()


async def handler(connection: ServerConnection) -> None:
    room = connection.request is not None and connection.request.path == "/room"
    if room:
        ROOM.add(connection)
    try:
        with suppress(ConnectionClosed):
            async for message in connection:
                if room:
                    broadcast(ROOM, message)
                else:
                    await connection.send(message)
    finally:
        ROOM.discard(connection)


async def main() -> None:
    async with serve(
        handler, "127.0.0.1", int(sys.argv[1]), compression=None, max_size=1 << 25, max_queue=None
    ):
        await asyncio.get_running_loop().create_future()


uvloop.run(main())
