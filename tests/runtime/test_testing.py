"""The test client keeps its own promises."""

from pathlib import Path

import pytest

from flinfast.testing import ConnectionClosed, TestClient
from tests.runtime.programs import LOGIN, client_of

FILES = {
    **LOGIN,
    "app/a.flin": """
        route GET { sleep(to_int(query.ms) || 0) { n: session.userName, peer: request.ip } }
        route POST { body }
        ws { on message(data) {
            if data == "silent" { return }
            if data == "bye" { ws_close(4000, "bye") return }
            ws_send(ws.connection_id, data)
        } }
    """,
}


def test_limits_of_waiting(tmp_path: Path) -> None:
    """Everything that waits ends with a TimeoutError."""
    with client_of(tmp_path, FILES) as client:
        with pytest.raises(TimeoutError):
            client.get("/a?ms=20000", timeout_s=0.02)
        with client.websocket("/a") as socket:
            socket.send_text("silent")
            with pytest.raises(TimeoutError):
                socket.receive(timeout_s=0.02)
            assert socket.is_silent(0.01)
        with pytest.raises(TimeoutError):
            client.wait_until(lambda: False, timeout_s=0.02)


def test_clients_of_one_program_are_different_users(tmp_path: Path) -> None:
    """Own cookies and headers, one program; only the first one ends it."""
    with client_of(tmp_path, FILES) as ada:
        ada.post("/login", json={"name": "Ada"})
        bob = ada.another()
        bob.post("/login", json={"name": "Bob"})
        assert ada.get("/a").json()["n"] == "Ada"
        assert bob.get("/a", peer="192.0.2.5").json() == {"n": "Bob", "peer": "192.0.2.5"}
        bob.close()
        assert ada.get("/a").status == 200


def test_kinds_of_bodies_and_messages(tmp_path: Path) -> None:
    """JSON, forms and bytes; text, JSON, binary and large messages."""
    with client_of(tmp_path, FILES) as client:
        assert client.post("/a", json=[1]).json() == [1]
        assert client.post("/a", form={"k": "v w"}).json() == {"k": "v w"}
        raw = client.post("/a", body=b"\x00", headers={"content-type": "x/y"})
        assert (raw.body, raw.text) == (b"\x00", "\x00")
        with client.websocket("/a") as socket:
            for text in ("x", "y" * 200, "z" * 70_000):
                socket.send_text(text)
                assert socket.receive() == text
            socket.send_bytes(b"\xff" * 300)
            assert socket.receive() == b"\xff" * 300


def test_close_of_the_server_is_reported(tmp_path: Path) -> None:
    """Code and reason, once and again."""
    with client_of(tmp_path, FILES) as client, client.websocket("/a") as socket:
        socket.send_text("last")
        socket.send_text("bye")
        assert socket.receive() == "last"
        for _ in range(2):
            with pytest.raises(ConnectionClosed) as caught:
                socket.receive()
            assert (caught.value.code, caught.value.reason) == (4000, "bye")


def test_program_that_does_not_load_leaves_nothing_open(tmp_path: Path) -> None:
    """The loop is closed again; warnings are errors here."""
    from flinfast.errors import ConfigError

    with pytest.raises(ConfigError):
        TestClient(tmp_path)
