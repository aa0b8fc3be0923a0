"""`kill -9` during a stream of saves: every acknowledged row is there afterwards."""

import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import Client, Server

MakeServer = Callable[..., Server]
ROUNDS = 20
PROGRAM = """
entity Note { text: text @required }
route POST { note = Note { text: body.text } save note { id: note.id, text: note.text } }
route GET { Note.all.map(n => n.text) }
ws {
    on connect { ws_join("notes") }
    on message(data) { save Note { text: data.text } broadcast("notes", { saved: data.text }) }
}
"""


class Writer(threading.Thread):
    """Saves numbered notes until the server is gone; remembers what was acknowledged."""

    def __init__(self, client: Client, label: str, *, over_ws: bool) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.label = label
        self.over_ws = over_ws
        self.acknowledged: list[str] = []

    def run(self) -> None:
        with suppress(OSError, ConnectionClosed, EOFError, TimeoutError):
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
                    self.acknowledged.append(text)

    def _over_ws(self) -> None:
        socket = self.client.ws("/api/notes")
        for number in range(100_000):
            socket.send({"text": f"{self.label}-{number}"})
            # Effects of everybody's saves arrive here; each of them must be on disk.
            self.acknowledged.append(socket.receive()["saved"])


def test_kill_during_saves_loses_no_acknowledged_row(make_server: MakeServer) -> None:
    """20 rounds of SIGKILL at a random moment; HTTP answers and broadcasts both acknowledge."""
    server = make_server(files={"app/api/notes.flin": PROGRAM})
    chance = random.Random(7)
    total = 0
    for round_number in range(ROUNDS):
        writers = [
            Writer(server.client(), f"r{round_number}w{n}", over_ws=n % 2 == 1) for n in range(4)
        ]
        for writer in writers:
            writer.start()
        # The moment is the fault being injected; nothing is waited for here.
        time.sleep(chance.uniform(0.05, 0.4))
        server.stop(signal.SIGKILL)
        for writer in writers:
            writer.join(15)
        server.start()
        status, texts = server.client().get("/api/notes")
        assert status == 200
        stored = set(texts)
        assert len(stored) == len(texts), "a row was doubled"
        for writer in writers:
            lost = set(writer.acknowledged) - stored
            assert not lost, f"round {round_number}: acknowledged and lost: {sorted(lost)[:5]}"
            total += len(writer.acknowledged)
    assert total > ROUNDS * 4, "the writers hardly wrote: the test proves nothing"
