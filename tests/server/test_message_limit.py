"""`guard ws_rate_limit` over real sockets."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.server.program import Program

FILES = {
    "app/echo.flin": """
        guard ws_rate_limit(5, 3600)

        route GET { "requests pass" }

        ws {
            on message(data) { ws_send(ws.connection_id, data) }
        }
    """,
    "app/saved.flin": """
        entity Note { text: text @required }

        ws {
            guard ws_rate_limit(2, 3600)

            on message(data) {
                note = Note { text: data.text }
                save note
                ws_send(ws.connection_id, note.id)
            }
        }

        route GET { Note.count() }
    """,
    "app/free.flin": "ws { on message(data) { ws_send(ws.connection_id, data) } }",
}


def test_messages_beyond_the_limit_are_dropped_then_the_connection_closed(tmp_path: Path) -> None:
    """Warned once, closed with 1008 after as many drops; other connections and requests go on."""
    with Program(tmp_path, FILES) as program:
        browser = program.client()
        with browser.ws("/echo") as socket, browser.ws("/echo") as other:
            for number in range(11):
                socket.send({"n": number})
            assert [socket.receive() for _ in range(5)] == [{"n": n} for n in range(5)]
            warning = socket.receive()
            assert warning["status"] == 429
            assert 0 < warning["retry_after_ms"] <= 720_001
            assert socket.close_code() == 1008
            other.send({"n": "other"})
            assert other.receive() == {"n": "other"}
        assert browser.get("/echo").body == b'"requests pass"'
        assert program.log_text().count("sends too many messages") == 1


def test_handlers_that_write_are_limited_before_they_write(tmp_path: Path) -> None:
    """Dropped messages leave no row."""
    with Program(tmp_path, FILES) as program:
        with program.client().ws("/saved") as socket:
            for _ in range(5):
                with contextlib.suppress(ConnectionError):
                    socket.send({"text": "x"})
            assert [socket.receive(), socket.receive()] == [1, 2]
            assert socket.close_code() == 1008
        assert program.client().get("/saved").body == b"2"


def test_without_the_guard_nothing_is_limited(tmp_path: Path) -> None:
    """It is off unless a program asks for it."""
    with Program(tmp_path, FILES) as program, program.client().ws("/free") as socket:
        for number in range(300):
            socket.send({"n": number})
        assert [socket.receive()["n"] for _ in range(300)] == list(range(300))
