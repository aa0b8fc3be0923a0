"""`kill -9` during a stream of saves: what anybody was told of is there afterwards.

An HTTP answer, a broadcast to a bystander and the version number in either tell of a write. Two
servers write to one file; one or both are killed.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException

import pytest
from websockets.exceptions import WebSocketException

from tests.e2e.conftest import Client, Server

MakeServer = Callable[..., Server]
# What a client meets when its server is killed, at whatever moment.
GONE = (OSError, EOFError, HTTPException, WebSocketException)
ROUNDS = int(os.environ.get("FLINFAST_CRASH_ROUNDS", "12"))
PROGRAM = """
entity Note { text: text @required @unique }
entity Line { text: text }
entity Tally { name: text @unique  n: int = 0 }
route POST {
    note = Note { text: body.text }
    save note
    save Line { text: body.text }
    save Line { text: body.text }
    t = Tally.where(name == "all").first
    if t == none { t = Tally { name: "all" } }
    t.n = t.n + 1
    save t
    broadcast("notes", { told: note.text, tally: t.n })
    { id: note.id, text: note.text, tally: t.n }
}
route GET {
    {
        notes: Note.all.map(n => n.text)
        lines: Line.count
        tally: Tally.all.map(t => [t.n, t.version])
    }
}
ws {
    on connect { ws_join("notes") }
    on message(data) {
        save Line { text: data.text }
        save Line { text: data.text }
        save Note { text: data.text }
        t = Tally.where(name == "all").first
        if t == none { t = Tally { name: "all" } }
        t.n = t.n + 1
        save t
        broadcast("notes", { told: data.text, tally: t.n })
    }
}
"""


class Writer(threading.Thread):
    """Saves numbered notes until the server is gone; remembers what it was told."""

    def __init__(self, client: Client, label: str, *, over_ws: bool) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.label = label
        self.over_ws = over_ws
        self.told: list[str] = []
        self.tally = 0  # the highest that anybody was told

    def run(self) -> None:
        with suppress(*GONE):
            if self.over_ws:
                self._over_ws()
            else:
                self._over_http()

    def _over_http(self) -> None:
        for number in range(100_000):
            text = f"{self.label}-{number}"
            with suppress(ValueError):
                status, body = self.client.post("/api/notes", {"text": text})
                if status == 200 and body["text"] == text:
                    self._hear(text, body["tally"])

    def _over_ws(self) -> None:
        socket = self.client.ws("/api/notes")
        for number in range(100_000):
            socket.send({"text": f"{self.label}-{number}"})
            # Effects of everybody's saves arrive here; each of them must be on disk.
            message = socket.receive()
            self._hear(message["told"], message["tally"])

    def _hear(self, text: str, tally: int) -> None:
        self.told.append(text)
        self.tally = max(self.tally, tally)


class Bystander(threading.Thread):
    """Hears broadcasts and writes nothing."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.socket = client.ws("/api/notes")
        self.told: list[str] = []
        self.tally = 0

    def run(self) -> None:
        with suppress(*GONE):
            while True:
                message = self.socket.receive()
                self.told.append(message["told"])
                self.tally = max(self.tally, message["tally"])


def start(server: Server) -> None:
    """Start a server again; somebody else may have taken the port that was free a moment ago."""
    for rest in (2, 1, 0):
        try:
            server.start()
        except AssertionError as error:
            if not (rest and "is in use" in str(error)):
                raise
        else:
            return


def check(server: Server, witnesses: list[Writer | Bystander]) -> int:
    """Nothing that anybody was told is missing or there twice; how much that was."""
    status, body = server.client().get("/api/notes")
    assert status == 200, f"{body}\n{server.output[-2000:]}"
    texts, tallies = body["notes"], body["tally"]
    stored = set(texts)
    assert len(stored) == len(texts), "a row was doubled"
    assert body["lines"] == 2 * len(texts), "a handler that is there in part"
    assert len(tallies) <= 1
    count, version = tallies[0] if tallies else (0, 0)
    assert count == version == len(texts), "a save without its tally, or an update that was lost"
    for witness in witnesses:
        lost = set(witness.told) - stored
        assert not lost, f"told of and lost: {sorted(lost)[:5]}"
        assert witness.tally <= count, "somebody saw a tally that is not stored"
    return sum(len(witness.told) for witness in witnesses)


@pytest.mark.slow
@pytest.mark.timeout(60 + 8 * ROUNDS)
def test_kill_during_saves_loses_nothing_anybody_was_told(make_server: MakeServer) -> None:
    """Rounds of SIGKILL at a random moment, each tenth a SIGTERM; one server."""
    server = make_server(files={"app/api/notes.flin": PROGRAM})
    chance = random.Random(7)
    total = 0
    for round_number in range(ROUNDS):
        witnesses: list[Writer | Bystander] = [
            Writer(server.client(), f"r{round_number}w{n}", over_ws=n % 2 == 1) for n in range(4)
        ]
        witnesses.append(Bystander(server.client()))
        for witness in witnesses:
            witness.start()
        # The moment is the fault being injected; nothing is waited for here.
        time.sleep(chance.uniform(0.05, 0.4))
        server.stop(signal.SIGTERM if round_number % 10 == 9 else signal.SIGKILL)
        for witness in witnesses:
            witness.join(15)
        start(server)
        total += check(server, witnesses)
    assert total > ROUNDS * 4, "the writers hardly wrote: the test proves nothing"


@pytest.mark.slow
@pytest.mark.timeout(60 + 12 * ROUNDS)
def test_two_servers_on_one_file(make_server: MakeServer) -> None:
    """Both write; one is killed, or both. The other goes on, and neither loses an update."""
    first = make_server(files={"app/api/notes.flin": PROGRAM})
    second = Server(first.root, {}, ())
    chance = random.Random(11)
    total = 0
    try:
        start(second)
        assert "another server uses the same data" in second.output
        for round_number in range(ROUNDS):
            witnesses: list[Writer | Bystander] = []
            for name, server in (("a", first), ("b", second)):
                label = f"{name}{round_number}"
                witnesses += [
                    Writer(server.client(), f"{label}w{n}", over_ws=n == 1) for n in range(2)
                ]
                witnesses.append(Bystander(server.client()))
            for witness in witnesses:
                witness.start()
            # The moment is the fault being injected; nothing is waited for here.
            time.sleep(chance.uniform(0.1, 0.5))
            killed = chance.choice([(first,), (second,), (first, second)])
            for server in killed:
                server.stop(signal.SIGKILL)
            for server in {first, second} - set(killed):
                server.stop()
            for witness in witnesses:
                witness.join(15)
            start(first)
            start(second)
            total += check(first, witnesses)
            assert check(second, []) == 0
    finally:
        if second.process is not None and second.process.poll() is None:
            second.stop(signal.SIGKILL)
    assert total > ROUNDS * 4, "the writers hardly wrote: the test proves nothing"
