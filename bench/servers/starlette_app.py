"""Peer: Starlette, for uvicorn and granian; the room is a loop over `send_text`."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

ROOM: set[WebSocket] = set()


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            message = await ws.receive()
            if message["type"] != "websocket.receive":
                return
            if message.get("text") is not None:
                await ws.send_text(message["text"])
            else:
                await ws.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        return


async def room(ws: WebSocket) -> None:
    await ws.accept()
    ROOM.add(ws)
    try:
        while True:
            text = await ws.receive_text()
            for member in list(ROOM):
                await member.send_text(text)
    except WebSocketDisconnect:
        return
    finally:
        ROOM.discard(ws)


async def hello(_: Request) -> JSONResponse:
    return JSONResponse({"message": "Hello, World!"})


app = Starlette(
    routes=[Route("/hello", hello), WebSocketRoute("/echo", echo), WebSocketRoute("/room", room)]
)
