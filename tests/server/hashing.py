"""A stand-in for Argon2 that tests hold, and the request to `route POST /hash` for a hash."""

from __future__ import annotations

import json
import threading

from tests.server.running import TIMEOUT_S, Client


class Hashing:
    """Remembers what it hashes, and holds at the gate."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.gate = threading.Event()

    def hash(self, password: bytes) -> str:
        self.seen.append(password.decode())
        assert self.gate.wait(TIMEOUT_S)
        return f"hash of {password.decode()}"


def ask(client: Client, password: str) -> None:
    """Send the request, and do not wait for its answer."""
    body = json.dumps({"password": password})
    lines = ("POST /hash HTTP/1.1", "Host: test", "Content-Type: application/json")
    client.send("\r\n".join((*lines, f"Content-Length: {len(body)}", "", body)).encode())
