"""Clients of a server that is about to be killed: they remember what they were told.

Each runs on a thread of its own until its server is gone or `leave()` is called. An answer, a
broadcast, and what a reader was shown all tell of a write, which must be there afterwards.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from typing import Any

from tests import wire
from tests.e2e.conftest import Server

PATH = "/api/notes"
UPGRADE = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()
# A server that is alive answers within this; a handler that failed answers a socket never.
ANSWER_S = 60.0
# Every so many notes come with a file: it is synced twice, which takes its time.
FILE_EVERY = 7
# What a client meets when its server is killed, at whatever moment.
GONE = (OSError, EOFError, http.client.HTTPException)
GONE_TEXT = "the server is gone: {!r}"

SAVE = """
    save Note { text: text  file: file }
    save Line { text: text }
    save Line { text: text }
    t = Tally.where(name == "all").first
    if t == none { t = Tally { name: "all" } }
    t.n = t.n + 1
    save t
    broadcast("notes", { told: text, tally: t.n })
"""
FILES = {
    "entities/note.flin": """
entity Note { text: text @required @unique  file: text = "" }
entity Line { text: text }
entity Tally { name: text @unique  n: int = 0 }
""",
    "app/api/notes.flin": f"""
route POST {{
    text = body.text
    file = body.file == true ? save_binary(text.encode_utf8, "kept") : ""
    {SAVE}
    session.tally = t.n
    {{ told: text, tally: t.n, file: file }}
}}
route GET {{
    {{
        notes: Note.all.map(n => [n.text, n.file])
        lines: Line.count
        tally: Tally.all.map(t => [t.n, t.version])
    }}
}}
ws {{
    on connect {{ ws_join("notes") }}
    on message(data) {{
        text = data.text
        file = ""
        {SAVE}
    }}
}}
""",
    "app/api/newest.flin": """
route GET {
    note = Note.order("id", "desc").first
    if note == none { return { told: "", tally: 0 } }
    { told: note.text, tally: Tally.where(name == "all").first.n }
}
""",
    "app/api/seen.flin": "route GET { { tally: session.tally ?? 0 } }",
}


class Witness(threading.Thread):
    """Somebody whom the server tells of writes.

    Attributes:
        server: Whose client it is.
        told: Texts of notes that it was told of.
        tally: The highest tally that it was told.
        refused: Answers other than 200.
        pause_s: Between two requests; a crowd without pauses takes all of a core.
        fault: Why it ended before `leave()` was called, "" while it is at work.
    """

    def __init__(self, server: Server, label: str) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.label = label
        self.told: list[str] = []
        self.tally = 0
        self.refused: list[str] = []
        self.pause_s = 0.0
        self.fault = ""
        self._left = threading.Event()

    def run(self) -> None:
        try:
            self.work()
        except TimeoutError:
            self.fault = f"no answer within {ANSWER_S:.0f} s"
        except GONE as error:
            if not self.is_leaving:
                self.fault = GONE_TEXT.format(error)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.fault = repr(error)

    def work(self) -> None:
        """Be a client until `is_leaving`; may raise one of GONE."""
        raise NotImplementedError

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to stop."""
        return self._left.is_set()

    def rest(self) -> None:
        """Pause after an answer, unless it is to leave."""
        if self.pause_s:
            self._left.wait(self.pause_s)

    @property
    def is_gone(self) -> bool:
        """Whether its server has gone before it left."""
        return self.fault.startswith(GONE_TEXT[:10])

    def leave(self) -> None:
        """Stop after the answer to what is under way."""
        self._left.set()

    def hear(self, message: dict[str, Any]) -> None:
        """A write was told of."""
        self.told.append(message["told"])
        self.tally = max(self.tally, message["tally"])


