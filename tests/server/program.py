"""A real program behind a real server over loopback, with small clients."""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flinfast.runtime.app import App
from flinfast.server.log import Log
from flinfast.server.loop import LoopScheduler
from tests.runtime.programs import write
from tests.server.running import Answer, Client, Running


class Program(Running):
    """A server in a thread of its own, over a program of FLIN files.

    Args:
        root: Folder to write it to.
        files: Path below the root -> source text.
        settings: Such as `ws_rooms_max="2"`.
    """

    app: App  # type: ignore[assignment]

    def __init__(self, root: Path, files: Mapping[str, str], **settings: str) -> None:
        environ = {f"FLIN_{name.upper()}": value for name, value in settings.items()}
        super().__init__(root, environ)
        write(root, files)

    def _load(self, scheduler: LoopScheduler, log: Log) -> Any:
        self.app = App.load(self.root, self.config.settings, scheduler=scheduler, log=log)
        return self.app, self.app.hub

    def __enter__(self) -> Program:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def client(self) -> Browser:
        """A client that keeps cookies."""
        return Browser(self)


class Browser:
    """Requests over one connection each, with the cookies that earlier answers set."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.cookies: dict[str, str] = {}

    def head(self, method: str, path: str, fields: Mapping[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: test"]
        if self.cookies:
            pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            lines.append(f"Cookie: {pairs}")
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def request(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        raw: bytes | None = None,
        **fields: str,
    ) -> Answer:
        """Ask; keyword arguments are header fields with `_` for `-`."""
        named = {name.replace("_", "-"): text for name, text in fields.items()}
        body = raw
        if value is not None:
            body = json.dumps(value).encode()
            named.setdefault("Content-Type", "application/json")
        if body is not None:
            named["Content-Length"] = str(len(body))
        with self.program.connect() as client:
            client.send(self.head(method, path, named) + (body or b""))
            answer = client.read_response(head_only=method == "HEAD")
        for name, text in answer.pairs:
            if name.lower() == "set-cookie":
                key, _, content = text.partition(";")[0].partition("=")
                self.cookies[key] = content
        return answer

    def get(self, path: str, **fields: str) -> Answer:
        return self.request("GET", path, **fields)

    def post(self, path: str, value: Any = None, **fields: str) -> Answer:
        return self.request("POST", path, {} if value is None else value, **fields)

    def log_in(self, name: str = "Ada", role: str = "member") -> Browser:
        assert self.post("/login", {"name": name, "role": role}).status == 200
        return self

    def upgrade(self, path: str, **fields: str) -> tuple[Answer, Socket]:
        """Ask for a WebSocket; the answer may be a refusal."""
        named = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
            **{name.replace("_", "-"): text for name, text in fields.items()},
        }
        client = self.program.connect()
        client.send(self.head("GET", path, named))
        answer = client.read_response()
        return answer, Socket(client)

    def ws(self, path: str, **fields: str) -> Socket:
        answer, socket = self.upgrade(path, **fields)
        assert answer.status == 101, answer
        return socket

    def events(self, path: str, **fields: str) -> tuple[Answer, Client]:
        """Ask for events; what follows the head is read from the client."""
        client = self.program.connect()
        named = {name.replace("_", "-"): text for name, text in fields.items()}
        client.send(self.head("GET", path, {"Accept": "text/event-stream", **named}))
        return client.read_response(), client


class ClosedError(Exception):
    """The server closed a WebSocket.

    Attributes:
        code: Its close code.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code


class Socket:
    """A hand-written WebSocket client; every read has a deadline."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.link.close()

    def send(self, value: Any) -> None:
        if isinstance(value, bytes):
            self.send_frame(2, value)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            self.send_frame(1, text.encode())

    def send_frame(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        masked = bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))
        self.client.send(head + mask + masked)

    def frame(self) -> tuple[int, bytes]:
        """The next frame that is no ping; raises ClosedError for a close frame."""
        while True:
            first, size = self.client.read_exactly(2)
            if size == 126:
                size = int.from_bytes(self.client.read_exactly(2), "big")
            elif size == 127:
                size = int.from_bytes(self.client.read_exactly(8), "big")
            payload = self.client.read_exactly(size)
            opcode = first & 0x0F
            if opcode == 8:
                code = int.from_bytes(payload[:2], "big") if payload else 1005
                raise ClosedError(code, payload[2:].decode())
            if opcode != 9:
                return opcode, payload

    def receive(self) -> Any:
        """The next message, decoded when it is JSON."""
        opcode, payload = self.frame()
        if opcode == 2:
            return payload
        try:
            return json.loads(payload)
        except ValueError:
            return payload.decode()

    def close_code(self) -> int:
        """Read on until the server closes."""
        try:
            while True:
                self.frame()
        except ClosedError as closed:
            return closed.code
