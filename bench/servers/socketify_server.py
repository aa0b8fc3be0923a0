"""Peer: socketify, uWebSockets under Python; the room is its native publish and subscribe."""

import sys

from socketify import App, OpCode

BACKPRESSURE = 64 << 20  # its default drops messages of members that are behind


def echo(ws, message, opcode: OpCode) -> None:
    ws.send(message, opcode)


def enter(ws) -> None:
    ws.subscribe("room")


def relay(ws, message, opcode: OpCode) -> None:
    # The app publishes to every member; a socket would leave its own out.
    app.publish("room", message, opcode)


def hello(response, _request) -> None:
    response.write_header("Content-Type", "application/json")
    response.end('{"message":"Hello, World!"}')


COMMON = {"max_payload_length": 1 << 25, "max_backpressure": BACKPRESSURE, "compression": 0}

app = App()
app.ws("/echo", {**COMMON, "message": echo})
app.ws("/room", {**COMMON, "open": enter, "message": relay})
app.get("/hello", hello)
app.listen({"port": int(sys.argv[1]), "host": "127.0.0.1"}, lambda _: None)
app.run()
