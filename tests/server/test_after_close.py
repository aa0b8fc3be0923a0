"""What a handler does after its own `ws_close` is done, wherever it waits: one transaction."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.server.loop import LoopScheduler
from tests import wire
from tests.server.hashing import Hashing, ask
from tests.server.program import Program
from tests.server.running import TIMEOUT_S, Client

FILES = {
    "entities/mark.flin": "entity Mark { text: text }",
    "app/marks.flin": "route GET { Mark.all.map(m => m.text) }",
    "app/hash.flin": "route POST { { stored: hash_password(body.password) } }",
    "app/watch.flin": 'ws { on connect { ws_join("all") ws_send(ws.connection_id, "ready") } }',
    "app/chat.flin": """
ws {
    on connect {
        ws_join("own")
        if query.at == "connect" {
            ws_close(4001, "bye")
            finish("connect", query.then)
        }
        else { ws_send(ws.connection_id, "ready") }
    }
    on message(data) {
        if query.closes != "no" { ws_close(4001, "bye") }
        finish("message", data)
    }
    on close {
        save Mark { text: "closed {ws.close_code}" }
        broadcast("all", "closed")
    }
}
fn finish(event, how) {
    save Mark { text: event ++ " before " ++ how }
    if how == "hash" { hash_password("ours") }
    if how == "sleep" { sleep(5) }
    if how == "http" { http_get("http://127.0.0.1:1/") }
    save Mark { text: event ++ " after " ++ how }
    log_info(event ++ " after " ++ how)
    broadcast("all", "after " ++ how)
    broadcast("own", "nobody is there")
}
""",
}
HOW = ["save", "sleep", "http", "hash"]


def upgrade(client: Client, target: str) -> None:
    client.send(
        f"GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")


def text(client: Client) -> str:
    """The next message: short, unmasked."""
    head = client.read_exactly(2)
    assert head[0] == 0x81
    return client.read_exactly(head[1]).decode()


def marks(program: Program) -> Any:
    with program.connect() as client:
        return json.loads(client.get("/marks").body)


def busy(program: Program, client: Client, hashing: Hashing) -> None:
    """Occupy the thread that hashes."""
    ask(client, "first")
    program.wait_for(lambda: hashing.seen == ["first"])


@pytest.mark.parametrize("event", ["connect", "message"])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("data_plane", ["reactor", "adapter"])
def test_the_rest_of_a_handler_that_closed(
    tmp_path: Path, hashing: Hashing, data_plane: str, how: str, event: str
) -> None:
    """It is run and committed, its broadcasts reach others, and `on close` comes after it."""
    with (
        Program(tmp_path, FILES, server_data_plane=data_plane) as program,
        program.connect() as first,
        program.connect() as watcher,
        program.connect() as client,
    ):
        busy(program, first, hashing)
        upgrade(watcher, "/watch")
        assert text(watcher) == "ready"
        if event == "connect":
            upgrade(client, f"/chat?at=connect&then={how}")
        else:
            upgrade(client, "/chat")
            assert text(client) == "ready"
            client.send(wire.frame(wire.TEXT, how.encode()))
        assert client.read_exactly(7) == b"\x88\x05\x0f\xa1bye"
        client.send(wire.close(4001))
        assert client.is_closed()
        if how == "hash":
            program.wait_for(lambda: program.app._pool.waiting_count == 2)
            assert marks(program) == [f"{event} before hash"]
        hashing.gate.set()
        assert [text(watcher), text(watcher)] == [f"after {how}", "closed"]
        assert marks(program) == [f"{event} before {how}", f"{event} after {how}", "closed 4001"]
        assert hashing.seen == ["first", "ours"][: 1 + (how == "hash")]
        assert '"level":"error"' not in program.log_text()


@pytest.mark.parametrize("how", ["sleep", "http"])
@pytest.mark.parametrize("data_plane", ["reactor", "adapter"])
def test_the_rest_of_a_handler_whose_client_left(tmp_path: Path, data_plane: str, how: str) -> None:
    """It is run and committed as well; only a hash that still waits in line is not made."""
    with (
        Program(tmp_path, FILES, server_data_plane=data_plane) as program,
        program.connect() as watcher,
        program.connect() as client,
    ):
        upgrade(watcher, "/watch")
        assert text(watcher) == "ready"
        upgrade(client, "/chat?closes=no")
        assert text(client) == "ready"
        client.send(wire.frame(wire.TEXT, how.encode()) + wire.close(1000))
        client.link.close()
        assert [text(watcher), text(watcher)] == [f"after {how}", "closed"]
        assert marks(program)[:2] == [f"message before {how}", f"message after {how}"]
        assert '"level":"error"' not in program.log_text()


class Syncing:
    """The threads of the database, held at the gate: nothing that was saved is durable before."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()


@pytest.fixture
def syncing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Syncing]:
    found = Syncing()
    run_in_thread = LoopScheduler.run_in_thread

    def held(self: LoopScheduler, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        def gated() -> Any:
            assert found.gate.wait(TIMEOUT_S)
            return work()

        run_in_thread(self, gated, done)

    monkeypatch.setattr(LoopScheduler, "run_in_thread", held)
    yield found
    found.gate.set()


@pytest.mark.parametrize("is_synced_first", [True, False])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("data_plane", ["reactor", "adapter"])
def test_messages_behind_the_one_that_closes_are_not_handled(
    tmp_path: Path,
    hashing: Hashing,
    syncing: Syncing,
    data_plane: str,
    how: str,
    is_synced_first: bool,
) -> None:
    """They came to a connection that its handler had closed, whether that is durable yet or not."""
    with (
        Program(tmp_path, FILES, server_data_plane=data_plane) as program,
        program.connect() as watcher,
        program.connect() as client,
    ):
        upgrade(watcher, "/watch")
        assert text(watcher) == "ready"
        upgrade(client, "/chat")
        assert text(client) == "ready"
        if not is_synced_first:
            syncing.gate.clear()
            hashing.gate.set()
        client.send(b"".join(wire.frame(wire.TEXT, each.encode()) for each in (how, *HOW)))
        if is_synced_first:
            assert client.read_exactly(7) == b"\x88\x05\x0f\xa1bye"
            hashing.gate.set()
        else:
            program.wait_for(lambda: f"message after {how}" in program.log_text())
            syncing.gate.set()
        assert [text(watcher), text(watcher)] == [f"after {how}", "closed"]
        assert marks(program) == [f"message before {how}", f"message after {how}", "closed 4001"]
