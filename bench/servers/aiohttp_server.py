"""Peer: aiohttp; the room is a loop over `send_str`."""

import json
import sys
from functools import partial

import uvloop
from aiohttp import WSMsgType, web

ROOM: set[web.WebSocketResponse] = set()
compact = partial(json.dumps, separators=(",", ":"))


async def echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False, max_msg_size=1 << 25)
    await ws.prepare(request)
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await ws.send_bytes(message.data)
    return ws


async def room(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False, max_msg_size=1 << 25)
    await ws.prepare(request)
    ROOM.add(ws)
    try:
        async for message in ws:
            if message.type == WSMsgType.TEXT:
                for member in list(ROOM):
                    if not member.closed:
                        await member.send_str(message.data)
    finally:
        ROOM.discard(ws)
    return ws


async def hello(_: web.Request) -> web.Response:
    return web.json_response({"message": "Hello, World!"}, dumps=compact)


app = web.Application()
app.add_routes([web.get("/echo", echo), web.get("/room", room), web.get("/hello", hello)])
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
