"""Malformed input gets a clear answer and the server goes on; bad source gets diagnostics."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import RECEIVE_S, Server

MakeServer = Callable[..., Server]
HEAD = "Host: 127.0.0.1\r\n"
UPGRADE = HEAD + "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = "Sec-WebSocket-Version: 13\r\n"

# What is sent -> the status that comes back.
REQUESTS = [
    ("unknown path", f"GET /nowhere HTTP/1.1\r\n{HEAD}\r\n", 404),
    ("wrong method", f"PUT /api/box HTTP/1.1\r\n{HEAD}Content-Length: 0\r\n\r\n", 405),
    (
        "malformed JSON",
        f"POST /api/box HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n"
        'Content-Length: 6\r\n\r\n{"a":}',
        400,
    ),
    (
        "oversized body",
        f"POST /api/box HTTP/1.1\r\n{HEAD}Content-Length: 99999999\r\n\r\n",
        413,
    ),
    ("upgrade without a key", f"GET /api/box HTTP/1.1\r\n{UPGRADE}{VERSION}\r\n", 400),
    (
        "upgrade of version 12",
        f"GET /api/box HTTP/1.1\r\n{UPGRADE}{KEY}Sec-WebSocket-Version: 12\r\n\r\n",
        426,
    ),
    ("upgrade by POST", f"POST /api/box HTTP/1.1\r\n{UPGRADE}{KEY}{VERSION}\r\n", 400),
    ("plain GET of a ws file", f"GET /api/socket HTTP/1.1\r\n{HEAD}\r\n", 426),
    ("no Host", "GET /api/box HTTP/1.1\r\n\r\n", 400),
    ("not HTTP", "\x16\x03\x01 hello\r\n\r\n", 400),
    ("dot segments", f"GET /api/../../etc/passwd HTTP/1.1\r\n{HEAD}\r\n", 400),
]
FILES = {
    "app/api/box.flin": "route POST { body } route GET { 1 } ws { on message(data) { } }",
    "app/api/socket.flin": "ws { on message(data) { ws_send(ws.connection_id, data) } }",
}


def answer_of(port: int, request: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), RECEIVE_S) as connection:
        connection.sendall(request.encode("latin-1"))
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                break
            data += chunk
        return data


def test_bad_requests_get_their_status_and_the_server_goes_on(make_server: MakeServer) -> None:
    """Each bad request gets its status; the next client is served every time."""
    server = make_server(files=FILES)
    for name, request, status in REQUESTS:
        answer = answer_of(server.port, request)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (name, answer)
        assert server.client().get("/api/box") == (200, 1), name
    assert server.stop() == 0
    assert "Traceback" not in server.output


def test_oversized_message_closes_1009(make_server: MakeServer) -> None:
    """A message beyond 1 MiB closes that connection with 1009; others go on."""
    server = make_server(files=FILES)
    with server.client().ws("/api/socket", max_size=None) as other:
        with server.client().ws("/api/socket", max_size=None, compression=None) as ws:
            ws.send("x" * (1 << 20))
            assert len(ws.receive()) == 1 << 20
            with suppress(ConnectionClosed):  # the server may be faster than our last bytes
                ws.send("x" * ((1 << 20) + 1))
            with pytest.raises(ConnectionClosed) as closed:
                ws.receive_until_closed()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        other.send("still here")
        assert other.receive() == "still here"


def test_bytes_glued_to_the_upgrade_are_not_lost(make_server: MakeServer) -> None:
    """A frame sent in one segment with the upgrade request is delivered after `on connect`."""
    server = make_server(files=FILES)
    frame = b"\x81\x85\0\0\0\0hello"
    request = f"GET /api/socket HTTP/1.1\r\n{UPGRADE}{KEY}{VERSION}\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), RECEIVE_S) as connection:
        connection.sendall(request + frame)
        data = b""
        while not data.endswith(b"\x81\x05hello"):
            chunk = connection.recv(65536)
            assert chunk, data
            data += chunk
    assert data.startswith(b"HTTP/1.1 101 ")


BROKEN = {
    "app/api/a.flin": 'ws {\n    on message(data) {\n        brodcast("x", data)\n    }\n}\n',
    "app/api/b.flin": "guard atuh\nroute GET { 1 }\n",
    "app/api/c.flin": "route GET { Massage.all }\n",
    "app/api/d.flin": 'route GET { Message.where(txet == "x") }\n',
    "app/api/e.flin": "route GET {\n    if true {\n        1\n}\n",
    "app/api/f.flin": "route GET { 1 § 2 }\n",
    "app/api/g.flin": "ws { }\nws { }\n",
    "app/api/h.flin": "route GET { 1 }\nroute GET { 2 }\n",
    "entities/message.flin": "entity Message { text: text }\n",
}
EXPECTED = {
    "app/api/a.flin:3:9": "brodcast",
    "app/api/b.flin:1:7": "atuh",
    "app/api/c.flin:1:13": "Massage",
    "app/api/d.flin:1:27": "txet",
    "app/api/f.flin:1:15": "§",
    "app/api/g.flin:2:1": "ws",
    "app/api/h.flin:2:": "route GET",
}


@pytest.mark.parametrize("command", ["check", "serve"])
def test_every_fault_of_a_project_is_reported_in_one_run(tmp_path: Path, command: str) -> None:
    """One clear diagnostic per fault with code, place, caret and hint; exit status 1."""
    for name, text in BROKEN.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "flinfast", command, str(tmp_path)], capture_output=True, timeout=60
    )
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == 1, text
    assert "Traceback" not in text
    for place in EXPECTED:
        assert place in text, (place, text)
    assert "app/api/e.flin" in text, "the missing brace"
    assert len(re.findall(r"^error\[FL\d{3}\]: ", text, re.MULTILINE)) == len(BROKEN) - 1, text
    assert text.count("^") >= len(BROKEN) - 1
    assert "did you mean `broadcast`?" in text
    assert "did you mean `auth`?" in text
    assert "did you mean `Message`?" in text
    assert "did you mean `text`?" in text