class HttpClient(Witness):
    """Asks over one connection, with the session's cookie once there is one.

    Attributes:
        cookie: What the server set.
    """

    cookie = ""

    def work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=ANSWER_S)
        try:
            number = 0
            while not self.is_leaving:
                self.ask(connection, number)
                number += 1
                self.rest()
        finally:
            connection.close()

    def ask(self, connection: http.client.HTTPConnection, number: int) -> None:
        """Send request `number` and hear its answer."""
        raise NotImplementedError

    def answer(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b""
    ) -> Any:
        """The body of a 200, or None; remembers anything else."""
        headers = {"Content-Type": "application/json"} if body else {}
        if self.cookie:
            headers["Cookie"] = self.cookie
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        data = answer.read()
        self.cookie = answer.getheader("Set-Cookie", self.cookie).partition(";")[0]
        if answer.status == 200:
            return json.loads(data)
        self.refused.append(f"{method} {path}: {answer.status} {data[:300]!r}")
        return None


class HttpWriter(HttpClient):
    """Saves numbered notes, some with a file; each answer also changed its session.

    Attributes:
        own_tally: What its session was told to hold at least.
    """

    own_tally = 0

    def ask(self, connection: http.client.HTTPConnection, number: int) -> None:
        text = f"{self.label}-{number}"
        body = json.dumps({"text": text, "file": number % FILE_EVERY == 0}).encode()
        answer = self.answer(connection, "POST", PATH, body)
        if answer is not None:
            assert answer["told"] == text
            self.own_tally = answer["tally"]
            self.hear(answer)


class Reader(HttpClient):
    """Asks for the newest note, which was perhaps saved a moment ago by somebody else."""

    def ask(self, connection: http.client.HTTPConnection, number: int) -> None:
        answer = self.answer(connection, "GET", "/api/newest")
        if answer is not None and answer["told"]:
            self.hear(answer)


class Bystander(Witness):
    """Hears broadcasts over a WebSocket and writes nothing."""

    def __init__(self, server: Server, label: str) -> None:
        super().__init__(server, label)
        self._socket = socket.create_connection(("127.0.0.1", server.port), ANSWER_S)
        self._stream = self._socket.makefile("rb")
        self._socket.sendall(UPGRADE)
        head = self._stream.readline()
        assert head.startswith(b"HTTP/1.1 101 "), head
        while self._stream.readline() != b"\r\n":
            pass

    def work(self) -> None:
        try:
            while not self.is_leaving:
                self.receive()
        finally:
            self._stream.close()
            self._socket.close()

    def receive(self) -> str:
        """Hear one broadcast; the text it tells of."""
        while True:
            opcode, payload = self._frame()
            if opcode == wire.TEXT:
                message = json.loads(payload)
                self.hear(message)
                return str(message["told"])
            if opcode == wire.PING:
                self.send(wire.PONG, payload)
            if opcode == wire.CLOSE:
                raise EOFError(f"closed with {payload!r}")

    def _frame(self) -> tuple[int, bytes]:
        head = self._exactly(2)
        size = head[1]
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        return head[0] & 15, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame."""
        self._socket.sendall(wire.frame(opcode, payload))

    def leave(self) -> None:
        super().leave()
        with contextlib.suppress(OSError):  # its server has gone, too
            self._socket.shutdown(socket.SHUT_RDWR)


class WsWriter(Bystander):
    """Saves numbered notes over a WebSocket, each after it heard of the last one."""

    def work(self) -> None:
        try:
            number = 0
            while not self.is_leaving:
                text = f"{self.label}-{number}"
                self.send(wire.TEXT, json.dumps({"text": text}).encode())
                while self.receive() != text:
                    pass
                number += 1
                self.rest()
        finally:
            self._stream.close()
            self._socket.close()


def crowd_of(server: Server, label: str) -> list[Witness]:
    """Two writers of each kind, a bystander and a reader, all at work."""
    witnesses: list[Witness] = [
        HttpWriter(server, f"{label}h0"),
        HttpWriter(server, f"{label}h1"),
        WsWriter(server, f"{label}w0"),
        WsWriter(server, f"{label}w1"),
        Bystander(server, f"{label}b"),
        Reader(server, f"{label}r"),
    ]
    for witness in witnesses:
        witness.start()
    return witnesses
