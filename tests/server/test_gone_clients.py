"""Hashes that clients asked for who have left: what still waits in line is not computed."""

from __future__ import annotations

import json
import socket
from functools import partial
from pathlib import Path

import pytest

from flinfast.server.http_protocol import HttpConnection
from tests import wire
from tests.server.hashing import Hashing, ask
from tests.server.program import Program
from tests.server.running import Client

FILES = {
    "app/hash.flin": "route POST { { stored: hash_password(body.password) } }\n",
    "app/chat.flin": """
        ws {
            on message(data) { ws_send(ws.connection_id, hash_password(data)) }
            on close { log_info("gone {hash_password("at the end")}") }
        }
    """,
}
UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def is_answered(client: Client, password: str) -> bool:
    answer = client.read_response()
    return answer.status == 200 and json.loads(answer.body) == {"stored": f"hash of {password}"}


def waiting(program: Program) -> int:
    return program.app._pool.waiting_count


def is_waiting(program: Program, count: int) -> bool:
    return waiting(program) == count


def wanted(program: Program) -> int:
    tasks = list(program.app._pool._waiting)
    return sum(task.is_wanted() for task in tasks if task.is_wanted is not None)


def connections_of(program: Program) -> list[HttpConnection]:
    site = program.server.site
    assert site is not None
    return list(site.connections)


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("data_plane", ["reactor", "adapter"])
def test_a_queued_hash_of_a_client_that_left_is_not_computed(
    tmp_path: Path, hashing: Hashing, data_plane: str, is_reset: bool
) -> None:
    """Those before and after it in line are; nothing is left of the one that went."""
    with (
        Program(tmp_path, FILES, server_data_plane=data_plane) as program,
        program.connect() as first,
        program.connect() as left,
        program.connect() as last,
    ):
        for client, password in ((first, "first"), (left, "left"), (last, "last")):
            count = waiting(program) + 1
            ask(client, password)
            program.wait_for(partial(is_waiting, program, count))
        program.wait_for(lambda: hashing.seen == ["first"])
        if is_reset:
            left.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        left.link.close()
        program.wait_for(
            lambda: (
                len(connections_of(program)) == 2
                or any(c.is_half_closed for c in connections_of(program))
            )
        )
        hashing.gate.set()
        assert is_answered(first, "first")
        assert is_answered(last, "last")
        program.wait_for(lambda: waiting(program) == 0 and len(connections_of(program)) == 2)
    assert hashing.seen == ["first", "last"]


def test_a_client_that_only_ends_its_side_is_answered(tmp_path: Path, hashing: Hashing) -> None:
    """When a thread is free: its request was complete."""
    with Program(tmp_path, FILES) as program, program.connect() as client:
        ask(client, "only")
        client.link.shutdown(socket.SHUT_WR)
        program.wait_for(lambda: any(c.is_half_closed for c in connections_of(program)))
        hashing.gate.set()
        assert is_answered(client, "only")
        assert client.is_closed()
    assert hashing.seen == ["only"]


def say(client: Client, password: str) -> None:
    """Open a WebSocket and send a message."""
    client.send(UPGRADE)
    assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    client.send(wire.frame(wire.TEXT, password.encode()))


@pytest.mark.parametrize("ending", ["closed", "reset", "close frame"])
@pytest.mark.parametrize("data_plane", ["reactor", "adapter"])
def test_a_queued_hash_of_a_websocket_that_left_is_not_computed(
    tmp_path: Path, hashing: Hashing, data_plane: str, ending: str
) -> None:
    """Those of others are, and what its `on close` hashes is; nothing is logged as a fault."""
    with (
        Program(tmp_path, FILES, server_data_plane=data_plane) as program,
        program.connect() as first,
        program.connect() as left,
        program.connect() as last,
    ):
        for client, password in ((first, "first"), (left, "left"), (last, "last")):
            count = waiting(program) + 1
            say(client, password)
            program.wait_for(partial(is_waiting, program, count))
        program.wait_for(lambda: hashing.seen == ["first"])
        if ending == "close frame":
            left.send(wire.close())
            left.read_exactly(4)  # ours
        elif ending == "reset":
            left.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        left.link.close()
        program.wait_for(lambda: wanted(program) == 2)
        hashing.gate.set()
        for client, password in ((first, "first"), (last, "last")):
            assert client.read_exactly(2 + 8 + len(password))[2:] == f"hash of {password}".encode()
        program.wait_for(lambda: waiting(program) == 0)
        program.wait_for(lambda: "gone hash of at the end" in program.log_text())
        assert sorted(hashing.seen) == ["at the end", "first", "last"]
        assert '"level":"error"' not in program.log_text()


def test_a_hash_that_has_begun_is_finished_though_its_websocket_left(
    tmp_path: Path, hashing: Hashing
) -> None:
    """The handler goes on: what it stores is stored."""
    with Program(tmp_path, FILES) as program:
        with program.connect() as client:
            say(client, "only")
            program.wait_for(lambda: hashing.seen == ["only"])
        program.wait_for(lambda: wanted(program) == 0)
        hashing.gate.set()
        program.wait_for(lambda: waiting(program) == 0)
        program.wait_for(lambda: "gone hash of at the end" in program.log_text())
    assert hashing.seen == ["only", "at the end"]
